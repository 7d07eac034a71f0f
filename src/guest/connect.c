/*
 * The guest's connection: made at the first call, one per process, with one lane per thread.
 *
 * A lane belongs to its thread until that ends; it then goes to a list for the next thread, with a last record that makes the
 * server's thread give way to a fresh one, so that thread-local state of the API starts anew as natively. Past the limit a
 * thread gets the API's error. A thread that calls once more while it ends (from a destructor of the application's) may do so when
 * ours is not called any more: such a lane is taken back when the thread is seen to be gone.
 *
 * A forked child shares nothing with its parent's server: lanes and arena are not inherited (MADV_DONTFORK), handles of the
 * parent name nothing, and the first call connects anew.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <poll.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/text.h"
#include "guest/internal.h"
#include "guest/vsock.h"

struct hira_connection hira_connection = {.transport.fd = -1, .control = PTHREAD_MUTEX_INITIALIZER};

enum { RETRIES_AT_ONCE = 3 };
#define RETRY_NS 5000000ull
#define RETRY_MAX_NS 500000000ull

static pthread_mutex_t connect_lock = PTHREAD_MUTEX_INITIALIZER;
static _Atomic int connect_state; /* 0 not connected, 1 connected */
static unsigned failures;         /* to connect, in a row */
static uint64_t retry_at;         /* hira_now_ns() of the next attempt */
static pthread_key_t thread_key;
static __thread struct hira_guest_lane *this_lane;
static __thread bool ending;      /* this thread: it has given its lane back once */
static unsigned n_late;           /* lanes of such threads; under the connection's lock */

/* Volatile: read below, so that no linker drops it. */
static const volatile char guest_mark[] = HIRA_GUEST_MARK;

bool hira_limited(void)
{
    return hira_connection.limited;
}

bool hira_remote(void)
{
    return hira_connect() && hira_connection.remote;
}

bool hira_inside_server(void)
{
    const char *mark = getenv("HIRA_SERVER");
    return mark && *mark && guest_mark[0];
}

static struct hira_transport given; /* by a test; ops NULL: none */

void hira_connect_over(const struct hira_transport *transport)
{
    given = *transport;
}

/* Connects at a number behind the standard descriptors: where those are closed, the application writes to them all the same. */
static int connect_socket(struct hira_connection *k, const char *path)
{
    HIRA_AUTOCLOSE int fd = hira_socket_connect(path);
    if (fd < 0)
        return fd;
    int high = fd > STDERR_FILENO ? HIRA_STEAL_FD(fd) : fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    return high < 0 ? -errno : hira_transport_unix(&k->transport, high);
}

/* Where the host shares no memory with this machine, or none that this user may use, a relay of the machine's, if there
 * is one, does without. */
static int connect_machine(struct hira_connection *k, const char *path)
{
    if (!hira_vsock_has_memory() && connect_socket(k, HIRA_SYSTEM_SOCKET) == 0)
        return 0;
    return hira_vsock_connect(&k->transport, path);
}

bool hira_alive(void *context)
{
    (void)context;
    struct hira_connection *k = &hira_connection;
    if (atomic_load_explicit(&k->dead, memory_order_relaxed))
        return false;
    HIRA_UNCANCELLED;
    int saved = errno;
    if (!k->transport.ops || k->transport.ops->lost(&k->transport))
        atomic_store_explicit(&k->dead, true, memory_order_relaxed);
    errno = saved;
    return !atomic_load_explicit(&k->dead, memory_order_relaxed);
}

/* Why there is no server: said once on standard error when HIRA_DEBUG is set, for natively a missing device is silent too. */
static int explain(int error, const char *what)
{
    const char *debug = getenv("HIRA_DEBUG");
    if (debug && *debug)
        fprintf(stderr, "hira: %s: %s (hira doctor tells more)\n", what, strerror(-error));
    return error;
}

