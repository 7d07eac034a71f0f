/*
 * hira spec format: the canonical layout, to stdout, into the file, or as a question.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"

#define SPEC_LIMIT (16u << 20)

enum mode { PRINT, WRITE, CHECK };

static int emit(const char *path, const struct hira_text *old, const struct hira_text *formatted, enum mode mode)
{
    if (formatted->failed) {
        fprintf(stderr, "hira spec format: %s: out of memory\n", path);
        return CLI_FAILED;
    }
    if (mode == PRINT)
        return fwrite(formatted->data ? formatted->data : "", 1, formatted->size, stdout) == formatted->size
                   ? CLI_OK
                   : CLI_FAILED;
    if (mode == CHECK) {
        if (old->size == formatted->size && !memcmp(old->data, formatted->data, old->size))
            return CLI_OK;
        printf("%s\n", path);
        return CLI_FAILED;
    }
    int error = hira_text_write_file(formatted, path);
    if (error < 0)
        fprintf(stderr, "hira spec format: %s: %s\n", path, strerror(-error));
    return error < 0 ? CLI_FAILED : CLI_OK;
}

static int format(const char *path, enum mode mode)
{
    struct hira_text old = {0}, formatted = {0};
    struct lapis_diag *diag = lapis_diag_create();
    int status = CLI_FAILED, error = hira_text_read_file(&old, path, SPEC_LIMIT);
    if (error < 0)
        fprintf(stderr, "hira spec format: %s: %s\n", path, strerror(-error));
    else if (lapis_format(path, old.data, old.size, &formatted, diag) == 0)
        status = emit(path, &old, &formatted, mode);
    cli_print_messages(diag);
    lapis_diag_destroy(diag);
    hira_text_fini(&old);
    hira_text_fini(&formatted);
    return status;
}

int cli_spec_format(int argc, char **argv)
{
    static const struct option longs[] = {{"write", no_argument, NULL, 'w'}, {"check", no_argument, NULL, 'c'}, {0}};
    enum mode mode = PRINT;
    int status = CLI_OK;
    for (int c; (c = getopt_long(argc, argv, "wcI:D:", longs, NULL)) != -1;) {
        if (c == '?')
            return cli_bad_option("spec format", argv, c);
        if (c == 'w' || c == 'c') /* no header is read: where they are is of no concern, and may be said as to the other verbs */
            mode = c == 'w' ? WRITE : CHECK;
    }
    if (optind == argc)
        return cli_usage("spec format", "which specification?");
    for (int i = optind; i < argc; i++)
        if (format(argv[i], mode) != CLI_OK)
            status = CLI_FAILED;
    return status;
}
