/*
 * OpenCL conformance: events, user events, callbacks, wait lists, markers, barriers, profiling.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "t.h"

#include <unistd.h>

enum { N = 64 };

static void show(cl_event event)
{
    INFO(T_HANDLE, CL_EVENT_COMMAND_QUEUE, clGetEventInfo, event);
    INFO(T_U32, CL_EVENT_COMMAND_TYPE, clGetEventInfo, event);
    INFO(T_HANDLE, CL_EVENT_CONTEXT, clGetEventInfo, event);
}

static cl_int status_of(cl_event event)
{
    cl_int status = 77;

    OK(clGetEventInfo(event, CL_EVENT_COMMAND_EXECUTION_STATUS, sizeof status, &status, NULL));
    return status;
}

static void fill(const struct t_cl *cl, cl_mem buffer, cl_int value, cl_uint n, const cl_event *wait, cl_event *event)
{
    OK(clEnqueueFillBuffer(cl->queue, buffer, &value, sizeof value, 0, N * sizeof value, n, wait, event));
}

static void CL_CALLBACK on_status(cl_event event, cl_int status, void *user)
{
    (void)event;
    t_log("%s status %d", (const char *)user, status);
}

static void info(void)
{
    struct t_cl cl = t_open();
    cl_mem buffer = t_ints(&cl, N);
    cl_event event;

    fill(&cl, buffer, 1, 0, NULL, &event);
    OK(clWaitForEvents(1, &event));
    show(event);
    INFO(T_U32, CL_EVENT_COMMAND_EXECUTION_STATUS, clGetEventInfo, event);
    INFO_EDGES(CL_EVENT_COMMAND_TYPE, clGetEventInfo, event);
    CALL(clRetainEvent(event));
    CALL(clReleaseEvent(event));
    CALL(clReleaseEvent(event));
    CALL(clRetainEvent(NULL));
    CALL(clReleaseEvent(NULL));
    CALL(clGetEventInfo(NULL, CL_EVENT_COMMAND_TYPE, 0, NULL, NULL));
    OK(clReleaseMemObject(buffer));
    t_close(&cl);
}

static void user_event(void)
{
    struct t_cl cl = t_open();
    cl_event user = MAKE(clCreateUserEvent(cl.context, &t_error));

    show(user);
    t_say("status %d", status_of(user));
    INFO(T_U32, CL_EVENT_REFERENCE_COUNT, clGetEventInfo, user);
    CALL(clSetUserEventStatus(user, CL_SUBMITTED));
    CALL(clSetUserEventStatus(user, CL_RUNNING));
    CALL(clSetUserEventStatus(user, 5));
    CALL(clSetUserEventStatus(user, CL_COMPLETE));
    t_say("status %d", status_of(user));
    CALL(clSetUserEventStatus(user, CL_COMPLETE));
    CALL(clSetUserEventStatus(user, -5));
    CALL(clWaitForEvents(1, &user));
    CALL(clReleaseEvent(user));
    MAKE(clCreateUserEvent(NULL, &t_error));
    CALL(clSetUserEventStatus(NULL, CL_COMPLETE));
    t_close(&cl);
}

static void not_a_user_event(void)
{
    struct t_cl cl = t_open();
    cl_mem buffer = t_ints(&cl, N);
    cl_event event;

    fill(&cl, buffer, 1, 0, NULL, &event);
    CALL(clSetUserEventStatus(event, CL_COMPLETE));
    OK(clFinish(cl.queue));
    OK(clReleaseEvent(event));
    OK(clReleaseMemObject(buffer));
    t_close(&cl);
}

/* A command behind a user event stays queued or submitted until the event is set. */
static void gated(void)
{
    struct t_cl cl = t_open();
    cl_mem buffer = t_ints(&cl, N);
    cl_event gate = GET(clCreateUserEvent(cl.context, &t_error)), event;

    fill(&cl, buffer, 9, 1, &gate, &event);
    OK(clFlush(cl.queue));
    usleep(20000);
    CHECK(status_of(event) >= CL_SUBMITTED);
    CALL(clSetUserEventStatus(gate, CL_COMPLETE));
    CALL(clWaitForEvents(1, &event));
    t_say("status %d", status_of(event));
    t_show_ints(&cl, buffer, N);
    OK(clReleaseEvent(gate));
    OK(clReleaseEvent(event));
    OK(clReleaseMemObject(buffer));
    t_close(&cl);
}

