/*
 * hira run: a program under Hira, with a router of its own if there is none.
 *
 * Process model. `hira run` is the parent of the program and, if need be, of a private router; it forwards signals to
 * the one, waits for its end, and sees the other off. It is in the program's process group: what a terminal sends
 * reaches both, so only signals sent to us alone go on. If we are killed, so is the program (PR_SET_PDEATHSIG: whoever
 * kills us wants it gone), and the router notices our hang-up.
 *
 * Exit status: the program's, 128 + n when signal n ended it, 127 not found, 126 cannot be executed, 125 hira run
 * itself failed.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "cli/hosts.h"
#include "cli/runtime.h"
#include "guest/vsock.h"

enum { RUN_FAILED = 125, RUN_NOT_EXECUTABLE = 126, RUN_NOT_FOUND = 127 };

struct run_options {
    const char *socket, *api, *lib_dir, *server_dir, *vendor_icd;
    const char *on; /* another host */
    struct cli_relay_options remote;
    bool strict;
    const struct cli_observer *observer; /* with a router of its own; NULL: nobody looks */
};

/* ---- the program's surroundings ---- */

static void add_folder(struct hira_text *path, const char *folder)
{
    hira_text_printf(path, "%s%s", path->size ? ":" : "", folder);
}

struct found {
    struct hira_text *path, *seen;
};

static void add_api(void *context, const char *api)
{
    struct found *f = context;
    char folder[HIRA_PATH_MAX], key[HIRA_API_NAME_MAX + 3];
    snprintf(key, sizeof key, ":%s:", api);
    if ((f->seen->data && strstr(f->seen->data, key)) || hira_path_guest_library(NULL, api, folder, sizeof folder) < 0)
        return;
    hira_text_puts(f->seen, key);
    add_folder(f->path, folder);
}

/* The folders of guest libraries, for the loader to look in first. 0 or -1 with a message. */
static int library_path(const struct run_options *o, struct hira_text *path)
{
    char folder[HIRA_PATH_MAX];
    const char *old = getenv("LD_LIBRARY_PATH");
    struct hira_text seen = {0};
    struct found found = {path, &seen};
    if (o->lib_dir || o->api) {
        if (hira_path_guest_library(o->lib_dir, o->api, folder, sizeof folder) == 0)
            add_folder(path, folder);
    } else {
        hira_path_each_api(o->server_dir, add_api, &found);
    }
    hira_text_fini(&seen);
    if (!path->size) {
        fprintf(stderr, "hira run: no guest library%s%s found%s%s: is Hira installed? (hira doctor tells more)\n",
                o->api ? " for " : "", o->api ? o->api : "", o->lib_dir ? " in " : "", o->lib_dir ? o->lib_dir : "");
        return -1;
    }
    if (old && *old)
        add_folder(path, old);
    return path->failed ? -1 : 0;
}

/* ---- what was named ---- */

static bool is_there(const char *path, const char *what)
{
    if (access(path, F_OK) == 0)
        return true;
    fprintf(stderr, "hira run: %s: %s: %s\n", what, path, strerror(errno));
    return false;
}

/* What names a folder or a file that is not there could only end in a program that finds no device. */
static bool named_are_there(const struct run_options *o)
{
    const char *folder = getenv("HIRA_SERVER_DIR");
    return (!o->lib_dir || is_there(o->lib_dir, "--lib-dir")) && (!o->server_dir || is_there(o->server_dir, "--server-dir")) &&
           (o->server_dir || o->on || !folder || !*folder || is_there(folder, "$HIRA_SERVER_DIR")) &&
           (!o->vendor_icd || !strchr(o->vendor_icd, '/') || is_there(o->vendor_icd, "the vendor's driver (--vendor-icd, $HIRA_VENDOR_ICD)"));
}

/* ---- the router ---- */

static bool answers(const char *socket)
{
    HIRA_AUTOCLOSE int fd = hira_socket_connect(socket);
    return fd >= 0;
}

/* In a virtual machine whose host is meant, and nothing else is asked for: the socket is what the guest library needs if memory is shared with
 * the host; else a relay does without. */
