/* The vendor's library. Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "tally.h"

struct tally {
    size_t capacity, n;
    struct tally_entry entries[];
};

tally_t *tally_create(size_t capacity)
{
    if (capacity > 1000000)
        return NULL;
    tally_t *t = calloc(1, sizeof *t + capacity * sizeof *t->entries);
    if (t)
        t->capacity = capacity;
    return t;
}

void tally_destroy(tally_t *t)
{
    free(t);
}

static enum tally_status add(tally_t *t, const char *word, size_t length)
{
    size_t i = 0;
    if (length >= sizeof t->entries[0].word)
        return TALLY_TOO_LONG;
    while (i < t->n && (strncmp(t->entries[i].word, word, length) || t->entries[i].word[length]))
        i++;
    if (i == t->capacity)
        return TALLY_NO_MEMORY;
    if (i == t->n) {
        memcpy(t->entries[i].word, word, length);
        t->n++;
    }
    t->entries[i].count++;
    return TALLY_OK;
}

enum tally_status tally_add(tally_t *t, const char *word)
{
    return add(t, word, strlen(word));
}

enum tally_status tally_add_text(tally_t *t, const char *text, size_t length)
{
    enum tally_status status = TALLY_OK;
    for (size_t i = 0, begin = 0; i <= length && !status; i++) {
        if (i < length && !isspace((unsigned char)text[i]))
            continue;
        if (i > begin)
            status = add(t, text + begin, i - begin);
        begin = i + 1;
    }
    return status;
}

enum tally_status tally_get(const tally_t *t, const char *word, unsigned long *count)
{
    for (size_t i = 0; i < t->n; i++) {
        if (strcmp(t->entries[i].word, word))
            continue;
        *count = t->entries[i].count;
        return TALLY_OK;
    }
    return TALLY_NOT_FOUND;
}

static int by_count(const void *left, const void *right)
{
    const struct tally_entry *a = left, *b = right;
    return a->count != b->count ? (a->count < b->count) - (a->count > b->count) : strcmp(a->word, b->word);
}

enum tally_status tally_top(const tally_t *t, struct tally_entry *entries, size_t max, size_t *n)
{
    struct tally_entry *sorted = malloc((t->n + 1) * sizeof *sorted);
    if (!sorted)
        return TALLY_NO_MEMORY;
    memcpy(sorted, t->entries, t->n * sizeof *sorted);
    qsort(sorted, t->n, sizeof *sorted, by_count);
    *n = t->n < max ? t->n : max;
    memcpy(entries, sorted, *n * sizeof *sorted);
    free(sorted);
    return TALLY_OK;
}

enum tally_status tally_each(const tally_t *t, int (*visit)(const char *word, unsigned long count, void *data),
                             void *data)
{
    for (size_t i = 0; i < t->n; i++)
        if (visit(t->entries[i].word, t->entries[i].count, data))
            break;
    return TALLY_OK;
}

const char *tally_strerror(enum tally_status status)
{
    static const char *const texts[] = {"ok", "no memory", "word too long", "not found", "no device"};
    return status < sizeof texts / sizeof texts[0] ? texts[status] : "unknown";
}
