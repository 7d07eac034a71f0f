/*
 * Annotations of values: parameters, results, what they point to, and members of structs. Each changes one fact and
 * leaves a reason. From a convention or a glob (`target->general`) an annotation that does not fit a value's type is
 * left out, for the rule was not written with this value in mind; named directly, it is an error.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include <string.h>

#include "lapis/front.h"
#include "lapis/infer.h"

struct lapis_value *lapis_param(struct lapis_value *params, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (params[i].name && !strcmp(params[i].name, name))
            return &params[i];
    return NULL;
}

static void because(const struct lapis_target *t, struct lapis_value *v, const struct lapis_node *node,
                    const char *text)
{
    lapis_value_because(t->front->pool, v, "spec", node->loc, "%s", text);
}

/* Why an annotation does not fit; silent for general rules. */
static void misfit(const struct lapis_target *t, const struct lapis_value *v, const struct lapis_node *node,
                   const char *needs)
{
    if (t->general)
        return;
    lapis_error(t->front->diag, node->loc, "'%s' needs %s; %s is %s", node->grammar->spelling, needs, t->what,
                lapis_describe_type(t->front->pool, v->ctype));
}

static bool is_pointer(const struct lapis_value *v)
{
    return v->ctype->kind == LAPIS_POINTER || v->ctype->kind == LAPIS_ARRAY;
}

static bool points_to_void(const struct lapis_value *v)
{
    return is_pointer(v) && v->ctype->pointee && v->ctype->pointee->kind == LAPIS_VOID;
}

static bool points_to_chars(const struct lapis_value *v)
{
    const struct lapis_ctype *to = v->ctype->pointee;
    return is_pointer(v) && to && (to->kind == LAPIS_VOID || (to->kind == LAPIS_INT && to->size == 1));
}

/* ---- expressions ---- */

static void check_expression(const struct lapis_target *t, const struct lapis_node *node,
                             const struct lapis_argument *arg)
{
    const char *names[256];
    size_t n = 0;
    for (size_t i = 0; i < t->n_params && n < HIRA_ARRAY_SIZE(names); i++)
        names[n++] = t->params[i].name;
    for (size_t i = 0; t->record && i < t->record->n_fields && n < HIRA_ARRAY_SIZE(names); i++)
        names[n++] = t->record->fields[i].name;
    struct lapis_scope scope = {names, n, t->function ? t->function->name : t->callback->name};
    lapis_check_names(t->front, node, arg, &scope);
}

/* The expression with {name} replaced. NULL: it is a lone name that no parameter has, so the rule does not apply here.
 */
static const char *expression(const struct lapis_target *t, const struct lapis_node *node, size_t i)
{
    const struct lapis_argument *arg = &node->args[i];
    const char *hole = strstr(arg->text, "{name}");
    if (!hole) {
        if (!t->general)
            check_expression(t, node, arg);
        else if (lapis_param(t->params, t->n_params, arg->text) == NULL && !lapis_has_wildcard(arg->text) &&
                 strspn(arg->text, "abcdefghijklmnopqrstuvwxyz_") == strlen(arg->text))
            return NULL;
        return arg->text;
    }
    const char *text = hira_pool_printf(t->front->pool, "%.*s%s%s", (int)(hole - arg->text), arg->text,
                                        t->name ? t->name : "", hole + 6);
    return lapis_param(t->params, t->n_params, text) ? text : NULL;
}

/* The parameter that an argument names; where there is none, an error that suggests one (and NULL). */
static struct lapis_value *sibling(const struct lapis_target *t, const struct lapis_argument *arg)
{
    const char *names[256];
    size_t n = 0;
    struct lapis_value *v = lapis_param(t->params, t->n_params, arg->text);
    if (v || t->general)
        return v;
    for (size_t i = 0; i < t->n_params && n < HIRA_ARRAY_SIZE(names); i++)
        names[n++] = t->params[i].name;
    lapis_error(t->front->diag, arg->loc, "'%s' is no parameter of %s", arg->text,
                t->function ? t->function->name : t->callback->name);
    const char *meant = lapis_did_you_mean(arg->text, names, n);
    if (meant)
        lapis_hint(t->front->diag, "did you mean '%s'?", meant);
    return NULL;
}

