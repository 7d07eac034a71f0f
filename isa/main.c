/*
 * isapop: which instructions matter. A verb table, a process that does its verb and ends. Only `scan`, and `bench` when
 * it is given files, have threads.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>

#include "cmd.h"
#include "supported.h"

#define DEFAULT_DATABASE "isapop.db"
#define ROWS_SHOWN 40

enum {
    O_DB = 256,
    O_ADD,
    O_CLOSURE,
    O_CAP,
    O_BY,
    O_POPULARITY,
    O_SUBMISSIONS,
    O_MISSING,
    O_FORMAT,
    O_JSON,
    O_CSV,
    O_SUPPORTED,
    O_LIMIT,
    O_UNTIL,
    O_STEPS,
    O_DEPENDS,
    O_INSTALLED,
    O_ROOT,
    O_MIRROR,
    O_MEMBER_CAP,
    O_THREADS,
    O_MEASURE,
    O_OUTPUT,
    O_ORDER,
    O_ISA,
    O_HELP
};

static const struct option_text {
    const char *name, *argument, *text;
    int id;
} option_texts[] = {
    {"db", "FILE", "the footprint database (default " DEFAULT_DATABASE ")", O_DB},
    {"add", NULL, "keep the packages of the scan before, too; else they are replaced", O_ADD},
    {"installed", NULL, "every package that dpkg has installed", O_INSTALLED},
    {"isa", "NAME", "x86-64 (default) or aarch64: programs for others are left out", O_ISA},
    {"root", "DIR", "the system is below DIR instead of /", O_ROOT},
    {"mirror", "DIR", "what the file names of an index are below", O_MIRROR},
    {"member-cap", "MB", "leave out files in archives that are larger (default and most: 72)", O_MEMBER_CAP},
    {"threads", "N", "at a time (default: one for each processor)", O_THREADS},
    {"measure", NULL, "afterwards compare the speed with the bare decoder's", O_MEASURE},
    {"closure", "HOW", "library code that counts: none, reach (default), whole", O_CLOSURE},
    {"cpuid-cap", "LEVEL", "the processor that is assumed: x86-64-v1 (default) to x86-64-v4, or none for any", O_CAP},
    {"by", "UNIT", "mnemonic (default) or form", O_BY},
    {"popularity", "FILE", "by_inst, 'rank name inst' or 'name,inst' lines; none: all packages alike", O_POPULARITY},
    {"submissions", "N", "how many machines the popularity file counted", O_SUBMISSIONS},
    {"missing-weight", "P", "share of machines for packages that the file does not have (default 0)", O_MISSING},
    {"supported", "FILE",
     "mnemonics, ISA sets, patterns, levels (x86-64-v2), forms with --by form; ! takes out; # comments", O_SUPPORTED},
    {"until", "PERCENT", "stop at this weighted completeness (default 100)", O_UNTIL},
    {"steps", "N", "no more than N new units", O_STEPS},
    {"order", "ORDER", "importance, smallest-gap or best-gain (default)", O_ORDER},
    {"depends", NULL, "a package works only if those it depends on do", O_DEPENDS},
    {"limit", "N", "rows shown (0: all; default: 40 of text, all of JSON and CSV)", O_LIMIT},
    {"output", "FILE", "where the report goes (default isapop.html)", O_OUTPUT},
    {"format", "FORMAT", "text (default), json or csv", O_FORMAT},
    {"json", NULL, "the same as --format=json", O_JSON},
    {"csv", NULL, "the same as --format=csv", O_CSV},
    {"help", NULL, "this", O_HELP},
};

#define COUNTING "closure cpuid-cap by popularity submissions missing-weight format json csv help "
#define QUERY "db " COUNTING

static const struct verb {
    const char *name, *arguments, *summary, *text, *takes;
    int (*run)(const struct options *o);
} verbs[] = {
    {"scan", "[SOURCE...]", "programs and packages into a footprint database",
     "A SOURCE is an ELF file, a folder, a .deb file, or the Packages index of a mirror. What was scanned before is "
     "not analyzed again, and a\n"
     "scan that was interrupted goes on where it was. The database then has the packages of this scan, instead of "
     "those "
     "before (or, with\n"
     "--add, beside them). --closure and --cpuid-cap become the database's defaults.",
     "db add installed isa root mirror member-cap threads measure closure cpuid-cap help ", cmd_scan},
    {"importance", "", "how likely a user needs each instruction",
     "importance: the chance that a user has a package that needs it; order: its logarithm, which tells apart what "
     "rounds to 100 %;\n"
     "unweighted: the share of packages; occurrences: in all files scanned, suspect ones apart.",
     QUERY "limit ", cmd_importance},
    {"wc", "--supported FILE", "weighted completeness of what is supported, which packages break, and why",
     "The share of a user's programs that works where only the named instructions do.",
     QUERY "supported depends limit ", cmd_wc},
    {"plan", "[--supported FILE]", "what to implement next",
     "Compares three orders: by importance, by the smallest gap, and by the best gain of weighted completeness for "
     "each new instruction over\n"
     "whole packages' gaps; then lists one (--order).",
     QUERY "supported until steps order limit ", cmd_plan},
    {"why", "INSTRUCTION", "which packages, files, functions and addresses need it",
     "An INSTRUCTION is a mnemonic, or an encoding form as --by form prints it ('MOV REX.W 8B'), which is then all "
     "that "
     "counts.\n"
     "Files that are still where they were scanned are disassembled again, to name every function; of others the first "
     "place is known.",
     QUERY "limit ", cmd_why},
    {"diff", "A B", "what changed between two databases",
     "Two releases, two compilers: importance, and packages that came to need more.", COUNTING "limit ", cmd_diff},
    {"bench", "SUITE...", "whether a suite of programs is representative",
     "A SUITE is another database, or programs and folders, which are scanned. Compares what it uses with what matters "
     "in --db.",
     QUERY "threads limit ", cmd_bench},
    {"testset", "", "few packages that need every instruction that any does",
     "Two ways: the largest footprints first, each kept if it adds something; and whichever adds most next.",
     QUERY "limit ", cmd_testset},
    {"family", "", "importance and completeness by ISA set and x86-64 level",
     "What breaks without a set; what works with the levels up to each.", QUERY "limit ", cmd_family},
    {"occurrences", "DATA.json", "counts of the published study's data file",
     "Reads the study's data.json (forms with mnemonic, size, count) and sums it up.", "format json csv limit help ",
     cmd_occurrences},
    {"report", "[--installed]", "everything in one HTML file",
     "Self-contained: it loads nothing. Curves, plan, families, a table to search. With --installed the installed\n"
     "packages are scanned first.",
     QUERY "output supported installed root threads ", cmd_report},
};

static int help(FILE *out)
{
    fputs("usage: isapop VERB [OPTION...] ...\n\n", out);
    for (size_t i = 0; i < HIRA_ARRAY_SIZE(verbs); i++) {
        HIRA_AUTOFREE char *head = isa_printf("%s %s", verbs[i].name, verbs[i].arguments);
        fprintf(out, "  isapop %-26s %s\n", head, verbs[i].summary);
    }
    fputs("\nisapop VERB --help lists a verb's options. First: isapop scan --installed\n", out);
    return out == stderr ? ISA_USAGE : ISA_OK;
}

static bool takes(const struct verb *v, const char *name)
{
    const char *at = v->takes;
    size_t n = strlen(name);
    while ((at = strstr(at, name)) && ((at != v->takes && at[-1] != ' ') || at[n] != ' '))
        at++;
    return at;
}

static int verb_help(const struct verb *v)
{
    printf("usage: isapop %s [OPTION...]%s%s\n\n%s.\n%s\n\n", v->name, *v->arguments ? " " : "", v->arguments,
           v->summary, v->text);
    for (size_t i = 0; i < HIRA_ARRAY_SIZE(option_texts); i++) {
        const struct option_text *t = &option_texts[i];
        HIRA_AUTOFREE char *head =
            isa_printf("--%s%s%s", t->name, t->argument ? " " : "", t->argument ? t->argument : "");
        if (takes(v, t->name))
            printf("  %-22s %s\n", head, t->text);
    }
    return ISA_OK;
}

int cmd_usage(const struct options *o, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fprintf(stderr, "isapop %s: ", o->verb);
    vfprintf(stderr, format, args);
    fprintf(stderr, "\nisapop %s --help says what there is\n", o->verb);
    va_end(args);
    return ISA_USAGE;
}

/* ---- options ---- */

