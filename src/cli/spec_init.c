/*
 * hira spec init: a preliminary specification for a header. What the rules found is written as comments, with their
 * reasons, so that a person can read on one page what Hira believes of the API and why; what they did not find becomes
 * a question, with the statement to complete. The file parses and compiles as it is written, up to its questions.
 *
 * A question that comes up in several functions for parameters of one name and type is asked once, as a convention.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/pool.h"
#include "base/text.h"
#include "cli/cli.h"
#include "lapis/import.h"
#include "lapis/infer.h"

#define REPEATED 3 /* functions that share a question before it is asked once for all */

struct init {
    struct lapis_model *model;
    struct hira_text *out;
    const char *include; /* "<CL/cl.h>" */
    const char *path;    /* of the header's folder, or NULL: found on the search path */
    const struct cli_spec_options *options;
};

/* ---- a value in the words of Lapis ---- */

static void put_shape(struct hira_text *out, const struct lapis_value *v)
{
    switch (v->kind) {
    case LAPIS_V_BUFFER:
        hira_text_printf(out, " %s(%s);", v->unit_bytes ? "bytes" : "buffer", v->count ? v->count : "?");
        break;
    case LAPIS_V_STRING:
        hira_text_puts(out, " string");
        if (v->count)
            hira_text_printf(out, "(%s)", v->count);
        hira_text_puts(out, ";");
        break;
    case LAPIS_V_PROPERTIES:
        hira_text_printf(out, " properties(%s);", v->terminator);
        break;
    case LAPIS_V_CALLBACK:
        hira_text_printf(out, v->companion ? " callback(%s);" : " callback;", v->companion);
        break;
    case LAPIS_V_USERDATA:
        hira_text_puts(out, " userdata;");
        break;
    default:
        break;
    }
}

static void put_facts(struct hira_text *out, const struct lapis_value *v)
{
    if (v->filled)
        hira_text_printf(out, " filled(%s);", v->filled);
    if (v->selector)
        hira_text_printf(out, " query(%s);", v->selector);
    if (v->is_error)
        hira_text_puts(out, " error;");
    if (v->always)
        hira_text_puts(out, " always;");
    if (v->allocates)
        hira_text_puts(out, " allocates;");
    if (v->deallocates)
        hira_text_puts(out, " deallocates;");
    if (v->nullable)
        hira_text_puts(out, " nullable;");
    if (v->lifetime == LAPIS_LIFE_STATIC)
        hira_text_puts(out, " lifetime(static);");
    if (v->lifetime == LAPIS_LIFE_OBJECT)
        hira_text_puts(out, " lifetime(object);");
}

static bool plain(const struct lapis_value *v)
{
    return (v->kind == LAPIS_V_SCALAR || v->kind == LAPIS_V_HANDLE) && !v->allocates && !v->deallocates && !v->nullable;
}

static void put_value(struct hira_text *out, const struct lapis_value *v)
{
    static const char *const directions[] = {"", "in;", "out;", "inout;"};
    bool pointer = v->ctype->kind == LAPIS_POINTER && v->kind != LAPIS_V_USERDATA;
    hira_text_puts(out, "{");
    if (pointer)
        hira_text_printf(out, " %s", directions[v->direction & 3]);
    put_shape(out, v);
    put_facts(out, v);
    if (v->element && !plain(v->element) && v->element->kind != LAPIS_V_UNSETTLED) {
        hira_text_puts(out, " element ");
        put_value(out, v->element);
    }
    for (size_t i = 0; v->kind == LAPIS_V_RECORD && i < v->n_fields; i++)
        if (!plain(&v->fields[i]) && v->fields[i].kind != LAPIS_V_UNSETTLED && *v->fields[i].name) {
            hira_text_printf(out, " field(%s) ", v->fields[i].name);
            put_value(out, &v->fields[i]);
        }
    hira_text_puts(out, " }");
}

/* ---- what there is to say of a value ---- */

/* One comment line: documentation and reasons may hold line breaks, and a backslash at the end would go on. */
static void put_text(struct hira_text *out, const char *text)
{
    char last = ' ';
    for (; *text; text++) {
        char c = *text == '\n' || *text == '\r' || *text == '\t' || *text == '\\' ? ' ' : *text;
        if (c != ' ' || last != ' ')
            hira_text_append(out, &c, 1);
        last = c;
    }
}

static void put_reasons(struct init *init, const struct lapis_value *v, const char *indent)
{
    for (size_t i = 0; i < v->n_reasons; i++) {
        hira_text_printf(init->out, "%s//       ", indent);
        put_text(init->out, v->reasons[i].text);
        hira_text_printf(init->out, " (%s)\n", v->reasons[i].rule);
    }
}

