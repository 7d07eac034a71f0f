/*
 * hirad: who guests turn to. It picks a server for each and is out of the calls' way from then on.
 *
 * Process model. One thread, one libuv loop, no blocking call. Below it one zygote per API (see server/zygote.h), below
 * those the servers. Nothing depends on hirad's life: told to end (SIGTERM, SIGINT) it removes its socket and goes,
 * servers with guests go on, their zygotes see them off, servers without a guest end by themselves.
 *
 * Private mode (--private FD, what `hira run` starts): socket and servers' folders lie in a folder of its own, the
 * other end of FD tells by hanging up that nobody will come any more; when the last guest is gone too, everything is
 * removed and hirad ends.
 *
 * Security. Hostile are the guests (guest.c), the servers (server.c), and who can write where the socket lies
 * (listen.c).
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/tree.h"
#include "router/router.h"
#include "server/sandbox.h"

#define FAREWELL_MS 5000      /* private: what has not ended by then is not waited for */
#define OUTLIVED_MS 300       /* private: a starter does not wait longer for guests that outlive it */
#define SHORT_FAREWELL_MS 300 /* otherwise: time for idle zygotes to end as our children, not as orphans */

uint64_t router_now_ms(const struct router *router)
{
    return uv_now(&router->loop);
}

/* ---- ending ---- */

static void each_api(struct router *router, void (*what)(struct router_api *api))
{
    struct hira_list *pos, *next;
    hira_list_for_each (pos, next, &router->apis)
        what(hira_list_entry(pos, struct router_api, link));
}

static void begin_end(struct router *router)
{
    struct hira_list *pos, *next;
    router->ending = true;
    router_remote_stop(router);
    router_unlisten(router);
    hira_list_for_each (pos, next, &router->half_open)
        router_guest_refuse(hira_list_entry(pos, struct router_guest, link), ESHUTDOWN, "hirad is ending");
    each_api(router, router_api_release);
}

static void stop(void *context)
{
    uv_stop(&((struct router *)context)->loop);
}

/* Whether a zygote is still there that has no reason to stay: one that sees guests off does. */
static bool has_idle_zygote(const struct router *router)
{
    const struct hira_list *pos;
    for (pos = router->apis.next; pos != &router->apis; pos = pos->next) {
        const struct router_api *api = hira_list_entry(pos, struct router_api, link);
        if (api->process && !api->serving)
            return true;
    }
    return false;
}

/* Private: the end begins when starter and guests are gone. It is over when the processes are. */
static void check_end(void *context)
{
    struct router *router = context;
    bool left = router->private && !router->starter && !router->n_serving && !router->n_waiting && !router->n_half_open;
    if (left && !router->ending) {
        begin_end(router);
        router_alarm_set(&router->loop, &router->deadline, FAREWELL_MS, stop, router);
    }
    if (router->ending && !has_idle_zygote(router))
        stop(router);
}

static void quieter(struct router *router)
{
    if (router->ending || (router->private && !router->starter))
        router_alarm_set(&router->loop, &router->check, 0, check_end, router);
}

static void outlived(void *context)
{
    struct router *router = context;
    if (!router->ending)
        hira_fd_closep(&router->line);
}

static void on_starter(void *context)
{
    struct router *router = context;
    char bytes[64];
    ssize_t n = read(router_watch_fd(router->starter), bytes, sizeof bytes);
    if (n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR)))
        return;
    int line = dup(router_watch_fd(router->starter));
    router_watch_stop(&router->starter);
    router->line = line;
    router_alarm_set(&router->loop, &router->deadline, OUTLIVED_MS, outlived, router);
    quieter(router);
}

static void on_signal(uv_signal_t *handle, int number)
{
    struct router *router = handle->data;
    char error[4500];
    if (number == SIGHUP && router->options.config) {
        router_reload(router, error, sizeof error);
        return;
    }
    hira_log(&router->log, HIRA_LOG_INFO, "router", 0, "%s: ending, %u guests are served on", strsignal(number),
             router->n_serving);
    if (router->ending) { /* told twice */
        stop(router);
        return;
    }
    begin_end(router);
    router_alarm_set(&router->loop, &router->deadline, SHORT_FAREWELL_MS, stop, router);
    quieter(router);
}

