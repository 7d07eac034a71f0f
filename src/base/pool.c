/* Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0 */
#include "base/pool.h"

#include <stdio.h>
#include <string.h>

#define POOL_BLOCK (64 * 1024)
#define POOL_ALIGN 16

struct pool_block {
    struct pool_block *next;
    size_t used, size;
    _Alignas(POOL_ALIGN) char data[];
};

struct hira_pool {
    struct pool_block *blocks;
};

static void *must(void *p)
{
    if (!p) {
        fputs("hira: out of memory\n", stderr);
        exit(70);
    }
    return p;
}

struct hira_pool *hira_pool_create(void)
{
    return must(calloc(1, sizeof(struct hira_pool)));
}

void hira_pool_destroy(struct hira_pool *pool)
{
    if (!pool)
        return;
    for (struct pool_block *b = pool->blocks; b;) {
        struct pool_block *next = b->next;
        free(b);
        b = next;
    }
    free(pool);
}

void *hira_pool_alloc(struct hira_pool *pool, size_t size)
{
    size = HIRA_ALIGN_UP(size ? size : 1, (size_t)POOL_ALIGN);
    struct pool_block *b = pool->blocks;
    if (!b || b->size - b->used < size) {
        size_t capacity = HIRA_MAX(size, (size_t)POOL_BLOCK);
        b = must(calloc(1, sizeof(*b) + capacity));
        b->size = capacity;
        b->next = pool->blocks;
        pool->blocks = b;
    }
    void *p = b->data + b->used;
    b->used += size;
    return p;
}

void *hira_pool_copy(struct hira_pool *pool, const void *data, size_t size)
{
    void *p = hira_pool_alloc(pool, size);
    if (size)
        memcpy(p, data, size);
    return p;
}

char *hira_pool_strndup(struct hira_pool *pool, const char *s, size_t n)
{
    char *p = hira_pool_alloc(pool, n + 1);
    memcpy(p, s, n);
    return p;
}

char *hira_pool_strdup(struct hira_pool *pool, const char *s)
{
    return s ? hira_pool_strndup(pool, s, strlen(s)) : NULL;
}

char *hira_pool_vprintf(struct hira_pool *pool, const char *format, va_list args)
{
    va_list again;
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, format, again);
    va_end(again);
    char *p = hira_pool_alloc(pool, (size_t)n + 1);
    vsnprintf(p, (size_t)n + 1, format, args);
    return p;
}

char *hira_pool_printf(struct hira_pool *pool, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *p = hira_pool_vprintf(pool, format, args);
    va_end(args);
    return p;
}

void *hira_pool_push(struct hira_pool *pool, void *items_pointer, size_t *n, size_t element_size)
{
    void **items = items_pointer;
    /* Capacity is the next power of two above n, at least 4: it need not be stored. */
    bool full = *n == 0 || (*n >= 4 && (*n & (*n - 1)) == 0);
    if (full) {
        size_t capacity = *n ? *n * 2 : 4;
        void *grown = hira_pool_alloc(pool, capacity * element_size);
        if (*n)
            memcpy(grown, *items, *n * element_size);
        *items = grown;
    }
    return (char *)*items + (*n)++ * element_size;
}
