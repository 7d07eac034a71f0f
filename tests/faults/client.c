/*
 * A program over the null API that does what its standard input says, a word a line, and answers each with a line:
 *
 *     WORD STATUS MILLISECONDS [what more there is to say]
 *
 * STATUS is a nullStatus, 1 where an answer was wrong. It ends as any program does, with 0, at the end of its input.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "null.h"

enum { WRONG = 1 };

static double now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static void nap(long ms)
{
    struct timespec t = {ms / 1000, ms % 1000 * 1000000};
    while (nanosleep(&t, &t) < 0 && errno == EINTR)
        ;
}

/* ---- words: each takes a number ---- */

static int sum(long n)
{
    static const unsigned char data[] = {1, 2, 3, 250};
    static uint64_t expected;
    for (long i = 0; i < (n ? n : 1); i++) {
        uint64_t value = 0;
        nullStatus status = nullSumBytes(data, sizeof data, &value);
        if (status)
            return status;
        if (!expected)
            expected = value;
        if (value != expected)
            return WRONG;
    }
    return 0;
}

static int block(long us)
{
    return nullBlock((uint32_t)us);
}

static int die(long how)
{
    nullDie((int)how);
    return sum(0);
}

static int post(long n)
{
    for (long i = 0; i < n; i++)
        nullPost(1, 2, 3, 4);
    return sum(0);
}

static nullQueue queue_of(int *status)
{
    nullStatus s = NULL_ERROR_LOST;
    nullDevice devices[NULL_DEVICES];
    uint32_t n = NULL_DEVICES;
    *status = nullGetDevices(&n, devices);
    nullQueue queue = *status ? NULL : nullCreateQueue(devices[0], 1, &s);
    *status = *status ? *status : s;
    return queue;
}

/* A write of so many MiB, which goes through a stream, and back. */
static int transfer(long mib)
{
    size_t size = (size_t)mib << 20;
    int status;
    nullQueue queue = queue_of(&status);
    nullStatus s = 0;
    nullBuffer buffer = status ? NULL : nullCreateBuffer(queue, size, NULL, &s);
    unsigned char *data = buffer ? malloc(size) : NULL;
    if (status || s || !data)
        return status ? status : s ? (int)s : NULL_ERROR_MEMORY;
    memset(data, 0x5a, size);
    status = nullWrite(queue, buffer, true, 0, size, data, 0, NULL, NULL);
    memset(data, 0, size);
    if (!status)
        status = nullRead(queue, buffer, true, 0, size, data, 0, NULL, NULL);
    if (!status && (data[0] != 0x5a || data[size - 1] != 0x5a || memcmp(data, data + 1, size - 1) != 0))
        status = WRONG;
    free(data);
    nullDestroyBuffer(buffer);
    nullReleaseQueue(queue);
    return status;
}

/* The vendor allocates so many MiB for us, touches them, and nobody gives them back. */
static int hoard(long mib)
{
    int status;
    nullQueue queue = queue_of(&status);
    for (long i = 0; i < mib && !status; i += 16) {
        nullStatus s = 0;
        size_t size = 16u << 20;
        nullBuffer buffer = nullCreateBuffer(queue, size, NULL, &s);
        for (size_t at = 0; at < size && !s; at += 4096)
            s = nullPoke(buffer, at / 8, 1);
        uint64_t value;
        status = s ? s : nullPeek(buffer, 0, &value);
    }
    return status;
}

/* Waits for an event that only we could set. */
static int wait_event(long unused)
{
    (void)unused;
    int status;
    nullQueue queue = queue_of(&status);
    nullStatus s = 0;
    nullEvent event = status ? NULL : nullCreateEvent(queue, &s);
    return status ? status : s ? (int)s : nullWaitEvents(1, &event);
}

static pid_t victim;

static int32_t compare(const int32_t *a, const int32_t *b, void *cookie)
{
    (void)cookie;
    if (victim)
        kill(victim, SIGKILL);
    return (*a > *b) - (*a < *b);
}

static int sort(long pid)
{
    int32_t values[] = {3, 1, 2, 5, 4};
    victim = (pid_t)pid;
    int status = nullSort(values, 5, compare, NULL);
    for (int i = 0; i < 5 && !status; i++)
        status = values[i] == i + 1 ? 0 : WRONG;
    return status;
}

static int32_t compare_slowly(const int32_t *a, const int32_t *b, void *cookie)
{
    nap(*(long *)cookie);
    return (*a > *b) - (*a < *b);
}

static int slow_sort(long ms)
{
    int32_t values[] = {2, 1};
    int status = nullSort(values, 2, compare_slowly, &ms);
    return status ? status : values[0] == 1 ? 0 : WRONG;
}

static atomic_int notified;

static void on_event(nullEvent event, int32_t status, void *cookie)
{
    (void)event;
    (void)status;
    atomic_fetch_add((atomic_int *)cookie, 1);
}

/* A callback for a command that takes so many microseconds. */
static int notify(long us)
{
    int status;
    nullQueue queue = queue_of(&status);
    nullEvent event;
    if (!status)
        status = nullSubmit(queue, (uint32_t)us, 0, NULL, &event);
    if (!status)
        status = nullNotify(event, on_event, &notified);
    return status ? status : nullFinish(queue);
}

static void *blocked(void *us)
{
    return (void *)(intptr_t)nullBlock((uint32_t)(uintptr_t)us);
}

