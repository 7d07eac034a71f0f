/*
 * Guest-side objects: what the application's handles point to.
 *
 * They lie in two reserved arrays of equal slots, one for objects that the guest named, one for those the server named;
 * the id's index is the slot's. So a handle is checked by arithmetic (in the range, on a slot, live, of the type) without
 * following it, and an id becomes a pointer without a table. Untouched slots cost no memory.
 *
 * A slot is used again by its own lane at once (ring order puts the new creation behind the old release), by others
 * only when the release has retired. The generation in the id tells the old from the new.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include <sys/mman.h>
#include <sys/resource.h>

#include "guest/internal.h"

#define LOCAL_FREE_MAX 256u /* slots a lane keeps for itself */
#define OBJECTS_LEAST 4096u /* however little address space the process may have */

static struct {
    char *base;                  /* guest-named, then server-named */
    uint32_t count;              /* slots of each */
    size_t slot;                 /* bytes, a power of two */
    unsigned slot_shift;
    pthread_mutex_t lock;        /* creation of the array, `fresh`, the shared queue, first sight of server-named ids */
    uint32_t fresh;              /* guest-named slots never used begin here */
    struct hira_object *queue, **queue_end; /* freed slots, oldest first; `birth` is when its release retires in `birth_lane` */
} pool = {.lock = PTHREAD_MUTEX_INITIALIZER, .fresh = 1};

struct local_free {
    struct hira_object *first;
    uint32_t n;
};
static struct local_free local_free[HIRA_LANES_MAX]; /* each touched by its lane's thread only */

/* What we reserve of an address space that the application, too, must do with. */
uint64_t hira_address_space(uint64_t want)
{
    struct rlimit limit;
    return getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY ? HIRA_MIN(want, limit.rlim_cur / 8 & ~4095ull) : want;
}

static bool ready(void)
{
    if (hira_likely(__atomic_load_n(&pool.base, __ATOMIC_ACQUIRE) != NULL))
        return true;
    pthread_mutex_lock(&pool.lock);
    if (!pool.base) {
        size_t slot = 128;
        unsigned shift = 7;
        while (slot < sizeof(struct hira_object) + hira_guest_api.state_size) {
            slot *= 2;
            shift++;
        }
        uint32_t count = HIRA_OBJECTS_MAX;
        while (count > OBJECTS_LEAST && hira_address_space(2 * (uint64_t)count * slot) < 2 * (uint64_t)count * slot)
            count /= 2;
        size_t size = 2 * (size_t)count * slot;
        void *base = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (base != MAP_FAILED) {
            madvise(base, size, MADV_NOHUGEPAGE);
            pool.count = count;
            pool.slot = slot;
            pool.slot_shift = shift;
            pool.queue_end = &pool.queue;
            __atomic_store_n(&pool.base, base, __ATOMIC_RELEASE);
        }
    }
    pthread_mutex_unlock(&pool.lock);
    return pool.base != NULL;
}

/* The parent's objects stay readable (their dispatch pointer is followed by loaders), but name nothing here. */
void hira_objects_forget(void)
{
    pool.base = NULL;
    pool.fresh = 1;
    pool.queue = NULL;
    pthread_mutex_init(&pool.lock, NULL);
    memset(local_free, 0, sizeof local_free);
}

static struct hira_object *slot_at(uint32_t index)
{
    return (struct hira_object *)(pool.base + ((size_t)index << pool.slot_shift));
}

static struct hira_object *object_of(const void *handle)
{
    char *base = __atomic_load_n(&pool.base, __ATOMIC_ACQUIRE);
    size_t offset = (size_t)((uintptr_t)handle - (uintptr_t)base);
    if (!base || offset >= 2 * (size_t)pool.count << pool.slot_shift || (offset & (pool.slot - 1)))
        return NULL;
    struct hira_object *object = (struct hira_object *)(base + offset);
    return atomic_load_explicit(&object->live, memory_order_relaxed) ? object : NULL;
}

