/*
 * Rules whose evidence is documentation: tags in brackets ("[in,out][optional][range(0, *pCount)]", "@param[in]"),
 * Microsoft's source annotations (_In_reads_(n)), and a little prose.
 *
 * Documentation is written by people for people, and some of it is wrong: compression libraries tag destination buffers
 * as [in], meaning "you pass the pointer". So a tag that contradicts a type or a name is reported, and never takes a
 * way back that the name promises. Prose decides a direction only where a text begins with "Returned"; elsewhere it
 * only helps with units.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "lapis/infer_private.h"

/* ---- text ---- */

bool infer_doc_says(const struct lapis_value *value, const char *const *phrases)
{
    for (; value->doc && *phrases; phrases++)
        if (strcasestr(value->doc, *phrases))
            return true;
    return false;
}

bool infer_doc_bytes(const struct lapis_value *value)
{
    static const char *const phrases[] = {"in bytes", "number of bytes", "size in byte", "(bytes)", "bytes in", NULL};
    return infer_doc_says(value, phrases);
}

bool infer_doc_elements(const struct lapis_value *value)
{
    static const char *const phrases[] = {"number of ", "count of ", "how many", NULL};
    return !infer_doc_bytes(value) && infer_doc_says(value, phrases);
}

/* The text behind the tags. */
static const char *prose(const struct lapis_value *value)
{
    const char *p = value->doc ? value->doc : "";
    for (; *p == '[' || isspace((unsigned char)*p); p++)
        if (*p == '[') {
            const char *close = strchr(p, ']');
            if (!close)
                break;
            p = close;
        }
    return p;
}

static bool begins_returned(const struct lapis_value *value)
{
    static const char *const beginnings[] = {
        "returned ", "returns ", "pointer to returned", "pointer to the returned", "receives ", "output ", NULL};
    const char *text = prose(value);
    for (const char *const *b = beginnings; *b; b++)
        if (!strncasecmp(text, *b, strlen(*b)))
            return true;
    return false;
}

/* ---- "[in,out][optional][range(0, n)]" ---- */

static void take_direction(struct infer_tags *tags, bool in, bool out, const char *what)
{
    tags->explicit_direction = true;
    tags->direction = in && out ? LAPIS_INOUT : out ? LAPIS_OUT : LAPIS_IN;
    tags->what = what;
}

/* The end of what begins behind an opening bracket or parenthesis, nested ones counted. */
static const char *closing(const char *p, char open, char close)
{
    for (int depth = 1; *p; p++) {
        depth += *p == open;
        depth -= *p == close;
        if (!depth)
            return p;
    }
    return NULL;
}

static void range_tag(struct infer *infer, struct infer_tags *tags, const char *p, const char *end)
{
    const char *comma = memchr(p, ',', (size_t)(end - p));
    const char *close = end;
    while (close > p && *close != ')')
        close--;
    if (!comma || close <= comma)
        return;
    for (comma++; *comma == ' '; comma++)
        ;
    tags->range = hira_pool_strndup(infer->pool, comma, (size_t)(close - comma));
}

static void bracket_tag(struct infer *infer, struct infer_tags *tags, const char *p, const char *end)
{
    size_t n = (size_t)(end - p);
    char word[32] = {0};
    if (!strncmp(p, "range(", 6)) {
        range_tag(infer, tags, p + 6, end);
        return;
    }
    for (size_t i = 0, k = 0; i < n && k < sizeof(word) - 1; i++)
        if (!isspace((unsigned char)p[i]))
            word[k++] = (char)tolower((unsigned char)p[i]);
    if (!strcmp(word, "in"))
        take_direction(tags, true, false, "[in]");
    else if (!strcmp(word, "out"))
        take_direction(tags, false, true, "[out]");
    else if (!strcmp(word, "in,out") || !strcmp(word, "inout") || !strcmp(word, "in/out") || !strcmp(word, "out,in"))
        take_direction(tags, true, true, "[in,out]");
    else if (!strcmp(word, "optional"))
        tags->optional = true;
}

