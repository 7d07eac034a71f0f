/*
 * OpenCL conformance: reference counts as queries show them, and what keeps what alive.
 * SPDX-License-Identifier: Apache-2.0
 */
#define CL_USE_DEPRECATED_OPENCL_1_2_APIS
#include "t.h"

enum { N = 64 };

static cl_uint count(cl_int error, cl_uint value)
{
    CHECK(error == CL_SUCCESS);
    return value;
}

/* The count of an object of any type. */
#define COUNT_OF(fn, name, object)                                                                                     \
    ({                                                                                                                 \
        cl_uint n_ = 77;                                                                                               \
        cl_int error_ = fn(object, name, sizeof n_, &n_, NULL);                                                        \
        count(error_, n_);                                                                                             \
    })
#define CONTEXT(c) COUNT_OF(clGetContextInfo, CL_CONTEXT_REFERENCE_COUNT, c)
#define QUEUE(q) COUNT_OF(clGetCommandQueueInfo, CL_QUEUE_REFERENCE_COUNT, q)
#define MEM(m) COUNT_OF(clGetMemObjectInfo, CL_MEM_REFERENCE_COUNT, m)
#define PROGRAM(p) COUNT_OF(clGetProgramInfo, CL_PROGRAM_REFERENCE_COUNT, p)
#define KERNEL(k) COUNT_OF(clGetKernelInfo, CL_KERNEL_REFERENCE_COUNT, k)
#define EVENT(e) COUNT_OF(clGetEventInfo, CL_EVENT_REFERENCE_COUNT, e)
#define SAMPLER(s) COUNT_OF(clGetSamplerInfo, CL_SAMPLER_REFERENCE_COUNT, s)

