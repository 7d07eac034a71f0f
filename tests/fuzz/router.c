/*
 * Fuzzes what hirad hears: from guests (HELLO, STATUS, and out of turn), from zygotes (FORKED, EXITED, REFUSED, with and without
 * descriptors) and from servers (READY, REFUSED, and out of turn). All of the router runs but its main(): processes are not started, their
 * sockets are this target's.
 *
 * An input is steps {uint8 what, uint8 which, uint16 length, bytes}. When it is over everything is let go of; then no guest and no
 * descriptor may be left.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "router/router.h"

#define PEERS 8u

enum { GUEST, GUEST_AGAIN, GUEST_GONE, ZYGOTE, SERVER, SERVER_HANGS_UP, SERVER_LOG, ZYGOTE_ENDS, STEPS };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max) __attribute__((weak));
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed);
int __wrap_uv_spawn(uv_loop_t *loop, uv_process_t *process, const uv_process_options_t *options);
int __wrap_uv_process_kill(uv_process_t *process, int number);
void __real_uv_close(uv_handle_t *handle, uv_close_cb done);
void __wrap_uv_close(uv_handle_t *handle, uv_close_cb done);
int __wrap_hira_path_server(const char *dir, const char *api, char *path, size_t size);

static struct router router;
static int guests[PEERS], servers[PEERS], logs[PEERS], zygote = -1;
static unsigned n_guests, n_servers;
static uv_process_t *process;
static uv_exit_cb process_ended;

static void must(bool ok)
{
    if (!ok)
        abort();
}

/* ---- what is not there ---- */

int __wrap_uv_spawn(uv_loop_t *loop, uv_process_t *p, const uv_process_options_t *options)
{
    (void)loop;
    if (process)
        return -EAGAIN;
    process = p;
    process_ended = options->exit_cb;
    p->pid = 1 << 30; /* nobody's */
    hira_fd_closep(&zygote);
    zygote = fcntl(options->stdio[3].data.fd, F_DUPFD_CLOEXEC, 3);
    return 0;
}

int __wrap_uv_process_kill(uv_process_t *p, int number)
{
    (void)p, (void)number;
    return 0;
}

void __wrap_uv_close(uv_handle_t *handle, uv_close_cb done)
{
    if (handle != (uv_handle_t *)process) {
        __real_uv_close(handle, done);
        return;
    }
    process = NULL;
    done(handle);
}

int __wrap_hira_path_server(const char *dir, const char *api, char *path, size_t size)
{
    (void)dir;
    snprintf(path, size, "/nowhere/%s", api);
    return strcmp(api, "null") ? -ENOENT : 0;
}

/* main.c's. */
uint64_t router_now_ms(const struct router *r)
{
    return uv_now(&r->loop);
}

static void nothing(struct router *r)
{
    (void)r;
}

/* ---- peers ---- */

/* Reads what hirad has to say: each is a message, with a descriptor only where a guest is handed on. */
static void listen_to(int fd)
{
    static _Alignas(8) char bytes[HIRA_MESSAGE_MAX + 1024];
    for (;;) {
        HIRA_AUTOCLOSE int handed = -1;
        size_t n_fds = 1;
        ssize_t n = fd < 0 ? 0 : hira_fd_receive(fd, bytes, sizeof bytes, &handed, &n_fds, MSG_DONTWAIT);
        if (n <= 0)
            return;
        const struct hira_refused *refused = (const struct hira_refused *)bytes;
        if (hira_message_check(bytes, (size_t)n, HIRA_MSG_ADOPT, sizeof(struct hira_adopt)) == 0)
            must(n_fds == 1 && hira_hello_check(bytes + sizeof(struct hira_adopt), (size_t)n - sizeof(struct hira_adopt)) == 0);
        else if (hira_message_check(bytes, (size_t)n, HIRA_MSG_REFUSED, sizeof *refused) == 0)
            must(!n_fds && memchr(refused->text, 0, sizeof refused->text));
        else if (hira_message_check(bytes, (size_t)n, HIRA_MSG_STATUS_TEXT, sizeof(struct hira_message) + 2) == 0)
            must(!n_fds && !bytes[n - 1]);
        else
            must(!n_fds && hira_message_check(bytes, (size_t)n, HIRA_MSG_FORK, sizeof(struct hira_message)) == 0);
    }
}

static void turn(void)
{
    uv_run(&router.loop, UV_RUN_NOWAIT);
    for (unsigned i = 0; i < n_guests; i++)
        listen_to(guests[i]);
    for (unsigned i = 0; i < n_servers; i++)
        listen_to(servers[i]);
    listen_to(zygote);
}

