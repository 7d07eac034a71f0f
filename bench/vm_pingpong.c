/*
 * What memory shared between a machine and its host gives: a process on either side spins on a cache line each, and answers the other's.
 * A round trip is what a synchronous call out of the machine cannot be faster than.
 *
 * usage: bench-vm-pingpong echo FILE      on the host, until it is killed
 *        bench-vm-pingpong time DEVICE    in the machine
 *
 * Both lines lie in the first page, behind the head of a region.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>

#include "bench.h"

struct lines {
    char head[2048];
    _Alignas(64) _Atomic uint32_t ping;
    _Alignas(128) _Atomic uint32_t pong;
};

static void wait_for(_Atomic uint32_t *word, uint32_t value)
{
    while (atomic_load_explicit(word, memory_order_acquire) != value)
        __builtin_ia32_pause();
}

static uint32_t turn;

static void round_trip(struct lines *l)
{
    atomic_store_explicit(&l->ping, ++turn, memory_order_release);
    wait_for(&l->pong, turn);
}

int main(int argc, char **argv)
{
    int fd = argc == 3 ? open(argv[2], O_RDWR | O_CLOEXEC) : -1;
    struct lines *l = fd < 0 ? MAP_FAILED : mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (l == MAP_FAILED)
        return 1;
    if (!strcmp(argv[1], "echo"))
        for (uint32_t i = 0;; i = atomic_load_explicit(&l->ping, memory_order_acquire)) {
            atomic_store_explicit(&l->pong, i, memory_order_release);
            __builtin_ia32_pause();
        }
    for (int i = 0; i < 20000; i++)
        round_trip(l);
    bench_say("vm.pingpong", BENCH(100, 2000, round_trip(l)), "us");
    return 0;
}
