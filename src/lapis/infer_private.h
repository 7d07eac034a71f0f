/*
 * What the parts of the inference share: infer.c (the driver, elements, records, callbacks), infer_words.c (names as
 * words), and the rules themselves by their kind of evidence: infer_types.c, infer_names.c, infer_docs.c. Only they
 * include this.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#ifndef HIRA_LAPIS_INFER_PRIVATE_H
#define HIRA_LAPIS_INFER_PRIVATE_H

#include "base/pool.h"
#include "base/util.h"
#include "lapis/infer.h"

struct infer {
    struct lapis_model *model;
    struct hira_pool *pool;
    struct lapis_diag *diag;
    bool const_correct; /* the header says const where it means it, so that its absence means something */
    bool ranges;        /* its documentation gives array bounds, so that their absence means "one" */
    const struct infer_words *allocators; /* words of what hands out plain addresses: "svm" of clSVMAlloc */
    size_t n_allocators;
};

/* ---- names as words: "num_events_in_wait_list", "pDeviceCount" ---- */

#define INFER_WORDS_MAX 12
#define INFER_WORD_SIZE 24 /* longer ones are cut: only comparisons need them */

struct infer_words {
    char words[INFER_WORDS_MAX][INFER_WORD_SIZE]; /* lower case, singular */
    bool plural[INFER_WORDS_MAX];
    size_t n;
};

struct infer_words infer_split(const char *name);
bool infer_has_word(const struct infer_words *words, const char *word);
bool infer_ends_with(const struct infer_words *words, const char *word);
/* The name as a noun: without Hungarian marks (p, ph, pp), "list", "array", "ptr", and the articles of directions (in,
 * out). */
struct infer_words infer_noun(const char *name);
bool infer_is_plural(const char *name);
bool infer_is_plural_value(
    const struct lapis_value *value); /* by its name, unless that names one thing in the plural */
bool infer_same(const struct infer_words *a, const struct infer_words *b);
bool infer_within(const struct infer_words *inner,
                  const struct infer_words *outer); /* all of inner's are in outer; not empty */
bool infer_share(const struct infer_words *a, const struct infer_words *b);
bool infer_one_of(const char *word, const char *const *list); /* list ends with NULL */

enum infer_verb {
    INFER_OTHER,
    INFER_CREATE,
    INFER_GET,
    INFER_READ,
    INFER_SET,
    INFER_ENQUEUE,
    INFER_RETAIN,
    INFER_RELEASE,
    INFER_DESTROY,
};

/* The first verb in a function's name, and (ret_object, may be NULL) the words that are neither verb nor version. */
enum infer_verb infer_verb_of(const char *function, const char **ret_word, struct infer_words *ret_object);

/* Whether there is nothing but the API's prefix and a version beside the verb: "a_close", "a_close_v2". */
bool infer_verb_alone(const char *function);

/* The verb behind the first one; ret_word is set only when there is one. */
enum infer_verb infer_second_verb(const char *function, const char **ret_word);

/* What a name that counts something counts. */
enum infer_unit { INFER_NO_COUNT, INFER_ELEMENTS, INFER_SIZE /* bytes, or elements: by the pointee */, INFER_BYTES };

struct infer_count {
    enum infer_unit unit;
    struct infer_words what; /* empty: a bare "count", "size" */
    bool anything;           /* `what` is a word like "entries": bare where no pointer has that name */
};

struct infer_count infer_count_of(const char *name);
bool infer_is_count_prefixed(const char *name); /* "num_x", "number_of_x", "nX": a count whatever comes after */

/* ---- scopes: values that may speak of each other ---- */

struct infer_scope {
    struct infer *infer;
    struct lapis_function *function; /* NULL in callbacks and records */
    const char *owner;               /* name of the function, callback or record */
    struct lapis_value *values;
    size_t n;
    enum infer_verb verb;
    const char *verb_word;
    bool in_callback, in_record;
    unsigned depth;                   /* records within records */
    const struct lapis_ctype *record; /* whose fields these are, or NULL */
    const struct infer_scope *outer;  /* of the record */
};

