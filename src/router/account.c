/*
 * Guests' accounts: read for `hira status`, and looked at for calls that take too long.
 *
 * Security. An account is its server's to write, and a server belongs to its guest. So each value is read once; sums
 * only grow, and are cut to what threads could have done since the guest came. A call's duration is measured here, by
 * how long a lane's state has stayed the same: a server that lies about it harms nobody but itself, since what it uses
 * is bounded elsewhere.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/fd.h"
#include "router/router.h"

const struct hira_account *router_account_map(int fd)
{
    HIRA_AUTOCLOSE int file = fd;
    if (file < 0 || hira_fd_check_sealed(file, HIRA_ACCOUNT_SIZE) < 0)
        return NULL;
    void *account = mmap(NULL, HIRA_ACCOUNT_SIZE, PROT_READ, MAP_SHARED, file, 0);
    return account == MAP_FAILED ? NULL : account;
}

void router_account_unmap(const struct hira_account *account)
{
    if (account)
        munmap((void *)account, HIRA_ACCOUNT_SIZE);
}

static unsigned lanes_of(const struct hira_account *account)
{
    return account ? HIRA_MIN(atomic_load_explicit(&account->n_lanes, memory_order_relaxed), HIRA_ACCOUNT_LANES) : 0;
}

/* The larger one, but at most `limit`. */
static uint64_t believed(uint64_t before, uint64_t said, uint64_t limit)
{
    return HIRA_MAX(before, HIRA_MIN(said, limit));
}

static uint64_t capped_sum(uint64_t a, uint64_t b)
{
    return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

static uint64_t word(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

/* What the gate counts: device time no longer than the guest has been there, waiting no longer than that for each
 * thread. */
static void read_gate(struct router_server *s, uint64_t ns, uint64_t calls)
{
    const struct hira_account_gate *gate = &s->account->gate;
    uint64_t threads = HIRA_MAX(lanes_of(s->account), 1u);
    s->sums.busy_ns = believed(s->sums.busy_ns, word(&gate->busy_ns), ns);
    s->sums.commands = believed(s->sums.commands, word(&gate->commands), calls);
    s->sums.deferred = believed(s->sums.deferred, word(&gate->deferred), calls);
    s->sums.waits = believed(s->sums.waits, word(&gate->waits), calls);
    s->sums.wait_ns =
        believed(s->sums.wait_ns, word(&gate->wait_ns), ns > UINT64_MAX / threads ? UINT64_MAX : ns * threads);
    s->sums.denied = believed(s->sums.denied, word(&gate->denied), calls);
}

struct router_sums router_account_read(struct router_server *s)
{
    struct router_sums said = {0};
    unsigned n = lanes_of(s->account);
    uint64_t ms = router_now_ms(s->api->router) - s->since + 1;
    uint64_t calls = ms * (1000000 / ROUTER_CALL_LEAST_NS) * HIRA_MAX(n, 1u);
    for (unsigned i = 0; i < n; i++) {
        const struct hira_account_lane *lane = &s->account->lanes[i];
        said.calls = capped_sum(said.calls, atomic_load_explicit(&lane->calls, memory_order_relaxed));
        said.errors = capped_sum(said.errors, atomic_load_explicit(&lane->errors, memory_order_relaxed));
        said.bytes = capped_sum(said.bytes, atomic_load_explicit(&lane->bytes, memory_order_relaxed));
    }
    s->sums.calls = believed(s->sums.calls, said.calls, calls);
    s->sums.errors = believed(s->sums.errors, said.errors, s->sums.calls);
    s->sums.bytes = believed(s->sums.bytes, said.bytes, INT64_MAX);
    if (s->account)
        read_gate(s, ms * 1000000, calls);
    return s->sums;
}

/* ---- calls that take too long ---- */

static bool grow_seen(struct router_server *s, unsigned n)
{
    struct router_lane_seen *seen = n > s->n_seen ? realloc(s->seen, n * sizeof *seen) : s->seen;
    if (!seen)
        return false;
    if (n > s->n_seen)
        memset(seen + s->n_seen, 0, (n - s->n_seen) * sizeof *seen);
    s->seen = seen;
    s->n_seen = HIRA_MAX(n, s->n_seen);
    return true;
}

/* For how long the longest call has been with the vendor. */
static uint64_t longest_call(struct router_server *s, uint64_t now)
{
    unsigned n = lanes_of(s->account);
    uint64_t longest = 0;
    if (!n || !grow_seen(s, n))
        return 0;
    for (unsigned i = 0; i < n; i++) {
        uint64_t state = atomic_load_explicit(&s->account->lanes[i].state, memory_order_relaxed);
        struct router_lane_seen *seen = &s->seen[i];
        if (seen->state != state)
            *seen = (struct router_lane_seen){state, now};
        else if (state & 1)
            longest = HIRA_MAX(longest, now - seen->since);
    }
    return longest;
}

static void look_at(struct router_server *s)
{
    struct router *router = s->api->router;
    uint64_t ms = s->state == SERVER_SERVING ? longest_call(s, router_now_ms(router)) : 0;
    if (ms < router->options.call_limit_ms)
        return;
    hira_log(&router->log, HIRA_LOG_WARNING, "server", (uint32_t)s->guest.pid,
             "a call of %s takes longer than %llu s (--call-limit): server %d is ended", s->guest.name,
             (unsigned long long)router->options.call_limit_ms / 1000, s->pid);
    router_server_kill(s);
    memset(s->seen, 0, s->n_seen * sizeof *s->seen);
}

static void on_calls(uv_timer_t *timer)
{
    struct router *router = timer->data;
    struct hira_list *a, *a_next, *pos, *next;
    hira_list_for_each (a, a_next, &router->apis)
        hira_list_for_each (pos, next, &hira_list_entry(a, struct router_api, link)->servers)
            look_at(hira_list_entry(pos, struct router_server, link));
}

int router_calls_watch(struct router *router)
{
    uint64_t limit = router->options.call_limit_ms;
    uint64_t period = HIRA_MIN(HIRA_MAX(limit / 8, (uint64_t)ROUTER_CALLS_LOOK_MS), (uint64_t)ROUTER_CALLS_LOOK_MAX_MS);
    if (!limit)
        return 0;
    if (uv_timer_init(&router->loop, &router->calls))
        return -ENOMEM;
    router->calls.data = router;
    return uv_timer_start(&router->calls, on_calls, period, period) ? -ENOMEM : 0;
}

void router_calls_unwatch(struct router *router)
{
    if (router->calls.data)
        uv_close((uv_handle_t *)&router->calls, NULL);
}