static const char *question_of(struct init *init, const struct lapis_value *v, const char **ret_path)
{
    const char *question = lapis_value_question(init->model->pool, v, ret_path);
    for (size_t i = 0; !question && v->callback && i < v->callback->n_args; i++) {
        const char *inner, *asked = lapis_value_question(init->model->pool, &v->callback->args[i], &inner);
        if (asked) {
            *ret_path = hira_pool_printf(init->model->pool, "(%s)%s", v->callback->args[i].name, inner);
            question = asked;
        }
    }
    return question;
}

/* The statement that answers, as far as it is known: directions are, a shape is not. */
static void put_template(struct init *init, const struct lapis_value *v, const char *path, const char *indent)
{
    static const char *const directions[] = {"", "in; ", "out; ", "inout; "};
    bool result = !strcmp(v->name, "ret");
    if (*path == '(') { /* an item of its own, which does not belong into a function */
        hira_text_printf(init->out, "%s// answered by callback(%s), below this function\n", indent, v->callback->name);
        return;
    }
    hira_text_printf(init->out, "%s// %s%s%s { %s", indent, result ? "return" : "parameter(", result ? "" : v->name,
                     result ? "" : ")", v->ctype->kind == LAPIS_POINTER && !result ? directions[v->direction & 3] : "");
    size_t depth = 0;
    for (const char *p = path; *p;) { /* "[].name" */
        if (*p == '[') {
            hira_text_puts(init->out, "element { ");
            p += 2;
        } else {
            size_t n = strcspn(p + 1, ".[");
            hira_text_printf(init->out, "field(%.*s) { ", (int)n, p + 1);
            p += n + 1;
        }
        depth++;
    }
    hira_text_puts(init->out, "... }");
    while (depth--)
        hira_text_puts(init->out, " }");
    hira_text_puts(init->out, "\n");
}

static void put_question(struct init *init, const struct lapis_value *v, const char *path, const char *question)
{
    const char *indent = "    ";
    bool result = !strcmp(v->name, "ret");
    hira_text_printf(init->out, "%s// ? %s%s%s: ", indent, result ? "the result" : "parameter ", result ? "" : v->name,
                     path);
    put_text(init->out, question);
    hira_text_printf(init->out, " (%s; nothing in types, names or documentation tells)\n", v->ctype->spelling);
    if (v->doc) {
        hira_text_printf(init->out, "%s//       its documentation: ", indent);
        put_text(init->out, v->doc);
        hira_text_puts(init->out, "\n");
    }
    put_reasons(init, v, indent);
    put_template(init, v, path, indent);
}

/* ---- questions that repeat ---- */

struct repeated {
    const char *name, *type, *question, *functions;
    const struct lapis_value *first;
    size_t n;
};

struct questions {
    struct repeated *items;
    size_t n;
};

static struct repeated *find_repeated(const struct questions *questions, const struct lapis_value *v,
                                      const char *question)
{
    for (size_t i = 0; i < questions->n; i++)
        if (!strcmp(questions->items[i].name, v->name) && !strcmp(questions->items[i].type, v->ctype->spelling) &&
            !strcmp(questions->items[i].question, question))
            return &questions->items[i];
    return NULL;
}

static struct questions collect(struct init *init)
{
    struct questions questions = {0};
    struct hira_pool *pool = init->model->pool;
    for (size_t i = 0; i < init->model->n_functions; i++) {
        struct lapis_function *f = init->model->functions[i];
        for (size_t k = 0; k < f->n_params; k++) {
            const struct lapis_value *v = &f->params[k];
            if (v->kind != LAPIS_V_UNSETTLED || !v->question)
                continue;
            struct repeated *r = find_repeated(&questions, v, v->question);
            if (!r) {
                r = HIRA_POOL_PUSH(pool, questions.items, questions.n);
                *r = (struct repeated){v->name, v->ctype->spelling, v->question, "", v, 0};
            }
            r->functions = r->n ? hira_pool_printf(pool, "%s, %s", r->functions, f->name) : f->name;
            r->n++;
        }
    }
    return questions;
}

static bool is_repeated(const struct questions *questions, const struct lapis_value *v, const char *question)
{
    const struct repeated *r = v->kind == LAPIS_V_UNSETTLED ? find_repeated(questions, v, question) : NULL;
    return r && r->n >= REPEATED;
}

#define WIDTH 100

