/*
 * A program that tries one thing that a tenant may be limited in, and says what came of it.
 *
 *   memory SIZE MOST   buffers of SIZE, at most MOST: "got N error E device G"; at a line on standard input it releases
 *                      all: "released"; at the end of standard input it ends
 *   parts SIZE         a buffer, a part of it, the whole released first: each step waits for a line
 *   behind             commands behind an event that this thread sets later, beside commands that it waits for before
 *   calls N            calls that each need an answer: "ns T"
 *   bytes SIZE N       blocking writes: "ns T"
 *   ahead SIZE N       writes that are waited for at the end: "ns T"
 *   svm SIZE           "svm yes" or "svm no"
 *   many-svm SIZE N    "svm GOT": allocations of SIZE until one fails, N at most; then waits as memory
 *   function           what clCreateSampler says: "error E"
 *   hold               a callback that never returns, of a command that has ended: "held"; ends with standard input
 *   devices            which there are, by each way to ask, a line each
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#define CL_TARGET_OPENCL_VERSION 300
#define CL_USE_DEPRECATED_OPENCL_1_2_APIS
#include <CL/cl.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static cl_device_id device;
static cl_context context;
static cl_command_queue queue;

static void must(cl_int error, const char *what)
{
    if (!error)
        return;
    fprintf(stderr, "probe: %s: %d\n", what, error);
    exit(1);
}

static void setup(void)
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

static unsigned long long now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (unsigned long long)t.tv_sec * 1000000000u + (unsigned long long)t.tv_nsec;
}

static void say(const char *text)
{
    puts(text);
    fflush(stdout);
    while (1) {
        int c = getchar();
        if (c == EOF)
            exit(0);
        if (c == '\n')
            return;
    }
}

static int memory(size_t size, unsigned most)
{
    cl_mem *all = calloc(most, sizeof *all);
    cl_ulong global = 0;
    cl_int error = CL_SUCCESS;
    char text[100];
    unsigned n = 0;
    must(clGetDeviceInfo(device, CL_DEVICE_GLOBAL_MEM_SIZE, sizeof global, &global, NULL), "clGetDeviceInfo");
    while (n < most && (all[n] = clCreateBuffer(context, CL_MEM_READ_WRITE, size, NULL, &error)))
        n++;
    snprintf(text, sizeof text, "got %u error %d device %llu", n, error, (unsigned long long)global);
    say(text);
    for (unsigned i = 0; i < n; i++)
        must(clReleaseMemObject(all[i]), "clReleaseMemObject");
    must(clFinish(queue), "clFinish");
    clGetDeviceInfo(device, CL_DEVICE_AVAILABLE, sizeof(cl_bool), &(cl_bool){0}, NULL); /* behind the releases */
    say("released");
    return 0;
}

static int many_svm(size_t size, unsigned most)
{
    void **all = calloc(most, sizeof *all);
    char text[40];
    unsigned n = 0;
    while (n < most && (all[n] = clSVMAlloc(context, CL_MEM_READ_WRITE, size, 0)))
        n++;
    snprintf(text, sizeof text, "svm %u", n);
    say(text);
    for (unsigned i = 0; i < n; i++)
        clSVMFree(context, all[i]);
    say("released");
    return 0;
}

static int parts(size_t size)
{
    cl_int error;
    cl_bool there;
    cl_buffer_region region = {0, size / 2};
    cl_mem whole = clCreateBuffer(context, CL_MEM_READ_WRITE | CL_MEM_HOST_NO_ACCESS, size, NULL, &error);
    must(error, "clCreateBuffer");
    cl_mem part = clCreateSubBuffer(whole, 0, CL_BUFFER_CREATE_TYPE_REGION, &region, &error);
    must(error, "clCreateSubBuffer");
    if (clCreateSubBuffer(whole, 0, 4711, &region, &error) || error != CL_INVALID_VALUE)
        must(-1, "clCreateSubBuffer of a wrong type");
    must(clGetDeviceInfo(device, CL_DEVICE_AVAILABLE, sizeof there, &there, NULL), "clGetDeviceInfo");
    say("both");
    must(clReleaseMemObject(whole), "clReleaseMemObject");
    must(clGetDeviceInfo(device, CL_DEVICE_AVAILABLE, sizeof there, &there, NULL), "clGetDeviceInfo");
    say("part");
    must(clReleaseMemObject(part), "clReleaseMemObject");
    must(clGetDeviceInfo(device, CL_DEVICE_AVAILABLE, sizeof there, &there, NULL), "clGetDeviceInfo");
    say("none");
    return 0;
}

