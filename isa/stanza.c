/* Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0 */
#include "stanza.h"

#include <archive.h>
#include <archive_entry.h>

#define LINE_MAX_BYTES (1u << 20) /* a line that is longer is cut: nothing that is read here is near to it */

void stanza_fini(struct stanza *s)
{
    free(s->package);
    free(s->version);
    free(s->arch);
    free(s->source);
    free(s->depends);
    free(s->status);
    free(s->filename);
    *s = (struct stanza){0};
}

void stanza_line(struct stanza *s, const char *line)
{
    const struct {
        const char *name;
        char **value;
    } fields[] = {{"Package", &s->package},  {"Version", &s->version}, {"Architecture", &s->arch},
                  {"Source", &s->source},    {"Depends", &s->depends}, {"Status", &s->status},
                  {"Filename", &s->filename}};
    const char *colon = strchr(line, ':');
    if (!colon || *line == ' ' || *line == '\t')
        return;
    for (size_t i = 0; i < HIRA_ARRAY_SIZE(fields); i++) {
        if (strlen(fields[i].name) != (size_t)(colon - line) || strncmp(line, fields[i].name, (size_t)(colon - line)))
            continue;
        const char *value = colon + 1 + strspn(colon + 1, " \t");
        free(*fields[i].value);
        *fields[i].value = isa_strdup(value);
        isa_printable(*fields[i].value);
    }
}

void stanza_parse(struct stanza *s, const char *text)
{
    while (*text) {
        size_t n = strcspn(text, "\n");
        HIRA_AUTOFREE char *line = isa_strndup(text, n);
        stanza_line(s, line);
        text += n + (text[n] != 0);
    }
}

struct package *stanza_package(const struct stanza *s)
{
    struct package *p = isa_alloc(sizeof *p);
    p->name = isa_strdup(s->package ? s->package : "?");
    p->version = isa_strdup(s->version ? s->version : "");
    p->arch = isa_strdup(s->arch ? s->arch : "");
    /* "Source: name (version)" */
    p->source = s->source ? isa_strndup(s->source, strcspn(s->source, " (")) : isa_strdup(p->name);
    p->depends = isa_strdup(s->depends ? s->depends : "");
    return p;
}

struct lines {
    struct hira_text line;
    struct stanza stanza;
    bool (*each)(void *context, const struct stanza *s);
    void *context;
    bool stopped;
};

static void end_of_line(struct lines *l)
{
    const char *line = l->line.data ? l->line.data : "";
    if (*line) {
        stanza_line(&l->stanza, line);
    } else if (l->stanza.package) {
        l->stopped = !l->each(l->context, &l->stanza);
        stanza_fini(&l->stanza);
    }
    l->line.size = 0;
    if (l->line.data)
        *l->line.data = 0;
}

static void take(struct lines *l, const char *data, size_t size)
{
    while (size && !l->stopped) {
        const char *end = memchr(data, '\n', size);
        size_t n = end ? (size_t)(end - data) : size;
        if (l->line.size < LINE_MAX_BYTES)
            hira_text_append(&l->line, data, n);
        if (end) {
            end_of_line(l);
            n++;
        }
        data += n;
        size -= n;
    }
}

const char *stanza_file(const char *path, bool (*each)(void *context, const struct stanza *s), void *context)
{
    struct archive *a = archive_read_new();
    struct archive_entry *entry;
    struct lines l = {.each = each, .context = context};
    const char *why = NULL;
    char buffer[65536];
    la_ssize_t n = 0;
    archive_read_support_format_raw(a);
    archive_read_support_format_empty(a);
    archive_read_support_filter_all(a);
    if (archive_read_open_filename(a, path, sizeof buffer) != ARCHIVE_OK ||
        archive_read_next_header(a, &entry) < ARCHIVE_OK)
        why = "it cannot be read as a list of packages";
    while (!why && !l.stopped && (n = archive_read_data(a, buffer, sizeof buffer)) > 0)
        take(&l, buffer, (size_t)n);
    if (n < 0)
        why = "it is damaged; is the file complete?";
    if (!l.stopped) {
        end_of_line(&l);
        if (l.stanza.package && !l.stopped)
            each(context, &l.stanza);
    }
    stanza_fini(&l.stanza);
    hira_text_fini(&l.line);
    archive_read_free(a);
    return why;
}
