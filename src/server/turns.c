/*
 * Commands that wait for their time, or for a turn of their device.
 *
 * Three places. *Timed* commands (those that take device time) wait in the list of their queue until they may begin;
 * queues and turns are each device's own. *Others* wait in one list until they are due. What was let go and is timed
 * *flies* until it has ended. All under one lock; one thread, started with the first command that has to wait or be
 * watched, lets go, notices ends, and talks to hirad. It waits in poll(): for a kick (a new command, an end, something
 * that a command waited for), for hirad, for the next moment at which something becomes possible.
 *
 * A turn is `free` while nobody else wants the device: then commands pass uncounted but for one in `window`, which is
 * watched, and kept back if two are flying. Else every command is counted, and begins only within the turn.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include "server/turns.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "policy/bucket.h"
#include "server/internal.h"

/* For tracers (systemtap, bpftrace): no cost but a nop each. */
#if __has_include(<sys/sdt.h>)
#include <sys/sdt.h>
#else
#define DTRACE_PROBE1(provider, probe, a)
#define DTRACE_PROBE2(provider, probe, a, b)
#endif

#define LOOK_NS 20000000u /* for what nobody kicks for: changed limits, events whose end the vendor does not tell */

struct device;

struct command {
    struct command *next;
    void *gate;   /* what is completed to let it go; NULL: it was let go */
    void *event;  /* its own; timed ones only */
    void **waits; /* what else it waits for */
    unsigned n_waits;
    struct hira_owed owed; /* not before that is due */
    uint64_t began;        /* when it was let go, or its window began */
    uint64_t number;       /* in order of arrival */
    struct device *to;     /* timed ones only */
    uint32_t stands_for;   /* commands of its window */
    bool watched;          /* something will kick when it may have become possible, or has ended */
};

struct queue {
    struct queue *next;
    void *handle;
    bool ordered;
    struct command *first, **last;
};

enum turn_state { TURN_NONE, TURN_ASKED, TURN_HAVE };

struct device {
    unsigned number;
    struct queue *queues;
    struct command *flying;
    unsigned n_closed; /* commands in the queues */
    unsigned n_flying;
    uint64_t last_end;      /* of a timed command */
    uint64_t last_running;  /* when one was seen in the device */
    uint64_t each;          /* what one takes, ns, by the latest */
    uint64_t nothing_since; /* there is no command, neither in the device nor waiting; 0: there is */
    uint64_t gap;           /* how long that lasts, ns, by the latest */
    enum turn_state turn;
    uint64_t turn_number, turn_began, turn_time, turn_used, idle_since;
    bool ending; /* nothing more begins in this turn */
    _Atomic bool free;
    _Atomic int32_t window_left;
    uint32_t window;
    uint64_t window_began;
};

static struct {
    pthread_mutex_t lock;
    const struct hira_limits *limits;
    struct hira_shared *shared;
    struct hira_account_gate *account;
    const struct hira_gate_ops *ops;
    int router, kick;
    bool started;
    uint64_t numbers;
    unsigned n_closed;
    struct command *others; /* closed and not timed */
    uint64_t cpu;           /* of this process, when last looked at */
    struct device devices[HIRA_TURN_DEVICES];
    unsigned n_devices; /* up to the last that was used */
} t = {.lock = PTHREAD_MUTEX_INITIALIZER, .router = -1, .kick = -1};

void hira_turns_init(const struct hira_limits *limits, struct hira_shared *shared, struct hira_account_gate *account,
                     int router)
{
    t.limits = limits;
    t.shared = shared;
    t.account = account;
    t.ops = hira_server_api.gate;
    t.router = router;
    for (unsigned i = 0; i < HIRA_TURN_DEVICES; i++)
        t.devices[i] = (struct device){.number = i, .window = 1, .each = TURNS_FLYING_NS};
}

/* Lock held: the thread looks after it from now on. */
static struct device *use(struct device *d)
{
    t.n_devices = HIRA_MAX(t.n_devices, d->number + 1);
    return d;
}

/* No lock held, for the vendor is asked. */
static struct device *device_of(void *queue)
{
    return &t.devices[t.ops->device ? hira_device_number(t.ops->device, queue) % HIRA_TURN_DEVICES : 0];
}