static bool is_in_machine(struct run_options *o, char *socket, size_t size)
{
    if (o->on || o->socket || o->observer || o->server_dir || o->vendor_icd || hira_socket_path(socket, size) < 0 || !hira_vsock_meant(socket))
        return false;
    if (hira_vsock_has_memory())
        return true;
    o->on = "vsock";
    return false;
}

/* Finds a router or starts one; its socket. */
static int find_router(struct run_options *o, struct cli_private_router *router, char *socket, size_t size)
{
    char error[512];
    if (is_in_machine(o, socket, size))
        return 0;
    if (o->on) {
        if (cli_host_resolve(o->on, &o->remote, error, sizeof error) < 0 ||
            cli_private_relay_start(router, o->remote.words, error, sizeof error) < 0) {
            fprintf(stderr, "hira run: %s\n", error);
            return -1;
        }
        snprintf(socket, size, "%s", router->socket);
        return 0;
    }
    if (o->socket) {
        snprintf(socket, size, "%s", o->socket);
        if (answers(socket))
            return 0;
        fprintf(stderr, "hira run: no hirad answers on %s: %s\n", socket, strerror(errno));
        return -1;
    }
    if (!o->observer && !o->server_dir && !o->vendor_icd && hira_socket_path(socket, size) == 0 && answers(socket))
        return 0;
    if (o->vendor_icd)
        setenv("HIRA_VENDOR_ICD", o->vendor_icd, 1); /* for the router's servers */
    if (o->observer && o->observer->lead)
        return o->observer->lead(o->api, o->server_dir, socket, size);
    if (cli_private_router_start(router, o->api, o->server_dir, error, sizeof error) < 0) {
        fprintf(stderr, "hira run: %s\n", error);
        return -1;
    }
    snprintf(socket, size, "%s", router->socket);
    return 0;
}

/* ---- the program ---- */

static _Noreturn void become_program(char **argv, const sigset_t *mask, sighandler_t on_child, pid_t parent)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        raise(SIGKILL);
    sigprocmask(SIG_SETMASK, mask, NULL);
    signal(SIGCHLD, on_child);
    execvp(argv[0], argv);
    int error = errno;
    fprintf(stderr, "hira run: %s: %s\n", argv[0], error == ENOENT ? "command not found" : strerror(error));
    _exit(error == ENOENT ? RUN_NOT_FOUND : RUN_NOT_EXECUTABLE);
}

/* Waits for the program's end, handing signals on. Its status as waitpid gives it. */
static int watch_program(pid_t pid, const sigset_t *signals, const struct cli_observer *observer, const char *socket)
{
    void (*again)(const char *socket) = observer ? observer->again : NULL;
    for (;;) {
        siginfo_t info;
        const struct timespec between_looks = {2, 0};
        int status, number = again ? sigtimedwait(signals, &info, &between_looks) : sigwaitinfo(signals, &info);
        if (again && number < 0 && errno == EAGAIN)
            again(socket);
        if (number > 0 && number != SIGCHLD && info.si_code <= 0) /* sent by a process, not by the terminal */
            kill(pid, number);
        if (waitpid(pid, &status, WNOHANG) == pid)
            return status;
    }
}

