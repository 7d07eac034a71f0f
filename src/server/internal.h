/* What the files of the server runtime share. Not for generated code.
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef HIRA_SERVER_INTERNAL_H
#define HIRA_SERVER_INTERNAL_H

#include <pthread.h>

#include "base/text.h"
#include "channel/arena.h"
#include "channel/lane.h"
#include "channel/transport.h"
#include "server/server.h"
#include "wire/account.h"
#include "wire/handshake.h"
#include "server/gate.h"

/* Under the address sanitizer every memory of a call is a block of its own, so that one byte too far is seen. */
#if defined(__SANITIZE_ADDRESS__)
#define HIRA_EXACT_MEMORY 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HIRA_EXACT_MEMORY 1
#endif
#endif
#ifndef HIRA_EXACT_MEMORY
#define HIRA_EXACT_MEMORY 0
#endif

/* Private memory of one call: the copied record and what was allocated while serving it. */
struct hira_memory {
    struct hira_memory *next;
    struct hira_chunk *chunks;  /* beyond `scratch` */
    char *spilled;              /* a copied payload from the arena */
    uint64_t spilled_bytes;
    size_t used;
    uint64_t chunk_bytes;
    _Alignas(HIRA_CACHE_LINE) char record[HIRA_RECORD_MAX];
    _Alignas(HIRA_CACHE_LINE) char scratch[16 * 1024]; /* most calls need less than 1 KiB */
};

struct hira_chunk {
    struct hira_chunk *next;
    _Alignas(16) char data[];
};

/* Commands of calls that have returned, begun one after the other: see hira_leave. */
struct hira_left {
    void (*finish)(void *what); /* NULL: there are none */
    void *what;
    uint16_t function;          /* the guest's index: calls of it go on without waiting */
    uint32_t n;
    uint64_t sequence;          /* of the last one's record; none of them is retired */
    struct hira_memory *memory; /* of the calls: a list */
};

struct hira_server_lane {
    struct hira_callee callee;
    uint32_t index;
    _Atomic uint64_t retired;      /* our own copy: the shared one is the guest's to overwrite */
    struct hira_memory *memory;
    uint32_t depth;                /* callbacks of its guest's thread that are waited for, one inside the other */
    bool ended;                    /* that thread has ended inside one */
    struct hira_left left;
    char *later;                   /* a string too long for the reply that it belongs to, until it is fetched; NULL: none */
    uint64_t later_size;
    struct hira_account_lane *account;
};

struct hira_server {
    struct hira_transport *transport;
    bool alone;                    /* no guest at the other end: what only a guest could bring is not waited for */
    const struct hira_hello *hello;
    uint16_t *map;                 /* the guest's function index -> ours, 0xffff: none */
    uint32_t n_map;
    struct hira_arena arena;
    uint64_t max_arena;
    uint32_t max_lanes;
    struct hira_server_lane *_Atomic lanes[HIRA_LANES_MAX];
    uint32_t n_lanes;
    struct hira_account *account;
    _Atomic uint32_t dep_waiters, dep_epoch;
    pthread_mutex_t memory_lock;
    struct hira_memory *free_memory;
    uint32_t n_free_memory;
    _Atomic uint64_t private_bytes; /* of all calls, those included whose commands go on: at most HIRA_PRIVATE_MAX */
    char directory[64];
};

extern struct hira_server hira_server;

/* One guest, from its HELLO to its hang-up. Does not return while the guest lives; the process is to exit then. */
int hira_serve_guest(struct hira_transport *transport, const struct hira_hello *hello, size_t hello_size);

/* The vendor's call goes on, but by a callback that waits for the application; or that has answered. The calling thread's account
 * says so, if it has one: the application's time is not the vendor's. */
void hira_account_other_side(void);

/* Ends the process: the guest sent what no honest one sends, or is gone. */
_Noreturn void hira_server_stop(const char *why);

/* Function of ours by name and signature, or -1. */
int hira_find_function(const char *name, size_t length, uint32_t signature);

struct hira_memory *hira_memory_new(void);
void hira_memory_free(struct hira_memory *memory);

/* Counts memory that a guest makes us keep. Take: false when it keeps too much already. */
static inline bool hira_private_take(uint64_t bytes)
{
    uint64_t before = atomic_fetch_add_explicit(&hira_server.private_bytes, bytes, memory_order_relaxed);
    if (hira_likely(before <= HIRA_PRIVATE_MAX && bytes <= HIRA_PRIVATE_MAX - before))
        return true;
    atomic_fetch_sub_explicit(&hira_server.private_bytes, bytes, memory_order_relaxed);
    return false;
}

static inline void hira_private_give(uint64_t bytes)
{
    atomic_fetch_sub_explicit(&hira_server.private_bytes, bytes, memory_order_relaxed);
}

