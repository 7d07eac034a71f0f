/*
 * The server's surroundings: see environment.h.
 *
 * A vendor's loader finds its drivers by files in a folder, each naming a library, or by a variable that names a folder, such a
 * file or a library. Where Hira is installed as a driver too, its guest library is among them. The mark HIRA_SERVER makes that
 * library say nothing; here it is taken out of the list besides, so that it is not even loaded. It is told by a text inside, for
 * it has whatever name the installation gave it.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include "server/environment.h"

#include <dirent.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/text.h"

#define DRIVER_FILE_MAX (64u << 10)
#define NO_VENDOR "/dev/null" /* no library and no folder: a loader finds nothing there */

void hira_environment_set(const struct hira_zygote_ops *ops)
{
    setenv("HIRA_SERVER", "1", 1);
    for (const char *const *e = ops->environment; e && *e; e++) {
        const char *equals = strchr(*e, '=');
        HIRA_AUTOFREE char *name = equals ? strndup(*e, (size_t)(equals - *e)) : NULL;
        if (name)
            setenv(name, equals + 1, 1);
    }
}

/* ---- which vendor ---- */

static bool is_folder(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* Whether the file has the text in it that every guest library has. */
static bool is_guest_library(const char *path)
{
    struct stat st;
    HIRA_AUTOCLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || !st.st_size)
        return false;
    void *data = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (data == MAP_FAILED)
        return false;
    bool found = memmem(data, (size_t)st.st_size, HIRA_GUEST_MARK, strlen(HIRA_GUEST_MARK)) != NULL;
    munmap(data, (size_t)st.st_size);
    return found;
}

/* Whether it is a guest library, or a driver file that names one by its path. */
static bool is_ours(const char *path)
{
    struct hira_text text = {0};
    bool ours = is_guest_library(path);
    if (!ours && hira_text_read_file(&text, path, DRIVER_FILE_MAX) == 0 && text.data) {
        char *rest = NULL;
        for (char *word = strtok_r(text.data, " \t\r\n\"", &rest); word && !ours; word = strtok_r(NULL, " \t\r\n\"", &rest))
            ours = word[0] == '/' && is_guest_library(word);
    }
    hira_text_fini(&text);
    return ours;
}

/* What a folder of driver files holds. */
struct drivers {
    unsigned ours, others;
    char other[PATH_MAX]; /* one of the others */
};

/* Counts them; with `links`, a folder, the others get a link there. */
static struct drivers look_at(const char *folder, const char *links)
{
    struct drivers d = {0};
    DIR *dir = opendir(folder);
    for (struct dirent *e; dir && (e = readdir(dir));) {
        char path[PATH_MAX], link[PATH_MAX];
        if (e->d_name[0] == '.' || (size_t)snprintf(path, sizeof path, "%s/%s", folder, e->d_name) >= sizeof path)
            continue;
        if (is_folder(path) || is_ours(path)) {
            d.ours += !is_folder(path);
            continue;
        }
        d.others++;
        strcpy(d.other, path);
        if (links && (size_t)snprintf(link, sizeof link, "%s/%s", links, e->d_name) < sizeof link && symlink(path, link) < 0)
            dprintf(STDERR_FILENO, "cannot list %s: %m\n", path);
    }
    if (dir)
        closedir(dir);
    return d;
}

static void choose_others(const char *name, const char *folder, const char *directory)
{
    struct drivers d = look_at(folder, NULL);
    char list[PATH_MAX];
    if (!d.ours)
        return;
    if (d.others < 2) {
        setenv(name, d.others ? d.other : NO_VENDOR, 1);
    } else if (directory && (size_t)snprintf(list, sizeof list, "%s/vendors", directory) < sizeof list) {
        mkdir(list, 0700);
        look_at(folder, list);
        setenv(name, list, 1);
    }
}

void hira_environment_choose(const struct hira_zygote_ops *ops, const char *directory)
{
    const char *name = ops->vendor_choice, *chosen = getenv("HIRA_VENDOR_ICD"), *named = name ? getenv(name) : NULL;
    if (!name)
        return;
    if (chosen && *chosen) {
        setenv(name, chosen, 1);
        return;
    }
    HIRA_AUTOFREE char *path = named && *named && !is_ours(named) ? strdup(named) : NULL;
    if (!path)
        unsetenv(name);
    if (!path || is_folder(path))
        choose_others(name, path ? path : ops->vendor_folder, directory);
}

/* ---- the guest's ---- */

static bool let_through(const struct hira_zygote_ops *ops, const char *name)
{
    for (const char *const *pattern = ops->guest_environment; pattern && *pattern; pattern++)
        if (fnmatch(*pattern, name, 0) == 0)
            return true;
    return false;
}

bool hira_environment_adopt(const struct hira_zygote_ops *ops, const struct hira_hello *hello)
{
    size_t size;
    bool changed = false;
    const char *e = hira_hello_environment(hello, &size);
    for (const char *end = e + size; e < end; e += strlen(e) + 1) {
        const char *equals = strchr(e, '=');
        HIRA_AUTOFREE char *name = equals && equals > e ? strndup(e, (size_t)(equals - e)) : NULL;
        const char *old = name ? getenv(name) : NULL;
        if (!name || !let_through(ops, name) || (ops->cache && !strcmp(name, ops->cache)) || (old && !strcmp(old, equals + 1)))
            continue;
        setenv(name, equals + 1, 1);
        changed = true;
    }
    return changed;
}
