/* Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0 */
#include "plan.h"

#define EXACT_BELOW 768 /* gaps: all are tried; of more, those that promise most */
#define TRIED 64        /* of each of two kinds: a plan over 30,000 packages takes seconds */
#define ENOUGH 1e-9     /* completeness that rounding may lack */

const char *const plan_order_names[PLAN_ORDERS] = {"importance", "smallest-gap", "best-gain"};

/*
 * Gaps: packages that lack the same units, under numbers that stay. What is looked at for every gap in every step lies
 * in arrays of its own, and a list for each unit says which gaps have it: a step touches only those. Units are numbered
 * by importance here, the most important first.
 */
struct gaps {
    const struct model *m;
    size_t n; /* gaps alive, whose numbers are in `order`, by size */
    uint32_t *order, *scratch;
    uint32_t *size;   /* units lacking; 0: filled, or put to an equal one */
    uint32_t *rarest; /* the last unit: a gap without it has not got this one within */
    uint64_t *hash;
    double *weight;
    const struct member **first;  /* the most popular of its packages */
    uint64_t *units;              /* m->words for each */
    uint32_t *having, *having_at; /* for each unit the gaps that have it at the beginning */
    uint32_t *slots;              /* of a hash of gaps: number + 1 */
    size_t n_slots;
};

#define NO_GAP UINT32_MAX

static uint64_t mix(uint64_t x)
{
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
    x = (x ^ x >> 27) * 0x94d049bb133111ebull;
    return x ^ x >> 31;
}

static uint64_t *units_of(const struct gaps *gaps, uint32_t gap)
{
    return gaps->units + gap * gaps->m->words;
}

static void find_rarest(struct gaps *gaps, uint32_t gap)
{
    const uint64_t *units = units_of(gaps, gap);
    for (size_t w = gaps->m->words; w--;) {
        if (units[w]) {
            gaps->rarest[gap] = (uint32_t)(w * 64 + 63 - (size_t)__builtin_clzll(units[w]));
            return;
        }
    }
}

/* Puts a gap to its equal, if there is one before it. */
static bool put_to_equal(struct gaps *gaps, uint32_t gap)
{
    size_t slot = gaps->hash[gap] & (gaps->n_slots - 1);
    for (; gaps->slots[slot]; slot = (slot + 1) & (gaps->n_slots - 1)) {
        uint32_t there = gaps->slots[slot] - 1;
        if (gaps->hash[there] != gaps->hash[gap] ||
            memcmp(units_of(gaps, there), units_of(gaps, gap), gaps->m->words * 8) != 0)
            continue;
        gaps->weight[there] += gaps->weight[gap];
        if (gaps->first[gap]->p > gaps->first[there]->p)
            gaps->first[there] = gaps->first[gap];
        gaps->size[gap] = 0;
        return true;
    }
    gaps->slots[slot] = gap + 1;
    return false;
}

/* Drops what is filled, puts equal gaps together, and sorts by size: by counting, as there are no more sizes than
 * units. */
static void gaps_settle(struct gaps *gaps)
{
    size_t kept = 0;
    HIRA_AUTOFREE uint32_t *at = isa_alloc((gaps->m->n_units + 2) * sizeof *at);
    memset(gaps->slots, 0, gaps->n_slots * sizeof *gaps->slots);
    for (size_t i = 0; i < gaps->n; i++) {
        uint32_t gap = gaps->order[i];
        if (gaps->size[gap] && !put_to_equal(gaps, gap)) {
            gaps->scratch[kept++] = gap;
            at[gaps->size[gap] + 1]++;
        }
    }
    for (size_t i = 1; i <= gaps->m->n_units; i++)
        at[i] += at[i - 1];
    for (size_t i = 0; i < kept; i++)
        gaps->order[at[gaps->size[gaps->scratch[i]]]++] = gaps->scratch[i];
    gaps->n = kept;
}

