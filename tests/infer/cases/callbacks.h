/* Functions of the application: their cookies, their arguments, the typedefs that they share.
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>

typedef struct thing_s *thing;
typedef void (*thing_done)(thing t, int status, void *user_data);
typedef int visitor(thing t, const void *data, size_t size, void *cookie);

struct hooks {
    void (*log)(const char *message, void *userData);
    void *userData;
};

int on_done(thing t, thing_done done, void *user_data);
int on_done_again(thing t, thing_done done, void *user_data);
int visit(thing t, visitor *visit, void *anything);
int native(thing t, void (*user_func)(void *), void *args, size_t cb_args);
int hook(const struct hooks *h);
int bare_callback(void (*progress)(double done));
int fill(int (*produce)(int *value, void *user_data), void *user_data);
