/* Descriptors and deadlines on libuv's loop, in a form whose owner can be freed at once.
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef HIRA_ROUTER_LOOP_H
#define HIRA_ROUTER_LOOP_H

#include <uv.h>

#include "base/util.h"

struct router_watch;
struct router_alarm;

/* Starts a program in a session of its own: a terminal's signals are hirad's. Its descriptor 3 is the other end of `*ret_line`, a socket of this
 * type; what it prints comes from `*ret_log`. Both are the caller's. `process->data` is `data`; `ended` closes the process. 0 or -errno. */
int router_process_start(uv_loop_t *loop, const char *file, char **args, int type, uv_exit_cb ended, void *data, uv_process_t **ret_process,
                         int *ret_line, int *ret_log);
void router_process_close(uv_process_t *process);

/* Calls `ready` when `fd` (taken over) can be read or its peer hung up. NULL when out of memory or not pollable: fd is
 * closed. */
struct router_watch *router_watch_start(uv_loop_t *loop, int fd, void (*ready)(void *context), void *context);
int router_watch_fd(const struct router_watch *watch);
void router_watch_pause(struct router_watch *watch, bool pause);

/* No call comes after this; the descriptor is closed, the pointer cleared. NULL allowed. */
void router_watch_stop(struct router_watch **owner);

/* Calls `expired` once, after `ms`; an alarm that *owner names already is set anew. Out of memory: it never comes. */
void router_alarm_set(uv_loop_t *loop, struct router_alarm **owner, uint64_t ms, void (*expired)(void *context),
                      void *context);
void router_alarm_stop(struct router_alarm **owner);

#endif
