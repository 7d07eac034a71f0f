/*
 * Many guests of the null API at once, each a process of its own, and neighbours of several kinds.
 *
 *     crowd idle N            N guests, each makes a call and waits; once its input ends each makes another and goes
 *     crowd active N SECONDS  N guests that call without a pause, and check every answer
 *     crowd storm N SECONDS   N at a time come, call, and go in one way or another
 *     crowd garbage SECONDS   one that sends hirad what is no HELLO, over and over
 *     crowd reconnect SECONDS one that connects, makes a call and leaves, over and over
 *     crowd quota SECONDS     one that takes all lanes and memory that it can get, and goes on asking
 *     crowd flood SECONDS     one that posts calls faster than they can be served
 *     crowd hog SECONDS       one that computes
 *
 * Prints a line: "ready N" of idle; "done CALLS WRONG REFUSED" of all. A wrong answer ends it with 1.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "null.h"

static struct shared {
    _Atomic long ready, calls, wrong, refused;
} * shared;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* 0 right, 1 wrong, else refused. */
static int one_call(uint32_t seed)
{
    unsigned char data[16];
    static uint64_t expected[256];
    uint64_t sum = 0;
    memset(data, (int)(seed & 255), sizeof data);
    nullStatus status = nullSumBytes(data, sizeof data, &sum);
    if (status)
        return status == NULL_ERROR_LOST ? 2 : 1;
    if (!expected[seed & 255])
        expected[seed & 255] = sum;
    int32_t a = (int32_t)(seed & 0xffff);
    return sum != expected[seed & 255] || nullAdd32(a, 3) != a + 3;
}

static void count(int result)
{
    atomic_fetch_add(&shared->calls, result == 0);
    atomic_fetch_add(&shared->wrong, result == 1);
    atomic_fetch_add(&shared->refused, result == 2);
}

static int idle(int go)
{
    char byte;
    count(one_call(1));
    atomic_fetch_add(&shared->ready, 1);
    while (read(go, &byte, 1) < 0 && errno == EINTR)
        ;
    count(one_call(2));
    return 0;
}

static int active(double seconds)
{
    double end = now() + seconds;
    long calls = 0;
    int result = 0;
    while (result == 0 && now() < end)
        for (uint32_t i = 0; i < 100 && result == 0; i++, calls++)
            result = one_call(i);
    atomic_fetch_add(&shared->calls, calls * 2);
    if (result)
        count(result);
    return 0;
}

static void *some_calls(void *unused)
{
    for (uint32_t i = 0; i < 50; i++)
        one_call(i);
    return unused;
}

/* Comes, and goes in one of the ways that programs go. */
static _Noreturn void visit(unsigned way)
{
    pthread_t t;
    count(one_call(way));
    switch (way % 6) {
    case 0:
        exit(0);
    case 1:
        raise(SIGKILL);
        _exit(1);
    case 2:
        _exit(0);
    case 3:
        if (!pthread_create(&t, NULL, some_calls, NULL))
            pthread_join(t, NULL);
        exit(0);
    case 4: /* in the middle of a call of another thread */
        pthread_create(&t, NULL, some_calls, NULL);
        usleep(way % 300);
        _exit(0);
    default: /* with a child that outlives it */
        if (fork() == 0) {
            usleep(2000);
            count(one_call(way));
        }
        _exit(0);
    }
}

static int storm(double seconds)
{
    double end = now() + seconds;
    unsigned seed = (unsigned)getpid();
    while (now() < end) {
        pid_t pid = fork();
        if (pid == 0)
            visit((unsigned)rand_r(&seed) + (unsigned)getpid());
        if (pid > 0)
            waitpid(pid, NULL, 0);
        seed++;
    }
    return 0;
}

