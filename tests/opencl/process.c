/*
 * OpenCL conformance: what surrounds a program: fork, exec, exit, signals, descriptors, the working directory.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "t.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

enum { N = 64, BYTES = N * (int)sizeof(cl_int) };

extern char **environ;

static void work(const struct t_cl *cl)
{
    cl_mem buffer = t_ints(cl, N);
    cl_kernel kernel = t_kernel(cl, "inc");
    size_t global = N;

    OK(clSetKernelArg(kernel, 0, sizeof buffer, &buffer));
    OK(clEnqueueNDRangeKernel(cl->queue, kernel, 1, NULL, &global, NULL, 0, NULL, NULL));
    t_show_ints(cl, buffer, N);
    OK(clReleaseKernel(kernel));
    OK(clReleaseMemObject(buffer));
}

static void show_end(pid_t child)
{
    int status = -1;

    CHECK(waitpid(child, &status, 0) == child);
    t_say("child: exited %d status %d", WIFEXITED(status), WIFEXITED(status) ? WEXITSTATUS(status) : -1);
}

/* The child asks for platforms after the parent has used OpenCL; no more, for the native library's threads are gone
 * there. */
static void fork_child(void)
{
    struct t_cl cl = t_open();
    cl_platform_id platform;
    cl_uint n = 77;

    work(&cl);
    pid_t child = fork();
    if (child == 0) {
        cl_int error = clGetPlatformIDs(1, &platform, &n);
        t_say("in the child: %s, %u platforms", t_error_name(error), n);
        _exit(5);
    }
    show_end(child);
    work(&cl);
    t_close(&cl);
}

/* A child that never touches OpenCL, and ends by exit(), leaves the parent alone. */
static void fork_idle_child(void)
{
    struct t_cl cl = t_open();
    cl_event gate = GET(clCreateUserEvent(cl.context, &t_error));
    cl_mem buffer = t_ints(&cl, N);
    cl_int value = 3;

    OK(clEnqueueFillBuffer(cl.queue, buffer, &value, sizeof value, 0, BYTES, 1, &gate, NULL));
    pid_t child = fork();
    if (child == 0)
        _exit(6);
    show_end(child);
    OK(clSetUserEventStatus(gate, CL_COMPLETE));
    t_show_ints(&cl, buffer, N);
    work(&cl);
    OK(clReleaseEvent(gate));
    OK(clReleaseMemObject(buffer));
    t_close(&cl);
}

/* Fork first, OpenCL in the child and the parent afterwards. */
static void fork_before(void)
{
    pid_t child = fork();

    if (child == 0) {
        struct t_cl cl = t_open();
        work(&cl);
        t_close(&cl);
        _exit(0);
    }
    show_end(child);
    struct t_cl cl = t_open();
    work(&cl);
    t_close(&cl);
}

static void simple(void)
{
    struct t_cl cl = t_open();

    work(&cl);
    t_close(&cl);
}

/* A program started by one that uses OpenCL. */
static void spawn(void)
{
    struct t_cl cl = t_open();
    char *arguments[] = {"cl_process", "simple", NULL};
    pid_t child;

    work(&cl);
    CHECK(posix_spawn(&child, "/proc/self/exe", NULL, NULL, arguments, environ) == 0);
    show_end(child);
    work(&cl);
    t_close(&cl);
}

static void CL_CALLBACK exit_now(cl_event event, cl_int status, void *user)
{
    (void)event, (void)user;
    t_say("callback, status %d", status);
    exit(0);
}

/* exit() in a callback, while the main thread waits. */
static void exit_in_callback(void)
{
    struct t_cl cl = t_open();
    cl_mem buffer = t_ints(&cl, N);
    cl_int value = 1;
    cl_event event;

    OK(clEnqueueFillBuffer(cl.queue, buffer, &value, sizeof value, 0, BYTES, 0, NULL, &event));
    OK(clSetEventCallback(event, CL_COMPLETE, exit_now, NULL));
    OK(clFlush(cl.queue));
    pause();
}

