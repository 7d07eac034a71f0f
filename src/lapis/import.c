/*
 * Header import. One translation unit is made in memory: an #include for each header, one for the dispatch table's
 * header, and behind them, under #line directives, the declarations that the specification itself contains. So an error
 * in any of them is reported by clang at the place where a person can mend it.
 *
 * What belongs to the API is decided by file: a header that the specification names belongs, and so does what it
 * includes from beside itself (CL/cl_platform.h of CL/cl.h) or by quotes ("zconf.h" of zlib.h); <stdint.h> and its like
 * do not.
 *
 * A PROTOTYPE declaration is parsed under another name: its own is a macro for the time of one line, which keeps every
 * column.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include "lapis/import.h"

#include <errno.h>
#include <string.h>

#include "base/text.h"
#include "lapis/import_private.h"

#define UNIT_NAME "hira-headers.c" /* never on disk */
#define PROTOTYPE_PREFIX "hira_prototype_"

/* ---- strings and places ---- */

const char *import_string(struct import *import, CXString string)
{
    const char *s = clang_getCString(string);
    const char *copy = s && *s ? hira_pool_strdup(import->pool, s) : NULL;
    clang_disposeString(string);
    return copy;
}

struct lapis_loc import_loc(struct import *import, CXSourceLocation location)
{
    struct lapis_loc loc = {0};
    CXString name;
    clang_getPresumedLocation(location, &name, &loc.line, &loc.column);
    const char *s = clang_getCString(name);
    if (s && *s) {
        if (!import->last_name || strcmp(import->last_name, s))
            import->last_name = hira_pool_strdup(import->pool, s);
        loc.file = import->last_name;
    }
    clang_disposeString(name);
    return loc;
}

static struct import_file *file_by_handle(struct import *import, CXFile file)
{
    for (size_t i = 0; file && i < import->n_files; i++)
        if (clang_File_isEqual(import->files[i].file, file))
            return &import->files[i];
    return NULL;
}

struct import_file *import_file_of(struct import *import, CXSourceLocation location, unsigned *ret_offset)
{
    CXFile file;
    unsigned offset;
    /* Where a macro is expanded, not where it was written: the prototype stands there (a macro-made name, too). */
    clang_getExpansionLocation(location, &file, NULL, NULL, &offset);
    if (ret_offset)
        *ret_offset = offset;
    return file_by_handle(import, file);
}

/* ---- the text of the unit ---- */

static void put_line(struct hira_text *text, struct lapis_loc loc)
{
    if (loc.line) {
        hira_text_printf(text, "#line %u \"", loc.line);
        for (const char *s = loc.file ? loc.file : ""; *s; s++) {
            if (*s == '"' || *s == '\\')
                hira_text_puts(text, "\\");
            hira_text_append(text, s, 1);
        }
        hira_text_puts(text, "\"\n");
    }
}

static void put_declaration(struct hira_text *text, const struct lapis_declaration *d, size_t index)
{
    bool masked = d->kind == LAPIS_PROTOTYPE;
    if (masked)
        hira_text_printf(text, "#pragma push_macro(\"%s\")\n#undef %s\n#define %s " PROTOTYPE_PREFIX "%zu\n", d->name,
                         d->name, d->name, index);
    put_line(text, d->loc);
    /* The text may begin in the middle of its line: the same column again makes clang's columns the spec's. */
    hira_text_printf(text, "%*s%s;\n", d->loc.column > 1 ? (int)d->loc.column - 1 : 0, "", d->text);
    if (masked)
        hira_text_printf(text, "#pragma pop_macro(\"%s\")\n", d->name);
}

/* The first n_includes lines are the includes, the next (if there is a table) is its header's: file_edges counts on it.
 */
static void put_unit(struct hira_text *text, const struct lapis_model *model)
{
    for (size_t i = 0; i < model->n_includes; i++)
        hira_text_printf(text, "#include %s\n", model->includes[i]);
    if (model->dispatch && model->dispatch->header)
        hira_text_printf(text, "#include %s%s%s\n", strchr("<\"", model->dispatch->header[0]) ? "" : "<",
                         model->dispatch->header, strchr("<\"", model->dispatch->header[0]) ? "" : ">");
    for (size_t i = 0; i < model->n_declarations; i++)
        put_declaration(text, &model->declarations[i], i);
}

