/* Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0 */
#include "closure.h"

#include <libgen.h>
#include <pthread.h>
#include <uthash.h>

#define NOT_NEEDED 0xff

struct provider {
    const char *path;
    const struct package *package;
    struct isa_hash hash;
    struct provider *next;
};

struct named {
    char *name;
    struct provider *providers;
    UT_hash_handle hh;
};

struct loaded {
    struct isa_hash hash;
    struct object *object; /* NULL: cannot be read */
    unsigned users;
    uint64_t used;
    UT_hash_handle hh;
};

struct closures {
    struct db *db;
    struct named *names;
    struct loaded *loaded;
    size_t memory;
    uint64_t clock;
    pthread_mutex_t lock;
    bool (*find)(void *context, const char *name, struct isa_hash *ret_hash);
    void *context;
};

/* ---- libraries by name ---- */

static void add_name(struct closures *c, const char *name, const struct package *p, const struct package_file *f)
{
    struct named *one;
    HASH_FIND_STR(c->names, name, one);
    if (!one) {
        one = isa_alloc(sizeof *one);
        one->name = isa_strdup(name);
        HASH_ADD_KEYPTR(hh, c->names, one->name, strlen(one->name), one);
    }
    struct provider *provider = isa_alloc(sizeof *provider);
    *provider = (struct provider){f->path, p, f->hash, one->providers};
    one->providers = provider;
}

struct closures *closures_create(struct db *db, struct package **packages, size_t n,
                                 bool (*find)(void *context, const char *name, struct isa_hash *ret_hash),
                                 void *context)
{
    struct closures *c = isa_alloc(sizeof *c);
    c->db = db;
    c->find = find;
    c->context = context;
    pthread_mutex_init(&c->lock, NULL);
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < packages[i]->n_files; k++) {
            const struct package_file *f = &packages[i]->files[k];
            const char *base = strrchr(f->path, '/') ? strrchr(f->path, '/') + 1 : f->path;
            /* Variants for newer processors stand beside the library that everybody has. */
            if (f->program || strstr(f->path, "/glibc-hwcaps/"))
                continue;
            add_name(c, base, packages[i], f);
            if (*f->soname && strcmp(f->soname, base))
                add_name(c, f->soname, packages[i], f);
        }
    }
    return c;
}

void closures_destroy(struct closures *c)
{
    struct named *one, *next;
    struct loaded *l, *l_next;
    if (!c)
        return;
    HASH_ITER(hh, c->names, one, next)
    {
        HASH_DEL(c->names, one);
        for (struct provider *p = one->providers, *after; p; p = after) {
            after = p->next;
            free(p);
        }
        free(one->name);
        free(one);
    }
    HASH_ITER(hh, c->loaded, l, l_next)
    {
        HASH_DEL(c->loaded, l);
        object_destroy(l->object);
        free(l);
    }
    free(c);
}

/* /lib and /usr/lib are one folder nowadays, and lists of files say either. */
static const char *without_usr(const char *path)
{
    return !strncmp(path, "/usr/", 5) ? path + 4 : path;
}

static bool in_folder(const char *path, const char *folder, size_t length)
{
    const char *slash = strrchr(path, '/');
    return slash && (size_t)(slash - path) == length && !strncmp(path, folder, length);
}

static bool in_runpath(const char *path, const char *runpath, const char *origin)
{
    HIRA_AUTOFREE char *folders = isa_strdup(runpath);
    HIRA_AUTOFREE char *home = isa_strdup(origin);
    char *rest = folders;
    if (strrchr(home, '/'))
        *strrchr(home, '/') = 0;
    for (char *one; (one = strsep(&rest, ":"));) {
        const char *tail = !strncmp(one, "$ORIGIN", 7) ? one + 7 : !strncmp(one, "${ORIGIN}", 9) ? one + 9 : NULL;
        HIRA_AUTOFREE char *folder = tail ? isa_printf("%s%s", home, tail) : isa_strdup(one);
        /* "/x/bin/../lib" is "/x/lib". */
        for (char *up; (up = strstr(folder, "/.."));) {
            char *before = up;
            while (before > folder && before[-1] != '/')
                before--;
            memmove(before > folder ? before - 1 : before, up + 3, strlen(up + 3) + 1);
        }
        size_t length = strlen(without_usr(folder));
        while (length && without_usr(folder)[length - 1] == '/')
            length--;
        if (length && in_folder(without_usr(path), without_usr(folder), length))
            return true;
    }
    return false;
}

