/*
 * The null accelerator: an API of ours that computes next to nothing, and holds what OpenCL lacks.
 *
 * What is tried on one API becomes that API's. So this one has a last error per thread, structs by value, unions with a
 * discriminant, a table of functions, lists whose count goes both ways, callbacks without a cookie and callbacks with a
 * result, integer handles, handles without reference counts, every width of integer, and calls that do nothing at all.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#ifndef NULL_H
#define NULL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NULL_VERSION 3
#define NULL_NAME_MAX 16
#define NULL_DEVICES 3

typedef enum nullStatus {
    NULL_SUCCESS = 0,
    NULL_ERROR_VALUE = -1,
    NULL_ERROR_QUEUE = -2,
    NULL_ERROR_EVENT = -3,
    NULL_ERROR_BUFFER = -4,
    NULL_ERROR_DEVICE = -5,
    NULL_ERROR_STREAM = -6,
    NULL_ERROR_INCOMPLETE = -7,
    NULL_ERROR_MEMORY = -8,
    NULL_ERROR_COMMAND = -9,
    NULL_ERROR_LOST = -10, /* the device is gone */
} nullStatus;

typedef struct nullDevice_ *nullDevice; /* a root: neither made nor released */
typedef struct nullQueue_ *nullQueue;   /* counted */
typedef struct nullEvent_ *nullEvent;   /* counted */
typedef struct nullBuffer_ *nullBuffer; /* created and destroyed */
typedef uint64_t nullStream;            /* a handle that is an integer */

/* ---- values ---- */

typedef struct nullVec3 { float x, y, z; } nullVec3;
typedef struct nullRecord { int32_t id; double values[4]; char tag[5]; } nullRecord;
typedef struct nullLimits { uint8_t lanes; uint16_t width; uint32_t height; uint64_t bytes; float ratio; bool exact; } nullLimits;

typedef enum nullKind { NULL_KIND_INT = 1, NULL_KIND_REAL = 2, NULL_KIND_TEXT = 3, NULL_KIND_VECTOR = 4 } nullKind;

typedef struct nullVector { uint32_t length; const float *data; } nullVector;

typedef struct nullParam {
    nullKind kind;
    union nullAny {
        int64_t integer;
        double real;
        const char *text;
        nullVector vector;
    } value;
} nullParam;

typedef struct nullTensor { uint32_t n_dims; const uint64_t *dims; size_t size; const void *data; } nullTensor;
typedef struct nullLayer { const char *name; const nullTensor *weights; nullTensor bias; nullDevice device; } nullLayer;
typedef struct nullModel { uint32_t n_layers; const nullLayer *layers; uint32_t n_tags; const char *const *tags; } nullModel;

typedef struct nullDeviceEntry { uint32_t number; nullDevice device; char name[NULL_NAME_MAX]; } nullDeviceEntry;

/* What is said of something: a union whose members are numbers and handles. */
typedef enum nullAttributeKind { NULL_ATTRIBUTE_COUNT = 1, NULL_ATTRIBUTE_DEVICE = 2, NULL_ATTRIBUTE_QUEUE = 3, NULL_ATTRIBUTE_PLACE = 4 } nullAttributeKind;
typedef struct nullPlace { nullDevice device; uint32_t slot; } nullPlace;

typedef struct nullAttribute {
    nullAttributeKind kind;
    union nullAttributeValue {
        uint64_t count;
        nullDevice device;
        nullQueue queue;
        nullPlace place;
    } value;
    nullDevice owner;
} nullAttribute;

/* ---- errors ---- */

nullStatus nullGetLastError(void);    /* of this thread; reading it clears it */
const char *nullErrorName(nullStatus status);

/* ---- calls that do nothing ---- */

void nullNop(void);
void nullPost(uint32_t a, uint64_t b, int32_t c, float d);
nullStatus nullPosted(uint64_t *count, double *sum); /* what nullPost was given since the last nullPosted */
nullStatus nullBlock(uint32_t microseconds);
void nullDie(int how); /* the implementation ends: 0 exits, else that signal */

/* ---- scalars ---- */

int8_t nullAdd8(int8_t a, int8_t b);
uint8_t nullAddU8(uint8_t a, uint8_t b);
int16_t nullAdd16(int16_t a, int16_t b);
uint16_t nullAddU16(uint16_t a, uint16_t b);
int32_t nullAdd32(int32_t a, int32_t b);
uint32_t nullAddU32(uint32_t a, uint32_t b);
int64_t nullAdd64(int64_t a, int64_t b);
uint64_t nullAddU64(uint64_t a, uint64_t b);
float nullAddFloat(float a, float b);
double nullAddDouble(double a, double b);
bool nullNot(bool a);
nullKind nullNextKind(nullKind kind);
nullStatus nullSplit(double value, int64_t *whole, double *fraction, bool *negative, int8_t *sign);
nullStatus nullMany(int8_t a, uint8_t b, int16_t c, uint16_t d, int32_t e, uint32_t f, int64_t g, uint64_t h, float i, double j,
                    nullKind k, bool l, uint64_t *hash);

