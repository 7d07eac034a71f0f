/*
 * The server's object tables: ids to the vendor's handles and back.
 *
 * One table for ids that the guest named, one for those named here; both dense, in chunks that are never moved, so that a
 * look-up takes no lock. An id is good when its slot holds exactly it (index, generation, type). A call that uses an object
 * pins it; a release drops the guest's own pin, and whoever drops the last gives the vendor's references back. So no
 * order of messages makes the vendor see a handle that it has been told to forget.
 *
 * A guest uses an index again as soon as it has released the object, though a long call of another thread may still use that: the new
 * object goes into another slot behind the same index. Slots so added stay, empty, for the next time: what a look-up walks over is
 * never freed. There are at most as many as calls that were in progress at once.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include "server/internal.h"

#define CHUNK 1024u
#define CHUNKS (HIRA_OBJECTS_MAX / CHUNK)
#define BUCKETS 4096u

/* Set in the id of a slot whose guest has released it while calls still use it. No name that a guest may give has it: what is
 * released cannot be pinned, found or released again. */
#define RELEASED (1ull << 48)

struct table {
    struct hira_slot *_Atomic chunks[CHUNKS];
};

static struct table tables[2]; /* named by the guest, by the server */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* buckets, chunks, server-named indices */
static struct hira_slot *buckets[BUCKETS];
static uint32_t server_fresh = 1;
static uint32_t *server_free, n_server_free, server_free_capacity;

static bool well_formed(uint64_t id)
{
    return id == HIRA_ID(HIRA_ID_INDEX(id), HIRA_ID_GENERATION(id), HIRA_ID_TYPE(id));
}

static struct hira_slot *slot_at(uint32_t id_index)
{
    struct table *table = &tables[!!(id_index & HIRA_ID_SERVER)];
    uint32_t index = id_index & ~HIRA_ID_SERVER;
    if (index >= HIRA_OBJECTS_MAX)
        return NULL;
    struct hira_slot *chunk = atomic_load_explicit(&table->chunks[index / CHUNK], memory_order_acquire);
    return chunk ? &chunk[index % CHUNK] : NULL;
}

/* The same, made if need be. Lock held. */
static struct hira_slot *slot_make(uint32_t id_index)
{
    struct table *table = &tables[!!(id_index & HIRA_ID_SERVER)];
    uint32_t index = id_index & ~HIRA_ID_SERVER;
    if (index < HIRA_OBJECTS_MAX && !atomic_load_explicit(&table->chunks[index / CHUNK], memory_order_relaxed))
        atomic_store_explicit(&table->chunks[index / CHUNK], calloc(CHUNK, sizeof(struct hira_slot)), memory_order_release);
    return slot_at(id_index);
}

static uint32_t bucket_of(const void *vendor)
{
    uint64_t h = (uint64_t)(uintptr_t)vendor * 0x9e3779b97f4a7c15ull;
    return (uint32_t)(h >> 40) % BUCKETS;
}

static void hash_add(struct hira_slot *slot)
{
    uint32_t b = bucket_of(slot->vendor);
    slot->next_hash = buckets[b];
    buckets[b] = slot;
}

static void hash_remove(struct hira_slot *slot)
{
    struct hira_slot **link = &buckets[bucket_of(slot->vendor)];
    while (*link && *link != slot)
        link = &(*link)->next_hash;
    if (*link)
        *link = slot->next_hash;
}

/* A handle has at most one name that is good, and any number on their way out: those are found only if `released`. */
static struct hira_slot *hash_find(const void *vendor, unsigned type, bool released)
{
    for (struct hira_slot *s = buckets[bucket_of(vendor)]; s; s = s->next_hash) {
        uint64_t id = atomic_load_explicit(&s->id, memory_order_relaxed);
        if (s->vendor == vendor && HIRA_ID_TYPE(id) == type && (released || !(id & RELEASED)))
            return s;
    }
    return NULL;
}

static struct hira_slot *later(const struct hira_slot *slot)
{
    return atomic_load_explicit(&slot->later, memory_order_acquire);
}

struct hira_slot *hira_slot_pin(uint64_t id, unsigned type)
{
    struct hira_slot *slot = slot_at(HIRA_ID_INDEX(id));
    if (!slot || HIRA_ID_TYPE(id) != type || !well_formed(id))
        return NULL;
    while (hira_unlikely(atomic_load_explicit(&slot->id, memory_order_relaxed) != id))
        if (!(slot = later(slot)))
            return NULL;
    /* Looked at before and after: wrong names alone must not keep pins on a slot that somebody waits for. */
    uint32_t pins = atomic_load_explicit(&slot->pins, memory_order_relaxed);
    do
        if (!pins || atomic_load_explicit(&slot->id, memory_order_relaxed) != id)
            return NULL;
    while (!atomic_compare_exchange_weak_explicit(&slot->pins, &pins, pins + 1, memory_order_acquire, memory_order_relaxed));
    if (atomic_load_explicit(&slot->id, memory_order_relaxed) == id)
        return slot;
    hira_slot_unpin(slot);
    return NULL;
}

