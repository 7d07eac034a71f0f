/*
 * The API server: one function per record that it serves, over the seam src/server/server.h.
 *
 * A serving function takes the parameters out of the record in order, then compares every length that the guest claimed with
 * what the spec's expression makes of the decoded parameters, and only then calls the vendor. The vendor's functions are
 * pointers looked up by name; the spec's server code calls them by their usual names.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include <string.h>

#include "emit/private.h"

/* A pointer to elements that may be written, named `name`: the element type without its const. */
static const char *mutable_pointer(struct emit *e, const struct lapis_value *v, const char *name)
{
    struct lapis_ctype to = *v->ctype->pointee;
    to.is_const = false;
    to.spelling = to.name;
    return lapis_ctype_declare(e->pool, &to, emit_format(e, "*%s", name));
}

static const char *declare(struct emit *e, const struct lapis_value *v, unsigned depth)
{
    return depth ? "" : lapis_ctype_declare(e->pool, v->ctype, v->name);
}

static bool careful_elements(const struct lapis_value *v)
{
    return v->kind == LAPIS_V_BUFFER && v->direction == LAPIS_IN && v->element && v->element->kind != LAPIS_V_SCALAR &&
           v->element->kind != LAPIS_V_TOKEN && v->element->kind != LAPIS_V_HANDLE;
}

static bool has_length(const struct lapis_value *v)
{
    return (v->kind == LAPIS_V_BUFFER && !emit_is_new(v) && !v->is_error) || (v->kind == LAPIS_V_STRING && v->count) ||
           v->kind == LAPIS_V_LIST;
}

/* ---- decoding ---- */

static void get_value(struct emit *e, const struct lapis_value *v, const char *at, const char *length, unsigned depth);
static void check_value(struct emit *e, const struct lapis_value *v, const char *at, const char *length,
                        const struct lapis_value *record, const char *record_at);

static void get_field(struct emit *e, const struct lapis_value *f, const char *at, unsigned depth)
{
    if (has_length(f))
        emit_line(e, "uint64_t n%u_%s = 0;", depth, f->name);
    get_value(e, f, emit_format(e, "%s.%s", at, f->name), emit_format(e, "n%u_%s", depth, f->name), depth + 1);
}

/* The live member; what tells which one that is has been decoded. */
static void get_union(struct emit *e, const struct lapis_value *v, const char *at, const struct lapis_value *record,
                      const char *record_at, unsigned depth)
{
    const char *which = emit_in_record(e, v->discriminant, record, record_at), *otherwise = "";
    for (size_t i = 0; i < v->n_fields; i++) {
        const struct lapis_value *f = &v->fields[i];
        if (!f->when)
            continue;
        emit_line(e, "%sif ((%s) == (%s)) {", otherwise, which, f->when);
        e->indent++;
        get_field(e, f, at, depth);
        if (has_length(f)) {
            emit_line(e, "if (!hira_serve_ready(s))");
            emit_line(e, "    return;");
            check_value(e, f, emit_format(e, "%s.%s", at, f->name), emit_format(e, "n%u_%s", depth, f->name), record, record_at);
        }
        e->indent--;
        otherwise = "} else ";
    }
    if (*otherwise)
        emit_line(e, "}");
}

static void get_record(struct emit *e, const struct lapis_value *v, const char *at, unsigned depth)
{
    for (size_t i = 0; i < v->n_fields; i++)
        if (!v->fields[i].discriminant)
            get_field(e, &v->fields[i], at, depth);
    for (size_t i = 0; i < v->n_fields; i++)
        if (v->fields[i].discriminant)
            get_union(e, &v->fields[i], emit_format(e, "%s.%s", at, v->fields[i].name), v, at, depth + 1);
    emit_line(e, "if (!hira_serve_ready(s)) return;");
    for (size_t i = 0; i < v->n_fields; i++)
        if (has_length(&v->fields[i]))
            check_value(e, &v->fields[i], emit_format(e, "%s.%s", at, v->fields[i].name),
                        emit_format(e, "n%u_%s", depth, v->fields[i].name), v, at);
}

/* An array whose elements need care: made in private memory, element by element. `length` counts bytes, as of plain arrays. */
static void get_elements(struct emit *e, const struct lapis_value *v, const char *at, const char *length, unsigned depth)
{
    const char *i = depth ? emit_format(e, "index%u", depth) : "index", *array = emit_format(e, "m%u_%s", depth, v->name ? v->name : "e");
    bool lengths = has_length(v->element);
    emit_line(e, "const uint64_t count_%s = hira_get_count(s, &%s, %s);", array, length, emit_element_size(e, v));
    emit_line(e, "%s = count_%s == UINT64_MAX ? NULL : hira_scratch(s, %s);", mutable_pointer(e, v, array), array, length);
    if (lengths)
        emit_line(e, "uint64_t *l_%s = %s ? hira_scratch(s, count_%s * 8) : NULL;", array, array, array);
    emit_line(e, "for (uint64_t %s = 0; %s && hira_serve_ready(s) && %s < count_%s; %s++) {", i, lengths ? emit_format(e, "l_%s", array) : array, i, array, i);
    e->indent++;
    get_value(e, v->element, emit_format(e, "%s[%s]", array, i), emit_format(e, "l_%s[%s]", array, i), depth + 1);
    e->indent--;
    emit_line(e, "}");
    emit_line(e, "%s%s = (void *)%s;", depth ? "" : emit_format(e, "%s = NULL;\n    ", declare(e, v, 0)), at, array);
}

