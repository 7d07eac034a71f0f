/* The arena and the guest's allocator in it, against a model. Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 *
 * arena [ROUNDS]: so many steps of the torture (default 20,000). */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "channel/arena.h"
#include "channel/limits.h"
#include "tests/tap.h"

#define LIMIT (64ull << 20)

static unsigned grown;

static int grow(void *context, struct hira_arena *arena, uint64_t size)
{
    (void)context;
    uint64_t committed = atomic_load(&arena->committed), left = arena->reserved - committed;
    uint64_t want = HIRA_ALIGN_UP(HIRA_MAX(size, HIRA_ARENA_SEGMENT), 4096ull);
    if (size > left)
        return -ENOMEM;
    want = HIRA_MIN(want, left);
    HIRA_AUTOCLOSE int fd = hira_fd_shared_memory("arena", want);
    grown++;
    return fd < 0 ? fd : hira_arena_map(arena, fd, want);
}

static void test_bounds(void)
{
    struct hira_arena arena;
    uint64_t offset;
    CHECK(hira_arena_init(&arena, LIMIT) == 0);
    CHECK(arena.reserved == LIMIT);
    CHECK(hira_arena_at(&arena, 0, 0) == arena.base);
    CHECK(hira_arena_at(&arena, 0, 1) == NULL);
    CHECK(!hira_arena_offset(&arena, arena.base, 1, &offset));
    int fd = hira_fd_shared_memory("arena", 8192);
    CHECK(hira_arena_map(&arena, fd, 8192) == 0);
    close(fd);
    CHECK(hira_arena_at(&arena, 0, 8192) == arena.base);
    CHECK(hira_arena_at(&arena, 8192, 0) != NULL);
    CHECK(hira_arena_at(&arena, 8191, 2) == NULL);
    CHECK(hira_arena_at(&arena, 8193, 0) == NULL);
    CHECK(hira_arena_at(&arena, UINT64_MAX, 1) == NULL);
    CHECK(hira_arena_at(&arena, 1, UINT64_MAX) == NULL);
    CHECK(hira_arena_at(&arena, UINT64_MAX - 1, 2) == NULL);
    CHECK(hira_arena_offset(&arena, arena.base + 100, 10, &offset) && offset == 100);
    CHECK(!hira_arena_offset(&arena, arena.base + 8190, 3, &offset));
    CHECK(!hira_arena_offset(&arena, arena.base - 1, 1, &offset));
    CHECK(!hira_arena_offset(&arena, &offset, 8, &offset));
    tap_case("bounds: only what is mapped, without wrapping");

    int loose = memfd_create("loose", 0);
    CHECK(ftruncate(loose, 4096) == 0);
    CHECK(hira_arena_map(&arena, loose, 4096) < 0);
    close(loose);
    fd = hira_fd_shared_memory("arena", 4096);
    CHECK(hira_arena_map(&arena, fd, 8192) < 0);
    CHECK(hira_arena_map(&arena, fd, LIMIT) == -ENOMEM);
    close(fd);
    CHECK(atomic_load(&arena.committed) == 8192);
    tap_case("segments: unsealed, short and oversized ones are refused");
    hira_arena_fini(&arena);
}

