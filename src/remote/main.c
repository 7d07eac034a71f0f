/*
 * hira-relay: calls across a network. See docs/remote.md and hira-relay(8).
 *
 * Process model. This process listens and forks one for each connection, and does nothing else with it: what a peer
 * sends, TLS, the session, all of that is in the child, which ends with its session. `--listen`: on the accelerator's
 * host, started by hirad; peers come by TCP, and guests of hirad are what the children are. A virtual machine's come by AF_VSOCK, or by
 * a unix socket, to which the machine's hira-bridge forwards: it has started the relay then. `--on`: on the guest's
 * host, started by `hira run`; guests come by a unix socket as they would come to hirad, and a child is a server to
 * each.
 *
 * Security. A connection that has not shown who it is costs a process, for a bounded time; of too many the oldest is
 * killed. Before a child reads anything it gives up all but some fifty system calls (confine.c): one that a peer breaks
 * into opens no file, starts no program, and reaches what its half connects to anyway: see docs/threat-model.md.
 *
 * Exit status: 2 when options, keys or certificates are wrong, which no other try would change (hirad does not start
 * with such ones); 1 for what may be another way next time.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <grp.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "remote/session.h"

#define RELAY_UID 1879048191 /* nobody else's: hirad's servers have those above */
#define NOBODY 65534

enum { RELAY_FAILED = 1, RELAY_MISUSED = 2 };

struct child {
    pid_t pid;
    uid_t user; /* of the guest's side: whose program it serves */
    bool proven; /* its peer has shown who it is */
};

struct relay {
    struct relay_options options;
    bool near;
    bool system; /* it serves every user of this machine */
    const char *network, *check;
    int listener, line, signals; /* line: to whom we were started by; -1 */
    int proven[2];               /* a child writes its number */
    char folder[64];             /* made for the socket; "" */
    struct child children[RELAY_SESSIONS_MAX + RELAY_HALF_OPEN_MAX];
    unsigned n_children;
};

static volatile int proven_fd = -1;

void relay_proven(void)
{
    pid_t pid = getpid();
    alarm(0);
    if (proven_fd >= 0 && write(proven_fd, &pid, sizeof pid) < 0)
        return;
}

/* ---- children ---- */

static void reap(struct relay *b)
{
    for (pid_t pid; (pid = waitpid(-1, NULL, WNOHANG)) > 0;)
        for (unsigned i = 0; i < b->n_children; i++)
            if (b->children[i].pid == pid) {
                memmove(&b->children[i], &b->children[i + 1], (--b->n_children - i) * sizeof *b->children);
                break;
            }
}

static void on_proven(struct relay *b)
{
    pid_t pid;
    while (read(b->proven[0], &pid, sizeof pid) == sizeof pid)
        for (unsigned i = 0; i < b->n_children; i++)
            b->children[i].proven |= b->children[i].pid == pid;
}

/* Room for one more connection: of too many that have not shown who they are, the oldest goes. False: there are too
 * many sessions. */
static bool make_room(struct relay *b)
{
    unsigned half_open = 0, oldest = b->n_children;
    on_proven(b);
    for (unsigned i = b->n_children; i-- > 0;)
        if (!b->children[i].proven) {
            half_open++;
            oldest = i;
        }
    if (b->n_children - half_open >= RELAY_SESSIONS_MAX)
        return false;
    if (half_open >= RELAY_HALF_OPEN_MAX) {
        fprintf(stderr, "too many connections are silent, the oldest is closed\n");
        kill(b->children[oldest].pid, SIGKILL);
        waitpid(b->children[oldest].pid, NULL, 0);
        memmove(&b->children[oldest], &b->children[oldest + 1], (--b->n_children - oldest) * sizeof *b->children);
    }
    return true;
}

union address {
    struct sockaddr any;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
    struct sockaddr_vm vm;
};

static unsigned port_of(const union address *a)
{
    return a->any.sa_family == AF_INET    ? ntohs(a->in.sin_port)
           : a->any.sa_family == AF_INET6 ? ntohs(a->in6.sin6_port)
           : a->any.sa_family == AF_VSOCK ? a->vm.svm_port
                                          : 0;
}

