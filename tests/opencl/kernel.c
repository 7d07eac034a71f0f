/*
 * OpenCL conformance: kernels, arguments of every kind, ranges, infos, clones.
 * SPDX-License-Identifier: Apache-2.0
 */
#define CL_USE_DEPRECATED_OPENCL_1_2_APIS
#include "t.h"

enum { N = 64 };

/* Arguments of every kind; one source for all subtests here. */
static const char *const args_source =
    "typedef struct { uchar c; int i; double d; uchar tail[5]; } mixed;\n"
    "kernel void by_value(global long *out, char c, short s, int i, long l, float f, double d, int4 v) {\n"
    "  out[0] = c; out[1] = s; out[2] = i; out[3] = l; out[4] = (long)(f * 4); out[5] = (long)(d * 8);\n"
    "  out[6] = v.x; out[7] = v.w; }\n"
    "kernel void by_struct(global long *out, mixed m) {\n"
    "  out[0] = m.c; out[1] = m.i; out[2] = (long)m.d; out[3] = m.tail[4]; }\n"
    "kernel void address(global long *out, ulong looks_like_pointer) { out[0] = looks_like_pointer; }\n"
    "kernel void constants(global int *out, constant int *table, int n) {\n"
    "  out[get_global_id(0)] = table[get_global_id(0) % n]; }\n"
    "kernel void two_locals(global int *out, local int *a, local int *b) {\n"
    "  int l = get_local_id(0); a[l] = l; b[l] = 10 * l; barrier(CLK_LOCAL_MEM_FENCE);\n"
    "  int n = get_local_size(0); out[get_global_id(0)] = a[n - 1 - l] + b[n - 1 - l]; }\n"
    "kernel void sampled(global float4 *out, read_only image2d_t image, sampler_t sampler) {\n"
    "  int i = get_global_id(0); out[i] = read_imagef(image, sampler, (float2)(i + 0.5f, 0.5f)); }\n"
    "kernel void painted(write_only image2d_t image, float4 colour) {\n"
    "  write_imagef(image, (int2)(get_global_id(0), get_global_id(1)), colour); }\n"
    "kernel __attribute__((reqd_work_group_size(8, 1, 1))) void fixed(global int *out) {\n"
    "  out[get_global_id(0)] = get_local_size(0); }\n"
    "kernel __attribute__((work_group_size_hint(16, 1, 1))) __attribute__((vec_type_hint(float4)))\n"
    "void hinted(global const volatile int *restrict a, constant float *b, local char *c, const int d) {}\n"
    "kernel void none(void) {}\n";

struct mixed {
    cl_uchar c;
    cl_int i;
    cl_double d;
    cl_uchar tail[5];
};

static cl_program args_program(const struct t_cl *cl, const char *options)
{
    const char *source = args_source;
    cl_program program = GET(clCreateProgramWithSource(cl->context, 1, &source, NULL, &t_error));

    OK(clBuildProgram(program, 1, &cl->device, options, NULL, NULL));
    return program;
}

static cl_kernel args_kernel(const struct t_cl *cl, const char *name)
{
    cl_program program = args_program(cl, "");
    cl_kernel kernel = GET(clCreateKernel(program, name, &t_error));

    OK(clReleaseProgram(program));
    return kernel;
}

static void run(const struct t_cl *cl, cl_kernel kernel, size_t global, size_t local)
{
    CALL(clEnqueueNDRangeKernel(cl->queue, kernel, 1, NULL, &global, local ? &local : NULL, 0, NULL, NULL));
    OK(clFinish(cl->queue));
}

static void show_longs(const struct t_cl *cl, cl_mem out, size_t n)
{
    cl_long values[16];

    OK(clEnqueueReadBuffer(cl->queue, out, CL_TRUE, 0, n * sizeof values[0], values, 0, NULL, NULL));
    for (size_t i = 0; i < n; i++)
        t_say("out[%zu] = %lld", i, (long long)values[i]);
}

static cl_mem zeroed(const struct t_cl *cl, size_t size)
{
    void *zeros = calloc(1, size);
    cl_mem buffer = GET(clCreateBuffer(cl->context, CL_MEM_COPY_HOST_PTR, size, zeros, &t_error));

    free(zeros);
    return buffer;
}

