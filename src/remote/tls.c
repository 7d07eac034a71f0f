/*
 * TLS by GnuTLS. See tls.h.
 *
 * Security. Until the handshake is done the peer is anybody; nothing is kept for it. What it says of itself counts only
 * as TLS has proven it: the name of a key, or the common name in a certificate of the authority that the operator
 * named.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include "remote/tls.h"

#include <errno.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/text.h"
#include "remote/util.h"

#define PSKS_MAX (1u << 20) /* some ten thousand names */
#define TLS_RECORD 16384u
/* With one key no more records are sent than that: another connection has another. TLS 1.3 has a word for new keys, but
 * GnuTLS does not change them while another thread sends. */
#define TLS_RECORDS_MAX (1u << 23)
/* Of ciphers that nobody breaks the fastest first: AES with 128 bits has four rounds less. */
#define PRIORITY "NORMAL:-VERS-ALL:+VERS-TLS1.3:-CIPHER-ALL:+AES-128-GCM:+AES-256-GCM:+CHACHA20-POLY1305"
#define PRIORITY_PSK PRIORITY ":-KX-ALL:+ECDHE-PSK:+DHE-PSK"
#define PRIORITY_CERT PRIORITY
#define PRIORITY_BOTH PRIORITY ":+ECDHE-PSK:+DHE-PSK"

struct relay_credentials {
    gnutls_certificate_credentials_t certificates;
    gnutls_psk_client_credentials_t psk_client;
    gnutls_psk_server_credentials_t psk_server;
    struct hira_text psks; /* the host's side: the file, as it was when it was read last */
};

/* GnuTLS writes one record of 16 KiB at a time, and reads each in two parts; a system call for each, and a peer that is
 * woken for it, take longer than the cipher does. So what it has encrypted and is to decrypt lies here. */
struct relay_tls {
    int fd;
    gnutls_session_t session;
    uint32_t records;           /* sent */
    int failed;                 /* GnuTLS's reason for which nothing more was received */
    bool late;                  /* nothing came for as long as the descriptor waits */
    size_t written, begin, end; /* of out: what is to be sent; of in: what is to be read */
    char out[RELAY_PIECE], in[RELAY_PIECE];
};

/* ---- keys ---- */

/* The first line NAME:KEY of a file. */
static int load_psk(const struct relay_keys *k, char *error, size_t size)
{
    struct relay_credentials *c = k->credentials;
    struct hira_text text = {0};
    int ret = hira_text_read_file(&text, k->psk, 65536);
    char *line = text.data, *colon = line ? strchr(line, ':') : NULL;
    if (ret == 0 && colon) {
        *colon = 0;
        char *key = colon + 1;
        key[strcspn(key, "\r\n")] = 0;
        const gnutls_datum_t datum = {(unsigned char *)key, (unsigned)strlen(key)};
        ret = gnutls_psk_allocate_client_credentials(&c->psk_client);
        if (!ret)
            ret = gnutls_psk_set_client_credentials(c->psk_client, line, &datum, GNUTLS_PSK_KEY_HEX);
        if (ret)
            relay_fail(error, size, 0, "%s: the key is no key: %s", k->psk, gnutls_strerror(ret));
    } else if (ret) {
        relay_fail(error, size, 0, "%s: %s", k->psk, strerror(-ret));
    } else {
        ret = relay_fail(error, size, -1, "%s: its first line is not NAME:KEY", k->psk);
    }
    if (text.data)
        gnutls_memset(text.data, 0, text.size);
    hira_text_fini(&text);
    return ret ? -EINVAL : 0;
}

int relay_keys_refresh(struct relay_keys *k, char *error, size_t size)
{
    struct relay_credentials *c = k->credentials;
    if (!c || !c->psk_server)
        return 0;
    if (c->psks.data)
        gnutls_memset(c->psks.data, 0, c->psks.size);
    hira_text_fini(&c->psks);
    int ret = hira_text_read_file(&c->psks, k->psk, PSKS_MAX);
    return ret ? relay_fail(error, size, -EINVAL, "%s: %s", k->psk, strerror(-ret)) : 0;
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
    const struct relay_credentials *c = gnutls_session_get_ptr(tls);
    gnutls_datum_t hex = {0};
    size_t length;
    const char *found = find_psk(&c->psks, name, &length);
    if (!found)
        return 1;
    hex.data = (unsigned char *)found;
    hex.size = (unsigned)length;
    return gnutls_hex_decode2(&hex, key) < 0 ? -1 : 0;
}

/* Whether a line is NAME:KEY; one that is not, among others that are, costs nobody else. */
static bool is_psk(const char *line, size_t length)
{
    const char *colon = memchr(line, ':', length);
    size_t digits = colon ? length - (size_t)(colon + 1 - line) : 0;
    return colon && colon != line && digits && digits % 2 == 0 && strspn(colon + 1, "0123456789abcdefABCDEF") >= digits;
}