static void get_buffer(struct emit *e, const struct lapis_value *v, const char *at, const char *length, unsigned depth)
{
    const char *target = depth ? at : declare(e, v, 0), *payload = emit_is_payload(v) ? "true" : "false";
    if (emit_is_new(v) && !depth) {
        emit_line(e, "const uint64_t id_%s = hira_get_word(s);", v->name);
        return;
    }
    if (v->element && v->element->kind == LAPIS_V_HANDLE && v->direction == LAPIS_IN)
        emit_line(e, "%s = hira_get_handles(s, &%s, %s);", target, length, emit_type_id(e, v->element->handle));
    else if (v->stream && v->direction != LAPIS_INOUT)
        emit_line(e, "%s = hira_get_%s_stream(s, &%s);", target, v->direction == LAPIS_IN ? "in" : "out", length);
    else
        emit_line(e, "%s = hira_get_%s(s, &%s, %s);", target,
                  v->direction == LAPIS_IN ? "in" : v->direction == LAPIS_OUT ? "out" : "inout", length, payload);
}

static void get_callback(struct emit *e, const struct lapis_value *v)
{
    emit_line(e, "void *cookie_%s;", v->name);
    emit_line(e, "HIRA_UNUSED struct hira_registration *callback_%s = hira_get_callback(s, %u, %s, &cookie_%s);", v->name,
              v->callback->index, v->callback->once ? "true" : "false", v->name);
}

static void get_value(struct emit *e, const struct lapis_value *v, const char *at, const char *length, unsigned depth)
{
    const char *target = depth ? at : declare(e, v, 0);
    const char *type = v->ctype ? emit_type(e, v->ctype) : "";
    switch (v->kind) {
    case LAPIS_V_SCALAR:
        if (v->ctype->kind == LAPIS_FLOAT)
            emit_line(e, "%s = (%s)hira_get_double(s);", target, type);
        else if (v->ctype->kind == LAPIS_INT)
            emit_line(e, "%s = (%s)hira_get_word(s);", target, type);
        else
            emit_line(e, "%shira_get_bytes(s, &%s, sizeof %s);", depth ? "" : emit_format(e, "%s;\n    ", target), at, at);
        break;
    case LAPIS_V_RECORD:
        if (!depth)
            emit_line(e, "%s = {0};", target);
        if (v->discriminant)
            get_union(e, v, at, NULL, NULL, depth);
        else
            get_record(e, v, at, depth);
        break;
    case LAPIS_V_HANDLE:
        emit_line(e, "%s = (%s)%shira_get_handle(s, %s);", target, type, v->ctype && v->ctype->kind == LAPIS_INT ? "(uintptr_t)" : "",
                  emit_type_id(e, v->handle));
        break;
    case LAPIS_V_BUFFER:
        if (v->is_error)
            break;
        if (careful_elements(v))
            get_elements(e, v, at, length, depth);
        else
            get_buffer(e, v, at, length, depth);
        break;
    case LAPIS_V_STRING:
        if (v->files)
            emit_line(e, "%s = hira_get_options(s, \"%s\");", target, v->files);
        else if (v->count)
            emit_line(e, "%s = (void *)hira_get_text(s, &%s);", target, length);
        else
            emit_line(e, "%s = hira_get_string(s);", target);
        break;
    case LAPIS_V_LIST:
        emit_line(e, "%s = hira_get_list(s, &%s);", target, length);
        break;
    case LAPIS_V_PROPERTIES:
        emit_line(e, "%s = hira_get_properties(s, (uint64_t)(%s), %s);", target, v->terminator ? v->terminator : "0",
                  emit_has_keys(v) ? emit_format(e, "keys_%s_%s", e->function->name, v->name) : "NULL");
        break;
    case LAPIS_V_CALLBACK:
        get_callback(e, v);
        break;
    case LAPIS_V_TOKEN:
        emit_line(e, "%s = (%s)(uintptr_t)hira_get_word(s);", target, type);
        break;
    case LAPIS_V_NOTHING:
        emit_line(e, depth ? "%s = 0;" : "%s = {0};", target);
        break;
    case LAPIS_V_USERDATA:
    case LAPIS_V_UNSETTLED:
        break;
    }
}

/* ---- checking what the guest claims ---- */

static void check_value(struct emit *e, const struct lapis_value *v, const char *at, const char *length,
                        const struct lapis_value *record, const char *record_at)
{
    if (v->kind == LAPIS_V_LIST) {
        emit_line(e, "hira_expect(s, !%s || (%s >= sizeof *%s && %s %% sizeof *%s == 0 && %s[%s / sizeof *%s - 1] == %s));", at, length,
                  at, length, at, at, length, at, v->terminator ? v->terminator : "0");
        return;
    }
    const char *count = emit_in_record(e, v->count ? v->count : "1", record, record_at);
    emit_line(e, "hira_expect_size(s, %s, %s);", length, emit_bytes(e, v, at, count));
}

/* The elements' lengths, once the arrays that tell them are decoded. */
static void check_elements(struct emit *e, const struct lapis_value *v)
{
    if (!careful_elements(v) || !has_length(v->element))
        return;
    const char *array = emit_format(e, "m0_%s", v->name);
    emit_line(e, "for (uint64_t index = 0; %s && hira_serve_ready(s) && index < count_%s; index++)", array, array);
    e->indent++;
    check_value(e, v->element, emit_format(e, "%s[index]", array), emit_format(e, "l_%s[index]", array), NULL, NULL);
    e->indent--;
}

