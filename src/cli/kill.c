/*
 * hira kill: ends guests' servers, one by one or a tenant's, through the router. The guests get their API's error and
 * live on.
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

/* How many servers were ended, or -errno. */
static int kill_servers(const char *socket, unsigned pid)
{
    struct hira_kill m = {.head = hira_message_head(HIRA_MSG_KILL, sizeof m), .pid = pid};
    HIRA_AUTOCLOSE int fd = hira_socket_connect(socket);
    if (fd < 0)
        return fd;
    int error = hira_fd_send(fd, &m, sizeof m, NULL, 0);
    struct pollfd p = {fd, POLLIN, 0};
    if (!error && poll(&p, 1, CLI_ANSWER_MS) <= 0)
        error = -ETIMEDOUT;
    if (error)
        return error;
    union {
        struct hira_kill killed;
        struct hira_refused refused; /* by another version */
    } answer;
    ssize_t n = hira_fd_receive(fd, &answer, sizeof answer, NULL, NULL, 0);
    if (n <= 0)
        return n ? (int)n : -EPIPE;
    error = hira_message_check(&answer, (size_t)n, HIRA_MSG_KILLED, sizeof m);
    return error ? error : (int)answer.killed.n;
}

static bool take_pid(const char *text, unsigned *ret)
{
    char *end;
    errno = 0;
    unsigned long n = strtoul(text, &end, 10);
    *ret = (unsigned)n;
    if (!strcmp(text, "all"))
        return true; /* 0 */
    return text[0] >= '0' && text[0] <= '9' && !*end && !errno && n > 0 && n <= INT32_MAX;
}

static void say(int n)
{
    printf("%d server%s ended\n", n, n == 1 ? "" : "s");
}

int cli_kill(int argc, char **argv)
{
    static const struct option options[] = {{"socket", required_argument, NULL, 's'}, {0}};
    const char *socket = NULL;
    char path[108];
    unsigned pid;
    int status = CLI_OK;
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (c != 's')
            return cli_bad_option("kill", argv, c);
        socket = optarg;
    }
    if (optind == argc)
        return cli_usage("kill", "which guest? (hira status lists them; 'all' is every one)");
    if (!socket && hira_socket_path(path, sizeof path) == 0)
        socket = path;
    for (int i = optind; i < argc; i++) {
        if (!take_pid(argv[i], &pid)) {
            json_t *answer = cli_control("kill", socket, json_pack("{s:s,s:s}", "verb", "kill", "tenant", argv[i]));
            status = answer ? status : CLI_FAILED;
            if (answer)
                say((int)cli_json_number(answer, "killed"));
            json_decref(answer);
            continue;
        }
        int n = socket ? kill_servers(socket, pid) : -ENAMETOOLONG;
        if (n < 0) {
            cli_no_answer("kill", socket, n);
            return CLI_FAILED;
        }
        if (n == 0 && pid) {
            fprintf(stderr, "hira kill: process %u is no guest that you may end\n", pid);
            status = CLI_FAILED;
            continue;
        }
        say(n);
    }
    return status;
}
