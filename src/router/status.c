/*
 * What hirad tells `hira status` and `hira doctor`. Anybody may ask: of guests, a user sees the own ones; root and
 * hirad's own user see all.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include <jansson.h>
#include <string.h>
#include <unistd.h>

#include "router/router.h"

/* Names of programs and reasons are others' words: one that is no text would leave out all that it stands with. */
static json_t *text_of(const char *words)
{
    HIRA_AUTOFREE char *copy = strdup(words);
    if (copy)
        hira_text_tame(copy);
    return copy ? json_string(copy) : NULL;
}

static const char *api_state(const struct router_api *api)
{
    if (router_api_hopeless(api))
        return "failed";
    if (api->ready || api->serving)
        return "ready";
    return api->process ? "starting" : "idle";
}

static void put_guests(const struct router_api *api, uid_t uid, json_t *guests)
{
    struct hira_list *pos;
    bool all = uid == 0 || uid == geteuid();
    for (pos = api->servers.next; pos != &api->servers; pos = pos->next) {
        struct router_server *s = hira_list_entry(pos, struct router_server, link);
        if (s->state != SERVER_SERVING || (!all && s->guest.uid != uid) ||
            json_array_size(guests) >= ROUTER_STATUS_GUESTS_MAX)
            continue;
        struct router_sums sums = router_account_read(s);
        json_array_append_new(guests,
                              json_pack("{s:i,s:I,s:o,s:s,s:i,s:I,s:I,s:I,s:I,s:b}", "pid", (int)s->guest.pid, "user",
                                        (json_int_t)s->guest.uid, "program", text_of(s->guest.name), "api", api->name, "server",
                                        (int)s->pid, "served_ms", (json_int_t)(router_now_ms(api->router) - s->since),
                                        "calls", (json_int_t)sums.calls, "errors", (json_int_t)sums.errors, "bytes",
                                        (json_int_t)sums.bytes, "adopted", s->former || s->orphan));
    }
}

static json_t *api_status(const struct router_api *api)
{
    const struct hira_list *pos;
    int waiting = 0;
    for (pos = api->waiting.next; pos != &api->waiting; pos = pos->next)
        waiting++;
    return json_pack("{s:s,s:o,s:s,s:i,s:i,s:i,s:i,s:i,s:i,s:o,s:o,s:o}", "name", api->name, "server", text_of(api->path),
                     "state", api_state(api), "zygote", api->process ? (int)api->process->pid : 0, "starting",
                     (int)(api->forking + api->starting), "ready", (int)api->ready, "serving", (int)api->serving,
                     "waiting", waiting, "restarts", (int)api->restarts, "reason", text_of(api->reason), "sandbox", text_of(api->held),
                     "sandbox_missing", text_of(api->missing));
}

char *router_status_text(const struct router *router, uid_t uid)
{
    const struct hira_list *pos;
    json_t *apis = json_array(), *guests = json_array();
    for (pos = router->apis.next; pos != &router->apis; pos = pos->next) {
        const struct router_api *api = hira_list_entry(pos, struct router_api, link);
        json_array_append_new(apis, api_status(api));
        put_guests(api, uid, guests);
    }
    json_t *root = json_pack("{s:s,s:i,s:i,s:o,s:I,s:b,s:i,s:i,s:i,s:i,s:I,s:I,s:o,s:o}", "version", HIRA_VERSION,
                             "protocol", (int)HIRA_PROTOCOL_VERSION, "pid", (int)getpid(), "socket",
                             text_of(router->options.socket), "uptime_ms", (json_int_t)(router_now_ms(router) - router->started),
                             "private", router->private, "warm", (int)router->options.warm, "max_guests",
                             (int)router->options.max_guests, "serving", (int)router->n_serving, "waiting",
                             (int)router->n_waiting, "served", (json_int_t)router->n_guests_ever, "refused",
                             (json_int_t)router->n_refused, "apis", apis, "guests", guests);
    char *text = root ? json_dumps(root, JSON_COMPACT) : NULL;
    json_decref(root);
    return text;
}
