/*
 * The harness that serves fuzzed records: see fuzz.h. Linked into fuzzers only.
 *
 * One thread is the lane. There is no guest: the server is `alone`, so that what only a guest could bring is not waited for.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include "server/fuzz.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/list.h"
#include "server/internal.h"

#define ARENA_SIZE (2u << 20) /* a stream's window fits */
#define RECORDS_MAX 64u   /* an input's: more find nothing that fewer do not */
#define WORDS_MAX ((HIRA_RECORD_MAX - sizeof(struct hira_record)) / 8)
#define HEAD HIRA_FUZZ_HEAD
#define IDS 16u           /* indices of guest-named objects that the mutator uses, */
#define GENERATIONS 4u    /* and generations */

/* ---- the stub vendor ---- */

#define ALIVE 0x6572694861627548ull

struct object {
    uint64_t alive;
    unsigned type;
    _Atomic int references; /* several lanes may serve at once: see tests/fuzz/racing.c */
    struct hira_list link;
};

/* A callback that the vendor was given, to be called when it likes. */
struct callback {
    void (*run)(void *function, void *cookie);
    void *function, *cookie;
    bool once;
};

#define CALLBACKS_MAX 64u

static struct object *known[256];
static struct hira_list objects = {&objects, &objects}; /* those made since the input began */
static pthread_mutex_t objects_lock = PTHREAD_MUTEX_INITIALIZER;
static _Thread_local struct callback callbacks[CALLBACKS_MAX];
static _Thread_local unsigned n_callbacks;
static _Thread_local uint64_t choices, choices_of_record;
static _Thread_local volatile uint64_t sink; /* what is read must be read */
const uint64_t hira_fuzz_zeros[512];
static bool settling; /* between two inputs: everything ends well */

static uint64_t next_random(uint64_t *state)
{
    uint64_t x = *state += 0x9e3779b97f4a7c15ull;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
    x = (x ^ x >> 27) * 0x94d049bb133111ebull;
    return x ^ x >> 31;
}

static uint64_t mostly_small(uint64_t x)
{
    if (settling || x % 4 == 0)
        return 0;
    if (x % 4 == 1)
        return x >> 8 & 0xf;
    return x % 64 == 2 ? x >> 8 : x >> 8 & 0xff;
}

uint64_t hira_fuzz_choose(void)
{
    return mostly_small(next_random(&choices));
}

/* What is asked twice while a record is served is answered alike: a server may ask how large something is, and so may who then reads it. */
static uint64_t same_answer(uint64_t about)
{
    uint64_t state = choices_of_record + about * 0x9e3779b97f4a7c15ull;
    if (hira_serving)
        state ^= hira_serving->lane->callee.sequence << 32;
    return next_random(&state);
}

bool hira_fuzz_succeeds(unsigned function)
{
    return settling || same_answer(function + 1) % 8;
}

static void tell_mended(void);

static _Noreturn void found(const char *what)
{
    tell_mended();
    fprintf(stderr, "hira-fuzz: %s\n", what);
    abort();
}

/* Memory that is longer than some words is copied: the sanitizer looks at a whole range at once then, not at each byte. */
#define BYTES_ONE_BY_ONE 64u
static _Thread_local uint8_t copied[4096];

/* What does not fit any memory no vendor reads: it refuses such a size. */
void hira_fuzz_read(const void *data, uint64_t size)
{
    uint64_t sum = 0;
    if (size == UINT64_MAX)
        return;
    while (size > BYTES_ONE_BY_ONE) {
        uint64_t piece = HIRA_MIN(size, (uint64_t)sizeof copied);
        memcpy(copied, data, piece);
        sum += copied[piece / 2];
        data = (const char *)data + piece;
        size -= piece;
    }
    for (uint64_t i = 0; i < size; i++)
        sum += ((const uint8_t *)data)[i];
    sink += sum;
}

void hira_fuzz_string(const char *text)
{
    hira_fuzz_read(text, text ? strlen(text) + 1 : 0);
}

/* What the spec's code has put there (pointers for a vendor to fill what they point to) stays: a vendor would read it. */
void hira_fuzz_write(void *data, uint64_t size)
{
    uint64_t word = mostly_small(same_answer(~size));
    uint8_t *p = data, there = 0;
    for (; size > sizeof copied; p += sizeof copied, size -= sizeof copied) {
        memcpy(copied, p, sizeof copied);
        memcpy(p, copied, sizeof copied);
    }
    for (uint64_t i = 0; i < size; i++)
        there |= p[i];
    for (uint64_t i = 0; i < size; i++)
        *(volatile uint8_t *)&p[i] = there ? p[i] : i < 8 ? (uint8_t)(word >> 8 * i) : (uint8_t)i;
}

