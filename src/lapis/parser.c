/*
 * Recursive descent over the token array, driven by the table in grammar.c. After an error the parser goes on behind
 * the statement's semicolon or braces, or at what looks like the next statement, so that one slip costs one message.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include "lapis/parser.h"

#include <string.h>

#include "base/pool.h"

#define NESTING_LIMIT 64 /* bodies within bodies: far above any sense, far below the stack's end */

struct parser {
    struct hira_pool *pool;
    struct lapis_diag *diag;
    const struct lapis_source *source;
    size_t at; /* token, never a comment */
    unsigned depth;
};

/* ---- tokens ---- */

static size_t skip_comments(const struct parser *p, size_t at)
{
    while (p->source->tokens[at].kind == LAPIS_T_COMMENT)
        at++;
    return at;
}

static const struct lapis_token *peek(const struct parser *p)
{
    return &p->source->tokens[p->at];
}

static void next(struct parser *p)
{
    if (peek(p)->kind != LAPIS_T_END)
        p->at = skip_comments(p, p->at + 1);
}

static struct lapis_loc here(const struct parser *p)
{
    return lapis_token_loc(p->source, peek(p));
}

static bool at_end(const struct parser *p)
{
    return peek(p)->kind == LAPIS_T_END;
}

static bool is_punct(const struct parser *p, size_t at, char c)
{
    const struct lapis_token *t = &p->source->tokens[at];
    return t->kind == LAPIS_T_PUNCT && p->source->text[t->offset] == c;
}

static bool at_punct(const struct parser *p, char c)
{
    return is_punct(p, p->at, c);
}

static bool at_name(const struct parser *p)
{
    return peek(p)->kind == LAPIS_T_NAME;
}

static char *token_text(const struct parser *p, size_t at)
{
    return lapis_token_text(p->pool, p->source, &p->source->tokens[at]);
}

/* How to name the token that stands where it should not. */
static const char *what_is_here(const struct parser *p)
{
    if (at_end(p))
        return "the end of the file";
    if (peek(p)->kind == LAPIS_T_DIRECTIVE)
        return "a preprocessor directive";
    return hira_pool_printf(p->pool, "'%.*s'", (int)HIRA_MIN(peek(p)->length, 60u), p->source->text + peek(p)->offset);
}

/* Right behind the last token that was taken: where a missing semicolon belongs. */
static struct lapis_loc behind(const struct parser *p)
{
    size_t at = p->at;
    while (at > 0 && p->source->tokens[--at].kind == LAPIS_T_COMMENT)
        ;
    const struct lapis_token *t = &p->source->tokens[at];
    struct lapis_loc loc = lapis_token_loc(p->source, t);
    loc.column += t->length;
    return loc;
}

static bool take_punct(struct parser *p, char c)
{
    if (!at_punct(p, c))
        return false;
    next(p);
    return true;
}

/* +1 for an opening bracket, -1 for a closing one. Braces count: an expression may hold a statement expression. */
static int bracket(const struct parser *p)
{
    if (peek(p)->kind != LAPIS_T_PUNCT)
        return 0;
    switch (p->source->text[peek(p)->offset]) {
    case '(':
    case '[':
    case '{':
        return 1;
    case ')':
    case ']':
    case '}':
        return -1;
    }
    return 0;
}

/* From an opening bracket to behind its closing one; false at the end of the file. */
static bool skip_balanced(struct parser *p)
{
    int depth = 0;
    do {
        if (at_end(p))
            return false;
        depth += bracket(p);
        next(p);
    } while (depth > 0);
    return true;
}

/* Behind the present statement: its semicolon, or its body; but not past the enclosing brace. */
static void recover(struct parser *p)
{
    while (!at_end(p) && !at_punct(p, '}')) {
        if (take_punct(p, ';'))
            return;
        bool body = at_punct(p, '{');
        if (bracket(p) > 0)
            skip_balanced(p);
        else
            next(p);
        if (body)
            return;
    }
}

static bool expect_semicolon(struct parser *p, const char *after)
{
    if (take_punct(p, ';'))
        return true;
    lapis_error(p->diag, behind(p), "expected ';' after '%s'", after);
    /* What follows on a line of its own, or a word, is taken as the next statement. */
    if (!at_name(p) && !at_punct(p, '}') && !peek(p)->newlines)
        recover(p);
    return false;
}