static const char **unit_arguments(struct import *import, size_t *n)
{
    struct lapis_model *model = import->model;
    const char **arguments = NULL;
    const char *fixed[] = {"-xc", "-std=gnu17", "-w", "-ferror-limit=0"};
    *n = 0;
    for (size_t i = 0; i < HIRA_ARRAY_SIZE(fixed); i++)
        *HIRA_POOL_PUSH(import->pool, arguments, *n) = fixed[i];
    for (size_t i = 0; i < model->n_include_dirs; i++)
        *HIRA_POOL_PUSH(import->pool, arguments, *n) = hira_pool_printf(import->pool, "-I%s", model->include_dirs[i]);
    for (size_t i = 0; i < model->n_defines; i++)
        *HIRA_POOL_PUSH(import->pool, arguments, *n) = hira_pool_printf(import->pool, "-D%s", model->defines[i]);
    return arguments;
}

/* ---- what clang had to say ---- */

static void report_missing(struct import *import, const char *message)
{
    const char *open = strchr(message, '\''), *close = open ? strchr(open + 1, '\'') : NULL;
    int length = close ? (int)(close - open - 1) : (int)strlen(message);
    size_t n = import->model->n_include_dirs;
    const char *where = n == 0   ? "the system's folders, and no -I or header_path names others"
                        : n == 1 ? "the folder that -I or header_path names, nor in the system's"
                                 : hira_pool_printf(import->pool, "the %zu folders that -I or header_path name, nor in the system's", n);
    lapis_error(import->diag, (struct lapis_loc){.file = import->model->spec_file}, "the header %.*s is not found in %s", length,
                close ? open + 1 : message, where);
}

static int report(struct import *import)
{
    int rc = 0;
    for (unsigned i = 0; i < clang_getNumDiagnostics(import->unit); i++) {
        CXDiagnostic d = clang_getDiagnostic(import->unit, i);
        if (clang_getDiagnosticSeverity(d) >= CXDiagnostic_Error) {
            struct lapis_loc loc = import_loc(import, clang_getDiagnosticLocation(d));
            const char *message = import_string(import, clang_getDiagnosticSpelling(d));
            if (message && loc.file && !strcmp(loc.file, UNIT_NAME) && strstr(message, "file not found"))
                report_missing(import, message);
            else if (loc.file && !strcmp(loc.file, UNIT_NAME)) /* what the header has begun and not ended */
                lapis_error(import->diag, (struct lapis_loc){.file = import->model->spec_file}, "behind the end of the headers: %s",
                            message ? message : "clang cannot read on");
            else
                lapis_error(import->diag, loc, "%s", message ? message : "clang cannot read this");
            rc = -EINVAL;
        }
        clang_disposeDiagnostic(d);
    }
    return rc;
}

/* ---- which files belong ---- */

struct edge {
    CXFile from, to;
    unsigned line; /* in `from` */
    bool quoted;
};

struct edges {
    struct import *import;
    struct edge *items;
    size_t n;
};

static bool quoted_at(struct import *import, CXFile file, unsigned offset)
{
    size_t size;
    const char *text = clang_getFileContents(import->unit, file, &size);
    while (text && offset < size && text[offset] != '\n' && text[offset] != '<' && text[offset] != '"')
        offset++;
    return text && offset < size && text[offset] == '"';
}

static enum CXChildVisitResult collect_edge(CXCursor cursor, CXCursor parent, CXClientData data)
{
    struct edges *edges = data;
    (void)parent;
    if (clang_getCursorKind(cursor) == CXCursor_InclusionDirective) {
        struct edge edge = {.to = clang_getIncludedFile(cursor)};
        unsigned offset;
        clang_getExpansionLocation(clang_getCursorLocation(cursor), &edge.from, &edge.line, NULL, &offset);
        if (edge.to && edge.from) {
            edge.quoted = quoted_at(edges->import, edge.from, offset);
            *HIRA_POOL_PUSH(edges->import->pool, edges->items, edges->n) = edge;
        }
    }
    return CXChildVisit_Continue;
}

