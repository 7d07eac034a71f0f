/*
 * The zygote and its servers: see zygote.h.
 *
 * Process model. The zygote has one thread and two descriptors to wait for: hirad's socket and its children's ends. A
 * child is a server: own folder, from its guest's coming on a session of its own, own standard error to hirad. Nothing
 * kills a server but its guest's hang-up, itself, or hirad through its pidfd; in particular it outlives hirad and the
 * zygote. One that waits for a guest ends when hirad does.
 *
 * The zygote outlives hirad too while it has children: it is who reaps them and removes their folders. It also keeps
 * what hirad had of each: hirad's end of the socket, the reading end of standard error, the account, and which guest.
 * When hirad has gone it looks for the next one at the same place, and hands all that over, so that servers never
 * notice and need no way to a hirad of their own. A zygote that has changed masters forks no more; the new hirad has
 * its own for that. What remains after the zygote died as well, the next hirad sweeps up: a server holds a lock on its
 * folder as long as it lives.
 *
 * Security. The zygote reads nothing of any guest's and nothing of its servers' but their exit status; servers share
 * its address layout, as all forks do.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include "server/zygote.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/list.h"
#include "base/sanitized.h"
#include "base/tree.h"
#include "server/environment.h"
#include "server/sandbox.h"

#define PATH_SIZE 256
#define LEGACY_FD_MAX 65536 /* closed one by one where the kernel cannot do it at once */
#define LOOK_MS 50          /* after hirad has gone, until the first look for another; it doubles up to: */
#define LOOK_MAX_MS 800     /* within a second of its start a new hirad knows all guests */
#define REMOVE_S 60         /* a folder may take to be removed; what is left then, hirad sweeps up some day */
#define ROUTER_FD 3         /* where hirad's socket is moved, so that everything above can be closed */

/* The pages of one tenant (wire/share.h): of all its servers that hirad has made with them, so that they count together. */
struct share {
    struct hira_list link;
    int limits, shared;
    unsigned n_children; /* it goes with the last */
};

struct child {
    struct hira_list link;
    pid_t pid;
    bool removing; /* it has ended: this is who removes its folder */
    int lock; /* of its folder, while it is forked */
    int lease; /* of the part of a machine's memory that its guest uses: see struct hira_region_message; -1: none */
    int sock, log,
        account; /* hirad's: its end of the socket, the child's words, what the child counts. -1: let go of */
    struct hira_serving guest; /* type 0: none yet */
    char directory[PATH_SIZE];
    char tenant[HIRA_TENANT_MAX];
    uid_t tenant_uid;
    struct share *share; /* NULL: its tenant has none */
};

struct zygote {
    const struct hira_zygote_ops *ops;
    const char *work_dir;
    int router, signals;
    const char *router_path; /* where the next hirad is looked for; NULL: nowhere */
    bool late;               /* the vendor is loaded in each server */
    bool again;              /* started anew, by itself */
    bool orphan;             /* hirad is gone: only the children are still to be waited for */
    bool leaving;            /* so has it been once: there is another zygote */
    bool unsure;             /* whether those children have a guest of which hirad said so */
    int look_ms;             /* orphan: until the next look for a hirad */
    struct hira_sandbox sandbox;
    int argc; /* to start over with */
    char **argv;
    struct hira_list children;
    struct hira_list shares; /* the next hirad gets them with the children */
};

/* What a server knows of itself; one a process. */
static struct {
    int router, log;
    int lock; /* of the folder */
    int account_fd, limits_fd, shared_fd, trace_fd, region_fd;
    struct hira_account *account;
    const struct hira_limits *limits;
    struct hira_shared *shared;
    pid_t pid; /* as everybody outside the sandbox knows it */
    char directory[PATH_SIZE], cache[PATH_MAX], program[PATH_MAX];
} self = {.router = -1, .log = STDERR_FILENO, .lock = -1, .account_fd = -1, .limits_fd = -1, .shared_fd = -1,
          .trace_fd = -1, .region_fd = -1};

const char *hira_zygote_directory(void)
{
    return self.directory;
}

uint32_t hira_zygote_pid(void)
{
    return (uint32_t)(self.pid ? self.pid : getpid());
}

int hira_zygote_log_fd(void)
{
    return self.log;
}

int hira_zygote_router(void)
{
    return self.router;
}

struct hira_account *hira_zygote_account(void)
{
    return self.account;
}

const struct hira_limits *hira_zygote_limits(void)
{
    return self.limits;
}

struct hira_shared *hira_zygote_shared(void)
{
    return self.shared;
}

int hira_zygote_trace(void)
{
    return HIRA_STEAL_FD(self.trace_fd);
}

int hira_zygote_region(void)
{
    return HIRA_STEAL_FD(self.region_fd);
}

/* ---- the vendor ---- */

static int load(const struct hira_zygote_ops *ops, char *error, size_t size)
{
    snprintf(error, size, "the vendor's library cannot be loaded");
    return ops->load ? ops->load(error, size) : 0;
}

static int warm(const struct hira_zygote_ops *ops, char *error, size_t size)
{
    snprintf(error, size, "the vendor's library finds no device");
    return ops->warm ? ops->warm(error, size) : 0;
}

static unsigned count_threads(void)
{
    unsigned n = 0;
    DIR *tasks = opendir("/proc/self/task");
    for (struct dirent *e; tasks && (e = readdir(tasks));)
        n += e->d_name[0] != '.';
    if (tasks)
        closedir(tasks);
    return n;
}

/* ---- private folders ---- */

/* Makes one and locks it: the lock lives as long as the descriptor in whoever inherits it. What is locked is a file in
 * it: by a descriptor of the folder a server could leave its own root. fd or -errno. */