/* Whether the length that is expected of `v` is told by memory whose own length is not among those checked. */
static bool rests_on_unchecked(const struct lapis_function *f, const struct lapis_value *v, const bool *checked)
{
    for (size_t i = 0; v->count && i < f->n_params; i++)
        if (&f->params[i] != v && has_length(&f->params[i]) && !checked[i] && emit_mentions(v->count, f->params[i].name))
            return true;
    return false;
}

/* In such an order, and with such stops, that no expression follows a pointer before what it points to is known to be that long. */
static void emit_parameter_checks(struct emit *e, const struct lapis_function *f)
{
    bool *checked = hira_pool_alloc(e->pool, f->n_params * sizeof *checked), *sure = hira_pool_alloc(e->pool, f->n_params * sizeof *sure);
    for (bool forced = false;;) {
        bool any = false, left = false;
        for (size_t i = 0; i < f->n_params; i++) {
            const struct lapis_value *v = &f->params[i];
            if (!has_length(v) || checked[i])
                continue;
            if (!forced && rests_on_unchecked(f, v, sure)) {
                left = true;
                continue;
            }
            check_value(e, v, v->name, emit_format(e, "bytes_%s", v->name), NULL, NULL);
            checked[i] = any = true;
        }
        if (!left)
            return;
        emit_line(e, "if (!hira_serve_ready(s)) return;");
        memcpy(sure, checked, f->n_params * sizeof *sure);
        forced = !any; /* each rests on another: the spec's own affair */
    }
}

/* Whether there was anything to check. */
static bool emit_checks(struct emit *e, const struct lapis_function *f)
{
    bool nested = false, any = false;
    emit_parameter_checks(e, f);
    for (size_t i = 0; i < f->n_params; i++) {
        any |= has_length(&f->params[i]);
        nested |= careful_elements(&f->params[i]) && has_length(f->params[i].element);
    }
    if (!nested)
        return any;
    emit_line(e, "if (!hira_serve_ready(s)) return;");
    for (size_t i = 0; i < f->n_params; i++)
        check_elements(e, &f->params[i]);
    return true;
}

/* ---- calling ---- */

/* Out scalars that say how much of an array was filled: the vendor must tell us even when the application did not ask. */
static void emit_fill_counters(struct emit *e, const struct lapis_function *f)
{
    for (size_t i = 0; i < f->n_params; i++) {
        const struct lapis_value *v = &f->params[i];
        if (v->kind != LAPIS_V_BUFFER || !v->filled || v->direction == LAPIS_IN)
            continue;
        for (size_t k = 0; k < f->n_params; k++) {
            const struct lapis_value *n = &f->params[k];
            const char *deref = emit_format(e, "*%s", n->name);
            if (n->kind != LAPIS_V_BUFFER || n->direction != LAPIS_OUT || strcmp(v->filled, deref))
                continue;
            emit_line(e, "%s = {0};", lapis_ctype_declare(e->pool, n->ctype->pointee, emit_format(e, "asked_%s", n->name)));
            emit_line(e, "%s = %s && !%s ? &asked_%s : %s;", n->name, v->name, n->name, n->name, n->name);
        }
    }
}

static void emit_new_places(struct emit *e, const struct lapis_function *f, bool until)
{
    for (size_t i = 0; i < f->n_params; i++) {
        const struct lapis_value *v = &f->params[i];
        if (v->is_error) {
            emit_line(e, "%s = 0;", lapis_ctype_declare(e->pool, v->ctype->pointee, "error"));
            continue;
        }
        if (!emit_is_new(v))
            continue;
        bool forced = false;
        for (size_t k = 0; k < f->n_params; k++)
            forced |= f->params[k].lifetime == LAPIS_LIFE_EVENT && f->params[k].until && !strcmp(f->params[k].until, v->name);
        emit_line(e, "%s = 0;", lapis_ctype_declare(e->pool, v->ctype->pointee, emit_format(e, "made_%s", v->name)));
        emit_line(e, "%s = id_%s%s ? &made_%s : NULL;", lapis_ctype_declare(e->pool, v->ctype, v->name), v->name,
                  forced && until ? " || until_done" : "", v->name);
        for (size_t k = 0; k < f->n_params; k++)
            if (f->params[k].kind == LAPIS_V_CALLBACK)
                emit_line(e, "if (callback_%s)\n        callback_%s->made = id_%s;", f->params[k].name, f->params[k].name, v->name);
    }
}

static const char *up_name(struct emit *e, const struct lapis_callback *cb)
{
    char *name = hira_pool_strdup(e->pool, cb->name);
    for (char *p = name; *p; p++)
        if (*p == '.')
            *p = '_';
    return name;
}

/* A callback without cookie has one registration, the last: kept before the vendor may call it, taken back when it was refused. Those
 * before it stay allocated, for the vendor may be calling one. */
static bool cookieless(const struct lapis_value *v)
{
    for (size_t i = 0; v->kind == LAPIS_V_CALLBACK && i < v->callback->n_args; i++)
        if (v->callback->args[i].kind == LAPIS_V_USERDATA)
            return false;
    return v->kind == LAPIS_V_CALLBACK;
}

static void emit_register(struct emit *e, const struct lapis_function *f, bool after)
{
    for (size_t i = 0; i < f->n_params; i++) {
        const struct lapis_value *v = &f->params[i];
        if (!cookieless(v))
            continue;
        const char *place = emit_format(e, "registered_%s", up_name(e, v->callback));
        if (after)
            emit_line(e, "if (callback_%s && !ok)\n        atomic_store(&%s, previous_%s);", v->name, place, v->name);
        else
            emit_line(e, "struct hira_registration *previous_%s = callback_%s ? atomic_exchange(&%s, callback_%s) : NULL;", v->name, v->name,
                      place, v->name);
    }
}

