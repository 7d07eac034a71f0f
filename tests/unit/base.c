/* src/base: pool, text, descriptors, list. Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/list.h"
#include "base/pool.h"
#include "base/text.h"
#include "tests/tap.h"

static int open_descriptors(void)
{
    int n = 0;
    for (int fd = 0; fd < 256; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

static void test_pool(void)
{
    struct hira_pool *pool = hira_pool_create();
    bool zeroed = true, aligned = true;
    for (size_t size = 0; size < 5000; size += 37) {
        char *p = hira_pool_alloc(pool, size);
        aligned &= (uintptr_t)p % 16 == 0;
        for (size_t i = 0; i < size; i++)
            zeroed &= p[i] == 0;
        memset(p, 0xee, size);
    }
    CHECK(zeroed);
    CHECK(aligned);
    char *big = hira_pool_alloc(pool, 1 << 20);
    CHECK(big[0] == 0 && big[(1 << 20) - 1] == 0);
    tap_case("pool: memory is zeroed and aligned, also beyond a block");

    CHECK(!strcmp(hira_pool_strdup(pool, "abc"), "abc"));
    CHECK(hira_pool_strdup(pool, NULL) == NULL);
    CHECK(!strcmp(hira_pool_strndup(pool, "abcdef", 3), "abc"));
    CHECK(!strcmp(hira_pool_printf(pool, "%d-%s", 7, "x"), "7-x"));
    char *copy = hira_pool_copy(pool, "a\0b", 3);
    CHECK(!memcmp(copy, "a\0b", 3));
    tap_case("pool: copies and formats");

    int *items = NULL;
    size_t n = 0;
    bool zero = true;
    for (int i = 0; i < 1000; i++) {
        int *item = HIRA_POOL_PUSH(pool, items, n);
        zero &= *item == 0;
        *item = i;
    }
    CHECK(zero);
    CHECK(n == 1000);
    for (int i = 0; i < 1000; i++)
        if (!CHECK(items[i] == i))
            break;
    tap_case("pool: arrays grow and keep their elements");
    hira_pool_destroy(pool);
    hira_pool_destroy(NULL);
}

static void test_text(void)
{
    struct hira_text t = {0};
    hira_text_puts(&t, "");
    CHECK(t.size == 0 && (!t.data || !t.data[0]));
    for (int i = 0; i < 1000; i++)
        hira_text_printf(&t, "%d,", i);
    CHECK(t.size == 10 * 2 + 90 * 3 + 900 * 4);
    CHECK(strlen(t.data) == t.size);
    CHECK(!strncmp(t.data, "0,1,2,", 6));
    hira_text_append(&t, "a\0b", 3);
    CHECK(t.data[t.size] == 0 && t.data[t.size - 2] == 0);
    tap_case("text: grows, stays terminated, carries zeros");

    char path[] = "hira-unit-XXXXXX";
    int fd = mkstemp(path);
    CHECK(fd >= 0);
    close(fd);
    struct stat before, after;
    CHECK(hira_text_write_file(&t, path) == 0);
    CHECK(stat(path, &before) == 0 && (size_t)before.st_size == t.size);
    CHECK(hira_text_write_file(&t, path) == 0);
    CHECK(stat(path, &after) == 0 && before.st_ino == after.st_ino);
    tap_case("text: a file with the same bytes is left alone");
    hira_text_puts(&t, "more");
    CHECK(hira_text_write_file(&t, path) == 0);
    struct hira_text back = {0};
    CHECK(hira_text_read_file(&back, path, 1 << 20) == 0);
    CHECK(back.size == t.size && !memcmp(back.data, t.data, t.size));
    hira_text_fini(&back);
    CHECK(hira_text_read_file(&back, path, 10) == -EFBIG);
    hira_text_fini(&back);
    CHECK(hira_text_read_file(&back, "/nonexistent/x", 10) == -ENOENT);
    hira_text_fini(&back);
    CHECK(hira_text_write_file(&t, "/nonexistent/x") < 0);
    unlink(path);
    hira_text_fini(&t);
    hira_text_fini(&t);
    tap_case("text: reading back, limits, errors");
}

static void test_messages(void)
{
    int ends[2], n_open = open_descriptors(), fds[HIRA_FD_MAX];
    char data[64];
    CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0);
    CHECK(hira_fd_send(ends[0], "hello", 5, NULL, 0) == 0);
    CHECK(hira_fd_receive(ends[1], data, sizeof data, NULL, NULL, 0) == 5);
    CHECK(!memcmp(data, "hello", 5));
    CHECK(hira_fd_receive(ends[1], data, sizeof data, NULL, NULL, MSG_DONTWAIT) == -EAGAIN);
    CHECK(hira_fd_send(ends[0], "hello", 5, NULL, 0) == 0);
    CHECK(hira_fd_receive(ends[1], data, 4, NULL, NULL, 0) == -EMSGSIZE);
    tap_case("messages: whole ones only");

    for (int i = 0; i < HIRA_FD_MAX; i++)
        fds[i] = ends[0];
    CHECK(hira_fd_send(ends[0], "x", 1, fds, HIRA_FD_MAX) == 0);
    size_t n = HIRA_FD_MAX;
    CHECK(hira_fd_receive(ends[1], data, sizeof data, fds, &n, 0) == 1);
    CHECK(n == HIRA_FD_MAX);
    for (size_t i = 0; i < n; i++) {
        CHECK(fcntl(fds[i], F_GETFD) == FD_CLOEXEC);
        close(fds[i]);
    }
    CHECK(hira_fd_send(ends[0], "x", 1, fds, HIRA_FD_MAX + 1) == -EINVAL);
    tap_case("messages: descriptors arrive, close-on-exec");

    fds[0] = fds[1] = ends[0];
    CHECK(hira_fd_send(ends[0], "x", 1, fds, 2) == 0);
    n = 1;
    CHECK(hira_fd_receive(ends[1], data, sizeof data, fds, &n, 0) == -EMSGSIZE);
    CHECK(n == 0);
    fds[0] = ends[0];
    CHECK(hira_fd_send(ends[0], "x", 1, fds, 1) == 0);
    CHECK(hira_fd_receive(ends[1], data, sizeof data, NULL, NULL, 0) == -EMSGSIZE);
    fds[0] = ends[0];
    CHECK(hira_fd_send(ends[0], "toolong", 7, fds, 1) == 0);
    n = 1;
    CHECK(hira_fd_receive(ends[1], data, 2, fds, &n, 0) == -EMSGSIZE && n == 0);
    fds[0] = ends[0];
    CHECK(hira_fd_send(ends[0], "", 0, fds, 1) == 0);
    n = 1;
    CHECK(hira_fd_receive(ends[1], data, sizeof data, fds, &n, 0) == 0 && n == 0);
    CHECK(open_descriptors() == n_open + 2);
    tap_case("messages: descriptors nobody asked for are closed, as are those of an empty one");

    close(ends[0]);
    CHECK(hira_fd_receive(ends[1], data, sizeof data, NULL, NULL, 0) == 0);
    CHECK(hira_fd_send(ends[1], "x", 1, NULL, 0) == -EPIPE);
    close(ends[1]);
    CHECK(open_descriptors() == n_open);
    tap_case("messages: hang-up, without a signal");
}

static void test_shared_memory(void)
{
    int fd = hira_fd_shared_memory("unit", 8192);
    CHECK(fd >= 0);
    CHECK(fcntl(fd, F_GETFD) == FD_CLOEXEC);
    CHECK(ftruncate(fd, 4096) < 0 && errno == EPERM);
    CHECK(ftruncate(fd, 16384) < 0 && errno == EPERM);
    CHECK(hira_fd_check_sealed(fd, 8192) == 0);
    CHECK(hira_fd_check_sealed(fd, 4096) == 0);
    CHECK(hira_fd_check_sealed(fd, 8193) == -EINVAL);
    close(fd);
    int loose = memfd_create("loose", MFD_ALLOW_SEALING);
    CHECK(ftruncate(loose, 8192) == 0);
    CHECK(hira_fd_check_sealed(loose, 8192) == -EINVAL);
    close(loose);
    CHECK(hira_fd_check_sealed(loose, 1) == -EBADF);
    tap_case("shared memory: its size cannot change; what could is refused");
}

static void test_streams(void)
{
    int ends[2];
    char data[8] = {0};
    CHECK(pipe2(ends, O_CLOEXEC) == 0);
    CHECK(hira_fd_write_all(ends[1], "abcd", 4) == 0);
    CHECK(hira_fd_read_all(ends[0], data, 2) == 0 && !memcmp(data, "ab", 2));
    hira_fd_closep(&ends[1]);
    CHECK(hira_fd_read_all(ends[0], data, 4) == -EPIPE);
    errno = 77;
    hira_fd_closep(&ends[0]);
    hira_fd_closep(&ends[1]);
    CHECK(errno == 77);
    tap_case("streams: whole reads and writes");
}

struct item {
    int value;
    struct hira_list link;
};

static void test_list(void)
{
    struct hira_list head = HIRA_LIST_INIT(head), *pos, *tmp;
    struct item items[5];
    CHECK(hira_list_empty(&head));
    for (int i = 0; i < 5; i++) {
        items[i].value = i;
        hira_list_append(&head, &items[i].link);
    }
    int expect = 0;
    hira_list_for_each(pos, tmp, &head) {
        struct item *item = hira_list_entry(pos, struct item, link);
        CHECK(item->value == expect++);
        if (item->value % 2)
            hira_list_remove(pos);
    }
    CHECK(expect == 5);
    hira_list_remove(&items[1].link);
    int sum = 0;
    hira_list_for_each(pos, tmp, &head)
        sum += hira_list_entry(pos, struct item, link)->value;
    CHECK(sum == 0 + 2 + 4);
    tap_case("list: order, removal while walking, removal twice");
}

int main(void)
{
    test_pool();
    test_text();
    test_messages();
    test_shared_memory();
    test_streams();
    test_list();
    return tap_done();
}
