/* Words of hirad.conf as numbers. Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef HIRA_ROUTER_CONFIG_VALUES_H
#define HIRA_ROUTER_CONFIG_VALUES_H

#include "base/util.h"

/* "1000", "20k", "3M": 0, or negative with a sentence. */
int config_count(const char *value, uint64_t *ret, char *error, size_t error_size);
/* "4096", "64 KiB", "1.5GiB", "100MB". */
int config_bytes(const char *value, uint64_t *ret, char *error, size_t error_size);
/* A name, or a number. */
int config_user(const char *value, uint64_t *ret, char *error, size_t error_size);
int config_group(const char *value, uint64_t *ret, char *error, size_t error_size);
/* "/path", "127.0.0.1:9840", "[::1]:9840", or nothing. *ret_port is 0 for a path; both may be NULL. */
int config_address(const char *value, char *ret_host, unsigned *ret_port, char *error, size_t error_size);

#endif