static void put_wrapped(struct hira_text *out, const char *words)
{
    size_t column = WIDTH;
    for (const char *p = words; *p;) {
        size_t n = strcspn(p, " ");
        if (column + n >= WIDTH) {
            hira_text_puts(out, p == words ? "//     " : "\n//     ");
            column = 0;
        }
        hira_text_append(out, " ", column > 0);
        hira_text_append(out, p, n);
        column += n + 1;
        p += n + (p[n] == ' ');
    }
    hira_text_puts(out, "\n");
}

static void put_conventions(struct init *init, const struct questions *questions)
{
    static const char *const directions[] = {"", "in; ", "out; ", "inout; "};
    for (size_t i = 0; i < questions->n; i++) {
        const struct repeated *r = &questions->items[i];
        if (r->n < REPEATED)
            continue;
        hira_text_printf(init->out, "\n// ? %s (%s): ", r->name, r->type);
        put_text(init->out, r->question);
        hira_text_printf(init->out, "\n//   asked in %zu functions:\n", r->n);
        put_wrapped(init->out, r->functions);
        hira_text_printf(init->out, "// convention { parameter(%s : %s) { %s... } }\n", r->name, r->type,
                         directions[r->first->direction & 3]);
    }
}

/* ---- functions ---- */

static void put_known(struct init *init, const struct lapis_value *v, const char *label, const char *indent)
{
    const char *path;
    if (question_of(init, v, &path) || (!v->n_reasons && plain(v)))
        return;
    hira_text_printf(init->out, "%s//   %s ", indent, label);
    put_value(init->out, v);
    hira_text_puts(init->out, "\n");
    put_reasons(init, v, indent);
    if (v->element)
        put_reasons(init, v->element, indent);
}

static void put_all_known(struct init *init, const struct lapis_function *f, const char *indent)
{
    if (f->ret.ctype->kind != LAPIS_VOID)
        put_known(init, &f->ret, "return", indent);
    for (size_t i = 0; i < f->n_params; i++)
        put_known(init, &f->params[i], hira_pool_printf(init->model->pool, "parameter(%s)", f->params[i].name), indent);
}

/* Whether the function asks anything that is not asked for all. `ret_shared`: it asks something that is. */
static bool asks(struct init *init, const struct lapis_function *f, const struct questions *questions, bool *ret_shared)
{
    const char *path, *question;
    bool own = f->variadic || (f->ret.ctype->kind != LAPIS_VOID && question_of(init, &f->ret, &path));
    *ret_shared = false;
    for (size_t i = 0; i < f->n_params; i++) {
        question = question_of(init, &f->params[i], &path);
        bool shared = question && is_repeated(questions, &f->params[i], question);
        *ret_shared |= shared;
        own |= question && !shared;
    }
    return own;
}

static void put_questions(struct init *init, const struct lapis_function *f, const struct questions *questions)
{
    const char *path, *question;
    if (f->variadic)
        hira_text_puts(init->out,
                       "    // ? it takes a variable number of arguments, which cannot be carried: replace it, or\n"
                       "    // unsupported;\n");
    if (f->ret.ctype->kind != LAPIS_VOID && (question = question_of(init, &f->ret, &path)) != NULL)
        put_question(init, &f->ret, path, question);
    for (size_t i = 0; i < f->n_params; i++) {
        question = question_of(init, &f->params[i], &path);
        if (question && is_repeated(questions, &f->params[i], question))
            hira_text_printf(init->out, "    // ? parameter %s: asked above, for all functions\n", f->params[i].name);
        else if (question)
            put_question(init, &f->params[i], path, question);
    }
}

/* The items that answer what is asked of callbacks. Where the function has a cookie, an untyped argument is likely it.
 */
static void put_callbacks(struct init *init, const struct lapis_function *f)
{
    for (size_t i = 0; i < f->n_params; i++) {
        const struct lapis_value *v = &f->params[i];
        const char *path;
        if (!question_of(init, v, &path) || *path != '(')
            continue;
        size_t n = strcspn(path + 1, ")");
        bool cookie = false;
        for (size_t k = 0; v->companion && k < v->callback->n_args; k++) {
            const struct lapis_value *arg = &v->callback->args[k];
            cookie |= strlen(arg->name) == n && !strncmp(arg->name, path + 1, n) && arg->ctype->kind == LAPIS_POINTER &&
                      arg->ctype->pointee->kind == LAPIS_VOID;
        }
        hira_text_printf(init->out, "// callback(%s) { parameter(%.*s) { %s } }\n", v->callback->name, (int)n, path + 1,
                         cookie ? "userdata;" : "...");
    }
}