static struct import_file *add_file(struct import *import, CXFile file, const char *header)
{
    struct import_file *known = file_by_handle(import, file);
    if (known)
        return NULL;
    struct import_file *added = HIRA_POOL_PUSH(import->pool, import->files, import->n_files);
    added->file = file;
    added->name = import_string(import, clang_getFileName(file));
    added->header = header;
    added->text = clang_getFileContents(import->unit, file, &added->size);
    return added;
}

static const char *bare_header(struct import *import, const char *include)
{
    size_t n = strlen(include);
    return n >= 2 && strchr("<\"", include[0]) ? hira_pool_strndup(import->pool, include + 1, n - 2) : include;
}

/* Below the folder of its includer, where that folder is the API's own: "CL/" of <CL/cl.h>, not "/usr/include/" of
 * <zlib.h>. */
static bool lives_beside(const struct import_file *includer, const char *path)
{
    if (!strchr(includer->header, '/') || !includer->name)
        return false;
    const char *slash = strrchr(includer->name, '/');
    return slash && path && !strncmp(path, includer->name, (size_t)(slash - includer->name) + 1);
}

static bool spread(struct import *import, const struct edge *edge)
{
    struct import_file *from = file_by_handle(import, edge->from);
    if (!from || !from->header || file_by_handle(import, edge->to))
        return false;
    const char *path = import_string(import, clang_getFileName(edge->to));
    return (edge->quoted || lives_beside(from, path)) && add_file(import, edge->to, from->header);
}

static void find_files(struct import *import)
{
    struct edges edges = {.import = import};
    CXFile main_file = clang_getFile(import->unit, UNIT_NAME);
    clang_visitChildren(clang_getTranslationUnitCursor(import->unit), collect_edge, &edges);
    for (size_t i = 0; i < edges.n; i++)
        if (clang_File_isEqual(edges.items[i].from, main_file) && edges.items[i].line <= import->model->n_includes)
            add_file(import, edges.items[i].to, bare_header(import, import->model->includes[edges.items[i].line - 1]));
    for (bool more = true; more;) {
        more = false;
        for (size_t i = 0; i < edges.n; i++)
            more |= spread(import, &edges.items[i]);
    }
}

/* ---- functions ---- */

/* "size_t origin[3]" is a pointer; its ctype keeps the 3 as `length`. */
static struct lapis_ctype *adjusted(struct import *import, struct lapis_ctype *type)
{
    if (type->kind != LAPIS_ARRAY)
        return type;
    struct lapis_ctype *pointer = hira_pool_copy(import->pool, type, sizeof(*type));
    pointer->kind = LAPIS_POINTER;
    pointer->spelling =
        lapis_ctype_declare(import->pool, type->pointee, type->pointee->kind == LAPIS_ARRAY ? "(*)" : "*");
    pointer->name = pointer->canonical = pointer->spelling;
    pointer->size = pointer->align = sizeof(void *);
    pointer->is_const = false;
    return pointer;
}

static void add_parameter(struct import *import, struct lapis_function *function, CXCursor cursor, size_t index)
{
    struct lapis_value *value = HIRA_POOL_PUSH(import->pool, function->params, function->n_params);
    const char *name = import_string(import, clang_getCursorSpelling(cursor));
    if (!name)
        name = hira_pool_printf(import->pool, "arg%zu", index);
    lapis_value_init(import->pool, value, name,
                     adjusted(import, import_type(import, clang_getCursorType(cursor), cursor)));
    value->loc = import_loc(import, clang_getCursorLocation(cursor));
}

static struct lapis_function *make_function(struct import *import, CXCursor cursor, const char *name)
{
    struct lapis_function *function = hira_pool_alloc(import->pool, sizeof(*function));
    function->name = name;
    function->loc = import_loc(import, clang_getCursorLocation(cursor));
    function->exported = true;
    function->variadic = clang_Cursor_isVariadic(cursor);
    lapis_value_init(import->pool, &function->ret, "ret",
                     import_type(import, clang_getCursorResultType(cursor), clang_getNullCursor()));
    function->ret.direction = LAPIS_OUT;
    function->ret.loc = function->loc;
    int n = clang_Cursor_getNumArguments(cursor);
    for (int i = 0; i < n; i++)
        add_parameter(import, function, clang_Cursor_getArgument(cursor, (unsigned)i), (size_t)i);
    return function;
}

