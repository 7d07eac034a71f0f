/*
 * Metrics for Prometheus, over HTTP on a unix socket or a port of this machine (libmicrohttpd). `metrics` in hirad.conf
 * says where.
 *
 * A scrape reads each tenant's accounts once and costs what that costs; between scrapes nothing is done. Names and
 * units follow the conventions: seconds and bytes, totals of what only grows. Sums are the accounts' (account.c): they
 * do not shrink when a server ends or hirad is replaced by one that finds its servers again.
 *
 * Security. Whoever may connect may read: the socket is hirad's user's and its group's alone, a port is every user's of
 * the machine. The request is libmicrohttpd's to parse, with small limits; nothing of it but its path is looked at.
 * Tenants' names are the configuration's.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include <arpa/inet.h>
#include <errno.h>
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

struct family {
    const char *name, *type, *help;
    double (*value)(struct router_tenant *t, const struct router_sums *sums);
};

static double calls(struct router_tenant *t, const struct router_sums *s)
{
    (void)t;
    return (double)s->calls;
}

static double errors(struct router_tenant *t, const struct router_sums *s)
{
    (void)t;
    return (double)s->errors;
}

static double denied(struct router_tenant *t, const struct router_sums *s)
{
    (void)t;
    return (double)s->denied;
}

static double bytes(struct router_tenant *t, const struct router_sums *s)
{
    (void)t;
    return (double)s->bytes;
}

static double device_seconds(struct router_tenant *t, const struct router_sums *s)
{
    (void)t;
    return (double)s->busy_ns / 1e9;
}

static double commands(struct router_tenant *t, const struct router_sums *s)
{
    (void)t;
    return (double)s->commands;
}

static double deferred(struct router_tenant *t, const struct router_sums *s)
{
    (void)t;
    return (double)s->deferred;
}

static double waits(struct router_tenant *t, const struct router_sums *s)
{
    (void)t;
    return (double)s->waits;
}

static double wait_seconds(struct router_tenant *t, const struct router_sums *s)
{
    (void)t;
    return (double)s->wait_ns / 1e9;
}

static double memory(struct router_tenant *t, const struct router_sums *s)
{
    uint64_t peak;
    (void)s;
    return (double)router_tenant_memory(t, &peak);
}

static double memory_peak(struct router_tenant *t, const struct router_sums *s)
{
    uint64_t peak;
    (void)s;
    router_tenant_memory(t, &peak);
    return (double)peak;
}

static double memory_limit(struct router_tenant *t, const struct router_sums *s)
{
    (void)s;
    return t->settings ? (double)t->settings->memory : 0;
}

static double weight(struct router_tenant *t, const struct router_sums *s)
{
    (void)s;
    return t->client.weight;
}

static double guests(struct router_tenant *t, const struct router_sums *s)
{
    (void)s;
    return t->n_serving;
}

static double paused(struct router_tenant *t, const struct router_sums *s)
{
    (void)s;
    return t->paused;
}

static const struct family families[] = {
    {"hira_tenant_calls_total", "counter", "Calls that were served.", calls},
    {"hira_tenant_errors_total", "counter", "Calls that failed.", errors},
    {"hira_tenant_denied_total", "counter", "Calls of functions that the tenant may not use.", denied},
    {"hira_tenant_bytes_total", "counter", "Bytes of records and of memory that calls named.", bytes},
    {"hira_tenant_device_seconds_total", "counter", "Time in which the device worked for the tenant.", device_seconds},
    {"hira_tenant_commands_total", "counter", "Commands that took device time.", commands},
    {"hira_tenant_deferred_total", "counter", "Commands that waited for a turn or a rate.", deferred},
    {"hira_tenant_waits_total", "counter", "Calls that waited for a rate.", waits},
    {"hira_tenant_wait_seconds_total", "counter", "How long calls waited for a rate.", wait_seconds},
    {"hira_tenant_memory_bytes", "gauge", "Device memory that is allocated now.", memory},
    {"hira_tenant_memory_peak_bytes", "gauge", "The most device memory that was allocated at once.", memory_peak},
    {"hira_tenant_memory_limit_bytes", "gauge", "The most device memory that may be; 0: no limit.", memory_limit},
    {"hira_tenant_weight", "gauge", "The tenant's weight.", weight},
    {"hira_tenant_guests", "gauge", "Guests that are served now.", guests},
    {"hira_tenant_paused", "gauge", "Whether the tenant is paused.", paused},
};

static void put_histogram(struct router_tenant *t, struct hira_text *out)
{
    uint64_t buckets[HIRA_ACCOUNT_BUCKETS], sum = 0;
    memcpy(buckets, t->durations_past, sizeof buckets);
    router_tenant_durations(t, buckets);
    double seconds = 0;
    for (unsigned i = 0; i < HIRA_ACCOUNT_BUCKETS; i++) {
        double bound = 128e-9 * (double)(1ull << i);
        sum += buckets[i];
        seconds += (double)buckets[i] * bound * 0.75; /* the middle of a bucket: durations themselves are not summed */
        if (i + 1 < HIRA_ACCOUNT_BUCKETS)
            hira_text_printf(out, "hira_tenant_call_seconds_bucket{tenant=\"%s\",le=\"%.9g\"} %llu\n", t->name, bound,
                             (unsigned long long)sum);
    }
    hira_text_printf(
        out,
        "hira_tenant_call_seconds_bucket{tenant=\"%s\",le=\"+Inf\"} %llu\n"
        "hira_tenant_call_seconds_sum{tenant=\"%s\"} %.9g\nhira_tenant_call_seconds_count{tenant=\"%s\"} %llu\n",
        t->name, (unsigned long long)sum, t->name, seconds, t->name, (unsigned long long)sum);
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
        (unsigned long long)router->turns.given);
}

