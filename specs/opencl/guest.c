/*
 * What the guest library of the virtual OpenCL does by itself: see opencl.lapis, which names this file.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */

// Memory the vendor is to work in: the arena's, where the application can reach it without a copy.
static char *back(cl_mem_flags flags, const void *host_ptr, size_t size)
{
    char *block = flags & CL_MEM_ALLOC_HOST_PTR && !(flags & CL_MEM_USE_HOST_PTR) && size && size < 1ull << 40 &&
                          !(flags & CL_MEM_COPY_HOST_PTR) == !host_ptr && !hira_remote()
                      ? hira_arena_get(size)
                      : NULL;
    if (block && host_ptr)
        memcpy(block, host_ptr, size);
    return block;
}

// Memory of the application's that the vendor cannot use where it is: what is sent of it is a copy, gone after the call.
static cl_mem_flags flags_to_send(cl_mem_flags flags, const void *host_ptr, size_t size)
{
    return (flags & HOST_FLAGS) == CL_MEM_USE_HOST_PTR && host_ptr && !hira_in_arena(host_ptr, size)
               ? (flags & ~(cl_mem_flags)CL_MEM_USE_HOST_PTR) | CL_MEM_COPY_HOST_PTR
               : flags;
}

static cl_mem_flags flags_as_given(cl_mem memory, cl_mem_flags flags)
{
    const struct cl_mem_state *state = state_cl_mem(memory);
    if (!state || !(state->flags | state->whole))
        return flags;
    return state->flags ? state->flags : (flags & ~HOST_FLAGS) | (state->whole & HOST_FLAGS);
}

static void remember(cl_mem made, cl_mem_flags flags, char *block, void *host_ptr, size_t size)
{
    struct cl_mem_state *state = state_cl_mem(made);
    if (!state) {
        hira_arena_put(block);
        return;
    }
    state->svm = host_ptr && flags & CL_MEM_USE_HOST_PTR && hira_shared_has(host_ptr);
    hira_host_set(&state->host, block ? block : flags & CL_MEM_USE_HOST_PTR ? host_ptr : NULL, size, block != NULL);
    if (state->host.at)
        state->flags = flags;
}

static cl_mem sized(cl_mem made, cl_mem_flags flags, size_t size)
{
    struct cl_mem_state *state = state_cl_mem(made);
    if (state) {
        state->size = size;
        state->given = flags;
    }
    return made;
}

static void share(cl_mem memory)
{
    struct cl_mem_state *state = memory ? state_cl_mem(memory) : NULL;
    if (state)
        state->shared = true;
}

// What the application gives is looked at only where the vendor would look at it too: not for a call that it is going
// to refuse. So calls that look like that go without their memory, or, where the refusal would be another one then, are
// asked about first.
static const size_t *extent_of_image(cl_mem image)
{
    const struct cl_mem_state *state = state_cl_mem(image);
    return state && state->extent[0] ? state->extent : NULL;
}

static bool rectangle_inside(cl_mem buffer, const size_t *origin, const size_t *region, size_t row, size_t slice)
{
    const struct cl_mem_state *state = state_cl_mem(buffer);
    return state && origin && region && hira_region_end(origin, region, 1, row, slice) <= state->size;
}

// The smallest that a context's devices say of this.
static size_t smallest(cl_context context, cl_device_info name, size_t size)
{
    cl_device_id devices[64];
    size_t bytes = 0, least = SIZE_MAX;
    if (clGetContextInfo(context, CL_CONTEXT_DEVICES, sizeof devices, devices, &bytes))
        return 0;
    for (size_t i = 0; i < bytes / sizeof *devices; i++) {
        cl_ulong value = 0;
        clGetDeviceInfo(devices[i], name, size, &value, NULL);
        least = value < least ? value : least;
    }
    return least;
}

static bool known_good_size(cl_context context, size_t size)
{
    struct cl_context_state *state = state_cl_context(context);
    if (state && !state->most)
        state->most = smallest(context, CL_DEVICE_MAX_MEM_ALLOC_SIZE, sizeof(cl_ulong));
    return state && size && size <= state->most;
}

static bool one_or_none(cl_mem_flags flags, cl_mem_flags of)
{
    return ((flags & of) & ((flags & of) - 1)) == 0;
}

