/* See place.h. Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0 */
#include "remote/place.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "remote/limits.h"

#define VSOCK "vsock"
#define UNIX "unix:"

static int parse_vsock(struct relay_place *p, const char *text, bool listens)
{
    unsigned long numbers[2] = {listens ? VMADDR_CID_ANY : VMADDR_CID_HOST, strtoul(RELAY_PORT, NULL, 10)};
    for (unsigned i = *text && strchr(text + 1, ':') ? 0 : 1; *text; i++) {
        char *end;
        if (i > 1 || text[1] < '0' || text[1] > '9')
            return -EINVAL;
        numbers[i] = strtoul(text + 1, &end, 10);
        if ((*end && *end != ':') || numbers[i] >= UINT32_MAX)
            return -EINVAL;
        text = end;
    }
    p->address.vm =
        (struct sockaddr_vm){.svm_family = AF_VSOCK, .svm_cid = (unsigned)numbers[0], .svm_port = (unsigned)numbers[1]};
    p->info.ai_addrlen = sizeof p->address.vm;
    return 0;
}

static int parse_unix(struct relay_place *p, const char *path)
{
    p->address.un = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (*path != '/' || strlen(path) >= sizeof p->address.un.sun_path)
        return -EINVAL;
    memcpy(p->address.un.sun_path, path, strlen(path) + 1);
    p->info.ai_addrlen = sizeof p->address.un;
    return 0;
}

int relay_place_parse(struct relay_place *p, const char *address, bool listens)
{
    const size_t vsock = strlen(VSOCK), un = strlen(UNIX);
    int error = -ENOENT;
    *p = (struct relay_place){.info = {.ai_socktype = SOCK_STREAM}};
    if (!strncmp(address, VSOCK, vsock) && (!address[vsock] || address[vsock] == ':'))
        error = parse_vsock(p, address + vsock, listens);
    else if (!strncmp(address, UNIX, un))
        error = parse_unix(p, address + un);
    p->info.ai_family = p->address.any.sa_family;
    p->info.ai_addr = &p->address.any;
    return error;
}

/* A socket that a dead relay left is replaced. 0 or -errno. */
static int clear_way(const struct relay_place *p)
{
    struct stat st;
    HIRA_AUTOCLOSE int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (lstat(p->address.un.sun_path, &st) < 0)
        return 0;
    if (!S_ISSOCK(st.st_mode))
        return -EEXIST;
    if (probe < 0 || connect(probe, &p->address.any, p->info.ai_addrlen) == 0 || errno == EAGAIN)
        return -EADDRINUSE;
    return unlink(p->address.un.sun_path) < 0 ? -errno : 0;
}

int relay_place_listen(const struct relay_place *p)
{
    int error = p->info.ai_family == AF_UNIX ? clear_way(p) : 0;
    if (error)
        return error;
    HIRA_AUTOCLOSE int fd = socket(p->info.ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    mode_t mask = umask(0177);
    error = fd < 0 || bind(fd, &p->address.any, p->info.ai_addrlen) < 0 || listen(fd, 128) < 0 ? -errno : 0;
    umask(mask);
    return error ? error : HIRA_STEAL_FD(fd);
}
