/* See vsock.h. Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0 */
#include "bridge/vsock.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fd.h"
#include "bridge/messages.h"

#define HOST_CID 2
#define PACKET_MAX (64u << 10) /* of data, whatever room the guest has */

enum { TYPE_STREAM = 1 };
enum { OP_REQUEST = 1, OP_RESPONSE, OP_RST, OP_SHUTDOWN, OP_RW, OP_CREDIT_UPDATE, OP_CREDIT_REQUEST };
enum { SHUTDOWN_RECEIVE = 1, SHUTDOWN_SEND = 2 };

struct header {
    uint64_t from_cid, to_cid;
    uint32_t from_port, to_port, length;
    uint16_t type, op;
    uint32_t flags, room, taken; /* buf_alloc, fwd_cnt: of the sender */
} __attribute__((packed));

/* Of a stream to a hirad. */
struct talk {
    enum { TALK_WAITS, TALK_ASKED, TALK_OPEN } state; /* for a slice; whether it may bring it; the guest's messages are passed on */
    struct bridge_slice *slice;
    struct hira_slice place;
    int lease;          /* until it is sent; -1 */
    size_t at, size;    /* what is left of an answer */
    char answer[BRIDGE_ANSWER_MAX];
};

struct stream {
    struct bridge_watch watch; /* the unix socket, edge-triggered */
    struct bridge_vsock *vsock;
    struct hira_list link;
    uint32_t guest_port, host_port;
    uint32_t room, taken, sent;           /* what the guest has room for, has taken, was sent; all count bytes modulo 2^32 */
    uint32_t received, forwarded, told;   /* what it sent, what of that went on, and what of that it knows */
    char *kept;                           /* a ring of BRIDGE_STREAM_BUFFER bytes that did not go on yet; NULL: none ever */
    size_t begin, n_kept;
    struct talk *talk;                    /* NULL: bytes, whatever they mean */
    bool readable;                        /* the socket may have more */
    bool owes_response, owes_credit, owes_reset, owes_end;
    bool ended, guest_ended, guest_deaf;  /* the socket said its last; the guest will send, will hear no more */
};

/* ---- streams ---- */

static void on_slice_freed(void *context);

void bridge_vsock_init(struct bridge_vsock *v)
{
    hira_list_init(&v->streams);
    if (v->shared) {
        v->shared->freed = on_slice_freed;
        v->shared->context = v;
    }
}

static struct stream *stream_of(struct bridge_vsock *v, uint32_t guest_port, uint32_t host_port)
{
    for (struct hira_list *l = v->streams.next; l != &v->streams; l = l->next) {
        struct stream *s = hira_list_entry(l, struct stream, link);
        if (s->guest_port == guest_port && s->host_port == host_port)
            return s;
    }
    return NULL;
}

/* Its slice is free once nobody else has it either. */
static void talk_free(struct stream *s)
{
    struct talk *t = HIRA_STEAL(s->talk);
    if (!t)
        return;
    hira_fd_closep(&t->lease);
    bridge_slice_leave(t->slice);
    free(t);
}

static void stream_free(struct stream *s)
{
    bridge_loop_remove(s->vsock->loop, &s->watch);
    hira_fd_closep(&s->watch.fd);
    talk_free(s);
    hira_list_remove(&s->link);
    s->vsock->n_streams--;
    free(s->kept);
    free(s);
}

void bridge_vsock_reset(struct bridge_vsock *v)
{
    void (*freed)(void *) = v->shared ? HIRA_STEAL(v->shared->freed) : NULL; /* who waits goes, too */
    while (!hira_list_empty(&v->streams))
        stream_free(hira_list_entry(v->streams.next, struct stream, link));
    v->n_resets = 0;
    if (v->shared)
        v->shared->freed = freed;
}

