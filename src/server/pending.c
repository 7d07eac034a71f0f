/*
 * Commands that go on after their call has returned, and the memory they use.
 *
 * Each holds a reference of the vendor's to the handle whose end it waits for, the call's private memory, and the
 * completion words of the guest's blocks. Before anything is published that could tell the application that a command has
 * ended, all of them are asked; so the words are set, and what the vendor printed is collected, before the guest can look.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include "server/internal.h"

struct pending {
    struct pending *next;
    void *vendor;
    const struct hira_server_type *type;
    struct hira_memory *memory;
    struct hira_mapping *mapping;
    uint64_t n_cells;
    uint64_t cells[];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct pending *_Atomic first;

static void mark(const uint64_t *cells, uint64_t n, uint32_t value)
{
    for (uint64_t i = 0; i < n; i++)
        atomic_store_explicit(hira_arena_cell(&hira_server.arena, cells[i]), value, memory_order_release);
}

void hira_pending_fail(const uint64_t *cells, uint64_t n_cells)
{
    mark(cells, n_cells, HIRA_CELL_FAILED);
}

void hira_pending_add(void *vendor, unsigned type, const uint64_t *cells, uint64_t n_cells, struct hira_memory *memory,
                      struct hira_mapping *mapping)
{
    struct pending *p = malloc(sizeof *p + n_cells * sizeof *cells);
    if (!p)
        hira_server_stop("out of memory");
    *p = (struct pending){NULL, vendor, &hira_server_api.types[type], memory, mapping, n_cells};
    if (n_cells)
        memcpy(p->cells, cells, n_cells * sizeof *cells);
    pthread_mutex_lock(&lock);
    p->next = atomic_load_explicit(&first, memory_order_relaxed);
    atomic_store_explicit(&first, p, memory_order_release);
    pthread_mutex_unlock(&lock);
}

/* True when the command has ended and everything of it was settled. */
static bool settle(struct pending *p)
{
    int done = p->type->done ? p->type->done(p->vendor) : 1;
    if (!done)
        return false;
    hira_mapping_done(p->mapping, done > 0);
    mark(p->cells, p->n_cells, done > 0 ? HIRA_CELL_DONE : HIRA_CELL_FAILED);
    return true;
}

static void finish(struct pending *list)
{
    while (list) {
        struct pending *next = list->next;
        hira_memory_free(list->memory);
        if (list->type->release)
            list->type->release(list->vendor);
        free(list);
        list = next;
    }
}

void hira_pending_poll(void)
{
    if (hira_likely(!atomic_load_explicit(&first, memory_order_acquire)))
        return;
    struct pending *ended = NULL;
    pthread_mutex_lock(&lock);
    struct pending *list = atomic_load_explicit(&first, memory_order_relaxed), *kept = NULL, **tail = &kept;
    while (list) {
        struct pending *p = list;
        list = p->next;
        if (settle(p)) {
            p->next = ended;
            ended = p;
        } else {
            *tail = p;
            tail = &p->next;
        }
    }
    *tail = NULL;
    atomic_store_explicit(&first, kept, memory_order_release);
    pthread_mutex_unlock(&lock);
    finish(ended); /* outside of the lock: a release may call back */
}
