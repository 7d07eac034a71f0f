/* What both halves of a session share. See session.h.
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0 */
#include "remote/session.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/text.h"
#include "remote/util.h"

/* For the last words to arrive, and what was sent before them to be done. Who hangs up sooner, with answers unread, has the system take
 * back what the peer has not read yet. */
#define FAREWELL_US 5000000
#define LAST_S 15 /* of a peer that reads nothing, all of that */
#define TAKEN_MS 500       /* for a message to be passed on that came just before the peer's last words */

int relay_session_init(struct relay_session *s, const struct relay_options *options)
{
    s->options = options;
    s->local = -1;
    s->memory.link = &s->link;
    pthread_mutex_init(&s->memory.lock, NULL);
    pthread_mutex_init(&s->memory.settling, NULL);
    s->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return s->event < 0 ? -errno : 0;
}

static uint32_t slot_of(uint32_t lane)
{
    return lane == RELAY_REVERSE ? HIRA_LANES_MAX : lane;
}

static int take_control(struct relay_session *s, const struct relay_frame *f, const void *payload)
{
    if (atomic_load_explicit(&s->control_size, memory_order_acquire))
        return -EBADMSG; /* the one before is not answered yet */
    memcpy(s->control, payload, f->size);
    atomic_store_explicit(&s->control_size, f->size, memory_order_release);
    return eventfd_write(s->event, 1) < 0 ? -errno : 0;
}

/* The other thread passes on what came before: a refusal, say, which is why the peer ends the session. */
static void wait_taken(struct relay_session *s)
{
    for (int ms = 0; ms < TAKEN_MS && atomic_load_explicit(&s->control_size, memory_order_acquire); ms++)
        usleep(1000);
}

int relay_session_frame(void *context, const struct relay_frame *f, const void *payload)
{
    struct relay_session *s = context;
    char why[256];
    uint32_t slot = slot_of(f->lane);
    bool lane = slot <= HIRA_LANES_MAX;
    struct relay_source *source = lane ? atomic_load_explicit(&s->sources[slot], memory_order_acquire) : NULL;
    struct relay_sink *sink = lane ? atomic_load_explicit(&s->sinks[slot], memory_order_acquire) : NULL;
    switch (f->type) {
    case RELAY_BYE:
        memcpy(why, payload, HIRA_MIN(f->size, 255u));
        why[HIRA_MIN(f->size, 255u)] = 0;
        hira_text_tame(why);
        wait_taken(s);
        atomic_store(&s->ending, true);
        s->link.owner->over(s, why);
    case RELAY_CONTROL:
        return take_control(s, f, payload);
    case RELAY_RECORD:
        return sink ? relay_sink_take(sink, f, payload) : -EBADMSG;
    case RELAY_CELL:
        return relay_memory_mark(&s->memory, f->argument, f->lane);
    case RELAY_REPLY:
        return source ? relay_source_reply(source, f, payload) : -EBADMSG;
    case RELAY_PROGRESS:
        return source ? relay_source_progress(source, payload) : -EBADMSG;
    default:
        return -EBADMSG;
    }
}

void *relay_session_place(void *context, uint64_t offset, uint64_t size)
{
    struct relay_session *s = context;
    return hira_arena_at(&s->memory.arena, offset, size);
}

void relay_session_arrived(void *context, uint64_t offset, uint64_t size)
{
    struct relay_session *s = context;
    relay_memory_arrived(&s->memory, offset, size);
}

size_t relay_session_control(struct relay_session *s)
{
    eventfd_t n;
    eventfd_read(s->event, &n);
    return atomic_load_explicit(&s->control_size, memory_order_acquire);
}

void relay_session_control_taken(struct relay_session *s)
{
    atomic_store_explicit(&s->control_size, 0, memory_order_release);
}

void relay_session_send_control(struct relay_session *s, const void *message, size_t size)
{
    const struct iovec part = {(void *)message, size};
    atomic_fetch_add_explicit(&s->link.count.controls, 1, memory_order_relaxed);
    relay_link_send(&s->link, RELAY_CONTROL, 0, 0, &part, 1, 0);
}

int relay_session_add_source(struct relay_session *s, uint32_t index, int fd, bool settles)
{
    uint32_t slot = slot_of(index);
    if (slot > HIRA_LANES_MAX || s->sources[slot])
        return -EBADMSG;
    struct relay_source *source = calloc(1, sizeof *source);
    int error = source ? hira_lane_map(&source->callee.map, fd) : -ENOMEM;
    if (!error) /* before its thread can send anything that the peer could answer */
        atomic_store_explicit(&s->sources[slot], source, memory_order_release);
    return error ? error : relay_source_start(source, &s->memory, (uint16_t)index, settles);
}

int relay_session_add_sink(struct relay_session *s, uint32_t index, int fd, bool settles)
{
    uint32_t slot = slot_of(index);
    if (slot > HIRA_LANES_MAX || s->sinks[slot])
        return -EBADMSG;
    struct relay_sink *sink = calloc(1, sizeof *sink);
    int error = sink ? hira_lane_map(&sink->caller.map, fd) : -ENOMEM;
    if (!error)
        error = relay_sink_start(sink, &s->memory, (uint16_t)index, settles);
    if (!error)
        atomic_store_explicit(&s->sinks[slot], sink, memory_order_release);
    return error;
}

static void limit_life(const struct relay_session *s)
{
    alarm(LAST_S + (unsigned)(3 * s->options->network.delay / 1000000000u));
}

/* Who passes control messages on waits for room in the link, for as long as the peer takes nothing: TCP gives such a
 * one up, but not one that reads and acknowledges nothing, and other channels give up nobody. Meanwhile nobody sees
 * that the process here has ended, and a peer that had its server end could keep this one for ever, and have more of
 * them than hirad has guests. */
static void *watch(void *context)
{
    struct relay_session *s = context;
    struct pollfd p = {s->local, 0, 0};
    while (poll(&p, 1, -1) <= 0)
        ;
    if (!atomic_load(&s->ending)) /* then that has a limit already, and began before */
        limit_life(s);
    return NULL;
}

bool relay_session_watch(struct relay_session *s)
{
    return relay_thread_start(watch, s);
}

void relay_session_end(struct relay_session *s, const char *why)
{
    if (!atomic_exchange(&s->ending, true)) {
        limit_life(s);
        relay_link_bye(&s->link, why);
        usleep(FAREWELL_US + (useconds_t)(3 * s->options->network.delay / 1000)); /* the peer's hang-up ends it sooner */
    }
    if (s->last)
        s->last(s);
    _exit(0);
}
