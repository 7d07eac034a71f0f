/*
 * main() of every generated API server: binds the runtime to the zygote.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include "server/internal.h"
#include "server/zygote.h"

static int warm(char *error, size_t error_size)
{
    (void)error;
    (void)error_size;
    hira_vendor_warm();
    return 0;
}

static int serve(int sock, const struct hira_hello *hello, size_t hello_size, const struct hira_adopt *adopt)
{
    (void)adopt;
    return hira_serve_guest(sock, hello, hello_size);
}

int hira_server_main(int argc, char **argv)
{
    const struct hira_zygote_ops ops = {
        .api = hira_server_api.name,
        .environment = hira_server_api.environment,
        .load = hira_vendor_load,
        .warm = warm,
        .serve = serve,
        .describe = hira_server_api.describe,
        .guest_environment = hira_server_api.guest_environment,
        .vendor_choice = hira_server_api.vendor_choice,
        .vendor_folder = hira_server_api.vendor_folder,
    };
    return hira_zygote_main(argc, argv, &ops);
}
