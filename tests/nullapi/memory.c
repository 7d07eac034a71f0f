/* Memory that a call reads, writes, and both, at the sizes where its way changes: 2048 and 4096 (inline), 8192 (record), 16384
 * (reply), 4 MiB (segment). Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>

#include "t.h"

static const size_t sizes[] = {0,    1,    7,    8,    9,     2039,  2040,  2047,  2048,    2049,    4088,    4095,    4096,    4097,
                               8000, 8191, 8192, 8193, 16383, 16384, 16385, 65535, 1 << 20, 4194303, 4194304, 4194305, 20000000};

static void reads(void)
{
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        unsigned char *data = t_bytes(sizes[i], (unsigned)i);
        uint64_t sum = 0;
        OK(nullSumBytes(data, sizes[i], &sum));
        CHECK(sum == t_sum(data, sizes[i]));
        say("%zu %016lx", sizes[i], sum);
        free(data);
    }
}

static void writes(void)
{
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        unsigned char *data = t_bytes(sizes[i] + 16, (unsigned)i), *was = t_bytes(sizes[i] + 16, (unsigned)i);
        OK(nullFillBytes(data + 8, sizes[i], 0xa5));
        CHECK(!memcmp(data, was, 8) && !memcmp(data + 8 + sizes[i], was + 8 + sizes[i], 8));
        say("%zu %016lx", sizes[i], t_sum(data, sizes[i] + 16));
        free(data);
        free(was);
    }
}

static void both(void)
{
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        unsigned char *data = t_bytes(sizes[i] + 16, (unsigned)i);
        OK(nullReverse(data + 5, sizes[i]));
        say("%zu %016lx", sizes[i], t_sum(data, sizes[i] + 16));
        free(data);
    }
}

static void nulls(void)
{
    uint64_t sum = 0;
    char byte = 0;
    CALL(nullSumBytes(NULL, 0, &sum));
    CALL(nullSumBytes(NULL, 100, &sum));
    CALL(nullSumBytes(&byte, 1, NULL));
    CALL(nullFillBytes(NULL, 10, 1));
    CALL(nullReverse(NULL, 0));
    CALL(nullReverse(NULL, 1ull << 50));
}

static void partly(void)
{
    uint16_t data[3000];
    uint32_t filled = 0;
    const uint32_t counts[] = {0, 1, 2, 3, 4, 1024, 1500, 3000};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        memset(data, 0x77, sizeof data);
        CALL(nullPattern(data, counts[i], &filled));
        say("%u of %u %016lx", filled, counts[i], t_sum(data, sizeof data));
        memset(data, 0x77, sizeof data);
        CALL(nullPattern(data, counts[i], NULL));
        say("%016lx", t_sum(data, sizeof data));
    }
    CALL(nullPattern(NULL, 4, &filled));
}

/* Large enough to move while the call is under way: what the vendor did not write stays as it was. */
static void partly_large(void)
{
    const uint32_t counts[] = {524287, 524288, 1500000};
    const size_t size = 3000000;
    uint32_t filled = 0;
    uint16_t *data = malloc(size);
    nullQueue queue = t_queue();
    nullBuffer buffer = t_buffer(queue, 64);
    CHECK(data);
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        memset(data, 0x77, size);
        CALL(nullPattern(data, counts[i], &filled));
        say("%u of %u %016lx", filled, counts[i], t_sum(data, size));
        memset(data, 0x77, size);
        CALL(nullPattern(data, counts[i], NULL));
        say("%016lx", t_sum(data, size));
    }
    memset(data, 0x55, size);
    CALL(nullRead(queue, buffer, true, 32, size, data, 0, NULL, NULL));
    say("refused: %016lx", t_sum(data, size));
    OK(nullGetDeviceEntries((uint32_t)(size / sizeof(nullDeviceEntry)), (nullDeviceEntry *)data, &filled));
    say("%u entries", filled);
    for (size_t i = filled * sizeof(nullDeviceEntry); i < size; i++)
        CHECK(((unsigned char *)data)[i] == 0x55);
    free(data);
}

static sigjmp_buf out;

