/*
 * One split virtqueue, as the device sees it: the guest makes buffers available, each a chain of descriptors; the device uses them.
 *
 * Security. Rings and descriptors lie in the guest's memory and are hostile: indices are taken modulo the queue's size, a chain
 * has no more descriptors than the queue, each is copied before it is checked, and its memory lies in the guest's regions. A queue
 * that breaks these rules is broken for good: nothing of it is used again until the hypervisor sets it up anew.
 *
 * Threads: one. Source: Virtual I/O Device (VIRTIO) 1.1, section 2.6. Indirect descriptors and event indices are not offered.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#ifndef HIRA_BRIDGE_VIRTQUEUE_H
#define HIRA_BRIDGE_VIRTQUEUE_H

#include <sys/uio.h>

#include "bridge/memory.h"

#define BRIDGE_QUEUE_SIZE_MAX 1024
#define BRIDGE_PIECES_MAX 64 /* of one buffer, each way; Linux makes two */

struct bridge_queue {
    unsigned size;                   /* descriptors; 0: not set up */
    uint64_t desc, avail, used;      /* addresses of the hypervisor */
    uint16_t last_avail, next_used;
    int kick, call;                  /* -1: none */
    bool enabled, started, broken;
};

/* A buffer that the guest has made available: what it wrote for the device, and where the device may write. */
struct bridge_buffer {
    uint16_t head;
    struct iovec out[BRIDGE_PIECES_MAX], in[BRIDGE_PIECES_MAX];
    unsigned n_out, n_in;
    size_t out_size, in_size;
};

/* Whether the queue may be looked at. */
bool bridge_queue_works(const struct bridge_queue *queue);

/* Takes the next buffer: 1, 0 when there is none, -EPROTO when the guest broke the rules (the queue is broken then). */
int bridge_queue_pop(struct bridge_queue *queue, const struct bridge_memory *memory, struct bridge_buffer *buffer);

/* Undoes the last pop. */
void bridge_queue_unpop(struct bridge_queue *queue);

/* Gives a buffer back, `written` bytes of which the device wrote. */
void bridge_queue_push(struct bridge_queue *queue, const struct bridge_memory *memory, const struct bridge_buffer *buffer, size_t written);

/* Tells the guest, unless it does not want to know. */
void bridge_queue_notify(struct bridge_queue *queue, const struct bridge_memory *memory);

/* Copies between flat memory and pieces, from `offset` bytes into the pieces; how many fit. */
size_t bridge_pieces_read(const struct iovec *pieces, unsigned n, size_t offset, void *data, size_t size);
size_t bridge_pieces_write(const struct iovec *pieces, unsigned n, size_t offset, const void *data, size_t size);

/* The pieces without their first `offset` bytes, and of the rest at most `size`; how many pieces there are in `result`. */
unsigned bridge_pieces_cut(const struct iovec *pieces, unsigned n, size_t offset, size_t size, struct iovec *result);

#endif
