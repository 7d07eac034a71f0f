/* src/policy on a virtual clock: shares, who joins and leaves, priorities, clocks that jump, token buckets.
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "policy/bucket.h"
#include "policy/policy.h"
#include "tests/tap.h"

#define MS 1000000ull
#define SECOND (1000 * MS)
#define QUANTUM (10 * MS)
#define MOST 8

/* A device and those who share it. A client asks for calls of one length, after each other or with pauses; in pauses
 * shorter than `grace` it keeps its turn, as a server does. */
struct sim {
    struct policy policy;
    struct policy_client clients[MOST];
    uint64_t length[MOST], pause[MOST];           /* of calls; between the end of one and the next */
    uint64_t ready[MOST];                         /* when the next call is there */
    uint64_t did[MOST], calls[MOST], worst[MOST]; /* device time; calls; longest wait from ready to end */
    bool here[MOST];
    uint64_t now, idle, grace;
    unsigned n;
};

static void sim_init(struct sim *s, const char *policy)
{
    memset(s, 0, sizeof *s);
    s->now = SECOND;
    policy_init(&s->policy, policy_find(policy), QUANTUM);
}

static unsigned sim_add(struct sim *s, uint32_t weight, uint64_t length, uint64_t pause)
{
    unsigned i = s->n++;
    policy_set(&s->policy, &s->clients[i], weight, 0, false);
    policy_add(&s->policy, &s->clients[i]);
    s->length[i] = length;
    s->pause[i] = pause;
    s->ready[i] = s->now;
    s->here[i] = true;
    return i;
}

static void sim_wants(struct sim *s)
{
    for (unsigned i = 0; i < s->n; i++)
        if (s->here[i] && s->ready[i] <= s->now)
            policy_want(&s->policy, &s->clients[i], s->now);
        else
            policy_unwant(&s->policy, &s->clients[i]);
}

static uint64_t sim_next_ready(const struct sim *s)
{
    uint64_t next = UINT64_MAX;
    for (unsigned i = 0; i < s->n; i++)
        if (s->here[i] && s->ready[i] > s->now) /* the others wait already */
            next = HIRA_MIN(next, s->ready[i]);
    return next;
}

/* A call of `i`: runs to its end. */
static void sim_call(struct sim *s, unsigned i)
{
    s->now += s->length[i];
    s->did[i] += s->length[i];
    s->calls[i]++;
    s->worst[i] = HIRA_MAX(s->worst[i], s->now - s->ready[i]);
    s->ready[i] = s->now + s->pause[i];
}

static void sim_turn(struct sim *s, unsigned i, uint64_t turn, uint64_t end)
{
    uint64_t began = s->now, used = 0;
    bool more = true;
    while (more) {
        sim_call(s, i);
        used += s->length[i];
        if (turn == POLICY_FOREVER)
            policy_charge(&s->policy, &s->clients[i], HIRA_STEAL(used), s->now);
        sim_wants(s);
        policy_unwant(&s->policy, &s->clients[i]);
        more = s->ready[i] <= s->now + s->grace && s->now < end && !policy_preempts(&s->policy, &s->clients[i]) &&
               (turn == POLICY_FOREVER ? hira_list_empty(&s->policy.waiting) : s->now - began < turn);
        if (more)
            s->now = HIRA_MAX(s->now, s->ready[i]);
    }
    policy_charge(&s->policy, &s->clients[i], used, s->now);
    s->clients[i].soon = turn != POLICY_FOREVER && s->now - began >= turn;
}

static void sim_run(struct sim *s, uint64_t time)
{
    uint64_t end = s->now + time, turn, again;
    while (s->now < end) {
        sim_wants(s);
        struct policy_client *c = policy_pick(&s->policy, s->now, &turn, &again);
        if (c) {
            sim_turn(s, (unsigned)(c - s->clients), turn, end);
            continue;
        }
        uint64_t next = HIRA_MIN(HIRA_MAX(sim_next_ready(s), s->now + 1), again);
        s->idle += next - s->now;
        s->now = next;
    }
}

static void sim_forget(struct sim *s)
{
    memset(s->did, 0, sizeof s->did);
    memset(s->calls, 0, sizeof s->calls);
    memset(s->worst, 0, sizeof s->worst);
    s->idle = 0;
}