/* ---- beginning ---- */

/* Whether a folder of $LD_LIBRARY_PATH holds a guest library of ours: .../hira/API, or where this installation has it.
 */
static bool is_guest_folder(const char *folder)
{
    char ours[HIRA_PATH_MAX];
    const char *api = strrchr(folder, '/');
    if (!api || !hira_api_name_valid(api + 1))
        return false;
    if (api - folder >= 5 && !memcmp(api - 5, "/hira", 5))
        return true;
    if (hira_path_guest_library(NULL, api + 1, ours, sizeof ours) < 0)
        return false;
    HIRA_AUTOFREE char *one = realpath(folder, NULL);
    HIRA_AUTOFREE char *other = realpath(ours, NULL);
    return one && other && !strcmp(one, other);
}

/* A server that found Hira's guest library where the vendor's should be would be its own guest: such folders do not go
 * on to servers. */
static void clean_library_path(void)
{
    const char *old = getenv("LD_LIBRARY_PATH");
    HIRA_AUTOFREE char *copy = old ? strdup(old) : NULL;
    struct hira_text kept = {0};
    char *rest = copy, *folder;
    while ((folder = strsep(&rest, ":")))
        if (*folder && !is_guest_folder(folder))
            hira_text_printf(&kept, "%s%s", kept.size ? ":" : "", folder);
    if (kept.data)
        setenv("LD_LIBRARY_PATH", kept.data, 1);
    else
        unsetenv("LD_LIBRARY_PATH");
    hira_text_fini(&kept);
}

/* A folder that holds everything of a private router; its name must leave room for a socket's. */
static int make_private_folder(struct router *router, char *error, size_t size)
{
    const char *tmp = getenv("TMPDIR");
    if (!tmp || tmp[0] != '/' || strlen(tmp) > 60)
        tmp = "/tmp";
    snprintf(router->directory, sizeof router->directory, "%s/hira-run-XXXXXX", tmp);
    if (!mkdtemp(router->directory)) {
        int ret = -errno;
        router->directory[0] = 0;
        snprintf(error, size, "cannot make a folder in %s: %s", tmp, strerror(errno));
        return ret;
    }
    if (geteuid() == 0) /* servers run as others, and have their folders in it: to be gone through, not to be looked at */
        chmod(router->directory, 0711);
    snprintf(router->options.work_dir, sizeof router->options.work_dir, "%s", router->directory);
    snprintf(router->options.socket, sizeof router->options.socket, "%.200s/hirad.sock", router->directory);
    return 0;
}

/* Started with standard descriptors closed, our own would take their place. */
static void fill_standard_descriptors(void)
{
    int fd;
    do
        fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    while (fd >= 0 && fd <= STDERR_FILENO);
    hira_fd_closep(&fd);
}

static void raise_descriptor_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static int router_init(struct router *router)
{
    hira_list_init(&router->apis);
    hira_list_init(&router->half_open);
    hira_list_init(&router->tenants);
    hira_list_init(&router->doors);
    router->listener.lock = -1;
    router->line = -1;
    router->quieter = quieter;
    router_turns_init(router);
    router->buffer = malloc(HIRA_MESSAGE_MAX);
    int error = router->buffer ? uv_loop_init(&router->loop) : -ENOMEM;
    router->begun = !error;
    router->started = error ? 0 : router_now_ms(router);
    return error;
}

/* libuv aborts where it has no memory or descriptors for its loop. While hirad starts that gets a sentence; */
static void on_abort(int signal)
{
    static const char text[] = "hirad: out of memory or descriptors\n";
    (void)signal;
    ssize_t n = write(STDERR_FILENO, text, sizeof text - 1);
    (void)n;
    _exit(1);
}

/* and afterwards there is nothing left that it could need: its table of descriptors, which grows with their numbers, is
 * made as large as it will ever be. */
