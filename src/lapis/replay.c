/*
 * What it takes to make objects anew, elsewhere or later: which calls are made again for which object, and which types
 * come back so. Nothing here records or replays; it settles what whoever does that has to know.
 *
 * After all else, for a call belongs by itself to what it makes, and what is made, carried and counted is only then
 * known.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include <string.h>

#include "lapis/front.h"

/* ---- what calls make, take and tell ---- */

static bool is_command(const struct lapis_handle *handle)
{
    return handle->done.text != NULL;
}

static bool value_makes(const struct lapis_value *v, const struct lapis_handle *handle)
{
    if (v->kind == LAPIS_V_HANDLE)
        return v->allocates && v->handle && (handle ? v->handle == handle : !is_command(v->handle));
    for (size_t i = 0; v->kind == LAPIS_V_RECORD && i < v->n_fields; i++)
        if (value_makes(&v->fields[i], handle))
            return true;
    return v->element && value_makes(v->element, handle);
}

/* Objects of this type; NULL: of any that can be made anew, which commands cannot. */
static bool makes(const struct lapis_function *f, const struct lapis_handle *handle)
{
    for (size_t i = 0; i < f->n_params; i++)
        if (value_makes(&f->params[i], handle))
            return true;
    return value_makes(&f->ret, handle);
}

static bool makes_commands_only(const struct lapis_function *f, const struct lapis_model *model)
{
    for (size_t i = 0; i < model->n_handles; i++)
        if (is_command(model->handles[i]) && makes(f, model->handles[i]))
            return !makes(f, NULL);
    return false;
}

static bool is_carried(const struct lapis_function *f)
{
    return !f->unsupported && !f->local && !f->retains && !f->releases;
}

/* Whether such handles come with what the call writes or returns, and were there before it. */
static bool tells(const struct lapis_model *model, const struct lapis_value *v, bool written,
                  const struct lapis_handle *handle)
{
    written |= (v->direction & LAPIS_OUT) != 0;
    if (v->kind == LAPIS_V_HANDLE)
        return written && v->handle == handle && !v->allocates;
    for (size_t i = 0; v->kind == LAPIS_V_RECORD && i < v->n_fields; i++)
        if (tells(model, &v->fields[i], written, handle))
            return true;
    for (size_t i = 0; v->selector && i < model->n_values; i++)
        if (model->values[i].handle == handle)
            return true;
    return v->element && tells(model, v->element, written, handle);
}

static const struct lapis_function *teller_of(const struct lapis_model *model, const struct lapis_handle *handle)
{
    for (size_t i = 0; i < model->n_functions; i++) {
        const struct lapis_function *f = model->functions[i];
        bool told = is_carried(f) && tells(model, &f->ret, true, handle);
        for (size_t k = 0; is_carried(f) && k < f->n_params; k++)
            told |= tells(model, &f->params[k], false, handle);
        if (told)
            return f;
    }
    return NULL;
}

static bool mentions(const struct lapis_model *model, const struct lapis_function *f, const struct lapis_handle *handle)
{
    for (size_t i = 0; i < f->n_params; i++)
        if (tells(model, &f->params[i], true, handle))
            return true;
    return tells(model, &f->ret, true, handle) || makes(f, handle);
}

/* Headers declare types of functions that are left out, too. */
static bool is_used(const struct lapis_model *model, const struct lapis_handle *handle)
{
    for (size_t i = 0; i < model->n_functions; i++)
        if (!model->functions[i]->unsupported && mentions(model, model->functions[i], handle))
            return true;
    return false;
}

/* ---- to what a call belongs ---- */

static void no_call(struct lapis_front *front, const struct lapis_function *f)
{
    const char *why = f->unsupported ? "it is not supported"
                      : f->local     ? "it is done in the guest"
                                     : "references are counted in the guest";
    lapis_error(front->diag, f->recorded.why.loc, "no call of %s crosses that could be recorded: %s", f->name, why);
}

