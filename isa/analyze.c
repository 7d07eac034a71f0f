/* Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0 */
#include "analyze_private.h"

#include <sys/mman.h>
#include <unistd.h>
#include <xxhash.h>

#define RELEASE_EVERY (4u << 20) /* bytes of code after which pages are given back */

struct region {
    uint64_t address;
    const uint8_t *data;
    size_t size;
    uint32_t stub; /* size of each entry, for the procedure linkage table; 0: code */
};

struct start {
    uint64_t address, size;
    const char *name;
};

struct starts {
    struct start *items;
    size_t n, cap;
};

struct analyzer *analyzer_create(struct isa_forms *forms)
{
    struct analyzer *a = isa_alloc(sizeof *a);
    a->forms = forms;
    return a;
}

void analyzer_destroy(struct analyzer *a)
{
    if (!a)
        return;
    free(a->functions);
    free(a->function_forms);
    free(a->edges);
    free(a->bad);
    free(a);
}

struct isa_hash isa_hash_of(const void *data, size_t size)
{
    XXH128_hash_t h = XXH3_128bits(data, size);
    return (struct isa_hash){h.low64, h.high64};
}

/* ---- where code is ---- */

static size_t regions_of(const struct elf *elf, struct region *ret, size_t most)
{
    size_t n = 0;
    for (size_t i = 0; i < elf->n_sections && n < most; i++) {
        const Elf64_Shdr *s = &elf->sections[i];
        if (!(s->sh_flags & SHF_EXECINSTR) || !(s->sh_flags & SHF_ALLOC) || s->sh_type == SHT_NOBITS || !s->sh_size)
            continue;
        const uint8_t *p = elf_at(elf, s->sh_addr, s->sh_size);
        if (!p)
            continue;
        const char *name = elf_string(elf->section_names, elf->section_names_size, s->sh_name);
        bool stubs = name && !strncmp(name, ".plt", 4) && (s->sh_entsize == 8 || s->sh_entsize == 16);
        stubs = stubs && s->sh_size / s->sh_entsize < ISA_STUBS_MAX;
        ret[n++] = (struct region){s->sh_addr, p, s->sh_size, stubs ? (uint32_t)s->sh_entsize : 0};
    }
    for (size_t i = 0; !n && i < elf->n_segments && n < most; i++) {
        const Elf64_Phdr *s = &elf->segments[i];
        size_t left = elf_left(elf, s->p_vaddr);
        if (s->p_type == PT_LOAD && s->p_flags & PF_X && left)
            ret[n++] = (struct region){s->p_vaddr, elf_at(elf, s->p_vaddr, left), left, 0};
    }
    return n;
}

static void add_start(struct starts *s, uint64_t address, uint64_t size, const char *name)
{
    if (s->n < ISA_FUNCTIONS_MAX)
        ISA_PUSH(s->items, s->n, s->cap) = (struct start){address, size, name};
}

static void add_symbols(struct starts *s, const Elf64_Sym *symbols, size_t n, const char *strings, size_t strings_size)
{
    for (size_t i = 0; i < n; i++) {
        unsigned type = ELF64_ST_TYPE(symbols[i].st_info);
        if ((type == STT_FUNC || type == STT_GNU_IFUNC) && symbols[i].st_shndx != SHN_UNDEF && symbols[i].st_value)
            add_start(s, symbols[i].st_value, symbols[i].st_size,
                      elf_string(strings, strings_size, symbols[i].st_name));
    }
}

static void add_frame(void *starts, uint64_t address, uint64_t size)
{
    add_start(starts, address, size, NULL);
}

static void starts_of(struct elf *elf, struct starts *s)
{
    const uint8_t *strings, *symbols;
    const Elf64_Shdr *tab = elf_section(elf, ".symtab", &symbols), *str = elf_section(elf, ".strtab", &strings);
    if (tab && str && (uintptr_t)symbols % 8 == 0)
        add_symbols(s, (const Elf64_Sym *)(const void *)symbols, tab->sh_size / sizeof(Elf64_Sym),
                    (const char *)strings, str->sh_size);
    add_symbols(s, elf->dynsym, elf->n_dynsym, elf->dynstr, elf->dynstr_size);
    elf_frames(elf, add_frame, s);
    const uint64_t entries[] = {elf->header->e_entry, elf->init, elf->fini};
    for (size_t i = 0; i < HIRA_ARRAY_SIZE(entries); i++) {
        if (entries[i])
            add_start(s, entries[i], 0, NULL);
    }
}