static bool known_good_flags(cl_mem_flags flags)
{
    return one_or_none(flags, CL_MEM_READ_WRITE | CL_MEM_READ_ONLY | CL_MEM_WRITE_ONLY) &&
           one_or_none(flags, CL_MEM_HOST_NO_ACCESS | CL_MEM_HOST_READ_ONLY | CL_MEM_HOST_WRITE_ONLY) &&
           (!(flags & CL_MEM_USE_HOST_PTR) || !(flags & (CL_MEM_COPY_HOST_PTR | CL_MEM_ALLOC_HOST_PTR))) &&
           flags < 1 << 10;
}

static bool refused(cl_int error, cl_int *errcode_ret)
{
    if (error && errcode_ret)
        *errcode_ret = error;
    return error != CL_SUCCESS;
}

static bool buffer_refused(cl_context context, cl_mem_flags flags, size_t size, const void *host_ptr,
                           cl_int *errcode_ret)
{
    return host_ptr && flags & (CL_MEM_USE_HOST_PTR | CL_MEM_COPY_HOST_PTR) &&
           !(known_good_size(context, size) && known_good_flags(flags)) &&
           refused(hira_refusal_of_buffer(context, flags, size), errcode_ret);
}

// A copy that goes beyond its buffer is refused before anybody looks at the application's memory, which may end
// earlier.
static bool beyond(cl_command_queue queue, cl_mem buffer, size_t offset, size_t size)
{
    const struct cl_mem_state *state = state_cl_mem(buffer);
    return state && state->size && hira_object(queue, T_cl_command_queue) &&
           !hira_range_inside(offset, size, state->size);
}

static const size_t *image_limits(cl_context context)
{
    static const cl_device_info names[] = {CL_DEVICE_IMAGE2D_MAX_WIDTH, CL_DEVICE_IMAGE2D_MAX_HEIGHT,
                                           CL_DEVICE_IMAGE3D_MAX_WIDTH, CL_DEVICE_IMAGE3D_MAX_HEIGHT,
                                           CL_DEVICE_IMAGE3D_MAX_DEPTH, CL_DEVICE_IMAGE_MAX_ARRAY_SIZE};
    struct cl_context_state *state = state_cl_context(context);
    for (int i = 0; state && !state->most_texels[0] && i < 6; i++)
        state->most_texels[5 - i] = smallest(context, names[5 - i], sizeof(size_t)); // the first one comes last
    return state ? state->most_texels : NULL;
}

// What an image of this description has in each direction.
static void extent_of(const cl_image_desc *d, size_t extent[3])
{
    cl_mem_object_type t = d->image_type;
    bool flat = t == CL_MEM_OBJECT_IMAGE2D || t == CL_MEM_OBJECT_IMAGE2D_ARRAY || t == CL_MEM_OBJECT_IMAGE3D;
    extent[0] = d->image_width;
    extent[1] = flat ? d->image_height : t == CL_MEM_OBJECT_IMAGE1D_ARRAY ? d->image_array_size : 1;
    extent[2] = t == CL_MEM_OBJECT_IMAGE3D         ? d->image_depth
                : t == CL_MEM_OBJECT_IMAGE2D_ARRAY ? d->image_array_size
                                                   : 1;
}

static bool known_good_shape(cl_context context, const cl_image_format *f, const cl_image_desc *d)
{
    const size_t *most = image_limits(context);
    size_t extent[3], row = d->image_row_pitch, slice = d->image_slice_pitch, texel = texel_size(f);
    bool deep = d->image_type == CL_MEM_OBJECT_IMAGE3D, lines = d->image_type == CL_MEM_OBJECT_IMAGE1D_ARRAY;
    extent_of(d, extent);
    return most && extent[0] && extent[1] && extent[2] && extent[0] <= most[deep ? 2 : 0] &&
           extent[1] <= most[deep    ? 3
                             : lines ? 5
                                     : 1] &&
           extent[2] <= most[deep ? 4 : 5] && (!row || (row >= extent[0] * texel && row % texel == 0)) &&
           (!slice || (slice >= (lines ? 1 : extent[1]) * (row ? row : extent[0] * texel) &&
                       slice % (row ? row : extent[0] * texel) == 0));
}