/* The largest difference of a share from its entitlement, in percent of the entitlement. */
static double share_error(const struct sim *s)
{
    double did = 0, weights = 0, worst = 0;
    for (unsigned i = 0; i < s->n; i++) {
        did += s->here[i] ? (double)s->did[i] : 0;
        weights += s->here[i] ? s->clients[i].weight : 0;
    }
    for (unsigned i = 0; i < s->n; i++) {
        double error = s->here[i] ? 100 * ((double)s->did[i] / did / (s->clients[i].weight / weights) - 1) : 0;
        worst = HIRA_MAX(worst, error < 0 ? -error : error);
    }
    return worst;
}

static double shares(const char *policy, const uint32_t *weights, const uint64_t *lengths, unsigned n)
{
    struct sim s;
    sim_init(&s, policy);
    for (unsigned i = 0; i < n; i++)
        sim_add(&s, weights[i], lengths[i], 0);
    sim_run(&s, 10 * SECOND);
    CHECK(s.idle == 0 || !strcmp(policy, "band"));
    return share_error(&s);
}

static const uint32_t two[] = {1, 2}, four[] = {1, 1, 2, 4};
static const uint64_t equal[] = {MS, MS, MS, MS}, unequal[] = {MS, 50 * MS, MS, 50 * MS},
                      inverse[] = {50 * MS, MS, 50 * MS, MS};

static void test_shares(void)
{
    static const struct {
        const char *what;
        const uint32_t *weights;
        const uint64_t *lengths;
        unsigned n;
    } cases[] = {{"1:2, equal calls", two, equal, 2},        {"1:2, 1 and 50 ms", two, unequal, 2},
                 {"1:2, 50 and 1 ms", two, inverse, 2},      {"1:1:2:4, equal calls", four, equal, 4},
                 {"1:1:2:4, 1 and 50 ms", four, unequal, 4}, {"1:1:2:4, 50 and 1 ms", four, inverse, 4}};
    for (size_t i = 0; i < HIRA_ARRAY_SIZE(cases); i++) {
        double error = shares("fair", cases[i].weights, cases[i].lengths, cases[i].n);
        CHECK(error <= 2);
        tap_case("fair: shares of %s are right to 2 %% over 10 s (%.2f %%)", cases[i].what, error);
    }
    for (size_t k = 0; policy_nth(k); k++)
        for (size_t i = 1; i < HIRA_ARRAY_SIZE(cases); i += 3)
            printf("# %-12s %-22s share error %6.2f %%\n", policy_nth(k)->name, cases[i].what,
                   shares(policy_nth(k)->name, cases[i].weights, cases[i].lengths, cases[i].n));
    CHECK(shares("credit", two, equal, 2) < 10);
    CHECK(shares("band", two, equal, 2) < 10);
    CHECK(shares("fifo", two, unequal, 2) > 50);
    tap_case("others: budgets come near, fifo does not");
}

/* Programs that wait for each of their calls are away at the end of every turn. */
static void test_waiting_for_each(void)
{
    static const struct {
        uint32_t weights[4];
        uint64_t lengths[4], pauses[4];
        unsigned n;
    } cases[] = {
        {{3, 1}, {800000, 800000}, {100000, 100000}, 2},
        {{3, 1}, {800000, 800000}, {100000, 0}, 2},
        {{1, 3}, {800000, 800000}, {100000, 0}, 2},
        {{10, 1}, {800000, 800000}, {100000, 0}, 2},
        {{1, 1}, {100000, 50 * MS}, {100000, 100000}, 2},
        {{1, 1}, {100000, 50 * MS}, {100000, 0}, 2},
        {{1, 1, 2, 4}, {MS, 5 * MS, 500000, MS}, {100000, 100000, 50000, 200000}, 4},
        {{1, 1, 2, 4}, {MS, 5 * MS, 500000, MS}, {0, 100000, 0, 200000}, 4},
    };
    for (size_t i = 0; i < HIRA_ARRAY_SIZE(cases); i++) {
        struct sim s;
        sim_init(&s, "fair");
        s.grace = MS;
        for (unsigned k = 0; k < cases[i].n; k++)
            sim_add(&s, cases[i].weights[k], cases[i].lengths[k], cases[i].pauses[k]);
        sim_run(&s, 10 * SECOND);
        printf("# case %zu: share error %.2f %%\n", i, share_error(&s));
        CHECK(share_error(&s) <= 5);
    }
    tap_case("fair: who waits for each of its calls has its share");
}

