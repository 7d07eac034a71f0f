/* What the relays' files share.
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef HIRA_REMOTE_UTIL_H
#define HIRA_REMOTE_UTIL_H

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/util.h"

/* Writes a sentence, and is the code. */
HIRA_PRINTF(4, 5) static inline int relay_fail(char *error, size_t size, int code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(error, size, format, args);
    va_end(args);
    return code;
}

/* A thread that nobody waits for. False: there is none. */
static inline bool relay_thread_start(void *(*run)(void *), void *context)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, run, context))
        return false;
    pthread_detach(thread);
    return true;
}

#endif