static bool in_standard(const char *path)
{
    static const char *const folders[] = {"/lib", "/lib64", "/lib/x86_64-linux-gnu", "/lib/aarch64-linux-gnu",
                                          "/local/lib"};
    for (size_t i = 0; i < HIRA_ARRAY_SIZE(folders); i++) {
        if (in_folder(without_usr(path), folders[i], strlen(folders[i])))
            return true;
    }
    return false;
}

static int rank(const struct provider *p, const struct package *package, const char *runpath, const char *origin)
{
    if (*runpath && in_runpath(p->path, runpath, origin))
        return 4;
    if (in_standard(p->path))
        return 3;
    return p->package == package ? 2 : 1;
}

static const struct provider *find_provider(const struct closures *c, const char *name, const struct package *package,
                                            const char *runpath, const char *origin)
{
    const struct provider *best = NULL;
    struct named *one;
    int best_rank = 0;
    const char *base = strrchr(name, '/') ? strrchr(name, '/') + 1 : name;
    HASH_FIND_STR(c->names, base, one);
    for (const struct provider *p = one ? one->providers : NULL; p; p = p->next) {
        int r = rank(p, package, runpath, origin);
        if (r > best_rank || (r == best_rank && strcmp(p->path, best->path) < 0)) {
            best = p;
            best_rank = r;
        }
    }
    return best;
}

/* ---- objects kept loaded ---- */

static void forget_some(struct closures *c)
{
    while (c->memory > ISA_OBJECT_CACHE) {
        struct loaded *one, *next, *oldest = NULL;
        HASH_ITER(hh, c->loaded, one, next)
        {
            if (!one->users && one->object && (!oldest || one->used < oldest->used))
                oldest = one;
        }
        if (!oldest)
            return;
        HASH_DEL(c->loaded, oldest);
        c->memory -= oldest->object->memory;
        object_destroy(oldest->object);
        free(oldest);
    }
}

static struct loaded *load(struct closures *c, struct isa_hash hash)
{
    struct loaded *one;
    pthread_mutex_lock(&c->lock);
    HASH_FIND(hh, c->loaded, &hash, sizeof hash, one);
    if (!one) {
        one = isa_alloc(sizeof *one);
        one->hash = hash;
        one->object = db_object(c->db, hash);
        HASH_ADD(hh, c->loaded, hash, sizeof one->hash, one);
        c->memory += one->object ? one->object->memory : 0;
    }
    one->users++;
    one->used = ++c->clock;
    forget_some(c);
    pthread_mutex_unlock(&c->lock);
    return one;
}

static void unload(struct closures *c, struct loaded *one)
{
    pthread_mutex_lock(&c->lock);
    one->users--;
    pthread_mutex_unlock(&c->lock);
}

/* ---- the scope of a program ---- */

struct target {
    uint32_t library, node; /* UINT32_MAX: not looked for yet; UINT32_MAX - 1: nobody has it */
};

struct library {
    struct loaded *loaded;
    const char *path;
    uint8_t *visited;
    struct target *imports;
};

struct scope {
    struct closures *c;
    struct package *package;
    struct library *libraries; /* the program first */
    size_t n, cap;
    struct target *stack;
    size_t depth, stack_cap;
};

static bool in_scope(const struct scope *s, struct isa_hash hash)
{
    for (size_t i = 0; i < s->n; i++) {
        if (!memcmp(&s->libraries[i].loaded->hash, &hash, sizeof hash))
            return true;
    }
    return false;
}

static void enter(struct scope *s, struct isa_hash hash, const char *path)
{
    struct loaded *loaded = load(s->c, hash);
    struct library library = {.loaded = loaded, .path = path};
    if (!loaded->object) {
        unload(s->c, loaded);
        return;
    }
    library.visited = isa_alloc(loaded->object->n_nodes + 1);
    library.imports = isa_alloc(loaded->object->n_imports * sizeof *library.imports);
    memset(library.imports, 0xff, loaded->object->n_imports * sizeof *library.imports);
    ISA_PUSH(s->libraries, s->n, s->cap) = library;
}

