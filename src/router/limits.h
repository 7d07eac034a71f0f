/* What strangers and failures may cost hirad. Each number with its reason.
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef HIRA_ROUTER_LIMITS_H
#define HIRA_ROUTER_LIMITS_H

#define ROUTER_BACKLOG 512           /* connections that the kernel holds while hirad is busy: a burst of processes starting at once */
#define ROUTER_HALF_OPEN_MAX 128     /* connected but silent; beyond, the one silent for longest makes room */
#define ROUTER_HELLO_TIMEOUT_MS 5000 /* a guest library sends its HELLO right after connecting: this is swapping machines' time */
#define ROUTER_WAITING_MAX 256       /* HELLOs held while servers start: times HIRA_MESSAGE_MAX 32 MiB */
#define ROUTER_GUESTS_MAX 1024       /* served at once unless --max-guests says otherwise; three descriptors each */
#define ROUTER_WARM_MAX 64
#define ROUTER_STARTING_MAX 4        /* servers of one API that initialize at once: a storm of guests must not take every core */
#define ROUTER_START_TIMEOUT_MS 30000 /* initializing a device takes seconds at most, also when kernels are loaded from disk */
#define ROUTER_START_ATTEMPTS 3      /* servers that die in a row while starting before waiting guests are told so */
#define ROUTER_REFILL_DELAY_MS 100   /* the next warm server waits until the guest just served has got its first calls through */
#define ROUTER_BACK_OFF_MS 100       /* first pause before a failed zygote is started again; doubles */
#define ROUTER_BACK_OFF_MAX_MS 30000
#define ROUTER_SETTLED_MS 10000      /* a zygote that lived this long failed for a new reason: the pause begins anew */
#define ROUTER_LAST_WORDS_MS 1000    /* from a server's hang-up until it is killed */
#define ROUTER_LOG_LINES 50          /* lines of one server's standard error that are logged in ROUTER_LOG_WINDOW_MS; then */
#define ROUTER_LOG_WINDOW_MS 5000    /* its pipe is left full until the window is over: only the talker waits */
#define ROUTER_STATUS_GUESTS_MAX 512 /* listed in a status answer, which must fit one message */

#endif
