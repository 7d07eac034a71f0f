/*
 * Fuzzes the reader of packages: archives in archives, control files, and the stanzas in them.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include "deb.h"
#include "stanza.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static volatile size_t sink;

static void control(void *context, const char *text, size_t size)
{
    struct stanza s = {0};
    (void)context;
    if (strlen(text) > size)
        abort();
    stanza_parse(&s, text);
    package_destroy(stanza_package(&s));
    stanza_fini(&s);
}

static void member(void *context, const char *path, const uint8_t *data, size_t size)
{
    (void)context;
    sink += strlen(path);
    for (size_t i = 0; i < size; i++)
        sink += data[i];
}

static void left_out(void *context, const char *path, const char *why)
{
    (void)context;
    sink += strlen(path) + strlen(why);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct deb_reader reader = {1u << 20, NULL, control, member, left_out, NULL};
    const char *why = deb_read_memory(data, size, &reader);
    sink += why ? strlen(why) : 0;
    /* The same bytes as a stanza. */
    char *text = isa_strndup((const char *)data, size);
    control(NULL, text, size);
    free(text);
    return 0;
}
