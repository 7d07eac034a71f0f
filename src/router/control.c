/*
 * What operators ask of hirad: docs/protocol.md, section 6. One request, one answer, both JSON.
 *
 * Security. Anybody who may connect may ask. Root and hirad's own user see and change everything; others see their own
 * tenant and change nothing. A request has passed as one message of bounded size; what it says is checked here as any
 * stranger's.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <jansson.h>
#include <string.h>
#include <unistd.h>

#include "policy/bucket.h"
#include "router/router.h"

static bool may_change(uid_t uid)
{
    return uid == 0 || uid == geteuid();
}

static bool may_see(const struct router_tenant *t, uid_t uid)
{
    if (may_change(uid) || t->uid == uid)
        return true;
    for (unsigned i = 0; t->settings && i < t->settings->n_users; i++)
        if (t->settings->users[i] == uid)
            return true;
    return false;
}

HIRA_PRINTF(1, 2) static json_t *wrong(const char *format, ...)
{
    char text[600];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    for (char *line = text, *end; *line; line = end) { /* others' words in it are for terminals */
        end = line + strcspn(line, "\n");
        char last = *end;
        *end = 0;
        hira_text_tame(line);
        *end = last;
        end += last != 0;
    }
    return json_pack("{s:s}", "error", text);
}

static json_t *done(void)
{
    return json_pack("{s:b}", "done", 1);
}

/* ---- seeing ---- */

static json_t *list_of(const char *patterns)
{
    json_t *list = json_array();
    for (; *patterns; patterns += strlen(patterns) + 1)
        json_array_append_new(list, json_string(patterns));
    return list;
}

static json_t *apis_of(const struct config_tenant *s)
{
    json_t *list = json_array();
    for (unsigned i = 0; i < s->n_apis; i++)
        json_array_append_new(list, json_string(s->apis[i]));
    return list;
}

static json_t *settings_of(const struct router_tenant *t)
{
    static const struct config_tenant nothing = {.weight = 1};
    const struct config_tenant *s = t->settings ? t->settings : &nothing;
    return json_pack("{s:i,s:i,s:s,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:o,s:o,s:o}", "weight", (int)s->weight, "priority",
                     (int)s->priority, "class", s->latency ? "latency" : "batch", "calls", (json_int_t)s->calls,
                     "calls_burst", (json_int_t)s->calls_burst, "bytes", (json_int_t)s->bytes, "bytes_burst",
                     (json_int_t)s->bytes_burst, "device_ms", (json_int_t)(s->time / 1000000), "device_ms_burst",
                     (json_int_t)(s->time_burst / 1000000), "memory", (json_int_t)s->memory, "rules", list_of(s->rules),
                     "devices", list_of(s->devices), "apis", apis_of(s));
}

/* How long what asks now would wait for a rate, ns. */
static json_int_t wait_for(const struct hira_rate *rate, const _Atomic uint64_t *bucket, uint64_t now)
{
    return (
        json_int_t)(bucket_ready(bucket, atomic_load(&rate->rate), atomic_load(&rate->burst), now, HIRA_WAIT_MAX_NS) -
                    now);
}

static json_t *waits_of(const struct router_tenant *t)
{
    json_int_t calls = 0, bytes = 0, time = 0;
    uint64_t now = hira_now_ns();
    for (const struct hira_list *pos = t->pages.next; pos != &t->pages; pos = pos->next) {
        const struct router_pages *p = hira_list_entry(pos, struct router_pages, link);
        calls = HIRA_MAX(calls, wait_for(&p->limits->calls, &p->shared->calls, now));
        bytes = HIRA_MAX(bytes, wait_for(&p->limits->bytes, &p->shared->bytes, now));
        time = HIRA_MAX(time, wait_for(&p->limits->time, &p->shared->time, now));
    }
    return json_pack("{s:I,s:I,s:I}", "calls_owed_ns", calls, "bytes_owed_ns", bytes, "device_owed_ns", time);
}

static uint64_t waiting_commands(const struct router_tenant *t)
{
    uint64_t n = 0;
    for (const struct hira_list *a = t->router->apis.next; a != &t->router->apis; a = a->next) {
        const struct router_api *api = hira_list_entry(a, struct router_api, link);
        for (const struct hira_list *pos = api->servers.next; pos != &api->servers; pos = pos->next) {
            const struct router_server *s = hira_list_entry(pos, struct router_server, link);
            if (s->tenant == t && s->state == SERVER_SERVING && s->account)
                n += HIRA_MIN(atomic_load(&s->account->gate.queue), 1u << 20);
        }
    }
    return n;
}

