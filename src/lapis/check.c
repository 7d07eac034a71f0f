/*
 * What may not reach the emitter. Before the headers are read: bodies that say a thing twice or against themselves. At
 * the end: pointers of which too little is known, and facts that cannot be true together. Each error stands where the
 * author would mend it: at the annotation, else at the function in the spec, else in the header.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include <string.h>

#include "lapis/front.h"

/* ---- bodies ---- */

static void clash(struct lapis_front *front, const struct lapis_node *a, const struct lapis_node *b)
{
    if (a->word == b->word && a->negated == b->negated)
        lapis_error(front->diag, b->loc, "'%s' is said twice", b->grammar->spelling);
    else
        lapis_error(front->diag, b->loc, "'%s%s' contradicts '%s%s'", b->negated ? "not " : "", b->grammar->spelling,
                    a->negated ? "not " : "", a->grammar->spelling);
    lapis_note(front->diag, a->loc, "said here");
}

static bool clashes(const struct lapis_node *a, const struct lapis_node *b)
{
    if (!a->grammar || !b->grammar || b->grammar->group == LAPIS_G_MANY)
        return false;
    if (b->grammar->group == LAPIS_G_SELF)
        return a->word == b->word;
    return a->grammar->group == b->grammar->group;
}

/* Two pairs that no group expresses. */
static bool excludes(const struct lapis_node *a, const struct lapis_node *b)
{
    enum lapis_word x = a->word, y = b->word;
    bool replaced = x == LAPIS_W_GUEST_REPLACE || y == LAPIS_W_GUEST_REPLACE;
    bool around =
        x == LAPIS_W_GUEST_BEFORE || x == LAPIS_W_GUEST_AFTER || y == LAPIS_W_GUEST_BEFORE || y == LAPIS_W_GUEST_AFTER;
    bool hidden =
        (x == LAPIS_W_EXTENSION && y == LAPIS_W_EXPORTED) || (x == LAPIS_W_EXPORTED && y == LAPIS_W_EXTENSION);
    bool table = x == LAPIS_W_TABLE || y == LAPIS_W_TABLE;
    return (replaced && around) || (table && (replaced || around)) || (hidden && a->negated == b->negated);
}

static void check_named_twice(struct lapis_front *front, const struct lapis_node *a, const struct lapis_node *b)
{
    if (a->word != b->word || (a->word != LAPIS_W_PARAMETER && a->word != LAPIS_W_FIELD))
        return;
    for (size_t i = 0; i < a->n_args; i++)
        for (size_t k = 0; k < b->n_args; k++)
            if (!strcmp(a->args[i].text, b->args[k].text) && !lapis_has_wildcard(a->args[i].text) &&
                !a->type == !b->type) {
                lapis_error(front->diag, b->args[k].loc, "'%s' is annotated twice", b->args[k].text);
                lapis_note(front->diag, a->args[i].loc, "the first time");
            }
}

static bool decides_always(const struct lapis_node *node)
{
    if (node->word == LAPIS_W_SYNC || node->word == LAPIS_W_ASYNC || node->word == LAPIS_W_ASYNC_ONCE)
        return true;
    if (node->word != LAPIS_W_IF || !node->other)
        return false;
    bool then = false, other = false;
    for (size_t i = 0; i < node->n_body; i++)
        then |= decides_always(node->body[i]);
    for (size_t i = 0; i < node->other->n_body; i++)
        other |= decides_always(node->other->body[i]);
    return then && other;
}

/* How a call is carried is decided by the first that applies: behind what always does, nothing is reached. */
static void check_reached(struct lapis_front *front, const struct lapis_node *body)
{
    const struct lapis_node *decided = NULL;
    for (size_t i = 0; i < body->n_body; i++) {
        const struct lapis_node *node = body->body[i];
        bool mode = decides_always(node) || node->word == LAPIS_W_IF;
        if (mode && decided && (node->word == LAPIS_W_IF || decided->word == LAPIS_W_IF)) {
            lapis_error(front->diag, node->loc, "this is never reached");
            lapis_note(front->diag, decided->loc, "this decides in every case");
        }
        if (!decided && decides_always(node))
            decided = node;
    }
}

