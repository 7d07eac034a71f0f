/*
 * One guest's life in its server: WELCOME, lanes, segments, hang-up.
 *
 * The main thread answers control messages and notices the hang-up, at which the process ends at once: nothing that the
 * vendor does can keep it, and the kernel takes everything back. Each lane has a thread; a lane whose guest thread has ended gets a
 * fresh one, so that thread-local state of the vendor's begins anew.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/fd.h"
#include "server/internal.h"
#include "server/zygote.h"

#define LEFT_MAX 32u /* commands begun and not waited for: more gain nothing, and memory is kept for each */
#define FREE_MEMORY_MAX 64u /* call memories kept for use again: as many as commands are usually in flight */
#define NO_FUNCTION 0xffffu
#define SUCCESSOR_TRIES 500 /* of a millisecond each */

_Static_assert(HIRA_ACCOUNT_LANES >= HIRA_LANES_MAX, "a line for each lane");

struct hira_server hira_server = {.memory_lock = PTHREAD_MUTEX_INITIALIZER};
__thread struct hira_serve *hira_serving;

_Noreturn void hira_server_stop(const char *why)
{
    if (why)
        dprintf(hira_zygote_log_fd(), "hira-server: guest dropped: %s\n", why);
    _exit(why ? 1 : 0);
}

/* ---- memory of calls ---- */

struct hira_memory *hira_memory_new(void)
{
    struct hira_server *server = &hira_server;
    pthread_mutex_lock(&server->memory_lock);
    struct hira_memory *m = server->free_memory;
    if (m) {
        server->free_memory = m->next;
        server->n_free_memory--;
    }
    pthread_mutex_unlock(&server->memory_lock);
    if (!m && !(m = aligned_alloc(HIRA_CACHE_LINE, sizeof *m)))
        hira_server_stop("out of memory");
    atomic_fetch_add_explicit(&server->private_bytes, sizeof *m, memory_order_relaxed);
    m->next = NULL;
    m->chunks = NULL;
    m->spilled = NULL;
    m->spilled_bytes = 0;
    m->used = 0;
    m->chunk_bytes = 0;
    return m;
}

/* Ready for the next call. */
static void memory_reset(struct hira_memory *m)
{
    if (hira_unlikely(m->chunk_bytes | m->spilled_bytes))
        hira_private_give(m->chunk_bytes + m->spilled_bytes);
    m->used = 0;
    m->chunk_bytes = m->spilled_bytes = 0;
    free(m->spilled);
    m->spilled = NULL;
    while (m->chunks) {
        struct hira_chunk *next = m->chunks->next;
        free(m->chunks);
        m->chunks = next;
    }
}

void hira_memory_free(struct hira_memory *m)
{
    struct hira_server *server = &hira_server;
    if (!m)
        return;
    memory_reset(m);
    hira_private_give(sizeof *m);
    pthread_mutex_lock(&server->memory_lock);
    if (server->n_free_memory < FREE_MEMORY_MAX) {
        m->next = server->free_memory;
        server->free_memory = m;
        server->n_free_memory++;
        m = NULL;
    }
    pthread_mutex_unlock(&server->memory_lock);
    free(m);
}

/* ---- one record ---- */

/* Waits until another lane has retired a record. Only its own lane can make a guest that lies about this wait for ever. */
static void wait_dep(uint64_t index, uint64_t sequence)
{
    struct hira_server *server = &hira_server;
    struct hira_server_lane *other = index < HIRA_LANES_MAX ? atomic_load(&server->lanes[index]) : NULL;
    if (!other || atomic_load_explicit(&other->retired, memory_order_acquire) >= sequence)
        return;
    for (int i = 0; i < 1000; i++) {
        if (atomic_load_explicit(&other->retired, memory_order_acquire) >= sequence)
            return;
        hira_relax();
    }
    atomic_fetch_add(&server->dep_waiters, 1);
    for (;;) {
        uint32_t epoch = atomic_load(&server->dep_epoch);
        if (atomic_load(&other->retired) >= sequence || server->alone)
            break;
        hira_futex_wait(&server->dep_epoch, epoch, HIRA_NAP_NS);
    }
    atomic_fetch_sub(&server->dep_waiters, 1);
}

