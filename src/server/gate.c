/*
 * The gate: rules, rates, memory. See gate.h; turns.c has the commands that wait.
 *
 * Hot path: hira_gate_closed() in server.h, one load. Nothing here is called while it is false.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include "server/gate.h"

#include <fnmatch.h>

#include "base/futex.h"
#include "policy/bucket.h"
#include "server/internal.h"
#include "server/turns.h"

#define NAP_NS 50000000u /* between two looks at whether a limit has changed that nobody woke us for */

#define LEAVING_NS 100000000u /* within which a server is gone whose guest is: some ms, and more on a busy machine */

static struct hira_limits no_limits;
static struct hira_shared no_shares;

const struct hira_limits *hira_gate_limits = &no_limits;
static struct hira_shared *shared = &no_shares;
static struct hira_account_gate *account;

static struct {
    pthread_mutex_t lock;
    _Atomic uint32_t version; /* of the limits, by which `denied` was made; 0: not made */
    uint8_t *denied;          /* by our function's index */
} rules = {.lock = PTHREAD_MUTEX_INITIALIZER};

void hira_gate_init(const struct hira_limits *limits, struct hira_shared *shares, struct hira_account *counts,
                    int router)
{
    account = &counts->gate;
    if (limits && shares) {
        hira_gate_limits = limits;
        shared = shares;
    }
    hira_turns_init(hira_gate_limits, shared, account, router);
}

static uint64_t get(const _Atomic uint64_t *word)
{
    return atomic_load_explicit(word, memory_order_relaxed);
}

static void add(_Atomic uint64_t *word, uint64_t n)
{
    atomic_fetch_add_explicit(word, n, memory_order_relaxed);
}

static uint32_t bits(void)
{
    return atomic_load_explicit(&hira_gate_limits->gate, memory_order_acquire);
}

/* ---- rules ---- */

static bool denied_by(const char *rule, const char *name)
{
    for (size_t n; *rule; rule += n + 1) {
        n = strlen(rule);
        if (fnmatch(rule + 1, name, 0) == 0)
            return *rule == '-';
    }
    return false;
}

uint32_t hira_gate_copy(void *to, size_t offset, size_t size)
{
    for (int i = 0; i < 1000; i++) {
        uint32_t before = atomic_load_explicit(&hira_gate_limits->version, memory_order_acquire);
        memcpy(to, (const char *)hira_gate_limits + offset, size);
        atomic_thread_fence(memory_order_acquire);
        if (!(before & 1) && atomic_load_explicit(&hira_gate_limits->version, memory_order_relaxed) == before)
            return before + 1; /* even ones, and 0 is no answer */
        hira_relax();
    }
    return 0;
}

static void read_rules(void)
{
    char text[HIRA_RULES_MAX + 2] = {0}; /* the last two bytes stay zero */
    const struct hira_server_api *api = &hira_server_api;
    pthread_mutex_lock(&rules.lock);
    uint32_t version = hira_gate_copy(text, offsetof(struct hira_limits, rules), HIRA_RULES_MAX);
    if (!rules.denied)
        rules.denied = calloc(api->n_functions + 1, 1);
    for (uint32_t i = 0; version && rules.denied && i < api->n_functions; i++)
        rules.denied[i] = denied_by(text, api->functions[i].name);
    if (version)
        atomic_store_explicit(&rules.version, version - 1, memory_order_release);
    pthread_mutex_unlock(&rules.lock);
}

bool hira_gate_denies(uint32_t function)
{
    if (!(bits() & HIRA_GATE_RULES))
        return false;
    if (atomic_load_explicit(&rules.version, memory_order_acquire) !=
        atomic_load_explicit(&hira_gate_limits->version, memory_order_acquire))
        read_rules();
    return !rules.denied || rules.denied[function]; /* no memory to know it: not allowed */
}

/* ---- waiting in the lane ---- */

