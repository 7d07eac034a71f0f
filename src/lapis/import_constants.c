/*
 * Which constants are a type's: so that a call log tells CL_MEM_READ_ONLY and not 4.
 *
 * C says so of enumerations. Where a type is an integer with macros beside it, headers say it in the comment above these:
 *
 *     cl_mem_flags and cl_svm_mem_flags - bitfield      (a comment that begins with the type; others follow by "and" or commas)
 *     Error Codes                                       (or status codes, return codes: of what functions return)
 *
 * Such a comment stands first or behind an empty line, and what is defined from there to the next one is the type's.
 * Nothing is decided by it but what a person reads.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "base/text.h"
#include "lapis/import_private.h"

static struct lapis_constants *add_set(struct import *import, const char *type, bool flags)
{
    struct lapis_constants *set =
        HIRA_POOL_PUSH(import->pool, import->model->constants, import->model->n_constants);
    *set = (struct lapis_constants){.type = type, .flags = flags};
    return set;
}

/* ---- enumerations ---- */

static enum CXChildVisitResult add_enumerator(CXCursor cursor, CXCursor parent, CXClientData data)
{
    struct import *import = data;
    struct lapis_constants *set = &import->model->constants[import->model->n_constants - 1];
    (void)parent;
    if (clang_getCursorKind(cursor) == CXCursor_EnumConstantDecl)
        *HIRA_POOL_PUSH(import->pool, set->names, set->n_names) =
            import_string(import, clang_getCursorSpelling(cursor));
    return CXChildVisit_Continue;
}

void import_enumeration(struct import *import, CXCursor cursor)
{
    const char *type = import_string(import, clang_getTypeSpelling(clang_getCanonicalType(clang_getCursorType(cursor))));
    if (type && clang_isCursorDefinition(cursor)) {
        size_t n = strlen(type);
        bool flags = (n > 5 && !strcasecmp(type + n - 5, "flags")) || (n > 8 && strstr(type + n - 8, "FlagBits"));
        add_set(import, type, flags);
        clang_visitChildren(cursor, add_enumerator, import);
    }
}

/* ---- macros below a comment ---- */

static size_t word(const char *s)
{
    size_t n = 0;
    while (isalnum((unsigned char)s[n]) || s[n] == '_')
        n++;
    return n;
}

static const char *skip_blanks(const char *s)
{
    return s + strspn(s, " \t*");
}

/* What a group's comment says it is of; whether it is a group's. */
static bool read_heading(struct import *import, const char *s)
{
    static const char *const codes[] = {"error codes", "status codes", "return codes"};
    size_t first = import->model->n_constants;
    const char *end = strstr(s, "*/"), *line = strchr(s, '\n');
    bool flags = false;
    s = skip_blanks(s);
    for (size_t i = 0; i < HIRA_ARRAY_SIZE(codes); i++)
        if (!strncasecmp(s, codes[i], strlen(codes[i])))
            return add_set(import, "", false), true;
    for (const char *p = s; end && p + 8 <= end && !flags; p++)
        flags = !strncasecmp(p, "bitfield", 8) || !strncasecmp(p, "bit mask", 8);
    while (end && word(s) && s + word(s) <= end && (!line || line > end)) {
        add_set(import, hira_pool_strndup(import->pool, s, word(s)), flags);
        s = skip_blanks(s + word(s));
        if (!strncmp(s, "and ", 4))
            s += 4;
        else if (*s++ != ',')
            break;
        s = skip_blanks(s);
    }
    return import->model->n_constants > first;
}

/* A macro that stands for an integer: digits, operators, and other such macros. */
static bool is_integer(const struct import *import, const char *s, const char *end)
{
    bool some = false;
    while (s < end && strncmp(s, "/*", 2) && strncmp(s, "//", 2)) {
        size_t n = word(s);
        some |= n;
        const char *name = n && !isdigit((unsigned char)*s) ? s : NULL;
        if (!n && !strchr(" \t()<|~-+&\\\r", *s))
            return false;
        bool known = !name;
        for (size_t i = 0; i < import->model->n_constants && !known; i++)
            for (size_t k = 0; k < import->model->constants[i].n_names && !known; k++)
                known = strlen(import->model->constants[i].names[k]) == n &&
                        !memcmp(import->model->constants[i].names[k], name, n);
        if (!known)
            return false;
        s += n ? n : 1;
    }
    return some;
}

/* "#define NAME VALUE", to all types of the group. */
static void take_define(struct import *import, const char *s, const char *end, size_t first)
{
    s = skip_blanks(s + 1);
    if (strncmp(s, "define", 6))
        return;
    s = skip_blanks(s + 6);
    size_t n = word(s);
    if (!n || s[n] == '(' || !is_integer(import, s + n, end))
        return;
    const char *name = hira_pool_strndup(import->pool, s, n);
    for (size_t i = first; i < import->model->n_constants; i++)
        *HIRA_POOL_PUSH(import->pool, import->model->constants[i].names, import->model->constants[i].n_names) = name;
}

void import_constants(struct import *import, const struct import_file *file)
{
    size_t first = import->model->n_constants;
    bool open = false, blank = true;
    const char *text = file->text, *end = text + file->size;
    for (const char *s = text, *next; s < end; s = next) {
        const char *line_end = memchr(s, '\n', (size_t)(end - s));
        next = line_end ? line_end + 1 : end;
        const char *p = s + strspn(s, " \t");
        if (!strncmp(p, "/*", 2) && blank) {
            first = import->model->n_constants;
            open = read_heading(import, p + 2);
        } else if (*p == '#' && open) {
            take_define(import, p, line_end ? line_end : end, first);
        }
        blank = p == line_end || *p == '\r' || !strncmp(p, "#if", 3) || !strncmp(p, "#endif", 6);
    }
}

/* The first set of the same type: other headers may go on where one ended. */
static struct lapis_constants *same_type(struct lapis_constants *sets, size_t n, const char *type)
{
    for (size_t i = 0; i < n; i++)
        if (!strcmp(sets[i].type, type))
            return &sets[i];
    return NULL;
}

/* One set for each type. What the headers do not define as they are read now (another version's) is nobody's. */
void import_constants_fini(struct import *import)
{
    struct lapis_model *model = import->model;
    struct lapis_constants *found = model->constants;
    size_t n_found = HIRA_STEAL(model->n_constants);
    model->constants = NULL;
    for (size_t i = 0; i < n_found; i++) {
        struct lapis_constants *set = same_type(model->constants, model->n_constants, found[i].type);
        for (size_t k = 0; k < found[i].n_names; k++) {
            if (!lapis_model_has_name(model, found[i].names[k]))
                continue;
            if (!set)
                set = add_set(import, found[i].type, false);
            *HIRA_POOL_PUSH(import->pool, set->names, set->n_names) = found[i].names[k];
        }
        if (set)
            set->flags |= found[i].flags;
    }
}
