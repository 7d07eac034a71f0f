/*
 * The API model: what the compiler knows of an API once the header has been read, rules have inferred what they can,
 * and the specification has said the rest. The front end (lexer, parser, import, infer, resolve, check) fills it;
 * the emitter and the `hira spec` verbs read it. Nothing here knows the syntax of Lapis, nothing knows generated C.
 *
 * Everything is allocated from model->pool and lives until lapis_model_destroy(): no member is freed alone, and
 * strings may be shared. Arrays are plain pointer + count. One thread at a time.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#ifndef HIRA_LAPIS_MODEL_H
#define HIRA_LAPIS_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct hira_pool;

/* A place in a source text. `file` is shared, line and column count from 1; line 0 means "nowhere". */
struct lapis_loc {
    const char *file;
    unsigned line, column;
};

/* Why a fact is believed: the rule ("type.const-pointer", "name.count-sibling", "doc.returned", "spec", ...), a sentence
 * for people, and where its evidence stands (header line for inference, spec line for annotations). */
struct lapis_reason {
    const char *rule;
    const char *text;
    struct lapis_loc loc;
};

/* ---- C types, as the header has them ---- */

enum lapis_ctype_kind {
    LAPIS_VOID,
    LAPIS_INT,         /* any integer, bool, char and enum type; see `is_signed`, `size`, `is_enum` */
    LAPIS_FLOAT,       /* float and double */
    LAPIS_HANDLE,      /* a type that the model lists in `handles` (pointer to incomplete struct, or declared in the spec) */
    LAPIS_POINTER,     /* see `pointee` */
    LAPIS_FUNCTION,    /* pointer to function; see `ret`, `args` */
    LAPIS_STRUCT,
    LAPIS_UNION,
    LAPIS_ARRAY,       /* constant array: `length` elements of `pointee` */
    LAPIS_OPAQUE,      /* incomplete record behind a pointer, va_list, anything whose bytes cannot be known */
};

struct lapis_field {
    const char *name;
    struct lapis_ctype *type;
    size_t offset; /* bytes */
    const char *doc;
};

struct lapis_ctype {
    enum lapis_ctype_kind kind;
    const char *spelling;  /* as written, e.g. "const cl_event *"; with a name put after it declares a variable, but for
                              function pointers and arrays: use lapis_ctype_declare() */
    const char *name;      /* spelling without const: "cl_event", "unsigned int", "struct foo" */
    const char *canonical; /* typedefs resolved */
    size_t size;           /* bytes; 0 where unknown */
    size_t align;
    bool is_const;         /* this level is const */
    bool is_signed, is_enum, is_char;
    struct lapis_ctype *pointee; /* POINTER, ARRAY */
    size_t length;               /* ARRAY */
    struct lapis_field *fields;  /* STRUCT, UNION */
    size_t n_fields;
    struct lapis_ctype *ret;     /* FUNCTION */
    struct lapis_field *args;    /* FUNCTION: names may be NULL */
    size_t n_args;
    struct lapis_handle *handle; /* HANDLE */
};

/* Named values of a type. */
struct lapis_constants {
    const char *type;   /* as lapis_ctype.name or canonical has it; "": of what functions return */
    bool flags;         /* values are sums of them */
    const char **names;
    size_t n_names;
};

/* ---- handles ---- */

struct lapis_code { /* C taken verbatim from the spec */
    const char *text; /* NULL: none; without the outer braces */
    struct lapis_loc loc;
};

/* What becomes of a type's objects where others take their place: after a server has gone, on another host. */
enum lapis_anew {
    LAPIS_ANEW_NOT,     /* nothing brings them back */
    LAPIS_ANEW_MADE,    /* by the calls that made them what they are, made again */
    LAPIS_ANEW_FOUND,   /* they were there before, and are found again */
    LAPIS_ANEW_COMMAND, /* they stand for commands, which have ended by then */
    LAPIS_ANEW_NEVER,   /* there are none: no call that is carried names such objects */
};