/* Nothing goes on any more; what is left is to tell the guest. */
static void stream_break(struct stream *s)
{
    bridge_loop_remove(s->vsock->loop, &s->watch);
    hira_fd_closep(&s->watch.fd);
    talk_free(s);
    s->readable = s->owes_response = s->owes_credit = s->owes_end = false;
    s->owes_reset = true;
    s->n_kept = 0;
}

static bool stream_broken(const struct stream *s)
{
    return s->watch.fd < 0;
}

/* ---- from the guest ---- */

/* After what was kept has gone on. */
static void pass_end_on(struct stream *s)
{
    if (!s->guest_ended || s->n_kept || stream_broken(s))
        return;
    if (s->guest_deaf)
        stream_break(s); /* a close on both sides is answered with a reset */
    else
        shutdown(s->watch.fd, SHUT_WR);
}

/* Whether the socket goes on taking. */
static bool sent_or_broken(struct stream *s, ssize_t n)
{
    if (n < 0 && errno != EAGAIN && errno != EINTR)
        stream_break(s);
    return n > 0;
}

static ssize_t send_pieces(int fd, struct iovec *pieces, unsigned n)
{
    struct msghdr m = {.msg_iov = pieces, .msg_iovlen = n};
    return sendmsg(fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* So many bytes of what is kept, as two pieces. */
static void kept_pieces(const struct stream *s, size_t size, struct iovec pieces[2])
{
    size_t first = HIRA_MIN(size, BRIDGE_STREAM_BUFFER - s->begin);
    pieces[0] = (struct iovec){s->kept + s->begin, first};
    pieces[1] = (struct iovec){s->kept, size - first};
}

/* How many of the kept bytes may go on at once: all, or one whole message; 0: none yet. */
static size_t next_portion(struct stream *s)
{
    struct iovec pieces[2];
    struct hira_message head;
    if (!s->talk)
        return s->n_kept;
    if (s->talk->state != TALK_OPEN || s->n_kept < sizeof head)
        return 0;
    kept_pieces(s, sizeof head, pieces);
    bridge_pieces_read(pieces, 2, 0, &head, sizeof head);
    int size = bridge_message_size(&head);
    if (size < 0) {
        hira_log(s->vsock->log, HIRA_LOG_WARNING, "bridge", 0, "port %u: what comes is no message of a guest's (type %u of %u bytes)", s->host_port,
                 head.type, head.size);
        stream_break(s);
        return 0;
    }
    return (size_t)size <= s->n_kept ? (size_t)size : 0;
}

/* What is left is no message, and nothing comes any more. */
static void forget_rest(struct stream *s)
{
    if (s->talk && s->talk->state == TALK_OPEN && s->guest_ended)
        s->n_kept = 0;
}

static void stream_flush(struct stream *s)
{
    for (size_t size; s->n_kept && !stream_broken(s);) {
        struct iovec pieces[2];
        if (!(size = next_portion(s))) {
            forget_rest(s);
            break;
        }
        kept_pieces(s, size, pieces);
        ssize_t n = send_pieces(s->watch.fd, pieces, 2);
        if (!sent_or_broken(s, n))
            break;
        if (s->talk && (size_t)n != size) { /* a message goes as a whole */
            stream_break(s);
            break;
        }
        s->begin = (s->begin + (size_t)n) % BRIDGE_STREAM_BUFFER;
        s->n_kept -= (size_t)n;
        s->forwarded += (uint32_t)n;
    }
    pass_end_on(s);
}

static void stream_keep(struct stream *s, const struct bridge_buffer *b, size_t offset, size_t size)
{
    if (!s->kept && !(s->kept = malloc(BRIDGE_STREAM_BUFFER))) {
        stream_break(s);
        return;
    }
    while (size) {
        size_t end = (s->begin + s->n_kept) % BRIDGE_STREAM_BUFFER, room = HIRA_MIN(size, BRIDGE_STREAM_BUFFER - end);
        bridge_pieces_read(b->out, b->n_out, offset, s->kept + end, room);
        s->n_kept += room;
        offset += room;
        size -= room;
    }
}

static void on_data(struct stream *s, const struct bridge_buffer *b, size_t size)
{
    if (stream_broken(s))
        return;
    if (s->guest_ended || size > BRIDGE_STREAM_BUFFER - (s->received - s->forwarded)) {
        stream_break(s);
        return;
    }
    s->received += (uint32_t)size;
    size_t gone = 0;
    if (!s->talk && !s->n_kept && size) {
        struct iovec pieces[BRIDGE_PIECES_MAX];
        unsigned n = bridge_pieces_cut(b->out, b->n_out, sizeof(struct header), size, pieces);
        ssize_t sent = send_pieces(s->watch.fd, pieces, n);
        if (sent_or_broken(s, sent))
            gone = (size_t)sent;
    }
    s->forwarded += (uint32_t)gone;
    if (gone < size && !stream_broken(s))
        stream_keep(s, b, sizeof(struct header) + gone, size - gone);
    if (s->talk && !stream_broken(s))
        stream_flush(s);
}

/* ---- streams to a hirad ---- */

static bool talk_say(struct stream *s, const void *message, size_t size, const int fds[2])
{
    struct iovec piece = {(void *)message, size};
    union {
        char bytes[CMSG_SPACE(2 * sizeof(int))];
        struct cmsghdr align;
    } control = {0};
    struct msghdr m = {.msg_iov = &piece, .msg_iovlen = 1};
    if (fds) {
        m.msg_control = control.bytes;
        m.msg_controllen = sizeof control.bytes;
        struct cmsghdr *c = CMSG_FIRSTHDR(&m);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(2 * sizeof(int));
        memcpy(CMSG_DATA(c), fds, 2 * sizeof(int));
    }
    if (sendmsg(s->watch.fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)size)
        return true;
    stream_break(s);
    return false;
}

/* hirad is told of a slice, as soon as there is one: first whether it listens to us. */
static void talk_begin(struct stream *s)
{
    struct talk *t = s->talk;
    struct hira_region_message m = {.head = hira_message_head(HIRA_MSG_REGION, sizeof m), .cid = (uint32_t)s->vsock->cid};
    t->slice = bridge_slice_take(s->vsock->shared, &t->place, &t->lease);
    if (t->slice && talk_say(s, &m, sizeof m, NULL))
        t->state = TALK_ASKED;
}

/* It does. */
static void talk_open(struct stream *s)
{
    struct talk *t = s->talk;
    struct hira_region_message m = {
        .head = hira_message_head(HIRA_MSG_REGION, sizeof m), .cid = (uint32_t)s->vsock->cid, .region = t->place};
    const int fds[] = {s->vsock->shared->fd, t->lease};
    t->state = TALK_OPEN;
    if (!talk_say(s, &m, sizeof m, fds))
        return;
    hira_fd_closep(&t->lease);
    stream_flush(s);
}

/* Reads one message of hirad's or of the server's, for the guest or (the answer to our question) for us. */
static void talk_hear(struct stream *s)
{
    struct talk *t = s->talk;
    struct iovec piece = {t->answer, sizeof t->answer};
    struct hira_message head;
    ssize_t n = readv(s->watch.fd, &piece, 1);
    if (n <= 0) {
        s->readable &= n < 0 && errno == EINTR;
        s->ended = s->owes_end = !n;
        if (n < 0 && errno != EINTR && errno != EAGAIN)
            stream_break(s);
        return;
    }
    memcpy(&head, t->answer, HIRA_MIN((size_t)n, sizeof head));
    if ((size_t)n < sizeof head || head.size != (size_t)n) {
        stream_break(s);
    } else if (t->state == TALK_ASKED && head.type == HIRA_MSG_REGION) {
        talk_open(s);
    } else {
        t->state = TALK_OPEN; /* a refusal */
        t->at = 0;
        t->size = (size_t)n;
    }
}

static void on_slice_freed(void *context)
{
    struct bridge_vsock *v = context;
    for (struct hira_list *l = v->streams.next; l != &v->streams; l = l->next) {
        struct stream *s = hira_list_entry(l, struct stream, link);
        if (s->talk && s->talk->state == TALK_WAITS && !stream_broken(s)) {
            talk_begin(s);
            return;
        }
    }
}

static bool talk_start(struct stream *s)
{
    s->talk = calloc(1, sizeof *s->talk);
    if (!s->talk)
        return false;
    s->talk->lease = -1;
    talk_begin(s);
    if (!stream_broken(s) && s->talk->state == TALK_WAITS)
        hira_log(s->vsock->log, HIRA_LOG_INFO, "bridge", 0, "port %u: no slice of the machine's memory is free, a program waits", s->host_port);
    return true;
}

static void on_socket(struct bridge_watch *watch, uint32_t events)
{
    struct stream *s = HIRA_CONTAINER_OF(watch, struct stream, watch);
    struct bridge_vsock *v = s->vsock;
    s->readable |= (events & (EPOLLIN | EPOLLHUP | EPOLLERR | EPOLLRDHUP)) != 0;
    while (s->talk && s->readable && !s->talk->size && s->talk->state != TALK_OPEN) /* what is for us */
        talk_hear(s);
    if (events & EPOLLOUT && !stream_broken(s))
        stream_flush(s);
    bridge_vsock_work(v);
}

static int connect_to(const char *path, int type)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(address.sun_path, path, HIRA_MIN(strlen(path) + 1, sizeof address.sun_path));
    HIRA_AUTOCLOSE int fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) < 0)
        return -errno;
    return HIRA_STEAL_FD(fd);
}