/* Takes the units out of every gap. */
static void gaps_fill(struct gaps *gaps, const uint64_t *added)
{
    for (uint32_t unit = 0; unit < gaps->m->n_units; unit++) {
        if (!bit_get(added, unit))
            continue;
        for (uint32_t i = gaps->having_at[unit]; i < gaps->having_at[unit + 1]; i++) {
            uint32_t gap = gaps->having[i];
            if (!gaps->size[gap])
                continue;
            units_of(gaps, gap)[unit / 64] &= ~(1ull << (unit % 64));
            gaps->hash[gap] ^= mix(unit + 1);
            if (--gaps->size[gap] && gaps->rarest[gap] == unit)
                find_rarest(gaps, gap);
        }
    }
    gaps_settle(gaps);
}

static void gap_open(struct gaps *gaps, uint32_t gap, const uint64_t *supported, const uint32_t *order)
{
    for (uint32_t unit = 0; unit < gaps->m->n_units; unit++) {
        if (!bit_get(gaps->first[gap]->units, order[unit]) || bit_get(supported, order[unit]))
            continue;
        bit_set(units_of(gaps, gap), unit);
        gaps->hash[gap] ^= mix(unit + 1);
        gaps->rarest[gap] = unit;
        gaps->size[gap]++;
        gaps->having_at[unit + 2]++;
    }
}

static void gaps_open(struct gaps *gaps, const struct model *m, const uint64_t *supported, const uint32_t *order)
{
    size_t n = m->n_members;
    *gaps =
        (struct gaps){.m = m, .n = n, .order = isa_alloc(n * 4), .scratch = isa_alloc(n * 4), .size = isa_alloc(n * 4)};
    gaps->rarest = isa_alloc(n * 4);
    gaps->hash = isa_alloc(n * 8);
    gaps->weight = isa_alloc(n * sizeof *gaps->weight);
    gaps->first = isa_alloc(n * sizeof *gaps->first);
    gaps->units = isa_alloc(n * m->words * 8);
    gaps->having_at = isa_alloc((m->n_units + 3) * 4);
    for (gaps->n_slots = 64; gaps->n_slots < 2 * n;)
        gaps->n_slots *= 2;
    gaps->slots = isa_alloc(gaps->n_slots * 4);
    for (uint32_t i = 0; i < n; i++) {
        gaps->order[i] = i;
        gaps->weight[i] = m->members[i].p;
        gaps->first[i] = &m->members[i];
        gap_open(gaps, i, supported, order);
    }
    for (size_t i = 2; i < m->n_units + 2; i++)
        gaps->having_at[i] += gaps->having_at[i - 1];
    gaps->having = isa_alloc(gaps->having_at[m->n_units + 1] * sizeof *gaps->having + 4);
    for (uint32_t i = 0; i < n; i++) {
        for (size_t w = 0; w < m->words; w++) {
            for (uint64_t bits = units_of(gaps, i)[w]; bits; bits &= bits - 1)
                gaps->having[gaps->having_at[w * 64 + (size_t)__builtin_ctzll(bits) + 1]++] = i;
        }
    }
    gaps_settle(gaps);
}

static void gaps_close(struct gaps *gaps)
{
    free(gaps->order);
    free(gaps->scratch);
    free(gaps->size);
    free(gaps->rarest);
    free(gaps->hash);
    free(gaps->weight);
    free(gaps->first);
    free(gaps->units);
    free(gaps->having);
    free(gaps->having_at);
    free(gaps->slots);
}

static bool gap_within(const struct gaps *gaps, uint32_t gap, const uint64_t *units)
{
    return bit_get(units, gaps->rarest[gap]) && bits_within(units_of(gaps, gap), units, gaps->m->words);
}

/* The weight of all packages that filling a gap completes. */
static double gain(const struct gaps *gaps, uint32_t gap)
{
    double sum = 0;
    for (size_t i = 0; i < gaps->n && gaps->size[gaps->order[i]] <= gaps->size[gap]; i++) {
        if (gap_within(gaps, gaps->order[i], units_of(gaps, gap)))
            sum += gaps->weight[gaps->order[i]];
    }
    return sum;
}

struct promise {
    uint32_t gap;
    double value;
};

/* Of all gaps those with most weight of their own for each unit. */
static size_t most_promising(const struct gaps *gaps, struct promise *best, size_t most)
{
    size_t n = 0;
    for (size_t i = 0; i < gaps->n; i++) {
        double value = gaps->weight[gaps->order[i]] / gaps->size[gaps->order[i]];
        if (n == most && value <= best[n - 1].value)
            continue;
        size_t k = n < most ? n++ : n - 1;
        for (; k && best[k - 1].value < value; k--)
            best[k] = best[k - 1];
        best[k] = (struct promise){gaps->order[i], value};
    }
    return n;
}

