/*
 * A guest from its connection to its server: half open until its HELLO came, waiting until a server is ready.
 *
 * Security. Anybody who may open the socket is here. A guest costs one descriptor and, once its HELLO is complete and
 * within limits, that HELLO's memory; it has a deadline in either state. When too many are half open, the one that has
 * been silent longest goes: whoever speaks at once is never hurt by those who do not. Who it is, the kernel says. No
 * user's guests take all the places or memory that there are for those who wait here.
 * Descriptors are not taken, not even to be closed: see hira_fd_let_rights_pass.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "router/router.h"

void router_guest_destroy(struct router_guest *g)
{
    struct router *router = g->router;
    if (g->api)
        router->n_waiting--;
    else
        router->n_half_open--;
    router->waiting_bytes -= g->hello_size;
    hira_list_remove(&g->link);
    router_alarm_stop(&g->deadline);
    router_watch_stop(&g->socket);
    hira_fd_closep(&g->region_fd);
    hira_fd_closep(&g->lease);
    free(g->message);
    free(g);
    router->quieter(router);
}

/* Not each of very many: whoever is refused over and over fills no log, and hides nothing else in it. */
static void log_refusal(const struct router_guest *g, const char *text)
{
    struct router *router = g->router;
    if (!router_bucket_take(&router->refusals, router_now_ms(router), ROUTER_REFUSALS_PER_S)) {
        router->n_unlogged++;
        return;
    }
    if (router->n_unlogged)
        hira_log(&router->log, HIRA_LOG_WARNING, "router", 0, "%u guests more were refused", HIRA_STEAL(router->n_unlogged));
    /* Of a private router it is the program that it was started for: whoever started it wants to know. */
    hira_log(&router->log, router->private ? HIRA_LOG_ERROR : HIRA_LOG_WARNING, "router", (uint32_t)g->pid, "%s of user %u refused: %s",
             g->name, g->uid, text);
}

void router_guest_refuse(struct router_guest *g, int error, const char *format, ...)
{
    char text[sizeof((struct hira_refused *)0)->text];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    g->router->n_refused++;
    log_refusal(g, text);
    hira_refuse(router_watch_fd(g->socket), error, "%s", text);
    router_guest_destroy(g);
}

static void wait_timeout(void *context)
{
    struct router_guest *g = context;
    struct router *router = g->router;
    const char *reason = g->api->reason;
    uint64_t limit = router->options.start_timeout_ms + 1000;
    if (router_now_ms(router) - g->tenant->ready_at < limit) { /* others' did: its turn will come */
        router_alarm_set(&router->loop, &g->deadline, limit, wait_timeout, g);
        return;
    }
    router_guest_refuse(g, EAGAIN, "no server for %s became ready in time%s%s", g->api->name, *reason ? ": " : "",
                        reason);
}

static void hello_timeout(void *context)
{
    router_guest_refuse(context, ETIMEDOUT, "nothing was said for %llu ms after connecting",
                        (unsigned long long)((struct router_guest *)context)->router->options.hello_timeout_ms);
}

/* Once its HELLO is complete a guest only listens: anything readable is its hang-up or a breach. */
static void on_waiting(void *context)
{
    struct router_guest *g = context;
    char byte;
    ssize_t n = hira_fd_receive(router_watch_fd(g->socket), &byte, 1, NULL, NULL, MSG_DONTWAIT);
    if (n == -EAGAIN)
        return;
    if (n == 0 || n == -ECONNRESET) {
        hira_log(&g->router->log, HIRA_LOG_INFO, "router", (uint32_t)g->pid, "left before a server was ready");
        router_guest_destroy(g);
    } else {
        router_guest_refuse(g, EPROTO, "a guest speaks once, then waits for its WELCOME");
    }
}

