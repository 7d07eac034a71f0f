/*
 * What the import must know before it reads the headers: settings, includes, handle types and the spec's own
 * declarations. And, right after it, what is no part of the API.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include <string.h>

#include "lapis/front.h"

/* ---- api { } ---- */

static const struct setting_row {
    const char *name;
    unsigned min, max;
    bool strings; /* arguments are string literals */
    const char *usage;
} settings[] = {
    {"header_path", 1, 16, true, "header_path \"dir\";"},
    {"define", 1, 2, false, "define NAME value;"},
    {"vendor", 1, 1, true, "vendor \"libvendor.so.1\";"},
    {"library", 1, 1, true, "library \"libname.so.1\";"},
    {"link", 1, 16, true, "link \"libname.so\";"},
    {"versions", 2, 2, true, "versions \"MACRO_PATTERN_#\" \"NODE_#\";"},
    {"environment", 1, 64, false, "environment NAME, PATTERN_*;"},
    {"extension_getter", 1, 1, false, "extension_getter function;"},
    {"warm", 1, 1, false, "warm function;"},
    {"gate", 1, 1, false, "gate variable;"},
    {"describe", 1, 1, false, "describe function;"},
    {"server_environment", 1, 16, true, "server_environment \"NAME=value\";"},
    {"vendor_choice", 2, 2, true, "vendor_choice \"VARIABLE\" \"/folder/of/drivers\";"},
    {"vendor_cache", 1, 1, true, "vendor_cache \"VARIABLE\";"},
    {"dispatch", 2, 2, false, "dispatch table_type <header.h>;"},
    {"ordered", 1, 1, false, "ordered(all);"},
    {"hides", 1, 64, false, "hides NAME, PATTERN_*;"},
};

static const struct setting_row *find_setting(struct lapis_front *front, const struct lapis_node *node)
{
    const char *names[HIRA_ARRAY_SIZE(settings)];
    for (size_t i = 0; i < HIRA_ARRAY_SIZE(settings); i++) {
        if (!strcmp(settings[i].name, node->name))
            return &settings[i];
        names[i] = settings[i].name;
    }
    lapis_error(front->diag, node->loc, "unknown setting '%s'", node->name);
    const char *meant = lapis_did_you_mean(node->name, names, HIRA_ARRAY_SIZE(names));
    if (meant)
        lapis_hint(front->diag, "did you mean '%s'?", meant);
    return NULL;
}

static bool setting_fits(struct lapis_front *front, const struct lapis_node *node, const struct setting_row *row)
{
    if (node->n_args < row->min || node->n_args > row->max) {
        lapis_error(front->diag, node->loc, "'%s' takes %s", row->name,
                    row->max == 1                    ? "one value"
                    : row->max == 2 && row->min == 2 ? "two values"
                                                     : "at least one value");
        lapis_hint(front->diag, "write %s", row->usage);
        return false;
    }
    for (size_t i = 0; row->strings && i < node->n_args; i++)
        if (!lapis_unquote(front->pool, node->args[i].text)) {
            lapis_error(front->diag, node->args[i].loc, "'%s' takes a string here, not '%s'", row->name,
                        node->args[i].text);
            lapis_hint(front->diag, "write %s", row->usage);
            return false;
        }
    return true;
}

/* The folder of the file that the statement stands in, with its slash: "" for the present one. */
static const char *folder_of(struct hira_pool *pool, const char *file)
{
    const char *slash = strrchr(file, '/');
    return slash ? hira_pool_strndup(pool, file, (size_t)(slash - file) + 1) : "";
}

static void add_include_dir(struct lapis_front *front, const char *file, const char *dir)
{
    const char *path = dir[0] == '/' ? dir : hira_pool_printf(front->pool, "%s%s", folder_of(front->pool, file), dir);
    *HIRA_POOL_PUSH(front->pool, front->model->include_dirs, front->model->n_include_dirs) = path;
}

