/* Order between threads: if a call returned before another began, the other sees what it did. Litmus tests with two and three
 * threads, objects that change hands, threads that come and go. Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0 */
#include <sched.h>

#include "t.h"

enum { ROUNDS = 3000 };

static nullQueue queue;
static nullBuffer cells[4];
static _Atomic uint64_t flag[4];

static void wait_for(_Atomic uint64_t *f, uint64_t value)
{
    for (unsigned i = 1; atomic_load_explicit(f, memory_order_acquire) < value; i++)
        if (i % 64 == 0)
            sched_yield();
}

static void pass(_Atomic uint64_t *f, uint64_t value)
{
    atomic_store_explicit(f, value, memory_order_release);
}

static void open_cells(void)
{
    queue = t_queue();
    for (int i = 0; i < 4; i++)
        cells[i] = t_buffer(queue, 64);
}

/* ---- message passing: A changes asynchronously, then B looks ---- */

static void *mp_writer(void *unused)
{
    for (uint64_t i = 1; i <= ROUNDS; i++) {
        wait_for(&flag[1], i - 1);
        OK(nullPoke(cells[0], 0, i));
        pass(&flag[0], i);
    }
    return unused;
}

static void message_passing(void)
{
    open_cells();
    pthread_t t = t_thread(mp_writer, NULL);
    for (uint64_t i = 1; i <= ROUNDS; i++) {
        uint64_t v = 0;
        wait_for(&flag[0], i);
        OK(nullPeek(cells[0], 0, &v));
        CHECK(v == i);
        pass(&flag[1], i);
    }
    t_join(t);
    say("%d rounds", ROUNDS);
}

/* ---- three threads: A pokes, B copies to another object, C looks there ---- */

static void *chain_copier(void *unused)
{
    for (uint64_t i = 1; i <= ROUNDS; i++) {
        wait_for(&flag[0], i);
        OK(nullCopyWord(cells[0], cells[1], 0));
        pass(&flag[1], i);
    }
    return unused;
}

static void *chain_reader(void *unused)
{
    for (uint64_t i = 1; i <= ROUNDS; i++) {
        uint64_t v = 0;
        wait_for(&flag[1], i);
        OK(nullPeek(cells[1], 0, &v));
        CHECK(v == i);
        pass(&flag[2], i);
    }
    return unused;
}

static void chain(void)
{
    open_cells();
    pthread_t b = t_thread(chain_copier, NULL), c = t_thread(chain_reader, NULL);
    for (uint64_t i = 1; i <= ROUNDS; i++) {
        wait_for(&flag[2], i - 1);
        OK(nullPoke(cells[0], 0, i));
        pass(&flag[0], i);
    }
    t_join(b);
    t_join(c);
    say("%d rounds", ROUNDS);
}

/* ---- all asynchronous: A, B, C each add a step to one object, in turns ---- */

static void *turns_thread(void *context)
{
    uint64_t me = (uint64_t)(uintptr_t)context;
    for (uint64_t i = 0; i < ROUNDS; i++) {
        wait_for(&flag[0], 3 * i + me);
        OK(nullPoke(cells[0], 0, 3 * i + me));
        OK(nullCopyWord(cells[0], cells[1 + me], 0));
        pass(&flag[0], 3 * i + me + 1);
    }
    return NULL;
}

static void turns(void)
{
    open_cells();
    pthread_t t[3];
    for (uintptr_t i = 0; i < 3; i++)
        t[i] = t_thread(turns_thread, (void *)i);
    for (int i = 0; i < 3; i++)
        t_join(t[i]);
    for (int i = 0; i < 4; i++) {
        uint64_t v = 0;
        OK(nullPeek(cells[i], 0, &v));
        say("%d: %lu", i, v);
    }
}

/* ---- objects made, handed over, destroyed by another, and their slots used again ---- */

static nullBuffer _Atomic handed;

static void *destroyer(void *unused)
{
    for (uint64_t i = 1; i <= ROUNDS; i++) {
        uint64_t v = 0;
        wait_for(&flag[0], i);
        nullBuffer b = atomic_load(&handed);
        OK(nullPeek(b, 0, &v));
        CHECK(v == i);
        OK(nullDestroyBuffer(b));
        pass(&flag[1], i);
    }
    return unused;
}

static void handover(void)
{
    queue = t_queue();
    pthread_t t = t_thread(destroyer, NULL);
    for (uint64_t i = 1; i <= ROUNDS; i++) {
        nullBuffer b = t_buffer(queue, 8);
        OK(nullPoke(b, 0, i));
        atomic_store(&handed, b);
        pass(&flag[0], i);
        wait_for(&flag[1], i);
    }
    t_join(t);
    say("%d handed over", ROUNDS);
}

/* The same with counted objects whose last reference goes in another thread. */
static nullEvent _Atomic handed_event;

static void *event_waiter(void *unused)
{
    for (uint64_t i = 1; i <= ROUNDS / 4; i++) {
        wait_for(&flag[0], i);
        nullEvent e = atomic_load(&handed_event);
        OK(nullWaitEvents(1, &e));
        OK(nullReleaseEvent(e));
        pass(&flag[1], i);
    }
    return unused;
}

