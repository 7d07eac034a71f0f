/*
 * The null API's devices, by each way to ask: for tests/policy/run.py, a line each.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>

#include "null.h"

int main(void)
{
    nullDevice list[8];
    nullDeviceEntry entries[8];
    uint32_t n = 0, most = 8, one = 1;
    nullStatus status = nullGetDevices(&n, NULL);
    printf("status %d count %u\n", status, n);
    status = nullGetDevices(&most, list);
    printf("status %d:", status);
    for (uint32_t i = 0; i < most; i++)
        printf(" %s", nullDeviceName(list[i]));
    status = nullGetDevices(&one, list);
    printf("\nstatus %d of one: %u\n", status, one);
    status = nullGetDeviceEntries(8, entries, &n);
    printf("status %d:", status);
    for (uint32_t i = 0; i < n; i++)
        printf(" %u %s %s", entries[i].number, entries[i].name, nullDeviceName(entries[i].device));
    putchar('\n');
    return 0;
}
