/*
 * The seam between a generated API server and the runtime under it: all that generated code and the spec's server code may
 * use.
 *
 * Serving a record is: hira_get_* for each parameter, hira_serve_ready, the vendor's function, hira_reply_* for each result.
 * Everything that comes out of a record is hostile. Decoding is sticky: the first thing that does not fit makes every later
 * get return zeros, and hira_serve_ready false; nothing of the vendor's has been called by then.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#ifndef HIRA_SERVER_SERVER_H
#define HIRA_SERVER_SERVER_H

#include <stdatomic.h>
#include <string.h>

#include "base/util.h"
#include "wire/record.h"
#include "wire/region.h"
#include "wire/share.h"

struct hira_serve;

/* ---- what the generated code provides ---- */

struct hira_server_function {
    const char *name;
    uint32_t signature;
    void (*serve)(struct hira_serve *s);
    void *const *vendor; /* where the vendor's function is kept; NULL: needs none (internal functions) */
    bool extension;      /* not a symbol of the vendor's library: looked up by hira_server_api.extension */
    uint8_t gate;        /* HIRA_FUNCTION_* */
    uint8_t recorded;    /* HIRA_RECORDED_*: see making objects anew */
};

#define HIRA_FUNCTION_DEFERRED 1 /* the gate may put an event of its own into the command's wait list */
#define HIRA_FUNCTION_UNBLOCKS 2 /* others wait for it: it never waits for a rate */

/* How the gate makes commands wait, in the spec's words: events of this API that it completes itself. Called from any thread. */
struct hira_gate_ops {
    void *(*make)(void *queue);   /* one that is not complete, of the queue's context; NULL: cannot be had */
    void (*open)(void *event);    /* completes it and lets go of it */
    int (*state)(void *event);    /* of a command: 0 waits for others, 1 runs or is about to, 2 has ended, negative: badly */
    bool (*call)(void *event, void (*done)(void *cookie), void *cookie); /* calls once it has ended. False: cannot */
    void (*retain)(void *event);
    void (*release)(void *event);
    bool (*ordered)(void *queue); /* its commands run one after the other */
    uint64_t (*took)(void *event); /* device time of a command that has ended, ns; 0: the vendor does not tell. NULL: it never does */
    bool (*on_processor)(void);   /* the device is the processor; NULL: it is not */
    void *(*device)(void *queue); /* whose commands it takes, one that the vendor lists; NULL: not told, or of all */
};

/* Making objects anew: what whoever does that, elsewhere or later, finds in the tables. Nothing here calls it. */

#define HIRA_RECORDED_MADE 1    /* the call is to be made again for what it makes: see hira_made */
#define HIRA_RECORDED_BELONGS 2 /* for what hira_serve.belongs says */

/* The spec's `contents`: state of an object that calls alone do not bring back. While no command of the object runs. */
struct hira_contents {
    uint64_t (*size)(void *vendor); /* 0: none of its own */
    bool (*save)(void *vendor, void *data, uint64_t size);
    bool (*restore)(void *vendor, const void *data, uint64_t size);
};

#define HIRA_KEYS_MAX 4

/* The spec's `recorded(object, key, ...)`: a call belongs to how the object came to be as it is, and a later one with equal keys, of any
 * function, takes its place. Without keys none does. */
struct hira_belongs {
    unsigned type; /* 0: to no object, but to the application */
    void *object;  /* the vendor's handle */
    uint32_t n_keys;
    uint64_t keys[HIRA_KEYS_MAX];
};

struct hira_server_type {
    const char *name;
    void (*retain)(void *vendor);   /* NULL: not counted */
    void (*release)(void *vendor);
    int (*done)(void *vendor);      /* 0 running, positive ended well, negative failed; NULL: no command */
    void (*destroy)(void *state);   /* spec's `server destroy` */
    void (*devices)(void (*add)(void *device, const char *name)); /* adds each of the vendor's, in order; NULL: they are no devices */
    const struct hira_contents *contents; /* NULL: calls alone bring it back */
};

