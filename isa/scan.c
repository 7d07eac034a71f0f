/* Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uthash.h>
#include <xxhash.h>

#include "analyze.h"
#include "base/fd.h"
#include "closure.h"
#include "deb.h"
#include "image.h"
#include "progress.h"
#include "scan_private.h"
#include "stanza.h"

#define HASH_CHUNK (1u << 20)
#define MEASURE_BYTES (64u << 20) /* of code, for the bare decoder: some seconds */

_Atomic bool scan_stop;

/* ---- being told to stop ---- */

static bool goes_on;

static void on_signal(int signal)
{
    static const char stop[] = "\nisapop: stopping", more[] = "; the same command goes on from here";
    if (scan_stop)
        _exit(128 + signal); /* twice: now. The database is only ever appended to */
    scan_stop = true;
    (void)!write(STDERR_FILENO, stop, sizeof stop - 1);
    if (goes_on)
        (void)!write(STDERR_FILENO, more, sizeof more - 1);
    (void)!write(STDERR_FILENO, "\n", 1);
}

static void catch_signals(void)
{
    struct sigaction act = {.sa_handler = on_signal};
    sigaction(SIGINT, &act, NULL);
    sigaction(SIGTERM, &act, NULL);
    sigaction(SIGHUP, &act, NULL);
}

/* A file that gets shorter while it is mapped: the thread that reads it goes on with the next. */
static _Thread_local sigjmp_buf bus_return;
static _Thread_local bool bus_expected;

static void on_bus(int signal)
{
    if (!bus_expected)
        _exit(128 + signal);
    siglongjmp(bus_return, 1);
}

/* ---- threads ---- */

struct crew {
    struct scan *s;
    size_t n;
    _Atomic size_t next;
    void (*fn)(struct scan *s, void *worker, size_t i);
    void *(*begin)(struct scan *s);
    void (*end)(void *worker);
};

static void *work(void *context)
{
    struct crew *crew = context;
    void *worker = crew->begin ? crew->begin(crew->s) : NULL;
    for (size_t i; !scan_stop && (i = crew->next++) < crew->n;)
        crew->fn(crew->s, worker, i);
    if (crew->end)
        crew->end(worker);
    return NULL;
}

void scan_parallel(struct scan *s, size_t n, void (*fn)(struct scan *s, void *worker, size_t i),
                   void *(*begin)(struct scan *s), void (*end)(void *worker))
{
    struct crew crew = {s, n, 0, fn, begin, end};
    HIRA_AUTOFREE pthread_t *threads = isa_alloc(s->threads * sizeof *threads);
    unsigned started = 0;
    while (started + 1 < s->threads && pthread_create(&threads[started], NULL, work, &crew) == 0)
        started++;
    work(&crew);
    while (started)
        pthread_join(threads[--started], NULL);
}

struct package *scan_add_package(struct scan *s, struct package *package)
{
    pthread_mutex_lock(&s->lock);
    package->live = true;
    ISA_PUSH(s->packages, s->n_packages, s->packages_cap) = package;
    pthread_mutex_unlock(&s->lock);
    return package;
}

struct scan_seen {
    UT_hash_handle hh;
    const struct package *package; /* where one is named */
    char name[];
};

bool scan_met(struct scan *s, const char *name)
{
    struct scan_seen *one;
    size_t n = strlen(name);
    pthread_mutex_lock(&s->lock);
    HASH_FIND(hh, s->seen, name, n, one);
    bool met = one;
    if (!met) {
        one = isa_alloc(sizeof *one + n + 1);
        memcpy(one->name, name, n);
        HASH_ADD_KEYPTR(hh, s->seen, one->name, n, one);
    }
    s->result->twice += met;
    pthread_mutex_unlock(&s->lock);
    return met;
}

static void forget_met(struct scan *s)
{
    struct scan_seen *one, *next;
    HASH_ITER(hh, s->seen, one, next)
    {
        HASH_DEL(s->seen, one);
        free(one);
    }
}

/* One package is counted once, in however many files it is. */
bool scan_met_package(struct scan *s, const struct package *p)
{
    HIRA_AUTOFREE char *key = isa_printf("package %s %s %s", p->name, p->arch, p->version);
    return scan_met(s, key);
}

void scan_add_job(struct scan *s, struct job job)
{
    pthread_mutex_lock(&s->lock);
    ISA_PUSH(s->jobs, s->n_jobs, s->jobs_cap) = job;
    pthread_mutex_unlock(&s->lock);
}

/* ---- one ELF file ---- */

struct tally {
    uint64_t programs, code_bytes, instructions, bad_bytes, suspect;
    uint32_t machine;
    uint64_t *occurrences, *suspects; /* ISA_FORMS_MAX of each */
};

struct worker {
    struct scan *s;
    struct analyzer *analyzer;
    bool excluded; /* the last file was left out on purpose */
    /* of the archive that is read */
    struct package *package;
    const char *archive, *member;
    struct tally tally; /* what counts once the archive turns out to be whole */
};

