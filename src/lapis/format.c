/*
 * The canonical layout of a specification: one statement a line, four columns a level, short bodies on one line,
 * comments kept where they stood, at most one blank line. C between braces keeps its own layout and is only moved as a
 * whole.
 *
 * The tree says where statements begin and end; the tokens are the text. Between two tokens of a statement's head there
 * is a blank exactly where the author had any space, but for what is canonical everywhere: commas, parentheses, braces.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <string.h>

#include "base/pool.h"
#include "lapis/ast.h"
#include "lapis/compile.h"
#include "lapis/parser.h"

#define WIDTH 120 /* columns that a statement on one line may take */
#define INDENT 4

struct printer {
    struct hira_pool *pool;
    const struct lapis_source *source;
    struct hira_text *out;
    size_t at;  /* the next token that has not been printed */
    bool first; /* nothing stands yet in this body: no blank line before */
};

static const struct lapis_token *token(const struct printer *p, size_t i)
{
    return &p->source->tokens[i];
}

static bool is_punct(const struct printer *p, size_t i, char c)
{
    return token(p, i)->kind == LAPIS_T_PUNCT && p->source->text[token(p, i)->offset] == c;
}

static bool has_comment(const struct printer *p, size_t first, size_t end)
{
    for (size_t i = first; i < end; i++)
        if (token(p, i)->kind == LAPIS_T_COMMENT)
            return true;
    return false;
}

static void put_token(struct printer *p, size_t i)
{
    hira_text_append(p->out, p->source->text + token(p, i)->offset, token(p, i)->length);
}

static void put_indent(struct printer *p, int depth)
{
    hira_text_printf(p->out, "%*s", depth * INDENT, "");
}

/* ---- heads ---- */

/* Whether the canonical layout has a blank between tokens i - 1 and i; the author's choice where neither matters. */
static bool blank_between(const struct printer *p, const struct lapis_node *n, size_t i)
{
    bool comma = is_punct(p, i - 1, ',');
    if (comma)
        return true;
    bool declares = n->word == LAPIS_W_PROTOTYPE && token(p, i - 1)->line == n->name_loc.line &&
                    token(p, i - 1)->column == n->name_loc.column;
    if (declares)
        return false;
    if (is_punct(p, i, ',') || is_punct(p, i, ';') || is_punct(p, i, ')') || is_punct(p, i - 1, '('))
        return false;
    /* parameter(x), not parameter (x); but if (x) */
    if (is_punct(p, i, '(') && i > n->first && i - 1 == n->first)
        return n->word == LAPIS_W_IF;
    if (is_punct(p, i, ':') && (n->word == LAPIS_W_KEYS || n->word == LAPIS_W_CASE))
        return false;
    if (is_punct(p, i - 1, ':') && (n->word == LAPIS_W_KEYS || n->word == LAPIS_W_CASE))
        return true;
    return token(p, i)->space;
}

/* A comment within a head keeps its place; behind a // comment the line ends. */
static void put_head(struct printer *p, const struct lapis_node *n, size_t first, size_t end, int depth)
{
    for (size_t i = first; i < end; i++) {
        bool broken = i > first && token(p, i - 1)->kind == LAPIS_T_COMMENT &&
                      p->source->text[token(p, i - 1)->offset + 1] == '/';
        if (broken) {
            hira_text_puts(p->out, "\n");
            put_indent(p, depth + 1);
        } else if (i > first &&
                   (token(p, i)->kind == LAPIS_T_COMMENT || blank_between(p, n, i) ||
                    (token(p, i - 1)->kind == LAPIS_T_COMMENT && !is_punct(p, i, ',') && !is_punct(p, i, ')')))) {
            hira_text_puts(p->out, " ");
        }
        put_token(p, i);
    }
}

static bool ends_in_line_comment(const struct printer *p, size_t first, size_t end)
{
    return end > first && token(p, end - 1)->kind == LAPIS_T_COMMENT &&
           p->source->text[token(p, end - 1)->offset + 1] == '/';
}

