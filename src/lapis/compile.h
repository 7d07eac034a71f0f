/*
 * The compiler's front end as one call: specification in, model and diagnostics out.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#ifndef HIRA_LAPIS_COMPILE_H
#define HIRA_LAPIS_COMPILE_H

#include "lapis/diag.h"
#include "lapis/model.h"

/* What the command line adds to the specification: searched before, and defined after, what it says itself. */
struct lapis_options {
    const char *const *include_dirs; /* -I */
    size_t n_include_dirs;
    const char *const *defines; /* -D: "NAME=value" */
    size_t n_defines;
};

/*
 * Reads the specification at `path` and all that it includes, and its headers. Never fails silently: whatever is wrong
 * stands in `diag`, and the model is good for emitting only when lapis_diag_errors() is 0 afterwards. With errors the
 * model holds what was understood (`hira spec explain` and `coverage` show it). NULL only when the file could not be
 * read. Writes nothing. Free with lapis_model_destroy(). `options` may be NULL.
 */
struct lapis_model *lapis_compile(const char *path, const struct lapis_options *options, struct lapis_diag *diag);

/* A specification's text in its canonical layout, comments kept. 0, or -EINVAL when it does not parse (see `diag`).
 * `file` is what messages call it. */
int lapis_format(const char *file, const char *text, size_t size, struct hira_text *out, struct lapis_diag *diag);

#endif
