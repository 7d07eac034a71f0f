/*
 * OpenCL conformance: threads. Litmus tests: what a call that has returned did is seen by a call that begins later in
 * any other thread; and many threads that come and go. SPDX-License-Identifier: Apache-2.0
 *
 * Threads hand over by an atomic counter (`turn`), so that nothing but the calls themselves and the hand-over orders
 * them. The results are CHECKed: the transcript only says how far a test came.
 */
#include "t.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <unistd.h>

enum { N = 64, BYTES = N * (int)sizeof(cl_int), ROUNDS = 200 };

/* What the threads of one litmus test share. */
static struct {
    struct t_cl cl;
    cl_command_queue other;
    cl_mem buffer;
    cl_kernel kernel;
    cl_program program;
    cl_event event;
    atomic_int turn;
} s;

static void wait_turn(int turn)
{
    while (atomic_load(&s.turn) != turn)
        sched_yield();
}

static void next_turn(void)
{
    atomic_fetch_add(&s.turn, 1);
}

static void setup(void)
{
    s.cl = t_open();
    s.other = GET(clCreateCommandQueueWithProperties(s.cl.context, s.cl.device, NULL, &t_error));
    s.buffer = t_ints(&s.cl, N);
    s.kernel = t_kernel(&s.cl, "inc");
    atomic_store(&s.turn, 0);
}

static void teardown(void)
{
    OK(clReleaseKernel(s.kernel));
    OK(clReleaseMemObject(s.buffer));
    OK(clReleaseCommandQueue(s.other));
    t_close(&s.cl);
}

static pthread_t start(void *(*run)(void *), void *arg)
{
    pthread_t thread;

    CHECK(pthread_create(&thread, NULL, run, arg) == 0);
    return thread;
}

/* Runs n threads, the k-th of them n-periodic in turns: in round r it acts at turn r * n + k. */
static void play(void *(*const *players)(void *), int n)
{
    pthread_t threads[4];

    setup();
    for (int i = 0; i < n; i++)
        threads[i] = start(players[i], NULL);
    for (int i = 0; i < n; i++)
        pthread_join(threads[i], NULL);
    teardown();
    t_say("%d rounds of %d threads", ROUNDS, n);
}

#define ROUND_OF(n, k) for (int round = 0; round < ROUNDS && (wait_turn(round * (n) + (k)), 1); round++, next_turn())

static void fill(cl_command_queue queue, cl_mem buffer, cl_int value, cl_event *event)
{
    OK(clEnqueueFillBuffer(queue, buffer, &value, sizeof value, 0, BYTES, 0, NULL, event));
}

static cl_int first_of(cl_command_queue queue, cl_mem buffer)
{
    cl_int value = -1;

    OK(clEnqueueReadBuffer(queue, buffer, CL_TRUE, 0, sizeof value, &value, 0, NULL, NULL));
    return value;
}

static void enqueue_kernel(cl_command_queue queue)
{
    size_t global = N;

    OK(clEnqueueNDRangeKernel(queue, s.kernel, 1, NULL, &global, NULL, 0, NULL, NULL));
}

/* A's blocking write has returned; B's kernel, on another queue, names the buffer by its argument only. */
static void *write_kernel_a(void *arg)
{
    cl_int values[N];
    ROUND_OF(2, 0)
    {
        for (int i = 0; i < N; i++)
            values[i] = round;
        OK(clEnqueueWriteBuffer(s.cl.queue, s.buffer, CL_TRUE, 0, BYTES, values, 0, NULL, NULL));
        OK(clFinish(s.cl.queue));
    }
    return arg;
}

static void *write_kernel_b(void *arg)
{
    OK(clSetKernelArg(s.kernel, 0, sizeof s.buffer, &s.buffer));
    ROUND_OF(2, 1)
    {
        enqueue_kernel(s.other);
        CHECK(first_of(s.other, s.buffer) == round + 1);
    }
    return arg;
}

static void write_kernel(void)
{
    play((void *(*const[])(void *)){write_kernel_a, write_kernel_b}, 2);
}

