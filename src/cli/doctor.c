/*
 * hira doctor: each part of a call's way, looked at by itself, in the order of the way; for what is wrong, what to do
 * next.
 *
 * It changes nothing and starts nothing but `hira-server-API --check`. Nothing here knows an API: what is particular
 * about one, its server's --check tells.
 *
 * Exit status: 0 all is well, perhaps with warnings; 1 something failed.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <link.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "cli/hosts.h"
#include "cli/runtime.h"
#include "guest/vsock.h"

#define CHECK_MS                                                                                                       \
    60000 /* a vendor's library that builds its built-in kernels takes its time at the very first start                \
           */
#define MEMORY_LOCK (64u << 10) /* what a lane needs where its memory is to stay resident */
#define SHM_MIN (64ull << 20)
#define FILES_MIN 1024

enum state { OK, WARN, FAIL };
static const char *const state_names[] = {"ok", "warn", "fail"};

struct doctor {
    const char *socket, *server_dir, *lib_dir, *api;
    const char *on; /* another host: only the way to it */
    struct cli_relay_options remote;
    json_t *findings;
    enum state worst;
    struct hira_text apis; /* ":name:name:" */
};

/* `next`: what to do about it; "" when nothing needs doing. */
static void find(struct doctor *d, enum state state, const char *part, const char *next, const char *format, ...)
    HIRA_PRINTF(5, 6);

static void find(struct doctor *d, enum state state, const char *part, const char *next, const char *format, ...)
{
    struct hira_text text = {0};
    va_list args;
    va_start(args, format);
    hira_text_vprintf(&text, format, args);
    va_end(args);
    json_array_append_new(d->findings, json_pack("{s:s,s:s,s:s,s:s}", "part", part, "state", state_names[state], "text",
                                                 text.data ? text.data : "", "next", next));
    hira_text_fini(&text);
    d->worst = HIRA_MAX(d->worst, state);
}

/* ---- looking from a child, which may hang or die ---- */

/* Runs `look` in a child with its output on a pipe: the first line of it. The child's status, or -1 when it took too
 * long. */
static int look_aside(void (*look)(void *context), void *context, char *line, size_t size)
{
    int ends[2], status = -1;
    line[0] = 0;
    if (pipe2(ends, O_CLOEXEC) < 0)
        return -1;
    pid_t pid = fork();
    if (pid == 0) {
        dup2(ends[1], STDOUT_FILENO);
        dup2(ends[1], STDERR_FILENO);
        setsid();
        look(context);
        _exit(0);
    }
    close(ends[1]);
    size_t n = 0;
    uint64_t end = hira_now_ns() + CHECK_MS * 1000000ull;
    struct pollfd p = {ends[0], POLLIN, 0};
    bool over = pid < 0;
    while (!over && hira_now_ns() < end) {
        char byte;
        if (poll(&p, 1, 100) <= 0)
            continue;
        over = read(ends[0], &byte, 1) <= 0;
        if (!over && n < size - 1)
            line[n++] = byte;
    }
    close(ends[0]);
    line[n] = 0;
    while (n && line[n - 1] == '\n')
        line[--n] = 0;
    if (pid > 0 && !over)
        kill(-pid, SIGKILL);
    if (pid > 0 && waitpid(pid, &status, 0) < 0)
        status = -1;
    return over ? status : -1;
}

/* ---- the guest's side ---- */

struct library {
    const char *name;
};

/* Prints which file the loader takes for a library's name, in this environment. */
static void load_library(void *context)
{
    const struct library *library = context;
    struct link_map *map;
    setenv("HIRA_SERVER", "1", 1); /* a guest library stays quiet */
    void *handle = dlopen(library->name, RTLD_LAZY | RTLD_LOCAL);
    if (!handle)
        _exit(1);
    if (dlinfo(handle, RTLD_DI_LINKMAP, &map) == 0)
        dprintf(STDOUT_FILENO, "%s", map->l_name);
    _exit(0);
}