/* False: it may not, and was told so. */
static bool find_tenant(struct router_guest *g, const struct router_api *api)
{
    int error;
    errno = 0; /* what a new tenant's pages fail with */
    g->tenant = g->behalf[0] ? router_tenant_behalf(g->router, g->behalf, &error)
                             : router_tenant_of(g->router, g->door, g->uid, g->gid, &error);
    if (g->tenant && router_tenant_may_use(g->tenant, api->name))
        return true;
    if (g->tenant)
        router_guest_refuse(g, EACCES, "tenant %s may not use %s", g->tenant->name, api->name);
    else if (error == -EACCES && g->behalf[0])
        router_guest_refuse(g, EACCES, "%s is no tenant of this router", g->behalf);
    else if (error == -EACCES)
        router_guest_refuse(g, EACCES, "user %u is no tenant of this router", g->uid);
    else
        router_guest_refuse(g, ENOMEM, errno == ENOSYS ? "this kernel has no memfd_create" : "hirad is out of memory");
    return false;
}

static void wait_for_server(struct router_guest *g, struct router_api *api, size_t size)
{
    struct router *router = g->router;
    g->message = malloc(sizeof(struct hira_adopt) + size);
    if (!g->message) {
        router_guest_refuse(g, ENOMEM, "hirad is out of memory");
        return;
    }
    memcpy(g->message + sizeof(struct hira_adopt), router->buffer, size);
    g->hello_size = size;
    g->tenant->seen = ++router->n_seen;
    router->waiting_bytes += size;
    router_alarm_set(&router->loop, &g->deadline, router->options.start_timeout_ms + 1000, wait_timeout, g);
    hira_list_remove(&g->link);
    router->n_half_open--;
    g->api = api;
    router->n_waiting++;
    hira_list_append(&api->waiting, &g->link);
    router_api_balance(api);
}

/* Whether there is memory for one more HELLO. What is left of it when half is taken is for users who have little. */
static bool may_wait(const struct router *router, uid_t uid, size_t size)
{
    const struct hira_list *a, *pos;
    size_t own = 0;
    if (router->waiting_bytes <= ROUTER_WAITING_BYTES_MAX / 2 - size)
        return true;
    for (a = router->apis.next; a != &router->apis; a = a->next)
        for (pos = hira_list_entry(a, struct router_api, link)->waiting.next; pos != &hira_list_entry(a, struct router_api, link)->waiting;
             pos = pos->next) {
            const struct router_guest *g = hira_list_entry(pos, struct router_guest, link);
            own += g->uid == uid ? g->hello_size : 0;
        }
    return own <= ROUTER_WAITING_BYTES_MAX / 4 - size && router->waiting_bytes <= ROUTER_WAITING_BYTES_MAX - size;
}

/* Of a user: served, or waiting. */
static unsigned places_of(const struct router *router, uid_t uid)
{
    unsigned n = 0;
    const struct hira_list *a, *pos;
    for (a = router->apis.next; a != &router->apis; a = a->next) {
        const struct router_api *api = hira_list_entry(a, struct router_api, link);
        for (pos = api->servers.next; pos != &api->servers; pos = pos->next) {
            const struct router_server *s = hira_list_entry(pos, struct router_server, link);
            n += s->state == SERVER_SERVING && s->guest.uid == uid;
        }
        for (pos = api->waiting.next; pos != &api->waiting; pos = pos->next)
            n += hira_list_entry(pos, struct router_guest, link)->uid == uid;
    }
    return n;
}

/* Three quarters are the most that one user has: others are never kept out by one alone. hirad's own user and root could
 * do more than that. */
static bool has_place(const struct router *router, uid_t uid)
{
    unsigned most = router->options.max_guests - router->options.max_guests / 4;
    return uid == 0 || uid == geteuid() || router->n_serving + router->n_waiting < most || places_of(router, uid) < most;
}