static void name_peer(const struct relay *b, int fd, char *name, size_t size)
{
    union address a = {.in6 = {0}};
    socklen_t length = sizeof a;
    char host[INET6_ADDRSTRLEN] = "?";
    if (getpeername(fd, &a.any, &length) < 0)
        a.any.sa_family = AF_UNSPEC;
    if (a.any.sa_family == AF_INET)
        inet_ntop(AF_INET, &a.in.sin_addr, host, sizeof host);
    else if (a.any.sa_family == AF_INET6)
        inet_ntop(AF_INET6, &a.in6.sin6_addr, host, sizeof host);
    if (a.any.sa_family == AF_VSOCK || (a.any.sa_family == AF_UNIX && b->options.machine))
        snprintf(name, size, "machine %u", a.any.sa_family == AF_VSOCK ? a.vm.svm_cid : b->options.machine);
    else if (a.any.sa_family == AF_UNIX)
        snprintf(name, size, "this host");
    else
        snprintf(name, size, "%s:%u", host, port_of(&a));
}

static _Noreturn void become_child(struct relay *b, int fd)
{
    char peer[64];
    sigset_t none;
    close(b->listener);
    close(b->proven[0]);
    hira_fd_closep(&b->line);
    close(b->signals);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    proven_fd = b->proven[1];
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
    if (b->near)
        relay_near(&b->options, fd);
    alarm(3 * RELAY_HANDSHAKE_MS / 1000);
    name_peer(b, fd, peer, sizeof peer);
    relay_far(&b->options, fd, peer);
}

/* Three quarters are the most for one user: others find a place. */
static bool too_many_of(const struct relay *b, uid_t user)
{
    unsigned n = 0;
    for (unsigned i = 0; i < b->n_children; i++)
        n += b->children[i].user == user;
    return n >= RELAY_SESSIONS_MAX / 4 * 3;
}

static void on_connection(struct relay *b)
{
    HIRA_AUTOCLOSE int fd = accept4(b->listener, NULL, NULL, SOCK_CLOEXEC);
    if (fd < 0) {
        if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)
            usleep(100000);
        return;
    }
    uid_t user = b->near ? hira_fd_peer_user(fd) : 0;
    if (!make_room(b) || (b->system && too_many_of(b, user))) {
        if (b->near)
            hira_refuse(fd, EAGAIN, "%u programs use that host already", RELAY_SESSIONS_MAX);
        else
            relay_pipe_refuse(fd, EAGAIN, "this host serves as many as it may already");
        return;
    }
    pid_t pid = fork();
    if (pid == 0)
        become_child(b, fd);
    if (pid > 0)
        b->children[b->n_children++] = (struct child){pid, user, b->near};
}

/* ---- listening ---- */

/* /run is empty when a system starts. */
static void make_folder(const char *socket)
{
    char folder[sizeof ((struct relay_options *)0)->socket];
    char *slash = strrchr(strcpy(folder, socket), '/');
    if (!slash || slash == folder)
        return;
    *slash = 0;
    mkdir(folder, 0755);
}

/* A system's relay serves every user, and has no need to be root itself. */
static int give_up_root(char *error, size_t size)
{
    if (setgroups(0, NULL) == 0 && ((setgid(RELAY_UID) == 0 && setuid(RELAY_UID) == 0) ||
                                    (setgid(NOBODY) == 0 && setuid(NOBODY) == 0))) /* a container may know no others */
        return 0;
    return snprintf(error, size, "cannot give up root's rights: %s", strerror(errno)), -1;
}

