/*
 * The null accelerator's vendor library.
 *
 * A queue is a thread that works its commands off in order; an event has a status under one lock for all. Everything else is
 * plain C. Handles are checked by a mark, so that dead ones are told from live ones as long as nobody reused the memory: that
 * is as much as vendors do.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include "null.h"

#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { MARK_DEVICE = 0x6e756c44, MARK_QUEUE, MARK_EVENT, MARK_BUFFER, MARK_STREAM };

struct nullDevice_ {
    uint32_t mark, number;
    char name[NULL_NAME_MAX];
};

struct callback {
    struct callback *next;
    void (*notify)(nullEvent, int32_t, void *);
    void *cookie;
};

struct nullEvent_ {
    uint32_t mark;
    atomic_uint refs;
    int32_t status;
    struct callback *callbacks, **last;
};

struct nullBuffer_ {
    uint32_t mark;
    size_t size;
    char *label;
    char **texts;
    uint32_t n_texts;
    _Alignas(16) char data[];
};

struct command {
    struct command *next;
    nullEvent event;
    uint32_t microseconds, n_waits;
    void *to;
    const void *from;
    size_t size;
    nullEvent waits[];
};

struct nullQueue_ {
    uint32_t mark;
    atomic_uint refs;
    nullDevice device;
    uint32_t priority;
    intptr_t properties[5];
    size_t n_properties;
    uint64_t submitted, finished;
    atomic_uint drains;
    struct command *first, **last;
    bool ending;
    pthread_t thread;
};

struct stream {
    uint32_t mark;
    uint64_t bytes, sum;
};

static struct nullDevice_ devices[NULL_DEVICES] = {
    {MARK_DEVICE, 0, "null-0"}, {MARK_DEVICE, 1, "null-1"}, {MARK_DEVICE, 2, "null-two"},
};
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* queues and events */
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static __thread nullStatus last_error;
static _Atomic(nullLogger) the_logger;

static nullStatus fail(nullStatus status)
{
    last_error = status;
    return status;
}

static bool is(const void *handle, uint32_t mark)
{
    return handle && *(const uint32_t *)handle == mark;
}

nullStatus nullGetLastError(void)
{
    nullStatus status = last_error;
    last_error = NULL_SUCCESS;
    return status;
}

const char *nullErrorName(nullStatus status)
{
    static const char *const names[] = {"success",         "bad value",      "bad queue",  "bad event", "bad buffer", "bad device",
                                        "bad stream",      "incomplete",     "no memory",  "command failed", "device lost"};
    return status <= 0 && status > -(int)(sizeof names / sizeof *names) ? names[-status] : NULL;
}

/* ---- calls that do nothing ---- */

void nullNop(void)
{
}

static __thread uint64_t posted;
static __thread double posted_sum;

void nullPost(uint32_t a, uint64_t b, int32_t c, float d)
{
    posted++;
    posted_sum += a + (double)b + c + d;
}

nullStatus nullPosted(uint64_t *count, double *sum)
{
    if (!count || !sum)
        return fail(NULL_ERROR_VALUE);
    *count = posted;
    *sum = posted_sum;
    posted = 0;
    posted_sum = 0;
    return NULL_SUCCESS;
}

nullStatus nullBlock(uint32_t microseconds)
{
    struct timespec t = {microseconds / 1000000, microseconds % 1000000 * 1000L};
    nanosleep(&t, NULL);
    return NULL_SUCCESS;
}

void nullDie(int how)
{
    if (how)
        kill(getpid(), how);
    _exit(9);
}

/* ---- scalars ---- */

int8_t nullAdd8(int8_t a, int8_t b) { return (int8_t)(a + b); }
uint8_t nullAddU8(uint8_t a, uint8_t b) { return (uint8_t)(a + b); }
int16_t nullAdd16(int16_t a, int16_t b) { return (int16_t)(a + b); }
uint16_t nullAddU16(uint16_t a, uint16_t b) { return (uint16_t)(a + b); }
int32_t nullAdd32(int32_t a, int32_t b) { return (int32_t)((uint32_t)a + (uint32_t)b); }
uint32_t nullAddU32(uint32_t a, uint32_t b) { return a + b; }
int64_t nullAdd64(int64_t a, int64_t b) { return (int64_t)((uint64_t)a + (uint64_t)b); }
uint64_t nullAddU64(uint64_t a, uint64_t b) { return a + b; }
float nullAddFloat(float a, float b) { return a + b; }
double nullAddDouble(double a, double b) { return a + b; }
bool nullNot(bool a) { return !a; }
nullKind nullNextKind(nullKind kind) { return kind < NULL_KIND_VECTOR ? kind + 1 : NULL_KIND_INT; }

nullStatus nullSplit(double value, int64_t *whole, double *fraction, bool *negative, int8_t *sign)
{
    if (isnan(value))
        return fail(NULL_ERROR_VALUE);
    double part = trunc(value);
    if (whole)
        *whole = (int64_t)part;
    if (fraction)
        *fraction = value - part;
    if (negative)
        *negative = value < 0;
    if (sign)
        *sign = (int8_t)((value > 0) - (value < 0));
    return NULL_SUCCESS;
}

static uint64_t hash(uint64_t h, const void *data, size_t size)
{
    for (const unsigned char *p = data; size--; p++)
        h = (h ^ *p) * 1099511628211u;
    return h;
}

#define HASH(h, value) hash(h, &(value), sizeof(value))