static void arg_values(void)
{
    struct t_cl cl = t_open();
    cl_kernel kernel = args_kernel(&cl, "by_value");
    cl_mem out = zeroed(&cl, 128);
    cl_char c = -3;
    cl_short s = -300;
    cl_int i = -70000;
    cl_long l = -5000000000ll;
    cl_float f = 2.25f;
    cl_double d = -1.125;
    cl_int4 v = {{11, 12, 13, 14}};

    CALL(clSetKernelArg(kernel, 0, sizeof out, &out));
    CALL(clSetKernelArg(kernel, 1, sizeof c, &c));
    CALL(clSetKernelArg(kernel, 2, sizeof s, &s));
    CALL(clSetKernelArg(kernel, 3, sizeof i, &i));
    CALL(clSetKernelArg(kernel, 4, sizeof l, &l));
    CALL(clSetKernelArg(kernel, 5, sizeof f, &f));
    CALL(clSetKernelArg(kernel, 6, sizeof d, &d));
    CALL(clSetKernelArg(kernel, 7, sizeof v, &v));
    run(&cl, kernel, 1, 1);
    show_longs(&cl, out, 8);
    OK(clReleaseKernel(kernel));
    OK(clReleaseMemObject(out));
    t_close(&cl);
}

static void arg_struct(void)
{
    struct t_cl cl = t_open();
    cl_kernel kernel = args_kernel(&cl, "by_struct");
    cl_mem out = zeroed(&cl, 128);
    struct mixed m;

    memset(&m, 0, sizeof m);
    m.c = 200, m.i = -9, m.d = 1e12, m.tail[4] = 99;
    CALL(clSetKernelArg(kernel, 0, sizeof out, &out));
    CALL(clSetKernelArg(kernel, 1, sizeof m, &m));
    memset(&m, 0, sizeof m); /* taken at the call */
    run(&cl, kernel, 1, 1);
    show_longs(&cl, out, 4);
    CALL(clSetKernelArg(kernel, 1, sizeof m - 8, &m));
    OK(clReleaseKernel(kernel));
    OK(clReleaseMemObject(out));
    t_close(&cl);
}

/* Eight bytes that are the address of an object, or its handle, are still a number to a kernel that takes a number. */
static void arg_like_pointer(void)
{
    struct t_cl cl = t_open();
    cl_kernel kernel = args_kernel(&cl, "address");
    cl_mem out = zeroed(&cl, 128), other = zeroed(&cl, 128);
    cl_ulong values[] = {(cl_ulong)(uintptr_t)other, (cl_ulong)(uintptr_t)&cl, 0, ~0ull, (cl_ulong)(uintptr_t)kernel};

    OK(clSetKernelArg(kernel, 0, sizeof out, &out));
    for (size_t i = 0; i < COUNT(values); i++) {
        cl_ulong back = 0;

        CALL(clSetKernelArg(kernel, 1, sizeof values[i], &values[i]));
        run(&cl, kernel, 1, 1);
        OK(clEnqueueReadBuffer(cl.queue, out, CL_TRUE, 0, sizeof back, &back, 0, NULL, NULL));
        CHECK(back == values[i]);
    }
    INFO(T_U32, CL_MEM_REFERENCE_COUNT, clGetMemObjectInfo, other);
    OK(clReleaseKernel(kernel));
    OK(clReleaseMemObject(out));
    OK(clReleaseMemObject(other));
    t_close(&cl);
}

/* A NULL buffer: by a NULL value or by a NULL handle. */
static void arg_null_buffer(void)
{
    struct t_cl cl = t_open();
    cl_kernel kernel = t_kernel(&cl, "is_null");
    cl_mem out = zeroed(&cl, 128), null = NULL;

    OK(clSetKernelArg(kernel, 0, sizeof out, &out));
    CALL(clSetKernelArg(kernel, 1, sizeof out, &out));
    run(&cl, kernel, 1, 1);
    t_show_ints(&cl, out, 1);
    CALL(clSetKernelArg(kernel, 1, sizeof null, &null));
    run(&cl, kernel, 1, 1);
    t_show_ints(&cl, out, 1);
    CALL(clSetKernelArg(kernel, 1, sizeof null, NULL));
    run(&cl, kernel, 1, 1);
    t_show_ints(&cl, out, 1);
    OK(clReleaseKernel(kernel));
    OK(clReleaseMemObject(out));
    t_close(&cl);
}

