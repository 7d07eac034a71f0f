/*
 * What it takes to make objects anew, in the API server: to what each call belongs, and the spec's code for contents.
 * Who records and makes anew finds both through the server's tables; see src/server/server.h.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include <string.h>

#include "emit/private.h"

/* Before the spec's code may change what the parameters are. What a call makes, hira_made tells. */
void emit_belongs(struct emit *e, const struct lapis_function *f)
{
    const struct lapis_recording *r = &f->recorded;
    struct hira_text keys = {0};
    if (r->of != LAPIS_RECORDED_OBJECT && r->of != LAPIS_RECORDED_ALL)
        return;
    for (size_t i = 0; i < r->n_keys; i++)
        hira_text_printf(&keys, "%s(uint64_t)(%s)", i ? ", " : "", emit_guarded(e, r->keys[i].text));
    const char *object = "0, NULL";
    for (size_t i = 0; r->of == LAPIS_RECORDED_OBJECT && i < f->n_params; i++)
        if (f->params[i].name && !strcmp(f->params[i].name, r->object))
            object = emit_format(e, "%s, (void *)(uintptr_t)%s", emit_type_id(e, f->params[i].handle), r->object);
    emit_line(e, "if (hira_unlikely(s->belongs != NULL)) *s->belongs = (struct hira_belongs){%s, %zu, {%s}};", object,
              r->n_keys, keys.size ? keys.data : "0");
    hira_text_fini(&keys);
}

const char *emit_recorded(const struct lapis_function *f)
{
    static const char *const flags[] = {
        [LAPIS_RECORDED_NOT] = "0",
        [LAPIS_RECORDED_MADE] = "HIRA_RECORDED_MADE",
        [LAPIS_RECORDED_OBJECT] = "HIRA_RECORDED_BELONGS",
        [LAPIS_RECORDED_ALL] = "HIRA_RECORDED_BELONGS",
    };
    return emit_carried(f) ? flags[f->recorded.of] : "0";
}

static void emit_contents_function(struct emit *e, const struct lapis_handle *h, const char *head)
{
    emit_line(e, "static %s\n{", head);
    emit_line(e, "    HIRA_UNUSED %s = (%s)(uintptr_t)handle_;", lapis_ctype_declare(e->pool, h->ctype, "handle"),
              emit_type(e, h->ctype));
}

static void emit_copy(struct emit *e, const struct lapis_handle *h, const char *verb, const char *data,
                      const struct lapis_code *code)
{
    emit_contents_function(
        e, h,
        emit_format(e, "bool %s_%s(void *handle_, HIRA_UNUSED %s, HIRA_UNUSED uint64_t size)", verb, h->name, data));
    emit_code(e, code);
    emit_line(e, "}\n");
}

const char *emit_contents(struct emit *e, const struct lapis_handle *h)
{
    if (!h->contents)
        return "NULL";
    emit_contents_function(e, h, emit_format(e, "uint64_t size_%s(void *handle_)", h->name));
    emit_line(e, "    return (uint64_t)(%s);\n}\n", h->contents);
    emit_copy(e, h, "save", "void *data", &h->save);
    emit_copy(e, h, "restore", "const void *data", &h->restore);
    emit_line(e, "static const struct hira_contents contents_%s = {size_%s, save_%s, restore_%s};\n", h->name, h->name,
              h->name, h->name);
    return emit_format(e, "&contents_%s", h->name);
}
