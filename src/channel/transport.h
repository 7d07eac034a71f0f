/*
 * A transport: how control messages and the memory of lanes go between a guest and its server.
 *
 * Calls do not pass here: a lane is memory, whatever brought it. So a transport costs nothing on a call's way, and this table is
 * used when a guest starts, when a thread opens its lane, when the arena grows, and to notice the peer's end.
 *
 *   unix      a SOCK_SEQPACKET socket; descriptors by SCM_RIGHTS. Every guest on the same machine.
 *   pair      both ends in one process, over a socket pair; lanes are the same mapping at both ends, so that a thread sanitizer sees
 *             that they are one memory. For tests.
 *   region    the host's end to a guest in a virtual machine: lanes and arena lie in a part of memory that the machine shares, which both
 *             ends know from the beginning; no descriptor passes, and sleepers are woken by messages. The guest's end is guest/vsock.c.
 *   recorded  a file or pipe of messages, read by a server that has no guest: for fuzzers and saved corpora. See below.
 *
 * Ownership: whoever calls hira_transport_*() to fill a struct owns it and the descriptor in it, and ends both with close(). A
 * transport is used by one thread at a time (the owner's lock covers it); lost() by any thread at any time.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#ifndef HIRA_CHANNEL_TRANSPORT_H
#define HIRA_CHANNEL_TRANSPORT_H

#include <sys/types.h>

#include "base/util.h"
#include "channel/lane.h"
#include "wire/handshake.h"

struct hira_transport;

struct hira_transport_ops {
    /* Sends one whole message with `n_fds` descriptors, which stay the caller's. May block while the peer reads nothing.
     * 0; -EPIPE, -ECONNRESET when the peer is gone; another -errno. */
    int (*send)(struct hira_transport *t, const void *data, size_t size, const int *fds, size_t n_fds);

    /* Waits for one whole message of at most `size` bytes and *n_fds descriptors (both pointers may be NULL: none may come).
     * Bytes; 0 when the peer is gone; -EMSGSIZE for a longer message or more descriptors (which are closed); another -errno.
     * Received descriptors are close-on-exec and become the caller's. */
    ssize_t (*receive)(struct hira_transport *t, void *data, size_t size, int *fds, size_t *n_fds);

    /* Server: makes `size` bytes of sealed memory for a lane or a segment, to be sent to the peer. Descriptor or -errno. */
    int (*make_memory)(struct hira_transport *t, const char *name, size_t size);

    /* Either side: maps a lane's memory that make_memory() gave, or that was received. 0 or -errno. */
    int (*map_lane)(struct hira_transport *t, struct hira_lane_map *map, int fd);

    /* Either side, where there is a region (then neither of the two above is used): maps this lane of it, with how its sleepers are
     * woken. 0 or -errno. NULL: there is none. */
    int (*place_lane)(struct hira_transport *t, struct hira_lane_map *map, uint32_t index, bool callbacks);

    /* Whether the peer has hung up, which is the only sign of its death. Never blocks. */
    bool (*lost)(struct hira_transport *t);

    /* Ends this side. Idempotent. */
    void (*close)(struct hira_transport *t);
};

struct hira_transport {
    const struct hira_transport_ops *ops;
    int fd;           /* where messages arrive: may be polled for one. -1: closed */
    dev_t device;     /* of fd, with `inode`: an application may close every descriptor it finds, and open its own in their place */
    ino_t inode;
    bool alone;       /* nobody answers: what only a guest could bring is not waited for */
    bool in_process;  /* the peer is in this process: its standard output is left alone */
    struct hira_slice region; /* size 0: there is none, memory comes by descriptors */
    char *memory;     /* where it is mapped: the arena, then max_lanes lanes, then the reverse lane */
    void *state;
};

/* A connected socket: *t takes it over, also in case of an error. 0 or -errno. */
int hira_transport_unix(struct hira_transport *t, int sock);

/* A connected socket, and the region's memory file (both taken over, also in case of an error), of which the part is mapped and no
 * more. 0 or -errno. */
int hira_transport_region(struct hira_transport *t, int sock, int fd, const struct hira_slice *region);

/* What a part of a region has room for: lanes, the reverse lane not counted; what is left is the arena. */
uint32_t hira_slice_lanes(const struct hira_slice *region);
uint64_t hira_slice_arena(const struct hira_slice *region);

/* The memory of a lane. NULL: there is no such lane. */
char *hira_slice_lane(const struct hira_transport *t, uint32_t index, bool callbacks);

/* Whether the descriptor is still the one that was opened. Any thread. */
bool hira_transport_intact(const struct hira_transport *t);

/* Two ends in this process. 0 or -errno. Only in tests (pair.c is not part of the runtimes). */
int hira_transport_pair(struct hira_transport *guest, struct hira_transport *server);

/*
 * A server's end whose messages are read from `fd` (taken over): control messages as in wire/handshake.h, one behind the other,
 * each as long as its head says. Two kinds more are for the transport itself, which is the guest in all that follows:
 *
 *   HIRA_MSG_RECORD    the record in it is published on the lane it names, opened by an OPEN_LANE before; the next message is read
 *                      when it has retired (or, for a record that waits on a lie, after a second)
 *   HIRA_MSG_FILL      the bytes in it are put at an offset of the arena
 *
 * What is sent to the guest is used (lanes, segments) or dropped. Hang-up is the end of the file. 0 or -errno.
 */
int hira_transport_recorded(struct hira_transport *t, int fd);

#endif
