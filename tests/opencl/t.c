/*
 * OpenCL conformance harness: transcript, handle names, callback log, shared kernels.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "t.h"

#include <sys/mman.h>
#include <pthread.h>
#include <stdarg.h>
#include <time.h>
#include <unistd.h>

enum { NAMES_MAX = 256, LOG_MAX = 1024, LINE_MAX_BYTES = 4096 };

__thread cl_int t_error;
static bool failed;

const char *const t_source = "kernel void inc(global int *a) { a[get_global_id(0)] += 1; }\n"
                             "kernel void scale(global int *out, global const int *in, int k) {\n"
                             "  size_t i = get_global_id(0); out[i] = in[i] * k; }\n"
                             "kernel void reverse(global int *a, local int *tmp) {\n"
                             "  size_t l = get_local_id(0), n = get_local_size(0);\n"
                             "  tmp[l] = a[get_global_id(0)]; barrier(CLK_LOCAL_MEM_FENCE);\n"
                             "  a[get_global_id(0)] = tmp[n - 1 - l]; }\n"
                             "kernel void is_null(global int *out, global int *p) { out[0] = p == 0 ? 1 : 2; }\n"
                             "kernel void ids(global int *out) {\n"
                             "  size_t i = get_global_linear_id();\n"
                             "  out[i] = get_global_id(0) + 100 * get_global_id(1) + 10000 * get_global_id(2); }\n"
                             "kernel void spin(global int *a, int n) {\n"
                             "  int v = a[0]; for (int i = 0; i < n; i++) v = v * 1664525 + 1013904223; a[0] = v; }\n";

/* Transcript. */

static void say(const char *format, va_list args)
{
    char line[LINE_MAX_BYTES];
    int n = vsnprintf(line, sizeof line - 1, format, args);
    size_t size = n < 0 ? 0 : (size_t)n < sizeof line - 1 ? (size_t)n : sizeof line - 2;

    line[size++] = '\n';
    for (size_t done = 0; done < size;) {
        ssize_t written = write(STDOUT_FILENO, line + done, size - done);
        if (written <= 0)
            _exit(3);
        done += (size_t)written;
    }
}

void t_say(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    say(format, args);
    va_end(args);
}

void t_skip(const char *format, ...)
{
    char reason[256];
    va_list args;

    va_start(args, format);
    vsnprintf(reason, sizeof reason, format, args);
    va_end(args);
    t_say("SKIP %s", reason);
    exit(77);
}

void t_fail(const char *file, int line, const char *what)
{
    const char *slash = strrchr(file, '/');

    t_say("FAIL %s:%d: %s", slash ? slash + 1 : file, line, what);
    failed = true;
}

cl_int t_called(const char *text, cl_int result)
{
    t_say("%s -> %s", text, t_error_name(result));
    return result;
}

void t_made(const char *text, const void *object, cl_int error)
{
    t_say("%s -> %s, %s", text, t_error_name(error), object ? "H" : "NULL");
}

cl_int t_must(const char *text, cl_int result, const char *file, int line)
{
    char what[512];

    if (result != CL_SUCCESS) {
        snprintf(what, sizeof what, "%.400s -> %s", text, t_error_name(result));
        t_fail(file, line, what);
        exit(1); /* what follows would only fail for this reason */
    }
    return result;
}

/* Handle names. */

static struct {
    const void *handle;
    const char *name;
} names[NAMES_MAX];
static size_t n_names;
static pthread_mutex_t names_lock = PTHREAD_MUTEX_INITIALIZER;

/* An address may come back after a release, so the last name given to it counts. */
void t_name(const void *handle, const char *name)
{
    size_t i = 0;

    pthread_mutex_lock(&names_lock);
    while (i < n_names && names[i].handle != handle)
        i++;
    if (i < NAMES_MAX && handle) {
        names[i].handle = handle;
        names[i].name = name;
        n_names += i == n_names;
    }
    pthread_mutex_unlock(&names_lock);
}

const char *t_handle(const void *handle)
{
    const char *name = handle ? "H" : "NULL";

    pthread_mutex_lock(&names_lock);
    for (size_t i = 0; i < n_names; i++)
        if (names[i].handle == handle)
            name = names[i].name;
    pthread_mutex_unlock(&names_lock);
    return name;
}