/* How many of the parameters the function that does the work takes: the vendor's knows of no implicit ones. */
static size_t n_arguments(const struct lapis_function *f)
{
    return f->server_replace.text ? f->n_params : lapis_declared_params(f);
}

/* The first n parameters as arguments for it. A callback goes as our trampoline, its cookie as our registration. */
static const char *server_arguments(struct emit *e, const struct lapis_function *f, size_t n)
{
    struct hira_text out = {0};
    for (size_t i = 0; i < n; i++) {
        const struct lapis_value *v = &f->params[i];
        hira_text_puts(&out, i ? ", " : "");
        if (v->kind == LAPIS_V_CALLBACK)
            hira_text_printf(&out, "callback_%s ? up_%s : NULL", v->name, up_name(e, v->callback));
        else if (v->kind == LAPIS_V_USERDATA && v->companion)
            hira_text_printf(&out, "cookie_%s", v->companion);
        else if (v->is_error)
            hira_text_puts(&out, "&error");
        else
            hira_text_puts(&out, v->name);
    }
    const char *text = hira_pool_strdup(e->pool, out.data ? out.data : "");
    hira_text_fini(&out);
    return text;
}

/* The result as the reply's first word. */
static const char *result_word(struct emit *e, const struct lapis_function *f)
{
    const struct lapis_value *r = &f->ret;
    if (emit_is_void(r) || r->kind == LAPIS_V_STRING || r->ctype->kind == LAPIS_STRUCT || r->ctype->kind == LAPIS_UNION)
        return "0";
    if (r->kind == LAPIS_V_HANDLE)
        return r->allocates ? "ok" : emit_format(e, "hira_handle_to_id((void *)(uintptr_t)ret, %s, false)", emit_type_id(e, r->handle));
    if (r->ctype->kind == LAPIS_FLOAT)
        return "hira_double_bits(ret)";
    return r->ctype->kind == LAPIS_INT ? "(uint64_t)ret" : "(uint64_t)(uintptr_t)ret";
}

static void reply_value(struct emit *e, const struct lapis_value *v)
{
    const char *n = v->name;
    if (v->kind != LAPIS_V_BUFFER || v->direction == LAPIS_IN || v->is_error || emit_is_new(v))
        return;
    const char *valid = v->filled ? emit_format(e, "hira_least(%s, bytes_%s)", emit_bytes(e, v, n, v->filled), n) : emit_format(e, "bytes_%s", n);
    emit_line(e, "const uint64_t valid_%s = %s%s;", n, v->always ? "" : "!ok ? 0 : ", valid);
    if (v->element && v->element->kind == LAPIS_V_HANDLE)
        emit_line(e, "hira_handles_to_ids(s, (void *)%s, valid_%s, %s, %s);", n, n, emit_type_id(e, v->element->handle),
                  v->element->allocates ? "true" : "false");
    else if (v->selector)
        emit_line(e, "if (%s && values_type((uint64_t)%s)) hira_handles_to_ids(s, %s, valid_%s, values_type((uint64_t)%s), false);",
                  n, v->selector, n, n, v->selector);
    else if (v->element && v->element->kind == LAPIS_V_RECORD && emit_holds_handles(v->element)) {
        emit_line(e, "for (uint64_t i = 0; i < valid_%s / sizeof *%s; i++) {", n, n);
        e->indent++;
        emit_turn_handles(e, v->element, emit_format(e, "%s[i]", n), "hira_handles_to_ids(s, &%s, 8, %s, false);", NULL, NULL);
        e->indent--;
        emit_line(e, "}");
    }
    for (size_t i = 0; v->selector && i < e->function->n_answers; i++) {
        const struct lapis_answer *a = &e->function->answers[i];
        if (a->telling == LAPIS_TELL_MASKED)
            emit_line(e, "if (ok && %s && %s) hira_keep_bits(%s, valid_%s, (uint64_t)(%s));", n, emit_asked(e, e->function, a), n, n,
                      a->expr);
        else if (a->telling == LAPIS_TELL_PROPERTIES)
            emit_line(e, "if (ok && %s && %s) hira_properties_to_ids(s, %s, valid_%s, (uint64_t)(%s), %s);", n,
                      emit_asked(e, e->function, a), n, n, a->expr, emit_answer_keys(e, e->function, a));
    }
    emit_line(e, "hira_reply_out(s, %s, valid_%s);", n, n);
}

/* ---- answers that the server rewrites ---- */

static bool rewrites(const struct lapis_answer *a)
{
    return a->telling == LAPIS_TELL_WORDS || a->telling == LAPIS_TELL_RECORDS || a->telling == LAPIS_TELL_REWRITTEN;
}

const char *emit_local_prototype(struct emit *e, const struct lapis_function *f, const char *prefix)
{
    struct hira_text out = {0};
    hira_text_printf(&out, "%s_%s(HIRA_UNUSED struct hira_serve *s", prefix, f->name);
    for (size_t i = 0; i < f->n_params; i++)
        hira_text_printf(&out, ", %s", lapis_ctype_declare(e->pool, f->params[i].ctype, f->params[i].name));
    hira_text_puts(&out, ")");
    const char *text = lapis_ctype_declare(e->pool, f->ret.ctype, hira_pool_strdup(e->pool, out.data));
    hira_text_fini(&out);
    return text;
}

