/*
 * The gate: what stands between a call that was taken apart and the vendor.
 *
 * It reads a page that hirad writes (wire/share.h). Most of the time nothing is set there, and a call passes after one
 * look. Else it looks closer: whether the function is denied, whether its tenant's rates allow it now, whether nothing
 * may begin, how long it takes.
 *
 * What is over a rate waits; nothing else does. A command with a wait list is *deferred*: it is handed to the vendor at
 * once, with an event of ours among those it waits for, which a thread of ours completes when the command may begin. So
 * its lane goes on, the vendor keeps the order, and everything that the application sees of the command is the vendor's
 * own. Other calls wait in their lane, by the clock, never for anything that another call would have to do: and calls
 * that unblock others do not wait at all.
 *
 * Commands that take device time need a turn while others want the device, too (struct hira_turn). A command is let go
 * when whatever else it waits for is done: so work that waits for the application is not in anybody's turn, and an
 * application can never wait for what it would have to do itself. While nobody else wants the device, one command in so
 * many is deferred until those before it are done: what the device has in its queue then is some 20 ms of work, however
 * much the application has asked for.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#ifndef HIRA_SERVER_GATE_H
#define HIRA_SERVER_GATE_H

#include "server/server.h"
#include "wire/account.h"

/* Begins with a guest. Where nothing is limited, pages of this process's own. */
void hira_gate_init(const struct hira_limits *limits, struct hira_shared *shares, struct hira_account *counts,
                    int router);

/* A call of this function of ours is about to be taken apart. False: it is denied. Waits, unless the function is
 * deferred or unblocks others. */
bool hira_gate_enter(struct hira_serve *s, uint32_t function);
/* It is over: how long it took, for a function by the server's index. */
void hira_gate_leave(struct hira_serve *s, uint32_t function);

/* Calls are written down there from now on: the pipe is taken over. */
void hira_trace_to(int fd);
/* Of a call, if it is to be written down; NULL: it is not. */
struct hira_trace *hira_trace_begin(uint32_t function);
void hira_trace_end(struct hira_serve *s);

/* What waits for rates: units taken from them, when they are due, when that was reckoned. */
struct hira_owed {
    uint64_t calls, bytes;
    uint64_t due, asked;
};

/* From now on so much waits; it does no longer. */
void hira_owed_add(const struct hira_owed *owed);
void hira_owed_end(struct hira_owed *owed);
/* When it is due: reckoned anew if a rate has changed. */
uint64_t hira_owed_due(struct hira_owed *owed, uint64_t now);

/* Whether the rules deny this function of ours just now. */
bool hira_gate_denies(uint32_t function);

/* Copies a part of the limits as hirad wrote it at once. 0: it cannot be had, for it keeps changing. */
uint32_t hira_gate_copy(void *to, size_t offset, size_t size);

/* Device memory that somebody has: counted until the last one lets go. */
struct hira_storage;
struct hira_storage *hira_storage_get(struct hira_storage *storage); /* NULL allowed */
void hira_storage_put(struct hira_storage *storage);                 /* NULL allowed */

#endif