nullStatus nullMany(int8_t a, uint8_t b, int16_t c, uint16_t d, int32_t e, uint32_t f, int64_t g, uint64_t h, float i, double j,
                    nullKind k, bool l, uint64_t *result)
{
    uint64_t v = 14695981039346656037u;
    v = HASH(v, a), v = HASH(v, b), v = HASH(v, c), v = HASH(v, d), v = HASH(v, e), v = HASH(v, f);
    v = HASH(v, g), v = HASH(v, h), v = HASH(v, i), v = HASH(v, j), v = HASH(v, k), v = HASH(v, l);
    if (!result)
        return fail(NULL_ERROR_VALUE);
    *result = v;
    return NULL_SUCCESS;
}

/* ---- structs ---- */

nullVec3 nullVecAdd(nullVec3 a, nullVec3 b)
{
    return (nullVec3){a.x + b.x, a.y + b.y, a.z + b.z};
}

nullRecord nullRecordScale(nullRecord record, double factor)
{
    record.id = -record.id;
    for (int i = 0; i < 4; i++)
        record.values[i] *= factor;
    record.tag[4]++;
    return record;
}

nullLimits nullGetLimits(uint32_t level)
{
    return (nullLimits){(uint8_t)(level + 1), (uint16_t)(level * 1000), level * 100000, level * 10000000000u, (float)level / 3, level & 1};
}

nullStatus nullVecSum(const nullVec3 *vectors, uint32_t count, nullVec3 *sum)
{
    if (!sum || (count && !vectors))
        return fail(NULL_ERROR_VALUE);
    *sum = (nullVec3){0, 0, 0};
    for (uint32_t i = 0; i < count; i++)
        *sum = nullVecAdd(*sum, vectors[i]);
    return NULL_SUCCESS;
}

struct writer {
    char *text;
    size_t size, used;
};

static void put(struct writer *w, const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++, w->used++)
        if (w->text && w->used + 1 < w->size)
            w->text[w->used] = text[i];
}

static nullStatus put_end(struct writer *w, size_t *size_ret)
{
    if (w->text && w->size)
        w->text[w->used < w->size ? w->used : w->size - 1] = 0;
    if (size_ret)
        *size_ret = w->used + 1;
    return w->text && w->used + 1 > w->size ? fail(NULL_ERROR_INCOMPLETE) : NULL_SUCCESS;
}

static bool put_param(struct writer *w, const nullParam *p)
{
    char text[64] = "";
    switch (p->kind) {
    case NULL_KIND_INT:
        snprintf(text, sizeof text, "i%lld ", (long long)p->value.integer);
        break;
    case NULL_KIND_REAL:
        snprintf(text, sizeof text, "r%.17g ", p->value.real);
        break;
    case NULL_KIND_TEXT:
        put(w, "t", 1);
        put(w, p->value.text ? p->value.text : "-", p->value.text ? strlen(p->value.text) : 1);
        put(w, " ", 1);
        break;
    case NULL_KIND_VECTOR: {
        double sum = 0;
        for (uint32_t i = 0; p->value.vector.data && i < p->value.vector.length; i++)
            sum += (double)p->value.vector.data[i];
        snprintf(text, sizeof text, "v%u%s%g ", p->value.vector.length, p->value.vector.data ? "=" : "?", sum);
        break;
    }
    default:
        return false;
    }
    put(w, text, strlen(text));
    return true;
}

nullStatus nullDescribe(const nullParam *params, uint32_t count, char *text, size_t size, size_t *size_ret)
{
    struct writer w = {text, size, 0};
    if (count && !params)
        return fail(NULL_ERROR_VALUE);
    for (uint32_t i = 0; i < count; i++)
        if (!put_param(&w, &params[i]))
            return fail(NULL_ERROR_VALUE);
    return put_end(&w, size_ret);
}

nullStatus nullDescribeOne(nullParam param, char *text, size_t size)
{
    return nullDescribe(&param, 1, text, size, NULL);
}

static uint64_t hash_tensor(uint64_t h, const nullTensor *t)
{
    if (!t)
        return h * 3;
    h = HASH(h, t->n_dims);
    if (t->dims)
        h = hash(h, t->dims, t->n_dims * sizeof *t->dims);
    h = HASH(h, t->size);
    return t->data ? hash(h, t->data, t->size) : h * 5;
}

nullStatus nullModelHash(const nullModel *model, uint64_t *result)
{
    uint64_t h = 14695981039346656037u;
    if (!model || !result || (model->n_layers && !model->layers) || (model->n_tags && !model->tags))
        return fail(NULL_ERROR_VALUE);
    for (uint32_t i = 0; i < model->n_layers; i++) {
        const nullLayer *l = &model->layers[i];
        if (l->device && !is(l->device, MARK_DEVICE))
            return fail(NULL_ERROR_DEVICE);
        h = l->name ? hash(h, l->name, strlen(l->name)) : h * 7;
        h = hash_tensor(h, l->weights);
        h = hash_tensor(h, &l->bias);
        h = l->device ? HASH(h, l->device->number) : h * 11;
    }
    for (uint32_t i = 0; i < model->n_tags; i++)
        h = model->tags[i] ? hash(h, model->tags[i], strlen(model->tags[i]) + 1) : h * 13;
    *result = h;
    return NULL_SUCCESS;
}

/* ---- memory ---- */

nullStatus nullJoin(const char *const *words, const size_t *lengths, uint32_t count, char *text, size_t size, size_t *size_ret)
{
    struct writer w = {text, size, 0};
    if (count && !words)
        return fail(NULL_ERROR_VALUE);
    for (uint32_t i = 0; i < count; i++) {
        if (i)
            put(&w, "+", 1);
        if (words[i])
            put(&w, words[i], lengths && lengths[i] ? lengths[i] : strlen(words[i]));
    }
    return put_end(&w, size_ret);
}