/* A user event that fails takes what waits for it along; the queue itself goes on. */
static void failing_user_event(void)
{
    struct t_cl cl = t_open_queue(CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE);
    cl_mem buffer = t_ints(&cl, N);
    cl_event gate = GET(clCreateUserEvent(cl.context, &t_error)), first, second;

    fill(&cl, buffer, 9, 1, &gate, &first);
    fill(&cl, buffer, 10, 1, &first, &second);
    CALL(clSetUserEventStatus(gate, -42));
    CALL(clWaitForEvents(1, &gate));
    CALL(clWaitForEvents(1, &first));
    CALL(clWaitForEvents(1, &second));
    t_say("gate %d first %d second %d", status_of(gate), status_of(first), status_of(second));
    CALL(clFinish(cl.queue));
    t_show_ints(&cl, buffer, N);
    OK(clReleaseEvent(gate));
    OK(clReleaseEvent(first));
    OK(clReleaseEvent(second));
    OK(clReleaseMemObject(buffer));
    t_close(&cl);
}

/* An event that has failed already: the command is refused or fails. Not a blocking command, and nothing that waits for
 * it: the native library waits for ever. */
static void failed_before(void)
{
    struct t_cl cl = t_open();
    cl_event gate = GET(clCreateUserEvent(cl.context, &t_error));

    OK(clSetUserEventStatus(gate, -42));
    CALL(clEnqueueMarkerWithWaitList(cl.queue, 1, &gate, NULL));
    OK(clReleaseEvent(gate));
    _exit(0); /* so it is the last subtest */
}

static void chain(void)
{
    struct t_cl cl = t_open_queue(CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE);
    cl_mem buffer = t_ints(&cl, N);
    cl_event events[20];

    events[0] = GET(clCreateUserEvent(cl.context, &t_error));
    for (cl_int i = 1; i < (cl_int)COUNT(events); i++)
        fill(&cl, buffer, i, 1, &events[i - 1], &events[i]);
    CALL(clFlush(cl.queue));
    CALL(clSetUserEventStatus(events[0], CL_COMPLETE));
    CALL(clWaitForEvents(COUNT(events), events));
    t_show_ints(&cl, buffer, N);
    for (size_t i = 0; i < COUNT(events); i++)
        OK(clReleaseEvent(events[i]));
    OK(clReleaseMemObject(buffer));
    t_close(&cl);
}

/* Callbacks for each status of one command: they come once each and in the order of the statuses. */
static void callbacks(void)
{
    struct t_cl cl = t_open();
    cl_mem buffer = t_ints(&cl, N);
    cl_event gate = GET(clCreateUserEvent(cl.context, &t_error)), event;

    fill(&cl, buffer, 9, 1, &gate, &event);
    CALL(clSetEventCallback(event, CL_RUNNING, on_status, "running"));
    CALL(clSetEventCallback(event, CL_COMPLETE, on_status, "complete"));
    OK(clFlush(cl.queue));
    CALL(clSetUserEventStatus(gate, CL_COMPLETE));
    CALL(clFinish(cl.queue));
    t_log_wait(2);
    t_log_show(false);
    OK(clReleaseEvent(gate));
    OK(clReleaseEvent(event));
    OK(clReleaseMemObject(buffer));
    t_close(&cl);
}

/* Whether the status was already passed when the callback is registered is a race for CL_SUBMITTED: only that it comes.
 */
static void callback_submitted(void)
{
    struct t_cl cl = t_open();
    cl_mem buffer = t_ints(&cl, N);
    cl_event gate = GET(clCreateUserEvent(cl.context, &t_error)), event;

    fill(&cl, buffer, 9, 1, &gate, &event);
    CALL(clSetEventCallback(event, CL_SUBMITTED, on_status, "submitted"));
    OK(clFlush(cl.queue));
    CALL(clSetUserEventStatus(gate, CL_COMPLETE));
    CALL(clFinish(cl.queue));
    t_log_wait(1);
    t_say("came");
    OK(clReleaseEvent(gate));
    OK(clReleaseEvent(event));
    OK(clReleaseMemObject(buffer));
    t_close(&cl);
}

