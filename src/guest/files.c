/*
 * Files that the vendor's compiler will look for, sent with the options that name their folders.
 *
 * The vendor runs in another process, perhaps on another host, so `-I dir` and `#include` would find nothing. While the
 * application makes programs, hira_note_includes() collects what their sources include; when options are put, every such file found
 * in the folders named (or beside its includer, or in the working directory) is read, its own includes are followed, and the
 * files go with the call under their absolute paths. An include whose name is a macro cannot be read off: then the named folders
 * go as a whole. All of it bounded: past a limit files stay behind, and the vendor's compiler says which one it misses.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"
#include "guest/internal.h"

#define FILES_MAX 512u              /* of one call; the server refuses more */
#define FILES_BYTES_MAX (8u << 20)
#define NAMES_MAX 4096u             /* different names that an application's sources include */
#define FOLDERS_MAX 64u

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char *names[NAMES_MAX];
static unsigned n_names;
static bool computed;               /* some include is a macro */

struct shipment {
    char folders[FOLDERS_MAX][PATH_MAX];
    unsigned n_folders;
    char cwd[PATH_MAX];
    char *paths[FILES_MAX];
    struct hira_text files[FILES_MAX];
    unsigned n_files;
    size_t bytes;
};

void hira_files_forget(void)
{
    pthread_mutex_init(&lock, NULL);
}

/* ---- names ---- */

/* The latest come last: of more than can be shipped with a build, those of the program made last matter. */
static void note(const char *name, size_t length)
{
    char *known = NULL;
    unsigned at = 0;
    while (at < n_names && (strlen(names[at]) != length || memcmp(names[at], name, length)))
        at++;
    if (at < n_names)
        known = names[at];
    else if (!length || length >= PATH_MAX || !(known = strndup(name, length)))
        return;
    else if (n_names == NAMES_MAX)
        free(names[at = 0]); /* the one not seen for longest */
    else
        n_names++;
    memmove(names + at, names + at + 1, (n_names - 1 - at) * sizeof *names);
    names[n_names - 1] = known;
}

/* Calls use() for each name that the text includes; true if one is a macro. */
static bool scan(const char *text, size_t size, void (*use)(const char *name, size_t length, void *context), void *context)
{
    const char *p = text, *end = text + size;
    bool macro = false;
    while (p < end && (p = memchr(p, '#', (size_t)(end - p)))) {
        p++;
        while (p < end && (*p == ' ' || *p == '\t'))
            p++;
        if ((size_t)(end - p) < 7 || memcmp(p, "include", 7))
            continue;
        p += 7;
        while (p < end && (*p == ' ' || *p == '\t'))
            p++;
        if (p < end && (*p == '"' || *p == '<')) {
            const char *begin = p + 1, *close = memchr(begin, *p == '"' ? '"' : '>', (size_t)(end - begin));
            if (close && !memchr(begin, '\n', (size_t)(close - begin)))
                use(begin, (size_t)(close - begin), context);
        } else {
            macro = true;
        }
    }
    return macro;
}

static void note_one(const char *name, size_t length, void *context)
{
    (void)context;
    note(name, length);
}

void hira_note_includes(const char *text, size_t size)
{
    pthread_mutex_lock(&lock);
    if (text && scan(text, size, note_one, NULL))
        computed = true;
    pthread_mutex_unlock(&lock);
}

/* ---- folders ---- */

/* Makes `path` absolute (below `base`) and takes "." and ".." out of it, as text: the server makes the same folders. False: too long. */
static bool resolve(char *out, const char *base, const char *path)
{
    char joined[2 * PATH_MAX];
    int n = snprintf(joined, sizeof joined, "%s%s%s", path[0] == '/' ? "" : base, path[0] == '/' ? "" : "/", path);
    size_t length = 0;
    if (n < 0 || (size_t)n >= sizeof joined)
        return false;
    for (char *save, *part = strtok_r(joined, "/", &save); part; part = strtok_r(NULL, "/", &save)) {
        if (!strcmp(part, "."))
            continue;
        if (!strcmp(part, "..")) {
            while (length && out[--length] != '/')
                ;
            continue;
        }
        size_t size = strlen(part);
        if (length + size + 2 > PATH_MAX)
            return false;
        out[length++] = '/';
        memcpy(out + length, part, size);
        length += size;
    }
    if (!length)
        out[length++] = '/';
    out[length] = 0;
    return true;
}