/* Keeps a server-named index for another object; its slot keeps the last id's generation. */
static void index_free(uint32_t index)
{
    if (n_server_free == server_free_capacity) {
        uint32_t capacity = server_free_capacity ? server_free_capacity * 2 : 256;
        uint32_t *grown = realloc(server_free, capacity * sizeof *grown);
        if (!grown)
            return; /* the index is lost, which costs nothing else */
        server_free = grown;
        server_free_capacity = capacity;
    }
    server_free[n_server_free++] = index;
}

/* The last pin is gone: the object ends here. The slot is empty before the vendor is told, for the vendor may call back from its
 * release. */
static void slot_end(struct hira_slot *slot)
{
    uint64_t id = atomic_load_explicit(&slot->id, memory_order_relaxed);
    const struct hira_server_type *type = &hira_server_api.types[HIRA_ID_TYPE(id)];
    void *vendor = slot->vendor, *state = slot->state;
    struct hira_storage *storage = HIRA_STEAL(slot->storage);
    pthread_mutex_lock(&lock);
    uint32_t owed = atomic_load_explicit(&slot->owed, memory_order_relaxed);
    if (vendor)
        hash_remove(slot);
    slot->vendor = slot->state = NULL;
    atomic_store_explicit(&slot->id, 0, memory_order_release);
    if (id & HIRA_ID_SERVER)
        index_free(HIRA_ID_INDEX(id) & ~HIRA_ID_SERVER);
    pthread_mutex_unlock(&lock);
    if (state && type->destroy)
        type->destroy(state);
    free(state);
    if (vendor)
        hira_mapping_forget(vendor);
    if (vendor && type->release)
        while (owed--)
            type->release(vendor);
    hira_storage_put(storage);
}

void hira_slot_unpin(struct hira_slot *slot)
{
    if (atomic_fetch_sub_explicit(&slot->pins, 1, memory_order_acq_rel) == 1)
        slot_end(slot);
}

static bool fill(struct hira_slot *slot, uint64_t id, void *vendor, int64_t poison, bool owned)
{
    slot->state = NULL;
    if (hira_server_api.state_size && !(slot->state = calloc(1, hira_server_api.state_size)))
        return false;
    slot->vendor = vendor;
    atomic_store_explicit(&slot->poison, poison, memory_order_relaxed);
    atomic_store_explicit(&slot->owed, owned, memory_order_relaxed);
    atomic_store_explicit(&slot->id, id, memory_order_relaxed);
    if (vendor)
        hash_add(slot);
    atomic_store_explicit(&slot->pins, 1, memory_order_release);
    return true;
}

/* An empty slot for this index; NULL when an object of the index is alive, or out of memory. Lock held. */
static struct hira_slot *slot_empty(uint32_t id_index)
{
    struct hira_slot *empty = NULL, *last = NULL;
    for (struct hira_slot *s = slot_make(id_index); s; last = s, s = later(s)) {
        uint64_t id = atomic_load_explicit(&s->id, memory_order_relaxed);
        if (id && !(id & RELEASED))
            return NULL;
        if (!id && !empty && !atomic_load_explicit(&s->pins, memory_order_acquire))
            empty = s;
    }
    if (!empty && last && (empty = calloc(1, sizeof *empty)))
        atomic_store_explicit(&last->later, empty, memory_order_release);
    return empty;
}

bool hira_slot_install(uint64_t id, unsigned type, void *vendor, int64_t poison)
{
    if (HIRA_ID_TYPE(id) != type || HIRA_ID_INDEX(id) & HIRA_ID_SERVER || !well_formed(id))
        return false;
    pthread_mutex_lock(&lock);
    struct hira_slot *slot = slot_empty(HIRA_ID_INDEX(id));
    bool ok = slot && fill(slot, id, vendor, poison, true);
    pthread_mutex_unlock(&lock);
    return ok;
}

void hira_slot_keep(uint64_t id, unsigned type, struct hira_storage *storage)
{
    struct hira_slot *slot = hira_slot_pin(id, type);
    if (slot) {
        pthread_mutex_lock(&lock);
        struct hira_storage *other = slot->storage;
        slot->storage = storage;
        storage = other;
        pthread_mutex_unlock(&lock);
        hira_slot_unpin(slot);
    }
    hira_storage_put(storage);
}