static struct lapis_function *add_function(struct import *import, CXCursor cursor, const char *name)
{
    struct lapis_model *model = import->model;
    struct lapis_function *function = make_function(import, cursor, name);
    function->index = (unsigned)model->n_functions;
    *HIRA_POOL_PUSH(import->pool, model->functions, model->n_functions) = function;
    return function;
}

/* A declaration of the spec, found by its name (or stand-in name) in the main file. */
static void import_declared(struct import *import, CXCursor cursor, const char *name)
{
    struct lapis_model *model = import->model;
    size_t prefix = strlen(PROTOTYPE_PREFIX);
    if (!strncmp(name, PROTOTYPE_PREFIX, prefix)) {
        size_t i = strtoul(name + prefix, NULL, 10);
        if (i < model->n_declarations)
            model->declarations[i].function = make_function(import, cursor, model->declarations[i].name);
        return;
    }
    for (size_t i = 0; i < model->n_declarations; i++) {
        struct lapis_declaration *d = &model->declarations[i];
        if (d->kind == LAPIS_PROTOTYPE || d->function || strcmp(d->name, name))
            continue;
        d->function = lapis_model_function(model, name);
        if (!d->function)
            d->function = add_function(import, cursor, name);
        d->function->internal = d->kind == LAPIS_INTERNAL;
        d->function->exported = d->kind == LAPIS_EXPORTED;
    }
}

/* static and inline functions have no symbol: the application compiles them into itself. */
static bool has_symbol(CXCursor cursor)
{
    return clang_Cursor_getStorageClass(cursor) != CX_SC_Static && !clang_Cursor_isFunctionInlined(cursor) &&
           !clang_isCursorDefinition(cursor);
}

static void import_function(struct import *import, CXCursor cursor)
{
    const char *name = import_string(import, clang_getCursorSpelling(cursor));
    CXSourceLocation location = clang_getCursorLocation(cursor);
    struct import_file *file = import_file_of(import, location, NULL);
    if (!name || !has_symbol(cursor))
        return;
    if (file && file->header && !lapis_model_function(import->model, name)) {
        struct lapis_function *function = add_function(import, cursor, name);
        function->header = file->header;
        import_docs(import, function, cursor);
    } else if (!file) {
        CXFile where;
        clang_getExpansionLocation(location, &where, NULL, NULL, NULL);
        if (where && clang_File_isEqual(where, clang_getFile(import->unit, UNIT_NAME)))
            import_declared(import, cursor, name);
    }
}

/* ---- the dispatch table ---- */

static enum CXVisitorResult add_slot(CXCursor cursor, CXClientData data)
{
    struct import *import = data;
    struct lapis_table *table = import->model->dispatch;
    const char *name = import_string(import, clang_getCursorSpelling(cursor));
    *HIRA_POOL_PUSH(import->pool, table->slots, table->n_slots) = name ? name : "";
    return CXVisit_Continue;
}

static void import_table(struct import *import, CXCursor cursor)
{
    struct lapis_table *table = import->model->dispatch;
    if (!table || table->n_slots || !table->name)
        return;
    CXString spelling = clang_getCursorSpelling(cursor);
    const char *name = clang_getCString(spelling);
    if (name && !strcmp(name, table->name))
        clang_Type_visitFields(clang_getCanonicalType(clang_getCursorType(cursor)), add_slot, import);
    clang_disposeString(spelling);
}

/* ---- names, for finding misspellings ---- */

static void add_name(struct import *import, CXCursor cursor)
{
    const char *name = import_string(import, clang_getCursorSpelling(cursor));
    if (name && !strchr(name, '(')) /* "struct (unnamed at ...)" */
        *HIRA_POOL_PUSH(import->pool, import->model->names, import->model->n_names) = name;
}