static int run_program(char **argv, sighandler_t on_child, const struct cli_observer *observer, const char *socket)
{
    static const int forwarded[] = {SIGINT,  SIGTERM, SIGHUP,   SIGQUIT, SIGUSR1,
                                    SIGUSR2, SIGALRM, SIGWINCH, SIGCONT, SIGCHLD};
    sigset_t signals, old;
    pid_t parent = getpid();
    sigemptyset(&signals);
    for (size_t i = 0; i < HIRA_ARRAY_SIZE(forwarded); i++)
        sigaddset(&signals, forwarded[i]);
    sigprocmask(SIG_BLOCK, &signals, &old);
    pid_t pid = fork();
    if (pid == 0)
        become_program(argv, &old, on_child, parent);
    if (pid < 0) {
        fprintf(stderr, "hira run: cannot fork: %s\n", strerror(errno));
        return RUN_FAILED;
    }
    int status = watch_program(pid, &signals, observer, socket);
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static int run(struct run_options *o, char **argv)
{
    struct cli_private_router router = {.line = -1};
    struct hira_text path = {0};
    char socket[108];
    int status = RUN_FAILED;
    sighandler_t on_child = signal(SIGCHLD, SIG_DFL); /* ignored, as some starters leave it, children vanish unseen */
    if (named_are_there(o) && library_path(o, &path) == 0 && find_router(o, &router, socket, sizeof socket) == 0 &&
        (!o->observer || o->observer->begin(socket))) {
        setenv("LD_LIBRARY_PATH", path.data, 1);
        setenv("HIRA_SOCKET", socket, 1);
        if (o->strict)
            setenv("HIRA_STRICT", "1", 1);
        uint64_t began = hira_now_ns();
        status = run_program(argv, on_child, o->observer, socket);
        if (o->observer)
            o->observer->end(socket, (double)(hira_now_ns() - began));
    }
    cli_private_router_stop(&router);
    hira_text_fini(&path);
    return status;
}

/* Keys are handed on as they are: the relay knows what is right. */
static void take_remote(struct run_options *o, const char *name, const char *value)
{
    if (!strcmp(name, "on"))
        o->on = value;
    else
        cli_relay_option(&o->remote, name, value);
}

static void run_options_fini(struct run_options *o)
{
    cli_relay_options_fini(&o->remote);
}

static int run_verb(const char *verb, const struct cli_observer *observer, int argc, char **argv)
{
    static const struct option options[] = {
        {"socket", required_argument, NULL, 's'},  {"api", required_argument, NULL, 'a'},
        {"lib-dir", required_argument, NULL, 'l'}, {"server-dir", required_argument, NULL, 'd'},
        {"strict", no_argument, NULL, 'S'},        {"vendor-icd", required_argument, NULL, 'v'},
        {"on", required_argument, NULL, 'o'},      {"psk", required_argument, NULL, 'r'},
        {"cert", required_argument, NULL, 'r'},    {"key", required_argument, NULL, 'r'},
        {"ca", required_argument, NULL, 'r'},      {"plain", optional_argument, NULL, 'r'},
        {"network", required_argument, NULL, 'r'},
        {0}};
    const char *vendor_icd = getenv("HIRA_VENDOR_ICD");
    HIRA_CLEANUP(run_options_fini) struct run_options o = {.vendor_icd = vendor_icd && *vendor_icd ? vendor_icd : NULL, .observer = observer};
    for (int c, index; (c = getopt_long(argc, argv, "+", options, &index)) != -1;) {
        if (c == 's')
            o.socket = optarg;
        else if (c == 'o' || c == 'r')
            take_remote(&o, options[index].name, optarg);
        else if (c == 'a')
            o.api = optarg;
        else if (c == 'l')
            o.lib_dir = optarg;
        else if (c == 'd')
            o.server_dir = optarg;
        else if (c == 'v')
            o.vendor_icd = optarg;
        else if (c == 'S')
            o.strict = true;
        else {
            cli_bad_option(verb, argv, c);
            return RUN_FAILED;
        }
    }
    if (o.remote.n && !o.on) {
        cli_usage(verb, "keys and networks are for another host: --on HOST");
        return RUN_FAILED;
    }
    if (o.on && (observer || o.socket || o.server_dir)) {
        cli_usage(verb, "the servers are that host's");
        return RUN_FAILED;
    }
    if (observer && o.socket) {
        cli_usage(verb, "it has a router of its own");
        return RUN_FAILED;
    }
    if (optind == argc) {
        cli_usage(verb, "which program?");
        return RUN_FAILED;
    }
    if (o.api && !hira_api_name_valid(o.api)) {
        cli_usage(verb, "'%s' is no API's name", o.api);
        return RUN_FAILED;
    }
    return run(&o, argv + optind);
}

int cli_run(int argc, char **argv)
{
    return run_verb("run", NULL, argc, argv);
}

int cli_run_observed(const struct cli_observer *observer, int argc, char **argv)
{
    return run_verb(observer->verb, observer, argc, argv);
}
