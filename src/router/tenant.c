/*
 * Tenants: who shares the device, what each may use, and whose servers are whose.
 *
 * A server is made for one tenant and goes to no other, for it has that tenant's user and cache from the beginning. So
 * servers are kept ready for a tenant only once it has been seen: its first guest waits for a server to start.
 *
 * `default` is no tenant but what users have who are none: each of them is one by itself, for their servers must not
 * share a cache.
 *
 * Security. One who has subordinate numbers is many thousand users at will. So a tenant of whom nothing is left here is
 * forgotten, unless the configuration names it or somebody has changed it: it has no server and no guest, is not among
 * the latest, and its rate would let it do all that a new one may.
 *
 * hirad writes the limits and reads the shares. What it reads there is a tenant's servers' word: it shows the sums, and
 * takes from them at a server's end what that one had, never more than there is.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/futex.h"
#include "policy/bucket.h"
#include "router/router.h"

#define TENANT_UIDS 0x40000000u /* where the numbers begin that stand for the configuration's tenants */

/* ---- pages ---- */

static void pages_destroy(struct router_pages *pages)
{
    if (!pages)
        return;
    hira_list_remove(&pages->link);
    if (pages->limits)
        munmap(pages->limits, HIRA_LIMITS_SIZE);
    if (pages->shared)
        munmap(pages->shared, HIRA_SHARED_SIZE);
    hira_fd_closep(&pages->limits_fd);
    hira_fd_closep(&pages->shared_fd);
    free(pages);
}

static void *map(int fd, size_t size)
{
    void *page = fd < 0 || hira_fd_check_sealed(fd, size) < 0
                     ? MAP_FAILED
                     : mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    return page == MAP_FAILED ? NULL : page;
}

/* Takes the descriptors over. NULL: they are no such pages, or there is no memory. */
static struct router_pages *pages_new(int limits_fd, int shared_fd)
{
    struct router_pages *pages = calloc(1, sizeof *pages);
    if (!pages) {
        hira_fd_closep(&limits_fd);
        hira_fd_closep(&shared_fd);
        return NULL;
    }
    hira_list_init(&pages->link);
    pages->limits_fd = limits_fd;
    pages->shared_fd = shared_fd;
    pages->limits = map(limits_fd, HIRA_LIMITS_SIZE);
    pages->shared = map(shared_fd, HIRA_SHARED_SIZE);
    if (!pages->limits || !pages->shared) {
        pages_destroy(pages);
        return NULL;
    }
    return pages;
}

/* What was used up by another rate is not owed by this one: a debt at a megabyte a second would outlast what it was
 * for. */
static void set_rate(struct hira_rate *rate, _Atomic uint64_t *bucket, uint64_t value, uint64_t burst)
{
    bool changed = value != atomic_load_explicit(&rate->rate, memory_order_relaxed);
    atomic_store_explicit(&rate->rate, value, memory_order_relaxed);
    atomic_store_explicit(&rate->burst, value ? HIRA_MAX(burst, 1u) : 0, memory_order_relaxed);
    if (!changed)
        return;
    atomic_store_explicit(bucket, 0, memory_order_release);
    atomic_store_explicit(&rate->since, hira_now_ns(), memory_order_release);
}

static uint32_t gate_of(const struct router_tenant *t)
{
    const struct config_tenant *s = t->settings;
    const struct config *config = t->router->config;
    uint32_t gate = (t->paused ? HIRA_GATE_PAUSED : 0) |
                    (t->router->measure_until || (config && config->measure) ? HIRA_GATE_MEASURE : 0) |
                    (config && config->policy ? HIRA_GATE_TURNS : 0) | (t->trace.until ? HIRA_GATE_TRACE : 0);
    if (!s)
        return gate;
    return gate | (s->calls ? HIRA_GATE_CALLS : 0) | (s->bytes ? HIRA_GATE_BYTES : 0) | (s->time ? HIRA_GATE_TIME : 0) |
           (s->rules[0] ? HIRA_GATE_RULES : 0);
}

/* Of several sets of pages each may have what the others do not use. */
static uint64_t quota_of(const struct router_tenant *t, const struct router_pages *pages)
{
    uint64_t quota = t->settings ? t->settings->memory : 0, others = 0;
    for (const struct hira_list *pos = t->pages.next; pos != &t->pages; pos = pos->next) {
        const struct router_pages *other = hira_list_entry(pos, struct router_pages, link);
        others += other == pages ? 0 : HIRA_MIN(atomic_load(&other->shared->memory), UINT64_MAX / 4);
    }
    return !quota ? 0 : others < quota ? quota - others : 1; /* 0 is no limit */
}

