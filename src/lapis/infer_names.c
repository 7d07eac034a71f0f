/*
 * Rules whose evidence is names: counts and what they count, verbs, the usual words for cookies, errors and strings.
 * They are the habits of C programmers at large; where a name allows two readings, the rule leaves the value to the
 * specification.
 *
 * Which count counts which pointer is a matter of how well the names agree (enum agreement). A count that agrees fully
 * with one pointer is not lent to another that it resembles less.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include <string.h>

#include "lapis/front.h"
#include "lapis/infer_private.h"

/* ---- words of names ---- */

static const char *const returned_words[] = {"ret", "return", "returned", "result", "out", NULL};
static const char *const destination_words[] = {"dst", "dest", "destination", "out", "output", "result", NULL};
static const char *const error_words[] = {"err", "errcode", "error", "errno", NULL};
static const char *const cookie_words[] = {"userdata", "userparam", "cookie",     "closure",  "opaque", "usrdata",
                                           "userptr",  "userarg",   "clientdata", "privdata", NULL};
static const char *const size_lists[] = {"length", "size", "len", NULL};
static const char *const one_in_plural[] = {"flag", "byte", "nbyte", NULL}; /* masks and sizes */
static const char *const capacity_words[] = {"cap",   "capacity",  "max",       "maximum",  "room", "limit",
                                             "avail", "available", "allocated", "reserved", NULL};
static const char *const dimension_words[] = {"dim", "dimension", "rank", "ndim", NULL};
static const char *const generic_tails[] = {"value", "data", "buffer", "buf", "info", "byte", "byte", NULL};
static const char *const string_words[] = {
    "name",    "path",        "filename", "pathname",  "file",     "string", "str",    "option",  "text",
    "message", "msg",         "url",      "uri",       "label",    "title",  "format", "fmt",     "key",
    "pattern", "version",     "errinfo",  "extension", "prefix",   "suffix", "mode",   "command", "cmd",
    "desc",    "description", "dir",      "directory", "hostname", NULL};

static const char *last_word(const struct infer_words *words)
{
    return words->n ? words->words[words->n - 1] : "";
}

bool infer_is_destination(const char *name)
{
    struct infer_words words = infer_split(name);
    for (size_t i = 0; i < words.n; i++)
        for (const char *const *d = destination_words; *d; d++)
            if (!strcmp(words.words[i], *d) ||
                (strlen(*d) >= 3 && i + 1 == words.n && strlen(words.words[i]) > strlen(*d) &&
                 !strncmp(words.words[i], *d, strlen(*d)) && **d == 'd'))
                return true;
    return false;
}

static bool is_returned_name(const char *name)
{
    struct infer_words words = infer_split(name);
    return infer_one_of(last_word(&words), returned_words);
}

static bool is_error_name(const char *name)
{
    struct infer_words words = infer_split(name);
    for (size_t i = 0; i < words.n; i++)
        if (infer_one_of(words.words[i], error_words))
            return true;
    return false;
}

/* "lengths", "binary_sizes": a list of sizes, not one size. */
static bool is_size_list(const char *name)
{
    struct infer_words words = infer_split(name);
    return words.n && words.plural[words.n - 1] && infer_one_of(last_word(&words), size_lists);
}

/* "counts", "values_ret", "entries": many numbers; "num_values", "sizeInBytes": one, although a word is plural. */
bool infer_is_list_name(const char *name)
{
    struct infer_words words = infer_split(name);
    while (words.n > 1 && infer_one_of(last_word(&words), returned_words))
        words.n--;
    if (!words.n || !words.plural[words.n - 1] || infer_one_of(last_word(&words), one_in_plural))
        return false;
    return !infer_is_count_prefixed(name);
}

/* Of results and counts: one number, or many. */
static bool is_result_name(const struct lapis_value *value)
{
    if (!infer_points_to(value, LAPIS_INT) || value->ctype->pointee->is_const || value->ctype->pointee->size < 2)
        return false;
    return is_returned_name(value->name) ||
           (infer_count_of(value->name).unit != INFER_NO_COUNT && !is_size_list(value->name));
}

bool infer_is_scalar_name(const struct lapis_value *value)
{
    return is_result_name(value) && !infer_is_list_name(value->name);
}

/* ---- counts by value ---- */

enum agreement {
    DISAGREE,
    BARE,     /* "count", "size": no noun at all */
    PARTLY,   /* one's words are among the other's: num_devices, device_list of in_devices */
    IN_VALUE, /* the pointer has a word more that says nothing: spec_size, spec_value */
    FULLY,    /* param_value_size, param_value */
};

static bool is_count(const struct lapis_value *value)
{
    return infer_is_integer(value) && infer_count_of(value->name).unit != INFER_NO_COUNT;
}

static enum agreement agree(const struct infer_count *count, const char *name)
{
    struct infer_words noun = infer_noun(name);
    if (!count->what.n)
        return BARE;
    if (infer_same(&count->what, &noun))
        return FULLY;
    struct infer_words stem = noun;
    if (stem.n > 1 && infer_one_of(last_word(&stem), generic_tails)) {
        stem.n--;
        if (infer_same(&count->what, &stem))
            return IN_VALUE;
    }
    if (infer_within(&count->what, &noun) || infer_within(&noun, &count->what))
        return PARTLY;
    return count->anything ? BARE : DISAGREE;
}

