/*
 * Answers that cannot change, and shapes of calls that have succeeded.
 *
 * Answers: a hash table that only grows, filled under a lock and read without one: nodes are complete before they are
 * published and live until the process ends. Bounded by number; past it answers are asked anew.
 *
 * Shapes: a fixed table of hashes, replaced at random. A forgotten shape costs one synchronous call.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include "guest/internal.h"

#define ANSWER_BUCKETS 1024u
#define ANSWERS_MAX 65536u        /* an application asks some hundred different questions; objects come and go */
#define ANSWER_SIZE_MAX 65536u
#define SHAPES 8192u              /* power of two; 64 KiB */

struct answer_node {
    struct answer_node *next;
    uint64_t key[4];
    struct hira_answer answer;
    char data[];
};

static struct answer_node *_Atomic buckets[ANSWER_BUCKETS];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static uint32_t n_answers;
static _Atomic uint64_t shapes[SHAPES];

/* The parent's nodes stay allocated: another thread of the parent may have been reading them. */
void hira_cache_forget(void)
{
    pthread_mutex_init(&lock, NULL);
    n_answers = 0;
    for (unsigned i = 0; i < ANSWER_BUCKETS; i++)
        atomic_store(&buckets[i], NULL);
    for (unsigned i = 0; i < SHAPES; i++)
        atomic_store(&shapes[i], 0);
}

static struct answer_node *_Atomic *bucket_of(const uint64_t key[4])
{
    uint64_t h = 0;
    for (int i = 0; i < 4; i++)
        h = hira_mix(h, key[i]);
    return &buckets[h % ANSWER_BUCKETS];
}

const struct hira_answer *hira_cache_get(unsigned function, const void *handle, uint64_t selector, uint64_t extra)
{
    uint64_t key[4] = {function, hira_handle_key(handle), selector, extra};
    for (struct answer_node *n = atomic_load_explicit(bucket_of(key), memory_order_acquire); n; n = n->next)
        if (!memcmp(n->key, key, sizeof key))
            return &n->answer;
    return NULL;
}

void hira_cache_put(unsigned function, const void *handle, uint64_t selector, uint64_t extra, int64_t ret, const void *data,
                    uint64_t size)
{
    uint64_t key[4] = {function, hira_handle_key(handle), selector, extra};
    pthread_mutex_lock(&lock);
    if (n_answers < ANSWERS_MAX && size <= ANSWER_SIZE_MAX && !hira_cache_get(function, handle, selector, extra)) {
        struct answer_node *node = malloc(sizeof *node + size);
        if (node) {
            memcpy(node->key, key, sizeof key);
            node->answer = (struct hira_answer){ret, size, node->data};
            if (size)
                memcpy(node->data, data, size);
            struct answer_node *_Atomic *bucket = bucket_of(key);
            node->next = atomic_load_explicit(bucket, memory_order_relaxed);
            atomic_store_explicit(bucket, node, memory_order_release);
            n_answers++;
        }
    }
    pthread_mutex_unlock(&lock);
}

bool hira_once_seen(uint64_t key)
{
    return atomic_load_explicit(&shapes[key & (SHAPES - 1)], memory_order_relaxed) == key && key;
}

void hira_once_add(uint64_t key)
{
    atomic_store_explicit(&shapes[key & (SHAPES - 1)], key, memory_order_relaxed);
}
