/*
 * Token buckets: so many units a second, so many at once.
 *
 * The generic cell rate algorithm (ITU-T I.371): the whole state is one number, the time at which the bucket would be
 * full again. So several processes can share one bucket in shared memory, without a lock and without anybody who fills
 * it:
 *
 *     due  = max(full, now) - burst + min(cost, burst)        when the units may be used
 *     full = max(full, now) + cost
 *
 * Units are taken when they are asked for, also if they are due later only: so those who ask are served in turn, and
 * who takes more than a burst at once pays it back by waiting longer for the next. Over any time t at most burst + rate
 * * t units become due, but for one that is larger than a burst.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#ifndef HIRA_POLICY_BUCKET_H
#define HIRA_POLICY_BUCKET_H

#include <stdatomic.h>

#include "base/util.h"

#define BUCKET_SCALE 64u /* of a nanosecond, so that rates of millions a second are right to 0.01 % */

/* The time that `n` units take at `rate` units a second, 1/64 ns; a century at most. */
static inline uint64_t bucket_time(uint64_t n, uint64_t rate)
{
    unsigned __int128 t = rate ? ((unsigned __int128)n * (1000000000ull * BUCKET_SCALE) + rate - 1) / rate : 0;
    return t > UINT64_MAX / 4 ? UINT64_MAX / 4 : (uint64_t)t;
}

/* Takes `n` units at time `now` (ns). Returns when they are due (ns): now, or later. `rate` 0: at once. Any thread, any
 * process; *full begins at 0. Whatever stands in *full, the wait is at most `longest` ns: it may be another process's
 * lie. */
static inline uint64_t bucket_take(_Atomic uint64_t *full, uint64_t rate, uint64_t burst, uint64_t n, uint64_t now,
                                   uint64_t longest)
{
    if (!rate || !n)
        return now;
    uint64_t at = now * BUCKET_SCALE, cost = bucket_time(n, rate), room = bucket_time(burst, rate), from;
    uint64_t seen = atomic_load_explicit(full, memory_order_relaxed);
    do {
        uint64_t most = at + room + longest * BUCKET_SCALE;
        from = seen > at ? HIRA_MIN(seen, most) : at;
    } while (
        !atomic_compare_exchange_weak_explicit(full, &seen, from + cost, memory_order_relaxed, memory_order_relaxed));
    uint64_t due = from + HIRA_MIN(cost, room);
    return due > at + room ? (due - room + BUCKET_SCALE - 1) / BUCKET_SCALE : now;
}

/* Gives `n` units back that were taken and not used: what is taken from now on is due earlier by that. */
static inline void bucket_give_back(_Atomic uint64_t *full, uint64_t rate, uint64_t n)
{
    uint64_t cost = bucket_time(n, rate), seen = atomic_load_explicit(full, memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(full, &seen, seen - HIRA_MIN(cost, seen), memory_order_relaxed,
                                                  memory_order_relaxed))
        ;
}

/* When something may be used whose amount is known only afterwards: as soon as the bucket is not overdrawn. */
static inline uint64_t bucket_ready(const _Atomic uint64_t *full, uint64_t rate, uint64_t burst, uint64_t now,
                                    uint64_t longest)
{
    uint64_t at = now * BUCKET_SCALE, room = bucket_time(burst, rate);
    uint64_t seen = atomic_load_explicit(full, memory_order_relaxed);
    if (!rate || seen <= at + room)
        return now;
    return HIRA_MIN((seen - room + BUCKET_SCALE - 1) / BUCKET_SCALE, now + longest);
}

#endif