static void callback_order(void)
{
    struct t_cl cl = t_open();
    cl_mem buffer = t_ints(&cl, N);
    cl_event gate = GET(clCreateUserEvent(cl.context, &t_error)), event;

    fill(&cl, buffer, 9, 1, &gate, &event);
    CALL(clSetEventCallback(event, CL_COMPLETE, on_status, "first"));
    CALL(clSetEventCallback(event, CL_COMPLETE, on_status, "second"));
    CALL(clSetEventCallback(event, CL_COMPLETE, on_status, "third"));
    OK(clSetUserEventStatus(gate, CL_COMPLETE));
    OK(clFinish(cl.queue));
    t_log_wait(3);
    t_log_show(false);
    OK(clReleaseEvent(gate));
    OK(clReleaseEvent(event));
    OK(clReleaseMemObject(buffer));
    t_close(&cl);
}

static void callback_after_complete(void)
{
    struct t_cl cl = t_open();
    cl_mem buffer = t_ints(&cl, N);
    cl_event event;

    fill(&cl, buffer, 9, 0, NULL, &event);
    OK(clFinish(cl.queue));
    CALL(clSetEventCallback(event, CL_COMPLETE, on_status, "late"));
    t_log_wait(1);
    t_log_show(false);
    CALL(clSetEventCallback(event, CL_RUNNING, on_status, "late running"));
    t_log_wait(1);
    t_log_show(false);
    CALL(clSetEventCallback(event, CL_QUEUED, on_status, "queued"));
    CALL(clSetEventCallback(event, 7, on_status, "seven"));
    CALL(clSetEventCallback(event, CL_COMPLETE, NULL, NULL));
    CALL(clSetEventCallback(NULL, CL_COMPLETE, on_status, NULL));
    OK(clReleaseEvent(event));
    OK(clReleaseMemObject(buffer));
    t_close(&cl);
}

static void callback_user_event(void)
{
    struct t_cl cl = t_open();
    cl_event good = GET(clCreateUserEvent(cl.context, &t_error)), bad = GET(clCreateUserEvent(cl.context, &t_error));

    CALL(clSetEventCallback(good, CL_COMPLETE, on_status, "good"));
    CALL(clSetEventCallback(bad, CL_COMPLETE, on_status, "bad"));
    CALL(clSetUserEventStatus(good, CL_COMPLETE));
    t_log_wait(1);
    CALL(clSetUserEventStatus(bad, -7));
    usleep(100000); /* natively no callback comes for a negative status */
    t_log_show(false);
    CALL(clSetEventCallback(bad, CL_COMPLETE, on_status, "late bad"));
    usleep(100000);
    t_log_show(false);
    OK(clReleaseEvent(good));
    OK(clReleaseEvent(bad));
    t_close(&cl);
}

/* The callback of a command that never ran, for what it waited for failed. */
static void callback_of_failed(void)
{
    struct t_cl cl = t_open();
    cl_mem buffer = t_ints(&cl, N);
    cl_event gate = GET(clCreateUserEvent(cl.context, &t_error)), event;

    fill(&cl, buffer, 9, 1, &gate, &event);
    CALL(clSetEventCallback(event, CL_COMPLETE, on_status, "dependent"));
    CALL(clSetUserEventStatus(gate, -42));
    usleep(100000); /* natively none comes */
    t_log_show(false);
    t_say("status %d", status_of(event));
    OK(clReleaseEvent(gate));
    OK(clReleaseEvent(event));
    CALL(clFinish(cl.queue));
    t_show_ints(&cl, buffer, N);
    OK(clReleaseMemObject(buffer));
    t_close(&cl);
}

struct chained {
    struct t_cl cl;
    cl_mem buffer;
    int left;
};

/* A callback may enqueue, which is how applications stream; it may not block. */
static void CL_CALLBACK on_complete_enqueue(cl_event event, cl_int status, void *user)
{
    struct chained *chained = user;
    cl_event next;

    (void)event;
    t_log("left %d status %d", chained->left, status);
    if (chained->left-- == 0)
        return;
    fill(&chained->cl, chained->buffer, chained->left, 0, NULL, &next);
    OK(clSetEventCallback(next, CL_COMPLETE, on_complete_enqueue, user));
    OK(clFlush(chained->cl.queue));
    OK(clReleaseEvent(next));
}

