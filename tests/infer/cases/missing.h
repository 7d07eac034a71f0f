/* Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0 */
#include "nowhere_to_be_found.h"