/* Device time of each from some moment on, over windows: since when it has been right to `percent`. */
static uint64_t settles(struct sim *s, double percent)
{
    const uint64_t window = 100 * MS;
    uint64_t right = UINT64_MAX, began = s->now;
    for (unsigned i = 0; i < 10; i++) {
        uint64_t at = s->now - began;
        sim_forget(s);
        sim_run(s, window);
        if (share_error(s) > percent)
            right = UINT64_MAX;
        else if (right == UINT64_MAX)
            right = at;
    }
    return right;
}

static void test_changes(void)
{
    struct sim s;
    sim_init(&s, "fair");
    sim_add(&s, 1, MS, 0);
    sim_run(&s, SECOND);
    sim_add(&s, 1, MS, 0);
    CHECK(settles(&s, 12) <= 200 * MS);
    tap_case("fair: a client that joins has its share within 200 ms");

    policy_set(&s.policy, &s.clients[1], 3, 0, false);
    CHECK(settles(&s, 12) <= 200 * MS);
    tap_case("fair: so has one whose weight changes");

    s.here[0] = false;
    sim_run(&s, 20 * MS);
    sim_forget(&s);
    sim_run(&s, SECOND);
    CHECK(s.did[1] >= 990 * MS && s.did[0] == 0);
    tap_case("fair: whoever is alone has it all");

    s.here[0] = true;
    s.ready[0] = s.now;
    policy_set(&s.policy, &s.clients[1], 1, 0, false);
    sim_forget(&s);
    sim_run(&s, 200 * MS);
    CHECK(s.did[0] <= 120 * MS && s.did[0] >= 80 * MS);
    tap_case("fair: who was away has saved nothing up, and starts at once");
}

static void test_overdraft(void)
{
    struct sim s;
    sim_init(&s, "fair");
    unsigned rare = sim_add(&s, 1, 400 * MS, 0), busy = sim_add(&s, 1, MS, 0);
    sim_run(&s, 401 * MS);
    s.here[rare] = false; /* it goes in debt, leaves, and comes back */
    sim_run(&s, 20 * MS);
    s.here[rare] = true;
    s.ready[rare] = s.now;
    sim_forget(&s);
    sim_run(&s, 300 * MS);
    CHECK(s.did[busy] >= 290 * MS && !s.did[rare]);
    sim_run(&s, 20 * SECOND);
    CHECK(share_error(&s) <= 4);
    tap_case("fair: what a long call took too much is paid back, also after leaving");
}

static void test_priority(void)
{
    struct sim s;
    sim_init(&s, "fair");
    unsigned low = sim_add(&s, 100, MS, 0), high = sim_add(&s, 1, MS, 9 * MS);
    policy_set(&s.policy, &s.clients[high], 1, 3, false);
    sim_run(&s, 10 * SECOND);
    CHECK(s.worst[high] <= 3 * MS);
    CHECK(s.calls[high] >= 900 && s.did[low] >= 8 * SECOND);
    tap_case("priority: higher ones go first, the rest has what is left");
}

static void test_latency(void)
{
    struct sim s;
    sim_init(&s, "fair");
    unsigned batch = sim_add(&s, 1, 50 * MS, 0), quick = sim_add(&s, 1, MS, 20 * MS);
    policy_set(&s.policy, &s.clients[quick], 1, 0, true);
    sim_run(&s, 10 * SECOND);
    CHECK(s.worst[quick] <= 52 * MS);
    CHECK(s.idle == 0 && s.did[batch] >= 9 * SECOND);
    tap_case("latency class: a call waits for the one in flight, no longer (worst %.1f ms)",
             (double)s.worst[quick] / MS);

    sim_init(&s, "fair");
    batch = sim_add(&s, 3, 5 * MS, 0);
    quick = sim_add(&s, 1, MS, 0);
    policy_set(&s.policy, &s.clients[quick], 1, 0, true);
    sim_run(&s, SECOND); /* what it may be ahead, it is ahead once */
    sim_forget(&s);
    sim_run(&s, 10 * SECOND);
    CHECK(share_error(&s) <= 2);
    tap_case("latency class: it has no more than its share when it is always busy (%.2f %%)", share_error(&s));
}