nullStatus nullSumList(const int32_t *list, int64_t *sum)
{
    if (!list || !sum)
        return fail(NULL_ERROR_VALUE);
    *sum = 0;
    while (*list != -1)
        *sum += *list++;
    return NULL_SUCCESS;
}

static uint64_t sum_bytes(const void *data, size_t size)
{
    uint64_t sum = size;
    const unsigned char *p = data;
    for (size_t i = 0; i < size; i++)
        sum = sum * 31 + p[i];
    return sum;
}

nullStatus nullSumBytes(const void *data, size_t size, uint64_t *sum)
{
    if (!data || !sum)
        return fail(NULL_ERROR_VALUE);
    *sum = sum_bytes(data, size);
    return NULL_SUCCESS;
}

nullStatus nullFillBytes(void *data, size_t size, uint8_t value)
{
    if (!data)
        return fail(NULL_ERROR_VALUE);
    memset(data, value, size);
    return NULL_SUCCESS;
}

nullStatus nullReverse(void *data, size_t size)
{
    char *p = data;
    if (!data)
        return fail(NULL_ERROR_VALUE);
    for (size_t i = 0; i < size / 2; i++) {
        char c = p[i];
        p[i] = p[size - 1 - i];
        p[size - 1 - i] = c;
    }
    return NULL_SUCCESS;
}

nullStatus nullPattern(uint16_t *data, uint32_t count, uint32_t *filled)
{
    uint32_t n = count - count / 3;
    if (!data)
        return fail(NULL_ERROR_VALUE);
    for (uint32_t i = 0; i < n; i++)
        data[i] = (uint16_t)(i * 7);
    if (filled)
        *filled = n;
    return NULL_SUCCESS;
}

/* ---- devices ---- */

nullStatus nullGetDevices(uint32_t *count, nullDevice *list)
{
    if (!count)
        return fail(NULL_ERROR_VALUE);
    if (!list) {
        *count = NULL_DEVICES;
        return NULL_SUCCESS;
    }
    uint32_t n = *count < NULL_DEVICES ? *count : NULL_DEVICES;
    for (uint32_t i = 0; i < n; i++)
        list[i] = &devices[i];
    *count = n;
    return n < NULL_DEVICES ? fail(NULL_ERROR_INCOMPLETE) : NULL_SUCCESS;
}

nullStatus nullGetDeviceEntries(uint32_t capacity, nullDeviceEntry *entries, uint32_t *count_ret)
{
    uint32_t n = capacity < NULL_DEVICES ? capacity : NULL_DEVICES;
    for (uint32_t i = 0; entries && i < n; i++) {
        entries[i].number = i;
        entries[i].device = &devices[i];
        memcpy(entries[i].name, devices[i].name, NULL_NAME_MAX);
    }
    if (count_ret)
        *count_ret = entries ? n : NULL_DEVICES;
    return NULL_SUCCESS;
}

const char *nullDeviceName(nullDevice device)
{
    return is(device, MARK_DEVICE) ? device->name : NULL;
}

/* ---- events ---- */

static nullEvent new_event(int32_t status)
{
    nullEvent e = calloc(1, sizeof *e);
    if (e) {
        e->mark = MARK_EVENT;
        e->refs = 1;
        e->status = status;
        e->last = &e->callbacks;
    }
    return e;
}

static void release_event(nullEvent e)
{
    if (e && atomic_fetch_sub(&e->refs, 1) == 1) {
        e->mark = 0;
        free(e);
    }
}

/* Lock held; gives it back while callbacks run. The caller has a reference. */
static void set_status(nullEvent e, int32_t status)
{
    struct callback *list = NULL;
    e->status = status;
    if (status <= NULL_COMPLETE) {
        list = e->callbacks;
        e->callbacks = NULL;
        e->last = &e->callbacks;
    }
    if (list) { /* callbacks before waiters: what OpenCL leaves open, an API may promise */
        pthread_mutex_unlock(&lock);
        while (list) {
            struct callback *next = list->next;
            list->notify(e, status, list->cookie);
            free(list);
            list = next;
        }
        pthread_mutex_lock(&lock);
    }
    pthread_cond_broadcast(&changed);
}

nullEvent nullCreateEvent(nullQueue queue, nullStatus *error)
{
    nullEvent e = is(queue, MARK_QUEUE) ? new_event(NULL_QUEUED) : NULL;
    nullStatus status = e ? NULL_SUCCESS : fail(NULL_ERROR_QUEUE);
    if (error)
        *error = status;
    return e;
}

nullStatus nullSetEvent(nullEvent event, int32_t status)
{
    if (!is(event, MARK_EVENT))
        return fail(NULL_ERROR_EVENT);
    if (status > NULL_COMPLETE)
        return fail(NULL_ERROR_VALUE);
    nullRetainEvent(event);
    pthread_mutex_lock(&lock);
    set_status(event, status);
    pthread_mutex_unlock(&lock);
    release_event(event);
    return NULL_SUCCESS;
}

nullStatus nullRetainEvent(nullEvent event)
{
    if (!is(event, MARK_EVENT))
        return fail(NULL_ERROR_EVENT);
    atomic_fetch_add(&event->refs, 1);
    return NULL_SUCCESS;
}

nullStatus nullReleaseEvent(nullEvent event)
{
    if (!is(event, MARK_EVENT))
        return fail(NULL_ERROR_EVENT);
    release_event(event);
    return NULL_SUCCESS;
}

