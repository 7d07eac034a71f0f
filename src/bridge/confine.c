/*
 * See confine.h. Files cannot be opened any more; unix sockets can still be connected to by name, for that is what the bridge is there
 * for: which, the permissions of their folders say.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include "bridge/confine.h"

#include <errno.h>
#include <sched.h>
#include <seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "base/util.h"

#define DESCRIPTORS_MAX 512

static const int allowed[] = {
    SCMP_SYS(read),        SCMP_SYS(write),         SCMP_SYS(readv),        SCMP_SYS(writev),       SCMP_SYS(recvmsg),
    SCMP_SYS(sendmsg),     SCMP_SYS(recvfrom),      SCMP_SYS(sendto),       SCMP_SYS(connect),      SCMP_SYS(accept4),
    SCMP_SYS(shutdown),    SCMP_SYS(setsockopt),    SCMP_SYS(close),        SCMP_SYS(fcntl),        SCMP_SYS(fstat),
    SCMP_SYS(newfstatat),  SCMP_SYS(epoll_wait),    SCMP_SYS(epoll_pwait),  SCMP_SYS(epoll_ctl),    SCMP_SYS(munmap),
    SCMP_SYS(mremap),      SCMP_SYS(madvise),       SCMP_SYS(brk),          SCMP_SYS(futex),        SCMP_SYS(clock_gettime),
    SCMP_SYS(gettimeofday), SCMP_SYS(unlink),       SCMP_SYS(rt_sigreturn), SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigaction),
    SCMP_SYS(getpid),      SCMP_SYS(gettid),        SCMP_SYS(restart_syscall), SCMP_SYS(exit),      SCMP_SYS(exit_group),
    SCMP_SYS(pipe2),       SCMP_SYS(fallocate),     SCMP_SYS(pwrite64), /* slices of the machine's memory */
};

static int forbid_calls(void)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    int error = filter ? 0 : -ENOMEM;
    for (size_t i = 0; !error && i < HIRA_ARRAY_SIZE(allowed); i++)
        error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, allowed[i], 0);
    if (!error)
        error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1, SCMP_A0(SCMP_CMP_EQ, AF_UNIX, 0));
    if (!error) /* no new code */
        error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1, SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
    if (!error)
        error = seccomp_load(filter);
    seccomp_release(filter);
    return error;
}

int bridge_confine(char *missing, size_t size)
{
    const struct rlimit descriptors = {DESCRIPTORS_MAX, DESCRIPTORS_MAX}, core = {0, 0};
    setrlimit(RLIMIT_NOFILE, &descriptors);
    setrlimit(RLIMIT_CORE, &core);
    prctl(PR_SET_DUMPABLE, 0);
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return -errno;
    /* Sockets with names are found as before; abstract ones and every network are not. */
    if (unshare(CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWIPC) < 0 && unshare(CLONE_NEWNET | CLONE_NEWIPC) < 0)
        snprintf(missing, size, "namespaces (%s)", strerror(errno));
    return forbid_calls();
}