static void leave(int signal)
{
    siglongjmp(out, signal);
}

/* A call whose memory cannot be read is left by a jump, and the thread goes on calling. */
static void left(void)
{
    const size_t size = 8000000, hole = 4 << 20;
    uint64_t sum = 0;
    signal(SIGSEGV, leave);
    unsigned char *data = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(data != MAP_FAILED && mprotect(data + hole, 4096, PROT_NONE) == 0);
    for (int i = 0; i < 3; i++) {
        if (!sigsetjmp(out, 1)) {
            nullSumBytes(data, size, &sum);
            say("it was read");
        }
        OK(nullSumBytes(data, hole, &sum));
        say("%016lx", sum);
    }
    CHECK(mprotect(data + hole, 4096, PROT_READ) == 0);
    OK(nullSumBytes(data, size, &sum));
    say("%016lx", sum);
    munmap(data, size);
    signal(SIGSEGV, SIG_DFL);
}

static void lists(void)
{
    static int32_t list[10001];
    int64_t sum = 5;
    const size_t lengths[] = {0, 1, 2, 3, 511, 512, 513, 2047, 2048, 10000};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        for (size_t k = 0; k < lengths[i]; k++)
            list[k] = (int32_t)k - 5 == -1 ? 0 : (int32_t)k - 5;
        list[lengths[i]] = -1;
        CALL(nullSumList(list, &sum));
        say("%zu %ld", lengths[i], sum);
    }
    CALL(nullSumList(NULL, &sum));
    CALL(nullSumList(list, NULL));
}

/* Memory of calls is given back: many times as much as any limit. */
static void again_and_again(void)
{
    unsigned char *data = t_bytes(8 << 20, 3);
    uint64_t sum = 0, total = 0;
    for (int i = 0; i < 100; i++) {
        OK(nullSumBytes(data, 64u << 10, &sum));
        total += sum;
    }
    for (int i = 0; i < 20; i++) {
        OK(nullReverse(data, 8 << 20));
        total += t_sum(data, 1000);
    }
    say("%016lx", total);
    free(data);
}

/* Bytes of this process that are of the memory shared with a server; natively there is none. */
static size_t shared_bytes(void)
{
    FILE *f = fopen("/proc/self/smaps", "r");
    char line[512];
    bool ours = false;
    size_t sum = 0, kib;
    while (f && fgets(line, sizeof line, f)) {
        if (strchr(line, '-') && strchr(line, '-') < strchr(line, ' '))
            ours = strstr(line, "hira-arena") != NULL;
        if (ours && sscanf(line, "Rss: %zu kB", &kib) == 1)
            sum += kib * 1024;
    }
    if (f)
        fclose(f);
    return sum;
}

/* Large transfers leave no memory behind that nobody uses; later ones are as right as the first. */
static void rests(void)
{
    const size_t size = 96 << 20;
    unsigned char *data = t_bytes(size, 3);
    uint64_t sum = 0;
    nullQueue queue = t_queue();
    nullBuffer buffer = t_buffer(queue, size);
    for (int round = 0; round < 2; round++) {
        OK(nullSumBytes(data, size, &sum));
        CHECK(sum == t_sum(data, size));
        OK(nullWrite(queue, buffer, false, 0, size, data, 0, NULL, NULL));
        OK(nullFinish(queue));
        size_t most = shared_bytes();
        for (int i = 0; i < 260; i++) {
            OK(nullBlock(0));
            usleep(10000);
        }
        CHECK(shared_bytes() <= most / 8);
        memset(data, 0, size);
        OK(nullRead(queue, buffer, false, 0, size, data, 0, NULL, NULL));
        OK(nullFinish(queue));
        say("%016lx", t_sum(data, size));
    }
    OK(nullDestroyBuffer(buffer));
    OK(nullReleaseQueue(queue));
    free(data);
}

