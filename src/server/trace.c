/*
 * A call log with decoded arguments, for `hira trace`: while hirad says so (HIRA_GATE_TRACE), each call of a function
 * that its pattern matches becomes a line of JSON in a pipe that hirad has made for whoever asked. Nothing of it passes
 * through hirad.
 *
 * What an argument is called and what it is comes from the specification: generated code tells the values once it has
 * decoded them. A line is at most PIPE_BUF long, so that those of all servers of a tenant stay whole; what does not fit
 * of the arguments is left out.
 *
 * Whoever reads has a second to make room, once: a reader that is stopped costs no more than that, and the lines until
 * it goes on, of which the next line tells the number.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <fnmatch.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

#include "base/fd.h"
#include "server/internal.h"
#include "server/turns.h"

#define TRACE_END 200    /* of a line: room for how it ended */
#define TRACE_STRING 120 /* characters of an argument that are shown */
#define TRACE_WAIT_MS 1000

struct hira_trace {
    uint64_t began;
    size_t n;
    bool cut, some; /* arguments were left out; there are some */
    char line[PIPE_BUF];
};

static struct {
    pthread_mutex_t lock;
    _Atomic int fd;
    _Atomic uint32_t waited; /* the version of the limits for which nobody brought a pipe */
    bool slow;
    unsigned long lost;
} t = {.lock = PTHREAD_MUTEX_INITIALIZER, .fd = -1};

void hira_trace_to(int fd)
{
    pthread_mutex_lock(&t.lock);
    int old = atomic_exchange(&t.fd, fd);
    t.slow = false;
    pthread_mutex_unlock(&t.lock);
    hira_fd_closep(&old);
}

/* The pipe is on its way with hirad's message, which the gate's thread hears. */
static bool has_pipe(void)
{
    uint32_t version = atomic_load_explicit(&hira_gate_limits->version, memory_order_relaxed);
    if (atomic_load(&t.fd) >= 0)
        return true;
    if (t.waited == version || !hira_turns_listen())
        return false;
    for (int i = 0; i < TRACE_WAIT_MS && atomic_load(&t.fd) < 0; i++)
        usleep(1000);
    t.waited = version;
    return atomic_load(&t.fd) >= 0;
}

/* ---- a line ---- */

HIRA_PRINTF(2, 3) static bool put(struct hira_trace *trace, const char *format, ...)
{
    size_t room = sizeof trace->line - TRACE_END - trace->n;
    va_list args;
    va_start(args, format);
    int n = vsnprintf(trace->line + trace->n, room, format, args);
    va_end(args);
    if (n < 0 || (size_t)n >= room)
        return false;
    trace->n += (size_t)n;
    return true;
}

static bool put_text(struct hira_trace *trace, const char *text)
{
    bool ok = put(trace, "\"");
    for (size_t i = 0; ok && text[i]; i++) {
        unsigned char c = (unsigned char)text[i];
        if (i == TRACE_STRING)
            return put(trace, "...\"");
        ok = c < ' ' || c >= 0x7f || c == '"' || c == '\\' ? put(trace, "\\u%04x", c) : put(trace, "%c", c);
    }
    return ok && put(trace, "\"");
}

static const char *find_constant(const struct hira_constants *set, uint64_t value)
{
    for (size_t i = 0; i < set->n; i++)
        if (set->list[i].value == value)
            return set->list[i].name;
    return NULL;
}

/* By its name; as a sum of names, with what is none of theirs as a number at the end; or as a number. */
static bool put_constant(struct hira_trace *trace, const struct hira_constants *set, uint64_t value)
{
    const char *name = find_constant(set, value);
    if (name)
        return put(trace, "\"%s\"", name);
    bool ok = true;
    uint64_t left = value;
    for (size_t i = 0; ok && set->flags && i < set->n; i++) {
        uint64_t bits = set->list[i].value;
        if (!bits || (left & bits) != bits)
            continue;
        ok = put(trace, "%s%s", left == value ? "\"" : "|", set->list[i].name);
        left &= ~bits;
    }
    if (left == value)
        return put(trace, "%lld", (long long)value);
    return ok && (!left || put(trace, "|0x%llx", (unsigned long long)left)) && put(trace, "\"");
}

static bool put_id(struct hira_trace *trace, uint64_t id)
{
    unsigned type = HIRA_ID_TYPE(id);
    if (!id || type >= hira_server_api.n_types)
        return put(trace, "null");
    uint32_t index = HIRA_ID_INDEX(id); /* # whom the guest has named, @ whom we have */
    return put(trace, "\"%s%c%u\"", hira_server_api.types[type].name, index & HIRA_ID_SERVER ? '@' : '#',
               index & ~HIRA_ID_SERVER);
}

static bool put_handles(struct hira_trace *trace, unsigned type, void *const *list, uint64_t bytes)
{
    bool ok = put(trace, list ? "[" : "null");
    for (uint64_t i = 0; ok && list && i < bytes / sizeof *list; i++)
        ok = put(trace, i ? "," : "") && put_id(trace, hira_slot_find(list[i], type));
    return ok && (!list || put(trace, "]"));
}

static bool put_memory(struct hira_trace *trace, const char *direction, const void *data, uint64_t bytes)
{
    return data ? put(trace, "\"%s %llu bytes\"", direction, (unsigned long long)bytes) : put(trace, "null");
}

