/*
 * The seam between a generated guest library and the runtime under it: all that generated stubs and the spec's guest code
 * may use. The library lives in other people's processes: it links libc only, never exits, never prints but what the
 * vendor printed, keeps errno, and on the warm path of a call neither allocates nor enters the kernel.
 *
 * A stub is: hira_call_begin, one hira_put_* per parameter, then hira_call_sync and one hira_take_* per result, or
 * hira_call_async. What goes wrong in between is remembered in the call; the stub asks once.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#ifndef HIRA_GUEST_GUEST_H
#define HIRA_GUEST_GUEST_H

#include <stdatomic.h>
#include <string.h>

#include "base/util.h"
#include "channel/arena.h"
#include "channel/lane.h"
#include "wire/record.h"
#include "wire/region.h"

/* ---- what the generated code provides ---- */

struct hira_function_info {
    const char *name;
    uint32_t signature; /* hash of the prototype and how it is carried: both halves must agree */
};

struct hira_upcall; /* a callback that has arrived */

struct hira_guest_type {
    const char *name;
    bool immutable;                                     /* see lapis: no call changes it after creation */
    bool counted;                                       /* has a release verb: the last reference is reported */
    void (*destroy)(void *object, void *state);         /* spec's `guest destroy`, or NULL */
};

struct hira_guest_api {
    const char *name;
    const struct hira_function_info *functions;
    uint32_t n_functions;
    const struct hira_guest_type *types;                /* index 0 is no type */
    uint32_t n_types;
    size_t state_size;                                  /* the largest `guest state` */
    const void *dispatch;                               /* first word of every object */
    void (*const *upcalls)(struct hira_upcall *);       /* by callback index */
    uint32_t n_upcalls;
    const char *const *environment;                     /* globs of variables handed to the vendor, NULL-terminated */
    bool order_all;
};

extern const struct hira_guest_api hira_guest_api;

/* ---- objects ---- */

/* What a handle of the application points to. */
struct hira_object {
    const void *dispatch;
    uint64_t id;
    _Atomic uint32_t refs;   /* the application's references; those that the API can query */
    _Atomic uint32_t holds;  /* 1 while refs > 0, and 1 per object made from this one: the id lives as long */
    _Atomic uint64_t lanes;  /* bit (lane % 64): an asynchronous record of that lane changed it */
    uint64_t birth;          /* sequence of the asynchronous record that made it; 0: made synchronously */
    uint16_t birth_lane;
    uint8_t type;
    _Atomic uint8_t live;    /* 0 no; 1 yes; 2 seen in a result, of no reference of the application yet */
    uint32_t index;
    struct hira_object *parent; /* what it was made from and keeps alive */
    _Atomic uint32_t pended; /* how many calls may have left work pending in it (types that `pends`) */
    _Atomic uint32_t drained;/* how many of them had when it was last known that nothing pends */
    struct hira_answers *_Atomic answers; /* cached about it, or NULL */
    uint64_t uses;           /* how many objects this slot has held: generations come round again, this does not */
    _Alignas(16) char state[];
};

/* The object behind a handle, or NULL if it is none of this type (never follows a wild pointer). */
struct hira_object *hira_object(const void *handle, unsigned type);

/* The spec's state beside a live handle (of the type's `guest state` struct); NULL for what is no such handle. */
void *hira_state(const void *handle, unsigned type);

/* The type of the live object that this value points to, 0 if none: for arguments whose type only their value tells. */
unsigned hira_object_type(const void *value);

/* Reference counts of the application. Retain: false if it is no such object. Release: sends the release when the last
 * reference and the last object made from it are gone. */
bool hira_object_retain(const void *handle, unsigned type);
bool hira_object_release(const void *handle, unsigned type);
uint32_t hira_object_refs(const void *handle);

/* What pends in an object, counted in calls: one that leaves something behind says so once it is published; one that waits for
 * everything reads the count before it is sent and says afterwards that nothing is left of those. Handles that are none count
 * nothing, and never look drained. */
void hira_object_pend(const void *handle);
uint32_t hira_object_pended(const void *handle);
void hira_object_drained(const void *handle, uint32_t pended);
bool hira_drained(const void *handle); /* for the spec's conditions: nothing pends that this application has asked for */

/* Whether two live objects were made from the same one. */
bool hira_siblings(const void *a, const void *b);

/* ---- calls ---- */

