/* Importance and completeness by ISA set and level.
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef HIRA_ISA_FAMILY_H
#define HIRA_ISA_FAMILY_H

#include "model.h"

struct family {
    const char *set;
    uint8_t level;
    size_t units, packages;
    uint64_t occurrences;
    double importance, unweighted;
    struct completeness without; /* all but this set */
};

/* Sorted by importance. Caller frees. */
struct family *families(const struct model *m, size_t *ret_n);
/* With everything up to a level. */
struct completeness family_level(const struct model *m, enum isa_level level, size_t *ret_units);

#endif
