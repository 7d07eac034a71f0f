/*
 * hira stat -- PROGRAM: runs it under Hira, by a router of its own, and says which functions it called, how often, and
 * how long they took in the server. What is left of the program's time it spent elsewhere: in itself, and on the way.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/runtime.h"

#define LEFT_TRIES 40 /* of 50 ms: until the server that served it has ended, and its account is whole */

static json_t *ask(const char *asks, const char *socket, const char *verb)
{
    char tenant[32];
    snprintf(tenant, sizeof tenant, "user-%u", (unsigned)getuid());
    return cli_control(asks, socket, json_pack("{s:s,s:s}", "verb", verb, "tenant", tenant));
}

static void keep_measuring(const char *socket)
{
    json_decref(ask("stat", socket, "measure"));
}

static bool begin(const char *socket)
{
    keep_measuring(socket);
    return true;
}

static bool left(const char *verb, const char *socket)
{
    json_t *answer = ask(verb, socket, "tenants"), *t = json_array_get(json_object_get(answer, "tenants"), 0);
    bool gone = !answer || !cli_json_number(t, "guests");
    json_decref(answer);
    return gone;
}

void cli_wait_until_left(const char *verb, const char *socket)
{
    for (int i = 0; i < LEFT_TRIES && !left(verb, socket); i++)
        usleep(50000);
}

static int by_time(const void *a, const void *b)
{
    json_int_t x = cli_json_number(*(json_t *const *)a, "ns"), y = cli_json_number(*(json_t *const *)b, "ns");
    return (x < y) - (x > y);
}

static void print_functions(const json_t *list, double wall_ns)
{
    size_t n = json_array_size(list);
    HIRA_AUTOFREE json_t **sorted = calloc(n + 1, sizeof *sorted);
    double calls = 0, ns = 0;
    for (size_t i = 0; sorted && i < n; i++) {
        sorted[i] = json_array_get(list, i);
        calls += (double)cli_json_number(sorted[i], "calls");
        ns += (double)cli_json_number(sorted[i], "ns");
    }
    if (!sorted)
        return;
    if (!n) {
        fputs("hira stat: no call reached a server: the program makes none, or has a library that is none of Hira's (hira doctor)\n", stderr);
        return;
    }
    qsort(sorted, n, sizeof *sorted, by_time);
    fprintf(stderr, "\n%10s %12s %12s %7s  %s\n", "calls", "ms", "us a call", "", "function");
    for (size_t i = 0; i < n; i++) {
        double c = (double)cli_json_number(sorted[i], "calls"), t = (double)cli_json_number(sorted[i], "ns");
        fprintf(stderr, "%10.0f %12.3f %12.3f %6.1f%%  %s\n", c, t / 1e6, t / 1e3 / c, ns > 0 ? 100 * t / ns : 0,
                cli_json_text(sorted[i], "name"));
    }
    fprintf(stderr, "%10.0f %12.3f %12.3f          in the server, of %.3f ms that the program ran\n", calls, ns / 1e6,
            calls > 0 ? ns / 1e3 / calls : 0, wall_ns / 1e6);
}

static void end(const char *socket, double wall_ns)
{
    cli_wait_until_left("stat", socket);
    json_t *answer = ask("stat", socket, "functions");
    if (answer)
        print_functions(json_object_get(answer, "functions"), wall_ns);
    json_decref(answer);
}

int cli_stat(int argc, char **argv)
{
    static const struct cli_observer stat = {.verb = "stat", .begin = begin, .again = keep_measuring, .end = end};
    return cli_run_observed(&stat, argc, argv);
}
