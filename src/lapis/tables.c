/*
 * Tables of functions that an API hands out: table(condition, vendor's) { member: value; }
 *
 * A slot is what its row says; else the API's function of the slot's name; else a function of its own between guest and server, made here
 * from the slot's type and called TABLE_SLOT, about which rules and the specification may say what they say of any other. Other
 * members need a row: no value is a default. What hands the table out is done in the guest, with a table of the guest's functions.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include <string.h>

#include "lapis/front.h"

static const struct lapis_field *member_of(const struct lapis_ctype *table, const char *name)
{
    for (size_t i = 0; i < table->n_fields; i++)
        if (table->fields[i].name && !strcmp(table->fields[i].name, name))
            return &table->fields[i];
    return NULL;
}

static void unknown_member(struct lapis_front *front, const struct lapis_ctype *table, const struct lapis_argument *arg)
{
    const char **names = NULL;
    size_t n = 0;
    lapis_error(front->diag, arg->loc, "'%s' has no member '%s'", table->name, arg->text);
    for (size_t i = 0; i < table->n_fields; i++)
        *HIRA_POOL_PUSH(front->pool, names, n) = table->fields[i].name;
    const char *meant = lapis_did_you_mean(arg->text, names, n);
    if (meant)
        lapis_hint(front->diag, "did you mean '%s'?", meant);
}

/* The row about a member, or NULL. */
static const struct lapis_node *row_of(const struct lapis_node *node, const char *member)
{
    for (size_t i = 0; i < node->n_body; i++)
        if (!strcmp(node->body[i]->args[0].text, member))
            return node->body[i];
    return NULL;
}

static void check_rows(struct lapis_front *front, const struct lapis_node *node, const struct lapis_ctype *table)
{
    for (size_t i = 0; i < node->n_body; i++) {
        const struct lapis_node *row = node->body[i], *first = row_of(node, row->args[0].text);
        if (first != row) {
            lapis_error(front->diag, row->loc, "member '%s' has a value already", row->args[0].text);
            lapis_note(front->diag, first->loc, "the first time");
        }
        if (!member_of(table, row->args[0].text))
            unknown_member(front, table, &row->args[0]);
        else
            lapis_check_names(front, row, &row->args[1], &(struct lapis_scope){0});
    }
}

static const char *without_tag(const char *name)
{
    return strncmp(name, "struct ", 7) ? name : name + 7;
}

/* The function that a slot stands for. */
static const char *make_slot(struct lapis_front *front, const struct lapis_function *getter, const struct lapis_node *node,
                             const struct lapis_field *slot)
{
    struct lapis_model *model = front->model;
    const struct lapis_ctype *type = slot->type;
    struct lapis_function *f = hira_pool_alloc(front->pool, sizeof *f);
    f->name = hira_pool_printf(front->pool, "%s_%s", without_tag(getter->ret.ctype->pointee->name), slot->name);
    f->index = (unsigned)model->n_functions;
    f->internal = true;
    f->loc = getter->loc;
    f->header = getter->header;
    f->spec_loc = node->loc;
    f->doc = slot->doc;
    f->table = node->args[1].text;
    f->slot = hira_pool_printf(front->pool, "(%s)->%s", f->table, slot->name);
    f->n_params = type->n_args;
    f->params = hira_pool_alloc(front->pool, type->n_args * sizeof *f->params);
    lapis_value_init(front->pool, &f->ret, NULL, type->ret);
    for (size_t i = 0; i < type->n_args; i++) {
        const char *name = type->args[i].name;
        lapis_value_init(front->pool, &f->params[i], name ? name : hira_pool_printf(front->pool, "arg%zu", i + 1), type->args[i].type);
        f->params[i].loc = getter->loc;
    }
    *HIRA_POOL_PUSH(front->pool, model->functions, model->n_functions) = f;
    return f->name;
}

static void make_table(struct lapis_front *front, struct lapis_function *getter, const struct lapis_node *node)
{
    const struct lapis_ctype *table = getter->ret.ctype->kind == LAPIS_POINTER ? getter->ret.ctype->pointee : NULL;
    if (!table || table->kind != LAPIS_STRUCT) {
        lapis_error(front->diag, node->loc, "a table is handed out as a pointer to a struct; %s returns %s", getter->name,
                    lapis_describe_type(front->pool, getter->ret.ctype));
        return;
    }
    check_rows(front, node, table);
    struct hira_text code = {0};
    hira_text_printf(&code, " static const %s table = {", table->name);
    for (size_t i = 0; i < table->n_fields; i++) {
        const struct lapis_field *member = &table->fields[i];
        const struct lapis_node *row = row_of(node, member->name);
        const char *value = row ? row->args[1].text : NULL;
        if (!value && member->type->kind != LAPIS_FUNCTION) {
            lapis_error(front->diag, node->loc, "nothing says what member '%s' of '%s' is", member->name, table->name);
            lapis_hint(front->diag, "write table(...) { %s: value; }", member->name);
            continue;
        }
        if (!value)
            value = lapis_model_function(front->model, member->name) ? member->name : make_slot(front, getter, node, member);
        hira_text_printf(&code, "%s.%s = %s", i ? ", " : "", member->name, value);
    }
    hira_text_printf(&code, "}; return %s ? &table : NULL; ", node->args[0].text);
    getter->ret.kind = LAPIS_V_TOKEN;
    getter->ret.question = NULL;
    lapis_value_because(front->pool, &getter->ret, "spec", node->loc, "a table of the guest's functions");
    getter->guest_replace = (struct lapis_code){hira_pool_strdup(front->pool, code.data), node->loc};
    hira_text_fini(&code);
}

void lapis_tables(struct lapis_front *front)
{
    for (size_t i = 0; i < front->n_items; i++) {
        const struct lapis_node *item = front->items[i];
        bool named = item->word == LAPIS_W_FUNCTION || item->word == LAPIS_W_PROTOTYPE;
        struct lapis_function *f = named ? lapis_model_function(front->model, item->name) : NULL;
        for (size_t k = 0; f && k < item->n_body; k++)
            if (item->body[k]->word == LAPIS_W_TABLE)
                make_table(front, f, item->body[k]);
        for (size_t k = 0; item->word == LAPIS_W_FUNCTIONS && k < item->n_body; k++)
            if (item->body[k]->word == LAPIS_W_TABLE) {
                lapis_error(front->diag, item->body[k]->loc, "a table is handed out by one function");
                lapis_hint(front->diag, "write it in function name { }");
            }
    }
    for (size_t i = 0; i < front->model->n_functions; i++)
        front->model->functions[i]->index = (unsigned)i;
}