static void belongs_to_command(struct lapis_front *front, struct lapis_loc loc, const char *what)
{
    lapis_error(front->diag, loc, "%s stands for a command, which is not made anew: nothing is recorded for it", what);
    lapis_hint(front->diag, "what has done { } has ended before anything is made anew");
}

/* recorded; and recorded(ret); */
static bool belongs_to_made(struct lapis_front *front, const struct lapis_function *f)
{
    const struct lapis_recording *r = &f->recorded;
    bool result = r->object && !strcmp(r->object, "ret");
    if (result ? value_makes(&f->ret, NULL) : makes(f, NULL))
        return true;
    if (r->general)
        return false;
    if (makes_commands_only(f, front->model)) {
        belongs_to_command(front, r->object_loc, hira_pool_printf(front->pool, "what %s makes", f->name));
    } else if (result) {
        lapis_error(front->diag, r->object_loc, "%s returns no object that it makes", f->name);
        lapis_hint(front->diag, "write return { allocates; } if each call makes a new object");
    } else {
        lapis_error(front->diag, r->why.loc, "%s makes no object, and nothing says to which one its calls belong",
                    f->name);
        lapis_hint(front->diag, "write recorded(parameter); with a parameter that is a handle, or recorded(all);");
    }
    return false;
}

static enum lapis_recorded belongs_to_parameter(struct lapis_front *front, const struct lapis_function *f,
                                                const struct lapis_value *v)
{
    const struct lapis_recording *r = &f->recorded;
    if (v->kind != LAPIS_V_HANDLE && value_makes(v, NULL))
        return LAPIS_RECORDED_MADE;
    if (v->kind == LAPIS_V_HANDLE && v->handle && !is_command(v->handle) && !v->deallocates)
        return LAPIS_RECORDED_OBJECT;
    if (r->general)
        return LAPIS_RECORDED_NOT;
    if (v->kind == LAPIS_V_HANDLE && v->deallocates)
        lapis_error(front->diag, r->object_loc,
                    "the object of parameter '%s' of %s is gone after the call, and its record with it", v->name,
                    f->name);
    else if (v->kind == LAPIS_V_HANDLE)
        belongs_to_command(front, r->object_loc, v->handle ? v->handle->name : v->name);
    else if (v->element && v->element->kind == LAPIS_V_HANDLE && v->element->allocates)
        belongs_to_command(front, r->object_loc, v->element->handle->name);
    else
        lapis_error(front->diag, r->object_loc, "parameter '%s' of %s is no handle; it is %s", v->name, f->name,
                    lapis_describe_type(front->pool, v->ctype));
    return LAPIS_RECORDED_NOT;
}

/* The address of memory is another one each time. */
static bool is_memory(const struct lapis_value *v)
{
    return v && v->kind != LAPIS_V_SCALAR && v->kind != LAPIS_V_HANDLE && v->kind != LAPIS_V_TOKEN;
}

static void check_keys(struct lapis_front *front, const struct lapis_function *f)
{
    const struct lapis_recording *r = &f->recorded;
    if (r->n_keys && r->of == LAPIS_RECORDED_MADE) {
        lapis_error(front->diag, r->keys[0].loc,
                    "each call of %s makes another object: none takes the place of an earlier one", f->name);
        lapis_hint(front->diag, "write recorded;");
    }
    if (r->n_keys > LAPIS_KEYS_MAX)
        lapis_error(front->diag, r->keys[LAPIS_KEYS_MAX].loc, "a recorded call has at most %d keys, not %zu",
                    LAPIS_KEYS_MAX, r->n_keys);
    for (size_t i = 0; i < r->n_keys && r->of != LAPIS_RECORDED_MADE; i++)
        if (is_memory(lapis_param(f->params, f->n_params, r->keys[i].text)))
            lapis_error(front->diag, r->keys[i].loc,
                        "a key is a number or a handle; parameter '%s' of %s is memory, which may lie anywhere",
                        r->keys[i].text, f->name);
}

