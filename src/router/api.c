/*
 * One API as hirad sees it: its zygote, how many servers are to be ready, who waits for one.
 *
 * Everything is one rule, router_api_balance, called whenever something changed: hand waiting guests to ready servers,
 * then ask for as many forks as are missing. Failures only push `retry_at` into the future; while that lasts and
 * nothing ever worked, guests are refused at once with the reason that is known. Once some server has worked, a tenant's
 * that does not start is that tenant's trouble alone: what its guests leave in its cache, or all its processes taken, may be why.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "router/router.h"

/* ---- failing ---- */

/* Those of a tenant; NULL: all. */
static void refuse_waiting(struct router_api *api, const struct router_tenant *tenant)
{
    struct hira_list *pos, *next;
    hira_list_for_each (pos, next, &api->waiting) {
        struct router_guest *guest = hira_list_entry(pos, struct router_guest, link);
        if (!tenant || guest->tenant == tenant)
            router_guest_refuse(guest, ENODEV, "no server for %s could start: %s", api->name, api->reason);
    }
}

/* When it is to be tried again after so many failures in a row. */
static uint64_t retry_time(const struct router_api *api, unsigned failures)
{
    uint64_t pause =
        failures > 16 ? ROUTER_BACK_OFF_MAX_MS : (uint64_t)ROUTER_BACK_OFF_MS << (failures ? failures - 1 : 0);
    return router_now_ms(api->router) + HIRA_MIN(pause, (uint64_t)ROUTER_BACK_OFF_MAX_MS);
}

/* A private router tries every API that is installed; that one cannot be had is no error before the program asks for it,
 * and then it is told as its refusal. */
static void log_failure(const struct router_api *api, const char *who, const char *what)
{
    enum hira_log_level level = api->router->private ? HIRA_LOG_WARNING : HIRA_LOG_ERROR;
    hira_log(&api->router->log, level, who, 0, "%s%s: %s", what, api->name, api->reason);
}

static void back_off(struct router_api *api, unsigned failures)
{
    api->retry_at = HIRA_MAX(api->retry_at, retry_time(api, failures));
}

/* Servers of a tenant that died in a row while they started. */
struct trouble {
    struct hira_list link;
    const struct router_tenant *tenant;
    unsigned failures;
    uint64_t retry_at;
    char reason[252];
};

static struct trouble *trouble_of(const struct router_api *api, const struct router_tenant *tenant)
{
    struct hira_list *pos;
    for (pos = api->troubles.next; pos != &api->troubles; pos = pos->next)
        if (hira_list_entry(pos, struct trouble, link)->tenant == tenant)
            return hira_list_entry(pos, struct trouble, link);
    return NULL;
}

static void forget_trouble(struct trouble *t)
{
    if (t)
        hira_list_remove(&t->link);
    free(t);
}

void router_api_start_worked(struct router_api *api, const struct router_tenant *tenant)
{
    api->worked = true;
    api->start_failures = 0;
    api->reason[0] = 0;
    forget_trouble(trouble_of(api, tenant));
}

/* Ready, or on their way. */
static bool has_servers(const struct router_api *api, const struct router_tenant *tenant)
{
    const struct hira_list *pos;
    for (unsigned i = 0; i < api->forking; i++)
        if (api->asked[i] == tenant)
            return true;
    for (pos = api->servers.next; pos != &api->servers; pos = pos->next) {
        const struct router_server *s = hira_list_entry(pos, struct router_server, link);
        if (s->tenant == tenant && (s->state == SERVER_STARTING || s->state == SERVER_READY))
            return true;
    }
    return false;
}

bool router_api_hopeless(const struct router_api *api)
{
    return api->reason[0] && router_now_ms(api->router) < api->retry_at &&
           !(api->forking || api->starting || api->ready) &&
           (!api->worked || api->start_failures >= ROUTER_START_ATTEMPTS);
}

