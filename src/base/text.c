/* Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0 */
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"

void hira_text_fini(struct hira_text *text)
{
    free(text->data);
    *text = (struct hira_text){0};
}

static bool text_reserve(struct hira_text *text, size_t more)
{
    if (text->failed)
        return false;
    size_t need = text->size + more + 1;
    if (need <= text->capacity)
        return true;
    size_t capacity = HIRA_MAX(need, HIRA_MAX(text->capacity * 2, (size_t)256));
    char *data = realloc(text->data, capacity);
    if (!data) {
        text->failed = true;
        return false;
    }
    text->data = data;
    text->capacity = capacity;
    return true;
}

void hira_text_append(struct hira_text *text, const void *data, size_t size)
{
    if (!text_reserve(text, size))
        return;
    if (size)
        memcpy(text->data + text->size, data, size);
    text->size += size;
    text->data[text->size] = 0;
}

void hira_text_puts(struct hira_text *text, const char *s)
{
    hira_text_append(text, s, strlen(s));
}

void hira_text_vprintf(struct hira_text *text, const char *format, va_list args)
{
    va_list again;
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, format, again);
    va_end(again);
    if (n < 0 || !text_reserve(text, (size_t)n))
        return;
    vsnprintf(text->data + text->size, (size_t)n + 1, format, args);
    text->size += (size_t)n;
}

void hira_text_printf(struct hira_text *text, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    hira_text_vprintf(text, format, args);
    va_end(args);
}

static bool continues(char c)
{
    return ((unsigned char)c & 0xc0) == 0x80;
}

size_t hira_text_character(const char *s)
{
    unsigned char a = (unsigned char)s[0], b = a ? (unsigned char)s[1] : 0;
    if (a < 0x80)
        return a >= 0x20 && a != 0x7f;
    if (a < 0xc2 || a > 0xf4 || !continues(s[1]))
        return 0;
    if (a < 0xe0)
        return a == 0xc2 && b < 0xa0 ? 0 : 2; /* terminals take those, too, for the beginning of commands */
    if ((a == 0xe0 && b < 0xa0) || (a == 0xed && b >= 0xa0) || (a == 0xf0 && b < 0x90) || (a == 0xf4 && b >= 0x90) || !continues(s[2]))
        return 0;
    return a < 0xf0 ? 3 : continues(s[3]) ? 4 : 0;
}

void hira_text_tame(char *s)
{
    for (size_t n; *s; s += n ? n : 1)
        if (!(n = hira_text_character(s)))
            *s = '?';
}

int hira_text_read_file(struct hira_text *text, const char *path, size_t limit)
{
    HIRA_AUTOCLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    char chunk[16384];
    for (;;) {
        ssize_t n = read(fd, chunk, sizeof chunk);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            break;
        if (text->size + (size_t)n > limit)
            return -EFBIG;
        hira_text_append(text, chunk, (size_t)n);
    }
    if (!text->data)
        hira_text_append(text, "", 0);
    return text->failed ? -ENOMEM : 0;
}

int hira_text_write_file(const struct hira_text *text, const char *path)
{
    if (text->failed)
        return -ENOMEM;
    struct hira_text old = {0};
    bool same = hira_text_read_file(&old, path, text->size) == 0 && old.size == text->size &&
                (text->size == 0 || memcmp(old.data, text->data, text->size) == 0);
    hira_text_fini(&old);
    if (same)
        return 0;

    struct hira_text temporary = {0};
    hira_text_printf(&temporary, "%s.XXXXXX", path);
    if (temporary.failed)
        return -ENOMEM;
    int ret = 0;
    HIRA_AUTOCLOSE int fd = mkostemp(temporary.data, O_CLOEXEC);
    if (fd < 0) {
        ret = -errno;
        goto out;
    }
    ret = hira_fd_write_all(fd, text->data, text->size);
    mode_t mask = umask(0);
    umask(mask);
    if (!ret && fchmod(fd, 0666 & ~mask) < 0)
        ret = -errno;
    if (!ret && rename(temporary.data, path) < 0)
        ret = -errno;
    if (ret)
        unlink(temporary.data);
out:
    hira_text_fini(&temporary);
    return ret;
}
