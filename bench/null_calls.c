/*
 * Calls of the null API, which does nothing: what is measured is the way of a call. Built twice, with the vendor's library and
 * with the guest library.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include <dlfcn.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"
#include "null.h"

/* Warm: the server spins when the call comes. */
static void sync_warm(void)
{
    for (int i = 0; i < 20000; i++)
        nullNop();
    bench_say("null.sync", BENCH(100, 2000, nullNop()), "us");
}

/* Over a channel where nobody spins, and each call takes a fraction of a millisecond. */
static void sync_woken(void)
{
    for (int i = 0; i < 200; i++)
        nullNop();
    bench_say("null.woken", BENCH(30, 50, nullNop()), "us");
}

/* The server has gone to sleep: pauses longer than any spinning. */
static void sync_asleep(void)
{
    double times[1000];
    int n = bench_bursts(300);
    for (int i = 0; i < n; i++) {
        usleep(2000);
        double begin = bench_us();
        nullNop();
        times[i] = bench_us() - begin;
    }
    bench_say("null.asleep", bench_median(times, n), "us");
}

/* Sustained: a burst of calls to the end of the last. */
static void async_rate(void)
{
    uint64_t count = 0;
    double sum;
    nullPosted(&count, &sum);
    double us = BENCH(30, 1, {
        for (uint32_t k = 0; k < 100000; k++)
            nullPost(k, k, 1, 2.0f);
        nullPosted(&count, &sum);
        if (count != 100000)
            exit(1);
    });
    bench_say("null.async", 100000 / us, "M/s");
}

static void memory(void)
{
    static char data[1 << 20];
    uint64_t sum;
    for (int i = 0; i < 100; i++)
        nullFillBytes(data, 1024, 1);
    bench_say("null.out-1KiB", BENCH(50, 200, nullFillBytes(data, 1024, 1)), "us");
    bench_say("null.out-64KiB", BENCH(50, 50, nullFillBytes(data, 65536, 1)), "us");
    bench_say("null.list", BENCH(50, 200, nullSumList((const int32_t[]){1, 2, 3, 4, 5, -1}, (int64_t *)&sum)), "us");
}

/* 64 MiB there and back; what the vendor does with them natively is in it. */
static void bulk(void)
{
    const size_t size = 64 << 20;
    char *data = malloc(size);
    uint64_t sum;
    memset(data, 1, size);
    nullSumBytes(data, size, &sum);
    bench_say("null.in-64MiB", BENCH(10, 1, nullSumBytes(data, size, &sum)), "us");
    bench_say("null.out-64MiB", BENCH(10, 1, nullFillBytes(data, size, 1)), "us");
    free(data);
}

/* Objects made, used and destroyed; all of it asynchronous but the end. */
static void objects(void)
{
    nullDevice device;
    uint32_t n = 1;
    nullGetDevices(&n, &device);
    nullQueue queue = nullCreateQueue(device, 0, NULL);
    double us = BENCH(50, 500, {
        nullBuffer b = nullCreateBuffer(queue, 64, NULL, NULL);
        nullPoke(b, 0, 1);
        nullDestroyBuffer(b);
    });
    bench_say("null.object", us, "us");
    nullFinish(queue);
    nullReleaseQueue(queue);
}

/* Allocations of this process while calls are warm; counted by alloc.c, which is preloaded. */
static void allocations(void)
{
    uint64_t (*counted)(void) = (uint64_t(*)(void))dlsym(RTLD_DEFAULT, "hira_bench_allocations");
    if (!counted)
        exit(1);
    uint64_t before = 0, posted;
    double sum;
    char data[1000];
    for (int round = 0; round < 2; round++) {
        before = counted();
        for (int i = 0; i < 10000; i++) {
            nullNop();
            nullPost(1, 2, 3, 4);
            nullFillBytes(data, sizeof data, 1);
        }
        nullPosted(&posted, &sum);
    }
    bench_say("null.allocations", (double)(counted() - before) / 30000, "per-call");
}

static const struct {
    const char *name;
    void (*run)(void);
} measures[] = {{"sync", sync_warm}, {"woken", sync_woken}, {"asleep", sync_asleep}, {"async", async_rate}, {"memory", memory}, {"bulk", bulk}, {"objects", objects}, {"allocations", allocations}};

int main(int argc, char **argv)
{
    uint32_t devices = 0;
    if (nullGetDevices(&devices, NULL) || !devices) {
        fputs("the null API does not answer: is its server there, and its vendor's library?\n", stderr);
        return 1; /* or the failing of calls would be timed */
    }
    for (size_t i = 0; i < sizeof measures / sizeof *measures; i++)
        if (argc > 1 && !strcmp(argv[1], measures[i].name)) {
            measures[i].run();
            return 0;
        }
    return 2;
}
