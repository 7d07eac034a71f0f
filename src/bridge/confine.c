/*
 * See confine.h. Files cannot be opened any more; unix sockets can still be connected to by name, for that is what the
 * bridge is there for: which, the permissions of their folders say.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include "bridge/confine.h"

#include <seccomp.h>
#include <sys/socket.h>

#include "base/confine.h"
#include "base/util.h"

#define DESCRIPTORS_MAX 512

int bridge_confine(char *missing, size_t size)
{
    static const int calls[] = {SCMP_SYS(connect),     SCMP_SYS(accept4),   SCMP_SYS(epoll_wait),
                                SCMP_SYS(epoll_pwait), SCMP_SYS(epoll_ctl), SCMP_SYS(unlink),
                                 /* slices of the machine's memory */
                                 SCMP_SYS(pipe2),       SCMP_SYS(fallocate), SCMP_SYS(pwrite64)};
    static const int families[] = {AF_UNIX};
    static const struct hira_confinement keeps = {.calls = calls,
                                                  .n_calls = HIRA_ARRAY_SIZE(calls),
                                                  .families = families,
                                                  .n_families = HIRA_ARRAY_SIZE(families),
                                                  .namespaces = true,
                                                  .descriptors = DESCRIPTORS_MAX};
    return hira_confine(&keeps, missing, size);
}
