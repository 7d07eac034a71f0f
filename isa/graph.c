/*
 * What leads to what inside a library.
 *
 * Nodes are functions and tables. A function leads to what it branches to and to what it addresses: a function whose
 * address is taken there may be called later, and a table may be given to whoever calls through it. A table begins at
 * an address that is referred to and, as nothing in a stripped file says where it ends, reaches to the next such
 * address, but at least TABLE_REACH bytes: structures are often referred to at several of their members. A symbol's
 * size says better. A slot of the global offset table is a table of one. Tables lead where their relocations point.
 *
 * What runs when a library is loaded (initializers, finalizers, the entry of an interpreter) hangs on a node of its
 * own.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include "analyze_private.h"

#define TABLE_REACH 256
#define TRIES_MAX                                                                                                      \
    (32u << 20) /* relocations looked at: tables may lie in each other, and a hostile file would make squares of them  \
                 */
#define NONE UINT32_MAX
#define MANY (UINT32_MAX - 1)

struct reloc {
    uint32_t at; /* relative to base */
    uint32_t to; /* address relative to base; NONE: an import */
    uint32_t import;
    bool slot; /* of the global offset table */
};

struct graph {
    struct analyzer *a;
    struct elf *elf;
    struct object *o;
    struct elf_versions versions;
    uint32_t *import_of; /* by dynamic symbol; NONE: defined here */
    struct reloc *relocs;
    size_t n_relocs, relocs_cap, tries;
    uint32_t *tables; /* addresses, sorted */
    size_t n_tables, tables_cap;
    /* the nodes: functions, tables, start, empty */
    uint32_t n, start, empty;
    uint32_t *edges_at, *imports_at; /* n + 1 */
    uint32_t *imports;
    size_t n_imports, imports_cap;
    uint32_t *rep; /* what a node is a part of; NONE: never reached */
};

static uint32_t version_hash(const struct graph *g, size_t symbol, bool *ret_hidden)
{
    unsigned index = g->elf->versym ? g->elf->versym[symbol] : 0;
    const char *name = (index & 0x7fff) < g->versions.n ? g->versions.names[index & 0x7fff] : NULL;
    *ret_hidden = index & 0x8000;
    return name ? (uint32_t)object_name_hash(name) | 1 : 0; /* 0 is for none */
}

/* Libraries export these for others to ask about the processor. */
static bool tests_cpu(const char *name)
{
    static const char *const known[] = {
        "__cpu_model",          "__cpu_indicator_init", "_dl_x86_get_cpu_features", "__x86_get_cpuid_feature_leaf",
        "_dl_x86_cpu_features", "qt_cpu_features",      "OPENSSL_ia32cap_P",        "__get_cpu_features"};
    for (size_t i = 0; i < HIRA_ARRAY_SIZE(known); i++) {
        if (!strcmp(name, known[i]))
            return true;
    }
    return strstr(name, "qDetectCpuFeatures") || strstr(name, "CpuFeatures");
}

static void add_import(struct graph *g, size_t symbol, const char *name, size_t *cap)
{
    struct object_symbol import = {.name = object_name_hash(name), .node = NONE};
    bool hidden;
    import.version = version_hash(g, symbol, &hidden);
    g->import_of[symbol] = (uint32_t)g->o->n_imports;
    ISA_PUSH(g->o->imports, g->o->n_imports, *cap) = import;
    if (tests_cpu(name))
        g->o->flags |= OBJECT_CPU_TEST;
}

static void read_imports(struct graph *g)
{
    const struct elf *elf = g->elf;
    size_t cap = 0;
    g->import_of = isa_alloc((elf->n_dynsym + 1) * sizeof *g->import_of);
    memset(g->import_of, 0xff, (elf->n_dynsym + 1) * sizeof *g->import_of);
    for (size_t i = 1; i < elf->n_dynsym; i++) {
        const char *name = elf_dynamic_string(elf, elf->dynsym[i].st_name);
        if (elf->dynsym[i].st_shndx == SHN_UNDEF && name && *name)
            add_import(g, i, name, &cap);
        if (ELF64_ST_TYPE(elf->dynsym[i].st_info) == STT_GNU_IFUNC)
            g->o->flags |= OBJECT_IFUNC;
    }
    /* What a program copies at its start is a library's all the same. */
    for (size_t i = 0; i < elf->n_rela; i++) {
        size_t symbol = ELF64_R_SYM(elf->rela[i].r_info);
        if (ELF64_R_TYPE(elf->rela[i].r_info) != R_X86_64_COPY || symbol >= elf->n_dynsym ||
            g->import_of[symbol] != NONE)
            continue;
        const char *name = elf_dynamic_string(elf, elf->dynsym[symbol].st_name);
        if (name && *name)
            add_import(g, symbol, name, &cap);
    }
}