/* Keys may be added later; but what has lines and not one of them a key's is another file, a certificate say. */
static bool are_psks(const struct hira_text *text)
{
    bool none = true;
    for (const char *line = text->data; line && *line; line += *line == '\n') {
        size_t length = strcspn(line, "\r\n");
        if (is_psk(line, length))
            return true;
        none &= !length || *line == '#';
        line += strcspn(line, "\n");
    }
    return none;
}

static int load_psks(struct relay_keys *k, char *error, size_t size)
{
    struct relay_credentials *c = k->credentials;
    gnutls_psk_allocate_server_credentials(&c->psk_server);
    gnutls_psk_set_server_credentials_function(c->psk_server, on_psk);
    int ret = relay_keys_refresh(k, error, size);
    return ret || are_psks(&c->psks) ? ret
                                     : relay_fail(error, size, -EINVAL, "%s: none of its lines is NAME:KEY", k->psk);
}

static int load_certificates(const struct relay_keys *k, bool server, char *error, size_t size)
{
    struct relay_credentials *c = k->credentials;
    int ret = gnutls_certificate_allocate_credentials(&c->certificates);
    if (ret)
        return relay_fail(error, size, -EINVAL, "%s", gnutls_strerror(ret));
    if (server && (!k->cert || !k->key || !k->ca))
        return relay_fail(
            error, size, -EINVAL,
            "certificates: a certificate, its key, and the authority of who may come are needed together");
    if (!k->cert != !k->key)
        return relay_fail(error, size, -EINVAL, "a certificate needs its key, and a key its certificate");
    if (k->cert && (ret = gnutls_certificate_set_x509_key_file(c->certificates, k->cert, k->key, GNUTLS_X509_FMT_PEM)))
        return relay_fail(error, size, -EINVAL, "%s, %s: %s", k->cert, k->key, gnutls_strerror(ret));
    ret = k->ca ? gnutls_certificate_set_x509_trust_file(c->certificates, k->ca, GNUTLS_X509_FMT_PEM)
                : gnutls_certificate_set_x509_system_trust(c->certificates);
    if (ret <= 0 && k->ca)
        return relay_fail(error, size, -EINVAL, "%s: %s", k->ca,
                          ret ? gnutls_strerror(ret) : "no certificate is in it");
    return 0;
}

int relay_keys_load(struct relay_keys *k, bool server, char *error, size_t size)
{
    bool certificates = k->cert || k->key || k->ca;
    if (k->plain && (k->psk || certificates))
        return relay_fail(error, size, -EINVAL, "plain connections have no keys");
    if (k->plain)
        return 0;
    if (!k->psk && !certificates)
        return relay_fail(error, size, -EINVAL,
                          "connections are encrypted: a key (--psk) or certificates (--cert, --key, --ca) are missing");
    k->credentials = calloc(1, sizeof *k->credentials);
    if (!k->credentials)
        return relay_fail(error, size, -EINVAL, "out of memory");
    int ret = !k->psk ? 0 : server ? load_psks(k, error, size) : load_psk(k, error, size);
    return ret || !certificates ? ret : load_certificates(k, server, error, size);
}

bool relay_digest(const void *data, size_t size, uint8_t ret[static RELAY_DIGEST_SIZE])
{
    return gnutls_hash_fast(GNUTLS_DIG_SHA256, data, size, ret) == 0;
}

/* ---- what GnuTLS writes and reads ---- */

static int send_written(struct relay_tls *t)
{
    size_t n = 0;
    while (n < t->written) {
        ssize_t sent = send(t->fd, t->out + n, t->written - n, MSG_NOSIGNAL);
        if (sent < 0 && errno != EINTR)
            return -errno;
        n += (size_t)HIRA_MAX(sent, 0);
    }
    t->written = 0;
    return 0;
}

static ssize_t push(gnutls_transport_ptr_t context, const void *data, size_t size)
{
    struct relay_tls *t = context;
    if (t->written == sizeof t->out && send_written(t) < 0)
        return -1;
    size = HIRA_MIN(size, sizeof t->out - t->written);
    memcpy(t->out + t->written, data, size);
    t->written += size;
    return (ssize_t)size;
}

static ssize_t pull(gnutls_transport_ptr_t context, void *data, size_t size)
{
    struct relay_tls *t = context;
    while (t->begin == t->end) {
        ssize_t n = recv(t->fd, t->in, sizeof t->in, 0);
        if (n < 0 && errno == EINTR)
            continue;
        t->late = n < 0 && errno == EAGAIN;
        if (t->late)
            errno = ETIMEDOUT; /* GnuTLS would have it tried again */
        if (n <= 0)
            return n;
        t->begin = 0;
        t->end = (size_t)n;
    }
    size = HIRA_MIN(size, t->end - t->begin);
    memcpy(data, t->in + t->begin, size);
    t->begin += size;
    return (ssize_t)size;
}

