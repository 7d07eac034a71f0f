/* Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0 */
#include "output.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdarg.h>

#define COLUMNS_MAX 16

enum cell_kind { CELL_TEXT, CELL_COUNT, CELL_PERCENT, CELL_REAL };

struct cell {
    enum cell_kind kind;
    char *text;
    double number;
    uint64_t count;
};

struct table {
    char *name, *names;
    const char *columns[COLUMNS_MAX];
    bool left[COLUMNS_MAX];
    size_t n_columns;
    struct cell *cells;
    size_t n_cells, cells_cap;
};

struct output {
    enum output_format format;
    char **notes;
    size_t n_notes, notes_cap;
    struct table *tables;
    size_t n_tables, tables_cap;
};

struct output *output_create(enum output_format format)
{
    struct output *o = isa_alloc(sizeof *o);
    o->format = format;
    return o;
}

void output_note(struct output *o, const char *format, ...)
{
    va_list args;
    char *s = NULL;
    va_start(args, format);
    if (vasprintf(&s, format, args) < 0)
        s = isa_strdup("");
    va_end(args);
    ISA_PUSH(o->notes, o->n_notes, o->notes_cap) = s;
}

void output_table(struct output *o, const char *name, const char *columns)
{
    struct table t = {.name = isa_strdup(name), .names = isa_strdup(columns)};
    for (char *rest = t.names, *one; t.n_columns < COLUMNS_MAX && (one = strsep(&rest, "|")); t.n_columns++) {
        t.left[t.n_columns] = *one == '<';
        t.columns[t.n_columns] = one + (*one == '<');
    }
    ISA_PUSH(o->tables, o->n_tables, o->tables_cap) = t;
}

static struct cell *cell(struct output *o, enum cell_kind kind)
{
    struct table *t = &o->tables[o->n_tables - 1];
    ISA_PUSH(t->cells, t->n_cells, t->cells_cap) = (struct cell){.kind = kind};
    return &t->cells[t->n_cells - 1];
}

void output_text(struct output *o, const char *value)
{
    struct cell *c = cell(o, CELL_TEXT);
    c->text = isa_strdup(value ? value : "");
    isa_printable(c->text);
}

void output_count(struct output *o, uint64_t value)
{
    cell(o, CELL_COUNT)->count = value;
}

void output_percent(struct output *o, double share)
{
    cell(o, CELL_PERCENT)->number = share * 100;
}

void output_real(struct output *o, double value)
{
    cell(o, CELL_REAL)->number = value;
}

/* What is not quite everything is not shown as 100 %. */
static const char *show(const struct cell *c, bool bare, char to[64])
{
    double shown = c->number < 100 && c->number > 99.99 ? 99.99 : c->number;
    if (c->kind == CELL_TEXT)
        return c->text;
    if (c->kind == CELL_COUNT)
        snprintf(to, 64, "%llu", (unsigned long long)c->count);
    else if (bare)
        snprintf(to, 64, "%.10g", c->number);
    else if (c->kind == CELL_PERCENT)
        snprintf(to, 64, "%.2f %%", shown);
    else
        snprintf(to, 64, "%.2f", c->number);
    return to;
}

/* ---- text ---- */

static size_t width(const char *s)
{
    size_t n = 0;
    for (; *s; s++)
        n += (*s & 0xc0) != 0x80; /* UTF-8 continues */
    return n;
}

static void print_padded(const char *s, size_t to, bool left, bool last)
{
    size_t n = width(s), pad = to > n ? to - n : 0;
    if (left)
        printf("%s%*s%s", s, last ? 0 : (int)pad, "", last ? "" : "  ");
    else
        printf("%*s%s%s", (int)pad, "", s, last ? "" : "  ");
}

static void print_text(const struct table *t, bool title)
{
    char text[64];
    size_t widths[COLUMNS_MAX] = {0}, n = t->n_columns;
    for (size_t i = 0; i < n; i++)
        widths[i] = width(t->columns[i]);
    for (size_t i = 0; i < t->n_cells; i++) {
        widths[i % n] = HIRA_MAX(widths[i % n], width(show(&t->cells[i], false, text)));
    }
    if (title)
        printf("%s\n", t->name);
    for (size_t i = 0; i < n; i++)
        print_padded(t->columns[i], widths[i], t->left[i], i + 1 == n);
    printf("\n");
    for (size_t i = 0; i < t->n_cells; i++) {
        print_padded(show(&t->cells[i], false, text), widths[i % n], t->left[i % n], i % n + 1 == n);
        if (i % n + 1 == n)
            printf("\n");
    }
}

