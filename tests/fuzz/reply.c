/*
 * Fuzzes what a guest library hears: replies to calls, answers to control messages, callbacks. The null API's guest library runs in this
 * process, called like by an application; its server is the input.
 *
 * An input is steps {uint8 function, uint8 choice} with chunks {uint16 length, bytes} behind them, one for each reply that the call waits
 * for: {uint32 size, uint16 status, uint16 flags, words}. When there is none left the server is gone, for the rest of the input.
 *
 * Callbacks come in three ways: in place of a reply (status HIRA_REPLY_CALLBACK), on the reverse lane, where their thread takes them ({uint32
 * size, uint16 function, uint16 flags, words}), and straight to who takes them apart, in memory of just their size. Where a callback's
 * function stands, small numbers are those of the callbacks that the application has registered; and how many posted ones come before
 * a callback is counted from the input's beginning.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <unistd.h>

#include "base/fd.h"
#include "guest/internal.h"
#include "null.h"
#include "target.h"

int __wrap_hira_caller_wait_reply(struct hira_caller *c);
int __wrap_hira_caller_wait_room(struct hira_caller *c);
int __wrap_hira_fd_write_all(int fd, const void *data, size_t size);
void __real_hira_put_callback(struct hira_call *c, unsigned index, void (*function)(void), const void *user_data);
void __wrap_hira_put_callback(struct hira_call *c, unsigned index, void (*function)(void), const void *user_data);
int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *context);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *context);
int __wrap_usleep(useconds_t us);

#define ARENA (64ull << 20)
#define CALLBACKS_MAX 16u

static struct fuzz_input input;
static uint8_t choice;
static bool honest = true; /* while the connection is made */
static volatile uint64_t sink;
static pthread_t application;

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

/* What the application has registered, by the callbacks' numbers. */
static void (*registered[CALLBACKS_MAX])(void);

void __wrap_hira_put_callback(struct hira_call *c, unsigned index, void (*function)(void), const void *user_data)
{
    registered[index % CALLBACKS_MAX] = function;
    __real_hira_put_callback(c, index, function, user_data);
}

static void name_function(uint64_t *word)
{
    if (*word < CALLBACKS_MAX)
        *word = (uint64_t)(uintptr_t)registered[*word];
}

/* The callbacks' thread is there when something is posted only. */
static void *(*callback_thread)(void *);
static struct hira_caller reverse;
static uint64_t posted; /* before this input */

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *context)
{
    (void)attributes, (void)context;
    callback_thread = run;
    *thread = pthread_self();
    return 0;
}

/* Lets the thread take all that is there. Behind it stands what no server writes, at which it ends; what it has not taken by then
 * goes away. */
static void run_callbacks(void)
{
    pthread_t thread;
    hira_caller_at(&reverse, reverse.head)->stamp = 1;
    must(__real_pthread_create(&thread, NULL, callback_thread, NULL) == 0 && pthread_join(thread, NULL) == 0);
    const struct hira_lane_control *control = reverse.map.control;
    must(control->tail <= reverse.head && control->retired <= reverse.sequence);
    must(!reverse.map.reply->stamp || reverse.map.reply->size <= HIRA_REPLY_SIZE);
    reverse.head = control->tail;
    reverse.sequence = control->retired;
    hira_caller_at(&reverse, reverse.head)->stamp = 0;
}

/* The next chunk as a record on the reverse lane. False: there is none. */
static bool post(void)
{
    static uint8_t bytes[4096];
    size_t n = honest ? 0 : fuzz_take(&input, bytes, sizeof bytes);
    if (!n)
        return false;
    struct hira_record *record = hira_caller_at(&reverse, reverse.head);
    uint64_t lines = (sizeof record->stamp + HIRA_MAX(n, sizeof *record) + HIRA_LINE - 1) / HIRA_LINE;
    memset(record, 0, lines * HIRA_LINE);
    memcpy(&record->size, bytes, n);
    name_function(&record->words[0]);
    record->function = record->function < 256 ? record->function & 7 : record->function;
    record->stamp = (reverse.sequence + 1) << 8 | lines;
    reverse.head += lines * HIRA_LINE;
    reverse.sequence++;
    run_callbacks();
    return true;
}