/* ---- sessions ---- */

/* A name that may be a tenant's, and is no machine's. */
static int take_identity(char *identity, const char *name, char *error, size_t size)
{
    size_t length = strnlen(name, HIRA_TENANT_MAX);
    if (length < HIRA_TENANT_MAX) {
        memcpy(identity, name, length + 1);
        if (hira_tenant_valid(identity) && strncmp(name, RELAY_MACHINE, strlen(RELAY_MACHINE)) != 0)
            return 0;
    }
    identity[0] = 0;
    return relay_fail(error, size, -EACCES, "who it is cannot be a tenant's name");
}

static int certificate_identity(gnutls_session_t tls, char *identity, char *error, size_t size)
{
    unsigned n = 0;
    const gnutls_datum_t *chain = gnutls_certificate_get_peers(tls, &n);
    gnutls_x509_crt_t crt;
    char name[256];
    size_t length = sizeof name;
    int ret = n ? gnutls_x509_crt_init(&crt) : -1;
    if (ret < 0)
        return relay_fail(error, size, -EACCES, "it has no certificate");
    ret = gnutls_x509_crt_import(crt, chain, GNUTLS_X509_FMT_DER);
    if (!ret)
        ret = gnutls_x509_crt_get_dn_by_oid(crt, GNUTLS_OID_X520_COMMON_NAME, 0, 0, name, &length);
    gnutls_x509_crt_deinit(crt);
    if (ret)
        return relay_fail(error, size, -EACCES, "its certificate has no name");
    return take_identity(identity, name, error, size);
}

static int peer_identity(gnutls_session_t tls, char *identity, char *error, size_t size)
{
    const char *psk = gnutls_psk_server_get_username(tls);
    return psk ? take_identity(identity, psk, error, size) : certificate_identity(tls, identity, error, size);
}

/* The peer's certificate is to be of this authority, for this name if it is a host's, and for what it is used for. The list has to last as
 * long as the session: one process has one peer. */
static void verify_peer(gnutls_session_t tls, bool server, const char *host)
{
    static gnutls_typed_vdata_st wanted[2];
    wanted[0] = (gnutls_typed_vdata_st){GNUTLS_DT_KEY_PURPOSE_OID,
                                        (unsigned char *)(server ? GNUTLS_KP_TLS_WWW_CLIENT : GNUTLS_KP_TLS_WWW_SERVER), 0};
    wanted[1] = (gnutls_typed_vdata_st){GNUTLS_DT_DNS_HOSTNAME, (unsigned char *)host, 0};
    gnutls_session_set_verify_cert2(tls, wanted, server || !host ? 1 : 2, 0);
}

static int set_up(gnutls_session_t tls, const struct relay_keys *k, bool server, const char *host)
{
    const struct relay_credentials *c = k->credentials;
    const char *priority = k->psk && c->certificates ? PRIORITY_BOTH : k->psk ? PRIORITY_PSK : PRIORITY_CERT;
    int ret = gnutls_priority_set_direct(tls, priority, NULL);
    if (!ret && k->psk)
        ret = gnutls_credentials_set(tls, GNUTLS_CRD_PSK, server ? (void *)c->psk_server : (void *)c->psk_client);
    if (!ret && c->certificates)
        ret = gnutls_credentials_set(tls, GNUTLS_CRD_CERTIFICATE, c->certificates);
    if (!ret && c->certificates) {
        if (server)
            gnutls_certificate_server_set_request(tls, k->psk ? GNUTLS_CERT_REQUEST : GNUTLS_CERT_REQUIRE);
        verify_peer(tls, server, host);
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
        gnutls_alert_description_t said_so = gnutls_alert_get(tls);
        const char *alert = gnutls_alert_get_name(said_so);
        const char *hint = said_so == GNUTLS_A_ILLEGAL_PARAMETER || said_so == GNUTLS_A_DECRYPT_ERROR
                               ? ": is the key, under this name, known there?"
                           : said_so == GNUTLS_A_CERTIFICATE_REQUIRED ? ": give --cert and --key"
                                                                      : "";
        snprintf(text, size, "the other side refuses: %s%s", alert ? alert : "it does not say why", hint);
        return text;
    }
    if (code == GNUTLS_E_RECEIVED_ILLEGAL_PARAMETER)
        return "it knows no key of a name here, or another one";
    if (code == GNUTLS_E_PREMATURE_TERMINATION || code == GNUTLS_E_PULL_ERROR)
        return "the other side ends it: is the key, or the certificate, known there?";
    return gnutls_strerror(code);
}