static void count_object(struct tally *t, const struct object *o)
{
    t->programs += o->flags & OBJECT_PROGRAM ? 1 : 0;
    t->code_bytes += o->code_bytes;
    t->instructions += o->instructions;
    t->bad_bytes += o->bad_bytes;
    t->suspect += o->suspect_instructions;
    t->machine = o->machine;
    for (size_t i = 0; i < o->n_forms; i++)
        t->occurrences[o->forms[i].form] += o->forms[i].count;
    for (size_t i = 0; i < o->n_suspect; i++)
        t->suspects[o->suspect[i].form] += o->suspect[i].count;
}

enum settle { TALLY_DROPPED, TALLY_COUNTS, TALLY_TAKEN_BACK };

/* Into the result, out of what was put there before, or nowhere; the tally starts again. */
static void settle_tally(struct scan *s, struct tally *t, enum settle how)
{
    struct db_summary *sum = &s->result->summary;
    if (how != TALLY_DROPPED) {
        uint64_t sign = how == TALLY_COUNTS ? 1 : UINT64_MAX; /* minus one, as these numbers wrap */
        pthread_mutex_lock(&s->lock);
        s->result->programs += sign * t->programs;
        sum->code_bytes += sign * t->code_bytes;
        sum->instructions += sign * t->instructions;
        sum->bad_bytes += sign * t->bad_bytes;
        sum->suspect += sign * t->suspect;
        sum->machine = t->machine ? t->machine : sum->machine;
        for (size_t i = 0; i < ISA_FORMS_MAX; i++) {
            sum->occurrences[i] += sign * t->occurrences[i];
            sum->suspects[i] += sign * t->suspects[i];
        }
        pthread_mutex_unlock(&s->lock);
    }
    memset(t->occurrences, 0, ISA_FORMS_MAX * sizeof *t->occurrences);
    memset(t->suspects, 0, ISA_FORMS_MAX * sizeof *t->suspects);
    *t = (struct tally){.occurrences = t->occurrences, .suspects = t->suspects};
}

static void *worker_begin(struct scan *s)
{
    struct worker *w = isa_alloc(sizeof *w);
    w->s = s;
    w->analyzer = analyzer_create(db_forms(s->db));
    w->tally.occurrences = isa_alloc(ISA_FORMS_MAX * sizeof *w->tally.occurrences);
    w->tally.suspects = isa_alloc(ISA_FORMS_MAX * sizeof *w->tally.suspects);
    return w;
}

static void worker_end(void *worker)
{
    struct worker *w = worker;
    settle_tally(w->s, &w->tally, TALLY_COUNTS);
    analyzer_destroy(w->analyzer);
    free(w->tally.occurrences);
    free(w->tally.suspects);
    free(w);
}

static void add_to_package(struct worker *w, struct package *p, const char *path, struct isa_hash hash,
                           const struct object *o)
{
    struct package_file f = {isa_strdup(path), isa_strdup(o->soname), hash, o->flags & OBJECT_PROGRAM};
    isa_printable(f.path);
    count_object(&w->tally, o);
    pthread_mutex_lock(&w->s->lock);
    ISA_PUSH(p->files, p->n_files, p->files_cap) = f;
    pthread_mutex_unlock(&w->s->lock);
}

static void count_skip(struct scan *s, struct package *p, bool excluded)
{
    pthread_mutex_lock(&s->lock);
    p->skipped += !excluded;
    p->excluded += excluded;
    pthread_mutex_unlock(&s->lock);
}

/* The first error is said and stops the scan, which fails: nobody interrupted it. */
static void cannot_write(struct scan *s, int error)
{
    pthread_mutex_lock(&s->lock);
    bool first = !s->write_error;
    s->write_error = error;
    pthread_mutex_unlock(&s->lock);
    scan_stop = true;
    if (first)
        isa_note("%s: cannot be written: %s%s%s", s->options->database, strerror(-error),
                 error == -ENOSPC || error == -EDQUOT ? "; the disk is full, free some space" : "",
                 s->options->passing ? "" : "; the same command goes on from here");
}

static void say_remark(const char *path, const char *what)
{
    isa_skip(path, "%s; what makes sense of it is used", what);
}

struct telling {
    const char *path;
    char *remark;
};

/* Kept with the object: whoever meets it again is told again. */
static void say_trouble(void *context, const char *what)
{
    struct telling *t = context;
    say_remark(t->path, what);
    free(t->remark);
    t->remark = isa_strdup(what);
}

/* Of the archive that is read. */
static void leave_out_member(struct worker *w, const char *why)
{
    HIRA_AUTOFREE char *name = isa_printf("%s(%s)", w->archive, w->member);
    struct package *p = w->package;
    isa_skip(name, "%s; left out", why);
    if (!p)
        return;
    p->skipped++;
    if (p->n_remarks < ISA_REMARKS_MAX)
        ISA_PUSH(p->remarks, p->n_remarks, p->remarks_cap) =
            (struct package_remark){isa_strdup(w->member), isa_strdup(why)};
}