/* ---- nodes ---- */

static struct lapis_node *new_node(struct parser *p, enum lapis_word word)
{
    struct lapis_node *n = hira_pool_alloc(p->pool, sizeof *n);
    n->word = word;
    n->source = p->source;
    n->first = p->at;
    n->loc = here(p);
    return n;
}

/* The end is behind the last token taken, so that a comment behind it is the next one's. */
static struct lapis_node *finish(const struct parser *p, struct lapis_node *n)
{
    size_t at = p->at;
    while (at > n->first && p->source->tokens[at - 1].kind == LAPIS_T_COMMENT)
        at--;
    n->end = at;
    return n;
}

static struct lapis_argument argument_of(const struct parser *p, size_t first, size_t end)
{
    while (end > first && p->source->tokens[end - 1].kind == LAPIS_T_COMMENT)
        end--;
    return (struct lapis_argument){.text = lapis_tokens_text(p->pool, p->source, first, end),
                                   .loc = lapis_token_loc(p->source, &p->source->tokens[first]),
                                   .first = first,
                                   .end = end};
}

static void push_argument(struct parser *p, struct lapis_node *n, size_t first, size_t end)
{
    *HIRA_POOL_PUSH(p->pool, n->args, n->n_args) = argument_of(p, first, end);
}

/* To the first of `stops` outside all brackets, a closing bracket or the end. */
static void skip_expression(struct parser *p, const char *stops)
{
    while (!at_end(p) && bracket(p) >= 0) {
        if (peek(p)->kind == LAPIS_T_PUNCT && strchr(stops, p->source->text[peek(p)->offset]))
            return;
        if (bracket(p) > 0) {
            if (!skip_balanced(p))
                return;
        } else {
            next(p);
        }
    }
}

static bool is_glob(const char *s)
{
    for (; *s; s++)
        if (!strchr("*?_", *s) && !(*s >= '0' && *s <= '9') && !(*s >= 'a' && *s <= 'z') && !(*s >= 'A' && *s <= 'Z'))
            return false;
    return true;
}

static bool argument_fits(const struct parser *p, enum lapis_argument_kind kind, const struct lapis_argument *arg)
{
    const struct lapis_token *t = &p->source->tokens[arg->first];
    bool single = arg->end == arg->first + 1;
    switch (kind) {
    case LAPIS_ARG_EXPR:
    case LAPIS_ARG_TYPE:
        return true;
    case LAPIS_ARG_NAME:
        return single && t->kind == LAPIS_T_NAME;
    case LAPIS_ARG_PATH:
        return t->kind == LAPIS_T_NAME && (single || (arg->end == arg->first + 3 && is_punct(p, arg->first + 1, '.') &&
                                                      t[2].kind == LAPIS_T_NAME));
    case LAPIS_ARG_GLOB:
        return is_glob(arg->text);
    case LAPIS_ARG_STRING:
        return single && t->kind == LAPIS_T_STRING;
    }
    return false;
}

static bool check_argument(struct parser *p, const struct lapis_grammar *g, const struct lapis_argument *arg)
{
    static const char *const kinds[] = {"an expression",     "a name",   "a name or function.parameter",
                                        "a name or pattern", "a string", "a type"};
    if (argument_fits(p, g->argument, arg))
        return true;
    lapis_error(p->diag, arg->loc, "'%s' takes %s here, not '%s'", g->spelling, kinds[g->argument], arg->text);
    lapis_hint(p->diag, "write %s", g->usage);
    return false;
}

/* ": C type" behind the names of a convention's parameter(...). */
static void parse_parameter_type(struct parser *p, struct lapis_node *n)
{
    next(p);
    size_t first = p->at;
    skip_expression(p, ";");
    struct lapis_argument type = argument_of(p, first, p->at);
    n->type = type.text;
    n->type_loc = type.loc;
    if (!type.text[0])
        lapis_error(p->diag, behind(p), "expected a type after ':'");
}