struct hira_object *hira_object(const void *handle, unsigned type)
{
    struct hira_object *object = object_of(handle);
    return object && object->type == type ? object : NULL;
}

unsigned hira_object_type(const void *value)
{
    struct hira_object *object = object_of(value);
    return object ? object->type : 0;
}

void *hira_state(const void *handle, unsigned type)
{
    struct hira_object *object = hira_object(handle, type);
    return object ? object->state : NULL;
}

uint64_t hira_handle_key(const void *handle)
{
    struct hira_object *object = object_of(handle);
    return object ? (uint64_t)object->type << 56 | object->uses << 22 | object->index : (uint64_t)(uintptr_t)handle;
}

uint64_t hira_mix_handles(uint64_t h, const void *handles, uint64_t n, bool origins)
{
    const void *const *list = handles;
    h = hira_mix(h, list ? n : UINT64_MAX);
    for (uint64_t i = 0; list && i < n && i < HIRA_SPILL_MAX / 8; i++) {
        struct hira_object *object = origins ? object_of(list[i]) : NULL;
        if (!object)
            h = hira_mix(h, hira_handle_key(list[i]));
        else
            for (object = object->parent; object; object = object->parent)
                h = hira_mix(h, object->id);
    }
    return h;
}

/* ---- what pends ---- */

void hira_object_pend(const void *handle)
{
    struct hira_object *object = object_of(handle);
    if (object)
        atomic_fetch_add_explicit(&object->pended, 1, memory_order_acq_rel);
}

uint32_t hira_object_pended(const void *handle)
{
    struct hira_object *object = object_of(handle);
    return object ? atomic_load_explicit(&object->pended, memory_order_acquire) : 0;
}

void hira_object_drained(const void *handle, uint32_t pended)
{
    struct hira_object *object = object_of(handle);
    uint32_t known = object ? atomic_load_explicit(&object->drained, memory_order_relaxed) : 0;
    while (object && (int32_t)(pended - known) > 0 &&
           !atomic_compare_exchange_weak_explicit(&object->drained, &known, pended, memory_order_acq_rel, memory_order_relaxed))
        ;
}

/* Calls that are answered by this alone must find out some time that there is no server any more. */
static bool looked_lately(void)
{
    static _Atomic uint64_t last;
    uint64_t now = hira_now_ns(), then = atomic_load_explicit(&last, memory_order_relaxed);
    if (now - then > HIRA_NAP_NS && atomic_compare_exchange_strong(&last, &then, now))
        hira_alive(NULL);
    return !atomic_load_explicit(&hira_connection.dead, memory_order_relaxed);
}

bool hira_drained(const void *handle)
{
    struct hira_object *object = object_of(handle);
    return object && atomic_load_explicit(&object->pended, memory_order_acquire) ==
                         atomic_load_explicit(&object->drained, memory_order_acquire) && looked_lately();
}

bool hira_siblings(const void *a, const void *b)
{
    const struct hira_object *one = object_of(a), *other = object_of(b);
    return one && other && one->parent && one->parent == other->parent;
}

/* ---- slots ---- */

static struct hira_object *take_queued(void)
{
    struct hira_object *object = pool.queue;
    if (!object)
        return NULL;
    struct hira_guest_lane *lane = atomic_load(&hira_connection.lanes[object->birth_lane]);
    if (lane && atomic_load_explicit(&lane->caller.map.control->retired, memory_order_acquire) < object->birth)
        return NULL;
    pool.queue = object->parent;
    if (!pool.queue)
        pool.queue_end = &pool.queue;
    return object;
}

