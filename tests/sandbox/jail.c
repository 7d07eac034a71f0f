/*
 * An API server without an API that tries what a guest who has taken it over would try. Its guest sends "WHAT
 * ARGUMENT..." and gets "ERRNO TEXT": how that ended. With "child " before it a program that the server executes tries
 * instead.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/sched.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "server/zygote.h"

static char text[8192]; /* of the answer */

__attribute__((format(printf, 1, 2))) static void add(const char *format, ...)
{
    size_t n = strlen(text);
    va_list args;
    va_start(args, format);
    vsnprintf(text + n, sizeof text - n, format, args);
    va_end(args);
}

static int result(long value)
{
    return value < 0 ? errno : 0;
}

/* ---- pages of its tenant ---- */

/* Its tenant's limits are hirad's to write: neither the mapping nor the process' memory as a file gives a way. A program that it executes has
 * not even a mapping. */
static int try_write_limits(char **a)
{
    (void)a;
    void *limits = (void *)(uintptr_t)hira_zygote_limits();
    if (!limits)
        return EACCES;
    if (mprotect(limits, 4096, PROT_READ | PROT_WRITE) == 0)
        return 0;
    int error = errno;
    HIRA_AUTOCLOSE int fd = open("/proc/self/mem", O_WRONLY | O_CLOEXEC);
    return fd >= 0 && pwrite(fd, "x", 1, (off_t)(uintptr_t)limits) == 1 ? 0 : error;
}

/* ---- files ---- */

static int try_read(char **a)
{
    char data[64];
    HIRA_AUTOCLOSE int fd = open(a[0], O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return errno;
    return result(read(fd, data, sizeof data));
}

static int try_write(char **a)
{
    HIRA_AUTOCLOSE int fd = open(a[0], O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    return fd < 0 ? errno : result(write(fd, "x", 1));
}

static int try_list(char **a)
{
    DIR *dir = opendir(a[0]);
    if (!dir)
        return errno;
    for (struct dirent *e; (e = readdir(dir));)
        if (e->d_name[0] != '.')
            add("%s ", e->d_name);
    closedir(dir);
    return 0;
}

/* Whether anything but the private root can be reached from a descriptor that was there. */
static int try_descriptors(char **a)
{
    (void)a;
    for (int fd = 0; fd < 1024; fd++) {
        char link[64], path[256];
        struct stat st;
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        ssize_t n = fstat(fd, &st) == 0 ? readlink(link, path, sizeof path - 1) : -1;
        if (n < 0)
            continue;
        path[n] = 0;
        add("%s%s ", path, S_ISDIR(st.st_mode) ? "(folder)" : "");
    }
    return 0;
}

/* The program that runs, by the one path that leads out of the root: it must not be one that this user could ever
 * write. */
static int try_program(char **a)
{
    (void)a;
    struct statvfs vfs;
    struct stat st;
    HIRA_AUTOCLOSE int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstatvfs(fd, &vfs) < 0 || fstat(fd, &st) < 0)
        return errno;
    if (vfs.f_flag & ST_RDONLY)
        return EROFS;
    int seals = fcntl(fd, F_GET_SEALS);
    if (seals >= 0 && seals & F_SEAL_WRITE)
        return EROFS;
    return st.st_uid == geteuid() ? 0 : EACCES;
}

static int try_file_size(char **a)
{
    signal(SIGXFSZ, SIG_IGN);
    HIRA_AUTOCLOSE int fd = open("big", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    int error = fd < 0 ? errno : result(ftruncate(fd, (off_t)strtoull(a[0], NULL, 10) << 20));
    unlink("big");
    return error;
}

static int try_fill(char **a)
{
    static char block[1 << 20];
    unsigned long long mib = strtoull(a[0], NULL, 10);
    HIRA_AUTOCLOSE int fd = open("fill", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    int error = fd < 0 ? errno : 0;
    for (unsigned long long i = 0; i < mib && !error; i++)
        error = result(write(fd, block, sizeof block));
    unlink("fill");
    return error;
}

/* ---- network ---- */

static int try_connect(char **a)
{
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(a[0])), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    HIRA_AUTOCLOSE int fd = socket(AF_INET, SOCK_STREAM, 0);
    return fd < 0 ? errno : result(connect(fd, (void *)&to, sizeof to));
}

static int try_listen(char **a)
{
    (void)a;
    struct sockaddr_in at = {.sin_family = AF_INET};
    HIRA_AUTOCLOSE int fd = socket(AF_INET, SOCK_STREAM, 0);
    return fd < 0 ? errno : result(bind(fd, (void *)&at, sizeof at) || listen(fd, 1));
}

static int try_unix(char **a)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    HIRA_AUTOCLOSE int fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);
    snprintf(to.sun_path, sizeof to.sun_path, "%s", a[0]);
    return fd < 0 ? errno : result(connect(fd, (void *)&to, sizeof to));
}

