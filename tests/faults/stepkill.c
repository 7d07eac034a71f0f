/*
 * stepkill PID TID N: lets a thread go on for N instructions, then kills its process. With N = count it counts
 * instructions until its standard input says something, lets the thread go, and prints their number.
 *
 * Prints "ready" once the thread is held; where it sleeps, it is let sleep. So a test can end a process at any point of
 * a call.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

static bool told(void)
{
    struct pollfd p = {STDIN_FILENO, POLLIN, 0};
    return poll(&p, 1, 0) > 0;
}

/* Waits for the thread's next stop. False: it has ended, or `until_told` and we were. */
static bool stopped(pid_t tid, bool until_told)
{
    for (;;) {
        int status;
        pid_t got = waitpid(tid, &status, __WALL | (until_told ? WNOHANG : 0));
        if (got == tid)
            return WIFSTOPPED(status);
        if (got < 0 && errno != EINTR)
            return false;
        if (until_told && told())
            return false;
        if (until_told)
            usleep(20);
    }
}

int main(int argc, char **argv)
{
    if (argc != 4)
        return 2;
    pid_t pid = atoi(argv[1]), tid = atoi(argv[2]);
    bool count = !strcmp(argv[3], "count");
    long limit = count ? 10000000 : atol(argv[3]), n = 0;
    if (ptrace(PTRACE_SEIZE, tid, NULL, NULL) < 0 || ptrace(PTRACE_INTERRUPT, tid, NULL, NULL) < 0 ||
        !stopped(tid, false)) {
        printf("cannot: %s\n", strerror(errno));
        return 1;
    }
    puts("ready");
    fflush(stdout);
    for (; n < limit; n++)
        if (ptrace(PTRACE_SINGLESTEP, tid, NULL, NULL) < 0 || !stopped(tid, count))
            break;
    if (!count) {
        kill(pid, SIGKILL);
    } else { /* let go of in the middle of a step, it would die of the trap */
        ptrace(PTRACE_INTERRUPT, tid, NULL, NULL);
        stopped(tid, false);
        ptrace(PTRACE_DETACH, tid, NULL, NULL);
    }
    printf("%ld\n", n);
    return 0;
}