// One of each format is tried; then those of a good shape are not any more.
static bool image_refused(cl_context context, cl_mem_flags flags, const cl_image_format *f, const cl_image_desc *d,
                          const void *host_ptr, cl_int *errcode_ret)
{
    if (!host_ptr || !(flags & (CL_MEM_USE_HOST_PTR | CL_MEM_COPY_HOST_PTR)) || !f || !d)
        return false;
    uint64_t key = hira_mix(hira_mix(hira_handle_key(context), d->image_type), f->image_channel_order);
    key = hira_mix(hira_mix(key, f->image_channel_data_type), flags);
    if (hira_once_seen(key) && known_good_flags(flags) && known_good_shape(context, f, d))
        return false;
    if (refused(hira_refusal_of_image(context, flags, f, d), errcode_ret))
        return true;
    hira_once_add(key);
    return false;
}

static cl_mem shaped(cl_mem made, const cl_image_desc *d)
{
    struct cl_mem_state *state = state_cl_mem(made);
    if (state && d)
        extent_of(d, state->extent);
    return made;
}

static void note_order(cl_command_queue queue)
{
    struct cl_command_queue_state *state = state_cl_command_queue(queue);
    cl_command_queue_properties properties = 0;
    if (!state)
        return;
    state->unordered = clGetCommandQueueInfo(queue, CL_QUEUE_PROPERTIES, sizeof properties, &properties, NULL) ||
                       properties & CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE;
    state->device_fed = properties & CL_QUEUE_ON_DEVICE;
}

static bool ordered(cl_command_queue queue)
{
    const struct cl_command_queue_state *state = state_cl_command_queue(queue);
    return state && !state->unordered;
}

static bool nothing_pends(cl_command_queue queue)
{
    const struct cl_command_queue_state *state = state_cl_command_queue(queue);
    return state && !state->device_fed && hira_drained(queue);
}

// Whether a copy from or to a buffer that forbids it by these flags can only fail for want of resources.
static bool can_copy(cl_command_queue queue, cl_mem buffer, cl_mem_flags forbidden, size_t offset, size_t size,
                     const void *ptr)
{
    const struct cl_mem_state *state = state_cl_mem(buffer);
    return ptr && size && state && state->size && !beyond(queue, buffer, offset, size) && !state->host.whole &&
           !(state->given & (forbidden | CL_MEM_HOST_NO_ACCESS)) && hira_siblings(queue, buffer);
}

static uint64_t wait_key(cl_uint n, const cl_event *list)
{
    return hira_mix_handles(0, list, list ? n : 0, true);
}

// A write that has returned before it is done ends by itself, unless a command before it waits for a user event; and only
// by a user event can somebody who names neither its buffer nor its queue start what looks at it. So there are no such
// writes once there is one: `behind` counts the calls that are about to make one.
static _Atomic bool has_user_events;
static _Atomic unsigned behind;

static void write_through(void)
{
    atomic_store(&has_user_events, true);
    for (int i = 0; i < 100000 && atomic_load(&behind); i++) // not for ever: a child of fork never sees its parent's threads end it
        usleep(10);
}

// Whether nothing in the queue is before a write, and no other object shares the memory: such a one may be named where
// this is not.
static bool may_write_behind(cl_command_queue queue, cl_mem buffer, size_t offset, size_t size, const void *ptr)
{
    const struct cl_mem_state *state = state_cl_mem(buffer);
    return size <= 64 * 1024 && can_copy(queue, buffer, CL_MEM_HOST_READ_ONLY, offset, size, ptr) && !state->shared &&
           !state->host.at && nothing_pends(queue);
}

// The object's memory for maps, which all of its maps lie in.
static struct hira_host *host_of(cl_mem memory)
{
    struct cl_mem_state *state = state_cl_mem(memory);
    cl_mem whole = memory;
    size_t size = 0;
    if (!state)
        return NULL;
    if (hira_host_lacks(&state->host) &&
        !clGetMemObjectInfo(memory, CL_MEM_ASSOCIATED_MEMOBJECT, sizeof whole, &whole, NULL) &&
        !clGetMemObjectInfo(whole && state->host.whole ? whole : memory, CL_MEM_SIZE, sizeof size, &size, NULL))
        hira_host_reserve(&state->host, size);
    return &state->host;
}

