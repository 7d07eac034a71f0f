/*
 * Diagnostics: what the compiler has to say to the author of a specification. They are collected while the compiler
 * runs, so that one run reports everything, and printed once, sorted by place, by whoever started it.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#ifndef HIRA_LAPIS_DIAG_H
#define HIRA_LAPIS_DIAG_H

#include "base/text.h"
#include "lapis/model.h"

struct lapis_diag;

enum lapis_severity {
    LAPIS_NOTE,
    LAPIS_WARNING,
    LAPIS_ERROR,
};

struct lapis_diag *lapis_diag_create(void);
void lapis_diag_destroy(struct lapis_diag *diag); /* NULL allowed */

/* Adds a message. `loc.line` 0: it belongs to the file (or, without file, to the run) as a whole. Strings are copied.
 * The same message at the same place is kept once. */
void lapis_error(struct lapis_diag *diag, struct lapis_loc loc, const char *format, ...) HIRA_PRINTF(3, 4);
void lapis_warning(struct lapis_diag *diag, struct lapis_loc loc, const char *format, ...) HIRA_PRINTF(3, 4);

/* Belong to the message added last, wherever it is sorted to: a further place, and advice in one line. */
void lapis_note(struct lapis_diag *diag, struct lapis_loc loc, const char *format, ...) HIRA_PRINTF(3, 4);
void lapis_hint(struct lapis_diag *diag, const char *format, ...) HIRA_PRINTF(2, 3);

size_t lapis_diag_errors(const struct lapis_diag *diag);
size_t lapis_diag_warnings(const struct lapis_diag *diag);

/* Appends all messages, sorted by file (in order of first mention), line and column, each with its source line and a
 * caret. */
void lapis_diag_print(struct lapis_diag *diag, struct hira_text *out, bool colour);

/* The one of `candidates` that `word` is likely a misspelling of, or NULL. */
const char *lapis_did_you_mean(const char *word, const char *const *candidates, size_t n_candidates);

#endif
