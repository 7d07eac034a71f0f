/* Durations and rates as people write them: 30ms, 1.5s, 100Mbit. No state.
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef HIRA_BASE_QUANTITY_H
#define HIRA_BASE_QUANTITY_H

#include "base/util.h"

/* A number and us, ms or s, up to a day: nanoseconds. 0 or -EINVAL. */
int hira_parse_duration(const char *text, uint64_t *ret_ns);

/* A number and kbit, Mbit or Gbit, a second: bytes a second, not 0. 0 or -EINVAL. */
int hira_parse_rate(const char *text, uint64_t *ret_rate);

#endif