/* ---- structs ---- */

nullVec3 nullVecAdd(nullVec3 a, nullVec3 b);
nullRecord nullRecordScale(nullRecord record, double factor);
nullLimits nullGetLimits(uint32_t level);
nullStatus nullVecSum(const nullVec3 *vectors, uint32_t count, nullVec3 *sum);
nullStatus nullDescribe(const nullParam *params, uint32_t count, char *text, size_t size, size_t *size_ret);
nullStatus nullDescribeOne(nullParam param, char *text, size_t size);
nullStatus nullModelHash(const nullModel *model, uint64_t *hash);

/* ---- memory ---- */

nullStatus nullJoin(const char *const *words, const size_t *lengths, uint32_t count, char *text, size_t size, size_t *size_ret);
nullStatus nullSumList(const int32_t *list, int64_t *sum);
nullStatus nullSumBytes(const void *data, size_t size, uint64_t *sum);
nullStatus nullFillBytes(void *data, size_t size, uint8_t value);
nullStatus nullReverse(void *data, size_t size);
nullStatus nullPattern(uint16_t *data, uint32_t count, uint32_t *filled);

/* ---- devices ---- */

nullStatus nullGetDevices(uint32_t *count, nullDevice *devices);
nullStatus nullGetDeviceEntries(uint32_t capacity, nullDeviceEntry *entries, uint32_t *count_ret);
const char *nullDeviceName(nullDevice device);

/* ---- queues ---- */

enum { NULL_PROPERTY_END = 0, NULL_PROPERTY_DEVICE = 1, NULL_PROPERTY_PRIORITY = 2 };
typedef enum nullQueueQuery { NULL_QUEUE_DEVICE = 1, NULL_QUEUE_PRIORITY = 2, NULL_QUEUE_REFERENCES = 3, NULL_QUEUE_COMMANDS = 4, NULL_QUEUE_PROPERTIES = 5, NULL_QUEUE_DRAINS = 6 } nullQueueQuery;

nullQueue nullCreateQueue(nullDevice device, uint32_t priority, nullStatus *error);
nullQueue nullOpenQueue(const intptr_t *properties, nullStatus *error);
nullStatus nullRetainQueue(nullQueue queue);
nullStatus nullReleaseQueue(nullQueue queue);
nullStatus nullGetQueueInfo(nullQueue queue, nullQueueQuery query, size_t size, void *value, size_t *size_ret);
nullStatus nullFinish(nullQueue queue);
nullStatus nullGetAttributes(nullQueue queue, uint32_t capacity, nullAttribute *attributes, uint32_t *count_ret);
nullStatus nullTell(nullQueue queue, void (*tell)(nullAttribute attribute, void *cookie), void *cookie);

/* ---- buffers ---- */

nullBuffer nullCreateBuffer(nullQueue queue, size_t size, const char *label, nullStatus *error);
nullStatus nullDestroyBuffer(nullBuffer buffer);
const char *nullBufferLabel(nullBuffer buffer);
nullStatus nullPoke(nullBuffer buffer, size_t index, uint64_t value);
nullStatus nullPeek(nullBuffer buffer, size_t index, uint64_t *value);
nullStatus nullCopyWord(nullBuffer from, nullBuffer to, size_t index);

/* ---- commands ---- */

nullStatus nullWrite(nullQueue queue, nullBuffer buffer, bool blocking, size_t offset, size_t size, const void *data,
                     uint32_t n_waits, const nullEvent *waits, nullEvent *event);
nullStatus nullRead(nullQueue queue, nullBuffer buffer, bool blocking, size_t offset, size_t size, void *data,
                    uint32_t n_waits, const nullEvent *waits, nullEvent *event);
nullStatus nullSubmit(nullQueue queue, uint32_t microseconds, uint32_t n_waits, const nullEvent *waits, nullEvent *event);

/* ---- events ---- */

enum { NULL_COMPLETE = 0, NULL_RUNNING = 1, NULL_QUEUED = 2 }; /* negative: failed */

nullEvent nullCreateEvent(nullQueue queue, nullStatus *error);
nullStatus nullSetEvent(nullEvent event, int32_t status);
nullStatus nullRetainEvent(nullEvent event);
nullStatus nullReleaseEvent(nullEvent event);
nullStatus nullGetEventStatus(nullEvent event, int32_t *status);
nullStatus nullWaitEvents(uint32_t count, const nullEvent *events);
nullStatus nullNotify(nullEvent event, void (*notify)(nullEvent event, int32_t status, void *cookie), void *cookie);

/* ---- callbacks ---- */

typedef void (*nullLogger)(int32_t level, const char *text);