static struct hira_object *take_slot(struct hira_guest_lane *lane)
{
    struct local_free *local = &local_free[lane->index];
    struct hira_object *object = local->first;
    if (object) {
        local->first = object->parent;
        local->n--;
        return object;
    }
    pthread_mutex_lock(&pool.lock);
    object = take_queued();
    if (!object && pool.fresh < pool.count) {
        object = slot_at(pool.fresh);
        object->index = pool.fresh++;
    }
    pthread_mutex_unlock(&pool.lock);
    return object;
}

static void fill(struct hira_object *object, unsigned type, struct hira_object *parent)
{
    object->dispatch = hira_guest_api.dispatch;
    object->type = (uint8_t)type;
    object->birth = 0;
    object->parent = parent;
    object->uses++;
    atomic_store_explicit(&object->refs, 1, memory_order_relaxed);
    atomic_store_explicit(&object->holds, 1, memory_order_relaxed);
    atomic_store_explicit(&object->lanes, 0, memory_order_relaxed);
    atomic_store_explicit(&object->pended, 0, memory_order_relaxed);
    atomic_store_explicit(&object->drained, 0, memory_order_relaxed);
    hira_answers_forget(object);
    if (hira_guest_api.state_size)
        memset(object->state, 0, hira_guest_api.state_size);
    if (parent)
        atomic_fetch_add_explicit(&parent->holds, 1, memory_order_relaxed);
}

struct hira_object *hira_object_new(unsigned type, struct hira_object *parent)
{
    struct hira_guest_lane *lane = hira_lane();
    struct hira_object *object = lane && ready() ? take_slot(lane) : NULL;
    if (!object)
        return NULL;
    fill(object, type, parent);
    object->id = HIRA_ID(object->index, HIRA_ID_GENERATION(object->id) + 1, type);
    atomic_store_explicit(&object->live, 1, memory_order_release);
    return object;
}

static bool server_named(const struct hira_object *object)
{
    return object->id & HIRA_ID_SERVER;
}

void hira_object_drop(struct hira_object *object)
{
    struct hira_guest_lane *lane = hira_lane();
    if (server_named(object))
        return; /* it may be another already */
    atomic_store_explicit(&object->live, 0, memory_order_release);
    if (!lane)
        return;
    struct local_free *local = &local_free[lane->index];
    object->parent = NULL;
    if (local->n < LOCAL_FREE_MAX) {
        object->parent = local->first;
        local->first = object;
        local->n++;
        return;
    }
    object->birth_lane = (uint16_t)lane->index;
    object->birth = lane->caller.sequence;
    pthread_mutex_lock(&pool.lock);
    *pool.queue_end = object;
    pool.queue_end = &object->parent;
    pthread_mutex_unlock(&pool.lock);
}

/* ---- ids from the server ---- */

struct hira_object *hira_object_by_id(uint64_t id)
{
    uint32_t index = HIRA_ID_INDEX(id);
    bool server = index & HIRA_ID_SERVER;
    index &= ~HIRA_ID_SERVER;
    if (!id || HIRA_ID_TYPE(id) >= hira_guest_api.n_types || !ready() || index >= pool.count)
        return NULL;
    struct hira_object *object = slot_at(server ? pool.count + index : index);
    if (!server)
        return atomic_load_explicit(&object->live, memory_order_acquire) && object->id == id ? object : NULL;
    pthread_mutex_lock(&pool.lock);
    if (!object->live || object->id != id) {
        fill(object, HIRA_ID_TYPE(id), NULL);
        object->index = pool.count + index;
        object->id = id;
        atomic_store_explicit(&object->live, 2, memory_order_release); /* seen, not yet owned */
    }
    pthread_mutex_unlock(&pool.lock);
    return object;
}

struct hira_object *hira_object_named(uint64_t id)
{
    struct hira_object *object = hira_object_by_id(id);
    bool ours = id && !(id & HIRA_ID_SERVER) && ready() && HIRA_ID_INDEX(id) < pool.count;
    return object || !ours ? object : slot_at(HIRA_ID_INDEX(id));
}