/* What values are called, for people. */
struct hira_constants {
    const struct hira_constant {
        const char *name;
        uint64_t value; /* as an int64_t, extended */
    } *list;
    size_t n;
    bool flags; /* values are sums of these */
};

struct hira_server_api {
    const char *name;
    const char *vendor;             /* library to load; $HIRA_VENDOR overrides it */
    const struct hira_server_function *functions;
    uint32_t n_functions;
    const struct hira_server_type *types; /* index 0 is no type */
    uint32_t n_types;
    const struct hira_constants *errors; /* what functions return, or NULL */
    size_t state_size;              /* the largest `server state`; 0: none */
    uint32_t n_callbacks;
    void *(*extension)(const char *name); /* address of an extension function, or NULL */
    void (*warm)(void);             /* initializes devices: runs in a server before it has a guest; or NULL */
    const char *(*describe)(void);  /* one line on the vendor for `--check`, or NULL */
    const char *const *environment; /* "NAME=value" set for every server of this API before the vendor is loaded; NULL-terminated */
    const char *const *guest_environment; /* patterns of variables that a guest may set; NULL-terminated */
    const char *vendor_choice, *vendor_folder; /* the variable that says where the vendor's drivers are, and the default; or NULL */
    const struct hira_gate_ops *gate; /* NULL: commands cannot be made to wait, or there are none */
    const char *cache; /* the variable that says where the vendor keeps what it compiled: a folder of the tenant's; or NULL */
};

extern const struct hira_server_api hira_server_api;

/* Everything of a generated server's main(). */
int hira_server_main(int argc, char **argv);

/* ---- decoding ---- */

struct hira_out { /* memory that the vendor fills */
    void *data;
    uint64_t size;
    uint8_t kind;   /* HIRA_MEM_* as the guest wants it back */
    uint64_t offset;
};

#define HIRA_OUTS_MAX 64
#define HIRA_PINS_LOCAL 32

struct hira_slot;
struct hira_server_lane;
struct hira_registration;
struct hira_mapping;
struct hira_storage;

struct hira_serve {
    struct hira_server_lane *lane;
    const uint64_t *p, *end;
    bool bad;                        /* not what an honest guest sends: it is dropped */
    bool starved;                    /* out of memory: the rest was not decoded, and not fitting it proves nothing */
    bool sync, quiet, kept;
    uint8_t status;                  /* HIRA_REPLY_*, when not OK the vendor is not called */
    uint8_t invalid;
    int64_t code;
    uint64_t *reply, *reply_end;
    uint32_t n_outs, n_pins;
    struct hira_out outs[HIRA_OUTS_MAX];
    struct hira_slot *pins_local[HIRA_PINS_LOCAL], **pins;
    uint32_t pins_capacity;
    struct hira_slot *first;         /* the first handle named: takes the blame of a failed asynchronous call */
    struct hira_slot *claimed;       /* see hira_claim */
    struct hira_registration *registration;
    struct hira_stream *stream;
    uint64_t stream_size, stream_moved;
    bool stream_out;
    struct hira_mapping *mapping;    /* to be filled when the command is done */
    struct hira_storage *storage;    /* device memory that this call was charged for */
    uint64_t due, began;             /* the gate's: not before; when it was let in */
    uint64_t owed_calls, owed_bytes; /* what is due then, if that is later */
    uint8_t gate;                    /* of the function */
    bool failed;                     /* the call was made, and did not succeed */
    struct hira_trace *trace;        /* it is written down */
    struct hira_belongs *belongs;    /* gets to what the call belongs; NULL: nobody records */
    uint64_t n_cells, cells[HIRA_OUTS_MAX];
};

/* What came does not fit: the guest is dropped, unless decoding has stopped for want of memory. */
static inline void hira_misfit(struct hira_serve *s)
{
    s->bad |= !s->starved;
}

static inline uint64_t hira_get_word(struct hira_serve *s)
{
    if (hira_likely(s->p < s->end))
        return *s->p++;
    hira_misfit(s);
    return 0;
}

