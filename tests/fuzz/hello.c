/* Fuzzes the check of a HELLO, and of the other control messages. Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "wire/handshake.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max) __attribute__((weak));
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed);

static volatile size_t sink;

static void walk(const struct hira_hello *hello, size_t size)
{
    size_t cursor = 0, length, n_environment, n = 0;
    uint32_t signature;
    const char *name;
    while (hira_hello_next(hello, &cursor, &signature, &name, &length)) {
        for (size_t i = 0; i < length; i++)
            sink += (size_t)name[i];
        n++;
    }
    const char *environment = hira_hello_environment(hello, &n_environment);
    for (const char *p = environment; p < environment + n_environment; p += strlen(p) + 1)
        sink += strlen(p);
    if (n != hello->n_functions || strlen(hello->api) >= HIRA_API_NAME_MAX || environment + n_environment != (const char *)hello + size)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct hira_hello *hello = malloc(size ? size : 1);
    if (!hello)
        return 0;
    memcpy(hello, data, size);
    if (hira_hello_check(hello, size) == 0)
        walk(hello, size);
    sink += (size_t)hira_message_check(hello, size, HIRA_MSG_OPEN_LANE, sizeof(struct hira_lane_message));
    free(hello);
    return 0;
}

/* Keeps the header, and the sums of the lengths, right most of the time: else nothing behind them is ever reached. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed)
{
    struct hira_hello h = {0};
    uint32_t r = seed * 2654435761u;
    if (LLVMFuzzerMutate && seed % 2)
        size = LLVMFuzzerMutate(data, size, max);
    if (size < sizeof h) {
        memset(data + size, 0, sizeof h - size);
        size = sizeof h;
    }
    if (max - size > 64 && seed % 3 == 0) { /* an entry more */
        uint8_t length = 1 + (uint8_t)(r >> 8) % 39;
        memmove(data + sizeof h + 5 + length, data + sizeof h, size - sizeof h);
        memset(data + sizeof h, 'f', 5u + length);
        data[sizeof h + 4] = length;
        size += 5u + length;
        memcpy(&h, data, sizeof h);
        h.n_functions++;
        h.functions_size += 5u + length;
    } else {
        data[r % size] ^= (uint8_t)(r >> 16);
        memcpy(&h, data, sizeof h);
    }
    if (seed % 16) {
        h.head = hira_message_head(HIRA_MSG_HELLO, size);
        h.api[HIRA_API_NAME_MAX - 1] = 0;
    }
    if (seed % 8 && h.functions_size <= size - sizeof h)
        h.environment_size = (uint32_t)(size - sizeof h - h.functions_size);
    memcpy(data, &h, sizeof h);
    return size;
}
