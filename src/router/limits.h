/* What strangers and failures may cost hirad. Each number with its reason.
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef HIRA_ROUTER_LIMITS_H
#define HIRA_ROUTER_LIMITS_H

/* Connections that the kernel holds while hirad is busy: a burst of processes starting at once. */
#define ROUTER_BACKLOG 512

/* Connected but silent. Beyond, the one silent for longest makes room. */
#define ROUTER_HALF_OPEN_MAX 128

/* A guest library sends its HELLO right after connecting: this is a swapping machine's time. */
#define ROUTER_HELLO_TIMEOUT_MS 5000

/* HELLOs held while servers start: ten thousand usual ones. How many guests may wait, --max-guests says. */
#define ROUTER_WAITING_BYTES_MAX (32u << 20)

/* Served at once unless --max-guests says otherwise; each needs so many descriptors here: socket, standard error,
 * pidfd. */
#define ROUTER_GUESTS_MAX 1024
#define ROUTER_GUEST_DESCRIPTORS 4

#define ROUTER_WARM_MAX 64

/* Servers of one API that initialize at once: a storm of guests must not take every core. */
#define ROUTER_STARTING_MAX 4

/* What comes at a limited rate may come all at once after a pause of so long: a burst is what honest programs do. */
#define ROUTER_BURST_S 2

/* Servers that are started for one tenant, unless --start-rate says otherwise: a guest beyond waits, for what coming and
 * going costs (a fork, a sandbox, a device made ready) is borne by all. Thirty shells' loops do not come as often. */
#define ROUTER_STARTS_PER_S 100

/* Connections of one process, likewise by --connect-rate. Beyond, they are closed unread and unlogged, which costs hirad less than it costs
 * who connects: a program connects once, a person's scripts some times a second. So many processes are remembered. */
#define ROUTER_CONNECTS_PER_S 100
#define ROUTER_VISITORS 256

/* Refusals that are logged: enough to see who is refused, and why. */
#define ROUTER_REFUSALS_PER_S 20

/* When nobody else connects hirad looks that much later again: an honest guest may come right behind them. */
#define ROUTER_UNHEARD_PAUSE_MS 5

/* Tenants for whom servers are kept ready: the latest ones. Each costs a process with an initialized device. */
#define ROUTER_TENANTS_WARM 8

/* So many may be known before it is looked who of them is still needed. */
#define ROUTER_TENANTS_LOOK 64

/* Options for zygotes on hirad's command line: two words each, devices and paths may be many. */
#define ROUTER_SANDBOX_MAX 130

/* Options for hira-relay on hirad's command line, a word each: where to listen, and keys. */
#define ROUTER_REMOTE_MAX 8

/* Initializing a device takes seconds at most, also when kernels are loaded from disk. */
#define ROUTER_START_TIMEOUT_MS 30000

/* Servers that die in a row while starting before waiting guests are told so. */
#define ROUTER_START_ATTEMPTS 3

/* The next warm server waits until the guest just served has got its first calls through. */
#define ROUTER_REFILL_DELAY_MS 100

/* The pause before a failed zygote is started again; it doubles up to the second, and begins anew when the zygote has
 * lived for the third: that one failed for a new reason. */
#define ROUTER_BACK_OFF_MS 100
#define ROUTER_BACK_OFF_MAX_MS 30000
#define ROUTER_SETTLED_MS 10000

/* From a server's hang-up until it is killed. */
#define ROUTER_LAST_WORDS_MS 1000

/* So many lines of one server's standard error are logged in a window; then its pipe is left full until the window is
 * over, which stops nobody but the talker. */
#define ROUTER_LOG_LINES 50
#define ROUTER_LOG_WINDOW_MS 5000

/* Zygotes of hirads before this one that still have guests: one an API and restart. */
#define ROUTER_FORMER_MAX 256

/* How often calls' durations are looked at, with --call-limit: a share of the limit, within these. */
#define ROUTER_CALLS_LOOK_MS 50
#define ROUTER_CALLS_LOOK_MAX_MS 1000

/* A turn that goes on for so long after its time, or after it was to end, is given to the next beside it: longer than
 * any call that is reasonable on a shared device. */
#define ROUTER_TURN_LATE_MS 1000

/* hirad tells servers that wait for a turn that it is there: a third of what they take for its absence. */
#define ROUTER_BEAT_MS 500

/* Messages about turns from one server: a turn takes two and lasts 0.1 ms at least. */
#define ROUTER_TURN_MESSAGES 4000
#define ROUTER_TURN_WINDOW_MS 100

/* Scrapers of metrics: one or two of them, that ask for one page. */
#define ROUTER_METRICS_CONNECTIONS 8
#define ROUTER_METRICS_TIMEOUT_S 10
#define ROUTER_METRICS_MEMORY 16384

/* So long calls are timed after somebody has asked to see: he asks every second. */
#define ROUTER_TRACE_PIPE (1 << 20) /* bytes: some thousand calls before a reader must have read */
#define ROUTER_METRICS_MEASURE_MS 150000 /* scrapes are mostly less than a minute apart; two may be missed */
#define ROUTER_MEASURE_MS 5000

/* Tenants in one answer, of 1.2 KiB at most each: it has to fit a message. */
#define ROUTER_LISTED_TENANTS 80

/* No thread serves a call faster, whatever its account says: a function call costs as much. */
#define ROUTER_CALL_LEAST_NS 10

/* Listed in a status answer, which must fit one message. */
#define ROUTER_STATUS_GUESTS_MAX 512

#endif
