/*
 * Tokens to tree. Knows syntax only: whether a name exists, or an annotation makes sense for its type, is the
 * resolver's.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#ifndef HIRA_LAPIS_PARSER_H
#define HIRA_LAPIS_PARSER_H

#include "lapis/ast.h"

/* Never NULL: what could not be understood is reported in `diag` and left out. */
struct lapis_file *lapis_parse(struct hira_pool *pool, const struct lapis_source *source, struct lapis_diag *diag);

/* The characters of a string literal argument, without quotes and with its simple escapes done; NULL if it is none. */
const char *lapis_unquote(struct hira_pool *pool, const char *literal);

#endif
