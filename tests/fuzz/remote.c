/*
 * Fuzzes what a relay reads of another: prefaces, frames, the link with its numbers, acknowledgements and resends, and what frames do to
 * lanes and memory; beside a guest or a server here that writes what it likes into its lanes. Connections end here, in plain.
 *
 * An input is which half this is, then steps. Frames that are sent are read along: after each new connection they must go on where the
 * peer said it was, with what was sent before under the same number: nothing is lost, and nothing is sent twice as something else.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd.h"
#include "remote/session.h"
#include "target.h"

#define FIRST_FD 1000
#define ARENA (256u * 1024)
#define LANES 3u          /* two of calls, one of callbacks */
#define NUMBERS_MAX 4096u /* frames of ours whose contents are remembered */
#define BLOCKS_MAX 4096u

enum stage { PREFACE, SESSION, FRAMES };

static struct relay_session session;
static struct hira_lane_map maps[LANES];
static struct hira_arena arena;
static int event;
static struct relay_source sources[LANES];
static struct relay_sink sinks[LANES];
static struct hira_caller guest[LANES];
static struct relay_keys keys = {.plain = true, .anywhere = true};
static struct sockaddr_in loopback = {.sin_family = AF_INET};
static struct addrinfo found = {.ai_family = AF_INET, .ai_addr = (struct sockaddr *)&loopback, .ai_addrlen = sizeof loopback};
static const struct relay_target target = {.address = "peer", .host = "peer", .all = &found};

struct thread {
    void *(*run)(void *);
    void *context;
};

static struct {
    struct fuzz_input input;
    bool running, host, passes;
    jmp_buf over, yield;
    struct thread threads[2 + 2 * LANES];
    unsigned n_threads;
    void *blocks[BLOCKS_MAX];
    unsigned n_blocks, n_large;
    /* what the peer says */
    enum stage stage;
    uint64_t number, acknowledged;
    char incoming[2 * RELAY_PIECE];
    size_t begin, end;
    /* what it hears */
    char head[sizeof(struct relay_frame)];
    size_t n_head, payload;
    uint64_t expected, expected_last, highest, hash, hashes[NUMBERS_MAX];
    bool preface_said, dead;
    unsigned connections;
} now;

static uint8_t next(void)
{
    if (!now.input.left)
        return 0;
    now.input.left--;
    return *now.input.p++;
}

static uint64_t next_word(void)
{
    uint64_t word = 0;
    for (int i = 0; i < 8; i++)
        word |= (uint64_t)next() << 8 * i;
    return word;
}

/* ---- memory: what a run leaves goes with it ---- */

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void __real_free(void *p);
void __wrap_free(void *p);

void *__wrap_malloc(size_t size)
{
    static _Alignas(64) char large[2][2 * RELAY_PIECE]; /* the link's buffers: mapping them would be most of a run's time */
    if (now.running && size >= RELAY_PIECE && size <= sizeof large[0] && now.n_large < HIRA_ARRAY_SIZE(large))
        return large[now.n_large++];
    void *p = now.running && now.n_blocks == BLOCKS_MAX ? NULL : __real_malloc(size);
    if (now.running && p)
        now.blocks[now.n_blocks++] = p;
    return p;
}

void __wrap_free(void *p)
{
    for (unsigned i = now.n_blocks; now.running && i-- > 0;)
        if (now.blocks[i] == p) {
            now.blocks[i] = now.blocks[--now.n_blocks];
            break;
        }
    __real_free(p);
}

/* ---- threads: run when a step says so, until they would wait ---- */

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *context);
int __wrap_pthread_detach(pthread_t thread);
int __wrap_pthread_cond_wait(pthread_cond_t *condition, pthread_mutex_t *mutex);
long __wrap_syscall(long number, ...);
int __wrap_usleep(useconds_t us);

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *context)
{
    (void)attributes;
    must(now.n_threads < HIRA_ARRAY_SIZE(now.threads));
    memset(thread, 0, sizeof *thread);
    now.threads[now.n_threads++] = (struct thread){run, context};
    return 0;
}

int __wrap_pthread_detach(pthread_t thread)
{
    (void)thread;
    return 0;
}

