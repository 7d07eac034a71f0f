/*
 * What the files of hirad share: see main.c for the process model.
 *
 * One thread, one loop. Who owns what: the router its APIs and half-open guests, an API its zygote, its waiting guests
 * and its servers. A guest exists here only until its server has it; from then on the server stands for both.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#ifndef HIRA_ROUTER_ROUTER_H
#define HIRA_ROUTER_ROUTER_H

#include <sys/socket.h>
#include <sys/types.h>

#include "base/list.h"
#include "base/log.h"
#include "base/text.h"
#include "router/config.h"
#include "router/limits.h"
#include "router/loop.h"
#include "router/paths.h"
#include "wire/account.h"
#include "wire/handshake.h"

struct router_options {
    char socket[HIRA_PATH_MAX];
    const char *server_dir; /* NULL: where hira_path_server looks */
    const char *api;        /* the only one to serve, or NULL */
    char work_dir[HIRA_PATH_MAX];
    const char *sandbox[ROUTER_SANDBOX_MAX]; /* options handed on to zygotes as they are; NULL-terminated */
    unsigned n_sandbox;
    const char *remote[ROUTER_REMOTE_MAX + 1]; /* the same for hira-relay; none: no other hosts are served */
    unsigned n_remote;
    uid_t server_uid, server_uids; /* root's: users of servers, from one on so many */
    unsigned warm, max_guests;
    unsigned connect_rate, start_rate; /* a second: see limits.h; 0: no limit */
    uint64_t start_timeout_ms, hello_timeout_ms;
    const char *config;     /* hirad.conf, or NULL: nothing is limited */
    uint64_t call_limit_ms; /* a call that takes longer costs its guest the server; 0: none does */
};

struct router_lines { /* what a child writes to its standard error, line by line into the log */
    struct router_watch *watch;
    struct router_alarm *pause;
    const struct router *router;
    const char *component;
    uint32_t pid;
    uint64_t window; /* when it began, ms */
    unsigned lines;  /* in this window */
    char last[200];  /* the last whole line */
    char part[200];
    size_t n_part;
};

struct router_door { /* a tenant's own socket: who comes by it is that tenant */
    struct hira_list link;
    struct router *router;
    struct router_watch *watch;
    char path[CONFIG_SOCKET_MAX];
};

struct router_listener {
    struct router_watch *watch;
    struct router_alarm *pause; /* out of descriptors, or nobody but whom it does not listen to: tried again a little later */
    int lock;
    char path[HIRA_PATH_MAX];
};

/* A token bucket of so many seconds' worth; all zero it is full. */
struct router_bucket {
    uint64_t spent; /* thousandths of tokens that are not in it */
    uint64_t since; /* loop's time in ms of the last look */
};

struct router_server;

struct router_device { /* who has it: see turn.c */
    struct router *router;
    unsigned number;
    struct policy policy;
    struct router_server *holder; /* NULL: nobody */
    uint64_t turn;                /* its number */
    uint64_t from;                /* ns: charged up to */
    uint64_t time;                /* ns granted, POLICY_FOREVER: until it is asked to end */
    bool asked;                   /* it was */
    uint64_t given;               /* turns so far */
    struct router_alarm *late, *again;
};

struct router_share { /* a tenant's, of a device */
    struct policy_client client;
    struct hira_list wanting; /* servers' turns that are wanted, first come first served */
    struct router_tenant *tenant;
};

enum router_turn_state { TURN_IDLE, TURN_WANTS, TURN_HOLDS, TURN_LATE, TURN_UNKNOWN };

struct router_turn { /* a server's, of a device */
    struct hira_list link; /* of the share's that are wanted */
    struct router_server *server;
    enum router_turn_state state;
    uint64_t cpu;  /* ns that the process had taken when its turn began */
    uint64_t from; /* late: not charged yet from here on */
};