/* The head as a text of its own, to be measured and wrapped. */
static char *head_text(struct printer *p, const struct lapis_node *n, size_t first, size_t end)
{
    struct hira_text text = {0}, *saved = p->out;
    p->out = &text;
    put_head(p, n, first, end, 0);
    p->out = saved;
    char *copy = hira_pool_strndup(p->pool, text.data ? text.data : "", text.size);
    hira_text_fini(&text);
    return copy;
}

/* Breaks an overlong line behind commas outside strings, never within the parentheses of a single argument. */
static void put_wrapped(struct printer *p, const char *text, int depth, size_t room)
{
    size_t used = 0, limit = WIDTH - HIRA_MIN(room, (size_t)WIDTH / 2);
    while (used < p->out->size && p->out->data[p->out->size - used - 1] != '\n')
        used++;
    for (;;) {
        size_t best = 0;
        bool quoted = false;
        size_t n = strlen(text);
        if (used + n <= limit)
            break;
        for (size_t i = 0; text[i] && (used + i < limit || !best); i++) {
            if (text[i] == '"' && (!i || text[i - 1] != '\\'))
                quoted = !quoted;
            if (text[i] == ',' && text[i + 1] == ' ' && !quoted)
                best = i + 1;
        }
        if (!best)
            break;
        hira_text_append(p->out, text, best);
        hira_text_puts(p->out, "\n");
        put_indent(p, depth + 1);
        text += best + 1;
        used = (size_t)(depth + 1) * INDENT;
    }
    hira_text_puts(p->out, text);
}

/* ---- comments and blank lines ---- */

/* Comments between the last printed token and token `to`: those on the last token's line stay there, others get a line
 * of their own. Leaves the output at the start of a line. */
static void put_comments(struct printer *p, size_t to, int depth)
{
    for (; p->at < to; p->at++) {
        const struct lapis_token *t = token(p, p->at);
        if (t->kind != LAPIS_T_COMMENT)
            continue;
        if (t->newlines == 0 && p->at > 0 && p->out->size) {
            p->out->size--; /* the line's end comes after the comment */
            p->out->data[p->out->size] = 0;
            hira_text_puts(p->out, p->out->data[p->out->size - 1] == '\n' ? "" : " ");
        } else {
            if (t->newlines > 1 && !p->first)
                hira_text_puts(p->out, "\n");
            put_indent(p, depth);
        }
        put_token(p, p->at);
        hira_text_puts(p->out, "\n");
        p->first = false;
    }
}

/* ---- code ---- */

static size_t leading_blanks(const char *line, const char *end)
{
    size_t n = 0;
    for (; line < end && (*line == ' ' || *line == '\t'); line++)
        n += *line == '\t' ? INDENT - n % INDENT : 1;
    return n;
}

static bool blank_line(const char *line, const char *end)
{
    while (line < end && strchr(" \t\r", *line))
        line++;
    return line == end;
}

/* The least indentation among the lines, the first (behind the brace) left out. */
static size_t common_indent(const char *text, const char *end)
{
    size_t least = SIZE_MAX;
    const char *line = memchr(text, '\n', (size_t)(end - text));
    while (line) {
        const char *start = line + 1, *stop = memchr(start, '\n', (size_t)(end - start));
        const char *limit = stop ? stop : end;
        if (!blank_line(start, limit) && *start != '#')
            least = HIRA_MIN(least, leading_blanks(start, limit));
        line = stop;
    }
    return least == SIZE_MAX ? 0 : least;
}

static void put_code_line(struct printer *p, const char *start, const char *limit, size_t common, int indent)
{
    while (limit > start && strchr(" \t\r", limit[-1]))
        limit--;
    if (start == limit) {
        hira_text_puts(p->out, "\n");
        return;
    }
    if (*start != '#') { /* directives stay at the margin */
        size_t blanks = leading_blanks(start, limit);
        while (start < limit && (*start == ' ' || *start == '\t'))
            start++;
        hira_text_printf(p->out, "%*s", (int)(blanks - HIRA_MIN(blanks, common)) + indent, "");
    }
    hira_text_append(p->out, start, (size_t)(limit - start));
    hira_text_puts(p->out, "\n");
}

