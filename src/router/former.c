/*
 * Zygotes of hirads before this one, and the guests they bring.
 *
 * A hirad may be killed, or told to end while guests are served. Its zygotes then look for the next one (see
 * server/zygote.c), say REJOIN, and hand over what the old hirad had of each server with a guest. From there on such a
 * server is one of this hirad's; only that its end is told by the former zygote, which ends with the last of its
 * servers.
 *
 * Security. Whoever may connect may say REJOIN. It is heard from processes of hirad's own user that have a number here
 * (those of other pid namespaces have none) and are no servers of ours nor children of such, and each server named must
 * be a child of who names it: so nobody can make hirad watch, or kill, what is not its own already. What is believed of
 * an account is in account.c.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd.h"
#include "router/router.h"

/* The parent of a process, or 0. */
static pid_t parent_of(pid_t pid)
{
    char path[32];
    struct hira_text text = {0};
    pid_t parent = 0;
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    if (hira_text_read_file(&text, path, 4096) == 0 && text.data) {
        const char *after = memrchr(text.data, ')', text.size); /* a program's name may hold anything; " S " follows */
        parent = after && strlen(after) > 3 ? (pid_t)strtol(after + 3, NULL, 10) : 0;
    }
    hira_text_fini(&text);
    return parent;
}

static bool is_server(const struct router *router, pid_t pid)
{
    const struct hira_list *a, *pos;
    for (a = router->apis.next; a != &router->apis; a = a->next) {
        const struct router_api *api = hira_list_entry(a, struct router_api, link);
        for (pos = api->servers.next; pos != &api->servers; pos = pos->next)
            if (hira_list_entry(pos, struct router_server, link)->pid == pid)
                return true;
    }
    return false;
}

void router_former_destroy(struct router_former *f)
{
    hira_list_remove(&f->link);
    f->api->n_formers--;
    router_watch_stop(&f->watch);
    free(f);
}

static void former_gone(struct router_former *f)
{
    struct router_api *api = f->api;
    hira_log(&api->router->log, HIRA_LOG_DEBUG, "zygote", 0, "%s: process %d, of a hirad before this one, ends",
             api->path, f->pid);
    router_servers_orphaned(api, f);
    router_former_destroy(f);
}

/* Takes the descriptors over: socket, standard error, account, and, or -1, the tenant's pages. */
static void on_child(struct router_former *f, const struct hira_serving *m, int *fds)
{
    struct router *router = f->api->router;
    HIRA_AUTOCLOSE int pidfd = (int)syscall(SYS_pidfd_open, m->pid, 0);
    /* In this order: what the pidfd names has this parent, or has ended. */
    if (parent_of((pid_t)m->pid) != f->pid || (pid_t)m->pid == getpid() || is_server(router, (pid_t)m->pid)) {
        for (int i = 0; i < 5; i++)
            hira_fd_closep(&fds[i]);
        hira_log(&router->log, HIRA_LOG_WARNING, "zygote", 0,
                 "process %d brings process %u, which is none of its servers", f->pid, m->pid);
        return;
    }
    router_server_rejoin(f, m, fds, HIRA_STEAL_FD(pidfd));
}

/* One message; 0 when there is none, negative when the zygote hung up. */
static int former_message(struct router_former *f)
{
    union {
        struct hira_serving serving;
        struct hira_forked exited;
        struct hira_functions_message functions;
    } m;
    int fds[5] = {-1, -1, -1, -1, -1};
    size_t n_fds = HIRA_ARRAY_SIZE(fds);
    ssize_t n = hira_fd_receive(router_watch_fd(f->watch), &m, sizeof m, fds, &n_fds, MSG_DONTWAIT);
    if (n <= 0)
        return n == -EAGAIN ? 0 : -EPIPE;
    if ((n_fds == 3 || n_fds == 5) && hira_message_check(&m, (size_t)n, HIRA_MSG_CHILD, sizeof m.serving) == 0) {
        on_child(f, &m.serving, fds);
        return 1;
    }
    struct router_names names;
    if (n_fds == 1 && hira_message_check(&m, (size_t)n, HIRA_MSG_FUNCTIONS, sizeof m.functions) == 0 &&
        router_names_read(&m.functions, fds[0], &names) == 0) {
        f->table = names.table; /* the names themselves this hirad's own zygote tells */
        free(names.text);
    }
    while (n_fds)
        close(fds[--n_fds]);
    if (hira_message_check(&m, (size_t)n, HIRA_MSG_EXITED, sizeof m.exited) == 0)
        router_server_exited(f->api, f, (pid_t)m.exited.pid, m.exited.status);
    return 1;
}

static void on_former(void *context)
{
    struct router_former *f = context;
    int more = 1;
    for (int i = 0; i < 16 && more > 0; i++)
        more = former_message(f);
    if (more < 0)
        former_gone(f);
}

bool router_is_own(const struct router *router, pid_t pid, uid_t uid)
{
    return uid == geteuid() && pid > 0 && !is_server(router, pid) && !is_server(router, parent_of(pid));
}

/* Why it is not heard, or NULL. */
static const char *objection(const struct router_guest *g, const struct router_api *api)
{
    if (!router_is_own(g->router, g->pid, g->uid))
        return "is no zygote of this user's";
    if (!api)
        return "is of an API that is not served here";
    return api->n_formers >= ROUTER_FORMER_MAX ? "is one too many" : NULL;
}

void router_former_accept(struct router_guest *g)
{
    struct router *router = g->router;
    struct hira_rejoin rejoin = *(const struct hira_rejoin *)router->buffer;
    rejoin.api[sizeof rejoin.api - 1] = 0;
    struct router_api *api = hira_api_name_valid(rejoin.api) ? router_api_find(router, rejoin.api) : NULL;
    const char *why = objection(g, api);
    struct router_former *f = why ? NULL : calloc(1, sizeof *f);
    int fd = f ? fcntl(router_watch_fd(g->socket), F_DUPFD_CLOEXEC, 3) : -1;
    if (fd < 0) {
        free(f);
        router_guest_refuse(g, EACCES, "who says it has servers %s", why ? why : "comes when hirad is out of memory");
        return;
    }
    f->api = api;
    f->pid = g->pid;
    hira_fd_let_rights_pass(fd, true);
    router_guest_destroy(g);
    hira_list_append(&api->formers, &f->link);
    api->n_formers++;
    f->watch = router_watch_start(&router->loop, fd, on_former, f);
    if (!f->watch)
        router_former_destroy(f);
}
