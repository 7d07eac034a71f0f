/*
 * Lanes between two hosts: each is a lane of shared memory on either, with a relay at one end of it.
 *
 * A *source* is the callee of a lane whose caller is on this host: it takes the caller's records and sends them. A
 * *sink* is the caller of a lane whose callee is here: it publishes what the other relay's source has sent, in the same
 * order and with the same sequences, and sends back replies and how far the callee is. So a guest's lanes have sources
 * on its host and sinks on the accelerator's; the lane of callbacks the other way round.
 *
 * Memory. Arenas have the same offsets on both hosts. What a record reads is sent before it; what it has written before
 * its reply, or, where a completion word says when, before anything that may tell the guest that the command has ended
 * (struct relay_memory). Large memory of a call that waits *flows* instead: the guest fills it while its relay sends what is there
 * already, and what the call has written comes behind its reply, while the guest copies; both by hira_block.flow.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#ifndef HIRA_REMOTE_LANES_H
#define HIRA_REMOTE_LANES_H

#include "remote/link.h"
#include "channel/arena.h"
#include "channel/lane.h"
#include "wire/record.h"

/* The arena, and on the accelerator's host the blocks that wait for their commands. */
struct relay_memory {
    struct relay_link *link;
    struct hira_arena arena;
    pthread_mutex_t settling; /* one thread at a time sends what has ended; never the link's reader */
    pthread_mutex_t lock;     /* what follows */
    struct relay_block *blocks;
    _Atomic uint32_t n_blocks;
    struct relay_flow *flows; /* on the guest's host: what is to come behind a reply */
    _Atomic uint32_t n_flows;
};

/* Memories that a call which is not answered yet writes. */
struct relay_outs {
    struct relay_outs *next; /* of the call around it, on the same lane */
    unsigned depth;          /* so many are around it */
    int n;
    struct hira_record_memory memories[];
};

/* Sends what is there. `how`: RELAY_MORE, if a frame follows at once. Any thread. */
void relay_memory_send(struct relay_memory *m, uint64_t offset, uint64_t size, unsigned how);
/* Sends what the caller is about to fill; waits for it. The record follows. */
void relay_memory_send_flow(struct relay_memory *m, uint64_t offset, uint64_t size);
/* Such memory is about to come; who takes it is the caller of that lane. False: out of memory. */
bool relay_memory_expect(struct relay_memory *m, const struct hira_record_memory *memory, const struct hira_lane_map *map);
/* So many bytes have come. */
void relay_memory_arrived(struct relay_memory *m, uint64_t offset, uint64_t size);
/* Watches a block. False: there are too many. */
bool relay_memory_watch(struct relay_memory *m, const struct hira_record_memory *memory);
/* Sends what commands have written that have ended, and that they have. When it returns, all that had ended before is
 * sent. */
void relay_memory_settle(struct relay_memory *m);
/* A completion word came. */
int relay_memory_mark(struct relay_memory *m, uint64_t offset, uint32_t value);
/* Whether a record may name it. */
bool relay_memory_valid(const struct relay_memory *m, const struct hira_record_memory *memory);

/* A call begins: what of these it writes by its reply. False: out of memory, or more calls inside each other than there can be. */
bool relay_outs_push(struct relay_outs **outs, const struct hira_record_memory *memories, int n);
/* The innermost call is answered, unless that brings a callback: NULL. The result is the caller's to free. */
struct relay_outs *relay_outs_pop(struct relay_outs **outs, uint16_t status);

struct relay_source {
    struct relay_memory *memory;
    uint16_t index;
    bool settles; /* commands may have ended before what it sends: the accelerator's side */
    struct hira_callee callee;
    pthread_mutex_t lock;
    pthread_cond_t room;
    uint64_t sent, consumed; /* bytes of the sink's ring */
    struct relay_outs *outs;
};

/* Serves a lane; it is mapped already. 0 or -errno. */
int relay_source_start(struct relay_source *s, struct relay_memory *memory, uint16_t index, bool settles);
int relay_source_reply(struct relay_source *s, const struct relay_frame *frame, const void *payload);
int relay_source_progress(struct relay_source *s, const struct relay_progress *progress);

struct relay_sink {
    struct relay_memory *memory;
    uint16_t index;
    bool settles;         /* as above */
    pthread_mutex_t lock; /* what follows */
    struct hira_caller caller;
    struct relay_queued *first, **last; /* did not fit the ring */
    size_t queued;
    uint64_t answered;       /* sequence of the last reply sent */
    uint64_t asked;          /* of the last record that wants one */
    bool quiet;              /* that tells of no command */
    bool dormant;            /* the thread sleeps until it is woken */
    struct hira_spin spin;   /* the thread's, for a reply */
    uint64_t spun;           /* `asked` of the reply that it has spun for last, and */
    uint64_t since;          /* from when on, in ticks */
    uint64_t told;           /* progress sent */
    struct relay_outs *outs; /* of calls not answered, the innermost first */
    char reply[HIRA_REPLY_SIZE];
};

int relay_sink_start(struct relay_sink *s, struct relay_memory *memory, uint16_t index, bool settles);
/* A record came. 0, or -EBADMSG. */
int relay_sink_take(struct relay_sink *s, const struct relay_frame *frame, const void *payload);

#endif
