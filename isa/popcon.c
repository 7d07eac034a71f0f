/* Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0 */
#include "popcon.h"

#include <ctype.h>
#include <errno.h>
#include <zlib.h>

#define ROWS_MAX 500000    /* by_inst has some 220,000 */
#define NAME_MAX_BYTES 120 /* that of a package is a part of a file's name */
#define COUNT_MAX 1e15     /* below it half a machine is not lost in a double; there are 1e10 */
#define RARE 2             /* every distribution has packages on more than half of the machines */

struct parse {
    struct popcon *p;
    const char *path;
    uint64_t total, said; /* of a row '0 Total N'; of a comment */
    unsigned long line;
    unsigned senseless, twice, over;
    bool sums; /* there is a Total row of another kind, which has sums of columns */
};

static bool number(const char *s, uint64_t *ret)
{
    char *end;
    if (!isdigit((unsigned char)*s))
        return false;
    errno = 0;
    *ret = strtoull(s, &end, 10);
    return !errno && !*end && *ret <= (uint64_t)COUNT_MAX;
}

/* Cuts a line into words at blanks, or at commas when one ends its first word (by_inst has names of people with commas
 * in them); quotes around a word go. */
static size_t words(char *line, char **ret, size_t most)
{
    const char *first = line + strspn(line, " \t");
    bool comma = first[strcspn(first, ", \t")] == ',';
    size_t n = 0;
    for (char *save = NULL, *w = strtok_r(line, comma ? ",\r\n" : " \t\r\n", &save); w && n < most;
         w = strtok_r(NULL, comma ? ",\r\n" : " \t\r\n", &save)) {
        w += strspn(w, " \t\"");
        for (size_t length = strlen(w); length && strchr(" \t\"", w[length - 1]);)
            w[--length] = 0;
        ret[n++] = w;
    }
    return n;
}

/* "submissions: 500" or "500 submissions". */
static void comment(struct parse *at, const char *line)
{
    const char *found = strcasestr(line, "submissions"), *before = found;
    if (!found)
        return;
    found += strlen("submissions");
    found += strspn(found, " :=\t");
    while (before > line && before[-1] == ' ')
        before--;
    while (before > line && isdigit((unsigned char)before[-1]))
        before--;
    if (isdigit((unsigned char)*found))
        at->said = strtoull(found, NULL, 10);
    else if (isdigit((unsigned char)*before))
        at->said = strtoull(before, NULL, 10);
    at->said = at->said <= (uint64_t)COUNT_MAX ? at->said : 0;
}

static void row(struct parse *at, char *line)
{
    char *w[5];
    uint64_t rank = 1, inst = 0;
    size_t n = words(line, w, HIRA_ARRAY_SIZE(w));
    const char *name = n == 2 ? w[0] : n > 2 ? w[1] : NULL;
    if (!n || !strncmp(w[0], "---", 3))
        return;
    bool ok = n == 2 ? number(w[1], &inst) : n > 2 && number(w[0], &rank) && number(w[2], &inst);
    if (!ok || strlen(name) > NAME_MAX_BYTES) {
        /* the names of columns are no fault */
        at->senseless += at->line > 1;
        return;
    }
    if (!strcmp(name, "Total")) {
        /* No package. by_inst ends with one that has the sums of its columns, and a spreadsheet's would, too. The
         * number of machines stands in the place of a package that comes before the first. */
        if (n == 3 && rank == 0)
            at->total = HIRA_MAX(at->total, inst);
        else
            at->sums = true;
        return;
    }
    at->over += at->p->n == ROWS_MAX;
    if (at->p->n < ROWS_MAX) {
        ISA_PUSH(at->p->rows, at->p->n, at->p->cap) = (struct popcon_row){isa_strdup(name), inst};
        isa_printable(at->p->rows[at->p->n - 1].name);
        at->p->sum += inst;
    }
}

static int by_name(const void *x, const void *y)
{
    const struct popcon_row *a = x, *b = y;
    return strcmp(a->name, b->name);
}

static int most_first(const void *x, const void *y)
{
    const struct popcon_row *a = x, *b = y;
    int order = by_name(x, y);
    return order ? order : (a->installations < b->installations) - (a->installations > b->installations);
}

/* Sorts; of a package that is there twice the row with the most counts, wherever it stands. */
static void sort_rows(struct parse *at)
{
    struct popcon *p = at->p;
    size_t n = 0;
    qsort(p->rows, p->n, sizeof *p->rows, most_first);
    for (size_t i = 0; i < p->n; i++) {
        if (n && !by_name(&p->rows[n - 1], &p->rows[i])) {
            free(p->rows[i].name);
            at->twice++;
        } else {
            p->rows[n++] = p->rows[i];
        }
    }
    p->n = n;
}

