/*
 * Which words there are. One row a word and place; the manual describes each of them, and a test compares the two.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include <string.h>

#include "lapis/ast.h"

#define AT(place) LAPIS_AT_##place
#define FUNC (AT(FUNCTION) | AT(CONVENTION))
#define VAL AT(VALUE)

static const struct lapis_grammar rows[] = {
    /* clang-format off */
    /* word, spelling, where, min, max, argument, body, inside, group, negatable, usage */
    {LAPIS_W_API, "api", AT(FILE), 0, 0, 0, LAPIS_BODY_STATEMENTS, AT(API), LAPIS_G_SELF, false, "api name { ... }"},
    {LAPIS_W_INCLUDE, "include", AT(FILE), 0, 0, 0, LAPIS_BODY_NONE, 0, LAPIS_G_MANY, false, "include \"file.lapis\";"},
    {LAPIS_W_TYPE, "type", AT(FILE), 1, 1, LAPIS_ARG_TYPE, LAPIS_BODY_STATEMENTS, AT(TYPE), LAPIS_G_MANY, false, "type(name) { ... }"},
    {LAPIS_W_CONVENTION, "convention", AT(FILE), 0, 0, 0, LAPIS_BODY_STATEMENTS, AT(CONVENTION), LAPIS_G_MANY, false, "convention { ... }"},
    {LAPIS_W_FUNCTIONS, "functions", AT(FILE), 1, LAPIS_ANY, LAPIS_ARG_GLOB, LAPIS_BODY_STATEMENTS, AT(FUNCTION), LAPIS_G_MANY, false, "functions(glob, ...) { ... }"},
    {LAPIS_W_FUNCTION, "function", AT(FILE), 0, 0, 0, LAPIS_BODY_STATEMENTS, AT(FUNCTION), LAPIS_G_MANY, false, "function name { ... }"},
    {LAPIS_W_PROTOTYPE, "internal", AT(FILE), 0, 0, 0, LAPIS_BODY_OPTIONAL, AT(FUNCTION), LAPIS_G_MANY, false, "internal type name(parameters) { ... }"},
    {LAPIS_W_PROTOTYPE, "exported", AT(FILE), 0, 0, 0, LAPIS_BODY_OPTIONAL, AT(FUNCTION), LAPIS_G_MANY, false, "exported type name(parameters) { ... }"},
    {LAPIS_W_CALLBACK_TYPE, "callback", AT(FILE), 1, LAPIS_ANY, LAPIS_ARG_PATH, LAPIS_BODY_STATEMENTS, AT(CALLBACK), LAPIS_G_MANY, false, "callback(function.parameter, ...) { ... }"},
    {LAPIS_W_VALUES, "values", AT(FILE), 1, 1, LAPIS_ARG_TYPE, LAPIS_BODY_LIST, 0, LAPIS_G_MANY, false, "values(type) { SELECTOR, ... }"},
    {LAPIS_W_UNSUPPORTED_SET, "unsupported", AT(FILE), 1, LAPIS_ANY, LAPIS_ARG_GLOB, LAPIS_BODY_OPTIONAL, AT(UNSUPPORTED), LAPIS_G_MANY, false, "unsupported(glob, ...) { failure(value); }"},
    {LAPIS_W_OMIT, "omit", AT(FILE), 1, LAPIS_ANY, LAPIS_ARG_GLOB, LAPIS_BODY_NONE, 0, LAPIS_G_MANY, false, "omit(glob, ...);"},
    {LAPIS_W_SHARED_CODE, "shared", AT(FILE), 0, 0, 0, LAPIS_BODY_CODE, 0, LAPIS_G_MANY, false, "shared { C } or shared \"file\";"},
    {LAPIS_W_GUEST_CODE, "guest", AT(FILE), 0, 0, 0, LAPIS_BODY_CODE, 0, LAPIS_G_MANY, false, "guest { C } or guest \"file\";"},
    {LAPIS_W_SERVER_CODE, "server", AT(FILE), 0, 0, 0, LAPIS_BODY_CODE, 0, LAPIS_G_MANY, false, "server { C } or server \"file\";"},

    {LAPIS_W_HANDLE_TYPE, "handle", AT(TYPE), 0, 0, 0, LAPIS_BODY_NONE, 0, LAPIS_G_SELF, true, "handle;"},
    {LAPIS_W_RETAIN, "retain", AT(TYPE), 1, 1, LAPIS_ARG_NAME, LAPIS_BODY_NONE, 0, LAPIS_G_SELF, false, "retain(function);"},
    {LAPIS_W_RELEASE, "release", AT(TYPE), 1, 1, LAPIS_ARG_NAME, LAPIS_BODY_NONE, 0, LAPIS_G_SELF, false, "release(function);"},
    {LAPIS_W_INVALID, "invalid", AT(TYPE), 1, 1, LAPIS_ARG_EXPR, LAPIS_BODY_NONE, 0, LAPIS_G_SELF, false, "invalid(value);"},
    {LAPIS_W_INVALID, "invalid", AT(CONVENTION), 1, 1, LAPIS_ARG_STRING, LAPIS_BODY_NONE, 0, LAPIS_G_SELF, false, "invalid(\"INVALID_{TYPE}\");"},
    {LAPIS_W_DONE, "done", AT(TYPE), 0, 0, 0, LAPIS_BODY_CODE, 0, LAPIS_G_SELF, false, "done { C }"},
    {LAPIS_W_GUEST_STATE, "guest state", AT(TYPE), 0, 0, 0, LAPIS_BODY_CODE, 0, LAPIS_G_SELF, false, "guest state { members }"},
    {LAPIS_W_SERVER_STATE, "server state", AT(TYPE), 0, 0, 0, LAPIS_BODY_CODE, 0, LAPIS_G_SELF, false, "server state { members }"},
    {LAPIS_W_GUEST_DESTROY, "guest destroy", AT(TYPE), 0, 0, 0, LAPIS_BODY_CODE, 0, LAPIS_G_SELF, false, "guest destroy { C }"},
    {LAPIS_W_IMMUTABLE, "immutable", AT(TYPE), 0, 0, 0, LAPIS_BODY_NONE, 0, LAPIS_G_SELF, true, "immutable;"},
    {LAPIS_W_PENDS, "pends", AT(TYPE) | FUNC, 0, 0, 0, LAPIS_BODY_NONE, 0, LAPIS_G_SELF, true, "pends;"},
    {LAPIS_W_MAPPED, "mapped", AT(TYPE), 0, 0, 0, LAPIS_BODY_NONE, 0, LAPIS_G_SELF, true, "mapped;"},
    {LAPIS_W_DISPATCH, "dispatch", AT(TYPE), 0, 0, 0, LAPIS_BODY_NONE, 0, LAPIS_G_SELF, true, "dispatch;"},
    {LAPIS_W_DEVICES, "devices", AT(TYPE), 1, 1, LAPIS_ARG_NAME, LAPIS_BODY_NONE, 0, LAPIS_G_SELF, false, "devices(function);"},
    {LAPIS_W_CONTENTS, "contents", AT(TYPE), 1, 1, LAPIS_ARG_EXPR, LAPIS_BODY_STATEMENTS, AT(CONTENTS), LAPIS_G_SELF, false, "contents(size) { save { C } restore { C } }"},
    {LAPIS_W_SAVE, "save", AT(CONTENTS), 0, 0, 0, LAPIS_BODY_CODE, 0, LAPIS_G_SELF, false, "save { C }"},
    {LAPIS_W_RESTORE, "restore", AT(CONTENTS), 0, 0, 0, LAPIS_BODY_CODE, 0, LAPIS_G_SELF, false, "restore { C }"},

    {LAPIS_W_SUCCESS, "success", AT(TYPE) | FUNC, 1, 1, LAPIS_ARG_EXPR, LAPIS_BODY_NONE, 0, LAPIS_G_SELF, false, "success(value);"},
    {LAPIS_W_FAILURE, "failure", AT(TYPE) | FUNC | AT(UNSUPPORTED), 1, 1, LAPIS_ARG_EXPR, LAPIS_BODY_NONE, 0, LAPIS_G_SELF, false, "failure(value);"},
    {LAPIS_W_FAILED, "failed", AT(TYPE) | FUNC, 0, 0, 0, LAPIS_BODY_CODE, 0, LAPIS_G_SELF, false, "failed { C }"},

    {LAPIS_W_PARAMETER, "parameter", FUNC | AT(CALLBACK), 1, LAPIS_ANY, LAPIS_ARG_GLOB, LAPIS_BODY_STATEMENTS, VAL, LAPIS_G_MANY, false, "parameter(name) { ... }"},
    {LAPIS_W_RETURN, "return", FUNC | AT(CALLBACK), 0, 0, 0, LAPIS_BODY_STATEMENTS, VAL, LAPIS_G_SELF, false, "return { ... }"},
    {LAPIS_W_SYNC, "sync", FUNC | AT(IF), 0, 0, 0, LAPIS_BODY_NONE, 0, LAPIS_G_MODE, false, "sync;"},
    {LAPIS_W_ASYNC, "async", FUNC | AT(IF), 0, 0, 0, LAPIS_BODY_NONE, 0, LAPIS_G_MODE, false, "async;"},
    {LAPIS_W_ASYNC_ONCE, "async once", FUNC | AT(IF), 1, LAPIS_ANY, LAPIS_ARG_EXPR, LAPIS_BODY_NONE, 0, LAPIS_G_MODE, false, "async once(expr, ...);"},
    {LAPIS_W_IF, "if", FUNC | AT(IF), 1, 1, LAPIS_ARG_EXPR, LAPIS_BODY_NONE, AT(IF), LAPIS_G_MANY, false, "if (expr) sync; else async;"},
    {LAPIS_W_FAILS, "fails", FUNC, 2, 2, LAPIS_ARG_EXPR, LAPIS_BODY_NONE, 0, LAPIS_G_MANY, false, "fails(condition, CODE);"},
    {LAPIS_W_IMPLICIT, "implicit", AT(FUNCTION), 2, 2, LAPIS_ARG_EXPR, LAPIS_BODY_NONE, 0, LAPIS_G_MANY, false, "implicit(name, value);"},
    {LAPIS_W_ORDERED, "ordered", FUNC, 1, 1, LAPIS_ARG_NAME, LAPIS_BODY_NONE, 0, LAPIS_G_SELF, false, "ordered(objects | all | creation);"},
    {LAPIS_W_FLUSH, "flush", FUNC, 0, 0, 0, LAPIS_BODY_NONE, 0, LAPIS_G_SELF, true, "flush;"},
    {LAPIS_W_DRAINS, "drains", FUNC, 1, 2, LAPIS_ARG_EXPR, LAPIS_BODY_NONE, 0, LAPIS_G_SELF, false, "drains(handle, condition);"},
    {LAPIS_W_CACHE, "cache", FUNC, 0, LAPIS_ANY, LAPIS_ARG_GLOB, LAPIS_BODY_NONE, 0, LAPIS_G_SELF, true, "cache(glob, ...);"},
    {LAPIS_W_ANSWER, "answer", FUNC, 1, LAPIS_ANY, LAPIS_ARG_GLOB, LAPIS_BODY_STATEMENTS, AT(ANSWER), LAPIS_G_MANY, false, "answer(selector, ...) { ... }"},
    {LAPIS_W_GUEST_REPLACE, "guest replace", FUNC, 0, 0, 0, LAPIS_BODY_CODE, 0, LAPIS_G_SELF, false, "guest replace { C } or guest replace function;"},
    {LAPIS_W_GUEST_BEFORE, "guest before", FUNC, 0, 0, 0, LAPIS_BODY_CODE, 0, LAPIS_G_SELF, false, "guest before { C }"},
    {LAPIS_W_GUEST_AFTER, "guest after", FUNC, 0, 0, 0, LAPIS_BODY_CODE, 0, LAPIS_G_SELF, false, "guest after { C }"},
    {LAPIS_W_SERVER_REPLACE, "server replace", FUNC, 0, 0, 0, LAPIS_BODY_CODE, 0, LAPIS_G_SELF, false, "server replace { C } or server replace function;"},
    {LAPIS_W_SERVER_BEFORE, "server before", FUNC, 0, 0, 0, LAPIS_BODY_CODE, 0, LAPIS_G_SELF, false, "server before { C }"},
    {LAPIS_W_SERVER_AFTER, "server after", FUNC, 0, 0, 0, LAPIS_BODY_CODE, 0, LAPIS_G_SELF, false, "server after { C }"},
    {LAPIS_W_CONSUMES, "consumes", FUNC, 2, 3, LAPIS_ARG_EXPR, LAPIS_BODY_NONE, 0, LAPIS_G_MANY, false, "consumes(resource, amount);"},
    {LAPIS_W_DEFERRED, "deferred", FUNC, 4, 4, LAPIS_ARG_EXPR, LAPIS_BODY_NONE, 0, LAPIS_G_SELF, false, "deferred(queue, count, list, event);"},
    {LAPIS_W_HOLDS, "holds", FUNC, 1, 1, LAPIS_ARG_EXPR, LAPIS_BODY_NONE, 0, LAPIS_G_SELF, false, "holds(handle);"},
    {LAPIS_W_RECORDED, "recorded", FUNC, 0, LAPIS_ANY, LAPIS_ARG_EXPR, LAPIS_BODY_NONE, 0, LAPIS_G_SELF, true, "recorded; or recorded(object, key, ...);"},
    {LAPIS_W_ENUMERATES, "enumerates", FUNC, 2, 3, LAPIS_ARG_EXPR, LAPIS_BODY_NONE, 0, LAPIS_G_SELF, false, "enumerates(devices, NONE);"},
    {LAPIS_W_UNSUPPORTED, "unsupported", AT(FUNCTION), 0, 1, LAPIS_ARG_EXPR, LAPIS_BODY_NONE, 0, LAPIS_G_SELF, true, "unsupported(value);"},
    {LAPIS_W_EXTENSION, "extension", FUNC, 0, 0, 0, LAPIS_BODY_NONE, 0, LAPIS_G_SELF, true, "extension;"},
    {LAPIS_W_EXPORTED, "exported", FUNC, 0, 0, 0, LAPIS_BODY_NONE, 0, LAPIS_G_SELF, true, "exported;"},
    {LAPIS_W_VERSION, "version", FUNC, 1, 1, LAPIS_ARG_STRING, LAPIS_BODY_NONE, 0, LAPIS_G_SELF, false, "version(\"NODE\");"},

    {LAPIS_W_TABLE, "table", AT(FUNCTION), 2, 2, LAPIS_ARG_EXPR, LAPIS_BODY_CASES, 0, LAPIS_G_SELF, false, "table(condition, vendor's) { member: value; ... }"},

    {LAPIS_W_REFERENCES, "references", AT(ANSWER), 0, 0, 0, LAPIS_BODY_NONE, 0, LAPIS_G_TELLING, false, "references;"},
    {LAPIS_W_MASKED, "masked", AT(ANSWER), 1, 1, LAPIS_ARG_EXPR, LAPIS_BODY_NONE, 0, LAPIS_G_TELLING, false, "masked(bits);"},
    {LAPIS_W_KNOWN, "known", AT(ANSWER), 2, 3, LAPIS_ARG_EXPR, LAPIS_BODY_NONE, 0, LAPIS_G_TELLING, false, "known(value, condition);"},
    {LAPIS_W_WORDS, "words", AT(ANSWER), 0, 0, 0, LAPIS_BODY_NONE, 0, LAPIS_G_TELLING, false, "words;"},
    {LAPIS_W_RECORDS, "records", AT(ANSWER), 2, 2, LAPIS_ARG_EXPR, LAPIS_BODY_NONE, 0, LAPIS_G_TELLING, false, "records(type, member);"},
    {LAPIS_W_REWRITTEN, "rewritten", AT(ANSWER), 1, 1, LAPIS_ARG_EXPR, LAPIS_BODY_NONE, 0, LAPIS_G_TELLING, false, "rewritten(size);"},
    {LAPIS_W_PROPERTIES, "properties", AT(ANSWER), 0, 1, LAPIS_ARG_EXPR, LAPIS_BODY_KEYS, 0, LAPIS_G_TELLING, false, "properties(expr) { type(T): KEY, ...; }"},

    {LAPIS_W_IN, "in", VAL, 0, 0, 0, LAPIS_BODY_NONE, 0, LAPIS_G_DIRECTION, false, "in;"},
    {LAPIS_W_OUT, "out", VAL, 0, 0, 0, LAPIS_BODY_NONE, 0, LAPIS_G_DIRECTION, false, "out;"},
    {LAPIS_W_INOUT, "inout", VAL, 0, 0, 0, LAPIS_BODY_NONE, 0, LAPIS_G_DIRECTION, false, "inout;"},
    {LAPIS_W_BUFFER, "buffer", VAL, 1, 1, LAPIS_ARG_EXPR, LAPIS_BODY_NONE, 0, LAPIS_G_SHAPE, false, "buffer(expr);"},
    {LAPIS_W_BYTES, "bytes", VAL, 1, 1, LAPIS_ARG_EXPR, LAPIS_BODY_NONE, 0, LAPIS_G_SHAPE, false, "bytes(expr);"},
    {LAPIS_W_FILLED, "filled", VAL, 1, 1, LAPIS_ARG_EXPR, LAPIS_BODY_NONE, 0, LAPIS_G_SELF, false, "filled(expr);"},
    {LAPIS_W_ROWS, "rows", VAL, 6, 6, LAPIS_ARG_EXPR, LAPIS_BODY_NONE, 0, LAPIS_G_SELF, false, "rows(offset, width, rows, row pitch, slices, slice pitch);"},
    {LAPIS_W_REGION, "region", VAL, 5, 5, LAPIS_ARG_EXPR, LAPIS_BODY_NONE, 0, LAPIS_G_SHAPE, false, "region(origin, region, row pitch, slice pitch, element size);"},
    {LAPIS_W_STREAM, "stream", VAL, 0, 1, LAPIS_ARG_EXPR, LAPIS_BODY_NONE, 0, LAPIS_G_SELF, false, "stream(expr);"},
    {LAPIS_W_STRING, "string", VAL, 0, 1, LAPIS_ARG_EXPR, LAPIS_BODY_NONE, 0, LAPIS_G_SHAPE, false, "string;"},
    {LAPIS_W_TERMINATED, "terminated", VAL, 0, 1, LAPIS_ARG_EXPR, LAPIS_BODY_NONE, 0, LAPIS_G_SHAPE, false, "terminated(expr);"},
    {LAPIS_W_PROPERTIES, "properties", VAL, 0, 1, LAPIS_ARG_EXPR, LAPIS_BODY_KEYS, 0, LAPIS_G_SHAPE, false, "properties(expr) { type(T): KEY, ...; }"},
    {LAPIS_W_ELEMENT, "element", VAL, 0, 0, 0, LAPIS_BODY_STATEMENTS, VAL, LAPIS_G_SELF, false, "element { ... }"},
    {LAPIS_W_FIELD, "field", VAL, 1, LAPIS_ANY, LAPIS_ARG_NAME, LAPIS_BODY_STATEMENTS, VAL, LAPIS_G_MANY, false, "field(name) { ... }"},
    {LAPIS_W_UNION, "union", VAL, 1, 1, LAPIS_ARG_EXPR, LAPIS_BODY_CASES, 0, LAPIS_G_SELF, false, "union(expr) { member: value; }"},
    {LAPIS_W_HANDLE, "handle", VAL, 1, 1, LAPIS_ARG_TYPE, LAPIS_BODY_NONE, 0, LAPIS_G_SHAPE, false, "handle(type);"},
    {LAPIS_W_ALLOCATES, "allocates", VAL, 0, 0, 0, LAPIS_BODY_NONE, 0, LAPIS_G_LIFE, true, "allocates;"},
    {LAPIS_W_DEALLOCATES, "deallocates", VAL, 0, 0, 0, LAPIS_BODY_NONE, 0, LAPIS_G_LIFE, true, "deallocates;"},
    {LAPIS_W_NULLABLE, "nullable", VAL, 0, 0, 0, LAPIS_BODY_NONE, 0, LAPIS_G_SELF, true, "nullable;"},
    {LAPIS_W_ERROR, "error", VAL, 0, 0, 0, LAPIS_BODY_NONE, 0, LAPIS_G_SELF, true, "error;"},
    {LAPIS_W_ALWAYS, "always", VAL, 0, 0, 0, LAPIS_BODY_NONE, 0, LAPIS_G_SELF, true, "always;"},
    {LAPIS_W_QUERY, "query", VAL, 1, 1, LAPIS_ARG_NAME, LAPIS_BODY_NONE, 0, LAPIS_G_SELF, false, "query(selector);"},
    {LAPIS_W_CALLBACK, "callback", VAL, 0, 1, LAPIS_ARG_NAME, LAPIS_BODY_NONE, 0, LAPIS_G_SHAPE, false, "callback(userdata);"},
    {LAPIS_W_USERDATA, "userdata", VAL, 0, 0, 0, LAPIS_BODY_NONE, 0, LAPIS_G_SHAPE, false, "userdata;"},
    {LAPIS_W_OPAQUE, "opaque", VAL, 0, 0, 0, LAPIS_BODY_NONE, 0, LAPIS_G_SHAPE, false, "opaque;"},
    {LAPIS_W_IGNORED, "ignored", VAL, 0, 0, 0, LAPIS_BODY_NONE, 0, LAPIS_G_SHAPE, false, "ignored;"},
    {LAPIS_W_LIFETIME, "lifetime", VAL, 1, 2, LAPIS_ARG_NAME, LAPIS_BODY_NONE, 0, LAPIS_G_SELF, false, "lifetime(call | event | object | static);"},
    {LAPIS_W_FILES, "files", VAL, 1, 1, LAPIS_ARG_STRING, LAPIS_BODY_NONE, 0, LAPIS_G_SELF, false, "files(\"-I\");"},

    {LAPIS_W_POST, "post", AT(CALLBACK), 0, 0, 0, LAPIS_BODY_NONE, 0, LAPIS_G_MODE, false, "post;"},
    {LAPIS_W_WAIT, "wait", AT(CALLBACK), 0, 0, 0, LAPIS_BODY_NONE, 0, LAPIS_G_MODE, false, "wait;"},
    {LAPIS_W_ONCE, "once", AT(CALLBACK), 0, 0, 0, LAPIS_BODY_NONE, 0, LAPIS_G_SELF, true, "once;"},
    /* clang-format on */
};