const char *router_api_hopeless_for(const struct router_api *api, const struct router_tenant *tenant)
{
    const struct trouble *t = trouble_of(api, tenant);
    bool hopeless = t && t->failures >= ROUTER_START_ATTEMPTS && router_now_ms(api->router) < t->retry_at && !has_servers(api, tenant);
    return hopeless ? t->reason : router_api_hopeless(api) ? api->reason : NULL;
}

bool router_api_needs(struct router_api *api, const struct router_tenant *tenant)
{
    const struct hira_list *pos;
    struct trouble *t = trouble_of(api, tenant);
    if (t && router_now_ms(api->router) > t->retry_at + ROUTER_BACK_OFF_MAX_MS) {
        forget_trouble(t);
        t = NULL;
    }
    bool needs = t;
    for (unsigned i = 0; i < api->forking; i++)
        needs |= api->asked[i] == tenant;
    for (pos = api->servers.next; pos != &api->servers && !needs; pos = pos->next)
        needs = hira_list_entry(pos, struct router_server, link)->tenant == tenant;
    for (pos = api->waiting.next; pos != &api->waiting && !needs; pos = pos->next)
        needs = hira_list_entry(pos, struct router_guest, link)->tenant == tenant;
    return needs;
}

/* NULL: it is everybody's trouble. */
static struct trouble *own_trouble(struct router_api *api, const struct router_tenant *tenant)
{
    struct trouble *t = tenant && api->worked ? trouble_of(api, tenant) : NULL;
    if (!t && tenant && api->worked && (t = calloc(1, sizeof *t))) {
        t->tenant = tenant;
        hira_list_append(&api->troubles, &t->link);
    }
    return t;
}

void router_api_start_failed(struct router_api *api, const struct router_tenant *tenant, const char *text, bool final)
{
    struct trouble *own = own_trouble(api, tenant);
    unsigned failures = own ? ++own->failures : ++api->start_failures;
    snprintf(api->reason, sizeof api->reason, "%s", text);
    log_failure(api, "router", "no server for ");
    if (own) {
        memcpy(own->reason, api->reason, sizeof own->reason);
        own->retry_at = retry_time(api, failures);
    } else {
        back_off(api, failures);
    }
    /* One of these may serve who waits. */
    bool others = own ? has_servers(api, tenant) : api->forking || api->starting || api->ready;
    if (!others && (final || failures >= ROUTER_START_ATTEMPTS))
        refuse_waiting(api, own ? tenant : NULL);
    router_api_balance(api);
}

/* ---- the zygote's messages ---- */

/* For whom the oldest FORK under way was; NULL: none was. */
static struct router_tenant *answered(struct router_api *api)
{
    struct router_tenant *tenant = api->asked[0];
    if (!api->forking)
        return NULL;
    memmove(api->asked, api->asked + 1, --api->forking * sizeof *api->asked);
    return tenant;
}

static void on_forked(struct router_api *api, const struct hira_forked *forked, int *fds, size_t n_fds)
{
    struct router_tenant *tenant = answered(api);
    if (tenant) {
        router_server_create(api, tenant, (pid_t)forked->pid, fds[0], fds[1], fds[2], n_fds > 3 ? fds[3] : -1);
        return;
    }
    for (size_t i = 0; i < n_fds; i++) /* not asked for: it sees a hang-up and ends */
        close(fds[i]);
}

/* What holds its servers in. Said once, and again when it has changed. */
static void on_sandbox(struct router_api *api, struct hira_sandbox_message *m)
{
    const struct hira_log *log = &api->router->log;
    m->held[sizeof m->held - 1] = m->missing[sizeof m->missing - 1] = 0;
    bool changed = !api->told || strcmp(api->missing, m->missing) != 0;
    snprintf(api->held, sizeof api->held, "%s", m->held);
    snprintf(api->missing, sizeof api->missing, "%s", m->missing);
    if (changed && !m->held[0])
        hira_log(log, HIRA_LOG_WARNING, "router", 0, "servers of %s are not confined: %s", api->name, m->missing);
    else if (changed && m->missing[0])
        hira_log(log, HIRA_LOG_WARNING, "router", 0, "servers of %s are confined without: %s", api->name, m->missing);
    api->told = true;
}

