/*
 * Taking a caller's records and sending them. See lanes.h.
 *
 * The caller's ring is free again as soon as a record is copied; what is under way to the callee is bounded here, by
 * what it has taken from its own ring. Records that are there together are sent together.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <stdlib.h>

#include "remote/lanes.h"
#include "remote/util.h"

/* The record's memories, taken off its end. Their number, or -1: no guest library writes that. */
static int take_memories(struct hira_record *record, struct hira_record_memory **ret)
{
    uint64_t words = (record->size - sizeof *record) / 8, n;
    if (!(record->flags & HIRA_RECORD_MEMORY))
        return 0;
    if (!words || (n = record->words[words - 1]) > RELAY_MEMORIES_MAX || 2 * n > words - 1)
        return -1;
    words -= 1 + 2 * n;
    record->flags &= (uint16_t)~HIRA_RECORD_MEMORY;
    record->size = (uint32_t)(sizeof *record + words * 8);
    *ret = (struct hira_record_memory *)(record->words + words);
    return (int)n;
}

static uint64_t ring_bytes(uint32_t size)
{
    return HIRA_ALIGN_UP((uint64_t)size, (uint64_t)HIRA_LINE);
}

static bool next_is_there(const struct relay_source *s)
{
    const struct hira_record *next =
        (const struct hira_record *)(s->callee.map.ring + (s->callee.head & (HIRA_RING_SIZE - 1)));
    return atomic_load_explicit(&next->stamp, memory_order_relaxed) != 0;
}

static void wait_for_room(struct relay_source *s, uint64_t bytes)
{
    pthread_mutex_lock(&s->lock);
    if (s->sent + bytes - s->consumed > RELAY_WINDOW) { /* what waits to go with others goes now */
        pthread_mutex_unlock(&s->lock);
        relay_link_flush(s->memory->link);
        pthread_mutex_lock(&s->lock);
    }
    while (s->sent + bytes - s->consumed > RELAY_WINDOW)
        pthread_cond_wait(&s->room, &s->lock);
    s->sent += bytes;
    pthread_mutex_unlock(&s->lock);
}

static void count(struct relay_count *c, uint64_t bytes, bool waits)
{
    atomic_fetch_add_explicit(&c->calls, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&c->ring_bytes, bytes, memory_order_relaxed);
    if (!waits)
        return;
    uint64_t others = atomic_fetch_add_explicit(&c->waiting, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&c->waits, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&c->millionths, 1000000 / (others + 1), memory_order_relaxed);
}

/* What the record reads goes before it, as it is being filled. */
static void send_memory(struct relay_source *s, struct hira_record_memory *memory)
{
    uint64_t how = memory->size_and_how, size = HIRA_MEMORY_SIZE(how);
    if (!relay_memory_valid(s->memory, memory))
        s->memory->link->owner->over(s->memory->link->context, "a record is malformed");
    if (how & HIRA_MEMORY_IN && how & HIRA_MEMORY_FLOWS)
        relay_memory_send_flow(s->memory, memory->offset, size);
    else if (how & HIRA_MEMORY_IN)
        relay_memory_send(s->memory, memory->offset, size, RELAY_MORE);
}

static void remember_outs(struct relay_source *s, const struct hira_record_memory *memories, int n)
{
    pthread_mutex_lock(&s->lock);
    bool ok = relay_outs_push(&s->outs, memories, n);
    pthread_mutex_unlock(&s->lock);
    if (!ok)
        s->memory->link->owner->over(s->memory->link->context, "too many calls inside each other");
}

