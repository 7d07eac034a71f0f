/*
 * See network.h. One thread for each direction of each connection: what came waits in a queue until it is due. Order is
 * kept, as TCP keeps it, so jitter delays what is behind as well.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include "remote/network.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/quantity.h"
#include "remote/util.h"

#define PIECE_MAX 65536u
#define PIECE_MIN 1448u /* what a packet carries */
#define PIECES_A_SECOND                                                                                                \
    1000u /* at least: what has come whole is passed on whole, and is to wait a millisecond for that at most */
#define QUEUE_MIN (512u << 10) /* beside what is on the way at a time: what a system is left to hold unsent (pipe.c), and to read */
#define QUEUE_MAX (64u << 20) /* with any rate */

struct piece {
    struct piece *next;
    uint64_t due;
    size_t size;
    char data[];
};

struct connection {
    struct relay_network network;
    int near, far;
    atomic_int users;
};

struct direction {
    struct connection *connection;
    int from, to;
    struct piece *first, **last;
    size_t queued, room, piece;
    uint64_t free_at, last_due; /* when the wire is free again; no byte overtakes another */
    uint32_t random;
    bool ended; /* nothing more comes */
};

/* ---- what it is like ---- */

static int wrong(char *error, size_t size, const char *word, const char *what)
{
    snprintf(error, size, "--network: '%s': %s", word, what);
    return -EINVAL;
}

static int take_word(struct relay_network *n, char *word, char *error, size_t size)
{
    static const char duration[] = "a duration is a number and us, ms or s";
    char *value = strchr(word, '='), *slash = value ? strchr(value, '/') : NULL;
    uint64_t *place;
    if (!value)
        return wrong(error, size, word, "delay=, jitter=, rate= or cut= are known");
    *value++ = 0;
    if (!strcmp(word, "rate"))
        return hira_parse_rate(value, &n->rate) < 0
                   ? wrong(error, size, value, "a rate is a number and kbit, Mbit or Gbit")
                   : 0;
    if (!strcmp(word, "cut")) {
        if (slash)
            *slash++ = 0;
        if (!slash || hira_parse_duration(value, &n->cut) < 0 || hira_parse_duration(slash, &n->every) < 0 ||
            n->cut >= n->every)
            return wrong(error, size, value, "cut= takes how long, and after it how often: 10s/60s");
        return 0;
    }
    place = !strcmp(word, "delay") ? &n->delay : !strcmp(word, "jitter") ? &n->jitter : NULL;
    if (!place)
        return wrong(error, size, word, "delay=, jitter=, rate= or cut= are known");
    return hira_parse_duration(value, place) < 0 ? wrong(error, size, value, duration) : 0;
}

int relay_network_parse(struct relay_network *n, const char *text, char *error, size_t size)
{
    char words[200], *rest = words, *word;
    *n = (struct relay_network){.used = true, .start = hira_now_ns()};
    if ((size_t)snprintf(words, sizeof words, "%s", text) >= sizeof words)
        return wrong(error, size, "...", "that is too long");
    while ((word = strsep(&rest, ",")))
        if (take_word(n, word, error, size) < 0)
            return -EINVAL;
    return 0;
}

/* Nanoseconds until the network is cut; 0: it is. */
static uint64_t until_cut(const struct relay_network *n)
{
    if (!n->every)
        return UINT64_MAX;
    uint64_t at = (hira_now_ns() - n->start) % n->every;
    return at < n->every - n->cut ? n->every - n->cut - at : 0;
}

bool relay_network_is_up(const struct relay_network *n)
{
    return !n->used || until_cut(n) > 0;
}

/* ---- carrying ---- */

static uint64_t some_jitter(struct direction *d)
{
    d->random ^= d->random << 13;
    d->random ^= d->random >> 17;
    d->random ^= d->random << 5;
    return (uint64_t)((double)d->connection->network.jitter * d->random / UINT32_MAX);
}

static void enqueue(struct direction *d, struct piece *p, size_t size)
{
    const struct relay_network *n = &d->connection->network;
    uint64_t now = hira_now_ns();
    d->free_at = HIRA_MAX(d->free_at, now);
    if (n->rate)
        d->free_at += (uint64_t)((double)size * 1e9 / (double)n->rate);
    p->next = NULL;
    p->size = size;
    p->due = d->last_due = HIRA_MAX(d->last_due, d->free_at + n->delay + (n->jitter ? some_jitter(d) : 0));
    *d->last = p;
    d->last = &p->next;
    d->queued += size;
}

