/*
 * Debian packages, read in one pass: the outer archive and the one inside it stream through libarchive, a program or
 * library is in memory while it is looked at, and nothing is unpacked to disk.
 *
 * Archives are a stranger's. A member larger than the cap is left out, an archive that unpacks to more than
 * ISA_DEB_RATIO_MAX times its size or has more than ISA_MEMBERS_MAX members is given up, and memory for members and
 * decompressors comes out of one budget for all threads.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#ifndef HIRA_ISA_DEB_H
#define HIRA_ISA_DEB_H

#include "isa.h"

struct deb_reader {
    size_t member_cap;
    _Atomic bool *stop; /* NULL allowed */
    /* The control file, NUL-terminated. */
    void (*control)(void *context, const char *text, size_t size);
    /* An ELF file: path from "/", bytes that live until the callback returns. */
    void (*member)(void *context, const char *path, const uint8_t *data, size_t size);
    /* A member that was left out, and why. */
    void (*left_out)(void *context, const char *path, const char *why);
    void *context;
};

/* NULL, or why it could not be read to its end; what was before it has been called back. Any thread. */
const char *deb_read_file(const char *path, const struct deb_reader *reader);
const char *deb_read_memory(const void *data, size_t size, const struct deb_reader *reader);

#endif
