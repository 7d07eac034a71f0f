/*
 * A specification as a tree of statements. The syntax is uniform - words, arguments in parentheses, then a semicolon or
 * a body in braces - so one kind of node serves; which words may stand where, with which arguments and body, is the
 * table in grammar.c, which the parser, the resolver, the formatter and the manual's test share.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#ifndef HIRA_LAPIS_AST_H
#define HIRA_LAPIS_AST_H

#include "lapis/lexer.h"

/* Where a statement stands. */
enum lapis_where {
    LAPIS_AT_FILE = 1 << 0,
    LAPIS_AT_API = 1 << 1,
    LAPIS_AT_TYPE = 1 << 2,
    LAPIS_AT_FUNCTION = 1 << 3, /* function, functions, prototype, internal, exported */
    LAPIS_AT_CONVENTION = 1 << 4,
    LAPIS_AT_VALUE = 1 << 5, /* parameter, return, element, field */
    LAPIS_AT_CALLBACK = 1 << 6,
    LAPIS_AT_IF = 1 << 7, /* behind if and else */
    LAPIS_AT_UNSUPPORTED = 1 << 8,
    LAPIS_AT_ANSWER = 1 << 9,
    LAPIS_AT_CONTENTS = 1 << 10,
};

enum lapis_word {
    LAPIS_W_NONE,
    /* items of a file */
    LAPIS_W_DIRECTIVE, /* #include; args[0]: "<CL/cl.h>" */
    LAPIS_W_INCLUDE,
    LAPIS_W_API,
    LAPIS_W_TYPE,
    LAPIS_W_CONVENTION,
    LAPIS_W_FUNCTIONS,
    LAPIS_W_FUNCTION,
    LAPIS_W_PROTOTYPE, /* also with internal or exported: see `declaration` */
    LAPIS_W_CALLBACK_TYPE,
    LAPIS_W_VALUES,
    LAPIS_W_UNSUPPORTED_SET,
    LAPIS_W_OMIT,
    LAPIS_W_SHARED_CODE,
    LAPIS_W_GUEST_CODE,
    LAPIS_W_SERVER_CODE,
    /* of an api */
    LAPIS_W_SETTING, /* name: the setting's */
    /* of types */
    LAPIS_W_HANDLE_TYPE,
    LAPIS_W_RETAIN,
    LAPIS_W_RELEASE,
    LAPIS_W_INVALID,
    LAPIS_W_DONE,
    LAPIS_W_GUEST_STATE,
    LAPIS_W_SERVER_STATE,
    LAPIS_W_GUEST_DESTROY,
    LAPIS_W_IMMUTABLE,
    LAPIS_W_PENDS,
    LAPIS_W_MAPPED,
    LAPIS_W_DISPATCH,
    LAPIS_W_DEVICES,
    LAPIS_W_CONTENTS, /* args[0]: how many bytes; the body: save and restore */
    LAPIS_W_SAVE,
    LAPIS_W_RESTORE,
    /* of types and functions */
    LAPIS_W_SUCCESS,
    LAPIS_W_FAILURE,
    LAPIS_W_FAILED,
    /* of functions */
    LAPIS_W_PARAMETER, /* `type`: only of this C type */
    LAPIS_W_RETURN,
    LAPIS_W_SYNC,
    LAPIS_W_ASYNC,
    LAPIS_W_ASYNC_ONCE,
    LAPIS_W_IF, /* args[0] condition, body, `other` */
    LAPIS_W_FAILS,
    LAPIS_W_IMPLICIT, /* args: name, value */
    LAPIS_W_ORDERED,
    LAPIS_W_FLUSH,
    LAPIS_W_DRAINS,
    LAPIS_W_CACHE,
    LAPIS_W_ANSWER, /* args: selectors; the body: how each is told */
    LAPIS_W_GUEST_REPLACE,
    LAPIS_W_GUEST_BEFORE,
    LAPIS_W_GUEST_AFTER,
    LAPIS_W_SERVER_REPLACE,
    LAPIS_W_SERVER_BEFORE,
    LAPIS_W_SERVER_AFTER,
    LAPIS_W_CONSUMES, /* `negated` is unused; `after` */
    LAPIS_W_DEFERRED,
    LAPIS_W_HOLDS,
    LAPIS_W_RECORDED, /* args: object, keys */
    LAPIS_W_ENUMERATES,
    LAPIS_W_UNSUPPORTED,
    LAPIS_W_EXTENSION,
    LAPIS_W_EXPORTED,
    LAPIS_W_VERSION,
    LAPIS_W_TABLE, /* args[0] condition, args[1] the vendor's; rows: slot: value */
    /* of answers */
    LAPIS_W_REFERENCES,
    LAPIS_W_MASKED,
    LAPIS_W_KNOWN,
    LAPIS_W_WORDS,
    LAPIS_W_RECORDS,
    LAPIS_W_REWRITTEN,
    /* of values */
    LAPIS_W_IN,
    LAPIS_W_OUT,
    LAPIS_W_INOUT,
    LAPIS_W_BUFFER,
    LAPIS_W_BYTES,
    LAPIS_W_FILLED,
    LAPIS_W_STREAM,
    LAPIS_W_ROWS,
    LAPIS_W_REGION,
    LAPIS_W_STRING,
    LAPIS_W_TERMINATED,
    LAPIS_W_PROPERTIES,
    LAPIS_W_ELEMENT,
    LAPIS_W_FIELD,
    LAPIS_W_UNION,
    LAPIS_W_HANDLE,
    LAPIS_W_ALLOCATES,
    LAPIS_W_DEALLOCATES,
    LAPIS_W_NULLABLE,
    LAPIS_W_ERROR,
    LAPIS_W_ALWAYS,
    LAPIS_W_QUERY,
    LAPIS_W_CALLBACK,
    LAPIS_W_USERDATA,
    LAPIS_W_OPAQUE,
    LAPIS_W_IGNORED,
    LAPIS_W_LIFETIME,
    LAPIS_W_FILES,
    /* of callbacks */
    LAPIS_W_POST,
    LAPIS_W_WAIT,
    LAPIS_W_ONCE,
    /* rows of a body */
    LAPIS_W_KEYS, /* type(args[0]): args[1..] */
    LAPIS_W_CASE, /* args[0]: args[1]; */
    LAPIS_W_COUNT
};

