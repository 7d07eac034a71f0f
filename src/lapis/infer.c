/*
 * The inference's engine. A scope is a set of values that may speak of each other: the parameters of a function, the
 * arguments of a callback, the fields of a record. The rules of the table go over each scope, one rule after the other
 * over all its values, first those that find directions, then those that find shapes, then those that add facts. A
 * value that got a shape gets an element, and an element that is a record is a scope again; so inference follows every
 * pointer, up to RECORD_DEPTH records deep, where lists and trees end in a question.
 *
 * Nothing is settled by default. A pointer that no rule understands stays UNSETTLED and gets the question that the
 * specification has to answer.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include "lapis/infer.h"

#include <string.h>

#include "lapis/infer_private.h"

#define RECORD_DEPTH 4 /* pointers into records into pointers: the deepest that an API we know needs is 3 */

static void infer_scope_run(struct infer_scope *scope, struct lapis_value *result);

/* ---- the table ---- */

const struct infer_rule *infer_rule(size_t i)
{
    static const struct infer_rule *const tables[] = {infer_type_rules, infer_doc_rules, infer_name_rules,
                                                      infer_late_doc_rules, infer_late_type_rules};
    for (size_t t = 0; t < HIRA_ARRAY_SIZE(tables); t++)
        for (const struct infer_rule *rule = tables[t]; rule->name; rule++)
            if (i-- == 0)
                return rule;
    return NULL;
}

const struct lapis_rule_text *lapis_infer_rules(size_t *ret_n)
{
    static struct lapis_rule_text texts[64];
    size_t n = 0;
    for (const struct infer_rule *rule; n < HIRA_ARRAY_SIZE(texts) && (rule = infer_rule(n)) != NULL; n++)
        texts[n] = (struct lapis_rule_text){rule->name, rule->description};
    *ret_n = n;
    return texts;
}

static bool has_stage(const char *name, enum infer_stage stage)
{
    const struct infer_rule *rule;
    for (size_t i = 0; (rule = infer_rule(i)) != NULL; i++)
        if (rule->stage == stage && !strcmp(rule->name, name))
            return true;
    return false;
}

void lapis_infer_forget(struct lapis_value *value, bool shape)
{
    size_t kept = 0;
    for (size_t i = 0; i < value->n_reasons; i++)
        if (!has_stage(value->reasons[i].rule, shape ? INFER_SHAPE : INFER_DIRECTION))
            value->reasons[kept++] = value->reasons[i];
    value->n_reasons = kept;
}

/* ---- small questions about values ---- */

bool infer_is_data_pointer(const struct lapis_value *value)
{
    return value->ctype && value->ctype->kind == LAPIS_POINTER;
}

bool infer_points_to(const struct lapis_value *value, enum lapis_ctype_kind kind)
{
    return infer_is_data_pointer(value) && value->ctype->pointee->kind == kind;
}

bool infer_is_bytes(const struct lapis_ctype *type)
{
    return type->kind == LAPIS_VOID || type->kind == LAPIS_OPAQUE || (type->kind == LAPIS_INT && type->size == 1);
}

bool infer_is_integer(const struct lapis_value *value)
{
    return value->ctype && value->ctype->kind == LAPIS_INT && !value->ctype->is_enum;
}

size_t infer_index(const struct infer_scope *scope, const struct lapis_value *value)
{
    for (size_t i = 0; i < scope->n; i++)
        if (&scope->values[i] == value)
            return i;
    return scope->n;
}

struct lapis_value *infer_sibling(const struct infer_scope *scope, const char *name)
{
    for (size_t i = 0; i < scope->n; i++)
        if (scope->values[i].name && !strcmp(scope->values[i].name, name))
            return &scope->values[i];
    return NULL;
}

const char *infer_dereference(struct infer_scope *scope, const struct lapis_value *pointer)
{
    return hira_pool_printf(scope->infer->pool, "(%s ? *%s : 0)", pointer->name, pointer->name);
}

void infer_turn(struct lapis_value *value, enum lapis_direction direction)
{
    value->direction = direction;
    /* What a const pointer leads to is read, whatever the way of the pointer itself. */
    if (value->element && !(value->ctype->pointee && value->ctype->pointee->is_const && direction != LAPIS_IN))
        infer_turn(value->element, direction);
    for (size_t i = 0; value->kind == LAPIS_V_RECORD && i < value->n_fields; i++)
        if (!infer_is_data_pointer(&value->fields[i]))
            infer_turn(&value->fields[i], direction);
}

/* ---- elements and records ---- */

static const char *bare_record(const struct lapis_ctype *type)
{
    return strncmp(type->canonical, "const ", 6) ? type->canonical : type->canonical + 6;
}