/* A call belongs to what it makes, and to nothing else that rules could know. */
static void infer_recorded(struct lapis_function *f)
{
    f->recorded = (struct lapis_recording){0};
    if (!is_carried(f) || !makes(f, NULL))
        return;
    f->recorded.of = LAPIS_RECORDED_MADE;
    f->recorded.why = (struct lapis_reason){"replay.made", "it belongs to what it makes", f->loc};
}

static void settle_recorded(struct lapis_front *front, struct lapis_function *f)
{
    struct lapis_recording *r = &f->recorded;
    const struct lapis_value *v = r->object ? lapis_param(f->params, f->n_params, r->object) : NULL;
    if (r->said && r->of == LAPIS_RECORDED_NOT)
        return;
    if (r->said && !is_carried(f) && !r->general)
        no_call(front, f);
    if (!r->said || !is_carried(f)) {
        infer_recorded(f);
        return;
    }
    if (v)
        r->of = belongs_to_parameter(front, f, v);
    else if (r->object && !strcmp(r->object, "all"))
        r->of = LAPIS_RECORDED_ALL;
    else if (!belongs_to_made(front, f))
        r->of = LAPIS_RECORDED_NOT;
    if (r->of == LAPIS_RECORDED_NOT)
        infer_recorded(f);
    else
        check_keys(front, f);
}

/* ---- which types come back ---- */

static bool takes_lost(const struct lapis_value *v)
{
    if (v->nullable || v->direction != LAPIS_IN)
        return false;
    if (v->kind == LAPIS_V_HANDLE)
        return v->handle && v->handle->anew == LAPIS_ANEW_NOT;
    for (size_t i = 0; v->kind == LAPIS_V_RECORD && i < v->n_fields; i++)
        if (takes_lost(&v->fields[i]))
            return true;
    return v->element && takes_lost(v->element);
}

/* The first parameter with what does not come back, or NULL. */
static const struct lapis_value *lost_parameter(const struct lapis_function *f)
{
    for (size_t i = 0; i < f->n_params; i++)
        if (takes_lost(&f->params[i]))
            return &f->params[i];
    return NULL;
}

static bool has_memory(const struct lapis_model *model, const struct lapis_handle *handle)
{
    bool charged = false;
    for (size_t i = 0; i < model->n_functions; i++)
        for (size_t k = 0; k < model->functions[i]->n_resources; k++)
            charged |= !strcmp(model->functions[i]->resources[k].name, "memory") && makes(model->functions[i], handle);
    return handle->mapped || charged;
}

static bool is_maker(const struct lapis_function *f, const struct lapis_handle *handle)
{
    return is_carried(f) && f->recorded.of != LAPIS_RECORDED_NOT && makes(f, handle);
}

/* By a call that is recorded, and whose own objects come back before. */
static bool made_anew(struct lapis_front *front, struct lapis_handle *handle)
{
    for (size_t i = 0; i < front->model->n_functions; i++) {
        const struct lapis_function *f = front->model->functions[i];
        if (!is_maker(f, handle) || lost_parameter(f))
            continue;
        handle->anew = LAPIS_ANEW_MADE;
        handle->anew_why =
            (struct lapis_reason){"replay.made", hira_pool_printf(front->pool, "%s makes them", f->name), f->loc};
        return true;
    }
    return false;
}

static bool is_made(const struct lapis_model *model, const struct lapis_handle *handle)
{
    for (size_t i = 0; i < model->n_functions; i++)
        if (is_maker(model->functions[i], handle))
            return true;
    return false;
}