// What a map without a flag that is known here is for, its vendor knows: contents go back then, too.
static bool writes(cl_map_flags flags)
{
    return flags & MAP_WRITES || !(flags & CL_MAP_READ);
}

static void *mapped(struct hira_host *host, struct hira_map *map, cl_int error, cl_int *errcode_ret)
{
    void *at = hira_map_end(host, map, !error);
    if (errcode_ret)
        *errcode_ret = error ? error : at ? CL_SUCCESS : CL_MAP_FAILURE;
    return at;
}

// Kernels of one name and one build of a program have the same arguments.
static void classify(cl_kernel kernel, cl_program program, const char *name)
{
    struct cl_kernel_state *state = state_cl_kernel(kernel);
    const struct cl_program_state *built = state_cl_program(program);
    if (state && built)
        state->class = hira_mix_bytes(hira_mix(hira_handle_key(program), built->builds), name, strlen(name));
}

static uint64_t kernel_class(cl_kernel kernel)
{
    const struct cl_kernel_state *state = state_cl_kernel(kernel);
    return state && state->class ? state->class : hira_handle_key(kernel);
}

static bool is_buffer(cl_mem memory)
{
    const struct cl_mem_state *state = state_cl_mem(memory);
    return state && state->size;
}

static unsigned argument_kind(cl_kernel kernel, cl_uint index, const void *value)
{
    struct cl_kernel_state *k = state_cl_kernel(kernel);
    if (k && !k->kinds) {
        cl_uint n = 0;
        unsigned char kinds[1024], *copy;
        if (hira_argument_kinds(kernel, sizeof kinds, kinds, &n) || !(copy = malloc(n + 1)))
            return ARG_BYTES;
        k->n_kinds = n < sizeof kinds ? n : sizeof kinds;
        memcpy(copy, kinds, k->n_kinds);
        k->kinds = copy;
    }
    if (!k || index >= k->n_kinds)
        return ARG_BYTES;
    if (k->kinds[index] != ARG_UNKNOWN)
        return k->kinds[index];
    // A program without argument information: our handles lie in one range of addresses, and a value there is one.
    switch (value ? hira_object_type(*(const void *const *)value) : 0) {
    case T_cl_mem:
        return ARG_MEMORY;
    case T_cl_sampler:
        return ARG_SAMPLER;
    case T_cl_command_queue:
        return ARG_QUEUE;
    default:
        return ARG_BYTES;
    }
}

static struct hira_host svm_host; // of it only what is mapped

/* ---- what is noted of objects ---- */

static void note_any_order(cl_command_queue queue)
{
    struct cl_command_queue_state *state = state_cl_command_queue(queue);
    if (state)
        state->unordered = true; // or perhaps not: then it is only slower
}

static void note_queues(cl_command_buffer_khr made, cl_uint n, const cl_command_queue *queues)
{
    struct cl_command_buffer_khr_state *state = state_cl_command_buffer_khr(made);
    if (!state || !queues)
        return;
    state->n_queues = n < 4 ? n : 4;
    memcpy(state->queues, queues, state->n_queues * sizeof *queues);
}

static void note_part(cl_mem made, cl_mem of, const cl_buffer_region *region)
{
    struct cl_mem_state *part = state_cl_mem(made), *whole = state_cl_mem(of);
    if (!part || !whole)
        return;
    share(of);
    hira_host_part(&part->host, &whole->host, region->origin);
    part->whole = whole->flags;
    part->svm = whole->svm;
    part->size = region->size;
}

static void note_image(cl_mem made, cl_mem_flags flags, const cl_image_desc *desc, void *host_ptr)
{
    remember(shaped(made, desc), flags, NULL, host_ptr, 0);
    if (made && desc)
        share(desc->mem_object);
}

static void tell_flags(cl_mem memory, void *told)
{
    *(cl_mem_flags *)told = flags_as_given(memory, *(cl_mem_flags *)told);
}

static void forget_shared(cl_uint n, void *const *pointers)
{
    for (cl_uint i = 0; i < n; i++)
        hira_shared_forget(pointers[i]);
}

static void count_build(cl_program program)
{
    struct cl_program_state *state = state_cl_program(program);
    if (state)
        state->builds++;
}

