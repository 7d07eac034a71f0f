/*
 * What the import makes of a specification's own declarations, of handles that a specification declares or refuses, and
 * of names: the parts of its contract that no golden file shows.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/pool.h"
#include "base/text.h"
#include "lapis/import.h"
#include "lapis/infer.h"

static int tests, failures;

static void ok(bool good, const char *what)
{
    tests++;
    failures += !good;
    printf("%sok %d - %s\n", good ? "" : "not ", tests, what);
}

static const char header[] = "typedef struct _thing *thing;\n"
                             "typedef void *token;\n"
                             "typedef unsigned long long address;\n"
                             "#define THING_MAX 12\n"
                             "enum { THING_RED, THING_GREEN };\n"
                             "int thing_use(thing t, token k, address a);\n"
                             "int thing_name_is_a_macro_v2(int a);\n"
                             "#define thing_name_is_a_macro thing_name_is_a_macro_v2\n";

struct fixture {
    struct lapis_model *model;
    struct lapis_diag *diag;
    char folder[64], path[96];
};

/* The header in a folder of its own. */
static void setup(struct fixture *f)
{
    struct hira_pool *pool = hira_pool_create();
    struct hira_text text = {0};
    strcpy(f->folder, "/tmp/hira-import-XXXXXX");
    if (!mkdtemp(f->folder))
        exit(99);
    snprintf(f->path, sizeof(f->path), "%s/thing.h", f->folder);
    hira_text_puts(&text, header);
    if (hira_text_write_file(&text, f->path) < 0)
        exit(99);
    hira_text_fini(&text);
    f->model = hira_pool_alloc(pool, sizeof(*f->model));
    f->model->pool = pool;
    f->model->spec_file = "thing.lapis";
    *HIRA_POOL_PUSH(pool, f->model->includes, f->model->n_includes) = "\"thing.h\"";
    *HIRA_POOL_PUSH(pool, f->model->include_dirs, f->model->n_include_dirs) = f->folder;
    f->diag = lapis_diag_create();
}

static void teardown(struct fixture *f)
{
    lapis_diag_destroy(f->diag);
    lapis_model_destroy(f->model);
    unlink(f->path);
    rmdir(f->folder);
}

static struct lapis_declaration *declare(struct fixture *f, enum lapis_declaration_kind kind, const char *name,
                                         const char *text, unsigned line, unsigned column)
{
    struct lapis_declaration *d = HIRA_POOL_PUSH(f->model->pool, f->model->declarations, f->model->n_declarations);
    *d = (struct lapis_declaration){.kind = kind, .name = name, .text = text, .loc = {"thing.lapis", line, column}};
    return d;
}

static bool says(struct fixture *f, const char *what)
{
    struct hira_text text = {0};
    lapis_diag_print(f->diag, &text, false);
    bool found = text.data && strstr(text.data, what);
    if (!found && text.data)
        printf("# instead: %s\n", text.data);
    hira_text_fini(&text);
    return found;
}

static void test_declarations(void)
{
    struct fixture f;
    setup(&f);
    declare(&f, LAPIS_PROTOTYPE, "thing_use", "long thing_use(thing object, token k, address a)", 7, 1);
    declare(&f, LAPIS_INTERNAL, "thing_kinds", "int thing_kinds(thing t, unsigned n, unsigned char *kinds)", 9, 10);
    declare(&f, LAPIS_EXPORTED, "thing_hidden", "void *thing_hidden(void)", 11, 10);
    declare(&f, LAPIS_PROTOTYPE, "thing_name_is_a_macro", "int thing_name_is_a_macro(int b)", 13, 1);
    ok(lapis_import(f.model, f.diag) == 0, "declarations: a prototype that differs is no error of the import");
    struct lapis_declaration *d = f.model->declarations;
    struct lapis_function *use = lapis_model_function(f.model, "thing_use");
    ok(d[0].function && d[0].function != use && !strcmp(d[0].function->params[0].name, "object") &&
           !strcmp(d[0].function->ret.ctype->spelling, "long"),
       "declarations: a prototype is free-standing, with the spec's names and types");
    ok(use && !strcmp(use->params[0].name, "t") && use->exported && !use->internal,
       "declarations: the header's stays as it is");
    ok(d[0].function && d[0].function->loc.line == 7 && d[0].function->loc.column == 6 &&
           !strcmp(d[0].function->loc.file, "thing.lapis"),
       "declarations: places are the spec's");
    ok(d[1].function && d[1].function == lapis_model_function(f.model, "thing_kinds") && d[1].function->internal &&
           !d[1].function->exported && d[1].function->loc.column == 14,
       "declarations: internal");
    ok(d[2].function && d[2].function == lapis_model_function(f.model, "thing_hidden") && d[2].function->exported,
       "declarations: exported");
    ok(d[3].function && !strcmp(d[3].function->name, "thing_name_is_a_macro"), "declarations: a name that is a macro");
    ok(f.model->n_functions == 4, "declarations: prototypes add no function");
    teardown(&f);
}

