/* Verbs without a noun, and texts that objects tell. */
#include <stddef.h>
typedef struct a_ctx *ctx_t;
typedef struct a_part *part_t;

/* These end the context, and the texts are its. */
int a_open(ctx_t *ctx_out);
int a_close(ctx_t ctx);
int a_destroy_v2(ctx_t c, unsigned flags);
const char *a_name(ctx_t ctx);
const char *a_part_error_string(ctx_t ctx, part_t part);

/* And these do not: there is another noun, a pointer that may be meant, or no object. */
int a_close_all(ctx_t ctx);
int a_free(ctx_t ctx, void *memory);
int a_delete(ctx_t ctx, part_t part);
const char *a_error_string(int error);
