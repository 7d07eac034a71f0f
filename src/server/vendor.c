/*
 * The vendor's library: loaded by name, its functions looked up one by one. A function it lacks is one that the guest is told
 * not to call.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include <dlfcn.h>
#include <stdio.h>

#include "server/internal.h"

static void *library;

void *hira_vendor_symbol(const char *name)
{
    return library ? dlsym(library, name) : NULL;
}

int hira_vendor_load(char *error, size_t error_size)
{
    const struct hira_server_api *api = &hira_server_api;
    const char *set = getenv("HIRA_VENDOR"), *name = set && *set ? set : api->vendor;
    if (!name) /* linked in: the null vendor of tests */
        library = dlopen(NULL, RTLD_NOW);
    else if (!(library = dlopen(name, RTLD_NOW | RTLD_GLOBAL))) {
        snprintf(error, error_size, "%s", dlerror());
        return -1;
    }
    for (uint32_t i = 0; i < api->n_functions; i++) {
        const struct hira_server_function *f = &api->functions[i];
        if (f->vendor && !f->extension)
            *(void **)f->vendor = dlsym(library, f->name);
    }
    return 0;
}

void hira_vendor_warm(void)
{
    const struct hira_server_api *api = &hira_server_api;
    if (api->warm)
        api->warm();
    for (uint32_t i = 0; i < api->n_functions && api->extension; i++) {
        const struct hira_server_function *f = &api->functions[i];
        if (f->vendor && f->extension && !*f->vendor)
            *(void **)f->vendor = api->extension(f->name);
    }
}