static void arg_local(void)
{
    struct t_cl cl = t_open();
    cl_kernel reverse = t_kernel(&cl, "reverse"), two = args_kernel(&cl, "two_locals");
    cl_mem out = t_ints(&cl, N);
    cl_ulong local_size = 0;

    OK(clSetKernelArg(reverse, 0, sizeof out, &out));
    CALL(clSetKernelArg(reverse, 1, 8 * sizeof(cl_int), NULL));
    run(&cl, reverse, N, 8);
    t_show_ints(&cl, out, N);
    OK(clSetKernelArg(two, 0, sizeof out, &out));
    CALL(clSetKernelArg(two, 1, 8 * sizeof(cl_int), NULL));
    CALL(clSetKernelArg(two, 2, 16 * sizeof(cl_int), NULL));
    run(&cl, two, N, 8);
    t_show_ints(&cl, out, N);
    OK(clGetKernelWorkGroupInfo(two, cl.device, CL_KERNEL_LOCAL_MEM_SIZE, sizeof local_size, &local_size, NULL));
    t_say("local memory %llu", (unsigned long long)local_size);
    CALL(clSetKernelArg(reverse, 1, 0, NULL));
    CALL(clSetKernelArg(reverse, 1, 4, &local_size));
    OK(clReleaseKernel(reverse));
    OK(clReleaseKernel(two));
    OK(clReleaseMemObject(out));
    t_close(&cl);
}

static void arg_constant(void)
{
    struct t_cl cl = t_open();
    cl_kernel kernel = args_kernel(&cl, "constants");
    cl_mem out = zeroed(&cl, N * sizeof(cl_int)), table = t_ints(&cl, 5);
    cl_int n = 5;

    OK(clSetKernelArg(kernel, 0, sizeof out, &out));
    CALL(clSetKernelArg(kernel, 1, sizeof table, &table));
    OK(clSetKernelArg(kernel, 2, sizeof n, &n));
    run(&cl, kernel, N, 0);
    t_show_ints(&cl, out, N);
    OK(clReleaseKernel(kernel));
    OK(clReleaseMemObject(out));
    OK(clReleaseMemObject(table));
    t_close(&cl);
}

static void arg_image_and_sampler(void)
{
    struct t_cl cl = t_open();
    cl_kernel sampled = args_kernel(&cl, "sampled"), painted = args_kernel(&cl, "painted");
    const cl_image_format format = {CL_RGBA, CL_UNORM_INT8};
    const cl_image_desc desc = {.image_type = CL_MEM_OBJECT_IMAGE2D, .image_width = 8, .image_height = 4};
    cl_mem image = GET(clCreateImage(cl.context, 0, &format, &desc, NULL, &t_error));
    cl_sampler sampler = GET(clCreateSampler(cl.context, CL_FALSE, CL_ADDRESS_CLAMP, CL_FILTER_NEAREST, &t_error));
    cl_mem out = zeroed(&cl, 8 * 16);
    cl_float4 colour = {{0, 0.2f, 0.4f, 1}}, back[8];
    const size_t size[2] = {8, 4};

    CALL(clSetKernelArg(painted, 0, sizeof image, &image));
    CALL(clSetKernelArg(painted, 1, sizeof colour, &colour));
    CALL(clEnqueueNDRangeKernel(cl.queue, painted, 2, NULL, size, NULL, 0, NULL, NULL));
    CALL(clSetKernelArg(sampled, 0, sizeof out, &out));
    CALL(clSetKernelArg(sampled, 1, sizeof image, &image));
    CALL(clSetKernelArg(sampled, 2, sizeof sampler, &sampler));
    run(&cl, sampled, 8, 0);
    OK(clEnqueueReadBuffer(cl.queue, out, CL_TRUE, 0, sizeof back, back, 0, NULL, NULL));
    t_say("%.3f %.3f %.3f %.3f", back[7].s[0], back[7].s[1], back[7].s[2], back[7].s[3]);
    t_say("checksum %08x", t_sum(back, sizeof back));
    CALL(clSetKernelArg(sampled, 2, 4, &sampler));
    CALL(clSetKernelArg(sampled, 1, 4, &image));
    OK(clReleaseSampler(sampler));
    OK(clReleaseKernel(sampled));
    OK(clReleaseKernel(painted));
    OK(clReleaseMemObject(out));
    OK(clReleaseMemObject(image));
    t_close(&cl);
}

