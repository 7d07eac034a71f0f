/* The transport over a unix socket. See transport.h.
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0 */
#include "channel/transport.h"

#include <errno.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"

static int unix_send(struct hira_transport *t, const void *data, size_t size, const int *fds, size_t n_fds)
{
    return hira_fd_send(t->fd, data, size, fds, n_fds);
}

static ssize_t unix_receive(struct hira_transport *t, void *data, size_t size, int *fds, size_t *n_fds)
{
    return hira_fd_receive(t->fd, data, size, fds, n_fds, 0);
}

static int unix_make_memory(struct hira_transport *t, const char *name, size_t size)
{
    (void)t;
    return hira_fd_shared_memory(name, size);
}

static int unix_map_lane(struct hira_transport *t, struct hira_lane_map *map, int fd)
{
    (void)t;
    return hira_lane_map(map, fd);
}

bool hira_transport_intact(const struct hira_transport *t)
{
    struct stat st;
    return t->fd >= 0 && fstat(t->fd, &st) == 0 && st.st_dev == t->device && st.st_ino == t->inode;
}

static bool unix_lost(struct hira_transport *t)
{
    struct pollfd p = {t->fd, 0, 0};
    return !hira_transport_intact(t) || (poll(&p, 1, 0) > 0 && (p.revents & (POLLHUP | POLLERR | POLLNVAL)));
}

/* What is not ours any more is not closed. */
static void unix_close(struct hira_transport *t)
{
    if (hira_transport_intact(t))
        close(t->fd);
    t->fd = -1;
}

int hira_transport_unix(struct hira_transport *t, int sock)
{
    static const struct hira_transport_ops ops = {unix_send, unix_receive, unix_make_memory, unix_map_lane, NULL, unix_lost, unix_close};
    struct stat st;
    *t = (struct hira_transport){.ops = &ops, .fd = sock};
    if (fstat(sock, &st) < 0) {
        int error = -errno;
        hira_fd_closep(&t->fd);
        return error;
    }
    t->device = st.st_dev;
    t->inode = st.st_ino;
    return 0;
}
