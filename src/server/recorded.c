/*
 * The transport that reads a guest's messages from a file: see channel/transport.h.
 *
 * It is the guest: lanes and segments that the server makes are mapped here a second time, records are published as a guest
 * publishes them. So a file drives the whole server, its threads included, and one record after the other is served.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "channel/arena.h"
#include "channel/transport.h"
#include "wire/handshake.h"
#include "wire/record.h"

#define WAIT_NS 1000000000ull /* for a record to retire */

struct recorded {
    struct hira_caller lanes[HIRA_LANES_MAX];
    struct hira_arena arena;
    char message[HIRA_MESSAGE_MAX];
};

static bool always(void *context)
{
    (void)context;
    return true;
}

static int map_lane_here(struct recorded *r, const struct hira_lane_message *made, int fd)
{
    if (made->callbacks || made->index >= HIRA_LANES_MAX || r->lanes[made->index].map.control)
        return 0; /* callbacks pile up until the server drops its guest */
    r->lanes[made->index] = (struct hira_caller){.alive = always};
    return hira_lane_map(&r->lanes[made->index].map, fd);
}

static int recorded_send(struct hira_transport *t, const void *data, size_t size, const int *fds, size_t n_fds)
{
    struct recorded *r = t->state;
    const struct hira_segment_message *segment = data;
    if (n_fds == 1 && hira_message_check(data, size, HIRA_MSG_LANE, sizeof(struct hira_lane_message)) == 0)
        return map_lane_here(r, data, fds[0]);
    if (n_fds == 1 && hira_message_check(data, size, HIRA_MSG_SEGMENT, sizeof *segment) == 0)
        return hira_arena_map(&r->arena, fds[0], segment->size);
    return 0;
}

static void wait_retired(struct hira_caller *c)
{
    uint64_t end = hira_now_ns() + WAIT_NS;
    while (atomic_load_explicit(&c->map.control->retired, memory_order_acquire) < c->sequence && hira_now_ns() < end)
        usleep(20);
}

static int deliver(struct recorded *r, size_t size)
{
    const struct hira_record_message *m = (const struct hira_record_message *)r->message;
    if (size < sizeof *m || m->lane >= HIRA_LANES_MAX || !r->lanes[m->lane].map.control)
        return -EBADMSG;
    struct hira_caller *c = &r->lanes[m->lane];
    size_t bytes = HIRA_MIN(size - sizeof *m, HIRA_RECORD_MAX - sizeof(struct hira_record));
    if (c->head + HIRA_RECORD_MAX + HIRA_LINE - atomic_load(&c->map.control->tail) > HIRA_RING_SIZE)
        return 0; /* the lane waits on a lie: what comes now is lost */
    struct hira_record *record = hira_caller_at(c, c->head);
    record->size = (uint32_t)(sizeof *record + bytes);
    record->function = m->function;
    record->flags = m->flags;
    memcpy(record->words, m->words, bytes);
    hira_caller_publish(c, record);
    wait_retired(c);
    return 0;
}

static int fill(struct recorded *r, size_t size)
{
    const struct hira_fill_message *m = (const struct hira_fill_message *)r->message;
    void *to = size < sizeof *m ? NULL : hira_arena_at(&r->arena, m->offset, size - sizeof *m);
    if (!to)
        return -EBADMSG;
    memcpy(to, m->bytes, size - sizeof *m);
    return 0;
}

/* The next message, into r->message. Its size; 0 at the end; -errno. */
static ssize_t read_message(struct hira_transport *t)
{
    struct recorded *r = t->state;
    struct hira_message *head = (struct hira_message *)r->message;
    int error = hira_fd_read_all(t->fd, head, sizeof *head);
    if (error)
        return error == -EPIPE ? 0 : error;
    if (head->size < sizeof *head || head->size > sizeof r->message)
        return -EMSGSIZE;
    uint32_t size = head->size;
    error = hira_fd_read_all(t->fd, head + 1, size - sizeof *head);
    return error == -EPIPE ? 0 : error ? error : (ssize_t)size;
}

static ssize_t recorded_receive(struct hira_transport *t, void *data, size_t size, int *fds, size_t *n_fds)
{
    struct recorded *r = t->state;
    (void)fds;
    if (n_fds)
        *n_fds = 0;
    for (;;) {
        ssize_t n = read_message(t);
        if (n <= 0)
            return n;
        int error;
        if (hira_message_check(r->message, (size_t)n, HIRA_MSG_RECORD, 0) == 0)
            error = deliver(r, (size_t)n);
        else if (hira_message_check(r->message, (size_t)n, HIRA_MSG_FILL, 0) == 0)
            error = fill(r, (size_t)n);
        else if ((size_t)n > size)
            return -EMSGSIZE;
        else {
            memcpy(data, r->message, (size_t)n);
            return n;
        }
        if (error)
            return error;
    }
}

static int recorded_make_memory(struct hira_transport *t, const char *name, size_t size)
{
    (void)t;
    return hira_fd_shared_memory(name, size);
}

static int recorded_map_lane(struct hira_transport *t, struct hira_lane_map *map, int fd)
{
    (void)t;
    return hira_lane_map(map, fd);
}

static bool recorded_lost(struct hira_transport *t)
{
    return t->fd < 0;
}

/* What is mapped stays until exit: the server's threads go on. */
static void recorded_close(struct hira_transport *t)
{
    hira_fd_closep(&t->fd);
}

int hira_transport_recorded(struct hira_transport *t, int fd)
{
    static const struct hira_transport_ops ops = {recorded_send, recorded_receive, recorded_make_memory, recorded_map_lane, NULL, recorded_lost,
                                                  recorded_close};
    struct recorded *r = calloc(1, sizeof *r);
    *t = (struct hira_transport){.ops = &ops, .fd = fd, .alone = true, .state = r};
    int error = r ? hira_arena_init(&r->arena, HIRA_ARENA_MAX) : -ENOMEM;
    if (error) {
        hira_fd_closep(&t->fd);
        free(r);
    }
    return error;
}
