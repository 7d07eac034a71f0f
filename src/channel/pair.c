/* Both ends of a transport in one process. See transport.h.
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "channel/transport.h"

#define LANES 64u

/* Lanes mapped so far, by their files; they stay mapped. */
static struct {
    ino_t inode;
    struct hira_lane_map map;
} lanes[LANES];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* The second to map a file gets the first one's mapping. */
static int pair_map_lane(struct hira_transport *t, struct hira_lane_map *map, int fd)
{
    struct stat st;
    int error = -ENOMEM;
    (void)t;
    if (fstat(fd, &st) < 0)
        return -errno;
    pthread_mutex_lock(&lock);
    for (unsigned i = 0; i < LANES && error; i++) {
        if (lanes[i].inode && lanes[i].inode != st.st_ino)
            continue;
        error = lanes[i].inode ? 0 : hira_lane_map(&lanes[i].map, fd);
        lanes[i].inode = st.st_ino;
        *map = lanes[i].map;
    }
    pthread_mutex_unlock(&lock);
    return error;
}

int hira_transport_pair(struct hira_transport *guest, struct hira_transport *server)
{
    static struct hira_transport_ops ops;
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
        return -errno;
    int error = hira_transport_unix(guest, ends[0]), other = hira_transport_unix(server, ends[1]);
    if (!error && !other) {
        ops = *guest->ops;
        ops.map_lane = pair_map_lane;
    }
    guest->ops = server->ops = &ops;
    guest->in_process = server->in_process = true;
    return error ? error : other;
}
