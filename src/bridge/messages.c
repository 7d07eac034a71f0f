/* See messages.h. Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0 */
#include "bridge/vsock.h"

#include <errno.h>

#include "bridge/messages.h"

int bridge_message_size(const struct hira_message *head)
{
    if (head->magic != HIRA_PROTOCOL_MAGIC || head->size < sizeof *head || head->size > BRIDGE_MESSAGE_MAX)
        return -EPROTO;
    bool said_by_guests = head->type == HIRA_MSG_HELLO || head->type == HIRA_MSG_OPEN_LANE ||
                          head->type == HIRA_MSG_GROW || head->type == HIRA_MSG_WAKE;
    return head->version != HIRA_PROTOCOL_VERSION || said_by_guests ? (int)head->size : -EPROTO;
}
