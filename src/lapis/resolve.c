/*
 * The specification's word, laid over what the rules inferred. For each function in turn: rules for its result type,
 * conventions, functions(globs), unsupported(globs), then what is said of it by name; so the particular overwrites the
 * general and the later the earlier. Then types, callbacks and query selectors.
 *
 * A prototype may rename parameters. Everything general speaks the header's names and is applied before; the names are
 * then changed everywhere at once, and what follows speaks the prototype's.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include <ctype.h>
#include <string.h>

#include "lapis/front.h"

/* ---- bookkeeping ---- */

static void mark_used(struct lapis_front *front, const struct lapis_node *node)
{
    for (size_t i = 0; i < front->n_used; i++)
        if (front->used[i] == node)
            return;
    *HIRA_POOL_PUSH(front->pool, front->used, front->n_used) = node;
}

static bool was_used(const struct lapis_front *front, const struct lapis_node *node)
{
    for (size_t i = 0; i < front->n_used; i++)
        if (front->used[i] == node)
            return true;
    return false;
}

static void suggest_function(struct lapis_front *front, const char *name)
{
    const char **names = NULL;
    size_t n = 0;
    for (size_t i = 0; i < front->model->n_functions; i++)
        *HIRA_POOL_PUSH(front->pool, names, n) = front->model->functions[i]->name;
    const char *meant = lapis_did_you_mean(name, names, n);
    if (meant)
        lapis_hint(front->diag, "did you mean '%s'?", meant);
}

static void unknown_function(struct lapis_front *front, struct lapis_loc loc, const char *name)
{
    for (size_t i = 0; i < front->n_omitted; i++)
        if (!strcmp(front->omitted[i].name, name)) {
            lapis_error(front->diag, loc, "'%s' is omitted from the api", name);
            lapis_note(front->diag, front->omitted[i].loc, "by this");
            return;
        }
    lapis_error(front->diag, loc, "no header declares a function '%s'", name);
    suggest_function(front, name);
}

static void check_function_expression(struct lapis_front *front, const struct lapis_function *f,
                                      const struct lapis_node *node, size_t i)
{
    const char *names[256];
    size_t n = 0;
    for (size_t k = 0; k < f->n_params && n < HIRA_ARRAY_SIZE(names); k++)
        names[n++] = f->params[k].name;
    lapis_check_names(front, node, &node->args[i], &(struct lapis_scope){names, n, f->name});
}

/* ---- function annotations ---- */

struct rule { /* one body applied to one function */
    struct lapis_front *front;
    struct lapis_function *function;
    const struct lapis_node *body;
    bool general;
};

static const char *success_expression(struct hira_pool *pool, const char *value)
{
    if (lapis_says_word(value, "ret"))
        return value;
    bool simple = strpbrk(value, " +-*/<>=&|^!?~") == NULL;
    return hira_pool_printf(pool, simple ? "ret == %s" : "ret == (%s)", value);
}

static void set_success(struct hira_pool *pool, struct lapis_function *f, const char *value)
{
    f->success = success_expression(pool, value);
    f->success_value = lapis_says_word(value, "ret") ? NULL : value;
}

/* What a call returns is the API's own: of the result (`ret`), the parameters and what the header has. The same for each
 * function that the rule speaks of, so no function is named. */
static void check_result_value(struct lapis_front *front, const struct lapis_function *f, const struct lapis_node *node,
                               size_t i)
{
    const char *names[256];
    size_t n = 0;
    for (size_t k = 0; f && k < f->n_params && n < HIRA_ARRAY_SIZE(names); k++)
        names[n++] = f->params[k].name;
    if (i < node->n_args)
        lapis_check_names(front, node, &node->args[i], &(struct lapis_scope){names, n, NULL});
}

static void push_policy(struct lapis_front *front, struct lapis_policy **list, size_t *n, const struct lapis_node *node,
                        const char *condition)
{
    struct lapis_policy *p = hira_pool_push(front->pool, list, n, sizeof **list);
    *p = (struct lapis_policy){.condition = condition, .loc = node->loc};
    p->mode = node->word == LAPIS_W_SYNC ? LAPIS_SYNC : LAPIS_ASYNC;
    for (size_t i = 0; i < node->n_args; i++)
        *HIRA_POOL_PUSH(front->pool, p->once, p->n_once) = node->args[i].text;
}

static const char *both(struct hira_pool *pool, const char *a, const char *b)
{
    return !a ? b : !b ? a : hira_pool_printf(pool, "(%s) && (%s)", a, b);
}

static bool is_mode(const struct lapis_node *node)
{
    return node->word == LAPIS_W_SYNC || node->word == LAPIS_W_ASYNC || node->word == LAPIS_W_ASYNC_ONCE;
}

/* Whether the statements decide under every condition. */
static bool exhaustive(struct lapis_node *const *body, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (is_mode(body[i]))
            return true;
        if (body[i]->word == LAPIS_W_IF && body[i]->other && exhaustive(body[i]->body, body[i]->n_body) &&
            exhaustive(body[i]->other->body, body[i]->other->n_body))
            return true;
    }
    return false;
}

/* The decisions of a body in order, each under the conditions around it. */
static void collect_policies(struct lapis_front *front, struct lapis_node *const *body, size_t n_body,
                             const char *condition, struct lapis_policy **list, size_t *n)
{
    for (size_t i = 0; i < n_body; i++) {
        const struct lapis_node *node = body[i];
        if (is_mode(node))
            push_policy(front, list, n, node, condition);
        if (node->word != LAPIS_W_IF)
            continue;
        const char *test = node->n_args ? node->args[0].text : NULL;
        collect_policies(front, node->body, node->n_body, both(front->pool, condition, test), list, n);
        if (!node->other)
            continue;
        /* Behind a branch that always decides, "else" needs no condition of its own. */
        bool decided = exhaustive(node->body, node->n_body);
        const char *not_test = decided ? NULL : hira_pool_printf(front->pool, "!(%s)", test);
        collect_policies(front, node->other->body, node->other->n_body, both(front->pool, condition, not_test), list,
                         n);
    }
}

static void check_policy_names(const struct rule *r, struct lapis_node *const *body, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const struct lapis_node *node = body[i];
        if (node->word != LAPIS_W_IF && node->word != LAPIS_W_ASYNC_ONCE)
            continue;
        for (size_t k = 0; k < node->n_args; k++)
            check_function_expression(r->front, r->function, node, k);
        check_policy_names(r, node->body, node->n_body);
        if (node->other)
            check_policy_names(r, node->other->body, node->other->n_body);
    }
}

/* Whether an expression can be evaluated in this function: a general rule about blocking_read does not concern others.
 */
static bool policies_fit(const struct rule *r, const struct lapis_policy *list, size_t n)
{
    const struct lapis_function *f = r->function;
    for (size_t i = 0; i < n && r->general; i++) {
        const char *c = list[i].condition;
        if (!c)
            continue;
        size_t known = 0;
        for (size_t k = 0; k < f->n_params; k++)
            known += f->params[k].name && lapis_says_word(c, f->params[k].name);
        if (!known)
            return false;
    }
    return true;
}