static void check_loader(struct doctor *d, const char *api, const char *folder, const char *name)
{
    char line[HIRA_PATH_MAX], here[HIRA_PATH_MAX + 300], part[100];
    struct library library = {name};
    snprintf(part, sizeof part, "%s: loader", api);
    snprintf(here, sizeof here, "%s/%s", folder, name);
    int status = look_aside(load_library, &library, line, sizeof line);
    HIRA_AUTOFREE char *taken = realpath(line, NULL);
    HIRA_AUTOFREE char *ours = realpath(here, NULL);
    if (status == 0 && taken && ours && !strcmp(taken, ours))
        find(d, OK, part, "", "programs started from here get Hira's %s", name);
    else if (status == 0)
        find(d, OK, part, "", "programs started from here get %s; under hira run they get Hira's", line);
    else
        find(d, OK, part, "", "programs started from here find no %s; under hira run they get Hira's", name);
}

static bool is_library(const char *name)
{
    const char *so = strstr(name, ".so.");
    return !strncmp(name, "lib", 3) && so && !strchr(so + 4, '.') && strspn(so + 4, "0123456789") == strlen(so + 4);
}

static void check_guest_library(struct doctor *d, const char *api, enum state missing)
{
    char folder[HIRA_PATH_MAX], part[100];
    unsigned n = 0;
    snprintf(part, sizeof part, "%s: guest library", api);
    DIR *dir = hira_path_guest_library(d->lib_dir, api, folder, sizeof folder) == 0 ? opendir(folder) : NULL;
    for (struct dirent *e; dir && (e = readdir(dir));) {
        if (!is_library(e->d_name))
            continue;
        n++;
        find(d, OK, part, "", "%s/%s", folder, e->d_name);
        check_loader(d, api, folder, e->d_name);
    }
    if (dir)
        closedir(dir);
    if (!n)
        find(d, missing, part, "needed where guests run: install it, or name its folder with --lib-dir",
             "not found%s%s", d->lib_dir ? " in " : "", d->lib_dir ? d->lib_dir : "");
}

/* ---- the server's side ---- */

static void run_check(void *context)
{
    char *args[] = {context, "--check", NULL};
    HIRA_AUTOCLOSE int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    dup2(null, STDIN_FILENO);
    execv(args[0], args);
    dprintf(STDOUT_FILENO, "%s", strerror(errno));
    _exit(127);
}

static void check_server(struct doctor *d, const char *api)
{
    char path[HIRA_PATH_MAX], line[1024], part[100];
    snprintf(part, sizeof part, "%s: server", api);
    if (hira_path_server(d->server_dir, api, path, sizeof path) < 0) {
        find(d, WARN, part, "needed where the device is: install it, or name its folder with --server-dir",
             "not found");
        return;
    }
    find(d, OK, part, "", "%s", path);
    snprintf(part, sizeof part, "%s: vendor", api);
    int status = look_aside(run_check, path, line, sizeof line);
    if (status == 0 && line[0])
        find(d, OK, part, "", "%s", line);
    else if (status == 0)
        find(d, WARN, part, "programs will see none: install a driver; the vendor's own tools must find it first",
             "the vendor's library is there, but finds no device");
    else if (status < 0)
        find(d, FAIL, part, "the vendor's library hangs: see whether its own tools do as well", "no answer in %d s",
             CHECK_MS / 1000);
    else
        find(d, FAIL, part, "install the vendor's library and driver; its own tools must work first", "%s",
             line[0] ? line : "its check failed without a word");
}

static void run_layers(void *context)
{
    char *args[] = {context, "--layers", NULL};
    HIRA_AUTOCLOSE int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    dup2(null, STDIN_FILENO);
    dup2(null, STDERR_FILENO);
    execv(args[0], args);
    _exit(127);
}

/* What servers that this user starts are confined by. */
static void check_sandbox(struct doctor *d, const char *api)
{
    char path[HIRA_PATH_MAX], line[1024], part[100];
    snprintf(part, sizeof part, "%s: sandbox", api);
    if (hira_path_server(d->server_dir, api, path, sizeof path) < 0)
        return;
    int status = look_aside(run_layers, path, line, sizeof line);
    char *missing = status == 0 ? strchr(line, ';') : NULL;
    if (!missing) {
        find(d, WARN, part, "install a server of the same version", "the server cannot tell");
        return;
    }
    *missing++ = 0;
    if (*missing)
        find(d, WARN, part, "servers are confined less: hirad(8) says by what, and what takes a layer away", "%s; missing: %s",
             line[0] ? line : "none", missing);
    else
        find(d, line[0] ? OK : WARN, part, line[0] ? "" : "HIRA_SANDBOX is off", "%s", line[0] ? line : "none");
}