/* Takes the dependencies off the end of the record and waits for them. */
static bool wait_deps(struct hira_serve *s)
{
    if (s->p == s->end)
        return false;
    uint64_t n = *--s->end;
    if (n > HIRA_DEPS_MAX || 2 * n > (uint64_t)(s->end - s->p))
        return false;
    s->end -= 2 * n;
    for (uint64_t i = 0; i < n; i++)
        wait_dep(s->end[2 * i], s->end[2 * i + 1]);
    return true;
}

/* The payload went to the arena: copied privately, then decoded as if it had come in the record. */
static bool take_spilled(struct hira_serve *s, struct hira_memory *m)
{
    uint64_t offset = hira_get_word(s), size = hira_get_word(s);
    const void *shared = s->bad || size > HIRA_SPILL_MAX || size % 8 ? NULL : hira_arena_at(&hira_server.arena, offset, size);
    if (!shared)
        return false;
    bool room = hira_private_take(size);
    m->spilled_bytes = room ? size : 0;
    m->spilled = room ? malloc(size ? size : 8) : NULL;
    if (!m->spilled) {
        hira_starve(s);
        return true;
    }
    memcpy(m->spilled, shared, size);
    s->p = (uint64_t *)m->spilled;
    s->end = s->p + size / 8;
    return true;
}

static void serve_release(struct hira_serve *s)
{
    uint64_t id = hira_get_word(s);
    hira_get_end(s);
    if (hira_serve_ready(s) && !hira_slot_release(id))
        s->status = HIRA_REPLY_FAILED;
}

/* Something is limited: see gate.h. */
static void call_gated(struct hira_serve *s, uint16_t function)
{
    if (!hira_gate_enter(s, function)) {
        s->status = HIRA_REPLY_FAILED;
    } else {
        hira_server_api.functions[function].serve(s);
        if (s->began)
            hira_gate_leave(s, function);
    }
    hira_trace_end(s);
}

static void call_function(struct hira_serve *s, uint16_t function)
{
    struct hira_server *server = &hira_server;
    if (function == HIRA_FN_RELEASE) {
        serve_release(s);
        return;
    }
    if (function == HIRA_FN_NOP) {
        hira_get_end(s);
        return;
    }
    if (function == HIRA_FN_LATER) {
        hira_serve_later(s);
        return;
    }
    uint16_t ours = function < server->n_map ? server->map[function] : NO_FUNCTION;
    if (ours == NO_FUNCTION || !hira_server_api.functions[ours].serve)
        hira_misfit(s); /* unknown here, or one that the guest answers by itself */
    else if (hira_unlikely(hira_gate_closed() & ~(HIRA_GATE_TURNS | HIRA_GATE_TIME))) /* those are for commands: hira_gate_defer */
        call_gated(s, ours);
    else
        hira_server_api.functions[ours].serve(s);
}

static void unpin_all(struct hira_serve *s)
{
    for (uint32_t i = 0; i < s->n_pins; i++)
        hira_slot_unpin(s->pins[i]);
    if (s->pins != s->pins_local)
        free(s->pins);
}

static void send_reply(struct hira_serve *s)
{
    struct hira_reply *reply = s->lane->callee.map.reply;
    if (s->status != HIRA_REPLY_OK) {
        s->reply = reply->words;
        *s->reply++ = s->status == HIRA_REPLY_INVALID ? s->invalid : (uint64_t)s->code;
    }
    if (!s->quiet)
        hira_pending_poll();
    reply->flags = hira_output_attach(&s->reply, s->reply_end);
    reply->status = s->status;
    hira_callee_reply(&s->lane->callee, (uint32_t)((char *)s->reply - (char *)reply));
}