static void settle(struct parse *at, uint64_t submissions)
{
    struct popcon *p = at->p;
    uint64_t most = 0;
    for (size_t i = 0; i < p->n; i++)
        most = HIRA_MAX(most, p->rows[i].installations);
    bool is_sum = p->n > 1 && at->total && at->total == p->sum;
    if (submissions)
        p->submissions = submissions;
    else if (at->said)
        p->submissions = at->said;
    else if (at->total >= most && at->total && !is_sum)
        p->submissions = at->total;
    else {
        p->submissions = most;
        isa_note("%s: does not say how many machines were counted%s; taking the most of any package, %llu "
                 "(--submissions N says it)",
                 at->path,
                 is_sum      ? " (its Total is the sum of a column)"
                 : at->total ? " (its Total is less than a package has)"
                 : at->sums  ? " (its Total is no row '0 Total N', so it is the sum of a column)"
                             : "",
                 (unsigned long long)most);
    }
    if (p->submissions == at->total && at->total / RARE > most && !submissions && !at->said)
        isa_note("%s: its Total, %llu, counts as the number of machines, but no package is on more than %.2g %% of "
                 "them; if that is the sum of a column of which only some lines are here, say --submissions N",
                 at->path, (unsigned long long)at->total, 100 * (double)most / (double)at->total);
    for (size_t i = 0; i < p->n; i++)
        p->everywhere += p->submissions && p->rows[i].installations >= p->submissions;
    if (p->everywhere)
        isa_note("%s: %s %s on each of %s: counted as missing on half a machine, so that logarithms stay finite",
                 at->path, isa_n(p->everywhere, "package"), p->everywhere > 1 ? "are" : "is",
                 isa_n(p->submissions, "machine"));
    if (at->twice)
        isa_skip(at->path, "%s %s of a package that has another; that with the most installations counts",
                 isa_n(at->twice, "line"), at->twice == 1 ? "is" : "are");
    if (at->over)
        isa_skip(at->path, "more than %d packages are more than any distribution has; %s left out", ROWS_MAX,
                 isa_n(at->over, "line"));
    if (at->senseless)
        isa_skip(at->path, "%s %s no sense as 'rank name installations ...' or 'name,installations'; left out",
                 isa_n(at->senseless, "line"), at->senseless == 1 ? "makes" : "make");
}

int popcon_read(struct popcon *p, const char *path, uint64_t submissions)
{
    struct parse at = {.p = p, .path = path};
    char line[4096];
    bool rest = false; /* of a line that is longer than any has a reason to be */
    *p = (struct popcon){0};
    gzFile file = gzopen(path, "re");
    if (!file) {
        int error = errno ? errno : EIO;
        isa_note("%s: %s; --popularity wants a file like by_inst, --popularity none does without", path,
                 strerror(error));
        return -error;
    }
    while (gzgets(file, line, sizeof line)) {
        bool skip = rest;
        rest = !strchr(line, '\n');
        if (skip)
            continue;
        at.line++;
        if (*line == '#')
            comment(&at, line);
        else
            row(&at, line);
    }
    int status, closed;
    gzerror(file, &status);
    closed = gzclose(file); /* says so where the end of what was compressed is missing */
    if (status == Z_BUF_ERROR || closed == Z_BUF_ERROR)
        isa_skip(path, "it was cut, the end of what was compressed is missing; what is before that is used (%s)",
                 isa_n(p->n, "package"));
    else if (status < 0 || closed < 0)
        isa_skip(path, "it is damaged; what is before that is used (%s)", isa_n(p->n, "package"));
    if (!p->n) {
        isa_note("%s: no line of it is 'rank name installations ...' or 'name,installations'", path);
        return -EBADMSG;
    }
    sort_rows(&at);
    settle(&at, submissions);
    return 0;
}

void popcon_fini(struct popcon *p)
{
    for (size_t i = 0; i < p->n; i++)
        free(p->rows[i].name);
    free(p->rows);
    *p = (struct popcon){0};
}

const struct popcon_row *popcon_find(const struct popcon *p, const char *name)
{
    struct popcon_row key = {(char *)name, 0};
    return p->n ? bsearch(&key, p->rows, p->n, sizeof key, by_name) : NULL;
}

double popcon_share(const struct popcon *p, uint64_t installations)
{
    double n = (double)p->submissions, most = n - 0.5, have = (double)installations;
    return n > 0 ? (have < most ? have : most) / n : 0;
}
