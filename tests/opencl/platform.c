/*
 * OpenCL conformance: platforms, devices, sub-devices, timers, compiler unloading.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "t.h"

static void platform_ids(void)
{
    cl_platform_id platforms[8] = {0};
    cl_uint n = 0;

    CALL(clGetPlatformIDs(0, NULL, &n));
    t_say("%u platforms", n);
    CALL(clGetPlatformIDs(8, platforms, NULL));
    CALL(clGetPlatformIDs(1, platforms, &n));
    t_say("%u platforms, first %s", n, platforms[0] ? "H" : "NULL");
    CALL(clGetPlatformIDs(0, NULL, NULL));
    CALL(clGetPlatformIDs(0, platforms, NULL));
    CALL(clGetPlatformIDs(1, NULL, NULL));
    CALL(clGetPlatformIDs(1, NULL, &n));
}

static void platform_info(void)
{
    struct t_cl cl = t_open();

    INFO(T_STRING, CL_PLATFORM_PROFILE, clGetPlatformInfo, cl.platform);
    INFO(T_STRING, CL_PLATFORM_VERSION, clGetPlatformInfo, cl.platform);
    INFO(T_STRING, CL_PLATFORM_NAME, clGetPlatformInfo, cl.platform);
    INFO(T_STRING, CL_PLATFORM_VENDOR, clGetPlatformInfo, cl.platform);
    INFO(T_U64, CL_PLATFORM_HOST_TIMER_RESOLUTION, clGetPlatformInfo, cl.platform);
    INFO(T_U32, CL_PLATFORM_NUMERIC_VERSION, clGetPlatformInfo, cl.platform);
    INFO_EDGES(CL_PLATFORM_NAME, clGetPlatformInfo, cl.platform);
    t_close(&cl);
}

/* What a virtual stack may filter, apart from the rest. */
static void platform_extensions(void)
{
    struct t_cl cl = t_open();

    INFO(T_STRING, CL_PLATFORM_EXTENSIONS, clGetPlatformInfo, cl.platform);
    INFO(T_BYTES, CL_PLATFORM_EXTENSIONS_WITH_VERSION, clGetPlatformInfo, cl.platform);
    INFO(T_STRING, 0x0920 /* CL_PLATFORM_ICD_SUFFIX_KHR */, clGetPlatformInfo, cl.platform);
    t_close(&cl);
}

/* A NULL platform: implementation defined; the loader picks its default. */
static void platform_null(void)
{
    char name[256] = "";
    cl_uint n = 0;
    cl_device_id device;

    CALL(clGetPlatformInfo(NULL, CL_PLATFORM_NAME, sizeof name, name, NULL));
    t_say("%s", name);
    CALL(clGetDeviceIDs(NULL, CL_DEVICE_TYPE_ALL, 1, &device, &n));
    t_say("%u devices", n);
    CALL(clUnloadPlatformCompiler(NULL));
}

static void device_ids(void)
{
    struct t_cl cl = t_open();
    cl_device_id devices[8] = {0}, again[8] = {0};
    cl_uint n = 0;

    CALL(clGetDeviceIDs(cl.platform, CL_DEVICE_TYPE_ALL, 0, NULL, &n));
    t_say("%u devices", n);
    CALL(clGetDeviceIDs(cl.platform, CL_DEVICE_TYPE_ALL, 8, devices, NULL));
    CALL(clGetDeviceIDs(cl.platform, CL_DEVICE_TYPE_ALL, 8, again, NULL));
    t_say("same handles %d", memcmp(devices, again, sizeof devices) == 0);
    CALL(clGetDeviceIDs(cl.platform, CL_DEVICE_TYPE_DEFAULT, 8, again, &n));
    t_say("%u default devices: %s", n, t_handle(again[0]));
    n = 77;
    CALL(clGetDeviceIDs(cl.platform, CL_DEVICE_TYPE_GPU, 8, again, &n));
    t_say("%u GPU devices", n);
    n = 77;
    CALL(clGetDeviceIDs(cl.platform, CL_DEVICE_TYPE_ACCELERATOR, 0, NULL, &n));
    t_say("%u accelerators", n);
    CALL(clGetDeviceIDs(cl.platform, CL_DEVICE_TYPE_CPU, 8, again, &n));
    t_say("%u CPU devices: %s", n, t_handle(again[0]));
    CALL(clGetDeviceIDs(cl.platform, CL_DEVICE_TYPE_CUSTOM, 0, NULL, &n));
    CALL(clGetDeviceIDs(cl.platform, CL_DEVICE_TYPE_CPU | CL_DEVICE_TYPE_GPU, 0, NULL, &n));
    t_say("%u CPU or GPU devices", n);
    CALL(clGetDeviceIDs(cl.platform, 0, 0, NULL, &n));
    CALL(clGetDeviceIDs(cl.platform, 1 << 20, 0, NULL, &n));
    CALL(clGetDeviceIDs(cl.platform, CL_DEVICE_TYPE_ALL, 0, devices, NULL));
    CALL(clGetDeviceIDs(cl.platform, CL_DEVICE_TYPE_ALL, 0, NULL, NULL));
    CALL(clGetDeviceIDs(cl.platform, CL_DEVICE_TYPE_ALL, 1, NULL, NULL));
    t_close(&cl);
}