/* ---- CSV ---- */

static void print_field(const char *text, bool last)
{
    bool quote = strpbrk(text, ",\"\n") || (*text == '#' && text[1]); /* a line that begins with # is a comment */
    if (quote)
        putchar('"');
    for (const char *s = text; *s; s++) {
        if (*s == '"')
            putchar('"');
        putchar(*s);
    }
    printf("%s%s", quote ? "\"" : "", last ? "\n" : ",");
}

static void print_csv(const struct table *t)
{
    char text[64];
    for (size_t i = 0; i < t->n_columns; i++)
        print_field(t->columns[i], i + 1 == t->n_columns);
    for (size_t i = 0; i < t->n_cells; i++)
        print_field(show(&t->cells[i], true, text), i % t->n_columns + 1 == t->n_columns);
}

/* ---- JSON ---- */

static json_t *text_value(const char *s)
{
    json_t *v = json_string(s);
    return v ? v : json_string("(not UTF-8)"); /* names of strangers' files */
}

static json_t *value(const struct cell *c)
{
    switch (c->kind) {
    case CELL_TEXT:
        return text_value(c->text);
    case CELL_COUNT:
        return json_integer((json_int_t)c->count);
    default:
        return isfinite(c->number) ? json_real(c->number) : json_null();
    }
}

static json_t *rows(const struct table *t)
{
    json_t *all = json_array(), *row = NULL;
    for (size_t i = 0; i < t->n_cells; i++) {
        if (i % t->n_columns == 0)
            row = json_object();
        json_object_set_new(row, t->columns[i % t->n_columns], value(&t->cells[i]));
        if (i % t->n_columns + 1 == t->n_columns)
            json_array_append_new(all, row);
    }
    return all;
}

static void print_json(const struct output *o)
{
    json_t *root = json_object(), *about = json_array();
    for (size_t i = 0; i < o->n_notes; i++)
        json_array_append_new(about, text_value(o->notes[i]));
    json_object_set_new(root, "about", about);
    for (size_t i = 0; i < o->n_tables; i++)
        json_object_set_new(root, o->tables[i].name, rows(&o->tables[i]));
    json_dumpf(root, stdout, JSON_INDENT(1) | JSON_REAL_PRECISION(12));
    printf("\n");
    json_decref(root);
}

int output_flush(void)
{
    errno = 0;
    if (fflush(stdout) == 0 && !ferror(stdout))
        return ISA_OK;
    isa_note("the results could not be written%s%s", errno ? ": " : "", errno ? strerror(errno) : "");
    return ISA_FAILED;
}

void output_destroy(struct output *o)
{
    for (size_t i = 0; i < o->n_tables; i++) {
        struct table *t = &o->tables[i];
        for (size_t k = 0; k < t->n_cells; k++)
            free(t->cells[k].text);
        free(t->cells);
        free(t->name);
        free(t->names);
    }
    for (size_t i = 0; i < o->n_notes; i++)
        free(o->notes[i]);
    free(o->notes);
    free(o->tables);
    free(o);
}

int output_end(struct output *o)
{
    if (o->format == OUTPUT_JSON)
        print_json(o);
    for (size_t i = 0; o->format != OUTPUT_JSON && i < o->n_notes; i++)
        printf("%s%s\n", o->format == OUTPUT_CSV ? "# " : "", o->notes[i]);
    for (size_t i = 0; i < o->n_tables; i++) {
        struct table *t = &o->tables[i];
        if (o->format != OUTPUT_JSON && (i || o->n_notes))
            printf("\n");
        if (o->format == OUTPUT_TEXT)
            print_text(t, o->n_tables > 1);
        if (o->format == OUTPUT_CSV && o->n_tables > 1)
            printf("# %s\n", t->name);
        if (o->format == OUTPUT_CSV)
            print_csv(t);
    }
    output_destroy(o);
    return output_flush();
}
