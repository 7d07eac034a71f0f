/*
 * A stream: large memory of one synchronous call, moved through a small window while the call is being served, so that the
 * guest's copy and the server's overlap on two cores, and the window stays in their caches.
 *
 * An arena block: two counters, then the window. One side produces pieces, the other consumes them; each counter is written by one
 * side only and counts bytes since the beginning. The server bounds what it reads of the guest's counter by the window and
 * the length agreed in the record.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#ifndef HIRA_CHANNEL_STREAM_H
#define HIRA_CHANNEL_STREAM_H

#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "base/util.h"

#define HIRA_STREAM_LEAST (1ull << 20)   /* smaller memory is copied as a whole: two vendor calls cost more than the overlap wins */
#define HIRA_STREAM_PIECE (256ull << 10) /* long enough to hide the hand-over, short enough that four stay in a core's cache */
#define HIRA_STREAM_WINDOW (4 * HIRA_STREAM_PIECE)

struct hira_stream {
    _Alignas(HIRA_CACHE_LINE) _Atomic uint64_t produced;
    _Alignas(HIRA_CACHE_LINE) _Atomic uint64_t consumed;
    _Alignas(4096) char window[];
};

#define HIRA_STREAM_SIZE (sizeof(struct hira_stream) + HIRA_STREAM_WINDOW)

/* Out of the window to memory that nobody will read soon, past the caches: an ordinary copy would first read what it overwrites,
 * which is half as much traffic again. A whole large memcpy does the same; pieces are too small for it to do so by itself. */
static inline void hira_stream_copy_out(char *to, const char *from, uint64_t size)
{
#ifdef __SSE2__
    uint64_t head = -(uintptr_t)to & 15;
    if (size >= 4096) {
        memcpy(to, from, head);
        to += head;
        from += head;
        size -= head;
        for (; size >= 64; size -= 64, to += 64, from += 64) {
            __m128i a = _mm_loadu_si128((const __m128i *)from), b = _mm_loadu_si128((const __m128i *)(from + 16));
            __m128i c = _mm_loadu_si128((const __m128i *)(from + 32)), d = _mm_loadu_si128((const __m128i *)(from + 48));
            _mm_stream_si128((__m128i *)to, a);
            _mm_stream_si128((__m128i *)(to + 16), b);
            _mm_stream_si128((__m128i *)(to + 32), c);
            _mm_stream_si128((__m128i *)(to + 48), d);
        }
        _mm_sfence();
    }
#endif
    memcpy(to, from, size);
}

/* One pause of a wait for the other side: spins, then gives the core away, then sleeps. `n` counts the pauses. */
static inline void hira_stream_pause(unsigned n)
{
    if (n < 200)
        hira_relax();
    else if (n < 2000)
        sched_yield();
    else
        usleep(50);
}

/* Copies `size` bytes into the window behind the `moved` that went before. False when give_up() said so while waiting. */
static inline bool hira_stream_produce_from(struct hira_stream *s, uint64_t moved, const char *from, uint64_t size,
                                            bool (*give_up)(void *), void *context)
{
    for (uint64_t piece, end = moved + size; moved < end; moved += piece, from += piece) {
        piece = HIRA_MIN(HIRA_STREAM_PIECE - moved % HIRA_STREAM_PIECE, end - moved);
        for (unsigned n = 0; moved + piece - atomic_load_explicit(&s->consumed, memory_order_acquire) > HIRA_STREAM_WINDOW; n++) {
            if (n % 64 == 63 && give_up(context))
                return false;
            hira_stream_pause(n);
        }
        memcpy(s->window + moved % HIRA_STREAM_WINDOW, from, piece);
        atomic_store_explicit(&s->produced, moved + piece, memory_order_release);
    }
    return true;
}

/* The other direction. */
static inline bool hira_stream_consume_from(struct hira_stream *s, uint64_t moved, char *to, uint64_t size, bool (*give_up)(void *),
                                            void *context)
{
    for (uint64_t piece, end = moved + size; moved < end; moved += piece, to += piece) {
        piece = HIRA_MIN(HIRA_STREAM_PIECE - moved % HIRA_STREAM_PIECE, end - moved);
        for (unsigned n = 0; atomic_load_explicit(&s->produced, memory_order_acquire) < moved + piece; n++) {
            if (n % 64 == 63 && give_up(context))
                return false;
            hira_stream_pause(n);
        }
        hira_stream_copy_out(to, s->window + moved % HIRA_STREAM_WINDOW, piece);
        atomic_store_explicit(&s->consumed, moved + piece, memory_order_release);
    }
    return true;
}

#endif
