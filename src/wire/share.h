/*
 * What a tenant may use, and what it has used: two pages of memory between hirad and all servers of one tenant.
 *
 * The limits are hirad's to write; a server maps them for reading and keeps no descriptor by which it could do
 * otherwise (server/zygote.c). The shares are what the servers of one tenant have in common and change by atomic
 * instructions: the state of token buckets, and the bytes of device memory that are charged. So a limit holds across
 * all processes of a tenant, costs no message and no system call, and goes on holding while hirad is away.
 *
 * A server that its guest has taken over can write what it likes into the shares: it deceives its own tenant's
 * accounts, and is held by the system's limits (docs/threat-model.md). No other tenant's servers have the page. A
 * server that finds nonsense there waits no longer than HIRA_WAIT_MAX_NS for it.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#ifndef HIRA_WIRE_SHARE_H
#define HIRA_WIRE_SHARE_H

#include <stdatomic.h>

#include "base/util.h"

/* Why a call has to look closer. None set: it passes at the cost of this one look. */
enum hira_gate_bit {
    HIRA_GATE_CALLS = 1,    /* calls a second are limited */
    HIRA_GATE_BYTES = 2,    /* bytes a second are */
    HIRA_GATE_TIME = 4,     /* device time a second is */
    HIRA_GATE_TURNS = 8,    /* commands that take device time need a turn (see wire/handshake.h) */
    HIRA_GATE_PAUSED = 16,  /* nothing begins */
    HIRA_GATE_MEASURE = 32, /* calls are timed, for metrics */
    HIRA_GATE_RULES = 64,   /* some functions are denied */
    HIRA_GATE_TRACE = 128,  /* calls are written down */
};

/* However the shares look: a transfer of the largest size at the lowest rate takes longer, but then whoever set that
 * rate can change it. */
#define HIRA_WAIT_MAX_NS (3600ull * 1000000000u)

struct hira_rate {
    _Atomic uint64_t rate;  /* units a second; 0: no limit */
    _Atomic uint64_t burst; /* units */
    _Atomic uint64_t since; /* CLOCK_MONOTONIC, ns: what asked before that asks again */
};

#define HIRA_RULES_MAX 3072  /* some hundred names: whoever denies more denies by pattern */
#define HIRA_TRACE_MAX 64    /* one pattern */
#define HIRA_DEVICES_MAX 768 /* as many as a machine has, by number; those of one kind by pattern */

struct hira_limits {
    _Atomic uint32_t gate;    /* HIRA_GATE_*; a futex: woken when it changes */
    _Atomic uint32_t version; /* grows with every change, odd while one is made */
    struct hira_rate calls, bytes, time;
    _Atomic uint64_t memory; /* bytes of device memory that may be charged; 0: no limit */
    _Atomic uint64_t beat;   /* CLOCK_MONOTONIC, ms, when hirad was last there, while turns are waited for */
    /* Rules on names of functions, each NUL-terminated, an empty one behind the last: '+' allows, '-' denies, then a
     * pattern of fnmatch. The first that matches decides; none: allowed. To be read between two looks at `version`. */
    char rules[HIRA_RULES_MAX];
    /* Devices that are seen, as the rules: numbers, and patterns of names. None: all. Read when a guest comes. */
    char devices[HIRA_DEVICES_MAX];
    char trace[HIRA_TRACE_MAX]; /* a pattern: whose calls are written down, with HIRA_GATE_TRACE */
};

struct hira_shared {
    _Alignas(HIRA_CACHE_LINE) _Atomic uint64_t calls; /* buckets: see policy/bucket.h */
    _Alignas(HIRA_CACHE_LINE) _Atomic uint64_t bytes;
    _Alignas(HIRA_CACHE_LINE) _Atomic uint64_t time;
    _Alignas(HIRA_CACHE_LINE) _Atomic uint64_t memory; /* bytes charged now, by all servers */
    _Atomic uint64_t memory_peak;
    _Atomic uint64_t memory_refused; /* allocations that were over the quota */
};

#define HIRA_LIMITS_SIZE HIRA_ALIGN_UP(sizeof(struct hira_limits), 4096ul)
#define HIRA_SHARED_SIZE HIRA_ALIGN_UP(sizeof(struct hira_shared), 4096ul)

#endif
