/*
 * Connecting, prefaces, TLS. See pipe.h.
 *
 * Security. Until the handshake is done the peer is anybody. It can send a preface, which is copied and compared, and
 * whatever GnuTLS makes of the rest; nothing is kept for it, and its time is bounded by who calls. What it says of
 * itself counts only as TLS has proven it: the name of a key, or the common name in a certificate of the authority that
 * the operator named.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include "remote/pipe.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <gnutls/x509.h>
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

#define PSKS_MAX (1u << 20) /* some ten thousand names */
#define TLS_RECORD 16384u
#define MACHINE "machine-" /* before a virtual machine's address: its name */
/* Of ciphers that nobody breaks the fastest first: AES with 128 bits has four rounds less. */
#define PRIORITY "NORMAL:-VERS-ALL:+VERS-TLS1.3:-CIPHER-ALL:+AES-128-GCM:+AES-256-GCM:+CHACHA20-POLY1305"
#define PRIORITY_PSK PRIORITY ":-KX-ALL:+ECDHE-PSK:+DHE-PSK"
#define PRIORITY_CERT PRIORITY
#define PRIORITY_BOTH PRIORITY ":+ECDHE-PSK:+DHE-PSK"

HIRA_PRINTF(4, 5) static int fail(char *error, size_t size, int code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(error, size, format, args);
    va_end(args);
    return code;
}

/* ---- keys ---- */

/* The first line NAME:KEY of a file. */
static int load_psk(struct relay_keys *k, char *error, size_t size)
{
    struct hira_text text = {0};
    int ret = hira_text_read_file(&text, k->psk, 65536);
    char *line = text.data, *colon = line ? strchr(line, ':') : NULL;
    if (ret == 0 && colon) {
        *colon = 0;
        char *key = colon + 1;
        key[strcspn(key, "\r\n")] = 0;
        const gnutls_datum_t datum = {(unsigned char *)key, (unsigned)strlen(key)};
        ret = gnutls_psk_allocate_client_credentials(&k->psk_client);
        if (!ret)
            ret = gnutls_psk_set_client_credentials(k->psk_client, line, &datum, GNUTLS_PSK_KEY_HEX);
        if (ret)
            fail(error, size, 0, "%s: the key is no key: %s", k->psk, gnutls_strerror(ret));
    } else if (ret) {
        fail(error, size, 0, "%s: %s", k->psk, strerror(-ret));
    } else {
        ret = fail(error, size, -1, "%s: its first line is not NAME:KEY", k->psk);
    }
    if (text.data)
        gnutls_memset(text.data, 0, text.size);
    hira_text_fini(&text);
    return ret ? -EINVAL : 0;
}

int relay_keys_refresh(struct relay_keys *k, char *error, size_t size)
{
    if (!k->psk_server)
        return 0;
    if (k->psks.data)
        gnutls_memset(k->psks.data, 0, k->psks.size);
    hira_text_fini(&k->psks);
    int ret = hira_text_read_file(&k->psks, k->psk, PSKS_MAX);
    return ret ? fail(error, size, -EINVAL, "%s: %s", k->psk, strerror(-ret)) : 0;
}

/* The line of this name: its key, in hex. */
static const char *find_psk(const struct hira_text *psks, const char *name, size_t *ret_length)
{
    size_t length = strlen(name);
    for (const char *line = psks->data; line && *line; line = strchr(line, '\n'), line += line != NULL)
        if (!strncmp(line, name, length) && line[length] == ':') {
            *ret_length = strcspn(line + length + 1, "\r\n");
            return line + length + 1;
        }
    return NULL;
}

/* 0; 1: nobody has this name, which GnuTLS answers as it answers a wrong key; -1. */
static int on_psk(gnutls_session_t tls, const char *name, gnutls_datum_t *key)
{
    const struct relay_keys *k = gnutls_session_get_ptr(tls);
    gnutls_datum_t hex = {0};
    size_t length;
    const char *found = find_psk(&k->psks, name, &length);
    if (!found)
        return 1;
    hex.data = (unsigned char *)found;
    hex.size = (unsigned)length;
    return gnutls_hex_decode2(&hex, key) < 0 ? -1 : 0;
}

