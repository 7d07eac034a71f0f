/* The server's half of the litmus API: see litmus.h. Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0 */
#include "litmus.h"

#include <stdio.h>
#include <unistd.h>

#include "base/fd.h"
#include "channel/transport.h"
#include "server/internal.h"

struct object {
    _Atomic uint32_t references;
    uint64_t value;          /* a counter's: plain on purpose */
    const uint64_t *later[64]; /* what is to be added to it: where the calls said so */
    uint32_t n_later;
    /* An event's: what the vendor does behind the call's back. */
    _Atomic bool done;
    uint64_t *to;
    uint64_t result;
    struct object *next;
};

static _Atomic long alive;

long litmus_alive(void)
{
    return atomic_load(&alive);
}

static struct object *new_object(void)
{
    struct object *o = calloc(1, sizeof *o);
    if (!o)
        abort();
    atomic_store(&o->references, 1);
    atomic_fetch_add(&alive, 1);
    return o;
}

static void retain(void *vendor)
{
    atomic_fetch_add(&((struct object *)vendor)->references, 1);
}

static void release(void *vendor)
{
    struct object *o = vendor;
    if (atomic_fetch_sub(&o->references, 1) != 1)
        return;
    o->value = UINT64_MAX; /* whoever still uses it is seen */
    free(o);
    atomic_fetch_sub(&alive, 1);
}

static int done(void *vendor)
{
    return atomic_load_explicit(&((struct object *)vendor)->done, memory_order_acquire);
}

/* ---- a worker of the vendor's, that ends commands a little later ---- */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t more = PTHREAD_COND_INITIALIZER, ended = PTHREAD_COND_INITIALIZER;
static struct object *first, **last = &first;

static void *worker(void *unused)
{
    (void)unused;
    pthread_mutex_lock(&lock);
    for (;;) {
        while (!first)
            pthread_cond_wait(&more, &lock);
        struct object *o = first;
        first = o->next;
        last = first ? last : &first;
        pthread_mutex_unlock(&lock);
        for (int i = 0; i < 64; i++)
            o->to[i] = o->result;
        atomic_store_explicit(&o->done, true, memory_order_release);
        release(o);
        pthread_mutex_lock(&lock);
        pthread_cond_broadcast(&ended);
    }
    return NULL;
}

static void queue(struct object *event)
{
    retain(event);
    pthread_mutex_lock(&lock);
    event->next = NULL;
    *last = event;
    last = &event->next;
    pthread_cond_signal(&more);
    pthread_mutex_unlock(&lock);
}

/* ---- serving ---- */

static void serve_create(struct hira_serve *s)
{
    uint64_t id = hira_get_word(s);
    if (!hira_serve_ready(s))
        return;
    hira_serve_result(s, true, 0, 0);
    hira_made(s, id, T_COUNTER, new_object(), true);
}

static void serve_add(struct hira_serve *s)
{
    struct object *o = hira_get_handle(s, T_COUNTER);
    uint64_t n = hira_get_word(s);
    if (!hira_serve_ready(s) || !o)
        return;
    o->value += n;
    hira_serve_result(s, true, 0, 0);
}

static void add_all(void *counter)
{
    struct object *o = counter;
    for (; o->n_later; o->n_later--)
        o->value += *o->later[o->n_later - 1];
}

static void serve_add_later(struct hira_serve *s)
{
    struct object *o = hira_get_handle(s, T_COUNTER);
    const uint64_t *n = s->p;
    hira_get_word(s);
    if (!hira_serve_ready(s) || !o || o->n_later == 64)
        return;
    o->later[o->n_later++] = n;
    hira_leave(s, add_all, o);
    hira_serve_result(s, true, 0, 0);
}

static void serve_get(struct hira_serve *s)
{
    struct object *o = hira_get_handle(s, T_COUNTER);
    if (!hira_serve_ready(s) || !o)
        return;
    hira_serve_result(s, true, 0, o->value);
}

static void serve_read(struct hira_serve *s)
{
    uint64_t size = 0;
    struct object *o = hira_get_handle(s, T_COUNTER);
    uint64_t *to = hira_get_out(s, &size, true);
    uint64_t id = hira_get_word(s);
    if (!hira_serve_ready(s) || !o || size != 64 * 8)
        return;
    struct object *event = new_object();
    event->to = to;
    event->result = o->value;
    queue(event);
    hira_keep(s);
    hira_serve_result(s, true, 0, 0);
    hira_made(s, id, T_EVENT, event, true);
}

static void serve_wait(struct hira_serve *s)
{
    struct object *o = hira_get_handle(s, T_EVENT);
    if (!hira_serve_ready(s) || !o)
        return;
    pthread_mutex_lock(&lock);
    while (!done(o))
        pthread_cond_wait(&ended, &lock);
    pthread_mutex_unlock(&lock);
    hira_serve_result(s, true, 0, 0);
}

static const struct hira_server_function functions[N_FUNCTIONS] = {
    {"create", SIGNATURE, serve_create, NULL, false, 0, 0}, {"add", SIGNATURE, serve_add, NULL, false, 0, 0},
    {"get", SIGNATURE, serve_get, NULL, false, 0, 0},       {"read", SIGNATURE, serve_read, NULL, false, 0, 0},
    {"wait", SIGNATURE, serve_wait, NULL, false, 0, 0},     {"add_now", SIGNATURE, serve_add, NULL, false, 0, 0},
    {"add_later", SIGNATURE, serve_add_later, NULL, false, 0, 0},
};

static const struct hira_server_type types[N_TYPES] = {
    {0}, {"counter", retain, release, NULL, NULL, NULL, NULL}, {"event", retain, release, done, NULL, NULL, NULL}};

const struct hira_server_api hira_server_api = {
    .name = "litmus", .functions = functions, .n_functions = N_FUNCTIONS, .types = types, .n_types = N_TYPES};

/* ---- the server in this process ---- */

void hira_connect_over(const struct hira_transport *transport); /* the guest's */

static struct hira_transport guest_end, server_end;

static void *serve(void *unused)
{
    (void)unused;
    struct hira_hello *hello = malloc(HIRA_MESSAGE_MAX);
    ssize_t n = server_end.ops->receive(&server_end, hello, HIRA_MESSAGE_MAX, NULL, NULL);
    if (n > 0)
        hira_serve_guest(&server_end, hello, (size_t)n);
    fprintf(stderr, "litmus: the server could not start\n");
    _exit(70);
}

void litmus_start(void)
{
    pthread_t thread;
    if (hira_transport_pair(&guest_end, &server_end) || pthread_create(&thread, NULL, serve, NULL) ||
        pthread_create(&thread, NULL, worker, NULL))
        abort();
    hira_connect_over(&guest_end);
}
