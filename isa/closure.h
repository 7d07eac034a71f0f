/*
 * Footprints: which forms a package needs. A program's own code counts wholly. Of the libraries it needs, by --closure:
 * nothing, what its undefined symbols lead to (through the graphs of all libraries in its scope, from library to
 * library), or everything.
 *
 * A library is looked for as the loader does: by name, in the directories of RUNPATH, then the standard ones; a
 * package's own comes before somebody else's. What a library runs when it is loaded counts as reached, so does the
 * interpreter's entry.
 *
 * Instructions above the baseline in a file that asks the processor what it can do (CPUID, XGETBV, IFUNC, a known
 * library's variables) need not run where they do not exist; they have the level from which on they may. In a file that
 * never asks they count for everybody.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#ifndef HIRA_ISA_CLOSURE_H
#define HIRA_ISA_CLOSURE_H

#include "db.h"

struct closures;

/* `packages` are those whose files can be found as libraries. `find`: asked for a library that no package has; returns
 * an object's hash after having put the object into the database, or false. It may be NULL. */
struct closures *closures_create(struct db *db, struct package **packages, size_t n,
                                 bool (*find)(void *context, const char *name, struct isa_hash *ret_hash),
                                 void *context);
void closures_destroy(struct closures *c);

/* Fills in footprints and missing libraries of a package. Any thread, different packages. */
void closures_of(struct closures *c, struct package *package);

/* Which objects of a package have one of the forms (a byte for each of ISA_FORMS_MAX), for `why`: its programs, and of
 * libraries what the closure counts, for the processor that is assumed. Calls back with the file's path; perhaps more
 * than once with the same. */
void closures_why(struct closures *c, const struct package *package, const uint8_t *wanted, enum closure closure,
                  enum isa_level cap, void (*found)(void *context, const char *path, const struct object *object),
                  void *context);

#endif