static void retire_to(struct hira_server_lane *lane, uint64_t sequence)
{
    struct hira_server *server = &hira_server;
    atomic_store_explicit(&lane->retired, sequence, memory_order_seq_cst);
    hira_callee_retire(&lane->callee, sequence);
    if (hira_unlikely(atomic_load_explicit(&server->dep_waiters, memory_order_seq_cst))) {
        atomic_fetch_add(&server->dep_epoch, 1);
        hira_futex_wake(&server->dep_epoch, INT32_MAX);
    }
}

/* Nothing else that is served may come to depend on what has only begun, and nobody wait for it while its lane does. */
void hira_lane_finish(struct hira_server_lane *lane)
{
    struct hira_left *left = &lane->left;
    if (hira_likely(!left->finish))
        return;
    hira_account_turn(lane->account);
    left->finish(left->what);
    hira_account_turn(lane->account);
    while (left->memory) {
        struct hira_memory *m = left->memory;
        left->memory = m->next;
        hira_memory_free(m);
    }
    left->finish = NULL;
    left->n = 0;
    retire_to(lane, left->sequence);
}

void hira_leave(struct hira_serve *s, void (*finish)(void *what), void *what)
{
    struct hira_server_lane *lane = s->lane;
    struct hira_left *left = &lane->left;
    if (s->sync) {
        finish(what);
        return;
    }
    if (left->finish != finish || left->what != what || left->n == LEFT_MAX)
        hira_lane_finish(lane);
    left->finish = finish;
    left->what = what;
    left->function = ((const struct hira_record *)lane->memory->record)->function;
    left->n++;
    left->sequence = lane->callee.sequence;
    lane->memory->next = left->memory;
    left->memory = HIRA_STEAL(lane->memory);
}

bool hira_serve_record(struct hira_server_lane *lane, uint32_t size)
{
    struct hira_memory *m = lane->memory;
    const struct hira_record *record = (const struct hira_record *)m->record;
    struct hira_reply *reply = lane->callee.map.reply;
    uint16_t flags = record->flags, function = record->function;
    struct hira_serve s, *outer = hira_serving;

    s.lane = lane;
    s.p = record->words;
    s.end = (const uint64_t *)(m->record + (size & ~7u));
    s.bad = s.starved = s.kept = false;
    s.sync = flags & HIRA_RECORD_SYNC;
    s.quiet = flags & HIRA_RECORD_QUIET;
    s.status = HIRA_REPLY_OK;
    s.invalid = 0;
    s.code = 0;
    s.reply = s.sync ? reply->words : NULL;
    s.reply_end = s.sync ? (uint64_t *)((char *)reply + HIRA_REPLY_SIZE) : NULL;
    s.n_outs = s.n_pins = 0;
    s.pins = s.pins_local;
    s.pins_capacity = HIRA_PINS_LOCAL;
    s.first = NULL;
    s.registration = NULL;
    s.claimed = NULL;
    s.mapping = NULL;
    s.stream = NULL;
    s.n_cells = 0;
    s.storage = NULL;
    s.due = s.began = s.owed_calls = s.owed_bytes = 0;
    s.gate = 0;
    s.failed = false;
    s.trace = NULL;
    s.belongs = NULL;

    if (flags & ~(HIRA_RECORD_SYNC | HIRA_RECORD_SPILLED | HIRA_RECORD_DEPS | HIRA_RECORD_QUIET))
        return false;
    if ((flags & HIRA_RECORD_DEPS && !wait_deps(&s)) || (flags & HIRA_RECORD_SPILLED && !take_spilled(&s, m)))
        return false;
    hira_serving = &s;
    call_function(&s, function);
    hira_serving = outer;
    bool bad = s.bad;
    if (s.claimed)
        hira_slot_unclaim(s.claimed);
    if (hira_unlikely(s.status == HIRA_REPLY_INVALID || s.status == HIRA_REPLY_POISONED))
        hira_account_error(lane->account);
    hira_pending_fail(s.cells, s.n_cells); /* nothing took them over: the call did not come about */
    hira_registration_drop(s.registration);
    hira_mapping_done(s.mapping, false);
    hira_storage_put(s.storage); /* it made nothing that keeps it */
    unpin_all(&s);
    if (s.sync && !bad)
        send_reply(&s);
    if (lane->memory)
        memory_reset(lane->memory);
    else
        lane->memory = hira_memory_new();
    return !bad;
}

