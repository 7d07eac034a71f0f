/* Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0 */
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>

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

int cli_bad_option(const char *verb, char **argv)
{
    return cli_usage(verb, optopt ? "%s needs an argument" : "there is no option %s", argv[optind - 1]);
}
