/*
 * Odd but honest applications: each subtest does to its own process what natively is harmless, and looks whether calls still
 * answer, with success or an error, in time. Exit status 0: well; 77: does not apply here; else a line says what went wrong.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include <CL/cl.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int report = STDERR_FILENO; /* where complaints go: a subtest may close the usual ones */

static _Noreturn void fail(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vdprintf(report, format, args);
    va_end(args);
    dprintf(report, "\n");
    _exit(1);
}

#define CHECK(condition, ...) do { if (!(condition)) fail(__VA_ARGS__); } while (0)

static cl_device_id device;
static cl_context context;
static cl_command_queue queue;

static cl_int find_device(void)
{
    cl_platform_id platform;
    cl_int error = clGetPlatformIDs(1, &platform, NULL);
    return error ? error : clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, 1, &device, NULL);
}

static void open_device(void)
{
    cl_int error = find_device();
    CHECK(!error, "no device: %d", error);
    context = clCreateContext(NULL, 1, &device, NULL, NULL, &error);
    CHECK(context, "no context: %d", error);
    queue = clCreateCommandQueueWithProperties(context, device, NULL, &error);
    CHECK(queue, "no queue: %d", error);
}

/* ---- descriptors ---- */

/* A daemon closes 0, 1 and 2 and prints all the same: nothing of ours may stand there. */
static int closed_standard_descriptors(void)
{
    report = fcntl(STDERR_FILENO, F_DUPFD, 200);
    for (int fd = 0; fd <= 2; fd++)
        close(fd);
    open_device();
    for (int fd = 0; fd <= 2; fd++)
        CHECK(fcntl(fd, F_GETFD) < 0, "descriptor %d was taken", fd);
    if (write(STDOUT_FILENO, "lost", 4) != 4 && open("/dev/null", O_RDWR) != 0)
        fail("descriptor 0 is not the first free one");
    CHECK(clFinish(queue) == CL_SUCCESS, "the queue does not answer");
    return 0;
}

static int first_socket(void)
{
    int sock, type;
    socklen_t size = sizeof type;
    for (sock = 3; sock < 1024; sock++)
        if (getsockopt(sock, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_SEQPACKET)
            return sock;
    return -1;
}

/* What closes every descriptor loses its device, but gets errors at once, and what it opens then is its own. */
static int closed_descriptors(void)
{
    int pairs[40][2];
    open_device();
    CHECK(first_socket() >= 0, "there is no connection");
    for (int fd = 3; fd < 1024; fd++)
        close(fd);
    for (int i = 0; i < 40; i++)
        CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pairs[i]) == 0, "no socket pair");
    alarm(20);
    while (clFinish(queue) == CL_SUCCESS)
        usleep(1000);
    char *data = calloc(1, 32 << 20);
    clCreateBuffer(context, CL_MEM_COPY_HOST_PTR, 32 << 20, data, NULL);
    for (int i = 0; i < 80; i++) {
        char byte;
        CHECK(recv(pairs[i / 2][i % 2], &byte, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN, "something was written to the application's socket");
    }
    pid_t child = fork();
    if (!child) {
        int gone = 0;
        for (int i = 0; i < 80; i++)
            gone += fcntl(pairs[i / 2][i % 2], F_GETFD) < 0;
        _exit(gone);
    }
    int status;
    waitpid(child, &status, 0);
    CHECK(status == 0, "the child lost %d of its descriptors", WEXITSTATUS(status));
    return 0;
}

static void *ask(void *ret)
{
    cl_uint refs;
    *(cl_int *)ret = clGetContextInfo(context, CL_CONTEXT_REFERENCE_COUNT, sizeof refs, &refs, NULL);
    return NULL;
}

static cl_int ask_in_a_thread(void)
{
    pthread_t thread;
    cl_int error = -1;
    CHECK(pthread_create(&thread, NULL, ask, &error) == 0, "no thread");
    pthread_join(thread, NULL);
    return error;
}

