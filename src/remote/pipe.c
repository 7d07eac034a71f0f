/*
 * Connecting and prefaces. See pipe.h.
 *
 * Security. Until TLS's handshake is done (tls.c) the peer is anybody. It can send a preface, which is copied and
 * compared; nothing is kept for it, and its time is bounded by who calls.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include "remote/pipe.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/text.h"
#include "remote/util.h"

/* ---- addresses ---- */

/* HOST, HOST:PORT, [V6], [V6]:PORT. */
static int split(const char *address, char *host, size_t size, const char **ret_port)
{
    const char *end, *port = NULL;
    if (*address == '[') {
        end = strchr(++address, ']');
        port = end && end[1] == ':' ? end + 2 : NULL;
        if (!end || (end[1] && !port))
            return -EINVAL;
    } else {
        end = strrchr(address, ':');
        if (end && strchr(address, ':') == end)
            port = end + 1;
        else
            end = address + strlen(address);
    }
    char *rest = NULL;
    unsigned long number = port ? strtoul(port, &rest, 10) : 1;
    if (end == address || (size_t)(end - address) >= size || number > 65535 ||
        (port && (*port < '0' || *port > '9' || *rest)))
        return -EINVAL;
    memcpy(host, address, (size_t)(end - address));
    host[end - address] = 0;
    *ret_port = port ? port : RELAY_PORT;
    return 0;
}

static int find(const char *address, int flags, struct addrinfo **ret, char *host, size_t host_size, char *error,
                size_t size)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = flags};
    const char *port;
    if (split(address, host, host_size, &port) < 0)
        return relay_fail(error, size, -EINVAL, "'%s' is no HOST[:PORT]", address);
    int ret_code = getaddrinfo(host, port, &hints, ret);
    return ret_code ? relay_fail(error, size, -EHOSTUNREACH, "%s: %s", address, gai_strerror(ret_code)) : 0;
}

int relay_address_check(const char *address, struct relay_keys *keys, char *error, size_t size)
{
    char host[256];
    const char *port;
    struct relay_place place;
    int ret = relay_place_parse(&place, address, false);
    if (ret == -EINVAL)
        return relay_fail(error, size, ret, "'%s' is no vsock:PORT, no vsock:CID:PORT and no unix:/PATH", address);
    if (!ret && (keys->psk || keys->cert || keys->key || keys->ca))
        return relay_fail(error, size, -EINVAL, "%s: the channel is the host's own, and has no keys", address);
    keys->plain |= !ret;
    return ret && split(address, host, sizeof host, &port) < 0 ? relay_fail(error, size, -EINVAL, "'%s' is no HOST[:PORT]", address) : 0;
}

/* Whether what is said there stays in this machine, or between it and its host. */
static bool is_ours(const struct sockaddr *a)
{
    if (a->sa_family == AF_VSOCK || a->sa_family == AF_UNIX)
        return true;
    if (a->sa_family == AF_INET)
        return ntohl(((const struct sockaddr_in *)a)->sin_addr.s_addr) >> 24 == 127;
    return a->sa_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)a)->sin6_addr);
}

static const char no_plain[] =
    "without encryption only addresses of this machine are spoken to (--plain=anywhere permits others)";

/* A cable that was pulled is noticed within the time of silence; small frames are not held back, nor do they wait
 * behind megabytes that the system has taken but not sent. */
static void tune(int fd)
{
    const int on = 1, idle = RELAY_PROBE_S, probes = 2, unsent = RELAY_PIECE;
    const unsigned silence = RELAY_SILENCE_MS;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof unsent);
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &idle, sizeof idle);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof probes);
    setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &silence, sizeof silence);
}

static int connect_within(const struct addrinfo *a, int ms)
{
    HIRA_AUTOCLOSE int fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    struct pollfd p = {fd, POLLOUT, 0};
    int error = 0;
    socklen_t size = sizeof error;
    if (fd < 0 || (connect(fd, a->ai_addr, a->ai_addrlen) < 0 && errno != EINPROGRESS))
        return -errno;
    if (poll(&p, 1, ms) != 1)
        return -ETIMEDOUT;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0 || error)
        return -error;
    int flags = fcntl(fd, F_GETFL);
    if (fcntl(fd, F_SETFL, flags & ~O_NONBLOCK) < 0)
        return -errno;
    return HIRA_STEAL_FD(fd);
}