static void device_strings(void)
{
    struct t_cl cl = t_open();

    INFO(T_STRING, CL_DEVICE_NAME, clGetDeviceInfo, cl.device);
    INFO(T_STRING, CL_DEVICE_VENDOR, clGetDeviceInfo, cl.device);
    INFO(T_STRING, CL_DRIVER_VERSION, clGetDeviceInfo, cl.device);
    INFO(T_STRING, CL_DEVICE_PROFILE, clGetDeviceInfo, cl.device);
    INFO(T_STRING, CL_DEVICE_VERSION, clGetDeviceInfo, cl.device);
    INFO(T_STRING, CL_DEVICE_OPENCL_C_VERSION, clGetDeviceInfo, cl.device);
    INFO(T_STRING, CL_DEVICE_LATEST_CONFORMANCE_VERSION_PASSED, clGetDeviceInfo, cl.device);
    INFO_EDGES(CL_DEVICE_NAME, clGetDeviceInfo, cl.device);
    INFO_EDGES(CL_DEVICE_MAX_WORK_ITEM_SIZES, clGetDeviceInfo, cl.device);
    t_close(&cl);
}

static void device_types(void)
{
    struct t_cl cl = t_open();

    INFO(T_U64, CL_DEVICE_TYPE, clGetDeviceInfo, cl.device);
    INFO(T_U32, CL_DEVICE_VENDOR_ID, clGetDeviceInfo, cl.device);
    INFO(T_HANDLE, CL_DEVICE_PLATFORM, clGetDeviceInfo, cl.device);
    INFO(T_U32, CL_DEVICE_AVAILABLE, clGetDeviceInfo, cl.device);
    INFO(T_U32, CL_DEVICE_COMPILER_AVAILABLE, clGetDeviceInfo, cl.device);
    INFO(T_U32, CL_DEVICE_LINKER_AVAILABLE, clGetDeviceInfo, cl.device);
    INFO(T_U32, CL_DEVICE_ENDIAN_LITTLE, clGetDeviceInfo, cl.device);
    INFO(T_U32, CL_DEVICE_ADDRESS_BITS, clGetDeviceInfo, cl.device);
    INFO(T_U32, CL_DEVICE_ERROR_CORRECTION_SUPPORT, clGetDeviceInfo, cl.device);
    INFO(T_U32, CL_DEVICE_HOST_UNIFIED_MEMORY, clGetDeviceInfo, cl.device);
    INFO(T_U64, CL_DEVICE_PROFILING_TIMER_RESOLUTION, clGetDeviceInfo, cl.device);
    INFO(T_U32, CL_DEVICE_NUMERIC_VERSION, clGetDeviceInfo, cl.device);
    INFO(T_BYTES, CL_DEVICE_OPENCL_C_ALL_VERSIONS, clGetDeviceInfo, cl.device);
    INFO(T_BYTES, CL_DEVICE_OPENCL_C_FEATURES, clGetDeviceInfo, cl.device);
    INFO(T_BYTES, CL_DEVICE_ILS_WITH_VERSION, clGetDeviceInfo, cl.device);
    INFO(T_STRING, CL_DEVICE_IL_VERSION, clGetDeviceInfo, cl.device);
    INFO(T_STRING, CL_DEVICE_BUILT_IN_KERNELS, clGetDeviceInfo, cl.device);
    INFO(T_BYTES, CL_DEVICE_BUILT_IN_KERNELS_WITH_VERSION, clGetDeviceInfo, cl.device);
    INFO(T_U64, CL_DEVICE_QUEUE_PROPERTIES, clGetDeviceInfo, cl.device);
    INFO(T_U64, CL_DEVICE_QUEUE_ON_HOST_PROPERTIES, clGetDeviceInfo, cl.device);
    INFO(T_U64, CL_DEVICE_QUEUE_ON_DEVICE_PROPERTIES, clGetDeviceInfo, cl.device);
    INFO(T_U32, CL_DEVICE_QUEUE_ON_DEVICE_PREFERRED_SIZE, clGetDeviceInfo, cl.device);
    INFO(T_U32, CL_DEVICE_QUEUE_ON_DEVICE_MAX_SIZE, clGetDeviceInfo, cl.device);
    INFO(T_U32, CL_DEVICE_MAX_ON_DEVICE_QUEUES, clGetDeviceInfo, cl.device);
    INFO(T_U32, CL_DEVICE_MAX_ON_DEVICE_EVENTS, clGetDeviceInfo, cl.device);
    INFO(T_BYTES, CL_DEVICE_DEVICE_ENQUEUE_CAPABILITIES, clGetDeviceInfo, cl.device);
    INFO(T_HANDLE, CL_DEVICE_PARENT_DEVICE, clGetDeviceInfo, cl.device);
    INFO(T_U32, CL_DEVICE_PARTITION_MAX_SUB_DEVICES, clGetDeviceInfo, cl.device);
    INFO(T_U64, CL_DEVICE_PARTITION_PROPERTIES, clGetDeviceInfo, cl.device);
    INFO(T_U64, CL_DEVICE_PARTITION_AFFINITY_DOMAIN, clGetDeviceInfo, cl.device);
    INFO(T_U64, CL_DEVICE_PARTITION_TYPE, clGetDeviceInfo, cl.device);
    INFO(T_U32, CL_DEVICE_REFERENCE_COUNT, clGetDeviceInfo, cl.device);
    t_close(&cl);
}

