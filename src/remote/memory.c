/* The arena's contents on their way to the other host. See lanes.h.
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "channel/stream.h"
#include "remote/lanes.h"

#define FLOW_WAKES (1u << 20) /* bytes after which who copies them is woken: a wake-up costs as much as copying a tenth of that */

struct relay_block {
    struct relay_block *next;
    uint64_t offset, size; /* size 0: the command only reads it */
};

struct relay_flow {
    struct relay_flow *next;
    const struct hira_lane_map *map; /* of the lane whose caller takes it */
    uint64_t offset, size, come;
};

bool relay_memory_valid(const struct relay_memory *m, const struct hira_record_memory *memory)
{
    uint64_t size = HIRA_MEMORY_SIZE(memory->size_and_how), offset = memory->offset;
    if (!hira_arena_at(&m->arena, offset, size))
        return false;
    if (memory->size_and_how & HIRA_MEMORY_FLOWS && size < HIRA_STREAM_LEAST)
        return false;
    return !(memory->size_and_how & (HIRA_MEMORY_CELL | HIRA_MEMORY_FLOWS)) || (offset >= HIRA_CELL_BEFORE && offset % HIRA_CELL_BEFORE == 0);
}

/* What counts the bytes of a block that are there. The guest's, who may write anything. */
static _Atomic uint64_t *flow_of(const struct relay_memory *m, uint64_t offset)
{
    return &hira_arena_block(&m->arena, offset)->flow;
}

/* A guest that never goes on keeps nobody but this thread, which is its own, and looks ever more seldom. What was sent before does not
 * wait for it. */
static void wait_filled(struct relay_memory *m, const _Atomic uint64_t *flow, uint64_t end)
{
    for (unsigned n = 0, us = 0; atomic_load_explicit(flow, memory_order_acquire) < end; n++) {
        if (n < 200) {
            hira_relax();
            continue;
        }
        if (n == 200)
            relay_link_flush(m->link);
        us = HIRA_MIN(us + 10, 5000u);
        usleep(us);
    }
}

/* `flow`: NULL where all is there. `how`: of the last piece. */
static void send_pieces(struct relay_memory *m, uint64_t offset, uint64_t size, const _Atomic uint64_t *flow, unsigned how)
{
    char *at = hira_arena_at(&m->arena, offset, size);
    uint64_t filled = 0;
    HIRA_AUTOFREE char *scratch = size >= RELAY_PACK_LEAST ? malloc(HIRA_MIN(size, (uint64_t)RELAY_PIECE)) : NULL;
    for (uint64_t piece; at && size; at += piece, offset += piece, size -= piece) {
        piece = HIRA_MIN(size, (uint64_t)RELAY_PIECE);
        if (flow)
            wait_filled(m, flow, filled += piece);
        relay_link_send_data(m->link, offset, at, piece, scratch, size > piece ? 0 : how);
    }
}

void relay_memory_send(struct relay_memory *m, uint64_t offset, uint64_t size, unsigned how)
{
    send_pieces(m, offset, size, NULL, how);
}

void relay_memory_send_flow(struct relay_memory *m, uint64_t offset, uint64_t size)
{
    send_pieces(m, offset, size, flow_of(m, offset), RELAY_MORE);
}

/* ---- what comes behind a reply ---- */

bool relay_outs_push(struct relay_outs **outs, const struct hira_record_memory *memories, int n)
{
    struct relay_outs *o = malloc(sizeof *o + (size_t)n * sizeof *memories);
    unsigned depth = *outs ? (*outs)->depth + 1 : 0;
    if (!o || depth > 2 * HIRA_CALLBACK_DEPTH_MAX) {
        free(o);
        return false;
    }
    *o = (struct relay_outs){.next = *outs, .depth = depth};
    for (int i = 0; i < n; i++)
        if ((memories[i].size_and_how & (HIRA_MEMORY_OUT | HIRA_MEMORY_CELL)) == HIRA_MEMORY_OUT)
            o->memories[o->n++] = memories[i];
    *outs = o;
    return true;
}

struct relay_outs *relay_outs_pop(struct relay_outs **outs, uint16_t status)
{
    struct relay_outs *o = status == HIRA_REPLY_CALLBACK ? NULL : *outs;
    if (o)
        *outs = o->next;
    return o;
}

bool relay_memory_expect(struct relay_memory *m, const struct hira_record_memory *memory, const struct hira_lane_map *map)
{
    struct relay_flow *f = malloc(sizeof *f);
    if (!f)
        return false;
    pthread_mutex_lock(&m->lock);
    *f = (struct relay_flow){m->flows, map, memory->offset, HIRA_MEMORY_SIZE(memory->size_and_how), 0};
    m->flows = f;
    atomic_fetch_add_explicit(&m->n_flows, 1, memory_order_relaxed);
    pthread_mutex_unlock(&m->lock);
    return true;
}

void relay_memory_arrived(struct relay_memory *m, uint64_t offset, uint64_t size)
{
    if (!atomic_load_explicit(&m->n_flows, memory_order_relaxed)) /* only this thread adds to them */
        return;
    pthread_mutex_lock(&m->lock);
    for (struct relay_flow **link = &m->flows, *f; (f = *link); link = &f->next) {
        if (offset != f->offset + f->come || size > f->size - f->come)
            continue;
        f->come += size;
        atomic_exchange_explicit(flow_of(m, f->offset), f->come, memory_order_seq_cst); /* before the sleep word is looked at */
        if (f->come == f->size || f->come % FLOW_WAKES < size)
            hira_wake(f->map, &f->map->control->caller_sleeps, HIRA_WANTS_REPLY);
        if (f->come == f->size) {
            *link = f->next;
            free(f);
            atomic_fetch_sub_explicit(&m->n_flows, 1, memory_order_relaxed);
        }
        break;
    }
    pthread_mutex_unlock(&m->lock);
}

/* ---- what commands use ---- */

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
            relay_memory_send(m, b->offset, b->size, RELAY_MORE);
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