static json_t *durations_of(const struct router_tenant *t)
{
    uint64_t sums[HIRA_ACCOUNT_BUCKETS] = {0};
    json_t *list = json_array();
    for (const struct hira_list *pos = t->uses.next; pos != &t->uses; pos = pos->next)
        router_use_durations(hira_list_entry(pos, struct router_use, link), sums);
    for (unsigned i = 0; i < HIRA_ACCOUNT_BUCKETS; i++)
        json_array_append_new(list, json_integer((json_int_t)sums[i]));
    return list;
}

static json_t *tenant_of(struct router_tenant *t)
{
    uint64_t peak, memory = router_tenant_memory(t, &peak);
    struct router_sums sums = router_tenant_sums(t);
    json_t *json = json_pack("{s:s,s:i,s:b,s:b,s:b,s:f,s:I,s:I}", "name", t->name, "guests", (int)t->n_serving,
                             "paused", t->paused, "changed", t->changed, "has_device", router_shares_held(t),
                             "entitled", router_shares_entitled(t), "charged_ns", (json_int_t)router_shares_charged(t),
                             "queue", (json_int_t)waiting_commands(t));
    json_object_update_new(
        json, json_pack("{s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I}", "calls", (json_int_t)sums.calls, "errors",
                        (json_int_t)sums.errors, "bytes", (json_int_t)sums.bytes, "device_ns", (json_int_t)sums.busy_ns,
                        "commands", (json_int_t)sums.commands, "deferred", (json_int_t)sums.deferred, "waits",
                        (json_int_t)sums.waits, "wait_ns", (json_int_t)sums.wait_ns, "denied", (json_int_t)sums.denied,
                        "memory", (json_int_t)memory, "memory_peak", (json_int_t)peak));
    json_object_update_new(json, waits_of(t));
    return json;
}

/* What a listing is to hold. */
struct listing {
    const char *only; /* this tenant, or NULL */
    bool active;      /* those with guests */
    bool measured;    /* how long calls took */
    json_int_t from;  /* that many are passed over */
};

static bool listed(const struct listing *l, const struct router_tenant *t, uid_t uid)
{
    return may_see(t, uid) && (!l->only || !strcmp(l->only, t->name)) && (!l->active || t->n_serving);
}

/* Those of the configuration that nobody has come as yet are shown too. As many as one message holds; *ret_next: where
 * to go on, 0: that was all. */
static json_t *tenants_from(struct router *router, uid_t uid, const struct listing *l, json_int_t *ret_next)
{
    json_t *list = json_array();
    json_int_t n = 0;
    for (unsigned i = 0; router->config && !l->active && may_change(uid) && i < router->config->n_tenants; i++)
        router_tenant_named(router, router->config->tenants[i].name, 0);
    *ret_next = 0;
    for (struct hira_list *pos = router->tenants.next; pos != &router->tenants; pos = pos->next) {
        struct router_tenant *t = hira_list_entry(pos, struct router_tenant, link);
        if (!listed(l, t, uid) || n++ < l->from)
            continue;
        if (json_array_size(list) == ROUTER_LISTED_TENANTS) {
            *ret_next = n - 1;
            break;
        }
        json_t *json = tenant_of(t);
        if (!l->active)
            json_object_set_new(json, "settings", settings_of(t));
        if (l->measured)
            json_object_set_new(json, "durations", durations_of(t));
        json_array_append_new(list, json);
    }
    return list;
}

static json_t *list_tenants(struct router *router, uid_t uid, const json_t *request)
{
    const struct listing l = {
        json_string_value(json_object_get(request, "tenant")), json_is_true(json_object_get(request, "active")),
        json_is_true(json_object_get(request, "measure")), json_integer_value(json_object_get(request, "from"))};
    json_int_t next;
    json_t *list = tenants_from(router, uid, &l, &next);
    const struct config *config = router->config;
    return json_pack("{s:I,s:I,s:s,s:I,s:I,s:o}", "next", next, "time_ns", (json_int_t)hira_now_ns(), "policy",
                     config && config->policy ? config->policy->name : "none", "quantum_ns",
                     (json_int_t)router->devices[0].policy.quantum, "turns", (json_int_t)router_turns_given(router),
                     "tenants", list);
}

/* ---- changing ---- */

