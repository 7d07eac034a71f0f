/* A session's frames. See link.h.
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0 */
#include "remote/link.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "remote/util.h"

#define BUFFER_SIZE (2 * RELAY_PIECE) /* the largest frame but data, and the beginning of the next */
#define UNSAID_BYTES (1u << 20)

struct relay_kept {
    struct relay_kept *next;
    struct relay_frame head;
    const void *payload; /* below, or where it stays */
    char copy[];
};

static size_t weight(const struct relay_kept *k)
{
    return sizeof *k + (k->payload == k->copy ? k->head.size : 0);
}

/* ---- the turn to write ---- */

/* In the order of asking, so that a small frame waits for one piece of each bulk transfer at most. */
static void take_turn(struct relay_link *l)
{
    pthread_mutex_lock(&l->lock);
    for (uint64_t mine = l->asked++; l->turn != mine;)
        pthread_cond_wait(&l->turns, &l->lock);
    pthread_mutex_unlock(&l->lock);
}

/* Drops what the peer has got; of a frame that is being sent it can only say so. Lock held. */
static void forget(struct relay_link *l)
{
    bool full = l->kept > RELAY_KEPT_MAX;
    while (l->first && l->first->head.number <= l->acknowledged && l->first != l->sending) {
        struct relay_kept *k = l->first;
        l->first = k->next;
        if (!l->first)
            l->last = &l->first;
        l->kept -= weight(k);
        free(k);
    }
    if (full && l->kept <= RELAY_KEPT_MAX)
        pthread_cond_broadcast(&l->room);
}

static void give_turn(struct relay_link *l)
{
    pthread_mutex_lock(&l->lock);
    l->sending = NULL;
    forget(l);
    if (++l->turn != l->asked)
        pthread_cond_broadcast(&l->turns);
    pthread_mutex_unlock(&l->lock);
}

/* ---- sending ---- */

/* The reader sees it too, and whoever is sending. Lock held. */
static void lose(struct relay_link *l)
{
    if (l->up)
        shutdown(l->pipe.fd, SHUT_RDWR);
    l->up = false;
}

void relay_link_drop(struct relay_link *l)
{
    pthread_mutex_lock(&l->lock);
    lose(l);
    pthread_mutex_unlock(&l->lock);
}

/* All from here on by whoever has the turn. */
static void write_all(struct relay_link *l, const struct iovec *parts, int n)
{
    if (l->up && relay_pipe_send(&l->pipe, parts, n) < 0)
        relay_link_drop(l);
}

static void flush(struct relay_link *l)
{
    const struct iovec all = {l->batch, l->n_batch};
    if (l->n_batch)
        write_all(l, &all, 1);
    l->n_batch = 0;
}

static void put(struct relay_link *l, struct relay_frame *head, const void *payload, unsigned how)
{
    head->received = atomic_load_explicit(&l->received, memory_order_acquire);
    atomic_store_explicit(&l->said, head->received, memory_order_relaxed);
    atomic_fetch_add_explicit(&l->count.sent, sizeof *head + head->size, memory_order_relaxed);
    if (l->n_batch + sizeof *head + head->size > sizeof l->batch)
        flush(l);
    if (sizeof *head + head->size <= sizeof l->batch) {
        memcpy(l->batch + l->n_batch, head, sizeof *head);
        if (head->size)
            memcpy(l->batch + l->n_batch + sizeof *head, payload, head->size);
        l->n_batch += sizeof *head + head->size;
        if (!(how & RELAY_MORE))
            flush(l);
        return;
    }
    const struct iovec parts[] = {{head, sizeof *head}, {(void *)payload, head->size}};
    uint64_t begin = hira_now_ns();
    write_all(l, parts, 2);
    uint64_t took = hira_now_ns() - begin;
    atomic_fetch_add_explicit(&l->count.bulk_ns, took, memory_order_relaxed);
    relay_pack_sent(&l->pack, head->size, took, head->type == RELAY_PACKED);
}

/* A frame whose payload stays where it is, or else has room in it. */
static struct relay_kept *keep(struct relay_link *l, uint16_t type, uint64_t argument, const void *payload, size_t size)
{
    struct relay_kept *k = malloc(sizeof *k + (payload ? 0 : size));
    if (!k)
        l->owner->over(l->context, "out of memory");
    *k = (struct relay_kept){.head = {.size = (uint32_t)size, .type = type, .argument = argument}};
    k->payload = payload ? payload : k->copy;
    return k;
}

/* Takes the turn when there is room for one more frame. What waits to go with others goes first, for what is kept goes
 * when the peer has it. */
