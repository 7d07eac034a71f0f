/* What the files of the emitter share.
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef HIRA_EMIT_PRIVATE_H
#define HIRA_EMIT_PRIVATE_H

#include "base/pool.h"
#include "base/text.h"
#include "emit/emit.h"

struct emit {
    const struct lapis_model *model;
    struct lapis_diag *diag;
    struct hira_pool *pool;
    struct hira_text *out;
    const char *file;      /* what `out` will be called: for #line after verbatim code */
    unsigned indent;
    const struct lapis_function *function; /* now emitted */
};

/* A line at the current indentation. */
void emit_line(struct emit *e, const char *format, ...) HIRA_PRINTF(2, 3);
void emit_blank(struct emit *e);
/* Text from the pool. */
const char *emit_format(struct emit *e, const char *format, ...) HIRA_PRINTF(2, 3);
/* The spec's own C, between #line directives. */
void emit_code(struct emit *e, const struct lapis_code *code);
void emit_head(struct emit *e, const char *what);

/* How many bytes the elements that `v` points to occupy: a C expression over parameters, safe against NULL. `at` is what names the
 * pointer. */
const char *emit_bytes(struct emit *e, const struct lapis_value *v, const char *at, const char *count);
const char *emit_element_size(struct emit *e, const struct lapis_value *v);
/* `expr` guarded by the pointers that it follows. */
const char *emit_guarded(struct emit *e, const char *expr);
/* Whether `expr` speaks of a parameter of this name. */
bool emit_mentions(const char *expr, const char *name);
/* `expr` in which the members of a record stand for themselves, with their place put before them. */
const char *emit_in_record(struct emit *e, const char *expr, const struct lapis_value *record, const char *at);

/* Contents that the vendor never parses: may be used in the arena, in place. */
bool emit_is_payload(const struct lapis_value *v);
/* out { element { allocates } } of a single handle: named by the guest. */
bool emit_is_new(const struct lapis_value *v);
bool emit_carried(const struct lapis_function *f);     /* has a record */
bool emit_is_void(const struct lapis_value *ret);
const char *emit_type(struct emit *e, const struct lapis_ctype *type); /* as a cast names it */
const char *emit_type_id(struct emit *e, const struct lapis_handle *h);
const char *emit_prototype(struct emit *e, const struct lapis_function *f, const char *name);
const char *emit_arguments(struct emit *e, const struct lapis_function *f);
const struct lapis_value *emit_error_param(const struct lapis_function *f);
/* Condition under which the vendor uses memory after the call has returned; NULL: never. */
const char *emit_until_done(struct emit *e, const struct lapis_function *f);
uint32_t emit_signature(struct emit *e, const struct lapis_function *f);
/* Condition that the call succeeded, over `ret` and the error parameter's value `error`. */
const char *emit_success(struct emit *e, const struct lapis_function *f, const char *error);
/* Condition that a query's selector is one of an answer's. */
const char *emit_asked(struct emit *e, const struct lapis_function *f, const struct lapis_answer *a);
/* "keys_NAME_answer2": which values of property lists in that answer are handles. */
const char *emit_answer_keys(struct emit *e, const struct lapis_function *f, const struct lapis_answer *a);
void emit_answer_functions(struct emit *e, const struct lapis_function *f);
bool emit_has_keys(const struct lapis_value *v);
void emit_keys_function(struct emit *e, const struct lapis_function *f, const struct lapis_value *v);
void emit_values_function(struct emit *e);

/* Handles inside a value: `format` is a line that turns one, of its place and its type, in place. */
bool emit_holds_handles(const struct lapis_value *v);
void emit_turn_handles(struct emit *e, const struct lapis_value *v, const char *at, const char *format, const struct lapis_value *record,
                       const char *record_at);

/* What the router shares (gate.c of the server): before the vendor's call, around its expression, after it; the function's flags. */
void emit_gate_before(struct emit *e, const struct lapis_function *f);
const char *emit_gate_call(struct emit *e, const struct lapis_function *f, const char *call);
void emit_gate_after(struct emit *e, const struct lapis_function *f);
const char *emit_gate_flags(const struct lapis_function *f);

/* Of a function that tells something: the parameter for what it tells, and the one for how much that is. */
struct emit_answer {
    const struct lapis_value *value, *size;
};

/* The call in the server, the vendor's or what stands for it, with other arguments for these and for how much room there is. */
const char *emit_asking(struct emit *e, const struct lapis_function *f, const struct emit_answer *a, const char *room, const char *value,
                        const char *size);
/* A function of ours with the parameters of the vendor's behind the call being served, `s`: "PREFIX_NAME". */
const char *emit_local_prototype(struct emit *e, const struct lapis_function *f, const char *prefix);
/* "seen_NAME": devices, as far as the tenant sees them. */
void emit_seen(struct emit *e, const struct lapis_function *f);

/* What values are called, for `hira trace`: tables. The expression for what functions return. */
const char *emit_value_names(struct emit *e);
/* What `hira trace` shows of a call whose arguments have been decoded and checked. */
void emit_trace(struct emit *e, const struct lapis_function *f);

/* What it takes to make objects anew (emit_replay.c): tells to what a call belongs; the functions of a type's contents, and their place in
 * its row; a function's row. */
void emit_belongs(struct emit *e, const struct lapis_function *f);
const char *emit_contents(struct emit *e, const struct lapis_handle *h);
const char *emit_recorded(const struct lapis_function *f);

/* First of all: see lower.c. */
void emit_lower(struct emit *e, struct lapis_model *model);
void emit_api_header(struct emit *e);
void emit_guest(struct emit *e);
void emit_server(struct emit *e);
void emit_map(struct emit *e);
void emit_fuzz(struct emit *e);
void emit_makefile(struct emit *e);
void emit_coverage(struct emit *e);

#endif