struct router {
    uv_loop_t loop;
    struct hira_log log;
    struct router_options options;
    struct router_listener listener;
    struct hira_list apis;
    struct hira_list half_open;
    struct hira_list tenants;
    unsigned n_tenants, n_tenants_needed; /* the latter when it was looked at last */
    struct router_visitor *visitors; /* ROUTER_VISITORS: who connected lately */
    struct config *config;  /* NULL: none was given */
    uint64_t measure_until; /* ms: somebody looks, so calls are timed; 0: nobody does */
    struct router_alarm *unmeasure;
    struct router_metrics *metrics; /* NULL: they are not served */
    struct hira_list doors;         /* sockets of tenants: see listen.c */
    struct router_remote *remote;   /* who listens for other hosts; NULL: nobody */
    struct router_device devices[HIRA_TURN_DEVICES];
    unsigned processors;
    struct router_alarm *beat;
    uint64_t n_seen;
    unsigned n_half_open, n_waiting, n_serving;
    size_t waiting_bytes; /* of HELLOs */
    struct router_bucket refusals; /* that are logged, and how many were not since the last */
    unsigned n_unlogged;
    uint64_t n_guests_ever, n_refused, started;
    bool private; /* serves one `hira run` */
    bool begun;   /* there is a loop */
    bool ending;
    char *buffer; /* for one message from anybody: struct hira_adopt and HIRA_MESSAGE_MAX behind it */
    /* Called when something ended, which may have been what a shutdown waits for. Does nothing before the loop's next
     * turn. */
    void (*quieter)(struct router *router);
    uv_signal_t signals[3];
    uv_timer_t calls;             /* with a call limit; its data is set once it is started */
    struct router_watch *starter; /* private: the line to it, until it hangs up */
    int line;                     /* the same afterwards: open until everything is removed, for a starter that
                                     waits for that, or until it has waited long enough */
    struct router_alarm *check, *deadline;
    char directory[HIRA_PATH_MAX]; /* private: holds socket and servers' folders, removed at the end */
};

/* ---- how often ---- */

/* Takes a token if one is there; `rate` come each second, 0: any number. */
bool router_bucket_take(struct router_bucket *bucket, uint64_t now, unsigned rate);
/* The time in ms until a token is there; 0: now. */
uint64_t router_bucket_wait(struct router_bucket *bucket, uint64_t now, unsigned rate);

/* Whether a process that connects is listened to: it is not when it has connected too often of late. */
bool router_admits(struct router *router, const struct ucred *who);

/* ---- tenants ---- */

/* What a server has done, by its account. */
struct router_sums {
    uint64_t calls, errors, bytes;
    uint64_t busy_ns, commands, deferred, waits, wait_ns, denied;
};

/* The pages that a tenant's servers share: see wire/share.h. A tenant has one set; more for a while after hirad was
 * replaced, if guests came before those of the old hirad were known. */
struct router_pages {
    struct hira_list link;
    struct hira_limits *limits;
    struct hira_shared *shared;
    int limits_fd, shared_fd;
    unsigned n_servers;
};

/* Who shares the device, and whose servers are kept apart from everybody else's, and ready for it alone: they have its
 * user and its cache. One of hirad.conf's; or a user of this machine, by the settings of `default`. */
struct router_tenant {
    struct hira_list link;
    struct router *router;
    char name[HIRA_TENANT_MAX];
    uid_t uid;     /* of its servers, see --sandbox-uids */
    uint64_t seen; /* a number that grows with every guest: whose servers are kept ready is decided by it */
    uint64_t ready_at;           /* when its last server became ready, loop's time in ms */
    struct router_bucket starts; /* of servers */
    /* While an API is balanced, of that API: */
    unsigned have;     /* servers ready or on their way */
    unsigned starting; /* of these, on their way */
    unsigned waiting;  /* guests */
    struct config_tenant *settings; /* its own copy, which `hira tenant set` changes; NULL: nothing is limited */
    bool paused;
    bool changed;           /* live: reading the configuration again undoes it */
    struct hira_list pages; /* the first is that of servers to come */
    struct router_share shares[HIRA_TURN_DEVICES];
    unsigned n_serving;
    struct {
        uint64_t until; /* loop's time in ms; 0: nobody asks */
        int pipe;       /* the end that is written to */
        char functions[HIRA_TRACE_MAX];
        struct router_alarm *end;
    } trace;
    struct hira_list uses; /* of APIs */
};

/* ---- what tenants have used: see use.c ---- */

struct router_function {
    uint64_t calls, ns;
};

/* Names of functions. Only zygotes tell them: what a guest calls its functions, nobody else gets to see. */
struct router_names {
    char *text; /* each NUL-terminated */
    uint32_t n;
    uint64_t table; /* the same for the same names, else most likely another; 0: none are known */
};

struct router_use {
    struct hira_list link;
    struct router_tenant *tenant;
    const struct router_api *api;
    struct router_sums past; /* of servers that have ended, as are durations and functions */
    struct router_sums now;  /* of all, when it was summed up last */
    uint64_t durations[HIRA_ACCOUNT_BUCKETS];
    struct router_function *functions; /* by the server's index; NULL: none was measured */
    uint64_t table;                    /* of which functions those are */
};

