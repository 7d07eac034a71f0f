/*
 * Mapped memory: where the application looks at objects' contents, and allocations that have one address on both sides. How the contents
 * come there is the server's part: server/mapping.c.
 *
 * Everything here is under one lock, the one for objects' states; nothing waits while it is held.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include "guest/internal.h"

/* ---- an object's memory ---- */

void hira_host_set(struct hira_host *host, void *at, uint64_t size, bool ours)
{
    host->at = at;
    host->size = ours ? size : UINT64_MAX;
    host->ours = ours && at;
}

void hira_host_part(struct hira_host *host, struct hira_host *whole, uint64_t origin)
{
    host->whole = whole;
    host->origin = origin;
}

/* The one whose memory it is, and how far into that it begins. */
static const struct hira_host *owner_of(const struct hira_host *host, uint64_t *offset)
{
    for (; host && host->whole; host = host->whole)
        *offset += host->origin;
    return host;
}

bool hira_host_lacks(const struct hira_host *host)
{
    uint64_t offset = 0;
    const struct hira_host *owner = owner_of(host, &offset);
    return owner && !owner->at;
}

void hira_host_reserve(struct hira_host *host, uint64_t size)
{
    uint64_t offset = 0;
    struct hira_host *owner = (struct hira_host *)owner_of(host, &offset);
    char *block = owner ? hira_arena_get(size) : NULL;
    if (!block)
        return;
    hira_state_lock();
    if (!owner->at) {
        hira_host_set(owner, block, size, true);
        block = NULL;
    }
    hira_state_unlock();
    hira_arena_put(block);
}

void *hira_host_address(const struct hira_host *host)
{
    uint64_t offset = 0;
    const struct hira_host *owner = owner_of(host, &offset);
    return owner && owner->at && !owner->ours ? owner->at + offset : NULL;
}

/* ---- maps ---- */

static uint64_t next_number(void)
{
    static _Atomic uint64_t last;
    return atomic_fetch_add_explicit(&last, 1, memory_order_relaxed) + 1;
}

struct hira_map *hira_map_begin_at(void *at, uint64_t size, bool written)
{
    struct hira_map *map = malloc(sizeof *map);
    if (map)
        *map = (struct hira_map){.at = at, .size = size, .number = next_number(), .written = written};
    return map;
}

struct hira_map *hira_map_begin(struct hira_host *host, uint64_t offset, uint64_t size, bool written)
{
    uint64_t from = offset;
    const struct hira_host *owner = owner_of(host, &from);
    struct hira_map *map = owner && size < HIRA_REGION_MAX ? hira_map_begin_at(NULL, size, written) : NULL;
    if (!map)
        return NULL;
    if (owner->at && from <= owner->size && size <= owner->size - from) {
        map->at = owner->at + from;
        return map;
    }
    map->at = hira_arena_get(size);
    map->ours = true;
    if (map->at)
        return map;
    free(map);
    return NULL;
}

static void drop(struct hira_map *map)
{
    if (map && map->ours)
        hira_arena_put(map->at);
    free(map);
}

static void add(struct hira_host *host, struct hira_map *map)
{
    hira_state_lock();
    map->next = host->maps;
    host->maps = map;
    hira_state_unlock();
}

void *hira_map_end(struct hira_host *host, struct hira_map *map, bool ok)
{
    if (!map)
        return NULL;
    if (!ok) {
        drop(map);
        return NULL;
    }
    void *at = map->at; /* another thread may end the map as soon as it is there */
    add(host, map);
    return at;
}

struct hira_map *hira_map_take(struct hira_host *host, const void *at)
{
    struct hira_map *found = NULL;
    if (!host)
        return NULL;
    hira_state_lock();
    struct hira_map **link = &host->maps;
    while (*link && (*link)->at != at)
        link = &(*link)->next;
    if ((found = *link))
        *link = found->next;
    hira_state_unlock();
    return found;
}

void hira_map_put(struct hira_host *host, struct hira_map *map, bool ended)
{
    if (ended)
        drop(map);
    else if (map)
        add(host, map);
}

void hira_host_fini(struct hira_host *host)
{
    while (host->maps) {
        struct hira_map *map = host->maps;
        host->maps = map->next;
        drop(map);
    }
    if (host->ours)
        hira_arena_put(host->at);
}

/* ---- memory at equal addresses ---- */

static struct shared {
    struct shared *next;
    char *at;
    uint64_t size;
} *all_shared;

bool hira_shared_add(void *at, uint64_t size)
{
    struct shared *made = malloc(sizeof *made);
    if (!made || !hira_map_pages_at(at, size)) {
        free(made);
        return false;
    }
    hira_state_lock();
    *made = (struct shared){all_shared, at, size};
    all_shared = made;
    hira_state_unlock();
    return true;
}

bool hira_shared_has(const void *p)
{
    hira_state_lock();
    const struct shared *a = all_shared;
    while (a && (uint64_t)((uintptr_t)p - (uintptr_t)a->at) >= a->size)
        a = a->next;
    hira_state_unlock();
    return a != NULL;
}

void hira_shared_forget(const void *at)
{
    hira_state_lock();
    struct shared **link = &all_shared, *found;
    while (*link && (*link)->at != at)
        link = &(*link)->next;
    if ((found = *link)) {
        *link = found->next;
        hira_unmap_pages_at(found->at, found->size);
    }
    hira_state_unlock();
    free(found);
}
