/*
 * OpenCL conformance: extension function addresses, and the functions that are reached only through them.
 * SPDX-License-Identifier: Apache-2.0
 */
#define CL_USE_DEPRECATED_OPENCL_1_1_APIS
#define CL_USE_DEPRECATED_OPENCL_2_0_APIS
#include "t.h"

#include <CL/cl_ext.h>

enum { N = 64 };

static void *address(const struct t_cl *cl, const char *name)
{
    void *function = clGetExtensionFunctionAddressForPlatform(cl->platform, name);

    if (!function)
        t_skip("no %s", name);
    return function;
}

/* Which names have an address: core functions have none, by the specification. */
static void show_names(const char *const *names, size_t n)
{
    struct t_cl cl = t_open();

    for (size_t i = 0; i < n; i++)
        t_say("%s: for the platform %d, without %d", names[i],
              clGetExtensionFunctionAddressForPlatform(cl.platform, names[i]) != NULL,
              clGetExtensionFunctionAddress(names[i]) != NULL);
    t_close(&cl);
}

static void core_names(void)
{
    static const char *const names[] = {"clGetPlatformIDs", "clCreateBuffer",      "clEnqueueNDRangeKernel",
                                        "noSuchFunction",   "clNoSuchFunctionKHR", ""};

    show_names(names, COUNT(names));
    CHECK(!clGetExtensionFunctionAddressForPlatform(NULL, "clCreateBuffer"));
}

static void icd_names(void)
{
    static const char *const names[] = {"clIcdGetPlatformIDsKHR", "clGetPlatformInfo"};

    show_names(names, COUNT(names));
}

/* Those the loader answers by itself, for it exports them. */
static void loader_names(void)
{
    static const char *const names[] = {
        "clCreateSubDevicesEXT",         "clRetainDeviceEXT",       "clReleaseDeviceEXT",
        "clGetKernelSubGroupInfoKHR",    "clGetGLContextInfoKHR",   "clCreateEventFromGLsyncKHR",
        "clCreateEventFromEGLSyncKHR",   "clCreateFromEGLImageKHR", "clEnqueueAcquireEGLObjectsKHR",
        "clEnqueueReleaseEGLObjectsKHR",
    };

    show_names(names, COUNT(names));
}

static void vendor_names(void)
{
    static const char *const names[] = {
        "clCreateProgramWithILKHR",
        "clSetContentSizeBufferPoCL",
        "clTerminateContextKHR",
        "clCreateCommandQueueWithPropertiesKHR",
        "clSetMemObjectDestructorAPPLE",
        "clHostMemAllocINTEL",
        "clDeviceMemAllocINTEL",
        "clSharedMemAllocINTEL",
        "clMemFreeINTEL",
        "clGetKernelSuggestedLocalWorkSizeKHR",
        "clCreateSemaphoreWithPropertiesKHR",
    };

    show_names(names, COUNT(names));
}

static void command_buffer_names(void)
{
    static const char *const names[] = {
        "clCreateCommandBufferKHR",   "clFinalizeCommandBufferKHR",    "clRetainCommandBufferKHR",
        "clReleaseCommandBufferKHR",  "clEnqueueCommandBufferKHR",     "clCommandBarrierWithWaitListKHR",
        "clCommandCopyBufferKHR",     "clCommandCopyBufferRectKHR",    "clCommandCopyBufferToImageKHR",
        "clCommandCopyImageKHR",      "clCommandCopyImageToBufferKHR", "clCommandFillBufferKHR",
        "clCommandFillImageKHR",      "clCommandNDRangeKernelKHR",     "clGetCommandBufferInfoKHR",
        "clUpdateMutableCommandsKHR", "clGetMutableCommandInfoKHR",
    };

    show_names(names, COUNT(names));
}

static void sub_devices_ext(void)
{
    const cl_device_partition_property_ext equally[] = {CL_DEVICE_PARTITION_EQUALLY_EXT, 1, CL_PROPERTIES_LIST_END_EXT};
    struct t_cl cl = t_open();
    cl_device_id parts[8];
    cl_uint n = 0;

    /* Not for a device: the native library has no such function behind the loader, which jumps to NULL. */
    CALL(clCreateSubDevicesEXT(NULL, equally, 8, parts, &n));
    CALL(clRetainDeviceEXT(cl.device));
    CALL(clReleaseDeviceEXT(cl.device));
    INFO(T_U32, CL_DEVICE_REFERENCE_COUNT, clGetDeviceInfo, cl.device);
    CALL(clRetainDeviceEXT(NULL));
    CALL(clReleaseDeviceEXT(NULL));
    t_close(&cl);
}