/* ---- shapes ---- */

static void set_shape(struct lapis_value *v, enum lapis_value_kind kind)
{
    lapis_infer_forget(v, true);
    v->kind = kind;
    v->count = v->terminator = v->question = NULL;
    v->rows = NULL;
    v->unit_bytes = false;
}

static void apply_buffer(const struct lapis_target *t, struct lapis_value *v, const struct lapis_node *node)
{
    if (!is_pointer(v)) {
        misfit(t, v, node, "a pointer");
        return;
    }
    bool bytes = node->word == LAPIS_W_BYTES || points_to_void(v);
    if (!bytes && !lapis_value_element(t->front->pool, v)) {
        misfit(t, v, node, "elements of known size");
        if (!t->general)
            lapis_hint(t->front->diag, "write bytes(expr);");
        return;
    }
    const char *count = expression(t, node, 0);
    if (!count)
        return;
    set_shape(v, LAPIS_V_BUFFER);
    v->count = count;
    v->unit_bytes = bytes;
    lapis_value_element(t->front->pool, v);
    because(t, v, node,
            hira_pool_printf(t->front->pool, "%s of %s %s", v->direction == LAPIS_IN ? "a buffer" : "room for a buffer",
                             count, bytes ? "bytes" : "elements"));
}

/* Bytes in rows and slices: as many as reach to the region's end, of which only its rows count. */
static void apply_region(const struct lapis_target *t, struct lapis_value *v, const struct lapis_node *node)
{
    struct hira_pool *pool = t->front->pool;
    const char *of[5], **rows = hira_pool_alloc(pool, 6 * sizeof *rows);
    if (!is_pointer(v)) {
        misfit(t, v, node, "a pointer");
        return;
    }
    for (size_t i = 0; i < 5; i++)
        if (!(of[i] = expression(t, node, i)))
            return;
    const char *origin = of[0], *region = of[1], *row = of[2], *slice = of[3], *element = of[4];
    set_shape(v, LAPIS_V_BUFFER);
    v->unit_bytes = true;
    v->count = hira_pool_printf(pool, "hira_region_end(%s, %s, %s, %s, %s)", origin, region, element, row, slice);
    rows[0] = !strcmp(origin, "NULL") ? "0" : hira_pool_printf(pool, "hira_region_begin(%s, %s, %s, %s, %s)", origin, region, element, row, slice);
    rows[1] = !strcmp(element, "1") ? hira_pool_printf(pool, "%s[0]", region) : hira_pool_printf(pool, "%s[0] * (%s)", region, element);
    rows[2] = hira_pool_printf(pool, "%s[1]", region);
    rows[3] = row;
    rows[4] = hira_pool_printf(pool, "%s[2]", region);
    rows[5] = slice;
    v->rows = rows;
    lapis_value_element(pool, v);
    because(t, v, node, hira_pool_printf(pool, "the rows of %s in %s", region, v->direction == LAPIS_IN ? "a buffer" : "room for a buffer"));
}

static void apply_string(const struct lapis_target *t, struct lapis_value *v, const struct lapis_node *node)
{
    if (!points_to_chars(v)) {
        misfit(t, v, node, "a pointer to characters");
        return;
    }
    const char *count = node->n_args ? expression(t, node, 0) : NULL;
    if (node->n_args && !count)
        return;
    set_shape(v, LAPIS_V_STRING);
    v->count = count;
    because(t, v, node,
            count ? hira_pool_printf(t->front->pool, "a string of %s bytes", count) : "a string that ends with NUL");
}

static void apply_keys(const struct lapis_target *t, struct lapis_value *v, const struct lapis_node *node)
{
    v->keys = NULL;
    v->n_keys = 0;
    for (size_t i = 0; i < node->n_body; i++) {
        const struct lapis_node *row = node->body[i];
        struct lapis_handle *handle = lapis_model_handle(t->front->model, row->args[0].text);
        if (!handle) {
            lapis_error(t->front->diag, row->args[0].loc, "'%s' is no handle type", row->args[0].text);
            continue;
        }
        for (size_t k = 1; k < row->n_args; k++) {
            check_expression(t, row, &row->args[k]);
            *HIRA_POOL_PUSH(t->front->pool, v->keys, v->n_keys) =
                (struct lapis_key){.key = row->args[k].text, .handle = handle, .loc = row->args[k].loc};
        }
    }
}

