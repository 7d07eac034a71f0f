/*
 * hira container: what a container needs to be a guest, as options for docker and podman, or as a device file for CDI.
 *
 * A container gets two folders and two variables, no device and no privilege: the folder with hirad's socket (not the socket
 * itself, so that a hirad that is started anew is found), and the guest libraries; both to read only, or it could pose as hirad.
 * Which socket it gets is which tenant it is: hirad.conf, `sockets`.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "cli/runtime.h"

#define INSIDE_SOCKETS "/run/hira"
#define INSIDE_LIBRARIES "/opt/hira"

struct mount {
    char from[HIRA_PATH_MAX], to[64 + HIRA_API_NAME_MAX];
};

struct container {
    const char *lib_dir; /* NULL: that of each API */
    struct mount socket, libraries[16];
    size_t n_libraries;
    struct hira_text socket_variable, library_variable;
};

/* ---- what it needs ---- */

static void add_library(void *context, const char *api)
{
    struct container *c = context;
    struct mount *m = &c->libraries[c->n_libraries];
    char inside[sizeof m->to], folder[HIRA_PATH_MAX];
    snprintf(inside, sizeof inside, "%s/%s", INSIDE_LIBRARIES, api);
    for (size_t i = 0; i < c->n_libraries; i++)
        if (!strcmp(c->libraries[i].to, inside))
            return;
    if (c->n_libraries == HIRA_ARRAY_SIZE(c->libraries) || hira_path_guest_library(c->lib_dir, api, folder, sizeof folder) < 0 ||
        !realpath(folder, m->from))
        return;
    memcpy(m->to, inside, sizeof inside);
    hira_text_printf(&c->library_variable, "%s%s", c->n_libraries ? ":" : "LD_LIBRARY_PATH=", inside);
    c->n_libraries++;
}

/* Options are words, and parts of them end with commas. */
static bool speakable(const char *path)
{
    if (!strpbrk(path, " \t\n,:\"'\\"))
        return true;
    fprintf(stderr, "hira container: %s: docker and podman take no such name of a folder\n", path);
    return false;
}

/* CLI_OK, or what to exit with. */
static int look(struct container *c, const char *socket, const char *api)
{
    char path[108], folder[sizeof path];
    if (!socket && hira_socket_path(path, sizeof path) == 0)
        socket = path;
    if (!socket || strlen(socket) >= sizeof folder) {
        fprintf(stderr, "hira container: the name of the socket is too long\n");
        return CLI_FAILED;
    }
    HIRA_AUTOCLOSE int fd = hira_socket_connect(socket);
    if (fd < 0) /* it may be started later */
        fprintf(stderr, "hira container: note: no hirad answers on %s yet: %s\n", socket, strerror(-fd));
    strcpy(folder, socket);
    if (!realpath(dirname(folder), c->socket.from)) {
        fprintf(stderr, "hira container: %s: %s: is hirad running?\n", folder, strerror(errno));
        return CLI_FAILED;
    }
    snprintf(c->socket.to, sizeof c->socket.to, "%s", INSIDE_SOCKETS);
    hira_text_printf(&c->socket_variable, "HIRA_SOCKET=%s/%s", INSIDE_SOCKETS, strrchr(socket, '/') ? strrchr(socket, '/') + 1 : socket);
    if (api)
        add_library(c, api);
    else
        hira_path_each_api(NULL, add_library, c);
    if (!c->n_libraries) {
        fprintf(stderr, "hira container: no guest library%s%s found: is Hira installed? (hira doctor tells more)\n", api ? " for " : "",
                api ? api : "");
        return CLI_FAILED;
    }
    bool good = speakable(c->socket.from);
    for (size_t i = 0; i < c->n_libraries; i++)
        good &= speakable(c->libraries[i].from);
    return good ? CLI_OK : CLI_FAILED;
}

/* ---- how it is said ---- */

static void print_args(const struct container *c)
{
    printf("--mount=type=bind,source=%s,destination=%s,readonly\n", c->socket.from, c->socket.to);
    for (size_t i = 0; i < c->n_libraries; i++)
        printf("--mount=type=bind,source=%s,destination=%s,readonly\n", c->libraries[i].from, c->libraries[i].to);
    printf("--env=%s\n--env=%s\n", c->socket_variable.data, c->library_variable.data);
}

static json_t *cdi_mount(const struct mount *m)
{
    return json_pack("{s:s,s:s,s:[s,s,s,s]}", "hostPath", m->from, "containerPath", m->to, "options", "bind", "ro", "nosuid", "nodev");
}

/* Container Device Interface, 0.5.0: `--device hira/accelerator=NAME`. */
static int print_cdi(const struct container *c, const char *name)
{
    json_t *mounts = json_array();
    json_array_append_new(mounts, cdi_mount(&c->socket));
    for (size_t i = 0; i < c->n_libraries; i++)
        json_array_append_new(mounts, cdi_mount(&c->libraries[i]));
    json_t *file = json_pack("{s:s,s:s,s:[{s:s,s:{s:[s,s],s:o}}]}", "cdiVersion", "0.5.0", "kind", "hira/accelerator", "devices", "name",
                             name, "containerEdits", "env", c->socket_variable.data, c->library_variable.data, "mounts", mounts);
    int failed = !file || json_dumpf(file, stdout, JSON_INDENT(2)) || putchar('\n') == EOF;
    json_decref(file);
    return failed ? CLI_FAILED : CLI_OK;
}

static bool is_device_name(const char *name)
{
    size_t n = strlen(name);
    for (size_t i = 0; i < n; i++)
        if (!isalnum((unsigned char)name[i]) && (i == 0 || i == n - 1 || !strchr("_.:-", name[i])))
            return false;
    return n && n < 64;
}

int cli_container(int argc, char **argv)
{
    static const struct option options[] = {{"socket", required_argument, NULL, 's'},
                                            {"api", required_argument, NULL, 'a'},
                                            {"name", required_argument, NULL, 'n'},
                                            {"lib-dir", required_argument, NULL, 'l'},
                                            {0}};
    const char *socket = NULL, *api = NULL, *name = "default";
    struct container c = {0};
    for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (o == '?')
            return cli_bad_option("container", argv, o);
        if (o == 's')
            socket = optarg;
        if (o == 'a')
            api = optarg;
        if (o == 'n')
            name = optarg;
        if (o == 'l')
            c.lib_dir = optarg;
    }
    const char *what = optind + 1 == argc ? argv[optind] : "";
    bool cdi = !strcmp(what, "cdi");
    if (!cdi && strcmp(what, "args") != 0)
        return cli_usage("container", "args or cdi?");
    if (c.lib_dir && !api)
        return cli_usage("container", "of which API is the library in %s? (--api NAME)", c.lib_dir);
    if (!is_device_name(name))
        return cli_usage("container", "'%s' is no name of a device: letters, digits, and _ . : - between them", name);
    int status = look(&c, socket, api);
    if (status == CLI_OK && cdi)
        status = print_cdi(&c, name);
    else if (status == CLI_OK)
        print_args(&c);
    hira_text_fini(&c.socket_variable);
    hira_text_fini(&c.library_variable);
    return status;
}
