/*
 * Fuzzes hira-bridge: the queues and the vsock device of a guest that writes what it likes into its memory, beside sockets of the host
 * that take and give as they like. The system calls on those sockets end here.
 *
 * One port leads to a hirad: whatever the guest sends there, hirad gets whole messages of kinds that guests say, after it was asked about
 * a slice of memory, and no two streams have the same one.
 *
 * An input is steps: a packet, room for packets, bytes anywhere in the rings, something that a socket has to say, a new start.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "bridge/messages.h"
#include "bridge/vsock.h"
#include "target.h"

#define QUEUE 8u
#define RINGS 0x1000u           /* both queues' rings lie below */
#define PACKETS 0x1000u         /* what the guest sends: eight places of 512 bytes */
#define ROOM 0x2000u            /* where it hears: likewise */
#define MEMORY 0x3000u
#define USER 0x700000000000ull  /* where the hypervisor has it */
#define FIRST_FD 1000
#define FDS 512
#define GIVEN_MAX 8192u         /* what sockets say during one input */

static _Alignas(4096) char memory[MEMORY];
static struct bridge_memory table = {{{.guest = 0, .user = USER, .size = MEMORY, .base = memory}}, 1};
static struct bridge_queue queues[2];
static struct bridge_vsock vsock;
static struct bridge_loop loop;
static struct hira_log silent = {.level = HIRA_LOG_ERROR};
static uint16_t offered[2];

static struct {
    struct fuzz_input input;
    struct bridge_watch *watches[FDS];
    bool open[FDS], talks[FDS], asked[FDS], told[FDS];
    unsigned next_fd, n_open, given;
} now;

static uint8_t next(void)
{
    if (!now.input.left)
        return 0;
    now.input.left--;
    return *now.input.p++;
}

/* ---- the host ---- */

int __wrap_socket(int domain, int type, int protocol);
int __wrap_connect(int fd, const struct sockaddr *address, socklen_t size);
int __wrap_shutdown(int fd, int how);
int __real_close(int fd);
int __wrap_close(int fd);
ssize_t __wrap_sendmsg(int fd, const struct msghdr *m, int flags);
ssize_t __wrap_readv(int fd, const struct iovec *pieces, int n);

int __wrap_socket(int domain, int type, int protocol)
{
    (void)protocol;
    must(domain == AF_UNIX);
    if (now.next_fd == FDS) {
        errno = EMFILE;
        return -1;
    }
    now.open[now.next_fd] = true;
    now.talks[now.next_fd] = (type & 0xf) == SOCK_SEQPACKET;
    now.n_open++;
    return FIRST_FD + (int)now.next_fd++;
}

int __wrap_connect(int fd, const struct sockaddr *address, socklen_t size)
{
    (void)address, (void)size;
    must(now.open[fd - FIRST_FD]);
    errno = ECONNREFUSED;
    return next() % 8 ? 0 : -1;
}

int __wrap_shutdown(int fd, int how)
{
    must(now.open[fd - FIRST_FD] && how == SHUT_WR);
    return 0;
}

int __wrap_close(int fd)
{
    if (fd < FIRST_FD)
        return __real_close(fd);
    must(now.open[fd - FIRST_FD] && !now.watches[fd - FIRST_FD]);
    now.open[fd - FIRST_FD] = false;
    now.n_open--;
    return 0;
}

/* What a hirad gets: first the question, then its answer given the slice, then what guests say. */
static void check_message(int fd, const struct msghdr *m, size_t size)
{
    struct hira_message head = {0};
    bool *asked = &now.asked[fd - FIRST_FD], *told = &now.told[fd - FIRST_FD];
    must(size >= sizeof head && size <= BRIDGE_MESSAGE_MAX);
    must(bridge_pieces_read(m->msg_iov, (unsigned)m->msg_iovlen, 0, &head, sizeof head) == sizeof head);
    must(head.magic == HIRA_PROTOCOL_MAGIC && head.size == size);
    if (head.type == HIRA_MSG_REGION && head.version == HIRA_PROTOCOL_VERSION) {
        must(!*told && *asked == (m->msg_controllen > 0));
        *told = *asked;
        *asked = true;
        return;
    }
    must(*asked && !m->msg_controllen && bridge_message_size(&head) == (int)size);
}

/* Says something as hirad or a server would, or not quite. */
static ssize_t say_message(const struct iovec *piece)
{
    uint8_t mood = next();
    struct hira_message head = hira_message_head(mood % 2 ? HIRA_MSG_REGION : HIRA_MSG_LANE, mood % 64 == 3 ? 5u : 16u + next());
    size_t size = mood % 64 == 7 ? next() : head.size;
    errno = mood % 8 == 4 ? ECONNRESET : EAGAIN;
    if (mood % 4 == 0 || now.given > GIVEN_MAX)
        return mood % 16 == 8 ? 0 : -1;
    must(piece->iov_len >= 300);
    memset(piece->iov_base, 'x', size);
    memcpy(piece->iov_base, &head, HIRA_MIN(size, sizeof head));
    now.given += (unsigned)size;
    return (ssize_t)size;
}