static void apply_list(const struct lapis_target *t, struct lapis_value *v, const struct lapis_node *node)
{
    if (!is_pointer(v) || !lapis_value_element(t->front->pool, v)) {
        misfit(t, v, node, "a pointer to elements of known size");
        return;
    }
    const char *end = node->n_args ? expression(t, node, 0) : "0";
    if (!end)
        return;
    bool properties = node->word == LAPIS_W_PROPERTIES;
    set_shape(v, properties ? LAPIS_V_PROPERTIES : LAPIS_V_LIST);
    v->terminator = end;
    if (properties)
        apply_keys(t, v, node);
    because(t, v, node,
            hira_pool_printf(t->front->pool, "%s ended by %s", properties ? "key, value pairs" : "a list", end));
}

static void apply_handle(const struct lapis_target *t, struct lapis_value *v, const struct lapis_node *node)
{
    struct lapis_front *front = t->front;
    struct lapis_handle *handle = lapis_model_handle(front->model, node->args[0].text);
    if (!handle) {
        const char *names[256];
        size_t n = 0;
        for (size_t i = 0; i < front->model->n_handles && n < HIRA_ARRAY_SIZE(names); i++)
            names[n++] = front->model->handles[i]->name;
        lapis_error(front->diag, node->args[0].loc, "'%s' is no handle type", node->args[0].text);
        const char *meant = lapis_did_you_mean(node->args[0].text, names, n);
        if (meant)
            lapis_hint(front->diag, "did you mean '%s'?", meant);
        return;
    }
    bool fits = v->ctype->kind == LAPIS_INT || v->ctype->kind == LAPIS_POINTER || v->ctype->kind == LAPIS_HANDLE;
    if (!fits || (handle->ctype && v->ctype->size < handle->ctype->size)) {
        misfit(t, v, node, "an integer or a pointer as large as the handle");
        return;
    }
    set_shape(v, LAPIS_V_HANDLE);
    v->handle = handle;
    because(t, v, node, hira_pool_printf(front->pool, "a handle of type %s", handle->name));
}

static void apply_token(const struct lapis_target *t, struct lapis_value *v, const struct lapis_node *node)
{
    bool token = node->word == LAPIS_W_OPAQUE;
    if (token && v->ctype->kind != LAPIS_POINTER && v->ctype->kind != LAPIS_FUNCTION &&
        v->ctype->kind != LAPIS_HANDLE && v->ctype->kind != LAPIS_INT) {
        misfit(t, v, node, "a pointer");
        return;
    }
    set_shape(v, token ? LAPIS_V_TOKEN : LAPIS_V_NOTHING);
    because(t, v, node, token ? "only the pointer's value is carried" : "not carried: the vendor sees NULL or 0");
}

/* ---- callbacks ---- */

struct lapis_callback *lapis_value_callback(struct lapis_front *front, struct lapis_value *v, const char *function)
{
    if (v->callback)
        return v->callback;
    if (v->ctype->kind != LAPIS_FUNCTION)
        return NULL;
    struct lapis_callback *cb = hira_pool_alloc(front->pool, sizeof *cb);
    cb->name = hira_pool_printf(front->pool, "%s.%s", function, v->name ? v->name : "function");
    cb->ctype = v->ctype;
    cb->loc = v->loc;
    cb->args = hira_pool_alloc(front->pool, v->ctype->n_args * sizeof *cb->args);
    cb->n_args = v->ctype->n_args;
    for (size_t i = 0; i < cb->n_args; i++) {
        const char *name = v->ctype->args[i].name;
        lapis_value_init(front->pool, &cb->args[i], name ? name : hira_pool_printf(front->pool, "arg%zu", i + 1),
                         v->ctype->args[i].type);
        cb->args[i].loc = v->loc;
    }
    lapis_value_init(front->pool, &cb->ret, NULL, v->ctype->ret);
    cb->index = (unsigned)front->model->n_callbacks;
    *HIRA_POOL_PUSH(front->pool, front->model->callbacks, front->model->n_callbacks) = cb;
    v->callback = cb;
    return cb;
}

