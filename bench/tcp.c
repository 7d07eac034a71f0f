/*
 * What a connection of this machine with itself gives, with nothing of Hira's at its ends: the physical limit of guests of other hosts.
 *
 * ping-pong: 96 bytes there and back between two processes that block. bulk: 64 MiB from one to the other, and a byte back.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench.h"

#define SMALL 96
#define BULK ((size_t)64 << 20)
#define PIECE ((size_t)256 << 10)

static char data[BULK];

static void all(int fd, size_t size, int sends)
{
    for (size_t n = 0; n < size;) {
        size_t piece = size - n < PIECE ? size - n : PIECE;
        ssize_t got = sends ? send(fd, data + n, piece, MSG_NOSIGNAL) : recv(fd, data + n, piece, 0);
        if (got <= 0)
            _exit(1);
        n += (size_t)got;
    }
}

static int pair(int *ret_other)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof a;
    const int on = 1;
    int listener = socket(AF_INET, SOCK_STREAM, 0), one = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(listener, (struct sockaddr *)&a, sizeof a) < 0 || listen(listener, 1) < 0 || getsockname(listener, (struct sockaddr *)&a, &size) < 0 ||
        connect(one, (struct sockaddr *)&a, sizeof a) < 0)
        exit(1);
    *ret_other = accept(listener, NULL, NULL);
    setsockopt(one, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(*ret_other, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return one;
}

static void answer(int fd)
{
    for (char what; recv(fd, &what, 1, MSG_PEEK) == 1;) {
        all(fd, what == 's' ? SMALL : BULK, 0);
        all(fd, what == 's' ? SMALL : 1, 1);
    }
    _exit(0);
}

int main(void)
{
    int other, fd = pair(&other);
    memset(data, 'b', sizeof data);
    if (fork() == 0) {
        close(fd);
        answer(other);
    }
    close(other);
    data[0] = 's';
    bench_say("tcp.ping-pong", BENCH(100, 200, (all(fd, SMALL, 1), all(fd, SMALL, 0))), "us");
    data[0] = 'b';
    bench_say("tcp.64MiB", (double)BULK / 1e3 / BENCH(10, 1, (data[0] = 'b', all(fd, BULK, 1), all(fd, 1, 0))), "GB/s");
    return 0;
}
