/* A dispatch table that no header has.
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0 */
int only(void);
