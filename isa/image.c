/* Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0 */
#include "image.h"

#define STRING_MAX 8192     /* a name; of templates a few are longer, and count as nameless */
#define SEGMENTS_MAX 512    /* program headers; linkers make a dozen */
#define NEEDED_MAX 4096     /* entries of a dynamic section looked at */
#define VERSIONS_MAX 0x8000 /* an index has 15 bits */

bool elf_magic(const uint8_t *data, size_t size)
{
    return size >= 4 && !memcmp(data, ELFMAG, 4);
}

const char *elf_class(const uint8_t *data, size_t size)
{
    Elf64_Ehdr h;
    if (size < sizeof h || data[EI_CLASS] == ELFCLASS32)
        return size < sizeof h ? NULL : "32-bit";
    memcpy(&h, data, sizeof h);
    if (data[EI_DATA] != ELFDATA2LSB)
        return "big-endian";
    if (h.e_type == ET_REL)
        return "relocatable object";
    if (h.e_type == ET_CORE)
        return "core dump";
    return NULL;
}

void elf_machine(const uint8_t *data, char ret_name[24])
{
    static const struct {
        unsigned machine;
        const char *name;
    } names[] = {{EM_386, "x86"},         {EM_MIPS, "MIPS"},    {EM_PPC, "PowerPC"},   {EM_PPC64, "PowerPC 64"},
                 {EM_S390, "S/390"},      {EM_ARM, "ARM"},      {EM_SPARCV9, "SPARC"}, {EM_X86_64, "x86-64"},
                 {EM_AARCH64, "AArch64"}, {EM_RISCV, "RISC-V"}, {258, "LoongArch"}};
    const uint8_t *at = data + offsetof(Elf64_Ehdr, e_machine);
    unsigned machine = data[EI_DATA] == ELFDATA2MSB ? (unsigned)at[0] << 8 | at[1] : (unsigned)at[1] << 8 | at[0];
    snprintf(ret_name, 24, "machine %u", machine);
    for (size_t i = 0; i < HIRA_ARRAY_SIZE(names); i++) {
        if (names[i].machine == machine)
            snprintf(ret_name, 24, "%s", names[i].name);
    }
}

/* Bytes [offset, offset + n * each) of the file, aligned as its structures are; NULL when they are not all there. */
static const void *table(const struct elf *elf, uint64_t offset, uint64_t n, size_t each)
{
    if (offset > elf->size || offset % 8 || n > (elf->size - offset) / each)
        return NULL;
    return elf->data + offset;
}

static void trouble(struct elf *elf, const char *what)
{
    if (!elf->trouble)
        elf->trouble = what;
}

size_t elf_left(const struct elf *elf, uint64_t address)
{
    for (size_t i = 0; i < elf->n_segments; i++) {
        const Elf64_Phdr *p = &elf->segments[i];
        if (p->p_type != PT_LOAD || address < p->p_vaddr || address - p->p_vaddr >= p->p_filesz)
            continue;
        uint64_t in = address - p->p_vaddr;
        if (p->p_offset > elf->size || in >= elf->size - p->p_offset)
            return 0;
        return (size_t)HIRA_MIN(p->p_filesz - in, elf->size - p->p_offset - in);
    }
    return 0;
}

const uint8_t *elf_at(const struct elf *elf, uint64_t address, uint64_t size)
{
    if (elf_left(elf, address) < size || !size)
        return NULL;
    for (size_t i = 0; i < elf->n_segments; i++) {
        const Elf64_Phdr *p = &elf->segments[i];
        if (p->p_type == PT_LOAD && address >= p->p_vaddr && address - p->p_vaddr < p->p_filesz)
            return elf->data + p->p_offset + (address - p->p_vaddr);
    }
    return NULL;
}

/* Many names may be ends of one long text, so a name has a longest: else a file of megabytes would keep a processor for
 * hours. */
const char *elf_string(const char *table, size_t size, uint64_t offset)
{
    if (!table || offset >= size || !memchr(table + offset, 0, HIRA_MIN(size - offset, (size_t)STRING_MAX)))
        return NULL;
    return table + offset;
}

