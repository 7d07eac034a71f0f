/* The transport over a unix socket. See transport.h.
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0 */
#include "channel/transport.h"

#include <errno.h>
#include <linux/sockios.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"

#define OTHERS_WAIT_MS 5000

static bool hung_up(int sock, int wait_ms)
{
    struct pollfd p = {sock, 0, 0};
    return poll(&p, 1, wait_ms) > 0 && (p.revents & (POLLHUP | POLLERR | POLLNVAL));
}

/* The kernel counts descriptors that are sent and not received yet for all processes of a user together, and refuses more
 * than RLIMIT_NOFILE of them. So one message with some is on its way at a time, and the next one waits until the peer has
 * read it: who asks and does not read keeps nobody else from sending. What others have on their way is waited for as
 * well. */
static int unix_send(struct hira_transport *t, const void *data, size_t size, const int *fds, size_t n_fds)
{
    int unread = 0, error;
    while (n_fds && ioctl(t->fd, SIOCOUTQ, &unread) == 0 && unread > 0)
        if (hung_up(t->fd, 1))
            return -EPIPE;
    for (int i = 0; (error = hira_fd_send(t->fd, data, size, fds, n_fds)) == -ETOOMANYREFS && i < OTHERS_WAIT_MS; i++)
        if (hung_up(t->fd, 1))
            return -EPIPE;
    return error;
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
    return !hira_transport_intact(t) || hung_up(t->fd, 0);
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
