/*
 * What a server sees of the files: a root of its own in memory, into which the parts of the machine's tree that the
 * vendor's library needs are bound read-only, each at the path it has outside. Writable are that memory (bounded, gone
 * with the server; the private folder lies in it) and the tenant's cache. So a path that a guest's variable names can
 * be made and used, and is nobody else's.
 *
 * Paths come from the operator and from what the zygote has loaded, none from a guest.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <link.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd.h"
#include "server/sandbox.h"
#include "server/zygote.h"

#define DRIVER_FILE_MAX (64u << 10)

/* ---- what is to be seen ---- */

/* Programs, libraries and what they read whoever runs them. /proc and /dev are made, not bound. */
static const char *const always[] = {"/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/etc/ld.so.cache",
                                     "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/alternatives", "/etc/localtime",
                                     /* how many processors, which caches, whose: properties of CPU devices */
                                     "/sys/devices/system", "/sys/bus/pci", "/sys/kernel/mm/hugepages"};
#define PCI_ROOTS "/sys/devices/pci*"

/* What drivers of devices look up there. */
static const char *const with_devices[] = {"/sys/bus", "/sys/class", "/sys/dev", "/sys/devices", "/sys/module"};

static void add_folder_of(struct hira_paths *paths, const char *file)
{
    HIRA_AUTOFREE char *folder = strdup(file);
    char *slash = folder ? strrchr(folder, '/') : NULL;
    if (!slash)
        return;
    *slash = 0;
    hira_paths_add(paths, folder);
}

/* Software that keeps together below /opt. */
static bool add_package(struct hira_paths *paths, const char *path)
{
    if (strncmp(path, "/opt/", 5) != 0)
        return false;
    const char *end = strchrnul(path + 5, '/');
    HIRA_AUTOFREE char *package = strndup(path, (size_t)(end - path));
    if (package)
        hira_paths_add(paths, package);
    return true;
}

/* A library that a driver file or a variable names, with what lies beside it. */
static void add_library(struct hira_paths *paths, const char *path)
{
    char real[PATH_MAX];
    if (path[0] != '/' || add_package(paths, path))
        return;
    if (!realpath(path, real))
        return;
    if (strcmp(real, path) != 0)
        add_folder_of(paths, real);
    add_folder_of(paths, path);
}

static void add_named(struct hira_paths *paths, const char *file)
{
    struct hira_text text = {0};
    char *rest = NULL;
    if (hira_text_read_file(&text, file, DRIVER_FILE_MAX) == 0 && text.data && !memchr(text.data, 0, text.size))
        for (char *word = strtok_r(text.data, " \t\r\n\"", &rest); word; word = strtok_r(NULL, " \t\r\n\"", &rest))
            add_library(paths, word);
    hira_text_fini(&text);
}

/* A folder of driver files, one of them, or a library: itself and what it names. */
static void add_drivers(struct hira_paths *paths, const char *path)
{
    struct stat st;
    glob_t found;
    char pattern[PATH_MAX];
    if (!path || path[0] != '/' || stat(path, &st) < 0)
        return;
    if (!S_ISDIR(st.st_mode)) {
        hira_paths_add(paths, path);
        add_named(paths, path);
        add_library(paths, path);
        return;
    }
    hira_paths_add(paths, path);
    if ((size_t)snprintf(pattern, sizeof pattern, "%s/*", path) >= sizeof pattern ||
        glob(pattern, 0, NULL, &found) != 0)
        return;
    for (size_t i = 0; i < found.gl_pathc; i++)
        add_named(paths, found.gl_pathv[i]);
    globfree(&found);
}

static int add_object(struct dl_phdr_info *info, size_t size, void *context)
{
    (void)size;
    struct hira_paths *paths = context;
    const char *name = info->dlpi_name;
    char real[PATH_MAX];
    if (name && strstr(name, "/../")) /* from $ORIGIN: what lies there is in no folder that the name begins with */
        name = realpath(name, real);
    if (name && name[0] == '/' && access(name, R_OK) == 0 && !add_package(paths, name))
        hira_paths_add(paths, name);
    return 0;
}

static void add_library_path(struct hira_paths *paths)
{
    const char *old = getenv("LD_LIBRARY_PATH"), *home = getenv("HOME");
    HIRA_AUTOFREE char *copy = old ? strdup(old) : NULL;
    char *rest = copy, *folder;
    while ((folder = strsep(&rest, ":")))
        if (!home || strcmp(folder, home) != 0) /* a whole home for the sake of a library is too much */
            hira_paths_add(paths, folder);
}

