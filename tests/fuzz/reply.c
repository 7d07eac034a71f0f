/*
 * Fuzzes what a guest library hears: replies to calls, answers to control messages, callbacks. The null API's guest library runs in this
 * process, called like by an application; its server is the input.
 *
 * An input is steps {uint8 function, uint8 choice} with chunks {uint16 length, bytes} behind them, one for each reply that the call waits
 * for: {uint32 size, uint16 status, uint16 flags, words}. When there is none left the server is gone, for the rest of the input.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "guest/internal.h"
#include "null.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max) __attribute__((weak));
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed);
int __wrap_hira_caller_wait_reply(struct hira_caller *c);
int __wrap_hira_caller_wait_room(struct hira_caller *c);
int __wrap_hira_fd_write_all(int fd, const void *data, size_t size);

#define ARENA (64ull << 20)

static const uint8_t *input;
static size_t left;
static uint8_t choice;
static bool honest = true; /* while the connection is made */
static volatile uint64_t sink;

static size_t take(void *to, size_t room)
{
    if (left < 2)
        return 0;
    size_t size = HIRA_MIN((size_t)(input[0] | input[1] << 8), left - 2);
    memcpy(to, input + 2, HIRA_MIN(size, room));
    input += 2 + size;
    left -= 2 + size;
    return HIRA_MIN(size, room);
}

/* ---- the server ---- */

/* Ends the commands of the record published last: its blocks are done, or have failed. */
static void end_blocks(struct hira_caller *c, uint64_t head)
{
    for (; head < c->head; head += HIRA_LINE) {
        const struct hira_record *record = hira_caller_at(c, head);
        const uint64_t *words = (const uint64_t *)record;
        for (unsigned i = 0; i < HIRA_LINE / 8 * 8; i++)
            if (HIRA_MEM_KIND(words[i]) == HIRA_MEM_BLOCK && words[i + 1] % HIRA_CELL_BEFORE == 0 && words[i + 1] >= HIRA_CELL_BEFORE &&
                hira_arena_at(&hira_connection.arena, words[i + 1], 64))
                atomic_store(hira_arena_cell(&hira_connection.arena, words[i + 1]), choice & 1 ? HIRA_CELL_DONE : HIRA_CELL_FAILED);
    }
}

static void keep_up(struct hira_caller *c)
{
    atomic_store(&c->map.control->tail, c->head);
    atomic_store(&c->map.control->retired, c->sequence);
}

int __wrap_hira_caller_wait_reply(struct hira_caller *c)
{
    static uint8_t bytes[4096];
    struct hira_reply *reply = c->map.reply;
    size_t n = honest ? 0 : take(bytes, sizeof bytes);
    if (!honest && !n)
        return -EPIPE;
    memset(reply, 0, 64);
    reply->size = sizeof *reply;
    memcpy(&reply->size, bytes, HIRA_MIN(n, 8u));
    if (n > 8)
        memcpy(reply->words, bytes + 8, n - 8);
    end_blocks(c, c->head - HIRA_MIN(c->head, 1024u));
    keep_up(c);
    atomic_store(&reply->stamp, c->sequence);
    return 0;
}

int __wrap_hira_caller_wait_room(struct hira_caller *c)
{
    keep_up(c);
    c->tail = c->head;
    return 0;
}

int __wrap_hira_fd_write_all(int fd, const void *data, size_t size)
{
    for (size_t i = 0; i < size; i++)
        sink += ((const uint8_t *)data)[i];
    return fd < 0;
}

/* ---- the transport ---- */

static enum hira_message_type asked;

static int fuzz_send(struct hira_transport *t, const void *data, size_t size, const int *fds, size_t n_fds)
{
    struct hira_message head;
    (void)t, (void)size, (void)fds, (void)n_fds;
    memcpy(&head, data, sizeof head);
    asked = head.type;
    return 0;
}

