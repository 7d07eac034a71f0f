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

/* A private router: lives as long as it is wanted, see hirad(8), --private. */
struct cli_private_router {
    int line; /* -1: none */
    int pid;
    char socket[108];
};

/* 0, or -1 with a sentence. `api` and `server_dir` may be NULL. */
int cli_private_router_start(struct cli_private_router *router, const char *api, const char *server_dir, char *error,
                             size_t error_size);
/* Waits a bounded time until it has tidied up; one that still serves guests that outlive us is left to do so later. */
void cli_private_router_stop(struct cli_private_router *router);

#endif