static bool parse_arguments(struct parser *p, struct lapis_node *n)
{
    struct lapis_loc open = here(p);
    next(p);
    const char *stops = n->word == LAPIS_W_PARAMETER ? ",;:" : ",;";
    while (!at_punct(p, ')')) {
        size_t first = p->at;
        skip_expression(p, stops);
        if (p->at == first) {
            lapis_error(p->diag, here(p), "expected an argument, not %s", what_is_here(p));
            return false;
        }
        push_argument(p, n, first, p->at);
        if (take_punct(p, ','))
            continue;
        if (n->word == LAPIS_W_PARAMETER && at_punct(p, ':'))
            parse_parameter_type(p, n);
        if (!at_punct(p, ')')) {
            lapis_error(p->diag, here(p), "expected ')' before %s", what_is_here(p));
            lapis_note(p->diag, open, "it closes this '('");
            return false;
        }
    }
    next(p);
    return true;
}

static bool check_argument_count(struct parser *p, struct lapis_node *n, bool parentheses)
{
    const struct lapis_grammar *g = n->grammar;
    if (n->n_args < g->min_args || (n->n_args > g->max_args && g->max_args != LAPIS_ANY) ||
        (parentheses && !n->n_args && g->max_args)) {
        if (g->max_args == 0)
            lapis_error(p->diag, n->loc, "'%s' takes no arguments", g->spelling);
        else
            lapis_error(p->diag, n->loc, "'%s' takes %s%u argument%s, not %zu", g->spelling,
                        g->max_args == g->min_args ? "" : "at least ", HIRA_MAX(g->min_args, 1u),
                        HIRA_MAX(g->min_args, 1u) == 1 ? "" : "s", n->n_args);
        lapis_hint(p->diag, "write %s", g->usage);
        return false;
    }
    for (size_t i = 0; i < n->n_args; i++)
        n->broken |= !check_argument(p, g, &n->args[i]);
    return true;
}

/* ---- bodies ---- */

static struct lapis_node *parse_statement(struct parser *p, unsigned where);

static bool open_body(struct parser *p, struct lapis_node *n)
{
    n->open = p->at;
    n->has_body = true;
    next(p);
    if (p->depth >= NESTING_LIMIT) {
        lapis_error(p->diag, n->loc, "bodies are nested too deep");
        return false;
    }
    p->depth++;
    return true;
}

static void close_body(struct parser *p, struct lapis_node *n)
{
    n->close = p->at;
    p->depth--;
    if (take_punct(p, '}'))
        return;
    lapis_error(p->diag, here(p), "expected '}' before %s", what_is_here(p));
    lapis_note(p->diag, lapis_token_loc(p->source, &p->source->tokens[n->open]), "it closes this '{'");
}

static void parse_statements(struct parser *p, struct lapis_node *n, unsigned where)
{
    if (!open_body(p, n)) {
        recover(p);
        return;
    }
    while (!at_end(p) && !at_punct(p, '}')) {
        if (take_punct(p, ';'))
            continue;
        struct lapis_node *child = parse_statement(p, where);
        if (child)
            *HIRA_POOL_PUSH(p->pool, n->body, n->n_body) = child;
    }
    close_body(p, n);
}

static void parse_code(struct parser *p, struct lapis_node *n)
{
    n->open = p->at;
    n->has_body = true;
    struct lapis_loc loc = here(p);
    if (!skip_balanced(p)) {
        lapis_error(p->diag, loc, "this block of C has no end");
        n->code = (struct lapis_code){"", loc};
        n->close = p->at;
        return;
    }
    size_t close = p->at;
    do
        close--;
    while (close > n->open && !is_punct(p, close, '}'));
    n->close = close;
    if (close == n->open) { /* what ended it was a bracket of another kind */
        lapis_error(p->diag, loc, "this block of C has no '}'");
        n->code = (struct lapis_code){"", loc};
        n->close = p->at;
        return;
    }
    const struct lapis_token *open = &p->source->tokens[n->open], *end = &p->source->tokens[close];
    size_t from = open->offset + 1;
    n->code.text = hira_pool_strndup(p->pool, p->source->text + from, end->offset - from);
    n->code.loc = loc;
    n->code.loc.column++;
}

