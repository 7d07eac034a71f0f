/*
 * A part of the memory that a virtual machine shares with its host, as one guest and its server use it; and the
 * transport over a unix socket at whose other end the bridge stands for the guest. See transport.h.
 *
 *     arena | lane 0 | lane 1 | ... | reverse lane
 *
 * Where what lies follows from the part's size, so nothing that either side says of it needs to be believed.
 *
 * Security. The server maps its own part and closes the file: a guest that takes its server over reaches no other
 * application's. The machine reaches all of its region, as it reaches all of its memory. If its hypervisor cuts the
 * file, its own servers fault, and end.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "channel/transport.h"

uint32_t hira_slice_lanes(const struct hira_slice *r)
{
    uint64_t n = r->size / HIRA_REGION_LANES_PART / HIRA_LANE_SIZE;
    return n < 2 ? 0 : (uint32_t)HIRA_MIN(n - 1, (uint64_t)HIRA_LANES_MAX);
}

uint64_t hira_slice_arena(const struct hira_slice *r)
{
    uint32_t n = hira_slice_lanes(r);
    return n ? r->size - (uint64_t)(n + 1) * HIRA_LANE_SIZE : 0;
}

char *hira_slice_lane(const struct hira_transport *t, uint32_t index, bool callbacks)
{
    uint32_t n = hira_slice_lanes(&t->region);
    if (!t->memory || !n || (!callbacks && index >= n))
        return NULL;
    return t->memory + hira_slice_arena(&t->region) + (uint64_t)(callbacks ? n : index) * HIRA_LANE_SIZE;
}

/* ---- the host's end ---- */

/* A guest that does not read what it is told sleeps for as long as it lets itself: nobody here waits for it. */
static void wake_guest(struct hira_lane_far *far)
{
    const struct hira_transport *t = far->context;
    const struct hira_lane_message m = {
        .head = hira_message_head(HIRA_MSG_WAKE, sizeof m), .index = far->index, .callbacks = far->callbacks};
    int saved = errno;
    send(t->fd, &m, sizeof m, MSG_NOSIGNAL | MSG_DONTWAIT);
    errno = saved;
}

static int region_place_lane(struct hira_transport *t, struct hira_lane_map *map, uint32_t index, bool callbacks)
{
    char *memory = hira_slice_lane(t, index, callbacks);
    struct hira_lane_far *far = memory ? malloc(sizeof *far) : NULL;
    if (!far)
        return -ENOMEM;
    *far = (struct hira_lane_far){.wake = wake_guest, .context = t, .index = index, .callbacks = callbacks};
    int error = hira_lane_map_again(map, memory);
    if (error)
        free(far);
    else
        map->far = far;
    return error;
}

static int map_region(struct hira_transport *t, int fd, const struct hira_slice *region)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return -errno;
    if (!S_ISREG(st.st_mode) || st.st_size < 0 || !hira_slice_valid(region, (uint64_t)st.st_size) ||
        !hira_slice_lanes(region))
        return -EINVAL;
    t->memory = mmap(NULL, region->size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)region->offset);
    if (t->memory == MAP_FAILED) {
        t->memory = NULL;
        return -errno;
    }
    madvise(t->memory, region->size, MADV_DONTFORK);
    t->region = *region;
    return 0;
}

int hira_transport_region(struct hira_transport *t, int sock, int fd, const struct hira_slice *region)
{
    static struct hira_transport_ops ops;
    HIRA_AUTOCLOSE int file = fd;
    int error = hira_transport_unix(t, sock);
    if (error)
        return error;
    error = map_region(t, file, region);
    if (error) {
        t->ops->close(t);
        return error;
    }
    ops = *t->ops;
    ops.place_lane = region_place_lane;
    t->ops = &ops;
    return 0;
}
