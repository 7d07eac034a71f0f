/* Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0 */
#include "model.h"

#include <limits.h>
#include <math.h>
#include <unistd.h>
#include <uthash.h>

#define SHIPPED_POPULARITY "popcon-2018.txt.gz"

uint64_t *bits_create(const struct model *m)
{
    return isa_alloc((m->words + 1) * sizeof(uint64_t));
}

bool bits_within(const uint64_t *inner, const uint64_t *outer, size_t words)
{
    for (size_t i = 0; i < words; i++) {
        if (inner[i] & ~outer[i])
            return false;
    }
    return true;
}

size_t bits_missing(const uint64_t *inner, const uint64_t *outer, size_t words)
{
    size_t n = 0;
    for (size_t i = 0; i < words; i++)
        n += (size_t)__builtin_popcountll(inner[i] & ~outer[i]);
    return n;
}

/* ---- making ---- */

struct model *model_create(size_t n_units)
{
    struct model *m = isa_alloc(sizeof *m);
    m->n_units = n_units;
    m->words = (n_units + 63) / 64;
    m->units = isa_alloc(n_units * sizeof *m->units);
    m->weighted = true;
    return m;
}

struct member *model_add(struct model *m, const char *name, double p)
{
    struct member one = {.name = isa_strdup(name), .p = p, .units = bits_create(m), .match = MATCH_NAME};
    ISA_PUSH(m->members, m->n_members, m->members_cap) = one;
    return &m->members[m->n_members - 1];
}

void model_destroy(struct model *m)
{
    if (!m)
        return;
    for (size_t i = 0; i < m->n_members; i++) {
        free(m->members[i].name);
        free(m->members[i].version);
        free(m->members[i].source);
        free(m->members[i].depends);
        free(m->members[i].units);
    }
    free(m->members);
    free(m->units);
    free(m->unit_of);
    free(m->rarest);
    free(m->popularity);
    db_close(m->db);
    free(m);
}

/* Mnemonics are numbered in the order of their first form. */
static void make_units(struct model *m)
{
    struct named {
        const char *name;
        unsigned unit;
        UT_hash_handle hh;
    } *names = NULL, *one, *next;
    const struct isa_forms *forms = db_forms(m->db);
    unsigned n = isa_forms_count(forms);
    m->unit_of = isa_alloc(ISA_FORMS_MAX * sizeof *m->unit_of);
    m->units = isa_alloc((n + 1) * sizeof *m->units);
    for (unsigned i = 0; i <= n && i < ISA_FORMS_MAX; i++) {
        unsigned number = i < n ? i : ISA_FORMS_MAX - 1; /* the last stands for what had no place */
        const struct isa_form *f = isa_forms_get(forms, number);
        const char *name = m->by_form ? f->text : f->mnemonic;
        if (i == n && !m->summary.occurrences[number])
            break;
        HASH_FIND_STR(names, name, one);
        if (!one) {
            one = isa_alloc(sizeof *one);
            *one = (struct named){.name = name, .unit = (unsigned)m->n_units};
            HASH_ADD_KEYPTR(hh, names, one->name, strlen(name), one);
            m->units[m->n_units++] =
                (struct unit){.name = name, .mnemonic = f->mnemonic, .set = f->set, .level = f->level};
        }
        /* The set of a mnemonic is the one that asks least; of equals, whichever form was met first must not matter. */
        if (f->level < m->units[one->unit].level ||
            (f->level == m->units[one->unit].level && strcmp(f->set, m->units[one->unit].set) < 0)) {
            m->units[one->unit].level = f->level;
            m->units[one->unit].set = f->set;
        }
        m->unit_of[number] = (uint16_t)one->unit;
        m->units[one->unit].occurrences += m->summary.occurrences[number];
        m->units[one->unit].suspects += m->summary.suspects[number];
    }
    HASH_ITER(hh, names, one, next)
    {
        HASH_DEL(names, one);
        free(one);
    }
    m->words = (m->n_units + 63) / 64;
}

static void add_package(void *context, struct package *p)
{
    struct model *m = context;
    const struct footprint *f = &p->footprints[m->closure];
    if (p->programs && !p->suspended) {
        struct member *one = model_add(m, p->name, 0);
        one->version = HIRA_STEAL(p->version);
        one->source = HIRA_STEAL(p->source);
        one->depends = HIRA_STEAL(p->depends);
        one->incomplete = p->n_missing || p->skipped;
        one->match = MATCH_NONE;
        for (size_t i = 0; i < f->n; i++) {
            if (f->levels[i] <= m->cap)
                bit_set(one->units, m->unit_of[f->forms[i]]);
        }
    }
    package_destroy(p);
}

