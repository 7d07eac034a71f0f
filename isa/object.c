/* Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0 */
#include "object.h"

#include <errno.h>
#include <xxhash.h>

void object_destroy(struct object *o)
{
    if (!o)
        return;
    for (size_t i = 0; i < o->n_needed; i++)
        free(o->needed[i]);
    free(o->needed);
    free(o->soname);
    free(o->runpath);
    free(o->interp);
    free(o->remark);
    free(o->forms);
    free(o->suspect);
    free(o->names);
    free(o->imports);
    free(o->exports);
    free(o->nodes);
    free(o->node_forms);
    free(o->node_edges);
    free(o->node_imports);
    free(o->filter);
    free(o);
}

uint64_t object_name_hash(const char *name)
{
    return XXH3_64bits(name, strlen(name));
}

/* ---- numbers and strings ---- */

void put_number(struct hira_text *out, uint64_t v)
{
    uint8_t bytes[10];
    size_t n = 0;
    do {
        bytes[n++] = (uint8_t)((v & 0x7f) | (v > 0x7f ? 0x80 : 0));
        v >>= 7;
    } while (v);
    hira_text_append(out, bytes, n);
}

void put_string(struct hira_text *out, const char *s)
{
    size_t n = s ? strlen(s) : 0;
    put_number(out, n);
    hira_text_append(out, s ? s : "", n);
}

uint64_t get_number(struct reader *r)
{
    uint64_t v = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        if (r->failed || r->at >= r->end)
            break;
        uint8_t b = *r->at++;
        v |= (uint64_t)(b & 0x7f) << shift;
        if (!(b & 0x80))
            return v;
    }
    r->failed = true;
    return 0;
}

uint64_t get_number_below(struct reader *r, uint64_t limit)
{
    uint64_t v = get_number(r);
    if (v >= limit)
        r->failed = true;
    return r->failed ? 0 : v;
}

size_t get_count(struct reader *r, size_t least)
{
    uint64_t n = get_number(r);
    if (r->failed || n > (uint64_t)(r->end - r->at) / least) {
        r->failed = true;
        return 0;
    }
    return (size_t)n;
}

char *get_string(struct reader *r)
{
    size_t n = get_count(r, 1);
    char *s = isa_strndup((const char *)r->at, r->failed ? 0 : n);
    r->at += r->failed ? 0 : n;
    return s;
}

static uint64_t get_u64(struct reader *r)
{
    uint64_t v = 0;
    if (r->failed || r->end - r->at < 8) {
        r->failed = true;
        return 0;
    }
    memcpy(&v, r->at, 8);
    r->at += 8;
    return v;
}

/* ---- writing ---- */

static void write_forms(struct hira_text *out, const struct object_form *forms, size_t n)
{
    unsigned last = 0;
    put_number(out, n);
    for (size_t i = 0; i < n; i++) {
        put_number(out, forms[i].form - last);
        put_number(out, forms[i].count);
        put_number(out, forms[i].address);
        put_number(out, forms[i].name);
        last = forms[i].form;
    }
}

static void write_symbols(struct hira_text *out, const struct object_symbol *symbols, size_t n)
{
    put_number(out, n);
    for (size_t i = 0; i < n; i++) {
        hira_text_append(out, &symbols[i].name, 8);
        put_number(out, symbols[i].version);
        put_number(out, (uint64_t)symbols[i].node << 1 | symbols[i].hidden);
    }
}

static void write_graph(struct hira_text *out, const struct object *o)
{
    put_number(out, o->n_nodes);
    for (size_t i = 0; i < o->n_nodes; i++) {
        const struct object_node *n = &o->nodes[i], *next = n + 1;
        unsigned last = 0;
        put_number(out, next->forms - n->forms);
        for (uint32_t k = n->forms; k < next->forms; k++) {
            put_number(out, (uint64_t)o->node_forms[k] - last);
            last = o->node_forms[k];
        }
        put_number(out, next->edges - n->edges);
        for (uint32_t k = n->edges; k < next->edges; k++)
            put_number(out, o->node_edges[k]);
        put_number(out, next->imports - n->imports);
        for (uint32_t k = n->imports; k < next->imports; k++)
            put_number(out, o->node_imports[k]);
    }
    put_number(out, o->start);
}

void object_write(const struct object *o, struct hira_text *out)
{
    hira_text_append(out, &o->hash, sizeof o->hash);
    put_number(out, o->flags);
    put_number(out, o->machine);
    put_number(out, o->code_bytes);
    put_number(out, o->instructions);
    put_number(out, o->bad_bytes);
    put_number(out, o->suspect_instructions);
    put_number(out, o->functions);
    put_string(out, o->soname);
    put_string(out, o->runpath);
    put_string(out, o->interp);
    put_string(out, o->remark);
    put_number(out, o->n_needed);
    for (size_t i = 0; i < o->n_needed; i++)
        put_string(out, o->needed[i]);
    write_forms(out, o->forms, o->n_forms);
    write_forms(out, o->suspect, o->n_suspect);
    put_number(out, o->names_size);
    hira_text_append(out, o->names ? o->names : "", o->names_size);
    write_symbols(out, o->imports, o->n_imports);
    write_symbols(out, o->exports, o->n_exports);
    write_graph(out, o);
}

/* ---- reading ---- */

static struct object_form *read_forms(struct reader *r, size_t *ret_n)
{
    size_t n = get_count(r, 4);
    struct object_form *forms = isa_alloc(n * sizeof *forms);
    uint64_t last = 0;
    for (size_t i = 0; i < n && !r->failed; i++) {
        last += get_number_below(r, ISA_FORMS_MAX);
        if (last >= ISA_FORMS_MAX)
            r->failed = true;
        forms[i].form = (uint16_t)last;
        forms[i].count = get_number(r);
        forms[i].address = get_number(r);
        forms[i].name = (uint32_t)get_number_below(r, UINT32_MAX);
    }
    *ret_n = n;
    return forms;
}

