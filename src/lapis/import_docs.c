/*
 * What stands around a prototype: documentation, the parameters as the header spells them, the version macro behind it.
 * All of it is read from the source text, not from clang's comments, because clang attaches none to a declaration whose
 * name comes from a macro, none to a parameter, and with -fparse-all-comments the wrong one where the comment stands
 * behind (zlib.h).
 *
 * A parameter's text comes from "@param[in] name text" of the block before the prototype, or from a comment "///< text"
 * behind the parameter. Direction tags stay in front of it, in brackets: inference reads them there.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include <ctype.h>
#include <string.h>

#include "base/text.h"
#include "lapis/import_private.h"

/* A stretch of a file's text. */
struct span {
    const char *start, *end;
};

/* ---- lexical helpers: all take and give pointers into one text, `end` is its end ---- */

static bool starts(const char *p, const char *end, const char *what)
{
    size_t n = strlen(what);
    return (size_t)(end - p) >= n && !memcmp(p, what, n);
}

/* Behind the comment that begins at p, or p when none does. */
static const char *skip_comment(const char *p, const char *end)
{
    if (starts(p, end, "//")) {
        while (p < end && *p != '\n')
            p++;
    } else if (starts(p, end, "/*")) {
        for (p += 2; p < end && !starts(p, end, "*/"); p++)
            ;
        p = end - p >= 2 ? p + 2 : end;
    }
    return p;
}

static bool word_char(char c)
{
    return isalnum((unsigned char)c) || c == '_';
}

static struct lapis_loc loc_at(const struct import_file *file, const char *p)
{
    struct lapis_loc loc = {file->name, 1, 1};
    for (const char *q = file->text; q < p; q++) {
        loc.column++;
        if (*q == '\n') {
            loc.line++;
            loc.column = 1;
        }
    }
    return loc;
}

/* ---- comments ---- */

static bool is_doc_comment(struct span c)
{
    if (starts(c.start, c.end, "///") || starts(c.start, c.end, "//!"))
        return !starts(c.start, c.end, "////");
    return (starts(c.start, c.end, "/**") || starts(c.start, c.end, "/*!")) && !starts(c.start, c.end, "/***") &&
           !starts(c.start, c.end, "/**/");
}

static bool is_trailing_comment(struct span c)
{
    return is_doc_comment(c) && c.end - c.start > 3 && c.start[3] == '<';
}

/* A comment's text without its marks: one line per line, leading "*", "///", "<" and spaces gone. */
static void clean(struct hira_text *out, struct span c)
{
    const char *p = c.start, *end = c.end;
    if (starts(p, end, "/*") && end - p >= 4)
        end -= 2;
    while (p < end) {
        while (p < end && strchr(" \t/*!", *p))
            p++;
        if (p < end && *p == '<' && (out->size == 0 || (p > c.start && strchr("/*!", p[-1]))))
            p++;
        while (p < end && (*p == ' ' || *p == '\t'))
            p++;
        const char *eol = memchr(p, '\n', (size_t)(end - p));
        const char *stop = eol ? eol : end;
        const char *last = stop;
        while (last > p && isspace((unsigned char)last[-1]))
            last--;
        hira_text_append(out, p, (size_t)(last - p));
        hira_text_puts(out, "\n");
        p = eol ? eol + 1 : end;
    }
}

static const char *finish(struct import *import, struct hira_text *text)
{
    size_t n = text->size;
    while (n && isspace((unsigned char)text->data[n - 1]))
        n--;
    const char *s = n ? hira_pool_strndup(import->pool, text->data, n) : NULL;
    hira_text_fini(text);
    return s;
}

/* The beginning of the comment that ends right before p (a block, or a run of // lines), or NULL. */
static const char *comment_before(const char *text, const char *p)
{
    if (p - text >= 4 && p[-1] == '/' && p[-2] == '*') {
        for (const char *q = p - 4; q >= text; q--)
            if (q[0] == '/' && q[1] == '*')
                return q;
        return NULL;
    }
    const char *found = NULL;
    for (;;) {
        const char *line = p;
        while (line > text && line[-1] != '\n')
            line--;
        while (line < p && (*line == ' ' || *line == '\t'))
            line++;
        if (p - line < 2 || line[0] != '/' || line[1] != '/')
            return found;
        found = line;
        while (line > text && line[-1] != '\n')
            line--;
        p = line > text ? line - 1 : text;
        if (p > text && p[-1] == '\r')
            p--;
        if (p == text)
            return found;
    }
}