static void arg_errors(void)
{
    struct t_cl cl = t_open();
    cl_kernel kernel = t_kernel(&cl, "scale");
    cl_mem out = t_ints(&cl, N);
    cl_int k = 3;
    cl_long wide = 3;

    CALL(clSetKernelArg(NULL, 0, sizeof out, &out));
    CALL(clSetKernelArg(kernel, 3, sizeof k, &k));
    CALL(clSetKernelArg(kernel, ~0u, sizeof k, &k));
    CALL(clSetKernelArg(kernel, 0, 4, &out));
    CALL(clSetKernelArg(kernel, 0, 16, &out));
    CALL(clSetKernelArg(kernel, 2, sizeof wide, &wide));
    CALL(clSetKernelArg(kernel, 2, 2, &k));
    CALL(clSetKernelArg(kernel, 2, 0, &k));
    CALL(clSetKernelArg(kernel, 2, sizeof k, NULL));
    OK(clReleaseKernel(kernel));
    OK(clReleaseMemObject(out));
    t_close(&cl);
}

/* Arguments that were never set are found when the kernel is enqueued; those once set stay. */
static void unset_args(void)
{
    struct t_cl cl = t_open();
    cl_kernel kernel = t_kernel(&cl, "scale");
    cl_mem out = zeroed(&cl, N * sizeof(cl_int)), in = t_ints(&cl, N);
    cl_int k = 3;
    size_t global = N;

    CALL(clEnqueueNDRangeKernel(cl.queue, kernel, 1, NULL, &global, NULL, 0, NULL, NULL));
    OK(clSetKernelArg(kernel, 0, sizeof out, &out));
    CALL(clEnqueueNDRangeKernel(cl.queue, kernel, 1, NULL, &global, NULL, 0, NULL, NULL));
    OK(clSetKernelArg(kernel, 1, sizeof in, &in));
    OK(clSetKernelArg(kernel, 2, sizeof k, &k));
    run(&cl, kernel, N, 0);
    t_show_ints(&cl, out, N);
    k = 5;
    OK(clSetKernelArg(kernel, 2, sizeof k, &k));
    run(&cl, kernel, N, 0);
    t_show_ints(&cl, out, N);
    OK(clReleaseKernel(kernel));
    OK(clReleaseMemObject(out));
    OK(clReleaseMemObject(in));
    t_close(&cl);
}

/* A command takes the arguments as they are when it is enqueued. */
static void args_at_enqueue(void)
{
    struct t_cl cl = t_open();
    cl_kernel kernel = t_kernel(&cl, "scale");
    cl_mem outs[4], in = t_ints(&cl, N);
    cl_event gate = GET(clCreateUserEvent(cl.context, &t_error));
    size_t global = N;

    OK(clSetKernelArg(kernel, 1, sizeof in, &in));
    for (cl_int i = 0; i < 4; i++) {
        outs[i] = zeroed(&cl, N * sizeof(cl_int));
        OK(clSetKernelArg(kernel, 0, sizeof outs[i], &outs[i]));
        OK(clSetKernelArg(kernel, 2, sizeof i, &i));
        OK(clEnqueueNDRangeKernel(cl.queue, kernel, 1, NULL, &global, NULL, 1, &gate, NULL));
    }
    OK(clSetUserEventStatus(gate, CL_COMPLETE));
    for (int i = 0; i < 4; i++) {
        t_show_ints(&cl, outs[i], N);
        OK(clReleaseMemObject(outs[i]));
    }
    OK(clReleaseEvent(gate));
    OK(clReleaseKernel(kernel));
    OK(clReleaseMemObject(in));
    t_close(&cl);
}

/* The buffer may be released between clSetKernelArg and the enqueue: natively the kernel does not hold it, so the
 * application keeps it; after the enqueue the command holds it. */