int hira_request(const void *request, size_t size, enum hira_message_type want, void *answer, size_t answer_size, int *ret_fd)
{
    struct hira_connection *k = &hira_connection;
    struct hira_transport *t = &k->transport;
    if (!hira_transport_intact(t)) {
        atomic_store_explicit(&k->dead, true, memory_order_relaxed);
        return -EPIPE;
    }
    /* Once asked, the server has made what it sends: a process that is out of descriptors then would lose it for good. */
    HIRA_AUTOCLOSE int room = ret_fd ? eventfd(0, EFD_CLOEXEC) : -1;
    if (ret_fd && room < 0)
        return -errno;
    int error = t->ops->send(t, request, size, NULL, 0);
    if (error)
        return error;
    struct pollfd answered = {t->fd, POLLIN, 0};
    while (ret_fd && poll(&answered, 1, -1) < 0 && errno == EINTR)
        ;
    hira_fd_closep(&room);
    size_t n_fds = ret_fd ? 1 : 0;
    int fd = -1;
    struct hira_refused m; /* or what is asked for, which is shorter */
    if (answer_size > sizeof m)
        return -EINVAL;
    ssize_t n = t->ops->receive(t, &m, sizeof m, &fd, &n_fds);
    if (n <= 0)
        return n ? (int)n : -EPIPE;
    if (hira_message_check(&m, (size_t)n, HIRA_MSG_REFUSED, sizeof m) == 0) {
        m.text[sizeof m.text - 1] = 0;
        error = explain(m.error > 0 ? -m.error : -EPROTO, m.text);
    } else if (!(error = hira_message_check(&m, (size_t)n, want, answer_size))) {
        memcpy(answer, &m, answer_size);
    }
    if (error || (ret_fd && !n_fds)) {
        if (n_fds)
            close(fd);
        return error ? error : -EBADMSG;
    }
    if (ret_fd)
        *ret_fd = fd;
    return 0;
}

/* hira_arena's grow: the arena's lock is held. */
static int grow_arena(void *context, struct hira_arena *arena, uint64_t size)
{
    (void)context;
    struct hira_segment_message ask = {.head = hira_message_head(HIRA_MSG_GROW, sizeof ask), .size = size}, made = {0};
    HIRA_UNCANCELLED;
    HIRA_AUTOCLOSE int fd = -1;
    bool in_region = hira_connection.transport.memory;
    pthread_mutex_lock(&hira_connection.control);
    int error = hira_request(&ask, sizeof ask, HIRA_MSG_SEGMENT, &made, sizeof made, in_region ? NULL : &fd);
    pthread_mutex_unlock(&hira_connection.control);
    if (error)
        return error;
    if (made.base != atomic_load_explicit(&arena->committed, memory_order_relaxed))
        return -EBADMSG;
    return in_region ? hira_arena_extend(arena, made.size) : hira_arena_map(arena, fd, made.size);
}

/* ---- hello ---- */

static bool environment_wanted(const char *variable)
{
    const char *equals = strchr(variable, '=');
    char name[128];
    if (!equals || (size_t)(equals - variable) >= sizeof name || !hira_guest_api.environment)
        return false;
    memcpy(name, variable, (size_t)(equals - variable));
    name[equals - variable] = 0;
    for (const char *const *glob = hira_guest_api.environment; *glob; glob++)
        if (fnmatch(*glob, name, 0) == 0)
            return true;
    return false;
}

static void put_hello(struct hira_text *text)
{
    const struct hira_guest_api *api = &hira_guest_api;
    struct hira_hello hello = {.pid = (uint32_t)getpid(), .n_functions = api->n_functions};
    snprintf(hello.api, sizeof hello.api, "%s", api->name);
    hira_text_append(text, &hello, sizeof hello);
    for (uint32_t i = 0; i < api->n_functions; i++) {
        uint8_t length = (uint8_t)strlen(api->functions[i].name);
        hira_text_append(text, &api->functions[i].signature, 4);
        hira_text_append(text, &length, 1);
        hira_text_append(text, api->functions[i].name, length);
    }
    hello.functions_size = (uint32_t)(text->size - sizeof hello);
    for (char **e = environ; e && *e; e++) {
        size_t length = strlen(*e) + 1;
        if (environment_wanted(*e) && hello.environment_size + length <= HIRA_ENVIRONMENT_MAX) {
            hira_text_append(text, *e, length);
            hello.environment_size += (uint32_t)length;
        }
    }
    hello.head = hira_message_head(HIRA_MSG_HELLO, text->size);
    if (!text->failed)
        memcpy(text->data, &hello, sizeof hello);
}

/* Where lanes and arena come from: descriptors, or a slice of memory that this machine shares with its host. */
static int take_memory(struct hira_connection *k, const union hira_welcome_message *m, size_t n)
{
    size_t at = HIRA_ALIGN_UP(sizeof m->welcome + (hira_guest_api.n_functions + 7) / 8, (size_t)8);
    bool told = m->welcome.flags & HIRA_WELCOME_REGION, wanted = k->transport.ops && k->transport.ops->place_lane;
    struct hira_slice slice;
    if (told != wanted || (told && n < at + sizeof slice))
        return explain(-EPROTO, wanted ? "no memory is shared with the host" : "memory of a machine is meant that this is not");
    if (!told)
        return hira_arena_init(&k->arena, hira_address_space(HIRA_MIN(m->welcome.max_arena, HIRA_ARENA_MAX)));
    memcpy(&slice, m->bytes + at, sizeof slice);
    int error = hira_vsock_enter(&k->transport, &slice);
    if (error)
        return explain(error, "the memory that is shared with the host (" HIRA_MMAPPER ", an ivshmem device, HIRA_REGION): hira-relay --on vsock does without");
    k->max_lanes = HIRA_MIN(k->max_lanes, hira_slice_lanes(&slice));
    hira_arena_init_at(&k->arena, k->transport.memory, hira_slice_arena(&slice));
    return 0;
}

