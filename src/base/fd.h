/* Descriptors: closing, whole reads and writes, passing over unix sockets, sealed shared memory.
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef HIRA_BASE_FD_H
#define HIRA_BASE_FD_H

#include <sys/types.h>

#include "base/util.h"

void hira_fd_closep(int *fd); /* closes if >= 0; errno preserved */
#define HIRA_AUTOCLOSE HIRA_CLEANUP(hira_fd_closep)

/* Closes every descriptor from this one on. */
void hira_fd_close_from(int first);

/* 0, or -errno; interrupted and short transfers are continued. Read: -EPIPE when the stream ends before `size` bytes. */
int hira_fd_write_all(int fd, const void *data, size_t size);
int hira_fd_read_all(int fd, void *data, size_t size);

#define HIRA_FD_MAX 8 /* descriptors in one message: more than any of ours carries, fewer than the kernel's 253 */

/* One message on a unix SOCK_SEQPACKET socket. Send: 0 or -errno (never SIGPIPE). Receive: bytes received, 0 when the peer
 * is gone (or has sent nothing: then what came with it is closed), -errno; -EMSGSIZE when the message was longer than `size` or carried more
 * than `*n_fds` descriptors, which are then closed. Received descriptors are close-on-exec and belong to the caller. `fds`/`n_fds` may be NULL: then none
 * may come. `flags`: MSG_DONTWAIT or 0. */
int hira_fd_send(int sock, const void *data, size_t size, const int *fds, size_t n_fds);
ssize_t hira_fd_receive(int sock, void *data, size_t size, int *fds, size_t *n_fds, int flags);

/* Whether whoever sends to this socket may send descriptors (by default they may). Where not, sending them fails there with -EPERM: for
 * what has been sent is closed by its receiver, whether read or not, and a close lasts as long as the sender had arranged (SO_LINGER).
 * Connections have it from the socket that listens. Without effect before Linux 6.16. */
void hira_fd_let_rights_pass(int sock, bool pass);

/* Who connected or listens at the other end of a unix socket; (uid_t)-1, which nobody is, if that is not known. */
uid_t hira_fd_peer_user(int sock);

/* A memory file of `size` bytes whose size is sealed, so that no peer can make a mapping of it fault. fd or -errno. */
int hira_fd_shared_memory(const char *name, size_t size);

/* Whether fd is such a file of at least `size` bytes: what a receiver checks before it maps. 0 or -errno. */
int hira_fd_check_sealed(int fd, size_t size);

#endif