static int listen_for_guests(struct relay *b, bool private, char *error, size_t size)
{
    b->system = geteuid() == 0 && !private;
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    const char *tmp = getenv("TMPDIR");
    if (private) {
        snprintf(b->folder, sizeof b->folder, "%s/hira-on-XXXXXX",
                 tmp && *tmp == '/' && strlen(tmp) < 40 ? tmp : "/tmp");
        if (!mkdtemp(b->folder)) {
            snprintf(error, size, "cannot make the folder %s for the socket: %s (TMPDIR names another place)", b->folder,
                     strerror(errno));
            b->folder[0] = 0;
            return -1;
        }
        snprintf(b->options.socket, sizeof b->options.socket, "%s/hirad.sock", b->folder);
    }
    memcpy(name.sun_path, b->options.socket, sizeof b->options.socket);
    if (b->system)
        make_folder(b->options.socket);
    mode_t mask = umask(b->system ? 0111 : 0177);
    b->listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (b->listener >= 0 && !private)
        unlink(b->options.socket);
    bool ok = b->listener >= 0 && bind(b->listener, (struct sockaddr *)&name, sizeof name) == 0 &&
              listen(b->listener, 128) == 0;
    umask(mask);
    if (!ok)
        return snprintf(error, size, "cannot listen on %s: %s", b->options.socket, strerror(errno)), -1;
    return b->system ? give_up_root(error, size) : 0;
}

/* AF_VSOCK, AF_UNIX; AF_UNSPEC: it is a network's. */
static int own_channel(const struct relay *b)
{
    struct relay_place place;
    return relay_place_parse(&place, b->options.address, !b->near) == 0 ? place.info.ai_family : AF_UNSPEC;
}

static void settle_grace(struct relay *b)
{
    if (b->options.grace_ms == UINT32_MAX)
        b->options.grace_ms = own_channel(b) != AF_UNSPEC ? RELAY_GRACE_OWN_MS : RELAY_GRACE_MS;
}

/* Whether what was asked for can be done at all: what no other try would change. 0, or -1 with a sentence. */
static int prepare(struct relay *b, char *error, size_t size)
{
    struct relay_keys *keys = &b->options.keys;
    if (relay_address_check(b->options.address, keys, error, size) < 0 ||
        relay_keys_load(keys, !b->near, error, size) < 0)
        return -1;
    settle_grace(b);
    if (b->network && !b->near)
        return snprintf(error, size, "--network: a network is emulated on the guest's side"), -1;
    if (b->network && relay_network_parse(&b->options.network, b->network, error, size) < 0)
        return -1;
    return b->near ? 0 : relay_listen_check(b->options.address, keys, error, size);
}

static int start(struct relay *b, char *error, size_t size)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    b->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (b->signals < 0 || pipe2(b->proven, O_CLOEXEC | O_NONBLOCK) < 0)
        return snprintf(error, size, "%s", strerror(errno)), -1;
    if (b->near)
        return listen_for_guests(b, b->line >= 0, error, size);
    b->listener = relay_listen(b->options.address, &b->options.keys, error, size);
    return HIRA_MIN(b->listener, 0);
}

/* The port that the kernel chose, where it was asked to. */
static void report(const struct relay *b)
{
    union address a = {.in6 = {0}};
    socklen_t length = sizeof a;
    char where[160];
    if (getsockname(b->listener, &a.any, &length) < 0)
        a.any.sa_family = AF_UNSPEC;
    if (b->near)
        snprintf(where, sizeof where, "%s", b->options.socket);
    else if (a.any.sa_family == AF_UNIX)
        snprintf(where, sizeof where, "%s", b->options.address);
    else
        snprintf(where, sizeof where, "%sport %u", a.any.sa_family == AF_VSOCK ? "vsock " : "", port_of(&a));
    if (b->line >= 0)
        dprintf(b->line, "READY %s\n", where);
    else
        fprintf(stderr, "hira-relay: listens on %s\n", where);
}

/* True: told to end. */
static bool on_signal(struct relay *b)
{
    struct signalfd_siginfo info;
    bool end = false;
    while (read(b->signals, &info, sizeof info) == sizeof info)
        end |= info.ssi_signo != SIGCHLD;
    reap(b);
    return end;
}

/* Until told to end, or left alone. */
static void serve(struct relay *b)
{
    bool left = false;
    while (!left || (b->near && b->n_children)) {
        struct pollfd p[] = {{b->signals, POLLIN, 0},
                             {b->proven[0], POLLIN, 0},
                             {left ? -1 : b->listener, POLLIN, 0},
                             {left ? -1 : b->line, POLLIN, 0}};
        if (poll(p, 4, -1) < 0)
            continue;
        if (p[0].revents && on_signal(b))
            return;
        if (p[1].revents)
            on_proven(b);
        if (p[2].revents)
            on_connection(b);
        if (p[3].revents) { /* nobody will come any more */
            left = true;
            hira_fd_closep(&b->listener);
        }
    }
}

