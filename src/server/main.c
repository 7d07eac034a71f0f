/*
 * main() of every generated API server: binds the runtime to the zygote.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "server/internal.h"
#include "server/zygote.h"

static int warm(char *error, size_t error_size)
{
    (void)error;
    (void)error_size;
    hira_vendor_warm();
    return 0;
}

static const char *function_name(uint32_t i)
{
    return i < hira_server_api.n_functions ? hira_server_api.functions[i].name : NULL;
}

static int serve(int sock, const struct hira_hello *hello, size_t hello_size, const struct hira_adopt *adopt)
{
    struct hira_transport transport;
    int region = hira_zygote_region();
    int error = adopt && adopt->region.size ? hira_transport_region(&transport, sock, region, &adopt->region) : hira_transport_unix(&transport, sock);
    return error ? 1 : hira_serve_guest(&transport, hello, hello_size);
}

/* --input FILE: serves the messages in a file ("-": standard input) instead of a guest's. */
static int serve_input(const char *path)
{
    char error[200];
    struct hira_transport transport;
    int fd = strcmp(path, "-") ? open(path, O_RDONLY | O_CLOEXEC) : dup(STDIN_FILENO);
    struct hira_hello *hello = malloc(HIRA_MESSAGE_MAX);
    if (fd < 0 || !hello || hira_transport_recorded(&transport, fd)) {
        fprintf(stderr, "hira-server-%s: %s cannot be read\n", hira_server_api.name, path);
        return 1;
    }
    if (hira_vendor_load(error, sizeof error) < 0) {
        fprintf(stderr, "hira-server-%s: %s\n", hira_server_api.name, error);
        return 1;
    }
    hira_vendor_warm();
    ssize_t n = transport.ops->receive(&transport, hello, HIRA_MESSAGE_MAX, NULL, NULL);
    return n < 0 ? 1 : hira_serve_guest(&transport, hello, (size_t)n);
}

int hira_server_main(int argc, char **argv)
{
    if (argc == 3 && !strcmp(argv[1], "--input"))
        return serve_input(argv[2]);
    const struct hira_zygote_ops ops = {
        .api = hira_server_api.name,
        .environment = hira_server_api.environment,
        .load = hira_vendor_load,
        .warm = warm,
        .serve = serve,
        .function_name = function_name,
        .describe = hira_server_api.describe,
        .devices = hira_devices_print,
        .guest_environment = hira_server_api.guest_environment,
        .vendor_choice = hira_server_api.vendor_choice,
        .vendor_folder = hira_server_api.vendor_folder,
        .cache = hira_server_api.cache,
    };
    return hira_zygote_main(argc, argv, &ops);
}
