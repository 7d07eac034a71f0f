/*
 * A connection between two relays: TCP, with TLS 1.3 over it unless both want none; or a channel of the host's own (place.h), plain.
 *
 * One thread sends and one receives at a time, each of which may be another one. Whoever wants the other to stop shuts
 * the descriptor down.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#ifndef HIRA_REMOTE_PIPE_H
#define HIRA_REMOTE_PIPE_H

#include <netdb.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "base/text.h"
#include "remote/frame.h"
#include "remote/network.h"
#include "remote/place.h"
#include "remote/tls.h"

/* Where the accelerator's host is: found once, for a session's later connections are made where names are not looked up any more. */
struct relay_target {
    const char *address; /* as it was given, for messages */
    char host[256];
    struct addrinfo *all;
    struct relay_place place; /* what `all` is, if the channel is a host's own */
    const struct relay_network *network; /* that is put before each connection; NULL: none */
};

/* How far a connection has come. */
enum relay_stage { RELAY_AT_CONNECTION, RELAY_AT_PREFACE, RELAY_AT_TLS, RELAY_AT_FRAMES };

struct relay_pipe {
    enum relay_stage stage; /* of the guest's side */
    int fd;                         /* -1: none */
    struct relay_tls *tls;          /* NULL: plain */
    char identity[HIRA_TENANT_MAX]; /* of the peer, as it has proven; "" for none */
};

#define RELAY_ERROR_MAX 240

/* Looks HOST[:PORT] up. *target is to stay where it is. 0, or -errno with a sentence. */
int relay_target_find(struct relay_target *target, const char *address, char *error, size_t size);

/* The guest's side: connects, for this session, and shows itself. 0, or -errno with a sentence. */
int relay_pipe_connect(struct relay_pipe *pipe, const struct relay_target *target, const struct relay_keys *keys,
                       const uint8_t *session, char *error, size_t size);

/* The host's side, of a connection (taken over): reads the preface within the time a handshake may take. 0, or -errno
 * with a sentence. */
int relay_pipe_greet(int fd, struct relay_preface *p, char *error, size_t size);
/* Answers it, and has the peer show itself; or, with an `answer`, refuses it. 0, or -errno with a sentence. */
int relay_pipe_accept(struct relay_pipe *pipe, int fd, const struct relay_keys *keys, char *error, size_t size);
void relay_pipe_refuse(int fd, int error, const char *text);

/* All of it: 0 or -errno. */
int relay_pipe_send(struct relay_pipe *pipe, const struct iovec *given, int n);
/* Something, at most `size` bytes; 0 at the end, -errno. Waits for as long as the descriptor's SO_RCVTIMEO lets it. */
ssize_t relay_pipe_receive(struct relay_pipe *pipe, void *data, size_t size);
int relay_pipe_receive_all(struct relay_pipe *pipe, void *data, size_t size);
/* Why it failed: a guest that a host refuses learns so only when it has shown itself, by what it receives first. */
void relay_pipe_why(struct relay_pipe *pipe, int error, char *text, size_t size);
void relay_pipe_close(struct relay_pipe *pipe);

/* Whether it reads as HOST[:PORT], [V6] or [V6]:PORT, or as a place.h's. Of these the keys are none: no others may be given. 0, or -EINVAL with a
 * sentence. */
int relay_address_check(const char *address, struct relay_keys *keys, char *error, size_t size);

/* Whether connections may come there: without encryption only those of this machine. What a name stands for may change,
 * and is looked at when somebody listens. 0, or -EACCES with a sentence. */
int relay_listen_check(const char *address, const struct relay_keys *keys, char *error, size_t size);

/* Listens at ADDRESS[:PORT], or at a place. Descriptor, or -errno with a sentence. */
int relay_listen(const char *address, const struct relay_keys *keys, char *error, size_t size);

#endif
