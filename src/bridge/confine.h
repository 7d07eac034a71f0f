/* What the bridge gives up once it listens. Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef HIRA_BRIDGE_CONFINE_H
#define HIRA_BRIDGE_CONFINE_H

#include <stddef.h>

/* New privileges, being traced, many descriptors, networks and System V objects (in namespaces of its own), all system calls that it does
 * not need. 0, `missing` naming the layers that this system does not give, or -errno: nothing may go on then. */
int bridge_confine(char *missing, size_t size);

#endif