/* A device by the first word of its name. */
static void put_devices(const char *what, cl_int error, cl_uint n, const cl_device_id *list)
{
    printf("%s", what);
    if (error)
        printf(" error %d", error);
    for (cl_uint i = 0; !error && i < n; i++) {
        char name[256] = "";
        must(clGetDeviceInfo(list[i], CL_DEVICE_NAME, sizeof name, name, NULL), "clGetDeviceInfo");
        printf(" %.*s", (int)strcspn(name, "-"), name);
    }
    putchar('\n');
}

static void put_context(const char *what, cl_int error, cl_context made)
{
    cl_device_id list[16];
    cl_uint n = 0;
    size_t size = 0;
    if (made) {
        must(clGetContextInfo(made, CL_CONTEXT_NUM_DEVICES, sizeof n, &n, NULL), "clGetContextInfo");
        must(clGetContextInfo(made, CL_CONTEXT_DEVICES, sizeof list, list, &size), "clGetContextInfo");
        must(size / sizeof *list == n ? CL_SUCCESS : CL_INVALID_VALUE, "numbers of devices agree");
        must(clReleaseContext(made), "clReleaseContext");
    }
    put_devices(what, error, n, list);
}

/* Every way by which a program learns of devices. */
static int devices(void)
{
    cl_platform_id platform;
    cl_device_id list[16], one;
    cl_uint n = 0, told = 0;
    cl_int error;
    must(clGetPlatformIDs(1, &platform, NULL), "clGetPlatformIDs");
    error = clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, 16, list, &n);
    put_devices("all", error, n, list);
    must(clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, 0, NULL, &told) != error || told != n, "it counts as it lists");
    if (!error) {
        must(clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, 1, &one, &told) || one != list[0] || told != n,
             "one of them");
        must(clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, 0, &one, NULL) != CL_INVALID_VALUE, "no room is an error");
        one = NULL;
        must(clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, 1, &one, NULL) || one != list[0], "it lists without a count");
    }
    n = 0;
    error = clGetDeviceIDs(platform, CL_DEVICE_TYPE_DEFAULT, 16, list, &n);
    put_devices("default", error, n, list);
    error = clGetDeviceIDs(platform, CL_DEVICE_TYPE_ACCELERATOR, 16, list, &n);
    put_devices("accelerators", error, n, list);
    cl_context_properties properties[] = {CL_CONTEXT_PLATFORM, (cl_context_properties)platform, 0};
    cl_context made = clCreateContextFromType(properties, CL_DEVICE_TYPE_ALL, NULL, NULL, &error);
    put_context("context", error, made);
    made = clCreateContextFromType(properties, CL_DEVICE_TYPE_DEFAULT, NULL, NULL, &error);
    put_context("default context", error, made);
    made = clCreateContextFromType(properties, CL_DEVICE_TYPE_ACCELERATOR, NULL, NULL, &error);
    put_context("accelerators' context", error, made);
    return 0;
}

static cl_kernel make_kernel(void)
{
    static const char *source = "kernel void add(global int *out, int n) { for (int i = 0; i < n; i++) out[0] += 1; }";
    cl_int error;
    cl_program program = clCreateProgramWithSource(context, 1, &source, NULL, &error);
    must(error, "clCreateProgramWithSource");
    must(clBuildProgram(program, 1, &device, "", NULL, NULL), "clBuildProgram");
    cl_kernel kernel = clCreateKernel(program, "add", &error);
    must(error, "clCreateKernel");
    return kernel;
}

static void enqueue(cl_command_queue q, cl_kernel kernel, cl_mem out, cl_uint n, const cl_event *list)
{
    const size_t one = 1;
    cl_int times = 1000;
    must(clSetKernelArg(kernel, 0, sizeof out, &out), "clSetKernelArg");
    must(clSetKernelArg(kernel, 1, sizeof times, &times), "clSetKernelArg");
    must(clEnqueueNDRangeKernel(q, kernel, 1, NULL, &one, &one, n, list, NULL), "clEnqueueNDRangeKernel");
}

static void behind_in(cl_command_queue first, cl_command_queue second)
{
    cl_int error, a = 0, b = 0;
    cl_kernel kernel = make_kernel();
    cl_mem one = clCreateBuffer(context, CL_MEM_READ_WRITE | CL_MEM_COPY_HOST_PTR, 4, &a, &error);
    cl_mem other = clCreateBuffer(context, CL_MEM_READ_WRITE | CL_MEM_COPY_HOST_PTR, 4, &b, &error);
    cl_event later = clCreateUserEvent(context, &error);
    must(error, "clCreateUserEvent");
    for (int i = 0; i < 300; i++)
        enqueue(first, kernel, one, 1, &later);
    for (int i = 0; i < 20; i++)
        enqueue(second, kernel, other, 0, NULL);
    must(clFinish(second), "clFinish");
    must(clEnqueueReadBuffer(second, other, CL_TRUE, 0, 4, &b, 0, NULL, NULL), "clEnqueueReadBuffer");
    must(clSetUserEventStatus(later, CL_COMPLETE), "clSetUserEventStatus");
    must(clFinish(first), "clFinish");
    must(clEnqueueReadBuffer(first, one, CL_TRUE, 0, 4, &a, 0, NULL, NULL), "clEnqueueReadBuffer");
    printf("behind %d %s\n", a, b > 0 ? "some" : "none"); /* without order they overwrite each other's */
    fflush(stdout);
}

