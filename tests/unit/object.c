/* The server's object tables, over a vendor that counts. Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0 */
#include <pthread.h>
#include <unistd.h>

#include "server/internal.h"
#include "tests/tap.h"

enum { T_QUEUE = 1, T_EVENT, T_DEVICE, N_TYPES };

/* What the vendor's handles point to. */
struct thing {
    _Atomic int references;
};

static void *called_back; /* a vendor that calls back from within: what of the handle to ask about */

static void retain(void *vendor)
{
    if (called_back)
        hira_slot_find(called_back, T_QUEUE);
    CHECK(atomic_fetch_add(&((struct thing *)vendor)->references, 1) > 0);
}

static void release(void *vendor)
{
    CHECK(atomic_fetch_sub(&((struct thing *)vendor)->references, 1) > 0);
}

static _Atomic unsigned destroyed;

static void destroy(void *state)
{
    atomic_fetch_add(&destroyed, *(unsigned *)state);
}

static const struct hira_server_type types[N_TYPES] = {
    {0},
    {"queue", retain, release, NULL, destroy, NULL, NULL},
    {"event", retain, release, NULL, NULL, NULL, NULL},
    {"device", NULL, NULL, NULL, NULL, NULL, NULL},
};

const struct hira_server_api hira_server_api = {.name = "unit", .types = types, .n_types = N_TYPES, .state_size = 64};

static struct thing new_thing(void)
{
    return (struct thing){1};
}

static void test_life(void)
{
    struct thing a = new_thing();
    uint64_t id = HIRA_ID(5, 1, T_QUEUE);
    CHECK(hira_slot_pin(id, T_QUEUE) == NULL);
    CHECK(hira_slot_install(id, T_QUEUE, &a, 0));
    struct hira_slot *slot = hira_slot_pin(id, T_QUEUE);
    CHECK(slot && slot->vendor == &a);
    CHECK(hira_slot_find(&a, T_QUEUE) == id);
    CHECK(hira_slot_find(&a, T_EVENT) == 0);
    unsigned *state = hira_server_state(&a, T_QUEUE);
    CHECK(state && *state == 0);
    *state = 1;
    hira_slot_unpin(slot);
    CHECK(a.references == 1);
    CHECK(hira_slot_release(id));
    CHECK(a.references == 0);
    CHECK(destroyed == 1);
    CHECK(hira_slot_find(&a, T_QUEUE) == 0);
    CHECK(hira_server_state(&a, T_QUEUE) == NULL);
    tap_case("an object lives from its installation to its release");
}

static void test_wrong_names(void)
{
    struct thing a = new_thing(), b = new_thing();
    uint64_t id = HIRA_ID(6, 9, T_QUEUE);
    CHECK(!hira_slot_install(id, T_EVENT, &a, 0));
    CHECK(!hira_slot_install(HIRA_ID(HIRA_ID_SERVER | 6, 9, T_QUEUE), T_QUEUE, &a, 0));
    CHECK(!hira_slot_install(HIRA_ID(HIRA_OBJECTS_MAX, 9, T_QUEUE), T_QUEUE, &a, 0));
    CHECK(!hira_slot_install(HIRA_ID(0x7fffffff, 9, T_QUEUE), T_QUEUE, &a, 0));
    CHECK(hira_slot_install(id, T_QUEUE, &a, 0));
    CHECK(!hira_slot_install(HIRA_ID(6, 10, T_QUEUE), T_QUEUE, &b, 0));
    CHECK(b.references == 1);
    CHECK(hira_slot_pin(HIRA_ID(6, 10, T_QUEUE), T_QUEUE) == NULL);
    CHECK(hira_slot_pin(HIRA_ID(6, 8, T_QUEUE), T_QUEUE) == NULL);
    CHECK(hira_slot_pin(HIRA_ID(6, 9, T_EVENT), T_EVENT) == NULL);
    CHECK(hira_slot_pin(id, T_EVENT) == NULL);
    CHECK(hira_slot_pin(id | HIRA_ID_SERVER, T_QUEUE) == NULL);
    for (unsigned bit = 0; bit < 64; bit++)
        CHECK(hira_slot_pin(id ^ 1ull << bit, HIRA_ID_TYPE(id ^ 1ull << bit)) == NULL);
    CHECK(!hira_slot_release(HIRA_ID(6, 10, T_QUEUE)));
    CHECK(!hira_slot_release(0));
    CHECK(!hira_slot_release(UINT64_MAX));
    CHECK(a.references == 1);
    CHECK(hira_slot_release(id));
    CHECK(!hira_slot_release(id));
    CHECK(a.references == 0);
    tap_case("a stale, foreign, mistyped or doubled name does nothing");
}