static int grow_loop(struct router *router)
{
    struct rlimit limit = {64, 64};
    getrlimit(RLIMIT_NOFILE, &limit);
    rlim_t need =
        64 + ROUTER_HALF_OPEN_MAX + (rlim_t)ROUTER_GUEST_DESCRIPTORS * (router->options.max_guests + ROUTER_WARM_MAX);
    HIRA_AUTOCLOSE int low = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int high = low < 0 ? -1 : fcntl(low, F_DUPFD_CLOEXEC, (int)HIRA_MIN(need, limit.rlim_cur - 1));
    struct router_watch *watch = high < 0 ? NULL : router_watch_start(&router->loop, high, stop, router);
    if (!watch)
        return -ENOMEM;
    router_watch_stop(&watch);
    return 0;
}

static int start_signals(struct router *router)
{
    static const int numbers[] = {SIGTERM, SIGINT, SIGHUP};
    for (size_t i = 0; i < HIRA_ARRAY_SIZE(numbers); i++) {
        router->signals[i].data = router;
        if (uv_signal_init(&router->loop, &router->signals[i]) ||
            uv_signal_start(&router->signals[i], on_signal, numbers[i]))
            return -ENOMEM;
    }
    return 0;
}

/* Without it no server can be made, and each would say no more than the error. */
static int check_work_dir(const struct router *router, char *error, size_t size)
{
    if (access(router->options.work_dir, W_OK | X_OK) == 0)
        return 0;
    int code = errno;
    snprintf(error, size, "cannot make folders for servers in %.300s: %s", router->options.work_dir, strerror(code));
    return -code;
}

static int start(struct router *router, int private_fd, char *error, size_t size)
{
    snprintf(error, size, "out of memory or descriptors");
    signal(SIGABRT, on_abort);
    int ret = router_init(router);
    if (!ret)
        ret = grow_loop(router);
    if (!ret && router->private)
        ret = make_private_folder(router, error, size);
    if (!ret)
        ret = check_work_dir(router, error, size);
    if (!ret) /* before anybody can see that we are here, and tell us to go */
        ret = start_signals(router);
    if (!ret)
        ret = router_listen(router, error, size);
    if (!ret)
        ret = router_metrics_start(router, error, size);
    if (!ret)
        router_doors_open(router);
    if (!ret)
        ret = router_remote_start(router);
    if (!ret)
        ret = router_calls_watch(router);
    if (!ret && router->private &&
        !(router->starter = router_watch_start(&router->loop, private_fd, on_starter, router)))
        ret = -ENOMEM;
    signal(SIGABRT, SIG_DFL);
    return ret;
}

/* Everything let go of, in order; only then are libuv's handles closed and the private folder removed. */
static void finish(struct router *router)
{
    if (!router->begun) {
        free(router->buffer);
        return;
    }
    if (!router->ending)
        begin_end(router);
    each_api(router, router_api_destroy);
    router_turns_fini(router);
    router_alarm_stop(&router->unmeasure);
    router_doors_close(router);
    router_metrics_stop(router);
    router_tenants_destroy(router);
    config_free(router->config);
    router_alarm_stop(&router->check);
    router_alarm_stop(&router->deadline);
    router_watch_stop(&router->starter);
    for (size_t i = 0; i < HIRA_ARRAY_SIZE(router->signals); i++)
        if (router->signals[i].data)
            uv_close((uv_handle_t *)&router->signals[i], NULL);
    router_calls_unwatch(router);
    for (int i = 0; i < 10 && uv_run(&router->loop, UV_RUN_NOWAIT); i++)
        ;
    uv_loop_close(&router->loop);
    free(router->visitors);
    free(router->buffer);
    if (router->directory[0])
        hira_tree_remove(router->directory);
    hira_fd_closep(&router->line);
}