/* A function gets a statement of its own only where something of its own is to be said. */
static void put_function(struct init *init, const struct lapis_function *f, const struct questions *questions)
{
    bool shared;
    if (!asks(init, f, questions, &shared)) {
        hira_text_printf(init->out, "\n// %s: %s\n", f->name,
                         shared ? "complete but for what is asked above" : "complete");
        put_all_known(init, f, "");
        return;
    }
    hira_text_printf(init->out, "\nfunction %s {\n", f->name);
    put_questions(init, f, questions);
    put_all_known(init, f, "    ");
    hira_text_puts(init->out, "}\n");
    put_callbacks(init, f);
}

/* ---- the head of the file ---- */

/* Results by type, most frequent first, as far as they can carry a success code. */
static void put_result_types(struct init *init)
{
    const struct lapis_model *model = init->model;
    for (size_t i = 0; i < model->n_functions; i++) {
        const struct lapis_ctype *type = model->functions[i]->ret.ctype;
        size_t before = 0, all = 0;
        for (size_t k = 0; k < model->n_functions; k++)
            if (!strcmp(model->functions[k]->ret.ctype->name, type->name)) {
                before += k < i;
                all++;
            }
        if (before || type->kind != LAPIS_INT || all < 2)
            continue;
        hira_text_printf(
            init->out,
            "\n// ? %zu functions return %s: which value means success, and which says that a call could not be "
            "carried?\n// type(%s) { success(...); failure(...); }\n",
            all, type->name, type->name);
    }
}

static void put_handles(struct init *init)
{
    hira_text_puts(init->out, "\n// handles, by their types:\n");
    for (size_t i = 0; i < init->model->n_handles; i++) {
        const struct lapis_handle *h = init->model->handles[i];
        hira_text_printf(init->out, "//   %s", h->name);
        if (h->retain)
            hira_text_printf(init->out, ", retained by %s", h->retain->name);
        if (h->release)
            hira_text_printf(init->out, ", released by %s", h->release->name);
        hira_text_puts(init->out, "\n");
    }
}

static const char *api_name(struct init *init)
{
    const char *slash = strrchr(init->include, '/');
    const char *base = slash ? slash + 1 : init->include + 1;
    char *name = hira_pool_strndup(init->model->pool, base, strcspn(base, ".>\""));
    for (char *p = name; *p; p++)
        if (*p == '-' || *p == '+')
            *p = '_';
    return name;
}

static void put_head(struct init *init)
{
    struct lapis_inference_stats s = lapis_infer_stats(init->model);
    const struct lapis_options *o = &init->options->options;
    double share = s.pointers ? 100.0 * (double)s.pointers_settled / (double)s.pointers : 100.0;
    hira_text_printf(
        init->out,
        "// A preliminary specification of %s, as hira spec init wrote it.\n//\n"
        "// Rules alone complete %zu of %zu functions, and settle %zu of %zu pointer parameters (%.1f %%).\n"
        "// Lines that begin with \"// ?\" are questions; below each stands the statement that answers it. What was\n"
        "// inferred is a comment: it holds without being written, and a statement overrides it.\n\n",
        init->include, s.functions_settled, s.functions, s.pointers_settled, s.pointers, share);
    hira_text_printf(init->out, "api %s {\n", api_name(init));
    if (init->path)
        hira_text_printf(init->out, "    header_path \"%s\";\n", init->path);
    for (size_t i = 0; i < o->n_include_dirs; i++)
        hira_text_printf(init->out, "    header_path \"%s\";\n", o->include_dirs[i]);
    for (size_t i = 0; i < o->n_defines; i++) {
        size_t n = strcspn(o->defines[i], "=");
        hira_text_printf(init->out, "    define %.*s%s%s;\n", (int)n, o->defines[i], o->defines[i][n] ? " " : "",
                         o->defines[i][n] ? o->defines[i] + n + 1 : "");
    }
    hira_text_puts(init->out, "    // ? which library does the server load, and what is the guest library called?\n"
                              "    // vendor \"lib....so\";\n    // library \"lib....so\";\n}\n");
    hira_text_printf(init->out, "\n#include %s\n", init->include);
}

static void put_file(struct init *init)
{
    struct questions questions = collect(init);
    put_head(init);
    put_result_types(init);
    put_handles(init);
    put_conventions(init, &questions);
    for (size_t i = 0; i < init->model->n_functions; i++)
        put_function(init, init->model->functions[i], &questions);
}

/* ---- the verb ---- */