/* Analyzes, unless the database knows the hash already. NULL: said why. */
static struct object *object_of(struct worker *w, const char *path, const uint8_t *data, size_t size,
                                struct isa_hash hash, bool mapped)
{
    struct scan *s = w->s;
    const char *why;
    struct object *o = db_has_object(s->db, hash) ? db_object(s->db, hash) : NULL;
    if (o) {
        __atomic_add_fetch(&s->result->known_files, 1, __ATOMIC_RELAXED);
        if (*o->remark)
            say_remark(path, o->remark);
        return o;
    }
    struct telling telling = {.path = path};
    const struct analyze_options options = {.mapped = mapped, .trouble = say_trouble, .context = &telling};
    o = analyze(w->analyzer, data, size, &options, &why);
    w->excluded = !o && !why;
    if (!o) {
        free(telling.remark);
        if (why && w->member)
            leave_out_member(w, why);
        else if (why)
            isa_skip(path, "%s; left out", why);
        return NULL;
    }
    o->hash = hash;
    o->remark = telling.remark;
    int error = db_put_object(s->db, o);
    if (error)
        cannot_write(s, error);
    __atomic_add_fetch(&s->result->analyzed_files, 1, __ATOMIC_RELAXED);
    __atomic_add_fetch(&s->result->analyzed_bytes, o->code_bytes, __ATOMIC_RELAXED);
    __atomic_add_fetch(&s->result->analyzed_instructions, o->instructions, __ATOMIC_RELAXED);
    return o;
}

static int hash_file(int fd, struct isa_hash *ret)
{
    HIRA_AUTOFREE uint8_t *chunk = isa_alloc(HASH_CHUNK);
    XXH3_state_t *state = XXH3_createState();
    ssize_t n;
    if (!state)
        return -ENOMEM;
    XXH3_128bits_reset(state);
    while ((n = read(fd, chunk, HASH_CHUNK)) > 0)
        XXH3_128bits_update(state, chunk, (size_t)n);
    int error = n < 0 ? -errno : 0;
    XXH128_hash_t h = XXH3_128bits_digest(state);
    XXH3_freeState(state);
    *ret = (struct isa_hash){h.low64, h.high64};
    return error;
}

/* Maps a file and calls back with it. NULL, or why it could not be done. */
static const char *with_file(const char *path,
                             void (*use)(void *context, const uint8_t *data, size_t size, struct isa_hash hash),
                             void *context)
{
    struct isa_hash hash;
    struct stat st;
    HIRA_AUTOCLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0)
        return strerror(errno);
    if (st.st_size < (off_t)sizeof(Elf64_Ehdr))
        return "the file ends inside its ELF header; was the copy complete?";
    if (hash_file(fd, &hash))
        return "it cannot be read to its end";
    size_t size = (size_t)st.st_size;
    uint8_t *data = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (data == MAP_FAILED)
        return strerror(errno);
    const char *volatile why = NULL;
    bus_expected = true;
    if (sigsetjmp(bus_return, 1))
        why = "it changed while it was read; scan again";
    else
        use(context, data, size, hash);
    bus_expected = false;
    munmap(data, size);
    return why;
}

struct file_use {
    struct worker *w;
    const struct job *job;
};

static void use_file(void *context, const uint8_t *data, size_t size, struct isa_hash hash)
{
    struct file_use *u = context;
    struct object *o = object_of(u->w, u->job->path, data, size, hash, true);
    HIRA_AUTOFREE char *key = isa_printf("program %s %016llx%016llx", u->job->package->name, (unsigned long long)hash.a,
                                         (unsigned long long)hash.b);
    /* A library is looked for beside its program, so each copy of it counts; of a program one does. */
    bool copy = o && u->job->package->loose && o->flags & OBJECT_PROGRAM && scan_met(u->w->s, key);
    if (o && !copy)
        add_to_package(u->w, u->job->package, u->job->listed, hash, o);
    else if (!o)
        count_skip(u->w->s, u->job->package, u->w->excluded);
    if (!o && u->w->excluded && u->job->named)
        isa_skip(u->job->path, "it has debugging information and no code; left out");
    object_destroy(o);
}

/* ---- one archive ---- */

static int by_ident(const void *x, const void *y)
{
    const struct package *const *a = x, *const *b = y;
    return memcmp(&(*a)->ident, &(*b)->ident, sizeof(*a)->ident);
}

static void deb_control(void *context, const char *text, size_t size)
{
    struct worker *w = context;
    struct stanza stanza = {0};
    (void)size;
    stanza_parse(&stanza, text);
    package_destroy(w->package);
    w->package = stanza_package(&stanza);
    stanza_fini(&stanza);
}

