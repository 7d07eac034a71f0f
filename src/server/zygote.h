/*
 * Where API servers come from: what each generated server's main() calls.
 *
 * The vendor's library is loaded once, in the zygote, before there is any thread; each server is a fork of it that
 * initializes the devices (which makes threads), waits ready, serves one guest and ends. hirad asks for forks and hands
 * guests over.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#ifndef HIRA_SERVER_ZYGOTE_H
#define HIRA_SERVER_ZYGOTE_H

#include "wire/account.h"
#include "wire/handshake.h"
#include "wire/share.h"

#define HIRA_SERVER_DIRECTORY_PREFIX "hira-server-" /* private folders, below --work-dir */
#define HIRA_SERVER_LOCK ".lock"                    /* in each: held as long as its server lives */

struct hira_zygote_ops {
    const char *api;

    /* "NAME=value", set before the vendor is loaded; NULL-terminated, or NULL. */
    const char *const *environment;

    /* Loads the vendor's library. Should make no thread: if it does, the zygote starts over and loads in each server
     * instead. 0, or negative with a sentence in `error`. NULL: nothing to load. */
    int (*load)(char *error, size_t error_size);

    /* In a server, before it has a guest: initializes devices, may make threads. As load. */
    int (*warm)(char *error, size_t error_size);

    /* In a server: serves this guest until it is gone; returns the exit status, or exits. Owns `sock`. The HELLO has
     * passed hira_hello_check and stays valid. `adopt`: who the guest is, as the kernel says; NULL with --once. */
    int (*serve)(int sock, const struct hira_hello *hello, size_t hello_size, const struct hira_adopt *adopt);

    /* What the i-th function is called that accounts count; NULL behind the last. NULL: they are not counted one by one. */
    const char *(*function_name)(uint32_t i);

    /* One line on the vendor, for --check, after load and warm. NULL allowed. */
    const char *(*describe)(void);

    /* Prints the vendor's devices, for --devices, likewise. NULL allowed. */
    void (*devices)(void);

    /* Variables that a guest may set: patterns, NULL-terminated, or NULL. A server whose guest sets one to what it was not
     * starts over with it, for the vendor has read it by then. */
    const char *const *guest_environment;

    /* The variable that tells the vendor's library where its drivers are, and the folder it looks in without; or NULL. */
    const char *vendor_choice, *vendor_folder;

    /* The variable that tells the vendor's library where to keep what it compiled; or NULL. */
    const char *cache;
};

/* The whole main() of an API server. Returns the exit status, in a server and in the zygote alike.
 *
 *   --zygote FD     fork servers as hirad, at the other end of FD, asks for them
 *   --once FD       serve the guest at the other end of FD, then end: for tests
 *   --check         load, warm, print one line on the vendor; status 0, or 1 with the reason on standard error
 *   --devices       load, warm, print "NUMBER NAME" of each device, as hirad.conf has them
 *   --layers        print "LAYER, LAYER;MISSING (why), ..." of the sandbox that servers get
 *   --work-dir DIR  where servers make their private folders (default: $TMPDIR, /tmp)
 *   --sandbox MODE, --sandbox-uids, --sandbox-memory, --sandbox-path, --sandbox-device, --sandbox-cgroup, --cache-dir
 *                   as of hirad, which hands them on
 *   --router PATH   where the next hirad will listen, should this one go: the zygote tells it of its servers
 */
int hira_zygote_main(int argc, char **argv, const struct hira_zygote_ops *ops);

/* The server's private folder, its working directory too: removed by whoever reaps the server, however it ends. */
const char *hira_zygote_directory(void);

/* The server's process, by the number that it has outside its sandbox. */
uint32_t hira_zygote_pid(void);

/* Where a server's own lines for the operator go, also after standard error has been given to the guest. */
int hira_zygote_log_fd(void);

/* Where this server counts what it does, for hirad to read. NULL with --once. */
struct hira_account *hira_zygote_account(void);

/* What this server's tenant may use, and has used: see wire/share.h. NULL where nothing is limited. */
const struct hira_limits *hira_zygote_limits(void);
struct hira_shared *hira_zygote_shared(void);

/* Where calls are written down from the first one on; -1: nowhere. To be taken over. */
int hira_zygote_trace(void);

/* The memory that this server's guest shares with its host, where it is in a virtual machine; else -1. To be taken over. */
int hira_zygote_region(void);

/* The socket to hirad, -1 with --once. Stays open while the guest is served: its hang-up tells either side of the
 * other's end, and a server goes on without hirad. */
int hira_zygote_router(void);

#endif
