/* See device.h. Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0 */
#include "bridge/device.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"

enum {
    GET_FEATURES = 1, SET_FEATURES, SET_OWNER, RESET_OWNER, SET_MEM_TABLE,
    SET_VRING_NUM = 8, SET_VRING_ADDR, SET_VRING_BASE, GET_VRING_BASE, SET_VRING_KICK, SET_VRING_CALL, SET_VRING_ERR,
    GET_PROTOCOL_FEATURES, SET_PROTOCOL_FEATURES, GET_QUEUE_NUM, SET_VRING_ENABLE,
    SET_BACKEND_REQ_FD = 21, GET_CONFIG = 24, SET_CONFIG,
};
enum { VERSION = 1, VERSION_MASK = 3, IS_REPLY = 4, NEEDS_REPLY = 8 };
#define FEATURES (1ull << 32 /* VIRTIO_F_VERSION_1 */ | 1ull << 30 /* VHOST_USER_F_PROTOCOL_FEATURES */)
#define REPLY_ACK (1ull << 3)
#define PROTOCOL_FEATURES (REPLY_ACK | 1ull << 5 /* BACKEND_REQ */ | 1ull << 9 /* CONFIG */)
#define NO_DESCRIPTOR 0x100 /* in the number of a queue */
#define SAY_MS 5000         /* what a hypervisor takes to say the rest of what it began */

struct region {
    uint64_t guest, size, user, offset;
};

struct message {
    uint32_t request, flags, size;
    union {
        uint64_t number;
        struct { uint32_t index, number; } state;
        struct { uint32_t index, flags; uint64_t desc, used, avail, log; } address;
        struct { uint32_t n, padding; struct region regions[BRIDGE_REGIONS_MAX]; } table;
        struct { uint32_t offset, size, flags; uint8_t bytes[256]; } config;
    } __attribute__((packed));
} __attribute__((packed));

#define HEAD offsetof(struct message, number)

/* ---- queues ---- */

static void on_kick(struct bridge_watch *watch, uint32_t events)
{
    struct bridge_kick *k = HIRA_CONTAINER_OF(watch, struct bridge_kick, watch);
    uint64_t count;
    (void)events;
    if (read(watch->fd, &count, sizeof count) < 0 && errno != EAGAIN && errno != EINTR)
        bridge_loop_remove(k->device->loop, watch);
    bridge_vsock_work(&k->device->vsock);
}

static void drop_kick(struct bridge_device *d, unsigned i)
{
    bridge_loop_remove(d->loop, &d->kicks[i].watch);
    hira_fd_closep(&d->kicks[i].watch.fd);
    d->queues[i].kick = -1;
}

static void queue_reset(struct bridge_device *d, unsigned i)
{
    drop_kick(d, i);
    hira_fd_closep(&d->queues[i].call);
    d->queues[i] = (struct bridge_queue){.kick = -1, .call = -1};
}

static bool speaks_protocol(const struct bridge_device *d)
{
    return d->features >> 30 & 1;
}

static int set_kick(struct bridge_device *d, unsigned i, int fd)
{
    struct bridge_queue *q = &d->queues[i];
    drop_kick(d, i);
    q->started = true;
    q->enabled |= !speaks_protocol(d);
    if (fd < 0)
        return 0; /* it wants to be polled: what it has is looked at whenever anything else happens */
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    d->kicks[i].watch.fd = q->kick = fd;
    int error = bridge_loop_add(d->loop, &d->kicks[i].watch, EPOLLIN);
    return error;
}

static int set_call(struct bridge_device *d, unsigned i, int fd)
{
    hira_fd_closep(&d->queues[i].call);
    d->queues[i].call = fd;
    if (fd >= 0)
        fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    return 0;
}

static int set_size(struct bridge_queue *q, uint32_t size)
{
    if (!size || size > BRIDGE_QUEUE_SIZE_MAX || size & (size - 1))
        return -EINVAL;
    q->size = size;
    return 0;
}

static int set_address(struct bridge_queue *q, const struct message *m)
{
    q->desc = m->address.desc;
    q->avail = m->address.avail;
    q->used = m->address.used;
    q->broken = false;
    return 0;
}

/* ---- messages ---- */