static uint32_t best_gain(const struct gaps *gaps)
{
    uint32_t best = NO_GAP;
    double best_ratio = -1;
    struct promise promises[TRIED];
    bool all = gaps->n <= EXACT_BELOW;
    size_t n = all ? 0 : most_promising(gaps, promises, TRIED), smallest = all ? gaps->n : TRIED;
    for (size_t i = 0; i < n + smallest; i++) {
        uint32_t gap = i < n ? promises[i].gap : gaps->order[i - n];
        double ratio = gain(gaps, gap) / gaps->size[gap];
        if (ratio > best_ratio) {
            best = gap;
            best_ratio = ratio;
        }
    }
    return best;
}

static uint32_t smallest_gap(const struct gaps *gaps)
{
    uint32_t best = gaps->order[0];
    for (size_t i = 1; i < gaps->n && gaps->size[gaps->order[i]] == gaps->size[best]; i++)
        best = gaps->weight[gaps->order[i]] > gaps->weight[best] ? gaps->order[i] : best;
    return best;
}

/* Of the gaps properly within some units the one with the best gain for each; NO_GAP: there is none. What has to be
 * added anyway is added so that packages are completed on the way. */
static uint32_t best_within(const struct gaps *gaps, const uint64_t *units, uint32_t size)
{
    uint32_t best = NO_GAP;
    double best_ratio = -1;
    for (size_t i = 0; i < gaps->n && gaps->size[gaps->order[i]] < size; i++) {
        uint32_t gap = gaps->order[i];
        double ratio = gaps->weight[gap] / gaps->size[gap];
        if (ratio > best_ratio && gap_within(gaps, gap, units)) {
            best = gap;
            best_ratio = ratio;
        }
    }
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

static uint32_t subtract(uint64_t *from, const uint64_t *what, size_t words)
{
    uint32_t n = 0;
    for (size_t w = 0; w < words; w++) {
        from[w] &= ~what[w];
        n += (uint32_t)__builtin_popcountll(from[w]);
    }
    return n;
}

/* How many gaps, which are sorted by size, are not larger. */
static size_t fitting(const struct gaps *gaps, size_t room)
{
    size_t n = gaps->n;
    while (n && gaps->size[gaps->order[n - 1]] > room)
        n--;
    return n;
}

static void by_gaps(const struct model *m, uint64_t *supported, const uint32_t *order, bool gain_order, double until,
                    size_t most, struct plan *plan)
{
    struct gaps gaps;
    HIRA_AUTOFREE uint64_t *added = bits_create(m), *target = bits_create(m);
    const struct member *aim = NULL;
    gaps_open(&gaps, m, supported, order);
    while (gaps.n && !done(plan, until, most)) {
        uint32_t left = subtract(target, added, m->words), before = (uint32_t)plan->n_units;
        if (!left) {
            /* No more than `most` units in all: of what does not fit there is no point in the first part. */
            size_t all = gaps.n;
            gaps.n = fitting(&gaps, most - plan->n_units);
            uint32_t gap = !gaps.n ? NO_GAP : gain_order ? best_gain(&gaps) : smallest_gap(&gaps);
            gaps.n = all;
            if (gap == NO_GAP)
                break;
            memcpy(target, units_of(&gaps, gap), m->words * 8);
            left = gaps.size[gap];
            aim = gaps.first[gap];
        }
        uint32_t part = gain_order ? best_within(&gaps, target, left) : NO_GAP;
        const struct member *package = part != NO_GAP ? gaps.first[part] : aim;
        memcpy(added, part != NO_GAP ? units_of(&gaps, part) : target, m->words * 8);
        for (uint32_t rank = 0; rank < m->n_units; rank++) {
            if (!bit_get(added, rank))
                continue;
            plan->units[plan->n_units++] = order[rank];
            bit_set(supported, order[rank]);
        }
        add_step(m, plan, supported, (uint32_t)plan->n_units - before, package);
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