/* What is there before any call, and stays. */
static void found_anew(struct lapis_front *front, struct lapis_handle *handle)
{
    const struct lapis_function *teller =
        handle->immutable && !is_made(front->model, handle) ? teller_of(front->model, handle) : NULL;
    if (!handle->devices && !teller)
        return;
    handle->anew = LAPIS_ANEW_FOUND;
    handle->anew_why = (struct lapis_reason){"replay.found", NULL, handle->devices ? handle->loc : teller->loc};
    handle->anew_why.text =
        handle->devices
            ? hira_pool_printf(front->pool, "%s adds them", handle->devices)
            : hira_pool_printf(front->pool, "no call changes them, and %s tells which there are", teller->name);
}

/* What needs no call to be made again. */
static void settle_type(struct lapis_front *front, struct lapis_handle *handle)
{
    if (!is_used(front->model, handle)) {
        handle->anew = LAPIS_ANEW_NEVER;
        handle->anew_why = (struct lapis_reason){"replay.never", "no call that is carried names them", handle->loc};
    } else if (is_command(handle)) {
        handle->anew = LAPIS_ANEW_COMMAND;
        handle->anew_why = (struct lapis_reason){"replay.command", "they stand for commands, which have ended by then",
                                                 handle->done.loc};
    } else {
        found_anew(front, handle);
    }
}

/* Of a type that does not come back, the reason. */
static void explain_lost(struct lapis_front *front, struct lapis_handle *handle)
{
    const struct lapis_model *model = front->model;
    const struct lapis_function *lost = NULL, *unrecorded = NULL, *refused = NULL, *teller = teller_of(model, handle);
    for (size_t i = 0; i < model->n_functions; i++) {
        const struct lapis_function *f = model->functions[i];
        if (!makes(f, handle))
            continue;
        *(is_maker(f, handle) ? &lost : is_carried(f) ? &unrecorded : &refused) = f;
    }
    struct lapis_reason *why = &handle->anew_why;
    *why = (struct lapis_reason){"replay.lost", "no function makes them", handle->loc};
    if (lost && has_memory(model, handle) && !handle->contents)
        why->text = "their memory has no contents(size) { ... }";
    else if (lost)
        why->text = hira_pool_printf(front->pool, "%s makes them of '%s', which does not come back", lost->name,
                                     lost_parameter(lost)->name);
    else if (unrecorded)
        why->text = hira_pool_printf(front->pool, "%s makes them, and is not recorded", unrecorded->name);
    else if (teller)
        why->text = hira_pool_printf(front->pool, "%s tells of them, and no function makes them", teller->name);
    else if (refused)
        why->text = hira_pool_printf(front->pool, "%s, which makes them, is not carried", refused->name);
    if (lost || unrecorded || teller)
        why->loc = (lost ? lost : unrecorded ? unrecorded : teller)->loc;
}

static void check_contents(struct lapis_front *front, const struct lapis_handle *handle)
{
    if (handle->contents && is_command(handle))
        belongs_to_command(front, handle->contents_loc, handle->name);
    else if (handle->contents && handle->devices)
        lapis_error(front->diag, handle->contents_loc, "%s are the vendor's devices, which are found again as they are",
                    handle->name);
}

void lapis_replay(struct lapis_front *front)
{
    struct lapis_model *model = front->model;
    bool more = true;
    for (size_t i = 0; i < model->n_functions; i++)
        settle_recorded(front, model->functions[i]);
    for (size_t i = 0; i < model->n_handles; i++) {
        struct lapis_handle *h = model->handles[i];
        check_contents(front, h);
        settle_type(front, h);
    }
    while (more) { /* what others are made of comes first */
        more = false;
        for (size_t i = 0; i < model->n_handles; i++) {
            struct lapis_handle *h = model->handles[i];
            if (h->anew == LAPIS_ANEW_NOT && (h->contents || !has_memory(model, h)))
                more |= made_anew(front, h);
        }
    }
    for (size_t i = 0; i < model->n_handles; i++)
        if (model->handles[i]->anew == LAPIS_ANEW_NOT)
            explain_lost(front, model->handles[i]);
}
