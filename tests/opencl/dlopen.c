/*
 * OpenCL conformance: libOpenCL.so.1 loaded and unloaded at run time, as language bindings and plugins do.
 * SPDX-License-Identifier: Apache-2.0
 *
 * It is not linked with the library (the harness is), so that the first dlopen() loads and the last dlclose() unloads.
 */
#include <CL/cl.h>
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int failed;

static void say(const char *text)
{
    puts(text);
    fflush(stdout);
}

static void check(int condition, const char *what)
{
    if (condition)
        return;
    printf("FAIL %s\n", what);
    failed = 1;
}

/* For what the rest of the test cannot do without. */
static void need(int condition, const char *what)
{
    check(condition, what);
    if (!condition)
        exit(1);
}

/* A symbol as a pointer of the function's own type. */
#define SYMBOL(library, function)                                                                                      \
    __typeof__(&function) function##_ = (__typeof__(&function))dlsym(library, #function);                              \
    need(function##_ != NULL, #function)

static void *open_library(int flags)
{
    void *library = dlopen("libOpenCL.so.1", flags);

    need(library != NULL, "dlopen");
    return library;
}

/* Writes to a buffer and reads it again. */
static void work(void *library)
{
    SYMBOL(library, clGetPlatformIDs);
    SYMBOL(library, clGetDeviceIDs);
    SYMBOL(library, clCreateContext);
    SYMBOL(library, clCreateCommandQueueWithProperties);
    SYMBOL(library, clCreateBuffer);
    SYMBOL(library, clEnqueueReadBuffer);
    SYMBOL(library, clReleaseMemObject);
    SYMBOL(library, clReleaseCommandQueue);
    SYMBOL(library, clReleaseContext);
    cl_platform_id platform;
    cl_device_id device;
    cl_int value = 42, back = 0, error;

    need(clGetPlatformIDs_(1, &platform, NULL) == CL_SUCCESS, "platform");
    need(clGetDeviceIDs_(platform, CL_DEVICE_TYPE_ALL, 1, &device, NULL) == CL_SUCCESS, "device");
    cl_context context = clCreateContext_(NULL, 1, &device, NULL, NULL, &error);
    cl_command_queue queue = clCreateCommandQueueWithProperties_(context, device, NULL, &error);
    cl_mem buffer = clCreateBuffer_(context, CL_MEM_COPY_HOST_PTR, sizeof value, &value, &error);
    check(clEnqueueReadBuffer_(queue, buffer, CL_TRUE, 0, sizeof back, &back, 0, NULL, NULL) == CL_SUCCESS, "read");
    check(back == value, "value");
    check(clReleaseMemObject_(buffer) == CL_SUCCESS, "release buffer");
    check(clReleaseCommandQueue_(queue) == CL_SUCCESS, "release queue");
    check(clReleaseContext_(context) == CL_SUCCESS, "release context");
}

static void once(void)
{
    void *library = open_library(RTLD_NOW | RTLD_LOCAL);

    work(library);
    say("worked");
}

/* Loaded and unloaded without a call. */
static void idle_loop(void)
{
    for (int i = 0; i < 50; i++)
        check(dlclose(open_library(RTLD_NOW | RTLD_LOCAL)) == 0, "dlclose");
    say("50 times");
}

/* With a query each time: what the library keeps open grows natively, so no more than ten times, and no contexts. */
static void query_loop(void)
{
    cl_uint n = 0;

    for (int i = 0; i < 10; i++) {
        void *library = open_library(RTLD_LAZY | RTLD_LOCAL);
        SYMBOL(library, clGetPlatformIDs);
        check(clGetPlatformIDs_(0, NULL, &n) == CL_SUCCESS && n > 0, "platforms");
        check(dlclose(library) == 0, "dlclose");
    }
    say("10 times");
}

static void work_loop(void)
{
    for (int i = 0; i < 10; i++) {
        void *library = open_library(RTLD_NOW | RTLD_GLOBAL);
        work(library);
        check(dlclose(library) == 0, "dlclose");
    }
    say("10 times");
}

/* Two handles are one library. */
static void twice(void)
{
    void *one = open_library(RTLD_NOW), *two = open_library(RTLD_NOW);

    check(dlsym(one, "clGetPlatformIDs") == dlsym(two, "clGetPlatformIDs"), "same function");
    check(dlclose(one) == 0, "dlclose");
    work(two);
    check(dlclose(two) == 0, "dlclose");
    say("worked");
}

static void *in_thread(void *arg)
{
    void *library = open_library(RTLD_NOW);

    work(library);
    check(dlclose(library) == 0, "dlclose");
    return arg;
}

/* The library goes while its thread goes. */
static void threads(void)
{
    for (int i = 0; i < 10; i++) {
        pthread_t thread;
        check(pthread_create(&thread, NULL, in_thread, NULL) == 0, "thread");
        pthread_join(thread, NULL);
    }
    say("10 threads");
}

/* The 133 names a loader has, by version: those an old binary would look for. */
static void versions(void)
{
    static const char *const names[][2] = {
        {"clGetPlatformIDs", "OPENCL_1.0"},
        {"clCreateSubBuffer", "OPENCL_1.1"},
        {"clCreateSubDevices", "OPENCL_1.2"},
        {"clSVMAlloc", "OPENCL_2.0"},
        {"clCloneKernel", "OPENCL_2.1"},
        {"clSetProgramReleaseCallback", "OPENCL_2.2"},
        {"clCreateBufferWithProperties", "OPENCL_3.0"},
    };
    void *library = open_library(RTLD_NOW);

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        printf("%s@%s %d\n", names[i][0], names[i][1], dlvsym(library, names[i][0], names[i][1]) != NULL);
    printf("%s\n", dlsym(library, "clNoSuchFunction") ? "there" : "not there");
    fflush(stdout);
}

static const struct {
    const char *name;
    void (*run)(void);
} tests[] = {
    {"once", once},   {"idle_loop", idle_loop}, {"query_loop", query_loop}, {"work_loop", work_loop},
    {"twice", twice}, {"threads", threads},     {"versions", versions},
};

int main(int argc, char **argv)
{
    int list = argc == 2 && strcmp(argv[1], "--list") == 0;

    for (size_t i = 0; i < sizeof tests / sizeof tests[0]; i++) {
        if (list)
            say(tests[i].name);
        else if (argc < 2 || strcmp(argv[1], tests[i].name) == 0)
            tests[i].run();
    }
    return failed;
}
