/*
 * A call on its way: begun, filled, sent, answered. See guest.h for the seam and wire/record.h for the layout.
 *
 * The record is written straight into the ring; nothing is published before hira_call_sync or hira_call_async, so a call
 * that turns out to be impossible is just forgotten. A payload that outgrows the ring moves to an arena block.
 *
 * Order: an object remembers which lanes changed it by asynchronous records. A record that names it depends on the last
 * asynchronous record of each such lane *whose call has returned*: never on one in progress, so two threads cannot wait
 * for each other.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <unistd.h>

#include "base/fd.h"
#include "channel/stream.h"
#include "guest/internal.h"

#define TAIL_ROOM ((2 * HIRA_DEPS_MAX + 1 + 2 * MEMORIES_MAX + 1) * 8) /* kept free at the end of a record */
#define MEMORIES_MAX (HIRA_TEMPS_MAX + 1) /* the temporaries, and the record itself when it has moved */
#define FULL_NS (10ull * 1000000000)            /* how long a call waits for commands to give memory back, if none does */
#define REPLY_ROOM (HIRA_REPLY_SIZE / 2)        /* inline results; the rest of a reply is for what the vendor printed */

static struct hira_arena *arena(void)
{
    return &hira_connection.arena;
}

static bool function_known(unsigned function)
{
    return function >= hira_guest_api.n_functions || hira_connection.known[function / 8] >> function % 8 & 1;
}

static void dep_all(struct hira_call *c);

/* Nothing will be sent: every put finds no room, and sending reports the failure. */
static bool begin_nothing(struct hira_call *c)
{
    static uint64_t nowhere[1];
    c->p = c->end = nowhere;
    c->reply_room = 0;
    c->failed = true;
    c->async = c->quiet = c->until_done = false;
    return false;
}

/* A call was left in the middle of filling blocks, by a signal handler that jumps. Its record passes as it is, and its reply finds nobody;
 * the blocks stay taken, for the server may still read them. */
static void abandon_flows(struct hira_guest_lane *lane)
{
    for (; lane->filling != HIRA_ARENA_NONE; lane->filling = hira_arena_block(arena(), lane->filling)->next)
        atomic_store_explicit(&hira_arena_block(arena(), lane->filling)->flow, UINT64_MAX, memory_order_release);
}

bool hira_call_begin(struct hira_call *c, unsigned function, unsigned how)
{
    struct hira_guest_lane *lane = hira_lane();
    c->status = HIRA_REPLY_FAILED;
    c->invalid = 0;
    c->n_temps = c->next_temp = c->n_deps = c->n_news = 0;
    c->more_output = c->lost = false;
    c->rows.width = 0;
    c->spill = c->stream.block = HIRA_ARENA_NONE;
    if (hira_unlikely(!lane) || hira_unlikely(!function_known(function)))
        return begin_nothing(c);
    if (hira_unlikely(hira_pending_too_much()) && function < hira_guest_api.n_functions)
        hira_nop();
    if (hira_unlikely(lane->filling != HIRA_ARENA_NONE))
        abandon_flows(lane);
    c->lane = lane;
    c->record = hira_caller_reserve(&lane->caller);
    if (hira_unlikely(!c->record)) {
        atomic_store_explicit(&hira_connection.dead, true, memory_order_relaxed);
        return begin_nothing(c);
    }
    c->p = c->record->words;
    c->end = (uint64_t *)((char *)c->record + HIRA_RECORD_MAX - TAIL_ROOM);
    c->reply_room = REPLY_ROOM;
    c->function = (uint16_t)function;
    c->async = how & HIRA_CALL_ASYNC && !hira_unlikely(hira_connection.strict && function < hira_guest_api.n_functions);
    c->quiet = how & HIRA_CALL_QUIET;
    c->until_done = how & HIRA_CALL_UNTIL_DONE;
    c->creation_only = how & HIRA_CALL_AFTER_CREATION;
    c->failed = false;
    c->parent = NULL;
    if (how & HIRA_CALL_AFTER_ALL)
        dep_all(c);
    return true;
}

/* ---- order ---- */

static void wait_retired(struct hira_guest_lane *lane, uint64_t sequence)
{
    HIRA_UNCANCELLED;
    while (atomic_load_explicit(&lane->caller.map.control->retired, memory_order_acquire) < sequence && hira_alive(NULL))
        usleep(50);
}

static void dep_add(struct hira_call *c, struct hira_guest_lane *lane, uint64_t sequence)
{
    if (atomic_load_explicit(&lane->caller.map.control->retired, memory_order_acquire) >= sequence)
        return;
    for (unsigned i = 0; i < c->n_deps; i++)
        if (c->deps[2 * i] == lane->index) {
            c->deps[2 * i + 1] = HIRA_MAX(c->deps[2 * i + 1], sequence);
            return;
        }
    if (c->n_deps == HIRA_DEPS_MAX) { /* more lanes than a record can name: wait for this one here */
        wait_retired(lane, sequence);
        return;
    }
    c->deps[2 * c->n_deps] = lane->index;
    c->deps[2 * c->n_deps++ + 1] = sequence;
}

