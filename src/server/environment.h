/*
 * What of the surroundings reaches the vendor's library: the operator's choice of a vendor, and the variables of the
 * guest that the spec lets through.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#ifndef HIRA_SERVER_ENVIRONMENT_H
#define HIRA_SERVER_ENVIRONMENT_H

#include "server/zygote.h"

/* The spec's variables, and the mark under which a guest library reports that there is nothing: a server must never be
 * its own guest. */
void hira_environment_set(const struct hira_zygote_ops *ops);

/* Makes the variable ops->vendor_choice name the vendor: as $HIRA_VENDOR_ICD says; else what it named already, without
 * libraries that are Hira's own. `directory`: a private folder, or NULL while there is none, when a choice that needs one is
 * put off. Before the vendor's library reads the variable. */
void hira_environment_choose(const struct hira_zygote_ops *ops, const char *directory);

/* Sets the guest's variables that ops->guest_environment lets through; never ops->cache, which is the tenant's. True if that changed
 * anything. */
bool hira_environment_adopt(const struct hira_zygote_ops *ops, const struct hira_hello *hello);

#endif