static void device_limits(void)
{
    struct t_cl cl = t_open();

    INFO(T_U32, CL_DEVICE_MAX_COMPUTE_UNITS, clGetDeviceInfo, cl.device);
    INFO(T_SIZE, CL_DEVICE_MAX_CLOCK_FREQUENCY, clGetDeviceInfo, cl.device); /* varies */
    INFO(T_U32, CL_DEVICE_MAX_WORK_ITEM_DIMENSIONS, clGetDeviceInfo, cl.device);
    INFO(T_U64, CL_DEVICE_MAX_WORK_GROUP_SIZE, clGetDeviceInfo, cl.device);
    INFO(T_U64, CL_DEVICE_MAX_WORK_ITEM_SIZES, clGetDeviceInfo, cl.device);
    INFO(T_U64, CL_DEVICE_PREFERRED_WORK_GROUP_SIZE_MULTIPLE, clGetDeviceInfo, cl.device);
    INFO(T_U32, CL_DEVICE_PREFERRED_VECTOR_WIDTH_CHAR, clGetDeviceInfo, cl.device);
    INFO(T_U32, CL_DEVICE_PREFERRED_VECTOR_WIDTH_SHORT, clGetDeviceInfo, cl.device);
    INFO(T_U32, CL_DEVICE_PREFERRED_VECTOR_WIDTH_INT, clGetDeviceInfo, cl.device);
    INFO(T_U32, CL_DEVICE_PREFERRED_VECTOR_WIDTH_LONG, clGetDeviceInfo, cl.device);
    INFO(T_U32, CL_DEVICE_PREFERRED_VECTOR_WIDTH_FLOAT, clGetDeviceInfo, cl.device);
    INFO(T_U32, CL_DEVICE_PREFERRED_VECTOR_WIDTH_DOUBLE, clGetDeviceInfo, cl.device);
    INFO(T_U32, CL_DEVICE_PREFERRED_VECTOR_WIDTH_HALF, clGetDeviceInfo, cl.device);
    INFO(T_U32, CL_DEVICE_NATIVE_VECTOR_WIDTH_CHAR, clGetDeviceInfo, cl.device);
    INFO(T_U32, CL_DEVICE_NATIVE_VECTOR_WIDTH_SHORT, clGetDeviceInfo, cl.device);
    INFO(T_U32, CL_DEVICE_NATIVE_VECTOR_WIDTH_INT, clGetDeviceInfo, cl.device);
    INFO(T_U32, CL_DEVICE_NATIVE_VECTOR_WIDTH_LONG, clGetDeviceInfo, cl.device);
    INFO(T_U32, CL_DEVICE_NATIVE_VECTOR_WIDTH_FLOAT, clGetDeviceInfo, cl.device);
    INFO(T_U32, CL_DEVICE_NATIVE_VECTOR_WIDTH_DOUBLE, clGetDeviceInfo, cl.device);
    INFO(T_U32, CL_DEVICE_NATIVE_VECTOR_WIDTH_HALF, clGetDeviceInfo, cl.device);
    INFO(T_U64, 0x1033 /* CL_DEVICE_HALF_FP_CONFIG */, clGetDeviceInfo, cl.device);
    INFO(T_U64, CL_DEVICE_SINGLE_FP_CONFIG, clGetDeviceInfo, cl.device);
    INFO(T_U64, CL_DEVICE_DOUBLE_FP_CONFIG, clGetDeviceInfo, cl.device);
    INFO(T_U32, CL_DEVICE_MAX_NUM_SUB_GROUPS, clGetDeviceInfo, cl.device);
    INFO(T_U32, CL_DEVICE_SUB_GROUP_INDEPENDENT_FORWARD_PROGRESS, clGetDeviceInfo, cl.device);
    INFO(T_U32, CL_DEVICE_NON_UNIFORM_WORK_GROUP_SUPPORT, clGetDeviceInfo, cl.device);
    INFO(T_U32, CL_DEVICE_WORK_GROUP_COLLECTIVE_FUNCTIONS_SUPPORT, clGetDeviceInfo, cl.device);
    INFO(T_U32, CL_DEVICE_GENERIC_ADDRESS_SPACE_SUPPORT, clGetDeviceInfo, cl.device);
    INFO(T_U32, CL_DEVICE_PREFERRED_INTEROP_USER_SYNC, clGetDeviceInfo, cl.device);
    INFO(T_U64, CL_DEVICE_PRINTF_BUFFER_SIZE, clGetDeviceInfo, cl.device);
    t_close(&cl);
}

