/* A test program that prints TAP: `CHECK(condition)` counts, `tap_case("name")` ends a test, `tap_done()` prints the plan.
 *
 * A test is what lies between two tap_case() calls: it has failed if a CHECK in it failed, whose place and text are printed as a
 * comment. Nothing stops at a failure, so a CHECK guards what follows it: `if (!CHECK(p)) return;`. CHECKs of other threads
 * count for the test that is running. A test that cannot run here says so with tap_skip().
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef HIRA_TESTS_TAP_H
#define HIRA_TESTS_TAP_H

#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

static _Atomic unsigned tap_failures; /* CHECKs failed in the test now running */
static unsigned tap_tests, tap_failed;

#define CHECK(condition) tap_check((condition), #condition, __FILE__, __LINE__)

__attribute__((unused)) static bool tap_check(bool ok, const char *text, const char *file, int line)
{
    if (!ok && atomic_fetch_add(&tap_failures, 1) < 20)
        printf("# %s:%d: %s\n", file, line, text);
    return ok;
}

/* Ends a test: printf-like name. */
__attribute__((unused, format(printf, 1, 2))) static void tap_case(const char *format, ...)
{
    va_list args;
    unsigned failures = atomic_exchange(&tap_failures, 0);
    tap_failed += failures != 0;
    printf("%s %u - ", failures ? "not ok" : "ok", ++tap_tests);
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    printf("\n");
    fflush(stdout);
}

__attribute__((unused)) static void tap_skip(const char *name, const char *reason)
{
    printf("ok %u - %s # SKIP %s\n", ++tap_tests, name, reason);
    fflush(stdout);
}

/* The plan, and the exit status of main(). */
__attribute__((unused)) static int tap_done(void)
{
    printf("1..%u\n", tap_tests);
    fflush(stdout);
    return tap_failed != 0;
}

/* A small generator for tests: the same numbers for the same seed everywhere. */
__attribute__((unused)) static unsigned long long tap_random(unsigned long long *state)
{
    unsigned long long x = *state += 0x9e3779b97f4a7c15ull;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
    x = (x ^ x >> 27) * 0x94d049bb133111ebull;
    return x ^ x >> 31;
}

#endif
