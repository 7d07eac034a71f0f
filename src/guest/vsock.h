/* The transport of a guest in a virtual machine. Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef HIRA_GUEST_VSOCK_H
#define HIRA_GUEST_VSOCK_H

#include "channel/transport.h"

#define HIRA_VSOCK_PREFIX "vsock:"
#define HIRA_MMAPPER "/dev/mmapper" /* User-Mode Linux's device of shared memory */

/* Whether this place of a hirad is one: vsock:PORT, vsock:CID:PORT. */
bool hira_vsock_meant(const char *path);

/* Connects there. *t is to stay where it is while it is connected. 0 or -errno. */
int hira_vsock_connect(struct hira_transport *t, const char *path);

/* The WELCOME has told of the memory: finds it, and begins to read the stream by a thread of its own. 0; -ENODEV: there
 * is no such device here, or it may not be opened; another -errno. */
int hira_vsock_enter(struct hira_transport *t, const struct hira_slice *slice);

/* Calls visit() for each thing here that may be a machine's shared memory, by its path, until that says true; whether
 * it did. */
bool hira_vsock_each_memory(bool (*visit)(void *context, const char *path), void *context);

/* Whether there is such memory, a bridge has written there, and this user may use it. */
bool hira_vsock_has_memory(void);

#endif