static void test_pinned(void)
{
    struct thing a = new_thing();
    uint64_t id = HIRA_ID(7, 1, T_QUEUE);
    CHECK(hira_slot_install(id, T_QUEUE, &a, 0));
    struct hira_slot *slot = hira_slot_pin(id, T_QUEUE);
    CHECK(hira_slot_release(id));
    CHECK(a.references == 1); /* a call still uses it */
    CHECK(hira_slot_pin(id, T_QUEUE) == NULL);
    CHECK(!hira_slot_release(id));
    /* Whatever a released object is called inside, a guest cannot name it. */
    uint64_t inside = atomic_load(&slot->id);
    CHECK(hira_slot_pin(inside, HIRA_ID_TYPE(inside)) == NULL);
    CHECK(!hira_slot_release(inside));
    CHECK(hira_slot_find(&a, T_QUEUE) == 0);
    CHECK(hira_server_state(&a, T_QUEUE) != NULL); /* the call that uses it still sees its state */
    CHECK(a.references == 1);
    /* The vendor says its handle again while the old name is on its way out: it gets a name that works. */
    uint64_t again = hira_handle_to_id(&a, T_QUEUE, false);
    CHECK(again && again & HIRA_ID_SERVER && a.references == 2);
    CHECK(hira_handle_to_id(&a, T_QUEUE, false) == again);
    hira_slot_unpin(slot);
    CHECK(a.references == 1);
    CHECK(hira_slot_find(&a, T_QUEUE) == again);
    CHECK(hira_slot_release(again));
    CHECK(a.references == 0);
    tap_case("a pinned object outlives its release, without a name");
}

/* The guest has released and uses the index again, while calls of other threads go on with the old objects. */
static void test_used_again_while_pinned(void)
{
    enum { N = 5 };
    struct thing things[N];
    struct hira_slot *slots[N];
    uint64_t begin = hira_now_ns();
    for (unsigned i = 0; i < N; i++) {
        uint64_t id = HIRA_ID(11, i + 1, T_QUEUE);
        things[i] = new_thing();
        CHECK(hira_slot_install(id, T_QUEUE, &things[i], 0));
        slots[i] = hira_slot_pin(id, T_QUEUE);
        CHECK(slots[i] && slots[i]->vendor == &things[i]);
        CHECK(!hira_slot_install(HIRA_ID(11, i + 2, T_QUEUE), T_QUEUE, &things[i], 0)); /* that one is alive */
        CHECK(hira_slot_release(id) && !hira_slot_release(id));
        CHECK(!hira_slot_pin(id, T_QUEUE));
    }
    CHECK(hira_now_ns() - begin < 100000000); /* nobody waits for anybody */
    for (unsigned i = 0; i < N; i++) {
        CHECK(things[i].references == 1 && slots[i]->vendor == &things[i]);
        CHECK(hira_server_state(&things[i], T_QUEUE) == slots[i]->state);
    }
    for (unsigned i = N; i-- > 0;) {
        hira_slot_unpin(slots[i]);
        CHECK(things[i].references == 0 && (!i || things[i - 1].references == 1));
    }
    struct thing next = new_thing();
    CHECK(hira_slot_install(HIRA_ID(11, 1, T_QUEUE), T_QUEUE, &next, 0)); /* the same name once more */
    struct hira_slot *slot = hira_slot_pin(HIRA_ID(11, 1, T_QUEUE), T_QUEUE);
    CHECK(slot && slot->vendor == &next);
    hira_slot_unpin(slot);
    CHECK(hira_slot_release(HIRA_ID(11, 1, T_QUEUE)) && next.references == 0);
    tap_case("an index is used again while long calls still use what it named before");
}

