/*
 * Starting a private router and seeing it off.
 *
 * One socket pair is the whole relation: the router writes where it listens; we hang up our half when nobody will come
 * any more, and it hangs up when everything of it is gone. If we are killed, the kernel hangs up for us.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/tree.h"
#include "cli/runtime.h"

#define READY_MS 10000   /* listening takes it milliseconds; this is a machine out of memory */
#define FAREWELL_MS 6000 /* a little more than what the router itself allows its servers */
#define LAST_MS 100      /* from its hang-up to its end */
#define LINE_FD 3

#define ARGUMENTS_MAX 24

/* In the child: the router gets a session of its own, so that a terminal's signals reach the application alone. */
static _Noreturn void become_router(int line, char **args)
{
    char path[HIRA_PATH_MAX];
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    setsid();
    HIRA_AUTOCLOSE int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (dup2(null, STDIN_FILENO) >= 0 && dup2(STDERR_FILENO, STDOUT_FILENO) >= 0 &&
        (line == LINE_FD ? fcntl(line, F_SETFD, 0) : dup2(line, LINE_FD)) >= 0) {
        if (hira_path_program(args[0], path, sizeof path) == 0)
            execv(path, args);
        else
            execvp(args[0], args);
    }
    dprintf(LINE_FD, "FAILED %s cannot be run: %s\n", args[0], strerror(errno));
    _exit(127);
}

/* One line, or what there is of it when the time is over. */
static void read_line(int fd, char *line, size_t size)
{
    uint64_t end = hira_now_ns() + READY_MS * 1000000ull;
    size_t n = 0;
    line[0] = 0;
    while (n < size - 1) {
        uint64_t now = hira_now_ns();
        struct pollfd p = {fd, POLLIN, 0};
        int ready = now < end ? poll(&p, 1, (int)((end - now) / 1000000 + 1)) : 0;
        if (ready < 0 && errno == EINTR)
            continue;
        if (ready <= 0 || read(fd, line + n, 1) != 1 || line[n] == '\n')
            break;
        n++;
    }
    line[n] = 0;
}

static int start(struct cli_private_router *r, char **args, char *error, size_t size)
{
    int ends[2];
    char line[512];
    *r = (struct cli_private_router){.line = -1};
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0) {
        snprintf(error, size, "cannot make a socket: %s", strerror(errno));
        return -1;
    }
    r->pid = fork();
    if (r->pid == 0)
        become_router(ends[1], args);
    close(ends[1]);
    r->line = ends[0];
    if (r->pid < 0) {
        snprintf(error, size, "cannot start a router: %s", strerror(errno));
        hira_fd_closep(&r->line);
        return -1;
    }
    uint64_t began = hira_now_ns();
    read_line(r->line, line, sizeof line);
    if (!strncmp(line, "READY ", 6) &&
        (size_t)snprintf(r->socket, sizeof r->socket, "%.200s", line + 6) < sizeof r->socket)
        return 0;
    if (!strncmp(line, "FAILED ", 7))
        snprintf(error, size, "%s", line + 7);
    else if (hira_now_ns() - began < READY_MS * 1000000ull)
        snprintf(error, size, "%s ended before it was ready; what it said stands above", args[0]);
    else
        snprintf(error, size, "%s did not come up within %d s", args[0], READY_MS / 1000);
    cli_private_router_stop(r);
    return -1;
}

int cli_private_router_start(struct cli_private_router *r, const char *api, const char *server_dir, char *error,
                             size_t size)
{
    char *args[ARGUMENTS_MAX] = {"hirad", "--private", "3", "--log-level", getenv("HIRA_DEBUG") ? "debug" : "error"};
    size_t n = 5;
    if (api) {
        args[n++] = "--api";
        args[n++] = (char *)api;
    }
    if (server_dir) {
        args[n++] = "--server-dir";
        args[n++] = (char *)server_dir;
    }
    return start(r, args, error, size);
}

int cli_private_relay_start(struct cli_private_router *r, char *const *options, char *error, size_t size)
{
    char *args[ARGUMENTS_MAX] = {"hira-relay", "--private", "3"};
    for (size_t n = 3; *options && n < ARGUMENTS_MAX - 1; n++)
        args[n] = *options++;
    return start(r, args, error, size);
}

/* Of a router that was killed: what it would have removed. */
static void remove_folder(struct cli_private_router *r)
{
    char *slash = strrchr(r->socket, '/');
    if (!slash)
        return;
    *slash = 0;
    hira_tree_remove(r->socket);
}

/* It hung up: by ending, or because it stays for others, whom we do not wait for. */
static bool router_ended(struct cli_private_router *r, int *status)
{
    for (int i = 0; i < LAST_MS; i++) {
        if (waitpid(r->pid, status, WNOHANG) == r->pid)
            return true;
        usleep(1000);
    }
    return false;
}

void cli_private_router_stop(struct cli_private_router *r)
{
    int status = 0;
    char byte;
    if (r->line < 0)
        return;
    shutdown(r->line, SHUT_WR);
    struct pollfd p = {r->line, POLLIN, 0};
    uint64_t end = hira_now_ns() + FAREWELL_MS * 1000000ull;
    bool gone = false;
    while (!gone && hira_now_ns() < end)
        if (poll(&p, 1, 100) > 0)
            gone = read(r->line, &byte, 1) <= 0;
    hira_fd_closep(&r->line);
    if (gone && router_ended(r, &status) && WIFSIGNALED(status))
        remove_folder(r);
}