nullStatus nullGetEventStatus(nullEvent event, int32_t *status)
{
    if (!is(event, MARK_EVENT))
        return fail(NULL_ERROR_EVENT);
    if (!status)
        return fail(NULL_ERROR_VALUE);
    pthread_mutex_lock(&lock);
    *status = event->status;
    pthread_mutex_unlock(&lock);
    return NULL_SUCCESS;
}

/* Lock held. The worst status. */
static int32_t wait_all(uint32_t count, const nullEvent *events)
{
    int32_t worst = NULL_COMPLETE;
    for (uint32_t i = 0; i < count; i++) {
        while (events[i]->status > NULL_COMPLETE)
            pthread_cond_wait(&changed, &lock);
        worst = events[i]->status < worst ? events[i]->status : worst;
    }
    return worst;
}

static bool good_events(uint32_t count, const nullEvent *events)
{
    for (uint32_t i = 0; i < count; i++)
        if (!is(events[i], MARK_EVENT))
            return false;
    return true;
}

nullStatus nullWaitEvents(uint32_t count, const nullEvent *events)
{
    if (!count || !events)
        return fail(NULL_ERROR_VALUE);
    if (!good_events(count, events))
        return fail(NULL_ERROR_EVENT);
    pthread_mutex_lock(&lock);
    int32_t worst = wait_all(count, events);
    pthread_mutex_unlock(&lock);
    return worst < 0 ? fail(NULL_ERROR_COMMAND) : NULL_SUCCESS;
}

nullStatus nullNotify(nullEvent event, void (*notify)(nullEvent event, int32_t status, void *cookie), void *cookie)
{
    if (!is(event, MARK_EVENT))
        return fail(NULL_ERROR_EVENT);
    if (!notify)
        return fail(NULL_ERROR_VALUE);
    pthread_mutex_lock(&lock);
    int32_t status = event->status;
    struct callback *c = status > NULL_COMPLETE ? malloc(sizeof *c) : NULL;
    if (c) {
        *c = (struct callback){NULL, notify, cookie};
        *event->last = c;
        event->last = &c->next;
    }
    pthread_mutex_unlock(&lock);
    if (status <= NULL_COMPLETE)
        notify(event, status, cookie);
    return NULL_SUCCESS;
}

/* ---- queues ---- */

static void run_command(struct command *c)
{
    int32_t worst = NULL_COMPLETE;
    pthread_mutex_lock(&lock);
    worst = wait_all(c->n_waits, c->waits);
    if (!worst)
        set_status(c->event, NULL_RUNNING);
    pthread_mutex_unlock(&lock);
    if (!worst && c->microseconds)
        nullBlock(c->microseconds);
    if (!worst && c->to && c->size)
        memcpy(c->to, c->from, c->size);
    pthread_mutex_lock(&lock);
    set_status(c->event, worst ? NULL_ERROR_COMMAND : NULL_COMPLETE);
    pthread_mutex_unlock(&lock);
    for (uint32_t i = 0; i < c->n_waits; i++)
        release_event(c->waits[i]);
    release_event(c->event);
    free(c);
}

static void *work(void *context)
{
    nullQueue q = context;
    pthread_mutex_lock(&lock);
    for (;;) {
        while (!q->first && !q->ending)
            pthread_cond_wait(&changed, &lock);
        struct command *c = q->first;
        if (!c)
            break;
        q->first = c->next;
        if (!q->first)
            q->last = &q->first;
        pthread_mutex_unlock(&lock);
        run_command(c);
        pthread_mutex_lock(&lock);
        q->finished++;
        pthread_cond_broadcast(&changed);
    }
    pthread_mutex_unlock(&lock);
    free(q);
    return NULL;
}

nullQueue nullCreateQueue(nullDevice device, uint32_t priority, nullStatus *error)
{
    nullStatus status = !is(device, MARK_DEVICE) ? NULL_ERROR_DEVICE : priority > 9 ? NULL_ERROR_VALUE : NULL_SUCCESS;
    nullQueue q = status ? NULL : calloc(1, sizeof *q);
    if (q) {
        *q = (struct nullQueue_){.mark = MARK_QUEUE, .refs = 1, .device = device, .priority = priority};
        q->last = &q->first;
        if (pthread_create(&q->thread, NULL, work, q) == 0) {
            pthread_detach(q->thread);
        } else { /* a queue that nobody works on would be waited for */
            free(q);
            q = NULL;
        }
    }
    if (!q && !status)
        status = NULL_ERROR_MEMORY;
    if (status)
        fail(status);
    if (error)
        *error = status;
    return q;
}

nullQueue nullOpenQueue(const intptr_t *properties, nullStatus *error)
{
    nullDevice device = &devices[0];
    uint32_t priority = 0;
    for (const intptr_t *p = properties; p && *p; p += 2) {
        if (*p == NULL_PROPERTY_DEVICE)
            device = (nullDevice)p[1];
        else if (*p == NULL_PROPERTY_PRIORITY)
            priority = (uint32_t)p[1];
        else
            priority = 100;
    }
    nullQueue queue = nullCreateQueue(device, priority, error);
    size_t n = 0;
    while (properties && properties[n] && n < 4)
        n += 2;
    if (queue && properties) {
        memcpy(queue->properties, properties, n * sizeof *properties);
        queue->n_properties = n + 1;
    }
    return queue;
}

nullStatus nullRetainQueue(nullQueue queue)
{
    if (!is(queue, MARK_QUEUE))
        return fail(NULL_ERROR_QUEUE);
    atomic_fetch_add(&queue->refs, 1);
    return NULL_SUCCESS;
}

