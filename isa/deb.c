/* Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0 */
#include "deb.h"

#include <archive.h>
#include <archive_entry.h>
#include <pthread.h>
#include <sys/stat.h>

#define BASE_NEED (10u << 20) /* of a decompressor with its usual settings */
#define CHUNK 65536
#define SLACK (16u << 20) /* unpacked bytes that are always allowed */

/* ---- the budget ---- */

static pthread_mutex_t budget_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t budget_freed = PTHREAD_COND_INITIALIZER;
static size_t budget_used;

/* Taken once for each archive, so that two never wait for each other; more than there is means: alone. */
static size_t budget_take(size_t need)
{
    need = HIRA_MIN(need, (size_t)ISA_MEMORY_BUDGET);
    pthread_mutex_lock(&budget_lock);
    while (budget_used + need > ISA_MEMORY_BUDGET)
        pthread_cond_wait(&budget_freed, &budget_lock);
    budget_used += need;
    pthread_mutex_unlock(&budget_lock);
    return need;
}

static void budget_give(size_t taken)
{
    pthread_mutex_lock(&budget_lock);
    budget_used -= taken;
    pthread_cond_broadcast(&budget_freed);
    pthread_mutex_unlock(&budget_lock);
}

/* ---- one archive ---- */

struct deb {
    const struct deb_reader *reader;
    struct archive *outer;
    uint64_t size;      /* of the package, packed */
    uint64_t installed; /* what its control file says it unpacks to */
    unsigned members;
    uint64_t unpacked;
    char first[CHUNK]; /* of the inner archive, read ahead */
    size_t n_first;
    bool first_given;
    char chunk[CHUNK];
};

static la_ssize_t give_inner(struct archive *inner, void *context, const void **ret_data)
{
    struct deb *deb = context;
    (void)inner;
    if (!deb->first_given) {
        deb->first_given = true;
        *ret_data = deb->first;
        if (deb->n_first)
            return (la_ssize_t)deb->n_first;
    }
    la_ssize_t n = archive_read_data(deb->outer, deb->chunk, sizeof deb->chunk);
    *ret_data = deb->chunk;
    return n;
}

/* Bytes that an xz decompressor keeps of what it has unpacked, from the first block's header; other formats need less
 * than BASE_NEED. */
static size_t dictionary(const char *data, size_t size)
{
    const uint8_t *p = (const uint8_t *)data;
    if (size < 32 || memcmp(p,
                            "\xfd"
                            "7zXZ",
                            6))
        return 0;
    size_t at = 14;
    for (int sizes = (p[13] >> 6 & 1) + (p[13] >> 7); sizes; sizes--) {
        while (at < 30 && p[at] & 0x80)
            at++;
        at++;
    }
    if (at + 2 >= 32 || p[at] != 0x21 || p[at + 1] != 1 || p[at + 2] > 40)
        return 64u << 20; /* a filter before the last one, or nonsense: assume the worst that packages have */
    return (size_t)HIRA_MIN((2ull | (p[at + 2] & 1)) << (p[at + 2] / 2 + 11), 1ull << 30);
}

static const char *over_limit(struct deb *deb, size_t more)
{
    deb->unpacked += more;
    if (deb->unpacked > SLACK && deb->unpacked / ISA_DEB_RATIO_MAX > deb->size)
        return "it unpacks to thousands of times its size, as no package does; given up";
    if (deb->reader->stop && *deb->reader->stop)
        return "interrupted";
    return NULL;
}

/* Reads a member up to `room` bytes; `*ret_size` says how many there were. */
static const char *read_member(struct deb *deb, struct archive *inner, uint8_t *to, size_t room, size_t *ret_size)
{
    const char *why = NULL;
    *ret_size = 0;
    while (!why && *ret_size < room) {
        la_ssize_t n = archive_read_data(inner, to + *ret_size, HIRA_MIN(room - *ret_size, (size_t)(1u << 20)));
        if (n < 0)
            return "the archive inside is damaged; is the file complete?";
        if (n == 0)
            break;
        *ret_size += (size_t)n;
        why = over_limit(deb, (size_t)n);
    }
    return why;
}

/* Unpacks what nobody wants, in pieces, so that a bomb is noticed. */
static const char *skip_member(struct deb *deb, struct archive *inner)
{
    char buffer[CHUNK];
    const char *why = NULL;
    la_ssize_t n;
    while (!why && (n = archive_read_data(inner, buffer, sizeof buffer)) != 0) {
        if (n < 0)
            return "the archive inside is damaged; is the file complete?";
        why = over_limit(deb, (size_t)n);
    }
    return why;
}

static const char *take_elf(struct deb *deb, struct archive *inner, const char *path, const uint8_t *head,
                            size_t n_head, uint64_t size)
{
    size_t got;
    HIRA_AUTOFREE uint8_t *data = malloc(size + 8);
    if (!data) {
        deb->reader->left_out(deb->reader->context, path, "no memory for it");
        return skip_member(deb, inner);
    }
    memcpy(data, head, n_head);
    const char *why = read_member(deb, inner, data + n_head, size - n_head, &got);
    if (!why)
        deb->reader->member(deb->reader->context, path, data, n_head + got);
    return why;
}

