/*
 * A view of an ELF file in memory. Own code, for three reasons: it must live with hostile files (every offset is
 * checked against the file before use, chains are bounded), it has to read .eh_frame, and it works from program headers
 * alone where sections are stripped.
 *
 * Nothing is copied: what it returns points into the file.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#ifndef HIRA_ISA_IMAGE_H
#define HIRA_ISA_IMAGE_H

#include <elf.h>

#include "isa.h"

struct elf {
    const uint8_t *data;
    size_t size;
    const Elf64_Ehdr *header;
    const Elf64_Phdr *segments;
    const Elf64_Shdr *sections; /* NULL: none that make sense */
    size_t n_segments, n_sections;
    const char *section_names;
    size_t section_names_size;
    /* of the dynamic section */
    const Elf64_Sym *dynsym;
    size_t n_dynsym;
    const char *dynstr;
    size_t dynstr_size;
    const Elf64_Half *versym;
    uint64_t init, fini, init_array, init_array_size, fini_array, fini_array_size;
    const Elf64_Rela *rela, *plt_rela;
    size_t n_rela, n_plt_rela;
    const uint64_t *relr;
    size_t n_relr;
    const char *soname, *runpath, *interp;
    bool pie;
    const char *trouble; /* what was found broken, though the rest could be read; NULL: nothing */
};

/* Whether the bytes claim to be ELF. */
bool elf_magic(const uint8_t *data, size_t size);
/* What kind of ELF file the first bytes (64 or more) announce: NULL when it is a 64-bit little-endian program or
 * library, else a class that isapop leaves out on purpose ("relocatable object", "32-bit", ...). */
const char *elf_class(const uint8_t *data, size_t size);
/* "AArch64", or "machine 8" for what has no name here: of an ELF file's first 64 bytes. */
void elf_machine(const uint8_t *data, char ret_name[24]);
/* NULL, or why the file cannot be read. */
const char *elf_open(struct elf *elf, const uint8_t *data, size_t size);

/* `size` bytes at a virtual address, or NULL when the file has not got them all. */
const uint8_t *elf_at(const struct elf *elf, uint64_t address, uint64_t size);
/* How many bytes the file has from there. */
size_t elf_left(const struct elf *elf, uint64_t address);
const char *elf_string(const char *table, size_t size, uint64_t offset); /* NULL when it does not end in the table */
const char *elf_dynamic_string(const struct elf *elf, uint64_t offset);
/* By name, with bytes in the file; NULL: none. */
const Elf64_Shdr *elf_section(const struct elf *elf, const char *name, const uint8_t **ret_data);

/* DT_NEEDED number i, or NULL. */
const char *elf_needed(const struct elf *elf, size_t i);
/* The version of a dynamic symbol, NULL: none. `*ret_hidden`: not what an unversioned reference gets. */
struct elf_versions {
    const char **names; /* by index */
    size_t n;
};
void elf_versions_read(struct elf *elf, struct elf_versions *ret);
void elf_versions_fini(struct elf_versions *versions);

/* Calls back for each range of .eh_frame; stops where it makes no sense (elf->trouble). */
void elf_frames(struct elf *elf, void (*found)(void *context, uint64_t address, uint64_t size), void *context);

#endif