static void dep_lanes(struct hira_call *c, uint64_t mask)
{
    uint32_t n = atomic_load_explicit(&hira_connection.n_lanes, memory_order_acquire);
    for (uint32_t i = 0; i < n; i++) {
        if (!(mask >> i % 64 & 1) || i == c->lane->index)
            continue;
        struct hira_guest_lane *lane = atomic_load_explicit(&hira_connection.lanes[i], memory_order_acquire);
        uint64_t sequence = lane ? atomic_load_explicit(&lane->asynchronous, memory_order_acquire) : 0;
        if (sequence)
            dep_add(c, lane, sequence);
    }
}

static void dep_all(struct hira_call *c)
{
    dep_lanes(c, UINT64_MAX);
}

void hira_call_dep(struct hira_call *c, struct hira_object *object)
{
    uint64_t mine = 1ull << c->lane->index % 64;
    uint64_t lanes = atomic_load_explicit(&object->lanes, memory_order_acquire);
    if (c->creation_only) {
        struct hira_guest_lane *lane = object->birth ? atomic_load(&hira_connection.lanes[object->birth_lane]) : NULL;
        if (lane && lane != c->lane)
            dep_add(c, lane, object->birth);
        return;
    }
    if (hira_unlikely(lanes & ~mine) || hira_unlikely(atomic_load_explicit(&hira_connection.n_lanes, memory_order_relaxed) > 64))
        dep_lanes(c, lanes);
    if (hira_unlikely(lanes & ~mine) && c->async && __builtin_popcountll(lanes | mine) > HIRA_DEPS_ASYNC) {
        c->async = false; /* a crowd on one object gains nothing by running ahead of it, and everybody would wait for everybody */
        c->quiet = true;
    }
    if (c->async && !(lanes & mine) && !hira_guest_api.types[object->type].immutable)
        atomic_fetch_or_explicit(&object->lanes, mine, memory_order_acq_rel);
}

/* ---- filling ---- */

void hira_call_spill(struct hira_call *c, uint64_t bytes)
{
    if (c->failed)
        return;
    uint64_t *begin = c->spill == HIRA_ARENA_NONE ? c->record->words : hira_arena_at(arena(), c->spill, 0);
    uint64_t used = (uint64_t)((char *)c->p - (char *)begin), want = (used + bytes) * 2;
    uint64_t block = used + bytes > HIRA_SPILL_MAX ? HIRA_ARENA_NONE : hira_arena_alloc(arena(), want, 64);
    if (block == HIRA_ARENA_NONE) {
        c->failed = true;
        return;
    }
    char *to = hira_arena_at(arena(), block, want);
    memcpy(to, begin, used);
    hira_arena_free(arena(), c->spill);
    c->spill = block;
    c->p = (uint64_t *)(to + used);
    c->end = (uint64_t *)(to + want);
}

void hira_put_bytes(struct hira_call *c, const void *data, uint64_t size)
{
    uint64_t words = HIRA_WORDS(size), *p = hira_put_room(c, words);
    if (!p || !size)
        return;
    p[words - 1] = 0;
    memcpy(p, data, size);
}

void hira_put_handle(struct hira_call *c, const void *handle, unsigned type)
{
    struct hira_object *object = NULL;
    if (handle && hira_likely(!c->failed)) {
        object = hira_object(handle, type);
        if (hira_unlikely(!object)) {
            c->invalid = c->invalid ? c->invalid : (uint8_t)type;
            return;
        }
        hira_call_dep(c, object);
        if (!c->parent)
            c->parent = object;
    }
    hira_put_word(c, object ? object->id : 0);
}

void hira_put_handles(struct hira_call *c, const void *handles, uint64_t n, unsigned type)
{
    if (!handles) {
        hira_put_word(c, HIRA_MEM_WORD(HIRA_MEM_NULL, 0));
        return;
    }
    if (n > HIRA_SPILL_MAX / 8) {
        c->failed = true;
        return;
    }
    hira_put_word(c, HIRA_MEM_WORD(HIRA_MEM_INLINE, n * 8));
    for (uint64_t i = 0; i < n; i++)
        hira_put_handle(c, ((const void *const *)handles)[i], type);
}

/* The arena is full, mostly of memory that commands still use: waits until some have ended. Asking the server takes a record, so
 * what was written of this one is kept aside. Gives up when nothing ends for a while: what the commands wait for may be this
 * thread. */