/* By address; of several with one address first the longest, then the named. */
static int by_address(const void *x, const void *y)
{
    const struct start *a = x, *b = y;
    if (a->address != b->address)
        return a->address < b->address ? -1 : 1;
    if (a->size != b->size)
        return a->size > b->size ? -1 : 1;
    return !!b->name - !!a->name;
}

static void add_function(struct analyzer *a, uint64_t from, uint64_t to, const char *name, unsigned flags)
{
    /* A length has 32 bits: more than that without a single start is taken in pieces. */
    while (from < to) {
        uint64_t end = HIRA_MIN(to, from + (64u << 20));
        ISA_PUSH(a->functions, a->n_functions, a->functions_cap) =
            (struct function){from, name, (uint32_t)(end - from), 0, 0, (uint8_t)flags};
        from = end;
    }
}

/* Cuts a region at the starts in it, which are sorted. */
static void cut(struct analyzer *a, const struct region *r, const struct starts *s)
{
    uint64_t at = r->address, end = r->address + r->size;
    size_t i = 0, high = s->n;
    while (i < high) {
        size_t middle = (i + high) / 2;
        if (s->items[middle].address < at)
            i = middle + 1;
        else
            high = middle;
    }
    while (r->stub && at < end) {
        add_function(a, at, HIRA_MIN(at + r->stub, end), NULL, 0);
        at += r->stub;
    }
    while (at < end && i < s->n && s->items[i].address < end) {
        const struct start *one = &s->items[i];
        const char *name = one->name;
        for (i++; i < s->n && s->items[i].address == one->address; i++)
            name = name ? name : s->items[i].name;
        uint64_t next = i < s->n && s->items[i].address < end ? s->items[i].address : end;
        uint64_t stop = one->size && one->size < next - one->address ? one->address + one->size : next;
        if (one->address > at)
            add_function(a, at, one->address, NULL, F_UNKNOWN);
        add_function(a, one->address, stop, name, one->size > next - one->address ? F_FALLS : 0);
        at = stop;
    }
    if (at < end)
        add_function(a, at, end, NULL, F_UNKNOWN);
}

size_t function_at(const struct analyzer *a, uint64_t address)
{
    size_t low = 0, high = a->n_functions;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (a->functions[middle].address <= address)
            low = middle + 1;
        else
            high = middle;
    }
    return low && address - a->functions[low - 1].address < a->functions[low - 1].size ? low - 1 : SIZE_MAX;
}

/* ---- the sweep ---- */

static inline void note_target(struct analyzer *a, const struct function *f, const struct isa_insn *in)
{
    uint64_t to = in->target - a->base;
    if (in->target - f->address < f->size || to >= UINT32_MAX)
        return;
    uint32_t *slot = &a->recent[(to ^ to >> 6) & 63];
    if (*slot == (uint32_t)to)
        return;
    *slot = (uint32_t)to;
    if (a->n_edges >= ISA_EDGES_MAX)
        a->too_many = true;
    else
        ISA_PUSH(a->edges, a->n_edges, a->edges_cap) = (uint32_t)to;
}

static inline void note_form(struct analyzer *a, unsigned form, uint32_t at)
{
    struct note *n = &a->notes[form];
    if (n->stamp != a->epoch) {
        *n = (struct note){a->epoch, 0, at};
        a->touched[a->n_touched++] = (uint16_t)form;
    }
    n->count++;
}

/* ---- instructions by their first bytes ---- */

static inline struct memo *memo_slot(struct analyzer *a, uint32_t tag, unsigned bytes)
{
    return &a->more[(tag * 0x9e3779b1u + bytes * 0x85ebca6bu) >> 17];
}

static inline const struct memo *memo_find(struct analyzer *a, uint32_t word)
{
    const struct memo *m = &a->two[word & 0xffff];
    if (m->bytes)
        return m;
    m = memo_slot(a, word & 0xffffff, 3);
    if (m->bytes == 3 && m->tag == (word & 0xffffff))
        return m;
    m = memo_slot(a, word, 4);
    return m->bytes == 4 && m->tag == word ? m : NULL;
}

static void memo_keep(struct analyzer *a, uint32_t word, const struct isa_insn *in, unsigned form)
{
    struct memo new = {word, (uint16_t)form, in->length, in->flags, in->field, in->width, in->decided};
    if (!in->decided || in->decided > 4)
        return;
    if (in->decided <= 2) {
        a->two[word & 0xffff] = new;
        return;
    }
    new.tag = in->decided == 3 ? word & 0xffffff : word;
    *memo_slot(a, new.tag, in->decided) = new;
}