/* The condition that the answer asked for is rewritten; NULL where none is. */
static const char *rewritten_when(struct emit *e, const struct lapis_function *f)
{
    const char *when = NULL;
    for (size_t i = 0; i < f->n_answers; i++)
        if (rewrites(&f->answers[i]))
            when = when ? emit_format(e, "%s || %s", when, emit_asked(e, f, &f->answers[i])) : emit_asked(e, f, &f->answers[i]);
    return when;
}

/* The spec's own function in the place of the vendor's: written as one, or made of the code. */
static const char *replacement(struct emit *e, const struct lapis_function *f)
{
    return f->server_function ? f->server_function : emit_format(e, "local_%s", f->name);
}

const char *emit_asking(struct emit *e, const struct lapis_function *f, const struct emit_answer *a, const char *room, const char *value,
                        const char *size)
{
    struct hira_text out = {0};
    hira_text_printf(&out, f->server_replace.text ? "%s(s" : "%s(", f->server_replace.text ? replacement(e, f) : f->name);
    for (size_t i = 0; i < n_arguments(f); i++) {
        const struct lapis_value *p = &f->params[i];
        bool is_room = a->value->count && !strcmp(a->value->count, p->name);
        const char *argument = p == a->value ? value : p == a->size ? size : is_room ? room : p->name;
        hira_text_printf(&out, "%s%s", i || f->server_replace.text ? ", " : "", argument);
    }
    hira_text_puts(&out, ")");
    const char *text = hira_pool_strdup(e->pool, out.data);
    hira_text_fini(&out);
    return text;
}

/* The whole answer is fetched, rewritten, and told as far as there is room; too small a room is the vendor's to refuse. */
static void emit_rewritten(struct emit *e, const struct lapis_function *f)
{
    struct emit_answer answer;
    answer.value = lapis_query_value(f, &answer.size);
    const struct lapis_value *v = answer.value;
    emit_line(e, "static %s", emit_local_prototype(e, f, "rewritten"));
    emit_line(e, "{");
    emit_line(e, "    size_t answer_size = 0;");
    emit_line(e, "    %s = %s;", lapis_ctype_declare(e->pool, f->ret.ctype, "ret"), emit_asking(e, f, &answer, "0", "NULL", "&answer_size"));
    emit_line(e, "    if (!(%s))\n        return ret;", emit_success(e, f, "error"));
    emit_line(e, "    char *answer = hira_scratch(s, answer_size + 1);");
    emit_line(e, "    if (!answer)\n        return %s;", f->failure ? f->failure : "-1");
    emit_line(e, "    ret = %s;", emit_asking(e, f, &answer, "answer_size", "answer", "NULL"));
    emit_line(e, "    if (!(%s))\n        return ret;", emit_success(e, f, "error"));
    for (size_t i = 0; i < f->n_answers; i++) {
        const struct lapis_answer *a = &f->answers[i];
        if (!rewrites(a))
            continue;
        const char *how = a->telling == LAPIS_TELL_WORDS ? "hira_keep_words(answer, hidden)"
                          : a->telling == LAPIS_TELL_REWRITTEN
                              ? a->expr
                              : emit_format(e, "hira_keep_records(answer, answer_size, sizeof(%s), offsetof(%s, %s), sizeof ((%s *)0)->%s, hidden)",
                                            a->expr, a->expr, a->condition, a->expr, a->condition);
        emit_line(e, "    if (%s)\n        answer_size = %s;", emit_asked(e, f, a), how);
    }
    emit_line(e, "    if (%s && %s < answer_size)", v->name, v->count);
    emit_line(e, "        return %s;", emit_asking(e, f, &answer, v->count, v->name, answer.size->name));
    emit_line(e, "    if (%s)\n        memcpy(%s, answer, answer_size);", v->name, v->name);
    emit_line(e, "    if (%s)\n        *%s = answer_size;", answer.size->name, answer.size->name);
    emit_line(e, "    return ret;");
    emit_line(e, "}");
    emit_blank(e);
}

static void emit_reply(struct emit *e, const struct lapis_function *f)
{
    const struct lapis_value *error = emit_error_param(f), *r = &f->ret;
    const char *code = error ? "error" : emit_is_void(r) || r->ctype->kind != LAPIS_INT ? "-1" : "(int64_t)ret";
    emit_line(e, "hira_serve_result(s, ok, %s, %s);", code, result_word(e, f));
    if (!emit_is_void(r) && r->kind == LAPIS_V_STRING)
        emit_line(e, "hira_reply_string(s, ret);");
    else if (!emit_is_void(r) && (r->ctype->kind == LAPIS_STRUCT || r->ctype->kind == LAPIS_UNION))
        emit_line(e, "hira_reply_bytes(s, &ret, sizeof ret);");
    if (error)
        emit_line(e, "hira_reply_word(s, (uint64_t)error);");
    for (size_t i = 0; i < f->n_params; i++)
        reply_value(e, &f->params[i]);
    for (size_t i = 0; i < f->n_params; i++) {
        const struct lapis_value *v = &f->params[i];
        if (emit_is_new(v))
            emit_line(e, "hira_made(s, id_%s, %s, (void *)(uintptr_t)made_%s, ok);", v->name, emit_type_id(e, v->element->handle), v->name);
        if (v->kind == LAPIS_V_HANDLE && v->deallocates)
            emit_line(e, "if (ok) hira_gone(s);");
    }
    if (r->kind == LAPIS_V_HANDLE && r->allocates)
        emit_line(e, "hira_made(s, id_ret, %s, (void *)(uintptr_t)ret, ok);", emit_type_id(e, r->handle));
}

