/*
 * A session's link: numbered frames in both directions, over one connection after the other.
 *
 * What was sent is kept until the peer says that it has come. When the connection is lost, senders go on until what is
 * kept is too much; the reader has the owner find a new connection, both sides say what they have got, and what is
 * missing is sent again. So every frame is taken once, and in order, or the session ends. Bulk data is not copied to be
 * kept: whoever sends it says that it stays where it is until it has come.
 *
 * Threads: any may send, one after the other. One reads, started here; it calls the owner, who must not wait for the
 * peer there. A third one sends again what a lost connection did not bring, and acknowledges what came where nothing
 * goes back. Nobody who reads ever sends, nor waits for somebody who does, so that two relays cannot wait for each
 * other.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#ifndef HIRA_REMOTE_LINK_H
#define HIRA_REMOTE_LINK_H

#include <pthread.h>
#include <stdatomic.h>

#include "remote/pack.h"
#include "remote/pipe.h"

struct relay_kept;

struct relay_owner {
    /* A frame of the peer's, checked as far as its head goes; the payload is aligned, and gone afterwards. 0, or
     * -errno: the peer breaks the rules. */
    int (*frame)(void *context, const struct relay_frame *frame, const void *payload);
    /* Where so many bytes at this offset of the arena are to go; NULL: nowhere, the peer breaks the rules. */
    void *(*place)(void *context, uint64_t offset, uint64_t size);
    /* So much more of the arena's contents has come. */
    void (*arrived)(void *context, uint64_t offset, uint64_t size);
    /* The connection is lost: another one, or false: the session is over. May wait. */
    bool (*again)(void *context, struct relay_pipe *pipe);
    /* The session is over, `why` in a sentence. Does not return. */
    __attribute__((noreturn)) void (*over)(void *context, const char *why);
};

/* What a session has cost so far. A call that waits while others do is under way with them: so much less of a round
 * trip is its own. */
struct relay_count {
    _Atomic uint64_t calls, ring_bytes;          /* records of this host's callers */
    _Atomic uint64_t waits, waiting, millionths; /* of them, that want a reply; now; round trips, in millionths */
    _Atomic uint64_t controls, callbacks, connections;
    _Atomic uint64_t sent, received; /* bytes, below TLS's own */
    _Atomic uint64_t bulk_ns;        /* that moving large frames took */
};

struct relay_link {
    struct relay_count count;
    struct relay_pack pack;
    const struct relay_owner *owner;
    void *context;
    uint8_t session[RELAY_SESSION_SIZE];

    /* Whoever has the turn writes to the connection, and to `batch`. */
    size_t n_batch;
    char batch[RELAY_BATCH];

    pthread_mutex_t lock; /* all down to `owes`; never held while something is sent */
    pthread_cond_t turns, room, idle;
    uint64_t asked, turn;   /* turns to write: so many were asked for; that one is on */
    struct relay_pipe pipe; /* changed by the reader, with the turn */
    _Atomic bool up;
    _Atomic bool parted; /* the last words are sent, and nothing follows them */
    uint64_t sent, acknowledged;
    struct relay_kept *first, **last;
    struct relay_kept *unsent;  /* the first of them that this connection is still to bring again */
    struct relay_kept *sending; /* of them, by whoever has the turn: it is not to go meanwhile */
    size_t kept;
    bool owes; /* an acknowledgement */

    _Atomic uint64_t received;
    _Atomic uint64_t said; /* of `received`, to the peer */
    uint64_t unsaid_bytes; /* the reader's */
    char *buffer;          /* the reader's */
    size_t begin, end;
};

#define RELAY_MORE 1u /* how: something else is sent at once, this may wait for it */

/* Begins with a connection (taken over); `session` is the host's side's to choose, NULL: the guest's side is told. 0,
 * or -errno with a sentence. */
int relay_link_start(struct relay_link *link, struct relay_pipe *pipe, const uint8_t *session,
                     const struct relay_owner *owner, void *context, char *error, size_t size);

/* Any thread but the reader. May wait, for as long as the peer takes nothing. */
void relay_link_send(struct relay_link *link, uint16_t type, uint16_t lane, uint64_t argument,
                     const struct iovec *parts, int n, unsigned how);

/* The same of a piece of the arena's contents, which stays where it is until the peer has it. `scratch` has room for as
 * much; NULL: it is not to be packed. */
void relay_link_send_data(struct relay_link *link, uint64_t offset, const void *data, size_t size, void *scratch,
                          unsigned how);

/* Sends what waits for others. */
void relay_link_flush(struct relay_link *link);

/* Gives the connection up: another one is there. */
void relay_link_drop(struct relay_link *link);

/* Says that the session is over, and waits a moment for that to be on its way. */
void relay_link_bye(struct relay_link *link, const char *why);

#endif
