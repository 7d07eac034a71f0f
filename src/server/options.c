/*
 * Files that go with a call: the server's copies of what the application's options name. See guest/files.c.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include "server/internal.h"
