/*
 * The guest library: one stub per function, over the seam src/guest/guest.h.
 *
 * A stub evaluates the lengths (the spec's expressions may call the API themselves), begins the call, puts the parameters
 * in order, sends, takes the results in the same order, and returns. A function with `guest replace` has its stub as
 * remote_NAME and the spec's code under its own name.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include <string.h>

#include "emit/private.h"

/* ---- lengths, before the call begins ---- */

static bool counted(const struct lapis_value *v)
{
    return (v->kind == LAPIS_V_BUFFER && !emit_is_new(v)) || (v->kind == LAPIS_V_STRING && v->count) || v->kind == LAPIS_V_LIST;
}

static bool plain_element(const struct lapis_value *v)
{
    return !v->element || v->element->kind == LAPIS_V_SCALAR || v->element->kind == LAPIS_V_TOKEN ||
           v->direction != LAPIS_IN; /* out records travel as bytes; their handles are turned afterwards */
}

static bool named_in_once(const struct lapis_function *f, const struct lapis_value *v)
{
    for (size_t i = 0; i < f->n_policies; i++)
        for (size_t k = 0; k < f->policies[i].n_once; k++)
            if (!strcmp(f->policies[i].once[k], v->name))
                return true;
    return false;
}

static void emit_length(struct emit *e, const struct lapis_value *v)
{
    bool inside = v->direction == LAPIS_IN && v->kind == LAPIS_V_BUFFER && !plain_element(v);
    if (!counted(v) || v->is_error || (inside && !named_in_once(e->function, v)))
        return;
    if (v->kind == LAPIS_V_LIST) {
        emit_line(e, "uint64_t bytes_%s = 0;", v->name);
        emit_line(e, "while (%s && %s[bytes_%s++] != %s)", v->name, v->name, v->name, v->terminator ? v->terminator : "0");
        emit_line(e, "    ;");
        return;
    }
    emit_line(e, "const uint64_t bytes_%s = %s;", v->name, emit_bytes(e, v, v->name, NULL));
    if (v->rows)
        emit_line(e, "const struct hira_rows rows_%s = hira_rows_of(%s, %s, %s, %s, %s, %s);", v->name, emit_guarded(e, v->rows[0]),
                  emit_guarded(e, v->rows[1]), emit_guarded(e, v->rows[2]), emit_guarded(e, v->rows[3]), emit_guarded(e, v->rows[4]),
                  emit_guarded(e, v->rows[5]));
}

/* ---- putting ---- */

static void put_value(struct emit *e, const struct lapis_value *v, const char *at, const struct lapis_value *record,
                      const char *record_at, unsigned depth);

static void put_record(struct emit *e, const struct lapis_value *v, const char *at, unsigned depth)
{
    for (size_t i = 0; i < v->n_fields; i++)
        if (!v->fields[i].discriminant)
            put_value(e, &v->fields[i], emit_format(e, "%s.%s", at, v->fields[i].name), v, at, depth + 1);
    for (size_t i = 0; i < v->n_fields; i++)
        if (v->fields[i].discriminant)
            put_value(e, &v->fields[i], emit_format(e, "%s.%s", at, v->fields[i].name), v, at, depth + 1);
}

/* Of a union the live member travels, behind what tells which one that is. */
static void put_union(struct emit *e, const struct lapis_value *v, const char *at, const struct lapis_value *record,
                      const char *record_at, unsigned depth)
{
    const char *which = emit_in_record(e, v->discriminant, record, record_at), *otherwise = "";
    for (size_t i = 0; i < v->n_fields; i++) {
        if (!v->fields[i].when)
            continue;
        emit_line(e, "%sif ((%s) == (%s)) {", otherwise, which, v->fields[i].when);
        e->indent++;
        put_value(e, &v->fields[i], emit_format(e, "%s.%s", at, v->fields[i].name), record, record_at, depth + 1);
        e->indent--;
        otherwise = "} else ";
    }
    if (*otherwise)
        emit_line(e, "}");
}

/* An array whose elements need care: its number of elements, then each. */
static void put_elements(struct emit *e, const struct lapis_value *v, const char *at, const char *count, unsigned depth)
{
    const char *i = depth ? emit_format(e, "index%u", depth) : "index";
    emit_line(e, "hira_put_word(&c, HIRA_MEM_WORD(%s ? HIRA_MEM_INLINE : HIRA_MEM_NULL, %s ? (uint64_t)(%s) : 0));", at, at, count);
    emit_line(e, "for (uint64_t %s = 0; %s && %s < (uint64_t)(%s); %s++) {", i, at, i, count, i);
    e->indent++;
    put_value(e, v->element, emit_format(e, "%s[%s]", at, i), NULL, NULL, depth + 1);
    e->indent--;
    emit_line(e, "}");
}

static void put_buffer(struct emit *e, const struct lapis_value *v, const char *at, const struct lapis_value *record,
                       const char *record_at, unsigned depth)
{
    const char *count = emit_in_record(e, v->count ? v->count : "1", record, record_at);
    const char *bytes = !depth ? emit_format(e, "bytes_%s", v->name) : emit_bytes(e, v, at, count);
    const char *payload = emit_is_payload(v) ? "true" : "false";
    if (v->rows && !depth)
        emit_line(e, "c.rows = rows_%s;", v->name);
    if (emit_is_new(v) && !depth)
        emit_line(e, "struct hira_object *new_%s = hira_put_new(&c, %s != NULL, %s);", v->name, at,
                  emit_type_id(e, v->element->handle));
    else if (v->element && v->element->kind == LAPIS_V_HANDLE && v->direction == LAPIS_IN)
        emit_line(e, "hira_put_handles(&c, %s, %s ? %s : 0, %s);", at, at, emit_guarded(e, count), emit_type_id(e, v->element->handle));
    else if (!plain_element(v))
        put_elements(e, v, at, emit_guarded(e, count), depth);
    else if (v->stream && v->direction != LAPIS_INOUT)
        emit_line(e, "hira_put_%s_stream(&c, %s%s, %s, %s);", v->direction == LAPIS_IN ? "in" : "out",
                  v->direction == LAPIS_IN ? "" : "(void *)", at, bytes, v->stream);
    else
        emit_line(e, "hira_put_%s(&c, %s%s, %s, %s);",
                  v->direction == LAPIS_IN ? "in" : v->direction == LAPIS_OUT ? "out" : "inout",
                  v->direction == LAPIS_IN ? "" : "(void *)", at, bytes, payload);
}