/* Queries. */

static size_t append(char *text, size_t used, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    int n = vsnprintf(text + used, LINE_MAX_BYTES - 256 - used, format, args);
    va_end(args);
    used += n < 0 ? 0 : (size_t)n;
    return used < LINE_MAX_BYTES - 256 ? used : LINE_MAX_BYTES - 257;
}

static size_t element_size(enum t_kind kind)
{
    return kind == T_U32 ? 4 : kind == T_BYTES ? 1 : 8;
}

static void print_elements(enum t_kind kind, char *text, const char *value, size_t size)
{
    size_t used = 0, step = element_size(kind);
    uint32_t u32;
    uint64_t u64;
    const void *pointer;

    for (size_t i = 0; i + step <= size; i += step) {
        if (kind == T_U32) {
            memcpy(&u32, value + i, sizeof u32);
            used = append(text, used, " %u", u32);
        } else if (kind == T_U64) {
            memcpy(&u64, value + i, sizeof u64);
            used = append(text, used, " %llu", (unsigned long long)u64);
        } else if (kind == T_BYTES) {
            used = append(text, used, "%s%02x", i ? "" : " ", (unsigned char)value[i]);
        } else {
            memcpy(&pointer, value + i, sizeof pointer);
            used = append(text, used, " %s", kind == T_HANDLE ? t_handle(pointer) : pointer ? "P" : "NULL");
        }
    }
}

void t_info(enum t_kind kind, const char *name, cl_int error, void *value, size_t size)
{
    char text[LINE_MAX_BYTES] = "";

    if (error)
        t_say("%s -> %s", name, t_error_name(error));
    else if (kind == T_ANY)
        t_say("%s: ok", name);
    else if (kind == T_SIZE)
        t_say("%s: %zu bytes", name, size);
    else if (kind == T_STRING)
        t_say("%s: %zu bytes, \"%s\" (%zu)", name, size, (char *)value, strlen(value));
    else {
        print_elements(kind, text, value, size);
        t_say("%s: %zu bytes =%s", name, size, text);
    }
    free(value);
}

/* Callback log. */

static char *lines[LOG_MAX];
static int n_lines;
static pthread_mutex_t log_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t log_grew = PTHREAD_COND_INITIALIZER;

void t_log(const char *format, ...)
{
    char line[512];
    va_list args;

    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    pthread_mutex_lock(&log_lock);
    if (n_lines < LOG_MAX)
        lines[n_lines++] = strdup(line);
    pthread_cond_broadcast(&log_grew);
    pthread_mutex_unlock(&log_lock);
}

