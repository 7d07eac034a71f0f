/*
 * isapop report: everything in one HTML file that loads nothing. The page (report.html) is a part of the program; what
 * it shows goes into it as JSON, and a script in it draws.
 *
 * With --installed the installed packages are scanned first, so that one command does the study again.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <jansson.h>

#include "cmd.h"
#include "family.h"
#include "plan.h"
#include "published.h"

#include "report_template.h"

#define DATA_MARK "@DATA@"

static double percent(double share)
{
    return (double)(long long)(share * 1e6 + 0.5) / 1e4;
}

static json_t *curves(const struct model *m)
{
    HIRA_AUTOFREE uint32_t *order = model_by_share(m), *weighted = model_by_importance(m);
    HIRA_AUTOFREE double *wc = model_curve(m, order);
    json_t *share = json_array(), *importance = json_array(), *completeness = json_array();
    json_array_append_new(completeness, json_real(percent(wc[0])));
    for (size_t i = 0; i < m->n_units && m->units[order[i]].packages; i++) {
        json_array_append_new(share, json_real(percent(m->units[order[i]].unweighted)));
        json_array_append_new(importance, json_real(percent(m->units[weighted[i]].importance)));
        json_array_append_new(completeness, json_real(percent(wc[i + 1])));
    }
    return json_pack("{s:o,s:o,s:o}", "share", share, "importance", importance, "completeness", completeness);
}

static json_t *units(const struct model *m)
{
    HIRA_AUTOFREE uint32_t *order = model_by_importance(m);
    json_t *all = json_array();
    for (size_t i = 0; i < m->n_units; i++) {
        const struct unit *u = &m->units[order[i]];
        json_array_append_new(all,
                              json_pack("[s,s,i,f,f,f,I,I]", u->name, u->set, (int)u->level, percent(u->importance),
                                        m->weighted ? u->order : 0.0, percent(u->unweighted), (json_int_t)u->packages,
                                        (json_int_t)u->occurrences));
    }
    return all;
}

static json_t *plan_json(const struct model *m, const uint64_t *supported, enum plan_order order, bool steps)
{
    struct plan plan;
    json_t *points = json_array(), *list = json_array();
    plan_make(m, supported, order, 1, SIZE_MAX, &plan);
    json_array_append_new(points, json_pack("[i,f]", 0, percent(plan.before.weighted)));
    for (size_t i = 0; i < plan.n_steps; i++) {
        const struct plan_step *s = &plan.steps[i];
        json_array_append_new(points, json_pack("[i,f]", (int)(s->first + s->n), percent(s->after.weighted)));
        if (!steps)
            continue;
        json_t *names = json_array();
        for (uint32_t k = s->first; k < s->first + s->n; k++)
            json_array_append_new(names, json_string(m->units[plan.units[k]].name));
        json_array_append_new(list,
                              json_pack("[i,i,f,i,s,o]", (int)s->n, (int)(s->first + s->n), percent(s->after.weighted),
                                        (int)s->after.packages, s->package ? s->package->name : "", names));
    }
    plan_fini(&plan);
    return json_pack("{s:o,s:o}", "points", points, "steps", list);
}

static json_t *plans(const struct model *m, const uint64_t *supported)
{
    json_t *all = json_object();
    for (int i = 0; i < PLAN_ORDERS; i++)
        json_object_set_new(all, plan_order_names[i], plan_json(m, supported, (enum plan_order)i, i == PLAN_BEST_GAIN));
    return all;
}

static json_t *family_rows(const struct model *m)
{
    size_t n;
    HIRA_AUTOFREE struct family *f = families(m, &n);
    json_t *all = json_array();
    for (size_t i = 0; i < n; i++) {
        json_array_append_new(all, json_pack("[s,i,I,f,f,I,f]", f[i].set, (int)f[i].level, (json_int_t)f[i].units,
                                             percent(f[i].importance), percent(f[i].unweighted),
                                             (json_int_t)f[i].occurrences, percent(f[i].without.weighted)));
    }
    return all;
}

static json_t *level_rows(const struct model *m)
{
    json_t *all = json_array();
    size_t n;
    for (int i = 0; i < ISA_LEVELS; i++) {
        struct completeness c = family_level(m, (enum isa_level)i, &n);
        json_array_append_new(all, json_pack("[s,I,f]", isa_level_names[i], (json_int_t)n, percent(c.weighted)));
    }
    return all;
}

static json_t *published_rows(const struct model *m)
{
    json_t *all = json_array();
    for (size_t i = 0; i < HIRA_ARRAY_SIZE(published) && !m->by_form; i++)
        json_array_append_new(
            all, json_pack("[i,f,f]", (int)published[i].n, published[i].importance, published[i].completeness));
    return all;
}

static json_t *about(const struct model *m)
{
    struct hira_text text = {0};
    json_t *lines = json_array();
    const struct db_summary *s = &m->summary;
    model_describe(m, &text);
    for (char *rest = text.data, *line; rest && (line = strsep(&rest, "\n"));) {
        if (*line)
            json_array_append_new(lines, json_string(line));
    }
    hira_text_fini(&text);
    hira_text_printf(&text, "scanned: %s; %.1f MB of code, %s; apart %s and %s of none", s->source,
                     (double)s->code_bytes / 1e6, isa_n(s->instructions, "instruction"),
                     isa_n(s->suspect, "suspicious one"), isa_n(s->bad_bytes, "byte"));
    json_t *line = json_string(text.data);
    json_array_append_new(lines, line ? line : json_string("scanned: (names that are not UTF-8)"));
    hira_text_fini(&text);
    return lines;
}

/* The page with the data in it. Slashes are escaped, so nothing in it can end the script that it stands in. */
static int write_page(const char *path, json_t *data)
{
    struct hira_text page = {0};
    const char *mark = strstr(report_template, DATA_MARK);
    char *json = json_dumps(data, JSON_COMPACT | JSON_ESCAPE_SLASH | JSON_REAL_PRECISION(8));
    if (!json || !mark)
        return -ENOMEM;
    hira_text_append(&page, report_template, (size_t)(mark - report_template));
    /* "<!--" would begin a comment in a script. */
    for (const char *p = json; *p; p++)
        hira_text_puts(&page, *p == '<' ? "\\u003c" : (const char[]){*p, 0});
    hira_text_puts(&page, mark + strlen(DATA_MARK));
    int error = hira_text_write_file(&page, path);
    hira_text_fini(&page);
    free(json);
    return error;
}