static void add_found(struct hira_paths *paths, const char *pattern)
{
    glob_t found;
    if (glob(pattern, 0, NULL, &found) != 0)
        return;
    for (size_t i = 0; i < found.gl_pathc; i++)
        hira_paths_add(paths, found.gl_pathv[i]);
    globfree(&found);
}

static void add_devices(struct hira_sandbox *s)
{
    for (size_t i = 0; i < s->device_patterns.n; i++) {
        glob_t found;
        if (glob(s->device_patterns.path[i], 0, NULL, &found) != 0)
            continue;
        for (size_t k = 0; k < found.gl_pathc; k++) {
            struct stat st;
            const char *path = found.gl_pathv[k];
            if (stat(path, &st) < 0 || (!S_ISCHR(st.st_mode) && !S_ISDIR(st.st_mode)))
                continue;
            hira_paths_add(&s->devices, path);
            bool known = !st.st_gid || !(st.st_mode & S_IWGRP);
            for (size_t g = 0; g < s->n_groups; g++)
                known |= s->groups[g] == st.st_gid;
            if (!known && s->n_groups < HIRA_ARRAY_SIZE(s->groups))
                s->groups[s->n_groups++] = st.st_gid;
        }
        globfree(&found);
    }
}

void hira_view_collect(struct hira_sandbox *s, const struct hira_zygote_ops *ops)
{
    static const char *const variables[] = {"HIRA_VENDOR", "HIRA_VENDOR_ICD"};
    for (size_t i = 0; i < HIRA_ARRAY_SIZE(always); i++)
        if (access(always[i], F_OK) == 0)
            hira_paths_add(&s->paths, always[i]);
    add_found(&s->paths, PCI_ROOTS);
    add_devices(s);
    for (size_t i = 0; s->devices.n && i < HIRA_ARRAY_SIZE(with_devices); i++)
        hira_paths_add(&s->paths, with_devices[i]);
    if (s->program)
        hira_paths_add(&s->paths, s->program);
    for (size_t i = 0; i < HIRA_ARRAY_SIZE(variables); i++)
        add_drivers(&s->paths, getenv(variables[i]));
    if (ops && ops->vendor_folder)
        add_drivers(&s->paths, ops->vendor_folder);
    if (ops && ops->vendor_choice)
        add_drivers(&s->paths, getenv(ops->vendor_choice));
    add_library_path(&s->paths);
    for (size_t i = 0; i < s->more.n; i++)
        hira_paths_add(&s->paths, s->more.path[i]);
    dl_iterate_phdr(add_object, &s->paths);
}

/* ---- the root ---- */

/* Below the working directory, which is the root to be. */
static const char *below(const char *path)
{
    return path + 1;
}

