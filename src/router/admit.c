/*
 * How often somebody may come.
 *
 * Security. Whoever may open the socket can connect in a loop, and a refusal that is explained and logged costs hirad
 * more than the connection costs them. So a process that connects again and again is not listened to for a while. It may
 * fork to be another; that costs it more than a refusal costs hirad. What servers cost is counted by tenant.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include <stdlib.h>

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
    pid_t pid;
    struct router_bucket connects;
};

bool router_admits(struct router *router, pid_t pid)
{
    if (pid <= 0) /* of another pid namespace: who it is cannot be told */
        return true;
    if (!router->visitors && !(router->visitors = calloc(ROUTER_VISITORS, sizeof *router->visitors)))
        return true;
    struct router_visitor *v = &router->visitors[(uint32_t)pid % ROUTER_VISITORS];
    if (v->pid != pid) /* whoever had the place is forgotten, and would start anew */
        *v = (struct router_visitor){.pid = pid};
    return router_bucket_take(&v->connects, router_now_ms(router), router->options.connect_rate);
}
