/*
 * Compiling a specification on behalf of a verb, and saying what came of it.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"

bool cli_spec_option(struct cli_spec_options *o, int option, const char *argument)
{
    if (option == 'I' && o->options.n_include_dirs < HIRA_ARRAY_SIZE(o->include_dirs))
        o->include_dirs[o->options.n_include_dirs++] = argument;
    else if (option == 'D' && o->options.n_defines < HIRA_ARRAY_SIZE(o->defines))
        o->defines[o->options.n_defines++] = argument;
    else
        return false;
    o->options.include_dirs = o->include_dirs;
    o->options.defines = o->defines;
    return true;
}

void cli_print_messages(struct lapis_diag *diag)
{
    struct hira_text text = {0};
    size_t errors = lapis_diag_errors(diag), warnings = lapis_diag_warnings(diag);
    bool colour = isatty(STDERR_FILENO) && !getenv("NO_COLOR");
    lapis_diag_print(diag, &text, colour);
    if (errors || warnings)
        hira_text_printf(&text, "%zu error%s, %zu warning%s\n", errors, errors == 1 ? "" : "s", warnings,
                         warnings == 1 ? "" : "s");
    if (text.size)
        fwrite(text.data, 1, text.size, stderr);
    hira_text_fini(&text);
}

struct lapis_model *cli_compile(const char *path, const struct cli_spec_options *options, bool *ret_failed)
{
    struct lapis_diag *diag = lapis_diag_create();
    struct lapis_model *model = lapis_compile(path, &options->options, diag);
    cli_print_messages(diag);
    *ret_failed = !model || lapis_diag_errors(diag) > 0;
    lapis_diag_destroy(diag);
    return model;
}
