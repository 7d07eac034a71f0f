/*
 * What tenants have used of each API: of the servers that live by their accounts, of those that have ended what was
 * theirs at the end. So sums never shrink, and a tenant that uses several APIs has each apart: functions are known by a
 * number that means something in one API only.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "router/router.h"

static struct router_use *use_of(struct router_tenant *t, const struct router_api *api)
{
    for (struct hira_list *pos = t->uses.next; pos != &t->uses; pos = pos->next)
        if (hira_list_entry(pos, struct router_use, link)->api == api)
            return hira_list_entry(pos, struct router_use, link);
    struct router_use *use = calloc(1, sizeof *use);
    if (!use)
        return NULL;
    use->tenant = t;
    use->api = api;
    hira_list_append(&t->uses, &use->link);
    return use;
}

void router_uses_free(struct router_tenant *t)
{
    struct hira_list *pos, *next;
    hira_list_for_each (pos, next, &t->uses) {
        struct router_use *use = hira_list_entry(pos, struct router_use, link);
        hira_list_remove(&use->link);
        free(use->functions);
        free(use);
    }
}

static void add_sums(struct router_sums *to, const struct router_sums *from)
{
    uint64_t *a[] = {&to->calls,    &to->errors, &to->bytes,   &to->busy_ns, &to->commands,
                     &to->deferred, &to->waits,  &to->wait_ns, &to->denied};
    const uint64_t b[] = {from->calls,    from->errors, from->bytes,   from->busy_ns, from->commands,
                          from->deferred, from->waits,  from->wait_ns, from->denied};
    for (size_t i = 0; i < HIRA_ARRAY_SIZE(a); i++)
        *a[i] = *a[i] > UINT64_MAX - b[i] ? UINT64_MAX : *a[i] + b[i];
}

/* Of servers that live, or whose process is not gone yet: those are not in the past either. */
static void add_living(struct router_api *api, const struct router_tenant *only)
{
    struct hira_list *pos, *next;
    hira_list_for_each (pos, next, &api->servers) {
        struct router_server *s = hira_list_entry(pos, struct router_server, link);
        struct router_use *use = s->since && (!only || s->tenant == only) ? use_of(s->tenant, api) : NULL;
        if (!use)
            continue;
        struct router_sums one = router_account_read(s);
        add_sums(&use->now, &one);
    }
}

void router_uses_sum(struct router *router, const struct router_tenant *only)
{
    struct hira_list *a, *u;
    for (struct hira_list *pos = router->tenants.next; pos != &router->tenants; pos = pos->next) {
        struct router_tenant *t = hira_list_entry(pos, struct router_tenant, link);
        for (u = t->uses.next; (!only || t == only) && u != &t->uses; u = u->next)
            hira_list_entry(u, struct router_use, link)->now = hira_list_entry(u, struct router_use, link)->past;
    }
    for (a = router->apis.next; a != &router->apis; a = a->next)
        add_living(hira_list_entry(a, struct router_api, link), only);
}

struct router_sums router_tenant_sums(struct router_tenant *t)
{
    struct router_sums sums = {0};
    router_uses_sum(t->router, t);
    for (struct hira_list *pos = t->uses.next; pos != &t->uses; pos = pos->next)
        add_sums(&sums, &hira_list_entry(pos, struct router_use, link)->now);
    return sums;
}

void router_use_durations(const struct router_use *use, uint64_t sums[HIRA_ACCOUNT_BUCKETS])
{
    for (unsigned i = 0; i < HIRA_ACCOUNT_BUCKETS; i++)
        sums[i] += use->durations[i];
    for (const struct hira_list *pos = use->api->servers.next; pos != &use->api->servers; pos = pos->next) {
        const struct router_server *s = hira_list_entry(pos, struct router_server, link);
        for (unsigned i = 0; s->tenant == use->tenant && s->since && s->account && i < HIRA_ACCOUNT_BUCKETS; i++)
            sums[i] += HIRA_MIN(atomic_load(&s->account->gate.durations[i]), s->sums.calls);
    }
}

/* ---- functions ---- */

static bool names_match(const struct router_names *names, const char *pattern)
{
    const char *name = names->text;
    for (uint32_t i = 0; i < names->n; i++, name += strlen(name) + 1)
        if (fnmatch(pattern, name, 0) == 0)
            return true;
    return false;
}

static bool matches_something(const struct router *router, const char *pattern)
{
    for (const struct hira_list *a = router->apis.next; a != &router->apis; a = a->next)
        if (names_match(&hira_list_entry(a, struct router_api, link)->functions, pattern))
            return true;
    return false;
}