/* ---- lanes ---- */

static void retire(struct hira_server_lane *lane)
{
    if (hira_likely(!lane->left.finish))
        retire_to(lane, lane->callee.sequence);
}

static bool start_thread(void *(*run)(void *), void *context)
{
    pthread_t thread;
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    bool ok = pthread_create(&thread, &attributes, run, context) == 0;
    pthread_attr_destroy(&attributes);
    return ok;
}

static void *lane_thread(void *context);

/* The guest's thread has ended: a fresh one of ours serves the next, so that thread-local state of the vendor's begins anew. While
 * there is none to be had, others like it are ending; if there is none for good, this one goes on with what state it has, which is
 * better than to drop the guest: false. */
static bool give_way(struct hira_server_lane *lane)
{
    lane->ended = false;
    retire(lane);
    for (int i = 0; i < SUCCESSOR_TRIES; i++) {
        if (start_thread(lane_thread, lane))
            return true;
        usleep(1000);
    }
    return false;
}

static __thread struct hira_account_lane *this_account;

void hira_account_other_side(void)
{
    hira_account_turn(this_account);
}

/* A call is counted when it begins, so that one which the vendor never ends is seen too. */
static bool serve_counted(struct hira_server_lane *lane, uint32_t size)
{
    hira_account_add(&lane->account->calls, 1);
    hira_account_add(&lane->account->bytes, size);
    hira_account_turn(lane->account);
    bool ok = hira_serve_record(lane, size);
    hira_account_turn(lane->account);
    return ok;
}

static uint32_t next_record(struct hira_server_lane *lane)
{
    struct hira_record *record = (struct hira_record *)lane->memory->record;
    if (hira_unlikely(lane->left.finish) && !hira_callee_has_record(&lane->callee))
        hira_lane_finish(lane);
    int size = hira_callee_next(&lane->callee, record, true);
    if (size <= 0)
        hira_server_stop("its ring holds what no guest library writes");
    hira_callee_release(&lane->callee);
    if (record->function != lane->left.function || record->flags & HIRA_RECORD_DEPS)
        hira_lane_finish(lane);
    return (uint32_t)size;
}

/* Serves what the callback calls until it is answered. The call that it was made from has taken its record apart and has put nothing
 * into the reply yet, so the ring and the reply slot are free for others. */
static void serve_nested(struct hira_server_lane *lane, void *result, uint64_t result_size)
{
    for (;;) {
        uint32_t size = next_record(lane);
        const struct hira_record *record = (const struct hira_record *)lane->memory->record;
        if (record->function == HIRA_FN_THREAD_END) {
            lane->ended = true;
            return;
        }
        if (record->function == HIRA_FN_ANSWER) {
            memcpy(result, record->words, HIRA_MIN(result_size, size - sizeof *record));
            return;
        }
        if (!serve_counted(lane, size))
            hira_server_stop("a record is malformed");
        retire(lane);
    }
}