static void check_body(struct lapis_front *front, const struct lapis_node *body)
{
    for (size_t i = 0; i < body->n_body; i++) {
        const struct lapis_node *b = body->body[i];
        for (size_t k = 0; k < i; k++) {
            const struct lapis_node *a = body->body[k];
            if (clashes(a, b) || excludes(a, b)) {
                clash(front, a, b);
                break;
            }
            check_named_twice(front, a, b);
        }
        check_body(front, b);
        if (b->other)
            check_body(front, b->other);
    }
    if (body->word != LAPIS_W_CALLBACK_TYPE)
        check_reached(front, body);
}

static bool names_function(const struct lapis_node *item)
{
    return item->word == LAPIS_W_FUNCTION || item->word == LAPIS_W_PROTOTYPE;
}

void lapis_check_bodies(struct lapis_front *front)
{
    for (size_t i = 0; i < front->n_items; i++) {
        const struct lapis_node *item = front->items[i];
        check_body(front, item);
        for (size_t k = 0; names_function(item) && k < i; k++) {
            const struct lapis_node *old = front->items[k];
            /* A file may go beyond what it includes, but not repeat itself. */
            if (!names_function(old) || old->source != item->source || strcmp(old->name, item->name))
                continue;
            lapis_error(front->diag, item->name_loc, "function '%s' is annotated twice", item->name);
            lapis_note(front->diag, old->name_loc, "the first time");
        }
    }
}

/* ---- where an error about a value belongs ---- */

struct place { /* what is being checked */
    struct lapis_front *front;
    struct lapis_function *function; /* NULL: a callback */
    struct lapis_callback *callback;
    const struct lapis_node *prototype;  /* the spec's, or NULL */
    const struct lapis_value *parameter; /* outermost value */
    const struct place *through;         /* callbacks: the function and parameter that take it */
    const char *what;
    bool result;
};

static const struct lapis_param *prototype_param(const struct place *p)
{
    if (!p->prototype || p->result)
        return NULL;
    for (size_t i = 0; i < p->prototype->n_params; i++)
        if (p->prototype->params[i].name && p->parameter->name &&
            !strcmp(p->prototype->params[i].name, p->parameter->name))
            return &p->prototype->params[i];
    return NULL;
}

/* Where the spec last said something of the value, as far as it did. */
static struct lapis_loc spec_place(const struct lapis_value *v)
{
    for (size_t i = v->n_reasons; i-- > 0;)
        if (!strcmp(v->reasons[i].rule, "spec"))
            return v->reasons[i].loc;
    return (struct lapis_loc){0};
}

static struct lapis_loc place_of(const struct place *p, const struct lapis_value *v)
{
    struct lapis_loc loc = spec_place(v);
    if (!loc.line)
        loc = spec_place(p->parameter);
    if (!loc.line && p->through)
        return place_of(p->through, p->through->parameter);
    const struct lapis_param *param = prototype_param(p);
    if (!loc.line && param)
        loc = param->loc;
    if (!loc.line && p->function && p->function->spec_loc.line)
        loc = p->function->spec_loc;
    if (!loc.line)
        loc = v->loc.line ? v->loc : p->parameter->loc;
    if (!loc.line)
        loc = p->function ? p->function->loc : p->callback->loc;
    return loc;
}

static const char *owner(const struct place *p)
{
    return p->function ? p->function->name : p->callback->name;
}

/* ---- unsettled ---- */

