/* Source annotations: direction and size in macros.
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>

#define _In_
#define _In_opt_
#define _Out_
#define _Inout_
#define _In_reads_(n)
#define _Out_writes_bytes_(n)
#define _Out_writes_to_(n, m)
#define _In_z_

typedef struct _session *session;

int run(_In_ session s, _In_reads_(n) const int *inputs, size_t n, _Out_writes_bytes_(room) void *output, size_t room);
int read_some(_Out_writes_to_(room, *used) int *values, size_t room, _Out_ size_t *used);
int name(_In_z_ const char *s, _In_opt_ const char *hint, _Inout_ double *x, _Out_ session *made);