static void apply_policies(const struct rule *r)
{
    struct lapis_function *f = r->function;
    struct lapis_policy *list = NULL;
    size_t n = 0;
    collect_policies(r->front, r->body->body, r->body->n_body, NULL, &list, &n);
    if (!n || !policies_fit(r, list, n))
        return;
    if (!r->general)
        check_policy_names(r, r->body->body, r->body->n_body);
    for (size_t i = 0; list[n - 1].condition && i < f->n_policies; i++)
        *HIRA_POOL_PUSH(r->front->pool, list, n) = f->policies[i];
    f->policies = list;
    f->n_policies = n;
}

static const char *describe_value(const struct rule *r, const struct lapis_value *v)
{
    return v == &r->function->ret
               ? hira_pool_printf(r->front->pool, "the result of %s", r->function->name)
               : hira_pool_printf(r->front->pool, "parameter '%s' of %s", v->name, r->function->name);
}

static void apply_to_value(const struct rule *r, struct lapis_value *v, const struct lapis_node *node)
{
    struct lapis_target t = {.front = r->front,
                             .function = r->function,
                             .params = r->function->params,
                             .n_params = r->function->n_params,
                             .what = describe_value(r, v),
                             .name = v->name,
                             .general = r->general};
    lapis_apply_value(&t, v, node);
}

/* Spaces do not tell types apart. */
static bool same_spelling(const char *a, const char *b)
{
    for (;;) {
        while (*a == ' ')
            a++;
        while (*b == ' ')
            b++;
        if (*a != *b)
            return false;
        if (!*a)
            return true;
        a++;
        b++;
    }
}

static bool type_matches(const struct lapis_ctype *type, const char *wanted)
{
    return same_spelling(type->spelling, wanted) || (type->name && same_spelling(type->name, wanted)) ||
           (type->canonical && same_spelling(type->canonical, wanted));
}

static void unknown_parameter(const struct rule *r, const struct lapis_argument *arg)
{
    const struct lapis_function *f = r->function;
    const char *names[256];
    size_t n = 0;
    for (size_t i = 0; i < f->n_params && n < HIRA_ARRAY_SIZE(names); i++)
        names[n++] = f->params[i].name;
    lapis_error(r->front->diag, arg->loc, "%s has no parameter '%s'", f->name, arg->text);
    const char *meant = lapis_did_you_mean(arg->text, names, n);
    if (meant)
        lapis_hint(r->front->diag, "did you mean '%s'?", meant);
}

static void apply_parameter(const struct rule *r, const struct lapis_node *node)
{
    struct lapis_function *f = r->function;
    for (size_t a = 0; a < node->n_args; a++) {
        bool found = false;
        for (size_t i = 0; i < f->n_params; i++) {
            struct lapis_value *v = &f->params[i];
            if (!v->name || !lapis_glob(node->args[a].text, v->name) ||
                (node->type && !type_matches(v->ctype, node->type)))
                continue;
            found = true;
            apply_to_value(r, v, node);
        }
        if (!found && !r->general)
            unknown_parameter(r, &node->args[a]);
        if (found)
            mark_used(r->front, node);
    }
}

static void apply_order(const struct rule *r, const struct lapis_node *node)
{
    static const char *const names[] = {"objects", "all", "creation"};
    for (size_t i = 0; i < HIRA_ARRAY_SIZE(names); i++)
        if (!strcmp(node->args[0].text, names[i])) {
            r->function->order = (enum lapis_order)i;
            return;
        }
    lapis_error(r->front->diag, node->args[0].loc, "there is no order '%s'", node->args[0].text);
    lapis_hint(r->front->diag, "write %s", node->grammar->usage);
}

/* The constants of the headers that a pattern names; a name without wildcard stands for itself. */
static void add_selectors(struct lapis_front *front, const char ***keys, size_t *n, const char *pattern)
{
    if (!lapis_has_wildcard(pattern))
        *HIRA_POOL_PUSH(front->pool, *keys, *n) = pattern;
    else
        for (size_t i = 0; i < front->model->n_names; i++)
            if (lapis_glob(pattern, front->model->names[i]))
                *HIRA_POOL_PUSH(front->pool, *keys, *n) = front->model->names[i];
}

static void apply_cache(const struct rule *r, const struct lapis_node *node)
{
    struct lapis_function *f = r->function;
    const char **keys = NULL;
    size_t n = 0;
    for (size_t i = 0; i < node->n_args; i++)
        add_selectors(r->front, &keys, &n, node->args[i].text);
    if (node->negated && node->n_args) {
        f->cached = true;
        f->changing = keys;
        f->n_changing = n;
        return;
    }
    f->cached = !node->negated;
    f->cache_keys = keys;
    f->n_cache_keys = n;
}

/* Expressions of answers may name the answer itself. */
static void check_telling(const struct rule *r, const struct lapis_node *node)
{
    const struct lapis_function *f = r->function;
    const char *names[256] = {"answer", "answer_size"};
    size_t n = 2;
    for (size_t k = 0; k < f->n_params && n < HIRA_ARRAY_SIZE(names); k++)
        names[n++] = f->params[k].name;
    for (size_t i = 0; !r->general && i < node->n_args && node->word != LAPIS_W_RECORDS; i++)
        lapis_check_names(r->front, node, &node->args[i], &(struct lapis_scope){names, n, f->name});
}

static void add_keys(const struct rule *r, struct lapis_answer *a, const struct lapis_node *node)
{
    for (size_t i = 0; i < node->n_body; i++) {
        const struct lapis_node *row = node->body[i];
        struct lapis_handle *handle = lapis_model_handle(r->front->model, row->args[0].text);
        if (!handle)
            lapis_error(r->front->diag, row->args[0].loc, "'%s' is no handle type", row->args[0].text);
        for (size_t k = 1; handle && k < row->n_args; k++)
            *HIRA_POOL_PUSH(r->front->pool, a->keys, a->n_keys) =
                (struct lapis_key){.key = row->args[k].text, .handle = handle, .loc = row->args[k].loc};
    }
}

static void add_answer(const struct rule *r, const struct lapis_node *node, const struct lapis_node *how)
{
    static const enum lapis_telling tellings[] = {
        [0] = LAPIS_TELL_REFERENCES, [LAPIS_W_MASKED - LAPIS_W_REFERENCES] = LAPIS_TELL_MASKED,
        [LAPIS_W_KNOWN - LAPIS_W_REFERENCES] = LAPIS_TELL_KNOWN,           [LAPIS_W_WORDS - LAPIS_W_REFERENCES] = LAPIS_TELL_WORDS,
        [LAPIS_W_RECORDS - LAPIS_W_REFERENCES] = LAPIS_TELL_RECORDS,       [LAPIS_W_REWRITTEN - LAPIS_W_REFERENCES] = LAPIS_TELL_REWRITTEN,
    };
    struct lapis_function *f = r->function;
    struct lapis_answer a = {.general = r->general, .loc = how->loc};
    a.telling = how->word == LAPIS_W_PROPERTIES ? LAPIS_TELL_PROPERTIES : tellings[how->word - LAPIS_W_REFERENCES];
    for (size_t i = 0; i < node->n_args; i++) {
        size_t before = a.n_selectors;
        add_selectors(r->front, &a.selectors, &a.n_selectors, node->args[i].text);
        if (a.n_selectors == before && r->front->model->n_names && !r->general)
            lapis_error(r->front->diag, node->args[i].loc, "the headers define nothing that matches '%s'", node->args[i].text);
        else if (!lapis_has_wildcard(node->args[i].text))
            lapis_check_names(r->front, node, &node->args[i], &(struct lapis_scope){0});
    }
    check_telling(r, how);
    a.expr = how->n_args ? how->args[0].text : a.telling == LAPIS_TELL_PROPERTIES ? "0" : NULL;
    a.condition = how->n_args > 1 ? how->args[1].text : NULL;
    a.bytes = how->n_args > 2 ? how->args[2].text : NULL;
    add_keys(r, &a, how);
    if (a.n_selectors)
        *HIRA_POOL_PUSH(r->front->pool, f->answers, f->n_answers) = a;
}

