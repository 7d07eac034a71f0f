/*
 * Prints what import and inference know of a header, one line per fact, for the golden tests beside it and for
 * shares.sh.
 *
 *   infer-dump [-I DIR] [-D NAME=VALUE] [-V PATTERN=NODE] [-T TYPE=HEADER] [-i] [-s] HEADER
 *   infer-dump -r
 *
 * -V: symbol version nodes; -T: the dispatch table; -i: import only; -s: the shares only, one line; -r: the rules.
 * HEADER is "<CL/cl.h>", "\"x.h\"", or a bare name, which is put in quotes.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/pool.h"
#include "lapis/import.h"
#include "lapis/infer.h"

static const char *const kinds[] = {
    [LAPIS_V_UNSETTLED] = "UNSETTLED",   [LAPIS_V_SCALAR] = "scalar", [LAPIS_V_HANDLE] = "handle",
    [LAPIS_V_BUFFER] = "buffer",         [LAPIS_V_STRING] = "string", [LAPIS_V_LIST] = "list",
    [LAPIS_V_PROPERTIES] = "properties", [LAPIS_V_RECORD] = "record", [LAPIS_V_CALLBACK] = "callback",
    [LAPIS_V_USERDATA] = "userdata",     [LAPIS_V_TOKEN] = "token",   [LAPIS_V_NOTHING] = "nothing",
};

static const char *direction(enum lapis_direction d)
{
    return d == LAPIS_IN ? "in" : d == LAPIS_OUT ? "out" : "inout";
}

static void print_facts(const struct lapis_value *v)
{
    if (v->kind == LAPIS_V_BUFFER)
        printf(" %s(%s)", v->unit_bytes ? "bytes" : "buffer", v->count ? v->count : "?");
    else if (v->count)
        printf("(%s)", v->count);
    if (v->filled)
        printf(" filled(%s)", v->filled);
    if (v->terminator)
        printf(" ends with %s", v->terminator);
    if (v->selector)
        printf(" query(%s)", v->selector);
    if (v->handle)
        printf(" %s", v->handle->name);
    if (v->callback && v->callback->waits)
        printf(" waits");
    if (v->companion)
        printf(" with %s", v->companion);
    if (v->nullable)
        printf(" nullable");
    if (v->is_error)
        printf(" error");
    if (v->always)
        printf(" always");
    if (v->allocates)
        printf(" allocates");
    if (v->deallocates)
        printf(" deallocates");
    if (v->lifetime == LAPIS_LIFE_STATIC)
        printf(" lifetime(static)");
    if (v->lifetime == LAPIS_LIFE_OBJECT)
        printf(" lifetime(object)");
}

static void print_value(const struct lapis_value *v, const char *label, int depth)
{
    printf("%*s%s: %s %s", depth * 4, "", label, direction(v->direction), kinds[v->kind]);
    print_facts(v);
    printf("  // %s\n", v->ctype->spelling);
    for (size_t i = 0; i < v->n_reasons; i++)
        printf("%*s- %s: %s\n", depth * 4 + 2, "", v->reasons[i].rule, v->reasons[i].text);
    if (v->question)
        printf("%*s? %s\n", depth * 4 + 2, "", v->question);
    if (v->callback)
        for (size_t i = 0; i < v->callback->n_args; i++)
            print_value(&v->callback->args[i], v->callback->args[i].name, depth + 1);
    if (v->element && v->element->kind != LAPIS_V_SCALAR)
        print_value(v->element, "element", depth + 1);
    if (v->kind == LAPIS_V_RECORD)
        for (size_t i = 0; i < v->n_fields; i++)
            print_value(&v->fields[i], v->fields[i].name, depth + 1);
}

static void print_function(const struct lapis_function *f)
{
    printf("\n%s", f->name);
    if (f->version)
        printf(" version %s", f->version);
    if (f->retains)
        printf(" retains");
    if (f->releases)
        printf(" releases");
    printf("\n");
    if (f->variadic)
        printf("    variadic\n");
    const char *doc = f->doc ? f->doc + strspn(f->doc, "\n") : NULL;
    if (doc)
        printf("    doc: %.*s\n", (int)strcspn(doc, "\n"), doc);
    if (f->ret.ctype->kind != LAPIS_VOID)
        print_value(&f->ret, "return", 1);
    for (size_t i = 0; i < f->n_params; i++)
        print_value(&f->params[i], f->params[i].name, 1);
}

static void print_model(const struct lapis_model *model)
{
    for (size_t i = 0; i < model->n_handles; i++) {
        const struct lapis_handle *h = model->handles[i];
        printf("handle %s%s%s%s%s\n", h->name, h->retain ? " retain " : "", h->retain ? h->retain->name : "",
               h->release ? " release " : "", h->release ? h->release->name : "");
    }
    if (model->dispatch)
        for (size_t i = 0; i < model->dispatch->n_slots; i++)
            printf("slot %zu %s\n", i, model->dispatch->slots[i]);
    for (size_t i = 0; i < model->n_functions; i++)
        print_function(model->functions[i]);
}

static int print_rules(void)
{
    size_t n;
    const struct lapis_rule_text *rules = lapis_infer_rules(&n);
    for (size_t i = 0; i < n; i++)
        printf("%s\t%s\n", rules[i].name, rules[i].description);
    return 0;
}

static void add(struct lapis_model *model, const char ***items, size_t *n, const char *item)
{
    const char **a = *items;
    *HIRA_POOL_PUSH(model->pool, a, *n) = item;
    *items = a;
}

static void add_version(struct lapis_model *model, const char *pair)
{
    const char *equals = strchr(pair, '=');
    if (!equals)
        return;
    *HIRA_POOL_PUSH(model->pool, model->settings, model->n_settings) = (struct lapis_setting){
        .name = "versions", .value = hira_pool_strndup(model->pool, pair, (size_t)(equals - pair))};
    *HIRA_POOL_PUSH(model->pool, model->settings, model->n_settings) =
        (struct lapis_setting){.name = "versions", .value = equals + 1};
}

static void add_table(struct lapis_model *model, const char *pair)
{
    const char *equals = strchr(pair, '=');
    if (!equals)
        return;
    model->dispatch = hira_pool_alloc(model->pool, sizeof(*model->dispatch));
    model->dispatch->name = hira_pool_strndup(model->pool, pair, (size_t)(equals - pair));
    model->dispatch->header = equals + 1;
}

static void print_share(const struct lapis_model *model, const char *header)
{
    struct lapis_inference_stats s = lapis_infer_stats(model);
    printf("%-28s %5zu fn %5zu params %5zu pointers %5zu settled %5.1f %%  %5zu of %zu functions complete\n", header,
           s.functions, s.params, s.pointers, s.pointers_settled,
           s.pointers ? 100.0 * (double)s.pointers_settled / (double)s.pointers : 100.0, s.functions_settled,
           s.functions);
}

static int run(struct lapis_model *model, bool import_only, bool shares, const char *header)
{
    struct lapis_diag *diag = lapis_diag_create();
    struct hira_text text = {0};
    int rc = lapis_import(model, diag);
    if (!import_only && !rc)
        rc = lapis_infer(model, diag);
    if (shares)
        print_share(model, header);
    else
        print_model(model);
    if (!shares || rc)
        lapis_diag_print(diag, &text, false);
    if (text.data)
        fputs(text.data, stdout);
    hira_text_fini(&text);
    lapis_diag_destroy(diag);
    return rc;
}

int main(int argc, char **argv)
{
    if (argc == 2 && !strcmp(argv[1], "-r"))
        return print_rules();
    struct hira_pool *pool = hira_pool_create();
    struct lapis_model *model = hira_pool_alloc(pool, sizeof(*model));
    bool import_only = false, shares = false;
    model->pool = pool;
    model->name = "test";
    for (int c; (c = getopt(argc, argv, "I:D:V:T:is")) != -1;) {
        if (c == 'I')
            add(model, &model->include_dirs, &model->n_include_dirs, optarg);
        else if (c == 'D')
            add(model, &model->defines, &model->n_defines, optarg);
        else if (c == 'V')
            add_version(model, optarg);
        else if (c == 'T')
            add_table(model, optarg);
        else if (c == 'i')
            import_only = true;
        else if (c == 's')
            shares = true;
        else
            return 64;
    }
    if (optind >= argc) {
        fputs("usage: infer-dump [-I DIR] [-D NAME=VALUE] [-V PATTERN=NODE] [-T TYPE=HEADER] [-i] [-s] HEADER\n",
              stderr);
        return 64;
    }
    for (int i = optind; i < argc; i++)
        add(model, &model->includes, &model->n_includes,
            strchr("<\"", argv[i][0]) ? argv[i] : hira_pool_printf(pool, "\"%s\"", argv[i]));
    int rc = run(model, import_only, shares, argv[optind]);
    lapis_model_destroy(model);
    return rc ? 1 : 0;
}