static void add_api(void *context, const char *api)
{
    struct doctor *d = context;
    char key[HIRA_API_NAME_MAX + 3];
    snprintf(key, sizeof key, ":%s:", api);
    if (!d->apis.data || !strstr(d->apis.data, key))
        hira_text_puts(&d->apis, key);
}

static void check_apis(struct doctor *d)
{
    hira_path_each_api(d->server_dir, add_api, d);
    hira_path_each_guest_library(add_api, d);
    if (!d->apis.size)
        find(d, FAIL, "installation", "install an API's package, or build one: make build",
             "no virtual API is installed");
    char *rest = d->apis.data;
    for (char *api; rest && (api = strsep(&rest, ":"));) {
        if (!*api)
            continue;
        check_guest_library(d, api, WARN);
        check_server(d, api);
        check_sandbox(d, api);
    }
}

/* ---- the router ---- */

static void check_router_apis(struct doctor *d, const json_t *status)
{
    size_t i;
    json_t *api;
    json_array_foreach(json_object_get(status, "apis"), i, api)
    {
        const char *reason = cli_json_text(api, "reason");
        long long ready = (long long)cli_json_number(api, "ready"),
                  starting = (long long)cli_json_number(api, "starting");
        if (!strcmp(cli_json_text(api, "state"), "failed"))
            find(d, FAIL, "router", "see the vendor's line above; hirad tries again by itself", "%s: %s",
                 cli_json_text(api, "name"), reason);
        else
            find(d, OK, "router", "", "%s: %lld servers ready, %lld starting, %lld serving", cli_json_text(api, "name"),
                 ready, starting, (long long)cli_json_number(api, "serving"));
        if (*cli_json_text(api, "sandbox_missing"))
            find(d, WARN, "router", "its servers are confined less: see hirad(8)", "%s: the sandbox lacks %s",
                 cli_json_text(api, "name"), cli_json_text(api, "sandbox_missing"));
    }
}

static void check_router(struct doctor *d)
{
    char path[HIRA_PATH_MAX] = "";
    json_t *status = NULL;
    if (d->socket)
        snprintf(path, sizeof path, "%s", d->socket);
    else
        hira_socket_path(path, sizeof path);
    int error = cli_router_status(path, &status);
    if (error == -ENOENT || error == -ECONNREFUSED) {
        find(d, d->socket ? FAIL : WARN, "router", "start hirad; without one, hira run starts a private one each time",
             "none listens on %s", path);
    } else if (error == -EACCES) {
        find(d, FAIL, "router", "ask whoever runs hirad for access to its socket", "%s is there, but not for this user",
             path);
    } else if (error) {
        find(d, FAIL, "router", "restart hirad: it is stuck, or of another version", "%s: %s", path, cli_error(error));
    } else if (strcmp(cli_json_text(status, "version"), HIRA_VERSION) != 0) {
        find(d, WARN, "router", "restart hirad after an upgrade; guests are served on meanwhile",
             "hirad is version %s, this is %s", cli_json_text(status, "version"), HIRA_VERSION);
    } else {
        find(d, OK, "router", "", "version %s, process %lld, on %s", HIRA_VERSION,
             (long long)cli_json_number(status, "pid"), path);
    }
    if (status)
        check_router_apis(d, status);
    json_decref(status);
}

/* ---- another host ---- */

static void run_relay(void *context)
{
    char path[HIRA_PATH_MAX], *args[CLI_RELAY_OPTIONS_MAX + 2] = {"hira-relay"};
    const struct cli_relay_options *o = context;
    memcpy(args + 1, o->words, o->n * sizeof *args);
    if (hira_path_program(args[0], path, sizeof path) == 0)
        execv(path, args);
    execvp(args[0], args);
    printf("fail\tinstallation\thira-relay: %s\tinstall Hira whole\n", strerror(errno));
    fflush(stdout);
}