bool hira_slot_release(uint64_t id)
{
    struct hira_slot *slot = hira_slot_pin(id, HIRA_ID_TYPE(id));
    if (!slot)
        return false;
    /* The guest's own pin can go once only. */
    pthread_mutex_lock(&lock);
    bool mine = atomic_load_explicit(&slot->id, memory_order_relaxed) == id;
    if (mine)
        atomic_store_explicit(&slot->id, id | RELEASED, memory_order_relaxed);
    pthread_mutex_unlock(&lock);
    if (mine)
        hira_slot_unpin(slot);
    hira_slot_unpin(slot);
    return mine;
}

bool hira_slot_claim(struct hira_slot *slot, uint32_t mine)
{
    pthread_mutex_lock(&lock);
    uint64_t id = atomic_load_explicit(&slot->id, memory_order_relaxed);
    if (!(id & RELEASED))
        atomic_store_explicit(&slot->id, id | RELEASED, memory_order_relaxed);
    pthread_mutex_unlock(&lock);
    if (id & RELEASED)
        return false;
    for (int i = 0; i < 2000; i++) {
        if (atomic_load_explicit(&slot->pins, memory_order_acquire) <= mine + 1)
            return true;
        if (hira_server.alone)
            break;
        usleep(100);
    }
    hira_slot_unclaim(slot);
    return false;
}

void hira_slot_unclaim(struct hira_slot *slot)
{
    pthread_mutex_lock(&lock);
    atomic_store_explicit(&slot->id, atomic_load_explicit(&slot->id, memory_order_relaxed) & ~RELEASED, memory_order_relaxed);
    pthread_mutex_unlock(&lock);
}

uint64_t hira_slot_find(void *vendor, unsigned type)
{
    pthread_mutex_lock(&lock);
    struct hira_slot *slot = hash_find(vendor, type, false);
    uint64_t id = slot ? atomic_load_explicit(&slot->id, memory_order_relaxed) : 0;
    pthread_mutex_unlock(&lock);
    return id;
}

void *hira_server_state(void *vendor, unsigned type)
{
    pthread_mutex_lock(&lock);
    struct hira_slot *slot = vendor ? hash_find(vendor, type, true) : NULL;
    void *state = slot ? slot->state : NULL;
    pthread_mutex_unlock(&lock);
    return state;
}

/* Lock held. */
static uint64_t name_here(void *vendor, unsigned type, bool owned)
{
    uint32_t index = n_server_free ? server_free[--n_server_free] : server_fresh < HIRA_OBJECTS_MAX ? server_fresh++ : 0;
    static uint16_t generation;
    if (!index)
        return 0;
    struct hira_slot *slot = slot_make(index | HIRA_ID_SERVER);
    uint64_t id = HIRA_ID(index | HIRA_ID_SERVER, ++generation, type);
    return slot && fill(slot, id, vendor, 0, owned) ? id : 0;
}

/* The name of a handle that has one; with `owned` a reference more that is ours. Lock held. */
static uint64_t known_name(void *vendor, unsigned type, bool owned)
{
    struct hira_slot *slot = hash_find(vendor, type, false);
    if (slot && owned)
        atomic_fetch_add_explicit(&slot->owed, 1, memory_order_relaxed);
    return slot ? atomic_load_explicit(&slot->id, memory_order_relaxed) : 0;
}

/* The vendor is called without the lock: it may call back from there. So what it is asked to keep for a name that another thread gave
 * meanwhile, or that could not be given, is let go again. */
uint64_t hira_handle_to_id(void *vendor, unsigned type, bool owned)
{
    const struct hira_server_type *t = &hira_server_api.types[type];
    if (!vendor || hira_device_hidden(vendor, type))
        return 0;
    pthread_mutex_lock(&lock);
    uint64_t id = known_name(vendor, type, owned);
    pthread_mutex_unlock(&lock);
    if (id)
        return id;
    if (!owned && t->retain)
        t->retain(vendor);
    pthread_mutex_lock(&lock);
    id = known_name(vendor, type, owned);
    bool known = id;
    if (!known)
        id = name_here(vendor, type, t->retain != NULL);
    pthread_mutex_unlock(&lock);
    if (t->release && ((known && !owned && t->retain) || !id))
        t->release(vendor);
    return id;
}

void hira_handles_to_ids(struct hira_serve *s, void *data, uint64_t bytes, unsigned type, bool owned)
{
    void **handles = data;
    uint64_t *ids = data;
    (void)s;
    for (uint64_t i = 0; i < bytes / 8; i++)
        ids[i] = hira_handle_to_id(handles[i], type, owned);
}