/* Whether the count agrees better than PARTLY with another pointer. */
static bool spoken_for(struct infer_scope *scope, const struct infer_count *count, const struct lapis_value *but)
{
    for (size_t i = 0; i < scope->n; i++)
        if (&scope->values[i] != but && infer_is_data_pointer(&scope->values[i]) &&
            !infer_is_scalar_name(&scope->values[i]) && agree(count, scope->values[i].name) > PARTLY)
            return true;
    return false;
}

static size_t distance(struct infer_scope *scope, const struct lapis_value *a, const struct lapis_value *b)
{
    return a > b ? (size_t)(a - b) : (size_t)(b - a);
    (void)scope;
}

/* A bare "size" counts untyped memory; of chars only what stands beside it. A bare "count" counts what is plural, an
 * array of pointers, or stands beside it; beside one text it may count anything. */
static bool bare_fits(struct infer_scope *scope, const struct lapis_value *value, const struct lapis_value *by,
                      enum infer_unit unit)
{
    const struct lapis_ctype *pointee = value->ctype->pointee;
    bool beside = distance(scope, value, by) == 1;
    if (unit != INFER_ELEMENTS)
        return pointee->kind == LAPIS_VOID || (infer_is_bytes(pointee) && beside);
    return infer_is_plural_value(value) || pointee->kind == LAPIS_POINTER || (beside && !pointee->is_char);
}

struct match {
    struct lapis_value *by;
    struct infer_count count;
    enum agreement agreement;
};

static struct match find_count(struct infer_scope *scope, const struct lapis_value *value)
{
    struct match best = {0};
    if (infer_index(scope, value) == scope->n || !infer_is_data_pointer(value) || infer_is_scalar_name(value))
        return best;
    for (size_t i = 0; i < scope->n; i++) {
        struct lapis_value *by = &scope->values[i];
        if (!is_count(by))
            continue;
        struct match m = {by, infer_count_of(by->name), DISAGREE};
        m.agreement = agree(&m.count, value->name);
        if ((m.agreement == PARTLY && spoken_for(scope, &m.count, value)) ||
            (m.agreement == BARE && !bare_fits(scope, value, by, m.count.unit)))
            continue;
        if (m.agreement > best.agreement || (m.agreement && m.agreement == best.agreement &&
                                             distance(scope, value, by) < distance(scope, value, best.by)))
            best = m;
    }
    return best;
}

bool infer_is_counted(struct infer_scope *scope, const struct lapis_value *value)
{
    return find_count(scope, value).agreement != DISAGREE;
}

/* ---- room: numbers that may say how much of a pointer may be written ---- */

/* "cap", "max_bins", "room"; "maxbins" and "outcap" run their words together. */
static bool is_capacity_name(const char *name)
{
    struct infer_words words = infer_split(name);
    for (size_t i = 0; i < words.n; i++) {
        const char *word = words.words[i];
        size_t n = strlen(word);
        if (infer_one_of(word, capacity_words) || (n > 4 && (!strncmp(word, "max", 3) || !strcmp(word + n - 3, "cap"))))
            return true;
    }
    return false;
}

/* Whether what is settled of another value goes by this number. */
static bool is_claimed(const struct infer_scope *scope, const struct lapis_value *number)
{
    for (size_t i = 0; i < scope->n; i++) {
        const struct lapis_value *v = &scope->values[i];
        if (v != number && v->count && lapis_says_word(v->count, number->name))
            return true;
    }
    return false;
}

static bool counts_no_bytes(const struct lapis_value *value)
{
    return is_count(value) && infer_count_of(value->name).unit != INFER_BYTES; /* bytes are of memory, not of numbers */
}

/* Such words as "room" speak of any pointer that the call writes, a bare "size" or "count" of what stands beside it. */
static struct lapis_value *room_near(struct infer_scope *scope, const struct lapis_value *value)
{
    struct lapis_value *found = NULL;
    if (infer_index(scope, value) == scope->n)
        return NULL;
    for (size_t i = 0; i < scope->n; i++) {
        struct lapis_value *v = &scope->values[i];
        bool beside = distance(scope, value, v) == 1;
        if (!v->name || !infer_is_integer(v) || is_claimed(scope, v) || !(is_capacity_name(v->name) || (beside && counts_no_bytes(v))))
            continue;
        if (!found || distance(scope, value, v) < distance(scope, value, found))
            found = v;
    }
    return found;
}

static bool is_number_pointer(const struct lapis_value *value)
{
    return infer_points_to(value, LAPIS_FLOAT) || (infer_points_to(value, LAPIS_INT) && value->ctype->pointee->size > 1);
}

/* A call that writes an array tells how many in a number with a count's name. So beside a pointer that nothing settles,
 * room is that one's, and "n_bins" is what it looks like. */
static bool is_told_count(struct infer_scope *scope, const struct lapis_value *value)
{
    if (!infer_is_scalar_name(value) || infer_count_of(value->name).unit == INFER_NO_COUNT)
        return false;
    for (size_t i = 0; i < scope->n; i++) {
        const struct lapis_value *v = &scope->values[i];
        bool written = infer_is_data_pointer(v) && !v->ctype->pointee->is_const;
        bool counts_too = infer_is_scalar_name(v) && infer_count_of(v->name).unit != INFER_NO_COUNT;
        if (v != value && written && !counts_too && v->kind == LAPIS_V_UNSETTLED && !is_error_name(v->name))
            return true;
    }
    return false;
}

struct lapis_value *infer_room(struct infer_scope *scope, const struct lapis_value *value)
{
    if (!infer_is_data_pointer(value) || value->ctype->pointee->is_const || value->direction == LAPIS_IN ||
        value->ctype->length || is_told_count(scope, value) || (is_error_name(value->name) && !infer_is_list_name(value->name)))
        return NULL;
    return room_near(scope, value);
}

