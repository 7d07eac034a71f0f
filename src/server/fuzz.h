/*
 * Fuzzing a generated server: the seam between the generated fuzz.c and the harness under it (fuzz.c here).
 *
 * One input is a sequence of records for one lane, served one after the other by the generated code over a stub vendor:
 *
 *     uint16 function, uint8 flags (HIRA_RECORD_*; bit 7: no memory is left), uint8 choices, uint16 words, then so many 64-bit words
 *
 * all little-endian; what is missing at the end is zero. `choices` seeds what the stub vendor answers. The words are also at
 * HIRA_FUZZ_MIRROR in the arena, for records that are spilled or refer to memory there. A function is named by sixteen bits of its
 * name's hash (see hira_fuzz_function), so that an input means the same when the specification declares others before it.
 *
 * Objects live as long as the input. One object of each type is known from the beginning, under the id
 * HIRA_ID(HIRA_ID_SERVER | type, type, type).
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#ifndef HIRA_SERVER_FUZZ_H
#define HIRA_SERVER_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- what the generated code provides ---- */

enum {
    HIRA_FUZZ_END,     /* of a function's arguments, or of an array's element */
    HIRA_FUZZ_ZERO,
    HIRA_FUZZ_WORD,
    HIRA_FUZZ_BYTES,   /* a struct's */
    HIRA_FUZZ_HANDLE,
    HIRA_FUZZ_NEW,     /* an id for what the call makes */
    HIRA_FUZZ_IN,
    HIRA_FUZZ_OUT,
    HIRA_FUZZ_INOUT,
    HIRA_FUZZ_STRING,
    HIRA_FUZZ_LIST,    /* ended by zero */
    HIRA_FUZZ_HANDLES,
    HIRA_FUZZ_ARRAY,   /* a count, then for each element what follows up to HIRA_FUZZ_END */
};

#define HIRA_FUZZ_COUNTED 1 /* a count, or memory whose length a count tells */

struct hira_fuzz_argument {
    uint8_t kind, type, flags;
    uint32_t size;                 /* of an element */
};

struct hira_fuzz_function {
    void *stub;                    /* in place of the vendor's; or NULL */
    const struct hira_fuzz_argument *arguments; /* NULL: has no record */
    const uint64_t *constants;     /* what the spec's code for it compares with */
    size_t n_constants;
};

struct hira_fuzz_api {
    const struct hira_fuzz_function *functions; /* as in hira_server_api */
    const uint64_t *constants;     /* values that the spec knows */
    size_t n_constants;
};

extern const struct hira_fuzz_api hira_fuzz_api;

/* ---- what the stub vendor uses ---- */

extern const uint64_t hira_fuzz_zeros[512]; /* what callbacks are given */

uint64_t hira_fuzz_choose(void);   /* mostly small */
bool hira_fuzz_succeeds(unsigned function); /* mostly; the same for the whole of a record */
void hira_fuzz_read(const void *data, uint64_t size);
void hira_fuzz_string(const char *text);
void hira_fuzz_write(void *data, uint64_t size);
void hira_fuzz_clear(void *data, uint64_t size);
void hira_fuzz_write_handles(void *handles, uint64_t bytes, unsigned type, bool owned);

/* The vendor's objects: a handle is a pointer to one. Using one of another type, or one that has been released, is a finding. */
void *hira_fuzz_made(unsigned type);
void *hira_fuzz_known(unsigned type);
void hira_fuzz_use(const void *handle, unsigned type); /* NULL allowed */
void hira_fuzz_retain(void *handle);
void hira_fuzz_release(void *handle);

/* A callback that came with a call: it is called (by `run`) at once, later, or both. NULL function: none. Cookie NULL: it has none. */
void hira_fuzz_callback(void *function, void *cookie, void (*run)(void *function, void *cookie), bool once);

/* ---- what a driver uses ---- */

#define HIRA_FUZZ_MIRROR 4096u

/* Puts the stub vendor in place and makes the known objects: for drivers that serve by themselves. */
void hira_fuzz_install(void);

/* Serves one input; 0. */
int hira_fuzz_one(const uint8_t *data, size_t size);

/* The same; whether a server would go on after it. */
bool hira_fuzz_accepts(const uint8_t *data, size_t size);

/* The server's index of the function that an input names; words that name none are taken for some. */
uint16_t hira_fuzz_function(uint16_t name);

/* Whether new records are served by the mutator until the server finds no memory of a wrong size in them: only where nothing else
 * is served meanwhile. */
extern bool hira_fuzz_mends;

/* Changes an input of `size` bytes in place into another of at most `max` bytes; its size. With `bytes`, some of the changes are
 * left to it (libFuzzer's own). */
#define HIRA_FUZZ_HEAD 6u /* bytes before a record's words */
size_t hira_fuzz_mutate(uint8_t *data, size_t size, size_t max, uint64_t seed, size_t (*bytes)(uint8_t *data, size_t size, size_t max));

/* Two inputs become one. */
size_t hira_fuzz_cross(const uint8_t *a, size_t a_size, const uint8_t *b, size_t b_size, uint8_t *out, size_t max, uint64_t seed);

/* Prints libFuzzer's dictionary of the API: functions, names, kinds of memory, values that the spec knows. */
void hira_fuzz_dictionary(void);

#endif
