/*
 * The compiler's verbs in a `hira` that has no compiler in it: libclang is large, and a machine that only runs guests
 * does not have it. They are done by hira-compile, the same command with everything linked in.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "router/paths.h"

/* `argv` points into main's, `words` behind the verb's first word. */
static int compile_verb(char **argv, int words)
{
    char path[HIRA_PATH_MAX];
    char **all = argv - words;
    if (hira_path_program("hira-compile", path, sizeof path) < 0) {
        fputs("hira: the compiler (hira-compile) is not installed beside this program\n", stderr);
        return CLI_FAILED;
    }
    execv(path, all);
    fprintf(stderr, "hira: cannot run %s: %s\n", path, strerror(errno));
    return CLI_FAILED;
}

int cli_build(int argc, char **argv)
{
    (void)argc;
    return compile_verb(argv, 1);
}

#define SPEC_VERB(name)                                                                                                \
    int name(int argc, char **argv)                                                                                    \
    {                                                                                                                  \
        (void)argc;                                                                                                    \
        return compile_verb(argv, 2);                                                                                  \
    }

SPEC_VERB(cli_spec_init)
SPEC_VERB(cli_spec_check)
SPEC_VERB(cli_spec_explain)
SPEC_VERB(cli_spec_coverage)
SPEC_VERB(cli_spec_format)