static inline double hira_get_double(struct hira_serve *s)
{
    uint64_t bits = hira_get_word(s);
    double value;
    memcpy(&value, &bits, 8);
    return value;
}

void hira_get_bytes(struct hira_serve *s, void *data, uint64_t size);

/* Everything was decoded and may be given to the vendor. */
static inline bool hira_serve_ready(const struct hira_serve *s)
{
    return hira_likely(!s->bad && s->status == HIRA_REPLY_OK);
}

/* After the last get: a record that goes on is as little what an honest guest sends as one that ends early. Whether all is well so far. */
static inline bool hira_get_end(struct hira_serve *s)
{
    if (hira_unlikely(s->p != s->end))
        hira_misfit(s);
    return hira_serve_ready(s);
}

/* The vendor's handle for an id of this type; NULL for 0. */
void *hira_get_handle(struct hira_serve *s, unsigned type);

/* An array of handles in private memory; *ret_size in bytes. */
void *hira_get_handles(struct hira_serve *s, uint64_t *ret_size, unsigned type);

/* Memory that the vendor reads. Private and aligned, unless `payload`: then it may lie in the arena, where the guest can
 * change it at any time. NULL for NULL. */
void *hira_get_in(struct hira_serve *s, uint64_t *ret_size, bool payload);

/* Memory that the vendor writes (zeroed when private), for hira_reply_out in the same order. */
void *hira_get_out(struct hira_serve *s, uint64_t *ret_size, bool payload);
void *hira_get_inout(struct hira_serve *s, uint64_t *ret_size, bool payload);

/* A NUL-terminated string in private memory (one without a terminator is refused), or NULL. */
char *hira_get_string(struct hira_serve *s);

/* Bytes in private memory, a NUL behind them. */
char *hira_get_text(struct hira_serve *s, uint64_t *ret_size);

/* Key, value pairs; ids under keys for which type_of gives a type become vendor handles. Two ends are put behind it. */
void *hira_get_properties(struct hira_serve *s, uint64_t end, unsigned (*type_of)(uint64_t key));

/* Private memory until the call has ended (or, with hira_keep, until its command has). Zeroed. NULL and sticky when out of it. */
void *hira_scratch(struct hira_serve *s, uint64_t size);

/* The application's callback, NULL if it gave none. *ret_cookie is what the vendor gets as the trampoline's cookie: the
 * registration, or without a callback just the application's value, which the vendor may compare with NULL. */
struct hira_registration *hira_get_callback(struct hira_serve *s, unsigned index, bool once, void **ret_cookie);

/* A list ended by a terminator that the caller checks; zeros are put behind it. */
void *hira_get_list(struct hira_serve *s, uint64_t *ret_size);

/* The number of elements of an array whose elements follow one by one, UINT64_MAX for NULL; *ret_size: bytes of that many. */
uint64_t hira_get_count(struct hira_serve *s, uint64_t *ret_size, uint64_t element_size);

/* Refuses the record unless the condition holds: what the guest says of sizes must agree with the parameters. */
static inline void hira_expect(struct hira_serve *s, bool condition)
{
    if (hira_unlikely(!condition))
        hira_misfit(s);
}

/* The same for memory of `is` bytes, which must be `want`. Its misfit says both, to whom it may concern: see fuzz.c. */
void hira_misfit_size(struct hira_serve *s, uint64_t is, uint64_t want);
static inline void hira_expect_size(struct hira_serve *s, uint64_t is, uint64_t want)
{
    if (hira_unlikely(is != want))
        hira_misfit_size(s, is, want);
}

/* count * size without wrapping: UINT64_MAX when it does not fit. */
static inline uint64_t hira_times(uint64_t count, uint64_t size)
{
    uint64_t product;
    return __builtin_mul_overflow(count, size, &product) ? UINT64_MAX : product;
}

static inline uint64_t hira_least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* Whether this call's memory may stay until its command has ended. False and sticky when the guest keeps too much already. */
bool hira_may_keep(struct hira_serve *s);

/* The memory of this call stays until the command of the handle that it makes has ended: see hira_made. */
void hira_keep(struct hira_serve *s);

