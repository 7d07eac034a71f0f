/*
 * The seam to a decoder of machine code, and the table of the encoding forms that were met.
 *
 * A decoder turns bytes into a length, a key, and where a branch or reference leads; everything that is known of the
 * form (mnemonic, ISA set, level, text) follows from the key and is asked once a form, so the path of each instruction
 * stays short. A second decoder for another ISA or from another library is one more struct isa_decoder.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#ifndef HIRA_ISA_DECODER_H
#define HIRA_ISA_DECODER_H

#include "isa.h"

/* The x86-64 levels, and what is in none of them (AES, SHA, RDRAND, ...). Other ISAs have one level. */
enum isa_level { ISA_V1, ISA_V2, ISA_V3, ISA_V4, ISA_BEYOND, ISA_LEVELS };
extern const char *const isa_level_names[ISA_LEVELS];
/* A level by name, with or without "x86-64-"; "none" is ISA_BEYOND. 0 or -EINVAL. */
int isa_level_parse(const char *name, enum isa_level *ret_level);

enum {
    INSN_BRANCH = 1,    /* target: where a relative branch leads */
    INSN_REFERENCE = 2, /* target: what is addressed relative to the instruction pointer */
    INSN_ALIEN = 4,     /* no such instruction can be in a program of this system: surely data */
};

struct isa_insn {
    uint64_t key;
    uint64_t target;
    uint8_t length, flags;
    /* How many of the first bytes decide length, key and flags whatever follows them; 0: unknown. */
    uint8_t decided;
    /* Where the signed number lies that is added to the next address for the target, and its bytes; 0: there is none.
     */
    uint8_t field, width;
};

enum { FORM_CPU_TEST = 1, /* asks what the processor can do */ FORM_PADDING = 2 /* what lies between functions */ };

struct isa_form {
    uint64_t key;
    char mnemonic[24], set[28], text[56];
    uint8_t level, flags;
};

struct isa_decoder {
    const char *name, *isa;
    uint16_t machine; /* ELF e_machine */
    unsigned step;    /* resynchronization after a byte that makes no sense */
    /* Whether `bytes` start with an instruction of at most `size` bytes. Any thread. */
    bool (*decode)(const uint8_t *bytes, size_t size, uint64_t address, struct isa_insn *ret);
    void (*describe)(uint64_t key, struct isa_form *ret);
    /* The library alone over `size` bytes, for comparison; returns instructions. */
    uint64_t (*bare)(const uint8_t *bytes, size_t size);
    /* Names by number, NULL at the end: what a set of supported instructions may name. */
    const char *(*mnemonic)(unsigned i);
    const char *(*set)(unsigned i, enum isa_level *ret_level);
};

/* NULL: no decoder for that machine. */
const struct isa_decoder *isa_decoder_for(unsigned machine);
const struct isa_decoder *isa_decoder_default(void);
const struct isa_decoder *isa_decoder_named(const char *isa); /* "x86-64", "aarch64" */
extern const struct isa_decoder isa_decoder_zydis;
#ifdef HAVE_CAPSTONE
extern const struct isa_decoder isa_decoder_aarch64;
#endif

/* ---- the table of forms: numbers in the order met, which the database keeps ---- */

struct isa_forms;
struct isa_forms *isa_forms_create(void);
void isa_forms_destroy(struct isa_forms *forms);
/* The number of a form, a new one when it was not there. Any thread. ISA_FORMS_MAX - 1 stands for all that had no
 * place. */
unsigned isa_forms_number(struct isa_forms *forms, const struct isa_decoder *decoder, uint64_t key);
/* As read from a database: the next number. */
void isa_forms_add(struct isa_forms *forms, const struct isa_form *form);
unsigned isa_forms_count(const struct isa_forms *forms);
const struct isa_form *isa_forms_get(const struct isa_forms *forms, unsigned number);

/* What a thread keeps in front of the table, without a lock. */
#define FORM_CACHE 8192
struct isa_form_cache {
    uint64_t keys[FORM_CACHE];
    uint16_t numbers[FORM_CACHE];
};

static inline unsigned isa_form_number(struct isa_form_cache *cache, struct isa_forms *forms,
                                       const struct isa_decoder *decoder, uint64_t key)
{
    size_t slot = (key * 0x9e3779b97f4a7c15ull) >> 51;
    if (hira_likely(cache->keys[slot] == key + 1))
        return cache->numbers[slot];
    unsigned n = isa_forms_number(forms, decoder, key);
    cache->keys[slot] = key + 1;
    cache->numbers[slot] = (uint16_t)n;
    return n;
}

#endif
