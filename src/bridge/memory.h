/*
 * A virtual machine's memory, as the hypervisor shares it: regions of files, each with the address that the guest knows it by
 * and the one that the hypervisor does.
 *
 * Security. The guest may write anything anywhere in it at any time: what matters is copied out before it is looked at. No address
 * of either side is followed that does not lie in one region with all its bytes.
 *
 * Threads: the bridge has one. Source: QEMU's vhost-user specification, VHOST_USER_SET_MEM_TABLE.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#ifndef HIRA_BRIDGE_MEMORY_H
#define HIRA_BRIDGE_MEMORY_H

#include "base/util.h"

#define BRIDGE_REGIONS_MAX 8 /* what the protocol's message has room for */

struct bridge_region {
    uint64_t guest, user, size; /* guest-physical and the hypervisor's address; bytes */
    char *base;                 /* where its first byte is mapped here */
    void *mapping;              /* what is to be unmapped */
    size_t mapping_size;
};

struct bridge_memory {
    struct bridge_region regions[BRIDGE_REGIONS_MAX];
    unsigned n;
};

/* Adds a region that begins `offset` bytes into a file. The descriptor stays the caller's. 0 or -errno: -EINVAL when sizes make no sense
 * or the file is shorter, -ENOSPC when there are too many. */
int bridge_memory_add(struct bridge_memory *memory, int fd, uint64_t guest, uint64_t user, uint64_t size, uint64_t offset);
void bridge_memory_clear(struct bridge_memory *memory);

/* `size` bytes at an address of the guest, or of the hypervisor; NULL unless all lie in one region. */
void *bridge_memory_guest(const struct bridge_memory *memory, uint64_t address, uint64_t size);
void *bridge_memory_user(const struct bridge_memory *memory, uint64_t address, uint64_t size);

#endif