/* Two calls that would end one object: the second is told that there is none, and while the first lasts nobody may begin. */
static void test_claimed(void)
{
    struct thing a = new_thing();
    uint64_t id = HIRA_ID(10, 1, T_QUEUE);
    CHECK(hira_slot_install(id, T_QUEUE, &a, 0));
    struct hira_slot *first = hira_slot_pin(id, T_QUEUE), *second = hira_slot_pin(id, T_QUEUE);
    CHECK(!hira_slot_claim(first, 1)); /* the second still uses it, and goes on doing so */
    CHECK(atomic_load(&first->id) == id);
    hira_slot_unpin(second);
    CHECK(hira_slot_claim(first, 1));
    CHECK(!hira_slot_claim(first, 1));
    CHECK(!hira_slot_pin(id, T_QUEUE));
    CHECK(!hira_slot_release(id));
    hira_slot_unclaim(first); /* the vendor refused */
    second = hira_slot_pin(id, T_QUEUE);
    CHECK(second == first);
    CHECK(hira_slot_claim(first, 2)); /* named twice by one call */
    hira_slot_unpin(second);
    atomic_store(&first->owed, 0);
    hira_slot_unpin(first);
    hira_slot_unpin(first);   /* the guest's own */
    CHECK(a.references == 1); /* the vendor has ended it by itself */
    CHECK(hira_slot_install(id, T_QUEUE, &a, 0) && hira_slot_release(id));
    tap_case("an object that a call ends is that call's alone");
}

static void test_generations(void)
{
    bool ok = true;
    for (uint32_t generation = 0; generation < 70000; generation++) { /* all of them, those that wrap too */
        struct thing a = new_thing();
        uint64_t id = HIRA_ID(8, generation, T_EVENT);
        ok &= hira_slot_install(id, T_EVENT, &a, 0);
        ok &= !hira_slot_pin(HIRA_ID(8, generation - 1, T_EVENT), T_EVENT);
        ok &= hira_slot_release(id) && !hira_slot_release(id);
        ok &= a.references == 0;
    }
    CHECK(ok);
    CHECK(!hira_slot_install(HIRA_ID(8, 1, T_EVENT) | 1ull << 50, T_EVENT, NULL, 0)); /* bits that no name has */
    tap_case("an index is used again, in every generation");
}

static void test_server_named(void)
{
    struct thing a = new_thing(), d = new_thing();
    uint64_t id = hira_handle_to_id(&a, T_EVENT, false);
    CHECK(id & HIRA_ID_SERVER && HIRA_ID_TYPE(id) == T_EVENT && a.references == 2);
    CHECK(hira_handle_to_id(&a, T_EVENT, false) == id && a.references == 2);
    retain(&a);
    CHECK(hira_handle_to_id(&a, T_EVENT, true) == id && a.references == 3);
    CHECK(hira_handle_to_id(NULL, T_EVENT, true) == 0);
    CHECK(hira_slot_release(id));
    CHECK(a.references == 1);
    uint64_t device = hira_handle_to_id(&d, T_DEVICE, false), again = hira_handle_to_id(&a, T_EVENT, false);
    CHECK(device && d.references == 1);
    CHECK(again != id);
    CHECK(hira_slot_pin(id, T_EVENT) == NULL);
    CHECK(hira_slot_release(again) && a.references == 1);
    void *pair[3] = {&a, NULL, &d};
    hira_handles_to_ids(NULL, pair, sizeof pair, T_DEVICE, false);
    CHECK((uint64_t)(uintptr_t)pair[2] == device && !pair[1] && pair[0]);
    tap_case("names given here: one each, references kept and given back");
}

