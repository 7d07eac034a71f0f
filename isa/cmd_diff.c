/*
 * isapop diff and isapop bench: two models against each other.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include <fcntl.h>
#include <math.h>
#include <unistd.h>
#include <uthash.h>

#include "base/fd.h"
#include "cmd.h"

#define MATTERS 0.1   /* importance from which on a suite should have an instruction */
#define NEEDS_SHOWN 6 /* instructions named for each package that needs more */
#define SELDOM 0.01   /* importance below which a suite that has it tests what hardly anybody has */

struct index {
    const char *name;
    size_t i;
    UT_hash_handle hh;
};

struct pair {
    const struct unit *a, *b; /* NULL: it has none */
    double change;
};

static struct index *index_units(const struct model *m, struct index *items)
{
    struct index *head = NULL;
    for (size_t i = 0; i < m->n_units; i++) {
        items[i] = (struct index){.name = m->units[i].name, .i = i};
        HASH_ADD_KEYPTR(hh, head, items[i].name, strlen(items[i].name), &items[i]);
    }
    return head;
}

static struct index *index_members(const struct model *m, struct index *items)
{
    struct index *head = NULL, *there;
    for (size_t i = 0; i < m->n_members; i++) {
        HASH_FIND_STR(head, m->members[i].name, there);
        if (there)
            continue;
        items[i] = (struct index){.name = m->members[i].name, .i = i};
        HASH_ADD_KEYPTR(hh, head, items[i].name, strlen(items[i].name), &items[i]);
    }
    return head;
}

static int by_change(const void *x, const void *y)
{
    const struct pair *a = x, *b = y;
    double p = fabs(a->change), q = fabs(b->change);
    if (p != q)
        return p > q ? -1 : 1;
    return strcmp(a->a ? a->a->name : a->b->name, b->a ? b->a->name : b->b->name);
}

/* Units of both, matched by name. Caller frees. */
static struct pair *pair_up(const struct model *a, const struct model *b, size_t *ret_n)
{
    HIRA_AUTOFREE struct index *ia = isa_alloc((a->n_units + 1) * sizeof *ia),
                               *ib = isa_alloc((b->n_units + 1) * sizeof *ib);
    struct index *in_a = index_units(a, ia), *in_b = index_units(b, ib), *other;
    struct pair *pairs = isa_alloc((a->n_units + b->n_units + 1) * sizeof *pairs);
    size_t n = 0;
    for (size_t i = 0; i < a->n_units; i++) {
        HASH_FIND_STR(in_b, a->units[i].name, other);
        pairs[n++] = (struct pair){&a->units[i], other ? &b->units[other->i] : NULL, 0};
    }
    for (size_t i = 0; i < b->n_units; i++) {
        HASH_FIND_STR(in_a, b->units[i].name, other);
        if (!other)
            pairs[n++] = (struct pair){NULL, &b->units[i], 0};
    }
    HASH_CLEAR(hh, in_a);
    HASH_CLEAR(hh, in_b);
    *ret_n = n;
    return pairs;
}

static double importance(const struct unit *u)
{
    return u ? u->importance : 0;
}

static double share(const struct unit *u)
{
    return u ? u->unweighted : 0;
}

static void diff_units(const struct options *o, const struct model *a, const struct model *b, struct output *out)
{
    size_t n;
    HIRA_AUTOFREE struct pair *pairs = pair_up(a, b, &n);
    for (size_t i = 0; i < n; i++)
        pairs[i].change = share(pairs[i].b) - share(pairs[i].a);
    qsort(pairs, n, sizeof *pairs, by_change);
    output_table(out, "instructions", "<instruction|share in A|share in B|change|importance in A|importance in B");
    for (size_t i = 0; i < n && i < o->limit && pairs[i].change != 0; i++) {
        output_text(out, pairs[i].a ? pairs[i].a->name : pairs[i].b->name);
        output_percent(out, share(pairs[i].a));
        output_percent(out, share(pairs[i].b));
        output_percent(out, pairs[i].change);
        output_percent(out, importance(pairs[i].a));
        output_percent(out, importance(pairs[i].b));
    }
}

struct change {
    const struct member *a, *b;
    size_t more, less;
    struct hira_text names;
};

static int by_more(const void *x, const void *y)
{
    const struct change *a = x, *b = y;
    if (a->more + a->less != b->more + b->less)
        return a->more + a->less > b->more + b->less ? -1 : 1;
    return strcmp(a->a->name, b->a->name);
}

