/* Between scan.c (the work) and sources.c (what there is to work on).
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef HIRA_ISA_SCAN_PRIVATE_H
#define HIRA_ISA_SCAN_PRIVATE_H

#include <pthread.h>

#include "scan.h"

struct job {
    char *path;   /* on this machine */
    char *listed; /* as the package names it; NULL: an archive */
    struct package *package;
    uint64_t size;
    bool named; /* on the command line: who names something is told what became of it */
};

struct scan_seen;

struct archived {
    struct package *package;
    const char *path; /* of the archive; NULL: it is installed */
    struct isa_hash content;
    bool known; /* it belongs to the database's list of archives */
};

struct scan {
    const struct scan_options *options;
    struct db *db;
    pthread_mutex_t lock; /* of jobs and packages */
    struct job *jobs;
    size_t n_jobs, jobs_cap;
    struct package **packages;
    size_t n_packages, packages_cap;
    struct archived *archived; /* what the archives of this scan had, until it is clear which of them count */
    size_t n_archived, archived_cap;
    struct package **known; /* archives that the database has, sorted by ident */
    size_t n_known, known_cap;
    struct scan_result *result;
    unsigned threads;
    int write_error; /* of the database; it stopped the scan */
    struct scan_seen *seen;
};

extern _Atomic bool scan_stop;

/* Lists all sources into jobs and packages. */
void sources_list(struct scan *s);

/* Whether an ELF file, by its first bytes, is of a class that is left out on purpose, or for another machine. */
bool scan_leaves_out(const struct scan *s, const uint8_t *head, size_t n);

struct package *scan_add_package(struct scan *s, struct package *package);
/* Whether something with this name was there before: files, archives, packages. Counts it when it was. Any thread. */
bool scan_met(struct scan *s, const char *name);
bool scan_met_package(struct scan *s, const struct package *p);
void scan_add_job(struct scan *s, struct job job);

/* Runs fn(context, worker, i) for i below n on all threads, in order of i, until scan_stop. */
void scan_parallel(struct scan *s, size_t n, void (*fn)(struct scan *s, void *worker, size_t i),
                   void *(*begin)(struct scan *s), void (*end)(void *worker));

#endif
