/*
 * Fuzzes what hirad hears: from guests (HELLO, STATUS, KILL, and out of turn), from zygotes (SANDBOX, FORKED, EXITED, REFUSED, with and
 * without descriptors), from zygotes of a hirad before it (REJOIN, CHILD), from servers (READY, REFUSED, and out of turn), and in accounts. All
 * of the router runs but its main(): processes are not started, their sockets are this target's, and so are their pidfds and what
 * /proc says of them: a process of a number that leaves 1 when divided by 4 is a child of this one.
 *
 * An input is steps {uint8 what, uint8 which, uint16 length, bytes}. When it is over everything is let go of; then no guest and no
 * descriptor may be left.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd.h"
#include "router/router.h"

#define PEERS 8u

/* New ones at the end, so that inputs stay what they are. */
enum { GUEST, GUEST_AGAIN, GUEST_GONE, ZYGOTE, SERVER, SERVER_HANGS_UP, SERVER_LOG, ZYGOTE_ENDS, FORMER, ACCOUNT, TIME, STEPS };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max) __attribute__((weak));
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed);
int __wrap_uv_spawn(uv_loop_t *loop, uv_process_t *process, const uv_process_options_t *options);
int __wrap_uv_process_kill(uv_process_t *process, int number);
void __real_uv_close(uv_handle_t *handle, uv_close_cb done);
void __wrap_uv_close(uv_handle_t *handle, uv_close_cb done);
int __wrap_hira_path_server(const char *dir, const char *api, char *path, size_t size);
int __real_hira_text_read_file(struct hira_text *text, const char *path, size_t limit);
int __wrap_hira_text_read_file(struct hira_text *text, const char *path, size_t limit);
int __real_uv_timer_start(uv_timer_t *timer, uv_timer_cb expired, uint64_t timeout, uint64_t repeat);
int __wrap_uv_timer_start(uv_timer_t *timer, uv_timer_cb expired, uint64_t timeout, uint64_t repeat);
long __wrap_syscall(long number, long a, long b);

static struct router router;
static int guests[PEERS], servers[PEERS], logs[PEERS], accounts[PEERS], zygote = -1;
static unsigned n_guests, n_servers, named;
static unsigned hurry;   /* so many things that are to happen later happen at the loop's next turn */
static uint64_t skipped; /* ms */
static uv_process_t *process;
static uv_exit_cb process_ended;

static void must_at(bool ok, int line)
{
    if (ok)
        return;
    fprintf(stderr, "router.c:%d does not hold\n", line);
    abort();
}
#define must(ok) must_at(ok, __LINE__)

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

/* /proc: a program's name, which may be anything, or who is a process's parent. */
int __wrap_hira_text_read_file(struct hira_text *text, const char *path, size_t limit)
{
    if (strncmp(path, "/proc/", strlen("/proc/")) != 0) /* inputs */
        return __real_hira_text_read_file(text, path, limit);
    const char *what = strrchr(path, '/') + 1;
    int pid = atoi(path + strlen("/proc/"));
    if (!strcmp(what, "comm"))
        hira_text_puts(text, ((const char *const[]){"fuzz\n", "\n", "\xff\xc3(\"\n", "the longest that the kernel has, and more\n"})[named % 4]);
    else if (pid == getpid())
        hira_text_printf(text, "%d (fuzz) R %d", pid, 1 << 29);
    else if (pid % 4 == 1)
        hira_text_printf(text, "%d (a) b) S %d 0", pid, getpid());
    else if (pid % 4 == 2)
        hira_text_puts(text, pid & 4 ? "no name" : "1 (x)");
    else
        return -ENOENT;
    return 0;
}

/* No process is forked for folders that are not there. */
void __wrap_router_sweep(const struct router *r);
void __wrap_router_sweep(const struct router *r)
{
    (void)r;
}

/* A process is an event: killed, it ends. */
long __wrap_syscall(long number, long a, long b)
{
    if (number == SYS_pidfd_open)
        return a % 8 < 4 ? eventfd(0, EFD_CLOEXEC) : -1;
    if (number == SYS_futex) /* nobody sleeps at a page of limits */
        return 0;
    must(number == SYS_pidfd_send_signal && b == SIGKILL);
    return eventfd_write((int)a, 1);
}

int __wrap_uv_timer_start(uv_timer_t *timer, uv_timer_cb expired, uint64_t timeout, uint64_t repeat)
{
    return __real_uv_timer_start(timer, expired, hurry && hurry-- ? 0 : timeout, repeat);
}

