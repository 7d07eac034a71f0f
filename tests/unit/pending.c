/* Commands that go on after their call, over a vendor whose hooks call back. Copyright the Hira authors.
 * SPDX-License-Identifier: Apache-2.0 */
#include <pthread.h>
#include <unistd.h>

#include "server/internal.h"
#include "tests/tap.h"

enum { T_JOB = 1, N_TYPES };

struct job {
    _Atomic int status; /* what `done` says */
    _Atomic int asked, released;
    bool calls_back;
};

static _Atomic bool inside, go_on, holds;

static int done(void *vendor)
{
    struct job *job = vendor;
    atomic_fetch_add(&job->asked, 1);
    if (job->calls_back) {
        job->calls_back = false;
        hira_pending_poll();
    }
    if (holds) {
        atomic_store(&inside, true);
        while (!atomic_load(&go_on))
            usleep(100);
    }
    return atomic_load(&job->status);
}

static void release(void *vendor)
{
    atomic_fetch_add(&((struct job *)vendor)->released, 1);
    hira_pending_poll();
}

static const struct hira_server_type types[N_TYPES] = {{0}, {"job", NULL, release, done, NULL, NULL, NULL}};

const struct hira_server_api hira_server_api = {.name = "unit", .types = types, .n_types = N_TYPES};

static void add(struct job *job)
{
    hira_pending_add(job, T_JOB, NULL, 0, NULL, NULL);
}

static void test_life(void)
{
    struct job a = {0}, b = {.status = -1};
    hira_pending_poll();
    add(&a);
    add(&b);
    hira_pending_poll();
    CHECK(a.released == 0 && b.released == 1);
    int asked = b.asked;
    hira_pending_poll();
    CHECK(a.asked > 1 && b.asked == asked);
    atomic_store(&a.status, 1);
    hira_pending_poll();
    hira_pending_poll();
    CHECK(a.released == 1);
    tap_case("a command is asked until it has ended, and released once");
}

static void test_calls_back(void)
{
    struct job a = {.calls_back = true}, b = {.status = 1, .calls_back = true};
    add(&a);
    add(&b);
    alarm(10);
    hira_pending_poll();
    CHECK(a.released == 0 && b.released == 1);
    atomic_store(&a.status, 1);
    hira_pending_poll();
    alarm(0);
    CHECK(a.released == 1);
    tap_case("the vendor may call back while it is asked");
}

static void *poll_once(void *unused)
{
    (void)unused;
    hira_pending_poll();
    return NULL;
}

/* One thread's question takes long, or waits for another thread: that one learns what has ended without it. */
static void test_waits_for_nobody(void)
{
    struct job a = {0}, b = {0};
    pthread_t thread;
    add(&a);
    add(&b);
    atomic_store(&holds, true);
    pthread_create(&thread, NULL, poll_once, NULL);
    while (!atomic_load(&inside))
        usleep(100);
    atomic_store(&holds, false);
    atomic_store(&a.status, 1);
    atomic_store(&b.status, 1);
    alarm(10);
    hira_pending_poll();
    alarm(0);
    CHECK(a.released + b.released == 1); /* the other is still being asked about: the last that leaves it ends it */
    atomic_store(&go_on, true);
    pthread_join(thread, NULL);
    CHECK(a.released == 1 && b.released == 1);
    tap_case("who asks waits for no other that asks");
}

#define ROUNDS 20000
static struct job jobs[ROUNDS];
static _Atomic bool stop;

static void *poll_on(void *unused)
{
    (void)unused;
    while (!atomic_load(&stop))
        hira_pending_poll();
    return NULL;
}

static void test_racing(void)
{
    pthread_t threads[2];
    bool once = true;
    for (unsigned i = 0; i < 2; i++)
        pthread_create(&threads[i], NULL, poll_on, NULL);
    for (unsigned i = 0; i < ROUNDS; i++) {
        add(&jobs[i]);
        if (i >= 20)
            atomic_store(&jobs[i - 20].status, 1);
    }
    for (unsigned i = ROUNDS - 20; i < ROUNDS; i++)
        atomic_store(&jobs[i].status, 1);
    hira_pending_poll(); /* all have ended: whoever polls now leaves nothing that is not settled */
    atomic_store(&stop, true);
    for (unsigned i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    hira_pending_poll();
    for (unsigned i = 0; i < ROUNDS; i++)
        once &= jobs[i].released == 1;
    CHECK(once);
    tap_case("%d commands, asked about by three threads, each released once", ROUNDS);
}

int main(void)
{
    test_life();
    test_calls_back();
    test_waits_for_nobody();
    test_racing();
    return tap_done();
}