/* A writes, B finishes the same queue, and reads through the other. */
static void *write_finish_a(void *arg)
{
    ROUND_OF(2, 0)
    {
        cl_int value = round;
        OK(clEnqueueWriteBuffer(s.cl.queue, s.buffer, round % 2, 0, sizeof value, &value, 0, NULL, NULL));
        value = -1; /* a write that does not block may look at it until B's clFinish */
        if (!(round % 2))
            OK(clEnqueueWriteBuffer(s.cl.queue, s.buffer, CL_TRUE, 0, sizeof round, &round, 0, NULL, NULL));
    }
    return arg;
}

static void *write_finish_b(void *arg)
{
    ROUND_OF(2, 1)
    {
        OK(clFinish(s.cl.queue));
        CHECK(first_of(s.other, s.buffer) == round);
    }
    return arg;
}

static void write_finish(void)
{
    play((void *(*const[])(void *)){write_finish_a, write_finish_b}, 2);
}

/* A creates, B uses and releases. */
static void *create_a(void *arg)
{
    ROUND_OF(2, 0)
    {
        cl_int value = round;
        OK(clReleaseMemObject(s.buffer));
        s.buffer = GET(clCreateBuffer(s.cl.context, CL_MEM_COPY_HOST_PTR, sizeof value, &value, &t_error));
    }
    return arg;
}

static void *create_b(void *arg)
{
    ROUND_OF(2, 1)
    {
        CHECK(first_of(s.cl.queue, s.buffer) == round);
        OK(clReleaseMemObject(s.buffer));
        s.buffer = GET(clCreateBuffer(s.cl.context, 0, BYTES, NULL, &t_error));
    }
    return arg;
}

static void create(void)
{
    play((void *(*const[])(void *)){create_a, create_b}, 2);
}

/* A enqueues without waiting, B reads through the same in-order queue. */
static void *enqueue_a(void *arg)
{
    ROUND_OF(2, 0) fill(s.cl.queue, s.buffer, round, NULL);
    return arg;
}

static void *enqueue_b(void *arg)
{
    ROUND_OF(2, 1) CHECK(first_of(s.cl.queue, s.buffer) == round);
    return arg;
}

static void enqueue(void)
{
    play((void *(*const[])(void *)){enqueue_a, enqueue_b}, 2);
}

/* A writes from its own memory without waiting, which lives until the next round. */
static void *write_a(void *arg)
{
    static cl_int data[2][N];

    ROUND_OF(2, 0)
    {
        for (int i = 0; i < N; i++)
            data[round % 2][i] = round + i;
        OK(clEnqueueWriteBuffer(s.cl.queue, s.buffer, CL_FALSE, 0, BYTES, data[round % 2], 0, NULL, NULL));
    }
    return arg;
}

static void write_read(void)
{
    play((void *(*const[])(void *)){write_a, enqueue_b}, 2);
}

/* A sets the argument, B enqueues the kernel. */
static void *set_arg_a(void *arg)
{
    ROUND_OF(2, 0)
    {
        OK(clReleaseMemObject(s.buffer));
        s.buffer = GET(clCreateBuffer(s.cl.context, 0, BYTES, NULL, &t_error));
        fill(s.cl.queue, s.buffer, round, NULL);
        OK(clSetKernelArg(s.kernel, 0, sizeof s.buffer, &s.buffer));
    }
    return arg;
}

static void *set_arg_b(void *arg)
{
    ROUND_OF(2, 1)
    {
        enqueue_kernel(s.cl.queue);
        CHECK(first_of(s.cl.queue, s.buffer) == round + 1);
    }
    return arg;
}

static void set_arg(void)
{
    play((void *(*const[])(void *)){set_arg_a, set_arg_b}, 2);
}

/* A's command in one queue, its event awaited by B in the wait list of a command in another. */
static void *event_a(void *arg)
{
    ROUND_OF(2, 0)
    {
        fill(s.cl.queue, s.buffer, round, &s.event);
        OK(clFlush(s.cl.queue));
    }
    return arg;
}

static void *event_b(void *arg)
{
    ROUND_OF(2, 1)
    {
        cl_int value = -1;
        OK(clEnqueueReadBuffer(s.other, s.buffer, CL_TRUE, 0, sizeof value, &value, 1, &s.event, NULL));
        CHECK(value == round);
        OK(clReleaseEvent(s.event));
    }
    return arg;
}