void hira_fuzz_clear(void *data, uint64_t size)
{
    if (size)
        memset(data, 0, size);
}

void *hira_fuzz_made(unsigned type)
{
    struct object *o = malloc(sizeof *o);
    if (!o)
        found("out of memory");
    o->alive = ALIVE;
    o->type = type;
    atomic_init(&o->references, 1);
    pthread_mutex_lock(&objects_lock);
    hira_list_append(&objects, &o->link);
    pthread_mutex_unlock(&objects_lock);
    return o;
}

static void object_free(struct object *o)
{
    pthread_mutex_lock(&objects_lock);
    hira_list_remove(&o->link);
    pthread_mutex_unlock(&objects_lock);
    o->alive = 0;
    free(o);
}

void *hira_fuzz_known(unsigned type)
{
    return known[type % 256];
}

void hira_fuzz_use(const void *handle, unsigned type)
{
    const struct object *o = handle;
    if (!o)
        return;
    if (o->alive != ALIVE)
        found("a handle that is none reached the vendor");
    if (o->type != type)
        found("a handle of another type reached the vendor");
}

void hira_fuzz_retain(void *handle)
{
    struct object *o = handle;
    if (o && o->alive != ALIVE)
        found("what is no handle was retained");
    if (o)
        o->references++;
}

/* What is known from the beginning stays. */
void hira_fuzz_release(void *handle)
{
    struct object *o = handle;
    if (!o || o == known[o->type])
        return;
    if (o->alive != ALIVE)
        found("what is no handle was released");
    if (--o->references == 0)
        object_free(o);
}

static void callback_end(const struct callback *c)
{
    if (c->once)
        c->run(c->function, c->cookie);
    else if (c->cookie) /* a real vendor keeps it for ever */
        hira_registration_drop(c->cookie);
}

void hira_fuzz_callback(void *function, void *cookie, void (*run)(void *function, void *cookie), bool once)
{
    const struct callback c = {run, function, cookie, once};
    uint64_t when = hira_fuzz_choose();
    if (!function)
        return;
    if (when % 2 || n_callbacks == CALLBACKS_MAX)
        run(function, cookie);
    if (once && (when % 2 || n_callbacks == CALLBACKS_MAX))
        return;
    if (n_callbacks < CALLBACKS_MAX)
        callbacks[n_callbacks++] = c;
}

void hira_fuzz_write_handles(void *handles, uint64_t bytes, unsigned type, bool owned)
{
    void **to = handles;
    for (uint64_t i = 0; i < bytes / sizeof *to; i++)
        to[i] = owned ? hira_fuzz_made(type) : settling || next_random(&choices) % 8 ? hira_fuzz_known(type) : NULL;
}

/* ---- the server around the generated code ---- */

static struct hira_server_lane *the_lane;
static struct hira_callee reverse; /* the guest's end of the callbacks' lane */

/* Ids that this input has named: whatever lives under them is released when it is over. */
#define NAMES_MAX 1024u
static uint64_t names[NAMES_MAX];
static unsigned n_names;

/* ---- functions by name ---- */

#define FUNCTION_NAMES 0xfff0u /* from here on they are HIRA_FN_*, and what is none */

static pthread_once_t named = PTHREAD_ONCE_INIT;
static uint16_t names_of[HIRA_FUNCTIONS_MAX], functions_by_name[FUNCTION_NAMES]; /* the second: 1 + index */

static void name_functions(void)
{
    for (uint32_t i = 0; i < hira_server_api.n_functions; i++) {
        uint32_t hash = 2166136261u;
        for (const char *c = hira_server_api.functions[i].name; *c; c++)
            hash = (hash ^ (uint8_t)*c) * 16777619u;
        hash = (hash ^ hash >> 16) % FUNCTION_NAMES;
        while (functions_by_name[hash])
            hash = (hash + 1) % FUNCTION_NAMES;
        functions_by_name[hash] = (uint16_t)(i + 1);
        names_of[i] = (uint16_t)hash;
    }
}

uint16_t hira_fuzz_function(uint16_t name)
{
    pthread_once(&named, name_functions);
    if (name >= FUNCTION_NAMES)
        return name;
    return functions_by_name[name] ? functions_by_name[name] - 1 : (uint16_t)(name % hira_server_api.n_functions);
}