static int try_socketpair(char **a)
{
    int ends[2] = {-1, -1};
    int error = result(socketpair(atoi(a[0]), SOCK_STREAM, 0, ends));
    hira_fd_closep(&ends[0]);
    hira_fd_closep(&ends[1]);
    return error;
}

static int try_option(char **a)
{
    int ends[2] = {-1, -1}, size = atoi(a[0]);
    int error = result(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) || setsockopt(ends[0], SOL_SOCKET, SO_RCVBUF, &size, sizeof size));
    hira_fd_closep(&ends[0]);
    hira_fd_closep(&ends[1]);
    return error;
}

/* Programs for the kernel, by the ways that lead through a socket; also by numbers of which the kernel takes the lower half. 0, or how the
 * one failed that failed otherwise than the first. */
static int try_program_socket(char **a)
{
    static const long options[] = {SO_ATTACH_FILTER, SO_ATTACH_BPF, SO_ATTACH_REUSEPORT_CBPF, SO_ATTACH_REUSEPORT_EBPF};
    static const long levels[] = {SOL_SOCKET, 0x700000000l | SOL_SOCKET};
    struct sock_filter pass = {BPF_RET | BPF_K, 0, 0, 0xffff};
    struct sock_fprog program = {1, &pass};
    int ends[2], error = 0;
    (void)a;
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) < 0)
        return errno;
    for (size_t i = 0; i < 2 * HIRA_ARRAY_SIZE(options); i++) {
        long option = options[i / 2] | (i % 2 ? 0x500000000l : 0);
        int one = result(syscall(SYS_setsockopt, ends[0], levels[i % 2], option, &program, sizeof program));
        if (i && one != error) {
            error = one;
            break;
        }
        error = one;
    }
    close(ends[0]);
    close(ends[1]);
    return error;
}

/* ---- processes ---- */

static int try_kill(char **a)
{
    return result(kill(atoi(a[0]), 0));
}

static int try_processes(char **a)
{
    int most = atoi(a[0]), n, error = 0, go[2];
    if (pipe(go) < 0)
        return errno;
    for (n = 0; n < most; n++) {
        pid_t pid = fork();
        if (pid == 0) {
            char byte;
            close(go[1]);
            _exit(read(go[0], &byte, 1) > 1);
        }
        if (pid < 0) {
            error = errno;
            break;
        }
    }
    close(go[1]);
    close(go[0]);
    for (int i = 0; i < n; i++)
        wait(NULL);
    add("%d", n);
    return error;
}

/* A process that would go on for ever, were it let. */
static int try_stay(char **a)
{
    (void)a;
    pid_t pid = fork();
    if (pid)
        return result(pid);
    if (fork())
        _exit(0);
    setsid();
    for (int i = 1; i < NSIG; i++)
        signal(i, SIG_IGN);
    for (int fd = 0; fd < 1024; fd++)
        close(fd);
    prctl(PR_SET_NAME, "hira-stayed");
    for (;;)
        pause();
}

static int try_abort(char **a)
{
    (void)a;
    abort();
}

static int try_execute(char **a)
{
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        execv(a[0], a);
        _exit(errno);
    }
    return pid < 0 || waitpid(pid, &status, 0) < 0 ? errno : WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}