/* A type whose values name objects that live on the other side. */
struct lapis_handle {
    const char *name;          /* typedef name, "cl_event" */
    unsigned index;            /* 1.. in order of declaration; 0 is "no type" */
    struct lapis_ctype *ctype; /* the C type */
    struct lapis_function *retain, *release; /* NULL: not reference counted */
    const char *invalid;       /* C expression returned by a call that is handed a dead or foreign handle; NULL: failure value */
    struct lapis_code done;    /* server: expression in `handle`, nonzero once the command it stands for is complete or failed */
    struct lapis_code guest_state, server_state; /* struct members kept beside each object, on that side */
    struct lapis_code guest_destroy;  /* guest: runs when the last reference goes, before the release crosses; sees `object`, `state` */
    const char *devices;       /* they are the vendor's devices: the server's function that names each; NULL: they are none */
    bool immutable;            /* no call changes it: asynchronous calls naming it need not be ordered against each other */
    bool pends;                /* calls that name it may leave work pending in it: the guest knows whether any is left */
    bool mapped;               /* the application may map its contents: the guest keeps where they lie (`host` in its state) */
    bool dispatch;             /* its guest objects begin with the API's dispatch table pointer */
    const char *contents;      /* server: C expression in `handle`: bytes of state that calls alone do not bring back; NULL: none */
    struct lapis_code save, restore; /* server, with `contents`: copies them out and in; see `handle`, `data`, `size` */
    struct lapis_loc contents_loc;
    enum lapis_anew anew;      /* after lapis_replay */
    struct lapis_reason anew_why;
    struct lapis_reason why;
    struct lapis_loc loc;
};

/* ---- values: parameters, return values, elements, fields ---- */

enum lapis_direction { LAPIS_IN = 1, LAPIS_OUT = 2, LAPIS_INOUT = 3 };

enum lapis_value_kind {
    LAPIS_V_UNSETTLED, /* a pointer of which too little is known: an error after check */
    LAPIS_V_SCALAR,    /* passed by its bytes: integers, floats, enums, plain structs without pointers */
    LAPIS_V_HANDLE,
    LAPIS_V_BUFFER,    /* pointer to `count` elements (bytes when `unit_bytes`); see `element` */
    LAPIS_V_STRING,    /* NUL-terminated, or `count` bytes if count is set */
    LAPIS_V_LIST,      /* pointer to elements, ended by one equal to `terminator` */
    LAPIS_V_PROPERTIES,/* a LIST of key, value pairs ended by a key equal to `terminator`; handles by `keys` */
    LAPIS_V_RECORD,    /* struct or union passed by value or as element, with fields that need care: see `fields` */
    LAPIS_V_CALLBACK,  /* pointer to function of the application */
    LAPIS_V_USERDATA,  /* the application's cookie of the callback parameter `companion` */
    LAPIS_V_TOKEN,     /* a pointer whose value alone is passed, never followed (`opaque`) */
    LAPIS_V_NOTHING,   /* not carried; the other side sees NULL or 0 (`ignored`) */
};

enum lapis_lifetime {
    LAPIS_LIFE_CALL,    /* until the call returns */
    LAPIS_LIFE_EVENT,   /* until the handle made by parameter `until` is done */
    LAPIS_LIFE_OBJECT,  /* as long as the object made by the call lives */
    LAPIS_LIFE_STATIC,
};

/* For LIST/PROPERTIES and query results: under key `key` the value is a handle (or an array of them). */
struct lapis_key {
    const char *key; /* C constant expression, "CL_CONTEXT_PLATFORM" */
    struct lapis_handle *handle;
    struct lapis_loc loc;
};