static inline uint64_t field_target(const struct memo *m, const uint8_t *p, uint64_t address)
{
    int8_t byte;
    int16_t half;
    int32_t word;
    int64_t offset;
    if (m->width == 4) {
        memcpy(&word, p + m->field, 4);
        offset = word;
    } else if (m->width == 1) {
        memcpy(&byte, p + m->field, 1);
        offset = byte;
    } else {
        memcpy(&half, p + m->field, 2);
        offset = half;
    }
    return address + m->length + (uint64_t)offset;
}

/* The instruction at p, of which `left` bytes may belong to it; false: there is none. */
static inline bool step(struct analyzer *a, const uint8_t *p, size_t left, uint64_t address, struct isa_insn *in,
                        unsigned *form)
{
    uint32_t word = 0;
    if (hira_likely(left >= 4)) {
        memcpy(&word, p, 4);
        const struct memo *m = memo_find(a, word);
        if (hira_likely(m && m->length <= left)) {
            in->length = m->length;
            in->flags = m->flags;
            *form = m->form;
            if (m->width)
                in->target = field_target(m, p, address);
            return true;
        }
    }
    if (!a->decoder->decode(p, left, address, in))
        return false;
    *form = isa_form_number(&a->cache, a->forms, a->decoder, in->key);
    if (left >= 4)
        memo_keep(a, word, in, *form);
    return true;
}

static inline bool zeros(const uint8_t *p, size_t left)
{
    uint32_t word;
    if (left < 4)
        return false;
    memcpy(&word, p, 4);
    return !word;
}

/* The short way, for a function in which nothing is suspicious, as nearly all are. False: something is, and nothing has
 * been counted. */
static bool sweep_clean(struct analyzer *a, const struct function *f, const uint8_t *p, uint64_t *instructions)
{
    struct isa_insn in;
    uint64_t n = 0;
    unsigned form;
    for (uint32_t at = 0; at < f->size; at += in.length, n++) {
        if (!step(a, p + at, f->size - at, f->address + at, &in, &form) || in.flags & INSN_ALIEN ||
            zeros(p + at, f->size - at))
            return false;
        note_form(a, form, at);
        if (in.flags && a->want_graph)
            note_target(a, f, &in);
    }
    *instructions += n;
    return true;
}

static void find_bad(struct analyzer *a, const struct function *f, const uint8_t *p)
{
    struct isa_insn in;
    unsigned form;
    a->n_bad = 0;
    for (uint32_t at = 0; at < f->size;) {
        bool ok = step(a, p + at, f->size - at, f->address + at, &in, &form);
        if (!ok || in.flags & INSN_ALIEN || zeros(p + at, f->size - at))
            ISA_PUSH(a->bad, a->n_bad, a->bad_cap) = at;
        at += ok ? in.length : a->decoder->step;
    }
}

static void note_suspect(struct analyzer *a, size_t function, unsigned form, uint64_t address)
{
    if (!a->suspect[form]++) {
        a->suspect_address[form] = address;
        a->suspect_function[form] = (uint32_t)function;
    }
}

static void sweep_dirty(struct analyzer *a, size_t index, const uint8_t *p, struct object *o,
                        const struct analyze_options *options)
{
    const struct function *f = &a->functions[index];
    uint32_t window = f->flags & F_UNKNOWN ? ISA_NEAR_UNKNOWN : ISA_NEAR;
    size_t next = 0;
    find_bad(a, f, p);
    for (uint32_t at = 0; at < f->size;) {
        struct isa_insn in;
        unsigned form = 0;
        bool ok = step(a, p + at, f->size - at, f->address + at, &in, &form);
        while (next < a->n_bad && a->bad[next] < at)
            next++;
        bool suspect = (next < a->n_bad && a->bad[next] - at <= window) || (next && at - a->bad[next - 1] <= window);
        unsigned length = ok ? in.length : a->decoder->step;
        if (!ok) {
            o->bad_bytes += length;
        } else if (suspect) {
            note_suspect(a, index, form, f->address + at);
            o->suspect_instructions++;
        } else {
            note_form(a, form, at);
            o->instructions++;
        }
        if (ok && in.flags && a->want_graph)
            note_target(a, f, &in);
        if (options->observe)
            options->observe(options->context, f->address + at, length,
                             !ok       ? SPAN_BAD
                             : suspect ? SPAN_SUSPECT
                                       : SPAN_INSTRUCTION,
                             form, f->name);
        at += length;
    }
}

static void begin_function(struct analyzer *a)
{
    a->n_touched = 0;
    if (!++a->epoch) {
        memset(a->notes, 0, sizeof a->notes);
        a->epoch = 1;
    }
}