#define HIRA_TEMPS_MAX 24 /* out and in memories of one call that need a block */

struct hira_guest_lane;

struct hira_temp {
    uint64_t block;   /* arena offset */
    void *to;         /* application memory to fill when done, or NULL */
    uint64_t size;
    bool rows;        /* a struct hira_rows stands behind the block's contents: only they are filled */
    bool in;          /* what is there goes with the record */
    bool flows;       /* it moves while the relay carries it */
    const void *from; /* of an in memory that flows: what is to be copied into it when the record is on its way */
    uint64_t taken;   /* of an out memory that flows: so many bytes were copied to the application */
};

/* What is read of an in memory, or written of an out memory, in bytes; pitches of 0 are those of packed rows. */
struct hira_rows {
    uint64_t offset, width, rows, row, slices, slice;
};

static inline struct hira_rows hira_rows_of(uint64_t offset, uint64_t width, uint64_t rows, uint64_t row, uint64_t slices, uint64_t slice)
{
    row = row ? row : width;
    return (struct hira_rows){offset, width, rows, row, slices, slice ? slice : row * rows};
}

struct hira_call {
    struct hira_guest_lane *lane;
    struct hira_record *record;
    uint64_t *p, *end;
    const uint64_t *reply, *reply_end;
    uint64_t spill;                  /* arena block that the payload moved to, or HIRA_ARENA_NONE */
    uint32_t reply_room;             /* bytes that inline results may still take */
    uint16_t function;
    uint8_t invalid;                 /* type of the first handle that was none */
    bool async, quiet, failed, creation_only, until_done, more_output;
    bool lost;                       /* memory that was to come behind the reply has not */
    uint8_t n_temps, next_temp, n_deps, n_news;
    int64_t code;                    /* of a poisoned object */
    uint8_t status;                  /* HIRA_REPLY_* */
    struct hira_object *parent;      /* the first handle put: what new objects are made from */
    struct hira_object *news[4];
    struct hira_rows rows;           /* the stub sets it before it puts a memory of which only these are read or written */
    struct hira_temp stream;         /* block HIRA_ARENA_NONE: none */
    bool stream_out;
    struct hira_temp temps[HIRA_TEMPS_MAX];
    uint64_t deps[2 * HIRA_DEPS_MAX];
};

/* How a call is carried: a word of flags known when it begins. */
enum {
    HIRA_CALL_SYNC = 0,
    HIRA_CALL_ASYNC = 1,
    HIRA_CALL_UNTIL_DONE = 2,    /* its memory is used until the command it starts has ended */
    HIRA_CALL_AFTER_CREATION = 4,/* ordered after the creation of what it names only */
    HIRA_CALL_AFTER_ALL = 8,     /* ordered after every returned call */
    HIRA_CALL_QUIET = 16,        /* might as well be asynchronous: its answer tells of no command whether it has ended */
};

/* Begins a call. False when there is no server, it is gone, or it does not know this function: then nothing that is put goes
 * anywhere, and sending fails. */
bool hira_call_begin(struct hira_call *c, unsigned function, unsigned how);

/* hira_call_async if the call began so, else hira_call_sync. */
static inline bool hira_call_send(struct hira_call *c);

/* Sends and waits. True: the reply is there, take the results in order. False: c->status tells why: HIRA_REPLY_FAILED,
 * HIRA_REPLY_INVALID (c->invalid is the handle's type) or HIRA_REPLY_POISONED (c->code). */
bool hira_call_sync(struct hira_call *c);

/* Sends. False as above. */
bool hira_call_async(struct hira_call *c);

static inline bool hira_call_send(struct hira_call *c)
{
    return c->async ? hira_call_async(c) : hira_call_sync(c);
}

/* Whether all that was taken has come. Else the call is over, and has failed as one that was not answered. */
bool hira_call_lost(struct hira_call *c); /* its slow half: false */
static inline bool hira_call_whole(struct hira_call *c)
{
    return hira_likely(!c->lost) || hira_call_lost(c);
}

/* Ends a sync call after its results were taken: `ok` when the API reported success; new objects come alive or go. */
void hira_call_end(struct hira_call *c, bool ok);

void hira_call_spill(struct hira_call *c, uint64_t bytes); /* slow half of hira_put_room */
void hira_call_dep(struct hira_call *c, struct hira_object *object);