struct lapis_value {
    enum lapis_value_kind kind;
    const char *name;          /* parameter or field name as expressions of the spec use it; NULL for elements */
    struct lapis_ctype *ctype;
    enum lapis_direction direction;
    bool nullable;             /* informational: NULL always passes as NULL */
    bool spec_direction;       /* the spec, not a rule, gave its direction */
    const char *error_success, *error_failure; /* is_error: values that mean success and "cannot be carried"; NULL: zero, none */
    bool is_error;             /* out parameter that receives the failure value when the call cannot be carried (errcode_ret) */
    bool always;               /* out value is written back even when the call reports failure */
    bool allocates;            /* HANDLE (often as element of an out buffer): the call makes a new object, guest-named */
    bool deallocates;          /* HANDLE: the object is gone after the call */
    bool unit_bytes;           /* BUFFER: count is in bytes */
    const char *count;         /* C expression over parameter names; for elements of elements `index` names the outer index */
    const char *filled;        /* out BUFFER: C expression: elements (bytes) really written; NULL: all of them */
    const char *terminator;    /* LIST, PROPERTIES: C expression, default "0" */
    struct lapis_key *keys;    /* PROPERTIES; and query results: BUFFER with `selector` */
    size_t n_keys;
    const char *const *rows;   /* out BUFFER: six C expressions: what is written of it, see docs/lapis.md; NULL: all */
    const char *stream;        /* BUFFER: C expression: large memory moves while the (synchronous) call is served; NULL: never */
    const char *selector;      /* query result: the parameter whose value chooses among model->values */
    struct lapis_handle *handle; /* HANDLE */
    struct lapis_value *element; /* BUFFER, LIST */
    struct lapis_value *fields;  /* RECORD */
    size_t n_fields;
    const char *discriminant;  /* RECORD that is a union: C expression; fields carry `when` */
    const char *when;          /* union member: value of the discriminant under which it is the live one */
    struct lapis_callback *callback; /* CALLBACK */
    const char *companion;     /* CALLBACK: its userdata parameter; USERDATA: its callback parameter */
    const char *files;         /* STRING: an options string: the flag ("-I") whose directories are shipped; NULL: none */
    enum lapis_lifetime lifetime;
    const char *until;         /* LIFE_EVENT: name of the out parameter with the handle */
    struct lapis_reason *reasons; /* every fact above has one; the last about the same fact wins */
    size_t n_reasons;
    const char *question;      /* UNSETTLED: what the spec has to answer */
    const char *doc;           /* what the header's documentation says of it, tags first: "[in,out][optional] ...", or NULL */
    struct lapis_loc doc_loc;
    const char *implicit;      /* parameters that the prototype has not, behind those that it has: their value, a C expression of
                                  the guest over the parameters before */
    const char *source;        /* parameters: as the header spells it, macros (SAL) included; NULL when a macro hides it */
    struct lapis_loc loc;      /* in the header */
};

/* A function type that the application passes in and the other side calls. */
struct lapis_callback {
    const char *name;          /* of its own, unique: "clSetEventCallback.pfn_notify" */
    unsigned index;            /* 0.. */
    struct lapis_ctype *ctype; /* FUNCTION */
    struct lapis_value *args;
    size_t n_args;
    struct lapis_value ret;
    bool waits;                /* the other side waits for it to return (`wait`); otherwise it is posted */
    bool once;                 /* called at most once: forgotten after the first call */
    struct lapis_loc loc;
};

/* ---- functions ---- */

/* One way of a call. The first whose condition holds is taken; a list ends with one without condition. */
enum lapis_mode { LAPIS_SYNC, LAPIS_ASYNC };

struct lapis_policy {
    const char *condition; /* C expression, or NULL: always */
    enum lapis_mode mode;
    const char **once;     /* ASYNC: expressions; the first call with equal values is sync, later ones async. NULL: always async */
    size_t n_once;
    struct lapis_loc loc;
};

struct lapis_fails { /* an error that native decides at once, decided in the guest */
    const char *condition, *code;
    struct lapis_loc loc;
};

enum lapis_order {
    LAPIS_ORDER_OBJECTS,  /* after what touched the objects it names (default) */
    LAPIS_ORDER_ALL,      /* after every earlier returned call of the application */
    LAPIS_ORDER_CREATION, /* after the creation of the objects it names only (a call that unblocks others) */
};

