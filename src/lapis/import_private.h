/*
 * What the parts of the header import share: import.c (the translation unit, files, functions), import_types.c (C types
 * and handles), import_docs.c (comments and the text around a prototype). Only they include this.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#ifndef HIRA_LAPIS_IMPORT_PRIVATE_H
#define HIRA_LAPIS_IMPORT_PRIVATE_H

#include <clang-c/Index.h>

#include "base/pool.h"
#include "base/util.h"
#include "lapis/import.h"

/* A file of the translation unit that an API header reaches. */
struct import_file {
    CXFile file;
    const char *name; /* path as clang found it */
    const char
        *header; /* the API header (as #include named it, without brackets) it belongs to, or NULL: not of the API */
    const char *text; /* contents, owned by the translation unit */
    size_t size;
    bool comments_after; /* documentation stands behind the prototypes in plain comments (zlib's way) */
};

struct import_type;   /* cached C type, by spelling */
struct import_record; /* incomplete record -> handle */

struct import {
    struct lapis_model *model;
    struct hira_pool *pool;
    struct lapis_diag *diag;
    CXTranslationUnit unit;
    struct import_file *files;
    size_t n_files;
    const char *last_name; /* the presumed file name met last, interned */
    struct import_type *types;
    struct import_record *records;
};

/* import.c */
struct lapis_loc import_loc(struct import *import, CXSourceLocation location);
const char *import_string(struct import *import, CXString string); /* pool copy, disposes; NULL for empty */
struct import_file *import_file_of(struct import *import, CXSourceLocation location, unsigned *ret_offset);

/* import_types.c. `decl` is the declaration that carries the names of a function type's arguments, or a null cursor. */
struct lapis_ctype *import_type(struct import *import, CXType type, CXCursor decl);
void import_typedef(struct import *import, CXCursor cursor); /* registers the handle it may declare */
void import_declared_handles(struct import *import);         /* before all others: handles that the spec declares */
void import_types_fini(struct import *import);

/* import_constants.c */
void import_enumeration(struct import *import, CXCursor cursor);
void import_constants(struct import *import, const struct import_file *file); /* macros */
void import_constants_fini(struct import *import);                            /* once all names are known */

/* import_docs.c: fills doc, doc_loc and source of the function and its parameters, and its version node. */
void import_docs(struct import *import, struct lapis_function *function, CXCursor cursor);
void import_docs_style(struct import *import); /* decides each file's comments_after */
/* The documentation of a field or other single declaration, or NULL. */
const char *import_docs_of(struct import *import, CXCursor cursor);

#endif
