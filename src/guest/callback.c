/*
 * Callbacks: one thread of the guest that runs the application's functions, in the order in which the server sent them.
 *
 * The thread starts with the first registration, takes records from a reverse lane (the server is the caller there), sleeps
 * when there are none, and has a lane of its own like any thread, since callbacks may call the API. The record brings back the
 * application's function and cookie as they were registered. All signals are blocked in it.
 *
 * A callback that the vendor calls, and waits for, from within a call is run by the thread that made that call: see hira_call_sync.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include <unistd.h>

#include "base/fd.h"
#include "guest/internal.h"

static struct hira_callee reverse;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static bool opened, started;
static _Atomic bool can_sleep;      /* `reverse` is set up */
static _Atomic uint64_t n_run;      /* callbacks of the reverse lane that have been run */
static __thread bool runs_callbacks; /* this is their thread */
static unsigned life; /* counts forks: the thread of a parent may go on in the child */

void hira_callbacks_forget(void)
{
    pthread_mutex_init(&lock, NULL);
    opened = started = false;
    atomic_store(&can_sleep, false);
    atomic_store(&n_run, 0);
    life++;
    reverse = (struct hira_callee){0};
}

uint64_t hira_up_word(struct hira_upcall *u)
{
    if (u->p < u->end)
        return *u->p++;
    u->bad = true;
    return 0;
}

void hira_up_bytes(struct hira_upcall *u, void *data, uint64_t size)
{
    if (HIRA_WORDS(size) > (uint64_t)(u->end - u->p)) {
        memset(data, 0, size);
        u->p = u->end;
        u->bad = true;
        return;
    }
    memcpy(data, u->p, size);
    u->p += HIRA_WORDS(size);
}

void hira_up_result(struct hira_upcall *u, const void *data, uint64_t size)
{
    if (HIRA_WORDS(size) > (uint64_t)(u->result_end - u->result) || !size)
        return;
    u->result[HIRA_WORDS(size) - 1] = 0;
    memcpy(u->result, data, size);
    u->result += HIRA_WORDS(size);
}

void *hira_up_handle(struct hira_upcall *u, unsigned type)
{
    uint64_t id = hira_up_word(u);
    return HIRA_ID_TYPE(id) == type ? hira_object_named(id) : NULL;
}

const void *hira_up_memory(struct hira_upcall *u, uint64_t *ret_size)
{
    uint64_t word = hira_up_word(u), size = HIRA_MEM_LENGTH(word);
    *ret_size = 0;
    if (HIRA_MEM_KIND(word) != HIRA_MEM_INLINE)
        return NULL;
    if (HIRA_WORDS(size) > (uint64_t)(u->end - u->p)) {
        u->bad = true;
        return NULL;
    }
    const void *data = u->p;
    u->p += HIRA_WORDS(size);
    *ret_size = size;
    return data;
}

/* What the application has registered, and as what: whatever a server sends, nothing else is ever called. A table that only grows; an application
 * with more functions than it holds makes them at run time, and is believed. */
#define FUNCTIONS_MAX 1024u
static _Atomic uintptr_t functions[FUNCTIONS_MAX];
static _Atomic bool too_many;

static bool find_function(uint64_t index, uint64_t address, bool add)
{
    const uintptr_t function = address << 8 ^ index; /* addresses have some bits to spare, and there are not so many types */
    if (address >> 56) /* they would be lost, and the function is none */
        return false;
    uintptr_t place = (function ^ function >> 12) * 0x9e3779b97f4a7c15ull >> 32;
    for (unsigned i = 0; i < FUNCTIONS_MAX; i++) {
        _Atomic uintptr_t *slot = &functions[(place + i) % FUNCTIONS_MAX];
        uintptr_t there = atomic_load_explicit(slot, memory_order_acquire);
        if (there == function)
            return true;
        if (!there && !add)
            return false;
        if (!there && (atomic_compare_exchange_strong(slot, &there, function) || there == function))
            return true;
    }
    if (add)
        atomic_store(&too_many, true);
    return atomic_load(&too_many);
}