static int run(struct router *router, int private_fd)
{
    char error[400];
    int ret = start(router, private_fd, error, sizeof error);
    if (ret) {
        if (router->private) /* who started it says so */
            dprintf(private_fd, "FAILED %s\n", error);
        else
            fprintf(stderr, "hirad: %s\n", error);
    } else {
        hira_log(&router->log, HIRA_LOG_INFO, "router", 0, "process %d listens on %s", getpid(),
                 router->options.socket);
        if (router->private)
            dprintf(private_fd, "READY %s\n", router->options.socket);
        else
            router_sweep(router);
        int refused;
        struct router_tenant *own = router_tenant_of(router, NULL, geteuid(), getegid(), &refused);
        if (own) /* who will most likely come, or alone can */
            own->seen = ++router->n_seen;
        router_apis_start(router);
        if (hira_list_empty(&router->apis))
            hira_log(&router->log, HIRA_LOG_WARNING, "router", 0,
                     "nothing can be served: no API server%s%s was found (see --server-dir)",
                     router->options.api ? " of " : "", router->options.api ? router->options.api : "");
        uv_run(&router->loop, UV_RUN_DEFAULT);
        hira_log(&router->log, HIRA_LOG_INFO, "router", 0, "process %d ends", getpid());
    }
    finish(router);
    return ret ? 1 : 0;
}

/* ---- the command line ---- */

enum {
    OPT_SOCKET = 256,
    OPT_SERVER_DIR,
    OPT_WORK_DIR,
    OPT_API,
    OPT_WARM,
    OPT_GUESTS,
    OPT_START,
    OPT_HELLO,
    OPT_CALL,
    OPT_CONNECTS,
    OPT_STARTS,
    OPT_LEVEL,
    OPT_JSON,
    OPT_PRIVATE,
    OPT_SANDBOX,
    OPT_CONFIG,
    OPT_CHECK,
    OPT_REMOTE,
    OPT_HELP,
    OPT_VERSION
};

static const struct option options[] = {{"socket", required_argument, NULL, OPT_SOCKET},
                                        {"server-dir", required_argument, NULL, OPT_SERVER_DIR},
                                        {"work-dir", required_argument, NULL, OPT_WORK_DIR},
                                        {"api", required_argument, NULL, OPT_API},
                                        {"warm", required_argument, NULL, OPT_WARM},
                                        {"max-guests", required_argument, NULL, OPT_GUESTS},
                                        {"start-timeout", required_argument, NULL, OPT_START},
                                        {"hello-timeout", required_argument, NULL, OPT_HELLO},
                                        {"call-limit", required_argument, NULL, OPT_CALL},
                                        {"connect-rate", required_argument, NULL, OPT_CONNECTS},
                                        {"start-rate", required_argument, NULL, OPT_STARTS},
                                        {"log-level", required_argument, NULL, OPT_LEVEL},
                                        {"log-json", no_argument, NULL, OPT_JSON},
                                        {"sandbox", required_argument, NULL, OPT_SANDBOX},
                                        {"sandbox-uids", required_argument, NULL, OPT_SANDBOX},
                                        {"sandbox-memory", required_argument, NULL, OPT_SANDBOX},
                                        {"sandbox-path", required_argument, NULL, OPT_SANDBOX},
                                        {"sandbox-device", required_argument, NULL, OPT_SANDBOX},
                                        {"sandbox-cgroup", required_argument, NULL, OPT_SANDBOX},
                                        {"cache-dir", required_argument, NULL, OPT_SANDBOX},
                                        {"config", required_argument, NULL, OPT_CONFIG},
                                        {"check", no_argument, NULL, OPT_CHECK},
                                        {"listen", required_argument, NULL, OPT_REMOTE},
                                        {"psk", required_argument, NULL, OPT_REMOTE},
                                        {"cert", required_argument, NULL, OPT_REMOTE},
                                        {"key", required_argument, NULL, OPT_REMOTE},
                                        {"ca", required_argument, NULL, OPT_REMOTE},
                                        {"plain", optional_argument, NULL, OPT_REMOTE},
                                        {"grace", required_argument, NULL, OPT_REMOTE},
                                        {"private", required_argument, NULL, OPT_PRIVATE},
                                        {"help", no_argument, NULL, OPT_HELP},
                                        {"version", no_argument, NULL, OPT_VERSION},
                                        {0}};

