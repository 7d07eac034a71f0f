/*
 * Results: tables, printed aligned for people, as JSON (one object), or as CSV.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#ifndef HIRA_ISA_OUTPUT_H
#define HIRA_ISA_OUTPUT_H

#include "isa.h"

enum output_format { OUTPUT_TEXT, OUTPUT_JSON, OUTPUT_CSV };

struct output;
struct output *output_create(enum output_format format);
/* A remark: above what follows in text, in "about" in JSON, a comment in CSV. */
void output_note(struct output *o, const char *format, ...) HIRA_PRINTF(2, 3);
/* Columns are named in one text, separated by "|"; "<" in front of a name: to the left. */
void output_table(struct output *o, const char *name, const char *columns);
void output_text(struct output *o, const char *value);
void output_count(struct output *o, uint64_t value);
void output_percent(struct output *o, double share); /* 0.5 is shown as 50.00 %, and is 50 in JSON and CSV */
void output_real(struct output *o, double value);
/* Prints everything to standard output and frees it; ISA_OK, or ISA_FAILED when it could not be written. */
int output_end(struct output *o);
void output_destroy(struct output *o); /* unprinted */
/* Of what was printed until now: ISA_OK, or ISA_FAILED, said why. */
int output_flush(void);

#endif
