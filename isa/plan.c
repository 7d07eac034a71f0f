/* Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0 */
#include "plan.h"

#define EXACT_BELOW 768 /* gaps: all are tried; of more, those that promise most */
#define TRIED 160       /* of each of two kinds: a plan over 30,000 packages takes seconds */
#define ENOUGH 1e-9     /* completeness that rounding may lack */

const char *const plan_order_names[PLAN_ORDERS] = {"importance", "smallest-gap", "best-gain"};

/* Packages that lack the same units. */
struct gap {
    uint64_t *units;
    uint64_t signature; /* all words on top of each other: what is not within it is not within the units */
    uint64_t hash;
    double weight;
    uint32_t size;
    const struct member *first; /* the most popular of them */
};

struct gaps {
    const struct model *m;
    struct gap *items;
    size_t n;
    uint64_t *memory;
};

static void measure_gap(struct gap *g, size_t words)
{
    g->signature = 0;
    g->hash = 1469598103934665603ull;
    g->size = 0;
    for (size_t i = 0; i < words; i++) {
        g->signature |= g->units[i];
        g->hash = (g->hash ^ g->units[i]) * 0x9e3779b97f4a7c15ull;
        g->hash ^= g->hash >> 29;
        g->size += (uint32_t)__builtin_popcountll(g->units[i]);
    }
}

/* By size, equal gaps beside each other. */
static int by_size(const void *x, const void *y)
{
    const struct gap *a = x, *b = y;
    if (a->size != b->size)
        return a->size < b->size ? -1 : 1;
    if (a->hash != b->hash)
        return a->hash < b->hash ? -1 : 1;
    return strcmp(a->first->name, b->first->name);
}

/* Takes `added` out of every gap, drops those that are filled, and puts equal ones together. */
static void gaps_fill(struct gaps *gaps, const uint64_t *added)
{
    size_t words = gaps->m->words, kept = 0;
    for (size_t i = 0; i < gaps->n; i++) {
        struct gap *g = &gaps->items[i];
        for (size_t w = 0; w < words; w++)
            g->units[w] &= ~added[w];
        measure_gap(g, words);
        if (g->size)
            gaps->items[kept++] = *g;
    }
    gaps->n = kept;
    if (kept)
        qsort(gaps->items, kept, sizeof *gaps->items, by_size);
    kept = 0;
    for (size_t i = 0; i < gaps->n; i++) {
        struct gap *g = &gaps->items[i], *last = kept ? &gaps->items[kept - 1] : NULL;
        if (last && last->hash == g->hash && last->size == g->size && !memcmp(last->units, g->units, words * 8)) {
            last->weight += g->weight;
            last->first = g->first->p > last->first->p ? g->first : last->first;
        } else {
            gaps->items[kept++] = *g;
        }
    }
    gaps->n = kept;
}

static void gaps_open(struct gaps *gaps, const struct model *m, const uint64_t *supported)
{
    *gaps = (struct gaps){.m = m, .items = isa_alloc(m->n_members * sizeof *gaps->items), .n = m->n_members};
    gaps->memory = isa_alloc((m->n_members * m->words + 1) * sizeof *gaps->memory);
    for (size_t i = 0; i < m->n_members; i++) {
        gaps->items[i] =
            (struct gap){.units = gaps->memory + i * m->words, .weight = m->members[i].p, .first = &m->members[i]};
        memcpy(gaps->items[i].units, m->members[i].units, m->words * 8);
    }
    gaps_fill(gaps, supported);
}

static void gaps_close(struct gaps *gaps)
{
    free(gaps->items);
    free(gaps->memory);
}

/* The weight of all packages that filling a gap completes. Gaps are sorted by size, so only those before its equals can
 * be within. */
static double gain(const struct gaps *gaps, const struct gap *g)
{
    double sum = 0;
    for (const struct gap *one = gaps->items, *end = one + gaps->n; one < end && one->size <= g->size; one++) {
        if (!(one->signature & ~g->signature) && bits_within(one->units, g->units, gaps->m->words))
            sum += one->weight;
    }
    return sum;
}

struct promise {
    uint32_t gap;
    double value;
};

static int by_promise(const void *x, const void *y)
{
    const struct promise *a = x, *b = y;
    return a->value != b->value ? (a->value > b->value ? -1 : 1) : a->gap < b->gap ? -1 : a->gap > b->gap;
}

static const struct gap *best_gain(const struct gaps *gaps)
{
    const struct gap *best = NULL;
    double best_ratio = -1;
    HIRA_AUTOFREE struct promise *promises = isa_alloc(gaps->n * sizeof *promises);
    bool all = gaps->n <= EXACT_BELOW;
    for (size_t i = 0; i < gaps->n; i++)
        promises[i] = (struct promise){(uint32_t)i, all ? -(double)i : gaps->items[i].weight / gaps->items[i].size};
    qsort(promises, gaps->n, sizeof *promises, by_promise);
    for (size_t i = 0; i < (all ? gaps->n : 2 * TRIED); i++) {
        const struct gap *g = &gaps->items[all || i < TRIED ? promises[i].gap : i - TRIED];
        double ratio = gain(gaps, g) / g->size;
        if (ratio > best_ratio) {
            best = g;
            best_ratio = ratio;
        }
    }
    return best;
}