static int set_table(struct bridge_device *d, const struct message *m, int *fds, size_t n_fds)
{
    bridge_memory_clear(&d->memory);
    if (m->table.n > BRIDGE_REGIONS_MAX || m->table.n != n_fds || m->size < 8 + m->table.n * sizeof(struct region))
        return -EINVAL;
    for (unsigned i = 0; i < m->table.n; i++) {
        struct region r = m->table.regions[i];
        int error = bridge_memory_add(&d->memory, fds[i], r.guest, r.user, r.size, r.offset);
        if (error < 0)
            return error;
    }
    return 0;
}

static int reply(const struct bridge_device *d, struct message *m, uint32_t size)
{
    m->flags = VERSION | IS_REPLY;
    m->size = size;
    return hira_fd_write_all(d->watch.fd, m, HEAD + size);
}

static int reply_number(const struct bridge_device *d, struct message *m, uint64_t number)
{
    m->number = number;
    return reply(d, m, sizeof number);
}

/* The device's configuration is the guest's address. Whatever lies behind it is zero. */
static int reply_config(const struct bridge_device *d, struct message *m)
{
    uint64_t cid = d->vsock.cid;
    uint32_t offset = m->config.offset, size = m->config.size;
    if (size > sizeof m->config.bytes || m->size < 12)
        return -EINVAL;
    memset(m->config.bytes, 0, size);
    if (offset < sizeof cid)
        memcpy(m->config.bytes, (char *)&cid + offset, HIRA_MIN(size, sizeof cid - offset));
    return reply(d, m, 12 + size);
}

/* The queue stands still from here on: what the guest has in flight is over. */
static int stop_queue(struct bridge_device *d, struct message *m, unsigned i)
{
    struct bridge_queue *q = &d->queues[i];
    drop_kick(d, i);
    q->started = q->broken = false;
    bridge_vsock_reset(&d->vsock);
    m->state.number = q->last_avail;
    return reply(d, m, sizeof m->state);
}

/* Which queue a message is about, or BRIDGE_QUEUES: none. */
static unsigned queue_of(const struct message *m)
{
    bool descriptor = m->request >= SET_VRING_KICK && m->request <= SET_VRING_ERR;
    uint64_t i = descriptor ? m->number & 0xff : m->state.index;
    return m->size >= 8 && i < BRIDGE_QUEUES ? (unsigned)i : BRIDGE_QUEUES;
}

static int on_queue_message(struct bridge_device *d, struct message *m, int *fd)
{
    unsigned i = queue_of(m);
    struct bridge_queue *q = &d->queues[i];
    bool has = !(m->number & NO_DESCRIPTOR);
    if (i == BRIDGE_QUEUES)
        return -EINVAL;
    switch (m->request) {
    case SET_VRING_NUM:
        return set_size(q, m->state.number);
    case SET_VRING_ADDR:
        return m->size >= sizeof m->address ? set_address(q, m) : -EINVAL;
    case SET_VRING_BASE:
        q->last_avail = q->next_used = (uint16_t)m->state.number;
        return 0;
    case GET_VRING_BASE:
        return stop_queue(d, m, i);
    case SET_VRING_ENABLE:
        q->enabled = m->state.number == 1;
        return 0;
    case SET_VRING_KICK:
        return has && *fd < 0 ? -EINVAL : set_kick(d, i, has ? HIRA_STEAL_FD(*fd) : -1);
    case SET_VRING_CALL:
        return has && *fd < 0 ? -EINVAL : set_call(d, i, has ? HIRA_STEAL_FD(*fd) : -1);
    default:
        return 0; /* SET_VRING_ERR: nothing is told that way */
    }
}

/* 0, or -errno; what it answered itself sets `*ret_answered`. */
static int on_message(struct bridge_device *d, struct message *m, int *fds, size_t n_fds, bool *ret_answered)
{
    *ret_answered = true;
    switch (m->request) {
    case GET_FEATURES:
        return reply_number(d, m, FEATURES);
    case GET_PROTOCOL_FEATURES:
        return reply_number(d, m, PROTOCOL_FEATURES);
    case GET_QUEUE_NUM:
        return reply_number(d, m, BRIDGE_QUEUES);
    case GET_CONFIG:
        return reply_config(d, m);
    case GET_VRING_BASE:
        return on_queue_message(d, m, fds);
    }
    *ret_answered = false;
    switch (m->request) {
    case SET_OWNER:
    case RESET_OWNER:
    case SET_CONFIG: /* there is nothing to set */
        return 0;
    case SET_FEATURES:
        d->features = m->number;
        return m->size >= 8 && !(m->number & ~FEATURES) ? 0 : -EINVAL;
    case SET_PROTOCOL_FEATURES:
        d->protocol_features = m->number;
        return m->size >= 8 && !(m->number & ~PROTOCOL_FEATURES) ? 0 : -EINVAL;
    case SET_MEM_TABLE:
        return set_table(d, m, fds, n_fds);
    case SET_BACKEND_REQ_FD:
        hira_fd_closep(&d->requests);
        d->requests = n_fds ? HIRA_STEAL_FD(fds[0]) : -1;
        return 0;
    default:
        return (m->request >= SET_VRING_NUM && m->request <= SET_VRING_ERR) || m->request == SET_VRING_ENABLE ? on_queue_message(d, m, fds)
                                                                                                             : -EOPNOTSUPP;
    }
}