static uint64_t take(const struct hira_rate *rate, _Atomic uint64_t *bucket, uint64_t n, uint64_t now)
{
    return bucket_take(bucket, get(&rate->rate), get(&rate->burst), n, now, HIRA_WAIT_MAX_NS);
}

void hira_owed_add(const struct hira_owed *owed)
{
    add(&account->owed_calls, owed->calls);
    add(&account->owed_bytes, owed->bytes);
}

void hira_owed_end(struct hira_owed *owed)
{
    atomic_fetch_sub_explicit(&account->owed_calls, owed->calls, memory_order_relaxed);
    atomic_fetch_sub_explicit(&account->owed_bytes, owed->bytes, memory_order_relaxed);
    owed->calls = owed->bytes = 0;
}

uint64_t hira_owed_due(struct hira_owed *owed, uint64_t now)
{
    const struct hira_rate *calls = &hira_gate_limits->calls, *bytes = &hira_gate_limits->bytes;
    if ((!owed->calls || get(&calls->since) < owed->asked) && (!owed->bytes || get(&bytes->since) < owed->asked))
        return owed->due;
    uint64_t due = owed->calls ? take(calls, &shared->calls, owed->calls, now) : now;
    owed->due = HIRA_MAX(due, owed->bytes ? take(bytes, &shared->bytes, owed->bytes, now) : now);
    owed->asked = now;
    return owed->due;
}

/* Until it is due, or until a bit is no longer set. */
static void sleep_until(struct hira_owed *owed, uint32_t while_bits)
{
    uint64_t began = hira_now_ns(), now = began, due;
    hira_owed_add(owed);
    while ((due = hira_owed_due(owed, now)) > now && bits() & while_bits) {
        uint32_t version = atomic_load_explicit(&hira_gate_limits->version, memory_order_acquire);
        if (hira_owed_due(owed, now) != due)
            continue;
        hira_futex_wait(&hira_gate_limits->version, version, HIRA_MIN(due - now, (uint64_t)NAP_NS));
        now = hira_now_ns();
    }
    hira_owed_end(owed);
    if (now == began)
        return;
    add(&account->waits, 1);
    add(&account->wait_ns, now - began);
}

static void wait_or_defer(struct hira_serve *s, struct hira_owed owed, uint32_t bit)
{
    if (owed.due <= owed.asked || s->gate & HIRA_FUNCTION_UNBLOCKS)
        return;
    if (!(s->gate & HIRA_FUNCTION_DEFERRED)) {
        sleep_until(&owed, bit);
        return;
    }
    s->due = HIRA_MAX(s->due, owed.due);
    s->owed_calls += owed.calls;
    s->owed_bytes += owed.bytes;
}

bool hira_gate_enter(struct hira_serve *s, uint32_t function)
{
    uint32_t gate = bits();
    s->gate = hira_server_api.functions[function].gate;
    if (gate & HIRA_GATE_TRACE)
        s->trace = hira_trace_begin(function);
    if (gate & HIRA_GATE_RULES && hira_gate_denies(function)) {
        add(&account->denied, 1);
        return false;
    }
    if (gate & HIRA_GATE_PAUSED)
        sleep_until(&(struct hira_owed){.due = UINT64_MAX}, HIRA_GATE_PAUSED);
    if (gate & HIRA_GATE_CALLS) {
        uint64_t now = hira_now_ns();
        uint64_t due = take(&hira_gate_limits->calls, &shared->calls, 1, now);
        wait_or_defer(s, (struct hira_owed){.calls = 1, .due = due, .asked = now}, HIRA_GATE_CALLS);
    }
    if (gate & HIRA_GATE_MEASURE)
        s->began = hira_now_ns();
    return true;
}