static void write_limits(const struct router_tenant *t, struct router_pages *pages)
{
    static const struct config_tenant nothing;
    const struct config_tenant *s = t->settings ? t->settings : &nothing;
    struct hira_limits *l = pages->limits;
    uint32_t version = atomic_load_explicit(&l->version, memory_order_relaxed) | 1;
    atomic_store_explicit(&l->version, version, memory_order_relaxed);
    atomic_thread_fence(memory_order_release);
    set_rate(&l->calls, &pages->shared->calls, s->calls, s->calls_burst);
    set_rate(&l->bytes, &pages->shared->bytes, s->bytes, s->bytes_burst);
    set_rate(&l->time, &pages->shared->time, s->time, s->time_burst);
    atomic_store_explicit(&l->memory, quota_of(t, pages), memory_order_relaxed);
    memcpy(l->rules, s->rules, sizeof l->rules);
    memcpy(l->devices, s->devices, sizeof l->devices);
    memcpy(l->trace, t->trace.functions, sizeof l->trace);
    atomic_store_explicit(&l->gate, gate_of(t), memory_order_release);
    atomic_store_explicit(&l->version, version + 1, memory_order_release);
    hira_futex_wake(&l->version, INT32_MAX);
}

void router_tenant_apply(struct router_tenant *t)
{
    for (struct hira_list *pos = t->pages.next; pos != &t->pages; pos = pos->next)
        write_limits(t, hira_list_entry(pos, struct router_pages, link));
    router_shares_apply(t);
}

void router_tenants_apply(struct router *router)
{
    for (struct hira_list *pos = router->tenants.next; pos != &router->tenants; pos = pos->next)
        router_tenant_apply(hira_list_entry(pos, struct router_tenant, link));
}

static bool same_file(int a, int b)
{
    struct stat one, other;
    return fstat(a, &one) == 0 && fstat(b, &other) == 0 && one.st_ino == other.st_ino && one.st_dev == other.st_dev;
}

struct router_pages *router_tenant_rejoin(struct router_tenant *t, int limits_fd, int shared_fd)
{
    for (struct hira_list *pos = t->pages.next; pos != &t->pages; pos = pos->next) {
        struct router_pages *known = hira_list_entry(pos, struct router_pages, link);
        if (!same_file(known->limits_fd, limits_fd))
            continue;
        hira_fd_closep(&limits_fd);
        hira_fd_closep(&shared_fd);
        return known;
    }
    struct router_pages *pages = pages_new(limits_fd, shared_fd);
    if (!pages)
        return NULL;
    hira_list_append(&t->pages, &pages->link); /* behind those that its new servers have */
    router_tenant_apply(t);
    return pages;
}

/* ---- who there is ---- */

static void tenant_destroy(struct router_tenant *t)
{
    struct hira_list *pos, *next;
    router_trace_end(t);
    router_shares_fini(t);
    hira_list_for_each (pos, next, &t->pages)
        pages_destroy(hira_list_entry(pos, struct router_pages, link));
    hira_list_remove(&t->link);
    router_uses_free(t);
    free(t->settings);
    free(t);
}

static bool is_idle(struct router *router, struct router_tenant *t, uint64_t warm_since)
{
    const struct hira_list *pos;
    router_bucket_wait(&t->starts, router_now_ms(router), router->options.start_rate);
    if (t->uid == geteuid() || t->seen >= warm_since || t->starts.spent || t->paused || t->changed || t->trace.until ||
        (router->config && config_named(router->config, t->name)))
        return false;
    for (pos = router->apis.next; pos != &router->apis; pos = pos->next)
        if (router_api_needs(hira_list_entry(pos, struct router_api, link), t))
            return false;
    return true;
}

