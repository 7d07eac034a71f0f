/* Handles: roots from lists whose count goes both ways, counted ones, created and destroyed ones, integers.
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0 */
#include "t.h"

static void devices(void)
{
    nullDevice list[8], again[8];
    uint32_t n = 77;
    CALL(nullGetDevices(&n, NULL));
    say("%u", n);
    for (uint32_t capacity = 0; capacity < 6; capacity++) {
        memset(list, 0, sizeof list);
        n = capacity;
        CALL(nullGetDevices(&n, list));
        say("%u of %u, the next is %sNULL", n, capacity, list[n] ? "not " : "");
        for (uint32_t i = 0; i < n; i++)
            say("%s", nullDeviceName(list[i]));
    }
    CALL(nullGetDevices(NULL, list));
    CALL(nullGetDevices(NULL, NULL));
    n = 8;
    OK(nullGetDevices(&n, list));
    n = 8;
    OK(nullGetDevices(&n, again));
    CHECK(!memcmp(list, again, n * sizeof *list));
    say("%s", nullDeviceName(NULL) ? "named" : "NULL");
}

static void entries(void)
{
    nullDeviceEntry list[5];
    uint32_t n = 0;
    for (uint32_t capacity = 0; capacity < 6; capacity++) {
        memset(list, 0x55, sizeof list);
        CALL(nullGetDeviceEntries(capacity < 5 ? capacity : 5, list, &n));
        say("%u", n);
        for (uint32_t i = 0; i < n; i++)
            say("%u %s %s", list[i].number, list[i].name, nullDeviceName(list[i].device));
    }
    CALL(nullGetDeviceEntries(5, list, NULL));
    CHECK(list[0].device == t_device());
    CALL(nullGetDeviceEntries(0, NULL, &n));
    say("%u", n);
}

static uint32_t references(nullQueue queue)
{
    uint32_t n = 0;
    OK(nullGetQueueInfo(queue, NULL_QUEUE_REFERENCES, sizeof n, &n, NULL));
    return n;
}

static void queues(void)
{
    nullStatus status = NULL_ERROR_LOST;
    nullDevice device = NULL;
    uint32_t priority = 0;
    uint64_t commands = 7;
    size_t size = 0;
    nullQueue q = nullCreateQueue(t_device(), 3, &status);
    say("%d, %d", q != NULL, status);
    CALL(nullGetQueueInfo(q, NULL_QUEUE_DEVICE, sizeof device, &device, &size));
    say("%zu %d", size, device == t_device());
    CALL(nullGetQueueInfo(q, NULL_QUEUE_PRIORITY, sizeof priority, &priority, &size));
    say("%zu %u", size, priority);
    CALL(nullGetQueueInfo(q, NULL_QUEUE_COMMANDS, sizeof commands, &commands, NULL));
    say("%lu", commands);
    CALL(nullGetQueueInfo(q, NULL_QUEUE_COMMANDS, 0, NULL, &size));
    CALL(nullGetQueueInfo(q, NULL_QUEUE_COMMANDS, 4, &commands, &size));
    CALL(nullGetQueueInfo(q, (nullQueueQuery)99, 4, &priority, &size));
    CALL(nullGetQueueInfo(NULL, NULL_QUEUE_PRIORITY, 4, &priority, &size));
    say("refs %u", references(q));
    OK(nullRetainQueue(q));
    OK(nullRetainQueue(q));
    say("refs %u", references(q));
    OK(nullReleaseQueue(q));
    say("refs %u", references(q));
    OK(nullReleaseQueue(q));
    CALL(nullFinish(q));
    OK(nullReleaseQueue(q));
    say("%d %d", nullRetainQueue(NULL), nullReleaseQueue(NULL));
    q = nullCreateQueue(NULL, 3, &status);
    say("%d, %d, last %d", q != NULL, status, nullGetLastError());
    q = nullCreateQueue(t_device(), 30, &status);
    say("%d, %d, last %d", q != NULL, status, nullGetLastError());
    q = nullCreateQueue(t_device(), 30, NULL);
    say("%d, last %d", q != NULL, nullGetLastError());
    q = nullCreateQueue(t_device(), 0, NULL);
    say("%d, last %d", q != NULL, nullGetLastError());
    OK(nullReleaseQueue(q));
}