static void deb_member(void *context, const char *path, const uint8_t *data, size_t size)
{
    struct worker *w = context;
    HIRA_AUTOFREE char *name = isa_printf("%s(%s)", w->archive, path);
    if (!w->package || scan_leaves_out(w->s, data, size)) {
        if (w->package)
            w->package->excluded++;
        return;
    }
    struct isa_hash hash = isa_hash_of(data, size);
    w->member = path;
    struct object *o = object_of(w, name, data, size, hash, false);
    w->member = NULL;
    if (o)
        add_to_package(w, w->package, path, hash, o);
    else if (w->excluded)
        count_skip(w->s, w->package, true);
    object_destroy(o);
}

static void deb_left_out(void *context, const char *path, const char *why)
{
    struct worker *w = context;
    w->member = path;
    leave_out_member(w, why);
    w->member = NULL;
}

/* What was said when it was read. */
static void say_again(const char *archive, const struct package *p)
{
    for (size_t i = 0; i < p->n_remarks; i++) {
        HIRA_AUTOFREE char *name = isa_printf("%s(%s)", archive, p->remarks[i].path);
        isa_skip(name, "%s; left out", p->remarks[i].why);
    }
    if (p->skipped > p->n_remarks)
        isa_skip(archive, "%s more %s left out; the names are not kept", isa_n(p->skipped - p->n_remarks, "file"),
                 p->skipped - p->n_remarks == 1 ? "was" : "were");
}

/* A package that was named and has nothing for this scan. */
static void say_foreign(const struct job *job, const struct package *p)
{
    if (job->named && !p->n_files && p->excluded)
        isa_skip(job->path, "%s, for other machines or to be linked, and nothing else; left out",
                 isa_n(p->excluded, "ELF file"));
}

static void add_archived(struct scan *s, struct package *p, const char *path, bool known)
{
    pthread_mutex_lock(&s->lock);
    ISA_PUSH(s->archived, s->n_archived, s->archived_cap) = (struct archived){p, path, {0}, known};
    pthread_mutex_unlock(&s->lock);
}

/* Whether the database has this very archive, and everything that was in it. */
static bool known_archive(struct worker *w, const struct job *job, struct isa_hash ident)
{
    struct scan *s = w->s;
    const char *path = job->path;
    struct package key = {.ident = ident}, *p = &key;
    struct package **found = s->n_known ? bsearch(&p, s->known, s->n_known, sizeof p, by_ident) : NULL;
    if (found && (*found)->skipped && (*found)->member_cap != s->options->member_cap)
        return false; /* perhaps not all of that would be left out now */
    for (size_t i = 0; found && i < (*found)->n_files; i++) {
        if (!db_has_object(s->db, (*found)->files[i].hash))
            return false;
    }
    for (size_t i = 0; found && i < (*found)->n_files; i++) {
        struct object *o = db_object(s->db, (*found)->files[i].hash);
        if (o)
            count_object(&w->tally, o);
        if (o && *o->remark) {
            HIRA_AUTOFREE char *name = isa_printf("%s(%s)", path, (*found)->files[i].path);
            say_remark(name, o->remark);
        }
        __atomic_add_fetch(&s->result->known_files, 1, __ATOMIC_RELAXED);
        object_destroy(o);
    }
    if (found) {
        settle_tally(s, &w->tally, TALLY_COUNTS);
        say_again(path, *found);
        say_foreign(job, *found);
        add_archived(s, *found, path, true);
    }
    return found != NULL;
}

static void archive_job(struct worker *w, const struct job *job)
{
    struct isa_hash ident;
    HIRA_AUTOCLOSE int fd = open(job->path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || hash_file(fd, &ident)) {
        isa_skip(job->path, "%s; left out", strerror(errno));
        return;
    }
    HIRA_AUTOFREE char *key =
        isa_printf("archive %016llx%016llx", (unsigned long long)ident.a, (unsigned long long)ident.b);
    if (scan_met(w->s, key))
        return;
    if (known_archive(w, job, ident))
        return;
    const struct deb_reader reader = {w->s->options->member_cap, &scan_stop, deb_control, deb_member, deb_left_out, w};
    w->package = NULL;
    w->archive = job->path;
    const char *why = deb_read_file(job->path, &reader);
    bool good = !scan_stop && !why && w->package;
    settle_tally(w->s, &w->tally, good ? TALLY_COUNTS : TALLY_DROPPED);
    if (!good) {
        if (!scan_stop)
            isa_skip(job->path, "%s; the package is left out", why ? why : "it has no control file");
        package_destroy(HIRA_STEAL(w->package));
        return;
    }
    say_foreign(job, w->package);
    w->package->ident = ident;
    w->package->member_cap = w->s->options->member_cap;
    int error = db_put_package(w->s->db, w->package);
    if (error)
        cannot_write(w->s, error);
    add_archived(w->s, HIRA_STEAL(w->package), job->path, false);
}

static void do_job(struct scan *s, void *worker, size_t i)
{
    struct worker *w = worker;
    const struct job *job = &s->jobs[i];
    progress_add(0, job->path);
    if (job->listed) {
        struct file_use use = {w, job};
        const char *why = with_file(job->path, use_file, &use);
        if (why) {
            isa_skip(job->path, "%s; left out", why);
            count_skip(s, job->package, false);
        }
        settle_tally(s, &w->tally, TALLY_COUNTS);
    } else {
        archive_job(w, job);
    }
    progress_add(job->size, job->path);
}

