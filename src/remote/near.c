/*
 * The guest's side of a session: a server to the guest, and the far relay's peer.
 *
 * One process for each guest, which it serves to its end. The guest's memory is made here, as large as the server's is
 * there.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/fd.h"
#include "remote/session.h"

#define TRIES 3

static struct relay_target target;

/* ---- the link's owner ---- */

static bool again(void *context, struct relay_pipe *pipe)
{
    struct relay_session *s = context;
    char error[RELAY_ERROR_MAX];
    uint64_t end = hira_now_ns() + s->options->grace_ms * 1000000ull;
    do { /* once at least: keys that are used up are no lost connection */
        if (atomic_load(&s->ending))
            return false;
        int ret = relay_pipe_connect(pipe, &target, &s->options->keys, s->link.session, error, sizeof error);
        if (ret == 0)
            return true;
        if (ret == -ENOENT) /* it is not known there any more */
            return false;
        usleep(RELAY_RETRY_MS * 1000);
    } while (hira_now_ns() < end);
    return false;
}

/* One line of JSON, at the end. */
static void report(struct relay_session *s)
{
    static atomic_flag done = ATOMIC_FLAG_INIT;
    const struct relay_count *c = &s->link.count;
    if (s->options->count < 0 || atomic_flag_test_and_set(&done))
        return;
    char line[512];
    int n =
        snprintf(line, sizeof line,
                 "{\"calls\":%" PRIu64 ",\"waits\":%" PRIu64 ",\"rounds\":%.6f,\"windows\":%.3f,\"controls\":%" PRIu64
                 ",\"callbacks\":%" PRIu64 ",\"connections\":%" PRIu64 ",\"sent\":%" PRIu64 ",\"received\":%" PRIu64
                 ",\"bulk_seconds\":%.6f}\n",
                 c->calls, c->waits, (double)c->millionths / 1e6, (double)c->ring_bytes / RELAY_WINDOW, c->controls,
                 c->callbacks, c->connections, c->sent, c->received, (double)c->bulk_ns / 1e9);
    hira_fd_write_all(s->options->count, line, (size_t)n);
}

__attribute__((noreturn)) static void over(void *context, const char *why)
{
    struct relay_session *s = context;
    report(s);
    if (*why && !atomic_load(&s->ending))
        fprintf(stderr, "hira: %s: %s\n", s->options->address, why);
    _exit(0);
}

static const struct relay_owner owner = {relay_session_frame, relay_session_place, relay_session_arrived, again, over};

/* ---- control messages ---- */

static int tell_guest(struct relay_session *s, const void *message, size_t size, int fd)
{
    return hira_fd_send(s->local, message, size, &fd, fd >= 0);
}

static int on_welcome(struct relay_session *s, size_t size)
{
    struct hira_welcome *welcome = (struct hira_welcome *)s->control;
    if (s->memory.arena.base)
        return -EBADMSG;
    welcome->flags |= HIRA_WELCOME_REMOTE;
    int error = hira_arena_init(&s->memory.arena, HIRA_MIN(welcome->max_arena, (uint64_t)HIRA_ARENA_MAX));
    return error ? error : tell_guest(s, s->control, size, -1);
}

static int on_lane(struct relay_session *s, const struct hira_lane_message *lane)
{
    HIRA_AUTOCLOSE int fd = hira_fd_shared_memory("hira-lane", HIRA_LANE_SIZE);
    if (fd < 0 || lane->size != HIRA_LANE_SIZE)
        return fd < 0 ? fd : -EBADMSG;
    int error = lane->callbacks ? relay_session_add_sink(s, RELAY_REVERSE, fd, false)
                                : relay_session_add_source(s, lane->index, fd, false);
    return error ? error : tell_guest(s, lane, sizeof *lane, fd);
}

static int on_segment(struct relay_session *s, const struct hira_segment_message *segment)
{
    if (!s->memory.arena.base || segment->base != s->memory.arena.committed || segment->size % 4096)
        return -EBADMSG;
    HIRA_AUTOCLOSE int fd = hira_fd_shared_memory("hira-arena", segment->size);
    int error = fd < 0 ? fd : hira_arena_map(&s->memory.arena, fd, segment->size);
    return error ? error : tell_guest(s, segment, sizeof *segment, fd);
}