static bool could_be_userdata(const struct lapis_value *v)
{
    return v->ctype->kind == LAPIS_POINTER || (v->ctype->kind == LAPIS_INT && v->ctype->size == sizeof(void *)) ||
           v->ctype->kind == LAPIS_OPAQUE;
}

static void apply_callback(const struct lapis_target *t, struct lapis_value *v, const struct lapis_node *node)
{
    struct lapis_callback *cb = t->function ? lapis_value_callback(t->front, v, t->function->name) : NULL;
    if (!cb) {
        misfit(t, v, node, "a pointer to a function");
        return;
    }
    if (v->companion) { /* what a rule had thought to be the cookie */
        struct lapis_value *old = lapis_param(t->params, t->n_params, v->companion);
        if (old && old->kind == LAPIS_V_USERDATA)
            set_shape(old, LAPIS_V_UNSETTLED);
    }
    set_shape(v, LAPIS_V_CALLBACK);
    v->companion = NULL;
    because(t, v, node, "a function of the application");
    if (!node->n_args)
        return;
    struct lapis_value *cookie = sibling(t, &node->args[0]);
    if (!cookie || !could_be_userdata(cookie)) {
        if (cookie && !t->general)
            lapis_error(t->front->diag, node->args[0].loc, "'%s' is no untyped pointer among the parameters of %s",
                        node->args[0].text, t->function->name);
        return;
    }
    v->companion = cookie->name;
    set_shape(cookie, LAPIS_V_USERDATA);
    cookie->companion = v->name;
    because(t, cookie, node, hira_pool_printf(t->front->pool, "handed to %s by the vendor", v->name));
    lapis_callback_find_cookie(t->front->pool, cb, node->loc);
}

static void apply_userdata(const struct lapis_target *t, struct lapis_value *v, const struct lapis_node *node)
{
    if (!t->callback) {
        if (!t->general) {
            lapis_error(t->front->diag, node->loc, "'userdata' marks an argument of a callback");
            lapis_hint(t->front->diag, "at the function that takes it, write parameter(the_callback) { callback(%s); }",
                       v->name ? v->name : "cookie");
        }
        return;
    }
    if (!could_be_userdata(v)) {
        misfit(t, v, node, "an untyped pointer");
        return;
    }
    for (size_t i = 0; i < t->callback->n_args; i++)
        if (t->callback->args[i].kind == LAPIS_V_USERDATA && &t->callback->args[i] != v)
            set_shape(&t->callback->args[i], LAPIS_V_UNSETTLED);
    set_shape(v, LAPIS_V_USERDATA);
    because(t, v, node, "the application's cookie");
}

/* ---- structure ---- */

static void direct(struct lapis_value *v, enum lapis_direction direction)
{
    v->direction = direction;
    if (v->element && !v->element->spec_direction)
        direct(v->element, direction);
    for (size_t i = 0; i < v->n_fields; i++)
        if (!v->fields[i].spec_direction && v->fields[i].kind != LAPIS_V_UNSETTLED && !is_pointer(&v->fields[i]))
            v->fields[i].direction = direction;
}

static void apply_direction(const struct lapis_target *t, struct lapis_value *v, const struct lapis_node *node)
{
    static const char *const texts[] = {"", "read by the call", "written by the call", "read and written by the call"};
    enum lapis_direction direction = node->word == LAPIS_W_IN    ? LAPIS_IN
                                     : node->word == LAPIS_W_OUT ? LAPIS_OUT
                                                                 : LAPIS_INOUT;
    bool whole = v->name && lapis_param(t->params, t->n_params, v->name) == v; /* not an element or a field */
    if (direction != LAPIS_IN && whole && !is_pointer(v)) {
        misfit(t, v, node, "a pointer");
        return;
    }
    if (direction != LAPIS_IN && is_pointer(v) && v->ctype->pointee && v->ctype->pointee->is_const) {
        if (!t->general)
            lapis_error(t->front->diag, node->loc, "'%s' contradicts the type of %s: '%s' points to what is constant",
                        node->grammar->spelling, t->what, v->ctype->spelling);
        return;
    }
    v->spec_direction = true;
    lapis_infer_forget(v, false);
    direct(v, direction);
    because(t, v, node, texts[direction]);
}

