/*
 * Files that came with a call: the server's copies of what the application's options name. See guest/files.c.
 *
 * They are put under root/ of the server's private folder at the paths they have in the guest, and the server works in the
 * counterpart of the guest's working directory: so relative options need no change, and absolute ones get one prefix, which
 * hira_unprefix() takes out again of whatever the vendor says. The prefix leads from the working directory up to root/ and does
 * not name the private folder: vendors keep what they built by its options, for servers to come.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "server/internal.h"
#include "server/zygote.h"

#define FILES_MAX 512u
#define FILES_BYTES_MAX (8u << 20)
/* Of all calls of a guest together; what comes again at the same path counts once. The private folder is memory where the sandbox makes
 * it, and hirad's user's disk where it cannot. */
#define KEPT_BYTES_MAX (128ull << 20)
#define KEPT_ENTRIES_MAX 65536u

static struct { uint64_t bytes; unsigned entries; } kept; /* under the lock */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

#define HERE "/proc/self/cwd"
#define UP "/.."

/* The folder of all copies, without a slash at its end. */
static const char *root(void)
{
    static char path[PATH_MAX];
    if (!path[0])
        snprintf(path, sizeof path, "%s/root", hira_zygote_directory());
    return path;
}

/* A fuzzer has no private folder: nothing is placed then. */
static bool has_folder(void)
{
    return hira_zygote_directory()[0] != 0;
}

/* An absolute path without empty, "." or ".." parts: it stays below the root whatever the guest says. */
static bool harmless(const char *path)
{
    if (path[0] != '/')
        return false;
    for (const char *part = path; part; part = strchr(part + 1, '/')) {
        size_t n = strcspn(part + 1, "/");
        if ((n == 0 && part[1]) || (n == 1 && part[1] == '.') || (n == 2 && part[1] == '.' && part[2] == '.'))
            return false;
    }
    return true;
}

/* The same in the options; the working directory's depth below it is known once a guest has said where it works. */
static char prefix[2 * PATH_MAX];

static void set_prefix(const char *cwd)
{
    char *to = stpcpy(prefix, HERE);
    for (const char *part = cwd; part && part[1]; part = strchr(part + 1, '/'))
        to = stpcpy(to, UP);
}

/* Makes room in the account for what replaces a file, or takes a place of its own. */
static bool account(const char *path, uint64_t size)
{
    struct stat st;
    bool replaces = lstat(path, &st) == 0 && S_ISREG(st.st_mode);
    uint64_t others = kept.bytes - (replaces ? HIRA_MIN(kept.bytes, (uint64_t)st.st_size) : 0);
    if (size > KEPT_BYTES_MAX - others || (!replaces && kept.entries >= KEPT_ENTRIES_MAX))
        return false;
    kept.bytes = others + size;
    kept.entries += !replaces;
    return true;
}

/* What was a file when another build came may be a folder now. */
static bool make_folder(const char *path)
{
    struct stat st;
    if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
        return true;
    return account(path, 0) && (mkdir(path, 0700) == 0 || (unlink(path) == 0 && mkdir(path, 0700) == 0));
}

static bool make_folders(char *path)
{
    for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        bool ok = make_folder(path);
        *slash = '/';
        if (!ok)
            return false;
    }
    return true;
}

/* What cannot be placed stays behind, and the vendor's compiler says which file it misses. */
static void place_file(const char *path, const void *data, uint64_t size)
{
    char full[2 * PATH_MAX];
    if (strlen(path) >= PATH_MAX / 2)
        return;
    snprintf(full, sizeof full, "%s%s", root(), path);
    const struct hira_text text = {(char *)data, size, size, false};
    if (make_folders(full) && account(full, size)) /* one that cannot be written counts all the same */
        hira_text_write_file(&text, full);
}

static bool enter(const char *cwd)
{
    char full[2 * PATH_MAX];
    if (!harmless(cwd) || strlen(cwd) >= PATH_MAX / 2)
        return false;
    snprintf(full, sizeof full, "%s%s/", root(), cwd[1] ? cwd : "");
    if (!make_folders(full) || chdir(full) < 0)
        return false;
    set_prefix(cwd);
    return true;
}

/* The options with every absolute folder after the flag put below the root. */
static char *prefix_folders(struct hira_serve *s, const char *options, const char *flag)
{
    const char *before = prefix[0] ? prefix : root();
    size_t flag_length = strlen(flag), length_before = strlen(before), n = 0;
    for (const char *p = options; (p = strstr(p, flag)); p += flag_length)
        n++;
    char *out = hira_scratch(s, strlen(options) + n * length_before + 1), *to = out;
    bool at_word = true;
    for (const char *p = options; out && *p;) {
        if (!at_word || strncmp(p, flag, flag_length)) {
            at_word = *p == ' ' || *p == '\t';
            *to++ = *p++;
            continue;
        }
        size_t length = flag_length + strspn(p + flag_length, " \t");
        memcpy(to, p, length);
        to += length;
        p += length;
        if (*p == '/') {
            memcpy(to, before, length_before);
            to += length_before;
        }
        at_word = false;
    }
    return out;
}

void hira_unprefix(char *text)
{
    size_t length = strlen(root());
    for (char *p = text; p && (p = strstr(p, root()));)
        memmove(p, p + length, strlen(p + length) + 1);
    for (char *p = text; p && (p = strstr(p, HERE "/"));) {
        char *rest = p + strlen(HERE);
        while (!strncmp(rest, UP "/", strlen(UP "/")))
            rest += strlen(UP);
        memmove(p, rest, strlen(rest) + 1);
    }
}

char *hira_get_options(struct hira_serve *s, const char *flag)
{
    char *options = hira_get_string(s), *cwd = hira_get_string(s);
    uint64_t n = hira_get_word(s), total = 0;
    hira_expect(s, n <= FILES_MAX);
    pthread_mutex_lock(&lock);
    for (uint64_t i = 0; i < n && hira_serve_ready(s); i++) {
        uint64_t size;
        const char *path = hira_get_string(s);
        const void *data = hira_get_in(s, &size, false);
        hira_expect(s, size <= FILES_BYTES_MAX - total);
        total += size;
        bool inside = path && harmless(path);
        hira_expect(s, inside);
        if (inside && hira_serve_ready(s) && has_folder())
            place_file(path, data, size);
    }
    if (hira_serve_ready(s) && cwd && has_folder())
        enter(cwd);
    options = options ? prefix_folders(s, options, flag) : NULL;
    pthread_mutex_unlock(&lock);
    return options;
}
