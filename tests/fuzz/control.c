/*
 * Fuzzes what a serving server hears on its socket: a HELLO, then one control message after the other. All of hira_serve_guest() runs,
 * over the generated null server, in this process; where a real one would exit it jumps back here.
 *
 * An input is messages, each {uint16 length, bytes}. Lanes have threads, which stay: the third and later ones cannot be had.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <setjmp.h>
#include <unistd.h>

#include "base/fd.h"
#include "server/internal.h"
#include "target.h"

#define LANES 2u

_Noreturn void __real__exit(int status);
_Noreturn void __wrap__exit(int status);
int __wrap_hira_zygote_log_fd(void);

static struct {
    struct fuzz_input input;
    unsigned lanes;
    bool serving, asked;
    jmp_buf end;
} now;

_Noreturn void __wrap__exit(int status)
{
    if (!now.serving)
        __real__exit(status);
    now.serving = false;
    longjmp(now.end, 1);
}

int __wrap_hira_zygote_log_fd(void)
{
    return -1; /* why guests are dropped is not to be read a thousand times a second */
}

/* ---- the transport ---- */

/* Each request has one answer, well-formed, with a descriptor where one belongs. */
static int fuzz_send(struct hira_transport *t, const void *data, size_t size, const int *fds, size_t n_fds)
{
    const struct hira_segment_message *segment = data;
    const struct hira_refused *refused = data;
    (void)t;
    must(now.asked);
    now.asked = false;
    if (hira_message_check(data, size, HIRA_MSG_REFUSED, sizeof *refused) == 0)
        must(size == sizeof *refused && memchr(refused->text, 0, sizeof refused->text) && refused->error > 0 && !n_fds);
    else if (hira_message_check(data, size, HIRA_MSG_WELCOME, sizeof(struct hira_welcome)) == 0)
        must(!n_fds && size <= sizeof(struct hira_welcome) + HIRA_FUNCTIONS_MAX / 8);
    else if (hira_message_check(data, size, HIRA_MSG_LANE, sizeof(struct hira_lane_message)) == 0)
        must(n_fds == 1 && hira_fd_check_sealed(fds[0], HIRA_LANE_SIZE) == 0);
    else if (hira_message_check(data, size, HIRA_MSG_SEGMENT, sizeof *segment) == 0)
        must(n_fds == 1 && hira_fd_check_sealed(fds[0], segment->size) == 0 && segment->size <= HIRA_ARENA_MAX - segment->base);
    else
        abort();
    return 0;
}

static ssize_t fuzz_receive(struct hira_transport *t, void *data, size_t size, int *fds, size_t *n_fds)
{
    uint8_t message[4096];
    size_t n = fuzz_take(&now.input, message, sizeof message);
    (void)t;
    (void)fds;
    must(!n_fds);
    now.asked = true;
    if (n > size)
        return -EMSGSIZE;
    memcpy(data, message, n);
    return (ssize_t)n;
}

static int fuzz_make_memory(struct hira_transport *t, const char *name, size_t size)
{
    (void)t;
    if (!strcmp(name, "hira-lane") && now.lanes++ >= LANES)
        return -EMFILE;
    return hira_fd_shared_memory(name, size);
}

/* ---- one input ---- */

static void dummy(void)
{
}

static void start(void)
{
    for (uint32_t i = 0; i < hira_server_api.n_functions; i++)
        if (hira_server_api.functions[i].vendor && i % 5)
            *(void **)hira_server_api.functions[i].vendor = (void *)dummy;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct hira_transport_ops ops;
    static uint8_t first[4096];
    struct hira_transport transport = {.ops = &ops, .fd = -1, .alone = true, .in_process = true};
    if (!ops.send) {
        start();
        ops = fuzz_transport(fuzz_send, fuzz_receive);
        ops.make_memory = fuzz_make_memory;
    }
    now.input = (struct fuzz_input){data, size};
    volatile size_t n = fuzz_take(&now.input, first, sizeof first);
    uint8_t *volatile hello = malloc(n ? n : 1); /* exact, so that one byte too far is seen */
    if (!hello)
        return 0;
    memcpy(hello, first, n);
    now.serving = now.asked = true;
    if (!setjmp(now.end)) {
        hira_serve_guest(&transport, (struct hira_hello *)hello, n);
        now.serving = false;
    }
    free(HIRA_STEAL(hira_server.map));
    hira_server.n_map = 0;
    hira_arena_fini(&hira_server.arena);
    hira_server.arena = (struct hira_arena){0};
    free(hello);
    return 0;
}

/* ---- making inputs ---- */

static size_t put_hello(uint8_t *to, size_t room)
{
    static const char environment[] = "NULL_A=1";
    uint8_t message[1024];
    struct hira_hello h = {.pid = 1};
    size_t n = sizeof h;
    strcpy(h.api, fuzz_pick(16) ? hira_server_api.name : "other");
    for (uint64_t k = fuzz_pick(12); k && n < 800; k--) {
        const struct hira_server_function *f = &hira_server_api.functions[fuzz_pick(hira_server_api.n_functions)];
        uint32_t signature = f->signature ^ !fuzz_pick(8);
        uint8_t length = (uint8_t)strlen(f->name);
        memcpy(message + n, &signature, 4);
        message[n + 4] = length;
        memcpy(message + n + 5, f->name, length);
        n += 5u + length;
        h.n_functions++;
    }
    h.functions_size = (uint32_t)(n - sizeof h);
    h.environment_size = fuzz_pick(2) ? sizeof environment : 0;
    memcpy(message + n, environment, h.environment_size);
    n += h.environment_size;
    h.head = hira_message_head(HIRA_MSG_HELLO, n);
    memcpy(message, &h, sizeof h);
    return fuzz_put(to, room, message, n);
}

static size_t put_request(uint8_t *to, size_t room)
{
    static const uint64_t sizes[] = {0, 1, 4096, 4 << 20, 1ull << 30, 1ull << 32, 1ull << 40, 1ull << 63, UINT64_MAX};
    struct hira_lane_message lane = {.callbacks = (uint32_t)fuzz_pick(2)};
    struct hira_segment_message grow = {.size = sizes[fuzz_pick(HIRA_ARRAY_SIZE(sizes))] + fuzz_pick(3) - 1};
    bool grows = fuzz_pick(2);
    struct hira_message head = hira_message_head(grows ? HIRA_MSG_GROW : HIRA_MSG_OPEN_LANE, grows ? sizeof grow : sizeof lane);
    switch (fuzz_pick(32)) {
    case 0: head.type = (uint16_t)fuzz_pick(20); break;
    case 1: head.size = (uint32_t)fuzz_pick(64); break;
    case 2: head.version = (uint16_t)fuzz_pick(4); break;
    case 3: head.magic ^= 1u << fuzz_pick(32); break;
    default: break;
    }
    grow.head = lane.head = head;
    return grows ? fuzz_put(to, room, &grow, sizeof grow) : fuzz_put(to, room, &lane, sizeof lane);
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed)
{
    fuzz_seed = seed;
    if (size && LLVMFuzzerMutate && !fuzz_pick(4))
        return LLVMFuzzerMutate(data, size, max);
    if (!size || !fuzz_pick(6)) { /* another HELLO before the same requests */
        uint8_t hello[1024];
        size_t n = put_hello(hello, sizeof hello), old = size < 2 ? size : HIRA_MIN(size, 2u + (size_t)(data[0] | data[1] << 8));
        if (n + size - old > max)
            return size;
        memmove(data + n, data + old, size - old);
        memcpy(data, hello, n);
        return n + size - old;
    }
    return size + put_request(data + size, max - size);
}