static void device_memory(void)
{
    struct t_cl cl = t_open();

    /* These two, and the size of image buffers, follow the memory that is free when the process starts. */
    INFO(T_SIZE, CL_DEVICE_GLOBAL_MEM_SIZE, clGetDeviceInfo, cl.device);
    INFO(T_SIZE, CL_DEVICE_MAX_MEM_ALLOC_SIZE, clGetDeviceInfo, cl.device);
    INFO(T_U32, CL_DEVICE_GLOBAL_MEM_CACHE_TYPE, clGetDeviceInfo, cl.device);
    INFO(T_U32, CL_DEVICE_GLOBAL_MEM_CACHELINE_SIZE, clGetDeviceInfo, cl.device);
    INFO(T_U64, CL_DEVICE_GLOBAL_MEM_CACHE_SIZE, clGetDeviceInfo, cl.device);
    INFO(T_U64, CL_DEVICE_MAX_CONSTANT_BUFFER_SIZE, clGetDeviceInfo, cl.device);
    INFO(T_U32, CL_DEVICE_MAX_CONSTANT_ARGS, clGetDeviceInfo, cl.device);
    INFO(T_U32, CL_DEVICE_LOCAL_MEM_TYPE, clGetDeviceInfo, cl.device);
    INFO(T_U64, CL_DEVICE_LOCAL_MEM_SIZE, clGetDeviceInfo, cl.device);
    INFO(T_U64, CL_DEVICE_MAX_PARAMETER_SIZE, clGetDeviceInfo, cl.device);
    INFO(T_U64, CL_DEVICE_MAX_GLOBAL_VARIABLE_SIZE, clGetDeviceInfo, cl.device);
    INFO(T_U64, CL_DEVICE_GLOBAL_VARIABLE_PREFERRED_TOTAL_SIZE, clGetDeviceInfo, cl.device);
    INFO(T_U32, CL_DEVICE_MEM_BASE_ADDR_ALIGN, clGetDeviceInfo, cl.device);
    INFO(T_U32, CL_DEVICE_MIN_DATA_TYPE_ALIGN_SIZE, clGetDeviceInfo, cl.device);
    INFO(T_U32, CL_DEVICE_PREFERRED_PLATFORM_ATOMIC_ALIGNMENT, clGetDeviceInfo, cl.device);
    INFO(T_U32, CL_DEVICE_PREFERRED_GLOBAL_ATOMIC_ALIGNMENT, clGetDeviceInfo, cl.device);
    INFO(T_U32, CL_DEVICE_PREFERRED_LOCAL_ATOMIC_ALIGNMENT, clGetDeviceInfo, cl.device);
    INFO(T_U64, CL_DEVICE_ATOMIC_MEMORY_CAPABILITIES, clGetDeviceInfo, cl.device);
    INFO(T_U64, CL_DEVICE_ATOMIC_FENCE_CAPABILITIES, clGetDeviceInfo, cl.device);
    INFO(T_U32, CL_DEVICE_PIPE_SUPPORT, clGetDeviceInfo, cl.device);
    INFO(T_U32, CL_DEVICE_MAX_PIPE_ARGS, clGetDeviceInfo, cl.device);
    INFO(T_U32, CL_DEVICE_PIPE_MAX_ACTIVE_RESERVATIONS, clGetDeviceInfo, cl.device);
    INFO(T_U32, CL_DEVICE_PIPE_MAX_PACKET_SIZE, clGetDeviceInfo, cl.device);
    t_close(&cl);
}