void hira_serve_callback(struct hira_serve *s, uint16_t index, uint64_t posted, const uint64_t *words, uint32_t n, void *result,
                         uint64_t result_size)
{
    struct hira_server_lane *lane = s->lane;
    struct hira_reply *reply = lane->callee.map.reply;
    if (lane->ended || lane->depth == HIRA_CALLBACK_DEPTH_MAX)
        return;
    uint64_t *end = reply->words + 2 + n, *limit = (uint64_t *)((char *)reply + HIRA_REPLY_SIZE);
    reply->words[0] = index;
    reply->words[1] = posted;
    memcpy(reply->words + 2, words, n * 8);
    reply->flags = hira_output_attach(&end, limit);
    reply->status = HIRA_REPLY_CALLBACK;
    hira_callee_reply(&lane->callee, (uint32_t)((char *)end - (char *)reply));

    struct hira_memory *outer = lane->memory;
    lane->memory = hira_memory_new();
    lane->depth++;
    hira_account_turn(lane->account);
    serve_nested(lane, result, result_size);
    hira_account_turn(lane->account);
    lane->depth--;
    hira_memory_free(lane->memory);
    lane->memory = outer;
}

static void *lane_thread(void *context)
{
    struct hira_server_lane *lane = context;
    char name[16];
    snprintf(name, sizeof name, "hira-lane-%u", lane->index % 10000);
    prctl(PR_SET_NAME, name);
    this_account = lane->account;
    for (;;) {
        uint32_t size = next_record(lane);
        const struct hira_record *record = (const struct hira_record *)lane->memory->record;
        lane->ended = record->function == HIRA_FN_THREAD_END;
        if (lane->ended ? size != sizeof *record || record->flags : !serve_counted(lane, size))
            hira_server_stop("a record is malformed");
        if (lane->ended) {
            if (give_way(lane))
                return NULL;
            continue;
        }
        retire(lane);
    }
}

/* ---- control messages ---- */

HIRA_PRINTF(3, 4) static int refuse(struct hira_server *server, int error, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    struct hira_refused refused = hira_refusal(error, format, args);
    va_end(args);
    return server->transport->ops->send(server->transport, &refused, sizeof refused, NULL, 0);
}

static int make_memory(struct hira_server *server, const char *name, size_t size)
{
    return server->transport->ops->make_memory(server->transport, name, size);
}

/* Memory for a lane, mapped, and what the guest gets of it: a descriptor, or -1 where it has the memory already. */
static int make_lane(struct hira_server *server, const char *name, struct hira_lane_map *map, uint32_t index, bool callbacks, int *ret_fd)
{
    struct hira_transport *t = server->transport;
    if (t->ops->place_lane)
        return t->ops->place_lane(t, map, index, callbacks);
    *ret_fd = make_memory(server, name, HIRA_LANE_SIZE);
    return *ret_fd < 0 ? *ret_fd : t->ops->map_lane(t, map, *ret_fd);
}

static int send_made(struct hira_server *server, const void *message, size_t size, int fd)
{
    int error = server->transport->ops->send(server->transport, message, size, &fd, fd < 0 ? 0 : 1);
    return error == -ETOOMANYREFS ? refuse(server, EAGAIN, "too many descriptors are on their way to other guests") : error;
}

static int open_lane(struct hira_server *server)
{
    struct hira_lane_message made = {.head = hira_message_head(HIRA_MSG_LANE, sizeof made), .index = server->n_lanes,
                                     .size = HIRA_LANE_SIZE};
    if (server->n_lanes >= server->max_lanes)
        return refuse(server, EAGAIN, "more than %u threads use the device at once", server->max_lanes);
    HIRA_AUTOCLOSE int fd = -1;
    struct hira_server_lane *lane = aligned_alloc(HIRA_CACHE_LINE, HIRA_ALIGN_UP(sizeof *lane, 64ul));
    if (!lane)
        return refuse(server, ENOMEM, "no memory for a lane");
    *lane = (struct hira_server_lane){.index = server->n_lanes, .memory = hira_memory_new(),
                                       .account = &server->account->lanes[server->n_lanes]};
    if (server->transport->memory)
        hira_spin_init_far(&lane->callee.spin, HIRA_REGION_SPIN_HOST_NS);
    else
        hira_spin_init(&lane->callee.spin, HIRA_SPIN_LEAST_NS, HIRA_SPIN_MOST_NS);
    if (make_lane(server, "hira-lane", &lane->callee.map, lane->index, false, &fd) < 0 || !start_thread(lane_thread, lane)) {
        hira_lane_unmap(&lane->callee.map);
        hira_memory_free(lane->memory);
        free(lane);
        return refuse(server, ENOMEM, "no thread or memory for a lane");
    }
    atomic_store(&server->lanes[server->n_lanes++], lane);
    atomic_store_explicit(&server->account->n_lanes, server->n_lanes, memory_order_relaxed);
    return send_made(server, &made, sizeof made, fd);
}