static void apply_answer(const struct rule *r, const struct lapis_node *node)
{
    for (size_t i = 0; i < node->n_body; i++)
        add_answer(r, node, node->body[i]);
    if (!node->n_body && !r->general) {
        lapis_error(r->front->diag, node->loc, "nothing is said of this answer");
        lapis_hint(r->front->diag, "write references;, masked(bits);, known(value, condition);, words;, records(type, member);, "
                                   "rewritten(size); or properties(end) { ... }");
    }
}

static void apply_drains(const struct rule *r, const struct lapis_node *node)
{
    struct lapis_function *f = r->function;
    for (size_t i = 0; i < f->n_params; i++)
        if (f->params[i].name && !strcmp(f->params[i].name, node->args[0].text)) {
            f->drains = i + 1;
            f->drains_when = node->n_args > 1 ? node->args[1].text : NULL;
            return;
        }
    if (!r->general)
        lapis_error(r->front->diag, node->args[0].loc, "%s has no parameter '%s'", f->name, node->args[0].text);
}

/* A number that crosses beside the parameters of the prototype. */
static void apply_implicit(const struct rule *r, const struct lapis_node *node)
{
    static const struct lapis_ctype number = {
        .kind = LAPIS_INT, .spelling = "uint64_t", .name = "uint64_t", .canonical = "unsigned long", .size = 8, .align = 8};
    struct lapis_function *f = r->function;
    const char *name = node->args[0].text;
    if (lapis_param(f->params, f->n_params, name)) {
        lapis_error(r->front->diag, node->args[0].loc, "%s has a parameter '%s' already", f->name, name);
        return;
    }
    if (strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789") < strlen(name) || (*name >= '0' && *name <= '9')) {
        lapis_error(r->front->diag, node->args[0].loc, "'%s' is no name for a parameter", name);
        return;
    }
    check_function_expression(r->front, f, node, 1);
    struct lapis_value *v = HIRA_POOL_PUSH(r->front->pool, f->params, f->n_params);
    struct lapis_ctype *type = hira_pool_alloc(r->front->pool, sizeof *type);
    *type = number;
    lapis_value_init(r->front->pool, v, name, type);
    v->implicit = node->args[1].text;
    lapis_value_because(r->front->pool, v, "spec", node->loc, "the specification adds it");
}

static void apply_list(const struct rule *r, const struct lapis_node *node)
{
    struct lapis_function *f = r->function;
    if (!r->general)
        for (size_t i = node->word == LAPIS_W_CONSUMES; i < node->n_args; i++)
            check_function_expression(r->front, f, node, i);
    if (node->word == LAPIS_W_FAILS && r->general)
        check_result_value(r->front, f, node, 1);
    if (node->word == LAPIS_W_FAILS)
        *HIRA_POOL_PUSH(r->front->pool, f->fails, f->n_fails) =
            (struct lapis_fails){node->args[0].text, node->args[1].text, node->loc};
    else
        *HIRA_POOL_PUSH(r->front->pool, f->resources, f->n_resources) =
            (struct lapis_resource){node->args[0].text, node->args[1].text, node->n_args > 2 ? node->args[2].text : NULL,
                                    node->after, node->loc};
}

/* Passed over in a general rule where the function has no such parameters. */
static bool mentions_parameters_only(const struct rule *r, const struct lapis_node *node)
{
    const struct lapis_function *f = r->function;
    for (size_t i = 0; i < node->n_args; i++) {
        bool found = false;
        for (size_t k = 0; k < f->n_params && !found; k++)
            found = f->params[k].name && !strcmp(f->params[k].name, node->args[i].text);
        if (!found && !r->general)
            lapis_error(r->front->diag, node->args[i].loc, "%s has no parameter '%s'", f->name, node->args[i].text);
        if (!found)
            return false;
    }
    return true;
}

static void apply_deferred(const struct rule *r, const struct lapis_node *node)
{
    if (!mentions_parameters_only(r, node))
        return;
    const char **words = hira_pool_alloc(r->front->pool, node->n_args * sizeof *words);
    for (size_t i = 0; i < node->n_args; i++)
        words[i] = node->args[i].text;
    r->function->deferred = words;
}

static void apply_holds(const struct rule *r, const struct lapis_node *node)
{
    if (!r->general)
        check_function_expression(r->front, r->function, node, 0);
    r->function->holds = node->args[0].text;
}

static void apply_enumerates(const struct rule *r, const struct lapis_node *node)
{
    const struct lapis_function *f = r->function;
    for (size_t i = 1; !r->general && i < node->n_args; i++)
        check_function_expression(r->front, f, node, i);
    r->function->enumerates.list = node->args[0].text;
    r->function->enumerates.none = node->args[1].text;
    r->function->enumerates.more = node->n_args > 2 ? node->args[2].text : NULL;
    r->function->enumerates.loc = node->loc;
}

/* Whether a general rule's keys can be evaluated in this function: else it does not concern it. */
static bool keys_fit(const struct rule *r, const struct lapis_node *node)
{
    struct lapis_diag *diag = r->front->diag;
    r->front->diag = lapis_diag_create();
    for (size_t i = 1; i < node->n_args; i++)
        check_function_expression(r->front, r->function, node, i);
    bool fit = lapis_diag_errors(r->front->diag) == 0;
    lapis_diag_destroy(r->front->diag);
    r->front->diag = diag;
    return fit;
}

/* What it belongs to is looked up when types and results are known: replay.c. */
static void apply_recorded(const struct rule *r, const struct lapis_node *node)
{
    struct lapis_function *f = r->function;
    const struct lapis_argument *object = node->n_args ? node->args : NULL;
    bool known = !object || !strcmp(object->text, "all") || !strcmp(object->text, "ret") || lapis_param(f->params, f->n_params, object->text);
    if (r->general && (!known || !keys_fit(r, node)))
        return;
    mark_used(r->front, node);
    if (!known) {
        unknown_parameter(r, object);
        return;
    }
    if (node->negated && object) {
        lapis_error(r->front->diag, object->loc, "'not recorded' takes no arguments");
        return;
    }
    struct lapis_recording recorded = {.said = true, .general = r->general, .why = {"spec", "the specification says so", node->loc}};
    recorded.of = node->negated ? LAPIS_RECORDED_NOT : LAPIS_RECORDED_MADE;
    recorded.object = object ? object->text : NULL;
    recorded.object_loc = object ? object->loc : node->loc;
    for (size_t i = 1; object && i < node->n_args; i++) {
        if (!r->general)
            check_function_expression(r->front, f, node, i);
        *HIRA_POOL_PUSH(r->front->pool, recorded.keys, recorded.n_keys) = (struct lapis_record_key){node->args[i].text, node->args[i].loc};
    }
    f->recorded = recorded;
}

