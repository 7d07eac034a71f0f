/*
 * Taking a record apart, and putting its reply together. See server.h for the seam and wire/record.h for the layout.
 *
 * This file is the trust boundary. `s->p .. s->end` is a private copy of what the guest wrote. Every length is compared with
 * what remains, never added to a pointer first. What the vendor parses is in private memory; only opaque payload is used in the
 * arena, where bounds are checked against what is mapped and the contents may change at any time.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include "server/internal.h"

#define SCRATCH_MAX HIRA_SPILL_MAX /* private memory that one call may make the server allocate */

static uint64_t words_left(const struct hira_serve *s)
{
    return (uint64_t)(s->end - s->p);
}

static void *refuse(struct hira_serve *s)
{
    hira_misfit(s);
    s->p = s->end;
    return NULL;
}

void hira_misfit_size(struct hira_serve *s, uint64_t is, uint64_t want)
{
    (void)is, (void)want;
    hira_misfit(s);
}

/* Out of memory: the call fails, and nothing more of it is decoded. */
void *hira_starve(struct hira_serve *s)
{
    s->starved = true;
    s->status = s->status == HIRA_REPLY_OK ? HIRA_REPLY_FAILED : s->status;
    s->p = s->end;
    return NULL;
}

void *hira_scratch(struct hira_serve *s, uint64_t size)
{
    struct hira_memory *m = s->lane->memory;
    if (size > SCRATCH_MAX)
        return refuse(s);
    uint64_t padded = HIRA_EXACT_MEMORY ? size : HIRA_ALIGN_UP(size ? size : 1, (uint64_t)16);
    if (!HIRA_EXACT_MEMORY && padded <= sizeof m->scratch - m->used) {
        void *p = m->scratch + m->used;
        m->used += padded;
        memset(p, 0, padded);
        return p;
    }
    if (SCRATCH_MAX - m->chunk_bytes < padded)
        return refuse(s);
    if (!hira_private_take(padded))
        return hira_starve(s);
    m->chunk_bytes += padded; /* given back with the call's memory, whether there is a chunk or not */
    struct hira_chunk *chunk = calloc(1, sizeof *chunk + padded);
    if (!chunk)
        return hira_starve(s);
    chunk->next = m->chunks;
    m->chunks = chunk;
    return chunk->data;
}

void hira_get_bytes(struct hira_serve *s, void *data, uint64_t size)
{
    if (HIRA_WORDS(size) > words_left(s)) {
        memset(data, 0, size);
        refuse(s);
        return;
    }
    memcpy(data, s->p, size);
    s->p += HIRA_WORDS(size);
}

static void *decline_handle(struct hira_serve *s, unsigned type)
{
    if (s->status == HIRA_REPLY_OK) {
        s->status = HIRA_REPLY_INVALID;
        s->invalid = (uint8_t)type;
    }
    return NULL;
}

/* Only what the guest says is there is copied: so pins are bounded by the record, as is what they are remembered in. */
static bool remember_pin(struct hira_serve *s, struct hira_slot *slot)
{
    if (s->n_pins == s->pins_capacity) {
        uint32_t capacity = s->pins_capacity * 4;
        struct hira_slot **grown = malloc(capacity * sizeof *grown);
        if (!grown)
            return false;
        memcpy(grown, s->pins, s->n_pins * sizeof *grown);
        if (s->pins != s->pins_local)
            free(s->pins);
        s->pins = grown;
        s->pins_capacity = capacity;
    }
    s->pins[s->n_pins++] = slot;
    return true;
}

static void *handle_of(struct hira_serve *s, uint64_t id, unsigned type)
{
    if (!id)
        return NULL;
    struct hira_slot *slot = hira_slot_pin(id, type);
    if (!slot)
        return decline_handle(s, type);
    if (!remember_pin(s, slot)) {
        hira_slot_unpin(slot);
        return decline_handle(s, type);
    }
    if (!s->first)
        s->first = slot;
    int64_t poison = atomic_load_explicit(&slot->poison, memory_order_relaxed);
    if (hira_unlikely(poison) && s->status == HIRA_REPLY_OK) {
        s->status = HIRA_REPLY_POISONED;
        s->code = poison;
    }
    return slot->vendor;
}

void *hira_get_handle(struct hira_serve *s, unsigned type)
{
    return handle_of(s, hira_get_word(s), type);
}

void *hira_get_handles(struct hira_serve *s, uint64_t *ret_size, unsigned type)
{
    uint64_t word = hira_get_word(s), size = HIRA_MEM_LENGTH(word);
    *ret_size = 0;
    if (HIRA_MEM_KIND(word) == HIRA_MEM_NULL)
        return NULL;
    if (HIRA_MEM_KIND(word) != HIRA_MEM_INLINE || size % 8 || size / 8 > words_left(s))
        return refuse(s);
    void **handles = hira_scratch(s, size);
    for (uint64_t i = 0; handles && i < size / 8; i++)
        handles[i] = hira_get_handle(s, type);
    *ret_size = size;
    return handles;
}