/* A, B, C up to a stop; a comma may end the list. */
static void parse_list(struct parser *p, struct lapis_node *n, const char *stops)
{
    while (!at_end(p) && bracket(p) >= 0 && !at_punct(p, ';')) {
        size_t first = p->at;
        skip_expression(p, stops);
        if (p->at == first) {
            lapis_error(p->diag, here(p), "expected a value, not %s", what_is_here(p));
            next(p);
            continue;
        }
        size_t second = skip_comments(p, first + 1);
        if (second < p->at && p->source->tokens[second].kind == LAPIS_T_NAME) {
            lapis_error(p->diag, lapis_token_loc(p->source, &p->source->tokens[second]), "expected ',' before '%s'",
                        token_text(p, second));
            n->broken = true;
        }
        push_argument(p, n, first, p->at);
        if (!take_punct(p, ','))
            break;
    }
}

static void parse_list_body(struct parser *p, struct lapis_node *n)
{
    if (!open_body(p, n))
        return;
    while (!at_end(p) && !at_punct(p, '}')) {
        parse_list(p, n, ",;");
        if (!take_punct(p, ';') && !at_punct(p, '}')) {
            lapis_error(p->diag, here(p), "expected ',' or '}' before %s", what_is_here(p));
            next(p);
        }
    }
    close_body(p, n);
}

/* type(T): A, B; */
static struct lapis_node *parse_keys_row(struct parser *p)
{
    struct lapis_node *n = new_node(p, LAPIS_W_KEYS);
    if (!at_name(p) || !lapis_token_is(p->source, peek(p), "type") || !is_punct(p, skip_comments(p, p->at + 1), '(')) {
        lapis_error(p->diag, here(p), "expected type(...), not %s", what_is_here(p));
        lapis_hint(p->diag, "write type(handle): KEY, ...;");
        recover(p);
        return NULL;
    }
    next(p);
    if (!parse_arguments(p, n) || n->n_args != 1) {
        lapis_error(p->diag, n->loc, "expected one type in type(...)");
        recover(p);
        return NULL;
    }
    if (!take_punct(p, ':')) {
        lapis_error(p->diag, here(p), "expected ':' before %s", what_is_here(p));
        recover(p);
        return NULL;
    }
    parse_list(p, n, ",;");
    expect_semicolon(p, n->n_args > 1 ? n->args[n->n_args - 1].text : ":");
    return finish(p, n);
}

/* member: value; */
static struct lapis_node *parse_case_row(struct parser *p)
{
    struct lapis_node *n = new_node(p, LAPIS_W_CASE);
    size_t first = p->at;
    bool named = at_name(p);
    next(p);
    if (!named || !at_punct(p, ':')) {
        lapis_error(p->diag, n->loc, "expected 'member: value;'");
        recover(p);
        return NULL;
    }
    push_argument(p, n, first, first + 1);
    next(p);
    first = p->at;
    skip_expression(p, ";");
    if (p->at == first)
        lapis_error(p->diag, here(p), "expected a value, not %s", what_is_here(p));
    push_argument(p, n, first, p->at);
    expect_semicolon(p, n->args[1].text);
    return finish(p, n);
}

static void parse_rows(struct parser *p, struct lapis_node *n, struct lapis_node *(*row)(struct parser *))
{
    if (!open_body(p, n)) {
        recover(p);
        return;
    }
    while (!at_end(p) && !at_punct(p, '}')) {
        struct lapis_node *child = row(p);
        if (child)
            *HIRA_POOL_PUSH(p->pool, n->body, n->n_body) = child;
    }
    close_body(p, n);
}

static void parse_body(struct parser *p, struct lapis_node *n)
{
    const struct lapis_grammar *g = n->grammar;
    bool braces = at_punct(p, '{');
    if ((n->word == LAPIS_W_GUEST_REPLACE || n->word == LAPIS_W_SERVER_REPLACE) && at_name(p)) {
        size_t first = p->at;
        do
            at_punct(p, '{') ? (void)skip_balanced(p) : next(p);
        while (!peek(p)->space && (at_name(p) || at_punct(p, '{')));
        push_argument(p, n, first, p->at);
        expect_semicolon(p, n->args[0].text);
        return;
    }
    if (!braces && (g->body == LAPIS_BODY_NONE || g->body == LAPIS_BODY_OPTIONAL || g->body == LAPIS_BODY_KEYS)) {
        expect_semicolon(p, n->n_args ? ")" : g->spelling);
        return;
    }
    if (!braces) {
        lapis_error(p->diag, at_end(p) ? here(p) : behind(p), "expected '{' after '%s'",
                    n->name ? n->name : g->spelling);
        lapis_hint(p->diag, "write %s", g->usage);
        recover(p);
        return;
    }
    switch (g->body) {
    case LAPIS_BODY_NONE:
        lapis_error(p->diag, here(p), "'%s' has no body", g->spelling);
        lapis_hint(p->diag, "write %s", g->usage);
        recover(p);
        break;
    case LAPIS_BODY_OPTIONAL:
    case LAPIS_BODY_STATEMENTS:
        parse_statements(p, n, g->inside);
        break;
    case LAPIS_BODY_CODE:
        parse_code(p, n);
        break;
    case LAPIS_BODY_KEYS:
        parse_rows(p, n, parse_keys_row);
        break;
    case LAPIS_BODY_CASES:
        parse_rows(p, n, parse_case_row);
        break;
    case LAPIS_BODY_LIST:
        parse_list_body(p, n);
        break;
    }
}

