/*
 * hira tenant: who shares the device, what each may use and has used; changes to it that last until the configuration
 * is read again.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "cli/runtime.h"

/* 1536 as "1.5 KiB". */
const char *cli_bytes(double n, char *text, size_t size)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    size_t i = 0;
    for (; n >= 1024 && i + 1 < HIRA_ARRAY_SIZE(units); i++)
        n /= 1024;
    snprintf(text, size, i && n < 100 ? "%.1f %s" : "%.0f %s", n, units[i]);
    return text;
}

static void print_list(const json_t *answer)
{
    size_t i;
    json_t *t;
    char memory[32], quota[32];
    printf("policy %s\n%-24s %6s %4s %-8s %6s %12s %12s %10s %10s\n", cli_json_text(answer, "policy"), "tenant",
           "weight", "prio", "class", "guests", "calls", "device s", "memory", "of");
    json_array_foreach(json_object_get(answer, "tenants"), i, t)
    {
        const json_t *s = json_object_get(t, "settings");
        json_int_t most = cli_json_number(s, "memory");
        printf("%-24s %6lld %4lld %-8s %6lld %12lld %12.3f %10s %10s%s\n", cli_json_text(t, "name"),
               (long long)cli_json_number(s, "weight"), (long long)cli_json_number(s, "priority"),
               cli_json_text(s, "class"), (long long)cli_json_number(t, "guests"),
               (long long)cli_json_number(t, "calls"), (double)cli_json_number(t, "device_ns") / 1e9,
               cli_bytes((double)cli_json_number(t, "memory"), memory, sizeof memory),
               most ? cli_bytes((double)most, quota, sizeof quota) : "-",
               json_is_true(json_object_get(t, "paused")) ? " paused" : "");
    }
}

static void print_patterns(const char *name, const json_t *list)
{
    bool rules = !strcmp(name, "rules"); /* with a sign each */
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *pattern = json_string_value(json_array_get(list, i));
        if (pattern)
            printf("    %-18s %s\n", !rules ? name : *pattern == '-' ? "deny" : "allow", pattern + (rules && *pattern));
    }
}

static void print_one(const json_t *t)
{
    const char *name;
    json_t *value;
    printf("%s%s%s\n", cli_json_text(t, "name"), json_is_true(json_object_get(t, "paused")) ? ", paused" : "",
           json_is_true(json_object_get(t, "changed")) ? ", changed since the configuration was read" : "");
    puts("  may use:");
    json_object_foreach(json_object_get(t, "settings"), name, value)
    {
        if (json_is_integer(value))
            printf("    %-18s %lld\n", name, (long long)json_integer_value(value));
        else if (json_is_string(value))
            printf("    %-18s %s\n", name, json_string_value(value));
        print_patterns(name, value);
    }
    puts("  has used:");
    json_object_foreach((json_t *)t, name, value) if (json_is_integer(value))
        printf("    %-18s %lld\n", name, (long long)json_integer_value(value));
}

static int show(const char *socket, const char *only, bool json)
{
    json_t *request = json_pack("{s:s}", "verb", "tenants"), *t;
    size_t i;
    if (only)
        json_object_set_new(request, "tenant", json_string(only));
    json_t *answer = cli_tenants("tenant", socket, request);
    if (!answer)
        return CLI_FAILED;
    json_t *list = json_object_get(answer, "tenants");
    int status = only && !json_array_size(list) ? CLI_FAILED : CLI_OK;
    if (status)
        fprintf(stderr, "hira tenant: there is no tenant '%s', or it is none of yours\n", only);
    else if (json)
        json_dumpf(answer, stdout, JSON_INDENT(2)), putchar('\n');
    else if (!only)
        print_list(answer);
    else
        json_array_foreach(list, i, t) print_one(t);
    json_decref(answer);
    return status;
}

/* NAME=VALUE... */
static int set(const char *socket, const char *tenant, char **words, int n)
{
    json_t *settings = json_object();
    for (int i = 0; i < n; i++) {
        char *equals = strchr(words[i], '=');
        if (!equals) {
            json_decref(settings);
            return cli_usage("tenant", "'%s' is not NAME=VALUE", words[i]);
        }
        *equals = 0;
        json_object_set_new(settings, words[i], json_string(equals + 1));
    }
    json_t *answer = cli_control("tenant", socket,
                                 json_pack("{s:s,s:s,s:o}", "verb", "set", "tenant", tenant, "settings", settings));
    json_decref(answer);
    return answer ? CLI_OK : CLI_FAILED;
}

int cli_tenant(int argc, char **argv)
{
    static const struct option options[] = {
        {"socket", required_argument, NULL, 's'}, {"json", no_argument, NULL, 'j'}, {0}};
    const char *socket = NULL;
    bool json = false;
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (c == '?')
            return cli_bad_option("tenant", argv, c);
        if (c == 's')
            socket = optarg;
        json |= c == 'j';
    }
    const char *what = optind < argc ? argv[optind] : "list", *tenant = optind + 1 < argc ? argv[optind + 1] : NULL;
    if (!strcmp(what, "list") && !tenant)
        return show(socket, NULL, json);
    if (!strcmp(what, "show") && tenant && argc == optind + 2)
        return show(socket, tenant, json);
    if (!strcmp(what, "set") && argc > optind + 2)
        return set(socket, tenant, argv + optind + 2, argc - optind - 2);
    return cli_usage("tenant", "list, show TENANT, or set TENANT NAME=VALUE...");
}
