/*
 * hira vm: what a virtual machine needs to be a guest, as options for its hypervisor; and the bridge that is to stand
 * beside it.
 *
 * A machine gets two devices that every Linux knows: a vsock, behind which the bridge is, and, unless it is to do without, memory that it
 * shares with its host. Where they meet, file and socket, follows from the machine's name, so that what the two verbs print
 * fits together.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include <getopt.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/runtime.h"

#define PORT 10 /* of the host, where programs in machines find hirad: any would do */
#define RELAY_PORT 4772 /* where hira-relay finds it, as long as nothing else is said */
#define SHARED_FOLDER "/dev/shm"

enum hypervisor { QEMU, LIBVIRT, UML };

struct machine {
    enum hypervisor hypervisor;
    const char *name;
    uint64_t cid, port, memory, shared; /* the last two in MiB */
    char hirad[108], vsock[108 + 64];   /* sockets: hirad's, the bridge's */
};

/* ---- what it is ---- */

static bool number(const char *text, uint64_t least, uint64_t most, uint64_t *ret)
{
    char *end;
    *ret = strtoull(text, &end, 10);
    return *text >= '0' && *text <= '9' && !*end && *ret >= least && *ret <= most;
}

static bool is_name(const char *name)
{
    return *name && strlen(name) < 48 && *name != '.' &&
           !name[strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.")];
}

/* The bridge's is in a folder beside hirad's: into that, containers see. */
static int find_sockets(struct machine *m, const char *socket)
{
    char folder[sizeof m->hirad];
    if (!socket && hira_socket_path(folder, sizeof folder) == 0)
        socket = folder;
    if (!socket || strlen(socket) >= sizeof m->hirad)
        return cli_usage("vm", "the name of the socket is too long");
    if (*socket != '/' || socket[strcspn(socket, " \t\n,:\"'\\<>&")])
        return cli_usage("vm", "'%s': a whole path without spaces, commas and quotes, please", socket);
    memmove(m->hirad, socket, strlen(socket) + 1);
    strcpy(folder, m->hirad);
    if ((size_t)snprintf(m->vsock, sizeof m->vsock, "%s-vm/%s.sock", dirname(folder), m->name) >= 108 - sizeof ".relay")
        return cli_usage("vm", "the name of the socket is too long");
    return CLI_OK;
}

/* ---- how it is said ---- */

static void print_bridge(FILE *out, const struct machine *m)
{
    char path[HIRA_PATH_MAX];
    if (hira_path_program("hira-bridge", path, sizeof path) < 0)
        snprintf(path, sizeof path, "hira-bridge");
    fprintf(out, "%s --vm %s --cid %llu", path, m->vsock, (unsigned long long)m->cid);
    if (m->shared)
        fprintf(out, " --hira %llu=%s --region " SHARED_FOLDER "/hira-%s,size=%lluM", (unsigned long long)m->port, m->hirad, m->name,
                (unsigned long long)m->shared);
    fprintf(out, " --relay %u=%s\n", RELAY_PORT, m->hirad);
}

static void print_qemu(const struct machine *m)
{
    printf("-m %lluM\n-machine memory-backend=hira-ram\n-object memory-backend-memfd,id=hira-ram,size=%lluM,share=on\n",
           (unsigned long long)m->memory, (unsigned long long)m->memory);
    printf("-chardev socket,id=hira-vsock,path=%s\n-device vhost-user-vsock-pci,chardev=hira-vsock\n", m->vsock);
    if (m->shared)
        printf("-object memory-backend-file,id=hira-shared,mem-path=" SHARED_FOLDER "/hira-%s,size=%lluM,share=on\n"
           "-device ivshmem-plain,memdev=hira-shared\n",
           m->name, (unsigned long long)m->shared);
}

/* libvirt has no word for a vsock behind a socket: that is QEMU's own. */
static void print_libvirt(const struct machine *m)
{
    printf("<!-- in <domain type='kvm' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'> -->\n"
           "<memoryBacking>\n  <source type='memfd'/>\n  <access mode='shared'/>\n</memoryBacking>\n");
    if (m->shared)
        printf("<!-- in <devices> -->\n"
               "<shmem name='hira-%s'>\n  <model type='ivshmem-plain'/>\n  <size unit='M'>%llu</size>\n</shmem>\n",
               m->name, (unsigned long long)m->shared);
    printf("<!-- behind </devices> -->\n"
           "<qemu:commandline>\n"
           "  <qemu:arg value='-chardev'/>\n  <qemu:arg value='socket,id=hira-vsock,path=%s'/>\n"
           "  <qemu:arg value='-device'/>\n  <qemu:arg value='vhost-user-vsock-pci,chardev=hira-vsock'/>\n"
           "</qemu:commandline>\n",
           m->vsock);
}

static void print_uml(const struct machine *m)
{
    printf("virtio_uml.device=%s:19\n", m->vsock);
    if (m->shared)
        printf("iomem=mmapper," SHARED_FOLDER "/hira-%s\n", m->name);
}

static void print_args(const struct machine *m)
{
    if (m->hypervisor == QEMU)
        print_qemu(m);
    else if (m->hypervisor == LIBVIRT)
        print_libvirt(m);
    else
        print_uml(m);
    fprintf(stderr, "hira vm: before it starts:  ");
    print_bridge(stderr, m);
    if (m->shared)
        fprintf(stderr, "hira vm: in the machine:    HIRA_SOCKET=vsock:%llu\n", (unsigned long long)m->port);
    else
        fprintf(stderr, "hira vm: in the machine:    the guest package's hira-relay.service, or: hira run --on vsock -- PROGRAM\n");
}

/* ---- the command line ---- */

static int take(struct machine *m, int option, const char *value, const char **socket)
{
    switch (option) {
    case 'q':
    case 'v':
    case 'u':
        m->hypervisor = option == 'q' ? QEMU : option == 'v' ? LIBVIRT : UML;
        return CLI_OK;
    case 's':
        *socket = value;
        return CLI_OK;
    case 'n':
        m->name = value;
        return is_name(value) ? CLI_OK
                              : cli_usage("vm", "'%s' is no name of a machine: letters, digits, '-', '_', '.'", value);
    case 'c':
        return number(value, 3, UINT32_MAX - 1, &m->cid)
                   ? CLI_OK
                   : cli_usage("vm", "a machine's address is a number, 3 or more, not '%s'", value);
    case 'p':
        return number(value, 1, UINT32_MAX - 1, &m->port) ? CLI_OK : cli_usage("vm", "'%s' is no port", value);
    case 'm':
        return number(value, 64, 1u << 24, &m->memory)
                   ? CLI_OK
                   : cli_usage("vm", "'%s' is no size of a machine's memory in MiB", value);
    default:
        return number(value, 0, 1u << 20, &m->shared) && m->shared != 1 && !(m->shared & (m->shared - 1))
                   ? CLI_OK
                   : cli_usage("vm", "shared memory has a power of two of MiB, or 0: none, not '%s'", value);
    }
}

int cli_vm(int argc, char **argv)
{
    static const struct option options[] = {
        {"qemu", no_argument, NULL, 'q'},         {"libvirt", no_argument, NULL, 'v'},
        {"uml", no_argument, NULL, 'u'},          {"name", required_argument, NULL, 'n'},
        {"cid", required_argument, NULL, 'c'},    {"socket", required_argument, NULL, 's'},
        {"port", required_argument, NULL, 'p'},   {"memory", required_argument, NULL, 'm'},
        {"shared", required_argument, NULL, 'r'}, {0}};
    struct machine m = {.hypervisor = QEMU, .name = "vm", .cid = 4, .port = PORT, .memory = 1024, .shared = 256};
    const char *socket = NULL;
    for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        int status = o == '?' ? cli_bad_option("vm", argv, o) : take(&m, o, optarg, &socket);
        if (status != CLI_OK)
            return status;
    }
    const char *what = optind + 1 == argc ? argv[optind] : "";
    bool bridge = !strcmp(what, "bridge");
    if (!bridge && strcmp(what, "args") != 0)
        return cli_usage("vm", "args or bridge?");
    int status = find_sockets(&m, socket);
    if (status == CLI_OK && bridge)
        print_bridge(stdout, &m);
    else if (status == CLI_OK)
        print_args(&m);
    return status;
}