/* ---- statements ---- */

/* "guest replace", "async once", "not always": words that belong together. Takes the tokens; the spelling without
 * "not". */
static const char *take_words(struct parser *p, struct lapis_node *n)
{
    const char *word = token_text(p, p->at);
    size_t second = skip_comments(p, p->at + 1);
    bool two = p->source->tokens[second].kind == LAPIS_T_NAME;
    if (two && !strcmp(word, "not")) {
        n->negated = true;
        next(p);
        word = token_text(p, p->at);
        second = skip_comments(p, p->at + 1);
        two = p->source->tokens[second].kind == LAPIS_T_NAME;
    }
    bool pair = !strcmp(word, "guest") || !strcmp(word, "server") ||
                (!strcmp(word, "async") && lapis_token_is(p->source, &p->source->tokens[second], "once"));
    next(p);
    if (two && pair) {
        word = hira_pool_printf(p->pool, "%s %s", word, token_text(p, p->at));
        next(p);
    }
    return word;
}

static void report_unknown(struct parser *p, const struct lapis_node *n, const char *word, unsigned where,
                           const struct lapis_grammar *elsewhere)
{
    if (elsewhere) {
        lapis_error(p->diag, n->loc, "'%s' does not belong into %s", word, lapis_where_name(where));
        lapis_hint(p->diag, "%s stands in %s", elsewhere->usage, lapis_where_name(elsewhere->where));
        return;
    }
    const char *candidates[128];
    size_t count = 0;
    const struct lapis_grammar *g;
    for (size_t i = 0; (g = lapis_grammar_row(i)) && count < HIRA_ARRAY_SIZE(candidates); i++)
        if (g->where & where)
            candidates[count++] = g->spelling;
    const char *meant = lapis_did_you_mean(word, candidates, count);
    lapis_error(p->diag, n->loc,
                where == LAPIS_AT_FILE ? "'%s' begins no item of a specification" : "unknown annotation '%s'", word);
    if (meant)
        lapis_hint(p->diag, "did you mean '%s'?", meant);
}

/* One branch of an if: a statement or several in braces, as the body of `n`. */
static void parse_branch(struct parser *p, struct lapis_node *n)
{
    if (at_punct(p, '{')) {
        parse_statements(p, n, LAPIS_AT_IF);
        return;
    }
    struct lapis_node *child = parse_statement(p, LAPIS_AT_IF);
    if (child)
        *HIRA_POOL_PUSH(p->pool, n->body, n->n_body) = child;
}

static void parse_if(struct parser *p, struct lapis_node *n)
{
    if (p->depth >= NESTING_LIMIT) {
        lapis_error(p->diag, n->loc, "bodies are nested too deep");
        recover(p);
        return;
    }
    p->depth++;
    parse_branch(p, n);
    if (at_name(p) && lapis_token_is(p->source, peek(p), "else")) {
        struct lapis_node *other = new_node(p, LAPIS_W_IF); /* an if without condition: else */
        next(p);
        parse_branch(p, other);
        n->other = finish(p, other);
    }
    p->depth--;
}

static bool parse_head(struct parser *p, struct lapis_node *n)
{
    bool parentheses = at_punct(p, '(');
    if (n->negated && !n->grammar->negatable) {
        lapis_error(p->diag, n->loc, "'not' makes no sense before '%s'", n->grammar->spelling);
        n->negated = false;
    }
    if (parentheses && !parse_arguments(p, n))
        return false;
    return check_argument_count(p, n, parentheses);
}