/* As many of n threads as there are to be had, each in a call of so many microseconds. */
static long start(pthread_t *t, long n, unsigned us)
{
    long i = 0;
    while (i < n && !pthread_create(&t[i], NULL, blocked, (void *)(uintptr_t)us))
        i++;
    return i;
}

/* So many threads in a call of a minute at once; how many of them got the API's error for a lost device. */
static int threads(long n)
{
    static pthread_t t[512];
    long lost = 0;
    n = start(t, n, 60000000);
    for (long i = 0; i < n; i++) {
        void *status;
        pthread_join(t[i], &status);
        lost += (intptr_t)status == NULL_ERROR_LOST;
    }
    return lost == n ? NULL_ERROR_LOST : WRONG;
}

/* As many threads, each with a call. 0 when all could, or else the last one's error. */
static int wide(long n)
{
    static pthread_t t[512];
    long started = start(t, n, 20000);
    int status = started < n ? NULL_ERROR_MEMORY : 0;
    for (long i = 0; i < started; i++) {
        void *one;
        pthread_join(t[i], &one);
        status = one ? (int)(intptr_t)one : status;
    }
    return status;
}

/* Ends without a word, so many microseconds into large transfers by four threads. */
static void *transfers(void *unused)
{
    for (;;)
        transfer(8);
    return unused;
}

static int vanish(long us)
{
    pthread_t t;
    for (int i = 0; i < 4; i++)
        pthread_create(&t, NULL, transfers, NULL);
    usleep((useconds_t)us);
    raise(SIGKILL);
    return WRONG;
}

/* Calls of each kind on a device that is lost: every one has to say so. */
static int lost(long unused)
{
    (void)unused;
    uint32_t n = NULL_DEVICES;
    uint64_t v = 5, count;
    double total;
    nullDevice devices[NULL_DEVICES];
    nullStatus status = NULL_SUCCESS;
    int32_t values[] = {2, 1};
    char text[64];
    nullParam param = {.kind = NULL_KIND_INT, .value.integer = 7};
    bool all = nullGetDevices(&n, devices) == NULL_ERROR_LOST && nullPosted(&count, &total) == NULL_ERROR_LOST &&
               nullSumBytes("abc", 3, &v) == NULL_ERROR_LOST && v == 5 && nullAdd32(1, 2) == 0 &&
               nullVecAdd((nullVec3){1, 1, 1}, (nullVec3){1, 1, 1}).x == 0 && !nullErrorName(NULL_SUCCESS) &&
               nullBlock(1) == NULL_ERROR_LOST && nullSort(values, 2, compare, NULL) == NULL_ERROR_LOST &&
               !nullCreateQueue(NULL, 0, &status) && status == NULL_ERROR_LOST &&
               nullDescribe(&param, 1, text, sizeof text, NULL) == NULL_ERROR_LOST && nullGetTable(1) != NULL &&
               nullGetTable(1)->multiply(2, 3) == 0;
    for (int i = 0; i < 20000; i++)
        nullPost(1, 2, 3, 4);
    nullNop();
    return all ? NULL_ERROR_LOST : WRONG;
}

/* Everything once; each call may fail, none may be wrong. The first error. */
static int all(long unused)
{
    (void)unused;
    static int (*const words[])(long) = {sum, post, block, transfer, sort, notify, wide};
    static const long arguments[] = {3, 200, 100, 2, 0, 100, 3};
    int status = 0;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        int one = words[i](arguments[i]);
        if (one == WRONG)
            return WRONG;
        status = status ? status : one;
    }
    return status;
}

static int child(long unused)
{
    (void)unused;
    pid_t pid = fork();
    int status = WRONG;
    if (pid == 0)
        _exit(sum(1) ? 1 : 0);
    if (pid > 0)
        waitpid(pid, &status, 0);
    return status ? NULL_ERROR_LOST : 0;
}

static const struct {
    const char *name;
    int (*run)(long number);
} words[] = {{"sum", sum},       {"block", block},       {"die", die},
             {"post", post},     {"transfer", transfer}, {"hoard", hoard},
             {"sort", sort},     {"lost", lost},         {"slow_sort", slow_sort},
             {"notify", notify}, {"threads", threads},   {"wait", wait_event},
             {"vanish", vanish}, {"all", all},           {"child", child},
             {"wide", wide}};

int main(void)
{
    static char line[128], answer[256];
    size_t used = 0;
    /* No stdio: it allocates, which must not be what fails. */
    for (ssize_t got; (got = read(STDIN_FILENO, line + used, 1)) == 1;) {
        char name[32] = "";
        long number = 0;
        if (line[used] != '\n') {
            used += used < sizeof line - 2;
            continue;
        }
        line[used] = 0;
        used = 0;
        int status = WRONG;
        char *space = strchr(line, ' ');
        if (space) {
            *space = 0;
            number = strtol(space + 1, NULL, 10);
        }
        snprintf(name, sizeof name, "%.31s", line);
        double begin = now_ms();
        for (size_t i = 0; i < sizeof words / sizeof *words; i++)
            if (!strcmp(words[i].name, name))
                status = words[i].run(number);
        int n =
            snprintf(answer, sizeof answer, "%s %d %.1f %d\n", name, status, now_ms() - begin, atomic_load(&notified));
        if (write(STDOUT_FILENO, answer, (size_t)n) != n)
            return 1;
    }
    return 0;
}
