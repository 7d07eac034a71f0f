/*
 * A program that keeps a device busy with kernels of one length, and says what it got. The same program natively and
 * under Hira.
 *
 *   busy calibrate                            iterations of the kernel's loop that take a millisecond
 *   busy ITERATIONS SECONDS DEPTH [PAUSE_US]  DEPTH kernels in flight; PAUSE_US between one's end and the next (DEPTH
 * 1)
 *
 * Prints "kernels N device_ns T wall_ns W p50_ns A p99_ns B max_ns C", latencies being from the call to its end; with
 * BUSY_EVERY=MS also "at MS device_ns T" so often. Ends with status 1 at the first error.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#define CL_TARGET_OPENCL_VERSION 300
#include <CL/cl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define MOST 65536

static const char *source =
    "kernel void spin(global uint *out, uint n) { uint x = get_global_id(0) + 1;"
    " for (uint i = 0; i < n; i++) x = x * 1664525u + 1013904223u + (x >> 16); out[get_global_id(0)] = x; }";

static cl_context context;
static cl_command_queue queue;
static cl_kernel kernel;

static void must(cl_int error, const char *what)
{
    if (!error)
        return;
    fprintf(stderr, "busy: %s: %d\n", what, error);
    exit(1);
}

static unsigned long long now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (unsigned long long)t.tv_sec * 1000000000u + (unsigned long long)t.tv_nsec;
}

static void setup(void)
{
    cl_platform_id platform;
    cl_device_id device;
    cl_int error;
    cl_queue_properties properties[] = {CL_QUEUE_PROPERTIES, CL_QUEUE_PROFILING_ENABLE, 0};
    must(clGetPlatformIDs(1, &platform, NULL), "clGetPlatformIDs");
    must(clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, 1, &device, NULL), "clGetDeviceIDs");
    context = clCreateContext(NULL, 1, &device, NULL, NULL, &error);
    must(error, "clCreateContext");
    queue = clCreateCommandQueueWithProperties(context, device, properties, &error);
    must(error, "clCreateCommandQueueWithProperties");
    cl_program program = clCreateProgramWithSource(context, 1, &source, NULL, &error);
    must(error, "clCreateProgramWithSource");
    must(clBuildProgram(program, 1, &device, "", NULL, NULL), "clBuildProgram");
    kernel = clCreateKernel(program, "spin", &error);
    must(error, "clCreateKernel");
    cl_mem out = clCreateBuffer(context, CL_MEM_READ_WRITE, 4096, NULL, &error);
    must(error, "clCreateBuffer");
    must(clSetKernelArg(kernel, 0, sizeof out, &out), "clSetKernelArg");
}

static cl_event start(cl_uint iterations)
{
    size_t one = 1;
    cl_event event;
    must(clSetKernelArg(kernel, 1, sizeof iterations, &iterations), "clSetKernelArg");
    must(clEnqueueNDRangeKernel(queue, kernel, 1, NULL, &one, &one, 0, NULL, &event), "clEnqueueNDRangeKernel");
    must(clFlush(queue), "clFlush");
    return event;
}

static unsigned long long finish(cl_event event)
{
    cl_ulong begin = 0, end = 0;
    must(clWaitForEvents(1, &event), "clWaitForEvents");
    must(clGetEventProfilingInfo(event, CL_PROFILING_COMMAND_START, sizeof begin, &begin, NULL),
         "clGetEventProfilingInfo");
    must(clGetEventProfilingInfo(event, CL_PROFILING_COMMAND_END, sizeof end, &end, NULL), "clGetEventProfilingInfo");
    must(clReleaseEvent(event), "clReleaseEvent");
    return end - begin;
}

static int calibrate(void)
{
    unsigned long long best = ~0ull;
    cl_uint n = 10000000;
    for (int i = 0; i < 9; i++) {
        unsigned long long t = finish(start(n));
        best = t < best ? t : best;
    }
    printf("%.0f\n", n * 1e6 / (double)best);
    return 0;
}

static int less(const void *a, const void *b)
{
    unsigned long long x = *(const unsigned long long *)a, y = *(const unsigned long long *)b;
    return (x > y) - (x < y);
}

static unsigned long long latencies[MOST];

static void tell(unsigned long n, unsigned long long device, unsigned long long wall)
{
    size_t kept = n < MOST ? n : MOST;
    qsort(latencies, kept, sizeof *latencies, less);
    printf("kernels %lu device_ns %llu wall_ns %llu p50_ns %llu p99_ns %llu max_ns %llu\n", n, device, wall,
           kept ? latencies[kept / 2] : 0, kept ? latencies[kept * 99 / 100] : 0, kept ? latencies[kept - 1] : 0);
}

int main(int argc, char **argv)
{
    enum { DEEPEST = 1024 };
    static cl_event events[DEEPEST];
    static unsigned long long began[DEEPEST];
    if (argc < 2)
        return 2;
    setup();
    if (!strcmp(argv[1], "calibrate"))
        return calibrate();
    if (argc < 4)
        return 2;
    cl_uint iterations = (cl_uint)strtoul(argv[1], NULL, 10);
    double seconds = strtod(argv[2], NULL);
    unsigned depth = (unsigned)strtoul(argv[3], NULL, 10), pause = argc > 4 ? (unsigned)strtoul(argv[4], NULL, 10) : 0;
    const char *every = getenv("BUSY_EVERY");
    unsigned long long period = every ? strtoull(every, NULL, 10) * 1000000u : 0;
    finish(start(1000));
    puts("ready");
    fflush(stdout);
    if (getenv("BUSY_WAIT"))
        getchar();
    unsigned long long first = now_ns(), end = first + (unsigned long long)(seconds * 1e9), device = 0,
                       next = first + period;
    unsigned long started = 0, ended = 0;
    while (now_ns() < end || ended < started) {
        while (started - ended < depth && now_ns() < end) {
            began[started % DEEPEST] = now_ns();
            events[started % DEEPEST] = start(iterations);
            started++;
        }
        if (ended == started)
            break;
        device += now_ns() < end ? finish(events[ended % DEEPEST]) : (finish(events[ended % DEEPEST]), 0ull);
        latencies[ended % MOST] = now_ns() - began[ended % DEEPEST];
        ended++;
        for (; period && now_ns() >= next; next += period) {
            printf("at %llu device_ns %llu\n", (next - first) / 1000000u, device);
            fflush(stdout);
        }
        if (pause)
            usleep(pause);
    }
    tell(ended, device, now_ns() - first);
    return 0;
}