static uint32_t bits(void)
{
    return atomic_load_explicit(&t.limits->gate, memory_order_acquire);
}

static void add(_Atomic uint64_t *word, uint64_t n)
{
    atomic_fetch_add_explicit(word, n, memory_order_relaxed);
}

static void kick(void *cookie)
{
    uint64_t one = 1;
    (void)cookie;
    ssize_t n = write(t.kick, &one, sizeof one);
    (void)n; /* full: it is awake anyway */
}

/* ---- ends ---- */

static void command_free(struct command *c)
{
    hira_owed_end(&c->owed);
    if (c->gate)
        t.ops->open(c->gate);
    if (c->event)
        t.ops->release(c->event);
    for (unsigned i = 0; i < c->n_waits; i++)
        t.ops->release(c->waits[i]);
    free(c->waits);
    free(c);
}

/* The processor time that this process took since it was last asked. */
static uint64_t cpu_taken(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    uint64_t ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec, taken = ns - t.cpu;
    t.cpu = ns;
    return taken;
}

/* A command has ended at `now`: device time is what the vendor says, else from when it was let go, or from the end
 * before. A window's commands may have come with pauses: of a device that is the processor, no more than the process
 * took. */
static void account_end(struct device *d, const struct command *c, uint64_t now)
{
    uint64_t from = HIRA_MAX(c->began, d->last_end), busy = now > from ? now - from : 0, each = busy / c->stands_for;
    uint64_t took = c->stands_for == 1 && t.ops->took ? t.ops->took(c->event) : 0;
    if (took)
        busy = HIRA_MIN(took, now - c->began);
    if (c->stands_for > 1 && t.ops->on_processor)
        busy = HIRA_MIN(busy, cpu_taken());
    DTRACE_PROBE2(hira, command_end, c->number, busy);
    d->last_end = now;
    d->each = (3 * d->each + each) / 4;
    d->turn_used += busy;
    add(&t.account->busy_ns, busy);
    if (bits() & HIRA_GATE_TIME)
        bucket_take(&t.shared->time, atomic_load(&t.limits->time.rate), atomic_load(&t.limits->time.burst), busy, now,
                    HIRA_WAIT_MAX_NS);
    uint64_t window = TURNS_WINDOW_NS / HIRA_MAX(d->each, 1u);
    d->window = (uint32_t)HIRA_MIN(HIRA_MAX(window, 1u), TURNS_WINDOW_MAX);
}

/* Notices what has ended. What waits for something else than a command of ours that runs does not count as being in the
 * device, once it has for a while. */
static void collect(struct device *d, uint64_t now)
{
    bool running = false;
    for (struct command **link = &d->flying, *c; (c = *link);) {
        int state = t.ops->state(c->event);
        running |= state == 1;
        if (state == 0 || state == 1) {
            link = &c->next;
            continue;
        }
        *link = c->next;
        account_end(d, c, now);
        command_free(c);
    }
    d->last_running = running ? now : d->last_running;
    d->n_flying = 0;
    for (const struct command *c = d->flying; c; c = c->next)
        d->n_flying += now - HIRA_MIN(HIRA_MAX(c->began, d->last_running), now) <= TURNS_STUCK_NS;
    if (!d->n_flying && !d->idle_since)
        d->idle_since = now;
    bool unseen = atomic_load_explicit(&d->free, memory_order_relaxed); /* most commands are */
    if (!d->n_flying && !d->n_closed && !d->nothing_since && !unseen)
        d->nothing_since = now;
}

/* A command comes: how long was there none? Lock held. */
static void measure_gap(struct device *d, uint64_t now)
{
    if (!d->nothing_since)
        return;
    d->gap = (3 * d->gap + HIRA_MIN(now - HIRA_MIN(d->nothing_since, now), 4 * TURNS_GRACE_MAX_NS)) / 4;
    d->nothing_since = 0;
}

/* For how long a turn is kept for the next command: not if that is to be longer than the turn is worth, but for what
 * telling of the end takes. */
