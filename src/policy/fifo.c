/* First come, first served, a call at a time: what a device without any policy does. For comparison: shares are as the
 * lengths of calls. Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0 */
#include "policy/policy.h"

static struct policy_client *pick(struct policy *p, uint64_t *ret_turn, uint64_t *ret_again)
{
    (void)ret_again;
    struct policy_client *c = policy_first(p);
    *ret_turn = policy_turn(p, c) == POLICY_FOREVER ? POLICY_FOREVER : 0;
    return c;
}

const struct policy_ops policy_fifo = {"fifo", NULL, pick, NULL, NULL};
