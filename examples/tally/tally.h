/*
 * tally: counts words. As small as a library can be that has handles, texts, arrays, structs and a callback;
 * docs/new-api.md makes it virtual.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#ifndef TALLY_H
#define TALLY_H
#include <stddef.h>

typedef struct tally tally_t;

enum tally_status { TALLY_OK = 0, TALLY_NO_MEMORY = 1, TALLY_TOO_LONG = 2, TALLY_NOT_FOUND = 3, TALLY_NO_DEVICE = 4 };

struct tally_entry {
    char word[32];
    unsigned long count;
};

/* A new, empty tally; NULL: no memory. */
tally_t *tally_create(size_t capacity);
void tally_destroy(tally_t *t);
enum tally_status tally_add(tally_t *t, const char *word);
/* The words of a text of so many bytes, which need not end with a NUL. */
enum tally_status tally_add_text(tally_t *t, const char *text, size_t length);
/* How often a word was added. */
enum tally_status tally_get(const tally_t *t, const char *word, unsigned long *count);
/* Up to max of the most frequent words, and how many there were in *n. */
enum tally_status tally_top(const tally_t *t, struct tally_entry *entries, size_t max, size_t *n);
/* Calls visit for each word, until it returns something else than 0. */
enum tally_status tally_each(const tally_t *t, int (*visit)(const char *word, unsigned long count, void *data),
                             void *data);
const char *tally_strerror(enum tally_status status);

#endif
