/*
 * Names: patterns over them, identifiers within expressions, and the search for the one that was meant.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include <string.h>

#include "lapis/front.h"

bool lapis_glob(const char *pattern, const char *name)
{
    const char *star = NULL, *retry = NULL;
    for (;;) {
        if (*pattern == '*') {
            star = ++pattern;
            retry = name;
        } else if (*name && (*pattern == '?' || *pattern == *name)) {
            pattern++;
            name++;
        } else if (!*name && !*pattern) {
            return true;
        } else if (star && *retry) {
            pattern = star;
            name = ++retry;
        } else {
            return false;
        }
    }
}

bool lapis_has_wildcard(const char *pattern)
{
    return strpbrk(pattern, "*?") != NULL;
}

bool lapis_glob_any(const struct lapis_node *node, const char *name)
{
    for (size_t i = 0; i < node->n_args; i++)
        if (lapis_glob(node->args[i].text, name))
            return true;
    return false;
}

static bool is_word_byte(char c)
{
    return c == '_' || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (unsigned char)c >= 0x80;
}

/* The next identifier at or behind `at` that is no member access, number or part of a literal or comment; NULL at the
 * end. */
static const char *next_word(const char *text, const char *at, size_t *ret_length)
{
    while (*at) {
        if (*at == '"' || *at == '\'') {
            char quote = *at++;
            while (*at && *at != quote)
                at += at[0] == '\\' && at[1] ? 2 : 1;
            at += *at != 0;
        } else if (at[0] == '/' && (at[1] == '/' || at[1] == '*')) {
            const char *end = strstr(at + 2, at[1] == '/' ? "\n" : "*/");
            at = end ? end + (at[1] == '/' ? 1 : 2) : at + strlen(at);
        } else if (is_word_byte(*at)) {
            size_t n = 0;
            while (is_word_byte(at[n]))
                n++;
            const char *before = at;
            while (before > text && before[-1] == ' ')
                before--;
            bool member =
                before > text && (before[-1] == '.' || (before - text > 1 && before[-1] == '>' && before[-2] == '-'));
            if (!member && !(*at >= '0' && *at <= '9')) {
                *ret_length = n;
                return at;
            }
            at += n;
        } else {
            at++;
        }
    }
    return NULL;
}

static bool word_is(const char *at, size_t n, const char *word)
{
    return strlen(word) == n && !memcmp(at, word, n);
}

bool lapis_says_word(const char *text, const char *word)
{
    size_t n;
    for (const char *at = text; text && (at = next_word(text, at, &n)); at += n)
        if (word_is(at, n, word))
            return true;
    return false;
}

const char *lapis_rename_word(struct hira_pool *pool, const char *text, const char *from, const char *to)
{
    if (!text || !lapis_says_word(text, from))
        return text;
    struct hira_text out = {0};
    const char *done = text;
    size_t n;
    for (const char *at = text; (at = next_word(text, at, &n)); at += n) {
        if (!word_is(at, n, from))
            continue;
        hira_text_append(&out, done, (size_t)(at - done));
        hira_text_puts(&out, to);
        done = at + n;
    }
    hira_text_puts(&out, done);
    const char *renamed = hira_pool_strndup(pool, out.data, out.size);
    hira_text_fini(&out);
    return renamed;
}

const char *lapis_describe_type(struct hira_pool *pool, const struct lapis_ctype *type)
{
    static const char *const kinds[] = {"void",       "an integer", "a number", "a handle", "a pointer",
                                        "a function", "a struct",   "a union",  "an array", "of unknown layout"};
    return hira_pool_printf(pool, "'%s', %s", type->spelling, kinds[type->kind]);
}

/* ---- names in expressions ---- */

static bool is_keyword(const char *word)
{
    static const char *const words[] = {
        "sizeof",
        "_Alignof",
        "const",
        "void",
        "char",
        "short",
        "int",
        "long",
        "unsigned",
        "signed",
        "float",
        "double",
        "_Bool",
        "bool",
        "struct",
        "union",
        "enum",
        "NULL",
        "true",
        "false",
        "size_t",
        "ssize_t",
        "int8_t",
        "int16_t",
        "int32_t",
        "int64_t",
        "uint8_t",
        "uint16_t",
        "uint32_t",
        "uint64_t",
        "intptr_t",
        "uintptr_t",
        "volatile",
        "strlen",
        "strnlen",
        "strcmp",
        "strncmp",
        "memcmp",
        "ret",
        "index",
        "typeof",
        "__typeof__",
        "if",
        "else",
        "return",
        "for",
        "while",
        "offsetof",
        "inline",
        "static",
        "UINT64_MAX",
        "SIZE_MAX",
        "INT32_MIN",
        "INT32_MAX",
        "INT64_MIN",
        "INT64_MAX",
        "UINT32_MAX",
        "ptrdiff_t",
        "__builtin_popcountll",
        "__builtin_popcount",
    };
    for (size_t i = 0; i < HIRA_ARRAY_SIZE(words); i++)
        if (!strcmp(word, words[i]))
            return true;
    return false;
}

static bool known(const struct lapis_front *front, const struct lapis_scope *scope, const char *word)
{
    const struct lapis_model *model = front->model;
    for (size_t i = 0; i < scope->n_names; i++)
        if (scope->names[i] && !strcmp(scope->names[i], word))
            return true;
    return is_keyword(word) || !strncmp(word, "hira_", 5) || !strncmp(word, "__builtin_", 10) ||
           (!strncmp(word, "state_", 6) && lapis_model_handle(model, word + 6)) || lapis_model_has_name(model, word) || lapis_says_word(model->shared_code.text, word) ||
           lapis_says_word(model->guest_code.text, word) || lapis_says_word(model->server_code.text, word);
}

static void check_name(struct lapis_front *front, struct lapis_loc loc, const char *word,
                       const struct lapis_scope *scope)
{
    if (known(front, scope, word))
        return;
    const char *meant = lapis_did_you_mean(word, scope->names, scope->n_names);
    if (!meant && !front->model->n_names)
        return; /* it may be anything that the header defines */
    if (!meant)
        meant = lapis_did_you_mean(word, front->model->names, front->model->n_names);
    if (scope->of)
        lapis_error(front->diag, loc, "'%s' is no parameter of %s and nothing that the header declares", word,
                    scope->of);
    else
        lapis_error(front->diag, loc, "'%s' is nothing that the header declares", word);
    if (meant)
        lapis_hint(front->diag, "did you mean '%s'?", meant);
}

void lapis_check_names(struct lapis_front *front, const struct lapis_node *node, const struct lapis_argument *arg,
                       const struct lapis_scope *scope)
{
    const struct lapis_source *source = node->source;
    bool member = false, in_braces = false;
    for (size_t i = arg->first; i < arg->end; i++) {
        const struct lapis_token *t = &source->tokens[i];
        char c = source->text[t->offset];
        if (t->kind == LAPIS_T_COMMENT)
            continue;
        in_braces |= c == '{'; /* a statement expression may declare names of its own, {name} is none */
        if (t->kind == LAPIS_T_NAME && !member && !in_braces)
            check_name(front, lapis_token_loc(source, t), lapis_token_text(front->pool, source, t), scope);
        member = t->kind == LAPIS_T_PUNCT &&
                 (c == '.' || (c == '>' && i > arg->first && source->text[source->tokens[i - 1].offset] == '-'));
    }
}
