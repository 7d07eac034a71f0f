/*
 * The model's small verbs: look-ups, and what a C type alone says of a value. No policy: what is guessed from names
 * stands in infer.c, what the specification says in resolve.c.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include "lapis/model.h"

#include <stdarg.h>
#include <string.h>

#include "base/pool.h"

const char *lapis_model_setting(const struct lapis_model *model, const char *name, size_t n)
{
    for (size_t i = 0; i < model->n_settings; i++)
        if (!strcmp(model->settings[i].name, name) && n-- == 0)
            return model->settings[i].value;
    return NULL;
}

struct lapis_function *lapis_model_function(const struct lapis_model *model, const char *name)
{
    for (size_t i = 0; i < model->n_functions; i++)
        if (!strcmp(model->functions[i]->name, name))
            return model->functions[i];
    return NULL;
}

struct lapis_handle *lapis_model_handle(const struct lapis_model *model, const char *name)
{
    for (size_t i = 0; i < model->n_handles; i++)
        if (!strcmp(model->handles[i]->name, name))
            return model->handles[i];
    return NULL;
}

bool lapis_model_has_name(const struct lapis_model *model, const char *name)
{
    size_t low = 0, high = model->n_names;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int c = strcmp(name, model->names[middle]);
        if (c == 0)
            return true;
        if (c < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return lapis_model_function(model, name) || lapis_model_handle(model, name);
}

const struct lapis_constants *lapis_model_constants(const struct lapis_model *model, const struct lapis_ctype *type)
{
    for (size_t i = 0; i < model->n_constants; i++)
        if (type->name && type->canonical &&
            (!strcmp(model->constants[i].type, type->canonical) ||
             (strcmp(type->name, type->canonical) && !strcmp(model->constants[i].type, type->name))))
            return &model->constants[i];
    return NULL;
}

void lapis_model_destroy(struct lapis_model *model)
{
    if (model)
        hira_pool_destroy(model->pool); /* the model itself lives in it */
}

/* Fields of a struct or union; true when any of them is more than bytes. */
static bool init_fields(struct hira_pool *pool, struct lapis_value *value, const struct lapis_ctype *type)
{
    bool care = false;
    value->fields = hira_pool_alloc(pool, type->n_fields * sizeof *value->fields);
    value->n_fields = type->n_fields;
    for (size_t i = 0; i < type->n_fields; i++) {
        lapis_value_init(pool, &value->fields[i], type->fields[i].name, type->fields[i].type);
        value->fields[i].doc = type->fields[i].doc;
        care |= value->fields[i].kind != LAPIS_V_SCALAR;
    }
    return care;
}

static void init_array(struct hira_pool *pool, struct lapis_value *value, const struct lapis_ctype *type)
{
    struct lapis_value *element = lapis_value_element(pool, value);
    if (!element || element->kind == LAPIS_V_SCALAR) {
        value->kind = LAPIS_V_SCALAR;
        value->element = NULL;
        return;
    }
    value->kind = LAPIS_V_BUFFER;
    value->count = hira_pool_printf(pool, "%zu", type->length);
}

const struct lapis_value *lapis_query_value(const struct lapis_function *f, const struct lapis_value **ret_size)
{
    *ret_size = NULL;
    for (size_t i = 0; i < f->n_params; i++) {
        const struct lapis_value *v = &f->params[i];
        if (v->kind != LAPIS_V_BUFFER || !v->selector || v->direction != LAPIS_OUT)
            continue;
        for (size_t k = 0; v->filled && k < f->n_params; k++)
            if (f->params[k].direction == LAPIS_OUT && &f->params[k] != v && f->params[k].name && strstr(v->filled, f->params[k].name))
                *ret_size = &f->params[k];
        return v;
    }
    return NULL;
}

size_t lapis_declared_params(const struct lapis_function *f)
{
    size_t n = f->n_params;
    while (n && f->params[n - 1].implicit)
        n--;
    return n;
}

static bool is_device(const struct lapis_value *v)
{
    return v->kind == LAPIS_V_HANDLE && v->handle && v->handle->devices;
}

const struct lapis_value *lapis_listed_devices(const struct lapis_function *f, const struct lapis_value **ret_count,
                                               const struct lapis_value **ret_field)
{
    const struct lapis_value *list = NULL;
    *ret_count = *ret_field = NULL;
    for (size_t i = 0; f->enumerates.list && i < f->n_params; i++)
        if (f->params[i].name && !strcmp(f->params[i].name, f->enumerates.list))
            list = &f->params[i];
    if (!list || list->kind != LAPIS_V_BUFFER || list->direction != LAPIS_OUT || !list->element || !list->filled)
        return NULL;
    for (size_t i = 0; i < f->n_params; i++)
        if (f->params[i].kind == LAPIS_V_BUFFER && f->params[i].direction & LAPIS_OUT && &f->params[i] != list &&
            f->params[i].name && strstr(list->filled, f->params[i].name))
            *ret_count = &f->params[i];
    for (size_t i = 0; list->element->kind == LAPIS_V_RECORD && i < list->element->n_fields; i++)
        if (is_device(&list->element->fields[i]))
            *ret_field = &list->element->fields[i];
    return *ret_count && (*ret_field || is_device(list->element)) ? list : NULL;
}