static void put_value(struct emit *e, const struct lapis_value *v, const char *at, const struct lapis_value *record,
                      const char *record_at, unsigned depth)
{
    switch (v->kind) {
    case LAPIS_V_SCALAR:
    case LAPIS_V_RECORD:
        if (v->discriminant)
            put_union(e, v, at, record, record_at, depth);
        else if (v->kind == LAPIS_V_RECORD)
            put_record(e, v, at, depth);
        else if (v->ctype->kind == LAPIS_FLOAT)
            emit_line(e, "hira_put_double(&c, %s);", at);
        else if (v->ctype->kind == LAPIS_INT)
            emit_line(e, "hira_put_word(&c, (uint64_t)%s);", at);
        else
            emit_line(e, "hira_put_bytes(&c, &%s, sizeof %s);", at, at);
        break;
    case LAPIS_V_HANDLE:
        emit_line(e, "hira_put_handle(&c, (const void *)(uintptr_t)%s, %s);", at, emit_type_id(e, v->handle));
        break;
    case LAPIS_V_BUFFER:
        if (!v->is_error)
            put_buffer(e, v, at, record, record_at, depth);
        break;
    case LAPIS_V_STRING:
        if (v->files)
            emit_line(e, "hira_put_options(&c, %s, \"%s\");", at, v->files);
        else if (v->count)
            emit_line(e, "hira_put_in(&c, %s, %s, false);", at,
                      depth ? emit_bytes(e, v, at, emit_in_record(e, v->count, record, record_at)) : emit_format(e, "bytes_%s", v->name));
        else
            emit_line(e, "hira_put_string(&c, %s);", at);
        break;
    case LAPIS_V_LIST:
        emit_line(e, "hira_put_in(&c, %s, bytes_%s * sizeof *%s, false);", at, v->name, at);
        break;
    case LAPIS_V_PROPERTIES:
        emit_line(e, "hira_put_properties(&c, %s, (uint64_t)(%s), %s, sizeof *%s);", at, v->terminator ? v->terminator : "0",
                  emit_has_keys(v) ? emit_format(e, "keys_%s_%s", e->function->name, v->name) : "NULL", at);
        break;
    case LAPIS_V_CALLBACK:
        emit_line(e, "hira_put_callback(&c, %u, (void (*)(void))%s, (const void *)%s);", v->callback->index, at, v->companion ? v->companion : "NULL");
        break;
    case LAPIS_V_TOKEN:
        emit_line(e, "hira_put_word(&c, (uint64_t)(uintptr_t)%s);", at);
        break;
    case LAPIS_V_USERDATA:
    case LAPIS_V_NOTHING:
    case LAPIS_V_UNSETTLED:
        break;
    }
}

/* ---- taking ---- */

static void take_out(struct emit *e, const struct lapis_value *v)
{
    const char *n = v->name, *store = v->always ? "true" : "ok";
    const struct lapis_value *el = v->element;
    if (v->kind != LAPIS_V_BUFFER || v->direction == LAPIS_IN || v->is_error || emit_is_new(v))
        return;
    if (el && el->kind == LAPIS_V_HANDLE) {
        emit_line(e, "hira_take_handles(&c, %s, bytes_%s / sizeof *%s, %s, %s, %s);", n, n, n, emit_type_id(e, el->handle),
                  el->allocates ? "true" : "false", store);
        return;
    }
    const bool turns = el && el->kind == LAPIS_V_RECORD && emit_holds_handles(el);
    emit_line(e, "%shira_take_out(&c, (void *)%s, bytes_%s, %s);", v->selector || turns ? emit_format(e, "const uint64_t valid_%s = ", n) : "", n, n,
              store);
    if (v->selector)
        emit_line(e, "if (%s && ok && values_type((uint64_t)%s))\n        hira_ids_to_handles(%s, valid_%s, values_type((uint64_t)%s));",
                  n, v->selector, n, n, v->selector);
    for (size_t i = 0; v->selector && i < e->function->n_answers; i++) {
        const struct lapis_answer *a = &e->function->answers[i];
        if (a->telling == LAPIS_TELL_REFERENCES)
            emit_line(e, "if (ok && %s && %s)\n        hira_add_references(%s, valid_%s, subject);", n, emit_asked(e, e->function, a), n, n);
        else if (a->telling == LAPIS_TELL_PROPERTIES)
            emit_line(e, "if (ok && %s && %s)\n        hira_properties_to_handles(%s, valid_%s, (uint64_t)(%s), %s);", n,
                      emit_asked(e, e->function, a), n, n, a->expr, emit_answer_keys(e, e->function, a));
    }
    if (!turns)
        return;
    emit_line(e, "for (uint64_t i = 0; %s && %s && i < valid_%s / sizeof *%s; i++) {", store, n, n, n);
    e->indent++;
    emit_turn_handles(e, el, emit_format(e, "%s[i]", n), "hira_ids_to_handles(&%s, 8, %s);", NULL, NULL);
    e->indent--;
    emit_line(e, "}");
}

/* What a returned string goes with: `lifetime(object, parameter)`, or the first parameter that is a handle. NULL: it stays. */
static const char *string_owner(struct emit *e, const struct lapis_function *f)
{
    for (size_t i = 0; f->ret.lifetime == LAPIS_LIFE_OBJECT && i < f->n_params; i++)
        if (f->params[i].kind == LAPIS_V_HANDLE && (!f->ret.until || !strcmp(f->ret.until, f->params[i].name)))
            return emit_format(e, "(const void *)(uintptr_t)%s", f->params[i].name);
    return "NULL";
}

