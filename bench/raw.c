/*
 * The physical limits that the results stand beside: what two cores and the memory give, with nothing of Hira's between.
 *
 * ping-pong: two threads spin on a cache line each; a round trip is what a synchronous call cannot be faster than. futex: the same
 * asleep, back to back, and after pauses in which the cores went idle, on one core and on two. memcpy: 64 MiB from one buffer into another.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bench.h"

static struct {
    _Alignas(64) _Atomic uint32_t ping;
    _Alignas(64) _Atomic uint32_t pong;
} line;
static bool sleeping;

static void wait_for(_Atomic uint32_t *word, uint32_t value)
{
    uint32_t now;
    while ((now = atomic_load_explicit(word, memory_order_acquire)) != value)
        if (sleeping)
            syscall(SYS_futex, word, FUTEX_WAIT, now, NULL, NULL, 0);
        else
            __builtin_ia32_pause();
}

static void tell(_Atomic uint32_t *word, uint32_t value)
{
    atomic_store_explicit(word, value, memory_order_release);
    if (sleeping)
        syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0);
}

static void *echo(void *unused)
{
    for (uint32_t i = 1; i; i++) {
        wait_for(&line.ping, i);
        tell(&line.pong, i);
    }
    return unused;
}

static uint32_t turn;

static void round_trip(void)
{
    tell(&line.ping, ++turn);
    wait_for(&line.pong, turn);
}

static void ping_pong(const char *name, int calls)
{
    pthread_t thread;
    turn = 0;
    atomic_store(&line.ping, 0);
    atomic_store(&line.pong, 0);
    if (pthread_create(&thread, NULL, echo, NULL))
        exit(1);
    round_trip();
    bench_say(name, BENCH(100, calls, round_trip()), "us");
}

static void stay_on(int core)
{
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(core, &one);
    sched_setaffinity(0, sizeof one, &one); /* without that core: wherever it is */
}

static void *echo_there(void *core)
{
    stay_on((int)(intptr_t)core);
    return echo(NULL);
}

static void paused(const char *name, int other_core)
{
    pthread_t thread;
    double times[1000];
    int n = bench_bursts(300);
    if (pthread_create(&thread, NULL, echo_there, (void *)(intptr_t)other_core))
        exit(1);
    stay_on(0);
    for (int i = 0; i < n; i++) {
        usleep(2000);
        double begin = bench_us();
        round_trip();
        times[i] = bench_us() - begin;
    }
    bench_say(name, bench_median(times, n), "us");
}

static void copy(void)
{
    size_t size = 64u << 20;
    char *from = malloc(size), *to = malloc(size);
    memset(from, 1, size);
    memset(to, 2, size);
    double us = BENCH(15, 1, { memcpy(to, from, size); __asm__ volatile("" ::"r"(to) : "memory"); });
    bench_say("raw.memcpy-64MiB", (double)size / us / 1000, "GB/s");
    free(from);
    free(to);
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";
    sleeping = !strcmp(what, "futex") || !strncmp(what, "paused", 6);
    if (!strcmp(what, "pingpong"))
        ping_pong("raw.pingpong", 2000);
    else if (!strcmp(what, "futex"))
        ping_pong("raw.futex", 50);
    else if (!strcmp(what, "paused-1"))
        paused("raw.futex-1-core", 0);
    else if (!strcmp(what, "paused-2"))
        paused("raw.futex-2-cores", 1);
    else if (!strcmp(what, "memcpy"))
        copy();
    else
        return 2;
    fflush(stdout);
    _exit(0); /* the other thread still waits */
}