/* Those of a server program that was replaced since are not the same: what was counted by its numbers is told no more. */
static void on_functions(struct router_api *api, const struct hira_functions_message *m, int fd)
{
    struct router_names names;
    int error = router_names_read(m, fd, &names);
    if (error) {
        hira_log(&api->router->log, HIRA_LOG_WARNING, "router", 0, "the functions of %s are not known by name: %s", api->name, strerror(-error));
        return;
    }
    free(api->functions.text);
    api->functions = names;
    router_rules_check(api->router);
}

/* One message; 0 when there is none, negative when the zygote hung up. */
static int zygote_message(struct router_api *api)
{
    union {
        struct hira_forked forked;
        struct hira_refused refused;
        struct hira_sandbox_message sandbox;
        struct hira_functions_message functions;
    } m;
    int fds[4];
    size_t n_fds = HIRA_ARRAY_SIZE(fds);
    ssize_t n = hira_fd_receive(router_watch_fd(api->zygote), &m, sizeof m, fds, &n_fds, MSG_DONTWAIT);
    if (n <= 0)
        return n == -EAGAIN ? 0 : -EPIPE;
    if (n_fds >= 3 && hira_message_check(&m, (size_t)n, HIRA_MSG_FORKED, sizeof m.forked) == 0) {
        on_forked(api, &m.forked, fds, n_fds);
        return 1;
    }
    if (n_fds == 1 && hira_message_check(&m, (size_t)n, HIRA_MSG_FUNCTIONS, sizeof m.functions) == 0)
        on_functions(api, &m.functions, fds[0]);
    while (n_fds)
        close(fds[--n_fds]);
    if (hira_message_check(&m, (size_t)n, HIRA_MSG_EXITED, sizeof m.forked) == 0) {
        router_server_exited(api, NULL, (pid_t)m.forked.pid, m.forked.status);
    } else if (hira_message_check(&m, (size_t)n, HIRA_MSG_SANDBOX, sizeof m.sandbox) == 0) {
        on_sandbox(api, &m.sandbox);
    } else if (hira_message_check(&m, (size_t)n, HIRA_MSG_REFUSED, sizeof m.refused) == 0) {
        m.refused.text[sizeof m.refused.text - 1] = 0;
        struct router_tenant *tenant = answered(api);
        api->explained = true;
        router_api_start_failed(api, tenant, m.refused.text, true);
    }
    return 1;
}

static void on_zygote(void *context)
{
    struct router_api *api = context;
    int more = 0;
    for (int i = 0; i < 16 && api->zygote && (more = zygote_message(api)) > 0; i++)
        ;
    if (more < 0 && api->zygote) {
        router_watch_stop(&api->zygote);
        if (api->process)
            uv_process_kill(api->process, SIGKILL); /* without its socket it is of no use: the rest follows its exit */
    }
}

/* ---- the zygote's life ---- */

static void describe_end(struct router_api *api, int64_t status, int signal)
{
    const char *last = api->lines.last;
    if (signal)
        snprintf(api->reason, sizeof api->reason, "the zygote was ended by signal %d (%s)", signal, strsignal(signal));
    else
        snprintf(api->reason, sizeof api->reason, "the zygote ended with status %d%s%.180s", (int)status,
                 *last ? ": " : "", last);
}