void hira_fuzz_install(void)
{
    const struct hira_server_api *api = &hira_server_api;
    for (uint32_t i = 0; i < api->n_functions; i++)
        if (api->functions[i].vendor)
            *(void **)api->functions[i].vendor = hira_fuzz_api.functions[i].stub;
    for (uint32_t type = 1; type < api->n_types; type++) {
        known[type] = hira_fuzz_made(type);
        hira_list_remove(&known[type]->link);
        hira_handle_to_id(known[type], type, false);
    }
}

static void must(bool ok, const char *what)
{
    if (!ok)
        found(what);
}

static void start(void)
{
    struct hira_server *server = &hira_server;
    uint32_t n = hira_server_api.n_functions;
    server->alone = true;
    server->n_map = n;
    server->map = calloc(n + 1, sizeof *server->map);
    must(server->map != NULL, "out of memory");
    for (uint32_t i = 0; i < n; i++)
        server->map[i] = (uint16_t)i;
    HIRA_AUTOCLOSE int segment = hira_fd_shared_memory("fuzz-arena", ARENA_SIZE), lane = hira_fd_shared_memory("fuzz-lane", HIRA_LANE_SIZE);
    must(hira_arena_init(&server->arena, 64ull << 20) == 0 && hira_arena_map(&server->arena, segment, ARENA_SIZE) == 0, "no arena");
    the_lane = aligned_alloc(HIRA_CACHE_LINE, HIRA_ALIGN_UP(sizeof *the_lane, (size_t)HIRA_CACHE_LINE));
    must(the_lane != NULL, "out of memory");
    *the_lane = (struct hira_server_lane){.memory = hira_memory_new()};
    must(hira_lane_map(&the_lane->callee.map, lane) == 0, "no lane");
    atomic_store(&the_lane->retired, UINT64_MAX);
    atomic_store(&server->lanes[0], the_lane);
    HIRA_AUTOCLOSE int callbacks_fd = hira_fd_shared_memory("fuzz-callbacks", HIRA_LANE_SIZE);
    struct hira_lane_map callbacks = {0};
    must(hira_lane_map(&callbacks, callbacks_fd) == 0 && hira_upcalls_open(&callbacks) == 0 && hira_lane_map(&reverse.map, callbacks_fd) == 0,
         "no callbacks");
    static struct hira_limits limits;
    static struct hira_shared shared;
    static struct hira_account account;
    hira_gate_init(&limits, &shared, &account, -1);
    hira_fuzz_install();
}

/* Remembers what of a record may be the name of an object. */
static void note_names(const uint64_t *words, size_t n)
{
    for (size_t i = 0; i < n && n_names < NAMES_MAX; i++) {
        unsigned type = HIRA_ID_TYPE(words[i]);
        if (type && type < hira_server_api.n_types && !(words[i] & HIRA_ID_SERVER))
            names[n_names++] = words[i];
    }
}

/* The guest's side of the callbacks: takes them all, and sees that each is a record. */
static void take_callbacks(void)
{
    static _Alignas(HIRA_CACHE_LINE) char copy[HIRA_RECORD_MAX];
    int size;
    while ((size = hira_callee_next(&reverse, (struct hira_record *)copy, false)) > 0) {
        const struct hira_record *record = (const struct hira_record *)copy;
        must(record->function < hira_server_api.n_callbacks && size >= (int)sizeof *record + 16, "a callback is malformed");
        hira_callee_release(&reverse);
        hira_callee_retire(&reverse, reverse.sequence);
    }
    must(size == 0, "the callbacks' lane is malformed");
}

/* What the input made and nobody released: the guest lets go of it. What is still there then, the server has lost. Objects of types
 * that are not counted end with the process only. */
static void release_objects(void)
{
    struct hira_list *pos, *next;
    hira_list_for_each (pos, next, &objects) {
        struct object *o = hira_list_entry(pos, struct object, link);
        uint64_t id;
        for (unsigned type = o->type; (id = hira_slot_find(o, type));)
            if (!hira_slot_release(id))
                break;
    }
    hira_pending_poll();
    hira_list_for_each (pos, next, &objects) {
        struct object *o = hira_list_entry(pos, struct object, link);
        must(!hira_server_api.types[o->type].release, "an object of the vendor's was lost");
        object_free(o);
    }
}

/* The objects that are always there have the same names in every input, whatever the server calls them once one was destroyed. */
static uint64_t known_ids[256]; /* 0: the usual one */
static bool known_renamed;

static uint64_t usual_id(unsigned type)
{
    return HIRA_ID(HIRA_ID_SERVER | type, type, type);
}