static void miss(struct package *p, const char *name)
{
    for (size_t i = 0; i < p->n_missing; i++) {
        if (!strcmp(p->missing[i], name))
            return;
    }
    p->missing = isa_realloc(p->missing, (p->n_missing + 1) * sizeof *p->missing);
    p->missing[p->n_missing++] = isa_strdup(name);
}

static void need(struct scope *s, const struct object *who, const char *origin, const char *name)
{
    const struct provider *p = find_provider(s->c, name, s->package, who->runpath, origin);
    struct isa_hash hash;
    if (p) {
        if (!in_scope(s, p->hash))
            enter(s, p->hash, p->path);
    } else if (s->c->find && s->c->find(s->c->context, name, &hash)) {
        if (!in_scope(s, hash))
            enter(s, hash, name);
    } else {
        miss(s->package, name);
    }
}

static void scope_open(struct scope *s, const struct package_file *program)
{
    enter(s, program->hash, program->path);
    for (size_t i = 0; i < s->n && s->n < ISA_SCOPE_MAX; i++) {
        const struct object *o = s->libraries[i].loaded->object;
        for (size_t k = 0; k < o->n_needed && s->n < ISA_SCOPE_MAX; k++)
            need(s, o, s->libraries[i].path, o->needed[k]);
        if (i == 0 && *o->interp)
            need(s, o, s->libraries[i].path, o->interp);
    }
}

static void scope_close(struct scope *s)
{
    for (size_t i = 0; i < s->n; i++) {
        unload(s->c, s->libraries[i].loaded);
        free(s->libraries[i].visited);
        free(s->libraries[i].imports);
    }
    free(s->libraries);
    free(s->stack);
}

/* ---- reaching ---- */

static void push(struct scope *s, uint32_t library, uint32_t node)
{
    if (s->libraries[library].visited[node])
        return;
    s->libraries[library].visited[node] = 1;
    ISA_PUSH(s->stack, s->depth, s->stack_cap) = (struct target){library, node};
}

static void push_import(struct scope *s, uint32_t library, uint32_t index)
{
    struct target *t = &s->libraries[library].imports[index];
    if (t->library == UINT32_MAX) {
        const struct object_symbol *import = &s->libraries[library].loaded->object->imports[index];
        t->library = UINT32_MAX - 1;
        for (uint32_t i = 1; i < s->n; i++) {
            uint32_t node = object_find(s->libraries[i].loaded->object, import);
            if (node != UINT32_MAX) {
                *t = (struct target){i, node};
                break;
            }
        }
    }
    if (t->library < UINT32_MAX - 1)
        push(s, t->library, t->node);
}

/* The level from which a form of an object is needed. */
static uint8_t level_in(const struct closures *c, const struct object *o, unsigned form)
{
    if (!(o->flags & (OBJECT_CPU_TEST | OBJECT_IFUNC)))
        return ISA_V1;
    return isa_forms_get(db_forms(c->db), form)->level;
}

static void need_form(const struct closures *c, const struct object *o, unsigned form, uint8_t *levels)
{
    uint8_t level = level_in(c, o, form);
    if (level < levels[form])
        levels[form] = level;
}

static void need_all(const struct closures *c, const struct object *o, uint8_t *levels)
{
    for (size_t i = 0; i < o->n_forms; i++)
        need_form(c, o, o->forms[i].form, levels);
}

/* Calls `each` for every node that the program leads to. */
static void reach(struct scope *s,
                  void (*each)(void *context, const struct object *o, const struct object_node *node, const char *path),
                  void *context)
{
    for (uint32_t i = 1; i < s->n; i++) {
        if (s->libraries[i].loaded->object->n_nodes)
            push(s, i, s->libraries[i].loaded->object->start);
    }
    for (size_t i = 0; s->n && i < s->libraries[0].loaded->object->n_imports; i++)
        push_import(s, 0, (uint32_t)i);
    while (s->depth) {
        struct target t = s->stack[--s->depth];
        const struct object *o = s->libraries[t.library].loaded->object;
        const struct object_node *node = &o->nodes[t.node], *end = node + 1;
        each(context, o, node, s->libraries[t.library].path);
        for (uint32_t k = node->edges; k < end->edges; k++)
            push(s, t.library, o->node_edges[k]);
        for (uint32_t k = node->imports; k < end->imports; k++)
            push_import(s, t.library, o->node_imports[k]);
    }
}

struct gathering {
    const struct closures *c;
    uint8_t *levels;
};

