/* An API that hands out plain addresses: pointers that share their words are asked for.
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>

typedef struct _queue *queue;

void *apiSharedAlloc(size_t size);
void apiSharedFree(void *shared_pointer);
int apiEnqueueSharedCopy(queue q, void *dst, const void *src, size_t size);
int apiEnqueueCopy(queue q, void *dst, const void *src, size_t size);
int devMalloc(void **devPtr, size_t size);
int devMemset(void *devPtr, int value, size_t count);