static void translate_ids(uint64_t *words, size_t n)
{
    for (size_t i = 0; known_renamed && i < n; i++) {
        unsigned type = HIRA_ID_TYPE(words[i]);
        if (type && type < hira_server_api.n_types && known_ids[type] && words[i] == usual_id(type))
            words[i] = known_ids[type];
    }
}

/* What an input has left in them goes. An error of an asynchronous call above all: nothing else would be served any more that names
 * the same. */
static void renew_known(void)
{
    for (unsigned type = 1; type < hira_server_api.n_types; type++) {
        const struct hira_server_type *t = &hira_server_api.types[type];
        struct hira_slot *slot = hira_slot_pin(known_ids[type] ? known_ids[type] : usual_id(type), type);
        if (!slot) {
            known_ids[type] = hira_handle_to_id(known[type], type, false);
            known_renamed = true;
            must(known_ids[type], "a known object could not be named again");
            continue;
        }
        atomic_store(&slot->poison, 0);
        if (slot->state && t->destroy)
            t->destroy(slot->state);
        if (slot->state)
            memset(slot->state, 0, hira_server_api.state_size);
        hira_slot_unpin(slot);
    }
}

/* Every input begins with the same objects: those of the one before are released, their commands end, and their callbacks come. */
static void settle(void)
{
    settling = true;
    hira_lane_finish(the_lane);
    atomic_store(&the_lane->retired, UINT64_MAX);
    hira_pending_poll();
    while (n_callbacks)
        callback_end(&callbacks[--n_callbacks]);
    while (n_names)
        hira_slot_release(names[--n_names]);
    release_objects();
    renew_known();
    take_callbacks();
    settling = false;
}

static uint16_t read16(const uint8_t *p)
{
    return (uint16_t)(p[0] | p[1] << 8);
}

/* One record off the front of the input: bytes taken. */
static size_t take_record(const uint8_t *data, size_t size, struct hira_record *record)
{
    size_t words = HIRA_MIN((size_t)read16(data + 4), WORDS_MAX), bytes = HIRA_MIN(words * 8, size - HEAD);
    memset(record, 0, sizeof *record + words * 8);
    record->function = hira_fuzz_function(read16(data));
    record->flags = data[2] & (HIRA_RECORD_SYNC | HIRA_RECORD_SPILLED | HIRA_RECORD_DEPS);
    record->size = (uint32_t)(sizeof *record + words * 8);
    memcpy(record->words, data + HEAD, bytes);
    translate_ids(record->words, words);
    choices = choices_of_record = data[3];
    return HEAD + bytes;
}

bool hira_fuzz_accepts(const uint8_t *data, size_t size)
{
    bool accepted = true;
    if (!the_lane)
        start();
    memset(hira_server.arena.base, 0xff, 64);
    memset(hira_server.arena.base + 64, 0, HIRA_FUZZ_MIRROR - 64);
    for (unsigned n = 0; size >= HEAD && n < RECORDS_MAX; n++) {
        struct hira_record *record = (struct hira_record *)the_lane->memory->record;
        size_t taken = take_record(data, size, record);
        bool ends = record->function == HIRA_FN_RELEASE && record->words[0] & HIRA_ID_SERVER; /* the known ones keep their names */
        memcpy(hira_server.arena.base + HIRA_FUZZ_MIRROR, record->words, record->size - sizeof *record);
        note_names(record->words, (record->size - sizeof *record) / 8);
        /* Bit 7 of the flags: the guest keeps all that it may already. */
        uint64_t kept = data[2] & 0x80 ? HIRA_PRIVATE_MAX : 0;
        atomic_fetch_add(&hira_server.private_bytes, kept);
        bool goes_on = ends || hira_serve_record(the_lane, record->size);
        atomic_fetch_sub(&hira_server.private_bytes, kept);
        if (!goes_on)
            accepted = false; /* a real server is gone now */
        if (!accepted)
            break;
        data += taken;
        size -= taken;
    }
    settle();
    return accepted;
}

int hira_fuzz_one(const uint8_t *data, size_t size)
{
    hira_fuzz_accepts(data, size);
    return 0;
}

/* ---- making records ---- */

#define MEMORIES_MAX 32u

struct maker {
    uint64_t seed, *p, *end;
    uint64_t n;       /* what counts of this record say */
    bool honest;      /* as an honest guest would, in everything */
    const struct hira_fuzz_function *function;
    struct {
        uint64_t *at;
        bool contents; /* stand behind it, if they are inline */
    } memories[MEMORIES_MAX];
    unsigned n_memories;
};

