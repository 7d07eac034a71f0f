/* Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0 */
#include "progress.h"

#include <pthread.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define EVERY_NS 100000000u

static struct {
    pthread_mutex_t lock;
    bool shown, drawn;
    const char *what;
    uint64_t total, done, started, last;
    char name[40];
} bar = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void clear(void)
{
    if (bar.drawn)
        fputs("\r\033[K", stderr);
    bar.drawn = false;
}

static void draw(uint64_t now)
{
    struct winsize size = {0};
    double seconds = (double)(now - bar.started) / 1e9, part = bar.total ? (double)bar.done / (double)bar.total : 0;
    double rate = seconds > 0 ? (double)bar.done / seconds : 0;
    unsigned left = rate > 0 ? (unsigned)((double)(bar.total - bar.done) / rate) : 0;
    int columns = ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col ? size.ws_col : 80;
    int width = HIRA_MAX(10, HIRA_MIN(40, columns - 64)), filled = (int)(part * width);
    char cells[41];
    for (int i = 0; i < width; i++)
        cells[i] = i < filled ? '#' : '-';
    cells[width] = 0;
    fprintf(stderr, "\r\033[K%s [%s] %3.0f %%  %6.1f MB/s  %u:%02u left", bar.what, cells, part * 100, rate / 1e6,
            left / 60, left % 60);
    if (columns > width + 50)
        fprintf(stderr, "  %.*s", HIRA_MIN(columns - width - 48, 32), bar.name);
    fflush(stderr);
    bar.drawn = true;
    bar.last = now;
}

void progress_begin(const char *what, uint64_t total)
{
    const char *term = getenv("TERM");
    pthread_mutex_lock(&bar.lock);
    bar.shown = isatty(STDERR_FILENO) && term && strcmp(term, "dumb") != 0;
    bar.what = what;
    bar.total = total;
    bar.done = 0;
    bar.started = hira_now_ns();
    bar.last = 0;
    pthread_mutex_unlock(&bar.lock);
    isa_before_line = clear;
}

void progress_add(uint64_t done, const char *name)
{
    if (!bar.shown)
        return;
    pthread_mutex_lock(&bar.lock);
    uint64_t now = hira_now_ns();
    const char *base = strrchr(name, '/') ? strrchr(name, '/') + 1 : name;
    bar.done += done;
    snprintf(bar.name, sizeof bar.name, "%s", base);
    isa_printable(bar.name);
    if (now - bar.last > EVERY_NS)
        draw(now);
    pthread_mutex_unlock(&bar.lock);
}

void progress_end(void)
{
    pthread_mutex_lock(&bar.lock);
    clear();
    fflush(stderr);
    bar.shown = false;
    pthread_mutex_unlock(&bar.lock);
    isa_before_line = NULL;
}
