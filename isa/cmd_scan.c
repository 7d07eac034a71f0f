/*
 * isapop scan: sources into a database.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include "cmd.h"

static void print_measure(FILE *to, const struct scan_result *r)
{
    double wall = (double)r->analyzed_bytes / r->analysis_seconds,
           processor = (double)r->analyzed_bytes / r->processor_seconds;
    if (!r->analyzed_bytes || r->bare_one <= 0 || r->processor_seconds <= 0) {
        fputs(r->analyzed_bytes
                  ? "speed: only of programs and folders can it be measured, not of packages in archives\n"
                  : "speed: everything was known already; measure into a new --db\n",
              to);
        return;
    }
    fprintf(to, "speed: %.2f MB of code a second on %s, by the clock; %.2f for each second of a processor\n",
            wall / 1e6, isa_n(r->threads, "thread"), processor / 1e6);
    fprintf(to,
            "       the bare decoder: %.2f on one thread, times %u is %.2f; %.2f on all together; %.2f for each second "
            "of a processor\n",
            r->bare_one / 1e6, r->threads, r->bare_one * r->threads / 1e6, r->bare_all / 1e6, r->bare_processor / 1e6);
    fprintf(to,
            "       the scan has %.0f %% of one thread's rate times %u, %.0f %% of all threads', %.0f %% for each "
            "second of a processor\n",
            100 * wall / (r->bare_one * r->threads), r->threads, 100 * wall / r->bare_all,
            100 * processor / r->bare_processor);
}

static void print_result(FILE *to, const struct options *o, const struct scan_result *r)
{
    const struct db_summary *s = &r->summary;
    fprintf(to, "%s: %s with %s, %s (%llu analyzed now, %llu known), %llu of other classes left out\n",
            o->scan.database, isa_n(s->packages, "package"), isa_n(r->programs, "program"), isa_n(s->objects, "file"),
            (unsigned long long)r->analyzed_files, (unsigned long long)r->known_files, (unsigned long long)r->excluded);
    fprintf(to, "%.1f MB of code, %s, %s; apart: %s of no instruction, %s\n", (double)s->code_bytes / 1e6,
            isa_n(s->instructions, "instruction"), isa_n(r->forms, "form"), isa_n(s->bad_bytes, "byte"),
            isa_n(s->suspect, "suspicious instruction"));
    if (r->kept)
        fprintf(to, "%s of the scan before kept\n", isa_n(r->kept, "package"));
    if (r->twice)
        fprintf(to, "given more than once, counted once: %llu\n", (unsigned long long)r->twice);
    fprintf(to, "%.1f s on %s, of which %.1f for the analysis\n", r->seconds, isa_n(r->threads, "thread"),
            r->analysis_seconds);
}

int cmd_scan(const struct options *o)
{
    struct scan_options options = o->scan;
    struct scan_result result;
    /* A report that a program reads has the standard output for itself. */
    FILE *to = o->format == OUTPUT_TEXT ? stdout : stderr;
    if (!options.installed && !o->n_words)
        return cmd_usage(o, "scan what? --installed, or files, folders, .deb files, an index");
    if (options.mirror && !sources_have_index(o->words, o->n_words))
        return cmd_usage(o, "--mirror is for the Packages index of a mirror, and none of the sources is one");
    options.sources = o->words;
    options.n_sources = o->n_words;
    options.closure_given = o->model.closure >= 0;
    options.cap_given = o->model.cap >= 0;
    int status = scan(&options, &result);
    if (status == ISA_INTERRUPTED)
        isa_note("interrupted; the same command goes on from here");
    if (status == ISA_OK || status == ISA_SKIPPED)
        print_result(to, o, &result);
    if (options.measure && (status == ISA_OK || status == ISA_SKIPPED))
        print_measure(to, &result);
    if (status == ISA_SKIPPED)
        fprintf(to, "%s %s left out, as said\n", isa_n(isa_skipped, "thing"), isa_skipped == 1 ? "was" : "were");
    db_summary_fini(&result.summary);
    return output_flush() ? ISA_FAILED : status;
}
