/*
 * libuv's handles live until their close callback, their owners do not: so handles are separate allocations, cut off
 * from the owner when it stops them.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include "router/loop.h"

#include <unistd.h>

struct router_watch {
    uv_poll_t poll;
    int fd;
    void (*ready)(void *context);
    void *context;
};

struct router_alarm {
    uv_timer_t timer;
    struct router_alarm **owner;
    void (*expired)(void *context);
    void *context;
};

static void free_watch(uv_handle_t *handle)
{
    free(HIRA_CONTAINER_OF(handle, struct router_watch, poll));
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct router_watch *watch = HIRA_CONTAINER_OF(poll, struct router_watch, poll);
    (void)status; /* an error shows at the next read */
    (void)events;
    watch->ready(watch->context);
}

struct router_watch *router_watch_start(uv_loop_t *loop, int fd, void (*ready)(void *context), void *context)
{
    struct router_watch *watch = calloc(1, sizeof *watch);
    if (!watch || uv_poll_init(loop, &watch->poll, fd) < 0) {
        free(watch);
        close(fd);
        return NULL;
    }
    watch->fd = fd;
    watch->ready = ready;
    watch->context = context;
    uv_poll_start(&watch->poll, UV_READABLE | UV_DISCONNECT, on_poll);
    return watch;
}

int router_watch_fd(const struct router_watch *watch)
{
    return watch->fd;
}

void router_watch_pause(struct router_watch *watch, bool pause)
{
    if (pause)
        uv_poll_stop(&watch->poll);
    else
        uv_poll_start(&watch->poll, UV_READABLE | UV_DISCONNECT, on_poll);
}

void router_watch_stop(struct router_watch **owner)
{
    struct router_watch *watch = HIRA_STEAL(*owner);
    if (!watch)
        return;
    uv_poll_stop(&watch->poll);
    close(watch->fd);
    uv_close((uv_handle_t *)&watch->poll, free_watch);
}

static void free_alarm(uv_handle_t *handle)
{
    free(HIRA_CONTAINER_OF(handle, struct router_alarm, timer));
}

static void on_timer(uv_timer_t *timer)
{
    struct router_alarm *alarm = HIRA_CONTAINER_OF(timer, struct router_alarm, timer);
    void (*expired)(void *) = alarm->expired;
    void *context = alarm->context;
    router_alarm_stop(alarm->owner);
    expired(context);
}

void router_alarm_set(uv_loop_t *loop, struct router_alarm **owner, uint64_t ms, void (*expired)(void *context),
                      void *context)
{
    router_alarm_stop(owner);
    struct router_alarm *alarm = calloc(1, sizeof *alarm);
    if (!alarm)
        return;
    *alarm = (struct router_alarm){.owner = owner, .expired = expired, .context = context};
    uv_timer_init(loop, &alarm->timer);
    uv_timer_start(&alarm->timer, on_timer, ms, 0);
    *owner = alarm;
}

void router_alarm_stop(struct router_alarm **owner)
{
    struct router_alarm *alarm = HIRA_STEAL(*owner);
    if (alarm)
        uv_close((uv_handle_t *)&alarm->timer, free_alarm);
}