static struct lapis_node *parse_setting(struct parser *p);

static struct lapis_node *parse_statement(struct parser *p, unsigned where)
{
    if (where == LAPIS_AT_API)
        return parse_setting(p);
    struct lapis_node *n = new_node(p, LAPIS_W_NONE);
    if (!at_name(p)) {
        lapis_error(p->diag, here(p), "expected an annotation, not %s", what_is_here(p));
        if (peek(p)->kind == LAPIS_T_DIRECTIVE)
            next(p);
        else
            recover(p);
        return NULL;
    }
    const struct lapis_grammar *elsewhere;
    const char *word = take_words(p, n);
    n->grammar = lapis_grammar_find(word, where, &elsewhere);
    if (!n->grammar) {
        report_unknown(p, n, word, where, elsewhere);
        recover(p);
        return NULL;
    }
    n->word = n->grammar->word;
    if (!parse_head(p, n)) {
        recover(p);
        return NULL;
    }
    if (n->word == LAPIS_W_CONSUMES && at_name(p) && lapis_token_is(p->source, peek(p), "after")) {
        n->after = true;
        next(p);
    }
    if (n->word == LAPIS_W_IF)
        parse_if(p, n);
    else
        parse_body(p, n);
    return n->broken ? NULL : finish(p, n);
}

/* ---- api { } ---- */

/* One operand of a setting: a string, <...>, or everything up to white space or a comma. */
static void take_operand(struct parser *p, struct lapis_node *n)
{
    size_t first = p->at;
    if (take_punct(p, '<')) {
        while (!at_end(p) && !at_punct(p, '>') && !at_punct(p, ';'))
            next(p);
        take_punct(p, '>');
    } else {
        do {
            next(p);
        } while (!at_end(p) && !peek(p)->space && !at_punct(p, ',') && !at_punct(p, ';') && bracket(p) >= 0);
    }
    push_argument(p, n, first, p->at);
}

static struct lapis_node *parse_setting(struct parser *p)
{
    struct lapis_node *n = new_node(p, LAPIS_W_SETTING);
    if (!at_name(p)) {
        lapis_error(p->diag, here(p), "expected a setting, not %s", what_is_here(p));
        recover(p);
        return NULL;
    }
    n->name = token_text(p, p->at);
    n->name_loc = here(p);
    next(p);
    if (!strcmp(n->name, "define") && at_name(p)) {
        size_t first = p->at;
        next(p);
        push_argument(p, n, first, first + 1);
        first = p->at;
        skip_expression(p, ";");
        if (p->at > first)
            push_argument(p, n, first, p->at);
    } else if (at_punct(p, '(')) {
        if (!parse_arguments(p, n)) {
            recover(p);
            return NULL;
        }
    }
    while (!at_end(p) && !at_punct(p, ';') && bracket(p) == 0 && !peek(p)->newlines)
        if (!take_punct(p, ','))
            take_operand(p, n);
    while (n->n_args && !at_end(p) && !at_punct(p, ';') && bracket(p) == 0 &&
           is_punct(p, n->args[n->n_args - 1].end, ','))
        if (!take_punct(p, ','))
            take_operand(p, n);
    expect_semicolon(p, n->n_args ? n->args[n->n_args - 1].text : n->name);
    return finish(p, n);
}

/* ---- items ---- */

static struct lapis_node *parse_directive(struct parser *p)
{
    struct lapis_node *n = new_node(p, LAPIS_W_DIRECTIVE);
    char *text = token_text(p, p->at);
    next(p);
    char *at = text + 1;
    at += strspn(at, " \t");
    if (strncmp(at, "include", 7)) {
        lapis_error(p->diag, n->loc, "only #include may stand in a specification");
        lapis_hint(p->diag, "macros for the header are set by: api name { define NAME value; }");
        return NULL;
    }
    at += 7;
    at += strspn(at, " \t");
    char close = *at == '<' ? '>' : *at == '"' ? '"' : 0;
    char *end = close ? strchr(at + 1, close) : NULL;
    if (!end || end == at + 1) {
        lapis_error(p->diag, n->loc, "expected <file> or \"file\" after #include");
        return NULL;
    }
    end[1] = 0;
    struct lapis_argument *arg = HIRA_POOL_PUSH(p->pool, n->args, n->n_args);
    *arg = (struct lapis_argument){.text = at, .loc = n->loc, .first = n->first, .end = n->first + 1};
    arg->loc.column += (unsigned)(at - text);
    return finish(p, n);
}

