/* The header of the compiler's tests and of the manual's examples: one function for each thing that an API can ask for.
 * Names are chosen so that inference settles little: what is tested is what the specification says.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SMALL_H
#define SMALL_H

#include <stddef.h>
#include <stdint.h>

#define SM_OK 0
#define SM_FAILED -1
#define SM_BAD_VALUE -2
#define SM_BAD_QUEUE -3
#define SM_TRUE 1
#define SM_END 0
#define SM_KEY_QUEUE 1
#define SM_KEY_SIZE 2

typedef int32_t sm_status;
typedef uint32_t sm_uint;
typedef struct sm_queue_object *sm_queue;
typedef struct sm_job_object *sm_job;
typedef uint64_t sm_token;
typedef intptr_t sm_property;

enum sm_kind { SM_KIND_NUMBER = 0, SM_KIND_TEXT = 1 };
enum sm_query { SM_QUERY_NAME = 0, SM_QUERY_QUEUE = 1, SM_QUERY_DEPTH = 2 };

union sm_any {
    double number;
    const char *text;
};

struct sm_thing {
    enum sm_kind kind;
    union sm_any any;
    sm_uint n;
    const float *x;
};

struct sm_plain {
    int a, b;
};

typedef void (*sm_notify)(sm_job job, sm_status status, void *cookie);
typedef int (*sm_choose)(const struct sm_plain *p, void *cookie);

sm_queue sm_open(const sm_property *settings, sm_status *why);
sm_status sm_retain_queue(sm_queue queue);
sm_status sm_release_queue(sm_queue queue);
sm_status sm_release_job(sm_job job);
sm_status sm_read(sm_queue queue, sm_uint blocking, size_t size, void *data, sm_uint n, const sm_job *list, sm_job *job);
sm_status sm_write(sm_queue queue, sm_uint blocking, size_t size, const void *data, sm_job *job);
sm_status sm_finish(sm_queue queue);
sm_status sm_start(sm_queue queue, sm_job *job);
sm_status sm_query_queue(sm_queue queue, enum sm_query what, size_t size, void *value, size_t *size_ret);
sm_status sm_names(const char **words, sm_uint count);
sm_status sm_parse(sm_queue queue, const char *text);
sm_status sm_things(sm_queue queue, const struct sm_thing *things, sm_uint n);
sm_status sm_values(const int *first, int *second, int *third);
sm_status sm_on_done(sm_job job, sm_notify notify, void *cookie);
sm_status sm_pick(sm_choose choose, void *cookie);
sm_status sm_build(sm_queue queue, const char *options);
const char *sm_name(sm_queue queue);
void sm_put(sm_token token, const int *values);
sm_token sm_get_token(sm_queue queue);
void sm_nothing(void);
void *sm_map(sm_queue queue, size_t size);
sm_status sm_opaque(struct sm_hidden *hidden);
int sm_add(int a, int b);
sm_status sm_wait_all(sm_uint num_job_list, const sm_job *job_list);

struct sm_api {
    sm_uint version;
    sm_status (*finish)(sm_queue queue);
    sm_status (*start)(sm_queue queue, sm_job *job);
    int (*add)(int a, int b);
};
const struct sm_api *sm_get_api(sm_uint version);

#endif