/* Out of descriptors for a while: calls fail then, and work again afterwards. */
static int few_descriptors(void)
{
    static int held[4096];
    int n = 0;
    const size_t big = 48 << 20;
    char *data = calloc(1, big);
    open_device();
    struct rlimit limit = {256, 256};
    setrlimit(RLIMIT_NOFILE, &limit);
    while ((held[n] = open("/dev/null", O_RDONLY)) >= 0)
        n++;
    for (int i = 0; i < 600; i++)
        ask_in_a_thread();
    cl_mem early = clCreateBuffer(context, CL_MEM_COPY_HOST_PTR, big, data, NULL);
    if (early)
        clReleaseMemObject(early);
    while (n)
        close(held[--n]);
    cl_int error = ask_in_a_thread();
    CHECK(!error, "a thread gets %d after descriptors are free again", error);
    cl_mem buffer = clCreateBuffer(context, CL_MEM_COPY_HOST_PTR, big, data, &error);
    CHECK(buffer, "a large buffer gets %d after descriptors are free again", error);
    return 0;
}

/* ---- objects ---- */

/* Handles come round again after 65,536 of their kind; what was answered about the old ones must not. */
static int many_objects(void)
{
    open_device();
    const cl_image_format format = {CL_RGBA, CL_UNSIGNED_INT8};
    for (size_t i = 0; i < 65600; i++) {
        const cl_image_desc desc = {.image_type = CL_MEM_OBJECT_IMAGE2D, .image_width = 1 + i % 977, .image_height = 1};
        cl_int error;
        size_t width = 0;
        cl_mem image = clCreateImage(context, CL_MEM_READ_ONLY, &format, &desc, NULL, &error);
        if (!image && i == 0)
            return 77;
        CHECK(image, "image %zu: %d", i, error);
        if (i < 40 || i > 65500) {
            error = clGetImageInfo(image, CL_IMAGE_WIDTH, sizeof width, &width, NULL);
            CHECK(!error && width == desc.image_width, "image %zu is %zu wide, not %zu", i, width, desc.image_width);
        }
        clReleaseMemObject(image);
    }
    return 0;
}

static pthread_barrier_t barrier;

static void *first_look(void *ret)
{
    cl_platform_id platform;
    cl_device_id found = NULL;
    pthread_barrier_wait(&barrier);
    if (!clGetPlatformIDs(1, &platform, NULL))
        clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, 1, &found, NULL);
    *(cl_device_id *)ret = found;
    return NULL;
}

/* Threads that look for the first time at once see one device, not one each. */
static int one_device(void)
{
    for (int round = 0; round < 15; round++) {
        pid_t child = fork(); /* each connects anew */
        if (!child) {
            enum { N = 8 };
            pthread_t threads[N];
            cl_device_id seen[N];
            pthread_barrier_init(&barrier, NULL, N);
            for (int i = 0; i < N; i++)
                pthread_create(&threads[i], NULL, first_look, &seen[i]);
            for (int i = 0; i < N; i++)
                pthread_join(threads[i], NULL);
            for (int i = 1; i < N; i++)
                CHECK(seen[i] && seen[i] == seen[0], "round %d: thread %d sees device %p, thread 0 %p", round, i, (void *)seen[i], (void *)seen[0]);
            _exit(0);
        }
        int status;
        waitpid(child, &status, 0);
        if (status)
            return 1;
    }
    return 0;
}

static cl_program program;

static void *make_kernels(void *unused)
{
    (void)unused;
    for (int i = 0; i < 1500; i++) {
        cl_kernel kernels[2];
        char name[16];
        cl_int error = clCreateKernelsInProgram(program, 2, kernels, NULL);
        CHECK(!error, "kernels of round %d: %d", i, error);
        for (int k = 0; k < 2; k++) {
            error = clGetKernelInfo(kernels[k], CL_KERNEL_FUNCTION_NAME, sizeof name, name, NULL);
            CHECK(!error, "kernel %d of round %d: %d", k, i, error);
            error = clReleaseKernel(kernels[k]);
            CHECK(!error, "kernel %d of round %d released: %d", k, i, error);
        }
    }
    return NULL;
}

/* Objects that the server names, made and released by several threads. */
static int kernels_in_threads(void)
{
    const char *source = "kernel void a(global int *p) { *p = 1; } kernel void b(global int *p) { *p = 2; }";
    pthread_t threads[4];
    open_device();
    program = clCreateProgramWithSource(context, 1, &source, NULL, NULL);
    cl_int error = clBuildProgram(program, 1, &device, NULL, NULL, NULL);
    CHECK(!error, "build: %d", error);
    for (int i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, make_kernels, NULL);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    return 0;
}

