/* A tiny API by hand, and both runtimes over an in-process pair: what litmus tests run on.
 *
 * The vendor's state is plain memory, without lock or atomic: only the order that the channel keeps makes it safe to use. So the
 * thread sanitizer sees each missing "happens before" as a race.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef HIRA_TESTS_LITMUS_H
#define HIRA_TESTS_LITMUS_H

#include <stdbool.h>
#include <stdint.h>

enum { F_CREATE, F_ADD, F_GET, F_READ, F_WAIT, F_ADD_SYNC, F_ADD_LATER, N_FUNCTIONS };
enum { T_COUNTER = 1, T_EVENT, N_TYPES };

#define SIGNATURE 0x4c49544du

/* server.c: starts the server's end in a thread of this process; its peer is what hira_connect_over() is given. */
void litmus_start(void);
/* Objects that the vendor has now. */
long litmus_alive(void);

/* ---- the API (guest.c); objects are handles ---- */

void *counter_create(void);                         /* asynchronous */
bool counter_add(void *counter, uint64_t n);        /* asynchronous */
bool counter_add_now(void *counter, uint64_t n);    /* synchronous */
bool counter_add_later(void *counter, uint64_t n);  /* asynchronous; the vendor adds when it is waited for, see hira_leave */
bool counter_get(void *counter, uint64_t *value);   /* synchronous */
/* Asynchronous: the counter's present value is written to *to (64 words, all the same) until the event has ended. */
bool counter_read(void *counter, uint64_t to[64], void **event);
bool event_wait(void *event);                       /* synchronous */
void counter_release(void *counter);
void event_release(void *event);

#endif