static void note_sources(cl_uint count, const char **strings, const size_t *lengths)
{
    for (cl_uint i = 0; strings && i < count; i++)
        if (strings[i])
            hira_note_includes(strings[i], lengths && lengths[i] ? lengths[i] : strlen(strings[i]));
}

/* ---- in the place of functions ---- */

static cl_int guest_clGetGLContextInfoKHR(const cl_context_properties *properties, cl_gl_context_info param_name,
                                          size_t param_value_size, void *param_value, size_t *param_value_size_ret)
{
    (void)param_name, (void)param_value_size, (void)param_value;
    if (!properties)
        return CL_INVALID_PLATFORM;
    if (param_value_size_ret)
        *param_value_size_ret = 0;
    return CL_SUCCESS;
}

static cl_int guest_clIcdGetPlatformIDsKHR(cl_uint num_entries, cl_platform_id *platforms, cl_uint *num_platforms)
{
    return clGetPlatformIDs(num_entries, platforms, num_platforms);
}

static void *guest_clGetExtensionFunctionAddress(const char *func_name)
{
    bool entry = func_name && !strcmp(func_name, "clIcdGetPlatformIDsKHR");
    return address_of(func_name, !entry);
}

static void *guest_clGetExtensionFunctionAddressForPlatform(cl_platform_id platform, const char *func_name)
{
    if (func_name && !strcmp(func_name, "clGetPlatformInfo"))
        return (void *)clGetPlatformInfo;
    return platform ? address_of(func_name, false) : NULL;
}

static cl_mem guest_clCreateBuffer(cl_context context, cl_mem_flags flags, size_t size, void *host_ptr,
                                   cl_int *errcode_ret)
{
    if (buffer_refused(context, flags, size, host_ptr, errcode_ret))
        return NULL;
    char *block = back(flags, host_ptr, size);
    cl_mem_flags given =
        block ? (flags & ~(cl_mem_flags)(CL_MEM_ALLOC_HOST_PTR | CL_MEM_COPY_HOST_PTR)) | CL_MEM_USE_HOST_PTR
              : flags_to_send(flags, host_ptr, size);
    cl_mem made = flags & CL_MEM_USE_HOST_PTR && host_ptr && hira_shared_has(host_ptr)
                      ? hira_svm_buffer(context, flags, size, (cl_ulong)(uintptr_t)host_ptr, errcode_ret)
                      : remote_clCreateBuffer(context, given, size, block ? block : host_ptr, errcode_ret);
    remember(made, flags, block, host_ptr, size);
    return sized(made, flags, size);
}

static cl_mem guest_clCreateBufferWithProperties(cl_context context, const cl_mem_properties *properties,
                                                 cl_mem_flags flags, size_t size, void *host_ptr, cl_int *errcode_ret)
{
    if (buffer_refused(context, flags, size, host_ptr, errcode_ret))
        return NULL;
    char *block = back(flags, host_ptr, size);
    cl_mem_flags given =
        block ? (flags & ~(cl_mem_flags)(CL_MEM_ALLOC_HOST_PTR | CL_MEM_COPY_HOST_PTR)) | CL_MEM_USE_HOST_PTR
              : flags_to_send(flags, host_ptr, size);
    cl_mem made =
        remote_clCreateBufferWithProperties(context, properties, given, size, block ? block : host_ptr, errcode_ret);
    remember(made, flags, block, host_ptr, size);
    return sized(made, flags, size);
}

static cl_mem guest_clCreateImage(cl_context context, cl_mem_flags flags, const cl_image_format *image_format,
                                  const cl_image_desc *image_desc, void *host_ptr, cl_int *errcode_ret)
{
    if (image_refused(context, flags, image_format, image_desc, host_ptr, errcode_ret))
        return NULL;
    cl_mem made = remote_clCreateImage(
        context, flags_to_send(flags, host_ptr, image_size(flags, image_format, image_desc)), image_format, image_desc,
        host_ptr, errcode_ret);
    note_image(made, flags, image_desc, host_ptr);
    return made;
}

static cl_mem guest_clCreateImageWithProperties(cl_context context, const cl_mem_properties *properties,
                                                cl_mem_flags flags, const cl_image_format *image_format,
                                                const cl_image_desc *image_desc, void *host_ptr, cl_int *errcode_ret)
{
    if (image_refused(context, flags, image_format, image_desc, host_ptr, errcode_ret))
        return NULL;
    cl_mem made = remote_clCreateImageWithProperties(
        context, properties, flags_to_send(flags, host_ptr, image_size(flags, image_format, image_desc)), image_format,
        image_desc, host_ptr, errcode_ret);
    note_image(made, flags, image_desc, host_ptr);
    return made;
}