static void test_anticipating(void)
{
    struct sim s;
    sim_init(&s, "band");
    unsigned sync = sim_add(&s, 1, MS, MS / 5);
    sim_add(&s, 1, 20 * MS, 0);
    sim_run(&s, 10 * SECOND);
    uint64_t banded = s.did[sync];
    sim_init(&s, "credit");
    sim_add(&s, 1, MS, MS / 5);
    sim_add(&s, 1, 20 * MS, 0);
    sim_run(&s, 10 * SECOND);
    CHECK(banded > s.did[sync]);
    tap_case("band: waits for who will be back, credit does not (%.1f s of 10 against %.1f s)", (double)banded / SECOND,
             (double)s.did[sync] / SECOND);
}

static void test_clock(void)
{
    for (size_t k = 0; policy_nth(k); k++) {
        struct sim s;
        sim_init(&s, policy_nth(k)->name);
        sim_add(&s, 1, MS, 0);
        sim_add(&s, 1, MS, 0);
        sim_run(&s, SECOND);
        s.now += 86400 * SECOND; /* the machine slept */
        sim_forget(&s);
        sim_run(&s, 2 * SECOND);
        CHECK(share_error(&s) <= 5);
        s.now -= 40000 * SECOND;
        s.ready[0] = s.ready[1] = s.now;
        sim_forget(&s);
        sim_run(&s, 2 * SECOND);
        CHECK(s.did[0] + s.did[1] >= 1900 * MS);
        CHECK(share_error(&s) <= 5 || policy_nth(k) == &policy_band);
        policy_charge(&s.policy, &s.clients[0], UINT64_MAX, UINT64_MAX);
        policy_want(&s.policy, &s.clients[0], 5);
        uint64_t turn, again;
        CHECK(policy_pick(&s.policy, 6, &turn, &again) != NULL);
    }
    tap_case("a clock that jumps ahead or back, and sums at their end, change no shares");
}

static void test_change_policy(void)
{
    struct sim s;
    sim_init(&s, "fifo");
    sim_add(&s, 1, MS, 0);
    sim_add(&s, 2, 50 * MS, 0);
    sim_run(&s, SECOND);
    uint64_t calls = s.calls[0] + s.calls[1];
    for (size_t k = 0; policy_nth(k); k++) {
        policy_change(&s.policy, policy_nth(k), QUANTUM);
        sim_run(&s, SECOND);
        CHECK(s.calls[0] + s.calls[1] > calls);
        calls = s.calls[0] + s.calls[1];
    }
    policy_change(&s.policy, &policy_fair, QUANTUM);
    sim_forget(&s);
    sim_run(&s, 10 * SECOND);
    CHECK(share_error(&s) <= 2);
    tap_case("another policy under load: everybody goes on, and the new one's shares hold");
}

static void test_many(void)
{
    static struct policy_client clients[1000];
    struct policy p;
    uint64_t turn, again, now = SECOND, least = UINT64_MAX, most = 0;
    policy_init(&p, &policy_fair, QUANTUM);
    for (unsigned i = 0; i < 1000; i++) {
        policy_add(&p, &clients[i]);
        policy_want(&p, &clients[i], now);
    }
    for (unsigned i = 0; i < 20000; i++) {
        struct policy_client *c = policy_pick(&p, now, &turn, &again);
        if (!CHECK(c != NULL))
            return;
        now += MS;
        policy_charge(&p, c, MS, now);
        policy_want(&p, c, now);
    }
    for (unsigned i = 0; i < 1000; i++) {
        least = HIRA_MIN(least, clients[i].used);
        most = HIRA_MAX(most, clients[i].used);
        policy_remove(&p, &clients[i]);
    }
    CHECK(least == 20 * MS && most == 20 * MS);
    CHECK(hira_list_empty(&p.waiting) && hira_list_empty(&p.clients));
    CHECK(!policy_pick(&p, now, &turn, &again) && again == POLICY_FOREVER);
    tap_case("a thousand clients have a thousandth each");
}

/* ---- buckets ---- */

/* Units that a client gets in `time` that takes `cost` at a time, as soon as they are due. */
static uint64_t drink(_Atomic uint64_t *full, uint64_t rate, uint64_t burst, uint64_t cost, uint64_t *now,
                      uint64_t time)
{
    uint64_t end = *now + time, got = 0;
    for (;;) {
        uint64_t due = bucket_take(full, rate, burst, cost, *now, 3600 * SECOND);
        if (due > end)
            break;
        *now = HIRA_MAX(due, *now);
        got += cost;
    }
    *now = end;
    return got;
}