/* A line of hira-relay --check; false: it is none. */
static bool take_hop(struct doctor *d, char *line, const char *seen)
{
    char *state = strsep(&line, "\t"), *part = strsep(&line, "\t"), *text = strsep(&line, "\t"), *next = line;
    for (int i = 0; next && i < (int)HIRA_ARRAY_SIZE(state_names); i++)
        if (!strcmp(state, state_names[i])) {
            if (!strstr(seen, part)) /* the hops of the next API are the same */
                find(d, (enum state)i, part, next, "%s", text);
            return true;
        }
    return false;
}

/* Whose guest library a folder holds, by its name, which is the API's in an installation and in a build (paths.h).
 * False: its name does not say. */
static bool name_api(const char *folder, char *api, size_t size)
{
    HIRA_AUTOFREE char *path = realpath(folder, NULL);
    char *name = path ? strrchr(path, '/') : NULL;
    if (!name || strlen(name + 1) >= size)
        return false;
    *name++ = 0;
    const char *parent = strrchr(path, '/');
    if (!parent || (strcmp(parent, "/hira") && strcmp(parent, "/specs")) || !hira_api_name_valid(name))
        return false;
    strcpy(api, name);
    return true;
}

/* What programs are given here is hira run's choice: the folder that is named, else each API's that is installed. */
static void find_guest_apis(struct doctor *d)
{
    char api[HIRA_API_NAME_MAX];
    if (!d->lib_dir)
        hira_path_each_guest_library(add_api, d);
    else if (name_api(d->lib_dir, api, sizeof api))
        add_api(d, api);
}

/* The first hop is here, where one was named; without it the way leads nowhere. */
static bool check_named_library(struct doctor *d)
{
    char api[HIRA_API_NAME_MAX] = "";
    if (!d->lib_dir)
        return true;
    if (!d->api)
        name_api(d->lib_dir, api, sizeof api);
    check_guest_library(d, d->api ? d->api : *api ? api : "programs", FAIL);
    return d->worst != FAIL;
}

static void check_host_with(struct doctor *d, const char *api, struct hira_text *seen)
{
    char said[8192], *rest = said;
    struct cli_relay_options o = {.n = d->remote.n};
    struct hira_text parts = {0};
    memcpy(o.words, d->remote.words, sizeof o.words);
    char check[HIRA_API_NAME_MAX + 16];
    snprintf(check, sizeof check, "--check=%s", api);
    o.words[o.n++] = check;
    if (look_aside(run_relay, &o, said, sizeof said) < 0)
        find(d, FAIL, "connection", "see whether something between holds connections up", "no answer in %d s", CHECK_MS / 1000);
    for (char *line; (line = strsep(&rest, "\n"));) {
        char *tab = strchr(line, '\t');
        if (!tab)
            continue;
        hira_text_printf(&parts, ":%.*s:", (int)strcspn(tab + 1, "\t"), tab + 1);
        take_hop(d, line, seen->data ? seen->data : "");
    }
    hira_text_puts(seen, parts.data ? parts.data : "");
    hira_text_fini(&parts);
}

static void check_host(struct doctor *d)
{
    char error[512];
    struct hira_text seen = {0};
    unsigned n = 0;
    if (cli_host_resolve(d->on, &d->remote, error, sizeof error) < 0) {
        find(d, FAIL, "hosts.conf", "hira-hosts.conf(5) says what may stand in it", "%s", error);
        return;
    }
    if (d->remote.n == CLI_RELAY_OPTIONS_MAX)
        return;
    find_guest_apis(d);
    char *rest = d->apis.data;
    if (d->api)
        check_host_with(d, d->api, &seen);
    for (char *api; !d->api && rest && d->worst != FAIL && (api = strsep(&rest, ":"));)
        if (*api) {
            check_host_with(d, api, &seen);
            n++;
        }
    if (!d->api && !n) {
        check_host_with(d, "", &seen);
        find(d, WARN, "device", "name an API: hira doctor --on HOST --api NAME", "%s, so no device was asked for",
             d->lib_dir ? "the name of --lib-dir is no API's" : "no guest library is installed here");
    }
    hira_text_fini(&seen);
}

