/*
 * What all of isapop shares: limits with their reasons, memory that never fails, growing arrays, and how something that
 * had to be left out is said.
 *
 * isapop reads files of strangers (programs, archives, lists). Bytes from them are checked before they are believed, a
 * file that makes no sense costs one line on standard error and is counted, and work goes on. Only the lack of memory
 * ends the program at once.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#ifndef HIRA_ISA_ISA_H
#define HIRA_ISA_ISA_H

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "base/util.h"

/* Exit status of every verb. */
enum { ISA_OK = 0, ISA_FAILED = 1, ISA_USAGE = 2, ISA_SKIPPED = 3, ISA_INTERRUPTED = 130 };

#define ISA_FORMS_MAX 16384 /* encoding forms: a whole distribution has some 7,000; more is an attack or a fault */
#define ISA_MEMORY_BUDGET (112u << 20) /* for what is unpacked at one time: all of isapop stays below 200 MB */
#define ISA_MEMBER_MAX                                                                                                 \
    (72u << 20) /* one file in an archive, unless --member-cap says less: a file, its graph, and a decompressor fit */
#define ISA_MEMBERS_MAX 400000     /* files in one archive: the largest packages have some 50,000 */
#define ISA_CONTROL_MAX (1u << 20) /* a control file */
#define ISA_DEB_RATIO_MAX                                                                                              \
    2000 /* unpacked bytes for each packed one: xz of zeros has 7,000, real packages below 100                         \
          */
#define ISA_EDGES_MAX                                                                                                  \
    (5u << 20) /* references between functions of one file, 40 MB; beyond it all of the file counts as reached */
#define ISA_FUNCTIONS_MAX                                                                                              \
    600000 /* starts of functions in one file; a browser has fewer. What comes after is swept without */
#define ISA_STUBS_MAX 100000         /* entries of a procedure linkage table */
#define ISA_DEPTH_MAX 64             /* folders in folders */
#define ISA_REMARKS_MAX 1000         /* remembered of one archive; how many there were in all is known */
#define ISA_SCOPE_MAX 1024           /* libraries of one program */
#define ISA_OBJECT_CACHE (24u << 20) /* libraries kept loaded while footprints are made */
#define ISA_RECORD_MAX (96u << 20)   /* a record of the database */

/* Memory: never NULL; prints one line and exits with 70 when there is none. */
void *isa_alloc(size_t size); /* zeroed */
void *isa_realloc(void *p, size_t size);
char *isa_strdup(const char *s);
char *isa_strndup(const char *s, size_t n);
char *isa_printf(const char *format, ...) HIRA_PRINTF(1, 2);

/* "1 package", "2 packages", "0 entries": text of this thread's, good for the next seven. */
const char *isa_n(uint64_t n, const char *one);

/* Makes room for one more element: ISA_PUSH(array, n, capacity) = value. */
#define ISA_PUSH(a, n, cap)                                                                                            \
    (*((n) == (cap) ? ((cap) = (cap) ? (cap)*2 : 16, (a) = isa_realloc((a), (cap) * sizeof *(a)), &(a)[(n)++])         \
                    : &(a)[(n)++]))

struct isa_hash {
    uint64_t a, b;
};

/* How many things were left out so far, and a line for one more: "isapop: WHAT: reason". Any thread. The format says
 * what to do. */
extern _Atomic unsigned isa_skipped;
void isa_skip(const char *what, const char *format, ...) HIRA_PRINTF(2, 3);
/* A line that is no skip. */
void isa_note(const char *format, ...) HIRA_PRINTF(1, 2);
/* Whatever clears a progress bar before a line is printed. */
extern void (*isa_before_line)(void);

/* Replaces control characters of outside text in place, so that a file name cannot drive the terminal, and what is not
 * UTF-8, so that JSON can have it. */
void isa_printable(char *s);

#endif