static void release_after_enqueue(void)
{
    struct t_cl cl = t_open();
    cl_kernel kernel = t_kernel(&cl, "scale");
    cl_mem out = zeroed(&cl, N * sizeof(cl_int)), in = t_ints(&cl, N);
    cl_int k = 3;
    cl_event gate = GET(clCreateUserEvent(cl.context, &t_error));
    size_t global = N;

    OK(clSetKernelArg(kernel, 0, sizeof out, &out));
    OK(clSetKernelArg(kernel, 1, sizeof in, &in));
    OK(clSetKernelArg(kernel, 2, sizeof k, &k));
    INFO(T_U32, CL_MEM_REFERENCE_COUNT, clGetMemObjectInfo, in);
    CALL(clEnqueueNDRangeKernel(cl.queue, kernel, 1, NULL, &global, NULL, 1, &gate, NULL));
    CALL(clReleaseMemObject(in));
    CALL(clReleaseKernel(kernel));
    CALL(clSetUserEventStatus(gate, CL_COMPLETE));
    t_show_ints(&cl, out, N);
    OK(clReleaseEvent(gate));
    OK(clReleaseMemObject(out));
    t_close(&cl);
}

static void ranges(void)
{
    struct t_cl cl = t_open();
    cl_kernel kernel = t_kernel(&cl, "ids");
    cl_mem out = zeroed(&cl, 512 * sizeof(cl_int));
    const size_t one[] = {512}, two[] = {32, 16}, three[] = {8, 8, 8}, local[] = {4, 2, 2}, offset[] = {3, 5, 7};

    OK(clSetKernelArg(kernel, 0, sizeof out, &out));
    CALL(clEnqueueNDRangeKernel(cl.queue, kernel, 1, NULL, one, NULL, 0, NULL, NULL));
    t_show_ints(&cl, out, 512);
    CALL(clEnqueueNDRangeKernel(cl.queue, kernel, 2, NULL, two, NULL, 0, NULL, NULL));
    t_show_ints(&cl, out, 512);
    CALL(clEnqueueNDRangeKernel(cl.queue, kernel, 3, NULL, three, local, 0, NULL, NULL));
    t_show_ints(&cl, out, 512);
    CALL(clEnqueueNDRangeKernel(cl.queue, kernel, 3, offset, three, local, 0, NULL, NULL));
    t_show_ints(&cl, out, 512);
    OK(clReleaseKernel(kernel));
    OK(clReleaseMemObject(out));
    t_close(&cl);
}

static void range_errors(void)
{
    struct t_cl cl = t_open();
    cl_kernel kernel = t_kernel(&cl, "inc");
    cl_mem out = t_ints(&cl, N);
    const size_t global[] = {64, 1, 1}, zero[] = {0, 1, 1}, odd[] = {7, 1, 1}, huge[] = {1 << 20, 1, 1},
                 nothing[] = {0, 0, 0}, long_range[] = {1 << 20, 1, 1};

    OK(clSetKernelArg(kernel, 0, sizeof out, &out));
    CALL(clEnqueueNDRangeKernel(NULL, kernel, 1, NULL, global, NULL, 0, NULL, NULL));
    /* No NULL kernel: the native library reads it. */
    CALL(clEnqueueNDRangeKernel(cl.queue, kernel, 0, NULL, global, NULL, 0, NULL, NULL));
    CALL(clEnqueueNDRangeKernel(cl.queue, kernel, 4, NULL, global, NULL, 0, NULL, NULL));
    CALL(clEnqueueNDRangeKernel(cl.queue, kernel, 1, NULL, NULL, NULL, 0, NULL, NULL));
    CALL(clEnqueueNDRangeKernel(cl.queue, kernel, 1, NULL, zero, NULL, 0, NULL, NULL));
    CALL(clEnqueueNDRangeKernel(cl.queue, kernel, 1, NULL, global, odd, 0, NULL, NULL));
    CALL(clEnqueueNDRangeKernel(cl.queue, kernel, 1, NULL, long_range, huge, 0, NULL, NULL));
    CALL(clEnqueueNDRangeKernel(cl.queue, kernel, 1, NULL, global, nothing, 0, NULL, NULL));
    /* No wait list that is NULL though it has a length: the native library reads it. */
    OK(clReleaseKernel(kernel));
    kernel = args_kernel(&cl, "fixed");
    OK(clSetKernelArg(kernel, 0, sizeof out, &out));
    CALL(clEnqueueNDRangeKernel(cl.queue, kernel, 1, NULL, global, (const size_t[]){16}, 0, NULL, NULL));
    CALL(clEnqueueNDRangeKernel(cl.queue, kernel, 1, NULL, global, NULL, 0, NULL, NULL));
    CALL(clEnqueueNDRangeKernel(cl.queue, kernel, 1, NULL, global, (const size_t[]){8}, 0, NULL, NULL));
    t_show_ints(&cl, out, N);
    OK(clReleaseKernel(kernel));
    OK(clReleaseMemObject(out));
    t_close(&cl);
}