/* ---- packages that are given twice ---- */

/*
 * Archives are only compared when all are read, for which of them counts must not depend on which came first. Of two
 * with one name, version and architecture one counts: the installed one, or else whose content has the smaller hash. It
 * is said of the other, unless all that matters here is the same in both.
 */

static int by_path_in_package(const void *x, const void *y)
{
    const struct package_file *const *a = x, *const *b = y;
    int order = strcmp((*a)->path, (*b)->path);
    return order ? order : memcmp(&(*a)->hash, &(*b)->hash, sizeof(*a)->hash);
}

static const struct package_file **sorted_files(const struct package *p)
{
    const struct package_file **files = isa_alloc(p->n_files * sizeof *files);
    for (size_t i = 0; i < p->n_files; i++)
        files[i] = &p->files[i];
    if (p->n_files)
        qsort(files, p->n_files, sizeof *files, by_path_in_package);
    return files;
}

/* Of what a package is to isapop: not of its documentation, nor of how it was compressed. */
static struct isa_hash content_of(const struct package *p)
{
    HIRA_AUTOFREE const struct package_file **files = sorted_files(p);
    struct hira_text text = {0};
    hira_text_printf(&text, "%s\n%s\n%u %u\n", p->source, p->depends, p->excluded, p->skipped);
    for (size_t i = 0; i < p->n_files; i++)
        hira_text_printf(&text, "%s\n%016llx%016llx\n", files[i]->path, (unsigned long long)files[i]->hash.a,
                         (unsigned long long)files[i]->hash.b);
    struct isa_hash hash = isa_hash_of(text.data, text.size);
    hira_text_fini(&text);
    return hash;
}

/* Whether an archive's files are those that are installed, as far as these are there: an administrator may have left
 * some out, and of what is installed only that is read which can be run. */
static bool as_installed(const struct package *installed, const struct package *archived)
{
    HIRA_AUTOFREE const struct package_file **a = sorted_files(installed), **b = sorted_files(archived);
    for (size_t i = 0, k = 0; i < installed->n_files && k < archived->n_files;) {
        int order = strcmp(a[i]->path, b[k]->path);
        if (!order && memcmp(&a[i]->hash, &b[k]->hash, sizeof a[i]->hash) != 0)
            return false;
        i += order <= 0;
        k += order >= 0;
    }
    return true;
}

static int compare_packages(const struct package *a, const struct package *b)
{
    int order = strcmp(a->name, b->name);
    order = order ? order : strcmp(a->arch, b->arch);
    return order ? order : strcmp(a->version, b->version);
}

static int by_content(const void *x, const void *y)
{
    const struct archived *a = x, *b = y;
    int order = compare_packages(a->package, b->package);
    if (order || !a->path || !b->path)
        return order ? order : (a->path != NULL) - (b->path != NULL);
    order = memcmp(&a->content, &b->content, sizeof a->content);
    return order ? order : strcmp(a->path, b->path);
}

/* One that does not count after all. */
static void drop_archived(struct scan *s, struct worker *w, const struct archived *one, const struct archived *counts)
{
    struct package *p = one->package;
    bool same =
        counts->path ? !memcmp(&one->content, &counts->content, sizeof one->content) : as_installed(counts->package, p);
    for (size_t i = 0; i < p->n_files; i++) {
        struct object *o = db_object(s->db, p->files[i].hash);
        if (o)
            count_object(&w->tally, o);
        object_destroy(o);
    }
    settle_tally(s, &w->tally, TALLY_TAKEN_BACK);
    s->result->twice += same;
    if (!same && !scan_stop)
        isa_skip(one->path,
                 "it has %s %s (%s) with other content than %s, which counts; left out, scan it into another --db",
                 p->name, p->version, p->arch, counts->path ? counts->path : "what is installed");
    if (!one->known)
        package_destroy(p);
}

static void settle_archived(struct scan *s)
{
    struct worker *w = worker_begin(s);
    size_t n = 0;
    struct archived *all = isa_alloc((s->n_packages + s->n_archived) * sizeof *all);
    for (size_t i = 0; i < s->n_packages; i++) {
        if (!s->packages[i]->loose)
            all[n++] = (struct archived){.package = s->packages[i]};
    }
    for (size_t i = 0; i < s->n_archived; i++) {
        all[n] = s->archived[i];
        all[n++].content = content_of(s->archived[i].package);
    }
    if (n)
        qsort(all, n, sizeof *all, by_content);
    for (size_t i = 0, counts = 0; i < n; i++) {
        if (i && !compare_packages(all[i].package, all[counts].package)) {
            drop_archived(s, w, &all[i], &all[counts]);
            continue;
        }
        counts = i;
        if (all[i].path)
            scan_add_package(s, all[i].package);
    }
    free(all);
    worker_end(w);
}

