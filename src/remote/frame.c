/* Frames and prefaces as they may come from anybody: see frame.h.
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0 */
#include "remote/frame.h"

#include <errno.h>
#include <string.h>

#include "channel/lane.h"
#include "wire/record.h"

_Static_assert(sizeof(struct relay_preface) == 128 && sizeof(struct relay_frame) == 32, "they travel as they are");
_Static_assert(HIRA_MESSAGE_MAX <= RELAY_PIECE, "a control message fits a frame");

int relay_frame_check(const struct relay_frame *f)
{
    static const struct {
        uint32_t least, most;
    } sizes[] = {
        [RELAY_SESSION] = {RELAY_SESSION_SIZE, RELAY_SESSION_SIZE},
        [RELAY_ACK] = {0, 0},
        [RELAY_BYE] = {0, 256},
        [RELAY_CONTROL] = {sizeof(struct hira_message), HIRA_MESSAGE_MAX},
        [RELAY_RECORD] = {sizeof(struct hira_record),
                          RELAY_MEMORIES_MAX * sizeof(struct hira_record_memory) + HIRA_RECORD_MAX},
        [RELAY_DATA] = {1, RELAY_PIECE},
        [RELAY_CELL] = {0, 0},
        [RELAY_REPLY] = {sizeof(struct relay_progress) + sizeof(struct hira_reply),
                         sizeof(struct relay_progress) + HIRA_REPLY_SIZE},
        [RELAY_PROGRESS] = {sizeof(struct relay_progress), sizeof(struct relay_progress)},
        [RELAY_PACKED] = {sizeof(uint32_t) + 1, RELAY_PIECE},
    };
    bool counted = f->type != RELAY_SESSION && f->type != RELAY_ACK;
    if (f->type < RELAY_SESSION || f->type > RELAY_PACKED || f->size < sizes[f->type].least ||
        f->size > sizes[f->type].most || counted != (f->number != 0))
        return -EBADMSG;
    return 0;
}

int relay_preface_check(const struct relay_preface *p)
{
    if (p->magic != RELAY_MAGIC)
        return -EPROTO;
    if (p->version != RELAY_VERSION || p->protocol != HIRA_PROTOCOL_VERSION)
        return -EPROTONOSUPPORT;
    if (p->security > RELAY_TLS || !memchr(p->text, 0, sizeof p->text))
        return -EBADMSG;
    return 0;
}
