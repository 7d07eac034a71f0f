/*
 * Metrics for Prometheus, over HTTP on a unix socket or a port of this machine (libmicrohttpd). `metrics` in hirad.conf
 * says where.
 *
 * A scrape reads each tenant's accounts once and costs what that costs; between scrapes nothing is done. Names and
 * units follow the conventions: seconds and bytes, totals of what only grows. Sums are the accounts' (account.c): they
 * do not shrink when a server ends or hirad is replaced by one that finds its servers again.
 *
 * Security. Whoever may connect may read: the socket is hirad's user's and its group's alone, a port is every user's of
 * the machine. The request is libmicrohttpd's to parse, with small limits; nothing of it is looked at but its path and
 * one pattern of names. Tenants' names are the configuration's, functions' the server program's: nothing that a guest
 * says of itself is in the text.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fnmatch.h>
#include <microhttpd.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fd.h"
#include "router/config_values.h"
#include "router/router.h"

struct router_metrics {
    struct router *router;
    struct MHD_Daemon *daemon;
    uv_poll_t poll;
    uv_timer_t timer;
    char path[CONFIG_SOCKET_MAX];
};

/* ---- the text ---- */

/* Of what a tenant uses of an API. */
static const struct use_family {
    const char *name, *help;
    size_t sum; /* where it stands in struct router_sums */
    double unit;
} use_families[] = {
    {"hira_tenant_calls_total", "Calls that were served.", offsetof(struct router_sums, calls), 1},
    {"hira_tenant_errors_total", "Calls that failed.", offsetof(struct router_sums, errors), 1},
    {"hira_tenant_denied_total", "Calls of functions that the tenant may not use.",
     offsetof(struct router_sums, denied), 1},
    {"hira_tenant_bytes_total", "Bytes of records and of memory that calls named.", offsetof(struct router_sums, bytes),
     1},
    {"hira_tenant_device_seconds_total", "Time in which the device worked for the tenant.",
     offsetof(struct router_sums, busy_ns), 1e9},
    {"hira_tenant_commands_total", "Commands that took device time.", offsetof(struct router_sums, commands), 1},
    {"hira_tenant_deferred_total", "Commands that waited for a turn or a rate.", offsetof(struct router_sums, deferred),
     1},
    {"hira_tenant_waits_total", "Calls that waited for a rate.", offsetof(struct router_sums, waits), 1},
    {"hira_tenant_wait_seconds_total", "How long calls waited for a rate.", offsetof(struct router_sums, wait_ns), 1e9},
};

static double memory(const struct router_tenant *t)
{
    uint64_t peak;
    return (double)router_tenant_memory(t, &peak);
}

static double memory_peak(const struct router_tenant *t)
{
    uint64_t peak;
    router_tenant_memory(t, &peak);
    return (double)peak;
}

static double memory_limit(const struct router_tenant *t)
{
    return t->settings ? (double)t->settings->memory : 0;
}

static double weight(const struct router_tenant *t)
{
    return t->shares[0].client.weight;
}

static double guests(const struct router_tenant *t)
{
    return t->n_serving;
}

static double paused(const struct router_tenant *t)
{
    return t->paused;
}

/* Of a tenant whatever it uses. */
static const struct tenant_family {
    const char *name, *help;
    double (*value)(const struct router_tenant *t);
} tenant_families[] = {
    {"hira_tenant_memory_bytes", "Device memory that is allocated now.", memory},
    {"hira_tenant_memory_peak_bytes", "The most device memory that was allocated at once.", memory_peak},
    {"hira_tenant_memory_limit_bytes", "The most device memory that may be; 0: no limit.", memory_limit},
    {"hira_tenant_weight", "The tenant's weight.", weight},
    {"hira_tenant_guests", "Guests that are served now.", guests},
    {"hira_tenant_paused", "Whether the tenant is paused.", paused},
};