/* A function of the specification's own is in the code of that side. */
static void check_own_function(struct lapis_front *front, const char *name, struct lapis_loc loc, bool guest)
{
    const struct lapis_model *model = front->model;
    const char *side = guest ? "guest" : "server";
    if (lapis_says_word(guest ? model->guest_code.text : model->server_code.text, name) ||
        lapis_says_word(model->shared_code.text, name))
        return;
    lapis_error(front->diag, loc, "the %s code of the specification has no function '%s'", side, name);
    lapis_hint(front->diag, "write it into %s { C }, or %s \"file\";", side, side);
}

/* `guest replace name;`: a function of the specification's own with the same parameters; of the server's, behind the call being
 * served. */
static struct lapis_code replacement(const struct rule *r, const struct lapis_node *node, const char **ret_function)
{
    const struct lapis_function *f = r->function;
    bool guest = node->word == LAPIS_W_GUEST_REPLACE;
    struct hira_text call = {0};
    *ret_function = NULL;
    if (!node->n_args)
        return node->code;
    const char *name = node->args[0].text, *hole = strstr(name, "{name}");
    if (hole)
        name = hira_pool_printf(r->front->pool, "%.*s%s%s", (int)(hole - name), name, f->name, hole + 6);
    check_own_function(r->front, name, node->args[0].loc, guest);
    *ret_function = name;
    hira_text_printf(&call, " %s%s(%s", f->ret.ctype->kind == LAPIS_VOID ? "" : "return ", name, guest ? "" : "s");
    for (size_t i = 0; i < f->n_params; i++)
        hira_text_printf(&call, "%s%s", i || !guest ? ", " : "", f->params[i].name ? f->params[i].name : "");
    hira_text_puts(&call, "); ");
    struct lapis_code code = {hira_pool_strdup(r->front->pool, call.data), node->args[0].loc};
    hira_text_fini(&call);
    return code;
}

/* Where the function keeps the code of a statement that is nothing else; NULL: it is another one. */
static struct lapis_code *code_of(struct lapis_function *f, enum lapis_word word)
{
    switch (word) {
    case LAPIS_W_FAILED:
        return &f->failed;
    case LAPIS_W_GUEST_BEFORE:
        return &f->guest_before;
    case LAPIS_W_GUEST_AFTER:
        return &f->guest_after;
    case LAPIS_W_SERVER_BEFORE:
        return &f->server_before;
    case LAPIS_W_SERVER_AFTER:
        return &f->server_after;
    default:
        return NULL;
    }
}

static void apply_statement(const struct rule *r, const struct lapis_node *node)
{
    struct hira_pool *pool = r->front->pool;
    struct lapis_function *f = r->function;
    const char *function;
    switch (node->word) {
    case LAPIS_W_PARAMETER:
        apply_parameter(r, node);
        break;
    case LAPIS_W_RETURN:
        if (f->ret.ctype->kind != LAPIS_VOID)
            apply_to_value(r, &f->ret, node);
        else if (!r->general)
            lapis_error(r->front->diag, node->loc, "%s returns nothing", f->name);
        break;
    case LAPIS_W_SUCCESS:
        check_result_value(r->front, f, node, 0);
        if (f->ret.ctype->kind != LAPIS_VOID)
            set_success(pool, f, node->args[0].text);
        else if (!r->general)
            lapis_error(r->front->diag, node->loc, "%s returns nothing", f->name);
        break;
    case LAPIS_W_FAILURE:
        check_result_value(r->front, f, node, 0);
        f->failure = node->args[0].text;
        break;
    case LAPIS_W_ORDERED:
        apply_order(r, node);
        break;
    case LAPIS_W_FLUSH:
        f->flush = !node->negated;
        break;
    case LAPIS_W_PENDS:
        f->idle = node->negated;
        break;
    case LAPIS_W_DRAINS:
        apply_drains(r, node);
        break;
    case LAPIS_W_CACHE:
        apply_cache(r, node);
        break;
    case LAPIS_W_ANSWER:
        apply_answer(r, node);
        break;
    case LAPIS_W_IMPLICIT:
        apply_implicit(r, node);
        break;
    case LAPIS_W_FAILS:
    case LAPIS_W_CONSUMES:
        apply_list(r, node);
        break;
    case LAPIS_W_DEFERRED:
        apply_deferred(r, node);
        break;
    case LAPIS_W_HOLDS:
        apply_holds(r, node);
        break;
    case LAPIS_W_RECORDED:
        apply_recorded(r, node);
        break;
    case LAPIS_W_ENUMERATES:
        apply_enumerates(r, node);
        break;
    case LAPIS_W_UNSUPPORTED:
        f->unsupported = !node->negated;
        f->unsupported_code = node->n_args ? node->args[0].text : NULL;
        break;
    case LAPIS_W_EXTENSION:
        f->extension = !node->negated;
        f->exported = node->negated;
        break;
    case LAPIS_W_EXPORTED:
        f->exported = !node->negated;
        break;
    case LAPIS_W_VERSION:
        f->version = lapis_unquote(pool, node->args[0].text);
        break;
    case LAPIS_W_GUEST_REPLACE:
        f->guest_replace = replacement(r, node, &function);
        break;
    case LAPIS_W_SERVER_REPLACE:
        f->server_replace = replacement(r, node, &f->server_function);
        break;
    default:
        if (code_of(f, node->word))
            *code_of(f, node->word) = node->code;
    }
}

static void apply_rule(struct lapis_front *front, struct lapis_function *f, const struct lapis_node *body, bool general)
{
    struct rule r = {front, f, body, general};
    for (size_t i = 0; i < body->n_body; i++)
        apply_statement(&r, body->body[i]);
    apply_policies(&r);
}

/* ---- prototypes ---- */

static void rename_value(struct hira_pool *pool, struct lapis_value *v, const char *from, const char *to)
{
    const char **texts[] = {&v->count,     &v->filled, &v->terminator, &v->selector, &v->discriminant,
                            &v->companion, &v->until,  &v->question,   &v->stream};
    for (size_t i = 0; i < HIRA_ARRAY_SIZE(texts); i++)
        *texts[i] = lapis_rename_word(pool, *texts[i], from, to);
    const char **rows = v->rows ? hira_pool_alloc(pool, 6 * sizeof *rows) : NULL; /* those of a general rule are of several values */
    for (size_t i = 0; rows && i < 6; i++)
        rows[i] = lapis_rename_word(pool, v->rows[i], from, to);
    v->rows = rows;
    if (v->element)
        rename_value(pool, v->element, from, to);
    for (size_t i = 0; i < v->n_fields; i++)
        rename_value(pool, &v->fields[i], from, to);
}

