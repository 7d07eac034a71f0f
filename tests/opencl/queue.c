/*
 * OpenCL conformance: command queues, their properties, infos and order.
 * SPDX-License-Identifier: Apache-2.0
 */
#define CL_USE_DEPRECATED_OPENCL_1_0_APIS
#define CL_USE_DEPRECATED_OPENCL_1_2_APIS
#include "t.h"

static void show(cl_command_queue queue)
{
    INFO(T_HANDLE, CL_QUEUE_CONTEXT, clGetCommandQueueInfo, queue);
    INFO(T_HANDLE, CL_QUEUE_DEVICE, clGetCommandQueueInfo, queue);
    INFO(T_U32, CL_QUEUE_REFERENCE_COUNT, clGetCommandQueueInfo, queue);
    INFO(T_U64, CL_QUEUE_PROPERTIES, clGetCommandQueueInfo, queue);
    INFO(T_U32, CL_QUEUE_SIZE, clGetCommandQueueInfo, queue);
    INFO(T_HANDLE, CL_QUEUE_DEVICE_DEFAULT, clGetCommandQueueInfo, queue);
    INFO(T_U64, CL_QUEUE_PROPERTIES_ARRAY, clGetCommandQueueInfo, queue);
}

static void create_with(const struct t_cl *cl, const char *what, const cl_queue_properties *list)
{
    t_say("-- %s", what);
    cl_command_queue queue = MAKE(clCreateCommandQueueWithProperties(cl->context, cl->device, list, &t_error));
    if (queue) {
        show(queue);
        CALL(clFinish(queue));
        CALL(clReleaseCommandQueue(queue));
    }
}

static void properties(void)
{
    struct t_cl cl = t_open();
    const cl_queue_properties empty[] = {0};
    const cl_queue_properties profile[] = {CL_QUEUE_PROPERTIES, CL_QUEUE_PROFILING_ENABLE, 0};
    const cl_queue_properties any_order[] = {CL_QUEUE_PROPERTIES, CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE, 0};
    const cl_queue_properties both[] = {CL_QUEUE_PROPERTIES,
                                        CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE | CL_QUEUE_PROFILING_ENABLE, 0};

    create_with(&cl, "no list", NULL);
    create_with(&cl, "empty list", empty);
    create_with(&cl, "profiling", profile);
    create_with(&cl, "out of order", any_order);
    create_with(&cl, "both", both);
    t_close(&cl);
}

/* A queue on the device is left out: the native library aborts. */
static void property_errors(void)
{
    struct t_cl cl = t_open();
    const cl_queue_properties unknown[] = {0xBEEF, 1, 0};
    const cl_queue_properties bits[] = {CL_QUEUE_PROPERTIES, 1 << 20, 0};
    const cl_queue_properties size[] = {CL_QUEUE_PROPERTIES, 0, CL_QUEUE_SIZE, 4096, 0};

    create_with(&cl, "unknown key", unknown);
    create_with(&cl, "unknown bit", bits);
    create_with(&cl, "size without on-device", size);
    t_close(&cl);
}

static void errors(void)
{
    struct t_cl cl = t_open();

    MAKE(clCreateCommandQueueWithProperties(NULL, cl.device, NULL, &t_error));
    MAKE(clCreateCommandQueueWithProperties(cl.context, NULL, NULL, &t_error));
    CALL(clRetainCommandQueue(NULL));
    CALL(clReleaseCommandQueue(NULL));
    CALL(clGetCommandQueueInfo(NULL, CL_QUEUE_CONTEXT, 0, NULL, NULL));
    CALL(clFlush(NULL));
    CALL(clFinish(NULL));
    INFO_EDGES(CL_QUEUE_DEVICE, clGetCommandQueueInfo, cl.queue);
    t_close(&cl);
}

static void create_1_2(void)
{
    struct t_cl cl = t_open();
    cl_command_queue queue = MAKE(clCreateCommandQueue(cl.context, cl.device, 0, &t_error));

    show(queue);
    CALL(clReleaseCommandQueue(queue));
    queue = MAKE(clCreateCommandQueue(cl.context, cl.device, CL_QUEUE_PROFILING_ENABLE, &t_error));
    show(queue);
    CALL(clReleaseCommandQueue(queue));
    MAKE(clCreateCommandQueue(cl.context, cl.device, 1 << 20, &t_error));
    MAKE(clCreateCommandQueue(NULL, cl.device, 0, &t_error));
    MAKE(clCreateCommandQueue(cl.context, NULL, 0, &t_error));
    queue = clCreateCommandQueue(cl.context, cl.device, 0, NULL);
    CHECK(queue);
    CALL(clReleaseCommandQueue(queue));
    t_close(&cl);
}

