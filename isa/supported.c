/* Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0 */
#include "supported.h"

#include <ctype.h>
#include <errno.h>
#include <fnmatch.h>
#include <strings.h>

#include "decoder.h"

#define FILE_MAX (4u << 20)
#define FORMS_SAID 3  /* lines with forms that mean nothing are named; of more only the number is */
#define NEAR_ENOUGH 3 /* edits between a name and what it was meant to be */

static const struct isa_decoder *decoder_of(const struct model *m)
{
    const struct isa_decoder *d = isa_decoder_for(m->summary.machine);
    return d ? d : isa_decoder_default();
}

static void put(uint64_t *bits, size_t i, bool value)
{
    if (value)
        bit_set(bits, i);
    else
        bits[i / 64] &= ~(1ull << (i % 64));
}

/* Units that the word means are put to value; whether it means anything. */
static bool apply(const struct model *m, const char *word, bool value, uint64_t *bits)
{
    bool pattern = strpbrk(word, "*?["), known = false;
    enum isa_level level;
    if (!strncasecmp(word, "x86-64", 6) && isa_level_parse(word, &level) == 0) {
        for (size_t i = 0; i < m->n_units; i++) {
            if (m->units[i].level <= level)
                put(bits, i, value);
        }
        return true;
    }
    for (size_t i = 0; i < m->n_units; i++) {
        const struct unit *u = &m->units[i];
        bool hit = pattern ? !fnmatch(word, u->mnemonic, FNM_CASEFOLD) || !fnmatch(word, u->set, FNM_CASEFOLD)
                           : !strcasecmp(word, u->mnemonic) || !strcasecmp(word, u->set) || !strcasecmp(word, u->name);
        if (hit)
            put(bits, i, value);
        known = known || hit;
    }
    const struct isa_decoder *d = decoder_of(m);
    const char *name;
    for (unsigned i = 0; !known && (name = d->mnemonic(i)); i++)
        known = pattern ? !fnmatch(word, name, FNM_CASEFOLD) : !strcasecmp(word, name);
    for (unsigned i = 0; !known && (name = d->set(i, &level)); i++)
        known = pattern ? !fnmatch(word, name, FNM_CASEFOLD) : !strcasecmp(word, name);
    return known;
}

static unsigned edits(const char *a, const char *b)
{
    unsigned row[64];
    size_t n = strlen(b);
    if (n >= HIRA_ARRAY_SIZE(row) || strlen(a) >= HIRA_ARRAY_SIZE(row))
        return 99;
    for (size_t k = 0; k <= n; k++)
        row[k] = (unsigned)k;
    for (size_t i = 1; a[i - 1]; i++) {
        unsigned corner = row[0];
        row[0] = (unsigned)i;
        for (size_t k = 1; k <= n; k++) {
            unsigned change = corner + (toupper((unsigned char)a[i - 1]) != toupper((unsigned char)b[k - 1]));
            corner = row[k];
            row[k] = HIRA_MIN(change, HIRA_MIN(row[k], row[k - 1]) + 1);
        }
    }
    return row[n];
}

static void consider(const char *word, const char *name, unsigned *best, char suggestion[64])
{
    unsigned n = edits(word, name);
    if (n < *best) {
        *best = n;
        snprintf(suggestion, 64, "%s", name);
    }
}

static void unknown(const struct model *m, const char *where, unsigned line, const char *word)
{
    const struct isa_decoder *d = decoder_of(m);
    char suggestion[64];
    unsigned best = NEAR_ENOUGH;
    enum isa_level level;
    const char *name;
    for (unsigned i = 0; (name = d->mnemonic(i)); i++)
        consider(word, name, &best, suggestion);
    for (unsigned i = 0; (name = d->set(i, &level)); i++)
        consider(word, name, &best, suggestion);
    for (int i = 0; i < 4; i++)
        consider(word, isa_level_names[i], &best, suggestion);
    if (best < NEAR_ENOUGH)
        isa_note("%s:%u: '%s' is no mnemonic, ISA set, form or level; perhaps '%s'?", where, line, word, suggestion);
    else
        isa_note("%s:%u: '%s' is no mnemonic, ISA set, form or level ('isapop importance' and 'isapop family' list "
                 "what there is)",
                 where, line, word);
}

