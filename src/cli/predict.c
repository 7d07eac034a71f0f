/*
 * hira predict -- PROGRAM: runs it once on this machine, by relays as another host would serve it, and says how long it
 * would take with so much delay and so much rate between the two.
 *
 * The model. What the program took here, and beside that: for each round trip that it waits for, twice the delay; for
 * all bytes that go there or come back, their time at the rate, less what moving them took here, for that goes on
 * meanwhile. Calls that do not wait cost no round trip, until a window of them is under way. A round trip of one thread
 * while others wait as well counts in part, for they are under way together. The guest's relay counts (remote/link.h).
 *
 * Between the relays are keys of this run alone: who else is on this machine is nobody's guest.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/quantity.h"
#include "base/tree.h"
#include "cli/runtime.h"

#define SETUP_ROUNDS 4 /* of a connection: TCP, who speaks, TLS, which session */

static struct {
    uint64_t delay, rate; /* ns each way; bytes a second, 0: any */
    bool json, failed;
    char folder[64];
    struct cli_private_router hirad, far, near;
} p = {.hirad.line = -1, .far.line = -1, .near.line = -1};

/* What the guest's relays counted, of all processes of the program. */
struct counted {
    double calls, waits, rounds, controls, callbacks, connections, windows, sent, received, bulk;
};

/* ---- the way: near relay, far relay, hirad ---- */

static int write_key(const char *path)
{
    unsigned char key[32];
    HIRA_AUTOCLOSE int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 || getrandom(key, sizeof key, 0) != sizeof key)
        return -1;
    dprintf(fd, "predict:");
    for (size_t i = 0; i < sizeof key; i++)
        dprintf(fd, "%02x", key[i]);
    return dprintf(fd, "\n") == 1 ? 0 : -1;
}

static int start_relays(const char *api, const char *server_dir, char *error, size_t size)
{
    char psk[100], count[100], to[140], on[60];
    char *const far[] = {"--listen=127.0.0.1:0", psk, to, NULL}, *const near[] = {on, psk, count, NULL};
    snprintf(psk, sizeof psk, "--psk=%s/key", p.folder);
    snprintf(count, sizeof count, "--count=%s/count", p.folder);
    if (write_key(psk + strlen("--psk=")) < 0)
        return snprintf(error, size, "%s: %s", p.folder, strerror(errno)), -1;
    if (cli_private_router_start(&p.hirad, api, server_dir, error, size) < 0)
        return -1;
    snprintf(to, sizeof to, "--socket=%s", p.hirad.socket);
    if (cli_private_relay_start(&p.far, far, error, size) < 0)
        return -1;
    snprintf(on, sizeof on, "--on=127.0.0.1:%s", p.far.socket + strcspn(p.far.socket, "0123456789"));
    return cli_private_relay_start(&p.near, near, error, size);
}

static int lead(const char *api, const char *server_dir, char *socket, size_t size)
{
    const char *tmp = getenv("TMPDIR");
    char error[512];
    snprintf(p.folder, sizeof p.folder, "%s/hira-predict-XXXXXX",
             tmp && *tmp == '/' && strlen(tmp) < 36 ? tmp : "/tmp");
    if (!mkdtemp(p.folder)) {
        fprintf(stderr, "hira predict: %s: %s\n", p.folder, strerror(errno));
        p.folder[0] = 0;
        return -1;
    }
    if (start_relays(api, server_dir, error, sizeof error) < 0) {
        fprintf(stderr, "hira predict: %s\n", error);
        return -1;
    }
    snprintf(socket, size, "%s", p.near.socket);
    return 0;
}

static void stop(void)
{
    cli_private_router_stop(&p.near);
    cli_private_router_stop(&p.far);
    cli_private_router_stop(&p.hirad);
    if (p.folder[0])
        hira_tree_remove(p.folder);
    p.folder[0] = 0;
}

/* ---- the answer ---- */

static bool read_counts(struct counted *c)
{
    char path[100];
    struct hira_text text = {0};
    snprintf(path, sizeof path, "%s/count", p.folder);
    int error = hira_text_read_file(&text, path, 1 << 20);
    char *rest = text.data;
    for (char *line; !error && (line = strsep(&rest, "\n")) && *line;) {
        json_t *one = json_loads(line, 0, NULL);
        c->calls += (double)cli_json_number(one, "calls");
        c->waits += (double)cli_json_number(one, "waits");
        c->rounds += json_number_value(json_object_get(one, "rounds"));
        c->controls += (double)cli_json_number(one, "controls");
        c->callbacks += (double)cli_json_number(one, "callbacks");
        c->connections += (double)cli_json_number(one, "connections");
        c->windows += json_number_value(json_object_get(one, "windows"));
        c->sent += (double)cli_json_number(one, "sent");
        c->received += (double)cli_json_number(one, "received");
        c->bulk += json_number_value(json_object_get(one, "bulk_seconds"));
        json_decref(one);
    }
    hira_text_fini(&text);
    return !error;
}

