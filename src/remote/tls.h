/*
 * TLS 1.3 over a connection, and the keys for it.
 *
 * Two of these: tls.c, by GnuTLS; no_tls.c for the relay in a virtual machine, whose channel is its host's own and has
 * no keys. One thread sends and one receives at a time, each of which may be another one.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#ifndef HIRA_REMOTE_TLS_H
#define HIRA_REMOTE_TLS_H

#include <sys/types.h>
#include <sys/uio.h>

#include "remote/frame.h"

#define RELAY_DIGEST_SIZE 32

struct relay_credentials; /* what the files hold */

/* By what each side shows who it is. Files, NULL: not given. */
struct relay_keys {
    bool plain;                  /* no TLS at all */
    bool anywhere;               /* and that not on this machine alone */
    const char *psk;             /* lines NAME:KEY, in hex; a guest's side uses the first */
    const char *cert, *key, *ca; /* PEM */
    struct relay_credentials *credentials;
};

/* Reads the files. 0, or -EINVAL with a sentence. */
int relay_keys_load(struct relay_keys *keys, bool server, char *error, size_t size);

/* The host's side, for each connection: reads the file of shared keys anew, so that who is added may come. 0, or
 * -EINVAL with a sentence. */
int relay_keys_refresh(struct relay_keys *keys, char *error, size_t size);

/* Something that tells nothing of what it is made from. False: not in this relay. */
bool relay_digest(const void *data, size_t size, uint8_t ret[static RELAY_DIGEST_SIZE]);

struct relay_tls; /* a connection's */

#define RELAY_MACHINE "machine-" /* before a virtual machine's address: its name, which no other peer may have */

/* The handshake, over a connected socket that stays the caller's. `host`: whose certificate the guest's side expects.
 * *identity: at the host's side, the peer's name as it has proven it, else "". 0, or -errno with a sentence. */
int relay_tls_begin(struct relay_tls **ret, int fd, const struct relay_keys *keys, bool server, const char *host,
                    char identity[static HIRA_TENANT_MAX], char *error, size_t size);

/* As relay_pipe_send() and relay_pipe_receive(). */
int relay_tls_send(struct relay_tls *tls, const struct iovec *parts, int n);
ssize_t relay_tls_receive(struct relay_tls *tls, void *data, size_t size);

/* Why nothing more was received, in words. False: of that TLS knows nothing. */
bool relay_tls_why(struct relay_tls *tls, char *text, size_t size);

/* Without a word to the peer. NULL: nothing. */
void relay_tls_end(struct relay_tls *tls);

#endif