struct parse {
    const struct model *m;
    const char *where;
    unsigned number, wrong, forms; /* lines that are forms and match no unit */
    uint64_t *bits;
};

static bool knows_mnemonic(const struct model *m, const char *word, size_t n)
{
    const char *name;
    for (unsigned i = 0; (name = decoder_of(m)->mnemonic(i)); i++) {
        if (strlen(name) == n && !strncasecmp(name, word, n))
            return true;
    }
    return false;
}

/* A mnemonic and an encoding, as --by form prints them: the opcode is two hexadecimal digits, at most a /digit follows.
 * No name of anything is two such digits. */
static bool is_form(const struct model *m, const char *text)
{
    size_t n = strcspn(text, " \t"), end = strlen(text);
    if (!knows_mnemonic(m, text, n))
        return false;
    if (end > n + 3 && text[end - 2] == '/' && isdigit((unsigned char)text[end - 1]))
        end -= 3;
    return end > n + 2 && isblank((unsigned char)text[end - 3]) && isxdigit((unsigned char)text[end - 2]) &&
           isxdigit((unsigned char)text[end - 1]);
}

/* A form that is no unit: among mnemonics none is; among forms it is only one that nothing scanned has. */
static void form_without_unit(struct parse *p, const char *text)
{
    p->wrong += !p->m->by_form;
    if (p->forms++ >= FORMS_SAID)
        return;
    if (p->m->by_form)
        isa_note("%s:%u: no file scanned has the form '%s'; it counts for nothing ('importance --by form' lists those "
                 "there are)",
                 p->where, p->number, text);
    else
        isa_note("%s:%u: '%s' is an encoding form, and mnemonics are counted; say --by form", p->where, p->number,
                 text);
}

static void parse_line(struct parse *p, char *line)
{
    const struct model *m = p->m;
    line[strcspn(line, "#")] = 0;
    char *whole = line + strspn(line, " \t\r");
    for (size_t n = strlen(whole); n && isspace((unsigned char)whole[n - 1]);)
        whole[--n] = 0;
    bool out = *whole == '!';
    /* A form has blanks in it, so it has a line of its own. */
    if (strchr(whole, ' ')) {
        for (size_t i = 0; i < m->n_units; i++) {
            if (!strcasecmp(whole + out, m->units[i].name)) {
                put(p->bits, i, !out);
                return;
            }
        }
    }
    if (is_form(m, whole + out)) {
        form_without_unit(p, whole + out);
        return;
    }
    for (char *save = NULL, *w = strtok_r(whole, " \t\r,", &save); w; w = strtok_r(NULL, " \t\r,", &save)) {
        out = *w == '!';
        if (apply(m, w + out, !out, p->bits))
            continue;
        unknown(m, p->where, p->number, w + out);
        p->wrong++;
    }
}

int supported_parse(const struct model *m, const char *where, const char *text, uint64_t *ret_bits)
{
    struct parse p = {.m = m, .where = where, .bits = ret_bits};
    HIRA_AUTOFREE char *copy = isa_strdup(text);
    char *rest = copy;
    memset(ret_bits, 0, m->words * sizeof *ret_bits);
    for (char *line; (line = strsep(&rest, "\n"));) {
        p.number++;
        parse_line(&p, line);
    }
    if (p.forms > FORMS_SAID)
        isa_note("%s: the same goes for %s more", where, isa_n(p.forms - FORMS_SAID, "line"));
    return p.wrong ? -EINVAL : 0;
}

int supported_read(const struct model *m, const char *path, uint64_t *ret_bits)
{
    struct hira_text text = {0};
    int error = hira_text_read_file(&text, path, FILE_MAX);
    if (error)
        isa_note("%s: %s; --supported wants a file that names instructions, ISA sets (SSE*) or a level (x86-64-v2)",
                 path, strerror(-error));
    else
        error = supported_parse(m, path, text.data, ret_bits);
    hira_text_fini(&text);
    return error;
}