/* ---- relocations ---- */

static void add_reloc(struct graph *g, uint64_t at, uint64_t to, uint32_t import, bool slot)
{
    at -= g->a->base;
    to = import == NONE ? to - g->a->base : NONE;
    if (at < UINT32_MAX && (import != NONE || to < UINT32_MAX) && g->n_relocs < ISA_EDGES_MAX)
        ISA_PUSH(g->relocs, g->n_relocs, g->relocs_cap) = (struct reloc){(uint32_t)at, (uint32_t)to, import, slot};
}

static void read_rela(struct graph *g, const Elf64_Rela *r, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        unsigned type = ELF64_R_TYPE(r[i].r_info);
        size_t symbol = ELF64_R_SYM(r[i].r_info);
        bool slot = type == R_X86_64_GLOB_DAT || type == R_X86_64_JUMP_SLOT;
        if (type == R_X86_64_IRELATIVE)
            g->o->flags |= OBJECT_IFUNC;
        if (type == R_X86_64_RELATIVE || type == R_X86_64_IRELATIVE) {
            add_reloc(g, r[i].r_offset, (uint64_t)r[i].r_addend, NONE, false);
        } else if ((slot || type == R_X86_64_64) && symbol && symbol < g->elf->n_dynsym) {
            const Elf64_Sym *s = &g->elf->dynsym[symbol];
            add_reloc(g, r[i].r_offset, s->st_value + (slot ? 0 : (uint64_t)r[i].r_addend), g->import_of[symbol], slot);
        }
    }
}

static void read_relr(struct graph *g)
{
    uint64_t at = 0;
    for (size_t i = 0; i < g->elf->n_relr && g->tries < TRIES_MAX; i++) {
        uint64_t entry = g->elf->relr[i];
        uint64_t bits = entry & 1 ? entry >> 1 : 1;
        if (!(entry & 1))
            at = entry;
        for (uint64_t where = at; bits; bits >>= 1, where += 8, g->tries++) {
            const uint8_t *p = bits & 1 ? elf_at(g->elf, where, 8) : NULL;
            uint64_t to;
            if (!p)
                continue;
            memcpy(&to, p, 8);
            add_reloc(g, where, to, NONE, false);
        }
        at += entry & 1 ? 63 * 8 : 8;
    }
}

static int by_place(const void *x, const void *y)
{
    const struct reloc *a = x, *b = y;
    return a->at < b->at ? -1 : a->at > b->at;
}

static int by_number(const void *x, const void *y)
{
    uint32_t a = *(const uint32_t *)x, b = *(const uint32_t *)y;
    return a < b ? -1 : a > b;
}

static size_t unique(uint32_t *items, size_t n)
{
    size_t kept = 0;
    if (n)
        qsort(items, n, sizeof *items, by_number);
    for (size_t i = 0; i < n; i++) {
        if (!kept || items[kept - 1] != items[i])
            items[kept++] = items[i];
    }
    return kept;
}