static void properties(void)
{
    nullDevice list[NULL_DEVICES], device = NULL;
    uint32_t n = NULL_DEVICES, priority = 0;
    nullStatus status = NULL_ERROR_LOST;
    OK(nullGetDevices(&n, list));
    const intptr_t full[] = {NULL_PROPERTY_PRIORITY, 5, NULL_PROPERTY_DEVICE, (intptr_t)list[2], 0};
    const intptr_t none[] = {0};
    const intptr_t bad[] = {NULL_PROPERTY_PRIORITY, 50, 0};
    const intptr_t unknown[] = {77, 1, 0};
    const intptr_t *const lists[] = {full, none, NULL, bad, unknown};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        nullQueue q = nullOpenQueue(lists[i], &status);
        say("%d, %d, last %d", q != NULL, status, nullGetLastError());
        if (!q)
            continue;
        OK(nullGetQueueInfo(q, NULL_QUEUE_DEVICE, sizeof device, &device, NULL));
        OK(nullGetQueueInfo(q, NULL_QUEUE_PRIORITY, sizeof priority, &priority, NULL));
        say("%s %u", nullDeviceName(device), priority);
        OK(nullReleaseQueue(q));
    }
}

/* Handles of another type, which both sides must tell apart; the last error tells it too. */
static void foreign(void)
{
    nullQueue q = t_queue();
    nullBuffer b = t_buffer(q, 100);
    uint64_t v;
    CALL(nullFinish((nullQueue)b));
    CALL(nullPoke((nullBuffer)q, 0, 1));
    CALL(nullPeek((nullBuffer)t_device(), 0, &v));
    CALL(nullSetEvent((nullEvent)q, 0));
    CALL(nullReleaseEvent((nullEvent)q));
    say("%s", nullDeviceName((nullDevice)q) ? "named" : "NULL");
    CALL(nullFinish(q));
    OK(nullDestroyBuffer(b));
    OK(nullReleaseQueue(q));
}

static void buffers(void)
{
    nullQueue q = t_queue();
    nullStatus status;
    uint64_t v = 0;
    nullBuffer b = nullCreateBuffer(q, 64, "scratch", &status);
    say("%d %s", status, nullBufferLabel(b));
    for (size_t i = 0; i < 10; i++) {
        CALL(nullPoke(b, i, i * 3));
        CALL(nullPeek(b, i, &v));
        say("%lu", v);
    }
    CALL(nullPeek(b, 0, NULL));
    CALL(nullPeek(NULL, 0, &v));
    CALL(nullPoke(NULL, 0, 1));
    CALL(nullDestroyBuffer(b));
    CALL(nullDestroyBuffer(NULL));
    b = nullCreateBuffer(q, 0, "empty", &status);
    say("%d %d last %d", b != NULL, status, nullGetLastError());
    b = nullCreateBuffer(q, SIZE_MAX, "huge", &status);
    say("%d %d last %d", b != NULL, status, nullGetLastError());
    b = nullCreateBuffer(NULL, 10, "nowhere", NULL);
    say("%d last %d", b != NULL, nullGetLastError());
    b = nullCreateBuffer(q, 10, NULL, NULL);
    say("%d %s", b != NULL, nullBufferLabel(b) ? "named" : "NULL");
    OK(nullDestroyBuffer(b));
    OK(nullReleaseQueue(q));
}

/* Slots are used again, ids are not. */
static void many(void)
{
    nullQueue q = t_queue();
    nullBuffer all[2000];
    uint64_t v, sum = 0;
    for (int round = 0; round < 20; round++) {
        for (uint64_t i = 0; i < 2000; i++) {
            all[i] = t_buffer(q, 8);
            OK(nullPoke(all[i], 0, i));
        }
        for (uint64_t i = round; i < 2000; i += 97) {
            OK(nullPeek(all[i], 0, &v));
            sum += v;
        }
        for (int i = 0; i < 2000; i++)
            OK(nullDestroyBuffer(all[(i * 7) % 2000]));
    }
    say("%lu", sum);
    OK(nullReleaseQueue(q));
}

static void streams(void)
{
    nullStream s = 0, t = 0;
    uint64_t bytes = 0, sum = 0;
    unsigned char *data = t_bytes(3 << 20, 9);
    CALL(nullOpenStream(t_device(), &s));
    CALL(nullOpenStream(t_device(), &t));
    CHECK(s && t && s != t);
    for (size_t size = 1; size < 3 << 20; size = size * 3 + 1)
        OK(nullPushStream(s, data, size));
    CALL(nullPushStream(s, NULL, 5));
    CALL(nullPushStream(s, data, 0));
    data[0] ^= 1; /* what was pushed is the stream's */
    CALL(nullStreamTotal(s, &bytes, &sum));
    say("%lu %016lx", bytes, sum);
    CALL(nullStreamTotal(t, &bytes, NULL));
    say("%lu", bytes);
    CALL(nullPushStream(0, data, 1));
    CALL(nullStreamTotal(0, &bytes, NULL));
    CALL(nullOpenStream(NULL, &t));
    CALL(nullOpenStream(t_device(), NULL));
    CALL(nullCloseStream(s));
    CALL(nullCloseStream(0));
    free(data);
}