/* One number, or room for many? Writing many where one was meant to be goes over the end, so it is asked. */
static bool may_have_room(struct infer_scope *scope, struct lapis_value *value)
{
    struct lapis_value *room = infer_room(scope, value);
    bool object = infer_points_to(value, LAPIS_HANDLE) || infer_points_to(value, LAPIS_STRUCT);
    if (!room || !(object || is_number_pointer(value)))
        return false;
    infer_because(scope, value, "name.room", room, "%s may be how many %s has room for", room->name, value->name);
    value->question = hira_pool_printf(scope->infer->pool, "is it one, or has it room for %s, as that name may mean?", room->name);
    return true;
}

/* ---- bytes or elements ---- */

enum unit_answer { ELEMENTS, BYTES, UNKNOWN };

static enum unit_answer unit_of(const struct lapis_value *value, const struct lapis_value *count, enum infer_unit unit)
{
    const struct lapis_ctype *pointee = value->ctype->pointee;
    if (pointee->kind == LAPIS_INT && pointee->size == 1)
        return BYTES;
    if (unit == INFER_BYTES || infer_doc_bytes(count))
        return BYTES;
    if (infer_is_bytes(pointee))
        return unit == INFER_ELEMENTS ? UNKNOWN : BYTES;
    if (unit == INFER_ELEMENTS || infer_doc_elements(count))
        return ELEMENTS;
    struct infer_words words = infer_split(count->name);
    return infer_ends_with(&words, "length") || infer_ends_with(&words, "len") ? ELEMENTS : UNKNOWN;
}

static bool ask_unit(struct infer_scope *scope, struct lapis_value *value, const struct lapis_value *count)
{
    value->question =
        hira_pool_printf(scope->infer->pool, "does %s count its bytes, its elements, or something else?", count->name);
    return true;
}

/* ---- memory that the API hands out as plain addresses ---- */

static bool api_memory(struct infer_scope *scope, const struct lapis_value *value)
{
    struct infer_words noun = infer_noun(value->name), object = {0};
    if (!infer_points_to(value, LAPIS_VOID))
        return false;
    if (scope->function)
        infer_verb_of(scope->function->name, NULL, &object);
    for (size_t i = 0; i < scope->infer->n_allocators; i++)
        if (infer_share(&scope->infer->allocators[i], &noun) || infer_share(&scope->infer->allocators[i], &object))
            return true;
    return false;
}

static bool ask_api_memory(struct infer_scope *scope, struct lapis_value *value)
{
    infer_because(scope, value, "name.api-memory", value,
                  "the API hands out plain addresses, and %s or %s has their name", value->name, scope->owner);
    value->question = "is it memory that the API itself hands out (opaque), or how many bytes of the application's?";
    return true;
}

static bool untyped_api_memory(struct infer_scope *scope, struct lapis_value *value)
{
    return infer_is_data_pointer(value) && api_memory(scope, value) && find_count(scope, value).agreement <= BARE &&
           ask_api_memory(scope, value);
}

/* ---- shapes from counts ---- */

static bool count_sibling(struct infer_scope *scope, struct lapis_value *value)
{
    struct match m = find_count(scope, value);
    if (!m.agreement)
        return false;
    enum unit_answer unit = unit_of(value, m.by, m.count.unit);
    if (unit == UNKNOWN)
        return ask_unit(scope, value, m.by);
    infer_buffer(scope, value, m.by->name, unit == BYTES);
    const char *const how[] = {[BARE] = "is the count beside it",
                               [PARTLY] = "shares its noun",
                               [IN_VALUE] = "has its stem",
                               [FULLY] = "has its name"};
    infer_because(scope, value, "name.count-sibling", m.by, "%s points to %s %s: %s %s", value->name, m.by->name,
                  unit == BYTES ? "bytes" : "elements", m.by->name, how[m.agreement]);
    return true;
}

/* fread's way: (void *data, size_t size, size_t nitems). */
static bool size_times_count(struct infer_scope *scope, struct lapis_value *value)
{
    struct lapis_value *size = NULL, *count = NULL;
    if (!infer_points_to(value, LAPIS_VOID) || infer_index(scope, value) == scope->n)
        return false;
    for (size_t i = 0; i < scope->n; i++) {
        struct infer_count c =
            is_count(&scope->values[i]) ? infer_count_of(scope->values[i].name) : (struct infer_count){0};
        if (c.unit == INFER_SIZE && !c.what.n)
            size = &scope->values[i];
        if (c.unit == INFER_ELEMENTS && (!c.what.n || c.anything))
            count = &scope->values[i];
    }
    if (!size || !count || distance(scope, size, count) != 1)
        return false;
    infer_buffer(scope, value, hira_pool_printf(scope->infer->pool, "%s * %s", size->name, count->name), true);
    infer_because(scope, value, "name.size-times-count", size, "%s holds %s objects of %s bytes", value->name,
                  count->name, size->name);
    return true;
}

static bool dimension_sibling(struct infer_scope *scope, struct lapis_value *value)
{
    if (!infer_points_to(value, LAPIS_INT) || infer_is_bytes(value->ctype->pointee))
        return false;
    struct infer_words noun = infer_noun(value->name);
    for (size_t i = 0; i < scope->n; i++) {
        struct lapis_value *by = &scope->values[i];
        struct infer_words words = infer_noun(by->name ? by->name : "");
        if (!infer_is_integer(by) || words.n < 2 || !infer_one_of(last_word(&words), dimension_words))
            continue;
        words.n--;
        if (!infer_share(&words, &noun))
            continue;
        infer_buffer(scope, value, by->name, false);
        infer_because(scope, value, "name.dimension-sibling", by, "%s has one element for each of %s dimensions",
                      value->name, by->name);
        return true;
    }
    return false;
}

