/* Functions of the application that the vendor calls: posted, waited for with a result, without a cookie, calling back.
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0 */
#include "t.h"

static atomic_int n_notes;
static struct note {
    nullEvent event;
    int32_t status;
    long cookie;
} notes[1000];

static void note(nullEvent event, int32_t status, void *cookie)
{
    int i = atomic_load(&n_notes);
    notes[i] = (struct note){event, status, (long)(intptr_t)cookie};
    atomic_store(&n_notes, i + 1);
}

static void await(int n)
{
    for (int i = 0; i < 20000 && atomic_load(&n_notes) < n; i++)
        usleep(1000);
    CHECK(atomic_load(&n_notes) >= n);
}

static void notify(void)
{
    nullQueue q = t_queue();
    nullEvent user = nullCreateEvent(q, NULL);
    for (long i = 0; i < 10; i++)
        OK(nullNotify(user, note, (void *)(intptr_t)(i * 11)));
    say("%d so far", atomic_load(&n_notes));
    OK(nullSetEvent(user, -5));
    await(10);
    for (int i = 0; i < 10; i++)
        say("%d %d %ld", notes[i].event == user, notes[i].status, notes[i].cookie);
    CALL(nullNotify(user, note, (void *)(intptr_t)1234)); /* at once */
    await(11);
    say("%d %ld", notes[10].status, notes[10].cookie);
    CALL(nullNotify(NULL, note, NULL));
    CALL(nullNotify(user, NULL, NULL));
    OK(nullReleaseEvent(user));
    OK(nullReleaseQueue(q));
}

/* In the order in which the commands end. */
static void in_order(void)
{
    nullQueue q = t_queue();
    nullEvent user = nullCreateEvent(q, NULL), e;
    for (long i = 0; i < 500; i++) {
        OK(nullSubmit(q, 0, i ? 0 : 1, i ? NULL : &user, &e));
        OK(nullNotify(e, note, (void *)(intptr_t)i));
        OK(nullReleaseEvent(e));
    }
    OK(nullSetEvent(user, NULL_COMPLETE));
    await(500);
    for (int i = 0; i < 500; i++)
        CHECK(notes[i].cookie == i && notes[i].status == NULL_COMPLETE);
    say("500 in order");
    OK(nullReleaseEvent(user));
    OK(nullReleaseQueue(q));
}

static unsigned char *callback_data, *callback_back;

static void look(nullEvent event, int32_t status, void *cookie)
{
    CHECK(!status && !memcmp(callback_data, callback_back, (size_t)(intptr_t)cookie));
    note(event, status, cookie);
}

/* A callback sees the data of its command. */
static void sees_data(void)
{
    nullQueue q = t_queue();
    nullBuffer b = t_buffer(q, 100000);
    nullEvent e, user = nullCreateEvent(q, NULL);
    callback_data = t_bytes(100000, 4);
    callback_back = calloc(1, 100000);
    OK(nullWrite(q, b, true, 0, 100000, callback_data, 0, NULL, NULL));
    OK(nullRead(q, b, false, 0, 100000, callback_back, 1, &user, &e));
    OK(nullNotify(e, look, (void *)100000));
    OK(nullSetEvent(user, 0));
    await(1);
    say("%d %ld", notes[0].status, notes[0].cookie);
    OK(nullReleaseEvent(e));
    OK(nullReleaseEvent(user));
    OK(nullDestroyBuffer(b));
    OK(nullReleaseQueue(q));
}

static void calls_back(nullEvent event, int32_t status, void *cookie)
{
    int32_t seen = 99;
    OK(nullGetEventStatus(event, &seen));
    CHECK(seen == status);
    OK(nullSubmit(cookie, 0, 0, NULL, NULL));
    OK(nullReleaseEvent(event));
    note(NULL, seen, NULL);
}

static void calling_back(void)
{
    nullQueue q = t_queue();
    nullEvent user = nullCreateEvent(q, NULL);
    uint64_t commands = 0;
    OK(nullNotify(user, calls_back, q));
    OK(nullSetEvent(user, 0));
    await(1);
    OK(nullGetQueueInfo(q, NULL_QUEUE_COMMANDS, sizeof commands, &commands, NULL));
    say("%d %lu", notes[0].status, commands);
    OK(nullReleaseQueue(q));
}

static void log_one(int32_t level, const char *text)
{
    say("one %d [%s]", level, text);
}

static void log_two(int32_t level, const char *text)
{
    say("two %d %zu", level, strlen(text));
}

static void loggers(void)
{
    char text[600];
    memset(text, 'x', sizeof text);
    text[599] = 0;
    CALL(nullLog(0, "nobody hears"));
    CALL(nullSetLogger(log_one));
    CALL(nullLog(1, "first"));
    CALL(nullLog(-5, ""));
    CALL(nullLog(0, NULL));
    CALL(nullSetLogger(log_two));
    CALL(nullLog(2, "second"));
    CALL(nullLog(3, text));
    CALL(nullSetLogger(NULL));
    CALL(nullLog(4, "nobody hears"));
    CALL(nullSetLogger(log_one));
    CALL(nullLog(5, "again"));
}

static int compared;

static int32_t by_value(const int32_t *a, const int32_t *b, void *cookie)
{
    compared++;
    return (*a > *b) - (*a < *b) + 0 * *(int *)cookie;
}

static int32_t backwards(const int32_t *a, const int32_t *b, void *cookie)
{
    return by_value(b, a, cookie);
}

static void sorting(void)
{
    int32_t values[40];
    int zero = 0;
    for (int i = 0; i < 40; i++)
        values[i] = (i * 17) % 40 - 20;
    CALL(nullSort(values, 40, by_value, &zero));
    say("%d comparisons, %d %d %d", compared, values[0], values[20], values[39]);
    CALL(nullSort(values, 40, backwards, &zero));
    say("%d comparisons, %d %d %d", compared, values[0], values[20], values[39]);
    CALL(nullSort(values, 0, by_value, &zero));
    CALL(nullSort(NULL, 2, by_value, &zero));
    CALL(nullSort(values, 2, NULL, NULL));
}

static bool until(uint32_t index, double value, void *cookie)
{
    say("%u %g", index, value);
    return index < *(uint32_t *)cookie;
}

static void each(void)
{
    uint32_t limit = 3, done = 0;
    CALL(nullEach(10, until, &limit, &done));
    say("%u", done);
    CALL(nullEach(2, until, &limit, &done));
    say("%u", done);
    CALL(nullEach(2, NULL, NULL, &done));
    CALL(nullEach(0, until, &limit, &done));
}

/* A callback that is waited for calls the API, and what it calls posts a callback. */
static bool inside(uint32_t index, double value, void *cookie)
{
    nullQueue q = cookie;
    nullEvent user = nullCreateEvent(q, NULL);
    (void)value;
    OK(nullNotify(user, note, (void *)(intptr_t)index));
    OK(nullSetEvent(user, 0));
    OK(nullReleaseEvent(user));
    return true;
}

static void nested(void)
{
    nullQueue q = t_queue();
    uint32_t done = 0;
    CALL(nullEach(5, inside, q, &done));
    await(5);
    say("%u, %d notes", done, atomic_load(&n_notes));
    OK(nullReleaseQueue(q));
}

const struct t_test callbacks_tests[] = {{"notify", notify},   {"in_order", in_order}, {"sees_data", sees_data}, {"calling_back", calling_back},
                                         {"loggers", loggers}, {"sorting", sorting},   {"each", each},           {"nested", nested},
                                         {NULL, NULL}};