/* Nothing is released. */
static void never_release(void)
{
    struct t_cl cl = t_open();

    for (int i = 0; i < 20; i++) {
        t_ints(&cl, N);
        GET(clCreateUserEvent(cl.context, &t_error));
        t_kernel(&cl, "inc");
    }
    work(&cl);
}

/* exit() with a command that waits for ever. */
static void exit_with_commands(void)
{
    struct t_cl cl = t_open();
    cl_mem buffer = t_ints(&cl, N);
    cl_event gate = GET(clCreateUserEvent(cl.context, &t_error));
    cl_int value = 1;

    OK(clEnqueueFillBuffer(cl.queue, buffer, &value, sizeof value, 0, BYTES, 1, &gate, NULL));
    OK(clFlush(cl.queue));
    t_say("leaving");
}

static struct t_cl at_exit_cl;
static cl_mem at_exit_buffer;

static void last_words(void)
{
    t_show_ints(&at_exit_cl, at_exit_buffer, N);
    OK(clReleaseMemObject(at_exit_buffer));
    t_close(&at_exit_cl);
    t_say("released in the exit handler");
}

/* An exit handler that was registered before the first call still finds the library at work. */
static void exit_handler(void)
{
    atexit(last_words);
    at_exit_cl = t_open();
    at_exit_buffer = t_ints(&at_exit_cl, N);
    work(&at_exit_cl);
}

static void abort_program(void)
{
    struct t_cl cl = t_open();
    pid_t child;

    work(&cl);
    t_close(&cl);
    child = fork();
    if (child == 0)
        abort();
    int status = -1;
    CHECK(waitpid(child, &status, 0) == child);
    t_say("signaled %d by SIGABRT %d", WIFSIGNALED(status), WTERMSIG(status) == SIGABRT);
}

static volatile sig_atomic_t ticks;

static void on_tick(int signal)
{
    (void)signal;
    ticks++;
}

/* A timer whose signal interrupts system calls. */
static void interrupted(void)
{
    static cl_int data[4096], back[4096];
    struct sigaction action = {.sa_handler = on_tick};
    struct itimerval every = {{0, 500}, {0, 500}}, never = {{0, 0}, {0, 0}};
    struct t_cl cl = t_open();
    cl_mem buffer = GET(clCreateBuffer(cl.context, 0, sizeof data, NULL, &t_error));

    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &every, NULL);
    for (int i = 0; i < 500 || ticks < 20; i++) {
        data[i % 4096] = i;
        OK(clEnqueueWriteBuffer(cl.queue, buffer, CL_FALSE, 0, sizeof data, data, 0, NULL, NULL));
        OK(clEnqueueReadBuffer(cl.queue, buffer, CL_TRUE, 0, sizeof data, back, 0, NULL, NULL));
        CHECK(back[i % 4096] == i);
    }
    setitimer(ITIMER_REAL, &never, NULL);
    t_say("interrupted %d", ticks > 0);
    OK(clReleaseMemObject(buffer));
    t_close(&cl);
}

/* Signals blocked in the program stay with the program: no thread of the library's takes one. */
static void signals_to_program(void)
{
    struct t_cl cl = t_open();
    struct timespec now = {0, 0};
    sigset_t set;

    work(&cl);
    sigemptyset(&set);
    sigaddset(&set, SIGPIPE);
    CHECK(sigprocmask(SIG_BLOCK, &set, NULL) == 0);
    work(&cl);
    t_say("SIGPIPE pending %d", sigtimedwait(&set, NULL, &now) == SIGPIPE);
    t_close(&cl);
}

/* A program that closes what it does not know, before its first call. */
static void close_descriptors_before(void)
{
    for (int fd = 3; fd < 1024; fd++)
        close(fd);
    simple();
}

/* The lowest free descriptors are the program's own: what it opens, dups and closes is not the library's. */
static void descriptors(void)
{
    struct t_cl cl = t_open();
    int file = open("/dev/null", O_RDWR), low = dup(file);

    CHECK(file >= 0 && low >= 0);
    work(&cl);
    CHECK(close(low) == 0 && close(file) == 0);
    work(&cl);
    t_say("descriptors 0 to 2 open %d%d%d", fcntl(0, F_GETFD) >= 0, fcntl(1, F_GETFD) >= 0, fcntl(2, F_GETFD) >= 0);
    t_close(&cl);
}

