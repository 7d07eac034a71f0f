/*
 * The back-end of a vhost-user device: what a hypervisor says to it over a unix socket. It says where the guest's memory and
 * queues are, how each side wakes the other, and asks for the device's features and configuration.
 *
 * Security. The hypervisor is the operator's, but a guest may have broken out into it: messages are bounded and checked, and
 * nothing that it says reaches beyond the memory that it hands over. A message that makes no sense ends the conversation.
 *
 * Threads: one. Source: QEMU's vhost-user specification. Offered: VERSION_1; of the protocol REPLY_ACK, CONFIG, and BACKEND_REQ, which
 * User-Mode Linux wants (its interrupts come with it) and over which nothing is asked.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#ifndef HIRA_BRIDGE_DEVICE_H
#define HIRA_BRIDGE_DEVICE_H

#include "bridge/vsock.h"

#define BRIDGE_QUEUES 3 /* to the guest, from the guest, events */

struct bridge_kick {
    struct bridge_watch watch;
    struct bridge_device *device;
};

struct bridge_device {
    struct bridge_watch watch; /* the hypervisor; fd -1: none */
    struct bridge_loop *loop;
    const struct hira_log *log;
    struct bridge_memory memory;
    struct bridge_queue queues[BRIDGE_QUEUES];
    struct bridge_kick kicks[BRIDGE_QUEUES];
    struct bridge_vsock vsock;
    uint64_t features, protocol_features;
    int requests; /* the way to ask the hypervisor: kept, not used; -1: none */
    void (*gone)(struct bridge_device *device); /* the hypervisor hung up, or made no sense */
};

/* `vsock` has been told its address and ports. */
void bridge_device_init(struct bridge_device *device, struct bridge_loop *loop, const struct hira_log *log);

/* Speaks with the hypervisor on this socket from now on; takes it over. 0 or -errno. */
int bridge_device_attach(struct bridge_device *device, int fd);

/* Forgets everything of the hypervisor and its guest. */
void bridge_device_detach(struct bridge_device *device);

#endif
