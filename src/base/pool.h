/* A pool of memory that is freed as a whole: what the compiler builds its trees in.
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef HIRA_BASE_POOL_H
#define HIRA_BASE_POOL_H

#include <stdarg.h>

#include "base/util.h"

struct hira_pool;

/* Never NULL: the compiler cannot go on without memory, so it prints one line and exits with status 70 (EX_SOFTWARE).
 * Nothing that runs beside an application uses pools. */
struct hira_pool *hira_pool_create(void);
void hira_pool_destroy(struct hira_pool *pool); /* NULL allowed */

/* Zeroed, aligned for any type. */
void *hira_pool_alloc(struct hira_pool *pool, size_t size);
void *hira_pool_copy(struct hira_pool *pool, const void *data, size_t size);
char *hira_pool_strdup(struct hira_pool *pool, const char *s); /* NULL gives NULL */
char *hira_pool_strndup(struct hira_pool *pool, const char *s, size_t n);
char *hira_pool_printf(struct hira_pool *pool, const char *format, ...) HIRA_PRINTF(2, 3);
char *hira_pool_vprintf(struct hira_pool *pool, const char *format, va_list args);

/* Grows the array `items` of `*n` elements by one zeroed element and returns it: amortized by doubling, old array abandoned. */
void *hira_pool_push(struct hira_pool *pool, void *items_pointer, size_t *n, size_t element_size);
#define HIRA_POOL_PUSH(pool, items, n) \
    ((__typeof__(items))hira_pool_push((pool), &(items), &(n), sizeof((items)[0])))

#endif