/* The documentation comment above `p`, over the words of the declaration that stand between (API macros, types). */
static bool doc_before(const struct import_file *file, const char *p, struct span *ret)
{
    while (p > file->text) {
        if (isspace((unsigned char)p[-1])) {
            p--;
            continue;
        }
        const char *start = comment_before(file->text, p);
        if (start) {
            *ret = (struct span){start, p};
            return is_doc_comment(*ret);
        }
        if (!word_char(p[-1]) && !strchr("*()\"", p[-1]))
            return false;
        p--;
    }
    return false;
}

/* ---- the prototype's text ---- */

struct prototype {
    const struct import_file *file;
    const char *start;        /* of the declaration */
    const char *open, *close; /* its parentheses */
    const char *semicolon;    /* or the text's end */
};

static const char *next_code(const char *p, const char *end)
{
    for (;;) {
        const char *q = skip_comment(p, end);
        while (q < end && isspace((unsigned char)*q))
            q++;
        if (q == p)
            return p;
        p = q;
    }
}

static const char *matching(const char *open, const char *end)
{
    int depth = 0;
    for (const char *p = open; p < end;) {
        const char *q = skip_comment(p, end);
        if (q != p) {
            p = q;
            continue;
        }
        if (*p == '(')
            depth++;
        if (*p == ')' && --depth == 0)
            return p;
        if (*p == ';' || *p == '{')
            return NULL;
        p++;
    }
    return NULL;
}

static bool find_prototype(struct import *import, CXCursor cursor, struct prototype *p)
{
    unsigned start, name;
    struct import_file *file = import_file_of(import, clang_getCursorLocation(cursor), &name);
    struct import_file *same = import_file_of(import, clang_getRangeStart(clang_getCursorExtent(cursor)), &start);
    if (!file || !file->text || name >= file->size)
        return false;
    const char *end = file->text + file->size;
    p->file = file;
    p->start = file->text + (same == file && start <= name ? start : name);
    const char *q = file->text + name;
    while (q < end && word_char(*q))
        q++;
    p->open = next_code(q, end);
    if (p->open < end && *p->open == ')') /* int (name)(args), zlib's "OF" style: type ZEXPORT (name) OF((args)) */
        p->open = next_code(p->open + 1, end);
    while (p->open < end && word_char(*p->open)) /* a macro around the arguments: name OF((args)) */
        p->open++;
    p->open = next_code(p->open, end);
    if (p->open < end && *p->open == '(' && next_code(p->open + 1, end) < end && *next_code(p->open + 1, end) == '(')
        p->open = next_code(p->open + 1, end);
    p->close = p->open < end && *p->open == '(' ? matching(p->open, end) : NULL;
    for (q = p->close ? p->close : file->text + name; q < end && *q != ';';) {
        const char *after = skip_comment(q, end);
        q = after == q ? q + 1 : after;
    }
    p->semicolon = q;
    return true;
}

/* ---- parameters ---- */

struct piece {
    struct span code;
    struct hira_text comment; /* "///<" behind it */
    const char *comment_at;
};

#define PIECES_MAX 64 /* C promises 127 arguments; an API of more than 64 goes without parameter documentation */

static size_t split(const struct prototype *p, struct piece *pieces)
{
    size_t n = 0;
    int depth = 0;
    bool begun = false; /* the current piece has code */
    pieces[0] = (struct piece){.code = {p->open + 1, p->open + 1}};
    for (const char *q = p->open + 1; q < p->close;) {
        const char *after = skip_comment(q, p->close);
        if (after != q) {
            /* A comment behind the comma is still the parameter's before it. */
            struct piece *to = begun || n == 0 ? &pieces[n] : &pieces[n - 1];
            struct span c = {q, after};
            if (is_trailing_comment(c) || (to->comment.size && is_doc_comment(c))) {
                if (!to->comment_at)
                    to->comment_at = q;
                clean(&to->comment, c);
            }
            q = after;
            continue;
        }
        depth += *q == '(' || *q == '[';
        depth -= *q == ')' || *q == ']';
        if (*q == ',' && depth == 0) {
            if (++n == PIECES_MAX)
                return n;
            pieces[n] = (struct piece){.code = {q + 1, q + 1}};
            begun = false;
        } else if (!isspace((unsigned char)*q)) {
            if (!begun)
                pieces[n].code.start = q;
            begun = true;
            pieces[n].code.end = q + 1;
        }
        q++;
    }
    return n + 1;
}