/* ---- results ---- */

/* The call has been made: whether it succeeded and the API's code. An asynchronous failure poisons what the call made, or the
 * first object that it named. First of the results. */
void hira_serve_result(struct hira_serve *s, bool ok, int64_t code, uint64_t word);

/* The `valid` bytes of an out memory from hira_get_out; every one not NULL, in order. */
void hira_reply_out(struct hira_serve *s, const void *data, uint64_t valid);

void hira_reply_word(struct hira_serve *s, uint64_t word);
void hira_reply_bytes(struct hira_serve *s, const void *data, uint64_t size);
/* The string that the call returns, NULL allowed. One too long for the reply waits in the lane until it is fetched; for one longer than
 * HIRA_STRING_MAX the call fails. */
void hira_reply_string(struct hira_serve *s, const char *text);

static inline uint64_t hira_double_bits(double value)
{
    uint64_t bits;
    memcpy(&bits, &value, 8);
    return bits;
}

/* A new object under the guest's id (0: the guest wants none, a handle made all the same is released when done). */
void hira_made(struct hira_serve *s, uint64_t id, unsigned type, void *vendor, bool ok);

/* Vendor handles become ids, in place. `owned`: the call made them for the application; else they are borrowed and the server
 * takes its own reference of those not known yet. */
void hira_handles_to_ids(struct hira_serve *s, void *data, uint64_t bytes, unsigned type, bool owned);
uint64_t hira_handle_to_id(void *vendor, unsigned type, bool owned);

/* Before a call that ends the object of this handle (`deallocates`; NULL: none): its name is taken away, and what other lanes still do
 * with it is waited for, for a while. False and sticky when they go on, or have ended it: no two calls end one object, none uses one
 * that another ends. */
bool hira_claim(struct hira_serve *s, unsigned type, void *vendor);
/* After it: the claimed object is gone. Without this its name is given back. */
void hira_gone(struct hira_serve *s);

/* The spec's state beside a vendor handle of an object that this call names or that is alive; NULL if unknown. */
void *hira_server_state(void *vendor, unsigned type);

/* ---- devices: see devices.c ---- */

/* The tenant does not see all of them: set before its guest is served. */
extern bool hira_devices_hidden;

/* Of a list of `n` elements of `width` bytes with a device at `offset` those stay that the tenant sees. How many. */
uint64_t hira_devices_keep(void *list, uint64_t n, size_t width, size_t offset);

/* ---- answers that are not just the vendor's ---- */

/* Of a list of words with blanks between them, those stay that no pattern matches (`*` and `?`; NULL ends the patterns), with the blanks
 * behind them. In place; returns its size with the NUL. */
size_t hira_keep_words(char *list, const char *const *hidden);

/* The same of an array of structs of `width` bytes with a name in `name_size` bytes at `name_offset`; returns the bytes that stay. */
size_t hira_keep_records(void *list, size_t size, size_t width, size_t name_offset, size_t name_size, const char *const *hidden);

/* Of an integer of `size` bytes (up to 8) only these bits stay. */
void hira_keep_bits(void *value, uint64_t size, uint64_t bits);

/* A property list in an answer, of `size` bytes: under keys for which type_of gives a type, the vendor's handles become ids. */
void hira_properties_to_ids(struct hira_serve *s, void *list, uint64_t size, uint64_t end, unsigned (*type_of)(uint64_t key));

/* ---- the gate: what a tenant may use, see server/gate.h ---- */

extern const struct hira_limits *hira_gate_limits;

/* Whether anything is limited: the one look that every call takes. */
static inline uint32_t hira_gate_closed(void)
{
    return atomic_load_explicit(&hira_gate_limits->gate, memory_order_relaxed);
}

/* `consumes(bytes, n)`: so many are moved. */
void hira_gate_bytes(struct hira_serve *s, uint64_t n);
static inline void hira_consume_bytes(struct hira_serve *s, uint64_t n)
{
    if (hira_gate_closed())
        hira_gate_bytes(s, n);
}