/* What would answer the question, as it may be written. */
static const char *advice(const struct place *p, const struct lapis_value *v)
{
    const struct lapis_ctype *t = v->ctype, *to = t->pointee;
    if (t->kind == LAPIS_UNION)
        return "{ union(expr) { member: value; } }";
    if (t->kind == LAPIS_FUNCTION)
        return "{ callback(userdata); } if it is called, else { opaque; } or { ignored; }";
    if (t->kind == LAPIS_OPAQUE || (to && to->kind == LAPIS_OPAQUE))
        return "{ opaque; } if it is not followed here, or { ignored; }";
    if (p->result && p->function && to && to->is_char)
        return "{ string; lifetime(static); }";
    if (p->result)
        return "{ opaque; }, or { buffer(n); lifetime(object); }";
    if (to && to->is_char && to->is_const)
        return "{ string; } or { buffer(n); }";
    if (to && to->kind == LAPIS_VOID)
        return to->is_const ? "{ bytes(n); } or { opaque; }" : "{ out; bytes(n); } (or in, inout), or { opaque; }";
    return to && to->is_const ? "{ buffer(n); }, where n may be 1"
                              : "{ out; buffer(n); } (or in, inout), where n may be 1";
}

static void unsettled(const struct place *p, const struct lapis_value *v)
{
    struct lapis_diag *diag = p->front->diag;
    const char *type = v->ctype->spelling;
    if (v->ctype->kind == LAPIS_FUNCTION)
        lapis_error(diag, place_of(p, v), "%s is a function of type '%s', and nothing says who calls it", p->what,
                    type);
    else if (v->ctype->kind == LAPIS_UNION)
        lapis_error(diag, place_of(p, v), "%s is a union ('%s'), and nothing tells which member is live", p->what,
                    type);
    else if (v->ctype->kind == LAPIS_OPAQUE)
        lapis_error(diag, place_of(p, v), "%s is of type '%s', whose bytes are unknown", p->what, type);
    else
        lapis_error(diag, place_of(p, v), "%s is a pointer ('%s'), and nothing says to what", p->what, type);
    const char *answer = advice(p, v);
    if (v->question)
        lapis_hint(diag, "%s", v->question);
    const char *head = p->parameter != v ? "there"
                       : p->result       ? "return"
                                         : hira_pool_printf(p->front->pool, "parameter(%s)", v->name ? v->name : "?");
    if (p->function && !p->function->annotated)
        lapis_hint(diag, "write in function %s { }: %s %s", p->function->name, head, answer);
    else
        lapis_hint(diag, "write %s %s", head, answer);
    if (p->function && p->function->spec_loc.line && !p->function->annotated && p->parameter->loc.line)
        lapis_note(diag, p->parameter->loc, "declared here");
}

/* ---- facts that need each other ---- */

static const struct lapis_value *made_handle(const struct lapis_function *f, const char *name)
{
    const struct lapis_value *found = NULL;
    for (size_t i = 0; i < f->n_params; i++) {
        const struct lapis_value *v = &f->params[i];
        bool makes = v->element && v->element->kind == LAPIS_V_HANDLE && v->element->allocates;
        if (!makes || (name && (!v->name || strcmp(v->name, name))))
            continue;
        if (found)
            return NULL;
        found = v;
    }
    return found;
}

static void check_until(const struct place *p, struct lapis_value *v)
{
    if (v->lifetime != LAPIS_LIFE_EVENT || !p->function)
        return;
    const struct lapis_value *made = made_handle(p->function, v->until);
    if (made) {
        v->until = made->name;
        return;
    }
    if (v->until)
        lapis_error(p->front->diag, place_of(p, v), "%s lives until '%s', which makes no handle to wait for", p->what,
                    v->until);
    else
        lapis_error(p->front->diag, place_of(p, v), "%s lives until an event, but %s makes no handle, or several",
                    p->what, owner(p));
    lapis_hint(p->front->diag, "write parameter(event) { out; element { allocates; } } and lifetime(event, event);");
}

