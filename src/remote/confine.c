/*
 * What a relay's process for one connection may still do. See session.h, relay_confine().
 *
 * Neither half opens a file: keys, authorities and addresses are read before. The accelerator's half turns to hirad and
 * to other sessions by unix sockets, and to no network; the guest's half makes the connections of its session, over the one kind of
 * channel that it is given, and memory for the guest.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include <seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/confine.h"
#include "remote/session.h"

#define DESCRIPTORS_MAX 128 /* lanes and segments are closed as soon as they are mapped */

/* clang-format off */
#define BOTH \
    SCMP_SYS(poll), SCMP_SYS(ppoll), SCMP_SYS(connect), SCMP_SYS(getsockopt), SCMP_SYS(getrandom), SCMP_SYS(geteuid), SCMP_SYS(alarm), \
    SCMP_SYS(time), SCMP_SYS(getrusage)
static const int far_calls[] = {BOTH, SCMP_SYS(accept4), SCMP_SYS(getpeername)};
static const int near_calls[] = {BOTH, SCMP_SYS(memfd_create), SCMP_SYS(ftruncate), SCMP_SYS(socketpair)};
/* clang-format on */
static const int far_families[] = {AF_UNIX};
static const int near_families[] = {AF_INET, AF_INET6};

int relay_confine(bool near, int family, char *error, size_t size)
{
    const bool network = near && (family == AF_INET || family == AF_INET6);
    const struct hira_confinement keeps = {.calls = near ? near_calls : far_calls,
                                           .n_calls = near ? HIRA_ARRAY_SIZE(near_calls) : HIRA_ARRAY_SIZE(far_calls),
                                           .families = network ? near_families : near ? &family : far_families,
                                           .n_families = network ? HIRA_ARRAY_SIZE(near_families) : 1,
                                           .threads = true,
                                           .descriptors = DESCRIPTORS_MAX};
    int ret = hira_confine(&keeps, NULL, 0);
    if (ret)
        snprintf(error, size, "the relay cannot confine itself: %s", strerror(-ret));
    return ret;
}
