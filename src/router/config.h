/*
 * hirad.conf: who the tenants are and what each may use. man/hirad.conf.5.scd is its manual.
 *
 * Read whole, checked whole, and only then used: a file that is wrong in anything changes nothing of what runs. The
 * file is the operator's; what it can contain is bounded all the same, for `hirad --check` is run on files of
 * anybody's.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#ifndef HIRA_ROUTER_CONFIG_H
#define HIRA_ROUTER_CONFIG_H

#include <sys/types.h>

#include "policy/policy.h"
#include "wire/handshake.h"
#include "wire/share.h"

#define CONFIG_TENANTS_MAX 4096u   /* each costs two pages once it is seen */
#define CONFIG_MEMBERS_MAX 256u    /* users, groups, sockets of one tenant */
#define CONFIG_APIS_MAX 16u        /* more APIs than anybody has */
#define CONFIG_SIZE_MAX (4u << 20) /* bytes of the file: a thousand lines a tenant would fit for all of them */
#define CONFIG_QUANTUM_MS 10       /* ten calls of a millisecond; handing a turn over costs a hundredth of it */
#define CONFIG_SOCKET_MAX 108      /* a unix socket's name */
#define CONFIG_PEER_MAX 26u        /* a name from another host: "peer-" before it makes it a tenant's */

/* What a tenant may use. Rates of 0: not limited. */
struct config_tenant {
    char name[HIRA_TENANT_MAX];
    bool refuse;
    uint32_t weight;
    uint8_t priority;
    bool latency;
    uint64_t calls, calls_burst; /* a second; at once */
    uint64_t bytes, bytes_burst;
    uint64_t time, time_burst; /* device ns */
    uint64_t memory;           /* bytes; 0: not limited */
    uid_t users[CONFIG_MEMBERS_MAX];
    gid_t groups[CONFIG_MEMBERS_MAX];
    char (*sockets)[CONFIG_SOCKET_MAX];
    char (*peers)[HIRA_TENANT_MAX]; /* names that guests of other hosts have proven */
    unsigned n_users, n_groups, n_sockets, n_peers;
    char apis[CONFIG_APIS_MAX][HIRA_API_NAME_MAX];
    unsigned n_apis;            /* 0: all */
    char rules[HIRA_RULES_MAX]; /* as in struct hira_limits */
    char devices[HIRA_DEVICES_MAX];
};

struct config {
    const struct policy_ops *policy; /* NULL: the device is not shared by turns */
    uint64_t quantum;                /* ns */
    uint64_t device_memory;          /* bytes; 0: not said */
    bool measure;                    /* calls are timed */
    char metrics[CONFIG_SOCKET_MAX]; /* where they are served: "/path", "127.0.0.1:port"; empty: nowhere */
    struct config_tenant rest;       /* `default`: whoever is nobody else */
    struct config_tenant *tenants;
    unsigned n_tenants;
};

/* Reads a file. 0 and a config of the caller's; or negative with lines "FILE:LINE: what is wrong" in `error`. */
int config_read(const char *path, struct config **ret_config, char *error, size_t error_size);
/* The same of a text, NUL-terminated. */
int config_parse(const char *text, struct config **ret_config, char *error, size_t error_size);
void config_free(struct config *config); /* NULL allowed */

/* Who somebody is; the first tenant that names the socket, the user, the group, in this order; else `rest`. */
const struct config_tenant *config_find(const struct config *config, const char *socket, uid_t uid, gid_t gid);
/* The same of a guest from another host, by the name that it has proven. */
const struct config_tenant *config_find_peer(const struct config *config, const char *peer);
const struct config_tenant *config_named(const struct config *config, const char *name);

/* Changes one setting of a tenant, `name` and `value` as in the file. 0, or negative with a sentence. */
int config_set(struct config_tenant *tenant, const char *name, const char *value, char *error, size_t error_size);
/* Whether all of a config can be kept. 0, or negative with a sentence. */
int config_check(const struct config *config, char *error, size_t error_size);

#endif