static void rename_expressions(struct hira_pool *pool, struct lapis_function *f, const char *from, const char *to)
{
    rename_value(pool, &f->ret, from, to);
    for (size_t i = 0; i < f->n_params; i++)
        rename_value(pool, &f->params[i], from, to);
    for (size_t i = 0; i < f->n_policies; i++) {
        f->policies[i].condition = lapis_rename_word(pool, f->policies[i].condition, from, to);
        for (size_t k = 0; k < f->policies[i].n_once; k++)
            f->policies[i].once[k] = lapis_rename_word(pool, f->policies[i].once[k], from, to);
    }
    for (size_t i = 0; i < f->n_fails; i++)
        f->fails[i].condition = lapis_rename_word(pool, f->fails[i].condition, from, to);
    f->drains_when = lapis_rename_word(pool, f->drains_when, from, to);
    for (size_t i = 0; i < f->n_answers; i++) {
        f->answers[i].expr = lapis_rename_word(pool, f->answers[i].expr, from, to);
        f->answers[i].condition = lapis_rename_word(pool, f->answers[i].condition, from, to);
        f->answers[i].bytes = lapis_rename_word(pool, f->answers[i].bytes, from, to);
    }
    for (size_t i = 0; i < f->n_resources; i++)
        f->resources[i].amount = lapis_rename_word(pool, f->resources[i].amount, from, to);
    f->holds = lapis_rename_word(pool, f->holds, from, to);
    f->enumerates.list = lapis_rename_word(pool, f->enumerates.list, from, to);
    f->recorded.object = lapis_rename_word(pool, f->recorded.object, from, to);
    for (size_t i = 0; i < f->recorded.n_keys; i++)
        f->recorded.keys[i].text = lapis_rename_word(pool, f->recorded.keys[i].text, from, to);
    struct lapis_code *codes[] = {&f->guest_replace,  &f->guest_before,  &f->guest_after,
                                  &f->server_replace, &f->server_before, &f->server_after};
    for (size_t i = 0; i < HIRA_ARRAY_SIZE(codes); i++)
        codes[i]->text = lapis_rename_word(pool, codes[i]->text, from, to);
}

/* Through names that nobody writes, so that a prototype may swap two names. */
static void rename_parameters(struct lapis_front *front, struct lapis_function *f, const struct lapis_node *item)
{
    for (int pass = 0; pass < 2; pass++)
        for (size_t i = 0; i < f->n_params && i < item->n_params; i++) {
            struct lapis_value *v = &f->params[i];
            const char *name = item->params[i].name;
            if (!name || !v->name || !strcmp(name, v->name))
                continue;
            const char *to = pass ? name : hira_pool_printf(front->pool, "hira_renamed_%zu", i);
            bool again = pass && strncmp(v->name, "hira_renamed_", 13);
            if (again)
                continue;
            if (pass == 0)
                lapis_value_because(front->pool, v, "spec", item->params[i].name_loc,
                                    "the prototype calls it '%s', the header '%s'", name, v->name);
            rename_expressions(front->pool, f, v->name, to);
            v->name = to;
        }
    for (size_t i = 0; i < f->n_params && i < item->n_params; i++)
        if (!f->params[i].name)
            f->params[i].name = item->params[i].name;
}

static const struct lapis_function *parsed_prototype(const struct lapis_model *model, const struct lapis_node *item)
{
    for (size_t i = 0; i < model->n_declarations; i++)
        if (model->declarations[i].loc.line == item->text_loc.line &&
            model->declarations[i].loc.file == item->text_loc.file)
            return model->declarations[i].function;
    return NULL;
}

static bool same_type(const struct lapis_ctype *a, const struct lapis_ctype *b)
{
    if (same_spelling(a->canonical ? a->canonical : a->spelling, b->canonical ? b->canonical : b->spelling))
        return true;
    /* "size_t n[3]" and "size_t *n" are one type of parameter. */
    bool pointers =
        (a->kind == LAPIS_POINTER || a->kind == LAPIS_ARRAY) && (b->kind == LAPIS_POINTER || b->kind == LAPIS_ARRAY);
    return pointers && a->pointee && b->pointee && a->pointee->is_const == b->pointee->is_const &&
           same_type(a->pointee, b->pointee);
}

static void check_prototype(struct lapis_front *front, const struct lapis_function *f, const struct lapis_node *item)
{
    const struct lapis_function *parsed = parsed_prototype(front->model, item);
    if (item->n_params != lapis_declared_params(f)) {
        lapis_error(front->diag, item->name_loc, "%s has %zu parameters, not %zu", f->name, lapis_declared_params(f), item->n_params);
        lapis_note(front->diag, f->loc, "the header declares it here");
        return;
    }
    if (!parsed || !front->imported)
        return;
    if (!same_type(parsed->ret.ctype, f->ret.ctype)) {
        lapis_error(front->diag, item->text_loc, "%s returns '%s', not '%s'", f->name, f->ret.ctype->spelling,
                    parsed->ret.ctype->spelling);
        lapis_note(front->diag, f->loc, "the header declares it here");
    }
    for (size_t i = 0; i < f->n_params && i < parsed->n_params; i++) {
        if (same_type(parsed->params[i].ctype, f->params[i].ctype))
            continue;
        lapis_error(front->diag, item->params[i].loc, "parameter %zu of %s is '%s' in the header, not '%s'", i + 1,
                    f->name, f->params[i].ctype->spelling, parsed->params[i].ctype->spelling);
        lapis_note(front->diag, f->params[i].loc.line ? f->params[i].loc : f->loc, "the header declares it here");
    }
}

/* ---- the rules for one function, general to particular ---- */

static bool speaks_of(const struct lapis_node *item, const struct lapis_function *f)
{
    switch (item->word) {
    case LAPIS_W_FUNCTION:
    case LAPIS_W_PROTOTYPE:
        return !strcmp(item->name, f->name);
    case LAPIS_W_FUNCTIONS:
    case LAPIS_W_UNSUPPORTED_SET:
        return lapis_glob_any(item, f->name);
    case LAPIS_W_CONVENTION:
        return true;
    case LAPIS_W_TYPE:
        return f->ret.ctype->kind != LAPIS_VOID && type_matches(f->ret.ctype, item->args[0].text);
    default:
        return false;
    }
}

static void apply_type_rules(struct lapis_front *front, struct lapis_function *f)
{
    for (size_t i = 0; i < front->n_items; i++) {
        const struct lapis_node *item = front->items[i];
        if (item->word != LAPIS_W_TYPE || !speaks_of(item, f))
            continue;
        mark_used(front, item);
        for (size_t k = 0; k < item->n_body; k++) {
            if (item->body[k]->word == LAPIS_W_SUCCESS)
                set_success(front->pool, f, item->body[k]->args[0].text);
            if (item->body[k]->word == LAPIS_W_FAILURE)
                f->failure = item->body[k]->args[0].text;
            if (item->body[k]->word == LAPIS_W_FAILED)
                f->failed = item->body[k]->code;
        }
    }
}

