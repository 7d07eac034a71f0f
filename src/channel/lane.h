/*
 * A lane: one caller's ring of records to one callee, with a reply slot the other way, in memory that both map.
 *
 * The guest's thread is the caller, its own thread in the API server the callee; on the reverse lane that carries callbacks
 * it is the other way round. One thread on each side, so nothing is locked.
 *
 * Records start on a cache line, and the record's first word (its *stamp*) is what the callee polls: a call that
 * fits a line crosses to the other core in one transfer, and its reply in another, which is what a bare ping-pong costs.
 * Before a stamp is published the word where the next one will stand is zeroed, so a stale line is never taken for a record.
 * The ring is mapped twice in a row: a record is always contiguous. A virtual machine cannot map its device's memory so; there the
 * caller makes a record aside and puts it into the ring in two parts, and the callee takes it out so.
 *
 *     stamp = sequence << 8 | lines        sequence counts records from 1, lines is the length in cache lines
 *
 * Sleep: a side that has spun in vain sets its sleep word, looks once more, and waits on it as a futex. The other side
 * publishes with a full fence (an exchange) and then reads the word: either it sees the sleeper, or the sleeper sees what
 * was published. No wait lasts longer than HIRA_NAP_NS without the owner's `alive` being asked; a side without one, because
 * somebody else ends it when the peer goes, sleeps until it is woken: idle lanes cost nothing. Between two kernels no futex
 * reaches: whoever finds the word set sends a message instead (struct hira_lane_far), and a guest sleeps on a word of its own, which it
 * clears before it sets the shared one: what is sent for an earlier sleep makes it look once too often, never too seldom.
 *
 * The peer is hostile: it may write anything anywhere in this memory at any time. So every value is read once, lengths are
 * bounded before use, the record is copied out before it is decoded, and what is ours (positions, sequence) lives in
 * private memory. Wild values make hira_callee_next() return -EBADMSG; they never make it read outside of the mapping.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#ifndef HIRA_CHANNEL_LANE_H
#define HIRA_CHANNEL_LANE_H

#include <stdatomic.h>
#include <string.h>

#include "base/futex.h"
#include "base/util.h"
#include "channel/limits.h"

#define HIRA_NAP_NS 200000000ull  /* 200 ms: the longest sleep without a look at whether the peer still lives */
#define HIRA_LINE HIRA_CACHE_LINE

/* How long a lane's sides spin: a vendor call that waits for a worker takes 10-20 µs, and sleeping costs as much again. */
#define HIRA_SPIN_LEAST_NS 5000
#define HIRA_SPIN_MOST_NS 50000
#define HIRA_SPIN_SHORT_NS 3000  /* what needs no other thread is answered by then */
#define HIRA_WAKE_NS 30000       /* what waking an idle core adds to a wait, 25-44 µs in a virtual machine */
#define HIRA_SPINS_UNTIMED 64     /* about 1 µs: looks before the clock is asked */
#define HIRA_TRY_EVERY 2048u     /* of so many waits ... */
#define HIRA_TRY_FOR 128u        /* ... so many are made the other way, to see whether that is faster now: some 5 ms, in which the
                                  * scheduler finds places for the threads */
#define HIRA_MOVE_AFTER 16u /* quick calls between two threads of one core, 5 µs each: a move costs about ten of them */

struct hira_lane_control {
    _Alignas(HIRA_LINE) _Atomic uint64_t tail;    /* callee: ring bytes consumed since the beginning */
    _Atomic uint64_t retired;                     /* callee: sequence of the last record whose effects are done */
    _Alignas(HIRA_LINE) _Atomic uint32_t callee_sleeps; /* HIRA_AWAKE or HIRA_WANTS_* */
    _Atomic uint32_t waker_core;                  /* caller: where it ran when it woke the callee last */
    _Alignas(HIRA_LINE) _Atomic uint32_t caller_sleeps;
    _Atomic uint64_t room_at;                     /* caller, before it sleeps for room: the tail it wants to see */
};

/* Values of a sleep word: what the sleeper waits for, so that it is woken for nothing else. */
enum { HIRA_AWAKE, HIRA_WANTS_RECORD, HIRA_WANTS_ROOM, HIRA_WANTS_REPLY };

struct hira_record {
    _Atomic uint64_t stamp;
    uint32_t size;       /* bytes, this header included */
    uint16_t function;   /* index in the caller's table, or one of HIRA_FN_* */
    uint16_t flags;      /* HIRA_RECORD_* */
    uint64_t words[];
};

struct hira_reply {
    _Atomic uint64_t stamp; /* sequence of the record that it answers */
    uint32_t size;          /* bytes, this header included */
    uint16_t status;        /* HIRA_REPLY_* */
    uint16_t flags;
    uint64_t words[];
};

#define HIRA_CONTROL_SIZE 4096u
#define HIRA_LANE_SIZE (HIRA_CONTROL_SIZE + HIRA_RING_SIZE + HIRA_REPLY_SIZE)

