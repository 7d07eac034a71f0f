/*
 * A source text as tokens. The whole file is cut up at once, comments included: the parser steps over them, the
 * formatter puts them back. Nothing is copied: a token is a range of the text.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#ifndef HIRA_LAPIS_LEXER_H
#define HIRA_LAPIS_LEXER_H

#include "lapis/diag.h"

enum lapis_token_kind {
    LAPIS_T_END, /* the last token of every source */
    LAPIS_T_NAME,
    LAPIS_T_NUMBER,
    LAPIS_T_STRING,
    LAPIS_T_CHAR,
    LAPIS_T_PUNCT,     /* one character: "->" is two tokens without space between */
    LAPIS_T_DIRECTIVE, /* from a # that begins a line to the line's end, continuation lines included */
    LAPIS_T_COMMENT,
};

struct lapis_token {
    enum lapis_token_kind kind;
    uint32_t offset, length;
    unsigned line, column; /* of the first byte, from 1; columns count bytes */
    unsigned newlines;     /* line ends between the token before (comments are tokens) and this one */
    bool space;            /* anything at all stands between */
};

struct lapis_source {
    const char *file;
    const char *text; /* NUL-terminated */
    size_t size;
    struct lapis_token *tokens;
    size_t n_tokens;
};

#define LAPIS_SOURCE_LIMIT (16u << 20) /* bytes of a spec; offsets fit 32 bits with room to spare */

/* Cuts up `text`, which must live as long as the result. Never fails: what is no token is reported and skipped. */
struct lapis_source *lapis_lex(struct hira_pool *pool, const char *file, const char *text, size_t size,
                               struct lapis_diag *diag);

/* Reads the file and cuts it up. NULL, with the reason in `diag` at `from` (who asked for it), when it cannot be read.
 */
struct lapis_source *lapis_lex_file(struct hira_pool *pool, const char *file, struct lapis_loc from,
                                    struct lapis_diag *diag);

static inline struct lapis_loc lapis_token_loc(const struct lapis_source *source, const struct lapis_token *token)
{
    return (struct lapis_loc){source->file, token->line, token->column};
}

bool lapis_token_is(const struct lapis_source *source, const struct lapis_token *token, const char *text);
char *lapis_token_text(struct hira_pool *pool, const struct lapis_source *source, const struct lapis_token *token);

/* The tokens [first, end) as one line: comments left out, any space between two of them made one blank. */
char *lapis_tokens_text(struct hira_pool *pool, const struct lapis_source *source, size_t first, size_t end);

#endif
