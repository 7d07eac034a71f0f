/*
 * The socket that guests find. A lock beside it says whether a hirad lives there; who holds the lock may replace what a
 * dead one left, so two starting at once cannot take each other's socket away.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fd.h"
#include "router/router.h"

#define ACCEPT_AT_ONCE 64   /* then the loop looks at what else happened */
#define ACCEPT_PAUSE_MS 100 /* out of descriptors */

/* The folder of the socket, made if there is none. Others may not be able to replace the socket: one that others can
 * write to must be sticky. */
static int make_folder(const char *path, bool system, char *error, size_t size)
{
    char folder[HIRA_PATH_MAX];
    struct stat st;
    snprintf(folder, sizeof folder, "%s", path);
    char *slash = strrchr(folder, '/');
    if (!slash || slash == folder)
        return 0;
    *slash = 0;
    if (mkdir(folder, system ? 0755 : 0700) < 0 && errno != EEXIST) {
        int ret = -errno;
        snprintf(error, size, "cannot make the folder %s: %s", folder, strerror(errno));
        return ret;
    }
    if (stat(folder, &st) < 0 || !S_ISDIR(st.st_mode)) {
        snprintf(error, size, "%s is no folder", folder);
        return -ENOTDIR;
    }
    bool others = (st.st_mode & (S_IWGRP | S_IWOTH)) && !(st.st_mode & S_ISVTX);
    if ((st.st_uid != geteuid() && st.st_uid != 0) || others) {
        snprintf(error, size,
                 "the folder %s could be changed by other users, who could pose as hirad: choose another --socket",
                 folder);
        return -EPERM;
    }
    return 0;
}

/* Locks PATH.lock. A lock file that was removed while we waited for it is nobody's: try the new one. */
static int take_lock(const char *path, char *error, size_t size)
{
    char file[HIRA_PATH_MAX + 8];
    struct stat held, named;
    snprintf(file, sizeof file, "%s.lock", path);
    for (int i = 0; i < 100; i++) {
        HIRA_AUTOCLOSE int fd = open(file, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (fd < 0) {
            int ret = -errno;
            snprintf(error, size, "cannot open %s: %s", file, strerror(errno));
            return ret;
        }
        if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
            char pid[32] = "";
            ssize_t n = pread(fd, pid, sizeof pid - 1, 0);
            pid[n > 0 ? strcspn(pid, "\n") : 0] = 0;
            snprintf(error, size, "another hirad%s%s listens on %s already", *pid ? ", process " : "", pid, path);
            return -EADDRINUSE;
        }
        if (fstat(fd, &held) < 0 || stat(file, &named) < 0 || held.st_ino != named.st_ino ||
            held.st_dev != named.st_dev)
            continue;
        if (ftruncate(fd, 0) == 0)
            dprintf(fd, "%d\n", getpid());
        return HIRA_STEAL_FD(fd);
    }
    snprintf(error, size, "%s keeps disappearing", file);
    return -EAGAIN;
}

/* With the lock held: what is in the way, a dead hirad left. Unless it is no socket, or somebody listens. */
static int clear_way(const char *path, char *error, size_t size)
{
    struct stat st;
    if (lstat(path, &st) < 0)
        return 0;
    if (!S_ISSOCK(st.st_mode)) {
        snprintf(error, size, "%s is there and is no socket: not touched", path);
        return -EEXIST;
    }
    HIRA_AUTOCLOSE int fd = hira_socket_connect(path);
    if (fd >= 0 || fd == -EPROTOTYPE) {
        snprintf(error, size, "another program listens on %s already", path);
        return -EADDRINUSE;
    }
    unlink(path);
    return 0;
}

static int bind_socket(const char *path, bool system, char *error, size_t size)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path) {
        snprintf(error, size, "%s is too long for a socket's name (%zu characters at most)", path,
                 sizeof address.sun_path - 1);
        return -ENAMETOOLONG;
    }
    memcpy(address.sun_path, path, strlen(path) + 1);
    HIRA_AUTOCLOSE int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0)
        hira_fd_let_rights_pass(fd, false);
    /* A system's hirad serves every user; who it is, SO_PEERCRED says. */
    mode_t mask = umask(system ? 0111 : 0177);
    int ret = fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) < 0 || listen(fd, ROUTER_BACKLOG) < 0
                  ? -errno
                  : 0;
    umask(mask);
    if (ret)
        snprintf(error, size, "cannot listen on %s: %s", path, strerror(-ret));
    return ret ? ret : HIRA_STEAL_FD(fd);
}

static void accept_again(void *context)
{
    struct router *router = context;
    if (router->listener.watch)
        router_watch_pause(router->listener.watch, false);
}

static void rest(struct router *router, uint64_t ms)
{
    router_watch_pause(router->listener.watch, true);
    router_alarm_set(&router->loop, &router->listener.pause, ms, accept_again, router);
}

