/*
 * The account of one guest: what its server has done for it, in a page that hirad reads.
 *
 * The zygote makes the memory file, sealed, before it forks the server, and keeps it: so an account outlives hirad and
 * the server cannot put another in its place. Each of the server's threads writes to a line of its own, with plain
 * stores: counting costs a call two of them, and no two threads share a line.
 *
 * The reader trusts nothing of it: a server belongs to its guest. Sums only grow, and what no processor could have done
 * is cut off (src/router/account.c).
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#ifndef HIRA_WIRE_ACCOUNT_H
#define HIRA_WIRE_ACCOUNT_H

#include <stdatomic.h>

#include "base/util.h"

#define HIRA_ACCOUNT_LANES 512u /* as many as a server has lanes at most */

struct hira_account_lane {
    _Alignas(
        HIRA_CACHE_LINE) _Atomic uint64_t state; /* odd while a call is with the vendor; another value for each call */
    _Atomic uint64_t calls;                      /* records served */
    _Atomic uint64_t errors;                     /* of which the vendor refused, or which named nothing */
    _Atomic uint64_t bytes;                      /* of records, and of the arena's memory that they name */
};

/* Of one function: counted while HIRA_GATE_MEASURE is set. */
struct hira_account_function {
    _Atomic uint64_t calls, ns;
};

#define HIRA_ACCOUNT_BUCKETS 32u   /* of durations: the i-th holds those below 2^i * 128 ns; the last everything */
#define HIRA_ACCOUNT_FUNCTIONS 1024u /* by the server's index; in the last those from there on together, so that it has no name */

/* What the gate counts (server/gate.c); several threads add, so these are atomic instructions, all of them off the way of a call that
 * nothing limits. */
struct hira_account_gate {
    _Alignas(HIRA_CACHE_LINE) _Atomic uint64_t busy_ns; /* device time */
    _Atomic uint64_t commands;                          /* that took it */
    _Atomic uint64_t deferred;                          /* commands that waited */
    _Atomic uint64_t waits, wait_ns;                    /* calls that waited, and for how long */
    _Atomic uint64_t memory;                            /* bytes of device memory charged now, by this server */
    _Atomic uint64_t denied;                            /* calls */
    _Atomic uint64_t queue;                             /* commands that wait now */
    _Atomic uint64_t owed_calls, owed_bytes;            /* taken from rates by what still waits for them */
    _Atomic uint64_t durations[HIRA_ACCOUNT_BUCKETS];
    struct hira_account_function functions[HIRA_ACCOUNT_FUNCTIONS];
};

struct hira_account {
    _Atomic uint32_t n_lanes; /* lines in use */
    _Atomic uint32_t
        taken; /* the server has got its guest: read by the zygote after a hirad that was killed while it gave one */
    struct hira_account_lane lanes[HIRA_ACCOUNT_LANES];
    struct hira_account_gate gate;
};

#define HIRA_ACCOUNT_SIZE HIRA_ALIGN_UP(sizeof(struct hira_account), 4096ul)

/* One thread writes a line, so no counter needs a locked instruction. `lane` may be NULL: nobody counts. */
static inline void hira_account_add(_Atomic uint64_t *counter, uint64_t n)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n, memory_order_relaxed);
}

static inline void hira_account_error(struct hira_account_lane *lane)
{
    if (lane)
        hira_account_add(&lane->errors, 1);
}

static inline void hira_account_bytes(struct hira_account_lane *lane, uint64_t n)
{
    if (lane)
        hira_account_add(&lane->bytes, n);
}

/* Entering and leaving the vendor. */
static inline void hira_account_turn(struct hira_account_lane *lane)
{
    if (lane)
        hira_account_add(&lane->state, 1);
}

#endif