/* ---- files ---- */

static void put_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    CHECK(f && fputs(text, f) >= 0 && fclose(f) == 0, "no file %s", path);
}

static void build(const char *source)
{
    cl_program made = clCreateProgramWithSource(context, 1, &source, NULL, NULL);
    cl_int error = clBuildProgram(made, 1, &device, "-I inc", NULL, NULL);
    CHECK(!error, "%s: %d", source, error);
    clReleaseProgram(made);
}

/* Between two builds a file becomes a folder; another file is empty. */
static int changing_files(void)
{
    char folder[] = "/tmp/hira-attack-XXXXXX";
    CHECK(mkdtemp(folder) && chdir(folder) == 0 && mkdir("inc", 0700) == 0, "no folder");
    open_device();
    put_file("inc/x", "#define A 1\n");
    build("#include \"x\"\nkernel void k(global int *p) { *p = A; }");
    CHECK(unlink("inc/x") == 0 && mkdir("inc/x", 0700) == 0, "no folder x");
    put_file("inc/x/y.h", "#define A 2\n");
    build("#include \"x/y.h\"\nkernel void k(global int *p) { *p = A; }");
    put_file("inc/e.h", "");
    build("#include \"e.h\"\nkernel void k(global int *p) { *p = 3; }");
    CHECK(!unlink("inc/e.h") && !unlink("inc/x/y.h") && !rmdir("inc/x") && !rmdir("inc") && !chdir("/") && !rmdir(folder), "not tidied");
    return 0;
}

static bool compile(const char *source)
{
    cl_program made = clCreateProgramWithSource(context, 1, &source, NULL, NULL);
    cl_int error = clCompileProgram(made, 1, &device, "-I inc", 0, NULL, NULL, NULL, NULL);
    clReleaseProgram(made);
    return error == CL_SUCCESS;
}

/* A header of some megabytes that changes for each build is one file; too many of them the server does not keep: then a build fails, and
 * nothing else. */
static int many_files(void)
{
    char folder[] = "/tmp/hira-attack-XXXXXX", name[32], source[100];
    enum { SIZE = 7 << 20, FILES = 20 };
    char *text = malloc(SIZE + 1);
    int built = 0;
    CHECK(text && mkdtemp(folder) && chdir(folder) == 0 && mkdir("inc", 0700) == 0, "no folder");
    memset(text, ' ', SIZE);
    text[SIZE] = 0;
    open_device();
    for (int i = 0; i < FILES; i++) {
        text[sprintf(text, "#define A %d\n", i)] = ' ';
        sprintf(name, "inc/%d.h", i);
        put_file(name, text);
        sprintf(source, "#include \"%d.h\"\nkernel void f%d(global int *p) { *p = A; }", i, i);
        built += compile(source);
    }
    CHECK(built >= 15 && (built < FILES || !getenv("HIRA_SOCKET")), "%d were built", built);
    for (int i = 0; i < 2; i++) {
        text[sprintf(text, "#define A %d\n", 100 + i)] = ' ';
        put_file("inc/0.h", text);
        sprintf(source, "#include \"0.h\"\nkernel void g%d(global int *p) { *p = A; }", i);
        CHECK(compile(source), "not built when it had changed %d times", i + 1);
    }
    for (int i = 0; i < FILES; i++) {
        sprintf(name, "inc/%d.h", i);
        unlink(name);
    }
    free(text);
    CHECK(!rmdir("inc") && !chdir("/") && !rmdir(folder), "not tidied");
    return 0;
}

/* ---- sizes ---- */

