/*
 * C types, from clang's to the model's. A type is known by its spelling, so that every "const cl_event *" of a header
 * is one lapis_ctype; only function pointers spelled out in place are not shared, for their argument names differ from
 * place to place. Records enter the cache before their fields are read, so a struct that points to itself ends there:
 * the graph of types may have cycles, always through a pointer.
 *
 * A pointer to a record that the unit never completes is a handle: nothing else can be meant by it. Two typedefs of the
 * same record name the same handle, and the first one names it.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include <string.h>

#include <uthash.h>

#include "lapis/import_private.h"

struct import_type {
    const char *spelling;
    struct lapis_ctype *type;
    UT_hash_handle hh;
};

struct import_record {
    const char *key; /* "struct _cl_event", or the typedef's name for a handle that the spec declares */
    struct lapis_handle *handle;
    UT_hash_handle hh;
};

/* uthash frees its own table only; the entries live in the pool. */
void import_types_fini(struct import *import)
{
    HASH_CLEAR(hh, import->types);
    HASH_CLEAR(hh, import->records);
}

/* ---- taking a type apart ---- */

/* One layer of sugar less: the typedef, the elaboration ("struct x"), an attribute. CXType_Invalid when none is left.
 */
static CXType unwrap(CXType type)
{
    CXType none = {.kind = CXType_Invalid};
    switch (type.kind) {
    case CXType_Typedef:
        return clang_getTypedefDeclUnderlyingType(clang_getTypeDeclaration(type));
    case CXType_Elaborated:
        return clang_Type_getNamedType(type);
    case CXType_Attributed:
        return clang_Type_getModifiedType(type);
    case CXType_Unexposed: {
        CXType canonical = clang_getCanonicalType(type);
        return canonical.kind == CXType_Unexposed ? none : canonical;
    }
    default:
        return none;
    }
}

static CXType desugar(CXType type)
{
    for (CXType next = unwrap(type); next.kind != CXType_Invalid; next = unwrap(type))
        type = next;
    return type;
}

static const char *spelling_of(struct import *import, CXType type)
{
    const char *s = import_string(import, clang_getTypeSpelling(type));
    return s ? s : "";
}

/* "const cl_event" -> "cl_event", "char *const" -> "char *": the const of this level only. */
static const char *without_const(struct import *import, const char *spelling, bool is_const)
{
    size_t n = strlen(spelling);
    if (!is_const)
        return spelling;
    if (n > 5 && !strcmp(spelling + n - 5, "const"))
        return hira_pool_strndup(import->pool, spelling, n - (spelling[n - 6] == ' ' ? 6 : 5));
    if (!strncmp(spelling, "const ", 6) && !strchr(spelling, '*'))
        return spelling + 6;
    return spelling;
}

/* ---- handles ---- */

static struct import_record *record_entry(struct import *import, const char *key)
{
    struct import_record *found;
    HASH_FIND_STR(import->records, key, found);
    return found;
}

static void add_record(struct import *import, const char *key, struct lapis_handle *handle)
{
    struct import_record *entry = hira_pool_alloc(import->pool, sizeof(*entry));
    entry->key = key;
    entry->handle = handle;
    HASH_ADD_KEYPTR(hh, import->records, entry->key, strlen(entry->key), entry);
}

static struct lapis_handle *new_handle(struct import *import, const char *name)
{
    struct lapis_model *model = import->model;
    struct lapis_handle *handle = lapis_model_handle(model, name);
    if (handle)
        return handle;
    handle = hira_pool_alloc(import->pool, sizeof(*handle));
    handle->name = name;
    *HIRA_POOL_PUSH(import->pool, model->handles, model->n_handles) = handle;
    handle->index = (unsigned)model->n_handles;
    return handle;
}

static bool is_no_handle(const struct lapis_model *model, const char *name)
{
    for (size_t i = 0; i < model->n_not_handles; i++)
        if (!strcmp(model->not_handles[i], name))
            return true;
    return false;
}

static bool points_to_incomplete(CXType canonical)
{
    CXType pointee = clang_getCanonicalType(clang_getPointeeType(canonical));
    return canonical.kind == CXType_Pointer && pointee.kind == CXType_Record &&
           clang_Type_getSizeOf(pointee) == CXTypeLayoutError_Incomplete;
}

static const char *incomplete_key(struct import *import, CXType canonical)
{
    const char *s = spelling_of(import, clang_getCanonicalType(clang_getPointeeType(canonical)));
    return strncmp(s, "const ", 6) ? s : s + 6;
}