/* Whoever sends meanwhile would use the old key's state and the new one's at once: the connection ends instead. */
static int refuse_new_keys(gnutls_session_t tls, unsigned type, unsigned when, unsigned incoming,
                           const gnutls_datum_t *message)
{
    (void)tls, (void)type, (void)when, (void)incoming, (void)message;
    return GNUTLS_E_UNEXPECTED_HANDSHAKE_PACKET;
}

static int shake_hands(gnutls_session_t tls, char *error, size_t size)
{
    char text[160];
    int ret;
    gnutls_handshake_set_timeout(tls, RELAY_HANDSHAKE_MS);
    do
        ret = gnutls_handshake(tls);
    while (ret < 0 && !gnutls_error_is_fatal(ret));
    gnutls_handshake_set_timeout(tls, GNUTLS_INDEFINITE_TIMEOUT);
    if (ret >= 0)
        return 0;
    relay_fail(error, size, 0, "TLS: %s", why(tls, ret, text, sizeof text));
    gnutls_alert_send_appropriate(tls, ret);
    return ret == GNUTLS_E_TIMEDOUT ? -ETIMEDOUT : -EACCES;
}

int relay_tls_begin(struct relay_tls **ret_tls, int fd, const struct relay_keys *keys, bool server, const char *host,
                    char identity[static HIRA_TENANT_MAX], char *error, size_t size)
{
    struct relay_tls *t = malloc(sizeof *t);
    identity[0] = 0;
    if (!t)
        return relay_fail(error, size, -ENOMEM, "out of memory");
    memset(t, 0, offsetof(struct relay_tls, out));
    t->fd = fd;
    int ret = gnutls_init(&t->session, (server ? GNUTLS_SERVER : GNUTLS_CLIENT | GNUTLS_FORCE_CLIENT_CERT) |
                                           GNUTLS_NO_SIGNAL | GNUTLS_NO_AUTO_REKEY);
    if (!ret)
        ret = set_up(t->session, keys, server, host);
    if (ret) {
        relay_tls_end(t);
        return relay_fail(error, size, -EPROTO, "TLS: %s", gnutls_strerror(ret));
    }
    gnutls_session_set_ptr(t->session, keys->credentials);
    gnutls_transport_set_int(t->session, fd);
    ret = shake_hands(t->session, error, size);
    if (!ret && server)
        ret = peer_identity(t->session, identity, error, size);
    if (ret) {
        relay_tls_end(t);
        return ret;
    }
    gnutls_handshake_set_hook_function(t->session, GNUTLS_HANDSHAKE_KEY_UPDATE, GNUTLS_HOOK_PRE, refuse_new_keys);
    /* From here on many records at a time: what was said before was read to the byte. */
    gnutls_transport_set_ptr(t->session, t);
    gnutls_transport_set_push_function(t->session, push);
    gnutls_transport_set_pull_function(t->session, pull);
    *ret_tls = t;
    return 0;
}

static int send_secure(struct relay_tls *t, const char *data, size_t size)
{
    while (size) {
        ssize_t n = gnutls_record_send(t->session, data, size);
        if ((n < 0 && gnutls_error_is_fatal((int)n)) || ++t->records > TLS_RECORDS_MAX)
            return -EPIPE;
        data += HIRA_MAX(n, 0);
        size -= (size_t)HIRA_MAX(n, 0);
    }
    return 0;
}

/* A head goes in one record with what begins behind it: by itself it would be a packet of its own, and wake the peer
 * for nothing. */
int relay_tls_send(struct relay_tls *t, const struct iovec *parts, int n)
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
    error = filled ? send_secure(t, record, filled) : 0;
    for (; i < n && !error; i++, at = 0)
        error = send_secure(t, (const char *)parts[i].iov_base + at, parts[i].iov_len - at);
    return error ? error : send_written(t);
}

ssize_t relay_tls_receive(struct relay_tls *t, void *data, size_t size)
{
    ssize_t n;
    do
        n = gnutls_record_recv(t->session, data, size);
    while (n < 0 && !gnutls_error_is_fatal((int)n));
    if (t->late)
        return -ETIMEDOUT;
    if (n < 0)
        t->failed = (int)n;
    return n < 0 ? -EPIPE : n;
}

bool relay_tls_why(struct relay_tls *t, char *text, size_t size)
{
    char said[160];
    if (t->failed)
        snprintf(text, size, "TLS: %s", why(t->session, t->failed, said, sizeof said));
    return t->failed;
}

void relay_tls_end(struct relay_tls *t)
{
    if (t && t->session)
        gnutls_deinit(t->session);
    free(t);
}