static void set_dispatch(struct lapis_front *front, const struct lapis_node *node)
{
    const char *header = node->args[1].text;
    size_t n = strlen(header);
    struct lapis_table *table = hira_pool_alloc(front->pool, sizeof *table);
    if (n < 3 || (header[0] != '<' && header[0] != '"')) {
        lapis_error(front->diag, node->args[1].loc, "expected <header> or \"header\", not '%s'", header);
        return;
    }
    table->name = node->args[0].text;
    table->header = hira_pool_strndup(front->pool, header + 1, n - 2);
    front->model->dispatch = table;
}

static void apply_setting(struct lapis_front *front, const struct lapis_node *node)
{
    struct lapis_model *model = front->model;
    const struct setting_row *row = find_setting(front, node);
    if (!row || !setting_fits(front, node, row))
        return;
    if (!strcmp(row->name, "define")) {
        const char *value = node->n_args > 1 ? node->args[1].text : "1";
        *HIRA_POOL_PUSH(front->pool, model->defines, model->n_defines) =
            hira_pool_printf(front->pool, "%s=%s", node->args[0].text, value);
    }
    if (!strcmp(row->name, "dispatch"))
        set_dispatch(front, node);
    if (!strcmp(row->name, "ordered")) {
        model->order_all = !strcmp(node->args[0].text, "all");
        if (!model->order_all && strcmp(node->args[0].text, "objects"))
            lapis_error(front->diag, node->args[0].loc, "an api is ordered(all) or ordered(objects)");
    }
    for (size_t i = 0; i < node->n_args; i++) {
        const char *text = row->strings ? lapis_unquote(front->pool, node->args[i].text) : node->args[i].text;
        if (!strcmp(row->name, "header_path"))
            add_include_dir(front, node->loc.file, text);
        *HIRA_POOL_PUSH(front->pool, model->settings, model->n_settings) =
            (struct lapis_setting){.name = row->name, .value = text, .loc = node->args[i].loc};
    }
}

static void declare_api(struct lapis_front *front, const struct lapis_node *item, const struct lapis_node **api)
{
    if (*api) {
        lapis_error(front->diag, item->loc, "a specification describes one api");
        lapis_note(front->diag, (*api)->loc, "this is it");
        return;
    }
    *api = item;
    front->whole = true;
    front->model->name = item->name;
    for (size_t i = 0; i < item->n_body; i++)
        apply_setting(front, item->body[i]);
}

/* ---- the other items ---- */

static void declare_type(struct lapis_front *front, const struct lapis_node *item)
{
    struct lapis_model *model = front->model;
    const char *name = item->args[0].text;
    for (size_t i = 0; i < item->n_body; i++) {
        const struct lapis_node *child = item->body[i];
        if (child->word != LAPIS_W_HANDLE_TYPE)
            continue;
        if (child->negated) {
            *HIRA_POOL_PUSH(front->pool, model->not_handles, model->n_not_handles) = name;
        } else if (!lapis_model_handle(model, name)) {
            struct lapis_handle *handle = hira_pool_alloc(front->pool, sizeof *handle);
            *handle = (struct lapis_handle){.name = name, .loc = item->loc};
            handle->why = (struct lapis_reason){"spec", "the spec says that it is a handle", child->loc};
            *HIRA_POOL_PUSH(front->pool, model->handles, model->n_handles) = handle;
            handle->index = (unsigned)model->n_handles;
        }
    }
}

static void declare_prototype(struct lapis_front *front, const struct lapis_node *item)
{
    struct lapis_model *model = front->model;
    for (size_t i = 0; i < model->n_declarations; i++)
        if (!strcmp(model->declarations[i].name, item->name) && model->declarations[i].kind != item->declaration) {
            lapis_error(front->diag, item->name_loc, "'%s' is declared twice, and differently", item->name);
            lapis_note(front->diag, model->declarations[i].loc, "the first declaration");
            return;
        }
    *HIRA_POOL_PUSH(front->pool, model->declarations, model->n_declarations) = (struct lapis_declaration){
        .kind = item->declaration, .name = item->name, .text = item->text, .loc = item->text_loc};
}