static void callback_enqueues(void)
{
    struct chained chained = {t_open(), NULL, 5};
    cl_event event;

    chained.buffer = t_ints(&chained.cl, N);
    fill(&chained.cl, chained.buffer, 100, 0, NULL, &event);
    OK(clSetEventCallback(event, CL_COMPLETE, on_complete_enqueue, &chained));
    OK(clFlush(chained.cl.queue));
    t_log_wait(6);
    t_log_show(false);
    OK(clFinish(chained.cl.queue));
    t_show_ints(&chained.cl, chained.buffer, N);
    OK(clReleaseEvent(event));
    OK(clReleaseMemObject(chained.buffer));
    t_close(&chained.cl);
}

/* The event may be released as soon as the callback is registered. */
static void callback_released(void)
{
    struct t_cl cl = t_open();
    cl_mem buffer = t_ints(&cl, N);
    cl_event gate = GET(clCreateUserEvent(cl.context, &t_error)), event;

    fill(&cl, buffer, 9, 1, &gate, &event);
    CALL(clSetEventCallback(event, CL_COMPLETE, on_status, "released"));
    CALL(clReleaseEvent(event));
    CALL(clSetUserEventStatus(gate, CL_COMPLETE));
    t_log_wait(1);
    t_log_show(false);
    OK(clReleaseEvent(gate));
    OK(clFinish(cl.queue));
    OK(clReleaseMemObject(buffer));
    t_close(&cl);
}

/* It lives until its callback has been called, and is in it what it was. */
static void CL_CALLBACK on_released(cl_event event, cl_int status, void *data)
{
    cl_int now = 99;
    cl_command_type type = 0;
    usleep(1000); /* another may take its place meanwhile */
    cl_int error = clGetEventInfo(event, CL_EVENT_COMMAND_EXECUTION_STATUS, sizeof now, &now, NULL);
    if (!error)
        error = clGetEventInfo(event, CL_EVENT_COMMAND_TYPE, sizeof type, &type, NULL);
    t_log("%s: %d, status %d %d, type %x", (const char *)data, error, status, now, type);
}

static void released_in_callback(void)
{
    struct t_cl cl = t_open();
    cl_mem buffer = t_ints(&cl, N);
    for (int i = 0; i < 8; i++) {
        cl_event event, marker;
        fill(&cl, buffer, i, 0, NULL, &event);
        OK(clSetEventCallback(event, CL_COMPLETE, on_released, "released"));
        OK(clReleaseEvent(event));
        OK(clEnqueueMarkerWithWaitList(cl.queue, 0, NULL, &marker));
        OK(clFinish(cl.queue));
        OK(clReleaseEvent(marker));
    }
    t_log_wait(8);
    t_log_show(true);
    OK(clReleaseMemObject(buffer));
    t_close(&cl);
}

static void wait_errors(void)
{
    struct t_cl cl = t_open(), other = t_open();
    cl_event null = NULL;
    cl_event mixed[2] = {GET(clCreateUserEvent(cl.context, &t_error)), GET(clCreateUserEvent(other.context, &t_error))};
    cl_event marker;

    CALL(clWaitForEvents(0, NULL));
    CALL(clWaitForEvents(1, NULL));
    CALL(clWaitForEvents(0, &null));
    CALL(clWaitForEvents(1, &null));
    OK(clSetUserEventStatus(mixed[0], CL_COMPLETE));
    OK(clSetUserEventStatus(mixed[1], CL_COMPLETE));
    CALL(clWaitForEvents(2, mixed));
    CALL(clEnqueueMarkerWithWaitList(cl.queue, 1, &mixed[1], &marker));
    CALL(clEnqueueMarkerWithWaitList(cl.queue, 1, NULL, NULL));
    CALL(clEnqueueMarkerWithWaitList(cl.queue, 0, mixed, NULL));
    CALL(clEnqueueMarkerWithWaitList(cl.queue, 1, &null, NULL));
    CALL(clEnqueueMarkerWithWaitList(NULL, 0, NULL, NULL));
    CALL(clEnqueueBarrierWithWaitList(NULL, 0, NULL, NULL));
    CALL(clEnqueueBarrierWithWaitList(cl.queue, 1, NULL, NULL));
    OK(clReleaseEvent(mixed[0]));
    OK(clReleaseEvent(mixed[1]));
    t_close(&other);
    t_close(&cl);
}

