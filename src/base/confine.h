/* What a process that reads strangers' bytes gives up before it reads them. Linked by those that call it; needs libseccomp.
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef HIRA_BASE_CONFINE_H
#define HIRA_BASE_CONFINE_H

#include <stdbool.h>
#include <stddef.h>

/* What it keeps beside reading and writing what it has open, its memory (none that can be executed), and its end. */
struct hira_confinement {
    const int *calls; /* system calls, whatever their arguments */
    size_t n_calls;
    const int *families; /* of sockets that it may still make */
    size_t n_families;
    bool threads;    /* may start threads: no processes, no programs */
    bool namespaces; /* goes into namespaces of its own: user, network, System V objects. Abstract sockets are gone then, and users have
                        no numbers */
    unsigned descriptors;
};

/* Also gives up: new privileges, being traced, leaving a core. What else it calls fails with EPERM. 0, `missing` naming the layers that this
 * system does not give, or -errno: nothing may go on then. */
int hira_confine(const struct hira_confinement *c, char *missing, size_t size);

#endif
