/*
 * What holds a server in. With a CPU device a kernel is native code inside the server, so the guest owns its server:
 * the server's process, and whatever it starts, is confined by the kernel below.
 *
 * The layers, each of which holds by itself; a machine that lacks one still has the others:
 *
 *   user       root: a user for each tenant that owns nothing else. Others: a user namespace, whose only user is theirs
 *   view       a root of its own in memory: read-only what the vendor's library needs, writable the private folder and
 * the tenant's cache processes  a process namespace: no other process can be named, and all it started ends with it
 *   proc       a /proc that shows these processes only
 *   network    a network without interfaces
 *   ipc        System V objects, message queues and host name of its own
 *   privileges no capability, none to be gained by executing anything
 *   syscalls   an allow-list of system calls (filter.c)
 *   limits     addresses, processes, descriptors, file sizes (sandbox_limits.h)
 *   cgroup     memory and processes of the whole server, where a cgroup of version 2 has been delegated to hirad
 *
 * The zygote finds out once which of them this system gives (hira_sandbox_init, in a child), and from then on a server
 * that cannot have one of those does not start. Nothing here trusts a server: everything is applied before the vendor's
 * library makes its first thread, and none of it can be taken back from within.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#ifndef HIRA_SERVER_SANDBOX_H
#define HIRA_SERVER_SANDBOX_H

#include <linux/limits.h> /* not <limits.h>: rooms have a file of that name */
#include <sys/types.h>

#include "base/text.h"
#include "server/sandbox_limits.h"
#include "wire/handshake.h"

struct hira_zygote_ops;

enum hira_layer {
    HIRA_LAYER_USER,
    HIRA_LAYER_VIEW,
    HIRA_LAYER_PROCESSES,
    HIRA_LAYER_PROC,
    HIRA_LAYER_NETWORK,
    HIRA_LAYER_IPC,
    HIRA_LAYER_PRIVILEGES,
    HIRA_LAYER_SYSCALLS,
    HIRA_LAYER_LIMITS,
    HIRA_LAYER_CGROUP,
    HIRA_N_LAYERS
};

enum hira_sandbox_mode { HIRA_SANDBOX_AUTO, HIRA_SANDBOX_REQUIRED, HIRA_SANDBOX_OFF };

struct hira_paths {
    char *path[HIRA_SANDBOX_PATHS];
    size_t n;
};

struct hira_sandbox {
    enum hira_sandbox_mode mode;
    const char *work_dir, *program;
    uint32_t uid_base, uid_count;
    uint64_t memory;        /* bytes that a server may use; 0: as many as the machine has */
    const char *cgroup;     /* given to hirad; NULL: one that is marked as given, if there is */
    const char *cache_dir;  /* of all tenants; NULL: the default */
    struct hira_paths more; /* the operator's: seen as well */
    struct hira_paths device_patterns;

    pid_t finder; /* the child that finds out, between hira_sandbox_init and hira_sandbox_collect */
    void *attempt;

    /* From here on what it found. */
    unsigned held;             /* bit 1 << layer */
    int errors[HIRA_N_LAYERS]; /* why one is missing: errno, 0 when it was not tried */
    bool own_user;             /* servers become a user of their tenant's */
    struct hira_paths paths, devices;
    gid_t groups[16]; /* whose devices they are */
    size_t n_groups;
    void *filter; /* struct sock_fprog */
};

/* Whom a server is for, and what it has of its own. */
struct hira_sandboxed {
    char tenant[HIRA_TENANT_MAX]; /* a name that is a file's as well */
    uid_t tenant_uid;
    char directory[PATH_MAX]; /* private folder */
    char cache[PATH_MAX];     /* the tenant's; below the private folder where there can be none that lasts */
    pid_t pid;                /* as the zygote knows it */
};

/* An option of the server's command line that says something on the sandbox: "--NAME VALUE". 0; -ENOENT: none of these;
 * -EINVAL: one sentence is in `error`. */
int hira_sandbox_option(struct hira_sandbox *s, const char *name, const char *value, char *error, size_t size);

/* Begins to find out which layers can be had, in a child; before there is any thread. */
void hira_sandbox_init(struct hira_sandbox *s);

/* Ends that, and collects what servers must see, after the vendor's library was loaded (or, where that waits, without
 * it). */
void hira_sandbox_collect(struct hira_sandbox *s, const struct hira_zygote_ops *ops);

/* "user, view, ..."; and what is missing with the reasons, empty if nothing is. */
void hira_sandbox_describe(const struct hira_sandbox *s, struct hira_text *held, struct hira_text *missing);

/* Whether the operator wants no server rather than one that is confined less. */
bool hira_sandbox_refuses(const struct hira_sandbox *s);

/* As fork(), but the child begins in namespaces that can only be had by forking. It is the first process of its process
 * namespace if that layer holds. -errno if there is no child. */
pid_t hira_sandbox_fork(const struct hira_sandbox *s);

/* In the child: everything else. Fills in `cache` and `pid` of `self`. 0; or -errno with a sentence, then the process
 * must end. */
int hira_sandbox_enter(const struct hira_sandbox *s, struct hira_sandboxed *self, char *error, size_t size);

/* Whether all that a server has started ends with it. */
bool hira_sandbox_keeps_processes(const struct hira_sandbox *s);

/* In a program that a server executes to be one again: what executing took away. */
void hira_sandbox_again(void);

/* After it ended and was waited for. */
void hira_sandbox_left(const struct hira_sandbox *s, pid_t pid);

/* How a child ended, from what waitpid said: the first process of a namespace cannot be killed by its own signals. */
int hira_sandbox_status(const struct hira_sandbox *s, int status);

/* ---- between the files of the sandbox ---- */

void hira_paths_add(struct hira_paths *paths, const char *path);
bool hira_paths_cover(const struct hira_paths *paths, const char *path); /* it or a folder above is among them */

/* view.c: a root of its own; the old one is gone afterwards. 0 or -errno. `uid` owns what is writable. */
int hira_view_enter(const struct hira_sandbox *s, const struct hira_sandboxed *self, const char *mount_point, uid_t uid,
                    bool proc);
void hira_view_collect(struct hira_sandbox *s, const struct hira_zygote_ops *ops);

/* cgroup.c: in the zygote. 0 or -errno. */
int hira_cgroup_init(struct hira_sandbox *s);
int hira_cgroup_enter(const struct hira_sandbox *s, pid_t pid);
void hira_cgroup_leave(const struct hira_sandbox *s, pid_t pid);

/* filter.c */
int hira_filter_build(struct hira_sandbox *s);
int hira_filter_enter(const struct hira_sandbox *s);
bool hira_filter_possible(void);

#endif
