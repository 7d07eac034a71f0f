/*
 * The way of a guest in a virtual machine: control messages over an AF_VSOCK stream, at whose other end hira-bridge
 * passes them on, and lanes and arena in a slice of memory that the machine shares with its host.
 *
 * The memory is a device of the machine's (machine.c), found by the token that the WELCOME names. It cannot be mapped twice in a row, nor can a futex be had of it:
 * see channel/lane.h.
 *
 * One thread reads the stream: it wakes who sleeps on a lane when the server says so, and hands answers to whoever
 * asked; requests are made one at a time (the connection's lock). It ends with the stream.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/vm_sockets.h>
#include <poll.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "guest/internal.h"
#include "guest/vsock.h"

#define ANSWER_MAX sizeof(union hira_welcome_message)

struct channel {
    pthread_mutex_t sending;  /* a message is not to be cut by another's bytes */
    _Atomic uint32_t arrived; /* bytes of `answer`; 0: it is waited for, or wanted by nobody */
    _Atomic bool ended;
    bool reads; /* the thread does; before, who connects */
    union {
        struct hira_message head;
        struct hira_lane_message lane;
        char bytes[ANSWER_MAX];
    } heard, answer;
};

/* ---- messages in a stream ---- */

static int receive_all(const struct hira_transport *t, char *data, size_t size)
{
    while (size) {
        if (!hira_transport_intact(t)) /* an application may have closed it, and opened its own in its place */
            return -EPIPE;
        ssize_t n = recv(t->fd, data, size, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n ? -errno : -EPIPE;
        data += n;
        size -= (size_t)n;
    }
    return 0;
}

/* Its size, or -errno. */
static int receive_message(const struct hira_transport *t, void *data, size_t room)
{
    struct hira_message *head = data;
    int error = receive_all(t, data, sizeof *head);
    if (error)
        return error;
    if (head->magic != HIRA_PROTOCOL_MAGIC || head->size < sizeof *head || head->size > room)
        return -EPROTO;
    error = receive_all(t, (char *)data + sizeof *head, head->size - sizeof *head);
    return error ? error : (int)head->size;
}

static int vsock_send(struct hira_transport *t, const void *data, size_t size, const int *fds, size_t n_fds)
{
    struct channel *c = t->state;
    const char *p = data;
    int error = n_fds ? -EINVAL : 0;
    (void)fds;
    HIRA_UNCANCELLED;
    pthread_mutex_lock(&c->sending);
    while (size && !error) {
        ssize_t n = hira_transport_intact(t) ? send(t->fd, p, size, MSG_NOSIGNAL) : -1;
        if (n < 0 && errno != EINTR)
            error = -EPIPE;
        p += n > 0 ? n : 0;
        size -= n > 0 ? (size_t)n : 0;
    }
    pthread_mutex_unlock(&c->sending);
    return error;
}

static ssize_t vsock_receive(struct hira_transport *t, void *data, size_t size, int *fds, size_t *n_fds)
{
    struct channel *c = t->state;
    (void)fds;
    if (n_fds)
        *n_fds = 0;
    if (!c->reads) {
        int n = receive_message(t, data, size);
        return n == -EPIPE ? 0 : n;
    }
    uint32_t n;
    while (!(n = atomic_load_explicit(&c->arrived, memory_order_acquire))) {
        if (atomic_load(&c->ended))
            return 0;
        hira_futex_wait(&c->arrived, 0, HIRA_NAP_NS);
    }
    if (n <= size)
        memcpy(data, c->answer.bytes, n);
    atomic_store_explicit(&c->arrived, 0, memory_order_release);
    return n <= size ? (ssize_t)n : -EMSGSIZE;
}

/* ---- the thread ---- */

static void wake_sleeper(const struct hira_lane_message *m)
{
    if (m->callbacks) {
        hira_callbacks_woken();
        return;
    }
    struct hira_guest_lane *lane = m->index < HIRA_LANES_MAX ? atomic_load(&hira_connection.lanes[m->index]) : NULL;
    if (lane)
        hira_lane_woken(&lane->caller.map, &lane->caller.map.control->caller_sleeps);
}

/* An answer that nobody has taken yet is followed by none: that is a server which breaks the rules. */
static bool take_message(struct channel *c, size_t n)
{
    if (c->heard.head.type == HIRA_MSG_WAKE && n >= sizeof c->heard.lane) {
        wake_sleeper(&c->heard.lane);
        return true;
    }
    if (atomic_load_explicit(&c->arrived, memory_order_acquire))
        return false;
    memcpy(c->answer.bytes, c->heard.bytes, n);
    atomic_store_explicit(&c->arrived, (uint32_t)n, memory_order_release);
    hira_futex_wake(&c->arrived, 1);
    return true;
}

static void *read_stream(void *context)
{
    struct hira_transport *t = context;
    struct channel *c = t->state;
    int n;
    while ((n = receive_message(t, c->heard.bytes, sizeof c->heard)) > 0 && take_message(c, (size_t)n))
        ;
    atomic_store(&c->ended, true);
    hira_futex_wake(&c->arrived, 1);
    return NULL;
}

static int start_thread(struct hira_transport *t)
{
    struct channel *c = t->state;
    c->reads = true;
    return -hira_thread_start(read_stream, t);
}

/* ---- the memory ---- */

static bool has_token(const uint64_t *head, const struct hira_slice *slice)
{
    return head[0] == HIRA_REGION_MAGIC && head[1] == slice->token[0] && head[2] == slice->token[1];
}

static char *map_shared(int fd, uint64_t offset, uint64_t size)
{
    return mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)offset);
}