static uint64_t pick(struct maker *m, uint64_t below)
{
    return next_random(&m->seed) % below;
}

static void put(struct maker *m, uint64_t word)
{
    if (m->p < m->end)
        *m->p++ = word;
}

static void put_length(struct maker *m, unsigned kind, uint64_t length, bool contents)
{
    if (m->n_memories < MEMORIES_MAX && m->p < m->end) {
        m->memories[m->n_memories].at = m->p;
        m->memories[m->n_memories++].contents = contents;
    }
    put(m, HIRA_MEM_WORD(kind, length));
}

static uint64_t some_id(struct maker *m, unsigned type)
{
    if (m->honest)
        return pick(m, 16) ? HIRA_ID(HIRA_ID_SERVER | type, type, type) : 0;
    if (pick(m, 16) == 0)
        type = (unsigned)pick(m, hira_server_api.n_types);
    if (pick(m, 3) == 0)
        return pick(m, 4) ? HIRA_ID(HIRA_ID_SERVER | type, type, type) : 0;
    return HIRA_ID(1 + pick(m, 3) % (IDS - 1), 1, type);
}

static uint64_t some_word(struct maker *m)
{
    static const uint64_t interesting[] = {0, 1, 2, 4, 8, 64, 255, 4096, 0x7fffffff, 0x80000000, 0xffffffff, UINT64_MAX, 1ull << 63, 1ull << 61};
    if (m->function && m->function->n_constants && pick(m, 2))
        return m->function->constants[pick(m, m->function->n_constants)];
    if (pick(m, 2))
        return m->n;
    if (hira_fuzz_api.n_constants && pick(m, 2))
        return hira_fuzz_api.constants[pick(m, hira_fuzz_api.n_constants)];
    return interesting[pick(m, HIRA_ARRAY_SIZE(interesting))];
}

static uint64_t length_of(struct maker *m, const struct hira_fuzz_argument *a)
{
    uint64_t n = a->flags & HIRA_FUZZ_COUNTED ? m->n : 1;
    return m->honest || pick(m, 24) ? n * a->size : some_word(m) & 0xffff;
}

static void put_memory(struct maker *m, const struct hira_fuzz_argument *a, bool contents)
{
    uint64_t length = length_of(m, a), kind = length > 400 ? 1 : pick(m, 8);
    if (kind == 0) {
        put(m, HIRA_MEM_WORD(HIRA_MEM_NULL, 0));
    } else if (kind == 1) {
        put_length(m, HIRA_MEM_ARENA + (unsigned)pick(m, m->honest && pick(m, 4) ? 2 : 3), length, contents);
        put(m, m->honest || pick(m, 4) ? HIRA_FUZZ_MIRROR : some_word(m));
    } else {
        put_length(m, HIRA_MEM_INLINE, length, contents);
        for (uint64_t i = 0; contents && i < HIRA_WORDS(length) && m->p < m->end; i++)
            put(m, some_word(m));
    }
}

static void put_string(struct maker *m)
{
    uint64_t letters = pick(m, 8), word = 0;
    for (uint64_t i = 0; i < letters; i++)
        word |= (uint64_t)("aI- /x%."[pick(m, 8)]) << 8 * i;
    letters = letters < 7 || !m->honest ? letters : 6;
    put_length(m, HIRA_MEM_INLINE, m->honest || pick(m, 16) ? letters + 1 : letters, true);
    put(m, word);
}

static void put_list(struct maker *m, const struct hira_fuzz_argument *a)
{
    uint64_t pairs = pick(m, 3), size = a->size ? a->size : 8;
    put(m, HIRA_MEM_WORD(HIRA_MEM_INLINE, (2 * pairs + 1) * size));
    for (uint64_t i = 0; i < HIRA_WORDS((2 * pairs + 1) * size); i++)
        put(m, i < 2 * pairs ? some_word(m) : 0);
}

static const struct hira_fuzz_argument *behind(const struct hira_fuzz_argument *a)
{
    for (unsigned depth = 0; a->kind != HIRA_FUZZ_END || depth; a++)
        depth += (a->kind == HIRA_FUZZ_ARRAY) - (a->kind == HIRA_FUZZ_END);
    return a;
}