static void compare_members(const struct options *o, const struct model *b, struct index *units_of_a, struct change *c)
{
    struct index *there;
    size_t common = 0;
    for (size_t i = 0; i < b->n_units; i++) {
        if (!bit_get(c->b->units, i))
            continue;
        HASH_FIND_STR(units_of_a, b->units[i].name, there);
        if (there && bit_get(c->a->units, there->i)) {
            common++;
            continue;
        }
        if (c->more++ < cmd_listed(o, NEEDS_SHOWN))
            hira_text_printf(&c->names, "%s%s", c->more > 1 ? ", " : "", b->units[i].name);
    }
    c->less = c->a->n_units - common;
}

static void diff_packages(const struct options *o, const struct model *a, const struct model *b, struct output *out)
{
    HIRA_AUTOFREE struct index *im = isa_alloc((b->n_members + 1) * sizeof *im),
                               *iu = isa_alloc((a->n_units + 1) * sizeof *iu);
    struct index *members = index_members(b, im), *units = index_units(a, iu), *there;
    struct change *changes = NULL;
    size_t n = 0, cap = 0, common = 0;
    for (size_t i = 0; i < a->n_members; i++) {
        HASH_FIND_STR(members, a->members[i].name, there);
        if (!there)
            continue;
        struct change c = {.a = &a->members[i], .b = &b->members[there->i]};
        common++;
        compare_members(o, b, units, &c);
        if (c.more || c.less)
            ISA_PUSH(changes, n, cap) = c;
        else
            hira_text_fini(&c.names);
    }
    if (n)
        qsort(changes, n, sizeof *changes, by_more);
    output_note(out, "%s %s in both, %zu only in A, %zu only in B; of those in both %zu changed in what is needed",
                isa_n(common, "package"), common == 1 ? "is" : "are", a->n_members - common, b->n_members - common, n);
    output_table(out, "packages", "<package|<version in A|<version in B|more|less|<now needs");
    for (size_t i = 0; i < n && i < o->limit; i++) {
        output_text(out, changes[i].a->name);
        output_text(out, changes[i].a->version);
        output_text(out, changes[i].b->version);
        output_count(out, changes[i].more);
        output_count(out, changes[i].less);
        output_text(out, changes[i].names.data);
    }
    for (size_t i = 0; i < n; i++)
        hira_text_fini(&changes[i].names);
    free(changes);
    HASH_CLEAR(hh, members);
    HASH_CLEAR(hh, units);
}

/* Numbers of two closures, processors or machines are no comparison. What was asked for counts for both; here both are
 * as their databases say. */
static bool comparable(const struct model *a, const char *name_a, const struct model *b, const char *name_b)
{
    if (a->summary.machine != b->summary.machine) {
        isa_note("%s and %s are of different machines; there is nothing to compare", name_a, name_b);
        return false;
    }
    if (a->closure != b->closure) {
        isa_note("%s was scanned with --closure %s, %s with %s; say which counts for both: --closure reach", name_a,
                 closure_names[a->closure], name_b, closure_names[b->closure]);
        return false;
    }
    if (a->cap != b->cap) {
        isa_note("%s was scanned with --cpuid-cap %s, %s with %s; say which counts for both: --cpuid-cap x86-64-v1",
                 name_a, a->cap == ISA_BEYOND ? "none" : isa_level_names[a->cap], name_b,
                 b->cap == ISA_BEYOND ? "none" : isa_level_names[b->cap]);
        return false;
    }
    return true;
}

int cmd_diff(const struct options *o)
{
    struct model_options first = o->model, second = o->model;
    if (o->n_words != 2)
        return cmd_usage(o, "which two databases? isapop diff OLD.db NEW.db");
    first.database = o->words[0];
    second.database = o->words[1];
    struct model *a = model_open(&first), *b = a ? model_open(&second) : NULL;
    if (!b || !comparable(a, o->words[0], b, o->words[1])) {
        model_destroy(b);
        model_destroy(a);
        return ISA_FAILED;
    }
    struct output *out = output_create(o->format);
    cmd_describe(a, out, "A: ");
    cmd_describe(b, out, "B: ");
    diff_packages(o, a, b, out);
    diff_units(o, a, b, out);
    model_destroy(b);
    return cmd_end(a, out);
}

/* ---- bench ---- */

/* By its content, or by its name where it is not there. */
static bool is_database(const char *path)
{
    char head[8];
    size_t length = strlen(path);
    HIRA_AUTOCLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    ssize_t n = fd < 0 ? -1 : read(fd, head, sizeof head);
    return n > 0 ? db_begins(head, (size_t)n) : length > 3 && !strcmp(path + length - 3, ".db");
}