nullStatus nullReleaseQueue(nullQueue queue)
{
    if (!is(queue, MARK_QUEUE))
        return fail(NULL_ERROR_QUEUE);
    if (atomic_fetch_sub(&queue->refs, 1) == 1) {
        pthread_mutex_lock(&lock);
        queue->mark = 0;
        queue->ending = true;
        pthread_cond_broadcast(&changed);
        pthread_mutex_unlock(&lock);
    }
    return NULL_SUCCESS;
}

static nullStatus answer(const void *data, size_t need, size_t size, void *value, size_t *size_ret)
{
    if (value && size < need)
        return fail(NULL_ERROR_VALUE);
    if (value)
        memcpy(value, data, need);
    if (size_ret)
        *size_ret = need;
    return NULL_SUCCESS;
}

nullStatus nullGetQueueInfo(nullQueue queue, nullQueueQuery query, size_t size, void *value, size_t *size_ret)
{
    union {
        nullDevice device;
        uint32_t number;
        uint64_t big;
    } told = {0};
    size_t need = 4;
    if (!is(queue, MARK_QUEUE))
        return fail(NULL_ERROR_QUEUE);
    switch (query) {
    case NULL_QUEUE_DEVICE: told.device = queue->device, need = 8; break;
    case NULL_QUEUE_PRIORITY: told.number = queue->priority; break;
    case NULL_QUEUE_REFERENCES: told.number = atomic_load(&queue->refs); break;
    case NULL_QUEUE_COMMANDS: told.big = queue->submitted, need = 8; break;
    case NULL_QUEUE_DRAINS: told.number = atomic_load(&queue->drains); break;
    case NULL_QUEUE_PROPERTIES: return answer(queue->properties, queue->n_properties * sizeof *queue->properties, size, value, size_ret);
    default: return fail(NULL_ERROR_VALUE);
    }
    return answer(&told, need, size, value, size_ret);
}

nullStatus nullGetAttributes(nullQueue queue, uint32_t capacity, nullAttribute *attributes, uint32_t *count_ret)
{
    nullDevice device = NULL;
    size_t size;
    if (!count_ret || (capacity && !attributes))
        return fail(NULL_ERROR_VALUE);
    nullStatus status = nullGetQueueInfo(queue, NULL_QUEUE_DEVICE, sizeof device, &device, &size);
    if (status)
        return status;
    const nullAttribute all[] = {{NULL_ATTRIBUTE_COUNT, {.count = 0x1122334455667788}, device},
                                 {NULL_ATTRIBUTE_DEVICE, {.device = device}, device},
                                 {NULL_ATTRIBUTE_QUEUE, {.queue = queue}, NULL},
                                 {NULL_ATTRIBUTE_PLACE, {.place = {device, 7}}, device}};
    *count_ret = capacity < 4 ? capacity : 4;
    for (uint32_t i = 0; i < *count_ret; i++)
        attributes[i] = all[i];
    return NULL_SUCCESS;
}

nullStatus nullFinish(nullQueue queue)
{
    if (!is(queue, MARK_QUEUE))
        return fail(NULL_ERROR_QUEUE);
    pthread_mutex_lock(&lock);
    uint64_t target = queue->submitted;
    while (queue->finished < target)
        pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
    return NULL_SUCCESS;
}

/* ---- buffers ---- */

nullBuffer nullCreateBuffer(nullQueue queue, size_t size, const char *label, nullStatus *error)
{
    nullStatus status = !is(queue, MARK_QUEUE) ? NULL_ERROR_QUEUE : !size ? NULL_ERROR_VALUE : size > 1ull << 32 ? NULL_ERROR_MEMORY : 0;
    nullBuffer b = status ? NULL : calloc(1, sizeof *b + size);
    if (b) {
        b->mark = MARK_BUFFER;
        b->size = size;
        b->label = label ? strdup(label) : NULL;
    }
    if (status)
        fail(status);
    if (error)
        *error = status;
    return b;
}

nullStatus nullDestroyBuffer(nullBuffer buffer)
{
    if (!is(buffer, MARK_BUFFER))
        return fail(NULL_ERROR_BUFFER);
    buffer->mark = 0;
    for (uint32_t i = 0; i < buffer->n_texts; i++)
        free(buffer->texts[i]);
    free(buffer->texts);
    free(buffer->label);
    free(buffer);
    return NULL_SUCCESS;
}

const char *nullBufferLabel(nullBuffer buffer)
{
    return is(buffer, MARK_BUFFER) ? buffer->label : NULL;
}

static _Atomic uint64_t *word(nullBuffer buffer, size_t index)
{
    return is(buffer, MARK_BUFFER) && index < buffer->size / 8 ? (_Atomic uint64_t *)buffer->data + index : NULL;
}

nullStatus nullPoke(nullBuffer buffer, size_t index, uint64_t value)
{
    _Atomic uint64_t *w = word(buffer, index);
    if (!w)
        return fail(is(buffer, MARK_BUFFER) ? NULL_ERROR_VALUE : NULL_ERROR_BUFFER);
    atomic_store(w, value);
    return NULL_SUCCESS;
}

nullStatus nullPeek(nullBuffer buffer, size_t index, uint64_t *value)
{
    _Atomic uint64_t *w = word(buffer, index);
    if (!w || !value)
        return fail(is(buffer, MARK_BUFFER) ? NULL_ERROR_VALUE : NULL_ERROR_BUFFER);
    *value = atomic_load(w);
    return NULL_SUCCESS;
}

nullStatus nullCopyWord(nullBuffer from, nullBuffer to, size_t index)
{
    _Atomic uint64_t *a = word(from, index), *b = word(to, index);
    if (!a || !b)
        return fail(NULL_ERROR_BUFFER);
    atomic_store(b, atomic_load(a));
    return NULL_SUCCESS;
}

