/*
 * An API server without an API, for tests of hirad and the zygote. What it gets wrong is told by its name
 * (hira-server-NAME) until it has a guest, and by the guest's messages, plain words, from then on.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "server/zygote.h"

static char api[HIRA_API_NAME_MAX];
/* A fault of the processor: the first process of a namespace ignores signals that it sends to itself. Not null, at which a sanitizer
 * would end it before. */
static volatile int *volatile nowhere = (volatile int *)4096;

static bool is(const char *name)
{
    return !strcmp(api, name);
}

static void *idle(void *unused)
{
    for (;;)
        pause();
    return unused;
}

static int load(char *error, size_t size)
{
    pthread_t thread;
    if (is("noload")) {
        snprintf(error, size, "libfake.so.1: cannot open shared object file");
        return -1;
    }
    if (is("crashload")) {
        fputs("fake: about to crash while loading\n", stderr);
        abort();
    }
    if (is("threads") && pthread_create(&thread, NULL, idle, NULL))
        return -1;
    return 0;
}

static int warm(char *error, size_t size)
{
    if (is("nowarm")) {
        snprintf(error, size, "no device of the fake kind");
        return -1;
    }
    if (is("picky") && getenv("HOME") && strstr(getenv("HOME"), "user-65534")) {
        snprintf(error, size, "no device for that user");
        return -1;
    }
    if (is("sleepy") && getenv("HOME") && strstr(getenv("HOME"), "user-65534"))
        for (;;)
            pause();
    if (is("crashwarm")) {
        fputs("fake: about to crash while warming\n", stderr);
        abort();
    }
    if (is("hang"))
        for (;;)
            pause();
    if (is("slow"))
        usleep(300 * 1000);
    if (is("talker"))
        hira_fd_send(hira_zygote_router(), "surprise", 8, NULL, 0);
    return 0;
}

static int welcome(int sock)
{
    struct hira_welcome m = {.head = hira_message_head(HIRA_MSG_WELCOME, sizeof m), .server_pid = hira_zygote_pid()};
    return hira_fd_send(sock, &m, sizeof m, NULL, 0);
}

static void flood(void)
{
    for (int i = 0; i < 20000; i++)
        fprintf(stderr, "flood %d \033[31m\n", i);
}

/* The folder with something of everything in it that is hard to remove. */
static void litter(void)
{
    char deep[] = "d";
    FILE *f = fopen("file", "w");
    if (f)
        fclose(f);
    if (symlink("/", "link") < 0 || mkdir("closed", 0) < 0)
        fputs("fake: cannot litter\n", stderr);
    for (int i = 0; i < 3000; i++)
        if (mkdir(deep, 0700) < 0 || chdir(deep) < 0)
            break;
}

/* More than is quickly removed; says when it is there. */
static void hoard(void)
{
    char name[32];
    int fd = open("first", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    for (int i = 0; i < 400; i++) {
        snprintf(name, sizeof name, "%d", i);
        if (mkdir(name, 0700) < 0)
            break;
        for (int k = 0; k < 500; k++) {
            snprintf(name, sizeof name, "%d/%d", i, k);
            if (link("first", name) < 0)
                break;
        }
    }
    close(fd);
}

static void describe(int sock, const struct hira_adopt *adopt)
{
    char text[2048], cwd[256] = "";
    const char *mark = getenv("HIRA_SERVER"), *setting = getenv("FAKE_SETTING"), *tmp = getenv("TMPDIR");
    const char *wish = getenv("FAKE_WISH_A"), *other = getenv("FAKE_OTHER");
    int n = snprintf(text, sizeof text, "dir=%s cwd=%s tmp=%s mark=%s setting=%s wish=%s other=%s session=%d guest=%u uid=%u",
                     hira_zygote_directory(), getcwd(cwd, sizeof cwd) ? cwd : "", tmp ? tmp : "", mark ? mark : "",
                     setting ? setting : "", wish ? wish : "", other ? other : "", getsid(0) == getpid(), adopt ? adopt->pid : 0, adopt ? adopt->uid : 0);
    hira_fd_send(sock, text, (size_t)n, NULL, 0);
}

/* A descriptor to hirad; says how that went. */
static void give(int sock)
{
    const int fd = STDIN_FILENO;
    int error = hira_fd_send(hira_zygote_router(), "gift", 4, &fd, 1);
    const char *text = strerror(-error);
    hira_fd_send(sock, text, strlen(text), NULL, 0);
}

static int serve(int sock, const struct hira_hello *hello, size_t hello_size, const struct hira_adopt *adopt)
{
    char word[64];
    if (hira_hello_check(hello, hello_size) || welcome(sock) < 0)
        return 1;
    for (;;) {
        ssize_t n = hira_fd_receive(sock, word, sizeof word - 1, NULL, NULL, 0);
        if (n <= 0)
            return n ? 1 : 0;
        word[n] = 0;
        if (!strcmp(word, "crash"))
            *nowhere = 1;
        if (!strcmp(word, "exit"))
            return 9;
        if (!strcmp(word, "flood"))
            flood();
        if (!strcmp(word, "litter"))
            litter();
        if (!strcmp(word, "hoard"))
            hoard();
        if (!strcmp(word, "hide"))
            close(hira_zygote_router());
        if (!strcmp(word, "surprise"))
            hira_fd_send(hira_zygote_router(), "surprise", 8, NULL, 0);
        if (!strcmp(word, "describe"))
            describe(sock, adopt);
        else if (!strcmp(word, "gift"))
            give(sock);
        else
            hira_fd_send(sock, word, (size_t)n, NULL, 0);
    }
}

static const char *describe_vendor(void)
{
    return "a fake vendor";
}

int main(int argc, char **argv)
{
    static const char *const environment[] = {"FAKE_SETTING=of=the=spec", NULL};
    const char *name = strstr(argv[0], "hira-server-");
    snprintf(api, sizeof api, "%s", name ? name + strlen("hira-server-") : "fake");
    static const char *const wishes[] = {"FAKE_WISH_*", NULL};
    const struct hira_zygote_ops ops = {.api = api,
                                        .environment = environment,
                                        .load = load,
                                        .warm = warm,
                                        .serve = serve,
                                        .describe = describe_vendor,
                                        .guest_environment = wishes};
    return hira_zygote_main(argc, argv, &ops);
}
