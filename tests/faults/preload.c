/*
 * Loaded before libc: the nth of what HIRA_FAULT names fails, in programs whose name begins with HIRA_FAULT_IN.
 *
 *     HIRA_FAULT=memory:17    the 17th allocation finds no memory
 *     HIRA_FAULT=memory:17+   so do all after it
 *     HIRA_FAULT=fd:3         the 3rd call that makes a descriptor says EMFILE
 *
 * Children that are forked count on. HIRA_FAULT_REPORT names a file whose first byte is 1 when it has come to that; it
 * is mapped beforehand, for a server in its sandbox sees no such file.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

extern void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t), *__libc_realloc(void *, size_t),
    *__libc_memalign(size_t, size_t);

static enum { NOTHING, MEMORY, DESCRIPTORS } what;
static _Atomic long left;
static bool ever_after;
static _Atomic char *report;

__attribute__((constructor)) static void begin(void)
{
    const char *fault = getenv("HIRA_FAULT"), *in = getenv("HIRA_FAULT_IN"), *number;
    if (!fault || !in || strncmp(program_invocation_short_name, in, strlen(in)) != 0 || !(number = strchr(fault, ':')))
        return;
    left = strtol(number + 1, NULL, 10);
    ever_after = fault[strlen(fault) - 1] == '+';
    const char *path = getenv("HIRA_FAULT_REPORT");
    int fd = path ? (int)syscall(SYS_openat, AT_FDCWD, path, O_CREAT | O_RDWR | O_CLOEXEC, 0600) : -1;
    if (fd >= 0 && syscall(SYS_ftruncate, fd, 1) == 0) {
        long at = syscall(SYS_mmap, NULL, 1, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        report = at == -1 ? NULL : (_Atomic char *)at;
    }
    if (fd >= 0)
        syscall(SYS_close, fd);
    what = fault[0] == 'm' ? MEMORY : DESCRIPTORS;
}

/* libseccomp never comes back from exporting a filter when it finds no memory: that is tried by nobody. */
static bool excepted(const void *caller)
{
    Dl_info info;
    return dladdr(caller, &info) && info.dli_fname && strstr(info.dli_fname, "libseccomp");
}

/* In whichever function the caller has called. */
#define fails(kind, error) fails_for(kind, error, __builtin_return_address(0))

static bool fails_for(int kind, int error, const void *caller)
{
    if (kind != (int)what || (kind == MEMORY && excepted(caller)))
        return false;
    long n = atomic_fetch_sub(&left, 1);
    if (n != 1 && !(ever_after && n < 1))
        return false;
    if (n == 1 && report)
        *report = 1;
    errno = error;
    return true;
}

void *malloc(size_t size)
{
    return fails(MEMORY, ENOMEM) ? NULL : __libc_malloc(size);
}

void *calloc(size_t n, size_t size)
{
    return fails(MEMORY, ENOMEM) ? NULL : __libc_calloc(n, size);
}

void *realloc(void *old, size_t size)
{
    return size && fails(MEMORY, ENOMEM) ? NULL : __libc_realloc(old, size);
}

void *aligned_alloc(size_t align, size_t size)
{
    return fails(MEMORY, ENOMEM) ? NULL : __libc_memalign(align, size);
}

int posix_memalign(void **ret, size_t align, size_t size)
{
    if (fails(MEMORY, ENOMEM))
        return ENOMEM;
    *ret = __libc_memalign(align, size);
    return *ret ? 0 : ENOMEM;
}

/* Only what asks for memory of its own or for a file's: a loader's work is not to be disturbed. */
void *mmap(void *at, size_t size, int protection, int flags, int fd, off_t offset)
{
    if (!(protection & PROT_EXEC) && fails(MEMORY, ENOMEM))
        return MAP_FAILED;
    return (void *)syscall(SYS_mmap, at, size, protection, flags, fd, offset);
}

#define NO_FD(call) (fails(DESCRIPTORS, EMFILE) ? -1 : (int)(call))

int socket(int domain, int type, int protocol)
{
    return NO_FD(syscall(SYS_socket, domain, type, protocol));
}

int socketpair(int domain, int type, int protocol, int ends[2])
{
    return NO_FD(syscall(SYS_socketpair, domain, type, protocol, ends));
}

int pipe2(int ends[2], int flags)
{
    return NO_FD(syscall(SYS_pipe2, ends, flags));
}

int accept4(int fd, struct sockaddr *address, socklen_t *size, int flags)
{
    return NO_FD(syscall(SYS_accept4, fd, address, size, flags));
}

int memfd_create(const char *name, unsigned flags)
{
    return NO_FD(syscall(SYS_memfd_create, name, flags));
}

int eventfd(unsigned value, int flags)
{
    return NO_FD(syscall(SYS_eventfd2, value, flags));
}

int dup(int fd)
{
    return NO_FD(syscall(SYS_dup, fd));
}

int epoll_create1(int flags)
{
    return NO_FD(syscall(SYS_epoll_create1, flags));
}

int open(const char *path, int flags, ...)
{
    va_list args;
    va_start(args, flags);
    int mode = va_arg(args, int);
    va_end(args);
    return NO_FD(syscall(SYS_openat, AT_FDCWD, path, flags, mode));
}

int openat(int folder, const char *path, int flags, ...)
{
    va_list args;
    va_start(args, flags);
    int mode = va_arg(args, int);
    va_end(args);
    return NO_FD(syscall(SYS_openat, folder, path, flags, mode));
}
