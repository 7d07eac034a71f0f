/*
 * isapop wc: weighted completeness of a supported set.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include "cmd.h"

#define LACKS_SHOWN 8 /* instructions named for each package that breaks */

static const struct model *sorting;

static int by_weight(const void *x, const void *y)
{
    const struct member *a = &sorting->members[*(const uint32_t *)x], *b = &sorting->members[*(const uint32_t *)y];
    return a->p != b->p ? (a->p > b->p ? -1 : 1) : strcmp(a->name, b->name);
}

/* The rarest first: they say best why. */
static void lacking(const struct model *m, const struct member *one, const uint64_t *supported, const uint32_t *order,
                    size_t most, struct hira_text *out)
{
    size_t n = 0, all = bits_missing(one->units, supported, m->words);
    for (size_t i = m->n_units; i-- && n < most;) {
        if (!bit_get(one->units, order[i]) || bit_get(supported, order[i]))
            continue;
        hira_text_printf(out, "%s%s", n++ ? ", " : "", m->units[order[i]].name);
    }
    if (all > n)
        hira_text_printf(out, ", and %zu more", all - n);
    if (!all)
        hira_text_puts(out, "(what it depends on breaks)");
}

int cmd_wc(const struct options *o)
{
    struct model *m;
    struct output *out;
    if (!o->supported)
        return cmd_usage(o, "which instructions are supported? --supported FILE");
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
    HIRA_AUTOFREE uint8_t *complete = isa_alloc(m->n_members);
    HIRA_AUTOFREE uint32_t *broken = isa_alloc(m->n_members * sizeof *broken), *order = model_by_importance(m);
    struct completeness c = model_completeness_deep(m, supported, o->depends, complete);
    size_t n = 0, n_supported = 0;
    for (size_t i = 0; i < m->words; i++)
        n_supported += (size_t)__builtin_popcountll(supported[i]);
    for (size_t i = 0; i < m->n_members; i++) {
        if (!complete[i])
            broken[n++] = (uint32_t)i;
    }
    sorting = m;
    if (n)
        qsort(broken, n, sizeof *broken, by_weight);
    output_table(out, "completeness", "supported|weighted|unweighted|complete|packages");
    output_count(out, n_supported);
    output_percent(out, c.weighted);
    output_percent(out, c.unweighted);
    output_count(out, c.packages);
    output_count(out, m->n_members);
    output_table(out, "broken", "installed|lacks|<package|<instructions");
    for (size_t i = 0; i < n && i < o->limit; i++) {
        const struct member *one = &m->members[broken[i]];
        struct hira_text text = {0};
        lacking(m, one, supported, order, cmd_listed(o, LACKS_SHOWN), &text);
        output_percent(out, one->p);
        output_count(out, bits_missing(one->units, supported, m->words));
        output_text(out, one->name);
        output_text(out, text.data);
        hira_text_fini(&text);
    }
    return cmd_end(m, out);
}
