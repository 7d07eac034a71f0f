/*
 * Names as words. C programmers write "num_events_in_wait_list", "pDeviceCount", "destLen", "nbytes": all are cut into
 * lower case singular words, so that relations between names become relations between sets of words. The word lists
 * here are English and the conventions of C libraries at large; a word that only one API uses has no place in them.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include <ctype.h>
#include <string.h>

#include "lapis/infer_private.h"

bool infer_one_of(const char *word, const char *const *list)
{
    for (; *list; list++)
        if (!strcmp(word, *list))
            return true;
    return false;
}

/* "entries" -> "entry", "boxes" -> "box", "lengths" -> "length"; "class", "status", "axis" stay. */
static bool singularize(char *word)
{
    size_t n = strlen(word);
    if (n >= 5 && !strcmp(word + n - 3, "ies")) {
        strcpy(word + n - 3, "y");
        return true;
    }
    if (n >= 5 && (!strcmp(word + n - 4, "ches") || !strcmp(word + n - 4, "shes") || !strcmp(word + n - 3, "xes") ||
                   !strcmp(word + n - 4, "sses"))) {
        word[n - 2] = 0;
        return true;
    }
    if (n >= 3 && word[n - 1] == 's' && !strchr("sui", word[n - 2])) {
        word[n - 1] = 0;
        return true;
    }
    return false;
}

static void add_word(struct infer_words *words, const char *start, const char *end)
{
    if (words->n == INFER_WORDS_MAX || start == end)
        return;
    char *word = words->words[words->n];
    size_t n = HIRA_MIN((size_t)(end - start), (size_t)INFER_WORD_SIZE - 1);
    for (size_t i = 0; i < n; i++)
        word[i] = (char)tolower((unsigned char)start[i]);
    words->plural[words->n] = singularize(word);
    words->n++;
}

/* Whether a word begins at p (> start of the name): "aB", "ABc" before B, but "IDs" is one word. */
static bool begins(const char *p)
{
    bool upper = isupper((unsigned char)*p);
    if (!upper)
        return false;
    if (!isupper((unsigned char)p[-1]))
        return true;
    if (!islower((unsigned char)p[1]))
        return false;
    return !(p[1] == 's' && !islower((unsigned char)p[2]));
}

struct infer_words infer_split(const char *name)
{
    struct infer_words words = {0};
    const char *start = name ? name : "";
    for (const char *p = start; *p; p++) {
        if (*p == '_') {
            add_word(&words, start, p);
            start = p + 1;
        } else if (p > start && begins(p)) {
            add_word(&words, start, p);
            start = p;
        }
    }
    add_word(&words, start, start + strlen(start));
    return words;
}

bool infer_has_word(const struct infer_words *words, const char *word)
{
    for (size_t i = 0; i < words->n; i++)
        if (!strcmp(words->words[i], word))
            return true;
    return false;
}

bool infer_ends_with(const struct infer_words *words, const char *word)
{
    return words->n && !strcmp(words->words[words->n - 1], word);
}

static void drop(struct infer_words *words, size_t i)
{
    words->n--;
    memmove(words->words[i], words->words[i + 1], (words->n - i) * sizeof(words->words[0]));
    memmove(&words->plural[i], &words->plural[i + 1], (words->n - i) * sizeof(words->plural[0]));
}

static void drop_first(struct infer_words *words, const char *const *list)
{
    while (words->n > 1 && infer_one_of(words->words[0], list))
        drop(words, 0);
}

static const char *const hungarian[] = {"p", "pp", "ph", "h", "psz", "pv", "pu", "lp", NULL};
static const char *const directions[] = {"in", "out", "output", NULL};
static const char *const containers[] = {"list", "array", "arr", "ptr", "pointer", "vec", "vector", "table", NULL};
static const char *const fillers[] = {"in", "of", "the", "for", "to", "ret", NULL};

struct infer_words infer_noun(const char *name)
{
    struct infer_words words = infer_split(name);
    drop_first(&words, hungarian);
    drop_first(&words, directions);
    for (size_t i = words.n; i-- > 0 && words.n > 1;)
        if (infer_one_of(words.words[i], containers) || infer_one_of(words.words[i], fillers))
            drop(&words, i);
    return words;
}

bool infer_is_plural(const char *name)
{
    struct infer_words words = infer_split(name);
    if (!words.n)
        return false;
    static const char *const lists[] = {"list", "array", "arr", "vec", "vector", "table", NULL};
    return words.plural[words.n - 1] || infer_one_of(words.words[words.n - 1], lists);
}