static void take_result(struct emit *e, const struct lapis_function *f)
{
    const struct lapis_value *r = &f->ret;
    if (emit_is_void(r)) {
        emit_line(e, "hira_take_word(&c);");
        return;
    }
    const char *type = emit_type(e, r->ctype), *ret = lapis_ctype_declare(e->pool, r->ctype, "ret");
    if (r->kind == LAPIS_V_HANDLE && r->allocates)
        emit_line(e, "%s = hira_take_word(&c) ? (%s)new_ret : 0;", ret, type);
    else if (r->kind == LAPIS_V_HANDLE)
        emit_line(e, "%s = (%s)hira_take_handle(&c, %s, false);", ret, type, emit_type_id(e, r->handle));
    else if (r->kind == LAPIS_V_STRING)
        emit_line(e, "hira_take_word(&c);\n    %s = (%s)hira_take_string(&c, %s);", ret, type, string_owner(e, f));
    else if (r->ctype->kind == LAPIS_FLOAT)
        emit_line(e, "%s = (%s)hira_take_double(&c);", ret, type);
    else if (r->ctype->kind == LAPIS_STRUCT || r->ctype->kind == LAPIS_UNION)
        emit_line(e, "%s;\n    hira_take_word(&c);\n    hira_take_bytes(&c, &ret, sizeof ret);", ret);
    else
        emit_line(e, "%s = (%s)%shira_take_word(&c);", ret, type, r->ctype->kind == LAPIS_POINTER ? "(uintptr_t)" : "");
}

/* ---- how a call is carried ---- */

/* What goes into the key as a word is collected, and mixed in by one line. */
static void mix_word(struct hira_text *words, const char *word)
{
    hira_text_printf(words, "%s%s", words->size ? ", " : "", word);
}

static void mix_words(struct emit *e, struct hira_text *words)
{
    if (words->size)
        emit_line(e, "key = HIRA_MIX(key, %s);", words->data);
    words->size = 0;
}

static void mix_into_key(struct emit *e, const struct lapis_value *v, struct hira_text *words)
{
    if (v->kind == LAPIS_V_HANDLE)
        mix_word(words, emit_format(e, "hira_handle_key((const void *)(uintptr_t)%s)", v->name));
    else if (v->kind == LAPIS_V_SCALAR && v->ctype->kind == LAPIS_INT)
        mix_word(words, emit_format(e, "(uint64_t)%s", v->name));
    else if (v->kind == LAPIS_V_BUFFER && v->direction == LAPIS_IN && plain_element(v) && !emit_is_payload(v))
        emit_line(e, "key = hira_mix_bytes(key, %s, bytes_%s);", v->name, v->name);
    else if (v->kind == LAPIS_V_BUFFER && v->direction == LAPIS_IN && v->element && v->element->kind == LAPIS_V_HANDLE)
        emit_line(e, "key = hira_mix_handles(key, %s, %s ? %s : 0, %s);", v->name, v->name, emit_guarded(e, emit_in_record(e, v->count ? v->count : "1", NULL, NULL)),
                  v->element->handle->done.text ? "true" : "false");
    else if (v->ctype->kind == LAPIS_POINTER)
        mix_word(words, emit_format(e, "%s == NULL", v->name));
}

/* `once(all)` stands for every parameter: contents of small arrays, of other memory whether there is any. */
static void emit_once_key(struct emit *e, const struct lapis_function *f, const struct lapis_policy *p)
{
    struct hira_text words = {0};
    emit_line(e, "uint64_t key = hira_mix(F_%s + 1, %zu);", f->name, p->n_once);
    for (size_t k = 0; k < p->n_once; k++) {
        const struct lapis_value *v = NULL;
        for (size_t i = 0; i < f->n_params; i++) {
            if (!strcmp(p->once[k], "all"))
                mix_into_key(e, &f->params[i], &words);
            else if (!strcmp(f->params[i].name, p->once[k]))
                v = &f->params[i];
        }
        if (v)
            mix_into_key(e, v, &words);
        else if (strcmp(p->once[k], "all"))
            mix_word(&words, emit_format(e, "(uint64_t)(%s)", p->once[k]));
    }
    mix_words(e, &words);
    hira_text_fini(&words);
}

static bool may_be_async(const struct lapis_function *f)
{
    for (size_t i = 0; i < f->n_policies; i++)
        if (f->policies[i].mode == LAPIS_ASYNC)
            return true;
    return false;
}

static const struct lapis_policy *once_policy(const struct lapis_function *f)
{
    for (size_t i = 0; i < f->n_policies; i++)
        if (f->policies[i].n_once)
            return &f->policies[i];
    return NULL;
}

static const char *emit_how(struct emit *e, const struct lapis_function *f)
{
    const char *how = NULL, *until = emit_until_done(e, f);
    for (size_t i = f->n_policies; i-- > 0;) {
        const struct lapis_policy *p = &f->policies[i];
        const char *mode = p->mode == LAPIS_SYNC ? "HIRA_CALL_SYNC"
                           : p->n_once           ? "(hira_once_seen(key) ? HIRA_CALL_ASYNC : HIRA_CALL_QUIET)"
                                                 : "HIRA_CALL_ASYNC";
        how = p->condition && how ? emit_format(e, "(%s ? %s : %s)", p->condition, mode, how) : mode;
    }
    if (until)
        how = !strcmp(until, "true") ? emit_format(e, "%s | HIRA_CALL_UNTIL_DONE", how)
                                     : emit_format(e, "%s | (%s ? HIRA_CALL_UNTIL_DONE : 0)", how, until);
    if (f->order == LAPIS_ORDER_ALL || e->model->order_all)
        how = emit_format(e, "%s | HIRA_CALL_AFTER_ALL", how);
    else if (f->order == LAPIS_ORDER_CREATION)
        how = emit_format(e, "%s | HIRA_CALL_AFTER_CREATION", how);
    return how;
}

/* ---- results when nothing was carried ---- */

static const char *failure_of(const struct lapis_function *f)
{
    const struct lapis_value *error = emit_error_param(f);
    if (error)
        return error->error_failure ? error->error_failure : "-1";
    return f->failure ? f->failure : "0";
}

/* What the type of the error is: of the error parameter, of the result, or where that is no number, of nothing. */
static const char *error_type(struct emit *e, const struct lapis_function *f)
{
    const struct lapis_value *error = emit_error_param(f);
    return error ? emit_type(e, error->ctype->pointee) : !emit_is_void(&f->ret) && f->ret.ctype->kind == LAPIS_INT ? emit_type(e, f->ret.ctype) : "int";
}

/* The first function with the same `failed` code for the same type of error: its stub is preceded by what all of them call. */
static const struct lapis_function *failed_like(struct emit *e, const struct lapis_function *f)
{
    for (size_t i = 0; i < e->model->n_functions; i++) {
        const struct lapis_function *g = e->model->functions[i];
        if (g->failed.text == f->failed.text && !strcmp(error_type(e, g), error_type(e, f)))
            return g;
    }
    return f;
}

