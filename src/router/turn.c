/*
 * The device, by turns: messages between the policy (src/policy) and the servers.
 *
 * A server that has something for the device says so (WANT); one at a time is given a TURN. While only one tenant wants
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

static int say(const struct router_server *s, enum hira_message_type type, uint64_t number, uint64_t time)
{
    struct hira_turn m = {.head = hira_message_head(type, sizeof m), .number = number, .time = time};
    return s->socket ? hira_fd_send(router_watch_fd(s->socket), &m, sizeof m, NULL, 0) : -EPIPE;
}

static void beat(void *context);

static void beat_now(struct router *router)
{
    uint64_t now = hira_now_ns() / 1000000u;
    for (struct hira_list *pos = router->turns.policy.waiting.next; pos != &router->turns.policy.waiting;
         pos = pos->next) {
        struct router_tenant *t = hira_list_entry(pos, struct router_tenant, client.link);
        for (struct hira_list *p = t->pages.next; p != &t->pages; p = p->next)
            atomic_store_explicit(&hira_list_entry(p, struct router_pages, link)->limits->beat, now,
                                  memory_order_relaxed);
    }
    if (!hira_list_empty(&router->turns.policy.waiting) && !router->turns.beat)
        router_alarm_set(&router->loop, &router->turns.beat, ROUTER_BEAT_MS, beat, router);
}

static void beat(void *context)
{
    beat_now(context);
}

/* ---- giving ---- */

static void too_late(void *context);
static void give(struct router *router);

static void again(void *context)
{
    give(context);
}

static void queue(struct router_server *s, uint64_t now)
{
    s->turn.state = TURN_WANTS;
    hira_list_append(&s->tenant->wanting, &s->turn.link);
    policy_want(&router_of(s)->turns.policy, &s->tenant->client, now);
}

/* The first of a tenant's servers that wants a turn. The rest goes on waiting. */
static struct router_server *take_first(struct router *router, struct router_tenant *t, uint64_t now)
{
    if (hira_list_empty(&t->wanting))
        return NULL;
    struct router_server *s = hira_list_entry(t->wanting.next, struct router_server, turn.link);
    hira_list_remove(&s->turn.link);
    if (!hira_list_empty(&t->wanting))
        policy_want(&router->turns.policy, &t->client, now);
    return s;
}

static void give_to(struct router *router, struct router_server *s, uint64_t time, uint64_t now)
{
    struct router_turns *turns = &router->turns;
    turns->holder = s;
    turns->number++;
    turns->given++;
    turns->from = now;
    turns->time = time;
    turns->asked = false;
    s->turn.state = TURN_HOLDS;
    s->turn.cpu = cpu_of(s);
    say(s, HIRA_MSG_TURN, turns->number, time);
    if (time != POLICY_FOREVER)
        router_alarm_set(&router->loop, &turns->late, time / 1000000u + ROUTER_TURN_LATE_MS, too_late, router);
}

static void give(struct router *router)
{
    struct router_turns *turns = &router->turns;
    uint64_t now = hira_now_ns(), time, when;
    while (!turns->holder) {
        struct policy_client *c = policy_pick(&turns->policy, now, &time, &when);
        if (!c && when != POLICY_FOREVER)
            router_alarm_set(&router->loop, &turns->again, when > now ? (when - now) / 1000000u + 1 : 0, again, router);
        if (!c)
            break;
        struct router_tenant *t = hira_list_entry(c, struct router_tenant, client);
        struct router_server *s = take_first(router, t, now);
        if (s && c->wants) /* others of its own wait */
            time = HIRA_MIN(time, turns->policy.quantum);
        if (s)
            give_to(router, s, time, now);
    }
    beat_now(router);
}

/* ---- taking back ---- */

static void charge(struct router *router, struct router_server *s, uint64_t used, uint64_t now)
{
    policy_charge(&router->turns.policy, &s->tenant->client, used, now);
}

/* What is believed of what a server says it used in so long a turn. */
static uint64_t believed(const struct router *router, const struct router_server *s, uint64_t said, uint64_t wall)
{
    uint64_t cpu = cpu_of(s), taken = cpu > s->turn.cpu ? (cpu - s->turn.cpu) / router->turns.processors : 0;
    uint64_t least = HIRA_MAX(taken, wall / 2); /* a turn that is kept is not free */
    return HIRA_MIN(HIRA_MAX(said, least), wall);
}

static void ask_to_end(struct router *router)
{
    struct router_turns *turns = &router->turns;
    if (turns->asked)
        return;
    turns->asked = true;
    say(turns->holder, HIRA_MSG_END_TURN, turns->number, 0);
    router_alarm_set(&router->loop, &turns->late, ROUTER_TURN_LATE_MS, too_late, router);
}