/* Mostly whole numbers, thousands of lines: printf would take most of a scrape. */
static void put_line(struct hira_text *out, const char *name, const char *tenant, double value)
{
    char text[32], *p = text + sizeof text;
    bool whole = value >= 0 && value < 9e15 && value == (double)(uint64_t)value;
    uint64_t n = whole ? (uint64_t)value : 0;
    hira_text_puts(out, name);
    hira_text_puts(out, "{tenant=\"");
    hira_text_puts(out, tenant);
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

/* Each family's lines together, as the format wants it; each tenant's accounts read once. */
void router_metrics_text(struct router *router, struct hira_text *out)
{
    size_t n = 0, i = 0;
    for (struct hira_list *pos = router->tenants.next; pos != &router->tenants; pos = pos->next)
        n++;
    HIRA_AUTOFREE struct router_sums *sums = calloc(n + 1, sizeof *sums);
    if (!sums) {
        out->failed = true;
        return;
    }
    router_tenants_sums(router, sums);
    put_router(router, out);
    for (size_t k = 0; k < HIRA_ARRAY_SIZE(families); k++) {
        const struct family *f = &families[k];
        hira_text_printf(out, "# HELP %s %s\n# TYPE %s %s\n", f->name, f->help, f->name, f->type);
        i = 0;
        for (struct hira_list *pos = router->tenants.next; pos != &router->tenants; pos = pos->next, i++) {
            struct router_tenant *t = hira_list_entry(pos, struct router_tenant, link);
            put_line(out, f->name, t->name, f->value(t, &sums[i]));
        }
    }
    if (!router->config || !router->config->measure)
        return;
    hira_text_puts(out, "# HELP hira_tenant_call_seconds How long calls took in the server.\n# TYPE "
                        "hira_tenant_call_seconds histogram\n");
    for (struct hira_list *pos = router->tenants.next; pos != &router->tenants; pos = pos->next)
        put_histogram(hira_list_entry(pos, struct router_tenant, link), out);
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
        router_metrics_text(m->router, &text);
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