static bool positive(const char *text, double most, double *ret)
{
    char *end;
    errno = 0;
    *ret = strtod(text, &end);
    return end != text && !*end && !errno && *ret >= 0 && *ret <= most;
}

static int set_numbers(struct options *o, int id, const char *value)
{
    bool whole = id != O_MISSING && id != O_UNTIL && id != O_MEMBER_CAP;
    double number, least = id == O_SUBMISSIONS,
                   most = id == O_MISSING      ? 0.9999999
                          : id == O_UNTIL      ? 100
                          : id == O_MEMBER_CAP ? ISA_MEMBER_MAX >> 20
                          : id == O_THREADS    ? 1024
                                               : 1e15;
    if (!positive(value, most, &number) || number < least || (whole && number != (double)(uint64_t)number))
        return cmd_usage(o, "'%s' is no %snumber from %g to %g", value, whole ? "whole " : "", least, most);
    switch (id) {
    case O_SUBMISSIONS:
        o->model.submissions = (uint64_t)number;
        break;
    case O_MISSING:
        o->model.missing_weight = number;
        break;
    case O_LIMIT:
        o->limit = number >= 1 ? (size_t)number : SIZE_MAX;
        break;
    case O_UNTIL:
        o->until = number / 100;
        break;
    case O_STEPS:
        o->steps = (size_t)number;
        break;
    case O_MEMBER_CAP:
        o->scan.member_cap = (size_t)(number * (1 << 20));
        break;
    default:
        o->scan.threads = (unsigned)number;
    }
    return 0;
}

