/* HELLO and the other control messages. Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "tests/tap.h"
#include "wire/handshake.h"

static union {
    struct hira_hello hello;
    char bytes[HIRA_MESSAGE_MAX];
} m;
static size_t size;

static void entry(uint32_t signature, const char *name)
{
    uint8_t length = (uint8_t)strlen(name);
    memcpy(m.bytes + size, &signature, 4);
    m.bytes[size + 4] = (char)length;
    memcpy(m.bytes + size + 5, name, length);
    size += 5u + length;
}

/* A good HELLO, for a test to spoil. */
static void make(void)
{
    memset(&m, 0xee, sizeof m);
    size = sizeof m.hello;
    m.hello = (struct hira_hello){.pid = 1, .n_functions = 3};
    strcpy(m.hello.api, "null");
    entry(0x11111111, "first");
    entry(0x22222222, "_2nd");
    entry(0x33333333, "third");
    m.hello.functions_size = (uint32_t)(size - sizeof m.hello);
    memcpy(m.bytes + size, "A=1\0BB=2", 9);
    m.hello.environment_size = 9;
    size += 9;
    m.hello.head = hira_message_head(HIRA_MSG_HELLO, size);
}

#define SPOILED(statement, error)                      \
    do {                                               \
        make();                                        \
        statement;                                     \
        CHECK(hira_hello_check(&m, size) == (error)); \
    } while (0)

static void test_walk(void)
{
    size_t cursor = 0, length, n;
    uint32_t signature, i = 0;
    const char *name, *expect[] = {"first", "_2nd", "third"};
    make();
    CHECK(hira_hello_check(&m, size) == 0);
    while (hira_hello_next(&m.hello, &cursor, &signature, &name, &length)) {
        CHECK(i < 3 && length == strlen(expect[i]) && !memcmp(name, expect[i], length));
        CHECK(signature == 0x11111111u * (i + 1));
        i++;
    }
    CHECK(i == 3);
    const char *environment = hira_hello_environment(&m.hello, &n);
    CHECK(n == 9 && !strcmp(environment, "A=1") && !strcmp(environment + 4, "BB=2"));
    tap_case("a good HELLO is walked through");
}

static void test_heads(void)
{
    SPOILED(m.hello.head.magic++, -EPROTO);
    SPOILED(m.hello.head.version++, -EPROTONOSUPPORT);
    SPOILED(m.hello.head.type = HIRA_MSG_WELCOME, -EBADMSG);
    SPOILED(m.hello.head.size++, -EBADMSG);
    SPOILED(size--, -EBADMSG);
    SPOILED(size = sizeof m.hello.head - 1, -EPROTO);
    SPOILED(size = 0, -EPROTO);
    SPOILED((size = sizeof m.hello - 1, m.hello.head.size = (uint32_t)size), -EBADMSG);
    tap_case("another magic, version, type or size is refused");
}