/* ---- counts behind pointers: "uint32_t *pCount, T *pItems", "Bytef *dest, uLongf *destLen" ---- */

static struct lapis_value *count_pointer_of(struct infer_scope *scope, const struct lapis_value *value,
                                            struct infer_count *ret)
{
    struct lapis_value *best = NULL;
    enum agreement best_agreement = DISAGREE;
    for (size_t i = 0; i < scope->n; i++) {
        struct lapis_value *by = &scope->values[i];
        if (by == value || !infer_is_scalar_name(by) || is_returned_name(by->name))
            continue;
        struct infer_count count = infer_count_of(by->name);
        enum agreement agreement = agree(&count, value->name);
        if (agreement == BARE && distance(scope, value, by) != 1)
            continue;
        if (agreement == PARTLY && (spoken_for(scope, &count, value) || !infer_is_plural_value(value)))
            continue;
        if (agreement > best_agreement) {
            best = by;
            best_agreement = agreement;
            *ret = count;
        }
    }
    return best;
}

static void read_count(struct infer_scope *scope, struct lapis_value *count, const struct lapis_value *of)
{
    if (count->direction == LAPIS_INOUT)
        return;
    infer_turn(count, LAPIS_INOUT);
    infer_because(scope, count, "name.count-pointer", of,
                  "%s says how large %s is, and is told how much of it was used", count->name, of->name);
}

static bool count_pointer(struct infer_scope *scope, struct lapis_value *value)
{
    struct infer_count count;
    /* With a number for the room beside it, what is behind the pointer is only told. */
    if (!infer_is_data_pointer(value) || infer_is_scalar_name(value) || value->ctype->pointee->is_const ||
        infer_room(scope, value))
        return false;
    struct lapis_value *by = count_pointer_of(scope, value, &count);
    if (!by)
        return false;
    enum unit_answer unit = unit_of(value, by, count.unit);
    if (unit == UNKNOWN)
        return ask_unit(scope, value, by);
    infer_buffer(scope, value, infer_dereference(scope, by), unit == BYTES);
    infer_because(scope, value, "name.count-pointer", by, "%s points to *%s %s, and as many are written", value->name,
                  by->name, unit == BYTES ? "bytes" : "elements");
    read_count(scope, by, value);
    if (infer_is_destination(value->name))
        infer_turn(value, LAPIS_OUT);
    if (value->direction != LAPIS_IN)
        value->filled = value->count;
    return true;
}

/* ---- counts of neighbours ---- */

/* An array without a count of its own beside one that has one: they run in parallel when they share a noun, or when one
 * lists the lengths of the other. */
static bool parallel(struct infer_scope *scope, struct lapis_value *value, const struct lapis_value *beside)
{
    if (beside->kind != LAPIS_V_BUFFER || beside->unit_bytes || !beside->count || !strcmp(beside->count, "1") ||
        beside->ctype->length)
        return false;
    struct infer_words a = infer_noun(value->name), b = infer_noun(beside->name);
    bool pointers = infer_points_to(value, LAPIS_POINTER) || infer_points_to(beside, LAPIS_POINTER);
    if (!(infer_share(&a, &b) && (pointers || infer_is_plural_value(value))) &&
        !(is_size_list(value->name) && pointers))
        return false;
    infer_buffer(scope, value, beside->count, false);
    infer_because(scope, value, "name.parallel-array", beside, "%s runs in parallel to %s", value->name, beside->name);
    return true;
}

static bool parallel_array(struct infer_scope *scope, struct lapis_value *value)
{
    size_t i = infer_index(scope, value);
    if (i == scope->n || !infer_is_data_pointer(value) || infer_is_bytes(value->ctype->pointee) ||
        infer_is_scalar_name(value))
        return false;
    return (i > 0 && parallel(scope, value, &scope->values[i - 1])) ||
           (i + 1 < scope->n && parallel(scope, value, &scope->values[i + 1]));
}

static bool only_count(struct infer_scope *scope, struct lapis_value *value)
{
    struct lapis_value *only = NULL;
    /* Not every plural: "properties" may end in its own way. Pointers and lengths are data about something counted. */
    if (!infer_is_data_pointer(value) || !infer_is_plural_value(value) || infer_is_scalar_name(value) ||
        !(infer_points_to(value, LAPIS_POINTER) || (infer_points_to(value, LAPIS_INT) && is_size_list(value->name))))
        return false;
    for (size_t i = 0; i < scope->n; i++)
        if (is_count(&scope->values[i]) && infer_count_of(scope->values[i].name).unit == INFER_ELEMENTS) {
            if (only)
                return false;
            only = &scope->values[i];
        }
    if (!only)
        return false;
    infer_buffer(scope, value, only->name, false);
    infer_because(scope, value, "name.only-count", only, "%s is plural, and %s is the only count there is", value->name,
                  only->name);
    return true;
}

/* ---- what the elements of an array of pointers point to ---- */

static bool is_bytes_pointer(const struct lapis_value *value)
{
    return value && infer_is_data_pointer(value) && infer_is_bytes(value->ctype->pointee);
}

