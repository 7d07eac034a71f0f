/*
 * hira spec check: compile, say everything that is wrong, write nothing.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include <getopt.h>

#include "cli/cli.h"

int cli_spec_check(int argc, char **argv)
{
    struct cli_spec_options options = {0};
    int status = CLI_OK;
    for (int c; (c = getopt(argc, argv, CLI_SPEC_SHORT)) != -1;)
        if (!cli_spec_option(&options, c, optarg))
            return cli_bad_option("spec check", argv, c);
    if (optind == argc)
        return cli_usage("spec check", "which specification?");
    for (int i = optind; i < argc; i++) {
        bool failed;
        lapis_model_destroy(cli_compile(argv[i], &options, &failed));
        if (failed)
            status = CLI_FAILED;
    }
    return status;
}
