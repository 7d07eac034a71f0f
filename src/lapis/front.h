/*
 * What the passes of the front end share: the model under construction beside the trees it is made from. Private to
 * src/lapis.
 *
 * Passes, in order: lapis_check_bodies (what can be said of the trees alone), lapis_declare (what the import needs to
 * know), lapis_import, lapis_omit, lapis_tables, lapis_infer, lapis_resolve (the spec's annotations, the more particular over the
 * more general), lapis_check (nothing unsettled, nothing contradictory), lapis_replay (what can be made anew).
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#ifndef HIRA_LAPIS_FRONT_H
#define HIRA_LAPIS_FRONT_H

#include "base/pool.h"
#include "lapis/ast.h"
#include "lapis/diag.h"
#include "lapis/model.h"
#include "lapis/parser.h"

struct lapis_omission { /* what omit() took out, so that naming it gets a better answer than "unknown" */
    const char *name;
    struct lapis_loc loc;
};

struct lapis_front {
    struct hira_pool *pool; /* the model's */
    struct lapis_diag *diag;
    struct lapis_model *model;
    bool imported; /* all headers and declarations were understood */
    bool whole; /* the spec has an api item: it answers for all functions of the header, not for those it names only */
    struct lapis_node **items; /* of all files, in the order in which they are read */
    size_t n_items;
    struct lapis_omission *omitted;
    size_t n_omitted;
    const struct lapis_node **used; /* globs and parameter() blocks that matched something */
    size_t n_used;
};

void lapis_check_bodies(struct lapis_front *front);
void lapis_declare(struct lapis_front *front);
void lapis_omit(struct lapis_front *front);
void lapis_tables(struct lapis_front *front);
void lapis_resolve(struct lapis_front *front);
void lapis_check(struct lapis_front *front);
void lapis_replay(struct lapis_front *front);

/* ---- shared helpers ---- */

bool lapis_glob(const char *pattern, const char *name); /* * and ? */
bool lapis_has_wildcard(const char *pattern);
bool lapis_glob_any(const struct lapis_node *node, const char *name); /* any of the node's arguments */
bool lapis_says_word(const char *text, const char *word);             /* as an identifier of its own */

/* The text with each identifier equal to `from` replaced; the same pointer when there is none. Members (.x, ->x) stay.
 */
const char *lapis_rename_word(struct hira_pool *pool, const char *text, const char *from, const char *to);

const char *lapis_describe_type(struct hira_pool *pool, const struct lapis_ctype *type); /* "const char *, a pointer" */

/* Names the expression may use, gathered by the caller; reports misspelt and unknown ones at their place. */
struct lapis_scope {
    const char *const *names;
    size_t n_names;
    const char *of; /* "clFinish"; NULL: no function's */
};
void lapis_check_names(struct lapis_front *front, const struct lapis_node *node, const struct lapis_argument *arg,
                       const struct lapis_scope *scope);

/* values.c: applies a body of value annotations. */
struct lapis_target {
    struct lapis_front *front;
    struct lapis_function *function; /* NULL in callbacks */
    struct lapis_callback *callback; /* NULL in functions */
    struct lapis_value *params;      /* siblings by name */
    size_t n_params;
    const char *what;                 /* "parameter 'x' of clFoo": for messages */
    const char *name;                 /* of the outermost value, for {name} */
    const struct lapis_value *record; /* enclosing struct, whose fields expressions may name; or NULL */
    bool general;                     /* from a convention or functions(): silently leaves out what does not fit */
};
void lapis_apply_value(const struct lapis_target *target, struct lapis_value *value, const struct lapis_node *body);
struct lapis_value *lapis_param(struct lapis_value *params, size_t n, const char *name); /* or NULL */
struct lapis_callback *lapis_value_callback(struct lapis_front *front, struct lapis_value *value, const char *function);

#endif