static void apply_element(const struct lapis_target *t, struct lapis_value *v, const struct lapis_node *node)
{
    struct lapis_value *element = is_pointer(v) ? lapis_value_element(t->front->pool, v) : NULL;
    if (!element) {
        misfit(t, v, node, "a pointer to elements of known type");
        return;
    }
    struct lapis_target inner = *t;
    inner.what = hira_pool_printf(t->front->pool, "the element of %s", t->what);
    v->spec_direction = true; /* it has been said what it points to: see settle_single() */
    lapis_apply_value(&inner, element, node);
}

static struct lapis_value *field_of(struct lapis_value *v, const char *name)
{
    for (size_t i = 0; i < v->n_fields; i++)
        if (v->fields[i].name && !strcmp(v->fields[i].name, name))
            return &v->fields[i];
    return NULL;
}

static bool is_record(const struct lapis_value *v)
{
    return v->ctype->kind == LAPIS_STRUCT || v->ctype->kind == LAPIS_UNION;
}

static void unknown_field(const struct lapis_target *t, const struct lapis_value *v, const struct lapis_argument *arg)
{
    const char *names[256];
    size_t n = 0;
    for (size_t i = 0; i < v->n_fields && n < HIRA_ARRAY_SIZE(names); i++)
        names[n++] = v->fields[i].name;
    lapis_error(t->front->diag, arg->loc, "'%s' has no member '%s'", v->ctype->name, arg->text);
    const char *meant = lapis_did_you_mean(arg->text, names, n);
    if (meant)
        lapis_hint(t->front->diag, "did you mean '%s'?", meant);
}

static void apply_field(const struct lapis_target *t, struct lapis_value *v, const struct lapis_node *node)
{
    if (!is_record(v)) {
        misfit(t, v, node, "a struct");
        if (!t->general && is_pointer(v))
            lapis_hint(t->front->diag, "it belongs into element { ... }: what the pointer points to");
        return;
    }
    for (size_t i = 0; i < node->n_args; i++) {
        struct lapis_value *field = field_of(v, node->args[i].text);
        if (!field) {
            unknown_field(t, v, &node->args[i]);
            continue;
        }
        struct lapis_target inner = *t;
        inner.what = hira_pool_printf(t->front->pool, "member '%s' of %s", field->name, t->what);
        inner.record = v;
        v->kind = LAPIS_V_RECORD;
        lapis_apply_value(&inner, field, node);
    }
}

static void apply_union(const struct lapis_target *t, struct lapis_value *v, const struct lapis_node *node)
{
    if (v->ctype->kind != LAPIS_UNION) {
        misfit(t, v, node, "a union");
        return;
    }
    const char *discriminant = expression(t, node, 0);
    if (!discriminant)
        return;
    v->kind = LAPIS_V_RECORD;
    v->discriminant = discriminant;
    for (size_t i = 0; i < node->n_body; i++) {
        const struct lapis_node *row = node->body[i];
        struct lapis_value *field = field_of(v, row->args[0].text);
        if (!field)
            unknown_field(t, v, &row->args[0]);
        else if (field->when && !t->general && field->n_reasons &&
                 field->reasons[field->n_reasons - 1].loc.line == row->loc.line)
            lapis_error(t->front->diag, row->loc, "member '%s' has a value already", field->name);
        else {
            check_expression(t, row, &row->args[1]);
            field->when = row->args[1].text;
            because(t, field, row, hira_pool_printf(t->front->pool, "live when %s is %s", discriminant, field->when));
        }
    }
    because(t, v, node, hira_pool_printf(t->front->pool, "%s tells which member is live", discriminant));
}

/* ---- single facts ---- */

