/*
 * The memory that one virtual machine shares with its host: a file, which its hypervisor maps as a device of the
 * machine's (ivshmem, or User-Mode Linux's mmapper), cut into equal slices. Each application in the machine that uses
 * Hira has one, for its lanes and its arena.
 *
 *     head (one page): magic, token, size | slice | slice | ...
 *
 * By the token, which is random, a guest library knows which of a machine's devices is meant.
 *
 * Security. The machine reaches all of it; a server only the slice that it was given. A slice is used again when its
 * stream has ended and nobody on the host can reach it any more, which the lease says (struct hira_region_message), and
 * is zeros then. One bridge has the file, by a lock: two machines never share one.
 *
 * Threads: one. Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#ifndef HIRA_BRIDGE_SHARED_H
#define HIRA_BRIDGE_SHARED_H

#include "bridge/loop.h"
#include "wire/handshake.h"

#define BRIDGE_SLICE_LEAST (2ull << 20) /* some lanes and an arena that is worth having: HIRA_REGION_LEAST */
#define BRIDGE_REGION_MAX (1ull << 40)
#define BRIDGE_SLICES_MAX 64u /* each costs a descriptor; more applications of one machine at once wait */

struct bridge_slice {
    struct bridge_watch lease; /* fd -1: nobody has it */
    struct bridge_shared *shared;
    bool used; /* by a stream */
};

struct bridge_shared {
    int fd; /* -1: there is none */
    uint64_t size, token[2];
    unsigned n_slices;
    struct bridge_slice slices[BRIDGE_SLICES_MAX];
    struct bridge_loop *loop;
    void (*freed)(void *context); /* a slice has become free */
    void *context;
};

void bridge_shared_init(struct bridge_shared *shared, struct bridge_loop *loop);

/* Makes the file, or takes over one of this size; all of it becomes zeros but the head. 0 or -errno: -EBUSY when
 * another bridge has it, -EINVAL when it has another size, -EPERM
 * when it is another user's or open to everybody. */
int bridge_shared_open(struct bridge_shared *shared, const char *path, uint64_t size, unsigned n_slices);
void bridge_shared_close(struct bridge_shared *shared);

/* A free slice, where it lies, and its lease, which is the caller's. NULL: there is none. */
struct bridge_slice *bridge_slice_take(struct bridge_shared *shared, struct hira_slice *ret_place, int *ret_lease);

/* Its stream has ended. NULL allowed. */
void bridge_slice_leave(struct bridge_slice *slice);

#endif