static void put_code(struct printer *p, const struct lapis_node *n, int depth, size_t column)
{
    const char *text = p->source->text + token(p, n->open)->offset + 1,
               *end = p->source->text + token(p, n->close)->offset;
    while (text < end && strchr(" \t\r", *text))
        text++;
    while (end > text && strchr(" \t\r\n", end[-1]))
        end--;
    bool line_comment = false;
    for (size_t i = n->open; i < n->close; i++)
        line_comment |= token(p, i)->kind == LAPIS_T_COMMENT && p->source->text[token(p, i)->offset + 1] == '/';
    bool single = !memchr(text, '\n', (size_t)(end - text)) && !line_comment;
    if (text == end) {
        hira_text_puts(p->out, "{}");
    } else if (single && column + (size_t)(end - text) + 4 <= WIDTH) {
        hira_text_printf(p->out, "{ %.*s }", (int)(end - text), text);
    } else {
        size_t common = common_indent(text, end);
        hira_text_puts(p->out, "{\n");
        /* The first line may stand behind the brace: then it has no indentation of its own. */
        const char *line = text;
        if (*line == '\n')
            line++;
        else if (memchr(text, '\n', (size_t)(end - text)) == NULL)
            common = 0;
        for (bool first = line == text; line < end; first = false) {
            const char *stop = memchr(line, '\n', (size_t)(end - line));
            const char *limit = stop ? stop : end;
            put_code_line(p, line, limit, first ? 0 : common, (depth + 1) * INDENT);
            line = limit + 1;
        }
        put_indent(p, depth);
        hira_text_puts(p->out, "}");
    }
}

/* ---- statements ---- */

static void put_statement(struct printer *p, const struct lapis_node *n, int depth);

/* The end of the head: the body's brace, or the statement's end without its semicolon. */
static size_t head_end(const struct printer *p, const struct lapis_node *n)
{
    if (n->has_body)
        return n->open;
    size_t end = n->end;
    if (end > n->first && is_punct(p, end - 1, ';'))
        end--;
    return end;
}

static size_t if_head_end(const struct lapis_node *n)
{
    return n->n_args ? n->args[0].end + 1 : n->first + 1;
}

/* Code behind its head, if it stands on one line. */
static bool put_flat_code(struct printer *p, const struct lapis_node *n)
{
    const char *text = p->source->text + token(p, n->open)->offset + 1, *end = p->source->text + token(p, n->close)->offset;
    while (text < end && strchr(" \t\r\n", *text))
        text++;
    while (end > text && strchr(" \t\r\n", end[-1]))
        end--;
    if (memchr(text, '\n', (size_t)(end - text)))
        return false;
    put_head(p, n, n->first, n->open, 0);
    if (text == end)
        hira_text_puts(p->out, " {}");
    else
        hira_text_printf(p->out, " { %.*s }", (int)(end - text), text);
    return true;
}

/* A statement on one line, without indentation or line end; false when it has something that needs lines of its own. */
static bool put_flat(struct printer *p, const struct lapis_node *n)
{
    if (has_comment(p, n->first, n->end))
        return false;
    if (n->grammar && n->grammar->body == LAPIS_BODY_CODE && n->has_body)
        return put_flat_code(p, n);
    if (n->word == LAPIS_W_IF) {
        put_head(p, n, n->first, if_head_end(n), 0);
        hira_text_puts(p->out, n->has_body ? " {" : "");
        for (size_t i = 0; i < n->n_body; i++) {
            hira_text_puts(p->out, " ");
            if (!put_flat(p, n->body[i]))
                return false;
        }
        hira_text_puts(p->out, n->has_body ? " }" : "");
        if (!n->other)
            return true;
        hira_text_puts(p->out, " ");
        return put_flat(p, n->other);
    }
    put_head(p, n, n->first, head_end(p, n), 0);
    if (!n->has_body) {
        hira_text_puts(p->out, ";");
        return true;
    }
    bool list = n->grammar && n->grammar->body == LAPIS_BODY_LIST;
    hira_text_puts(p->out, " {");
    for (size_t i = 0; !list && i < n->n_body; i++) {
        hira_text_puts(p->out, " ");
        if (!put_flat(p, n->body[i]))
            return false;
    }
    for (size_t i = n->n_args ? 1 : 0; list && i < n->n_args; i++)
        hira_text_printf(p->out, "%s %s", i > 1 ? "," : "", n->args[i].text);
    hira_text_puts(p->out, !list && !n->n_body ? "}" : " }");
    return true;
}