static void marker(void)
{
    struct t_cl cl = t_open_queue(CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE);
    cl_mem buffer = t_ints(&cl, N);
    cl_event gate = GET(clCreateUserEvent(cl.context, &t_error)), filled, all, some;

    fill(&cl, buffer, 3, 1, &gate, &filled);
    CALL(clEnqueueMarkerWithWaitList(cl.queue, 0, NULL, &all));
    CALL(clEnqueueMarkerWithWaitList(cl.queue, 1, &gate, &some));
    CHECK(status_of(all) > CL_COMPLETE && status_of(some) > CL_COMPLETE);
    OK(clSetUserEventStatus(gate, CL_COMPLETE));
    CALL(clWaitForEvents(1, &all));
    CHECK(status_of(filled) == CL_COMPLETE);
    CALL(clWaitForEvents(1, &some));
    show(all);
    OK(clReleaseEvent(gate));
    OK(clReleaseEvent(filled));
    OK(clReleaseEvent(all));
    OK(clReleaseEvent(some));
    OK(clReleaseMemObject(buffer));
    t_close(&cl);
}

/* What is enqueued after a barrier starts when everything before it, or what it waits for, has ended. */
static void barrier(void)
{
    struct t_cl cl = t_open_queue(CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE);
    cl_mem buffer = t_ints(&cl, N);
    cl_event gate = GET(clCreateUserEvent(cl.context, &t_error)), barrier, after;

    fill(&cl, buffer, 3, 1, &gate, NULL);
    CALL(clEnqueueBarrierWithWaitList(cl.queue, 0, NULL, &barrier));
    fill(&cl, buffer, 4, 0, NULL, &after);
    CHECK(status_of(after) > CL_COMPLETE);
    show(barrier);
    OK(clSetUserEventStatus(gate, CL_COMPLETE));
    CALL(clWaitForEvents(1, &after));
    CHECK(status_of(barrier) == CL_COMPLETE);
    t_show_ints(&cl, buffer, N);
    CALL(clEnqueueBarrierWithWaitList(cl.queue, 1, &after, NULL));
    CALL(clFinish(cl.queue));
    OK(clReleaseEvent(gate));
    OK(clReleaseEvent(barrier));
    OK(clReleaseEvent(after));
    OK(clReleaseMemObject(buffer));
    t_close(&cl);
}

static cl_ulong profiled(cl_event event, cl_profiling_info name)
{
    cl_ulong time = 0;

    OK(clGetEventProfilingInfo(event, name, sizeof time, &time, NULL));
    return time;
}

static void profiling(void)
{
    struct t_cl cl = t_open_queue(CL_QUEUE_PROFILING_ENABLE);
    cl_mem buffer = t_ints(&cl, N);
    cl_event first, second;

    fill(&cl, buffer, 1, 0, NULL, &first);
    fill(&cl, buffer, 2, 0, NULL, &second);
    OK(clFinish(cl.queue));
    for (int i = 0; i < 2; i++) {
        cl_event event = i ? second : first;
        CHECK(profiled(event, CL_PROFILING_COMMAND_QUEUED) <= profiled(event, CL_PROFILING_COMMAND_SUBMIT));
        CHECK(profiled(event, CL_PROFILING_COMMAND_SUBMIT) <= profiled(event, CL_PROFILING_COMMAND_START));
        CHECK(profiled(event, CL_PROFILING_COMMAND_START) <= profiled(event, CL_PROFILING_COMMAND_END));
    }
    CHECK(profiled(first, CL_PROFILING_COMMAND_END) <= profiled(second, CL_PROFILING_COMMAND_START));
    CHECK(profiled(first, CL_PROFILING_COMMAND_QUEUED) <= profiled(second, CL_PROFILING_COMMAND_QUEUED));
    INFO(T_SIZE, CL_PROFILING_COMMAND_COMPLETE, clGetEventProfilingInfo, first);
    INFO_EDGES(CL_PROFILING_COMMAND_START, clGetEventProfilingInfo, first);
    OK(clReleaseEvent(first));
    OK(clReleaseEvent(second));
    OK(clReleaseMemObject(buffer));
    t_close(&cl);
}

