/* Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "image.h"
#include "scan_private.h"
#include "stanza.h"

#define LIST_MAX (256u << 20) /* the file list of a package */

/* Whether a file is regular and what it starts with; its size. `likely`: of a system's hundreds of thousands of files
 * only those are opened that can be executed, or are named as libraries are. */
static bool look(const char *path, bool likely, uint8_t head[64], size_t *ret_n, uint64_t *ret_size)
{
    struct stat st;
    if (lstat(path, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size < 8)
        return false;
    if (likely && !(st.st_mode & 0111) && !strstr(path, ".so"))
        return false;
    HIRA_AUTOCLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    ssize_t n = fd < 0 ? -1 : pread(fd, head, 64, 0);
    if (n < 4)
        return false;
    *ret_n = (size_t)n;
    *ret_size = (uint64_t)st.st_size;
    return true;
}

bool scan_leaves_out(const struct scan *s, const uint8_t *head, size_t n)
{
    Elf64_Half machine;
    if (elf_class(head, n))
        return true;
    if (n < sizeof(Elf64_Ehdr))
        return false; /* cut, which is to be said */
    memcpy(&machine, head + offsetof(Elf64_Ehdr, e_machine), sizeof machine);
    return machine != s->options->machine;
}

/* What was left out on purpose, and what would read it. */
static char *describe_foreign(const struct scan *s, const uint8_t *head)
{
    const char *class = elf_class(head, sizeof(Elf64_Ehdr));
    unsigned machine = (unsigned)head[offsetof(Elf64_Ehdr, e_machine) + 1] << 8 | head[offsetof(Elf64_Ehdr, e_machine)];
    const struct isa_decoder *other = class ? NULL : isa_decoder_for(machine),
                             *ours = isa_decoder_for(s->options->machine);
    char name[24];
    elf_machine(head, name);
    return isa_printf("%s%sfor %s, and this is a scan of 64-bit %s programs and libraries%s%s", class ? class : "",
                      class ? " " : "", name, ours ? ours->isa : "?", other ? "; scan it by itself with --isa " : "",
                      other ? other->isa : "");
}

/* An ELF file of a package: a job, unless it is of a class that is left out on purpose. That is said of what was named
 * on the command line, and counted of what lay in a folder or a package. */
static void add_elf(struct scan *s, struct package *package, const char *path, const char *listed, const uint8_t *head,
                    size_t n, uint64_t size, bool named)
{
    if (scan_leaves_out(s, head, n)) {
        HIRA_AUTOFREE char *what = describe_foreign(s, head);
        if (named)
            isa_skip(path, "%s; left out", what);
        pthread_mutex_lock(&s->lock);
        package->excluded++;
        pthread_mutex_unlock(&s->lock);
        return;
    }
    scan_add_job(s, (struct job){isa_strdup(path), isa_strdup(listed), package, size, named});
}

/* ---- files and folders ---- */

/* Whether the same file was listed already, by whatever path. */
static bool met_file(struct scan *s, const char *path)
{
    HIRA_AUTOFREE char *real = realpath(path, NULL), *key = isa_printf("file %s", real ? real : path);
    return scan_met(s, key);
}

static void add_archive(struct scan *s, const char *path, uint64_t size, bool named)
{
    if (met_file(s, path))
        return;
    scan_add_job(s, (struct job){isa_strdup(path), NULL, NULL, size, named});
}

static void add_loose(struct scan *s, const char *path, const uint8_t *head, size_t n, uint64_t size, bool named)
{
    if (met_file(s, path))
        return;
    struct package *p = isa_alloc(sizeof *p);
    HIRA_AUTOFREE char *real = realpath(path, NULL);
    const char *base = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
    p->name = isa_strdup(base);
    isa_printable(p->name);
    p->version = isa_strdup("");
    p->arch = isa_strdup("");
    p->source = isa_strdup(base);
    p->depends = isa_strdup("");
    p->loose = true;
    scan_add_package(s, p);
    add_elf(s, p, path, real ? real : path, head, n, size, named);
}

struct indexing {
    struct scan *s;
    char *base;
};

static bool add_indexed(void *context, const struct stanza *one)
{
    struct indexing *in = context;
    struct stat st;
    if (!one->filename) {
        isa_skip(one->package, "its entry in the index has no Filename; left out");
        return true;
    }
    HIRA_AUTOFREE char *path = isa_printf("%s/%s", in->base, one->filename);
    if (strstr(one->filename, "..") || one->filename[0] == '/')
        isa_skip(one->package, "its Filename leads out of the mirror; left out");
    else if (stat(path, &st) < 0 || !S_ISREG(st.st_mode))
        isa_skip(path, "the index names it, but it is not there; complete the mirror, or say --mirror");
    else
        add_archive(in->s, path, (uint64_t)st.st_size, false);
    return !scan_stop;
}

static void add_index(struct scan *s, const char *path)
{
    const char *dists = strstr(path, "/dists/"), *slash = strrchr(path, '/');
    struct indexing in = {.s = s};
    in.base = s->options->mirror ? isa_strdup(s->options->mirror)
              : dists            ? isa_strndup(path, (size_t)(dists - path))
              : slash            ? isa_strndup(path, (size_t)(slash - path))
                                 : isa_strdup(".");
    const char *why = stanza_file(path, add_indexed, &in);
    if (why)
        isa_skip(path, "%s", why);
    free(in.base);
}

static bool is_index(const char *path, const uint8_t *head, size_t n)
{
    const char *base = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
    return !strncmp(base, "Packages", 8) || (n > 8 && !memcmp(head, "Package:", 8));
}

bool sources_have_index(char **sources, size_t n)
{
    bool found = false;
    for (size_t i = 0; i < n && !found; i++) {
        uint8_t head[64];
        size_t n_head;
        uint64_t size;
        HIRA_AUTOFREE char *path = realpath(sources[i], NULL);
        found = path && look(path, false, head, &n_head, &size) && is_index(path, head, n_head);
    }
    return found;
}

static void add_file(struct scan *s, const char *path, bool named)
{
    uint8_t head[64];
    size_t n;
    uint64_t size;
    errno = 0;
    if (!look(path, false, head, &n, &size)) {
        if (errno == EACCES)
            isa_skip(path, "%s; left out", strerror(errno));
        else if (named)
            isa_skip(path, "no regular file with anything in it; left out");
    } else if (elf_magic(head, n)) {
        add_loose(s, path, head, n, size, named);
    } else if (n > 8 && !memcmp(head, "!<arch>\n", 8) && strstr(path, ".deb")) {
        add_archive(s, path, size, named);
    } else if (named && is_index(path, head, n)) {
        add_index(s, path);
    } else if (named && db_begins(head, n)) {
        isa_skip(path, "a database of isapop, which is asked and not scanned; left out");
    } else if (named || (strlen(path) > 4 && !strcmp(path + strlen(path) - 4, ".deb"))) {
        isa_skip(path, "neither an ELF file nor a Debian package nor an index of them; left out");
    }
}

static void add_folder(struct scan *s, const char *path, unsigned depth)
{
    DIR *dir = opendir(path);
    if (!dir) {
        isa_skip(path, "%s; left out", strerror(errno));
        return;
    }
    for (struct dirent *e; (e = readdir(dir)) && !scan_stop;) {
        struct stat st;
        HIRA_AUTOFREE char *one = isa_printf("%s/%s", path, e->d_name);
        if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, "..") || lstat(one, &st) < 0)
            continue;
        if (S_ISDIR(st.st_mode) && depth < ISA_DEPTH_MAX)
            add_folder(s, one, depth + 1);
        else if (S_ISDIR(st.st_mode))
            isa_skip(one, "too deep; left out");
        else if (S_ISREG(st.st_mode))
            add_file(s, one, false);
    }
    closedir(dir);
}