static void emit_serve(struct emit *e, const struct lapis_function *f)
{
    const char *until = emit_until_done(e, f);
    e->function = f;
    if (f->server_replace.text && !f->server_function) {
        emit_line(e, "static %s", emit_local_prototype(e, f, "local"));
        emit_line(e, "{");
        emit_code(e, &f->server_replace);
        emit_line(e, "}");
        emit_blank(e);
    }
    for (size_t i = 0; i < f->n_params; i++)
        if (emit_has_keys(&f->params[i]))
            emit_keys_function(e, f, &f->params[i]);
    emit_answer_functions(e, f);
    const char *rewritten = rewritten_when(e, f);
    if (rewritten)
        emit_rewritten(e, f);
    if (f->enumerates.list)
        emit_seen(e, f);
    emit_line(e, "static void serve_%s(struct hira_serve *s)", f->name);
    emit_line(e, "{");
    e->indent = 1;
    for (size_t i = 0; i < f->n_params; i++) {
        const struct lapis_value *v = &f->params[i];
        if (has_length(v))
            emit_line(e, "uint64_t bytes_%s = 0;", v->name);
        get_value(e, v, v->name, emit_format(e, "bytes_%s", v->name), 0);
    }
    bool makes = f->ret.kind == LAPIS_V_HANDLE && f->ret.allocates;
    if (makes)
        emit_line(e, "const uint64_t id_ret = hira_get_word(s);");
    emit_line(e, "if (!hira_get_end(s)) return;");
    if (until)
        emit_line(e, "const bool until_done = %s;", until);
    if (emit_checks(e, f) || until)
        emit_line(e, "if (!hira_serve_ready(s)%s) return;", until ? " || (until_done && !hira_may_keep(s))" : "");
    emit_trace(e, f);
    emit_belongs(e, f);
    for (size_t i = 0; i < f->n_params; i++)
        if (f->params[i].kind == LAPIS_V_HANDLE && f->params[i].deallocates)
            emit_line(e, "if (!hira_claim(s, %s, (void *)(uintptr_t)%s)) return;", emit_type_id(e, f->params[i].handle),
                      f->params[i].name);
    emit_new_places(e, f, until != NULL);
    emit_fill_counters(e, f);
    for (size_t k = 0; makes && k < f->n_params; k++)
        if (f->params[k].kind == LAPIS_V_CALLBACK)
            emit_line(e, "if (callback_%s)\n        callback_%s->made = id_ret;", f->params[k].name, f->params[k].name);
    if (f->server_before.text)
        emit_code(e, &f->server_before);
    emit_register(e, f, false);
    emit_gate_before(e, f);
    const char *arguments = server_arguments(e, f, n_arguments(f));
    const char *call = f->server_replace.text ? emit_format(e, "%s(s%s%s)", replacement(e, f), f->n_params ? ", " : "", arguments)
                                              : emit_format(e, "%s(%s)", f->name, arguments);
    if (rewritten)
        call = emit_format(e, "%s ? rewritten_%s(s, %s) : %s", rewritten, f->name, server_arguments(e, f, f->n_params), call);
    if (f->enumerates.list)
        call = emit_format(e, "hira_devices_hidden ? seen_%s(s, %s) : %s", f->name, server_arguments(e, f, f->n_params), call);
    emit_line(e, "%s%s%s;", emit_is_void(&f->ret) ? "" : lapis_ctype_declare(e->pool, f->ret.ctype, "ret"),
              emit_is_void(&f->ret) ? "" : " = ", emit_gate_call(e, f, call));
    emit_line(e, "HIRA_UNUSED bool ok = %s;", emit_success(e, f, "error"));
    emit_gate_after(e, f);
    emit_register(e, f, true);
    if (f->server_after.text)
        emit_code(e, &f->server_after);
    if (until)
        emit_line(e, "if (until_done && ok)\n        hira_keep(s);");
    emit_reply(e, f);
    e->indent = 0;
    emit_line(e, "}");
    emit_blank(e);
}

/* ---- callbacks ---- */

static const struct lapis_value *cookie_of(const struct lapis_callback *cb)
{
    for (size_t i = 0; i < cb->n_args; i++)
        if (cb->args[i].kind == LAPIS_V_USERDATA)
            return &cb->args[i];
    return NULL;
}

static void put_up(struct emit *e, const struct lapis_value *a)
{
    switch (a->kind) {
    case LAPIS_V_HANDLE:
        emit_line(e, "hira_up_handle_put(&u, (void *)(uintptr_t)%s, %s);", a->name, emit_type_id(e, a->handle));
        break;
    case LAPIS_V_USERDATA:
    case LAPIS_V_NOTHING:
        break;
    case LAPIS_V_STRING:
        emit_line(e, "hira_up_memory_put(&u, %s, %s ? strlen(%s) + 1 : 0);", a->name, a->name, a->name);
        break;
    case LAPIS_V_BUFFER:
        emit_line(e, "hira_up_memory_put(&u, %s, %s ? (uint64_t)(%s) * %s : 0);", a->name, a->name, a->count ? a->count : "1",
                  emit_element_size(e, a));
        break;
    default:
        if (a->ctype->kind == LAPIS_STRUCT || a->ctype->kind == LAPIS_UNION) {
            emit_turn_handles(e, a, a->name, "hira_up_handle_turn(&u, &%s, %s);", NULL, NULL);
            emit_line(e, "hira_up_bytes_put(&u, &%s, sizeof %s);", a->name, a->name);
        } else if (a->ctype->kind == LAPIS_FLOAT)
            emit_line(e, "hira_up_word_put(&u, hira_double_bits(%s));", a->name);
        else
            emit_line(e, "hira_up_word_put(&u, (uint64_t)%s%s);", a->ctype->kind == LAPIS_POINTER ? "(uintptr_t)" : "", a->name);
    }
}