static void guest_connects(const void *bytes, size_t size)
{
    int ends[2];
    if (n_guests == PEERS || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
        return;
    guests[n_guests++] = ends[0];
    if (size)
        send(ends[0], bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL);
    fcntl(ends[1], F_SETFL, O_NONBLOCK);
    router_guest_accept(&router, ends[1]);
}

/* The zygote says something, with what comes with a child: its socket, its standard error, what should be its pidfd. */
static void zygote_says(const void *bytes, size_t size, unsigned n_fds)
{
    int sockets[2], pipes[2], fds[4] = {-1, -1, -1, -1};
    if (zygote < 0)
        return;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) < 0)
        return;
    if (pipe2(pipes, O_CLOEXEC | O_NONBLOCK) < 0)
        exit(70);
    fds[0] = sockets[0];
    fds[1] = pipes[0];
    fds[2] = eventfd(0, EFD_CLOEXEC);
    fds[3] = eventfd(0, EFD_CLOEXEC);
    hira_fd_send(zygote, bytes, size, fds, n_fds);
    for (unsigned i = 0; i < 4; i++)
        close(fds[i]);
    if (n_fds >= 2 && n_servers < PEERS) {
        servers[n_servers] = sockets[1];
        logs[n_servers++] = pipes[1];
    } else {
        close(sockets[1]);
        close(pipes[1]);
    }
}

static void zygote_ends(unsigned how)
{
    uv_process_t *p = process;
    hira_fd_closep(&zygote);
    if (p)
        process_ended(p, how & 3, how & 4 ? SIGSEGV : 0);
}

static void step(unsigned what, unsigned which, const uint8_t *bytes, size_t size)
{
    switch (what % STEPS) {
    case GUEST:
        guest_connects(bytes, size);
        break;
    case GUEST_AGAIN:
        if (n_guests && guests[which % n_guests] >= 0)
            send(guests[which % n_guests], bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL);
        break;
    case GUEST_GONE:
        if (n_guests)
            hira_fd_closep(&guests[which % n_guests]);
        break;
    case ZYGOTE:
        zygote_says(bytes, size, which % 5);
        break;
    case SERVER:
        if (n_servers && servers[which % n_servers] >= 0)
            hira_fd_send(servers[which % n_servers], bytes, size, which & 8 ? (int[]){STDERR_FILENO} : NULL, which >> 3 & 1);
        break;
    case SERVER_HANGS_UP:
        if (n_servers)
            hira_fd_closep(&servers[which % n_servers]);
        break;
    case SERVER_LOG:
        if (n_servers && logs[which % n_servers] >= 0 && write(logs[which % n_servers], bytes, size) < 0)
            hira_fd_closep(&logs[which % n_servers]);
        break;
    case ZYGOTE_ENDS:
        zygote_ends(which);
        break;
    }
    turn();
}

/* ---- one input ---- */

static void start(void)
{
    hira_list_init(&router.apis);
    hira_list_init(&router.half_open);
    hira_list_init(&router.tenants);
    router.listener.lock = router.line = -1;
    router.quieter = nothing;
    router.buffer = malloc(HIRA_MESSAGE_MAX);
    router.log = (struct hira_log){HIRA_LOG_DEBUG, hira_log_write_json, (void *)(intptr_t)open("/dev/null", O_WRONLY | O_CLOEXEC)};
    router.options = (struct router_options){.warm = 1, .max_guests = 4, .start_timeout_ms = ROUTER_START_TIMEOUT_MS,
                                             .hello_timeout_ms = ROUTER_HELLO_TIMEOUT_MS, .work_dir = "/nowhere"};
    signal(SIGPIPE, SIG_IGN);
    if (!router.buffer || uv_loop_init(&router.loop))
        exit(70);
    uv_run(&router.loop, UV_RUN_NOWAIT);
}

static void finish(void)
{
    struct hira_list *pos, *next;
    router.ending = true;
    hira_list_for_each (pos, next, &router.half_open)
        router_guest_destroy(hira_list_entry(pos, struct router_guest, link));
    hira_list_for_each (pos, next, &router.apis)
        router_api_destroy(hira_list_entry(pos, struct router_api, link));
    for (int i = 0; i < 4 && uv_run(&router.loop, UV_RUN_NOWAIT); i++)
        ;
    while (n_guests)
        hira_fd_closep(&guests[--n_guests]);
    while (n_servers) {
        hira_fd_closep(&servers[--n_servers]);
        hira_fd_closep(&logs[n_servers]);
    }
    hira_fd_closep(&zygote);
    router.ending = false;
    must(!router.n_half_open && !router.n_waiting && !router.n_serving && !process);
}

