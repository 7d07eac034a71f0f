/*
 * What isapop knows of one ELF file, however often it occurs: which forms are in it, and, of a library, which of its
 * functions lead to which. It is made from the file's bytes (analyze.c), kept in the database under their hash, and
 * read from there.
 *
 * The graph of a library has a node for each function or table that something outside the function itself can lead to,
 * with the forms in it, the nodes it leads to and the imports it uses. A node that only one other leads to is part of
 * that one. Programs have no graph: all of their code counts.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#ifndef HIRA_ISA_OBJECT_H
#define HIRA_ISA_OBJECT_H

#include "decoder.h"

enum {
    OBJECT_PROGRAM = 1,  /* can be started */
    OBJECT_CPU_TEST = 2, /* asks what the processor can do: instructions above a level need not run on a lower one */
    OBJECT_WHOLE = 4,    /* its graph would have been too large: everything in it counts as reached */
    OBJECT_IFUNC = 8,
};

struct object_form {
    uint16_t form;
    uint64_t count;
    uint64_t address; /* of the first */
    uint32_t name;    /* of the function it is in, offset in names; 0: unknown */
};

struct object_symbol {
    uint64_t name; /* hashes */
    uint32_t version;
    uint32_t node; /* of exports */
    bool hidden;
};

struct object_node {
    uint32_t forms, edges, imports; /* where the node's ones start; they end where the next's start */
};

struct object {
    struct isa_hash hash;
    uint32_t flags, machine;
    uint64_t code_bytes, instructions, bad_bytes, suspect_instructions, functions;
    char *soname, *runpath, *interp;
    char *remark; /* what was broken in it, though it could be used; "": nothing */
    char **needed;
    size_t n_needed;
    struct object_form *forms;   /* sorted by form */
    struct object_form *suspect; /* forms that occur in suspicious spans only */
    size_t n_forms, n_suspect;
    char *names;
    size_t names_size;
    struct object_symbol *imports, *exports; /* exports sorted by name */
    size_t n_imports, n_exports;
    struct object_node *nodes; /* n_nodes + 1 */
    size_t n_nodes;
    uint16_t *node_forms;
    uint32_t *node_edges, *node_imports;
    size_t n_node_forms, n_node_edges, n_node_imports;
    uint32_t start; /* the node of everything that runs when the library is loaded, and of its entry */
    /* for the cache of loaded objects */
    uint64_t *filter; /* a bit for each export's name: most libraries do not have what is looked for */
    size_t filter_bits, memory;
};

void object_destroy(struct object *object); /* NULL allowed */

/* The bytes of an object and back; 0 or -EBADMSG. Forms are numbers of the database's table. */
void object_write(const struct object *object, struct hira_text *out);
int object_read(const void *data, size_t size, struct object **ret_object);

/* The node of an export that fits an import's name and version; UINT32_MAX: none. */
uint32_t object_find(const struct object *object, const struct object_symbol *import);

uint64_t object_name_hash(const char *name);

/* ---- varints, as the database has them everywhere ---- */

void put_number(struct hira_text *out, uint64_t value);
void put_string(struct hira_text *out, const char *s); /* NULL as "" */

/* Reading is sticky: after the first short or senseless read everything is 0, and `failed` says so. */
struct reader {
    const uint8_t *at, *end;
    bool failed;
};
uint64_t get_number(struct reader *r);
uint64_t get_number_below(struct reader *r, uint64_t limit);
char *get_string(struct reader *r);
/* A number of elements, each of at least `least` bytes: never more than what is left can hold. */
size_t get_count(struct reader *r, size_t least);

#endif