static void *handle_from_id(uint64_t id, bool owned)
{
    struct hira_object *object = hira_object_by_id(id);
    if (!object)
        return NULL;
    uint8_t seen = 2;
    if (owned && !atomic_compare_exchange_strong(&object->live, &seen, 1))
        atomic_fetch_add_explicit(&object->refs, 1, memory_order_relaxed); /* the same object handed out once more */
    return object;
}

void *hira_take_handle(struct hira_call *c, unsigned type, bool owned)
{
    uint64_t id = hira_take_word(c);
    return HIRA_ID_TYPE(id) == type ? handle_from_id(id, owned) : NULL;
}

void hira_ids_to_handles(void *data, uint64_t bytes, unsigned type)
{
    uint64_t *words = data;
    for (uint64_t i = 0; i < bytes / 8; i++)
        words[i] = HIRA_ID_TYPE(words[i]) == type ? (uint64_t)(uintptr_t)handle_from_id(words[i], false) : 0;
}

void hira_take_handles(struct hira_call *c, void *handles, uint64_t n, unsigned type, bool owned, bool store)
{
    uint64_t *ids = handles, valid = hira_take_out(c, handles, n * 8, store) / 8;
    for (uint64_t i = 0; store && i < valid; i++)
        ids[i] = HIRA_ID_TYPE(ids[i]) == type ? (uint64_t)(uintptr_t)handle_from_id(ids[i], owned) : 0;
}

/* ---- references ---- */

static void send_release(struct hira_object *object)
{
    struct hira_call c;
    if (!hira_guest_api.types[object->type].counted || !hira_call_begin(&c, HIRA_FN_RELEASE, HIRA_CALL_ASYNC))
        return;
    hira_put_word(&c, object->id);
    hira_call_dep(&c, object);
    hira_call_async(&c);
}

/* One hold less; the last one ends the object and then lets its parent go. */
static void unhold(struct hira_object *object)
{
    while (object && atomic_fetch_sub_explicit(&object->holds, 1, memory_order_acq_rel) == 1) {
        struct hira_object *parent = object->parent;
        hira_answers_forget(object);
        if (hira_guest_api.types[object->type].destroy)
            hira_guest_api.types[object->type].destroy(object, object->state);
        /* The server may name another object by this index as soon as it has the release. */
        atomic_store_explicit(&object->live, 0, memory_order_release);
        send_release(object);
        hira_object_drop(object);
        object = parent;
    }
}

/* Root objects (devices) and what was only ever seen in results: the application has no reference to give. */
static bool unowned(const struct hira_object *object)
{
    return atomic_load_explicit(&object->live, memory_order_relaxed) == 2;
}

bool hira_object_retain(const void *handle, unsigned type)
{
    struct hira_object *object = hira_object(handle, type);
    if (!object || unowned(object))
        return object != NULL;
    if (atomic_fetch_add_explicit(&object->refs, 1, memory_order_relaxed) == 0)
        atomic_fetch_add_explicit(&object->holds, 1, memory_order_relaxed);
    return true;
}

void hira_object_abandon(struct hira_object *object)
{
    struct hira_object *parent = object->parent;
    hira_object_drop(object);
    unhold(parent);
}

bool hira_object_release(const void *handle, unsigned type)
{
    struct hira_object *object = hira_object(handle, type);
    if (!object || unowned(object))
        return object != NULL;
    uint32_t refs = atomic_load_explicit(&object->refs, memory_order_relaxed);
    do
        if (!refs)
            return false;
    while (!atomic_compare_exchange_weak_explicit(&object->refs, &refs, refs - 1, memory_order_acq_rel, memory_order_relaxed));
    if (refs == 1)
        unhold(object);
    return true;
}

uint32_t hira_object_refs(const void *handle)
{
    struct hira_object *object = object_of(handle);
    return object ? atomic_load_explicit(&object->refs, memory_order_relaxed) : 0;
}
