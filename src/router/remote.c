/*
 * Guests of other hosts: hira-relay listens for them, as a child of hirad. hirad itself never touches the network.
 *
 * What it forks goes on when hirad ends, as servers do; it itself ends with the line between the two. One that ends by
 * itself is started again, with growing pauses.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "router/router.h"

struct router_remote {
    struct router *router;
    uv_process_t *process; /* NULL: none */
    struct router_watch *line;
    struct router_lines lines;
    struct router_alarm *retry;
    unsigned failures;
    uint64_t started;
};

static void start_again(void *context);

static void on_line(void *context)
{
    struct router_remote *r = context;
    char text[512];
    ssize_t n = read(router_watch_fd(r->line), text, sizeof text - 1);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    text[n > 0 ? n : 0] = 0;
    text[strcspn(text, "\n")] = 0;
    if (!strncmp(text, "READY ", 6))
        hira_log(&r->router->log, HIRA_LOG_INFO, "remote", 0, "guests of other hosts come by %s", text + 6);
    else if (!strncmp(text, "FAILED ", 7))
        hira_log(&r->router->log, HIRA_LOG_ERROR, "remote", 0, "%s", text + 7);
    if (n <= 0)
        router_watch_stop(&r->line);
}

static void free_process(uv_handle_t *handle)
{
    free(handle);
}

static void on_exit_of_relay(uv_process_t *process, int64_t status, int number)
{
    struct router_remote *r = process->data;
    uv_close((uv_handle_t *)process, free_process);
    if (!r)
        return;
    r->process = NULL;
    router_lines_stop(&r->lines);
    if (router_now_ms(r->router) - r->started > ROUTER_SETTLED_MS)
        r->failures = 0;
    uint64_t pause = (uint64_t)ROUTER_BACK_OFF_MS << HIRA_MIN(r->failures, 16u);
    r->failures++;
    pause = HIRA_MIN(pause, (uint64_t)ROUTER_BACK_OFF_MAX_MS);
    hira_log(&r->router->log, HIRA_LOG_ERROR, "remote", 0, "hira-relay ended (%s %d), to be started again in %llu ms",
             number ? "signal" : "status", number ? number : (int)status, (unsigned long long)pause);
    router_alarm_set(&r->router->loop, &r->retry, pause, start_again, r);
}

static int spawn(struct router_remote *r, int line, int log)
{
    struct router *router = r->router;
    char path[HIRA_PATH_MAX];
    char *args[ROUTER_REMOTE_MAX + 6] = {"hira-relay", "--private", "3", "--socket", router->options.socket};
    memcpy(args + 5, router->options.remote, sizeof router->options.remote);
    if (hira_path_program("hira-relay", path, sizeof path) < 0)
        snprintf(path, sizeof path, "hira-relay");
    uv_stdio_container_t stdio[4] = {{.flags = UV_IGNORE},
                                     {.flags = UV_INHERIT_FD, .data.fd = log},
                                     {.flags = UV_INHERIT_FD, .data.fd = log},
                                     {.flags = UV_INHERIT_FD, .data.fd = line}};
    uv_process_options_t options = {.exit_cb = on_exit_of_relay,
                                    .file = path,
                                    .args = args,
                                    .flags = UV_PROCESS_DETACHED,
                                    .stdio_count = 4,
                                    .stdio = stdio};
    uv_process_t *process = calloc(1, sizeof *process);
    if (!process)
        return -ENOMEM;
    process->data = r;
    int error = uv_spawn(&router->loop, process, &options);
    if (error)
        uv_close((uv_handle_t *)process, free_process);
    else
        r->process = process;
    return error;
}

static int start(struct router_remote *r)
{
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
        return -errno;
    HIRA_AUTOCLOSE int ours = ends[0];
    HIRA_AUTOCLOSE int theirs = ends[1];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return -errno;
    HIRA_AUTOCLOSE int log_in = ends[0];
    HIRA_AUTOCLOSE int log_out = ends[1];
    int error = spawn(r, theirs, log_out);
    if (error)
        return error;
    r->started = router_now_ms(r->router);
    router_watch_stop(&r->line);
    if (fcntl(ours, F_SETFL, O_NONBLOCK) < 0 || fcntl(log_in, F_SETFL, O_NONBLOCK) < 0)
        return -errno;
    r->line = router_watch_start(&r->router->loop, HIRA_STEAL_FD(ours), on_line, r);
    router_lines_start(&r->lines, r->router, "remote", (uint32_t)uv_process_get_pid(r->process), HIRA_STEAL_FD(log_in));
    return r->line ? 0 : -ENOMEM;
}

static void start_again(void *context)
{
    struct router_remote *r = context;
    int error = start(r);
    if (!error || r->process)
        return;
    hira_log(&r->router->log, HIRA_LOG_ERROR, "remote", 0, "hira-relay cannot be started: %s", uv_strerror(error));
    router_alarm_set(&r->router->loop, &r->retry, ROUTER_BACK_OFF_MAX_MS, start_again, r);
}

int router_remote_start(struct router *router)
{
    if (!router->options.n_remote)
        return 0;
    struct router_remote *r = router->remote = calloc(1, sizeof *r);
    if (!r)
        return -ENOMEM;
    r->router = router;
    start_again(r);
    return 0;
}

void router_remote_stop(struct router *router)
{
    struct router_remote *r = HIRA_STEAL(router->remote);
    if (!r)
        return;
    router_alarm_stop(&r->retry);
    router_watch_stop(&r->line);
    router_lines_stop(&r->lines);
    if (r->process)
        r->process->data = NULL;
    free(r);
}