static int try_files(char **a)
{
    int fds[4096], n = 0, error = 0, most = HIRA_MIN(atoi(a[0]), 4096);
    while (n < most && !error) {
        fds[n] = open("/dev/null", O_RDONLY | O_CLOEXEC);
        error = fds[n] < 0 ? errno : 0;
        n += !error;
    }
    add("%d", n);
    while (n)
        close(fds[--n]);
    return error;
}

static int try_memory(char **a)
{
    size_t size = (size_t)strtoull(a[0], NULL, 10) << 20;
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED)
        return errno;
    munmap(p, size);
    return 0;
}

/* Memory that no limit of a process counts. */
static int try_memory_file(char **a)
{
    static char block[1 << 20];
    HIRA_AUTOCLOSE int fd = memfd_create("much", MFD_CLOEXEC);
    unsigned long long mib = strtoull(a[0], NULL, 10);
    int error = fd < 0 ? errno : 0;
    memset(block, 1, sizeof block);
    for (unsigned long long i = 0; i < mib && !error; i++)
        error = result(write(fd, block, sizeof block));
    return error;
}

/* Memory that another process's descriptor or mapping stands for. */
static int try_peek(char **a)
{
    static const char *const ways[] = {"fd", "map_files", "mem", "maps", "root", "cwd"};
    int error = ENOENT;
    for (size_t i = 0; i < HIRA_ARRAY_SIZE(ways); i++) {
        char path[64];
        snprintf(path, sizeof path, "/proc/%s/%s", a[0], ways[i]);
        HIRA_AUTOCLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd >= 0)
            return 0;
        error = errno;
    }
    return error;
}

static int try_limits(char **a)
{
    static const int which[] = {RLIMIT_AS, RLIMIT_DATA, RLIMIT_NPROC, RLIMIT_NOFILE, RLIMIT_FSIZE, RLIMIT_CORE, RLIMIT_MEMLOCK};
    (void)a;
    for (size_t i = 0; i < HIRA_ARRAY_SIZE(which); i++) {
        struct rlimit limit;
        getrlimit(which[i], &limit);
        if (limit.rlim_max < RLIM_INFINITY) {
            limit.rlim_cur = limit.rlim_max + 1;
            limit.rlim_max++;
            if (setrlimit(which[i], &limit) == 0)
                return 0;
        }
    }
    return errno;
}

static void *nothing(void *p)
{
    return p;
}

static int try_thread(char **a)
{
    pthread_t thread;
    (void)a;
    int error = pthread_create(&thread, NULL, nothing, NULL);
    return error ? error : pthread_join(thread, NULL);
}

/* What a compiler does: writes code to a file and runs it from there. */
static int try_code(char **a)
{
#if defined(__x86_64__)
    static const unsigned char code[] = {0xb8, 42, 0, 0, 0, 0xc3};
#else
    static const unsigned char code[] = {0};
#endif
    HIRA_AUTOCLOSE int fd = open(a[0], O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, code, sizeof code) != sizeof code)
        return errno;
    void *p = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);
    if (p == MAP_FAILED)
        return errno;
    add("%d", sizeof code > 1 ? ((int (*)(void))p)() : 42);
    munmap(p, 4096);
    return 0;
}

/* ---- privileges ---- */

static int try_privileges(char **a)
{
    struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct caps[2] = {{0}, {0}};
    unsigned bound = 0;
    (void)a;
    syscall(SYS_capget, &head, caps);
    for (int i = 0; prctl(PR_CAPBSET_READ, i) >= 0; i++)
        bound += prctl(PR_CAPBSET_READ, i) > 0;
    add("uid=%u euid=%u caps=%x,%x bound=%u nnp=%d seccomp=%d", getuid(), geteuid(),
        caps[0].permitted | caps[0].effective, caps[1].permitted | caps[1].effective, bound,
        prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), prctl(PR_GET_SECCOMP));
    return 0;
}

/* ---- system calls that need no more than being asked for ---- */