static int open_callbacks(struct hira_server *server)
{
    struct hira_lane_message made = {.head = hira_message_head(HIRA_MSG_LANE, sizeof made), .callbacks = 1,
                                     .size = HIRA_LANE_SIZE};
    struct hira_lane_map map = {0};
    HIRA_AUTOCLOSE int fd = -1;
    int error = make_lane(server, "hira-callbacks", &map, 0, true, &fd);
    if (!error)
        error = hira_upcalls_open(&map);
    if (error) {
        hira_lane_unmap(&map);
        return refuse(server, -error, "callbacks cannot be had");
    }
    return send_made(server, &made, sizeof made, fd);
}

static int grow(struct hira_server *server, uint64_t size)
{
    struct hira_segment_message made = {.head = hira_message_head(HIRA_MSG_SEGMENT, sizeof made)};
    uint64_t committed = atomic_load(&server->arena.committed), left = server->arena.reserved - committed;
    bool in_region = server->transport->memory;
    /* Doubling keeps the number of segments small; what is not touched costs nothing, so of a region it is all at once. */
    uint64_t want = in_region ? left : HIRA_MAX(HIRA_MAX(size, HIRA_ARENA_SEGMENT), HIRA_MIN(committed, left));
    if (size > left)
        return refuse(server, ENOMEM, "the arena is full");
    made.size = HIRA_MIN(HIRA_ALIGN_UP(want, 4096ull), left);
    made.base = committed;
    HIRA_AUTOCLOSE int fd = in_region ? -1 : make_memory(server, "hira-arena", made.size);
    int error = in_region ? hira_arena_extend(&server->arena, made.size) : fd < 0 ? fd : hira_arena_map(&server->arena, fd, made.size);
    if (error)
        return refuse(server, -error, "no memory for the arena");
    return send_made(server, &made, sizeof made, fd);
}

/* A guest in a machine says that it has woken a lane's thread. It may say so of any, at any time: a thread looks once too often then. */
static int wake(const struct hira_server *server, const struct hira_lane_message *m)
{
    struct hira_server_lane *lane = m->index < HIRA_LANES_MAX && !m->callbacks ? atomic_load(&server->lanes[m->index]) : NULL;
    if (lane)
        hira_lane_woken(&lane->callee.map, &lane->callee.map.control->callee_sleeps);
    return 0;
}

static int answer(struct hira_server *server, const void *message, size_t size)
{
    const struct hira_lane_message *lane = message;
    const struct hira_segment_message *segment = message;
    if (hira_message_check(message, size, HIRA_MSG_OPEN_LANE, sizeof *lane) == 0)
        return lane->callbacks ? open_callbacks(server) : open_lane(server);
    if (hira_message_check(message, size, HIRA_MSG_GROW, sizeof *segment) == 0)
        return grow(server, segment->size);
    if (server->transport->memory && hira_message_check(message, size, HIRA_MSG_WAKE, sizeof *lane) == 0)
        return wake(server, lane);
    return -EBADMSG;
}

/* ---- hello ---- */

int hira_find_function(const char *name, size_t length, uint32_t signature)
{
    const struct hira_server_api *api = &hira_server_api;
    for (uint32_t i = 0; i < api->n_functions; i++) {
        const struct hira_server_function *f = &api->functions[i];
        if (f->signature == signature && strlen(f->name) == length && !memcmp(f->name, name, length))
            return !f->vendor || *f->vendor ? (int)i : -1;
    }
    return -1;
}