/* Not for a kernel: the native library has no such function behind the loader, which jumps to NULL. */
static void sub_group_info_khr(void)
{
    size_t value;

    CALL(clGetKernelSubGroupInfoKHR(NULL, NULL, CL_KERNEL_MAX_SUB_GROUP_SIZE_FOR_NDRANGE_KHR, 0, NULL, sizeof value,
                                    &value, NULL));
}

static void program_with_il_khr(void)
{
    struct t_cl cl = t_open();
    clCreateProgramWithILKHR_fn create = (clCreateProgramWithILKHR_fn)address(&cl, "clCreateProgramWithILKHR");
    const cl_uint junk[8] = {1, 2, 3};

    MAKE(create(cl.context, junk, sizeof junk, &t_error));
    MAKE(create(cl.context, NULL, sizeof junk, &t_error));
    t_close(&cl);
}

/* A buffer's content may be shorter than the buffer; another buffer of one cl_ulong says how long. */
static void content_size(void)
{
    struct t_cl cl = t_open();
    cl_int (*set_content_size)(cl_mem, cl_mem) = (cl_int(*)(cl_mem, cl_mem))address(&cl, "clSetContentSizeBufferPoCL");
    cl_mem buffer = t_ints(&cl, N), size = GET(clCreateBuffer(cl.context, 0, sizeof(cl_ulong), NULL, &t_error));

    CALL(set_content_size(buffer, size));
    t_show_ints(&cl, buffer, N);
    OK(clReleaseMemObject(buffer));
    OK(clReleaseMemObject(size));
    t_close(&cl);
}

struct recorder {
    clCreateCommandBufferKHR_fn create;
    clFinalizeCommandBufferKHR_fn finalize;
    clRetainCommandBufferKHR_fn retain;
    clReleaseCommandBufferKHR_fn release;
    clEnqueueCommandBufferKHR_fn enqueue;
    clCommandBarrierWithWaitListKHR_fn barrier;
    clCommandCopyBufferKHR_fn copy;
    clCommandFillBufferKHR_fn fill;
    clCommandNDRangeKernelKHR_fn ndrange;
    clGetCommandBufferInfoKHR_fn info;
};

static struct recorder recorder_of(const struct t_cl *cl)
{
    if (!t_has_extension(cl->device, "cl_khr_command_buffer"))
        t_skip("no cl_khr_command_buffer");
    return (struct recorder){
        .create = (clCreateCommandBufferKHR_fn)address(cl, "clCreateCommandBufferKHR"),
        .finalize = (clFinalizeCommandBufferKHR_fn)address(cl, "clFinalizeCommandBufferKHR"),
        .retain = (clRetainCommandBufferKHR_fn)address(cl, "clRetainCommandBufferKHR"),
        .release = (clReleaseCommandBufferKHR_fn)address(cl, "clReleaseCommandBufferKHR"),
        .enqueue = (clEnqueueCommandBufferKHR_fn)address(cl, "clEnqueueCommandBufferKHR"),
        .barrier = (clCommandBarrierWithWaitListKHR_fn)address(cl, "clCommandBarrierWithWaitListKHR"),
        .copy = (clCommandCopyBufferKHR_fn)address(cl, "clCommandCopyBufferKHR"),
        .fill = (clCommandFillBufferKHR_fn)address(cl, "clCommandFillBufferKHR"),
        .ndrange = (clCommandNDRangeKernelKHR_fn)address(cl, "clCommandNDRangeKernelKHR"),
        .info = (clGetCommandBufferInfoKHR_fn)address(cl, "clGetCommandBufferInfoKHR"),
    };
}

