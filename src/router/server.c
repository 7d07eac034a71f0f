/*
 * One API server as hirad sees it: starting, ready, serving one guest, gone.
 *
 * Hang-up of its socket is the sign of its end; the zygote's EXITED says how it ended. A server that hung up but lives
 * on is killed, for it would hold its guest's memory with nobody watching. While its zygote is dead the pidfd stands in
 * for EXITED. Where the kernel has no pidfds, the zygote is asked to kill: as the parent it knows whose pid it is.
 *
 * Security. A server belongs to its guest: what it says is one READY or one REFUSED before it has a guest, and nothing
 * after; anything else is its end.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "router/router.h"

/* Since Linux 6.5; where architectures number options by themselves, only what the C library knows. */
#if !defined(SO_PEERPIDFD) && !defined(__sparc__) && !defined(__hppa__)
#define SO_PEERPIDFD 77
#endif

static int peer_pidfd(int connection)
{
    int fd = -1;
#ifdef SO_PEERPIDFD
    socklen_t size = sizeof fd;
    if (getsockopt(connection, SOL_SOCKET, SO_PEERPIDFD, &fd, &size) < 0)
        fd = -1;
#endif
    return fd;
}

static void ask_to_kill(struct router_watch *zygote, pid_t pid)
{
    struct hira_forked end = {.head = hira_message_head(HIRA_MSG_END, sizeof end), .pid = (uint32_t)pid};
    if (zygote)
        hira_fd_send(router_watch_fd(zygote), &end, sizeof end, NULL, 0);
}

void router_server_kill(struct router_server *s)
{
    if (!s->pidfd || syscall(SYS_pidfd_send_signal, router_watch_fd(s->pidfd), SIGKILL, NULL, 0) < 0)
        ask_to_kill(s->former ? s->former->watch : s->api->zygote, s->pid);
}

static void set_state(struct router_server *s, enum router_server_state state)
{
    struct router_api *api = s->api;
    struct router *router = api->router;
    unsigned *counts[] = {&api->starting, &api->ready, &api->serving, NULL};
    if (counts[s->state])
        (*counts[s->state])--;
    if (counts[state])
        (*counts[state])++;
    if (s->state == SERVER_SERVING) {
        router->n_serving--;
        s->tenant->n_serving--;
    }
    if (state == SERVER_SERVING) {
        router->n_serving++;
        s->tenant->n_serving++;
    }
    s->state = state;
    router_shares_apply(s->tenant);
}

static const struct hira_log *log_of(const struct router_server *s)
{
    return &s->api->router->log;
}

/* The process has ended: nothing is left but to say so. */
static void server_ended(struct router_server *s)
{
    struct router *router = s->api->router;
    router_tenant_release(s);
    if (s->orphan)
        router_sweep(router);
    router_server_destroy(s);
    router->quieter(router);
}

static void kill_late(void *context)
{
    struct router_server *s = context;
    hira_log(log_of(s), HIRA_LOG_WARNING, "server", (uint32_t)s->guest.pid, "server %d hung up but lives on: killed",
             s->pid);
    router_server_kill(s);
    if (!s->pidfd)
        server_ended(s);
}

/* Its socket hung up, or hirad wants no more of it. The record stays until the process has ended; if it never became
 * ready, how it ends may be all there is to tell the waiting guests. */
static void server_gone(struct router_server *s)
{
    struct router_api *api = s->api;
    if (s->state == SERVER_SERVING)
        hira_log(log_of(s), HIRA_LOG_INFO, "server", (uint32_t)s->guest.pid,
                 "guest left, served for %llu ms by server %d",
                 (unsigned long long)(router_now_ms(api->router) - s->since), s->pid);
    s->unexplained = s->state == SERVER_STARTING;
    router_turn_forget(s);
    router_watch_stop(&s->socket);
    router_watch_stop(&s->guest_pidfd);
    set_state(s, SERVER_GONE);
    router_alarm_set(&api->router->loop, &s->deadline, ROUTER_LAST_WORDS_MS, kill_late, s);
    if (!s->unexplained)
        router_api_balance(api);
}

void router_server_dismiss(struct router_server *s)
{
    router_server_kill(s);
    server_gone(s);
}

static void start_failed(struct router_server *s, const char *text, bool final)
{
    if (s->state != SERVER_GONE)
        server_gone(s);
    if (s->unexplained)
        router_api_start_failed(s->api, s->tenant, text, final);
    s->unexplained = false;
}

