/*
 * Events for whoever operates Hira: one line each, with the component that saw it and the guest that it is about.
 *
 * Only programs log; libraries are given a logger by their program, or none (NULL: nothing happens). Where the lines go
 * is the writer's business: hira_log_write_text and hira_log_write_json are the two that come with it.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#ifndef HIRA_BASE_LOG_H
#define HIRA_BASE_LOG_H

#include <stdarg.h>

#include "base/util.h"

#define HIRA_LOG_LINE_MAX                                                                                              \
    2048 /* a line fits one write(2) to a pipe (PIPE_BUF), so that lines of two processes never mix */

enum hira_log_level {
    HIRA_LOG_ERROR,   /* something asked for cannot be had */
    HIRA_LOG_WARNING, /* something is wrong, work goes on */
    HIRA_LOG_INFO,    /* what an operator wants to see: guests come and go */
    HIRA_LOG_DEBUG,
};

struct hira_log_event {
    enum hira_log_level level;
    const char *component; /* "router", "zygote", "server", ... */
    uint32_t guest;        /* the guest's process as the kernel names it; 0: about none */
    const char *text;      /* one line; may hold control characters that came from outside: writers escape them */
};

struct hira_log {
    enum hira_log_level level; /* the most talkative that is written */
    void (*write)(void *context, const struct hira_log_event *event);
    void *context;
};

/* Formats and writes one event; longer texts are cut. errno is preserved. Any thread, if the writer allows it. */
void hira_log(const struct hira_log *log, enum hira_log_level level, const char *component, uint32_t guest,
              const char *format, ...) HIRA_PRINTF(5, 6);

/* Writers. What would block is dropped; the context is the descriptor, (void *)(intptr_t)fd. Each event is one write:
 * any thread. */
void hira_log_write_text(void *fd, const struct hira_log_event *event);
void hira_log_write_json(void *fd, const struct hira_log_event *event);

/* "error", "warning", "info", "debug". The parser: 0 or -EINVAL. */
const char *hira_log_level_name(enum hira_log_level level);
int hira_log_level_parse(const char *name, enum hira_log_level *ret_level);

#endif
