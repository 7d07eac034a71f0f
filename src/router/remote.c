/*
 * Guests of other hosts: hira-relay listens for them, as a child of hirad. hirad itself never touches the network.
 *
 * What it forks goes on when hirad ends, as servers do; it itself ends with the line between the two. One that ends by
 * itself is started again, with growing pauses. What no other start would change (a wrong option, a key that cannot be
 * read) hira-relay looks at once before, and hirad does not start at all then. When such a fault comes later, hirad has
 * guests and stays: it says so once, and tries again at the longest pause, for files may be mended.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "router/router.h"

#define RELAY_MISUSED 2 /* hira-relay's status for what no other start would change: hira-relay(8) */

struct router_remote {
    struct router *router;
    uv_process_t *process; /* NULL: none */
    struct router_watch *line;
    struct router_lines lines;
    struct router_alarm *retry;
    unsigned failures;
    uint64_t started;
    bool misused;   /* it was the same the last time: that is logged */
    char said[512]; /* why it failed, as it is logged; "": it listens */
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
    if (!strncmp(text, "READY ", 6)) {
        hira_log(&r->router->log, HIRA_LOG_INFO, "remote", 0, "guests of other hosts come by %s", text + 6);
        r->misused = false;
        r->said[0] = 0;
    } else if (!strncmp(text, "FAILED ", 7) && strcmp(r->said, text + 7) != 0) {
        hira_log(&r->router->log, HIRA_LOG_ERROR, "remote", 0, "%s", text + 7);
        snprintf(r->said, sizeof r->said, "%s", text + 7);
    }
    if (n <= 0)
        router_watch_stop(&r->line);
}

static void log_end(struct router_remote *r, int status, int number, uint64_t pause)
{
    bool misused = !number && status == RELAY_MISUSED;
    enum hira_log_level level = misused && r->misused ? HIRA_LOG_DEBUG : HIRA_LOG_ERROR;
    r->misused = misused;
    hira_log(&r->router->log, level, "remote", 0, "hira-relay ended (%s %d), to be started again in %llu ms%s",
             number ? "signal" : "status", number ? number : status, (unsigned long long)pause,
             misused ? ", and until that is mended" : "");
}

static void on_exit_of_relay(uv_process_t *process, int64_t status, int number)
{
    struct router_remote *r = process->data;
    router_process_close(process);
    if (!r)
        return;
    r->process = NULL;
    router_lines_stop(&r->lines);
    if (router_now_ms(r->router) - r->started > ROUTER_SETTLED_MS)
        r->failures = 0;
    uint64_t pause = (uint64_t)ROUTER_BACK_OFF_MS << HIRA_MIN(r->failures, 16u);
    r->failures++;
    if (pause > ROUTER_BACK_OFF_MAX_MS || (!number && status == RELAY_MISUSED))
        pause = ROUTER_BACK_OFF_MAX_MS;
    log_end(r, (int)status, number, pause);
    router_alarm_set(&r->router->loop, &r->retry, pause, start_again, r);
}

static void find_relay(char *path, size_t size)
{
    if (hira_path_program("hira-relay", path, size) < 0)
        snprintf(path, size, "hira-relay");
}

int router_remote_check(const struct router_options *options)
{
    char path[HIRA_PATH_MAX];
    char *args[ROUTER_REMOTE_MAX + 5] = {"hira-relay", "--check", "--socket", (char *)options->socket};
    pid_t pid;
    int status = 0;
    if (!options->n_remote)
        return 0;
    memcpy(args + 4, options->remote, sizeof options->remote);
    find_relay(path, sizeof path);
    signal(SIGCHLD, SIG_DFL); /* ignored, as some starters leave it, children vanish unseen */
    int error = posix_spawnp(&pid, path, NULL, NULL, args, environ);
    if (error) {
        fprintf(stderr, "hirad: hira-relay cannot be started: %s\n", strerror(error));
        return 1;
    }
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    /* Whatever else befell it may not befall the next. */
    return WIFEXITED(status) && WEXITSTATUS(status) == RELAY_MISUSED ? 2 : 0;
}

static int start(struct router_remote *r)
{
    struct router *router = r->router;
    char path[HIRA_PATH_MAX];
    char *args[ROUTER_REMOTE_MAX + 6] = {"hira-relay", "--private", "3", "--socket", router->options.socket};
    int line, log;
    memcpy(args + 5, router->options.remote, sizeof router->options.remote);
    find_relay(path, sizeof path);
    int error = router_process_start(&router->loop, path, args, SOCK_STREAM, on_exit_of_relay, r, &r->process, &line, &log);
    if (error)
        return error;
    HIRA_AUTOCLOSE int ours = line;
    HIRA_AUTOCLOSE int log_in = log;
    r->started = router_now_ms(router);
    router_watch_stop(&r->line);
    if (fcntl(ours, F_SETFL, O_NONBLOCK) < 0 || fcntl(log_in, F_SETFL, O_NONBLOCK) < 0)
        return -errno;
    r->line = router_watch_start(&router->loop, HIRA_STEAL_FD(ours), on_line, r);
    router_lines_start(&r->lines, router, "remote", (uint32_t)uv_process_get_pid(r->process), HIRA_STEAL_FD(log_in));
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
