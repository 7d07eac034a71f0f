/* Structs by value and by pointer, unions, nested structs, arrays of strings.
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0 */
#include "t.h"

static void by_value(void)
{
    nullVec3 v = nullVecAdd((nullVec3){1, 2, 3}, (nullVec3){0.5f, -2, 1e30f});
    say("%a %a %a", (double)v.x, (double)v.y, (double)v.z);
    nullRecord r = nullRecordScale((nullRecord){7, {1, 2, -3, 0.5}, "abcd"}, -2);
    say("%d %g %g %g %g %.4s %d", r.id, r.values[0], r.values[1], r.values[2], r.values[3], r.tag, r.tag[4]);
    for (uint32_t i = 0; i < 4; i++) {
        nullLimits l = nullGetLimits(i);
        say("%u %u %u %lu %a %d", l.lanes, l.width, l.height, l.bytes, (double)l.ratio, l.exact);
    }
}

static void arrays(void)
{
    static nullVec3 vectors[100000]; /* 1.2 MB */
    nullVec3 sum = {9, 9, 9};
    for (int i = 0; i < 100000; i++)
        vectors[i] = (nullVec3){(float)i, 1, -0.5f};
    const uint32_t counts[] = {0, 1, 2, 170, 171, 341, 342, 682, 683, 1000, 5461, 5462, 100000};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        CALL(nullVecSum(vectors, counts[i], &sum));
        say("%u: %a %a %a", counts[i], (double)sum.x, (double)sum.y, (double)sum.z);
    }
    CALL(nullVecSum(NULL, 0, &sum));
    CALL(nullVecSum(NULL, 1, &sum));
    CALL(nullVecSum(vectors, 1, NULL));
}

static void unions(void)
{
    const float data[] = {1, 2, 3.5f};
    nullParam p[] = {
        {NULL_KIND_INT, {.integer = INT64_MIN}},
        {NULL_KIND_REAL, {.real = -0.1}},
        {NULL_KIND_TEXT, {.text = "words"}},
        {NULL_KIND_TEXT, {.text = NULL}},
        {NULL_KIND_VECTOR, {.vector = {3, data}}},
        {NULL_KIND_VECTOR, {.vector = {0, data}}},
        {NULL_KIND_VECTOR, {.vector = {5, NULL}}},
        {NULL_KIND_TEXT, {.text = ""}},
    };
    char text[200];
    size_t size = 0;
    for (size_t i = 0; i < sizeof p / sizeof *p; i++) {
        CALL(nullDescribeOne(p[i], text, sizeof text));
        say("[%s]", text);
    }
    CALL(nullDescribe(p, sizeof p / sizeof *p, text, sizeof text, &size));
    say("[%s] %zu", text, size);
    CALL(nullDescribe(p, 0, text, sizeof text, &size));
    say("[%s] %zu", text, size);
    memset(text, '#', sizeof text);
    CALL(nullDescribe(p, 3, text, 7, &size));
    say("[%s] %zu, behind it %c", text, size, text[7]);
    CALL(nullDescribe(p, 3, NULL, 0, &size));
    say("%zu", size);
    CALL(nullDescribe(p, 3, text, 0, &size));
    CALL(nullDescribe(NULL, 3, text, 7, NULL));
    CALL(nullDescribe(NULL, 0, NULL, 0, NULL));
    p[1].kind = (nullKind)77;
    CALL(nullDescribe(p, 3, text, sizeof text, &size));
}

static void many_unions(void)
{
    enum { N = 5000 };
    nullParam *p = calloc(N, sizeof *p);
    float *data = malloc(1000 * sizeof *data);
    size_t size = 0;
    for (int i = 0; i < 1000; i++)
        data[i] = (float)i;
    for (uint32_t i = 0; i < N; i++) {
        p[i].kind = (nullKind)(i % 4 + 1);
        switch (p[i].kind) {
        case NULL_KIND_INT: p[i].value.integer = i; break;
        case NULL_KIND_REAL: p[i].value.real = i / 8.0; break;
        case NULL_KIND_TEXT: p[i].value.text = "some text of a parameter"; break;
        default: p[i].value.vector = (nullVector){i % 1000, data};
        }
    }
    char *text = malloc(1 << 20);
    CALL(nullDescribe(p, N, text, 1 << 20, &size));
    say("%zu %016lx", size, t_sum(text, size));
    free(text);
    free(data);
    free(p);
}

static void nested(void)
{
    const uint64_t dims[] = {2, 3, 1ull << 40};
    unsigned char *data = t_bytes(20000, 1);
    nullTensor weights = {3, dims, 20000, data};
    const char *tags[] = {"a", NULL, "", "a longer tag that says more"};
    nullLayer layers[] = {
        {"first", &weights, {2, dims, 100, data}, t_device()},
        {NULL, NULL, {0, NULL, 0, NULL}, NULL},
        {"", &weights, {1, dims, 0, data}, NULL},
    };
    uint64_t hash = 0;
    nullModel model = {3, layers, 4, tags};
    CALL(nullModelHash(&model, &hash));
    say("%016lx", hash);
    model.n_tags = 0;
    model.tags = NULL;
    CALL(nullModelHash(&model, &hash));
    say("%016lx", hash);
    model.n_layers = 0;
    CALL(nullModelHash(&model, &hash));
    say("%016lx", hash);
    model = (nullModel){0, NULL, 0, NULL};
    CALL(nullModelHash(&model, &hash));
    model = (nullModel){1, NULL, 0, NULL};
    CALL(nullModelHash(&model, &hash));
    CALL(nullModelHash(NULL, &hash));
    CALL(nullModelHash(&model, NULL));
    layers[0].device = (nullDevice)(uintptr_t)&weights; /* no device */
    weights.n_dims = 0;
    model = (nullModel){1, layers, 0, NULL};
    say("%d", nullModelHash(&model, &hash));
    free(data);
}