/* The bytes of an inline memory: in the record copy, which is aligned and private already. */
static void *inline_bytes(struct hira_serve *s, uint64_t size)
{
    if (HIRA_WORDS(size) > words_left(s) || size > HIRA_MEM_LENGTH_MAX)
        return refuse(s);
    void *data = HIRA_EXACT_MEMORY ? hira_scratch(s, size) : (void *)s->p;
    if (HIRA_EXACT_MEMORY && data)
        memcpy(data, s->p, size);
    s->p += data ? HIRA_WORDS(size) : 0;
    return data;
}

/* The place in the arena that a guest names, with the completion word before it when it has one. */
static void *arena_bytes(struct hira_serve *s, unsigned kind, uint64_t size, uint64_t *ret_offset)
{
    uint64_t offset = hira_get_word(s);
    void *data = kind > HIRA_MEM_BLOCK ? NULL : hira_arena_at(&hira_server.arena, offset, size);
    if (!data)
        return refuse(s);
    hira_account_bytes(s->lane->account, size);
    if (kind == HIRA_MEM_BLOCK) {
        if (offset < HIRA_CELL_BEFORE || offset % HIRA_CELL_BEFORE || s->n_cells == HIRA_OUTS_MAX)
            return refuse(s);
        s->cells[s->n_cells++] = offset;
    }
    *ret_offset = offset;
    return data;
}

void *hira_get_in(struct hira_serve *s, uint64_t *ret_size, bool payload)
{
    uint64_t word = hira_get_word(s), size = HIRA_MEM_LENGTH(word), offset;
    unsigned kind = HIRA_MEM_KIND(word);
    *ret_size = 0;
    if (kind == HIRA_MEM_NULL)
        return NULL;
    void *data = kind == HIRA_MEM_INLINE ? inline_bytes(s, size) : arena_bytes(s, kind, size, &offset);
    if (data && kind != HIRA_MEM_INLINE && !payload) {
        void *copy = hira_scratch(s, size);
        if (copy)
            memcpy(copy, data, size);
        data = copy;
    }
    *ret_size = data ? size : 0;
    return data;
}

static void *get_out(struct hira_serve *s, uint64_t *ret_size, bool payload, bool both)
{
    uint64_t word = hira_get_word(s), size = HIRA_MEM_LENGTH(word), offset = 0;
    unsigned kind = HIRA_MEM_KIND(word);
    *ret_size = 0;
    if (kind == HIRA_MEM_NULL)
        return NULL;
    /* An honest guest gives what does not fit the reply a block: nobody makes the server allocate by a number alone. */
    if (s->n_outs == HIRA_OUTS_MAX || (kind == HIRA_MEM_INLINE && size > HIRA_REPLY_SIZE))
        return refuse(s);
    void *shared = kind == HIRA_MEM_INLINE ? NULL : arena_bytes(s, kind, size, &offset);
    void *data = shared, *from = shared;
    if (kind == HIRA_MEM_INLINE && both)
        from = inline_bytes(s, size);
    if (s->bad || s->starved)
        return NULL;
    if (kind == HIRA_MEM_INLINE || !payload) {
        data = hira_scratch(s, size);
        if (data && both && from)
            memcpy(data, from, size);
    }
    if (!data)
        return NULL;
    s->outs[s->n_outs++] = (struct hira_out){data, size, (uint8_t)kind, offset};
    *ret_size = size;
    return data;
}

void *hira_get_out(struct hira_serve *s, uint64_t *ret_size, bool payload)
{
    return get_out(s, ret_size, payload, false);
}

void *hira_get_inout(struct hira_serve *s, uint64_t *ret_size, bool payload)
{
    return get_out(s, ret_size, payload, true);
}

char *hira_get_text(struct hira_serve *s, uint64_t *ret_size)
{
    uint64_t size;
    const char *data = hira_get_in(s, &size, false);
    char *text = data ? hira_scratch(s, size + 1) : NULL;
    if (text)
        memcpy(text, data, size);
    *ret_size = text ? size : 0;
    return text;
}

char *hira_get_string(struct hira_serve *s)
{
    uint64_t size;
    char *text = hira_get_text(s, &size);
    if (text && (!size || text[size - 1]))
        return refuse(s);
    return text;
}