static void on_hello(struct router_guest *g, size_t size)
{
    struct router *router = g->router;
    const struct hira_hello *hello = (const struct hira_hello *)router->buffer;
    struct router_api *api;
    const char *reason;
    if (!hira_api_name_valid(hello->api))
        router_guest_refuse(g, ENOENT, "an API's name is lower-case letters, digits, '-' and '_'");
    else if (!(api = router_api_find(router, hello->api)))
        router_guest_refuse(g, ENOENT, "no server for %s is installed here (hira-server-%s)", hello->api, hello->api);
    else if (router->n_serving + router->n_waiting >= router->options.max_guests)
        router_guest_refuse(g, EAGAIN, "%u guests are served already, which is the limit (--max-guests)",
                            router->n_serving + router->n_waiting);
    else if (!has_place(router, g->uid))
        router_guest_refuse(g, EAGAIN, "programs of user %u have three quarters of the places already (--max-guests)",
                            (unsigned)g->uid);
    else if (!may_wait(router, g->uid, size))
        router_guest_refuse(g, EAGAIN, "%u guests wait for a server already", router->n_waiting);
    else if (!find_tenant(g, api))
        return;
    else if ((reason = router_api_hopeless_for(api, g->tenant)))
        router_guest_refuse(g, ENODEV, "no server for %s could start: %s", api->name, reason);
    else
        wait_for_server(g, api, size);
}

/* Takes the text over, and a descriptor that goes with it (-1: none does). */
static void answer_text(struct router_guest *g, enum hira_message_type type, char *text, int fd)
{
    struct hira_message head;
    HIRA_AUTOFREE char *json = text;
    HIRA_AUTOCLOSE int with = fd;
    size_t length = json ? strlen(json) : 0, size = sizeof head + length + 1;
    HIRA_AUTOFREE char *message = json && size <= HIRA_MESSAGE_MAX ? malloc(size) : NULL;
    if (message) {
        head = hira_message_head(type, size);
        memcpy(message, &head, sizeof head);
        memcpy(message + sizeof head, json, length + 1);
        hira_fd_send(router_watch_fd(g->socket), message, size, &with, with < 0 ? 0 : 1);
    }
    router_guest_destroy(g);
}

static void answer_status(struct router_guest *g)
{
    answer_text(g, HIRA_MSG_STATUS_TEXT, router_status_text(g->router, g->uid), -1);
}

static void answer_control(struct router_guest *g, size_t size)
{
    char *text = g->router->buffer + sizeof(struct hira_control);
    int fd = -1;
    text[size - sizeof(struct hira_control) - 1] = 0;
    text = router_control(g->router, text, g->uid, &fd);
    answer_text(g, HIRA_MSG_CONTROL_TEXT, text, fd);
}

/* Whose guests somebody may end: the own ones; root and hirad's own user all. */
static unsigned kill_servers(struct router *router, uid_t uid, pid_t guest)
{
    struct hira_list *a, *a_next, *pos, *next;
    bool all = uid == 0 || uid == geteuid();
    unsigned n = 0;
    hira_list_for_each (a, a_next, &router->apis)
        hira_list_for_each (pos, next, &hira_list_entry(a, struct router_api, link)->servers) {
            struct router_server *s = hira_list_entry(pos, struct router_server, link);
            if (s->state != SERVER_SERVING || (guest && s->guest.pid != guest) || (!all && s->guest.uid != uid))
                continue;
            hira_log(&router->log, HIRA_LOG_INFO, "router", (uint32_t)s->guest.pid,
                     "server %d is ended, as user %u asks", s->pid, uid);
            router_server_kill(s);
            n++;
        }
    return n;
}

static void answer_kill(struct router_guest *g)
{
    struct hira_kill kill = *(const struct hira_kill *)g->router->buffer;
    kill.n = kill_servers(g->router, g->uid, (pid_t)kill.pid);
    kill.head = hira_message_head(HIRA_MSG_KILLED, sizeof kill);
    hira_fd_send(router_watch_fd(g->socket), &kill, sizeof kill, NULL, 0);
    router_guest_destroy(g);
}