static cl_mem guest_clCreateImage2D(cl_context context, cl_mem_flags flags, const cl_image_format *image_format,
                                    size_t image_width, size_t image_height, size_t image_row_pitch, void *host_ptr,
                                    cl_int *errcode_ret)
{
    const cl_image_desc desc = {.image_type = CL_MEM_OBJECT_IMAGE2D,
                                .image_width = image_width,
                                .image_height = image_height,
                                .image_row_pitch = image_row_pitch};
    return clCreateImage(context, flags, image_format, &desc, host_ptr, errcode_ret);
}

static cl_mem guest_clCreateImage3D(cl_context context, cl_mem_flags flags, const cl_image_format *image_format,
                                    size_t image_width, size_t image_height, size_t image_depth, size_t image_row_pitch,
                                    size_t image_slice_pitch, void *host_ptr, cl_int *errcode_ret)
{
    const cl_image_desc desc = {.image_type = CL_MEM_OBJECT_IMAGE3D,
                                .image_width = image_width,
                                .image_height = image_height,
                                .image_depth = image_depth,
                                .image_row_pitch = image_row_pitch,
                                .image_slice_pitch = image_slice_pitch};
    return clCreateImage(context, flags, image_format, &desc, host_ptr, errcode_ret);
}

static cl_int guest_clEnqueueCommandBufferKHR(cl_uint num_queues, cl_command_queue *queues,
                                              cl_command_buffer_khr command_buffer, cl_uint num_events_in_wait_list,
                                              const cl_event *event_wait_list, cl_event *event)
{
    cl_int error = remote_clEnqueueCommandBufferKHR(num_queues, queues, command_buffer, num_events_in_wait_list,
                                                    event_wait_list, event);
    const struct cl_command_buffer_khr_state *state = state_cl_command_buffer_khr(command_buffer);
    for (cl_uint i = 0; state && i < state->n_queues; i++)
        hira_object_pend(state->queues[i]);
    return error;
}

static void *guest_clEnqueueMapBuffer(cl_command_queue command_queue, cl_mem buffer, cl_bool blocking_map,
                                      cl_map_flags map_flags, size_t offset, size_t size,
                                      cl_uint num_events_in_wait_list, const cl_event *event_wait_list, cl_event *event,
                                      cl_int *errcode_ret)
{
    struct hira_host *host = host_of(buffer);
    struct hira_map *map = hira_map_begin(host, offset, size, writes(map_flags));
    cl_int error = hira_map_buffer(command_queue, buffer, blocking_map, map_flags, offset, size, hira_map_at(map),
                                   hira_map_number(map), num_events_in_wait_list, event_wait_list, event);
    return mapped(host, map, error, errcode_ret);
}

static void *guest_clEnqueueMapImage(cl_command_queue command_queue, cl_mem image, cl_bool blocking_map,
                                     cl_map_flags map_flags, const size_t *origin, const size_t *region,
                                     size_t *image_row_pitch, size_t *image_slice_pitch,
                                     cl_uint num_events_in_wait_list, const cl_event *event_wait_list, cl_event *event,
                                     cl_int *errcode_ret)
{
    size_t element = 0, row = 0, slice = 0;
    struct hira_host *host = origin && region ? host_of(image) : NULL;
    struct hira_map *map = NULL;
    if (image && origin && region) {
        element = element_size(image);
        clGetImageInfo(image, CL_IMAGE_ROW_PITCH, sizeof row, &row, NULL);
        clGetImageInfo(image, CL_IMAGE_SLICE_PITCH, sizeof slice, &slice, NULL);
        map = hira_map_begin(host, hira_region_begin(origin, region, element, row, slice),
                             hira_region_end(NULL, region, element, row, slice), writes(map_flags));
    }
    bool told = image_row_pitch && (image_slice_pitch || !slice);
    cl_int error = hira_object(command_queue, T_cl_command_queue) && image && !told
                       ? CL_INVALID_VALUE
                       : hira_map_image(command_queue, image, blocking_map, map_flags, origin, region, element, row,
                                        slice, hira_map_at(map), hira_map_number(map), num_events_in_wait_list,
                                        event_wait_list, event);
    if (!error && image_row_pitch)
        *image_row_pitch = row;
    if (!error && image_slice_pitch)
        *image_slice_pitch = slice;
    return mapped(host, map, error, errcode_ret);
}