void *hira_get_properties(struct hira_serve *s, uint64_t end, unsigned (*type_of)(uint64_t key))
{
    uint64_t size;
    const uint64_t *from = hira_get_in(s, &size, false);
    if (!from)
        return NULL;
    if (!size || size % 8 || from[size / 8 - 1] != end)
        return refuse(s);
    uint64_t n = size / 8, *to = hira_scratch(s, size + 8);
    if (!to)
        return NULL;
    for (uint64_t i = 0; i < n; i++) {
        unsigned type = i % 2 && type_of ? type_of(to[i - 1]) : 0;
        to[i] = type ? (uint64_t)(uintptr_t)handle_of(s, from[i], type) : from[i];
    }
    to[n] = end;
    return to;
}

static _Atomic uint32_t n_registrations;

/* A vendor that failed the registering call may have called back all the same, or do so later: what it got is never taken back. */
void hira_registration_drop(struct hira_registration *r)
{
    if (r && atomic_fetch_sub_explicit(&r->references, 1, memory_order_acq_rel) == 1) {
        atomic_fetch_sub_explicit(&n_registrations, 1, memory_order_relaxed);
        free(r);
    }
}

void *hira_get_list(struct hira_serve *s, uint64_t *ret_size)
{
    uint64_t size;
    const void *from = hira_get_in(s, &size, false);
    void *to = from ? hira_scratch(s, size + 16) : NULL;
    if (to)
        memcpy(to, from, size);
    *ret_size = to ? size : 0;
    return to;
}

uint64_t hira_get_count(struct hira_serve *s, uint64_t *ret_size, uint64_t element_size)
{
    uint64_t word = hira_get_word(s), n = HIRA_MEM_LENGTH(word);
    *ret_size = 0;
    if (HIRA_MEM_KIND(word) == HIRA_MEM_NULL)
        return UINT64_MAX;
    if (HIRA_MEM_KIND(word) != HIRA_MEM_INLINE || n > words_left(s)) {
        refuse(s);
        return UINT64_MAX;
    }
    *ret_size = n * element_size;
    return n;
}

struct hira_registration *hira_get_callback(struct hira_serve *s, unsigned index, bool once, void **ret_cookie)
{
    uint64_t function = hira_get_word(s), user_data = hira_get_word(s);
    *ret_cookie = (void *)(uintptr_t)user_data;
    if (!function || s->bad)
        return NULL;
    struct hira_registration *r = atomic_load_explicit(&n_registrations, memory_order_relaxed) < HIRA_REGISTRATIONS_MAX ? malloc(sizeof *r) : NULL;
    if (!r)
        return (struct hira_registration *)hira_starve(s);
    atomic_fetch_add_explicit(&n_registrations, 1, memory_order_relaxed);
    *r = (struct hira_registration){.function = function, .user_data = user_data, .references = 2, .index = (uint16_t)index,
                                   .once = once};
    if (s->first) {
        r->id = atomic_load_explicit(&s->first->id, memory_order_relaxed);
        r->vendor = s->first->vendor;
    }
    hira_registration_drop(s->registration);
    s->registration = r;
    *ret_cookie = r;
    return r;
}

bool hira_may_keep(struct hira_serve *s)
{
    if (hira_private_room())
        return true;
    hira_pending_poll();
    if (hira_private_room())
        return true;
    hira_starve(s);
    return false;
}

void hira_keep(struct hira_serve *s)
{
    s->kept = true;
}

/* ---- results ---- */

void hira_reply_word(struct hira_serve *s, uint64_t word)
{
    if (s->reply && s->reply < s->reply_end)
        *s->reply++ = word;
}

void hira_reply_bytes(struct hira_serve *s, const void *data, uint64_t size)
{
    uint64_t words = HIRA_WORDS(size);
    if (!s->reply || !size || words > (uint64_t)(s->reply_end - s->reply))
        return;
    memcpy(s->reply, data, size);
    s->reply += words;
}

/* Copied, for the application's next call, on whatever lane, may end what it is part of. */
static bool put_off(struct hira_server_lane *lane, const char *text, uint64_t size)
{
    hira_later_drop(lane);
    if (!hira_private_take(size))
        return false;
    char *copy = malloc(size);
    if (!copy) {
        hira_private_give(size);
        return false;
    }
    memcpy(copy, text, size);
    lane->later = copy;
    lane->later_size = size;
    return true;
}

void hira_later_drop(struct hira_server_lane *lane)
{
    if (!lane->later)
        return;
    free(HIRA_STEAL(lane->later));
    hira_private_give(HIRA_STEAL(lane->later_size));
}

