/* Small macros and clocks that every room uses. No state, no I/O.
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef HIRA_BASE_UTIL_H
#define HIRA_BASE_UTIL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

#define HIRA_ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define HIRA_CONTAINER_OF(ptr, type, member) ((type *)((char *)(ptr) - offsetof(type, member)))
#define HIRA_ALIGN_UP(x, a) (((x) + ((a) - 1)) & ~((__typeof__(x))(a) - 1)) /* a: power of two */
#define HIRA_MIN(a, b) ((a) < (b) ? (a) : (b))
#define HIRA_MAX(a, b) ((a) > (b) ? (a) : (b))
#define hira_likely(x) __builtin_expect(!!(x), 1)
#define hira_unlikely(x) __builtin_expect(!!(x), 0)
#define HIRA_PRINTF(f, a) __attribute__((format(printf, f, a)))
#define HIRA_UNUSED __attribute__((unused))

#define HIRA_CACHE_LINE 64

/* Runs fn(&variable) when the variable goes out of scope. */
#define HIRA_CLEANUP(fn) __attribute__((cleanup(fn)))

static inline void hira_freep(void *p)
{
    free(*(void **)p);
}
#define HIRA_AUTOFREE HIRA_CLEANUP(hira_freep)

/* Hands the value over and forgets it, so that its cleanup does nothing. */
#define HIRA_STEAL(p) ({ __typeof__(p) hira_stolen_ = (p); (p) = 0; hira_stolen_; })
#define HIRA_STEAL_FD(fd) ({ int hira_stolen_ = (fd); (fd) = -1; hira_stolen_; })

/* Monotonic time in nanoseconds. */
static inline uint64_t hira_now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* A pause inside a spin loop. */
static inline void hira_relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("isb" ::: "memory");
#endif
}

/* The cheapest clock there is, in ticks of unknown length; 0 where the machine has none (then spins are counted). */
static inline uint64_t hira_ticks(void)
{
#if defined(__x86_64__) || defined(__i386__)
    return __builtin_ia32_rdtsc();
#elif defined(__aarch64__)
    uint64_t t;
    __asm__ volatile("mrs %0, cntvct_el0" : "=r"(t));
    return t;
#else
    return hira_now_ns();
#endif
}

#endif