#define UP_AND_DOWN(type, query, object)                                                                               \
    do {                                                                                                               \
        t_say(#type " %u", query(object));                                                                             \
        OK(clRetain##type(object));                                                                                    \
        OK(clRetain##type(object));                                                                                    \
        t_say(#type " %u", query(object));                                                                             \
        OK(clRelease##type(object));                                                                                   \
        t_say(#type " %u", query(object));                                                                             \
        OK(clRelease##type(object));                                                                                   \
        t_say(#type " %u", query(object));                                                                             \
    } while (0)

static void up_and_down(void)
{
    struct t_cl cl = t_open();
    cl_program program = t_program(&cl);
    cl_kernel kernel = GET(clCreateKernel(program, "inc", &t_error));
    cl_mem buffer = t_ints(&cl, N);
    cl_event event = GET(clCreateUserEvent(cl.context, &t_error));
    cl_sampler sampler = GET(clCreateSampler(cl.context, CL_FALSE, CL_ADDRESS_CLAMP, CL_FILTER_NEAREST, &t_error));

    UP_AND_DOWN(Context, CONTEXT, cl.context);
    UP_AND_DOWN(CommandQueue, QUEUE, cl.queue);
    UP_AND_DOWN(MemObject, MEM, buffer);
    UP_AND_DOWN(Program, PROGRAM, program);
    UP_AND_DOWN(Kernel, KERNEL, kernel);
    UP_AND_DOWN(Event, EVENT, event);
    UP_AND_DOWN(Sampler, SAMPLER, sampler);
    OK(clSetUserEventStatus(event, CL_COMPLETE));
    OK(clReleaseEvent(event));
    OK(clReleaseSampler(sampler));
    OK(clReleaseKernel(kernel));
    OK(clReleaseProgram(program));
    OK(clReleaseMemObject(buffer));
    t_close(&cl);
}

/* Whether children show in the count of the context. */
static void context_of_children(void)
{
    cl_platform_id platform;
    cl_device_id device;

    OK(clGetPlatformIDs(1, &platform, NULL));
    OK(clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, 1, &device, NULL));
    cl_context context = GET(clCreateContext(NULL, 1, &device, NULL, NULL, &t_error));
    t_say("alone %u", CONTEXT(context));
    cl_command_queue queue = GET(clCreateCommandQueueWithProperties(context, device, NULL, &t_error));
    t_say("queue made %u", CONTEXT(context));
    cl_mem buffer = GET(clCreateBuffer(context, 0, 64, NULL, &t_error));
    t_say("buffer made %u", CONTEXT(context));
    cl_event event = GET(clCreateUserEvent(context, &t_error));
    t_say("user event made %u", CONTEXT(context));
    cl_sampler sampler = GET(clCreateSampler(context, CL_FALSE, CL_ADDRESS_CLAMP, CL_FILTER_NEAREST, &t_error));
    t_say("sampler made %u", CONTEXT(context));
    const char *source = t_source;
    cl_program program = GET(clCreateProgramWithSource(context, 1, &source, NULL, &t_error));
    t_say("program made %u", CONTEXT(context));
    OK(clReleaseProgram(program));
    t_say("program released %u", CONTEXT(context));
    OK(clReleaseSampler(sampler));
    OK(clSetUserEventStatus(event, CL_COMPLETE));
    OK(clReleaseEvent(event));
    t_say("event and sampler released %u", CONTEXT(context));
    OK(clReleaseMemObject(buffer));
    t_say("buffer released %u", CONTEXT(context));
    OK(clReleaseCommandQueue(queue));
    t_say("queue released %u", CONTEXT(context));
    OK(clReleaseContext(context));
}

static void program_of_kernels(void)
{
    struct t_cl cl = t_open();
    cl_program program = t_program(&cl);

    t_say("alone %u", PROGRAM(program));
    cl_kernel kernel = GET(clCreateKernel(program, "inc", &t_error)),
              other = GET(clCreateKernel(program, "inc", &t_error));
    t_say("two kernels %u", PROGRAM(program));
    OK(clReleaseKernel(other));
    t_say("one kernel %u", PROGRAM(program));
    OK(clReleaseProgram(program)); /* the kernel keeps it */
    cl_program again = NULL;
    OK(clGetKernelInfo(kernel, CL_KERNEL_PROGRAM, sizeof again, &again, NULL));
    t_say("same program %d, %u", again == program, PROGRAM(again));
    OK(clReleaseKernel(kernel));
    t_close(&cl);
}

static void mem_of_args(void)
{
    struct t_cl cl = t_open();
    cl_mem buffer = t_ints(&cl, N);
    cl_kernel kernel = t_kernel(&cl, "inc");
    size_t global = N;

    OK(clSetKernelArg(kernel, 0, sizeof buffer, &buffer));
    t_say("set as argument: buffer %u kernel %u", MEM(buffer), KERNEL(kernel));
    OK(clEnqueueNDRangeKernel(cl.queue, kernel, 1, NULL, &global, NULL, 0, NULL, NULL));
    OK(clFinish(cl.queue));
    t_say("after the command: buffer %u kernel %u", MEM(buffer), KERNEL(kernel));
    OK(clReleaseKernel(kernel));
    t_say("kernel released: buffer %u", MEM(buffer));
    OK(clReleaseMemObject(buffer));
    t_close(&cl);
}

/* Every handle of the application's is released while the command waits; only the event is left, and it still ends. */
static void all_released_in_flight(void)
{
    struct t_cl cl = t_open();
    cl_mem buffer = t_ints(&cl, N);
    cl_kernel kernel = t_kernel(&cl, "inc");
    cl_event gate = GET(clCreateUserEvent(cl.context, &t_error)), event;
    cl_int status = 77;
    size_t global = N;

    OK(clSetKernelArg(kernel, 0, sizeof buffer, &buffer));
    OK(clEnqueueNDRangeKernel(cl.queue, kernel, 1, NULL, &global, NULL, 1, &gate, &event));
    OK(clFlush(cl.queue));
    OK(clReleaseKernel(kernel));
    OK(clReleaseMemObject(buffer));
    OK(clReleaseContext(cl.context));
    CALL(clSetUserEventStatus(gate, CL_COMPLETE));
    CALL(clWaitForEvents(1, &event));
    OK(clGetEventInfo(event, CL_EVENT_COMMAND_EXECUTION_STATUS, sizeof status, &status, NULL));
    t_say("status %d", status);
    OK(clReleaseEvent(gate));
    OK(clReleaseEvent(event));
    OK(clReleaseCommandQueue(cl.queue));
}

/* The context is used through its queue after its last release. */
static void context_after_release(void)
{
    struct t_cl cl = t_open();
    cl_context again = NULL;

    OK(clReleaseContext(cl.context));
    OK(clGetCommandQueueInfo(cl.queue, CL_QUEUE_CONTEXT, sizeof again, &again, NULL));
    t_say("same context %d, %u", again == cl.context, CONTEXT(again));
    cl_mem buffer = MAKE(clCreateBuffer(again, 0, 64, NULL, &t_error));
    cl_int value = 6;
    OK(clEnqueueFillBuffer(cl.queue, buffer, &value, 4, 0, 64, 0, NULL, NULL));
    t_show_ints(&cl, buffer, 16);
    OK(clReleaseMemObject(buffer));
    OK(clReleaseCommandQueue(cl.queue));
}

static void queue_of_events(void)
{
    struct t_cl cl = t_open();
    cl_mem buffer = t_ints(&cl, N);
    cl_event event;
    cl_int value = 1;

    t_say("alone %u", QUEUE(cl.queue));
    OK(clEnqueueFillBuffer(cl.queue, buffer, &value, 4, 0, 64, 0, NULL, &event));
    OK(clFinish(cl.queue));
    t_say("with an event %u", QUEUE(cl.queue));
    OK(clReleaseEvent(event));
    t_say("event released %u", QUEUE(cl.queue));
    OK(clReleaseMemObject(buffer));
    t_close(&cl);
}

T_MAIN(T(up_and_down), T(context_of_children), T(program_of_kernels), T(mem_of_args), T(all_released_in_flight),
       T(context_after_release), T(queue_of_events))