static void on_exit_of_zygote(uv_process_t *process, int64_t status, int signal)
{
    struct router_api *api = process->data;
    router_process_close(process);
    while (api->zygote && zygote_message(api) > 0)
        ;
    api->process = NULL;
    router_watch_stop(&api->zygote);
    router_lines_stop(&api->lines);
    api->forking = 0;
    if (!api->released) {
        if (router_now_ms(api->router) - api->started >= ROUTER_SETTLED_MS)
            api->failures = 0;
        back_off(api, ++api->failures);
        if (!api->explained)
            describe_end(api, status, signal);
        log_failure(api, "zygote", "");
    }
    router_servers_orphaned(api, NULL);
    if (!api->worked && !api->starting)
        refuse_waiting(api, NULL);
    router_api_balance(api);
    api->router->quieter(api->router);
}

/* Its servers outlive hirad. */
static int zygote_start(struct router_api *api)
{
    struct router *router = api->router;
    char *args[8 + ROUTER_SANDBOX_MAX] = {api->path, "--zygote", "3", "--work-dir", router->options.work_dir};
    size_t n = 5;
    int line, log;
    if (!router->private) { /* nobody follows a private router at its place */
        args[n++] = "--router";
        args[n++] = router->options.socket;
    }
    memcpy(args + n, router->options.sandbox, sizeof router->options.sandbox);
    int error = router_process_start(&router->loop, api->path, args, SOCK_SEQPACKET, on_exit_of_zygote, api, &api->process, &line, &log);
    if (error)
        return error;
    api->restarts += api->started ? 1 : 0;
    api->started = router_now_ms(router) + 1;
    api->explained = api->released = false;
    router_lines_start(&api->lines, router, "zygote", (uint32_t)api->process->pid, log);
    api->zygote = router_watch_start(&router->loop, line, on_zygote, api);
    hira_log(&router->log, HIRA_LOG_DEBUG, "zygote", 0, "%s: process %d", api->path, api->process->pid);
    return api->zygote ? 0 : -ENOMEM;
}

/* ---- balance ---- */

static struct router_server *ready_server(struct router_api *api, const struct router_tenant *tenant)
{
    struct hira_list *pos, *next;
    hira_list_for_each (pos, next, &api->servers) {
        struct router_server *server = hira_list_entry(pos, struct router_server, link);
        if (server->state == SERVER_READY && server->tenant == tenant)
            return server;
    }
    return NULL;
}

static void hand_over(struct router_api *api)
{
    struct hira_list *pos, *next;
    bool more = true;
    while (more) {
        more = false;
        hira_list_for_each (pos, next, &api->waiting) {
            struct router_guest *guest = hira_list_entry(pos, struct router_guest, link);
            struct router_server *server = api->ready ? ready_server(api, guest->tenant) : NULL;
            if (!server)
                continue;
            if (router_server_adopt(server, guest) == 0)
                router_guest_destroy(guest);
            more = true; /* the list may have changed: adopting calls balance when it fails */
            break;
        }
    }
}

/* What each tenant has of this API. */
static void count(struct router_api *api)
{
    struct hira_list *pos, *next;
    hira_list_for_each (pos, next, &api->router->tenants) {
        struct router_tenant *tenant = hira_list_entry(pos, struct router_tenant, link);
        tenant->have = tenant->starting = tenant->waiting = 0;
    }
    for (unsigned i = 0; i < api->forking; i++) {
        api->asked[i]->have++;
        api->asked[i]->starting++;
    }
    hira_list_for_each (pos, next, &api->servers) {
        struct router_server *server = hira_list_entry(pos, struct router_server, link);
        server->tenant->have += server->state == SERVER_STARTING || server->state == SERVER_READY;
        server->tenant->starting += server->state == SERVER_STARTING;
    }
    hira_list_for_each (pos, next, &api->waiting)
        hira_list_entry(pos, struct router_guest, link)->tenant->waiting++;
}

/* Whether a tenant's next server is due before another's: first those whose guests wait, and of them whose servers do
 * not take all of what starting takes already; else the one that came last. */