static void test_errors(void)
{
    struct fixture f;
    setup(&f);
    declare(&f, LAPIS_INTERNAL, "thing_bad", "int thing_bad(no_such_type t)", 20, 10);
    ok(lapis_import(f.model, f.diag) < 0, "errors: an unknown type fails");
    ok(says(&f, "thing.lapis:20:24: error: unknown type name 'no_such_type'"), "errors: at the place in the spec");
    ok(lapis_model_function(f.model, "thing_use") != NULL, "errors: what could be read is there");
    teardown(&f);
    setup(&f);
    *HIRA_POOL_PUSH(f.model->pool, f.model->includes, f.model->n_includes) = "<nowhere/to/be/found.h>";
    ok(lapis_import(f.model, f.diag) < 0 && says(&f, "the header nowhere/to/be/found.h is not found"),
       "errors: no such header");
    ok(lapis_model_function(f.model, "thing_use") != NULL, "errors: the other header is read");
    teardown(&f);
}

static struct lapis_handle *declare_handle(struct fixture *f, const char *name)
{
    struct lapis_handle *handle = hira_pool_alloc(f->model->pool, sizeof(*handle));
    handle->name = name;
    handle->loc = (struct lapis_loc){"thing.lapis", 3, 1};
    *HIRA_POOL_PUSH(f->model->pool, f->model->handles, f->model->n_handles) = handle;
    return handle;
}

static void test_handles(void)
{
    struct fixture f;
    setup(&f);
    struct lapis_handle *token = declare_handle(&f, "token"), *address = declare_handle(&f, "address");
    ok(lapis_import(f.model, f.diag) == 0, "handles: declared ones are taken");
    struct lapis_function *use = lapis_model_function(f.model, "thing_use");
    ok(use && use->params[1].kind == LAPIS_V_HANDLE && use->params[1].handle == token, "handles: a void pointer");
    ok(use && use->params[2].kind == LAPIS_V_HANDLE && use->params[2].handle == address, "handles: an integer");
    ok(token->index == 1 && address->index == 2 && token->ctype && address->ctype && token->loc.line == 3,
       "handles: numbered, with their C types and the spec's place");
    struct lapis_handle *thing = lapis_model_handle(f.model, "thing");
    ok(thing && thing->index == 3 && thing->why.rule, "handles: found ones come behind, with a reason");
    teardown(&f);
    setup(&f);
    *HIRA_POOL_PUSH(f.model->pool, f.model->not_handles, f.model->n_not_handles) = "thing";
    ok(lapis_import(f.model, f.diag) == 0 && f.model->n_handles == 0, "handles: refused ones are none");
    use = lapis_model_function(f.model, "thing_use");
    ok(use && use->params[0].ctype->kind == LAPIS_POINTER && use->params[0].kind == LAPIS_V_UNSETTLED,
       "handles: a refused one is a pointer that asks");
    teardown(&f);
}

static bool knows(const struct lapis_model *model, const char *name)
{
    for (size_t i = 0; i < model->n_names; i++)
        if (!strcmp(model->names[i], name))
            return true;
    return false;
}

static void test_names(void)
{
    struct fixture f;
    setup(&f);
    ok(lapis_import(f.model, f.diag) == 0 && knows(f.model, "THING_MAX") && knows(f.model, "THING_GREEN") &&
           knows(f.model, "thing") && knows(f.model, "thing_use"),
       "names: macros, enumerators, types, functions");
    bool sorted = f.model->n_names > 0;
    for (size_t i = 1; i < f.model->n_names; i++)
        sorted &= strcmp(f.model->names[i - 1], f.model->names[i]) < 0;
    ok(sorted, "names: sorted, each once");
    teardown(&f);
}

static void test_stats(void)
{
    struct fixture f;
    setup(&f);
    ok(lapis_import(f.model, f.diag) == 0 && lapis_infer(f.model, f.diag) == 0, "stats: inference");
    struct lapis_inference_stats s = lapis_infer_stats(f.model);
    ok(s.functions == 2 && s.functions_settled == 1 && s.pointers == 1 && s.pointers_settled == 0 && s.handles == 1,
       "stats: the untyped pointer is open");
    struct lapis_function *use = lapis_model_function(f.model, "thing_use");
    const char *path;
    ok(use && lapis_value_question(f.model->pool, &use->params[1], &path) && !*path &&
           !lapis_value_question(f.model->pool, &use->params[0], NULL),
       "stats: its question");
    teardown(&f);
}

int main(void)
{
    test_declarations();
    test_errors();
    test_handles();
    test_names();
    test_stats();
    printf("1..%d\n# %d of %d passed\n", tests, tests - failures, tests);
    return failures > 0;
}