static void no_args(void)
{
    struct t_cl cl = t_open();
    cl_kernel kernel = args_kernel(&cl, "none");

    INFO(T_U32, CL_KERNEL_NUM_ARGS, clGetKernelInfo, kernel);
    run(&cl, kernel, N, 0);
    OK(clReleaseKernel(kernel));
    t_close(&cl);
}

static void create(void)
{
    struct t_cl cl = t_open();
    cl_program program = t_program(&cl);

    NAME(program);
    cl_kernel kernel = MAKE(clCreateKernel(program, "scale", &t_error));
    INFO(T_STRING, CL_KERNEL_FUNCTION_NAME, clGetKernelInfo, kernel);
    INFO(T_U32, CL_KERNEL_NUM_ARGS, clGetKernelInfo, kernel);
    INFO(T_U32, CL_KERNEL_REFERENCE_COUNT, clGetKernelInfo, kernel);
    INFO(T_HANDLE, CL_KERNEL_CONTEXT, clGetKernelInfo, kernel);
    INFO(T_HANDLE, CL_KERNEL_PROGRAM, clGetKernelInfo, kernel);
    INFO(T_STRING, CL_KERNEL_ATTRIBUTES, clGetKernelInfo, kernel);
    INFO_EDGES(CL_KERNEL_FUNCTION_NAME, clGetKernelInfo, kernel);
    CALL(clRetainKernel(kernel));
    INFO(T_U32, CL_KERNEL_REFERENCE_COUNT, clGetKernelInfo, kernel);
    CALL(clReleaseKernel(kernel));
    CALL(clReleaseKernel(kernel));
    MAKE(clCreateKernel(program, "missing", &t_error));
    MAKE(clCreateKernel(program, "", &t_error));
    MAKE(clCreateKernel(program, NULL, &t_error));
    MAKE(clCreateKernel(NULL, "scale", &t_error));
    CALL(clRetainKernel(NULL));
    CALL(clReleaseKernel(NULL));
    CALL(clGetKernelInfo(NULL, CL_KERNEL_NUM_ARGS, 0, NULL, NULL));
    OK(clReleaseProgram(program));
    t_close(&cl);
}

static void create_all(void)
{
    struct t_cl cl = t_open();
    cl_program program = t_program(&cl);
    cl_kernel kernels[16] = {0};
    cl_uint n = 0;
    char name[64];

    CALL(clCreateKernelsInProgram(program, 0, NULL, &n));
    t_say("%u kernels", n);
    CALL(clCreateKernelsInProgram(program, 1, kernels, NULL));
    CALL(clCreateKernelsInProgram(program, 16, kernels, &n));
    for (cl_uint i = 0; i < n; i++) {
        OK(clGetKernelInfo(kernels[i], CL_KERNEL_FUNCTION_NAME, sizeof name, name, NULL));
        t_say("%u: %s", i, name);
        OK(clReleaseKernel(kernels[i]));
    }
    CALL(clCreateKernelsInProgram(NULL, 0, NULL, &n));
    OK(clReleaseProgram(program));
    t_close(&cl);
}

static void create_unbuilt(void)
{
    struct t_cl cl = t_open();
    const char *source = t_source;
    cl_program program = GET(clCreateProgramWithSource(cl.context, 1, &source, NULL, &t_error));
    cl_uint n = 0;

    MAKE(clCreateKernel(program, "inc", &t_error));
    CALL(clCreateKernelsInProgram(program, 0, NULL, &n));
    OK(clReleaseProgram(program));
    t_close(&cl);
}

