/* Errors of the header are reported at their place.
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0 */
int good(int a);
int bad(unknown_type a);
int worse(int;
int still_good(void);