static void test_limits(void)
{
    struct hira_arena arena;
    CHECK(hira_arena_init(&arena, LIMIT) == 0);
    CHECK(hira_arena_alloc(&arena, 100, 64) == HIRA_ARENA_NONE);
    hira_arena_free(&arena, HIRA_ARENA_NONE);
    arena.grow = grow;
    CHECK(hira_arena_alloc(&arena, LIMIT, 64) == HIRA_ARENA_NONE);
    CHECK(hira_arena_alloc(&arena, UINT64_MAX, 64) == HIRA_ARENA_NONE);
    CHECK(hira_arena_alloc(&arena, UINT64_MAX - 300, 4096) == HIRA_ARENA_NONE);
    uint64_t all[64];
    unsigned n = 0;
    while (n < 64 && (all[n] = hira_arena_alloc(&arena, 4 << 20, 4096)) != HIRA_ARENA_NONE)
        n++;
    CHECK(n >= 12 && n < 16);
    CHECK(arena.used <= LIMIT);
    uint64_t small = hira_arena_alloc(&arena, 1, 1);
    CHECK(small != HIRA_ARENA_NONE && small % 64 == 0);
    hira_arena_free(&arena, small);
    for (unsigned i = 0; i < n; i++)
        hira_arena_free(&arena, all[i]);
    CHECK(arena.used == 0);
    tap_case("limits: full is an answer, and passes");

    /* Everything free again must be one range a segment: neighbours were joined. */
    uint64_t most = hira_arena_alloc(&arena, 40ull << 20, 4096);
    CHECK(most != HIRA_ARENA_NONE);
    hira_arena_free(&arena, most);
    tap_case("free ranges join, across segments too");
    hira_arena_fini(&arena);
}

static int files[8];
static unsigned n_files;

static int grow_and_watch(void *context, struct hira_arena *arena, uint64_t size)
{
    (void)context;
    uint64_t want = HIRA_ALIGN_UP(HIRA_MAX(size, HIRA_ARENA_SEGMENT), 4096ull);
    int fd = hira_fd_shared_memory("arena", want);
    files[n_files++] = fd;
    return fd < 0 ? fd : hira_arena_map(arena, fd, want);
}

/* Bytes that the system has given to the arena's files. */
static uint64_t resident(void)
{
    uint64_t bytes = 0;
    struct stat st;
    for (unsigned i = 0; i < n_files; i++)
        bytes += fstat(files[i], &st) ? 0 : (uint64_t)st.st_blocks * 512;
    return bytes;
}

static void rest_for(struct hira_arena *arena, unsigned milliseconds)
{
    for (uint64_t end = hira_now_ns() + milliseconds * 1000000ull; hira_now_ns() < end; usleep(1000))
        hira_arena_rest(arena);
}

static uint64_t use(struct hira_arena *arena, uint64_t size)
{
    uint64_t block = hira_arena_alloc(arena, size, 4096);
    memset(hira_arena_at(arena, block, size), 7, size);
    return block;
}

static void test_rest(void)
{
    struct hira_arena arena;
    const uint64_t mib = 1 << 20;
    CHECK(hira_arena_init(&arena, LIMIT) == 0);
    arena.grow = grow_and_watch;
    uint64_t low = use(&arena, mib), big = use(&arena, 40 * mib), kept = use(&arena, mib), behind = use(&arena, 5 * mib);
    CHECK(resident() >= 47 * mib);
    hira_arena_free(&arena, behind);
    hira_arena_free(&arena, big);
    rest_for(&arena, 500);
    CHECK(resident() >= 47 * mib); /* not yet */
    rest_for(&arena, 2500);
    CHECK(resident() <= HIRA_ARENA_KEEP + 2 * mib);
    const char *p = hira_arena_at(&arena, kept, mib), *q = hira_arena_at(&arena, low, mib);
    CHECK(p[0] == 7 && p[mib - 1] == 7 && q[0] == 7 && q[mib - 1] == 7);
    CHECK(!atomic_load(&arena.stale));
    tap_case("what lies free for a while goes back to the system, what is in use stays");

    big = use(&arena, 40 * mib);
    p = hira_arena_at(&arena, big, 40 * mib);
    CHECK(p[0] == 7 && p[40 * mib - 1] == 7);
    hira_arena_free(&arena, big);
    for (int i = 0; i < 25; i++) { /* used again and again: it stays */
        rest_for(&arena, 100);
        hira_arena_free(&arena, big = use(&arena, 40 * mib));
    }
    CHECK(resident() >= 40 * mib);
    hira_arena_free(&arena, kept);
    hira_arena_free(&arena, low);
    rest_for(&arena, 2500);
    CHECK(resident() <= HIRA_ARENA_KEEP);
    CHECK(arena.used == 0);
    tap_case("it comes back when it is used, and is kept as long as it is");
    hira_arena_fini(&arena);
    while (n_files)
        close(files[--n_files]);
}

