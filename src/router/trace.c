/*
 * Who has a tenant's calls written down: `hira trace`. hirad makes the pipe and has no part in what goes through it
 * (server/trace.c): whoever asked gets the one end, the tenant's servers the other, those of guests to come with their
 * guest.
 *
 * It lasts as long as it is asked for again, for nothing else tells that nobody reads any more: a server could keep the
 * pipe open.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "router/router.h"

static void send_pipe(const struct router_server *s)
{
    const struct hira_message m = hira_message_head(HIRA_MSG_TRACE, sizeof m);
    hira_fd_send(router_watch_fd(s->socket), &m, sizeof m, &s->tenant->trace.pipe, 1);
}

static void over(void *context)
{
    struct router_tenant *t = context;
    uint64_t now = router_now_ms(t->router);
    if (now < t->trace.until)
        router_alarm_set(&t->router->loop, &t->trace.end, t->trace.until - now, over, t);
    else
        router_trace_end(t);
}

bool router_trace_again(struct router_tenant *t)
{
    if (t->trace.until)
        t->trace.until = router_now_ms(t->router) + ROUTER_MEASURE_MS;
    return t->trace.until;
}

int router_trace_begin(struct router_tenant *t, const char *functions, int *ret_fd)
{
    struct hira_list *pos, *next;
    int ends[2];
    if (t->trace.until)
        return -EBUSY;
    if (strlen(functions) >= sizeof t->trace.functions)
        return -E2BIG;
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
        return -errno;
    fcntl(ends[1], F_SETPIPE_SZ, ROUTER_TRACE_PIPE); /* as much as it may be */
    *ret_fd = ends[0];
    t->trace.pipe = ends[1];
    memcpy(t->trace.functions, functions, strlen(functions) + 1);
    t->trace.until = router_now_ms(t->router) + ROUTER_MEASURE_MS;
    router_alarm_set(&t->router->loop, &t->trace.end, ROUTER_MEASURE_MS, over, t);
    for (struct hira_list *a = t->router->apis.next; a != &t->router->apis; a = a->next)
        hira_list_for_each (pos, next, &hira_list_entry(a, struct router_api, link)->servers) {
            const struct router_server *s = hira_list_entry(pos, struct router_server, link);
            if (s->tenant == t && s->state == SERVER_SERVING)
                send_pipe(s);
        }
    router_tenant_apply(t);
    return 0;
}

void router_trace_end(struct router_tenant *t)
{
    if (!t->trace.until)
        return;
    t->trace.until = 0;
    router_alarm_stop(&t->trace.end);
    hira_fd_closep(&t->trace.pipe);
    router_tenant_apply(t);
}