int relay_target_find(struct relay_target *t, const char *address, char *error, size_t size)
{
    *t = (struct relay_target){.address = address};
    if (relay_place_parse(&t->place, address, false) == 0) {
        t->all = &t->place.info;
        return 0;
    }
    return find(address, 0, &t->all, t->host, sizeof t->host, error, size);
}

static int dial_through(const struct relay_target *t, const struct relay_keys *keys, char *error, size_t size)
{
    int fd = -EHOSTUNREACH;
    for (const struct addrinfo *a = t->all; a; a = a->ai_next) {
        if (keys->plain && !keys->anywhere && !is_ours(a->ai_addr)) {
            fd = relay_fail(error, size, -EACCES, "%s: %s", t->address, no_plain);
            continue;
        }
        fd = connect_within(a, RELAY_HANDSHAKE_MS);
        if (fd >= 0)
            break;
        relay_fail(error, size, 0, "%s: %s", t->address, strerror(-fd));
    }
    if (fd >= 0)
        tune(fd);
    return fd;
}

/* What TCP says to and fro before a connection is there is said without the emulated network: waited for here. */
static int dial(const struct relay_target *t, const struct relay_keys *keys, char *error, size_t size)
{
    const struct relay_network *n = t->network;
    if (!n)
        return dial_through(t, keys, error, size);
    const struct timespec there_and_back = {(time_t)(2 * n->delay / 1000000000u), (long)(2 * n->delay % 1000000000u)};
    if (!relay_network_is_up(n))
        return relay_fail(error, size, -ENETUNREACH, "%s: the emulated network is cut", t->address);
    nanosleep(&there_and_back, NULL);
    int connection = dial_through(t, keys, error, size);
    int fd = connection < 0 ? connection : relay_network_enter(n, connection);
    return connection < 0 || fd >= 0 ? fd : relay_fail(error, size, fd, "%s: %s", t->address, strerror(-fd));
}

int relay_listen_check(const char *address, const struct relay_keys *keys, char *error, size_t size)
{
    struct addrinfo *all = NULL;
    struct relay_place place;
    char host[256];
    if (!keys->plain || keys->anywhere || relay_place_parse(&place, address, true) == 0 ||
        find(address, AI_PASSIVE | AI_NUMERICHOST, &all, host, sizeof host, error, size) < 0 || !all)
        return 0;
    int ret = is_ours(all->ai_addr) ? 0 : relay_fail(error, size, -EACCES, "%s: %s", address, no_plain);
    freeaddrinfo(all);
    return ret;
}

int relay_listen(const char *address, const struct relay_keys *keys, char *error, size_t size)
{
    struct addrinfo *all = NULL;
    struct relay_place place;
    char host[256];
    const int on = 1;
    if (relay_place_parse(&place, address, true) == 0) {
        int fd = relay_place_listen(&place);
        return fd < 0 ? relay_fail(error, size, fd, "cannot listen on %s: %s", address, strerror(-fd)) : fd;
    }
    int ret = find(address, AI_PASSIVE, &all, host, sizeof host, error, size);
    if (ret < 0 || !all)
        return ret;
    HIRA_AUTOCLOSE int fd = -1;
    if (keys->plain && !keys->anywhere && !is_ours(all->ai_addr)) {
        ret = relay_fail(error, size, -EACCES, "%s: %s", address, no_plain);
    } else {
        fd = socket(all->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd >= 0)
            setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
        if (fd < 0 || bind(fd, all->ai_addr, all->ai_addrlen) < 0 || listen(fd, 128) < 0)
            ret = relay_fail(error, size, -errno, "cannot listen on %s: %s", address, strerror(errno));
    }
    freeaddrinfo(all);
    return ret ? ret : HIRA_STEAL_FD(fd);
}