/* What the server says. */
static void on_peer(struct relay_session *s)
{
    size_t size = relay_session_control(s);
    const void *m = s->control;
    int error = 0;
    if (!size)
        return;
    if (hira_message_check(m, size, HIRA_MSG_WELCOME, sizeof(struct hira_welcome)) == 0)
        error = on_welcome(s, size);
    else if (hira_message_check(m, size, HIRA_MSG_LANE, sizeof(struct hira_lane_message)) == 0)
        error = on_lane(s, m);
    else if (hira_message_check(m, size, HIRA_MSG_SEGMENT, sizeof(struct hira_segment_message)) == 0)
        error = on_segment(s, m);
    else if (hira_message_check(m, size, HIRA_MSG_REFUSED, sizeof(struct hira_refused)) == 0)
        error = tell_guest(s, m, size, -1);
    else
        error = -EBADMSG;
    relay_session_control_taken(s);
    if (error == -EPIPE || error == -ECONNRESET)
        relay_session_end(s, "");
    if (error)
        hira_refuse(s->local, -error, "%s: %s", s->options->address, strerror(-error));
    if (error == -EBADMSG)
        relay_session_end(s, "it breaks the rules");
}

/* What the guest asks for. It is in a process of its own, and may say anything. */
static void on_guest(struct relay_session *s)
{
    _Alignas(8) char message[256];
    ssize_t n = hira_fd_receive(s->local, message, sizeof message, NULL, NULL, 0);
    bool known =
        n > 0 && (hira_message_check(message, (size_t)n, HIRA_MSG_OPEN_LANE, sizeof(struct hira_lane_message)) == 0 ||
                  hira_message_check(message, (size_t)n, HIRA_MSG_GROW, sizeof(struct hira_segment_message)) == 0);
    if (!known)
        relay_session_end(s, "");
    relay_session_send_control(s, message, (size_t)n);
}

static void serve(struct relay_session *s)
{
    for (;;) {
        struct pollfd p[] = {{s->local, POLLIN, 0}, {s->event, POLLIN, 0}};
        if (poll(p, 2, -1) < 0)
            continue;
        if (p[1].revents)
            on_peer(s);
        if (p[0].revents)
            on_guest(s);
    }
}

/* Begins the session. A connection that is lost while it is being made is not what anybody wanted to say: tried again.
 */
static int begin(struct relay_session *s, char *error, size_t size)
{
    struct relay_pipe pipe;
    int ret = -EPIPE;
    for (int tries = 0; tries < TRIES && (ret == -EPIPE || ret == -ECONNRESET); tries++) {
        ret = relay_pipe_connect(&pipe, &target, &s->options->keys, NULL, error, size);
        if (!ret)
            ret = relay_link_start(&s->link, &pipe, NULL, &owner, s, error, size);
    }
    return ret;
}

void relay_near(const struct relay_options *options, int guest)
{
    static struct relay_session s;
    static char hello[HIRA_MESSAGE_MAX];
    char error[RELAY_ERROR_MAX];
    int init = relay_session_init(&s, options), ret = relay_target_find(&target, options->address, error, sizeof error);
    target.network = options->network.used ? &options->network : NULL;
    if (target.network) /* what is due is to be there in time */
        prctl(PR_SET_TIMERSLACK, 1);
    if (!ret && options->confine)
        ret = relay_confine(true, target.all->ai_family, error, sizeof error);
    s.last = report;
    s.local = guest;
    alarm(RELAY_HANDSHAKE_MS / 1000);
    ssize_t n = hira_fd_receive(guest, hello, sizeof hello, NULL, NULL, 0);
    if (n <= 0)
        _exit(0);
    alarm(0);
    if (init || hira_hello_check(hello, (size_t)n) < 0) {
        hira_refuse(guest, EPROTO, "the HELLO is malformed, or a version's that is not spoken here");
        _exit(1);
    }
    if (!ret)
        ret = begin(&s, error, sizeof error);
    if (ret) { /* the program sees a device that is not there; whoever started it sees why */
        fprintf(stderr, "hira-relay: %s\n", error);
        hira_refuse(guest, -ret, "%s", error);
        _exit(1);
    }
    if (!relay_session_watch(&s))
        relay_session_end(&s, "no thread for the session");
    relay_session_send_control(&s, hello, (size_t)n);
    serve(&s);
    _exit(0);
}
