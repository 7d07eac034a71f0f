/*
 * Messages are kept in order of arrival with a pool of their own, and sorted when they are printed: by file in order of
 * first mention, then line, then column, so that the reader goes through a file once. Source lines are read when they
 * are printed: a run without messages reads nothing twice.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include "lapis/diag.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/pool.h"

#define SOURCE_LIMIT (64u << 20) /* a header larger than this is no header; its lines are then not shown */
#define LINE_LIMIT 400           /* bytes of a source line worth showing */

struct remark { /* note or hint under a message */
    bool is_hint;
    struct lapis_loc loc;
    const char *text;
};

struct message {
    enum lapis_severity severity;
    struct lapis_loc loc;
    const char *text;
    size_t order, file_order;
    bool hidden; /* said before */
    struct remark *remarks;
    size_t n_remarks;
};

struct source {
    const char *name;
    struct hira_text text;
};

struct lapis_diag {
    struct hira_pool *pool;
    struct message *messages;
    size_t n_messages;
    size_t n_errors, n_warnings;
    struct source *sources; /* files whose lines were shown */
    size_t n_sources;
};

struct lapis_diag *lapis_diag_create(void)
{
    struct hira_pool *pool = hira_pool_create();
    struct lapis_diag *diag = hira_pool_alloc(pool, sizeof *diag);
    diag->pool = pool;
    return diag;
}

void lapis_diag_destroy(struct lapis_diag *diag)
{
    if (!diag)
        return;
    for (size_t i = 0; i < diag->n_sources; i++)
        hira_text_fini(&diag->sources[i].text);
    hira_pool_destroy(diag->pool);
}

static bool same_place(struct lapis_loc a, struct lapis_loc b)
{
    if (a.line != b.line || a.column != b.column || !a.file != !b.file)
        return false;
    return !a.file || !strcmp(a.file, b.file);
}

static bool said_before(const struct lapis_diag *diag, const struct message *m)
{
    for (const struct message *old = diag->messages; old < m; old++)
        if (old->severity == m->severity && same_place(old->loc, m->loc) && !strcmp(old->text, m->text))
            return true;
    return false;
}

static size_t file_order(const struct lapis_diag *diag, const struct message *m)
{
    for (const struct message *old = diag->messages; old < m; old++)
        if (!old->loc.file == !m->loc.file && (!old->loc.file || !strcmp(old->loc.file, m->loc.file)))
            return old->file_order;
    return m->order;
}

static void add(struct lapis_diag *diag, enum lapis_severity severity, struct lapis_loc loc, const char *format,
                va_list args)
{
    size_t order = diag->n_messages;
    struct message *m = HIRA_POOL_PUSH(diag->pool, diag->messages, diag->n_messages);
    loc.file = hira_pool_strdup(diag->pool, loc.file);
    *m = (struct message){.severity = severity, .loc = loc, .order = order};
    m->text = hira_pool_vprintf(diag->pool, format, args);
    m->file_order = file_order(diag, m);
    m->hidden = said_before(diag, m);
    if (m->hidden)
        return;
    if (severity == LAPIS_ERROR)
        diag->n_errors++;
    else
        diag->n_warnings++;
}

void lapis_error(struct lapis_diag *diag, struct lapis_loc loc, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    add(diag, LAPIS_ERROR, loc, format, args);
    va_end(args);
}

void lapis_warning(struct lapis_diag *diag, struct lapis_loc loc, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    add(diag, LAPIS_WARNING, loc, format, args);
    va_end(args);
}

static void remark(struct lapis_diag *diag, bool is_hint, struct lapis_loc loc, const char *format, va_list args)
{
    if (!diag->n_messages)
        return;
    struct message *m = &diag->messages[diag->n_messages - 1];
    struct remark *r = HIRA_POOL_PUSH(diag->pool, m->remarks, m->n_remarks);
    loc.file = hira_pool_strdup(diag->pool, loc.file);
    *r = (struct remark){.is_hint = is_hint, .loc = loc, .text = hira_pool_vprintf(diag->pool, format, args)};
}

void lapis_note(struct lapis_diag *diag, struct lapis_loc loc, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    remark(diag, false, loc, format, args);
    va_end(args);
}

void lapis_hint(struct lapis_diag *diag, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    remark(diag, true, (struct lapis_loc){0}, format, args);
    va_end(args);
}

size_t lapis_diag_errors(const struct lapis_diag *diag)
{
    return diag->n_errors;
}

size_t lapis_diag_warnings(const struct lapis_diag *diag)
{
    return diag->n_warnings;
}

/* ---- printing ---- */

static int compare(const void *pa, const void *pb)
{
    const struct message *a = *(struct message *const *)pa, *b = *(struct message *const *)pb;
    if (a->file_order != b->file_order)
        return a->file_order < b->file_order ? -1 : 1;
    if (a->loc.line != b->loc.line)
        return a->loc.line < b->loc.line ? -1 : 1;
    if (a->loc.column != b->loc.column)
        return a->loc.column < b->loc.column ? -1 : 1;
    return a->order < b->order ? -1 : a->order > b->order;
}

static const struct hira_text *source_of(struct lapis_diag *diag, const char *file)
{
    for (size_t i = 0; i < diag->n_sources; i++)
        if (!strcmp(diag->sources[i].name, file))
            return &diag->sources[i].text;
    struct source *s = HIRA_POOL_PUSH(diag->pool, diag->sources, diag->n_sources);
    s->name = file;
    if (hira_text_read_file(&s->text, file, SOURCE_LIMIT) < 0)
        hira_text_fini(&s->text);
    return &s->text;
}

