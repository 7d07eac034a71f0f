/*
 * isapop family: ISA sets and levels, rather than single instructions.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include <math.h>

#include "cmd.h"
#include "family.h"

static int by_importance(const void *x, const void *y)
{
    const struct family *a = x, *b = y;
    if (a->packages != b->packages)
        return a->packages > b->packages ? -1 : 1;
    return strcmp(a->set, b->set);
}

static void measure(const struct model *m, struct family *f)
{
    HIRA_AUTOFREE uint64_t *rest = bits_create(m), *own = bits_create(m);
    double none = 0;
    for (size_t i = 0; i < m->n_units; i++) {
        bool mine = !strcmp(m->units[i].set, f->set);
        bit_set(mine ? own : rest, i);
        if (mine) {
            f->units += m->units[i].packages > 0;
            f->occurrences += m->units[i].occurrences;
            f->level = HIRA_MIN(f->level, m->units[i].level);
        }
    }
    for (size_t i = 0; i < m->n_members; i++) {
        bool needs = false;
        for (size_t w = 0; w < m->words && !needs; w++)
            needs = m->members[i].units[w] & own[w];
        f->packages += needs;
        none += needs && m->weighted ? log1p(-m->members[i].p) : 0;
    }
    f->unweighted = (double)f->packages / (double)m->n_members;
    f->importance = m->weighted ? -expm1(none) : f->unweighted;
    f->without = model_completeness(m, rest);
}

struct family *families(const struct model *m, size_t *ret_n)
{
    struct family *all = NULL;
    size_t n = 0, cap = 0;
    for (size_t i = 0; i < m->n_units; i++) {
        size_t k = 0;
        while (k < n && strcmp(all[k].set, m->units[i].set) != 0)
            k++;
        if (k == n)
            ISA_PUSH(all, n, cap) = (struct family){.set = m->units[i].set, .level = ISA_BEYOND};
    }
    for (size_t i = 0; i < n; i++)
        measure(m, &all[i]);
    if (n)
        qsort(all, n, sizeof *all, by_importance);
    *ret_n = n;
    return all;
}

struct completeness family_level(const struct model *m, enum isa_level level, size_t *ret_units)
{
    HIRA_AUTOFREE uint64_t *bits = bits_create(m);
    *ret_units = 0;
    for (size_t i = 0; i < m->n_units; i++) {
        if (m->units[i].level <= level) {
            bit_set(bits, i);
            *ret_units += m->units[i].packages > 0;
        }
    }
    return model_completeness(m, bits);
}

int cmd_family(const struct options *o)
{
    struct model *m;
    struct output *out;
    size_t n, units;
    if (o->n_words)
        return cmd_usage(o, "takes no arguments");
    if (!cmd_begin(o, &m, &out))
        return ISA_FAILED;
    HIRA_AUTOFREE struct family *all = families(m, &n);
    if (m->cap != ISA_BEYOND)
        output_note(out, "code that asks the processor first counts as on %s; --cpuid-cap none counts all of it",
                    isa_level_names[m->cap]);
    output_table(out, "levels", "<up to|instructions|completeness|packages");
    for (int i = 0; i < ISA_LEVELS; i++) {
        struct completeness c = family_level(m, (enum isa_level)i, &units);
        output_text(out, isa_level_names[i]);
        output_count(out, units);
        output_percent(out, c.weighted);
        output_count(out, c.packages);
    }
    output_table(out, "sets", "<set|<level|instructions|importance|share|packages|occurrences|completeness without");
    for (size_t i = 0; i < n && i < o->limit; i++) {
        output_text(out, all[i].set);
        output_text(out, isa_level_names[all[i].level]);
        output_count(out, all[i].units);
        output_percent(out, all[i].importance);
        output_percent(out, all[i].unweighted);
        output_count(out, all[i].packages);
        output_count(out, all[i].occurrences);
        output_percent(out, all[i].without.weighted);
    }
    return cmd_end(m, out);
}
