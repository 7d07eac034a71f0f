/*
 * Rules whose evidence is the C type alone. The late ones are reached when neither names nor documentation have said
 * anything: they are few, because a type says little about a pointer.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include <string.h>

#include "lapis/infer_private.h"

/* ---- directions ---- */

static bool const_pointer(struct infer_scope *scope, struct lapis_value *value)
{
    if (!value->ctype->pointee->is_const)
        return false;
    infer_turn(value, LAPIS_IN);
    infer_because(scope, value, "type.const-pointer", value, "%s points to const: it is only read", value->name);
    return true;
}

/* "const char **strings" with a count is an array that is read; "const char **name" alone is a place for an answer. */
static bool const_pointers(struct infer_scope *scope, struct lapis_value *value)
{
    const struct lapis_ctype *pointee = value->ctype->pointee;
    if (pointee->kind != LAPIS_POINTER || !pointee->pointee->is_const ||
        !(infer_is_counted(scope, value) || (infer_is_plural_value(value) && scope->verb != INFER_GET)))
        return false;
    infer_turn(value, LAPIS_IN);
    infer_because(scope, value, "type.const-pointers", value, "%s is an array of pointers to const: it is only read",
                  value->name);
    return true;
}

/* Whether bytes of this type hold a handle or a pointer; what pointers lead to is not looked at. */
static bool holds(const struct lapis_ctype *type, enum lapis_ctype_kind kind)
{
    if (type->kind == kind)
        return true;
    if (type->kind == LAPIS_ARRAY)
        return holds(type->pointee, kind);
    for (size_t i = 0; (type->kind == LAPIS_STRUCT || type->kind == LAPIS_UNION) && i < type->n_fields; i++)
        if (holds(type->fields[i].type, kind))
            return true;
    return false;
}

static bool out_handle(struct infer_scope *scope, struct lapis_value *value)
{
    if (!infer_points_to(value, LAPIS_HANDLE) || !scope->infer->const_correct)
        return false;
    infer_turn(value, LAPIS_OUT);
    infer_because(
        scope, value, "type.out-handle", value,
        "%s points to a handle that is not const, in a header that says const where it means it: it is written",
        value->name);
    return true;
}

/* Bytes may travel both ways without harm. Handles and pointers inside may not: what the application has not set is
 * none. */
static bool read_write(struct infer_scope *scope, struct lapis_value *value)
{
    const struct lapis_ctype *pointee = value->ctype->pointee;
    if (holds(pointee, LAPIS_HANDLE) || (pointee->kind != LAPIS_POINTER && holds(pointee, LAPIS_POINTER))) {
        value->question = "is what it points to read, written, or both?";
        return true;
    }
    infer_turn(value, LAPIS_INOUT);
    infer_because(scope, value, "type.read-write", value,
                  "nothing says whether %s is read or written: it travels both ways", value->name);
    return true;
}

/* ---- shapes ---- */

static bool callback(struct infer_scope *scope, struct lapis_value *value)
{
    if (value->ctype->kind != LAPIS_FUNCTION)
        return false;
    infer_callback(scope, value);
    infer_because(scope, value, "type.callback", value, "%s points to a function: the other side calls it",
                  value->name);
    return true;
}

static bool array_parameter(struct infer_scope *scope, struct lapis_value *value)
{
    if (!infer_is_data_pointer(value) || !value->ctype->length)
        return false;
    infer_buffer(scope, value, hira_pool_printf(scope->infer->pool, "%zu", value->ctype->length), false);
    infer_because(scope, value, "type.array-parameter", value, "%s is declared as an array of %zu", value->name,
                  value->ctype->length);
    return true;
}

static bool no_count_near(struct infer_scope *scope, const struct lapis_value *value)
{
    return !infer_is_plural_value(value) && !infer_is_counted(scope, value);
}

static bool single_handle(struct infer_scope *scope, struct lapis_value *value)
{
    if (!infer_points_to(value, LAPIS_HANDLE) || value->direction != LAPIS_OUT || infer_is_list_name(value->name) ||
        !no_count_near(scope, value))
        return false;
    infer_buffer(scope, value, "1", false);
    infer_because(scope, value, "type.single-handle", value,
                  "%s points to a handle to be written, and nothing counts it: it is one", value->name);
    return true;
}

static bool single_record(struct infer_scope *scope, struct lapis_value *value)
{
    if (!(infer_points_to(value, LAPIS_STRUCT) || infer_points_to(value, LAPIS_UNION)) || !no_count_near(scope, value))
        return false;
    infer_buffer(scope, value, "1", false);
    infer_because(scope, value, "type.single-struct", value,
                  "%s points to a complete struct, its name is singular and nothing counts it: it is one", value->name);
    return true;
}

#define ANYWHERE (INFER_PARAMETER | INFER_FIELD)

const struct infer_rule infer_type_rules[] = {
    {"type.const-pointer", "A pointer to const is only read.", INFER_DIRECTION, ANYWHERE, const_pointer},
    {"type.const-pointers", "A counted or plural array of pointers to const is only read.", INFER_DIRECTION, ANYWHERE,
     const_pointers},
    {"type.callback", "A pointer to a function is a callback.", INFER_SHAPE, ANYWHERE, callback},
    {"type.array-parameter", "A parameter declared as an array has that many elements.", INFER_SHAPE, ANYWHERE,
     array_parameter},
    {0},
};

const struct infer_rule infer_late_type_rules[] = {
    {"type.out-handle", "In a header that uses const, a pointer to a handle that is not const is written.",
     INFER_DIRECTION, ANYWHERE, out_handle},
    {"type.read-write",
     "Bytes of which nothing says whether they are read or written travel both ways; handles and pointers inside do "
     "not.",
     INFER_DIRECTION, ANYWHERE, read_write},
    {"type.single-handle", "A written pointer to a handle, singular and not counted, is one handle.", INFER_SHAPE,
     ANYWHERE, single_handle},
    {"type.single-struct", "A pointer to a complete struct, singular and not counted, is one struct.", INFER_SHAPE,
     ANYWHERE, single_record},
    {0},
};