static ssize_t fuzz_receive(struct hira_transport *t, void *data, size_t size, int *fds, size_t *n_fds)
{
    struct hira_segment_message segment = {.head = hira_message_head(HIRA_MSG_SEGMENT, sizeof segment), .size = ARENA};
    struct hira_lane_message lane = {.head = hira_message_head(HIRA_MSG_LANE, sizeof lane), .size = HIRA_LANE_SIZE};
    struct hira_welcome welcome = {.n_functions = hira_guest_api.n_functions, .max_lanes = 4, .max_arena = ARENA};
    size_t map = (hira_guest_api.n_functions + 7) / 8;
    (void)t;
    if (!honest) {
        if (fds && choice & 2)
            fds[0] = hira_fd_shared_memory("garbage", choice & 4 ? HIRA_LANE_SIZE : 4096);
        if (n_fds)
            *n_fds = fds && choice & 2;
        return (ssize_t)take(data, size);
    }
    if (asked == HIRA_MSG_HELLO) {
        welcome.head = hira_message_head(HIRA_MSG_WELCOME, sizeof welcome + map);
        memcpy(data, &welcome, sizeof welcome);
        memset((char *)data + sizeof welcome, 0xff, map);
        return (ssize_t)(sizeof welcome + map);
    }
    fds[0] = hira_fd_shared_memory("fuzz", asked == HIRA_MSG_GROW ? ARENA : HIRA_LANE_SIZE);
    if (asked == HIRA_MSG_GROW)
        memcpy(data, &segment, sizeof segment);
    else
        memcpy(data, &lane, sizeof lane);
    return asked == HIRA_MSG_GROW ? (ssize_t)sizeof segment : (ssize_t)sizeof lane;
}

static int fuzz_map_lane(struct hira_transport *t, struct hira_lane_map *map, int fd)
{
    (void)t;
    return hira_lane_map(map, fd);
}

static bool fuzz_lost(struct hira_transport *t)
{
    (void)t;
    return false;
}

static void fuzz_close(struct hira_transport *t)
{
    (void)t;
}

/* ---- the application ---- */

static void on_event(nullEvent event, int32_t status, void *cookie)
{
    sink += (uint64_t)(uintptr_t)event + (uint64_t)status + (uint64_t)(uintptr_t)cookie;
}

/* What stands in the record is the application's to read, as far as its type says. */
static void on_log(int32_t level, const char *text)
{
    sink += (uint64_t)level + (text ? (uint64_t)text[0] : 0);
}

static int32_t on_compare(const int32_t *a, const int32_t *b, void *cookie)
{
    (void)cookie;
    return a && b ? *a - *b : 0;
}

static bool on_each(uint32_t index, double value, void *cookie)
{
    (void)cookie;
    return index > value;
}

static struct hira_guest_lane *lane;
static nullDevice device;
static nullQueue queue;
static nullEvent event;
static nullBuffer buffer;
static nullStream stream;

/* Memory of just this size, so that one byte too far is seen. */
static void *room(size_t size)
{
    void *p = calloc(1, size ? size : 1);
    if (!p)
        exit(70);
    return p;
}

static void read_text(const char *text)
{
    sink += text ? strlen(text) : 0;
}

static void scalars(void)
{
    sink += (uint64_t)nullAdd8(1, 2) + nullAddU16(1, 2) + (nullAddFloat(1, 2) > 0) + nullNot(true) + nullNextKind(NULL_KIND_INT);
    nullVec3 v = nullVecAdd((nullVec3){1, 2, 3}, (nullVec3){1, 2, 3});
    nullRecord r = nullRecordScale((nullRecord){.id = 1}, 2);
    nullLimits l = nullGetLimits(1);
    sink += (v.x > 0) + (uint64_t)(uint8_t)r.tag[0] + l.lanes;
}

static void texts(void)
{
    read_text(nullErrorName(NULL_ERROR_VALUE));
    read_text(nullDeviceName(device));
    read_text(nullBufferLabel(buffer));
}

static void outs(size_t size)
{
    char *text = room(size), *word = room(size);
    size_t *needed = room(sizeof *needed);
    const nullParam param = {NULL_KIND_TEXT, {.text = "text"}};
    const char *const words[] = {"a", "b"};
    nullDescribe(&param, 1, text, size, needed);
    nullJoin(words, NULL, 2, word, size, needed);
    nullFillBytes(text, size, 1);
    nullReverse(text, size);
    nullSumBytes(text, size, (uint64_t *)needed);
    uint16_t *pattern = room(size / 2 * 2);
    uint32_t *filled = room(4);
    nullPattern(pattern, (uint32_t)(size / 2), filled);
    free(text);
    free(word);
    free(needed);
    free(pattern);
    free(filled);
}

static void handles(uint32_t n)
{
    nullDevice *list = room(n * sizeof *list);
    nullDeviceEntry *entries = room(n * sizeof *entries);
    uint32_t *count = room(4);
    *count = n;
    nullGetDevices(count, list);
    nullGetDeviceEntries(n, entries, count);
    for (uint32_t i = 0; i < n; i++)
        if (list[i])
            sink += hira_object_type(list[i]);
    nullDevice *of = room(8);
    size_t *size = room(sizeof *size);
    nullGetQueueInfo(queue, NULL_QUEUE_DEVICE, 8, of, size);
    nullGetQueueInfo(queue, NULL_QUEUE_REFERENCES, 4, count, size);
    free(list);
    free(entries);
    free(count);
    free(of);
    free(size);
}

