/* Whether this is built with a sanitizer: the thread sanitizer, whose own thread keeps every fork from being
 * single-threaded, or one that watches memory. Both want addresses without bounds where they expect them, and calls
 * that a server has no use for.
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef HIRA_BASE_SANITIZED_H
#define HIRA_BASE_SANITIZED_H

#if defined(__SANITIZE_THREAD__)
#define HIRA_SANITIZED_THREADS 1
#elif defined(__SANITIZE_ADDRESS__)
#define HIRA_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define HIRA_SANITIZED_THREADS 1
#elif __has_feature(address_sanitizer) || __has_feature(memory_sanitizer)
#define HIRA_SANITIZED 1
#endif
#endif
#ifndef HIRA_SANITIZED_THREADS
#define HIRA_SANITIZED_THREADS 0
#endif
#ifndef HIRA_SANITIZED
#define HIRA_SANITIZED 0
#endif

#endif