static struct lapis_value *lengths_of(struct infer_scope *scope, const struct lapis_value *value)
{
    for (size_t i = 0; i < scope->n; i++) {
        struct lapis_value *list = &scope->values[i];
        if (list->kind == LAPIS_V_BUFFER && infer_points_to(list, LAPIS_INT) && is_size_list(list->name) &&
            list->count && value->count && !strcmp(list->count, value->count))
            return list;
    }
    return NULL;
}

static bool lengths(struct infer_scope *scope, struct lapis_value *value)
{
    struct hira_pool *pool = scope->infer->pool;
    struct lapis_value *element = value->kind == LAPIS_V_BUFFER ? value->element : NULL;
    if (!is_bytes_pointer(element) || element->kind != LAPIS_V_UNSETTLED)
        return false;
    struct lapis_value *list = lengths_of(scope, value);
    if (!list || api_memory(scope, value))
        return false;
    const struct lapis_ctype *pointee = element->ctype->pointee;
    element->direction = pointee->is_const ? LAPIS_IN : value->direction;
    if (pointee->kind == LAPIS_INT && pointee->is_char && pointee->is_signed)
        /* Text: without a list, or with a zero in it, what counts is the NUL. More is never read than stands there. */
        infer_string(scope, element,
                     hira_pool_printf(pool, "(%s && %s[index] ? %s[index] : strlen(%s[index]))", list->name, list->name,
                                      list->name, value->name));
    else
        infer_buffer(scope, element, hira_pool_printf(pool, "(%s ? %s[index] : 0)", list->name, list->name), true);
    infer_because(scope, element, "name.lengths", list, "each of %s has its length in %s", value->name, list->name);
    return true;
}

/* ---- strings ---- */

static bool named_as_string(const char *name)
{
    struct infer_words words = infer_noun(name ? name : "");
    const char *last = last_word(&words);
    size_t n = strlen(last);
    return infer_one_of(last, string_words) || (n > 4 && !strcmp(last + n - 4, "name"));
}

static bool is_text(const struct lapis_value *value)
{
    return infer_points_to(value, LAPIS_INT) && value->ctype->pointee->is_char && value->ctype->pointee->is_const;
}

static bool string(struct infer_scope *scope, struct lapis_value *value)
{
    if (!is_text(value) || !named_as_string(value->name))
        return false;
    infer_string(scope, value, NULL);
    infer_because(scope, value, "name.string", value,
                  "%s is const text with the name of a string, and nothing counts it", value->name);
    return true;
}

static bool strings(struct infer_scope *scope, struct lapis_value *value)
{
    struct lapis_value *element = value->kind == LAPIS_V_BUFFER ? value->element : NULL;
    if (!element || element->kind != LAPIS_V_UNSETTLED || !is_text(element) || !named_as_string(value->name) ||
        value->direction != LAPIS_IN)
        return false;
    element->direction = LAPIS_IN;
    infer_string(scope, element, NULL);
    infer_because(scope, element, "name.string", value, "%s are const texts with the name of strings", value->name);
    return true;
}

static struct lapis_value *first_handle(struct infer_scope *scope)
{
    for (size_t i = 0; i < scope->n; i++)
        if (scope->values[i].ctype->kind == LAPIS_HANDLE)
            return &scope->values[i];
    return NULL;
}

/* The word of the function's name that says that what it returns is text; NULL: none does. */
static const char *returns_text(struct infer_scope *scope, const struct lapis_value *value)
{
    static const char *const words[] = {"version", "string", "name", "error", "message", "str", NULL};
    struct infer_words of = infer_split(scope->owner);
    for (size_t i = 0; is_text(value) && i < of.n; i++)
        if (infer_one_of(of.words[i], words))
            return hira_pool_strdup(scope->infer->pool, of.words[i]);
    return NULL;
}

static bool static_string(struct infer_scope *scope, struct lapis_value *value)
{
    const char *word = returns_text(scope, value);
    if (!word || first_handle(scope))
        return false;
    infer_string(scope, value, NULL);
    value->lifetime = LAPIS_LIFE_STATIC;
    infer_because(scope, value, "name.static-string", value, "%s returns a constant text: its name says %s", scope->owner,
                  word);
    return true;
}

/* What a function tells of an object is the object's, and may go with it. */
static bool object_string(struct infer_scope *scope, struct lapis_value *value)
{
    const char *word = returns_text(scope, value);
    struct lapis_value *object = first_handle(scope);
    if (!word || !object)
        return false;
    infer_string(scope, value, NULL);
    value->lifetime = LAPIS_LIFE_OBJECT;
    infer_because(scope, value, "name.object-string", object, "%s returns a text of %s: its name says %s", scope->owner,
                  object->name, word);
    return true;
}

/* ---- cookies ---- */

static bool is_cookie_name(const char *name)
{
    struct infer_words words = infer_split(name);
    char joined[2 * INFER_WORD_SIZE] = {0};
    const char *last = last_word(&words);
    if (words.n >= 2)
        strcat(strcpy(joined, words.words[words.n - 2]), last);
    return infer_one_of(last, cookie_words) || infer_one_of(joined, cookie_words);
}

static struct lapis_value *callback_before(struct infer_scope *scope, const struct lapis_value *value)
{
    struct lapis_value *found = NULL;
    for (struct lapis_value *v = scope->values; v < value; v++)
        if (v->kind == LAPIS_V_CALLBACK)
            found = v;
    return found;
}