/* A stream to where the port leads, or NULL: the guest is refused. */
static struct stream *stream_open(struct bridge_vsock *v, const struct header *h)
{
    const struct bridge_port *port = v->ports;
    while (port < v->ports + v->n_ports && port->port != h->to_port)
        port++;
    if (port == v->ports + v->n_ports || v->n_streams == BRIDGE_STREAMS_MAX)
        return NULL;
    struct stream *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->watch = (struct bridge_watch){connect_to(port->path, port->hira ? SOCK_SEQPACKET : SOCK_STREAM), on_socket};
    int error = s->watch.fd < 0 ? s->watch.fd : bridge_loop_add(v->loop, &s->watch, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);
    if (error < 0) {
        hira_log(v->log, HIRA_LOG_DEBUG, "bridge", 0, "port %u: %s: %s", port->port, port->path, strerror(-error));
        hira_fd_closep(&s->watch.fd);
        free(s);
        return NULL;
    }
    s->vsock = v;
    s->guest_port = h->from_port;
    s->host_port = h->to_port;
    s->owes_response = true;
    hira_list_append(&v->streams, &s->link);
    v->n_streams++;
    if (port->hira && !talk_start(s))
        stream_break(s);
    return s;
}

static void owe_reset(struct bridge_vsock *v, const struct header *h)
{
    v->resets[v->n_resets].guest = h->from_port;
    v->resets[v->n_resets++].host = h->to_port;
}

