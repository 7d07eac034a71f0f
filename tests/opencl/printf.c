/*
 * OpenCL conformance: kernel printf, and its place among what the program itself writes to stdout.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "t.h"

#include <fcntl.h>
#include <unistd.h>

static const char *source =
    "kernel void hello(int n) { printf(\"kernel says %d\\n\", n); }\n"
    "kernel void ids(void) { printf(\"item %d\\n\", (int)get_global_id(0)); }\n"
    "kernel void formats(void) {\n"
    "  printf(\"%d %5d|%-5d|%05d %x %#x %u %c %s %%\\n\", -1, 42, 42, 42, 255, 255, 7u, 'c', \"string\");\n"
    "  printf(\"%f %.2f %e %g\\n\", 1.5f, 2.345f, 1000.0f, 0.25f);\n"
    "  printf(\"%v4hld %v2hd %v4hlf\\n\", (int4)(1, 2, 3, 4), (short2)(5, 6), (float4)(1, 2, 3, 4)); }\n"
    "kernel void part(int n) { printf(\"<%d>\", n); }\n";

static cl_kernel kernel_of(const struct t_cl *cl, const char *name)
{
    cl_program program = GET(clCreateProgramWithSource(cl->context, 1, &source, NULL, &t_error));

    OK(clBuildProgram(program, 1, &cl->device, "", NULL, NULL));
    cl_kernel kernel = GET(clCreateKernel(program, name, &t_error));
    OK(clReleaseProgram(program));
    return kernel;
}

static void run(const struct t_cl *cl, cl_kernel kernel, size_t global, cl_event *event)
{
    OK(clEnqueueNDRangeKernel(cl->queue, kernel, 1, NULL, &global, NULL, 0, NULL, event));
}

/* A line of the kernel's comes before what the program writes after clFinish, though the program does not buffer. */
static void order(void)
{
    struct t_cl cl = t_open();
    cl_kernel kernel = kernel_of(&cl, "hello");

    for (cl_int i = 0; i < 5; i++) {
        t_say("before %d", i);
        OK(clSetKernelArg(kernel, 0, sizeof i, &i));
        run(&cl, kernel, 1, NULL);
        OK(clFinish(cl.queue));
        t_say("after %d", i);
    }
    OK(clReleaseKernel(kernel));
    t_close(&cl);
}

/* The same after a wait for the event, and after a blocking read. */
static void order_other_waits(void)
{
    struct t_cl cl = t_open();
    cl_kernel kernel = kernel_of(&cl, "hello");
    cl_mem buffer = t_ints(&cl, 1);
    cl_int n = 1, value;
    cl_event event;

    OK(clSetKernelArg(kernel, 0, sizeof n, &n));
    run(&cl, kernel, 1, &event);
    OK(clWaitForEvents(1, &event));
    t_say("after the event");
    run(&cl, kernel, 1, NULL);
    OK(clEnqueueReadBuffer(cl.queue, buffer, CL_TRUE, 0, sizeof value, &value, 0, NULL, NULL));
    t_say("after the read");
    OK(clReleaseEvent(event));
    OK(clReleaseKernel(kernel));
    OK(clReleaseMemObject(buffer));
    t_close(&cl);
}

static void formats(void)
{
    struct t_cl cl = t_open();
    cl_kernel kernel = kernel_of(&cl, "formats");

    run(&cl, kernel, 1, NULL);
    OK(clFinish(cl.queue));
    OK(clReleaseKernel(kernel));
    t_close(&cl);
}

/* Pieces without a newline are not held back. */
static void no_newline(void)
{
    struct t_cl cl = t_open();
    cl_kernel kernel = kernel_of(&cl, "part");

    for (cl_int i = 0; i < 3; i++) {
        OK(clSetKernelArg(kernel, 0, sizeof i, &i));
        run(&cl, kernel, 1, NULL);
        OK(clFinish(cl.queue));
        CHECK(write(STDOUT_FILENO, "host ", 5) == 5);
    }
    t_say(".");
    OK(clReleaseKernel(kernel));
    t_close(&cl);
}

/* Captures what the kernel writes to descriptor 1, for the order of work items is not fixed: sorted it is. */
static void items(void)
{
    struct t_cl cl = t_open();
    cl_kernel kernel = kernel_of(&cl, "ids");
    int pipe_ends[2], saved = dup(STDOUT_FILENO);
    char text[8192] = "";
    size_t used = 0;
    ssize_t n;
    int seen[64] = {0}, lines = 0;

    OK(clFinish(cl.queue));
    CHECK(pipe(pipe_ends) == 0);
    dup2(pipe_ends[1], STDOUT_FILENO);
    run(&cl, kernel, 64, NULL);
    OK(clFinish(cl.queue));
    dup2(saved, STDOUT_FILENO);
    close(pipe_ends[1]);
    while ((n = read(pipe_ends[0], text + used, sizeof text - 1 - used)) > 0)
        used += (size_t)n;
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"), lines++) {
        int item = -1;
        if (sscanf(line, "item %d", &item) == 1 && item >= 0 && item < 64)
            seen[item]++;
    }
    for (int i = 0; i < 64; i++)
        CHECK(seen[i] == 1);
    t_say("%d lines", lines);
    close(pipe_ends[0]);
    close(saved);
    OK(clReleaseKernel(kernel));
    t_close(&cl);
}

/* Through the program's own stdio buffer: what it flushed is out before, what it holds is out after. */
static void with_stdio(void)
{
    static char buffer[4096];
    struct t_cl cl = t_open();
    cl_kernel kernel = kernel_of(&cl, "hello");
    cl_int n = 9;

    setvbuf(stdout, buffer, _IOFBF, sizeof buffer);
    OK(clSetKernelArg(kernel, 0, sizeof n, &n));
    printf("flushed before\n");
    fflush(stdout);
    printf("held in the buffer\n");
    run(&cl, kernel, 1, NULL);
    OK(clFinish(cl.queue));
    t_say("written after");
    fflush(stdout);
    OK(clReleaseKernel(kernel));
    t_close(&cl);
}

T_MAIN(T(order), T(order_other_waits), T(formats), T(no_newline), T(items), T(with_stdio))