/* Sums up `now` of all tenants' uses, or of one's. */
void router_uses_sum(struct router *router, const struct router_tenant *only);
struct router_sums router_tenant_sums(struct router_tenant *tenant);
/* Adds how many calls took how long, as in struct hira_account_gate. */
void router_use_durations(const struct router_use *use, uint64_t sums[HIRA_ACCOUNT_BUCKETS]);
/* Warns of rules in the configuration that name nothing, once the functions of all APIs are known: what is misspelled is not
 * denied. */
void router_rules_check(const struct router *router);
/* What a zygote tells of its program. 0 or -errno. */
int router_names_read(const struct hira_functions_message *m, int fd, struct router_names *ret_names);
/* Each function that was called while calls were timed; after summing up. */
void router_use_functions(const struct router_use *use, void (*each)(void *context, const char *name, struct router_function sum),
                          void *context);
/* A server's process has gone: what it has done is in the past. */
void router_use_end(struct router_server *server);
void router_uses_free(struct router_tenant *tenant);

/* ---- whose calls are written down: see trace.c ---- */

/* Of functions that match, from now on; what is written can be read from *ret_fd, the caller's. -EBUSY: somebody has that already. */
int router_trace_begin(struct router_tenant *tenant, const char *functions, int *ret_fd);
/* For the next seconds too. False: it has ended. */
bool router_trace_again(struct router_tenant *tenant);
void router_trace_end(struct router_tenant *tenant);

/* Who somebody is. Made at first use, which may be the end of others that nobody needs any more. NULL: refused, or out of memory: *ret_error. `socket` may be NULL. */
struct router_tenant *router_tenant_of(struct router *router, const char *socket, uid_t uid, gid_t gid, int *ret_error);
/* The same of somebody from another host, by the name that a relay has found proven. */
struct router_tenant *router_tenant_behalf(struct router *router, const char *peer, int *ret_error);
/* By name: one of the configuration, or one that was made already. */
struct router_tenant *router_tenant_named(struct router *router, const char *name, uid_t uid);
struct router_tenant *router_tenant_known(const struct router *router, const char *name);
/* Servers are kept ready for the latest tenants that had a guest: those whose `seen` is at least this. */
uint64_t router_tenants_warm(const struct router *router);
bool router_tenant_may_use(const struct router_tenant *tenant, const char *api);
/* Writes down what it may use, for its servers to find. */
void router_tenant_apply(struct router_tenant *tenant);
void router_tenants_apply(struct router *router);
/* The configuration has changed: each goes by its new settings. */
void router_tenants_configure(struct router *router);
/* Pages of an older hirad's, with a server that uses them. Takes the descriptors over. NULL: they are none. */
struct router_pages *router_tenant_rejoin(struct router_tenant *tenant, int limits_fd, int shared_fd);
/* A server of the tenant's has ended: what it was charged for is free. */
void router_tenant_release(struct router_server *server);
uint64_t router_tenant_memory(const struct router_tenant *tenant, uint64_t *ret_peak);
void router_tenants_destroy(struct router *router);

/* ---- the device, by turns ---- */

void router_turns_init(struct router *router);
void router_turns_configure(struct router *router);
void router_turns_fini(struct router *router);
/* A tenant comes, its settings or whether anybody of it is there have changed, it goes. */
void router_shares_init(struct router_tenant *tenant);
void router_shares_apply(struct router_tenant *tenant);
void router_shares_fini(struct router_tenant *tenant);
/* Over all devices: what turns it was charged for, ns; whether it has one now; its part of the device that it wants, or
 * would want, most entitled. */
uint64_t router_shares_charged(const struct router_tenant *tenant);
bool router_shares_held(const struct router_tenant *tenant);
double router_shares_entitled(const struct router_tenant *tenant);
uint64_t router_turns_given(const struct router *router);
void router_turn_init(struct router_server *server);
/* A server with a guest has sent this. False: it speaks out of turn. */
bool router_turn_hear(struct router_server *server, const void *message, size_t size);
/* It is gone, or was its tenant's whole reason to wait. */
void router_turn_forget(struct router_server *server);
/* It comes from another hirad's days. */
void router_turn_rejoin(struct router_server *server);

/* ---- operators ---- */

/* Serves metrics, if the configuration says where. 0, or negative with a sentence. */
int router_metrics_start(struct router *router, char *error, size_t error_size);
void router_metrics_stop(struct router *router);
/* What they are, as text; with those of functions that match a pattern, if one is given. */
void router_metrics_text(struct router *router, const char *functions, struct hira_text *out);
/* Calls are timed for so long. */
void router_measure(struct router *router, uint64_t ms);