/* ---- weights ---- */

/* Beside the program in a build folder, or in the share folder of an installation. */
static char *shipped_popularity(void)
{
    static const char *const places[] = {"/" SHIPPED_POPULARITY, "/../share/isapop/" SHIPPED_POPULARITY};
    char self[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    if (n <= 0)
        return NULL;
    self[n] = 0;
    if (strrchr(self, '/'))
        *strrchr(self, '/') = 0;
    for (size_t i = 0; i < HIRA_ARRAY_SIZE(places); i++) {
        char *path = isa_printf("%s%s", self, places[i]);
        if (access(path, R_OK) == 0)
            return path;
        free(path);
    }
    return NULL;
}

static int by_source(const void *x, const void *y)
{
    const struct member *const *a = x, *const *b = y;
    return strcmp((*a)->source, (*b)->source);
}

/* A package whose name the file does not have, as names change with library versions, has the weight of the most
 * popular package of the same source. */
static void match_sources(struct model *m, const struct popcon *popcon)
{
    struct member **order = isa_alloc(m->n_members * sizeof *order);
    for (size_t i = 0; i < m->n_members; i++)
        order[i] = &m->members[i];
    if (m->n_members)
        qsort(order, m->n_members, sizeof *order, by_source);
    for (size_t i = 0, k; i < m->n_members; i = k) {
        const struct popcon_row *row = popcon_find(popcon, order[i]->source);
        double best = row ? popcon_share(popcon, row->installations) : -1;
        for (k = i; k < m->n_members && !strcmp(order[k]->source, order[i]->source); k++)
            best = order[k]->match == MATCH_NAME && order[k]->p > best ? order[k]->p : best;
        for (size_t j = i; j < k && best >= 0; j++) {
            if (order[j]->match == MATCH_NONE) {
                order[j]->p = best;
                order[j]->match = MATCH_SOURCE;
            }
        }
    }
    free(order);
}

static int weigh(struct model *m, const struct model_options *options)
{
    struct popcon popcon;
    char *shipped = options->popularity ? NULL : shipped_popularity();
    const char *path = options->popularity ? options->popularity : shipped;
    if (!path || !strcmp(path, "none")) {
        if (!path)
            isa_note("no popularity data: every package counts alike (--popularity FILE, for example by_inst of "
                     "popcon.debian.org)");
        for (size_t i = 0; i < m->n_members; i++) {
            m->members[i].p = 1;
            m->members[i].match = MATCH_EQUAL;
        }
        m->weighted = false;
        return 0;
    }
    int error = popcon_read(&popcon, path, options->submissions);
    m->popularity = shipped ? isa_printf("%s (2018, Debian and Ubuntu)", SHIPPED_POPULARITY) : isa_strdup(path);
    free(shipped);
    if (error)
        return error;
    m->submissions = popcon.submissions;
    for (size_t i = 0; i < popcon.n; i++)
        m->popcon_weight += popcon_share(&popcon, popcon.rows[i].installations);
    for (size_t i = 0; i < m->n_members; i++) {
        const struct popcon_row *row = popcon_find(&popcon, m->members[i].name);
        if (row) {
            m->members[i].p = popcon_share(&popcon, row->installations);
            m->members[i].match = MATCH_NAME;
        }
    }
    match_sources(m, &popcon);
    for (size_t i = 0; i < m->n_members; i++) {
        if (m->members[i].match == MATCH_NONE && options->missing_weight > 0) {
            m->members[i].p = options->missing_weight;
            m->members[i].match = MATCH_GIVEN;
        }
    }
    popcon_fini(&popcon);
    return 0;
}

/* ---- measures ---- */

static void find_rarest(struct model *m)
{
    m->rarest = isa_realloc(m->rarest, m->n_members * sizeof *m->rarest);
    for (size_t i = 0; i < m->n_members; i++) {
        size_t least = SIZE_MAX;
        m->rarest[i] = 0;
        for (size_t w = 0; w < m->words; w++) {
            for (uint64_t bits = m->members[i].units[w]; bits; bits &= bits - 1) {
                uint32_t unit = (uint32_t)(w * 64) + (uint32_t)__builtin_ctzll(bits);
                if (m->units[unit].packages < least) {
                    least = m->units[unit].packages;
                    m->rarest[i] = unit;
                }
            }
        }
    }
}

void model_measure(struct model *m)
{
    m->weight = 0;
    memset(m->matched, 0, sizeof m->matched);
    for (size_t i = 0; i < m->n_members; i++) {
        struct member *one = &m->members[i];
        double p = m->weighted ? one->p : 0, rest = log1p(-p);
        m->weight += one->p;
        m->matched[one->match]++;
        one->n_units = 0;
        for (size_t w = 0; w < m->words; w++) {
            for (uint64_t bits = one->units[w]; bits; bits &= bits - 1) {
                struct unit *u = &m->units[w * 64 + (size_t)__builtin_ctzll(bits)];
                u->packages++;
                u->order -= rest / M_LN10;
                one->n_units++;
            }
        }
    }
    find_rarest(m);
    for (size_t i = 0; i < m->n_units; i++) {
        struct unit *u = &m->units[i];
        u->unweighted = m->n_members ? (double)u->packages / (double)m->n_members : 0;
        u->importance = m->weighted ? -expm1(-u->order * M_LN10) : u->unweighted;
        if (!m->weighted)
            u->order = u->unweighted;
    }
}

struct model *model_open(const struct model_options *options)
{
    struct model *m = isa_alloc(sizeof *m);
    m->weighted = true;
    m->by_form = options->by_form;
    m->db = db_open(options->database, false);
    const struct db_summary *summary = m->db ? db_summary(m->db) : NULL;
    if (m->db && !summary)
        isa_note("%s: its scan is not complete; the same scan command again goes on from there", options->database);
    if (!summary) {
        model_destroy(m);
        return NULL;
    }
    m->summary = *summary;
    m->closure = options->closure < 0 ? summary->closure : (enum closure)options->closure;
    m->cap = options->cap < 0 ? summary->cap : (enum isa_level)options->cap;
    make_units(m);
    int error = db_packages(m->db, false, true, add_package, m);
    if (error)
        isa_note("%s: a package cannot be read; scan again", options->database);
    if (!error && !m->n_members)
        isa_note("%s: there is no package with a program in it; scan some", options->database);
    if (error || !m->n_members || weigh(m, options)) {
        model_destroy(m);
        return NULL;
    }
    model_measure(m);
    return m;
}

void model_describe(const struct model *m, struct hira_text *out)
{
    double matched = 0;
    size_t again = 0; /* databases have packages in the order of names */
    for (size_t i = 0; i < m->n_members; i++) {
        bool by_name = m->members[i].match == MATCH_NAME;
        matched += by_name ? m->members[i].p : 0;
        again += by_name && i && !strcmp(m->members[i - 1].name, m->members[i].name);
    }
    hira_text_printf(out, "%s with programs; closure %s, processor %s", isa_n(m->n_members, "package"),
                     closure_names[m->closure], m->cap == ISA_BEYOND ? "any" : isa_level_names[m->cap]);
    if (!m->weighted) {
        hira_text_puts(out, "; every package counts alike\n");
        return;
    }
    hira_text_printf(out, "\nweights: %s, %s; %s by name, %zu by source, %zu given, %zu without", m->popularity,
                     isa_n(m->submissions, "machine"), isa_n(m->matched[MATCH_NAME], "package"),
                     m->matched[MATCH_SOURCE], m->matched[MATCH_GIVEN], m->matched[MATCH_NONE]);
    hira_text_printf(out, "; %.1f %% of the file's weight matched by name\n",
                     m->popcon_weight > 0 ? 100 * matched / m->popcon_weight : 0);
    if (again)
        hira_text_printf(out, "%s %s the weight of another of the same name, counted beside it; scan one of each\n",
                         isa_n(again, "package"), again == 1 ? "has" : "have");
    if (m->weight <= 0)
        hira_text_puts(out, "no package has a weight, so all that is weighted is 0: --popularity none counts all "
                            "alike, --missing-weight P assumes one\n");
}

static struct completeness sum_up(const struct model *m, const uint8_t *complete)
{
    struct completeness c = {0};
    for (size_t i = 0; i < m->n_members; i++) {
        c.packages += complete[i];
        c.weighted += complete[i] ? m->members[i].p : 0;
    }
    c.weighted = m->weight > 0 ? c.weighted / m->weight : 0;
    c.unweighted = m->n_members ? (double)c.packages / (double)m->n_members : 0;
    return c;
}

struct completeness model_completeness(const struct model *m, const uint64_t *supported)
{
    struct completeness c = {0};
    for (size_t i = 0; i < m->n_members; i++) {
        bool maybe = !m->members[i].n_units || bit_get(supported, m->rarest[i]);
        if (maybe && bits_within(m->members[i].units, supported, m->words)) {
            c.packages++;
            c.weighted += m->members[i].p;
        }
    }
    c.weighted = m->weight > 0 ? c.weighted / m->weight : 0;
    c.unweighted = m->n_members ? (double)c.packages / (double)m->n_members : 0;
    return c;
}

/* ---- dependencies ---- */

struct by_name {
    const char *name;
    size_t index;
    UT_hash_handle hh;
};

/* Whether one clause ("a (>= 1) | b") holds: some alternative is complete, or none of them is here at all. */
static bool clause_holds(struct by_name *names, char *clause, const uint8_t *complete)
{
    bool here = false;
    for (char *save = NULL, *one = strtok_r(clause, "|", &save); one; one = strtok_r(NULL, "|", &save)) {
        struct by_name *found;
        one += strspn(one, " ");
        one[strcspn(one, " (:")] = 0;
        HASH_FIND_STR(names, one, found);
        if (found && complete[found->index])
            return true;
        here = here || found;
    }
    return !here;
}

static bool depends_hold(struct by_name *names, const char *depends, const uint8_t *complete)
{
    HIRA_AUTOFREE char *text = isa_strdup(depends ? depends : "");
    char *rest = text;
    for (char *clause; (clause = strsep(&rest, ","));) {
        if (!clause_holds(names, clause, complete))
            return false;
    }
    return true;
}

struct completeness model_completeness_deep(const struct model *m, const uint64_t *supported, bool dependencies,
                                            uint8_t *complete)
{
    struct by_name *names = NULL, *items = isa_alloc(m->n_members * sizeof *items);
    for (size_t i = 0; i < m->n_members; i++)
        complete[i] = bits_within(m->members[i].units, supported, m->words);
    for (size_t i = 0; dependencies && i < m->n_members; i++) {
        items[i] = (struct by_name){.name = m->members[i].name, .index = i};
        HASH_ADD_KEYPTR(hh, names, items[i].name, strlen(items[i].name), &items[i]);
    }
    for (bool changed = dependencies; changed;) {
        changed = false;
        for (size_t i = 0; i < m->n_members; i++) {
            if (complete[i] && !depends_hold(names, m->members[i].depends, complete)) {
                complete[i] = 0;
                changed = true;
            }
        }
    }
    HASH_CLEAR(hh, names);
    free(items);
    return sum_up(m, complete);
}

static const struct model *sorting;

static int by_importance(const void *x, const void *y)
{
    const struct unit *a = &sorting->units[*(const uint32_t *)x], *b = &sorting->units[*(const uint32_t *)y];
    if (a->order != b->order)
        return a->order > b->order ? -1 : 1;
    if (a->packages != b->packages)
        return a->packages > b->packages ? -1 : 1;
    if (a->occurrences != b->occurrences)
        return a->occurrences > b->occurrences ? -1 : 1;
    return a->name && b->name ? strcmp(a->name, b->name) : 0;
}

uint32_t *model_by_importance(const struct model *m)
{
    uint32_t *order = isa_alloc(m->n_units * sizeof *order);
    for (size_t i = 0; i < m->n_units; i++)
        order[i] = (uint32_t)i;
    sorting = m;
    if (m->n_units)
        qsort(order, m->n_units, sizeof *order, by_importance);
    return order;
}

static int by_share(const void *x, const void *y)
{
    const struct unit *a = &sorting->units[*(const uint32_t *)x], *b = &sorting->units[*(const uint32_t *)y];
    return a->packages != b->packages ? (a->packages > b->packages ? -1 : 1) : by_importance(x, y);
}

uint32_t *model_by_share(const struct model *m)
{
    uint32_t *order = model_by_importance(m);
    if (m->n_units)
        qsort(order, m->n_units, sizeof *order, by_share);
    return order;
}

double *model_curve(const struct model *m, const uint32_t *order)
{
    double *curve = isa_alloc((m->n_units + 1) * sizeof *curve);
    HIRA_AUTOFREE uint32_t *rank = isa_alloc((m->n_units + 1) * sizeof *rank);
    for (size_t i = 0; i < m->n_units; i++)
        rank[order[i]] = (uint32_t)i + 1;
    /* A package is complete with the last of its units. */
    for (size_t i = 0; i < m->n_members; i++) {
        uint32_t last = 0;
        for (size_t w = 0; w < m->words; w++) {
            for (uint64_t bits = m->members[i].units[w]; bits; bits &= bits - 1)
                last = HIRA_MAX(last, rank[w * 64 + (size_t)__builtin_ctzll(bits)]);
        }
        curve[last] += m->weight > 0 ? m->members[i].p / m->weight : 0;
    }
    for (size_t i = 1; i <= m->n_units; i++)
        curve[i] += curve[i - 1];
    return curve;
}
