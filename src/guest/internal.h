/* What the files of the guest runtime share. Not for generated code.
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef HIRA_GUEST_INTERNAL_H
#define HIRA_GUEST_INTERNAL_H

#include <pthread.h>

#include "channel/transport.h"
#include "guest/guest.h"
#include "guest/limits.h"
#include "wire/handshake.h"

/* Until the end of the block no cancellation ends this thread: in a call it would leave locks held and memory lent, where natively there
 * mostly is no cancellation point at all. It ends at its next one. */
#define HIRA_UNCANCELLED HIRA_CLEANUP(hira_cancellable) HIRA_UNUSED const int hira_cancel_state_ = hira_uncancellable()

static inline int hira_uncancellable(void)
{
    int before;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before);
    return before;
}

static inline void hira_cancellable(const int *before)
{
    pthread_setcancelstate(*before, NULL);
}

/* One thread's way to the server. Never freed while the process lives: another thread may still read `asynchronous`. */
struct hira_guest_lane {
    struct hira_caller caller;
    uint32_t index;
    _Atomic uint64_t asynchronous;  /* sequence of the last asynchronous record whose call has returned */
    struct hira_guest_lane *next_free;
    pid_t late;                     /* its thread, which may end without giving it back; 0: it will */
    uint32_t depth;                 /* callbacks that calls of this thread are waiting for, one inside the other */
    /* Arena blocks that the server may read until the record in their user[0] has retired, oldest first. */
    uint64_t loans, last_loan;
    uint64_t filling;               /* the blocks that a call of this thread is filling while a relay sends them, or HIRA_ARENA_NONE */
};

/* The connection: one for the life of a process (a forked child gets its own). */
struct hira_connection {
    struct hira_transport transport;
    _Atomic bool dead;
    bool strict;                   /* HIRA_STRICT=1: every call synchronous */
    bool limited;                  /* see hira_limited() */
    bool remote;                   /* see hira_remote() */
    uint8_t *known;                /* bit per function: the server has it */
    uint32_t max_lanes;
    pthread_mutex_t control;       /* one request on the socket at a time; also the list of free lanes */
    struct hira_guest_lane *free_lanes;
    struct hira_guest_lane *_Atomic lanes[HIRA_LANES_MAX];
    _Atomic uint32_t n_lanes;
    struct hira_arena arena;
};

extern struct hira_connection hira_connection;

/* Connects if need be. False: there is no server (errno says why), or it is gone. */
bool hira_connect(void);

/* Zeroed private memory at just these addresses (page-aligned). False: they are taken. */
bool hira_map_pages_at(void *address, uint64_t size);
void hira_unmap_pages_at(void *address, uint64_t size);

/* What answers a HELLO. */
union hira_welcome_message {
    struct hira_welcome welcome;
    struct hira_refused refused;
    char bytes[sizeof(struct hira_welcome) + HIRA_FUNCTIONS_MAX / 8 + 8 + sizeof(struct hira_slice)];
};

/* Takes such a message of `n` bytes to heart. 0, or -errno: the connection is as it was. */
int hira_take_welcome(struct hira_connection *k, union hira_welcome_message *m, size_t n);

/* For tests: the next connection goes over this transport, which is taken over, not to a router. */
void hira_connect_over(const struct hira_transport *transport);

/* This thread's lane, opened if need be; NULL when there is none to be had. */
struct hira_guest_lane *hira_lane(void);

/* Asks on the control socket and receives the answer of type `want` with at most one descriptor. 0 or -errno. */
int hira_request(const void *request, size_t size, enum hira_message_type want, void *answer, size_t answer_size, int *ret_fd);

bool hira_alive(void *context);

/* A detached thread that takes none of the application's signals. 0 or a positive error number. */
int hira_thread_start(void *(*run)(void *context), void *context);

/* The reverse lane and its thread; started once. False: it cannot be had. */
bool hira_callbacks_start(void);

/* From another kernel: who takes callbacks is to look for one. */
void hira_callbacks_woken(void);

/* Runs a callback, if the application has registered its function. False: it has forked, and this is the child. */
bool hira_callback_run(uint64_t index, struct hira_upcall *u);
/* Waits until so many callbacks of the reverse lane have been run, unless this thread is running one of them. */
void hira_callbacks_settle(uint64_t posted);
/* The same for one that has arrived on the reverse lane, `size` bytes copied to private memory. */
bool hira_callback_take(const struct hira_record *record, uint32_t size);

/* A forked child: everything inherited is the parent's. */
void hira_objects_forget(void);
void hira_pending_forget(void);
void hira_cache_forget(void);
void hira_callbacks_forget(void);
void hira_state_forget(void);
void hira_files_forget(void);

/* Bytes of address space to reserve where `want` would be best: less where the process is limited (RLIMIT_AS). */
uint64_t hira_address_space(uint64_t want);

/* What is cached about an object that goes, or whose slot begins anew; its strings go, too. */
void hira_answers_forget(struct hira_object *object);

/* The string of these bytes that lives as long as the object of this handle (NULL: as the process), with a NUL behind them. NULL: no
 * such object, or too many are kept. */
const char *hira_string_keep(const void *owner, const char *text, uint64_t size);

/* Texts, each once: see strings.c. Zeros: none yet. The caller has a lock. */
struct hira_strings {
    struct hira_string **buckets;
    uint64_t n, n_buckets;
    uint64_t bytes; /* of them all, with what keeping them takes */
};
/* NULL: there is no memory, or it would come to more than `most` bytes more. */
const char *hira_strings_keep(struct hira_strings *in, const char *text, uint64_t size, uint64_t most);
void hira_strings_fini(struct hira_strings *in);

/* Objects by id: the live one, or NULL. */
struct hira_object *hira_object_by_id(uint64_t id);
/* The same, but a guest-named id that is no longer live still gives the handle it had: what a callback is told. */
struct hira_object *hira_object_named(uint64_t id);
struct hira_object *hira_object_new(unsigned type, struct hira_object *parent);
void hira_object_drop(struct hira_object *object);    /* its release has been sent */
void hira_object_abandon(struct hira_object *object); /* the call that should have made it failed */

/* Applies what the server has completed: fills the application's memory and frees blocks. */
void hira_pending_apply(void);
/* The application's memory goes: nothing is filled there any more. */
void hira_pending_drop(const void *at, uint64_t size);
/* Copies only the rows, from one memory to another of the same layout. */
void hira_rows_copy(const struct hira_rows *rows, char *to, const char *from);
/* Copies a block's contents to the application's memory: all of them, or the rows that the block ends with. */
void hira_block_copy_out(uint64_t block, void *to, uint64_t size, bool rows);
bool hira_pending_too_much(void);
uint64_t hira_pending_bytes(void);
void hira_pending_add(const struct hira_temp *temp);

/* An arena block is freed once the lane's record of this sequence has retired. This thread's lane only. */
void hira_lend(struct hira_guest_lane *lane, uint64_t block, uint64_t sequence);

/* Asks the server for nothing: completions and output come with the reply. */
void hira_nop(void);

#endif
