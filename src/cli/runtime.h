/* What the run-time verbs share: run, status, doctor. They know nothing of the compiler.
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef HIRA_CLI_RUNTIME_H
#define HIRA_CLI_RUNTIME_H

#include <jansson.h>

#include "base/text.h"
#include "cli/cli.h"
#include "router/paths.h"

/* Asks the router at `path` (NULL: where hira_socket_path says) what it is doing. 0 and a value to json_decref, or
 * -errno. */
int cli_router_status(const char *path, json_t **ret_status);

/* A member of an object, zero or "" when it is not there. */
json_int_t cli_json_number(const json_t *object, const char *name);
const char *cli_json_text(const json_t *object, const char *name);

/* A private router: lives as long as it is wanted, see hirad(8), --private. Or what stands for one where another host serves: a relay, see
 * hira-relay(8). */
struct cli_private_router {
    int line; /* -1: none */
    int pid;
    char socket[108];
};

/* 0, or -1 with a sentence. `api` and `server_dir` may be NULL. */
int cli_private_router_start(struct cli_private_router *router, const char *api, const char *server_dir, char *error,
                             size_t error_size);
/* The same of a relay, with these options; they end with NULL. */
int cli_private_relay_start(struct cli_private_router *router, char *const *options, char *error, size_t error_size);
/* Waits a bounded time until it has tidied up; one that still serves guests that outlive us is left to do so later. */
void cli_private_router_stop(struct cli_private_router *router);

/* Says on standard error why hirad did not answer: an error of those below. */
void cli_no_answer(const char *verb, const char *socket, int error);
const char *cli_error(int error);

#define CLI_ANSWER_MS 5000 /* hirad never blocks: longer means that it is stopped */

/* Waits for a message of this type, whose text behind `head` bytes is JSON. 0 and a value to json_decref, or -errno. `ret_fd` (NULL: none may
 * come): takes the descriptor that came with it. */
int cli_receive_json(int fd, enum hira_message_type type, size_t head, json_t **ret_answer, int *ret_fd);

/* Asks hirad (docs/protocol.md, section 6); takes the request over. The answer, the caller's; NULL: there is none, or it is an error: said on
 * standard error. `socket` NULL: where hirad usually is. */
json_t *cli_control(const char *verb, const char *socket, json_t *request);
/* The same with the descriptor that came with the answer, the caller's: -1 at first, left so where none did. */
json_t *cli_control_with(const char *verb, const char *socket, json_t *request, int *ret_fd);

/* The same for the verb "tenants", whose answer may come in parts. */
json_t *cli_tenants(const char *verb, const char *socket, json_t *request);

/* What hira stat and hira trace do beside a program that has a router of its own, at `socket`. */
struct cli_observer {
    const char *verb;
    bool (*begin)(const char *socket); /* before the program runs. False: it is not to run; was told why */
    void (*again)(const char *socket); /* every other second; NULL: nothing */
    void (*end)(const char *socket, double wall_ns);
    /* Instead of a router of its own: its socket; 0, or -1 and was told why. NULL: there is none. */
    int (*lead)(const char *api, const char *server_dir, char *socket, size_t size);
};

/* hira run with an observer: argv[0] is the verb, then options of hira run, and the program. */
int cli_run_observed(const struct cli_observer *observer, int argc, char **argv);

/* Waits, a bounded time, until the servers of this user's guests have ended. */
void cli_wait_until_left(const char *verb, const char *socket);

/* --socket, the only option of a verb: CLI_OK, else what to exit with. */
int cli_take_socket(const char *verb, int argc, char **argv, const char **ret_socket);

/* For people: "1.5 KiB". Returns `text`. */
const char *cli_bytes(double n, char *text, size_t size);

#endif
