/* See memory.h. Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0 */
#include "bridge/memory.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/stat.h>

int bridge_memory_add(struct bridge_memory *memory, int fd, uint64_t guest, uint64_t user, uint64_t size, uint64_t offset)
{
    struct stat st;
    if (memory->n == BRIDGE_REGIONS_MAX)
        return -ENOSPC;
    /* Mapped from the file's beginning: an offset need not be a multiple of a (huge) page. */
    if (!size || offset + size < size || guest + size < size || user + size < size || offset + size > SIZE_MAX / 2)
        return -EINVAL;
    if (fstat(fd, &st) < 0)
        return -errno;
    if (st.st_size >= 0 && (uint64_t)st.st_size < offset + size)
        return -EINVAL;
    void *mapping = mmap(NULL, offset + size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (mapping == MAP_FAILED)
        return -errno;
    memory->regions[memory->n++] = (struct bridge_region){
        .guest = guest, .user = user, .size = size, .base = (char *)mapping + offset, .mapping = mapping, .mapping_size = offset + size};
    return 0;
}

void bridge_memory_clear(struct bridge_memory *memory)
{
    for (unsigned i = 0; i < memory->n; i++)
        if (memory->regions[i].mapping)
            munmap(memory->regions[i].mapping, memory->regions[i].mapping_size);
    memory->n = 0;
}

static void *find(const struct bridge_memory *memory, uint64_t address, uint64_t size, bool guest)
{
    for (unsigned i = 0; i < memory->n; i++) {
        const struct bridge_region *r = &memory->regions[i];
        uint64_t at = address - (guest ? r->guest : r->user);
        if (at < r->size && size <= r->size - at)
            return r->base + at;
    }
    return NULL;
}

void *bridge_memory_guest(const struct bridge_memory *memory, uint64_t address, uint64_t size)
{
    return find(memory, address, size, true);
}

void *bridge_memory_user(const struct bridge_memory *memory, uint64_t address, uint64_t size)
{
    return find(memory, address, size, false);
}