void lapis_value_init(struct hira_pool *pool, struct lapis_value *value, const char *name, struct lapis_ctype *type)
{
    *value = (struct lapis_value){.name = name, .ctype = type, .direction = LAPIS_IN, .kind = LAPIS_V_UNSETTLED};
    switch (type->kind) {
    case LAPIS_VOID:
    case LAPIS_INT:
    case LAPIS_FLOAT:
        value->kind = LAPIS_V_SCALAR;
        break;
    case LAPIS_HANDLE:
        value->kind = LAPIS_V_HANDLE;
        value->handle = type->handle;
        break;
    case LAPIS_STRUCT:
    case LAPIS_UNION:
        value->kind = init_fields(pool, value, type) ? LAPIS_V_RECORD : LAPIS_V_SCALAR;
        break;
    case LAPIS_ARRAY:
        init_array(pool, value, type);
        break;
    case LAPIS_POINTER:
    case LAPIS_FUNCTION:
    case LAPIS_OPAQUE:
        break;
    }
}

struct lapis_value *lapis_value_element(struct hira_pool *pool, struct lapis_value *value)
{
    const struct lapis_ctype *type = value->ctype;
    if (value->element)
        return value->element;
    if (!type || (type->kind != LAPIS_POINTER && type->kind != LAPIS_ARRAY) || !type->pointee ||
        type->pointee->kind == LAPIS_VOID || type->pointee->kind == LAPIS_OPAQUE)
        return NULL;
    value->element = hira_pool_alloc(pool, sizeof *value->element);
    lapis_value_init(pool, value->element, NULL, type->pointee);
    value->element->direction = value->direction;
    value->element->loc = value->loc;
    return value->element;
}

void lapis_callback_find_cookie(struct hira_pool *pool, struct lapis_callback *callback, struct lapis_loc loc)
{
    struct lapis_value *found = NULL;
    for (size_t i = 0; i < callback->n_args; i++) {
        struct lapis_value *v = &callback->args[i];
        const struct lapis_ctype *to = v->ctype->kind == LAPIS_POINTER ? v->ctype->pointee : NULL;
        if (v->kind == LAPIS_V_USERDATA)
            return;
        if (v->kind != LAPIS_V_UNSETTLED || !to || to->kind != LAPIS_VOID)
            continue;
        if (found)
            return;
        found = v;
    }
    if (!found)
        return;
    found->kind = LAPIS_V_USERDATA;
    found->direction = LAPIS_IN;
    found->n_reasons = 0; /* whether its memory is read or written is no question any more */
    found->question = NULL;
    lapis_value_because(pool, found, "callback.cookie", loc, "the only untyped pointer: the application's cookie");
}

void lapis_value_because(struct hira_pool *pool, struct lapis_value *value, const char *rule, struct lapis_loc loc,
                         const char *format, ...)
{
    va_list args;
    va_start(args, format);
    *HIRA_POOL_PUSH(pool, value->reasons, value->n_reasons) =
        (struct lapis_reason){.rule = rule, .text = hira_pool_vprintf(pool, format, args), .loc = loc};
    va_end(args);
}

const char *lapis_ctype_declare(struct hira_pool *pool, const struct lapis_ctype *type, const char *name)
{
    const char *s = type->spelling;
    size_t length = strlen(s);
    const char *at = NULL;
    /* "void (*)(int)", "void (CALL *)(int)", "int (*)[4]": behind the first star inside the first parentheses. */
    const char *open = strchr(s, '(');
    const char *star = open ? strchr(open, '*') : NULL;
    const char *close = open ? strchr(open, ')') : NULL;
    if (star && close && star < close) {
        at = star + 1;
        return hira_pool_printf(pool, "%.*s%s%s", (int)(at - s), s, name, at);
    }
    if (length && s[length - 1] == ']') {
        at = strchr(s, '[');
        while (at > s && at[-1] == ' ')
            at--;
        return hira_pool_printf(pool, "%.*s %s%s", (int)(at - s), s, name, at);
    }
    return hira_pool_printf(pool, length && s[length - 1] == '*' ? "%s%s" : "%s %s", s, name);
}