static void on_connection(void *context)
{
    struct router *router = context;
    struct router_listener *l = &router->listener;
    unsigned unheard = 0;
    for (int i = 0; i < ACCEPT_AT_ONCE && l->watch; i++) {
        int fd = accept4(router_watch_fd(l->watch), NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd >= 0) {
            unheard += !router_guest_accept(router, fd, NULL);
        } else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
            hira_log(&router->log, HIRA_LOG_ERROR, "router", 0, "cannot accept guests for a moment: %s",
                     strerror(errno));
            rest(router, ACCEPT_PAUSE_MS);
            return;
        } else if (errno != EINTR && errno != ECONNABORTED) {
            return;
        }
    }
    if (unheard == ACCEPT_AT_ONCE)
        rest(router, ROUTER_UNHEARD_PAUSE_MS);
}

int router_listen(struct router *router, char *error, size_t size)
{
    struct router_listener *l = &router->listener;
    const char *path = router->options.socket;
    bool system = geteuid() == 0 && !router->private;
    int ret = make_folder(path, system, error, size);
    if (ret)
        return ret;
    l->lock = take_lock(path, error, size);
    if (l->lock < 0)
        return l->lock;
    snprintf(l->path, sizeof l->path, "%s", path);
    ret = clear_way(path, error, size);
    int fd = ret ? ret : bind_socket(path, system, error, size);
    if (fd >= 0 && !(l->watch = router_watch_start(&router->loop, fd, on_connection, router))) {
        snprintf(error, size, "out of memory");
        unlink(path);
        fd = -ENOMEM;
    }
    if (fd < 0)
        router_unlisten(router);
    return HIRA_MIN(fd, 0);
}

/* ---- tenants' own sockets ---- */

static void on_door(void *context)
{
    struct router_door *door = context;
    for (int i = 0; i < ACCEPT_AT_ONCE && door->watch; i++) {
        int fd = accept4(router_watch_fd(door->watch), NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd >= 0)
            router_guest_accept(door->router, fd, door->path);
        else if (errno != EINTR && errno != ECONNABORTED)
            return;
    }
}

/* Shut, but kept: guests that came by it name it. */
static void shut(struct router_door *door)
{
    if (door->watch)
        unlink(door->path);
    router_watch_stop(&door->watch);
}

static struct router_door *door_at(struct router *router, const char *path)
{
    for (struct hira_list *pos = router->doors.next; pos != &router->doors; pos = pos->next)
        if (!strcmp(hira_list_entry(pos, struct router_door, link)->path, path))
            return hira_list_entry(pos, struct router_door, link);
    struct router_door *door = calloc(1, sizeof *door);
    if (!door)
        return NULL;
    door->router = router;
    snprintf(door->path, sizeof door->path, "%s", path);
    hira_list_append(&router->doors, &door->link);
    return door;
}

static void open_door(struct router *router, const char *path)
{
    char error[300] = "out of memory";
    struct router_door *door = door_at(router, path);
    if (door && door->watch)
        return;
    int fd = door && clear_way(path, error, sizeof error) == 0 ? bind_socket(path, true, error, sizeof error) : -1;
    if (fd >= 0)
        door->watch = router_watch_start(&router->loop, fd, on_door, door);
    if (!door || !door->watch)
        hira_log(&router->log, HIRA_LOG_ERROR, "router", 0, "a tenant's socket: %s", error);
}

static bool wanted(const struct router *router, const char *path)
{
    for (unsigned i = 0; router->config && i < router->config->n_tenants; i++)
        for (unsigned k = 0; k < router->config->tenants[i].n_sockets; k++)
            if (!strcmp(router->config->tenants[i].sockets[k], path))
                return true;
    return false;
}

void router_doors_open(struct router *router)
{
    for (struct hira_list *pos = router->doors.next; pos != &router->doors; pos = pos->next)
        if (!wanted(router, hira_list_entry(pos, struct router_door, link)->path))
            shut(hira_list_entry(pos, struct router_door, link));
    for (unsigned i = 0; router->config && i < router->config->n_tenants; i++)
        for (unsigned k = 0; k < router->config->tenants[i].n_sockets; k++)
            open_door(router, router->config->tenants[i].sockets[k]);
}

void router_doors_close(struct router *router)
{
    struct hira_list *pos, *next;
    hira_list_for_each (pos, next, &router->doors) {
        shut(hira_list_entry(pos, struct router_door, link));
        hira_list_remove(pos);
        free(hira_list_entry(pos, struct router_door, link));
    }
}

void router_unlisten(struct router *router)
{
    struct router_listener *l = &router->listener;
    char file[HIRA_PATH_MAX + 8];
    if (l->watch)
        unlink(l->path);
    router_watch_stop(&l->watch);
    router_alarm_stop(&l->pause);
    if (l->lock < 0)
        return;
    snprintf(file, sizeof file, "%s.lock", l->path);
    unlink(file);
    hira_fd_closep(&l->lock);
}
