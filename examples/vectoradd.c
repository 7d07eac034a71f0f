/*
 * An ordinary OpenCL program, as any vendor's tutorial has it: nothing here knows of Hira. `make demo` runs it natively and under
 * `hira run` and compares what it prints.
 *
 *   cc -o vectoradd vectoradd.c -lOpenCL        ./vectoradd [ELEMENTS [ROUNDS]]
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#define CL_TARGET_OPENCL_VERSION 120
#include <CL/cl.h>
#include <stdio.h>
#include <stdlib.h>

static const char *const source =
    "kernel void add(global const float *a, global const float *b, global float *c)\n"
    "{\n"
    "    size_t i = get_global_id(0);\n"
    "    if (i == 0 && c[0] < 0)\n"
    "        printf(\"hello from work-item 0\\n\");\n"
    "    c[i] = a[i] + b[i];\n"
    "}\n";

static void check(cl_int error, const char *what)
{
    if (error == CL_SUCCESS)
        return;
    fprintf(stderr, "vectoradd: %s: error %d\n", what, error);
    exit(1);
}

static cl_device_id first_device(void)
{
    cl_platform_id platform;
    cl_device_id device;
    char platform_name[256], device_name[256], version[256];

    check(clGetPlatformIDs(1, &platform, NULL), "no platform");
    check(clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, 1, &device, NULL), "no device");
    check(clGetPlatformInfo(platform, CL_PLATFORM_NAME, sizeof platform_name, platform_name, NULL), "platform name");
    check(clGetDeviceInfo(device, CL_DEVICE_NAME, sizeof device_name, device_name, NULL), "device name");
    check(clGetDeviceInfo(device, CL_DEVICE_VERSION, sizeof version, version, NULL), "device version");
    printf("platform  %s\ndevice    %s\nversion   %s\n", platform_name, device_name, version);
    fflush(stdout); /* what the kernel prints comes behind it, also in a pipe */
    return device;
}

static cl_kernel build(cl_context context, cl_device_id device)
{
    cl_int error;
    cl_program program = clCreateProgramWithSource(context, 1, (const char **)&source, NULL, &error);
    check(error, "create program");
    check(clBuildProgram(program, 1, &device, "", NULL, NULL), "build program");
    cl_kernel kernel = clCreateKernel(program, "add", &error);
    check(error, "create kernel");
    clReleaseProgram(program);
    return kernel;
}

static cl_mem buffer(cl_context context, cl_mem_flags flags, size_t size, void *data)
{
    cl_int error;
    cl_mem made = clCreateBuffer(context, flags, size, data, &error);
    check(error, "create buffer");
    return made;
}

int main(int argc, char **argv)
{
    size_t n = argc > 1 ? strtoul(argv[1], NULL, 0) : 1 << 20;
    int rounds = argc > 2 ? atoi(argv[2]) : 100;
    float *a = calloc(n, sizeof *a), *b = calloc(n, sizeof *b), *c = calloc(n, sizeof *c);
    cl_int error;

    if (!n || !a || !b || !c)
        return fprintf(stderr, "vectoradd: no memory for %zu elements\n", n), 1;
    for (size_t i = 0; i < n; i++) {
        a[i] = (float)(i % 1000);
        b[i] = 0.5f;
    }
    c[0] = -1;

    cl_device_id device = first_device();
    cl_context context = clCreateContext(NULL, 1, &device, NULL, NULL, &error);
    check(error, "create context");
    cl_command_queue queue = clCreateCommandQueue(context, device, 0, &error);
    check(error, "create queue");
    cl_kernel kernel = build(context, device);
    cl_mem in_a = buffer(context, CL_MEM_READ_ONLY | CL_MEM_COPY_HOST_PTR, n * sizeof *a, a);
    cl_mem in_b = buffer(context, CL_MEM_READ_ONLY | CL_MEM_COPY_HOST_PTR, n * sizeof *b, b);
    cl_mem out = buffer(context, CL_MEM_READ_WRITE | CL_MEM_COPY_HOST_PTR, n * sizeof *c, c);

    /* In rounds: the sum of one is the input of the next. */
    for (int i = 0; i < rounds; i++) {
        cl_mem from = i % 2 ? out : in_a, to = i % 2 ? in_a : out;
        check(clSetKernelArg(kernel, 0, sizeof from, &from), "argument 0");
        check(clSetKernelArg(kernel, 1, sizeof in_b, &in_b), "argument 1");
        check(clSetKernelArg(kernel, 2, sizeof to, &to), "argument 2");
        check(clEnqueueNDRangeKernel(queue, kernel, 1, NULL, &n, NULL, 0, NULL, NULL), "start kernel");
    }
    check(clEnqueueReadBuffer(queue, rounds % 2 ? out : in_a, CL_TRUE, 0, n * sizeof *c, c, 0, NULL, NULL), "read buffer");

    size_t wrong = 0;
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        sum += c[i];
        wrong += c[i] != (float)(i % 1000) + 0.5f * (float)rounds;
    }
    printf("added     %zu numbers, %d times\nsum       %.1f\nwrong     %zu\n", n, rounds, sum, wrong);

    clReleaseMemObject(in_a);
    clReleaseMemObject(in_b);
    clReleaseMemObject(out);
    clReleaseKernel(kernel);
    clReleaseCommandQueue(queue);
    clReleaseContext(context);
    free(a);
    free(b);
    free(c);
    return wrong != 0;
}