static struct lapis_node *parse_include(struct parser *p, struct lapis_node *n)
{
    if (peek(p)->kind != LAPIS_T_STRING) {
        lapis_error(p->diag, here(p), "expected the name of a .lapis file in quotes, not %s", what_is_here(p));
        recover(p);
        return NULL;
    }
    push_argument(p, n, p->at, p->at + 1);
    next(p);
    expect_semicolon(p, "include");
    return finish(p, n);
}

/* shared, guest, server: code between braces, or the name of the file that it stands in. */
static struct lapis_node *parse_side(struct parser *p, struct lapis_node *n)
{
    if (peek(p)->kind != LAPIS_T_STRING) {
        parse_body(p, n);
        return finish(p, n);
    }
    push_argument(p, n, p->at, p->at + 1);
    next(p);
    expect_semicolon(p, n->args[0].text);
    return finish(p, n);
}

/* `api` and `function`: a name, then the body. */
static struct lapis_node *parse_named(struct parser *p, struct lapis_node *n)
{
    if (!at_name(p)) {
        lapis_error(p->diag, here(p), "expected a name after '%s', not %s", n->grammar->spelling, what_is_here(p));
        lapis_hint(p->diag, "write %s", n->grammar->usage);
        recover(p);
        return NULL;
    }
    n->name = token_text(p, p->at);
    n->name_loc = here(p);
    next(p);
    parse_body(p, n);
    return finish(p, n);
}

/* A parameter's name: what follows "(*", else the last identifier outside brackets that is not the only word. */
static void name_parameter(struct parser *p, struct lapis_param *param)
{
    size_t words = 0, last = 0;
    int depth = 0;
    for (size_t i = param->first; i < param->end; i++) {
        const struct lapis_token *t = &p->source->tokens[i];
        char c = p->source->text[t->offset];
        if (t->kind == LAPIS_T_NAME && (depth == 0 || (depth == 1 && is_punct(p, i - 1, '*')))) {
            last = i;
            words++;
            if (depth)
                break;
        }
        if (t->kind == LAPIS_T_PUNCT)
            depth += (c == '(' || c == '[') - (c == ')' || c == ']');
    }
    static const char *const types[] = {"void",  "int",    "char",     "short",  "long",
                                        "float", "double", "unsigned", "signed", "const"};
    char *name = words > 1 ? token_text(p, last) : NULL;
    for (size_t i = 0; name && i < HIRA_ARRAY_SIZE(types); i++)
        if (!strcmp(name, types[i]))
            name = NULL;
    param->name = name;
    param->name_loc = name ? lapis_token_loc(p->source, &p->source->tokens[last]) : param->loc;
}

static bool parse_params(struct parser *p, struct lapis_node *n)
{
    struct lapis_node list = {0};
    if (!parse_arguments(p, n)) /* words of the grammar do not matter: only commas do */
        return false;
    list.args = n->args;
    list.n_args = n->n_args;
    n->args = NULL;
    n->n_args = 0;
    if (list.n_args == 1 && !strcmp(list.args[0].text, "void"))
        return true;
    for (size_t i = 0; i < list.n_args; i++) {
        struct lapis_param *param = HIRA_POOL_PUSH(p->pool, n->params, n->n_params);
        *param = (struct lapis_param){
            .text = list.args[i].text, .loc = list.args[i].loc, .first = list.args[i].first, .end = list.args[i].end};
        name_parameter(p, param);
    }
    return true;
}

/* Whether a prototype stands here: words and stars, a name, an opening parenthesis, all before any other punctuation.
 */
static bool looks_like_prototype(const struct parser *p, size_t *ret_name)
{
    size_t words = 0, last = 0;
    for (size_t i = p->at; p->source->tokens[i].kind != LAPIS_T_END; i = skip_comments(p, i + 1)) {
        if (p->source->tokens[i].kind == LAPIS_T_NAME) {
            words++;
            last = i;
            continue;
        }
        if (is_punct(p, i, '*'))
            continue;
        *ret_name = last;
        return is_punct(p, i, '(') && words > 1;
    }
    return false;
}

