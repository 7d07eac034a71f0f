/*
 * The fuzz harness: what src/server/fuzz.h needs to know of one API.
 *
 * A vendor whose functions compute nothing, but read every byte that they are given, write every byte that they may, and take
 * handles only of the right type that are still alive: so a sanitizer sees each length or life that the server got wrong. The
 * lengths are those of the spec's expressions, over the arguments that arrived. And for each record the kinds of its arguments,
 * for a mutator that keeps records mostly valid.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include <string.h>

#include "emit/private.h"

static bool stubbed(const struct lapis_function *f)
{
    return !f->internal && !f->variadic;
}

/* ---- the vendor ---- */

static void touch(struct emit *e, const struct lapis_value *v, const char *at, const struct lapis_value *record, const char *record_at,
                  unsigned depth);

static void touch_fields(struct emit *e, const struct lapis_value *v, const char *at, const struct lapis_value *record, const char *record_at,
                         unsigned depth)
{
    if (v->discriminant) {
        const char *which = emit_in_record(e, v->discriminant, record, record_at);
        for (size_t i = 0; i < v->n_fields; i++)
            if (v->fields[i].when) {
                emit_line(e, "if ((%s) == (%s)) {", which, v->fields[i].when);
                e->indent++;
                touch(e, &v->fields[i], emit_format(e, "%s.%s", at, v->fields[i].name), record, record_at, depth);
                e->indent--;
                emit_line(e, "}");
            }
        return;
    }
    for (size_t i = 0; i < v->n_fields; i++)
        touch(e, &v->fields[i], emit_format(e, "%s.%s", at, v->fields[i].name), v, at, depth);
}

static void touch_elements(struct emit *e, const struct lapis_value *v, const char *at, const char *count, unsigned depth)
{
    const char *i = depth ? emit_format(e, "index%u", depth) : "index";
    const struct lapis_value *element = v->element;
    if (!element || element->kind == LAPIS_V_SCALAR || element->kind == LAPIS_V_TOKEN || element->kind == LAPIS_V_NOTHING)
        return;
    emit_line(e, "for (uint64_t %s = 0; %s && %s < (uint64_t)(%s); %s++) {", i, at, i, emit_guarded(e, count), i);
    e->indent++;
    touch(e, element, emit_format(e, "%s[%s]", at, i), NULL, NULL, depth + 1);
    e->indent--;
    emit_line(e, "}");
}

static void touch_in(struct emit *e, const struct lapis_value *v, const char *at, const struct lapis_value *record, const char *record_at,
                     unsigned depth)
{
    const char *count = emit_in_record(e, v->count ? v->count : "1", record, record_at);
    emit_line(e, "hira_fuzz_read(%s, %s);", at, depth || record ? emit_bytes(e, v, at, count) : emit_format(e, "bytes_%s", v->name));
    if (!v->unit_bytes && v->ctype->pointee && v->ctype->pointee->kind != LAPIS_VOID)
        touch_elements(e, v, at, count, depth);
}

