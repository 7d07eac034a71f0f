/* Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
int api_nested(void);