static void take(struct direction *d)
{
    struct piece *p = malloc(sizeof *p + d->piece);
    ssize_t n = p ? recv(d->from, p->data, d->piece, 0) : -1;
    if (n > 0) {
        enqueue(d, p, (size_t)n);
        return;
    }
    free(p);
    d->ended = true;
}

static int deliver(struct direction *d)
{
    while (d->first && d->first->due <= hira_now_ns()) {
        struct piece *p = d->first;
        for (size_t at = 0; at < p->size;) {
            ssize_t n = send(d->to, p->data + at, p->size - at, MSG_NOSIGNAL);
            if (n < 0)
                return -errno;
            at += (size_t)n;
        }
        d->first = p->next;
        if (!d->first)
            d->last = &d->first;
        d->queued -= p->size;
        free(p);
    }
    return 0;
}

static struct timespec as_timespec(uint64_t ns)
{
    return (struct timespec){(time_t)(ns / 1000000000u), (long)(ns % 1000000000u)};
}

/* Sleeps until something comes or is due. False: the network is cut. */
static bool wait(struct direction *d)
{
    uint64_t now = hira_now_ns(), cut = until_cut(&d->connection->network);
    uint64_t due = d->first ? d->first->due - HIRA_MIN(d->first->due, now) : UINT64_MAX;
    struct timespec t = as_timespec(HIRA_MIN(cut, due));
    bool hears = !d->ended && d->queued < d->room;
    struct pollfd p = {hears ? d->from : -1, POLLIN, 0};
    if (ppoll(&p, 1, HIRA_MIN(cut, due) == UINT64_MAX ? NULL : &t, NULL) > 0)
        take(d);
    return until_cut(&d->connection->network) > 0;
}

static void leave(struct connection *c)
{
    if (atomic_fetch_sub(&c->users, 1) > 1)
        return;
    close(c->near);
    close(c->far);
    free(c);
}

static void *carry(void *context)
{
    struct direction *d = context;
    bool up = true;
    while (up && (!d->ended || d->first)) /* asked before each wait: nothing would end one for what has ended */
        up = wait(d) && deliver(d) == 0;
    if (up)
        shutdown(d->to, SHUT_WR);
    for (int i = 0; !up && i < 2; i++) /* in both directions */
        shutdown(i ? d->from : d->to, SHUT_RDWR);
    for (struct piece *p; (p = d->first); free(p))
        d->first = p->next;
    leave(d->connection);
    free(d);
    return NULL;
}

static bool start(struct connection *c, int from, int to)
{
    const struct relay_network *n = &c->network;
    struct direction *d = calloc(1, sizeof *d);
    if (!d)
        return false;
    double on_the_way = (double)n->rate * 2e-9 * (double)(n->delay + n->jitter);
    *d = (struct direction){.connection = c,
                            .from = from,
                            .to = to,
                            .last = &d->first,
                            .room = n->rate ? QUEUE_MIN + (size_t)HIRA_MIN(on_the_way, (double)QUEUE_MAX) : QUEUE_MAX,
                            .piece = n->rate ? HIRA_MAX(HIRA_MIN(n->rate / PIECES_A_SECOND, PIECE_MAX), PIECE_MIN)
                                             : PIECE_MAX,
                            .random = (uint32_t)from * 2654435761u | 1};
    bool ok = relay_thread_start(carry, d);
    if (!ok)
        free(d);
    return ok;
}

int relay_network_enter(const struct relay_network *n, int connection)
{
    HIRA_AUTOCLOSE int ours = -1;
    int ends[2];
    struct connection *c = malloc(sizeof *c);
    if (!c || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0) {
        free(c);
        close(connection);
        return -ENOMEM;
    }
    ours = ends[0];
    *c = (struct connection){.network = *n, .near = ends[1], .far = connection, .users = 3};
    if (!start(c, c->near, c->far) ||
        !start(c, c->far, c->near)) { /* this process has no thread left: it is not to go on */
        shutdown(c->far, SHUT_RDWR);
        return -EAGAIN;
    }
    leave(c);
    return HIRA_STEAL_FD(ours);
}
