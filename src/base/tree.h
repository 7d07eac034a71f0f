/* Removing folders whose content is not to be trusted.
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef HIRA_BASE_TREE_H
#define HIRA_BASE_TREE_H

#include "base/util.h"

/* Removes the folder and all that is in it. Follows no link and needs two descriptors and a bounded stack however deep
 * the folders lie. 0 (also when there is none) or -errno: what could be removed is gone all the same. */
int hira_tree_remove(const char *path);

#endif