static void profiling_not_available(void)
{
    struct t_cl plain = t_open(), cl = t_open_queue(CL_QUEUE_PROFILING_ENABLE);
    cl_mem buffer = t_ints(&plain, N), other = t_ints(&cl, N);
    cl_event event, gate = GET(clCreateUserEvent(cl.context, &t_error)), pending;
    cl_ulong time;

    fill(&plain, buffer, 1, 0, NULL, &event);
    OK(clFinish(plain.queue));
    CALL(clGetEventProfilingInfo(event, CL_PROFILING_COMMAND_START, sizeof time, &time, NULL));
    CALL(clGetEventProfilingInfo(NULL, CL_PROFILING_COMMAND_START, sizeof time, &time, NULL));
    CALL(clGetEventProfilingInfo(gate, CL_PROFILING_COMMAND_START, sizeof time, &time, NULL));
    fill(&cl, other, 1, 1, &gate, &pending);
    CALL(clGetEventProfilingInfo(pending, CL_PROFILING_COMMAND_END, sizeof time, &time, NULL));
    OK(clSetUserEventStatus(gate, CL_COMPLETE));
    OK(clFinish(cl.queue));
    OK(clReleaseEvent(event));
    OK(clReleaseEvent(gate));
    OK(clReleaseEvent(pending));
    OK(clReleaseMemObject(buffer));
    OK(clReleaseMemObject(other));
    t_close(&plain);
    t_close(&cl);
}

/* The type each command's event reports. */
static void command_types(void)
{
    struct t_cl cl = t_open();
    cl_mem a = t_ints(&cl, N), b = t_ints(&cl, N);
    cl_kernel kernel = t_kernel(&cl, "inc");
    cl_int data[N], value = 0;
    size_t global = N;
    const size_t zero[3] = {0, 0, 0}, region[3] = {4, 4, 1};
    cl_event events[9];

    OK(clSetKernelArg(kernel, 0, sizeof a, &a));
    OK(clEnqueueNDRangeKernel(cl.queue, kernel, 1, NULL, &global, NULL, 0, NULL, &events[0]));
    OK(clEnqueueReadBuffer(cl.queue, a, CL_TRUE, 0, sizeof data, data, 0, NULL, &events[1]));
    OK(clEnqueueWriteBuffer(cl.queue, a, CL_TRUE, 0, sizeof data, data, 0, NULL, &events[2]));
    OK(clEnqueueCopyBuffer(cl.queue, a, b, 0, 0, sizeof data, 0, NULL, &events[3]));
    OK(clEnqueueFillBuffer(cl.queue, a, &value, sizeof value, 0, sizeof data, 0, NULL, &events[4]));
    OK(clEnqueueReadBufferRect(cl.queue, a, CL_TRUE, zero, zero, region, 0, 0, 0, 0, data, 0, NULL, &events[5]));
    OK(clEnqueueWriteBufferRect(cl.queue, a, CL_TRUE, zero, zero, region, 0, 0, 0, 0, data, 0, NULL, &events[6]));
    OK(clEnqueueCopyBufferRect(cl.queue, a, b, zero, zero, region, 0, 0, 0, 0, 0, NULL, &events[7]));
    OK(clEnqueueMigrateMemObjects(cl.queue, 1, &a, 0, 0, NULL, &events[8]));
    OK(clFinish(cl.queue));
    for (size_t i = 0; i < COUNT(events); i++) {
        INFO(T_U32, CL_EVENT_COMMAND_TYPE, clGetEventInfo, events[i]);
        OK(clReleaseEvent(events[i]));
    }
    OK(clReleaseKernel(kernel));
    OK(clReleaseMemObject(a));
    OK(clReleaseMemObject(b));
    t_close(&cl);
}

static void many(void)
{
    struct t_cl cl = t_open();
    cl_mem buffer = t_ints(&cl, N);
    cl_event events[500];

    for (size_t i = 0; i < COUNT(events); i++)
        fill(&cl, buffer, (cl_int)i, 0, NULL, &events[i]);
    CALL(clWaitForEvents(COUNT(events), events));
    for (size_t i = 0; i < COUNT(events); i++) {
        CHECK(status_of(events[i]) == CL_COMPLETE);
        OK(clReleaseEvent(events[i]));
    }
    t_show_ints(&cl, buffer, N);
    OK(clReleaseMemObject(buffer));
    t_close(&cl);
}

T_MAIN(T(info), T(user_event), T(not_a_user_event), T(gated), T(failing_user_event), T(chain), T(callbacks),
       T(callback_submitted), T(callback_order), T(callback_after_complete), T(callback_user_event),
       T(callback_of_failed), T(callback_enqueues), T(callback_released), T(released_in_callback), T(wait_errors), T(marker), T(barrier),
       T(profiling), T(profiling_not_available), T(command_types), T(many), T(failed_before))