static bool userdata(struct infer_scope *scope, struct lapis_value *value)
{
    size_t i = infer_index(scope, value);
    if (!infer_points_to(value, LAPIS_VOID) || i == scope->n)
        return false;
    struct lapis_value *callback = callback_before(scope, value);
    bool named = is_cookie_name(value->name);
    bool beside = i > 0 && callback == &scope->values[i - 1] && !infer_is_counted(scope, value);
    if (scope->in_callback ? !named : !callback || callback->companion || !(named || beside))
        return false;
    value->kind = LAPIS_V_USERDATA;
    value->n_reasons = 0; /* whether its memory is read or written is no question any more */
    value->direction = LAPIS_IN;
    value->companion = callback ? callback->name : NULL;
    if (callback) {
        callback->companion = value->name;
        lapis_callback_find_cookie(scope->infer->pool, callback->callback, value->loc);
    }
    infer_because(scope, value, "name.userdata", callback ? callback : value,
                  callback ? "%s goes with %s, which gets it back"
                           : "%s is the cookie of whoever registered the callback",
                  value->name, callback ? callback->name : "");
    return true;
}

/* ---- property lists ---- */

static bool properties(struct infer_scope *scope, struct lapis_value *value)
{
    if (!infer_points_to(value, LAPIS_INT) || !value->ctype->pointee->is_const || infer_is_counted(scope, value))
        return false;
    struct infer_words type = infer_split(value->ctype->pointee->name);
    if (type.n < 2 || strcmp(last_word(&type), "property") || !type.plural[type.n - 1])
        return false;
    value->kind = LAPIS_V_PROPERTIES;
    value->terminator = "0";
    lapis_value_element(scope->infer->pool, value);
    infer_because(scope, value, "name.properties", value,
                  "%s are keys and values, by their type's name: a key of 0 ends them", value->name);
    return true;
}

/* ---- directions ---- */

static bool error_out(struct infer_scope *scope, struct lapis_value *value)
{
    if (!infer_points_to(value, LAPIS_INT) || !is_error_name(value->name))
        return false;
    infer_turn(value, LAPIS_OUT);
    infer_because(scope, value, "name.returned", value, "%s is written: it has the name of an error", value->name);
    return true;
}

static bool returned(struct infer_scope *scope, struct lapis_value *value)
{
    const struct lapis_ctype *pointee = value->ctype->pointee;
    bool number = pointee->kind == LAPIS_INT || pointee->kind == LAPIS_FLOAT || pointee->kind == LAPIS_HANDLE;
    if (!number ||
        !(is_returned_name(value->name) || infer_is_destination(value->name) || is_result_name(value)) ||
        infer_is_bytes(pointee))
        return false;
    infer_turn(value, LAPIS_OUT);
    infer_because(scope, value, "name.returned", value, "%s is written: it has the name of a result or a count",
                  value->name);
    return true;
}

/* A struct with pointers inside is prepared by the caller even when it is filled by the call. */
static bool has_pointers(const struct lapis_ctype *type)
{
    for (size_t i = 0; type->kind == LAPIS_STRUCT && i < type->n_fields; i++)
        if (type->fields[i].type->kind == LAPIS_POINTER || has_pointers(type->fields[i].type))
            return true;
    return false;
}

static bool verb(struct infer_scope *scope, struct lapis_value *value)
{
    const char *word = scope->verb_word;
    enum infer_verb what = scope->verb;
    if (what == INFER_ENQUEUE && scope->function) /* that says when, the next verb what: "EnqueueReadBuffer" */
        what = infer_second_verb(scope->function->name, &word);
    if ((what != INFER_GET && what != INFER_READ) || scope->in_record || has_pointers(value->ctype->pointee))
        return false;
    infer_turn(value, LAPIS_OUT);
    infer_because(scope, value, "name.verb", value, "%s is written: the function's name says \"%s\"", value->name,
                  word);
    return true;
}

/* ---- single results ---- */

static bool out_scalar(struct infer_scope *scope, struct lapis_value *value)
{
    bool number = infer_points_to(value, LAPIS_INT) && !value->ctype->pointee->is_const;
    if (!number || !(infer_is_scalar_name(value) || (is_error_name(value->name) && !infer_is_plural_value(value))))
        return false;
    infer_buffer(scope, value, "1", false);
    infer_because(scope, value, "name.out-scalar", value, "%s is one number: it has the name of a result or a count",
                  value->name);
    return true;
}

static bool get_scalar(struct infer_scope *scope, struct lapis_value *value)
{
    if (scope->verb != INFER_GET || scope->in_record || !infer_is_data_pointer(value) || value->direction != LAPIS_OUT)
        return false;
    const struct lapis_ctype *pointee = value->ctype->pointee;
    bool number = (pointee->kind == LAPIS_INT && pointee->size > 1) || pointee->kind == LAPIS_FLOAT;
    if (!number || infer_is_plural_value(value) || infer_is_list_name(value->name) || infer_is_counted(scope, value))
        return false;
    infer_buffer(scope, value, "1", false);
    infer_because(scope, value, "name.get-scalar", value,
                  "%s is one number: the function's name says \"%s\", the "
                  "parameter's is singular, and nothing counts it",
                  value->name, scope->verb_word);
    return true;
}

/* ---- facts ---- */

/* The sibling "X_ret" of "X", which is told how much there is. */
static struct lapis_value *told(struct infer_scope *scope, const char *name)
{
    struct lapis_value *ret = infer_sibling(scope, hira_pool_printf(scope->infer->pool, "%s_ret", name));
    return ret && infer_is_scalar_name(ret) ? ret : NULL;
}