static void device_images(void)
{
    struct t_cl cl = t_open();

    INFO(T_U32, CL_DEVICE_IMAGE_SUPPORT, clGetDeviceInfo, cl.device);
    INFO(T_U32, CL_DEVICE_MAX_READ_IMAGE_ARGS, clGetDeviceInfo, cl.device);
    INFO(T_U32, CL_DEVICE_MAX_WRITE_IMAGE_ARGS, clGetDeviceInfo, cl.device);
    INFO(T_U32, CL_DEVICE_MAX_READ_WRITE_IMAGE_ARGS, clGetDeviceInfo, cl.device);
    INFO(T_U64, CL_DEVICE_IMAGE2D_MAX_WIDTH, clGetDeviceInfo, cl.device);
    INFO(T_U64, CL_DEVICE_IMAGE2D_MAX_HEIGHT, clGetDeviceInfo, cl.device);
    INFO(T_U64, CL_DEVICE_IMAGE3D_MAX_WIDTH, clGetDeviceInfo, cl.device);
    INFO(T_U64, CL_DEVICE_IMAGE3D_MAX_HEIGHT, clGetDeviceInfo, cl.device);
    INFO(T_U64, CL_DEVICE_IMAGE3D_MAX_DEPTH, clGetDeviceInfo, cl.device);
    INFO(T_SIZE, CL_DEVICE_IMAGE_MAX_BUFFER_SIZE, clGetDeviceInfo, cl.device);
    INFO(T_U64, CL_DEVICE_IMAGE_MAX_ARRAY_SIZE, clGetDeviceInfo, cl.device);
    INFO(T_U32, CL_DEVICE_MAX_SAMPLERS, clGetDeviceInfo, cl.device);
    INFO(T_U32, CL_DEVICE_IMAGE_PITCH_ALIGNMENT, clGetDeviceInfo, cl.device);
    INFO(T_U32, CL_DEVICE_IMAGE_BASE_ADDRESS_ALIGNMENT, clGetDeviceInfo, cl.device);
    t_close(&cl);
}

/* What a virtual stack may filter, apart from the rest. */
static void device_capabilities(void)
{
    struct t_cl cl = t_open();

    INFO(T_U64, CL_DEVICE_EXECUTION_CAPABILITIES, clGetDeviceInfo, cl.device);
    INFO(T_U64, CL_DEVICE_SVM_CAPABILITIES, clGetDeviceInfo, cl.device);
    INFO(T_STRING, CL_DEVICE_EXTENSIONS, clGetDeviceInfo, cl.device);
    INFO(T_BYTES, CL_DEVICE_EXTENSIONS_WITH_VERSION, clGetDeviceInfo, cl.device);
    t_close(&cl);
}