/* Reads the configuration again. 0, or negative with what is wrong: then nothing has changed. */
int router_reload(struct router *router, char *error, size_t error_size);
/* Answers a request of docs/protocol.md, section 6, in `text` by a text of the caller's; NULL: no memory. *ret_fd goes with it, -1: nothing does. */
char *router_control(struct router *router, const char *text, uid_t uid, int *ret_fd);

/* ---- apis: a zygote and its servers ---- */

struct router_api {
    struct hira_list link;
    struct router *router;
    char name[HIRA_API_NAME_MAX];
    char path[HIRA_PATH_MAX];
    uv_process_t *process;       /* NULL: no zygote */
    struct router_watch *zygote; /* its socket */
    struct router_lines lines;
    struct router_alarm *retry, *refill, *throttled;
    struct router_tenant
        *asked[ROUTER_STARTING_MAX]; /* FORKs without answer, first come first served: `forking` of them */
    char held[256], missing[512];    /* layers of the servers' sandbox, as the zygote told */
    bool told;                       /* what is missing was logged */
    uint64_t started, retry_at;      /* loop's time in ms */
    unsigned failures;               /* zygotes lost in a row */
    unsigned start_failures;         /* servers lost in a row while starting */
    unsigned restarts;               /* zygotes started after the first */
    unsigned forking, starting, ready, serving;
    uint64_t adopted;
    bool explained, released; /* the zygote of now said why it ends; is let go of */
    bool worked;              /* some server of this API has become ready */
    char reason[252];         /* why the last one failed; empty: nothing is known to be wrong */
    struct hira_list troubles; /* of tenants, whose servers of late did not start */
    struct router_names functions; /* of its servers, by their index, as the zygote told: names for what is measured */
    struct hira_list servers;
    struct hira_list waiting; /* guests, first come first served */
    struct hira_list formers; /* zygotes of hirads before this one */
    unsigned n_formers;
};

/* Made at first use. NULL: there is no such server. */
struct router_api *router_api_find(struct router *router, const char *name);
void router_apis_start(struct router *router);
/* Forks, starts the zygote, hands waiting guests over: whatever is needed and not under way. */
void router_api_balance(struct router_api *api);
/* A server has become ready; died or gave up before it was ready (`text` may be empty; no tenant: it was not for one alone). */
void router_api_start_worked(struct router_api *api, const struct router_tenant *tenant);
void router_api_start_failed(struct router_api *api, const struct router_tenant *tenant, const char *text, bool final);
/* Whether an answer would be nothing but a repetition of api->reason. The same for one tenant: of this reason, or NULL. */
bool router_api_hopeless(const struct router_api *api);
const char *router_api_hopeless_for(const struct router_api *api, const struct router_tenant *tenant);
/* Whether something of a tenant's is left here. */
bool router_api_needs(struct router_api *api, const struct router_tenant *tenant);
/* Lets go of the zygote and of servers without guest: they end by themselves. */
void router_api_release(struct router_api *api);
void router_api_destroy(struct router_api *api);

/* ---- servers ---- */

enum router_server_state { SERVER_STARTING, SERVER_READY, SERVER_SERVING, SERVER_GONE };

struct router_guest;
struct router_former;

struct router_lane_seen {
    uint64_t state, since; /* what the lane's state was, and since when, loop's time in ms */
};

struct router_server {
    struct hira_list link;
    struct router_api *api;
    struct router_tenant *tenant;
    enum router_server_state state;
    bool unexplained;             /* it never became ready, and nobody was told why */
    bool orphan;                  /* its zygote is gone: nobody removes its folder */
    struct router_former *former; /* adopted: who reaps it; NULL: the API's zygote */
    pid_t pid;
    struct router_watch *socket, *pidfd;
    struct router_watch *guest_pidfd; /* while it serves; NULL: the guest cannot be watched */
    struct router_lines lines;
    struct router_alarm *deadline;
    uint64_t since;                     /* serving, loop's time in ms */
    const struct hira_account *account; /* hostile; NULL: it could not be mapped */
    struct router_sums sums;            /* as read last */
    struct router_lane_seen *seen;      /* with a call limit */
    unsigned n_seen;
    struct router_pages *pages; /* NULL: nothing is limited */
    uint64_t table;             /* of which functions its account counts, as its zygote told; 0: unknown */
    struct router_turn turns[HIRA_TURN_DEVICES];
    struct { /* how often it speaks of them */
        uint64_t window;   /* ms */
        unsigned messages; /* in the window */
        struct router_alarm *pause;
    } talk;
    struct {
        pid_t pid;
        uid_t uid;
        char name[32];
    } guest;
};

/* Takes the descriptors over: socket, standard error, account, pidfd (or -1). */
void router_server_create(struct router_api *api, struct router_tenant *tenant, pid_t pid, int socket, int log,
                          int account, int pidfd);
