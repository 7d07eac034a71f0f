/*
 * What the API server of the virtual OpenCL does besides calling the vendor: see opencl.lapis, which names this file.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */

#include <sys/mman.h>

static cl_platform_id platforms[16];
static cl_uint n_platforms;

static void warm_devices(void)
{
    cl_device_id devices[64];
    clGetPlatformIDs(16, platforms, &n_platforms);
    n_platforms = n_platforms < 16 ? n_platforms : 16;
    for (cl_uint i = 0; i < n_platforms; i++)
        clGetDeviceIDs(platforms[i], CL_DEVICE_TYPE_ALL, 64, devices, NULL);
}

static void *vendor_extension(const char *name)
{
    for (cl_uint i = 0; i < n_platforms; i++) {
        void *address = clGetExtensionFunctionAddressForPlatform(platforms[i], name);
        if (address)
            return address;
    }
    return NULL;
}

static const char *describe_platform(void)
{
    static char name[256];
    warm_devices();
    return n_platforms && !clGetPlatformInfo(platforms[0], CL_PLATFORM_NAME, sizeof name, name, NULL) ? name : NULL;
}

// The application's own memory is out of the vendor's reach: it begins as a copy, and maps bring it up to date.
static cl_mem_flags host_flags(cl_mem_flags flags, const void *host_ptr)
{
    if ((flags & HOST_FLAGS) == CL_MEM_USE_HOST_PTR && host_ptr && !hira_in_arena(host_ptr))
        return (flags & ~(cl_mem_flags)CL_MEM_USE_HOST_PTR) | CL_MEM_COPY_HOST_PTR;
    return flags;
}