static void event(void)
{
    play((void *(*const[])(void *)){event_a, event_b}, 2);
}

/* A creates a user event and a command behind it, B sets it, A waits. */
static void *user_event_a(void *arg)
{
    ROUND_OF(2, 0)
    {
        s.event = GET(clCreateUserEvent(s.cl.context, &t_error));
        cl_int value = round;
        OK(clEnqueueFillBuffer(s.cl.queue, s.buffer, &value, sizeof value, 0, BYTES, 1, &s.event, NULL));
    }
    return arg;
}

static void *user_event_b(void *arg)
{
    ROUND_OF(2, 1)
    {
        OK(clSetUserEventStatus(s.event, CL_COMPLETE));
        CHECK(first_of(s.cl.queue, s.buffer) == round);
        OK(clReleaseEvent(s.event));
    }
    return arg;
}

static void user_event(void)
{
    play((void *(*const[])(void *)){user_event_a, user_event_b}, 2);
}

/* A maps, writes and unmaps; B reads. */
static void *map_a(void *arg)
{
    ROUND_OF(2, 0)
    {
        cl_int *map =
            GET(clEnqueueMapBuffer(s.cl.queue, s.buffer, CL_TRUE, CL_MAP_WRITE, 0, BYTES, 0, NULL, NULL, &t_error));
        map[0] = round;
        OK(clEnqueueUnmapMemObject(s.cl.queue, s.buffer, map, 0, NULL, NULL));
    }
    return arg;
}

static void map(void)
{
    play((void *(*const[])(void *)){map_a, enqueue_b}, 2);
}

/* A maps without waiting, B waits for the event and reads through A's pointer, then unmaps. */
static cl_int *volatile mapped;

static void *map_event_a(void *arg)
{
    ROUND_OF(2, 0)
    {
        fill(s.cl.queue, s.buffer, round, NULL);
        mapped =
            GET(clEnqueueMapBuffer(s.cl.queue, s.buffer, CL_FALSE, CL_MAP_READ, 0, BYTES, 0, NULL, &s.event, &t_error));
    }
    return arg;
}

static void *map_event_b(void *arg)
{
    ROUND_OF(2, 1)
    {
        OK(clWaitForEvents(1, &s.event));
        CHECK(mapped[N - 1] == round);
        OK(clEnqueueUnmapMemObject(s.cl.queue, s.buffer, mapped, 0, NULL, NULL));
        OK(clReleaseEvent(s.event));
    }
    return arg;
}

static void map_event(void)
{
    play((void *(*const[])(void *)){map_event_a, map_event_b}, 2);
}

/* A reads without waiting, B waits for A's event: the data is in A's memory. */
static cl_int read_back[N];

static void *read_event_a(void *arg)
{
    ROUND_OF(2, 0)
    {
        fill(s.cl.queue, s.buffer, round, NULL);
        OK(clEnqueueReadBuffer(s.cl.queue, s.buffer, CL_FALSE, 0, BYTES, read_back, 0, NULL, &s.event));
        OK(clFlush(s.cl.queue));
    }
    return arg;
}

static void *read_event_b(void *arg)
{
    ROUND_OF(2, 1)
    {
        OK(clWaitForEvents(1, &s.event));
        CHECK(read_back[0] == round && read_back[N - 1] == round);
        OK(clReleaseEvent(s.event));
    }
    return arg;
}

static void read_event(void)
{
    play((void *(*const[])(void *)){read_event_a, read_event_b}, 2);
}

/* The same, but B sees the status by polling. */
static void *read_poll_b(void *arg)
{
    ROUND_OF(2, 1)
    {
        cl_int status = CL_QUEUED;
        while (status != CL_COMPLETE)
            OK(clGetEventInfo(s.event, CL_EVENT_COMMAND_EXECUTION_STATUS, sizeof status, &status, NULL));
        CHECK(read_back[0] == round && read_back[N - 1] == round);
        OK(clReleaseEvent(s.event));
    }
    return arg;
}

static void read_poll(void)
{
    play((void *(*const[])(void *)){read_event_a, read_poll_b}, 2);
}

