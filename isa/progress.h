/*
 * A progress bar on standard error, when that is a terminal: part done, rate, time that remains, what is being worked
 * on.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#ifndef HIRA_ISA_PROGRESS_H
#define HIRA_ISA_PROGRESS_H

#include "isa.h"

/* One at a time. `unit` bytes are shown as MB. */
void progress_begin(const char *what, uint64_t total);
void progress_add(uint64_t done, const char *name); /* any thread */
void progress_end(void);

#endif
