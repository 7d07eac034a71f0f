/*
 * How many machines have a package: Debian's and Ubuntu's `by_inst`, files of three columns (rank, name,
 * installations), or CSV (name, installations), plain or compressed.
 *
 * The number of submissions is the last word in a comment "submissions: N", or a row "0 Total N" of three columns,
 * which is the format of the data that isapop comes with. Any other Total has the sums of columns, as that of by_inst:
 * it is neither a package nor a number of machines, also where lines or columns are missing. Without a number the
 * largest count stands for it, which is said. A package that everybody has counts as missing on half a machine, so that
 * logarithms stay finite.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#ifndef HIRA_ISA_POPCON_H
#define HIRA_ISA_POPCON_H

#include "isa.h"

struct popcon_row {
    char *name;
    uint64_t installations;
};

struct popcon {
    struct popcon_row *rows; /* sorted by name */
    size_t n, cap;
    uint64_t submissions, sum;
    unsigned everywhere; /* rows with as many installations as submissions, or more */
};

/* `submissions`: 0, or what stands for whatever the file says. 0 or -errno, said why. */
int popcon_read(struct popcon *p, const char *path, uint64_t submissions);
void popcon_fini(struct popcon *p);
const struct popcon_row *popcon_find(const struct popcon *p, const char *name);
/* The share of machines that have it, below 1. */
double popcon_share(const struct popcon *p, uint64_t installations);

#endif