static int set_choice(struct options *o, int id, const char *value)
{
    static const char *const formats[] = {"text", "json", "csv"};
    enum isa_level level;
    enum closure closure;
    if (id == O_CAP) {
        if (isa_level_parse(value, &level))
            return cmd_usage(o, "'%s' is no level: x86-64-v1, -v2, -v3, -v4 or none", value);
        o->model.cap = (int)(o->scan.cap = level);
    } else if (id == O_CLOSURE) {
        if (closure_parse(value, &closure))
            return cmd_usage(o, "'%s' is no closure: none, reach or whole", value);
        o->model.closure = (int)(o->scan.closure = closure);
    } else if (id == O_BY) {
        if (strcmp(value, "mnemonic") && strcmp(value, "form"))
            return cmd_usage(o, "'%s' is no unit: mnemonic or form", value);
        o->model.by_form = !strcmp(value, "form");
    } else {
        for (size_t i = 0; i < HIRA_ARRAY_SIZE(formats); i++) {
            if (!strcmp(value, formats[i])) {
                o->format = (enum output_format)i;
                return 0;
            }
        }
        return cmd_usage(o, "'%s' is no format: text, json or csv", value);
    }
    return 0;
}

static int set(struct options *o, int id, const char *value)
{
    switch (id) {
    case O_DB:
        o->model.database = o->scan.database = value;
        return 0;
    case O_POPULARITY:
        o->model.popularity = value;
        return 0;
    case O_SUPPORTED:
        o->supported = value;
        return 0;
    case O_OUTPUT:
        o->output = value;
        return 0;
    case O_ORDER:
        o->order = value;
        return 0;
    case O_ISA: {
        const struct isa_decoder *d = isa_decoder_named(value);
        o->scan.machine = d ? d->machine : 0;
        return d ? 0
                 : cmd_usage(o,
                             "'%s' is no ISA that this isapop can decode: x86-64, aarch64 (when built with Capstone)",
                             value);
    }
    case O_ROOT:
        o->scan.root = strcmp(value, "/") ? value : "";
        return 0;
    case O_MIRROR:
        o->scan.mirror = value;
        return 0;
    case O_INSTALLED:
        o->scan.installed = true;
        return 0;
    case O_ADD:
        o->scan.add = true;
        return 0;
    case O_MEASURE:
        o->scan.measure = true;
        return 0;
    case O_DEPENDS:
        o->depends = true;
        return 0;
    case O_JSON:
        o->format = OUTPUT_JSON;
        return 0;
    case O_CSV:
        o->format = OUTPUT_CSV;
        return 0;
    case O_CLOSURE:
    case O_CAP:
    case O_BY:
    case O_FORMAT:
        return set_choice(o, id, value);
    default:
        return set_numbers(o, id, value);
    }
}

/* An option that there is, but not of this verb, or that there is not at all. */
static int no_option(const struct options *o, const char *given)
{
    HIRA_AUTOFREE char *name = isa_strndup(given, strcspn(given, "="));
    for (size_t i = 0; i < HIRA_ARRAY_SIZE(option_texts); i++) {
        if (strncmp(name, "--", 2) != 0 || strcmp(name + 2, option_texts[i].name) != 0)
            continue;
        if (option_texts[i].id == O_DB && !strcmp(o->verb, "diff"))
            return cmd_usage(o, "takes no --db: the two databases are its arguments, isapop diff OLD.db NEW.db");
        return cmd_usage(o, "takes no %s", name);
    }
    return cmd_usage(o, "there is no option %s", given);
}