static bool is_before(const struct router_tenant *a, const struct router_tenant *b)
{
    bool a_waits = a->have < a->waiting, b_waits = b->have < b->waiting;
    if (a_waits != b_waits)
        return a_waits;
    return a_waits && a->starting != b->starting ? a->starting < b->starting : a->seen > b->seen;
}

static void again(void *context)
{
    router_api_balance(context);
}

/* How many servers of a tenant may be starting at once. A start may last until its time is over: one tenant's never keep all others
 * waiting, and least those of one whose servers did not start of late. */
static unsigned most_starting(const struct router *router, const struct trouble *t)
{
    bool alone = router->tenants.next->next == &router->tenants;
    return t ? 1 : alone ? ROUTER_STARTING_MAX : ROUTER_STARTING_MAX - 1;
}

/* How many servers of a tenant are to be starting or ready; counted before. A private router's first guest is mostly its
 * only one, so that none is kept ready then. */
static unsigned wanted(const struct router_api *api, const struct router_tenant *tenant, uint64_t warm_since)
{
    const struct router *router = api->router;
    bool keep_ready = !api->refill && !(router->private && api->adopted == 1);
    if (!router_tenant_may_use(tenant, api->name))
        return 0;
    return tenant->waiting + (keep_ready && tenant->seen >= warm_since ? router->options.warm : 0);
}

/* Who lacks a server, of those who may have one started now; counted before. */
static struct router_tenant *lacking(struct router_api *api, uint64_t warm_since)
{
    struct router *router = api->router;
    struct router_tenant *first = NULL;
    struct hira_list *pos, *next;
    uint64_t now = router_now_ms(router), soonest = UINT64_MAX;
    hira_list_for_each (pos, next, &router->tenants) {
        struct router_tenant *tenant = hira_list_entry(pos, struct router_tenant, link);
        const struct trouble *t = trouble_of(api, tenant);
        if (tenant->have >= wanted(api, tenant, warm_since) || tenant->starting >= most_starting(router, t) ||
            (first && is_before(first, tenant)))
            continue;
        uint64_t wait = router_bucket_wait(&tenant->starts, now, router->options.start_rate);
        if (t && now < t->retry_at)
            wait = HIRA_MAX(wait, t->retry_at - now);
        if (!wait)
            first = tenant;
        else
            soonest = HIRA_MIN(soonest, wait);
    }
    if (soonest != UINT64_MAX)
        router_alarm_set(&router->loop, &api->throttled, soonest, again, api);
    return first;
}

/* A ready server that nobody is to come for, once guests have not come for a moment: of a tenant that has not been seen
 * for long, or started for guests that left while they waited. */
static struct router_server *surplus(const struct router_api *api, uint64_t warm_since)
{
    if (api->refill)
        return NULL;
    for (const struct hira_list *pos = api->servers.next; pos != &api->servers; pos = pos->next) {
        struct router_server *server = hira_list_entry(pos, struct router_server, link);
        if (server->state == SERVER_READY && server->tenant->have > wanted(api, server->tenant, warm_since))
            return server;
    }
    return NULL;
}

static bool ask_for_fork(struct router_api *api, struct router_tenant *tenant)
{
    struct hira_fork fork = {.head = hira_message_head(HIRA_MSG_FORK, sizeof fork), .uid = tenant->uid};
    memcpy(fork.tenant, tenant->name, sizeof fork.tenant);
    const struct router_pages *pages = hira_list_entry(tenant->pages.next, struct router_pages, link);
    const int fds[] = {pages->limits_fd, pages->shared_fd};
    if (!api->zygote || hira_fd_send(router_watch_fd(api->zygote), &fork, sizeof fork, fds, 2) < 0)
        return false;
    api->asked[api->forking++] = tenant;
    tenant->have++;
    tenant->starting++;
    router_bucket_take(&tenant->starts, router_now_ms(api->router), api->router->options.start_rate);
    return true;
}

