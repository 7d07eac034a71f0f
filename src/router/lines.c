/*
 * What zygotes and servers write to standard error, into the log.
 *
 * A server's words are its guest's words: bounded in length and rate, and escaped by the log's writers. Beyond the rate
 * the pipe is left full, which stops nobody but who fills it.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "router/router.h"

static void put_line(struct router_lines *l)
{
    l->part[l->n_part] = 0;
    if (l->n_part) {
        memcpy(l->last, l->part, l->n_part + 1);
        hira_log(&l->router->log, HIRA_LOG_WARNING, l->component, 0, "process %u says: %s", l->pid, l->part);
        l->lines++;
    }
    l->n_part = 0;
}

static void put(struct router_lines *l, const char *data, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (data[i] == '\n' || l->n_part == sizeof l->part - 1)
            put_line(l);
        if (data[i] != '\n' && data[i])
            l->part[l->n_part++] = data[i];
    }
}

static void window_over(void *context)
{
    struct router_lines *l = context;
    l->lines = 0;
    l->window = router_now_ms(l->router);
    if (l->watch)
        router_watch_pause(l->watch, false);
}

static void on_readable(void *context)
{
    struct router_lines *l = context;
    char data[2048]; /* one read a turn: a flood does not keep the loop */
    uint64_t now = router_now_ms(l->router);
    ssize_t n = read(router_watch_fd(l->watch), data, sizeof data);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        put_line(l);
        router_watch_stop(&l->watch);
        return;
    }
    if (now - l->window > ROUTER_LOG_WINDOW_MS)
        window_over(l);
    put(l, data, (size_t)n);
    if (l->lines < ROUTER_LOG_LINES)
        return;
    hira_log(&l->router->log, HIRA_LOG_WARNING, l->component, 0, "process %u says too much and has to wait", l->pid);
    router_watch_pause(l->watch, true);
    router_alarm_set((uv_loop_t *)&l->router->loop, &l->pause, ROUTER_LOG_WINDOW_MS, window_over, l);
}

void router_lines_start(struct router_lines *l, const struct router *router, const char *component, uint32_t pid,
                        int fd)
{
    *l = (struct router_lines){.router = router, .component = component, .pid = pid, .window = router_now_ms(router)};
    l->watch = router_watch_start((uv_loop_t *)&router->loop, fd, on_readable, l);
}

void router_lines_stop(struct router_lines *l)
{
    for (int i = 0; i < 8 && l->watch && l->lines < ROUTER_LOG_LINES; i++) {
        char data[2048];
        ssize_t n = read(router_watch_fd(l->watch), data, sizeof data);
        if (n <= 0)
            break;
        put(l, data, (size_t)n);
    }
    if (l->router)
        put_line(l);
    router_watch_stop(&l->watch);
    router_alarm_stop(&l->pause);
}