static bool leads_to_itself(const struct infer_scope *scope, const struct lapis_ctype *type)
{
    for (; scope; scope = scope->outer)
        if (scope->record && !strcmp(bare_record(scope->record), bare_record(type)))
            return true;
    return false;
}

/* Pointers in a struct that the call fills are the other side's. */
static void ask_written_pointers(struct hira_pool *pool, struct lapis_value *record)
{
    for (size_t i = 0; i < record->n_fields; i++) {
        struct lapis_value *field = &record->fields[i];
        if (field->kind == LAPIS_V_UNSETTLED && !field->question)
            field->question = hira_pool_printf(
                pool, "the call writes %s: what does it point to, and how long does that live?", field->name);
    }
}

static void infer_record(struct infer_scope *scope, struct lapis_value *value)
{
    if (value->ctype->kind == LAPIS_UNION && !value->discriminant) {
        bool named = !strchr(value->ctype->name, '('); /* "union (unnamed union at FILE)" */
        value->kind = LAPIS_V_UNSETTLED;
        value->question = hira_pool_printf(scope->infer->pool, "which member of the union%s%s is the live one?",
                                           named ? " " : "", named ? value->ctype->name : "");
        return;
    }
    if (scope->depth >= RECORD_DEPTH || leads_to_itself(scope, value->ctype)) {
        value->kind = LAPIS_V_UNSETTLED;
        value->question = hira_pool_printf(scope->infer->pool, "how far is %s to be followed?", value->ctype->name);
        return;
    }
    struct infer_scope inner = {.infer = scope->infer,
                                .owner = value->ctype->name,
                                .values = value->fields,
                                .n = value->n_fields,
                                .verb = scope->verb,
                                .verb_word = scope->verb_word,
                                .in_callback = scope->in_callback,
                                .in_record = true,
                                .record = value->ctype,
                                .outer = scope,
                                .depth = scope->depth + 1};
    for (size_t i = 0; i < value->n_fields; i++) {
        value->fields[i].direction = value->direction;
        value->fields[i].loc = value->loc;
    }
    if (value->direction == LAPIS_OUT)
        ask_written_pointers(scope->infer->pool, value);
    infer_scope_run(&inner, NULL);
}

static void infer_value_inside(struct infer_scope *scope, struct lapis_value *value)
{
    if (value->kind == LAPIS_V_RECORD)
        infer_record(scope, value);
    else if (value->element)
        infer_value_inside(scope, value->element);
}

static void infer_element(struct infer_scope *scope, struct lapis_value *value)
{
    struct lapis_value *element = lapis_value_element(scope->infer->pool, value);
    if (!element)
        return;
    element->loc = value->loc;
    element->direction = value->direction;
    infer_value_inside(scope, element);
    if (element->kind == LAPIS_V_UNSETTLED && !element->question)
        element->question = hira_pool_printf(scope->infer->pool, "what does each element of %s point to?",
                                             value->name ? value->name : "it");
}

void infer_buffer(struct infer_scope *scope, struct lapis_value *value, const char *count, bool bytes)
{
    value->kind = LAPIS_V_BUFFER;
    value->count = count;
    value->unit_bytes = bytes;
    value->question = NULL;
    infer_element(scope, value);
}

void infer_string(struct infer_scope *scope, struct lapis_value *value, const char *count)
{
    (void)scope;
    value->kind = LAPIS_V_STRING;
    value->count = count;
    value->question = NULL;
    value->element = NULL;
}

/* ---- callbacks ---- */

static struct lapis_callback *callback_named(struct lapis_model *model, const char *name)
{
    for (size_t i = 0; i < model->n_callbacks; i++)
        if (!strcmp(model->callbacks[i]->name, name))
            return model->callbacks[i];
    return NULL;
}

static struct lapis_callback *new_callback(struct infer_scope *scope, const char *name, struct lapis_value *value)
{
    struct infer *infer = scope->infer;
    struct lapis_ctype *type = value->ctype;
    struct lapis_callback *callback = hira_pool_alloc(infer->pool, sizeof(*callback));
    callback->name = name;
    callback->ctype = type;
    callback->loc = value->loc;
    callback->index = (unsigned)infer->model->n_callbacks;
    *HIRA_POOL_PUSH(infer->pool, infer->model->callbacks, infer->model->n_callbacks) = callback;
    lapis_value_init(infer->pool, &callback->ret, "ret", type->ret);
    callback->ret.direction = LAPIS_OUT;
    for (size_t i = 0; i < type->n_args; i++) {
        struct lapis_value *arg = HIRA_POOL_PUSH(infer->pool, callback->args, callback->n_args);
        const char *arg_name = type->args[i].name;
        lapis_value_init(infer->pool, arg, arg_name ? arg_name : hira_pool_printf(infer->pool, "arg%zu", i),
                         type->args[i].type);
        arg->loc = value->loc;
    }
    struct infer_scope inner = {.infer = infer,
                                .owner = name,
                                .values = callback->args,
                                .n = callback->n_args,
                                .in_callback = true,
                                .depth = scope->depth};
    infer_scope_run(&inner, NULL);
    /* Whatever it hands back, the vendor has to wait for. */
    callback->waits = type->ret->kind != LAPIS_VOID;
    for (size_t i = 0; i < callback->n_args; i++)
        callback->waits |= callback->args[i].kind == LAPIS_V_BUFFER && callback->args[i].direction != LAPIS_IN;
    return callback;
}