void hira_gate_leave(struct hira_serve *s, uint32_t function)
{
    uint64_t ns = hira_now_ns() - s->began;
    unsigned bucket = ns < 128 ? 0 : (unsigned)(64 - __builtin_clzll(ns >> 7));
    struct hira_account_function *f = &account->functions[HIRA_MIN(function, HIRA_ACCOUNT_FUNCTIONS - 1)];
    add(&account->durations[HIRA_MIN(bucket, HIRA_ACCOUNT_BUCKETS - 1)], 1);
    add(&f->calls, 1);
    add(&f->ns, ns);
}

void hira_gate_bytes(struct hira_serve *s, uint64_t n)
{
    if (!(bits() & HIRA_GATE_BYTES))
        return;
    uint64_t now = hira_now_ns();
    uint64_t due = take(&hira_gate_limits->bytes, &shared->bytes, n, now);
    wait_or_defer(s, (struct hira_owed){.bytes = n, .due = due, .asked = now}, HIRA_GATE_BYTES);
}

/* ---- memory ---- */

struct hira_storage {
    _Atomic uint32_t references;
    uint64_t bytes;
};

uint64_t hira_memory_quota(void)
{
    uint64_t quota = get(&hira_gate_limits->memory);
    return quota ? quota : UINT64_MAX;
}

/* All of a tenant's processes add to one word, so that together they never have a byte too many, and nobody is refused
 * who has room. */
static bool charge(uint64_t n)
{
    uint64_t quota = hira_memory_quota(), seen = get(&shared->memory);
    do {
        if (seen > quota || n > quota - seen)
            return false;
    } while (!atomic_compare_exchange_weak_explicit(&shared->memory, &seen, seen + n, memory_order_relaxed,
                                                    memory_order_relaxed));
    add(&account->memory, n);
    uint64_t peak = get(&shared->memory_peak);
    while (peak < seen + n && !atomic_compare_exchange_weak_explicit(&shared->memory_peak, &peak, seen + n,
                                                                     memory_order_relaxed, memory_order_relaxed))
        ;
    return true;
}

bool hira_charge_bytes(uint64_t n)
{
    /* A program that has just ended has its memory for a moment more, and whoever ran it begins the next one. So if
     * others of this tenant have what is missing, they are waited for; what does not fit beside this process's own is
     * refused at once. */
    uint64_t quota = hira_memory_quota(), own = get(&account->memory), end = hira_now_ns() + LEAVING_NS;
    bool fits = own <= quota && n <= quota - own;
    bool ok;
    while (!(ok = charge(n)) && fits && hira_now_ns() < end)
        nanosleep(&(struct timespec){0, 2000000}, NULL);
    if (!ok)
        add(&shared->memory_refused, 1);
    return ok;
}

void hira_discharge_bytes(uint64_t n)
{
    /* First here: should this process end in between, hirad takes back too little rather than too much. */
    atomic_fetch_sub_explicit(&account->memory, n, memory_order_relaxed);
    atomic_fetch_sub_explicit(&shared->memory, n, memory_order_relaxed);
}

struct hira_storage *hira_storage_get(struct hira_storage *storage)
{
    if (storage)
        atomic_fetch_add_explicit(&storage->references, 1, memory_order_relaxed);
    return storage;
}

void hira_storage_put(struct hira_storage *storage)
{
    if (!storage || atomic_fetch_sub_explicit(&storage->references, 1, memory_order_acq_rel) != 1)
        return;
    hira_discharge_bytes(storage->bytes);
    free(storage);
}

bool hira_charge(struct hira_serve *s, uint64_t n)
{
    struct hira_storage *storage = malloc(sizeof *storage);
    if (!storage || !hira_charge_bytes(n)) {
        free(storage);
        return false;
    }
    *storage = (struct hira_storage){1, n};
    hira_storage_put(s->storage);
    s->storage = storage;
    return true;
}

void hira_hold(struct hira_serve *s, void *vendor)
{
    for (uint32_t i = 0; vendor && !s->storage && i < s->n_pins; i++)
        if (s->pins[i]->vendor == vendor)
            s->storage = hira_storage_get(s->pins[i]->storage);
}