/* What the vendor does with a value that it is given. */
static void touch(struct emit *e, const struct lapis_value *v, const char *at, const struct lapis_value *record, const char *record_at,
                  unsigned depth)
{
    const char *end = v->terminator ? v->terminator : "0";
    switch (v->kind) {
    case LAPIS_V_HANDLE:
        emit_line(e, "hira_fuzz_use((const void *)(uintptr_t)%s, %s);", at, emit_type_id(e, v->handle));
        break;
    case LAPIS_V_BUFFER:
        if (v->direction == LAPIS_IN)
            touch_in(e, v, at, record, record_at, depth);
        break;
    case LAPIS_V_STRING:
        if (v->direction != LAPIS_IN)
            break;
        if (v->count && !depth && !record)
            emit_line(e, "hira_fuzz_read(%s, bytes_%s);", at, v->name);
        else if (v->count)
            emit_line(e, "hira_fuzz_read(%s, %s);", at, emit_bytes(e, v, at, emit_in_record(e, v->count, record, record_at)));
        else
            emit_line(e, "hira_fuzz_string(%s);", at);
        break;
    case LAPIS_V_LIST:
        emit_line(e, "for (uint64_t i = 0; %s && %s[i] != %s; i++)", at, at, end);
        emit_line(e, "    hira_fuzz_read(&%s[i], sizeof *%s);", at, at);
        break;
    case LAPIS_V_PROPERTIES:
        emit_line(e, "for (uint64_t i = 0; %s && (uint64_t)%s[i] != (uint64_t)(%s); i += 2)", at, at, end);
        emit_line(e, "    hira_fuzz_read(&%s[i], 2 * sizeof *%s);", at, at);
        break;
    case LAPIS_V_RECORD:
        touch_fields(e, v, at, record, record_at, depth);
        break;
    case LAPIS_V_CALLBACK:
        if (!depth && !record)
            emit_line(e, "hira_fuzz_callback((void *)(uintptr_t)%s, %s, later_%s_%s, %s);", at,
                      v->companion ? emit_format(e, "(void *)(uintptr_t)%s", v->companion) : "NULL", e->function->name, v->name,
                      v->callback->once ? "true" : "false");
        break;
    default:
        break;
    }
}

/* An argument of the vendor's for a callback. Counts stay small: the memory that they count is. */
static const char *callback_argument(struct emit *e, const struct lapis_value *a)
{
    const char *type = emit_type(e, a->ctype);
    switch (a->kind) {
    case LAPIS_V_HANDLE:
        return emit_format(e, "(%s)(uintptr_t)hira_fuzz_known(%s)", type, emit_type_id(e, a->handle));
    case LAPIS_V_USERDATA:
        return "cookie";
    case LAPIS_V_STRING:
        return "(void *)(uintptr_t)\"text\"";
    case LAPIS_V_BUFFER:
        return "(void *)(uintptr_t)hira_fuzz_zeros";
    default:
        if (a->ctype->kind == LAPIS_STRUCT || a->ctype->kind == LAPIS_UNION)
            return emit_format(e, "(%s){0}", type);
        return a->ctype->kind == LAPIS_POINTER || a->ctype->kind == LAPIS_FUNCTION ? "NULL"
                                                                                   : emit_format(e, "(%s)(hira_fuzz_choose() & 7)", type);
    }
}

/* For each callback that a function takes: calls it with arguments of its types. */
static void emit_callers(struct emit *e, const struct lapis_function *f)
{
    for (size_t i = 0; i < f->n_params; i++) {
        const struct lapis_value *v = &f->params[i];
        if (v->kind != LAPIS_V_CALLBACK)
            continue;
        emit_line(e, "static void later_%s_%s(void *function, void *cookie)", f->name, v->name);
        emit_line(e, "{");
        emit_line(e, "    ((%s)(uintptr_t)function)(", emit_type(e, v->ctype));
        for (size_t k = 0; k < v->callback->n_args; k++)
            emit_line(e, "        %s%s", callback_argument(e, &v->callback->args[k]), k + 1 < v->callback->n_args ? "," : "");
        emit_line(e, "    );");
        emit_line(e, "}");
        emit_blank(e);
    }
}

