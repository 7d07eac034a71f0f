/*
 * hira-bridge: one virtual machine's way to the host. It is the back-end of the machine's virtio-vsock device, so that programs in the guest
 * reach named unix sockets of the host, and nothing else, with the AF_VSOCK that every Linux has.
 *
 * Process model. One process for each machine, one thread. It listens for the machine's hypervisor, serves one at a time, and waits
 * for the next when that has gone. With `--relay` a hira-relay of the machine's is its child, for guests that share no memory with the host:
 * it ends with this process, and what it serves with the machine. Once it listens it gives up what it can: new privileges, other networks, all but some forty
 * system calls; a guest that takes it over has what its own sockets give.
 *
 * Exit status: 0 told to end, 1 it cannot work, 2 the command line makes no sense.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <libgen.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fd.h"
#include "bridge/confine.h"
#include "bridge/device.h"

#define RELAY_SUFFIX ".relay" /* behind the name of --vm: where its relay listens */
#define RELAY_READY_MS 10000  /* listening takes it milliseconds; this is a machine out of memory */
#define RELAY_LINE 3          /* the descriptor by which it says so */
#define SLICES 8 /* of a region that says nothing of them, where it is large enough */

static const char usage[] =
    "usage: hira-bridge --vm PATH --cid N [--port N=SOCKET...] [--hira N=SOCKET --region FILE,size=BYTES] [--relay N=SOCKET]\n"
    "                   [OPTION...]\n\n"
    "  --vm PATH          listens there for the virtual machine's hypervisor (vhost-user)\n"
    "  --cid N            the machine's vsock address, 3 or more\n"
    "  --port N=SOCKET    what connects to the host's port N gets to this unix stream socket; up to 16\n"
    "  --hira N=SOCKET    what connects to port N is a guest of the hirad that listens on this socket\n"
    "  --region FILE,size=BYTES[,slices=N]\n"
    "                     the memory that the machine shares, in which its guests' lanes and arenas lie: BYTES is a power\n"
    "                     of two (256M), N (default: 8) programs use it at once\n"
    "  --relay N=SOCKET   what connects to port N is a hira-relay in the machine (hira run --on vsock): for guests of that hirad that\n"
    "                     share no memory with the host\n"
    "  --log-level LEVEL  error, warning, info (default) or debug, on standard error\n"
    "  --no-confine       keeps its rights and system calls: for debuggers\n"
    "  --version, --help\n";

struct bridge {
    struct bridge_loop loop;
    struct hira_log log;
    struct bridge_device device;
    struct bridge_watch listener, signals, relay; /* relay: hangs up when it ends */
    struct bridge_shared shared;
    char region[256]; /* the file of --region, "" */
    uint64_t region_size, n_slices;
    struct sockaddr_un address; /* of --vm */
    struct bridge_port *relay_port;
    const char *relayed;        /* the hirad that the relay turns to; NULL: there is none */
    bool confine;
};

/* ---- the command line ---- */

static int say_wrong(const char *what, const char *value)
{
    fprintf(stderr, "hira-bridge: %s '%s' makes no sense\nhira-bridge --help lists the options\n", what, value);
    return -EINVAL;
}

static bool parse_number(const char *text, uint64_t least, uint64_t most, char end, uint64_t *ret)
{
    char *stop;
    errno = 0;
    *ret = strtoull(text, &stop, 10);
    return *text >= '0' && *text <= '9' && !errno && *stop == end && *ret >= least && *ret <= most;
}

static int add_port(struct bridge_vsock *v, const char *text, bool hira)
{
    uint64_t port;
    const char *path = strchr(text, '=');
    if (!path || !parse_number(text, 1, UINT32_MAX - 1, '=', &port) || !path[1] || strlen(path + 1) >= sizeof v->ports[0].path ||
        v->n_ports == BRIDGE_PORTS_MAX)
        return say_wrong(hira ? "--hira" : "--port", text);
    struct bridge_port *p = &v->ports[v->n_ports++];
    p->port = (uint32_t)port;
    p->hira = hira;
    snprintf(p->path, sizeof p->path, "%s", path + 1);
    return 0;
}

/* The port leads to the relay's socket, whose name follows from --vm's; the relay to SOCKET. */
static int set_relay(struct bridge *b, const char *text)
{
    int error = b->relayed ? say_wrong("a second --relay", text) : add_port(&b->device.vsock, text, false);
    if (error)
        return error;
    b->relay_port = &b->device.vsock.ports[b->device.vsock.n_ports - 1];
    b->relayed = strchr(text, '=') + 1;
    return 0;
}