static uint64_t alloc_later(struct hira_call *c, uint64_t size, uint64_t align)
{
    HIRA_UNCANCELLED;
    uint64_t used = c->spill == HIRA_ARENA_NONE ? (uint64_t)((char *)c->p - (char *)c->record->words) : 0;
    uint64_t block = HIRA_ARENA_NONE, left = hira_pending_bytes(), since = hira_now_ns();
    HIRA_AUTOFREE void *kept = malloc(used + 1);
    if (!kept || !left)
        return HIRA_ARENA_NONE;
    memcpy(kept, c->record->words, used);
    while (left && block == HIRA_ARENA_NONE && hira_now_ns() - since < FULL_NS) {
        hira_nop();
        block = hira_arena_alloc(arena(), size, align);
        uint64_t now = hira_pending_bytes();
        if (now != left)
            since = hira_now_ns();
        else if (block == HIRA_ARENA_NONE)
            usleep(200);
        left = now;
    }
    c->record = hira_caller_reserve(&c->lane->caller);
    if (!c->record) {
        hira_arena_free(arena(), block);
        begin_nothing(c);
        return HIRA_ARENA_NONE;
    }
    if (c->spill == HIRA_ARENA_NONE) {
        memcpy(c->record->words, kept, used);
        c->p = (uint64_t *)((char *)c->record->words + used);
        c->end = (uint64_t *)((char *)c->record + HIRA_RECORD_MAX - TAIL_ROOM);
    }
    return block;
}

static struct hira_temp *new_temp(struct hira_call *c, void *to, uint64_t size)
{
    if (c->n_temps == HIRA_TEMPS_MAX)
        return NULL;
    bool rows = to && c->rows.width;
    uint64_t more = rows ? sizeof c->rows + 8 : 0;
    uint64_t align = size >= 4096 ? 4096 : 64, block = hira_arena_alloc(arena(), size + more, align);
    if (hira_unlikely(block == HIRA_ARENA_NONE) && !c->failed)
        block = alloc_later(c, size + more, align);
    if (block == HIRA_ARENA_NONE)
        return NULL;
    if (rows)
        memcpy((char *)hira_arena_at(arena(), block, size + more) + HIRA_ALIGN_UP(size, 8ul), &c->rows, sizeof c->rows);
    struct hira_temp *t = &c->temps[c->n_temps++];
    *t = (struct hira_temp){.block = block, .to = to, .size = size, .rows = rows, .in = !to};
    return t;
}

static void put_block(struct hira_call *c, const struct hira_temp *t)
{
    hira_put_word(c, HIRA_MEM_WORD(c->until_done ? HIRA_MEM_BLOCK : HIRA_MEM_ARENA, t->size));
    hira_put_word(c, t->block);
}

/* Application memory that lies in the arena is used where it is, unless the call returns before the vendor reads it. To another host it
 * goes by a block like any other: of what lies where the application reads and writes nobody knows when it is whole. */
static bool put_in_place(struct hira_call *c, const void *data, uint64_t size)
{
    uint64_t offset;
    if (hira_connection.remote || !hira_arena_offset(arena(), data, size, &offset))
        return false;
    hira_put_word(c, HIRA_MEM_WORD(HIRA_MEM_ARENA, size));
    hira_put_word(c, offset);
    return true;
}

/* A call that will not go reads nothing of the application's any more: natively it would have been refused before. */
static bool hopeless(const struct hira_call *c)
{
    return hira_unlikely(c->failed || c->invalid);
}

/* Whether large memory is copied while a relay carries it, for the copy and the network to overlap. A window as between processes would
 * not do: what a lost connection did not bring is sent again from where it lies. */
static bool flows(const struct hira_call *c, uint64_t size)
{
    return hira_unlikely(hira_connection.remote) && size >= HIRA_STREAM_LEAST && !c->async && !c->until_done && !c->rows.width;
}

static void begin_flow(struct hira_temp *t)
{
    t->flows = true;
    atomic_store_explicit(&hira_arena_block(arena(), t->block)->flow, 0, memory_order_relaxed); /* the record's stamp publishes it */
}

static void copy_in(struct hira_call *c, char *to, const void *data, uint64_t size)
{
    if (c->rows.width)
        hira_rows_copy(&c->rows, to, data);
    else
        memcpy(to, data, size);
}

void hira_put_in(struct hira_call *c, const void *data, uint64_t size, bool payload)
{
    if (!data || hopeless(c) || size > HIRA_MEM_LENGTH_MAX) {
        c->failed |= data != NULL;
        c->rows.width = 0;
        hira_put_word(c, HIRA_MEM_WORD(HIRA_MEM_NULL, 0));
        return;
    }
    if (payload && (!c->async || c->until_done) && put_in_place(c, data, size)) {
        c->rows.width = 0;
        return;
    }
    struct hira_temp *t = payload && size > HIRA_INLINE_MAX ? new_temp(c, NULL, size) : NULL;
    uint64_t *p = NULL;
    if (t && flows(c, size)) {
        begin_flow(t);
        t->from = data;
        put_block(c, t);
    } else if (t) {
        copy_in(c, hira_arena_at(arena(), t->block, size), data, size);
        put_block(c, t);
    } else {
        hira_put_word(c, HIRA_MEM_WORD(HIRA_MEM_INLINE, size));
        p = hira_put_room(c, HIRA_WORDS(size));
    }
    if (p && c->rows.width)
        memset(p, 0, HIRA_WORDS(size) * 8);
    else if (p && size)
        p[HIRA_WORDS(size) - 1] = 0;
    if (p && size)
        copy_in(c, (char *)p, data, size);
    c->rows.width = 0;
}