/* When they have become twice as many as were needed: so that looking costs each but little. */
static void forget_idle(struct router *router)
{
    struct hira_list *pos, *next;
    uint64_t warm_since = router_tenants_warm(router);
    if (router->n_tenants < HIRA_MAX(2 * router->n_tenants_needed, (unsigned)ROUTER_TENANTS_LOOK))
        return;
    hira_list_for_each (pos, next, &router->tenants) {
        struct router_tenant *t = hira_list_entry(pos, struct router_tenant, link);
        if (!is_idle(router, t, warm_since))
            continue;
        tenant_destroy(t);
        router->n_tenants--;
    }
    router->n_tenants_needed = router->n_tenants;
}

static struct router_tenant *tenant_new(struct router *router, const char *name, uid_t uid,
                                        const struct config_tenant *settings)
{
    forget_idle(router);
    struct router_tenant *t = calloc(1, sizeof *t);
    HIRA_AUTOCLOSE int limits = hira_fd_shared_memory("hira-limits", HIRA_LIMITS_SIZE);
    HIRA_AUTOCLOSE int shared = hira_fd_shared_memory("hira-shared", HIRA_SHARED_SIZE);
    struct router_pages *pages =
        t && limits >= 0 && shared >= 0 ? pages_new(HIRA_STEAL_FD(limits), HIRA_STEAL_FD(shared)) : NULL;
    if (!pages || (settings && !(t->settings = malloc(sizeof *settings)))) {
        pages_destroy(pages);
        free(t);
        return NULL;
    }
    t->router = router;
    t->uid = uid;
    t->trace.pipe = -1;
    snprintf(t->name, sizeof t->name, "%s", name);
    hira_list_init(&t->pages);
    hira_list_init(&t->uses);
    hira_list_append(&t->pages, &pages->link);
    if (settings) {
        *t->settings = *settings;
        t->settings->sockets = NULL; /* the configuration's, as is what follows */
        t->settings->peers = NULL;
        t->settings->n_sockets = t->settings->n_peers = 0;
    }
    router_shares_init(t);
    hira_list_append(&router->tenants, &t->link);
    router->n_tenants++;
    router_tenant_apply(t);
    return t;
}

struct router_tenant *router_tenant_known(const struct router *router, const char *name)
{
    for (struct hira_list *pos = router->tenants.next; pos != &router->tenants; pos = pos->next) {
        struct router_tenant *t = hira_list_entry(pos, struct router_tenant, link);
        if (!strcmp(t->name, name))
            return t;
    }
    return NULL;
}

/* A number of its own for a tenant's servers, the same after every start and whoever else there is: made of its name
 * (FNV-1a). */
static uid_t uid_of(const char *name)
{
    uint32_t hash = 2166136261u;
    while (*name)
        hash = (hash ^ (unsigned char)*name++) * 16777619u;
    return TENANT_UIDS + (hash & 0x0fffffffu);
}

struct router_tenant *router_tenant_named(struct router *router, const char *name, uid_t uid)
{
    struct router_tenant *t = router_tenant_known(router, name);
    const struct config_tenant *settings = router->config ? config_named(router->config, name) : NULL;
    if (t)
        return t;
    if (settings)
        return tenant_new(router, name, uid_of(name), settings);
    return tenant_new(router, name, uid, router->config ? &router->config->rest : NULL);
}

struct router_tenant *router_tenant_of(struct router *router, const char *socket, uid_t uid, gid_t gid, int *ret_error)
{
    char name[HIRA_TENANT_MAX];
    const struct config *config = router->config;
    const struct config_tenant *settings = config ? config_find(config, socket, uid, gid) : NULL;
    bool own = !settings || settings == &config->rest;
    *ret_error = -ENOMEM;
    if (settings && own && settings->refuse) {
        *ret_error = -EACCES;
        return NULL;
    }
    snprintf(name, sizeof name, "user-%u", (unsigned)uid);
    return router_tenant_named(router, own ? name : settings->name, uid);
}

struct router_tenant *router_tenant_behalf(struct router *router, const char *peer, int *ret_error)
{
    char name[HIRA_TENANT_MAX];
    const struct config *config = router->config;
    const struct config_tenant *settings = config ? config_find_peer(config, peer) : NULL;
    bool own = !settings || settings == &config->rest;
    *ret_error = -ENOMEM;
    if ((settings && own && settings->refuse) || strlen(peer) > CONFIG_PEER_MAX) {
        *ret_error = -EACCES;
        return NULL;
    }
    snprintf(name, sizeof name, "peer-%.*s", (int)CONFIG_PEER_MAX, peer);
    return router_tenant_named(router, own ? name : settings->name, uid_of(name));
}