const char *elf_dynamic_string(const struct elf *elf, uint64_t offset)
{
    return elf_string(elf->dynstr, elf->dynstr_size, offset);
}

const Elf64_Shdr *elf_section(const struct elf *elf, const char *name, const uint8_t **ret_data)
{
    for (size_t i = 0; i < elf->n_sections; i++) {
        const Elf64_Shdr *s = &elf->sections[i];
        const char *n = elf_string(elf->section_names, elf->section_names_size, s->sh_name);
        if (!n || strcmp(n, name) || s->sh_type == SHT_NOBITS || s->sh_offset > elf->size ||
            s->sh_size > elf->size - s->sh_offset)
            continue;
        *ret_data = elf->data + s->sh_offset;
        return s;
    }
    return NULL;
}

static void open_sections(struct elf *elf)
{
    const Elf64_Ehdr *h = elf->header;
    if (!h->e_shoff || !h->e_shnum || h->e_shentsize != sizeof(Elf64_Shdr))
        return;
    elf->sections = table(elf, h->e_shoff, h->e_shnum, sizeof(Elf64_Shdr));
    if (!elf->sections) {
        trouble(elf, "section headers lie outside the file (was it cut?)");
        return;
    }
    elf->n_sections = h->e_shnum;
    if (h->e_shstrndx < h->e_shnum) {
        const Elf64_Shdr *s = &elf->sections[h->e_shstrndx];
        if (s->sh_offset <= elf->size && s->sh_size <= elf->size - s->sh_offset) {
            elf->section_names = (const char *)elf->data + s->sh_offset;
            elf->section_names_size = s->sh_size;
        }
    }
}

static const Elf64_Dyn *dynamic(const struct elf *elf, size_t *ret_n)
{
    for (size_t i = 0; i < elf->n_segments; i++) {
        const Elf64_Phdr *p = &elf->segments[i];
        if (p->p_type != PT_DYNAMIC)
            continue;
        const Elf64_Dyn *d = table(elf, p->p_offset, p->p_filesz / sizeof *d, sizeof *d);
        *ret_n = d ? HIRA_MIN(p->p_filesz / sizeof *d, (uint64_t)NEEDED_MAX) : 0;
        return d;
    }
    *ret_n = 0;
    return NULL;
}

static uint64_t dynamic_value(const struct elf *elf, int64_t tag)
{
    size_t n;
    const Elf64_Dyn *d = dynamic(elf, &n);
    for (size_t i = 0; i < n && d[i].d_tag != DT_NULL; i++) {
        if (d[i].d_tag == tag)
            return d[i].d_un.d_val;
    }
    return 0;
}

const char *elf_needed(const struct elf *elf, size_t index)
{
    size_t n;
    const Elf64_Dyn *d = dynamic(elf, &n);
    for (size_t i = 0; i < n && d[i].d_tag != DT_NULL; i++) {
        if (d[i].d_tag == DT_NEEDED && index-- == 0)
            return elf_dynamic_string(elf, d[i].d_un.d_val);
    }
    return NULL;
}

/* The dynamic section does not say how many symbols there are. Sections do; without them the string table follows the
 * symbols in every linker's output. The hash tables would say so too, but their chains are a stranger's to tie. */