static bool parse_bytes(const char *text, uint64_t *ret)
{
    char number[24];
    size_t n = strspn(text, "0123456789");
    unsigned shift = text[n] == 'K' ? 10 : text[n] == 'M' ? 20 : text[n] == 'G' ? 30 : 0;
    if (n >= sizeof number || strlen(text) > n + (shift != 0))
        return false;
    memcpy(number, text, n);
    number[n] = 0;
    if (!parse_number(number, 1, BRIDGE_REGION_MAX >> shift, 0, ret))
        return false;
    *ret <<= shift;
    return !(*ret & (*ret - 1)); /* what a device's memory can be */
}

/* FILE,size=BYTES[,slices=N] */
static int set_region(struct bridge *b, const char *text)
{
    char copy[sizeof b->region + 64], *rest = NULL;
    b->region[0] = 0;
    if ((size_t)snprintf(copy, sizeof copy, "%s", text) >= sizeof copy)
        return say_wrong("--region", text);
    const char *file = strtok_r(copy, ",", &rest);
    bool good = file && strlen(file) < sizeof b->region;
    for (const char *word; good && (word = strtok_r(NULL, ",", &rest));)
        good = !strncmp(word, "size=", 5)     ? parse_bytes(word + 5, &b->region_size)
               : !strncmp(word, "slices=", 7) ? parse_number(word + 7, 1, BRIDGE_SLICES_MAX, 0, &b->n_slices)
                                              : false;
    if (good && !b->n_slices)
        b->n_slices = HIRA_MIN(b->region_size / BRIDGE_SLICE_LEAST, SLICES);
    if (!good || !b->n_slices || b->region_size / b->n_slices < BRIDGE_SLICE_LEAST)
        return say_wrong("--region", text);
    strcpy(b->region, file);
    return 0;
}

/* 0, 1: told all there is to know, -EINVAL. */
static int parse(struct bridge *b, int argc, char **argv)
{
    static const struct option options[] = {{"vm", required_argument, NULL, 'v'},         {"cid", required_argument, NULL, 'c'},
                                            {"port", required_argument, NULL, 'p'},       {"hira", required_argument, NULL, 'i'},
                                            {"region", required_argument, NULL, 'r'},     {"log-level", required_argument, NULL, 'l'},
                                            {"no-confine", no_argument, NULL, 'n'},       {"version", no_argument, NULL, 'V'},
                                            {"help", no_argument, NULL, 'h'},             {"relay", required_argument, NULL, 'R'},
                                            {0}};
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        int error = 0;
        if (c == 'h' || c == 'V')
            return puts(c == 'h' ? usage : "hira-bridge " HIRA_VERSION), 1;
        if (c == 'v' && strlen(optarg) >= sizeof b->address.sun_path)
            error = say_wrong("--vm", optarg);
        else if (c == 'v')
            strcpy(b->address.sun_path, optarg);
        else if (c == 'c' && !parse_number(optarg, 3, UINT32_MAX - 1, 0, &b->device.vsock.cid))
            error = say_wrong("--cid", optarg);
        else if (c == 'p' || c == 'i')
            error = add_port(&b->device.vsock, optarg, c == 'i');
        else if (c == 'R')
            error = set_relay(b, optarg);
        else if (c == 'r')
            error = set_region(b, optarg);
        else if (c == 'l' && hira_log_level_parse(optarg, &b->log.level) < 0)
            error = say_wrong("--log-level", optarg);
        else if (c == 'n')
            b->confine = false;
        else if (c == '?')
            error = -EINVAL;
        if (error)
            return error;
    }
    if (optind < argc)
        return say_wrong("the argument", argv[optind]);
    if (!*b->address.sun_path || !b->device.vsock.cid || !b->device.vsock.n_ports)
        return fputs(usage, stderr), -EINVAL;
    if (b->relay_port && (size_t)snprintf(b->relay_port->path, sizeof b->relay_port->path, "%s" RELAY_SUFFIX, b->address.sun_path) >=
                             sizeof b->relay_port->path)
        return say_wrong("with --relay, --vm", b->address.sun_path);
    for (unsigned i = 0; i < b->device.vsock.n_ports; i++)
        if (b->device.vsock.ports[i].hira && !b->region[0])
            return fputs("hira-bridge: --hira needs --region: where else would guests' lanes lie?\n", stderr), -EINVAL;
    return 0;
}

/* ---- the hypervisor ---- */

