/* A program that uses the library. Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "tally.h"

static int show(const char *word, unsigned long count, void *data)
{
    int *seen = data;
    printf("  %s: %lu\n", word, count);
    return ++*seen == 3;
}

int main(void)
{
    static const char text[] = "the cat and the dog and the bird";
    struct tally_entry top[2];
    unsigned long count = 0;
    size_t n = 0;
    int seen = 0;
    tally_t *t = tally_create(100);
    if (!t)
        return puts("no tally"), 1;
    printf("one word: %s\n", tally_strerror(tally_add(t, "cat")));
    printf("a text: %s\n", tally_strerror(tally_add_text(t, text, strlen(text))));
    printf("a cow: %s\n", tally_strerror(tally_get(t, "cow", &count)));
    if (tally_get(t, "cat", &count) == TALLY_OK)
        printf("a cat: %lu\n", count);
    if (tally_top(t, top, 2, &n) == TALLY_OK)
        for (size_t i = 0; i < n; i++)
            printf("most frequent: %s, %lu\n", top[i].word, top[i].count);
    tally_each(t, show, &seen);
    printf("%d words shown\n", seen);
    tally_destroy(t);
    return 0;
}