static void apply_life(const struct lapis_target *t, struct lapis_value *v, const struct lapis_node *node)
{
    bool makes = node->word == LAPIS_W_ALLOCATES;
    if (v->kind != LAPIS_V_HANDLE) {
        misfit(t, v, node, "a handle");
        if (!t->general && is_pointer(v))
            lapis_hint(t->front->diag, "for what it points to, write element { %s; }", node->grammar->spelling);
        return;
    }
    *(makes ? &v->allocates : &v->deallocates) = !node->negated;
    static const char *const texts[2][2] = {{"the call ends the object", "the call does not end the object"},
                                            {"the call makes a new object", "the call does not make the object"}};
    because(t, v, node, texts[makes][node->negated]);
}

static void apply_flag(const struct lapis_target *t, struct lapis_value *v, const struct lapis_node *node)
{
    if (node->word == LAPIS_W_NULLABLE) {
        v->nullable = !node->negated;
        because(t, v, node, node->negated ? "never NULL" : "may be NULL");
        return;
    }
    if (!is_pointer(v) || (v->ctype->pointee && v->ctype->pointee->is_const)) {
        misfit(t, v, node, "a pointer that the call writes through");
        return;
    }
    if (node->word == LAPIS_W_ERROR) {
        v->is_error = !node->negated;
        if (v->is_error && !v->spec_direction) {
            v->spec_direction = true;
            direct(v, LAPIS_OUT);
        }
    } else {
        v->always = !node->negated;
    }
    because(t, v, node,
            node->word == LAPIS_W_ERROR ? "receives the error of the call" : "handed back even when the call fails");
}

static void apply_lifetime(const struct lapis_target *t, struct lapis_value *v, const struct lapis_node *node)
{
    static const struct {
        const char *name;
        enum lapis_lifetime life;
        const char *text;
    } lives[] = {
        {"call", LAPIS_LIFE_CALL, "used until the call returns"},
        {"event", LAPIS_LIFE_EVENT, "used until the command is done"},
        {"object", LAPIS_LIFE_OBJECT, "used as long as the object lives"},
        {"static", LAPIS_LIFE_STATIC, "lives for ever"},
    };
    const char *word = node->args[0].text;
    for (size_t i = 0; i < HIRA_ARRAY_SIZE(lives); i++) {
        if (strcmp(lives[i].name, word))
            continue;
        v->lifetime = lives[i].life;
        v->until = node->n_args > 1 ? node->args[1].text : NULL;
        if (v->until && !sibling(t, &node->args[1]))
            v->lifetime = LAPIS_LIFE_CALL;
        because(t, v, node, lives[i].text);
        return;
    }
    if (!t->general || !lapis_has_wildcard(word)) {
        lapis_error(t->front->diag, node->args[0].loc, "there is no lifetime '%s'", word);
        lapis_hint(t->front->diag, "write %s", node->grammar->usage);
    }
}

static void apply_text(const struct lapis_target *t, struct lapis_value *v, const struct lapis_node *node)
{
    if (node->word == LAPIS_W_FILES) {
        if (!points_to_chars(v)) {
            misfit(t, v, node, "a string of options");
            return;
        }
        v->files = lapis_unquote(t->front->pool, node->args[0].text);
        because(t, v, node, "folders that it names are shipped");
        return;
    }
    if (!is_pointer(v)) {
        misfit(t, v, node, "a pointer");
        return;
    }
    if (node->word == LAPIS_W_FILLED) {
        const char *filled = expression(t, node, 0);
        if (filled)
            v->filled = filled;
        because(t, v, node, hira_pool_printf(t->front->pool, "%s of them are really written", node->args[0].text));
        return;
    }
    if (node->word == LAPIS_W_ROWS) {
        const char **rows = hira_pool_alloc(t->front->pool, 6 * sizeof *rows);
        for (size_t i = 0; i < 6; i++)
            if (!(rows[i] = expression(t, node, i)))
                return;
        v->rows = rows;
        because(t, v, node, "only its rows are read or written, not what lies between them");
        return;
    }
    if (node->word == LAPIS_W_STREAM) {
        v->stream = node->n_args ? expression(t, node, 0) : "true";
        because(t, v, node, "large contents move while the call is served");
        return;
    }
    const char *selector = node->args[0].text;
    if (!sibling(t, &node->args[0]))
        return;
    v->selector = selector;
    because(t, v, node, hira_pool_printf(t->front->pool, "%s tells what is written", selector));
}

