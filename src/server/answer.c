/*
 * What queries are told instead of just what the vendor says: see the language's answer { }. What is not carried is not advertised.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include "server/internal.h"

static bool matches(const char *pattern, const char *name, size_t length)
{
    for (; *pattern; pattern++, name++, length--) {
        if (*pattern == '*') {
            for (size_t skipped = 0; skipped <= length; skipped++)
                if (matches(pattern + 1, name + skipped, length - skipped))
                    return true;
            return false;
        }
        if (!length || (*pattern != '?' && *pattern != *name))
            return false;
    }
    return !length;
}

static bool is_hidden(const char *name, size_t length, const char *const *hidden)
{
    for (; *hidden; hidden++)
        if (matches(*hidden, name, length))
            return true;
    return false;
}

size_t hira_keep_words(char *list, const char *const *hidden)
{
    char *to = list;
    for (const char *from = list; *from;) {
        size_t word = strcspn(from, " "), all = word + strspn(from + word, " ");
        if (!word || !is_hidden(from, word, hidden))
            to = (char *)memmove(to, from, all) + all;
        from += all;
    }
    *to = 0;
    return (size_t)(to - list) + 1;
}

size_t hira_keep_records(void *list, size_t size, size_t width, size_t name_offset, size_t name_size, const char *const *hidden)
{
    char *to = list;
    for (const char *from = list; width && size >= width; from += width, size -= width)
        if (!is_hidden(from + name_offset, strnlen(from + name_offset, name_size), hidden))
            to = (char *)memmove(to, from, width) + width;
    return (size_t)(to - (char *)list);
}

void hira_keep_bits(void *value, uint64_t size, uint64_t bits)
{
    uint64_t word = 0;
    if (size > sizeof word)
        return;
    memcpy(&word, value, size);
    word &= bits;
    memcpy(value, &word, size);
}

void hira_properties_to_ids(struct hira_serve *s, void *list, uint64_t size, uint64_t end, unsigned (*type_of)(uint64_t key))
{
    uint64_t *words = list;
    for (uint64_t i = 0; i + 1 < size / 8 && words[i] != end; i += 2)
        if (type_of(words[i]))
            hira_handles_to_ids(s, &words[i + 1], 8, type_of(words[i]), false);
}
