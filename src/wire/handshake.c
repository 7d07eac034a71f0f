/* Taking control messages apart and putting them together: see handshake.h.
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0 */
#include "wire/handshake.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fd.h"

#define ENTRY_HEAD (sizeof(uint32_t) + sizeof(uint8_t))

int hira_message_check(const void *data, size_t size, enum hira_message_type type, size_t need)
{
    struct hira_message head;
    if (size < sizeof head)
        return -EPROTO;
    memcpy(&head, data, sizeof head);
    if (head.magic != HIRA_PROTOCOL_MAGIC)
        return -EPROTO;
    if (head.version != HIRA_PROTOCOL_VERSION)
        return -EPROTONOSUPPORT;
    if (head.type != type || head.size != size || size < need)
        return -EBADMSG;
    return 0;
}

bool hira_message_is_refusal(const void *data, size_t size)
{
    struct hira_message head;
    if (size != sizeof(struct hira_refused))
        return false;
    memcpy(&head, data, sizeof head);
    return head.magic == HIRA_PROTOCOL_MAGIC && head.type == HIRA_MSG_REFUSED && head.size == size;
}

bool hira_tenant_valid(const char name[HIRA_TENANT_MAX])
{
    if (!memchr(name, 0, HIRA_TENANT_MAX) || !name[0] || name[0] == '.')
        return false;
    return !name[strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.")];
}

bool hira_function_name_valid(const char *name, size_t length)
{
    bool valid = length && length <= HIRA_FUNCTION_NAME_MAX;
    for (size_t i = 0; valid && i < length; i++) /* whatever the locale */
        valid = (name[i] >= 'a' && name[i] <= 'z') || (name[i] >= 'A' && name[i] <= 'Z') || name[i] == '_' ||
                (name[i] >= '0' && name[i] <= '9');
    return valid;
}

int hira_hello_check(const void *data, size_t size)
{
    const struct hira_hello *hello = data;
    int error = hira_message_check(data, size, HIRA_MSG_HELLO, sizeof *hello);
    if (error)
        return error;
    size_t rest = size - sizeof *hello;
    if (!memchr(hello->api, 0, sizeof hello->api) || hello->n_functions > HIRA_FUNCTIONS_MAX ||
        hello->functions_size > rest || hello->environment_size != rest - hello->functions_size ||
        hello->environment_size > HIRA_ENVIRONMENT_MAX)
        return -EBADMSG;

    const uint8_t *p = (const uint8_t *)(hello + 1);
    size_t left = hello->functions_size;
    bool named = true;
    for (uint32_t i = 0; i < hello->n_functions; i++) {
        if (left < ENTRY_HEAD || p[4] > HIRA_FUNCTION_NAME_MAX || left - ENTRY_HEAD < p[4])
            return -EBADMSG;
        size_t entry = ENTRY_HEAD + p[4];
        named &= hira_function_name_valid((const char *)p + ENTRY_HEAD, p[4]);
        p += entry;
        left -= entry;
    }
    bool terminated = hello->environment_size == 0 || p[hello->environment_size - 1] == 0;
    return left || !terminated ? -EBADMSG : named ? 0 : -EILSEQ;
}

bool hira_hello_next(const struct hira_hello *hello, size_t *cursor, uint32_t *ret_signature, const char **ret_name,
                     size_t *ret_length)
{
    if (*cursor >= hello->functions_size)
        return false;
    const uint8_t *p = (const uint8_t *)(hello + 1) + *cursor;
    memcpy(ret_signature, p, sizeof *ret_signature);
    *ret_length = p[4];
    *ret_name = (const char *)p + ENTRY_HEAD;
    *cursor += ENTRY_HEAD + *ret_length;
    return true;
}

const char *hira_hello_environment(const struct hira_hello *hello, size_t *ret_size)
{
    *ret_size = hello->environment_size;
    return (const char *)(hello + 1) + hello->functions_size;
}

bool hira_slice_valid(const struct hira_slice *r, uint64_t file_size)
{
    return !(r->offset % 4096) && !(r->size % 4096) && r->size && r->offset >= HIRA_REGION_HEAD && r->offset <= file_size &&
           r->size <= file_size - r->offset;
}

struct hira_refused hira_refusal(int error, const char *format, va_list args)
{
    struct hira_refused refused = {.head = hira_message_head(HIRA_MSG_REFUSED, sizeof refused), .error = error};
    vsnprintf(refused.text, sizeof refused.text, format, args);
    return refused;
}

int hira_refuse(int sock, int error, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    struct hira_refused refused = hira_refusal(error, format, args);
    va_end(args);
    return hira_fd_send(sock, &refused, sizeof refused, NULL, 0);
}

/* In a folder that anybody may have made. */
static int common_path(char *path, size_t size)
{
    return snprintf(path, size, "/tmp/hira-%u/hirad.sock", (unsigned)geteuid());
}

int hira_socket_path(char *path, size_t size)
{
    /* Of who runs a program that is its owner's or group's in part (setuid), these are not believed. */
    const char *set = secure_getenv("HIRA_SOCKET"), *runtime = secure_getenv("XDG_RUNTIME_DIR");
    int n;
    if (set && *set)
        n = snprintf(path, size, "%s", set);
    else if (geteuid() == 0)
        n = snprintf(path, size, HIRA_SYSTEM_SOCKET);
    else if (runtime && *runtime)
        n = snprintf(path, size, "%s/hira/hirad.sock", runtime);
    else
        n = common_path(path, size);
    return n < 0 || (size_t)n >= size ? -ENAMETOOLONG : 0;
}

/* Whether this user or root listens there. Whoever serves a guest could do as it likes in it. */
static bool is_own(int fd)
{
    uid_t who = hira_fd_peer_user(fd);
    return who == geteuid() || who == 0;
}

static int connect_to(const char *path, int flags)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path)
        return -ENAMETOOLONG;
    strcpy(address.sun_path, path);
    HIRA_AUTOCLOSE int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | flags, 0);
    if (fd < 0)
        return -errno;
    int ret;
    do
        ret = connect(fd, (struct sockaddr *)&address, sizeof address);
    while (ret < 0 && errno == EINTR);
    if (ret < 0)
        return -errno;
    char common[sizeof address.sun_path];
    common_path(common, sizeof common);
    return strcmp(path, common) == 0 && !is_own(fd) ? -EPERM : HIRA_STEAL_FD(fd);
}

int hira_socket_connect(const char *path)
{
    return connect_to(path, 0);
}

int hira_socket_connect_now(const char *path)
{
    int fd = connect_to(path, SOCK_NONBLOCK);
    if (fd >= 0)
        fcntl(fd, F_SETFL, 0);
    return fd;
}