/* The name a handle gets from this spelling of its type: the typedef that makes it a pointer, else what it points to.
 */
static const char *handle_name(struct import *import, CXType type)
{
    const char *name = NULL;
    for (CXType t = type; t.kind != CXType_Invalid && t.kind != CXType_Pointer; t = unwrap(t))
        if (t.kind == CXType_Typedef)
            name = import_string(import, clang_getTypedefName(t));
    if (name)
        return name;
    const char *s = spelling_of(import, clang_getPointeeType(desugar(type)));
    return strncmp(s, "const ", 6) ? s : s + 6;
}

/* Whether the spec says of any typedef in the chain that it is (not) a handle: the name, or NULL. */
static struct lapis_handle *declared_handle(struct import *import, CXType type, bool *ret_refused)
{
    *ret_refused = false;
    for (CXType t = type; t.kind != CXType_Invalid; t = unwrap(t)) {
        if (t.kind != CXType_Typedef)
            continue;
        const char *name = import_string(import, clang_getTypedefName(t));
        if (name && is_no_handle(import->model, name))
            *ret_refused = true;
        struct import_record *entry = name ? record_entry(import, name) : NULL;
        if (entry)
            return entry->handle;
    }
    return NULL;
}

static struct lapis_handle *handle_of(struct import *import, CXType type, CXType canonical, CXCursor at)
{
    bool refused;
    struct lapis_handle *handle = declared_handle(import, type, &refused);
    bool opaque = !refused && points_to_incomplete(canonical);
    if (refused || (!handle && !opaque))
        return NULL;
    const char *key = opaque ? incomplete_key(import, canonical) : NULL;
    struct import_record *entry = key ? record_entry(import, key) : NULL;
    if (entry)
        return entry->handle;
    if (!handle) {
        handle = new_handle(import, handle_name(import, type));
        if (is_no_handle(import->model, handle->name))
            return NULL;
    }
    if (key) {
        add_record(import, key, handle);
        if (!handle->loc.line)
            handle->loc = import_loc(import, clang_getCursorLocation(at));
        handle->why = (struct lapis_reason){
            .rule = "type.opaque-struct",
            .text = hira_pool_printf(import->pool, "%s points to %s, which no header completes", handle->name, key),
            .loc = handle->loc};
    }
    return handle;
}

void import_declared_handles(struct import *import)
{
    for (size_t i = 0; i < import->model->n_handles; i++) {
        struct lapis_handle *handle = import->model->handles[i];
        handle->index = (unsigned)i + 1;
        if (!record_entry(import, handle->name))
            add_record(import, handle->name, handle);
    }
}

void import_typedef(struct import *import, CXCursor cursor)
{
    CXType type = clang_getCursorType(cursor), canonical = clang_getCanonicalType(type);
    bool refused;
    if (points_to_incomplete(canonical) || declared_handle(import, type, &refused))
        import_type(import, type, cursor);
}

/* ---- records ---- */

struct fields {
    struct import *import;
    struct lapis_ctype *type;
    size_t base; /* offset in bits of the anonymous member whose fields these are */
};

static enum CXVisitorResult add_field(CXCursor cursor, CXClientData data);

static bool same_members(const struct lapis_ctype *type)
{
    for (size_t i = 1; i < type->n_fields; i++)
        if (strcmp(type->fields[i].type->canonical, type->fields[0].type->canonical))
            return false;
    return type->n_fields > 0;
}

/* The members of an anonymous struct are the outer one's; of an anonymous union whose members are all of one type, the
 * first stands for all. Other anonymous unions stay, as a field without a name. */
static bool flatten(struct fields *fields, CXType type, size_t offset)
{
    struct import *import = fields->import;
    struct lapis_ctype *inner = import_type(import, type, clang_getNullCursor());
    struct fields inside = {import, fields->type, offset};
    if (inner->kind == LAPIS_STRUCT) {
        clang_Type_visitFields(clang_getCanonicalType(type), add_field, &inside);
        return true;
    }
    if (inner->kind != LAPIS_UNION || !same_members(inner))
        return false;
    struct lapis_field *field = HIRA_POOL_PUSH(import->pool, fields->type->fields, fields->type->n_fields);
    *field = inner->fields[0];
    field->offset += offset / 8;
    return true;
}

