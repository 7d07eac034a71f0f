/* Functions of the application that the vendor calls: posted, waited for with a result, without a cookie, calling back.
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0 */
#include <sys/wait.h>
#include <unistd.h>

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

static pthread_t caller;

static int32_t by_caller(const int32_t *a, const int32_t *b, void *cookie)
{
    CHECK(pthread_equal(pthread_self(), caller));
    return by_value(a, b, cookie);
}

/* Sorts with a comparison that sorts, and so on. */
struct level {
    uint32_t depth, most;
    int calls;
};

static bool deeper(uint32_t index, double value, void *cookie)
{
    struct level *level = cookie;
    int32_t values[] = {3, 1, 2};
    uint32_t done = 0;
    int zero = 0;
    (void)value;
    level->calls++;
    CHECK(pthread_equal(pthread_self(), caller));
    OK(nullSort(values, 3, by_caller, &zero));
    CHECK(values[0] == 1 && values[1] == 2 && values[2] == 3);
    if (level->depth < level->most) {
        level->depth++;
        OK(nullEach(2, deeper, level, &done));
        level->depth--;
        CHECK(done == 2);
    }
    return index < 5;
}

/* Callbacks that are waited for, inside of such, run where they run natively: on the thread that made the call. */
static void inside_each_other(void)
{
    struct level level = {.most = 6};
    uint32_t done = 0;
    caller = pthread_self();
    CALL(nullEach(2, deeper, &level, &done));
    say("%d calls, %d comparisons", level.calls, compared);
}

static bool ends_thread(uint32_t index, double value, void *cookie)
{
    (void)value, (void)cookie;
    if (index == 1)
        pthread_exit(NULL);
    return true;
}

static void *in_a_thread(void *unused)
{
    uint32_t done;
    (void)unused;
    nullEach(3, ends_thread, NULL, &done);
    say("not reached");
    return NULL;
}

/* A thread that ends inside of a callback; the next one has a good lane. */
static void thread_ends_inside(void)
{
    for (int i = 0; i < 5; i++)
        t_join(t_thread(in_a_thread, NULL));
    each();
}

static bool forks(uint32_t index, double value, void *cookie)
{
    pid_t *child = cookie;
    (void)value;
    if (index == 1)
        *child = fork();
    return true;
}

/* A callback that forks: the parent's call goes on; the child's cannot, and what it does next is its own. */
static void forking_inside(void)
{
    uint32_t done = 0, seen = 0;
    pid_t child = -1;
    int status = -1;
    nullStatus s = nullEach(3, forks, &child, &done);
    if (child == 0) {
        bool fine = (s == NULL_SUCCESS || s == NULL_ERROR_LOST) && nullAdd32(2, 3) == 5 && !nullEach(1, ends_thread, NULL, &seen);
        _exit(fine ? 0 : 1);
    }
    CHECK(child > 0 && waitpid(child, &status, 0) == child);
    say("%d %u, child %x", s, done, status);
}

static nullVec3 sums[2];

static void add_up(nullVec3 a, nullLimits limits, nullKind kind, void *cookie)
{
    nullVec3 *sum = cookie;
    say("%g %g %g, %u %u %u %lu %g %d, %d", a.x, a.y, a.z, limits.lanes, limits.width, limits.height, (unsigned long)limits.bytes,
        limits.ratio, limits.exact, kind);
    *sum = nullVecAdd(*sum, a);
}

static nullVec3 twice(nullVec3 a, void *cookie)
{
    *(int *)cookie += 1;
    return nullVecAdd(a, a);
}

/* Structs by value as arguments and results of callbacks. */
static void structs(void)
{
    const nullVec3 points[] = {{1, 2, 3}, {-4, 5.5f, 0}, {0.25f, 1e10f, -1}};
    nullVec3 out[3];
    int calls = 0;
    CALL(nullVisit(points, 3, add_up, &sums[0]));
    say("%g %g %g", sums[0].x, sums[0].y, sums[0].z);
    CALL(nullMap(points, 3, twice, &calls, out));
    say("%d: %g %g %g, %g %g %g", calls, out[0].x, out[0].y, out[0].z, out[2].x, out[2].y, out[2].z);
    CALL(nullVisit(points, 3, NULL, NULL));
    CALL(nullMap(NULL, 3, twice, &calls, out));
}

static void tell(nullAttribute a, void *cookie)
{
    nullQueue *q = cookie;
    size_t i = (size_t)(a.kind - NULL_ATTRIBUTE_COUNT);
    const bool as_it_is[] = {a.value.count == 0x1122334455667788, a.value.device == t_device(), a.value.queue == *q,
                             a.value.place.device == t_device() && a.value.place.slot == 7};
    say("%d %d, owner %s", a.kind, as_it_is[i], a.owner ? nullDeviceName(a.owner) : "none");
}

/* Unions in structs that the vendor hands over: of the live member a handle is the application's. */
static void unions(void)
{
    nullQueue q = t_queue();
    nullAttribute all[6];
    uint32_t n = 0;
    memset(all, 0x5a, sizeof all);
    CALL(nullGetAttributes(q, 6, all, &n));
    for (uint32_t i = 0; i < n; i++)
        tell(all[i], &q);
    say("%u, behind %016lx %016lx", n, (unsigned long)all[4].value.count, (unsigned long)(uintptr_t)all[5].owner);
    CALL(nullGetAttributes(q, 2, all, &n));
    CALL(nullGetAttributes(q, 2, NULL, &n));
    CALL(nullGetAttributes(NULL, 2, all, &n));
    CALL(nullTell(q, tell, &q));
    CALL(nullTell(q, NULL, NULL));
    CALL(nullFinish(all[1].value.queue ? q : NULL));
    OK(nullReleaseQueue(q));
}

const struct t_test callbacks_tests[] = {{"notify", notify},   {"in_order", in_order}, {"sees_data", sees_data}, {"calling_back", calling_back},
                                         {"loggers", loggers}, {"sorting", sorting},   {"each", each},           {"nested", nested},
                                         {"inside_each_other", inside_each_other}, {"thread_ends_inside", thread_ends_inside},
                                         {"forking_inside", forking_inside}, {"structs", structs}, {"unions", unions}, {NULL, NULL}};