static void test_counts(void)
{
    SPOILED(memset(m.hello.api, 'x', sizeof m.hello.api), -EBADMSG);
    SPOILED(m.hello.n_functions = 2, -EBADMSG);
    SPOILED(m.hello.n_functions = 4, -EBADMSG);
    SPOILED(m.hello.n_functions = UINT32_MAX, -EBADMSG);
    SPOILED(m.hello.functions_size--, -EBADMSG);
    SPOILED(m.hello.functions_size = UINT32_MAX, -EBADMSG);
    SPOILED(m.hello.environment_size = UINT32_MAX, -EBADMSG);
    SPOILED(m.hello.environment_size = 0, -EBADMSG);
    SPOILED((m.hello.functions_size += 9, m.hello.environment_size = 0), -EBADMSG);
    SPOILED((m.hello.functions_size -= 1, m.hello.environment_size += 1), -EBADMSG);
    SPOILED(m.bytes[size - 1] = 'x', -EBADMSG);
    SPOILED(m.bytes[sizeof m.hello + 4] = (char)255, -EBADMSG);
    SPOILED(m.bytes[sizeof m.hello + 4] = (char)(HIRA_FUNCTION_NAME_MAX + 1), -EBADMSG);
    tap_case("counts and lengths that do not add up are refused");

    for (const char *wrong = " \"\\\n{}-.\x1b\x7f\xff"; *wrong; wrong++)
        SPOILED(m.bytes[sizeof m.hello + 7] = *wrong, -EILSEQ);
    SPOILED(m.bytes[sizeof m.hello + 5] = 0, -EILSEQ);
    SPOILED(m.bytes[size - 9 - 1] = '"', -EILSEQ); /* the last one's last */
    CHECK(hira_function_name_valid("vk_Create2", 10) && !hira_function_name_valid("", 0));
    tap_case("functions' names are names");

    make();
    m.hello.n_functions = m.hello.functions_size = m.hello.environment_size = 0;
    size = sizeof m.hello;
    m.hello.head.size = (uint32_t)size;
    CHECK(hira_hello_check(&m, size) == 0);
    tap_case("a HELLO of nothing is one");
}

/* Every byte of a good HELLO with every bit turned: whatever the check lets through can be walked inside of it. */
static void test_bits(void)
{
    make();
    size_t whole = size;
    bool inside = true;
    for (size_t bit = 0; bit < whole * 8; bit++) {
        make();
        m.bytes[bit / 8] ^= (char)(1 << bit % 8);
        char *exact = malloc(size); /* for the sanitizer to see one byte too far */
        memcpy(exact, &m, size);
        const struct hira_hello *hello = (const struct hira_hello *)exact;
        if (hira_hello_check(hello, size) == 0) {
            size_t cursor = 0, length, n;
            uint32_t signature;
            const char *name;
            while (hira_hello_next(hello, &cursor, &signature, &name, &length))
                inside &= name + length <= exact + size;
            const char *environment = hira_hello_environment(hello, &n);
            inside &= environment + n == exact + size;
        }
        free(exact);
    }
    CHECK(inside);
    tap_case("no turned bit leads out of the message");
}

static void test_refuse(void)
{
    int ends[2];
    struct hira_refused refused;
    CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends) == 0);
    char *longer = malloc(1000);
    memset(longer, 'x', 999);
    longer[999] = 0;
    CHECK(hira_refuse(ends[0], EACCES, "no: %s", longer) == 0);
    free(longer);
    CHECK(hira_fd_receive(ends[1], &refused, sizeof refused, NULL, NULL, 0) == sizeof refused);
    CHECK(hira_message_check(&refused, sizeof refused, HIRA_MSG_REFUSED, sizeof refused) == 0);
    CHECK(hira_message_is_refusal(&refused, sizeof refused) && !hira_message_is_refusal(&refused, sizeof refused - 1));
    refused.head.version++; /* who speaks another version says so in this */
    CHECK(hira_message_is_refusal(&refused, sizeof refused));
    CHECK(hira_message_check(&refused, sizeof refused, HIRA_MSG_REFUSED, sizeof refused) == -EPROTONOSUPPORT);
    refused.head.type = HIRA_MSG_WELCOME;
    CHECK(!hira_message_is_refusal(&refused, sizeof refused));
    CHECK(refused.error == EACCES && !strncmp(refused.text, "no: xx", 6) && refused.text[sizeof refused.text - 1] == 0);
    close(ends[0]);
    close(ends[1]);
    tap_case("a refusal says why, cut to its room");
}

static void test_path(void)
{
    char path[32];
    setenv("HIRA_SOCKET", "/some/where.sock", 1);
    CHECK(hira_socket_path(path, sizeof path) == 0 && !strcmp(path, "/some/where.sock"));
    CHECK(hira_socket_path(path, 5) == -ENAMETOOLONG);
    char longer[200];
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = 0;
    CHECK(hira_socket_connect(longer) == -ENAMETOOLONG);
    CHECK(hira_socket_connect("/nonexistent/hira.sock") == -ENOENT);
    tap_case("where the router listens");
}