/* Memory that ends where the application says, as a size that the API refuses reaches behind it. */
static int sizes_out_of_range(void)
{
    open_device();
    char *page = mmap(NULL, 2 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    mprotect(page + 4096, 4096, PROT_NONE);
    cl_mem buffer = clCreateBuffer(context, 0, 4096, NULL, NULL);
    static const size_t sizes[] = {4097, 65536, 4 << 20, 1ul << 33, SIZE_MAX / 16, SIZE_MAX};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (cl_bool blocking = 0; blocking < 2; blocking++) {
            cl_int error = clEnqueueWriteBuffer(queue, buffer, blocking, 0, sizes[i], page, 0, NULL, NULL);
            CHECK(error == CL_INVALID_VALUE, "writing %zu bytes: %d", sizes[i], error);
            error = clEnqueueReadBuffer(queue, buffer, blocking, 0, sizes[i], page, 0, NULL, NULL);
            CHECK(error == CL_INVALID_VALUE, "reading %zu bytes: %d", sizes[i], error);
        }
    CHECK(clEnqueueWriteBuffer(queue, buffer, CL_TRUE, 0, 4096, page, 0, NULL, NULL) == CL_SUCCESS, "nothing works afterwards");
    return 0;
}

/* ---- callbacks ---- */

static volatile int forked, called;

static void CL_CALLBACK fork_once(cl_event event, cl_int status, void *pipe_end)
{
    (void)event, (void)status;
    pid_t child = fork();
    if (!child) {
        called = 1;
        return; /* into a thread whose library is not there any more */
    }
    forked = child;
    (void)pipe_end;
}

static void CL_CALLBACK count_call(cl_event event, cl_int status, void *data)
{
    (void)event, (void)status, (void)data;
    called++;
}

/* A callback may fork; the child's copy of it returns, and must not crash. */
static int fork_in_a_callback(void)
{
    int status;
    open_device();
    cl_event event = clCreateUserEvent(context, NULL), second = clCreateUserEvent(context, NULL);
    clSetEventCallback(event, CL_COMPLETE, fork_once, NULL);
    clSetEventCallback(second, CL_COMPLETE, count_call, NULL);
    pid_t me = getpid();
    clSetUserEventStatus(event, CL_COMPLETE);
    for (int i = 0; !forked && i < 5000; i++)
        usleep(1000);
    CHECK(getpid() == me, "the child is here");
    for (int i = 0; waitpid(forked, &status, WNOHANG) == 0; i++) {
        if (i == 300) { /* natively it may wait for ever */
            kill(forked, SIGKILL);
            waitpid(forked, &status, 0);
            status = 0;
            break;
        }
        usleep(10000);
    }
    CHECK(!WIFSIGNALED(status), "the child died of signal %d", WTERMSIG(status));
    clSetUserEventStatus(second, CL_COMPLETE);
    for (int i = 0; !called && i < 500; i++)
        usleep(10000);
    CHECK(called, "the next callback did not come");
    return 0;
}

/* ---- address space ---- */

static int little_address_space(void)
{
    /* What the program has, and half a GiB more. */
    unsigned long pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    CHECK(f && fscanf(f, "%lu", &pages) == 1, "no statm");
    fclose(f);
    if (pages > 1ul << 28)
        return 77; /* a sanitizer lives here: its own memory has no end */
    struct rlimit limit = {pages * 4096 + (512ul << 20), RLIM_INFINITY};
    setrlimit(RLIMIT_AS, &limit);
    open_device();
    CHECK(malloc(128 << 20), "nothing is left for the application");
    cl_mem buffer = clCreateBuffer(context, 0, 1 << 20, NULL, NULL);
    char *data = malloc(1 << 20);
    CHECK(buffer && clEnqueueReadBuffer(queue, buffer, CL_TRUE, 0, 1 << 20, data, 0, NULL, NULL) == CL_SUCCESS, "no read");
    return 0;
}

/* ---- threads ---- */

static void *use_queue(void *unused)
{
    (void)unused;
    char data[64];
    for (int i = 0; i < 20; i++) {
        cl_mem buffer = clCreateBuffer(context, 0, sizeof data, NULL, NULL);
        cl_event event;
        CHECK(!clEnqueueWriteBuffer(queue, buffer, CL_FALSE, 0, sizeof data, data, 0, NULL, NULL), "a write");
        CHECK(!clEnqueueReadBuffer(queue, buffer, CL_FALSE, 0, sizeof data, data, 0, NULL, &event), "a read");
        CHECK(!clWaitForEvents(1, &event), "a wait");
        clReleaseEvent(event);
        clReleaseMemObject(buffer);
    }
    return NULL;
}

static int many_threads(void)
{
    pthread_t threads[200];
    open_device();
    pthread_attr_t small;
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 32 << 10);
    for (int i = 0; i < 200; i++)
        CHECK(!pthread_create(&threads[i], &small, use_queue, NULL), "thread %d", i);
    for (int i = 0; i < 200; i++)
        pthread_join(threads[i], NULL);
    CHECK(clFinish(queue) == CL_SUCCESS, "finish");
    return 0;
}