const struct lapis_grammar *lapis_grammar_row(size_t i)
{
    return i < HIRA_ARRAY_SIZE(rows) ? &rows[i] : NULL;
}

const struct lapis_grammar *lapis_grammar_of(enum lapis_word word)
{
    for (size_t i = 0; i < HIRA_ARRAY_SIZE(rows); i++)
        if (rows[i].word == word)
            return &rows[i];
    return NULL;
}

const struct lapis_grammar *lapis_grammar_find(const char *spelling, unsigned where,
                                               const struct lapis_grammar **ret_elsewhere)
{
    *ret_elsewhere = NULL;
    for (size_t i = 0; i < HIRA_ARRAY_SIZE(rows); i++) {
        if (strcmp(rows[i].spelling, spelling))
            continue;
        if (rows[i].where & where)
            return &rows[i];
        *ret_elsewhere = &rows[i];
    }
    return NULL;
}

const char *lapis_where_name(unsigned where)
{
    static const char *const names[] = {"a file",      "an api",     "a type", "a function",        "a convention",
                                        "a parameter", "a callback", "an if",  "an unsupported set", "an answer", "contents"};
    for (size_t i = 0; i < HIRA_ARRAY_SIZE(names); i++)
        if (where & (1u << i))
            return names[i];
    return "this place";
}