static void check_facts(const struct place *p, const struct lapis_value *v)
{
    struct lapis_diag *diag = p->front->diag;
    bool out = v->direction & LAPIS_OUT;
    bool array = v->kind == LAPIS_V_BUFFER || v->kind == LAPIS_V_STRING;
    if (v->filled && (!out || !array))
        lapis_error(diag, place_of(p, v), "'filled' needs a buffer that the call writes; %s is none", p->what);
    if (v->selector && (!out || v->kind != LAPIS_V_BUFFER))
        lapis_error(diag, place_of(p, v), "'query' needs a buffer that the call writes; %s is none", p->what);
    if (v->files && v->kind != LAPIS_V_STRING)
        lapis_error(diag, place_of(p, v), "'files' needs a string; %s is none", p->what);
    if (v->always && !out)
        lapis_error(diag, place_of(p, v), "'always' needs what the call writes; %s is only read", p->what);
    if (v->kind == LAPIS_V_STRING && out && !v->count && !p->result) {
        lapis_error(diag, place_of(p, v), "%s is room for a string, and nothing says how much", p->what);
        lapis_hint(diag, "write string(size);");
    }
    if (p->result && p->function && (array || v->kind == LAPIS_V_LIST) && v == p->parameter &&
        v->lifetime != LAPIS_LIFE_STATIC && v->lifetime != LAPIS_LIFE_OBJECT) {
        lapis_error(diag, place_of(p, v), "%s points to memory, and nothing says how long it lives", p->what);
        lapis_hint(diag, "write return { ... lifetime(static); } or lifetime(object);");
    }
}

static void check_value(const struct place *p, struct lapis_value *v);
static void check_callback(const struct place *through, struct lapis_callback *cb);

static void check_fields(const struct place *p, struct lapis_value *v)
{
    if (v->ctype->kind == LAPIS_UNION && !v->discriminant) {
        lapis_error(p->front->diag, place_of(p, v), "%s is a union ('%s'), and nothing tells which member is live",
                    p->what, v->ctype->name);
        lapis_hint(p->front->diag, "write union(expr) { member: value; }");
        return;
    }
    for (size_t i = 0; i < v->n_fields; i++) {
        struct place inner = *p;
        if (v->ctype->kind == LAPIS_UNION && !v->fields[i].when)
            continue; /* never live */
        inner.what =
            hira_pool_printf(p->front->pool, "member '%s' of %s", v->fields[i].name ? v->fields[i].name : "", p->what);
        check_value(&inner, &v->fields[i]);
    }
}

/* Structs that come from the other side bring their bytes, and handles among them; what a pointer in them points to stays there. */
static void check_brought(const struct place *p, const struct lapis_value *v)
{
    for (size_t i = 0; v->kind == LAPIS_V_RECORD && i < v->n_fields; i++) {
        const struct lapis_value *f = &v->fields[i];
        if (v->ctype->kind == LAPIS_UNION && !f->when)
            continue;
        check_brought(p, f);
        if (f->kind != LAPIS_V_STRING && f->kind != LAPIS_V_BUFFER && f->kind != LAPIS_V_LIST && f->kind != LAPIS_V_PROPERTIES &&
            f->kind != LAPIS_V_CALLBACK)
            continue;
        lapis_error(p->front->diag, place_of(p, f), "member '%s' of %s points to memory of the other side, which a struct that comes from "
                    "there does not bring", f->name ? f->name : "", p->what);
        lapis_hint(p->front->diag, "write field(%s) { opaque; } if its value alone is of use, or { ignored; }", f->name ? f->name : "?");
    }
}

static void check_value(const struct place *p, struct lapis_value *v)
{
    switch (v->kind) {
    case LAPIS_V_UNSETTLED:
        unsettled(p, v);
        return;
    case LAPIS_V_TOKEN:
    case LAPIS_V_NOTHING:
        return;
    case LAPIS_V_RECORD:
        check_fields(p, v);
        break;
    case LAPIS_V_BUFFER:
    case LAPIS_V_LIST:
    case LAPIS_V_PROPERTIES:
        if (v->element) {
            struct place inner = *p;
            inner.what = hira_pool_printf(p->front->pool, "the element of %s", p->what);
            check_value(&inner, v->element);
            if (v->direction & LAPIS_OUT && !p->callback)
                check_brought(&inner, v->element);
        }
        break;
    case LAPIS_V_CALLBACK:
        if (v->callback && p->function)
            check_callback(p, v->callback);
        break;
    default:
        break;
    }
    check_until(p, v);
    check_facts(p, v);
}

