/*
 * The footprint database: one file of records, only ever appended to while a scan runs, so that a scan that is
 * interrupted, killed or out of disk has lost nothing but the record it was writing. A record that is torn ends the
 * file. Every record is verified when the file is opened: queries refuse one that is damaged, a scan makes anew what
 * was lost. When a scan is complete the file is written anew, without what nothing needs any
 * more, and renamed into place.
 *
 * Kinds: a form (its number is its place), an object under the hash of the file it was made from, a package with its
 * files and, once the scan is complete, its footprints; and the summary of a complete scan.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#ifndef HIRA_ISA_DB_H
#define HIRA_ISA_DB_H

#include "object.h"

enum closure { CLOSURE_NONE, CLOSURE_REACH, CLOSURE_WHOLE, CLOSURES };
extern const char *const closure_names[CLOSURES];
int closure_parse(const char *name, enum closure *ret);

struct package_file {
    char *path, *soname;
    struct isa_hash hash;
    bool program;
};

/* A file in an archive that was left out, and why. */
struct package_remark {
    char *path, *why;
};

/* A footprint: forms, and for each the level from which a processor needs it (ISA_V1: every one; more where code asks
 * the processor). */
struct footprint {
    uint16_t *forms;
    uint8_t *levels;
    size_t n;
};

struct package {
    char *name, *version, *arch, *source, *depends;
    struct isa_hash ident; /* of an archive's bytes; 0: made of files */
    struct package_file *files;
    size_t n_files, files_cap;
    char **missing; /* libraries that its programs need and nobody has */
    size_t n_missing;
    struct package_remark *remarks; /* of an archive, so that they can be told again when it is not read again */
    size_t n_remarks, remarks_cap;
    uint64_t member_cap;        /* that the archive was read with */
    uint32_t excluded, skipped; /* ELF files of other classes; files that could not be read */
    bool programs;              /* has any */
    bool live;                  /* of the present scan */
    bool loose;                 /* a file by itself; not kept */
    bool suspended;             /* a source of libraries only: never counted */
    struct footprint footprints[CLOSURES];
};

struct db_summary {
    char *source; /* what was scanned */
    uint64_t time, packages, objects, code_bytes, instructions, bad_bytes, suspect, skipped;
    enum closure closure; /* defaults of this database */
    enum isa_level cap;
    uint32_t machine;
    uint64_t *occurrences, *suspects; /* of each form, in all files; ISA_FORMS_MAX of them */
};
void db_summary_fini(struct db_summary *summary);

struct db;

/* Opens, or with `write` creates, a database. A second writer is refused. On failure an explanation is printed and NULL
 * returned. */
struct db *db_open(const char *path, bool write);
void db_close(struct db *db);

/* Whether a file begins as databases do, of this isapop or an earlier one. */
bool db_begins(const void *head, size_t size);

struct isa_forms *db_forms(struct db *db);
const struct db_summary *db_summary(const struct db *db); /* NULL: no scan of it was ever complete */

/* Any thread. Objects read belong to the caller. */
bool db_has_object(struct db *db, struct isa_hash hash);
struct object *db_object(struct db *db, struct isa_hash hash);
int db_put_object(struct db *db, const struct object *object);

/* Every package of the last complete scan, or (`all`) every record of one, also of scans that were not completed;
 * without footprints unless they are asked for. The callback owns the package. 0 or -errno. */
int db_packages(struct db *db, bool all, bool footprints, void (*each)(void *context, struct package *package),
                void *context);
int db_put_package(struct db *db, const struct package *package);
void package_destroy(struct package *package);

/* Writes the database anew: of the old one the objects that `packages` name. */
struct db_writer;
struct db_writer *db_rewrite_begin(struct db *db);
int db_rewrite_package(struct db_writer *w, const struct package *package);
int db_rewrite_end(struct db_writer *w, const struct db_summary *summary); /* also frees it */

#endif