static size_t first_reloc(const struct graph *g, uint64_t at)
{
    size_t low = 0, high = g->n_relocs;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (g->relocs[middle].at < at)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* ---- tables ---- */

static void add_table(struct graph *g, uint32_t at)
{
    if (function_at(g->a, g->a->base + at) == SIZE_MAX)
        ISA_PUSH(g->tables, g->n_tables, g->tables_cap) = at;
}

static bool is_export(const Elf64_Sym *s)
{
    unsigned type = ELF64_ST_TYPE(s->st_info), bind = ELF64_ST_BIND(s->st_info);
    return s->st_shndx != SHN_UNDEF && s->st_shndx != SHN_ABS && bind != STB_LOCAL && type != STT_TLS &&
           type != STT_SECTION && type != STT_FILE;
}

static void find_tables(struct graph *g)
{
    const struct analyzer *a = g->a;
    uint32_t last = NONE;
    for (size_t i = 0; i < a->n_edges; i++) {
        if (a->edges[i] != last)
            add_table(g, last = a->edges[i]);
        /* Most references are to a few places: keep the list near to its final length. */
        if (g->n_tables > (1u << 20) && g->n_tables == g->tables_cap)
            g->n_tables = unique(g->tables, g->n_tables);
    }
    for (size_t i = 0; i < g->n_relocs; i++) {
        if (g->relocs[i].to != NONE)
            add_table(g, g->relocs[i].to);
    }
    for (size_t i = 1; i < g->elf->n_dynsym; i++) {
        uint64_t at = g->elf->dynsym[i].st_value - a->base;
        if (is_export(&g->elf->dynsym[i]) && at < UINT32_MAX)
            add_table(g, (uint32_t)at);
    }
    g->n_tables = unique(g->tables, g->n_tables);
    /* Only those that lead somewhere. */
    size_t kept = 0;
    for (size_t i = 0; i < g->n_tables; i++) {
        size_t r = first_reloc(g, g->tables[i]);
        uint64_t end = HIRA_MAX(i + 1 < g->n_tables ? g->tables[i + 1] : (uint64_t)UINT32_MAX,
                                (uint64_t)g->tables[i] + TABLE_REACH);
        if (r < g->n_relocs && g->relocs[r].at < end)
            g->tables[kept++] = g->tables[i];
    }
    g->n_tables = kept;
}

static uint32_t table_at(const struct graph *g, uint32_t at)
{
    const uint32_t *found = g->n_tables ? bsearch(&at, g->tables, g->n_tables, sizeof at, by_number) : NULL;
    return found ? (uint32_t)(g->a->n_functions + (size_t)(found - g->tables)) : NONE;
}

static uint32_t node_at(const struct graph *g, uint32_t at)
{
    size_t f = function_at(g->a, g->a->base + at);
    return f != SIZE_MAX ? (uint32_t)f : table_at(g, at);
}

/* The size that a symbol gives to the table at an address; 0: none does. By a list of exported data sorted by address.
 */
struct sized {
    uint32_t at, size;
};

static int by_at(const void *x, const void *y)
{
    const struct sized *a = x, *b = y;
    return a->at != b->at ? (a->at < b->at ? -1 : 1) : a->size > b->size ? -1 : a->size < b->size;
}

static struct sized *sized_data(const struct graph *g, size_t *ret_n)
{
    struct sized *items = NULL;
    size_t n = 0, cap = 0;
    for (size_t i = 1; i < g->elf->n_dynsym; i++) {
        const Elf64_Sym *s = &g->elf->dynsym[i];
        uint64_t at = s->st_value - g->a->base;
        if (is_export(s) && ELF64_ST_TYPE(s->st_info) == STT_OBJECT && s->st_size && at < UINT32_MAX &&
            s->st_size < UINT32_MAX)
            ISA_PUSH(items, n, cap) = (struct sized){(uint32_t)at, (uint32_t)s->st_size};
    }
    if (n)
        qsort(items, n, sizeof *items, by_at);
    *ret_n = n;
    return items;
}

static uint64_t table_end(const struct graph *g, size_t i, const struct sized *sized, size_t n_sized)
{
    uint32_t at = g->tables[i];
    uint64_t next = i + 1 < g->n_tables ? g->tables[i + 1] : UINT32_MAX;
    size_t low = 0, high = n_sized;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (sized[middle].at <= at)
            low = middle + 1;
        else
            high = middle;
    }
    if (low && at - sized[low - 1].at < sized[low - 1].size)
        return (uint64_t)sized[low - 1].at + sized[low - 1].size;
    return HIRA_MAX(next, (uint64_t)at + TABLE_REACH);
}

static bool add_edge(struct analyzer *a, uint32_t to)
{
    if (a->n_edges >= ISA_EDGES_MAX)
        a->too_many = true;
    else if (to != NONE)
        ISA_PUSH(a->edges, a->n_edges, a->edges_cap) = to;
    return !a->too_many;
}

static void table_edges(struct graph *g, size_t i, uint64_t end)
{
    for (size_t r = first_reloc(g, g->tables[i]); r < g->n_relocs && g->relocs[r].at < end; r++) {
        const struct reloc *one = &g->relocs[r];
        if (g->tries++ >= TRIES_MAX || g->n_imports >= ISA_EDGES_MAX) {
            g->a->too_many = true;
            return;
        }
        if (one->slot && one->at != g->tables[i])
            continue;
        if (one->to != NONE && !add_edge(g->a, node_at(g, one->to)))
            return;
        if (one->to == NONE)
            ISA_PUSH(g->imports, g->n_imports, g->imports_cap) = one->import;
        if (one->slot)
            return;
    }
}