static void on_gone(struct bridge_device *device)
{
    struct bridge *b = HIRA_CONTAINER_OF(device, struct bridge, device);
    bridge_device_detach(device);
    hira_log(&b->log, HIRA_LOG_INFO, "bridge", 0, "the virtual machine has gone");
}

static void on_listener(struct bridge_watch *watch, uint32_t events)
{
    struct bridge *b = HIRA_CONTAINER_OF(watch, struct bridge, listener);
    int fd = accept4(watch->fd, NULL, NULL, SOCK_CLOEXEC);
    (void)events;
    if (fd < 0)
        return;
    if (b->device.watch.fd >= 0) {
        hira_log(&b->log, HIRA_LOG_WARNING, "bridge", 0, "a second hypervisor is turned away");
        hira_fd_closep(&fd);
        return;
    }
    if (bridge_device_attach(&b->device, fd) < 0)
        bridge_device_detach(&b->device);
    else
        hira_log(&b->log, HIRA_LOG_INFO, "bridge", 0, "a virtual machine is here");
}

static void on_signal(struct bridge_watch *watch, uint32_t events)
{
    (void)events;
    HIRA_CONTAINER_OF(watch, struct bridge, signals)->loop.ends = true;
}

/* Who owns the folder decides who listens there. It is made where there is none: `hira vm` has one of its own for all machines. */
static int find_folder(const char *socket)
{
    char path[sizeof ((struct sockaddr_un *)0)->sun_path];
    struct stat st;
    strcpy(path, socket);
    const char *folder = dirname(path);
    if (mkdir(folder, 0700) < 0 && errno != EEXIST)
        return -errno;
    if (stat(folder, &st) < 0)
        return -errno;
    return st.st_uid == 0 || st.st_uid == geteuid() ? 0 : -EPERM;
}

/* Listens on --vm; a socket that a dead bridge left is replaced. */
static int listen_for_vm(struct bridge *b)
{
    struct stat st;
    b->address.sun_family = AF_UNIX;
    int error = find_folder(b->address.sun_path);
    if (error)
        return error;
    HIRA_AUTOCLOSE int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (lstat(b->address.sun_path, &st) == 0) {
        if (!S_ISSOCK(st.st_mode))
            return -EEXIST;
        if (connect(probe, (struct sockaddr *)&b->address, sizeof b->address) == 0)
            return -EADDRINUSE;
        unlink(b->address.sun_path);
    }
    HIRA_AUTOCLOSE int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    mode_t mask = umask(0177);
    int ret = fd < 0 || bind(fd, (struct sockaddr *)&b->address, sizeof b->address) < 0 || listen(fd, 4) < 0 ? -errno : 0;
    umask(mask);
    if (ret)
        return ret;
    b->listener = (struct bridge_watch){HIRA_STEAL_FD(fd), on_listener};
    return bridge_loop_add(&b->loop, &b->listener, EPOLLIN);
}

static int watch_signals(struct bridge *b)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    signal(SIGPIPE, SIG_IGN);
    sigprocmask(SIG_BLOCK, &set, NULL);
    b->signals = (struct bridge_watch){signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK), on_signal};
    return b->signals.fd < 0 ? -errno : bridge_loop_add(&b->loop, &b->signals, EPOLLIN);
}

static int open_region(struct bridge *b)
{
    int error = b->region[0] ? bridge_shared_open(&b->shared, b->region, b->region_size, (unsigned)b->n_slices) : 0;
    if (error)
        fprintf(stderr, "hira-bridge: %s: %s\n", b->region,
                error == -EBUSY    ? "another bridge has it"
                : error == -EINVAL ? "it is there, and has another size"
                : error == -EPERM  ? "it is there, and is another user's, or open to everybody"
                                   : strerror(-error));
    return error;
}

/* ---- the relay ---- */

