/*
 * Debian control stanzas: what the installed system's status file, a package's control file and a mirror's index are
 * made of.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#ifndef HIRA_ISA_STANZA_H
#define HIRA_ISA_STANZA_H

#include "db.h"

struct stanza {
    char *package, *version, *arch, *source, *depends, *status, *filename;
};

void stanza_fini(struct stanza *s);
/* Takes one line of a stanza (without its newline) in. */
void stanza_line(struct stanza *s, const char *line);
/* Reads a whole stanza from a text. */
void stanza_parse(struct stanza *s, const char *text);

/* Reads stanzas from a file, which may be compressed; calls back for each. False when the callback says false. NULL or
 * why not. */
const char *stanza_file(const char *path, bool (*each)(void *context, const struct stanza *s), void *context);

/* A package with the stanza's names. */
struct package *stanza_package(const struct stanza *s);

#endif