/* A header that exists where the command line says is named by its own name, and its folder becomes a header_path; any
 * other is one of the search path. */
static void name_header(struct init *init, const char *header)
{
    struct lapis_model *model = init->model;
    const char *slash = strrchr(header, '/');
    init->include = header;
    if (!strchr("<\"", header[0])) {
        bool here = access(header, R_OK) == 0;
        init->include = hira_pool_printf(model->pool, here ? "\"%s\"" : "<%s>", here && slash ? slash + 1 : header);
        if (here)
            init->path = slash ? hira_pool_strndup(model->pool, header, (size_t)(slash - header)) : ".";
    }
    *HIRA_POOL_PUSH(model->pool, model->includes, model->n_includes) = init->include;
    if (init->path)
        *HIRA_POOL_PUSH(model->pool, model->include_dirs, model->n_include_dirs) = init->path;
}

/* header_path is relative to the specification, the command line to the working folder: in another folder it must be
 * absolute. */
static void anchor(struct init *init, struct cli_spec_options *options, const char *output)
{
    char *real;
    if (!output || !strchr(output, '/'))
        return;
    if (init->path && (real = realpath(init->path, NULL)) != NULL) {
        init->path = hira_pool_strdup(init->model->pool, real);
        free(real);
    }
    for (size_t i = 0; i < options->options.n_include_dirs; i++)
        if ((real = realpath(options->include_dirs[i], NULL)) != NULL) {
            options->include_dirs[i] = hira_pool_strdup(init->model->pool, real);
            free(real);
        }
}

static int write_out(const struct hira_text *text, const char *output)
{
    if (text->failed) {
        fputs("hira spec init: out of memory\n", stderr);
        return CLI_FAILED;
    }
    if (!output)
        return fwrite(text->data, 1, text->size, stdout) == text->size && fflush(stdout) == 0 ? CLI_OK : CLI_FAILED;
    int error = hira_text_write_file(text, output);
    if (error < 0)
        fprintf(stderr, "hira spec init: %s: %s\n", output, strerror(-error));
    return error < 0 ? CLI_FAILED : CLI_OK;
}

static int init_header(const char *header, struct cli_spec_options *options, const char *output)
{
    struct hira_pool *pool = hira_pool_create();
    struct lapis_model *model = hira_pool_alloc(pool, sizeof *model);
    struct lapis_diag *diag = lapis_diag_create();
    struct hira_text text = {0};
    struct init init = {.model = model, .out = &text, .options = options};
    int status = CLI_FAILED;
    model->pool = pool;
    model->spec_file = output ? output : header;
    for (size_t i = 0; i < options->options.n_include_dirs; i++)
        *HIRA_POOL_PUSH(pool, model->include_dirs, model->n_include_dirs) = options->include_dirs[i];
    for (size_t i = 0; i < options->options.n_defines; i++)
        *HIRA_POOL_PUSH(pool, model->defines, model->n_defines) = options->defines[i];
    name_header(&init, header);
    anchor(&init, options, output);
    if (lapis_import(model, diag) == 0 && lapis_infer(model, diag) == 0) {
        if (!model->n_functions) {
            lapis_warning(diag, (struct lapis_loc){.file = header}, "the header declares no functions");
            lapis_hint(diag, "is it the right one, and does it need a -D? What it includes counts if it lies in its folder");
        }
        put_file(&init);
        status = write_out(&text, output);
    }
    cli_print_messages(diag);
    lapis_diag_destroy(diag);
    hira_text_fini(&text);
    lapis_model_destroy(model);
    return status;
}

int cli_spec_init(int argc, char **argv)
{
    static const struct option longs[] = {
        {"output", required_argument, NULL, 'o'}, {"force", no_argument, NULL, 'f'}, {0}};
    struct cli_spec_options options = {0};
    const char *output = NULL;
    bool force = false;
    for (int c; (c = getopt_long(argc, argv, CLI_SPEC_SHORT "o:f", longs, NULL)) != -1;) {
        if (c == 'o')
            output = optarg;
        else if (c == 'f')
            force = true;
        else if (!cli_spec_option(&options, c, optarg))
            return cli_bad_option("spec init", argv, c);
    }
    if (optind + 1 != argc)
        return cli_usage("spec init", optind == argc ? "which header?" : "one header at a time");
    if (output && !force && access(output, F_OK) == 0) {
        fprintf(stderr, "hira spec init: %s exists, and may hold answers: use --force to replace it\n", output);
        return CLI_FAILED;
    }
    return init_header(argv[optind], &options, output);
}