/* ---- footprints ---- */

struct finder {
    struct scan *s;
    struct worker *w;
    struct package *package; /* of the libraries that were found */
    pthread_mutex_t lock;
};

static void use_found(void *context, const uint8_t *data, size_t size, struct isa_hash hash)
{
    struct file_use *u = context;
    struct object *o =
        scan_leaves_out(u->w->s, data, size) ? NULL : object_of(u->w, u->job->path, data, size, hash, true);
    if (o)
        add_to_package(u->w, u->job->package, u->job->path, hash, o);
    object_destroy(o);
}

/* A library that none of the sources has: the system may. */
static bool find_library(void *context, const char *name, struct isa_hash *ret_hash)
{
    static const char *const folders[] = {
        "/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib64", "/usr/lib64", "/lib", "/usr/lib",
        "/usr/local/lib",        "/lib/aarch64-linux-gnu"};
    struct finder *f = context;
    bool found = false;
    const char *base = strrchr(name, '/') ? strrchr(name, '/') + 1 : name;
    pthread_mutex_lock(&f->lock);
    for (size_t i = 0; i < f->package->n_files && !found; i++) {
        const char *path = f->package->files[i].path;
        found = !strcmp(strrchr(path, '/') + 1, base);
        *ret_hash = f->package->files[i].hash;
    }
    for (size_t i = 0; i < HIRA_ARRAY_SIZE(folders) && !found; i++) {
        HIRA_AUTOFREE char *path = isa_printf("%s%s/%s", f->s->options->root, folders[i], base);
        struct job job = {.path = path, .package = f->package};
        struct file_use use = {f->w, &job};
        size_t before = f->package->n_files;
        if (access(path, R_OK) == 0 && !with_file(path, use_found, &use) && f->package->n_files > before) {
            *ret_hash = f->package->files[before].hash;
            found = true;
        }
    }
    pthread_mutex_unlock(&f->lock);
    return found;
}

static struct closures *making;

static void make_footprint(struct scan *s, void *worker, size_t i)
{
    (void)worker;
    closures_of(making, s->packages[i]);
    progress_add(1, s->packages[i]->name);
}

struct missing {
    const char *name, *first;
    unsigned packages;
};

static int by_missing(const void *x, const void *y)
{
    const struct missing *a = x, *b = y;
    return strcmp(a->name, b->name);
}

static void say_missing(struct scan *s)
{
    struct missing *all = NULL;
    size_t n = 0, cap = 0;
    for (size_t i = 0; i < s->n_packages; i++) {
        for (size_t k = 0; k < s->packages[i]->n_missing; k++)
            ISA_PUSH(all, n, cap) = (struct missing){s->packages[i]->missing[k], s->packages[i]->name, 1};
    }
    if (n)
        qsort(all, n, sizeof *all, by_missing);
    for (size_t i = 0, k; i < n; i = k) {
        for (k = i + 1; k < n && !strcmp(all[k].name, all[i].name); k++)
            continue;
        isa_skip(all[i].name,
                 "nothing scanned has this library, which %zu package%s (%s%s); scan what has it, their footprints "
                 "lack its part",
                 k - i, k - i > 1 ? "s need" : " needs", all[i].first, k - i > 1 ? ", ..." : "");
    }
    free(all);
}

static void make_footprints(struct scan *s)
{
    struct package *system = isa_alloc(sizeof *system);
    system->name = isa_strdup("(libraries of the system)");
    system->suspended = true;
    struct finder finder = {s, worker_begin(s), system, PTHREAD_MUTEX_INITIALIZER};
    /* The installed system is complete by itself; anything else stands on some system. */
    making = closures_create(s->db, s->packages, s->n_packages, s->options->installed ? NULL : find_library, &finder);
    progress_begin("footprints", s->n_packages);
    scan_parallel(s, s->n_packages, make_footprint, NULL, NULL);
    progress_end();
    closures_destroy(making);
    worker_end(finder.w);
    scan_add_package(s, system);
    say_missing(s);
}

/* ---- comparison with the bare decoder ---- */

struct bare {
    _Atomic uint64_t bytes, instructions, ns;
    _Atomic uint64_t left;
};
static struct bare bare;

static uint64_t thread_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void use_bare(void *context, const uint8_t *data, size_t size, struct isa_hash hash)
{
    uint64_t instructions = 0, before = thread_ns();
    (void)context;
    (void)hash;
    bare.bytes += analyze_bare(data, size, true, &instructions);
    bare.ns += thread_ns() - before;
    bare.instructions += instructions;
}

static void bare_job(struct scan *s, void *worker, size_t i)
{
    (void)worker;
    /* Files spread over all sizes, which are sorted. */
    size_t stride = s->n_jobs > 64 ? s->n_jobs / 64 : 1, index = i * stride + stride / 2;
    if (index < s->n_jobs && s->jobs[index].listed && bare.bytes < MEASURE_BYTES)
        with_file(s->jobs[index].path, use_bare, NULL);
}

