/*
 * The accelerator's side of a session: a guest to hirad and to the server, and the near relay's peer.
 *
 * One process for each peer. A session waits for its next connection when one is lost: whoever takes that in (another
 * process, which has read its preface) hands it over by a socket that is named after the session.
 *
 * Security. Whoever knows the session's name can have a connection brought here; but it is this session's, and the one
 * before is given up, only once it has shown to be the same peer. The socket's name does not tell the session's. A peer
 * that breaks a rule loses its session, and hurts nobody else's.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fd.h"
#include "remote/session.h"
#include "remote/util.h"

#define COMING_MAX 8u /* connections to one session that have not shown who they are */

struct far {
    struct relay_session session; /* first */
    char peer[64], identity[HIRA_TENANT_MAX];
    int door; /* where the next connection is brought */
    pthread_mutex_t lock;
    pthread_cond_t came;
    struct relay_pipe next; /* it, or none */
    unsigned n_coming;      /* connections that are showing who they are */
};

static void say(const struct far *f, const char *text)
{
    fprintf(stderr, "%s%s%s: %s\n", f->peer, f->identity[0] ? ", " : "", f->identity, text);
}

/* ---- the next connection ---- */

/* A machine's sessions are not another's to go on with. */
static socklen_t door_name(uint32_t machine, const uint8_t *session, struct sockaddr_un *ret)
{
    uint8_t digest[RELAY_DIGEST_SIZE];
    *ret = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (!relay_digest(session, RELAY_SESSION_SIZE, digest)) /* then there is no other connection */
        return 0;
    int n = snprintf(ret->sun_path + 1, sizeof ret->sun_path - 1, "hira-relay-%u-", machine);
    for (int i = 0; i < RELAY_SESSION_SIZE; i++) /* as many bytes of it as the name has */
        n += snprintf(ret->sun_path + 1 + n, sizeof ret->sun_path - 1 - (size_t)n, "%02x", digest[i]);
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n);
}

static int open_door(uint32_t machine, const uint8_t *session)
{
    struct sockaddr_un name;
    socklen_t size = door_name(machine, session, &name);
    HIRA_AUTOCLOSE int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (fd < 0 || !size || bind(fd, (struct sockaddr *)&name, size) < 0 || listen(fd, 4) < 0)
        return -errno;
    return HIRA_STEAL_FD(fd);
}

static bool of_this_user(int fd)
{
    return hira_fd_peer_user(fd) == geteuid();
}

/* Brings a connection to its session. 0, or -ENOENT: there is none. */
static int bring(uint32_t machine, const uint8_t *session, int connection)
{
    struct sockaddr_un name;
    socklen_t size = door_name(machine, session, &name);
    HIRA_AUTOCLOSE int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (fd < 0 || !size || connect(fd, (struct sockaddr *)&name, size) < 0 || !of_this_user(fd))
        return -ENOENT;
    return hira_fd_send(fd, "", 1, &connection, 1);
}

struct coming {
    struct far *far;
    int fd;
};

/* It shows that it is the same peer: only then is the one before given up, whatever that looks like from here. */
static void *prove(void *context)
{
    struct coming *c = context;
    struct far *f = c->far;
    char error[RELAY_ERROR_MAX];
    struct relay_pipe pipe;
    int ret = relay_pipe_accept(&pipe, c->fd, &f->session.options->keys, error, sizeof error);
    free(c);
    if (!ret && strcmp(pipe.identity, f->identity) != 0) {
        relay_pipe_close(&pipe);
        ret = -EACCES;
    }
    if (!ret)
        relay_link_drop(&f->session.link); /* in this order: the next one is not to be given up for the one before */
    pthread_mutex_lock(&f->lock);
    if (!ret) {
        relay_pipe_close(&f->next);
        f->next = pipe;
        pthread_cond_signal(&f->came);
    }
    f->n_coming--;
    pthread_mutex_unlock(&f->lock);
    return NULL;
}

static void take_in(struct far *f, int fd)
{
    struct coming *c = malloc(sizeof *c);
    pthread_mutex_lock(&f->lock);
    bool room = c && f->n_coming < COMING_MAX;
    f->n_coming += room;
    pthread_mutex_unlock(&f->lock);
    if (room) {
        *c = (struct coming){f, fd};
        if (relay_thread_start(prove, c))
            return;
        pthread_mutex_lock(&f->lock);
        f->n_coming--;
        pthread_mutex_unlock(&f->lock);
    }
    close(fd);
    free(c);
}