int hira_take_welcome(struct hira_connection *k, union hira_welcome_message *m, size_t n)
{
    if (hira_message_is_refusal(m, n)) {
        m->refused.text[sizeof m->refused.text - 1] = 0;
        return explain(m->refused.error > 0 && m->refused.error < 4096 ? -m->refused.error : -EPROTO, m->refused.text);
    }
    size_t map_size = (hira_guest_api.n_functions + 7) / 8;
    int error = hira_message_check(m, n, HIRA_MSG_WELCOME, sizeof m->welcome + map_size);
    if (error)
        return explain(error, "the router answers in another language");
    if (m->welcome.n_functions != hira_guest_api.n_functions || !(k->known = malloc(map_size)))
        return -ENOMEM;
    memcpy(k->known, m->bytes + sizeof m->welcome, map_size);
    k->limited = m->welcome.flags & HIRA_WELCOME_LIMITED;
    k->remote = m->welcome.flags & HIRA_WELCOME_REMOTE;
    k->max_lanes = HIRA_MIN(m->welcome.max_lanes, HIRA_LANES_MAX);
    error = take_memory(k, m, n);
    if (error)
        free(HIRA_STEAL(k->known));
    return error;
}

static int receive_welcome(struct hira_connection *k)
{
    union hira_welcome_message m;
    ssize_t n = k->transport.ops->receive(&k->transport, &m, sizeof m, NULL, NULL);
    if (n <= 0)
        return explain(n ? (int)n : -EPIPE, "the router hung up");
    return hira_take_welcome(k, &m, (size_t)n);
}

static void thread_ended(void *value);

static void forked_child(void)
{
    struct hira_connection *k = &hira_connection;
    if (k->transport.ops)
        k->transport.ops->close(&k->transport);
    *k = (struct hira_connection){.transport.fd = -1, .control = PTHREAD_MUTEX_INITIALIZER};
    connect_lock = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
    atomic_store(&connect_state, 0);
    failures = n_late = 0;
    this_lane = NULL;
    ending = false;
    pthread_setspecific(thread_key, NULL);
    hira_objects_forget();
    hira_pending_forget();
    hira_cache_forget();
    hira_callbacks_forget();
    hira_state_forget();
    hira_files_forget();
}

static int connect_now(void)
{
    struct hira_connection *k = &hira_connection;
    static bool hooked;
    char path[108];
    struct hira_text hello = {0};

    if (!hooked) {
        if (pthread_key_create(&thread_key, thread_ended) || pthread_atfork(NULL, NULL, forked_child))
            return -ENOMEM;
        hooked = true;
    }
    if (hira_inside_server())
        return -ELOOP;
    int error = hira_socket_path(path, sizeof path);
    if (error)
        return error;
    if (given.ops)
        k->transport = given;
    else if (hira_vsock_meant(path))
        error = connect_machine(k, path);
    else
        error = connect_socket(k, path);
    if (error)
        return explain(error, path);
    put_hello(&hello);
    error = hello.failed ? -ENOMEM : k->transport.ops->send(&k->transport, hello.data, hello.size, NULL, 0);
    hira_text_fini(&hello);
    if (!error)
        error = receive_welcome(k);
    if (error) {
        k->transport.ops->close(&k->transport);
        return error;
    }
    const char *strict = getenv("HIRA_STRICT");
    k->strict = strict && *strict && *strict != '0';
    k->arena.grow = grow_arena;
    return 1;
}

/* A router that is not there yet may be there at the next call. But a program that does not look at its errors makes a million such
 * calls a second, each of which would cost the router or the file system something: after a few, attempts are made now and then. */
static int try_to_connect(void)
{
    if (failures > RETRIES_AT_ONCE && hira_now_ns() < retry_at)
        return -EAGAIN;
    int state = connect_now();
    failures = state == 1 ? 0 : failures + 1;
    if (failures > RETRIES_AT_ONCE)
        retry_at = hira_now_ns() + HIRA_MIN(RETRY_NS << HIRA_MIN(failures - RETRIES_AT_ONCE, 20u), RETRY_MAX_NS);
    return state;
}

bool hira_connect(void)
{
    int state = atomic_load_explicit(&connect_state, memory_order_acquire);
    if (hira_likely(state == 1))
        return !atomic_load_explicit(&hira_connection.dead, memory_order_relaxed);
    HIRA_UNCANCELLED;
    int saved = errno;
    pthread_mutex_lock(&connect_lock);
    state = atomic_load_explicit(&connect_state, memory_order_relaxed);
    if (state == 0) {
        state = try_to_connect();
        atomic_store_explicit(&connect_state, state == 1 ? 1 : 0, memory_order_release);
    }
    pthread_mutex_unlock(&connect_lock);
    errno = saved;
    return state == 1;
}