/* Code that is of the whole type goes by its name. */
static const char *failed_name(struct emit *e, const struct lapis_function *f)
{
    const char *type = error_type(e, f);
    for (size_t i = 0; i < e->model->n_functions; i++) {
        const struct lapis_function *g = e->model->functions[i];
        if (!g->failed.text || strcmp(error_type(e, g), type))
            continue;
        if (g->failed.text != f->failed.text)
            break;
        char *name = hira_pool_strdup(e->pool, type);
        for (char *p = name; *p; p++)
            *p = *p == ' ' ? '_' : *p;
        return emit_format(e, "failed_%s", name);
    }
    return emit_format(e, "failed_%s", failed_like(e, f)->name);
}

static void emit_failed(struct emit *e, const struct lapis_function *f)
{
    if (!f->failed.text || failed_like(e, f) != f)
        return;
    emit_line(e, "HIRA_UNUSED static %s %s(HIRA_UNUSED %s code)", error_type(e, f), failed_name(e, f), error_type(e, f));
    emit_line(e, "{");
    emit_code(e, &f->failed);
    emit_line(e, "    return code;");
    emit_line(e, "}");
    emit_blank(e);
}

/* The code of an error that is decided here. */
static const char *decided(struct emit *e, const struct lapis_function *f, const char *code)
{
    return f->failed.text ? emit_format(e, "%s(%s)", failed_name(e, f), code) : code;
}

/* Leaves the stub with an error code: through the error parameter, or as the result. */
static void emit_leave(struct emit *e, const struct lapis_function *f, const char *code)
{
    const struct lapis_value *error = emit_error_param(f), *r = &f->ret;
    bool told = error || (!emit_is_void(r) && r->ctype->kind == LAPIS_INT && r->kind != LAPIS_V_HANDLE && r->kind != LAPIS_V_STRING &&
                          r->kind != LAPIS_V_TOKEN);
    if (f->failed.text && error) {
        emit_line(e, "const %s failed = %s;", error_type(e, f), decided(e, f, code));
        code = "failed";
    } else if (f->failed.text && told) {
        code = decided(e, f, code);
    } else if (f->failed.text) {
        emit_line(e, "%s;", decided(e, f, "0"));
    }
    if (error) {
        const char *type = emit_type(e, error->ctype->pointee);
        emit_line(e, "if (%s) *%s = (%s)%s;", error->name, error->name, type, code);
    }
    if (emit_is_void(r))
        emit_line(e, "return;");
    else if (error || r->kind == LAPIS_V_HANDLE || r->kind == LAPIS_V_STRING || r->kind == LAPIS_V_TOKEN)
        emit_line(e, "return %s;", f->failure && !error ? f->failure : "0");
    else if (r->ctype->kind == LAPIS_INT)
        emit_line(e, "return (%s)%s;", emit_type(e, r->ctype), code);
    else
        emit_line(e, "return failure;");
}

/* Returns what the API has for a failure, unless this holds. */
static void emit_unless(struct emit *e, const struct lapis_function *f, const char *holds)
{
    bool plain = emit_is_void(&f->ret) || ((f->ret.kind == LAPIS_V_HANDLE || f->ret.ctype->kind != LAPIS_INT) && !emit_error_param(f));
    bool one = !emit_error_param(f) && !f->failed.text;
    if (one && !emit_is_void(&f->ret) && f->ret.ctype->kind == LAPIS_INT && !plain) {
        emit_line(e, "if (!%s) return (%s)declined(&c, %s);", holds, emit_type(e, f->ret.ctype), failure_of(f));
        return;
    }
    emit_line(e, "if (!%s)%s", holds, one ? "" : " {");
    e->indent++;
    emit_leave(e, f, plain ? "0" : emit_format(e, "declined(&c, %s)", failure_of(f)));
    e->indent--;
    if (!one)
        emit_line(e, "}");
}

/* Whether it has memory that may be large and comes behind the reply. */
static bool brings_memory(const struct lapis_function *f)
{
    for (size_t i = 0; i < f->n_params; i++)
        if (f->params[i].kind == LAPIS_V_BUFFER && f->params[i].direction == LAPIS_OUT && !f->params[i].is_error && !emit_is_new(&f->params[i]))
            return true;
    return false;
}

/* ---- cached answers ---- */

static bool caches(const struct lapis_function *f)
{
    const struct lapis_value *size = NULL;
    return f->cached && lapis_query_value(f, &size) && size && f->params[0].kind == LAPIS_V_HANDLE;
}

/* Answers that the guest knows. One that does not fit the room is the vendor's to refuse. */
static void emit_known(struct emit *e, const struct lapis_function *f)
{
    const struct lapis_value *size = NULL, *v = lapis_query_value(f, &size);
    for (size_t i = 0; i < f->n_answers; i++) {
        const struct lapis_answer *a = &f->answers[i];
        if (a->telling != LAPIS_TELL_KNOWN)
            continue;
        const char *room = emit_format(e, "%s, bytes_%s, %s", v->name, v->name, size->name);
        emit_line(e, "if (%s && (%s) &&", emit_asked(e, f, a), a->condition);
        if (a->bytes)
            emit_line(e, "    hira_answer(%s, %s, %s))", a->expr, a->bytes, room);
        else
            emit_line(e, "    HIRA_ANSWER(%s, %s))", a->expr, room);
        emit_line(e, "    return %s;", f->success_value ? f->success_value : "0");
    }
}

static bool has_subject(const struct lapis_function *f)
{
    bool named = f->guest_after.text != NULL;
    for (size_t i = 0; i < f->n_answers; i++)
        named |= f->answers[i].telling == LAPIS_TELL_REFERENCES;
    return named && f->n_params && f->params[0].kind == LAPIS_V_HANDLE;
}

static void emit_cache_test(struct emit *e, const struct lapis_function *f, const struct lapis_value *v)
{
    emit_line(e, "uint64_t asked = 0;");
    for (size_t i = 1; i < f->n_params; i++)
        if (f->params[i].kind == LAPIS_V_HANDLE)
            emit_line(e, "asked = hira_mix(asked, hira_handle_key(%s));", f->params[i].name);
    struct hira_text test = {0};
    for (size_t k = 0; k < f->n_cache_keys; k++)
        hira_text_printf(&test, "%s%s == %s", k ? " || " : "(", v->selector, f->cache_keys[k]);
    if (f->n_cache_keys)
        hira_text_puts(&test, ")");
    for (size_t k = 0; k < f->n_changing; k++)
        hira_text_printf(&test, "%s%s != %s", test.size ? " && " : "", v->selector, f->changing[k]);
    emit_line(e, "const bool constant = %s;", test.size ? test.data : "true");
    hira_text_fini(&test);
}