/* What one packet asks for. The header is ours; its length fits the buffer. */
static void on_packet(struct bridge_vsock *v, const struct header *h, const struct bridge_buffer *b)
{
    struct stream *s = stream_of(v, h->from_port, h->to_port);
    if (h->from_cid != v->cid || h->to_cid != HOST_CID)
        return; /* nobody's */
    if (h->type != TYPE_STREAM || (h->op == OP_REQUEST ? s != NULL : !s)) {
        if (s)
            stream_break(s);
        else if (h->op != OP_RST)
            owe_reset(v, h);
        return;
    }
    if (h->op == OP_REQUEST && !(s = stream_open(v, h))) {
        owe_reset(v, h);
        return;
    }
    s->room = h->room;
    s->taken = h->taken;
    if (h->op == OP_RW) {
        on_data(s, b, h->length);
    } else if (h->op == OP_SHUTDOWN) {
        s->guest_ended |= (h->flags & SHUTDOWN_SEND) != 0;
        s->guest_deaf |= (h->flags & SHUTDOWN_RECEIVE) != 0;
        pass_end_on(s);
    } else if (h->op == OP_CREDIT_REQUEST) {
        s->owes_credit = !stream_broken(s);
    } else if (h->op == OP_RST) {
        stream_free(s);
    } else if (h->op != OP_REQUEST && h->op != OP_CREDIT_UPDATE) {
        stream_break(s);
    }
}

