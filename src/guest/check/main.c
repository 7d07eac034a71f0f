/*
 * hira-guest-check: in a virtual machine, looks at each part of the way to the host's device and says what is missing.
 *
 * It is a guest itself: what it tells of hirad, of memory and of calls it has tried, by a call that asks for nothing.
 * For each API a child of its own, since a process is a guest once.
 *
 * Exit status: 0 all is there, 1 something is missing, 2 the command line makes no sense.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/vm_sockets.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "guest/internal.h"
#include "guest/vsock.h"

#define CALLS 1000
#define ROUNDS 5
#define RELAY "/usr/lib/hira/hira-relay"

static char api[HIRA_API_NAME_MAX];
/* A guest of whichever API, that knows none of its functions. */
const struct hira_guest_api hira_guest_api = {.name = api};

static bool say(bool good, const char *part, const char *what, const char *hint)
{
    printf("%-7s %-4s %s%s%s\n", part, good ? "ok" : "NO", what, good ? "" : ": ", good ? "" : hint);
    fflush(stdout);
    return good;
}

static bool check_vsock(void)
{
    char text[100];
    unsigned cid = VMADDR_CID_ANY;
    HIRA_AUTOCLOSE int fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return say(false, "vsock", strerror(errno), "modprobe vmw_vsock_virtio_transport");
    HIRA_AUTOCLOSE int device = open("/dev/vsock", O_RDONLY | O_CLOEXEC);
    if (device >= 0 && ioctl(device, IOCTL_VM_SOCKETS_GET_LOCAL_CID, &cid) == 0 && cid != VMADDR_CID_ANY)
        snprintf(text, sizeof text, "this machine's address is %u", cid);
    else
        snprintf(text, sizeof text, "there; of its address /dev/vsock says nothing");
    return say(true, "vsock", text, "");
}

/* Told of each, so that a wrong one is seen as well; found when one of them has been written by a bridge. */
static bool look_at(void *context, const char *path)
{
    char text[400];
    bool *any = context;
    HIRA_AUTOCLOSE int fd = open(path, O_RDWR | O_CLOEXEC);
    const char *why = fd < 0 ? strerror(errno) : NULL;
    const uint64_t *head =
        fd < 0 ? MAP_FAILED : mmap(NULL, HIRA_REGION_HEAD, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (!why && head == MAP_FAILED)
        why = errno == EPERM ? "the kernel is locked down (Secure Boot)" : strerror(errno);
    bool ours = head != MAP_FAILED && head[0] == HIRA_REGION_MAGIC;
    if (ours)
        snprintf(text, sizeof text, "%s, %llu MiB", path, (unsigned long long)head[3] >> 20);
    else
        snprintf(text, sizeof text, "%s", path);
    *any |= say(ours, "memory", text, why ? why : "no hira-bridge has written there");
    if (head != MAP_FAILED)
        munmap((void *)head, HIRA_REGION_HEAD);
    return false;
}

static bool check_memory(void)
{
    bool any = false, seen = false;
    hira_vsock_each_memory(look_at, &any);
    seen = any;
    return seen || say(false, "memory", "none is shared with the host",
                       "the machine's hypervisor gives it (hira vm args), " HIRA_MMAPPER " or an ivshmem device");
}

/* Which the guest library turns to where there is no memory. */
static bool check_relay(void)
{
    HIRA_AUTOCLOSE int fd = hira_socket_connect(HIRA_SYSTEM_SOCKET);
    return say(fd >= 0, "relay", fd >= 0 ? HIRA_SYSTEM_SOCKET ", by which calls go over the vsock alone" : HIRA_SYSTEM_SOCKET,
               "does without memory: systemctl start hira-relay, or as root " RELAY " --on vsock --socket " HIRA_SYSTEM_SOCKET);
}

/* The best of some rounds, in microseconds: others use the processor, too. */
static double time_calls(void)
{
    uint64_t best = UINT64_MAX;
    for (int r = 0; r < ROUNDS; r++) {
        uint64_t begin = hira_now_ns();
        for (int i = 0; i < CALLS; i++)
            hira_nop();
        best = HIRA_MIN(best, hira_now_ns() - begin);
    }
    return (double)best / 1000 / CALLS;
}

/* In a child of its own. */
static bool try_api(void)
{
    char text[200];
    setenv("HIRA_DEBUG", "1", 1);
    if (!hira_connect() || !hira_lane())
        return say(false, api, "cannot be used", "see above");
    double us = time_calls();
    if (!hira_alive(NULL))
        return say(false, api, "the server is gone", "hirad's log tells more");
    snprintf(text, sizeof text, "served; a call that waits for its answer takes %.1f us", us);
    return say(true, api, text, "");
}

static bool check_api(const char *name)
{
    int status = 1;
    if (strlen(name) >= sizeof api)
        return say(false, "API", name, "that is no API's name");
    strcpy(api, name);
    pid_t pid = fork();
    if (pid == 0)
        _exit(!try_api());
    return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

/* Guest libraries lie in folders named after their APIs, PREFIX/lib/hira; this is PREFIX/bin's or
 * PREFIX/libexec/hira's. */
static DIR *open_libraries(void)
{
    static const char *const beside[] = {"/../lib/hira", "/../../lib/hira"};
    char path[4200];
    ssize_t n = readlink("/proc/self/exe", path, 4096);
    DIR *found = NULL;
    while (n > 0 && path[n - 1] != '/')
        n--;
    for (size_t i = 0; !found && n > 0 && i < HIRA_ARRAY_SIZE(beside); i++) {
        snprintf(path + n - 1, sizeof path - (size_t)n, "%s", beside[i]);
        found = opendir(path);
    }
    return found;
}

static bool check_each(void)
{
    bool good = true, any = false;
    DIR *d = open_libraries();
    for (struct dirent *e; d && (e = readdir(d));)
        if (e->d_name[0] != '.' && e->d_type == DT_DIR) {
            any = true;
            good &= check_api(e->d_name);
        }
    if (d)
        closedir(d);
    return any ? good : say(false, "library", "there is none", "PREFIX/lib/hira/API/ is where guest libraries lie");
}

static bool check_socket(void)
{
    char path[108];
    if (hira_socket_path(path, sizeof path) == 0 && hira_vsock_meant(path))
        return say(true, "place", path, "");
    return say(false, "place", path, "HIRA_SOCKET=vsock:PORT says where the host's hirad is");
}

int main(int argc, char **argv)
{
    if (argc > 1 && argv[1][0] == '-') {
        bool version = !strcmp(argv[1], "--version"), help = !strcmp(argv[1], "--help");
        fputs(version ? "hira-guest-check " HIRA_VERSION "\n"
                      : "usage: hira-guest-check [API...]     whether this virtual machine reaches its host's Hira\n",
              version || help ? stdout : stderr);
        return version || help ? 0 : 2;
    }
    bool good = check_vsock();
    good &= check_memory() || check_relay();
    good &= check_socket();
    for (int i = 1; good && i < argc; i++)
        good &= check_api(argv[i]);
    if (good && argc == 1)
        good = check_each();
    return good ? 0 : 1;
}
