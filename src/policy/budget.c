/*
 * Two policies by budgets that are filled up every period, for comparison.
 *
 * `credit` is Xen's scheduler as GPUvm (Suzuki et al., 2014) uses it: a client with credit left goes before one
 * without; among equals it is round robin; the device is never idle while somebody waits. `band` is Gdev's (Kato et
 * al., 2012): one whose budget is used up waits for the next period, even if the device is idle meanwhile, as long as a
 * client that has some left was there a moment ago and may be back: so somebody who waits for each of its calls keeps
 * its bandwidth.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include "policy/policy.h"

/* Clients between which a period is shared: those that wait, or had the device within the last two. */
static bool present(const struct policy *p, const struct policy_client *c)
{
    return c->wants || (c->last && p->now - c->last < 2 * POLICY_PERIOD_NS);
}

void policy_replenish(struct policy *p)
{
    uint64_t sum = 0, since = p->now - p->replenished;
    if (p->replenished && since < POLICY_PERIOD_NS)
        return;
    uint64_t time = HIRA_MIN(p->replenished ? since : POLICY_PERIOD_NS, 4ull * POLICY_PERIOD_NS);
    for (struct hira_list *pos = p->clients.next; pos != &p->clients; pos = pos->next) {
        const struct policy_client *c = hira_list_entry(pos, struct policy_client, all);
        sum += present(p, c) ? c->weight : 0;
    }
    for (struct hira_list *pos = p->clients.next; sum && pos != &p->clients; pos = pos->next) {
        struct policy_client *c = hira_list_entry(pos, struct policy_client, all);
        int64_t share = (int64_t)(time * c->weight / sum);
        c->credit = present(p, c) ? HIRA_MIN(c->credit + share, share) : HIRA_MIN(c->credit, 0);
    }
    p->replenished = p->now;
}

static struct policy_client *first_with_credit(const struct policy *p)
{
    int highest = policy_highest(p);
    for (struct hira_list *pos = p->waiting.next; pos != &p->waiting; pos = pos->next) {
        struct policy_client *c = hira_list_entry(pos, struct policy_client, link);
        if (c->priority == highest && c->credit > 0)
            return c;
    }
    return NULL;
}

static uint64_t turn(const struct policy *p, const struct policy_client *c)
{
    uint64_t most = policy_turn(p, c);
    return c->credit > 0 && most != POLICY_FOREVER ? HIRA_MIN(most, (uint64_t)c->credit) : most;
}

static struct policy_client *pick_credit(struct policy *p, uint64_t *ret_turn, uint64_t *ret_again)
{
    (void)ret_again;
    policy_replenish(p);
    struct policy_client *c = first_with_credit(p);
    if (!c)
        c = policy_first(p);
    *ret_turn = turn(p, c);
    return c;
}

/* Whether one that does not wait just now has budget left, and was there in this period. */
static bool may_return(const struct policy *p)
{
    for (const struct hira_list *pos = p->clients.next; pos != &p->clients; pos = pos->next) {
        const struct policy_client *c = hira_list_entry(pos, struct policy_client, all);
        if (!c->wants && c->credit > 0 && c->last && p->now - c->last < POLICY_PERIOD_NS)
            return true;
    }
    return false;
}

static struct policy_client *pick_band(struct policy *p, uint64_t *ret_turn, uint64_t *ret_again)
{
    policy_replenish(p);
    struct policy_client *c = first_with_credit(p);
    if (!c && may_return(p)) {
        *ret_again = p->replenished + POLICY_PERIOD_NS;
        return NULL;
    }
    if (!c)
        c = policy_first(p);
    *ret_turn = turn(p, c);
    return c;
}

static void charge(struct policy *p, struct policy_client *c, uint64_t used)
{
    (void)p;
    c->credit -= (int64_t)HIRA_MIN(used, (uint64_t)INT64_MAX / 4);
    c->credit =
        HIRA_MAX(c->credit, -(int64_t)(100ull * POLICY_PERIOD_NS)); /* three seconds: no call is owed for longer */
}

const struct policy_ops policy_credit = {"credit", NULL, pick_credit, charge, NULL};
const struct policy_ops policy_band = {"band", NULL, pick_band, charge, NULL};