bool hira_callback_run(uint64_t index, struct hira_upcall *u)
{
    const unsigned mine = life;
    hira_pending_apply();
    if (index < hira_guest_api.n_upcalls && u->p < u->end && *u->p && find_function(index, *u->p, false))
        hira_guest_api.upcalls[index](u);
    return mine == life;
}

bool hira_callback_take(const struct hira_record *record, uint32_t size)
{
    struct hira_reply *reply = reverse.map.reply;
    struct hira_upcall u = {.p = record->words, .end = (const uint64_t *)((const char *)record + (size & ~7u)), .result = reply->words,
                            .result_end = (uint64_t *)((char *)reply + HIRA_REPLY_SIZE)};
    if (!hira_callback_run(record->function, &u))
        return false;
    if (record->flags & HIRA_RECORD_SYNC) {
        reply->status = HIRA_REPLY_OK;
        hira_callee_reply(&reverse, (uint32_t)((char *)u.result - (char *)reply));
    }
    hira_callee_retire(&reverse, reverse.sequence);
    atomic_store_explicit(&n_run, reverse.sequence, memory_order_release);
    return true;
}

void hira_callbacks_settle(uint64_t posted)
{
    HIRA_UNCANCELLED;
    for (unsigned nap = 10; !runs_callbacks && atomic_load_explicit(&n_run, memory_order_acquire) < posted && hira_alive(NULL);
         nap = HIRA_MIN(nap * 2, 1000u))
        usleep(nap);
}

static void *callback_thread(void *unused)
{
    static _Alignas(HIRA_CACHE_LINE) char copy[HIRA_RECORD_MAX];
    (void)unused;
    runs_callbacks = true;
    for (;;) {
        int size = hira_callee_next(&reverse, (struct hira_record *)copy, true);
        if (size <= 0)
            return NULL; /* the ring holds what no server writes */
        hira_callee_release(&reverse);
        if (!hira_callback_take((struct hira_record *)copy, (uint32_t)size))
            break;
    }
    for (;;) /* natively a callback that forks returns to a library whose other threads are not there either */
        pause();
}

static bool open_reverse_lane(void)
{
    struct hira_lane_message ask = {.head = hira_message_head(HIRA_MSG_OPEN_LANE, sizeof ask), .callbacks = 1}, made = {0};
    HIRA_AUTOCLOSE int fd = -1;
    pthread_mutex_lock(&hira_connection.control);
    struct hira_transport *t = &hira_connection.transport;
    int error = hira_request(&ask, sizeof ask, HIRA_MSG_LANE, &made, sizeof made, t->memory ? NULL : &fd);
    pthread_mutex_unlock(&hira_connection.control);
    if (error)
        return false;
    return t->memory ? t->ops->place_lane(t, &reverse.map, 0, true) == 0 : hira_lane_map(&reverse.map, fd) == 0;
}

void hira_callbacks_woken(void)
{
    if (atomic_load_explicit(&can_sleep, memory_order_acquire))
        hira_lane_woken(&reverse.map, &reverse.map.control->callee_sleeps);
}

static bool start_thread(void)
{
    /* Of a server that is gone it hears nothing, asleep for good: looking now and then would cost more. But what wakes it from another
     * kernel may get lost, where the stream is full. */
    reverse.alive = reverse.map.far ? hira_alive : NULL;
    atomic_store_explicit(&can_sleep, true, memory_order_release);
    hira_spin_init(&reverse.spin, 0, 0); /* it never spins: callbacks are rare and the application's cores are its own */
    return !hira_thread_start(callback_thread, NULL);
}

bool hira_callbacks_start(void)
{
    HIRA_UNCANCELLED;
    pthread_mutex_lock(&lock);
    if (!started && hira_connect())
        /* The server opens it once; a thread may be had later. */
        started = (opened || (opened = open_reverse_lane())) && start_thread();
    bool ok = started;
    pthread_mutex_unlock(&lock);
    return ok;
}

void hira_put_callback(struct hira_call *c, unsigned index, void (*function)(void), const void *user_data)
{
    if (function && !c->failed && !hira_callbacks_start())
        c->failed = true;
    if (function)
        find_function(index, (uintptr_t)function, true);
    hira_put_word(c, (uint64_t)(uintptr_t)function);
    hira_put_word(c, (uint64_t)(uintptr_t)user_data);
}