/* ---- commands ---- */

static nullStatus submit(nullQueue queue, bool blocking, uint32_t microseconds, void *to, const void *from, size_t size,
                         uint32_t n_waits, const nullEvent *waits, nullEvent *event)
{
    if (!is(queue, MARK_QUEUE))
        return fail(NULL_ERROR_QUEUE);
    if (!n_waits != !waits)
        return fail(NULL_ERROR_VALUE);
    if (!good_events(n_waits, waits))
        return fail(NULL_ERROR_EVENT);
    struct command *c = calloc(1, sizeof *c + n_waits * sizeof *c->waits);
    nullEvent made = new_event(NULL_QUEUED);
    if (!c || !made) {
        free(c);
        free(made);
        return fail(NULL_ERROR_MEMORY);
    }
    *c = (struct command){.event = made, .microseconds = microseconds, .n_waits = n_waits, .to = to, .from = from, .size = size};
    for (uint32_t i = 0; i < n_waits; i++) {
        nullRetainEvent(waits[i]);
        c->waits[i] = waits[i];
    }
    nullRetainEvent(made);
    pthread_mutex_lock(&lock);
    *queue->last = c;
    queue->last = &c->next;
    queue->submitted++;
    pthread_cond_broadcast(&changed);
    int32_t status = blocking ? wait_all(1, &made) : 0;
    pthread_mutex_unlock(&lock);
    if (event)
        *event = made;
    else
        release_event(made);
    return status < 0 ? fail(NULL_ERROR_COMMAND) : NULL_SUCCESS;
}

static nullStatus check_range(nullQueue queue, nullBuffer buffer, size_t offset, size_t size, const void *data)
{
    if (!is(queue, MARK_QUEUE))
        return fail(NULL_ERROR_QUEUE);
    if (!is(buffer, MARK_BUFFER))
        return fail(NULL_ERROR_BUFFER);
    if (!data || !size || offset > buffer->size || size > buffer->size - offset)
        return fail(NULL_ERROR_VALUE);
    return NULL_SUCCESS;
}

nullStatus nullWrite(nullQueue queue, nullBuffer buffer, bool blocking, size_t offset, size_t size, const void *data,
                     uint32_t n_waits, const nullEvent *waits, nullEvent *event)
{
    nullStatus status = check_range(queue, buffer, offset, size, data);
    return status ? status : submit(queue, blocking, 0, buffer->data + offset, data, size, n_waits, waits, event);
}

nullStatus nullRead(nullQueue queue, nullBuffer buffer, bool blocking, size_t offset, size_t size, void *data,
                    uint32_t n_waits, const nullEvent *waits, nullEvent *event)
{
    nullStatus status = check_range(queue, buffer, offset, size, data);
    return status ? status : submit(queue, blocking, 0, data, buffer->data + offset, size, n_waits, waits, event);
}

nullStatus nullSubmit(nullQueue queue, uint32_t microseconds, uint32_t n_waits, const nullEvent *waits, nullEvent *event)
{
    return submit(queue, false, microseconds, NULL, NULL, 0, n_waits, waits, event);
}

/* ---- callbacks ---- */

nullStatus nullSetLogger(nullLogger logger)
{
    the_logger = logger;
    return NULL_SUCCESS;
}

nullStatus nullLog(int32_t level, const char *text)
{
    nullLogger logger = the_logger;
    if (!text)
        return fail(NULL_ERROR_VALUE);
    if (logger)
        logger(level, text);
    return NULL_SUCCESS;
}

nullStatus nullSort(int32_t *values, uint32_t count, int32_t (*compare)(const int32_t *a, const int32_t *b, void *cookie), void *cookie)
{
    if (!values || !compare)
        return fail(NULL_ERROR_VALUE);
    for (uint32_t i = 1; i < count; i++)
        for (uint32_t k = i; k && compare(&values[k - 1], &values[k], cookie) > 0; k--) {
            int32_t v = values[k];
            values[k] = values[k - 1];
            values[k - 1] = v;
        }
    return NULL_SUCCESS;
}

nullStatus nullEach(uint32_t count, bool (*each)(uint32_t index, double value, void *cookie), void *cookie, uint32_t *done)
{
    uint32_t i = 0;
    if (!each || !done)
        return fail(NULL_ERROR_VALUE);
    while (i < count && each(i, i / 4.0, cookie))
        i++;
    *done = i;
    return NULL_SUCCESS;
}

nullStatus nullVisit(const nullVec3 *points, uint32_t count, void (*visit)(nullVec3 point, nullLimits limits, nullKind kind, void *cookie),
                     void *cookie)
{
    if (!points || !visit)
        return fail(NULL_ERROR_VALUE);
    for (uint32_t i = 0; i < count; i++)
        visit(points[i], nullGetLimits(i), (nullKind)(1 + i % 4), cookie);
    return NULL_SUCCESS;
}

nullStatus nullMap(const nullVec3 *points, uint32_t count, nullVec3 (*map)(nullVec3 point, void *cookie), void *cookie, nullVec3 *out)
{
    if (!points || !map || !out)
        return fail(NULL_ERROR_VALUE);
    for (uint32_t i = 0; i < count; i++)
        out[i] = map(points[i], cookie);
    return NULL_SUCCESS;
}

