/*
 * The vendor's callbacks, sent to the application.
 *
 * A vendor thread must never wait for the guest, so a callback is written to the reverse lane if there is room and nobody is
 * before it, and queued otherwise; a thread of ours works the queue off. Order is that of the vendor's calls. Before a
 * callback is sent, completions are settled: it may tell the application that a command has ended.
 *
 * A callback that is waited for and comes from within a call, on the thread that serves it, is run by the guest's thread that waits for
 * that call, as natively (see hira_serve_callback): so callbacks may be nested as deep as calls. From other threads of the vendor's it
 * takes the reverse lane.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>

#include "server/internal.h"

#define QUEUE_BYTES_MAX (256u << 20)
#define QUEUE_MAX 1000000u /* callbacks a guest may leave unanswered before it is dropped: its own commands made them */

struct queued {
    struct queued *next;
    uint32_t n;
    uint16_t index;
    uint64_t words[];
};

static struct hira_caller reverse;
static _Atomic bool open_; /* read by vendor threads without the lock */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;      /* queue, reverse */
static pthread_cond_t more = PTHREAD_COND_INITIALIZER;
static struct queued *first, **last = &first;
static uint32_t n_queued;
static uint64_t queued_bytes;
static pthread_mutex_t call_lock = PTHREAD_MUTEX_INITIALIZER; /* one callback at a time is waited for */

/* Lock held; there is room. */
static void send(const struct queued *q, uint16_t flags)
{
    struct hira_record *record = hira_caller_at(&reverse, reverse.head);
    memcpy(record->words, q->words, q->n * 8);
    record->function = q->index;
    record->flags = flags;
    record->size = (uint32_t)(sizeof *record + q->n * 8);
    hira_caller_publish(&reverse, record);
}

static bool room(void)
{
    reverse.tail = atomic_load_explicit(&reverse.map.control->tail, memory_order_acquire);
    return reverse.head + HIRA_RECORD_MAX + HIRA_LINE - reverse.tail <= HIRA_RING_SIZE;
}

static void *queue_thread(void *unused)
{
    (void)unused;
    pthread_mutex_lock(&lock);
    for (;;) {
        while (!first)
            pthread_cond_wait(&more, &lock);
        if (!room()) {
            pthread_mutex_unlock(&lock);
            struct timespec nap = {0, 1000000};
            nanosleep(&nap, NULL);
            pthread_mutex_lock(&lock);
            continue;
        }
        struct queued *q = first;
        send(q, 0);
        first = q->next;
        if (!first)
            last = &first;
        n_queued--;
        queued_bytes -= sizeof *q + q->n * 8;
        free(q);
    }
    return NULL;
}

int hira_upcalls_open(const struct hira_lane_map *map)
{
    pthread_t thread;
    if (open_)
        return -EEXIST;
    reverse.map = *map;
    reverse.alive = NULL; /* when the guest goes, the process does */
    hira_spin_init(&reverse.spin, 0, 20000);
    if (pthread_create(&thread, NULL, queue_thread, NULL))
        return -EAGAIN;
    pthread_detach(thread);
    open_ = true;
    return 0;
}

bool hira_up_begin(struct hira_up *u, struct hira_registration *r)
{
    u->registration = r;
    u->n = 0;
    if (!r || !open_)
        return false;
    hira_up_word_put(u, r->function);
    hira_up_word_put(u, r->user_data);
    return true;
}

void hira_up_word_put(struct hira_up *u, uint64_t word)
{
    if (u->n < HIRA_ARRAY_SIZE(u->words))
        u->words[u->n++] = word;
}

void hira_up_bytes_put(struct hira_up *u, const void *data, uint64_t size)
{
    for (uint64_t i = 0; i < HIRA_WORDS(size); i++) {
        uint64_t word = 0;
        memcpy(&word, (const char *)data + i * 8, HIRA_MIN(size - i * 8, (uint64_t)8));
        hira_up_word_put(u, word);
    }
}

/* The object that the callback was registered with keeps its name even when the application has let it go meanwhile. */
static uint64_t name_of(const struct hira_up *u, void *vendor, unsigned type)
{
    const struct hira_registration *r = u->registration;
    uint64_t id = 0;
    if (vendor && vendor == r->vendor && HIRA_ID_TYPE(r->id) == type)
        id = r->id;
    else if (vendor && !(id = hira_slot_find(vendor, type)))
        id = HIRA_ID_TYPE(r->made) == type && r->made ? r->made : hira_handle_to_id(vendor, type, false);
    return id;
}