/* A typedef'd function type is one callback wherever it is used; one spelled out in place is that place's. */
void infer_callback(struct infer_scope *scope, struct lapis_value *value)
{
    const char *name = value->ctype->name;
    if (strchr(name, '('))
        name = hira_pool_printf(scope->infer->pool, "%s.%s", scope->owner, value->name ? value->name : "element");
    struct lapis_callback *callback = callback_named(scope->infer->model, name);
    value->callback = callback ? callback : new_callback(scope, name, value);
    value->kind = LAPIS_V_CALLBACK;
    value->question = NULL;
}

/* ---- questions ---- */

static const char *ask_pointer(struct hira_pool *pool, const struct lapis_value *value)
{
    const struct lapis_ctype *pointee = value->ctype->pointee;
    if (pointee->kind == LAPIS_INT && pointee->is_char && pointee->is_const)
        return "is it a string, or how many bytes does it point to?";
    if (infer_is_bytes(pointee))
        return "how many bytes does it point to, or is it opaque?";
    if (pointee->kind == LAPIS_POINTER || pointee->kind == LAPIS_FUNCTION)
        return "how many pointers does it point to, and to what do they?";
    return hira_pool_printf(pool, "how many %s does it point to?", pointee->name);
}

static void ask(struct infer_scope *scope, struct lapis_value *value)
{
    struct hira_pool *pool = scope->infer->pool;
    if (value->kind != LAPIS_V_UNSETTLED || value->question)
        return;
    if (value->ctype->kind == LAPIS_POINTER)
        value->question = ask_pointer(pool, value);
    else
        value->question = hira_pool_printf(pool, "how is %s to be carried?", value->ctype->spelling);
}

/* ---- the driver ---- */

static void run_rule(struct infer_scope *scope, const struct infer_rule *rule, struct lapis_value *value, bool *decided)
{
    if (rule->stage == INFER_DIRECTION) {
        if (!*decided && infer_is_data_pointer(value))
            *decided = rule->apply(scope, value);
    } else if (rule->stage == INFER_FACT || (value->kind == LAPIS_V_UNSETTLED && !value->question)) {
        rule->apply(scope, value);
    }
}

static void infer_scope_run(struct infer_scope *scope, struct lapis_value *result)
{
    bool decided[scope->n + 1];
    unsigned at = scope->in_record ? INFER_FIELD : INFER_PARAMETER;
    memset(decided, 0, sizeof(decided));
    for (enum infer_stage stage = INFER_DIRECTION; stage <= INFER_FACT; stage++) {
        const struct infer_rule *rule;
        for (size_t i = 0; (rule = infer_rule(i)) != NULL; i++) {
            if (rule->stage != stage)
                continue;
            for (size_t v = 0; rule->at & at && v < scope->n; v++)
                run_rule(scope, rule, &scope->values[v], &decided[v]);
            if (result && rule->at & INFER_RESULT && stage != INFER_DIRECTION)
                run_rule(scope, rule, result, &decided[scope->n]);
        }
        for (size_t v = 0; stage == INFER_DIRECTION && v < scope->n; v++)
            infer_value_inside(scope, &scope->values[v]); /* records by value */
    }
    for (size_t v = 0; v < scope->n; v++)
        ask(scope, &scope->values[v]);
    if (result && result->kind == LAPIS_V_UNSETTLED && !result->question)
        result->question = "what does the returned pointer point to, and how long does that live?";
}

static void infer_function(struct infer *infer, struct lapis_function *function)
{
    struct infer_scope scope = {.infer = infer,
                                .function = function,
                                .owner = function->name,
                                .values = function->params,
                                .n = function->n_params};
    scope.verb = infer_verb_of(function->name, &scope.verb_word, NULL);
    infer_scope_run(&scope, &function->ret);
}

/* ---- what the header as a whole tells ---- */

#define FEW_POINTERS 8 /* fewer than this may all be non-const by chance */

static void survey(struct infer *infer)
{
    size_t pointers = 0, const_pointers = 0;
    for (size_t i = 0; i < infer->model->n_functions; i++) {
        const struct lapis_function *f = infer->model->functions[i];
        for (size_t k = 0; k < f->n_params; k++) {
            const struct lapis_value *v = &f->params[k];
            if (!infer_is_data_pointer(v))
                continue;
            pointers++;
            const_pointers += v->ctype->pointee->is_const;
            infer->ranges |= v->doc && strstr(v->doc, "[range(") != NULL;
        }
    }
    infer->const_correct = pointers < FEW_POINTERS || const_pointers > 0;
}

