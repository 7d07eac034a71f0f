/*
 * isapop scan: sources into a database.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include "cmd.h"

static void print_measure(const struct scan_result *r)
{
    double wall = (double)r->analyzed_bytes / r->analysis_seconds,
           processor = (double)r->analyzed_bytes / r->processor_seconds;
    if (!r->analyzed_bytes || r->bare_one <= 0 || r->processor_seconds <= 0) {
        puts("speed: everything was known already; measure into a new --db");
        return;
    }
    printf("speed: %.2f MB of code a second on %u threads, by the clock; %.2f for each second of a processor\n",
           wall / 1e6, r->threads, processor / 1e6);
    printf("       the bare decoder: %.2f on one thread, times %u is %.2f; %.2f on all together; %.2f for each second "
           "of a processor\n",
           r->bare_one / 1e6, r->threads, r->bare_one * r->threads / 1e6, r->bare_all / 1e6, r->bare_processor / 1e6);
    printf("       the scan has %.0f %% of one thread's rate times %u, %.0f %% of all threads', %.0f %% for each "
           "second of a processor\n",
           100 * wall / (r->bare_one * r->threads), r->threads, 100 * wall / r->bare_all,
           100 * processor / r->bare_processor);
}

static void print_result(const struct options *o, const struct scan_result *r)
{
    const struct db_summary *s = &r->summary;
    printf("%s: %llu packages with %llu programs, %llu files (%llu analyzed now, %llu known), %llu of other classes "
           "left out\n",
           o->scan.database, (unsigned long long)s->packages, (unsigned long long)r->programs,
           (unsigned long long)s->objects, (unsigned long long)r->analyzed_files, (unsigned long long)r->known_files,
           (unsigned long long)r->excluded);
    printf("%.1f MB of code, %llu instructions, %u forms; apart: %llu bytes that are no instructions, %llu suspicious "
           "instructions\n",
           (double)s->code_bytes / 1e6, (unsigned long long)s->instructions, r->forms, (unsigned long long)s->bad_bytes,
           (unsigned long long)s->suspect);
    if (r->kept)
        printf("%llu of the packages are of the scan before\n", (unsigned long long)r->kept);
    if (r->twice)
        printf("%llu were given more than once, and count once\n", (unsigned long long)r->twice);
    printf("%.1f s on %u threads, of which %.1f for the analysis\n", r->seconds, r->threads, r->analysis_seconds);
}

int cmd_scan(const struct options *o)
{
    struct scan_options options = o->scan;
    struct scan_result result;
    if (!options.installed && !o->n_words)
        return cmd_usage(o, "scan what? --installed, or files, folders, .deb files, an index");
    options.sources = o->words;
    options.n_sources = o->n_words;
    options.closure_given = o->model.closure >= 0;
    options.cap_given = o->model.cap >= 0;
    int status = scan(&options, &result);
    if (status == ISA_INTERRUPTED)
        isa_note("interrupted; the same command goes on from here");
    if (status == ISA_OK || status == ISA_SKIPPED)
        print_result(o, &result);
    if (options.measure && (status == ISA_OK || status == ISA_SKIPPED))
        print_measure(&result);
    if (status == ISA_SKIPPED)
        printf("%u things were left out, as said\n", isa_skipped);
    db_summary_fini(&result.summary);
    return output_flush() ? ISA_FAILED : status;
}
