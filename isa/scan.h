/*
 * A scan: sources into a database.
 *
 * First all sources are listed (packages, files, sizes), then every core takes the largest file left, hashes it, and
 * analyzes it unless the database knows the hash; last, unless packages are added,
 * those of the scan before are dropped, footprints are made and the database is written anew. Whatever
 * happens between, what was analyzed is in the database, and the same command goes on from there.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#ifndef HIRA_ISA_SCAN_H
#define HIRA_ISA_SCAN_H

#include "db.h"

struct scan_options {
    const char *database;
    char **sources; /* files, folders, archives, indexes */
    size_t n_sources;
    bool installed;     /* the system under `root` as its package manager lists it */
    const char *root;   /* "" is / */
    const char *mirror; /* of an index; NULL: the folder above its "dists", or its own */
    size_t member_cap;
    unsigned machine; /* ELF e_machine: files for others are left out */
    unsigned threads; /* 0: one for each processor */
    enum closure closure;
    enum isa_level cap;
    bool closure_given, cap_given;
    bool add;     /* keep the packages of the scan before that this one does not have */
    bool measure; /* compare with the bare decoder */
    bool passing; /* the database does not outlast the command: nothing goes on from there */
};

struct scan_result {
    struct db_summary summary;
    uint64_t analyzed_files, known_files, analyzed_bytes, analyzed_instructions;
    uint64_t programs, applications, excluded;
    uint64_t kept;  /* packages of the scan before */
    uint64_t twice; /* given more than once, and counted once */
    double seconds, analysis_seconds, processor_seconds;
    unsigned threads, forms;
    double bare_one, bare_all,
        bare_processor; /* bytes of code a second: one thread, all threads together, for each second of a processor */
};

/* ISA_OK, ISA_SKIPPED, ISA_INTERRUPTED or ISA_FAILED, said why. */
int scan(const struct scan_options *options, struct scan_result *ret);

/* Whether the index of a mirror is among the sources. */
bool sources_have_index(char **sources, size_t n);

#endif
