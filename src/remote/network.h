/*
 * A network that is emulated: what a relay sends and receives is held back as a longer or narrower one would, and lost with a
 * connection now and then. It stands between the guest's side and its connection, so that everything above, TLS too, is as it is; what
 * the real network takes is added to it.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#ifndef HIRA_REMOTE_NETWORK_H
#define HIRA_REMOTE_NETWORK_H

#include "base/util.h"

struct relay_network {
    bool used;
    uint64_t delay, jitter; /* ns, each way: a byte takes `delay`, and up to `jitter` more */
    uint64_t rate;          /* bytes a second, each way; 0: any */
    uint64_t cut, every;    /* ns: at the end of each `every` there is no network for `cut`; 0: never */
    uint64_t start;         /* when the first began */
};

/* delay=30ms,jitter=2ms,rate=100Mbit,cut=10s/60s; each may be left out. It begins now. 0, or -EINVAL with a sentence. */
int relay_network_parse(struct relay_network *n, const char *text, char *error, size_t size);

/* Whether a connection can be made now. */
bool relay_network_is_up(const struct relay_network *n);

/* Puts the network before a connection (taken over). What stands for the connection from now on, or -errno. */
int relay_network_enter(const struct relay_network *n, int connection);

#endif