static void take_pieces(struct import *import, struct lapis_function *function, const struct prototype *p)
{
    struct piece pieces[PIECES_MAX];
    size_t n = p->close ? split(p, pieces) : 0;
    for (size_t i = 0; i < n && i < PIECES_MAX; i++) {
        const char *text = finish(import, &pieces[i].comment);
        if (n != function->n_params)
            continue;
        struct lapis_value *value = &function->params[i];
        value->source =
            hira_pool_strndup(import->pool, pieces[i].code.start, (size_t)(pieces[i].code.end - pieces[i].code.start));
        if (text) {
            value->doc = text;
            value->doc_loc = loc_at(p->file, pieces[i].comment_at);
        }
    }
}

/* ---- "@param[in] a, b text" ---- */

static struct lapis_value *parameter_named(struct lapis_function *function, const char *name, size_t length)
{
    for (size_t i = 0; i < function->n_params; i++)
        if (strlen(function->params[i].name) == length && !memcmp(function->params[i].name, name, length))
            return &function->params[i];
    return NULL;
}

/* The end of a command's text: the next block command at the start of a line, an empty line, or the end. */
static const char *command_end(const char *p)
{
    static const char *const inside[] = {"p ", "c ", "ref ", "e ", "a ", "b ", "see ", "link", "endlink", "n"};
    for (; *p; p++) {
        if (p[0] == '\n' && p[1] == '\n')
            return p;
        if (p[0] != '\n' || (p[1] != '\\' && p[1] != '@'))
            continue;
        bool inline_command = false;
        for (size_t i = 0; i < HIRA_ARRAY_SIZE(inside); i++)
            inline_command |= !strncmp(p + 2, inside[i], strlen(inside[i]));
        if (!inline_command)
            return p;
    }
    return p;
}

static void take_param(struct import *import, struct lapis_function *function, const char *p, struct lapis_loc loc)
{
    const char *tag = p, *tag_end = p;
    if (*p == '[') {
        tag_end = strchr(p, ']');
        if (!tag_end)
            return;
        p = ++tag_end;
    }
    const char *names = p;
    while (*p == ' ' || *p == '\t')
        p++;
    names = p;
    for (;;) { /* behind the last name of "a, b" */
        while (word_char(*p))
            p++;
        if (p[0] != ',' || (!word_char(p[1]) && p[1] != ' '))
            break;
        p += p[1] == ' ' ? 2 : 1;
    }
    const char *text = p, *end = command_end(p);
    while (text < end && (isspace((unsigned char)*text) || *text == '-' || *text == ':'))
        text++;
    for (const char *q = names; q < p;) {
        const char *start = q;
        while (q < p && word_char(*q))
            q++;
        struct lapis_value *value = parameter_named(function, start, (size_t)(q - start));
        if (value && !value->doc) {
            value->doc = hira_pool_printf(import->pool, "%.*s%s%.*s", (int)(tag_end - tag), tag,
                                          tag_end > tag && end > text ? " " : "", (int)(end - text), text);
            value->doc_loc = loc;
        }
        while (q < p && !word_char(*q))
            q++;
    }
}

static void take_params(struct import *import, struct lapis_function *function, struct lapis_loc loc)
{
    unsigned line = loc.line;
    for (const char *p = function->doc; *p; p++) {
        line += *p == '\n';
        if ((*p == '\\' || *p == '@') && !strncmp(p + 1, "param", 5) && (p[6] == ' ' || p[6] == '[' || p[6] == '\t')) {
            const char *q = p + 6;
            while (*q == ' ' || *q == '\t')
                q++;
            take_param(import, function, q, (struct lapis_loc){loc.file, line, 1});
        }
    }
}

/* ---- comments behind the prototype ---- */

static bool comment_behind(const struct prototype *p, struct span *ret)
{
    const char *end = p->file->text + p->file->size, *q = p->semicolon;
    if (q < end)
        q++;
    while (q < end && isspace((unsigned char)*q))
        q++;
    *ret = (struct span){q, skip_comment(q, end)};
    return ret->end != q && *ret->start == '/' && ret->start[1] == '*';
}