/* References handed over: A retains, B releases; the count is always as if one thread had done it. */
static void *retain_a(void *arg)
{
    ROUND_OF(2, 0)
    {
        OK(clRetainMemObject(s.buffer));
        OK(clRetainMemObject(s.buffer));
    }
    return arg;
}

static void *retain_b(void *arg)
{
    ROUND_OF(2, 1)
    {
        cl_uint count = 0;
        OK(clReleaseMemObject(s.buffer));
        OK(clGetMemObjectInfo(s.buffer, CL_MEM_REFERENCE_COUNT, sizeof count, &count, NULL));
        CHECK(count == 2);
        OK(clReleaseMemObject(s.buffer));
    }
    return arg;
}

static void retain(void)
{
    play((void *(*const[])(void *)){retain_a, retain_b}, 2);
}

/* Three threads: A fills, B increments, C reads; and C learns of A only through B. */
static void *three_a(void *arg)
{
    ROUND_OF(3, 0) fill(s.cl.queue, s.buffer, round, NULL);
    return arg;
}

static void *three_b(void *arg)
{
    OK(clSetKernelArg(s.kernel, 0, sizeof s.buffer, &s.buffer));
    ROUND_OF(3, 1) enqueue_kernel(s.cl.queue);
    return arg;
}

static void *three_c(void *arg)
{
    ROUND_OF(3, 2) CHECK(first_of(s.cl.queue, s.buffer) == round + 1);
    return arg;
}

static void three(void)
{
    play((void *(*const[])(void *)){three_a, three_b, three_c}, 3);
}

/* B makes no call at all: what A's call did reaches C by the hand-over alone. */
static void *relay_b(void *arg)
{
    ROUND_OF(3, 1) sched_yield();
    return arg;
}

static void *relay_c(void *arg)
{
    ROUND_OF(3, 2) CHECK(first_of(s.cl.queue, s.buffer) == round);
    return arg;
}

static void three_relay(void)
{
    play((void *(*const[])(void *)){three_a, relay_b, relay_c}, 3);
}

/* A fills in one queue, B puts a barrier that waits for A's event into another, C reads there. */
static void *three_event_b(void *arg)
{
    ROUND_OF(3, 1)
    {
        OK(clEnqueueBarrierWithWaitList(s.other, 1, &s.event, NULL));
        OK(clReleaseEvent(s.event));
    }
    return arg;
}

static void *three_event_a(void *arg)
{
    ROUND_OF(3, 0)
    {
        fill(s.cl.queue, s.buffer, round, &s.event);
        OK(clFlush(s.cl.queue));
    }
    return arg;
}

static void *three_event_c(void *arg)
{
    ROUND_OF(3, 2) CHECK(first_of(s.other, s.buffer) == round);
    return arg;
}

static void three_event(void)
{
    play((void *(*const[])(void *)){three_event_a, three_event_b, three_event_c}, 3);
}

/* One thread waits for a user event for as long as another makes calls: nobody blocks anybody else. */
static void *waiter(void *arg)
{
    OK(clWaitForEvents(1, &s.event));
    return arg;
}

static void blocked_while_others_work(void)
{
    pthread_t threads[4];

    setup();
    s.event = GET(clCreateUserEvent(s.cl.context, &t_error));
    for (int i = 0; i < 4; i++)
        threads[i] = start(waiter, NULL);
    for (int i = 0; i < ROUNDS; i++) {
        fill(s.cl.queue, s.buffer, i, NULL);
        CHECK(first_of(s.cl.queue, s.buffer) == i);
    }
    OK(clSetUserEventStatus(s.event, CL_COMPLETE));
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    OK(clReleaseEvent(s.event));
    teardown();
    t_say("done");
}

/* One thread's small job, checked by itself. */
static void *job(void *arg)
{
    cl_int value = (cl_int)(intptr_t)arg;
    cl_mem buffer = GET(clCreateBuffer(s.cl.context, 0, BYTES, NULL, &t_error));

    fill(s.cl.queue, buffer, value, NULL);
    CHECK(first_of(s.cl.queue, buffer) == value);
    OK(clReleaseMemObject(buffer));
    return NULL;
}

