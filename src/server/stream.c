/*
 * The server's end of a stream: see channel/stream.h. The guest writes the window and one counter at any time, and may stop; so
 * only its counter's meaning "there is more" is used, always within the window, and a guest that is stopped holds up nobody but
 * its own lane.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */
#include "channel/stream.h"

#include "server/internal.h"

static void *get_stream(struct hira_serve *s, uint64_t *ret_size, bool out)
{
    uint64_t word = hira_get_word(s), offset = hira_get_word(s);
    struct hira_stream *stream = s->stream || offset % 4096 ? NULL : hira_arena_at(&hira_server.arena, offset, HIRA_STREAM_SIZE);
    if (!stream || !s->sync) {
        hira_misfit(s);
        return NULL;
    }
    s->stream = stream;
    s->stream_size = *ret_size = HIRA_MEM_LENGTH(word);
    s->stream_moved = 0;
    s->stream_out = out;
    hira_account_bytes(s->lane->account, s->stream_size);
    return stream;
}

static bool is_next(const struct hira_serve *s)
{
    return s->p < s->end && HIRA_MEM_KIND(*s->p) == HIRA_MEM_STREAM;
}

void *hira_get_in_stream(struct hira_serve *s, uint64_t *ret_size)
{
    return is_next(s) ? get_stream(s, ret_size, false) : hira_get_in(s, ret_size, true);
}

void *hira_get_out_stream(struct hira_serve *s, uint64_t *ret_size)
{
    void *p = is_next(s) ? get_stream(s, ret_size, true) : hira_get_out(s, ret_size, true);
    if (p && p == s->stream && s->n_outs < HIRA_OUTS_MAX) /* its word in the reply: nothing follows, it has come by then */
        s->outs[s->n_outs++] = (struct hira_out){p, s->stream_size, HIRA_MEM_STREAM, 0};
    return p;
}

bool hira_is_stream(const struct hira_serve *s, const void *p)
{
    return p && p == s->stream;
}

static bool nobody_there(void *context)
{
    (void)context;
    return hira_server.alone; /* when a guest goes, the process does */
}

bool hira_stream_receive(struct hira_serve *s, void *to, uint64_t size)
{
    if (s->stream_out || size > s->stream_size - s->stream_moved)
        return false;
    s->stream_moved += size;
    return hira_stream_consume_from(s->stream, s->stream_moved - size, to, size, nobody_there, NULL);
}

bool hira_stream_send(struct hira_serve *s, const void *from, uint64_t size)
{
    if (!s->stream_out || size > s->stream_size - s->stream_moved)
        return false;
    s->stream_moved += size;
    return hira_stream_produce_from(s->stream, s->stream_moved - size, from, size, nobody_there, NULL);
}