static uint64_t grace(const struct device *d)
{
    if (d->gap <= TURNS_GRACE_MAX_NS)
        return HIRA_MIN(HIRA_MAX(2 * d->gap, TURNS_GRACE_NS), TURNS_GRACE_MAX_NS);
    return t.ops->on_processor && t.ops->on_processor() ? TURNS_TELL_NS : 0;
}

/* ---- beginnings ---- */

static bool flies(const struct device *d, const void *event)
{
    for (const struct command *c = d->flying; c; c = c->next)
        if (c->event == event)
            return true;
    return false;
}

/* Whether all else that it waits for is done, or in the device. If not, its end will kick. */
static bool runnable(const struct device *d, struct command *c)
{
    while (c->n_waits) {
        void *event = c->waits[c->n_waits - 1];
        int state = t.ops->state(event);
        if ((state == 0 || state == 1) && !flies(d, event)) {
            if (!c->watched)
                c->watched = t.ops->call(event, kick, NULL);
            return false;
        }
        if (state == 0 || state == 1)
            return true;
        t.ops->release(event);
        c->n_waits--;
        c->watched = false;
    }
    return true;
}

/* Whether one more command may be in the device. */
static bool room(const struct device *d)
{
    if (!d->n_flying)
        return true;
    if (atomic_load_explicit(&d->free, memory_order_relaxed))
        return d->n_flying < 2;
    return d->n_flying < TURNS_FLYING_MAX && (d->n_flying + 1) * d->each <= TURNS_FLYING_NS;
}

static bool away(void)
{
    uint64_t beat = atomic_load_explicit(&t.limits->beat, memory_order_relaxed), now = hira_now_ns() / 1000000u;
    return now > beat && now - beat > TURNS_AWAY_MS;
}

/* Whether this tenant may begin something now. *ret_again: when to ask again, if only time is missing. */
static bool allowed(const struct device *d, uint64_t now, uint64_t *ret_again)
{
    uint32_t gate = bits();
    if (gate & HIRA_GATE_PAUSED)
        return false;
    if (gate & HIRA_GATE_TIME) {
        uint64_t ready = bucket_ready(&t.shared->time, atomic_load(&t.limits->time.rate),
                                      atomic_load(&t.limits->time.burst), now, HIRA_WAIT_MAX_NS);
        *ret_again = HIRA_MIN(*ret_again, ready);
        if (ready > now || (d->n_flying && d->each > TURNS_FLYING_NS))
            return false;
    }
    if (!(gate & HIRA_GATE_TURNS))
        return true;
    if (d->turn != TURN_HAVE)
        return d->turn == TURN_ASKED && away();
    /* A turn of no time is one command's. */
    bool over = d->turn_time == 0 ? d->turn_used || d->n_flying
                                  : d->turn_time != UINT64_MAX && now - d->turn_began >= d->turn_time;
    return !d->ending && !over;
}

static void fly(struct device *d, struct command *c, uint64_t now)
{
    c->began = c->stands_for > 1 ? c->began : now;
    hira_owed_end(&c->owed); /* from here on it is used */
    c->next = d->flying;
    d->flying = c;
    d->n_flying++;
    d->idle_since = 0;
    add(&t.account->commands, c->stands_for);
    c->watched = t.ops->call(c->event, kick, NULL);
}

static void let_go(struct device *d, struct command *c, uint64_t now)
{
    void *gate = HIRA_STEAL(c->gate);
    DTRACE_PROBE2(hira, command_let_go, c->number, now - c->began);
    t.n_closed--;
    d->n_closed--;
    atomic_fetch_sub_explicit(&t.account->queue, 1, memory_order_relaxed);
    fly(d, c, now);
    t.ops->open(gate);
}

/* The first of a queue that could begin; of one without order any. NULL: none. */
static struct command **first_runnable(const struct device *d, struct queue *q, uint64_t now, uint64_t *ret_again)
{
    for (struct command **link = &q->first; *link; link = &(*link)->next) {
        struct command *c = *link;
        uint64_t due = hira_owed_due(&c->owed, now);
        if (due > now)
            *ret_again = HIRA_MIN(*ret_again, due);
        else if (runnable(d, c))
            return link;
        if (q->ordered)
            return NULL;
    }
    return NULL;
}

