/* Fuzzes the Lapis lexer, parser, formatter and messages. What was formatted once is not changed by formatting it again.
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "lapis/compile.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max) __attribute__((weak));
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed);

static int format(const char *text, size_t size, struct hira_text *out)
{
    struct lapis_diag *diag = lapis_diag_create();
    struct hira_text messages = {0};
    int error = lapis_format("fuzz.lapis", text, size, out, diag);
    lapis_diag_print(diag, &messages, false);
    if (error && !messages.size)
        abort(); /* refused without a word */
    hira_text_fini(&messages);
    lapis_diag_destroy(diag);
    return error;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct hira_text once = {0}, twice = {0};
    char *text = malloc(size + 1);
    if (!text)
        return 0;
    memcpy(text, data, size);
    text[size] = 0;
    if (format(text, size, &once) == 0) {
        if (format(once.data ? once.data : "", once.size, &twice))
            abort();
        if (once.size != twice.size || (once.size && memcmp(once.data, twice.data, once.size)))
            abort();
    }
    hira_text_fini(&once);
    hira_text_fini(&twice);
    free(text);
    return 0;
}

static const char *const words[] = {
    "api x {", "function f {", "functions(a*, b) {", "parameter(p) {", "type(t) {", "convention {", "guest {", "server {", "shared {",
    "#include <a.h>\n", "#include \"b.h\"\n", "buffer(n);", "bytes(size);", "out;", "in;", "inout;", "element {", "field(f) {", "union(k) {",
    "a: B;", "string;", "sync;", "async;", "if (a == B) sync; else async;", "once(a, b)", "fails(a < b, C);", "success(0);", "failure(-1);",
    "internal int f(int a);", "int f(int a, const char *b) {", "guest replace {", "server after {", "allocates;", "handle;", "{", "}", "(", ")",
    ";", ",", "\"", "'", "/*", "*/", "//", "\n", "\\", "->", "...", "[", "]", "*", "0x", "1e", "\"\\x", "%", "{name}", "return", "values {",
};

/* --dictionary prints the words of the language. */
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    if (*argc != 2 || strcmp((*argv)[1], "--dictionary"))
        return 0;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        printf("\"");
        for (const char *p = words[i]; *p; p++)
            printf("\\x%02x", (unsigned char)*p);
        printf("\"\n");
    }
    exit(0);
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed)
{
    uint64_t r = (seed + 1) * 0x9e3779b97f4a7c15ull;
    const char *word = words[(r >> 20) % (sizeof words / sizeof *words)];
    size_t length = strlen(word), at = size ? (size_t)(r >> 32) % size : 0, cut = (size_t)(r >> 8) % 32;
    if (LLVMFuzzerMutate && r >> 62)
        return LLVMFuzzerMutate(data, size, max);
    if (r >> 60 & 1 && size) { /* less */
        cut = cut < size - at ? cut : size - at;
        memmove(data + at, data + at + cut, size - at - cut);
        return size - cut;
    }
    if (size + length > max)
        return size;
    memmove(data + at + length, data + at, size - at);
    memcpy(data + at, word, length);
    return size + length;
}
