/* Forks, and a server that dies: the application gets failure values and lives. What has no native counterpart is skipped there.
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>

#include "t.h"

static void child_ended(pid_t pid)
{
    int status = -1;
    CHECK(waitpid(pid, &status, 0) == pid);
    say("child %d", status);
}

static void forked(void)
{
    nullQueue q = t_queue();
    nullBuffer b = t_buffer(q, 64);
    uint64_t v = 0;
    OK(nullPoke(b, 0, 42));
    for (int i = 0; i < 3; i++) {
        pid_t pid = fork();
        if (pid == 0) {
            nullQueue own = t_queue();
            nullBuffer buffer = t_buffer(own, 64);
            OK(nullPoke(buffer, 0, 7));
            OK(nullPeek(buffer, 0, &v));
            CHECK(v == 7);
            OK(nullSumBytes(&v, 8, &v));
            _exit(0);
        }
        child_ended(pid);
        OK(nullPeek(b, 0, &v));
        say("%lu", v);
    }
    OK(nullDestroyBuffer(b));
    OK(nullReleaseQueue(q));
}

static void forked_first(void)
{
    pid_t pid = fork();
    if (pid == 0) {
        say("%d", nullAdd32(1, 2));
        _exit(0);
    }
    child_ended(pid);
    say("%d", nullAdd32(3, 4));
}

#ifdef UNDER_HIRA
static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void after_death(nullQueue q, nullBuffer b)
{
    uint64_t v = 5;
    uint32_t n = 3;
    char data[8] = "";
    nullDevice devices[3];
    nullVec3 vector = nullVecAdd((nullVec3){1, 1, 1}, (nullVec3){1, 1, 1});
    CHECK(vector.x == 0 && nullAdd32(1, 2) == 0 && !nullDeviceName(NULL) && !nullErrorName(NULL_SUCCESS));
    CHECK(nullPeek(b, 0, &v) == NULL_ERROR_LOST && v == 5);
    CHECK(nullPoke(b, 0, 1) == NULL_ERROR_LOST);
    CHECK(nullGetDevices(&n, devices) == NULL_ERROR_LOST);
    CHECK(nullWrite(q, b, false, 0, 8, data, 0, NULL, NULL) == NULL_ERROR_LOST);
    CHECK(nullFinish(q) == NULL_ERROR_LOST);
    nullStatus status = NULL_SUCCESS;
    CHECK(!nullCreateQueue(NULL, 0, &status) && status == NULL_ERROR_LOST);
    for (int i = 0; i < 100000; i++)
        nullPost(1, 2, 3, 4);
    nullNop();
    nullReleaseQueue(q);
}

static void *blocked(void *unused)
{
    CHECK(nullBlock(60 * 1000000) == NULL_ERROR_LOST);
    return unused;
}

static void *posting(void *stop)
{
    while (!atomic_load((atomic_bool *)stop))
        nullPost(1, 2, 3, 4);
    return NULL;
}

/* One thread waits for an answer, one fills its ring, when the server goes. */
static void die(int how)
{
    nullQueue q = t_queue();
    nullBuffer b = t_buffer(q, 64);
    atomic_bool stop = false;
    pthread_t waiting = t_thread(blocked, NULL), filling = t_thread(posting, &stop);
    usleep(50000);
    double begin = seconds();
    nullDie(how);
    t_join(waiting);
    atomic_store(&stop, true);
    t_join(filling);
    CHECK(seconds() - begin < 3);
    after_death(q, b);
    say("alive");
    pthread_t late = t_thread(blocked, NULL);
    t_join(late);
    pid_t pid = fork(); /* a child begins anew */
    if (pid == 0) {
        CHECK(nullAdd32(1, 2) == 3);
        _exit(0);
    }
    child_ended(pid);
}

static void killed(void)
{
    die(SIGKILL);
}

static void crashed(void)
{
    die(SIGSEGV);
}

static void exited(void)
{
    die(0);
}

static void no_server(void)
{
    setenv("HIRA_SOCKET", "/nonexistent/hira.sock", 1);
    uint32_t n = 2;
    CHECK(nullGetDevices(&n, NULL) == NULL_ERROR_LOST && nullAdd32(1, 1) == 0);
    say("failure values");
}

static void bad_server(void)
{
    setenv("HIRA_SERVER", "1", 1); /* inside a server the library offers nothing */
    uint32_t n = 2;
    CHECK(nullGetDevices(&n, NULL) == NULL_ERROR_LOST);
    say("nothing inside a server");
}

/* No descriptor is left behind in a program that runs another. */
static void descriptors(void)
{
    OK(nullBlock(0));
    pid_t pid = fork();
    if (pid == 0) {
        execl("/bin/sh", "sh", "-c", "ls /proc/self/fd | wc -l", (char *)NULL);
        _exit(1);
    }
    child_ended(pid);
}

/* More threads than lanes: the API's error, not a hang. */
static pthread_barrier_t barrier;
static atomic_int refused;

static void *hold_lane(void *unused)
{
    uint64_t count;
    double sum;
    if (nullPosted(&count, &sum) == NULL_ERROR_LOST)
        atomic_fetch_add(&refused, 1);
    pthread_barrier_wait(&barrier);
    return unused;
}

static void lanes(void)
{
    enum { N = 530 };
    static pthread_t t[N];
    pthread_barrier_init(&barrier, NULL, N + 1);
    for (int i = 0; i < N; i++)
        t[i] = t_thread(hold_lane, NULL);
    pthread_barrier_wait(&barrier);
    for (int i = 0; i < N; i++)
        t_join(t[i]);
    CHECK(atomic_load(&refused) >= 530 - 512 && atomic_load(&refused) < 30);
    OK(nullBlock(0));
    say("%d refused", atomic_load(&refused) > 0);
}
#define ONLY_HIRA(name)
#else
#define ONLY_HIRA(name)                                                                                                \
    static void name(void)                                                                                             \
    {                                                                                                                  \
        t_skip("has no native counterpart");                                                                           \
    }
#endif
ONLY_HIRA(killed)
ONLY_HIRA(crashed)
ONLY_HIRA(exited)
ONLY_HIRA(no_server)
ONLY_HIRA(bad_server)
ONLY_HIRA(descriptors)
ONLY_HIRA(lanes)

const struct t_test faults_tests[] = {{"forked", forked},       {"forked_first", forked_first}, {"killed", killed},         {"crashed", crashed},
                                      {"exited", exited},       {"no_server", no_server},       {"bad_server", bad_server}, {"descriptors", descriptors},
                                      {"lanes", lanes},         {NULL, NULL}};