/* The clone has the arguments that were set, and is independent from then on. */
static void clone(void)
{
    struct t_cl cl = t_open();
    cl_kernel kernel = t_kernel(&cl, "scale");
    cl_mem out = zeroed(&cl, N * sizeof(cl_int)), in = t_ints(&cl, N);
    cl_int k = 3, other = 7;

    OK(clSetKernelArg(kernel, 0, sizeof out, &out));
    OK(clSetKernelArg(kernel, 1, sizeof in, &in));
    OK(clSetKernelArg(kernel, 2, sizeof k, &k));
    cl_kernel copy = MAKE(clCloneKernel(kernel, &t_error));
    OK(clSetKernelArg(kernel, 2, sizeof other, &other));
    INFO(T_U32, CL_KERNEL_REFERENCE_COUNT, clGetKernelInfo, copy);
    INFO(T_STRING, CL_KERNEL_FUNCTION_NAME, clGetKernelInfo, copy);
    run(&cl, copy, N, 0);
    t_show_ints(&cl, out, N);
    run(&cl, kernel, N, 0);
    t_show_ints(&cl, out, N);
    OK(clReleaseKernel(kernel));
    run(&cl, copy, N, 0);
    t_show_ints(&cl, out, N);
    MAKE(clCloneKernel(NULL, &t_error));
    OK(clReleaseKernel(copy));
    OK(clReleaseMemObject(out));
    OK(clReleaseMemObject(in));
    t_close(&cl);
}

static void show_arg_info(cl_kernel kernel, cl_uint n)
{
    for (cl_uint i = 0; i < n; i++) {
        t_say("-- argument %u", i);
        INFO(T_U32, CL_KERNEL_ARG_ADDRESS_QUALIFIER, clGetKernelArgInfo, kernel, i);
        INFO(T_U32, CL_KERNEL_ARG_ACCESS_QUALIFIER, clGetKernelArgInfo, kernel, i);
        INFO(T_STRING, CL_KERNEL_ARG_TYPE_NAME, clGetKernelArgInfo, kernel, i);
        INFO(T_U64, CL_KERNEL_ARG_TYPE_QUALIFIER, clGetKernelArgInfo, kernel, i);
        INFO(T_STRING, CL_KERNEL_ARG_NAME, clGetKernelArgInfo, kernel, i);
    }
}

static void arg_info_with(const char *options)
{
    struct t_cl cl = t_open();
    cl_program program = args_program(&cl, options);
    cl_kernel hinted = GET(clCreateKernel(program, "hinted", &t_error));
    cl_kernel sampled = GET(clCreateKernel(program, "sampled", &t_error));

    INFO(T_STRING, CL_PROGRAM_BUILD_OPTIONS, clGetProgramBuildInfo, program, cl.device);
    INFO(T_STRING, CL_KERNEL_ATTRIBUTES, clGetKernelInfo, hinted);
    show_arg_info(hinted, 4);
    show_arg_info(sampled, 3);
    INFO_EDGES(CL_KERNEL_ARG_TYPE_NAME, clGetKernelArgInfo, hinted, 0);
    CALL(clGetKernelArgInfo(hinted, 4, CL_KERNEL_ARG_NAME, 0, NULL, NULL));
    CALL(clGetKernelArgInfo(NULL, 0, CL_KERNEL_ARG_NAME, 0, NULL, NULL));
    OK(clReleaseKernel(hinted));
    OK(clReleaseKernel(sampled));
    OK(clReleaseProgram(program));
    t_close(&cl);
}

static void arg_info(void)
{
    arg_info_with("-cl-kernel-arg-info");
}

static void arg_info_absent(void)
{
    arg_info_with("");
}

