/*
 * What the verbs of isapop share: one parser of options for all of them, each verb saying which it takes.
 *
 * Exit status: 0 done; 1 it failed; 2 the command line makes no sense; 3 done, but something had to be left out, which
 * was said; 130 it was interrupted.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#ifndef HIRA_ISA_CMD_H
#define HIRA_ISA_CMD_H

#include "model.h"
#include "output.h"
#include "scan.h"

struct options {
    const char *verb;
    struct model_options model;
    enum output_format format;
    const char *supported, *output, *order;
    size_t limit; /* rows of a table */
    double until;
    size_t steps;
    bool depends, progress;
    struct scan_options scan;
    char **words; /* the arguments that are no options */
    size_t n_words;
};

/* "isapop VERB: ..." and where help is; ISA_USAGE. */
int cmd_usage(const struct options *o, const char *format, ...) HIRA_PRINTF(2, 3);

/* Opens the model and an output with what it is about. False: said why. */
bool cmd_begin(const struct options *o, struct model **ret_model, struct output **ret_output);
/* What a model is about, each line with something before it. */
void cmd_describe(const struct model *m, struct output *out, const char *before);
/* Prints, frees both, and turns what was skipped into the exit status. */
int cmd_end(struct model *m, struct output *out);

/* The set of --supported, or an empty one. NULL: said why. Caller frees. */
uint64_t *cmd_supported(const struct options *o, const struct model *m);

int cmd_scan(const struct options *o);
int cmd_importance(const struct options *o);
int cmd_wc(const struct options *o);
int cmd_plan(const struct options *o);
int cmd_testset(const struct options *o);
int cmd_why(const struct options *o);
int cmd_diff(const struct options *o);
int cmd_bench(const struct options *o);
int cmd_family(const struct options *o);
int cmd_occurrences(const struct options *o);
int cmd_report(const struct options *o);

/* How many of a list within a cell are shown: `most` to people, all to programs. */
static inline size_t cmd_listed(const struct options *o, size_t most)
{
    return o->format == OUTPUT_TEXT ? most : SIZE_MAX;
}

#endif