/* An include path relative to the working directory of the moment. */
static void change_directory(void)
{
    static const char *source = "#include \"here.h\"\nkernel void set(global int *a) { a[get_global_id(0)] = HERE; }\n";
    struct t_cl cl = t_open();

    for (int i = 1; i <= 2; i++) {
        char name[8];
        snprintf(name, sizeof name, "d%d", i);
        mkdir(name, 0755);
        CHECK(chdir(name) == 0);
        FILE *file = fopen("here.h", "w");
        CHECK(file);
        fprintf(file, "#define HERE %d\n", 100 * i);
        fclose(file);
        cl_program program = GET(clCreateProgramWithSource(cl.context, 1, &source, NULL, &t_error));
        OK(clBuildProgram(program, 1, &cl.device, "-I .", NULL, NULL));
        cl_kernel kernel = GET(clCreateKernel(program, "set", &t_error));
        cl_mem buffer = t_ints(&cl, N);
        size_t global = N;
        OK(clSetKernelArg(kernel, 0, sizeof buffer, &buffer));
        OK(clEnqueueNDRangeKernel(cl.queue, kernel, 1, NULL, &global, NULL, 0, NULL, NULL));
        t_show_ints(&cl, buffer, N);
        OK(clReleaseKernel(kernel));
        OK(clReleaseProgram(program));
        OK(clReleaseMemObject(buffer));
        CHECK(chdir("..") == 0);
    }
    t_close(&cl);
}

/* Created and released at once: ids and addresses are used again. */
static void many_objects(void)
{
    struct t_cl cl = t_open();
    cl_mem ring[16] = {0};
    cl_int value;

    for (cl_int i = 0; i < 100000; i++) {
        cl_mem *slot = &ring[i % 16];
        if (*slot)
            OK(clReleaseMemObject(*slot));
        *slot = GET(clCreateBuffer(cl.context, CL_MEM_COPY_HOST_PTR, sizeof i, &i, &t_error));
    }
    for (int i = 0; i < 16; i++) {
        OK(clEnqueueReadBuffer(cl.queue, ring[i], CL_TRUE, 0, sizeof value, &value, 0, NULL, NULL));
        CHECK(value == 100000 - 16 + i);
        OK(clReleaseMemObject(ring[i]));
    }
    t_say("100000 buffers");
    t_close(&cl);
}

/* All alive at once, released in another order. */
static void many_alive(void)
{
    enum { MANY = 10000 };
    static cl_mem buffers[MANY];
    struct t_cl cl = t_open();

    for (cl_int i = 0; i < MANY; i++)
        buffers[i] = GET(clCreateBuffer(cl.context, CL_MEM_COPY_HOST_PTR, sizeof i, &i, &t_error));
    for (cl_int i = 0; i < MANY; i++) {
        cl_int j = (cl_int)((i * 7919ll) % MANY), value = -1;
        if (i % 16 == 0) {
            OK(clEnqueueReadBuffer(cl.queue, buffers[j], CL_TRUE, 0, sizeof value, &value, 0, NULL, NULL));
            CHECK(value == j);
        }
        OK(clReleaseMemObject(buffers[j]));
    }
    t_say("%d buffers at once", MANY);
    t_close(&cl);
}

static void many_events(void)
{
    struct t_cl cl = t_open();

    for (int i = 0; i < 100000; i++) {
        cl_event event = GET(clCreateUserEvent(cl.context, &t_error));
        OK(clSetUserEventStatus(event, CL_COMPLETE));
        OK(clReleaseEvent(event));
    }
    t_say("100000 user events");
    t_close(&cl);
}

T_MAIN(T(fork_child), T(fork_idle_child), T(fork_before), T(simple), T(spawn), T(never_release), T(abort_program),
       T(interrupted), T(signals_to_program), T(close_descriptors_before), T(descriptors), T(change_directory),
       T(many_objects), T(many_alive), T(many_events), T(exit_handler), T(exit_with_commands), T(exit_in_callback))