static void emit_cache_get(struct emit *e, const struct lapis_function *f)
{
    const struct lapis_value *size = NULL, *v = lapis_query_value(f, &size);
    emit_cache_test(e, f, v);
    emit_line(e, "const struct hira_answer *known = constant ? hira_cache_get(F_%s, %s, (uint64_t)%s, asked) : NULL;", f->name,
              f->params[0].name, v->selector);
    emit_line(e, "if (known && (!%s || bytes_%s >= known->size)) {", v->name, v->name);
    emit_line(e, "    if (%s)\n            memcpy(%s, known->data, known->size);", v->name, v->name);
    emit_line(e, "    if (%s)\n            *%s = known->size;", size->name, size->name);
    emit_line(e, "    return %s;", f->success_value ? f->success_value : "0");
    emit_line(e, "}");
}

static void emit_cache_put(struct emit *e, const struct lapis_function *f)
{
    const struct lapis_value *size = NULL, *v = lapis_query_value(f, &size);
    emit_line(e, "if (ok && constant && %s)\n        hira_cache_put(F_%s, %s, (uint64_t)%s, asked, 0, %s, valid_%s);", v->name, f->name,
              f->params[0].name, v->selector, v->name, v->name);
}

/* ---- stubs ---- */

/* Objects that the call ends. */
static void emit_ended(struct emit *e, const struct lapis_function *f, const char *when)
{
    for (size_t i = 0; i < f->n_params; i++)
        if (f->params[i].kind == LAPIS_V_HANDLE && f->params[i].deallocates)
            emit_line(e, "%shira_object_release((const void *)(uintptr_t)%s, %s);", when, f->params[i].name,
                      emit_type_id(e, f->params[i].handle));
}

/* ---- what pends ---- */

static bool pends(const struct lapis_value *v)
{
    return v->kind == LAPIS_V_HANDLE && v->handle->pends && !v->allocates && !v->deallocates;
}

/* Says of each object that the call names that something may be pending in it now. Only once the record is published: one that
 * another thread drains meanwhile must not look drained of it. */
static void emit_pends(struct emit *e, const struct lapis_function *f)
{
    for (size_t i = 0; i < f->n_params && !f->idle && !f->drains; i++) {
        const struct lapis_value *v = &f->params[i];
        if (pends(v))
            emit_line(e, "hira_object_pend((const void *)(uintptr_t)%s);", v->name);
        else if (v->kind == LAPIS_V_BUFFER && v->element && v->direction == LAPIS_IN && pends(v->element))
            emit_line(e, "for (uint64_t i = 0; %s && i < (uint64_t)(%s); i++)\n        hira_object_pend(%s[i]);", v->name, v->count, v->name);
    }
}

static void emit_drained(struct emit *e, const struct lapis_function *f)
{
    const char *name = f->params[f->drains - 1].name;
    emit_line(e, "if (ok%s%s%s)\n        hira_object_drained(%s, pended);\n    else\n        hira_object_pend(%s);", f->drains_when ? " && (" : "",
              f->drains_when ? f->drains_when : "", f->drains_when ? ")" : "", name, name);
}

static void emit_async_return(struct emit *e, const struct lapis_function *f)
{
    const struct lapis_value *error = emit_error_param(f);
    emit_line(e, "if (c.async) {");
    e->indent++;
    if (f->drains)
        emit_line(e, "hira_object_pend(%s);", f->params[f->drains - 1].name);
    emit_ended(e, f, "");
    for (size_t i = 0; i < f->n_params; i++)
        if (emit_is_new(&f->params[i]))
            emit_line(e, "if (%s) *%s = (%s)new_%s;", f->params[i].name, f->params[i].name,
                      emit_type(e, f->params[i].ctype->pointee), f->params[i].name);
    if (error)
        emit_line(e, "if (%s) *%s = %s;", error->name, error->name, error->error_success ? error->error_success : "0");
    if (f->ret.kind == LAPIS_V_HANDLE && f->ret.allocates)
        emit_line(e, "return (%s)new_ret;", emit_type(e, f->ret.ctype));
    else
        emit_line(e, emit_is_void(&f->ret) ? "return;" : "return %s;", f->success_value ? f->success_value : "0");
    e->indent--;
    emit_line(e, "}");
}

static void emit_results(struct emit *e, const struct lapis_function *f)
{
    const struct lapis_value *error = emit_error_param(f);
    take_result(e, f);
    if (error) {
        const char *type = emit_type(e, error->ctype->pointee);
        emit_line(e, "const %s error = (%s)hira_take_word(&c);", type, type);
        emit_line(e, "if (%s) *%s = error;", error->name, error->name);
    }
    emit_line(e, "const bool ok = %s;", emit_success(e, f, "error"));
    if (has_subject(f))
        emit_line(e, "HIRA_UNUSED const void *const subject = (const void *)(uintptr_t)%s;", f->params[0].name);
    for (size_t i = 0; i < f->n_params; i++)
        take_out(e, &f->params[i]);
    if (brings_memory(f))
        emit_unless(e, f, "hira_call_whole(&c)");
    for (size_t i = 0; i < f->n_params; i++)
        if (emit_is_new(&f->params[i]))
            emit_line(e, "if (ok && %s) *%s = (%s)new_%s;", f->params[i].name, f->params[i].name,
                      emit_type(e, f->params[i].ctype->pointee), f->params[i].name);
    emit_line(e, "hira_call_end(&c, ok);");
    if (f->drains)
        emit_drained(e, f);
    emit_ended(e, f, "if (ok)\n        ");
    if (once_policy(f))
        emit_line(e, "if (ok) hira_once_add(key);");
    if (caches(f))
        emit_cache_put(e, f);
    if (f->guest_after.text) {
        emit_line(e, "{");
        emit_code(e, &f->guest_after);
        emit_line(e, "}");
    }
    if (!emit_is_void(&f->ret))
        emit_line(e, "return ret;");
}

static bool needs_failure_value(const struct lapis_function *f)
{
    const struct lapis_value *r = &f->ret;
    return !emit_is_void(r) && !emit_error_param(f) && r->kind != LAPIS_V_HANDLE && r->kind != LAPIS_V_STRING &&
           r->kind != LAPIS_V_TOKEN && r->ctype->kind != LAPIS_INT;
}