static enum CXVisitorResult add_field(CXCursor cursor, CXClientData data)
{
    struct fields *fields = data;
    struct import *import = fields->import;
    long long bits = clang_Cursor_getOffsetOfField(cursor);
    size_t offset = fields->base + (bits > 0 ? (size_t)bits : 0);
    CXType type = clang_getCursorType(cursor);
    const char *name = import_string(import, clang_getCursorSpelling(cursor));
    if (!name && clang_Cursor_isBitField(cursor))
        return CXVisit_Continue; /* padding */
    if (!name && flatten(fields, type, offset))
        return CXVisit_Continue;
    struct lapis_ctype *inner = import_type(import, type, cursor);
    struct lapis_field *field = HIRA_POOL_PUSH(import->pool, fields->type->fields, fields->type->n_fields);
    *field = (struct lapis_field){
        .name = name ? name : "", .type = inner, .offset = offset / 8, .doc = import_docs_of(import, cursor)};
    return CXVisit_Continue;
}

static void fill_record(struct import *import, struct lapis_ctype *t, CXType canonical)
{
    if (clang_Type_getSizeOf(canonical) == CXTypeLayoutError_Incomplete) {
        t->kind = LAPIS_OPAQUE;
        return;
    }
    t->kind = clang_getTypeDeclaration(canonical).kind == CXCursor_UnionDecl ? LAPIS_UNION : LAPIS_STRUCT;
    struct fields fields = {import, t, 0};
    clang_Type_visitFields(canonical, add_field, &fields);
}

/* ---- function pointers ---- */

struct names {
    struct import *import;
    struct lapis_ctype *type;
    size_t n;
};

static enum CXChildVisitResult name_argument(CXCursor cursor, CXCursor parent, CXClientData data)
{
    struct names *names = data;
    (void)parent;
    if (clang_getCursorKind(cursor) == CXCursor_ParmDecl && names->n < names->type->n_args) {
        struct lapis_field *arg = &names->type->args[names->n++];
        arg->name = import_string(names->import, clang_getCursorSpelling(cursor));
    }
    return CXChildVisit_Continue;
}

/* The declaration whose children are the function type's parameters: the typedef behind the type, or the parameter
 * itself. */
static CXCursor names_source(CXType type, CXCursor decl)
{
    CXCursor source = decl;
    for (CXType t = type; t.kind != CXType_Invalid && t.kind != CXType_Pointer; t = unwrap(t))
        if (t.kind == CXType_Typedef)
            source = clang_getTypeDeclaration(t);
    /* typedef void fn(int); fn *callback */
    CXType pointee = clang_getPointeeType(desugar(type));
    for (CXType t = pointee; t.kind != CXType_Invalid; t = unwrap(t))
        if (t.kind == CXType_Typedef)
            source = clang_getTypeDeclaration(t);
    return source;
}

static void fill_function(struct import *import, struct lapis_ctype *t, CXType type, CXType proto, CXCursor decl)
{
    CXCursor none = clang_getNullCursor();
    t->kind = LAPIS_FUNCTION;
    t->ret = import_type(import, clang_getResultType(proto), none);
    int n = clang_getNumArgTypes(proto);
    for (int i = 0; i < n; i++) {
        struct lapis_ctype *inner = import_type(import, clang_getArgType(proto, (unsigned)i), none);
        HIRA_POOL_PUSH(import->pool, t->args, t->n_args)->type = inner;
    }
    CXCursor source = names_source(type, decl);
    struct names names = {import, t, 0};
    if (!clang_Cursor_isNull(source))
        clang_visitChildren(source, name_argument, &names);
}

/* ---- all kinds ---- */

static bool is_function(CXType type)
{
    CXType canonical = clang_getCanonicalType(type);
    return canonical.kind == CXType_FunctionProto || canonical.kind == CXType_FunctionNoProto;
}

static void fill_pointer(struct import *import, struct lapis_ctype *t, CXType type, CXType canonical, CXCursor decl)
{
    CXType pointee = clang_getPointeeType(desugar(type));
    if (pointee.kind == CXType_Invalid)
        pointee = clang_getPointeeType(canonical);
    if (is_function(pointee)) {
        fill_function(import, t, type, pointee, decl);
        return;
    }
    t->kind = LAPIS_POINTER;
    t->pointee = import_type(import, pointee, clang_getNullCursor());
}