static const struct {
    const char *name;
    long number, a[4];
} calls[] = {
    {"ptrace", SYS_ptrace, {0}},
    {"process_vm_readv", SYS_process_vm_readv, {1}},
    {"pidfd_open", SYS_pidfd_open, {1}},
    {"pidfd_getfd", SYS_pidfd_getfd, {0}},
    {"kcmp", SYS_kcmp, {1, 1}},
    {"unshare-user", SYS_unshare, {CLONE_NEWUSER}},
    {"unshare-files", SYS_unshare, {CLONE_NEWNS}},
    {"clone-user", SYS_clone, {CLONE_NEWUSER | SIGCHLD}},
    {"clone-network", SYS_clone, {CLONE_NEWNET | CLONE_NEWPID | SIGCHLD}},
    {"setns", SYS_setns, {0}},
    {"mount", SYS_mount, {(long)"none", (long)"/tmp", (long)"tmpfs"}},
    {"umount", SYS_umount2, {(long)"/usr", 2}},
    {"pivot_root", SYS_pivot_root, {(long)".", (long)"."}},
    {"chroot", SYS_chroot, {(long)"/tmp"}},
    {"open_tree", SYS_open_tree, {-100, (long)"/", 1}},
    {"fsopen", SYS_fsopen, {(long)"tmpfs", 0}},
    {"mount_setattr", SYS_mount_setattr, {-100, (long)"/usr", 0}},
    {"mknod", SYS_mknodat, {-100, (long)"/tmp/disk", S_IFBLK | 0600, 0x800}},
    {"open_by_handle_at", SYS_open_by_handle_at, {0}},
    {"setuid", SYS_setuid, {0}},
    {"setgid", SYS_setgid, {0}},
    {"setgroups", SYS_setgroups, {0}},
    {"bpf", SYS_bpf, {0}},
    {"perf_event_open", SYS_perf_event_open, {0}},
    {"userfaultfd", SYS_userfaultfd, {0}},
    {"io_uring_setup", SYS_io_uring_setup, {8}},
    {"keyctl", SYS_keyctl, {0, -3}},
    {"add_key", SYS_add_key, {(long)"user", (long)"x", (long)"x", 1}},
    {"init_module", SYS_init_module, {0}},
    {"finit_module", SYS_finit_module, {0}},
    {"kexec_load", SYS_kexec_load, {0}},
    {"reboot", SYS_reboot, {0}},
    {"syslog", SYS_syslog, {3}},
    {"sethostname", SYS_sethostname, {(long)"x", 1}},
    {"settimeofday", SYS_settimeofday, {0}},
    {"swapon", SYS_swapon, {(long)"/tmp/x"}},
    {"quotactl", SYS_quotactl, {0}},
    {"fanotify_init", SYS_fanotify_init, {0}},
    {"personality", SYS_personality, {0x0400000}},
    {"clone3", SYS_clone3, {0}},
    {"shmget", SYS_shmget, {1, 4096, 01600}},
    {"unknown", 100000, {0}},
#if defined(__x86_64__)
    {"iopl", SYS_iopl, {3}},
    {"x32", 0x40000000 | SYS_getpid, {0}},
#endif
};

static int try_call(char **a)
{
    for (size_t i = 0; i < HIRA_ARRAY_SIZE(calls); i++) {
        if (strcmp(calls[i].name, a[0]) != 0)
            continue;
        pid_t self = getpid();
        long value = syscall(calls[i].number, calls[i].a[0], calls[i].a[1], calls[i].a[2], calls[i].a[3]);
        if (value == 0 && getpid() != self)
            _exit(0);
        return result(value);
    }
    return EINVAL;
}

static int try_calls(char **a)
{
    (void)a;
    for (size_t i = 0; i < HIRA_ARRAY_SIZE(calls); i++)
        add("%s ", calls[i].name);
    return 0;
}

static int try_where(char **a)
{
    (void)a;
    add("%s %s %s", getenv("TMPDIR"), getenv("HOME"), getenv("JAIL_CACHE"));
    return 0;
}