static void bracket_tags(struct infer *infer, struct infer_tags *tags, const char *doc)
{
    for (const char *p = doc; p && (*p == '[' || *p == ' '); p++) {
        if (*p == ' ')
            continue;
        const char *end = closing(p + 1, '[', ']');
        if (!end)
            return;
        bracket_tag(infer, tags, p + 1, end);
        p = end;
    }
}

/* ---- SAL: _In_opt_, _Out_writes_bytes_(n), _Inout_updates_, _Outptr_, _In_z_ ---- */

static void sal_words(struct infer *infer, struct infer_tags *tags, const char *p, const char *end)
{
    bool in = !strncmp(p, "_In_", 4) || !strncmp(p, "_Inout_", 7);
    bool out = !strncmp(p, "_Out", 4) || !strncmp(p, "_Inout_", 7) || !strncmp(p, "_COM_Outptr_", 12);
    if (!in && !out)
        return;
    take_direction(tags, in, out, hira_pool_strndup(infer->pool, p, (size_t)(end - p)));
    for (const char *q = p; q < end; q++) {
        tags->optional |= !strncmp(q, "_opt_", 5);
        tags->bytes |= !strncmp(q, "_bytes_", 7);
        tags->string |= !strncmp(q, "_z_", 3);
    }
    tags->one = true; /* unless it has an argument */
}

static void sal_arguments(struct infer *infer, struct infer_tags *tags, const char *open)
{
    const char *close = closing(open + 1, '(', ')');
    if (!close)
        return;
    const char *comma = memchr(open, ',', (size_t)(close - open));
    const char *end = comma ? comma : close;
    tags->one = false;
    tags->range = hira_pool_strndup(infer->pool, open + 1, (size_t)(end - open - 1));
    if (comma)
        tags->written = hira_pool_strndup(infer->pool, comma + 1, (size_t)(close - comma - 1));
}

static void sal_tags(struct infer *infer, struct infer_tags *tags, const char *source)
{
    for (const char *p = source; p && *p; p++) {
        if (*p != '_' || (p > source && (isalnum((unsigned char)p[-1]) || p[-1] == '_')))
            continue;
        const char *end = p;
        while (isalnum((unsigned char)*end) || *end == '_')
            end++;
        bool before = tags->explicit_direction;
        if (!before)
            sal_words(infer, tags, p, end);
        if (!before && tags->explicit_direction && *end == '(')
            sal_arguments(infer, tags, end);
        p = end - 1;
    }
}

struct infer_tags infer_tags_of(struct infer *infer, const struct lapis_value *value)
{
    struct infer_tags tags = {0};
    bracket_tags(infer, &tags, value->doc);
    sal_tags(infer, &tags, value->source);
    return tags;
}

/* ---- directions ---- */

static struct lapis_loc doc_loc(const struct lapis_value *value)
{
    return value->doc_loc.line ? value->doc_loc : value->loc;
}

static bool named_or_told_written(const struct lapis_value *value)
{
    static const char *const phrases[] = {"destination", "output", "returned", "filled", "to be written", NULL};
    return infer_is_destination(value->name) || infer_doc_says(value, phrases);
}

static bool direction(struct infer_scope *scope, struct lapis_value *value)
{
    struct infer_tags tags = infer_tags_of(scope->infer, value);
    if (!tags.explicit_direction)
        return false;
    if (tags.direction == LAPIS_IN && !infer_points_to(value, LAPIS_HANDLE) && named_or_told_written(value)) {
        lapis_warning(
            scope->infer->diag, doc_loc(value),
            "%s of %s is documented as [in], but its name or text says that it is written: it travels both ways",
            value->name, scope->owner);
        infer_turn(value, LAPIS_INOUT);
        lapis_value_because(scope->infer->pool, value, "doc.contradiction", doc_loc(value),
                            "%s is documented as [in], but its name or text says that it is written", value->name);
        return true;
    }
    /* [in,out] on handles that a counted call hands out means the array: what is in it before is no handle. */
    if (tags.direction == LAPIS_INOUT && infer_points_to(value, LAPIS_HANDLE) && tags.range && *tags.range == '*')
        tags.direction = LAPIS_OUT;
    infer_turn(value, tags.direction);
    lapis_value_because(scope->infer->pool, value, "doc.direction", doc_loc(value), "%s is documented as %s",
                        value->name, tags.what);
    return true;
}