int __wrap_pthread_cond_wait(pthread_cond_t *condition, pthread_mutex_t *mutex)
{
    if (condition == &session.link.room) /* the peer acknowledges nothing: it would wait for ever */
        longjmp(now.over, 1);
    if (condition == &session.link.idle && now.passes) {
        now.passes = false;
        return 0;
    }
    pthread_mutex_unlock(mutex);
    longjmp(now.yield, 1);
}

long __wrap_syscall(long number, ...)
{
    va_list args;
    va_start(args, number);
    (void)va_arg(args, long);
    long operation = va_arg(args, long);
    va_end(args);
    must(number == SYS_futex);
    if ((operation & FUTEX_CMD_MASK) == FUTEX_WAKE)
        return 0;
    longjmp(now.yield, 1);
}

int __wrap_usleep(useconds_t us)
{
    (void)us;
    return 0;
}

static void drive(unsigned thread)
{
    if (thread < now.n_threads && setjmp(now.yield) == 0)
        now.threads[thread].run(now.threads[thread].context);
}

/* ---- what is sent ---- */

static void check_head(const struct relay_frame *f)
{
    must(relay_frame_check(f) == 0);
    if (!f->number)
        return;
    /* Of what a lost connection brought of acknowledgements, it need not have seen all. */
    must(f->number >= now.expected && f->number <= now.expected_last);
    now.expected = now.expected_last = f->number + 1;
}

static void end_frame(const struct relay_frame *f)
{
    if (!f->number)
        return;
    if (f->number > now.highest)
        now.highest = f->number;
    if (f->number >= NUMBERS_MAX || f->type == RELAY_DATA || f->type == RELAY_PACKED) /* memory may change until it is sent again */
        return;
    uint64_t hash = now.hash ^ (uint64_t)f->type << 48 ^ (uint64_t)f->lane << 32 ^ f->argument;
    must(!now.hashes[f->number] || now.hashes[f->number] == hash);
    now.hashes[f->number] = hash;
}

static void hear(const char *data, size_t size)
{
    static struct relay_frame f;
    for (size_t i = 0; i < size;) {
        if (now.n_head < sizeof now.head) {
            now.head[now.n_head++] = data[i++];
            if (now.n_head < sizeof now.head)
                continue;
            memcpy(&f, now.head, sizeof f);
            check_head(&f);
            now.payload = f.size;
            now.hash = 14695981039346656037u;
        }
        for (; now.payload && i < size; now.payload--, i++)
            now.hash = (now.hash ^ (uint8_t)data[i]) * 1099511628211u;
        if (!now.payload) {
            end_frame(&f);
            now.n_head = 0;
        }
    }
}

/* ---- what the peer says ---- */

static void say(const void *data, size_t size)
{
    size = HIRA_MIN(size, sizeof now.incoming - now.end);
    memcpy(now.incoming + now.end, data, size);
    now.end += size;
}

static void say_frame(const struct relay_frame *f, const void *payload, size_t size)
{
    say(f, sizeof *f);
    say(payload, size);
}

static void say_preface(void)
{
    struct relay_preface p = {.magic = RELAY_MAGIC, .version = RELAY_VERSION, .protocol = HIRA_PROTOCOL_VERSION};
    uint8_t mood = next();
    if (mood % 8 == 7)
        ((uint8_t *)&p)[next() % sizeof p] = next();
    if (mood % 64 == 15)
        memset(p.text, 'x', sizeof p.text);
    say(&p, sizeof p);
}

static void say_session(void)
{
    struct relay_frame f = {.size = RELAY_SESSION_SIZE, .type = RELAY_SESSION};
    uint8_t mood = next();
    f.received = mood % 4 == 0 ? now.acknowledged : mood % 4 == 1 ? now.highest : now.highest - HIRA_MIN(now.highest, (uint64_t)mood % 16);
    if (mood == 255)
        f.received = next_word();
    if (mood % 32 == 31)
        ((uint8_t *)&f)[next() % sizeof f] = next();
    now.expected = f.received + 1;
    if (f.received <= now.highest) /* else this connection, or the session, ends */
        now.acknowledged = HIRA_MAX(f.received, now.acknowledged);
    now.expected_last = now.acknowledged + 1;
    now.number = atomic_load(&session.link.received) - HIRA_MIN(atomic_load(&session.link.received), (uint64_t)(mood / 64 == 1 ? mood % 3 : 0));
    say_frame(&f, "0123456789abcdef", RELAY_SESSION_SIZE);
}