static inline bool hira_private_room(void)
{
    return atomic_load_explicit(&hira_server.private_bytes, memory_order_relaxed) <= HIRA_PRIVATE_MAX - sizeof(struct hira_memory);
}

/* HIRA_FN_LATER: the string that hira_reply_string has put off. Drop: it is not wanted any more. */
void hira_serve_later(struct hira_serve *s);
void hira_later_drop(struct hira_server_lane *lane);

/* Decoding stops for want of memory: the call fails, the guest is not dropped. NULL. */
void *hira_starve(struct hira_serve *s);

/* Serves one record already copied to lane->memory. False: the guest is to be dropped. */
/* Waits for the commands that were only begun: see hira_leave. */
void hira_lane_finish(struct hira_server_lane *lane);
bool hira_serve_record(struct hira_server_lane *lane, uint32_t size);

/* Loads the vendor's library; makes no threads. 0, or -1 with a sentence. */
int hira_vendor_load(char *error, size_t error_size);
/* Initializes devices and looks up extension functions; may make threads. */
void hira_vendor_warm(void);

/* ---- objects ---- */

struct hira_slot {
    void *vendor;
    _Atomic uint64_t id;           /* 0: free */
    _Atomic uint32_t pins;         /* 1 while the guest holds the id, and 1 per call that uses it */
    _Atomic uint32_t owed;         /* vendor references to give back */
    _Atomic int64_t poison;        /* nonzero: calls naming it return this */
    struct hira_slot *next_hash;
    void *state;
    struct hira_storage *storage;  /* device memory that it has */
    struct hira_slot *_Atomic later; /* more room under the same index, while released objects are still in use here */
};

struct hira_slot *hira_slot_pin(uint64_t id, unsigned type);
void hira_slot_unpin(struct hira_slot *slot);
bool hira_slot_install(uint64_t id, unsigned type, void *vendor, int64_t poison);
bool hira_slot_release(uint64_t id);
/* Takes the name of a pinned slot away and waits until the guest and the caller (`mine` pins) alone hold it. False: it is no good any
 * more, or others still hold it. */
bool hira_slot_claim(struct hira_slot *slot, uint32_t mine);
void hira_slot_unclaim(struct hira_slot *slot);
/* Gives memory to an object that is there. Takes it over. */
void hira_slot_keep(uint64_t id, unsigned type, struct hira_storage *storage);
uint64_t hira_slot_find(void *vendor, unsigned type); /* id or 0 */

/* ---- devices ---- */

/* A guest has come: settles which its tenant sees. */
void hira_devices_choose(void);
/* The number, as in hirad.conf, of the device of a queue, of which `device` tells. 0 where there is one device only, or it
 * is not known. Any thread. */
unsigned hira_device_number(void *(*device)(void *queue), void *queue);
bool hira_device_hidden(const void *device, unsigned type);
/* Their numbers and names, a line each. */
void hira_devices_print(void);

/* ---- mappings ---- */

struct hira_mapping;
/* Its map is done: copies for the application; drops the caller's reference. NULL allowed. */
void hira_mapping_done(struct hira_mapping *mapping, bool well);
/* The object goes, and with it what is mapped of it: nothing is copied there any more. */
void hira_mapping_forget(const void *owner);

/* ---- completions ---- */

/* After the command of `vendor` has ended: marks the cells, frees the memory. `owned`: releases the handle too. */
void hira_pending_add(void *vendor, unsigned type, const uint64_t *cells, uint64_t n_cells, struct hira_memory *memory,
                      struct hira_mapping *mapping);
void hira_pending_fail(const uint64_t *cells, uint64_t n_cells);
void hira_pending_poll(void);

/* ---- output ---- */

bool hira_output_start(void);
/* Puts what was printed behind the values of a reply; returns the flags, and the new end through `end`. */
uint16_t hira_output_attach(uint64_t **end, uint64_t *limit);

/* ---- callbacks ---- */

void hira_registration_drop(struct hira_registration *r); /* NULL allowed */

/* The call that this thread serves; NULL: none. */
extern __thread struct hira_serve *hira_serving;

/* Has a callback run by the guest's thread that waits for the call `s`, behind `posted` callbacks of the reverse lane, and serves what it
 * calls meanwhile. *result is left as it is when it cannot be had. */
void hira_serve_callback(struct hira_serve *s, uint16_t index, uint64_t posted, const uint64_t *words, uint32_t n, void *result,
                         uint64_t result_size);

/* Opens the reverse lane, which has been mapped; takes the mapping over. 0, or -errno: it is the caller's still. */
int hira_upcalls_open(const struct hira_lane_map *map);

#endif
