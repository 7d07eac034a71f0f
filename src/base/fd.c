/* Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0 */
#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Since Linux 6.16; where architectures number options by themselves, only what the C library knows. */
#if !defined(SO_PASSRIGHTS) && !defined(__sparc__) && !defined(__hppa__)
#define SO_PASSRIGHTS 83
#endif

#define HIRA_SEALS (F_SEAL_SHRINK | F_SEAL_GROW)

#define LEGACY_FD_MAX 65536 /* closed one by one where the kernel cannot do it at once */

void hira_fd_closep(int *fd)
{
    int saved = errno;
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
    errno = saved;
}

void hira_fd_close_from(int first)
{
    if (syscall(SYS_close_range, (unsigned)first, ~0u, 0) == 0)
        return;
    for (int i = first, n = (int)sysconf(_SC_OPEN_MAX); i < n && i < LEGACY_FD_MAX; i++) /* before Linux 5.9 */
        close(i);
}

int hira_fd_write_all(int fd, const void *data, size_t size)
{
    const char *p = data;
    while (size) {
        ssize_t n = write(fd, p, size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        p += n;
        size -= (size_t)n;
    }
    return 0;
}

int hira_fd_read_all(int fd, void *data, size_t size)
{
    char *p = data;
    while (size) {
        ssize_t n = read(fd, p, size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            return -EPIPE;
        p += n;
        size -= (size_t)n;
    }
    return 0;
}

union control {
    char bytes[CMSG_SPACE(HIRA_FD_MAX * sizeof(int))];
    struct cmsghdr align;
};

int hira_fd_send(int sock, const void *data, size_t size, const int *fds, size_t n_fds)
{
    union control control;
    struct iovec iov = {(void *)data, size};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
    if (n_fds > HIRA_FD_MAX)
        return -EINVAL;
    if (n_fds) {
        memset(&control, 0, sizeof control);
        msg.msg_control = control.bytes;
        msg.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
        struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
        memcpy(CMSG_DATA(c), fds, n_fds * sizeof(int));
    }
    ssize_t n;
    do
        n = sendmsg(sock, &msg, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : 0;
}

ssize_t hira_fd_receive(int sock, void *data, size_t size, int *fds, size_t *n_fds, int flags)
{
    union control control;
    struct iovec iov = {data, size};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
    ssize_t n;
    if (n_fds) { /* else they never become ours: a stranger's file may take as long to close as the stranger likes */
        msg.msg_control = control.bytes;
        msg.msg_controllen = sizeof control;
    }
    int resets = 0;
    /* A peer that ended with something of ours unread leaves ECONNRESET in front of its own last message. */
    do
        n = recvmsg(sock, &msg, flags | MSG_CMSG_CLOEXEC);
    while (n < 0 && (errno == EINTR || (errno == ECONNRESET && !resets++)));
    if (n < 0)
        return -errno;

    size_t room = n_fds ? *n_fds : 0, got = 0;
    bool too_many = false;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof fd);
            if (got < room)
                fds[got++] = fd;
            else {
                close(fd);
                too_many = true;
            }
        }
    }
    if (too_many || (msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC)))
        n = -EMSGSIZE;
    while (n <= 0 && got) /* an empty message is taken for the end, and may bring some all the same */
        close(fds[--got]);
    if (n_fds)
        *n_fds = got;
    return n;
}

uid_t hira_fd_peer_user(int sock)
{
    struct ucred who;
    socklen_t size = sizeof who;
    return getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &who, &size) == 0 ? who.uid : (uid_t)-1;
}

void hira_fd_let_rights_pass(int sock, bool pass)
{
#ifdef SO_PASSRIGHTS
    int value = pass;
    setsockopt(sock, SOL_SOCKET, SO_PASSRIGHTS, &value, sizeof value);
#else
    (void)sock;
    (void)pass;
#endif
}

int hira_fd_shared_memory(const char *name, size_t size)
{
    HIRA_AUTOCLOSE int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0 || ftruncate(fd, (off_t)size) < 0 || fcntl(fd, F_ADD_SEALS, HIRA_SEALS | F_SEAL_SEAL) < 0)
        return -errno;
    return HIRA_STEAL_FD(fd);
}

int hira_fd_check_sealed(int fd, size_t size)
{
    struct stat st;
    int seals = fcntl(fd, F_GET_SEALS);
    if (seals < 0 || fstat(fd, &st) < 0)
        return -errno;
    if ((seals & HIRA_SEALS) != HIRA_SEALS || st.st_size < 0 || (size_t)st.st_size < size)
        return -EINVAL;
    return 0;
}