/* Removed in OpenCL 1.1: the native library has no such function behind the loader, which jumps to NULL for a queue. */
static void set_property(void)
{
    CALL(clSetCommandQueueProperty(NULL, CL_QUEUE_PROFILING_ENABLE, CL_TRUE, NULL));
}

static void default_device_queue(void)
{
    struct t_cl cl = t_open();

    CALL(clSetDefaultDeviceCommandQueue(cl.context, cl.device, cl.queue));
    CALL(clSetDefaultDeviceCommandQueue(NULL, cl.device, cl.queue));
    CALL(clSetDefaultDeviceCommandQueue(cl.context, NULL, cl.queue));
    CALL(clSetDefaultDeviceCommandQueue(cl.context, cl.device, NULL));
    t_close(&cl);
}

/* Reads the buffer in the given queue after the commands of the wait list. */
static void check_after(cl_command_queue queue, cl_mem buffer, cl_uint n, const cl_event *wait, cl_int expected)
{
    cl_int value = 0;

    OK(clEnqueueReadBuffer(queue, buffer, CL_TRUE, 0, sizeof value, &value, n, wait, NULL));
    CHECK(value == expected);
    t_say("value %d", value);
}

static void in_order(void)
{
    struct t_cl cl = t_open();
    cl_mem buffer = t_ints(&cl, 64);
    cl_kernel kernel = t_kernel(&cl, "inc");
    size_t global = 64;

    OK(clSetKernelArg(kernel, 0, sizeof buffer, &buffer));
    for (int i = 0; i < 100; i++)
        OK(clEnqueueNDRangeKernel(cl.queue, kernel, 1, NULL, &global, NULL, 0, NULL, NULL));
    CALL(clFlush(cl.queue));
    check_after(cl.queue, buffer, 0, NULL, 100);
    CALL(clFinish(cl.queue));
    OK(clReleaseKernel(kernel));
    OK(clReleaseMemObject(buffer));
    t_close(&cl);
}

/* In an out-of-order queue only events give order: a chain of fills over one integer, each waiting for the one before.
 */
static void out_of_order(void)
{
    struct t_cl cl = t_open_queue(CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE);
    cl_mem buffer = t_ints(&cl, 64);
    cl_event events[50];

    for (cl_int i = 0; i < (cl_int)COUNT(events); i++)
        OK(clEnqueueFillBuffer(cl.queue, buffer, &i, sizeof i, 0, 64 * sizeof i, i ? 1 : 0, i ? &events[i - 1] : NULL,
                               &events[i]));
    check_after(cl.queue, buffer, 1, &events[COUNT(events) - 1], (cl_int)COUNT(events) - 1);
    for (size_t i = 0; i < COUNT(events); i++)
        OK(clReleaseEvent(events[i]));
    OK(clReleaseMemObject(buffer));
    t_close(&cl);
}

static void two_queues(void)
{
    struct t_cl cl = t_open();
    cl_command_queue other = GET(clCreateCommandQueueWithProperties(cl.context, cl.device, NULL, &t_error));
    cl_mem buffer = t_ints(&cl, 64);
    cl_int value = 42;
    cl_event filled;

    OK(clEnqueueFillBuffer(cl.queue, buffer, &value, sizeof value, 0, 64 * sizeof value, 0, NULL, &filled));
    OK(clFlush(cl.queue));
    check_after(other, buffer, 1, &filled, 42);
    OK(clReleaseEvent(filled));
    OK(clReleaseMemObject(buffer));
    OK(clReleaseCommandQueue(other));
    t_close(&cl);
}

/* Releasing a queue with commands in it does not cancel them. */
static void release_with_commands(void)
{
    struct t_cl cl = t_open();
    cl_command_queue other = GET(clCreateCommandQueueWithProperties(cl.context, cl.device, NULL, &t_error));
    cl_mem buffer = t_ints(&cl, 64);
    cl_int value = 43;
    cl_event filled;

    OK(clEnqueueFillBuffer(other, buffer, &value, sizeof value, 0, 64 * sizeof value, 0, NULL, &filled));
    CALL(clReleaseCommandQueue(other));
    check_after(cl.queue, buffer, 1, &filled, 43);
    OK(clReleaseEvent(filled));
    OK(clReleaseMemObject(buffer));
    t_close(&cl);
}

static void flush_and_finish(void)
{
    struct t_cl cl = t_open();

    CALL(clFlush(cl.queue));
    CALL(clFinish(cl.queue));
    CALL(clFinish(cl.queue));
    CALL(clFlush(cl.queue));
    t_close(&cl);
}

T_MAIN(T(properties), T(property_errors), T(errors), T(create_1_2), T(set_property), T(default_device_queue),
       T(in_order), T(out_of_order), T(two_queues), T(release_with_commands), T(flush_and_finish))