/* ---- the command line ---- */

enum {
    OPT_LISTEN = 256,
    OPT_ON,
    OPT_SOCKET,
    OPT_PSK,
    OPT_CERT,
    OPT_KEY,
    OPT_CA,
    OPT_PLAIN,
    OPT_GRACE,
    OPT_LINE,
    OPT_NETWORK,
    OPT_COUNT,
    OPT_CHECK,
    OPT_MACHINE,
    OPT_NO_CONFINE,
    OPT_HELP,
    OPT_VERSION
};

static const struct option options[] = {{"listen", required_argument, NULL, OPT_LISTEN},
                                        {"on", required_argument, NULL, OPT_ON},
                                        {"socket", required_argument, NULL, OPT_SOCKET},
                                        {"psk", required_argument, NULL, OPT_PSK},
                                        {"cert", required_argument, NULL, OPT_CERT},
                                        {"key", required_argument, NULL, OPT_KEY},
                                        {"ca", required_argument, NULL, OPT_CA},
                                        {"plain", optional_argument, NULL, OPT_PLAIN},
                                        {"grace", required_argument, NULL, OPT_GRACE},
                                        {"private", required_argument, NULL, OPT_LINE},
                                        {"network", required_argument, NULL, OPT_NETWORK},
                                        {"count", required_argument, NULL, OPT_COUNT},
                                        {"check", optional_argument, NULL, OPT_CHECK},
                                        {"machine", required_argument, NULL, OPT_MACHINE},
                                        {"no-confine", no_argument, NULL, OPT_NO_CONFINE},
                                        {"help", no_argument, NULL, OPT_HELP},
                                        {"version", no_argument, NULL, OPT_VERSION},
                                        {0}};

static const char help_text[] =
    "usage: hira-relay --listen ADDRESS[:PORT] [--socket PATH] KEYS   on the accelerator's host\n"
    "       hira-relay --on HOST[:PORT] --socket PATH KEYS            on the guest's\n"
    "\n"
    "  In the place of an address: vsock, vsock:PORT, vsock:CID:PORT, between a virtual machine and its host; unix:PATH. Without\n"
    "  keys: the channel is the host's own.\n"
    "\n"
    "  --psk FILE    lines NAME:KEY; the name is the tenant\n"
    "  --cert, --key, --ca FILE\n"
    "                a certificate, its key, and the authority of the other side's\n"
    "  --plain       no encryption, on this machine only; --plain=anywhere: on others as well\n"
    "  --grace S     a session outlives its connection for so long (default: 60; of vsock and unix: 0)\n"
    "  --machine N   who comes by the unix socket is the virtual machine of this vsock address, for logs\n"
    "  --network WHAT   of the guest's side: a network that is emulated, for trials: delay=30ms,jitter=2ms,rate=100Mbit,cut=10s/60s\n"
    "  --count FILE     of the guest's side: a line of JSON for each session, of what it has cost\n"
    "  --check[=API]    of the guest's side: looks at each hop of the way to a host, and to a server there: see hira doctor --on\n"
    "  --check          of the other: looks at options, keys and certificates, says what is wrong, and ends\n"
    "  --no-confine  keeps its rights and system calls: for debuggers\n"
    "  --version\n";

static int take_number(const char *text, unsigned min, unsigned max, unsigned *ret)
{
    char *end;
    unsigned long n = strtoul(text, &end, 10);
    if (*text < '0' || *text > '9' || *end || n < min || n > max)
        return -EINVAL;
    *ret = (unsigned)n;
    return 0;
}

