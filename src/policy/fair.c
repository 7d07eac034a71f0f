/*
 * Weighted fair device time: the client that has had least for its weight goes next.
 *
 * Start-time fair queueing (Goyal, Vin, Cheng, 1996) with the call as the packet. Each client has a virtual time, which
 * grows by used / weight. The least goes next; one that was away begins no earlier than where the device is, so it has
 * saved nothing up, and starts at once. What a long call used beyond its turn is in the virtual time like all else:
 * others go first until they are level. The latency class is ahead by a constant, as in borrowed virtual time (Duda,
 * Cheriton, 1999): its short calls go first, its share in the long run is its weight's.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include "policy/policy.h"

#define SCALE 64u /* so that a nanosecond at the largest weight still counts for most of what it is */

static uint64_t by_weight(uint64_t ns, uint32_t weight)
{
    return (uint64_t)((unsigned __int128)ns * SCALE / weight);
}

static uint64_t capped_sum(uint64_t a, uint64_t b)
{
    return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

/* Where it stands among those that wait. */
static uint64_t key(const struct policy_client *c)
{
    uint64_t lead = c->latency ? by_weight(POLICY_LEAD_NS, c->weight) : 0;
    return c->virtual_time > lead ? c->virtual_time - lead : 0;
}

/* The least weight among those that it shares the device with: their turns put it behind by the most. */
static uint32_t lightest(const struct policy *p, const struct policy_client *c)
{
    uint32_t weight = c->weight;
    for (struct hira_list *pos = p->clients.next; pos != &p->clients; pos = pos->next) {
        const struct policy_client *other = hira_list_entry(pos, struct policy_client, all);
        if (other->priority == c->priority && (other->wants || policy_near(p, other, POLICY_NEAR_NS)))
            weight = HIRA_MIN(weight, other->weight);
    }
    return weight;
}

/* Where one that was away begins. */
static uint64_t begins(const struct policy *p, const struct policy_client *c)
{
    uint64_t floor = p->floor[c->priority], lag = 0;
    if (c->last && p->now - c->last < POLICY_LAG_AWAY_NS)
        lag = by_weight(POLICY_LAG_NS, lightest(p, c));
    return HIRA_MAX(c->virtual_time, floor > lag ? floor - lag : 0);
}

static void want(struct policy *p, struct policy_client *c)
{
    c->virtual_time = begins(p, c);
}

/* To where the device is: the least virtual time of those that wait and of the one that has the device. Not by the
 * keys, for the latency class may run ahead. */
static void raise_floor(struct policy *p, const struct policy_client *holder)
{
    uint64_t here = holder->virtual_time;
    for (struct hira_list *pos = p->waiting.next; pos != &p->waiting; pos = pos->next) {
        const struct policy_client *c = hira_list_entry(pos, struct policy_client, link);
        if (c->priority == holder->priority)
            here = HIRA_MIN(here, c->virtual_time);
    }
    p->floor[holder->priority] = HIRA_MAX(p->floor[holder->priority], here);
}

static struct policy_client *least(const struct policy *p, int priority)
{
    struct policy_client *found = NULL;
    for (struct hira_list *pos = p->waiting.next; pos != &p->waiting; pos = pos->next) {
        struct policy_client *c = hira_list_entry(pos, struct policy_client, link);
        if (c->priority == priority && (!found || key(c) < key(found)))
            found = c;
    }
    return found;
}

/* Where the others stand, at the least: those that wait, and those that are about to. */
static uint64_t next_after(const struct policy *p, const struct policy_client *c)
{
    uint64_t next = UINT64_MAX;
    for (struct hira_list *pos = p->clients.next; pos != &p->clients; pos = pos->next) {
        struct policy_client other = *hira_list_entry(pos, struct policy_client, all);
        if (other.priority != c->priority || pos == &c->all)
            continue;
        if (policy_near(p, &other, POLICY_LAG_AWAY_NS))
            other.virtual_time = begins(p, &other);
        else if (!other.wants)
            continue;
        next = HIRA_MIN(next, key(&other));
    }
    return next;
}

/* Long enough to get a quantum past the next one, so that whoever has to catch up does it in few turns. */
static uint64_t turn_of(const struct policy *p, const struct policy_client *c)
{
    uint64_t next = next_after(p, c);
    if (next == UINT64_MAX)
        return policy_turn(p, c);
    uint64_t behind = next > key(c) ? next - key(c) : 0;
    unsigned __int128 turn = (unsigned __int128)behind * c->weight / SCALE + p->quantum;
    return turn > POLICY_TURN_MAX_NS ? HIRA_MAX(POLICY_TURN_MAX_NS, p->quantum) : (uint64_t)turn;
}

static bool behind(const struct policy_client *c, const struct policy_client *other, uint64_t ns)
{
    return capped_sum(key(c), by_weight(ns, c->weight)) < key(other);
}

/* Until when to wait for somebody who goes before `c`, and is between two calls; 0: there is none. */
static uint64_t expected(const struct policy *p, const struct policy_client *c)
{
    for (struct hira_list *pos = p->clients.next; pos != &p->clients; pos = pos->next) {
        const struct policy_client *other = hira_list_entry(pos, struct policy_client, all);
        bool before =
            other->priority > c->priority || (other->priority == c->priority && behind(other, c, POLICY_SOON_NS));
        if (other->soon && before && policy_near(p, other, POLICY_SOON_NS))
            return other->last + POLICY_SOON_NS;
    }
    return 0;
}

static struct policy_client *pick(struct policy *p, uint64_t *ret_turn, uint64_t *ret_again)
{
    struct policy_client *c = least(p, policy_highest(p));
    uint64_t until = expected(p, c);
    if (until) {
        *ret_again = until;
        return NULL;
    }
    raise_floor(p, c);
    *ret_turn = turn_of(p, c);
    return c;
}

static void charge(struct policy *p, struct policy_client *c, uint64_t used)
{
    c->virtual_time = capped_sum(c->virtual_time, by_weight(used, c->weight));
    raise_floor(p, c);
}

/* Of the latency class, or away when the holder was chosen and far behind it even then. */
static bool preempts(const struct policy *p, const struct policy_client *c, const struct policy_client *holder)
{
    if (c->latency && !holder->latency && key(c) < holder->virtual_time)
        return true;
    return c->latency == holder->latency && behind(c, holder, p->quantum);
}

const struct policy_ops policy_fair = {"fair", want, pick, charge, preempts};