static void start_timeout(void *context)
{
    struct router_server *s = context;
    char text[100];
    snprintf(text, sizeof text, "server %d was not ready after %llu s", s->pid,
             (unsigned long long)s->api->router->options.start_timeout_ms / 1000);
    router_server_kill(s);
    start_failed(s, text, true);
}

static void server_ready(struct router_server *s)
{
    struct router_api *api = s->api;
    router_alarm_stop(&s->deadline);
    set_state(s, SERVER_READY);
    s->tenant->ready_at = router_now_ms(api->router);
    router_api_start_worked(api, s->tenant);
    hira_log(log_of(s), HIRA_LOG_DEBUG, "server", 0, "server %d for %s is ready", s->pid, api->name);
    router_api_balance(api);
}

static void on_message(void *context)
{
    struct router_server *s = context;
    struct hira_refused message;
    ssize_t n = hira_fd_receive(router_watch_fd(s->socket), &message, sizeof message, NULL, NULL, MSG_DONTWAIT);
    if (n == -EAGAIN)
        return;
    if (n == 0 || n == -ECONNRESET) {
        server_gone(s);
    } else if (n > 0 && s->state == SERVER_STARTING &&
               hira_message_check(&message, (size_t)n, HIRA_MSG_READY, sizeof(struct hira_forked)) == 0) {
        server_ready(s);
    } else if (n > 0 && s->state == SERVER_STARTING &&
               hira_message_check(&message, (size_t)n, HIRA_MSG_REFUSED, sizeof message) == 0) {
        message.text[sizeof message.text - 1] = 0;
        start_failed(s, message.text, true);
    } else if (n > 0 && s->state == SERVER_SERVING && router_turn_hear(s, &message, (size_t)n)) {
        return;
    } else {
        hira_log(log_of(s), HIRA_LOG_WARNING, "server", (uint32_t)s->guest.pid, "server %d speaks out of turn: killed",
                 s->pid);
        router_server_kill(s);
        server_gone(s);
    }
}

static void on_pidfd(void *context)
{
    struct router_server *s = context;
    if (s->state != SERVER_GONE)
        server_gone(s);
    start_failed(s, "the server ended while it started", false);
    server_ended(s);
}

static struct router_server *server_new(struct router_api *api, struct router_tenant *tenant, pid_t pid, int socket,
                                        int log, int account, int pidfd)
{
    struct router *router = api->router;
    struct router_server *s = calloc(1, sizeof *s);
    if (!s) {
        close(socket);
        close(log);
        close(account);
        hira_fd_closep(&pidfd);
        return NULL;
    }
    s->api = api;
    s->table = api->functions.table;
    s->tenant = tenant;
    router_turn_init(s);
    s->pages = hira_list_entry(tenant->pages.next, struct router_pages, link);
    s->pages->n_servers++;
    s->pid = pid;
    s->state = SERVER_STARTING;
    api->starting++;
    hira_list_append(&api->servers, &s->link);
    s->account = router_account_map(account);
    router_lines_start(&s->lines, router, "server", (uint32_t)pid, log);
    if (pidfd >= 0 && (s->pidfd = router_watch_start(&router->loop, pidfd, on_pidfd, s)))
        router_watch_pause(s->pidfd, true); /* EXITED tells more: see router_servers_orphaned */
    s->socket = router_watch_start(&router->loop, socket, on_message, s);
    return s;
}

void router_server_create(struct router_api *api, struct router_tenant *tenant, pid_t pid, int socket, int log,
                          int account, int pidfd)
{
    struct router *router = api->router;
    struct router_server *s = server_new(api, tenant, pid, socket, log, account, pidfd);
    if (!s) {
        ask_to_kill(api->zygote, pid);
        router_api_start_failed(api, NULL, "hirad is out of memory", false);
    } else if (!s->socket) {
        router_server_kill(s);
        server_gone(s);
    } else {
        router_alarm_set(&router->loop, &s->deadline, router->options.start_timeout_ms, start_timeout, s);
    }
}

static int forget_rejoining(const int fds[5], int pidfd)
{
    for (int i = 0; i < 5; i++)
        if (fds[i] >= 0)
            close(fds[i]);
    hira_fd_closep(&pidfd);
    return -ENOMEM;
}

