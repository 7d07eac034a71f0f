/*
 * The layers of a server's sandbox, and which of them there can be: see sandbox.h. What it sees is in view.c, what it
 * may call in filter.c.
 *
 * One way for all: each layer is a step, tried in the same order by a child that only finds out (begin_outer,
 * begin_inner with everything wanted) and by servers (with what that child got). So nothing is promised that was not
 * had.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include "server/sandbox.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/sanitized.h"
#include "base/tree.h"
#include "server/zygote.h"

#define BIT(layer) (1u << (layer))
#define ALL (BIT(HIRA_N_LAYERS) - 1)
#define NAMESPACES                                                                                                     \
    (BIT(HIRA_LAYER_VIEW) | BIT(HIRA_LAYER_PROCESSES) | BIT(HIRA_LAYER_PROC) | BIT(HIRA_LAYER_NETWORK) |               \
     BIT(HIRA_LAYER_IPC))
#define OPTIONAL BIT(HIRA_LAYER_CGROUP) /* missing on most machines, and on no account of anybody's */

static const char *const names[HIRA_N_LAYERS] = {"user", "view",       "processes", "proc",   "network",
                                                 "ipc",  "privileges", "syscalls",  "limits", "cgroup"};

/* What a step could do, among processes that fork in between. */
struct attempt {
    unsigned held;
    int errors[HIRA_N_LAYERS];
    bool own_user, known;
};

static bool wanted(const struct attempt *a, enum hira_layer layer)
{
    return a->held & BIT(layer);
}

static void step(struct attempt *a, enum hira_layer layer, int error)
{
    if (!error)
        return;
    a->held &= ~BIT(layer);
    a->errors[layer] = -error;
}

static void without(struct attempt *a, unsigned layers, int error)
{
    for (unsigned i = 0; i < HIRA_N_LAYERS; i++)
        if (layers & a->held & BIT(i))
            step(a, i, error);
}

/* ---- who it is ---- */

static int write_proc(const char *path, const char *format, unsigned a, unsigned b)
{
    char text[40];
    int n = snprintf(text, sizeof text, format, a, b);
    HIRA_AUTOCLOSE int fd = open(path, O_WRONLY | O_CLOEXEC);
    return fd < 0 || write(fd, text, (size_t)n) != n ? -errno : 0;
}

/* Its user is the only one there. */
static int enter_user_namespace(void)
{
    uid_t uid = geteuid();
    gid_t gid = getegid();
    if (unshare(CLONE_NEWUSER) < 0)
        return -errno;
    int error = write_proc("/proc/self/setgroups", "deny", 0, 0);
    if (!error || error == -ENOENT)
        error = write_proc("/proc/self/uid_map", "%u %u 1", uid, uid);
    return error ? error : write_proc("/proc/self/gid_map", "%u %u 1", gid, gid);
}

static int become(const struct hira_sandbox *s, uid_t uid)
{
    if (setgroups(s->n_groups, s->groups) < 0 || setresgid(uid, uid, uid) < 0 || setresuid(uid, uid, uid) < 0)
        return -errno;
    return 0;
}

static uid_t server_user(const struct hira_sandbox *s, uid_t tenant)
{
    return s->own_user ? s->uid_base + tenant % s->uid_count : geteuid();
}

/* ---- the steps ---- */

/* Before the fork that enters the process namespace. */
static void begin_outer(const struct hira_sandbox *s, struct attempt *a)
{
    if (wanted(a, HIRA_LAYER_USER) && !s->own_user) {
        int error = enter_user_namespace();
        step(a, HIRA_LAYER_USER, error);
        if (error) /* half a namespace, or none: nothing more can be had there */
            without(a, NAMESPACES, error);
    }
    if (wanted(a, HIRA_LAYER_PROCESSES))
        step(a, HIRA_LAYER_PROCESSES, unshare(CLONE_NEWPID) < 0 ? -errno : 0);
    if (!wanted(a, HIRA_LAYER_PROCESSES))
        without(a, BIT(HIRA_LAYER_PROC), -a->errors[HIRA_LAYER_PROCESSES]);
}

static void enter_namespace(struct attempt *a, enum hira_layer layer, int flags)
{
    if (wanted(a, layer))
        step(a, layer, unshare(flags) < 0 ? -errno : 0);
}

/* Becoming another user has made it unreadable in /proc, also to itself. Where others see that /proc it stays so. */
static void set_dumpable(const struct attempt *a)
{
    prctl(PR_SET_DUMPABLE, wanted(a, HIRA_LAYER_PROC) ? 1 : 0);
}

