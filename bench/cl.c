/*
 * What an OpenCL application feels: the same binary natively and under Hira.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#define CL_TARGET_OPENCL_VERSION 300
#include <CL/cl.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"

#define BULK (64u << 20)

static cl_device_id device;
static cl_context context;
static cl_command_queue queue;
static cl_kernel kernel;

static void must(cl_int error, const char *what)
{
    if (error) {
        fprintf(stderr, "%s: %d\n", what, error);
        exit(1);
    }
}

static void open_queue(void)
{
    cl_platform_id platform;
    cl_int error;
    must(clGetPlatformIDs(1, &platform, NULL), "clGetPlatformIDs");
    must(clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, 1, &device, NULL), "clGetDeviceIDs");
    context = clCreateContext(NULL, 1, &device, NULL, NULL, &error);
    must(error, "clCreateContext");
    queue = clCreateCommandQueueWithProperties(context, device, NULL, &error);
    must(error, "clCreateCommandQueueWithProperties");
}

static void open_kernel(const char *name)
{
    const char *source = "kernel void nothing(global int *p) { if (get_global_id(0) == 12345) p[0] = 1; }"
                         "kernel void work(global int *p) { int x = get_global_id(0); for (int i = 0; i < 400000; i++) x = x * 1103515245 + 12345;"
                         "    if (x == 12345) p[0] = x; }";
    cl_int error;
    open_queue();
    cl_program program = clCreateProgramWithSource(context, 1, &source, NULL, &error);
    must(error, "clCreateProgramWithSource");
    must(clBuildProgram(program, 1, &device, "", NULL, NULL), "clBuildProgram");
    kernel = clCreateKernel(program, name, &error);
    must(error, "clCreateKernel");
    cl_mem p = clCreateBuffer(context, CL_MEM_READ_WRITE, 64, NULL, &error);
    must(clSetKernelArg(kernel, 0, sizeof p, &p), "clSetKernelArg");
}

static void launch(size_t n)
{
    const size_t one = 1;
    must(clEnqueueNDRangeKernel(queue, kernel, 1, NULL, &n, &one, 0, NULL, NULL), "clEnqueueNDRangeKernel");
}

static void kernels(void)
{
    open_kernel("nothing");
    for (int i = 0; i < 100; i++) {
        launch(1);
        clFinish(queue);
    }
    bench_say("cl.kernel+finish", BENCH(60, 20, { launch(1); clFinish(queue); }), "us");
    bench_say("cl.1000-kernels", BENCH(15, 1, { for (int k = 0; k < 1000; k++) launch(1); clFinish(queue); }) / 1000, "us");
}

/* Bound by the device, of some tens of milliseconds: what of a program is its own work. */
static void compute(void)
{
    open_kernel("work");
    launch(64);
    clFinish(queue);
    bench_say("cl.compute", BENCH(20, 1, { launch(64); clFinish(queue); }) / 1000, "ms");
}

static void small(void)
{
    cl_int error;
    char data[4096] = "";
    open_queue();
    cl_mem buffer = clCreateBuffer(context, CL_MEM_READ_WRITE, 4096, NULL, &error);
    for (int i = 0; i < 100; i++)
        clEnqueueWriteBuffer(queue, buffer, CL_TRUE, 0, sizeof data, data, 0, NULL, NULL);
    bench_say("cl.read-4B", BENCH(60, 20, clEnqueueReadBuffer(queue, buffer, CL_TRUE, 0, 4, data, 0, NULL, NULL)), "us");
    bench_say("cl.write-4KiB", BENCH(60, 20, clEnqueueWriteBuffer(queue, buffer, CL_TRUE, 0, 4096, data, 0, NULL, NULL)), "us");
}

static void bulk_with(const char *write_name, const char *read_name, char *host)
{
    cl_int error;
    cl_mem buffer = clCreateBuffer(context, CL_MEM_READ_WRITE, BULK, NULL, &error);
    must(error, "clCreateBuffer");
    for (int i = 0; i < 2; i++) {
        must(clEnqueueWriteBuffer(queue, buffer, CL_TRUE, 0, BULK, host, 0, NULL, NULL), "clEnqueueWriteBuffer");
        must(clEnqueueReadBuffer(queue, buffer, CL_TRUE, 0, BULK, host, 0, NULL, NULL), "clEnqueueReadBuffer");
    }
    double us = BENCH(9, 1, clEnqueueWriteBuffer(queue, buffer, CL_TRUE, 0, BULK, host, 0, NULL, NULL));
    bench_say(write_name, BULK / us / 1000, "GB/s");
    us = BENCH(9, 1, clEnqueueReadBuffer(queue, buffer, CL_TRUE, 0, BULK, host, 0, NULL, NULL));
    bench_say(read_name, BULK / us / 1000, "GB/s");
    clReleaseMemObject(buffer);
}

/* Ordinary memory of the application. */
static void bulk(void)
{
    open_queue();
    char *host = malloc(BULK);
    memset(host, 1, BULK);
    bulk_with("cl.write-64MiB", "cl.read-64MiB", host);
}

/* Memory mapped from a buffer made with ALLOC_HOST_PTR, which is how programs ask for memory that transfers well. */
static void mapped(void)
{
    cl_int error;
    open_queue();
    cl_mem staging = clCreateBuffer(context, CL_MEM_READ_WRITE | CL_MEM_ALLOC_HOST_PTR, BULK, NULL, &error);
    must(error, "clCreateBuffer");
    char *host = clEnqueueMapBuffer(queue, staging, CL_TRUE, CL_MAP_READ | CL_MAP_WRITE, 0, BULK, 0, NULL, NULL, &error);
    must(error, "clEnqueueMapBuffer");
    memset(host, 1, BULK);
    bulk_with("cl.write-64MiB-mapped", "cl.read-64MiB-mapped", host);
}

/* From main() to the first queue. */
static void start(void)
{
    double begin = bench_us();
    open_queue();
    bench_say("cl.start", (bench_us() - begin) / 1000, "ms");
}

/* Stays with a queue until its standard input closes, so that its memory can be looked at. */
static void hold(void)
{
    char c;
    open_kernel("nothing");
    launch(1);
    clFinish(queue);
    bench_say("ready", 0, "");
    while (read(STDIN_FILENO, &c, 1) > 0)
        ;
}

static const struct {
    const char *name;
    void (*run)(void);
} measures[] = {{"kernels", kernels}, {"compute", compute}, {"small", small}, {"bulk", bulk}, {"mapped", mapped}, {"start", start}, {"hold", hold}};

int main(int argc, char **argv)
{
    for (size_t i = 0; i < sizeof measures / sizeof *measures; i++)
        if (argc > 1 && !strcmp(argv[1], measures[i].name)) {
            measures[i].run();
            fflush(stdout);
            return 0;
        }
    return 2;
}