struct style {
    struct import *import;
    size_t before[64], behind[64]; /* by file; more files than that keep the usual style */
};

static enum CXChildVisitResult count_style(CXCursor cursor, CXCursor parent, CXClientData data)
{
    struct style *style = data;
    struct prototype p;
    struct span span;
    (void)parent;
    if (clang_getCursorKind(cursor) == CXCursor_FunctionDecl && find_prototype(style->import, cursor, &p)) {
        size_t i = (size_t)(p.file - style->import->files);
        if (i < HIRA_ARRAY_SIZE(style->before)) {
            style->before[i] += doc_before(p.file, p.start, &span);
            style->behind[i] += comment_behind(&p, &span);
        }
    }
    return CXChildVisit_Continue;
}

void import_docs_style(struct import *import)
{
    struct style style = {.import = import};
    clang_visitChildren(clang_getTranslationUnitCursor(import->unit), count_style, &style);
    for (size_t i = 0; i < import->n_files && i < HIRA_ARRAY_SIZE(style.before); i++)
        import->files[i].comments_after = style.before[i] == 0 && style.behind[i] >= 3;
}

/* ---- the version macro ---- */

/* Matches `pattern`, in which # stands for a number, at the word of n characters; the numbers' places go to `numbers`.
 */
static bool match_version(const char *pattern, struct span word, struct span *numbers, size_t max)
{
    const char *p = word.start;
    size_t n = 0;
    for (; *pattern; pattern++) {
        if (*pattern != '#') {
            if (p == word.end || *p++ != *pattern)
                return false;
            continue;
        }
        const char *start = p;
        while (p < word.end && isdigit((unsigned char)*p))
            p++;
        if (p == start || n == max)
            return false;
        numbers[n++] = (struct span){start, p};
    }
    return p == word.end || (word.end - p == 11 && !memcmp(p, "_DEPRECATED", 11));
}

static const char *fill_version(struct import *import, const char *node, const struct span *numbers, size_t max)
{
    struct hira_text out = {0};
    size_t n = 0;
    for (; *node; node++) {
        if (*node == '#' && n < max && numbers[n].start) {
            hira_text_append(&out, numbers[n].start, (size_t)(numbers[n].end - numbers[n].start));
            n++;
        } else {
            hira_text_append(&out, node, 1);
        }
    }
    return finish(import, &out);
}

static void take_version(struct import *import, struct lapis_function *function, const struct prototype *p)
{
    const char *pattern, *node;
    for (size_t i = 0; (pattern = lapis_model_setting(import->model, "versions", i)) != NULL &&
                       (node = lapis_model_setting(import->model, "versions", i + 1)) != NULL;
         i += 2) {
        for (const char *q = p->close; q && q < p->semicolon;) {
            struct span numbers[8] = {{0}}, word = {q, q};
            while (word.end < p->semicolon && word_char(*word.end))
                word.end++;
            if (word.end > q && !function->version && match_version(pattern, word, numbers, HIRA_ARRAY_SIZE(numbers)))
                function->version = fill_version(import, node, numbers, HIRA_ARRAY_SIZE(numbers));
            q = word.end > q ? word.end : q + 1;
        }
    }
}

/* ---- entry points ---- */

void import_docs(struct import *import, struct lapis_function *function, CXCursor cursor)
{
    struct prototype p;
    struct span span;
    if (!find_prototype(import, cursor, &p))
        return;
    bool found = p.file->comments_after ? comment_behind(&p, &span) : doc_before(p.file, p.start, &span);
    take_pieces(import, function, &p);
    take_version(import, function, &p);
    if (found) {
        struct hira_text text = {0};
        clean(&text, span);
        function->doc = finish(import, &text);
        if (function->doc)
            take_params(import, function, loc_at(p.file, span.start));
    }
}

const char *import_docs_of(struct import *import, CXCursor cursor)
{
    CXString raw = clang_Cursor_getRawCommentText(cursor);
    const char *s = clang_getCString(raw);
    struct hira_text text = {0};
    if (s && *s)
        clean(&text, (struct span){s, s + strlen(s)});
    clang_disposeString(raw);
    return finish(import, &text);
}
