/* Round robin: a quantum each, in turn, whatever the weights. For comparison: whoever has long calls gets more.
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0 */
#include "policy/policy.h"

static struct policy_client *pick(struct policy *p, uint64_t *ret_turn, uint64_t *ret_again)
{
    (void)ret_again;
    struct policy_client *c = policy_first(p);
    *ret_turn = policy_turn(p, c);
    return c;
}

const struct policy_ops policy_round_robin = {"round-robin", NULL, pick, NULL, NULL};