static inline uint64_t *hira_put_room(struct hira_call *c, uint64_t words)
{
    if (hira_unlikely((uint64_t)(c->end - c->p) < words)) {
        hira_call_spill(c, words * 8);
        if (c->failed)
            return NULL;
    }
    uint64_t *p = c->p;
    c->p += words;
    return p;
}

static inline void hira_put_word(struct hira_call *c, uint64_t value)
{
    uint64_t *p = hira_put_room(c, 1);
    if (hira_likely(p != NULL))
        *p = value;
}

static inline void hira_put_double(struct hira_call *c, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, 8);
    hira_put_word(c, bits);
}

/* Bytes as they are, padded: structs by value. */
void hira_put_bytes(struct hira_call *c, const void *data, uint64_t size);

/* A handle of this type; NULL is carried as NULL. */
void hira_put_handle(struct hira_call *c, const void *handle, unsigned type);

/* Memory that the call reads. `payload`: opaque contents that may stay in the arena; else it is always copied into the record. */
void hira_put_in(struct hira_call *c, const void *data, uint64_t size, bool payload);

/* Memory that the call writes; filled by hira_take_out in the same order. `until_done`: the vendor writes it until the command has
 * ended, and the application's memory is filled then. */
void hira_put_out(struct hira_call *c, void *data, uint64_t size, bool payload);

/* Both: contents go and come back. */
void hira_put_inout(struct hira_call *c, void *data, uint64_t size, bool payload);

/* As hira_put_in and hira_put_out of payload, but large memory moves while the call is being served, if `stream` and the server
 * side of this function can do so. */
void hira_put_in_stream(struct hira_call *c, const void *data, uint64_t size, bool stream);
void hira_put_out_stream(struct hira_call *c, void *data, uint64_t size, bool stream);

void hira_put_handles(struct hira_call *c, const void *handles, uint64_t n, unsigned type);
void hira_put_string(struct hira_call *c, const char *s); /* NUL-terminated, NULL allowed */

/* A new object that the call makes. `wanted` false: the application gave no place for it, nothing is made. */
struct hira_object *hira_put_new(struct hira_call *c, bool wanted, unsigned type);

/* Key, value pairs (pointer-sized) ended by a key equal to `end`; under keys for which type_of gives a type, values are handles. */
void hira_put_properties(struct hira_call *c, const void *list, uint64_t end, unsigned (*type_of)(uint64_t key), size_t width);

/* A callback of the application with its cookie; `index` says what type of function it is. NULL function: none. */
void hira_put_callback(struct hira_call *c, unsigned index, void (*function)(void), const void *user_data);

/* ---- results, in the order of the puts ---- */

static inline uint64_t hira_take_word(struct hira_call *c)
{
    return hira_likely(c->reply < c->reply_end) ? *c->reply++ : 0;
}

static inline double hira_take_double(struct hira_call *c)
{
    uint64_t bits = hira_take_word(c);
    double value;
    memcpy(&value, &bits, 8);
    return value;
}

void hira_take_bytes(struct hira_call *c, void *data, uint64_t size);

/* The handle that the result word names: known, or made now. `owned`: the application got a reference. */
void *hira_take_handle(struct hira_call *c, unsigned type, bool owned);

/* Fills what hira_put_out / hira_put_inout announced; `store` false: skip (the API reported failure). Returns the bytes that are
 * valid. */
uint64_t hira_take_out(struct hira_call *c, void *data, uint64_t size, bool store);

/* The same for an array of handles (ids in the reply become pointers). */
void hira_take_handles(struct hira_call *c, void *handles, uint64_t n, unsigned type, bool owned, bool store);

/* A string that lives as long as the object of this handle, or (NULL) as the process; equal ones of one life are one. NULL for NULL, and
 * when so many are kept already (guest/limits.h). */
const char *hira_take_string(struct hira_call *c, const void *owner);

/* Turns ids inside a result that was taken into pointers, in place. */
void hira_ids_to_handles(void *data, uint64_t bytes, unsigned type);

/* ---- asynchrony ---- */

/* Remembers shapes of calls that succeeded. Key: any hash of the function and the values named in the spec. */
bool hira_once_seen(uint64_t key);
void hira_once_add(uint64_t key);

static inline uint64_t hira_mix(uint64_t h, uint64_t value)
{
    h = (h ^ value) * 0x9e3779b97f4a7c15ull;
    return h ^ h >> 29;
}

