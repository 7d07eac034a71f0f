/* Commands that wait for their time or their tenant's turn: see gate.h. Between gate.c and turns.c.
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef HIRA_SERVER_TURNS_H
#define HIRA_SERVER_TURNS_H

#include "server/server.h"
#include "wire/account.h"

/* In the device at once, of commands that each take less: so that there is no gap between two short ones, and a turn
 * ends in time. */
#define TURNS_FLYING_NS 2000000u
#define TURNS_FLYING_MAX 64u

/* While nobody else wants the device: so much work is in its queue at a time, twice. Others get their turn after that.
 */
#define TURNS_WINDOW_NS 10000000u
#define TURNS_WINDOW_MAX 4096u

/* A turn with nothing to do is kept for so long, twice what the application usually takes to ask for the next command:
 * one that waits for each of them shall keep its turn, and what is not used is not to be much. */
#define TURNS_GRACE_NS 300000ull
#define TURNS_GRACE_MAX_NS 2000000ull

/* Where the device is the processor, the end of a command is told before the next tenant begins: those who are to hear
 * of it would else wait behind its kernel for their processor, up to a tick. Twice what it takes here. */
#define TURNS_TELL_NS 300000ull

/* What has been let go and waits for something else is not counted as being in the device after so long. */
#define TURNS_STUCK_NS 20000000u

/* hirad's beat is older than this: it is away, and nobody gives turns. */
#define TURNS_AWAY_MS 1500u

/* Commands that wait in one server: each is some 200 bytes here, and more at the vendor's. A lane that brings more
 * waits. */
#define TURNS_CLOSED_MAX 65536u

void hira_turns_init(const struct hira_limits *limits, struct hira_shared *shared, struct hira_account_gate *account,
                     int router);

/* Whether hirad is listened to from now on, also without a command that waits. */
bool hira_turns_listen(void);

#endif
