/*
 * What the fuzz targets share that are a peer for a program of several messages: how an input is cut into pieces, the transport that ends
 * here, and the numbers that mutators draw.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#ifndef HIRA_TESTS_FUZZ_TARGET_H
#define HIRA_TESTS_FUZZ_TARGET_H

#include <stdlib.h>
#include <string.h>

#include "channel/transport.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max) __attribute__((weak));
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed);

static inline void must(bool ok)
{
    if (!ok)
        abort();
}

/* ---- the input ---- */

struct fuzz_input {
    const uint8_t *p;
    size_t left;
};

/* The next piece, {uint16 length, bytes}, cut to `room`. Its bytes; 0: there is none. */
size_t fuzz_take(struct fuzz_input *input, void *to, size_t room);

/* Appends a piece to what is being made at `to`. Bytes that it takes there; 0: more than `room`. */
size_t fuzz_put(uint8_t *to, size_t room, const void *piece, size_t size);

/* ---- the transport ---- */

/* Fills the table of a transport with one end only. What is sent, received and made is the target's; lanes are mapped as they are, and
 * the peer is lost when *gone says so. */
struct hira_transport_ops fuzz_transport(int (*send)(struct hira_transport *t, const void *data, size_t size, const int *fds, size_t n_fds),
                                         ssize_t (*receive)(struct hira_transport *t, void *data, size_t size, int *fds, size_t *n_fds));
extern bool fuzz_peer_gone;

/* ---- making inputs ---- */

extern uint64_t fuzz_seed;
uint64_t fuzz_pick(uint64_t below);

#endif
