/*
 * hira top: tenants as they are now: their share of the device against what they are entitled to, memory, calls, how
 * long calls take.
 *
 * Asks hirad every second for what tenants have used so far and shows the differences. Asking has calls timed for a few
 * seconds.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/runtime.h"

static const json_t *named(const json_t *answer, const char *name)
{
    size_t i;
    json_t *t;
    json_array_foreach(json_object_get(answer, "tenants"), i, t)
    {
        if (!strcmp(cli_json_text(t, "name"), name))
            return t;
    }
    return NULL;
}

static double more(const json_t *now, const json_t *before, const char *name)
{
    json_int_t n = cli_json_number(now, name) - (before ? cli_json_number(before, name) : 0);
    return n > 0 ? (double)n : 0;
}

/* The duration below which `part` of the calls of the last second were, ns; 0: there were none. */
static double quantile(const json_t *now, const json_t *before, double part)
{
    const json_t *a = json_object_get(now, "durations"), *b = before ? json_object_get(before, "durations") : NULL;
    double sum = 0, seen = 0;
    for (size_t i = 0; i < json_array_size(a); i++)
        sum += (double)(json_integer_value(json_array_get(a, i)) - json_integer_value(json_array_get(b, i)));
    for (size_t i = 0; sum > 0 && i < json_array_size(a); i++) {
        seen += (double)(json_integer_value(json_array_get(a, i)) - json_integer_value(json_array_get(b, i)));
        if (seen >= part * sum)
            return 128.0 * (double)(1ull << i);
    }
    return 0;
}

static const char *time_text(double ns, char *text, size_t size)
{
    if (ns <= 0)
        snprintf(text, size, "-");
    else if (ns < 1e6)
        snprintf(text, size, "%.1f us", ns / 1e3);
    else
        snprintf(text, size, ns < 1e9 ? "%.1f ms" : "%.1f s", ns < 1e9 ? ns / 1e6 : ns / 1e9);
    return text;
}

static void print_tenant(const json_t *t, const json_t *b, double seconds, double all)
{
    char memory[32], p50[32], p99[32];
    double used = more(t, b, "device_ns");
    bool idle = used <= 0 && more(t, b, "calls") <= 0 && !cli_json_number(t, "guests");
    if (idle)
        return;
    /* Entitled are those who want the device; what others would have if they did adds up to more than there is. */
    char entitled[32] = "-";
    if (used > 0 || cli_json_number(t, "queue"))
        snprintf(entitled, sizeof entitled, "%.1f%%", 100 * json_number_value(json_object_get(t, "entitled")));
    printf("%-24s %6lld %7.1f%% %8s %8.1f%% %10s %10.0f %9s %9s %6lld%s\n", cli_json_text(t, "name"),
           (long long)cli_json_number(t, "guests"), all > 0 ? 100 * used / all : 0, entitled, used / (1e7 * seconds),
           cli_bytes((double)cli_json_number(t, "memory"), memory, sizeof memory), more(t, b, "calls") / seconds,
           time_text(quantile(t, b, 0.5), p50, sizeof p50), time_text(quantile(t, b, 0.99), p99, sizeof p99),
           (long long)cli_json_number(t, "queue"), json_is_true(json_object_get(t, "paused")) ? " paused" : "");
}

static void print_all(const json_t *now, const json_t *before)
{
    size_t i;
    json_t *t;
    double all = 0, seconds = more(now, before, "time_ns") / 1e9;
    seconds = seconds > 0.001 ? seconds : 1;
    json_array_foreach(json_object_get(now, "tenants"), i, t) all +=
        more(t, named(before, cli_json_text(t, "name")), "device_ns");
    printf("policy %s, %.0f turns/s, device busy %.1f%%\n\n", cli_json_text(now, "policy"),
           more(now, before, "turns") / seconds, all / (1e7 * seconds));
    printf("%-24s %6s %8s %8s %9s %10s %10s %9s %9s %6s\n", "tenant", "guests", "share", "entitled", "device", "memory",
           "calls/s", "p50", "p99", "queue");
    json_array_foreach(json_object_get(now, "tenants"), i, t)
        print_tenant(t, named(before, cli_json_text(t, "name")), seconds, all);
    fflush(stdout);
}

static json_t *ask(const char *socket)
{
    return cli_tenants("top", socket, json_pack("{s:s,s:b,s:b}", "verb", "tenants", "measure", 1, "active", 1));
}

int cli_top(int argc, char **argv)
{
    static const struct option options[] = {
        {"socket", required_argument, NULL, 's'}, {"times", required_argument, NULL, 'n'}, {0}};
    const char *socket = NULL;
    long times = 0;
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (c == '?')
            return cli_bad_option("top", argv, c);
        if (c == 's')
            socket = optarg;
        if (c == 'n' && ((times = strtol(optarg, NULL, 10)) < 1 || times > 1000000))
            return cli_usage("top", "--times takes a number from 1 to 1000000");
    }
    if (optind != argc)
        return cli_usage("top", "takes no arguments");
    bool screen = !times && isatty(STDOUT_FILENO);
    json_t *before = ask(socket);
    for (long i = 0; before && (!times || i < times); i++) {
        sleep(1);
        json_t *now = ask(socket);
        if (now && screen)
            fputs("\033[H\033[J", stdout); /* home, clear */
        if (now)
            print_all(now, before);
        json_decref(before);
        before = now;
    }
    json_decref(before);
    return before ? CLI_OK : CLI_FAILED;
}
