/*
 * isapop importance: each unit's measures, the most important first.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include "cmd.h"

int cmd_importance(const struct options *o)
{
    struct model *m;
    struct output *out;
    if (o->n_words)
        return cmd_usage(o, "takes no arguments");
    if (!cmd_begin(o, &m, &out))
        return ISA_FAILED;
    HIRA_AUTOFREE uint32_t *order = model_by_importance(m);
    uint64_t total = 0;
    size_t used = 0;
    for (size_t i = 0; i < m->n_units; i++) {
        total += m->units[i].occurrences;
        used += m->units[i].packages > 0;
    }
    output_note(out, "%s in footprints, of %zu met; importance 1 - 10^-order",
                isa_n(used, m->by_form ? "form" : "mnemonic"), m->n_units);
    output_table(out, "importance",
                 "#|<instruction|<set|<level|importance|order|unweighted|packages|occurrences|of all|suspect");
    for (size_t i = 0; i < m->n_units && i < o->limit; i++) {
        const struct unit *u = &m->units[order[i]];
        output_count(out, i + 1);
        output_text(out, u->name);
        output_text(out, u->set);
        output_text(out, isa_level_names[u->level]);
        output_percent(out, u->importance);
        output_real(out, m->weighted ? u->order : 0);
        output_percent(out, u->unweighted);
        output_count(out, u->packages);
        output_count(out, u->occurrences);
        output_percent(out, total ? (double)u->occurrences / (double)total : 0);
        output_count(out, u->suspects);
    }
    return cmd_end(m, out);
}