static const char *escaped_path(struct hira_pool *pool, const char *path)
{
    char *out = hira_pool_alloc(pool, strlen(path) * 2 + 1), *to = out;
    for (; *path; path++) {
        if (*path == '"' || *path == '\\')
            *to++ = '\\';
        *to++ = *path;
    }
    return out;
}

/* Blocks of one side are joined, each behind its #line, so that a compiler's message names the spec. */
static void add_code(struct lapis_front *front, struct lapis_code *code, const struct lapis_node *item)
{
    if (!item->code.text) /* it has no body, which has been said */
        return;
    const char *file = escaped_path(front->pool, item->code.loc.file);
    const char *block =
        hira_pool_printf(front->pool, "#line %u \"%s\"\n%s\n", item->code.loc.line, file, item->code.text);
    code->text = code->text ? hira_pool_printf(front->pool, "%s%s", code->text, block) : block;
    if (!code->loc.line)
        code->loc = item->code.loc;
}

static void declare_item(struct lapis_front *front, const struct lapis_node *item, const struct lapis_node **api)
{
    struct lapis_model *model = front->model;
    switch (item->word) {
    case LAPIS_W_API:
        declare_api(front, item, api);
        break;
    case LAPIS_W_DIRECTIVE:
        *HIRA_POOL_PUSH(front->pool, model->includes, model->n_includes) = item->args[0].text;
        break;
    case LAPIS_W_TYPE:
        declare_type(front, item);
        break;
    case LAPIS_W_PROTOTYPE:
        declare_prototype(front, item);
        break;
    case LAPIS_W_SHARED_CODE:
        add_code(front, &model->shared_code, item);
        break;
    case LAPIS_W_GUEST_CODE:
        add_code(front, &model->guest_code, item);
        break;
    case LAPIS_W_SERVER_CODE:
        add_code(front, &model->server_code, item);
        break;
    default:
        break;
    }
}

void lapis_declare(struct lapis_front *front)
{
    const struct lapis_node *api = NULL;
    for (size_t i = 0; i < front->n_items; i++)
        declare_item(front, front->items[i], &api);
    if (!front->model->n_includes) {
        lapis_error(front->diag, (struct lapis_loc){.file = front->model->spec_file},
                    "the specification includes no header");
        lapis_hint(front->diag, "write #include <header.h>");
    }
    /* #include "header.h" is found beside the specification, behind what header_path names. */
    add_include_dir(front, front->model->spec_file, ".");
}

/* ---- omit(...) ---- */

static const struct lapis_node *omitted_by(const struct lapis_front *front, const char *name, size_t *ret_arg)
{
    for (size_t i = 0; i < front->n_items; i++) {
        const struct lapis_node *item = front->items[i];
        for (size_t k = 0; item->word == LAPIS_W_OMIT && k < item->n_args; k++)
            if (lapis_glob(item->args[k].text, name)) {
                *ret_arg = k;
                return item;
            }
    }
    return NULL;
}

void lapis_omit(struct lapis_front *front)
{
    struct lapis_model *model = front->model;
    size_t kept = 0, arg = 0;
    for (size_t i = 0; i < model->n_functions; i++) {
        struct lapis_function *f = model->functions[i];
        const struct lapis_node *by = f->internal ? NULL : omitted_by(front, f->name, &arg);
        if (!by) {
            f->index = (unsigned)kept;
            model->functions[kept++] = f;
            continue;
        }
        *HIRA_POOL_PUSH(front->pool, front->omitted, front->n_omitted) =
            (struct lapis_omission){f->name, by->args[arg].loc};
    }
    model->n_functions = kept;
}