/* What the vendor calls in place of the application's function. */
static void emit_trampoline(struct emit *e, const struct lapis_callback *cb)
{
    struct hira_text params = {0};
    const struct lapis_value *cookie = cookie_of(cb);
    bool returns = cb->ret.ctype && cb->ret.ctype->kind != LAPIS_VOID;
    for (size_t i = 0; i < cb->n_args; i++)
        hira_text_printf(&params, "%s%s", i ? ", " : "", lapis_ctype_declare(e->pool, cb->args[i].ctype, cb->args[i].name));
    const char *head = emit_format(e, "up_%s(%s)", up_name(e, cb), params.data ? params.data : "void");
    hira_text_fini(&params);
    if (!cookie)
        emit_line(e, "static struct hira_registration *_Atomic registered_%s; /* no cookie: the last one given */", up_name(e, cb));
    emit_line(e, "HIRA_UNUSED static %s", returns ? lapis_ctype_declare(e->pool, cb->ret.ctype, head) : emit_format(e, "void %s", head));
    emit_line(e, "{");
    e->indent = 1;
    emit_line(e, "struct hira_up u;");
    if (returns)
        emit_line(e, "union {\n        %s;\n        uint64_t word;\n        double real;\n    } result = {0};",
                  lapis_ctype_declare(e->pool, cb->ret.ctype, "value"));
    emit_line(e, "if (!hira_up_begin(&u, %s))\n        return%s;", cookie ? cookie->name : emit_format(e, "registered_%s", up_name(e, cb)),
              returns ? " result.value" : "");
    for (size_t i = 0; i < cb->n_args; i++)
        put_up(e, &cb->args[i]);
    bool whole = returns && (cb->ret.ctype->kind == LAPIS_STRUCT || cb->ret.ctype->kind == LAPIS_UNION);
    if (returns || cb->waits)
        emit_line(e, "hira_up_call(&u, %s);", returns ? "&result, sizeof result" : "NULL, 0");
    else
        emit_line(e, "hira_up_post(&u);");
    if (returns)
        emit_line(e, "return %s;", whole                                     ? "result.value"
                                   : cb->ret.ctype->kind == LAPIS_FLOAT      ? emit_format(e, "(%s)result.real", emit_type(e, cb->ret.ctype))
                                   : cb->ret.ctype->kind == LAPIS_POINTER    ? emit_format(e, "(%s)(uintptr_t)result.word", emit_type(e, cb->ret.ctype))
                                                                             : emit_format(e, "(%s)result.word", emit_type(e, cb->ret.ctype)));
    e->indent = 0;
    emit_line(e, "}");
    emit_blank(e);
}

/* ---- tables ---- */

static bool has_vendor(const struct lapis_function *f)
{
    return !f->internal && !f->variadic && !f->unsupported;
}

static void emit_vendor_table(struct emit *e)
{
    emit_line(e, "/* The vendor's functions, under their own names. */");
    emit_line(e, "static struct {");
    for (size_t i = 0; i < e->model->n_functions; i++) {
        const struct lapis_function *f = e->model->functions[i];
        if (has_vendor(f))
            emit_line(e, "    %s;", emit_prototype(e, f, emit_format(e, "(*%s_)", f->name)));
    }
    if (!e->model->n_functions)
        emit_line(e, "    char none;");
    emit_line(e, "} vendor;");
    emit_blank(e);
    for (size_t i = 0; i < e->model->n_functions; i++)
        if (has_vendor(e->model->functions[i]))
            emit_line(e, "#define %s vendor.%s_", e->model->functions[i]->name, e->model->functions[i]->name);
    emit_blank(e);
}

static void emit_type_hooks(struct emit *e)
{
    for (size_t i = 0; i < e->model->n_handles; i++) {
        const struct lapis_handle *h = e->model->handles[i];
        const char *type = emit_type(e, h->ctype);
        if (h->retain)
            emit_line(e, "static void retain_%s(void *handle)\n{\n    if (%s)\n        %s((%s)handle);\n}\n", h->name, h->retain->name,
                      h->retain->name, type);
        if (h->release)
            emit_line(e, "static void release_%s(void *handle)\n{\n    if (%s)\n        %s((%s)handle);\n}\n", h->name, h->release->name,
                      h->release->name, type);
        if (!h->done.text)
            continue;
        emit_line(e, "static int done_%s(void *handle_)\n{", h->name);
        emit_line(e, "    %s = handle_;", lapis_ctype_declare(e->pool, h->ctype, "handle"));
        emit_code(e, &h->done);
        emit_line(e, "}\n");
    }
    const char **contents = hira_pool_alloc(e->pool, e->model->n_handles * sizeof *contents);
    for (size_t i = 0; i < e->model->n_handles; i++)
        contents[i] = emit_contents(e, e->model->handles[i]);
    emit_line(e, "static const struct hira_server_type types[] = {\n    {0},");
    for (size_t i = 0; i < e->model->n_handles; i++) {
        const struct lapis_handle *h = e->model->handles[i];
        emit_line(e, "    {\"%s\", %s, %s, %s, NULL, %s, %s},", h->name, h->retain ? emit_format(e, "retain_%s", h->name) : "NULL",
                  h->release ? emit_format(e, "release_%s", h->name) : "NULL", h->done.text ? emit_format(e, "done_%s", h->name) : "NULL",
                  h->devices ? h->devices : "NULL", contents[i]);
    }
    emit_line(e, "};\n");
}