static int make_directory(const char *work_dir, char *path, size_t size)
{
    int n = snprintf(path, size, "%s/" HIRA_SERVER_DIRECTORY_PREFIX "XXXXXX", work_dir);
    if (n < 0 || (size_t)n >= size)
        return -ENAMETOOLONG;
    if (!mkdtemp(path))
        return -errno;
    char lock[PATH_SIZE + sizeof HIRA_SERVER_LOCK];
    snprintf(lock, sizeof lock, "%s/" HIRA_SERVER_LOCK, path);
    int fd = open(lock, O_RDONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0400);
    if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0) {
        int error = -errno;
        hira_fd_closep(&fd);
        hira_tree_remove(path);
        return error;
    }
    return fd;
}

/* ---- a server ---- */

static void reset_signals(void)
{
    sigset_t none;
    for (int i = 1; i < NSIG; i++)
        signal(i, SIG_DFL);
    signal(SIGPIPE, SIG_IGN); /* hirad, who reads the other end of standard error, may go away */
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

/* What the vendor's library finds of its surroundings, inside the sandbox. */
static void enter_surroundings(const struct hira_zygote_ops *ops)
{
    char name[16], cache[PATH_MAX];
    snprintf(name, sizeof name, "hira-%s", ops->api);
    prctl(PR_SET_NAME, name);
    setenv("TMPDIR", self.directory, 1);
    if (self.cache[0]) {
        setenv("HOME", self.cache, 1);
        setenv("XDG_CACHE_HOME", self.cache, 1);
    }
    if (self.cache[0] && ops->cache &&
        (size_t)snprintf(cache, sizeof cache, "%s/%s", self.cache, ops->api) < sizeof cache) {
        mkdir(cache, 0700);
        setenv(ops->cache, cache, 1);
    }
    if (chdir(self.directory) < 0)
        dprintf(self.log, "cannot enter %s: %s\n", self.directory, strerror(errno));
    hira_environment_choose(ops, self.directory);
}

/* 0; or -1 with a sentence: then it must not go on. */
static int enter_server(const struct zygote *z, const struct child *child, char *error, size_t size)
{
    static struct hira_sandboxed who;
    reset_signals();
    who.tenant_uid = child->tenant_uid;
    snprintf(who.tenant, sizeof who.tenant, "%s", child->tenant);
    snprintf(who.directory, sizeof who.directory, "%s", child->directory);
    if (hira_sandbox_enter(&z->sandbox, &who, error, size) < 0)
        return -1;
    self.pid = who.pid;
    snprintf(self.directory, sizeof self.directory, "%s", child->directory);
    snprintf(self.cache, sizeof self.cache, "%s", who.cache);
    enter_surroundings(z->ops);
    return 0;
}

/* Waits for a guest. Its socket, and in self its region and where its calls are written down; 0 when hirad is gone; -errno. */
static int receive_guest(void *buffer, size_t size, size_t *ret_size)
{
    struct hira_adopt *adopt = buffer;
    int fds[3] = {-1, -1, -1};
    size_t n_fds = 3;
    ssize_t n = hira_fd_receive(self.router, buffer, size, fds, &n_fds, 0);
    HIRA_AUTOCLOSE int fd = fds[0];
    if (n <= 0)
        return n == -ECONNRESET ? 0 : (int)n;
    int error = hira_message_check(buffer, (size_t)n, HIRA_MSG_ADOPT, sizeof *adopt);
    bool region = !error && adopt->region.size;
    self.region_fd = region ? fds[1] : -1;
    self.trace_fd = fds[region ? 2 : 1];
    if (!error)
        error = hira_hello_check(adopt + 1, (size_t)n - sizeof *adopt);
    *ret_size = (size_t)n - sizeof *adopt;
    if (error || fd < 0)
        return error ? error : -EBADMSG;
    return HIRA_STEAL_FD(fd);
}

/* The vendor's library has read its variables and made its threads: for a guest that wants other variables this process
 * begins anew, with what only it has: its descriptors, its folder, and what hirad said of the guest. Returns if it
 * cannot. */
static void start_over_for(int guest, const void *adopt, size_t size)
{
    HIRA_AUTOCLOSE int message = memfd_create("adopt", MFD_CLOEXEC);
    const int kept[] = {self.router,    self.log,      self.lock, self.account_fd, self.limits_fd,
                        self.shared_fd, self.trace_fd, self.region_fd, guest, message};
    char fds[140];
    char *args[] = {program_invocation_name, "--again", fds,        "--directory",
                    self.directory,          "--cache", self.cache, NULL};
    if (message < 0 || write(message, adopt, size) != (ssize_t)size)
        return;
    if (syscall(SYS_close_range, STDERR_FILENO + 1, ~0u, CLOSE_RANGE_CLOEXEC) < 0) /* before Linux 5.11 */
        for (int i = STDERR_FILENO + 1; i < LEGACY_FD_MAX; i++)
            fcntl(i, F_SETFD, FD_CLOEXEC);
    for (size_t i = 0; i < HIRA_ARRAY_SIZE(kept); i++)
        fcntl(kept[i], F_SETFD, 0); /* -1: there is none */
    snprintf(fds, sizeof fds, "%d,%d,%d,%d,%d,%d,%d,%d,%d,%d,%d", self.router, self.log, self.lock, self.account_fd,
             self.limits_fd, self.shared_fd, self.trace_fd, self.region_fd, guest, message, self.pid);
    execv(self.program, args); /* by its path, from which the loader finds what lies beside it */
    execv("/proc/self/exe", args);
}

/* It has its guest. From here on nobody may be there to read its words: they get lost then, it does not wait. */
static int serve(const struct hira_zygote_ops *ops, int guest, struct hira_adopt *adopt, size_t hello_size)
{
    /* Only now: where the kernel shares processors out by session, all servers that have no guest yet get one zygote's
     * share together, so that who connects over and over takes nothing from guests that are served. */
    setsid();
    hira_fd_closep(&self.account_fd);
    hira_fd_closep(&self.limits_fd); /* by a descriptor it could be opened anew for writing */
    hira_fd_closep(&self.shared_fd);
    fcntl(self.log, F_SETFL, O_WRONLY | O_NONBLOCK);
    return ops->serve(guest, (struct hira_hello *)(adopt + 1), hello_size, adopt);
}

static void *map_page(int fd, size_t size, int protection)
{
    void *page = fd < 0 ? MAP_FAILED : mmap(NULL, size, protection, MAP_SHARED, fd, 0);
    if (page == MAP_FAILED)
        return NULL;
    madvise(page, size, MADV_DONTFORK);
    return page;
}

/* The account; and what its tenant has in common, if anything. */
static bool map_pages(void)
{
    self.account = map_page(self.account_fd, HIRA_ACCOUNT_SIZE, PROT_READ | PROT_WRITE);
    self.limits = map_page(self.limits_fd, HIRA_LIMITS_SIZE, PROT_READ);
    self.shared = map_page(self.shared_fd, HIRA_SHARED_SIZE, PROT_READ | PROT_WRITE);
    return self.account && (self.limits_fd < 0 || (self.limits && self.shared));
}

static int again_main(const struct hira_zygote_ops *ops, const char *fds, const char *directory, const char *cache)
{
    char error[200];
    int guest, message;
    size_t size = sizeof(struct hira_adopt) + HIRA_MESSAGE_MAX;
    struct hira_adopt *adopt = malloc(size);
    if (!adopt || !directory || !cache ||
        sscanf(fds, "%d,%d,%d,%d,%d,%d,%d,%d,%d,%d,%d", &self.router, &self.log, &self.lock, &self.account_fd,
               &self.limits_fd, &self.shared_fd, &self.trace_fd, &self.region_fd, &guest, &message, &self.pid) != 11)
        return 1;
    const int kept[] = {self.router,    self.log,      self.lock, self.account_fd, self.limits_fd,
                        self.shared_fd, self.trace_fd, self.region_fd, guest, message};
    for (size_t i = 0; i < HIRA_ARRAY_SIZE(kept); i++)
        fcntl(kept[i], F_SETFD, FD_CLOEXEC);
    ssize_t n = pread(message, adopt, size, 0);
    close(message);
    if (n < (ssize_t)(sizeof *adopt + sizeof(struct hira_hello)) || !map_pages())
        return 1;
    snprintf(self.directory, sizeof self.directory, "%s", directory);
    snprintf(self.cache, sizeof self.cache, "%s", cache);
    reset_signals();
    hira_sandbox_again();
    enter_surroundings(ops); /* the process is in its sandbox already */
    if (load(ops, error, sizeof error) < 0 || warm(ops, error, sizeof error) < 0) {
        hira_refuse(guest, ENODEV, "%s", error);
        return 1;
    }
    return serve(ops, guest, adopt, (size_t)n - sizeof *adopt);
}

static int server_main(struct zygote *z, const struct child *child)
{
    const struct hira_zygote_ops *ops = z->ops;
    char error[200];
    if (enter_server(z, child, error, sizeof error) < 0) {
        hira_refuse(self.router, EPERM, "%s", error);
        return 1;
    }
    if (!map_pages()) { /* by the descriptor: what the sandbox shows makes no difference */
        hira_refuse(self.router, ENOMEM, "no memory for a server");
        return 1;
    }
    if ((z->late && load(ops, error, sizeof error) < 0) || warm(ops, error, sizeof error) < 0) {
        hira_refuse(self.router, ENODEV, "%s", error);
        return 1;
    }
    struct hira_forked ready = {.head = hira_message_head(HIRA_MSG_READY, sizeof ready), .pid = hira_zygote_pid()};
    if (hira_fd_send(self.router, &ready, sizeof ready, NULL, 0) < 0)
        return 0;

    size_t size = sizeof(struct hira_adopt) + HIRA_MESSAGE_MAX, hello_size = 0;
    struct hira_adopt *adopt = malloc(size); /* the HELLO stays with the guest */
    int guest = adopt ? receive_guest(adopt, size, &hello_size) : -ENOMEM;
    if (guest < 0)
        dprintf(self.log, "what hirad handed over is no guest: %s\n", strerror(-guest));
    if (guest <= 0)
        return guest < 0;
    atomic_store(&self.account->taken, 1);
    if (hira_environment_adopt(ops, (struct hira_hello *)(adopt + 1)))
        start_over_for(guest, adopt, sizeof *adopt + hello_size);
    return serve(ops, guest, adopt, hello_size);
}

/* What the zygote has of a child. */
static void let_go(struct child *child)
{
    hira_fd_closep(&child->sock);
    hira_fd_closep(&child->log);
    hira_fd_closep(&child->account);
}

static void close_share(struct share *share)
{
    hira_fd_closep(&share->limits);
    hira_fd_closep(&share->shared);
}

/* In the child, before its sandbox takes /proc away: the limits by a descriptor that cannot write. */
static void take_share(const struct share *share)
{
    char path[40];
    if (!share)
        return;
    snprintf(path, sizeof path, "/proc/self/fd/%d", share->limits);
    self.limits_fd = open(path, O_RDONLY | O_CLOEXEC);
    if (self.limits_fd < 0) /* without /proc: the mapping is for reading all the same */
        self.limits_fd = fcntl(share->limits, F_DUPFD_CLOEXEC, 3);
    self.shared_fd = fcntl(share->shared, F_DUPFD_CLOEXEC, 3);
}

/* In the fresh child. Everything it opens from here on is its own; what the vendor's library opened while loading
 * stays. */
static _Noreturn void child_main(struct zygote *z, int sock, int log, const struct child *child)
{
    struct hira_list *pos, *next;
    hira_fd_closep(&z->router);
    hira_fd_closep(&z->signals);
    hira_list_for_each (pos, next, &z->children) { /* what is its siblings' */
        let_go(hira_list_entry(pos, struct child, link));
        hira_fd_closep(&hira_list_entry(pos, struct child, link)->lease);
    }
    take_share(child->share);
    hira_list_for_each (pos, next, &z->shares)
        close_share(hira_list_entry(pos, struct share, link));
    dup2(log, STDOUT_FILENO);
    dup2(log, STDERR_FILENO);
    self.router = sock;
    self.log = log;
    self.lock = child->lock;
    self.account_fd = child->account;
    /* No exit(): destructors of a vendor's library whose threads still run are nobody's friends. */
    _exit(server_main(z, child));
}

/* ---- the zygote ---- */

static int announce(struct zygote *z, const struct child *child)
{
    struct hira_forked forked = {.head = hira_message_head(HIRA_MSG_FORKED, sizeof forked),
                                 .pid = (uint32_t)child->pid};
    /* Only the parent can do this without a race: until it reaps, the pid means nobody else. */
    HIRA_AUTOCLOSE int pidfd = (int)syscall(SYS_pidfd_open, child->pid, 0);
    int fds[] = {child->sock, child->log, child->account, pidfd};
    return hira_fd_send(z->router, &forked, sizeof forked, fds, pidfd < 0 ? 3 : 4);
}

static int fork_child(struct zygote *z, struct child *child)
{
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
        return -errno;
    HIRA_AUTOCLOSE int ours = ends[0];
    HIRA_AUTOCLOSE int theirs = ends[1];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return -errno;
    HIRA_AUTOCLOSE int log_in = ends[0];
    HIRA_AUTOCLOSE int log_out = ends[1];
    HIRA_AUTOCLOSE int account = hira_fd_shared_memory("hira-account", HIRA_ACCOUNT_SIZE);
    if (account < 0)
        return account;
    child->account = account;
    hira_fd_let_rights_pass(ours, false); /* a server has nothing to give to hirad, but its guest may */
    child->pid = hira_sandbox_fork(&z->sandbox);
    if (child->pid < 0)
        return child->pid;
    if (child->pid == 0) {
        hira_fd_closep(&ours);
        hira_fd_closep(&log_in);
        child_main(z, theirs, log_out, child);
    }
    child->sock = HIRA_STEAL_FD(ours);
    child->log = HIRA_STEAL_FD(log_in);
    child->account = HIRA_STEAL_FD(account);
    int error = announce(z, child);
    if (error && error != -EPIPE && error != -ECONNRESET) {
        kill(child->pid, SIGKILL); /* hirad does not know it, and never will */
        hira_refuse(z->router, -error, "cannot hand a server over: %s", strerror(-error));
    }
    return 0;
}

static bool same_file(int a, int b)
{
    struct stat one, other;
    return fstat(a, &one) == 0 && fstat(b, &other) == 0 && one.st_ino == other.st_ino && one.st_dev == other.st_dev;
}

/* The tenant's pages: those that its other servers have, unless hirad has forgotten the tenant and made it anew. Takes the descriptors
 * over. */
static struct share *share_of(struct zygote *z, int fds[2])
{
    struct hira_list *pos, *next;
    HIRA_AUTOCLOSE int limits = fds[0];
    HIRA_AUTOCLOSE int shared = fds[1];
    hira_list_for_each (pos, next, &z->shares)
        if (same_file(hira_list_entry(pos, struct share, link)->limits, limits))
            return hira_list_entry(pos, struct share, link);
    struct share *share = limits < 0 || shared < 0 ? NULL : calloc(1, sizeof *share);
    if (!share)
        return NULL;
    share->limits = HIRA_STEAL_FD(limits);
    share->shared = HIRA_STEAL_FD(shared);
    hira_list_append(&z->shares, &share->link);
    return share;
}

static void leave_share(struct child *child)
{
    struct share *share = HIRA_STEAL(child->share);
    if (!share || --share->n_children)
        return;
    close_share(share);
    hira_list_remove(&share->link);
    free(share);
}

static int fork_server(struct zygote *z, const struct hira_fork *fork, int fds[2])
{
    struct child *child = calloc(1, sizeof *child);
    if (!child) {
        hira_fd_closep(&fds[0]);
        hira_fd_closep(&fds[1]);
        return -ENOMEM;
    }
    child->share = share_of(z, fds);
    if (child->share)
        child->share->n_children++;
    memcpy(child->tenant, fork->tenant, sizeof child->tenant);
    child->tenant_uid = fork->uid;
    child->sock = child->log = child->account = child->lease = -1;
    HIRA_AUTOCLOSE int lock = make_directory(z->work_dir, child->directory, sizeof child->directory);
    child->lock = lock;
    int error = lock < 0 ? lock : fork_child(z, child);
    if (!error) {
        hira_list_append(&z->children, &child->link);
        return 0;
    }
    if (lock >= 0)
        hira_tree_remove(child->directory);
    leave_share(child);
    free(child);
    return error;
}

/* Without a process namespace what a server has started may outlive it; it has become our child then. */
static void kill_orphans(struct zygote *z)
{
    char path[64];
    struct hira_text text = {0};
    struct hira_list *pos, *next;
    snprintf(path, sizeof path, "/proc/self/task/%d/children", (int)getpid());
    if (hira_sandbox_keeps_processes(&z->sandbox) || hira_text_read_file(&text, path, 1u << 20) < 0)
        return;
    for (char *rest = NULL, *word = strtok_r(text.data, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
        bool known = false;
        hira_list_for_each (pos, next, &z->children)
            known |= hira_list_entry(pos, struct child, link)->pid == atoi(word);
        if (!known)
            kill(atoi(word), SIGKILL);
    }
    hira_text_fini(&text);
}

static struct child *find_child(struct zygote *z, uint32_t pid)
{
    struct hira_list *pos, *next;
    hira_list_for_each (pos, next, &z->children)
        if (hira_list_entry(pos, struct child, link)->pid == (pid_t)pid)
            return hira_list_entry(pos, struct child, link);
    return NULL;
}

static _Noreturn void remover_main(const char *directory)
{
    signal(SIGALRM, SIG_DFL);
    alarm(REMOVE_S);
    hira_fd_close_from(STDERR_FILENO + 1);
    hira_tree_remove(directory);
    _exit(0);
}

/* What a server left in its folder it may have made to last. Others do not wait for that: then it is a child's work. False: done. */
static bool remove_folder(struct child *child)
{
    HIRA_AUTOCLOSE int folder = open(child->directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (folder >= 0)
        unlinkat(folder, HIRA_SERVER_LOCK, 0);
    if (rmdir(child->directory) == 0 || errno == ENOENT)
        return false;
    child->pid = fork();
    if (child->pid == 0)
        remover_main(child->directory);
    child->removing = child->pid > 0;
    child->guest.head.type = 0;
    if (!child->removing)
        hira_tree_remove(child->directory);
    return child->removing;
}

/* A child has ended, as somebody's server or as who removed what such had left. */
static void bury(struct zygote *z, struct child *child)
{
    if (!child->removing)
        hira_sandbox_left(&z->sandbox, child->pid);
    let_go(child);
    hira_fd_closep(&child->lease);
    leave_share(child);
    if (!child->removing && remove_folder(child))
        return;
    hira_list_remove(&child->link);
    free(child);
}

static void reap(struct zygote *z)
{
    struct signalfd_siginfo info;
    int status;
    pid_t pid;
    while (read(z->signals, &info, sizeof info) > 0)
        ;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        struct hira_forked exited = {hira_message_head(HIRA_MSG_EXITED, sizeof exited), (uint32_t)pid,
                                     hira_sandbox_status(&z->sandbox, status)};
        struct child *child = find_child(z, (uint32_t)pid);
        bool ours = child && child->removing;
        if (child)
            bury(z, child);
        if (!z->orphan && !ours)
            hira_fd_send(z->router, &exited, sizeof exited, NULL, 0);
        kill_orphans(z);
    }
}

/* Children without a guest see a hang-up now, and end. */
static void be_orphan(struct zygote *z)
{
    struct hira_list *pos, *next;
    hira_fd_closep(&z->router);
    z->orphan = z->leaving = z->unsure = true;
    z->look_ms = LOOK_MS;
    hira_list_for_each (pos, next, &z->children) {
        struct child *child = hira_list_entry(pos, struct child, link);
        if (!child->guest.head.type)
            let_go(child);
    }
}

/* A message from hirad. Its hang-up leaves the zygote with nothing to do but to see its children off, and to find them
 * a new one. */
static void hear_router(struct zygote *z)
{
    union {
        struct hira_fork fork;
        struct hira_serving serving;
        struct hira_forked end;
        struct hira_refused refused;
    } m;
    int fds[2] = {-1, -1};
    size_t n_fds = 2;
    ssize_t n = hira_fd_receive(z->router, &m, sizeof m, fds, &n_fds, 0);
    struct child *child = NULL;
    if (n <= 0) {
        be_orphan(z);
    } else if (hira_message_check(&m, (size_t)n, HIRA_MSG_FORK, sizeof m.fork) == 0) {
        int error = hira_tenant_valid(m.fork.tenant) ? fork_server(z, &m.fork, fds) : -EINVAL;
        if (error)
            hira_refuse(z->router, -error, "cannot fork a server: %s",
                        error == -ENOSYS ? "this kernel has no memfd_create" : strerror(-error));
    } else if (hira_message_check(&m, (size_t)n, HIRA_MSG_SERVING, sizeof m.serving) == 0) {
        if ((child = find_child(z, m.serving.pid))) {
            child->guest = m.serving;
            child->lease = HIRA_STEAL_FD(fds[0]);
        }
        hira_fd_closep(&fds[0]);
    } else if (hira_message_check(&m, (size_t)n, HIRA_MSG_END, sizeof m.end) == 0) {
        if ((child = find_child(z, m.end.pid))) /* not reaped, so the pid is still its own */
            kill(child->pid, SIGKILL);
    } else if (hira_message_check(&m, (size_t)n, HIRA_MSG_REFUSED, sizeof m.refused) == 0) {
        z->router_path = NULL; /* this hirad does not want us; nor will the next */
        be_orphan(z);
    }
}

/* ---- after hirad ---- */

/* So many descriptors may be on the way at once: hirad takes them from there. It takes none before it knows who we are. */
static int send_patiently(int router, const void *message, size_t size, const int *fds, size_t n_fds)
{
    int error;
    while ((error = hira_fd_send(router, message, size, fds, n_fds)) == -ETOOMANYREFS || error == -EPERM)
        nanosleep(&(struct timespec){0, 10000000}, NULL);
    return error;
}

/* The names of what accounts count: from the program itself, as no guest is to be believed in what others see. hirad without them knows
 * sums only. */
static int tell_functions(const struct zygote *z, int router)
{
    struct hira_functions_message m = {.head = hira_message_head(HIRA_MSG_FUNCTIONS, sizeof m)};
    struct hira_text names = {0};
    const char *name;
    while (z->ops->function_name && m.n < HIRA_ACCOUNT_FUNCTIONS - 1 && (name = z->ops->function_name(m.n))) {
        hira_text_append(&names, name, strlen(name) + 1);
        m.n++;
    }
    m.size = (uint32_t)names.size;
    HIRA_AUTOCLOSE int fd = m.n && !names.failed ? hira_fd_shared_memory("hira-functions", names.size) : -1;
    bool written = fd >= 0 && pwrite(fd, names.data, names.size, 0) == (ssize_t)names.size;
    hira_text_fini(&names);
    return written ? send_patiently(router, &m, sizeof m, &fd, 1) : 0;
}

static int hand_over(const struct child *child, int router)
{
    struct hira_serving m = child->guest;
    const struct share *share = child->share;
    const int fds[] = {child->sock, child->log, child->account, share ? share->limits : -1, share ? share->shared : -1};
    m.head = hira_message_head(HIRA_MSG_CHILD, sizeof m);
    return send_patiently(router, &m, sizeof m, fds, share ? 5 : 3);
}

/* Who listens there must be whom hirad ran as: descriptors of guests are handed to nobody else. */
static bool is_router(int fd)
{
    return hira_fd_peer_user(fd) == geteuid();
}

/* hirad says which guest a child gets before it gives it, and may have been killed in between: such a child waits for a
 * guest that never comes, unless it is let go of. One that has its guest still unread finds it all the same. */
static void let_guestless_go(struct zygote *z)
{
    struct hira_list *pos, *next;
    hira_list_for_each (pos, next, &z->children) {
        struct child *child = hira_list_entry(pos, struct child, link);
        uint32_t taken = 0;
        if (!child->guest.head.type ||
            (pread(child->account, &taken, sizeof taken, offsetof(struct hira_account, taken)) == sizeof taken &&
             taken))
            continue;
        child->guest.head.type = 0;
        let_go(child);
    }
    z->unsure = false;
}

/* Looks for the next hirad, less and less often. */
static void rejoin(struct zygote *z)
{
    struct hira_rejoin hello = {.head = hira_message_head(HIRA_MSG_REJOIN, sizeof hello)};
    struct hira_list *pos, *next;
    HIRA_AUTOCLOSE int fd = hira_socket_connect_now(z->router_path);
    if (fd < 0 || !is_router(fd))
        return;
    snprintf(hello.api, sizeof hello.api, "%s", z->ops->api);
    int error = hira_fd_send(fd, &hello, sizeof hello, NULL, 0);
    if (!error)
        error = tell_functions(z, fd);
    hira_list_for_each (pos, next, &z->children) {
        struct child *child = hira_list_entry(pos, struct child, link);
        if (!error && child->guest.head.type)
            error = hand_over(child, fd);
    }
    if (error)
        return;
    z->router = HIRA_STEAL_FD(fd);
    z->orphan = false;
}

static void look(struct zygote *z)
{
    z->look_ms = HIRA_MIN(2 * z->look_ms, LOOK_MAX_MS);
    if (z->unsure)
        let_guestless_go(z);
    if (z->router_path)
        rejoin(z);
}

static int serve_router(struct zygote *z)
{
    sigset_t mask;
    sigemptyset(&mask);
    sigaddset(&mask, SIGCHLD);
    sigprocmask(SIG_BLOCK, &mask, NULL);
    z->signals = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
    if (z->signals < 0) {
        hira_refuse(z->router, errno, "no signalfd: %s", strerror(errno));
        return 1;
    }
    while (!z->leaving || !hira_list_empty(&z->children)) {
        struct pollfd p[2] = {{z->signals, POLLIN, 0}, {z->router, POLLIN, 0}};
        int ready = poll(p, 2, z->orphan && (z->router_path || z->unsure) ? z->look_ms : -1);
        if (ready < 0 && errno != EINTR)
            return 1;
        if (ready > 0 && p[0].revents)
            reap(z);
        if (ready > 0 && p[1].revents)
            hear_router(z);
        if (ready == 0)
            look(z);
    }
    return 0;
}

/* Only descriptors 0, 1, 2 and hirad's socket survive. fd or -errno. */
static int take_descriptor(int fd)
{
    if (fd < ROUTER_FD || (fd != ROUTER_FD && dup2(fd, ROUTER_FD) < 0))
        return -EBADF;
    if (fcntl(ROUTER_FD, F_SETFD, FD_CLOEXEC) < 0)
        return -errno;
    hira_fd_close_from(ROUTER_FD + 1);
    return ROUTER_FD;
}

static void stdin_from_null(void)
{
    HIRA_AUTOCLOSE int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null >= 0)
        dup2(null, STDIN_FILENO);
}

/* Runs the program anew (from `fd`, or from where it runs) with more words. Returns if that cannot be. */
static void start_over(struct zygote *z, int fd, const char *word, const char *value)
{
    char **again = calloc((size_t)z->argc + 3, sizeof *again);
    if (!again)
        return;
    memcpy(again, z->argv, (size_t)z->argc * sizeof *again);
    again[z->argc] = (char *)word;
    again[z->argc + 1] = (char *)value;
    fcntl(z->router, F_SETFD, 0);
    if (fd >= 0)
        fexecve(fd, again, environ);
    else if (!z->again) /* by its path, which checkers that run it can follow */
        execv(self.program, again);
    execv("/proc/self/exe", again);
    fcntl(z->router, F_SETFD, FD_CLOEXEC);
    free(again);
}

/* By /proc/self/exe a server finds the program that it runs where it lies outside its own root, and could write it as
 * soon as nobody runs it, if hirad's user may: the next server would then begin with a guest's code outside any
 * sandbox. A program that its user could write is therefore run from a sealed copy. Returns if that is not needed or
 * cannot be. */
static void run_from_copy(struct zygote *z)
{
    struct stat st;
    HIRA_AUTOCLOSE int from = open(self.program, O_RDONLY | O_CLOEXEC);
    if (z->sandbox.mode == HIRA_SANDBOX_OFF || from < 0 || fstat(from, &st) < 0 ||
        st.st_uid != geteuid() || !geteuid())
        return;
    HIRA_AUTOCLOSE int copy = memfd_create("hira-server", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    for (off_t left = copy < 0 ? 0 : st.st_size; left > 0;) {
        ssize_t n = sendfile(copy, from, NULL, (size_t)left);
        if (n <= 0)
            break;
        left -= n;
    }
    if (fstat(from, &st) == 0 && lseek(copy, 0, SEEK_END) == st.st_size &&
        fcntl(copy, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) == 0)
        start_over(z, copy, "--program", self.program);
}

/* Memory that the vendor shares with an application lies at the same addresses in both (clSVMAlloc), which the
 * application may have in use: the kernel's choice is random, in the same terabyte for every process. With the other
 * layout it chooses for servers from another terabyte. The thread and memory sanitizers know only the usual one. */
static bool map_apart(void)
{
    int now = HIRA_SANITIZED_THREADS || HIRA_SANITIZED ? -1 : personality(0xffffffff);
    return now >= 0 && !(now & ADDR_COMPAT_LAYOUT) && personality((unsigned)now | ADDR_COMPAT_LAYOUT) >= 0;
}

/* What only takes effect when the program is run anew. */
static void prepare(struct zygote *z)
{
    if (z->again)
        return;
    bool apart = map_apart();
    run_from_copy(z);
    if (apart)
        start_over(z, -1, "--program", self.program);
}

/* Tells how servers will be confined. -1: not well enough for the operator, who was told so. */
static int report_sandbox(struct zygote *z)
{
    struct hira_sandbox_message m = {.head = hira_message_head(HIRA_MSG_SANDBOX, sizeof m), .mode = z->sandbox.mode};
    struct hira_text held = {0}, missing = {0};
    hira_sandbox_describe(&z->sandbox, &held, &missing);
    snprintf(m.held, sizeof m.held, "%s", held.data ? held.data : "");
    snprintf(m.missing, sizeof m.missing, "%s", missing.data ? missing.data : "");
    hira_text_fini(&held);
    hira_text_fini(&missing);
    hira_fd_send(z->router, &m, sizeof m, NULL, 0);
    if (!hira_sandbox_refuses(&z->sandbox))
        return 0;
    hira_refuse(z->router, EPERM, "the sandbox is required and lacks: %s", m.missing);
    return -1;
}

static int zygote_main(struct zygote *z)
{
    char error[200];
    signal(SIGPIPE, SIG_IGN);
    stdin_from_null();
    hira_sandbox_init(&z->sandbox);
    if (!z->late && load(z->ops, error, sizeof error) < 0) {
        hira_refuse(z->router, ENODEV, "%s", error);
        return 1;
    }
    if (!z->late && count_threads() > 1) { /* they would not survive a fork: each server loads the library itself */
        start_over(z, -1, "--late", NULL);
        z->late = true;
    }
    hira_sandbox_collect(&z->sandbox, z->ops);
    if (report_sandbox(z) < 0)
        return 1;
    tell_functions(z, z->router);
    return serve_router(z);
}

/* ---- without hirad ---- */

static int once_child(struct zygote *z, int sock)
{
    char error[200];
    size_t size = HIRA_MESSAGE_MAX;
    struct hira_hello *hello = malloc(size);
    if (!hello)
        return 1;
    ssize_t n = hira_fd_receive(sock, hello, size, NULL, NULL, 0);
    if (n == 0)
        return 0;
    int wrong = n < 0 ? (int)n : hira_hello_check(hello, (size_t)n);
    if (wrong == -EILSEQ) {
        hira_refuse(sock, EPROTO, "a function's name in the HELLO is none");
        return 1;
    }
    if (wrong) {
        hira_refuse(sock, EPROTO, "no HELLO of protocol version %u", HIRA_PROTOCOL_VERSION);
        return 1;
    }
    hira_environment_adopt(z->ops, hello);
    if (load(z->ops, error, sizeof error) < 0 || warm(z->ops, error, sizeof error) < 0) {
        hira_refuse(sock, ENODEV, "%s", error);
        return 1;
    }
    setsid();
    return z->ops->serve(sock, hello, (size_t)n, NULL);
}

/* The parent stays to remove the folder, for a server may end anywhere. */
static int once_main(struct zygote *z)
{
    struct child child = {.tenant_uid = geteuid()};
    char error[200];
    int status;
    snprintf(child.tenant, sizeof child.tenant, "user-%u", (unsigned)child.tenant_uid);
    stdin_from_null();
    hira_sandbox_init(&z->sandbox);
    hira_sandbox_collect(&z->sandbox, z->ops);
    if (hira_sandbox_refuses(&z->sandbox)) {
        hira_refuse(z->router, EPERM, "the sandbox is required and lacks a layer: hira doctor tells which");
        return 1;
    }
    int lock = make_directory(z->work_dir, child.directory, sizeof child.directory);
    pid_t pid = lock < 0 ? -1 : hira_sandbox_fork(&z->sandbox);
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (enter_server(z, &child, error, sizeof error) < 0) {
            hira_refuse(z->router, EPERM, "%s", error);
            _exit(1);
        }
        _exit(once_child(z, z->router));
    }
    hira_fd_closep(&z->router);
    if (pid < 0) {
        fprintf(stderr, "hira-server-%s: cannot make a server in %s: %s\n", z->ops->api, z->work_dir,
                strerror(lock < 0 ? -lock : -pid));
        return 1;
    }
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    hira_sandbox_left(&z->sandbox, pid);
    hira_tree_remove(child.directory);
    status = hira_sandbox_status(&z->sandbox, status);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int check_main(const struct hira_zygote_ops *ops, bool devices)
{
    char error[200];
    if (load(ops, error, sizeof error) < 0 || warm(ops, error, sizeof error) < 0) {
        fprintf(stderr, "hira-server-%s: %s\n", ops->api, error);
        return 1;
    }
    const char *text = ops->describe && !devices ? ops->describe() : NULL;
    /* Nothing to describe, where an API has what describes it, is said by an empty line: see doctor. */
    if (devices && ops->devices)
        ops->devices();
    else if (!devices)
        printf("%s\n", text ? text : ops->describe ? "" : "the vendor's library is ready");
    fflush(stdout);
    _exit(0);
}

/* Two lines: what holds a server in, what is missing for it. */
static int layers_main(struct zygote *z)
{
    struct hira_text held = {0}, missing = {0};
    hira_sandbox_init(&z->sandbox);
    hira_sandbox_collect(&z->sandbox, z->ops);
    hira_sandbox_describe(&z->sandbox, &held, &missing);
    printf("%s;%s\n", held.data ? held.data : "", missing.data ? missing.data : "");
    hira_text_fini(&held);
    hira_text_fini(&missing);
    return 0;
}

static int usage(const char *name)
{
    fprintf(stderr,
            "usage: %s --zygote FD | --once FD | --check | --devices | --layers [--work-dir DIR] [--sandbox MODE]\n"
            "hirad starts this; --check tells whether the vendor's library works, --devices what hirad.conf may call its\n"
            "devices, --layers how servers are confined.\n",
            name);
    return 2;
}

struct arguments {
    int mode, fd;
    const char *again, *directory, *cache, *program;
};

static const struct option options[] = {{"zygote", required_argument, NULL, 'z'},
                                        {"once", required_argument, NULL, 'o'},
                                        {"check", no_argument, NULL, 'c'},
                                        {"devices", no_argument, NULL, 'v'},
                                        {"layers", no_argument, NULL, 'y'},
                                        {"late", no_argument, NULL, 'l'},
                                        {"work-dir", required_argument, NULL, 'w'},
                                        {"program", required_argument, NULL, 'p'},
                                        {"router", required_argument, NULL, 'r'},
                                        {"again", required_argument, NULL, 'a'},
                                        {"directory", required_argument, NULL, 'd'},
                                        {"cache", required_argument, NULL, 'k'},
                                        {"sandbox", required_argument, NULL, 's'},
                                        {"sandbox-uids", required_argument, NULL, 's'},
                                        {"sandbox-memory", required_argument, NULL, 's'},
                                        {"sandbox-path", required_argument, NULL, 's'},
                                        {"sandbox-device", required_argument, NULL, 's'},
                                        {"sandbox-cgroup", required_argument, NULL, 's'},
                                        {"cache-dir", required_argument, NULL, 's'},
                                        {0}};

static int take_option(struct zygote *z, struct arguments *a, int c, int index)
{
    char error[200] = "";
    if (c == 's' && hira_sandbox_option(&z->sandbox, options[index].name, optarg, error, sizeof error) < 0) {
        fprintf(stderr, "hira-server-%s: %s\n", z->ops->api, error);
        return -1;
    }
    if (c == 'z' || c == 'o')
        a->fd = (int)strtol(optarg, NULL, 10);
    if (c == 'z' || c == 'o' || c == 'c' || c == 'v' || c == 'y')
        a->mode = c;
    else if (c == 'l')
        z->late = true;
    else if (c == 'w')
        z->work_dir = optarg;
    else if (c == 'r')
        z->router_path = optarg;
    else if (c == 'a')
        a->again = optarg;
    else if (c == 'd')
        a->directory = optarg;
    else if (c == 'k')
        a->cache = optarg;
    else if (c == 'p')
        a->program = optarg;
    return c == '?' ? -1 : 0;
}

static int take_arguments(struct zygote *z, struct arguments *a)
{
    const char *set = getenv("HIRA_SANDBOX");
    char error[200];
    int index = 0;
    if (set && *set && hira_sandbox_option(&z->sandbox, "sandbox", set, error, sizeof error) < 0) {
        fprintf(stderr, "hira-server-%s: $HIRA_SANDBOX: %s\n", z->ops->api, error);
        exit(2);
    }
    for (int c; (c = getopt_long(z->argc, z->argv, "", options, &index)) != -1;)
        if (take_option(z, a, c, index) < 0)
            return -1;
    return optind == z->argc && (a->mode || a->again) ? 0 : -1;
}

int hira_zygote_main(int argc, char **argv, const struct hira_zygote_ops *ops)
{
    const char *tmp = getenv("TMPDIR");
    struct zygote z = {
        .ops = ops, .work_dir = tmp && *tmp ? tmp : "/tmp", .router = -1, .signals = -1, .argc = argc, .argv = argv};
    struct arguments a = {.fd = -1};
    hira_list_init(&z.children);
    hira_list_init(&z.shares);
    if (take_arguments(&z, &a) < 0)
        return usage(argv[0]);
    ssize_t n = readlink("/proc/self/exe", self.program, sizeof self.program - 1);
    self.program[n > 0 ? n : 0] = 0;
    z.again = a.program != NULL;
    if (z.again)
        snprintf(self.program, sizeof self.program, "%s", a.program);
    z.sandbox.work_dir = z.work_dir;
    z.sandbox.program = self.program;
    if (a.again) /* no exit(), as in any server */
        _exit(again_main(ops, a.again, a.directory, a.cache));
    signal(SIGCHLD, SIG_DFL); /* ignored, as it may be inherited, children could not be waited for */
    hira_environment_set(ops);
    hira_environment_choose(ops, NULL);
    if (a.mode == 'c' || a.mode == 'v')
        return check_main(ops, a.mode == 'v');
    if (a.mode == 'y')
        return layers_main(&z);
    z.router = a.fd;
    prepare(&z);
    z.router = take_descriptor(a.fd);
    if (z.router < 0) {
        fprintf(stderr, "%s: descriptor %d is no socket that was handed over\n", argv[0], a.fd);
        return 1;
    }
    return a.mode == 'z' ? zygote_main(&z) : once_main(&z);
}