static bool put_value(struct hira_trace *trace, char kind, va_list *args)
{
    unsigned type = kind == 'h' || kind == 'a' ? va_arg(*args, unsigned) : 0;
    if (kind == 'i')
        return put(trace, "%lld", (long long)va_arg(*args, int64_t));
    if (kind == 'u')
        return put(trace, "%llu", (unsigned long long)va_arg(*args, uint64_t));
    if (kind == 'c') {
        const struct hira_constants *set = va_arg(*args, const struct hira_constants *);
        return put_constant(trace, set, va_arg(*args, uint64_t));
    }
    if (kind == 'f') {
        double value = va_arg(*args, double);
        return value - value == 0 ? put(trace, "%.17g", value) : put(trace, "\"%f\"", value);
    }
    if (kind == 'n')
        return put_id(trace, va_arg(*args, uint64_t));
    const void *p = va_arg(*args, const void *);
    if (kind == 'h')
        return put_id(trace, p ? hira_slot_find((void *)(uintptr_t)p, type) : 0);
    if (kind == 's')
        return p ? put_text(trace, p) : put(trace, "null");
    if (kind == 'p')
        return p ? put(trace, "\"%p\"", p) : put(trace, "null");
    uint64_t bytes = va_arg(*args, uint64_t);
    return kind == 'a' ? put_handles(trace, type, p, bytes)
                       : put_memory(trace,
                                    kind == 'r'   ? "in"
                                    : kind == 'w' ? "out"
                                                  : "inout",
                                    p, bytes);
}

/* ---- a call ---- */

struct hira_trace *hira_trace_begin(uint32_t function)
{
    char pattern[HIRA_TRACE_MAX + 1] = "";
    const char *name = hira_server_api.functions[function].name;
    if (!hira_gate_copy(pattern, offsetof(struct hira_limits, trace), HIRA_TRACE_MAX) || fnmatch(pattern, name, 0) ||
        !has_pipe())
        return NULL;
    struct hira_trace *trace = malloc(sizeof *trace);
    if (!trace)
        return NULL;
    *trace = (struct hira_trace){.began = hira_now_ns()};
    put(trace, "{\"name\":\"%s\",\"api\":\"%s\",\"ts\":%llu,\"args\":{", name, hira_server_api.name,
        (unsigned long long)trace->began);
    return trace;
}

void hira_trace_call(struct hira_serve *s, const char *format, ...)
{
    struct hira_trace *trace = s->trace;
    va_list args;
    va_start(args, format);
    for (size_t n; *format && !trace->cut; format += n + (format[n] == ' ')) {
        n = strcspn(format, " ");
        size_t before = trace->n;
        trace->cut = !put(trace, "%s\"%.*s\":", trace->some ? "," : "", (int)n - 2, format + 2) ||
                     !put_value(trace, *format, &args);
        trace->some = true;
        if (trace->cut)
            trace->n = before;
    }
    va_end(args);
}

/* True: it may be asked again. */
static bool send_line(const char *line, size_t n)
{
    int fd = atomic_load(&t.fd);
    ssize_t sent = fd < 0 ? 0 : write(fd, line, n);
    if (sent < 0 && errno == EAGAIN && !t.slow) {
        t.slow = poll(&(struct pollfd){fd, POLLOUT, 0}, 1, TRACE_WAIT_MS) <= 0;
        sent = write(fd, line, n);
    }
    if (sent < 0 && errno == EPIPE && atomic_compare_exchange_strong(&t.fd, &fd, -1)) {
        close(fd); /* that reader has gone; there may be another */
        return true;
    }
    t.lost = sent > 0 ? 0 : t.lost + 1;
    t.slow = t.slow && sent <= 0;
    return false;
}

void hira_trace_end(struct hira_serve *s)
{
    static const char *const ends[] = {
        [HIRA_REPLY_FAILED] = "failed", [HIRA_REPLY_INVALID] = "invalid", [HIRA_REPLY_POISONED] = "poisoned"};
    struct hira_trace *trace = HIRA_STEAL(s->trace);
    if (!trace)
        return;
    uint64_t ns = hira_now_ns() - trace->began;
    char *end = trace->line + trace->n;
    size_t room = sizeof trace->line - trace->n;
    const char *how = s->status < HIRA_ARRAY_SIZE(ends) && ends[s->status] ? ends[s->status]
                      : s->failed                                          ? "error"
                                                                           : "ok";
    const char *named = s->code && hira_server_api.errors ? find_constant(hira_server_api.errors, (uint64_t)(int64_t)s->code) : NULL;
    pthread_mutex_lock(&t.lock);
    int n = snprintf(end, room, "}%s,\"end\":\"%s\",\"code\":%lld%s%s%s,\"dur\":%llu,\"pid\":%u,\"lane\":%u,\"lost\":%lu}\n",
                     trace->cut ? ",\"cut\":true" : "", how, (long long)s->code, named ? ",\"code_name\":\"" : "",
                     named ? named : "", named ? "\"" : "", (unsigned long long)ns,
                     hira_server.hello->pid, s->lane->index, t.lost);
    if (n > 0 && (size_t)n < room && send_line(trace->line, trace->n + (size_t)n)) {
        pthread_mutex_unlock(&t.lock);
        bool another = has_pipe();
        pthread_mutex_lock(&t.lock);
        if (another)
            send_line(trace->line, trace->n + (size_t)n);
    }
    pthread_mutex_unlock(&t.lock);
    free(trace);
}