static void open_symbols(struct elf *elf)
{
    uint64_t at = dynamic_value(elf, DT_SYMTAB), strings = dynamic_value(elf, DT_STRTAB);
    elf->dynstr_size = dynamic_value(elf, DT_STRSZ);
    elf->dynstr = elf->dynstr_size ? (const char *)elf_at(elf, strings, elf->dynstr_size) : NULL;
    if (!elf->dynstr)
        elf->dynstr_size = 0;
    if (!at)
        return;
    uint64_t n = 0;
    for (size_t i = 0; i < elf->n_sections; i++) {
        if (elf->sections[i].sh_type == SHT_DYNSYM && elf->sections[i].sh_addr == at)
            n = elf->sections[i].sh_size / sizeof(Elf64_Sym);
    }
    if (!n && strings > at)
        n = (strings - at) / sizeof(Elf64_Sym);
    n = HIRA_MIN(n, elf_left(elf, at) / sizeof(Elf64_Sym));
    const uint8_t *p = n ? elf_at(elf, at, n * sizeof(Elf64_Sym)) : NULL;
    if (!p || (uintptr_t)p % 8) {
        trouble(elf, "the dynamic symbols lie outside the file");
        return;
    }
    elf->dynsym = (const Elf64_Sym *)(const void *)p;
    elf->n_dynsym = n;
    p = elf_at(elf, dynamic_value(elf, DT_VERSYM), n * sizeof(Elf64_Half));
    elf->versym = p && (uintptr_t)p % 2 == 0 ? (const Elf64_Half *)(const void *)p : NULL;
}

static const void *dynamic_table(struct elf *elf, int64_t tag, int64_t size_tag, size_t each, size_t *ret_n)
{
    uint64_t at = dynamic_value(elf, tag), size = dynamic_value(elf, size_tag);
    const uint8_t *p = at && size ? elf_at(elf, at, size) : NULL;
    if (at && size && (!p || (uintptr_t)p % 8))
        trouble(elf, "relocations lie outside the file");
    if (!p || (uintptr_t)p % 8)
        return NULL;
    *ret_n = size / each;
    return p;
}

static void open_dynamic(struct elf *elf)
{
    size_t n;
    if (!dynamic(elf, &n))
        return;
    open_symbols(elf);
    elf->init = dynamic_value(elf, DT_INIT);
    elf->fini = dynamic_value(elf, DT_FINI);
    elf->init_array = dynamic_value(elf, DT_INIT_ARRAY);
    elf->init_array_size = dynamic_value(elf, DT_INIT_ARRAYSZ);
    elf->fini_array = dynamic_value(elf, DT_FINI_ARRAY);
    elf->fini_array_size = dynamic_value(elf, DT_FINI_ARRAYSZ);
    elf->rela = dynamic_table(elf, DT_RELA, DT_RELASZ, sizeof(Elf64_Rela), &elf->n_rela);
    elf->plt_rela = dynamic_table(elf, DT_JMPREL, DT_PLTRELSZ, sizeof(Elf64_Rela), &elf->n_plt_rela);
    elf->relr = dynamic_table(elf, 36 /* DT_RELR */, 35 /* DT_RELRSZ */, 8, &elf->n_relr);
    elf->pie = dynamic_value(elf, DT_FLAGS_1) & DF_1_PIE;
    uint64_t name = dynamic_value(elf, DT_SONAME), path = dynamic_value(elf, DT_RUNPATH);
    elf->soname = name ? elf_dynamic_string(elf, name) : NULL;
    path = path ? path : dynamic_value(elf, DT_RPATH);
    elf->runpath = path ? elf_dynamic_string(elf, path) : NULL;
}

const char *elf_open(struct elf *elf, const uint8_t *data, size_t size)
{
    *elf = (struct elf){.data = data, .size = size};
    if (size < sizeof(Elf64_Ehdr))
        return "the file ends inside its ELF header; was the copy complete?";
    elf->header = (const Elf64_Ehdr *)(const void *)data;
    if (elf->header->e_phentsize != sizeof(Elf64_Phdr) || !elf->header->e_phnum)
        return "it has no program headers, so nothing in it can be run";
    elf->segments = table(elf, elf->header->e_phoff, elf->header->e_phnum, sizeof(Elf64_Phdr));
    if (!elf->segments)
        return "its program headers lie outside the file; was the copy complete?";
    elf->n_segments = HIRA_MIN(elf->header->e_phnum, SEGMENTS_MAX);
    for (size_t i = 0; i < elf->n_segments; i++) {
        const Elf64_Phdr *p = &elf->segments[i];
        if (p->p_type == PT_LOAD && (p->p_offset > size || p->p_filesz > size - p->p_offset))
            trouble(elf, "a segment reaches past the end of the file (was it cut?)");
        if (p->p_type == PT_INTERP && p->p_offset < size)
            elf->interp = elf_string((const char *)data, size, p->p_offset);
    }
    open_sections(elf);
    open_dynamic(elf);
    return NULL;
}