/* "void *clSVMAlloc(...)", "cudaMalloc(void **devPtr, ...)": addresses of the API's own memory go about as plain
 * pointers, and the words "svm" and "dev" tell where. */
static void survey_allocators(struct infer *infer)
{
    struct infer_words *found = NULL;
    for (size_t i = 0; i < infer->model->n_functions; i++) {
        const struct lapis_function *f = infer->model->functions[i];
        const char *word;
        struct infer_words object;
        if (infer_verb_of(f->name, &word, &object) != INFER_CREATE || !strstr(word, "alloc"))
            continue;
        if (infer_points_to(&f->ret, LAPIS_VOID) && object.n)
            *HIRA_POOL_PUSH(infer->pool, found, infer->n_allocators) = object;
        for (size_t k = 0; k < f->n_params; k++) {
            const struct lapis_value *v = &f->params[k];
            struct infer_words noun = infer_noun(v->name);
            if (infer_points_to(v, LAPIS_POINTER) && v->ctype->pointee->pointee->kind == LAPIS_VOID && noun.n &&
                !v->ctype->pointee->pointee->is_const)
                *HIRA_POOL_PUSH(infer->pool, found, infer->n_allocators) = noun;
        }
    }
    infer->allocators = found;
}

int lapis_infer(struct lapis_model *model, struct lapis_diag *diag)
{
    struct infer infer = {.model = model, .pool = model->pool, .diag = diag};
    survey(&infer);
    survey_allocators(&infer);
    for (size_t i = 0; i < model->n_functions; i++)
        infer_function(&infer, model->functions[i]);
    return 0;
}

/* ---- what is settled ---- */

const char *lapis_value_question(struct hira_pool *pool, const struct lapis_value *value, const char **ret_path)
{
    const char *inner = NULL, *question = NULL;
    if (ret_path)
        *ret_path = "";
    if (value->kind == LAPIS_V_UNSETTLED)
        return value->question ? value->question : "how is it to be carried?";
    if (value->element && (question = lapis_value_question(pool, value->element, &inner)) != NULL) {
        if (ret_path)
            *ret_path = hira_pool_printf(pool, "[]%s", inner);
        return question;
    }
    for (size_t i = 0; value->kind == LAPIS_V_RECORD && i < value->n_fields; i++) {
        question = lapis_value_question(pool, &value->fields[i], &inner);
        if (!question)
            continue;
        if (ret_path)
            *ret_path = hira_pool_printf(pool, ".%s%s", value->fields[i].name, inner);
        return question;
    }
    return NULL;
}

/* Callbacks may be passed to callbacks, in circles: only the outermost one's arguments are looked at. */
static bool settled(const struct lapis_value *value, bool look_at_args)
{
    if (value->kind == LAPIS_V_UNSETTLED || (value->element && !settled(value->element, look_at_args)))
        return false;
    for (size_t i = 0; value->kind == LAPIS_V_RECORD && i < value->n_fields; i++)
        if (!settled(&value->fields[i], look_at_args))
            return false;
    const struct lapis_callback *callback = look_at_args ? value->callback : NULL;
    for (size_t i = 0; callback && i < callback->n_args; i++)
        if (!settled(&callback->args[i], false))
            return false;
    return true;
}

bool lapis_value_settled(const struct lapis_value *value)
{
    return settled(value, true);
}

static bool count_parameter(struct lapis_inference_stats *stats, const struct lapis_value *value)
{
    bool settled = lapis_value_settled(value);
    stats->params++;
    stats->scalars += value->ctype->kind == LAPIS_INT || value->ctype->kind == LAPIS_FLOAT;
    stats->handles += value->ctype->kind == LAPIS_HANDLE;
    stats->callbacks += value->ctype->kind == LAPIS_FUNCTION;
    stats->pointers += value->ctype->kind == LAPIS_POINTER;
    stats->pointers_settled += value->ctype->kind == LAPIS_POINTER && settled;
    return settled;
}

struct lapis_inference_stats lapis_infer_stats(const struct lapis_model *model)
{
    struct lapis_inference_stats stats = {.functions = model->n_functions};
    for (size_t i = 0; i < model->n_functions; i++) {
        const struct lapis_function *f = model->functions[i];
        size_t settled = lapis_value_settled(&f->ret);
        for (size_t k = 0; k < f->n_params; k++)
            settled += count_parameter(&stats, &f->params[k]);
        stats.functions_settled += settled == f->n_params + 1;
        stats.values_settled += settled;
        stats.values_unsettled += f->n_params + 1 - settled;
    }
    return stats;
}