static void fill_integer(struct lapis_ctype *t, enum CXTypeKind kind)
{
    t->kind = LAPIS_INT;
    t->is_signed = (kind >= CXType_Char_S && kind <= CXType_LongLong) || kind == CXType_Int128;
    t->is_char = kind == CXType_Char_S || kind == CXType_Char_U || kind == CXType_SChar || kind == CXType_UChar;
}

static void fill_array(struct import *import, struct lapis_ctype *t, CXType type)
{
    CXType array = desugar(type);
    CXType element = clang_getArrayElementType(array);
    long long n = clang_getArraySize(array);
    t->kind = LAPIS_ARRAY;
    t->pointee = import_type(import, element, clang_getNullCursor());
    t->length = n > 0 ? (size_t)n : 0;
}

static void fill(struct import *import, struct lapis_ctype *t, CXType type, CXType canonical, CXCursor decl)
{
    switch (canonical.kind) {
    case CXType_Void:
        t->kind = LAPIS_VOID;
        break;
    case CXType_Enum:
        fill_integer(t, clang_getCanonicalType(clang_getEnumDeclIntegerType(clang_getTypeDeclaration(canonical))).kind);
        t->is_enum = true;
        break;
    case CXType_Half:
    case CXType_Float16:
    case CXType_Float:
    case CXType_Double:
    case CXType_LongDouble:
    case CXType_Float128:
        t->kind = LAPIS_FLOAT;
        break;
    case CXType_Pointer:
        fill_pointer(import, t, type, canonical, decl);
        break;
    case CXType_Record:
        fill_record(import, t, canonical);
        break;
    case CXType_ConstantArray:
    case CXType_IncompleteArray:
    case CXType_VariableArray:
        fill_array(import, t, type);
        break;
    case CXType_Vector:
    case CXType_ExtVector:
        t->kind = LAPIS_STRUCT; /* bytes: a struct without members that need care */
        break;
    case CXType_FunctionProto:
    case CXType_FunctionNoProto: /* a parameter declared as a function is a pointer to it */
        fill_function(import, t, type, type, decl);
        t->size = t->align = sizeof(void *);
        break;
    default:
        if (canonical.kind >= CXType_Bool && canonical.kind <= CXType_Int128)
            fill_integer(t, canonical.kind);
        else
            t->kind = LAPIS_OPAQUE;
    }
}

static struct lapis_ctype *cached(struct import *import, const char *spelling)
{
    struct import_type *found;
    HASH_FIND_STR(import->types, spelling, found);
    return found ? found->type : NULL;
}

static void cache(struct import *import, struct lapis_ctype *type)
{
    struct import_type *entry = hira_pool_alloc(import->pool, sizeof(*entry));
    entry->spelling = type->spelling;
    entry->type = type;
    HASH_ADD_KEYPTR(hh, import->types, entry->spelling, strlen(entry->spelling), entry);
}

/* The names of a function pointer's arguments belong to the one declaration that spells it out. */
static bool shareable(CXType type)
{
    CXType t = desugar(type);
    return type.kind == CXType_Typedef || t.kind != CXType_Pointer || !is_function(clang_getPointeeType(t));
}

static bool is_va_list(const char *canonical)
{
    return strstr(canonical, "va_list") != NULL;
}

struct lapis_ctype *import_type(struct import *import, CXType type, CXCursor decl)
{
    const char *spelling = spelling_of(import, type);
    bool share = shareable(type);
    struct lapis_ctype *t = share ? cached(import, spelling) : NULL;
    if (t)
        return t;
    CXType canonical = clang_getCanonicalType(type);
    long long size = clang_Type_getSizeOf(canonical), align = clang_Type_getAlignOf(canonical);
    t = hira_pool_alloc(import->pool, sizeof(*t));
    t->spelling = spelling;
    t->is_const = clang_isConstQualifiedType(type);
    t->name = without_const(import, spelling, t->is_const);
    t->canonical = spelling_of(import, canonical);
    t->size = size > 0 ? (size_t)size : 0;
    t->align = align > 0 ? (size_t)align : 0;
    if (share)
        cache(import, t);
    t->handle = is_va_list(t->canonical) ? NULL : handle_of(import, type, canonical, decl);
    if (t->handle)
        t->kind = LAPIS_HANDLE;
    else if (is_va_list(t->canonical))
        t->kind = LAPIS_OPAQUE;
    else
        fill(import, t, type, canonical, decl);
    if (t->handle && (!t->handle->ctype || t->handle->ctype->is_const))
        t->handle->ctype = t;
    return t;
}
