/*
 * hira: the one command. A verb table, and a process that does its verb and ends: no daemon, no threads, no state.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"

static const struct verb {
    const char *group; /* first word, or NULL */
    const char *name;
    const char *arguments;
    const char *summary;
    int (*run)(int argc, char **argv);
} verbs[] = {
    {"spec", "init", "[-o FILE] HEADER", "write a preliminary specification, with questions", cli_spec_init},
    {"spec", "check", "SPEC...", "compile a specification, write nothing", cli_spec_check},
    {"spec", "explain", "SPEC [FUNCTION...]", "what is known of each parameter, and why", cli_spec_explain},
    {"spec", "coverage", "[--json] SPEC", "which functions are complete, and by what", cli_spec_coverage},
    {"spec", "format", "[--write | --check] SPEC...", "print a specification in its canonical layout", cli_spec_format},
    {NULL, "build", "[-o DIR] SPEC", "make the virtual stack", cli_build},
    {NULL, "run", "[--api NAME] [--strict] PROGRAM...", "run a program under Hira", cli_run},
    {NULL, "status", "[--json]", "what the router is doing", cli_status},
    {NULL, "kill", "PID... | all", "end the servers of guests", cli_kill},
    {NULL, "doctor", "[--json]", "check each part of the way, and say what to do", cli_doctor},
};

static int help(FILE *out)
{
    fputs("usage: hira VERB ...\n\n", out);
    for (size_t i = 0; i < HIRA_ARRAY_SIZE(verbs); i++) {
        char head[80];
        snprintf(head, sizeof head, "%s%s%s %s", verbs[i].group ? verbs[i].group : "", verbs[i].group ? " " : "",
                 verbs[i].name, verbs[i].arguments);
        fprintf(out, "  hira %-42s %s\n", head, verbs[i].summary);
    }
    fputs("\nVerbs that read a SPEC take -I DIR (search headers there) and -D NAME=VALUE (define for headers).\n", out);
    return out == stderr ? CLI_USAGE : CLI_OK;
}

int main(int argc, char **argv)
{
    if (argc < 2)
        return help(stderr);
    if (!strcmp(argv[1], "help") || !strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))
        return help(stdout);
    if (!strcmp(argv[1], "--version"))
        return puts("hira " HIRA_VERSION) < 0 ? CLI_FAILED : CLI_OK;
    for (size_t i = 0; i < HIRA_ARRAY_SIZE(verbs); i++) {
        int words = verbs[i].group ? 2 : 1;
        if (argc <= words || strcmp(argv[words], verbs[i].name) || (verbs[i].group && strcmp(argv[1], verbs[i].group)))
            continue;
        return verbs[i].run(argc - words, argv + words);
    }
    fprintf(stderr, "hira: unknown verb '%s%s%s'\n", argv[1], argc > 2 && !strcmp(argv[1], "spec") ? " " : "",
            argc > 2 && !strcmp(argv[1], "spec") ? argv[2] : "");
    return help(stderr);
}