static void take_turn_with_room(struct relay_link *l)
{
    take_turn(l);
    pthread_mutex_lock(&l->lock);
    while (l->kept > RELAY_KEPT_MAX) {
        pthread_mutex_unlock(&l->lock);
        flush(l);
        give_turn(l);
        pthread_mutex_lock(&l->lock);
        while (l->kept > RELAY_KEPT_MAX)
            pthread_cond_wait(&l->room, &l->lock);
        pthread_mutex_unlock(&l->lock);
        take_turn(l);
        pthread_mutex_lock(&l->lock);
    }
    pthread_mutex_unlock(&l->lock);
}

/* Its number, and its place behind all others. Whether it goes at once: not while there is no connection, nor before
 * what the new one is to bring again. */
static bool append(struct relay_link *l, struct relay_kept *k)
{
    pthread_mutex_lock(&l->lock);
    k->head.number = ++l->sent;
    *l->last = k;
    l->last = &k->next;
    l->kept += weight(k);
    bool now = l->up && !l->parted && !l->unsent;
    if (now)
        l->sending = k;
    pthread_mutex_unlock(&l->lock);
    return now;
}

/* `packed`: what goes in its place this time, NULL: nothing. */
static void send_kept(struct relay_link *l, struct relay_kept *k, const void *packed, size_t size, unsigned how)
{
    take_turn_with_room(l);
    if (append(l, k)) {
        struct relay_frame head = k->head;
        if (packed) {
            head.type = RELAY_PACKED;
            head.size = (uint32_t)size;
        }
        put(l, &head, packed ? packed : k->payload, how);
    }
    give_turn(l);
}

void relay_link_send(struct relay_link *l, uint16_t type, uint16_t lane, uint64_t argument, const struct iovec *parts,
                     int n, unsigned how)
{
    size_t size = 0, at = 0;
    for (int i = 0; i < n; i++)
        size += parts[i].iov_len;
    struct relay_kept *k = keep(l, type, argument, NULL, size);
    k->head.lane = lane;
    for (int i = 0; i < n; at += parts[i++].iov_len)
        if (parts[i].iov_len)
            memcpy(k->copy + at, parts[i].iov_base, parts[i].iov_len);
    send_kept(l, k, NULL, 0, how);
}

/* What is kept is the piece itself, which costs no memory: where it is sent again, that is. */
void relay_link_send_data(struct relay_link *l, uint64_t offset, const void *data, size_t size, void *scratch,
                          unsigned how)
{
    struct relay_kept *k = keep(l, RELAY_DATA, offset, data, size);
    bool try = scratch && size >= RELAY_PACK_LEAST && relay_pack_may(&l->pack);
    size_t packed = try ? relay_pack(&l->pack, data, size, scratch) : 0;
    send_kept(l, k, packed ? scratch : NULL, packed, how);
}

void relay_link_flush(struct relay_link *l)
{
    take_turn(l);
    flush(l);
    give_turn(l);
}

void relay_link_bye(struct relay_link *l, const char *why)
{
    const struct iovec text = {(void *)why, HIRA_MIN(strlen(why), 255u)};
    relay_link_send(l, RELAY_BYE, 0, 0, &text, 1, 0);
    take_turn(l);
    pthread_mutex_lock(&l->lock);
    l->parted = true;
    if (l->up && !l->unsent)
        shutdown(l->pipe.fd, SHUT_WR);
    pthread_mutex_unlock(&l->lock);
    give_turn(l);
}

/* ---- what nobody else sends ---- */

/* The next frame that a new connection has not brought yet. */
static void send_again(struct relay_link *l)
{
    take_turn(l);
    pthread_mutex_lock(&l->lock);
    struct relay_kept *k = l->up ? l->unsent : NULL;
    l->sending = k;
    if (k)
        l->unsent = k->next;
    bool more = k && k->next, parts = k && !more && l->parted;
    pthread_mutex_unlock(&l->lock);
    if (k)
        put(l, &k->head, k->payload, more ? RELAY_MORE : 0);
    if (parts)
        shutdown(l->pipe.fd, SHUT_WR);
    give_turn(l);
}

static void acknowledge(struct relay_link *l)
{
    struct relay_frame head = {.type = RELAY_ACK};
    take_turn(l);
    if (!l->parted)
        put(l, &head, "", 0);
    give_turn(l);
}

/* Sends again after a connection was lost: the reader must not, for the peer's would not read then. And acknowledges
 * what came, where nothing goes back by itself. */
static void *catch_up(void *context)
{
    struct relay_link *l = context;
    pthread_mutex_lock(&l->lock);
    for (;;) {
        bool again = l->up && l->unsent, owes = l->owes;
        if (!again && !owes) {
            pthread_cond_wait(&l->idle, &l->lock);
            continue;
        }
        l->owes = l->owes && again;
        pthread_mutex_unlock(&l->lock);
        if (again)
            send_again(l);
        else
            acknowledge(l);
        pthread_mutex_lock(&l->lock);
    }
    return NULL;
}

