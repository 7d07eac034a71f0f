/*
 * The arena: memory that guest and server share for bulk data.
 *
 * Both sides reserve one range of addresses of the agreed limit; segments (sealed memory files made by the server) are
 * mapped into it one behind the other. So an arena offset is a pointer by one addition, a pointer of the application lies in
 * the arena by one comparison, and the server's whole check of a guest's (offset, length) is against `committed`.
 *
 * Which blocks are in use is the guest's own affair (hira_arena_alloc); the server only ever checks bounds.
 *
 * Segments stay mapped, but the pages of what has not been used for a while go back to the system, on both sides: the guest punches
 * them out of the memory files, which sealing against shrinking does not forbid. They come back, zeroed, when they are touched.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#ifndef HIRA_CHANNEL_ARENA_H
#define HIRA_CHANNEL_ARENA_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/util.h"

#define HIRA_ARENA_NONE UINT64_MAX

struct hira_arena_range; /* a free range */

struct hira_arena {
    char *base;
    uint64_t reserved;              /* bytes of address space */
    bool in_region;                 /* the addresses are somebody else's, and memory lies there */
    _Atomic uint64_t committed;     /* bytes mapped, from base; grows only */
    /* The guest's allocator; unused in the server. */
    pthread_mutex_t lock;
    struct hira_arena_range *free;  /* by address */
    struct hira_arena_range *spare; /* nodes to use again */
    uint64_t used, peak;
    uint64_t reach;                 /* no page behind this is to be given back */
    uint64_t recent;                /* end of the last block taken since `rested_at` */
    _Atomic uint64_t rested_at;     /* nanoseconds */
    _Atomic bool stale;             /* there may be pages to be given back */
    /* Asks the host for a segment of at least `size` bytes and maps it with hira_arena_map(). 0 or -errno. Called with
     * the lock held. NULL: no growth. */
    int (*grow)(void *context, struct hira_arena *arena, uint64_t size);
    void *context;
};

/* Reserves up to `limit` bytes of addresses (halving it where the process may not have so many). 0 or -ENOMEM. */
int hira_arena_init(struct hira_arena *arena, uint64_t limit);
void hira_arena_fini(struct hira_arena *arena);

/* The same of `size` bytes of shared memory that is mapped already: a part of a region. Nothing of it is committed yet. The mapping
 * stays the caller's. */
void hira_arena_init_at(struct hira_arena *arena, char *base, uint64_t size);

/* Maps a sealed memory file of `size` bytes (page multiple) behind what is committed. Callers serialize. 0 or -errno. */
int hira_arena_map(struct hira_arena *arena, int fd, uint64_t size);

/* Commits so many bytes more of a region. As above. */
int hira_arena_extend(struct hira_arena *arena, uint64_t size);

/* The address of `size` bytes at `offset`, or NULL if they do not lie in the committed part. Any thread. */
static inline void *hira_arena_at(const struct hira_arena *arena, uint64_t offset, uint64_t size)
{
    uint64_t committed = atomic_load_explicit(&arena->committed, memory_order_acquire);
    if (offset > committed || size > committed - offset)
        return NULL;
    return arena->base + offset;
}

/* Whether `size` bytes at `p` lie in the arena, and at which offset. Any thread. */
static inline bool hira_arena_offset(const struct hira_arena *arena, const void *p, uint64_t size, uint64_t *ret_offset)
{
    uint64_t offset = (uint64_t)((uintptr_t)p - (uintptr_t)arena->base);
    uint64_t committed = atomic_load_explicit(&arena->committed, memory_order_relaxed);
    if (offset >= committed || size > committed - offset)
        return false;
    *ret_offset = offset;
    return true;
}

/* Guest: a block of `size` bytes at a multiple of `align` (a power of two, at most the page size). Offset of its first byte, or
 * HIRA_ARENA_NONE when the limit is reached. Before the block stands a word for its completion, see below. Any thread. */
uint64_t hira_arena_alloc(struct hira_arena *arena, uint64_t size, uint64_t align);
void hira_arena_free(struct hira_arena *arena, uint64_t offset); /* HIRA_ARENA_NONE allowed */

/* Guest: gives pages back that have lain free for a while, at most HIRA_ARENA_PIECE of them. To be called now and then; costs next to
 * nothing while there are none. Any thread. */
void hira_arena_rest_now(struct hira_arena *arena);

static inline void hira_arena_rest(struct hira_arena *arena)
{
    if (hira_unlikely(atomic_load_explicit(&arena->stale, memory_order_relaxed)))
        hira_arena_rest_now(arena);
}

/* The completion word of an allocated block: the server stores HIRA_CELL_* when the command that uses the block has ended. */
enum { HIRA_CELL_PENDING, HIRA_CELL_DONE, HIRA_CELL_FAILED };
#define HIRA_CELL_BEFORE 64u /* the word stands so many bytes before the block */

/* Room that the guest's owner of an allocated block may use for its own lists: no list of blocks ever needs the heap. */
struct hira_block {
    _Atomic uint32_t cell;
    uint32_t reserved;
    uint64_t offset, size;   /* the allocator's */
    uint64_t next;           /* offset of another block, or HIRA_ARENA_NONE */
    uint64_t user[3];
    _Atomic uint64_t flow;   /* so many bytes of it are there: between a guest and a relay, see HIRA_MEMORY_FLOWS */
};
_Static_assert(sizeof(struct hira_block) <= HIRA_CELL_BEFORE, "stands before the block");

static inline struct hira_block *hira_arena_block(const struct hira_arena *arena, uint64_t offset)
{
    return (struct hira_block *)(arena->base + offset - HIRA_CELL_BEFORE);
}

static inline _Atomic uint32_t *hira_arena_cell(const struct hira_arena *arena, uint64_t offset)
{
    return (_Atomic uint32_t *)(arena->base + offset - HIRA_CELL_BEFORE);
}

#endif