static void event_handover(void)
{
    queue = t_queue();
    pthread_t t = t_thread(event_waiter, NULL);
    for (uint64_t i = 1; i <= ROUNDS / 4; i++) {
        nullEvent e, first;
        OK(nullSubmit(queue, 0, 0, NULL, &first));
        OK(nullSubmit(queue, 0, 1, &first, &e));
        OK(nullReleaseEvent(first));
        atomic_store(&handed_event, e);
        pass(&flag[0], i);
        wait_for(&flag[1], i);
    }
    t_join(t);
    say("done");
}

/* ---- no thread waits for a call that is still in progress ---- */

static void *setter(void *event)
{
    usleep(20000);
    OK(nullSetEvent(event, NULL_COMPLETE));
    return NULL;
}

static void unblocking(void)
{
    queue = t_queue();
    for (int i = 0; i < 5; i++) {
        nullEvent user = nullCreateEvent(queue, NULL), e;
        OK(nullSubmit(queue, 0, 1, &user, &e));
        pthread_t t = t_thread(setter, user);
        OK(nullWaitEvents(1, &e));
        t_join(t);
        OK(nullReleaseEvent(e));
        OK(nullReleaseEvent(user));
    }
    say("5 unblocked");
}

/* ---- thread-local state of the vendor, and of threads that come and go ---- */

static void *poster(void *context)
{
    uint64_t n = (uint64_t)(uintptr_t)context, count = 99;
    double sum = 0;
    OK(nullPosted(&count, &sum));
    CHECK(count == 0); /* a fresh thread's */
    for (uint64_t i = 0; i < n; i++)
        nullPost(1, 0, 0, 0);
    CHECK(nullGetLastError() == NULL_SUCCESS);
    nullReverse(NULL, 1);
    OK(nullPosted(&count, &sum));
    CHECK(count == n && sum == (double)n);
    CHECK(nullGetLastError() == NULL_ERROR_VALUE);
    return NULL;
}

static void churn(void)
{
    for (uintptr_t i = 0; i < 300; i++)
        t_join(t_thread(poster, (void *)(i * 3)));
    pthread_t t[40];
    for (int round = 0; round < 5; round++) {
        for (uintptr_t i = 0; i < 40; i++)
            t[i] = t_thread(poster, (void *)(i * 50));
        for (int i = 0; i < 40; i++)
            t_join(t[i]);
    }
    say("500 threads");
}

static nullBuffer shared[8];
static const char constant[] = "constant"; /* commands outlive the threads that give them */

static void *mixer(void *context)
{
    unsigned seed = (unsigned)(uintptr_t)context;
    for (int i = 0; i < 400; i++) {
        uint64_t v;
        seed = seed * 1103515245u + 12345u;
        nullBuffer a = shared[seed >> 16 & 7], b = shared[seed >> 20 & 7];
        switch (seed >> 24 & 3) {
        case 0: OK(nullPoke(a, 0, seed)); break;
        case 1: OK(nullCopyWord(a, b, 0)); break;
        case 2: OK(nullPeek(a, 0, &v)); break;
        default: OK(nullWrite(queue, a, seed & 1, 8, 8, constant, 0, NULL, NULL));
        }
    }
    return NULL;
}

/* More lanes on one object than a record can name, and no dependency among them ever closes a circle. */
static void crowd(void)
{
    pthread_t t[30];
    queue = t_queue();
    for (int i = 0; i < 8; i++)
        shared[i] = t_buffer(queue, 64);
    for (uintptr_t i = 0; i < 30; i++)
        t[i] = t_thread(mixer, (void *)i);
    for (int i = 0; i < 30; i++)
        t_join(t[i]);
    OK(nullFinish(queue));
    say("30 threads");
}

/* More than any socket's buffers hold, there and back at once: neither way may wait for the other. */
static void *carrier(void *context)
{
    enum { SIZE = 16 << 20 };
    unsigned char *data = malloc(SIZE);
    bool there = (uintptr_t)context & 1;
    CHECK(data);
    memset(data, 1, SIZE);
    uint64_t first, sum;
    OK(nullSumBytes(data, SIZE, &first));
    for (int i = 1; i <= 20; i++) {
        if (there) {
            OK(nullSumBytes(data, SIZE, &sum));
            CHECK(sum == first);
        } else {
            OK(nullFillBytes(data, SIZE, (uint8_t)i));
            CHECK(data[0] == i && data[SIZE - 1] == i);
        }
    }
    free(data);
    return NULL;
}

static void both_ways(void)
{
    pthread_t t[4];
    /* A server's lanes are given the same memory one after the other. The guest is what orders them, a process that the sanitizer
       does not see, and it takes a report for every eight bytes, suppressed or not. */
#ifdef __SANITIZE_THREAD__
    t_skip("memory that goes from lane to lane through the guest looks like races");
#endif
    for (uintptr_t i = 0; i < 4; i++)
        t[i] = t_thread(carrier, (void *)i);
    for (int i = 0; i < 4; i++)
        t_join(t[i]);
    say("4 threads");
}

const struct t_test threads_tests[] = {{"message_passing", message_passing}, {"chain", chain},           {"turns", turns},
                                       {"handover", handover},               {"event_handover", event_handover},
                                       {"unblocking", unblocking},           {"churn", churn},           {"crowd", crowd},
                                       {"both_ways", both_ways},
                                       {NULL, NULL}};
