/* The arena: reserving, mapping, and the guest's allocator (first fit by address, neighbours joined: blocks live briefly
 * and in order, so the list stays short and the same warm pages are used again). See arena.h.
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0 */
#include "channel/arena.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/fd.h"
#include "channel/limits.h"

#define GRANULE 256u
#define SMALLEST_RESERVATION (64ull << 20)

struct hira_arena_range {
    struct hira_arena_range *next;
    uint64_t offset, size;
};

/* Where an arena had best lie: far from where the kernel maps for processes unasked, so that it is not in the way of
 * what the vendor shares with applications at equal addresses, and as random as this code's own address. The kernel
 * ignores a wish it cannot grant. */
static void *far_away(void)
{
    return (void *)(0x300000000000u + ((uintptr_t)&far_away & 0xfffffff000u));
}

int hira_arena_init(struct hira_arena *arena, uint64_t limit)
{
    *arena = (struct hira_arena){.lock = PTHREAD_MUTEX_INITIALIZER};
    for (;; limit /= 2) {
        void *base = mmap(far_away(), limit, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (base != MAP_FAILED) {
            madvise(base, limit, MADV_DONTFORK);
            arena->base = base;
            arena->reserved = limit;
            return 0;
        }
        if (limit / 2 < SMALLEST_RESERVATION)
            return -ENOMEM;
    }
}

void hira_arena_init_at(struct hira_arena *arena, char *base, uint64_t size)
{
    *arena = (struct hira_arena){.lock = PTHREAD_MUTEX_INITIALIZER, .base = base, .reserved = size, .in_region = true};
}

static void free_nodes(struct hira_arena_range *node)
{
    while (node) {
        struct hira_arena_range *next = node->next;
        free(node);
        node = next;
    }
}

void hira_arena_fini(struct hira_arena *arena)
{
    if (arena->base && !arena->in_region)
        munmap(arena->base, arena->reserved);
    free_nodes(arena->free);
    free_nodes(arena->spare);
    arena->base = NULL;
    arena->free = arena->spare = NULL;
}

int hira_arena_map(struct hira_arena *arena, int fd, uint64_t size)
{
    uint64_t committed = atomic_load_explicit(&arena->committed, memory_order_relaxed);
    if (size > arena->reserved - committed)
        return -ENOMEM;
    int error = hira_fd_check_sealed(fd, size);
    if (error)
        return error;
    void *at = arena->base + committed;
    if (mmap(at, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED)
        return -errno;
    madvise(at, size, MADV_DONTFORK);
    atomic_store_explicit(&arena->committed, committed + size, memory_order_release);
    return 0;
}

int hira_arena_extend(struct hira_arena *arena, uint64_t size)
{
    uint64_t committed = atomic_load_explicit(&arena->committed, memory_order_relaxed);
    if (!arena->in_region || size > arena->reserved - committed)
        return -ENOMEM;
    atomic_store_explicit(&arena->committed, committed + size, memory_order_release);
    return 0;
}

/* Puts a range back on the list and joins it with its neighbours. Lock held. Without memory for a node the range is lost
 * until exit, which is better than failing the caller. */
static void give_back(struct hira_arena *arena, uint64_t offset, uint64_t size)
{
    struct hira_arena_range *previous = NULL, *next = arena->free;
    while (next && next->offset < offset) {
        previous = next;
        next = next->next;
    }
    bool joins_previous = previous && previous->offset + previous->size == offset;
    bool joins_next = next && offset + size == next->offset;
    if (joins_previous) {
        previous->size += size;
        if (joins_next) {
            previous->size += next->size;
            previous->next = next->next;
            next->next = arena->spare;
            arena->spare = next;
        }
        return;
    }
    if (joins_next) {
        next->offset = offset;
        next->size += size;
        return;
    }
    struct hira_arena_range *node = arena->spare;
    if (node)
        arena->spare = node->next;
    else if (!(node = malloc(sizeof *node)))
        return;
    *node = (struct hira_arena_range){next, offset, size};
    *(previous ? &previous->next : &arena->free) = node;
}

/* Takes room for `size` bytes at `align` behind a head. Lock held. */
static uint64_t take(struct hira_arena *arena, uint64_t size, uint64_t align)
{
    for (struct hira_arena_range **link = &arena->free, *node; (node = *link); link = &node->next) {
        uint64_t data = HIRA_ALIGN_UP(node->offset + HIRA_CELL_BEFORE, align);
        uint64_t end = HIRA_ALIGN_UP(data + size, (uint64_t)GRANULE), limit = node->offset + node->size;
        if (end > limit)
            continue;
        struct hira_block *head = hira_arena_block(arena, data);
        head->offset = node->offset;
        head->size = end - node->offset;
        atomic_store_explicit(&head->cell, HIRA_CELL_PENDING, memory_order_relaxed);
        node->offset = end;
        node->size = limit - end;
        if (!node->size) {
            *link = node->next;
            node->next = arena->spare;
            arena->spare = node;
        }
        arena->used += head->size;
        arena->recent = HIRA_MAX(arena->recent, end);
        arena->peak = HIRA_MAX(arena->peak, arena->used);
        return data;
    }
    return HIRA_ARENA_NONE;
}

uint64_t hira_arena_alloc(struct hira_arena *arena, uint64_t size, uint64_t align)
{
    if (size > arena->reserved)
        return HIRA_ARENA_NONE;
    align = HIRA_MAX(align, (uint64_t)HIRA_CELL_BEFORE);
    pthread_mutex_lock(&arena->lock);
    uint64_t offset = take(arena, size, align);
    if (offset == HIRA_ARENA_NONE && arena->grow) {
        uint64_t before = atomic_load_explicit(&arena->committed, memory_order_relaxed);
        if (arena->grow(arena->context, arena, size + align + GRANULE) == 0) {
            uint64_t after = atomic_load_explicit(&arena->committed, memory_order_relaxed);
            give_back(arena, before, after - before);
            offset = take(arena, size, align);
        }
    }
    pthread_mutex_unlock(&arena->lock);
    return offset;
}

void hira_arena_free(struct hira_arena *arena, uint64_t offset)
{
    if (offset == HIRA_ARENA_NONE)
        return;
    struct hira_block *head = hira_arena_block(arena, offset);
    pthread_mutex_lock(&arena->lock);
    uint64_t end = head->offset + head->size;
    arena->used -= head->size;
    give_back(arena, head->offset, head->size);
    if (hira_unlikely(end > HIRA_ARENA_KEEP)) {
        arena->reach = HIRA_MAX(arena->reach, end);
        if (!atomic_load_explicit(&arena->stale, memory_order_relaxed)) {
            atomic_store_explicit(&arena->rested_at, hira_now_ns(), memory_order_relaxed);
            atomic_store_explicit(&arena->stale, true, memory_order_relaxed);
        }
    }
    pthread_mutex_unlock(&arena->lock);
}

/* Punches the last free pages between `floor` and `reach` out, a piece of them. False: there are none. Lock held. */
static bool punch(struct hira_arena *arena, uint64_t floor)
{
    const uint64_t page = 4096;
    uint64_t from = 0, to = 0;
    for (const struct hira_arena_range *r = arena->free; r; r = r->next) {
        uint64_t begin = HIRA_ALIGN_UP(HIRA_MAX(r->offset, floor), page), end = HIRA_MIN(r->offset + r->size, arena->reach) & ~(page - 1);
        if (begin < end) {
            from = begin;
            to = end;
        }
    }
    if (from == to)
        return false;
    from = to - from > HIRA_ARENA_PIECE ? to - HIRA_ARENA_PIECE : from;
    arena->reach = from;
    return madvise(arena->base + from, to - from, MADV_REMOVE) == 0;
}

/* What was taken since the last rest is likely to be taken again. Behind that, whatever is free goes. */
void hira_arena_rest_now(struct hira_arena *arena)
{
    uint64_t now = hira_now_ns();
    if (now - atomic_load_explicit(&arena->rested_at, memory_order_relaxed) < HIRA_ARENA_REST_NS)
        return;
    int saved = errno;
    pthread_mutex_lock(&arena->lock);
    uint64_t floor = HIRA_MAX(arena->recent, HIRA_ARENA_KEEP);
    if (!punch(arena, floor)) {
        arena->reach = HIRA_MIN(arena->reach, floor);
        arena->recent = 0;
        atomic_store_explicit(&arena->rested_at, now, memory_order_relaxed);
        atomic_store_explicit(&arena->stale, arena->reach > HIRA_ARENA_KEEP, memory_order_relaxed);
    }
    pthread_mutex_unlock(&arena->lock);
    errno = saved;
}