static const struct gap *smallest_gap(const struct gaps *gaps)
{
    const struct gap *best = gaps->items;
    for (size_t i = 1; i < gaps->n && gaps->items[i].size == best->size; i++)
        best = gaps->items[i].weight > best->weight ? &gaps->items[i] : best;
    return best;
}

static void add_step(const struct model *m, struct plan *plan, const uint64_t *supported, uint32_t n,
                     const struct member *package)
{
    ISA_PUSH(plan->steps, plan->n_steps, plan->steps_cap) =
        (struct plan_step){(uint32_t)(plan->n_units - n), n, package, model_completeness(m, supported)};
}

static bool done(const struct plan *plan, double until, size_t most)
{
    double now = plan->n_steps ? plan->steps[plan->n_steps - 1].after.weighted : plan->before.weighted;
    return now >= until - ENOUGH || plan->n_units >= most;
}

static void by_gaps(const struct model *m, uint64_t *supported, const uint32_t *order, bool gain_order, double until,
                    size_t most, struct plan *plan)
{
    struct gaps gaps;
    HIRA_AUTOFREE uint64_t *added = bits_create(m);
    gaps_open(&gaps, m, supported);
    while (gaps.n && !done(plan, until, most)) {
        const struct gap *g = gain_order ? best_gain(&gaps) : smallest_gap(&gaps);
        const struct member *package = g->first;
        uint32_t n = g->size;
        memcpy(added, g->units, m->words * 8);
        for (size_t i = 0; i < m->n_units; i++) {
            if (bit_get(added, order[i]))
                plan->units[plan->n_units++] = order[i];
        }
        for (size_t w = 0; w < m->words; w++)
            supported[w] |= added[w];
        add_step(m, plan, supported, n, package);
        gaps_fill(&gaps, added);
    }
    gaps_close(&gaps);
}

void plan_make(const struct model *m, const uint64_t *supported, enum plan_order how, double until, size_t most,
               struct plan *ret)
{
    HIRA_AUTOFREE uint64_t *now = bits_create(m);
    HIRA_AUTOFREE uint32_t *order = model_by_importance(m);
    memcpy(now, supported, m->words * 8);
    *ret =
        (struct plan){.units = isa_alloc(m->n_units * sizeof *ret->units), .before = model_completeness(m, supported)};
    if (how != PLAN_IMPORTANCE) {
        by_gaps(m, now, order, how == PLAN_BEST_GAIN, until, most, ret);
        return;
    }
    for (size_t i = 0; i < m->n_units && !done(ret, until, most); i++) {
        if (bit_get(now, order[i]) || !m->units[order[i]].packages)
            continue;
        bit_set(now, order[i]);
        ret->units[ret->n_units++] = order[i];
        add_step(m, ret, now, 1, NULL);
    }
}

void plan_fini(struct plan *plan)
{
    free(plan->units);
    free(plan->steps);
    *plan = (struct plan){0};
}

size_t plan_reaches(const struct plan *plan, double weighted)
{
    if (plan->before.weighted >= weighted - ENOUGH)
        return 0;
    for (size_t i = 0; i < plan->n_steps; i++) {
        if (plan->steps[i].after.weighted >= weighted - ENOUGH)
            return plan->steps[i].first + plan->steps[i].n;
    }
    return SIZE_MAX;
}

/* ---- few packages that need everything ---- */

static int by_footprint(const void *x, const void *y)
{
    const struct member *a = *(const struct member *const *)x, *b = *(const struct member *const *)y;
    if (a->n_units != b->n_units)
        return a->n_units > b->n_units ? -1 : 1;
    return a->p != b->p ? (a->p > b->p ? -1 : 1) : strcmp(a->name, b->name);
}

const struct member **plan_testset(const struct model *m, bool largest_first, size_t *ret_n)
{
    const struct member **order = isa_alloc(m->n_members * sizeof *order),
                        **chosen = isa_alloc(m->n_members * sizeof *chosen);
    HIRA_AUTOFREE uint64_t *covered = bits_create(m);
    *ret_n = 0;
    for (size_t i = 0; i < m->n_members; i++)
        order[i] = &m->members[i];
    if (m->n_members)
        qsort(order, m->n_members, sizeof *order, by_footprint);
    for (size_t i = 0; i < m->n_members; i++) {
        const struct member *best = largest_first ? order[i] : NULL;
        size_t most = best ? bits_missing(best->units, covered, m->words) : 0;
        for (size_t k = 0; !largest_first && k < m->n_members && (!best || order[k]->n_units > most); k++) {
            size_t n = bits_missing(order[k]->units, covered, m->words);
            if (n > most) {
                best = order[k];
                most = n;
            }
        }
        if (!most && !largest_first)
            break;
        if (!most)
            continue;
        chosen[(*ret_n)++] = best;
        for (size_t w = 0; w < m->words; w++)
            covered[w] |= best->units[w];
    }
    free(order);
    return chosen;
}