/* ---- all of them ---- */

static void apply_one(const struct lapis_target *t, struct lapis_value *v, const struct lapis_node *node)
{
    switch (node->word) {
    case LAPIS_W_IN:
    case LAPIS_W_OUT:
    case LAPIS_W_INOUT:
        apply_direction(t, v, node);
        break;
    case LAPIS_W_BUFFER:
    case LAPIS_W_BYTES:
        apply_buffer(t, v, node);
        break;
    case LAPIS_W_REGION:
        apply_region(t, v, node);
        break;
    case LAPIS_W_STRING:
        apply_string(t, v, node);
        break;
    case LAPIS_W_TERMINATED:
    case LAPIS_W_PROPERTIES:
        apply_list(t, v, node);
        break;
    case LAPIS_W_HANDLE:
        apply_handle(t, v, node);
        break;
    case LAPIS_W_OPAQUE:
    case LAPIS_W_IGNORED:
        apply_token(t, v, node);
        break;
    case LAPIS_W_CALLBACK:
        apply_callback(t, v, node);
        break;
    case LAPIS_W_USERDATA:
        apply_userdata(t, v, node);
        break;
    case LAPIS_W_ELEMENT:
        apply_element(t, v, node);
        break;
    case LAPIS_W_FIELD:
        apply_field(t, v, node);
        break;
    case LAPIS_W_UNION:
        apply_union(t, v, node);
        break;
    case LAPIS_W_ALLOCATES:
    case LAPIS_W_DEALLOCATES:
        apply_life(t, v, node);
        break;
    case LAPIS_W_NULLABLE:
    case LAPIS_W_ERROR:
    case LAPIS_W_ALWAYS:
        apply_flag(t, v, node);
        break;
    case LAPIS_W_LIFETIME:
        apply_lifetime(t, v, node);
        break;
    case LAPIS_W_FILLED:
    case LAPIS_W_STREAM:
    case LAPIS_W_ROWS:
    case LAPIS_W_QUERY:
    case LAPIS_W_FILES:
        apply_text(t, v, node);
        break;
    default:
        break;
    }
}

/* Said to be written, or to point to something of this and that kind, and nobody says how many: it is one. Not so for
 * characters and untyped memory, where "one" would be a guess. */
static void settle_single(const struct lapis_target *t, struct lapis_value *v, const struct lapis_node *node)
{
    const struct lapis_ctype *to = v->ctype->kind == LAPIS_POINTER ? v->ctype->pointee : NULL;
    bool says = node->word == LAPIS_W_OUT || node->word == LAPIS_W_INOUT || node->word == LAPIS_W_ELEMENT ||
                (node->word == LAPIS_W_ERROR && !node->negated);
    if (!says || v->kind != LAPIS_V_UNSETTLED || !to || to->is_char || !lapis_value_element(t->front->pool, v))
        return;
    set_shape(v, LAPIS_V_BUFFER);
    v->count = v->ctype->length ? hira_pool_printf(t->front->pool, "%zu", v->ctype->length) : "1";
    because(t, v, node, "one element, since nothing says how many");
}

/* Shapes first: what a pointer is decides what may be said of its elements, in whatever order the body says it. */
void lapis_apply_value(const struct lapis_target *t, struct lapis_value *v, const struct lapis_node *body)
{
    for (int pass = 0; pass < 3; pass++)
        for (size_t i = 0; i < body->n_body; i++) {
            const struct lapis_node *node = body->body[i];
            int when = node->grammar && node->grammar->group == LAPIS_G_DIRECTION ? 0
                       : node->grammar && node->grammar->group == LAPIS_G_SHAPE   ? 1
                                                                                  : 2;
            if (when == pass)
                apply_one(t, v, node);
        }
    for (size_t i = 0; i < body->n_body; i++)
        settle_single(t, v, body->body[i]);
}
