/*
 * What the questions are asked of: packages with programs, each with a weight and the set of units that it needs. A
 * unit is a mnemonic or an encoding form. Beside it the measures, as the study defines them:
 *
 *   importance of a unit    1 - the product of (1 - p) over the packages that need it: the chance that a user has one
 * of them its order               the sum of -log10(1 - p): what distinguishes units whose importance rounds to 100 %
 *   unweighted importance   the share of packages that need it
 *   weighted completeness   the sum of p over the packages whose units are all supported, over the sum of all p: what
 * share of a user's programs works
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#ifndef HIRA_ISA_MODEL_H
#define HIRA_ISA_MODEL_H

#include "db.h"
#include "popcon.h"

struct unit {
    const char *name; /* "ADDSD", or "ADDSD F2 0F 58" */
    const char *mnemonic, *set;
    uint8_t level;
    uint64_t occurrences, suspects;
    /* measures */
    double importance, order, unweighted;
    size_t packages;
};

struct member {
    char *name, *version, *source, *depends;
    double p;        /* weight */
    uint8_t match;   /* how the weight was found */
    uint64_t *units; /* bits */
    uint32_t n_units;
    bool incomplete; /* some library or file of it was not there */
};

enum { MATCH_NONE, MATCH_NAME, MATCH_SOURCE, MATCH_GIVEN, MATCH_EQUAL };

struct model {
    struct unit *units;
    size_t n_units, words;
    struct member *members;
    size_t n_members, members_cap;
    double weight;    /* sum of p */
    uint32_t *rarest; /* of each member the unit that fewest need: asked first whether a set has it */
    bool by_form, weighted;
    enum closure closure;
    enum isa_level cap;
    /* of the weights */
    size_t matched[5];
    double popcon_weight; /* sum of the shares of all rows of the popularity file */
    char *popularity;
    uint64_t submissions;
    struct db_summary summary; /* borrows from the database */
    struct db *db;
    uint16_t *unit_of; /* by form */
};

struct model_options {
    const char *database;
    const char *popularity; /* NULL: the data that came with isapop; "none": every package alike */
    uint64_t submissions;
    double missing_weight; /* the p of packages that the popularity file does not have */
    int closure, cap;      /* -1: as the database says */
    bool by_form;
};

/* NULL: said why. */
struct model *model_open(const struct model_options *options);
/* For tests: an empty model of n units, to which members are added; model_measure when all are there. */
struct model *model_create(size_t n_units);
struct member *model_add(struct model *m, const char *name, double p);
void model_measure(struct model *m);
void model_destroy(struct model *m);

/* A line or two on which weights were found: always shown. */
void model_describe(const struct model *m, struct hira_text *out);

static inline bool bit_get(const uint64_t *bits, size_t i)
{
    return bits[i / 64] >> (i % 64) & 1;
}
static inline void bit_set(uint64_t *bits, size_t i)
{
    bits[i / 64] |= 1ull << (i % 64);
}
uint64_t *bits_create(const struct model *m);
bool bits_within(const uint64_t *inner, const uint64_t *outer, size_t words);
size_t bits_missing(const uint64_t *inner, const uint64_t *outer, size_t words);

/* Weighted completeness of a supported set; packages complete. With `dependencies`, a package is complete only when
 * those it depends on are: of alternatives one, of packages that are not here none. */
struct completeness {
    double weighted, unweighted;
    size_t packages;
};
struct completeness model_completeness(const struct model *m, const uint64_t *supported);
/* `complete`: a byte for each member, filled in. */
struct completeness model_completeness_deep(const struct model *m, const uint64_t *supported, bool dependencies,
                                            uint8_t *complete);

/* Units in the order of importance: by order, then unweighted, then name. Caller frees. */
uint32_t *model_by_importance(const struct model *m);
/* The same by the share of packages, as in the study's figure. */
uint32_t *model_by_share(const struct model *m);
/* Weighted completeness with the first 0, 1, ... n_units of an order. Caller frees. */
double *model_curve(const struct model *m, const uint32_t *order);

#endif
