/* Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0 */
#include "router/paths.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SERVER_PREFIX "hira-server-"
#ifndef HIRA_LIBDIR /* relative to the prefix; the build says what the distribution calls them */
#define HIRA_LIBDIR "lib"
#define HIRA_LIBEXECDIR "libexec"
#endif

bool hira_api_name_valid(const char *name)
{
    size_t length = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-_");
    return length > 0 && length < HIRA_API_NAME_MAX && !name[length];
}

/* The folder of the running program. */
static const char *own_folder(void)
{
    static char folder[HIRA_PATH_MAX];
    if (!folder[0]) {
        ssize_t n = readlink("/proc/self/exe", folder, sizeof folder - 1);
        folder[n > 0 ? n : 0] = 0;
        char *slash = strrchr(folder, '/');
        if (slash)
            *slash = 0;
        else
            strcpy(folder, "/usr/bin");
    }
    return folder;
}

static bool is_program(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, X_OK) == 0;
}

static bool is_folder(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* Without "..", for people; the last part stays as it is: a server is told by its name, also when that is a link. */
static void simplify(char *path, size_t size)
{
    char *slash = strrchr(path, '/');
    if (!slash || slash == path)
        return;
    HIRA_AUTOFREE char *name = strdup(slash);
    *slash = 0;
    HIRA_AUTOFREE char *folder = realpath(path, NULL);
    *slash = '/';
    if (name && folder && strlen(folder) + strlen(name) < size)
        sprintf(path, "%s%s", folder, name);
}

/* Puts a path together from its parts; -ENOENT unless there is what `test` asks for. */
static int try_path(char *path, size_t size, bool (*test)(const char *path), const char *a, const char *b,
                    const char *c, const char *d)
{
    int n = snprintf(path, size, "%s%s%s%s", a, b, c, d);
    if (n < 0 || (size_t)n >= size)
        return -ENAMETOOLONG;
    if (!test(path))
        return -ENOENT;
    simplify(path, size);
    return 0;
}

static const char *server_folder(const char *dir)
{
    const char *set = getenv("HIRA_SERVER_DIR");
    return dir ? dir : set && *set ? set : NULL;
}

int hira_path_server(const char *dir, const char *api, char *path, size_t size)
{
    char inside[2 * HIRA_API_NAME_MAX + 32];
    const char *only = server_folder(dir);
    if (!hira_api_name_valid(api))
        return -ENOENT;
    snprintf(inside, sizeof inside, "%s/" SERVER_PREFIX "%s", api, api);
    if (only) {
        if (try_path(path, size, is_program, only, "/" SERVER_PREFIX, api, "") == 0)
            return 0;
        return try_path(path, size, is_program, only, "/", inside, "");
    }
    if (try_path(path, size, is_program, own_folder(), "/../" HIRA_LIBEXECDIR "/hira/" SERVER_PREFIX, api, "") == 0)
        return 0;
    return try_path(path, size, is_program, own_folder(), "/../../specs/", inside, "");
}

/* Servers in `folder`, and one folder below. A name found is looked up again, so that both agree on what counts. */
static void each_in(const char *dir, const char *folder, bool below, void (*found)(void *context, const char *api),
                    void *context)
{
    DIR *d = opendir(folder);
    for (struct dirent *e; d && (e = readdir(d));) {
        char path[HIRA_PATH_MAX];
        const char *name = e->d_name;
        if (!below && strncmp(name, SERVER_PREFIX, strlen(SERVER_PREFIX)) != 0)
            continue;
        name += below ? 0 : strlen(SERVER_PREFIX);
        if (hira_path_server(dir, name, path, sizeof path) == 0)
            found(context, name);
    }
    if (d)
        closedir(d);
}

void hira_path_each_api(const char *dir, void (*found)(void *context, const char *api), void *context)
{
    char path[HIRA_PATH_MAX];
    const char *only = server_folder(dir);
    if (only) {
        each_in(dir, only, false, found, context);
        each_in(dir, only, true, found, context);
        return;
    }
    if (try_path(path, sizeof path, is_folder, own_folder(), "/../" HIRA_LIBEXECDIR "/hira", "", "") == 0)
        each_in(dir, path, false, found, context);
    if (try_path(path, sizeof path, is_folder, own_folder(), "/../../specs", "", "") == 0)
        each_in(dir, path, true, found, context);
}

int hira_path_guest_library(const char *dir, const char *api, char *path, size_t size)
{
    if (dir)
        return try_path(path, size, is_folder, dir, "", "", "");
    if (!hira_api_name_valid(api))
        return -ENOENT;
    if (try_path(path, size, is_folder, own_folder(), "/../" HIRA_LIBDIR "/hira/", api, "") == 0)
        return 0;
    return try_path(path, size, is_folder, own_folder(), "/../../specs/", api, "");
}

void hira_path_each_guest_library(void (*found)(void *context, const char *api), void *context)
{
    char path[HIRA_PATH_MAX];
    DIR *dir = NULL;
    if (try_path(path, sizeof path, is_folder, own_folder(), "/../" HIRA_LIBDIR "/hira", "", "") == 0)
        dir = opendir(path);
    for (struct dirent *e; dir && (e = readdir(dir));)
        if (hira_path_guest_library(NULL, e->d_name, path, sizeof path) == 0)
            found(context, e->d_name);
    if (dir)
        closedir(dir);
}

int hira_path_program(const char *name, char *path, size_t size)
{
    if (try_path(path, size, is_program, own_folder(), "/", name, "") == 0)
        return 0;
    if (try_path(path, size, is_program, own_folder(), "/../router/", name, "") == 0)
        return 0;
    if (try_path(path, size, is_program, own_folder(), "/../remote/", name, "") == 0)
        return 0;
    if (try_path(path, size, is_program, own_folder(), "/../bridge/", name, "") == 0)
        return 0;
    if (try_path(path, size, is_program, own_folder(), "/../libexec/hira/", name, "") == 0)
        return 0;
    return try_path(path, size, is_program, own_folder(), "/../cli/", name, "");
}
