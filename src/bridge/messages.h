/* Which of Hira's messages a guest may say over its stream. Copyright the Hira authors. SPDX-License-Identifier:
 * Apache-2.0 */
#ifndef HIRA_BRIDGE_MESSAGES_H
#define HIRA_BRIDGE_MESSAGES_H

#include "wire/handshake.h"

#ifdef BRIDGE_STREAM_BUFFER_SMALL
#define BRIDGE_MESSAGE_MAX (BRIDGE_STREAM_BUFFER / 2) /* for fuzzing */
#else
#define BRIDGE_MESSAGE_MAX HIRA_MESSAGE_MAX
#endif
#define BRIDGE_ANSWER_MAX 4096u /* what a server or hirad says to a guest has some 600 bytes at most */

/* The size of the message that begins with this header, or -EPROTO: no guest says such a thing. What only the bridge,
 * relays, operators and servers say would make a guest one of them. Messages of another version are hirad's to refuse:
 * it does nothing else with them. */
int bridge_message_size(const struct hira_message *head);

#endif
