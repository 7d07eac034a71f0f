/*
 * From the bytes of an ELF file to an object.
 *
 * Where functions are is taken from symbols, dynamic symbols, .eh_frame, and entries; what lies between is swept
 * linearly as well. A byte that starts no instruction, an instruction that no program of this system can have, and a
 * run of zeros are data in code; the instructions around them (ISA_NEAR bytes within a known function, ISA_NEAR_UNKNOWN
 * in what no symbol or frame describes) are suspicious, and counted apart.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#ifndef HIRA_ISA_ANALYZE_H
#define HIRA_ISA_ANALYZE_H

#include "image.h"
#include "object.h"

#define ISA_NEAR 32
#define ISA_NEAR_UNKNOWN 256

enum analyze_kind { SPAN_INSTRUCTION, SPAN_SUSPECT, SPAN_BAD };

/* One thread's working memory; large, so kept from file to file. */
struct analyzer;
struct analyzer *analyzer_create(struct isa_forms *forms);
void analyzer_destroy(struct analyzer *a);

struct analyze_options {
    /* The bytes are a private mapping of a file: pages of code that were read are given back. */
    bool mapped;
    /* Called for every instruction and bad byte, in order; NULL: nobody asks. */
    void (*observe)(void *context, uint64_t address, unsigned length, enum analyze_kind kind, unsigned form,
                    const char *function);
    void *context;
    /* Says what is broken in a file that can be used all the same. NULL: nobody asks. */
    void (*trouble)(void *context, const char *what);
};

/* NULL and why not; no reason either: it has only debugging information, which is left out on purpose. The hash is the
 * caller's to fill in. */
struct object *analyze(struct analyzer *a, const uint8_t *data, size_t size, const struct analyze_options *options,
                       const char **ret_reason);

/* Decodes the file's code with the bare library, for comparison. Returns bytes of code, and instructions. */
uint64_t analyze_bare(const uint8_t *data, size_t size, bool mapped, uint64_t *ret_instructions);

struct isa_hash isa_hash_of(const void *data, size_t size);

#endif
