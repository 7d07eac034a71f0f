/*
 * hira trace: a log of calls with decoded arguments, of a tenant as it runs, or of one program with a router of its
 * own.
 *
 * hirad hands out a pipe into which the tenant's servers write a line of JSON for each call (server/trace.c), and goes
 * on having them do so as long as it is asked for again. One thread reads: this one for a tenant, until a signal; for a
 * program one beside it, until its servers have gone and the pipe is empty.
 *
 * Security. The lines come from servers, which their guests may have taken over: what is no such line is counted and
 * not shown, and what is shown of one has been through a JSON parser and is printed with every character escaped that a
 * terminal could mistake.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "cli/runtime.h"

#define AGAIN_NS 2000000000u /* hirad goes on for some seconds after each time */
#define LOOK_MS 100

enum format { AS_TEXT, AS_JSON, AS_CHROME };

static struct {
    enum format format;
    const char *functions, *file;
    FILE *out;
    const char *socket;
    char tenant[64];
    int pipe;
    char line[2 * PIPE_BUF];
    size_t n_line;
    bool skips;               /* to the next line: this one is too long */
    json_int_t first;         /* when the first call began, ns; 0: none has */
    unsigned long shown, odd; /* calls; lines that were none */
    json_int_t lost;
    uint64_t asked;
    pthread_t reader;
} t = {.pipe = -1, .functions = "*"};

static volatile sig_atomic_t interrupted;
static atomic_bool finishing; /* no more is to come than is there */

/* ---- a call ---- */

static void put_arguments(const json_t *args)
{
    const char *name, *separator = "";
    json_t *value;
    json_object_foreach((json_t *)args, name, value)
    {
        HIRA_AUTOFREE char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_ENSURE_ASCII | JSON_COMPACT);
        const char *shown = text ? text : "?";
        bool plain = json_is_string(value) && !strpbrk(shown, "\\ "); /* a handle; what was in quotes keeps them */
        fprintf(t.out, "%s%s=%.*s", separator, name, (int)strlen(shown) - 2 * plain, shown + plain);
        separator = ", ";
    }
}

static bool is_name(const char *text)
{
    return *text && !text[strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")];
}

static void put_text(const json_t *call, const json_t *args)
{
    fprintf(t.out, "%12.6f %lld/%lld %s(", (double)(cli_json_number(call, "ts") - t.first) / 1e9,
            (long long)cli_json_number(call, "pid"), (long long)cli_json_number(call, "lane"),
            cli_json_text(call, "name"));
    put_arguments(args);
    fprintf(t.out, "%s) = %s ", json_is_true(json_object_get(call, "cut")) ? ", ..." : "", cli_json_text(call, "end"));
    if (is_name(cli_json_text(call, "code_name")))
        fprintf(t.out, "%s", cli_json_text(call, "code_name"));
    else
        fprintf(t.out, "%lld", (long long)cli_json_number(call, "code"));
    fprintf(t.out, " <%.1f us>\n", (double)cli_json_number(call, "dur") / 1e3);
}

/* A complete event of the Trace Event Format: a process for each program, a thread for each of its lanes. */
static void put_chrome(const json_t *call, json_t *args)
{
    json_t *event =
        json_pack("{s:s,s:s,s:s,s:f,s:f,s:I,s:I,s:O}", "ph", "X", "name", cli_json_text(call, "name"), "cat",
                  cli_json_text(call, "api"), "ts", (double)(cli_json_number(call, "ts") - t.first) / 1e3, "dur",
                  (double)cli_json_number(call, "dur") / 1e3, "pid", cli_json_number(call, "pid"), "tid",
                  cli_json_number(call, "lane"), "args", args);
    fputs(t.shown ? ",\n" : "\n", t.out);
    json_dumpf(event, t.out, JSON_COMPACT | JSON_ENSURE_ASCII);
    json_decref(event);
}

static void show(const char *line, size_t n)
{
    json_t *call = json_loadb(line, n, JSON_REJECT_DUPLICATES, NULL), *args = json_object_get(call, "args");
    const char *name;
    json_t *value;
    bool fits = json_is_object(args) && is_name(cli_json_text(call, "name")) && is_name(cli_json_text(call, "end"));
    json_object_foreach(args, name, value) fits &= is_name(name);
    if (!fits) {
        t.odd++;
        json_decref(call);
        return;
    }
    t.first = t.first ? t.first : cli_json_number(call, "ts");
    t.lost += cli_json_number(call, "lost");
    if (t.format == AS_TEXT)
        put_text(call, args);
    else if (t.format == AS_CHROME)
        put_chrome(call, args);
    else if (json_dumpf(call, t.out, JSON_COMPACT | JSON_ENSURE_ASCII) == 0)
        putc('\n', t.out);
    t.shown++;
    json_decref(call);
}

/* ---- reading ---- */

static void take(const char *data, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (data[i] == '\n') {
            if (!t.skips)
                show(t.line, t.n_line);
            t.odd += t.skips;
            t.n_line = 0;
            t.skips = false;
        } else if (t.n_line < sizeof t.line) {
            t.line[t.n_line++] = data[i];
        } else {
            t.skips = true;
        }
    }
}

