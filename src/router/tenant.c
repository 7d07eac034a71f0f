/*
 * Tenants: whose servers are whose.
 *
 * A server is made for one tenant and goes to no other, for it has that tenant's user and cache from the beginning. So
 * servers are kept ready for a tenant only once it has been seen: its first guest waits for a server to start. Users of
 * this machine are bounded in number; what one costs here is a line in a list.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>

#include "router/router.h"

struct router_tenant *router_tenant_of(struct router *router, uid_t uid)
{
    struct hira_list *pos, *next;
    hira_list_for_each (pos, next, &router->tenants) {
        struct router_tenant *tenant = hira_list_entry(pos, struct router_tenant, link);
        if (tenant->uid == uid)
            return tenant;
    }
    struct router_tenant *tenant = calloc(1, sizeof *tenant);
    if (!tenant)
        return NULL;
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