static uint16_t some_lane(void)
{
    uint8_t which = next();
    return which % 4 == 3 ? RELAY_REVERSE : which == 254 ? next() : which % 4 % 2;
}

static uint64_t some_offset(void)
{
    uint8_t mood = next();
    if (mood == 255)
        return next_word();
    uint64_t offset = (uint64_t)next() * ARENA / 255;
    return mood % 4 ? offset & ~(uint64_t)63 : offset - mood % 16;
}

static size_t make_record(char *to, uint64_t n_memories)
{
    struct hira_record *record = (struct hira_record *)(to + n_memories * sizeof(struct hira_record_memory));
    struct hira_record_memory *memories = (struct hira_record_memory *)to;
    for (uint64_t i = 0; i < n_memories; i++) {
        uint64_t how = next();
        memories[i] = (struct hira_record_memory){some_offset(), (how << 61) | (how & 8 ? next_word() >> (how >> 4) : next() * 64u)};
    }
    uint8_t mood = next();
    uint32_t words = mood % 8 == 7 ? next() * 4u : mood % 4;
    *record = (struct hira_record){.size = (uint32_t)sizeof *record + words * 8, .function = next(), .flags = next()};
    if (mood % 16 == 5)
        record->function = HIRA_FN_ANSWER;
    if (mood == 255)
        record->size = (uint32_t)next_word();
    for (uint32_t i = 0; i < words; i++)
        record->words[i] = i % 8 ? i : next();
    return n_memories * sizeof *memories + sizeof *record + words * 8;
}

static size_t make_payload(struct relay_frame *f, char *to)
{
    struct relay_progress *p = (struct relay_progress *)to;
    size_t size = 0;
    switch (f->type) {
    case RELAY_SESSION:
        return RELAY_SESSION_SIZE;
    case RELAY_BYE:
        return next();
    case RELAY_CONTROL:
        size = sizeof(struct hira_message) + next() * 4u;
        *(struct hira_message *)to = hira_message_head(next() % 34, size);
        return size;
    case RELAY_RECORD:
        f->argument = next() % 4;
        size = make_record(to, f->argument);
        if (next() % 32 == 31)
            f->argument = next_word();
        return size;
    case RELAY_DATA:
        f->argument = some_offset();
        return 1 + (next() | (size_t)next() << 8);
    case RELAY_PACKED: /* a block of literals, and how many there are said to be */
        f->argument = some_offset();
        size = next() % 15;
        *(uint32_t *)to = next() % 4 ? (uint32_t)size : (uint32_t)next_word();
        ((char *)to)[sizeof(uint32_t)] = (char)(size << 4 | (next() % 8 ? 0 : next()));
        return sizeof(uint32_t) + 1 + size;
    case RELAY_CELL:
        f->argument = some_offset();
        f->lane = next() % 4;
        return 0;
    case RELAY_REPLY:
    case RELAY_PROGRESS:
        *p = (struct relay_progress){next(), next() * 64u};
        f->argument = next();
        return sizeof *p + (f->type == RELAY_REPLY ? sizeof(struct hira_reply) + next() * 8u : 0);
    default:
        return next() % 4 ? 0 : next();
    }
}

static void speak(void)
{
    static _Alignas(8) char payload[RELAY_PIECE];
    uint8_t mood = next(), numbers = next();
    struct relay_frame f = {.type = mood > 250 ? next() : RELAY_SESSION + mood % 9, .lane = some_lane()};
    if (f.type == RELAY_SESSION && numbers % 8)
        f.type = RELAY_RECORD;
    if (f.type == RELAY_BYE && numbers % 16)
        f.type = RELAY_DATA;
    if (f.type == RELAY_DATA && numbers % 8 == 5)
        f.type = RELAY_PACKED;
    size_t size = make_payload(&f, payload);
    f.size = (uint32_t)size;
    if (numbers == 255)
        f.size = (uint32_t)next_word();
    if (f.type != RELAY_SESSION && f.type != RELAY_ACK)
        f.number = numbers % 32 == 31 ? now.number + next() - 3u : ++now.number;
    f.received = numbers % 4 == 1 ? now.highest : numbers % 64 == 62 ? next_word() : now.acknowledged;
    now.acknowledged = HIRA_MAX(now.acknowledged, HIRA_MIN(f.received, now.highest));
    say_frame(&f, payload, size);
}