/* It goes on with the pages that it has. */
static void take_pages(struct router_server *s, int limits, int shared)
{
    struct router_pages *pages = limits < 0 ? NULL : router_tenant_rejoin(s->tenant, limits, shared);
    if (s->pages)
        s->pages->n_servers--;
    s->pages = pages;
    if (pages)
        pages->n_servers++;
}

/* ---- its guest's process ---- */

static void outlives_guest(void *context)
{
    struct router_server *s = context;
    if (s->state != SERVER_SERVING)
        return;
    hira_log(log_of(s), HIRA_LOG_WARNING, "server", (uint32_t)s->guest.pid,
             "the guest has ended and somebody keeps its connection: server %d is killed", s->pid);
    router_server_dismiss(s);
}

static void on_guest_gone(void *context)
{
    struct router_server *s = context;
    router_watch_stop(&s->guest_pidfd);
    if (s->state == SERVER_SERVING) /* it sees the hang-up itself, if there is one */
        router_alarm_set(&s->api->router->loop, &s->deadline, ROUTER_LAST_WORDS_MS, outlives_guest, s);
}

/* A server ends with its guest. Its own sign of that is that the connection hangs up, which does not happen while any
 * process has the guest's end: one that the guest has given it to, the server itself. So hirad looks at the process. By
 * the connection, where it still is and the kernel can tell; else by number. */
static void watch_guest(struct router_server *s, int connection)
{
    int fd = connection < 0 ? -1 : peer_pidfd(connection);
    if (fd < 0)
        fd = s->guest.pid > 0 ? (int)syscall(SYS_pidfd_open, s->guest.pid, 0) : -1;
    if (fd >= 0 && fcntl(fd, F_SETFD, FD_CLOEXEC) == 0)
        s->guest_pidfd = router_watch_start(&s->api->router->loop, fd, on_guest_gone, s);
    else if (fd < 0 && errno == ESRCH)
        on_guest_gone(s);
}

int router_server_rejoin(struct router_former *former, const struct hira_serving *serving, const int fds[5], int pidfd)
{
    struct router_api *api = former->api;
    char name[HIRA_TENANT_MAX];
    memcpy(name, serving->tenant, sizeof name);
    if (!hira_tenant_valid(name))
        snprintf(name, sizeof name, "user-%u", serving->uid);
    struct router_tenant *tenant = router_tenant_named(api->router, name, serving->uid); /* for whom it was made */
    if (!tenant)
        return forget_rejoining(fds, pidfd);
    tenant->seen = ++api->router->n_seen; /* whose guests are served is who will most likely come again */
    struct router_server *s = server_new(api, tenant, (pid_t)serving->pid, fds[0], fds[1], fds[2], pidfd);
    if (!s)
        return forget_rejoining((const int[5]){-1, -1, -1, fds[3], fds[4]}, -1);
    take_pages(s, fds[3], fds[4]);
    s->former = former;
    s->table = former->table;
    set_state(s, SERVER_SERVING);
    s->since = HIRA_MIN(serving->since, router_now_ms(api->router));
    s->guest.pid = (pid_t)serving->guest;
    s->guest.uid = serving->uid;
    snprintf(s->guest.name, sizeof s->guest.name, "%.*s", (int)sizeof serving->name, serving->name);
    hira_log(log_of(s), HIRA_LOG_INFO, "router", serving->guest, "%s of user %u is served on by %s server %d",
             s->guest.name, s->guest.uid, api->name, s->pid);
    router_turn_rejoin(s);
    watch_guest(s, -1);
    if (s->socket)
        return 0;
    server_gone(s);
    return -ENOMEM;
}

