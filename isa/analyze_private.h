/* Between analyze.c (functions and the sweep) and graph.c (what leads to what).
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef HIRA_ISA_ANALYZE_PRIVATE_H
#define HIRA_ISA_ANALYZE_PRIVATE_H

#include "analyze.h"

enum {
    F_UNKNOWN = 1, /* no symbol or frame describes it */
    F_FALLS = 2,   /* cut by the next start: runs on into it */
};

struct function {
    uint64_t address;
    const char *name;            /* in the file; NULL: unknown */
    uint32_t size, forms, edges; /* where its forms and edges start; they end where the next function's start */
    uint8_t flags;
};

/* An instruction that was decoded before, by the bytes that decide it. Most code is made of few such beginnings, so the
 * decoder is asked for one instruction in some dozens, and the sweep is faster than the decoder alone. Those that two
 * bytes decide have a table; a hash has those of three and four. */
struct memo {
    uint32_t tag;
    uint16_t form;
    uint8_t length, flags, field, width;
    uint8_t bytes; /* that decide; 0: free */
};
#define MEMO_MORE (1u << 15)

struct note {
    uint32_t stamp, count, first;
};

struct analyzer {
    struct isa_forms *forms;
    const struct isa_decoder *decoder;
    struct isa_form_cache cache;
    struct memo two[1 << 16], more[MEMO_MORE];
    /* of the function that is swept */
    uint32_t epoch;
    struct note notes[ISA_FORMS_MAX];
    uint16_t touched[ISA_FORMS_MAX];
    size_t n_touched;
    uint32_t recent[64]; /* targets noted lately: most are noted more than once */
    /* of the file */
    uint64_t total[ISA_FORMS_MAX], suspect[ISA_FORMS_MAX];
    uint64_t first_address[ISA_FORMS_MAX], suspect_address[ISA_FORMS_MAX];
    uint32_t first_function[ISA_FORMS_MAX], suspect_function[ISA_FORMS_MAX];
    uint64_t base; /* addresses are kept relative to it */
    struct function *functions;
    size_t n_functions, functions_cap;
    uint16_t *function_forms;
    size_t n_function_forms, function_forms_cap;
    uint32_t *edges; /* targets, relative to base; later nodes */
    size_t n_edges, edges_cap;
    uint32_t *bad;
    size_t n_bad, bad_cap;
    bool want_graph, too_many;
};

/* Fills in imports, exports, and the nodes. */
void graph_build(struct analyzer *a, struct elf *elf, struct object *o);

/* The function that has an address; SIZE_MAX: none. */
size_t function_at(const struct analyzer *a, uint64_t address);

#endif
