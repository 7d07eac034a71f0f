/*
 * A hostile guest that races: while it sends records to the generated null server, other threads of its rewrite what the server is
 * reading, records, lengths, stamps, positions, sleep words, the arena.
 *
 * Each round is a server in a process of its own, over a socket, that either goes on or drops its guest (status 0 or 1). Anything
 * else, above all a sanitizer's report, is a failure.
 *
 *     racing [SECONDS]     default 5 on the clock; with HIRA_SOAK until the thread that rewrites has had 60 s of a processor
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "server/fuzz.h"
#include "server/internal.h"
#include "tests/tap.h"

#define LANES 3u
#define FOUND 99

const char *__asan_default_options(void);
const char *__ubsan_default_options(void);

/* The server's own status for a dropped guest is 1: that of a report is another. */
const char *__asan_default_options(void)
{
    return "exitcode=99:detect_leaks=0:allocator_may_return_null=1";
}

const char *__ubsan_default_options(void)
{
    return "halt_on_error=1:exitcode=99:print_stacktrace=1";
}

/* ---- the server ---- */

static _Noreturn void run_server(int sock)
{
    struct hira_transport transport;
    struct hira_hello *hello = malloc(HIRA_MESSAGE_MAX);
    if (!hello || hira_transport_unix(&transport, sock))
        _exit(FOUND);
    transport.in_process = true; /* reports go to the test's own standard error */
    hira_fuzz_install();
    ssize_t n = transport.ops->receive(&transport, hello, HIRA_MESSAGE_MAX, NULL, NULL);
    _exit(n <= 0 ? 0 : hira_serve_guest(&transport, hello, (size_t)n));
}

/* ---- the guest ---- */

static struct {
    int sock;
    struct hira_caller lanes[LANES];
    struct hira_callee reverse; /* callbacks: taken and answered by nobody but the scribbler */
    struct hira_arena arena;
    _Atomic bool over;
    bool gentle; /* what makes a server drop its guest at once is left alone, so that more is reached */
    unsigned long long seed;
} guest;

static _Atomic unsigned long records, rewritten_ms;

static bool guest_alive(void *unused)
{
    struct pollfd p = {guest.sock, 0, 0};
    (void)unused;
    return !atomic_load(&guest.over) && !(poll(&p, 1, 0) > 0 && p.revents & (POLLHUP | POLLERR));
}

/* All functions of the server's, in its own order: the indices of fuzzed inputs. */
static bool say_hello(void)
{
    struct hira_text text = {0};
    struct hira_hello hello = {.n_functions = hira_server_api.n_functions};
    snprintf(hello.api, sizeof hello.api, "%s", hira_server_api.name);
    hira_text_append(&text, &hello, sizeof hello);
    for (uint32_t i = 0; i < hira_server_api.n_functions; i++) {
        const struct hira_server_function *f = &hira_server_api.functions[i];
        uint8_t length = (uint8_t)strlen(f->name);
        hira_text_append(&text, &f->signature, 4);
        hira_text_append(&text, &length, 1);
        hira_text_append(&text, f->name, length);
    }
    hello.functions_size = (uint32_t)(text.size - sizeof hello);
    hello.head = hira_message_head(HIRA_MSG_HELLO, text.size);
    memcpy(text.data, &hello, sizeof hello);
    bool ok = hira_fd_send(guest.sock, text.data, text.size, NULL, 0) == 0;
    hira_text_fini(&text);
    char answer[4096];
    return ok && hira_fd_receive(guest.sock, answer, sizeof answer, NULL, NULL, 0) > 0;
}

static int ask(const void *request, size_t size, void *answer)
{
    int fd = -1;
    size_t n = 1;
    if (hira_fd_send(guest.sock, request, size, NULL, 0) || hira_fd_receive(guest.sock, answer, 512, &fd, &n, 0) <= 0 || n != 1)
        return -1;
    return fd;
}

static bool set_up(void)
{
    char answer[512];
    struct hira_segment_message grow = {.head = hira_message_head(HIRA_MSG_GROW, sizeof grow), .size = HIRA_ARENA_SEGMENT};
    struct hira_lane_message lane = {.head = hira_message_head(HIRA_MSG_OPEN_LANE, sizeof lane)};
    if (!say_hello())
        return false;
    HIRA_AUTOCLOSE int segment = ask(&grow, sizeof grow, answer);
    if (segment < 0 || hira_arena_init(&guest.arena, HIRA_ARENA_MAX) ||
        hira_arena_map(&guest.arena, segment, ((struct hira_segment_message *)answer)->size))
        return false;
    for (unsigned i = 0; i < LANES; i++) {
        HIRA_AUTOCLOSE int fd = ask(&lane, sizeof lane, answer);
        guest.lanes[i] = (struct hira_caller){.alive = guest_alive};
        if (fd < 0 || hira_lane_map(&guest.lanes[i].map, fd))
            return false;
    }
    lane.callbacks = 1;
    HIRA_AUTOCLOSE int callbacks = ask(&lane, sizeof lane, answer);
    return callbacks >= 0 && hira_lane_map(&guest.reverse.map, callbacks) == 0;
}