/* Options that would do nothing beside the others. */
static int check_together(const struct verb *v, const struct options *o)
{
    if (o->model.popularity && !strcmp(o->model.popularity, "none") &&
        (o->model.submissions || o->model.missing_weight > 0))
        return cmd_usage(o, "--submissions and --missing-weight say nothing with --popularity none, which counts all "
                            "packages alike; leave them out, or name a file");
    if (v->run == cmd_report && !o->scan.installed && (*o->scan.root || o->scan.threads))
        return cmd_usage(o, "--root and --threads are for the scan of --installed; say that, too, or leave them out");
    return 0;
}

static int run(const struct verb *v, int argc, char **argv)
{
    struct option longs[HIRA_ARRAY_SIZE(option_texts) + 1] = {0};
    size_t n = 0;
    struct options o = {.verb = v->name, .until = 1, .steps = SIZE_MAX};
    o.model = (struct model_options){.database = DEFAULT_DATABASE, .closure = -1, .cap = -1};
    o.scan = (struct scan_options){
        .database = DEFAULT_DATABASE, .root = "", .member_cap = ISA_MEMBER_MAX, .closure = CLOSURE_REACH};
    o.scan.machine = isa_decoder_default()->machine;
    for (size_t i = 0; i < HIRA_ARRAY_SIZE(option_texts); i++) {
        const struct option_text *t = &option_texts[i];
        if (takes(v, t->name))
            longs[n++] = (struct option){t->name, t->argument ? required_argument : no_argument, NULL, t->id};
    }
    opterr = 0;
    for (int c; (c = getopt_long(argc, argv, ":h", longs, NULL)) != -1;) {
        if (c == O_HELP || c == 'h')
            return verb_help(v);
        if (c == ':')
            return cmd_usage(&o, "%s wants a value", argv[optind - 1]);
        if (c == '?')
            return no_option(&o, argv[optind - 1]);
        if (optarg && !*optarg)
            return cmd_usage(&o, "an option has an empty value");
        int wrong = set(&o, c, optarg);
        if (wrong)
            return wrong;
    }
    int status = check_together(v, &o);
    if (status)
        return status;
    /* A person reads a screen; a program that reads JSON or CSV wants all of it. */
    if (!o.limit)
        o.limit = o.format == OUTPUT_TEXT ? ROWS_SHOWN : SIZE_MAX;
    o.words = argv + optind;
    o.n_words = (size_t)(argc - optind);
    return v->run(&o);
}

int main(int argc, char **argv)
{
    if (argc < 2)
        return help(stderr);
    if (!strcmp(argv[1], "help") || !strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))
        return help(stdout);
    if (!strcmp(argv[1], "--version"))
        return puts("isapop " HIRA_VERSION) < 0 ? ISA_FAILED : ISA_OK;
    for (size_t i = 0; i < HIRA_ARRAY_SIZE(verbs); i++) {
        if (!strcmp(argv[1], verbs[i].name))
            return run(&verbs[i], argc - 1, argv + 1);
    }
    fprintf(stderr, "isapop: unknown verb '%s'\n", argv[1]);
    return help(stderr);
}

/* ---- what verbs share ---- */

void cmd_describe(const struct model *m, struct output *out, const char *before)
{
    struct hira_text text = {0};
    model_describe(m, &text);
    for (char *rest = text.data, *line; rest && (line = strsep(&rest, "\n"));) {
        if (*line)
            output_note(out, "%s%s", before, line);
    }
    hira_text_fini(&text);
}

bool cmd_begin(const struct options *o, struct model **ret_model, struct output **ret_output)
{
    *ret_model = model_open(&o->model);
    if (!*ret_model)
        return false;
    *ret_output = output_create(o->format);
    cmd_describe(*ret_model, *ret_output, "");
    return true;
}

int cmd_end(struct model *m, struct output *out)
{
    int status = out ? output_end(out) : ISA_OK;
    model_destroy(m);
    return status ? status : isa_skipped ? ISA_SKIPPED : ISA_OK;
}

uint64_t *cmd_supported(const struct options *o, const struct model *m)
{
    uint64_t *bits = bits_create(m);
    if (o->supported && supported_read(m, o->supported, bits)) {
        free(bits);
        return NULL;
    }
    return bits;
}