/* Whether anything was taken. */
static bool take_from_guest(struct bridge_vsock *v)
{
    bool any = false;
    struct bridge_buffer b;
    struct header h;
    /* What is no stream's is answered, too: not more of it than there is room to note. */
    while (bridge_queue_works(v->tx) && v->n_resets < BRIDGE_RESETS_MAX && bridge_queue_pop(v->tx, v->memory, &b) > 0) {
        any = true;
        bool whole = bridge_pieces_read(b.out, b.n_out, 0, &h, sizeof h) == sizeof h && h.length <= b.out_size - sizeof h;
        if (whole)
            on_packet(v, &h, &b);
        bridge_queue_push(v->tx, v->memory, &b, 0);
        if (!whole) /* Linux sends no such thing */
            v->tx->broken = true;
    }
    if (any)
        bridge_queue_notify(v->tx, v->memory);
    return any;
}

/* ---- to the guest ---- */

static void give(struct bridge_vsock *v, struct bridge_buffer *b, struct header *h)
{
    h->from_cid = HOST_CID;
    h->to_cid = v->cid;
    h->type = TYPE_STREAM;
    bridge_pieces_write(b->in, b->n_in, 0, h, sizeof *h);
    bridge_queue_push(v->rx, v->memory, b, sizeof *h + h->length);
}

/* A packet of a stream: it tells what we have room for, too. */
static void give_of(struct stream *s, struct bridge_buffer *b, uint16_t op, uint32_t flags, uint32_t length)
{
    struct header h = {.from_port = s->host_port,
                       .to_port = s->guest_port,
                       .op = op,
                       .flags = flags,
                       .length = length,
                       .room = BRIDGE_STREAM_BUFFER,
                       .taken = s->forwarded};
    s->told = s->forwarded;
    s->owes_credit = false;
    give(s->vsock, b, &h);
}

/* A buffer of the guest's, with room for a header and for data. */
static bool take_room(struct bridge_vsock *v, struct bridge_buffer *b)
{
    if (!bridge_queue_works(v->rx) || bridge_queue_pop(v->rx, v->memory, b) <= 0)
        return false;
    if (b->in_size <= sizeof(struct header))
        v->rx->broken = true;
    return !v->rx->broken;
}

static size_t credit(const struct stream *s)
{
    uint32_t on_the_way = s->sent - s->taken;
    return on_the_way < s->room ? s->room - on_the_way : 0;
}

/* Of a message, as much as there is room for. Whether the buffer was used. */
static bool give_answer(struct stream *s, struct bridge_buffer *b)
{
    struct talk *t = s->talk;
    if (!t->size)
        talk_hear(s);
    if (stream_broken(s) || !t->size)
        return false;
    size_t n = HIRA_MIN(HIRA_MIN(t->size, credit(s)), b->in_size - sizeof(struct header));
    bridge_pieces_write(b->in, b->n_in, sizeof(struct header), t->answer + t->at, n);
    t->at += n;
    t->size -= n;
    s->sent += (uint32_t)n;
    give_of(s, b, OP_RW, 0, (uint32_t)n);
    return true;
}

