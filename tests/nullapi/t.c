/* See t.h.
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0 */
#include "t.h"

#include <stdarg.h>

void say(const char *format, ...)
{
    char line[1024];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(line, sizeof line - 1, format, args);
    va_end(args);
    n = n < (int)sizeof line - 1 ? n : (int)sizeof line - 2;
    line[n++] = '\n';
    if (write(STDOUT_FILENO, line, (size_t)n) != n)
        abort();
}

void t_fail(const char *file, int line, const char *what)
{
    say("FAILED %s:%d: %s", strrchr(file, '/') ? strrchr(file, '/') + 1 : file, line, what);
    _exit(1);
}

void t_skip(const char *why)
{
    say("SKIP %s", why);
    _exit(77);
}

nullStatus t_called(const char *text, nullStatus status)
{
    say("%s -> %d, last %d", text, status, nullGetLastError());
    return status;
}

nullStatus t_must(const char *text, nullStatus status, const char *file, int line)
{
    if (status) {
        say("%s -> %d", text, status);
        t_fail(file, line, "must succeed");
    }
    return status;
}

nullDevice t_device(void)
{
    nullDevice devices[NULL_DEVICES];
    uint32_t n = NULL_DEVICES;
    OK(nullGetDevices(&n, devices));
    return devices[0];
}

nullQueue t_queue(void)
{
    nullStatus status = NULL_ERROR_LOST;
    nullQueue queue = nullCreateQueue(t_device(), 1, &status);
    OK(status);
    CHECK(queue);
    return queue;
}

nullBuffer t_buffer(nullQueue queue, size_t size)
{
    nullStatus status = NULL_ERROR_LOST;
    nullBuffer buffer = nullCreateBuffer(queue, size, NULL, &status);
    OK(status);
    CHECK(buffer);
    return buffer;
}

unsigned char *t_bytes(size_t size, unsigned seed)
{
    unsigned char *bytes = malloc(size ? size : 1);
    CHECK(bytes);
    for (size_t i = 0; i < size; i++)
        bytes[i] = (unsigned char)((seed = seed * 1103515245u + 12345u) >> 16);
    return bytes;
}

uint64_t t_sum(const void *data, size_t size)
{
    uint64_t sum = size;
    for (const unsigned char *p = data; size--; p++)
        sum = sum * 31 + *p;
    return sum;
}

pthread_t t_thread(void *(*run)(void *), void *context)
{
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, run, context) == 0);
    return thread;
}

void t_join(pthread_t thread)
{
    CHECK(pthread_join(thread, NULL) == 0);
}

/* ---- main ---- */

static const struct {
    const char *name;
    const struct t_test *tests;
} groups[] = {
    {"scalars", scalars_tests}, {"structs", structs_tests},     {"memory", memory_tests},   {"objects", objects_tests},
    {"commands", commands_tests}, {"callbacks", callbacks_tests}, {"threads", threads_tests}, {"faults", faults_tests},
};

/* `null-native --list` prints the names, `null-native GROUP/TEST` runs one. */
int main(int argc, char **argv)
{
    for (size_t g = 0; g < sizeof groups / sizeof *groups; g++)
        for (const struct t_test *t = groups[g].tests; t->name; t++) {
            char name[128];
            snprintf(name, sizeof name, "%s/%s", groups[g].name, t->name);
            if (argc == 2 && !strcmp(argv[1], "--list")) {
                puts(name);
            } else if (argc == 2 && !strcmp(argv[1], name)) {
                t->run();
                return 0;
            }
        }
    return argc == 2 && !strcmp(argv[1], "--list") ? 0 : 2;
}
