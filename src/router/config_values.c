/* Words of hirad.conf as numbers. Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0 */
#include "router/config_values.h"

#include <errno.h>
#include <grp.h>
#include <math.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>

struct unit {
    const char *name;
    double factor;
};

static int number(const char *value, const struct unit *units, size_t n_units, const char *what, uint64_t *ret,
                  char *error, size_t size)
{
    char *end;
    errno = 0;
    double n = value[0] >= '0' && value[0] <= '9' ? strtod(value, &end) : (end = (char *)value, -1.0);
    while (*end == ' ')
        end++;
    double factor = 0;
    for (size_t i = 0; i < n_units && factor == 0; i++)
        factor = strcmp(end, units[i].name) ? 0 : units[i].factor;
    /* Hexadecimal numbers and exponents are none of ours. */
    bool plain =
        strspn(value, "0123456789.") == strcspn(value, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ ") ||
        !*end;
    if (n < 0 || errno || factor == 0 || !plain || !(n * factor < 9.2e18)) {
        snprintf(error, size, "%s, not '%.60s'", what, value);
        return -EINVAL;
    }
    *ret = (uint64_t)(n * factor);
    return 0;
}

int config_count(const char *value, uint64_t *ret, char *error, size_t size)
{
    static const struct unit units[] = {{"", 1}, {"k", 1e3}, {"M", 1e6}, {"G", 1e9}};
    return number(value, units, HIRA_ARRAY_SIZE(units), "a number such as 1000 or 20k", ret, error, size);
}

int config_bytes(const char *value, uint64_t *ret, char *error, size_t size)
{
    static const struct unit units[] = {
        {"", 1},     {"B", 1},    {"KiB", 1024}, {"MiB", 1048576}, {"GiB", 1073741824}, {"TiB", 1099511627776.0},
        {"kB", 1e3}, {"MB", 1e6}, {"GB", 1e9},   {"TB", 1e12}};
    return number(value, units, HIRA_ARRAY_SIZE(units), "bytes such as 4096, 64 MiB or 2 GB", ret, error, size);
}

static bool digits(const char *value)
{
    size_t n = strspn(value, "0123456789");
    return n && n < 11 && !value[n];
}

int config_user(const char *value, uint64_t *ret, char *error, size_t size)
{
    const struct passwd *user = digits(value) ? NULL : getpwnam(value);
    uint64_t n = user ? user->pw_uid : digits(value) ? strtoull(value, NULL, 10) : UINT64_MAX;
    if (n >= UINT32_MAX) {
        snprintf(error, size, "there is no user '%.60s'", value);
        return -ENOENT;
    }
    *ret = n;
    return 0;
}

int config_group(const char *value, uint64_t *ret, char *error, size_t size)
{
    const struct group *group = digits(value) ? NULL : getgrnam(value);
    uint64_t n = group ? group->gr_gid : digits(value) ? strtoull(value, NULL, 10) : UINT64_MAX;
    if (n >= UINT32_MAX) {
        snprintf(error, size, "there is no group '%.60s'", value);
        return -ENOENT;
    }
    *ret = n;
    return 0;
}

int config_address(const char *value, char *ret_host, unsigned *ret_port, char *error, size_t size)
{
    static const char *const loopback[] = {"127.0.0.1:", "[::1]:", "localhost:"};
    if (!*value || (*value == '/' && strlen(value) < 108)) {
        if (ret_port)
            *ret_port = 0;
        return 0;
    }
    for (size_t i = 0; i < HIRA_ARRAY_SIZE(loopback); i++) {
        size_t n = strlen(loopback[i]);
        if (strncmp(value, loopback[i], n) || !digits(value + n) || strtoul(value + n, NULL, 10) - 1 >= 65535)
            continue;
        if (ret_host)
            snprintf(ret_host, 16, "%s", i == 1 ? "::1" : "127.0.0.1");
        if (ret_port)
            *ret_port = (unsigned)strtoul(value + n, NULL, 10);
        return 0;
    }
    snprintf(error, size, "a socket's path, or a port of this machine such as 127.0.0.1:9840, not '%.60s'", value);
    return -EINVAL;
}
