/*
 * What operators ask of hirad: hira pause, resume, reload; and the way of a request, for the other verbs that make one.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "base/fd.h"
#include "cli/runtime.h"

static int send_request(int fd, json_t *request)
{
    HIRA_AUTOFREE char *text = json_dumps(request, JSON_COMPACT);
    size_t size = text ? sizeof(struct hira_control) + strlen(text) + 1 : 0;
    HIRA_AUTOFREE char *message = size && size <= HIRA_MESSAGE_MAX ? malloc(size) : NULL;
    if (!message)
        return -ENOMEM;
    struct hira_control head = {hira_message_head(HIRA_MSG_CONTROL, size)};
    memcpy(message, &head, sizeof head);
    memcpy(message + sizeof head, text, size - sizeof head);
    return hira_fd_send(fd, message, size, NULL, 0);
}

int cli_receive_json(int fd, enum hira_message_type type, size_t head, json_t **ret_answer, int *ret_fd)
{
    HIRA_AUTOFREE char *buffer = malloc(HIRA_MESSAGE_MAX + 1);
    struct pollfd p = {fd, POLLIN, 0};
    if (!buffer)
        return -ENOMEM;
    if (poll(&p, 1, CLI_ANSWER_MS) <= 0)
        return -ETIMEDOUT;
    size_t n_fds = 1;
    ssize_t n = hira_fd_receive(fd, buffer, HIRA_MESSAGE_MAX, ret_fd, ret_fd ? &n_fds : NULL, 0);
    if (n <= 0)
        return n ? (int)n : -EPIPE;
    int error = hira_message_check(buffer, (size_t)n, type, head + 1);
    if (error)
        return error;
    buffer[n] = 0;
    *ret_answer = json_loads(buffer + head, 0, NULL);
    return *ret_answer ? 0 : -EPROTO;
}

const char *cli_error(int error)
{
    return error == -EPROTONOSUPPORT ? "it is of another version; the same Hira belongs on both sides" : strerror(-error);
}

void cli_no_answer(const char *verb, const char *socket, int error)
{
    fprintf(stderr, "hira %s: no answer from a hirad on %s: %s\n", verb, socket ? socket : "$HIRA_SOCKET", cli_error(error));
}

json_t *cli_control_with(const char *verb, const char *socket, json_t *request, int *ret_fd)
{
    char found[108] = "$HIRA_SOCKET";
    json_t *answer = NULL;
    int error = socket ? 0 : hira_socket_path(found, sizeof found);
    HIRA_AUTOCLOSE int fd = error ? error : hira_socket_connect(socket ? socket : found);
    error = fd < 0 ? fd : request ? send_request(fd, request) : -ENOMEM;
    if (!error)
        error = cli_receive_json(fd, HIRA_MSG_CONTROL_TEXT, sizeof(struct hira_control), &answer, ret_fd);
    json_decref(request);
    if (error) {
        cli_no_answer(verb, socket ? socket : found, error);
        return NULL;
    }
    const char *wrong = json_string_value(json_object_get(answer, "error"));
    if (!wrong)
        return answer;
    fprintf(stderr, "hira %s: %s%s", verb, wrong, wrong[0] && wrong[strlen(wrong) - 1] == '\n' ? "" : "\n");
    json_decref(answer);
    return NULL;
}

json_t *cli_control(const char *verb, const char *socket, json_t *request)
{
    return cli_control_with(verb, socket, request, NULL);
}

json_t *cli_tenants(const char *verb, const char *socket, json_t *request)
{
    json_t *all = NULL;
    json_int_t next = 0;
    do {
        json_object_set_new(request, "from", json_integer(next));
        json_t *answer = cli_control(verb, socket, json_incref(request));
        next = answer ? cli_json_number(answer, "next") : 0;
        if (all && answer) {
            json_array_extend(json_object_get(all, "tenants"), json_object_get(answer, "tenants"));
            json_decref(answer);
        } else if (!all) {
            all = answer;
        }
    } while (next);
    json_decref(request);
    return all;
}

int cli_take_socket(const char *verb, int argc, char **argv, const char **ret_socket)
{
    static const struct option options[] = {{"socket", required_argument, NULL, 's'}, {0}};
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (c != 's')
            return cli_bad_option(verb, argv, c);
        *ret_socket = optarg;
    }
    return CLI_OK;
}

static int each_tenant(const char *verb, int argc, char **argv)
{
    const char *socket = NULL;
    int status = cli_take_socket(verb, argc, argv, &socket);
    if (status)
        return status;
    if (optind == argc)
        return cli_usage(verb, "which tenant? (hira tenant list shows them)");
    for (int i = optind; i < argc; i++) {
        json_t *answer = cli_control(verb, socket, json_pack("{s:s,s:s}", "verb", verb, "tenant", argv[i]));
        if (!answer)
            status = CLI_FAILED;
        json_decref(answer);
    }
    return status;
}

int cli_pause(int argc, char **argv)
{
    return each_tenant("pause", argc, argv);
}

int cli_resume(int argc, char **argv)
{
    return each_tenant("resume", argc, argv);
}

int cli_reload(int argc, char **argv)
{
    const char *socket = NULL;
    int status = cli_take_socket("reload", argc, argv, &socket);
    if (status)
        return status;
    if (optind != argc)
        return cli_usage("reload", "takes no arguments");
    json_t *answer = cli_control("reload", socket, json_pack("{s:s}", "verb", "reload"));
    json_decref(answer);
    return answer ? CLI_OK : CLI_FAILED;
}
