/*
 * What the vendor prints (a kernel's printf, messages) belongs on the application's standard output and error.
 *
 * Descriptors 1 and 2 are pipes here. A thread empties them, so that the vendor never blocks for long; once the spec's code has
 * said that output is to be expected, the pipes are emptied before each reply as well, for the application may compare what
 * has been printed with what it was told is complete. The bytes travel behind a reply's values.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

#include "server/internal.h"

#define OUTPUT_MAX (16u << 20)      /* kept for a guest that makes no calls; then the vendor's writes block */
#define OUTPUT_A_REPLY (8u * 1024)
#define PIPE_SIZE (1 << 20)         /* a kernel's whole printf buffer fits */

static struct stream {
    int pipe, fd;
    struct hira_text text;
    size_t taken;
} streams[2] = {{-1, STDOUT_FILENO, {0}, 0}, {-1, STDERR_FILENO, {0}, 0}};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static _Atomic bool expected, waiting;

void hira_expect_output(void)
{
    atomic_store_explicit(&expected, true, memory_order_relaxed);
}

/* Lock held. */
static void collect(struct stream *s)
{
    char chunk[4096];
    while (s->text.size - s->taken < OUTPUT_MAX) {
        ssize_t n = read(s->pipe, chunk, sizeof chunk);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return;
        hira_text_append(&s->text, chunk, (size_t)n);
        atomic_store_explicit(&waiting, true, memory_order_relaxed);
    }
}

static void collect_all(void)
{
    pthread_mutex_lock(&lock);
    collect(&streams[0]);
    collect(&streams[1]);
    pthread_mutex_unlock(&lock);
}

static void *output_thread(void *unused)
{
    (void)unused;
    for (;;) {
        struct pollfd p[2] = {{streams[0].pipe, POLLIN, 0}, {streams[1].pipe, POLLIN, 0}};
        if (poll(p, 2, -1) < 0 && errno != EINTR)
            return NULL;
        collect_all();
        usleep(1000); /* let a burst gather; replies collect for themselves when it matters */
    }
}

static bool redirect(struct stream *s)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return false;
    fcntl(ends[1], F_SETPIPE_SZ, PIPE_SIZE);
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    bool ok = dup2(ends[1], s->fd) >= 0;
    close(ends[1]);
    s->pipe = ends[0];
    return ok;
}

bool hira_output_start(void)
{
    pthread_t thread;
    fflush(NULL);
    if (!redirect(&streams[0]) || !redirect(&streams[1]))
        return false;
    setvbuf(stdout, NULL, _IONBF, 0);
    if (pthread_create(&thread, NULL, output_thread, NULL))
        return false;
    pthread_detach(thread);
    return true;
}

/* Lock held. Bytes not yet handed over. */
static size_t rest(const struct stream *s)
{
    return s->text.size - s->taken;
}

uint16_t hira_output_attach(uint64_t **end, uint64_t *limit)
{
    if (hira_unlikely(atomic_load_explicit(&expected, memory_order_relaxed))) {
        pthread_mutex_lock(&lock);
        collect(&streams[0]);
        pthread_mutex_unlock(&lock);
    }
    if (hira_likely(!atomic_load_explicit(&waiting, memory_order_relaxed)))
        return 0;
    uint16_t flags = 0;
    pthread_mutex_lock(&lock);
    struct stream *s = rest(&streams[0]) ? &streams[0] : &streams[1];
    size_t n = HIRA_MIN(rest(s), (size_t)OUTPUT_A_REPLY);
    if (n && HIRA_WORDS(n) + 1 <= (uint64_t)(limit - *end)) {
        memcpy(*end, s->text.data + s->taken, n);
        *end += HIRA_WORDS(n);
        *(*end)++ = (uint64_t)s->fd << 32 | n;
        s->taken += n;
        flags = HIRA_REPLY_OUTPUT;
        if (!rest(s))
            s->text.size = s->taken = 0;
    }
    bool more = rest(&streams[0]) || rest(&streams[1]);
    atomic_store_explicit(&waiting, more, memory_order_relaxed);
    pthread_mutex_unlock(&lock);
    return more ? flags | HIRA_REPLY_MORE : flags;
}
