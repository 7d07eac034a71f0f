/* See confine.h.
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0 */
#include "base/confine.h"

#include <errno.h>
#include <sched.h>
#include <seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "base/sanitized.h"
#include "base/util.h"

/* clang-format off */
static const int always[] = {
    SCMP_SYS(read), SCMP_SYS(write), SCMP_SYS(readv), SCMP_SYS(writev), SCMP_SYS(recvmsg), SCMP_SYS(sendmsg), SCMP_SYS(recvfrom),
    SCMP_SYS(sendto), SCMP_SYS(shutdown), SCMP_SYS(setsockopt), SCMP_SYS(close), SCMP_SYS(fcntl), SCMP_SYS(fstat),
    SCMP_SYS(newfstatat), SCMP_SYS(munmap), SCMP_SYS(mremap), SCMP_SYS(madvise), SCMP_SYS(brk), SCMP_SYS(futex),
    SCMP_SYS(clock_gettime), SCMP_SYS(gettimeofday), SCMP_SYS(rt_sigreturn), SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigaction), SCMP_SYS(getpid), SCMP_SYS(gettid),
    SCMP_SYS(restart_syscall), SCMP_SYS(exit), SCMP_SYS(exit_group),
#if HIRA_SANITIZED || HIRA_SANITIZED_THREADS
    SCMP_SYS(sigaltstack), SCMP_SYS(sched_yield), SCMP_SYS(readlink), SCMP_SYS(getrlimit), SCMP_SYS(tgkill),
#endif
};

static const int for_threads[] = {
    SCMP_SYS(set_robust_list), SCMP_SYS(rseq), SCMP_SYS(sigaltstack), SCMP_SYS(sched_getaffinity), SCMP_SYS(sched_setaffinity),
    SCMP_SYS(getcpu), SCMP_SYS(clock_nanosleep), SCMP_SYS(nanosleep),
};
/* clang-format on */

static int add_all(scmp_filter_ctx filter, const int *calls, size_t n)
{
    int error = 0;
    for (size_t i = 0; !error && i < n; i++)
        error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, calls[i], 0);
    return error;
}

/* A thread is made of this process; the flags of clone3 cannot be looked at, and without it the C library takes clone.
 */
static int add_threads(scmp_filter_ctx filter)
{
    int error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
                                 SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD | CLONE_VM, CLONE_THREAD | CLONE_VM));
    if (!error)
        error = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
    return error ? error : add_all(filter, for_threads, HIRA_ARRAY_SIZE(for_threads));
}

static int forbid_calls(const struct hira_confinement *c)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    int error = filter ? add_all(filter, always, HIRA_ARRAY_SIZE(always)) : -ENOMEM;
    if (!error)
        error = add_all(filter, c->calls, c->n_calls);
    for (size_t i = 0; !error && i < c->n_families; i++)
        error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1,
                                 SCMP_A0(SCMP_CMP_MASKED_EQ, 0xffffffffu, (scmp_datum_t)c->families[i]));
    if (!error && c->threads)
        error = add_threads(filter);
    if (!error) /* no new code */
        error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1, SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
    if (!error)
        error =
            seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1, SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
    if (!error)
        error = seccomp_load(filter);
    seccomp_release(filter);
    return error;
}

int hira_confine(const struct hira_confinement *c, char *missing, size_t size)
{
    const struct rlimit descriptors = {c->descriptors, c->descriptors}, core = {0, 0};
    setrlimit(RLIMIT_NOFILE, &descriptors);
    setrlimit(RLIMIT_CORE, &core);
    prctl(PR_SET_DUMPABLE, 0);
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return -errno;
    /* Sockets with names are found as before; abstract ones and every network are not. */
    if (c->namespaces && unshare(CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWIPC) < 0 &&
        unshare(CLONE_NEWNET | CLONE_NEWIPC) < 0)
        snprintf(missing, size, "namespaces (%s)", strerror(errno));
    return forbid_calls(c);
}
