/*
 * Which of the vendor's devices the guest's tenant sees: `devices` of hirad.conf, by which it is placed on those alone.
 *
 * The spec says which type is that of devices, what each is called, and which functions list them (docs/lapis.md,
 * chapter 3, `devices`). A hidden device is not listed, and never gets an id, whatever tells it: so a guest has no name
 * for it, and no call can use it. Decided when the guest comes, for good: what a program has been told of stays there.
 *
 * Security. Here is all that keeps a guest from a device that its server could open. One that has taken over its server
 * has the devices that the sandbox gives it (--sandbox-device).
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include <fnmatch.h>
#include <stdio.h>

#include "server/internal.h"

#define DEVICES_MAX 1024u /* more than a machine has; those behind are hidden where any is */

bool hira_devices_hidden;

static struct {
    unsigned type; /* whose devices are being added */
    unsigned n;    /* seen so far, of all types */
    const char *rules;
    struct {
        void *device;
        unsigned type;
        bool shown;
    } known[DEVICES_MAX];
} d;

static bool is_number(const char *text)
{
    return *text && !text[strspn(text, "0123456789")];
}

static bool shown(const char *name, unsigned number)
{
    for (const char *rule = d.rules; *rule; rule += strlen(rule) + 1)
        if (is_number(rule) ? strtoul(rule, NULL, 10) == number : fnmatch(rule, name, 0) == 0)
            return true;
    return false;
}

static void add(void *device, const char *name)
{
    if (d.n == DEVICES_MAX)
        return;
    d.known[d.n].device = device;
    d.known[d.n].type = d.type;
    d.known[d.n].shown = shown(name ? name : "", d.n);
    d.n++;
}

static void each_device(void (*with)(void *device, const char *name))
{
    for (d.type = 1; d.type < hira_server_api.n_types; d.type++)
        if (hira_server_api.types[d.type].devices)
            hira_server_api.types[d.type].devices(with);
}

void hira_devices_choose(void)
{
    static char rules[HIRA_DEVICES_MAX + 1]; /* the last two bytes stay zero */
    if (!hira_gate_copy(rules, offsetof(struct hira_limits, devices), HIRA_DEVICES_MAX - 1))
        rules[0] = 0x7f; /* it could not be known: nothing is called so */
    d.rules = rules;
    hira_devices_hidden = *rules;
    if (hira_devices_hidden)
        each_device(add);
}

static void list_once(void)
{
    if (!d.n) {
        d.rules = "";
        each_device(add);
    }
}

unsigned hira_device_number(void *(*device)(void *queue), void *queue)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, list_once);
    const void *found = d.n > 1 ? device(queue) : NULL;
    for (unsigned i = 0; found && i < d.n; i++)
        if (d.known[i].device == found)
            return i;
    return 0;
}

bool hira_device_hidden(const void *device, unsigned type)
{
    if (!hira_devices_hidden || !hira_server_api.types[type].devices)
        return false;
    for (unsigned i = 0; i < d.n; i++)
        if (d.known[i].device == device && d.known[i].type == type)
            return !d.known[i].shown;
    return d.n == DEVICES_MAX; /* else a part of one that it sees */
}

static unsigned type_of(const void *device)
{
    for (unsigned i = 0; i < d.n; i++)
        if (d.known[i].device == device)
            return d.known[i].type;
    return 0;
}

uint64_t hira_devices_keep(void *list, uint64_t n, size_t width, size_t offset)
{
    uint64_t kept = 0;
    for (uint64_t i = 0; i < n; i++) {
        char *element = (char *)list + i * width;
        void *device;
        memcpy(&device, element + offset, sizeof device);
        if (hira_device_hidden(device, type_of(device)))
            continue;
        memmove((char *)list + kept++ * width, element, width);
    }
    return kept;
}

static void print(void *device, const char *name)
{
    (void)device;
    printf("%u %s\n", d.n++, name ? name : "");
}

void hira_devices_print(void)
{
    each_device(print);
}