static void end_function(struct analyzer *a, size_t index)
{
    struct function *f = &a->functions[index];
    for (size_t i = 0; i < a->n_touched; i++) {
        unsigned form = a->touched[i];
        if (!a->total[form]) {
            a->first_address[form] = f->address + a->notes[form].first;
            a->first_function[form] = (uint32_t)index;
        }
        a->total[form] += a->notes[form].count;
        if (a->want_graph)
            ISA_PUSH(a->function_forms, a->n_function_forms, a->function_forms_cap) = (uint16_t)form;
    }
}

static void release(const uint8_t *from, const uint8_t *to)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), begin = ((uintptr_t)from + page - 1) & ~(page - 1),
              end = (uintptr_t)to & ~(page - 1);
    if (begin < end)
        madvise((void *)begin, end - begin, MADV_DONTNEED);
}

/* Between two ways through a file, its pages need not stay. */
static void release_all(const struct analyze_options *options, const uint8_t *data, size_t size)
{
    if (options->mapped)
        release(data, data + size);
}

static void sweep_region(struct analyzer *a, const struct region *r, size_t first, struct object *o,
                         const struct analyze_options *options)
{
    const uint8_t *released = r->data;
    for (size_t i = first; i < a->n_functions; i++) {
        struct function *f = &a->functions[i];
        const uint8_t *p = r->data + (f->address - r->address);
        f->forms = (uint32_t)a->n_function_forms;
        f->edges = (uint32_t)a->n_edges;
        memset(a->recent, 0xff, sizeof a->recent);
        begin_function(a);
        if (options->observe || !sweep_clean(a, f, p, &o->instructions)) {
            begin_function(a);
            a->n_edges = f->edges;
            memset(a->recent, 0xff, sizeof a->recent);
            sweep_dirty(a, i, p, o, options);
        }
        if (f->flags & F_FALLS && a->want_graph && a->n_edges < ISA_EDGES_MAX)
            ISA_PUSH(a->edges, a->n_edges, a->edges_cap) = (uint32_t)(f->address + f->size - a->base);
        end_function(a, i);
        if (options->mapped && p + f->size - released > RELEASE_EVERY) {
            release(released, p + f->size);
            released = p + f->size;
        }
    }
    if (options->mapped)
        release(released, r->data + r->size);
    o->code_bytes += r->size;
}

/* ---- the whole ---- */

static void reset(struct analyzer *a, const struct elf *elf)
{
    a->n_functions = a->n_function_forms = a->n_edges = 0;
    a->too_many = false;
    a->base = UINT64_MAX;
    memset(a->total, 0, sizeof a->total);
    memset(a->suspect, 0, sizeof a->suspect);
    for (size_t i = 0; i < elf->n_segments; i++) {
        if (elf->segments[i].p_type == PT_LOAD)
            a->base = HIRA_MIN(a->base, elf->segments[i].p_vaddr);
    }
}

/* A program may have hundreds of megabytes: what this file needed and no other is given back. */
static void shrink(struct analyzer *a)
{
    if (a->functions_cap * sizeof *a->functions + a->edges_cap * 4 + a->function_forms_cap * 2 < (4u << 20))
        return;
    free(a->functions);
    free(a->edges);
    free(a->function_forms);
    a->functions = NULL;
    a->edges = NULL;
    a->function_forms = NULL;
    a->functions_cap = a->edges_cap = a->function_forms_cap = 0;
}

static uint32_t keep_name(struct hira_text *names, const char *name)
{
    if (!name || !*name)
        return 0;
    uint32_t at = (uint32_t)names->size;
    hira_text_append(names, name, HIRA_MIN(strlen(name), (size_t)200));
    hira_text_append(names, "", 1);
    return at;
}

static void keep_form(struct analyzer *a, struct object *o, unsigned form, struct hira_text *names, size_t *fcap,
                      size_t *scap)
{
    if (a->total[form]) {
        const char *name = a->functions[a->first_function[form]].name;
        ISA_PUSH(o->forms, o->n_forms, *fcap) =
            (struct object_form){(uint16_t)form, a->total[form], a->first_address[form], keep_name(names, name)};
        if (isa_forms_get(a->forms, form)->flags & FORM_CPU_TEST)
            o->flags |= OBJECT_CPU_TEST;
    } else if (a->suspect[form]) {
        const char *name = a->functions[a->suspect_function[form]].name;
        ISA_PUSH(o->suspect, o->n_suspect, *scap) =
            (struct object_form){(uint16_t)form, a->suspect[form], a->suspect_address[form], keep_name(names, name)};
    }
}