/* The end of the list. */
static const struct hira_fuzz_argument *put_arguments(struct maker *m, const struct hira_fuzz_argument *a)
{
    for (; a->kind != HIRA_FUZZ_END; a++)
        switch (a->kind) {
        case HIRA_FUZZ_ZERO:
            put(m, 0);
            break;
        case HIRA_FUZZ_WORD:
            put(m, a->flags & HIRA_FUZZ_COUNTED ? m->n : some_word(m));
            break;
        case HIRA_FUZZ_BYTES:
            for (uint64_t i = 0; i < HIRA_WORDS(a->size); i++)
                put(m, some_word(m));
            break;
        case HIRA_FUZZ_HANDLE:
            put(m, some_id(m, a->type));
            break;
        case HIRA_FUZZ_NEW:
            put(m, pick(m, 8) ? HIRA_ID(1 + pick(m, IDS - 1), pick(m, 4) ? 1 : pick(m, GENERATIONS), a->type) : 0);
            break;
        case HIRA_FUZZ_IN:
        case HIRA_FUZZ_INOUT:
        case HIRA_FUZZ_OUT:
            put_memory(m, a, a->kind != HIRA_FUZZ_OUT);
            break;
        case HIRA_FUZZ_STRING:
            put_string(m);
            break;
        case HIRA_FUZZ_LIST:
            put_list(m, a);
            break;
        case HIRA_FUZZ_HANDLES:
            if (m->honest && !pick(m, 4)) {
                put(m, HIRA_MEM_WORD(HIRA_MEM_NULL, 0));
                break;
            }
            put_length(m, m->honest || pick(m, 8) ? HIRA_MEM_INLINE : HIRA_MEM_NULL, m->n * 8, true);
            for (uint64_t i = 0, known_ones = pick(m, 4); i < m->n && m->p < m->end; i++)
                put(m, known_ones ? some_id(m, a->type) : HIRA_ID(HIRA_ID_SERVER | a->type, a->type, a->type));
            break;
        case HIRA_FUZZ_ARRAY: {
            uint64_t n = a->flags & HIRA_FUZZ_COUNTED ? m->n : 1;
            put(m, HIRA_MEM_WORD(HIRA_MEM_INLINE, n));
            for (uint64_t i = 0; i < n && m->p < m->end; i++)
                put_arguments(m, a + 1);
            a = behind(a + 1);
            break;
        }
        }
    return a;
}

/* ---- mending records ---- */

bool hira_fuzz_mends;

/* What the server has just found wrong with some memory. */
static _Thread_local struct {
    uint64_t is, want;
    bool any;
} misfit;

void __wrap_hira_misfit_size(struct hira_serve *s, uint64_t is, uint64_t want);
void __wrap_hira_misfit_size(struct hira_serve *s, uint64_t is, uint64_t want)
{
    misfit.is = is;
    misfit.want = want;
    misfit.any = true;
    hira_misfit(s);
}

/* Some memory of `is` bytes gets `want`, with its contents where they belong. False: there is none, or no room. */
static bool resize(struct maker *m, uint64_t is, uint64_t want)
{
    unsigned candidates[MEMORIES_MAX], n = 0;
    for (unsigned i = 0; i < m->n_memories; i++)
        if (HIRA_MEM_LENGTH(*m->memories[i].at) == is && HIRA_MEM_KIND(*m->memories[i].at))
            candidates[n++] = i;
    if (!n || want > ARENA_SIZE - HIRA_FUZZ_MIRROR)
        return false;
    unsigned which = candidates[pick(m, n)];
    uint64_t *at = m->memories[which].at;
    bool contents = m->memories[which].contents, was_inline = HIRA_MEM_KIND(*at) == HIRA_MEM_INLINE;
    bool is_inline = was_inline && want <= (contents ? 128 : HIRA_INLINE_MAX);
    size_t before = was_inline ? contents ? HIRA_WORDS(is) : 0 : 1, after = is_inline ? contents ? HIRA_WORDS(want) : 0 : 1;
    before = HIRA_MIN(before, (size_t)(m->p - at - 1));
    if (after > before && after - before > (size_t)(m->end - m->p))
        return false;
    memmove(at + 1 + after, at + 1 + before, (size_t)(m->p - at - 1 - (ptrdiff_t)before) * 8);
    for (size_t i = before; i < after; i++)
        at[1 + i] = some_word(m);
    if (!is_inline)
        at[1] = HIRA_FUZZ_MIRROR;
    *at = HIRA_MEM_WORD(is_inline ? HIRA_MEM_INLINE : was_inline ? HIRA_MEM_ARENA : HIRA_MEM_KIND(*at), want);
    m->p += (ptrdiff_t)after - (ptrdiff_t)before;
    for (unsigned i = 0; i < m->n_memories; i++)
        if (m->memories[i].at > at)
            m->memories[i].at += (ptrdiff_t)after - (ptrdiff_t)before;
    return true;
}