static char *flat_text(struct printer *p, const struct lapis_node *n)
{
    struct hira_text text = {0}, *saved = p->out;
    p->out = &text;
    bool ok = put_flat(p, n);
    p->out = saved;
    char *copy = ok ? hira_pool_strndup(p->pool, text.data ? text.data : "", text.size) : NULL;
    hira_text_fini(&text);
    return copy;
}

/* Bodies within bodies. */
static int levels(const struct lapis_node *n)
{
    int most = 0;
    for (size_t i = 0; i < n->n_body; i++)
        most = HIRA_MAX(most, levels(n->body[i]));
    return most + n->has_body;
}

/* What is worth one line if it fits: no function's body, and no body of bodies of bodies. */
static bool may_be_flat(const struct lapis_node *n, int depth)
{
    if (n->word == LAPIS_W_IF && n->other && n->other->n_body == 1 && n->other->body[0]->word == LAPIS_W_IF)
        return false;
    if (!n->has_body)
        return true;
    if (depth > 0)
        return levels(n) <= 3 && n->n_body <= 5;
    if (n->n_body == 1)
        return n->word != LAPIS_W_API && levels(n) <= 3;
    for (size_t i = 0; i < n->n_body; i++)
        if (n->body[i]->has_body || n->body[i]->word == LAPIS_W_IF)
            return false;
    return n->n_body <= 2 && n->word != LAPIS_W_API;
}

static void put_body(struct printer *p, const struct lapis_node *n, int depth)
{
    hira_text_puts(p->out, "{\n");
    p->at = n->open + 1;
    p->first = true;
    for (size_t i = 0; i < n->n_body; i++)
        put_statement(p, n->body[i], depth + 1);
    put_comments(p, n->close, depth + 1);
    put_indent(p, depth);
    hira_text_puts(p->out, "}");
    p->at = n->close + 1;
}

/* values(T) { A, B }: filled lines; with comments, one value a line. */
static void put_list(struct printer *p, const struct lapis_node *n, int depth)
{
    size_t column = 0;
    bool comments = has_comment(p, n->open, n->close);
    hira_text_puts(p->out, "{\n");
    p->at = n->open + 1;
    p->first = true;
    for (size_t i = 1; i < n->n_args; i++) {
        size_t length = strlen(n->args[i].text) + 2;
        if (comments) {
            /* A comment on the line of the value before stands behind its comma. */
            put_comments(p, n->args[i].first, depth + 1);
            p->first = false;
        }
        if (comments || !column || column + length > WIDTH) {
            if (column && !comments)
                hira_text_puts(p->out, "\n");
            put_indent(p, depth + 1);
            column = (size_t)(depth + 1) * INDENT;
        } else {
            hira_text_puts(p->out, " ");
        }
        hira_text_printf(p->out, "%s%s", n->args[i].text, i + 1 < n->n_args ? "," : "");
        column += length;
        p->at = n->args[i].end;
        if (comments)
            hira_text_puts(p->out, "\n");
    }
    if (!comments && n->n_args > 1)
        hira_text_puts(p->out, "\n");
    put_comments(p, n->close, depth + 1);
    put_indent(p, depth);
    hira_text_puts(p->out, "}");
    p->at = n->close + 1;
}

static void put_broken(struct printer *p, const struct lapis_node *n, int depth);

