/*
 * libuv's handles live until their close callback, their owners do not: so handles are separate allocations, cut off
 * from the owner when it stops them.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include "router/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"

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

/* ---- processes ---- */

static void free_process(uv_handle_t *handle)
{
    free(handle);
}

void router_process_close(uv_process_t *process)
{
    uv_close((uv_handle_t *)process, free_process);
}

int router_process_start(uv_loop_t *loop, const char *file, char **args, int type, uv_exit_cb ended, void *data, uv_process_t **ret_process,
                         int *ret_line, int *ret_log)
{
    int ends[2];
    if (socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ends) < 0)
        return -errno;
    HIRA_AUTOCLOSE int ours = ends[0];
    HIRA_AUTOCLOSE int theirs = ends[1];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return -errno;
    HIRA_AUTOCLOSE int log_in = ends[0];
    HIRA_AUTOCLOSE int log_out = ends[1];
    uv_stdio_container_t stdio[4] = {{.flags = UV_IGNORE},
                                     {.flags = UV_INHERIT_FD, .data.fd = log_out},
                                     {.flags = UV_INHERIT_FD, .data.fd = log_out},
                                     {.flags = UV_INHERIT_FD, .data.fd = theirs}};
    uv_process_options_t options = {
        .exit_cb = ended, .file = file, .args = args, .flags = UV_PROCESS_DETACHED, .stdio_count = 4, .stdio = stdio};
    uv_process_t *process = calloc(1, sizeof *process);
    if (!process)
        return -ENOMEM;
    process->data = data;
    int error = uv_spawn(loop, process, &options);
    if (error) {
        router_process_close(process);
        return error;
    }
    *ret_process = process;
    *ret_line = HIRA_STEAL_FD(ours);
    *ret_log = HIRA_STEAL_FD(log_in);
    return 0;
}
