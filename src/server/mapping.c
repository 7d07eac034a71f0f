/*
 * Mapped memory: what the vendor has mapped for itself, and where the application looks at it.
 *
 * Where both see the same memory (the vendor works in the arena) nothing is copied. Else the region is copied to the
 * application's side when the map is done, before anything can tell it so, and back before the unmap is handed to the vendor. A map
 * that was not done when the application unmapped it cannot have been written to, and is not copied back.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include "server/internal.h"

struct hira_mapping {
    struct hira_mapping *next;
    uint64_t number, size;
    void *owner, *data, *at;
    struct hira_region region;
    bool fill, done;
    uint32_t references; /* the list's, and that of the command not yet done */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct hira_mapping *first;
static _Atomic uint32_t n_mappings;

bool hira_in_arena(const void *p)
{
    uint64_t offset;
    return hira_arena_offset(&hira_server.arena, p, 0, &offset);
}

/* Bytes from the first to behind the last of the application's layout. */
static uint64_t region_size(const struct hira_region *r)
{
    return r->rows && r->slices ? (r->slices - 1) * r->slice + (r->rows - 1) * r->row + r->width : 0;
}

static void copy_region(const struct hira_region *r, char *application, char *vendor, bool to_application)
{
    for (uint64_t z = 0; z < r->slices; z++)
        for (uint64_t y = 0; y < r->rows; y++) {
            char *a = application + z * r->slice + y * r->row, *v = vendor + z * r->vendor_slice + y * r->vendor_row;
            memcpy(to_application ? a : v, to_application ? v : a, r->width);
        }
}

static void unreference(struct hira_mapping *m)
{
    if (--m->references == 0) {
        atomic_fetch_sub_explicit(&n_mappings, 1, memory_order_relaxed);
        free(m);
    }
}

/* Lock held. */
static void fill(struct hira_mapping *m)
{
    if (m->fill && m->data && m->at && m->data != m->at)
        copy_region(&m->region, m->data, m->at, true);
    m->done = true;
}

void hira_mapping_add(struct hira_serve *s, uint64_t number, void *owner, void *data, void *at, const struct hira_region *region, bool wants_fill,
                      bool now)
{
    struct hira_mapping *m = calloc(1, sizeof *m);
    if (!m)
        hira_server_stop("out of memory");
    if (atomic_fetch_add_explicit(&n_mappings, 1, memory_order_relaxed) >= HIRA_MAPPINGS_MAX)
        hira_server_stop("it maps without end");
    *m = (struct hira_mapping){.number = number, .owner = owner, .data = data, .at = at, .region = *region, .fill = wants_fill,
                               .references = 1};
    m->region.row = region->row ? region->row : region->width;
    m->region.slice = region->slice ? region->slice : m->region.row * region->rows;
    m->region.vendor_row = region->vendor_row ? region->vendor_row : region->width;
    m->region.vendor_slice = region->vendor_slice ? region->vendor_slice : m->region.vendor_row * region->rows;
    m->size = region_size(&m->region);
    pthread_mutex_lock(&lock);
    m->next = first;
    first = m;
    if (now)
        fill(m);
    else
        m->references++;
    pthread_mutex_unlock(&lock);
    s->mapping = now ? NULL : m;
}

void hira_mapping_done(struct hira_mapping *m, bool well)
{
    if (!m)
        return;
    pthread_mutex_lock(&lock);
    if (well && m->references > 1)
        fill(m);
    unreference(m);
    pthread_mutex_unlock(&lock);
}

/* Lock held. */
static struct hira_mapping **find(uint64_t number, const void *owner)
{
    struct hira_mapping **link = &first;
    while (*link && ((*link)->number != number || (*link)->owner != owner))
        link = &(*link)->next;
    return link;
}

void *hira_mapping_flush(uint64_t number, void *owner, const void *data, uint64_t size)
{
    pthread_mutex_lock(&lock);
    struct hira_mapping *m = *find(number, owner);
    if (m && data && m->at && data != m->at && m->done && size == m->size)
        copy_region(&m->region, (char *)data, m->at, false);
    void *at = m ? m->at : NULL;
    pthread_mutex_unlock(&lock);
    return at;
}

void hira_mapping_remove(uint64_t number, void *owner)
{
    pthread_mutex_lock(&lock);
    struct hira_mapping **link = find(number, owner), *m = *link;
    if (m) {
        *link = m->next;
        unreference(m);
    }
    pthread_mutex_unlock(&lock);
}

void hira_mapping_forget(const void *owner)
{
    pthread_mutex_lock(&lock);
    for (struct hira_mapping **link = &first, *m; (m = *link);)
        if (m->owner == owner) {
            *link = m->next;
            unreference(m);
        } else {
            link = &m->next;
        }
    pthread_mutex_unlock(&lock);
}

/* ---- memory at equal addresses ---- */

static struct shared {
    struct shared *next;
    char *at, *base;
    uint64_t size;
} *all_shared;

void *hira_shared_add(void *base, uint64_t size)
{
    struct shared *made = base ? malloc(sizeof *made) : NULL;
    if (!made)
        return NULL;
    char *at = (char *)HIRA_ALIGN_UP((uintptr_t)base, 4096ul);
    pthread_mutex_lock(&lock);
    *made = (struct shared){all_shared, at, base, size};
    all_shared = made;
    pthread_mutex_unlock(&lock);
    return at;
}

/* Lock held. The link to the one in which so many bytes from there on lie. */
static struct shared **find_shared(const void *p, uint64_t size)
{
    struct shared **link = &all_shared;
    for (; *link; link = &(*link)->next) {
        uint64_t offset = (uint64_t)((uintptr_t)p - (uintptr_t)(*link)->at);
        if (offset <= (*link)->size && size <= (*link)->size - offset)
            break;
    }
    return link;
}

bool hira_shared_has(const void *p, uint64_t size)
{
    pthread_mutex_lock(&lock);
    bool found = *find_shared(p, size) != NULL;
    pthread_mutex_unlock(&lock);
    return found;
}

void *hira_shared_take(const void *at, uint64_t *ret_size)
{
    pthread_mutex_lock(&lock);
    struct shared **link = find_shared(at, 0), *found = *link && (*link)->at == at ? *link : NULL;
    if (found)
        *link = found->next;
    pthread_mutex_unlock(&lock);
    void *base = found ? found->base : NULL;
    if (found && ret_size)
        *ret_size = found->size;
    free(found);
    return base;
}

static pthread_mutex_t state_lock = PTHREAD_MUTEX_INITIALIZER;

void hira_server_lock(void)
{
    pthread_mutex_lock(&state_lock);
}

void hira_server_unlock(void)
{
    pthread_mutex_unlock(&state_lock);
}