static struct lapis_node *parse_prototype(struct parser *p, struct lapis_node *n, size_t name)
{
    n->word = LAPIS_W_PROTOTYPE;
    const struct lapis_token *first = peek(p);
    n->text_loc = here(p);
    n->name = token_text(p, name);
    n->name_loc = lapis_token_loc(p->source, &p->source->tokens[name]);
    while (!at_punct(p, '('))
        next(p);
    if (!parse_params(p, n)) {
        recover(p);
        return NULL;
    }
    size_t last = p->at;
    while (!is_punct(p, --last, ')') && last > n->first)
        ;
    const struct lapis_token *end = &p->source->tokens[last];
    n->text = hira_pool_strndup(p->pool, p->source->text + first->offset, end->offset + end->length - first->offset);
    if (at_punct(p, '{'))
        parse_statements(p, n, LAPIS_AT_FUNCTION);
    else
        expect_semicolon(p, n->text);
    return finish(p, n);
}

static struct lapis_node *parse_declared(struct parser *p, struct lapis_node *n)
{
    size_t name;
    n->declaration = !strcmp(n->grammar->spelling, "internal") ? LAPIS_INTERNAL : LAPIS_EXPORTED;
    if (looks_like_prototype(p, &name))
        return parse_prototype(p, n, name);
    lapis_error(p->diag, here(p), "expected a prototype after '%s', not %s", n->grammar->spelling, what_is_here(p));
    lapis_hint(p->diag, "write %s", n->grammar->usage);
    recover(p);
    return NULL;
}

static struct lapis_node *parse_item(struct parser *p)
{
    if (peek(p)->kind == LAPIS_T_DIRECTIVE)
        return parse_directive(p);
    struct lapis_node *n = new_node(p, LAPIS_W_NONE);
    size_t start = p->at, name;
    if (!at_name(p)) {
        lapis_error(p->diag, here(p), "expected an item of a specification, not %s", what_is_here(p));
        if (!take_punct(p, '}'))
            recover(p);
        return NULL;
    }
    const struct lapis_grammar *elsewhere;
    const char *word = token_text(p, p->at);
    n->grammar = lapis_grammar_find(word, LAPIS_AT_FILE, &elsewhere);
    if (!n->grammar && looks_like_prototype(p, &name))
        return parse_prototype(p, n, name);
    if (!n->grammar) {
        report_unknown(p, n, word, LAPIS_AT_FILE, elsewhere);
        p->at = start;
        recover(p);
        return NULL;
    }
    n->word = n->grammar->word;
    next(p);
    if (n->word == LAPIS_W_INCLUDE)
        return parse_include(p, n);
    if (n->word == LAPIS_W_API || n->word == LAPIS_W_FUNCTION)
        return parse_named(p, n);
    if (n->word == LAPIS_W_PROTOTYPE)
        return parse_declared(p, n);
    if (n->word == LAPIS_W_SHARED_CODE || n->word == LAPIS_W_GUEST_CODE || n->word == LAPIS_W_SERVER_CODE)
        return parse_side(p, n);
    if (!parse_head(p, n)) {
        recover(p);
        return NULL;
    }
    parse_body(p, n);
    return n->broken ? NULL : finish(p, n);
}

struct lapis_file *lapis_parse(struct hira_pool *pool, const struct lapis_source *source, struct lapis_diag *diag)
{
    struct lapis_file *file = hira_pool_alloc(pool, sizeof *file);
    struct parser p = {.pool = pool, .diag = diag, .source = source};
    p.at = skip_comments(&p, 0);
    file->source = source;
    while (!at_end(&p)) {
        if (take_punct(&p, ';'))
            continue;
        struct lapis_node *item = parse_item(&p);
        if (item)
            *HIRA_POOL_PUSH(pool, file->items, file->n_items) = item;
    }
    return file;
}

const char *lapis_unquote(struct hira_pool *pool, const char *literal)
{
    size_t length = strlen(literal);
    if (length < 2 || literal[0] != '"' || literal[length - 1] != '"')
        return NULL;
    char *text = hira_pool_alloc(pool, length), *to = text;
    for (size_t i = 1; i + 1 < length; i++) {
        if (literal[i] == '\\' && i + 2 < length)
            i++;
        *to++ = literal[i];
    }
    return text;
}