static void print(const struct counted *c, double here, double setup, double trips, double transfer)
{
    char sent[32], received[32];
    double expected = here + trips + transfer;
    if (p.json) {
        json_t *all =
            json_pack("{s:f,s:f,s:f,s:f,s:f,s:f,s:f,s:f,s:f,s:f,s:f,s:f,s:f}", "seconds_here", here, "seconds_expected",
                      expected, "delay", (double)p.delay / 1e9, "rate", (double)p.rate, "calls", c->calls, "waits",
                      c->waits, "rounds", c->rounds, "setup", setup, "callbacks", c->callbacks, "sent", c->sent,
                      "received", c->received, "seconds_of_trips", trips, "seconds_of_bytes", transfer);
        json_dumpf(all, stderr, JSON_COMPACT | JSON_REAL_PRECISION(9));
        putc('\n', stderr);
        json_decref(all);
        return;
    }
    fprintf(stderr, "\n%12.3f s   here, %.0f calls, of which %.0f wait for their answer\n", here, c->calls, c->waits);
    fprintf(stderr, "%12.3f s   for round trips: %.0f of calls, %.0f to begin, %.0f of callbacks, at %g ms\n", trips,
            c->rounds, setup, c->callbacks, 2 * (double)p.delay / 1e6);
    fprintf(stderr, "%12.3f s   for bytes: %s there, %s back", transfer, cli_bytes(c->sent, sent, sizeof sent),
            cli_bytes(c->received, received, sizeof received));
    if (p.rate)
        fprintf(stderr, ", at %g Mbit/s", (double)p.rate * 8 / 1e6);
    fprintf(stderr, "\n%12.3f s   expected\n", expected);
}

static bool begin(const char *socket)
{
    (void)socket;
    return true;
}

static void end(const char *socket, double wall_ns)
{
    struct counted c = {0};
    (void)socket;
    cli_private_router_stop(&p.near); /* it has counted to the end */
    p.failed = !read_counts(&c) || !c.connections;
    if (p.failed) {
        fputs("hira predict: the program has called nothing that Hira serves\n", stderr);
        return;
    }
    double setup = c.controls + SETUP_ROUNDS * c.connections, there_and_back = 2 * (double)p.delay / 1e9;
    double trips = (HIRA_MAX(c.rounds, c.windows) + setup + c.callbacks) * there_and_back;
    double transfer = p.rate ? (c.sent + c.received) / (double)p.rate - c.bulk : 0;
    print(&c, wall_ns / 1e9, setup, trips, HIRA_MAX(transfer, 0));
}

#define NOTHING_SERVED 125 /* as `hira run`: the program's own statuses are passed on */

int cli_predict(int argc, char **argv)
{
    static const struct cli_observer observer = {.verb = "predict", .begin = begin, .end = end, .lead = lead};
    static const struct option options[] = {{"delay", required_argument, NULL, 'd'},
                                            {"rate", required_argument, NULL, 'r'},
                                            {"json", no_argument, NULL, 'j'},
                                            {0}};
    for (int c; (c = getopt_long(argc, argv, "+", options, NULL)) != -1;) {
        if (c == 'd' && hira_parse_duration(optarg, &p.delay) < 0)
            return cli_usage("predict", "--delay: '%s' is no number and us, ms or s", optarg);
        if (c == 'r' && hira_parse_rate(optarg, &p.rate) < 0)
            return cli_usage("predict", "--rate: '%s' is no number and kbit, Mbit or Gbit", optarg);
        p.json |= c == 'j';
        if (c == '?' || c == ':')
            return cli_bad_option("predict", argv, c);
    }
    if (optind < 2 || strcmp(argv[optind - 1], "--") != 0)
        return cli_usage("predict", "-- [OPTION of hira run...] PROGRAM...");
    argv += optind - 1, argc -= optind - 1;
    optind = 0; /* getopt begins anew */
    int status = cli_run_observed(&observer, argc, argv);
    stop();
    return status ? status : p.failed ? NOTHING_SERVED : CLI_OK;
}