static const char help_text[] =
    "usage: hirad [OPTION...]\n"
    "\n"
    "  --socket PATH         where guests find it (default: $HIRA_SOCKET, else by user: see hirad(8))\n"
    "  --server-dir DIR      where the hira-server-API programs are (default: $HIRA_SERVER_DIR, else the "
    "installation's)\n"
    "  --work-dir DIR        for the servers' private folders (default: $TMPDIR, else /tmp)\n"
    "  --api NAME            serve only this API\n"
    "  --warm N              servers of each API kept ready (default: 1)\n"
    "  --max-guests N        served at once (default: 1024)\n"
    "  --start-timeout S     a server must be ready within (default: 30)\n"
    "  --hello-timeout S     a guest must speak within (default: 5)\n"
    "  --call-limit S        a call that takes longer costs its guest the server (default: none does)\n"
    "  --connect-rate N      connections a second of one process; those beyond are not listened to (default: 100, 0: all\n"
    "                        are)\n"
    "  --start-rate N        servers started a second for one tenant; guests beyond wait (default: 100, 0: none does)\n"
    "  --sandbox MODE        auto (default): servers are confined as far as this system can; required: that or not\n"
    "                        at all; off\n"
    "  --sandbox-uids F:N    started by root: N users from F on for the servers\n"
    "  --sandbox-memory MIB  that each server may use\n"
    "  --sandbox-path PATH   seen by servers as well, read-only; may be repeated\n"
    "  --sandbox-device GLOB devices that servers may use; may be repeated\n"
    "  --sandbox-cgroup DIR  of version 2, given to hirad: a group for each server below it\n"
    "  --cache-dir DIR       for what vendors' libraries compile, a folder for each tenant\n"
    "  --config FILE         who the tenants are and what each may use: see hirad.conf(5) (default: "
    "/etc/hira/hirad.conf\n"
    "                        for root, if there is one)\n"
    "  --check               reads the configuration, and with --listen its keys, says what is wrong, and ends\n"
    "  --listen ADDRESS[:PORT]\n"
    "                        serves guests of other hosts as well, over TLS: see hira-relay(8), also for --psk, --cert,\n"
    "                        --key, --ca, --plain, --grace; vsock: those of virtual machines, by the kernel's vhost-vsock\n"
    "  --log-level LEVEL     error, warning, info (default) or debug, on standard error\n"
    "  --log-json            a JSON object a line\n"
    "  --private FD          for hira run\n"
    "  --version\n";

static int number(const char *text, const char *name, unsigned min, unsigned max, unsigned *ret)
{
    char *end;
    errno = 0;
    unsigned long n = strtoul(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end || errno || n < min || n > max) {
        fprintf(stderr, "hirad: --%s takes a number from %u to %u, not '%s'\n", name, min, max, text);
        return -EINVAL;
    }
    *ret = (unsigned)n;
    return 0;
}

static int take_path(char *path, const char *value, const char *name)
{
    if (*value && (size_t)snprintf(path, HIRA_PATH_MAX, "%s", value) < HIRA_PATH_MAX)
        return 0;
    fprintf(stderr, "hirad: --%s: no path\n", name);
    return -EINVAL;
}

static int take_limit(struct router_options *o, int option, const char *value)
{
    unsigned seconds;
    int error;
    if (option == OPT_WARM)
        return number(value, "warm", 0, ROUTER_WARM_MAX, &o->warm);
    if (option == OPT_GUESTS)
        return number(value, "max-guests", 1, 100000, &o->max_guests);
    if (option == OPT_CONNECTS)
        return number(value, "connect-rate", 0, 1000000, &o->connect_rate);
    if (option == OPT_STARTS)
        return number(value, "start-rate", 0, 1000000, &o->start_rate);
    const char *name = option == OPT_START ? "start-timeout" : option == OPT_CALL ? "call-limit" : "hello-timeout";
    uint64_t *limit = option == OPT_START  ? &o->start_timeout_ms
                      : option == OPT_CALL ? &o->call_limit_ms
                                           : &o->hello_timeout_ms;
    error = number(value, name, 1, option == OPT_CALL ? 1000000 : 3600, &seconds);
    if (!error)
        *limit = seconds * 1000ull;
    return error;
}