/* ---- callbacks ---- */

static void check_callback(const struct place *through, struct lapis_callback *cb)
{
    struct lapis_front *front = through->front;
    struct place p = {.front = front, .callback = cb, .through = through};
    for (size_t i = 0; i < cb->n_args; i++) {
        p.parameter = &cb->args[i];
        p.what = hira_pool_printf(front->pool, "argument '%s' of callback %s", cb->args[i].name, cb->name);
        check_value(&p, &cb->args[i]);
        check_brought(&p, &cb->args[i]);
    }
    if (!cb->ret.ctype || cb->ret.ctype->kind == LAPIS_VOID)
        return;
    if (!cb->waits) {
        lapis_error(front->diag, place_of(through, through->parameter),
                    "callback %s returns '%s', but the vendor does not wait for it", cb->name, cb->ret.ctype->spelling);
        lapis_hint(front->diag, "write callback(%s) { wait; }", cb->name);
    }
    p.result = true;
    p.parameter = &cb->ret;
    p.what = hira_pool_printf(front->pool, "the result of callback %s", cb->name);
    check_value(&p, &cb->ret);
}

/* ---- asynchronous calls ---- */

/* What comes back after the call has returned needs someone to wait for. */
static void check_async_value(const struct place *p, struct lapis_value *v)
{
    bool data = v->kind == LAPIS_V_BUFFER || v->kind == LAPIS_V_STRING;
    bool made = v->element && v->element->kind == LAPIS_V_HANDLE && v->element->allocates;
    if (!data || !(v->direction & LAPIS_OUT) || v->is_error || made || v->lifetime == LAPIS_LIFE_EVENT)
        return;
    const struct lapis_value *event = made_handle(p->function, NULL);
    if (event && v->lifetime == LAPIS_LIFE_CALL) {
        v->lifetime = LAPIS_LIFE_EVENT;
        v->until = event->name;
        lapis_value_because(p->front->pool, v, "async.out", p->function->spec_loc,
                            "the call may return before it is written: it lives until %s is done", event->name);
        return;
    }
    lapis_error(p->front->diag, place_of(p, v), "%s is written by an asynchronous call, and nothing tells when",
                p->what);
    lapis_hint(p->front->diag,
               "make the call sync, or let a parameter { element { allocates; } } stand for its completion");
}

static void check_async(struct lapis_front *front, struct lapis_function *f, struct place *p)
{
    const struct lapis_policy *async = NULL;
    for (size_t i = 0; i < f->n_policies && !async; i++)
        if (f->policies[i].mode == LAPIS_ASYNC)
            async = &f->policies[i];
    if (!async)
        return;
    if (f->ret.kind == LAPIS_V_HANDLE && !f->ret.allocates) {
        lapis_error(front->diag, async->loc, "%s cannot be async: it returns a handle that it does not make", f->name);
        lapis_hint(front->diag, "write return { allocates; } if each call makes a new object");
    } else if (f->ret.kind != LAPIS_V_HANDLE && f->ret.ctype->kind != LAPIS_VOID && f->ret.kind != LAPIS_V_NOTHING &&
               !f->success_value) {
        lapis_error(front->diag, async->loc, "%s cannot be async: nothing says what it returns when all is well",
                    f->name);
        lapis_hint(front->diag, "write type(%s) { success(value); }", f->ret.ctype->name);
    }
    for (size_t i = 0; i < f->n_params; i++) {
        p->parameter = &f->params[i];
        p->what = hira_pool_printf(front->pool, "parameter '%s' of %s", f->params[i].name, f->name);
        check_async_value(p, &f->params[i]);
    }
}