/* Handles in a property list that a query tells are the application's. */
static void told_properties(void)
{
    nullDevice devices[NULL_DEVICES];
    uint32_t n = NULL_DEVICES;
    OK(nullGetDevices(&n, devices));
    const intptr_t list[] = {NULL_PROPERTY_PRIORITY, 3, NULL_PROPERTY_DEVICE, (intptr_t)devices[1], NULL_PROPERTY_END};
    intptr_t got[8] = {0};
    size_t size = 0;
    nullStatus status;
    nullQueue q = nullOpenQueue(list, &status), plain = t_queue();
    OK(status);
    CALL(nullGetQueueInfo(q, NULL_QUEUE_PROPERTIES, sizeof got, got, &size));
    CHECK(size == sizeof list && !memcmp(got, list, sizeof list));
    CALL(nullGetQueueInfo(q, NULL_QUEUE_PROPERTIES, sizeof list - 1, got, &size));
    CALL(nullGetQueueInfo(q, NULL_QUEUE_PROPERTIES, 0, NULL, &size));
    CALL(nullGetQueueInfo(plain, NULL_QUEUE_PROPERTIES, sizeof got, got, &size));
    say("%zu", size);
    OK(nullReleaseQueue(plain));
    OK(nullReleaseQueue(q));
}

/* What the guest knows of a buffer is told as the vendor tells it. */
static void told_sizes(void)
{
    nullQueue q = t_queue();
    nullBuffer b = t_buffer(q, 123);
    uint64_t value[2] = {7, 7};
    size_t size = 0;
    CALL(nullGetBufferInfo(b, NULL_BUFFER_SIZE, sizeof value, value, &size));
    say("%lu %lu, %zu", value[0], value[1], size);
    CALL(nullGetBufferInfo(b, NULL_BUFFER_SIZE, 8, value, NULL));
    CALL(nullGetBufferInfo(b, NULL_BUFFER_SIZE, 7, value, NULL));
    CALL(nullGetBufferInfo(b, NULL_BUFFER_SIZE, 0, NULL, &size));
    CALL(nullGetBufferInfo(b, NULL_BUFFER_ADDRESS, 8, value, &size));
    CALL(nullGetBufferInfo(NULL, NULL_BUFFER_SIZE, 8, value, &size));
    say("%lu %zu", value[0], size);
    OK(nullDestroyBuffer(b));
    CALL(nullReleaseQueue(q));
}

/* What is not carried is not advertised; and the answer's size is that of what is told. */
static void told_less(void)
{
#ifndef UNDER_HIRA
    t_skip("the vendor tells everything");
#endif
    nullDevice d = t_device();
    char text[64];
    nullFeature list[4];
    uint32_t abilities = 0;
    size_t size = 0;
    OK(nullGetDeviceInfo(d, NULL_DEVICE_FEATURES, 0, NULL, &size));
    CHECK(size == sizeof "null_count null_log ");
    memset(text, 'x', sizeof text);
    OK(nullGetDeviceInfo(d, NULL_DEVICE_FEATURES, size, text, NULL));
    CHECK(!strcmp(text, "null_count null_log ") && text[size] == 'x');
    CHECK(nullGetDeviceInfo(d, NULL_DEVICE_FEATURES, size - 1, text, NULL) == NULL_ERROR_VALUE);
    OK(nullGetDeviceInfo(d, NULL_DEVICE_FEATURE_LIST, sizeof list, list, &size));
    CHECK(size == 2 * sizeof *list && !strcmp(list[0].name, "null_count") && list[1].version == 2);
    OK(nullGetDeviceInfo(d, NULL_DEVICE_ABILITIES, sizeof abilities, &abilities, &size));
    CHECK(abilities == (NULL_ABILITY_COUNT | NULL_ABILITY_LOG) && size == sizeof abilities);
    OK(nullGetDeviceInfo(d, NULL_DEVICE_MAKER, sizeof text, text, &size));
    CHECK(!strcmp(text, "THE VENDOR OF NOTHING") && size == strlen(text) + 1);
    CHECK(nullGetDeviceInfo(d, 0, sizeof text, text, &size) == NULL_ERROR_VALUE);
}

const struct t_test objects_tests[] = {{"devices", devices}, {"entries", entries}, {"queues", queues}, {"properties", properties},
                                       {"foreign", foreign}, {"buffers", buffers}, {"many", many},     {"streams", streams},
                                       {"told_properties", told_properties}, {"told_sizes", told_sizes}, {"told_less", told_less},
                                       {NULL, NULL}};
