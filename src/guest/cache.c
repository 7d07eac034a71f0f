/*
 * Answers that cannot change, strings that calls have returned, and shapes of calls that have succeeded.
 *
 * Answers: those about an object lie in a small hash table of its own and go with it; those about none in one that lasts as long
 * as the process. Filled under a lock and read without one: nodes are complete before they are published. Bounded by number; past
 * it answers are asked anew.
 *
 * Strings: an object's lie beside its answers and go with it; those of no object stay, for the application may keep a pointer for ever.
 * So equal ones are one, and their bytes are bounded: past that there are no new ones.
 *
 * Shapes: a fixed table of hashes, replaced at random. A forgotten shape costs one synchronous call.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>

#include "guest/internal.h"

#define BUCKETS_OF_OBJECT 8u      /* most objects are asked one or two things, a device a hundred */
#define BUCKETS_OF_NONE 1024u
#define ANSWERS_OF_OBJECT 512u    /* an application asks some hundred different questions */
#define ANSWERS_OF_NONE 8192u     /* as many to each of some functions */
#define ANSWER_SIZE_MAX 65536u
#define SHAPES 8192u              /* power of two; 64 KiB */

struct answer_node {
    struct answer_node *next;
    uint64_t function, selector, extra;
    struct hira_answer answer;
    char data[];
};

struct hira_answers {
    struct hira_strings strings;
    uint32_t n, most, n_buckets;
    struct answer_node *_Atomic buckets[];
};

static struct hira_answers *_Atomic of_none;
static struct hira_strings of_process;
static _Atomic uint64_t objects_bytes; /* of the strings of all objects */
static _Atomic bool told_full;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static _Atomic uint64_t shapes[SHAPES];

/* The parent's answers stay allocated: another thread of the parent may have been reading them. */
void hira_cache_forget(void)
{
    pthread_mutex_init(&lock, NULL);
    atomic_store(&of_none, NULL);
    of_process = (struct hira_strings){0};
    atomic_store(&objects_bytes, 0);
    atomic_store(&told_full, false);
    for (unsigned i = 0; i < SHAPES; i++)
        atomic_store(&shapes[i], 0);
}

void hira_answers_forget(struct hira_object *object)
{
    struct hira_answers *answers = atomic_load_explicit(&object->answers, memory_order_relaxed);
    if (hira_likely(!answers))
        return;
    atomic_store_explicit(&object->answers, NULL, memory_order_relaxed);
    for (uint32_t i = 0; i < answers->n_buckets; i++)
        for (struct answer_node *n = atomic_load(&answers->buckets[i]), *next; n; n = next) {
            next = n->next;
            free(n);
        }
    if (answers->strings.bytes) {
        atomic_fetch_sub_explicit(&objects_bytes, answers->strings.bytes, memory_order_relaxed);
        hira_strings_fini(&answers->strings);
    }
    free(answers);
}

static struct hira_answers *_Atomic *answers_of(const void *handle)
{
    struct hira_object *object = handle ? hira_object(handle, hira_object_type(handle)) : NULL;
    return object ? &object->answers : handle ? NULL : &of_none;
}

static struct answer_node *_Atomic *bucket_of(struct hira_answers *answers, unsigned function, uint64_t selector, uint64_t extra)
{
    return &answers->buckets[hira_mix(hira_mix(function, selector), extra) & (answers->n_buckets - 1)];
}

static const struct answer_node *find(struct answer_node *_Atomic *bucket, unsigned function, uint64_t selector, uint64_t extra)
{
    const struct answer_node *n = atomic_load_explicit(bucket, memory_order_acquire);
    while (n && (n->function != function || n->selector != selector || n->extra != extra))
        n = n->next;
    return n;
}