/* ---- versions ---- */

static void version_set(struct elf_versions *v, unsigned index, const char *name)
{
    index &= VERSIONS_MAX - 1;
    if (!name)
        return;
    if (index >= v->n) {
        v->names = isa_realloc(v->names, (index + 1) * sizeof *v->names);
        memset(v->names + v->n, 0, (index + 1 - v->n) * sizeof *v->names);
        v->n = index + 1;
    }
    v->names[index] = name;
}

/* Both tables are chains by offsets. Each step must lead forward, and none is taken more often than the table says it
 * has entries. */
static void read_needed_versions(struct elf *elf, struct elf_versions *v, uint64_t at, uint64_t n)
{
    const uint8_t *p;
    for (; n && (p = elf_at(elf, at, sizeof(Elf64_Verneed))); n--) {
        Elf64_Verneed need;
        memcpy(&need, p, sizeof need);
        uint64_t aux_at = at + need.vn_aux;
        for (unsigned i = 0; i < need.vn_cnt && (p = elf_at(elf, aux_at, sizeof(Elf64_Vernaux))); i++) {
            Elf64_Vernaux aux;
            memcpy(&aux, p, sizeof aux);
            version_set(v, aux.vna_other, elf_dynamic_string(elf, aux.vna_name));
            if (!aux.vna_next)
                break;
            aux_at += aux.vna_next;
        }
        if (!need.vn_next)
            return;
        at += need.vn_next;
    }
    if (n)
        trouble(elf, "its version table leads nowhere");
}

static void read_defined_versions(struct elf *elf, struct elf_versions *v, uint64_t at, uint64_t n)
{
    const uint8_t *p;
    for (; n && (p = elf_at(elf, at, sizeof(Elf64_Verdef))); n--) {
        Elf64_Verdef def;
        Elf64_Verdaux aux;
        memcpy(&def, p, sizeof def);
        if (!(def.vd_flags & VER_FLG_BASE) && (p = elf_at(elf, at + def.vd_aux, sizeof aux))) {
            memcpy(&aux, p, sizeof aux);
            version_set(v, def.vd_ndx, elf_dynamic_string(elf, aux.vda_name));
        }
        if (!def.vd_next)
            return;
        at += def.vd_next;
    }
    if (n)
        trouble(elf, "its version table leads nowhere");
}

void elf_versions_read(struct elf *elf, struct elf_versions *ret)
{
    *ret = (struct elf_versions){0};
    if (!elf->versym)
        return;
    /* A chain's length is a stranger's word; the file has no room for more entries than this. */
    uint64_t most = elf->size / sizeof(Elf64_Verdaux);
    read_needed_versions(elf, ret, dynamic_value(elf, DT_VERNEED),
                         HIRA_MIN(dynamic_value(elf, DT_VERNEEDNUM), HIRA_MIN(most, 65536u)));
    read_defined_versions(elf, ret, dynamic_value(elf, DT_VERDEF),
                          HIRA_MIN(dynamic_value(elf, DT_VERDEFNUM), HIRA_MIN(most, 65536u)));
}

void elf_versions_fini(struct elf_versions *versions)
{
    free(versions->names);
}

/* ---- .eh_frame ---- */

struct frames {
    const uint8_t *data;
    size_t size;
    uint64_t address;
};