/* What a call takes of what a tenant has a share of: "bytes" that are moved, device "memory", device "time". */
struct lapis_resource {
    const char *name, *amount;
    const char *code; /* memory: what a call returns, or its error is, that would take too much; NULL: its failure value */
    bool after; /* known only after the call */
    struct lapis_loc loc;
};

/* What a query is told under some selectors, instead of just what the vendor says. */
enum lapis_telling {
    LAPIS_TELL_REFERENCES, /* the vendor's count of references, with those of the application that the guest keeps */
    LAPIS_TELL_MASKED,     /* only these bits of it: `expr` */
    LAPIS_TELL_KNOWN,      /* while `condition` holds the guest knows: the value `expr`, or `bytes` of them at it */
    LAPIS_TELL_WORDS,      /* a list of words without those that the api hides */
    LAPIS_TELL_RECORDS,    /* the same of an array of `expr`, structs whose member `condition` is the name */
    LAPIS_TELL_REWRITTEN,  /* what the server makes of it: `expr` is its new size */
    LAPIS_TELL_PROPERTIES, /* key, value pairs ended by `expr`, in which `keys` say which values are handles */
};

struct lapis_answer {
    enum lapis_telling telling;
    const char **selectors;
    size_t n_selectors;
    const char *expr, *condition, *bytes;
    struct lapis_key *keys;
    size_t n_keys;
    bool general; /* from a rule for several functions: of no concern to those that ask nothing */
    struct lapis_loc loc;
};

/* To which object a call belongs, so that who makes that anew makes the call again. */
enum lapis_recorded {
    LAPIS_RECORDED_NOT,
    LAPIS_RECORDED_MADE,   /* to what it makes */
    LAPIS_RECORDED_OBJECT, /* to the handle that `object` names */
    LAPIS_RECORDED_ALL,    /* to none: to the application */
};

#define LAPIS_KEYS_MAX 4 /* server.h's HIRA_KEYS_MAX: an argument's number, a selector, and what tells kinds of state apart */

struct lapis_record_key {
    const char *text; /* C expression over the parameters */
    struct lapis_loc loc;
};

struct lapis_recording {
    enum lapis_recorded of;
    const char *object; /* as the spec says it: a parameter, "ret", "all"; NULL: what the call makes */
    struct lapis_record_key *keys; /* a later call for the object with equal ones takes the place of this one */
    size_t n_keys;
    bool said, general; /* by the spec; by a rule for several functions */
    struct lapis_loc object_loc;
    struct lapis_reason why;
};

