/*
 * Folders of servers whose zygote died as well. A server holds a lock on its folder while it lives; what nobody holds
 * is nobody's. The youngest are left alone: between making and locking one there is a moment.
 *
 * Security. What is in such a folder may be a guest's doing, and take as long to remove as it liked. So this is a
 * process' work that nobody waits for, and that ends some time. Where hirad is root's, folders of users that are
 * neither root nor a tenant's server are none of ours, whatever they are called.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/tree.h"
#include "router/router.h"
#include "server/zygote.h"

#define AGE_S 2
#define SWEEP_S 60 /* what is left then is left to the next one */

/* A server that has a user of its tenant's may have been given the folder. */
static bool may_be_ours(const struct router_options *o, const struct stat *st)
{
    return st->st_uid == geteuid() || (geteuid() == 0 && st->st_uid - o->server_uid < o->server_uids);
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

static void sweep(const struct router_options *o)
{
    const char *work_dir = o->work_dir;
    DIR *dir = opendir(work_dir);
    time_t now = time(NULL);
    for (struct dirent *e; dir && (e = readdir(dir));) {
        char path[HIRA_PATH_MAX + 300];
        struct stat st;
        if (strncmp(e->d_name, HIRA_SERVER_DIRECTORY_PREFIX, strlen(HIRA_SERVER_DIRECTORY_PREFIX)) != 0)
            continue;
        HIRA_AUTOCLOSE int fd = openat(dirfd(dir), e->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0 || fstat(fd, &st) < 0 || !may_be_ours(o, &st) || now - st.st_ctime < AGE_S || is_held(fd))
            continue;
        snprintf(path, sizeof path, "%s/%s", work_dir, e->d_name);
        hira_tree_remove(path);
    }
    if (dir)
        closedir(dir);
}

void router_sweep(const struct router *router)
{
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        if (fork() == 0) {
            signal(SIGALRM, SIG_DFL);
            alarm(SWEEP_S);
            hira_fd_close_from(STDERR_FILENO + 1); /* a guest's connection among them */
            sweep(&router->options);
        }
        _exit(0);
    }
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
}
