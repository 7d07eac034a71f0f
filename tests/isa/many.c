/*
 * Writes a database of many made-up packages: what a plan over a whole distribution is timed with.
 *
 * usage: many FILE PACKAGES
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include "db.h"
#include "tests/tap.h"

#define MNEMONICS 1100

/* Everybody needs the first; the further back, the fewer: footprints of 60 to 600 units, as real ones have. */
static void fill(struct footprint *f, unsigned long long *state)
{
    size_t cap = 0, levels_cap = 0, n = 0;
    unsigned reach = 60 + (unsigned)(tap_random(state) % 200), rare = (unsigned)(tap_random(state) % 40);
    for (unsigned i = 0; i < MNEMONICS; i++) {
        bool in = i < 60 || (i < reach && tap_random(state) % 8) ||
                  (i >= reach && tap_random(state) % (MNEMONICS * 4) < rare * 4);
        if (!in)
            continue;
        ISA_PUSH(f->forms, f->n, cap) = (uint16_t)i;
        ISA_PUSH(f->levels, n, levels_cap) = ISA_V1;
    }
}

static void add_forms(struct db *db)
{
    for (unsigned i = 0; i < MNEMONICS; i++) {
        struct isa_form form = {.key = i};
        snprintf(form.mnemonic, sizeof form.mnemonic, "MADE%u", i);
        snprintf(form.text, sizeof form.text, "MADE%u", i);
        snprintf(form.set, sizeof form.set, "SET%u", i % 40);
        isa_forms_add(db_forms(db), &form);
    }
}

int main(int argc, char **argv)
{
    unsigned long long state = 11;
    struct db_summary summary = {.source = (char *)"made up", .closure = CLOSURE_REACH, .machine = 62};
    if (argc != 3)
        return 2;
    struct db *db = db_open(argv[1], true);
    if (!db)
        return 1;
    add_forms(db);
    summary.occurrences = isa_alloc(ISA_FORMS_MAX * sizeof(uint64_t));
    summary.suspects = isa_alloc(ISA_FORMS_MAX * sizeof(uint64_t));
    struct db_writer *w = db_rewrite_begin(db);
    for (unsigned long i = 0, n = strtoul(argv[2], NULL, 10); i < n; i++) {
        struct package p = {.programs = true};
        HIRA_AUTOFREE char *name = isa_printf("package%lu", i);
        p.name = p.source = name;
        p.version = p.arch = p.depends = (char *)"";
        fill(&p.footprints[CLOSURE_REACH], &state);
        if (db_rewrite_package(w, &p))
            return 1;
        free(p.footprints[CLOSURE_REACH].forms);
        free(p.footprints[CLOSURE_REACH].levels);
    }
    int error = db_rewrite_end(w, &summary);
    db_summary_fini(&(struct db_summary){.occurrences = summary.occurrences, .suspects = summary.suspects});
    db_close(db);
    return error ? 1 : 0;
}