static void put_head(struct hira_text *out, const char *name, const char *type, const char *help)
{
    hira_text_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void put_histogram(const struct router_use *use, struct hira_text *out)
{
    uint64_t buckets[HIRA_ACCOUNT_BUCKETS] = {0}, sum = 0;
    const char *tenant = use->tenant->name, *api = use->api->name;
    router_use_durations(use, buckets);
    double seconds = 0;
    for (unsigned i = 0; i < HIRA_ACCOUNT_BUCKETS; i++) {
        double bound = 128e-9 * (double)(1ull << i);
        sum += buckets[i];
        seconds += (double)buckets[i] * bound * 0.75; /* the middle of a bucket: durations themselves are not summed */
        if (i + 1 < HIRA_ACCOUNT_BUCKETS)
            hira_text_printf(out, "hira_tenant_call_seconds_bucket{tenant=\"%s\",api=\"%s\",le=\"%.9g\"} %llu\n",
                             tenant, api, bound, (unsigned long long)sum);
    }
    hira_text_printf(out,
                     "hira_tenant_call_seconds_bucket{tenant=\"%s\",api=\"%s\",le=\"+Inf\"} %llu\n"
                     "hira_tenant_call_seconds_sum{tenant=\"%s\",api=\"%s\"} %.9g\n"
                     "hira_tenant_call_seconds_count{tenant=\"%s\",api=\"%s\"} %llu\n",
                     tenant, api, (unsigned long long)sum, tenant, api, seconds, tenant, api, (unsigned long long)sum);
}

static void put_router(const struct router *router, struct hira_text *out)
{
    hira_text_printf(
        out,
        "# HELP hira_guests Guests that are served now.\n# TYPE hira_guests gauge\nhira_guests %u\n"
        "# HELP hira_guests_total Guests that were served.\n# TYPE hira_guests_total counter\nhira_guests_total %llu\n"
        "# HELP hira_refused_total Guests that were refused.\n# TYPE hira_refused_total counter\nhira_refused_total "
        "%llu\n"
        "# HELP hira_turns_total Turns of the device that were given.\n# TYPE hira_turns_total counter\n"
        "hira_turns_total %llu\n",
        router->n_serving, (unsigned long long)router->n_guests_ever, (unsigned long long)router->n_refused,
        (unsigned long long)router_turns_given(router));
}

/* A label's value, whatever it is. */
static void put_value(struct hira_text *out, const char *value)
{
    for (size_t n; *value; value += n) {
        if ((n = strcspn(value, "\\\"\n")))
            hira_text_append(out, value, n);
        else
            hira_text_puts(out, *value == '\n' ? "\\n" : *value == '"' ? "\\\"" : "\\\\");
        n = n ? n : 1;
    }
}

/* Mostly whole numbers, thousands of lines: printf would take most of a scrape. `api`, `function`: NULL where a line is
 * not of one. */
static void put_line(struct hira_text *out, const char *name, const char *tenant, const char *api, const char *function,
                     double value)
{
    char text[32], *p = text + sizeof text;
    bool whole = value >= 0 && value < 9e15 && value == (double)(uint64_t)value;
    uint64_t n = whole ? (uint64_t)value : 0;
    const char *const labels[] = {"{tenant=\"", tenant, "\",api=\"", api, "\",function=\"", function};
    hira_text_puts(out, name);
    for (size_t i = 0; i < HIRA_ARRAY_SIZE(labels) && labels[i | 1]; i++)
        (i % 2 ? put_value : hira_text_puts)(out, labels[i]);
    hira_text_puts(out, "\"} ");
    if (!whole) {
        hira_text_printf(out, "%.15g\n", value);
        return;
    }
    *--p = '\n';
    do
        *--p = (char)('0' + n % 10);
    while (n /= 10);
    hira_text_append(out, p, (size_t)(text + sizeof text - p));
}

static void each_use(struct router *router, void (*each)(void *context, const struct router_use *use), void *context)
{
    for (struct hira_list *t = router->tenants.next; t != &router->tenants; t = t->next) {
        struct hira_list *uses = &hira_list_entry(t, struct router_tenant, link)->uses;
        for (struct hira_list *pos = uses->next; pos != uses; pos = pos->next)
            each(context, hira_list_entry(pos, struct router_use, link));
    }
}

struct writing { /* what of each use is being written, and where to */
    struct hira_text *out;
    const struct use_family *family;
    const char *functions, *name;
    const struct router_use *use;
    bool seconds;
};

static void put_use(void *context, const struct router_use *use)
{
    const struct writing *w = context;
    uint64_t sum = *(const uint64_t *)((const char *)&use->now + w->family->sum);
    put_line(w->out, w->family->name, use->tenant->name, use->api->name, NULL, (double)sum / w->family->unit);
}

static void put_durations(void *context, const struct router_use *use)
{
    put_histogram(use, ((const struct writing *)context)->out);
}

static void put_function(void *context, const char *name, struct router_function sum)
{
    const struct writing *w = context;
    if (fnmatch(w->functions, name, 0) == 0)
        put_line(w->out, w->name, w->use->tenant->name, w->use->api->name, name,
                 w->seconds ? (double)sum.ns / 1e9 : (double)sum.calls);
}

static void put_functions_of(void *context, const struct router_use *use)
{
    struct writing *w = context;
    w->use = use;
    router_use_functions(use, put_function, w);
}

/* As far as calls were timed: they are from now on, as long as somebody asks now and then. */
static void put_functions(struct router *router, struct writing *w)
{
    router_measure(router, ROUTER_METRICS_MEASURE_MS);
    w->name = "hira_tenant_function_calls_total";
    put_head(w->out, w->name, "counter", "Calls of a function, while calls were timed.");
    each_use(router, put_functions_of, w);
    w->name = "hira_tenant_function_seconds_total";
    w->seconds = true;
    put_head(w->out, w->name, "counter", "How long calls of a function took in the server, while they were timed.");
    each_use(router, put_functions_of, w);
}

/* Each family's lines together, as the format wants it; each tenant's accounts read once. */
void router_metrics_text(struct router *router, const char *functions, struct hira_text *out)
{
    struct writing w = {.out = out, .functions = functions};
    router_uses_sum(router, NULL);
    put_router(router, out);
    for (size_t i = 0; i < HIRA_ARRAY_SIZE(use_families); i++) {
        w.family = &use_families[i];
        put_head(out, w.family->name, "counter", w.family->help);
        each_use(router, put_use, &w);
    }
    for (size_t i = 0; i < HIRA_ARRAY_SIZE(tenant_families); i++) {
        const struct tenant_family *f = &tenant_families[i];
        put_head(out, f->name, "gauge", f->help);
        for (struct hira_list *pos = router->tenants.next; pos != &router->tenants; pos = pos->next) {
            const struct router_tenant *t = hira_list_entry(pos, struct router_tenant, link);
            put_line(out, f->name, t->name, NULL, NULL, f->value(t));
        }
    }
    if (functions)
        put_functions(router, &w);
    if (!router->config || !router->config->measure)
        return;
    put_head(out, "hira_tenant_call_seconds", "histogram", "How long calls took in the server.");
    each_use(router, put_durations, &w);
}

/* ---- HTTP ---- */

static enum MHD_Result respond(struct MHD_Connection *connection, unsigned status, struct hira_text *text)
{
    struct MHD_Response *response =
        MHD_create_response_from_buffer(text->size, text->data ? text->data : (char *)"", MHD_RESPMEM_MUST_COPY);
    if (!response)
        return MHD_NO;
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8");
    enum MHD_Result ok = MHD_queue_response(connection, status, response);
    MHD_destroy_response(response);
    return ok;
}

static enum MHD_Result on_request(void *context, struct MHD_Connection *connection, const char *url, const char *method,
                                  const char *version, const char *data, size_t *size, void **ret_state)
{
    struct router_metrics *m = context;
    struct hira_text text = {0};
    unsigned status = MHD_HTTP_OK;
    (void)version, (void)data, (void)ret_state;
    if (*size) { /* nobody has to send us anything */
        *size = 0;
        return MHD_YES;
    }
    if (strcmp(method, "GET")) {
        status = MHD_HTTP_METHOD_NOT_ALLOWED;
    } else if (strcmp(url, "/metrics")) {
        hira_text_puts(&text, "/metrics\n");
        status = strcmp(url, "/") ? MHD_HTTP_NOT_FOUND : MHD_HTTP_OK;
    } else {
        router_metrics_text(m->router, MHD_lookup_connection_value(connection, MHD_GET_ARGUMENT_KIND, "function"),
                            &text);
        status = text.failed ? MHD_HTTP_INTERNAL_SERVER_ERROR : status;
    }
    enum MHD_Result ok = respond(connection, status, &text);
    hira_text_fini(&text);
    return ok;
}

static void on_timer(uv_timer_t *timer);

static void serve(struct router_metrics *m)
{
    MHD_UNSIGNED_LONG_LONG ms;
    MHD_run(m->daemon);
    if (MHD_get_timeout(m->daemon, &ms) == MHD_YES)
        uv_timer_start(&m->timer, on_timer, ms, 0);
    else
        uv_timer_stop(&m->timer);
}

static void on_timer(uv_timer_t *timer)
{
    serve(timer->data);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    (void)status, (void)events;
    serve(poll->data);
}

static int listen_on(struct sockaddr *address, socklen_t size)
{
    int on = 1;
    HIRA_AUTOCLOSE int fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0 && address->sa_family != AF_UNIX)
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (fd < 0 || bind(fd, address, size) < 0 || listen(fd, 16) < 0)
        return -errno;
    return HIRA_STEAL_FD(fd);
}

