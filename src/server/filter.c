/*
 * The system calls of a server and of what it starts.
 *
 * An allow-list: what is not named below fails with ENOSYS, so that a C library newer than this list falls back to what
 * it did before the call existed. What exists, is refused on purpose and is asked for by programs that handle a refusal
 * (EPERM) better than an absence, is named as refused. Allowed is what a vendor's library with a compiler in it does:
 * files, memory that can be executed, threads, processes (a linker is run). The kernel's own checks bound each of those
 * further: the server has no capability and sees only its own namespaces.
 *
 * The list is built once, by the zygote, and loaded as it is in each server: libseccomp takes milliseconds for what the
 * kernel takes microseconds.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd.h"
#include "server/sandbox.h"

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x80
#endif
#define BUILD_SECONDS 10 /* it takes milliseconds */
#define NAMESPACES                                                                                                     \
    (CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET |       \
     CLONE_NEWTIME)
/* An argument's lower half, which is all that the kernel takes of an int. */
#define ARGUMENT_IS(at, value) SCMP_CMP(at, SCMP_CMP_MASKED_EQ, 0xffffffffu, (value))
#define FIRST_IS(value) ARGUMENT_IS(0, value)

/* clang-format off */
/* Names that this machine's libseccomp or architecture does not have are passed over. */
static const char *const allowed[] = {
    /* descriptors that are there, and files: the view decides which exist */
    "read", "write", "readv", "writev", "pread64", "pwrite64", "preadv", "pwritev", "preadv2", "pwritev2", "lseek", "_llseek", "close",
    "close_range", "dup", "dup2", "dup3", "fcntl", "fcntl64", "flock", "ioctl", "open", "openat", "creat", "access", "faccessat",
    "faccessat2", "stat", "stat64", "lstat", "lstat64", "fstat", "fstat64", "fstatat64", "newfstatat", "statx", "statfs", "statfs64",
    "fstatfs", "fstatfs64", "readlink", "readlinkat", "getdents", "getdents64", "getcwd", "chdir", "fchdir", "mkdir", "mkdirat",
    "rmdir", "unlink", "unlinkat", "rename", "renameat", "renameat2", "link", "linkat", "symlink", "symlinkat", "chmod", "fchmod",
    "fchmodat", "fchmodat2", "chown", "fchown", "lchown", "fchownat", "truncate", "truncate64", "ftruncate", "ftruncate64", "fallocate",
    "fsync", "fdatasync", "utime", "utimes", "utimensat", "futimesat", "umask", "sendfile", "sendfile64", "copy_file_range", "fadvise64",
    "fadvise64_64", "readahead", "sync_file_range", "getxattr", "lgetxattr", "fgetxattr", "listxattr", "llistxattr", "flistxattr",
    /* memory, executable too: compilers write code */
    "brk", "mmap", "mmap2", "munmap", "mremap", "mprotect", "madvise", "msync", "mincore", "mlock", "mlock2", "munlock", "mlockall",
    "munlockall", "memfd_create", "membarrier", "pkey_alloc", "pkey_free", "pkey_mprotect", "get_mempolicy", "set_mempolicy", "mbind",
    /* threads, processes, programs (without namespaces: see below); clone3 stays out, its flags cannot be looked at */
    "fork", "vfork", "execve", "execveat", "exit", "exit_group", "wait4", "waitid", "waitpid", "set_tid_address", "set_robust_list",
    "get_robust_list", "futex", "futex_time64", "futex_waitv", "futex_wake", "futex_wait", "futex_requeue", "rseq", "sched_yield",
    "sched_getaffinity", "sched_setaffinity", "sched_getparam", "sched_setparam", "sched_getscheduler", "sched_setscheduler",
    "sched_getattr", "sched_setattr", "sched_get_priority_max", "sched_get_priority_min", "sched_rr_get_interval", "getpriority",
    "setpriority", "getcpu", "arch_prctl", "set_thread_area", "get_thread_area", "prctl", "getpid", "getppid", "gettid", "getpgid",
    "getpgrp", "setpgid", "getsid", "setsid", "getuid", "geteuid", "getgid", "getegid", "getresuid", "getresgid", "getgroups", "getuid32",
    "geteuid32", "getgid32", "getegid32", "getresuid32", "getresgid32", "getgroups32", "capget", "getrlimit", "ugetrlimit", "setrlimit",
    "getrusage", "times", "sysinfo", "uname", "restart_syscall",
    /* signals: among the processes of the namespace */
    "kill", "tkill", "tgkill", "rt_sigaction", "rt_sigprocmask", "rt_sigpending", "rt_sigsuspend", "rt_sigtimedwait",
    "rt_sigtimedwait_time64", "rt_sigreturn", "rt_sigqueueinfo", "rt_tgsigqueueinfo", "sigreturn", "sigaltstack", "signalfd",
    "signalfd4", "pause",
    /* time, waiting */
    "time", "gettimeofday", "clock_gettime", "clock_gettime64", "clock_getres", "clock_getres_time64", "nanosleep", "clock_nanosleep",
    "clock_nanosleep_time64", "alarm", "getitimer", "setitimer", "timer_create", "timer_settime", "timer_gettime", "timer_getoverrun",
    "timer_delete", "timerfd_create", "timerfd_settime", "timerfd_gettime", "poll", "ppoll", "ppoll_time64", "select", "_newselect",
    "pselect6", "pselect6_time64", "epoll_create", "epoll_create1", "epoll_ctl", "epoll_wait", "epoll_pwait", "epoll_pwait2", "eventfd",
    "eventfd2", "pipe", "pipe2", "getrandom",
    /* sockets that are there: the guest's and hirad's */
    "sendto", "sendmsg", "sendmmsg", "recvfrom", "recvmsg", "recvmmsg", "shutdown", "getsockopt", "getsockname", "getpeername",
};