static cl_int guest_clEnqueueUnmapMemObject(cl_command_queue command_queue, cl_mem memobj, void *mapped_ptr,
                                            cl_uint num_events_in_wait_list, const cl_event *event_wait_list,
                                            cl_event *event)
{
    struct hira_host *host = state_cl_mem(memobj) ? &state_cl_mem(memobj)->host : NULL;
    struct hira_map *map = hira_map_take(host, mapped_ptr);
    bool written = map && map->written;
    cl_int error = hira_unmap(command_queue, memobj, hira_map_number(map), written ? map->at : NULL,
                              written ? map->size : 0, num_events_in_wait_list, event_wait_list, event);
    hira_map_put(host, map, !error);
    return error;
}

static cl_int guest_clGetProgramInfo(cl_program program, cl_program_info param_name, size_t param_value_size,
                                     void *param_value, size_t *param_value_size_ret)
{
    size_t sizes[256], got = 0;
    cl_int error;
    if (param_name != CL_PROGRAM_BINARIES)
        return remote_clGetProgramInfo(program, param_name, param_value_size, param_value, param_value_size_ret);
    error = remote_clGetProgramInfo(program, CL_PROGRAM_BINARY_SIZES, sizeof sizes, sizes, &got);
    if (!error && param_value && param_value_size < got)
        error = CL_INVALID_VALUE;
    unsigned char **binaries = param_value;
    for (cl_uint i = 0, n = (cl_uint)(got / sizeof *sizes); !error && binaries && i < n; i++)
        if (binaries[i])
            error = hira_program_binary(program, n, i, sizes[i], binaries[i]);
    if (!error && param_value_size_ret)
        *param_value_size_ret = got;
    return error;
}

static cl_int guest_clSetKernelArg(cl_kernel kernel, cl_uint arg_index, size_t arg_size, const void *arg_value)
{
    unsigned kind =
        arg_value ? argument_kind(kernel, arg_index, arg_size == sizeof(void *) ? arg_value : NULL) : ARG_BYTES;
    if (kind != ARG_BYTES && arg_size != sizeof(void *))
        return CL_INVALID_ARG_SIZE; // before anything is read: the value is as large as a handle
    switch (kind) {
    case ARG_MEMORY:
        return hira_set_memory(kernel, arg_index, *(const cl_mem *)arg_value);
    case ARG_SAMPLER:
        return hira_set_sampler(kernel, arg_index, *(const cl_sampler *)arg_value);
    case ARG_QUEUE: {
        struct cl_command_queue_state *fed = state_cl_command_queue(*(const cl_command_queue *)arg_value);
        if (fed)
            fed->device_fed = true;
        return hira_set_queue(kernel, arg_index, *(const cl_command_queue *)arg_value);
    }
    default:
        return remote_clSetKernelArg(kernel, arg_index, arg_size, arg_value);
    }
}

static void *guest_clSVMAlloc(cl_context context, cl_svm_mem_flags flags, size_t size, cl_uint alignment)
{
    // Addresses that are taken here are kept from the vendor until it has offered a free one.
    cl_ulong taken[8], at = 0;
    unsigned n = 0;
    while (n < 8 && (at = hira_svm_alloc(context, flags, size, alignment)) &&
           !hira_shared_add((void *)(uintptr_t)at, size))
        taken[n++] = at;
    at = n < 8 ? at : 0;
    while (n)
        hira_svm_free(context, taken[--n]);
    return (void *)(uintptr_t)at;
}

static void guest_clSVMFree(cl_context context, void *svm_pointer)
{
    if (!context || !svm_pointer || !hira_shared_has(svm_pointer))
        return;
    hira_shared_forget(svm_pointer);
    hira_svm_free(context, (cl_ulong)(uintptr_t)svm_pointer);
}