static void keep_forms(struct analyzer *a, struct object *o)
{
    struct hira_text names = {0};
    size_t fcap = 0, scap = 0;
    unsigned n = isa_forms_count(a->forms);
    hira_text_append(&names, "", 1);
    for (unsigned i = 0; i < n; i++)
        keep_form(a, o, i, &names, &fcap, &scap);
    if (n < ISA_FORMS_MAX)
        keep_form(a, o, ISA_FORMS_MAX - 1, &names, &fcap, &scap);
    o->names = names.data;
    o->names_size = names.size;
}

static void keep_dynamic(const struct elf *elf, struct object *o)
{
    const char *name;
    size_t cap = 0;
    o->soname = isa_strdup(elf->soname ? elf->soname : "");
    o->runpath = isa_strdup(elf->runpath ? elf->runpath : "");
    o->interp = isa_strdup(elf->interp ? elf->interp : "");
    for (size_t i = 0; i < ISA_SCOPE_MAX && (name = elf_needed(elf, i)); i++)
        ISA_PUSH(o->needed, o->n_needed, cap) = isa_strdup(name);
}

/* A file of debugging information has the headers of the code that it is about, and no code. */
static bool only_debugging(const struct elf *elf)
{
    bool without = false;
    for (size_t i = 0; i < elf->n_sections; i++) {
        const Elf64_Shdr *s = &elf->sections[i];
        if (s->sh_flags & SHF_EXECINSTR && s->sh_type != SHT_NOBITS)
            return false;
        without = without || s->sh_flags & SHF_EXECINSTR;
    }
    return without;
}

struct object *analyze(struct analyzer *a, const uint8_t *data, size_t size, const struct analyze_options *options,
                       const char **ret_reason)
{
    struct elf elf;
    struct region regions[64];
    struct starts starts = {0};
    *ret_reason = elf_open(&elf, data, size);
    if (*ret_reason)
        return NULL;
    if (only_debugging(&elf))
        return NULL;
    const struct isa_decoder *before = a->decoder;
    a->decoder = isa_decoder_for(elf.header->e_machine);
    if (!a->decoder) {
        *ret_reason = "code for a machine that there is no decoder for";
        return NULL;
    }
    if (a->decoder != before) {
        memset(a->two, 0, sizeof a->two);
        memset(a->more, 0, sizeof a->more);
        memset(&a->cache, 0, sizeof a->cache);
    }
    struct object *o = isa_alloc(sizeof *o);
    o->machine = elf.header->e_machine;
    if (elf.header->e_type == ET_EXEC || elf.pie || (elf.interp && !elf.soname))
        o->flags |= OBJECT_PROGRAM;
    reset(a, &elf);
    a->want_graph = !(o->flags & OBJECT_PROGRAM);
    starts_of(&elf, &starts);
    release_all(options, data, size);
    if (starts.n)
        qsort(starts.items, starts.n, sizeof *starts.items, by_address);
    size_t n = regions_of(&elf, regions, HIRA_ARRAY_SIZE(regions));
    for (size_t i = 0; i < n; i++) {
        size_t first = a->n_functions;
        /* Functions stay sorted over all regions: one that overlaps an earlier one is no region of a linker. */
        if (first && regions[i].address < a->functions[first - 1].address + a->functions[first - 1].size)
            continue;
        cut(a, &regions[i], &starts);
        sweep_region(a, &regions[i], first, o, options);
    }
    free(starts.items);
    o->functions = a->n_functions;
    keep_forms(a, o);
    keep_dynamic(&elf, o);
    graph_build(a, &elf, o);
    shrink(a);
    release_all(options, data, size);
    if (elf.trouble && options->trouble)
        options->trouble(options->context, elf.trouble);
    return o;
}

uint64_t analyze_bare(const uint8_t *data, size_t size, bool mapped, uint64_t *ret_instructions)
{
    struct elf elf;
    struct region regions[64];
    uint64_t bytes = 0;
    const struct isa_decoder *decoder = elf_open(&elf, data, size) ? NULL : isa_decoder_for(elf.header->e_machine);
    size_t n = decoder ? regions_of(&elf, regions, HIRA_ARRAY_SIZE(regions)) : 0;
    for (size_t i = 0; i < n; i++) {
        for (size_t at = 0; at < regions[i].size; at += RELEASE_EVERY) {
            size_t length = HIRA_MIN(regions[i].size - at, (size_t)RELEASE_EVERY);
            *ret_instructions += decoder->bare(regions[i].data + at, length);
            if (mapped)
                release(regions[i].data + at, regions[i].data + at + length);
        }
        bytes += regions[i].size;
    }
    return bytes;
}