static void emit_server_states(struct emit *e)
{
    emit_line(e, "union any_state {\n    char none;");
    for (size_t i = 0; i < e->model->n_handles; i++)
        if (e->model->handles[i]->server_state.text) {
            emit_line(e, "    struct %s_state {", e->model->handles[i]->name);
            emit_code(e, &e->model->handles[i]->server_state);
            emit_line(e, "    } %s;", e->model->handles[i]->name);
        }
    emit_line(e, "};\n");
    for (size_t i = 0; i < e->model->n_handles; i++) {
        const struct lapis_handle *h = e->model->handles[i];
        if (h->server_state.text)
            emit_line(e, "HIRA_UNUSED static struct %s_state *state_%s(%s)\n{\n    return hira_server_state((void *)(uintptr_t)handle, T_%s);\n}\n",
                      h->name, h->name, lapis_ctype_declare(e->pool, h->ctype, "handle"), h->name);
    }
}

static void emit_function_table(struct emit *e)
{
    emit_line(e, "static const struct hira_server_function functions[] = {");
    for (size_t i = 0; i < e->model->n_functions; i++) {
        const struct lapis_function *f = e->model->functions[i];
        const char *serve = emit_carried(f) ? emit_format(e, "serve_%s", f->name) : "NULL";
        const char *pointer = has_vendor(f) ? emit_format(e, "(void *const *)&vendor.%s_", f->name) : "NULL";
        emit_line(e, "    {\"%s\", 0x%08x, %s, %s, %s, %s, %s},", f->name, emit_signature(e, f), serve, pointer,
                  f->extension ? "true" : "false", emit_gate_flags(f), emit_recorded(f));
    }
    emit_line(e, "};\n");
}

static const char *setting_or_null(const struct lapis_model *m, const char *name)
{
    const char *value = lapis_model_setting(m, name, 0);
    return value ? value : "NULL";
}

/* A NULL-terminated array of a setting's values. */
static void emit_strings(struct emit *e, const char *array, const char *setting)
{
    emit_line(e, "static const char *const %s[] = {", array);
    for (size_t n = 0; lapis_model_setting(e->model, setting, n); n++)
        emit_line(e, "    \"%s\",", lapis_model_setting(e->model, setting, n));
    emit_line(e, "    NULL,\n};\n");
}

void emit_server(struct emit *e)
{
    const struct lapis_model *m = e->model;
    emit_head(e, "The API server");
    emit_line(e, "#include \"api.h\"\n#include \"server/server.h\"\n");
    emit_vendor_table(e);
    emit_server_states(e);
    emit_values_function(e);
    if (lapis_model_setting(m, "hides", 0))
        emit_strings(e, "hidden", "hides");
    emit_code(e, &m->shared_code);
    emit_code(e, &m->server_code);
    emit_blank(e);
    const char *errors = emit_value_names(e);
    for (size_t i = 0; i < m->n_callbacks; i++)
        emit_trampoline(e, m->callbacks[i]);
    for (size_t i = 0; i < m->n_functions; i++)
        if (emit_carried(m->functions[i]))
            emit_serve(e, m->functions[i]);
    emit_type_hooks(e);
    emit_function_table(e);
    emit_strings(e, "environment", "server_environment");
    emit_strings(e, "guest_environment", "environment");
    emit_line(e, "const struct hira_server_api hira_server_api = {");
    emit_line(e, "    .name = \"%s\",", m->name);
    if (lapis_model_setting(m, "vendor", 0))
        emit_line(e, "    .vendor = \"%s\",", lapis_model_setting(m, "vendor", 0));
    emit_line(e, "    .functions = functions,\n    .n_functions = N_FUNCTIONS,\n    .types = types,\n    .n_types = N_TYPES,");
    bool states = false;
    for (size_t i = 0; i < m->n_handles; i++)
        states |= m->handles[i]->server_state.text != NULL;
    emit_line(e, "    .errors = %s,", errors);
    emit_line(e, "    .state_size = %s,\n    .n_callbacks = %zu,", states ? "sizeof(union any_state)" : "0", m->n_callbacks);
    emit_line(e, "    .extension = %s,", setting_or_null(m, "extension_getter"));
    emit_line(e, "    .warm = %s,\n    .describe = %s,", setting_or_null(m, "warm"), setting_or_null(m, "describe"));
    emit_line(e, "    .environment = environment,\n    .guest_environment = guest_environment,");
    if (lapis_model_setting(m, "vendor_choice", 1))
        emit_line(e, "    .vendor_choice = \"%s\",\n    .vendor_folder = \"%s\",", lapis_model_setting(m, "vendor_choice", 0),
                  lapis_model_setting(m, "vendor_choice", 1));
    if (lapis_model_setting(m, "gate", 0))
        emit_line(e, "    .gate = &%s,", lapis_model_setting(m, "gate", 0));
    if (lapis_model_setting(m, "vendor_cache", 0))
        emit_line(e, "    .cache = \"%s\",", lapis_model_setting(m, "vendor_cache", 0));
    emit_line(e, "};\n");
    emit_line(e, "int main(int argc, char **argv)\n{\n    return hira_server_main(argc, argv);\n}");
}