/* Rectangles: rows are copied, what lies between them keeps its bytes; and impossible ones are refused. */
static void rectangles(void)
{
    const size_t origins[][3] = {{0, 0, 0}, {3, 2, 1}, {7, 0, 2}}, regions[][3] = {{8, 4, 3}, {5, 2, 2}, {1, 4, 1}, {0, 1, 1}};
    const size_t pitches[][2] = {{0, 0}, {64, 0}, {64, 512}};
    const size_t far[3] = {SIZE_MAX, SIZE_MAX, SIZE_MAX};
    nullQueue queue = t_queue();
    nullBuffer buffer = t_buffer(queue, 8 * 4 * 3 * 2);
    unsigned char *texels = t_bytes(4096, 5), *was = t_bytes(4096, 5);
    for (unsigned i = 0; i < 3 * 4 * 3; i++) {
        const size_t *origin = origins[i % 3], *region = regions[i / 3 % 4], *pitch = pitches[i / 12];
        memcpy(texels, was, 4096);
        CALL(nullWriteRect(buffer, 8, 4, origin, region, pitch[0], pitch[1], texels));
        memset(texels, (int)i, 4096);
        CALL(nullReadRect(buffer, 8, 4, origin, region, pitch[0], pitch[1], texels));
        say("%u: %016lx", i, t_sum(texels, 4096));
    }
    CHECK(nullReadRect(buffer, 8, 4, origins[0], far, 0, 0, texels));
    nullGetLastError();
    CALL(nullWriteRect(buffer, 8, 4, origins[0], NULL, 0, 0, texels));
    CALL(nullWriteRect(NULL, 8, 4, origins[0], regions[0], 0, 0, texels));
    OK(nullDestroyBuffer(buffer));
    OK(nullReleaseQueue(queue));
    free(texels);
    free(was);
}

/* Maps: partial and overlapping ones, several at a time, in a buffer that other calls change meanwhile. */
static void maps(void)
{
    nullQueue queue = t_queue();
    nullBuffer buffer = t_buffer(queue, 1 << 16);
    nullStatus status;
    uint64_t value = 0;
    unsigned char *bytes = t_bytes(1 << 16, 3);
    OK(nullWrite(queue, buffer, true, 0, 1 << 16, bytes, 0, NULL, NULL));
    char *all = nullMapBuffer(buffer, true, 0, 1 << 16, &status), *part = nullMapBuffer(buffer, false, 4096, 100, &status);
    CHECK(all && part == all + 4096 && !memcmp(all, bytes, 1 << 16));
    CALL(nullUnmapBuffer(buffer, part));
    memset(all, 7, 64);
    CALL(nullUnmapBuffer(buffer, all));
    OK(nullPeek(buffer, 7, &value));
    say("%016lx", value);
    OK(nullPoke(buffer, 0, 1));
    all = nullMapBuffer(buffer, false, 0, 8, NULL);
    CHECK(all && *all == 1);
    *all = 2; /* mapped for reading only: not the buffer's any more */
    CALL(nullUnmapBuffer(buffer, all));
    CHECK(!nullMapBuffer(buffer, true, 1, 1 << 16, &status));
    say("%d, last %d", status, nullGetLastError());
    CHECK(!nullMapBuffer(buffer, true, 0, 0, &status) && status);
    CHECK(!nullMapBuffer(NULL, true, 0, 1, &status));
    say("%d, last %d", status, nullGetLastError());
    CALL(nullUnmapBuffer(buffer, NULL));
    CALL(nullUnmapBuffer(NULL, bytes));
    char *left = nullMapBuffer(buffer, true, 0, 1, &status); /* the buffer may go before its maps */
    CHECK(left);
    OK(nullDestroyBuffer(buffer));
    OK(nullReleaseQueue(queue));
    free(bytes);
}

static void shared(void)
{
#ifdef __SANITIZE_ADDRESS__
    say("both processes' sanitizers want the addresses that are to be the same in both");
    return;
#endif
    nullDevice device = t_device();
    unsigned char *first = nullAllocShared(device, 100000), *second = nullAllocShared(device, 5);
    uint64_t sum = 0;
    CHECK(first && second && first != second);
    CHECK(!first[0] && !first[99999]);
    for (unsigned i = 0; i < 100000; i++)
        first[i] = (unsigned char)(i * 7);
    OK(nullPushShared(device, first + 10, 99990));
    OK(nullSumShared(device, first + 10, 99990, &sum));
    say("%016lx", sum);
    OK(nullFreeShared(device, first));
    OK(nullSumShared(device, second, 5, &sum));
    say("%016lx", sum);
    OK(nullFreeShared(device, second));
    CHECK(!nullAllocShared(device, 0) && !nullAllocShared(NULL, 10));
#ifdef UNDER_HIRA
    CHECK(nullSumShared(device, second, 5, &sum) == NULL_ERROR_VALUE); /* the device does not follow what is not its own */
#endif
}

