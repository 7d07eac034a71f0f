/*
 * How often somebody may come.
 *
 * Security. Whoever may open the socket can connect in a loop, and a refusal that is explained and logged costs hirad
 * more than the connection costs them. So a process that connects again and again is not listened to for a while. It may
 * fork to be another; that costs it more than a refusal costs hirad. What servers cost is counted by tenant.
 * So many processes are remembered that those who take turns do not make each other forgotten.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include <stdlib.h>
#include <sys/socket.h>

#include "router/router.h"

uint64_t router_bucket_wait(struct router_bucket *b, uint64_t now, unsigned rate)
{
    if (!rate)
        return 0;
    uint64_t passed = now > b->since ? now - b->since : 0;
    uint64_t limit = ((uint64_t)rate * ROUTER_BURST_S - 1) * 1000;
    b->since = now;
    b->spent -= HIRA_MIN(b->spent, passed > UINT32_MAX ? UINT64_MAX : passed * rate);
    return b->spent <= limit ? 0 : (b->spent - limit + rate - 1) / rate;
}

bool router_bucket_take(struct router_bucket *b, uint64_t now, unsigned rate)
{
    if (router_bucket_wait(b, now, rate))
        return false;
    b->spent += rate ? 1000 : 0;
    return true;
}

struct router_visitor {
    pid_t pid; /* 0: of another pid namespace; then by user */
    uid_t uid;
    struct router_bucket connects;
};

static bool is_visitor(const struct router_visitor *v, const struct ucred *who)
{
    return who->pid > 0 ? v->pid == who->pid : !v->pid && v->uid == who->uid;
}

/* Who it was before, or else the place of whom forgetting costs least: who has used least of late. */
static struct router_visitor *find_visitor(struct router *router, const struct ucred *who, uint64_t now)
{
    struct router_visitor *all = router->visitors, *least = all;
    for (struct router_visitor *v = all; v < all + ROUTER_VISITORS; v++)
        if (is_visitor(v, who))
            return v;
    for (struct router_visitor *v = all; v < all + ROUTER_VISITORS; v++) {
        router_bucket_wait(&v->connects, now, router->options.connect_rate);
        least = v->connects.spent < least->connects.spent ? v : least;
    }
    *least = (struct router_visitor){.pid = HIRA_MAX(who->pid, 0), .uid = who->uid};
    return least;
}

bool router_admits(struct router *router, const struct ucred *who)
{
    uint64_t now = router_now_ms(router);
    if (!router->visitors && !(router->visitors = calloc(ROUTER_VISITORS, sizeof *router->visitors)))
        return true;
    return router_bucket_take(&find_visitor(router, who, now)->connects, now, router->options.connect_rate);
}