enum lapis_argument_kind {
    LAPIS_ARG_EXPR,   /* any balanced tokens */
    LAPIS_ARG_NAME,   /* one identifier */
    LAPIS_ARG_PATH,   /* identifier, or identifier.identifier */
    LAPIS_ARG_GLOB,   /* identifier with * and ? */
    LAPIS_ARG_STRING, /* one string literal */
    LAPIS_ARG_TYPE,   /* a C type */
};

enum lapis_body_kind {
    LAPIS_BODY_NONE,       /* ; */
    LAPIS_BODY_STATEMENTS, /* { ... } of `inside` */
    LAPIS_BODY_OPTIONAL,   /* ; or statements */
    LAPIS_BODY_CODE,       /* C between braces */
    LAPIS_BODY_KEYS,       /* ; or { type(T): A, B; } */
    LAPIS_BODY_CASES,      /* { name: value; } */
    LAPIS_BODY_LIST,       /* { A, B } : appended to the arguments */
};

/* Words of one group say the same kind of thing: a body may hold only one of them. */
enum lapis_group {
    LAPIS_G_MANY, /* may be repeated */
    LAPIS_G_SELF, /* once */
    LAPIS_G_DIRECTION,
    LAPIS_G_SHAPE,
    LAPIS_G_MODE,
    LAPIS_G_LIFE,
    LAPIS_G_TELLING,
};

#define LAPIS_ANY 255 /* arguments: no upper limit */

struct lapis_grammar {
    enum lapis_word word;
    const char *spelling;        /* "guest replace" */
    unsigned where;              /* enum lapis_where bits */
    unsigned min_args, max_args; /* max 0: no parentheses; min 0 with max > 0: parentheses may be left out */
    enum lapis_argument_kind argument;
    enum lapis_body_kind body;
    unsigned inside; /* enum lapis_where of the body's statements */
    enum lapis_group group;
    bool negatable;    /* "not always;" takes back what a more general rule said */
    const char *usage; /* for hints: "buffer(expr);" */
};

/* The row for a spelling at a place, or NULL. `ret_elsewhere`: a row with that spelling at another place, or NULL. */
const struct lapis_grammar *lapis_grammar_find(const char *spelling, unsigned where,
                                               const struct lapis_grammar **ret_elsewhere);
const struct lapis_grammar *lapis_grammar_row(size_t i);            /* NULL past the end */
const struct lapis_grammar *lapis_grammar_of(enum lapis_word word); /* NULL for rows of bodies and the like */
const char *lapis_where_name(unsigned where);                       /* "a function" */

struct lapis_argument {
    const char *text; /* one line, without comments */
    struct lapis_loc loc;
    size_t first, end; /* tokens of the node's source */
};

struct lapis_param {
    const char *name; /* NULL: none given */
    const char *text; /* "const cl_event *list" */
    struct lapis_loc loc, name_loc;
    size_t first, end;
};

struct lapis_node {
    enum lapis_word word;
    const struct lapis_grammar *grammar; /* NULL where the word has no row */
    struct lapis_loc loc;
    const struct lapis_source *source;
    size_t first, end;  /* tokens [first, end), closing brace or semicolon included */
    size_t open, close; /* tokens of the body's braces, 0 without */
    const char *name;   /* FUNCTION, PROTOTYPE, API, SETTING */
    struct lapis_loc name_loc;
    struct lapis_argument *args;
    size_t n_args;
    const char *type; /* PARAMETER of a convention: C type, or NULL */
    struct lapis_loc type_loc;
    bool negated, after;
    bool broken; /* an argument made no sense: reported, and left out */
    struct lapis_node **body;
    size_t n_body;
    bool has_body;
    struct lapis_code code;
    struct lapis_node *other;                /* IF: else */
    enum lapis_declaration_kind declaration; /* PROTOTYPE */
    const char *text;                        /* PROTOTYPE: the declaration, verbatim */
    struct lapis_loc text_loc;
    struct lapis_param *params;
    size_t n_params;
};

struct lapis_file {
    const struct lapis_source *source;
    struct lapis_node **items;
    size_t n_items;
};

#endif