static struct lapis_value *selector_of(struct infer_scope *scope, const struct lapis_value *value)
{
    const char *tail = strstr(value->name, "_value");
    if (!tail || strcmp(tail, "_value"))
        return NULL;
    struct lapis_value *selector =
        infer_sibling(scope, hira_pool_printf(scope->infer->pool, "%.*s_name", (int)(tail - value->name), value->name));
    return selector && selector->ctype->kind == LAPIS_INT ? selector : NULL;
}

static const char *least(struct infer_scope *scope, const struct lapis_value *pointer, const char *count)
{
    return hira_pool_printf(scope->infer->pool, "(%s && *%s < %s ? *%s : %s)", pointer->name, pointer->name, count,
                            pointer->name, count);
}

static bool query_triple(struct infer_scope *scope, struct lapis_value *value)
{
    if (value->kind != LAPIS_V_BUFFER || !value->unit_bytes || !value->count || !infer_points_to(value, LAPIS_VOID) ||
        value->direction == LAPIS_IN)
        return false;
    struct lapis_value *selector = selector_of(scope, value), *ret = told(scope, value->count);
    if (!selector)
        return false;
    value->selector = selector->name;
    if (ret)
        value->filled = least(scope, ret, value->count);
    infer_because(scope, value, "name.query", selector, "%s is the answer to %s%s%s", value->name, selector->name,
                  ret ? ", as long as " : "", ret ? ret->name : "");
    return true;
}

/* The written number that tells how many of an array were available: "num_devices" of "devices", "num_kernels_ret". */
static bool out_count(struct infer_scope *scope, struct lapis_value *value)
{
    if (value->kind != LAPIS_V_BUFFER || value->filled || value->direction != LAPIS_OUT || !value->count ||
        !infer_sibling(scope, value->count))
        return false;
    struct lapis_value *by = told(scope, value->count);
    for (size_t i = 0; !by && i < scope->n; i++) {
        struct lapis_value *v = &scope->values[i];
        struct infer_count count = infer_is_scalar_name(v) ? infer_count_of(v->name) : (struct infer_count){0};
        if (v != value && count.unit != INFER_NO_COUNT && agree(&count, value->name) >= PARTLY)
            by = v;
    }
    if (!by)
        return false;
    value->filled = least(scope, by, value->count);
    infer_because(scope, value, "name.out-count", by, "%s is told how many of %s there are", by->name, value->name);
    return true;
}

static bool error_parameter(struct infer_scope *scope, struct lapis_value *value)
{
    if (!scope->function || value->kind != LAPIS_V_BUFFER || value->direction != LAPIS_OUT ||
        !is_error_name(value->name) || !infer_points_to(value, LAPIS_INT))
        return false;
    const struct lapis_ctype *ret = scope->function->ret.ctype;
    if (ret->kind != LAPIS_HANDLE && ret->kind != LAPIS_POINTER)
        return false;
    value->is_error = value->always = true;
    infer_because(scope, value, "name.error-parameter", value,
                  "%s tells why no %s is returned: it is written whether the call fails or not", value->name,
                  ret->name);
    return true;
}

static void make(struct infer_scope *scope, struct lapis_value *value, struct lapis_value *object, const char *rule)
{
    object->allocates = true;
    infer_because(scope, value, rule, value, "%s makes a new %s: its name says \"%s\"", scope->owner,
                  object->handle ? object->handle->name : object->ctype->name, scope->verb_word);
}

static bool create(struct infer_scope *scope, struct lapis_value *value)
{
    if (!scope->function || scope->verb != INFER_CREATE)
        return false;
    if (value == &scope->function->ret && value->kind == LAPIS_V_HANDLE)
        make(scope, value, value, "name.create");
    else if (value->kind == LAPIS_V_BUFFER && value->direction == LAPIS_OUT && value->element &&
             value->element->kind == LAPIS_V_HANDLE)
        make(scope, value, value->element, "name.create");
    else
        return false;
    return true;
}

static bool enqueue(struct infer_scope *scope, struct lapis_value *value)
{
    if (!scope->function || scope->verb != INFER_ENQUEUE || value->kind != LAPIS_V_BUFFER ||
        value->direction != LAPIS_OUT || !value->element || value->element->kind != LAPIS_V_HANDLE)
        return false;
    make(scope, value, value->element, "name.enqueue");
    return true;
}

/* ---- lives of handles ---- */

static struct lapis_value *last_handle(struct infer_scope *scope)
{
    for (size_t i = scope->n; i-- > 0;)
        if (scope->values[i].kind == LAPIS_V_HANDLE)
            return &scope->values[i];
    return NULL;
}

static bool counts(struct infer_scope *scope, struct lapis_value *value)
{
    struct lapis_function *f = scope->function;
    if (!f || scope->n != 1 || value->kind != LAPIS_V_HANDLE || value == &f->ret)
        return false;
    if (scope->verb == INFER_RETAIN && !value->handle->retain) {
        value->handle->retain = f;
        f->retains = true;
    } else if (scope->verb == INFER_RELEASE && !value->handle->release) {
        value->handle->release = f;
        f->releases = true;
    } else {
        return false;
    }
    infer_because(scope, value, "name.reference-count", value, "%s counts references of %s: its name says \"%s\"",
                  f->name, value->handle->name, scope->verb_word);
    return true;
}

/* Type names run their prefix into the noun ("CUmodule"), so a word may stand anywhere in the name; one letter is in any. */
static bool names_object(const struct infer_words *object, const char *name)
{
    for (size_t i = 0; i < object->n; i++)
        if (!object->words[i][1] || !strcasestr(name, object->words[i]))
            return false;
    return object->n > 0;
}