static double bare_rate(struct scan *s, unsigned threads, double *ret_processor)
{
    unsigned all = s->threads;
    s->threads = threads;
    bare = (struct bare){0};
    uint64_t before = hira_now_ns();
    scan_parallel(s, s->n_jobs > 64 ? 64 : s->n_jobs, bare_job, NULL, NULL);
    double seconds = (double)(hira_now_ns() - before) / 1e9;
    s->threads = all;
    *ret_processor = bare.ns ? (double)bare.bytes / ((double)bare.ns / 1e9) : 0;
    return (double)bare.bytes / seconds;
}

/* ---- packages of the scan before ---- */

/* What tells whether a package of before is here again: of a program by itself where it is. NULL: nothing does. */
static char *same_key(const struct package *p)
{
    if (p->suspended || (!*p->version && !p->n_files))
        return NULL;
    return *p->version ? isa_printf("again %s %s", p->name, p->arch) : isa_printf("again file %s", p->files[0].path);
}

struct keeping {
    struct worker *w;
    struct scan_seen *here;
};

static struct scan_seen *find_same(const struct keeping *k, const char *key)
{
    struct scan_seen *one;
    HASH_FIND(hh, k->here, key, strlen(key), one);
    return one;
}

/* A new version is what --add is for; the same one with other content is worth a word. */
static void say_replaced(const struct package *before, const struct package *now)
{
    struct isa_hash a = content_of(before), b = content_of(now);
    if (*now->version && !strcmp(before->version, now->version) && memcmp(&a, &b, sizeof a) != 0)
        isa_note("%s %s (%s): its content is not that of the scan before; what was given now counts", now->name,
                 now->version, now->arch);
}

static void keep_package(void *context, struct package *p)
{
    struct keeping *k = context;
    struct scan *s = k->w->s;
    HIRA_AUTOFREE char *key = same_key(p);
    const struct scan_seen *same = key ? find_same(k, key) : NULL;
    if (!key || same) {
        if (same)
            say_replaced(p, same->package);
        package_destroy(p);
        return;
    }
    for (size_t i = 0; i < p->n_files; i++) {
        struct object *o = db_object(s->db, p->files[i].hash);
        if (o)
            count_object(&k->w->tally, o);
        if (o && *o->remark)
            say_remark(p->files[i].path, o->remark);
        object_destroy(o);
    }
    say_again(p->name, p);
    s->result->kept += p->programs;
    scan_add_package(s, p);
}

static void keep_packages(struct scan *s)
{
    struct keeping k = {worker_begin(s), NULL};
    struct scan_seen *one, *next;
    for (size_t i = 0; i < s->n_packages; i++) {
        HIRA_AUTOFREE char *key = same_key(s->packages[i]);
        if (!key || find_same(&k, key))
            continue;
        one = isa_alloc(sizeof *one + strlen(key) + 1);
        one->package = s->packages[i];
        memcpy(one->name, key, strlen(key));
        HASH_ADD_KEYPTR(hh, k.here, one->name, strlen(key), one);
    }
    db_packages(s->db, false, false, keep_package, &k);
    HASH_ITER(hh, k.here, one, next)
    {
        HASH_DEL(k.here, one);
        free(one);
    }
    worker_end(k.w);
}

/* ---- the whole ---- */

static void add_known(void *context, struct package *p)
{
    struct scan *s = context;
    if (p->ident.a || p->ident.b)
        ISA_PUSH(s->known, s->n_known, s->known_cap) = p;
    else
        package_destroy(p);
}

static int by_package(const void *x, const void *y)
{
    const struct package *const *a = x, *const *b = y;
    if (!(*a)->arch || !(*b)->arch)
        return strcmp((*a)->name, (*b)->name);
    return compare_packages(*a, *b);
}

static int write_anew(struct scan *s)
{
    struct db_summary *sum = &s->result->summary;
    struct db_writer *w = db_rewrite_begin(s->db);
    for (size_t i = 0; i < s->n_packages; i++) {
        const struct package *p = s->packages[i];
        sum->packages += p->programs;
        sum->objects += p->n_files;
        s->result->excluded += p->excluded;
        if (db_rewrite_package(w, p))
            break;
    }
    sum->time = (uint64_t)time(NULL);
    sum->skipped = isa_skipped;
    const struct db_summary *before = s->options->add ? db_summary(s->db) : NULL;
    sum->closure = before && !s->options->closure_given ? before->closure : s->options->closure;
    sum->cap = before && !s->options->cap_given ? before->cap : s->options->cap;
    struct hira_text source = {0};
    if (before && s->result->kept)
        hira_text_puts(&source, before->source);
    if (s->options->installed)
        hira_text_printf(&source, "%sinstalled packages", source.size ? ", " : "");
    for (size_t i = 0; i < s->options->n_sources && i < 8; i++)
        hira_text_printf(&source, "%s%s", source.size ? ", " : "", s->options->sources[i]);
    sum->source = source.data ? source.data : isa_strdup("");
    int error = db_rewrite_end(w, sum);
    if (error)
        cannot_write(s, error);
    return error;
}