/* A relay says for whom it is a guest: its HELLO comes next. */
static void on_behalf(struct router_guest *g)
{
    struct router *router = g->router;
    struct hira_behalf *b = (struct hira_behalf *)router->buffer;
    b->peer[sizeof b->peer - 1] = 0;
    if (g->behalf[0] || (b->name[0] && !hira_tenant_valid(b->name)) || !router_is_own(router, g->pid, g->uid)) {
        router_guest_refuse(g, EACCES, "who says it speaks for somebody else is no relay of this user's");
        return;
    }
    memcpy(g->behalf, b->name, sizeof g->behalf);
    if (!strncmp(b->peer, "machine ", 8))
        snprintf(g->name, sizeof g->name, "%.31s", b->peer);
    hira_log(&router->log, HIRA_LOG_INFO, "router", (uint32_t)g->pid, "%s from %s comes by process %d",
             b->name[0] ? b->name : "a guest", b->peer, (int)g->pid);
    router_alarm_set(&router->loop, &g->deadline, router->options.hello_timeout_ms, hello_timeout, g);
}

/* The memory that a virtual machine shares is spoken of. First it is asked whether there is somebody who may: only from such are descriptors
 * taken, for who sends one settles how long its close lasts. */
static void on_region(struct router_guest *g, int fds[2])
{
    struct router *router = g->router;
    const struct hira_region_message *m = (const struct hira_region_message *)router->buffer;
    const struct hira_message yes = hira_message_head(HIRA_MSG_REGION, sizeof yes);
    if (!g->brings_region && router_is_own(router, g->pid, g->uid)) {
        g->brings_region = true;
        hira_fd_let_rights_pass(router_watch_fd(g->socket), true);
        snprintf(g->name, sizeof g->name, "machine %u", m->cid);
        hira_fd_send(router_watch_fd(g->socket), &yes, sizeof yes, NULL, 0);
    } else if (!g->brings_region || g->region.size || fds[0] < 0 || fds[1] < 0 || !hira_slice_valid(&m->region, UINT64_MAX)) {
        router_guest_refuse(g, EACCES, "who brings a machine's memory is no bridge of this user's, or it is none");
        return;
    } else {
        g->region = m->region;
        g->region_fd = HIRA_STEAL_FD(fds[0]);
        g->lease = HIRA_STEAL_FD(fds[1]);
        hira_fd_let_rights_pass(router_watch_fd(g->socket), false);
    }
    router_alarm_set(&router->loop, &g->deadline, router->options.hello_timeout_ms, hello_timeout, g);
}

/* What is said by others than guests. False: it was none of that. */
static bool is_other(struct router_guest *g, size_t size, int fds[2])
{
    const char *buffer = g->router->buffer;
    if (hira_message_check(buffer, size, HIRA_MSG_STATUS, sizeof(struct hira_message)) == 0)
        answer_status(g);
    else if (hira_message_check(buffer, size, HIRA_MSG_KILL, sizeof(struct hira_kill)) == 0)
        answer_kill(g);
    else if (hira_message_check(buffer, size, HIRA_MSG_CONTROL, sizeof(struct hira_control) + 1) == 0)
        answer_control(g, size);
    else if (hira_message_check(buffer, size, HIRA_MSG_REJOIN, sizeof(struct hira_rejoin)) == 0)
        router_former_accept(g);
    else if (hira_message_check(buffer, size, HIRA_MSG_BEHALF, sizeof(struct hira_behalf)) == 0)
        on_behalf(g);
    else if (hira_message_check(buffer, size, HIRA_MSG_REGION, sizeof(struct hira_region_message)) == 0)
        on_region(g, fds);
    else
        return false;
    return true;
}

static void refuse_message(struct router_guest *g, int error, const struct hira_message *head)
{
    if (error == -EPROTONOSUPPORT)
        router_guest_refuse(
            g, EPROTO,
            "this router speaks protocol version %u, the guest library version %u: install the same Hira on"
            " both sides",
            HIRA_PROTOCOL_VERSION, head->version);
    else if (error == -EPROTO)
        router_guest_refuse(g, EPROTO, "this is Hira's router and what came is no message of Hira's");
    else if (error == -EMSGSIZE)
        router_guest_refuse(g, EPROTO, "a HELLO has at most %u bytes and no descriptors", HIRA_MESSAGE_MAX);
    else if (error == -EILSEQ)
        router_guest_refuse(g, EPROTO, "the HELLO is malformed: a function's name has 1 to %u letters, digits and '_', and one there has not",
                            HIRA_FUNCTION_NAME_MAX);
    else
        router_guest_refuse(g, EPROTO, "the HELLO is malformed");
}