static int load_psks(struct relay_keys *k, char *error, size_t size)
{
    gnutls_psk_allocate_server_credentials(&k->psk_server);
    gnutls_psk_set_server_credentials_function(k->psk_server, on_psk);
    return relay_keys_refresh(k, error, size);
}

static int load_certificates(struct relay_keys *k, bool server, char *error, size_t size)
{
    int ret = gnutls_certificate_allocate_credentials(&k->certificates);
    if (ret)
        return fail(error, size, -EINVAL, "%s", gnutls_strerror(ret));
    if (server && (!k->cert || !k->key || !k->ca))
        return fail(error, size, -EINVAL,
                    "certificates: a certificate, its key, and the authority of who may come are needed together");
    if (!k->cert != !k->key)
        return fail(error, size, -EINVAL, "a certificate needs its key, and a key its certificate");
    if (k->cert && (ret = gnutls_certificate_set_x509_key_file(k->certificates, k->cert, k->key, GNUTLS_X509_FMT_PEM)))
        return fail(error, size, -EINVAL, "%s, %s: %s", k->cert, k->key, gnutls_strerror(ret));
    ret = k->ca ? gnutls_certificate_set_x509_trust_file(k->certificates, k->ca, GNUTLS_X509_FMT_PEM)
                : gnutls_certificate_set_x509_system_trust(k->certificates);
    if (ret <= 0 && k->ca)
        return fail(error, size, -EINVAL, "%s: %s", k->ca, ret ? gnutls_strerror(ret) : "no certificate is in it");
    return 0;
}

int relay_keys_load(struct relay_keys *k, bool server, char *error, size_t size)
{
    bool certificates = k->cert || k->key || k->ca;
    if (k->plain && (k->psk || certificates))
        return fail(error, size, -EINVAL, "plain connections have no keys");
    if (k->plain)
        return 0;
    if (!k->psk && !certificates)
        return fail(error, size, -EINVAL,
                    "connections are encrypted: a key (--psk) or certificates (--cert, --key, --ca) are missing");
    int ret = k->psk ? (server ? load_psks : load_psk)(k, error, size) : 0;
    return ret || !certificates ? ret : load_certificates(k, server, error, size);
}

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
        return fail(error, size, -EINVAL, "'%s' is no HOST[:PORT]", address);
    int ret_code = getaddrinfo(host, port, &hints, ret);
    return ret_code ? fail(error, size, -EHOSTUNREACH, "%s: %s", address, gai_strerror(ret_code)) : 0;
}

int relay_address_check(const char *address, struct relay_keys *keys, char *error, size_t size)
{
    char host[256];
    const char *port;
    struct relay_place place;
    int ret = relay_place_parse(&place, address, false);
    if (ret == -EINVAL)
        return fail(error, size, ret, "'%s' is no vsock:PORT, no vsock:CID:PORT and no unix:/PATH", address);
    if (!ret && (keys->psk || keys->cert || keys->key || keys->ca))
        return fail(error, size, -EINVAL, "%s: the channel is the host's own, and has no keys", address);
    keys->plain |= !ret;
    return ret && split(address, host, sizeof host, &port) < 0 ? fail(error, size, -EINVAL, "'%s' is no HOST[:PORT]", address) : 0;
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

/* A cable that was pulled is noticed within the time of silence; small frames are not held back. */
static void tune(int fd)
{
    const int on = 1, idle = RELAY_PROBE_S, probes = 2;
    const unsigned silence = RELAY_SILENCE_MS;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
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
            fd = fail(error, size, -EACCES, "%s: %s", t->address, no_plain);
            continue;
        }
        fd = connect_within(a, RELAY_HANDSHAKE_MS);
        if (fd >= 0)
            break;
        fail(error, size, 0, "%s: %s", t->address, strerror(-fd));
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
        return fail(error, size, -ENETUNREACH, "%s: the emulated network is cut", t->address);
    nanosleep(&there_and_back, NULL);
    int connection = dial_through(t, keys, error, size);
    int fd = connection < 0 ? connection : relay_network_enter(n, connection);
    return connection < 0 || fd >= 0 ? fd : fail(error, size, fd, "%s: %s", t->address, strerror(-fd));
}