void hira_up_handle_put(struct hira_up *u, void *vendor, unsigned type)
{
    hira_up_word_put(u, name_of(u, vendor, type));
}

void hira_up_handle_turn(struct hira_up *u, void *handle, unsigned type)
{
    void *vendor;
    memcpy(&vendor, handle, sizeof vendor);
    uint64_t id = name_of(u, vendor, type);
    memcpy(handle, &id, sizeof id);
}

void hira_up_memory_put(struct hira_up *u, const void *data, uint64_t size)
{
    if (!data) {
        hira_up_word_put(u, HIRA_MEM_WORD(HIRA_MEM_NULL, 0));
        return;
    }
    uint64_t room_words = HIRA_ARRAY_SIZE(u->words) - u->n;
    size = room_words > 8 ? HIRA_MIN(size, (room_words - 8) * 8) : 0;
    hira_up_word_put(u, HIRA_MEM_WORD(HIRA_MEM_INLINE, size));
    hira_up_bytes_put(u, data, size);
}

static struct queued *queued_from(const struct hira_up *u)
{
    struct queued *q = malloc(sizeof *q + u->n * 8);
    if (!q)
        hira_server_stop("out of memory");
    q->next = NULL;
    q->n = u->n;
    q->index = u->registration->index;
    memcpy(q->words, u->words, u->n * 8);
    return q;
}

static void forget(struct hira_up *u)
{
    if (u->registration->once)
        hira_registration_drop(u->registration);
}

void hira_up_post(struct hira_up *u)
{
    struct queued *q = queued_from(u);
    hira_pending_poll();
    pthread_mutex_lock(&lock);
    if (!first && room()) {
        send(q, 0);
        free(q);
    } else {
        *last = q;
        last = &q->next;
        queued_bytes += sizeof *q + q->n * 8;
        if (++n_queued > QUEUE_MAX || queued_bytes > QUEUE_BYTES_MAX)
            hira_server_stop("the guest leaves its callbacks unanswered");
        pthread_cond_signal(&more);
    }
    pthread_mutex_unlock(&lock);
    forget(u);
}

/* Only the caller's own thread waits: others go on posting, so the reply is known by its sequence, not by being the last. */
static void call_elsewhere(struct hira_up *u, void *result, uint64_t size)
{
    struct queued *q = queued_from(u);
    uint64_t sequence = 0;
    hira_account_other_side();
    pthread_mutex_lock(&call_lock);
    while (!sequence) {
        pthread_mutex_lock(&lock);
        if (!first && room()) {
            send(q, HIRA_RECORD_SYNC);
            sequence = reverse.sequence;
        }
        pthread_mutex_unlock(&lock);
        if (!sequence)
            nanosleep(&(struct timespec){0, 100000}, NULL);
    }
    struct hira_reply *reply = reverse.map.reply;
    if (hira_server.alone)
        atomic_store(&reply->stamp, sequence); /* whatever stands there is the answer */
    for (uint64_t nap = 1000; atomic_load_explicit(&reply->stamp, memory_order_acquire) != sequence; nap = HIRA_MIN(nap * 2, 1000000ul))
        nanosleep(&(struct timespec){0, (long)nap}, NULL);
    uint32_t got = *(volatile uint32_t *)&reply->size;
    if (got >= sizeof *reply && got <= HIRA_REPLY_SIZE)
        memcpy(result, reply->words, HIRA_MIN(size, got - sizeof *reply));
    pthread_mutex_unlock(&call_lock);
    hira_account_other_side();
    free(q);
}

/* How many callbacks the guest must have run to have run all that were posted. */
static uint64_t posted(void)
{
    pthread_mutex_lock(&lock);
    uint64_t n = reverse.sequence + n_queued;
    pthread_mutex_unlock(&lock);
    return n;
}

void hira_up_call(struct hira_up *u, void *result, uint64_t size)
{
    struct hira_serve *s = hira_serving;
    uint64_t nothing;
    result = size ? result : &nothing;
    memset(result, 0, size);
    hira_pending_poll();
    if (s && s->sync && !s->stream && !hira_server.alone)
        hira_serve_callback(s, u->registration->index, posted(), u->words, u->n, result, size);
    else
        call_elsewhere(u, result, size);
    forget(u);
}
