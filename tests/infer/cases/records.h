/* Structs with handles and pointers inside, anonymous members, unions, lists, arrays of handles.
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>

typedef struct _mem *mem;
typedef struct image_format {
    int order, type;
} image_format;
typedef struct {
    size_t width;
    union {
        mem buffer;
        mem object;
    };
    struct {
        unsigned num_planes;
        const int *planes;
    };
    mem history[2];
    const char *label_name;
} image_desc;
struct list {
    const struct list *next;
    const char *name;
};
typedef union {
    long number;
    const char *text;
} variant;
typedef union {
    int i;
    float f;
} number;

int create_image(const image_format *format, const image_desc *desc);
int create_images(const image_desc *descs, unsigned num_descs);
int append(const struct list *head);
int set_variant(const variant *v);
int set_number(const number *v, number by_value);
int move(mem *m, image_desc *desc);
