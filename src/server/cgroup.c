/*
 * A control group for each server: what no limit of a single process bounds. Memory files count there, and processes of
 * this server alone; processors are shared between servers, not between their threads.
 *
 * It takes a part of the hierarchy (version 2) that has been given to hirad: the one that --sandbox-cgroup names, or
 * the unit of a service manager that marked it as delegated. Groups that nobody gave us are left alone, also where we
 * could write. As groups with controllers hold groups or processes, not both, hirad itself must be in another one,
 * below (systemd: DelegateSubgroup=).
 *
 * Everything here is done by the zygote; servers see nothing of it.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/fd.h"
#include "server/sandbox.h"

#define PREFIX "hira-server-"

static int put(const char *folder, const char *file, const char *value)
{
    char path[PATH_MAX];
    if ((size_t)snprintf(path, sizeof path, "%s/%s", folder, file) >= sizeof path)
        return -ENAMETOOLONG;
    HIRA_AUTOCLOSE int fd = open(path, O_WRONLY | O_CLOEXEC);
    return fd < 0 || write(fd, value, strlen(value)) < 0 ? -errno : 0;
}

/* ---- which is ours ---- */

/* Where version 2 is mounted. */
static bool mounted_at(char *path)
{
    struct hira_text text = {0};
    char *rest = NULL;
    path[0] = 0;
    if (hira_text_read_file(&text, "/proc/self/mountinfo", 1u << 20) == 0 && text.data)
        for (char *line = strtok_r(text.data, "\n", &rest); line && !path[0]; line = strtok_r(NULL, "\n", &rest))
            if (strstr(line, " - cgroup2 ") && sscanf(line, "%*s %*s %*s %*s %4095s", path) != 1)
                path[0] = 0;
    hira_text_fini(&text);
    return path[0];
}

/* Our group's path below that. */
static bool own_group(char *path, size_t size)
{
    struct hira_text text = {0};
    char *rest = NULL;
    path[0] = 0;
    if (hira_text_read_file(&text, "/proc/self/cgroup", 65536) == 0 && text.data)
        for (char *line = strtok_r(text.data, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
            if (!strncmp(line, "0::/", 4))
                snprintf(path, size, "%s", line + 3);
    hira_text_fini(&text);
    return path[0];
}

static bool is_delegated(const char *folder)
{
    char value[2] = "";
    return (getxattr(folder, "user.delegate", value, sizeof value) > 0 ||
            getxattr(folder, "trusted.delegate", value, sizeof value) > 0) &&
           value[0] == '1';
}

/* The next group above ours that somebody delegated. */
static bool find_delegated(char *path, size_t size)
{
    char top[PATH_MAX], group[PATH_MAX];
    if (!mounted_at(top) || !own_group(group, sizeof group))
        return false;
    while (group[0] && group[1]) {
        if ((size_t)snprintf(path, size, "%s%s", top, group) < size && is_delegated(path))
            return true;
        *strrchr(group, '/') = 0;
    }
    return false;
}

/* ---- groups ---- */

static int set_limits(const struct hira_sandbox *s, const char *group)
{
    char value[32];
    snprintf(value, sizeof value, "%d", HIRA_SANDBOX_PROCESSES);
    int error = put(group, "pids.max", value);
    snprintf(value, sizeof value, "%llu", (unsigned long long)s->memory);
    if (!error)
        error = put(group, "memory.max", s->memory ? value : "max");
    if (!error && s->memory)
        put(group, "memory.swap.max", "0"); /* not there on kernels without swap */
    if (!error)
        put(group, "memory.oom.group", "1"); /* half a server is none */
    return error;
}

static void group_of(const struct hira_sandbox *s, pid_t pid, char *path, size_t size)
{
    snprintf(path, size, "%s/" PREFIX "%d", s->cgroup, (int)pid);
}

/* Those of servers whose zygote died before them; such that are in use stay by themselves. */
static void sweep(const char *folder)
{
    DIR *dir = opendir(folder);
    for (struct dirent *e; dir && (e = readdir(dir));)
        if (!strncmp(e->d_name, PREFIX, strlen(PREFIX)))
            unlinkat(dirfd(dir), e->d_name, AT_REMOVEDIR);
    if (dir)
        closedir(dir);
}

int hira_cgroup_init(struct hira_sandbox *s)
{
    char path[PATH_MAX], group[PATH_MAX + 32];
    if (s->cgroup)
        snprintf(path, sizeof path, "%s", s->cgroup);
    else if (!find_delegated(path, sizeof path))
        return -ENOENT;
    if (access(path, W_OK) < 0)
        return -errno;
    sweep(path);
    put(path, "cgroup.subtree_control", "+cpu");
    int error = put(path, "cgroup.subtree_control", "+memory +pids");
    snprintf(group, sizeof group, "%s/" PREFIX "try-%d", path, (int)getpid());
    if (!error && mkdir(group, 0755) < 0)
        error = -errno;
    if (error)
        return error;
    error = set_limits(s, group);
    rmdir(group);
    if (!error && !s->cgroup && !(s->cgroup = strdup(path)))
        error = -ENOMEM;
    return error;
}

int hira_cgroup_enter(const struct hira_sandbox *s, pid_t pid)
{
    char group[PATH_MAX], text[20];
    group_of(s, pid, group, sizeof group);
    if (mkdir(group, 0755) < 0)
        return -errno;
    snprintf(text, sizeof text, "%d", (int)pid);
    int error = set_limits(s, group);
    if (!error)
        error = put(group, "cgroup.procs", text);
    if (error)
        rmdir(group);
    return error;
}

void hira_cgroup_leave(const struct hira_sandbox *s, pid_t pid)
{
    char group[PATH_MAX];
    group_of(s, pid, group, sizeof group);
    put(group, "cgroup.kill", "1"); /* what it left behind, where there is no process namespace */
    for (int i = 0; i < 20 && rmdir(group) < 0 && errno == EBUSY; i++)
        usleep(1000);
}