static bool map_functions(struct hira_server *server, uint8_t *known)
{
    size_t cursor = 0, length;
    uint32_t signature, i = 0;
    const char *name;
    server->n_map = server->hello->n_functions;
    server->map = calloc(server->n_map + 1, sizeof *server->map);
    if (!server->map)
        return false;
    while (hira_hello_next(server->hello, &cursor, &signature, &name, &length)) {
        int ours = hira_find_function(name, length, signature);
        server->map[i] = ours < 0 ? NO_FUNCTION : (uint16_t)ours;
        if (ours >= 0 && !hira_gate_denies((uint32_t)ours))
            known[i / 8] |= (uint8_t)(1u << i % 8);
        i++;
    }
    return true;
}

static int welcome(struct hira_server *server)
{
    struct {
        struct hira_welcome head;
        uint8_t known[HIRA_FUNCTIONS_MAX / 8 + sizeof(struct hira_slice)];
    } m = {0};
    const struct hira_slice *region = &server->transport->region;
    size_t size = sizeof m.head + (server->hello->n_functions + 7) / 8;
    if (region->size) {
        size_t at = HIRA_ALIGN_UP(size, 8ul);
        memcpy((char *)&m + at, region, sizeof *region);
        size = at + sizeof *region;
    }
    if (!map_functions(server, m.known))
        return -ENOMEM;
    m.head = (struct hira_welcome){.head = hira_message_head(HIRA_MSG_WELCOME, size),
                                   .n_functions = server->hello->n_functions,
                                   .max_lanes = server->max_lanes,
                                   .max_arena = server->arena.reserved,
                                   .server_pid = hira_zygote_pid(),
                                   .flags = (hira_memory_quota() == UINT64_MAX ? 0 : HIRA_WELCOME_LIMITED) | (region->size ? HIRA_WELCOME_REGION : 0)};
    return server->transport->ops->send(server->transport, &m, size, NULL, 0);
}

int hira_serve_guest(struct hira_transport *transport, const struct hira_hello *hello, size_t hello_size)
{
    static struct hira_account nobodys; /* without a hirad */
    struct hira_server *server = &hira_server;
    server->account = hira_zygote_account() ? hira_zygote_account() : &nobodys;
    hira_gate_init(hira_zygote_limits(), hira_zygote_shared(), server->account, hira_zygote_router());
    hira_devices_choose();
    hira_trace_to(hira_zygote_trace());
    server->transport = transport;
    server->alone = transport->alone;
    server->hello = hello;
    server->max_lanes = HIRA_LANES_MAX;
    if (hira_hello_check(hello, hello_size) || strcmp(hello->api, hira_server_api.name)) {
        refuse(server, EPROTO, "this server speaks %s", hira_server_api.name);
        return 1;
    }
    int error = 0;
    if (transport->memory) {
        hira_arena_init_at(&server->arena, transport->memory, hira_slice_arena(&transport->region));
        server->max_lanes = hira_slice_lanes(&transport->region);
    } else {
        error = hira_arena_init(&server->arena, HIRA_ARENA_MAX);
    }
    if (!error && !transport->in_process && !hira_output_start())
        error = -EAGAIN;
    if (!error)
        error = welcome(server);
    if (error) {
        refuse(server, -error, "the server could not start: %s", strerror(-error));
        return 1;
    }
    for (;;) {
        _Alignas(8) char message[256];
        ssize_t n = transport->ops->receive(transport, message, sizeof message, NULL, NULL);
        if (n <= 0)
            hira_server_stop(n ? "its control message is malformed" : NULL);
        int error = answer(server, message, (size_t)n);
        if (error < 0)
            hira_server_stop(error == -EPIPE ? NULL : error == -EBADMSG ? "its control message is malformed" : strerror(-error));
    }
}