/* Reads all that it is given, whatever it takes of it. */
ssize_t __wrap_sendmsg(int fd, const struct msghdr *m, int flags)
{
    static HIRA_UNUSED volatile unsigned sum;
    size_t size = 0;
    must(now.open[fd - FIRST_FD] && flags & MSG_NOSIGNAL);
    for (size_t i = 0; i < m->msg_iovlen; i++)
        for (size_t k = 0; k < m->msg_iov[i].iov_len; k++, size++)
            sum += ((const uint8_t *)m->msg_iov[i].iov_base)[k];
    uint8_t mood = next();
    errno = mood % 2 ? EAGAIN : EPIPE;
    if (now.talks[fd - FIRST_FD]) {
        if (mood % 4 == 3)
            return -1;
        check_message(fd, m, size);
        return (ssize_t)size;
    }
    return mood % 4 == 3 ? -1 : mood % 16 == 2 ? -1 : (ssize_t)(mood % 4 == 1 ? HIRA_MIN(size, mood) : size);
}

ssize_t __wrap_readv(int fd, const struct iovec *pieces, int n)
{
    must(now.open[fd - FIRST_FD] && n > 0);
    if (now.talks[fd - FIRST_FD])
        return say_message(pieces);
    size_t wanted = (size_t)next() * 4, got = 0;
    errno = wanted == 4 ? ECONNRESET : EAGAIN;
    if (wanted <= 8 || now.given > GIVEN_MAX)
        return wanted ? -1 : 0;
    for (int i = 0; i < n && got < wanted; i++) {
        size_t size = HIRA_MIN(pieces[i].iov_len, wanted - got);
        memset(pieces[i].iov_base, 'x', size);
        got += size;
    }
    now.given += (unsigned)got;
    return (ssize_t)got;
}

int bridge_loop_add(struct bridge_loop *l, struct bridge_watch *watch, uint32_t events)
{
    (void)l, (void)events;
    must(!now.watches[watch->fd - FIRST_FD]);
    now.watches[watch->fd - FIRST_FD] = watch;
    return 0;
}

void bridge_loop_remove(struct bridge_loop *l, struct bridge_watch *watch)
{
    (void)l;
    if (watch->fd >= 0)
        now.watches[watch->fd - FIRST_FD] = NULL;
}

/* ---- the machine's memory ---- */

#define SLICES 3u
static struct bridge_shared shared;

struct bridge_slice *bridge_slice_take(struct bridge_shared *s, struct hira_slice *ret_place, int *ret_lease)
{
    for (unsigned i = 0; i < SLICES; i++)
        if (!s->slices[i].used) {
            s->slices[i].used = true;
            *ret_place = (struct hira_slice){4096, 4096, {1, 2}};
            *ret_lease = -1;
            return &s->slices[i];
        }
    return NULL;
}

void bridge_slice_leave(struct bridge_slice *slice)
{
    if (!slice)
        return;
    must(slice->used);
    slice->used = false;
    if (shared.freed)
        shared.freed(shared.context);
}

/* ---- the guest ---- */

static char *rings(unsigned queue, size_t offset)
{
    return memory + (size_t)queue * RINGS / 2 + offset;
}

static void begin_anew(void)
{
    bridge_vsock_reset(&vsock);
    memset(memory, 0, RINGS);
    for (unsigned q = 0; q < 2; q++) {
        uint64_t at = USER + (uint64_t)q * RINGS / 2;
        queues[q] = (struct bridge_queue){
            .size = QUEUE, .desc = at, .avail = at + 0x200, .used = at + 0x300, .kick = -1, .call = -1, .enabled = true, .started = true};
        offered[q] = 0;
    }
}

static void describe(unsigned queue, unsigned i, uint64_t address, uint32_t length, uint16_t flags, uint16_t following)
{
    char *d = rings(queue, 16ul * (i % QUEUE));
    memcpy(d, &address, 8);
    memcpy(d + 8, &length, 4);
    memcpy(d + 12, &flags, 2);
    memcpy(d + 14, &following, 2);
}

static void offer(unsigned queue, uint16_t head)
{
    memcpy(rings(queue, 0x204ul + 2ul * (offered[queue] % QUEUE)), &head, 2);
    offered[queue]++;
    memcpy(rings(queue, 0x202), &offered[queue], 2);
}

