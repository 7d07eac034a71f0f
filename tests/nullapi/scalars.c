/* Values by themselves: every width at its edges, floats bit by bit, calls without results.
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0 */
#include <float.h>
#include <math.h>

#include "t.h"

#define EDGES(type, format, function, ...)                                                                             \
    do {                                                                                                               \
        const type v[] = {__VA_ARGS__};                                                                                \
        for (size_t i = 0; i < sizeof v / sizeof *v; i++)                                                              \
            for (size_t k = 0; k < sizeof v / sizeof *v; k++)                                                          \
                say(#function " " format " " format " = " format, v[i], v[k], function(v[i], v[k]));                   \
    } while (0)

static void widths(void)
{
    EDGES(int8_t, "%d", nullAdd8, 0, 1, -1, INT8_MAX, INT8_MIN);
    EDGES(uint8_t, "%u", nullAddU8, 0, 1, UINT8_MAX);
    EDGES(int16_t, "%d", nullAdd16, 0, -1, INT16_MAX, INT16_MIN);
    EDGES(uint16_t, "%u", nullAddU16, 0, 1, UINT16_MAX);
    EDGES(int32_t, "%d", nullAdd32, 0, -1, INT32_MAX, INT32_MIN);
    EDGES(uint32_t, "%u", nullAddU32, 0, 1, UINT32_MAX);
    EDGES(int64_t, "%ld", nullAdd64, 0, -1, INT64_MAX, INT64_MIN);
    EDGES(uint64_t, "%lu", nullAddU64, 0, 1, UINT64_MAX);
    say("%d %d", nullNot(true), nullNot(false));
    for (int k = 0; k < 7; k++)
        say("after kind %d comes %d", k, nullNextKind((nullKind)k));
}

static uint64_t bits(double d)
{
    uint64_t b;
    memcpy(&b, &d, 8);
    return b;
}

static void floats(void)
{
    const double d[] = {0, -0.0, 1.5, -1e300, DBL_MIN, DBL_TRUE_MIN, DBL_MAX, HUGE_VAL, -HUGE_VAL, 0.1};
    const float f[] = {0, -0.0f, 1.5f, FLT_MIN, FLT_TRUE_MIN, FLT_MAX, HUGE_VALF, 0.1f};
    for (size_t i = 0; i < sizeof d / sizeof *d; i++)
        say("%a %016lx", d[i], bits(nullAddDouble(d[i], d[i])));
    for (size_t i = 0; i < sizeof f / sizeof *f; i++)
        say("%a %a", (double)f[i], (double)nullAddFloat(f[i], f[i]));
    CHECK(isnan(nullAddDouble(NAN, 1)) && isnan(nullAddFloat(NAN, 1)));
}

static void results(void)
{
    int64_t whole = 7;
    double fraction = 7;
    bool negative = true;
    int8_t sign = 7;
    CALL(nullSplit(-12.25, &whole, &fraction, &negative, &sign));
    say("%ld %g %d %d", whole, fraction, negative, sign);
    CALL(nullSplit(12.25, &whole, NULL, NULL, &sign));
    say("%ld %g %d %d", whole, fraction, negative, sign);
    CALL(nullSplit(1, NULL, NULL, NULL, NULL));
    whole = 99, fraction = 99;
    CALL(nullSplit(NAN, &whole, &fraction, &negative, &sign));
    say("untouched: %ld %g", whole, fraction);
}

static void many(void)
{
    uint64_t hash = 1;
    CALL(nullMany(-1, 255, -2, 65535, -3, 4000000000u, INT64_MIN, UINT64_MAX, -0.5f, 1e-300, NULL_KIND_TEXT, true, &hash));
    say("%016lx", hash);
    CALL(nullMany(1, 2, 3, 4, 5, 6, 7, 8, 9.5f, 10.25, NULL_KIND_INT, false, &hash));
    say("%016lx", hash);
    CALL(nullMany(1, 2, 3, 4, 5, 6, 7, 8, 9.5f, 10.25, NULL_KIND_INT, false, NULL));
}

static void nothing(void)
{
    uint64_t count = 1;
    double sum = 1;
    for (int i = 0; i < 1000; i++)
        nullNop();
    CALL(nullPosted(&count, &sum));
    for (int i = 0; i < 5000; i++)
        nullPost((uint32_t)i, (uint64_t)i << 40, -i, 0.25f);
    CALL(nullPosted(&count, &sum));
    say("%lu %.17g", count, sum);
    CALL(nullPosted(NULL, &sum));
    CALL(nullPosted(&count, NULL));
    CALL(nullBlock(100));
}

static void errors(void)
{
    say("last %d", nullGetLastError());
    nullSplit(NAN, NULL, NULL, NULL, NULL);
    say("last %d", nullGetLastError());
    say("last %d", nullGetLastError());
    nullReverse(NULL, 5);
    nullPoke(NULL, 0, 0);
    say("last %d", nullGetLastError());
    nullPoke(NULL, 0, 0);
    nullReverse(NULL, 5);
    say("last %d", nullGetLastError());
    for (int i = 1; i > -14; i--)
        say("%d %s", i, nullErrorName((nullStatus)i) ? nullErrorName((nullStatus)i) : "NULL");
    CHECK(nullErrorName(NULL_SUCCESS) == nullErrorName(NULL_SUCCESS));
}

static void table(void)
{
    const struct nullTable *t = nullGetTable(1);
    const uint32_t values[] = {1, 2, 4000000000u};
    uint64_t sum = 0;
    CHECK(t && t == nullGetTable(NULL_VERSION));
    say("%d %d", nullGetTable(0) == NULL, nullGetTable(NULL_VERSION + 1) == NULL);
    say("version %u, %d, %d", t->version, t->multiply(6, -7), t->multiply(INT32_MAX, 2));
    say("%d", t->sum(values, 3, &sum));
    say("%lu", sum);
    say("%d %d %d", t->sum(NULL, 0, &sum), t->sum(NULL, 1, &sum), t->sum(values, 3, NULL));
    nullQueue queue = t_queue();
    say("%d %d", t->finish(queue), t->finish(NULL));
    OK(nullReleaseQueue(queue));
}

const struct t_test scalars_tests[] = {{"widths", widths},   {"floats", floats}, {"results", results}, {"many", many},
                                       {"nothing", nothing}, {"errors", errors}, {"table", table},     {NULL, NULL}};
