/*
 * What is made simpler before anything is emitted.
 *
 * Text that the vendor writes into room of a known size is a buffer of characters. A parameter that bears the name of something
 * that the generated code declares for itself gets another one, in the spec's expressions and code too. And what no generated code
 * could carry is said here.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include <ctype.h>
#include <string.h>

#include "emit/private.h"

/* Locals of stubs, of serving functions and of trampolines. */
static const char *const reserved[] = {"c", "s", "u", "i", "ret", "ok", "error", "key", "failure", "pended", "subject", "index", "until_done", "function",
                                       "result", "answer", "answer_size"};

static bool is_reserved(const char *name)
{
    for (size_t i = 0; name && i < HIRA_ARRAY_SIZE(reserved); i++)
        if (!strcmp(name, reserved[i]))
            return true;
    return false;
}

static bool is_word(char c)
{
    return isalnum((unsigned char)c) || c == '_';
}

/* Whether the word at `p` is a variable's name, and no member's. */
static bool stands_alone(const char *text, const char *p)
{
    while (p > text && isspace((unsigned char)p[-1]))
        p--;
    return p == text || (p[-1] != '.' && !(p[-1] == '>' && p - 1 > text && p[-2] == '-'));
}

static size_t literal_length(const char *p)
{
    size_t n = 1;
    while (p[n] && p[n] != *p)
        n += p[n] == '\\' && p[n + 1] ? 2 : 1;
    return p[n] ? n + 1 : n;
}

/* C text with `name` written as `name_` where it is a variable. */
static const char *renamed(struct emit *e, const char *text, const char *name)
{
    struct hira_text out = {0};
    size_t length = strlen(name);
    if (!text || !strstr(text, name))
        return text;
    for (const char *p = text; *p;) {
        size_t n = 1;
        if (*p == '"' || *p == '\'')
            n = literal_length(p);
        else if (is_word(*p))
            while (is_word(p[n]))
                n++;
        hira_text_append(&out, p, n);
        if (n == length && !memcmp(p, name, n) && stands_alone(text, p))
            hira_text_puts(&out, "_");
        p += n;
    }
    const char *result = hira_pool_strdup(e->pool, out.data);
    hira_text_fini(&out);
    return result;
}

static void rename_in_value(struct emit *e, struct lapis_value *v, const char *name)
{
    const char **texts[] = {&v->count, &v->filled, &v->terminator, &v->selector, &v->discriminant, &v->when, &v->until, &v->companion, &v->stream};
    const char **rows = v->rows ? hira_pool_alloc(e->pool, 6 * sizeof *rows) : NULL;
    for (size_t i = 0; i < HIRA_ARRAY_SIZE(texts); i++)
        *texts[i] = renamed(e, *texts[i], name);
    for (size_t i = 0; rows && i < 6; i++)
        rows[i] = renamed(e, v->rows[i], name);
    v->rows = rows;
    if (v->element)
        rename_in_value(e, v->element, name);
    for (size_t i = 0; i < v->n_fields; i++)
        rename_in_value(e, &v->fields[i], name);
}

static void rename_parameter(struct emit *e, struct lapis_function *f, struct lapis_value *parameter)
{
    const char *name = parameter->name;
    struct lapis_code *codes[] = {&f->guest_replace, &f->guest_before, &f->guest_after, &f->server_replace, &f->server_before, &f->server_after};
    parameter->name = emit_format(e, "%s_", name);
    for (size_t i = 0; i < f->n_params; i++)
        rename_in_value(e, &f->params[i], name);
    for (size_t i = 0; i < HIRA_ARRAY_SIZE(codes); i++)
        codes[i]->text = renamed(e, codes[i]->text, name);
    for (size_t i = 0; i < f->n_policies; i++) {
        f->policies[i].condition = renamed(e, f->policies[i].condition, name);
        for (size_t k = 0; k < f->policies[i].n_once; k++)
            f->policies[i].once[k] = renamed(e, f->policies[i].once[k], name);
    }
    for (size_t i = 0; i < f->n_fails; i++) {
        f->fails[i].condition = renamed(e, f->fails[i].condition, name);
        f->fails[i].code = renamed(e, f->fails[i].code, name);
    }
    f->drains_when = renamed(e, f->drains_when, name);
    for (size_t i = 0; i < f->n_answers && strncmp(name, "answer", 6); i++) {
        f->answers[i].expr = renamed(e, f->answers[i].expr, name);
        f->answers[i].condition = renamed(e, f->answers[i].condition, name);
        f->answers[i].bytes = renamed(e, f->answers[i].bytes, name);
    }
    for (size_t i = 0; i < f->n_resources; i++)
        f->resources[i].amount = renamed(e, f->resources[i].amount, name);
    f->holds = renamed(e, f->holds, name);
    f->recorded.object = renamed(e, f->recorded.object, name);
    for (size_t i = 0; i < f->recorded.n_keys; i++)
        f->recorded.keys[i].text = renamed(e, f->recorded.keys[i].text, name);
}

static void lower_function(struct emit *e, struct lapis_function *f)
{
    for (size_t i = 0; i < f->n_params; i++) {
        struct lapis_value *v = &f->params[i];
        if (v->kind == LAPIS_V_STRING && v->count && v->direction != LAPIS_IN)
            v->kind = LAPIS_V_BUFFER;
        if (is_reserved(v->name))
            rename_parameter(e, f, v);
    }
}

static void lower_callback(struct emit *e, struct lapis_callback *cb)
{
    for (size_t i = 0; i < cb->n_args; i++) {
        const char *name = cb->args[i].name;
        if (!is_reserved(name))
            continue;
        cb->args[i].name = emit_format(e, "%s_", name);
        for (size_t k = 0; k < cb->n_args; k++)
            rename_in_value(e, &cb->args[k], name);
    }
}

void emit_lower(struct emit *e, struct lapis_model *model)
{
    for (size_t i = 0; i < model->n_handles; i++) {
        const struct lapis_handle *h = model->handles[i];
        if (h->ctype->size < sizeof(void *))
            lapis_error(e->diag, h->loc, "handles of type '%s' have %zu bytes: the guest's objects are told by their address", h->name, h->ctype->size);
    }
    for (size_t i = 0; i < model->n_functions; i++)
        lower_function(e, model->functions[i]);
    for (size_t i = 0; i < model->n_callbacks; i++)
        lower_callback(e, model->callbacks[i]);
}
