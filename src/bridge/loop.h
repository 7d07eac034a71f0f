/* What the bridge waits for: descriptors and what to do about them. One thread. Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef HIRA_BRIDGE_LOOP_H
#define HIRA_BRIDGE_LOOP_H

#include <sys/epoll.h>

#include "base/util.h"

struct bridge_loop {
    int epoll;
    bool ends;
};

/* Member of who waits. `ready` may free it, and anything else that is waited for. */
struct bridge_watch {
    int fd;
    void (*ready)(struct bridge_watch *watch, uint32_t events);
};

/* 0 or -errno. `events` as for epoll_ctl. */
int bridge_loop_add(struct bridge_loop *loop, struct bridge_watch *watch, uint32_t events);
void bridge_loop_remove(struct bridge_loop *loop, struct bridge_watch *watch); /* one that is not waited for is allowed */

/* Until loop->ends. 0 or -errno. */
int bridge_loop_run(struct bridge_loop *loop);

#endif