static void show_recorded(const struct recorder *r, cl_command_buffer_khr buffer)
{
    INFO(T_U32, CL_COMMAND_BUFFER_NUM_QUEUES_KHR, r->info, buffer);
    /* Not the value: natively it is the address of an inner array of queues. */
    INFO(T_SIZE, CL_COMMAND_BUFFER_QUEUES_KHR, r->info, buffer);
    INFO(T_U32, CL_COMMAND_BUFFER_REFERENCE_COUNT_KHR, r->info, buffer);
    INFO(T_U32, CL_COMMAND_BUFFER_STATE_KHR, r->info, buffer);
    INFO(T_U64, CL_COMMAND_BUFFER_PROPERTIES_ARRAY_KHR, r->info, buffer);
}

/* Fill, kernel and copy are recorded once and run three times. */
static void command_buffer(void)
{
    struct t_cl cl = t_open();
    struct recorder r = recorder_of(&cl);
    cl_mem a = t_ints(&cl, N), b = t_ints(&cl, N);
    cl_kernel kernel = t_kernel(&cl, "inc");
    cl_int value = 40;
    size_t global = N, local = 8;
    cl_sync_point_khr filled, ran;
    cl_event event;

    cl_command_buffer_khr recorded = MAKE(r.create(1, &cl.queue, NULL, &t_error));
    show_recorded(&r, recorded);
    OK(clSetKernelArg(kernel, 0, sizeof a, &a));
    CALL(r.fill(recorded, NULL, a, &value, sizeof value, 0, N * sizeof value, 0, NULL, &filled, NULL));
    CALL(r.ndrange(recorded, NULL, NULL, kernel, 1, NULL, &global, &local, 1, &filled, &ran, NULL));
    CALL(r.barrier(recorded, NULL, 0, NULL, NULL, NULL));
    CALL(r.copy(recorded, NULL, a, b, 0, 0, N * sizeof value / 2, 1, &ran, NULL, NULL));
    CALL(r.enqueue(0, NULL, recorded, 0, NULL, NULL));
    CALL(r.finalize(recorded));
    show_recorded(&r, recorded);
    for (int i = 0; i < 3; i++) {
        CALL(r.enqueue(0, NULL, recorded, 0, NULL, &event));
        CALL(clWaitForEvents(1, &event));
        INFO(T_U32, CL_EVENT_COMMAND_TYPE, clGetEventInfo, event);
        OK(clReleaseEvent(event));
        t_show_ints(&cl, b, N);
    }
    CALL(r.retain(recorded));
    CALL(r.release(recorded));
    CALL(r.release(recorded));
    OK(clReleaseKernel(kernel));
    OK(clReleaseMemObject(a));
    OK(clReleaseMemObject(b));
    t_close(&cl);
}

static void command_buffer_errors(void)
{
    struct t_cl cl = t_open();
    struct recorder r = recorder_of(&cl);
    cl_mem a = t_ints(&cl, N);
    cl_int value = 1;

    MAKE(r.create(0, NULL, NULL, &t_error));
    MAKE(r.create(1, NULL, NULL, &t_error));
    CALL(r.finalize(NULL));
    CALL(r.retain(NULL));
    CALL(r.release(NULL));
    CALL(r.enqueue(0, NULL, NULL, 0, NULL, NULL));
    cl_command_buffer_khr recorded = GET(r.create(1, &cl.queue, NULL, &t_error));
    CALL(r.finalize(recorded));
    CALL(r.finalize(recorded));
    CALL(r.fill(recorded, NULL, a, &value, sizeof value, 0, 16, 0, NULL, NULL, NULL));
    OK(r.release(recorded));
    OK(clReleaseMemObject(a));
    t_close(&cl);
}

static void command_buffer_device_infos(void)
{
    struct t_cl cl = t_open();

    INFO(T_U64, CL_DEVICE_COMMAND_BUFFER_CAPABILITIES_KHR, clGetDeviceInfo, cl.device);
    INFO(T_U64, CL_DEVICE_COMMAND_BUFFER_REQUIRED_QUEUE_PROPERTIES_KHR, clGetDeviceInfo, cl.device);
    t_close(&cl);
}

T_MAIN(T(core_names), T(icd_names), T(loader_names), T(vendor_names), T(command_buffer_names), T(sub_devices_ext),
       T(sub_group_info_khr), T(program_with_il_khr), T(content_size), T(command_buffer), T(command_buffer_errors),
       T(command_buffer_device_infos))
