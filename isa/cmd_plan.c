/*
 * isapop plan and isapop testset: what to implement next, and what to test it with.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include "cmd.h"
#include "plan.h"

static const double marks[] = {0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999, 1};

static void compare(struct output *out, const struct plan *plans, double until)
{
    output_table(out, "orders", "completeness|importance|smallest-gap|best-gain");
    for (size_t i = 0; i < HIRA_ARRAY_SIZE(marks) && marks[i] <= until; i++) {
        output_percent(out, marks[i]);
        for (int k = 0; k < PLAN_ORDERS; k++) {
            size_t n = plan_reaches(&plans[k], marks[i]);
            if (n == SIZE_MAX)
                output_text(out, "-");
            else
                output_count(out, n);
        }
    }
}

/* Where one order is at least as far as another, for every number of new units: the share of numbers, and the largest
 * lead. */
static void say_who_wins(struct output *out, const struct plan *ours, const struct plan *theirs)
{
    size_t better = 0, all = 0, at = 0;
    double lead = 0, now = ours->before.weighted, other = theirs->before.weighted;
    for (size_t n = 1, i = 0, k = 0; n <= ours->n_units && n <= theirs->n_units; n++) {
        while (i < ours->n_steps && ours->steps[i].first + ours->steps[i].n <= n)
            now = ours->steps[i++].after.weighted;
        while (k < theirs->n_steps && theirs->steps[k].first + theirs->steps[k].n <= n)
            other = theirs->steps[k++].after.weighted;
        all++;
        better += now > other;
        if (now - other > lead) {
            lead = now - other;
            at = n;
        }
    }
    if (all && !better)
        output_note(out, "best-gain is nowhere ahead of importance");
    else if (all)
        output_note(out,
                    "best-gain is ahead of importance after %zu of %s of new instructions, by up to %.1f "
                    "points (after %zu)",
                    better, isa_n(all, "number"), 100 * lead, at);
}

static void list(struct output *out, const struct model *m, const struct plan *plan, size_t limit)
{
    output_table(out, "plan", "new|in all|completeness|packages|<completes|<instructions");
    for (size_t i = 0; i < plan->n_steps && i < limit; i++) {
        const struct plan_step *s = &plan->steps[i];
        struct hira_text text = {0};
        for (uint32_t k = s->first; k < s->first + s->n; k++)
            hira_text_printf(&text, "%s%s", k > s->first ? ", " : "", m->units[plan->units[k]].name);
        output_count(out, s->n);
        output_count(out, s->first + s->n);
        output_percent(out, s->after.weighted);
        output_count(out, s->after.packages);
        output_text(out, s->package ? s->package->name : "");
        output_text(out, text.data);
        hira_text_fini(&text);
    }
}

int cmd_plan(const struct options *o)
{
    struct model *m;
    struct output *out;
    int which = PLAN_BEST_GAIN;
    for (int i = 0; o->order && i <= PLAN_ORDERS; i++) {
        if (i == PLAN_ORDERS)
            return cmd_usage(o, "'%s' is no order: importance, smallest-gap or best-gain", o->order);
        which = i;
        if (!strcmp(o->order, plan_order_names[i]))
            break;
    }
    if (o->n_words)
        return cmd_usage(o, "takes no arguments but options");
    if (!cmd_begin(o, &m, &out))
        return ISA_FAILED;
    HIRA_AUTOFREE uint64_t *supported = cmd_supported(o, m);
    if (!supported) {
        output_destroy(out);
        model_destroy(m);
        return ISA_FAILED;
    }
    struct plan plans[PLAN_ORDERS];
    for (int i = 0; i < PLAN_ORDERS; i++)
        plan_make(m, supported, (enum plan_order)i, o->until, o->steps, &plans[i]);
    output_note(out, "before: %.2f %% weighted, %s", 100 * plans[0].before.weighted,
                isa_n(plans[0].before.packages, "package"));
    say_who_wins(out, &plans[PLAN_BEST_GAIN], &plans[PLAN_IMPORTANCE]);
    if (!plans[which].n_steps && plans[which].before.weighted < o->until)
        output_note(out, "no package is completed by so few; more --steps, or --order importance, list something");
    compare(out, plans, o->until);
    list(out, m, &plans[which], o->limit);
    for (int i = 0; i < PLAN_ORDERS; i++)
        plan_fini(&plans[i]);
    return cmd_end(m, out);
}

int cmd_testset(const struct options *o)
{
    struct model *m;
    struct output *out;
    size_t n, n_largest;
    if (o->n_words)
        return cmd_usage(o, "takes no arguments");
    if (!cmd_begin(o, &m, &out))
        return ISA_FAILED;
    HIRA_AUTOFREE const struct member **set = plan_testset(m, false, &n);
    free(plan_testset(m, true, &n_largest));
    HIRA_AUTOFREE uint64_t *covered = bits_create(m);
    output_note(out, "%s %s every instruction that any of %zu does (%zu when taken by the size of footprints)",
                isa_n(n, "package"), n == 1 ? "needs" : "need", m->n_members, n_largest);
    output_table(out, "testset", "#|adds|in all|installed|<package|<version");
    for (size_t i = 0, all = 0; i < n && i < o->limit; i++) {
        size_t adds = bits_missing(set[i]->units, covered, m->words);
        for (size_t w = 0; w < m->words; w++)
            covered[w] |= set[i]->units[w];
        all += adds;
        output_count(out, i + 1);
        output_count(out, adds);
        output_count(out, all);
        output_percent(out, set[i]->p);
        output_text(out, set[i]->name);
        output_text(out, set[i]->version);
    }
    return cmd_end(m, out);
}