/* ---- functions ---- */

static const struct lapis_node *prototype_of(const struct lapis_front *front, const struct lapis_function *f)
{
    for (size_t i = 0; i < front->n_items; i++)
        if (front->items[i]->word == LAPIS_W_PROTOTYPE && !strcmp(front->items[i]->name, f->name))
            return front->items[i];
    return NULL;
}

/* Whether any of the guest's code makes the carried call. */
static bool is_called(const struct lapis_model *model, const char *remote)
{
    if (lapis_says_word(model->guest_code.text, remote) || lapis_says_word(model->shared_code.text, remote))
        return true;
    for (size_t i = 0; i < model->n_handles; i++)
        if (lapis_says_word(model->handles[i]->guest_destroy.text, remote))
            return true;
    for (size_t i = 0; i < model->n_functions; i++) {
        const struct lapis_function *f = model->functions[i];
        if (lapis_says_word(f->guest_replace.text, remote) || lapis_says_word(f->guest_before.text, remote) ||
            lapis_says_word(f->guest_after.text, remote))
            return true;
    }
    return false;
}

/* Answers are those of a query; whole ones are fetched by asking for their size first. */
static void check_answers(struct lapis_front *front, struct lapis_function *f)
{
    const struct lapis_value *size = NULL, *value = lapis_query_value(f, &size);
    size_t kept = 0;
    for (size_t i = 0; i < f->n_answers; i++) {
        const struct lapis_answer *a = &f->answers[i];
        bool by_name = a->telling == LAPIS_TELL_WORDS || a->telling == LAPIS_TELL_RECORDS;
        if (by_name && value && !lapis_model_setting(front->model, "hides", 0)) {
            lapis_error(front->diag, a->loc, "nothing says which names are not to be told");
            lapis_hint(front->diag, "write api name { hides NAME, PATTERN_*; }");
        }
        bool whole = a->telling == LAPIS_TELL_KNOWN || a->telling == LAPIS_TELL_WORDS || a->telling == LAPIS_TELL_RECORDS ||
                     a->telling == LAPIS_TELL_REWRITTEN;
        if (value && (size || !whole)) {
            f->answers[kept++] = *a;
        } else if (!a->general && !value) {
            lapis_error(front->diag, a->loc, "no parameter of %s receives the answer to a query", f->name);
            lapis_hint(front->diag, "write parameter(value) { out; bytes(size); query(selector); }");
        } else if (!a->general) {
            lapis_error(front->diag, a->loc, "no parameter of %s receives the size of the answer", f->name);
            lapis_hint(front->diag, "write parameter(%s) { filled(*size_ret); }", value->name);
        }
    }
    f->n_answers = kept;
}

static void check_enumerates(struct lapis_front *front, const struct lapis_function *f)
{
    const struct lapis_value *count, *field;
    if (!f->enumerates.list || lapis_listed_devices(f, &count, &field))
        return;
    lapis_error(front->diag, f->enumerates.loc, "parameter '%s' of %s receives no list of devices and their number", f->enumerates.list,
                f->name);
    lapis_hint(front->diag, "write type(T) { devices(function); } and parameter(%s) { out; buffer(n); filled(*n_ret); }", f->enumerates.list);
}

static void check_function(struct lapis_front *front, struct lapis_function *f)
{
    struct place p = {.front = front, .function = f, .prototype = prototype_of(front, f)};
    f->local = f->guest_replace.text && !is_called(front->model, hira_pool_printf(front->pool, "remote_%s", f->name));
    if (f->unsupported || f->local)
        return;
    if (f->internal && !f->server_replace.text) {
        lapis_error(front->diag, f->spec_loc, "internal function %s has no code", f->name);
        lapis_hint(front->diag, "write server replace { C }");
    }
    for (size_t i = 0; i < f->n_params; i++) {
        p.parameter = &f->params[i];
        p.what = f->params[i].name ? hira_pool_printf(front->pool, "parameter '%s' of %s", f->params[i].name, f->name)
                                   : hira_pool_printf(front->pool, "parameter %zu of %s", i + 1, f->name);
        check_value(&p, &f->params[i]);
    }
    check_async(front, f, &p);
    check_answers(front, f);
    check_enumerates(front, f);
    if (f->ret.ctype->kind == LAPIS_VOID)
        return;
    p.result = true;
    p.parameter = &f->ret;
    p.what = hira_pool_printf(front->pool, "the result of %s", f->name);
    check_value(&p, &f->ret);
}