static void emit_stub_body(struct emit *e, const struct lapis_function *f)
{
    const struct lapis_policy *once = once_policy(f);
    emit_line(e, "struct hira_call c;");
    if (needs_failure_value(f))
        emit_line(e, "const %s = {0};", lapis_ctype_declare(e->pool, f->ret.ctype, "failure"));
    for (size_t i = lapis_declared_params(f); i < f->n_params; i++)
        emit_line(e, "const uint64_t %s = (uint64_t)(%s);", f->params[i].name, f->params[i].implicit);
    for (size_t i = 0; i < f->n_fails; i++) {
        emit_line(e, "if (%s) {", f->fails[i].condition);
        e->indent++;
        emit_leave(e, f, emit_format(e, "(%s)", f->fails[i].code));
        e->indent--;
        emit_line(e, "}");
    }
    if (f->guest_before.text)
        emit_code(e, &f->guest_before);
    for (size_t i = 0; i < f->n_params; i++)
        emit_length(e, &f->params[i]);
    emit_known(e, f);
    if (caches(f))
        emit_cache_get(e, f);
    if (once)
        emit_once_key(e, f, once);
    if (f->drains)
        emit_line(e, "const uint32_t pended = hira_object_pended(%s);", f->params[f->drains - 1].name);
    emit_line(e, "hira_call_begin(&c, F_%s, %s);", f->name, emit_how(e, f));
    for (size_t i = 0; i < f->n_params; i++)
        put_value(e, &f->params[i], f->params[i].name, NULL, NULL, 0);
    if (f->ret.kind == LAPIS_V_HANDLE && f->ret.allocates)
        emit_line(e, "struct hira_object *new_ret = hira_put_new(&c, true, %s);", emit_type_id(e, f->ret.handle));
    emit_unless(e, f, "hira_call_send(&c)");
    emit_pends(e, f);
    if (may_be_async(f))
        emit_async_return(e, f);
    emit_results(e, f);
}

/* The reference counting verbs: counts are kept in the guest. */
static void emit_counting(struct emit *e, const struct lapis_function *f)
{
    const struct lapis_value *p = &f->params[0];
    const char *call = emit_format(e, "hira_object_%s(%s, %s)", f->retains ? "retain" : "release", p->name, emit_type_id(e, p->handle));
    const char *success = f->success_value ? f->success_value : "0";
    if (emit_is_void(&f->ret))
        emit_line(e, "%s;", call);
    else
        emit_line(e, "return %s ? %s : %s;", call, success,
                  decided(e, f, p->handle->invalid ? p->handle->invalid : f->failure ? f->failure : "0"));
}

static void emit_unused(struct emit *e, const struct lapis_function *f)
{
    const char *casts = "";
    for (size_t i = 0; i < lapis_declared_params(f); i++)
        casts = emit_format(e, "%s%s(void)%s", casts, i ? ", " : "", f->params[i].name);
    if (*casts)
        emit_line(e, "%s;", casts);
}

static void emit_unsupported(struct emit *e, const struct lapis_function *f)
{
    const struct lapis_value *error = emit_error_param(f);
    const char *code = f->unsupported_code ? f->unsupported_code : failure_of(f);
    emit_unused(e, f);
    if (f->n_params && f->params[0].kind == LAPIS_V_HANDLE && f->params[0].handle->invalid &&
        (error || (!emit_is_void(&f->ret) && f->ret.ctype->kind == LAPIS_INT)))
        code = emit_format(e, "hira_object(%s, %s) ? %s : %s", f->params[0].name, emit_type_id(e, f->params[0].handle), code,
                           f->params[0].handle->invalid);
    if (f->failed.text && (error || (!emit_is_void(&f->ret) && f->ret.ctype->kind == LAPIS_INT)))
        code = decided(e, f, code);
    if (error)
        emit_line(e, "const %s failed = %s;\n    if (%s) *%s = failed;", error_type(e, f), code, error->name, error->name);
    if (!emit_is_void(&f->ret))
        emit_line(e, "return %s;", error || f->ret.ctype->kind != LAPIS_INT ? "0" : code);
}

static void emit_function(struct emit *e, const struct lapis_function *f)
{
    const char *place = f->loc.line ? emit_format(e, "%s:%u", f->header ? f->header : f->loc.file, f->loc.line) : "";
    const char *spec = f->spec_loc.line ? emit_format(e, "; %s:%u", f->spec_loc.file, f->spec_loc.line) : "";
    bool replaced = f->guest_replace.text != NULL;
    bool visible = !f->internal && f->exported;
    e->function = f;
    emit_failed(e, f);
    emit_line(e, "/* %s%s */", place, spec);
    for (size_t i = 0; i < f->n_params; i++)
        if (emit_has_keys(&f->params[i]) && emit_carried(f))
            emit_keys_function(e, f, &f->params[i]);
    if (emit_carried(f))
        emit_answer_functions(e, f);
    if (emit_carried(f) || !replaced) {
        if (f->internal || replaced)
            emit_line(e, "HIRA_UNUSED static %s", emit_prototype(e, f, replaced ? emit_format(e, "remote_%s", f->name) : f->name));
        else
            emit_line(e, "%s%s", visible ? "HIRA_PUBLIC " : "", emit_prototype(e, f, f->name));
        emit_line(e, "{");
        e->indent++;
        if (f->unsupported)
            emit_unsupported(e, f);
        else if (f->retains || f->releases)
            emit_counting(e, f);
        else
            emit_stub_body(e, f);
        e->indent--;
        emit_line(e, "}");
        emit_blank(e);
    }
    if (replaced) {
        emit_line(e, "%s%s", visible ? "HIRA_PUBLIC " : f->internal ? "static " : "", emit_prototype(e, f, f->name));
        emit_line(e, "{");
        emit_code(e, &f->guest_replace);
        emit_line(e, "}");
        emit_blank(e);
    }
}

/* ---- callbacks ---- */

