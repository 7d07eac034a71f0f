/*
 * Drives a fuzz target without libFuzzer: replays inputs and makes new ones, with any compiler.
 *
 *     TARGET [-runs=N] [-max_total_time=SECONDS] [FILE|FOLDER]...
 *
 * The options are libFuzzer's, so that a script need not know which of both it runs; others are ignored. Prints TAP. The input now
 * being run is kept in memory, and written to ./crash-input when the process dies of it.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"

#define INPUT_MAX (16u << 10)
#define KEPT 256u

int LLVMFuzzerInitialize(int *argc, char ***argv) __attribute__((weak));
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed) __attribute__((weak));

static struct input {
    uint8_t *data;
    size_t size;
} kept[KEPT], now;
static unsigned n_kept;
static unsigned long long executions;
static uint64_t seed = 1;

static uint64_t random_word(void)
{
    uint64_t x = seed += 0x9e3779b97f4a7c15ull;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
    x = (x ^ x >> 27) * 0x94d049bb133111ebull;
    return x ^ x >> 31;
}

/* Sanitizers end the process by an exit of their own; each way out passes here. */
static void write_input(void)
{
    int fd = now.data ? open("crash-input", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644) : -1;
    if (fd >= 0 && write(fd, now.data, now.size) >= 0)
        close(fd);
}

void __sanitizer_set_death_callback(void (*callback)(void)) __attribute__((weak));

static void on_signal(int number)
{
    write_input();
    signal(number, SIG_DFL);
    raise(number);
}

static void run(const uint8_t *data, size_t size)
{
    /* An exact copy, so that one byte too far is seen. */
    uint8_t *exact = malloc(size ? size : 1);
    if (!exact)
        exit(70);
    memcpy(exact, data, size);
    now = (struct input){exact, size};
    LLVMFuzzerTestOneInput(exact, size);
    now = (struct input){0};
    free(exact);
    executions++;
}

static void keep(const uint8_t *data, size_t size)
{
    struct input *place = &kept[n_kept < KEPT ? n_kept++ : random_word() % KEPT];
    free(place->data);
    place->data = malloc(size ? size : 1);
    place->size = size;
    if (!place->data)
        exit(70);
    memcpy(place->data, data, size);
}

static void replay(const char *path)
{
    struct stat st;
    if (stat(path, &st) < 0)
        return;
    if (S_ISDIR(st.st_mode)) {
        DIR *dir = opendir(path);
        for (struct dirent *entry; dir && (entry = readdir(dir));) {
            char inner[4096];
            snprintf(inner, sizeof inner, "%s/%s", path, entry->d_name);
            if (entry->d_name[0] != '.')
                replay(inner);
        }
        if (dir)
            closedir(dir);
        return;
    }
    struct hira_text text = {0};
    if (hira_text_read_file(&text, path, 1 << 20) == 0) {
        run((uint8_t *)text.data, text.size);
        if (text.size <= INPUT_MAX)
            keep((uint8_t *)text.data, text.size);
    }
    hira_text_fini(&text);
}

static size_t change_bytes(uint8_t *data, size_t size)
{
    for (uint64_t n = 1 + random_word() % 4; n; n--) {
        uint64_t what = random_word() % 6, at = size ? random_word() % size : 0;
        if (what == 0 && size < INPUT_MAX) {
            memmove(data + at + 1, data + at, size - at);
            data[at] = (uint8_t)random_word();
            size++;
        } else if (what == 1 && size) {
            memmove(data + at, data + at + 1, size - at - 1);
            size--;
        } else if (what == 2 && n_kept) { /* the end of another */
            const struct input *other = &kept[random_word() % n_kept];
            size_t from = other->size ? random_word() % other->size : 0, count = HIRA_MIN(other->size - from, INPUT_MAX - at);
            memcpy(data + at, other->data + from, count);
            size = at + count;
        } else if (size) {
            data[at] = what == 3 ? (uint8_t)random_word() : (uint8_t)(data[at] ^ 1u << random_word() % 8);
        }
    }
    return size;
}

/* Without coverage to steer by, one in a hundred is kept to go on from. */
static void explore(unsigned long long runs, uint64_t until)
{
    static uint8_t data[INPUT_MAX];
    for (unsigned long long i = 0; i < runs && (i % 64 || hira_now_ns() < until); i++) {
        const struct input *from = n_kept && random_word() % 8 ? &kept[random_word() % n_kept] : NULL;
        size_t size = from ? from->size : 0;
        if (size)
            memcpy(data, from->data, size);
        for (uint64_t n = 1 + random_word() % 8; n; n--)
            size = LLVMFuzzerCustomMutator ? LLVMFuzzerCustomMutator(data, size, INPUT_MAX, (unsigned)random_word())
                                           : change_bytes(data, size);
        run(data, size);
        if (random_word() % 100 == 0)
            keep(data, size);
    }
}

int main(int argc, char **argv)
{
    unsigned long long runs = 0;
    uint64_t seconds = 3600;
    if (__sanitizer_set_death_callback)
        __sanitizer_set_death_callback(write_input);
    else
        for (const int *s = (const int[]){SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL, 0}; *s; s++)
            signal(*s, on_signal);
    if (LLVMFuzzerInitialize)
        LLVMFuzzerInitialize(&argc, &argv);
    for (int i = 1; i < argc; i++)
        if (!strncmp(argv[i], "-runs=", 6))
            runs = strtoull(argv[i] + 6, NULL, 10);
        else if (!strncmp(argv[i], "-max_total_time=", 16))
            seconds = strtoull(argv[i] + 16, NULL, 10);
        else if (argv[i][0] != '-')
            replay(argv[i]);
    printf("ok 1 - corpus: %llu inputs\n", executions);
    fflush(stdout);
    unsigned long long replayed = executions;
    explore(runs, hira_now_ns() + seconds * 1000000000u);
    printf("ok 2 - new inputs: %llu\n1..2\n", executions - replayed);
    return 0;
}