static void check_rules(const struct router *router, const struct config_tenant *t)
{
    for (const char *rule = t->rules; *rule; rule += strlen(rule) + 1)
        if (!matches_something(router, rule + 1))
            hira_log(&router->log, HIRA_LOG_WARNING, "router", 0,
                     "tenant %s: %s = '%s' names no function of any API here", t->name, *rule == '-' ? "deny" : "allow",
                     rule + 1);
}

void router_rules_check(const struct router *router)
{
    for (const struct hira_list *a = router->apis.next; a != &router->apis; a = a->next)
        if (!hira_list_entry(a, struct router_api, link)->functions.n)
            return; /* it may be one of that API's */
    for (unsigned i = 0; router->config && i < router->config->n_tenants; i++)
        check_rules(router, &router->config->tenants[i]);
    if (router->config)
        check_rules(router, &router->config->rest);
}

int router_names_read(const struct hira_functions_message *m, int fd, struct router_names *ret)
{
    uint32_t n = 0;
    uint64_t table = 14695981039346656037ull; /* FNV-1a */
    if (!m->n || m->n >= HIRA_ACCOUNT_FUNCTIONS || !m->size || m->size > m->n * (HIRA_FUNCTION_NAME_MAX + 1))
        return -EBADMSG;
    int error = hira_fd_check_sealed(fd, m->size);
    HIRA_AUTOFREE char *text = error ? NULL : malloc(m->size);
    if (!text)
        return error ? error : -ENOMEM;
    if (pread(fd, text, m->size, 0) != (ssize_t)m->size || text[m->size - 1])
        return -EBADMSG;
    for (const char *p = text; p < text + m->size; p += strlen(p) + 1, n++)
        if (!hira_function_name_valid(p, strlen(p)))
            return -EILSEQ;
    if (n != m->n)
        return -EBADMSG;
    for (uint32_t i = 0; i < m->size; i++)
        table = (table ^ (uint8_t)text[i]) * 1099511628211ull;
    *ret = (struct router_names){HIRA_STEAL(text), n, table | 1};
    return 0;
}

/* What is believed of one, as far as the server's calls are. */
static void add_function(struct router_function *sum, const struct router_server *s, unsigned i)
{
    sum->calls += HIRA_MIN(atomic_load(&s->account->gate.functions[i].calls), s->sums.calls);
    sum->ns += HIRA_MIN(atomic_load(&s->account->gate.functions[i].ns), UINT64_MAX / 65536);
}

static struct router_function function_sum(const struct router_use *use, unsigned i)
{
    uint64_t table = use->api->functions.table;
    struct router_function sum = {0, 0};
    if (use->functions && use->table == table)
        sum = use->functions[i];
    for (const struct hira_list *pos = use->api->servers.next; pos != &use->api->servers; pos = pos->next) {
        const struct router_server *s = hira_list_entry(pos, struct router_server, link);
        if (s->tenant == use->tenant && s->since && s->table == table && s->account)
            add_function(&sum, s, i);
    }
    return sum;
}

void router_use_functions(const struct router_use *use,
                          void (*each)(void *context, const char *name, struct router_function sum), void *context)
{
    const struct router_names *names = &use->api->functions;
    const char *name = names->text;
    for (unsigned i = 0; i < names->n; i++, name += strlen(name) + 1) {
        struct router_function sum = function_sum(use, i);
        if (sum.calls)
            each(context, name, sum);
    }
}

/* ---- the end of a server ---- */

void router_use_end(struct router_server *s)
{
    struct router_use *use = s->since ? use_of(s->tenant, s->api) : NULL;
    if (!use)
        return;
    struct router_sums sums = router_account_read(s);
    add_sums(&use->past, &sums);
    for (unsigned i = 0; s->account && i < HIRA_ACCOUNT_BUCKETS; i++)
        use->durations[i] += HIRA_MIN(atomic_load(&s->account->gate.durations[i]), sums.calls);
    if (!s->table || s->table != s->api->functions.table || !s->account)
        return;
    if (use->table != s->table) /* none yet, or another program's */
        free(HIRA_STEAL(use->functions));
    use->table = s->table;
    if (!use->functions && !(use->functions = calloc(HIRA_ACCOUNT_FUNCTIONS, sizeof *use->functions)))
        return;
    for (unsigned i = 0; i < HIRA_ACCOUNT_FUNCTIONS; i++)
        add_function(&use->functions[i], s, i);
}