static const struct {
    const char *name;
    int (*run)(char **arguments);
    unsigned n;
} attempts[] = {
    {"write-limits", try_write_limits, 0},
    {"read", try_read, 1},
    {"write", try_write, 1},
    {"list", try_list, 1},
    {"descriptors", try_descriptors, 0},
    {"file-size", try_file_size, 1},
    {"fill", try_fill, 1},
    {"connect", try_connect, 1},
    {"listen", try_listen, 0},
    {"unix", try_unix, 1},
    {"socketpair", try_socketpair, 1},
    {"option", try_option, 1},
    {"socket-program", try_program_socket, 0},
    {"kill", try_kill, 1},
    {"processes", try_processes, 1},
    {"stay", try_stay, 0},
    {"abort", try_abort, 0},
    {"execute", try_execute, 1},
    {"files", try_files, 1},
    {"memory", try_memory, 1},
    {"peek", try_peek, 1},
    {"limits", try_limits, 0},
    {"thread", try_thread, 0},
    {"code", try_code, 1},
    {"privileges", try_privileges, 0},
    {"call", try_call, 1},
    {"calls", try_calls, 0},
    {"memory-file", try_memory_file, 1},
    {"where", try_where, 0},
    {"program", try_program, 0},
};

static int attempt(char **words, unsigned n)
{
    for (size_t i = 0; n && i < HIRA_ARRAY_SIZE(attempts); i++)
        if (!strcmp(attempts[i].name, words[0]) && n > attempts[i].n)
            return attempts[i].run(words + 1);
    return EINVAL;
}

/* As a program of its own, whose answer comes through a pipe. */
static int attempt_in_child(char **words)
{
    int ends[2], error = EIO;
    ssize_t n;
    char answer[sizeof text];
    if (pipe(ends) < 0)
        return errno;
    pid_t pid = fork();
    if (pid == 0) {
        char *args[10] = {"jail", "--attempt"};
        for (int i = 0; i < 7 && words[i]; i++)
            args[i + 2] = words[i];
        dup2(ends[1], STDOUT_FILENO);
        execv("/proc/self/exe", args);
        _exit(127);
    }
    close(ends[1]);
    size_t size = 0;
    while ((n = read(ends[0], answer + size, sizeof answer - 1 - size)) > 0)
        size += (size_t)n;
    answer[size] = 0;
    close(ends[0]);
    waitpid(pid, NULL, 0);
    char *rest = NULL;
    if (size)
        error = (int)strtol(answer, &rest, 10);
    add("%s", rest ? rest + 1 : "no answer");
    return error;
}

static int serve(int sock, const struct hira_hello *hello, size_t hello_size, const struct hira_adopt *adopt)
{
    struct hira_welcome m = {.head = hira_message_head(HIRA_MSG_WELCOME, sizeof m), .server_pid = hira_zygote_pid()};
    char line[1024], answer[sizeof text + 32];
    (void)hello, (void)hello_size, (void)adopt;
    if (hira_fd_send(sock, &m, sizeof m, NULL, 0) < 0)
        return 1;
    for (;;) {
        ssize_t n = hira_fd_receive(sock, line, sizeof line - 1, NULL, NULL, 0);
        char *words[9] = {NULL}, *rest = NULL;
        unsigned count = 0;
        if (n <= 0)
            return n ? 1 : 0;
        line[n] = 0;
        text[0] = 0;
        for (char *w = strtok_r(line, " ", &rest); w && count < 8; w = strtok_r(NULL, " ", &rest))
            words[count++] = w;
        int error = count && !strcmp(words[0], "child") ? attempt_in_child(words + 1) : attempt(words, count);
        int size = snprintf(answer, sizeof answer, "%d %s", error, text);
        hira_fd_send(sock, answer, (size_t)size, NULL, 0);
    }
}

int main(int argc, char **argv)
{
    static const char *const wishes[] = {"JAIL_*", NULL};
    const struct hira_zygote_ops ops = {
        .api = "jail", .serve = serve, .guest_environment = wishes, .cache = "JAIL_CACHE"};
    if (argc > 2 && !strcmp(argv[1], "--attempt")) {
        int error = attempt(argv + 2, (unsigned)argc - 2);
        printf("%d %s", error, text);
        return 0;
    }
    return hira_zygote_main(argc, argv, &ops);
}
