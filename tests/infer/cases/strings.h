/* Const text: a string by its name or documentation, bytes by a size, or a question.
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>

int by_name(const char *kernel_name, const char *options, const char *fileName);
/** @param label a NUL-terminated label
 *  @param code what is run */
int by_doc(const char *label, const char *code);
int by_size(const char *text, size_t text_size, const char *path, void *data, size_t size);
const char *thing_get_version(void);
const char *thing_next(void);
int one_char(const unsigned char *flag, char *name);