/* For the next seconds, too. False: hirad has gone, or has forgotten it. */
static bool ask_again(const char *how)
{
    json_t *request = json_pack("{s:s,s:b}", "verb", "trace", how, 1);
    if (t.tenant[0])
        json_object_set_new(request, "tenant", json_string(t.tenant));
    json_t *answer = cli_control("trace", t.socket, request);
    json_decref(answer);
    t.asked = hira_now_ns();
    return answer;
}

static void follow(void)
{
    static char data[1 << 16];
    bool wanted = true;
    while (!interrupted && wanted) {
        struct pollfd p = {t.pipe, POLLIN, 0};
        bool last = atomic_load(&finishing);
        ssize_t n = poll(&p, 1, last ? 0 : LOOK_MS) > 0 ? read(t.pipe, data, sizeof data) : -1;
        if (n > 0)
            take(data, (size_t)n);
        else if (n == 0 || last)
            return;
        else
            fflush(t.out); /* nothing more is there just now */
        if (hira_now_ns() - t.asked > AGAIN_NS)
            wanted = ask_again("again");
    }
}

static bool begin(const char *socket)
{
    json_t *request = json_pack("{s:s,s:s}", "verb", "trace", "functions", t.functions);
    if (t.tenant[0])
        json_object_set_new(request, "tenant", json_string(t.tenant));
    json_t *answer = cli_control_with("trace", socket, request, &t.pipe);
    if (answer)
        snprintf(t.tenant, sizeof t.tenant, "%s", cli_json_text(answer, "tenant"));
    json_decref(answer);
    if (t.pipe < 0)
        return false;
    t.socket = socket;
    t.asked = hira_now_ns();
    t.out = t.file ? fopen(t.file, "we") : t.out;
    if (!t.out) {
        fprintf(stderr, "hira trace: %s: %s\n", t.file, strerror(errno));
        return false;
    }
    if (t.format == AS_CHROME)
        fputs("{\"displayTimeUnit\":\"ns\",\"traceEvents\":[", t.out);
    return true;
}

static void end_output(void)
{
    if (t.format == AS_CHROME)
        fputs("\n]}\n", t.out);
    if (fflush(t.out) || ferror(t.out))
        fprintf(stderr, "hira trace: %s cannot be written: %s\n", t.file ? t.file : "the log", strerror(errno));
    if (t.lost)
        fprintf(stderr, "hira trace: %lld calls are missing: they came faster than they were read\n",
                (long long)t.lost);
    if (t.odd)
        fprintf(stderr, "hira trace: %lu lines were no calls\n", t.odd);
}

/* ---- a program ---- */

static void *reader(void *context)
{
    (void)context;
    follow();
    return NULL;
}

/* Before the program starts, and before its signals are forwarded: none of them is this thread's. */
static bool begin_program(const char *socket)
{
    sigset_t all, old;
    if (!begin(socket))
        return false;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int error = pthread_create(&t.reader, NULL, reader, NULL);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return !error;
}

static void end_program(const char *socket, double wall_ns)
{
    (void)wall_ns;
    cli_wait_until_left("trace", socket);
    atomic_store(&finishing, true);
    pthread_join(t.reader, NULL);
    end_output();
}

/* ---- the verb ---- */

static void on_signal(int number)
{
    (void)number;
    interrupted = 1;
}

static int trace_tenant(const char *socket, const char *tenant)
{
    const struct sigaction stop = {.sa_handler = on_signal};
    snprintf(t.tenant, sizeof t.tenant, "%s", tenant);
    sigaction(SIGINT, &stop, NULL);
    sigaction(SIGTERM, &stop, NULL);
    if (!begin(socket))
        return CLI_FAILED;
    follow();
    end_output();
    if (interrupted)
        ask_again("end");
    return interrupted ? CLI_OK : CLI_FAILED;
}

int cli_trace(int argc, char **argv)
{
    static const struct cli_observer observer = {.verb = "trace", .begin = begin_program, .end = end_program};
    static const struct option options[] = {
        {"socket", required_argument, NULL, 's'}, {"functions", required_argument, NULL, 'f'},
        {"json", no_argument, NULL, 'j'},         {"chrome", no_argument, NULL, 'c'},
        {"output", required_argument, NULL, 'o'}, {0}};
    const char *socket = NULL;
    for (int c; (c = getopt_long(argc, argv, "+o:", options, NULL)) != -1;) {
        if (c == 's')
            socket = optarg;
        else if (c == 'f')
            t.functions = optarg;
        else if (c == 'j' || c == 'c')
            t.format = c == 'j' ? AS_JSON : AS_CHROME;
        else if (c == 'o')
            t.file = optarg;
        else
            return cli_bad_option("trace", argv, c);
    }
    if (optind > 1 && !strcmp(argv[optind - 1], "--")) {
        t.out = stderr;
        if (socket)
            return cli_usage("trace", "a program has a router of its own");
        argv += optind - 1, argc -= optind - 1;
        optind = 0; /* getopt begins anew */
        return cli_run_observed(&observer, argc, argv);
    }
    t.out = stdout;
    if (optind + 1 != argc)
        return cli_usage("trace", "TENANT, or -- PROGRAM... (hira tenant list shows tenants)");
    return trace_tenant(socket, argv[optind]);
}
