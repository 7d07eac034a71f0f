/*
 * One guest's session, on either host: its control messages, its lanes, its arena.
 *
 * A relay is to the process on its host what the far one would be if it were here: to a guest a server, to a server a
 * guest. Both halves share what a frame does to lanes and memory; near.c is the guest's side, far.c the accelerator's.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#ifndef HIRA_REMOTE_SESSION_H
#define HIRA_REMOTE_SESSION_H

#include "remote/lanes.h"
#include "wire/handshake.h"

struct relay_options {
    const char *address; /* where the accelerator's host listens, or where to listen */
    char socket[108];    /* hirad's, or where guests connect */
    struct relay_keys keys;
    struct relay_network network; /* emulated, of the guest's side */
    int count; /* where the guest's side writes what a session has cost; -1: nowhere */
    unsigned grace_ms;
    uint32_t machine; /* who comes by a unix socket is this virtual machine, for logs; 0: it is not said */
    bool confine; /* gives up what it does not need: else for debuggers */
};

struct relay_session {
    const struct relay_options *options;
    struct relay_link link;
    struct relay_memory memory;
    int local;                                                /* the socket to the process here */
    struct relay_source *_Atomic sources[HIRA_LANES_MAX + 1]; /* the last is the callbacks' */
    struct relay_sink *_Atomic sinks[HIRA_LANES_MAX + 1];
    /* A control message of the peer's: one at a time is under way, for each is answered. The event says that it is
     * there. */
    int event;
    _Atomic uint32_t control_size;
    char control[HIRA_MESSAGE_MAX];
    _Atomic bool ending;
    void (*last)(struct relay_session *s); /* what is done when nothing is under way any more; NULL: nothing */
};

/* Prepares; the link is to be started. 0 or -errno. */
int relay_session_init(struct relay_session *s, const struct relay_options *options);

int relay_session_frame(void *context, const struct relay_frame *f, const void *payload);
void *relay_session_place(void *context, uint64_t offset, uint64_t size);
void relay_session_arrived(void *context, uint64_t offset, uint64_t size);

/* The control message that came, once the event can be read; its size, 0: there is none. It is there until
 * control_taken(). */
size_t relay_session_control(struct relay_session *s);
void relay_session_control_taken(struct relay_session *s);
void relay_session_send_control(struct relay_session *s, const void *message, size_t size);

/* A lane whose memory is here: a source or a sink of it. 0 or -errno. */
int relay_session_add_source(struct relay_session *s, uint32_t index, int fd, bool settles);
int relay_session_add_sink(struct relay_session *s, uint32_t index, int fd, bool settles);

/* From now on the end of the process here ends this one, within a time, whatever its threads wait for. False: no
 * thread. */
bool relay_session_watch(struct relay_session *s);

/* Says that it is over and ends this process. */
_Noreturn void relay_session_end(struct relay_session *s, const char *why);

/* The peer of this process has shown who it is: its time is its own from now on. */
void relay_proven(void);

/* Gives up what a session has no use for; nothing may have been read of a peer or a guest before. `family`: of the guest's side's connections. 0, or
 * -errno with a sentence. */
int relay_confine(bool near, int family, char *error, size_t size);

/* Looks at each hop of the way to another host, and to a server of this API there ("": not), and says on standard output what it found.
 * 0, or -1: not all is well. */
int relay_check(const struct relay_options *options, const char *api);

/* Serves one guest of this host, which has connected, or one peer. They end the process. */
_Noreturn void relay_near(const struct relay_options *options, int guest);
_Noreturn void relay_far(struct relay_options *options, int connection, const char *peer);

#endif