/* `consumes(memory, n)`: charges a tenant for device memory. False: it has not so much left. What was charged goes to the object that
 * the call makes, and is given back when that has gone; or at once, if the call makes none. */
bool hira_charge(struct hira_serve *s, uint64_t n);
/* `holds(handle)`: the object that the call makes keeps the memory of this one, which the call names. */
void hira_hold(struct hira_serve *s, void *vendor);

/* The same for memory that is no object's: the spec's code says when it goes. */
bool hira_charge_bytes(uint64_t n);
void hira_discharge_bytes(uint64_t n);

/* How much a tenant may have in all; UINT64_MAX: no limit. */
uint64_t hira_memory_quota(void);

/* `deferred(queue, n, list, event)`: a command whose wait list may be made longer. */
struct hira_deferral {
    void *queue;
    uint64_t n;
    void *const *list;
    void **event; /* where its event goes, NULL: the application wants none */
    bool timed;   /* it takes device time */
    bool done;    /* n, list and event are others now */
    void *own, *gate;
    struct command *command;
};

/* While hira_gate_closed(). Whether n, list and event are others now. */
bool hira_gate_defer(struct hira_serve *s, struct hira_deferral *d);
/* After the call, if that was so. */
void hira_gate_called(struct hira_deferral *d, bool ok);
static inline void hira_gate_deferred(struct hira_deferral *d, bool ok)
{
    if (d->done)
        hira_gate_called(d, ok);
}

/* For parameters of the API's types: a variable `deferral`, and what of them the gate changed. */
#define HIRA_DEFER(s, queue_, n_, list_, event_, timed_)                                                               \
    struct hira_deferral deferral = {.queue = (void *)(uintptr_t)(queue_), .n = (n_), .list = (void *const *)(list_),  \
                                     .event = (void **)(event_), .timed = (timed_)};                                   \
    if (hira_gate_closed() && (deferral.done = hira_gate_defer(s, &deferral))) {                                       \
        (n_) = (__typeof__(n_))deferral.n;                                                                             \
        (list_) = (void *)deferral.list;                                                                               \
        (event_) = (void *)deferral.event;                                                                             \
    }

/* ---- what is written down of calls: see trace.c ---- */

/* While s->trace: what came, by "KIND:NAME" of each argument with a blank between them. Kinds and what stands for them: i int64_t, u uint64_t,
 * c constants and a value that may be among them, f double; h a handle: its type, the vendor's; a handles: their type, the vendor's, bytes; n the id of something made; s a string; p a pointer;
 * r, w, x memory that is read, written, both: where, bytes. */
void hira_trace_call(struct hira_serve *s, const char *format, ...);

/* ---- streams ---- */

/* In and out memory of functions whose spec says `stream`: a pointer as from hira_get_in and hira_get_out, or one for which
 * hira_is_stream() holds. Such memory is not there yet: it must be received, or sent, whole and once. */
void *hira_get_in_stream(struct hira_serve *s, uint64_t *ret_size);
void *hira_get_out_stream(struct hira_serve *s, uint64_t *ret_size);
bool hira_is_stream(const struct hira_serve *s, const void *p);
/* Moves the next `size` bytes. False: the guest does not keep up its end, or more than agreed was asked for. */
bool hira_stream_receive(struct hira_serve *s, void *to, uint64_t size);
bool hira_stream_send(struct hira_serve *s, const void *from, uint64_t size);

/* ---- mapped memory ---- */

/* A region in two layouts: the application's and the vendor's. Bytes; pitches of 0 are those of packed rows. */
struct hira_region {
    uint64_t width, rows, slices;
    uint64_t row, slice;               /* the application's pitches */
    uint64_t vendor_row, vendor_slice;
};

/* The vendor has mapped `at` for the object `owner`; the application looks at `data` (an out memory of this call; may be the same
 * memory). With `fill` the region is copied there once the command that the call makes is done, at once if `now`. */
void hira_mapping_add(struct hira_serve *s, uint64_t number, void *owner, void *data, void *at, const struct hira_region *region, bool fill,
                      bool now);