void t_log_wait(int n)
{
    struct timespec until;
    int error = 0;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 20;
    pthread_mutex_lock(&log_lock);
    while (n_lines < n && !error)
        error = pthread_cond_timedwait(&log_grew, &log_lock, &until);
    pthread_mutex_unlock(&log_lock);
    CHECK(!error);
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void empty_log(void)
{
    while (n_lines > 0)
        free(lines[--n_lines]);
}

void t_log_show(bool sorted)
{
    pthread_mutex_lock(&log_lock);
    if (sorted)
        qsort(lines, (size_t)n_lines, sizeof lines[0], by_text);
    for (int i = 0; i < n_lines; i++)
        t_say("callback: %s", lines[i]);
    empty_log();
    pthread_mutex_unlock(&log_lock);
}

void t_log_drop(void)
{
    pthread_mutex_lock(&log_lock);
    empty_log();
    pthread_mutex_unlock(&log_lock);
}

/* Objects most tests need. */

struct t_cl t_open_queue(cl_command_queue_properties properties)
{
    const cl_queue_properties list[] = {CL_QUEUE_PROPERTIES, properties, 0};
    struct t_cl cl;
    cl_uint n = 0;

    OK(clGetPlatformIDs(1, &cl.platform, &n));
    OK(clGetDeviceIDs(cl.platform, CL_DEVICE_TYPE_ALL, 1, &cl.device, NULL));
    cl.context = GET(clCreateContext(NULL, 1, &cl.device, NULL, NULL, &t_error));
    cl.queue = GET(clCreateCommandQueueWithProperties(cl.context, cl.device, list, &t_error));
    t_name(cl.platform, "platform");
    t_name(cl.device, "device");
    t_name(cl.context, "context");
    t_name(cl.queue, "queue");
    return cl;
}

struct t_cl t_open(void)
{
    return t_open_queue(0);
}

void t_close(struct t_cl *cl)
{
    OK(clReleaseCommandQueue(cl->queue));
    OK(clReleaseContext(cl->context));
}

cl_program t_program(const struct t_cl *cl)
{
    const char *source = t_source;
    cl_program program = GET(clCreateProgramWithSource(cl->context, 1, &source, NULL, &t_error));

    OK(clBuildProgram(program, 1, &cl->device, "", NULL, NULL));
    return program;
}

cl_kernel t_kernel(const struct t_cl *cl, const char *name)
{
    cl_program program = t_program(cl);
    cl_kernel kernel = GET(clCreateKernel(program, name, &t_error));

    OK(clReleaseProgram(program));
    return kernel;
}

cl_mem t_ints(const struct t_cl *cl, size_t n)
{
    cl_int *data = calloc(n, sizeof *data);

    for (size_t i = 0; i < n; i++)
        data[i] = (cl_int)i;
    cl_mem buffer = GET(clCreateBuffer(cl->context, CL_MEM_COPY_HOST_PTR, n * sizeof *data, data, &t_error));
    free(data);
    return buffer;
}

void t_show_ints(const struct t_cl *cl, cl_mem buffer, size_t n)
{
    cl_int *data = calloc(n, sizeof *data);
    long long sum = 0;

    OK(clEnqueueReadBuffer(cl->queue, buffer, CL_TRUE, 0, n * sizeof *data, data, 0, NULL, NULL));
    for (size_t i = 0; i < n; i++)
        sum += data[i];
    t_say("%zu ints: first %d last %d sum %lld checksum %08x", n, data[0], data[n - 1], sum,
          t_sum(data, n * sizeof *data));
    free(data);
}

uint32_t t_sum(const void *data, size_t size)
{
    const unsigned char *bytes = data;
    uint32_t sum = 2166136261u;

    for (size_t i = 0; i < size; i++)
        sum = (sum ^ bytes[i]) * 16777619u;
    return sum;
}

bool t_has_extension(cl_device_id device, const char *name)
{
    char list[8192] = " ";
    char word[128];

    OK(clGetDeviceInfo(device, CL_DEVICE_EXTENSIONS, sizeof list - 2, list + 1, NULL));
    strcat(list, " ");
    snprintf(word, sizeof word, " %s ", name);
    return strstr(list, word) != NULL;
}

bool t_svm(cl_device_id device)
{
    cl_device_svm_capabilities caps = 0;

    return clGetDeviceInfo(device, CL_DEVICE_SVM_CAPABILITIES, sizeof caps, &caps, NULL) == CL_SUCCESS &&
           (caps & CL_DEVICE_SVM_COARSE_GRAIN_BUFFER);
}

int t_main(int argc, char **argv, const struct t_test *tests)
{
    bool found = argc < 2;

    if (argc == 2 && strcmp(argv[1], "--list") == 0) {
        for (const struct t_test *test = tests; test->name; test++)
            t_say("%s", test->name);
        return 0;
    }
    for (const struct t_test *test = tests; test->name; test++) {
        bool wanted = argc < 2;

        for (int i = 1; i < argc; i++)
            wanted |= strcmp(argv[i], test->name) == 0;
        if (wanted) {
            t_say("== %s", test->name);
            test->run();
            t_log_drop();
            found = true;
        }
    }
    if (!found)
        t_say("FAIL no such subtest");
    return failed || !found;
}

/* Error names. */

static const char *const core_errors[] = {
    "CL_SUCCESS",
    "CL_DEVICE_NOT_FOUND",
    "CL_DEVICE_NOT_AVAILABLE",
    "CL_COMPILER_NOT_AVAILABLE",
    "CL_MEM_OBJECT_ALLOCATION_FAILURE",
    "CL_OUT_OF_RESOURCES",
    "CL_OUT_OF_HOST_MEMORY",
    "CL_PROFILING_INFO_NOT_AVAILABLE",
    "CL_MEM_COPY_OVERLAP",
    "CL_IMAGE_FORMAT_MISMATCH",
    "CL_IMAGE_FORMAT_NOT_SUPPORTED",
    "CL_BUILD_PROGRAM_FAILURE",
    "CL_MAP_FAILURE",
    "CL_MISALIGNED_SUB_BUFFER_OFFSET",
    "CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST",
    "CL_COMPILE_PROGRAM_FAILURE",
    "CL_LINKER_NOT_AVAILABLE",
    "CL_LINK_PROGRAM_FAILURE",
    "CL_DEVICE_PARTITION_FAILED",
    "CL_KERNEL_ARG_INFO_NOT_AVAILABLE",
};

static const char *const argument_errors[] = {
    /* from -30 down */
    "CL_INVALID_VALUE",
    "CL_INVALID_DEVICE_TYPE",
    "CL_INVALID_PLATFORM",
    "CL_INVALID_DEVICE",
    "CL_INVALID_CONTEXT",
    "CL_INVALID_QUEUE_PROPERTIES",
    "CL_INVALID_COMMAND_QUEUE",
    "CL_INVALID_HOST_PTR",
    "CL_INVALID_MEM_OBJECT",
    "CL_INVALID_IMAGE_FORMAT_DESCRIPTOR",
    "CL_INVALID_IMAGE_SIZE",
    "CL_INVALID_SAMPLER",
    "CL_INVALID_BINARY",
    "CL_INVALID_BUILD_OPTIONS",
    "CL_INVALID_PROGRAM",
    "CL_INVALID_PROGRAM_EXECUTABLE",
    "CL_INVALID_KERNEL_NAME",
    "CL_INVALID_KERNEL_DEFINITION",
    "CL_INVALID_KERNEL",
    "CL_INVALID_ARG_INDEX",
    "CL_INVALID_ARG_VALUE",
    "CL_INVALID_ARG_SIZE",
    "CL_INVALID_KERNEL_ARGS",
    "CL_INVALID_WORK_DIMENSION",
    "CL_INVALID_WORK_GROUP_SIZE",
    "CL_INVALID_WORK_ITEM_SIZE",
    "CL_INVALID_GLOBAL_OFFSET",
    "CL_INVALID_EVENT_WAIT_LIST",
    "CL_INVALID_EVENT",
    "CL_INVALID_OPERATION",
    "CL_INVALID_GL_OBJECT",
    "CL_INVALID_BUFFER_SIZE",
    "CL_INVALID_MIP_LEVEL",
    "CL_INVALID_GLOBAL_WORK_SIZE",
    "CL_INVALID_PROPERTY",
    "CL_INVALID_IMAGE_DESCRIPTOR",
    "CL_INVALID_COMPILER_OPTIONS",
    "CL_INVALID_LINKER_OPTIONS",
    "CL_INVALID_DEVICE_PARTITION_COUNT",
    "CL_INVALID_PIPE_SIZE",
    "CL_INVALID_DEVICE_QUEUE",
    "CL_INVALID_SPEC_ID",
    "CL_MAX_SIZE_RESTRICTION_EXCEEDED",
};

const char *t_error_name(cl_int error)
{
    static __thread char other[32];
    int core = -error, argument = -30 - error;

    if (core >= 0 && core < (int)COUNT(core_errors))
        return core_errors[core];
    if (argument >= 0 && argument < (int)COUNT(argument_errors))
        return argument_errors[argument];
    snprintf(other, sizeof other, "%d", error);
    return other;
}

static unsigned char *pages(size_t n)
{
    unsigned char *all = mmap(NULL, n * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (all == MAP_FAILED)
        t_fail(__FILE__, __LINE__, "mmap");
    for (size_t i = 0; i < n * 4096; i++)
        all[i] = (unsigned char)(i + (i >> 12));
    return all;
}

void *t_edge(size_t n)
{
    size_t whole = (n + 4095) / 4096;
    unsigned char *all = pages(whole + 2);
    mprotect(all, 4096, PROT_NONE);
    mprotect(all + (whole + 1) * 4096, 4096, PROT_NONE);
    return all + (whole + 1) * 4096 - n;
}

void *t_every_second_page(size_t n)
{
    unsigned char *all = pages(2 * n + 1);
    for (size_t i = 0; i < n + 1; i++)
        mprotect(all + 2 * i * 4096, 4096, PROT_NONE);
    return all + 4096;
}