/* "a_close(ctx)": the name has no noun. What it ends is the only handle, where no pointer beside it can be meant. */
static bool is_only_object(struct infer_scope *scope, const struct lapis_value *value)
{
    if (!infer_verb_alone(scope->function->name))
        return false;
    for (size_t i = 0; i < scope->n; i++)
        if (&scope->values[i] != value &&
            (scope->values[i].ctype->kind == LAPIS_HANDLE || scope->values[i].ctype->kind == LAPIS_POINTER))
            return false;
    return true;
}

/* "vkDestroyBuffer(device, buffer, allocator)": the last handle goes, if the function's noun is its. */
static bool destroy(struct infer_scope *scope, struct lapis_value *value)
{
    struct infer_words object;
    if (!scope->function || scope->verb != INFER_DESTROY || value->kind != LAPIS_V_HANDLE ||
        value != last_handle(scope))
        return false;
    infer_verb_of(scope->function->name, NULL, &object);
    if (!names_object(&object, value->handle->name) && !names_object(&object, value->name) && !is_only_object(scope, value))
        return false;
    value->deallocates = true;
    infer_because(scope, value, "name.destroy", value, "%s ends the life of %s: its name says \"%s\"", scope->owner,
                  value->name, scope->verb_word);
    return true;
}

#define ANYWHERE (INFER_PARAMETER | INFER_FIELD)

const struct infer_rule infer_name_rules[] = {
    {"name.returned", "Numbers named as errors, results or counts, behind pointers, are written.", INFER_DIRECTION,
     ANYWHERE, error_out},
    {"name.returned", "The same for \"_ret\", \"dst\", \"out\", \"num_x\".", INFER_DIRECTION, ANYWHERE, returned},
    {"name.verb", "What a Get, Query or Read function has a pointer to is written.", INFER_DIRECTION, ANYWHERE, verb},
    {"name.userdata", "A void pointer behind a callback, or with the name of a cookie, is its cookie.", INFER_SHAPE,
     ANYWHERE, userdata},
    {"name.api-memory", "Where the API hands out plain addresses, pointers that share their words are asked for.",
     INFER_SHAPE, ANYWHERE, untyped_api_memory},
    {"name.size-times-count", "\"size\" and \"count\" side by side, with untyped memory, multiply.", INFER_SHAPE,
     ANYWHERE, size_times_count},
    {"name.properties", "A const pointer to an integer type \"..._properties\" is a list that a key of 0 ends.",
     INFER_SHAPE, ANYWHERE, properties},
    {"name.count-sibling",
     "num_X, X_count, nX count X; X_size, X_len measure X; a bare count or size goes to its neighbour.", INFER_SHAPE,
     ANYWHERE, count_sibling},
    {"name.dimension-sibling", "X_dim is the length of arrays whose name has X.", INFER_SHAPE, ANYWHERE,
     dimension_sibling},
    {"name.count-pointer", "A count behind a pointer holds the array's size before and after the call.", INFER_SHAPE,
     ANYWHERE, count_pointer},
    {"name.parallel-array", "An array beside a counted one, with its noun or listing its lengths, is as long.",
     INFER_SHAPE, ANYWHERE, parallel_array},
    {"name.only-count", "A plural array of pointers, or a list of lengths, is counted by the only count there is.",
     INFER_SHAPE, ANYWHERE, only_count},
    {"name.parallel-array", "The same, now that more arrays are counted.", INFER_SHAPE, ANYWHERE, parallel_array},
    {"name.string", "Const text named as a string, which nothing counts, ends with NUL.", INFER_SHAPE, ANYWHERE,
     string},
    {"name.static-string", "A function named for a version, name, error or string returns a constant text.",
     INFER_SHAPE, INFER_RESULT, static_string},
    {"name.object-string", "The same of an object: the text lives as long as the object.", INFER_SHAPE, INFER_RESULT,
     object_string},
    {"name.room", "Beside a number named as capacity, which nothing else goes by, what is written may be many: a question.",
     INFER_SHAPE, ANYWHERE, may_have_room},
    {"name.out-scalar", "\"_ret\", \"num_x\", \"err\" behind a pointer are one number.", INFER_SHAPE, ANYWHERE,
     out_scalar},
    {"name.get-scalar", "What a Get function writes to a singular number pointer is one number.", INFER_SHAPE,
     INFER_PARAMETER, get_scalar},
    {"name.lengths", "\"lengths\" beside an array of pointers to bytes measures each.", INFER_FACT, ANYWHERE, lengths},
    {"name.string", "Arrays of const text with the name of strings hold strings.", INFER_FACT, ANYWHERE, strings},
    {"name.query", "X_name, X_value_size, X_value, X_value_size_ret are a query.", INFER_FACT, INFER_PARAMETER,
     query_triple},
    {"name.out-count", "num_X behind a pointer tells how much of the array X is filled.", INFER_FACT, INFER_PARAMETER,
     out_count},
    {"name.error-parameter", "A written error number of a function that returns an object is its error.", INFER_FACT,
     INFER_PARAMETER, error_parameter},
    {"name.create", "Create, clone, open, link, load make the handles they hand out.", INFER_FACT,
     INFER_PARAMETER | INFER_RESULT, create},
    {"name.enqueue", "Enqueue and submit make the handles they hand out.", INFER_FACT, INFER_PARAMETER, enqueue},
    {"name.reference-count", "Retain and release of one handle count its references.", INFER_FACT, INFER_PARAMETER,
     counts},
    {"name.destroy", "Destroy, free and close end the life of the handle that their name means, or of the only one.", INFER_FACT,
     INFER_PARAMETER, destroy},
    {0},
};