static void strings(void)
{
    const char *words[] = {"alpha", "beta", "", NULL, "gamma"};
    const size_t lengths[] = {2, 0, 0, 0, 5};
    char text[64] = "before";
    size_t size = 0;
    CALL(nullJoin(words, NULL, 5, text, sizeof text, &size));
    say("[%s] %zu", text, size);
    CALL(nullJoin(words, lengths, 5, text, sizeof text, &size));
    say("[%s] %zu", text, size);
    CALL(nullJoin(words, NULL, 0, text, sizeof text, NULL));
    say("[%s]", text);
    CALL(nullJoin(NULL, NULL, 0, text, sizeof text, NULL));
    CALL(nullJoin(NULL, NULL, 2, text, sizeof text, NULL));
    CALL(nullJoin(words, NULL, 5, NULL, 0, &size));
    say("%zu", size);
    CALL(nullJoin(words, NULL, 5, text, 6, &size));
    say("[%s] %zu", text, size);
    CALL(nullJoin(words, NULL, 5, text, 1, &size));
    say("[%s] %zu", text, size);
    CALL(nullJoin(words, NULL, 5, text, 0, &size));
}

static void long_strings(void)
{
    static const size_t sizes[] = {2046, 2047, 2048, 4095, 4096, 8191, 8192, 40000, 3000000};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        char *word = malloc(sizes[i] + 1), *text = malloc(2 * sizes[i] + 16);
        const char *words[] = {word, "-", word};
        size_t size = 0;
        memset(word, 'x', sizes[i]);
        word[sizes[i]] = 0;
        word[sizes[i] / 2] = 'y';
        CALL(nullJoin(words, NULL, 3, text, 2 * sizes[i] + 16, &size));
        say("%zu %016lx", size, t_sum(text, size));
        free(word);
        free(text);
    }
}

/* At the sizes where its way changes: 8192 (reply), 4 MiB (segment), 16 MiB (none that is longer). What else the call gives is there. */
static void returned_strings(void)
{
    static const size_t lengths[] = {0, 1, 7, 8, 2048, 8190, 8191, 8192, 8193, 16384, 32760, 100 << 10, 1 << 20, 4194304, (16 << 20) - 1};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        nullStatus status = NULL_ERROR_LOST;
        uint64_t sum = 0;
        const char *text = nullLetters(lengths[i], &sum, &status);
        CHECK(text && strlen(text) == lengths[i] && t_sum(text, lengths[i]) == sum);
        CHECK(nullLetters(lengths[i], NULL, NULL) == text);
        say("%zu %016lx %d", lengths[i], sum, status);
    }
    say("%s", nullLetters(100, NULL, NULL));
    nullStatus status = NULL_SUCCESS;
    uint64_t sum = 5;
    CHECK(!nullLetters((size_t)2 << 30, &sum, &status) && sum == 5);
    say("%d, last %d", status, nullGetLastError());
}

static void longest_string(void)
{
#ifndef UNDER_HIRA
    t_skip("the vendor returns longer ones");
#endif
    nullStatus status = NULL_SUCCESS;
    uint64_t sum = 5;
    CHECK(!nullLetters(16 << 20, &sum, &status) && status == NULL_ERROR_LOST && sum == 5);
    const char *text = nullLetters(100 << 10, &sum, &status);
    CHECK(text && !status && t_sum(text, 100 << 10) == sum);
}

/* More than were ever kept at once. */
static void static_strings(void)
{
    enum { N = 66000 };
    static const char *names[N];
    for (uint32_t i = 0; i < N; i++) {
        char want[32];
        snprintf(want, sizeof want, "number %u", i);
        names[i] = nullNumberName(i);
        CHECK(names[i] && !strcmp(names[i], want));
    }
    for (uint32_t i = 0; i < N; i += 101)
        CHECK(nullNumberName(i) == names[i]);
    say("%s %s %s", names[0], names[65536], names[N - 1]);
}

/* The most that is kept of them is a number of bytes: beyond, there are no new ones, and those that there are stay. */
static void too_many_static_strings(void)
{
#ifndef UNDER_HIRA
    t_skip("the vendor keeps them all");
#endif
    const char *first = nullLetters(4 << 20, NULL, NULL), *text = first;
    size_t n = 0;
    for (size_t length = 4 << 20; text; length++, n++)
        text = nullLetters(length, NULL, NULL);
    CHECK(n == 16);
    CHECK(nullLetters(4 << 20, NULL, NULL) == first && first[4 << 20] == 0);
    nullStatus status;
    nullQueue queue = t_queue();
    nullBuffer buffer = nullCreateBuffer(queue, 8, "an object's", &status);
    text = nullBufferLabel(buffer);
    CHECK(text && !strcmp(text, "an object's"));
    OK(nullDestroyBuffer(buffer));
    OK(nullReleaseQueue(queue));
}

const struct t_test structs_tests[] = {{"by_value", by_value}, {"arrays", arrays},   {"unions", unions},             {"many_unions", many_unions},
                                       {"nested", nested},     {"strings", strings}, {"long_strings", long_strings},
                                       {"returned_strings", returned_strings}, {"longest_string", longest_string},
                                       {"static_strings", static_strings}, {"too_many_static_strings", too_many_static_strings}, {NULL, NULL}};