/* Of a lane between two kernels, a virtual machine's and its host's: sleepers are woken by a message, not by a futex. */
struct hira_lane_far {
    void (*wake)(struct hira_lane_far *far); /* tells the other side's kernel to wake who sleeps on this lane. Any thread; never blocks */
    void *context;
    uint32_t index;
    bool callbacks;        /* the reverse lane */
    bool naps;             /* who sleeps here sleeps on `nap`: no futex can be had of this memory. Else on the lane's own word */
    _Atomic uint32_t nap;  /* 0; 1: look again */
};

/* What both sides know of a lane. */
struct hira_lane_map {
    struct hira_lane_control *control;
    char *ring; /* HIRA_RING_SIZE bytes, mapped twice, unless `once` */
    struct hira_reply *reply;
    struct hira_lane_far *far; /* NULL: both sides are processes of one kernel */
    bool once;  /* a machine's device memory cannot be mapped twice in a row: what reaches over the ring's end goes on at its beginning */
};

/* How long to spin before sleeping. In ticks of hira_ticks(). */
struct hira_spin {
    uint64_t limit, least, most; /* callee: the limit moves between the others by how soon records come */
    uint64_t brief;              /* see HIRA_SPIN_SHORT_NS */
    uint64_t soon;               /* callee: a wait up to this length is worth spinning for */
    uint64_t cost[2];            /* caller: what waits of late took that went on spinning, and that slept after `brief` */
    uint32_t turn;
};

struct hira_caller {
    struct hira_lane_map map;
    uint64_t head;      /* ring bytes published */
    uint64_t tail;      /* last tail seen */
    uint64_t sequence;  /* of the last record published */
    struct hira_spin spin;
    bool (*alive)(void *context); /* false: the peer is gone, give up. NULL: not asked, sleeps without an end */
    void *context;
    struct hira_record *scratch; /* where the ring is mapped once: records are made here, and put into it when they are published */
};

struct hira_callee {
    struct hira_lane_map map;
    uint64_t head;      /* ring bytes consumed */
    uint64_t sequence;  /* of the last record taken */
    uint32_t lines;     /* length of the record taken, until it is released */
    bool beside;        /* was woken on the caller's core: does not spin after this record */
    uint32_t quick, moves; /* such wakes after short sleeps, and moves to another core that followed */
    struct hira_spin spin;
    bool (*alive)(void *context);
    void *context;
};

/* Maps a lane's memory file (see hira_fd_shared_memory, size HIRA_LANE_SIZE; check it is sealed first). 0 or -errno.
 * The mapping is not inherited by fork. */
int hira_lane_map(struct hira_lane_map *map, int fd);

/* The same of HIRA_LANE_SIZE bytes of shared memory (page-aligned) that this process has mapped: maps them anew, the ring twice. */
int hira_lane_map_again(struct hira_lane_map *map, char *memory);

/* The same where they cannot be mapped again: nothing is mapped, and nothing to be unmapped. */
void hira_lane_map_once(struct hira_lane_map *map, char *memory);

void hira_lane_unmap(struct hira_lane_map *map);

/* Calibrates the tick once; cheap afterwards. Spins at least `least_ns`, at most `most_ns`. */
void hira_spin_init(struct hira_spin *spin, uint64_t least_ns, uint64_t most_ns);
/* The same for a lane between two kernels, where waking takes longer. */
void hira_spin_init_far(struct hira_spin *spin, uint64_t most_ns);

/* For who waits for a lane otherwise than below: spins up to the limit. True: test() holds. */
bool hira_spin(const struct hira_spin *spin, bool (*test)(void *context), void *context);
/* What a wait took in the end, in ticks: moves the limit. */
void hira_spin_learn(struct hira_spin *spin, uint64_t waited);

/* Wakes the sleeper of a sleep word if it waits for this. What was published before must be ordered by a full fence, or
 * the sleeper be sure to look again. */
static inline void hira_wake(const struct hira_lane_map *map, _Atomic uint32_t *sleeps, uint32_t wants)
{
    if (hira_likely(atomic_load_explicit(sleeps, memory_order_relaxed) != wants) ||
        !atomic_exchange_explicit(sleeps, HIRA_AWAKE, memory_order_acq_rel))
        return;
    if (map->far)
        map->far->wake(map->far);
    else
        hira_futex_wake(sleeps, 1);
}

/* The other side of a far lane says that a sleeper on this side is to look again: the one who sleeps on `sleeps`. */
void hira_lane_woken(struct hira_lane_map *map, _Atomic uint32_t *sleeps);

/* ---- caller ---- */

/* The slow halves, in lane.c. */
void hira_caller_wake(struct hira_caller *c);
int hira_caller_wait_room(struct hira_caller *c);
int hira_caller_wait_reply(struct hira_caller *c);
/* Sleeps until test() holds, which is asked again whenever the other side wakes who waits for a reply. 0 or -EPIPE. */
int hira_caller_sleep(struct hira_caller *c, bool (*test)(void *context), void *context);
/* Has records made in `scratch` (HIRA_RECORD_MAX + HIRA_LINE bytes), if the ring is mapped once. 0 or -ENOMEM. */
int hira_caller_init(struct hira_caller *c);
struct hira_record *hira_caller_put(struct hira_caller *c, const struct hira_record *record);

