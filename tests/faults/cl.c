/*
 * A program over OpenCL whose device is lost in the middle: a kernel that would run for minutes, threads that wait for
 * it in different ways. Prints "busy" when all of them wait; at the end what each was told, and ends as any program
 * does.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include <CL/cl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const char *source =
    "kernel void spin(global int *p) { for (long i = 0; i < 1000000000000l; i++) p[0] += i ^ p[1]; }";
static cl_command_queue queue;
static cl_event event;
static cl_mem buffer;

static void *finish(void *unused)
{
    (void)unused;
    return (void *)(intptr_t)clFinish(queue);
}

static void *wait_for_event(void *unused)
{
    (void)unused;
    return (void *)(intptr_t)clWaitForEvents(1, &event);
}

static void *read_buffer(void *unused)
{
    int value;
    (void)unused;
    return (void *)(intptr_t)clEnqueueReadBuffer(queue, buffer, CL_TRUE, 0, 4, &value, 0, NULL, NULL);
}

#define MUST(error)                                                                                                    \
    do                                                                                                                 \
        if ((error) != CL_SUCCESS) {                                                                                   \
            printf("line %d: error %d\n", __LINE__, (int)(error));                                                     \
            return 1;                                                                                                  \
        }                                                                                                              \
    while (0)

int main(void)
{
    cl_platform_id platform;
    cl_device_id device;
    cl_int error;
    void *(*const ways[])(void *) = {finish, wait_for_event, read_buffer};
    pthread_t threads[3];
    MUST(clGetPlatformIDs(1, &platform, NULL));
    MUST(clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, 1, &device, NULL));
    cl_context context = clCreateContext(NULL, 1, &device, NULL, NULL, &error);
    MUST(error);
    queue = clCreateCommandQueueWithProperties(context, device, NULL, &error);
    MUST(error);
    buffer = clCreateBuffer(context, CL_MEM_READ_WRITE, 64, NULL, &error);
    MUST(error);
    cl_program program = clCreateProgramWithSource(context, 1, &source, NULL, &error);
    MUST(error);
    MUST(clBuildProgram(program, 1, &device, "", NULL, NULL));
    cl_kernel kernel = clCreateKernel(program, "spin", &error);
    MUST(error);
    MUST(clSetKernelArg(kernel, 0, sizeof buffer, &buffer));
    size_t one = 1;
    MUST(clEnqueueNDRangeKernel(queue, kernel, 1, NULL, &one, NULL, 0, NULL, &event));
    MUST(clFlush(queue));
    for (int i = 0; i < 3; i++)
        if (pthread_create(&threads[i], NULL, ways[i], NULL))
            return 1;
    usleep(200000);
    puts("busy");
    fflush(stdout);
    for (int i = 0; i < 3; i++) {
        void *told;
        pthread_join(threads[i], &told);
        printf("%d ", (int)(intptr_t)told);
    }
    cl_uint n;
    size_t size;
    printf("%d ", clGetEventInfo(event, CL_EVENT_COMMAND_EXECUTION_STATUS, sizeof n, &n, &size));
    printf("%d\n", clEnqueueNDRangeKernel(queue, kernel, 1, NULL, &one, NULL, 0, NULL, NULL));
    clReleaseKernel(kernel);
    clReleaseMemObject(buffer);
    clReleaseCommandQueue(queue);
    clReleaseContext(context);
    return 0;
}
