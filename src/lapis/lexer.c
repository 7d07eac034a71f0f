/*
 * C's lexical rules, less trigraphs and line continuations outside directives and literals. Every byte of the input is
 * hostile only in the sense of being odd: a NUL, a lone quote or an unclosed comment is reported where it begins.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include "lapis/lexer.h"

#include <ctype.h>
#include <string.h>

#include "base/pool.h"

struct lexer {
    struct hira_pool *pool;
    struct lapis_diag *diag;
    struct lapis_source *source;
    size_t at;
    size_t line_start;
    unsigned line;
    unsigned newlines; /* since the last token */
    bool space, fresh_line;
};

static int look(const struct lexer *x, size_t ahead)
{
    size_t at = x->at + ahead;
    return at < x->source->size ? (unsigned char)x->source->text[at] : -1;
}

static void step(struct lexer *x)
{
    if (x->source->text[x->at++] == '\n') {
        x->line++;
        x->line_start = x->at;
    }
}

static void skip_space(struct lexer *x)
{
    for (int c; c = look(x, 0), c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '\f' || c == '\v';) {
        if (c == '\n') {
            x->newlines++;
            x->fresh_line = true;
        }
        x->space = true;
        step(x);
    }
}

static bool is_name_start(int c)
{
    return c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c >= 0x80;
}

static bool is_name(int c)
{
    return is_name_start(c) || (c >= '0' && c <= '9');
}

static void take_name(struct lexer *x)
{
    while (is_name(look(x, 0)))
        step(x);
}

static void take_number(struct lexer *x)
{
    for (;;) {
        int c = look(x, 0), next = look(x, 1);
        if ((c == 'e' || c == 'E' || c == 'p' || c == 'P') && (next == '+' || next == '-'))
            step(x);
        else if (!is_name(c) && c != '.')
            break;
        step(x);
    }
}

static void take_quoted(struct lexer *x, int quote, struct lapis_loc loc)
{
    step(x);
    for (int c; (c = look(x, 0)) != quote;) {
        if (c == -1 || c == '\n') {
            lapis_error(x->diag, loc, "this %s has no end", quote == '"' ? "string" : "character constant");
            return;
        }
        if (c == '\\' && look(x, 1) != -1)
            step(x);
        step(x);
    }
    step(x);
}

static void take_line(struct lexer *x)
{
    for (int c; (c = look(x, 0)) != -1 && c != '\n';)
        step(x);
}

/* A directive ends with its line, continuation lines included, or where a comment begins. */
static void take_directive(struct lexer *x)
{
    bool quoted = false;
    for (int c; (c = look(x, 0)) != -1 && c != '\n';) {
        if (c == '"')
            quoted = !quoted;
        if (!quoted && c == '/' && (look(x, 1) == '/' || look(x, 1) == '*'))
            return;
        if (c == '\\' && look(x, 1) != -1)
            step(x);
        step(x);
    }
}

static void take_block_comment(struct lexer *x, struct lapis_loc loc)
{
    step(x);
    step(x);
    while (look(x, 0) != '*' || look(x, 1) != '/') {
        if (look(x, 0) == -1) {
            lapis_error(x->diag, loc, "this comment has no end");
            return;
        }
        step(x);
    }
    step(x);
    step(x);
}

static enum lapis_token_kind take_token(struct lexer *x, struct lapis_loc loc)
{
    int c = look(x, 0), next = look(x, 1);
    if (c == '/' && next == '/') {
        take_line(x);
        return LAPIS_T_COMMENT;
    }
    if (c == '/' && next == '*') {
        take_block_comment(x, loc);
        return LAPIS_T_COMMENT;
    }
    if (c == '#' && x->fresh_line) {
        take_directive(x);
        return LAPIS_T_DIRECTIVE;
    }
    if (is_name_start(c)) {
        take_name(x);
        return LAPIS_T_NAME;
    }
    if (isdigit(c) || (c == '.' && next >= '0' && next <= '9')) {
        take_number(x);
        return LAPIS_T_NUMBER;
    }
    if (c == '"' || c == '\'') {
        take_quoted(x, c, loc);
        return c == '"' ? LAPIS_T_STRING : LAPIS_T_CHAR;
    }
    step(x);
    return LAPIS_T_PUNCT;
}