static void sequential(void)
{
    setup();
    for (intptr_t i = 0; i < 300; i++)
        pthread_join(start(job, (void *)i), NULL);
    teardown();
    t_say("300 threads one after another");
}

static void *many_jobs(void *arg)
{
    for (int i = 0; i < 20; i++)
        job(arg);
    return NULL;
}

static void concurrent(void)
{
    pthread_t threads[32];

    setup();
    for (intptr_t i = 0; i < 32; i++)
        threads[i] = start(many_jobs, (void *)i);
    for (int i = 0; i < 32; i++)
        pthread_join(threads[i], NULL);
    teardown();
    t_say("32 threads at once");
}

/* Threads that come and go while others stay. */
static void *spawner(void *arg)
{
    for (intptr_t i = 0; i < 20; i++)
        pthread_join(start(job, (void *)i), NULL);
    return arg;
}

static void churn(void)
{
    pthread_t threads[8];

    setup();
    for (int i = 0; i < 8; i++)
        threads[i] = start(i % 2 ? spawner : many_jobs, NULL);
    for (int i = 0; i < 8; i++)
        pthread_join(threads[i], NULL);
    teardown();
    t_say("done");
}

/* Each with a context and queue of its own, all at once. The very first query of devices comes before: natively threads
 * that race for it get CL_DEVICE_NOT_FOUND. */
static void *own_context(void *arg)
{
    struct t_cl cl = t_open();
    cl_mem buffer = t_ints(&cl, N);

    fill(cl.queue, buffer, 5, NULL);
    CHECK(first_of(cl.queue, buffer) == 5);
    OK(clReleaseMemObject(buffer));
    t_close(&cl);
    return arg;
}

static void own_contexts(void)
{
    pthread_t threads[8];
    struct t_cl cl = t_open();

    for (int i = 0; i < 8; i++)
        threads[i] = start(own_context, NULL);
    for (int i = 0; i < 8; i++)
        pthread_join(threads[i], NULL);
    t_close(&cl);
    t_say("8 contexts");
}

/* All into one in-order queue: every command runs, once. */
static void *increments(void *arg)
{
    size_t global = N;

    for (int i = 0; i < 25; i++)
        OK(clEnqueueNDRangeKernel(s.cl.queue, arg, 1, NULL, &global, NULL, 0, NULL, NULL));
    return NULL;
}

static void same_queue(void)
{
    pthread_t threads[4];
    cl_kernel kernels[4];

    setup();
    fill(s.cl.queue, s.buffer, 0, NULL);
    for (int i = 0; i < 4; i++) {
        kernels[i] = t_kernel(&s.cl, "inc");
        OK(clSetKernelArg(kernels[i], 0, sizeof s.buffer, &s.buffer));
        threads[i] = start(increments, kernels[i]);
    }
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    t_show_ints(&s.cl, s.buffer, N);
    for (int i = 0; i < 4; i++)
        OK(clReleaseKernel(kernels[i]));
    teardown();
}

/* The thread is gone before its commands have run. */
static void *leave_commands(void *arg)
{
    static const cl_int data[N] = {31};

    OK(clEnqueueWriteBuffer(s.cl.queue, s.buffer, CL_FALSE, 0, BYTES, data, 1, &s.event, NULL));
    enqueue_kernel(s.cl.queue);
    return arg;
}

static void exit_with_commands(void)
{
    setup();
    s.event = GET(clCreateUserEvent(s.cl.context, &t_error));
    OK(clSetKernelArg(s.kernel, 0, sizeof s.buffer, &s.buffer));
    pthread_join(start(leave_commands, NULL), NULL);
    OK(clSetUserEventStatus(s.event, CL_COMPLETE));
    t_say("first %d", first_of(s.cl.queue, s.buffer));
    OK(clReleaseEvent(s.event));
    teardown();
}

/* A thread-specific destructor calls the API while its thread goes. */
static void last_call(void *value)
{
    cl_uint count = 0;

    OK(clGetMemObjectInfo(value, CL_MEM_REFERENCE_COUNT, sizeof count, &count, NULL));
    t_say("count in the destructor %u", count);
    OK(clReleaseMemObject(value));
}