/* ---- what came ---- */

/* Lock held. False: the peer has got what was never sent, or not by this connection. */
static bool acknowledged(struct relay_link *l, uint64_t received)
{
    if (received > l->sent || (l->unsent && received >= l->unsent->head.number))
        return false;
    l->acknowledged = HIRA_MAX(l->acknowledged, received);
    forget(l);
    return true;
}

static bool take_received(struct relay_link *l, uint64_t received)
{
    pthread_mutex_lock(&l->lock);
    bool ok = acknowledged(l, received);
    pthread_mutex_unlock(&l->lock);
    return ok;
}

/* At least `need` bytes are in the buffer. 0 or -errno: the connection is lost. */
static int fill(struct relay_link *l, size_t need)
{
    if (l->begin == l->end)
        l->begin = l->end = 0;
    if (BUFFER_SIZE - l->begin < need) {
        memmove(l->buffer, l->buffer + l->begin, l->end - l->begin);
        l->end -= l->begin;
        l->begin = 0;
    }
    while (l->end - l->begin < need) {
        ssize_t n = relay_pipe_receive(&l->pipe, l->buffer + l->end, BUFFER_SIZE - l->end);
        if (n <= 0)
            return n ? (int)n : -EPIPE;
        l->end += (size_t)n;
    }
    return 0;
}

/* What is not in the buffer yet comes straight to its place. */
static int read_to(struct relay_link *l, char *to, size_t size)
{
    size_t here = HIRA_MIN(size, l->end - l->begin);
    memcpy(to, l->buffer + l->begin, here);
    l->begin += here;
    return relay_pipe_receive_all(&l->pipe, to + here, size - here);
}

enum { LOST = 1 }; /* a connection; negative: the peer breaks the rules */

static int read_data(struct relay_link *l, const struct relay_frame *f, char *scratch)
{
    bool known = f->number <= atomic_load_explicit(&l->received, memory_order_relaxed);
    char *to = l->owner->place(l->context, f->argument, f->size);
    if (!to)
        return -EBADMSG;
    uint64_t begin = hira_now_ns();
    int error = read_to(l, known ? scratch : to, f->size) < 0 ? LOST : 0;
    atomic_fetch_add_explicit(&l->count.bulk_ns, hira_now_ns() - begin, memory_order_relaxed);
    return error;
}

static int unpack(struct relay_link *l, const struct relay_frame *f, const char *packed)
{
    uint32_t contents = relay_packed_size(packed, f->size);
    void *to = contents && contents <= RELAY_PIECE ? l->owner->place(l->context, f->argument, contents) : NULL;
    if (!to || !relay_unpack(packed, f->size, to))
        return -EBADMSG;
    l->owner->arrived(l->context, f->argument, contents);
    return 0;
}

static void count(struct relay_link *l, const struct relay_frame *f)
{
    atomic_store_explicit(&l->received, f->number, memory_order_release);
    l->unsaid_bytes += f->size;
    if (f->number - atomic_load_explicit(&l->said, memory_order_relaxed) < RELAY_ACKNOWLEDGE_FRAMES &&
        l->unsaid_bytes < UNSAID_BYTES)
        return;
    l->unsaid_bytes = 0;
    pthread_mutex_lock(&l->lock);
    l->owes = true;
    pthread_cond_signal(&l->idle);
    pthread_mutex_unlock(&l->lock);
}

/* One frame: 0, LOST, or -errno. */
static int read_frame(struct relay_link *l, char *scratch)
{
    struct relay_frame f;
    if (fill(l, sizeof f) < 0)
        return LOST;
    memcpy(&f, l->buffer + l->begin, sizeof f);
    l->begin += sizeof f;
    atomic_fetch_add_explicit(&l->count.received, sizeof f + f.size, memory_order_relaxed);
    uint64_t before = atomic_load_explicit(&l->received, memory_order_relaxed);
    int error = relay_frame_check(&f);
    if (error || f.type == RELAY_SESSION || (f.number && f.number > before + 1) || !take_received(l, f.received))
        return -EBADMSG;
    if (f.type == RELAY_DATA)
        error = read_data(l, &f, scratch);
    else if (f.size && (fill(l, f.size) < 0 || read_to(l, scratch, f.size) < 0))
        error = LOST;
    if (error || !f.number || f.number <= before)
        return error;
    if (f.type == RELAY_PACKED)
        error = unpack(l, &f, scratch);
    else if (f.type == RELAY_DATA)
        l->owner->arrived(l->context, f.argument, f.size);
    else
        error = l->owner->frame(l->context, &f, scratch);
    if (!error)
        count(l, &f);
    return error;
}

