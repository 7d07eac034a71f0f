/*
 * What of a virtual machine may be the memory that it shares with its host: HIRA_REGION, User-Mode Linux's
 * /dev/mmapper, or the memory of an ivshmem device. Links libc only: the guest library and `hira run` look for it.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/fd.h"
#include "guest/vsock.h"
#include "wire/handshake.h"

#define DEVICES "/sys/bus/pci/devices"
#define IVSHMEM_VENDOR 0x1af4
#define IVSHMEM_DEVICE 0x1110

bool hira_vsock_meant(const char *path)
{
    return !strncmp(path, HIRA_VSOCK_PREFIX, strlen(HIRA_VSOCK_PREFIX));
}

static unsigned read_number(const char *device, const char *name)
{
    char path[300], text[16] = "";
    snprintf(path, sizeof path, DEVICES "/%s/%s", device, name);
    HIRA_AUTOCLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
    return fd >= 0 && read(fd, text, sizeof text - 1) > 0 ? (unsigned)strtoul(text, NULL, 16) : 0;
}

/* The memory of an ivshmem device is its third resource. */
static bool is_shared_memory(const char *device, char *path, size_t size)
{
    if (read_number(device, "vendor") != IVSHMEM_VENDOR || read_number(device, "device") != IVSHMEM_DEVICE)
        return false;
    snprintf(path, size, DEVICES "/%s/enable", device);
    HIRA_AUTOCLOSE int enable = open(path, O_WRONLY | O_CLOEXEC); /* root's to do; a udev rule has done it for others */
    if (enable >= 0 && write(enable, "1", 1) < 0)
        return false;
    snprintf(path, size, DEVICES "/%s/resource2", device);
    return true;
}

bool hira_vsock_each_memory(bool (*visit)(void *context, const char *path), void *context)
{
    const char *told = secure_getenv("HIRA_REGION");
    char path[300];
    if (told && *told)
        return visit(context, told);
    if (access(HIRA_MMAPPER, F_OK) == 0 && visit(context, HIRA_MMAPPER))
        return true;
    bool found = false;
    DIR *devices = opendir(DEVICES);
    for (struct dirent *e; !found && devices && (e = readdir(devices));)
        found = is_shared_memory(e->d_name, path, sizeof path) && visit(context, path);
    if (devices)
        closedir(devices);
    return found;
}

static bool is_written(void *context, const char *path)
{
    HIRA_AUTOCLOSE int fd = open(path, O_RDWR | O_CLOEXEC);
    const uint64_t *head =
        fd < 0 ? MAP_FAILED : mmap(NULL, HIRA_REGION_HEAD, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    (void)context;
    if (head == MAP_FAILED)
        return false;
    bool written = head[0] == HIRA_REGION_MAGIC;
    munmap((void *)head, HIRA_REGION_HEAD);
    return written;
}

bool hira_vsock_has_memory(void)
{
    return hira_vsock_each_memory(is_written, NULL);
}