nullStatus nullTell(nullQueue queue, void (*tell)(nullAttribute attribute, void *cookie), void *cookie)
{
    nullAttribute all[4];
    uint32_t n = 0;
    nullStatus status = tell ? nullGetAttributes(queue, 4, all, &n) : fail(NULL_ERROR_VALUE);
    for (uint32_t i = 0; !status && i < n; i++)
        tell(all[i], cookie);
    return status;
}

/* ---- streams ---- */

nullStatus nullOpenStream(nullDevice device, nullStream *stream)
{
    if (!is(device, MARK_DEVICE))
        return fail(NULL_ERROR_DEVICE);
    struct stream *s = stream ? calloc(1, sizeof *s) : NULL;
    if (!s)
        return fail(NULL_ERROR_VALUE);
    s->mark = MARK_STREAM;
    *stream = (uint64_t)(uintptr_t)s;
    return NULL_SUCCESS;
}

static struct stream *stream_of(nullStream stream)
{
    struct stream *s = (struct stream *)(uintptr_t)stream;
    return is(s, MARK_STREAM) ? s : NULL;
}

nullStatus nullPushStream(nullStream stream, const void *data, size_t size)
{
    struct stream *s = stream_of(stream);
    if (!s || !data)
        return fail(s ? NULL_ERROR_VALUE : NULL_ERROR_STREAM);
    s->bytes += size;
    s->sum = s->sum * 3 + sum_bytes(data, size);
    return NULL_SUCCESS;
}

nullStatus nullStreamTotal(nullStream stream, uint64_t *bytes, uint64_t *sum)
{
    struct stream *s = stream_of(stream);
    if (!s)
        return fail(NULL_ERROR_STREAM);
    if (bytes)
        *bytes = s->bytes;
    if (sum)
        *sum = s->sum;
    return NULL_SUCCESS;
}

nullStatus nullCloseStream(nullStream stream)
{
    struct stream *s = stream_of(stream);
    if (!s)
        return fail(NULL_ERROR_STREAM);
    s->mark = 0;
    free(s);
    return NULL_SUCCESS;
}

/* ---- the table ---- */

static int32_t multiply(int32_t a, int32_t b)
{
    return (int32_t)((uint32_t)a * (uint32_t)b);
}

static nullStatus sum_values(const uint32_t *values, uint32_t count, uint64_t *sum)
{
    if (!sum || (count && !values))
        return fail(NULL_ERROR_VALUE);
    *sum = 0;
    for (uint32_t i = 0; i < count; i++)
        *sum += values[i];
    return NULL_SUCCESS;
}

const struct nullTable *nullGetTable(uint32_t version)
{
    static const struct nullTable table = {NULL_VERSION, multiply, nullFinish, sum_values};
    return version && version <= NULL_VERSION ? &table : NULL;
}

/* ---- rectangles ---- */

enum { TEXEL = 2 };

static nullStatus copy_rect(nullBuffer buffer, uint32_t width, uint32_t height, const size_t *origin, const size_t *region, size_t pitch,
                            size_t slice, char *texels, bool write)
{
    if (!is(buffer, MARK_BUFFER))
        return fail(NULL_ERROR_BUFFER);
    if (!origin || !region || !texels || origin[0] + region[0] > width || origin[1] + region[1] > height ||
        (origin[2] + region[2]) * height * width * TEXEL > buffer->size)
        return fail(NULL_ERROR_VALUE);
    pitch = pitch ? pitch : region[0] * TEXEL;
    slice = slice ? slice : region[1] * pitch;
    for (size_t z = 0; z < region[2]; z++)
        for (size_t y = 0; y < region[1]; y++) {
            char *ours = buffer->data + (((origin[2] + z) * height + origin[1] + y) * width + origin[0]) * TEXEL;
            char *theirs = texels + z * slice + y * pitch;
            memcpy(write ? ours : theirs, write ? theirs : ours, region[0] * TEXEL);
        }
    return NULL_SUCCESS;
}

nullStatus nullWriteRect(nullBuffer buffer, uint32_t width, uint32_t height, const size_t *origin, const size_t *region, size_t pitch,
                         size_t slice, const void *texels)
{
    return copy_rect(buffer, width, height, origin, region, pitch, slice, (char *)texels, true);
}

nullStatus nullReadRect(nullBuffer buffer, uint32_t width, uint32_t height, const size_t *origin, const size_t *region, size_t pitch,
                        size_t slice, void *texels)
{
    return copy_rect(buffer, width, height, origin, region, pitch, slice, texels, false);
}

/* ---- questions about devices and buffers ---- */

nullStatus nullGetDeviceInfo(nullDevice device, nullDeviceQuery query, size_t size, void *value, size_t *size_ret)
{
    static const char words[] = "null_count null_secret_door null_log null_secret", maker[] = "the vendor of nothing";
    static const nullFeature list[] = {{1, "null_count"}, {7, "null_secret_door"}, {2, "null_log"}, {3, "null_secret"}};
    const uint32_t abilities = NULL_ABILITY_COUNT | NULL_ABILITY_LOG | NULL_ABILITY_FLY;
    if (!is(device, MARK_DEVICE))
        return fail(NULL_ERROR_DEVICE);
    switch (query) {
    case NULL_DEVICE_FEATURES: return answer(words, sizeof words, size, value, size_ret);
    case NULL_DEVICE_FEATURE_LIST: return answer(list, sizeof list, size, value, size_ret);
    case NULL_DEVICE_ABILITIES: return answer(&abilities, sizeof abilities, size, value, size_ret);
    case NULL_DEVICE_MAKER: return answer(maker, sizeof maker, size, value, size_ret);
    }
    return fail(NULL_ERROR_VALUE);
}