static struct object_symbol *read_symbols(struct reader *r, size_t *ret_n)
{
    size_t n = get_count(r, 10);
    struct object_symbol *symbols = isa_alloc(n * sizeof *symbols);
    for (size_t i = 0; i < n && !r->failed; i++) {
        symbols[i].name = get_u64(r);
        symbols[i].version = (uint32_t)get_number_below(r, 1ull << 32);
        uint64_t node = get_number_below(r, 1ull << 33);
        symbols[i].node = (uint32_t)(node >> 1);
        symbols[i].hidden = node & 1;
    }
    *ret_n = n;
    return symbols;
}

static void read_graph(struct reader *r, struct object *o)
{
    size_t fcap = 0, ecap = 0, icap = 0;
    o->n_nodes = get_count(r, 3);
    o->nodes = isa_alloc((o->n_nodes + 1) * sizeof *o->nodes);
    for (size_t i = 0; i < o->n_nodes && !r->failed; i++) {
        o->nodes[i] =
            (struct object_node){(uint32_t)o->n_node_forms, (uint32_t)o->n_node_edges, (uint32_t)o->n_node_imports};
        uint64_t last = 0;
        for (size_t n = get_count(r, 1); n && !r->failed; n--) {
            last += get_number_below(r, ISA_FORMS_MAX);
            if (last >= ISA_FORMS_MAX)
                r->failed = true;
            ISA_PUSH(o->node_forms, o->n_node_forms, fcap) = (uint16_t)last;
        }
        for (size_t n = get_count(r, 1); n && !r->failed; n--)
            ISA_PUSH(o->node_edges, o->n_node_edges, ecap) = (uint32_t)get_number_below(r, o->n_nodes);
        for (size_t n = get_count(r, 1); n && !r->failed; n--)
            ISA_PUSH(o->node_imports, o->n_node_imports, icap) = (uint32_t)get_number_below(r, o->n_imports);
    }
    o->nodes[o->n_nodes] =
        (struct object_node){(uint32_t)o->n_node_forms, (uint32_t)o->n_node_edges, (uint32_t)o->n_node_imports};
    o->start = (uint32_t)get_number_below(r, o->n_nodes ? o->n_nodes : 1);
    for (size_t i = 0; i < o->n_exports; i++) {
        if (o->exports[i].node >= o->n_nodes)
            r->failed = true;
    }
    o->memory = sizeof *o + o->n_nodes * sizeof *o->nodes + fcap * 2 + ecap * 4 + icap * 4 +
                (o->n_imports + o->n_exports) * sizeof *o->imports + o->n_forms * sizeof *o->forms + o->names_size;
}

static void make_filter(struct object *o)
{
    if (!o->n_exports)
        return;
    size_t bits = 64;
    while (bits < o->n_exports * 8)
        bits *= 2;
    o->filter_bits = bits;
    o->filter = isa_alloc(bits / 8);
    for (size_t i = 0; i < o->n_exports; i++)
        o->filter[o->exports[i].name % bits / 64] |= 1ull << (o->exports[i].name % 64);
}

int object_read(const void *data, size_t size, struct object **ret_object)
{
    struct reader r = {data, (const uint8_t *)data + size, false};
    struct object *o = isa_alloc(sizeof *o);
    o->hash.a = get_u64(&r);
    o->hash.b = get_u64(&r);
    o->flags = (uint32_t)get_number_below(&r, 256);
    o->machine = (uint32_t)get_number_below(&r, 65536);
    o->code_bytes = get_number(&r);
    o->instructions = get_number(&r);
    o->bad_bytes = get_number(&r);
    o->suspect_instructions = get_number(&r);
    o->functions = get_number(&r);
    o->soname = get_string(&r);
    o->runpath = get_string(&r);
    o->interp = get_string(&r);
    o->remark = get_string(&r);
    size_t n = get_count(&r, 1);
    o->needed = isa_alloc(n * sizeof *o->needed);
    for (; o->n_needed < n && !r.failed; o->n_needed++)
        o->needed[o->n_needed] = get_string(&r);
    o->forms = read_forms(&r, &o->n_forms);
    o->suspect = read_forms(&r, &o->n_suspect);
    o->names_size = get_count(&r, 1);
    o->names = isa_alloc(o->names_size + 1);
    if (!r.failed)
        memcpy(o->names, r.at, o->names_size);
    r.at += r.failed ? 0 : o->names_size;
    o->imports = read_symbols(&r, &o->n_imports);
    o->exports = read_symbols(&r, &o->n_exports);
    read_graph(&r, o);
    if (r.failed) {
        object_destroy(o);
        return -EBADMSG;
    }
    make_filter(o);
    *ret_object = o;
    return 0;
}

uint32_t object_find(const struct object *o, const struct object_symbol *import)
{
    size_t low = 0, high = o->n_exports;
    uint32_t second = UINT32_MAX;
    if (!high || !(o->filter[import->name % o->filter_bits / 64] >> (import->name % 64) & 1))
        return UINT32_MAX;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (o->exports[middle].name < import->name)
            low = middle + 1;
        else
            high = middle;
    }
    for (; low < o->n_exports && o->exports[low].name == import->name; low++) {
        const struct object_symbol *e = &o->exports[low];
        if (e->version == import->version)
            return e->node;
        /* An unversioned reference gets the default version; an unversioned definition serves every reference. */
        if ((!import->version && (!e->hidden || second == UINT32_MAX)) || !e->version)
            second = e->node;
    }
    return second;
}