static inline uint64_t hira_mix_words(uint64_t h, const uint64_t *words, size_t n)
{
    for (size_t i = 0; i < n; i++)
        h = hira_mix(h, words[i]);
    return h;
}
#define HIRA_MIX(h, ...) hira_mix_words(h, (const uint64_t[]){__VA_ARGS__}, sizeof((const uint64_t[]){__VA_ARGS__}) / sizeof(uint64_t))

static inline uint64_t hira_mix_bytes(uint64_t h, const void *data, uint64_t size)
{
    const char *p = data;
    for (; p && size >= 8; p += 8, size -= 8) {
        uint64_t word;
        memcpy(&word, p, 8);
        h = hira_mix(h, word);
    }
    uint64_t rest = size | (p ? 0 : 1ull << 32);
    for (; p && size; p++, size--)
        rest = rest << 8 | (uint8_t)*p;
    return hira_mix(h, rest);
}

/* count * size without wrapping: UINT64_MAX when it does not fit. */
static inline uint64_t hira_times(uint64_t count, uint64_t size)
{
    uint64_t product;
    return __builtin_mul_overflow(count, size, &product) ? UINT64_MAX : product;
}

/* Tells a live handle's object from every other that was or will be at its address: part of once keys and of cached answers'. */
uint64_t hira_handle_key(const void *handle);

/* The same for an array of handles. With `origins` they stand for commands, of which each is new: only what they were made from
 * counts, for whether they may be named beside the call's other objects. */
uint64_t hira_mix_handles(uint64_t h, const void *handles, uint64_t n, bool origins);

/* ---- cached answers ---- */

/* A cache of query answers: by function, object, selector. Get: true and the answer (bytes and size) copied out. */
struct hira_answer {
    int64_t ret;
    uint64_t size;
    const void *data;
};
const struct hira_answer *hira_cache_get(unsigned function, const void *handle, uint64_t selector, uint64_t extra);
void hira_cache_put(unsigned function, const void *handle, uint64_t selector, uint64_t extra, int64_t ret, const void *data,
                    uint64_t size);

/* ---- answers that are not just the vendor's ---- */

/* Tells `size` bytes at `data` as a query's answer: copied to `value` (NULL: not asked for), which has room for `room`, and their number
 * to `ret_size` (NULL allowed). False, and nothing told: they do not fit. */
bool hira_answer(const void *data, size_t size, void *value, uint64_t room, size_t *ret_size);

/* The same of an expression's value. */
#define HIRA_ANSWER(expr, value, room, ret_size) \
    ({ \
        const __typeof__(expr) hira_answer_ = (expr); \
        hira_answer(&hira_answer_, sizeof hira_answer_, value, room, ret_size); \
    })

/* `value` (4 or 8 bytes) is the vendor's count of references to an object, of which it holds one for all of the application's: they
 * are added instead of that one. */
void hira_add_references(void *value, uint64_t size, const void *object);

/* A property list in an answer, of `size` bytes: under keys for which type_of gives a type, ids become handles. */
void hira_properties_to_handles(void *list, uint64_t size, uint64_t end, unsigned (*type_of)(uint64_t key));

/* ---- callbacks ---- */

struct hira_upcall {
    const uint64_t *p, *end;
    uint64_t *result, *result_end; /* of a callback that is waited for */
    bool bad;
};
#define HIRA_UP_RESULT_WORDS 64 /* the largest struct that a callback returns: 512 bytes; an API's is checked when it is built */
uint64_t hira_up_word(struct hira_upcall *u);
void hira_up_bytes(struct hira_upcall *u, void *data, uint64_t size); /* a struct by value */
void hira_up_result(struct hira_upcall *u, const void *data, uint64_t size);

static inline double hira_up_double(struct hira_upcall *u)
{
    uint64_t bits = hira_up_word(u);
    double value;
    memcpy(&value, &bits, 8);
    return value;
}

void *hira_up_handle(struct hira_upcall *u, unsigned type);
/* Bytes in the record, valid during the callback; NULL for NULL. */
const void *hira_up_memory(struct hira_upcall *u, uint64_t *ret_size);

/* ---- the application's surroundings ---- */

/* An options string with the files that its directories (each behind `flag`) hold for the sources noted: see guest/files.c. */
void hira_put_options(struct hira_call *c, const char *options, const char *flag);
void hira_note_includes(const char *text, size_t size); /* a source that options may be put for */

