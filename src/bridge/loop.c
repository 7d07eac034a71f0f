/* See loop.h. Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0 */
#include "bridge/loop.h"

#include <errno.h>

int bridge_loop_add(struct bridge_loop *loop, struct bridge_watch *watch, uint32_t events)
{
    struct epoll_event e = {.events = events, .data.ptr = watch};
    return epoll_ctl(loop->epoll, EPOLL_CTL_ADD, watch->fd, &e) < 0 ? -errno : 0;
}

void bridge_loop_remove(struct bridge_loop *loop, struct bridge_watch *watch)
{
    if (watch->fd >= 0)
        epoll_ctl(loop->epoll, EPOLL_CTL_DEL, watch->fd, NULL);
}

int bridge_loop_run(struct bridge_loop *loop)
{
    struct epoll_event e; /* one at a time: what it does may take the next one away */
    while (!loop->ends) {
        int n = epoll_wait(loop->epoll, &e, 1, -1);
        if (n < 0 && errno != EINTR)
            return -errno;
        if (n > 0) {
            struct bridge_watch *watch = e.data.ptr;
            watch->ready(watch, e.events);
        }
    }
    return 0;
}