static int behind(void)
{
    cl_int error;
    const cl_queue_properties unordered[] = {CL_QUEUE_PROPERTIES, CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE, 0};
    cl_command_queue second = clCreateCommandQueueWithProperties(context, device, NULL, &error);
    must(error, "clCreateCommandQueueWithProperties");
    behind_in(queue, second);
    cl_command_queue third = clCreateCommandQueueWithProperties(context, device, unordered, &error);
    if (!error)
        behind_in(queue, third);
    return 0;
}

static void CL_CALLBACK never_returns(cl_event event, cl_int status, void *data)
{
    (void)event, (void)status;
    sem_post(data);
    for (;;)
        pause();
}

static int hold(void)
{
    static sem_t called;
    cl_int error;
    cl_event done;
    const size_t one = 1;
    cl_int times = 1000;
    cl_kernel kernel = make_kernel();
    cl_mem out = clCreateBuffer(context, CL_MEM_READ_WRITE, 4, NULL, &error);
    must(error, "clCreateBuffer");
    sem_init(&called, 0, 0);
    must(clSetKernelArg(kernel, 0, sizeof out, &out), "clSetKernelArg");
    must(clSetKernelArg(kernel, 1, sizeof times, &times), "clSetKernelArg");
    must(clEnqueueNDRangeKernel(queue, kernel, 1, NULL, &one, &one, 0, NULL, &done), "clEnqueueNDRangeKernel");
    must(clSetEventCallback(done, CL_COMPLETE, never_returns, &called), "clSetEventCallback");
    must(clFlush(queue), "clFlush");
    sem_wait(&called);
    say("held");
    return 0;
}

static int calls(unsigned n)
{
    cl_bool there;
    unsigned long long began = now_ns();
    for (unsigned i = 0; i < n; i++)
        must(clGetDeviceInfo(device, CL_DEVICE_AVAILABLE, sizeof there, &there, NULL), "clGetDeviceInfo");
    printf("ns %llu\n", now_ns() - began);
    return 0;
}

static int bytes(size_t size, unsigned n, cl_bool blocking)
{
    cl_int error;
    char *data = calloc(1, size);
    cl_mem to = clCreateBuffer(context, CL_MEM_READ_WRITE, size, NULL, &error);
    must(error, "clCreateBuffer");
    unsigned long long began = now_ns();
    for (unsigned i = 0; i < n; i++)
        must(clEnqueueWriteBuffer(queue, to, blocking, 0, size, data, 0, NULL, NULL), "clEnqueueWriteBuffer");
    must(clFinish(queue), "clFinish");
    printf("ns %llu\n", now_ns() - began);
    return 0;
}

static int function(void)
{
    cl_int error;
    cl_sampler sampler = clCreateSampler(context, CL_FALSE, CL_ADDRESS_CLAMP, CL_FILTER_NEAREST, &error);
    printf("error %d %s\n", error, sampler ? "made" : "none");
    return 0;
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";
    size_t size = argc > 2 ? strtoull(argv[2], NULL, 10) : 0;
    unsigned n = argc > 3 ? (unsigned)strtoul(argv[3], NULL, 10) : 0;
    if (!strcmp(what, "devices"))
        return devices();
    setup();
    if (!strcmp(what, "memory"))
        return memory(size, n);
    if (!strcmp(what, "parts"))
        return parts(size);
    if (!strcmp(what, "behind"))
        return behind();
    if (!strcmp(what, "hold"))
        return hold();
    if (!strcmp(what, "calls"))
        return calls((unsigned)size);
    if (!strcmp(what, "bytes"))
        return bytes(size, n, CL_TRUE);
    if (!strcmp(what, "ahead"))
        return bytes(size, n, CL_FALSE);
    if (!strcmp(what, "function"))
        return function();
    if (!strcmp(what, "many-svm"))
        return many_svm(size, n);
    if (!strcmp(what, "svm")) {
        void *at = clSVMAlloc(context, CL_MEM_READ_WRITE, size, 0);
        puts(at ? "svm yes" : "svm no");
        clSVMFree(context, at);
        return 0;
    }
    return 2;
}