/* Arena memory for spec code (mapped buffers). NULL when the limit is reached. In arena: whether the server sees what is there, too. */
void *hira_arena_get(uint64_t size);
void hira_arena_put(void *p);
bool hira_in_arena(const void *p, uint64_t size);

/* ---- mapped memory ---- */

/* Where the application finds an object's contents when it maps them: in the guest state of types that are `mapped`, zeroed when the
 * object begins and ended with it. Maps of one byte lie at one address, as natively: so the object has one memory for all of them,
 * which is the application's own where the object was made over that, and a block of the arena otherwise, from the first map on. A map
 * for which that has no room has a block of its own. Any thread may map; the memory's contents are the application's affair. */
struct hira_host {
    char *at;                /* NULL: none yet */
    uint64_t size;
    bool ours;               /* `at` is a block of the arena, to be given back */
    struct hira_host *whole; /* of a part: what it is a part of, which lives as long; its memory is that one's, from `origin` on */
    uint64_t origin;
    struct hira_map *maps;   /* what is mapped now, newest first */
};

/* One map, from the call that makes it to the one that ends it. */
struct hira_map {
    struct hira_map *next;
    char *at;                /* what the application is given */
    uint64_t size;
    uint64_t number;         /* what the server knows it by, see hira_mapping_add() there: never 0, never the same */
    bool written;            /* the application may write there */
    bool ours;               /* `at` is a block of this map's own */
};

/* The object's memory is this: the application's, of unknown size, or (`ours`) a block of `size` bytes, taken over. NULL: none. */
void hira_host_set(struct hira_host *host, void *at, uint64_t size, bool ours);

/* The object is a part of another, from this byte on. */
void hira_host_part(struct hira_host *host, struct hira_host *whole, uint64_t origin);

/* Whether the object (NULL: none) lacks memory for its maps; and the giving of it, where nobody else was faster: `size` is that of the
 * whole object, if it is a part. */
bool hira_host_lacks(const struct hira_host *host);
void hira_host_reserve(struct hira_host *host, uint64_t size);

/* The application's own memory that the object was made over; NULL where there is none. */
void *hira_host_address(const struct hira_host *host);

/* Ends it: what is still mapped goes, the object's memory too. Generated. */
void hira_host_fini(struct hira_host *host);

/* Begins a map of `size` bytes from this offset on. NULL, where there is no object, no room or no memory: the call is made all the same,
 * for the vendor's refusal comes first, with address NULL and number 0. */
struct hira_map *hira_map_begin(struct hira_host *host, uint64_t offset, uint64_t size, bool written);
/* The same of memory that lies where it lies. */
struct hira_map *hira_map_begin_at(void *at, uint64_t size, bool written);
static inline void *hira_map_at(const struct hira_map *map)
{
    return map ? map->at : NULL;
}
static inline uint64_t hira_map_number(const struct hira_map *map)
{
    return map ? map->number : 0;
}

/* The call has been made. `ok`: the map counts from now on, and is what the application gets; else it is dropped. NULL for NULL. */
void *hira_map_end(struct hira_host *host, struct hira_map *map, bool ok);

/* The newest map at this address, taken out of the object's; NULL: there is none. */
struct hira_map *hira_map_take(struct hira_host *host, const void *at);
/* The call that should have ended it has been made; not `ended`: it counts again. NULL allowed. */
void hira_map_put(struct hira_host *host, struct hira_map *map, bool ended);

/* ---- memory at equal addresses ---- */

/* Allocations of the vendor's that have the same addresses here, in private pages: contents cross where the specification copies them.
 * Add: zeroed memory at just these addresses (page-aligned); false: they are taken, or memory is. Has: whether an address lies in one.
 * Forget: of the one that begins there; nothing is written to it any more. */
bool hira_shared_add(void *at, uint64_t size);
bool hira_shared_has(const void *p);
void hira_shared_forget(const void *at);

/* One lock for what the spec's guest code keeps in objects' states. */
void hira_state_lock(void);
void hira_state_unlock(void);

/* True in an API server: a guest library loaded there shows nothing. */
bool hira_inside_server(void);

/* Whether device memory is limited here: then calls that take some wait for their answer, which may be that there is none left. */
bool hira_limited(void);

/* Whether the server is on another host: then it does not see what is written to the arena, but what calls name of it, when they do. */
bool hira_remote(void);

#endif
