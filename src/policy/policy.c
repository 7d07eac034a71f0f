/* What all policies share: who is there, who waits, the clock. See policy.h.
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0 */
#include "policy/policy.h"

#include <string.h>

static const struct policy_ops *const policies[] = {&policy_fair, &policy_round_robin, &policy_fifo, &policy_band,
                                                    &policy_credit};

const struct policy_ops *policy_nth(size_t i)
{
    return i < HIRA_ARRAY_SIZE(policies) ? policies[i] : NULL;
}

const struct policy_ops *policy_find(const char *name)
{
    for (size_t i = 0; i < HIRA_ARRAY_SIZE(policies); i++)
        if (!strcmp(policies[i]->name, name))
            return policies[i];
    return NULL;
}

void policy_init(struct policy *p, const struct policy_ops *ops, uint64_t quantum)
{
    memset(p, 0, sizeof *p);
    hira_list_init(&p->waiting);
    hira_list_init(&p->clients);
    p->ops = ops;
    p->quantum = quantum;
}

void policy_change(struct policy *p, const struct policy_ops *ops, uint64_t quantum)
{
    p->quantum = quantum;
    if (p->ops == ops)
        return;
    p->ops = ops;
    memset(p->floor, 0, sizeof p->floor);
    p->replenished = 0;
    for (struct hira_list *pos = p->clients.next; pos != &p->clients; pos = pos->next) {
        struct policy_client *c = hira_list_entry(pos, struct policy_client, all);
        c->virtual_time = 0;
        c->credit = 0;
    }
}

static void hear(struct policy *p, uint64_t now)
{
    p->now = HIRA_MAX(p->now, now);
}

void policy_add(struct policy *p, struct policy_client *c)
{
    if (!c->weight)
        c->weight = 1;
    c->known = true;
    hira_list_init(&c->link);
    hira_list_append(&p->clients, &c->all);
}

void policy_remove(struct policy *p, struct policy_client *c)
{
    if (!c->known)
        return;
    policy_unwant(p, c);
    hira_list_remove(&c->all);
    c->known = false;
}

void policy_set(struct policy *p, struct policy_client *c, uint32_t weight, uint8_t priority, bool latency)
{
    (void)p;
    c->weight = weight ? HIRA_MIN(weight, POLICY_WEIGHT_MAX) : 1;
    c->priority = HIRA_MIN(priority, POLICY_PRIORITIES - 1);
    c->latency = latency;
}

void policy_want(struct policy *p, struct policy_client *c, uint64_t now)
{
    hear(p, now);
    if (c->wants)
        return;
    c->wants = true;
    hira_list_append(&p->waiting, &c->link);
    if (p->ops->want)
        p->ops->want(p, c);
}

void policy_unwant(struct policy *p, struct policy_client *c)
{
    (void)p;
    if (!c->wants)
        return;
    c->wants = false;
    hira_list_remove(&c->link);
}

struct policy_client *policy_pick(struct policy *p, uint64_t now, uint64_t *ret_turn, uint64_t *ret_again)
{
    hear(p, now);
    *ret_turn = p->quantum;
    *ret_again = POLICY_FOREVER;
    struct policy_client *c = hira_list_empty(&p->waiting) ? NULL : p->ops->pick(p, ret_turn, ret_again);
    if (c)
        policy_unwant(p, c);
    return c;
}

void policy_charge(struct policy *p, struct policy_client *c, uint64_t used, uint64_t now)
{
    hear(p, now);
    c->used = c->used > UINT64_MAX - used ? UINT64_MAX : c->used + used;
    c->last = p->now;
    if (p->ops->charge)
        p->ops->charge(p, c, used);
}

bool policy_preempts(const struct policy *p, const struct policy_client *holder)
{
    for (const struct hira_list *pos = p->waiting.next; pos != &p->waiting; pos = pos->next) {
        const struct policy_client *c = hira_list_entry(pos, struct policy_client, link);
        if (c->priority > holder->priority ||
            (c->priority == holder->priority && p->ops->preempts && p->ops->preempts(p, c, holder)))
            return true;
    }
    return false;
}

int policy_highest(const struct policy *p)
{
    int highest = -1;
    for (const struct hira_list *pos = p->waiting.next; pos != &p->waiting; pos = pos->next)
        highest = HIRA_MAX(highest, (int)hira_list_entry(pos, struct policy_client, link)->priority);
    return highest;
}

struct policy_client *policy_first(const struct policy *p)
{
    int highest = policy_highest(p);
    for (struct hira_list *pos = p->waiting.next; pos != &p->waiting; pos = pos->next)
        if (hira_list_entry(pos, struct policy_client, link)->priority == highest)
            return hira_list_entry(pos, struct policy_client, link);
    return NULL;
}

bool policy_near(const struct policy *p, const struct policy_client *c, uint64_t ns)
{
    return !c->wants && !c->gone && c->last && p->now - c->last < ns;
}

uint64_t policy_turn(const struct policy *p, const struct policy_client *c)
{
    bool alone = p->waiting.next == &c->link && p->waiting.prev == &c->link;
    for (const struct hira_list *pos = p->clients.next; alone && pos != &p->clients; pos = pos->next)
        alone = !policy_near(p, hira_list_entry(pos, struct policy_client, all), POLICY_NEAR_NS);
    return alone ? POLICY_FOREVER : p->quantum;
}

double policy_entitled(const struct policy *p, const struct policy_client *c, const struct policy_client *holder)
{
    double sum = c->weight;
    for (const struct hira_list *pos = p->clients.next; pos != &p->clients; pos = pos->next) {
        const struct policy_client *other = hira_list_entry(pos, struct policy_client, all);
        bool there = other != c && (other->wants || other == holder);
        if (there && other->priority > c->priority)
            return 0;
        if (there && other->priority == c->priority)
            sum += other->weight;
    }
    return sum > 0 ? c->weight / sum : 1;
}