/* A folder that is named is no source when nothing in it can be scanned. */
static void add_named_folder(struct scan *s, const char *path)
{
    size_t jobs = s->n_jobs, packages = s->n_packages;
    uint64_t twice = s->result->twice;
    unsigned skipped = isa_skipped;
    add_folder(s, path, 0);
    if (s->n_jobs > jobs || isa_skipped > skipped || s->result->twice > twice || scan_stop)
        return;
    if (s->n_packages > packages)
        isa_skip(path, "%s, for other machines or to be linked, and nothing else; left out",
                 isa_n(s->n_packages - packages, "ELF file"));
    else
        isa_skip(path, "there is neither an ELF file nor a Debian package in it");
}

/* ---- the installed system ---- */

static bool add_installed(void *context, const struct stanza *one)
{
    struct scan *s = context;
    if (one->status && strstr(one->status, " installed")) {
        struct package *p = stanza_package(one);
        if (scan_met_package(s, p))
            package_destroy(p);
        else
            scan_add_package(s, p);
    }
    return !scan_stop;
}

static void list_files(struct scan *s, void *worker, size_t index)
{
    struct package *p = s->packages[index];
    struct hira_text text = {0};
    HIRA_AUTOFREE char *list = isa_printf("%s/var/lib/dpkg/info/%s.list", s->options->root, p->name);
    HIRA_AUTOFREE char *arch_list = isa_printf("%s/var/lib/dpkg/info/%s:%s.list", s->options->root, p->name, p->arch);
    (void)worker;
    if (hira_text_read_file(&text, access(list, R_OK) == 0 ? list : arch_list, LIST_MAX))
        isa_skip(p->name, "the list of its files cannot be read; left out");
    for (char *at = text.data, *line; at && (line = strsep(&at, "\n"));) {
        uint8_t head[64];
        size_t n;
        uint64_t size;
        HIRA_AUTOFREE char *path = isa_printf("%s%s", s->options->root, line);
        if (*line == '/' && look(path, true, head, &n, &size) && elf_magic(head, n))
            add_elf(s, p, path, line, head, n, size, false);
    }
    hira_text_fini(&text);
}

static void list_installed(struct scan *s)
{
    HIRA_AUTOFREE char *status = isa_printf("%s/var/lib/dpkg/status", s->options->root);
    const char *why = stanza_file(status, add_installed, s);
    if (why)
        isa_skip(status, "%s; is this a system with dpkg? If not, scan a folder: isapop scan /usr/bin", why);
    scan_parallel(s, s->n_packages, list_files, NULL, NULL);
}

static int by_size(const void *x, const void *y)
{
    const struct job *a = x, *b = y;
    if (a->size != b->size)
        return a->size > b->size ? -1 : 1;
    return strcmp(a->path, b->path);
}

void sources_list(struct scan *s)
{
    if (s->options->installed)
        list_installed(s);
    for (size_t i = 0; i < s->options->n_sources && !scan_stop; i++) {
        struct stat st;
        const char *path = s->options->sources[i];
        if (stat(path, &st) < 0)
            isa_skip(*path ? path : "''", "%s; left out", strerror(errno));
        else if (S_ISDIR(st.st_mode))
            add_named_folder(s, path);
        else {
            HIRA_AUTOFREE char *real = realpath(path, NULL); /* a link that is named is followed */
            add_file(s, real ? real : path, true);
        }
    }
    /* The largest first: what comes last is small, and no core waits long for another. */
    if (s->n_jobs)
        qsort(s->jobs, s->n_jobs, sizeof *s->jobs, by_size);
}