static void add_folder(struct shipment *s, const char *path)
{
    if (s->n_folders < FOLDERS_MAX && resolve(s->folders[s->n_folders], s->cwd, path))
        s->n_folders++;
}

/* Folders after the flag, glued to it or as the next word. */
static void find_folders(struct shipment *s, const char *options, const char *flag)
{
    char *copy = options ? strdup(options) : NULL;
    size_t length = strlen(flag);
    for (char *save, *word = copy ? strtok_r(copy, " \t\n", &save) : NULL; word; word = strtok_r(NULL, " \t\n", &save)) {
        if (strncmp(word, flag, length))
            continue;
        const char *folder = word[length] ? word + length : strtok_r(NULL, " \t\n", &save);
        if (!folder)
            break;
        add_folder(s, folder);
    }
    free(copy);
}

/* ---- files ---- */

static bool has(const struct shipment *s, const char *path)
{
    for (unsigned i = 0; i < s->n_files; i++)
        if (!strcmp(s->paths[i], path))
            return true;
    return false;
}

static void follow(const char *name, size_t length, void *context);

static bool add_file(struct shipment *s, const char *folder, const char *name)
{
    char path[PATH_MAX];
    struct stat st;
    if (s->n_files == FILES_MAX || !resolve(path, folder, name))
        return false;
    if (has(s, path))
        return true;
    if (stat(path, &st) < 0 || !S_ISREG(st.st_mode))
        return false;
    struct hira_text *text = &s->files[s->n_files];
    if ((uint64_t)st.st_size > FILES_BYTES_MAX - s->bytes || !(s->paths[s->n_files] = strdup(path)))
        return true;
    if (hira_text_read_file(text, path, FILES_BYTES_MAX - s->bytes) < 0) {
        hira_text_fini(text);
        free(s->paths[s->n_files]);
        return false;
    }
    s->bytes += text->size;
    unsigned mine = s->n_files++;
    /* What it includes is looked for beside it first. */
    char *slash = strrchr(path, '/');
    slash[slash == path ? 1 : 0] = 0;
    struct {
        struct shipment *s;
        const char *beside;
    } from = {s, path};
    scan(s->files[mine].data, s->files[mine].size, follow, &from);
    return true;
}

static void find_file(struct shipment *s, const char *beside, const char *name)
{
    if (beside && add_file(s, beside, name))
        return;
    for (unsigned i = 0; i < s->n_folders; i++)
        if (add_file(s, s->folders[i], name))
            return;
    add_file(s, s->cwd, name);
}

static void follow(const char *name, size_t length, void *context)
{
    struct {
        struct shipment *s;
        const char *beside;
    } *from = context;
    char copy[PATH_MAX];
    if (length >= sizeof copy)
        return;
    memcpy(copy, name, length);
    copy[length] = 0;
    find_file(from->s, from->beside, copy);
}

static void add_whole_folder(struct shipment *s, const char *folder)
{
    DIR *dir = opendir(folder);
    for (struct dirent *e; dir && (e = readdir(dir));)
        if (e->d_type == DT_REG || e->d_type == DT_LNK || e->d_type == DT_UNKNOWN)
            add_file(s, folder, e->d_name);
    if (dir)
        closedir(dir);
}

static void collect(struct shipment *s, const char *options, const char *flag)
{
    find_folders(s, options, flag);
    pthread_mutex_lock(&lock);
    for (unsigned i = n_names; i > 0; i--)
        find_file(s, NULL, names[i - 1]);
    bool whole = computed;
    pthread_mutex_unlock(&lock);
    for (unsigned i = 0; whole && i < s->n_folders; i++)
        add_whole_folder(s, s->folders[i]);
}

void hira_put_options(struct hira_call *c, const char *options, const char *flag)
{
    HIRA_UNCANCELLED;
    int saved = errno;
    struct shipment *s = calloc(1, sizeof *s);
    hira_put_string(c, options);
    if (s && !getcwd(s->cwd, sizeof s->cwd))
        strcpy(s->cwd, "/");
    if (s)
        collect(s, options, flag);
    hira_put_string(c, s ? s->cwd : "/");
    hira_put_word(c, s ? s->n_files : 0);
    for (unsigned i = 0; s && i < s->n_files; i++) {
        hira_put_string(c, s->paths[i]);
        hira_put_in(c, s->files[i].data, s->files[i].size, false);
        free(s->paths[i]);
        hira_text_fini(&s->files[i]);
    }
    free(s);
    errno = saved;
}
