/* Commands that go on after their call: data there when the event says so, chains of events, failure of what they wait for.
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0 */
#include "t.h"

static const size_t sizes[] = {1, 8, 100, 2047, 2048, 2049, 4096, 4097, 8192, 16384, 65536, 1 << 20, 5000000};

static void blocking(void)
{
    nullQueue q = t_queue();
    nullBuffer b = t_buffer(q, 8 << 20);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        unsigned char *data = t_bytes(sizes[i], (unsigned)i), *back = calloc(1, sizes[i]);
        OK(nullWrite(q, b, true, i * 3, sizes[i], data, 0, NULL, NULL));
        OK(nullRead(q, b, true, i * 3, sizes[i], back, 0, NULL, NULL));
        CHECK(!memcmp(data, back, sizes[i]));
        say("%zu %016lx", sizes[i], t_sum(back, sizes[i]));
        free(data);
        free(back);
    }
    OK(nullDestroyBuffer(b));
    OK(nullReleaseQueue(q));
}

static void nonblocking(void)
{
    nullQueue q = t_queue();
    nullBuffer b = t_buffer(q, 8 << 20);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        unsigned char *data = t_bytes(sizes[i], (unsigned)i), *back = calloc(1, sizes[i]);
        nullEvent e = NULL;
        int32_t status = 7;
        OK(nullWrite(q, b, false, i * 3, sizes[i], data, 0, NULL, NULL));
        OK(nullRead(q, b, false, i * 3, sizes[i], back, 0, NULL, &e));
        OK(nullWaitEvents(1, &e));
        CHECK(!memcmp(data, back, sizes[i]));
        OK(nullGetEventStatus(e, &status));
        say("%zu %016lx %d", sizes[i], t_sum(back, sizes[i]), status);
        OK(nullReleaseEvent(e));
        free(back);
        free(data);
    }
    OK(nullDestroyBuffer(b));
    OK(nullReleaseQueue(q));
}

/* Without an event: what tells is the end of the queue. */
static void unnamed(void)
{
    nullQueue q = t_queue();
    nullBuffer b = t_buffer(q, 1 << 16);
    static unsigned char back[300][4096];
    unsigned char *data = t_bytes(4096, 5);
    for (int i = 0; i < 300; i++) {
        OK(nullWrite(q, b, false, 0, (size_t)i + 1, data, 0, NULL, NULL));
        OK(nullRead(q, b, false, 0, (size_t)i + 1, back[i], 0, NULL, NULL));
    }
    OK(nullFinish(q));
    for (int i = 0; i < 300; i++)
        CHECK(!memcmp(back[i], data, (size_t)i + 1));
    say("all there");
    OK(nullDestroyBuffer(b));
    OK(nullReleaseQueue(q));
    free(data);
}

/* The data is there as soon as anything says that the command is complete: polled here. */
static void polled(void)
{
    nullQueue q = t_queue();
    nullBuffer b = t_buffer(q, 1 << 16);
    unsigned char *data = t_bytes(1 << 16, 5);
    OK(nullWrite(q, b, true, 0, 1 << 16, data, 0, NULL, NULL));
    for (int i = 0; i < 20; i++) {
        unsigned char *back = calloc(1, 1 << 16);
        nullEvent wait, e;
        int32_t status = 1;
        OK(nullSubmit(q, 200, 0, NULL, &wait));
        OK(nullRead(q, b, false, 0, 1 << 16, back, 1, &wait, &e));
        do
            OK(nullGetEventStatus(e, &status));
        while (status > NULL_COMPLETE);
        CHECK(!memcmp(data, back, 1 << 16));
        OK(nullReleaseEvent(e));
        OK(nullReleaseEvent(wait));
        free(back);
    }
    say("20 polled");
    OK(nullDestroyBuffer(b));
    OK(nullReleaseQueue(q));
    free(data);
}

static void errors(void)
{
    nullQueue q = t_queue();
    nullBuffer b = t_buffer(q, 100);
    nullEvent e = NULL, none = NULL;
    char data[200] = "";
    for (int blocking = 0; blocking < 2; blocking++) {
        CALL(nullWrite(NULL, b, blocking, 0, 1, data, 0, NULL, NULL));
        CALL(nullWrite(q, NULL, blocking, 0, 1, data, 0, NULL, NULL));
        CALL(nullWrite(q, b, blocking, 0, 0, data, 0, NULL, NULL));
        CALL(nullWrite(q, b, blocking, 0, 1, NULL, 0, NULL, NULL));
        CALL(nullWrite(q, b, blocking, 100, 1, data, 0, NULL, NULL));
        CALL(nullWrite(q, b, blocking, 101, 1, data, 0, NULL, NULL));
        CALL(nullWrite(q, b, blocking, SIZE_MAX, 2, data, 0, NULL, NULL));
        CALL(nullRead(q, b, blocking, 99, 1, data, 0, NULL, NULL));
        CALL(nullRead(q, b, blocking, 99, 2, data, 0, NULL, NULL));
        CALL(nullRead(q, b, blocking, 0, 1, data, 1, NULL, NULL));
        CALL(nullRead(q, b, blocking, 0, 1, data, 0, &none, NULL));
        CALL(nullRead(q, b, blocking, 0, 1, data, 1, &none, &e));
    }
    CHECK(!e);
    CALL(nullSubmit(NULL, 0, 0, NULL, NULL));
    CALL(nullSubmit(q, 0, 1, NULL, NULL));
    CALL(nullSubmit(q, 0, 1, &none, NULL));
    CALL(nullFinish(NULL));
    CALL(nullFinish(q));
    CALL(nullWaitEvents(0, NULL));
    CALL(nullWaitEvents(1, NULL));
    CALL(nullWaitEvents(1, &none));
    CALL(nullGetEventStatus(NULL, NULL));
    OK(nullDestroyBuffer(b));
    OK(nullReleaseQueue(q));
}

