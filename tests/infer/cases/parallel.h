/* Arrays that run in parallel, lengths, arrays of strings.
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>

typedef struct prog_s *prog;
typedef struct device_s *device;

prog create_from_source(unsigned count, const char **strings, const size_t *lengths, int *errcode_ret);
prog create_from_binary(unsigned num_devices, const device *device_list, const size_t *lengths,
                        const unsigned char **binaries, int *binary_status, int *errcode_ret);
int compile(prog p, unsigned num_devices, const device *device_list, const char *options, unsigned num_input_headers,
            const prog *input_headers, const char **header_include_names);
int set_names(prog p, unsigned num_names, const char *const *names);
int set_blobs(prog p, unsigned num_blobs, const void *const *blobs);