void router_api_balance(struct router_api *api)
{
    struct router *router = api->router;
    uint64_t now = router_now_ms(router), adopted = api->adopted;
    hand_over(api);
    if (api->adopted != adopted)
        router_alarm_set(&router->loop, &api->refill, ROUTER_REFILL_DELAY_MS, again, api);
    count(api);
    uint64_t warm_since = router_tenants_warm(router);
    struct router_server *server = router->ending ? NULL : surplus(api, warm_since);
    if (server) {
        router_server_dismiss(server); /* which balances again */
        return;
    }
    struct router_tenant *tenant = router->ending ? NULL : lacking(api, warm_since);
    if (!tenant || api->forking + api->starting >= ROUTER_STARTING_MAX)
        return;
    if (now < api->retry_at) {
        if (!api->retry && (api->worked || !hira_list_empty(&api->waiting)))
            router_alarm_set(&router->loop, &api->retry, api->retry_at - now, again, api);
        return;
    }
    int error = api->process ? 0 : zygote_start(api);
    if (error) {
        char text[200];
        snprintf(text, sizeof text, "hira-server-%s cannot be started: %s", api->name, strerror(-error));
        router_api_start_failed(api, NULL, text, true);
        return;
    }
    while (tenant && api->forking + api->starting < ROUTER_STARTING_MAX && ask_for_fork(api, tenant))
        tenant = lacking(api, warm_since);
}

/* ---- which there are ---- */

struct router_api *router_api_find(struct router *router, const char *name)
{
    struct hira_list *pos, *next;
    char path[HIRA_PATH_MAX];
    hira_list_for_each (pos, next, &router->apis) {
        struct router_api *api = hira_list_entry(pos, struct router_api, link);
        if (!strcmp(api->name, name))
            return api;
    }
    if (router->options.api && strcmp(router->options.api, name) != 0)
        return NULL;
    if (hira_path_server(router->options.server_dir, name, path, sizeof path) < 0)
        return NULL;
    struct router_api *api = calloc(1, sizeof *api);
    if (!api)
        return NULL;
    api->router = router;
    snprintf(api->name, sizeof api->name, "%s", name);
    snprintf(api->path, sizeof api->path, "%s", path);
    hira_list_init(&api->servers);
    hira_list_init(&api->waiting);
    hira_list_init(&api->troubles);
    hira_list_init(&api->formers);
    hira_list_append(&router->apis, &api->link);
    return api;
}

static void start_found(void *context, const char *name)
{
    struct router_api *api = router_api_find(context, name);
    if (api)
        router_api_balance(api);
}

void router_apis_start(struct router *router)
{
    hira_path_each_api(router->options.server_dir, start_found, router);
}

void router_api_release(struct router_api *api)
{
    struct hira_list *pos, *next;
    api->released = true;
    snprintf(api->reason, sizeof api->reason, "hirad is ending");
    refuse_waiting(api, NULL);
    router_alarm_stop(&api->retry);
    router_alarm_stop(&api->refill);
    router_alarm_stop(&api->throttled);
    router_watch_stop(&api->zygote); /* it stays until its children are gone, then ends */
    hira_list_for_each (pos, next, &api->servers) {
        struct router_server *server = hira_list_entry(pos, struct router_server, link);
        if (server->state == SERVER_STARTING || server->state == SERVER_READY)
            router_server_destroy(server);
    }
}

void router_api_destroy(struct router_api *api)
{
    struct hira_list *pos, *next;
    router_api_release(api);
    hira_list_for_each (pos, next, &api->servers)
        router_server_destroy(hira_list_entry(pos, struct router_server, link));
    hira_list_for_each (pos, next, &api->formers)
        router_former_destroy(hira_list_entry(pos, struct router_former, link));
    hira_list_for_each (pos, next, &api->troubles)
        forget_trouble(hira_list_entry(pos, struct trouble, link));
    if (api->process)
        router_process_close(api->process);
    router_lines_stop(&api->lines);
    hira_list_remove(&api->link);
    free(api->functions.text);
    free(api);
}
