/* See shared.h. Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0 */
#include "bridge/shared.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"

static int punch(const struct bridge_shared *s, uint64_t offset, uint64_t size)
{
    int ret = fallocate(s->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)size);
    return ret < 0 ? -errno : 0;
}

static uint64_t slice_size(const struct bridge_shared *s)
{
    return (s->size - HIRA_REGION_HEAD) / s->n_slices & ~4095ull;
}

static uint64_t slice_offset(const struct bridge_slice *slice)
{
    return HIRA_REGION_HEAD + (uint64_t)(slice - slice->shared->slices) * slice_size(slice->shared);
}

/* The guest may have written over it: done again for each that is to look for it. */
static int write_head(const struct bridge_shared *s)
{
    const uint64_t head[] = {HIRA_REGION_MAGIC, s->token[0], s->token[1], s->size};
    return pwrite(s->fd, head, sizeof head, 0) == sizeof head ? 0 : -EIO;
}

static int clear(const struct bridge_slice *slice)
{
    return punch(slice->shared, slice_offset(slice), slice_size(slice->shared));
}

/* Nobody uses it, nobody on the host can reach it: its memory goes back. What cannot be cleared is given to nobody. */
static void free_if_left(struct bridge_slice *slice)
{
    struct bridge_shared *s = slice->shared;
    if (slice->used || slice->lease.fd >= 0)
        return;
    if (clear(slice) < 0)
        slice->used = true;
    else if (s->freed)
        s->freed(s->context);
}

static void on_lease(struct bridge_watch *watch, uint32_t events)
{
    struct bridge_slice *slice = HIRA_CONTAINER_OF(watch, struct bridge_slice, lease);
    (void)events; /* nobody writes: it is the end */
    bridge_loop_remove(slice->shared->loop, watch);
    hira_fd_closep(&watch->fd);
    free_if_left(slice);
}

void bridge_shared_init(struct bridge_shared *s, struct bridge_loop *loop)
{
    *s = (struct bridge_shared){.fd = -1, .loop = loop};
    for (unsigned i = 0; i < BRIDGE_SLICES_MAX; i++)
        s->slices[i] = (struct bridge_slice){.lease = {-1, on_lease}, .shared = s};
}

int bridge_shared_open(struct bridge_shared *s, const char *path, uint64_t size, unsigned n_slices)
{
    struct stat st;
    s->size = size;
    s->n_slices = n_slices;
    s->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (s->fd < 0 || fstat(s->fd, &st) < 0)
        return -errno;
    if (!S_ISREG(st.st_mode) || (st.st_size && (uint64_t)st.st_size != size))
        return -EINVAL;
    /* Folders of shared memory are everybody's: who made the file first would read along. */
    if ((st.st_uid != geteuid() && st.st_uid != 0) || st.st_mode & 0006)
        return -EPERM;
    if (flock(s->fd, LOCK_EX | LOCK_NB) < 0)
        return errno == EWOULDBLOCK ? -EBUSY : -errno;
    if (ftruncate(s->fd, (off_t)size) < 0 || getrandom(s->token, sizeof s->token, 0) != sizeof s->token)
        return -errno;
    int error = punch(s, 0, size);
    return error ? error : write_head(s);
}

void bridge_shared_close(struct bridge_shared *s)
{
    for (unsigned i = 0; i < BRIDGE_SLICES_MAX; i++) {
        bridge_loop_remove(s->loop, &s->slices[i].lease);
        hira_fd_closep(&s->slices[i].lease.fd);
    }
    hira_fd_closep(&s->fd);
}

struct bridge_slice *bridge_slice_take(struct bridge_shared *s, struct hira_slice *ret_place, int *ret_lease)
{
    struct bridge_slice *slice = s->slices;
    int ends[2];
    while (slice < s->slices + s->n_slices && (slice->used || slice->lease.fd >= 0))
        slice++;
    /* Cleared once more: the machine may have written there while it was nobody's. */
    if (slice == s->slices + s->n_slices || clear(slice) < 0 || write_head(s) < 0 ||
        pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
        return NULL;
    slice->lease.fd = ends[0];
    if (bridge_loop_add(s->loop, &slice->lease, EPOLLIN) < 0) {
        hira_fd_closep(&slice->lease.fd);
        close(ends[1]);
        return NULL;
    }
    slice->used = true;
    *ret_place = (struct hira_slice){slice_offset(slice), slice_size(s), {s->token[0], s->token[1]}};
    *ret_lease = ends[1];
    return slice;
}

void bridge_slice_leave(struct bridge_slice *slice)
{
    if (!slice)
        return;
    slice->used = false;
    free_if_left(slice);
}