/* Whether a result of this size comes back in the reply; if not it was given a block, or the call has failed. */
static bool reply_inline(struct hira_call *c, void *data, uint64_t size)
{
    uint64_t need = HIRA_WORDS(size) * 8 + 8;
    if (!c->until_done && !c->rows.width && size <= HIRA_INLINE_MAX * 2 && need <= c->reply_room) {
        c->reply_room -= (uint32_t)need;
        return true;
    }
    struct hira_temp *t = new_temp(c, data, size);
    c->rows.width = 0;
    if (!t) {
        c->failed = true;
        return true;
    }
    return false;
}

void hira_put_out(struct hira_call *c, void *data, uint64_t size, bool payload)
{
    if (!data || size > HIRA_MEM_LENGTH_MAX) {
        c->failed |= data != NULL;
        hira_put_word(c, HIRA_MEM_WORD(HIRA_MEM_NULL, 0));
        return;
    }
    if (payload && put_in_place(c, data, size)) {
        c->rows.width = 0;
        return;
    }
    bool flow = flows(c, size);
    if (reply_inline(c, data, size)) {
        hira_put_word(c, HIRA_MEM_WORD(HIRA_MEM_INLINE, size));
        return;
    }
    struct hira_temp *t = &c->temps[c->n_temps - 1];
    if (flow)
        begin_flow(t);
    put_block(c, t);
}

/* Sets a stream up, if it is worth one and there is a window to be had. */
static bool put_stream(struct hira_call *c, void *data, uint64_t size, bool stream, bool out)
{
    uint64_t offset;
    if (!stream || !data || size < HIRA_STREAM_LEAST || size > HIRA_MEM_LENGTH_MAX || c->async || c->until_done || c->failed ||
        hira_connection.remote || c->stream.block != HIRA_ARENA_NONE || hira_arena_offset(arena(), data, size, &offset))
        return false;
    uint64_t block = hira_arena_alloc(arena(), HIRA_STREAM_SIZE, 4096);
    if (block == HIRA_ARENA_NONE)
        return false;
    struct hira_stream *s = hira_arena_at(arena(), block, HIRA_STREAM_SIZE);
    atomic_store_explicit(&s->produced, 0, memory_order_relaxed);
    atomic_store_explicit(&s->consumed, 0, memory_order_relaxed);
    c->stream = (struct hira_temp){.block = block, .to = data, .size = size};
    c->stream_out = out;
    hira_put_word(c, HIRA_MEM_WORD(HIRA_MEM_STREAM, size));
    hira_put_word(c, block);
    return true;
}

void hira_put_in_stream(struct hira_call *c, const void *data, uint64_t size, bool stream)
{
    if (!put_stream(c, (void *)data, size, stream, false))
        hira_put_in(c, data, size, true);
}

void hira_put_out_stream(struct hira_call *c, void *data, uint64_t size, bool stream)
{
    if (!put_stream(c, data, size, stream, true))
        hira_put_out(c, data, size, true);
}

static bool stream_ended(void *context)
{
    struct hira_caller *caller = context;
    return atomic_load_explicit(&caller->map.reply->stamp, memory_order_acquire) == caller->sequence || !hira_alive(NULL);
}

/* Moves the stream until it is through, or the reply says that the call is over. */
static void run_stream(struct hira_call *c)
{
    HIRA_UNCANCELLED;
    struct hira_caller *caller = &c->lane->caller;
    struct hira_stream *s = hira_arena_at(arena(), c->stream.block, HIRA_STREAM_SIZE);
    if (!s)
        return;
    if (c->stream_out)
        hira_stream_consume_from(s, 0, c->stream.to, c->stream.size, stream_ended, caller);
    else
        hira_stream_produce_from(s, 0, c->stream.to, c->stream.size, stream_ended, caller);
}

/* Fills what the relay is already sending. */
static void run_flow(struct hira_call *c, const struct hira_temp *t)
{
    struct hira_block *block = hira_arena_block(arena(), t->block);
    char *at = hira_arena_at(arena(), t->block, t->size);
    for (uint64_t done = 0, piece; done < t->size; done += piece) {
        piece = HIRA_MIN(HIRA_STREAM_PIECE, t->size - done);
        memcpy(at + done, (const char *)t->from + done, piece);
        atomic_store_explicit(&block->flow, done + piece, memory_order_release);
    }
    c->lane->filling = block->next;
}

static void publish(struct hira_call *c, unsigned flags);