static enum CXChildVisitResult add_enumerator(CXCursor cursor, CXCursor parent, CXClientData data)
{
    (void)parent;
    if (clang_getCursorKind(cursor) == CXCursor_EnumConstantDecl)
        add_name(data, cursor);
    return CXChildVisit_Continue;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void sort_names(struct lapis_model *model)
{
    size_t n = 0;
    if (model->n_names)
        qsort(model->names, model->n_names, sizeof(model->names[0]), by_name);
    for (size_t i = 0; i < model->n_names; i++)
        if (!n || strcmp(model->names[n - 1], model->names[i]))
            model->names[n++] = model->names[i];
    model->n_names = n;
}

/* ---- the walk ---- */

static enum CXChildVisitResult visit(CXCursor cursor, CXCursor parent, CXClientData data)
{
    struct import *import = data;
    (void)parent;
    switch (clang_getCursorKind(cursor)) {
    case CXCursor_LinkageSpec:
        return CXChildVisit_Recurse;
    case CXCursor_FunctionDecl:
        import_function(import, cursor);
        break;
    case CXCursor_TypedefDecl:
        if (import_file_of(import, clang_getCursorLocation(cursor), NULL))
            import_typedef(import, cursor);
        import_table(import, cursor);
        break;
    case CXCursor_StructDecl:
        import_table(import, cursor);
        break;
    case CXCursor_EnumDecl:
        clang_visitChildren(cursor, add_enumerator, import);
        if (import_file_of(import, clang_getCursorLocation(cursor), NULL))
            import_enumeration(import, cursor);
        break;
    case CXCursor_MacroDefinition:
    case CXCursor_VarDecl:
    case CXCursor_UnionDecl:
        break;
    default:
        return CXChildVisit_Continue; /* an #include, a macro's use: no name of its own */
    }
    add_name(import, cursor);
    return CXChildVisit_Continue;
}

static int parse(struct import *import, CXIndex index, const struct hira_text *text)
{
    size_t n;
    const char **arguments = unit_arguments(import, &n);
    struct CXUnsavedFile unsaved = {UNIT_NAME, text->data ? text->data : "", text->size};
    enum CXErrorCode code =
        clang_parseTranslationUnit2(index, UNIT_NAME, arguments, (int)n, &unsaved, 1,
                                    CXTranslationUnit_SkipFunctionBodies | CXTranslationUnit_KeepGoing |
                                        CXTranslationUnit_DetailedPreprocessingRecord,
                                    &import->unit);
    if (code == CXError_Success)
        return 0;
    lapis_error(import->diag, (struct lapis_loc){.file = import->model->spec_file},
                "libclang cannot parse the headers (its error code is %d)", (int)code);
    return -EINVAL;
}

static void check_table(struct import *import)
{
    struct lapis_table *table = import->model->dispatch;
    if (table && !table->n_slots)
        lapis_error(import->diag, (struct lapis_loc){.file = import->model->spec_file},
                    "%s declares no struct %s with members to be the dispatch table",
                    table->header ? table->header : "no header", table->name ? table->name : "");
}

int lapis_import(struct lapis_model *model, struct lapis_diag *diag)
{
    struct import import = {.model = model, .pool = model->pool, .diag = diag};
    struct hira_text text = {0};
    size_t errors = lapis_diag_errors(diag);
    put_unit(&text, model);
    CXIndex index = clang_createIndex(0, 0);
    int rc = text.failed ? -ENOMEM : parse(&import, index, &text);
    if (!rc) {
        rc = report(&import);
        find_files(&import);
        import_docs_style(&import);
        import_declared_handles(&import);
        clang_visitChildren(clang_getTranslationUnitCursor(import.unit), visit, &import);
        check_table(&import);
        sort_names(model);
        for (size_t i = 0; i < import.n_files; i++)
            if (import.files[i].header && import.files[i].text)
                import_constants(&import, &import.files[i]);
        import_constants_fini(&import);
        import_types_fini(&import);
        clang_disposeTranslationUnit(import.unit);
    }
    clang_disposeIndex(index);
    hira_text_fini(&text);
    return rc ? rc : lapis_diag_errors(diag) > errors ? -EINVAL : 0;
}