/* ---- who is here ---- */

static bool is_source(unsigned i)
{
    return (i == LANES - 1) == now.host;
}

/* The caller on this host publishes a record: what a guest library writes, or anything. */
static void call_here(void)
{
    static _Alignas(8) char made[HIRA_RECORD_MAX];
    unsigned i = next() % LANES;
    if (!is_source(i))
        i = now.host ? LANES - 1 : 0;
    struct hira_caller *c = &guest[i];
    size_t n = next() % 4, size = make_record(made, 0);
    const struct hira_record *from = (const struct hira_record *)made;
    c->tail = atomic_load(&c->map.control->tail);
    if (c->head - c->tail > HIRA_RING_SIZE / 2 || size + (2 * n + 1) * 8 > HIRA_RECORD_MAX)
        return;
    struct hira_record *to = hira_caller_at(c, c->head);
    memcpy((char *)to + 8, (const char *)from + 8, size - 8);
    if (to->flags & HIRA_RECORD_MEMORY) {
        for (size_t k = 0; k < 2 * n; k += 2) {
            uint64_t how = next();
            to->words[(size - sizeof *to) / 8 + k] = some_offset();
            to->words[(size - sizeof *to) / 8 + k + 1] = how << 61 | next() * 64u;
        }
        size += (2 * n + 1) * 8;
        to->words[(size - sizeof *to) / 8 - 1] = next() % 16 == 15 ? next_word() : n;
        to->size = (uint32_t)size;
    }
    uint32_t said = to->size;
    to->size = (uint32_t)size;
    hira_caller_publish(c, to);
    to->size = said;
    drive(2 + i);
}

/* The callee on this host takes records, and answers. */
static void serve_here(void)
{
    unsigned i = next() % LANES;
    if (is_source(i))
        i = now.host ? 0 : LANES - 1;
    struct relay_sink *s = &sinks[i];
    struct hira_lane_control *control = s->caller.map.control;
    struct hira_reply *reply = s->caller.map.reply;
    uint8_t mood = next();
    if (mood & 1)
        atomic_store(&control->tail, mood & 64 ? s->caller.head : next() * 64u);
    if (mood & 2)
        atomic_store(&control->retired, mood & 64 ? s->caller.sequence : next());
    if (mood & 4) {
        reply->size = mood & 128 ? (uint32_t)next_word() : (uint32_t)sizeof *reply + next() * 8u;
        reply->status = next() % 8;
        atomic_store(&reply->stamp, mood & 32 ? next() : s->asked);
    }
    if (mood & 8)
        for (int k = 0; k < 4; k++)
            atomic_store(hira_arena_cell(&arena, ((next() | 1ul) * ARENA / 256) & ~63ul), next() % 4);
    drive(2 + i);
}

static void poke(void)
{
    unsigned i = next() % LANES;
    size_t at = (next() | (size_t)next() << 8) % 8192, n = next() % 8;
    char *to = at < 4096 ? (char *)maps[i].control + at : maps[i].ring + at - 4096;
    for (size_t k = 0; k < n; k++)
        to[k] = (char)next();
}

/* More of what comes in: false, the connection is lost. */
static bool step(void)
{
    uint8_t what = next();
    switch (what % 8) {
    case 0:
    case 1:
    case 2:
    case 3:
        speak();
        return true;
    case 4:
        call_here();
        return true;
    case 5:
        serve_here();
        return true;
    case 6:
        if (what & 64)
            poke();
        else
            relay_session_control_taken(&session);
        return true;
    default:
        if (what & 128) {
            now.passes = true;
            drive(1);
        } else if (what & 64) {
            relay_link_drop(&session.link);
        }
        return what & 128;
    }
}

/* ---- connections ---- */