int relay_listen(const char *address, const struct relay_keys *keys, char *error, size_t size)
{
    struct addrinfo *all = NULL;
    struct relay_place place;
    char host[256];
    const int on = 1;
    if (relay_place_parse(&place, address, true) == 0) {
        int fd = relay_place_listen(&place);
        return fd < 0 ? fail(error, size, fd, "cannot listen on %s: %s", address, strerror(-fd)) : fd;
    }
    int ret = find(address, AI_PASSIVE, &all, host, sizeof host, error, size);
    if (ret < 0 || !all)
        return ret;
    HIRA_AUTOCLOSE int fd = -1;
    if (keys->plain && !keys->anywhere && !is_ours(all->ai_addr)) {
        ret = fail(error, size, -EACCES, "%s: %s", address, no_plain);
    } else {
        fd = socket(all->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd >= 0)
            setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
        if (fd < 0 || bind(fd, all->ai_addr, all->ai_addrlen) < 0 || listen(fd, 128) < 0)
            ret = fail(error, size, -errno, "cannot listen on %s: %s", address, strerror(errno));
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
        return fail(error, size, ret, "%s: %s", address,
                    ret == -ETIMEDOUT ? "nothing is said there" : "the connection ends at once");
    if (answer.magic != RELAY_MAGIC || !memchr(answer.text, 0, sizeof answer.text))
        return fail(error, size, -EPROTO, "%s: somebody else than Hira answers there", address);
    if (answer.error) {
        hira_text_tame(answer.text);
        return fail(error, size, answer.error < 4096 ? -answer.error : -EPROTO, "%s: %s", address, answer.text);
    }
    ret = relay_preface_check(&answer);
    return ret ? fail(error, size, ret, "%s: another version of Hira answers there (%u)", address, answer.version) : 0;
}

int relay_pipe_greet(int fd, struct relay_preface *p, char *error, size_t size)
{
    int ret = read_within(fd, p, sizeof *p, RELAY_HANDSHAKE_MS);
    if (ret)
        return fail(error, size, ret, ret == -ETIMEDOUT ? "it is silent" : "it left");
    ret = relay_preface_check(p);
    if (ret == -EPROTONOSUPPORT)
        return fail(error, size, ret, "this host speaks version %u.%u of Hira's protocol, the guest's side %u.%u",
                    RELAY_VERSION, HIRA_PROTOCOL_VERSION, p->version, p->protocol);
    return ret ? fail(error, size, ret, "what it says is not Hira's") : 0;
}

void relay_pipe_refuse(int fd, int error, const char *text)
{
    struct relay_preface p = preface(NULL, NULL);
    p.error = (uint16_t)error;
    snprintf(p.text, sizeof p.text, "%s", text);
    ssize_t n = send(fd, &p, sizeof p, MSG_NOSIGNAL | MSG_DONTWAIT);
    (void)n;
}

/* ---- TLS ---- */

/* Who comes by AF_VSOCK is a virtual machine, whose address the kernel vouches for. */
static void name_machine(struct relay_pipe *pipe)
{
    struct sockaddr_vm vm = {0};
    socklen_t size = sizeof vm;
    if (getpeername(pipe->fd, (struct sockaddr *)&vm, &size) == 0 && vm.svm_family == AF_VSOCK)
        snprintf(pipe->identity, sizeof pipe->identity, MACHINE "%u", vm.svm_cid);
}

/* A name that may be a tenant's, and is no machine's. */
static int take_identity(struct relay_pipe *pipe, const char *name, char *error, size_t size)
{
    size_t length = strnlen(name, sizeof pipe->identity);
    if (length < sizeof pipe->identity) {
        memcpy(pipe->identity, name, length + 1);
        if (hira_tenant_valid(pipe->identity) && strncmp(name, MACHINE, strlen(MACHINE)) != 0)
            return 0;
    }
    pipe->identity[0] = 0;
    return fail(error, size, -EACCES, "who it is cannot be a tenant's name");
}

static int certificate_identity(struct relay_pipe *pipe, char *error, size_t size)
{
    unsigned n = 0;
    const gnutls_datum_t *chain = gnutls_certificate_get_peers(pipe->tls, &n);
    gnutls_x509_crt_t crt;
    char name[256];
    size_t length = sizeof name;
    int ret = n ? gnutls_x509_crt_init(&crt) : -1;
    if (ret < 0)
        return fail(error, size, -EACCES, "it has no certificate");
    ret = gnutls_x509_crt_import(crt, chain, GNUTLS_X509_FMT_DER);
    if (!ret)
        ret = gnutls_x509_crt_get_dn_by_oid(crt, GNUTLS_OID_X520_COMMON_NAME, 0, 0, name, &length);
    gnutls_x509_crt_deinit(crt);
    if (ret)
        return fail(error, size, -EACCES, "its certificate has no name");
    return take_identity(pipe, name, error, size);
}

static int peer_identity(struct relay_pipe *pipe, bool server, char *error, size_t size)
{
    if (!server)
        return 0;
    const char *psk = gnutls_psk_server_get_username(pipe->tls);
    return psk ? take_identity(pipe, psk, error, size) : certificate_identity(pipe, error, size);
}

static int set_up(gnutls_session_t tls, const struct relay_keys *k, bool server, const char *host)
{
    const char *priority = k->psk && k->certificates ? PRIORITY_BOTH : k->psk ? PRIORITY_PSK : PRIORITY_CERT;
    int ret = gnutls_priority_set_direct(tls, priority, NULL);
    if (!ret && k->psk)
        ret = gnutls_credentials_set(tls, GNUTLS_CRD_PSK, server ? (void *)k->psk_server : (void *)k->psk_client);
    if (!ret && k->certificates)
        ret = gnutls_credentials_set(tls, GNUTLS_CRD_CERTIFICATE, k->certificates);
    if (!ret && k->certificates) {
        if (server)
            gnutls_certificate_server_set_request(tls, k->psk ? GNUTLS_CERT_REQUEST : GNUTLS_CERT_REQUIRE);
        gnutls_session_set_verify_cert(tls, server ? NULL : host, 0);
    }
    return ret;
}

/* What went wrong, in words: a certificate's trouble is said as such. */
static const char *why(gnutls_session_t tls, int code, char *text, size_t size)
{
    gnutls_datum_t said;
    if (code == GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR &&
        !gnutls_certificate_verification_status_print(gnutls_session_get_verify_cert_status(tls), GNUTLS_CRT_X509,
                                                      &said, 0)) {
        snprintf(text, size, "%s", (char *)said.data);
        gnutls_free(said.data);
        text[strcspn(text, "\n")] = 0;
        return text;
    }
    if (code == GNUTLS_E_FATAL_ALERT_RECEIVED) {
        const char *alert = gnutls_alert_get_name(gnutls_alert_get(tls));
        snprintf(text, size, "the other side refuses: %s", alert ? alert : "it does not say why");
        return text;
    }
    if (code == GNUTLS_E_PREMATURE_TERMINATION || code == GNUTLS_E_PULL_ERROR)
        return "the other side ends it: is the key, or the certificate, known there?";
    return gnutls_strerror(code);
}

static int secure(struct relay_pipe *pipe, const struct relay_keys *k, bool server, const char *host, char *error,
                  size_t size)
{
    char text[160];
    if (k->plain)
        return 0;
    int ret =
        gnutls_init(&pipe->tls, (server ? GNUTLS_SERVER : GNUTLS_CLIENT | GNUTLS_FORCE_CLIENT_CERT) | GNUTLS_NO_SIGNAL);
    if (!ret)
        ret = set_up(pipe->tls, k, server, host);
    if (ret)
        return fail(error, size, -EPROTO, "TLS: %s", gnutls_strerror(ret));
    gnutls_session_set_ptr(pipe->tls, (void *)k);
    gnutls_transport_set_int(pipe->tls, pipe->fd);
    gnutls_handshake_set_timeout(pipe->tls, RELAY_HANDSHAKE_MS);
    do
        ret = gnutls_handshake(pipe->tls);
    while (ret < 0 && !gnutls_error_is_fatal(ret));
    if (ret < 0) {
        fail(error, size, 0, "TLS: %s", why(pipe->tls, ret, text, sizeof text));
        gnutls_alert_send_appropriate(pipe->tls, ret);
        return ret == GNUTLS_E_TIMEDOUT ? -ETIMEDOUT : -EACCES;
    }
    gnutls_handshake_set_timeout(pipe->tls, GNUTLS_INDEFINITE_TIMEOUT);
    return peer_identity(pipe, server, error, size);
}

/* ---- connections ---- */

int relay_pipe_connect(struct relay_pipe *pipe, const struct relay_target *target, const struct relay_keys *keys,
                       const uint8_t *session, char *error, size_t size)
{
    struct relay_preface mine = preface(keys, session);
    *pipe = (struct relay_pipe){.fd = dial(target, keys, error, size)};
    if (pipe->fd < 0)
        return pipe->fd;
    int ret = hira_fd_write_all(pipe->fd, &mine, sizeof mine);
    if (ret)
        fail(error, size, 0, "%s: %s", target->address, strerror(-ret));
    pipe->stage = RELAY_AT_PREFACE;
    if (!ret)
        ret = take_answer(pipe->fd, target->address, error, size);
    pipe->stage += !ret;
    if (!ret)
        ret = secure(pipe, keys, false, target->host, error, size);
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
        fail(error, size, 0, "it left");
    if (!ret)
        ret = secure(pipe, keys, true, NULL, error, size);
    if (!ret)
        name_machine(pipe);
    if (ret)
        relay_pipe_close(pipe);
    return ret;
}

static int send_secure(struct relay_pipe *pipe, const char *data, size_t size)
{
    while (size) {
        ssize_t n = gnutls_record_send(pipe->tls, data, size);
        if (n < 0 && gnutls_error_is_fatal((int)n))
            return -EPIPE;
        data += HIRA_MAX(n, 0);
        size -= (size_t)HIRA_MAX(n, 0);
    }
    return 0;
}

/* A head goes in one record with what begins behind it: by itself it would be a packet of its own, and wake the peer
 * for nothing. */
static int send_parts_secure(struct relay_pipe *pipe, const struct iovec *parts, int n)
{
    char record[TLS_RECORD];
    size_t filled = 0, at = 0;
    int i = 0, error = 0;
    for (; i < n; i++, at = 0) {
        at = HIRA_MIN(parts[i].iov_len, sizeof record - filled);
        memcpy(record + filled, parts[i].iov_base, at);
        filled += at;
        if (at < parts[i].iov_len)
            break;
    }
    error = send_secure(pipe, record, filled);
    for (; i < n && !error; i++, at = 0)
        error = send_secure(pipe, (const char *)parts[i].iov_base + at, parts[i].iov_len - at);
    return error;
}

int relay_pipe_send(struct relay_pipe *pipe, const struct iovec *given, int n)
{
    struct iovec parts[4];
    struct msghdr m = {.msg_iov = parts, .msg_iovlen = (size_t)n};
    if (pipe->tls)
        return send_parts_secure(pipe, given, n);
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
    if (!pipe->tls) {
        do
            n = recv(pipe->fd, data, size, 0);
        while (n < 0 && errno == EINTR);
        return n < 0 ? -errno : n;
    }
    do
        n = gnutls_record_recv(pipe->tls, data, size);
    while (n < 0 && !gnutls_error_is_fatal((int)n));
    if (n < 0)
        pipe->failed = (int)n;
    return n < 0 ? -EPIPE : n;
}

void relay_pipe_why(struct relay_pipe *pipe, int error, char *text, size_t size)
{
    char said[160];
    if (pipe->tls && pipe->failed)
        snprintf(text, size, "TLS: %s", why(pipe->tls, pipe->failed, said, sizeof said));
    else
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
    if (pipe->tls)
        gnutls_deinit(pipe->tls);
    hira_fd_closep(&pipe->fd);
    pipe->tls = NULL;
    pipe->fd = -1;
}