/* Whole, or the call has failed: half a string looks like one. */
void hira_reply_string(struct hira_serve *s, const char *text)
{
    if (!s->reply)
        return;
    uint64_t size = text ? strnlen(text, HIRA_STRING_MAX) + 1 : 0;
    if (size <= HIRA_STRING_INLINE) {
        hira_reply_word(s, HIRA_MEM_WORD(text ? HIRA_MEM_INLINE : HIRA_MEM_NULL, size));
        hira_reply_bytes(s, text, size);
    } else if (size <= HIRA_STRING_MAX && put_off(s->lane, text, size)) {
        hira_reply_word(s, HIRA_MEM_WORD(HIRA_MEM_LATER, size));
    } else {
        s->status = HIRA_REPLY_FAILED;
        hira_account_error(s->lane->account);
    }
}

void hira_serve_later(struct hira_serve *s)
{
    struct hira_server_lane *lane = s->lane;
    uint64_t size;
    void *to = hira_get_out(s, &size, true);
    hira_expect(s, s->sync && lane->later);
    hira_expect_size(s, size, lane->later_size);
    if (!hira_get_end(s))
        return;
    memcpy(to, lane->later, size);
    hira_reply_word(s, 0);
    hira_reply_out(s, to, size);
    hira_later_drop(lane);
}

void hira_serve_result(struct hira_serve *s, bool ok, int64_t code, uint64_t word)
{
    hira_reply_word(s, word);
    s->failed = !ok;
    s->code = code;
    if (!ok && !s->sync) {
        s->status = HIRA_REPLY_FAILED;
        s->code = code ? code : -1;
        if (s->first)
            atomic_store_explicit(&s->first->poison, s->code, memory_order_relaxed);
    }
    if (!ok) {
        hira_account_error(s->lane->account);
        hira_pending_fail(s->cells, s->n_cells);
        s->n_cells = 0;
        s->kept = false;
    }
}

void hira_reply_out(struct hira_serve *s, const void *data, uint64_t valid)
{
    if (!data || !s->reply)
        return;
    struct hira_out *out = NULL;
    for (uint32_t i = 0; i < s->n_outs && !out; i++)
        if (s->outs[i].data == data)
            out = &s->outs[i];
    if (!out)
        return;
    valid = HIRA_MIN(valid, out->size);
    hira_reply_word(s, HIRA_MEM_WORD(out->kind, valid));
    if (out->kind == HIRA_MEM_INLINE) {
        uint64_t words = HIRA_WORDS(valid);
        if (words > (uint64_t)(s->reply_end - s->reply)) {
            s->bad = true; /* an honest guest gives larger results a block */
            return;
        }
        memcpy(s->reply, data, valid);
        s->reply += words;
        return;
    }
    void *shared = out->kind == HIRA_MEM_STREAM ? NULL : hira_arena_at(&hira_server.arena, out->offset, out->size);
    if (shared && shared != data)
        memcpy(shared, data, valid);
}

void hira_made(struct hira_serve *s, uint64_t id, unsigned type, void *vendor, bool ok)
{
    const struct hira_server_type *t = &hira_server_api.types[type];
    if (!ok && id && !s->sync)
        hira_slot_install(id, type, NULL, s->code);
    if (!ok || !vendor)
        return;
    if (s->kept) {
        /* The command owns the call's memory now; the lane goes on with another. */
        if (id && t->retain)
            t->retain(vendor);
        hira_pending_add(vendor, type, s->cells, s->n_cells, s->lane->memory, HIRA_STEAL(s->mapping));
        s->lane->memory = NULL;
        s->n_cells = 0;
        s->kept = false;
    } else if (!id && t->release) {
        t->release(vendor);
    }
    if (!id)
        return;
    if (!hira_slot_install(id, type, vendor, 0)) {
        s->status = HIRA_REPLY_FAILED;
        if (t->release)
            t->release(vendor);
    } else if (s->storage) {
        hira_slot_keep(id, type, HIRA_STEAL(s->storage));
    }
}

bool hira_claim(struct hira_serve *s, unsigned type, void *vendor)
{
    struct hira_slot *slot = NULL;
    uint32_t mine = 0;
    for (uint32_t i = 0; vendor && i < s->n_pins; i++)
        if (s->pins[i]->vendor == vendor && HIRA_ID_TYPE(atomic_load(&s->pins[i]->id)) == type)
            slot = s->pins[i];
    for (uint32_t i = 0; slot && i < s->n_pins; i++)
        mine += s->pins[i] == slot;
    if (!slot)
        return !vendor;
    if (s->claimed || !hira_slot_claim(slot, mine)) {
        decline_handle(s, type);
        return false;
    }
    s->claimed = slot;
    return true;
}

void hira_gone(struct hira_serve *s)
{
    struct hira_slot *slot = HIRA_STEAL(s->claimed);
    if (!slot)
        return;
    atomic_store_explicit(&slot->owed, 0, memory_order_relaxed);
    hira_slot_unpin(slot); /* the guest's own pin; this call's goes with the others */
}