static void *rows(void *want)
{
    unsigned char *data = t_bytes(3 << 20, 5);
    uint64_t sum = 0;
    OK(nullSumRows(data, 7, &sum));
    CHECK(sum == t_sum(data, 7 * 16));
    OK(nullSetRowLength((size_t)want));
    OK(nullSumRows(data, 3, &sum));
    CHECK(sum == t_sum(data, 3 * (size_t)want));
    CALL(nullSetRowLength(0));
    OK(nullSumRows(data, 0, &sum));
    OK(nullSumRows(data, 1, &sum));
    CHECK(sum == t_sum(data, (size_t)want));
    CALL(nullSumRows(NULL, 1, &sum));
    free(data);
    return NULL;
}

/* The length of a row is each thread's own. */
static void lengths_not_said(void)
{
    rows((void *)100);
    t_join(t_thread(rows, (void *)(1 << 20)));
    uint64_t sum = 0;
    unsigned char *data = t_bytes(200, 1);
    OK(nullSumRows(data, 2, &sum));
    CHECK(sum == t_sum(data, 200));
    free(data);
}

static long resident(void)
{
    long size = 0, pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    CHECK(f && fscanf(f, "%ld %ld", &size, &pages) == 2);
    fclose(f);
    return pages * sysconf(_SC_PAGESIZE);
}

/* Strings go with the object that they are part of. Each text is another one, and none is the first object's of the call. */
static void strings_of_objects(void)
{
    const char *soak = getenv("HIRA_SOAK");
    const uint64_t n = soak && *soak ? 100000 : 1040;
    const uint32_t each = soak && *soak ? 2 : 64;
    nullQueue queue = t_queue();
    long before = 0;
    for (uint64_t i = 0; i < n; i++) {
        nullStatus status = NULL_ERROR_LOST;
        char label[32], want[96];
        snprintf(label, sizeof label, "buffer %lu", i);
        nullBuffer buffer = nullCreateBuffer(queue, 8, label, &status);
        OK(status);
        OK(nullPoke(buffer, 0, i));
        const char *first = nullBufferText(queue, buffer, 0), *named = nullBufferLabel(buffer);
        for (uint32_t k = 0; k < each; k++) {
            int length = snprintf(want, sizeof want, "%u of 1 words, the first of them %lu ", k, i);
            const char *text = nullBufferText(queue, buffer, k);
            CHECK(text && !strncmp(text, want, (size_t)length) && strlen(text) == 1023);
        }
        CHECK(nullBufferText(queue, buffer, 0) == first && nullBufferLabel(buffer) == named && !strcmp(named, label));
        OK(nullDestroyBuffer(buffer));
        if (i == n / 10)
            before = resident();
    }
#ifndef __SANITIZE_ADDRESS__ /* which keeps what was freed */
    CHECK(resident() - before < 40 << 20); /* those that followed are 58 MiB and more; valgrind keeps 20 MB of what was freed */
#else
    (void)before;
#endif
    OK(nullReleaseQueue(queue));
    say("all as they should be");
}

const struct t_test memory_tests[] = {{"reads", reads},   {"writes", writes}, {"both", both},
                                      {"nulls", nulls},   {"partly", partly}, {"partly_large", partly_large}, {"left", left}, {"lists", lists},
                                      {"rests", rests},   {"again_and_again", again_and_again}, {"rectangles", rectangles},
                                      {"maps", maps},     {"shared", shared}, {"lengths_not_said", lengths_not_said},
                                      {"strings_of_objects", strings_of_objects}, {NULL, NULL}};