/* Reads one message. Its size, 0 at the end, or -errno. Bytes that did not come are zero. */
static int hear(int fd, struct message *m, int *fds, size_t *n_fds)
{
    memset(m, 0, sizeof *m);
    ssize_t n = hira_fd_receive(fd, m, HEAD, fds, n_fds, 0);
    if (n <= 0)
        return (int)n;
    if (n < (ssize_t)HEAD) {
        int error = hira_fd_read_all(fd, (char *)m + n, HEAD - (size_t)n);
        if (error < 0)
            return error;
    }
    if ((m->flags & VERSION_MASK) != VERSION || m->size > sizeof *m - HEAD)
        return -EPROTO;
    int error = m->size ? hira_fd_read_all(fd, (char *)m + HEAD, m->size) : 0;
    return error < 0 ? error : (int)HEAD;
}

static void on_hypervisor(struct bridge_watch *watch, uint32_t events)
{
    struct bridge_device *d = HIRA_CONTAINER_OF(watch, struct bridge_device, watch);
    struct message m;
    int fds[HIRA_FD_MAX];
    size_t n_fds = HIRA_FD_MAX;
    bool answered = false;
    (void)events;
    for (size_t i = 0; i < HIRA_FD_MAX; i++)
        fds[i] = -1;
    int ret = hear(watch->fd, &m, fds, &n_fds);
    if (ret > 0) {
        uint32_t request = m.request;
        bool wants = m.flags & NEEDS_REPLY;
        ret = on_message(d, &m, fds, n_fds, &answered);
        if (!answered && wants && d->protocol_features & REPLY_ACK) /* the message that agrees on it may itself want one */
            ret = reply_number(d, &m, ret < 0) < 0 ? -EPIPE : 1;
        else if (ret == 0)
            ret = 1;
        if (ret < 0)
            hira_log(d->log, HIRA_LOG_WARNING, "bridge", 0, "the hypervisor's message %u makes no sense: %s", request, strerror(-ret));
    }
    for (size_t i = 0; i < HIRA_FD_MAX; i++)
        hira_fd_closep(&fds[i]);
    if (ret > 0)
        bridge_vsock_work(&d->vsock);
    else
        d->gone(d);
}

/* ---- coming and going ---- */

void bridge_device_init(struct bridge_device *d, struct bridge_loop *loop, const struct hira_log *log)
{
    d->watch = (struct bridge_watch){-1, on_hypervisor};
    d->loop = loop;
    d->log = log;
    d->requests = -1;
    for (unsigned i = 0; i < BRIDGE_QUEUES; i++) {
        d->queues[i] = (struct bridge_queue){.kick = -1, .call = -1};
        d->kicks[i] = (struct bridge_kick){{-1, on_kick}, d};
    }
    d->vsock.log = log;
    d->vsock.loop = loop;
    d->vsock.memory = &d->memory;
    d->vsock.rx = &d->queues[0];
    d->vsock.tx = &d->queues[1];
    bridge_vsock_init(&d->vsock);
}

int bridge_device_attach(struct bridge_device *d, int fd)
{
    struct timeval limit = {SAY_MS / 1000, 0};
    d->watch.fd = fd;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    return bridge_loop_add(d->loop, &d->watch, EPOLLIN);
}

void bridge_device_detach(struct bridge_device *d)
{
    bridge_vsock_reset(&d->vsock);
    for (unsigned i = 0; i < BRIDGE_QUEUES; i++)
        queue_reset(d, i);
    bridge_memory_clear(&d->memory);
    hira_fd_closep(&d->requests);
    bridge_loop_remove(d->loop, &d->watch);
    hira_fd_closep(&d->watch.fd);
    d->features = d->protocol_features = 0;
}