static void objects(void)
{
    nullStatus error;
    const intptr_t properties[] = {NULL_PROPERTY_DEVICE, (intptr_t)device, NULL_PROPERTY_END};
    nullQueue q = nullCreateQueue(device, 1, &error), p = nullOpenQueue(properties, &error);
    nullEvent e = nullCreateEvent(queue, &error);
    nullBuffer b = nullCreateBuffer(queue, 64, "label", &error);
    nullStream s = 0;
    nullOpenStream(device, &s);
    nullRetainQueue(q);
    nullReleaseQueue(q);
    nullReleaseQueue(q);
    nullReleaseQueue(p);
    nullReleaseEvent(e);
    nullDestroyBuffer(b);
    if (s)
        nullCloseStream(s);
}

static void commands(size_t size)
{
    char *data = room(size);
    nullEvent e[2] = {0};
    uint64_t value;
    nullWrite(queue, buffer, choice & 8, 0, size, data, 1, &event, &e[0]);
    nullRead(queue, buffer, choice & 8, 0, size, data, 0, NULL, &e[1]);
    nullPeek(buffer, 1, &value);
    nullFinish(queue);
    nullWaitEvents(1, &event);
    for (unsigned i = 0; i < 2; i++)
        if (e[i])
            nullReleaseEvent(e[i]);
    end_blocks(&lane->caller, lane->caller.head - HIRA_MIN(lane->caller.head, 4096u));
    hira_pending_apply();
    free(data);
}

static void callbacks(void)
{
    int32_t *values = room(16);
    uint32_t done;
    nullSetLogger(on_log);
    nullLog(1, "text");
    nullSort(values, 4, on_compare, NULL);
    nullEach(3, on_each, NULL, &done);
    nullNotify(event, on_event, NULL);
    free(values);
}

/* A callback that nobody has sent. The functions in it are mostly those that were registered. */
static void called_back(void)
{
    static void *const functions[] = {(void *)on_event, (void *)on_log, (void *)on_compare, (void *)on_each};
    static _Alignas(64) uint8_t bytes[HIRA_RECORD_MAX];
    memset(bytes, 0, 512);
    size_t size = take(bytes + sizeof(struct hira_record), 512);
    struct hira_record *record = (struct hira_record *)bytes;
    record->function = choice & 7;
    record->flags = choice >> 3 & 1;
    if (choice < 128) /* else a wild one */
        record->words[0] = (uint64_t)(uintptr_t)functions[choice & 3];
    uint8_t *exact = aligned_alloc(64, HIRA_ALIGN_UP(sizeof *record + size, 64ul));
    memcpy(exact, bytes, sizeof *record + size);
    hira_callback_take((struct hira_record *)exact, (uint32_t)(sizeof *record + size));
    free(exact);
}

/* Answers to control messages. */
static void answered(void)
{
    struct hira_lane_message ask = {.head = hira_message_head(HIRA_MSG_OPEN_LANE, sizeof ask)}, lane;
    struct hira_arena arena;
    struct hira_lane_map map = {0};
    HIRA_AUTOCLOSE int fd = -1;
    if (hira_request(&ask, sizeof ask, HIRA_MSG_LANE, &lane, sizeof lane, &fd) == 0 && hira_lane_map(&map, fd) == 0)
        hira_lane_unmap(&map);
    if (hira_arena_init(&arena, ARENA) == 0) {
        hira_connection.arena.grow(NULL, &arena, 4096);
        hira_arena_fini(&arena);
    }
}

static void welcomed(void)
{
    static struct hira_connection scratch;
    union hira_welcome_message *m = room(sizeof *m);
    size_t n = take(m, sizeof *m);
    if (hira_take_welcome(&scratch, m, n) == 0)
        hira_arena_fini(&scratch.arena);
    free(HIRA_STEAL(scratch.known));
    free(m);
}