static void work_group_info(void)
{
    static const char *const names[] = {"none", "fixed", "hinted", "two_locals"};
    struct t_cl cl = t_open();

    for (size_t i = 0; i < COUNT(names); i++) {
        cl_kernel kernel = args_kernel(&cl, names[i]);
        t_say("-- %s", names[i]);
        INFO(T_U64, CL_KERNEL_WORK_GROUP_SIZE, clGetKernelWorkGroupInfo, kernel, cl.device);
        INFO(T_U64, CL_KERNEL_COMPILE_WORK_GROUP_SIZE, clGetKernelWorkGroupInfo, kernel, cl.device);
        INFO(T_U64, CL_KERNEL_LOCAL_MEM_SIZE, clGetKernelWorkGroupInfo, kernel, cl.device);
        INFO(T_U64, CL_KERNEL_PREFERRED_WORK_GROUP_SIZE_MULTIPLE, clGetKernelWorkGroupInfo, kernel, cl.device);
        INFO(T_U64, CL_KERNEL_PRIVATE_MEM_SIZE, clGetKernelWorkGroupInfo, kernel, cl.device);
        INFO(T_U64, CL_KERNEL_GLOBAL_WORK_SIZE, clGetKernelWorkGroupInfo, kernel, cl.device);
        OK(clReleaseKernel(kernel));
    }
    cl_kernel kernel = args_kernel(&cl, "none");
    INFO(T_U64, CL_KERNEL_WORK_GROUP_SIZE, clGetKernelWorkGroupInfo, kernel, NULL);
    INFO_EDGES(CL_KERNEL_COMPILE_WORK_GROUP_SIZE, clGetKernelWorkGroupInfo, kernel, cl.device);
    CALL(clGetKernelWorkGroupInfo(NULL, cl.device, CL_KERNEL_WORK_GROUP_SIZE, 0, NULL, NULL));
    OK(clReleaseKernel(kernel));
    t_close(&cl);
}

static void sub_group_info(void)
{
    struct t_cl cl = t_open();
    cl_kernel kernel = args_kernel(&cl, "none");
    size_t local[3] = {8, 1, 1}, count = 1, size = 0, back[3] = {0};

    CALL(clGetKernelSubGroupInfo(kernel, cl.device, CL_KERNEL_MAX_SUB_GROUP_SIZE_FOR_NDRANGE, sizeof local, local,
                                 sizeof size, &size, NULL));
    CALL(clGetKernelSubGroupInfo(kernel, cl.device, CL_KERNEL_SUB_GROUP_COUNT_FOR_NDRANGE, sizeof local, local,
                                 sizeof size, &size, NULL));
    CALL(clGetKernelSubGroupInfo(kernel, cl.device, CL_KERNEL_LOCAL_SIZE_FOR_SUB_GROUP_COUNT, sizeof count, &count,
                                 sizeof back, back, NULL));
    CALL(clGetKernelSubGroupInfo(kernel, cl.device, CL_KERNEL_MAX_NUM_SUB_GROUPS, 0, NULL, sizeof size, &size, NULL));
    CALL(clGetKernelSubGroupInfo(kernel, cl.device, CL_KERNEL_COMPILE_NUM_SUB_GROUPS, 0, NULL, sizeof size, &size,
                                 NULL));
    CALL(clGetKernelSubGroupInfo(NULL, cl.device, CL_KERNEL_MAX_NUM_SUB_GROUPS, 0, NULL, sizeof size, &size, NULL));
    OK(clReleaseKernel(kernel));
    t_close(&cl);
}

static void built_in(void)
{
    struct t_cl cl = t_open();
    cl_program program = MAKE(clCreateProgramWithBuiltInKernels(cl.context, 1, &cl.device, "pocl.add.i8", &t_error));

    if (program) {
        INFO(T_U64, CL_PROGRAM_NUM_KERNELS, clGetProgramInfo, program);
        INFO(T_STRING, CL_PROGRAM_KERNEL_NAMES, clGetProgramInfo, program);
        OK(clReleaseProgram(program));
    }
    MAKE(clCreateProgramWithBuiltInKernels(cl.context, 1, &cl.device, "no_such_kernel", &t_error));
    MAKE(clCreateProgramWithBuiltInKernels(cl.context, 1, &cl.device, NULL, &t_error));
    MAKE(clCreateProgramWithBuiltInKernels(cl.context, 0, NULL, "pocl.add.i8", &t_error));
    MAKE(clCreateProgramWithBuiltInKernels(NULL, 1, &cl.device, "pocl.add.i8", &t_error));
    t_close(&cl);
}

T_MAIN(T(arg_values), T(arg_struct), T(arg_like_pointer), T(arg_null_buffer), T(arg_local), T(arg_constant),
       T(arg_image_and_sampler), T(arg_errors), T(unset_args), T(args_at_enqueue), T(release_after_enqueue), T(ranges),
       T(range_errors), T(no_args), T(create), T(create_all), T(create_unbuilt), T(clone), T(arg_info),
       T(arg_info_absent), T(work_group_info), T(sub_group_info), T(built_in))