nullStatus nullSetLogger(nullLogger logger); /* NULL: none */
nullStatus nullLog(int32_t level, const char *text);
nullStatus nullSort(int32_t *values, uint32_t count, int32_t (*compare)(const int32_t *a, const int32_t *b, void *cookie), void *cookie);
nullStatus nullEach(uint32_t count, bool (*each)(uint32_t index, double value, void *cookie), void *cookie, uint32_t *done);

nullStatus nullVisit(const nullVec3 *points, uint32_t count, void (*visit)(nullVec3 point, nullLimits limits, nullKind kind, void *cookie),
                     void *cookie);
nullStatus nullMap(const nullVec3 *points, uint32_t count, nullVec3 (*map)(nullVec3 point, void *cookie), void *cookie, nullVec3 *out);

/* ---- streams ---- */

nullStatus nullOpenStream(nullDevice device, nullStream *stream);
nullStatus nullPushStream(nullStream stream, const void *data, size_t size);
nullStatus nullStreamTotal(nullStream stream, uint64_t *bytes, uint64_t *sum);
nullStatus nullCloseStream(nullStream stream);

/* ---- the table ---- */

struct nullTable {
    uint32_t version;
    int32_t (*multiply)(int32_t a, int32_t b);
    nullStatus (*finish)(nullQueue queue);
    nullStatus (*sum)(const uint32_t *values, uint32_t count, uint64_t *sum);
};

const struct nullTable *nullGetTable(uint32_t version);

/* ---- rectangles ---- */

/* Texels of two bytes in a buffer of `width` to the row and `height` to the slice; `pitch` and `slice` are the application's, in bytes.
 * What lies between its rows is not looked at. */
nullStatus nullWriteRect(nullBuffer buffer, uint32_t width, uint32_t height, const size_t *origin, const size_t *region, size_t pitch,
                         size_t slice, const void *texels);
nullStatus nullReadRect(nullBuffer buffer, uint32_t width, uint32_t height, const size_t *origin, const size_t *region, size_t pitch,
                        size_t slice, void *texels);

/* ---- questions about devices and buffers ---- */

typedef struct nullFeature { uint32_t version; char name[NULL_NAME_MAX]; } nullFeature;

typedef enum nullDeviceQuery {
    NULL_DEVICE_FEATURES = 0x101,     /* words with blanks between them */
    NULL_DEVICE_FEATURE_LIST = 0x102, /* an array of nullFeature */
    NULL_DEVICE_ABILITIES = 0x103,    /* bits, of 32 */
    NULL_DEVICE_MAKER = 0x104,        /* a string */
} nullDeviceQuery;
enum { NULL_ABILITY_COUNT = 1, NULL_ABILITY_LOG = 2, NULL_ABILITY_FLY = 4 };

typedef enum nullBufferQuery { NULL_BUFFER_SIZE = 0x201, NULL_BUFFER_ADDRESS = 0x202 } nullBufferQuery;

nullStatus nullGetDeviceInfo(nullDevice device, nullDeviceQuery query, size_t size, void *value, size_t *size_ret);
nullStatus nullGetBufferInfo(nullBuffer buffer, nullBufferQuery query, size_t size, void *value, size_t *size_ret);

/* ---- mapped and shared memory ---- */

/* Until it is unmapped, a part of the buffer lies at an address of the application's; maps may overlap, and one byte always lies at one
 * address. What is written there is in the buffer after the unmap. */
void *nullMapBuffer(nullBuffer buffer, bool write, size_t offset, size_t size, nullStatus *error);
nullStatus nullUnmapBuffer(nullBuffer buffer, void *at);

/* Memory that has the same address for the application and the device; contents are moved by calls. */
void *nullAllocShared(nullDevice device, size_t size);
nullStatus nullFreeShared(nullDevice device, void *at);
nullStatus nullPushShared(nullDevice device, void *at, size_t size);            /* the device sees what is there */
nullStatus nullSumShared(nullDevice device, const void *at, size_t size, uint64_t *sum); /* of what the device sees */

/* ---- waiting for nothing ---- */

nullStatus nullDrain(nullQueue queue); /* as nullFinish, and counted: NULL_QUEUE_DRAINS */

/* ---- lengths that are not said ---- */

nullStatus nullSetRowLength(size_t bytes); /* of the calling thread, for what follows; 16 before the first; at most 1 MiB */
nullStatus nullSumRows(const void *data, uint32_t rows, uint64_t *sum);

/* ---- returned strings ---- */

/* So many letters, at one address as long as the process lives, and their sum; up to 1 GiB. */
const char *nullLetters(size_t length, uint64_t *sum, nullStatus *error);
const char *nullNumberName(uint32_t number); /* below 2^20; likewise */
/* What is told of the buffer under this number, below 2^16, about 1 KiB; goes with the buffer. */
const char *nullBufferText(nullQueue queue, nullBuffer buffer, uint32_t number);

#endif
