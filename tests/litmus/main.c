/* Litmus tests of the order of calls: DESIGN's "if X returned before Y began, Y sees X's effects".
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 *
 * litmus [ROUNDS]: of each test (default 2,000; 50,000 with HIRA_SOAK). Threads hand the turn on by an atomic word, which is all that
 * orders them: the sanitizer sees whether the channel keeps that order for the vendor's plain memory too. */
#include <pthread.h>
#include <stdatomic.h>
#include <sched.h>
#include <unistd.h>

#include "litmus.h"
#include "tests/tap.h"

static unsigned rounds;
static _Atomic unsigned turn;

static void await(unsigned value)
{
    for (unsigned n = 0; atomic_load_explicit(&turn, memory_order_acquire) != value; n++)
        if (n % 64 == 63)
            sched_yield();
}

static void hand_on(unsigned value)
{
    atomic_store_explicit(&turn, value, memory_order_release);
}

static void run_threads(unsigned n, void *(*body)(void *))
{
    pthread_t threads[8];
    atomic_store(&turn, 0);
    for (unsigned long i = 0; i < n; i++)
        if (pthread_create(&threads[i], NULL, body, (void *)i))
            abort();
    for (unsigned i = 0; i < n; i++)
        pthread_join(threads[i], NULL);
}

static unsigned n_threads;
static void *counter;

/* Each adds in its turn, asynchronously; the value that the next one reads is exact. */
static void *visible(void *self)
{
    unsigned me = (unsigned)(unsigned long)self;
    uint64_t value = 0;
    for (unsigned i = 0; i < rounds; i++) {
        await(i * n_threads + me);
        unsigned how = (i + me) % 4;
        CHECK(how == 0 ? counter_add_now(counter, 1) : how == 1 ? counter_add(counter, 1) : counter_add_later(counter, 1));
        if (i % 4 == me % 4) {
            CHECK(counter_get(counter, &value));
            CHECK(value == i * n_threads + me + 1);
        }
        hand_on(i * n_threads + me + 1);
    }
    return NULL;
}

static void test_visible(unsigned n)
{
    uint64_t value = 0;
    n_threads = n;
    counter = counter_create();
    CHECK(counter != NULL);
    run_threads(n, visible);
    CHECK(counter_get(counter, &value) && value == (uint64_t)rounds * n);
    counter_release(counter);
    tap_case("%u threads: what has returned is seen by what begins", n);
}

/* One makes, the next uses, a third releases: the object is there in time, and not the one before under the same id. */
static void *lives(void *self)
{
    unsigned me = (unsigned)(unsigned long)self;
    for (unsigned i = 0; i < rounds; i++) {
        uint64_t value = 99;
        unsigned role = (me + i) % n_threads; /* who makes changes, and with that whose ids are used */
        if (role == 0) {
            await(i * 4);
            counter = counter_create();
            CHECK(counter != NULL);
            hand_on(i * 4 + 1);
        }
        if (role == 1 % n_threads) {
            await(i * 4 + 1);
            CHECK(counter_add(counter, 1 + i));
            hand_on(i * 4 + 2);
        }
        if (role == 2 % n_threads) {
            await(i * 4 + 2);
            if (i % 2)
                CHECK(counter_get(counter, &value) && value == 1 + i);
            counter_release(counter);
            hand_on(i * 4 + 3);
        }
        if (role == 0) {
            await(i * 4 + 3);
            void *other = counter_create(); /* often the very slot that was given back */
            CHECK(other && counter_get(other, &value) && value == 0);
            counter_release(other);
            hand_on(i * 4 + 4);
        }
    }
    return NULL;
}

static void test_lives(unsigned n)
{
    n_threads = n;
    run_threads(n, lives);
    tap_case("%u threads: an id is used again only after its release", n);
}

static uint64_t memory[64];
static void *event;

static bool all(uint64_t value)
{
    for (unsigned i = 0; i < 64; i++)
        if (memory[i] != value)
            return false;
    return true;
}

/* One reads asynchronously, another learns that the command has ended: by then the memory is filled, for both. */
static void *complete(void *self)
{
    unsigned me = (unsigned)(unsigned long)self;
    for (unsigned i = 0; i < rounds; i++) {
        unsigned role = (me + i / 8) % n_threads;
        if (role == 0) {
            await(i * 3);
            CHECK(counter_add(counter, 1));
            CHECK(counter_read(counter, memory, &event));
            hand_on(i * 3 + 1);
        }
        if (role == 1 % n_threads) {
            await(i * 3 + 1);
            CHECK(event_wait(event));
            CHECK(all(i + 1));
            hand_on(i * 3 + 2);
        }
        if (role == 2 % n_threads) {
            await(i * 3 + 2);
            CHECK(all(i + 1));
            event_release(event);
            hand_on(i * 3 + 3);
        }
    }
    return NULL;
}

static void test_complete(unsigned n)
{
    n_threads = n;
    counter = counter_create();
    run_threads(n, complete);
    counter_release(counter);
    tap_case("%u threads: data is there before the command is known to be complete", n);
}

/* No turns: each has its own objects, all lanes and the allocator are busy at once. */
static void *alone(void *self)
{
    uint64_t to[64], value = 0;
    (void)self;
    for (unsigned i = 0; i < rounds; i++) {
        void *mine = counter_create(), *ended = NULL;
        CHECK(mine && counter_add(mine, i) && counter_read(mine, to, &ended));
        if (i % 16 == 0) {
            CHECK(counter_get(mine, &value) && value == i);
        }
        CHECK(event_wait(ended) && to[0] == i && to[63] == i);
        event_release(ended);
        counter_release(mine);
    }
    return NULL;
}

/* Releases are asynchronous: the vendor knows of the last ones soon after. */
static bool nothing_left(void)
{
    for (unsigned i = 0; i < 2000 && litmus_alive(); i++) {
        void *last = counter_create();
        uint64_t value;
        counter_get(last, &value);
        counter_release(last);
        if (litmus_alive() <= 1)
            return true;
        usleep(1000);
    }
    return litmus_alive() == 0;
}

/* What only begins in one lane: also of two objects in turns, and more of it than is left at once. */
static void test_later(void)
{
    uint64_t value = 0, other = 0, sum = 0;
    void *a = counter_create(), *b = counter_create();
    for (unsigned i = 1; i <= rounds; i++) {
        CHECK(counter_add_later(a, i) && (i % 5 || counter_add_later(b, i)));
        sum += i;
        if (i % 97 == 0)
            CHECK(counter_get(a, &value) && value == sum);
    }
    CHECK(counter_get(a, &value) && value == sum && counter_get(b, &other) && other == 5ull * (rounds / 5) * (rounds / 5 + 1) / 2);
    counter_release(a);
    counter_release(b);
    tap_case("what was only begun is done before it can be seen");
}

static void test_alone(void)
{
    run_threads(3, alone);
    tap_case("3 threads at once, each with its own objects");
    CHECK(nothing_left());
    tap_case("every object of every test was given back to the vendor");
}

int main(int argc, char **argv)
{
    const char *soak = getenv("HIRA_SOAK");
    rounds = argc > 1 ? (unsigned)atoi(argv[1]) : soak && *soak ? 50000 : 2000;
    litmus_start();
    for (unsigned n = 2; n <= 3; n++) {
        test_visible(n);
        test_lives(n);
        test_complete(n);
    }
    test_later();
    test_alone();
    return tap_done();
}