const struct hira_answer *hira_cache_get(unsigned function, const void *handle, uint64_t selector, uint64_t extra)
{
    struct hira_answers *_Atomic *at = answers_of(handle);
    struct hira_answers *answers = at ? atomic_load_explicit(at, memory_order_acquire) : NULL;
    const struct answer_node *n = answers ? find(bucket_of(answers, function, selector, extra), function, selector, extra) : NULL;
    return n ? &n->answer : NULL;
}

/* The table, made if need be. The lock is held. */
static struct hira_answers *make_answers(struct hira_answers *_Atomic *at)
{
    struct hira_answers *answers = atomic_load_explicit(at, memory_order_relaxed);
    uint32_t n = at == &of_none ? BUCKETS_OF_NONE : BUCKETS_OF_OBJECT;
    if (answers || !(answers = calloc(1, sizeof *answers + n * sizeof *answers->buckets)))
        return answers;
    answers->n_buckets = n;
    answers->most = at == &of_none ? ANSWERS_OF_NONE : ANSWERS_OF_OBJECT;
    atomic_store_explicit(at, answers, memory_order_release);
    return answers;
}

void hira_cache_put(unsigned function, const void *handle, uint64_t selector, uint64_t extra, int64_t ret, const void *data,
                    uint64_t size)
{
    struct hira_answers *_Atomic *at = answers_of(handle);
    if (!at || size > ANSWER_SIZE_MAX)
        return;
    pthread_mutex_lock(&lock);
    struct hira_answers *answers = make_answers(at);
    struct answer_node *_Atomic *bucket = answers ? bucket_of(answers, function, selector, extra) : NULL;
    if (bucket && answers->n < answers->most && !find(bucket, function, selector, extra)) {
        struct answer_node *node = malloc(sizeof *node + size + 1);
        if (node) {
            *node = (struct answer_node){atomic_load_explicit(bucket, memory_order_relaxed), function, selector, extra,
                                         {ret, size, node->data}};
            if (size)
                memcpy(node->data, data, size);
            node->data[size] = 0; /* a string has an end, whatever the server said */
            atomic_store_explicit(bucket, node, memory_order_release);
            answers->n++;
        }
    }
    pthread_mutex_unlock(&lock);
}

/* Natively there is no such limit: whoever wonders about a missing text is told, once. */
static void tell_full(const char *whose, uint64_t most)
{
    const char *debug = getenv("HIRA_DEBUG");
    if (debug && *debug && !atomic_exchange(&told_full, true))
        fprintf(stderr, "hira: %s returned strings have reached %llu MiB: calls return NULL for new ones\n", whose, (unsigned long long)(most >> 20));
}

const char *hira_string_keep(const void *owner, const char *text, uint64_t size)
{
    struct hira_answers *_Atomic *at = owner ? answers_of(owner) : NULL;
    const uint64_t most = owner ? HIRA_STRINGS_OBJECTS_MAX : HIRA_STRINGS_STATIC_MAX;
    const char *kept = NULL;
    bool full = false;
    if (owner && !at)
        return NULL;
    pthread_mutex_lock(&lock);
    struct hira_answers *answers = at ? make_answers(at) : NULL;
    struct hira_strings *in = at ? answers ? &answers->strings : NULL : &of_process;
    if (in) {
        uint64_t before = in->bytes, all = owner ? atomic_load_explicit(&objects_bytes, memory_order_relaxed) : before;
        kept = hira_strings_keep(in, text, size, most - HIRA_MIN(all, most));
        full = !kept;
        if (owner)
            atomic_fetch_add_explicit(&objects_bytes, in->bytes - before, memory_order_relaxed);
    }
    pthread_mutex_unlock(&lock);
    if (hira_unlikely(full))
        tell_full(owner ? "objects'" : "static", most);
    return kept;
}

bool hira_once_seen(uint64_t key)
{
    return atomic_load_explicit(&shapes[key & (SHAPES - 1)], memory_order_relaxed) == key && key;
}

void hira_once_add(uint64_t key)
{
    atomic_store_explicit(&shapes[key & (SHAPES - 1)], key, memory_order_relaxed);
}
