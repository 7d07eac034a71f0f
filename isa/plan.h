/*
 * In which order to implement units, from a supported set on.
 *
 *   importance     one unit after the other, the most important first (the study's)
 *   smallest-gap   the package that lacks least, again and again (the study's, popularity ignored; a package counts
 * once) best-gain      the package whose gap, once filled, gains most weighted completeness for each new unit, counting
 * every package that it completes on the way. Single units cannot be chosen so: most of them alone complete nothing.
 *
 * Every completeness in a plan was counted from scratch for its step.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#ifndef HIRA_ISA_PLAN_H
#define HIRA_ISA_PLAN_H

#include "model.h"

enum plan_order { PLAN_IMPORTANCE, PLAN_SMALLEST_GAP, PLAN_BEST_GAIN, PLAN_ORDERS };
extern const char *const plan_order_names[PLAN_ORDERS];

struct plan_step {
    uint32_t first, n;            /* of the plan's units */
    const struct member *package; /* whose gap it was; NULL for importance */
    struct completeness after;
};

struct plan {
    uint32_t *units;
    size_t n_units;
    struct plan_step *steps;
    size_t n_steps, steps_cap;
    struct completeness before;
};

/* Up to a weighted completeness of `until`, or `most` units. */
void plan_make(const struct model *m, const uint64_t *supported, enum plan_order how, double until, size_t most,
               struct plan *ret);
void plan_fini(struct plan *plan);
/* How many new units the plan needs to reach a completeness; SIZE_MAX: it does not. */
size_t plan_reaches(const struct plan *plan, double weighted);

/* Packages that together need every unit that any does: the largest footprint first, each kept if it adds something
 * (the study's), or the one that adds most next. Caller frees; `*ret_n` members. */
const struct member **plan_testset(const struct model *m, bool largest_first, size_t *ret_n);

#endif