static void on_half_open(void *context)
{
    struct router_guest *g = context;
    char *buffer = g->router->buffer;
    int fds[2] = {-1, -1};
    size_t n_fds = 2;
    bool brings = g->brings_region && !g->region.size;
    ssize_t n = hira_fd_receive(router_watch_fd(g->socket), buffer, HIRA_MESSAGE_MAX, brings ? fds : NULL, brings ? &n_fds : NULL, MSG_DONTWAIT);
    if (n == -EAGAIN)
        return;
    if (n == 0 || n == -ECONNRESET) {
        router_guest_destroy(g);
        return;
    }
    router_alarm_stop(&g->deadline);
    bool other = n > 0 && is_other(g, (size_t)n, fds);
    for (int i = 0; i < 2; i++) /* whatever it came with */
        hira_fd_closep(&fds[i]);
    if (other)
        return;
    int error = n < 0 ? (int)n : hira_hello_check(buffer, (size_t)n);
    if (error)
        refuse_message(g, error, (const struct hira_message *)buffer);
    else
        on_hello(g, (size_t)n);
}

static void on_readable(void *context)
{
    struct router_guest *g = context;
    if (g->api)
        on_waiting(g);
    else
        on_half_open(g);
}

static void read_name(struct router_guest *g)
{
    char path[32];
    struct hira_text text = {0};
    snprintf(g->name, sizeof g->name, "a program");
    snprintf(path, sizeof path, "/proc/%d/comm", g->pid);
    if (hira_text_read_file(&text, path, 4096) == 0 && text.size > 1)
        snprintf(g->name, sizeof g->name, "%.*s", (int)HIRA_MIN(text.size - 1, sizeof g->name - 1), text.data);
    hira_text_fini(&text);
}

/* Of too many silent connections the oldest: of the newcomer's user if that has many, so that nobody's silence ends others'. */
static struct router_guest *who_makes_room(const struct router *router, uid_t uid)
{
    const struct hira_list *pos;
    struct router_guest *own = NULL;
    unsigned n = 0;
    for (pos = router->half_open.next; pos != &router->half_open; pos = pos->next) {
        struct router_guest *g = hira_list_entry(pos, struct router_guest, link);
        n += g->uid == uid;
        own = own || g->uid != uid ? own : g;
    }
    return n > ROUTER_HALF_OPEN_MAX / 4 ? own : hira_list_entry(router->half_open.next, struct router_guest, link);
}

static void take_in(struct router *router, int fd, const struct ucred *who, const char *door)
{
    struct router_guest *g = calloc(1, sizeof *g);
    if (!g) {
        close(fd);
        return;
    }
    g->router = router;
    g->region_fd = g->lease = -1;
    g->door = door;
    g->pid = who->pid;
    g->uid = who->uid;
    g->gid = who->gid;
    read_name(g);
    hira_list_append(&router->half_open, &g->link);
    router->n_half_open++;
    g->socket = router_watch_start(&router->loop, fd, on_readable, g);
    if (!g->socket) {
        router_guest_destroy(g);
        return;
    }
    router_alarm_set(&router->loop, &g->deadline, router->options.hello_timeout_ms, hello_timeout, g);
    if (router->n_half_open > ROUTER_HALF_OPEN_MAX)
        router_guest_refuse(who_makes_room(router, g->uid), EAGAIN, "too many connections are silent, this one for longest");
    if (router->n_half_open) /* most have spoken by now; the new one is the last, unless it was the one to go */
        on_half_open(hira_list_entry(router->half_open.prev, struct router_guest, link));
}

bool router_guest_accept(struct router *router, int fd, const char *door)
{
    struct ucred who;
    socklen_t size = sizeof who;
    bool known = getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &size) == 0;
    bool heard = known && router_admits(router, &who);
    if (heard)
        take_in(router, fd, &who, door);
    else
        close(fd);
    return heard;
}