static int lowest_descriptor(void)
{
    HIRA_AUTOCLOSE int fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0);
    return fd;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!router.buffer)
        start();
    int before = lowest_descriptor();
    for (unsigned n = 0; size >= 4 && n < 64; n++) {
        size_t length = HIRA_MIN((size_t)(data[2] | data[3] << 8), size - 4);
        uint8_t *exact = malloc(length ? length : 1);
        if (!exact)
            break;
        memcpy(exact, data + 4, length);
        step(data[0], data[1], exact, length);
        free(exact);
        data += 4 + length;
        size -= 4 + length;
    }
    finish();
    must(lowest_descriptor() == before);
    return 0;
}

/* ---- making inputs ---- */

static uint64_t state;

static uint64_t pick(uint64_t below)
{
    uint64_t x = state += 0x9e3779b97f4a7c15ull;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
    x = (x ^ x >> 27) * 0x94d049bb133111ebull;
    return (x ^ x >> 31) % below;
}

union message {
    struct hira_message head;
    struct hira_forked forked;
    struct hira_refused refused;
    struct hira_hello hello;
    char bytes[sizeof(struct hira_hello) + 16];
};

/* A message that belongs to this step, mostly. Its size. */
static size_t make_message(union message *m, unsigned what)
{
    enum hira_message_type type = HIRA_MSG_STATUS;
    size_t size = sizeof m->head;
    memset(m, 0, sizeof *m);
    if (what <= GUEST_AGAIN && pick(4)) {
        type = HIRA_MSG_HELLO;
        size = sizeof m->hello;
        strcpy(m->hello.api, pick(8) ? "null" : pick(2) ? "other" : "../x");
        if (pick(2)) {
            m->hello.environment_size = 4;
            memcpy(m->bytes + size, "A=b", 4);
            size += 4;
        }
    } else if (what == ZYGOTE && pick(4)) {
        type = pick(3) ? HIRA_MSG_FORKED : HIRA_MSG_EXITED;
        size = sizeof m->forked;
        m->forked.pid = 1 + (uint32_t)pick(4);
        m->forked.status = pick(2) ? 0 : (int32_t)pick(1 << 16);
    } else if (what == SERVER && pick(4)) {
        type = HIRA_MSG_READY;
        size = sizeof m->forked;
    } else if (what == ZYGOTE || what == SERVER) {
        type = HIRA_MSG_REFUSED;
        size = sizeof m->refused;
        memset(m->refused.text, pick(2) ? 'x' : '\033', pick(sizeof m->refused.text + 1));
    }
    m->head = hira_message_head(type, size);
    switch (pick(24)) {
    case 0: m->head.type = (uint16_t)pick(20); break;
    case 1: m->head.size += (uint32_t)pick(3) - 1; break;
    case 2: m->head.version++; break;
    case 3: m->head.magic ^= 1; break;
    case 4: size = pick(size); break;
    case 5: ((uint8_t *)m)[pick(size)] ^= (uint8_t)(1u << pick(8)); break;
    default: break;
    }
    return size;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed)
{
    union message m;
    state = seed;
    if (size && LLVMFuzzerMutate && !pick(4))
        return LLVMFuzzerMutate(data, size, max);
    static const uint8_t usual[] = {GUEST, ZYGOTE, SERVER, GUEST, ZYGOTE, SERVER, GUEST_AGAIN, GUEST_GONE, SERVER_HANGS_UP, SERVER_LOG, ZYGOTE_ENDS};
    uint8_t what = usual[pick(sizeof usual)], which = what == ZYGOTE ? (uint8_t)(pick(8) ? 2 + pick(2) : pick(256)) : (uint8_t)pick(256);
    if (what == SERVER && pick(8))
        which &= 7;
    size_t n = what == GUEST_GONE || what == SERVER_HANGS_UP || what == ZYGOTE_ENDS ? 0 : make_message(&m, what);
    if (max - size < 4 + n)
        return size / 2;
    const uint8_t head[4] = {what, which, (uint8_t)n, (uint8_t)(n >> 8)};
    memcpy(data + size, head, 4);
    memcpy(data + size + 4, &m, n);
    return size + 4 + n;
}