static const char *const refused[] = {
    /* the network, and sockets of the machine's services */
    "socket", "connect", "bind", "listen", "accept", "accept4",
    /* other processes */
    "ptrace", "process_vm_readv", "process_vm_writev", "process_madvise", "process_mrelease", "kcmp", "pidfd_open", "pidfd_getfd",
    "pidfd_send_signal", "migrate_pages", "move_pages",
    /* namespaces, mounts, roots */
    "unshare", "setns", "mount", "umount", "umount2", "pivot_root", "chroot", "fsopen", "fsconfig", "fsmount", "fspick", "move_mount",
    "open_tree", "mount_setattr", "open_by_handle_at", "name_to_handle_at", "mknod", "mknodat", "quotactl", "quotactl_fd", "acct",
    "fanotify_init", "fanotify_mark", "swapon", "swapoff",
    /* who it is */
    "setuid", "setgid", "setreuid", "setregid", "setresuid", "setresgid", "setfsuid", "setfsgid", "setgroups", "setuid32", "setgid32",
    "setreuid32", "setregid32", "setresuid32", "setresgid32", "setfsuid32", "setfsgid32", "setgroups32", "capset",
    /* the kernel's programmable parts, and where its faults were found most */
    "bpf", "perf_event_open", "userfaultfd", "io_uring_setup", "io_uring_enter", "io_uring_register", "keyctl", "add_key",
    "request_key", "io_setup", "io_submit", "io_destroy", "io_getevents", "io_cancel", "io_pgetevents", "vmsplice", "modify_ldt",
    "remap_file_pages", "seccomp",
    /* the machine */
    "init_module", "finit_module", "delete_module", "create_module", "kexec_load", "kexec_file_load", "reboot", "iopl", "ioperm",
    "settimeofday", "clock_settime", "clock_settime64", "adjtimex", "clock_adjtime", "clock_adjtime64", "sethostname",
    "setdomainname", "syslog", "vhangup", "nfsservctl", "lookup_dcookie", "uselib", "ustat", "sysfs", "_sysctl",
};
/* clang-format on */

static int add_names(scmp_filter_ctx ctx, uint32_t action, const char *const *names, size_t n)
{
    int error = 0;
    for (size_t i = 0; i < n && !error; i++) {
        int number = seccomp_syscall_resolve_name(names[i]);
        if (number >= 0)
            error = seccomp_rule_add(ctx, action, number, 0);
    }
    return error;
}

/* Options of sockets: those of a socket itself that change how it waits and how much it holds. Of the others some load
 * a program into the kernel, and a guest may hand its server a socket of any kind. */