/* The suite's own database: one that is named, or a temporary one that is made. Sets *ret_status when there is none. */
static struct model *open_suite(const struct options *o, const struct model *m, int *ret_status)
{
    struct model_options options = o->model;
    *ret_status = ISA_FAILED;
    options.popularity = "none";
    options.database = o->words[0];
    if (is_database(o->words[0])) {
        struct model *suite = model_open(&options);
        if (suite && comparable(m, o->model.database, suite, o->words[0]))
            return suite;
        model_destroy(suite);
        return NULL;
    }
    /* What is scanned now counts as what it is compared with does. */
    options.closure = (int)m->closure;
    options.cap = (int)m->cap;
    const char *folder = getenv("TMPDIR");
    HIRA_AUTOFREE char *path = isa_printf("%s/isapop-suite-XXXXXX", folder ? folder : "/tmp");
    int fd = mkstemp(path);
    if (fd < 0) {
        isa_note("%s: no temporary file can be made there; say TMPDIR", path);
        return NULL;
    }
    close(fd);
    struct scan_options scan_options = o->scan;
    struct scan_result result;
    scan_options.database = path;
    scan_options.passing = true;
    scan_options.sources = o->words;
    scan_options.n_sources = o->n_words;
    scan_options.machine = m->summary.machine;
    int status = scan(&scan_options, &result);
    bool done = status == ISA_OK || status == ISA_SKIPPED, some = result.summary.packages;
    db_summary_fini(&result.summary);
    options.database = path;
    if (done && !some)
        isa_note("there is no program in the suite");
    struct model *suite = done && some ? model_open(&options) : NULL;
    if (status == ISA_INTERRUPTED)
        *ret_status = status;
    unlink(path);
    return suite;
}

static bool used(const struct unit *u)
{
    return u && u->packages;
}

static void bench_table(const struct options *o, const struct pair *pairs, size_t n, bool only_suite,
                        struct output *out)
{
    size_t shown = 0;
    output_table(out, only_suite ? "seldom needed, but in the suite" : "needed, but not in the suite",
                 "<instruction|<set|importance|share|packages");
    for (size_t i = 0; i < n && shown < o->limit; i++) {
        bool in_suite = used(pairs[i].b), matters = importance(pairs[i].a) >= MATTERS,
             seldom = importance(pairs[i].a) < SELDOM;
        if (only_suite ? !in_suite || !seldom : in_suite || !matters)
            continue;
        const struct unit *u = pairs[i].a ? pairs[i].a : pairs[i].b;
        output_text(out, u->name);
        output_text(out, u->set);
        output_percent(out, importance(pairs[i].a));
        output_percent(out, share(pairs[i].a));
        output_count(out, pairs[i].a ? pairs[i].a->packages : 0);
        shown++;
    }
}

int cmd_bench(const struct options *o)
{
    struct model *m;
    struct output *out;
    size_t n, suite_uses = 0, matter = 0, both = 0, seldom = 0;
    if (!o->n_words)
        return cmd_usage(o, "which suite? isapop bench SUITE.db, or its programs or folders");
    for (size_t i = 0; i < o->n_words; i++) {
        if (o->n_words > 1 && is_database(o->words[i]))
            return cmd_usage(o, "%s is a database; a suite is one database, or programs and folders", o->words[i]);
    }
    if (is_database(o->words[0]) && o->scan.threads)
        return cmd_usage(o, "--threads is for scanning, and %s is a database already", o->words[0]);
    if (!cmd_begin(o, &m, &out))
        return ISA_FAILED;
    int status;
    struct model *suite = open_suite(o, m, &status);
    if (!suite) {
        output_destroy(out);
        model_destroy(m);
        return status;
    }
    HIRA_AUTOFREE struct pair *pairs = pair_up(m, suite, &n);
    HIRA_AUTOFREE uint64_t *supported = bits_create(m);
    for (size_t i = 0; i < n; i++) {
        pairs[i].change = importance(pairs[i].a) * 1e6 + share(pairs[i].a);
        suite_uses += used(pairs[i].b);
        matter += importance(pairs[i].a) >= MATTERS;
        both += used(pairs[i].b) && importance(pairs[i].a) >= MATTERS;
        seldom += used(pairs[i].b) && importance(pairs[i].a) < SELDOM;
        if (used(pairs[i].b) && pairs[i].a)
            bit_set(supported, (size_t)(pairs[i].a - m->units));
    }
    qsort(pairs, n, sizeof *pairs, by_change);
    struct completeness c = model_completeness(m, supported);
    output_note(out, "the suite: %s with programs, %s", isa_n(suite->n_members, "package"),
                isa_n(suite_uses, m->by_form ? "form" : "mnemonic"));
    output_table(out, "suite",
                 "matter|of them in the suite|share|seldom needed, in the suite|completeness with the suite's alone");
    output_count(out, matter);
    output_count(out, both);
    output_percent(out, matter ? (double)both / (double)matter : 0);
    output_count(out, seldom);
    output_percent(out, c.weighted);
    bench_table(o, pairs, n, false, out);
    bench_table(o, pairs, n, true, out);
    model_destroy(suite);
    return cmd_end(m, out);
}