/* As root, for it takes three users: one who listens where another one's hirad would be. */
static void test_impostor(void)
{
    const uid_t victim = 3000000000u + 2 * (uid_t)getpid(), attacker = victim + 1; /* nobody's, and of this test alone */
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char place[40];
    int fd[3];
    snprintf(place, sizeof place, "/tmp/hira-%u", (unsigned)victim);
    if (geteuid() != 0) {
        tap_skip("nobody poses as hirad", "not root");
        return;
    }
    unsetenv("HIRA_SOCKET");
    unsetenv("XDG_RUNTIME_DIR");
    CHECK(mkdir(place, 0777) == 0 && chmod(place, 0777) == 0);
    CHECK(seteuid(victim) == 0 && hira_socket_path(address.sun_path, sizeof address.sun_path) == 0 && seteuid(0) == 0);
    CHECK(!strncmp(address.sun_path, place, strlen(place)));
    const uid_t users[] = {attacker, victim, 0};
    const mode_t mask = umask(0);
    for (int i = 0; i < 3; i++) {
        unlink(address.sun_path);
        fd[i] = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
        CHECK(seteuid(users[i]) == 0 && bind(fd[i], (struct sockaddr *)&address, sizeof address) == 0 && listen(fd[i], 1) == 0);
        CHECK(seteuid(0) == 0 && seteuid(victim) == 0);
        int got = hira_socket_connect(address.sun_path);
        CHECK(i == 0 ? got == -EPERM : got >= 0);
        if (got >= 0)
            close(got);
        CHECK(seteuid(0) == 0);
        close(fd[i]);
    }
    umask(mask);
    unlink(address.sun_path);
    rmdir(place);
    tap_case("nobody poses as hirad");
}

/* A program that is root's, run by nobody who says where hirad is. */
static void test_setuid(void)
{
    char copy[] = "/tmp/hira-setuid-XXXXXX", said[200] = "";
    int from = open("/proc/self/exe", O_RDONLY | O_CLOEXEC), ends[2], status = 1;
    struct statvfs fs;
    if (geteuid() != 0 || statvfs("/tmp", &fs) < 0 || fs.f_flag & (ST_NOSUID | ST_NOEXEC)) {
        tap_skip("programs that are their owner's look where the owner says", "no such programs here");
        close(from);
        return;
    }
    int to = mkostemp(copy, O_CLOEXEC);
    while (sendfile(to, from, NULL, 1 << 20) > 0)
        ;
    CHECK(fchmod(to, 04755) == 0 && pipe2(ends, O_CLOEXEC) == 0);
    close(to);
    close(from);
    pid_t pid = fork();
    if (pid == 0) {
        setenv("HIRA_SOCKET", "/evil.sock", 1);
        if (dup2(ends[1], STDOUT_FILENO) < 0 || setgid(65534) < 0 || setuid(65534) < 0)
            _exit(1);
        execl(copy, copy, "--path", NULL);
        _exit(1);
    }
    close(ends[1]);
    CHECK(waitpid(pid, &status, 0) == pid && status == 0);
    CHECK(read(ends[0], said, sizeof said - 1) > 0 && !strcmp(said, "/run/hira/hirad.sock"));
    close(ends[0]);
    unlink(copy);
    tap_case("programs that are their owner's look where the owner says");
}

int main(int argc, char **argv)
{
    char path[108];
    if (argc == 2 && !strcmp(argv[1], "--path"))
        return hira_socket_path(path, sizeof path) || write(STDOUT_FILENO, path, strlen(path)) < 0;
    test_walk();
    test_heads();
    test_counts();
    test_bits();
    test_refuse();
    test_path();
    test_impostor();
    test_setuid();
    return tap_done();
}