/* The oldest command that could begin now, but for the turn. */
static struct command **oldest(struct device *d, uint64_t now, uint64_t *ret_again, struct queue **ret_queue)
{
    struct command **found = NULL;
    for (struct queue **q = &d->queues; *q;) {
        if (!(*q)->first) {
            struct queue *empty = *q;
            *q = empty->next;
            free(empty);
            continue;
        }
        struct command **link = first_runnable(d, *q, now, ret_again);
        if (link && (!found || (*link)->number < (*found)->number)) {
            found = link;
            *ret_queue = *q;
        }
        q = &(*q)->next;
    }
    return found;
}

static void take_from(struct queue *q, struct command **link)
{
    struct command *c = *link;
    *link = c->next;
    if (q->last == &c->next)
        q->last = link;
}

/* Lets go what may begin. Whether something waits for nothing but a turn. */
static bool advance(struct device *d, uint64_t now, uint64_t *ret_again)
{
    struct command **link;
    struct queue *q = NULL;
    while ((link = oldest(d, now, ret_again, &q))) {
        if (!allowed(d, now, ret_again))
            return true;
        if (!room(d))
            return false;
        struct command *c = *link;
        take_from(q, link);
        let_go(d, c, now);
    }
    return false;
}

static void advance_others(uint64_t now, uint64_t *ret_again)
{
    bool paused = bits() & HIRA_GATE_PAUSED;
    for (struct command **link = &t.others, *c; (c = *link);) {
        uint64_t due = hira_owed_due(&c->owed, now);
        if (paused || due > now) {
            *ret_again = HIRA_MIN(*ret_again, paused ? UINT64_MAX : due);
            link = &c->next;
            continue;
        }
        *link = c->next;
        t.n_closed--;
        atomic_fetch_sub_explicit(&t.account->queue, 1, memory_order_relaxed);
        command_free(c);
    }
}

/* ---- turns ---- */

static void say(const struct device *d, enum hira_message_type type, uint64_t time, bool wants)
{
    struct hira_turn m = {.head = hira_message_head(type, sizeof m),
                          .number = d->turn_number,
                          .time = time,
                          .wants = wants,
                          .device = d->number};
    hira_fd_send(t.router, &m, sizeof m, NULL, 0);
}

static void end_turn(struct device *d, bool wants)
{
    atomic_store_explicit(&d->free, false, memory_order_relaxed);
    DTRACE_PROBE2(hira, turn_end, d->turn_number, d->turn_used);
    say(d, HIRA_MSG_TURN_DONE, d->turn_used, wants);
    d->turn = wants ? TURN_ASKED : TURN_NONE;
    d->ending = false;
}

/* What follows for the turn once everything that may begin has begun. */
static void review_turn(struct device *d, uint64_t now, bool wants, uint64_t *ret_again)
{
    bool turns = bits() & HIRA_GATE_TURNS && t.router >= 0;
    if (d->turn == TURN_NONE && wants && turns) {
        d->turn = TURN_ASKED;
        d->turn_number = 0;
        say(d, HIRA_MSG_WANT, 0, true);
    }
    if (d->turn == TURN_ASKED)
        *ret_again = HIRA_MIN(*ret_again, now + TURNS_AWAY_MS * 250000ull);
    if (d->turn != TURN_HAVE)
        return;
    bool timed = d->turn_time != UINT64_MAX, over = timed && now - d->turn_began >= d->turn_time;
    bool single = d->turn_time == 0 && d->turn_used;
    uint64_t patience = d->idle_since ? d->idle_since + grace(d) : UINT64_MAX;
    if ((d->ending || over || single) && !d->n_flying)
        end_turn(d, wants);
    else if (timed && !d->n_flying && !wants && now >= patience)
        end_turn(d, false);
    else if (timed && !d->n_flying)
        *ret_again = HIRA_MIN(*ret_again, HIRA_MIN(patience, d->turn_began + d->turn_time));
    else if (timed && !over)
        *ret_again = HIRA_MIN(*ret_again, d->turn_began + d->turn_time);
}

