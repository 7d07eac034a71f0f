/* Documentation behind the prototypes, in plain comments.
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0 */
/* A section about nothing. */
int one(const unsigned char *data, unsigned len);
/* Does one. */
int two(int x);
/* Does two. */
int three(const char *x);
/*
  Does three with x, a NUL-terminated text.
*/
