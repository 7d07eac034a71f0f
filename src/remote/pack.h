/*
 * Compressing bulk data where that gets it there sooner: measured on the way, per session.
 *
 * Senders ask for each piece, from any thread. Whether it pays is reckoned from what a byte takes on the way, what
 * compressing takes, and what is left of it; what is not known yet, or may have changed, is tried now and then with a
 * piece that is to be sent anyway. Of a network that is faster than compressing nothing is ever tried.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#ifndef HIRA_REMOTE_PACK_H
#define HIRA_REMOTE_PACK_H

#include <stdatomic.h>

#include "base/util.h"

/* Zeroed: nothing is known. */
struct relay_pack {
    _Atomic uint32_t wire;    /* what a byte takes on the way, ps */
    _Atomic uint32_t cost;    /* what compressing a byte takes, ps */
    _Atomic uint32_t left;    /* of 1,024 bytes */
    _Atomic uint32_t rest;    /* pieces until the next trial */
    _Atomic uint32_t in_vain; /* what that was after the last one, if it was in vain */
};

/* Less is not worth a word of its own. */
#define RELAY_PACK_LEAST 16384u

/* Whether anything is to be had from packing at all. */
bool relay_pack_may(struct relay_pack *p);

/* A piece, packed into `to`, of the same size. Bytes of it; 0: it is to go as it is. */
size_t relay_pack(struct relay_pack *p, const void *data, size_t size, void *to);

/* Bulk data was sent: so many bytes took so long. `packed`: it might have been more. */
void relay_pack_sent(struct relay_pack *p, size_t bytes, uint64_t ns, bool packed);

/* How many bytes are in what relay_pack() has made; whatever a peer has made of it. */
uint32_t relay_packed_size(const void *packed, size_t size);
/* Unpacks them to where so many have room. False: it is not what relay_pack() makes. */
bool relay_unpack(const void *packed, size_t size, void *to);

#endif