/* ---- edges between nodes, in the order of the nodes they leave ---- */

/* From addresses to nodes, in place, each node's own once. */
static void resolve_function_edges(struct graph *g)
{
    struct analyzer *a = g->a;
    size_t kept = 0;
    for (size_t f = 0; f < a->n_functions; f++) {
        size_t from = a->functions[f].edges, to = f + 1 < a->n_functions ? a->functions[f + 1].edges : a->n_edges,
               n = 0;
        g->edges_at[f] = (uint32_t)kept;
        for (size_t i = from; i < to; i++) {
            uint32_t node = node_at(g, a->edges[i]);
            if (node != NONE && node != f)
                a->edges[kept + n++] = node;
        }
        kept += n ? unique(a->edges + kept, n) : 0;
    }
    a->n_edges = kept;
}

static void start_edges(struct graph *g)
{
    const struct elf *elf = g->elf;
    const uint64_t entries[] = {elf->init, elf->fini, elf->interp ? 0 : elf->header->e_entry};
    const uint64_t arrays[][2] = {{elf->init_array, elf->init_array_size}, {elf->fini_array, elf->fini_array_size}};
    for (size_t i = 0; i < HIRA_ARRAY_SIZE(entries); i++) {
        if (entries[i] && entries[i] - g->a->base < UINT32_MAX)
            add_edge(g->a, node_at(g, (uint32_t)(entries[i] - g->a->base)));
    }
    for (size_t i = 0; i < HIRA_ARRAY_SIZE(arrays); i++) {
        uint64_t at = arrays[i][0] - g->a->base;
        for (size_t r = arrays[i][0] ? first_reloc(g, at) : g->n_relocs;
             r < g->n_relocs && g->relocs[r].at - at < arrays[i][1]; r++)
            add_edge(g->a, g->relocs[r].to == NONE ? NONE : node_at(g, g->relocs[r].to));
    }
}

static void make_edges(struct graph *g)
{
    struct analyzer *a = g->a;
    size_t n_sized;
    struct sized *sized = sized_data(g, &n_sized);
    resolve_function_edges(g);
    for (size_t i = 0; i < a->n_functions; i++)
        g->imports_at[i] = 0;
    for (size_t i = 0; i < g->n_tables && !a->too_many; i++) {
        g->edges_at[a->n_functions + i] = (uint32_t)a->n_edges;
        g->imports_at[a->n_functions + i] = (uint32_t)g->n_imports;
        table_edges(g, i, table_end(g, i, sized, n_sized));
    }
    free(sized);
    g->edges_at[g->start] = (uint32_t)a->n_edges;
    start_edges(g);
    g->edges_at[g->empty] = g->edges_at[g->n] = (uint32_t)a->n_edges;
    g->imports_at[g->start] = g->imports_at[g->empty] = g->imports_at[g->n] = (uint32_t)g->n_imports;
}

/* ---- what is exported ---- */

static int by_name(const void *x, const void *y)
{
    const struct object_symbol *a = x, *b = y;
    if (a->name != b->name)
        return a->name < b->name ? -1 : 1;
    return a->version != b->version ? (a->version < b->version ? -1 : 1) : a->node < b->node ? -1 : a->node > b->node;
}

static void read_exports(struct graph *g)
{
    size_t cap = 0;
    for (size_t i = 1; i < g->elf->n_dynsym; i++) {
        const Elf64_Sym *s = &g->elf->dynsym[i];
        const char *name = elf_dynamic_string(g->elf, s->st_name);
        if (!is_export(s) || !name || !*name)
            continue;
        struct object_symbol e = {.name = object_name_hash(name)};
        uint64_t at = s->st_value - g->a->base;
        e.version = version_hash(g, i, &e.hidden);
        e.node = at < UINT32_MAX ? node_at(g, (uint32_t)at) : NONE;
        if (e.node == NONE)
            e.node = g->empty;
        ISA_PUSH(g->o->exports, g->o->n_exports, cap) = e;
    }
    if (g->o->n_exports)
        qsort(g->o->exports, g->o->n_exports, sizeof *g->o->exports, by_name);
}