/* ---- lanes ---- */

static struct hira_guest_lane *open_lane(struct hira_connection *k)
{
    struct hira_lane_message ask = {.head = hira_message_head(HIRA_MSG_OPEN_LANE, sizeof ask)}, made = {0};
    HIRA_AUTOCLOSE int fd = -1;
    if (hira_request(&ask, sizeof ask, HIRA_MSG_LANE, &made, sizeof made, k->transport.memory ? NULL : &fd) || made.index >= k->max_lanes ||
        atomic_load(&k->lanes[made.index]))
        return NULL;
    struct hira_guest_lane *lane = aligned_alloc(HIRA_CACHE_LINE, HIRA_ALIGN_UP(sizeof *lane, (size_t)HIRA_CACHE_LINE));
    if (!lane)
        return NULL;
    *lane = (struct hira_guest_lane){.index = made.index, .caller.alive = hira_alive, .loans = HIRA_ARENA_NONE, .filling = HIRA_ARENA_NONE};
    int error = k->transport.memory ? k->transport.ops->place_lane(&k->transport, &lane->caller.map, made.index, false)
                                    : k->transport.ops->map_lane(&k->transport, &lane->caller.map, fd);
    if (!error)
        error = hira_caller_init(&lane->caller);
    if (error) {
        explain(error, "no memory for a lane: one more thread cannot use the device");
        free(lane);
        return NULL;
    }
    if (k->transport.memory)
        hira_spin_init_far(&lane->caller.spin, HIRA_REGION_SPIN_GUEST_NS);
    else
        hira_spin_init(&lane->caller.spin, HIRA_SPIN_LEAST_NS, HIRA_SPIN_MOST_NS);
    atomic_store(&k->lanes[made.index], lane);
    uint32_t n = atomic_load(&k->n_lanes);
    if (n < made.index + 1)
        atomic_store(&k->n_lanes, made.index + 1);
    return lane;
}

/* Says that the lane's thread has ended, in its name. False: there is no server any more. */
static bool end_thread(struct hira_guest_lane *lane)
{
    struct hira_record *record = hira_caller_reserve(&lane->caller);
    if (!record)
        return false;
    record->size = sizeof *record;
    record->function = HIRA_FN_THREAD_END;
    record->flags = 0;
    hira_caller_publish(&lane->caller, record);
    return true;
}

/* The lock is held. */
static void settle_late(struct hira_guest_lane *lane)
{
    n_late -= lane->late != 0;
    lane->late = 0;
}

static void thread_ended(void *value)
{
    struct hira_guest_lane *lane = value;
    struct hira_connection *k = &hira_connection;
    this_lane = NULL;
    ending = true;
    if (!end_thread(lane))
        return;
    pthread_mutex_lock(&k->control);
    settle_late(lane);
    lane->next_free = k->free_lanes;
    k->free_lanes = lane;
    pthread_mutex_unlock(&k->control);
}

/* A lane whose thread has ended without giving it back. The lock is held. */
static struct hira_guest_lane *lost_lane(struct hira_connection *k)
{
    for (uint32_t i = 0; n_late && i < k->n_lanes; i++) {
        struct hira_guest_lane *lane = k->lanes[i];
        if (lane && lane->late && syscall(SYS_tgkill, getpid(), lane->late, 0) < 0 && errno == ESRCH) {
            settle_late(lane);
            return end_thread(lane) ? lane : NULL;
        }
    }
    return NULL;
}

static struct hira_guest_lane *take_lane(void)
{
    struct hira_connection *k = &hira_connection;
    HIRA_UNCANCELLED;
    if (!hira_connect())
        return NULL;
    int saved = errno;
    pthread_mutex_lock(&k->control);
    struct hira_guest_lane *lane = k->free_lanes;
    if (lane)
        k->free_lanes = lane->next_free;
    else if (!(lane = lost_lane(k)))
        lane = open_lane(k);
    if (lane && ending) {
        lane->late = (pid_t)syscall(SYS_gettid);
        n_late++;
    }
    pthread_mutex_unlock(&k->control);
    if (lane) {
        this_lane = lane;
        pthread_setspecific(thread_key, lane);
    }
    errno = saved;
    return lane;
}

struct hira_guest_lane *hira_lane(void)
{
    struct hira_guest_lane *lane = this_lane;
    if (hira_likely(lane != NULL) && hira_likely(!atomic_load_explicit(&hira_connection.dead, memory_order_relaxed)))
        return lane;
    return lane ? NULL : take_lane();
}
