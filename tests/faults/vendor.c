/*
 * The null vendor with faults: nullBlock() takes small numbers for what to do wrong.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "null.h"

/* All other functions are those of the vendor that this one needs. */
void (*volatile needed)(void) = nullNop;

static char *volatile leaked;
static volatile int *volatile nowhere = (int *)8;

static int overflow(volatile char *before)
{
    volatile char deep[4096];
    deep[0] = before ? before[0] : 1;
    return deep[0] ? overflow(deep) + deep[0] : 0;
}

static void block_signals(void)
{
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
}

nullStatus nullBlock(uint32_t microseconds)
{
    struct timespec t = {microseconds / 1000000, microseconds % 1000000 * 1000L};
    switch (microseconds) {
    case 1: /* hangs, and burns its core */
        block_signals();
        for (volatile int i = 0;; i++)
            ;
    case 2: { /* leaks 64 MiB */
        char *leak = malloc(64u << 20);
        if (!leak)
            return NULL_ERROR_MEMORY;
        memset(leak, 1, 64u << 20);
        leaked = leak;
        return NULL_SUCCESS;
    }
    case 3: /* crashes */
        *nowhere = 1;
        return NULL_SUCCESS;
    case 4: /* aborts, as allocators do */
        abort();
    case 5: /* overflows its stack */
        return overflow(NULL) ? NULL_ERROR_VALUE : NULL_SUCCESS;
    case 6: /* ends the process as if all were well */
        exit(0);
    default:
        nanosleep(&t, NULL);
        return NULL_SUCCESS;
    }
}
