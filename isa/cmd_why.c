/*
 * isapop why: who needs an instruction, and where it is.
 *
 * The database knows of each file the first place of each form. A file that is still where it was scanned is
 * disassembled again, and every function that has the instruction is named.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include <strings.h>

#include "analyze.h"
#include "closure.h"
#include "cmd.h"

#define FILE_READ_MAX (120u << 20) /* of a file that is looked at again: memory stays below 200 MB */
#define FILES_SHOWN 24             /* whose functions are listed */
#define FORMS_NAMED 12             /* of a mnemonic, when one has to be chosen */

struct place {
    char *path, *function;
    uint64_t address, count;
};

struct why {
    const struct options *o;
    struct model *m;
    uint8_t wanted[ISA_FORMS_MAX];
    struct package **packages;
    size_t n_packages, packages_cap;
    /* of the package that is asked about */
    char **paths;
    size_t n_paths, paths_cap;
    /* all that was found */
    struct place *places;
    size_t n_places, places_cap;
    char **files;
    size_t n_files, files_cap, looked_at;
};

static bool known(char **list, size_t n, const char *path)
{
    for (size_t i = 0; i < n; i++) {
        if (!strcmp(list[i], path))
            return true;
    }
    return false;
}

static void add_place(struct why *w, const char *path, const char *function, uint64_t address, uint64_t count)
{
    ISA_PUSH(w->places, w->n_places, w->places_cap) =
        (struct place){isa_strdup(path), isa_strdup(function), address, count};
}

/* ---- disassembling again ---- */

struct looking {
    struct why *w;
    const char *path;
    const char *function;
    uint64_t first, count;
};

static void end_of_function(struct looking *l)
{
    if (l->count)
        add_place(l->w, l->path, l->function ? l->function : "?", l->first, l->count);
    l->count = 0;
}

static void look(void *context, uint64_t address, unsigned length, enum analyze_kind kind, unsigned form,
                 const char *function)
{
    struct looking *l = context;
    (void)length;
    if (kind != SPAN_INSTRUCTION || !l->w->wanted[form])
        return;
    if (function != l->function || !l->count) {
        end_of_function(l);
        l->function = function;
        l->first = address;
    }
    l->count++;
}

/* Whether the file could be looked at: it is there, and what it was. */
static bool look_again(struct why *w, const char *path, struct isa_hash hash)
{
    struct hira_text text = {0};
    struct looking l = {.w = w, .path = path};
    const struct analyze_options options = {.observe = look, .context = &l};
    const char *reason;
    bool same = hira_text_read_file(&text, path, FILE_READ_MAX) == 0;
    struct isa_hash now = same ? isa_hash_of(text.data, text.size) : hash;
    same = same && !memcmp(&now, &hash, sizeof now);
    if (same) {
        struct analyzer *a = analyzer_create(db_forms(w->m->db));
        struct object *o = analyze(a, (const uint8_t *)text.data, text.size, &options, &reason);
        end_of_function(&l);
        object_destroy(o);
        analyzer_destroy(a);
    }
    hira_text_fini(&text);
    return same;
}

static void found(void *context, const char *path, const struct object *o)
{
    struct why *w = context;
    if (!known(w->paths, w->n_paths, path))
        ISA_PUSH(w->paths, w->n_paths, w->paths_cap) = isa_strdup(path);
    if (known(w->files, w->n_files, path))
        return;
    ISA_PUSH(w->files, w->n_files, w->files_cap) = isa_strdup(path);
    /* Each gives a place at least. */
    if (w->looked_at >= HIRA_MIN(cmd_listed(w->o, FILES_SHOWN), w->o->limit))
        return;
    w->looked_at++;
    if (look_again(w, path, o->hash))
        return;
    for (size_t i = 0; i < o->n_forms; i++) {
        if (w->wanted[o->forms[i].form])
            add_place(w, path, o->names + HIRA_MIN(o->forms[i].name, (uint32_t)o->names_size - 1), o->forms[i].address,
                      o->forms[i].count);
    }
}

/* ---- packages ---- */

static void keep_package(void *context, struct package *p)
{
    struct why *w = context;
    ISA_PUSH(w->packages, w->n_packages, w->packages_cap) = p;
}

static struct package *package_of(const struct why *w, const struct member *one)
{
    for (size_t i = 0; i < w->n_packages; i++) {
        if (!strcmp(w->packages[i]->name, one->name) && !strcmp(w->packages[i]->version, one->version))
            return w->packages[i];
    }
    return NULL;
}

static int by_weight(const void *x, const void *y)
{
    const struct member *a = *(const struct member *const *)x, *b = *(const struct member *const *)y;
    return a->p != b->p ? (a->p > b->p ? -1 : 1) : strcmp(a->name, b->name);
}

/* What a name means in a database: forms by their mnemonic, or one form. */
struct meaning {
    size_t by_mnemonic, by_text;
    struct hira_text forms; /* the first few of a mnemonic */
};

static struct meaning meaning_of(const struct isa_forms *forms, const char *name)
{
    struct meaning is = {0};
    for (unsigned i = 0; i < isa_forms_count(forms); i++) {
        const struct isa_form *f = isa_forms_get(forms, i);
        is.by_text += !strcasecmp(name, f->text);
        if (strcasecmp(name, f->mnemonic) != 0)
            continue;
        if (is.by_mnemonic++ < FORMS_NAMED)
            hira_text_printf(&is.forms, "%s'%s'", is.by_mnemonic > 1 ? ", " : "", f->text);
    }
    return is;
}

