/*
 * OpenCL conformance harness: programs print a transcript of what they observe; the oracle is the native library.
 * SPDX-License-Identifier: Apache-2.0
 *
 * A transcript holds no pointers, times or sizes that vary from run to run: handles print as the name they were given
 * by NAME(), or as "H". run.sh runs each subtest natively and under a wrapper and compares the two. What must hold
 * anywhere (data computed right) is a CHECK and fails the program by itself.
 *
 * The text of a call in the transcript is its source text, so it needs no formatting and cannot vary.
 */
#ifndef HIRA_TESTS_OPENCL_T_H
#define HIRA_TESTS_OPENCL_T_H

#include <CL/cl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct t_test {
    const char *name;
    void (*run)(void);
};

#define T(name)                                                                                                        \
    {                                                                                                                  \
#name, name                                                                                                    \
    }
/* clang-format off */
#define T_MAIN(...)                                                                                                    \
	int main(int argc, char **argv)                                                                                \
	{                                                                                                              \
		static const struct t_test tests[] = {__VA_ARGS__, {NULL, NULL}};                                      \
		return t_main(argc, argv, tests);                                                                      \
	}
/* clang-format on */

/* Runs the named subtests, or all; `--list` prints their names. */
int t_main(int argc, char **argv, const struct t_test *tests);

/* One platform, its first device, a context and an in-order queue: what most subtests need. */
struct t_cl {
    cl_platform_id platform;
    cl_device_id device;
    cl_context context;
    cl_command_queue queue;
};
struct t_cl t_open(void);
struct t_cl t_open_queue(cl_command_queue_properties properties);
void t_close(struct t_cl *cl);

/* The kernels shared by all programs (one source, so that a native compiler's cache works), built; see t.c. */
extern const char *const t_source;
cl_program t_program(const struct t_cl *cl);
cl_kernel t_kernel(const struct t_cl *cl, const char *name);
cl_mem t_ints(const struct t_cl *cl, size_t n);                   /* a buffer of n ints: 0, 1, 2, ... */
void t_show_ints(const struct t_cl *cl, cl_mem buffer, size_t n); /* reads n ints back, prints their sum and checksum */

/* Writes one line with write(2) at once, so that it keeps its place among lines others write to stdout. */
void t_say(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Ends the program as skipped (exit 77) or failed (exit 1). */
void t_skip(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
void t_fail(const char *file, int line, const char *what);
const char *t_error_name(cl_int error);
uint32_t t_sum(const void *data, size_t size); /* FNV-1a */
bool t_has_extension(cl_device_id device, const char *name);
bool t_svm(cl_device_id device); /* coarse-grained buffers at least */

/* Lines recorded by callbacks, which run on threads of the library's: printed by the test when it knows they are in. */
void t_log(const char *format, ...) __attribute__((format(printf, 1, 2)));
void t_log_wait(int lines);   /* fails after 20 s */
void t_log_show(bool sorted); /* prints and empties */
void t_log_drop(void);        /* empties */

extern __thread cl_int t_error;

cl_int t_called(const char *text, cl_int result);
void t_made(const char *text, const void *object, cl_int error);
cl_int t_must(const char *text, cl_int result, const char *file, int line);
void t_name(const void *handle, const char *name);
const char *t_handle(const void *handle);

/* A call whose result is observed: prints "text -> CODE". */
#define CALL(expr) t_called(#expr, (expr))
/* A call that returns an object and sets t_error: prints "text -> CODE, H" or "NULL". */
#define MAKE(expr)                                                                                                     \
    ({                                                                                                                 \
        t_error = 1;                                                                                                   \
        __typeof__(expr) made_ = (expr);                                                                               \
        t_made(#expr, made_, t_error);                                                                                 \
        made_;                                                                                                         \
    })
/* The same two for what only prepares the test: silent, and a failure is a failure of the test. */
#define OK(expr) t_must(#expr, (expr), __FILE__, __LINE__)
#define GET(expr)                                                                                                      \
    ({                                                                                                                 \
        t_error = 0;                                                                                                   \
        __typeof__(expr) made_ = (expr);                                                                               \
        t_must(#expr, t_error, __FILE__, __LINE__);                                                                    \
        made_;                                                                                                         \
    })
#define NAME(handle) t_name(handle, #handle)
#define CHECK(cond)                                                                                                    \
    do {                                                                                                               \
        if (!(cond))                                                                                                   \
            t_fail(__FILE__, __LINE__, #cond);                                                                         \
    } while (0)

/* How a query's bytes are printed. */
enum t_kind {
    T_U32,    /* array of 32-bit numbers */
    T_U64,    /* array of 64-bit numbers, size_t */
    T_STRING, /* text, with the place of its NUL */
    T_HANDLE, /* array of handles, by name */
    T_PTR,    /* array of pointers: NULL or not */
    T_BYTES,  /* hexadecimal */
    T_SIZE,   /* only the size: the value varies */
    T_ANY,    /* only that it succeeds: size and value vary */
};
void t_info(enum t_kind kind, const char *name, cl_int error, void *value, size_t size);

/* INFO(T_U64, CL_MEM_SIZE, clGetMemObjectInfo, buffer): asks the size, then the value, and prints both. */
#define INFO(kind, name, fn, ...)                                                                                      \
    do {                                                                                                               \
        size_t size_ = 0;                                                                                              \
        cl_int error_ = fn(__VA_ARGS__, name, 0, NULL, &size_);                                                        \
        void *value_ = calloc(1, size_ + 1);                                                                           \
        if (!error_)                                                                                                   \
            error_ = fn(__VA_ARGS__, name, size_, value_, &size_);                                                     \
        t_info(kind, #name, error_, value_, size_);                                                                    \
    } while (0)

/* The edges of every query: too small, larger than needed, nothing asked, unknown name. */
#define INFO_EDGES(name, fn, ...)                                                                                      \
    do {                                                                                                               \
        char value_[4096];                                                                                             \
        size_t size_ = 0;                                                                                              \
        t_say("%s %s one byte -> %s", #fn, #name, t_error_name(fn(__VA_ARGS__, name, 1, value_, NULL)));               \
        t_say("%s %s 4096 bytes -> %s", #fn, #name, t_error_name(fn(__VA_ARGS__, name, 4096, value_, &size_)));        \
        t_say("%s %s size %zu", #fn, #name, size_);                                                                    \
        t_say("%s %s nothing -> %s", #fn, #name, t_error_name(fn(__VA_ARGS__, name, 0, NULL, NULL)));                  \
        t_say("%s 0xBEEF -> %s", #fn, t_error_name(fn(__VA_ARGS__, 0xBEEF, 8, value_, NULL)));                         \
    } while (0)

/* Memory of which what lies beside it cannot be read, for the rest of the program: `n` bytes that end where a page ends; and `n` pages
 * that can be read, with as many between and before them that cannot: the first can. Bytes are 0, 1, 2 ... */
void *t_edge(size_t n);
void *t_every_second_page(size_t n);

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

#endif
