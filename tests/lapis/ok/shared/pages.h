/* Objects of objects: for ok/replay.lapis.
 * SPDX-License-Identifier: Apache-2.0 */
#include "../../small.h"

typedef struct sm_lock_object *sm_lock; /* a lock is told of */
typedef struct sm_page_object *sm_page; /* a page is memory of a queue, a line is of a page */
typedef struct sm_line_object *sm_line;
typedef struct sm_word_object *sm_word;

sm_status sm_get_locks(sm_uint room, sm_lock *locks);
sm_page sm_new_page(sm_queue queue, sm_uint size);
sm_line sm_new_line(sm_page page);
sm_word sm_new_word(sm_queue queue);
sm_status sm_set(sm_queue s, sm_uint key, sm_uint value);