static void run_jobs(struct scan *s)
{
    uint64_t total = 0, before = hira_now_ns();
    struct rusage use0, use1;
    for (size_t i = 0; i < s->n_jobs; i++)
        total += s->jobs[i].size;
    getrusage(RUSAGE_SELF, &use0);
    progress_begin("scanning", total);
    scan_parallel(s, s->n_jobs, do_job, worker_begin, worker_end);
    progress_end();
    getrusage(RUSAGE_SELF, &use1);
    s->result->analysis_seconds = (double)(hira_now_ns() - before) / 1e9;
    s->result->processor_seconds =
        (double)(use1.ru_utime.tv_sec - use0.ru_utime.tv_sec + use1.ru_stime.tv_sec - use0.ru_stime.tv_sec) +
        (double)(use1.ru_utime.tv_usec - use0.ru_utime.tv_usec + use1.ru_stime.tv_usec - use0.ru_stime.tv_usec) / 1e6;
}

/* A name that was mistyped does not cost a database what it has. */
static bool nothing_found(const struct scan *s)
{
    const struct db_summary *before = db_summary(s->db);
    for (size_t i = 0; i < s->n_packages; i++) {
        if (s->packages[i]->n_files)
            return false;
    }
    if (!before || !before->objects)
        return false;
    isa_note("%s: left as it was, for there was nothing to scan", s->options->database);
    return true;
}

static void scan_fini(struct scan *s)
{
    for (size_t i = 0; i < s->n_packages; i++)
        package_destroy(s->packages[i]);
    for (size_t i = 0; i < s->n_jobs; i++) {
        free(s->jobs[i].path);
        free(s->jobs[i].listed);
    }
    free(s->packages);
    free(s->archived);
    free(s->jobs);
    forget_met(s);
    db_close(s->db);
}

/* Known archives that were not met are not of this scan. */
static void forget_known(struct scan *s)
{
    for (size_t i = 0; i < s->n_known; i++) {
        if (!s->known[i]->live)
            package_destroy(s->known[i]);
    }
    free(s->known);
}

int scan(const struct scan_options *options, struct scan_result *ret)
{
    struct scan s = {.options = options, .lock = PTHREAD_MUTEX_INITIALIZER, .result = ret};
    uint64_t before = hira_now_ns();
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    struct sigaction bus = {.sa_handler = on_bus, .sa_flags = SA_NODEFER};
    *ret = (struct scan_result){0};
    /* What a large file needed goes back to the system, rather than into a thread's heap. */
    mallopt(M_MMAP_THRESHOLD, 256 << 10);
    mallopt(M_TRIM_THRESHOLD, 256 << 10);
    mallopt(M_ARENA_MAX, 2);
    ret->summary.occurrences = isa_alloc(ISA_FORMS_MAX * sizeof *ret->summary.occurrences);
    ret->summary.suspects = isa_alloc(ISA_FORMS_MAX * sizeof *ret->summary.suspects);
    s.threads = ret->threads = options->threads ? options->threads : processors > 0 ? (unsigned)processors : 1;
    s.db = db_open(options->database, true);
    if (!s.db)
        return ISA_FAILED;
    const struct db_summary *earlier = options->add ? db_summary(s.db) : NULL;
    if (earlier && earlier->machine && earlier->machine != options->machine) {
        isa_note("%s: what it has is for another machine; choose another --db", options->database);
        db_close(s.db);
        return ISA_FAILED;
    }
    sigaction(SIGBUS, &bus, NULL);
    goes_on = !options->passing;
    catch_signals();
    db_packages(s.db, true, false, add_known, &s);
    if (s.n_known)
        qsort(s.known, s.n_known, sizeof *s.known, by_ident);
    sources_list(&s);
    run_jobs(&s);
    settle_archived(&s);
    if (earlier && !scan_stop)
        keep_packages(&s);
    forget_known(&s);
    bool empty = !scan_stop && nothing_found(&s);
    /* In an order of their own: of two libraries with one path the later one is taken. */
    if (s.n_packages)
        qsort(s.packages, s.n_packages, sizeof *s.packages, by_package);
    if (!scan_stop && !empty)
        make_footprints(&s);
    int status = s.write_error || empty ? ISA_FAILED : ISA_INTERRUPTED;
    if (!scan_stop && !empty) {
        qsort(s.packages, s.n_packages, sizeof *s.packages, by_package);
        status = write_anew(&s) ? ISA_FAILED : isa_skipped ? ISA_SKIPPED : ISA_OK;
        ret->seconds = (double)(hira_now_ns() - before) / 1e9;
        if (options->measure) {
            ret->bare_one = bare_rate(&s, 1, &ret->bare_processor);
            ret->bare_all = bare_rate(&s, s.threads, &ret->bare_processor);
        }
    }
    ret->applications = ret->summary.packages;
    ret->forms = isa_forms_count(db_forms(s.db));
    scan_fini(&s);
    return status;
}