static void take_turn(struct device *d, const struct hira_turn *m, uint64_t now)
{
    DTRACE_PROBE2(hira, turn_begin, m->number, m->time);
    d->turn = TURN_HAVE;
    d->turn_number = m->number;
    d->turn_time = m->time;
    d->turn_began = d->idle_since = now;
    d->turn_used = 0;
    d->ending = false;
    cpu_taken();
    if (m->time == UINT64_MAX) {
        d->window_began = now;
        d->nothing_since = 0;
        atomic_store_explicit(&d->window_left, (int32_t)d->window, memory_order_relaxed);
        atomic_store_explicit(&d->free, true, memory_order_relaxed);
    }
}

static void hear_turn(struct device *d, const struct hira_turn *m, bool begins, uint64_t now)
{
    if (begins && d->turn == TURN_ASKED)
        take_turn(d, m, now);
    if (begins)
        return;
    if (d->turn == TURN_HAVE && (m->number == d->turn_number || !m->number)) {
        d->ending = true;
        atomic_store_explicit(&d->free, false, memory_order_relaxed);
    } else if (!m->number) { /* a new hirad: it does not know what the old one was asked */
        say(d, HIRA_MSG_TURN_DONE, 0, d->turn == TURN_ASKED);
    }
}

static void hear_router(uint64_t now)
{
    struct hira_turn m;
    for (;;) {
        int fd = -1;
        size_t n_fds = 1;
        ssize_t n = hira_fd_receive(t.router, &m, sizeof m, &fd, &n_fds, MSG_DONTWAIT);
        if (n > 0 && hira_message_check(&m, (size_t)n, HIRA_MSG_TRACE, sizeof m.head) == 0)
            hira_trace_to(HIRA_STEAL_FD(fd));
        hira_fd_closep(&fd);
        if (n == 0 || (n < 0 && n != -EAGAIN && n != -EMSGSIZE))
            t.router = -1; /* gone for good: its zygote kept the other end, and is gone as well */
        if (n <= 0)
            return;
        bool begins = hira_message_check(&m, (size_t)n, HIRA_MSG_TURN, sizeof m) == 0;
        bool ends = hira_message_check(&m, (size_t)n, HIRA_MSG_END_TURN, sizeof m) == 0;
        if ((begins || ends) && m.device < HIRA_TURN_DEVICES)
            hear_turn(&t.devices[m.device], &m, begins, now);
    }
}

/* ---- the thread ---- */

static void step_device(struct device *d, uint64_t now, uint64_t *ret_again)
{
    collect(d, now);
    bool wants = advance(d, now, ret_again);
    review_turn(d, now, wants, ret_again);
    if (d->n_closed || d->flying)
        *ret_again = HIRA_MIN(*ret_again, now + (d->turn == TURN_HAVE ? LOOK_NS / 4 : LOOK_NS));
}

static uint64_t step(void)
{
    uint64_t now = hira_now_ns(), again = UINT64_MAX;
    pthread_mutex_lock(&t.lock);
    if (t.router >= 0)
        hear_router(now);
    for (unsigned i = 0; i < t.n_devices; i++)
        step_device(&t.devices[i], now, &again);
    advance_others(now, &again);
    if (t.others)
        again = HIRA_MIN(again, now + LOOK_NS);
    pthread_mutex_unlock(&t.lock);
    now = hira_now_ns();
    return again == UINT64_MAX ? UINT64_MAX : again > now ? again - now : 0;
}

static void *turns_thread(void *context)
{
    (void)context;
    prctl(PR_SET_NAME, "hira-gate");
    for (;;) {
        uint64_t ns = step(), count;
        struct timespec timeout = {(time_t)(ns / 1000000000u), (long)(ns % 1000000000u)};
        struct pollfd p[2] = {{t.kick, POLLIN, 0}, {t.router, POLLIN, 0}};
        ppoll(p, 2, ns == UINT64_MAX ? NULL : &timeout, NULL);
        if (p[0].revents) {
            ssize_t n = read(t.kick, &count, sizeof count);
            (void)n;
        }
    }
    return NULL;
}