/* The source line and a caret under its column; tabs are kept in the caret's line so that it stands where the eye
 * looks. */
static void print_source(struct lapis_diag *diag, struct hira_text *out, struct lapis_loc loc, bool colour)
{
    const struct hira_text *source = source_of(diag, loc.file);
    const char *p = source->data, *end = p ? p + source->size : NULL;
    for (unsigned line = 1; p && line < loc.line; line++) {
        p = memchr(p, '\n', (size_t)(end - p));
        p = p ? p + 1 : NULL;
    }
    if (!p || p >= end)
        return;
    const char *stop = memchr(p, '\n', (size_t)(end - p));
    size_t length = (size_t)((stop ? stop : end) - p);
    if (length && p[length - 1] == '\r')
        length--;
    length = HIRA_MIN(length, (size_t)LINE_LIMIT);
    hira_text_printf(out, "%5u | %.*s\n", loc.line, (int)length, p);
    if (!loc.column || loc.column > length + 1)
        return;
    hira_text_puts(out, "      | ");
    for (size_t i = 0; i + 1 < loc.column; i++)
        hira_text_puts(out, p[i] == '\t' ? "\t" : " ");
    hira_text_puts(out, colour ? "\033[1;32m^\033[0m\n" : "^\n");
}

static void print_place(struct hira_text *out, struct lapis_loc loc, bool colour)
{
    if (colour)
        hira_text_puts(out, "\033[1m");
    hira_text_puts(out, loc.file ? loc.file : "hira");
    if (loc.line)
        hira_text_printf(out, loc.column ? ":%u:%u" : ":%u", loc.line, loc.column);
    hira_text_puts(out, ": ");
    if (colour)
        hira_text_puts(out, "\033[0m");
}

static void print_one(struct lapis_diag *diag, struct hira_text *out, struct lapis_loc loc,
                      enum lapis_severity severity, const char *text, bool colour)
{
    static const char *const words[] = {"note", "warning", "error"};
    static const char *const colours[] = {"\033[1;36m", "\033[1;35m", "\033[1;31m"};
    print_place(out, loc, colour);
    if (colour)
        hira_text_printf(out, "%s%s:\033[0m \033[1m%s\033[0m\n", colours[severity], words[severity], text);
    else
        hira_text_printf(out, "%s: %s\n", words[severity], text);
    if (loc.file && loc.line)
        print_source(diag, out, loc, colour);
}

static void print_message(struct lapis_diag *diag, struct hira_text *out, const struct message *m, bool colour)
{
    print_one(diag, out, m->loc, m->severity, m->text, colour);
    for (size_t i = 0; i < m->n_remarks; i++)
        if (m->remarks[i].is_hint)
            hira_text_printf(out, colour ? "        \033[1mhint:\033[0m %s\n" : "        hint: %s\n",
                             m->remarks[i].text);
    for (size_t i = 0; i < m->n_remarks; i++)
        if (!m->remarks[i].is_hint)
            print_one(diag, out, m->remarks[i].loc, LAPIS_NOTE, m->remarks[i].text, colour);
}

void lapis_diag_print(struct lapis_diag *diag, struct hira_text *out, bool colour)
{
    const struct message **sorted = hira_pool_alloc(diag->pool, diag->n_messages * sizeof *sorted);
    size_t n = 0;
    for (size_t i = 0; i < diag->n_messages; i++)
        if (!diag->messages[i].hidden)
            sorted[n++] = &diag->messages[i];
    if (n)
        qsort(sorted, n, sizeof *sorted, compare);
    for (size_t i = 0; i < n; i++)
        print_message(diag, out, sorted[i], colour);
}

/* ---- misspellings ---- */

#define WORD_LIMIT 96 /* longer names are compared for equality only */

/* Edits (insert, delete, replace, swap of neighbours) from a to b. */
static unsigned distance(const char *a, const char *b)
{
    size_t n = strlen(a), m = strlen(b);
    unsigned rows[3][WORD_LIMIT + 1];
    if (n > WORD_LIMIT || m > WORD_LIMIT)
        return strcmp(a, b) ? WORD_LIMIT : 0;
    for (size_t j = 0; j <= m; j++)
        rows[0][j] = (unsigned)j;
    for (size_t i = 1; i <= n; i++) {
        unsigned *row = rows[i % 3], *above = rows[(i + 2) % 3], *above2 = rows[(i + 1) % 3];
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= m; j++) {
            unsigned best = above[j - 1] + (a[i - 1] != b[j - 1]);
            best = HIRA_MIN(best, above[j] + 1);
            best = HIRA_MIN(best, row[j - 1] + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                best = HIRA_MIN(best, above2[j - 2] + 1);
            row[j] = best;
        }
    }
    return rows[n % 3][m];
}

const char *lapis_did_you_mean(const char *word, const char *const *candidates, size_t n_candidates)
{
    size_t length = strlen(word);
    /* One slip per four letters; a word of one or two letters is like any other. */
    unsigned allowed = length < 3 ? 0 : (unsigned)HIRA_MAX((size_t)1, HIRA_MIN((size_t)4, length / 4));
    const char *best = NULL;
    unsigned best_distance = allowed + 1;
    for (size_t i = 0; i < n_candidates; i++) {
        if (!candidates[i])
            continue;
        unsigned d = distance(word, candidates[i]);
        if (d && d < best_distance) {
            best = candidates[i];
            best_distance = d;
        }
    }
    return best;
}