int __wrap_hira_caller_wait_reply(struct hira_caller *c)
{
    static uint8_t bytes[4096];
    struct hira_reply *reply = c->map.reply;
    size_t n = honest ? 0 : fuzz_take(&input, bytes, sizeof bytes);
    if (!honest && !n)
        return -EPIPE;
    memset(reply, 0, 64);
    reply->size = sizeof *reply;
    memcpy(&reply->size, bytes, HIRA_MIN(n, 8u));
    if (n > 8)
        memcpy(reply->words, bytes + 8, n - 8);
    if (reply->status == HIRA_REPLY_CALLBACK) {
        reply->words[1] += reply->words[1] < 8 ? posted : 0;
        name_function(&reply->words[2]);
    }
    end_blocks(c, c->head - HIRA_MIN(c->head, 1024u));
    keep_up(c);
    atomic_store(&reply->stamp, c->sequence);
    return 0;
}

/* ---- the server's callbacks ---- */

/* Whoever waits, waits for callbacks that are on their way: here they come. When there is none left the server is gone. */
int __wrap_usleep(useconds_t us)
{
    (void)us;
    fuzz_peer_gone = !post();
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
static bool asked_callbacks;

static int fuzz_send(struct hira_transport *t, const void *data, size_t size, const int *fds, size_t n_fds)
{
    struct hira_lane_message message = {0};
    (void)t, (void)fds, (void)n_fds;
    memcpy(&message, data, HIRA_MIN(size, sizeof message));
    asked = message.head.type;
    asked_callbacks = message.callbacks;
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
        return (ssize_t)fuzz_take(&input, data, size);
    }
    if (asked == HIRA_MSG_HELLO) {
        welcome.head = hira_message_head(HIRA_MSG_WELCOME, sizeof welcome + map);
        memcpy(data, &welcome, sizeof welcome);
        memset((char *)data + sizeof welcome, 0xff, map);
        return (ssize_t)(sizeof welcome + map);
    }
    fds[0] = hira_fd_shared_memory("fuzz", asked == HIRA_MSG_GROW ? ARENA : HIRA_LANE_SIZE);
    if (asked == HIRA_MSG_OPEN_LANE && asked_callbacks && !reverse.map.control)
        must(hira_lane_map(&reverse.map, fds[0]) == 0);
    if (asked == HIRA_MSG_GROW)
        memcpy(data, &segment, sizeof segment);
    else
        memcpy(data, &lane, sizeof lane);
    return asked == HIRA_MSG_GROW ? (ssize_t)sizeof segment : (ssize_t)sizeof lane;
}

/* ---- the application ---- */

static struct hira_guest_lane *lane;
static nullDevice device;
static nullQueue queue;
static nullEvent event;
static nullBuffer buffer;
static nullStream stream;

/* A callback may call: within a call, whose reply goes on meanwhile, as long as there is something left to answer with. */
static void call_inside(void)
{
    static unsigned depth;
    uint64_t value = 0;
    if (!pthread_equal(pthread_self(), application) || honest || !(choice & 16))
        return;
    must(depth++ < HIRA_CALLBACK_DEPTH_MAX + 1); /* one is straight from called_back() */
    nullPeek(buffer, 1, &value);
    depth--;
    sink += value;
}

static void on_tell(nullAttribute attribute, void *cookie)
{
    sink += (uint64_t)attribute.kind + (uint64_t)(uintptr_t)cookie;
    if (attribute.owner)
        sink += hira_object_type(attribute.owner);
    call_inside();
}

static void on_event(nullEvent e, int32_t status, void *cookie)
{
    sink += (uint64_t)(uintptr_t)e + (uint64_t)status + (uint64_t)(uintptr_t)cookie;
    call_inside();
}

/* What stands in the record is the application's to read, as far as its type says. */
static void on_log(int32_t level, const char *text)
{
    sink += (uint64_t)level + (text ? (uint64_t)text[0] : 0);
    call_inside();
}

static int32_t on_compare(const int32_t *a, const int32_t *b, void *cookie)
{
    (void)cookie;
    int32_t result = a && b ? *a < *b : 0;
    call_inside();
    return result;
}

static bool on_each(uint32_t index, double value, void *cookie)
{
    (void)cookie;
    call_inside();
    return index > value;
}

static void on_visit(nullVec3 point, nullLimits limits, nullKind kind, void *cookie)
{
    sink += (point.x > 0) + limits.width + (uint64_t)kind + (uint64_t)(uintptr_t)cookie;
    call_inside();
}

static nullVec3 on_map(nullVec3 point, void *cookie)
{
    (void)cookie;
    call_inside();
    return point;
}

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
    nullVec3 points[2] = {{1, 2, 3}, {4, 5, 6}}, mapped[2];
    nullTell(queue, on_tell, NULL);
    nullVisit(points, 2, on_visit, NULL);
    nullMap(points, 2, on_map, NULL, mapped);
    sink += mapped[1].x > 0;
    free(values);
}