/* main.c's. */
uint64_t router_now_ms(const struct router *r)
{
    return uv_now(&r->loop) + skipped;
}

static void nothing(struct router *r)
{
    (void)r;
}

/* ---- peers ---- */

/* Whoever asks here is told of everybody. */
static void check_status(const char *text)
{
    json_t *root = json_loads(text, 0, NULL);
    must(root && json_array_size(json_object_get(root, "guests")) == router.n_serving);
    must(hira_list_empty(&router.apis) == !json_array_size(json_object_get(root, "apis")));
    json_decref(root);
}

/* One message of hirad's. */
static void check_message(const char *bytes, size_t n, size_t n_fds)
{
    const struct hira_refused *refused = (const void *)bytes;
    const struct hira_fork *fork = (const void *)bytes;
    const struct hira_serving *serving = (const void *)bytes;
    const struct hira_adopt *adopt = (const void *)bytes;
    bool traces = hira_message_check(bytes, n, HIRA_MSG_TRACE, sizeof(struct hira_message)) == 0;
    bool handed = traces || hira_message_check(bytes, n, HIRA_MSG_ADOPT, sizeof *adopt) == 0;
    bool told = hira_message_check(bytes, n, HIRA_MSG_CONTROL_TEXT, sizeof(struct hira_message) + 2) == 0; /* a trace's other end */
    must(n_fds == handed || (told && n_fds == 1));
    if (traces)
        return;
    if (handed)
        must(hira_hello_check(adopt + 1, n - sizeof *adopt) == 0);
    else if (hira_message_check(bytes, n, HIRA_MSG_REFUSED, sizeof *refused) == 0)
        must(memchr(refused->text, 0, sizeof refused->text) != NULL);
    else if (told || hira_message_check(bytes, n, HIRA_MSG_STATUS_TEXT, sizeof(struct hira_message) + 2) == 0)
        must(!bytes[n - 1]);
    else if (hira_message_check(bytes, n, HIRA_MSG_FORK, sizeof *fork) == 0)
        must(hira_tenant_valid(fork->tenant));
    else if (hira_message_check(bytes, n, HIRA_MSG_SERVING, sizeof *serving) == 0)
        must(memchr(serving->name, 0, sizeof serving->name) != NULL);
    else
        must(hira_message_check(bytes, n, HIRA_MSG_END, sizeof(struct hira_forked)) == 0 ||
             hira_message_check(bytes, n, HIRA_MSG_KILLED, sizeof(struct hira_kill)) == 0 ||
             hira_message_check(bytes, n, HIRA_MSG_TURN, sizeof(struct hira_turn)) == 0 ||
             hira_message_check(bytes, n, HIRA_MSG_END_TURN, sizeof(struct hira_turn)) == 0);
}