/* Records that a server accepts, made beforehand: else most servers would end with their first. */
#define POOL 4096u
#define POOL_BYTES 512u

static struct pool {
    uint16_t sizes[POOL];
    uint8_t inputs[POOL][POOL_BYTES];
} *pool;

/* In a process of its own, for it makes a server of whoever does it. */
static bool fill_pool(void)
{
    int status;
    pool = mmap(NULL, sizeof *pool, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t pid = pool == MAP_FAILED ? -1 : fork();
    if (pid == 0) {
        unsigned long long seed = 1;
        for (unsigned n = 0; n < POOL;) {
            size_t size = hira_fuzz_mutate(pool->inputs[n], 0, POOL_BYTES, tap_random(&seed), NULL);
            if (size >= HIRA_FUZZ_HEAD && hira_fuzz_accepts(pool->inputs[n], size))
                pool->sizes[n++] = (uint16_t)size;
        }
        _exit(0);
    }
    return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

static size_t take_input(uint8_t *input, size_t room, unsigned long long *seed)
{
    unsigned which = tap_random(seed) % POOL;
    if (guest.gentle && tap_random(seed) % 256) {
        memcpy(input, pool->inputs[which], pool->sizes[which]);
        return pool->sizes[which];
    }
    size_t size = hira_fuzz_mutate(input, 0, room, tap_random(seed), NULL);
    for (unsigned n = tap_random(seed) % 3; n; n--)
        size = hira_fuzz_mutate(input, size, room, tap_random(seed), NULL);
    return size;
}

/* Sends one fuzzed record after the other; replies are read by nobody. */
static void *send_records(void *which)
{
    struct hira_caller *c = &guest.lanes[(uintptr_t)which];
    unsigned long long seed = guest.seed + (uintptr_t)which;
    static _Thread_local uint8_t input[4096];
    while (guest_alive(NULL)) {
        size_t size = take_input(input, sizeof input, &seed);
        struct hira_record *r = size < HIRA_FUZZ_HEAD ? NULL : hira_caller_reserve(c);
        if (!r)
            continue;
        /* The first record of the input only: one that goes on behind its arguments would be refused for that. */
        size_t bytes = HIRA_MIN(size - HIRA_FUZZ_HEAD, 8ul * (size_t)(input[4] | input[5] << 8));
        bytes = HIRA_MIN(bytes, 2048ul) & ~7ul;
        memcpy(r->words, input + HIRA_FUZZ_HEAD, bytes);
        r->function = hira_fuzz_function((uint16_t)(input[0] | input[1] << 8));
        r->flags = input[2] & 1;
        if (guest.gentle && tap_random(&seed) % 64)
            r->flags = 1;
        r->size = (uint32_t)(sizeof *r + bytes);
        hira_caller_publish(c, r);
        atomic_fetch_add(&records, 1);
    }
    return NULL;
}

static void *scribble(void *which)
{
    unsigned long long seed = guest.seed * 31 + (uintptr_t)which, answered = 0;
    while (!atomic_load(&guest.over)) {
        struct hira_caller *c = &guest.lanes[tap_random(&seed) % LANES];
        uint64_t r = tap_random(&seed), tail = atomic_load(&c->map.control->tail);
        struct hira_record *next = hira_caller_at(c, tail & ~63ull);
        uint64_t value = r % 3 ? r >> 40 : tap_random(&seed);
        unsigned word = r >> 16 & 15;
        if (guest.gentle && (r >> 8 & 7) < 4) { /* what is changed too often is never right; the seventh word is the next one's stamp */
            if (tap_random(&seed) % 2048)
                continue;
            word %= 6;
        }
        switch (r >> 8 & 7) {
        case 0: /* the record that is being read, or the one behind it */
        case 1:
            next->words[word] = value;
            break;
        case 2:
            next->words[word] ^= 1ull << (r >> 24 & 63);
            break;
        case 3:
            *(uint32_t *)&next->size = guest.gentle ? 16 + (r >> 16 & 48) : (uint32_t)value;
            break;
        case 4:
            if (!guest.gentle)
                atomic_store(&next->stamp, r >> 16 & 1 ? value : (c->sequence << 8 | (value & 0xff)));
            break;
        case 5:
            atomic_store((_Atomic uint32_t *)(r >> 16 & 1 ? &c->map.control->callee_sleeps : &c->map.control->caller_sleeps), (uint32_t)value & 3);
            atomic_store(&c->map.control->room_at, value);
            break;
        case 6:
            ((uint64_t *)guest.arena.base)[value % (HIRA_ARENA_SEGMENT / 8)] = tap_random(&seed);
            break;
        case 7: /* and what is answered to callbacks, most of which then go on */
            guest.reverse.map.reply->words[0] = value;
            guest.reverse.map.reply->size = (uint32_t)(r >> 16 & 31);
            answered = answered % 300 + 1;
            atomic_store(&guest.reverse.map.reply->stamp, answered);
            atomic_store(&guest.reverse.map.control->tail, r >> 24 & 15 ? answered * HIRA_LINE : value);
            c->map.reply->words[value % 1000] = value;
            c->map.reply->size = (uint32_t)value;
            break;
        }
    }
    struct timespec used;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
    atomic_fetch_add(&rewritten_ms, (unsigned long)used.tv_sec * 1000 + (unsigned long)used.tv_nsec / 1000000);
    return NULL;
}

static void attack(void)
{
    pthread_t threads[LANES + 1];
    for (uintptr_t i = 0; i < LANES; i++)
        pthread_create(&threads[i], NULL, send_records, (void *)i);
    pthread_create(&threads[LANES], NULL, scribble, NULL);
    uint64_t end = hira_now_ns() + 60000000;
    while (hira_now_ns() < end && guest_alive(NULL))
        usleep(1000);
    atomic_store(&guest.over, true);
    for (unsigned i = 0; i < LANES; i++) /* out of a wait for room */
        hira_futex_wake(&guest.lanes[i].map.control->caller_sleeps, 1);
    for (unsigned i = 0; i <= LANES; i++)
        pthread_join(threads[i], NULL);
}

static void clean_up(void)
{
    for (unsigned i = 0; i < LANES; i++)
        hira_lane_unmap(&guest.lanes[i].map);
    hira_lane_unmap(&guest.reverse.map);
    hira_arena_fini(&guest.arena);
    hira_fd_closep(&guest.sock);
    atomic_store(&guest.over, false);
}

/* One server, attacked until it drops the guest or time is up; its exit status, or -signal. */
static int play_round(unsigned round)
{
    int ends[2], status;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
        return -1;
    pid_t pid = fork();
    if (pid == 0) {
        close(ends[0]);
        run_server(ends[1]);
    }
    close(ends[1]);
    guest.sock = ends[0];
    guest.seed = round + 1;
    guest.gentle = round % 4 != 0;
    if (set_up())
        attack();
    clean_up();
    /* A hang-up ends a server at once, whatever its lanes do. */
    for (unsigned i = 0; waitpid(pid, &status, WNOHANG) == 0; i++) {
        if (i > 5000) {
            kill(pid, SIGKILL);
            waitpid(pid, &status, 0);
            return -1000;
        }
        usleep(1000);
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

/* The processor time of all servers that have ended. */
static uint64_t served_ms(void)
{
    struct rusage usage;
    getrusage(RUSAGE_CHILDREN, &usage);
    return (uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000 +
           (uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1000;
}

int main(int argc, char **argv)
{
    const char *soak = getenv("HIRA_SOAK");
    bool long_run = soak && *soak && argc < 2;
    uint64_t seconds = argc > 1 ? strtoull(argv[1], NULL, 10) : 5, end = hira_now_ns() + seconds * 1000000000u;
    unsigned rounds = 0, dropped = 0;
    signal(SIGPIPE, SIG_IGN);
    CHECK(fill_pool());
    while (long_run ? atomic_load(&rewritten_ms) < 60000 : hira_now_ns() < end) {
        int status = play_round(rounds++);
        dropped += status == 1;
        if (!CHECK(status == 0 || status == 1)) {
            printf("# round %u: status %d\n", rounds - 1, status);
            break;
        }
    }
    printf("# %u servers, %u dropped their guest, %lu records; %lu ms of rewriting, %llu ms of serving\n", rounds, dropped,
           atomic_load(&records), atomic_load(&rewritten_ms), (unsigned long long)served_ms());
    CHECK(rounds > 3);
    CHECK(atomic_load(&records) > rounds);
    tap_case("a guest that rewrites what the server reads hurts nobody");
    return tap_done();
}