/* While it may: another user may not. Where that fails nothing is to be gained either, for there are no new privileges.
 */
static void drop_bounds(void)
{
    for (int cap = 0; prctl(PR_CAPBSET_READ, cap) >= 0; cap++)
        prctl(PR_CAPBSET_DROP, cap);
}

static int drop_privileges(void)
{
    struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct none[2] = {{0}, {0}};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return -errno;
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    return syscall(SYS_capset, &head, none) < 0 ? -errno : 0;
}

static int set_limit(int which, rlim_t value)
{
    struct rlimit now, limit = {value, value};
    if (getrlimit(which, &now) == 0 && now.rlim_max < value)
        limit.rlim_cur = limit.rlim_max = now.rlim_max;
    return setrlimit(which, &limit) < 0 ? -errno : 0;
}

static uint64_t memory_of_machine(void)
{
    return (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
}

static int set_limits(const struct hira_sandbox *s)
{
    const struct {
        int which;
        rlim_t value;
    } limits[] = {
        {RLIMIT_NPROC, s->own_user ? HIRA_SANDBOX_PROCESSES_OF_TENANT : HIRA_SANDBOX_PROCESSES},
        {RLIMIT_NOFILE, HIRA_SANDBOX_FILES},
        {RLIMIT_FSIZE, HIRA_SANDBOX_FILE_SIZE},
        {RLIMIT_MEMLOCK, HIRA_SANDBOX_LOCKED},
        {RLIMIT_CORE, 0},
        {RLIMIT_RTPRIO, 0},
        {RLIMIT_MSGQUEUE, 0},
    };
    int error = 0;
    for (size_t i = 0; i < HIRA_ARRAY_SIZE(limits) && !error; i++)
        error = set_limit(limits[i].which, limits[i].value);
    /* Drivers of devices reserve addresses for all memory that there could be; there only a cgroup can bound it. */
    if (!error && !HIRA_SANITIZED && !s->devices.n)
        error = set_limit(RLIMIT_DATA, (s->memory ? s->memory : memory_of_machine()) + HIRA_SANDBOX_RESERVED);
    return error;
}

static void begin_inner(const struct hira_sandbox *s, const struct hira_sandboxed *self, struct attempt *a)
{
    const char *mount_point = self ? self->directory : s->work_dir;
    uid_t uid = server_user(s, self ? self->tenant_uid : 0);
    enter_namespace(a, HIRA_LAYER_NETWORK, CLONE_NEWNET);
    enter_namespace(a, HIRA_LAYER_IPC, CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP);
    enter_namespace(a, HIRA_LAYER_VIEW, CLONE_NEWNS);
    if (wanted(a, HIRA_LAYER_VIEW))
        step(a, HIRA_LAYER_VIEW, hira_view_enter(s, self, mount_point, uid, wanted(a, HIRA_LAYER_PROC)));
    if (!wanted(a, HIRA_LAYER_VIEW))
        without(a, BIT(HIRA_LAYER_PROC), -a->errors[HIRA_LAYER_VIEW]);
    if (wanted(a, HIRA_LAYER_PRIVILEGES))
        drop_bounds();
    if (wanted(a, HIRA_LAYER_USER) && s->own_user)
        step(a, HIRA_LAYER_USER, become(s, uid));
    if (wanted(a, HIRA_LAYER_LIMITS))
        step(a, HIRA_LAYER_LIMITS, set_limits(s));
    if (wanted(a, HIRA_LAYER_PRIVILEGES))
        step(a, HIRA_LAYER_PRIVILEGES, drop_privileges());
    set_dumpable(a);
    if (wanted(a, HIRA_LAYER_SYSCALLS)) /* last: it forbids the above */
        step(a, HIRA_LAYER_SYSCALLS, self ? hira_filter_enter(s) : hira_filter_possible() ? 0 : -ENOSYS);
}

/* ---- finding out ---- */

/* Runs it in a child; its return value, or -ECHILD. */
static int aside(int (*what)(struct hira_sandbox *s, struct attempt *a), struct hira_sandbox *s, struct attempt *a)
{
    int status;
    pid_t pid = fork();
    if (pid == 0)
        _exit(what(s, a));
    while (pid > 0 && waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return -ECHILD;
    return pid > 0 && WIFEXITED(status) ? WEXITSTATUS(status) : -ECHILD;
}

static int try_own_user(struct hira_sandbox *s, struct attempt *a)
{
    (void)a;
    return become(s, s->uid_base) < 0;
}

static int try_inner(struct hira_sandbox *s, struct attempt *a)
{
    begin_inner(s, NULL, a);
    return 0;
}

static int try_all(struct hira_sandbox *s, struct attempt *a)
{
    begin_outer(s, a);
    return aside(try_inner, s, a);
}

/* In the child that finds out. */
static void find_out(struct hira_sandbox *s, struct attempt *a)
{
    unsigned layers = a->held;
    s->own_user = a->own_user = geteuid() == 0 && aside(try_own_user, s, a) == 0;
    int ret = aside(try_all, s, a);
    if (ret == 0 && !wanted(a, HIRA_LAYER_VIEW)) {
        /* Perhaps it was only the /proc in it: a container that hides parts of its own gives no other. */
        struct attempt again = {.held = layers & ~BIT(HIRA_LAYER_PROC), .own_user = s->own_user};
        again.errors[HIRA_LAYER_PROC] = a->errors[HIRA_LAYER_VIEW];
        *a = again;
        ret = aside(try_all, s, a);
    }
    a->known = ret == 0;
}

static void start_finding_out(struct hira_sandbox *s)
{
    struct attempt *a = mmap(NULL, sizeof *a, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (a == MAP_FAILED)
        return;
    a->held = ALL & ~BIT(HIRA_LAYER_CGROUP) & ~(HIRA_SANITIZED ? BIT(HIRA_LAYER_SYSCALLS) : 0);
    s->attempt = a;
    s->finder = fork();
    if (s->finder == 0) {
        find_out(s, a);
        _exit(0);
    }
}

/* Nothing is known if it ended before its time: then nothing holds. */
static void end_finding_out(struct hira_sandbox *s)
{
    struct attempt *a = s->attempt;
    int status;
    if (!a)
        return;
    while (s->finder > 0 && waitpid(s->finder, &status, 0) < 0 && errno == EINTR)
        ;
    s->held = a->known ? a->held : 0;
    s->own_user = a->known && a->own_user;
    memcpy(s->errors, a->errors, sizeof s->errors);
    munmap(a, sizeof *a);
    s->attempt = NULL;
}

void hira_sandbox_init(struct hira_sandbox *s)
{
    if (!s->uid_count) {
        s->uid_base = HIRA_SANDBOX_UIDS;
        s->uid_count = HIRA_SANDBOX_UIDS_COUNT;
    }
    if (s->mode == HIRA_SANDBOX_OFF || HIRA_SANITIZED_THREADS)
        return;
    prctl(PR_SET_CHILD_SUBREAPER, 1); /* see hira_sandbox_fork */
    start_finding_out(s);
    if (!HIRA_SANITIZED)
        s->errors[HIRA_LAYER_SYSCALLS] = -hira_filter_build(s);
}

static void add_layer(struct hira_sandbox *s, enum hira_layer layer, int error)
{
    if (error) {
        s->held &= ~BIT(layer);
        s->errors[layer] = -error;
    } else {
        s->held |= BIT(layer);
    }
}

void hira_sandbox_collect(struct hira_sandbox *s, const struct hira_zygote_ops *ops)
{
    int filter = s->errors[HIRA_LAYER_SYSCALLS];
    if (!s->attempt)
        return;
    hira_view_collect(s, ops);
    end_finding_out(s);
    if (filter)
        add_layer(s, HIRA_LAYER_SYSCALLS, -filter);
    add_layer(s, HIRA_LAYER_CGROUP, hira_cgroup_init(s));
}

void hira_sandbox_describe(const struct hira_sandbox *s, struct hira_text *held, struct hira_text *missing)
{
    if (s->mode == HIRA_SANDBOX_OFF) {
        hira_text_puts(missing, "--sandbox=off");
        return;
    }
    for (unsigned i = 0; i < HIRA_N_LAYERS; i++) {
        struct hira_text *text = s->held & BIT(i) ? held : missing;
        if (!(s->held & BIT(i)) && (OPTIONAL & BIT(i)) && !s->cgroup)
            continue;
        hira_text_printf(text, "%s%s", text->size ? ", " : "", names[i]);
        if (text == held)
            continue;
        if (s->errors[i])
            hira_text_printf(text, " (%s)", strerror(s->errors[i]));
        else if (HIRA_SANITIZED || HIRA_SANITIZED_THREADS)
            hira_text_puts(text, " (a sanitized build)");
    }
}

bool hira_sandbox_refuses(const struct hira_sandbox *s)
{
    unsigned optional = s->cgroup ? 0 : OPTIONAL; /* who names one wants it */
    return s->mode == HIRA_SANDBOX_REQUIRED && (s->held | optional) != ALL;
}

/* ---- a server ---- */

/* Tells the zygote the pid of the process in the namespace, whose parent it becomes by our end. That process waits
 * until this has happened: what it asks for at its parent's end must not mean ours. */
static pid_t fork_twice(const struct hira_sandbox *s, int report, int go)
{
    struct attempt a = {.held = s->held};
    char byte;
    begin_outer(s, &a);
    pid_t pid = a.held == s->held ? fork() : -1;
    if (pid == 0) {
        hira_fd_closep(&report);
        if (read(go, &byte, 1) != 1)
            _exit(1);
        return 0;
    }
    int answer = pid > 0 ? pid : -EPERM;
    for (unsigned i = 0; i < HIRA_N_LAYERS && pid < 0; i++)
        if (a.errors[i])
            answer = -a.errors[i];
    if (write(report, &answer, sizeof answer) != sizeof answer && pid > 0)
        kill(pid, SIGKILL);
    _exit(0);
}

static pid_t hear_pid(const struct hira_sandbox *s, pid_t outer, int report, int go)
{
    int answer = -EIO, status;
    ssize_t n = read(report, &answer, sizeof answer);
    while (waitpid(outer, &status, 0) < 0 && errno == EINTR)
        ;
    if (n != sizeof answer)
        return -EIO;
    int error = answer > 0 && s->held & BIT(HIRA_LAYER_CGROUP) ? hira_cgroup_enter(s, answer) : 0;
    if (!error && answer > 0 && write(go, "", 1) != 1)
        error = -EIO;
    return error ? error : answer; /* it ends by itself if nobody tells it to go on */
}

pid_t hira_sandbox_fork(const struct hira_sandbox *s)
{
    int ends[2];
    if (!(s->held & (BIT(HIRA_LAYER_PROCESSES) | BIT(HIRA_LAYER_CGROUP) | (s->own_user ? 0 : BIT(HIRA_LAYER_USER))))) {
        pid_t pid = fork();
        return pid < 0 ? -errno : pid;
    }
    if (pipe2(ends, O_CLOEXEC) < 0)
        return -errno;
    HIRA_AUTOCLOSE int report_in = ends[0];
    HIRA_AUTOCLOSE int report_out = ends[1];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return -errno;
    HIRA_AUTOCLOSE int go_in = ends[0];
    HIRA_AUTOCLOSE int go_out = ends[1];
    pid_t outer = fork();
    if (outer < 0)
        return -errno;
    if (outer == 0) {
        hira_fd_closep(&go_out);
        return fork_twice(s, HIRA_STEAL_FD(report_out), go_in);
    }
    hira_fd_closep(&report_out);
    return hear_pid(s, outer, report_in, go_out);
}

/* Aborting is to end by a signal that the process sends to itself, which means nothing to the first of a namespace. */
static void on_abort(int number)
{
    _exit(128 + number);
}

bool hira_sandbox_keeps_processes(const struct hira_sandbox *s)
{
    return s->held & BIT(HIRA_LAYER_PROCESSES);
}

void hira_sandbox_left(const struct hira_sandbox *s, pid_t pid)
{
    if (s->held & BIT(HIRA_LAYER_CGROUP))
        hira_cgroup_leave(s, pid);
}

void hira_sandbox_again(void)
{
    if (getpid() == 1)
        signal(SIGABRT, on_abort);
}

int hira_sandbox_status(const struct hira_sandbox *s, int status)
{
    if (s->held & BIT(HIRA_LAYER_PROCESSES) && WIFEXITED(status) && WEXITSTATUS(status) == 128 + SIGABRT)
        return SIGABRT;
    return status;
}

/* Our number where the zygote lives, told by the /proc of there. */
static pid_t outer_pid(void)
{
    char text[20];
    ssize_t n = readlink("/proc/self", text, sizeof text - 1);
    text[n > 0 ? n : 0] = 0;
    return n > 0 ? (pid_t)strtol(text, NULL, 10) : getpid();
}

/* The vendor's library may have opened what it likes while it was loaded; through a folder all of the old root could be
 * reached. */
static void close_folders(void)
{
    struct stat st;
    DIR *dir = opendir("/proc/self/fd");
    for (struct dirent *e; dir && (e = readdir(dir));) {
        int fd = (int)strtol(e->d_name, NULL, 10);
        if (e->d_name[0] != '.' && fd > STDERR_FILENO && fd != dirfd(dir) && fstat(fd, &st) == 0 && S_ISDIR(st.st_mode))
            close(fd);
    }
    if (dir)
        closedir(dir);
}

/* ---- the tenant's cache ---- */

static bool default_cache_dir(char *path, size_t size)
{
    const char *set = getenv("HIRA_CACHE_DIR"), *base = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    int n = -1;
    if (set && set[0] == '/')
        n = snprintf(path, size, "%s", set);
    else if (geteuid() == 0)
        n = snprintf(path, size, "/var/cache/hira");
    else if (base && base[0] == '/')
        n = snprintf(path, size, "%s/hira", base);
    else if (home && home[0] == '/' && home[1])
        n = snprintf(path, size, "%s/.cache/hira", home);
    return n > 0 && (size_t)n < size;
}

static int make_folders(char *path, mode_t mode)
{
    for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        int ok = mkdir(path, 0755) == 0 || access(path, F_OK) == 0;
        *slash = '/';
        if (!ok)
            return -errno;
    }
    return mkdir(path, mode) < 0 && errno != EEXIST ? -errno : 0;
}

/* Makes it the server's, if it is nobody's; through the descriptor, for what is in it may be the guest's doing. */
static int own_folder(const char *path, uid_t uid)
{
    struct stat st;
    HIRA_AUTOCLOSE int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0)
        return -errno;
    if (st.st_uid != uid && st.st_uid != geteuid())
        return -EPERM;
    if (st.st_uid != uid && fchown(fd, uid, uid) < 0)
        return -errno;
    return st.st_mode & 07077 && fchmod(fd, 0700) < 0 ? -errno : 0;
}

static int make_cache(const struct hira_sandbox *s, struct hira_sandboxed *self)
{
    char all[PATH_MAX];
    if (s->cache_dir)
        snprintf(all, sizeof all, "%s", s->cache_dir);
    else if (!default_cache_dir(all, sizeof all))
        return -ENOENT;
    if ((size_t)snprintf(self->cache, sizeof self->cache, "%s/%s", all, self->tenant) >= sizeof self->cache)
        return -ENAMETOOLONG;
    int error = make_folders(self->cache, 0700);
    return error ? error : own_folder(self->cache, server_user(s, self->tenant_uid));
}

/* ---- entering ---- */

static int say(char *error, size_t size, int code, const char *what)
{
    snprintf(error, size, "the sandbox: %s: %s", what, strerror(-code));
    return code;
}

/* Without a root of its own the folders are the machine's. */
static int give_folder(const struct hira_sandbox *s, const struct hira_sandboxed *self)
{
    uid_t uid = server_user(s, self->tenant_uid);
    return s->own_user && lchown(self->directory, uid, uid) < 0 ? -errno : 0;
}

int hira_sandbox_enter(const struct hira_sandbox *s, struct hira_sandboxed *self, char *error, size_t size)
{
    struct attempt a = {.held = s->held};
    self->pid = outer_pid();
    int code = make_cache(s, self);
    if (code) {
        dprintf(STDERR_FILENO, "no cache that lasts for %s in %s: %s\n", self->tenant, self->cache, strerror(-code));
        self->cache[0] = 0;
    }
    code = s->held & BIT(HIRA_LAYER_VIEW) ? 0 : give_folder(s, self);
    if (code)
        return say(error, size, code, "the private folder");
    if (s->held & BIT(HIRA_LAYER_VIEW))
        close_folders();
    begin_inner(s, self, &a);
    for (unsigned i = 0; i < HIRA_N_LAYERS; i++)
        if (s->held & ~a.held & BIT(i))
            return say(error, size, -a.errors[i], names[i]);
    hira_sandbox_again();
    if (self->cache[0] && access(self->cache, W_OK | X_OK) < 0) { /* below a folder that is closed to the server's user, say */
        dprintf(STDERR_FILENO, "no cache that lasts for %s in %s, as the server's user: %s\n", self->tenant, self->cache, strerror(errno));
        self->cache[0] = 0;
    }
    if (!self->cache[0] &&
        (size_t)snprintf(self->cache, sizeof self->cache, "%s/cache", self->directory) < sizeof self->cache)
        mkdir(self->cache, 0700);
    return 0;
}