struct lapis_function {
    const char *name;
    unsigned index;              /* 0.. in the function table, in order of declaration */
    struct lapis_value ret;      /* ret.ctype->kind VOID: none */
    struct lapis_value *params;
    size_t n_params;
    const char *version;         /* symbol version node, "OPENCL_1.2", or NULL */
    bool exported;               /* a symbol of the guest library */
    bool extension;              /* handed out by address only: the server looks it up through the API's getter */
    bool internal;               /* declared in the spec, exists only between the two halves: guest code calls it, `server_replace` is it */
    bool unsupported;            /* never carried: returns unsupported_code */
    const char *unsupported_code;/* NULL: failure value */
    const char *success;         /* C expression over `ret`, nonzero when the call succeeded; NULL: always succeeds */
    const char *success_value;   /* what an asynchronous call returns at once: the value that success(value) named, or NULL */
    const char *failure;         /* C expression returned when the call cannot be carried; NULL: zero */
    struct lapis_policy *policies; /* never empty after resolve */
    size_t n_policies;
    struct lapis_fails *fails;
    size_t n_fails;
    enum lapis_order order;
    bool flush;                  /* pushes what is batched before it (remote channels) */
    bool idle;                   /* leaves nothing pending in what it names */
    size_t drains;               /* 1 + index of the parameter in which nothing pends once the call has succeeded; 0: none */
    const char *drains_when;     /* only if this holds; NULL: always */
    bool cached;                 /* answers never change for the same object and selector: asked once */
    const char **cache_keys;     /* selectors cached; n_cache_keys 0 with cached: all */
    size_t n_cache_keys;
    const char **changing;       /* selectors that are not, whatever cache_keys says */
    size_t n_changing;
    struct lapis_answer *answers;
    size_t n_answers;
    const char *slot;            /* a function of a table that the API hands out: C expression of the vendor's, "get_table(1)->sum"; or NULL */
    const char *table;           /* of the same: "get_table(1)" */
    bool retains, releases;      /* is the retain / release verb of params[0].handle: counts are kept in the guest */
    struct lapis_code failed;    /* guest: runs when the guest decides that the call ends with an error; sees `code` */
    struct lapis_code guest_replace, guest_before, guest_after;
    struct lapis_code server_replace, server_before, server_after;
    const char *server_function; /* server_replace is a call of this function of the spec's own, which also gets `s`; NULL: other code */
    struct lapis_resource *resources;
    size_t n_resources;
    const char *const *deferred; /* queue, count and list of what it waits for, its event: the gate may add to the list. NULL: it may not */
    const char *holds;           /* a handle whose memory the object that it makes keeps, or NULL */
    struct {                     /* it lists devices, of which a tenant may not see all */
        const char *list;        /* the parameter that receives them; NULL: it does not */
        const char *none, *more; /* what it returns when there is none; when not all had room, or NULL: that is no error */
        struct lapis_loc loc;
    } enumerates;
    struct lapis_recording recorded;
    bool variadic;               /* ends with "...": cannot be carried as it stands */
    bool local;                  /* guest_replace does without the carried call (its code never says remote_NAME): nothing crosses */
    bool annotated;              /* the spec says something of this function by name */
    bool own;                    /* an item of the spec is about this function alone */
    const char *doc;
    struct lapis_loc loc;        /* header */
    struct lapis_loc spec_loc;   /* the annotation nearest to it, or line 0 */
    const char *header;          /* file as the #include named it */
};

/* A struct of function pointers that the API wants objects to begin with (cl_icd_dispatch), or hands out (OrtApi). */
struct lapis_table {
    const char *name;     /* "cl_icd_dispatch" : C type name */
    const char *header;   /* "CL/cl_icd.h" */
    const char **slots;   /* member names in order; a member without function of that name stays NULL */
    size_t n_slots;
};

struct lapis_setting { const char *name, *value; struct lapis_loc loc; }; /* api { name "value"; } */

/*
 * A C declaration that the spec itself contains. The import parses them behind the headers, in the same translation unit.
 * A PROTOTYPE restates what a header declares: it is parsed under another name (so that two differing ones do not clash) and
 * its `function` is free-standing, with the spec's types and parameter names; the resolver compares the two.
 */
enum lapis_declaration_kind { LAPIS_PROTOTYPE, LAPIS_INTERNAL, LAPIS_EXPORTED };

struct lapis_declaration {
    enum lapis_declaration_kind kind;
    const char *name;     /* "clFinish" */
    const char *text;     /* verbatim, newlines included, without "internal"/"exported" and ";": "cl_int clFinish(cl_command_queue q)" */
    struct lapis_loc loc; /* of the first character of `text` */
    struct lapis_function *function; /* import: INTERNAL, EXPORTED: the one in model->functions. PROTOTYPE: see above */
};