/* ---- connections ---- */

/* Both sides say which session it is and what has come. The host's side speaks second: what it says is the name. */
static int meet(struct relay_link *l, struct relay_pipe *pipe, bool host, bool first, uint64_t *ret_received)
{
    const struct timeval soon = {RELAY_HANDSHAKE_MS / 1000, 0}, forever = {0, 0};
    struct {
        struct relay_frame head;
        uint8_t session[RELAY_SESSION_SIZE];
    } mine = {.head = {.size = RELAY_SESSION_SIZE, .type = RELAY_SESSION, .received = atomic_load(&l->received)}},
      theirs;
    const struct iovec all = {&mine, sizeof mine};
    memcpy(mine.session, l->session, sizeof mine.session);
    setsockopt(pipe->fd, SOL_SOCKET, SO_RCVTIMEO, &soon, sizeof soon);
    int error = host ? 0 : relay_pipe_send(pipe, &all, 1);
    if (!error)
        error = relay_pipe_receive_all(pipe, &theirs, sizeof theirs);
    if (!error && (theirs.head.type != RELAY_SESSION || relay_frame_check(&theirs.head) < 0))
        error = -EBADMSG;
    if (!error && host)
        error = relay_pipe_send(pipe, &all, 1);
    if (!error && !host && first)
        memcpy(l->session, theirs.session, sizeof l->session);
    setsockopt(pipe->fd, SOL_SOCKET, SO_RCVTIMEO, &forever, sizeof forever);
    *ret_received = error ? 0 : theirs.head.received;
    return error;
}

/* What the peer has not got is sent again by catch_up(). 0, or -errno. */
static int go_on(struct relay_link *l, struct relay_pipe *pipe, uint64_t received)
{
    take_turn(l);
    pthread_mutex_lock(&l->lock);
    l->unsent = NULL;
    bool ok = acknowledged(l, received);
    relay_pipe_close(&l->pipe);
    l->pipe = *pipe;
    *pipe = (struct relay_pipe){.fd = -1};
    l->n_batch = 0;
    l->up = ok;
    l->unsent = l->first;
    pthread_cond_signal(&l->idle);
    pthread_mutex_unlock(&l->lock);
    give_turn(l);
    atomic_fetch_add_explicit(&l->count.connections, 1, memory_order_relaxed);
    l->begin = l->end = 0;
    return ok ? 0 : -EBADMSG;
}

static int reconnect(struct relay_link *l, bool host)
{
    struct relay_pipe pipe = {.fd = -1};
    uint64_t received;
    relay_link_drop(l);
    for (;;) {
        if (!l->owner->again(l->context, &pipe))
            return -EPIPE;
        if (meet(l, &pipe, host, false, &received) == 0)
            return go_on(l, &pipe, received);
        relay_pipe_close(&pipe);
    }
}

struct reader {
    struct relay_link *link;
    bool host;
};

static void *read_all(void *context)
{
    struct reader r = *(struct reader *)context;
    struct relay_link *l = r.link;
    char *scratch = malloc(RELAY_PIECE);
    int error = scratch ? 0 : -ENOMEM;
    free(context);
    while (!error) {
        error = read_frame(l, scratch);
        if (error == LOST)
            error = reconnect(l, r.host);
    }
    l->owner->over(l->context, error == -EPIPE    ? "the connection is lost"
                               : error == -ENOMEM ? "out of memory"
                                                  : "the peer breaks the rules");
    return NULL;
}

int relay_link_start(struct relay_link *l, struct relay_pipe *pipe, const uint8_t *session,
                     const struct relay_owner *owner, void *context, char *error, size_t size)
{
    uint64_t received;
    *l = (struct relay_link){.owner = owner,
                             .context = context,
                             .lock = PTHREAD_MUTEX_INITIALIZER,
                             .turns = PTHREAD_COND_INITIALIZER,
                             .room = PTHREAD_COND_INITIALIZER,
                             .idle = PTHREAD_COND_INITIALIZER,
                             .pipe.fd = -1};
    l->last = &l->first;
    l->buffer = malloc(BUFFER_SIZE);
    struct reader *r = malloc(sizeof *r);
    if (session)
        memcpy(l->session, session, sizeof l->session);
    int ret = l->buffer && r ? meet(l, pipe, session != NULL, true, &received) : -ENOMEM;
    if (!ret)
        ret = go_on(l, pipe, received);
    if (ret) {
        relay_pipe_why(pipe, ret, error, size);
        relay_pipe_close(pipe);
        free(r);
        return ret;
    }
    *r = (struct reader){l, session != NULL};
    if (relay_thread_start(read_all, r) && relay_thread_start(catch_up, l))
        return 0;
    snprintf(error, size, "no thread for the session");
    return -EAGAIN;
}