/* Memory that the vendor writes: nothing that is later taken for a handle may be none. */
static void write_out(struct emit *e, const struct lapis_value *v)
{
    const char *n = v->name, *bytes = emit_format(e, "bytes_%s", n);
    if (v->is_error) {
        emit_line(e, "if (%s)", n);
        emit_line(e, "    *%s = ok ? %s : %s;", n, v->error_success ? v->error_success : "0", v->error_failure ? v->error_failure : "-1");
        return;
    }
    if (v->direction == LAPIS_INOUT)
        emit_line(e, "hira_fuzz_read(%s, %s);", n, bytes);
    if (emit_is_new(v)) {
        emit_line(e, "if (%s)", n);
        emit_line(e, "    *%s = ok ? (%s)(uintptr_t)hira_fuzz_made(%s) : 0;", n, emit_type(e, v->ctype->pointee),
                  emit_type_id(e, v->element->handle));
    } else if (v->element && v->element->kind == LAPIS_V_HANDLE) {
        /* What it makes is counted, by what it has written before: see emit_stub. */
        emit_line(e, "hira_fuzz_write_handles((void *)%s, %s, %s, %s);", n,
                  v->filled ? emit_format(e, "hira_least(%s, %s)", bytes, emit_bytes(e, v, n, v->filled)) : bytes,
                  emit_type_id(e, v->element->handle), v->element->allocates ? "ok" : "false");
    } else if (v->selector) {
        emit_line(e, "if (values_type((uint64_t)%s))", v->selector);
        emit_line(e, "    hira_fuzz_write_handles((void *)%s, %s, values_type((uint64_t)%s), false);", n, bytes, v->selector);
        emit_line(e, "else");
        emit_line(e, "    hira_fuzz_write((void *)%s, %s);", n, bytes);
    } else if (v->element && v->element->kind == LAPIS_V_RECORD) {
        emit_line(e, "hira_fuzz_clear((void *)%s, %s);", n, bytes);
    } else {
        emit_line(e, "hira_fuzz_write((void *)%s, %s);", n, bytes);
    }
}

/* A struct of function pointers: who gets one calls them unseen. */
static bool has_functions(const struct lapis_ctype *t)
{
    for (size_t i = 0; t && t->kind == LAPIS_STRUCT && i < t->n_fields; i++)
        if (t->fields[i].type->kind == LAPIS_FUNCTION)
            return true;
    return false;
}

static void give_table(struct emit *e, const struct lapis_ctype *pointer)
{
    const struct lapis_ctype *t = pointer->pointee;
    emit_line(e, "static const %s table = {", t->name);
    for (size_t i = 0; i < t->n_fields; i++)
        if (t->fields[i].type->kind == LAPIS_FUNCTION)
            emit_line(e, "    .%s = (void *)hira_fuzz_choose,", t->fields[i].name);
    emit_line(e, "};");
    emit_line(e, "return (%s)&table;", emit_type(e, pointer));
}

static void give_result(struct emit *e, const struct lapis_function *f)
{
    const struct lapis_value *r = &f->ret;
    const char *type = emit_is_void(r) ? NULL : emit_type(e, r->ctype);
    if (!type)
        return;
    if (r->kind == LAPIS_V_HANDLE)
        emit_line(e, "return ok ? (%s)(uintptr_t)%s(%s) : 0;", type, r->allocates ? "hira_fuzz_made" : "hira_fuzz_known", emit_type_id(e, r->handle));
    else if (r->kind == LAPIS_V_STRING)
        emit_line(e, "return ok ? (%s)\"text\" : NULL;", type);
    else if (r->ctype->kind == LAPIS_STRUCT || r->ctype->kind == LAPIS_UNION)
        emit_line(e, "return (%s){0};", type);
    else if (has_functions(r->ctype->pointee))
        give_table(e, r->ctype);
    else if (r->ctype->kind == LAPIS_POINTER || r->ctype->kind == LAPIS_FUNCTION)
        emit_line(e, "return NULL;");
    else if (f->success_value)
        emit_line(e, "return ok ? (%s)(%s) : (%s)(%s);", type, f->success_value, type, f->failure ? f->failure : "-1");
    else
        emit_line(e, "return (%s)hira_fuzz_choose();", type);
}

/* Told before anything is written: a count may lie in memory that the call writes. */
static bool has_size(const struct lapis_value *v)
{
    return (v->kind == LAPIS_V_BUFFER && !v->is_error && !emit_is_new(v)) || (v->kind == LAPIS_V_STRING && v->count);
}

static bool is_written(const struct lapis_value *v)
{
    return (v->kind == LAPIS_V_BUFFER || (v->kind == LAPIS_V_STRING && v->count)) && v->direction != LAPIS_IN;
}

