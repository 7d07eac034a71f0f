/* A lane: records, replies, wrap-around, a full ring, sleeping, hostile memory. Copyright the Hira authors.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Both ends are in this process; where one thread can play both, one does. */
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/fd.h"
#include "channel/lane.h"
#include "tests/tap.h"

static struct hira_caller caller;
static struct hira_callee callee;
static _Atomic bool peer_alive = true;
static _Alignas(64) char copy_buffer[HIRA_RECORD_MAX];
static struct hira_record *copy = (struct hira_record *)copy_buffer;

static bool is_alive(void *context)
{
    (void)context;
    return atomic_load(&peer_alive);
}

/* Between two kernels: one side has the ring once and sleeps on a word of its own, the other sees it twice; both are woken by messages, which
 * are calls here. */
static enum { NEAR, CALLER_IN_MACHINE, CALLEE_IN_MACHINE } where;
static char *shared; /* the lane's memory between two pages that nobody may touch */

static void wake_callee(struct hira_lane_far *far)
{
    (void)far;
    hira_lane_woken(&callee.map, &callee.map.control->callee_sleeps);
}

static void wake_caller(struct hira_lane_far *far)
{
    (void)far;
    hira_lane_woken(&caller.map, &caller.map.control->caller_sleeps);
}

static void open_far_lane(void)
{
    static struct hira_lane_far callers, callees;
    HIRA_AUTOCLOSE int fd = hira_fd_shared_memory("lane", HIRA_LANE_SIZE);
    bool calls = where == CALLER_IN_MACHINE;
    char *around = mmap(NULL, HIRA_LANE_SIZE + 8192, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    shared = mmap(around + 4096, HIRA_LANE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0);
    callers = (struct hira_lane_far){.wake = wake_callee, .naps = calls};
    callees = (struct hira_lane_far){.wake = wake_caller, .naps = !calls};
    hira_lane_map_once(calls ? &caller.map : &callee.map, shared);
    CHECK(hira_lane_map_again(calls ? &callee.map : &caller.map, shared) == 0);
    CHECK(hira_caller_init(&caller) == 0 && !caller.scratch == !calls);
    caller.map.far = &callers;
    callee.map.far = &callees;
}

static void open_lane(uint64_t spin_ns)
{
    HIRA_AUTOCLOSE int fd = hira_fd_shared_memory("lane", HIRA_LANE_SIZE);
    caller = (struct hira_caller){.alive = is_alive};
    callee = (struct hira_callee){.alive = is_alive};
    atomic_store(&peer_alive, true);
    if (where == NEAR)
        CHECK(hira_lane_map(&caller.map, fd) == 0 && hira_lane_map(&callee.map, fd) == 0);
    else
        open_far_lane();
    hira_spin_init(&caller.spin, 0, spin_ns);
    hira_spin_init(&callee.spin, 0, spin_ns);
}

static void close_lane(void)
{
    hira_lane_unmap(&caller.map);
    hira_lane_unmap(&callee.map);
    hira_lane_unmap(&callee.map);
    free(HIRA_STEAL(caller.scratch));
    if (shared)
        munmap(HIRA_STEAL(shared) - 4096, HIRA_LANE_SIZE + 8192);
}

/* A record of `words` words whose contents tell its sequence. */
static void publish(uint32_t words)
{
    struct hira_record *r = hira_caller_reserve(&caller);
    if (!CHECK(r != NULL))
        return;
    r->function = (uint16_t)words;
    r->flags = 3;
    r->size = (uint32_t)(sizeof *r + words * 8);
    for (uint32_t i = 0; i < words; i++)
        r->words[i] = hira_caller_next_sequence(&caller) * 1000 + i;
    hira_caller_publish(&caller, r);
}

static bool same(uint32_t words)
{
    bool ok = copy->function == words && copy->flags == 3 && copy->size == sizeof *copy + words * 8;
    for (uint32_t i = 0; i < words; i++)
        ok &= copy->words[i] == callee.sequence * 1000 + i;
    return ok;
}

#define WORDS_MAX ((HIRA_RECORD_MAX - sizeof(struct hira_record)) / 8)

static void test_records(void)
{
    open_lane(0);
    CHECK(hira_callee_next(&callee, copy, false) == 0);
    publish(3);
    CHECK(hira_callee_next(&callee, copy, false) == (int)sizeof *copy + 24);
    CHECK(same(3));
    hira_callee_release(&callee);
    CHECK(hira_callee_next(&callee, copy, false) == 0);
    tap_case("a record arrives once");

    callee.map.reply->words[0] = 42;
    callee.map.reply->status = 7;
    hira_callee_reply(&callee, sizeof(struct hira_reply) + 8);
    CHECK(hira_caller_wait(&caller) == 0);
    CHECK(caller.map.reply->words[0] == 42 && caller.map.reply->status == 7 && caller.map.reply->size == sizeof(struct hira_reply) + 8);
    hira_callee_retire(&callee, callee.sequence);
    CHECK(atomic_load(&caller.map.control->retired) == 1);
    tap_case("its reply arrives");
    close_lane();
}

static void test_wrap(void)
{
    unsigned long long seed = 2;
    bool ok = true;
    open_lane(0);
    for (unsigned i = 0; i < 20000 && ok; i++) {
        unsigned n = 1 + tap_random(&seed) % 4;
        uint32_t words[4];
        for (unsigned k = 0; k < n; k++)
            publish(words[k] = (uint32_t)(tap_random(&seed) % (i % 7 ? 20 : WORDS_MAX + 1)));
        for (unsigned k = 0; k < n && ok; k++) {
            ok &= hira_callee_next(&callee, copy, false) > 0 && same(words[k]);
            hira_callee_release(&callee);
        }
        ok &= hira_callee_next(&callee, copy, false) == 0;
    }
    CHECK(ok);
    CHECK(caller.head > 100ull * HIRA_RING_SIZE);
    CHECK(caller.head == callee.head);
    tap_case("records of all sizes go round the ring intact");
    close_lane();
}

struct stream {
    unsigned count, slow_every;
    bool ok;
};

static void *consume(void *context)
{
    struct stream *s = context;
    for (unsigned i = 0; i < s->count; i++) {
        int n = hira_callee_next(&callee, copy, true);
        if (n <= 0 || !same(copy->function)) {
            s->ok = false;
            return NULL;
        }
        hira_callee_release(&callee);
        hira_callee_retire(&callee, callee.sequence);
        if (s->slow_every && i % s->slow_every == 0)
            usleep(300);
    }
    return NULL;
}

static void *answer(void *context)
{
    struct stream *s = context;
    for (unsigned i = 0; i < s->count; i++) {
        int n = hira_callee_next(&callee, copy, true);
        if (n <= 0 || !same(copy->function)) {
            s->ok = false;
            return NULL;
        }
        hira_callee_release(&callee);
        callee.map.reply->words[0] = callee.sequence;
        if (s->slow_every && i % s->slow_every == 0)
            usleep(300);
        hira_callee_reply(&callee, sizeof(struct hira_reply) + 8);
    }
    return NULL;
}

static void test_full(uint64_t spin_ns, unsigned count, unsigned slow_every)
{
    pthread_t thread;
    struct stream s = {count, slow_every, true};
    open_lane(spin_ns);
    CHECK(pthread_create(&thread, NULL, consume, &s) == 0);
    for (unsigned i = 0; i < count; i++)
        publish(i % 5 ? i % 30 : WORDS_MAX);
    pthread_join(thread, NULL);
    CHECK(s.ok);
    CHECK(atomic_load(&caller.map.control->retired) == count);
    tap_case("a full ring makes the caller wait, nothing is lost (spin %u us, %s callee)", (unsigned)(spin_ns / 1000),
             slow_every ? "slow" : "fast");
    close_lane();
}

static void test_ping_pong(uint64_t spin_ns, unsigned count, unsigned slow_every)
{
    pthread_t thread;
    struct stream s = {count, slow_every, true};
    bool ok = true;
    open_lane(spin_ns);
    CHECK(pthread_create(&thread, NULL, answer, &s) == 0);
    for (unsigned i = 0; i < count && ok; i++) {
        if (i % 97 == 0)
            usleep(200); /* the callee sleeps */
        publish(i % 9);
        ok &= hira_caller_wait(&caller) == 0 && caller.map.reply->words[0] == i + 1;
    }
    CHECK(ok);
    pthread_join(thread, NULL);
    CHECK(s.ok);
    tap_case("calls and replies with both sides sleeping (spin %u us, %s callee)", (unsigned)(spin_ns / 1000), slow_every ? "slow" : "fast");
    close_lane();
}

static void *die_later(void *unused)
{
    (void)unused;
    usleep(20000);
    atomic_store(&peer_alive, false);
    return NULL;
}

static void test_death(void)
{
    pthread_t thread;
    open_lane(0);
    CHECK(pthread_create(&thread, NULL, die_later, NULL) == 0);
    uint64_t begin = hira_now_ns();
    CHECK(hira_callee_next(&callee, copy, true) == -EPIPE);
    CHECK(hira_now_ns() - begin < 3 * HIRA_NAP_NS);
    pthread_join(thread, NULL);
    publish(1);
    CHECK(hira_caller_wait(&caller) == -EPIPE);
    while (caller.head + HIRA_RECORD_MAX + HIRA_LINE - caller.tail <= HIRA_RING_SIZE)
        publish(WORDS_MAX);
    CHECK(hira_caller_reserve(&caller) == NULL);
    tap_case("a dead peer ends every wait within a nap");
    close_lane();
}

/* What a hostile caller may write, one thing at a time. */
static int after_tampering(uint64_t stamp, uint32_t size)
{
    struct hira_record *r = hira_caller_at(&caller, caller.head);
    open_lane(0);
    r = hira_caller_at(&caller, 0);
    r->size = size;
    r->function = 1;
    r->flags = 0;
    atomic_store(&r->stamp, stamp);
    int n = hira_callee_next(&callee, copy, false);
    close_lane();
    return n;
}

static void test_hostile(void)
{
    CHECK(after_tampering(1 << 8 | 1, 64) == 64);
    CHECK(after_tampering(2 << 8 | 1, 64) == -EBADMSG);         /* a sequence that is not the next */
    CHECK(after_tampering(1 << 8 | 0, 64) == -EBADMSG);         /* no line */
    CHECK(after_tampering(1 << 8 | 129, 64) == -EBADMSG);       /* more than a record may have */
    CHECK(after_tampering(1 << 8 | 255, HIRA_RECORD_MAX) == -EBADMSG);
    CHECK(after_tampering(1 << 8 | 1, 65) == -EBADMSG);         /* longer than its lines */
    CHECK(after_tampering(1 << 8 | 128, HIRA_RECORD_MAX) == HIRA_RECORD_MAX);
    CHECK(after_tampering(1 << 8 | 128, HIRA_RECORD_MAX + 1) == -EBADMSG);
    CHECK(after_tampering(1 << 8 | 1, 15) == -EBADMSG);         /* shorter than its head */
    CHECK(after_tampering(1 << 8 | 1, 0) == -EBADMSG);
    CHECK(after_tampering(1 << 8 | 1, UINT32_MAX) == -EBADMSG);
    CHECK(after_tampering(UINT64_MAX, 64) == -EBADMSG);
    CHECK(after_tampering(1ull << 63, 64) == -EBADMSG);
    tap_case("wild stamps and sizes are refused");

    open_lane(0);
    atomic_store(&caller.map.control->tail, UINT64_MAX);
    atomic_store(&caller.map.control->room_at, 1);
    atomic_store(&caller.map.control->caller_sleeps, 0xdead);
    atomic_store(&caller.map.control->callee_sleeps, 0xdead);
    publish(5);
    CHECK(hira_callee_next(&callee, copy, false) > 0 && same(5));
    hira_callee_release(&callee);
    hira_callee_reply(&callee, 16);
    CHECK(callee.head == HIRA_LINE);
    close_lane();
    tap_case("positions are our own, whatever the control page says");
}

static void test_map(void)
{
    struct hira_lane_map map = {0};
    int loose = memfd_create("loose", MFD_ALLOW_SEALING);
    CHECK(ftruncate(loose, HIRA_LANE_SIZE) == 0);
    CHECK(hira_lane_map(&map, loose) < 0);
    close(loose);
    HIRA_AUTOCLOSE int small = hira_fd_shared_memory("lane", HIRA_LANE_SIZE - 4096);
    CHECK(hira_lane_map(&map, small) < 0);
    CHECK(hira_lane_map(&map, -1) < 0);
    hira_lane_unmap(&map);
    open_lane(0);
    caller.map.ring[0] = 77;
    CHECK(caller.map.ring[HIRA_RING_SIZE] == 77);
    CHECK(callee.map.ring[HIRA_RING_SIZE] == 77);
    close_lane();
    tap_case("memory: sealed files only, the ring is there twice");
}

int main(void)
{
    bool soak = getenv("HIRA_SOAK") && *getenv("HIRA_SOAK");
    unsigned n = soak ? 1000000 : 20000;
    test_map();
    test_records();
    test_wrap();
    test_full(0, n, 0);
    test_full(0, n / 20, 10);
    test_full(50000, n, 0);
    test_ping_pong(0, n / 4, 0);
    test_ping_pong(0, n / 20, 13);
    test_ping_pong(50000, n / 4, 0);
    test_death();
    test_hostile();
    for (where = CALLER_IN_MACHINE; where <= CALLEE_IN_MACHINE; where++) {
        test_records();
        test_wrap();
        test_full(0, n, 0);
        test_ping_pong(0, n / 8, 13);
        test_ping_pong(50000, n / 4, 0);
        test_death();
        test_hostile();
    }
    return tap_done();
}
