/*
 * isapop occurrences: the published study's data file, summed up: {"instructions": [{"mnem", "size", "count", "tag",
 * ...}, ...]}, one entry for each form and length.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include <jansson.h>
#include <uthash.h>

#include "cmd.h"

struct sum {
    char *name;
    uint64_t count;
    UT_hash_handle hh;
};

static void add(struct sum **head, const char *name, uint64_t count)
{
    struct sum *one;
    HASH_FIND_STR(*head, name, one);
    if (!one) {
        one = isa_alloc(sizeof *one);
        one->name = isa_strdup(name);
        HASH_ADD_KEYPTR(hh, *head, one->name, strlen(one->name), one);
    }
    one->count += count;
}

static int by_count(struct sum *a, struct sum *b)
{
    return a->count != b->count ? (a->count > b->count ? -1 : 1) : strcmp(a->name, b->name);
}

static void table(struct output *out, const char *name, const char *columns, struct sum **head, uint64_t total,
                  size_t limit)
{
    struct sum *one, *next;
    HASH_SORT(*head, by_count);
    output_table(out, name, columns);
    HASH_ITER(hh, *head, one, next)
    {
        if (limit) {
            output_text(out, one->name);
            output_count(out, one->count);
            output_percent(out, total ? (double)one->count / (double)total : 0);
            limit--;
        }
        HASH_DEL(*head, one);
        free(one->name);
        free(one);
    }
}

int cmd_occurrences(const struct options *o)
{
    json_error_t error;
    struct sum *mnemonics = NULL, *tags = NULL;
    uint64_t total = 0, bytes = 0, senseless = 0;
    size_t i;
    json_t *one;
    if (o->n_words != 1)
        return cmd_usage(o, "which file? the study's data.json");
    json_t *root = json_load_file(o->words[0], 0, &error);
    const json_t *list = json_object_get(root, "instructions");
    if (!json_is_array(list)) {
        isa_note("%s: %s", o->words[0], root ? "there is no array \"instructions\" in it" : error.text);
        json_decref(root);
        return ISA_FAILED;
    }
    json_array_foreach(list, i, one)
    {
        const char *name = json_string_value(json_object_get(one, "mnem")),
                   *tag = json_string_value(json_object_get(one, "tag"));
        json_int_t count = json_integer_value(json_object_get(one, "count")),
                   size = json_integer_value(json_object_get(one, "size"));
        if (!name || count < 0 || size < 0 || size > 15) {
            senseless++;
            continue;
        }
        add(&mnemonics, name, (uint64_t)count);
        add(&tags, tag ? tag : "?", (uint64_t)count);
        total += (uint64_t)count;
        bytes += (uint64_t)count * (uint64_t)size;
    }
    if (senseless)
        isa_skip(o->words[0], "%s without a mnemonic, count or size that makes sense; left out",
                 isa_n(senseless, "entry"));
    struct output *out = output_create(o->format);
    output_note(out, "%s, %s, %s, mean length %.2f bytes", isa_n(json_array_size(list), "form"),
                isa_n(HASH_COUNT(mnemonics), "mnemonic"), isa_n(total, "occurrence"),
                total ? (double)bytes / (double)total : 0);
    table(out, "mnemonics", "<mnemonic|occurrences|share", &mnemonics, total, o->limit);
    table(out, "tags", "<tag|occurrences|share", &tags, total, SIZE_MAX);
    json_decref(root);
    return cmd_end(NULL, out);
}
