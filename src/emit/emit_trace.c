/*
 * A call as `hira trace` shows it, in the API server: one line that tells each decoded argument by name and kind. The
 * runtime's side is src/server/trace.c.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include <string.h>

#include "emit/private.h"

struct told {
    struct hira_text kinds, values;
};

HIRA_PRINTF(4, 5) static void tell(struct told *told, char kind, const char *name, const char *format, ...)
{
    va_list args;
    hira_text_printf(&told->kinds, "%s%c:%s", told->kinds.size ? " " : "", kind, name);
    hira_text_puts(&told->values, ", ");
    va_start(args, format);
    hira_text_vprintf(&told->values, format, args);
    va_end(args);
}

/* ---- names of constants ---- */

static const char *constants_name(struct emit *e, const struct lapis_constants *set)
{
    return emit_format(e, "constants_%zu", (size_t)(set - e->model->constants));
}

/* What functions return, by what the first that may fail does. */
static const struct lapis_constants *error_codes(const struct lapis_model *m)
{
    const struct lapis_constants *found = NULL;
    for (size_t i = 0; i < m->n_functions && !found; i++)
        if (m->functions[i]->failure && m->functions[i]->success && m->functions[i]->ret.ctype)
            found = lapis_model_constants(m, m->functions[i]->ret.ctype);
    for (size_t i = 0; i < m->n_constants && !found; i++)
        found = *m->constants[i].type ? NULL : &m->constants[i];
    return found;
}

static bool is_used(const struct lapis_model *m, const struct lapis_constants *set)
{
    for (size_t i = 0; i < m->n_functions; i++)
        for (size_t k = 0; emit_carried(m->functions[i]) && k < m->functions[i]->n_params; k++) {
            const struct lapis_value *v = &m->functions[i]->params[k];
            if (v->kind == LAPIS_V_SCALAR && v->ctype->kind == LAPIS_INT && lapis_model_constants(m, v->ctype) == set)
                return true;
        }
    return set == error_codes(m);
}

static void emit_set(struct emit *e, const struct lapis_constants *set)
{
    size_t column = 0;
    emit_line(e, "static const struct hira_constant %s_list[] = {", constants_name(e, set));
    struct hira_text line = {0};
    for (size_t i = 0; i < set->n_names; i++) {
        const char *one = emit_format(e, " C(%s),", set->names[i]);
        column = line.size + strlen(one);
        if (column > 115) {
            emit_line(e, "   %s", line.data);
            hira_text_fini(&line);
        }
        hira_text_puts(&line, one);
    }
    if (line.size)
        emit_line(e, "   %s", line.data);
    hira_text_fini(&line);
    emit_line(e, "};\nstatic const struct hira_constants %s = {%s_list, %zu, %s};", constants_name(e, set),
              constants_name(e, set), set->n_names, set->flags ? "true" : "false");
}

const char *emit_value_names(struct emit *e)
{
    const struct lapis_constants *errors = error_codes(e->model);
    bool some = false;
    for (size_t i = 0; i < e->model->n_constants; i++) {
        if (!is_used(e->model, &e->model->constants[i]))
            continue;
        if (!some)
            emit_line(e, "#define C(name) {#name, (uint64_t)(int64_t)(name)}");
        some = true;
        emit_set(e, &e->model->constants[i]);
    }
    if (some)
        emit_line(e, "#undef C\n");
    return errors ? emit_format(e, "&%s", constants_name(e, errors)) : "NULL";
}

/* ---- a call ---- */

static void tell_memory(struct told *told, const struct lapis_value *v)
{
    char kind = v->direction == LAPIS_IN ? 'r' : v->direction == LAPIS_OUT ? 'w' : 'x';
    tell(told, kind, v->name, "(const void *)%s, bytes_%s", v->name, v->name);
}

static void tell_value(struct emit *e, struct told *told, const struct lapis_value *v)
{
    bool handles =
        v->kind == LAPIS_V_BUFFER && v->element && v->element->kind == LAPIS_V_HANDLE && v->direction == LAPIS_IN;
    bool number = v->kind == LAPIS_V_SCALAR && v->ctype->kind == LAPIS_INT;
    const struct lapis_constants *named = number ? lapis_model_constants(e->model, v->ctype) : NULL;
    if (v->is_error)
        return;
    if (named)
        tell(told, 'c', v->name, "&%s, (uint64_t)(int64_t)%s", constants_name(e, named), v->name);
    else if (number)
        tell(told, v->ctype->is_signed ? 'i' : 'u', v->name, "(%sint64_t)%s", v->ctype->is_signed ? "" : "u", v->name);
    else if (v->kind == LAPIS_V_SCALAR && v->ctype->kind == LAPIS_FLOAT)
        tell(told, 'f', v->name, "(double)%s", v->name);
    else if (v->kind == LAPIS_V_SCALAR || v->kind == LAPIS_V_RECORD)
        tell(told, 'r', v->name, "(const void *)&%s, (uint64_t)sizeof %s", v->name, v->name);
    else if (v->kind == LAPIS_V_HANDLE)
        tell(told, 'h', v->name, "%s, (const void *)(uintptr_t)%s", emit_type_id(e, v->handle), v->name);
    else if (emit_is_new(v))
        tell(told, 'n', v->name, "id_%s", v->name);
    else if (handles)
        tell(told, 'a', v->name, "%s, (const void *)%s, bytes_%s", emit_type_id(e, v->element->handle), v->name,
             v->name);
    else if (v->kind == LAPIS_V_BUFFER || v->kind == LAPIS_V_LIST)
        tell_memory(told, v);
    else if (v->kind == LAPIS_V_STRING)
        tell(told, 's', v->name, "(const void *)%s", v->name);
    else if (v->kind == LAPIS_V_CALLBACK)
        tell(told, 'p', v->name, "(const void *)(uintptr_t)(callback_%s ? callback_%s->function : 0)", v->name,
             v->name);
    else if (v->kind == LAPIS_V_PROPERTIES || v->kind == LAPIS_V_TOKEN)
        tell(told, 'p', v->name, "(const void *)(uintptr_t)%s", v->name);
}

void emit_trace(struct emit *e, const struct lapis_function *f)
{
    struct told told = {0};
    for (size_t i = 0; i < f->n_params; i++)
        tell_value(e, &told, &f->params[i]);
    if (f->ret.kind == LAPIS_V_HANDLE && f->ret.allocates)
        tell(&told, 'n', "return", "id_ret");
    if (told.kinds.size)
        emit_line(e, "if (hira_unlikely(s->trace)) hira_trace_call(s, \"%s\"%s);", told.kinds.data, told.values.data);
    hira_text_fini(&told.kinds);
    hira_text_fini(&told.values);
}