/*
 * A specification without an api item speaks of the functions that it names. Others are carried if what was inferred
 * suffices, and left out if not; one warning says which.
 */
static void check_unnamed(struct lapis_front *front, struct lapis_function *f, struct hira_text *left_out, size_t *n)
{
    struct lapis_diag *diag = front->diag;
    front->diag = lapis_diag_create();
    check_function(front, f);
    if (lapis_diag_errors(front->diag)) {
        f->unsupported = true;
        hira_text_printf(left_out, "%s%s", *n < 4 ? (*n ? ", " : "") : "", *n < 4 ? f->name : "");
        ++*n;
    }
    lapis_diag_destroy(front->diag);
    front->diag = diag;
}

/* Promise 4: a call that cannot be carried returns the API's own error. So one must be known for each type of result.
 */
static void check_failure_values(struct lapis_front *front)
{
    const struct lapis_model *model = front->model;
    const char **told = NULL;
    size_t n_told = 0;
    for (size_t i = 0; i < model->n_functions; i++) {
        const struct lapis_function *f = model->functions[i];
        const struct lapis_value *error = NULL;
        for (size_t k = 0; k < f->n_params; k++)
            if (f->params[k].is_error && !f->params[k].error_failure)
                error = &f->params[k];
        const char *type = error                             ? error->ctype->pointee->name
                           : f->success_value && !f->failure ? f->ret.ctype->name
                                                             : NULL;
        bool again = false;
        for (size_t k = 0; type && k < n_told; k++)
            again |= !strcmp(told[k], type);
        if (!type || again || f->unsupported || f->local)
            continue;
        *HIRA_POOL_PUSH(front->pool, told, n_told) = type; /* one type is at fault, not each function that returns it */
        struct lapis_loc loc = f->spec_loc.line ? f->spec_loc : f->loc;
        (front->whole ? lapis_error : lapis_warning)(front->diag, loc,
                                                     "no value of '%s' is known to mean that a call failed", type);
        lapis_hint(front->diag, "write type(%s) { success(value); failure(value); }", type);
    }
}

/* ---- what an api has to say ---- */

/* The value that the function returns when it cannot be carried, although nothing says that this is an error: 0 of a
 * number. NULL for what is no object tells programs enough. */
static bool returns_zero(const struct lapis_function *f)
{
    for (size_t i = 0; i < f->n_params; i++)
        if (f->params[i].is_error)
            return false;
    bool number = f->ret.kind != LAPIS_V_HANDLE && (f->ret.ctype->kind == LAPIS_INT || f->ret.ctype->kind == LAPIS_FLOAT);
    return number && !f->local && !f->failure && !f->success_value && !(f->unsupported && f->unsupported_code);
}

static void warn_of_type(struct lapis_front *front, const struct lapis_function *first, size_t n)
{
    const char *type = first->ret.ctype->name;
    struct lapis_loc loc = first->spec_loc.line ? first->spec_loc : first->loc;
    lapis_warning(front->diag, loc, "nothing says which '%s' means failure: %s%s 0 when %s cannot be carried", type, first->name,
                  n == 1   ? " returns"
                  : n == 2 ? " and another function return"
                           : hira_pool_printf(front->pool, " and %zu more functions return", n - 1),
                  n == 1 ? "it" : "they");
    lapis_hint(front->diag, "write type(%s) { success(value); failure(value); }, or functions(%s) { failure(0); } where 0 will do", type,
               first->name);
}

