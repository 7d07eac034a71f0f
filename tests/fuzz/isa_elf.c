/*
 * Fuzzes the reader of ELF files and everything that follows from it: functions, the sweep, the graph, and the object's
 * way into a database record and back. The input is a file; the mutator of the driver or libFuzzer does the rest.
 * Without a corpus it starts from the program itself, cut short.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include "analyze.h"
#include "image.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct isa_forms *forms;
static struct analyzer *analyzer;

static void check_object(const struct object *o)
{
    struct hira_text out = {0};
    struct object *again = NULL;
    object_write(o, &out);
    if (object_read(out.data, out.size, &again) || again->n_forms != o->n_forms || again->n_nodes != o->n_nodes ||
        again->n_exports != o->n_exports)
        abort();
    object_destroy(again);
    hira_text_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *why;
    const struct analyze_options options = {0};
    struct object *read = NULL;
    if (!analyzer) {
        forms = isa_forms_create();
        analyzer = analyzer_create(forms);
    }
    /* A copy of the very size, so that a sanitizer sees a byte too much. */
    uint8_t *copy = malloc(size ? size : 1);
    if (!copy)
        return 0;
    memcpy(copy, data, size);
    if (size >= 4 && !elf_magic(copy, size))
        memcpy(copy, "\177ELF\2\1", HIRA_MIN(size, (size_t)6));
    struct object *o = analyze(analyzer, copy, size, &options, &why);
    if (o)
        check_object(o);
    object_destroy(o);
    /* The same bytes as a record of a database. */
    if (object_read(copy, size, &read) == 0)
        object_destroy(read);
    free(copy);
    return 0;
}