static void ended(struct router *router, uint64_t used, uint64_t now)
{
    struct router_turns *turns = &router->turns;
    struct router_server *s = turns->holder;
    router_alarm_stop(&turns->late);
    turns->holder = NULL;
    charge(router, s, used, now);
}

/* It does not end its turn. The device may be busy with it all the same; others are not to wait for ever. */
static void too_late(void *context)
{
    struct router *router = context;
    struct router_server *s = router->turns.holder;
    uint64_t now = hira_now_ns();
    if (!s)
        return;
    hira_log(&router->log, HIRA_LOG_WARNING, "router", (uint32_t)s->guest.pid,
             "server %d of tenant %s keeps the device beyond its turn: others go on beside it", s->pid,
             s->tenant->name);
    ended(router, now - router->turns.from, now);
    s->turn.state = TURN_LATE;
    s->turn.from = now;
    give(router);
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
    if (now - s->turn.window >= ROUTER_TURN_WINDOW_MS) {
        s->turn.window = now;
        s->turn.messages = 0;
    }
    if (++s->turn.messages < ROUTER_TURN_MESSAGES)
        return;
    router_watch_pause(s->socket, true);
    router_alarm_set(&router->loop, &s->turn.pause, ROUTER_TURN_WINDOW_MS, hear_again, s);
}

static bool on_want(struct router_server *s, uint64_t now)
{
    struct router *router = router_of(s);
    struct router_turns *turns = &router->turns;
    if (s->turn.state != TURN_IDLE && s->turn.state != TURN_UNKNOWN)
        return false;
    if (turns->holder && turns->time == POLICY_FOREVER) { /* who comes begins where the device is now */
        charge(router, turns->holder, now - turns->from, now);
        turns->from = now;
    }
    queue(s, now);
    if (turns->holder &&
        (turns->time == POLICY_FOREVER || policy_preempts(&turns->policy, &turns->holder->tenant->client)))
        ask_to_end(router);
    give(router);
    return true;
}

static bool on_done(struct router_server *s, const struct hira_turn *m, uint64_t now)
{
    struct router *router = router_of(s);
    struct router_turns *turns = &router->turns;
    if (s->turn.state == TURN_HOLDS && m->number == turns->number) {
        uint64_t wall = now - turns->from;
        ended(router, turns->time == POLICY_FOREVER ? wall : believed(router, s, m->time, wall), now);
        s->tenant->client.soon = wall >= turns->time;
    } else if (s->turn.state == TURN_LATE) {
        charge(router, s, now - s->turn.from, now);
    } else if (s->turn.state != TURN_UNKNOWN) {
        return false;
    }
    s->turn.state = TURN_IDLE;
    if (m->wants)
        queue(s, now);
    give(router);
    return true;
}

bool router_turn_hear(struct router_server *s, const void *message, size_t size)
{
    const struct hira_turn *m = message;
    uint64_t now = hira_now_ns();
    count_message(s);
    if (hira_message_check(message, size, HIRA_MSG_WANT, sizeof *m) == 0)
        return on_want(s, now);
    return hira_message_check(message, size, HIRA_MSG_TURN_DONE, sizeof *m) == 0 && on_done(s, m, now);
}

void router_turn_forget(struct router_server *s)
{
    struct router *router = router_of(s);
    struct router_turns *turns = &router->turns;
    uint64_t now = hira_now_ns();
    router_alarm_stop(&s->turn.pause);
    if (s->turn.state == TURN_WANTS) {
        hira_list_remove(&s->turn.link);
        if (hira_list_empty(&s->tenant->wanting))
            policy_unwant(&turns->policy, &s->tenant->client);
    }
    bool held = turns->holder == s;
    if (held)
        ended(router, now - turns->from, now);
    s->turn.state = TURN_IDLE;
    if (held && !router->ending)
        give(router);
}

void router_turn_rejoin(struct router_server *s)
{
    s->turn.state = TURN_UNKNOWN;
    say(s, HIRA_MSG_END_TURN, 0, 0);
}

/* ---- beginning and end ---- */

void router_turns_init(struct router *router)
{
    struct router_turns *turns = &router->turns;
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    turns->processors = n > 0 ? (unsigned)n : 1;
    const struct config *config = router->config;
    policy_init(&turns->policy, config && config->policy ? config->policy : &policy_fair,
                config ? config->quantum : CONFIG_QUANTUM_MS * 1000000u);
}

void router_turns_configure(struct router *router)
{
    const struct config *config = router->config;
    if (config && config->policy)
        policy_change(&router->turns.policy, config->policy, config->quantum);
}

void router_turns_fini(struct router *router)
{
    router_alarm_stop(&router->turns.late);
    router_alarm_stop(&router->turns.again);
    router_alarm_stop(&router->turns.beat);
}