/* Words that are plural for one thing: a mask of flags, a struct of parameters. */
static const char *const bundles[] = {"param",    "parameter", "option",      "setting", "attr",       "attribute",
                                      "property", "stat",      "requirement", "limit",   "capability", "cap",
                                      "bound",    "feature",   "arg",         "detail",  NULL};

bool infer_is_plural_value(const struct lapis_value *value)
{
    if (!infer_is_plural(value->name))
        return false;
    struct infer_words name = infer_split(value->name);
    const char *last = name.words[name.n - 1];
    const struct lapis_ctype *pointee = infer_is_data_pointer(value) ? value->ctype->pointee : NULL;
    if (!strcmp(last, "flag") || (pointee && pointee->kind == LAPIS_STRUCT && infer_one_of(last, bundles)))
        return false;
    /* "CUarray *pArray": there it is the type that is an array, not the parameter. */
    return !pointee || name.plural[name.n - 1] || !strcasestr(pointee->name, last);
}

/* Equal, or one abbreviates the other: "dict", "dictionary". */
static bool same_word(const char *a, const char *b)
{
    size_t n = strlen(a), m = strlen(b), least = HIRA_MIN(n, m);
    return !strcmp(a, b) || (least >= 3 && !strncmp(a, b, least));
}

static bool within_word(const struct infer_words *words, const char *word)
{
    for (size_t i = 0; i < words->n; i++)
        if (same_word(words->words[i], word))
            return true;
    return false;
}

bool infer_within(const struct infer_words *inner, const struct infer_words *outer)
{
    for (size_t i = 0; i < inner->n; i++)
        if (!within_word(outer, inner->words[i]))
            return false;
    return inner->n > 0;
}

bool infer_same(const struct infer_words *a, const struct infer_words *b)
{
    return infer_within(a, b) && infer_within(b, a);
}

bool infer_share(const struct infer_words *a, const struct infer_words *b)
{
    for (size_t i = 0; i < a->n; i++)
        if (within_word(b, a->words[i]))
            return true;
    return false;
}

/* ---- counts ---- */

static const char *const count_prefixes[] = {"num", "n", "nb", "number", "count", "cnt", NULL};
static const char *const count_suffixes[] = {"count", "cnt", "entry", NULL};
static const char *const size_words[] = {"size", "len", "length", "sz", NULL};
static const char *const byte_words[] = {"byte", "nbyte", "cb", "bytecount", "bytesize", "bytelen", NULL};
static const char *const anything[] = {"entry", "element", "elem", "item", "object", "member", "nitem", "nmemb", NULL};

static bool strip_last(struct infer_words *words, const char *const *list)
{
    if (!words->n || !infer_one_of(words->words[words->n - 1], list))
        return false;
    words->n--;
    return true;
}

static bool strip_first(struct infer_words *words, const char *const *list)
{
    if (!words->n || !infer_one_of(words->words[0], list))
        return false;
    drop(words, 0);
    return true;
}

/* "nstreams": a word that begins with n and goes on in the plural. Only with a noun after it: "name" does not count. */
static bool strip_n(struct infer_words *words)
{
    char *word = words->n == 1 ? words->words[0] : NULL;
    if (!word || word[0] != 'n' || strlen(word) < 4 || !words->plural[0] || strchr("aeiou", word[1]))
        return false;
    memmove(word, word + 1, strlen(word));
    return true;
}

/* Takes the words away that say "how many" and leaves those that say of what. */
static enum infer_unit strip_unit(struct infer_words *w)
{
    bool bytes = strip_last(w, byte_words); /* "sizeInBytes" */
    if (bytes && w->n && !strcmp(w->words[w->n - 1], "in"))
        w->n--;
    enum infer_unit elements = bytes ? INFER_BYTES : INFER_ELEMENTS, size = bytes ? INFER_BYTES : INFER_SIZE;
    if (strip_last(w, size_words))
        return strip_last(w, byte_words) ? INFER_BYTES : size;
    if (strip_last(w, count_suffixes)) {
        strip_first(w, count_prefixes); /* "num_entries" */
        return strip_last(w, byte_words) ? INFER_BYTES : elements;
    }
    if (strip_first(w, count_prefixes))
        return elements;
    if (strip_first(w, size_words))
        return size;
    if (bytes || strip_first(w, byte_words))
        return INFER_BYTES;
    return (w->n == 1 && infer_one_of(w->words[0], anything)) || strip_n(w) ? INFER_ELEMENTS : INFER_NO_COUNT;
}