/* The slice of what is found at this path, mapped; NULL: it is not this one. Some devices can be mapped from their
 * beginning on only. */
static char *map_file(const char *path, const struct hira_slice *slice)
{
    HIRA_AUTOCLOSE int fd = open(path, O_RDWR | O_CLOEXEC);
    char *head = fd < 0 ? MAP_FAILED : map_shared(fd, 0, HIRA_REGION_HEAD);
    if (head == MAP_FAILED)
        return NULL;
    bool found = has_token((const uint64_t *)(const void *)head, slice);
    munmap(head, HIRA_REGION_HEAD);
    char *at = found ? map_shared(fd, slice->offset, slice->size) : MAP_FAILED;
    if (!found || at != MAP_FAILED)
        return found ? at : NULL;
    at = map_shared(fd, 0, slice->offset + slice->size);
    if (at == MAP_FAILED)
        return NULL;
    munmap(at, slice->offset);
    return at + slice->offset;
}

struct search {
    const struct hira_slice *slice;
    char *at;
};

static bool try_memory(void *context, const char *path)
{
    struct search *search = context;
    search->at = map_file(path, search->slice);
    return search->at;
}

static void wake_server(struct hira_lane_far *far)
{
    const struct hira_lane_message m = {
        .head = hira_message_head(HIRA_MSG_WAKE, sizeof m), .index = far->index, .callbacks = far->callbacks};
    int saved = errno;
    vsock_send(far->context, &m, sizeof m, NULL, 0);
    errno = saved;
}

static int vsock_place_lane(struct hira_transport *t, struct hira_lane_map *map, uint32_t index, bool callbacks)
{
    char *memory = hira_slice_lane(t, index, callbacks);
    struct hira_lane_far *far = memory ? malloc(sizeof *far) : NULL;
    if (!far)
        return -ENOMEM;
    *far =
        (struct hira_lane_far){.wake = wake_server, .context = t, .index = index, .callbacks = callbacks, .naps = true};
    hira_lane_map_once(map, memory);
    map->far = far;
    return 0;
}

int hira_vsock_enter(struct hira_transport *t, const struct hira_slice *slice)
{
    if (!hira_slice_valid(slice, UINT64_MAX / 4) || !hira_slice_lanes(slice))
        return -EBADMSG;
    struct search search = {slice, NULL};
    if (!hira_vsock_each_memory(try_memory, &search))
        return -ENODEV;
    t->memory = search.at;
    madvise(t->memory, slice->size, MADV_DONTFORK);
    t->region = *slice;
    return start_thread(t);
}

/* ---- the transport ---- */

static bool vsock_lost(struct hira_transport *t)
{
    const struct channel *c = t->state;
    struct pollfd p = {t->fd, 0, 0};
    return atomic_load(&c->ended) || !hira_transport_intact(t) ||
           (poll(&p, 1, 0) > 0 && (p.revents & (POLLHUP | POLLERR | POLLNVAL)));
}

/* The channel's memory stays: its thread may not have seen the end yet, and a child that was forked has a copy. */
static void vsock_close(struct hira_transport *t)
{
    if (hira_transport_intact(t))
        close(t->fd);
    t->fd = -1;
}

/* vsock:PORT or vsock:CID:PORT. */
static int parse(const char *path, struct sockaddr_vm *address)
{
    char *end;
    const char *text = path + strlen(HIRA_VSOCK_PREFIX);
    unsigned long numbers[2] = {VMADDR_CID_HOST, 0};
    unsigned n = strchr(text, ':') ? 2 : 1;
    for (unsigned i = 2 - n; i < 2; i++, text = end + 1) {
        if (*text < '0' || *text > '9')
            return -EINVAL;
        numbers[i] = strtoul(text, &end, 10);
        if (*end != (i == 1 ? 0 : ':') || numbers[i] >= UINT32_MAX)
            return -EINVAL;
    }
    *address =
        (struct sockaddr_vm){.svm_family = AF_VSOCK, .svm_cid = (unsigned)numbers[0], .svm_port = (unsigned)numbers[1]};
    return 0;
}

int hira_vsock_connect(struct hira_transport *t, const char *path)
{
    static struct hira_transport_ops ops;
    struct sockaddr_vm address;
    int error = parse(path, &address);
    if (error)
        return error;
    HIRA_AUTOCLOSE int fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    int ret;
    do
        ret = connect(fd, (struct sockaddr *)&address, sizeof address);
    while (ret < 0 && errno == EINTR);
    if (ret < 0)
        return -errno;
    int high = fd > STDERR_FILENO ? HIRA_STEAL_FD(fd) : fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    error = high < 0 ? -errno : hira_transport_unix(t, high);
    struct channel *c = error ? NULL : calloc(1, sizeof *c);
    if (!c)
        return error ? error : (t->ops->close(t), -ENOMEM);
    pthread_mutex_init(&c->sending, NULL);
    ops = (struct hira_transport_ops){.send = vsock_send,
                                      .receive = vsock_receive,
                                      .place_lane = vsock_place_lane,
                                      .lost = vsock_lost,
                                      .close = vsock_close};
    t->ops = &ops;
    t->state = c;
    return 0;
}