static void emit_upcall_arg(struct emit *e, const struct lapis_value *a)
{
    const char *type = a->ctype->kind == LAPIS_ARRAY ? "void *" : emit_type(e, a->ctype);
    switch (a->kind) {
    case LAPIS_V_HANDLE:
        emit_line(e, "%s = (%s)hira_up_handle(u, %s);", lapis_ctype_declare(e->pool, a->ctype, a->name), type, emit_type_id(e, a->handle));
        break;
    case LAPIS_V_USERDATA:
    case LAPIS_V_NOTHING:
        break;
    case LAPIS_V_STRING:
    case LAPIS_V_BUFFER:
        emit_line(e, "uint64_t bytes_%s;", a->name);
        emit_line(e, "%s = (%s)hira_up_memory(u, &bytes_%s);",
                  a->ctype->kind == LAPIS_ARRAY ? lapis_ctype_declare(e->pool, a->ctype->pointee, emit_format(e, "*%s", a->name))
                                                : lapis_ctype_declare(e->pool, a->ctype, a->name),
                  type, a->name);
        break;
    default:
        if (a->ctype->kind == LAPIS_STRUCT || a->ctype->kind == LAPIS_UNION) {
            emit_line(e, "%s;\n    hira_up_bytes(u, &%s, sizeof %s);", lapis_ctype_declare(e->pool, a->ctype, a->name), a->name, a->name);
            emit_turn_handles(e, a, a->name, "hira_ids_to_handles(&%s, 8, %s);", NULL, NULL);
            break;
        }
        emit_line(e, "%s = (%s)%shira_up_%s(u);", lapis_ctype_declare(e->pool, a->ctype, a->name), type,
                  a->ctype->kind == LAPIS_POINTER ? "(uintptr_t)" : "", a->ctype->kind == LAPIS_FLOAT ? "double" : "word");
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

static void emit_upcall(struct emit *e, const struct lapis_callback *cb)
{
    struct hira_text args = {0};
    bool returns = cb->ret.ctype && cb->ret.ctype->kind != LAPIS_VOID;
    emit_line(e, "static void up_%s(struct hira_upcall *u)", up_name(e, cb));
    emit_line(e, "{");
    e->indent++;
    emit_line(e, "void (*function)(void) = (void (*)(void))(uintptr_t)hira_up_word(u);");
    emit_line(e, "HIRA_UNUSED void *cookie = (void *)(uintptr_t)hira_up_word(u);");
    for (size_t i = 0; i < cb->n_args; i++) {
        const struct lapis_value *a = &cb->args[i];
        emit_upcall_arg(e, a);
        hira_text_printf(&args, "%s%s", i ? ", " : "", a->kind == LAPIS_V_USERDATA ? "cookie" : a->kind == LAPIS_V_NOTHING ? "0" : a->name);
    }
    const char *cast = emit_type(e, cb->ctype);
    emit_line(e, "if (u->bad || !function)\n        return;");
    const struct lapis_ctype *ret = cb->ret.ctype;
    const char *result = !returns                                                     ? ""
                         : ret->kind == LAPIS_STRUCT || ret->kind == LAPIS_UNION ? lapis_ctype_declare(e->pool, ret, "result = ")
                         : ret->kind == LAPIS_FLOAT                                ? "const double result = "
                         : ret->kind == LAPIS_POINTER                              ? "const uint64_t result = (uint64_t)(uintptr_t)"
                                                                                     : "const uint64_t result = (uint64_t)";
    emit_line(e, "%s((%s)function)(%s);", result, cast, args.data ? args.data : "");
    if (returns && (ret->kind == LAPIS_STRUCT || ret->kind == LAPIS_UNION))
        emit_line(e, "_Static_assert(sizeof result <= HIRA_UP_RESULT_WORDS * 8, \"a result of %s\");", cb->name);
    if (returns)
        emit_line(e, "hira_up_result(u, &result, sizeof result);");
    e->indent--;
    emit_line(e, "}");
    emit_blank(e);
    hira_text_fini(&args);
}

/* ---- tables ---- */

static void emit_invalid_codes(struct emit *e)
{
    emit_line(e, "/* What a call that could not be carried returns. */");
    emit_line(e, "HIRA_UNUSED static int64_t declined(const struct hira_call *c, int64_t failure)");
    emit_line(e, "{");
    emit_line(e, "    if (c->status == HIRA_REPLY_POISONED)");
    emit_line(e, "        return c->code;");
    emit_line(e, "    switch (c->status == HIRA_REPLY_INVALID ? c->invalid : 0) {");
    for (size_t i = 0; i < e->model->n_handles; i++)
        if (e->model->handles[i]->invalid)
            emit_line(e, "    case T_%s:\n        return %s;", e->model->handles[i]->name, e->model->handles[i]->invalid);
    emit_line(e, "    default:\n        return failure;");
    emit_line(e, "    }");
    emit_line(e, "}");
    emit_blank(e);
}

static bool has_state(const struct lapis_handle *h)
{
    return h->guest_state.text || h->mapped;
}

static void emit_states(struct emit *e)
{
    const struct lapis_model *m = e->model;
    emit_line(e, "union any_state {");
    emit_line(e, "    char none;");
    for (size_t i = 0; i < m->n_handles; i++)
        if (has_state(m->handles[i]))
            emit_line(e, "    struct %s_state %s;", m->handles[i]->name, m->handles[i]->name);
    emit_line(e, "};");
    emit_blank(e);
}

static void emit_state_structs(struct emit *e)
{
    for (size_t i = 0; i < e->model->n_handles; i++) {
        const struct lapis_handle *h = e->model->handles[i];
        if (!has_state(h))
            continue;
        emit_line(e, "struct %s_state {", h->name);
        emit_code(e, &h->guest_state);
        if (h->mapped)
            emit_line(e, "    struct hira_host host;");
        emit_line(e, "};");
        emit_line(e, "HIRA_UNUSED static struct %s_state *state_%s(%s)", h->name, h->name, lapis_ctype_declare(e->pool, h->ctype, "handle"));
        emit_line(e, "{\n    return hira_state((const void *)(uintptr_t)handle, T_%s);\n}", h->name);
        emit_blank(e);
    }
}

static void emit_destroys(struct emit *e)
{
    for (size_t i = 0; i < e->model->n_handles; i++) {
        const struct lapis_handle *h = e->model->handles[i];
        if (!h->guest_destroy.text && !h->mapped)
            continue;
        emit_line(e, "static void destroy_%s(void *object_, void *state_)", h->name);
        emit_line(e, "{");
        emit_line(e, "    HIRA_UNUSED %s = object_;", lapis_ctype_declare(e->pool, h->ctype, "object"));
        if (has_state(h))
            emit_line(e, "    HIRA_UNUSED struct %s_state *state = state_;", h->name);
        else
            emit_line(e, "    (void)state_;");
        emit_code(e, &h->guest_destroy);
        if (h->mapped)
            emit_line(e, "    hira_host_fini(&state->host);");
        emit_line(e, "}");
        emit_blank(e);
    }
}

static void emit_types(struct emit *e)
{
    emit_line(e, "static const struct hira_guest_type types[] = {");
    emit_line(e, "    {0},");
    for (size_t i = 0; i < e->model->n_handles; i++) {
        const struct lapis_handle *h = e->model->handles[i];
        emit_line(e, "    {\"%s\", %s, %s, %s},", h->name, h->immutable ? "true" : "false", h->release ? "true" : "false",
                  h->guest_destroy.text || h->mapped ? emit_format(e, "destroy_%s", h->name) : "NULL");
    }
    emit_line(e, "};");
    emit_blank(e);
}

static void emit_functions_table(struct emit *e)
{
    emit_line(e, "static const struct hira_function_info functions[] = {");
    for (size_t i = 0; i < e->model->n_functions; i++)
        emit_line(e, "    {\"%s\", 0x%08x},", e->model->functions[i]->name, emit_signature(e, e->model->functions[i]));
    emit_line(e, "};");
    emit_blank(e);
}

static void emit_dispatch(struct emit *e)
{
    const struct lapis_table *t = e->model->dispatch;
    if (!t)
        return;
    emit_line(e, "static const struct %s dispatch = {", t->name + (strncmp(t->name, "struct ", 7) ? 0 : 7));
    for (size_t i = 0; i < t->n_slots; i++)
        if (lapis_model_function(e->model, t->slots[i]))
            emit_line(e, "    .%s = (void *)%s,", t->slots[i], t->slots[i]);
    emit_line(e, "};");
    emit_blank(e);
}

/* What a getter hands out by name: extension functions; without an object to ask for, only those exported as well. */
static void emit_addresses(struct emit *e)
{
    emit_line(e, "HIRA_UNUSED static void *address_of(const char *name, bool exported_only)");
    emit_line(e, "{");
    emit_line(e, "    static const struct {");
    emit_line(e, "        const char *name;\n        void *address;\n        bool exported;\n    } table[] = {");
    for (size_t i = 0; i < e->model->n_functions; i++) {
        const struct lapis_function *f = e->model->functions[i];
        if (f->extension)
            emit_line(e, "        {\"%s\", (void *)%s, %s},", f->name, f->name, f->exported ? "true" : "false");
    }
    emit_line(e, "        {NULL, NULL, false},");
    emit_line(e, "    };");
    emit_line(e, "    for (size_t i = 0; name && table[i].name; i++)");
    emit_line(e, "        if (!strcmp(table[i].name, name) && (table[i].exported || !exported_only))");
    emit_line(e, "            return table[i].address;");
    emit_line(e, "    return NULL;");
    emit_line(e, "}");
    emit_blank(e);
}

static void emit_tables(struct emit *e)
{
    const struct lapis_model *m = e->model;
    emit_states(e);
    emit_destroys(e);
    for (size_t i = 0; i < m->n_callbacks; i++)
        emit_upcall(e, m->callbacks[i]);
    emit_line(e, "static void (*const upcalls[])(struct hira_upcall *) = {");
    for (size_t i = 0; i < m->n_callbacks; i++)
        emit_line(e, "    up_%s,", up_name(e, m->callbacks[i]));
    if (!m->n_callbacks)
        emit_line(e, "    NULL,");
    emit_line(e, "};");
    emit_blank(e);
    emit_types(e);
    emit_functions_table(e);
    emit_dispatch(e);
    emit_line(e, "static const char *const environment[] = {");
    for (size_t n = 0; lapis_model_setting(m, "environment", n); n++)
        emit_line(e, "    \"%s\",", lapis_model_setting(m, "environment", n));
    emit_line(e, "    NULL,");
    emit_line(e, "};");
    emit_blank(e);
    emit_line(e, "const struct hira_guest_api hira_guest_api = {");
    emit_line(e, "    .name = \"%s\",", m->name);
    emit_line(e, "    .functions = functions,");
    emit_line(e, "    .n_functions = N_FUNCTIONS,");
    emit_line(e, "    .types = types,");
    emit_line(e, "    .n_types = N_TYPES,");
    emit_line(e, "    .state_size = sizeof(union any_state),");
    emit_line(e, "    .dispatch = %s,", m->dispatch ? "&dispatch" : "NULL");
    emit_line(e, "    .upcalls = upcalls,");
    emit_line(e, "    .n_upcalls = %zu,", m->n_callbacks);
    emit_line(e, "    .environment = environment,");
    emit_line(e, "};");
}

/* Forward declarations, so that the spec's code may call everything whatever its order. */
static void emit_declarations(struct emit *e)
{
    for (size_t i = 0; i < e->model->n_functions; i++) {
        const struct lapis_function *f = e->model->functions[i];
        e->function = f;
        if (f->internal)
            emit_line(e, "HIRA_UNUSED static %s;", emit_prototype(e, f, f->name));
        else if (f->extension || !f->exported)
            emit_line(e, "%s;", emit_prototype(e, f, f->name));
        if (f->guest_replace.text && emit_carried(f))
            emit_line(e, "HIRA_UNUSED static %s;", emit_prototype(e, f, emit_format(e, "remote_%s", f->name)));
    }
    emit_line(e, "static void *address_of(const char *name, bool exported_only);");
    emit_blank(e);
}

void emit_guest(struct emit *e)
{
    const struct lapis_model *m = e->model;
    emit_head(e, "The guest library");
    emit_line(e, "#include \"api.h\"");
    emit_line(e, "#include \"guest/guest.h\"");
    emit_blank(e);
    emit_line(e, "#define HIRA_PUBLIC __attribute__((visibility(\"default\")))");
    emit_blank(e);
    emit_declarations(e);
    emit_state_structs(e);
    emit_values_function(e);
    emit_invalid_codes(e);
    emit_code(e, &m->shared_code);
    emit_code(e, &m->guest_code);
    emit_blank(e);
    for (size_t i = 0; i < m->n_functions; i++)
        emit_function(e, m->functions[i]);
    emit_addresses(e);
    emit_tables(e);
}