int router_server_adopt(struct router_server *s, struct router_guest *g)
{
    struct router *router = s->api->router;
    size_t size = sizeof(struct hira_adopt) + g->hello_size;
    struct hira_adopt adopt = {
        .head = hira_message_head(HIRA_MSG_ADOPT, size), .uid = g->uid, .gid = g->gid, .pid = (uint32_t)g->pid, .region = g->region};
    int fds[3] = {router_watch_fd(g->socket)};
    size_t n_fds = 1;
    if (g->region.size)
        fds[n_fds++] = g->region_fd;
    if (s->tenant->trace.pipe >= 0)
        fds[n_fds++] = s->tenant->trace.pipe;
    struct hira_serving serving = {.head = hira_message_head(HIRA_MSG_SERVING, sizeof serving),
                                   .pid = (uint32_t)s->pid,
                                   .guest = (uint32_t)g->pid,
                                   .uid = g->uid,
                                   .gid = g->gid,
                                   .since = router_now_ms(router)};
    memcpy(serving.name, g->name, sizeof serving.name);
    memcpy(serving.tenant, s->tenant->name, sizeof serving.tenant);
    if (s->api->zygote) /* first, or a hirad that is killed here leaves a guest that nobody will know */
        hira_fd_send(router_watch_fd(s->api->zygote), &serving, sizeof serving, &g->lease, g->lease < 0 ? 0 : 1);
    memcpy(g->message, &adopt, sizeof adopt);
    fcntl(fds[0], F_SETFL, 0); /* shared with the server, which waits in its reads */
    int error = hira_fd_send(router_watch_fd(s->socket), g->message, size, fds, n_fds);
    if (error) {
        router_server_kill(s);
        server_gone(s);
        return error;
    }
    set_state(s, SERVER_SERVING);
    s->since = serving.since;
    s->guest.pid = g->pid;
    s->guest.uid = g->uid;
    memcpy(s->guest.name, g->name, sizeof s->guest.name);
    watch_guest(s, fds[0]);
    s->api->adopted++;
    router->n_guests_ever++;
    hira_log(&router->log, HIRA_LOG_INFO, "router", (uint32_t)g->pid, "%s of user %u is served by %s server %d",
             g->name, g->uid, s->api->name, s->pid);
    return 0;
}

static struct router_server *find_server(struct router_api *api, pid_t pid)
{
    struct hira_list *pos, *next;
    hira_list_for_each (pos, next, &api->servers)
        if (hira_list_entry(pos, struct router_server, link)->pid == pid)
            return hira_list_entry(pos, struct router_server, link);
    return NULL;
}

/* What people want to know of an end: nothing of a normal one. */
static void describe_end(const struct router_server *s, int status, char *text, size_t size)
{
    const char *last = s->lines.last;
    text[0] = 0;
    if (WIFSIGNALED(status))
        snprintf(text, size, "server %d was ended by signal %d (%s)", s->pid, WTERMSIG(status),
                 strsignal(WTERMSIG(status)));
    else if (WEXITSTATUS(status) || s->unexplained)
        snprintf(text, size, "server %d ended with status %d%s%s", s->pid, WEXITSTATUS(status), *last ? ": " : "",
                 last);
}

void router_server_exited(struct router_api *api, const struct router_former *former, pid_t pid, int status)
{
    struct router_server *s = find_server(api, pid);
    char text[400];
    if (!s || s->former != former)
        return;
    for (int i = 0; i < 3 && s->state == SERVER_STARTING; i++) /* its last words may not have been heard yet */
        on_message(s);
    if (s->state != SERVER_GONE)
        server_gone(s);
    router_lines_stop(&s->lines);
    describe_end(s, status, text, sizeof text);
    if (text[0])
        hira_log(log_of(s), HIRA_LOG_WARNING, "server", (uint32_t)s->guest.pid, "%s", text);
    start_failed(s, text, false);
    server_ended(s);
}

void router_servers_orphaned(struct router_api *api, const struct router_former *former)
{
    struct hira_list *pos, *next;
    hira_list_for_each (pos, next, &api->servers) {
        struct router_server *s = hira_list_entry(pos, struct router_server, link);
        if (s->former != former || s->orphan)
            continue;
        s->orphan = true;
        s->former = NULL;
        if (s->pidfd)
            router_watch_pause(s->pidfd, false);
        else if (s->state == SERVER_GONE)
            server_ended(s);
    }
}

void router_server_destroy(struct router_server *s)
{
    if (s->state == SERVER_STARTING || s->state == SERVER_READY)
        router_server_kill(s); /* nobody's yet: no reason to wait until it has initialized to see our hang-up */
    router_turn_forget(s);
    set_state(s, SERVER_GONE);
    hira_list_remove(&s->link);
    router_lines_stop(&s->lines);
    router_account_unmap(s->account);
    free(s->seen);
    router_watch_stop(&s->socket);
    router_watch_stop(&s->guest_pidfd);
    router_watch_stop(&s->pidfd);
    router_alarm_stop(&s->deadline);
    free(s);
}
