/* Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0 */
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"

int cli_usage(const char *verb, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fprintf(stderr, "hira %s: ", verb);
    vfprintf(stderr, format, args);
    fprintf(stderr, "\nhira %s --help tells what it takes\n", verb);
    va_end(args);
    return CLI_USAGE;
}

int cli_bad_option(const char *verb, char **argv, int option)
{
    const char *word = argv[optopt == '-' ? optind : optind - 1]; /* getopt, which knows short ones only, stays at the word */
    if (option != '?')
        return cli_usage(verb, "-%c is given too often", option);
    if (!strncmp(word, "--", 2))
        return cli_usage(verb, optopt && optopt != '-' ? "%s needs a value" : "there is no option '%s'", word);
    if (strchr("IDo", optopt))
        return cli_usage(verb, "-%c needs a value", optopt);
    return cli_usage(verb, "there is no option '-%c'", optopt);
}