/* Is to end at the next opportunity, and makes its first calls before: natively none of them is one. */
static void *end_in_first_call(void *unused)
{
    (void)unused;
    pthread_cancel(pthread_self());
    cl_mem buffer = clCreateBuffer(context, 0, 64, NULL, NULL);
    clReleaseMemObject(buffer);
    cl_event event = clCreateUserEvent(context, NULL);
    clSetUserEventStatus(event, CL_COMPLETE);
    clReleaseEvent(event);
    pthread_testcancel();
    return NULL;
}

static int cancelled_threads(void)
{
    pthread_t threads[4], last;
    struct timespec limit;
    void *result;
    open_device();
    for (int i = 0; i < 4; i++) /* at once: each needs a lane of its own */
        CHECK(!pthread_create(&threads[i], NULL, end_in_first_call, NULL), "thread %d", i);
    for (int i = 0; i < 4; i++) {
        clock_gettime(CLOCK_REALTIME, &limit);
        limit.tv_sec += 20;
        CHECK(!pthread_timedjoin_np(threads[i], &result, &limit), "thread %d does not end", i);
        CHECK(result == PTHREAD_CANCELED, "thread %d was not cancelled", i);
    }
    CHECK(!pthread_create(&last, NULL, use_queue, NULL), "one more thread");
    clock_gettime(CLOCK_REALTIME, &limit);
    limit.tv_sec += 20;
    CHECK(!pthread_timedjoin_np(last, NULL, &limit), "a thread's first call does not return after others were cancelled");
    CHECK(clFinish(queue) == CL_SUCCESS, "finish");
    return 0;
}

static pthread_key_t last_key;

/* Of a thread's own, called as often as there may be: also when nobody else's is any more. */
static void use_to_the_last(void *left)
{
    cl_mem buffer = clCreateBuffer(context, CL_MEM_ALLOC_HOST_PTR, 64, NULL, NULL);
    CHECK(buffer, "no buffer from a destructor");
    clReleaseMemObject(buffer);
    if ((uintptr_t)left > 1)
        pthread_setspecific(last_key, (void *)((uintptr_t)left - 1));
}

static void *end_slowly(void *unused)
{
    pthread_setspecific(last_key, (void *)4); /* PTHREAD_DESTRUCTOR_ITERATIONS */
    return unused;
}

static int calls_from_destructors(void)
{
    pthread_t threads[10];
    open_device();
    CHECK(!pthread_key_create(&last_key, use_to_the_last), "no key");
    for (int i = 0; i < 70; i++) { /* more than there are lanes */
        for (int k = 0; k < 10; k++)
            CHECK(!pthread_create(&threads[k], NULL, end_slowly, NULL), "thread %d", k);
        for (int k = 0; k < 10; k++)
            pthread_join(threads[k], NULL);
    }
    return 0;
}

static const struct {
    const char *name;
    int (*run)(void);
} tests[] = {
    {"closed-standard-descriptors", closed_standard_descriptors},
    {"closed-descriptors", closed_descriptors},
    {"few-descriptors", few_descriptors},
    {"many-objects", many_objects},
    {"one-device", one_device},
    {"kernels-in-threads", kernels_in_threads},
    {"changing-files", changing_files},
    {"many-files", many_files},
    {"sizes-out-of-range", sizes_out_of_range},
    {"fork-in-a-callback", fork_in_a_callback},
    {"little-address-space", little_address_space},
    {"many-threads", many_threads},
    {"cancelled-threads", cancelled_threads},
    {"calls-from-destructors", calls_from_destructors},
};

int main(int argc, char **argv)
{
    for (size_t i = 0; i < sizeof tests / sizeof *tests; i++)
        if (argc < 2 || !strcmp(argv[1], "--list"))
            puts(tests[i].name);
        else if (!strcmp(argv[1], tests[i].name))
            return tests[i].run();
    return argc < 2 || !strcmp(argv[1], "--list") ? 0 : 2;
}
