/*
 * The virtio-vsock device of one virtual machine: streams that the guest opens to the host's address (CID 2) become connections to
 * unix sockets of the host, by port.
 *
 * Flow: each side tells the other how much it may send (credit). What the host's program does not take yet is kept here, at most
 * BRIDGE_STREAM_BUFFER for each stream, and is all that the guest may have on the way; what the guest does not take yet stays in the unix
 * socket. Streams take turns, one packet each.
 *
 * A port may lead to a hirad, whose socket carries messages: then what the guest sends is cut into messages by the sizes in their heads,
 * and what it hears is messages one behind the other. Before the guest's first, hirad is told of the slice of the machine's memory that
 * this stream's application has (shared.h); while none is free, the stream waits.
 *
 * Security. Every header is copied before it is read, and every length compared with its buffer. A guest that sends more than its
 * credit loses the stream; one that asks for more than BRIDGE_STREAMS_MAX streams is refused; answers to what is no stream are bounded, and
 * nothing more is heard until there is room for them. Only ports that were named lead anywhere. To a hirad only what guests say is
 * passed on (messages.h): a guest that says anything else, or more than a message may have, loses the stream.
 *
 * Threads: one. Source: Virtual I/O Device (VIRTIO) 1.1, section 5.10.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#ifndef HIRA_BRIDGE_VSOCK_H
#define HIRA_BRIDGE_VSOCK_H

#include "base/list.h"
#include "base/log.h"
#include "bridge/loop.h"
#include "bridge/shared.h"
#include "bridge/virtqueue.h"

#ifdef BRIDGE_STREAM_BUFFER /* small for fuzzing: to be filled by few packets */
#define BRIDGE_STREAM_BUFFER_SMALL
#else
#define BRIDGE_STREAM_BUFFER (256u << 10)
#endif
#define BRIDGE_STREAMS_MAX 256u
#define BRIDGE_RESETS_MAX 64u
#define BRIDGE_PORTS_MAX 16u

struct bridge_port {
    uint32_t port;
    bool hira;      /* leads to a hirad: see above */
    char path[108]; /* of the unix socket that it leads to */
};

struct bridge_vsock {
    uint64_t cid; /* the guest's */
    const struct hira_log *log;
    struct bridge_loop *loop;
    const struct bridge_memory *memory;
    struct bridge_queue *rx, *tx; /* to the guest, from the guest */
    struct bridge_shared *shared; /* for ports that lead to a hirad */
    struct bridge_port ports[BRIDGE_PORTS_MAX];
    unsigned n_ports, n_streams;
    struct hira_list streams;
    struct { uint32_t guest, host; } resets[BRIDGE_RESETS_MAX]; /* owed for what is no stream */
    unsigned n_resets;
    bool said_broken;
};

void bridge_vsock_init(struct bridge_vsock *vsock);

/* Does all that can be done now in both directions: after a kick, after a stream's socket became ready. */
void bridge_vsock_work(struct bridge_vsock *vsock);

/* Closes every stream: the guest has gone, or begins anew. */
void bridge_vsock_reset(struct bridge_vsock *vsock);

#endif