static void apply_general(struct lapis_front *front, struct lapis_function *f, enum lapis_word word)
{
    for (size_t i = 0; i < front->n_items; i++) {
        const struct lapis_node *item = front->items[i];
        if (item->word != word || !speaks_of(item, f))
            continue;
        mark_used(front, item);
        if (word == LAPIS_W_FUNCTIONS)
            f->spec_loc = item->loc;
        if (word == LAPIS_W_FUNCTIONS && item->n_args == 1 && !lapis_has_wildcard(item->args[0].text))
            f->own = true; /* said of it alone, whatever the item is called */
        apply_rule(front, f, item, true);
    }
}

static void apply_unsupported(struct lapis_front *front, struct lapis_function *f)
{
    for (size_t i = 0; i < front->n_items; i++) {
        const struct lapis_node *item = front->items[i];
        if (item->word != LAPIS_W_UNSUPPORTED_SET || !speaks_of(item, f))
            continue;
        mark_used(front, item);
        f->unsupported = true;
        f->spec_loc = item->loc;
        for (size_t k = 0; k < item->n_body; k++)
            if (item->body[k]->word == LAPIS_W_FAILURE)
                f->unsupported_code = item->body[k]->args[0].text;
    }
}

/* A function that is named is meant to be carried, whatever a pattern said of it. */
static void apply_particular(struct lapis_front *front, struct lapis_function *f)
{
    for (size_t i = 0; i < front->n_items; i++) {
        const struct lapis_node *item = front->items[i];
        bool named = (item->word == LAPIS_W_FUNCTION || item->word == LAPIS_W_PROTOTYPE) && speaks_of(item, f);
        if (named && item->word == LAPIS_W_PROTOTYPE && item->declaration == LAPIS_PROTOTYPE) {
            check_prototype(front, f, item);
            rename_parameters(front, f, item);
        }
        if (named) {
            f->annotated = f->own = true;
            f->unsupported = false;
            f->unsupported_code = NULL;
            f->spec_loc = item->name_loc;
        }
    }
    for (size_t i = 0; i < front->n_items; i++) {
        const struct lapis_node *item = front->items[i];
        if ((item->word == LAPIS_W_FUNCTION || item->word == LAPIS_W_PROTOTYPE) && speaks_of(item, f)) {
            mark_used(front, item);
            apply_rule(front, f, item, false);
        }
    }
}

/* A slot of the vendor's table; one that the vendor has not filled fails. */
static struct lapis_code call_of_slot(struct lapis_front *front, const struct lapis_function *f)
{
    struct hira_text code = {0};
    bool is_void = f->ret.ctype->kind == LAPIS_VOID, whole = f->ret.ctype->kind == LAPIS_STRUCT || f->ret.ctype->kind == LAPIS_UNION;
    hira_text_printf(&code, " if (!(%s) || !%s) return%s%s; %s%s(", f->table, f->slot, is_void ? "" : " ",
                     is_void ? "" : whole ? hira_pool_printf(front->pool, "(%s){0}", f->ret.ctype->name) : f->failure ? f->failure : "0",
                     is_void ? "" : "return ", f->slot);
    for (size_t i = 0; i < f->n_params; i++)
        hira_text_printf(&code, "%s%s", i ? ", " : "", f->params[i].name);
    hira_text_puts(&code, "); ");
    struct lapis_code result = {hira_pool_strdup(front->pool, code.data), f->spec_loc};
    hira_text_fini(&code);
    return result;
}

static void resolve_function(struct lapis_front *front, struct lapis_function *f)
{
    if (!f->internal && !f->extension)
        f->exported = true;
    if (front->model->order_all)
        f->order = LAPIS_ORDER_ALL;
    apply_type_rules(front, f);
    apply_general(front, f, LAPIS_W_CONVENTION);
    apply_general(front, f, LAPIS_W_FUNCTIONS);
    apply_unsupported(front, f);
    apply_particular(front, f);
    if (f->slot && !f->server_replace.text)
        f->server_replace = call_of_slot(front, f);
    if (!f->n_policies || f->policies[f->n_policies - 1].condition)
        HIRA_POOL_PUSH(front->pool, f->policies, f->n_policies)->mode = LAPIS_SYNC;
}

/* ---- types ---- */

static struct lapis_function *verb(struct lapis_front *front, const struct lapis_node *node,
                                   const struct lapis_handle *handle)
{
    struct lapis_function *f = lapis_model_function(front->model, node->args[0].text);
    if (!f) {
        unknown_function(front, node->args[0].loc, node->args[0].text);
    } else if (!f->n_params || f->params[0].ctype->kind != LAPIS_HANDLE || f->params[0].ctype->handle != handle) {
        lapis_error(front->diag, node->args[0].loc, "the first parameter of %s is no %s", f->name, handle->name);
        return NULL;
    }
    return f;
}

static void apply_contents(struct lapis_front *front, struct lapis_handle *handle, const struct lapis_node *node)
{
    static const char *const names[] = {"handle"};
    lapis_check_names(front, node, &node->args[0], &(struct lapis_scope){names, 1, NULL});
    handle->contents = node->args[0].text;
    handle->contents_loc = node->loc;
    handle->save = handle->restore = (struct lapis_code){0};
    for (size_t i = 0; i < node->n_body; i++)
        *(node->body[i]->word == LAPIS_W_SAVE ? &handle->save : &handle->restore) = node->body[i]->code;
    if (!node->has_body || (handle->save.text && handle->restore.text)) /* without a body, the parser has said so */
        return;
    lapis_error(front->diag, node->loc, "nothing says how these contents are %s", handle->save.text ? "restored" : "saved");
    lapis_hint(front->diag, "write %s", node->grammar->usage);
}

static void apply_handle_statement(struct lapis_front *front, struct lapis_handle *handle,
                                   const struct lapis_node *node)
{
    switch (node->word) {
    case LAPIS_W_RETAIN:
        handle->retain = verb(front, node, handle);
        break;
    case LAPIS_W_RELEASE:
        handle->release = verb(front, node, handle);
        break;
    case LAPIS_W_INVALID:
        check_result_value(front, NULL, node, 0);
        handle->invalid = node->args[0].text;
        break;
    case LAPIS_W_DONE:
        handle->done = node->code;
        break;
    case LAPIS_W_GUEST_STATE:
        handle->guest_state = node->code;
        break;
    case LAPIS_W_SERVER_STATE:
        handle->server_state = node->code;
        break;
    case LAPIS_W_GUEST_DESTROY:
        handle->guest_destroy = node->code;
        break;
    case LAPIS_W_IMMUTABLE:
        handle->immutable = !node->negated;
        break;
    case LAPIS_W_PENDS:
        handle->pends = !node->negated;
        break;
    case LAPIS_W_MAPPED:
        handle->mapped = !node->negated;
        break;
    case LAPIS_W_DISPATCH:
        handle->dispatch = !node->negated;
        break;
    case LAPIS_W_DEVICES:
        check_own_function(front, node->args[0].text, node->args[0].loc, false);
        handle->devices = node->args[0].text;
        break;
    case LAPIS_W_CONTENTS:
        apply_contents(front, handle, node);
        break;
    default:
        break;
    }
}

