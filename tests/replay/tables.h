/* A generated API server's tables, by name, for tests that do what whoever makes objects anew would do.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef HIRA_TESTS_REPLAY_TABLES_H
#define HIRA_TESTS_REPLAY_TABLES_H

#include <string.h>

#include "server/internal.h"

static const struct hira_server_type *type_named(const char *name)
{
    for (uint32_t i = 1; i < hira_server_api.n_types; i++)
        if (!strcmp(hira_server_api.types[i].name, name))
            return &hira_server_api.types[i];
    return &hira_server_api.types[0];
}

static const struct hira_server_function *function_named(const char *name)
{
    for (uint32_t i = 0; i < hira_server_api.n_functions; i++)
        if (!strcmp(hira_server_api.functions[i].name, name))
            return &hira_server_api.functions[i];
    return NULL;
}

/* HIRA_RECORDED_*; -1: there is no such function. */
static int recorded(const char *name)
{
    const struct hira_server_function *f = function_named(name);
    return f ? f->recorded : -1;
}

/* Serves a record of these words, as a lane would: to what the call belongs. */
static struct hira_belongs belonging(const char *name, const uint64_t *words, size_t n)
{
    static uint64_t reply[64];
    static struct hira_server_lane lane;
    const struct hira_server_function *f = function_named(name);
    struct hira_belongs belongs = {.type = UINT32_MAX};
    struct hira_serve s = {.lane = &lane,
                           .p = words,
                           .end = words + n,
                           .sync = true,
                           .reply = reply,
                           .reply_end = reply + 64,
                           .belongs = &belongs};
    s.pins = s.pins_local;
    s.pins_capacity = HIRA_PINS_LOCAL;
    if (f && f->serve)
        f->serve(&s);
    return belongs;
}

#endif
