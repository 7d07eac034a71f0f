/*
 * null-serve SOCKET SERVER: listens at SOCKET and hands each guest to a SERVER --once of its own.
 *
 * What hirad does, less everything but that: for tests of the call path alone. Ends at SIGTERM, or when its standard input closes.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int listen_at(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (strlen(path) >= sizeof address.sun_path || fd < 0)
        return -1;
    strcpy(address.sun_path, path);
    unlink(path);
    return bind(fd, (struct sockaddr *)&address, sizeof address) || listen(fd, 64) ? -1 : fd;
}

static void serve(int guest, const char *server)
{
    if (fork())
        return;
    if (guest == 3)
        fcntl(guest, F_SETFD, 0);
    else
        dup2(guest, 3);
    signal(SIGCHLD, SIG_DFL);
    execl(server, server, "--once", "3", (char *)NULL);
    perror(server);
    _exit(127);
}

int main(int argc, char **argv)
{
    int listener = argc == 3 ? listen_at(argv[1]) : -1;
    if (listener < 0) {
        fprintf(stderr, "usage: null-serve SOCKET SERVER%s%s\n", argc == 3 ? ": " : "", argc == 3 ? strerror(errno) : "");
        return 2;
    }
    signal(SIGCHLD, SIG_IGN);
    printf("ready\n");
    fflush(stdout);
    for (;;) {
        struct pollfd p[2] = {{listener, POLLIN, 0}, {STDIN_FILENO, 0, 0}};
        if (poll(p, 2, -1) < 0 && errno != EINTR)
            return 1;
        if (p[1].revents)
            return 0;
        int guest = p[0].revents ? accept4(listener, NULL, NULL, SOCK_CLOEXEC) : -1;
        if (guest >= 0) {
            serve(guest, argv[2]);
            close(guest);
        }
    }
}
