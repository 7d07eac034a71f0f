/*
 * A clock that jumps, for hirad and its servers (LD_PRELOAD): the time since boot by as many nanoseconds as stand in
 * the file $CLOCK_JUMP, as it does where a virtual machine was stopped; the time of day by hours, forth and back, every
 * tenth of a second.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static int (*real)(clockid_t clock, struct timespec *time);
static const volatile int64_t *jump; /* a mapping: servers do not see the file */

__attribute__((constructor)) static void start(void)
{
    const char *path = getenv("CLOCK_JUMP");
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    void *page = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof *jump, PROT_READ, MAP_SHARED, fd, 0);
    jump = page == MAP_FAILED ? NULL : page;
    if (fd >= 0)
        close(fd);
}

int clock_gettime(clockid_t clock, struct timespec *time)
{
    if (!real)
        real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int result = real(clock, time);
    int64_t ns = clock == CLOCK_REALTIME ? 0 : jump ? *jump : 0;
    if (result || (clock != CLOCK_REALTIME && clock != CLOCK_MONOTONIC))
        return result;
    if (clock == CLOCK_REALTIME)
        time->tv_sec += time->tv_nsec / 100000000 % 2 ? 7200 : -7200;
    ns += time->tv_nsec;
    time->tv_sec += ns / 1000000000;
    time->tv_nsec = ns % 1000000000;
    return 0;
}
