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

static void want(struct policy *p, struct policy_client *c)
{
    uint64_t floor = p->floor[c->priority];
    uint64_t lag = c->last && p->now - c->last < POLICY_LAG_AWAY_NS ? by_weight(POLICY_LAG_NS, c->weight) : 0;
    c->virtual_time = HIRA_MAX(c->virtual_time, floor > lag ? floor - lag : 0);
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

static struct policy_client *least(const struct policy *p, int priority, const struct policy_client *but)
{
    struct policy_client *found = NULL;
    for (struct hira_list *pos = p->waiting.next; pos != &p->waiting; pos = pos->next) {
        struct policy_client *c = hira_list_entry(pos, struct policy_client, link);
        if (c->priority == priority && c != but && (!found || key(c) < key(found)))
            found = c;
    }
    return found;
}

/* Long enough to get a quantum past the next one, so that whoever has to catch up does it in few turns. */
static uint64_t turn_of(const struct policy *p, const struct policy_client *c, const struct policy_client *next)
{
    if (!next)
        return policy_turn(p, c);
    uint64_t behind = key(next) > key(c) ? key(next) - key(c) : 0;
    unsigned __int128 turn = (unsigned __int128)behind * c->weight / SCALE + p->quantum;
    return turn > POLICY_TURN_MAX_NS ? HIRA_MAX(POLICY_TURN_MAX_NS, p->quantum) : (uint64_t)turn;
}

static struct policy_client *pick(struct policy *p, uint64_t *ret_turn, uint64_t *ret_again)
{
    (void)ret_again;
    int priority = policy_highest(p);
    struct policy_client *c = least(p, priority, NULL);
    raise_floor(p, c);
    *ret_turn = turn_of(p, c, least(p, priority, c));
    return c;
}

static void charge(struct policy *p, struct policy_client *c, uint64_t used)
{
    c->virtual_time = capped_sum(c->virtual_time, by_weight(used, c->weight));
    raise_floor(p, c);
}

static bool preempts(const struct policy *p, const struct policy_client *c, const struct policy_client *holder)
{
    (void)p;
    return c->latency && !holder->latency && key(c) < holder->virtual_time;
}

const struct policy_ops policy_fair = {"fair", want, pick, charge, preempts};