static struct router_tenant *asked_for(struct router *router, const json_t *request, json_t **ret_wrong)
{
    const char *name = json_string_value(json_object_get(request, "tenant"));
    struct router_tenant *t = name ? router_tenant_known(router, name) : NULL;
    if (name && !t && router->config && config_named(router->config, name))
        t = router_tenant_named(router, name, 0);
    if (!t)
        *ret_wrong = wrong("there is no tenant '%.40s'", name ? name : "");
    return t;
}

/* All of them, or none. */
static json_t *set(struct router_tenant *t, const json_t *settings)
{
    char error[300];
    const char *name;
    json_t *value;
    HIRA_AUTOFREE struct config_tenant *changed = calloc(1, sizeof *changed);
    if (!changed || !json_is_object(settings))
        return wrong(changed ? "nothing is to be set" : "out of memory");
    *changed = t->settings ? *t->settings : (struct config_tenant){.weight = 1};
    json_object_foreach((json_t *)settings, name, value)
    {
        if (!json_is_string(value))
            return wrong("%.40s: not a text", name);
        if (config_set(changed, name, json_string_value(value), error, sizeof error) < 0)
            return wrong("%s", error);
    }
    uint64_t sum = changed->memory, most = t->router->config ? t->router->config->device_memory : 0;
    for (struct hira_list *pos = t->router->tenants.next; pos != &t->router->tenants; pos = pos->next) {
        const struct router_tenant *other = hira_list_entry(pos, struct router_tenant, link);
        if (other != t && other->settings && other->settings->memory <= UINT64_MAX - sum)
            sum += other->settings->memory;
    }
    if (most && changed->memory && sum > most)
        return wrong("memory: with it the tenants' together (%llu bytes) is more than device_memory (%llu)",
                     (unsigned long long)sum, (unsigned long long)most);
    if (!t->settings && !(t->settings = calloc(1, sizeof *t->settings)))
        return wrong("out of memory");
    *t->settings = *changed;
    t->changed = true;
    router_tenant_apply(t);
    return done();
}

static json_t *pause_tenant(struct router_tenant *t, bool pause, uid_t uid)
{
    if (t->paused != pause)
        hira_log(&t->router->log, HIRA_LOG_INFO, "router", 0, "tenant %s is %s, as user %u asks", t->name,
                 pause ? "paused" : "resumed", uid);
    t->paused = pause;
    router_tenant_apply(t);
    return done();
}

static json_t *kill_tenant(struct router_tenant *t, uid_t uid)
{
    struct hira_list *a, *a_next, *pos, *next;
    int n = 0;
    hira_list_for_each (a, a_next, &t->router->apis)
        hira_list_for_each (pos, next, &hira_list_entry(a, struct router_api, link)->servers) {
            struct router_server *s = hira_list_entry(pos, struct router_server, link);
            if (s->tenant != t || s->state != SERVER_SERVING)
                continue;
            router_server_kill(s);
            n++;
        }
    hira_log(&t->router->log, HIRA_LOG_INFO, "router", 0, "tenant %s: %d servers are ended, as user %u asks", t->name,
             n, uid);
    return json_pack("{s:b,s:i}", "done", 1, "killed", n);
}

static json_t *reload(struct router *router)
{
    char error[4500];
    return router_reload(router, error, sizeof error) < 0 ? wrong("%s", error) : done();
}

static void unmeasure(void *context)
{
    struct router *router = context;
    if (router_now_ms(router) < router->measure_until) {
        router_alarm_set(&router->loop, &router->unmeasure, router->measure_until - router_now_ms(router), unmeasure,
                         router);
        return;
    }
    router->measure_until = 0;
    router_tenants_apply(router);
}

void router_measure(struct router *router, uint64_t ms)
{
    bool already = router->measure_until;
    router->measure_until = HIRA_MAX(router->measure_until, router_now_ms(router) + ms);
    if (already)
        return;
    router_alarm_set(&router->loop, &router->unmeasure, ms, unmeasure, router);
    router_tenants_apply(router);
}

/* ---- functions ---- */

static void add_function(void *context, const char *name, struct router_function sum)
{
    json_array_append_new(
        context, json_pack("{s:s,s:I,s:I}", "name", name, "calls", (json_int_t)sum.calls, "ns", (json_int_t)sum.ns));
}