/* An array of new handles. */
static bool makes_some(const struct lapis_value *v)
{
    return is_written(v) && !emit_is_new(v) && v->element && v->element->kind == LAPIS_V_HANDLE && v->element->allocates;
}

static void emit_stub(struct emit *e, const struct lapis_function *f)
{
    e->function = f;
    emit_callers(e, f);
    emit_line(e, "static %s", emit_prototype(e, f, emit_format(e, "stub_%s", f->name)));
    emit_line(e, "{");
    e->indent = 1;
    for (size_t i = lapis_declared_params(f); i < f->n_params; i++)
        emit_line(e, "const uint64_t %s = 0; /* the vendor is not told: it touches nothing that has this length */", f->params[i].name);
    for (size_t i = 0; i < f->n_params && !f->retains && !f->releases; i++)
        if (has_size(&f->params[i]))
            emit_line(e, "const uint64_t bytes_%s = %s;", f->params[i].name, emit_bytes(e, &f->params[i], f->params[i].name, NULL));
    if (f->retains || f->releases) {
        emit_line(e, "hira_fuzz_%s((void *)(uintptr_t)%s);", f->retains ? "retain" : "release", f->params[0].name);
    } else {
        for (size_t i = 0; i < f->n_params; i++)
            touch(e, &f->params[i], f->params[i].name, NULL, NULL, 0);
    }
    emit_line(e, "HIRA_UNUSED const bool ok = %s;", f->retains || f->releases ? "true" : emit_format(e, "hira_fuzz_succeeds(%u)", f->index));
    for (size_t i = 0; i < f->n_params; i++)
        if (is_written(&f->params[i]) && !makes_some(&f->params[i]))
            write_out(e, &f->params[i]);
    for (size_t i = 0; i < f->n_params; i++) {
        const struct lapis_value *v = &f->params[i];
        if (makes_some(v))
            write_out(e, v);
        if (v->kind == LAPIS_V_HANDLE && v->deallocates)
            emit_line(e, "if (ok)\n        hira_fuzz_release((void *)(uintptr_t)%s);", v->name);
    }
    give_result(e, f);
    e->indent = 0;
    emit_line(e, "}");
    emit_blank(e);
}

/* ---- what records are made of ---- */

/* Whether some count of the function's speaks of this parameter. */
static bool counts_something(const struct lapis_function *f, const char *name)
{
    for (size_t i = 0; i < f->n_params; i++)
        if (f->params[i].count && emit_mentions(f->params[i].count, name))
            return true;
    return false;
}

static const char *size_of_element(struct emit *e, const struct lapis_value *v)
{
    return v->ctype && v->ctype->pointee ? emit_element_size(e, v) : "1";
}