bool router_tenant_may_use(const struct router_tenant *t, const char *api)
{
    const struct config_tenant *s = t->settings;
    bool may = !s || !s->n_apis;
    for (unsigned i = 0; s && i < s->n_apis; i++)
        may |= !strcmp(s->apis[i], api);
    return may;
}

uint64_t router_tenants_warm(const struct router *router)
{
    uint64_t latest[ROUTER_TENANTS_WARM] = {0}; /* the largest first */
    const struct hira_list *pos;
    for (pos = router->tenants.next; pos != &router->tenants; pos = pos->next) {
        uint64_t seen = hira_list_entry(pos, struct router_tenant, link)->seen;
        for (unsigned i = 0; i < ROUTER_TENANTS_WARM; i++)
            if (seen > latest[i]) {
                uint64_t next = latest[i];
                latest[i] = seen;
                seen = next;
            }
    }
    return HIRA_MAX(latest[ROUTER_TENANTS_WARM - 1], 1u); /* 0: nobody has come for it */
}

/* One that the configuration no longer names keeps what it had: its guests are served on, and nobody new becomes one.
 */
void router_tenants_configure(struct router *router)
{
    for (struct hira_list *pos = router->tenants.next; pos != &router->tenants; pos = pos->next) {
        struct router_tenant *t = hira_list_entry(pos, struct router_tenant, link);
        const struct config_tenant *s = router->config ? config_named(router->config, t->name) : NULL;
        if (!s && router->config && (!strncmp(t->name, "user-", 5) || !strncmp(t->name, "peer-", 5)))
            s = &router->config->rest;
        if (s && !t->settings)
            t->settings = calloc(1, sizeof *s);
        if (s && t->settings) {
            *t->settings = *s;
            t->settings->sockets = NULL;
            t->settings->peers = NULL;
            t->settings->n_sockets = t->settings->n_peers = 0;
            t->changed = false;
        }
        router_tenant_apply(t);
    }
}

/* ---- its memory ---- */

uint64_t router_tenant_memory(const struct router_tenant *t, uint64_t *ret_peak)
{
    uint64_t now = 0, peak = 0;
    for (const struct hira_list *pos = t->pages.next; pos != &t->pages; pos = pos->next) {
        const struct hira_shared *shared = hira_list_entry(pos, struct router_pages, link)->shared;
        now += HIRA_MIN(atomic_load(&shared->memory), UINT64_MAX / 4);
        peak += HIRA_MIN(atomic_load(&shared->memory_peak), UINT64_MAX / 4);
    }
    *ret_peak = peak;
    return now;
}

/* What a server took from a rate for commands that never began is not owed by its tenant's others. */
static void give_back(const struct hira_rate *rate, _Atomic uint64_t *bucket, const _Atomic uint64_t *owed)
{
    bucket_give_back(bucket, atomic_load(&rate->rate), atomic_load(owed));
}

/* Its process is gone, so nobody writes its account any more. */
void router_tenant_release(struct router_server *s)
{
    struct router_tenant *t = s->tenant;
    struct router_pages *pages = HIRA_STEAL(s->pages);
    router_use_end(s);
    if (!pages)
        return;
    uint64_t had = s->account ? atomic_load(&s->account->gate.memory) : 0, seen = atomic_load(&pages->shared->memory);
    while (!atomic_compare_exchange_weak(&pages->shared->memory, &seen, seen - HIRA_MIN(had, seen)))
        ;
    if (s->account) {
        give_back(&pages->limits->calls, &pages->shared->calls, &s->account->gate.owed_calls);
        give_back(&pages->limits->bytes, &pages->shared->bytes, &s->account->gate.owed_bytes);
    }
    if (--pages->n_servers == 0) { /* what a server was charged for and had no time to write down */
        atomic_store(&pages->shared->memory, 0);
        if (pages->link.prev != &t->pages)
            pages_destroy(pages);
    }
    if (t->pages.next->next != &t->pages) /* the quota is shared between sets of pages */
        router_tenant_apply(t);
}

void router_tenants_destroy(struct router *router)
{
    struct hira_list *pos, *next;
    hira_list_for_each (pos, next, &router->tenants)
        tenant_destroy(hira_list_entry(pos, struct router_tenant, link));
    router->n_tenants = router->n_tenants_needed = 0;
}