/* A thread of its own: the others may wait for the next connection. */
static void *keep_door(void *context)
{
    struct far *f = context;
    const struct timeval soon = {1, 0};
    for (;;) {
        char byte;
        int fd = -1;
        size_t n = 1;
        HIRA_AUTOCLOSE int from = accept4(f->door, NULL, NULL, SOCK_CLOEXEC);
        if (from < 0 && errno != EINTR && errno != ECONNABORTED)
            usleep(100000);
        if (from >= 0 && of_this_user(from) && setsockopt(from, SOL_SOCKET, SO_RCVTIMEO, &soon, sizeof soon) == 0 &&
            hira_fd_receive(from, &byte, 1, &fd, &n, 0) > 0 && n)
            take_in(f, fd);
    }
    return NULL;
}

static bool again(void *context, struct relay_pipe *pipe)
{
    struct far *f = context;
    struct timespec end;
    int error = 0;
    if (atomic_load(&f->session.ending))
        return false;
    say(f, "the connection is lost; the session waits for the next");
    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec += f->session.options->grace_ms / 1000 + 1;
    pthread_mutex_lock(&f->lock);
    while (f->next.fd < 0 && !error && !atomic_load(&f->session.ending))
        error = pthread_cond_timedwait(&f->came, &f->lock, &end);
    *pipe = f->next;
    f->next = (struct relay_pipe){.fd = -1};
    pthread_mutex_unlock(&f->lock);
    return pipe->fd >= 0;
}

__attribute__((noreturn)) static void over(void *context, const char *why)
{
    struct far *f = context;
    if (*why && !atomic_load(&f->session.ending))
        say(f, why);
    _exit(0);
}

static const struct relay_owner owner = {relay_session_frame, relay_session_place, relay_session_arrived, again, over};

/* ---- control messages ---- */

static int on_lane(struct relay_session *s, const struct hira_lane_message *lane, int fd)
{
    if (fd < 0 || lane->index >= HIRA_LANES_MAX)
        return -EBADMSG;
    return lane->callbacks ? relay_session_add_source(s, RELAY_REVERSE, fd, true)
                           : relay_session_add_sink(s, lane->index, fd, true);
}

static int on_segment(struct relay_session *s, const struct hira_segment_message *segment, int fd)
{
    if (fd < 0 || !s->memory.arena.base || segment->base != s->memory.arena.committed)
        return -EBADMSG;
    return hira_arena_map(&s->memory.arena, fd, segment->size);
}

/* What hirad or the server says. */
static void on_server(struct relay_session *s)
{
    static union {
        struct hira_welcome welcome;
        struct hira_lane_message lane;
        struct hira_segment_message segment;
        char bytes[sizeof(struct hira_welcome) + HIRA_FUNCTIONS_MAX];
    } m;
    HIRA_AUTOCLOSE int fd = -1;
    size_t n_fds = 1;
    ssize_t n = hira_fd_receive(s->local, &m, sizeof m, &fd, &n_fds, 0);
    int error = 0;
    if (n <= 0)
        relay_session_end(s, "");
    if (hira_message_check(&m, (size_t)n, HIRA_MSG_WELCOME, sizeof m.welcome) == 0)
        error = s->memory.arena.base
                    ? -EBADMSG
                    : hira_arena_init(&s->memory.arena, HIRA_MIN(m.welcome.max_arena, (uint64_t)HIRA_ARENA_MAX));
    else if (hira_message_check(&m, (size_t)n, HIRA_MSG_LANE, sizeof m.lane) == 0)
        error = on_lane(s, &m.lane, fd);
    else if (hira_message_check(&m, (size_t)n, HIRA_MSG_SEGMENT, sizeof m.segment) == 0)
        error = on_segment(s, &m.segment, fd);
    if (error)
        relay_session_end(s, "this host has no memory left for it");
    /* May wait for the peer, who holds up nobody but itself so: each has a process. relay_session_watch() bounds it. */
    relay_session_send_control(s, &m, (size_t)n);
}

/* What the guest asks for. One that is not answered yet is not followed by another: the link's reader refuses that. */
static int on_peer(struct relay_session *s)
{
    size_t size = relay_session_control(s);
    int error = 0;
    if (size && hira_message_check(s->control, size, HIRA_MSG_OPEN_LANE, sizeof(struct hira_lane_message)) < 0 &&
        hira_message_check(s->control, size, HIRA_MSG_GROW, sizeof(struct hira_segment_message)) < 0)
        error = -EBADMSG;
    else if (size)
        error = hira_fd_send(s->local, s->control, size, NULL, 0);
    relay_session_control_taken(s);
    return error;
}

static void serve(struct far *f)
{
    struct relay_session *s = &f->session;
    for (;;) {
        struct pollfd p[] = {{s->local, POLLIN, 0}, {s->event, POLLIN, 0}};
        if (poll(p, 2, -1) < 0)
            continue;
        if (p[1].revents && on_peer(s) == -EBADMSG)
            relay_session_end(s, "the peer breaks the rules");
        if (p[0].revents)
            on_server(s);
    }
}