static void describe(struct emit *e, const struct lapis_function *f, const struct lapis_value *v, unsigned depth)
{
    const char *one = v->count && strcmp(v->count, "1") ? "HIRA_FUZZ_COUNTED" : "0", *kind = NULL;
    switch (v->kind) {
    case LAPIS_V_SCALAR:
        if (v->ctype->kind == LAPIS_INT || v->ctype->kind == LAPIS_FLOAT)
            emit_line(e, "{HIRA_FUZZ_WORD, 0, %s, 0},", !depth && v->name && counts_something(f, v->name) ? "HIRA_FUZZ_COUNTED" : "0");
        else
            emit_line(e, "{HIRA_FUZZ_BYTES, 0, 0, sizeof(%s)},", emit_type(e, v->ctype));
        return;
    case LAPIS_V_HANDLE:
        emit_line(e, "{HIRA_FUZZ_HANDLE, %s, 0, 0},", emit_type_id(e, v->handle));
        return;
    case LAPIS_V_RECORD:
        for (size_t i = 0; i < v->n_fields && !(v->discriminant && i); i++)
            describe(e, f, &v->fields[i], depth + 1);
        return;
    case LAPIS_V_TOKEN:
        emit_line(e, "{HIRA_FUZZ_WORD, 0, 0, 0},");
        return;
    case LAPIS_V_CALLBACK:
        emit_line(e, "{HIRA_FUZZ_WORD, 0, 0, 0},\n    {HIRA_FUZZ_WORD, 0, 0, 0},");
        return;
    case LAPIS_V_STRING:
        kind = v->count ? "HIRA_FUZZ_IN" : "HIRA_FUZZ_STRING";
        emit_line(e, "{%s, 0, %s, 1},", kind, one);
        if (v->files) /* the working directory, and no files */
            emit_line(e, "{HIRA_FUZZ_STRING, 0, 0, 1},\n    {HIRA_FUZZ_ZERO, 0, 0, 0},");
        return;
    case LAPIS_V_LIST:
    case LAPIS_V_PROPERTIES:
        emit_line(e, "{HIRA_FUZZ_LIST, 0, 0, %s},", v->kind == LAPIS_V_LIST ? size_of_element(e, v) : "8");
        return;
    case LAPIS_V_BUFFER:
        break;
    default:
        return;
    }
    if (v->is_error)
        return;
    bool handles = v->element && v->element->kind == LAPIS_V_HANDLE;
    if (emit_is_new(v) && !depth)
        emit_line(e, "{HIRA_FUZZ_NEW, %s, 0, 0},", emit_type_id(e, v->element->handle));
    else if (handles && v->direction == LAPIS_IN)
        emit_line(e, "{HIRA_FUZZ_HANDLES, %s, %s, 8},", emit_type_id(e, v->element->handle), one);
    else if (v->direction == LAPIS_IN && v->element && v->element->kind != LAPIS_V_SCALAR && v->element->kind != LAPIS_V_TOKEN) {
        emit_line(e, "{HIRA_FUZZ_ARRAY, 0, %s, 0},", one);
        describe(e, f, v->element, depth + 1);
        emit_line(e, "{HIRA_FUZZ_END, 0, 0, 0},");
    } else
        emit_line(e, "{HIRA_FUZZ_%s, 0, %s, %s},", v->direction == LAPIS_IN ? "IN" : v->direction == LAPIS_OUT ? "OUT" : "INOUT", one,
                  size_of_element(e, v));
}

static void emit_arguments_table(struct emit *e, const struct lapis_function *f)
{
    e->function = f;
    emit_line(e, "static const struct hira_fuzz_argument arguments_%s[] = {", f->name);
    e->indent = 1;
    for (size_t i = 0; i < f->n_params; i++)
        describe(e, f, &f->params[i], 0);
    if (f->ret.kind == LAPIS_V_HANDLE && f->ret.allocates)
        emit_line(e, "{HIRA_FUZZ_NEW, %s, 0, 0},", emit_type_id(e, f->ret.handle));
    emit_line(e, "{HIRA_FUZZ_END, 0, 0, 0},");
    e->indent = 0;
    emit_line(e, "};");
}

static bool is_constant(const struct emit *e, const char *name, size_t length)
{
    const struct lapis_model *m = e->model;
    size_t low = 0, high = m->n_names;
    for (size_t i = 0; i < length; i++)
        if (name[i] != '_' && !(name[i] >= 'A' && name[i] <= 'Z') && !(name[i] >= '0' && name[i] <= '9'))
            return false;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strncmp(m->names[middle], name, length);
        order = order ? order : m->names[middle][length] != 0;
        if (!order)
            return length;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return false;
}

/* The header's constants that some code compares something with. How many. */
static unsigned emit_compared(struct emit *e, const char *code, bool print)
{
    unsigned n = 0;
    for (const char *p = code; p && (p = strpbrk(p, "=!c"));) {
        bool compares = !strncmp(p, "==", 2) || !strncmp(p, "!=", 2) || !strncmp(p, "case ", 5);
        p += compares ? strcspn(p, " ") : 1;
        if (!compares)
            continue;
        p += strspn(p, " ");
        size_t length = strcspn(p, " \n)&|?:;,([{");
        if (!is_constant(e, p, length))
            continue;
        n++;
        if (print)
            emit_line(e, "    (uint64_t)(%.*s),", (int)length, p);
    }
    return n;
}