/* "CL_INVALID_{TYPE}" for cl_mem: the name in capitals without its prefix and without _t. */
static const char *fill_type(struct hira_pool *pool, const char *pattern, const char *type)
{
    const char *hole = strstr(pattern, "{TYPE}");
    if (!hole)
        return pattern;
    const char *bare = strchr(type, '_');
    char *word = hira_pool_strdup(pool, bare && bare[1] ? bare + 1 : type);
    size_t n = strlen(word);
    if (n > 2 && !strcmp(word + n - 2, "_t"))
        word[n - 2] = 0;
    for (char *c = word; *c; c++)
        *c = (char)toupper((unsigned char)*c);
    return hira_pool_printf(pool, "%.*s%s%s", (int)(hole - pattern), pattern, word, hole + 6);
}

static void apply_invalid_convention(struct lapis_front *front, const struct lapis_node *item)
{
    struct lapis_model *model = front->model;
    for (size_t i = 0; i < item->n_body; i++) {
        const struct lapis_node *node = item->body[i];
        const char *pattern = node->word == LAPIS_W_INVALID ? lapis_unquote(front->pool, node->args[0].text) : NULL;
        for (size_t k = 0; pattern && k < model->n_handles; k++)
            model->handles[k]->invalid = fill_type(front->pool, pattern, model->handles[k]->name);
    }
}

static bool only_of_results(const struct lapis_node *item)
{
    for (size_t i = 0; i < item->n_body; i++)
        if (item->body[i]->word != LAPIS_W_SUCCESS && item->body[i]->word != LAPIS_W_FAILURE && item->body[i]->word != LAPIS_W_FAILED)
            return false;
    return true;
}

static bool says_not_handle(const struct lapis_node *item)
{
    for (size_t i = 0; i < item->n_body; i++)
        if (item->body[i]->word == LAPIS_W_HANDLE_TYPE && item->body[i]->negated)
            return true;
    return false;
}

static void suggest_type(struct lapis_front *front, const char *name)
{
    const struct lapis_model *model = front->model;
    const char **names = NULL;
    size_t n = 0;
    for (size_t i = 0; i < model->n_handles; i++)
        *HIRA_POOL_PUSH(front->pool, names, n) = model->handles[i]->name;
    for (size_t i = 0; i < model->n_functions; i++)
        *HIRA_POOL_PUSH(front->pool, names, n) = model->functions[i]->ret.ctype->name;
    const char *meant = lapis_did_you_mean(name, names, n);
    if (meant)
        lapis_hint(front->diag, "did you mean '%s'?", meant);
}

/* Whether any error parameter has this type behind it: then success() and failure() are of use. */
static bool is_pointed_to(const struct lapis_model *model, const char *name)
{
    for (size_t i = 0; i < model->n_functions; i++)
        for (size_t k = 0; k < model->functions[i]->n_params; k++) {
            const struct lapis_ctype *type = model->functions[i]->params[k].ctype;
            if (type->kind == LAPIS_POINTER && type->pointee && type_matches(type->pointee, name))
                return true;
        }
    return false;
}

static void resolve_type(struct lapis_front *front, const struct lapis_node *item)
{
    const char *name = item->args[0].text;
    for (size_t i = 0; i < item->n_body; i++)
        if (item->body[i]->word == LAPIS_W_SUCCESS || item->body[i]->word == LAPIS_W_FAILURE)
            check_result_value(front, NULL, item->body[i], 0);
    struct lapis_handle *handle = lapis_model_handle(front->model, name);
    if (handle && handle->ctype) {
        for (size_t i = 0; i < item->n_body; i++)
            apply_handle_statement(front, handle, item->body[i]);
        return;
    }
    if (says_not_handle(item) ||
        (only_of_results(item) && (was_used(front, item) || is_pointed_to(front->model, name))))
        return;
    if (only_of_results(item))
        lapis_error(front->diag, item->args[0].loc, "no function returns '%s'", name);
    else
        lapis_error(front->diag, item->args[0].loc, "'%s' is no handle type that the api uses", name);
    suggest_type(front, name);
}

/* The results that the type of an error parameter promises: type(cl_int) { success(..); failure(..); } */
static void fill_error_values(struct lapis_front *front, struct lapis_function *f, struct lapis_value *v)
{
    if (!v->is_error || !v->ctype->pointee)
        return;
    for (size_t i = 0; i < front->n_items; i++) {
        const struct lapis_node *item = front->items[i];
        if (item->word != LAPIS_W_TYPE || !type_matches(v->ctype->pointee, item->args[0].text))
            continue;
        for (size_t k = 0; k < item->n_body; k++) {
            if (item->body[k]->word == LAPIS_W_SUCCESS && !lapis_says_word(item->body[k]->args[0].text, "ret"))
                v->error_success = item->body[k]->args[0].text;
            if (item->body[k]->word == LAPIS_W_FAILURE)
                v->error_failure = item->body[k]->args[0].text;
            if (item->body[k]->word == LAPIS_W_FAILED && !f->failed.text)
                f->failed = item->body[k]->code;
        }
    }
}

static void resolve_types(struct lapis_front *front)
{
    struct lapis_model *model = front->model;
    for (size_t i = 0; model->dispatch && i < model->n_handles; i++)
        model->handles[i]->dispatch = true;
    for (size_t i = 0; i < front->n_items; i++)
        if (front->items[i]->word == LAPIS_W_CONVENTION)
            apply_invalid_convention(front, front->items[i]);
    for (size_t i = 0; i < front->n_items; i++)
        if (front->items[i]->word == LAPIS_W_TYPE)
            resolve_type(front, front->items[i]);
    for (size_t i = 0; i < model->n_functions; i++)
        model->functions[i]->retains = model->functions[i]->releases = false;
    for (size_t i = 0; i < model->n_handles; i++) {
        if (model->handles[i]->retain)
            model->handles[i]->retain->retains = true;
        if (model->handles[i]->release)
            model->handles[i]->release->releases = true;
    }
}

/* ---- callbacks, selectors ---- */

static void apply_callback_parameter(struct lapis_front *front, struct lapis_callback *cb,
                                     const struct lapis_node *node)
{
    for (size_t a = 0; a < node->n_args; a++) {
        bool found = false;
        for (size_t i = 0; i < cb->n_args; i++) {
            if (!cb->args[i].name || !lapis_glob(node->args[a].text, cb->args[i].name))
                continue;
            found = true;
            struct lapis_target t = {
                .front = front,
                .callback = cb,
                .params = cb->args,
                .n_params = cb->n_args,
                .name = cb->args[i].name,
                .what = hira_pool_printf(front->pool, "argument '%s' of %s", cb->args[i].name, cb->name)};
            lapis_apply_value(&t, &cb->args[i], node);
        }
        if (found)
            continue;
        const char *names[64];
        size_t n = 0;
        for (size_t i = 0; i < cb->n_args && n < HIRA_ARRAY_SIZE(names); i++)
            names[n++] = cb->args[i].name;
        lapis_error(front->diag, node->args[a].loc, "%s has no argument '%s'", cb->name, node->args[a].text);
        const char *meant = lapis_did_you_mean(node->args[a].text, names, n);
        if (meant)
            lapis_hint(front->diag, "did you mean '%s'?", meant);
    }
}

