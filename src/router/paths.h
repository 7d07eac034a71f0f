/*
 * Where the parts of an installation lie, found from the place of the running program: an installation can be moved,
 * and a build folder works as it stands.
 *
 *   installed   PREFIX/bin/{hira,hirad,hira-relay}   PREFIX/libexec/hira/hira-server-API   PREFIX/lib/hira/API/
 *   built       BUILD/src/{cli/hira,router/hirad,remote/hira-relay}   BUILD/specs/API/hira-server-API   BUILD/specs/API/
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#ifndef HIRA_ROUTER_PATHS_H
#define HIRA_ROUTER_PATHS_H

#include "wire/handshake.h"

#define HIRA_PATH_MAX 4096

/* Whether this is how APIs are named: lower-case letters, digits, '-', '_', at most HIRA_API_NAME_MAX - 1 of them. */
bool hira_api_name_valid(const char *name);

/* The API server of `api`. `dir`: the only place to look, or NULL for $HIRA_SERVER_DIR and then the places above.
 * 0, -ENOENT, -ENAMETOOLONG. */
int hira_path_server(const char *dir, const char *api, char *path, size_t size);

/* Calls `found` for each API that has a server, in no order, perhaps twice. */
void hira_path_each_api(const char *dir, void (*found)(void *context, const char *api), void *context);

/* The folder with the guest library of `api`. `dir`: taken as it is if it exists. 0, -ENOENT, -ENAMETOOLONG. */
int hira_path_guest_library(const char *dir, const char *api, char *path, size_t size);

/* Calls `found` for each API that has a guest library in an installation. */
void hira_path_each_guest_library(void (*found)(void *context, const char *api), void *context);

/* Another program of ours ("hirad", "hira-relay", "hira-bridge"). 0, -ENOENT, -ENAMETOOLONG. */
int hira_path_program(const char *name, char *path, size_t size);

#endif
