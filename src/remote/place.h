/*
 * Addresses of channels that a host owns: an AF_VSOCK port of a virtual machine's, a unix socket. Who is at their other
 * end the host's kernel says, or who forwards to them, and nobody stands between: they need no keys.
 *
 *     vsock  vsock:PORT  vsock:CID:PORT  unix:PATH
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#ifndef HIRA_REMOTE_PLACE_H
#define HIRA_REMOTE_PLACE_H

#include <linux/vm_sockets.h>
#include <netdb.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/un.h>

struct relay_place {
    struct addrinfo info; /* one, as of a network's address; points into this struct */
    union {
        struct sockaddr any;
        struct sockaddr_vm vm;
        struct sockaddr_un un;
    } address;
};

/* Without an address of its own a vsock is, to connect to, the host (2); to listen at, this machine. 0; -ENOENT: it is
 * an address of a network; -EINVAL: it was to be one of these, and makes no sense. */
int relay_place_parse(struct relay_place *place, const char *address, bool listens);

/* Listens there. Descriptor, or -errno; -EADDRINUSE: somebody else does. */
int relay_place_listen(const struct relay_place *place);

#endif