// As many zeros as the vendor can be made to read, at no cost.
static const void *zeros(size_t size)
{
    const void *at = mmap(NULL, size, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return at == MAP_FAILED ? NULL : at;
}

static cl_int end_trial(const void *memory, size_t size, cl_mem made, cl_int error)
{
    if (made)
        clReleaseMemObject(made);
    munmap((void *)memory, size);
    return error;
}

// Large blocking copies: straight to and from the vendor's memory where the host reaches it, else in pieces worth a
// vendor call.
enum { PIECE = 4 << 20 };

static bool host_reaches(cl_command_queue queue)
{
    cl_device_id device = NULL;
    cl_device_type type = 0;
    return !clGetCommandQueueInfo(queue, CL_QUEUE_DEVICE, sizeof device, &device, NULL) &&
           !clGetDeviceInfo(device, CL_DEVICE_TYPE, sizeof type, &type, NULL) && type & CL_DEVICE_TYPE_CPU;
}

static cl_int write_pieces(struct hira_serve *s, cl_command_queue queue, cl_mem buffer, size_t offset, size_t size,
                           cl_uint n, const cl_event *list)
{
    char *piece = hira_scratch(s, PIECE);
    cl_int error = piece ? CL_SUCCESS : CL_OUT_OF_HOST_MEMORY;
    for (size_t done = 0, now; !error && done < size; done += now, n = 0, list = NULL) {
        now = size - done < PIECE ? size - done : PIECE;
        hira_stream_receive(s, piece, now);
        error = clEnqueueWriteBuffer(queue, buffer, CL_TRUE, offset + done, now, piece, n, list, NULL);
    }
    return error;
}

static cl_int read_pieces(struct hira_serve *s, cl_command_queue queue, cl_mem buffer, size_t offset, size_t size,
                          cl_uint n, const cl_event *list)
{
    char *piece = hira_scratch(s, PIECE);
    cl_int error = piece ? CL_SUCCESS : CL_OUT_OF_HOST_MEMORY;
    for (size_t done = 0, now; !error && done < size; done += now, n = 0, list = NULL) {
        now = size - done < PIECE ? size - done : PIECE;
        error = clEnqueueReadBuffer(queue, buffer, CL_TRUE, offset + done, now, piece, n, list, NULL);
        if (!error)
            hira_stream_send(s, piece, now);
    }
    return error;
}

// Kernel arguments must tell whether they are handles (see hira_argument_kinds), so every build is asked for that.
static const char *with_argument_info(struct hira_serve *s, cl_program program, const char *options)
{
    struct cl_program_state *state = state_cl_program(program);
    bool added = !options || !strstr(options, "-cl-kernel-arg-info");
    char *all = added ? hira_scratch(s, (options ? strlen(options) : 0) + 32) : NULL;
    if (state)
        state->added = added;
    if (all)
        sprintf(all, "%s%s-cl-kernel-arg-info", options ? options : "", options && *options ? " " : "");
    return all ? all : options;
}

// What the vendor says of a build, without what we added to it. Returns its size.
static size_t build_text(cl_program program, cl_program_build_info name, char *text)
{
    const struct cl_program_state *state = state_cl_program(program);
    char *ours = name == CL_PROGRAM_BUILD_OPTIONS && state && state->added ? strstr(text, "-cl-kernel-arg-info") : NULL;
    if (ours)
        ours[ours > text ? -1 : 0] = 0;
    hira_unprefix(text);
    return strlen(text) + 1;
}

// Kernels may print: its source says so, other forms of a program may hide it.
static void expect_prints(const char *const *texts, const size_t *lengths, cl_uint n)
{
    bool prints = !texts && n;
    for (cl_uint i = 0; texts && i < n && !prints; i++)
        prints = texts[i] && memmem(texts[i], lengths ? lengths[i] : strlen(texts[i]), "printf", 6);
    if (prints)
        hira_expect_output();
}

// Whether this context's vendor tells of arguments also when the build did not ask: some do. Found out by a small
// program.
static bool tells_unasked(cl_context context)
{
    static const char *text = "kernel void asked(global int *a) { *a = 0; }";
    cl_device_id device = NULL, devices[64];
    size_t size = 0;
    cl_kernel_arg_address_qualifier where;
    if (!clGetContextInfo(context, CL_CONTEXT_DEVICES, sizeof devices, devices, &size) && size)
        device = devices[0];
    cl_program program = device ? clCreateProgramWithSource(context, 1, &text, NULL, NULL) : NULL;
    cl_kernel kernel =
        program && !clBuildProgram(program, 1, &device, "", NULL, NULL) ? clCreateKernel(program, "asked", NULL) : NULL;
    bool tells = kernel && !clGetKernelArgInfo(kernel, 0, CL_KERNEL_ARG_ADDRESS_QUALIFIER, sizeof where, &where, NULL);
    if (kernel)
        clReleaseKernel(kernel);
    if (program)
        clReleaseProgram(program);
    return tells;
}

// Whether the application did not ask for what this query of a kernel's arguments tells, so that its vendor would not
// tell.
static bool hides_arguments(cl_kernel kernel, cl_int ret)
{
    cl_program program = NULL;
    cl_context context = NULL;
    clGetKernelInfo(kernel, CL_KERNEL_PROGRAM, sizeof program, &program, NULL);
    clGetKernelInfo(kernel, CL_KERNEL_CONTEXT, sizeof context, &context, NULL);
    const struct cl_program_state *state = program ? state_cl_program(program) : NULL;
    struct cl_context_state *vendor = context ? state_cl_context(context) : NULL;
    if (state && state->added && vendor && !vendor->tells_unasked)
        vendor->tells_unasked = tells_unasked(context) ? 1 : -1;
    return state && state->added && ret != CL_INVALID_ARG_INDEX && !(vendor && vendor->tells_unasked > 0);
}

// A linked program was built as the application said.
static void as_asked(cl_program program)
{
    struct cl_program_state *state = program ? state_cl_program(program) : NULL;
    if (state)
        state->added = false;
}

static int event_done(cl_event event)
{
    cl_int status = CL_COMPLETE;
    clGetEventInfo(event, CL_EVENT_COMMAND_EXECUTION_STATUS, sizeof status, &status, NULL);
    return status < 0 ? -1 : status == CL_COMPLETE;
}

/* ---- what the router shares: see policy.lapis ---- */

static void list_devices(void (*add)(void *device, const char *name))
{
    cl_device_id devices[64];
    char name[256];
    for (cl_uint i = 0, n = 0; i < n_platforms; i++, n = 0) {
        clGetDeviceIDs(platforms[i], CL_DEVICE_TYPE_ALL, 64, devices, &n);
        for (cl_uint k = 0; k < n && k < 64; k++)
            add(devices[k], clGetDeviceInfo(devices[k], CL_DEVICE_NAME, sizeof name, name, NULL) ? NULL : name);
    }
}

// Those of a type that the tenant sees. The default device is the first of all, where it does not see the vendor's.
static cl_int seen_devices(cl_platform_id platform, cl_device_type type, cl_device_id devices[64], cl_uint *ret_n)
{
    cl_uint n = 0;
    cl_int error = clGetDeviceIDs(platform, type, 64, devices, &n);
    n = (cl_uint)hira_devices_keep(devices, hira_least(n, 64), sizeof *devices, 0);
    if (!error && !n && type == CL_DEVICE_TYPE_DEFAULT) {
        error = seen_devices(platform, CL_DEVICE_TYPE_ALL, devices, &n);
        n = n > 1 ? 1 : n;
    }
    *ret_n = n;
    return error ? error : n ? CL_SUCCESS : CL_DEVICE_NOT_FOUND;
}

static cl_int default_device(cl_int ret, cl_platform_id platform, cl_device_type type, cl_device_id *devices,
                             cl_uint *num_devices)
{
    cl_device_id seen[64];
    cl_uint n;
    if (!hira_devices_hidden || ret != CL_DEVICE_NOT_FOUND || type != CL_DEVICE_TYPE_DEFAULT ||
        seen_devices(platform, type, seen, &n))
        return ret;
    if (devices)
        devices[0] = seen[0];
    if (num_devices)
        *num_devices = n;
    return CL_SUCCESS;
}

static void *gate_make(void *queue)
{
    cl_context context = NULL;
    clGetCommandQueueInfo((cl_command_queue)queue, CL_QUEUE_CONTEXT, sizeof context, &context, NULL);
    return context ? clCreateUserEvent(context, NULL) : NULL;
}

static void gate_open(void *event)
{
    clSetUserEventStatus((cl_event)event, CL_COMPLETE);
    clReleaseEvent((cl_event)event);
}

static int gate_state(void *event)
{
    cl_int status = CL_COMPLETE;
    clGetEventInfo((cl_event)event, CL_EVENT_COMMAND_EXECUTION_STATUS, sizeof status, &status, NULL);
    return status < 0 ? -1 : status == CL_COMPLETE ? 2 : status != CL_QUEUED;
}

struct gate_call {
    void (*done)(void *cookie);
    void *cookie;
};

static void CL_CALLBACK gate_called(cl_event event, cl_int status, void *data)
{
    const struct gate_call *call = data;
    (void)event, (void)status;
    call->done(call->cookie);
    free(data);
}

static bool gate_call(void *event, void (*done)(void *cookie), void *cookie)
{
    struct gate_call *call = malloc(sizeof *call);
    if (call)
        *call = (struct gate_call){done, cookie};
    if (call && !clSetEventCallback((cl_event)event, CL_COMPLETE, gate_called, call))
        return true;
    free(call);
    return false;
}

static void gate_retain(void *event)
{
    clRetainEvent((cl_event)event);
}

static void gate_release(void *event)
{
    clReleaseEvent((cl_event)event);
}

static bool gate_ordered(void *queue)
{
    cl_command_queue_properties properties = 0;
    clGetCommandQueueInfo((cl_command_queue)queue, CL_QUEUE_PROPERTIES, sizeof properties, &properties, NULL);
    return !(properties & CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE);
}

static uint64_t gate_took(void *event)
{
    cl_ulong begin = 0, end = 0; // only queues with profiling tell
    if (clGetEventProfilingInfo((cl_event)event, CL_PROFILING_COMMAND_START, sizeof begin, &begin, NULL) ||
        clGetEventProfilingInfo((cl_event)event, CL_PROFILING_COMMAND_END, sizeof end, &end, NULL))
        return 0;
    return end > begin ? end - begin : 0;
}

static bool gate_on_processor(void)
{
    static int known; // 1 yes, -1 no
    cl_device_id device = NULL;
    cl_device_type type = 0;
    if (!known && n_platforms && !clGetDeviceIDs(platforms[0], CL_DEVICE_TYPE_ALL, 1, &device, NULL) &&
        !clGetDeviceInfo(device, CL_DEVICE_TYPE, sizeof type, &type, NULL))
        known = type & CL_DEVICE_TYPE_CPU ? 1 : -1;
    return known > 0;
}

// Parts of a device take its time.
static void *gate_device(void *queue)
{
    cl_device_id device = NULL, whole = NULL;
    clGetCommandQueueInfo((cl_command_queue)queue, CL_QUEUE_DEVICE, sizeof device, &device, NULL);
    while (device && !clGetDeviceInfo(device, CL_DEVICE_PARENT_DEVICE, sizeof whole, &whole, NULL) && whole)
        device = whole;
    return device;
}

static const struct hira_gate_ops gate = {gate_make,    gate_open, gate_state,        gate_call,  gate_retain, gate_release,
                                          gate_ordered, gate_took, gate_on_processor, gate_device};

static size_t region_bytes(const size_t *region, size_t element)
{
    return hira_region_end(NULL, region, element, 0, 0);
}

// What an image takes that has memory of its own, whatever its pitches in the application's memory are.
static size_t image_storage(const cl_image_format *f, const cl_image_desc *d)
{
    cl_image_desc packed;
    if (!f || !d || d->mem_object)
        return 0;
    packed = *d;
    packed.image_row_pitch = packed.image_slice_pitch = 0;
    size_t size = image_size(CL_MEM_COPY_HOST_PTR, f, &packed);
    return size == SIZE_MAX ? 0 : size; // the vendor refuses it
}

// As the vendor says of one that is larger than the device can have; else what it says when it has none left.
static cl_int no_memory(size_t size)
{
    return size > hira_memory_quota() ? CL_INVALID_BUFFER_SIZE : CL_MEM_OBJECT_ALLOCATION_FAILURE;
}

// A tenant sees its share. Returns the answer's size.
static size_t share_of_memory(char *answer, size_t size)
{
    cl_ulong bytes;
    if (size == sizeof bytes) {
        memcpy(&bytes, answer, sizeof bytes);
        bytes = hira_least(bytes, hira_memory_quota());
        memcpy(answer, &bytes, sizeof bytes);
    }
    return size;
}

/* ---- making memory anew: see replay.lapis ---- */

// The texels of an image, in three dimensions. False: it is none.
static bool extent_of(cl_mem memory, size_t region[3])
{
    cl_mem_object_type type = 0;
    size_t layers = 0;
    memset(region, 0, 3 * sizeof *region);
    clGetMemObjectInfo(memory, CL_MEM_TYPE, sizeof type, &type, NULL);
    if (type == CL_MEM_OBJECT_BUFFER || type == CL_MEM_OBJECT_PIPE)
        return false;
    clGetImageInfo(memory, CL_IMAGE_WIDTH, sizeof *region, &region[0], NULL);
    clGetImageInfo(memory, CL_IMAGE_HEIGHT, sizeof *region, &region[1], NULL);
    clGetImageInfo(memory, CL_IMAGE_DEPTH, sizeof *region, &region[2], NULL);
    clGetImageInfo(memory, CL_IMAGE_ARRAY_SIZE, sizeof layers, &layers, NULL);
    if (layers)
        region[type == CL_MEM_OBJECT_IMAGE1D_ARRAY ? 1 : 2] = layers;
    for (int i = 0; i < 3; i++)
        region[i] += !region[i];
    return true;
}

// What is a part or a view of another object has no contents of its own. Those of a pipe cannot be had.
static size_t contents_size(cl_mem memory)
{
    cl_mem whole = NULL;
    size_t size = 0, region[3];
    clGetMemObjectInfo(memory, CL_MEM_ASSOCIATED_MEMOBJECT, sizeof whole, &whole, NULL);
    if (whole)
        return 0;
    if (extent_of(memory, region))
        return region_bytes(region, element_size(memory));
    clGetMemObjectInfo(memory, CL_MEM_SIZE, sizeof size, &size, NULL);
    return size;
}

// By a copy on the device, which flags like CL_MEM_HOST_NO_ACCESS do not forbid, between the object and a buffer over
// `data`; images as packed rows.
static cl_int copy_contents(cl_command_queue queue, cl_mem memory, cl_mem host, size_t size, bool save)
{
    static const size_t origin[3];
    size_t region[3];
    if (!extent_of(memory, region))
        return clEnqueueCopyBuffer(queue, save ? memory : host, save ? host : memory, 0, 0, size, 0, NULL, NULL);
    return save ? clEnqueueCopyImageToBuffer(queue, memory, host, origin, region, 0, 0, NULL, NULL)
                : clEnqueueCopyBufferToImage(queue, host, memory, 0, origin, region, 0, NULL, NULL);
}

static bool move_contents(cl_mem memory, void *data, size_t size, bool save)
{
    cl_context context = NULL;
    cl_device_id devices[64];
    clGetMemObjectInfo(memory, CL_MEM_CONTEXT, sizeof context, &context, NULL);
    if (!context || clGetContextInfo(context, CL_CONTEXT_DEVICES, sizeof devices, devices, NULL))
        return false;
    cl_command_queue queue = clCreateCommandQueue(context, devices[0], 0, NULL);
    cl_mem host = queue ? clCreateBuffer(context, CL_MEM_USE_HOST_PTR, size, data, NULL) : NULL;
    cl_int error = host ? copy_contents(queue, memory, host, size, save) : CL_OUT_OF_HOST_MEMORY;
    void *at = error ? NULL : clEnqueueMapBuffer(queue, host, CL_TRUE, CL_MAP_READ, 0, size, 0, NULL, NULL, &error);
    if (at) // what was copied to the buffer is at `data` now
        error = clEnqueueUnmapMemObject(queue, host, at, 0, NULL, NULL);
    if (queue && clFinish(queue))
        error = CL_OUT_OF_RESOURCES;
    if (host)
        clReleaseMemObject(host);
    if (queue)
        clReleaseCommandQueue(queue);
    return !error;
}

/* ---- in the place of functions ---- */

static cl_context server_clCreateContextFromType(HIRA_UNUSED struct hira_serve *s,
                                                 const cl_context_properties *properties, cl_device_type type,
                                                 void(CL_CALLBACK *notify)(const char *, const void *, size_t, void *),
                                                 void *user_data, cl_int *error)
{
    cl_device_id devices[64];
    cl_uint n;
    cl_platform_id platform = n_platforms ? platforms[0] : NULL;
    if (!hira_devices_hidden)
        return clCreateContextFromType(properties, type, notify, user_data, error);
    for (const cl_context_properties *p = properties; p && *p; p += 2)
        if (*p == CL_CONTEXT_PLATFORM)
            platform = (cl_platform_id)p[1];
    *error = seen_devices(platform, type, devices, &n);
    return *error ? NULL : clCreateContext(properties, n, devices, notify, user_data, error);
}

static cl_int server_hira_refusal_of_buffer(HIRA_UNUSED struct hira_serve *s, cl_context context, cl_mem_flags flags,
                                            size_t size)
{
    size_t room = size && !hira_too_large(size) ? size : 4096; // no vendor takes what is larger
    const void *memory = zeros(room);
    cl_int error = CL_OUT_OF_HOST_MEMORY;
    cl_mem made = memory ? clCreateBuffer(context, flags, size, (void *)memory, &error) : NULL;
    return end_trial(memory, room, made, error);
}

static cl_int server_hira_refusal_of_image(HIRA_UNUSED struct hira_serve *s, cl_context context, cl_mem_flags flags,
                                           const cl_image_format *format, const cl_image_desc *desc)
{
    size_t room = image_size(CL_MEM_COPY_HOST_PTR, format, desc);
    room = room && room != SIZE_MAX ? 16 * room : 1ull << 32; // a texel has at most 16 bytes
    const void *memory = zeros(room);
    cl_int error = CL_OUT_OF_HOST_MEMORY;
    cl_mem made = memory ? clCreateImage(context, flags, format, desc, (void *)memory, &error) : NULL;
    return end_trial(memory, room, made, error);
}

static void finish_queue(void *command_queue)
{
    clFinish(command_queue);
}

// Several are begun one after the other where the queue keeps their order, and waited for together.
static cl_int server_hira_write_behind(struct hira_serve *s, cl_mem buffer, cl_command_queue command_queue, size_t offset,
                                       size_t size, const void *ptr)
{
    cl_command_queue_properties properties = CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE;
    clGetCommandQueueInfo(command_queue, CL_QUEUE_PROPERTIES, sizeof properties, &properties, NULL);
    bool ordered = !(properties & CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE);
    cl_int error = clEnqueueWriteBuffer(command_queue, buffer, !ordered, offset, size, ptr, 0, NULL, NULL);
    if (!error && ordered)
        hira_leave(s, finish_queue, command_queue);
    return error;
}

static cl_int server_clEnqueueReadBuffer(struct hira_serve *s, cl_command_queue command_queue, cl_mem buffer,
                                         cl_bool blocking_read, size_t offset, size_t size, void *ptr,
                                         cl_uint num_events_in_wait_list, const cl_event *event_wait_list,
                                         cl_event *event)
{
    cl_int error;
    if (!hira_is_stream(s, ptr))
        return clEnqueueReadBuffer(command_queue, buffer, blocking_read, offset, size, ptr, num_events_in_wait_list,
                                   event_wait_list, event);
    if (!host_reaches(command_queue))
        return read_pieces(s, command_queue, buffer, offset, size, num_events_in_wait_list, event_wait_list);
    void *at = clEnqueueMapBuffer(command_queue, buffer, CL_TRUE, CL_MAP_READ, offset, size, num_events_in_wait_list,
                                  event_wait_list, NULL, &error);
    if (at)
        hira_stream_send(s, at, size);
    return at ? clEnqueueUnmapMemObject(command_queue, buffer, at, 0, NULL, NULL) : error;
}

static cl_int server_clEnqueueWriteBuffer(struct hira_serve *s, cl_command_queue command_queue, cl_mem buffer,
                                          cl_bool blocking_write, size_t offset, size_t size, const void *ptr,
                                          cl_uint num_events_in_wait_list, const cl_event *event_wait_list,
                                          cl_event *event)
{
    cl_int error;
    if (!hira_is_stream(s, ptr))
        return clEnqueueWriteBuffer(command_queue, buffer, blocking_write, offset, size, ptr, num_events_in_wait_list,
                                    event_wait_list, event);
    if (!host_reaches(command_queue))
        return write_pieces(s, command_queue, buffer, offset, size, num_events_in_wait_list, event_wait_list);
    void *at = clEnqueueMapBuffer(command_queue, buffer, CL_TRUE, CL_MAP_WRITE_INVALIDATE_REGION, offset, size,
                                  num_events_in_wait_list, event_wait_list, NULL, &error);
    if (at)
        hira_stream_receive(s, at, size);
    return at ? clEnqueueUnmapMemObject(command_queue, buffer, at, 0, NULL, NULL) : error;
}

static cl_int server_hira_map_buffer(struct hira_serve *s, cl_command_queue command_queue, cl_mem buffer,
                                     cl_bool blocking_map, cl_map_flags flags, size_t offset, size_t size, void *data,
                                     cl_ulong number, cl_uint num_events_in_wait_list, const cl_event *event_wait_list,
                                     cl_event *event)
{
    cl_int error;
    void *at = clEnqueueMapBuffer(command_queue, buffer, blocking_map, flags, offset, size, num_events_in_wait_list,
                                  event_wait_list, event, &error);
    if (!error)
        hira_mapping_add_bytes(s, number, buffer, data, at, size, !(flags & CL_MAP_WRITE_INVALIDATE_REGION),
                               blocking_map);
    return error;
}

static cl_int server_hira_map_image(struct hira_serve *s, cl_command_queue command_queue, cl_mem image,
                                    cl_bool blocking_map, cl_map_flags flags, const size_t *origin,
                                    const size_t *region, size_t element, size_t row, size_t slice, void *data,
                                    cl_ulong number, cl_uint num_events_in_wait_list, const cl_event *event_wait_list,
                                    cl_event *event)
{
    cl_int error;
    size_t vendor_row = 0, vendor_slice = 0;
    if (!origin || !region || element != element_size(image)) // else more would be copied than the vendor maps
        return CL_INVALID_VALUE;
    void *at = clEnqueueMapImage(command_queue, image, blocking_map, flags, origin, region, &vendor_row, &vendor_slice,
                                 num_events_in_wait_list, event_wait_list, event, &error);
    if (!error) {
        struct hira_region r = {region[0] * element,
                                region[1],
                                region[2],
                                row,
                                slice,
                                vendor_row,
                                vendor_slice ? vendor_slice : vendor_row * region[1]};
        hira_mapping_add(s, number, image, data, at, &r, !(flags & CL_MAP_WRITE_INVALIDATE_REGION), blocking_map);
    }
    return error;
}

static cl_int server_hira_unmap(HIRA_UNUSED struct hira_serve *s, cl_command_queue command_queue, cl_mem memobj,
                                cl_ulong number, const void *data, size_t size, cl_uint num_events_in_wait_list,
                                const cl_event *event_wait_list, cl_event *event)
{
    void *at = hira_mapping_flush(number, memobj, data, size);
    cl_int error = clEnqueueUnmapMemObject(command_queue, memobj, at, num_events_in_wait_list, event_wait_list, event);
    if (!error)
        hira_mapping_remove(number, memobj);
    return error;
}

static cl_int server_hira_program_binary(struct hira_serve *s, cl_program program, cl_uint n, cl_uint index,
                                         size_t size, unsigned char *binary)
{
    unsigned char **all = hira_scratch(s, hira_times(n, sizeof *all));
    size_t *sizes = hira_scratch(s, hira_times(n, sizeof *sizes));
    if (!all || !sizes || index >= n ||
        clGetProgramInfo(program, CL_PROGRAM_BINARY_SIZES, n * sizeof *sizes, sizes, NULL))
        return CL_INVALID_VALUE;
    for (cl_uint i = 0; i < n; i++)
        if (!(all[i] = hira_scratch(s, sizes[i])))
            return CL_OUT_OF_HOST_MEMORY;
    cl_int error = clGetProgramInfo(program, CL_PROGRAM_BINARIES, n * sizeof *all, all, NULL);
    if (!error && binary)
        memcpy(binary, all[index], size < sizes[index] ? size : sizes[index]);
    return error;
}

static cl_int server_hira_argument_kinds(HIRA_UNUSED struct hira_serve *s, cl_kernel kernel, cl_uint n,
                                         unsigned char *kinds, cl_uint *n_kinds)
{
    cl_uint total = 0;
    if (!kinds || !n_kinds)
        return CL_INVALID_VALUE;
    cl_int error = clGetKernelInfo(kernel, CL_KERNEL_NUM_ARGS, sizeof total, &total, NULL);
    *n_kinds = total;
    for (cl_uint i = 0; !error && i < total && i < n; i++) {
        cl_kernel_arg_address_qualifier where = 0;
        char type[256] = "";
        if (clGetKernelArgInfo(kernel, i, CL_KERNEL_ARG_ADDRESS_QUALIFIER, sizeof where, &where, NULL))
            kinds[i] = ARG_UNKNOWN;
        else if (where == CL_KERNEL_ARG_ADDRESS_GLOBAL || where == CL_KERNEL_ARG_ADDRESS_CONSTANT)
            kinds[i] = ARG_MEMORY;
        else if (clGetKernelArgInfo(kernel, i, CL_KERNEL_ARG_TYPE_NAME, sizeof type - 1, type, NULL) == 0)
            kinds[i] = !strcmp(type, "sampler_t")                           ? ARG_SAMPLER
                       : !strcmp(type, "queue_t")                           ? ARG_QUEUE
                       : !strncmp(type, "image", 5) || strstr(type, "pipe") ? ARG_MEMORY
                                                                            : ARG_BYTES;
    }
    return error;
}

static cl_int server_hira_set_memory(HIRA_UNUSED struct hira_serve *s, cl_kernel kernel, cl_uint arg_index,
                                     cl_mem memory)
{
    return clSetKernelArg(kernel, arg_index, sizeof memory, &memory);
}

static cl_int server_hira_set_sampler(HIRA_UNUSED struct hira_serve *s, cl_kernel kernel, cl_uint arg_index,
                                      cl_sampler sampler)
{
    return clSetKernelArg(kernel, arg_index, sizeof sampler, &sampler);
}

static cl_int server_hira_set_queue(HIRA_UNUSED struct hira_serve *s, cl_kernel kernel, cl_uint arg_index,
                                    cl_command_queue queue)
{
    return clSetKernelArg(kernel, arg_index, sizeof queue, &queue);
}

// What is asked of the vendor for memory of a size, and so charged.
static uint64_t svm_bytes(uint64_t size)
{
    return size && size < HIRA_REGION_MAX ? size + HIRA_SHARED_MORE : size;
}

static cl_ulong server_hira_svm_alloc(HIRA_UNUSED struct hira_serve *s, cl_context context, cl_svm_mem_flags flags,
                                      size_t size, cl_uint alignment)
{
    if (!hira_charge_bytes(svm_bytes(size)))
        return 0;
    void *base = clSVMAlloc(context, flags, svm_bytes(size), alignment), *at = hira_shared_add(base, size);
    if (base && !at)
        clSVMFree(context, base);
    if (!at)
        hira_discharge_bytes(svm_bytes(size));
    return (cl_ulong)(uintptr_t)at;
}

static cl_int server_hira_svm_free(HIRA_UNUSED struct hira_serve *s, cl_context context, cl_ulong address)
{
    uint64_t size = 0;
    void *base = hira_shared_take((void *)(uintptr_t)address, &size);
    if (base) {
        clSVMFree(context, base);
        hira_discharge_bytes(svm_bytes(size));
    }
    return CL_SUCCESS;
}

static cl_int server_hira_svm_map(struct hira_serve *s, cl_command_queue command_queue, cl_bool blocking,
                                  cl_map_flags flags, cl_ulong address, size_t size, void *data, cl_ulong number,
                                  cl_uint num_events_in_wait_list, const cl_event *event_wait_list, cl_event *event)
{
    void *at = (void *)(uintptr_t)address;
    if (address && !hira_shared_has(at, size))
        return CL_INVALID_VALUE;
    cl_int error =
        clEnqueueSVMMap(command_queue, blocking, flags, at, size, num_events_in_wait_list, event_wait_list, event);
    if (!error)
        hira_mapping_add_bytes(s, number, NULL, data, at, size, !(flags & CL_MAP_WRITE_INVALIDATE_REGION), blocking);
    return error;
}

static cl_int server_hira_svm_unmap(HIRA_UNUSED struct hira_serve *s, cl_command_queue command_queue, cl_ulong address,
                                    cl_ulong number, const void *data, size_t size, cl_uint num_events_in_wait_list,
                                    const cl_event *event_wait_list, cl_event *event)
{
    hira_mapping_flush(number, NULL, data, size);
    hira_mapping_remove(number, NULL);
    if (!hira_shared_has((void *)(uintptr_t)address, 0))
        return CL_INVALID_VALUE;
    return clEnqueueSVMUnmap(command_queue, (void *)(uintptr_t)address, num_events_in_wait_list, event_wait_list,
                             event);
}

static cl_int server_hira_svm_copy(HIRA_UNUSED struct hira_serve *s, cl_command_queue command_queue, cl_bool blocking,
                                   cl_ulong to, cl_ulong from, void *dst, const void *src, size_t size, size_t dst_size,
                                   size_t src_size, cl_uint num_events_in_wait_list, const cl_event *event_wait_list,
                                   cl_event *event)
{
    if ((to && !hira_shared_has((void *)(uintptr_t)to, size)) ||
        (from && !hira_shared_has((void *)(uintptr_t)from, size)) || (dst && dst_size != size) ||
        (src && src_size != size))
        return CL_INVALID_VALUE;
    return clEnqueueSVMMemcpy(command_queue, blocking, to ? (void *)(uintptr_t)to : dst,
                              from ? (void *)(uintptr_t)from : src, size, num_events_in_wait_list, event_wait_list,
                              event);
}

static cl_mem server_hira_svm_buffer(HIRA_UNUSED struct hira_serve *s, cl_context context, cl_mem_flags flags,
                                     size_t size, cl_ulong address, cl_int *errcode_ret)
{
    bool known = hira_shared_has((void *)(uintptr_t)address, size);
    cl_mem made =
        clCreateBuffer(context, flags, known ? size : 0, known ? (void *)(uintptr_t)address : NULL, errcode_ret);
    return made;
}

static cl_int server_clEnqueueSVMFree(struct hira_serve *s, cl_command_queue command_queue, cl_uint num_svm_pointers,
                                      void **svm_pointers,
                                      void (*pfn_free_func)(cl_command_queue, cl_uint, void **, void *),
                                      void *user_data, cl_uint num_events_in_wait_list, const cl_event *event_wait_list,
                                      cl_event *event)
{
    void **bases = hira_scratch(s, hira_times(num_svm_pointers, sizeof *bases));
    uint64_t *sizes = hira_scratch(s, hira_times(num_svm_pointers, sizeof *sizes));
    if (!bases || !sizes)
        return CL_OUT_OF_HOST_MEMORY;
    for (cl_uint i = 0; svm_pointers && !pfn_free_func && i < num_svm_pointers; i++)
        bases[i] = hira_shared_take(svm_pointers[i], &sizes[i]);
    cl_int error =
        clEnqueueSVMFree(command_queue, num_svm_pointers, svm_pointers && !pfn_free_func ? bases : svm_pointers,
                         pfn_free_func, user_data, num_events_in_wait_list, event_wait_list, event);
    for (cl_uint i = 0; i < num_svm_pointers; i++)
        if (error)
            hira_shared_add(bases[i], sizes[i]);
        else if (bases[i])
            hira_discharge_bytes(svm_bytes(sizes[i])); // it is on its way
    return error;
}