static void user_events(void)
{
    nullQueue q = t_queue();
    nullStatus status;
    nullEvent user = nullCreateEvent(q, &status), e;
    int32_t state = 9;
    say("%d %d", user != NULL, status);
    OK(nullSubmit(q, 0, 1, &user, &e));
    OK(nullGetEventStatus(e, &state));
    say("%d", state);
    CALL(nullSetEvent(user, NULL_RUNNING));
    CALL(nullSetEvent(user, NULL_COMPLETE));
    CALL(nullWaitEvents(1, &e));
    OK(nullReleaseEvent(user));
    OK(nullReleaseEvent(e));

    user = nullCreateEvent(q, NULL); /* fails: so does what waits for it, and its data is not written */
    nullBuffer b = t_buffer(q, 100);
    char data[100];
    memset(data, 'u', sizeof data);
    OK(nullRead(q, b, false, 0, 100, data, 1, &user, &e));
    OK(nullSetEvent(user, -77));
    CALL(nullWaitEvents(1, &e));
    OK(nullGetEventStatus(e, &state));
    say("%d %c%c", state, data[0], data[99]);
    CALL(nullGetEventStatus(e, NULL));
    OK(nullReleaseEvent(user));
    OK(nullReleaseEvent(e));
    CALL(nullSetEvent(NULL, 0));
    CALL(nullCreateEvent(NULL, &status) ? NULL_SUCCESS : status);
    OK(nullDestroyBuffer(b));
    OK(nullReleaseQueue(q));
}

/* A chain over two queues, and more events than fit a record. */
static void chains(void)
{
    nullQueue q[2] = {t_queue(), t_queue()};
    nullEvent all[1500], last;
    OK(nullSubmit(q[0], 100, 0, NULL, &all[0]));
    for (int i = 1; i < 1500; i++)
        OK(nullSubmit(q[i % 2], 0, 1, &all[i - 1], &all[i]));
    OK(nullSubmit(q[0], 0, 1500, all, &last));
    OK(nullWaitEvents(1, &last));
    OK(nullWaitEvents(1500, all));
    int32_t status = 5;
    for (int i = 0; i < 1500; i++) {
        OK(nullGetEventStatus(all[i], &status));
        CHECK(status == NULL_COMPLETE);
        OK(nullReleaseEvent(all[i]));
    }
    say("1500 complete");
    OK(nullReleaseEvent(last));
    OK(nullReleaseQueue(q[0]));
    OK(nullReleaseQueue(q[1]));
}

/* Everything is released while the commands still run. */
static void released_early(void)
{
    nullQueue q = t_queue();
    nullBuffer b = t_buffer(q, 1000);
    char data[1000] = "early";
    nullEvent e, f;
    OK(nullSubmit(q, 2000, 0, NULL, &e));
    OK(nullRead(q, b, false, 0, 1000, data, 1, &e, &f));
    OK(nullReleaseEvent(e));
    OK(nullRetainEvent(f));
    OK(nullReleaseEvent(f));
    OK(nullReleaseQueue(q));
    OK(nullWaitEvents(1, &f));
    say("[%s]", data);
    OK(nullReleaseEvent(f));
    OK(nullDestroyBuffer(b));
}

static uint32_t drains_of(nullQueue q)
{
    uint32_t n = 0;
    OK(nullGetQueueInfo(q, NULL_QUEUE_DRAINS, sizeof n, &n, NULL));
    return n;
}

static void *submits(void *q)
{
    for (int i = 0; i < 50; i++)
        OK(nullSubmit(q, 10, 0, NULL, NULL));
    return NULL;
}

/* Waiting for a queue in which nothing pends needs no answer; for one in which something does, also of another thread's, it does. */
static void drained(void)
{
    nullQueue q = t_queue();
    nullEvent e = NULL;
    int32_t status = 7;
    OK(nullSubmit(q, 2000, 0, NULL, &e));
    OK(nullDrain(q));
    OK(nullGetEventStatus(e, &status));
    CHECK(status == NULL_COMPLETE);
    OK(nullReleaseEvent(e));
    uint32_t before = drains_of(q);
    for (int i = 0; i < 10; i++)
        OK(nullDrain(q));
#ifdef UNDER_HIRA
    CHECK(drains_of(q) == before);
#else
    CHECK(drains_of(q) == before + 10);
#endif
    CHECK(nullGetLastError() == NULL_SUCCESS);
    for (int i = 0; i < 20; i++) {
        pthread_t other = t_thread(submits, q);
        OK(nullDrain(q));
        t_join(other);
        OK(nullSubmit(q, 0, 0, NULL, &e));
        before = drains_of(q);
        OK(nullDrain(q));
        OK(nullGetEventStatus(e, &status));
        CHECK(status == NULL_COMPLETE && drains_of(q) == before + 1);
        OK(nullReleaseEvent(e));
    }
    CALL(nullDrain(NULL));
    OK(nullReleaseQueue(q));
}

const struct t_test commands_tests[] = {{"blocking", blocking}, {"nonblocking", nonblocking}, {"unnamed", unnamed},
                                        {"polled", polled},     {"errors", errors},           {"user_events", user_events},
                                        {"chains", chains},     {"released_early", released_early}, {"drained", drained}, {NULL, NULL}};
