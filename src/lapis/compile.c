/*
 * The order of the passes, and the reading of files: a specification is itself and all it includes, each once, an
 * included file's items standing where its include stood.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include "lapis/compile.h"

#include <string.h>
#include <sys/stat.h>

#include "lapis/front.h"
#include "lapis/import.h"
#include "lapis/infer.h"

#define INCLUDE_LIMIT 256 /* files of one specification */

struct reader {
    struct lapis_front *front;
    struct {
        dev_t device;
        ino_t inode;
    } seen[INCLUDE_LIMIT];
    size_t n_seen;
};

/* Whether the file is new; remembers it by identity, so that two spellings of a path are one file. */
static bool first_time(struct reader *reader, const char *path)
{
    struct stat st;
    if (stat(path, &st) < 0)
        return true; /* reading it says why */
    for (size_t i = 0; i < reader->n_seen; i++)
        if (reader->seen[i].device == st.st_dev && reader->seen[i].inode == st.st_ino)
            return false;
    if (reader->n_seen == INCLUDE_LIMIT)
        return false;
    reader->seen[reader->n_seen].device = st.st_dev;
    reader->seen[reader->n_seen++].inode = st.st_ino;
    return true;
}

static const char *beside(struct hira_pool *pool, const char *file, const char *name)
{
    const char *slash = strrchr(file, '/');
    if (name[0] == '/' || !slash)
        return name;
    return hira_pool_printf(pool, "%.*s%s", (int)(slash - file) + 1, file, name);
}

static bool is_code(const struct lapis_node *item)
{
    return item->word == LAPIS_W_SHARED_CODE || item->word == LAPIS_W_GUEST_CODE || item->word == LAPIS_W_SERVER_CODE;
}

/* guest "file.c"; and the like: the file's contents are the item's code, once however often it is named. */
static bool read_code(struct reader *reader, struct lapis_node *item, const char *path)
{
    struct hira_text text = {0};
    int error;
    if (!first_time(reader, path))
        return false;
    error = hira_text_read_file(&text, path, LAPIS_SOURCE_LIMIT);
    if (error < 0)
        lapis_error(reader->front->diag, item->args[0].loc, "cannot read '%s': %s", path, strerror(-error));
    else if (memchr(text.data, 0, text.size))
        lapis_error(reader->front->diag, item->args[0].loc, "'%s' is no text", path);
    else
        item->code = (struct lapis_code){hira_pool_strndup(reader->front->pool, text.data, text.size), {path, 1, 1}};
    hira_text_fini(&text);
    return item->code.text != NULL;
}

static bool read_file(struct reader *reader, const char *path, struct lapis_loc from)
{
    struct lapis_front *front = reader->front;
    if (!first_time(reader, path))
        return true;
    struct lapis_source *source = lapis_lex_file(front->pool, path, from, front->diag);
    if (!source)
        return false;
    struct lapis_file *file = lapis_parse(front->pool, source, front->diag);
    for (size_t i = 0; i < file->n_items; i++) {
        struct lapis_node *item = file->items[i];
        const char *code = is_code(item) && item->n_args ? lapis_unquote(front->pool, item->args[0].text) : NULL;
        if (code && !read_code(reader, item, beside(front->pool, path, code)))
            continue;
        if (item->word != LAPIS_W_INCLUDE) {
            *HIRA_POOL_PUSH(front->pool, front->items, front->n_items) = item;
            continue;
        }
        const char *name = item->n_args ? lapis_unquote(front->pool, item->args[0].text) : NULL;
        if (name)
            read_file(reader, beside(front->pool, path, name), item->args[0].loc);
    }
    return true;
}

/* "dir/opencl.lapis" -> "opencl" */
static const char *name_of_file(struct hira_pool *pool, const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *base = slash ? slash + 1 : path;
    return hira_pool_strndup(pool, base, strcspn(base, "."));
}

static void add_options(struct lapis_model *model, const struct lapis_options *options, bool dirs)
{
    for (size_t i = 0; options && dirs && i < options->n_include_dirs; i++)
        *HIRA_POOL_PUSH(model->pool, model->include_dirs, model->n_include_dirs) =
            hira_pool_strdup(model->pool, options->include_dirs[i]);
    for (size_t i = 0; options && !dirs && i < options->n_defines; i++)
        *HIRA_POOL_PUSH(model->pool, model->defines, model->n_defines) =
            hira_pool_strdup(model->pool, options->defines[i]);
}

struct lapis_model *lapis_compile(const char *path, const struct lapis_options *options, struct lapis_diag *diag)
{
    struct hira_pool *pool = hira_pool_create();
    struct lapis_model *model = hira_pool_alloc(pool, sizeof *model);
    struct lapis_front front = {.pool = pool, .diag = diag, .model = model};
    struct reader reader = {.front = &front};
    model->pool = pool;
    model->spec_file = hira_pool_strdup(pool, path);
    model->name = name_of_file(pool, path);
    if (!read_file(&reader, model->spec_file, (struct lapis_loc){0})) {
        hira_pool_destroy(pool);
        return NULL;
    }
    size_t syntax_errors = lapis_diag_errors(diag);
    lapis_check_bodies(&front);
    add_options(model, options, true);
    lapis_declare(&front);
    add_options(model, options, false);
    front.imported = lapis_import(model, diag) == 0;
    if (!front.imported && !model->n_functions)
        return model;
    lapis_omit(&front);
    lapis_tables(&front);
    lapis_infer(model, diag);
    lapis_resolve(&front);
    if (!syntax_errors) { /* what a slip kept from being read is not missing */
        lapis_check(&front);
        lapis_replay(&front);
    }
    return model;
}