#define RECORD_WORDS 64u
#define MEND_TRIES 8u

static uint8_t mended[HEAD + RECORD_WORDS * 8];
static size_t mended_size; /* 0: none is being served */

/* A finding shows while the mutator is at work, and a fuzzer would keep the input before for it: so this one is told. */
static void tell_mended(void)
{
    if (mended_size)
        fprintf(stderr, "hira-fuzz: found by the mutator in the record ");
    for (size_t i = 0; i < mended_size; i++)
        fprintf(stderr, "%02x%s", mended[i], i + 1 < mended_size ? "" : "\n");
}

void __asan_on_error(void);
void __asan_on_error(void)
{
    tell_mended();
}

/* Lengths are the specification's expressions over other arguments, which only the server can tell. */
static void mend(struct maker *m, const uint8_t *head, const uint64_t *words)
{
    for (unsigned tries = 0; tries < MEND_TRIES; tries++) {
        size_t n = (size_t)(m->p - words);
        memcpy(mended, head, HEAD);
        mended[4] = (uint8_t)n;
        memcpy(mended + HEAD, words, n * 8);
        mended_size = HEAD + n * 8;
        misfit.any = false;
        hira_fuzz_accepts(mended, mended_size);
        mended_size = 0;
        if (!misfit.any || !resize(m, misfit.is, misfit.want))
            return;
    }
}

/* A record of some function, mostly as an honest guest writes it. Its bytes. */
static size_t make_record(uint8_t *to, size_t room, uint64_t seed)
{
    uint64_t words[RECORD_WORDS];
    struct maker m = {.seed = seed, .p = words, .end = words + HIRA_ARRAY_SIZE(words)};
    uint32_t function = (uint32_t)pick(&m, hira_server_api.n_functions + 1);
    bool release = function == hira_server_api.n_functions;
    m.honest = hira_fuzz_mends && pick(&m, 3) == 0;
    m.n = pick(&m, 4) ? pick(&m, 5) : pick(&m, 8) ? pick(&m, 40) : pick(&m, 6000); /* the last fits the arena only */
    if (!release && !hira_fuzz_api.functions[function].arguments)
        return 0;
    if (release) {
        put(&m, some_id(&m, (unsigned)pick(&m, hira_server_api.n_types)));
    } else {
        m.function = &hira_fuzz_api.functions[function];
        put_arguments(&m, m.function->arguments);
    }
    uint16_t name = release ? HIRA_FN_RELEASE : names_of[function];
    uint8_t head[HEAD] = {(uint8_t)name, (uint8_t)(name >> 8), (uint8_t)((pick(&m, 4) != 0) | (pick(&m, 32) ? 0 : 0x80)), (uint8_t)pick(&m, 256), 0, 0};
    if (m.honest)
        mend(&m, head, words);
    size_t n = (size_t)(m.p - words);
    if (HEAD + n * 8 > room)
        return 0;
    head[4] = (uint8_t)n;
    memcpy(to, head, HEAD);
    memcpy(to + HEAD, words, n * 8);
    return HEAD + n * 8;
}

/* Where the record after the one at `at` begins. */
static size_t record_end(const uint8_t *data, size_t size, size_t at)
{
    return size - at < HEAD ? size : HIRA_MIN(size, at + HEAD + 8u * read16(data + at + 4));
}

static size_t some_record(struct maker *m, const uint8_t *data, size_t size)
{
    size_t at = 0;
    for (uint64_t n = pick(m, 8); n && at < size; n--)
        at = record_end(data, size, at);
    return at < size ? at : 0;
}

/* One word of a record, or a byte of its head, becomes another. */
static void change_word(struct maker *m, uint8_t *data, size_t size, size_t at)
{
    size_t words = (record_end(data, size, at) - at - HIRA_MIN(HEAD, size - at)) / 8;
    m->n = pick(m, 8);
    if (!words || pick(m, 12) == 0) {
        if (size - at >= HEAD)
            data[at + 2 + pick(m, 3)] = (uint8_t)pick(m, 256);
        return;
    }
    uint64_t value;
    uint8_t *word = data + at + HEAD + 8 * pick(m, words);
    memcpy(&value, word, 8);
    switch (pick(m, 4)) {
    case 0: value = some_word(m); break;
    case 1: value ^= 1ull << pick(m, 64); break;
    case 2: value += pick(m, 33) - 16; break;
    case 3: value = some_id(m, (unsigned)pick(m, hira_server_api.n_types)); break;
    }
    memcpy(word, &value, 8);
}

