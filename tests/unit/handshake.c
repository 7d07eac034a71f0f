/* HELLO and the other control messages. Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
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
    entry(0x22222222, "");
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
    const char *name, *expect[] = {"first", "", "third"};
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

int main(void)
{
    test_walk();
    test_heads();
    test_counts();
    test_bits();
    test_refuse();
    test_path();
    return tap_done();
}
