/* Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0 */
#include "target.h"

#include "base/fd.h"

size_t fuzz_take(struct fuzz_input *input, void *to, size_t room)
{
    if (input->left < 2)
        return 0;
    size_t size = HIRA_MIN((size_t)(input->p[0] | input->p[1] << 8), input->left - 2);
    memcpy(to, input->p + 2, HIRA_MIN(size, room));
    input->p += 2 + size;
    input->left -= 2 + size;
    return HIRA_MIN(size, room);
}

size_t fuzz_put(uint8_t *to, size_t room, const void *piece, size_t size)
{
    if (room < 2 || size > room - 2 || size > UINT16_MAX)
        return 0;
    to[0] = (uint8_t)size;
    to[1] = (uint8_t)(size >> 8);
    memcpy(to + 2, piece, size);
    return size + 2;
}

/* ---- the transport ---- */

bool fuzz_peer_gone;

static int make_memory(struct hira_transport *t, const char *name, size_t size)
{
    (void)t;
    return hira_fd_shared_memory(name, size);
}

static int map_lane(struct hira_transport *t, struct hira_lane_map *map, int fd)
{
    (void)t;
    return hira_lane_map(map, fd);
}

static bool lost(struct hira_transport *t)
{
    (void)t;
    return fuzz_peer_gone;
}

static void end(struct hira_transport *t)
{
    (void)t;
}

struct hira_transport_ops fuzz_transport(int (*send)(struct hira_transport *t, const void *data, size_t size, const int *fds, size_t n_fds),
                                         ssize_t (*receive)(struct hira_transport *t, void *data, size_t size, int *fds, size_t *n_fds))
{
    return (struct hira_transport_ops){send, receive, make_memory, map_lane, NULL, lost, end};
}

/* ---- making inputs ---- */

uint64_t fuzz_seed;

uint64_t fuzz_pick(uint64_t below)
{
    uint64_t x = fuzz_seed += 0x9e3779b97f4a7c15ull;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
    x = (x ^ x >> 27) * 0x94d049bb133111ebull;
    return (x ^ x >> 31) % below;
}
