/* Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stdio.h>

#include "cli/cli.h"

int cli_usage(const char *verb, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fprintf(stderr, "hira %s: ", verb);
    vfprintf(stderr, format, args);
    fputs("\nhira help lists the verbs and their arguments\n", stderr);
    va_end(args);
    return CLI_USAGE;
}
