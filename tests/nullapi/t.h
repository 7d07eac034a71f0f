/*
 * The harness of the null API's tests: each test prints a transcript; the vendor's own library is the oracle.
 *
 * A transcript holds no pointers and no times. What must hold anywhere is a CHECK and fails the program by itself.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#ifndef HIRA_TESTS_NULLAPI_T_H
#define HIRA_TESTS_NULLAPI_T_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "null.h"

struct t_test {
    const char *name;
    void (*run)(void);
};

extern const struct t_test scalars_tests[], structs_tests[], memory_tests[], objects_tests[], commands_tests[], callbacks_tests[],
    threads_tests[], faults_tests[];

void say(const char *format, ...) __attribute__((format(printf, 1, 2))); /* a line, at once, from any thread */
void t_fail(const char *file, int line, const char *what) __attribute__((noreturn));
void t_skip(const char *why) __attribute__((noreturn));
nullStatus t_called(const char *text, nullStatus status);
nullStatus t_must(const char *text, nullStatus status, const char *file, int line);

/* A call whose result is observed, with this thread's last error. */
#define CALL(expr) t_called(#expr, (expr))
#define OK(expr) t_must(#expr, (expr), __FILE__, __LINE__)
#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            t_fail(__FILE__, __LINE__, #condition);                                                                    \
    } while (0)

nullDevice t_device(void);
nullQueue t_queue(void);
nullBuffer t_buffer(nullQueue queue, size_t size);
unsigned char *t_bytes(size_t size, unsigned seed); /* to be freed */
uint64_t t_sum(const void *data, size_t size);
pthread_t t_thread(void *(*run)(void *), void *context);
void t_join(pthread_t thread);

#endif