static cl_int guest_clEnqueueSVMMap(cl_command_queue command_queue, cl_bool blocking_map, cl_map_flags flags,
                                    void *svm_ptr, size_t size, cl_uint num_events_in_wait_list,
                                    const cl_event *event_wait_list, cl_event *event)
{
    struct hira_map *map = hira_map_begin_at(svm_ptr, size, writes(flags));
    cl_int error = map ? hira_svm_map(command_queue, blocking_map, flags, (cl_ulong)(uintptr_t)svm_ptr, size,
                                      hira_shared_has(svm_ptr) ? svm_ptr : NULL, map->number, num_events_in_wait_list,
                                      event_wait_list, event)
                       : CL_OUT_OF_HOST_MEMORY;
    hira_map_end(&svm_host, map, !error);
    return error;
}

static cl_int guest_clEnqueueSVMUnmap(cl_command_queue command_queue, void *svm_ptr, cl_uint num_events_in_wait_list,
                                      const cl_event *event_wait_list, cl_event *event)
{
    struct hira_map *map = hira_map_take(&svm_host, svm_ptr);
    bool written = map && map->written;
    cl_int error =
        hira_svm_unmap(command_queue, (cl_ulong)(uintptr_t)svm_ptr, hira_map_number(map), written ? map->at : NULL,
                       written ? map->size : 0, num_events_in_wait_list, event_wait_list, event);
    hira_map_put(&svm_host, map, !error);
    return error;
}

static cl_int guest_clEnqueueSVMMemcpy(cl_command_queue command_queue, cl_bool blocking_copy, void *dst_ptr,
                                       const void *src_ptr, size_t size, cl_uint num_events_in_wait_list,
                                       const cl_event *event_wait_list, cl_event *event)
{
    bool to = dst_ptr && hira_shared_has(dst_ptr), from = src_ptr && hira_shared_has(src_ptr);
    return hira_svm_copy(command_queue, blocking_copy, to ? (cl_ulong)(uintptr_t)dst_ptr : 0,
                         from ? (cl_ulong)(uintptr_t)src_ptr : 0, to ? NULL : dst_ptr, from ? NULL : src_ptr, size,
                         to ? 0 : size, from ? 0 : size, num_events_in_wait_list, event_wait_list, event);
}

// An event lives until its callback has been called, whoever releases it before.
struct notice {
    void (CL_CALLBACK *call)(cl_event event, cl_int status, void *data);
    void *data;
};

static void CL_CALLBACK event_reached(cl_event event, cl_int status, void *data)
{
    struct notice notice = *(struct notice *)data;
    free(data);
    notice.call(event, status, notice.data);
    hira_object_release(event, T_cl_event);
}

static cl_int guest_clSetEventCallback(cl_event event, cl_int command_exec_callback_type,
                                       void (CL_CALLBACK *pfn_notify)(cl_event, cl_int, void *), void *user_data)
{
    struct notice *notice = pfn_notify && hira_object(event, T_cl_event) ? malloc(sizeof *notice) : NULL;
    if (!notice)
        return remote_clSetEventCallback(event, command_exec_callback_type, pfn_notify, user_data);
    *notice = (struct notice){pfn_notify, user_data};
    hira_object_retain(event, T_cl_event);
    cl_int error = remote_clSetEventCallback(event, command_exec_callback_type, event_reached, notice);
    if (error) {
        hira_object_release(event, T_cl_event);
        free(notice);
    }
    return error;
}

static cl_int guest_clEnqueueWriteBuffer(cl_command_queue command_queue, cl_mem buffer, cl_bool blocking_write,
                                         size_t offset, size_t size, const void *ptr, cl_uint num_events_in_wait_list,
                                         const cl_event *event_wait_list, cl_event *event)
{
    atomic_fetch_add(&behind, 1);
    bool may = !atomic_load(&has_user_events) && !num_events_in_wait_list && !event_wait_list && !event &&
               may_write_behind(command_queue, buffer, offset, size, ptr);
    cl_int error = may ? hira_write_behind(buffer, command_queue, offset, size, ptr) : CL_SUCCESS;
    atomic_fetch_sub(&behind, 1);
    if (may)
        return error;
    return remote_clEnqueueWriteBuffer(command_queue, buffer, blocking_write, offset, size, ptr,
                                       num_events_in_wait_list, event_wait_list, event);
}