static void test_bucket_rates(void)
{
    static const struct {
        uint64_t rate, burst, cost;
    } cases[] = {{1000, 10, 1}, {100, 1, 1},        {3333333, 1000, 1}, {100 << 20, 1 << 20, 4096},
                 {7, 1, 1},     {1000000, 1000, 50}};
    for (size_t i = 0; i < HIRA_ARRAY_SIZE(cases); i++) {
        _Atomic uint64_t full = 0;
        uint64_t now = 5 * SECOND, got = drink(&full, cases[i].rate, cases[i].burst, cases[i].cost, &now, 10 * SECOND);
        double want = 10.0 * (double)cases[i].rate + (double)cases[i].burst;
        CHECK((double)got <= want + (double)cases[i].cost && (double)got >= want * 0.99 - (double)cases[i].cost - 1);
    }
    tap_case("bucket: rates are right to 1 %% over 10 s");
}

static void test_bucket_burst(void)
{
    _Atomic uint64_t full = 0;
    uint64_t now = 100 * SECOND;
    unsigned n = 0;
    while (bucket_take(&full, 1000, 50, 1, now, SECOND) == now && n < 1000)
        n++;
    CHECK(n == 50);
    now += 10 * SECOND; /* idle: no more than a burst is saved up */
    n = 0;
    while (bucket_take(&full, 1000, 50, 1, now, SECOND) == now && n < 1000)
        n++;
    CHECK(n == 50);
    tap_case("bucket: a burst is what was configured, also after a pause");

    full = 0;
    now = 1000 * SECOND;
    CHECK(bucket_take(&full, 1000, 50, 5000, now, 3600 * SECOND) ==
          now); /* more than a burst: a full bucket is enough */
    uint64_t due = bucket_take(&full, 1000, 50, 1, now, 3600 * SECOND);
    CHECK(due >= now + 4950 * MS && due <= now + 4952 * MS);
    tap_case("bucket: what is larger than a burst is paid back");
}

static void test_bucket_after(void)
{
    _Atomic uint64_t full = 0;
    uint64_t now = SECOND, used = 0, end = 11 * SECOND;
    while (now < end) { /* device time: known afterwards; 50 ms a call at 250 ms/s */
        now = HIRA_MAX(now, bucket_ready(&full, 250 * MS, 20 * MS, now, 10 * SECOND));
        if (now >= end)
            break;
        now += 50 * MS;
        used += 50 * MS;
        bucket_take(&full, 250 * MS, 20 * MS, 50 * MS, now, 10 * SECOND);
    }
    CHECK(used <= 2570 * MS && used >= 2475 * MS);
    tap_case("bucket: amounts known afterwards keep the rate, too (%.1f ms a second)", (double)used / 10 / MS);
}

static void test_bucket_lies(void)
{
    _Atomic uint64_t full = UINT64_MAX - 5;
    uint64_t now = SECOND;
    CHECK(bucket_take(&full, 1000, 10, 1, now, SECOND) <= now + SECOND + 2 * MS);
    full = UINT64_MAX;
    CHECK(bucket_ready(&full, 1000, 10, now, SECOND) <= now + SECOND);
    CHECK(bucket_take(&full, 0, 10, 1, now, SECOND) == now);
    CHECK(bucket_take(&full, 1, 1, UINT64_MAX, now, SECOND) >= now);
    CHECK(bucket_time(UINT64_MAX, 1) == UINT64_MAX / 4);
    tap_case("bucket: whatever stands in it, a wait has an end");

    full = 0;
    now = 50 * SECOND;
    drink(&full, 1000, 10, 1, &now, SECOND);
    now += 86400 * SECOND;
    uint64_t got = drink(&full, 1000, 10, 1, &now, SECOND);
    CHECK(got >= 1000 && got <= 1011);
    tap_case("bucket: a clock that jumps ahead gives a burst, no more");
}

int main(void)
{
    test_shares();
    test_waiting_for_each();
    test_changes();
    test_overdraft();
    test_priority();
    test_latency();
    test_anticipating();
    test_clock();
    test_change_policy();
    test_many();
    test_bucket_rates();
    test_bucket_burst();
    test_bucket_after();
    test_bucket_lies();
    return tap_done();
}
