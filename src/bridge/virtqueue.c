/* See virtqueue.h. Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0 */
#include "bridge/virtqueue.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

enum { DESC_NEXT = 1, DESC_WRITE = 2, DESC_INDIRECT = 4 };
enum { AVAIL_NO_INTERRUPT = 1 };

struct desc {
    uint64_t address;
    uint32_t length;
    uint16_t flags, next;
};

struct avail {
    uint16_t flags;
    _Atomic uint16_t index;
    uint16_t ring[];
};

struct used_element {
    uint32_t head, written;
};

struct used {
    uint16_t flags;
    _Atomic uint16_t index;
    struct used_element ring[];
};

/* Looked up each time: the hypervisor may give the memory a new table while the queue stands. */
static struct avail *avail_of(const struct bridge_queue *q, const struct bridge_memory *m)
{
    return q->avail % 2 ? NULL : bridge_memory_user(m, q->avail, sizeof(struct avail) + 2 * q->size);
}

static struct used *used_of(const struct bridge_queue *q, const struct bridge_memory *m)
{
    return q->used % 4 ? NULL : bridge_memory_user(m, q->used, sizeof(struct used) + sizeof(struct used_element) * q->size);
}

bool bridge_queue_works(const struct bridge_queue *q)
{
    return q->size && q->enabled && q->started && !q->broken;
}

static int broken(struct bridge_queue *q)
{
    q->broken = true;
    return -EPROTO;
}

/* One descriptor's memory, as a piece of its side. */
static int add_piece(struct bridge_buffer *b, const struct bridge_memory *m, const struct desc *d)
{
    bool in = d->flags & DESC_WRITE;
    struct iovec *pieces = in ? b->in : b->out;
    unsigned *n = in ? &b->n_in : &b->n_out;
    size_t *size = in ? &b->in_size : &b->out_size;
    if (!d->length)
        return 0;
    void *at = bridge_memory_guest(m, d->address, d->length);
    if (!at || *n == BRIDGE_PIECES_MAX)
        return -EPROTO;
    pieces[(*n)++] = (struct iovec){at, d->length};
    *size += d->length;
    return 0;
}

static int walk(const struct bridge_queue *q, const struct bridge_memory *m, struct bridge_buffer *b)
{
    const struct desc *table = q->desc % 16 ? NULL : bridge_memory_user(m, q->desc, sizeof *table * q->size);
    unsigned next = b->head;
    for (unsigned i = 0; table && i < q->size && next < q->size; i++) {
        struct desc d;
        memcpy(&d, &table[next], sizeof d); /* looked at here only */
        atomic_signal_fence(memory_order_seq_cst);
        if (d.flags & DESC_INDIRECT || add_piece(b, m, &d) < 0)
            return -EPROTO;
        if (!(d.flags & DESC_NEXT))
            return 0;
        next = d.next;
    }
    return -EPROTO;
}

int bridge_queue_pop(struct bridge_queue *q, const struct bridge_memory *m, struct bridge_buffer *b)
{
    struct avail *avail = avail_of(q, m);
    if (!avail || !used_of(q, m))
        return broken(q);
    uint16_t waiting = (uint16_t)(atomic_load_explicit(&avail->index, memory_order_acquire) - q->last_avail);
    if (!waiting)
        return 0;
    if (waiting > q->size)
        return broken(q);
    b->head = *(volatile uint16_t *)&avail->ring[q->last_avail & (q->size - 1)];
    b->n_out = b->n_in = 0;
    b->out_size = b->in_size = 0;
    if (b->head >= q->size || walk(q, m, b) < 0)
        return broken(q);
    q->last_avail++;
    return 1;
}

void bridge_queue_unpop(struct bridge_queue *q)
{
    q->last_avail--;
}

void bridge_queue_push(struct bridge_queue *q, const struct bridge_memory *m, const struct bridge_buffer *b, size_t written)
{
    struct used *used = used_of(q, m);
    if (!used)
        return;
    used->ring[q->next_used & (q->size - 1)] = (struct used_element){b->head, (uint32_t)written};
    atomic_store_explicit(&used->index, ++q->next_used, memory_order_release);
}

void bridge_queue_notify(struct bridge_queue *q, const struct bridge_memory *m)
{
    const struct avail *avail = avail_of(q, m);
    atomic_thread_fence(memory_order_seq_cst);
    if (!avail || q->call < 0 || *(const volatile uint16_t *)&avail->flags & AVAIL_NO_INTERRUPT)
        return;
    /* An eventfd, or a pipe, which User-Mode Linux has; one that is full has been told enough. */
    ssize_t n = write(q->call, &(uint64_t){1}, sizeof(uint64_t));
    (void)n;
}

unsigned bridge_pieces_cut(const struct iovec *pieces, unsigned n, size_t offset, size_t size, struct iovec *result)
{
    unsigned made = 0;
    for (unsigned i = 0; i < n && size; i++) {
        size_t skip = HIRA_MIN(offset, pieces[i].iov_len), length = HIRA_MIN(pieces[i].iov_len - skip, size);
        offset -= skip;
        size -= length;
        if (length)
            result[made++] = (struct iovec){(char *)pieces[i].iov_base + skip, length};
    }
    return made;
}

size_t bridge_pieces_read(const struct iovec *pieces, unsigned n, size_t offset, void *data, size_t size)
{
    struct iovec cut[BRIDGE_PIECES_MAX];
    size_t done = 0;
    n = bridge_pieces_cut(pieces, n, offset, size, cut);
    for (unsigned i = 0; i < n; done += cut[i++].iov_len)
        memcpy((char *)data + done, cut[i].iov_base, cut[i].iov_len);
    return done;
}

size_t bridge_pieces_write(const struct iovec *pieces, unsigned n, size_t offset, const void *data, size_t size)
{
    struct iovec cut[BRIDGE_PIECES_MAX];
    size_t done = 0;
    n = bridge_pieces_cut(pieces, n, offset, size, cut);
    for (unsigned i = 0; i < n; done += cut[i++].iov_len)
        memcpy(cut[i].iov_base, (const char *)data + done, cut[i].iov_len);
    return done;
}
