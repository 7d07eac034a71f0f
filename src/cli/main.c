/*
 * hira: the one command. A verb table, and a process that does its verb and ends: no daemon, no threads, no state.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"

static const struct verb {
    const char *group; /* first word, or NULL */
    const char *name;
    const char *arguments;
    const char *summary;
    int (*run)(int argc, char **argv);
} verbs[] = {
    {"spec", "init", "[-o FILE] HEADER", "write a preliminary specification, with questions", cli_spec_init},
    {"spec", "check", "SPEC...", "compile a specification, write nothing", cli_spec_check},
    {"spec", "explain", "SPEC [FUNCTION...]", "what is known of each parameter, and why", cli_spec_explain},
    {"spec", "coverage", "[--json] SPEC", "which functions are complete, and by what", cli_spec_coverage},
    {"spec", "format", "[--write | --check] SPEC...", "print a specification in its canonical layout", cli_spec_format},
    {NULL, "build", "[-o DIR] SPEC", "make the virtual stack", cli_build},
    {NULL, "run", "[--api NAME] [--strict] [--on HOST] PROGRAM...", "run a program under Hira", cli_run},
    {NULL, "stat", "PROGRAM...", "run a program under Hira, and say which functions took how long", cli_stat},
    {NULL, "trace", "[OPTION...] TENANT | -- PROGRAM...", "a log of calls, with their arguments", cli_trace},
    {NULL, "predict", "[--delay TIME] [--rate RATE] -- PROGRAM...", "how long a program would take, served by another host", cli_predict},
    {NULL, "top", "[--times N]", "tenants as they are now", cli_top},
    {NULL, "status", "[--json]", "what the router is doing", cli_status},
    {NULL, "kill", "PID... | TENANT... | all", "end the servers of guests", cli_kill},
    {NULL, "tenant", "[list | show T | set T NAME=VALUE...]", "who shares the device, and what each may use", cli_tenant},
    {NULL, "pause", "TENANT...", "nothing of a tenant begins until it is resumed", cli_pause},
    {NULL, "resume", "TENANT...", "a paused tenant goes on", cli_resume},
    {NULL, "reload", "", "hirad reads its configuration again", cli_reload},
    {NULL, "container", "args | cdi", "what a container needs to be a guest", cli_container},
    {NULL, "vm", "args | bridge", "what a virtual machine needs to be a guest", cli_vm},
    {NULL, "doctor", "[--json]", "check each part of the way, and say what to do", cli_doctor},
};

/* What `hira VERB --help` says beside the line above. */
static const struct details {
    const char *name, *options;
} details[] = {
    {"run", "  --api NAME         only this API (default: each that is installed)\n"
            "  --strict           every call waits for its answer (HIRA_STRICT=1)\n"
            "  --socket PATH      the hirad that listens there, or fail (default: the usual one, else a private one)\n"
            "  --vendor-icd FILE  the vendor's driver that serves the program; a private hirad\n"
            "  --lib-dir DIR      the folder with the guest library\n"
            "  --server-dir DIR   the folder with hira-server-API; a private hirad\n"
            "  --on HOST[:PORT]   the hirad of another host that listens there (hira-relay(8)), or its name in hosts.conf; vsock: of\n"
            "                     this virtual machine's host\n"
            "  --psk FILE         for --on: NAME:KEY, as that host knows it\n"
            "  --cert FILE, --key FILE, --ca FILE   or certificates\n"
            "  --plain            or no encryption, on this machine only\n"
            "  --network WHAT     a network to it that is emulated: delay=30ms,jitter=2ms,rate=100Mbit,cut=10s/60s\n"
            "Exit status: the program's; 127 not found, 126 not executable, 125 hira run failed.\n"},
    {"status", "  --json             all there is to know\n  --socket PATH      of this hirad\n"},
    {"trace", "  --functions GLOB   only calls of these\n"
              "  --chrome           as a trace for Perfetto or chrome://tracing\n"
              "  --json             a line of JSON for each call\n"
              "  -o, --output FILE  write there (default: standard output; with a program, standard error)\n"
              "  --socket PATH      of this hirad, for a tenant\n"
              "Calls that the guest library answers by itself are not in it.\n"},
    {"predict", "  --delay TIME       between the hosts, each way: 30ms\n"
                "  --rate RATE        a second, each way: 100Mbit, 1Gbit\n"
                "  --json             the same for programs\n"
                "Behind -- options of hira run, and the program, which is run here once.\n"},
    {"kill", "  --socket PATH      of this hirad\n"},
    {"tenant", "  --json             all there is to know, of list and show\n  --socket PATH      of this hirad\n"},
    {"pause", "  --socket PATH      of this hirad\n"},
    {"resume", "  --socket PATH      of this hirad\n"},
    {"reload", "  --socket PATH      of this hirad\n"},
    {"top", "  --times N          so many looks, a second apart (default: until it is interrupted)\n"
            "  --socket PATH      of this hirad\n"},
    {"container", "  args               options for docker and podman: docker run $(hira container args) IMAGE ...\n"
                  "  cdi                a device file: hira container cdi > /etc/cdi/hira.json, then --device hira/accelerator=default\n"
                  "  --name NAME        of the device (default: default)\n"
                  "  --socket PATH      of the hirad, and of the tenant that the container is to be (default: the usual one)\n"
                  "  --api NAME         only this API (default: each that is installed)\n"
                  "  --lib-dir DIR      the folder with its guest library: one for another C library, say\n"},
    {"vm", "  args               options for its hypervisor: qemu-system-x86_64 $(hira vm args) ...\n"
           "  bridge             the command that stands beside it: $(hira vm bridge) &\n"
           "  --qemu, --libvirt, --uml   for which hypervisor (default: --qemu)\n"
           "  --name NAME        of the machine: its files are named so (default: vm)\n"
           "  --cid N            its vsock address, 3 or more (default: 4); each machine has another\n"
           "  --memory MIB       of the machine, which QEMU has to share (default: 1024)\n"
           "  --shared MIB       memory for calls and data, a power of two (default: 256); 0: none, slower\n"
           "  --port N           where programs find hirad: HIRA_SOCKET=vsock:N (default: 10)\n"
           "  --socket PATH      of the hirad, and of the tenant that the machine is to be (default: the usual one)\n"},
    {"doctor", "  --json             the same for programs\n"
               "  --on HOST          each hop of the way to another host, by its name in hosts.conf or else, with its keys as for hira run\n"
               "  --psk FILE; --cert FILE, --key FILE, --ca FILE; --plain   for --on: its keys, or none\n"
               "  --api NAME         for --on: whether this API is served there (default: each that is installed here)\n"
               "  --socket PATH      the hirad to ask; that none answers is a failure then\n"
               "  --lib-dir DIR      the folder with the guest library\n"
               "  --server-dir DIR   the folder with hira-server-API\n"
               "Exit status: 1 if something failed.\n"},
    {"init", "  -o FILE            write there (default: standard output)\n"
             "  --force            also if FILE exists\n"
             "  -I DIR, -D NAME=VALUE   for the header\n"},
    {"check", "  -I DIR, -D NAME=VALUE   for the headers\n"},
    {"explain", "  -I DIR, -D NAME=VALUE   for the headers\n"},
    {"coverage", "  --json             the same for programs\n"
                 "  -I DIR, -D NAME=VALUE   for the headers\n"},
    {"format", "  --write            rewrite the files (default: print)\n"
               "  --check            name the files that this would change; exit status 1 if there is one\n"},
    {"build", "  -o DIR             write there (default: a folder named after the API)\n"
              "  -I DIR, -D NAME=VALUE   for the headers\n"},
};