size_t hira_fuzz_mutate(uint8_t *data, size_t size, size_t max, uint64_t seed, size_t (*bytes)(uint8_t *data, size_t size, size_t max))
{
    struct maker m = {.seed = seed};
    pthread_once(&named, name_functions);
    uint64_t what = pick(&m, 8);
    size_t at = some_record(&m, data, size), end = record_end(data, size, at);
    if (what == 0 && bytes)
        return bytes(data, size, max);
    if (what <= 2 || size < HEAD) /* one record more, at the end */
        return size + make_record(data + size, max - size, next_random(&m.seed));
    if (what == 3) { /* one less */
        memmove(data + at, data + end, size - end);
        return size - (end - at);
    }
    if (what == 4 && end - at <= max - size) { /* one twice */
        memmove(data + end + (end - at), data + end, size - end);
        memcpy(data + end, data + at, end - at);
        return size + (end - at);
    }
    if (what == 5) { /* another in its place, and all behind it gone */
        size_t made = make_record(data + at, max - at, next_random(&m.seed));
        return made ? at + made : size;
    }
    change_word(&m, data, size, at);
    return size;
}

/* ---- the dictionary ---- */

static void put_entry(const char *name, uint64_t value, unsigned bytes)
{
    printf("%s%s\"", name, *name ? "=" : "");
    for (unsigned i = 0; i < bytes; i++)
        printf("\\x%02x", (unsigned)(value >> 8 * i & 0xff));
    printf("\"\n");
}

void hira_fuzz_dictionary(void)
{
    static const char *const kinds[] = {"null", "inline", "arena", "block", "stream"};
    pthread_once(&named, name_functions);
    printf("# Words of the records of %s, as they stand in them: from its specification.\n", hira_server_api.name);
    for (uint32_t i = 0; i < hira_server_api.n_functions; i++)
        if (hira_fuzz_api.functions[i].arguments)
            put_entry(hira_server_api.functions[i].name, names_of[i], 2);
    for (uint32_t type = 1; type < hira_server_api.n_types; type++) {
        put_entry("", HIRA_ID(HIRA_ID_SERVER | type, type, type), 8);
        put_entry("", HIRA_ID(1, 1, type), 8);
    }
    for (unsigned kind = HIRA_MEM_NULL; kind <= HIRA_MEM_STREAM; kind++)
        for (uint64_t length = 0; length <= 16; length += 4)
            if (kind || !length) {
                char name[32];
                snprintf(name, sizeof name, "%s%llu", kinds[kind], (unsigned long long)length);
                put_entry(name, HIRA_MEM_WORD(kind, length), 8);
            }
    put_entry("mirror", HIRA_FUZZ_MIRROR, 8);
    put_entry("release", HIRA_FN_RELEASE, 2);
    put_entry("nop", HIRA_FN_NOP, 2);
    put_entry("later", HIRA_FN_LATER, 2);
    for (size_t i = 0; i < hira_fuzz_api.n_constants; i++)
        put_entry("", hira_fuzz_api.constants[i], 8);
}

/* The beginning of one input, to the end of a record, and the end of another, from the beginning of one. */
size_t hira_fuzz_cross(const uint8_t *a, size_t a_size, const uint8_t *b, size_t b_size, uint8_t *out, size_t max, uint64_t seed)
{
    struct maker m = {.seed = seed};
    size_t end = record_end(a, a_size, some_record(&m, a, a_size)), from = some_record(&m, b, b_size);
    end = HIRA_MIN(end, max);
    memcpy(out, a, end);
    size_t rest = HIRA_MIN(b_size - from, max - end);
    memcpy(out + end, b + from, rest);
    return end + rest;
}

/* ---- libFuzzer's names ---- */

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max) __attribute__((weak));
int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerCustomCrossOver(const uint8_t *a, size_t a_size, const uint8_t *b, size_t b_size, uint8_t *out, size_t max, unsigned seed);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    if (*argc == 2 && !strcmp((*argv)[1], "--dictionary")) {
        hira_fuzz_dictionary();
        exit(0);
    }
    hira_fuzz_mends = true;
    return 0;
}

size_t LLVMFuzzerCustomCrossOver(const uint8_t *a, size_t a_size, const uint8_t *b, size_t b_size, uint8_t *out, size_t max, unsigned seed)
{
    return hira_fuzz_cross(a, a_size, b, b_size, out, max, seed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    return hira_fuzz_one(data, size);
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed)
{
    return hira_fuzz_mutate(data, size, max, seed, LLVMFuzzerMutate);
}
