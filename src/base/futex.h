/* Futexes on shared memory: the sleep under every lane.
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef HIRA_BASE_FUTEX_H
#define HIRA_BASE_FUTEX_H

#include <errno.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/util.h"

/* Sleeps while *word == expected, at most timeout_ns (UINT64_MAX: for ever). Returns for any reason, also spuriously: the
 * caller looks at its condition again. errno is preserved. Works across processes. */
static inline void hira_futex_wait(const _Atomic uint32_t *word, uint32_t expected, uint64_t timeout_ns)
{
    int saved = errno;
    struct timespec t = {(time_t)(timeout_ns / 1000000000u), (long)(timeout_ns % 1000000000u)};
    syscall(SYS_futex, word, FUTEX_WAIT, expected, timeout_ns == UINT64_MAX ? NULL : &t, NULL, 0);
    errno = saved;
}

static inline void hira_futex_wake(const _Atomic uint32_t *word, int how_many)
{
    syscall(SYS_futex, word, FUTEX_WAKE, how_many, NULL, NULL, 0);
}

#endif
