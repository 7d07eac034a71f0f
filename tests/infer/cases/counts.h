/* Counts and sizes: which parameter counts which pointer.
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>
#include <stdint.h>

typedef struct item_s *item;

int full(unsigned num_items, const item *items, const char *tag, size_t tag_size);
int stem(const void *spec_value, size_t spec_size);
int list(unsigned num_devices, const item *device_list);
int camel(uint32_t itemCount, const item *pItems, uint32_t nstreams, const int *streams);
int bare(unsigned count, const item *items, const int *values);
int memory(void *to, const void *from, size_t n_bytes);
int abbreviated(const unsigned char *dictionary, unsigned dictLength);
int product(void *data, size_t size, size_t nitems);
int dimensions(unsigned work_dim, const size_t *global_work_size, const size_t *region);
int ambiguous(const int *table, size_t table_size);
/** @param table_size number of elements of table */
int told(const int *table, size_t table_size, const double *xs, size_t xs_len);
int array(const size_t origin[3], float matrix[4][4]);
int entries(unsigned num_entries, item *items, unsigned *num_items);
int pair(unsigned num_items, item *items, unsigned *num_items_ret);
int unknown(const int *numbers, void *memory, const char *bytes);