enum infer_stage { INFER_DIRECTION, INFER_SHAPE, INFER_FACT };

/* What a rule may be asked about. */
enum infer_at { INFER_PARAMETER = 1, INFER_RESULT = 2, INFER_FIELD = 4 };

/* DIRECTION rules see pointers and settle their direction, SHAPE rules see unsettled values and settle their kind: the
 * first that returns true ends it. FACT rules see every value, and all of them are asked. Rules go one after the other
 * over all values of a scope, so a rule sees what those before it have settled of the siblings. */
struct infer_rule {
    const char *name, *description;
    enum infer_stage stage;
    unsigned at; /* enum infer_at bits */
    bool (*apply)(struct infer_scope *scope, struct lapis_value *value);
};

/* By evidence; the late ones are for what neither documentation nor names have settled. Each ends with a row without
 * name. */
extern const struct infer_rule infer_type_rules[], infer_doc_rules[], infer_name_rules[], infer_late_doc_rules[],
    infer_late_type_rules[];

/* The table, in order of application; NULL past the end. */
const struct infer_rule *infer_rule(size_t i);

/* ---- what rules use: infer.c ---- */

bool infer_is_data_pointer(const struct lapis_value *value);
bool infer_points_to(const struct lapis_value *value, enum lapis_ctype_kind kind);
bool infer_is_bytes(const struct lapis_ctype *type); /* void, char, and integers of one byte */
bool infer_is_integer(const struct lapis_value *value);
/* Adds a reason whose evidence is `evidence` (a sibling, or the value itself). */
#define infer_because(scope, value, rule, evidence, ...)                                                               \
    lapis_value_because((scope)->infer->pool, (value), (rule), (evidence)->loc, __VA_ARGS__)

/* Settles the value as `count` elements (bytes) and infers its element. */
void infer_buffer(struct infer_scope *scope, struct lapis_value *value, const char *count, bool bytes);
void infer_string(struct infer_scope *scope, struct lapis_value *value, const char *count);
void infer_callback(struct infer_scope *scope, struct lapis_value *value);
void infer_turn(struct lapis_value *value, enum lapis_direction direction);           /* the elements with it */
size_t infer_index(const struct infer_scope *scope, const struct lapis_value *value); /* scope->n when not among them */
struct lapis_value *infer_sibling(const struct infer_scope *scope, const char *name);
const char *infer_dereference(struct infer_scope *scope, const struct lapis_value *pointer); /* "(p ? *p : 0)" */

/* infer_names.c */
bool infer_is_counted(struct infer_scope *scope, const struct lapis_value *value); /* a sibling by value counts it */
bool infer_is_scalar_name(
    const struct lapis_value *value);        /* the name of one returned number: "size_ret", "num_devices" */
bool infer_is_list_name(const char *name);   /* "counts", "values_ret": plural, and no number of anything */
bool infer_is_destination(const char *name); /* "dst", "dest", "out_x", "result" */

/* A number that nothing else goes by and that may say how much of `value` may be written; NULL: none. */
struct lapis_value *infer_room(struct infer_scope *scope, const struct lapis_value *value);

/* infer_docs.c: what the tags in front of a value's documentation say. */
struct infer_tags {
    bool explicit_direction;
    enum lapis_direction direction;
    bool optional;
    const char *range;   /* "*pCount", upper bound of [range(0, n)] or of a SAL macro; NULL: none */
    const char *written; /* SAL: so many are written */
    bool bytes;          /* the range is in bytes */
    bool string;
    bool one;         /* SAL says that it is one object */
    const char *what; /* the tag as text, for reasons */
};

struct infer_tags infer_tags_of(struct infer *infer, const struct lapis_value *value);
bool infer_doc_says(const struct lapis_value *value,
                    const char *const *phrases);          /* any of, case folded; ends with NULL */
bool infer_doc_bytes(const struct lapis_value *value);    /* "in bytes", "size of" */
bool infer_doc_elements(const struct lapis_value *value); /* "number of" */

#endif