/* ---- the host of this virtual machine ---- */

/* HIRA_SOCKET says that this is one. */
static bool is_in_machine(const struct doctor *d)
{
    char path[HIRA_PATH_MAX];
    return !d->socket && hira_socket_path(path, sizeof path) == 0 && hira_vsock_meant(path);
}

static void check_machines_host(struct doctor *d)
{
    if (hira_vsock_has_memory()) {
        find(d, OK, "host", "", "shares memory with this machine; hira-guest-check says what a call takes");
        return;
    }
    find(d, OK, "host", "", "no memory is shared with it, or this user may not use it: hira run goes over vsock alone");
    hira_text_fini(&d->apis);
    d->on = "vsock";
    check_host(d);
}

/* ---- the machine ---- */

static void check_memory_files(struct doctor *d)
{
    struct statvfs shm;
    HIRA_AUTOCLOSE int fd = hira_fd_shared_memory("hira-doctor", 1 << 20);
    int error = fd < 0 ? fd : hira_fd_check_sealed(fd, 1 << 20);
    if (error)
        find(d, FAIL, "memory files", "Hira needs memfd_create with sealing: Linux 3.17, not hidden by a sandbox", "%s",
             strerror(-error));
    else
        find(d, OK, "memory files", "", "can be made and sealed");
    if (statvfs("/dev/shm", &shm) < 0)
        find(d, OK, "/dev/shm", "", "not there, and not needed by Hira; some vendors' libraries want it");
    else if ((unsigned long long)shm.f_bavail * shm.f_frsize < SHM_MIN)
        find(d, WARN, "/dev/shm", "Hira does without, some vendors' libraries do not: docker run --shm-size=1g",
             "%llu MiB free", (unsigned long long)shm.f_bavail * shm.f_frsize >> 20);
    else
        find(d, OK, "/dev/shm", "", "%llu MiB free", (unsigned long long)shm.f_bavail * shm.f_frsize >> 20);
}

static void check_limits(struct doctor *d)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_MEMLOCK, &limit) == 0 && limit.rlim_cur < MEMORY_LOCK)
        find(d, WARN, "locked memory", "ulimit -l 8192", "%llu KiB", (unsigned long long)limit.rlim_cur >> 10);
    else
        find(d, OK, "locked memory", "", "enough");
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_max < FILES_MIN)
        find(d, WARN, "open files", "ulimit -Hn 4096: hirad needs three a guest", "%llu",
             (unsigned long long)limit.rlim_max);
    else
        find(d, OK, "open files", "", "enough");
    if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY)
        find(d, WARN, "file size", "ulimit -f unlimited: memory files count as files", "limited to %llu MiB",
             (unsigned long long)limit.rlim_cur >> 20);
    else
        find(d, OK, "file size", "", "unlimited");
    if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
        find(d, WARN, "processors", "a call costs some microseconds more where both sides share one", "one");
    else
        find(d, OK, "processors", "", "%ld", sysconf(_SC_NPROCESSORS_ONLN));
}

static void make_namespace(void *context)
{
    (void)context;
    if (unshare(CLONE_NEWUSER) < 0) {
        dprintf(STDOUT_FILENO, "%s", strerror(errno));
        _exit(1);
    }
}

static void check_kernel(struct doctor *d)
{
    char line[200];
    HIRA_AUTOCLOSE int pidfd = (int)syscall(SYS_pidfd_open, getpid(), 0);
    if (pidfd < 0)
        find(d, WARN, "pidfd", "Linux 5.3 has them: without, a stuck server is not killed", "%s", strerror(errno));
    else
        find(d, OK, "pidfd", "", "available");
    if (prctl(PR_GET_SECCOMP) < 0)
        find(d, WARN, "seccomp", "servers can be confined less on a kernel without it", "%s", strerror(errno));
    else
        find(d, OK, "seccomp", "", "available");
    if (look_aside(make_namespace, NULL, line, sizeof line) == 0)
        find(d, OK, "user namespaces", "", "available");
    else
        find(d, WARN, "user namespaces",
             "servers can be confined less: see user.max_user_namespaces and "
             "kernel.unprivileged_userns_clone",
             "%s", line);
}