/* The vendor's hooks run without our locks: they may wait for a callback that asks us. */
static void test_called_back(void)
{
    struct thing a = new_thing();
    called_back = &a;
    alarm(10);
    uint64_t id = hira_handle_to_id(&a, T_QUEUE, false);
    alarm(0);
    CHECK(id && a.references == 2);
    called_back = NULL;
    CHECK(hira_slot_release(id) && a.references == 1);
    tap_case("the vendor may call back while it is asked for a reference");
}

static void test_poison(void)
{
    uint64_t id = HIRA_ID(9, 1, T_EVENT);
    CHECK(hira_slot_install(id, T_EVENT, NULL, -5));
    struct hira_slot *slot = hira_slot_pin(id, T_EVENT);
    CHECK(slot && !slot->vendor && atomic_load(&slot->poison) == -5);
    hira_slot_unpin(slot);
    CHECK(hira_slot_release(id));
    tap_case("a poisoned object is one without a handle");
}

#define ROUNDS 4000

static struct thing shared;
static uint64_t shared_ids[4];

static void *name_it(void *place)
{
    *(uint64_t *)place = hira_handle_to_id(&shared, T_QUEUE, false);
    return NULL;
}

/* The first sight of one handle by several threads at once. */
static void test_racing_names(void)
{
    bool ok = true;
    for (unsigned round = 0; round < 300; round++) {
        pthread_t threads[4];
        shared = new_thing();
        for (unsigned i = 0; i < 4; i++)
            pthread_create(&threads[i], NULL, name_it, &shared_ids[i]);
        for (unsigned i = 0; i < 4; i++)
            pthread_join(threads[i], NULL);
        for (unsigned i = 1; i < 4; i++)
            ok &= shared_ids[i] == shared_ids[0];
        ok &= shared.references == 2;
        hira_slot_release(shared_ids[0]);
    }
    CHECK(ok);
    tap_case("the same handle seen by four threads at once has one name");
}

static _Atomic uint64_t current;
static _Atomic bool stop;

/* Pins whatever is current, and its neighbours in name: what is pinned must not have been released by the vendor. */
static void *pin_it(void *unused)
{
    unsigned long long seed = (uintptr_t)unused;
    while (!atomic_load(&stop)) {
        uint64_t id = atomic_load(&current) ^ (tap_random(&seed) % 4 ? 0 : 1ull << tap_random(&seed) % 64);
        struct hira_slot *slot = hira_slot_pin(id, HIRA_ID_TYPE(id));
        if (!slot)
            continue;
        CHECK(atomic_load(&((struct thing *)slot->vendor)->references) > 0);
        if (tap_random(&seed) % 8 == 0)
            hira_slot_release(id ^ (tap_random(&seed) % 2 ? 0 : 1ull << tap_random(&seed) % 64));
        CHECK(atomic_load(&((struct thing *)slot->vendor)->references) > 0);
        hira_slot_unpin(slot);
    }
    return NULL;
}

static void test_racing_releases(void)
{
    static struct thing things[ROUNDS];
    pthread_t threads[2];
    for (uintptr_t i = 0; i < 2; i++)
        pthread_create(&threads[i], NULL, pin_it, (void *)(i + 1));
    bool ok = true;
    for (unsigned i = 0; i < ROUNDS; i++) {
        things[i] = new_thing();
        uint64_t id = HIRA_ID(20, i, T_QUEUE);
        ok &= hira_slot_install(id, T_QUEUE, &things[i], 0);
        atomic_store(&current, id);
        if (i % 3)
            hira_relax();
        hira_slot_release(id);
    }
    atomic_store(&stop, true);
    for (unsigned i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    CHECK(ok);
    for (unsigned i = 0; i < ROUNDS && ok; i++)
        ok &= things[i].references == 0;
    CHECK(ok);
    tap_case("releases race with calls: nothing ends early, nothing stays");
}

int main(void)
{
    test_life();
    test_wrong_names();
    test_pinned();
    test_used_again_while_pinned();
    test_claimed();
    test_generations();
    test_server_named();
    test_called_back();
    test_poison();
    test_racing_names();
    test_racing_releases();
    return tap_done();
}
