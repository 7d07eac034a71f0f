/*
 * hira status: what the router is doing.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "base/fd.h"
#include "cli/runtime.h"

json_int_t cli_json_number(const json_t *object, const char *name)
{
    return json_integer_value(json_object_get(object, name));
}

const char *cli_json_text(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text ? text : "";
}

int cli_router_status(const char *path, json_t **ret_status)
{
    char found[108];
    struct hira_message ask = hira_message_head(HIRA_MSG_STATUS, sizeof ask);
    int error = path ? 0 : hira_socket_path(found, sizeof found);
    if (error)
        return error;
    HIRA_AUTOCLOSE int fd = hira_socket_connect(path ? path : found);
    if (fd < 0)
        return fd;
    error = hira_fd_send(fd, &ask, sizeof ask, NULL, 0);
    return error ? error : cli_receive_json(fd, HIRA_MSG_STATUS_TEXT, sizeof(struct hira_message), ret_status, NULL);
}

/* 90061000 as "1 d 1:01:01". */
static const char *duration(json_int_t ms, char *text, size_t size)
{
    long long s = ms / 1000;
    if (s >= 86400)
        snprintf(text, size, "%lld d %lld:%02lld:%02lld", s / 86400, s / 3600 % 24, s / 60 % 60, s % 60);
    else
        snprintf(text, size, "%lld:%02lld:%02lld", s / 3600, s / 60 % 60, s % 60);
    return text;
}

static void print_status(const json_t *status)
{
    char time[64];
    size_t i;
    json_t *one;
    printf("hirad %s, process %lld, on %s, up %s\n", cli_json_text(status, "version"),
           (long long)cli_json_number(status, "pid"), cli_json_text(status, "socket"),
           duration(cli_json_number(status, "uptime_ms"), time, sizeof time));
    printf("guests: %lld served now (%lld at most), %lld waiting, %lld so far, %lld refused\n\n",
           (long long)cli_json_number(status, "serving"), (long long)cli_json_number(status, "max_guests"),
           (long long)cli_json_number(status, "waiting"), (long long)cli_json_number(status, "served"),
           (long long)cli_json_number(status, "refused"));
    printf("%-16s %-9s %8s %8s %8s\n", "API", "state", "ready", "serving", "waiting");
    json_array_foreach(json_object_get(status, "apis"), i, one)
    {
        printf("%-16s %-9s %8lld %8lld %8lld\n", cli_json_text(one, "name"), cli_json_text(one, "state"),
               (long long)cli_json_number(one, "ready"), (long long)cli_json_number(one, "serving"),
               (long long)cli_json_number(one, "waiting"));
        if (*cli_json_text(one, "reason"))
            printf("    last failure: %s\n", cli_json_text(one, "reason"));
        if (*cli_json_text(one, "sandbox"))
            printf("    sandbox: %s\n", cli_json_text(one, "sandbox"));
        if (*cli_json_text(one, "sandbox_missing"))
            printf("    sandbox lacks: %s\n", cli_json_text(one, "sandbox_missing"));
    }
    if (json_array_size(json_object_get(status, "guests")))
        printf("\n%8s %8s %-16s %-10s %8s %12s %8s %10s %s\n", "guest", "user", "program", "API", "server", "calls",
               "errors", "MiB", "time");
    json_array_foreach(json_object_get(status, "guests"), i, one)
        printf("%8lld %8lld %-16s %-10s %8lld %12lld %8lld %10.1f %s\n", (long long)cli_json_number(one, "pid"),
               (long long)cli_json_number(one, "user"), cli_json_text(one, "program"), cli_json_text(one, "api"),
               (long long)cli_json_number(one, "server"), (long long)cli_json_number(one, "calls"),
               (long long)cli_json_number(one, "errors"), (double)cli_json_number(one, "bytes") / (1 << 20),
               duration(cli_json_number(one, "served_ms"), time, sizeof time));
}

int cli_status(int argc, char **argv)
{
    static const struct option options[] = {
        {"socket", required_argument, NULL, 's'}, {"json", no_argument, NULL, 'j'}, {0}};
    const char *socket = NULL;
    char path[108];
    bool json = false;
    json_t *status = NULL;
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (c == 's')
            socket = optarg;
        else if (c == 'j')
            json = true;
        else
            return cli_bad_option("status", argv, c);
    }
    if (optind != argc)
        return cli_usage("status", "takes no arguments");
    if (!socket && hira_socket_path(path, sizeof path) == 0)
        socket = path;
    int error = cli_router_status(socket, &status);
    if (error) {
        cli_no_answer("status", socket, error);
        return CLI_FAILED;
    }
    if (json) {
        json_dumpf(status, stdout, JSON_INDENT(2));
        putchar('\n');
    } else {
        print_status(status);
    }
    json_decref(status);
    return CLI_OK;
}