static bool returned(struct infer_scope *scope, struct lapis_value *value)
{
    if (!begins_returned(value))
        return false;
    infer_turn(value, LAPIS_OUT);
    lapis_value_because(scope->infer->pool, value, "doc.returned", doc_loc(value), "%s is documented as \"%.*s\"",
                        value->name, (int)HIRA_MIN(strcspn(prose(value), "\n"), (size_t)60), prose(value));
    return true;
}

/* A const pointer tagged [out]: the type is right, the tag is reported. */
static bool contradiction(struct infer_scope *scope, struct lapis_value *value)
{
    if (!infer_is_data_pointer(value) || !value->ctype->pointee->is_const)
        return false;
    struct infer_tags tags = infer_tags_of(scope->infer, value);
    if (!tags.explicit_direction || tags.direction == LAPIS_IN)
        return false;
    lapis_warning(scope->infer->diag, doc_loc(value),
                  "%s of %s is documented as %s, but points to const: it is only read", value->name, scope->owner,
                  tags.what);
    return true;
}

/* ---- shapes ---- */

static bool is_name(char c)
{
    return isalnum((unsigned char)c) || c == '_';
}

/* Every identifier of the expression is a sibling. */
static bool names_known(struct infer_scope *scope, const char *expression)
{
    for (const char *p = expression; *p;) {
        const char *start = p;
        while (is_name(*p))
            p++;
        if (p == start) {
            p++;
            continue;
        }
        char name[128];
        size_t n = HIRA_MIN((size_t)(p - start), sizeof(name) - 1);
        memcpy(name, start, n);
        name[n] = 0;
        if (!isdigit((unsigned char)*name) && !infer_sibling(scope, name))
            return false;
    }
    return true;
}

/* A documented bound as an expression: pointers are looked through, "*pCount" and "pCount" alike. NULL: not understood.
 */
static const char *bound(struct infer_scope *scope, const char *range, struct lapis_value **ret_pointer)
{
    *ret_pointer = NULL;
    while (range && isspace((unsigned char)*range))
        range++;
    if (!range || !*range)
        return NULL;
    const char *bare = range + (*range == '*');
    struct lapis_value *sibling = infer_sibling(scope, bare);
    if (sibling && infer_is_data_pointer(sibling)) {
        *ret_pointer = sibling;
        return infer_dereference(scope, sibling);
    }
    return *range != '*' && names_known(scope, range) ? range : NULL;
}

static bool range(struct infer_scope *scope, struct lapis_value *value)
{
    struct infer_tags tags = infer_tags_of(scope->infer, value);
    struct lapis_value *pointer, *written;
    const char *count = infer_is_data_pointer(value) ? bound(scope, tags.range, &pointer) : NULL;
    if (!count)
        return false;
    infer_buffer(scope, value, count, tags.bytes || infer_is_bytes(value->ctype->pointee));
    lapis_value_because(scope->infer->pool, value, "doc.range", doc_loc(value), "%s is documented to have %s %s",
                        value->name, tags.range, value->unit_bytes ? "bytes" : "elements");
    if (tags.written)
        value->filled = bound(scope, tags.written, &written);
    else if (pointer && value->direction != LAPIS_IN)
        value->filled = count;
    return true;
}