/* Lock held. */
static bool start(void)
{
    pthread_t thread;
    if (t.started)
        return true;
    if (t.kick < 0)
        t.kick = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (t.kick < 0 || pthread_create(&thread, NULL, turns_thread, NULL))
        return false;
    pthread_detach(thread);
    return t.started = true;
}

bool hira_turns_listen(void)
{
    pthread_mutex_lock(&t.lock);
    bool ok = t.router >= 0 && start();
    pthread_mutex_unlock(&t.lock);
    return ok;
}

/* ---- commands come ---- */

static struct hira_owed owed_by(const struct hira_serve *s, uint64_t now)
{
    return (struct hira_owed){s->owed_calls, s->owed_bytes, s->due, now};
}

/* Nothing can be deferred: the lane itself waits, for time alone. */
static bool wait_here(const struct hira_serve *s)
{
    struct hira_owed owed = owed_by(s, hira_now_ns());
    uint64_t due, now = owed.asked;
    hira_owed_add(&owed);
    while ((due = hira_owed_due(&owed, now)) > now && bits() & (HIRA_GATE_CALLS | HIRA_GATE_BYTES)) {
        uint64_t ns = HIRA_MIN(due - now, 50000000u);
        nanosleep(&(struct timespec){0, (long)ns}, NULL);
        now = hira_now_ns();
    }
    hira_owed_end(&owed);
    return false;
}

static struct queue *queue_of(struct device *d, void *handle, bool make)
{
    for (struct queue *q = d->queues; q; q = q->next)
        if (q->handle == handle)
            return q;
    struct queue *q = make ? calloc(1, sizeof *q) : NULL;
    if (!q)
        return NULL;
    *q = (struct queue){.next = d->queues, .handle = handle, .ordered = t.ops->ordered(handle)};
    q->last = &q->first;
    d->queues = q;
    return q;
}

static struct command *command_new(const struct hira_serve *s, const struct hira_deferral *d, uint64_t now)
{
    struct command *c = calloc(1, sizeof *c);
    if (!c || (d->timed && d->n && !(c->waits = calloc(d->n, sizeof *c->waits)))) {
        free(c);
        return NULL;
    }
    for (uint64_t i = 0; d->timed && i < d->n; i++)
        if (d->list[i]) {
            t.ops->retain(d->list[i]);
            c->waits[c->n_waits++] = d->list[i];
        }
    c->owed = owed_by(s, now);
    hira_owed_add(&c->owed);
    c->stands_for = 1;
    return c;
}

/* Lock held: whether a timed command that came now need not wait. */
static bool may_pass(struct device *d, struct command *c, void *queue, uint64_t now)
{
    uint64_t again = UINT64_MAX;
    const struct queue *q = queue_of(d, queue, false);
    bool pass = hira_owed_due(&c->owed, now) <= now && (!q || !q->first) && runnable(d, c) && allowed(d, now, &again) &&
                room(d);
    if (!pass)
        c->watched = false;
    return pass;
}

/* The list that the vendor gets: what it was, and the gate. */
static bool lengthen(struct hira_serve *s, struct hira_deferral *d, void *gate)
{
    void **list = hira_scratch(s, hira_times(d->n + 1, sizeof *list));
    if (!list)
        return false;
    if (d->n)
        memcpy(list, d->list, d->n * sizeof *list);
    list[d->n++] = gate;
    d->list = list;
    return true;
}

/* Watches this one for its window: lets it pass if two are not flying yet. */
static bool end_of_window(struct device *d)
{
    if (!atomic_load_explicit(&d->free, memory_order_relaxed))
        return true;
    if (atomic_fetch_sub_explicit(&d->window_left, 1, memory_order_relaxed) > 1)
        return false;
    return true;
}

static void new_window(struct device *d, struct command *c, uint64_t now)
{
    if (!atomic_load_explicit(&d->free, memory_order_relaxed) || bits() & HIRA_GATE_TIME) /* then each one is watched */
        return;
    c->stands_for = d->window;
    c->began = d->window_began;
    d->window_began = now;
    atomic_store_explicit(&d->window_left, (int32_t)d->window, memory_order_relaxed);
}