/* Timers are CL_INVALID_OPERATION where the platform's host timer resolution is 0. */
static void timers(void)
{
    struct t_cl cl = t_open();
    cl_ulong device1 = 0, host1 = 0, host2 = 0;
    cl_int error = CALL(clGetDeviceAndHostTimer(cl.device, &device1, &host1));

    CALL(clGetDeviceAndHostTimer(NULL, &device1, &host1));
    CALL(clGetHostTimer(cl.device, &host2));
    CALL(clGetHostTimer(NULL, &host2));
    CALL(clGetHostTimer(cl.device, NULL));
    CALL(clGetDeviceAndHostTimer(cl.device, NULL, &host1));
    if (!error)
        CHECK(host2 >= host1);
    t_close(&cl);
}

static void unload_compiler(void)
{
    struct t_cl cl = t_open();

    CALL(clUnloadPlatformCompiler(cl.platform));
    cl_kernel kernel = t_kernel(&cl, "inc"); /* it is loaded again when needed */
    CHECK(kernel);
    OK(clReleaseKernel(kernel));
    t_close(&cl);
}

static void show_sub_device(cl_device_id device)
{
    INFO(T_U32, CL_DEVICE_MAX_COMPUTE_UNITS, clGetDeviceInfo, device);
    INFO(T_HANDLE, CL_DEVICE_PARENT_DEVICE, clGetDeviceInfo, device);
    INFO(T_U64, CL_DEVICE_PARTITION_TYPE, clGetDeviceInfo, device);
    INFO(T_U64, CL_DEVICE_PARTITION_PROPERTIES, clGetDeviceInfo, device);
    INFO(T_U32, CL_DEVICE_PARTITION_MAX_SUB_DEVICES, clGetDeviceInfo, device);
    INFO(T_U32, CL_DEVICE_REFERENCE_COUNT, clGetDeviceInfo, device);
    INFO(T_STRING, CL_DEVICE_NAME, clGetDeviceInfo, device);
    INFO(T_HANDLE, CL_DEVICE_PLATFORM, clGetDeviceInfo, device);
}

static void partition_equally(void)
{
    const cl_device_partition_property equally[] = {CL_DEVICE_PARTITION_EQUALLY, 1, 0};
    struct t_cl cl = t_open();
    cl_device_id parts[8] = {0};
    cl_uint n = 0;

    CALL(clCreateSubDevices(cl.device, equally, 0, NULL, &n));
    t_say("%u parts", n);
    CALL(clCreateSubDevices(cl.device, equally, 1, parts, NULL));
    CALL(clCreateSubDevices(cl.device, equally, 8, parts, &n));
    for (cl_uint i = 0; i < n; i++)
        show_sub_device(parts[i]);
    CALL(clRetainDevice(parts[0]));
    INFO(T_U32, CL_DEVICE_REFERENCE_COUNT, clGetDeviceInfo, parts[0]);
    CALL(clReleaseDevice(parts[0]));
    INFO(T_U32, CL_DEVICE_REFERENCE_COUNT, clGetDeviceInfo, parts[0]);
    for (cl_uint i = 0; i < n; i++)
        CALL(clReleaseDevice(parts[i]));
    t_close(&cl);
}

static void partition_by_counts(void)
{
    const cl_device_partition_property counts[] = {CL_DEVICE_PARTITION_BY_COUNTS, 1, 1,
                                                   CL_DEVICE_PARTITION_BY_COUNTS_LIST_END, 0};
    struct t_cl cl = t_open();
    cl_device_id parts[8] = {0};
    cl_uint n = 0;

    CALL(clCreateSubDevices(cl.device, counts, 8, parts, &n));
    t_say("%u parts", n);
    for (cl_uint i = 0; i < n; i++) {
        show_sub_device(parts[i]);
        OK(clReleaseDevice(parts[i]));
    }
    t_close(&cl);
}

