/*
 * Who has the device next, and for how long: the policies that a router shares a device by.
 *
 * A policy is a struct of functions and decides; it keeps no clock, starts nothing, waits for nothing. Whoever drives
 * it (the router, a test with a clock of its own) tells it what time it is, which clients want the device, and what
 * each has used. One turn is out at a time. A call cannot be taken back once the device has it, so a turn may take
 * longer than was granted: what was used is charged, whatever that was.
 *
 * Times are nanoseconds of any clock that does not run backwards; one that jumps ahead does no harm, one that steps
 * back is taken as having stood still. One thread at a time; nothing here allocates.
 *
 * A new policy is one file with a `const struct policy_ops`, and its line in policy.c. docs/policy.md has each one's
 * formula and its source.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#ifndef HIRA_POLICY_POLICY_H
#define HIRA_POLICY_POLICY_H

#include "base/list.h"

#define POLICY_WEIGHT_MAX 10000u /* finer shares than a hundredth of a percent nobody can measure in ten seconds */
#define POLICY_PRIORITIES 8      /* strict: more levels than anybody can reason about */

/* The longest turn, however much a client has to catch up: others may come meanwhile, and shares are to be right within
 * 200 ms. */
#define POLICY_TURN_MAX_NS 40000000u

/* By so much device time the latency class may be ahead of its share (at weight 1): fifty calls of a millisecond. */
#define POLICY_LEAD_NS 50000000u

/* Who had the device within the second is about to ask for more: a program that waits for each of its calls is away
 * after each of them. It may come back as far behind as the first. */
#define POLICY_LAG_NS 20000000u
#define POLICY_LAG_AWAY_NS 50000000u

/* For so long the device waits for one that goes before those that wait, is not there, and was busy to the end of a
 * turn that ended only now: what comes between two calls of a program that waits for each is far shorter. */
#define POLICY_SOON_NS 1000000u

/* Who had the device within this time is taken for somebody who shares it: a turn without end would let too much into
 * the device's queue. */
#define POLICY_NEAR_NS 1000000000u

/* Over which budgets are counted, for `band` and `credit`: Xen's is 30 ms. */
#define POLICY_PERIOD_NS 30000000u

#define POLICY_FOREVER UINT64_MAX

/* Whoever shares the device: a tenant. The first members are the operator's; set them by policy_set. */
struct policy_client {
    uint32_t weight;  /* 1..POLICY_WEIGHT_MAX: of what is shared within a priority */
    uint8_t priority; /* 0..POLICY_PRIORITIES - 1: higher ones go first, always */
    bool latency;     /* its calls are short and somebody waits for them */
    bool gone;        /* nobody of it is there who could come back; whoever drives the policy says so */

    bool soon; /* its last turn was over before it had nothing more: so says, too, who drives the policy */

    bool wants;    /* a turn */
    bool known;    /* policy_add was called */
    uint64_t used; /* charged so far */
    struct hira_list link, all;

    /* The policy's own. */
    uint64_t virtual_time; /* fair: device time by weight, in 1/64 ns */
    int64_t credit;        /* band, credit: ns */
    uint64_t last;         /* when it was charged last */
};

struct policy {
    const struct policy_ops *ops;
    uint64_t quantum;         /* ns: the usual turn */
    struct hira_list waiting; /* clients that want a turn, by when they said so */
    struct hira_list clients;
    uint64_t now; /* the latest time heard */

    uint64_t floor[POLICY_PRIORITIES]; /* fair: where a client begins that was away */
    uint64_t replenished;              /* band, credit: when */
};

struct policy_ops {
    const char *name;
    /* It begins to want the device. NULL: nothing to do. */
    void (*want)(struct policy *p, struct policy_client *c);
    /* Chooses among p->waiting, which is not empty. NULL: nobody yet; *ret_again is when to ask again. */
    struct policy_client *(*pick)(struct policy *p, uint64_t *ret_turn, uint64_t *ret_again);
    /* It has used the device. NULL: nothing to do. */
    void (*charge)(struct policy *p, struct policy_client *c, uint64_t used);
    /* Whether `c`, who wants the device, is worth asking `holder` to end its turn after the call that is being run.
     * NULL: only a higher priority is. */
    bool (*preempts)(const struct policy *p, const struct policy_client *c, const struct policy_client *holder);
};

extern const struct policy_ops policy_fair, policy_round_robin, policy_fifo, policy_band, policy_credit;

/* By name; NULL: there is none. With `i` counting from 0: NULL at the end. */
const struct policy_ops *policy_find(const char *name);
const struct policy_ops *policy_nth(size_t i);

void policy_init(struct policy *p, const struct policy_ops *ops, uint64_t quantum);
/* Goes on with another policy or quantum: what clients have used stays. */
void policy_change(struct policy *p, const struct policy_ops *ops, uint64_t quantum);

/* `c` is the caller's and stays where it is until policy_remove. Zeroed before; weight 1, priority 0 unless set. */
void policy_add(struct policy *p, struct policy_client *c);
void policy_remove(struct policy *p, struct policy_client *c);

/* What the operator says; takes effect with the next turn. */
void policy_set(struct policy *p, struct policy_client *c, uint32_t weight, uint8_t priority, bool latency);

/* It wants a turn: again after each that it had, until it wants none. Both may be called repeatedly. */
void policy_want(struct policy *p, struct policy_client *c, uint64_t now);
void policy_unwant(struct policy *p, struct policy_client *c);

/* Who is to have a turn, and for how long: POLICY_FOREVER if nobody else wants one, 0 for a single call. It stops
 * wanting by that. NULL: nobody; *ret_again is when to ask again (POLICY_FOREVER: when somebody wants). */
struct policy_client *policy_pick(struct policy *p, uint64_t now, uint64_t *ret_turn, uint64_t *ret_again);

/* The device was used for so long. A turn may be charged in parts: one without end is, before somebody else's
 * policy_want, so that who comes begins where the device is. */
void policy_charge(struct policy *p, struct policy_client *c, uint64_t used, uint64_t now);

/* Whether somebody who waits is worth asking the holder of a turn to end it early. */
bool policy_preempts(const struct policy *p, const struct policy_client *holder);

/* What a client is entitled to among those that want the device or hold it (`holder` may be NULL): 0..1. */
double policy_entitled(const struct policy *p, const struct policy_client *c, const struct policy_client *holder);

/* ---- for policies ---- */

/* The one that waits for longest among the highest priority that waits. */
struct policy_client *policy_first(const struct policy *p);
/* The highest priority that waits; -1: nobody does. */
int policy_highest(const struct policy *p);
/* Whether it does not wait, but had the device within `ns` and may be back. */
bool policy_near(const struct policy *p, const struct policy_client *c, uint64_t ns);
/* The common turn: the quantum, or forever if `c` is alone, with nobody near. */
uint64_t policy_turn(const struct policy *p, const struct policy_client *c);
/* What budgets are filled up to since the last time, in `band` and `credit`. */
void policy_replenish(struct policy *p);

#endif
