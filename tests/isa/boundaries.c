/*
 * Prints what isapop sees in a file's code: "i ADDRESS" for an instruction, "s ADDRESS" for a suspicious one, "b
 * ADDRESS" for a byte that starts none. The test beside it compares these with objdump.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include "analyze.h"

static void see(void *context, uint64_t address, unsigned length, enum analyze_kind kind, unsigned form,
                const char *function)
{
    (void)context;
    (void)length;
    (void)form;
    (void)function;
    printf("%c %llx\n", "isb"[kind], (unsigned long long)address);
}

int main(int argc, char **argv)
{
    struct hira_text text = {0};
    const struct analyze_options options = {.observe = see};
    const char *why;
    if (argc != 2 || hira_text_read_file(&text, argv[1], 1u << 30))
        return 2;
    struct isa_forms *forms = isa_forms_create();
    struct analyzer *a = analyzer_create(forms);
    struct object *o = analyze(a, (const uint8_t *)text.data, text.size, &options, &why);
    if (!o)
        fprintf(stderr, "%s\n", why);
    int status = o ? 0 : 1;
    object_destroy(o);
    analyzer_destroy(a);
    isa_forms_destroy(forms);
    hira_text_fini(&text);
    return status;
}