static void send_record(struct relay_source *s, struct hira_record *record)
{
    struct relay_link *link = s->memory->link;
    struct hira_record_memory *memories = NULL;
    int n = take_memories(record, &memories);
    if (n < 0)
        link->owner->over(link->context, "a record is malformed");
    bool waits = record->flags & HIRA_RECORD_SYNC || record->function == HIRA_FN_ANSWER,
         more = !waits && next_is_there(s);
    count(&link->count, ring_bytes(record->size), waits);
    wait_for_room(s, ring_bytes(record->size));
    if (s->settles)
        relay_memory_settle(s->memory);
    for (int i = 0; i < n; i++)
        send_memory(s, &memories[i]);
    if (record->flags & HIRA_RECORD_SYNC)
        remember_outs(s, memories, n);
    const struct iovec parts[] = {{memories, (size_t)n * sizeof *memories}, {record, record->size}};
    relay_link_send(link, RELAY_RECORD, s->index, (uint64_t)n, parts, 2, more ? RELAY_MORE : 0);
}

static void *serve(void *context)
{
    struct relay_source *s = context;
    struct relay_link *link = s->memory->link;
    _Alignas(HIRA_CACHE_LINE) char copy[HIRA_RECORD_MAX];
    struct hira_record *record = (struct hira_record *)copy;
    for (;;) {
        if (hira_callee_next(&s->callee, record, true) <= 0)
            link->owner->over(link->context, "a ring holds what nobody writes");
        hira_callee_release(&s->callee);
        send_record(s, record);
    }
    return NULL;
}

int relay_source_start(struct relay_source *s, struct relay_memory *memory, uint16_t index, bool settles)
{
    s->memory = memory;
    s->index = index;
    s->settles = settles;
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->room, NULL);
    hira_spin_init(&s->callee.spin, 0, 0); /* the network takes longer than waking does, and others need the core */
    return relay_thread_start(serve, s) ? 0 : -EAGAIN;
}

int relay_source_progress(struct relay_source *s, const struct relay_progress *p)
{
    pthread_mutex_lock(&s->lock);
    bool ok = p->consumed <= s->sent;
    if (ok && p->consumed > s->consumed) {
        s->consumed = p->consumed;
        pthread_cond_signal(&s->room);
    }
    pthread_mutex_unlock(&s->lock);
    _Atomic uint64_t *retired = &s->callee.map.control->retired;
    if (ok && p->retired > atomic_load_explicit(retired, memory_order_relaxed))
        atomic_store_explicit(retired, p->retired, memory_order_release);
    return ok ? 0 : -EBADMSG;
}

/* A call is answered: what of its memory flows is about to come. */
static int expect_outs(struct relay_source *s, uint16_t status)
{
    pthread_mutex_lock(&s->lock);
    HIRA_AUTOFREE struct relay_outs *outs = relay_outs_pop(&s->outs, status);
    pthread_mutex_unlock(&s->lock);
    for (int i = 0; outs && status == HIRA_REPLY_OK && i < outs->n; i++)
        if (outs->memories[i].size_and_how & HIRA_MEMORY_FLOWS &&
            !relay_memory_expect(s->memory, &outs->memories[i], &s->callee.map))
            return -ENOMEM;
    return 0;
}

int relay_source_reply(struct relay_source *s, const struct relay_frame *frame, const void *payload)
{
    const struct hira_reply *from = (const struct hira_reply *)((const char *)payload + sizeof(struct relay_progress));
    struct hira_reply *reply = s->callee.map.reply;
    uint32_t size = (uint32_t)(frame->size - sizeof(struct relay_progress));
    int error = relay_source_progress(s, payload);
    if (!error)
        error = expect_outs(s, from->status);
    if (error)
        return error;
    _Atomic uint64_t *waiting = &s->memory->link->count.waiting;
    if (atomic_load_explicit(waiting, memory_order_relaxed)) /* only this thread takes from it; the peer may answer what nobody asked */
        atomic_fetch_sub_explicit(waiting, 1, memory_order_relaxed);
    memcpy((char *)reply + sizeof reply->stamp, (const char *)from + sizeof from->stamp, size - sizeof from->stamp);
    reply->size = size;
    atomic_exchange_explicit(&reply->stamp, frame->argument, memory_order_seq_cst);
    hira_wake(&s->callee.map, &s->callee.map.control->caller_sleeps, HIRA_WANTS_REPLY);
    return 0;
}
