/*
 * A server's folder belongs, with a CPU device, to its guest: links that lead out, folders without permissions and
 * folders nested beyond any stack are to be expected. So this never descends: a folder found inside another one is
 * first moved up to the top, where it waits its turn.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include "base/tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"

#define MOVED ".hira-moved-%lu"
#define PASSES_MAX 100000 /* each removes a level: somebody who keeps adding some is left to the next attempt */

static void closedirp(DIR **dir)
{
    if (*dir)
        closedir(*dir);
}

/* Whoever lives here may put a link in its place at any moment: what is changed is what was looked at. */
static bool open_up(int parent, const char *name)
{
    char path[40];
    HIRA_AUTOCLOSE int fd = openat(parent, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    return fd >= 0 && chmod(path, 0700) == 0;
}

/* A stream of its own offset on the folder `name` of `parent`, made accessible if it is ours. NULL and errno. */
static DIR *open_folder(int parent, const char *name)
{
    int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
    int fd = openat(parent, name, flags);
    if (fd < 0 && errno == EACCES && open_up(parent, name))
        fd = openat(parent, name, flags);
    if (fd < 0)
        return NULL;
    fchmod(fd, 0700);
    DIR *dir = fdopendir(fd);
    if (!dir)
        close(fd);
    return dir;
}

static bool is_dots(const char *name)
{
    return !strcmp(name, ".") || !strcmp(name, "..");
}

/* Empties one folder below `top`: files go, folders move up. */
static int empty_folder(int top, const char *name, unsigned long *moved)
{
    HIRA_CLEANUP(closedirp) DIR *dir = open_folder(top, name);
    if (!dir)
        return -errno;
    int error = 0;
    for (struct dirent *e; (e = readdir(dir));) {
        char up[48];
        if (is_dots(e->d_name) || unlinkat(dirfd(dir), e->d_name, 0) == 0)
            continue;
        snprintf(up, sizeof up, MOVED, ++*moved);
        if (renameat(dirfd(dir), e->d_name, top, up) < 0)
            error = -errno;
    }
    return error;
}

/* One pass over the top. Positive: something was removed or moved, so another pass may find more. */
static int sweep(DIR *top, unsigned long *moved, int *error)
{
    int progress = 0;
    unsigned long before = *moved;
    rewinddir(top);
    for (struct dirent *e; (e = readdir(top));) {
        if (is_dots(e->d_name))
            continue;
        if (unlinkat(dirfd(top), e->d_name, 0) < 0) {
            int inner = empty_folder(dirfd(top), e->d_name, moved);
            if (unlinkat(dirfd(top), e->d_name, AT_REMOVEDIR) < 0) {
                *error = inner ? inner : -errno;
                continue;
            }
        }
        progress = 1;
    }
    return progress || *moved != before;
}

int hira_tree_remove(const char *path)
{
    int error = 0;
    unsigned long moved = 0;
    {
        HIRA_CLEANUP(closedirp) DIR *top = open_folder(AT_FDCWD, path);
        if (!top)
            return errno == ENOENT ? 0 : -errno;
        for (int i = 0; i < PASSES_MAX && sweep(top, &moved, &error); i++)
            error = 0;
    }
    if (rmdir(path) < 0 && errno != ENOENT)
        return error ? error : -errno;
    return 0;
}
