/*
 * Sets of texts: what calls have returned, each text once, at an address that stays until the set goes.
 *
 * A hash table that doubles. The bytes count what keeping a text takes, so that a million empty ones are not for nothing.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include "guest/internal.h"

#define BUCKETS_LEAST 4u /* most objects have one or two strings */

struct hira_string {
    struct hira_string *next;
    uint64_t hash, size;
    char text[];
};

static struct hira_string **bucket_of(struct hira_string **buckets, uint64_t n, uint64_t hash)
{
    return &buckets[(hash ^ hash >> 32) & (n - 1)];
}

/* A table that cannot grow serves as it is. False: there is none. */
static bool grow(struct hira_strings *in)
{
    uint64_t n = in->n_buckets ? in->n_buckets * 2 : BUCKETS_LEAST;
    struct hira_string **buckets = calloc(n, sizeof *buckets);
    if (!buckets)
        return in->n_buckets;
    for (uint64_t i = 0; i < in->n_buckets; i++)
        for (struct hira_string *s = in->buckets[i], *next; s; s = next) {
            struct hira_string **at = bucket_of(buckets, n, s->hash);
            next = s->next;
            s->next = *at;
            *at = s;
        }
    free(in->buckets);
    in->buckets = buckets;
    in->n_buckets = n;
    return true;
}

const char *hira_strings_keep(struct hira_strings *in, const char *text, uint64_t size, uint64_t most)
{
    const uint64_t hash = hira_mix_bytes(size, text, size), need = sizeof(struct hira_string) + size + 1;
    for (struct hira_string *s = in->n ? *bucket_of(in->buckets, in->n_buckets, hash) : NULL; s; s = s->next)
        if (s->hash == hash && s->size == size && !memcmp(s->text, text, size))
            return s->text;
    if (need > most || (in->n >= in->n_buckets && !grow(in)))
        return NULL;
    struct hira_string *s = malloc(need), **at = bucket_of(in->buckets, in->n_buckets, hash);
    if (!s)
        return NULL;
    *s = (struct hira_string){*at, hash, size};
    memcpy(s->text, text, size);
    s->text[size] = 0; /* a string has an end, whatever the server said */
    *at = s;
    in->n++;
    in->bytes += need;
    return s->text;
}

void hira_strings_fini(struct hira_strings *in)
{
    for (uint64_t i = 0; i < in->n_buckets; i++)
        for (struct hira_string *s = in->buckets[i], *next; s; s = next) {
            next = s->next;
            free(s);
        }
    free(in->buckets);
    *in = (struct hira_strings){0};
}