/* By function, as far as it was measured. Of one API: that of the request, or the first. */
static json_t *functions(struct router_tenant *t, const json_t *request)
{
    const char *name = json_string_value(json_object_get(request, "api"));
    const struct router_use *use = NULL;
    json_t *list = json_array();
    router_uses_sum(t->router, t);
    for (const struct hira_list *pos = t->uses.next; pos != &t->uses && !use; pos = pos->next) {
        const struct router_use *one = hira_list_entry(pos, struct router_use, link);
        use = !name || !strcmp(name, one->api->name) ? one : NULL;
    }
    if (use)
        router_use_functions(use, add_function, list);
    return json_pack("{s:s,s:o}", "api", use ? use->api->name : "", "functions", list);
}

/* Without a tenant: of the asker's own, who need not have come yet. */
static json_t *trace(struct router *router, const json_t *request, uid_t uid, int *ret_fd)
{
    const char *functions = json_string_value(json_object_get(request, "functions"));
    json_t *objection = NULL;
    int error = -ENOMEM;
    struct router_tenant *t = json_object_get(request, "tenant")
                                  ? asked_for(router, request, &objection)
                                  : router_tenant_of(router, NULL, uid, (gid_t)-1, &error);
    if (!t)
        return objection ? objection : wrong("you are no tenant: %s", strerror(-error));
    if (json_is_true(json_object_get(request, "again")))
        return router_trace_again(t) ? done() : wrong("calls of tenant %s are no longer traced", t->name);
    if (json_is_true(json_object_get(request, "end"))) {
        router_trace_end(t);
        return done();
    }
    if ((error = router_trace_begin(t, functions ? functions : "*", ret_fd)) == -EBUSY)
        return wrong("calls of tenant %s are being traced already", t->name);
    if (error)
        return wrong("calls of tenant %s cannot be traced: %s", t->name, strerror(-error));
    return json_pack("{s:b,s:s}", "done", 1, "tenant", t->name);
}

static json_t *answer(struct router *router, const json_t *request, uid_t uid, int *ret_fd)
{
    const char *verb = json_string_value(json_object_get(request, "verb"));
    json_t *objection = NULL;
    if (!verb)
        return wrong("a request names its verb");
    if (!strcmp(verb, "tenants") && json_is_true(json_object_get(request, "measure")) && may_change(uid))
        router_measure(router, ROUTER_MEASURE_MS);
    if (!strcmp(verb, "tenants"))
        return list_tenants(router, uid, request);
    if (!may_change(uid))
        return wrong("only root and hirad's own user may do this");
    if (!strcmp(verb, "reload"))
        return reload(router);
    if (!strcmp(verb, "measure")) {
        router_measure(router, ROUTER_MEASURE_MS);
        return done();
    }
    if (!strcmp(verb, "trace"))
        return trace(router, request, uid, ret_fd);
    struct router_tenant *t = asked_for(router, request, &objection);
    if (!t)
        return objection;
    if (!strcmp(verb, "set"))
        return set(t, json_object_get(request, "settings"));
    if (!strcmp(verb, "pause") || !strcmp(verb, "resume"))
        return pause_tenant(t, verb[0] == 'p', uid);
    if (!strcmp(verb, "kill"))
        return kill_tenant(t, uid);
    if (!strcmp(verb, "functions"))
        return functions(t, request);
    json_decref(objection);
    return wrong("there is no verb '%.40s'", verb);
}

char *router_control(struct router *router, const char *text, uid_t uid, int *ret_fd)
{
    json_error_t error;
    json_t *request = json_loads(text, 0, &error);
    json_t *json =
        json_is_object(request) ? answer(router, request, uid, ret_fd) : wrong("no JSON object: %s", error.text);
    char *out = json ? json_dumps(json, JSON_COMPACT) : NULL;
    json_decref(json);
    json_decref(request);
    return out;
}

int router_reload(struct router *router, char *error, size_t error_size)
{
    struct config *config;
    if (!router->options.config) {
        snprintf(error, error_size, "hirad was started without a configuration\n");
        return -ENOENT;
    }
    int failed = config_read(router->options.config, &config, error, error_size);
    if (failed) {
        hira_log(&router->log, HIRA_LOG_ERROR, "router", 0, "the configuration is not changed: %s", error);
        return failed;
    }
    config_free(router->config);
    router->config = config;
    router_turns_configure(router);
    router_tenants_configure(router);
    router_doors_open(router);
    char sentence[300];
    router_metrics_stop(router);
    if (router_metrics_start(router, sentence, sizeof sentence) < 0)
        hira_log(&router->log, HIRA_LOG_ERROR, "router", 0, "%s", sentence);
    hira_log(&router->log, HIRA_LOG_INFO, "router", 0, "%s: read again, %u tenants", router->options.config,
             config->n_tenants);
    router_rules_check(router);
    return 0;
}
