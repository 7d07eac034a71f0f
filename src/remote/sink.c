/*
 * Publishing records for a callee on this host, and sending back what comes of them. See lanes.h.
 *
 * The link's reader publishes what comes, or queues what finds no room; it never waits. A thread of the lane's waits
 * for the callee, asleep in the lane's own way (channel/lane.h): for room if records are queued, else for a reply,
 * which brings the progress as well. Nothing hurries for progress that no reply brings: it is looked for every other
 * millisecond, for as long as the lane is used; so a record that is not answered wakes nobody but its callee.
 *
 * The callee is trusted no more than the peer: what it writes is copied once and bounded.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <stdlib.h>

#include "base/futex.h"
#include "remote/lanes.h"
#include "remote/util.h"

#define NAP_NS 2000000ull /* how long progress may stay untold: a lane's window is not used up in that time */
#define NAPS_MAX 50u      /* without anything to tell: then the lane's thread sleeps until something comes */

struct relay_queued {
    struct relay_queued *next;
    uint32_t size;
    _Alignas(8) char record[]; /* struct hira_record */
};

/* ---- records ---- */

static bool wants_reply(const struct hira_record *record)
{
    return record->flags & HIRA_RECORD_SYNC || record->function == HIRA_FN_ANSWER;
}

/* Lock held, as in all that follows. */
static bool has_room(struct relay_sink *s)
{
    s->caller.tail = atomic_load_explicit(&s->caller.map.control->tail, memory_order_acquire);
    return s->caller.head + HIRA_RECORD_MAX + HIRA_LINE - s->caller.tail <= HIRA_RING_SIZE;
}

static void publish(struct relay_sink *s, const void *record, uint32_t size)
{
    struct hira_record *to = hira_caller_at(&s->caller, s->caller.head);
    memcpy((char *)to + sizeof to->stamp, (const char *)record + sizeof to->stamp, size - sizeof to->stamp);
    to->size = size;
    if (wants_reply(record)) {
        s->asked = hira_caller_next_sequence(&s->caller);
        s->quiet = ((const struct hira_record *)record)->flags & HIRA_RECORD_QUIET;
    }
    hira_caller_publish(&s->caller, to);
}

static void drain(struct relay_sink *s)
{
    while (s->first && has_room(s)) {
        struct relay_queued *q = s->first;
        publish(s, q->record, q->size);
        s->first = q->next;
        if (!s->first)
            s->last = &s->first;
        s->queued -= q->size;
        free(q);
    }
}

static bool queue(struct relay_sink *s, const void *record, uint32_t size)
{
    struct relay_queued *q = s->queued > RELAY_WINDOW ? NULL : malloc(sizeof *q + size);
    if (!q)
        return false;
    *q = (struct relay_queued){.size = size};
    memcpy(q->record, record, size);
    *s->last = q;
    s->last = &q->next;
    s->queued += size;
    return true;
}

/* What the thread sleeps for when there is nothing to be done. */
static uint32_t wants(struct relay_sink *s)
{
    if (!s->first)
        return HIRA_WANTS_REPLY;
    atomic_store_explicit(&s->caller.map.control->room_at, s->caller.head - HIRA_RING_SIZE / 2, memory_order_relaxed);
    return HIRA_WANTS_ROOM;
}

static bool awaits_reply(const struct relay_sink *s)
{
    return s->asked > s->answered && s->asked > s->spun;
}

/* A thread that naps sees by itself what has come. For a reply that may come soon it is woken while the callee is: were it woken by
 * the reply, the caller would wait for one wake-up after the other. */
static void rouse(struct relay_sink *s)
{
    if (!s->dormant && !s->first && !awaits_reply(s))
        return;
    s->dormant = false;
    atomic_store_explicit(&s->caller.map.control->caller_sleeps, HIRA_AWAKE, memory_order_seq_cst);
    hira_futex_wake(&s->caller.map.control->caller_sleeps, 1);
}

int relay_sink_take(struct relay_sink *s, const struct relay_frame *frame, const void *payload)
{
    const struct hira_record_memory *memories = payload;
    uint64_t n = frame->argument;
    if (n > RELAY_MEMORIES_MAX || n * sizeof *memories > frame->size - sizeof(struct hira_record))
        return -EBADMSG;
    const struct hira_record *record = (const struct hira_record *)(memories + n);
    uint32_t size = (uint32_t)(frame->size - n * sizeof *memories);
    if (size > HIRA_RECORD_MAX)
        return -EBADMSG;
    for (uint64_t i = 0; i < n; i++)
        if (!relay_memory_valid(s->memory, &memories[i]) ||
            (memories[i].size_and_how & HIRA_MEMORY_CELL && !relay_memory_watch(s->memory, &memories[i])))
            return -EBADMSG;
    if (record->flags & HIRA_RECORD_SYNC)
        atomic_fetch_add_explicit(&s->memory->link->count.callbacks, 1, memory_order_relaxed);
    pthread_mutex_lock(&s->lock);
    bool ok = !(record->flags & HIRA_RECORD_SYNC) || relay_outs_push(&s->outs, memories, (int)n);
    if (ok && !s->first && has_room(s))
        publish(s, record, size);
    else if (ok)
        ok = queue(s, record, size);
    rouse(s);
    pthread_mutex_unlock(&s->lock);
    return ok ? 0 : -EBADMSG;
}

/* ---- replies ---- */

