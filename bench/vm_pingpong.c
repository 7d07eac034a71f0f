/*
 * What memory shared between a machine and its host gives: a process on either side spins on a cache line each, and answers the other's.
 * A round trip is what a synchronous call out of the machine cannot be faster than.
 *
 * usage: bench-vm-pingpong echo FILE      on the host, until it is killed
 *        bench-vm-pingpong time DEVICE    in the machine
 *        bench-vm-pingpong answer SOCKET  on the host, until it is killed
 *        bench-vm-pingpong vsock PORT     in the machine
 *
 * Both lines lie in the first page, behind the head of a region. The last two say the same of the machine's vsock, behind which is a unix socket:
 * 96 bytes there and back between two processes that block.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include <fcntl.h>
#include <stdatomic.h>
#include <linux/vm_sockets.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "bench.h"

struct lines {
    char head[2048];
    _Alignas(64) _Atomic uint32_t ping;
    _Alignas(128) _Atomic uint32_t pong;
};

static void wait_for(_Atomic uint32_t *word, uint32_t value)
{
    while (atomic_load_explicit(word, memory_order_acquire) != value)
        __builtin_ia32_pause();
}

static uint32_t turn;

static void round_trip(struct lines *l)
{
    atomic_store_explicit(&l->ping, ++turn, memory_order_release);
    wait_for(&l->pong, turn);
}

static char small[96];

static int all(int fd, ssize_t (*move)(int, void *, size_t, int))
{
    for (size_t n = 0; n < sizeof small;) {
        ssize_t got = move(fd, small + n, sizeof small - n, MSG_NOSIGNAL);
        if (got <= 0)
            return -1;
        n += (size_t)got;
    }
    return 0;
}

static ssize_t out(int fd, void *data, size_t size, int flags)
{
    return send(fd, data, size, flags);
}

static void answer(const char *path)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    int listener = socket(AF_UNIX, SOCK_STREAM, 0);
    strncpy(a.sun_path, path, sizeof a.sun_path - 1);
    if (bind(listener, (struct sockaddr *)&a, sizeof a) < 0 || listen(listener, 1) < 0)
        exit(1);
    for (int fd; (fd = accept(listener, NULL, NULL)) >= 0; close(fd))
        while (all(fd, recv) == 0 && all(fd, out) == 0)
            ;
}

static void exchange(int fd)
{
    if (all(fd, out) < 0 || all(fd, recv) < 0)
        exit(1);
}

static int time_vsock(const char *port)
{
    struct sockaddr_vm a = {.svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_HOST, .svm_port = (unsigned)atoi(port)};
    int fd = socket(AF_VSOCK, SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof a) < 0)
        return 1;
    for (int i = 0; i < 200; i++)
        exchange(fd);
    bench_say("vm.vsock", BENCH(30, 50, exchange(fd)), "us");
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 3 && !strcmp(argv[1], "vsock"))
        return time_vsock(argv[2]);
    if (argc == 3 && !strcmp(argv[1], "answer"))
        return answer(argv[2]), 1;
    int fd = argc == 3 ? open(argv[2], O_RDWR | O_CLOEXEC) : -1;
    struct lines *l = fd < 0 ? MAP_FAILED : mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (l == MAP_FAILED)
        return 1;
    if (!strcmp(argv[1], "echo"))
        for (uint32_t i = 0;; i = atomic_load_explicit(&l->ping, memory_order_acquire)) {
            atomic_store_explicit(&l->pong, i, memory_order_release);
            __builtin_ia32_pause();
        }
    for (int i = 0; i < 20000; i++)
        round_trip(l);
    bench_say("vm.pingpong", BENCH(100, 2000, round_trip(l)), "us");
    return 0;
}
