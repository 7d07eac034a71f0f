/*
 * hira spec coverage: how much of an API is covered, and how much of that came of itself. A function is complete when
 * nothing of it is unsettled; complete functions are inferred (the spec says nothing that concerns a parameter) or
 * annotated. Of handle types: whether their objects can be made anew elsewhere, and why not.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"

enum state { INFERRED, ANNOTATED, UNSUPPORTED, INCOMPLETE, N_STATES };

static const char *const state_names[] = {"inferred", "annotated", "unsupported", "incomplete"};

struct coverage {
    size_t functions, own, states[N_STATES]; /* own: an item of the specification is about it alone */
    size_t pointers, settled, by_rules; /* pointer parameters of supported functions */
};

static bool unsettled(const struct lapis_value *v)
{
    if (v->kind == LAPIS_V_UNSETTLED)
        return true;
    if (v->kind == LAPIS_V_TOKEN || v->kind == LAPIS_V_NOTHING)
        return false;
    for (size_t i = 0; v->kind == LAPIS_V_RECORD && i < v->n_fields; i++)
        if (unsettled(&v->fields[i]) && (v->ctype->kind != LAPIS_UNION || v->fields[i].when))
            return true;
    return v->element && unsettled(v->element);
}

static bool by_spec(const struct lapis_value *v)
{
    for (size_t i = 0; i < v->n_reasons; i++)
        if (!strcmp(v->reasons[i].rule, "spec"))
            return true;
    for (size_t i = 0; i < v->n_fields; i++)
        if (by_spec(&v->fields[i]))
            return true;
    return v->element && by_spec(v->element);
}

static enum state state_of(const struct lapis_function *f)
{
    bool spec = f->annotated || by_spec(&f->ret);
    bool open = f->ret.ctype && f->ret.ctype->kind != LAPIS_VOID && unsettled(&f->ret);
    if (f->unsupported)
        return UNSUPPORTED;
    for (size_t i = 0; i < f->n_params; i++) {
        spec |= by_spec(&f->params[i]);
        open |= unsettled(&f->params[i]);
    }
    if (open && !f->local)
        return INCOMPLETE;
    return spec ? ANNOTATED : INFERRED;
}

static void count_pointers(struct coverage *c, const struct lapis_function *f)
{
    for (size_t i = 0; i < f->n_params; i++) {
        enum lapis_ctype_kind kind = f->params[i].ctype->kind;
        if (kind != LAPIS_POINTER && kind != LAPIS_FUNCTION && kind != LAPIS_ARRAY)
            continue;
        c->pointers++;
        if (unsettled(&f->params[i]))
            continue;
        c->settled++;
        c->by_rules += !by_spec(&f->params[i]);
    }
}

static struct coverage measure(const struct lapis_model *model)
{
    struct coverage c = {0};
    for (size_t i = 0; i < model->n_functions; i++) {
        const struct lapis_function *f = model->functions[i];
        if (f->internal)
            continue;
        c.functions++;
        c.states[state_of(f)]++;
        c.own += f->own;
        if (!f->unsupported)
            count_pointers(&c, f);
    }
    return c;
}

/* Handle types by what becomes of their objects. Types without objects do not count. */
struct anew {
    size_t types, by[LAPIS_ANEW_NEVER + 1];
};

static const char *const anew_names[] = {
    [LAPIS_ANEW_NOT] = "lost",        [LAPIS_ANEW_MADE] = "made",   [LAPIS_ANEW_FOUND] = "found",
    [LAPIS_ANEW_COMMAND] = "command", [LAPIS_ANEW_NEVER] = "never",
};

static struct anew measure_types(const struct lapis_model *model)
{
    struct anew a = {0};
    for (size_t i = 0; i < model->n_handles; i++)
        a.by[model->handles[i]->anew]++;
    a.types = model->n_handles - a.by[LAPIS_ANEW_NEVER];
    return a;
}

static size_t count_recorded(const struct lapis_model *model)
{
    size_t n = 0;
    for (size_t i = 0; i < model->n_functions; i++)
        n += model->functions[i]->recorded.of != LAPIS_RECORDED_NOT;
    return n;
}

static const char *why_lost(const struct lapis_handle *h)
{
    return h->anew_why.text ? h->anew_why.text : "the specification has errors";
}

static double percent(size_t part, size_t whole)
{
    return whole ? 100.0 * (double)part / (double)whole : 100.0;
}

static void print_row(const char *name, size_t part, size_t whole)
{
    printf("%-44s %6zu  %5.1f %%\n", name, part, percent(part, whole));
}