static bool close_timed(struct hira_serve *s, struct hira_deferral *d, struct device *to, uint64_t now)
{
    struct command *c = command_new(s, d, now);
    if (!c)
        return false;
    pthread_mutex_lock(&t.lock);
    measure_gap(use(to), now);
    bool ok = start(), pass = ok && may_pass(to, c, d->queue, now);
    if (ok)
        new_window(to, c, now);
    pthread_mutex_unlock(&t.lock);
    c->gate = ok && !pass ? t.ops->make(d->queue) : NULL;
    if (!ok || (!pass && (!c->gate || !lengthen(s, d, c->gate)))) {
        command_free(c);
        return wait_here(s);
    }
    if (!d->event)
        d->event = &d->own;
    c->to = to;
    d->command = c;
    return true;
}

/* It is known to nobody before the vendor has it, for that may block: so it goes to the list first, and is let go by
 * the clock. */
static bool close_other(struct hira_serve *s, struct hira_deferral *d, uint64_t now)
{
    if (s->due <= now && !(bits() & HIRA_GATE_PAUSED))
        return false;
    struct command *c = command_new(s, d, now);
    if (!c)
        return wait_here(s);
    pthread_mutex_lock(&t.lock);
    bool ok = start() && (c->gate = t.ops->make(d->queue)) && lengthen(s, d, c->gate);
    if (ok) {
        t.ops->retain(c->gate); /* ours to complete; the vendor has its own once it has the command */
        d->gate = c->gate;
        c->next = t.others;
        t.others = c;
        t.n_closed++;
        add(&t.account->queue, 1);
        add(&t.account->deferred, 1);
    }
    pthread_mutex_unlock(&t.lock);
    if (!ok) {
        command_free(c);
        return wait_here(s);
    }
    kick(NULL);
    return true;
}

/* Too many wait already: this lane does, until there are fewer. Ends because commands end or times come; those that
 * wait for the application do not keep it. */
static void wait_for_room(void)
{
    for (int i = 0; i < 1000 && t.n_closed >= TURNS_CLOSED_MAX; i++)
        nanosleep(&(struct timespec){0, 1000000}, NULL);
}

bool hira_gate_defer(struct hira_serve *s, struct hira_deferral *d)
{
    uint32_t gate = bits();
    bool timed = d->timed && gate & (HIRA_GATE_TURNS | HIRA_GATE_TIME);
    if (!d->n != !d->list)
        return false; /* the vendor says what is wrong with it */
    if (!t.ops)
        return wait_here(s);
    struct device *to = timed ? device_of(d->queue) : NULL;
    if (timed && !(gate & (HIRA_GATE_TIME | HIRA_GATE_PAUSED)) && !s->due && !end_of_window(to))
        return false;
    if (hira_unlikely(t.n_closed >= TURNS_CLOSED_MAX))
        wait_for_room();
    uint64_t now = hira_now_ns();
    return timed ? close_timed(s, d, to, now) : close_other(s, d, now);
}

/* The vendor has the command: from here on its end is noticed. */
static void keep(struct hira_deferral *d, struct command *c)
{
    uint64_t now = hira_now_ns();
    c->event = *d->event;
    if (d->event != &d->own)
        t.ops->retain(c->event);
    pthread_mutex_lock(&t.lock);
    struct queue *q = c->gate ? queue_of(c->to, d->queue, true) : NULL;
    c->number = ++t.numbers;
    if (q) {
        c->began = c->stands_for > 1 ? c->began : now; /* to be seen how long it waited */
        c->next = NULL;
        *q->last = c;
        q->last = &c->next;
        t.n_closed++;
        c->to->n_closed++;
        add(&t.account->queue, 1);
        add(&t.account->deferred, 1);
    } else if (c->gate) { /* no memory to make it wait */
        t.ops->open(HIRA_STEAL(c->gate));
        fly(c->to, c, now);
    } else {
        fly(c->to, c, now);
    }
    pthread_mutex_unlock(&t.lock);
    kick(NULL);
}

void hira_gate_called(struct hira_deferral *d, bool ok)
{
    struct command *c = HIRA_STEAL(d->command);
    if (d->gate)
        t.ops->release(d->gate);
    if (c && ok && *d->event)
        keep(d, c);
    else if (c)
        command_free(c);
}
