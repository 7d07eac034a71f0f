/*
 * Tenants: whose servers are whose.
 *
 * A server is made for one tenant and goes to no other, for it has that tenant's user and cache from the beginning. So
 * servers are kept ready for a tenant only once it has been seen: its first guest waits for a server to start.
 *
 * Security. One who has subordinate numbers is many thousand users at will. So a tenant of whom nothing is left here is
 * forgotten: it has no server and no guest, is not among the latest, and its rate would let it do all that a new one may.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>
#include <unistd.h>

#include "router/router.h"

static bool is_idle(struct router *router, struct router_tenant *tenant, uint64_t warm_since)
{
    const struct hira_list *pos;
    router_bucket_wait(&tenant->starts, router_now_ms(router), router->options.start_rate);
    if (tenant->uid == geteuid() || tenant->seen >= warm_since || tenant->starts.spent)
        return false;
    for (pos = router->apis.next; pos != &router->apis; pos = pos->next)
        if (router_api_needs(hira_list_entry(pos, struct router_api, link), tenant))
            return false;
    return true;
}

/* When they have become twice as many as were needed: so that looking costs each but little. */
static void forget_idle(struct router *router)
{
    struct hira_list *pos, *next;
    uint64_t warm_since = router_tenants_warm(router);
    if (router->n_tenants < HIRA_MAX(2 * router->n_tenants_needed, (unsigned)ROUTER_TENANTS_LOOK))
        return;
    hira_list_for_each (pos, next, &router->tenants) {
        struct router_tenant *tenant = hira_list_entry(pos, struct router_tenant, link);
        if (!is_idle(router, tenant, warm_since))
            continue;
        hira_list_remove(&tenant->link);
        free(tenant);
        router->n_tenants--;
    }
    router->n_tenants_needed = router->n_tenants;
}

struct router_tenant *router_tenant_of(struct router *router, uid_t uid)
{
    struct hira_list *pos, *next;
    hira_list_for_each (pos, next, &router->tenants) {
        struct router_tenant *tenant = hira_list_entry(pos, struct router_tenant, link);
        if (tenant->uid == uid)
            return tenant;
    }
    forget_idle(router);
    struct router_tenant *tenant = calloc(1, sizeof *tenant);
    if (!tenant)
        return NULL;
    router->n_tenants++;
    tenant->uid = uid;
    snprintf(tenant->name, sizeof tenant->name, "user-%u", (unsigned)uid);
    hira_list_append(&router->tenants, &tenant->link);
    return tenant;
}

uint64_t router_tenants_warm(const struct router *router)
{
    uint64_t latest[ROUTER_TENANTS_WARM] = {0}; /* the largest first */
    const struct hira_list *pos;
    for (pos = router->tenants.next; pos != &router->tenants; pos = pos->next) {
        uint64_t seen = hira_list_entry(pos, struct router_tenant, link)->seen;
        for (unsigned i = 0; i < ROUTER_TENANTS_WARM; i++)
            if (seen > latest[i]) {
                uint64_t next = latest[i];
                latest[i] = seen;
                seen = next;
            }
    }
    return latest[ROUTER_TENANTS_WARM - 1];
}

void router_tenants_destroy(struct router *router)
{
    struct hira_list *pos, *next;
    hira_list_for_each (pos, next, &router->tenants) {
        hira_list_remove(pos);
        free(hira_list_entry(pos, struct router_tenant, link));
    }
}