/* The same for one that has a guest since another hirad's days. 0 or -errno. */
int router_server_rejoin(struct router_former *former, const struct hira_serving *serving, const int fds[5], int pidfd);
/* 0, or -errno: then the server is no good any more, the guest waits on. */
int router_server_adopt(struct router_server *server, struct router_guest *guest);
/* Not needed any more, and nobody's yet. */
void router_server_dismiss(struct router_server *server);
/* The zygote (NULL: the API's own) reaped it. */
void router_server_exited(struct router_api *api, const struct router_former *former, pid_t pid, int status);
/* A zygote is gone (NULL: the API's own): only the pidfds tell of its servers' ends now. */
void router_servers_orphaned(struct router_api *api, const struct router_former *former);
/* Ends it at once; its guest gets the API's error. */
void router_server_kill(struct router_server *server);
void router_server_destroy(struct router_server *server);

/* ---- accounts ---- */

/* Maps an account and closes `fd`. NULL when it is none, or there is no memory. */
const struct hira_account *router_account_map(int fd);
void router_account_unmap(const struct hira_account *account);
/* What is believed of it. */
struct router_sums router_account_read(struct router_server *server);
/* Starts to look at how long calls take, if there is a limit. 0 or -ENOMEM. */
int router_calls_watch(struct router *router);
void router_calls_unwatch(struct router *router);

/* ---- zygotes of hirads before this one ---- */

struct router_former {
    struct hira_list link;
    struct router_api *api;
    struct router_watch *watch;
    pid_t pid;
    uint64_t table; /* of which functions its servers' accounts count; 0: it did not say */
};

/* Whether this process is of hirad's own user, and neither a server nor started by one: who may speak for others. */
bool router_is_own(const struct router *router, pid_t pid, uid_t uid);
/* A REJOIN came from this connection, in router->buffer. */
void router_former_accept(struct router_guest *guest);
void router_former_destroy(struct router_former *former);

/* ---- guests ---- */

struct router_guest {
    struct hira_list link; /* half_open or api->waiting */
    struct router *router;
    struct router_api *api;       /* NULL: half open */
    struct router_tenant *tenant; /* while it waits */
    struct router_watch *socket;
    struct router_alarm *deadline;
    pid_t pid;
    uid_t uid;
    gid_t gid;
    char name[32];    /* of its program; a hint for people */
    const char *door; /* the tenant's socket that it came by, or NULL */
    char behalf[HIRA_TENANT_MAX]; /* the peer that a relay speaks for, or "" */
    struct hira_slice region; /* of the virtual machine that it is in; size 0: of none */
    int region_fd, lease;      /* its memory file, and what is held while a server can reach it; -1 */
    bool brings_region;        /* may send those */
    char *message;    /* space for struct hira_adopt, then the HELLO */
    size_t hello_size;
};

/* A new connection, taken over; by a tenant's socket, which lives as long as the router, or NULL. False: of somebody who is not listened
 * to. */
bool router_guest_accept(struct router *router, int fd, const char *door);
/* Answers REFUSED and forgets it. */
void router_guest_refuse(struct router_guest *guest, int error, const char *format, ...) HIRA_PRINTF(3, 4);
void router_guest_destroy(struct router_guest *guest);

/* ---- the rest ---- */

/* Binds the socket: one clear sentence in `error` when that cannot be. 0 or -errno. `accepted` gets each connection. */
int router_listen(struct router *router, char *error, size_t error_size);
void router_unlisten(struct router *router);
/* Opens the sockets of the configuration's tenants, closes those that it no longer names. One that cannot be opened is
 * logged. */
void router_doors_open(struct router *router);
void router_doors_close(struct router *router);

/* Whether hira-relay can do what its options ask for, keys and certificates included; it says itself what is wrong. 0,
 * or what to exit with. */
int router_remote_check(const struct router_options *options);

/* Has other hosts' guests listened for, if that is wanted. 0 or -ENOMEM; what fails later is logged, and tried again. */
int router_remote_start(struct router *router);
void router_remote_stop(struct router *router);

/* Reads `fd` (taken over) to its end, into the log. */
void router_lines_start(struct router_lines *lines, const struct router *router, const char *component, uint32_t pid,
                        int fd);
void router_lines_stop(struct router_lines *lines);

/* Has folders of servers removed that ended without anybody to do it. */
void router_sweep(const struct router *router);

/* The answer to STATUS, as far as `uid` may see it. The caller frees it. */
char *router_status_text(const struct router *router, uid_t uid);

uint64_t router_now_ms(const struct router *router);

#endif