static unsigned emit_constants_of(struct emit *e, const struct lapis_function *f, bool print)
{
    return emit_compared(e, f->server_before.text, print) + emit_compared(e, f->server_replace.text, print) +
           emit_compared(e, f->server_after.text, print);
}

/* Those of a function's own, which it is asked for more often than by chance. */
static void emit_own_constants(struct emit *e, const struct lapis_function *f)
{
    if (!emit_carried(f) || !emit_constants_of(e, f, false))
        return;
    emit_line(e, "static const uint64_t constants_%s[] = {", f->name);
    emit_constants_of(e, f, true);
    emit_line(e, "};");
}

/* Values that a spec compares with: what a query asks for, what a property list has as keys. */
static void emit_constants(struct emit *e)
{
    const struct lapis_model *m = e->model;
    emit_line(e, "static const uint64_t constants[] = {");
    for (size_t i = 0; i < m->n_values; i++)
        emit_line(e, "    (uint64_t)(%s),", m->values[i].key);
    for (size_t i = 0; i < m->n_functions; i++)
        for (size_t k = 0; k < m->functions[i]->n_params; k++)
            for (size_t n = 0; n < m->functions[i]->params[k].n_keys; n++)
                emit_line(e, "    (uint64_t)(%s),", m->functions[i]->params[k].keys[n].key);
    emit_compared(e, m->shared_code.text, true);
    emit_compared(e, m->server_code.text, true);
    emit_line(e, "    0,\n};\n");
}

void emit_fuzz(struct emit *e)
{
    const struct lapis_model *m = e->model;
    emit_head(e, "The fuzz harness");
    emit_line(e, "#include \"api.h\"\n#include \"server/fuzz.h\"\n#include \"server/server.h\"\n");
    emit_line(e, "#pragma GCC diagnostic ignored \"-Wunused-parameter\"");
    emit_line(e, "#pragma GCC diagnostic ignored \"-Wunused-function\"\n");
    for (size_t i = 0; i < m->n_functions; i++)
        if (stubbed(m->functions[i]))
            emit_line(e, "static %s;", emit_prototype(e, m->functions[i], emit_format(e, "stub_%s", m->functions[i]->name)));
    emit_blank(e);
    for (size_t i = 0; i < m->n_functions; i++)
        if (stubbed(m->functions[i]))
            emit_line(e, "#define %s stub_%s", m->functions[i]->name, m->functions[i]->name);
    emit_blank(e);
    emit_values_function(e);
    emit_code(e, &m->shared_code);
    emit_blank(e);
    for (size_t i = 0; i < m->n_functions; i++)
        if (stubbed(m->functions[i]))
            emit_stub(e, m->functions[i]);
    for (size_t i = 0; i < m->n_functions; i++)
        if (emit_carried(m->functions[i]))
            emit_arguments_table(e, m->functions[i]);
    for (size_t i = 0; i < m->n_functions; i++)
        emit_own_constants(e, m->functions[i]);
    emit_blank(e);
    emit_line(e, "static const struct hira_fuzz_function functions[] = {");
    for (size_t i = 0; i < m->n_functions; i++) {
        const struct lapis_function *f = m->functions[i];
        unsigned n = emit_carried(f) ? emit_constants_of(e, f, false) : 0;
        emit_line(e, "    {%s, %s, %s, %u},", stubbed(f) ? emit_format(e, "(void *)(uintptr_t)stub_%s", f->name) : "NULL",
                  emit_carried(f) ? emit_format(e, "arguments_%s", f->name) : "NULL",
                  n ? emit_format(e, "constants_%s", f->name) : "NULL", n);
    }
    emit_line(e, "};\n");
    emit_constants(e);
    emit_line(e, "const struct hira_fuzz_api hira_fuzz_api = {functions, constants, sizeof constants / sizeof *constants};");
}