static struct relay_progress progress(const struct relay_sink *s)
{
    const struct hira_lane_control *control = s->caller.map.control;
    uint64_t retired = atomic_load_explicit(&control->retired, memory_order_acquire);
    uint64_t tail = atomic_load_explicit(&control->tail, memory_order_acquire);
    return (struct relay_progress){HIRA_MIN(HIRA_MAX(retired, s->told), s->caller.sequence),
                                   HIRA_MIN(tail, s->caller.head)};
}

/* What a call has written: before its reply, or what flows, behind it. */
static void send_outs(struct relay_sink *s, const struct relay_outs *outs, uint64_t flows)
{
    for (int i = 0; i < outs->n; i++)
        if ((outs->memories[i].size_and_how & HIRA_MEMORY_FLOWS) == flows)
            relay_memory_send(s->memory, outs->memories[i].offset, HIRA_MEMORY_SIZE(outs->memories[i].size_and_how),
                              flows ? 0 : RELAY_MORE);
}

static void send_reply(struct relay_sink *s, uint64_t stamp)
{
    const struct hira_reply *slot = s->caller.map.reply;
    uint32_t said = *(const volatile uint32_t *)&slot->size;
    uint32_t size = HIRA_MIN(HIRA_MAX(said, (uint32_t)sizeof *slot), HIRA_REPLY_SIZE);
    memcpy(s->reply, slot, size);
    struct hira_reply *reply = (struct hira_reply *)s->reply;
    s->answered = stamp;
    if (stamp == s->spun)
        hira_spin_learn(&s->spin, hira_ticks() - s->since);
    struct relay_progress p = progress(s);
    if (reply->status != HIRA_REPLY_CALLBACK) /* it is done, though the callee says so a moment later */
        p.retired = HIRA_MAX(p.retired, stamp);
    s->told = HIRA_MAX(s->told, p.retired);
    HIRA_AUTOFREE struct relay_outs *outs = relay_outs_pop(&s->outs, reply->status);
    bool quiet = s->quiet && stamp == s->asked;
    pthread_mutex_unlock(&s->lock);
    if (s->settles && !quiet)
        relay_memory_settle(s->memory);
    bool ok = outs && reply->status == HIRA_REPLY_OK;
    if (ok)
        send_outs(s, outs, 0);
    const struct iovec parts[] = {{&p, sizeof p}, {reply, size}};
    relay_link_send(s->memory->link, RELAY_REPLY, s->index, stamp, parts, 2, 0);
    if (ok)
        send_outs(s, outs, HIRA_MEMORY_FLOWS);
    pthread_mutex_lock(&s->lock);
}

/* True: something was done. */
static bool step(struct relay_sink *s)
{
    uint64_t stamp = atomic_load_explicit(&s->caller.map.reply->stamp, memory_order_acquire);
    drain(s);
    if (stamp != s->answered && stamp <= s->caller.sequence) {
        send_reply(s, stamp);
        return true;
    }
    struct relay_progress p = progress(s);
    if (p.retired <= s->told)
        return false;
    s->told = p.retired;
    pthread_mutex_unlock(&s->lock);
    const struct iovec part = {&p, sizeof p};
    relay_link_send(s->memory->link, RELAY_PROGRESS, s->index, 0, &part, 1, 0);
    pthread_mutex_lock(&s->lock);
    return true;
}

static bool test_reply(void *context)
{
    const struct relay_sink *s = context;
    return atomic_load_explicit(&s->caller.map.reply->stamp, memory_order_acquire) != s->answered;
}

/* True: a reply is there. */
static bool spin(struct relay_sink *s)
{
    if (!awaits_reply(s))
        return false;
    s->spun = s->asked;
    s->since = hira_ticks();
    pthread_mutex_unlock(&s->lock);
    bool there = hira_spin(&s->spin, test_reply, s); /* `answered` is this thread's */
    pthread_mutex_lock(&s->lock);
    return there;
}

static void *serve(void *context)
{
    struct relay_sink *s = context;
    _Atomic uint32_t *sleeps = &s->caller.map.control->caller_sleeps;
    unsigned naps = 0;
    pthread_mutex_lock(&s->lock);
    for (;;) {
        while (step(s) || spin(s))
            naps = 0;
        uint32_t mine = wants(s);
        s->dormant = naps++ >= NAPS_MAX && !s->first && HIRA_MAX(s->told, s->answered) == s->caller.sequence;
        uint64_t limit = s->dormant ? UINT64_MAX : NAP_NS;
        atomic_store_explicit(sleeps, mine, memory_order_relaxed);
        atomic_thread_fence(memory_order_seq_cst);
        bool again = step(s);
        pthread_mutex_unlock(&s->lock);
        if (!again)
            hira_futex_wait(sleeps, mine, limit);
        pthread_mutex_lock(&s->lock);
        s->dormant = false;
        atomic_store_explicit(sleeps, HIRA_AWAKE, memory_order_relaxed);
    }
    return NULL;
}

int relay_sink_start(struct relay_sink *s, struct relay_memory *memory, uint16_t index, bool settles)
{
    s->memory = memory;
    s->index = index;
    s->settles = settles;
    s->last = &s->first;
    hira_spin_init(&s->spin, HIRA_SPIN_LEAST_NS, HIRA_SPIN_MOST_NS);
    pthread_mutex_init(&s->lock, NULL);
    return relay_thread_start(serve, s) ? 0 : -EAGAIN;
}