static void gather(void *context, const struct object *o, const struct object_node *node, const char *path)
{
    struct gathering *g = context;
    (void)path;
    for (uint32_t k = node->forms; k < node[1].forms; k++)
        need_form(g->c, o, o->node_forms[k], g->levels);
}

static void keep(struct footprint *f, const uint8_t *levels)
{
    size_t cap = 0, n = 0;
    free(f->forms);
    free(f->levels);
    *f = (struct footprint){0};
    for (unsigned i = 0; i < ISA_FORMS_MAX; i++) {
        if (levels[i] != NOT_NEEDED)
            ISA_PUSH(f->forms, f->n, cap) = (uint16_t)i;
    }
    f->levels = isa_alloc(f->n);
    for (; n < f->n; n++)
        f->levels[n] = levels[f->forms[n]];
}

void closures_of(struct closures *c, struct package *package)
{
    uint8_t(*levels)[ISA_FORMS_MAX] = isa_alloc(CLOSURES * sizeof *levels);
    memset(levels, NOT_NEEDED, CLOSURES * sizeof *levels);
    package->programs = false;
    for (size_t i = 0; i < package->n_files; i++) {
        struct scope s = {.c = c, .package = package};
        struct gathering g = {c, levels[CLOSURE_REACH]};
        if (!package->files[i].program)
            continue;
        package->programs = true;
        scope_open(&s, &package->files[i]);
        for (int k = 0; s.n && k < CLOSURES; k++)
            need_all(c, s.libraries[0].loaded->object, levels[k]);
        reach(&s, gather, &g);
        for (size_t k = 1; k < s.n; k++)
            need_all(c, s.libraries[k].loaded->object, levels[CLOSURE_WHOLE]);
        scope_close(&s);
    }
    for (int k = 0; k < CLOSURES; k++)
        keep(&package->footprints[k], levels[k]);
    free(levels);
}

/* ---- why ---- */

struct asking {
    const struct closures *c;
    const uint8_t *wanted;
    enum isa_level level;
    const struct object **seen;
    size_t n, cap;
    void (*found)(void *context, const char *path, const struct object *object);
    void *context;
};

/* Whether a form is asked for, and counts where it is. */
static bool asked_for(const struct asking *a, const struct object *o, unsigned form)
{
    return a->wanted[form] && level_in(a->c, o, form) <= a->level;
}

static bool has_some(const struct asking *a, const struct object *o)
{
    bool has = false;
    for (size_t k = 0; k < o->n_forms && !has; k++)
        has = asked_for(a, o, o->forms[k].form);
    return has;
}

static void ask(void *context, const struct object *o, const struct object_node *node, const char *path)
{
    struct asking *a = context;
    bool has = false;
    for (uint32_t k = node->forms; k < node[1].forms && !has; k++)
        has = asked_for(a, o, o->node_forms[k]);
    for (size_t i = 0; has && i < a->n; i++)
        has = a->seen[i] != o;
    if (!has)
        return;
    ISA_PUSH(a->seen, a->n, a->cap) = o;
    a->found(a->context, path, o);
}

void closures_why(struct closures *c, const struct package *package, const uint8_t *wanted, enum closure closure,
                  enum isa_level cap, void (*found)(void *context, const char *path, const struct object *object),
                  void *context)
{
    struct asking a = {.c = c, .wanted = wanted, .level = cap, .found = found, .context = context};
    struct package scratch = *package;
    scratch.missing = NULL;
    scratch.n_missing = 0;
    for (size_t i = 0; i < package->n_files; i++) {
        struct scope s = {.c = c, .package = &scratch};
        if (!package->files[i].program)
            continue;
        scope_open(&s, &package->files[i]);
        for (size_t k = 0; k < (closure == CLOSURE_WHOLE ? s.n : HIRA_MIN(s.n, 1u)); k++) {
            const struct library *one = &s.libraries[k];
            if (has_some(&a, one->loaded->object))
                found(context, one->path, one->loaded->object);
        }
        if (closure == CLOSURE_REACH)
            reach(&s, ask, &a);
        scope_close(&s);
        a.n = 0; /* objects may be unloaded now */
    }
    for (size_t i = 0; i < scratch.n_missing; i++)
        free(scratch.missing[i]);
    free(scratch.missing);
    free(a.seen);
}