int __wrap_socket(int domain, int type, int protocol);
int __wrap_connect(int fd, const struct sockaddr *address, socklen_t size);
int __wrap_poll(struct pollfd *p, nfds_t n, int ms);
int __wrap_getsockopt(int fd, int level, int name, void *value, socklen_t *size);
int __wrap_setsockopt(int fd, int level, int name, const void *value, socklen_t size);
int __real_fcntl(int fd, int what, ...);
int __wrap_fcntl(int fd, int what, ...);
int __wrap_shutdown(int fd, int how);
int __real_close(int fd);
int __wrap_close(int fd);
ssize_t __real_write(int fd, const void *data, size_t size);
ssize_t __wrap_write(int fd, const void *data, size_t size);
ssize_t __wrap_sendmsg(int fd, const struct msghdr *m, int flags);
ssize_t __wrap_send(int fd, const void *data, size_t size, int flags);
ssize_t __wrap_recv(int fd, void *data, size_t size, int flags);

static void begin_connection(void)
{
    now.stage = PREFACE;
    now.begin = now.end = now.n_head = now.payload = 0;
    now.preface_said = now.dead = false;
    now.connections++;
}

int __wrap_socket(int domain, int type, int protocol)
{
    (void)domain, (void)type, (void)protocol;
    begin_connection();
    return FIRST_FD + (int)now.connections;
}

int __wrap_connect(int fd, const struct sockaddr *address, socklen_t size)
{
    (void)fd, (void)address, (void)size;
    return 0;
}

int __wrap_poll(struct pollfd *p, nfds_t n, int ms)
{
    (void)ms;
    for (nfds_t i = 0; i < n; i++)
        p[i].revents = p[i].events;
    return (int)n;
}

int __wrap_getsockopt(int fd, int level, int name, void *value, socklen_t *size)
{
    (void)fd, (void)level, (void)name;
    memset(value, 0, *size);
    return 0;
}

int __wrap_setsockopt(int fd, int level, int name, const void *value, socklen_t size)
{
    (void)fd, (void)level, (void)name, (void)value, (void)size;
    return 0;
}

int __wrap_fcntl(int fd, int what, ...)
{
    va_list args;
    va_start(args, what);
    long argument = va_arg(args, long);
    va_end(args);
    return fd < FIRST_FD ? __real_fcntl(fd, what, argument) : 0;
}

int __wrap_shutdown(int fd, int how)
{
    (void)fd, (void)how;
    now.dead = true;
    return 0;
}

int __wrap_close(int fd)
{
    return fd < FIRST_FD ? __real_close(fd) : 0;
}

/* The preface, alone, or frames; some of it, or nothing any more. */
static ssize_t take(const char *data, size_t size)
{
    uint8_t mood = now.stage == FRAMES && now.input.left > 4 ? *now.input.p : 0;
    if (mood == 0xf7) {
        next();
        errno = EPIPE;
        return -1;
    }
    size_t taken = mood == 0xef && size > 3 ? size / 2 : size;
    if (!now.preface_said)
        now.preface_said = true;
    else
        hear(data, taken);
    return (ssize_t)taken;
}

ssize_t __wrap_write(int fd, const void *data, size_t size)
{
    return fd < FIRST_FD ? __real_write(fd, data, size) : take(data, size);
}

ssize_t __wrap_send(int fd, const void *data, size_t size, int flags)
{
    (void)fd, (void)flags;
    return take(data, size);
}

ssize_t __wrap_sendmsg(int fd, const struct msghdr *m, int flags)
{
    ssize_t all = 0;
    must(fd >= FIRST_FD && flags & MSG_NOSIGNAL);
    for (size_t i = 0; i < m->msg_iovlen; i++) {
        ssize_t n = take(m->msg_iov[i].iov_base, m->msg_iov[i].iov_len);
        if (n < 0)
            return all ? all : -1;
        all += n;
        if ((size_t)n < m->msg_iov[i].iov_len)
            break;
    }
    return all;
}

ssize_t __wrap_recv(int fd, void *data, size_t size, int flags)
{
    (void)fd, (void)flags;
    while (now.begin == now.end) {
        now.begin = now.end = 0;
        if (!now.input.left || now.dead)
            return 0;
        if (now.stage == PREFACE)
            say_preface(), now.stage = SESSION;
        else if (now.stage == SESSION)
            say_session(), now.stage = FRAMES;
        else if (!step())
            return 0;
    }
    size_t n = HIRA_MIN(size, now.end - now.begin);
    memcpy(data, now.incoming + now.begin, n);
    now.begin += n;
    return (ssize_t)n;
}

/* ---- the link's owner ---- */