/* ---- fewer nodes: those reached at all, each that only one other leads to as a part of that one ---- */

static void reach(struct graph *g)
{
    uint32_t *stack = isa_alloc(g->n * sizeof *stack);
    size_t depth = 0;
    g->rep[g->start] = g->start;
    g->rep[g->empty] = g->empty;
    stack[depth++] = g->start;
    for (size_t i = 0; i < g->o->n_exports; i++) {
        uint32_t node = g->o->exports[i].node;
        if (g->rep[node] == NONE)
            stack[depth++] = g->rep[node] = node;
    }
    while (depth) {
        uint32_t node = stack[--depth];
        for (uint32_t e = g->edges_at[node]; e < g->edges_at[node + 1]; e++) {
            uint32_t to = g->a->edges[e];
            if (g->rep[to] == NONE)
                stack[depth++] = g->rep[to] = to;
        }
    }
    free(stack);
}

static uint32_t find(struct graph *g, uint32_t node)
{
    while (g->rep[node] != node)
        node = g->rep[node] = g->rep[g->rep[node]];
    return node;
}

static bool merge_round(struct graph *g, uint32_t *only, const uint8_t *root)
{
    bool changed = false;
    memset(only, 0xff, g->n * sizeof *only);
    for (uint32_t node = 0; node < g->n; node++) {
        if (g->rep[node] == NONE)
            continue;
        uint32_t from = find(g, node);
        for (uint32_t e = g->edges_at[node]; e < g->edges_at[node + 1]; e++) {
            uint32_t to = find(g, g->a->edges[e]);
            if (to != from)
                only[to] = only[to] == NONE || only[to] == from ? from : MANY;
        }
    }
    for (uint32_t node = 0; node < g->n; node++) {
        if (g->rep[node] != node || root[node] || only[node] >= MANY)
            continue;
        /* A ring that only leads to itself cannot be: it was reached from somewhere. */
        uint32_t into = find(g, only[node]);
        if (into != node) {
            g->rep[node] = into;
            changed = true;
        }
    }
    return changed;
}

static void merge(struct graph *g)
{
    uint32_t *only = isa_alloc(g->n * sizeof *only);
    uint8_t *root = isa_alloc(g->n);
    root[g->start] = root[g->empty] = 1;
    for (size_t i = 0; i < g->o->n_exports; i++)
        root[g->o->exports[i].node] = 1;
    for (int i = 0; i < 8 && merge_round(g, only, root); i++)
        continue;
    free(only);
    free(root);
}

/* ---- the object's nodes ---- */

struct members {
    uint32_t *first, *next; /* of a list for each representative */
    uint32_t *number;
};

static void put_node(struct graph *g, uint32_t rep, const struct members *m, size_t caps[3])
{
    struct analyzer *a = g->a;
    struct object *o = g->o;
    size_t forms = o->n_node_forms, edges = o->n_node_edges, imports = o->n_node_imports;
    if (!++a->epoch) {
        memset(a->notes, 0, sizeof a->notes);
        a->epoch = 1;
    }
    for (uint32_t node = m->first[rep]; node != NONE; node = m->next[node]) {
        size_t from = node < a->n_functions ? a->functions[node].forms : 0;
        size_t to = node + 1 < a->n_functions ? a->functions[node + 1].forms
                    : node < a->n_functions   ? a->n_function_forms
                                              : 0;
        for (; from < to; from++) {
            if (a->notes[a->function_forms[from]].stamp == a->epoch)
                continue;
            a->notes[a->function_forms[from]].stamp = a->epoch;
            ISA_PUSH(o->node_forms, o->n_node_forms, caps[0]) = a->function_forms[from];
        }
        for (uint32_t e = g->edges_at[node]; e < g->edges_at[node + 1]; e++) {
            uint32_t leads = find(g, a->edges[e]);
            if (leads != rep)
                ISA_PUSH(o->node_edges, o->n_node_edges, caps[1]) = m->number[leads];
        }
        for (uint32_t i = g->imports_at[node]; i < g->imports_at[node + 1]; i++)
            ISA_PUSH(o->node_imports, o->n_node_imports, caps[2]) = g->imports[i];
    }
    if (o->n_node_edges > edges)
        o->n_node_edges = edges + unique(o->node_edges + edges, o->n_node_edges - edges);
    if (o->n_node_imports > imports)
        o->n_node_imports = imports + unique(o->node_imports + imports, o->n_node_imports - imports);
    /* sorted, as they are written as differences */
    for (size_t i = forms + 1; i < o->n_node_forms; i++) {
        uint16_t form = o->node_forms[i];
        size_t k = i;
        for (; k > forms && o->node_forms[k - 1] > form; k--)
            o->node_forms[k] = o->node_forms[k - 1];
        o->node_forms[k] = form;
    }
}

