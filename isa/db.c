/* Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0 */
#include "db.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uthash.h>
#include <xxhash.h>
#include <zstd.h>

#include "base/fd.h"

#define DB_MAGIC 0x32504f5041534921ull     /* "!ISAPOP2" */
#define DB_MAGIC_OLD 0x31504f5041534921ull /* "!ISAPOP1": headers of records without a checksum */
#define VERIFY_CHUNK (256u << 10)
#define COMPRESS_FROM 512
#define COMPRESS_LEVEL 1 /* the scan must not wait for it */

enum { RECORD_FORM = 1, RECORD_OBJECT, RECORD_PACKAGE, RECORD_SUMMARY };

struct record {
    uint32_t kind, stored, raw, checksum;
    struct isa_hash key;
    uint64_t head; /* checksum of what is above; `checksum` is the payload's */
};

struct indexed {
    struct isa_hash hash;
    uint64_t offset;
    bool kept;
    UT_hash_handle hh;
};

struct db {
    char *path;
    int fd;
    bool write;
    uint64_t end;        /* of the last good record */
    uint64_t summary_at; /* where the last summary lies, behind the packages of its scan */
    struct isa_forms *forms;
    unsigned forms_written;
    struct indexed *objects;
    struct db_summary summary;
    bool complete;
    uint64_t damaged_at; /* 0: nowhere */
    pthread_mutex_t lock;
};

struct db_writer {
    struct db *db;
    struct db out;
    char *path, *temporary;
    int error;
};

const char *const closure_names[CLOSURES] = {"none", "reach", "whole"};

int closure_parse(const char *name, enum closure *ret)
{
    for (int i = 0; i < CLOSURES; i++) {
        if (!strcmp(name, closure_names[i])) {
            *ret = (enum closure)i;
            return 0;
        }
    }
    return -EINVAL;
}

void package_destroy(struct package *p)
{
    if (!p)
        return;
    for (size_t i = 0; i < p->n_files; i++) {
        free(p->files[i].path);
        free(p->files[i].soname);
    }
    for (size_t i = 0; i < p->n_missing; i++)
        free(p->missing[i]);
    for (size_t i = 0; i < p->n_remarks; i++) {
        free(p->remarks[i].path);
        free(p->remarks[i].why);
    }
    for (int i = 0; i < CLOSURES; i++) {
        free(p->footprints[i].forms);
        free(p->footprints[i].levels);
    }
    free(p->files);
    free(p->missing);
    free(p->remarks);
    free(p->name);
    free(p->version);
    free(p->arch);
    free(p->source);
    free(p->depends);
    free(p);
}

/* ---- records ---- */

static uint64_t head_sum(const struct record *r)
{
    return XXH64(r, offsetof(struct record, head), 0);
}

static int write_at(int fd, uint64_t offset, const uint8_t *data, size_t size)
{
    for (size_t done = 0; done < size;) {
        ssize_t n = pwrite(fd, data + done, size - done, (off_t)(offset + done));
        if (n < 0 && errno != EINTR)
            return -errno;
        done += n > 0 ? (size_t)n : 0;
    }
    return 0;
}

static int append(struct db *db, uint32_t kind, struct isa_hash key, const void *data, size_t size)
{
    HIRA_AUTOFREE uint8_t *packed = NULL;
    struct record r = {kind, (uint32_t)size, (uint32_t)size, 0, key, 0};
    if (size > ISA_RECORD_MAX)
        return -EFBIG;
    if (size >= COMPRESS_FROM) {
        size_t bound = ZSTD_compressBound(size);
        packed = malloc(bound + sizeof r);
        size_t n = packed ? ZSTD_compress(packed + sizeof r, bound, data, size, COMPRESS_LEVEL) : 0;
        if (packed && !ZSTD_isError(n) && n < size)
            r.stored = (uint32_t)n;
    }
    if (r.stored == r.raw) {
        free(packed);
        packed = isa_alloc(size + sizeof r);
        memcpy(packed + sizeof r, data, size);
    }
    r.checksum = (uint32_t)XXH32(packed + sizeof r, r.stored, kind);
    r.head = head_sum(&r);
    memcpy(packed, &r, sizeof r);
    int error = write_at(db->fd, db->end, packed, sizeof r + r.stored);
    if (error)
        return error;
    db->end += sizeof r + r.stored;
    return 0;
}

