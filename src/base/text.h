/* A growable text (or byte) buffer for output that is built in memory before it is written anywhere.
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef HIRA_BASE_TEXT_H
#define HIRA_BASE_TEXT_H

#include <stdarg.h>

#include "base/util.h"

/* Zero-initialized is empty. `data` is NUL-terminated whenever it is not NULL; the NUL is not counted in `size`.
 * When memory runs out `failed` is set, everything after is ignored, and what is there stays valid. */
struct hira_text {
    char *data;
    size_t size, capacity;
    bool failed;
};

void hira_text_fini(struct hira_text *text);
void hira_text_append(struct hira_text *text, const void *data, size_t size);
void hira_text_puts(struct hira_text *text, const char *s);
void hira_text_printf(struct hira_text *text, const char *format, ...) HIRA_PRINTF(2, 3);
void hira_text_vprintf(struct hira_text *text, const char *format, va_list args);

/* Bytes of the character that `s` begins with; 0 where it begins with a control character, or with what is no UTF-8. */
size_t hira_text_character(const char *s);
/* Puts a question mark for each byte of what is none: others' words, for terminals and parsers. */
void hira_text_tame(char *s);

/* Reads a whole file; 0, or -errno (-EFBIG beyond `limit` bytes). */
int hira_text_read_file(struct hira_text *text, const char *path, size_t limit);

/* Writes `text` to `path` through a temporary file in the same folder and a rename. Leaves the file (and its time)
 * untouched when it holds the same bytes already. 0 or -errno. */
int hira_text_write_file(const struct hira_text *text, const char *path);

#endif