static void publish_and_fill(struct hira_call *c, unsigned flags)
{
    HIRA_UNCANCELLED;
    for (unsigned i = c->n_temps; i-- > 0;) /* the first is the first to be filled */
        if (c->temps[i].from) {
            hira_arena_block(arena(), c->temps[i].block)->next = c->lane->filling;
            c->lane->filling = c->temps[i].block;
        }
    publish(c, flags);
    for (const struct hira_temp *t = c->temps; t < c->temps + c->n_temps; t++)
        if (t->from)
            run_flow(c, t);
}

/* So many bytes are there. At one look, for another host may write anything here; at no more than there are. */
static uint64_t flow_end(const struct hira_temp *t)
{
    return HIRA_MIN(atomic_load_explicit(&hira_arena_block(arena(), t->block)->flow, memory_order_acquire), t->size);
}

static bool flowed(void *context)
{
    const struct hira_temp *t = context;
    return flow_end(t) > t->taken;
}

/* What has come of an out memory, `taken` of it so far. False: nothing more will. */
static bool take_flow(struct hira_call *c, struct hira_temp *t, uint64_t *ret_end)
{
    HIRA_UNCANCELLED;
    if (!flowed(t) && hira_caller_sleep(&c->lane->caller, flowed, t) < 0) {
        atomic_store_explicit(&hira_connection.dead, true, memory_order_relaxed);
        return false;
    }
    *ret_end = flow_end(t);
    return *ret_end > t->taken; /* an honest relay takes nothing back */
}

/* Copies the bytes that are valid as they come. */
static uint64_t copy_flow(struct hira_call *c, struct hira_temp *t, char *to, uint64_t valid)
{
    const char *at = hira_arena_at(arena(), t->block, t->size);
    for (uint64_t end, piece; t->taken < valid; t->taken += piece) {
        if (!take_flow(c, t, &end)) {
            c->lost = true;
            return t->taken;
        }
        piece = HIRA_MIN(end, valid) - t->taken;
        hira_stream_copy_out(to + t->taken, at + t->taken, piece);
    }
    return valid;
}

/* A block is not free before all has come that goes into it. */
static void end_flows(struct hira_call *c)
{
    for (struct hira_temp *t = c->temps; t < c->temps + c->n_temps; t++)
        for (uint64_t end; t->flows && t->to && t->taken < t->size; t->taken = end)
            if (!take_flow(c, t, &end))
                return;
}

void hira_put_inout(struct hira_call *c, void *data, uint64_t size, bool payload)
{
    if (!data || size > HIRA_MEM_LENGTH_MAX || (payload && put_in_place(c, data, size))) {
        if (!data || size > HIRA_MEM_LENGTH_MAX)
            hira_put_out(c, data, size, payload);
        return;
    }
    if (reply_inline(c, data, size)) {
        hira_put_word(c, HIRA_MEM_WORD(HIRA_MEM_INLINE, size));
        hira_put_bytes(c, data, size);
    } else {
        struct hira_temp *t = &c->temps[c->n_temps - 1];
        memcpy(hira_arena_at(arena(), t->block, size), data, size);
        t->in = true;
        put_block(c, t);
    }
}

void hira_put_string(struct hira_call *c, const char *s)
{
    hira_put_in(c, s, s && !hopeless(c) ? strlen(s) + 1 : 0, false);
}

struct hira_object *hira_put_new(struct hira_call *c, bool wanted, unsigned type)
{
    struct hira_object *object = NULL;
    if (wanted && !c->invalid && !c->failed) {
        object = c->n_news < HIRA_ARRAY_SIZE(c->news) ? hira_object_new(type, c->parent) : NULL;
        if (object)
            c->news[c->n_news++] = object;
        else
            c->failed = true;
    }
    hira_put_word(c, object ? object->id : 0);
    return object;
}

void hira_put_properties(struct hira_call *c, const void *list, uint64_t end, unsigned (*type_of)(uint64_t key), size_t width)
{
    if (!list) {
        hira_put_word(c, HIRA_MEM_WORD(HIRA_MEM_NULL, 0));
        return;
    }
    const uint64_t *p = list;
    uint64_t n = 0;
    if (hopeless(c))
        return;
    while (p[n] != end)
        n += 2;
    (void)width; /* pairs of 64-bit words are what every API with such lists has */
    hira_put_word(c, HIRA_MEM_WORD(HIRA_MEM_INLINE, (n + 1) * 8));
    for (uint64_t i = 0; i < n; i += 2) {
        unsigned type = type_of ? type_of(p[i]) : 0;
        hira_put_word(c, p[i]);
        if (type)
            hira_put_handle(c, (const void *)(uintptr_t)p[i + 1], type);
        else
            hira_put_word(c, p[i + 1]);
    }
    hira_put_word(c, end);
}

/* ---- sending ---- */

static void free_temps(struct hira_call *c)
{
    while (c->n_temps)
        hira_arena_free(arena(), c->temps[--c->n_temps].block);
}

