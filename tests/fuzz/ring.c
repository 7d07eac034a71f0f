/* Fuzzes the callee's end of a lane: the memory under it is the input, and changes between two looks.
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 *
 * An input is a list of 16-byte strokes {uint32 where, uint32 what, uint64 value}: bits 0-1 of `what` say whether a word is written
 * at `where`, an honest-looking stamp and size are put at the callee's place, or the callee looks. */
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "channel/lane.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool never_alive(void *context)
{
    (void)context;
    return false;
}

static struct hira_callee callee;
static char *copy;

static void start(void)
{
    HIRA_AUTOCLOSE int fd = hira_fd_shared_memory("ring", HIRA_LANE_SIZE);
    callee.alive = never_alive;
    copy = aligned_alloc(HIRA_CACHE_LINE, HIRA_RECORD_MAX);
    if (!copy || hira_lane_map(&callee.map, fd) < 0)
        abort();
}

static void look(void)
{
    struct hira_record *record = (struct hira_record *)copy;
    uint64_t head = callee.head, sequence = callee.sequence;
    int n = hira_callee_next(&callee, record, false);
    if (n > 0 && ((uint32_t)n != record->size || n < (int)sizeof *record || n > (int)HIRA_RECORD_MAX || callee.sequence != sequence + 1))
        abort();
    if (n <= 0 && callee.sequence != sequence)
        abort();
    if (n <= 0)
        return;
    hira_callee_release(&callee);
    hira_callee_retire(&callee, callee.sequence);
    hira_callee_reply(&callee, 16);
    if (callee.head <= head || callee.head - head > HIRA_RECORD_MAX)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!copy)
        start();
    memset(callee.map.control, 0, 256);
    memset(callee.map.ring, 0, HIRA_RING_SIZE);
    callee.head = callee.sequence = callee.lines = 0;
    for (; size >= 16; data += 16, size -= 16) {
        uint32_t where, what;
        uint64_t value;
        memcpy(&where, data, 4);
        memcpy(&what, data + 4, 4);
        memcpy(&value, data + 8, 8);
        char *at = callee.map.ring + (callee.head & (HIRA_RING_SIZE - 1));
        if (what % 4 == 0) {
            memcpy((char *)callee.map.control + where % (HIRA_LANE_SIZE - 8), &value, 8);
        } else if (what % 4 == 1) {
            uint64_t stamp = (callee.sequence + 1) << 8 | (value & 0xff);
            uint32_t bytes = (uint32_t)(value >> 8) % (HIRA_RECORD_MAX + 64);
            memcpy(at, &stamp, 8);
            memcpy(at + 8, &bytes, 4);
        } else {
            look();
        }
    }
    return 0;
}