static const char *data_member(struct deb *deb, struct archive *inner, struct archive_entry *entry, uint64_t cap)
{
    uint8_t head[64];
    size_t n_head;
    const char *name = archive_entry_pathname(entry);
    int64_t said = archive_entry_size(entry);
    if (archive_entry_filetype(entry) != AE_IFREG || !name || said < 4)
        return skip_member(deb, inner);
    name += !strncmp(name, "./", 2) ? 1 : 0;
    HIRA_AUTOFREE char *path = isa_strdup(name);
    const char *why = read_member(deb, inner, head, sizeof head, &n_head);
    if (why || n_head < 4 || memcmp(head, "\177ELF", 4))
        return why ? why : skip_member(deb, inner);
    if ((uint64_t)said > cap) {
        deb->reader->left_out(deb->reader->context, path,
                              (uint64_t)said > deb->reader->member_cap ? "larger than --member-cap allows"
                                                                       : "larger than its package says it is");
        return skip_member(deb, inner);
    }
    return take_elf(deb, inner, path, head, n_head, (uint64_t)said);
}

static void control_member(struct deb *deb, struct archive *inner, struct archive_entry *entry)
{
    const char *name = archive_entry_pathname(entry);
    size_t size;
    if (!name || (strcmp(name, "./control") && strcmp(name, "control")))
        return;
    HIRA_AUTOFREE char *text = isa_alloc(ISA_CONTROL_MAX + 1);
    if (read_member(deb, inner, (uint8_t *)text, ISA_CONTROL_MAX, &size))
        return;
    const char *installed = strstr(text, "\nInstalled-Size:");
    deb->installed = installed ? strtoull(installed + 16, NULL, 10) * 1024 : 0;
    deb->reader->control(deb->reader->context, text, size);
}

static const char *inner_archive(struct deb *deb, bool control)
{
    struct archive *inner = archive_read_new();
    struct archive_entry *entry;
    const char *why = NULL;
    int status;
    archive_read_support_format_tar(inner);
    archive_read_support_filter_all(inner);
    la_ssize_t n = archive_read_data(deb->outer, deb->first, sizeof deb->first);
    deb->n_first = n > 0 ? (size_t)n : 0;
    deb->first_given = false;
    /* The control file may lie about the size; then larger members are left out. */
    uint64_t cap = control          ? ISA_CONTROL_MAX
                   : deb->installed ? HIRA_MIN((uint64_t)deb->reader->member_cap, deb->installed + (1u << 20))
                                    : deb->reader->member_cap;
    size_t taken = budget_take(BASE_NEED + dictionary(deb->first, deb->n_first) + (size_t)cap);
    if (archive_read_open(inner, deb, NULL, give_inner, NULL) != ARCHIVE_OK)
        why = "what is inside is no tar archive that can be read";
    while (!why && (status = archive_read_next_header(inner, &entry)) != ARCHIVE_EOF) {
        if (status < ARCHIVE_WARN)
            why = "the archive inside is damaged; is the file complete?";
        else if (++deb->members > ISA_MEMBERS_MAX)
            why = "it has more members than any package; given up";
        else if (control)
            control_member(deb, inner, entry);
        else
            why = data_member(deb, inner, entry, cap);
    }
    archive_read_free(inner);
    budget_give(taken);
    return why;
}

static const char *read_outer(struct deb *deb)
{
    struct archive_entry *entry;
    const char *why = NULL;
    int status;
    bool control = false, data = false;
    while (!why && (status = archive_read_next_header(deb->outer, &entry)) != ARCHIVE_EOF) {
        const char *name = status < ARCHIVE_WARN ? NULL : archive_entry_pathname(entry);
        if (!name)
            return "the archive is damaged; is the file complete?";
        if (!strncmp(name, "control.tar", 11) && !control) {
            control = true;
            why = inner_archive(deb, true);
        } else if (!strncmp(name, "data.tar", 8) && !data) {
            data = true;
            why = inner_archive(deb, false);
        }
    }
    if (!why && (!control || !data))
        why = "it has no control.tar and data.tar, so it is no Debian package";
    return why;
}

static struct deb *deb_new(const struct deb_reader *reader)
{
    struct deb *deb = isa_alloc(sizeof *deb);
    deb->reader = reader;
    deb->outer = archive_read_new();
    archive_read_support_format_ar(deb->outer);
    return deb;
}

static const char *deb_finish(struct deb *deb, bool opened)
{
    const char *why = opened ? read_outer(deb) : "it cannot be opened as an archive";
    archive_read_free(deb->outer);
    free(deb);
    return why;
}

const char *deb_read_file(const char *path, const struct deb_reader *reader)
{
    struct stat st;
    struct deb *deb = deb_new(reader);
    deb->size = stat(path, &st) == 0 ? (uint64_t)st.st_size : 0;
    return deb_finish(deb, archive_read_open_filename(deb->outer, path, CHUNK) == ARCHIVE_OK);
}

const char *deb_read_memory(const void *data, size_t size, const struct deb_reader *reader)
{
    struct deb *deb = deb_new(reader);
    deb->size = size;
    return deb_finish(deb, archive_read_open_memory(deb->outer, data, size) == ARCHIVE_OK);
}