static int take_api(struct router_options *o, const char *value)
{
    o->api = value;
    if (hira_api_name_valid(value))
        return 0;
    fprintf(stderr, "hirad: '%s' is no API's name\n", value);
    return -EINVAL;
}

static int take_private(struct router *router, const char *value, int *ret_fd)
{
    unsigned fd;
    int error = number(value, "private", 3, 65535, &fd);
    if (!error && fcntl((int)fd, F_SETFD, FD_CLOEXEC) < 0) {
        fprintf(stderr, "hirad: --private %u: %s\n", fd, strerror(errno));
        error = -EBADF;
    }
    router->private = !error;
    *ret_fd = error ? -1 : (int)fd;
    return error;
}

static int take_level(struct router *router, const char *value)
{
    int error = hira_log_level_parse(value, &router->log.level);
    if (error)
        fprintf(stderr, "hirad: --log-level is error, warning, info or debug, not '%s'\n", value);
    return error;
}

/* Checked here, used by the zygotes. */
static int take_sandbox(struct router_options *o, int index, const char *value)
{
    static struct hira_sandbox check;
    static char words[ROUTER_SANDBOX_MAX / 2][32];
    char error[200];
    if (o->n_sandbox + 2 >= ROUTER_SANDBOX_MAX) {
        fputs("hirad: too many options for the sandbox\n", stderr);
        return -E2BIG;
    }
    if (hira_sandbox_option(&check, options[index].name, value, error, sizeof error) < 0) {
        fprintf(stderr, "hirad: %s\n", error);
        return -EINVAL;
    }
    if (check.uid_count) {
        o->server_uid = check.uid_base;
        o->server_uids = check.uid_count;
    }
    char *word = words[o->n_sandbox / 2];
    snprintf(word, sizeof words[0], "--%s", options[index].name);
    o->sandbox[o->n_sandbox++] = word;
    o->sandbox[o->n_sandbox++] = value;
    return 0;
}

/* Handed on: hira-relay knows what is right. */
static int take_remote(struct router_options *o, int index, const char *value)
{
    static char words[ROUTER_REMOTE_MAX][HIRA_PATH_MAX];
    if (o->n_remote == ROUTER_REMOTE_MAX) {
        fputs("hirad: too many options for other hosts\n", stderr);
        return -E2BIG;
    }
    char *word = words[o->n_remote];
    snprintf(word, sizeof words[0], "--%s%s%s", options[index].name, value ? "=" : "", value ? value : "");
    o->remote[o->n_remote++] = word;
    return 0;
}

/* Keys are for guests of other hosts, who come by --listen. */
static bool remote_makes_sense(const struct router_options *o)
{
    bool listens = !o->n_remote;
    for (unsigned i = 0; i < o->n_remote; i++)
        listens |= !strncmp(o->remote[i], "--listen", strlen("--listen"));
    if (!listens)
        fprintf(stderr, "hirad: %s is for guests of other hosts: --listen ADDRESS is missing\n", o->remote[0]);
    return listens;
}

static int take_option(struct router *router, int option, int index, int *private_fd)
{
    struct router_options *o = &router->options;
    switch (option) {
    case OPT_SOCKET:
        return take_path(o->socket, optarg, "socket");
    case OPT_WORK_DIR:
        return take_path(o->work_dir, optarg, "work-dir");
    case OPT_SERVER_DIR:
        o->server_dir = optarg;
        return 0;
    case OPT_SANDBOX:
        return take_sandbox(o, index, optarg);
    case OPT_REMOTE:
        return take_remote(o, index, optarg);
    case OPT_API:
        return take_api(o, optarg);
    case OPT_WARM:
    case OPT_GUESTS:
    case OPT_START:
    case OPT_HELLO:
    case OPT_CALL:
    case OPT_CONNECTS:
    case OPT_STARTS:
        return take_limit(o, option, optarg);
    case OPT_LEVEL:
        return take_level(router, optarg);
    case OPT_CONFIG:
        o->config = optarg;
        return 0;
    case OPT_JSON:
        router->log.write = hira_log_write_json;
        return 0;
    case OPT_PRIVATE:
        return take_private(router, optarg, private_fd);
    default:
        return -EINVAL;
    }
}