static void put_nodes(struct graph *g)
{
    struct object *o = g->o;
    struct members m = {isa_alloc(g->n * 4), isa_alloc(g->n * 4), isa_alloc(g->n * 4)};
    size_t caps[3] = {0}, n = 0;
    memset(m.first, 0xff, g->n * 4);
    for (uint32_t node = 0; node < g->n; node++) {
        if (g->rep[node] == NONE)
            continue;
        uint32_t rep = find(g, node);
        m.next[node] = m.first[rep];
        m.first[rep] = node;
        if (rep == node)
            m.number[node] = (uint32_t)n++;
    }
    o->nodes = isa_alloc((n + 1) * sizeof *o->nodes);
    for (uint32_t node = 0; node < g->n; node++) {
        if (g->rep[node] != node)
            continue;
        o->nodes[o->n_nodes++] =
            (struct object_node){(uint32_t)o->n_node_forms, (uint32_t)o->n_node_edges, (uint32_t)o->n_node_imports};
        put_node(g, node, &m, caps);
    }
    o->nodes[n] =
        (struct object_node){(uint32_t)o->n_node_forms, (uint32_t)o->n_node_edges, (uint32_t)o->n_node_imports};
    o->start = m.number[find(g, g->start)];
    for (size_t i = 0; i < o->n_exports; i++)
        o->exports[i].node = m.number[find(g, o->exports[i].node)];
    free(m.first);
    free(m.next);
    free(m.number);
}

/* One node with everything in it, for a library whose graph has no place. */
static void put_whole(struct object *o)
{
    o->flags |= OBJECT_WHOLE;
    o->n_nodes = 1;
    o->nodes = isa_alloc(2 * sizeof *o->nodes);
    o->node_forms = isa_alloc(o->n_forms * sizeof *o->node_forms);
    o->node_imports = isa_alloc(o->n_imports * sizeof *o->node_imports);
    for (size_t i = 0; i < o->n_forms; i++)
        o->node_forms[i] = o->forms[i].form;
    for (size_t i = 0; i < o->n_imports; i++)
        o->node_imports[i] = (uint32_t)i;
    o->n_node_forms = o->n_forms;
    o->n_node_imports = o->n_imports;
    o->nodes[1] = (struct object_node){(uint32_t)o->n_forms, 0, (uint32_t)o->n_imports};
    o->start = 0;
    for (size_t i = 0; i < o->n_exports; i++)
        o->exports[i].node = 0;
}

void graph_build(struct analyzer *a, struct elf *elf, struct object *o)
{
    struct graph g = {.a = a, .elf = elf, .o = o};
    elf_versions_read(elf, &g.versions);
    read_imports(&g);
    if (a->want_graph) {
        read_rela(&g, elf->rela, elf->n_rela);
        read_rela(&g, elf->plt_rela, elf->n_plt_rela);
        read_relr(&g);
        if (g.n_relocs)
            qsort(g.relocs, g.n_relocs, sizeof *g.relocs, by_place);
        if (!a->too_many)
            find_tables(&g);
        g.start = (uint32_t)(a->n_functions + g.n_tables);
        g.empty = g.start + 1;
        g.n = g.start + 2;
        g.edges_at = isa_alloc((g.n + 1) * sizeof *g.edges_at);
        g.imports_at = isa_alloc((g.n + 1) * sizeof *g.imports_at);
        g.rep = isa_alloc(g.n * sizeof *g.rep);
        memset(g.rep, 0xff, g.n * sizeof *g.rep);
        read_exports(&g);
        if (!a->too_many)
            make_edges(&g);
        if (a->too_many) {
            put_whole(o);
        } else {
            reach(&g);
            merge(&g);
            put_nodes(&g);
        }
    } else {
        o->nodes = isa_alloc(sizeof *o->nodes);
    }
    elf_versions_fini(&g.versions);
    free(g.import_of);
    free(g.relocs);
    free(g.tables);
    free(g.edges_at);
    free(g.imports_at);
    free(g.imports);
    free(g.rep);
}