/* The study's figure in numbers. */
static void figure(struct output *out, const struct model *m, json_t *data)
{
    output_table(out, "figure",
                 m->by_form ? "n-th form|share of packages|completeness|the same, whole libraries"
                            : "n-th mnemonic|share of packages|completeness|the same, whole libraries|published share|"
                              "published completeness");
    for (size_t i = 0; i < HIRA_ARRAY_SIZE(published); i++) {
        const json_t *reach = json_object_get(json_object_get(data, "curves"), "reach"),
                     *whole = json_object_get(json_object_get(data, "curves"), "whole");
        size_t n = published[i].n, last = json_array_size(json_object_get(reach, "share"));
        size_t last_whole = json_array_size(json_object_get(whole, "share"));
        output_count(out, n);
        output_percent(out, json_real_value(json_array_get(json_object_get(reach, "share"), n - 1)) / 100);
        output_percent(out, json_real_value(json_array_get(json_object_get(reach, "completeness"), HIRA_MIN(n, last))) /
                                100);
        output_percent(
            out,
            json_real_value(json_array_get(json_object_get(whole, "completeness"), HIRA_MIN(n, last_whole))) / 100);
        if (m->by_form)
            continue; /* mnemonics were published */
        output_percent(out, published[i].importance / 100);
        output_percent(out, published[i].completeness / 100);
    }
}

static int make_report(const struct options *o, struct model *m, struct output *out, json_t *data)
{
    HIRA_AUTOFREE uint64_t *supported = cmd_supported(o, m);
    const char *path = o->output ? o->output : "isapop.html";
    if (!supported)
        return ISA_FAILED;
    json_t *by_closure = json_object();
    for (int i = CLOSURE_REACH; i <= CLOSURE_WHOLE; i++) {
        struct model_options options = o->model;
        options.closure = i;
        struct model *one = i == (int)m->closure ? m : model_open(&options);
        if (one)
            json_object_set_new(by_closure, closure_names[i], curves(one));
        if (one != m)
            model_destroy(one);
    }
    json_object_set_new(data, "curves", by_closure);
    json_object_set_new(data, "about", about(m));
    json_object_set_new(data, "unit", json_string(m->by_form ? "form" : "mnemonic"));
    json_object_set_new(data, "published", published_rows(m));
    json_object_set_new(data, "levels", level_rows(m));
    json_object_set_new(data, "families", family_rows(m));
    json_object_set_new(data, "plans", plans(m, supported));
    json_object_set_new(data, "units", units(m));
    int error = write_page(path, data);
    if (error) {
        isa_note("%s: %s", path, strerror(-error));
        return ISA_FAILED;
    }
    output_note(out, "written: %s", path);
    figure(out, m, data);
    return ISA_OK;
}

int cmd_report(const struct options *o)
{
    struct model *m;
    struct output *out;
    if (o->n_words)
        return cmd_usage(o, "takes no arguments but options");
    if (o->scan.installed) {
        int status = cmd_scan(o);
        if (status != ISA_OK && status != ISA_SKIPPED)
            return status;
    }
    if (!cmd_begin(o, &m, &out))
        return ISA_FAILED;
    json_t *data = json_object();
    int status = make_report(o, m, out, data), ended = cmd_end(m, out);
    json_decref(data);
    return status ? status : ended;
}