/* A socket that nobody listens on was left by a hirad before this one; anything else stays. */
static int listen_path(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct stat st;
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    if (lstat(path, &st) == 0 && S_ISSOCK(st.st_mode)) {
        HIRA_AUTOCLOSE int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
            return -EADDRINUSE;
        unlink(path);
    }
    mode_t mask = umask(0117);
    int fd = listen_on((struct sockaddr *)&address, sizeof address);
    umask(mask);
    return fd;
}

static int listen_port(const char *host, unsigned port)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
    if (inet_pton(AF_INET, host, &v4.sin_addr) == 1)
        return listen_on((struct sockaddr *)&v4, sizeof v4);
    return inet_pton(AF_INET6, host, &v6.sin6_addr) == 1 ? listen_on((struct sockaddr *)&v6, sizeof v6) : -EINVAL;
}

static int begin(struct router_metrics *m, int fd)
{
    m->daemon = MHD_start_daemon(MHD_USE_EPOLL, 0, NULL, NULL, on_request, m, MHD_OPTION_LISTEN_SOCKET, fd,
                                 MHD_OPTION_CONNECTION_LIMIT, ROUTER_METRICS_CONNECTIONS, MHD_OPTION_CONNECTION_TIMEOUT,
                                 ROUTER_METRICS_TIMEOUT_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
                                 (size_t)ROUTER_METRICS_MEMORY, MHD_OPTION_END);
    const union MHD_DaemonInfo *info = m->daemon ? MHD_get_daemon_info(m->daemon, MHD_DAEMON_INFO_EPOLL_FD) : NULL;
    if (!info || uv_poll_init(&m->router->loop, &m->poll, info->epoll_fd))
        return -ENOMEM;
    uv_timer_init(&m->router->loop, &m->timer);
    m->poll.data = m->timer.data = m;
    return uv_poll_start(&m->poll, UV_READABLE, on_poll) ? -ENOMEM : 0;
}