static void send_packet(void)
{
    static const uint32_t to[] = {7, 9, 1000, 11, 11}, rooms[] = {0, 1, 4096, 1u << 18, UINT32_MAX};
    unsigned i = offered[1] % QUEUE, split = next();
    uint32_t length = next() * 2u, at = PACKETS + i * 0x200, cut = split % 64;
    struct {
        uint64_t from_cid, to_cid;
        uint32_t from_port, to_port, length;
        uint16_t type, op;
        uint32_t flags, room, taken;
    } __attribute__((packed)) h = {next() % 16 ? 4 : 5, 2, 100 + next() % 4u, to[next() % 5], length, next() % 16 ? 1 : 2, next() % 9, next() % 4,
                                   rooms[next() % 5], next() * 97u};
    if (split == 255)
        h.length += 1000;
    memcpy(memory + at, &h, sizeof h);
    if (h.to_port == 11 && length >= sizeof(struct hira_message)) { /* else anything: what stood there, or the rest of a message */
        static const uint16_t types[] = {HIRA_MSG_HELLO, HIRA_MSG_OPEN_LANE, HIRA_MSG_GROW, HIRA_MSG_WAKE, HIRA_MSG_REGION, HIRA_MSG_BEHALF};
        uint8_t kind = next();
        struct hira_message m = hira_message_head(types[kind % HIRA_ARRAY_SIZE(types)], kind & 64 ? length : kind & 32 ? length * 3 : next());
        memcpy(memory + at + sizeof h, &m, kind & 128 ? sizeof m : 0);
    }
    if (split & 64) { /* in two pieces */
        describe(1, i, at, cut, 1, (uint16_t)((i + 4) % QUEUE));
        describe(1, i + 4, at + cut, (uint32_t)sizeof h + length - HIRA_MIN(cut, sizeof h), 0, 0);
    } else {
        describe(1, i, at, (uint32_t)sizeof h + length, 0, 0);
    }
    offer(1, (uint16_t)i);
}

static void make_room(void)
{
    unsigned n = next() % QUEUE + 1, length = 0x200 - next() % 64;
    for (unsigned k = 0; k < n; k++) {
        unsigned i = offered[0] % QUEUE;
        describe(0, i, ROOM + i * 0x200, length, 2, 0);
        offer(0, (uint16_t)i);
    }
}

/* Where the guest's memory ends, or no memory is. */
static void offer_an_edge(void)
{
    static const uint64_t edges[] = {MEMORY, MEMORY, RINGS, 0, UINT64_MAX, USER};
    unsigned queue = next() % 2, i = offered[queue] % QUEUE;
    uint64_t address = edges[next() % HIRA_ARRAY_SIZE(edges)] - next();
    describe(queue, i, address, next() * 4u, queue ? 0 : 2, 0);
    offer(queue, (uint16_t)i);
}

static void poke(void)
{
    size_t at = (next() | (size_t)next() << 8) % RINGS, n = next() % 8;
    for (size_t i = 0; i < n && at + i < RINGS; i++)
        memory[at + i] = (char)next();
}

static void let_a_socket_speak(void)
{
    static const uint32_t events[] = {EPOLLIN, EPOLLOUT, EPOLLIN | EPOLLOUT, EPOLLHUP | EPOLLIN, EPOLLERR | EPOLLOUT, EPOLLRDHUP};
    unsigned which = next(), what = next() % HIRA_ARRAY_SIZE(events);
    for (unsigned i = 0; i < now.next_fd; i++)
        if (now.watches[i] && !(which-- % 4)) {
            now.watches[i]->ready(now.watches[i], events[what]);
            return;
        }
}

static void step(void)
{
    uint8_t what = next();
    switch (what % 8) {
    case 0:
    case 1:
    case 2:
        send_packet();
        break;
    case 3:
    case 4:
        make_room();
        break;
    case 5:
        poke();
        break;
    case 6:
        let_a_socket_speak();
        break;
    default:
        if (what > 200)
            begin_anew();
        else
            offer_an_edge();
    }
    if (what & 8)
        bridge_vsock_work(&vsock);
    must(vsock.n_streams <= BRIDGE_STREAMS_MAX && vsock.n_resets <= BRIDGE_RESETS_MAX && now.n_open <= vsock.n_streams);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!vsock.cid) {
        vsock = (struct bridge_vsock){.cid = 4, .log = &silent, .loop = &loop, .memory = &table, .rx = &queues[0], .tx = &queues[1],
                                      .ports = {{7, false, "/echo"}, {9, false, "/sink"}, {11, true, "/hirad"}}, .n_ports = 3,
                                      .shared = &shared};
        bridge_vsock_init(&vsock);
    }
    memset(&now, 0, sizeof now);
    now.input = (struct fuzz_input){data, size};
    begin_anew();
    while (now.input.left)
        step();
    bridge_vsock_work(&vsock);
    bridge_vsock_reset(&vsock);
    must(!now.n_open && !vsock.n_streams && !shared.slices[0].used && !shared.slices[SLICES - 1].used);
    return 0;
}
