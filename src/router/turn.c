/*
 * The devices, by turns: messages between the policy (src/policy) and the servers.
 *
 * Each device has turns of its own: who works on one takes nothing from who works on another. A server that has
 * something for a device says so (WANT); one at a time is given a TURN. While only one tenant wants
 * the device its turn has no end, and costs nothing: no message is sent until somebody else comes. hirad asks the
 * holder to end it (END_TURN) when a turn without end is to become one of many, or when somebody comes who goes first.
 *
 * Security. A server belongs to its guest. What it says it used is believed between what the system says of its
 * processor time and what the clock here says; so somebody who keeps a turn pays for it, and somebody who works without
 * one does as well. One that keeps a turn too long loses it to whoever is next, and goes on paying. It may say nothing
 * but what its state allows, and not too often.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"
#include "router/router.h"

static struct router *router_of(const struct router_server *s)
{
    return s->api->router;
}

/* Processor time that the process has taken, by the system's account; 0: it is gone. */
static uint64_t cpu_of(const struct router_server *s)
{
    clockid_t clock;
    struct timespec t;
    if (clock_getcpuclockid(s->pid, &clock) || clock_gettime(clock, &t) < 0)
        return 0;
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static struct router_share *share_of(const struct router_turn *turn, const struct router_device *d)
{
    return &turn->server->tenant->shares[d->number];
}

static int say(const struct router_server *s, const struct router_device *d, enum hira_message_type type,
               uint64_t number, uint64_t time)
{
    struct hira_turn m = {
        .head = hira_message_head(type, sizeof m), .number = number, .time = time, .device = d->number};
    return s->socket ? hira_fd_send(router_watch_fd(s->socket), &m, sizeof m, NULL, 0) : -EPIPE;
}

static void beat(void *context);

/* Those who wait are told that a router is there. Whether anybody does. */
static bool beat_device(const struct router_device *d, uint64_t now)
{
    for (struct hira_list *pos = d->policy.waiting.next; pos != &d->policy.waiting; pos = pos->next) {
        const struct router_tenant *t = hira_list_entry(pos, struct router_share, client.link)->tenant;
        for (struct hira_list *p = t->pages.next; p != &t->pages; p = p->next)
            atomic_store_explicit(&hira_list_entry(p, struct router_pages, link)->limits->beat, now,
                                  memory_order_relaxed);
    }
    return !hira_list_empty(&d->policy.waiting);
}

static void beat_now(struct router *router)
{
    uint64_t now = hira_now_ns() / 1000000u;
    bool any = false;
    for (unsigned i = 0; i < HIRA_TURN_DEVICES; i++)
        any |= beat_device(&router->devices[i], now);
    if (any && !router->beat)
        router_alarm_set(&router->loop, &router->beat, ROUTER_BEAT_MS, beat, router);
}

static void beat(void *context)
{
    beat_now(context);
}

/* ---- giving ---- */

static void too_late(void *context);
static void give(struct router_device *d);

static void again(void *context)
{
    give(context);
}

static void queue(struct router_device *d, struct router_turn *turn, uint64_t now)
{
    struct router_share *share = share_of(turn, d);
    turn->state = TURN_WANTS;
    hira_list_append(&share->wanting, &turn->link);
    if (!share->client.known)
        policy_add(&d->policy, &share->client);
    policy_want(&d->policy, &share->client, now);
}

/* The first of a tenant's turns that are wanted. The rest goes on waiting. */
static struct router_turn *take_first(struct router_device *d, struct router_share *share, uint64_t now)
{
    if (hira_list_empty(&share->wanting))
        return NULL;
    struct router_turn *turn = hira_list_entry(share->wanting.next, struct router_turn, link);
    hira_list_remove(&turn->link);
    if (!hira_list_empty(&share->wanting))
        policy_want(&d->policy, &share->client, now);
    return turn;
}

static void give_to(struct router_device *d, struct router_turn *turn, uint64_t time, uint64_t now)
{
    d->holder = turn->server;
    d->turn++;
    d->given++;
    d->from = now;
    d->time = time;
    d->asked = false;
    turn->state = TURN_HOLDS;
    turn->cpu = cpu_of(turn->server);
    say(turn->server, d, HIRA_MSG_TURN, d->turn, time);
    if (time != POLICY_FOREVER)
        router_alarm_set(&d->router->loop, &d->late, time / 1000000u + ROUTER_TURN_LATE_MS, too_late, d);
}

static void give(struct router_device *d)
{
    uint64_t now = hira_now_ns(), time, when;
    while (!d->holder) {
        struct policy_client *c = policy_pick(&d->policy, now, &time, &when);
        if (!c && when != POLICY_FOREVER)
            router_alarm_set(&d->router->loop, &d->again, when > now ? (when - now) / 1000000u + 1 : 0, again, d);
        if (!c)
            break;
        struct router_turn *turn = take_first(d, hira_list_entry(c, struct router_share, client), now);
        if (turn && c->wants) /* others of its own wait */
            time = HIRA_MIN(time, d->policy.quantum);
        if (turn)
            give_to(d, turn, time, now);
    }
    beat_now(d->router);
}

/* ---- taking back ---- */

static void charge(struct router_device *d, const struct router_turn *turn, uint64_t used, uint64_t now)
{
    policy_charge(&d->policy, &share_of(turn, d)->client, used, now);
}

static unsigned held_by(const struct router_server *s)
{
    unsigned n = 0;
    for (unsigned i = 0; i < HIRA_TURN_DEVICES; i++)
        n += s->turns[i].state == TURN_HOLDS;
    return n;
}

/* What is believed of what a server says it used in so long a turn. Of processor time each device that it holds has
 * its part. */
static uint64_t believed(const struct router_device *d, const struct router_turn *turn, uint64_t said, uint64_t wall)
{
    uint64_t cpu = cpu_of(turn->server), parts = (uint64_t)d->router->processors * HIRA_MAX(held_by(turn->server), 1u);
    uint64_t taken = cpu > turn->cpu ? (cpu - turn->cpu) / parts : 0;
    uint64_t least = HIRA_MAX(taken, wall / 2); /* a turn that is kept is not free */
    return HIRA_MIN(HIRA_MAX(said, least), wall);
}

static void ask_to_end(struct router_device *d)
{
    if (d->asked)
        return;
    d->asked = true;
    say(d->holder, d, HIRA_MSG_END_TURN, d->turn, 0);
    router_alarm_set(&d->router->loop, &d->late, ROUTER_TURN_LATE_MS, too_late, d);
}

static void ended(struct router_device *d, uint64_t used, uint64_t now)
{
    struct router_server *s = HIRA_STEAL(d->holder);
    router_alarm_stop(&d->late);
    charge(d, &s->turns[d->number], used, now);
}

/* It does not end its turn. The device may be busy with it all the same; others are not to wait for ever. */
static void too_late(void *context)
{
    struct router_device *d = context;
    struct router_server *s = d->holder;
    uint64_t now = hira_now_ns();
    if (!s)
        return;
    hira_log(&d->router->log, HIRA_LOG_WARNING, "router", (uint32_t)s->guest.pid,
             "server %d of tenant %s keeps device %u beyond its turn: others go on beside it", s->pid, s->tenant->name,
             d->number);
    ended(d, now - d->from, now);
    s->turns[d->number].state = TURN_LATE;
    s->turns[d->number].from = now;
    give(d);
}

/* ---- hearing ---- */

static void hear_again(void *context)
{
    struct router_server *s = context;
    if (s->socket)
        router_watch_pause(s->socket, false);
}

/* So often nobody needs to speak: it is heard again a little later. */
static void count_message(struct router_server *s)
{
    struct router *router = router_of(s);
    uint64_t now = router_now_ms(router);
    if (now - s->talk.window >= ROUTER_TURN_WINDOW_MS) {
        s->talk.window = now;
        s->talk.messages = 0;
    }
    if (++s->talk.messages < ROUTER_TURN_MESSAGES)
        return;
    router_watch_pause(s->socket, true);
    router_alarm_set(&router->loop, &s->talk.pause, ROUTER_TURN_WINDOW_MS, hear_again, s);
}

static bool on_want(struct router_device *d, struct router_turn *turn, uint64_t now)
{
    if (turn->state != TURN_IDLE && turn->state != TURN_UNKNOWN)
        return false;
    if (d->holder && d->time == POLICY_FOREVER) { /* who comes begins where the device is now */
        charge(d, &d->holder->turns[d->number], now - d->from, now);
        d->from = now;
    }
    queue(d, turn, now);
    if (d->holder &&
        (d->time == POLICY_FOREVER || policy_preempts(&d->policy, &share_of(&d->holder->turns[d->number], d)->client)))
        ask_to_end(d);
    give(d);
    return true;
}

static bool on_done(struct router_device *d, struct router_turn *turn, const struct hira_turn *m, uint64_t now)
{
    if (turn->state == TURN_HOLDS && m->number == d->turn) {
        uint64_t wall = now - d->from;
        ended(d, d->time == POLICY_FOREVER ? wall : believed(d, turn, m->time, wall), now);
        share_of(turn, d)->client.soon = wall >= d->time;
    } else if (turn->state == TURN_LATE) {
        charge(d, turn, now - turn->from, now);
    } else if (turn->state != TURN_UNKNOWN) {
        return false;
    }
    turn->state = TURN_IDLE;
    if (m->wants)
        queue(d, turn, now);
    give(d);
    return true;
}

bool router_turn_hear(struct router_server *s, const void *message, size_t size)
{
    const struct hira_turn *m = message;
    uint64_t now = hira_now_ns();
    count_message(s);
    bool want = hira_message_check(message, size, HIRA_MSG_WANT, sizeof *m) == 0;
    if ((!want && hira_message_check(message, size, HIRA_MSG_TURN_DONE, sizeof *m) != 0) ||
        m->device >= HIRA_TURN_DEVICES)
        return false;
    struct router_device *d = &router_of(s)->devices[m->device];
    struct router_turn *turn = &s->turns[m->device];
    return want ? on_want(d, turn, now) : on_done(d, turn, m, now);
}

static void forget(struct router_device *d, struct router_turn *turn, uint64_t now)
{
    if (turn->state == TURN_WANTS) {
        hira_list_remove(&turn->link);
        if (hira_list_empty(&share_of(turn, d)->wanting))
            policy_unwant(&d->policy, &share_of(turn, d)->client);
    }
    bool held = d->holder == turn->server;
    if (held)
        ended(d, now - d->from, now);
    turn->state = TURN_IDLE;
    if (held && !d->router->ending)
        give(d);
}

void router_turn_forget(struct router_server *s)
{
    uint64_t now = hira_now_ns();
    router_alarm_stop(&s->talk.pause);
    for (unsigned i = 0; i < HIRA_TURN_DEVICES; i++)
        forget(&router_of(s)->devices[i], &s->turns[i], now);
}

void router_turn_rejoin(struct router_server *s)
{
    for (unsigned i = 0; i < HIRA_TURN_DEVICES; i++) {
        s->turns[i].state = TURN_UNKNOWN;
        say(s, &router_of(s)->devices[i], HIRA_MSG_END_TURN, 0, 0);
    }
}

void router_turn_init(struct router_server *s)
{
    for (unsigned i = 0; i < HIRA_TURN_DEVICES; i++) {
        s->turns[i].server = s;
        hira_list_init(&s->turns[i].link);
    }
}

/* ---- tenants ---- */

void router_shares_init(struct router_tenant *t)
{
    for (unsigned i = 0; i < HIRA_TURN_DEVICES; i++) {
        t->shares[i].tenant = t;
        hira_list_init(&t->shares[i].wanting);
    }
    router_shares_apply(t);
}

void router_shares_apply(struct router_tenant *t)
{
    const struct config_tenant *s = t->settings;
    for (unsigned i = 0; i < HIRA_TURN_DEVICES; i++) {
        struct policy_client *c = &t->shares[i].client;
        policy_set(&t->router->devices[i].policy, c, s ? s->weight : 1, s ? s->priority : 0, s && s->latency);
        c->gone = !t->n_serving;
    }
}

void router_shares_fini(struct router_tenant *t)
{
    for (unsigned i = 0; i < HIRA_TURN_DEVICES; i++)
        policy_remove(&t->router->devices[i].policy, &t->shares[i].client);
}

uint64_t router_shares_charged(const struct router_tenant *t)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < HIRA_TURN_DEVICES; i++)
        sum += HIRA_MIN(t->shares[i].client.used, UINT64_MAX - sum);
    return sum;
}

