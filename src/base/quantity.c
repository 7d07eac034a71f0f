/* Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0 */
#include "base/quantity.h"

#include <errno.h>
#include <string.h>

struct unit {
    const char *name;
    double size;
};

/* A decimal number without a sign, and one of these units; at least `least`, at most `most` of them. */
static int parse(const char *text, const struct unit *units, double least, double most, uint64_t *ret)
{
    char *end = NULL;
    size_t digits = strspn(text, "0123456789.");
    double number = digits && text[0] != '.' ? strtod(text, &end) : -1;
    if (number < 0 || end != text + digits)
        return -EINVAL;
    for (; units->name; units++)
        if (!strcmp(end, units->name) && number * units->size >= least && number * units->size <= most) {
            *ret = (uint64_t)(number * units->size);
            return 0;
        }
    return -EINVAL;
}

int hira_parse_duration(const char *text, uint64_t *ret_ns)
{
    static const struct unit units[] = {{"us", 1e3}, {"ms", 1e6}, {"s", 1e9}, {0}};
    return parse(text, units, 0, 86400e9, ret_ns);
}

int hira_parse_rate(const char *text, uint64_t *ret_rate)
{
    static const struct unit units[] = {{"kbit", 1e3 / 8}, {"Mbit", 1e6 / 8}, {"Gbit", 1e9 / 8}, {0}};
    return parse(text, units, 1, 1e12, ret_rate);
}