static bool frames_find(struct elf *elf, struct frames *f)
{
    const Elf64_Shdr *s = elf_section(elf, ".eh_frame", &f->data);
    if (s) {
        f->size = s->sh_size;
        f->address = s->sh_addr;
        return true;
    }
    for (size_t i = 0; i < elf->n_segments; i++) {
        const Elf64_Phdr *p = &elf->segments[i];
        const uint8_t *h = p->p_type == PT_GNU_EH_FRAME ? elf_at(elf, p->p_vaddr, 8) : NULL;
        if (!h ||
            h[1] !=
                0x1b) /* version, encoding of the pointer: four bytes relative to themselves, what all linkers write */
            continue;
        int32_t offset;
        memcpy(&offset, h + 4, 4);
        f->address = p->p_vaddr + 4 + (uint64_t)(int64_t)offset;
        f->size = elf_left(elf, f->address);
        f->data = elf_at(elf, f->address, f->size);
        return f->data;
    }
    return false;
}

static bool skip_leb(const uint8_t **p, const uint8_t *end)
{
    while (*p < end && **p & 0x80)
        ++*p;
    return (*p)++ < end;
}

/* The encoding of addresses in the FDEs of a common entry, 0xff when it is none that is understood. */
static unsigned cie_encoding(const uint8_t *p, const uint8_t *end)
{
    if (p >= end)
        return 0xff;
    p++; /* version */
    const uint8_t *augmentation = p, *nul = memchr(p, 0, (size_t)(end - p));
    if (!nul)
        return 0xff;
    p = nul + 1;
    if (!skip_leb(&p, end) || !skip_leb(&p, end) || !skip_leb(&p, end)) /* alignments, return column */
        return 0xff;
    if (*augmentation != 'z')
        return 0;
    if (!skip_leb(&p, end))
        return 0xff;
    for (const uint8_t *a = augmentation + 1; *a && p < end; a++) {
        if (*a == 'R')
            return *p;
        if (*a == 'L')
            p++;
        else if (*a == 'P')
            p += 1 + ((*p & 7) == 3 ? 4 : (*p & 7) == 2 ? 2 : 8);
        else if (*a != 'S' && *a != 'B')
            return 0xff;
    }
    return strchr((const char *)augmentation, 'R') ? 0xff : 0;
}

static bool frame_range(const struct frames *f, unsigned encoding, size_t at, size_t end, uint64_t *ret_address,
                        uint64_t *ret_size)
{
    unsigned format = encoding & 0x0f, width = format == 3 || format == 0x0b                  ? 4
                                               : format == 0 || format == 4 || format == 0x0c ? 8
                                                                                              : 0;
    if (encoding == 0xff || !width || encoding & 0x80 || (encoding & 0x70) > 0x10 || end - at < 2 * width)
        return false;
    uint64_t a = 0, n = 0;
    memcpy(&a, f->data + at, width);
    memcpy(&n, f->data + at + width, width);
    if (format == 0x0b)
        a = (uint64_t)(int64_t)(int32_t)a;
    if ((encoding & 0x70) == 0x10)
        a += f->address + at;
    *ret_address = a;
    *ret_size = n;
    return true;
}

void elf_frames(struct elf *elf, void (*found)(void *context, uint64_t address, uint64_t size), void *context)
{
    struct frames f;
    size_t last_cie = SIZE_MAX;
    unsigned encoding = 0xff;
    if (!frames_find(elf, &f))
        return;
    for (size_t at = 0; f.size - at >= 8;) {
        uint32_t length, id;
        memcpy(&length, f.data + at, 4);
        if (!length)
            break;
        if (length == 0xffffffff || length < 4 || length > f.size - at - 4) {
            trouble(elf, "its .eh_frame makes no sense; functions found so far are used");
            return;
        }
        size_t body = at + 4, end = body + length;
        memcpy(&id, f.data + body, 4);
        if (id && id <= body) {
            size_t cie = body - id;
            uint64_t address, size;
            if (cie != last_cie && cie + 8 <= f.size) {
                uint32_t cie_length;
                memcpy(&cie_length, f.data + cie, 4);
                last_cie = cie;
                encoding = cie_length >= 4 && cie_length <= f.size - cie - 4
                               ? cie_encoding(f.data + cie + 8, f.data + cie + 4 + cie_length)
                               : 0xff;
            }
            if (frame_range(&f, encoding, body + 4, end, &address, &size) && size)
                found(context, address, size);
        }
        at = end;
    }
}