static pthread_key_t key;

static void *with_key(void *arg)
{
    OK(clRetainMemObject(s.buffer));
    pthread_setspecific(key, s.buffer);
    return arg;
}

static void thread_destructor(void)
{
    setup();
    CHECK(pthread_key_create(&key, last_call) == 0);
    for (int i = 0; i < 3; i++)
        pthread_join(start(with_key, NULL), NULL);
    teardown();
}

static void *small(void *arg)
{
    char name[128];

    OK(clGetDeviceInfo(s.cl.device, CL_DEVICE_NAME, sizeof name, name, NULL));
    job(arg);
    return NULL;
}

static void small_stack(void)
{
    pthread_attr_t attributes;
    pthread_t thread;

    setup();
    pthread_attr_init(&attributes);
    CHECK(pthread_attr_setstacksize(&attributes, 64 * 1024) == 0);
    CHECK(pthread_create(&thread, &attributes, small, NULL) == 0);
    pthread_join(thread, NULL);
    pthread_attr_destroy(&attributes);
    teardown();
    t_say("64 KiB are enough");
}

static void *write_small(void *unused)
{
    for (cl_int i = 1; i <= ROUNDS; i++) {
        wait_turn(2 * i - 1);
        OK(clEnqueueWriteBuffer(s.cl.queue, s.buffer, CL_TRUE, 0, sizeof i, &i, 0, NULL, NULL));
        next_turn();
    }
    return unused;
}

/* A write has returned; then a kernel that waited for an event is let go, by a call that names nothing of the write's. */
static void write_before_user_event(void)
{
    setup();
    size_t one = 1;
    OK(clSetKernelArg(s.kernel, 0, sizeof s.buffer, &s.buffer));
    pthread_t thread = start(write_small, NULL);
    for (cl_int i = 1; i <= ROUNDS; i++) {
        cl_event gate = GET(clCreateUserEvent(s.cl.context, &t_error));
        cl_int value = 0;
        OK(clEnqueueNDRangeKernel(s.other, s.kernel, 1, NULL, &one, NULL, 1, &gate, NULL));
        OK(clFlush(s.other));
        next_turn();
        wait_turn(2 * i);
        OK(clSetUserEventStatus(gate, CL_COMPLETE));
        OK(clEnqueueReadBuffer(s.other, s.buffer, CL_TRUE, 0, sizeof value, &value, 0, NULL, NULL));
        CHECK(value == i + 1);
        OK(clReleaseEvent(gate));
    }
    pthread_join(thread, NULL);
    teardown();
}

static void *mark_behind(void *unused)
{
    for (int i = 1; i <= ROUNDS; i++) {
        wait_turn(2 * i - 1);
        OK(clEnqueueMarkerWithWaitList(s.cl.queue, 1, &s.event, NULL));
        next_turn();
    }
    return unused;
}

/* A write that waits for nothing, beside a command before it in the queue that this thread is going to let go. */
static void write_beside_user_event(void)
{
    setup();
    pthread_t thread = start(mark_behind, NULL);
    for (cl_int i = 1; i <= ROUNDS; i++) {
        s.event = GET(clCreateUserEvent(s.cl.context, &t_error));
        OK(clFinish(s.cl.queue));
        next_turn();
        OK(clEnqueueWriteBuffer(s.cl.queue, s.buffer, CL_FALSE, 0, sizeof i, &i, 0, NULL, NULL));
        OK(clSetUserEventStatus(s.event, CL_COMPLETE));
        wait_turn(2 * i);
        OK(clFinish(s.cl.queue));
        OK(clReleaseEvent(s.event));
    }
    pthread_join(thread, NULL);
    teardown();
}

T_MAIN(T(write_before_user_event), T(write_beside_user_event), T(create), T(write_kernel), T(write_finish), T(enqueue), T(write_read), T(set_arg), T(event), T(user_event), T(map), T(map_event), T(read_event),
       T(read_poll), T(retain), T(three), T(three_relay), T(three_event), T(blocked_while_others_work), T(sequential),
       T(concurrent), T(churn), T(own_contexts), T(same_queue), T(exit_with_commands), T(thread_destructor),
       T(small_stack))
