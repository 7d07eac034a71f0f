/*
 * Memory that the vendor uses until a command has ended.
 *
 * Each such memory has an arena block with a completion word. The blocks of unfinished commands form a list; whoever
 * learns anything from the server (a reply, a callback) first fills the application's memory from all blocks whose word says
 * done. The server sets the words before it publishes what could tell the application so, hence nobody sees a command complete
 * before its data.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include "guest/internal.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static _Atomic uint64_t first = HIRA_ARENA_NONE;

enum { USER_TO, USER_SIZE, USER_ROWS };

/* An application that never asks for anything would fill the arena with finished commands: past this much the next call asks first.
 * What is then still unfinished is doubled for the next time, so that asking stays rare; up to a bound, so that the same warm pages
 * are used again. */
#define PENDING_MAX (64ull << 20)
#define PENDING_BOUND (256ull << 20)
static _Atomic uint64_t bytes, bound = PENDING_MAX;

bool hira_pending_too_much(void)
{
    return atomic_load_explicit(&bytes, memory_order_relaxed) > atomic_load_explicit(&bound, memory_order_relaxed);
}

uint64_t hira_pending_bytes(void)
{
    return atomic_load_explicit(&bytes, memory_order_relaxed);
}

void hira_pending_forget(void)
{
    pthread_mutex_init(&lock, NULL);
    atomic_store(&first, HIRA_ARENA_NONE);
    atomic_store(&bytes, 0);
}

void hira_rows_copy(const struct hira_rows *r, char *to, const char *from)
{
    for (uint64_t z = 0; z < r->slices; z++)
        for (uint64_t y = 0; y < r->rows; y++) {
            uint64_t at = r->offset + z * r->slice + y * r->row;
            memcpy(to + at, from + at, r->width);
        }
}

void hira_block_copy_out(uint64_t block, void *to, uint64_t size, bool by_rows)
{
    const char *from = hira_arena_at(&hira_connection.arena, block, size);
    if (by_rows)
        hira_rows_copy((const struct hira_rows *)(from + HIRA_ALIGN_UP(size, 8ul)), to, from);
    else
        memcpy(to, from, size);
}

void hira_pending_add(const struct hira_temp *temp)
{
    struct hira_block *b = hira_arena_block(&hira_connection.arena, temp->block);
    b->user[USER_TO] = (uint64_t)(uintptr_t)temp->to;
    b->user[USER_SIZE] = temp->size;
    b->user[USER_ROWS] = temp->rows;
    pthread_mutex_lock(&lock);
    b->next = atomic_load_explicit(&first, memory_order_relaxed);
    atomic_store_explicit(&first, temp->block, memory_order_release);
    atomic_fetch_add_explicit(&bytes, temp->size, memory_order_relaxed);
    pthread_mutex_unlock(&lock);
}

void hira_pending_drop(const void *at, uint64_t size)
{
    pthread_mutex_lock(&lock);
    uint64_t block = atomic_load_explicit(&first, memory_order_relaxed);
    while (block != HIRA_ARENA_NONE) {
        struct hira_block *b = hira_arena_block(&hira_connection.arena, block);
        if (b->user[USER_TO] - (uint64_t)(uintptr_t)at < size)
            b->user[USER_TO] = 0;
        block = b->next;
    }
    pthread_mutex_unlock(&lock);
}

void hira_pending_apply(void)
{
    struct hira_arena *arena = &hira_connection.arena;
    if (hira_likely(atomic_load_explicit(&first, memory_order_acquire) == HIRA_ARENA_NONE))
        return;
    pthread_mutex_lock(&lock);
    uint64_t previous = HIRA_ARENA_NONE, block = atomic_load_explicit(&first, memory_order_relaxed);
    while (block != HIRA_ARENA_NONE) {
        struct hira_block *b = hira_arena_block(arena, block);
        uint64_t next = b->next;
        uint32_t cell = atomic_load_explicit(&b->cell, memory_order_acquire);
        if (cell == HIRA_CELL_PENDING) {
            previous = block;
        } else {
            if (cell == HIRA_CELL_DONE && b->user[USER_TO])
                hira_block_copy_out(block, (void *)(uintptr_t)b->user[USER_TO], b->user[USER_SIZE], b->user[USER_ROWS]);
            if (previous == HIRA_ARENA_NONE)
                atomic_store_explicit(&first, next, memory_order_release);
            else
                hira_arena_block(arena, previous)->next = next;
            atomic_fetch_sub_explicit(&bytes, b->user[USER_SIZE], memory_order_relaxed);
            hira_arena_free(arena, block);
        }
        block = next;
    }
    uint64_t twice = 2 * atomic_load_explicit(&bytes, memory_order_relaxed);
    atomic_store_explicit(&bound, HIRA_MIN(HIRA_MAX(PENDING_MAX, twice), PENDING_BOUND), memory_order_relaxed);
    pthread_mutex_unlock(&lock);
}