static int on_frame(void *context, const struct relay_frame *f, const void *payload)
{
    must(f->number == atomic_load(&session.link.received) + 1);
    return relay_session_frame(context, f, payload);
}

static bool connect_again(void *context, struct relay_pipe *pipe)
{
    char error[RELAY_ERROR_MAX];
    struct relay_preface theirs;
    (void)context;
    while (now.input.left && next() != 255) {
        if (!now.host && relay_pipe_connect(pipe, &target, &keys, session.link.session, error, sizeof error) == 0)
            return true;
        if (!now.host)
            continue;
        begin_connection();
        int fd = FIRST_FD + (int)now.connections;
        if (relay_pipe_greet(fd, &theirs, error, sizeof error) < 0)
            relay_pipe_refuse(fd, EPROTO, error);
        else if (relay_pipe_accept(pipe, fd, &keys, error, sizeof error) == 0)
            return true;
    }
    return false;
}

__attribute__((noreturn)) static void on_over(void *context, const char *why)
{
    (void)context, (void)why;
    longjmp(now.over, 1);
}

static const struct relay_owner owner = {on_frame, relay_session_place, relay_session_arrived, connect_again, on_over};

/* ---- a run ---- */

static void prepare(void)
{
    event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    must(event >= 0 && hira_arena_init(&arena, ARENA) == 0);
    int fd = hira_fd_shared_memory("arena", ARENA);
    must(fd >= 0 && hira_arena_map(&arena, fd, ARENA) == 0);
    close(fd);
    for (unsigned i = 0; i < LANES; i++) {
        fd = hira_fd_shared_memory("lane", HIRA_LANE_SIZE);
        must(fd >= 0 && hira_lane_map(&maps[i], fd) == 0);
        close(fd);
    }
}

static void reset(void)
{
    memset(&session, 0, offsetof(struct relay_session, control));
    session.memory.link = &session.link;
    session.memory.arena = arena;
    session.event = event;
    session.ending = false;
    pthread_mutex_init(&session.memory.lock, NULL);
    pthread_mutex_init(&session.memory.settling, NULL);
    for (unsigned i = 0; i < LANES; i++) {
        memset(maps[i].control, 0, HIRA_CONTROL_SIZE);
        memset(maps[i].ring, 0, 4096 + 64);
        memset(maps[i].reply, 0, 4096);
        guest[i] = (struct hira_caller){.map = maps[i]};
        sources[i] = (struct relay_source){.callee.map = maps[i]};
        sinks[i] = (struct relay_sink){.caller.map = maps[i]};
    }
}

static void add_lanes(void)
{
    for (unsigned i = 0; i < LANES; i++) {
        uint16_t index = i == LANES - 1 ? RELAY_REVERSE : (uint16_t)i;
        unsigned slot = i == LANES - 1 ? HIRA_LANES_MAX : i;
        if (is_source(i)) {
            session.sources[slot] = &sources[i];
            must(relay_source_start(&sources[i], &session.memory, index, now.host) == 0);
        } else {
            session.sinks[slot] = &sinks[i];
            must(relay_sink_start(&sinks[i], &session.memory, index, now.host) == 0);
        }
    }
}

static void run(void)
{
    static const uint8_t name[RELAY_SESSION_SIZE] = "a session";
    struct relay_pipe pipe = {.fd = -1};
    char error[RELAY_ERROR_MAX];
    if (!connect_again(NULL, &pipe) ||
        relay_link_start(&session.link, &pipe, now.host ? name : NULL, &owner, &session, error, sizeof error) < 0)
        return;
    add_lanes();
    now.threads[0].run(now.threads[0].context);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!arena.base)
        prepare();
    memset(&now, 0, offsetof(__typeof__(now), blocks));
    now.stage = PREFACE;
    now.n_large = now.n_blocks = now.n_threads = now.connections = 0;
    now.number = now.acknowledged = now.highest = 0;
    now.expected = now.expected_last = 1;
    memset(now.hashes, 0, sizeof now.hashes);
    now.input = (struct fuzz_input){data, size};
    now.host = next() & 1;
    reset();
    now.running = true;
    if (setjmp(now.over) == 0)
        run();
    now.running = false;
    while (now.n_blocks)
        __real_free(now.blocks[--now.n_blocks]);
    return 0;
}