static void partition_errors(void)
{
    const cl_device_partition_property none[] = {0};
    const cl_device_partition_property zero[] = {CL_DEVICE_PARTITION_EQUALLY, 0, 0};
    const cl_device_partition_property huge[] = {CL_DEVICE_PARTITION_EQUALLY, 1000, 0};
    const cl_device_partition_property many[] = {CL_DEVICE_PARTITION_BY_COUNTS, 500, 500,
                                                 CL_DEVICE_PARTITION_BY_COUNTS_LIST_END, 0};
    const cl_device_partition_property numa[] = {CL_DEVICE_PARTITION_BY_AFFINITY_DOMAIN, CL_DEVICE_AFFINITY_DOMAIN_NUMA,
                                                 0};
    const cl_device_partition_property unknown[] = {0xBEEF, 1, 0};
    struct t_cl cl = t_open();
    cl_device_id parts[8] = {0};
    cl_uint n = 0;

    CALL(clCreateSubDevices(NULL, huge, 8, parts, &n));
    CALL(clCreateSubDevices(cl.device, NULL, 8, parts, &n));
    CALL(clCreateSubDevices(cl.device, none, 8, parts, &n));
    CALL(clCreateSubDevices(cl.device, zero, 8, parts, &n));
    CALL(clCreateSubDevices(cl.device, huge, 8, parts, &n));
    CALL(clCreateSubDevices(cl.device, many, 8, parts, &n));
    CALL(clCreateSubDevices(cl.device, numa, 8, parts, &n));
    CALL(clCreateSubDevices(cl.device, unknown, 8, parts, &n));
    t_close(&cl);
}

/* Work runs on a sub-device, and everything made from it names it rather than its parent. */
static void sub_device_work(void)
{
    const cl_device_partition_property equally[] = {CL_DEVICE_PARTITION_EQUALLY, 1, 0};
    struct t_cl cl = t_open(), sub = cl;
    cl_device_id parts[8] = {0};
    cl_uint n = 0;
    size_t global = 64;

    OK(clCreateSubDevices(cl.device, equally, 8, parts, &n));
    sub.device = parts[0];
    t_name(parts[0], "part0");
    sub.context = GET(clCreateContext(NULL, 1, &sub.device, NULL, NULL, &t_error));
    sub.queue = GET(clCreateCommandQueueWithProperties(sub.context, sub.device, NULL, &t_error));
    INFO(T_HANDLE, CL_CONTEXT_DEVICES, clGetContextInfo, sub.context);
    INFO(T_HANDLE, CL_QUEUE_DEVICE, clGetCommandQueueInfo, sub.queue);
    INFO(T_U32, CL_DEVICE_REFERENCE_COUNT, clGetDeviceInfo, sub.device);
    cl_mem buffer = t_ints(&sub, 64);
    cl_kernel kernel = t_kernel(&sub, "inc");
    OK(clSetKernelArg(kernel, 0, sizeof buffer, &buffer));
    CALL(clEnqueueNDRangeKernel(sub.queue, kernel, 1, NULL, &global, NULL, 0, NULL, NULL));
    t_show_ints(&sub, buffer, 64);
    OK(clReleaseKernel(kernel));
    OK(clReleaseMemObject(buffer));
    t_close(&sub);
    for (cl_uint i = 0; i < n; i++)
        OK(clReleaseDevice(parts[i]));
    t_close(&cl);
}

/* Root devices are not counted: retain and release succeed and change nothing. */
static void root_device_references(void)
{
    struct t_cl cl = t_open();

    CALL(clRetainDevice(cl.device));
    INFO(T_U32, CL_DEVICE_REFERENCE_COUNT, clGetDeviceInfo, cl.device);
    CALL(clReleaseDevice(cl.device));
    CALL(clReleaseDevice(cl.device));
    INFO(T_U32, CL_DEVICE_REFERENCE_COUNT, clGetDeviceInfo, cl.device);
    CALL(clRetainDevice(NULL));
    CALL(clReleaseDevice(NULL));
    t_close(&cl);
}

T_MAIN(T(platform_ids), T(platform_info), T(platform_extensions), T(platform_null), T(device_ids), T(device_strings),
       T(device_types), T(device_limits), T(device_memory), T(device_images), T(device_capabilities), T(timers),
       T(unload_compiler), T(partition_equally), T(partition_by_counts), T(partition_errors), T(sub_device_work),
       T(root_device_references))