struct infer_count infer_count_of(const char *name)
{
    struct infer_count count = {.what = infer_split(name)};
    struct infer_words *w = &count.what;
    drop_first(w, hungarian);
    count.unit = strip_unit(w);
    if (count.unit == INFER_NO_COUNT)
        return (struct infer_count){0};
    drop_first(w, directions);
    for (size_t i = w->n; i-- > 0;)
        if (infer_one_of(w->words[i], fillers) || (w->n > 1 && infer_one_of(w->words[i], containers)))
            drop(w, i);
    /* "num_entries" counts anything, and "num_items" the items where there are some: the caller sees which. */
    count.anything = w->n == 1 && infer_one_of(w->words[0], anything);
    return count;
}

bool infer_is_count_prefixed(const char *name)
{
    struct infer_words words = infer_split(name);
    drop_first(&words, hungarian);
    drop_first(&words, directions);
    size_t n = words.n;
    return (n > 1 && strip_first(&words, count_prefixes)) || (n == 1 && strip_n(&words));
}

/* ---- verbs ---- */

static const struct {
    const char *word;
    enum infer_verb verb;
} verbs[] = {
    {"create", INFER_CREATE},   {"clone", INFER_CREATE},   {"alloc", INFER_CREATE},     {"allocate", INFER_CREATE},
    {"malloc", INFER_CREATE},   {"new", INFER_CREATE},     {"open", INFER_CREATE},      {"link", INFER_CREATE},
    {"load", INFER_CREATE},     {"import", INFER_CREATE},  {"duplicate", INFER_CREATE}, {"dup", INFER_CREATE},
    {"make", INFER_CREATE},     {"get", INFER_GET},        {"query", INFER_GET},        {"enumerate", INFER_GET},
    {"read", INFER_READ},       {"receive", INFER_READ},   {"recv", INFER_READ},        {"download", INFER_READ},
    {"set", INFER_SET},         {"write", INFER_SET},      {"send", INFER_SET},         {"upload", INFER_SET},
    {"enqueue", INFER_ENQUEUE}, {"submit", INFER_ENQUEUE}, {"launch", INFER_ENQUEUE},   {"retain", INFER_RETAIN},
    {"ref", INFER_RETAIN},      {"addref", INFER_RETAIN},  {"release", INFER_RELEASE},  {"unref", INFER_RELEASE},
    {"destroy", INFER_DESTROY}, {"free", INFER_DESTROY},   {"delete", INFER_DESTROY},   {"close", INFER_DESTROY},
    {"dispose", INFER_DESTROY}, {"unload", INFER_DESTROY},
};

static enum infer_verb verb_word(const char *word, const char **ret)
{
    for (size_t i = 0; i < HIRA_ARRAY_SIZE(verbs); i++)
        if (!strcmp(word, verbs[i].word)) {
            *ret = verbs[i].word;
            return verbs[i].verb;
        }
    return INFER_OTHER;
}

static bool is_version(const char *word)
{
    return word[0] == 'v' && isdigit((unsigned char)word[1]);
}

enum infer_verb infer_verb_of(const char *function, const char **ret_word, struct infer_words *ret_object)
{
    struct infer_words words = infer_split(function);
    enum infer_verb found = INFER_OTHER;
    const char *word = NULL;
    for (size_t i = 0; i < words.n;) {
        enum infer_verb verb = found == INFER_OTHER ? verb_word(words.words[i], &word) : INFER_OTHER;
        if (found == INFER_OTHER)
            found = verb;
        if (verb != INFER_OTHER || is_version(words.words[i]))
            drop(&words, i);
        else
            i++;
    }
    if (words.n > 1)
        drop(&words, 0); /* the API's own prefix */
    if (ret_word)
        *ret_word = word;
    if (ret_object)
        *ret_object = words;
    return found;
}

bool infer_verb_alone(const char *function)
{
    struct infer_words words = infer_split(function);
    const char *word;
    size_t verb = 0;
    while (verb < words.n && verb_word(words.words[verb], &word) == INFER_OTHER)
        verb++;
    if (verb > 1 || verb == words.n)
        return false;
    while (++verb < words.n)
        if (!is_version(words.words[verb]))
            return false;
    return true;
}

enum infer_verb infer_second_verb(const char *function, const char **ret_word)
{
    struct infer_words words = infer_split(function);
    enum infer_verb first = INFER_OTHER;
    for (size_t i = 0; i < words.n; i++) {
        enum infer_verb verb = verb_word(words.words[i], ret_word);
        if (verb != INFER_OTHER && first != INFER_OTHER)
            return verb;
        if (verb != INFER_OTHER)
            first = verb;
    }
    return INFER_OTHER;
}