static void push(struct lexer *x, struct lapis_token token)
{
    token.newlines = x->newlines;
    token.space = x->space;
    *HIRA_POOL_PUSH(x->pool, x->source->tokens, x->source->n_tokens) = token;
    x->newlines = 0;
    x->space = false;
}

struct lapis_source *lapis_lex(struct hira_pool *pool, const char *file, const char *text, size_t size,
                               struct lapis_diag *diag)
{
    struct lapis_source *source = hira_pool_alloc(pool, sizeof *source);
    *source = (struct lapis_source){.file = file, .text = text, .size = size};
    struct lexer x = {.pool = pool, .diag = diag, .source = source, .line = 1, .fresh_line = true};
    for (;;) {
        skip_space(&x);
        size_t start = x.at;
        struct lapis_token token = {
            .offset = (uint32_t)start, .line = x.line, .column = (unsigned)(start - x.line_start) + 1};
        struct lapis_loc loc = {file, token.line, token.column};
        if (start >= size) {
            push(&x, token);
            return source;
        }
        unsigned char c = (unsigned char)text[start];
        if ((c < 0x20 || c == 0x7f)) {
            lapis_error(diag, loc, "a byte of value %u has no place in a text", c);
            step(&x);
            continue;
        }
        token.kind = take_token(&x, loc);
        token.length = (uint32_t)(x.at - start);
        if (token.kind == LAPIS_T_DIRECTIVE)
            while (token.length && strchr(" \t\r", text[start + token.length - 1]))
                token.length--;
        if (token.kind == LAPIS_T_COMMENT && text[start + 1] == '/')
            while (strchr(" \t\r", text[start + token.length - 1]))
                token.length--;
        else if (token.kind != LAPIS_T_COMMENT)
            x.fresh_line = false; /* a comment may stand before a directive */
        push(&x, token);
    }
}

struct lapis_source *lapis_lex_file(struct hira_pool *pool, const char *file, struct lapis_loc from,
                                    struct lapis_diag *diag)
{
    struct hira_text text = {0};
    int error = hira_text_read_file(&text, file, LAPIS_SOURCE_LIMIT);
    if (error < 0) {
        lapis_error(diag, from, "cannot read '%s': %s", file, strerror(-error));
        hira_text_fini(&text);
        return NULL;
    }
    const char *copy = hira_pool_strndup(pool, text.data, text.size);
    size_t size = text.size;
    hira_text_fini(&text);
    return lapis_lex(pool, hira_pool_strdup(pool, file), copy, size, diag);
}

bool lapis_token_is(const struct lapis_source *source, const struct lapis_token *token, const char *text)
{
    return strlen(text) == token->length && !memcmp(source->text + token->offset, text, token->length);
}

char *lapis_token_text(struct hira_pool *pool, const struct lapis_source *source, const struct lapis_token *token)
{
    return hira_pool_strndup(pool, source->text + token->offset, token->length);
}

char *lapis_tokens_text(struct hira_pool *pool, const struct lapis_source *source, size_t first, size_t end)
{
    struct hira_text text = {0};
    bool space = false;
    for (size_t i = first; i < end; i++) {
        const struct lapis_token *token = &source->tokens[i];
        space |= token->space;
        if (token->kind == LAPIS_T_COMMENT) {
            space = true;
            continue;
        }
        if (space && text.size)
            hira_text_puts(&text, " ");
        hira_text_append(&text, source->text + token->offset, token->length);
        space = false;
    }
    char *line = hira_pool_strndup(pool, text.data ? text.data : "", text.size);
    hira_text_fini(&text);
    return line;
}
