/*
 * What the operator says on the sandbox. hirad takes the same options, to refuse a wrong one at once, and hands them on
 * to zygotes.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "server/sandbox.h"

void hira_paths_add(struct hira_paths *paths, const char *path)
{
    if (path[0] != '/' || !path[1] || paths->n == HIRA_SANDBOX_PATHS || hira_paths_cover(paths, path))
        return;
    char *copy = strdup(path);
    if (copy)
        paths->path[paths->n++] = copy;
}

bool hira_paths_cover(const struct hira_paths *paths, const char *path)
{
    for (size_t i = 0; i < paths->n; i++) {
        size_t n = strlen(paths->path[i]);
        if (!strncmp(path, paths->path[i], n) && (!path[n] || path[n] == '/'))
            return true;
    }
    return false;
}

static int take_mode(struct hira_sandbox *s, const char *value, char *error, size_t size)
{
    static const char *const modes[] = {"auto", "required", "off"};
    for (unsigned i = 0; i < HIRA_ARRAY_SIZE(modes); i++)
        if (!strcmp(value, modes[i])) {
            s->mode = i;
            return 0;
        }
    snprintf(error, size, "--sandbox is auto, required or off, not '%s'", value);
    return -EINVAL;
}

static int take_uids(struct hira_sandbox *s, const char *value, char *error, size_t size)
{
    unsigned long long base, count;
    int end = 0;
    if (value[0] >= '0' && value[0] <= '9' && sscanf(value, "%llu:%llu%n", &base, &count, &end) == 2 && !value[end] &&
        base > 0 && base < UINT32_MAX && count > 0 && count <= UINT32_MAX - base) {
        s->uid_base = (uint32_t)base;
        s->uid_count = (uint32_t)count;
        return 0;
    }
    snprintf(error, size, "--sandbox-uids is FIRST:COUNT, two numbers of users other than root, not '%s'", value);
    return -EINVAL;
}

static int take_memory(struct hira_sandbox *s, const char *value, char *error, size_t size)
{
    char *end;
    errno = 0;
    unsigned long long mib = strtoull(value, &end, 10);
    if (value[0] >= '0' && value[0] <= '9' && !*end && !errno && mib >= 64 && mib < 1ull << 40) {
        s->memory = mib << 20;
        return 0;
    }
    snprintf(error, size, "--sandbox-memory is a number of MiB, 64 or more, not '%s'", value);
    return -EINVAL;
}

static int take_path(struct hira_paths *paths, const char *name, const char *value, char *error, size_t size)
{
    if (value[0] == '/') {
        hira_paths_add(paths, value);
        return 0;
    }
    snprintf(error, size, "--%s takes a path that begins with /, not '%s'", name, value);
    return -EINVAL;
}

int hira_sandbox_option(struct hira_sandbox *s, const char *name, const char *value, char *error, size_t size)
{
    if (!strcmp(name, "sandbox"))
        return take_mode(s, value, error, size);
    if (!strcmp(name, "sandbox-uids"))
        return take_uids(s, value, error, size);
    if (!strcmp(name, "sandbox-memory"))
        return take_memory(s, value, error, size);
    if (!strcmp(name, "sandbox-path"))
        return take_path(&s->more, name, value, error, size);
    if (!strcmp(name, "sandbox-device"))
        return take_path(&s->device_patterns, name, value, error, size);
    if (!strcmp(name, "cache-dir") || !strcmp(name, "sandbox-cgroup")) {
        *(name[0] == 'c' ? &s->cache_dir : &s->cgroup) = value;
        return value[0] == '/' ? 0 : take_path(NULL, name, value, error, size);
    }
    return -ENOENT;
}