/* ---- the answer ---- */

static void print_findings(const struct doctor *d)
{
    static const char *const colours[] = {"\033[32m", "\033[33m", "\033[31m"};
    bool colour = isatty(STDOUT_FILENO) && !getenv("NO_COLOR");
    size_t i;
    json_t *one;
    json_array_foreach(d->findings, i, one)
    {
        const char *state = cli_json_text(one, "state"), *next = cli_json_text(one, "next");
        int n = !strcmp(state, "fail") ? FAIL : !strcmp(state, "warn") ? WARN : OK;
        printf("%s%-4s%s  %-24s %s\n", colour ? colours[n] : "", state, colour ? "\033[0m" : "",
               cli_json_text(one, "part"), cli_json_text(one, "text"));
        if (*next)
            printf("      %-24s -> %s\n", "", next);
    }
    puts(d->worst == FAIL   ? "\nSomething is missing: the lines marked fail say what to do."
         : d->worst == WARN ? "\nHira works here; the lines marked warn may be worth a look."
                            : "\nAll is well.");
}

static int diagnose(struct doctor *d, bool json)
{
    signal(SIGCHLD, SIG_DFL);
    d->findings = json_array();
    if (d->on) {
        if (check_named_library(d))
            check_host(d);
    } else {
        check_apis(d);
        if (is_in_machine(d))
            check_machines_host(d);
        else
            check_router(d);
        check_memory_files(d);
        check_limits(d);
        check_kernel(d);
    }
    if (json) {
        json_t *root = json_pack("{s:s,s:s,s:O}", "version", HIRA_VERSION, "state", state_names[d->worst], "findings",
                                 d->findings);
        json_dumpf(root, stdout, JSON_INDENT(2));
        putchar('\n');
        json_decref(root);
    } else {
        print_findings(d);
    }
    json_decref(d->findings);
    hira_text_fini(&d->apis);
    cli_relay_options_fini(&d->remote);
    return d->worst == FAIL ? CLI_FAILED : CLI_OK;
}

int cli_doctor(int argc, char **argv)
{
    static const struct option options[] = {{"socket", required_argument, NULL, 's'},
                                            {"server-dir", required_argument, NULL, 'd'},
                                            {"lib-dir", required_argument, NULL, 'l'},
                                            {"json", no_argument, NULL, 'j'},
                                            {"on", required_argument, NULL, 'o'},
                                            {"api", required_argument, NULL, 'a'},
                                            {"psk", required_argument, NULL, 'r'},
                                            {"cert", required_argument, NULL, 'r'},
                                            {"key", required_argument, NULL, 'r'},
                                            {"ca", required_argument, NULL, 'r'},
                                            {"plain", optional_argument, NULL, 'r'},
                                            {0}};
    struct doctor d = {0};
    bool json = false;
    for (int c, index; (c = getopt_long(argc, argv, "", options, &index)) != -1;) {
        if (c == 'o')
            d.on = optarg;
        else if (c == 'a')
            d.api = optarg;
        else if (c == 'r')
            cli_relay_option(&d.remote, options[index].name, optarg);
        else if (c == 's')
            d.socket = optarg;
        else if (c == 'd')
            d.server_dir = optarg;
        else if (c == 'l')
            d.lib_dir = optarg;
        else if (c == 'j')
            json = true;
        else
            return cli_bad_option("doctor", argv, c);
    }
    if (optind != argc)
        return cli_usage("doctor", "takes no arguments");
    if (!d.on && (d.remote.n || d.api))
        return cli_usage("doctor", "keys and an API are for another host: --on HOST");
    if (d.on && (d.socket || d.server_dir))
        return cli_usage("doctor", "--socket and --server-dir are this host's, which has no part in the way to another");
    if (d.api && !hira_api_name_valid(d.api))
        return cli_usage("doctor", "'%s' is no API's name", d.api);
    return diagnose(&d, json);
}