/* In the child. It lies beside this program, or where an installation or a build has it. */
static _Noreturn void become_relay(const struct bridge *b, int line)
{
    static const char *const folders[] = {"", "../../bin/", "../remote/"};
    char self[4096 - 64], program[4096], listen[128], machine[24], number[4];
    char *args[] = {"hira-relay", "--listen", listen, "--socket", (char *)b->relayed, "--machine", machine, "--private", number, NULL, NULL};
    ssize_t n = readlink("/proc/self/exe", self, sizeof self);
    while (n > 0 && self[n - 1] != '/')
        n--;
    snprintf(listen, sizeof listen, "unix:%s", b->relay_port->path);
    snprintf(machine, sizeof machine, "%llu", (unsigned long long)b->device.vsock.cid);
    snprintf(number, sizeof number, "%d", RELAY_LINE);
    if (!b->confine)
        args[HIRA_ARRAY_SIZE(args) - 2] = "--no-confine";
    if (line == RELAY_LINE ? fcntl(line, F_SETFD, 0) == 0 : dup2(line, RELAY_LINE) >= 0)
        for (size_t i = 0; n > 0 && i < HIRA_ARRAY_SIZE(folders); i++) {
            snprintf(program, sizeof program, "%.*s%s%s", (int)n, self, folders[i], args[0]);
            execv(program, args);
        }
    dprintf(RELAY_LINE, "FAILED cannot be run: %s\n", strerror(errno));
    _exit(127);
}

/* It has nothing more to say: what can be read is its end. */
static void on_relay(struct bridge_watch *watch, uint32_t events)
{
    struct bridge *b = HIRA_CONTAINER_OF(watch, struct bridge, relay);
    (void)events;
    bridge_loop_remove(&b->loop, watch);
    hira_log(&b->log, HIRA_LOG_ERROR, "bridge", 0, "hira-relay has ended: guests that share no memory find nobody until this bridge is started anew");
}

static int read_ready(int fd, char *line, size_t size)
{
    struct pollfd p = {fd, POLLIN, 0};
    ssize_t n = poll(&p, 1, RELAY_READY_MS) == 1 ? read(fd, line, size - 1) : 0; /* one line, written at once */
    line[n > 0 ? n : 0] = 0;
    line[strcspn(line, "\n")] = 0;
    return strncmp(line, "READY ", 6) ? -EPROTO : 0;
}

static int start_relay(struct bridge *b)
{
    int ends[2];
    char line[512];
    if (!b->relayed)
        return 0;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
        return -errno;
    pid_t pid = fork();
    if (pid == 0)
        become_relay(b, ends[1]);
    close(ends[1]);
    b->relay = (struct bridge_watch){ends[0], on_relay};
    if (pid > 0 && read_ready(ends[0], line, sizeof line) == 0)
        return bridge_loop_add(&b->loop, &b->relay, EPOLLIN);
    fprintf(stderr, "hira-bridge: hira-relay: %s\n", pid < 0 ? strerror(errno) : !strncmp(line, "FAILED ", 7) ? line + 7 : "it does not come up");
    return -ECHILD;
}

static int start(struct bridge *b)
{
    b->loop.epoll = epoll_create1(EPOLL_CLOEXEC);
    int error = b->loop.epoll < 0 ? -errno : watch_signals(b);
    if (!error && open_region(b) < 0)
        return -EINVAL;
    if (!error)
        error = listen_for_vm(b);
    if (error) {
        fprintf(stderr, "hira-bridge: cannot listen on %s: %s\n", b->address.sun_path,
                error == -EADDRINUSE ? "another bridge does" : strerror(-error));
        return error;
    }
    error = start_relay(b);
    if (!error && b->confine) {
        char missing[200] = "";
        error = bridge_confine(missing, sizeof missing);
        if (error < 0)
            fprintf(stderr, "hira-bridge: cannot confine itself: %s (--no-confine does without)\n", strerror(-error));
        else if (*missing)
            hira_log(&b->log, HIRA_LOG_WARNING, "bridge", 0, "not confined by: %s", missing);
    }
    return error;
}

int main(int argc, char **argv)
{
    struct bridge b = {.loop.epoll = -1, .listener.fd = -1, .relay.fd = -1, .confine = true, .log = {HIRA_LOG_INFO, hira_log_write_text, (void *)(intptr_t)2}};
    bridge_shared_init(&b.shared, &b.loop);
    b.device.vsock.shared = &b.shared;
    bridge_device_init(&b.device, &b.loop, &b.log);
    b.device.gone = on_gone;
    int ret = parse(&b, argc, argv);
    if (ret)
        return ret < 0 ? 2 : 0;
    if (start(&b) < 0) {
        if (b.listener.fd >= 0)
            unlink(b.address.sun_path);
        return 1;
    }
    hira_log(&b.log, HIRA_LOG_INFO, "bridge", 0, "waits for the virtual machine %llu on %s", (unsigned long long)b.device.vsock.cid,
             b.address.sun_path);
    ret = bridge_loop_run(&b.loop);
    bridge_device_detach(&b.device);
    bridge_shared_close(&b.shared);
    unlink(b.address.sun_path);
    return ret < 0;
}