/* The vendor's address of the mapping; NULL if there is none of this number for this object. What the application wrote
 * (`data`, NULL if it only read) is copied there, if the map was done and `size` is its size. */
void *hira_mapping_flush(uint64_t number, void *owner, const void *data, uint64_t size);
void hira_mapping_remove(uint64_t number, void *owner);

/* The same of memory in one piece. */
static inline void hira_mapping_add_bytes(struct hira_serve *s, uint64_t number, void *owner, void *data, void *at, uint64_t size, bool fill,
                                          bool now)
{
    const struct hira_region whole = {.width = size, .rows = 1, .slices = 1};
    hira_mapping_add(s, number, owner, data, at, &whole, fill, now);
}

bool hira_in_arena(const void *p);

/* ---- memory at equal addresses ---- */

/* Allocations of the vendor's that the guest has at the same addresses (hira_shared_add there). They begin at a page's beginning, so the
 * vendor is asked for HIRA_SHARED_MORE bytes more than the application wants, and `base` is what it gave.
 * Add: the address that the guest is to have, NULL without memory (or base). Has: whether so many bytes from an address on lie in one: only
 * such may the vendor touch. Take: of the one that begins there, its base, once; NULL: there is none, or it has been taken.
 * `ret_size` (NULL allowed): the size with which it may be added again, should the vendor have refused to take it back. */
#define HIRA_SHARED_MORE 8192u
void *hira_shared_add(void *base, uint64_t size);
bool hira_shared_has(const void *p, uint64_t size);
void *hira_shared_take(const void *at, uint64_t *ret_size);

/* ---- callbacks ---- */

struct hira_registration {
    uint64_t function, user_data; /* the guest's: never followed here */
    uint64_t id, made;            /* ids of the first object that the registering call named, and of the one it made */
    void *vendor;                 /* the first object's handle */
    _Atomic uint8_t references;   /* the registering call's, the vendor's */
    uint16_t index;
    bool once;
};

struct hira_up {
    struct hira_registration *registration;
    uint64_t words[126]; /* larger callbacks are cut: only texts for people come that long */
    uint32_t n;
};

bool hira_up_begin(struct hira_up *u, struct hira_registration *r);
void hira_up_word_put(struct hira_up *u, uint64_t word);
void hira_up_bytes_put(struct hira_up *u, const void *data, uint64_t size); /* a struct by value */
/* A vendor handle inside a struct becomes an id, in place. */
void hira_up_handle_turn(struct hira_up *u, void *handle, unsigned type);
void hira_up_handle_put(struct hira_up *u, void *vendor, unsigned type);
void hira_up_memory_put(struct hira_up *u, const void *data, uint64_t size);
void hira_up_post(struct hira_up *u);
/* Waits for the application's function and its result, zeros when the guest is gone. */
void hira_up_call(struct hira_up *u, void *result, uint64_t size);

/* ---- surroundings ---- */

/* The command that this asynchronous call began goes on; finish(what) waits for it. The call's private memory, and what
 * it reads in the arena, stay as they are until then. `finish` is called once for all such calls that follow each other
 * with the same `what`: before anything else is served in their lane, and when there is nothing to serve. Until then none
 * of them is retired, so that nobody else can tell. A synchronous call is finished at once. */
void hira_leave(struct hira_serve *s, void (*finish)(void *what), void *what);

/* One lock for what the spec's server code keeps. */
void hira_server_lock(void);
void hira_server_unlock(void);

/* From now on the vendor may print: what it printed comes before the reply to the call that shows a command complete. */
void hira_expect_output(void);

/* An options string with shipped files (see hira_put_options): absolute directories name the server's copies. */
char *hira_get_options(struct hira_serve *s, const char *flag);

/* Takes the place of the server's copies out of what the vendor says, in place: paths are as the application knows them. */
void hira_unprefix(char *text);

/* Loads `name` (dlopen) unless done, and looks a symbol up. NULL if there is none. */
void *hira_vendor_symbol(const char *name);

#endif