struct lapis_model {
    struct hira_pool *pool;
    const char *name;              /* "opencl" */
    const char *spec_file;
    const char **includes;         /* headers as written, "<CL/cl.h>" or "\"null.h\"", in order */
    size_t n_includes;
    const char **defines;          /* "CL_TARGET_OPENCL_VERSION=300" */
    size_t n_defines;
    const char **include_dirs;     /* -I */
    size_t n_include_dirs;
    struct lapis_setting *settings; /* vendor, library, environment, ...: see docs/lapis.md. One a value: `link a, b` gives two
                                       of name "link"; `versions` gives two a statement: macro pattern, node pattern */
    size_t n_settings;
    struct lapis_handle **handles;
    size_t n_handles;
    struct lapis_callback **callbacks;
    size_t n_callbacks;
    struct lapis_function **functions;
    size_t n_functions;
    struct lapis_key *values;      /* query selectors whose answers are handles */
    size_t n_values;
    struct lapis_table *dispatch;  /* or NULL; the front end sets name and header, the import the slots */
    const char **names;            /* import: every identifier that the headers declare or define (macros, enumerators, types,
                                      functions, variables), sorted by strcmp; 0 when not recorded. To find misspellings */
    size_t n_names;
    struct lapis_constants *constants; /* import: what values of integer types are called; see import_constants.c */
    size_t n_constants;
    const char **not_handles;      /* types of which the spec says `not handle` */
    size_t n_not_handles;
    struct lapis_declaration *declarations; /* in order of the spec */
    size_t n_declarations;
    struct lapis_code shared_code, guest_code, server_code; /* C put before the stubs: both sides, guest, server; several
                                                               blocks are joined, each behind its #line */
    bool order_all;                /* ordered(all) for every function */
};

/* One setting's value, or NULL. Repeated settings: the n-th, counting from 0. */
const char *lapis_model_setting(const struct lapis_model *model, const char *name, size_t n);
struct lapis_function *lapis_model_function(const struct lapis_model *model, const char *name);
struct lapis_handle *lapis_model_handle(const struct lapis_model *model, const char *name);

/* Whether the headers declare or define it. */
bool lapis_model_has_name(const struct lapis_model *model, const char *name);

/* What values of a type are called; NULL: the headers do not tell. */
const struct lapis_constants *lapis_model_constants(const struct lapis_model *model, const struct lapis_ctype *type);

/* How many parameters the prototype has: without the implicit ones, which are the last. */
size_t lapis_declared_params(const struct lapis_function *f);

/* The parameter that receives a query's answer, and the one that receives its size (NULL: none does); NULL where it asks nothing. */
const struct lapis_value *lapis_query_value(const struct lapis_function *f, const struct lapis_value **ret_size);

/* Of a function that enumerates: the parameter with the list, the one with its length, and where in an element the device is (NULL: it is
 * the element). NULL: it has no such parameters. */
const struct lapis_value *lapis_listed_devices(const struct lapis_function *f, const struct lapis_value **ret_count,
                                               const struct lapis_value **ret_field);

/* Makes `value` a value of this C type, as far as the type alone tells: scalars, handles, structs (RECORD with `fields` when
 * any of them needs care, else SCALAR); every pointer is UNSETTLED, function pointers too. Direction IN. */
void lapis_value_init(struct hira_pool *pool, struct lapis_value *value, const char *name, struct lapis_ctype *type);

/* The value's element, made from the pointee if there is none yet. NULL when the type is no pointer or array, or points to void
 * (or another thing without size). */
struct lapis_value *lapis_value_element(struct hira_pool *pool, struct lapis_value *value);

/* Finds the callback's own cookie argument when the function that takes it has one for it and none is marked: the only untyped
 * pointer of which nothing else is known. */
void lapis_callback_find_cookie(struct hira_pool *pool, struct lapis_callback *callback, struct lapis_loc loc);

/* Adds a reason; the sentence is formatted into the pool. */
void lapis_value_because(struct hira_pool *pool, struct lapis_value *value, const char *rule, struct lapis_loc loc,
                         const char *format, ...) __attribute__((format(printf, 5, 6)));

/* A C declaration of `name` with this type, in pool memory: "const cl_event *list", "void (*f)(int)", "char a[4]". */
const char *lapis_ctype_declare(struct hira_pool *pool, const struct lapis_ctype *type, const char *name);

void lapis_model_destroy(struct lapis_model *model); /* NULL allowed */

#endif
