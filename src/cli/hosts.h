/* The hosts that a user knows by name: a file of sections, see hira-hosts.conf(5).
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef HIRA_CLI_HOSTS_H
#define HIRA_CLI_HOSTS_H

#include "base/util.h"

#define CLI_RELAY_OPTIONS_MAX 16

/* Options for a relay: whom to connect to, and by which keys. */
struct cli_relay_options {
    char *words[CLI_RELAY_OPTIONS_MAX + 1]; /* end with NULL; the heap's */
    unsigned n;
    bool keys; /* there are some among them */
};

/* Appends --NAME=VALUE, or --NAME. False: there are too many. */
bool cli_relay_option(struct cli_relay_options *o, const char *name, const char *value);
void cli_relay_options_fini(struct cli_relay_options *o);

/* Whom --on names: an entry of the file, whose keys count where none are given already; or else a host. 0, or -1 with lines that say what is
 * wrong in which file. */
int cli_host_resolve(const char *name, struct cli_relay_options *o, char *error, size_t size);

#endif