/* Marks what the name means in the model's units; SIZE_MAX: nothing. */
static size_t find_unit(struct why *w, const char *name)
{
    const struct isa_forms *forms = db_forms(w->m->db);
    size_t found_unit = SIZE_MAX;
    for (unsigned i = 0; i < isa_forms_count(forms); i++) {
        const struct isa_form *f = isa_forms_get(forms, i);
        bool hit = !strcasecmp(name, f->text) || !strcasecmp(name, f->mnemonic);
        w->wanted[i] = hit;
        if (hit)
            found_unit = w->m->unit_of[i];
    }
    return found_unit;
}

/* A form is a unit only among forms: whether the name means one. 0, or the exit status, said why. */
static int choose_units(const struct options *o, const char *name, bool *ret_by_form)
{
    struct db *db = db_open(o->model.database, false);
    if (!db)
        return ISA_FAILED;
    struct meaning is = meaning_of(db_forms(db), name);
    bool complete = db_summary(db);
    db_close(db);
    int status = ISA_OK;
    if (complete && !is.by_mnemonic && !is.by_text) {
        isa_note(
            "why: no file scanned has an instruction '%s' ('isapop importance --limit 0' lists what there is, with "
            "--by form encoding forms)",
            name);
        status = ISA_FAILED;
    } else if (o->model.by_form && !is.by_text && is.by_mnemonic > 1) {
        isa_note("why: with --by form, which of the %zu forms of %s? %s%s; without --by form all of them",
                 is.by_mnemonic, name, is.forms.data, is.by_mnemonic > FORMS_NAMED ? ", ..." : "");
        status = ISA_USAGE;
    }
    *ret_by_form = o->model.by_form || (is.by_text && !is.by_mnemonic);
    hira_text_fini(&is.forms);
    return status;
}

static void forget_paths(struct why *w)
{
    while (w->n_paths)
        free(w->paths[--w->n_paths]);
}

static void list_packages(struct why *w, struct output *out, size_t unit)
{
    const struct member **order = isa_alloc(w->m->n_members * sizeof *order);
    struct closures *c = closures_create(w->m->db, w->packages, w->n_packages, NULL, NULL);
    size_t n = 0;
    for (size_t i = 0; i < w->m->n_members; i++) {
        if (bit_get(w->m->members[i].units, unit))
            order[n++] = &w->m->members[i];
    }
    if (n)
        qsort(order, n, sizeof *order, by_weight);
    output_note(out, "%s %s %s", isa_n(n, "package"), n == 1 ? "needs" : "need", w->m->units[unit].name);
    output_table(out, "packages", "installed|<package|<in");
    for (size_t i = 0; i < n && i < w->o->limit; i++) {
        struct package *p = package_of(w, order[i]);
        forget_paths(w);
        if (p)
            closures_why(c, p, w->wanted, w->m->closure, w->m->cap, found, w);
        for (size_t k = 0; k < w->n_paths || k == 0; k++) {
            output_percent(out, order[i]->p);
            output_text(out, order[i]->name);
            output_text(out, k < w->n_paths ? w->paths[k] : "(a library that counts wholly)");
        }
    }
    closures_destroy(c);
    free(order);
}

static void list_places(struct why *w, struct output *out)
{
    if (w->looked_at < w->n_files)
        output_note(out, "places: of %zu of %s; --json and --csv have all", w->looked_at, isa_n(w->n_files, "file"));
    output_table(out, "places", "times|address|<file|<function");
    for (size_t i = 0; i < w->n_places && i < w->o->limit; i++) {
        HIRA_AUTOFREE char *address = isa_printf("0x%llx", (unsigned long long)w->places[i].address);
        output_count(out, w->places[i].count);
        output_text(out, address);
        output_text(out, w->places[i].path);
        output_text(out, *w->places[i].function ? w->places[i].function : "?");
    }
}

static void why_fini(struct why *w)
{
    for (size_t i = 0; i < w->n_packages; i++)
        package_destroy(w->packages[i]);
    for (size_t i = 0; i < w->n_places; i++) {
        free(w->places[i].path);
        free(w->places[i].function);
    }
    for (size_t i = 0; i < w->n_files; i++)
        free(w->files[i]);
    forget_paths(w);
    free(w->packages);
    free(w->paths);
    free(w->places);
    free(w->files);
    free(w);
}

int cmd_why(const struct options *o)
{
    struct options asked = *o;
    struct output *out;
    if (!o->n_words)
        return cmd_usage(o, "which instruction? for example: isapop why PSHUFB, or a form: isapop why 'MOV REX.W 8B'");
    struct hira_text name = {0};
    for (size_t i = 0; i < o->n_words; i++)
        hira_text_printf(&name, "%s%s", i ? " " : "", o->words[i]);
    struct why *w = isa_alloc(sizeof *w);
    w->o = o;
    int status = choose_units(o, name.data, &asked.model.by_form);
    if (!status && !cmd_begin(&asked, &w->m, &out))
        status = ISA_FAILED;
    if (!status) {
        size_t unit = find_unit(w, name.data);
        db_packages(w->m->db, false, false, keep_package, w);
        list_packages(w, out, unit);
        list_places(w, out);
        status = cmd_end(w->m, out);
    }
    hira_text_fini(&name);
    why_fini(w);
    return status;
}