static int take_option(struct relay *b, int option, const char *value)
{
    struct relay_keys *k = &b->options.keys;
    unsigned n = 0;
    switch (option) {
    case OPT_LISTEN:
    case OPT_ON:
        b->near = option == OPT_ON;
        b->options.address = value;
        return 0;
    case OPT_SOCKET:
        return (size_t)snprintf(b->options.socket, sizeof b->options.socket, "%s", value) < sizeof b->options.socket
                   ? 0
                   : -EINVAL;
    case OPT_PSK:
        k->psk = value;
        return 0;
    case OPT_CERT:
        k->cert = value;
        return 0;
    case OPT_KEY:
        k->key = value;
        return 0;
    case OPT_CA:
        k->ca = value;
        return 0;
    case OPT_PLAIN:
        k->plain = true;
        k->anywhere = value && !strcmp(value, "anywhere");
        return value && !k->anywhere ? -EINVAL : 0;
    case OPT_GRACE:
        if (take_number(value, 0, 86400, &n) < 0)
            return -EINVAL;
        b->options.grace_ms = n * 1000;
        return 0;
    case OPT_LINE:
        if (take_number(value, 3, 65535, &n) < 0 || fcntl((int)n, F_SETFD, FD_CLOEXEC) < 0)
            return -EINVAL;
        b->line = (int)n;
        return 0;
    case OPT_NETWORK:
        b->network = value;
        return 0;
    case OPT_COUNT:
        b->options.count = open(value, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        return b->options.count < 0 ? -errno : 0;
    case OPT_CHECK:
        b->check = value ? value : "";
        return strlen(b->check) < HIRA_API_NAME_MAX ? 0 : -EINVAL;
    case OPT_MACHINE:
        return take_number(value, 3, UINT32_MAX - 1, &b->options.machine);
    case OPT_NO_CONFINE:
        b->options.confine = false;
        return 0;
    default:
        return -EINVAL;
    }
}

static int usage_error(void)
{
    fputs("hira-relay --help lists the options\n", stderr);
    return RELAY_MISUSED;
}

/* Of those that getopt took: about the others it has said something. */
static void say_wrong_value(int option, const char *value)
{
    for (const struct option *o = options; o->name; o++)
        if (o->val == option)
            fprintf(stderr, "hira-relay: --%s: '%s' makes no sense\n", o->name, value ? value : "");
}

static int check(struct relay *b)
{
    char error[RELAY_ERROR_MAX];
    signal(SIGPIPE, SIG_IGN);
    if (relay_address_check(b->options.address, &b->options.keys, error, sizeof error) < 0 ||
        relay_keys_load(&b->options.keys, false, error, sizeof error) < 0) {
        printf("fail\tkeys here\t%s\tsee docs/remote.md for how keys are made, and hira-hosts.conf(5) for where they are named\n", error);
        return 1;
    }
    return relay_check(&b->options, b->check) < 0;
}

int main(int argc, char **argv)
{
    static struct relay b = {
        .listener = -1, .line = -1, .signals = -1, .proven = {-1, -1}, .options = {.count = -1, .grace_ms = UINT32_MAX, .confine = true}};
    char error[RELAY_ERROR_MAX];
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (c == OPT_HELP || c == OPT_VERSION) {
            fputs(c == OPT_HELP ? help_text : "hira-relay " HIRA_VERSION "\n", stdout);
            return 0;
        }
        if (take_option(&b, c, optarg) < 0) {
            say_wrong_value(c, optarg);
            return usage_error();
        }
    }
    if (optind != argc || !b.options.address || (b.near && b.line < 0 && !b.options.socket[0] && !b.check) ||
        (b.check && *b.check && !b.near))
        return usage_error();
    if (b.check && b.near)
        return check(&b);
    if (!b.near && !b.options.socket[0] && hira_socket_path(b.options.socket, sizeof b.options.socket) < 0)
        return usage_error();
    int ret = prepare(&b, error, sizeof error) < 0 ? RELAY_MISUSED : 0;
    if (!ret && b.check)
        return 0;
    if (!ret && start(&b, error, sizeof error) < 0)
        ret = RELAY_FAILED;
    if (ret) {
        dprintf(b.line >= 0 ? b.line : STDERR_FILENO, "%s%s\n", b.line >= 0 ? "FAILED " : "hira-relay: ", error);
    } else {
        report(&b);
        serve(&b);
    }
    if (b.near && b.options.socket[0])
        unlink(b.options.socket);
    if (!b.near && !ret && own_channel(&b) == AF_UNIX)
        unlink(strchr(b.options.address, '/'));
    if (b.folder[0])
        rmdir(b.folder);
    return ret;
}