/* Frees blocks whose records have retired. */
static void collect_loans(struct hira_guest_lane *lane)
{
    uint64_t retired = atomic_load_explicit(&lane->caller.map.control->retired, memory_order_acquire);
    while (lane->loans != HIRA_ARENA_NONE) {
        uint64_t block = lane->loans;
        struct hira_block *b = hira_arena_block(arena(), block);
        if (b->user[0] > retired)
            return;
        lane->loans = b->next;
        hira_arena_free(arena(), block);
    }
}

void hira_lend(struct hira_guest_lane *lane, uint64_t block, uint64_t sequence)
{
    struct hira_block *b = hira_arena_block(arena(), block);
    b->next = HIRA_ARENA_NONE;
    b->user[0] = sequence;
    if (lane->loans == HIRA_ARENA_NONE)
        lane->loans = block;
    else
        hira_arena_block(arena(), lane->last_loan)->next = block;
    lane->last_loan = block;
}

/* The call cannot go: everything prepared for it is given back. */
static bool give_up(struct hira_call *c)
{
    c->status = c->invalid ? HIRA_REPLY_INVALID : HIRA_REPLY_FAILED;
    hira_arena_free(arena(), HIRA_STEAL(c->spill));
    c->spill = HIRA_ARENA_NONE;
    hira_call_end(c, false);
    return false;
}

static uint64_t *put_memory(uint64_t *p, uint64_t offset, uint64_t size_and_how)
{
    p[0] = offset;
    p[1] = size_and_how;
    return p + 2;
}

/* What the record names of the arena, for a relay to carry. NULL: nothing. */
static uint64_t *put_memories(const struct hira_call *c, uint64_t *p)
{
    uint64_t *begin = p, cell = c->until_done ? HIRA_MEMORY_CELL : 0;
    if (c->spill != HIRA_ARENA_NONE)
        p = put_memory(p, c->spill, HIRA_MEMORY_IN | c->record->words[1]);
    for (unsigned i = 0; i < c->n_temps; i++) {
        const struct hira_temp *t = &c->temps[i];
        p = put_memory(p, t->block, t->size | cell | (t->in ? HIRA_MEMORY_IN : 0) | (t->to ? HIRA_MEMORY_OUT : 0) |
                                        (t->flows ? HIRA_MEMORY_FLOWS : 0));
    }
    if (p == begin)
        return NULL;
    *p = (uint64_t)(p - begin) / 2;
    return p + 1;
}

static void publish(struct hira_call *c, unsigned flags)
{
    struct hira_record *record = c->record;
    uint64_t *p = c->p;
    if (hira_unlikely(c->spill != HIRA_ARENA_NONE)) {
        uint64_t bytes = (uint64_t)((char *)p - (char *)hira_arena_at(arena(), c->spill, 0));
        record->words[0] = c->spill;
        record->words[1] = bytes;
        p = record->words + 2;
        flags |= HIRA_RECORD_SPILLED;
    }
    if (hira_unlikely(c->n_deps)) {
        memcpy(p, c->deps, c->n_deps * 16);
        p += 2 * c->n_deps;
        *p++ = c->n_deps;
        flags |= HIRA_RECORD_DEPS;
    }
    uint64_t *end = hira_unlikely(hira_connection.remote) ? put_memories(c, p) : NULL;
    if (end) {
        p = end;
        flags |= HIRA_RECORD_MEMORY;
    }
    record->function = c->function;
    record->flags = (uint16_t)flags;
    record->size = (uint32_t)((char *)p - (char *)record);
    hira_caller_publish(&c->lane->caller, record);
}

bool hira_call_async(struct hira_call *c)
{
    if (hira_unlikely(c->failed || c->invalid))
        return give_up(c);
    struct hira_guest_lane *lane = c->lane;
    uint64_t sequence = hira_caller_next_sequence(&lane->caller);
    for (unsigned i = 0; i < c->n_news; i++) {
        c->news[i]->birth = sequence;
        c->news[i]->birth_lane = (uint16_t)lane->index;
        atomic_fetch_or_explicit(&c->news[i]->lanes, 1ull << lane->index % 64, memory_order_release);
    }
    publish(c, 0);
    if (hira_unlikely(c->spill != HIRA_ARENA_NONE))
        hira_lend(lane, c->spill, sequence);
    for (unsigned i = 0; i < c->n_temps; i++)
        if (c->until_done)
            hira_pending_add(&c->temps[i]);
        else
            hira_lend(lane, c->temps[i].block, sequence);
    if (hira_unlikely(lane->loans != HIRA_ARENA_NONE))
        collect_loans(lane);
    atomic_store_explicit(&lane->asynchronous, sequence, memory_order_release);
    c->status = HIRA_REPLY_OK;
    return true;
}

static void take_output(struct hira_call *c);