bool router_shares_held(const struct router_tenant *t)
{
    bool held = false;
    for (unsigned i = 0; i < HIRA_TURN_DEVICES; i++)
        held |= t->router->devices[i].holder && t->router->devices[i].holder->tenant == t;
    return held;
}

/* Of the devices that it wants or has; else of the first. */
double router_shares_entitled(const struct router_tenant *t)
{
    double most = -1, first = 1;
    for (unsigned i = 0; i < HIRA_TURN_DEVICES; i++) {
        const struct router_device *d = &t->router->devices[i];
        const struct policy_client *c = &t->shares[i].client;
        const struct policy_client *holder = d->holder ? &d->holder->tenant->shares[i].client : NULL;
        double entitled = policy_entitled(&d->policy, c, holder);
        first = i ? first : entitled;
        if (c->wants || c == holder)
            most = HIRA_MAX(most, entitled);
    }
    return most < 0 ? first : most;
}

uint64_t router_turns_given(const struct router *router)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < HIRA_TURN_DEVICES; i++)
        sum += router->devices[i].given;
    return sum;
}

/* ---- beginning and end ---- */

void router_turns_init(struct router *router)
{
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    const struct config *config = router->config;
    router->processors = n > 0 ? (unsigned)n : 1;
    for (unsigned i = 0; i < HIRA_TURN_DEVICES; i++) {
        struct router_device *d = &router->devices[i];
        d->router = router;
        d->number = i;
        policy_init(&d->policy, config && config->policy ? config->policy : &policy_fair,
                    config ? config->quantum : CONFIG_QUANTUM_MS * 1000000u);
    }
}

void router_turns_configure(struct router *router)
{
    const struct config *config = router->config;
    for (unsigned i = 0; config && config->policy && i < HIRA_TURN_DEVICES; i++)
        policy_change(&router->devices[i].policy, config->policy, config->quantum);
}

void router_turns_fini(struct router *router)
{
    for (unsigned i = 0; i < HIRA_TURN_DEVICES; i++) {
        router_alarm_stop(&router->devices[i].late);
        router_alarm_stop(&router->devices[i].again);
    }
    router_alarm_stop(&router->beat);
}