static int garbage(double seconds)
{
    double end = now() + seconds;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    static char data[65536];
    snprintf(address.sun_path, sizeof address.sun_path, "%s", getenv("HIRA_SOCKET"));
    for (unsigned n = 0; now() < end; n++) {
        int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
        if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0) {
            for (size_t i = 0; i < 64; i++)
                data[i] = (char)(n * 31 + i);
            if (n % 2)
                memcpy(data, "ARIH", 4);
            atomic_fetch_add(&shared->calls, send(fd, data, n % 3 ? sizeof data : 48, MSG_NOSIGNAL) > 0);
            if (n % 4 == 0)
                recv(fd, data, sizeof data, 0);
        }
        if (fd >= 0)
            close(fd);
    }
    return 0;
}

static int reconnect(double seconds)
{
    double end = now() + seconds;
    while (now() < end) {
        pid_t pid = fork();
        if (pid == 0) {
            count(one_call(1));
            _exit(0);
        }
        if (pid > 0)
            waitpid(pid, NULL, 0);
    }
    return 0;
}

static atomic_bool stop;

static void *hold(void *unused)
{
    while (!atomic_load(&stop)) {
        one_call(1);
        usleep(100000);
    }
    return unused;
}

static int quota(double seconds)
{
    double end = now() + seconds;
    nullDevice devices[NULL_DEVICES];
    uint32_t n = NULL_DEVICES;
    nullStatus status = nullGetDevices(&n, devices);
    nullQueue queue = status ? NULL : nullCreateQueue(devices[0], 1, &status);
    pthread_t t[540];
    int threads = 0;
    while (threads < 540 && !pthread_create(&t[threads], NULL, hold, NULL))
        threads++;
    while (queue && now() < end) {
        nullBuffer buffer = nullCreateBuffer(queue, 1u << 20, "full", &status);
        atomic_fetch_add(&shared->refused, !buffer || nullPoke(buffer, 0, 1) != 0);
        nullDestroyBuffer(buffer);
        atomic_fetch_add(&shared->calls, 1);
    }
    atomic_store(&stop, true);
    for (int i = 0; i < threads; i++)
        pthread_join(t[i], NULL);
    return 0;
}

static int flood(double seconds)
{
    double end = now() + seconds;
    while (now() < end)
        for (int i = 0; i < 1000; i++)
            nullPost(1, 2, 3, 4);
    return 0;
}

static int hog(double seconds)
{
    double end = now() + seconds;
    volatile long n = 0;
    while (now() < end)
        for (int i = 0; i < 1000; i++)
            n++;
    return 0;
}

static int run(const char *what, int go, double seconds)
{
    static const struct {
        const char *name;
        int (*run)(double);
    } kinds[] = {{"active", active}, {"storm", storm}, {"garbage", garbage}, {"reconnect", reconnect},
                 {"quota", quota},   {"flood", flood}, {"hog", hog}};
    if (!strcmp(what, "idle"))
        return idle(go);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (!strcmp(what, kinds[i].name))
            return kinds[i].run(seconds);
    return 2;
}

int main(int argc, char **argv)
{
    int go[2];
    if (argc < 3 || pipe(go) < 0)
        return 2;
    bool many = !strcmp(argv[1], "idle") || !strcmp(argv[1], "active") || !strcmp(argv[1], "storm");
    long n = many ? atol(argv[2]) : 1;
    double seconds = atof(argv[argc - 1]);
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    for (long i = 0; i < n; i++) {
        pid_t parent = getpid(), pid = fork();
        if (pid == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            close(go[1]);
            _exit(getppid() == parent ? run(argv[1], go[0], seconds) : 1);
        }
        if (pid < 0)
            return 1;
    }
    close(go[0]);
    if (!strcmp(argv[1], "idle")) {
        char byte;
        while (atomic_load(&shared->ready) < n)
            usleep(10000);
        printf("ready %ld\n", n);
        fflush(stdout);
        while (read(STDIN_FILENO, &byte, 1) > 0)
            ;
        close(go[1]);
    }
    int failed = 0;
    for (int status; wait(&status) > 0;)
        failed += status != 0;
    printf("done %ld %ld %ld\n", atomic_load(&shared->calls), atomic_load(&shared->wrong),
           atomic_load(&shared->refused));
    return failed || atomic_load(&shared->wrong) ? 1 : 0;
}