static void print_types(const struct lapis_model *model)
{
    struct anew a = measure_types(model);
    printf("%-44s %6zu\n", "handle types", a.types);
    print_row("  made anew", a.by[LAPIS_ANEW_MADE], a.types);
    print_row("  found again", a.by[LAPIS_ANEW_FOUND], a.types);
    print_row("  of commands, not made anew", a.by[LAPIS_ANEW_COMMAND], a.types);
    print_row("  lost", a.by[LAPIS_ANEW_NOT], a.types);
    for (size_t i = 0; i < model->n_handles; i++)
        if (model->handles[i]->anew == LAPIS_ANEW_NOT)
            printf("    %s: %s\n", model->handles[i]->name, why_lost(model->handles[i]));
    printf("%-44s %6zu\n", "functions that are recorded for it", count_recorded(model));
}

static void print_table(const struct lapis_model *model)
{
    struct coverage c = measure(model);
    for (size_t i = 0; i < model->n_functions; i++)
        if (!model->functions[i]->internal)
            printf("%-44s %s\n", model->functions[i]->name, state_names[state_of(model->functions[i])]);
    printf("\n%-44s %6zu\n", "functions", c.functions);
    print_row("  complete", c.states[INFERRED] + c.states[ANNOTATED], c.functions);
    print_row("    inferred only", c.states[INFERRED], c.functions);
    print_row("    annotated", c.states[ANNOTATED], c.functions);
    print_row("  unsupported", c.states[UNSUPPORTED], c.functions);
    print_row("  incomplete", c.states[INCOMPLETE], c.functions);
    print_row("  without an annotation of their own", c.functions - c.own, c.functions);
    printf("%-44s %6zu\n", "pointer parameters", c.pointers);
    print_row("  settled", c.settled, c.pointers);
    print_row("  settled by rules alone", c.by_rules, c.pointers);
    print_types(model);
}

/* A reason is a sentence of ours and names of the header: nothing in it needs escapes. */
static void print_types_json(const struct lapis_model *model)
{
    struct anew a = measure_types(model);
    const char *comma = "";
    printf("  \"types\": %zu,\n", a.types);
    for (size_t i = 0; i < HIRA_ARRAY_SIZE(anew_names); i++)
        printf("  \"types_%s\": %zu,\n", anew_names[i], a.by[i]);
    printf("  \"recorded\": %zu,\n  \"anew\": {", count_recorded(model));
    for (size_t i = 0; i < model->n_handles; i++) {
        printf("%s\n    \"%s\": \"%s\"", comma, model->handles[i]->name, anew_names[model->handles[i]->anew]);
        comma = ",";
    }
    fputs("\n  },\n  \"lost\": {", stdout);
    comma = "";
    for (size_t i = 0; i < model->n_handles; i++) {
        if (model->handles[i]->anew != LAPIS_ANEW_NOT)
            continue;
        printf("%s\n    \"%s\": \"%s\"", comma, model->handles[i]->name, why_lost(model->handles[i]));
        comma = ",";
    }
    puts("\n  },");
}

static void print_json(const struct lapis_model *model)
{
    struct coverage c = measure(model);
    const char *comma = "";
    printf("{\n  \"api\": \"%s\",\n  \"functions\": %zu,\n", model->name, c.functions);
    for (size_t i = 0; i < N_STATES; i++)
        printf("  \"%s\": %zu,\n", state_names[i], c.states[i]);
    printf("  \"without_own\": %zu,\n", c.functions - c.own);
    printf("  \"pointers\": %zu,\n  \"settled\": %zu,\n  \"settled_by_rules\": %zu,\n", c.pointers, c.settled,
           c.by_rules);
    print_types_json(model);
    fputs("  \"states\": {", stdout);
    for (size_t i = 0; i < model->n_functions; i++) {
        if (model->functions[i]->internal)
            continue;
        printf("%s\n    \"%s\": \"%s\"", comma, model->functions[i]->name, state_names[state_of(model->functions[i])]);
        comma = ",";
    }
    puts("\n  }\n}");
}

int cli_spec_coverage(int argc, char **argv)
{
    static const struct option longs[] = {{"json", no_argument, NULL, 'j'}, {0}};
    struct cli_spec_options options = {0};
    bool json = false;
    for (int c; (c = getopt_long(argc, argv, CLI_SPEC_SHORT, longs, NULL)) != -1;) {
        if (c == 'j')
            json = true;
        else if (!cli_spec_option(&options, c, optarg))
            return cli_bad_option("spec coverage", argv, c);
    }
    if (optind + 1 != argc)
        return cli_usage("spec coverage", optind == argc ? "which specification?" : "one specification at a time");
    /* What is open is the result here, not a failure: the messages are those of hira spec check. */
    struct lapis_diag *diag = lapis_diag_create();
    struct lapis_model *model = lapis_compile(argv[optind], &options.options, diag);
    if (!model || !model->n_functions)
        cli_print_messages(diag);
    lapis_diag_destroy(diag);
    if (!model)
        return CLI_FAILED;
    (json ? print_json : print_table)(model);
    int status = model->n_functions ? CLI_OK : CLI_FAILED;
    lapis_model_destroy(model);
    return status;
}
