/* What the null API's server brings for making objects anew, over the vendor's library itself: buffers keep what they
 * hold, and the tables say which calls count.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0 */
#include <stdint.h>

#include "null.h"
#include "replay/tables.h"
#include "tap.h"

enum { WORDS = 512 };

static void contents_of_buffers(nullQueue queue)
{
    const struct hira_contents *c = type_named("nullBuffer")->contents;
    static uint64_t kept[WORDS];
    nullBuffer from = nullCreateBuffer(queue, sizeof kept, NULL, NULL),
               to = nullCreateBuffer(queue, sizeof kept, NULL, NULL);
    unsigned wrong = 0;
    if (CHECK(c && from && to)) {
        for (size_t i = 0; i < WORDS; i++)
            nullPoke(from, i, i * i + 1);
        CHECK(c->size(from) == sizeof kept);
        CHECK(c->save(from, kept, sizeof kept));
        CHECK(c->restore(to, kept, sizeof kept));
        for (size_t i = 0; i < WORDS; i++) {
            uint64_t value = 0;
            wrong += nullPeek(to, i, &value) || value != i * i + 1;
        }
        CHECK(wrong == 0);
        CHECK(!c->save(from, kept, 2 * sizeof kept)); /* the vendor refuses */
    }
    nullDestroyBuffer(from);
    nullDestroyBuffer(to);
    tap_case("a buffer that is made anew holds what the old one held");
}

static void flags(void)
{
    CHECK(recorded("nullCreateQueue") == HIRA_RECORDED_MADE);
    CHECK(recorded("nullOpenStream") == HIRA_RECORDED_MADE);
    CHECK(recorded("nullPushStream") == HIRA_RECORDED_BELONGS);
    CHECK(recorded("nullSetLogger") == HIRA_RECORDED_BELONGS);
    CHECK(recorded("nullCreateEvent") == 0); /* a command */
    CHECK(recorded("nullPoke") == 0);        /* contents hold it */
    CHECK(recorded("nullFinish") == 0);
    CHECK(!type_named("nullQueue")->contents && !type_named("nullEvent")->contents);
    tap_case("the tables say which calls are recorded, and which types have contents");
}

static void told(void)
{
    const struct hira_belongs all = belonging("nullSetLogger", (const uint64_t[2]){0}, 2);
    const struct hira_belongs none = belonging("nullNop", NULL, 0);
    CHECK(all.type == 0 && !all.object && all.n_keys == 1 && all.keys[0] == 0);
    CHECK(none.type == UINT32_MAX);
    tap_case("a call that is served tells to what it belongs");
}

int main(void)
{
    char error[256] = "";
    nullDevice devices[NULL_DEVICES];
    uint32_t n = NULL_DEVICES;
    if (!CHECK(hira_vendor_load(error, sizeof error) == 0))
        printf("# %s\n", error);
    nullGetDevices(&n, devices);
    nullQueue queue = nullCreateQueue(devices[0], 0, NULL);
    contents_of_buffers(queue);
    flags();
    told();
    nullReleaseQueue(queue);
    return tap_done();
}