static void put_if(struct printer *p, const struct lapis_node *n, int depth)
{
    put_head(p, n, n->first, if_head_end(n), depth);
    p->at = if_head_end(n);
    if (n->n_body == 1 && n->body[0]->word == LAPIS_W_IF && !n->n_args && !n->has_body) { /* else if */
        hira_text_puts(p->out, " ");
        put_if(p, n->body[0], depth);
        return;
    }
    if (n->has_body) {
        hira_text_puts(p->out, " ");
        put_body(p, n, depth);
    } else if (n->n_body == 1 && n->body[0]->word != LAPIS_W_IF && !has_comment(p, n->first, n->body[0]->end)) {
        hira_text_puts(p->out, " ");
        put_broken(p, n->body[0], depth);
    } else {
        hira_text_puts(p->out, "\n");
        p->first = true;
        for (size_t i = 0; i < n->n_body; i++)
            put_statement(p, n->body[i], depth + 1);
        if (p->out->size && p->out->data[p->out->size - 1] == '\n')
            p->out->size--; /* the caller ends the line */
    }
    if (!n->other)
        return;
    if (n->has_body) {
        hira_text_puts(p->out, " ");
    } else {
        hira_text_puts(p->out, "\n");
        put_comments(p, n->other->first, depth);
        put_indent(p, depth);
    }
    put_if(p, n->other, depth);
}

static void put_broken(struct printer *p, const struct lapis_node *n, int depth)
{
    size_t start = p->out->size, end = head_end(p, n);
    if (n->word == LAPIS_W_IF) {
        put_if(p, n, depth);
        return;
    }
    if (has_comment(p, n->first, end))
        put_head(p, n, n->first, end, depth);
    else
        put_wrapped(p, head_text(p, n, n->first, end), depth, 2);
    if (ends_in_line_comment(p, n->first, end)) {
        hira_text_puts(p->out, "\n");
        put_indent(p, depth);
    } else if (n->has_body) {
        hira_text_puts(p->out, " ");
    }
    p->at = end;
    if (!n->has_body) {
        hira_text_puts(p->out, ";");
        p->at = n->end;
    } else if (n->grammar && n->grammar->body == LAPIS_BODY_CODE) {
        put_code(p, n, depth, p->out->size - start + (size_t)depth * INDENT);
        p->at = n->close + 1;
    } else if (n->grammar && n->grammar->body == LAPIS_BODY_LIST) {
        put_list(p, n, depth);
    } else {
        put_body(p, n, depth);
    }
}

static void put_statement(struct printer *p, const struct lapis_node *n, int depth)
{
    put_comments(p, n->first, depth);
    if (token(p, n->first)->newlines > 1 && !p->first)
        hira_text_puts(p->out, "\n");
    p->first = false;
    char *flat = may_be_flat(n, depth) ? flat_text(p, n) : NULL;
    put_indent(p, depth);
    if (flat && strlen(flat) + (size_t)depth * INDENT <= WIDTH) {
        hira_text_puts(p->out, flat);
        p->at = n->end;
    } else {
        put_broken(p, n, depth);
    }
    p->at = n->end;
    hira_text_puts(p->out, "\n");
}

static void put_directive(struct printer *p, const struct lapis_node *n)
{
    put_comments(p, n->first, 0);
    if (token(p, n->first)->newlines > 1 && !p->first)
        hira_text_puts(p->out, "\n");
    hira_text_printf(p->out, "#include %s\n", n->args[0].text);
    p->first = false;
    p->at = n->end;
}

int lapis_format(const char *file, const char *text, size_t size, struct hira_text *out, struct lapis_diag *diag)
{
    struct hira_pool *pool = hira_pool_create();
    size_t errors = lapis_diag_errors(diag);
    struct lapis_source *source =
        lapis_lex(pool, hira_pool_strdup(pool, file), hira_pool_strndup(pool, text, size), size, diag);
    struct lapis_file *parsed = lapis_parse(pool, source, diag);
    struct printer p = {.pool = pool, .source = source, .out = out, .first = true};
    bool ok = lapis_diag_errors(diag) == errors;
    for (size_t i = 0; ok && i < parsed->n_items; i++) {
        if (parsed->items[i]->word == LAPIS_W_DIRECTIVE)
            put_directive(&p, parsed->items[i]);
        else
            put_statement(&p, parsed->items[i], 0);
    }
    if (ok)
        put_comments(&p, source->n_tokens, 0);
    hira_pool_destroy(pool);
    return ok ? 0 : -EINVAL;
}