static inline struct hira_record *hira_caller_at(const struct hira_caller *c, uint64_t position)
{
    return (struct hira_record *)(c->map.ring + (position & (HIRA_RING_SIZE - 1)));
}

/* Room for a record of up to HIRA_RECORD_MAX bytes; NULL when the peer is gone. Nothing is published yet: forgetting the record
 * is free. */
static inline struct hira_record *hira_caller_reserve(struct hira_caller *c)
{
    const uint64_t need = HIRA_RECORD_MAX + HIRA_LINE;
    if (hira_unlikely(c->head + need - c->tail > HIRA_RING_SIZE)) {
        c->tail = atomic_load_explicit(&c->map.control->tail, memory_order_acquire);
        if (c->head + need - c->tail > HIRA_RING_SIZE && hira_caller_wait_room(c) < 0)
            return NULL;
    }
    return hira_unlikely(c->scratch != NULL) ? c->scratch : hira_caller_at(c, c->head);
}

/* The sequence that the record now being written will have. */
static inline uint64_t hira_caller_next_sequence(const struct hira_caller *c)
{
    return c->sequence + 1;
}

/* Publishes the reserved record; its `size` is set. Wakes the callee if it sleeps. */
static inline void hira_caller_publish(struct hira_caller *c, struct hira_record *record)
{
    uint64_t lines = (record->size + HIRA_LINE - 1) / HIRA_LINE;
    if (hira_unlikely(c->scratch != NULL))
        record = hira_caller_put(c, record);
    atomic_store_explicit(&hira_caller_at(c, c->head + lines * HIRA_LINE)->stamp, 0, memory_order_relaxed);
    c->head += lines * HIRA_LINE;
    c->sequence++;
    atomic_exchange_explicit(&record->stamp, c->sequence << 8 | lines, memory_order_seq_cst);
    if (hira_unlikely(atomic_load_explicit(&c->map.control->callee_sleeps, memory_order_relaxed) == HIRA_WANTS_RECORD))
        hira_caller_wake(c);
}

/* Waits for the reply to the record published last. 0 or -EPIPE. The reply is valid until the next publish. */
static inline int hira_caller_wait(struct hira_caller *c)
{
    for (int i = 0; i < HIRA_SPINS_UNTIMED; i++) {
        if (hira_likely(atomic_load_explicit(&c->map.reply->stamp, memory_order_acquire) == c->sequence))
            return 0;
        hira_relax();
    }
    return hira_caller_wait_reply(c);
}

/* ---- callee ---- */

int hira_callee_wait(struct hira_callee *c);

/* Takes the next record: copies it to `copy` (HIRA_RECORD_MAX bytes). Bytes copied; 0 when `wait` is false and there is none;
 * -EPIPE when the peer is gone, -EBADMSG when the ring holds what no honest caller writes. */
int hira_callee_next(struct hira_callee *c, struct hira_record *copy, bool wait);

/* A caller that found the ring full wants it half empty before it is woken: else it would be woken for every record. */
static inline void hira_callee_wake_for_room(struct hira_callee *c)
{
    struct hira_lane_control *control = c->map.control;
    if (hira_unlikely(atomic_load_explicit(&control->caller_sleeps, memory_order_relaxed) == HIRA_WANTS_ROOM) &&
        c->head >= atomic_load_explicit(&control->room_at, memory_order_relaxed))
        hira_wake(&c->map, &control->caller_sleeps, HIRA_WANTS_ROOM);
}

/* Gives the ring space of the record taken last back. */
static inline void hira_callee_release(struct hira_callee *c)
{
    c->head += (uint64_t)c->lines * HIRA_LINE;
    c->lines = 0;
    atomic_store_explicit(&c->map.control->tail, c->head, memory_order_release);
    hira_callee_wake_for_room(c);
}

/* Whether a record can be taken without waiting. */
static inline bool hira_callee_has_record(const struct hira_callee *c)
{
    const struct hira_record *next = (const struct hira_record *)(c->map.ring + (c->head & (HIRA_RING_SIZE - 1)));
    return atomic_load_explicit(&next->stamp, memory_order_acquire) != 0;
}

/* Says that the effects of all records up to this one, of those taken, are done. */
static inline void hira_callee_retire(struct hira_callee *c, uint64_t sequence)
{
    atomic_store_explicit(&c->map.control->retired, sequence, memory_order_release);
}

/* Publishes what was written to c->map.reply (words, status, flags) as the reply to the record taken last. */
static inline void hira_callee_reply(struct hira_callee *c, uint32_t size)
{
    struct hira_reply *reply = c->map.reply;
    reply->size = size;
    atomic_exchange_explicit(&reply->stamp, c->sequence, memory_order_seq_cst);
    hira_wake(&c->map, &c->map.control->caller_sleeps, HIRA_WANTS_REPLY);
}

#endif
