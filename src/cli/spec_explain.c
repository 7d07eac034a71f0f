/*
 * hira spec explain: of each function how it is carried, of each parameter what is known, and for each fact the rule, a
 * sentence and the place of its evidence; of each handle type what becomes of its objects. Works on a specification
 * with errors too: that is when it is needed.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"

static void print_place(struct lapis_loc loc)
{
    if (loc.file && loc.line)
        printf("%s:%u:%u", loc.file, loc.line, loc.column);
    else
        fputs("nowhere in particular", stdout);
}

static void print_kind(const struct lapis_value *v)
{
    static const char *const names[] = {
        [LAPIS_V_UNSETTLED] = "UNSETTLED",   [LAPIS_V_SCALAR] = "by value",       [LAPIS_V_HANDLE] = "handle",
        [LAPIS_V_BUFFER] = "buffer",         [LAPIS_V_STRING] = "string",         [LAPIS_V_LIST] = "list",
        [LAPIS_V_PROPERTIES] = "properties", [LAPIS_V_RECORD] = "by its members", [LAPIS_V_CALLBACK] = "callback",
        [LAPIS_V_USERDATA] = "userdata",     [LAPIS_V_TOKEN] = "opaque",          [LAPIS_V_NOTHING] = "not carried",
    };
    fputs(names[v->kind], stdout);
    if (v->kind == LAPIS_V_HANDLE && v->handle)
        printf(" of type %s", v->handle->name);
    if (v->count)
        printf(" of %s%s", v->count, v->unit_bytes ? " bytes" : "");
    if (v->filled)
        printf(", %s of them filled", v->filled);
    if (v->terminator)
        printf(" ended by %s", v->terminator);
    if (v->companion)
        printf(" with %s", v->companion);
    if (v->selector)
        printf(", chosen by %s", v->selector);
    if (v->discriminant)
        printf(", chosen by %s", v->discriminant);
}

static void print_facts(const struct lapis_value *v)
{
    static const char *const directions[] = {"", "in", "out", "inout"};
    static const char *const lives[] = {"", "until the event", "as long as the object", "for ever"};
    if (v->kind != LAPIS_V_CALLBACK && v->kind != LAPIS_V_USERDATA && v->kind != LAPIS_V_NOTHING)
        printf("%s, ", directions[v->direction & 3]);
    print_kind(v);
    if (v->kind == LAPIS_V_CALLBACK && v->callback)
        printf(", %s%s", v->callback->waits ? "awaited" : "posted", v->callback->once ? ", once" : "");
    const struct {
        bool is;
        const char *text;
    } flags[] = {
        {v->nullable, "nullable"},   {v->is_error, "receives the error"}, {v->always, "handed back always"},
        {v->allocates, "allocates"}, {v->deallocates, "deallocates"},
    };
    for (size_t i = 0; i < HIRA_ARRAY_SIZE(flags); i++)
        if (flags[i].is)
            printf(", %s", flags[i].text);
    if (v->lifetime)
        printf(", used %s%s%s", lives[v->lifetime], v->until ? " " : "", v->until ? v->until : "");
    if (v->when)
        printf(", live when the discriminant is %s", v->when);
    putchar('\n');
}

static void print_value(const struct lapis_value *v, const char *name, int indent)
{
    printf("%*s%s (%s): ", indent, "", name, v->ctype ? v->ctype->spelling : "?");
    print_facts(v);
    for (size_t i = 0; i < v->n_reasons; i++) {
        printf("%*s- %s [%s, ", indent + 4, "", v->reasons[i].text ? v->reasons[i].text : "", v->reasons[i].rule);
        print_place(v->reasons[i].loc);
        puts("]");
    }
    if (v->question && v->kind == LAPIS_V_UNSETTLED)
        printf("%*s? %s\n", indent + 4, "", v->question);
    if (v->element && (v->element->kind != LAPIS_V_SCALAR || v->element->n_reasons))
        print_value(v->element, "element", indent + 4);
    for (size_t i = 0; v->kind == LAPIS_V_CALLBACK && v->callback && i < v->callback->n_args; i++)
        print_value(&v->callback->args[i], v->callback->args[i].name ? v->callback->args[i].name : "(unnamed)",
                    indent + 4);
    if (v->kind == LAPIS_V_CALLBACK && v->callback && v->callback->ret.ctype &&
        v->callback->ret.ctype->kind != LAPIS_VOID)
        print_value(&v->callback->ret, "result", indent + 4);
    for (size_t i = 0; v->kind == LAPIS_V_RECORD && i < v->n_fields; i++)
        print_value(&v->fields[i], v->fields[i].name ? v->fields[i].name : "(anonymous)", indent + 4);
}

static void print_policies(const struct lapis_function *f)
{
    for (size_t i = 0; i < f->n_policies; i++) {
        const struct lapis_policy *p = &f->policies[i];
        fputs(p->mode == LAPIS_SYNC ? "    sync"
              : p->n_once           ? "    async after the first call with equal "
                                    : "    async",
              stdout);
        for (size_t k = 0; k < p->n_once; k++)
            printf("%s%s", k ? ", " : "", p->once[k]);
        if (p->condition)
            printf(" if (%s)", p->condition);
        else if (i)
            fputs(" otherwise", stdout);
        if (p->loc.line) {
            fputs(" [spec, ", stdout);
            print_place(p->loc);
            putchar(']');
        }
        putchar('\n');
    }
}

static void print_answers(const struct lapis_function *f)
{
    static const char *const texts[] = {
        [LAPIS_TELL_REFERENCES] = "the application's references are added", [LAPIS_TELL_MASKED] = "only these bits are told: ",
        [LAPIS_TELL_KNOWN] = "the guest knows it: ",                        [LAPIS_TELL_WORDS] = "words that the api hides are left out",
        [LAPIS_TELL_RECORDS] = "what the api hides is left out of: ",       [LAPIS_TELL_REWRITTEN] = "the server rewrites it: ",
        [LAPIS_TELL_PROPERTIES] = "properties ended by ",
    };
    for (size_t i = 0; i < f->n_answers; i++) {
        const struct lapis_answer *a = &f->answers[i];
        fputs("    answer to ", stdout);
        for (size_t k = 0; k < a->n_selectors; k++)
            printf("%s%s", k ? ", " : "", a->selectors[k]);
        printf(": %s%s%s", texts[a->telling], a->expr ? a->expr : "", a->condition && a->telling == LAPIS_TELL_KNOWN ? ", if " : "");
        printf("%s [spec, ", a->condition && a->telling == LAPIS_TELL_KNOWN ? a->condition : "");
        print_place(a->loc);
        puts("]");
    }
}

static void print_reason(const struct lapis_reason *why)
{
    printf("%s [%s, ", why->text ? why->text : "", why->rule ? why->rule : "?");
    print_place(why->loc);
    puts("]");
}

static void print_recorded(const struct lapis_recording *r)
{
    if (r->of == LAPIS_RECORDED_NOT && !r->said)
        return;
    fputs(r->of == LAPIS_RECORDED_NOT   ? "    not recorded"
          : r->of == LAPIS_RECORDED_ALL ? "    recorded for the application"
          : r->object                   ? "    recorded for "
                                        : "    recorded",
          stdout);
    if (r->object && r->of != LAPIS_RECORDED_ALL)
        fputs(r->object, stdout);
    for (size_t i = 0; i < r->n_keys; i++)
        printf("%s%s", i ? ", " : " under ", r->keys[i].text);
    fputs(": ", stdout);
    print_reason(&r->why);
}

static void print_type(const struct lapis_handle *h)
{
    static const char *const texts[] = {
        [LAPIS_ANEW_NOT] = "lost",
        [LAPIS_ANEW_MADE] = "made anew",
        [LAPIS_ANEW_FOUND] = "found again",
        [LAPIS_ANEW_COMMAND] = "not made anew",
        [LAPIS_ANEW_NEVER] = "of no concern",
    };
    printf("type %s: %s: ", h->name, texts[h->anew]);
    print_reason(&h->anew_why);
    if (h->contents) {
        printf("    contents of %s bytes [spec, ", h->contents);
        print_place(h->contents_loc);
        puts("]");
    }
}

static void print_function(const struct lapis_function *f)
{
    printf("%s: %s", f->name, f->header ? f->header : "");
    if (f->header)
        printf(":%u", f->loc.line);
    if (f->spec_loc.line) {
        fputs(f->header ? ", " : "", stdout);
        print_place(f->spec_loc);
    }
    putchar('\n');
    if (f->unsupported) {
        printf("    unsupported: returns %s\n", f->unsupported_code ? f->unsupported_code
                                                : f->failure        ? f->failure
                                                                    : "0");
        return;
    }
    if (f->local)
        puts("    done in the guest: nothing crosses");
    if (f->slot)
        printf("    a slot of a table: the vendor's is %s\n", f->slot);
    print_policies(f);
    if (f->success)
        printf("    succeeds when %s\n", f->success);
    if (f->failure)
        printf("    fails with %s\n", f->failure);
    for (size_t i = 0; i < f->n_fails; i++)
        printf("    fails in the guest with %s if (%s)\n", f->fails[i].code, f->fails[i].condition);
    if (f->retains || f->releases)
        printf("    %s its first parameter: counted in the guest\n", f->retains ? "retains" : "releases");
    print_answers(f);
    print_recorded(&f->recorded);
    for (size_t i = 0; i < f->n_params; i++)
        print_value(&f->params[i], f->params[i].name ? f->params[i].name : "(unnamed)", 4);
    for (size_t i = lapis_declared_params(f); i < f->n_params; i++)
        printf("    the guest adds %s, which is %s\n", f->params[i].name, f->params[i].implicit);
    if (f->ret.ctype && f->ret.ctype->kind != LAPIS_VOID)
        print_value(&f->ret, "result", 4);
}

static int explain(const struct lapis_model *model, char **names, int n)
{
    int status = CLI_OK;
    for (size_t i = 0; n == 0 && i < model->n_functions; i++)
        print_function(model->functions[i]);
    for (size_t i = 0; n == 0 && i < model->n_handles; i++)
        if (model->handles[i]->anew != LAPIS_ANEW_NEVER)
            print_type(model->handles[i]);
    for (int i = 0; i < n; i++) {
        const struct lapis_function *f = lapis_model_function(model, names[i]);
        const struct lapis_handle *h = lapis_model_handle(model, names[i]);
        if (f)
            print_function(f);
        else if (h)
            print_type(h);
        if (!f && !h) {
            fprintf(stderr, "hira spec explain: there is no function or handle type '%s'\n", names[i]);
            status = CLI_FAILED;
        }
    }
    return status;
}

int cli_spec_explain(int argc, char **argv)
{
    struct cli_spec_options options = {0};
    bool failed;
    for (int c; (c = getopt(argc, argv, CLI_SPEC_SHORT)) != -1;)
        if (!cli_spec_option(&options, c, optarg))
            return cli_bad_option("spec explain", argv, c);
    if (optind == argc)
        return cli_usage("spec explain", "which specification?");
    struct lapis_model *model = cli_compile(argv[optind], &options, &failed);
    if (!model)
        return CLI_FAILED;
    int status = explain(model, argv + optind + 1, argc - optind - 1);
    lapis_model_destroy(model);
    return status == CLI_OK && failed ? CLI_FAILED : status;
}