int router_metrics_start(struct router *router, char *error, size_t error_size)
{
    char host[16] = "";
    unsigned port = 0;
    const char *address = router->config ? router->config->metrics : "";
    if (!*address)
        return 0;
    struct router_metrics *m = calloc(1, sizeof *m);
    int fd = !m                                                            ? -ENOMEM
             : config_address(address, host, &port, error, error_size) < 0 ? -EINVAL
             : port                                                        ? listen_port(host, port)
                                                                           : listen_path(address);
    if (fd >= 0 && !port)
        snprintf(m->path, sizeof m->path, "%s", address);
    int failed = fd < 0 ? fd : 0;
    if (m)
        m->router = router;
    if (!failed && (failed = begin(m, fd)) < 0 && !m->daemon)
        close(fd);
    if (failed) {
        snprintf(error, error_size, "cannot serve metrics on %s: %s", address, strerror(-failed));
        if (m && m->daemon)
            MHD_stop_daemon(m->daemon);
        free(m);
        return failed;
    }
    router->metrics = m;
    return 0;
}

static void free_metrics(uv_handle_t *handle)
{
    free(handle->data);
}

void router_metrics_stop(struct router *router)
{
    struct router_metrics *m = HIRA_STEAL(router->metrics);
    if (!m)
        return;
    uv_poll_stop(&m->poll);
    MHD_stop_daemon(m->daemon);
    if (m->path[0])
        unlink(m->path);
    uv_close((uv_handle_t *)&m->poll, NULL);
    uv_close((uv_handle_t *)&m->timer, free_metrics);
}
