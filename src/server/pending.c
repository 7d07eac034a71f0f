/*
 * Commands that go on after their call has returned, and the memory they use.
 *
 * Each holds a reference of the vendor's to the handle whose end it waits for, the call's private memory, and the
 * completion words of the guest's blocks. Before anything is published that could tell the application that a command has
 * ended, all of them are asked; so the words are set, and what the vendor printed is collected, before the guest can look.
 *
 * The vendor is asked without the lock held, for it may call back from there, or wait for a thread of its own that does. So each
 * thread that wants to know asks for itself and waits for no other; a command that several ask about is visited by each of them, is
 * settled by the first that learns of its end, and is taken off the list by the last that leaves it.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include "base/list.h"
#include "server/internal.h"

struct pending {
    struct hira_list node;
    void *vendor;
    const struct hira_server_type *type;
    struct hira_memory *memory;
    struct hira_mapping *mapping;
    uint32_t visitors;
    bool settled;
    uint64_t n_cells;
    uint64_t cells[];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* the list, visitors, settled */
static struct hira_list all = HIRA_LIST_INIT(all);
static _Atomic uint32_t n_all;

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
    *p = (struct pending){.vendor = vendor, .type = &hira_server_api.types[type], .memory = memory, .mapping = mapping, .n_cells = n_cells};
    if (n_cells)
        memcpy(p->cells, cells, n_cells * sizeof *cells);
    pthread_mutex_lock(&lock);
    hira_list_append(all.next, &p->node); /* in front: whoever is under way does not come by, and so comes to an end */
    atomic_fetch_add_explicit(&n_all, 1, memory_order_release);
    pthread_mutex_unlock(&lock);
}

/* 0 while the command runs. No lock held. */
static int ask(const struct pending *p)
{
    return p->type->done ? p->type->done(p->vendor) : 1;
}

static void settle(struct pending *p, bool well)
{
    hira_mapping_done(p->mapping, well);
    mark(p->cells, p->n_cells, well ? HIRA_CELL_DONE : HIRA_CELL_FAILED);
    p->settled = true;
}

/* Leaves a command for the next one. When it is settled and nobody is there any more it goes to `ended`. Lock held. */
static struct pending *step(struct pending *p, struct hira_list **ended)
{
    struct hira_list *next = p->node.next;
    if (--p->visitors == 0 && p->settled) {
        hira_list_remove(&p->node);
        atomic_fetch_sub_explicit(&n_all, 1, memory_order_relaxed);
        p->node.next = *ended;
        *ended = &p->node;
    }
    return next == &all ? NULL : hira_list_entry(next, struct pending, node);
}

/* No lock held: a release may call back. */
static void finish(struct hira_list *ended)
{
    while (ended) {
        struct pending *p = hira_list_entry(ended, struct pending, node);
        ended = ended->next;
        hira_memory_free(p->memory);
        if (p->type->release)
            p->type->release(p->vendor);
        free(p);
    }
}

void hira_pending_poll(void)
{
    if (hira_likely(!atomic_load_explicit(&n_all, memory_order_acquire)))
        return;
    struct hira_list *ended = NULL;
    pthread_mutex_lock(&lock);
    struct pending *p = hira_list_empty(&all) ? NULL : hira_list_entry(all.next, struct pending, node);
    while (p) {
        p->visitors++;
        if (!p->settled) {
            pthread_mutex_unlock(&lock);
            int done = ask(p);
            pthread_mutex_lock(&lock);
            if (done && !p->settled)
                settle(p, done > 0);
        }
        p = step(p, &ended);
    }
    pthread_mutex_unlock(&lock);
    finish(ended);
}
