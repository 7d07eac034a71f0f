/* Packed: how many bytes, 32 bits, then a block of LZ4. See pack.h.
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0 */
#include "remote/pack.h"

#include <lz4.h>
#include <string.h>

#define HEAD sizeof(uint32_t)
#define WIRE_LEAST_PS 2000u /* 4 Gbit/s: LZ4 compresses no faster with one thread */
#define REST_FIRST 4u       /* pieces after a trial in vain, doubled with each */
#define REST_MAX 256u       /* 64 MiB: trials take less than a hundredth then */

static uint32_t get(const _Atomic uint32_t *word)
{
    return atomic_load_explicit(word, memory_order_relaxed);
}

/* Several threads may: what is lost by that is measured again. */
static void put(_Atomic uint32_t *word, uint64_t value)
{
    atomic_store_explicit(word, (uint32_t)HIRA_MIN(value, (uint64_t)UINT32_MAX), memory_order_relaxed);
}

static void learn(_Atomic uint32_t *word, uint64_t value, unsigned weight)
{
    uint64_t known = get(word);
    put(word, known ? (known * (weight - 1) + value) / weight : value);
}

/* By an eighth at least, for what is not reckoned: unpacking, and memory. */
static bool pays(const struct relay_pack *p)
{
    uint64_t wire = get(&p->wire), packed = get(&p->cost) + wire * get(&p->left) / 1024;
    return get(&p->cost) && packed < wire - wire / 8;
}

bool relay_pack_may(struct relay_pack *p)
{
    if (get(&p->wire) < WIRE_LEAST_PS)
        return false;
    uint32_t rest = get(&p->rest);
    if (pays(p) || !rest)
        return true;
    put(&p->rest, rest - 1);
    return false;
}

size_t relay_pack(struct relay_pack *p, const void *data, size_t size, void *to)
{
    const uint32_t in_vain = get(&p->in_vain);
    const uint64_t begin = hira_now_ns();
    const int n = LZ4_compress_default(data, (char *)to + HEAD, (int)size, (int)(size - size / 8 - HEAD));
    const uint64_t took = hira_now_ns() - begin;
    learn(&p->cost, took * 1000 / size + 1, 4);
    learn(&p->left, n > 0 ? (uint64_t)n * 1024 / size + 1 : 1024, 4);
    const uint32_t rest = pays(p) ? 0 : HIRA_MIN(HIRA_MAX(2 * in_vain, REST_FIRST), REST_MAX);
    put(&p->in_vain, rest);
    put(&p->rest, rest);
    const uint32_t contents = (uint32_t)size;
    memcpy(to, &contents, HEAD);
    return n > 0 ? (size_t)n + HEAD : 0;
}

/* Packed data may be too little to fill the way, and tells less of it. */
void relay_pack_sent(struct relay_pack *p, size_t bytes, uint64_t ns, bool packed)
{
    learn(&p->wire, HIRA_MAX(ns * 1000 / HIRA_MAX(bytes, (size_t)1), (uint64_t)1), packed ? 64 : 8);
}

uint32_t relay_packed_size(const void *packed, size_t size)
{
    uint32_t contents = 0;
    if (size > HEAD)
        memcpy(&contents, packed, HEAD);
    return contents;
}

bool relay_unpack(const void *packed, size_t size, void *to)
{
    uint32_t contents = relay_packed_size(packed, size);
    return contents && contents <= INT32_MAX &&
           LZ4_decompress_safe((const char *)packed + HEAD, to, (int)(size - HEAD), (int)contents) == (int)contents;
}