/* Reads right into the guest's memory. Whether the buffer was used. */
static bool give_data(struct stream *s, struct bridge_buffer *b)
{
    struct iovec pieces[BRIDGE_PIECES_MAX];
    size_t most = HIRA_MIN(credit(s), PACKET_MAX);
    unsigned n = bridge_pieces_cut(b->in, b->n_in, sizeof(struct header), most, pieces);
    ssize_t got = n ? readv(s->watch.fd, pieces, (int)n) : -1;
    if (got > 0) {
        s->sent += (uint32_t)got;
        give_of(s, b, OP_RW, 0, (uint32_t)got);
        return true;
    }
    if (got == 0) {
        s->readable = false;
        s->ended = s->owes_end = true;
    } else if (n && errno != EINTR) {
        s->readable = false;
        if (errno != EAGAIN)
            stream_break(s);
    }
    return false;
}

static bool has_data(const struct stream *s)
{
    const struct talk *t = s->talk;
    bool has = t ? t->size || (s->readable && t->state == TALK_OPEN && !s->ended) : s->readable && !s->ended;
    return has && !s->guest_deaf && credit(s);
}

static bool wants_to_give(const struct stream *s)
{
    return s->owes_reset || s->owes_response || s->owes_end || s->owes_credit || has_data(s);
}

/* One packet of this stream. Whether there was room for one. */
static bool stream_give(struct stream *s)
{
    struct bridge_vsock *v = s->vsock;
    struct bridge_buffer b;
    if (!take_room(v, &b))
        return false;
    if (s->owes_reset) {
        give_of(s, &b, OP_RST, 0, 0);
        stream_free(s);
    } else if (s->owes_response) {
        s->owes_response = false;
        give_of(s, &b, OP_RESPONSE, 0, 0);
    } else if (has_data(s) && (s->talk ? give_answer(s, &b) : give_data(s, &b))) {
        /* told on the way: credit */
    } else if (s->owes_end) {
        s->owes_end = false;
        give_of(s, &b, OP_SHUTDOWN, SHUTDOWN_SEND, 0);
    } else if (s->owes_credit) {
        give_of(s, &b, OP_CREDIT_UPDATE, 0, 0);
    } else {
        bridge_queue_unpop(v->rx);
    }
    return true;
}

static bool give_resets(struct bridge_vsock *v)
{
    struct bridge_buffer b;
    bool any = false;
    while (v->n_resets && take_room(v, &b)) {
        v->n_resets--;
        struct header h = {.from_port = v->resets[v->n_resets].host, .to_port = v->resets[v->n_resets].guest, .op = OP_RST};
        give(v, &b, &h);
        any = true;
    }
    return any;
}

/* The guest learns what has gone on before it has to ask. */
static void note_credit(struct stream *s)
{
    if (!stream_broken(s) && s->forwarded - s->told >= BRIDGE_STREAM_BUFFER / 4)
        s->owes_credit = true;
}

/* In turns, until nobody has anything to say or the guest has no room. Whether anything was given. */
static bool give_to_guest(struct bridge_vsock *v)
{
    bool any = give_resets(v), more = true, room = true;
    while (more && room) {
        more = false;
        for (struct hira_list *l = v->streams.next, *next; room && l != &v->streams; l = next) {
            struct stream *s = hira_list_entry(l, struct stream, link);
            next = l->next;
            note_credit(s);
            if (!wants_to_give(s))
                continue;
            room = stream_give(s);
            more |= room;
            any |= room;
        }
    }
    if (any)
        bridge_queue_notify(v->rx, v->memory);
    return any;
}

void bridge_vsock_work(struct bridge_vsock *v)
{
    bool more = true;
    while (more) {
        more = take_from_guest(v);
        more |= give_to_guest(v);
    }
    if ((v->rx->broken || v->tx->broken) && !v->said_broken)
        hira_log(v->log, HIRA_LOG_WARNING, "bridge", 0, "the guest breaks the rules of virtio: its streams stand still until it starts anew");
    v->said_broken = v->rx->broken || v->tx->broken;
}