static int make_parents(const char *path)
{
    char part[PATH_MAX];
    if (strlen(path) >= sizeof part)
        return -ENAMETOOLONG;
    strcpy(part, below(path));
    for (char *slash = strchr(part, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        if (mkdir(part, 0755) < 0 && access(part, F_OK) < 0)
            return -errno;
        *slash = '/';
    }
    return 0;
}

/* Something to mount upon; what is there already will do. */
static int make_target(const char *path, bool folder)
{
    int error = make_parents(path);
    if (error)
        return error;
    if (folder)
        return mkdir(below(path), 0755) < 0 && access(below(path), F_OK) < 0 ? -errno : 0;
    HIRA_AUTOCLOSE int fd = open(below(path), O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0644);
    return fd < 0 && access(below(path), F_OK) < 0 ? -errno : 0;
}

/* Shows `path` of the old root in the new one. What is not there is not shown. */
static int show(const char *path, uint64_t attributes)
{
    struct stat st;
    struct mount_attr set = {.attr_set = attributes};
    HIRA_AUTOCLOSE int tree =
        (int)syscall(SYS_open_tree, AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
    if (tree < 0)
        return errno == ENOENT || errno == EACCES || errno == ENOTDIR ? 0 : -errno;
    if (fstat(tree, &st) < 0 ||
        syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH | AT_RECURSIVE, &set, sizeof set) < 0)
        return -errno;
    int error = make_target(path, S_ISDIR(st.st_mode));
    if (!error && syscall(SYS_move_mount, tree, "", AT_FDCWD, below(path), MOVE_MOUNT_F_EMPTY_PATH) < 0)
        error = -errno;
    return error;
}

/* A link stays one where what it leads to is seen too, as /lib does. */
static int show_or_link(const char *path)
{
    char to[PATH_MAX];
    ssize_t n = readlink(path, to, sizeof to - 1);
    if (n <= 0 || strchr(below(path), '/'))
        return show(path, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
    to[n] = 0;
    return symlink(to, below(path)) < 0 && errno != EEXIST ? -errno : 0;
}

static int write_file(const char *path, const char *text)
{
    int error = make_parents(path);
    HIRA_AUTOCLOSE int fd = error ? -1 : open(below(path), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0)
        return error ? error : -errno;
    return hira_fd_write_all(fd, text, strlen(text));
}

static int make_devices(const struct hira_sandbox *s)
{
    static const char *const nodes[] = {"/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"};
    static const char *const links[][2] = {{"/proc/self/fd", "dev/fd"},
                                           {"/proc/self/fd/0", "dev/stdin"},
                                           {"/proc/self/fd/1", "dev/stdout"},
                                           {"/proc/self/fd/2", "dev/stderr"}};
    int error = 0;
    for (size_t i = 0; i < HIRA_ARRAY_SIZE(nodes) && !error; i++)
        error = show(nodes[i], MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC);
    for (size_t i = 0; i < s->devices.n && !error; i++)
        error = show(s->devices.path[i], MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC);
    for (size_t i = 0; i < HIRA_ARRAY_SIZE(links) && !error; i++)
        if (symlink(links[i][0], links[i][1]) < 0 && errno != EEXIST)
            error = -errno;
    return error;
}

static int make_users(uid_t uid)
{
    char text[400];
    snprintf(text, sizeof text, "root:x:0:0::/:/bin/sh\n%s%u%s", uid ? "hira:x:" : "#", (unsigned)uid,
             uid ? ":65534::/:/bin/sh\n" : "\n");
    int error = write_file("/etc/passwd", text);
    if (!error)
        error = write_file("/etc/group", "root:x:0:\nnogroup:x:65534:\n");
    return error ? error : write_file("/etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files\n");
}

/* Its own, if it may be; the machine's is better than none: compilers look up there where they are. */
static int make_proc(bool own)
{
    int error = make_target("/proc", true);
    if (error)
        return error;
    if (own)
        return mount("proc", "proc", "proc", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0 ? -errno : 0;
    return show("/proc", MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
}

static int make_folder(const char *path, uid_t uid, gid_t gid, mode_t mode)
{
    int error = make_target(path, true);
    if (!error && (chmod(below(path), mode) < 0 || lchown(below(path), uid, gid) < 0))
        error = -errno;
    return error;
}

/* The writable places. */
static int make_own(const struct hira_sandboxed *self, uid_t uid, gid_t gid)
{
    int error = make_folder("/tmp", uid, gid, 01777);
    if (!error)
        error = make_folder("/dev/shm", uid, gid, 01777);
    if (!error && self)
        error = make_folder(self->directory, uid, gid, 0700);
    if (!error && self && self->cache[0])
        error = show(self->cache, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
    return error;
}

static int fill_root(const struct hira_sandbox *s, const struct hira_sandboxed *self, uid_t uid, gid_t gid, bool proc)
{
    int error = 0;
    for (size_t i = 0; i < s->paths.n && !error; i++)
        error = show_or_link(s->paths.path[i]);
    if (!error)
        error = make_devices(s);
    if (!error)
        error = make_users(uid);
    if (!error)
        error = make_proc(proc);
    return error ? error : make_own(self, uid, gid);
}

int hira_view_enter(const struct hira_sandbox *s, const struct hira_sandboxed *self, const char *mount_point, uid_t uid,
                    bool proc)
{
    char options[160];
    gid_t gid = s->own_user ? uid : getegid();
    snprintf(options, sizeof options,
             "mode=0755,size=" HIRA_SANDBOX_SCRATCH ",nr_inodes=" HIRA_SANDBOX_SCRATCH_FILES ",uid=%u,gid=%u",
             (unsigned)uid, (unsigned)gid);
    mode_t mask = umask(0);
    int error = 0;
    if (mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0 ||
        mount("hira", mount_point, "tmpfs", MS_NOSUID | MS_NODEV, options) < 0 || chdir(mount_point) < 0)
        error = -errno;
    if (!error)
        error = fill_root(s, self, uid, gid, proc);
    /* Put over itself, the old root lies below the new one and can be taken off. */
    if (!error && (syscall(SYS_pivot_root, ".", ".") < 0 || umount2(".", MNT_DETACH) < 0 || chdir("/") < 0))
        error = -errno;
    umask(mask);
    return error;
}