/* ---- prefaces ---- */

/* All of it before the time is over, however slowly it drips. */
static int read_within(int fd, void *data, size_t size, int ms)
{
    uint64_t end = hira_now_ns() + (uint64_t)ms * 1000000u;
    for (size_t n = 0; n < size;) {
        uint64_t now = hira_now_ns();
        struct pollfd p = {fd, POLLIN, 0};
        if (now >= end || poll(&p, 1, (int)((end - now) / 1000000u) + 1) == 0)
            return -ETIMEDOUT;
        ssize_t got = recv(fd, (char *)data + n, size - n, MSG_DONTWAIT);
        if (got == 0)
            return -EPIPE;
        if (got < 0 && errno != EAGAIN && errno != EINTR)
            return -errno;
        n += got > 0 ? (size_t)got : 0;
    }
    return 0;
}

static struct relay_preface preface(const struct relay_keys *keys, const uint8_t *session)
{
    struct relay_preface p = {.magic = RELAY_MAGIC,
                              .version = RELAY_VERSION,
                              .protocol = HIRA_PROTOCOL_VERSION,
                              .security = keys && !keys->plain ? RELAY_TLS : RELAY_PLAIN};
    if (session)
        memcpy(p.session, session, sizeof p.session);
    return p;
}

static int take_answer(int fd, const char *address, char *error, size_t size)
{
    struct relay_preface answer;
    int ret = read_within(fd, &answer, sizeof answer, RELAY_HANDSHAKE_MS);
    if (ret)
        return relay_fail(error, size, ret, "%s: %s", address,
                    ret == -ETIMEDOUT ? "nothing is said there" : "the connection ends at once");
    if (answer.magic != RELAY_MAGIC || !memchr(answer.text, 0, sizeof answer.text))
        return relay_fail(error, size, -EPROTO, "%s: somebody else than Hira answers there", address);
    if (answer.error) {
        hira_text_tame(answer.text);
        return relay_fail(error, size, answer.error < 4096 ? -answer.error : -EPROTO, "%s: %s", address, answer.text);
    }
    ret = relay_preface_check(&answer);
    return ret ? relay_fail(error, size, ret, "%s: another version of Hira answers there (%u)", address, answer.version) : 0;
}

int relay_pipe_greet(int fd, struct relay_preface *p, char *error, size_t size)
{
    int ret = read_within(fd, p, sizeof *p, RELAY_HANDSHAKE_MS);
    if (ret)
        return relay_fail(error, size, ret, ret == -ETIMEDOUT ? "it is silent" : "it left");
    ret = relay_preface_check(p);
    if (ret == -EPROTONOSUPPORT)
        return relay_fail(error, size, ret, "this host speaks version %u.%u of Hira's protocol, the guest's side %u.%u",
                    RELAY_VERSION, HIRA_PROTOCOL_VERSION, p->version, p->protocol);
    return ret ? relay_fail(error, size, ret, "what it says is not Hira's") : 0;
}

void relay_pipe_refuse(int fd, int error, const char *text)
{
    struct relay_preface p = preface(NULL, NULL);
    p.error = (uint16_t)error;
    snprintf(p.text, sizeof p.text, "%s", text);
    ssize_t n = send(fd, &p, sizeof p, MSG_NOSIGNAL | MSG_DONTWAIT);
    (void)n;
}

/* ---- connections ---- */

/* Who comes by AF_VSOCK is a virtual machine, whose address the kernel vouches for. */
static void name_machine(struct relay_pipe *pipe)
{
    struct sockaddr_vm vm = {0};
    socklen_t size = sizeof vm;
    if (getpeername(pipe->fd, (struct sockaddr *)&vm, &size) == 0 && vm.svm_family == AF_VSOCK)
        snprintf(pipe->identity, sizeof pipe->identity, RELAY_MACHINE "%u", vm.svm_cid);
}

