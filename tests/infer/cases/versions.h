/* Version nodes, macro names, nested headers, what is no symbol.
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "versions_nested.h"

#define API_CALL
#define API_SUFFIX__VERSION_1_0
#define API_SUFFIX__VERSION_1_1_DEPRECATED __attribute__((deprecated))
#define api_renamed api_renamed_v2

extern int API_CALL api_first(int a) API_SUFFIX__VERSION_1_0;
extern int API_CALL api_second(int a)
    API_SUFFIX__VERSION_1_1_DEPRECATED;
extern int api_none(int a);
/** Renamed by a macro, which keeps clang from its comment.
 *  @param[out] a the answer */
int api_renamed(int *a);
static inline int api_inline(int a) { return a; }
static int api_static(int a);
int api_variadic(const char *format, ...);

struct api_table {
    int (*api_first)(int a);
    void *reserved;
    int (*api_second)(int a);
};