static int read_at(int fd, uint64_t offset, void *data, size_t size)
{
    for (size_t done = 0; done < size;) {
        ssize_t n = pread(fd, (char *)data + done, size - done, (off_t)(offset + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -EPIPE;
        done += (size_t)n;
    }
    return 0;
}

/* The payload at an offset whose header was read. Caller frees. */
static int read_payload(struct db *db, uint64_t offset, const struct record *r, uint8_t **ret_data)
{
    HIRA_AUTOFREE uint8_t *stored = malloc(r->stored + 1u), *raw = NULL;
    int error = stored ? read_at(db->fd, offset + sizeof *r, stored, r->stored) : -ENOMEM;
    if (error)
        return error;
    if ((uint32_t)XXH32(stored, r->stored, r->kind) != r->checksum)
        return -EBADMSG;
    if (r->stored == r->raw) {
        *ret_data = HIRA_STEAL(stored);
        return 0;
    }
    raw = malloc(r->raw + 1u);
    if (!raw)
        return -ENOMEM;
    size_t n = ZSTD_decompress(raw, r->raw, stored, r->stored);
    if (ZSTD_isError(n) || n != r->raw)
        return -EBADMSG;
    *ret_data = HIRA_STEAL(raw);
    return 0;
}

/* ---- forms, packages, summaries as bytes ---- */

static int write_form(struct db *db, unsigned i)
{
    const struct isa_form *f = isa_forms_get(db->forms, i);
    struct hira_text out = {0};
    hira_text_append(&out, &f->key, 8);
    put_string(&out, f->mnemonic);
    put_string(&out, f->set);
    put_string(&out, f->text);
    put_number(&out, f->level);
    put_number(&out, f->flags);
    int error = out.failed ? -ENOMEM : append(db, RECORD_FORM, (struct isa_hash){i, 0}, out.data, out.size);
    if (!error)
        db->forms_written = i + 1;
    hira_text_fini(&out);
    return error;
}

static void copy_string(struct reader *r, char *to, size_t size)
{
    char *s = get_string(r);
    snprintf(to, size, "%s", s);
    free(s);
}

static bool read_form(struct db *db, const uint8_t *data, size_t size)
{
    struct reader r = {data, data + size, size < 8};
    struct isa_form f = {0};
    if (r.failed)
        return false;
    memcpy(&f.key, data, 8);
    r.at += 8;
    copy_string(&r, f.mnemonic, sizeof f.mnemonic);
    copy_string(&r, f.set, sizeof f.set);
    copy_string(&r, f.text, sizeof f.text);
    f.level = (uint8_t)get_number_below(&r, ISA_LEVELS);
    f.flags = (uint8_t)get_number_below(&r, 256);
    if (!r.failed)
        isa_forms_add(db->forms, &f);
    return !r.failed;
}

static void put_footprint(struct hira_text *out, const struct footprint *f)
{
    unsigned last = 0;
    put_number(out, f->n);
    for (size_t i = 0; i < f->n; i++) {
        put_number(out, ((uint64_t)f->forms[i] - last) << 3 | f->levels[i]);
        last = f->forms[i];
    }
}

static void get_footprint(struct reader *r, struct footprint *f, bool wanted)
{
    size_t n = get_count(r, 1);
    uint64_t last = 0;
    f->forms = wanted ? isa_alloc(n * sizeof *f->forms) : NULL;
    f->levels = wanted ? isa_alloc(n) : NULL;
    f->n = wanted ? n : 0;
    for (size_t i = 0; i < n && !r->failed; i++) {
        uint64_t v = get_number_below(r, (uint64_t)ISA_FORMS_MAX << 3);
        last += v >> 3;
        if (last >= ISA_FORMS_MAX || (v & 7) >= ISA_LEVELS)
            r->failed = true;
        if (wanted && !r->failed) {
            f->forms[i] = (uint16_t)last;
            f->levels[i] = (uint8_t)(v & 7);
        }
    }
}

static void package_bytes(const struct package *p, bool footprints, struct hira_text *out)
{
    put_string(out, p->name);
    put_string(out, p->version);
    put_string(out, p->arch);
    put_string(out, p->source);
    put_string(out, p->depends);
    hira_text_append(out, &p->ident, sizeof p->ident);
    put_number(out, p->excluded);
    put_number(out, p->skipped);
    put_number(out, (p->programs ? 1u : 0) | (p->suspended ? 2u : 0));
    put_number(out, p->n_files);
    for (size_t i = 0; i < p->n_files; i++) {
        put_string(out, p->files[i].path);
        put_string(out, p->files[i].soname);
        hira_text_append(out, &p->files[i].hash, sizeof p->files[i].hash);
        put_number(out, p->files[i].program);
    }
    put_number(out, p->n_missing);
    for (size_t i = 0; i < p->n_missing; i++)
        put_string(out, p->missing[i]);
    put_number(out, p->member_cap);
    put_number(out, p->n_remarks);
    for (size_t i = 0; i < p->n_remarks; i++) {
        put_string(out, p->remarks[i].path);
        put_string(out, p->remarks[i].why);
    }
    put_number(out, footprints);
    for (int i = 0; footprints && i < CLOSURES; i++)
        put_footprint(out, &p->footprints[i]);
}

static struct isa_hash get_hash(struct reader *r)
{
    struct isa_hash h = {0};
    if (r->failed || r->end - r->at < (ptrdiff_t)sizeof h) {
        r->failed = true;
        return h;
    }
    memcpy(&h, r->at, sizeof h);
    r->at += sizeof h;
    return h;
}

static struct package *read_package(const uint8_t *data, size_t size, bool footprints)
{
    struct reader r = {data, data + size, false};
    struct package *p = isa_alloc(sizeof *p);
    p->name = get_string(&r);
    p->version = get_string(&r);
    p->arch = get_string(&r);
    p->source = get_string(&r);
    p->depends = get_string(&r);
    p->ident = get_hash(&r);
    p->excluded = (uint32_t)get_number_below(&r, UINT32_MAX);
    p->skipped = (uint32_t)get_number_below(&r, UINT32_MAX);
    uint64_t flags = get_number_below(&r, 4);
    p->programs = flags & 1;
    p->suspended = flags & 2;
    size_t n = get_count(&r, 19);
    p->files = isa_alloc(n * sizeof *p->files);
    p->files_cap = n;
    for (; p->n_files < n && !r.failed; p->n_files++) {
        struct package_file *f = &p->files[p->n_files];
        f->path = get_string(&r);
        f->soname = get_string(&r);
        f->hash = get_hash(&r);
        f->program = get_number_below(&r, 2);
    }
    n = get_count(&r, 1);
    p->missing = isa_alloc(n * sizeof *p->missing);
    for (; p->n_missing < n && !r.failed; p->n_missing++)
        p->missing[p->n_missing] = get_string(&r);
    p->member_cap = get_number(&r);
    n = get_count(&r, 2);
    p->remarks = isa_alloc(n * sizeof *p->remarks);
    p->remarks_cap = n;
    for (; p->n_remarks < n && !r.failed; p->n_remarks++) {
        p->remarks[p->n_remarks].path = get_string(&r);
        p->remarks[p->n_remarks].why = get_string(&r);
    }
    bool there = get_number_below(&r, 2);
    for (int i = 0; there && i < CLOSURES; i++)
        get_footprint(&r, &p->footprints[i], footprints);
    if (r.failed) {
        package_destroy(p);
        return NULL;
    }
    return p;
}

static void summary_bytes(const struct db_summary *s, struct hira_text *out)
{
    const uint64_t numbers[] = {s->time,      s->packages, s->objects, s->code_bytes,        s->instructions,
                                s->bad_bytes, s->suspect,  s->skipped, (uint64_t)s->closure, (uint64_t)s->cap,
                                s->machine};
    put_string(out, s->source);
    for (size_t i = 0; i < HIRA_ARRAY_SIZE(numbers); i++)
        put_number(out, numbers[i]);
    for (size_t i = 0; i < ISA_FORMS_MAX; i++) {
        put_number(out, s->occurrences[i]);
        put_number(out, s->suspects[i]);
    }
}

void db_summary_fini(struct db_summary *s)
{
    free(s->source);
    free(s->occurrences);
    free(s->suspects);
    *s = (struct db_summary){0};
}

static bool read_summary(struct db_summary *s, const uint8_t *data, size_t size)
{
    struct reader r = {data, data + size, false};
    db_summary_fini(s);
    s->source = get_string(&r);
    s->occurrences = isa_alloc(ISA_FORMS_MAX * sizeof *s->occurrences);
    s->suspects = isa_alloc(ISA_FORMS_MAX * sizeof *s->suspects);
    uint64_t *const numbers[] = {&s->time,         &s->packages,  &s->objects, &s->code_bytes,
                                 &s->instructions, &s->bad_bytes, &s->suspect, &s->skipped};
    for (size_t i = 0; i < HIRA_ARRAY_SIZE(numbers); i++)
        *numbers[i] = get_number(&r);
    s->closure = (enum closure)get_number_below(&r, CLOSURES);
    s->cap = (enum isa_level)get_number_below(&r, ISA_LEVELS);
    s->machine = (uint32_t)get_number_below(&r, 65536);
    for (size_t i = 0; i < ISA_FORMS_MAX && !r.failed; i++) {
        s->occurrences[i] = get_number(&r);
        s->suspects[i] = get_number(&r);
    }
    return !r.failed;
}

/* ---- opening ---- */

static void index_object(struct db *db, struct isa_hash hash, uint64_t offset)
{
    struct indexed *one;
    HASH_FIND(hh, db->objects, &hash, sizeof hash, one);
    if (!one) {
        one = isa_alloc(sizeof *one);
        one->hash = hash;
        HASH_ADD(hh, db->objects, hash, sizeof one->hash, one);
    }
    one->offset = offset;
}

/* Whether the payload at db->end is what was written. */
static bool payload_holds(struct db *db, const struct record *r)
{
    HIRA_AUTOFREE uint8_t *chunk = isa_alloc(HIRA_MIN(r->stored, VERIFY_CHUNK));
    XXH32_state_t *state = XXH32_createState();
    bool ok = state && XXH32_reset(state, r->kind) == XXH_OK;
    for (uint32_t done = 0; ok && done < r->stored;) {
        uint32_t n = HIRA_MIN(r->stored - done, VERIFY_CHUNK);
        ok = !read_at(db->fd, db->end + sizeof *r + done, chunk, n) && XXH32_update(state, chunk, n) == XXH_OK;
        done += n;
    }
    ok = ok && (uint32_t)XXH32_digest(state) == r->checksum;
    XXH32_freeState(state);
    return ok;
}

/* Takes in what is kept in memory of the record at db->end; false: it is damaged. */
static bool take_record(struct db *db, const struct record *r)
{
    HIRA_AUTOFREE uint8_t *data = NULL;
    if (r->kind == RECORD_OBJECT || r->kind == RECORD_PACKAGE) {
        bool ok = payload_holds(db, r);
        if (ok && r->kind == RECORD_OBJECT)
            index_object(db, r->key, db->end);
        return ok;
    }
    if (read_payload(db, db->end, r, &data))
        return false;
    if (r->kind == RECORD_FORM)
        return read_form(db, data, r->raw);
    if (!read_summary(&db->summary, data, r->raw))
        return false;
    db->complete = true;
    db->summary_at = db->end;
    return true;
}

/* Walks the records. What a scan that was interrupted left half written ends them; anything else that its checksum does
 * not fit is damage. A writer goes on behind an object or a package that is lost, and makes it anew. */
static int walk(struct db *db)
{
    struct stat st;
    if (fstat(db->fd, &st) < 0)
        return -errno;
    struct record r;
    while ((uint64_t)st.st_size - db->end >= sizeof r && read_at(db->fd, db->end, &r, sizeof r) == 0) {
        uint64_t left = (uint64_t)st.st_size - db->end - sizeof r;
        bool sane = r.head == head_sum(&r) && r.kind >= RECORD_FORM && r.kind <= RECORD_SUMMARY &&
                    r.raw <= ISA_RECORD_MAX && r.stored <= r.raw;
        if (sane && r.stored > left)
            break;
        if (!sane || !take_record(db, &r)) {
            db->damaged_at = db->damaged_at ? db->damaged_at : db->end;
            if (!sane || !db->write || (r.kind != RECORD_OBJECT && r.kind != RECORD_PACKAGE))
                break;
        }
        db->end += sizeof r + r.stored;
        /* What lies behind the summary of a complete scan is none of a reader's business. */
        if (!db->write && db->complete)
            break;
    }
    db->forms_written = isa_forms_count(db->forms);
    if (!db->write)
        return db->damaged_at && !db->complete ? -EUCLEAN : 0;
    return ftruncate(db->fd, (off_t)db->end) < 0 ? -errno : 0;
}

static int open_file(struct db *db)
{
    uint64_t magic = DB_MAGIC;
    db->fd = open(db->path, (db->write ? O_RDWR | O_CREAT : O_RDONLY) | O_CLOEXEC | O_NONBLOCK, 0666);
    if (db->fd < 0)
        return -errno;
    struct stat st;
    if (fstat(db->fd, &st) < 0)
        return -errno;
    if (!S_ISREG(st.st_mode))
        return S_ISDIR(st.st_mode) ? -EISDIR : -EBADMSG;
    if (db->write && flock(db->fd, LOCK_EX | LOCK_NB) < 0)
        return -EBUSY;
    if (st.st_size == 0 ? !db->write : read_at(db->fd, 0, &magic, sizeof magic) != 0)
        return -EBADMSG;
    if (db->write && magic == DB_MAGIC_OLD) {
        isa_note("%s: an earlier isapop made it, without checksums; everything is analyzed again", db->path);
        if (ftruncate(db->fd, 0) < 0)
            return -errno;
        st.st_size = 0;
    }
    if (st.st_size == 0) {
        magic = DB_MAGIC;
        ssize_t n = pwrite(db->fd, &magic, sizeof magic, 0);
        return n == sizeof magic ? 0 : n < 0 ? -errno : -ENOSPC;
    }
    return magic == DB_MAGIC ? 0 : magic == DB_MAGIC_OLD ? -ESTALE : -EBADMSG;
}

static void explain(const struct db *db, int error)
{
    const char *path = db->path;
    if (error == -EUCLEAN)
        isa_note("%s: it is damaged, at byte %llu; scan again, which analyzes anew what was lost", path,
                 (unsigned long long)db->damaged_at);
    else if (error == -ESTALE)
        isa_note("%s: an earlier isapop made it, without checksums; scan again into it", path);
    else if (error == -ENOENT && db->write) {
        const char *slash = strrchr(path, '/');
        isa_note("%s: the folder %.*s is not there; make it, or choose another --db", path,
                 slash ? HIRA_MAX((int)(slash - path), 1) : 1, slash ? path : ".");
    } else if (error == -ENOENT)
        isa_note("%s: there is no database; make one: isapop scan --db %s --installed", path, path);
    else if (error == -EBADMSG)
        isa_note("%s: this is no database of isapop (or of another version of it); choose another --db, or remove it",
                 path);
    else if (error == -EBUSY)
        isa_note("%s: another isapop is writing it; wait for that one, or choose another --db", path);
    else if (error == -ENOSPC || error == -EDQUOT)
        isa_note("%s: cannot be written: %s; the disk is full, free some space", path, strerror(-error));
    else
        isa_note("%s: %s", path, strerror(-error));
}

struct db *db_open(const char *path, bool write)
{
    struct db *db = isa_alloc(sizeof *db);
    db->path = isa_strdup(path);
    db->write = write;
    db->end = sizeof(uint64_t);
    db->forms = isa_forms_create();
    pthread_mutex_init(&db->lock, NULL);
    int error = open_file(db);
    if (!error)
        error = walk(db);
    if (error) {
        explain(db, error);
        db_close(db);
        return NULL;
    }
    if (write && db->damaged_at)
        isa_note("%s: it is damaged, at byte %llu; what was lost is analyzed again", path,
                 (unsigned long long)db->damaged_at);
    return db;
}

void db_close(struct db *db)
{
    struct indexed *one, *next;
    if (!db)
        return;
    HASH_ITER(hh, db->objects, one, next)
    {
        HASH_DEL(db->objects, one);
        free(one);
    }
    hira_fd_closep(&db->fd);
    isa_forms_destroy(db->forms);
    db_summary_fini(&db->summary);
    free(db->path);
    free(db);
}

bool db_begins(const void *head, size_t size)
{
    uint64_t magic;
    if (size < sizeof magic)
        return false;
    memcpy(&magic, head, sizeof magic);
    return magic == DB_MAGIC || magic == DB_MAGIC_OLD;
}

struct isa_forms *db_forms(struct db *db)
{
    return db->forms;
}

const struct db_summary *db_summary(const struct db *db)
{
    return db->complete ? &db->summary : NULL;
}

/* ---- objects and packages ---- */

static uint64_t offset_of(struct db *db, struct isa_hash hash)
{
    struct indexed *one;
    pthread_mutex_lock(&db->lock);
    HASH_FIND(hh, db->objects, &hash, sizeof hash, one);
    uint64_t offset = one ? one->offset : 0;
    pthread_mutex_unlock(&db->lock);
    return offset;
}

bool db_has_object(struct db *db, struct isa_hash hash)
{
    return offset_of(db, hash) != 0;
}

struct object *db_object(struct db *db, struct isa_hash hash)
{
    struct record r;
    struct object *object = NULL;
    HIRA_AUTOFREE uint8_t *data = NULL;
    uint64_t offset = offset_of(db, hash);
    if (!offset || read_at(db->fd, offset, &r, sizeof r) || read_payload(db, offset, &r, &data) ||
        object_read(data, r.raw, &object))
        return NULL;
    return object;
}

int db_put_object(struct db *db, const struct object *object)
{
    struct hira_text out = {0};
    object_write(object, &out);
    pthread_mutex_lock(&db->lock);
    int error = out.failed ? -ENOMEM : 0;
    for (unsigned n = isa_forms_count(db->forms); !error && db->forms_written < n;)
        error = write_form(db, db->forms_written);
    uint64_t offset = db->end;
    if (!error)
        error = append(db, RECORD_OBJECT, object->hash, out.data, out.size);
    if (!error)
        index_object(db, object->hash, offset);
    pthread_mutex_unlock(&db->lock);
    hira_text_fini(&out);
    return error;
}

static int put_package(struct db *db, const struct package *p, bool footprints)
{
    struct hira_text out = {0};
    package_bytes(p, footprints, &out);
    pthread_mutex_lock(&db->lock);
    int error = out.failed ? -ENOMEM : append(db, RECORD_PACKAGE, p->ident, out.data, out.size);
    pthread_mutex_unlock(&db->lock);
    hira_text_fini(&out);
    return error;
}

int db_put_package(struct db *db, const struct package *p)
{
    return put_package(db, p, false);
}

int db_packages(struct db *db, bool all, bool footprints, void (*each)(void *context, struct package *package),
                void *context)
{
    struct record r;
    uint64_t end = all ? db->end : db->summary_at;
    for (uint64_t at = sizeof(uint64_t); at < end && read_at(db->fd, at, &r, sizeof r) == 0;
         at += sizeof r + r.stored) {
        HIRA_AUTOFREE uint8_t *data = NULL;
        if (r.kind != RECORD_PACKAGE)
            continue;
        int error = read_payload(db, at, &r, &data);
        struct package *p = error ? NULL : read_package(data, r.raw, footprints);
        if (!p && db->write)
            continue; /* said when it was opened */
        if (!p)
            return error ? error : -EBADMSG;
        each(context, p);
    }
    return 0;
}

/* ---- writing it anew ---- */

struct db_writer *db_rewrite_begin(struct db *db)
{
    struct db_writer *w = isa_alloc(sizeof *w);
    uint64_t magic = DB_MAGIC;
    struct stat st;
    w->db = db;
    /* A link stays one, and what only its owner may read as well. */
    w->path = realpath(db->path, NULL);
    w->path = w->path ? w->path : isa_strdup(db->path);
    w->temporary = isa_printf("%s.new", w->path);
    errno = 0;
    w->out.fd = open(w->temporary, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0666);
    w->out.forms = db->forms;
    w->out.end = sizeof magic;
    pthread_mutex_init(&w->out.lock, NULL);
    if (w->out.fd < 0 || flock(w->out.fd, LOCK_EX | LOCK_NB) < 0 || fstat(db->fd, &st) < 0 ||
        fchmod(w->out.fd, st.st_mode & 0777) < 0 || pwrite(w->out.fd, &magic, sizeof magic, 0) != sizeof magic)
        w->error = errno ? -errno : -ENOSPC;
    for (unsigned i = 0; !w->error && i < isa_forms_count(db->forms); i++)
        w->error = write_form(&w->out, i);
    return w;
}

static void copy_object(struct db_writer *w, struct isa_hash hash)
{
    struct indexed *one;
    struct record r;
    HASH_FIND(hh, w->db->objects, &hash, sizeof hash, one);
    if (!one || one->kept || w->error)
        return;
    one->kept = true;
    w->error = read_at(w->db->fd, one->offset, &r, sizeof r);
    HIRA_AUTOFREE uint8_t *data = w->error ? NULL : malloc(sizeof r + r.stored);
    if (!w->error)
        w->error = data ? read_at(w->db->fd, one->offset, data, sizeof r + r.stored) : -ENOMEM;
    if (!w->error)
        w->error = write_at(w->out.fd, w->out.end, data, sizeof r + r.stored);
    w->out.end += sizeof r + r.stored;
}

int db_rewrite_package(struct db_writer *w, const struct package *p)
{
    for (size_t i = 0; i < p->n_files; i++)
        copy_object(w, p->files[i].hash);
    if (!w->error)
        w->error = put_package(&w->out, p, true);
    return w->error;
}

int db_rewrite_end(struct db_writer *w, const struct db_summary *summary)
{
    struct hira_text out = {0};
    summary_bytes(summary, &out);
    if (!w->error)
        w->error = append(&w->out, RECORD_SUMMARY, (struct isa_hash){0}, out.data, out.size);
    hira_text_fini(&out);
    if (!w->error && (fsync(w->out.fd) < 0 || rename(w->temporary, w->path) < 0))
        w->error = -errno;
    int error = w->error;
    if (error)
        unlink(w->temporary);
    hira_fd_closep(&w->out.fd);
    free(w->temporary);
    free(w->path);
    free(w);
    return error;
}