/* `host`: of the guest's side. */
static int secure(struct relay_pipe *pipe, const struct relay_keys *k, const char *host, char *error, size_t size)
{
    return k->plain ? 0 : relay_tls_begin(&pipe->tls, pipe->fd, k, !host, host, pipe->identity, error, size);
}

int relay_pipe_connect(struct relay_pipe *pipe, const struct relay_target *target, const struct relay_keys *keys,
                       const uint8_t *session, char *error, size_t size)
{
    struct relay_preface mine = preface(keys, session);
    *pipe = (struct relay_pipe){.fd = dial(target, keys, error, size)};
    if (pipe->fd < 0)
        return pipe->fd;
    int ret = hira_fd_write_all(pipe->fd, &mine, sizeof mine);
    if (ret)
        relay_fail(error, size, 0, "%s: %s", target->address, strerror(-ret));
    pipe->stage = RELAY_AT_PREFACE;
    if (!ret)
        ret = take_answer(pipe->fd, target->address, error, size);
    pipe->stage += !ret;
    if (!ret)
        ret = secure(pipe, keys, target->host, error, size);
    pipe->stage += !ret;
    if (ret)
        relay_pipe_close(pipe);
    return ret;
}

int relay_pipe_accept(struct relay_pipe *pipe, int fd, const struct relay_keys *keys, char *error, size_t size)
{
    struct relay_preface mine = preface(keys, NULL);
    *pipe = (struct relay_pipe){.fd = fd};
    tune(fd);
    int ret = hira_fd_write_all(fd, &mine, sizeof mine);
    if (ret)
        relay_fail(error, size, 0, "it left");
    if (!ret)
        ret = secure(pipe, keys, NULL, error, size);
    if (!ret)
        name_machine(pipe);
    if (ret)
        relay_pipe_close(pipe);
    return ret;
}

int relay_pipe_send(struct relay_pipe *pipe, const struct iovec *given, int n)
{
    struct iovec parts[4];
    struct msghdr m = {.msg_iov = parts, .msg_iovlen = (size_t)n};
    if (pipe->tls)
        return relay_tls_send(pipe->tls, given, n);
    memcpy(parts, given, (size_t)n * sizeof *given);
    while (m.msg_iovlen) {
        ssize_t sent = sendmsg(pipe->fd, &m, MSG_NOSIGNAL);
        if (sent < 0 && errno != EINTR)
            return -errno;
        size_t left = sent > 0 ? (size_t)sent : 0;
        while (m.msg_iovlen && left >= m.msg_iov->iov_len) {
            left -= m.msg_iov->iov_len;
            m.msg_iov++;
            m.msg_iovlen--;
        }
        if (m.msg_iovlen) {
            m.msg_iov->iov_base = (char *)m.msg_iov->iov_base + left;
            m.msg_iov->iov_len -= left;
        }
    }
    return 0;
}

ssize_t relay_pipe_receive(struct relay_pipe *pipe, void *data, size_t size)
{
    ssize_t n;
    if (pipe->tls)
        return relay_tls_receive(pipe->tls, data, size);
    do
        n = recv(pipe->fd, data, size, 0);
    while (n < 0 && errno == EINTR);
    return n >= 0 ? n : errno == EAGAIN ? -ETIMEDOUT : -errno;
}

void relay_pipe_why(struct relay_pipe *pipe, int error, char *text, size_t size)
{
    if (!pipe->tls || !relay_tls_why(pipe->tls, text, size))
        snprintf(text, size, "the session did not begin: %s", strerror(-error));
}

int relay_pipe_receive_all(struct relay_pipe *pipe, void *data, size_t size)
{
    for (size_t n = 0; n < size;) {
        ssize_t got = relay_pipe_receive(pipe, (char *)data + n, size - n);
        if (got <= 0)
            return got ? (int)got : -EPIPE;
        n += (size_t)got;
    }
    return 0;
}

void relay_pipe_close(struct relay_pipe *pipe)
{
    relay_tls_end(HIRA_STEAL(pipe->tls));
    hira_fd_closep(&pipe->fd);
}