/* ---- beginning ---- */

/* Its HELLO, which it says at once; by another connection where this one is lost on the way. */
static size_t wait_hello(struct far *f)
{
    uint64_t end = hira_now_ns() + RELAY_HANDSHAKE_MS * 1000000ull;
    for (uint64_t now; (now = hira_now_ns()) < end;) {
        struct pollfd p = {f->session.event, POLLIN, 0};
        if (poll(&p, 1, (int)((end - now) / 1000000u) + 1) > 0)
            return relay_session_control(&f->session);
    }
    return 0;
}

static void introduce(struct far *f, size_t size)
{
    struct relay_session *s = &f->session;
    struct hira_behalf behalf = {.head = hira_message_head(HIRA_MSG_BEHALF, sizeof behalf)};
    memcpy(behalf.name, f->identity, sizeof behalf.name);
    memcpy(behalf.peer, f->peer, sizeof behalf.peer);
    s->local = hira_socket_connect(s->options->socket);
    /* What cannot be sent was refused before: why can still be read. */
    if (s->local >= 0 && hira_fd_send(s->local, &behalf, sizeof behalf, NULL, 0) == 0)
        hira_fd_send(s->local, s->control, size, NULL, 0);
    relay_session_control_taken(s);
    if (s->local >= 0 && !relay_session_watch(s))
        relay_session_end(s, "this host has no thread left for it");
    if (s->local < 0) {
        const struct hira_refused refused = {.head = hira_message_head(HIRA_MSG_REFUSED, sizeof refused),
                                             .error = ENOENT,
                                             .text = "no hirad answers on that host"};
        say(f, "no hirad answers");
        relay_session_send_control(s, &refused, sizeof refused);
        relay_session_end(s, "");
    }
}

/* False: it is refused, and told so. */
static bool greet(const struct relay_options *o, int connection, char *error, size_t size)
{
    struct relay_preface theirs;
    static const uint8_t none[RELAY_SESSION_SIZE];
    int ret = relay_pipe_greet(connection, &theirs, error, size);
    bool wants_plain = theirs.security == RELAY_PLAIN;
    if (!ret && wants_plain != o->keys.plain)
        ret = (snprintf(error, size,
                        o->keys.plain ? "this host speaks without encryption only (--plain)"
                                      : "this host speaks TLS only"),
               -EACCES);
    if (!ret && memcmp(theirs.session, none, sizeof none)) {
        ret = bring(o->machine, theirs.session, connection);
        if (!ret)
            _exit(0);
        snprintf(error, size, "the session is over");
    }
    if (ret) {
        relay_pipe_refuse(connection, -ret, error);
        return false;
    }
    return true;
}

/* Before anything is read of the peer: what is needed that cannot be had afterwards. */
static int prepare(struct far *f, struct relay_options *o, uint8_t *session, char *error, size_t size)
{
    int ret = relay_session_init(&f->session, o);
    if (getrandom(session, RELAY_SESSION_SIZE, 0) != RELAY_SESSION_SIZE)
        abort();
    f->door = open_door(o->machine, session);
    if (!ret)
        ret = relay_keys_refresh(&o->keys, error, size);
    return ret || !o->confine ? ret : relay_confine(false, AF_UNSPEC, error, size);
}

void relay_far(struct relay_options *options, int connection, const char *peer)
{
    static struct far f = {.door = -1, .next.fd = -1, .lock = PTHREAD_MUTEX_INITIALIZER, .came = PTHREAD_COND_INITIALIZER};
    uint8_t session[RELAY_SESSION_SIZE];
    struct relay_pipe pipe = {.fd = -1};
    char error[RELAY_ERROR_MAX] = "it cannot begin";
    snprintf(f.peer, sizeof f.peer, "%s", peer);
    int ret = prepare(&f, options, session, error, sizeof error);
    if (ret || !greet(options, connection, error, sizeof error)) {
        say(&f, error);
        _exit(1);
    }
    ret = relay_pipe_accept(&pipe, connection, &options->keys, error, sizeof error);
    memcpy(f.identity, pipe.identity, sizeof f.identity);
    if (!ret && f.door >= 0 && !relay_thread_start(keep_door, &f))
        ret = -EAGAIN;
    if (!ret)
        ret = relay_link_start(&f.session.link, &pipe, session, &owner, &f, error, sizeof error);
    if (ret) {
        say(&f, error);
        _exit(1);
    }
    size_t size = wait_hello(&f);
    if (!size || hira_hello_check(f.session.control, size) < 0) {
        say(&f, "it did not say what it wants");
        _exit(1);
    }
    relay_proven();
    introduce(&f, size);
    serve(&f);
    _exit(0);
}