static void call(uint8_t function)
{
    static const size_t sizes[] = {0, 1, 8, 100, 2048, 4096, 5000, 40000};
    switch (function % 12) {
    case 0: scalars(); break;
    case 1: texts(); break;
    case 2: outs(sizes[choice & 7]); break;
    case 3: handles(choice & 15); break;
    case 4: objects(); break;
    case 5: commands(sizes[(choice & 7) | 1]); break;
    case 6: callbacks(); break;
    case 7:
    case 8: called_back(); break;
    case 9: answered(); break;
    case 10: welcomed(); break;
    case 11: nullFinish(queue); break;
    }
}

/* ---- one input ---- */

static struct hira_object *object_of(unsigned index)
{
    for (unsigned type = 1; type < hira_guest_api.n_types; type++)
        if (!strcmp(hira_guest_api.types[type].name, ((const char *const[]){"nullDevice", "nullQueue", "nullEvent", "nullBuffer", "nullStream"})[index]))
            return hira_object_new(type, NULL);
    exit(70);
}

static void start(void)
{
    static const struct hira_transport_ops ops = {fuzz_send, fuzz_receive, NULL, fuzz_map_lane, fuzz_lost, fuzz_close};
    static struct hira_transport transport = {.ops = &ops};
    HIRA_AUTOCLOSE int fd = hira_fd_shared_memory("transport", 4096);
    if (hira_transport_unix(&transport, HIRA_STEAL_FD(fd)))
        exit(70);
    transport.ops = &ops;
    hira_connect_over(&transport);
    lane = hira_lane();
    if (!lane)
        exit(70);
    device = (nullDevice)object_of(0);
    queue = (nullQueue)object_of(1);
    event = (nullEvent)object_of(2);
    nullStatus error;
    buffer = nullCreateBuffer(queue, 1 << 20, "label", &error);
    stream = (nullStream)(uintptr_t)object_of(4);
    callbacks();
    hira_arena_free(&hira_connection.arena, hira_arena_alloc(&hira_connection.arena, 4096, 64));
    honest = false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (honest)
        start();
    input = data;
    left = size;
    hira_connection.dead = false;
    while (left >= 2 && !hira_connection.dead) {
        uint8_t function = input[0];
        choice = input[1];
        input += 2;
        left -= 2;
        keep_up(&lane->caller);
        call(function);
    }
    hira_connection.dead = false;
    return 0;
}

/* ---- making inputs ---- */

static uint64_t state;

static uint64_t pick(uint64_t below)
{
    uint64_t x = state += 0x9e3779b97f4a7c15ull;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
    x = (x ^ x >> 27) * 0x94d049bb133111ebull;
    return (x ^ x >> 31) % below;
}

static uint64_t some_word(void)
{
    static const uint64_t lengths[] = {0, 1, 4, 8, 24, 100, 2048, 4096, 40000, 1ull << 32, 1ull << 60};
    switch (pick(4)) {
    case 0: return HIRA_MEM_WORD(pick(6), lengths[pick(HIRA_ARRAY_SIZE(lengths))]);
    case 1: return HIRA_ID((pick(2) ? HIRA_ID_SERVER : 0) | (uint32_t)pick(4), 1, 1 + pick(5));
    case 2: return 0;
    default: return pick(4) ? pick(256) : pick(UINT64_MAX);
    }
}

static size_t put_chunk(uint8_t *to, size_t max)
{
    uint64_t words[16] = {0}, n = pick(HIRA_ARRAY_SIZE(words));
    for (uint64_t i = 1; i < n; i++)
        words[i] = some_word();
    uint32_t size = pick(8) ? 16 + 8 * (uint32_t)(n ? n - 1 : 0) : (uint32_t)pick(70000);
    uint16_t status = pick(8) ? 0 : (uint16_t)pick(5), flags = pick(8) ? 0 : (uint16_t)pick(4);
    memcpy(words, &size, 4);
    memcpy((char *)words + 4, &status, 2);
    memcpy((char *)words + 6, &flags, 2);
    size_t bytes = (n ? n : 1) * 8;
    if (max < bytes + 2)
        return 0;
    to[0] = (uint8_t)bytes;
    to[1] = 0;
    memcpy(to + 2, words, bytes);
    return bytes + 2;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed)
{
    state = seed;
    if (size && LLVMFuzzerMutate && !pick(4))
        return LLVMFuzzerMutate(data, size, max);
    if (size && !pick(4)) {
        data[pick(size)] ^= (uint8_t)(1u << pick(8));
        return size;
    }
    if (max - size < 200)
        return size / 2;
    data[size++] = (uint8_t)pick(12);
    data[size++] = (uint8_t)pick(256);
    for (uint64_t n = 1 + pick(4); n; n--)
        size += put_chunk(data + size, max - size);
    return size;
}