static void put_verb(FILE *out, const struct verb *v)
{
    char head[80];
    snprintf(head, sizeof head, "%s%s%s %s", v->group ? v->group : "", v->group ? " " : "", v->name, v->arguments);
    fprintf(out, "  hira %-42s %s\n", head, v->summary);
}

/* `group`: only the verbs of this; NULL: all. */
static int help(FILE *out, const char *group)
{
    fprintf(out, "usage: hira %s%sVERB ...\n\n", group ? group : "", group ? " " : "");
    for (size_t i = 0; i < HIRA_ARRAY_SIZE(verbs); i++)
        if (!group || (verbs[i].group && !strcmp(verbs[i].group, group)))
            put_verb(out, &verbs[i]);
    fputs("\nVerbs that read a SPEC take -I DIR (search headers there) and -D NAME=VALUE (define for headers).\n"
          "hira VERB --help has the options.\n",
          out);
    return out == stderr ? CLI_USAGE : CLI_OK;
}

static int verb_help(const struct verb *v)
{
    printf("usage: hira %s%s%s %s\n\n%s\n", v->group ? v->group : "", v->group ? " " : "", v->name, v->arguments,
           v->summary);
    for (size_t i = 0; i < HIRA_ARRAY_SIZE(details); i++)
        if (!strcmp(details[i].name, v->name))
            printf("\n%s", details[i].options);
    return CLI_OK;
}

static bool asks_help(const char *word)
{
    return word && (!strcmp(word, "--help") || !strcmp(word, "-h"));
}

/* The verb that `words` begin with. */
static const struct verb *find_verb(int n, char **words)
{
    for (size_t i = 0; i < HIRA_ARRAY_SIZE(verbs); i++) {
        const char *group = verbs[i].group;
        if (n > (group ? 1 : 0) && !strcmp(words[group ? 1 : 0], verbs[i].name) && (!group || !strcmp(words[0], group)))
            return &verbs[i];
    }
    return NULL;
}

static bool is_group(const char *word)
{
    for (size_t i = 0; i < HIRA_ARRAY_SIZE(verbs); i++)
        if (verbs[i].group && !strcmp(verbs[i].group, word))
            return true;
    return false;
}

int main(int argc, char **argv)
{
    bool asked;
    opterr = 0; /* the verbs say it themselves: cli_bad_option */
    if (argc < 2)
        return help(stderr, NULL);
    asked = asks_help(argv[1]) || !strcmp(argv[1], "help");
    if (asked && argc == 2)
        return help(stdout, NULL);
    if (!strcmp(argv[1], "--version"))
        return puts("hira " HIRA_VERSION) < 0 ? CLI_FAILED : CLI_OK;
    char **words = argv + 1 + asked; /* hira help VERB */
    int n = argc - 1 - asked;
    const struct verb *verb = find_verb(n, words);
    if (verb) {
        int length = verb->group ? 2 : 1;
        if (asked || (n > length && asks_help(words[length])))
            return verb_help(verb);
        return verb->run(n - length + 1, words + length - 1);
    }
    bool group = is_group(words[0]);
    if (group && (n == 1 ? asked : asks_help(words[1])))
        return help(stdout, words[0]);
    if (group && n == 1)
        fprintf(stderr, "hira: what of '%s'?\n", words[0]);
    else
        fprintf(stderr, "hira: unknown verb '%s%s%s'\n", words[0], group ? " " : "", group ? words[1] : "");
    return help(stderr, group ? words[0] : NULL);
}