/* A callback that nobody has sent, as the one that its type says or, rarely, as another. */
static void called_back(void)
{
    static _Alignas(64) uint8_t bytes[HIRA_RECORD_MAX];
    memset(bytes, 0, 512);
    size_t size = fuzz_take(&input, bytes + sizeof(struct hira_record), 512);
    struct hira_record *record = (struct hira_record *)bytes;
    record->function = choice & 7;
    record->flags = choice >> 3 & 1;
    if (choice < 224) /* else a wild one */
        record->words[0] = choice & 7;
    name_function(&record->words[0]);
    uint8_t *exact = aligned_alloc(64, HIRA_ALIGN_UP(sizeof *record + size, 64ul));
    must(exact != NULL);
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
    size_t n = fuzz_take(&input, m, sizeof *m);
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
    case 7: called_back(); break;
    case 8: post(); break;
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
    static struct hira_transport_ops ops;
    static struct hira_transport transport = {.ops = &ops};
    ops = fuzz_transport(fuzz_send, fuzz_receive);
    application = pthread_self();
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
    must(reverse.map.control && callback_thread && hira_guest_api.n_upcalls <= 8);
    for (unsigned i = 0; i < hira_guest_api.n_upcalls; i++)
        must(registered[i] != NULL);
    honest = false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (honest)
        start();
    input = (struct fuzz_input){data, size};
    posted = reverse.sequence;
    hira_connection.dead = fuzz_peer_gone = false;
    while (input.left >= 2 && !hira_connection.dead) {
        uint8_t function = input.p[0];
        choice = input.p[1];
        input.p += 2;
        input.left -= 2;
        keep_up(&lane->caller);
        call(function);
    }
    hira_connection.dead = fuzz_peer_gone = false;
    return 0;
}

/* ---- making inputs ---- */

static uint64_t some_word(void)
{
    static const uint64_t lengths[] = {0, 1, 4, 8, 24, 100, 2048, 4096, 40000, 1ull << 32, 1ull << 60};
    switch (fuzz_pick(4)) {
    case 0: return HIRA_MEM_WORD(fuzz_pick(6), lengths[fuzz_pick(HIRA_ARRAY_SIZE(lengths))]);
    case 1: return HIRA_ID((fuzz_pick(2) ? HIRA_ID_SERVER : 0) | (uint32_t)fuzz_pick(4), 1, 1 + fuzz_pick(5));
    case 2: return 0;
    default: return fuzz_pick(4) ? fuzz_pick(256) : fuzz_pick(UINT64_MAX);
    }
}

/* A reply or, for the reverse lane, a record: they look alike. */
static size_t put_chunk(uint8_t *to, size_t max)
{
    uint64_t words[16] = {0}, n = fuzz_pick(HIRA_ARRAY_SIZE(words)), first = 1;
    uint32_t size = fuzz_pick(8) ? 16 + 8 * (uint32_t)(n ? n - 1 : 0) : (uint32_t)fuzz_pick(70000);
    uint16_t status = fuzz_pick(4) ? 0 : (uint16_t)fuzz_pick(8), flags = fuzz_pick(8) ? 0 : (uint16_t)fuzz_pick(4);
    if (fuzz_pick(6) == 0) { /* a callback within the call */
        status = HIRA_REPLY_CALLBACK;
        words[1] = words[3] = fuzz_pick(8);
        words[2] = fuzz_pick(4) ? 0 : fuzz_pick(4);
        first = 4;
    } else if (fuzz_pick(4) == 0) { /* one that is posted */
        status = (uint16_t)(words[1] = fuzz_pick(8));
        flags = (uint16_t)fuzz_pick(2);
        first = 2;
    }
    for (uint64_t i = first; i < n; i++)
        words[i] = some_word();
    memcpy(words, &size, 4);
    memcpy((char *)words + 4, &status, 2);
    memcpy((char *)words + 6, &flags, 2);
    return fuzz_put(to, max, words, (n ? n : 1) * 8);
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed)
{
    fuzz_seed = seed;
    if (size && LLVMFuzzerMutate && !fuzz_pick(4))
        return LLVMFuzzerMutate(data, size, max);
    if (size && !fuzz_pick(4)) {
        data[fuzz_pick(size)] ^= (uint8_t)(1u << fuzz_pick(8));
        return size;
    }
    if (max - size < 200)
        return size / 2;
    data[size++] = (uint8_t)fuzz_pick(12);
    data[size++] = (uint8_t)fuzz_pick(256);
    for (uint64_t n = 1 + fuzz_pick(4); n; n--)
        size += put_chunk(data + size, max - size);
    return size;
}
