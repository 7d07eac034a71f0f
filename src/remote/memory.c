/* The arena's contents on their way to the other host. See lanes.h.
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>

#include "remote/lanes.h"

struct relay_block {
    struct relay_block *next;
    uint64_t offset, size; /* size 0: the command only reads it */
};

bool relay_memory_valid(const struct relay_memory *m, const struct hira_record_memory *memory)
{
    uint64_t size = HIRA_MEMORY_SIZE(memory->size_and_how), offset = memory->offset;
    if (!hira_arena_at(&m->arena, offset, size))
        return false;
    return !(memory->size_and_how & HIRA_MEMORY_CELL) || (offset >= HIRA_CELL_BEFORE && offset % HIRA_CELL_BEFORE == 0);
}

void relay_memory_send(struct relay_memory *m, uint64_t offset, uint64_t size)
{
    char *at = hira_arena_at(&m->arena, offset, size);
    HIRA_AUTOFREE char *scratch = size >= RELAY_PACK_LEAST ? malloc(HIRA_MIN(size, (uint64_t)RELAY_PIECE)) : NULL;
    for (uint64_t piece; at && size; at += piece, offset += piece, size -= piece) {
        piece = HIRA_MIN(size, (uint64_t)RELAY_PIECE);
        relay_link_send_data(m->link, offset, at, piece, scratch, size > piece ? 0 : RELAY_MORE);
    }
}

/* A block that is used anew is not used as before any more. */
bool relay_memory_watch(struct relay_memory *m, const struct hira_record_memory *memory)
{
    struct relay_block *b = malloc(sizeof *b);
    uint64_t size = memory->size_and_how & HIRA_MEMORY_OUT ? HIRA_MEMORY_SIZE(memory->size_and_how) : 0;
    if (!b || atomic_load_explicit(&m->n_blocks, memory_order_relaxed) >= RELAY_PENDING_MAX) {
        free(b);
        return false;
    }
    atomic_store_explicit(hira_arena_cell(&m->arena, memory->offset), HIRA_CELL_PENDING, memory_order_relaxed);
    pthread_mutex_lock(&m->lock);
    *b = (struct relay_block){m->blocks, memory->offset, size};
    m->blocks = b;
    atomic_fetch_add_explicit(&m->n_blocks, 1, memory_order_release);
    pthread_mutex_unlock(&m->lock);
    return true;
}

/* Takes the blocks off the list whose commands have ended. */
static struct relay_block *take_ended(struct relay_memory *m)
{
    struct relay_block *ended = NULL;
    pthread_mutex_lock(&m->lock);
    for (struct relay_block **link = &m->blocks, *b; (b = *link);) {
        if (atomic_load_explicit(hira_arena_cell(&m->arena, b->offset), memory_order_acquire) == HIRA_CELL_PENDING) {
            link = &b->next;
            continue;
        }
        *link = b->next;
        b->next = ended;
        ended = b;
        atomic_fetch_sub_explicit(&m->n_blocks, 1, memory_order_relaxed);
    }
    pthread_mutex_unlock(&m->lock);
    return ended;
}

void relay_memory_settle(struct relay_memory *m)
{
    pthread_mutex_lock(&m->settling); /* also where there is nothing: another thread may be about to send it */
    struct relay_block *b = atomic_load_explicit(&m->n_blocks, memory_order_acquire) ? take_ended(m) : NULL;
    while (b) {
        struct relay_block *next = b->next;
        bool done = atomic_load_explicit(hira_arena_cell(&m->arena, b->offset), memory_order_acquire) == HIRA_CELL_DONE;
        if (done)
            relay_memory_send(m, b->offset, b->size);
        relay_link_send(m->link, RELAY_CELL, done ? HIRA_CELL_DONE : HIRA_CELL_FAILED, b->offset, NULL, 0, RELAY_MORE);
        free(b);
        b = next;
    }
    pthread_mutex_unlock(&m->settling);
}

int relay_memory_mark(struct relay_memory *m, uint64_t offset, uint32_t value)
{
    const struct hira_record_memory memory = {offset, HIRA_MEMORY_CELL};
    if (!relay_memory_valid(m, &memory) || (value != HIRA_CELL_DONE && value != HIRA_CELL_FAILED))
        return -EBADMSG;
    atomic_store_explicit(hira_arena_cell(&m->arena, offset), value, memory_order_release);
    return 0;
}
