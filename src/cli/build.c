/*
 * hira build: specification in, virtual stack out. Nothing is written unless the specification has no error.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include <getopt.h>
#include <stdio.h>

#include "cli/cli.h"
#include "emit/emit.h"

static int build(const char *path, const char *dir, const struct cli_spec_options *options)
{
    struct lapis_diag *diag = lapis_diag_create();
    struct lapis_model *model = lapis_compile(path, &options->options, diag);
    char folder[4096];
    if (model && !lapis_diag_errors(diag)) {
        snprintf(folder, sizeof folder, "%s", dir ? dir : model->name);
        if (hira_emit(model, folder, diag) < 0 && !lapis_diag_errors(diag))
            lapis_error(diag, (struct lapis_loc){0}, "cannot write the stack to %s", folder);
    }
    cli_print_messages(diag);
    int status = lapis_diag_errors(diag) ? CLI_FAILED : CLI_OK;
    lapis_model_destroy(model);
    lapis_diag_destroy(diag);
    return status;
}

int cli_build(int argc, char **argv)
{
    struct cli_spec_options options = {0};
    const char *dir = NULL;
    for (int c; (c = getopt(argc, argv, "o:" CLI_SPEC_SHORT)) != -1;) {
        if (c == 'o')
            dir = optarg;
        else if (!cli_spec_option(&options, c, optarg))
            return cli_bad_option("build", argv, c);
    }
    if (optind + 1 != argc)
        return cli_usage("build", optind == argc ? "which specification?" : "one specification at a time");
    return build(argv[optind], dir, &options);
}
