/* The slow halves of a lane: mapping, and waiting by spinning first and sleeping then. See lane.h.
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0 */
#include "channel/lane.h"

#include <errno.h>
#include <sched.h>
#include <sys/mman.h>

#include "base/fd.h"

_Static_assert((HIRA_RING_SIZE & (HIRA_RING_SIZE - 1)) == 0, "positions are masked");
_Static_assert(HIRA_RECORD_MAX / HIRA_LINE < 256, "a stamp has eight bits for the lines");
_Static_assert(sizeof(struct hira_lane_control) <= HIRA_CONTROL_SIZE, "one page");

static bool map_at(char *address, int fd, size_t offset, size_t size)
{
    return mmap(address, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, (off_t)offset) != MAP_FAILED;
}

#define MAPPED_SIZE (HIRA_LANE_SIZE + HIRA_RING_SIZE)

int hira_lane_map(struct hira_lane_map *map, int fd)
{
    int error = hira_fd_check_sealed(fd, HIRA_LANE_SIZE);
    if (error)
        return error;
    char *base = mmap(NULL, MAPPED_SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (base == MAP_FAILED)
        return -errno;
    char *second = base + HIRA_CONTROL_SIZE + HIRA_RING_SIZE, *reply = second + HIRA_RING_SIZE;
    if (!map_at(base, fd, 0, HIRA_CONTROL_SIZE + HIRA_RING_SIZE) || !map_at(second, fd, HIRA_CONTROL_SIZE, HIRA_RING_SIZE) ||
        !map_at(reply, fd, HIRA_CONTROL_SIZE + HIRA_RING_SIZE, HIRA_REPLY_SIZE)) {
        error = -errno;
        munmap(base, MAPPED_SIZE);
        return error;
    }
    madvise(base, MAPPED_SIZE, MADV_DONTFORK);
    *map = (struct hira_lane_map){(struct hira_lane_control *)base, base + HIRA_CONTROL_SIZE, (struct hira_reply *)reply, NULL, false};
    return 0;
}

static bool repeat_at(char *address, char *memory, size_t size)
{
    return mremap(memory, 0, size, MREMAP_MAYMOVE | MREMAP_FIXED, address) != MAP_FAILED; /* of size 0: shared memory is mapped once more */
}

int hira_lane_map_again(struct hira_lane_map *map, char *memory)
{
    char *base = mmap(NULL, MAPPED_SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (base == MAP_FAILED)
        return -errno;
    char *second = base + HIRA_CONTROL_SIZE + HIRA_RING_SIZE, *reply = second + HIRA_RING_SIZE;
    if (!repeat_at(base, memory, HIRA_CONTROL_SIZE + HIRA_RING_SIZE) || !repeat_at(second, memory + HIRA_CONTROL_SIZE, HIRA_RING_SIZE) ||
        !repeat_at(reply, memory + HIRA_CONTROL_SIZE + HIRA_RING_SIZE, HIRA_REPLY_SIZE)) {
        int error = -errno;
        munmap(base, MAPPED_SIZE);
        return error;
    }
    madvise(base, MAPPED_SIZE, MADV_DONTFORK);
    *map = (struct hira_lane_map){(struct hira_lane_control *)base, base + HIRA_CONTROL_SIZE, (struct hira_reply *)reply, NULL, false};
    return 0;
}

void hira_lane_map_once(struct hira_lane_map *map, char *memory)
{
    *map = (struct hira_lane_map){(struct hira_lane_control *)memory, memory + HIRA_CONTROL_SIZE,
                                  (struct hira_reply *)(memory + HIRA_CONTROL_SIZE + HIRA_RING_SIZE), NULL, true};
}

void hira_lane_unmap(struct hira_lane_map *map)
{
    if (map->control && !map->once)
        munmap(map->control, MAPPED_SIZE);
    *map = (struct hira_lane_map){0};
}

/* Ticks per microsecond, measured once over a short busy wait. Racing threads measure the same. */
static uint64_t ticks_per_us(void)
{
    static _Atomic uint64_t known;
    uint64_t value = atomic_load_explicit(&known, memory_order_relaxed);
    if (value)
        return value;
    uint64_t t0 = hira_now_ns(), c0 = hira_ticks(), t1;
    do
        t1 = hira_now_ns();
    while (t1 - t0 < 50000);
    value = (hira_ticks() - c0) * 1000 / (t1 - t0);
    atomic_store_explicit(&known, value ? value : 1, memory_order_relaxed);
    return value ? value : 1;
}

void hira_spin_init(struct hira_spin *spin, uint64_t least_ns, uint64_t most_ns)
{
    uint64_t per_us = ticks_per_us();
    *spin = (struct hira_spin){.least = least_ns * per_us / 1000, .most = most_ns * per_us / 1000};
    spin->limit = spin->most;
    spin->brief = HIRA_MIN(HIRA_SPIN_SHORT_NS * per_us / 1000, spin->most);
    spin->soon = spin->most ? spin->most + HIRA_WAKE_NS * per_us / 1000 : 0;
}

void hira_spin_init_far(struct hira_spin *spin, uint64_t most_ns)
{
    hira_spin_init(spin, HIRA_SPIN_LEAST_NS, most_ns);
    spin->soon = spin->most + HIRA_REGION_WAKE_NS * ticks_per_us() / 1000;
}

/* What is waited for: true when it is there. */
typedef bool wait_test(void *context);

/* Spins for so long. True when it is there. The core is not offered to others meanwhile (sched_yield): under load they take a whole slice
 * of milliseconds, whereas a sleeper that is woken preempts them. */
static bool spin_for(uint64_t begin, uint64_t limit, wait_test *test, void *context)
{
    do
        for (int i = 0; i < 16; i++) {
            if (test(context))
                return true;
            hira_relax();
        }
    while (hira_ticks() - begin < limit);
    return false;
}

void hira_lane_woken(struct hira_lane_map *map, _Atomic uint32_t *sleeps)
{
    struct hira_lane_far *far = map->far;
    if (far && far->naps) {
        atomic_store_explicit(&far->nap, 1, memory_order_release);
        hira_futex_wake(&far->nap, 1);
    } else if (map->control) {
        hira_futex_wake(sleeps, 1);
    }
}

/* Sleeps on `sleeps` until test() holds. 0 or -EPIPE. */
static int sleep_for(const struct hira_lane_map *map, _Atomic uint32_t *sleeps, uint32_t wants, wait_test *test, void *context,
                     bool (*alive)(void *), void *alive_context)
{
    struct hira_lane_far *far = map->far && map->far->naps ? map->far : NULL;
    for (;;) {
        if (far)
            atomic_store_explicit(&far->nap, 0, memory_order_relaxed);
        atomic_store_explicit(sleeps, wants, memory_order_relaxed);
        atomic_thread_fence(memory_order_seq_cst);
        if (test(context)) {
            atomic_store_explicit(sleeps, HIRA_AWAKE, memory_order_relaxed);
            return 0;
        }
        hira_futex_wait(far ? &far->nap : sleeps, far ? 0 : wants, alive ? HIRA_NAP_NS : UINT64_MAX);
        if (test(context)) {
            atomic_store_explicit(sleeps, HIRA_AWAKE, memory_order_relaxed);
            return 0;
        }
        if (alive && !alive(alive_context))
            return test(context) ? 0 : -EPIPE;
    }
}

static bool test_room(void *context)
{
    struct hira_caller *c = context;
    c->tail = atomic_load_explicit(&c->map.control->tail, memory_order_acquire);
    return c->tail >= atomic_load_explicit(&c->map.control->room_at, memory_order_relaxed);
}

/* A full ring is a matter of throughput, not of latency: sleeps at once, until it is half empty. */
int hira_caller_wait_room(struct hira_caller *c)
{
    atomic_store_explicit(&c->map.control->room_at, c->head - HIRA_RING_SIZE / 2, memory_order_relaxed);
    return sleep_for(&c->map, &c->map.control->caller_sleeps, HIRA_WANTS_ROOM, test_room, c, c->alive, c->context);
}

/* A virtual machine's processor may be made of software that leaves fences out (QEMU's, of one core): then who publishes may see a sleep
 * word as it was before. By now it sees it as it is. */
static void wake_again(struct hira_caller *c)
{
    if (c->map.far && c->map.far->naps)
        hira_wake(&c->map, &c->map.control->callee_sleeps, HIRA_WANTS_RECORD);
}

static bool test_reply(void *context)
{
    struct hira_caller *c = context;
    return atomic_load_explicit(&c->map.reply->stamp, memory_order_acquire) == c->sequence;
}

/* Spinning on is as fast as it gets while there are cores to spare. Where there are none, it keeps a core from the
 * vendor's threads that work on the answer. Which of the two holds depends on the machine, on its load and on what the
 * call does; so both are tried and timed, and most waits are made the way that was faster of late. Each is tried for
 * some waits in a row, of which the first tell nothing: by each way the scheduler places the threads otherwise, and it
 * takes a few until it has. Answers that come while spinning briefly tell nothing either. */
int hira_caller_wait_reply(struct hira_caller *c)
{
    struct hira_spin *spin = &c->spin;
    _Atomic uint32_t *sleeps = &c->map.control->caller_sleeps;
    uint64_t begin = hira_ticks();
    if (spin_for(begin, spin->brief, test_reply, c))
        return 0;
    wake_again(c);
    unsigned way = spin->cost[1] < spin->cost[0], turn = spin->turn++ % HIRA_TRY_EVERY;
    if (turn < HIRA_TRY_FOR)
        way ^= 1;
    int error = way == 0 && spin_for(begin, spin->most, test_reply, c)
                    ? 0
                    : sleep_for(&c->map, sleeps, HIRA_WANTS_REPLY, test_reply, c, c->alive, c->context);
    uint64_t waited = hira_ticks() - begin;
    bool settled = turn % HIRA_TRY_FOR >= HIRA_TRY_FOR / 2 || turn >= 2 * HIRA_TRY_FOR;
    if (settled && waited <= 4 * spin->most) /* a longer one is slept through by either */
        spin->cost[way] = spin->cost[way] ? spin->cost[way] - spin->cost[way] / 8 + waited / 8 : waited;
    return error;
}

int hira_caller_sleep(struct hira_caller *c, bool (*test)(void *context), void *context)
{
    return sleep_for(&c->map, &c->map.control->caller_sleeps, HIRA_WANTS_REPLY, test, context, c->alive, c->context);
}

static struct hira_record *callee_record(const struct hira_callee *c)
{
    return (struct hira_record *)(c->map.ring + (c->head & (HIRA_RING_SIZE - 1)));
}

static bool test_record(void *context)
{
    struct hira_callee *c = context;
    if (hira_callee_has_record(c))
        return true;
    /* A caller that waits for room read an old tail if our store had not reached it when it looked: look for it again
     * here, where the ring is empty and it would otherwise sleep on. */
    hira_callee_wake_for_room(c);
    return false;
}

/* Moves this thread to another core, where there is one; it may come back. */
static void leave_core(unsigned core)
{
    cpu_set_t all, others;
    if (sched_getaffinity(0, sizeof all, &all) < 0 || core >= CPU_SETSIZE)
        return;
    others = all;
    CPU_CLR(core, &others);
    if (CPU_COUNT(&others) && sched_setaffinity(0, sizeof others, &others) == 0)
        sched_setaffinity(0, sizeof all, &all);
}

/* A callee woken on the caller's own core has stopped it there: if it spun, it would only keep the caller from its answer. Nor would a
 * scheduler part the two, of whom only one at a time wants to run. So it sleeps again at once, and when such calls keep coming
 * it goes elsewhere; a move that was for nothing makes the next one rarer. */
static void mind_neighbour(struct hira_callee *c, uint64_t slept)
{
    unsigned core = (unsigned)sched_getcpu();
    c->beside = atomic_load_explicit(&c->map.control->waker_core, memory_order_relaxed) == core;
    if (!c->beside || slept > 4 * c->spin.most || ++c->quick < HIRA_MOVE_AFTER << c->moves)
        return;
    c->quick = 0;
    c->moves += c->moves < 10;
    leave_core(core);
    c->beside = false;
}

/* What took little longer than the longest spin and a wake-up would have been there while spinning: were only spins that succeeded to
 * count, a side that has once gone to sleep would never see one again. */
void hira_spin_learn(struct hira_spin *spin, uint64_t waited)
{
    if (waited <= spin->soon)
        spin->limit += (spin->most - spin->limit) / 4 + (spin->limit < spin->most);
    else
        spin->limit = spin->limit / 2 < spin->least ? spin->least : spin->limit / 2;
}

/* A record that comes at once is seen without a look at the clock, which would take as long as serving it. */
static bool comes_at_once(const struct hira_callee *c)
{
    for (int i = 0; i < HIRA_SPINS_UNTIMED; i++) {
        if (hira_callee_has_record(c))
            return true;
        hira_relax();
    }
    return false;
}

bool hira_spin(const struct hira_spin *spin, bool (*test)(void *context), void *context)
{
    return spin_for(hira_ticks(), spin->limit, test, context);
}

int hira_callee_wait(struct hira_callee *c)
{
    if (!c->beside && comes_at_once(c)) {
        hira_spin_learn(&c->spin, 0);
        return 0;
    }
    uint64_t begin = hira_ticks();
    int error = 0;
    if (c->beside || !spin_for(begin, c->spin.limit, test_record, c)) {
        uint64_t asleep = hira_ticks();
        error = sleep_for(&c->map, &c->map.control->callee_sleeps, HIRA_WANTS_RECORD, test_record, c, c->alive, c->context);
        if (!c->map.far) /* a machine's cores have numbers of their own */
            mind_neighbour(c, hira_ticks() - asleep);
    }
    hira_spin_learn(&c->spin, hira_ticks() - begin);
    return error;
}

void hira_caller_wake(struct hira_caller *c)
{
    atomic_store_explicit(&c->map.control->waker_core, (uint32_t)sched_getcpu(), memory_order_relaxed);
    hira_wake(&c->map, &c->map.control->callee_sleeps, HIRA_WANTS_RECORD);
}

int hira_caller_init(struct hira_caller *c)
{
    if (c->map.once && !c->scratch)
        c->scratch = aligned_alloc(HIRA_LINE, HIRA_RECORD_MAX + HIRA_LINE);
    return c->map.once && !c->scratch ? -ENOMEM : 0;
}

/* Bytes from this position on that lie in the ring before its end, of `size`. */
static size_t before_end(uint64_t position, size_t size)
{
    return HIRA_MIN(size, HIRA_RING_SIZE - (position & (HIRA_RING_SIZE - 1)));
}

/* Puts a record made aside where it belongs, all but its stamp. */
struct hira_record *hira_caller_put(struct hira_caller *c, const struct hira_record *record)
{
    const size_t stamp = offsetof(struct hira_record, size);
    struct hira_record *to = hira_caller_at(c, c->head);
    size_t size = HIRA_MIN((size_t)record->size, (size_t)HIRA_RECORD_MAX), first = before_end(c->head, size);
    memcpy((char *)to + stamp, (const char *)record + stamp, first - stamp);
    memcpy(c->map.ring, (const char *)record + first, size - first);
    return to;
}

int hira_callee_next(struct hira_callee *c, struct hira_record *copy, bool wait)
{
    struct hira_record *record = callee_record(c);
    uint64_t stamp;
    while (!(stamp = atomic_load_explicit(&record->stamp, memory_order_acquire))) {
        if (!wait)
            return 0;
        int error = hira_callee_wait(c);
        if (error)
            return error;
    }
    uint64_t lines = stamp & 0xff;
    if (stamp >> 8 != c->sequence + 1 || !lines || lines > HIRA_RECORD_MAX / HIRA_LINE)
        return -EBADMSG;
    uint32_t size = *(volatile uint32_t *)&record->size;
    if (size < sizeof *record || size > lines * HIRA_LINE)
        return -EBADMSG;
    size_t first = hira_unlikely(c->map.once) ? before_end(c->head, size) : size;
    memcpy(copy, record, first);
    if (hira_unlikely(first < size))
        memcpy((char *)copy + first, c->map.ring, size - first);
    copy->size = size;
    c->sequence++;
    c->lines = (uint32_t)lines;
    return (int)size;
}