#define SLOTS 400

struct slot {
    uint64_t offset, size;
    unsigned char mark;
};

static bool overlaps(const struct slot *slots, unsigned self)
{
    const struct slot *a = &slots[self];
    for (unsigned i = 0; i < SLOTS; i++) {
        const struct slot *b = &slots[i];
        if (i != self && b->offset != HIRA_ARENA_NONE && a->offset - HIRA_CELL_BEFORE < b->offset + b->size &&
            b->offset - HIRA_CELL_BEFORE < a->offset + a->size)
            return true;
    }
    return false;
}

static bool intact(const struct hira_arena *arena, const struct slot *s)
{
    const unsigned char *p = hira_arena_at(arena, s->offset, s->size);
    return p && (!s->size || (p[0] == s->mark && p[s->size / 2] == s->mark && p[s->size - 1] == s->mark));
}

static void test_torture(unsigned rounds)
{
    static struct slot slots[SLOTS];
    struct hira_arena arena;
    unsigned long long seed = 1;
    bool ok = true, aligned = true, apart = true, pending = true;
    CHECK(hira_arena_init(&arena, LIMIT) == 0);
    arena.grow = grow;
    for (unsigned i = 0; i < SLOTS; i++)
        slots[i].offset = HIRA_ARENA_NONE;
    for (unsigned round = 0; round < rounds; round++) {
        unsigned i = tap_random(&seed) % SLOTS;
        struct slot *s = &slots[i];
        if (s->offset != HIRA_ARENA_NONE) {
            ok &= intact(&arena, s);
            hira_arena_free(&arena, s->offset);
            s->offset = HIRA_ARENA_NONE;
            continue;
        }
        uint64_t align = 1ull << tap_random(&seed) % 13;
        s->size = tap_random(&seed) >> (44 + tap_random(&seed) % 20);
        s->mark = (unsigned char)tap_random(&seed);
        s->offset = hira_arena_alloc(&arena, s->size, align);
        if (s->offset == HIRA_ARENA_NONE)
            continue;
        aligned &= s->offset % HIRA_MAX(align, 64ull) == 0;
        apart &= !overlaps(slots, i);
        pending &= atomic_load(hira_arena_cell(&arena, s->offset)) == HIRA_CELL_PENDING;
        atomic_store(hira_arena_cell(&arena, s->offset), HIRA_CELL_DONE);
        memset(hira_arena_at(&arena, s->offset, s->size), s->mark, s->size);
    }
    CHECK(ok);
    CHECK(aligned);
    CHECK(apart);
    CHECK(pending);
    for (unsigned i = 0; i < SLOTS; i++)
        if (slots[i].offset != HIRA_ARENA_NONE)
            hira_arena_free(&arena, slots[i].offset);
    CHECK(arena.used == 0);
    CHECK(arena.peak > 0 && arena.peak <= LIMIT);
    /* All that was ever mapped can be had in one piece. */
    arena.grow = NULL;
    uint64_t committed = atomic_load(&arena.committed);
    CHECK(hira_arena_alloc(&arena, committed - 4096, 64) != HIRA_ARENA_NONE);
    tap_case("torture: %u steps keep blocks apart, aligned, intact; nothing is lost (%u segments)", rounds, grown);
    hira_arena_fini(&arena);
}

int main(int argc, char **argv)
{
    test_bounds();
    test_limits();
    test_rest();
    test_torture(argc > 1 ? (unsigned)atoi(argv[1]) : getenv("HIRA_SOAK") && *getenv("HIRA_SOAK") ? 2000000 : 20000);
    return tap_done();
}
