/*
 * Memory and a lock for the spec's guest code.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include <signal.h>
#include <sys/mman.h>

#include "guest/internal.h"

static pthread_mutex_t state_lock = PTHREAD_MUTEX_INITIALIZER;

void hira_state_forget(void)
{
    pthread_mutex_init(&state_lock, NULL);
}

void hira_state_lock(void)
{
    pthread_mutex_lock(&state_lock);
}

void hira_state_unlock(void)
{
    pthread_mutex_unlock(&state_lock);
}

void *hira_arena_get(uint64_t size)
{
    struct hira_arena *arena = &hira_connection.arena;
    uint64_t offset = hira_connect() ? hira_arena_alloc(arena, size, 4096) : HIRA_ARENA_NONE;
    return offset == HIRA_ARENA_NONE ? NULL : hira_arena_at(arena, offset, size);
}

bool hira_in_arena(const void *p, uint64_t size)
{
    uint64_t offset;
    return !hira_connection.remote && hira_arena_offset(&hira_connection.arena, p, size, &offset);
}

/* The server may still read what the last asynchronous record of this thread named: the block is lent to that record. */
void hira_arena_put(void *p)
{
    uint64_t offset;
    struct hira_guest_lane *lane = p ? hira_lane() : NULL;
    if (!p || !hira_arena_offset(&hira_connection.arena, p, 0, &offset))
        return;
    if (lane)
        hira_lend(lane, offset, lane->caller.sequence);
    else
        hira_arena_free(&hira_connection.arena, offset);
}

static size_t whole_pages(uint64_t size)
{
    return HIRA_ALIGN_UP(size ? size : 1, 4096ul);
}

bool hira_map_pages_at(void *address, uint64_t size)
{
    void *got = mmap(address, whole_pages(size), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    if (got != MAP_FAILED && got != address) /* kernels before 4.17 take the address as a hint */
        munmap(got, whole_pages(size));
    return got == address;
}

void hira_unmap_pages_at(void *address, uint64_t size)
{
    hira_pending_drop(address, whole_pages(size));
    munmap(address, whole_pages(size));
}

int hira_thread_start(void *(*run)(void *context), void *context)
{
    pthread_t thread;
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int error = pthread_create(&thread, NULL, run, context);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (!error)
        pthread_detach(thread);
    return error;
}
