/*
 * What the verbs of `hira` share. One file a verb; each takes its own arguments, argv[0] being the verb.
 *
 * Exit status: 0 done, 1 what was asked for failed or is not so, 2 the command line makes no sense.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#ifndef HIRA_CLI_CLI_H
#define HIRA_CLI_CLI_H

#include "lapis/compile.h"

enum { CLI_OK = 0, CLI_FAILED = 1, CLI_USAGE = 2 };

/* Options that every verb that reads a specification takes: -I and -D. Zero-initialized is empty. */
struct cli_spec_options {
    const char *include_dirs[64];
    const char *defines[64];
    struct lapis_options options;
};

#define CLI_SPEC_SHORT "I:D:"
/* Whether `option`, as getopt returned it, was one of them. */
bool cli_spec_option(struct cli_spec_options *options, int option, const char *argument);

/* Compiles; prints the messages to stderr. NULL when the file could not be read. `*ret_failed`: there were errors. */
struct lapis_model *cli_compile(const char *path, const struct cli_spec_options *options, bool *ret_failed);

/* Prints the messages to stderr, in colour on a terminal. */
void cli_print_messages(struct lapis_diag *diag);

/* Prints "hira VERB: ..." and how to get help; returns CLI_USAGE. */
int cli_usage(const char *verb, const char *format, ...) HIRA_PRINTF(2, 3);
/* The same of what getopt has just returned `option` for and the verb does not take. getopt itself is silent (`opterr`). */
int cli_bad_option(const char *verb, char **argv, int option);

int cli_run(int argc, char **argv);
int cli_status(int argc, char **argv);
int cli_kill(int argc, char **argv);
int cli_tenant(int argc, char **argv);
int cli_top(int argc, char **argv);
int cli_stat(int argc, char **argv);
int cli_trace(int argc, char **argv);
int cli_predict(int argc, char **argv);
int cli_pause(int argc, char **argv);
int cli_resume(int argc, char **argv);
int cli_reload(int argc, char **argv);
int cli_container(int argc, char **argv);
int cli_vm(int argc, char **argv);
int cli_doctor(int argc, char **argv);

/* Compiling: in `hira` these hand over to hira-compile, see compiler.c. */
int cli_build(int argc, char **argv);
int cli_spec_init(int argc, char **argv);
int cli_spec_check(int argc, char **argv);
int cli_spec_explain(int argc, char **argv);
int cli_spec_coverage(int argc, char **argv);
int cli_spec_format(int argc, char **argv);

#endif