static void apply_callback(struct lapis_front *front, struct lapis_callback *cb, const struct lapis_node *item)
{
    for (size_t i = 0; i < item->n_body; i++) {
        const struct lapis_node *node = item->body[i];
        switch (node->word) {
        case LAPIS_W_POST:
            cb->waits = false;
            break;
        case LAPIS_W_WAIT:
            cb->waits = true;
            break;
        case LAPIS_W_ONCE:
            cb->once = !node->negated;
            break;
        case LAPIS_W_PARAMETER:
            apply_callback_parameter(front, cb, node);
            break;
        case LAPIS_W_RETURN: {
            struct lapis_target t = {.front = front,
                                     .callback = cb,
                                     .params = cb->args,
                                     .n_params = cb->n_args,
                                     .what = hira_pool_printf(front->pool, "the result of %s", cb->name)};
            lapis_apply_value(&t, &cb->ret, node);
            break;
        }
        default:
            break;
        }
    }
}

/* callback(function.parameter) */
static void resolve_callback_path(struct lapis_front *front, const struct lapis_node *item, const struct lapis_argument *arg)
{
    const char *path = arg->text, *dot = strchr(path, '.');
    struct lapis_function *f =
        lapis_model_function(front->model, hira_pool_strndup(front->pool, path, (size_t)(dot - path)));
    if (!f) {
        unknown_function(front, arg->loc, hira_pool_strndup(front->pool, path, (size_t)(dot - path)));
        return;
    }
    struct lapis_value *v = lapis_param(f->params, f->n_params, dot + 1);
    struct lapis_callback *cb = v ? lapis_value_callback(front, v, f->name) : NULL;
    if (cb)
        apply_callback(front, cb, item);
    else if (v)
        lapis_error(front->diag, arg->loc, "parameter '%s' of %s is no function; it is %s", v->name, f->name,
                    lapis_describe_type(front->pool, v->ctype));
    else
        unknown_parameter(&(struct rule){.front = front, .function = f},
                          &(struct lapis_argument){.text = dot + 1, .loc = arg->loc});
}

static void resolve_callback(struct lapis_front *front, const struct lapis_node *item, const struct lapis_argument *arg)
{
    bool found = false;
    if (strchr(arg->text, '.')) {
        resolve_callback_path(front, item, arg);
        return;
    }
    for (size_t i = 0; i < front->model->n_callbacks; i++) {
        struct lapis_callback *cb = front->model->callbacks[i];
        if (!strcmp(cb->name, arg->text) || type_matches(cb->ctype, arg->text)) {
            apply_callback(front, cb, item);
            found = true;
        }
    }
    if (!found)
        lapis_error(front->diag, arg->loc, "no parameter is a function of type '%s'", arg->text);
}

static void resolve_values(struct lapis_front *front, const struct lapis_node *item)
{
    struct lapis_model *model = front->model;
    struct lapis_handle *handle = lapis_model_handle(model, item->args[0].text);
    if (!handle) {
        lapis_error(front->diag, item->args[0].loc, "'%s' is no handle type", item->args[0].text);
        suggest_type(front, item->args[0].text);
        return;
    }
    for (size_t i = 1; i < item->n_args; i++) {
        for (size_t k = 0; k < model->n_values; k++)
            if (!strcmp(model->values[k].key, item->args[i].text)) {
                lapis_error(front->diag, item->args[i].loc, "selector '%s' is listed already", item->args[i].text);
                lapis_note(front->diag, model->values[k].loc, "here, for %s", model->values[k].handle->name);
            }
        lapis_check_names(front, item, &item->args[i], &(struct lapis_scope){0});
        *HIRA_POOL_PUSH(front->pool, model->values, model->n_values) =
            (struct lapis_key){.key = item->args[i].text, .handle = handle, .loc = item->args[i].loc};
    }
}

/* ---- what matched nothing ---- */

static void missing_function(struct lapis_front *front, const struct lapis_argument *arg)
{
    lapis_warning(front->diag, arg->loc, "no header declares a function '%s'", arg->text);
    suggest_function(front, arg->text);
}

static void check_matches(struct lapis_front *front, const struct lapis_node *item)
{
    for (size_t i = 0; i < item->n_args; i++) {
        const char *pattern = item->args[i].text;
        bool found = false;
        for (size_t k = 0; !found && k < front->model->n_functions; k++)
            found = lapis_glob(pattern, front->model->functions[k]->name);
        for (size_t k = 0; !found && k < front->n_omitted; k++)
            found = item->word == LAPIS_W_OMIT && lapis_glob(pattern, front->omitted[k].name);
        if (found)
            continue;
        if (item->word == LAPIS_W_FUNCTIONS && !lapis_has_wildcard(pattern))
            unknown_function(front, item->args[i].loc, pattern);
        else if (lapis_has_wildcard(pattern))
            lapis_warning(front->diag, item->args[i].loc, "no function of the header matches '%s'", pattern);
        else
            missing_function(front, &item->args[i]);
    }
}

/* A parameter() of a glob that no function of the glob has is a slip; so is an object to which calls belong. */
static void check_parameters(struct lapis_front *front, const struct lapis_node *item)
{
    for (size_t i = 0; i < item->n_body; i++) {
        const struct lapis_node *node = item->body[i];
        if ((node->word == LAPIS_W_PARAMETER || node->word == LAPIS_W_RECORDED) && !was_used(front, node))
            lapis_warning(front->diag, node->loc, "no function that this speaks of has such a parameter");
    }
}

static void resolve_item(struct lapis_front *front, const struct lapis_node *item)
{
    switch (item->word) {
    case LAPIS_W_CALLBACK_TYPE:
        for (size_t i = 0; i < item->n_args; i++)
            resolve_callback(front, item, &item->args[i]);
        break;
    case LAPIS_W_VALUES:
        resolve_values(front, item);
        break;
    case LAPIS_W_FUNCTION:
    case LAPIS_W_PROTOTYPE:
        if (!was_used(front, item))
            unknown_function(front, item->name_loc, item->name);
        break;
    case LAPIS_W_FUNCTIONS:
    case LAPIS_W_CONVENTION:
        check_parameters(front, item);
        check_matches(front, item);
        break;
    case LAPIS_W_UNSUPPORTED_SET:
        for (size_t i = 0; i < item->n_body; i++)
            if (item->body[i]->word == LAPIS_W_FAILURE)
                check_result_value(front, NULL, item->body[i], 0);
        check_matches(front, item);
        break;
    case LAPIS_W_OMIT:
        check_matches(front, item);
        break;
    default:
        break;
    }
}

void lapis_resolve(struct lapis_front *front)
{
    struct lapis_model *model = front->model;
    for (size_t i = 0; i < model->n_functions; i++)
        resolve_function(front, model->functions[i]);
    for (size_t i = 0; i < front->n_items; i++)
        resolve_item(front, front->items[i]);
    resolve_types(front);
    for (size_t i = 0; i < model->n_functions; i++)
        for (size_t k = 0; k < model->functions[i]->n_params; k++)
            fill_error_values(front, model->functions[i], &model->functions[i]->params[k]);
}
