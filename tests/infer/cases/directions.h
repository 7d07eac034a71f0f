/* Directions from types, tags, prose and names, and what happens when they disagree.
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>

typedef struct thing_s *thing;

/* type.const-pointer beats a tag; doc.contradiction warns. */
/** @param[out] data what is sent
 *  @param size how much, in bytes */
int thing_send(thing t, const void *data, size_t size);

/** @param[in] dst the destination buffer
 *  @param[in] work scratch memory */
int thing_copy(thing t, void *dst, size_t dst_size, void *work, size_t work_size);

/** @param value Returned value of the counter
 *  @param limit Upper limit */
int thing_count(thing t, double *value, double *limit);

int thing_transform(thing t, const char **names, unsigned num_names, void *data, size_t data_size);
int thing_get_name(thing t, char *name, size_t name_size);
int thing_enqueue_read(thing t, void *data, size_t size);
int thing_enqueue_write(thing t, void *data, size_t size);
int thing_current(thing *current);