nullStatus nullGetBufferInfo(nullBuffer buffer, nullBufferQuery query, size_t size, void *value, size_t *size_ret)
{
    if (!is(buffer, MARK_BUFFER))
        return fail(NULL_ERROR_BUFFER);
    const uint64_t bytes = buffer->size, address = 0;
    switch (query) {
    case NULL_BUFFER_SIZE: return answer(&bytes, sizeof bytes, size, value, size_ret);
    case NULL_BUFFER_ADDRESS: return answer(&address, sizeof address, size, value, size_ret);
    }
    return fail(NULL_ERROR_VALUE);
}

/* ---- mapped and shared memory ---- */

void *nullMapBuffer(nullBuffer buffer, bool write, size_t offset, size_t size, nullStatus *error)
{
    nullStatus status = !is(buffer, MARK_BUFFER) ? NULL_ERROR_BUFFER : !size || offset > buffer->size || size > buffer->size - offset ? NULL_ERROR_VALUE
                                                                                                                             : NULL_SUCCESS;
    (void)write;
    if (status)
        fail(status);
    if (error)
        *error = status;
    return status ? NULL : buffer->data + offset;
}

nullStatus nullUnmapBuffer(nullBuffer buffer, void *at)
{
    if (!is(buffer, MARK_BUFFER))
        return fail(NULL_ERROR_BUFFER);
    return (uintptr_t)at - (uintptr_t)buffer->data < buffer->size ? NULL_SUCCESS : fail(NULL_ERROR_VALUE);
}

void *nullAllocShared(nullDevice device, size_t size)
{
    return is(device, MARK_DEVICE) && size ? calloc(1, size) : NULL;
}

nullStatus nullFreeShared(nullDevice device, void *at)
{
    if (!is(device, MARK_DEVICE))
        return fail(NULL_ERROR_DEVICE);
    free(at);
    return NULL_SUCCESS;
}

nullStatus nullPushShared(nullDevice device, void *at, size_t size)
{
    (void)at, (void)size;
    return is(device, MARK_DEVICE) ? NULL_SUCCESS : fail(NULL_ERROR_DEVICE);
}

nullStatus nullSumShared(nullDevice device, const void *at, size_t size, uint64_t *sum)
{
    if (!is(device, MARK_DEVICE))
        return fail(NULL_ERROR_DEVICE);
    *sum = sum_bytes(at, size);
    return NULL_SUCCESS;
}

/* ---- waiting for nothing ---- */

nullStatus nullDrain(nullQueue queue)
{
    nullStatus status = nullFinish(queue);
    if (!status)
        atomic_fetch_add(&queue->drains, 1);
    return status;
}

/* ---- lengths that are not said ---- */

static _Thread_local size_t row_length = 16;

nullStatus nullSetRowLength(size_t bytes)
{
    if (!bytes || bytes > 1 << 20)
        return fail(NULL_ERROR_VALUE);
    row_length = bytes;
    return NULL_SUCCESS;
}

nullStatus nullSumRows(const void *data, uint32_t rows, uint64_t *sum)
{
    if (!data || !sum)
        return fail(NULL_ERROR_VALUE);
    *sum = sum_bytes(data, rows * row_length);
    return NULL_SUCCESS;
}

/* ---- returned strings ---- */

static pthread_mutex_t texts_lock = PTHREAD_MUTEX_INITIALIZER;

const char *nullLetters(size_t length, uint64_t *sum, nullStatus *error)
{
    static struct letters { struct letters *next; size_t length; char text[]; } *all;
    struct letters *l = NULL;
    if (length <= 1 << 30) {
        pthread_mutex_lock(&texts_lock);
        for (l = all; l && l->length != length;)
            l = l->next;
        if (!l && (l = malloc(sizeof *l + length + 1))) {
            l->next = all;
            l->length = length;
            for (size_t i = 0; i < length; i++)
                l->text[i] = (char)('a' + (i + i / 26 + i / 1000) % 26);
            l->text[length] = 0;
            all = l;
        }
        pthread_mutex_unlock(&texts_lock);
    }
    nullStatus status = l ? NULL_SUCCESS : fail(NULL_ERROR_VALUE);
    if (error)
        *error = status;
    if (l && sum)
        *sum = sum_bytes(l->text, length);
    return l ? l->text : NULL;
}

const char *nullNumberName(uint32_t number)
{
    static char *names[1 << 20];
    if (number >= 1 << 20)
        return NULL;
    pthread_mutex_lock(&texts_lock);
    if (!names[number] && (names[number] = malloc(32)))
        snprintf(names[number], 32, "number %u", number);
    pthread_mutex_unlock(&texts_lock);
    return names[number];
}

const char *nullBufferText(nullQueue queue, nullBuffer buffer, uint32_t number)
{
    if (!is(queue, MARK_QUEUE) || !is(buffer, MARK_BUFFER) || number >= 1 << 16)
        return NULL;
    pthread_mutex_lock(&texts_lock);
    char **texts = number < buffer->n_texts ? buffer->texts : realloc(buffer->texts, (number + 1) * sizeof *texts);
    for (; texts && buffer->n_texts <= number; buffer->n_texts++)
        texts[buffer->n_texts] = NULL;
    buffer->texts = texts ? texts : buffer->texts;
    char *text = texts ? texts[number] : NULL;
    if (texts && !text && (text = texts[number] = malloc(1024))) {
        memset(text, '.', 1023);
        text[1023] = 0;
        text[snprintf(text, 1024, "%u of %u words, the first of them %lu", number, (unsigned)(buffer->size / 8), *(uint64_t *)buffer->data)] = ' ';
    }
    pthread_mutex_unlock(&texts_lock);
    return text;
}