/* Where the reply ends, as it says at one look: it may say something else at the next. */
static void begin_reply(struct hira_call *c)
{
    const struct hira_reply *reply = c->lane->caller.map.reply;
    uint32_t said = *(const volatile uint32_t *)&reply->size, size = HIRA_MIN(HIRA_MAX(said, (uint32_t)sizeof *reply), HIRA_REPLY_SIZE) & ~7u;
    c->reply = reply->words;
    c->reply_end = (const uint64_t *)((const char *)reply + size);
}

/* The reply brings a callback that the vendor waits for. The slot is used by the calls that it makes, so it is copied. False: there is
 * no way back, for the server is gone, or this process is a child of the one that made the call. */
static bool answer_callback(struct hira_call *c)
{
    struct hira_caller *caller = &c->lane->caller;
    const struct hira_reply *reply = caller->map.reply;
    uint64_t words[160], result[HIRA_UP_RESULT_WORDS];
    begin_reply(c);
    if (reply->flags & HIRA_REPLY_OUTPUT)
        take_output(c);
    uint64_t n = HIRA_MIN((uint64_t)(c->reply_end - c->reply), HIRA_ARRAY_SIZE(words));
    memcpy(words, c->reply, n * 8);
    struct hira_upcall u = {.p = words + 2, .end = words + n, .result = result, .result_end = result + HIRA_ARRAY_SIZE(result)};
    if (n > 2) {
        hira_callbacks_settle(words[1]);
        c->lane->depth++;
        bool mine = hira_callback_run(words[0], &u);
        c->lane->depth--;
        if (!mine) {
            c->n_temps = c->n_news = 0; /* all of it was the parent's */
            c->spill = c->stream.block = HIRA_ARENA_NONE;
            return false;
        }
    }
    struct hira_record *record = hira_caller_reserve(caller);
    if (!record)
        return false;
    record->function = HIRA_FN_ANSWER;
    record->flags = 0;
    record->size = (uint32_t)(sizeof *record + (size_t)(u.result - result) * 8);
    memcpy(record->words, result, (size_t)(u.result - result) * 8);
    hira_caller_publish(caller, record);
    return true;
}

/* A server that nests callbacks deeper than any does would have the application's stack: it is as good as gone. */
static bool wait_reply(struct hira_call *c)
{
    struct hira_caller *caller = &c->lane->caller;
    bool back = true;
    do
        if (hira_unlikely(hira_caller_wait(caller) < 0 || c->lane->depth > HIRA_CALLBACK_DEPTH_MAX)) {
            atomic_store_explicit(&hira_connection.dead, true, memory_order_relaxed);
            return false;
        }
    while (hira_unlikely(caller->map.reply->status == HIRA_REPLY_CALLBACK) && (back = answer_callback(c)));
    return back;
}

bool hira_call_sync(struct hira_call *c)
{
    if (hira_unlikely(c->failed || c->invalid))
        return give_up(c);
    struct hira_caller *caller = &c->lane->caller;
    unsigned flags = c->quiet ? HIRA_RECORD_SYNC | HIRA_RECORD_QUIET : HIRA_RECORD_SYNC;
    if (hira_unlikely(hira_connection.remote))
        publish_and_fill(c, flags);
    else
        publish(c, flags);
    if (hira_unlikely(c->stream.block != HIRA_ARENA_NONE))
        run_stream(c);
    if (hira_unlikely(!wait_reply(c)))
        return give_up(c);
    if (hira_unlikely(c->spill != HIRA_ARENA_NONE)) {
        hira_arena_free(arena(), c->spill);
        c->spill = HIRA_ARENA_NONE;
    }
    const struct hira_reply *reply = caller->map.reply;
    begin_reply(c);
    c->status = (uint8_t)reply->status;
    c->more_output = reply->flags & HIRA_REPLY_MORE;
    if (!c->quiet)
        hira_pending_apply();
    if (hira_unlikely(c->lane->loans != HIRA_ARENA_NONE))
        collect_loans(c->lane);
    hira_arena_rest(arena());
    if (hira_unlikely(reply->flags & HIRA_REPLY_OUTPUT))
        take_output(c);
    if (hira_likely(c->status == HIRA_REPLY_OK))
        return true;
    if (c->status == HIRA_REPLY_INVALID)
        c->invalid = (uint8_t)hira_take_word(c);
    else if (c->status == HIRA_REPLY_POISONED)
        c->code = (int64_t)hira_take_word(c);
    hira_call_end(c, false);
    return false;
}

static void take_more_output(void);

bool hira_call_lost(struct hira_call *c)
{
    return give_up(c);
}

void hira_call_end(struct hira_call *c, bool ok)
{
    if (c->until_done && ok) {
        for (unsigned i = 0; i < c->n_temps; i++)
            hira_pending_add(&c->temps[i]);
        c->n_temps = 0;
    }
    if (hira_unlikely(hira_connection.remote) && c->status == HIRA_REPLY_OK)
        end_flows(c);
    free_temps(c);
    hira_arena_free(arena(), c->stream.block);
    c->stream.block = HIRA_ARENA_NONE;
    if (!ok)
        for (unsigned i = 0; i < c->n_news; i++)
            hira_object_abandon(c->news[i]);
    c->n_news = 0;
    if (hira_unlikely(c->more_output)) {
        c->more_output = false;
        take_more_output();
    }
}