/* Reads what hirad has to say: a descriptor comes only where a guest is handed on. */
static void listen_to(int fd)
{
    static _Alignas(8) char bytes[HIRA_MESSAGE_MAX + 1024];
    for (;;) {
        HIRA_AUTOCLOSE int handed = -1;
        size_t n_fds = 1;
        ssize_t n = fd < 0 ? 0 : hira_fd_receive(fd, bytes, sizeof bytes, &handed, &n_fds, MSG_DONTWAIT);
        if (n <= 0)
            return;
        check_message(bytes, (size_t)n, n_fds);
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

static void guest_connects(unsigned which, const void *bytes, size_t size)
{
    int ends[2];
    if (n_guests == PEERS || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
        return;
    guests[n_guests++] = ends[0];
    named = which;
    if (size)
        send(ends[0], bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL);
    fcntl(ends[1], F_SETFL, O_NONBLOCK);
    router_guest_accept(&router, ends[1], NULL);
}

/* What comes with names of functions: behind the message stands what is in the file. -1: it is no such message. */
static int file_of_names(const void *bytes, size_t size)
{
    struct hira_functions_message m;
    if (hira_message_check(bytes, size, HIRA_MSG_FUNCTIONS, sizeof m) < 0)
        return -1;
    memcpy(&m, bytes, sizeof m);
    int fd = hira_fd_shared_memory("functions", HIRA_MIN(m.size, 4096u));
    if (fd >= 0 && pwrite(fd, (const char *)bytes + sizeof m, HIRA_MIN(size - sizeof m, 4096u), 0) < 0)
        exit(70);
    return fd;
}

/* A zygote says something, with what comes with a child: its socket, its standard error, its account, what should be its pidfd. */
static void zygote_says(int sock, const void *bytes, size_t size, unsigned n_fds)
{
    int sockets[2], pipes[2], fds[4] = {-1, -1, -1, -1};
    if (sock < 0)
        return;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) < 0)
        return;
    if (pipe2(pipes, O_CLOEXEC | O_NONBLOCK) < 0)
        exit(70);
    fds[0] = sockets[0];
    fds[1] = pipes[0];
    fds[2] = size % 16 ? hira_fd_shared_memory("account", HIRA_ACCOUNT_SIZE) : eventfd(0, EFD_CLOEXEC);
    fds[3] = eventfd(0, EFD_CLOEXEC);
    int names = file_of_names(bytes, size);
    if (names >= 0) {
        close(fds[0]);
        fds[0] = names;
        n_fds = 1;
    }
    hira_fd_send(sock, bytes, size, fds, n_fds);
    if (n_fds >= 2 && n_servers < PEERS) {
        servers[n_servers] = sockets[1];
        logs[n_servers] = pipes[1];
        accounts[n_servers++] = fcntl(fds[2], F_DUPFD_CLOEXEC, 3);
    } else {
        close(sockets[1]);
        close(pipes[1]);
    }
    for (unsigned i = 0; i < 4; i++)
        close(fds[i]);
}

/* How long calls take is looked at, too, from the first time on. */
static void time_passes(unsigned which)
{
    hurry = which & 7;
    skipped += 1000 * (which >> 3);
    if (!router.calls.data && router_calls_watch(&router) < 0)
        exit(70);
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
        guest_connects(which, bytes, size);
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
        zygote_says(zygote, bytes, size, which % 5);
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
    case FORMER:
        if (n_guests)
            zygote_says(guests[which % n_guests], bytes, size, which >> 3 & 3);
        break;
    case ACCOUNT:
        if (n_servers && pwrite(accounts[which % n_servers], bytes, size, which & 8 ? (which >> 4) * 64 : 0) < 0)
            hira_fd_closep(&logs[which % n_servers]);
        break;
    case TIME:
        time_passes(which);
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
    hira_list_init(&router.doors);
    router_turns_init(&router);
    router.listener.lock = router.line = -1;
    router.quieter = nothing;
    router.buffer = malloc(HIRA_MESSAGE_MAX);
    router.log = (struct hira_log){HIRA_LOG_DEBUG, hira_log_write_json, (void *)(intptr_t)open("/dev/null", O_WRONLY | O_CLOEXEC)};
    router.options = (struct router_options){.warm = 1, .max_guests = 4, .start_timeout_ms = ROUTER_START_TIMEOUT_MS,
                                             .hello_timeout_ms = ROUTER_HELLO_TIMEOUT_MS, .call_limit_ms = 2000,
                                             .work_dir = "/nowhere"};
    signal(SIGPIPE, SIG_IGN);
    if (!router.buffer || uv_loop_init(&router.loop))
        exit(70);
    uv_run(&router.loop, UV_RUN_NOWAIT);
}

/* A status text of all that there is now. */
static void look(void)
{
    HIRA_AUTOFREE char *text = router_status_text(&router, geteuid());
    must(text != NULL);
    check_status(text);
}

static void finish(void)
{
    struct hira_list *pos, *next;
    router.ending = true;
    router_calls_unwatch(&router);
    hira_list_for_each (pos, next, &router.half_open)
        router_guest_destroy(hira_list_entry(pos, struct router_guest, link));
    hira_list_for_each (pos, next, &router.apis)
        router_api_destroy(hira_list_entry(pos, struct router_api, link));
    router_tenants_destroy(&router);
    router_turns_fini(&router);
    for (int i = 0; i < 4 && uv_run(&router.loop, UV_RUN_NOWAIT); i++)
        ;
    router.calls.data = NULL;
    router.n_seen = skipped = named = hurry = 0;
    while (n_guests)
        hira_fd_closep(&guests[--n_guests]);
    while (n_servers) {
        hira_fd_closep(&servers[--n_servers]);
        hira_fd_closep(&logs[n_servers]);
        hira_fd_closep(&accounts[n_servers]);
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
    look();
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
    struct hira_sandbox_message sandbox;
    struct hira_serving serving;
    struct hira_rejoin rejoin;
    struct hira_kill kill;
    struct hira_functions_message functions;
    char bytes[sizeof(struct hira_sandbox_message) + 16];
};

/* A number of a process, mostly one that is a child of ours. */
static uint32_t some_pid(void)
{
    return pick(4) ? 1 + 4 * (uint32_t)pick(4) : (uint32_t)pick(16);
}

/* Names of functions, as they stand in the file. Its size. */
static size_t make_functions(union message *m)
{
    static const char names[] = "clOne\0clTwo\0vk_3\0a b\0\0\n\"x";
    size_t size = pick(4) ? 17 : 1 + pick(sizeof names);
    memcpy(m->bytes + sizeof m->functions, names, size);
    m->functions.size = (uint32_t)size;
    for (size_t i = 0; i < size; i++)
        m->functions.n += !m->bytes[sizeof m->functions + i];
    m->functions.n = pick(8) ? m->functions.n : (uint32_t)pick(2000);
    return sizeof m->functions + size;
}

/* What zygotes of a hirad before this one say; the first word of a connection is REJOIN. Its size. */
static size_t make_former(union message *m, enum hira_message_type *type, bool first)
{
    if (first) {
        *type = HIRA_MSG_REJOIN;
        strcpy(m->rejoin.api, pick(8) ? "null" : pick(2) ? "other" : "../x");
        return sizeof m->rejoin;
    }
    if (!pick(6)) {
        *type = HIRA_MSG_FUNCTIONS;
        return make_functions(m);
    }
    *type = pick(4) ? HIRA_MSG_CHILD : HIRA_MSG_EXITED;
    m->serving.pid = some_pid();
    if (*type == HIRA_MSG_EXITED) {
        m->forked.status = pick(2) ? 0 : (int32_t)pick(1 << 16);
        return sizeof m->forked;
    }
    m->serving.guest = (uint32_t)pick(4);
    m->serving.uid = (uint32_t)pick(4);
    m->serving.since = pick(2) ? pick(1 << 20) : UINT64_MAX - pick(2);
    memset(m->serving.name, pick(2) ? 'x' : 0xff, pick(sizeof m->serving.name + 1));
    return sizeof m->serving;
}

/* Words of an account, which has no head. Its size. */
static size_t make_account(union message *m)
{
    uint64_t words[8];
    for (size_t i = 0; i < HIRA_ARRAY_SIZE(words); i++)
        words[i] = pick(3) ? pick(8) : UINT64_MAX - pick(2);
    memcpy(m->bytes, words, sizeof words);
    return sizeof words;
}

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
    } else if (what == ACCOUNT) {
        return make_account(m);
    } else if (what == FORMER || (what == GUEST && pick(2))) {
        size = make_former(m, &type, what == GUEST);
    } else if (what == GUEST_AGAIN || what == GUEST) {
        type = pick(2) ? HIRA_MSG_STATUS : HIRA_MSG_KILL;
        size = type == HIRA_MSG_KILL ? sizeof m->kill : size;
        m->kill.pid = pick(2) ? 0 : (uint32_t)pick(4);
    } else if (what == ZYGOTE && !pick(8)) {
        type = HIRA_MSG_SANDBOX;
        size = sizeof m->sandbox;
        memset(m->sandbox.held, pick(2) ? 'x' : '\033', pick(sizeof m->sandbox.held + 1));
        memset(m->sandbox.missing, pick(2) ? 'y' : 0xff, pick(2) ? pick(sizeof m->sandbox.missing + 1) : 0);
    } else if (what == ZYGOTE && !pick(6)) {
        type = HIRA_MSG_FUNCTIONS;
        size = make_functions(m);
    } else if (what == ZYGOTE && pick(4)) {
        type = pick(3) ? HIRA_MSG_FORKED : HIRA_MSG_EXITED;
        size = sizeof m->forked;
        m->forked.pid = some_pid();
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
    static const uint8_t usual[] = {GUEST, ZYGOTE, SERVER, GUEST, ZYGOTE, SERVER, FORMER, GUEST_AGAIN, GUEST_GONE, SERVER_HANGS_UP, SERVER_LOG, ZYGOTE_ENDS,
                                    FORMER, ACCOUNT, TIME};
    uint8_t what = usual[pick(sizeof usual)], which = what == ZYGOTE ? (uint8_t)(pick(8) ? 3 + pick(2) : pick(256)) : (uint8_t)pick(256);
    if (what == FORMER && pick(8))
        which |= 0x18; /* with all that a child has */
    if (what == SERVER && pick(8))
        which &= 7;
    size_t n = what == GUEST_GONE || what == SERVER_HANGS_UP || what == ZYGOTE_ENDS || what == TIME ? 0 : make_message(&m, what);
    if (max - size < 4 + n)
        return size / 2;
    const uint8_t head[4] = {what, which, (uint8_t)n, (uint8_t)(n >> 8)};
    memcpy(data + size, head, 4);
    memcpy(data + size + 4, &m, n);
    return size + 4 + n;
}
