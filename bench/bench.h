/*
 * What all benchmarks share: a clock, and medians of many short bursts.
 *
 * The machines that run this are shared: a mean tells about the neighbours, a median of bursts about us. Every program prints lines
 * "MEASURE VALUE UNIT" that run.py gathers.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#ifndef HIRA_BENCH_H
#define HIRA_BENCH_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static inline double bench_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static inline int bench_compare(const void *a, const void *b)
{
    return (*(const double *)a > *(const double *)b) - (*(const double *)a < *(const double *)b);
}

static inline double bench_median(double *values, int n)
{
    qsort(values, (size_t)n, sizeof *values, bench_compare);
    return n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

/* Bursts of one measurement; $HIRA_BENCH_BURSTS overrides. */
static inline int bench_bursts(int usual)
{
    const char *set = getenv("HIRA_BENCH_BURSTS");
    int n = set ? usual * atoi(set) / 100 : usual;
    return n < 3 ? 3 : n > 1000 ? 1000 : n;
}

/* The median time of one of `calls` repetitions of the statement, over bursts. */
#define BENCH(bursts, calls, statement)                                                                                \
    ({                                                                                                                 \
        double times_[1000];                                                                                           \
        int n_ = bench_bursts(bursts);                                                                                 \
        for (int b_ = 0; b_ < n_; b_++) {                                                                              \
            double begin_ = bench_us();                                                                                \
            for (int i_ = 0; i_ < (calls); i_++)                                                                       \
                statement;                                                                                             \
            times_[b_] = (bench_us() - begin_) / (calls);                                                              \
        }                                                                                                              \
        bench_median(times_, n_);                                                                                      \
    })

static inline void bench_say(const char *measure, double value, const char *unit)
{
    printf("%s %.6g %s\n", measure, value, unit);
    fflush(stdout);
}

#endif