/* ---- results ---- */

void hira_take_bytes(struct hira_call *c, void *data, uint64_t size)
{
    uint64_t left = (uint64_t)((const char *)c->reply_end - (const char *)c->reply);
    memcpy(data, c->reply, HIRA_MIN(size, left));
    c->reply += HIRA_MIN(HIRA_WORDS(size), (uint64_t)(c->reply_end - c->reply));
}

/* The block that was made for this out memory, or NULL. */
static struct hira_temp *temp_of(struct hira_call *c, const void *data)
{
    while (c->next_temp < c->n_temps) {
        struct hira_temp *t = &c->temps[c->next_temp++];
        if (t->to == data)
            return t;
    }
    return NULL;
}

uint64_t hira_take_out(struct hira_call *c, void *data, uint64_t size, bool store)
{
    if (!data)
        return 0;
    uint64_t word = hira_take_word(c), valid = HIRA_MIN(HIRA_MEM_LENGTH(word), size);
    if (HIRA_MEM_KIND(word) == HIRA_MEM_INLINE) {
        uint64_t words = HIRA_MIN(HIRA_WORDS(valid), (uint64_t)(c->reply_end - c->reply));
        valid = HIRA_MIN(valid, words * 8); /* what is not there is not valid either */
        if (store)
            memcpy(data, c->reply, valid);
        c->reply += words;
        return valid;
    }
    struct hira_temp *t = temp_of(c, data);
    if (t && store && t->flows)
        return copy_flow(c, t, data, valid);
    if (t && store && !c->until_done)
        hira_block_copy_out(t->block, data, t->rows ? t->size : valid, t->rows);
    return valid;
}

/* Fetched by a call of its own, on the same lane: what this one's reply still holds is kept aside meanwhile. */
static bool take_later(struct hira_call *c, char *text, uint64_t size)
{
    struct hira_call later;
    uint64_t rest = (uint64_t)(c->reply_end - c->reply) * 8, *words = c->lane->caller.map.reply->words;
    HIRA_AUTOFREE void *kept = malloc(rest + 1);
    if (!kept)
        return false;
    memcpy(kept, c->reply, rest);
    hira_call_begin(&later, HIRA_FN_LATER, HIRA_CALL_SYNC);
    hira_put_out(&later, text, size, true);
    bool got = hira_call_sync(&later);
    if (got) {
        hira_take_word(&later);
        got = hira_take_out(&later, text, size, true) == size;
        hira_call_end(&later, got);
    }
    memcpy(words, kept, rest);
    c->reply = words;
    c->reply_end = words + rest / 8;
    return got;
}

const char *hira_take_string(struct hira_call *c, const void *owner)
{
    uint64_t word = hira_take_word(c), size = HIRA_MEM_LENGTH(word);
    const char *text = (const char *)c->reply;
    if (HIRA_MEM_KIND(word) == HIRA_MEM_INLINE && HIRA_WORDS(size) <= (uint64_t)(c->reply_end - c->reply)) {
        c->reply += HIRA_WORDS(size);
        return hira_string_keep(owner, text, strnlen(text, size)); /* with or without its end */
    }
    if (HIRA_MEM_KIND(word) != HIRA_MEM_LATER || !size || size > HIRA_STRING_MAX)
        return NULL;
    HIRA_AUTOFREE char *fetched = malloc(size);
    return fetched && take_later(c, fetched, size) ? hira_string_keep(owner, fetched, strnlen(fetched, size)) : NULL;
}

/* ---- what the vendor printed ---- */

/* Found from the end of the reply: the values have not been taken yet. Written before the application sees the result. */
static void take_output(struct hira_call *c)
{
    if (c->reply >= c->reply_end)
        return;
    HIRA_UNCANCELLED;
    const uint64_t *p = c->reply_end - 1;
    uint64_t bytes = *p & 0xffffffff;
    int fd = *p >> 32 == 2 ? STDERR_FILENO : STDOUT_FILENO, saved = errno;
    if (HIRA_WORDS(bytes) <= (uint64_t)(p - c->reply)) {
        c->reply_end = p - HIRA_WORDS(bytes);
        hira_fd_write_all(fd, c->reply_end, bytes);
    }
    errno = saved;
}

/* One after the other, not one within the other: what a vendor prints has no end that would fit a stack. */
static void take_more_output(void)
{
    struct hira_call c;
    bool more = true;
    while (more && hira_call_begin(&c, HIRA_FN_NOP, HIRA_CALL_SYNC) && hira_call_sync(&c)) {
        more = c.more_output;
        c.more_output = false;
        hira_call_end(&c, true);
    }
}

void hira_nop(void)
{
    take_more_output();
}