static int add_options(scmp_filter_ctx ctx)
{
    static const int harmless[] = {SO_SNDBUF,   SO_RCVBUF,   SO_SNDTIMEO,  SO_RCVTIMEO, SO_LINGER,
                                   SO_PASSCRED, SO_PRIORITY, SO_KEEPALIVE, SO_REUSEADDR};
    static const int programs[] = {SO_ATTACH_FILTER, SO_ATTACH_BPF, SO_ATTACH_REUSEPORT_CBPF, SO_ATTACH_REUSEPORT_EBPF};
    int error = 0;
    for (size_t i = 0; i < HIRA_ARRAY_SIZE(harmless) && !error; i++)
        error = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(setsockopt), 2, ARGUMENT_IS(1, SOL_SOCKET),
                                 ARGUMENT_IS(2, (unsigned)harmless[i]));
    for (size_t i = 0; i < HIRA_ARRAY_SIZE(programs) && !error; i++)
        error = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(setsockopt), 2, ARGUMENT_IS(1, SOL_SOCKET),
                                 ARGUMENT_IS(2, (unsigned)programs[i]));
    return error;
}

/* Calls whose arguments decide. */
static int add_particular(scmp_filter_ctx ctx)
{
    static const uint32_t flags[] = {CLONE_NEWNS,   CLONE_NEWCGROUP, CLONE_NEWUTS, CLONE_NEWIPC,
                                     CLONE_NEWUSER, CLONE_NEWPID,    CLONE_NEWNET, CLONE_NEWTIME};
#if defined(__s390x__)
    const unsigned at = 1;
#else
    const unsigned at = 0;
#endif
    int error =
        seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1, SCMP_CMP(at, SCMP_CMP_MASKED_EQ, NAMESPACES, 0));
    for (size_t i = 0; i < HIRA_ARRAY_SIZE(flags) && !error; i++)
        error = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1,
                                 SCMP_CMP(at, SCMP_CMP_MASKED_EQ, flags[i], flags[i]));
    /* A pair of sockets of its own reaches nobody. */
    if (!error)
        error = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(socketpair), 1, FIRST_IS(AF_UNIX));
    /* Its own limits, which can only go down; other processes' are none of its business. */
    if (!error)
        error = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(prlimit64), 1, FIRST_IS(0));
    /* Asking for the personality is harmless, others than the ordinary one have weakened protections. */
    if (!error)
        error = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(personality), 1, FIRST_IS(0xffffffff));
    if (!error)
        error = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(personality), 1, FIRST_IS(0));
    return error;
}

/* The program that libseccomp makes, as the kernel takes it. */
static struct sock_fprog *take_program(scmp_filter_ctx ctx)
{
    struct stat st;
    HIRA_AUTOCLOSE int fd = memfd_create("filter", MFD_CLOEXEC);
    struct sock_fprog *program = fd < 0 ? NULL : calloc(1, sizeof *program);
    if (!program || seccomp_export_bpf(ctx, fd) < 0 || fstat(fd, &st) < 0 ||
        !(program->filter = malloc((size_t)st.st_size)) || lseek(fd, 0, SEEK_SET) < 0 ||
        hira_fd_read_all(fd, program->filter, (size_t)st.st_size) < 0) {
        if (program)
            free(program->filter);
        free(program);
        return NULL;
    }
    program->len = (unsigned short)((size_t)st.st_size / sizeof *program->filter);
    return program;
}

int hira_filter_build(struct hira_sandbox *s)
{
    /* Without memory libseccomp may not come back: then this process ends, and is started again by who needs it. */
    alarm(BUILD_SECONDS);
    scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ERRNO(ENOSYS));
    if (!ctx) {
        alarm(0);
        return -ENOMEM;
    }
    /* Calls of another architecture's table (32 bit, x32) are as unknown as those of a later kernel. */
    int error = seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_ERRNO(ENOSYS));
    seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2); /* a tree: older libseccomps have no such thing */
    if (!error)
        error = add_names(ctx, SCMP_ACT_ALLOW, allowed, HIRA_ARRAY_SIZE(allowed));
    if (!error)
        error = add_names(ctx, SCMP_ACT_ERRNO(EPERM), refused, HIRA_ARRAY_SIZE(refused));
    if (!error)
        error = add_particular(ctx);
    if (!error)
        error = add_options(ctx);
    if (!error && !(s->filter = take_program(ctx)))
        error = -ENOMEM;
    seccomp_release(ctx);
    alarm(0);
    return error;
}

bool hira_filter_possible(void)
{
    uint32_t action = SECCOMP_RET_ERRNO;
    return syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0;
}

int hira_filter_enter(const struct hira_sandbox *s)
{
    if (!s->filter)
        return -EINVAL;
    /* One thread, so nothing to synchronize. */
    return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, s->filter) < 0 ? -errno : 0;
}
