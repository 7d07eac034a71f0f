/* Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"

static const char *const level_names[] = {"error", "warning", "info", "debug"};

const char *hira_log_level_name(enum hira_log_level level)
{
    return (size_t)level < HIRA_ARRAY_SIZE(level_names) ? level_names[level] : "debug";
}

int hira_log_level_parse(const char *name, enum hira_log_level *ret_level)
{
    for (size_t i = 0; i < HIRA_ARRAY_SIZE(level_names); i++) {
        if (!strcmp(name, level_names[i])) {
            *ret_level = (enum hira_log_level)i;
            return 0;
        }
    }
    return -EINVAL;
}

void hira_log(const struct hira_log *log, enum hira_log_level level, const char *component, uint32_t guest,
              const char *format, ...)
{
    char text[HIRA_LOG_LINE_MAX / 2];
    if (!log || level > log->level)
        return;
    int saved = errno;
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    struct hira_log_event event = {level, component, guest, text};
    log->write(log->context, &event);
    errno = saved;
}

/* Copies `text`, control characters and what JSON reserves as escapes, without its last end of line, and each byte that is part of no
 * character. Stops before `end`. */
static char *put_escaped(char *p, char *end, const char *text, bool json)
{
    size_t length = strlen(text);
    while (length && text[length - 1] == '\n')
        length--;
    for (size_t i = 0, n; i < length && end - p > 7; i += n ? n : 1) {
        unsigned char c = (unsigned char)text[i];
        if (!(n = hira_text_character(text + i)))
            p += sprintf(p, json ? "\\u%04x" : "\\x%02x", c);
        else if (json && (c == '"' || c == '\\'))
            p += sprintf(p, "\\%c", c);
        else
            p = mempcpy(p, text + i, n);
    }
    return p;
}

static void write_line(void *fd, const char *line, size_t size)
{
    struct pollfd p = {(int)(intptr_t)fd, POLLOUT, 0};
    ssize_t n;
    /* A log that cannot be written is no reason to stop, nor is one whose reader has stopped: then lines are lost. */
    if (poll(&p, 1, 0) == 0)
        return;
    do
        n = write(p.fd, line, size);
    while (n < 0 && errno == EINTR);
}

void hira_log_write_text(void *fd, const struct hira_log_event *event)
{
    char line[HIRA_LOG_LINE_MAX], *p = line;
    p += snprintf(p, 64, "hira: %.24s: %s: ", event->component, hira_log_level_name(event->level));
    if (event->guest)
        p += snprintf(p, 32, "guest %u: ", event->guest);
    p = put_escaped(p, line + sizeof line - 1, event->text, false);
    *p++ = '\n';
    write_line(fd, line, (size_t)(p - line));
}

void hira_log_write_json(void *fd, const struct hira_log_event *event)
{
    char line[HIRA_LOG_LINE_MAX], *p = line;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    p += snprintf(p, 160, "{\"time\":%lld.%06ld,\"level\":\"%s\",\"component\":\"%.24s\",", (long long)now.tv_sec,
                  now.tv_nsec / 1000, hira_log_level_name(event->level), event->component);
    if (event->guest)
        p += snprintf(p, 32, "\"guest\":%u,", event->guest);
    p += snprintf(p, 16, "\"text\":\"");
    p = put_escaped(p, line + sizeof line - 4, event->text, true);
    p += snprintf(p, 4, "\"}\n");
    write_line(fd, line, (size_t)(p - line));
}
