/*
 * Folders of servers whose zygote died as well. A server holds a lock on its folder while it lives; what nobody holds
 * is nobody's. The youngest are left alone: between making and locking one there is a moment.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/tree.h"
#include "router/router.h"
#include "server/zygote.h"

#define AGE_S 2

/* A server that has a user of its tenant's may have been given the folder: root's hirad cannot tell by the owner. */
static bool may_be_ours(const struct stat *st)
{
    return st->st_uid == geteuid() || geteuid() == 0;
}

/* Opened only as what it was made: what a server puts there instead is none. */
static bool is_held(int folder)
{
    struct stat st;
    HIRA_AUTOCLOSE int fd = openat(folder, HIRA_SERVER_LOCK, O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return errno != ENOENT && errno != ELOOP;
    return fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && flock(fd, LOCK_EX | LOCK_NB) < 0;
}

void router_sweep(const char *work_dir)
{
    DIR *dir = opendir(work_dir);
    time_t now = time(NULL);
    for (struct dirent *e; dir && (e = readdir(dir));) {
        char path[HIRA_PATH_MAX + 300];
        struct stat st;
        if (strncmp(e->d_name, HIRA_SERVER_DIRECTORY_PREFIX, strlen(HIRA_SERVER_DIRECTORY_PREFIX)) != 0)
            continue;
        HIRA_AUTOCLOSE int fd = openat(dirfd(dir), e->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0 || fstat(fd, &st) < 0 || !may_be_ours(&st) || now - st.st_ctime < AGE_S || is_held(fd))
            continue;
        snprintf(path, sizeof path, "%s/%s", work_dir, e->d_name);
        hira_tree_remove(path);
    }
    if (dir)
        closedir(dir);
}
