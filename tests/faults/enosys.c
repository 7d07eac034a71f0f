/*
 * enosys SYSCALL... -- PROGRAM...: runs a program on a kernel that does not have these system calls yet.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static const struct {
    const char *name;
    unsigned number;
} known[] = {
    {"close_range", SYS_close_range},
    {"pidfd_open", SYS_pidfd_open},
    {"pidfd_send_signal", SYS_pidfd_send_signal},
    {"memfd_create", SYS_memfd_create},
    {"openat2", SYS_openat2},
    {"statx", SYS_statx},
    {"clone3", SYS_clone3},
    {"faccessat2", SYS_faccessat2},
    {"epoll_pwait2", 441},
    {"io_uring_setup", SYS_io_uring_setup},
    {"rseq", SYS_rseq},
    {"getrandom", SYS_getrandom},
    {"prlimit64", SYS_prlimit64},
    {"renameat2", SYS_renameat2},
    {"getcpu", SYS_getcpu},
    {"copy_file_range", SYS_copy_file_range},
    {"preadv2", SYS_preadv2},
    {"membarrier", SYS_membarrier},
};

int main(int argc, char **argv)
{
    struct sock_filter filter[64];
    unsigned short n = 0;
    int i;
    filter[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    for (i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
        for (size_t k = 0; k <= sizeof known / sizeof *known; k++) {
            if (k == sizeof known / sizeof *known) {
                fprintf(stderr, "enosys: no system call %s\n", argv[i]);
                return 2;
            }
            if (strcmp(known[k].name, argv[i]) != 0)
                continue;
            filter[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, known[k].number, 0, 1);
            filter[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS);
            break;
        }
    filter[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    struct sock_fprog program = {n, filter};
    if (i + 1 >= argc || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0) {
        fprintf(stderr, "usage: enosys SYSCALL... -- PROGRAM...: %s\n", strerror(errno));
        return 2;
    }
    execvp(argv[i + 1], argv + i + 1);
    perror(argv[i + 1]);
    return 2;
}