static bool string(struct infer_scope *scope, struct lapis_value *value)
{
    static const char *const phrases[] = {"null-terminated", "null terminated", "nul-terminated", "nul terminated",
                                          "zero-terminated", "c string",        "c-string",       NULL};
    if (!infer_points_to(value, LAPIS_INT) || !value->ctype->pointee->is_char || !value->ctype->pointee->is_const)
        return false;
    if (!infer_tags_of(scope->infer, value).string && !infer_doc_says(value, phrases))
        return false;
    infer_string(scope, value, NULL);
    lapis_value_because(scope->infer->pool, value, "doc.string", doc_loc(value), "%s is documented as a string",
                        value->name);
    return true;
}

static bool typed(const struct lapis_value *value)
{
    return infer_is_data_pointer(value) && !infer_is_bytes(value->ctype->pointee);
}

static bool settle_one(struct infer_scope *scope, struct lapis_value *value, const char *rule, const char *why)
{
    infer_buffer(scope, value, "1", false);
    lapis_value_because(scope->infer->pool, value, rule, doc_loc(value), "%s %s", value->name, why);
    return true;
}

static bool one(struct infer_scope *scope, struct lapis_value *value)
{
    return typed(value) && infer_tags_of(scope->infer, value).one &&
           settle_one(scope, value, "doc.one", "is annotated as one object");
}

static bool no_range(struct infer_scope *scope, struct lapis_value *value)
{
    return scope->infer->ranges && typed(value) && infer_tags_of(scope->infer, value).explicit_direction &&
           !infer_is_plural_value(value) &&
           settle_one(scope, value, "doc.no-range",
                      "is documented without a range, in a header that gives ranges: it is one");
}

static bool returned_one(struct infer_scope *scope, struct lapis_value *value)
{
    return typed(value) && begins_returned(value) && value->direction == LAPIS_OUT && !infer_is_plural_value(value) &&
           !infer_is_counted(scope, value) &&
           settle_one(scope, value, "doc.returned-one", "is documented as returned, its name is singular: it is one");
}

static bool optional(struct infer_scope *scope, struct lapis_value *value)
{
    static const char *const phrases[] = {"optional", "can be null", "may be null", "or null", NULL};
    if (value->nullable ||
        (!infer_is_data_pointer(value) && value->kind != LAPIS_V_HANDLE && value->kind != LAPIS_V_CALLBACK))
        return false;
    if (!infer_tags_of(scope->infer, value).optional && !infer_doc_says(value, phrases))
        return false;
    value->nullable = true;
    lapis_value_because(scope->infer->pool, value, "doc.optional", doc_loc(value), "%s is documented as optional",
                        value->name);
    return true;
}

#define ANYWHERE (INFER_PARAMETER | INFER_FIELD)

const struct infer_rule infer_doc_rules[] = {
    {"doc.direction",
     "A tag ([in], [out], [in,out], SAL) gives the direction; [in] on what is named as a destination does not.",
     INFER_DIRECTION, ANYWHERE, direction},
    {"doc.returned", "A text that begins with \"Returned\" is of something written.", INFER_DIRECTION, ANYWHERE,
     returned},
    {"doc.range", "[range(0, n)] and SAL sizes give the count.", INFER_SHAPE, ANYWHERE, range},
    {"doc.string", "A const char pointer documented as NUL-terminated is a string.", INFER_SHAPE, ANYWHERE, string},
    {"doc.one", "A SAL annotation without size is of one object.", INFER_SHAPE, ANYWHERE, one},
    {"doc.optional", "[optional], _opt_ and \"may be NULL\" say nullable.", INFER_FACT, ANYWHERE, optional},
    {"doc.contradiction", "A tag that contradicts const is reported.", INFER_FACT, ANYWHERE, contradiction},
    {0},
};

const struct infer_rule infer_late_doc_rules[] = {
    {"doc.no-range", "In a header that documents ranges, a documented singular pointer without one is one object.",
     INFER_SHAPE, ANYWHERE, no_range},
    {"doc.returned-one", "A singular pointer documented as returned, which nothing counts, is one object.", INFER_SHAPE,
     ANYWHERE, returned_one},
    {0},
};
