/* Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0 */
#include "isa.h"

#include <pthread.h>
#include <stdarg.h>

_Atomic unsigned isa_skipped;
void (*isa_before_line)(void);
static pthread_mutex_t line_lock = PTHREAD_MUTEX_INITIALIZER;

static void *must(void *p)
{
    if (!p) {
        fputs("isapop: out of memory\n", stderr);
        exit(70);
    }
    return p;
}

void *isa_alloc(size_t size)
{
    return must(calloc(1, size ? size : 1));
}

void *isa_realloc(void *p, size_t size)
{
    return must(realloc(p, size ? size : 1));
}

char *isa_strndup(const char *s, size_t n)
{
    return must(strndup(s, n));
}

char *isa_strdup(const char *s)
{
    return must(strdup(s));
}

char *isa_printf(const char *format, ...)
{
    va_list args;
    char *s = NULL;
    va_start(args, format);
    if (vasprintf(&s, format, args) < 0)
        s = NULL;
    va_end(args);
    return must(s);
}

const char *isa_n(uint64_t n, const char *one)
{
    static _Thread_local char texts[8][64];
    static _Thread_local unsigned next;
    char *text = texts[next++ % 8];
    size_t length = strlen(one);
    bool ies = n != 1 && length && one[length - 1] == 'y';
    snprintf(text, sizeof texts[0], "%llu %.*s%s", (unsigned long long)n, (int)(length - ies), one,
             n == 1 ? ""
             : ies  ? "ies"
                    : "s");
    return text;
}

/* How many bytes of well-formed UTF-8 that is no control character begin here; 0: none. */
static size_t printable_at(const char *s)
{
    const unsigned char *p = (const unsigned char *)s;
    size_t n = *p < 0x80                 ? 1
               : *p >= 0xc2 && *p < 0xe0 ? 2
               : *p >= 0xe0 && *p < 0xf0 ? 3
               : *p >= 0xf0 && *p < 0xf5 ? 4
                                         : 0;
    unsigned code = n == 1 ? *p : *p & (0x7fu >> n);
    for (size_t i = 1; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
        code = code << 6 | (p[i] & 0x3f);
    }
    bool shortest = n < 3 || code >= (n == 3 ? 0x800u : 0x10000u), surrogate = code >= 0xd800 && code < 0xe000;
    bool control = code < 0x20 || (code >= 0x7f && code < 0xa0); /* a terminal may obey both kinds */
    return shortest && !surrogate && !control && code < 0x110000 ? n : 0;
}

void isa_printable(char *s)
{
    while (*s) {
        size_t n = printable_at(s);
        if (!n)
            *s = '?';
        s += n ? n : 1;
    }
}

static void line(const char *what, const char *format, va_list args)
{
    char text[1024], name[512];
    vsnprintf(text, sizeof text, format, args);
    snprintf(name, sizeof name, "%s", what ? what : "");
    isa_printable(text);
    isa_printable(name);
    pthread_mutex_lock(&line_lock);
    if (isa_before_line)
        isa_before_line();
    fprintf(stderr, "isapop: %s%s%s\n", name, *name ? ": " : "", text);
    pthread_mutex_unlock(&line_lock);
}

void isa_skip(const char *what, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    line(what, format, args);
    va_end(args);
    isa_skipped++;
}

void isa_note(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    line(NULL, format, args);
    va_end(args);
}