/* Promise 4 again: with no server, programs take 0 for a result. One warning for each type of result. */
static void check_silent_failures(struct lapis_front *front)
{
    const struct lapis_model *model = front->model;
    for (size_t i = 0; i < model->n_functions; i++) {
        const struct lapis_function *f = model->functions[i];
        size_t n = 0;
        bool first = returns_zero(f) && !f->internal;
        for (size_t k = 0; first && k < model->n_functions; k++) {
            const struct lapis_function *other = model->functions[k];
            bool same = returns_zero(other) && !other->internal && !strcmp(other->ret.ctype->name, f->ret.ctype->name);
            n += same;
            first = k >= i || !same;
        }
        if (first)
            warn_of_type(front, f, n);
    }
}

static const struct lapis_node *api_item(const struct lapis_front *front)
{
    for (size_t i = 0; i < front->n_items; i++)
        if (front->items[i]->word == LAPIS_W_API)
            return front->items[i];
    return NULL;
}

/* Whether any call ends in the vendor's library. */
static bool has_vendor(const struct lapis_model *model)
{
    for (size_t i = 0; i < model->n_functions; i++) {
        const struct lapis_function *f = model->functions[i];
        if (!f->unsupported && !f->local && !f->internal && !f->server_replace.text)
            return true;
    }
    return false;
}

static void check_libraries(struct lapis_front *front)
{
    const struct lapis_model *model = front->model;
    const struct lapis_node *api = api_item(front);
    if (!api)
        return;
    if (!lapis_model_setting(model, "vendor", 0) && has_vendor(model)) {
        lapis_warning(front->diag, api->loc, "nothing says which library the server loads: the vendor's functions are looked for in the "
                      "server itself, where they are not");
        lapis_hint(front->diag, "write vendor \"lib%s.so.1\"; with the vendor's soname", model->name);
    }
    if (!lapis_model_setting(model, "library", 0)) {
        lapis_warning(front->diag, api->loc, "nothing says under which name programs load the guest library: it becomes lib%s.so",
                      model->name);
        lapis_hint(front->diag, "write library \"lib%s.so.1\"; with the vendor's soname", model->name);
    }
}

/* What there is to share: the router knows these. */
static void check_resources(struct lapis_front *front, const struct lapis_function *f)
{
    static const char *const known[] = {"bytes", "memory", "time"};
    for (size_t i = 0; i < f->n_resources; i++) {
        const struct lapis_resource *r = &f->resources[i];
        bool found = false;
        for (size_t k = 0; k < HIRA_ARRAY_SIZE(known); k++)
            found |= !strcmp(r->name, known[k]);
        if (found)
            continue;
        lapis_error(front->diag, r->loc, "there is no resource '%s'", r->name);
        lapis_hint(front->diag, "resources are bytes, memory and time");
    }
}

void lapis_check(struct lapis_front *front)
{
    struct hira_text left_out = {0};
    size_t n = 0;
    for (size_t i = 0; i < front->model->n_functions; i++) {
        struct lapis_function *f = front->model->functions[i];
        if (front->whole || f->spec_loc.line)
            check_function(front, f);
        else
            check_unnamed(front, f, &left_out, &n);
        check_resources(front, f);
    }
    if (n && !lapis_diag_errors(front->diag)) {
        lapis_warning(front->diag, (struct lapis_loc){.file = front->model->spec_file},
                      "%zu function%s left out: what is inferred of %s does not suffice (%s%s)", n,
                      n == 1 ? " is" : "s are", n == 1 ? "it" : "them", left_out.data, n > 4 ? ", ..." : "");
        lapis_hint(front->diag, "with an item api name { }, each is an error to be answered");
    }
    hira_text_fini(&left_out);
    check_failure_values(front);
    if (front->whole) {
        check_silent_failures(front);
        check_libraries(front);
    }
}