static int usage_error(void)
{
    fputs("hirad --help lists the options\n", stderr);
    return 2;
}

/* hirad.conf, if there is one. 0, or what to exit with. */
static int read_config(struct router *router, bool check)
{
    static const char usual[] = "/etc/hira/hirad.conf";
    static char error[4500];
    struct router_options *o = &router->options;
    if (!o->config && !router->private && geteuid() == 0 && access(usual, F_OK) == 0)
        o->config = usual;
    if (!o->config)
        return check && !o->n_remote ? (fputs("hirad: no configuration: --config FILE names one\n", stderr), 2) : 0;
    if (config_read(o->config, &router->config, error, sizeof error) < 0) {
        fputs(error, stderr);
        return 1;
    }
    if (check && router->config)
        printf("%s: %u tenants, policy %s\n", o->config, router->config->n_tenants,
               router->config->policy ? router->config->policy->name : "none");
    return 0;
}

/* Servers take it from the environment; what is wrong there is said before the first of them fails. */
static bool sandbox_variable_is_right(void)
{
    struct hira_sandbox check = {0};
    const char *set = getenv("HIRA_SANDBOX");
    char error[200];
    if (!set || !*set || hira_sandbox_option(&check, "sandbox", set, error, sizeof error) == 0)
        return true;
    fprintf(stderr, "hirad: $HIRA_SANDBOX: %s\n", error);
    return false;
}

int main(int argc, char **argv)
{
    static struct router router = {
        .log = {HIRA_LOG_INFO, hira_log_write_text, (void *)(intptr_t)STDERR_FILENO},
        .options = {.warm = 1,
                    .server_uid = HIRA_SANDBOX_UIDS,
                    .server_uids = HIRA_SANDBOX_UIDS_COUNT,
                    .max_guests = ROUTER_GUESTS_MAX,
                    .start_timeout_ms = ROUTER_START_TIMEOUT_MS,
                    .hello_timeout_ms = ROUTER_HELLO_TIMEOUT_MS,
                    .connect_rate = ROUTER_CONNECTS_PER_S,
                    .start_rate = ROUTER_STARTS_PER_S},
    };
    const char *tmp = getenv("TMPDIR");
    int private_fd = -1, index = 0;
    bool check = false;
    snprintf(router.options.work_dir, sizeof router.options.work_dir, "%s", tmp && *tmp == '/' ? tmp : "/tmp");
    for (int c; (c = getopt_long(argc, argv, "", options, &index)) != -1;) {
        if (c == OPT_HELP || c == OPT_VERSION) {
            fputs(c == OPT_HELP ? help_text : "hirad " HIRA_VERSION "\n", stdout);
            return 0;
        }
        if (c == OPT_CHECK)
            check = true;
        else if (take_option(&router, c, index, &private_fd) < 0)
            return usage_error();
    }
    if (optind != argc) {
        fprintf(stderr, "hirad: it takes options only, not '%s'\n", argv[optind]);
        return usage_error();
    }
    if (!remote_makes_sense(&router.options))
        return 2;
    int status = read_config(&router, check);
    if (status)
        return status;
    if (!router.options.socket[0] && hira_socket_path(router.options.socket, sizeof router.options.socket) < 0) {
        fputs("hirad: HIRA_SOCKET is too long\n", stderr);
        return 2;
    }
    status = router_remote_check(&router.options);
    if (status || check)
        return status;
    if (!sandbox_variable_is_right())
        return 2;
    fill_standard_descriptors();
    signal(SIGPIPE, SIG_IGN);
    clean_library_path();
    raise_descriptor_limit();
    return run(&router, private_fd);
}
