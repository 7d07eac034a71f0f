/*
 * OpenCL conformance: buffers, sub-buffers, transfers, maps, destructor callbacks.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "t.h"

#include <unistd.h>

enum { N = 1024, BYTES = N * (int)sizeof(cl_int) };

static void show(cl_mem mem)
{
    INFO(T_U32, CL_MEM_TYPE, clGetMemObjectInfo, mem);
    INFO(T_U64, CL_MEM_FLAGS, clGetMemObjectInfo, mem);
    INFO(T_U64, CL_MEM_SIZE, clGetMemObjectInfo, mem);
    INFO(T_PTR, CL_MEM_HOST_PTR, clGetMemObjectInfo, mem);
    INFO(T_U32, CL_MEM_MAP_COUNT, clGetMemObjectInfo, mem);
    INFO(T_U32, CL_MEM_REFERENCE_COUNT, clGetMemObjectInfo, mem);
    INFO(T_HANDLE, CL_MEM_CONTEXT, clGetMemObjectInfo, mem);
    INFO(T_HANDLE, CL_MEM_ASSOCIATED_MEMOBJECT, clGetMemObjectInfo, mem);
    INFO(T_U64, CL_MEM_OFFSET, clGetMemObjectInfo, mem);
    INFO(T_U32, CL_MEM_USES_SVM_POINTER, clGetMemObjectInfo, mem);
    INFO(T_U64, CL_MEM_PROPERTIES, clGetMemObjectInfo, mem);
}

static void fill_ints(cl_int *data, size_t n, cl_int first)
{
    for (size_t i = 0; i < n; i++)
        data[i] = first + (cl_int)i;
}

/* PoCL counts down a moment after it has said that the unmapping is complete: natively one reading in 400 comes too early. */
static void map_count(cl_mem mem, cl_uint in_the_end)
{
    cl_uint count = 77;

    for (int i = 0; i < 1000 && count != in_the_end; i++) {
        if (i)
            usleep(1000);
        OK(clGetMemObjectInfo(mem, CL_MEM_MAP_COUNT, sizeof count, &count, NULL));
    }
    t_say("map count %u", count);
}

static void info(void)
{
    struct t_cl cl = t_open();
    cl_mem buffer = MAKE(clCreateBuffer(cl.context, 0, 1000, NULL, &t_error));

    show(buffer);
    INFO_EDGES(CL_MEM_SIZE, clGetMemObjectInfo, buffer);
    CALL(clRetainMemObject(buffer));
    INFO(T_U32, CL_MEM_REFERENCE_COUNT, clGetMemObjectInfo, buffer);
    CALL(clReleaseMemObject(buffer));
    CALL(clReleaseMemObject(buffer));
    CALL(clRetainMemObject(NULL));
    CALL(clReleaseMemObject(NULL));
    CALL(clGetMemObjectInfo(NULL, CL_MEM_SIZE, 0, NULL, NULL));
    t_close(&cl);
}

static void try_flags(const struct t_cl *cl, cl_mem_flags flags, void *host)
{
    t_error = 1;
    cl_mem buffer = clCreateBuffer(cl->context, flags, 64, host, &t_error);

    t_say("flags 0x%llx host pointer %d -> %s", (unsigned long long)flags, host != NULL, t_error_name(t_error));
    if (!buffer)
        return;
    INFO(T_U64, CL_MEM_FLAGS, clGetMemObjectInfo, buffer);
    INFO(T_PTR, CL_MEM_HOST_PTR, clGetMemObjectInfo, buffer);
    OK(clReleaseMemObject(buffer));
}

/* Every pair of flags, with and without a host pointer. */
static void flags(void)
{
    static const cl_mem_flags all[] = {
        0,
        CL_MEM_READ_WRITE,
        CL_MEM_WRITE_ONLY,
        CL_MEM_READ_ONLY,
        CL_MEM_USE_HOST_PTR,
        CL_MEM_ALLOC_HOST_PTR,
        CL_MEM_COPY_HOST_PTR,
        CL_MEM_HOST_WRITE_ONLY,
        CL_MEM_HOST_READ_ONLY,
        CL_MEM_HOST_NO_ACCESS,
    };
    struct t_cl cl = t_open();
    _Alignas(128) char host[64] = {0};

    for (size_t i = 0; i < COUNT(all); i++)
        for (size_t j = i; j < COUNT(all); j++) {
            try_flags(&cl, all[i] | all[j], NULL);
            try_flags(&cl, all[i] | all[j], host);
        }
    try_flags(&cl, 1ull << 40, NULL);
    t_close(&cl);
}

static void create_errors(void)
{
    struct t_cl cl = t_open();

    MAKE(clCreateBuffer(NULL, 0, 64, NULL, &t_error));
    MAKE(clCreateBuffer(cl.context, 0, 0, NULL, &t_error));
    MAKE(clCreateBuffer(cl.context, 0, (size_t)1 << 60, NULL, &t_error));
    MAKE(clCreateBuffer(cl.context, 0, SIZE_MAX, NULL, &t_error));
    MAKE(clCreateBuffer(cl.context, CL_MEM_USE_HOST_PTR, 64, NULL, &t_error));
    cl_mem buffer = clCreateBuffer(cl.context, 0, 64, NULL, NULL);
    CHECK(buffer);
    OK(clReleaseMemObject(buffer));
    CHECK(!clCreateBuffer(cl.context, 0, 0, NULL, NULL));
    t_close(&cl);
}

static void with_properties(void)
{
    const cl_mem_properties empty[] = {0};
    const cl_mem_properties unknown[] = {0xBEEF, 1, 0};
    struct t_cl cl = t_open();

    cl_mem buffer = MAKE(clCreateBufferWithProperties(cl.context, NULL, CL_MEM_READ_ONLY, 64, NULL, &t_error));
    show(buffer);
    OK(clReleaseMemObject(buffer));
    buffer = MAKE(clCreateBufferWithProperties(cl.context, empty, 0, 64, NULL, &t_error));
    if (buffer) {
        show(buffer);
        OK(clReleaseMemObject(buffer));
    }
    buffer = MAKE(clCreateBufferWithProperties(cl.context, unknown, 0, 64, NULL, &t_error));
    if (buffer)
        OK(clReleaseMemObject(buffer));
    MAKE(clCreateBufferWithProperties(cl.context, NULL, 0, 0, NULL, &t_error));
    MAKE(clCreateBufferWithProperties(NULL, NULL, 0, 64, NULL, &t_error));
    t_close(&cl);
}

static void inc(const struct t_cl *cl, cl_mem buffer, size_t n)
{
    cl_kernel kernel = t_kernel(cl, "inc");

    OK(clSetKernelArg(kernel, 0, sizeof buffer, &buffer));
    OK(clEnqueueNDRangeKernel(cl->queue, kernel, 1, NULL, &n, NULL, 0, NULL, NULL));
    OK(clReleaseKernel(kernel));
}

/* The host's memory is the buffer's: it is current while the buffer is mapped, and maps point into it. */
static void use_host_ptr(void)
{
    static _Alignas(4096) cl_int host[N];
    struct t_cl cl = t_open();

    fill_ints(host, N, 0);
    cl_mem buffer = MAKE(clCreateBuffer(cl.context, CL_MEM_USE_HOST_PTR, BYTES, host, &t_error));
    void *asked = NULL;
    OK(clGetMemObjectInfo(buffer, CL_MEM_HOST_PTR, sizeof asked, &asked, NULL));
    CHECK(asked == host);
    inc(&cl, buffer, N);
    cl_int *map = MAKE(
        clEnqueueMapBuffer(cl.queue, buffer, CL_TRUE, CL_MAP_READ | CL_MAP_WRITE, 64, 128, 0, NULL, NULL, &t_error));
    CHECK(map == host + 16);
    t_say("host[16] = %d", host[16]);
    CHECK(host[16] == 17);
    map[0] = 1000;
    CALL(clEnqueueUnmapMemObject(cl.queue, buffer, map, 0, NULL, NULL));
    inc(&cl, buffer, N);
    map = GET(clEnqueueMapBuffer(cl.queue, buffer, CL_TRUE, CL_MAP_READ, 0, BYTES, 0, NULL, NULL, &t_error));
    CHECK(map == host && host[16] == 1001 && host[17] == 19);
    OK(clEnqueueUnmapMemObject(cl.queue, buffer, map, 0, NULL, NULL));
    OK(clFinish(cl.queue));
    t_show_ints(&cl, buffer, N);
    OK(clReleaseMemObject(buffer));
    t_close(&cl);
}

/* A host pointer that is aligned for nothing but an int. */
/* Whatever else is transferred, the buffer keeps its contents. */
static void use_host_ptr_kept(void)
{
    struct t_cl cl = t_open();
    static _Alignas(4096) cl_int host[16 * N], other[16 * N];
    cl_mem buffer, second = t_ints(&cl, 16 * N);

    fill_ints(host, 16 * N, 1000);
    buffer = MAKE(clCreateBuffer(cl.context, CL_MEM_USE_HOST_PTR, sizeof host, host, &t_error));
    for (cl_int i = 0; i < 20; i++) {
        fill_ints(other, 16 * N, i);
        OK(clEnqueueWriteBuffer(cl.queue, second, CL_TRUE, 0, sizeof other, other, 0, NULL, NULL));
    }
    OK(clEnqueueReadBuffer(cl.queue, buffer, CL_TRUE, 0, sizeof other, other, 0, NULL, NULL));
    t_say("kept %s", memcmp(host, other, sizeof host) ? "no" : "yes");
    OK(clReleaseMemObject(second));
    OK(clReleaseMemObject(buffer));
    t_close(&cl);
}

static void use_host_ptr_unaligned(void)
{
    static _Alignas(4096) cl_int host[N + 1];
    struct t_cl cl = t_open();

    fill_ints(host, N + 1, 0);
    cl_mem buffer = MAKE(clCreateBuffer(cl.context, CL_MEM_USE_HOST_PTR, BYTES, host + 1, &t_error));
    cl_int *map = GET(clEnqueueMapBuffer(cl.queue, buffer, CL_TRUE, CL_MAP_WRITE, 0, BYTES, 0, NULL, NULL, &t_error));
    CHECK(map == host + 1);
    map[5] = 500;
    OK(clEnqueueUnmapMemObject(cl.queue, buffer, map, 0, NULL, NULL));
    t_show_ints(&cl, buffer, N);
    OK(clReleaseMemObject(buffer));
    t_close(&cl);
}

static void alloc_host_ptr(void)
{
    struct t_cl cl = t_open();
    cl_mem buffer = MAKE(clCreateBuffer(cl.context, CL_MEM_ALLOC_HOST_PTR, BYTES, NULL, &t_error));
    cl_int *map = MAKE(clEnqueueMapBuffer(cl.queue, buffer, CL_TRUE, CL_MAP_WRITE, 0, BYTES, 0, NULL, NULL, &t_error));

    fill_ints(map, N, 5);
    CALL(clEnqueueUnmapMemObject(cl.queue, buffer, map, 0, NULL, NULL));
    inc(&cl, buffer, N);
    t_show_ints(&cl, buffer, N);
    OK(clReleaseMemObject(buffer));
    t_close(&cl);
}

/* The copy is taken at creation: what the host writes afterwards does not matter. */
static void copy_host_ptr(void)
{
    cl_int host[64];
    struct t_cl cl = t_open();

    fill_ints(host, 64, 7);
    cl_mem buffer = MAKE(clCreateBuffer(cl.context, CL_MEM_COPY_HOST_PTR, sizeof host, host, &t_error));
    memset(host, 0, sizeof host);
    t_show_ints(&cl, buffer, 64);
    OK(clReleaseMemObject(buffer));
    buffer =
        MAKE(clCreateBuffer(cl.context, CL_MEM_COPY_HOST_PTR | CL_MEM_ALLOC_HOST_PTR, sizeof host, host, &t_error));
    t_show_ints(&cl, buffer, 64);
    OK(clReleaseMemObject(buffer));
    t_close(&cl);
}

static void sub_buffer(void)
{
    struct t_cl cl = t_open();
    cl_mem buffer = t_ints(&cl, N);
    cl_buffer_region region = {1024, 512};

    NAME(buffer);
    cl_mem part = MAKE(clCreateSubBuffer(buffer, CL_MEM_READ_WRITE, CL_BUFFER_CREATE_TYPE_REGION, &region, &t_error));
    show(part);
    INFO(T_U32, CL_MEM_REFERENCE_COUNT, clGetMemObjectInfo, buffer);
    inc(&cl, part, 128);
    t_show_ints(&cl, part, 128);
    t_show_ints(&cl, buffer, N);
    CALL(clReleaseMemObject(buffer)); /* the part keeps it */
    t_show_ints(&cl, part, 128);
    CALL(clReleaseMemObject(part));
    t_close(&cl);
}

static void sub_buffer_flags(void)
{
    struct t_cl cl = t_open();
    cl_buffer_region region = {0, 512};
    cl_mem read_only = GET(clCreateBuffer(cl.context, CL_MEM_READ_ONLY | CL_MEM_HOST_READ_ONLY, 4096, NULL, &t_error));
    cl_mem part = MAKE(clCreateSubBuffer(read_only, 0, CL_BUFFER_CREATE_TYPE_REGION, &region, &t_error));

    INFO(T_U64, CL_MEM_FLAGS, clGetMemObjectInfo, part);
    OK(clReleaseMemObject(part));
    MAKE(clCreateSubBuffer(read_only, CL_MEM_READ_WRITE, CL_BUFFER_CREATE_TYPE_REGION, &region, &t_error));
    MAKE(clCreateSubBuffer(read_only, CL_MEM_WRITE_ONLY, CL_BUFFER_CREATE_TYPE_REGION, &region, &t_error));
    MAKE(clCreateSubBuffer(read_only, CL_MEM_HOST_WRITE_ONLY, CL_BUFFER_CREATE_TYPE_REGION, &region, &t_error));
    MAKE(clCreateSubBuffer(read_only, CL_MEM_ALLOC_HOST_PTR, CL_BUFFER_CREATE_TYPE_REGION, &region, &t_error));
    OK(clReleaseMemObject(read_only));
    t_close(&cl);
}

static void sub_buffer_errors(void)
{
    struct t_cl cl = t_open();
    cl_mem buffer = t_ints(&cl, N);
    cl_buffer_region good = {1024, 512}, misaligned = {4, 512}, outside = {8192, 512}, long_one = {1024, 8192},
                     empty = {1024, 0};

    MAKE(clCreateSubBuffer(NULL, 0, CL_BUFFER_CREATE_TYPE_REGION, &good, &t_error));
    MAKE(clCreateSubBuffer(buffer, 0, CL_BUFFER_CREATE_TYPE_REGION, NULL, &t_error));
    MAKE(clCreateSubBuffer(buffer, 0, 0xBEEF, &good, &t_error));
    MAKE(clCreateSubBuffer(buffer, 0, CL_BUFFER_CREATE_TYPE_REGION, &misaligned, &t_error));
    MAKE(clCreateSubBuffer(buffer, 0, CL_BUFFER_CREATE_TYPE_REGION, &outside, &t_error));
    MAKE(clCreateSubBuffer(buffer, 0, CL_BUFFER_CREATE_TYPE_REGION, &long_one, &t_error));
    MAKE(clCreateSubBuffer(buffer, 0, CL_BUFFER_CREATE_TYPE_REGION, &empty, &t_error));
    cl_mem part = GET(clCreateSubBuffer(buffer, 0, CL_BUFFER_CREATE_TYPE_REGION, &good, &t_error));
    MAKE(clCreateSubBuffer(part, 0, CL_BUFFER_CREATE_TYPE_REGION, &good, &t_error));
    OK(clReleaseMemObject(part));
    OK(clReleaseMemObject(buffer));
    t_close(&cl);
}

static void sub_buffer_of_host_ptr(void)
{
    static _Alignas(4096) cl_int host[N];
    struct t_cl cl = t_open();
    cl_buffer_region region = {1024, 512};

    fill_ints(host, N, 0);
    cl_mem buffer = GET(clCreateBuffer(cl.context, CL_MEM_USE_HOST_PTR, BYTES, host, &t_error));
    cl_mem part = MAKE(clCreateSubBuffer(buffer, 0, CL_BUFFER_CREATE_TYPE_REGION, &region, &t_error));
    void *asked = NULL;
    OK(clGetMemObjectInfo(part, CL_MEM_HOST_PTR, sizeof asked, &asked, NULL));
    CHECK(asked == host + 256);
    cl_int *map = MAKE(clEnqueueMapBuffer(cl.queue, part, CL_TRUE, CL_MAP_READ, 256, 64, 0, NULL, NULL, &t_error));
    CHECK(map == host + 256 + 64 && map[0] == 320);
    CALL(clEnqueueUnmapMemObject(cl.queue, part, map, 0, NULL, NULL));
    OK(clFinish(cl.queue));
    OK(clReleaseMemObject(part));
    OK(clReleaseMemObject(buffer));
    t_close(&cl);
}

static void read_write(void)
{
    cl_int data[N], back[N];
    struct t_cl cl = t_open();
    cl_mem buffer = GET(clCreateBuffer(cl.context, 0, BYTES, NULL, &t_error));
    cl_event event;

    fill_ints(data, N, 0);
    CALL(clEnqueueWriteBuffer(cl.queue, buffer, CL_TRUE, 0, BYTES, data, 0, NULL, NULL));
    CALL(clEnqueueReadBuffer(cl.queue, buffer, CL_TRUE, 0, BYTES, back, 0, NULL, NULL));
    CHECK(memcmp(data, back, BYTES) == 0);
    fill_ints(data, N, 5000);
    CALL(clEnqueueWriteBuffer(cl.queue, buffer, CL_FALSE, 100, 200, data, 0, NULL, &event));
    CALL(clWaitForEvents(1, &event));
    OK(clReleaseEvent(event));
    memset(back, 0xff, sizeof back);
    CALL(clEnqueueReadBuffer(cl.queue, buffer, CL_FALSE, 96, 212, back + 1, 0, NULL, &event));
    CALL(clWaitForEvents(1, &event));
    OK(clReleaseEvent(event));
    CHECK(back[0] == -1 && back[1] == 24 && back[2] == 5000 && back[51] == 5049 && back[52] == 75 && back[54] == -1);
    t_say("checksum %08x", t_sum(back, 54 * sizeof(cl_int)));
    t_show_ints(&cl, buffer, N);
    OK(clReleaseMemObject(buffer));
    t_close(&cl);
}

/* Non-blocking transfers are in when clFinish returns, though no event was asked for. */
static void read_write_finish(void)
{
    static cl_int data[16][N], back[16][N];
    struct t_cl cl = t_open();
    cl_mem buffer = GET(clCreateBuffer(cl.context, 0, sizeof data, NULL, &t_error));

    for (int i = 0; i < 16; i++) {
        fill_ints(data[i], N, i * 10000);
        OK(clEnqueueWriteBuffer(cl.queue, buffer, CL_FALSE, (size_t)i * BYTES, BYTES, data[i], 0, NULL, NULL));
    }
    for (int i = 0; i < 16; i++)
        OK(clEnqueueReadBuffer(cl.queue, buffer, CL_FALSE, (size_t)i * BYTES, BYTES, back[i], 0, NULL, NULL));
    CALL(clFinish(cl.queue));
    CHECK(memcmp(data, back, sizeof data) == 0);
    OK(clReleaseMemObject(buffer));
    t_close(&cl);
}

/* Small writes one after the other, each over the one before and its source used again at once; then who looks is a kernel, another
 * queue, and the same in any order. */
static void writes_in_a_row(void)
{
    struct t_cl cl = t_open();
    const cl_queue_properties unordered[] = {CL_QUEUE_PROPERTIES, CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE, 0};
    cl_command_queue queues[] = {cl.queue, MAKE(clCreateCommandQueueWithProperties(cl.context, cl.device, unordered, &t_error))};
    cl_mem buffer = t_ints(&cl, N), second = t_ints(&cl, N);
    cl_int host[N], sum = 0;
    for (cl_int i = 0; i < 400; i++) {
        cl_command_queue queue = queues[i / 200];
        for (cl_int k = 0; k < 1 + i % 40; k++) {
            size_t from = (size_t)(k % 4) * 4;
            fill_ints(host, N, 100 * i + k);
            OK(clEnqueueWriteBuffer(queue, k % 7 ? buffer : second, CL_TRUE, from, BYTES - from, host, 0, NULL, NULL));
        }
        if (i % 3 == 0) {
            inc(&cl, buffer, N);
            OK(clFinish(cl.queue));
        }
        OK(clEnqueueReadBuffer(queues[i % 2], i % 5 ? buffer : second, CL_TRUE, 0, BYTES, host, 0, NULL, NULL));
        for (int k = 0; k < N; k++)
            sum = (sum * 31 + host[k]) % 1000003;
    }
    t_say("sum %d", sum);
    OK(clReleaseMemObject(second));
    OK(clReleaseMemObject(buffer));
    OK(clReleaseCommandQueue(queues[1]));
    t_close(&cl);
}

static void read_write_large(void)
{
    enum { LARGE = 9 << 20 };
    struct t_cl cl = t_open();
    unsigned char *data = malloc(LARGE), *back = calloc(1, LARGE);
    cl_mem buffer = GET(clCreateBuffer(cl.context, 0, LARGE, NULL, &t_error));

    for (size_t i = 0; i < LARGE; i++)
        data[i] = (unsigned char)(i * 7 + (i >> 8));
    CALL(clEnqueueWriteBuffer(cl.queue, buffer, CL_FALSE, 0, LARGE, data, 0, NULL, NULL));
    CALL(clEnqueueReadBuffer(cl.queue, buffer, CL_TRUE, 3, LARGE - 3, back + 3, 0, NULL, NULL));
    CHECK(memcmp(data + 3, back + 3, LARGE - 3) == 0 && back[0] == 0);
    t_say("checksum %08x", t_sum(back, LARGE));
    OK(clReleaseMemObject(buffer));
    free(data);
    free(back);
    t_close(&cl);
}

static void read_write_errors(void)
{
    struct t_cl cl = t_open(), other = t_open();
    cl_mem buffer = t_ints(&cl, 64), foreign = t_ints(&other, 64);
    char data[256] = {0};
    cl_event null = NULL;

    CALL(clEnqueueReadBuffer(NULL, buffer, CL_TRUE, 0, 256, data, 0, NULL, NULL));
    CALL(clEnqueueReadBuffer(cl.queue, NULL, CL_TRUE, 0, 256, data, 0, NULL, NULL));
    CALL(clEnqueueReadBuffer(cl.queue, foreign, CL_TRUE, 0, 256, data, 0, NULL, NULL));
    CALL(clEnqueueReadBuffer(cl.queue, buffer, CL_TRUE, 0, 256, NULL, 0, NULL, NULL));
    CALL(clEnqueueReadBuffer(cl.queue, buffer, CL_TRUE, 0, 257, data, 0, NULL, NULL));
    CALL(clEnqueueReadBuffer(cl.queue, buffer, CL_TRUE, 257, 1, data, 0, NULL, NULL));
    CALL(clEnqueueReadBuffer(cl.queue, buffer, CL_TRUE, SIZE_MAX, 2, data, 0, NULL, NULL));
    CALL(clEnqueueReadBuffer(cl.queue, buffer, CL_TRUE, 0, 0, data, 0, NULL, NULL));
    CALL(clEnqueueReadBuffer(cl.queue, buffer, CL_TRUE, 0, 256, data, 1, NULL, NULL));
    CALL(clEnqueueReadBuffer(cl.queue, buffer, CL_TRUE, 0, 256, data, 0, &null, NULL));
    CALL(clEnqueueReadBuffer(cl.queue, buffer, CL_TRUE, 0, 256, data, 1, &null, NULL));
    CALL(clEnqueueWriteBuffer(NULL, buffer, CL_TRUE, 0, 256, data, 0, NULL, NULL));
    CALL(clEnqueueWriteBuffer(cl.queue, NULL, CL_TRUE, 0, 256, data, 0, NULL, NULL));
    CALL(clEnqueueWriteBuffer(cl.queue, foreign, CL_TRUE, 0, 256, data, 0, NULL, NULL));
    CALL(clEnqueueWriteBuffer(cl.queue, buffer, CL_TRUE, 0, 256, NULL, 0, NULL, NULL));
    CALL(clEnqueueWriteBuffer(cl.queue, buffer, CL_TRUE, 1, 256, data, 0, NULL, NULL));
    CALL(clEnqueueWriteBuffer(cl.queue, buffer, CL_TRUE, 0, 0, data, 0, NULL, NULL));
    CALL(clEnqueueWriteBuffer(cl.queue, buffer, CL_TRUE, 0, 256, data, 1, NULL, NULL));
    OK(clReleaseMemObject(foreign));
    OK(clReleaseMemObject(buffer));
    t_close(&other);
    t_close(&cl);
}

static void host_access_flags(void)
{
    struct t_cl cl = t_open();
    cl_mem none = GET(clCreateBuffer(cl.context, CL_MEM_HOST_NO_ACCESS, 256, NULL, &t_error));
    cl_mem read = GET(clCreateBuffer(cl.context, CL_MEM_HOST_READ_ONLY, 256, NULL, &t_error));
    cl_mem write = GET(clCreateBuffer(cl.context, CL_MEM_HOST_WRITE_ONLY, 256, NULL, &t_error));
    char data[256] = {0};

    CALL(clEnqueueReadBuffer(cl.queue, none, CL_TRUE, 0, 256, data, 0, NULL, NULL));
    CALL(clEnqueueWriteBuffer(cl.queue, none, CL_TRUE, 0, 256, data, 0, NULL, NULL));
    CALL(clEnqueueWriteBuffer(cl.queue, read, CL_TRUE, 0, 256, data, 0, NULL, NULL));
    CALL(clEnqueueReadBuffer(cl.queue, write, CL_TRUE, 0, 256, data, 0, NULL, NULL));
    MAKE(clEnqueueMapBuffer(cl.queue, none, CL_TRUE, CL_MAP_READ, 0, 256, 0, NULL, NULL, &t_error));
    MAKE(clEnqueueMapBuffer(cl.queue, read, CL_TRUE, CL_MAP_WRITE, 0, 256, 0, NULL, NULL, &t_error));
    MAKE(clEnqueueMapBuffer(cl.queue, write, CL_TRUE, CL_MAP_READ, 0, 256, 0, NULL, NULL, &t_error));
    CALL(clFinish(cl.queue));
    OK(clReleaseMemObject(none));
    OK(clReleaseMemObject(read));
    OK(clReleaseMemObject(write));
    t_close(&cl);
}

/* A box of 4 x 3 x 2 bytes cut out of one pitch and put into another. */
static void rect(void)
{
    struct t_cl cl = t_open();
    unsigned char host[512], back[512];
    const size_t origin[3] = {2, 1, 1}, host_origin[3] = {5, 2, 0}, region[3] = {4, 3, 2};
    cl_mem buffer = GET(clCreateBuffer(cl.context, 0, 512, NULL, &t_error));

    for (size_t i = 0; i < sizeof host; i++)
        host[i] = (unsigned char)i;
    memset(back, 0, sizeof back);
    OK(clEnqueueWriteBuffer(cl.queue, buffer, CL_TRUE, 0, 512, back, 0, NULL, NULL));
    CALL(clEnqueueWriteBufferRect(cl.queue, buffer, CL_TRUE, origin, host_origin, region, 8, 64, 16, 160, host, 0, NULL,
                                  NULL));
    OK(clEnqueueReadBuffer(cl.queue, buffer, CL_TRUE, 0, 512, back, 0, NULL, NULL));
    t_say("checksum %08x", t_sum(back, sizeof back));
    CHECK(back[1 * 64 + 1 * 8 + 2] == (unsigned char)(2 * 16 + 5));
    CHECK(back[2 * 64 + 3 * 8 + 5] == (unsigned char)(160 + 4 * 16 + 8));
    memset(back, 0xee, sizeof back);
    CALL(clEnqueueReadBufferRect(cl.queue, buffer, CL_TRUE, origin, host_origin, region, 8, 64, 16, 160, back, 0, NULL,
                                 NULL));
    t_say("checksum %08x", t_sum(back, sizeof back));
    CHECK(back[2 * 16 + 5] == host[2 * 16 + 5] && back[2 * 16 + 9] == 0xee);
    OK(clReleaseMemObject(buffer));
    t_close(&cl);
}

/* Pitches of 0 mean packed rows and slices; and the same without blocking. */
static void rect_default_pitch(void)
{
    struct t_cl cl = t_open();
    unsigned char host[512], back[512] = {0};
    const size_t zero[3] = {0, 0, 0}, region[3] = {8, 8, 8};
    cl_mem buffer = GET(clCreateBuffer(cl.context, 0, 512, NULL, &t_error));
    cl_event event;

    for (size_t i = 0; i < sizeof host; i++)
        host[i] = (unsigned char)(i * 3);
    CALL(clEnqueueWriteBufferRect(cl.queue, buffer, CL_FALSE, zero, zero, region, 0, 0, 0, 0, host, 0, NULL, NULL));
    CALL(clEnqueueReadBufferRect(cl.queue, buffer, CL_FALSE, zero, zero, region, 0, 0, 0, 0, back, 0, NULL, &event));
    CALL(clWaitForEvents(1, &event));
    CHECK(memcmp(host, back, sizeof host) == 0);
    OK(clReleaseEvent(event));
    OK(clReleaseMemObject(buffer));
    t_close(&cl);
}

/* Tiles read at once into one matrix: what lies between a tile's rows belongs to the others. */
static void rect_tiles(void)
{
    struct t_cl cl = t_open();
    cl_mem buffer = t_ints(&cl, 64 * 16);
    const size_t region[3] = {64, 16, 1};
    cl_int data[64 * 16];

    memset(data, 0xee, sizeof data);
    for (size_t tile = 0; tile < 4; tile++) {
        const size_t origin[3] = {tile * 64, 0, 0};
        OK(clEnqueueReadBufferRect(cl.queue, buffer, CL_FALSE, origin, origin, region, 256, 0, 256, 0, data, 0, NULL, NULL));
    }
    OK(clFinish(cl.queue));
    for (cl_int i = 0; i < 64 * 16; i++)
        CHECK(data[i] == i);
    OK(clReleaseMemObject(buffer));
    t_close(&cl);
}

static void rect_errors(void)
{
    struct t_cl cl = t_open();
    char host[512] = {0};
    const size_t zero[3] = {0, 0, 0}, region[3] = {8, 8, 8}, empty[3] = {0, 8, 8}, far[3] = {500, 0, 0};
    cl_mem buffer = GET(clCreateBuffer(cl.context, 0, 512, NULL, &t_error));

    CALL(clEnqueueReadBufferRect(NULL, buffer, CL_TRUE, zero, zero, region, 0, 0, 0, 0, host, 0, NULL, NULL));
    CALL(clEnqueueReadBufferRect(cl.queue, NULL, CL_TRUE, zero, zero, region, 0, 0, 0, 0, host, 0, NULL, NULL));
    CALL(clEnqueueReadBufferRect(cl.queue, buffer, CL_TRUE, zero, zero, region, 0, 0, 0, 0, NULL, 0, NULL, NULL));
    CALL(clEnqueueReadBufferRect(cl.queue, buffer, CL_TRUE, zero, zero, empty, 0, 0, 0, 0, host, 0, NULL, NULL));
    CALL(clEnqueueReadBufferRect(cl.queue, buffer, CL_TRUE, far, zero, region, 0, 0, 0, 0, host, 0, NULL, NULL));
    CALL(clEnqueueReadBufferRect(cl.queue, buffer, CL_TRUE, zero, zero, region, 7, 0, 0, 0, host, 0, NULL, NULL));
    CALL(clEnqueueReadBufferRect(cl.queue, buffer, CL_TRUE, zero, zero, region, 0, 9, 0, 0, host, 0, NULL, NULL));
    CALL(clEnqueueReadBufferRect(cl.queue, buffer, CL_TRUE, NULL, zero, region, 0, 0, 0, 0, host, 0, NULL, NULL));
    CALL(clEnqueueReadBufferRect(cl.queue, buffer, CL_TRUE, zero, zero, NULL, 0, 0, 0, 0, host, 0, NULL, NULL));
    CALL(clEnqueueWriteBufferRect(cl.queue, buffer, CL_TRUE, far, zero, region, 0, 0, 0, 0, host, 0, NULL, NULL));
    CALL(clEnqueueWriteBufferRect(cl.queue, buffer, CL_TRUE, zero, NULL, region, 0, 0, 0, 0, host, 0, NULL, NULL));
    /* No NULL for a buffer of clEnqueueCopyBufferRect: the native library reads it. */
    CALL(clEnqueueCopyBufferRect(cl.queue, buffer, buffer, zero, zero, region, 0, 0, 0, 0, 0, NULL, NULL));
    OK(clReleaseMemObject(buffer));
    t_close(&cl);
}

static void copy(void)
{
    struct t_cl cl = t_open(), other = t_open();
    cl_mem from = t_ints(&cl, N), to = t_ints(&cl, N), foreign = t_ints(&other, N);
    const size_t a[3] = {4, 2, 1}, b[3] = {8, 0, 0}, region[3] = {16, 4, 2};

    CALL(clEnqueueCopyBuffer(cl.queue, from, to, 400, 1200, 800, 0, NULL, NULL));
    t_show_ints(&cl, to, N);
    CALL(clEnqueueCopyBufferRect(cl.queue, from, to, a, b, region, 32, 256, 64, 1024, 0, NULL, NULL));
    t_show_ints(&cl, to, N);
    CALL(clEnqueueCopyBuffer(cl.queue, from, from, 0, 2048, 1024, 0, NULL, NULL));
    t_show_ints(&cl, from, N);
    CALL(clEnqueueCopyBuffer(cl.queue, from, from, 0, 512, 1024, 0, NULL, NULL));
    CALL(clEnqueueCopyBuffer(cl.queue, from, to, 0, 0, 0, 0, NULL, NULL));
    CALL(clEnqueueCopyBuffer(cl.queue, from, to, 4000, 0, 200, 0, NULL, NULL));
    CALL(clEnqueueCopyBuffer(cl.queue, from, to, 0, 4000, 200, 0, NULL, NULL));
    CALL(clEnqueueCopyBuffer(cl.queue, NULL, to, 0, 0, 4, 0, NULL, NULL));
    CALL(clEnqueueCopyBuffer(cl.queue, from, NULL, 0, 0, 4, 0, NULL, NULL));
    CALL(clEnqueueCopyBuffer(NULL, from, to, 0, 0, 4, 0, NULL, NULL));
    CALL(clEnqueueCopyBuffer(cl.queue, from, foreign, 0, 0, 4, 0, NULL, NULL));
    OK(clReleaseMemObject(foreign));
    OK(clReleaseMemObject(from));
    OK(clReleaseMemObject(to));
    t_close(&other);
    t_close(&cl);
}

static void fill(void)
{
    static const size_t sizes[] = {1, 2, 4, 8, 16, 32, 64, 128};
    struct t_cl cl = t_open();
    cl_mem buffer = t_ints(&cl, N);
    unsigned char pattern[256];

    for (size_t i = 0; i < sizeof pattern; i++)
        pattern[i] = (unsigned char)(i * 5 + 1);
    for (size_t i = 0; i < COUNT(sizes); i++) {
        OK(clEnqueueFillBuffer(cl.queue, buffer, pattern, sizes[i], 256, 1024, 0, NULL, NULL));
        t_say("pattern of %zu bytes", sizes[i]);
        t_show_ints(&cl, buffer, N);
    }
    /* The pattern may be changed as soon as the call returns. */
    OK(clEnqueueFillBuffer(cl.queue, buffer, pattern, 4, 0, BYTES, 0, NULL, NULL));
    memset(pattern, 0, sizeof pattern);
    t_show_ints(&cl, buffer, N);
    CALL(clEnqueueFillBuffer(cl.queue, buffer, pattern, 3, 0, 12, 0, NULL, NULL));
    CALL(clEnqueueFillBuffer(cl.queue, buffer, pattern, 256, 0, 1024, 0, NULL, NULL));
    CALL(clEnqueueFillBuffer(cl.queue, buffer, pattern, 0, 0, 16, 0, NULL, NULL));
    CALL(clEnqueueFillBuffer(cl.queue, buffer, NULL, 4, 0, 16, 0, NULL, NULL));
    CALL(clEnqueueFillBuffer(cl.queue, buffer, pattern, 4, 2, 16, 0, NULL, NULL));
    CALL(clEnqueueFillBuffer(cl.queue, buffer, pattern, 4, 0, 18, 0, NULL, NULL));
    CALL(clEnqueueFillBuffer(cl.queue, buffer, pattern, 4, 0, BYTES + 4, 0, NULL, NULL));
    CALL(clEnqueueFillBuffer(cl.queue, NULL, pattern, 4, 0, 16, 0, NULL, NULL));
    CALL(clEnqueueFillBuffer(NULL, buffer, pattern, 4, 0, 16, 0, NULL, NULL));
    CALL(clEnqueueFillBuffer(cl.queue, buffer, pattern, 4, 0, 0, 0, NULL, NULL));
    OK(clReleaseMemObject(buffer));
    t_close(&cl);
}

static cl_int *map_ints(const struct t_cl *cl, cl_mem buffer, cl_map_flags how, size_t first, size_t n)
{
    return GET(clEnqueueMapBuffer(cl->queue, buffer, CL_TRUE, how, first * sizeof(cl_int), n * sizeof(cl_int), 0, NULL,
                                  NULL, &t_error));
}

static void unmap(const struct t_cl *cl, cl_mem buffer, void *map)
{
    OK(clEnqueueUnmapMemObject(cl->queue, buffer, map, 0, NULL, NULL));
}

static void map_whole(void)
{
    struct t_cl cl = t_open();
    cl_mem buffer = t_ints(&cl, N);
    cl_int *map = MAKE(
        clEnqueueMapBuffer(cl.queue, buffer, CL_TRUE, CL_MAP_READ | CL_MAP_WRITE, 0, BYTES, 0, NULL, NULL, &t_error));

    map_count(buffer, 1);
    CHECK(map[0] == 0 && map[N - 1] == N - 1);
    map[3] = 333;
    CALL(clEnqueueUnmapMemObject(cl.queue, buffer, map, 0, NULL, NULL));
    CALL(clFinish(cl.queue));
    map_count(buffer, 0);
    t_show_ints(&cl, buffer, N);
    OK(clReleaseMemObject(buffer));
    t_close(&cl);
}

static void map_partial(void)
{
    struct t_cl cl = t_open();
    cl_mem buffer = t_ints(&cl, N);
    cl_int *map = map_ints(&cl, buffer, CL_MAP_READ | CL_MAP_WRITE, 100, 10);

    CHECK(map[0] == 100 && map[9] == 109);
    fill_ints(map, 10, 7000);
    unmap(&cl, buffer, map);
    t_show_ints(&cl, buffer, N);
    OK(clReleaseMemObject(buffer));
    t_close(&cl);
}

/* Several regions at once, unmapped in another order. */
static void map_several(void)
{
    struct t_cl cl = t_open();
    cl_mem buffer = t_ints(&cl, N);
    cl_int *maps[4];

    for (size_t i = 0; i < 4; i++) {
        maps[i] = map_ints(&cl, buffer, CL_MAP_WRITE, i * 100, 50);
        map_count(buffer, (cl_uint)i + 1);
    }
    for (size_t i = 0; i < 4; i++)
        fill_ints(maps[i], 50, (cl_int)i * 1000);
    unmap(&cl, buffer, maps[2]);
    unmap(&cl, buffer, maps[0]);
    OK(clFinish(cl.queue));
    map_count(buffer, 2);
    unmap(&cl, buffer, maps[3]);
    unmap(&cl, buffer, maps[1]);
    OK(clFinish(cl.queue));
    map_count(buffer, 0);
    t_show_ints(&cl, buffer, N);
    OK(clReleaseMemObject(buffer));
    t_close(&cl);
}

/* Overlapping regions may be mapped for reading; the same region twice gives the same pointer or another. */
static void map_overlapping(void)
{
    struct t_cl cl = t_open();
    cl_mem buffer = t_ints(&cl, N);
    cl_int *a = map_ints(&cl, buffer, CL_MAP_READ, 0, 100), *b = map_ints(&cl, buffer, CL_MAP_READ, 50, 100);
    cl_int *c = map_ints(&cl, buffer, CL_MAP_READ, 0, 100);

    CHECK(a[60] == 60 && b[10] == 60 && c[60] == 60);
    t_say("b inside a %d, c same as a %d", b == a + 50, a == c);
    map_count(buffer, 3);
    unmap(&cl, buffer, a);
    OK(clFinish(cl.queue));
    CHECK(b[10] == 60 && c[60] == 60);
    unmap(&cl, buffer, c);
    unmap(&cl, buffer, b);
    OK(clFinish(cl.queue));
    map_count(buffer, 0);
    OK(clReleaseMemObject(buffer));
    t_close(&cl);
}

static void map_invalidate(void)
{
    struct t_cl cl = t_open();
    cl_mem buffer = t_ints(&cl, N);
    cl_int *map = map_ints(&cl, buffer, CL_MAP_WRITE_INVALIDATE_REGION, 256, 256);

    fill_ints(map, 256, 9000); /* all of it: what is not written is undefined */
    unmap(&cl, buffer, map);
    t_show_ints(&cl, buffer, N);
    MAKE(clEnqueueMapBuffer(cl.queue, buffer, CL_TRUE, CL_MAP_WRITE_INVALIDATE_REGION | CL_MAP_READ, 0, 64, 0, NULL,
                            NULL, &t_error));
    OK(clReleaseMemObject(buffer));
    t_close(&cl);
}

/* The pointer is known at once, the data when the event is complete. */
static void map_non_blocking(void)
{
    struct t_cl cl = t_open();
    cl_mem buffer = t_ints(&cl, N);
    cl_event mapped, unmapped;

    inc(&cl, buffer, N);
    cl_int *map = MAKE(clEnqueueMapBuffer(cl.queue, buffer, CL_FALSE, CL_MAP_READ | CL_MAP_WRITE, 0, BYTES, 0, NULL,
                                          &mapped, &t_error));
    CALL(clWaitForEvents(1, &mapped));
    CHECK(map[0] == 1 && map[N - 1] == N);
    INFO(T_U32, CL_EVENT_COMMAND_TYPE, clGetEventInfo, mapped);
    map[0] = 50;
    CALL(clEnqueueUnmapMemObject(cl.queue, buffer, map, 1, &mapped, &unmapped));
    INFO(T_U32, CL_EVENT_COMMAND_TYPE, clGetEventInfo, unmapped);
    inc(&cl, buffer, N);
    t_show_ints(&cl, buffer, N);
    OK(clReleaseEvent(mapped));
    OK(clReleaseEvent(unmapped));
    OK(clReleaseMemObject(buffer));
    t_close(&cl);
}

static void map_sub_buffer(void)
{
    struct t_cl cl = t_open();
    cl_mem buffer = t_ints(&cl, N);
    cl_buffer_region region = {1024, 1024};
    cl_mem part = GET(clCreateSubBuffer(buffer, 0, CL_BUFFER_CREATE_TYPE_REGION, &region, &t_error));
    cl_int *map = map_ints(&cl, part, CL_MAP_READ | CL_MAP_WRITE, 10, 20);

    CHECK(map[0] == 266);
    map_count(part, 0);
    map_count(buffer, 1);
    map[0] = -1;
    unmap(&cl, part, map);
    t_show_ints(&cl, buffer, N);
    OK(clReleaseMemObject(part));
    OK(clReleaseMemObject(buffer));
    t_close(&cl);
}

/* A stranger to the buffer is no map; nor is one that was unmapped. */
/* What is refused is refused also where the same with a good list was accepted before, and the queue goes on. */
static void unmap_with_bad_list(void)
{
    struct t_cl cl = t_open();
    cl_mem buffer = t_ints(&cl, N);
    cl_event done = GET(clCreateUserEvent(cl.context, &t_error)), null = NULL;
    cl_int value = -1;
    OK(clSetUserEventStatus(done, CL_COMPLETE));
    for (int i = 0; i < 4; i++) {
        void *map = GET(clEnqueueMapBuffer(cl.queue, buffer, CL_TRUE, CL_MAP_READ, 0, BYTES, 0, NULL, NULL, &t_error));
        CALL(clEnqueueUnmapMemObject(cl.queue, buffer, map, 1, i % 2 ? &null : &done, NULL));
        CALL(clEnqueueReadBuffer(cl.queue, buffer, CL_TRUE, 4, sizeof value, &value, 0, NULL, NULL));
        t_say("value %d", value);
    }
    OK(clFinish(cl.queue));
    OK(clReleaseEvent(done));
    OK(clReleaseMemObject(buffer));
    t_close(&cl);
}

static void map_errors(void)
{
    struct t_cl cl = t_open();
    cl_mem buffer = t_ints(&cl, N);
    cl_int stranger;

    MAKE(clEnqueueMapBuffer(NULL, buffer, CL_TRUE, CL_MAP_READ, 0, 64, 0, NULL, NULL, &t_error));
    MAKE(clEnqueueMapBuffer(cl.queue, NULL, CL_TRUE, CL_MAP_READ, 0, 64, 0, NULL, NULL, &t_error));
    MAKE(clEnqueueMapBuffer(cl.queue, buffer, CL_TRUE, CL_MAP_READ, 0, 0, 0, NULL, NULL, &t_error));
    MAKE(clEnqueueMapBuffer(cl.queue, buffer, CL_TRUE, CL_MAP_READ, 0, BYTES + 1, 0, NULL, NULL, &t_error));
    MAKE(clEnqueueMapBuffer(cl.queue, buffer, CL_TRUE, CL_MAP_READ, BYTES, 1, 0, NULL, NULL, &t_error));
    MAKE(clEnqueueMapBuffer(cl.queue, buffer, CL_TRUE, 1 << 10, 1024, 64, 0, NULL, NULL, &t_error));
    MAKE(clEnqueueMapBuffer(cl.queue, buffer, CL_TRUE, CL_MAP_READ, 0, 64, 1, NULL, NULL, &t_error));
    CALL(clEnqueueUnmapMemObject(cl.queue, buffer, &stranger, 0, NULL, NULL));
    CALL(clEnqueueUnmapMemObject(cl.queue, buffer, NULL, 0, NULL, NULL));
    cl_int *map = map_ints(&cl, buffer, CL_MAP_READ, 0, 16);
    CALL(clEnqueueUnmapMemObject(NULL, buffer, map, 0, NULL, NULL));
    CALL(clEnqueueUnmapMemObject(cl.queue, NULL, map, 0, NULL, NULL));
    CALL(clEnqueueUnmapMemObject(cl.queue, buffer, map, 0, NULL, NULL));
    CALL(clFinish(cl.queue));
    CALL(clEnqueueUnmapMemObject(cl.queue, buffer, map, 0, NULL, NULL));
    OK(clReleaseMemObject(buffer));
    t_close(&cl);
}

static void migrate(void)
{
    struct t_cl cl = t_open();
    cl_mem buffers[2] = {t_ints(&cl, 64), t_ints(&cl, 64)};
    cl_mem null = NULL;

    CALL(clEnqueueMigrateMemObjects(cl.queue, 2, buffers, 0, 0, NULL, NULL));
    CALL(clEnqueueMigrateMemObjects(cl.queue, 1, buffers, CL_MIGRATE_MEM_OBJECT_HOST, 0, NULL, NULL));
    CALL(clEnqueueMigrateMemObjects(cl.queue, 1, buffers, CL_MIGRATE_MEM_OBJECT_CONTENT_UNDEFINED, 0, NULL, NULL));
    CALL(clFinish(cl.queue));
    t_show_ints(&cl, buffers[1], 64);
    CALL(clEnqueueMigrateMemObjects(cl.queue, 0, NULL, 0, 0, NULL, NULL));
    CALL(clEnqueueMigrateMemObjects(cl.queue, 1, NULL, 0, 0, NULL, NULL));
    CALL(clEnqueueMigrateMemObjects(cl.queue, 1, &null, 0, 0, NULL, NULL));
    CALL(clEnqueueMigrateMemObjects(cl.queue, 1, buffers, 1 << 10, 0, NULL, NULL));
    CALL(clEnqueueMigrateMemObjects(NULL, 1, buffers, 0, 0, NULL, NULL));
    OK(clReleaseMemObject(buffers[0]));
    OK(clReleaseMemObject(buffers[1]));
    t_close(&cl);
}

static void CL_CALLBACK on_destroy(cl_mem mem, void *user)
{
    (void)mem;
    t_log("destroyed %s", (const char *)user);
}

/* Callbacks run in the reverse order of their registration, once, when the object goes. */
static void destructor_callbacks(void)
{
    struct t_cl cl = t_open();
    cl_mem buffer = t_ints(&cl, 64);

    CALL(clSetMemObjectDestructorCallback(buffer, on_destroy, "first"));
    CALL(clSetMemObjectDestructorCallback(buffer, on_destroy, "second"));
    CALL(clSetMemObjectDestructorCallback(buffer, on_destroy, "second"));
    CALL(clSetMemObjectDestructorCallback(buffer, NULL, NULL));
    CALL(clSetMemObjectDestructorCallback(NULL, on_destroy, NULL));
    OK(clRetainMemObject(buffer));
    CALL(clReleaseMemObject(buffer));
    t_log_show(false);
    t_say("one reference left");
    CALL(clReleaseMemObject(buffer));
    t_log_wait(3);
    t_log_show(false);
    t_close(&cl);
}

/* The part holds the whole: the part's callback comes first, and the whole's only when the part has gone. */
static void destructor_sub_buffer(void)
{
    struct t_cl cl = t_open();
    cl_mem buffer = t_ints(&cl, N);
    cl_buffer_region region = {0, 512};
    cl_mem part = GET(clCreateSubBuffer(buffer, 0, CL_BUFFER_CREATE_TYPE_REGION, &region, &t_error));

    OK(clSetMemObjectDestructorCallback(buffer, on_destroy, "whole"));
    OK(clSetMemObjectDestructorCallback(part, on_destroy, "part"));
    CALL(clReleaseMemObject(buffer));
    t_log_show(false);
    CALL(clReleaseMemObject(part));
    t_log_wait(2);
    t_log_show(false);
    t_close(&cl);
}

/* A command in flight keeps the buffer: the callback comes after it. */
static void destructor_after_commands(void)
{
    struct t_cl cl = t_open();
    cl_mem buffer = t_ints(&cl, N);
    cl_event gate = GET(clCreateUserEvent(cl.context, &t_error));
    cl_int value = 1;

    OK(clSetMemObjectDestructorCallback(buffer, on_destroy, "buffer"));
    OK(clEnqueueFillBuffer(cl.queue, buffer, &value, 4, 0, BYTES, 1, &gate, NULL));
    CALL(clReleaseMemObject(buffer));
    t_log_show(false);
    t_say("command not yet run");
    CALL(clSetUserEventStatus(gate, CL_COMPLETE));
    CALL(clFinish(cl.queue));
    t_log_wait(1);
    t_log_show(false);
    OK(clReleaseEvent(gate));
    t_close(&cl);
}

/* What the application does not own is not read: not where it cannot be, and not for a call that is refused. */
static void edges_of_creation(void)
{
    struct t_cl cl = t_open();
    cl_ulong most = 0;
    char *bytes = t_edge(64);
    cl_mem_flags copy = CL_MEM_COPY_HOST_PTR, use = CL_MEM_USE_HOST_PTR, both = copy | use, two = CL_MEM_READ_ONLY | CL_MEM_WRITE_ONLY;
    cl_mem_flags three = CL_MEM_HOST_NO_ACCESS | CL_MEM_HOST_READ_ONLY | copy;

    OK(clGetDeviceInfo(cl.device, CL_DEVICE_MAX_MEM_ALLOC_SIZE, sizeof most, &most, NULL));
    size_t more = most + 1, huge = SIZE_MAX, large = (size_t)1 << 44;
    cl_mem whole = MAKE(clCreateBuffer(cl.context, copy, 64, bytes, &t_error));
    t_show_ints(&cl, whole, 16);
    OK(clReleaseMemObject(whole));
    whole = MAKE(clCreateBuffer(cl.context, use, 64, bytes, &t_error));
    t_show_ints(&cl, whole, 16);
    OK(clReleaseMemObject(whole));
    MAKE(clCreateBuffer(cl.context, copy, more, bytes, &t_error));
    MAKE(clCreateBuffer(cl.context, use, more, bytes, &t_error));
    MAKE(clCreateBuffer(cl.context, copy, large, bytes, &t_error));
    MAKE(clCreateBuffer(cl.context, copy, huge, bytes, &t_error));
    MAKE(clCreateBuffer(cl.context, copy, 0, bytes, &t_error));
    MAKE(clCreateBuffer(cl.context, both, 4096, bytes, &t_error));
    MAKE(clCreateBuffer(cl.context, use | CL_MEM_ALLOC_HOST_PTR, 4096, bytes, &t_error));
    MAKE(clCreateBuffer(cl.context, two | copy, 4096, bytes, &t_error));
    MAKE(clCreateBuffer(cl.context, two | CL_MEM_ALLOC_HOST_PTR | copy, 4096, bytes, &t_error));
    MAKE(clCreateBuffer(cl.context, three, 4096, bytes, &t_error));
    MAKE(clCreateBuffer(cl.context, copy | 1ull << 40, 4096, bytes, &t_error));
    MAKE(clCreateBuffer(cl.context, copy | CL_MEM_ALLOC_HOST_PTR, more, bytes, &t_error));
    MAKE(clCreateBuffer(cl.context, CL_MEM_ALLOC_HOST_PTR, 4096, bytes, &t_error));
    MAKE(clCreateBuffer(cl.context, 0, 4096, bytes, &t_error));
    MAKE(clCreateBuffer(NULL, copy, 4096, bytes, &t_error));
    MAKE(clCreateBufferWithProperties(cl.context, NULL, copy, more, bytes, &t_error));
    MAKE(clCreateBufferWithProperties(cl.context, NULL, both, 4096, bytes, &t_error));
    t_close(&cl);
}

static void edges_of_writes(void)
{
    struct t_cl cl = t_open();
    cl_mem buffer = t_ints(&cl, N), part;
    const cl_buffer_region region = {BYTES / 2, BYTES / 2};
    char *bytes = t_edge(64);

    part = GET(clCreateSubBuffer(buffer, 0, CL_BUFFER_CREATE_TYPE_REGION, &region, &t_error));
    CALL(clEnqueueWriteBuffer(cl.queue, buffer, CL_TRUE, 8, 64, bytes, 0, NULL, NULL));
    CALL(clEnqueueWriteBuffer(cl.queue, buffer, CL_FALSE, BYTES - 64, 64, bytes, 0, NULL, NULL));
    CALL(clEnqueueWriteBuffer(cl.queue, buffer, CL_TRUE, BYTES - 64, 65, bytes, 0, NULL, NULL));
    CALL(clEnqueueWriteBuffer(cl.queue, buffer, CL_FALSE, 0, BYTES + 1, bytes, 0, NULL, NULL));
    CALL(clEnqueueWriteBuffer(cl.queue, buffer, CL_TRUE, 8, SIZE_MAX, bytes, 0, NULL, NULL));
    CALL(clEnqueueWriteBuffer(cl.queue, part, CL_TRUE, 0, BYTES / 2 + 1, bytes, 0, NULL, NULL));
    CALL(clEnqueueWriteBuffer(cl.queue, NULL, CL_TRUE, 0, 128, bytes, 0, NULL, NULL));
    CALL(clEnqueueWriteBuffer(NULL, buffer, CL_TRUE, 0, 128, bytes, 0, NULL, NULL));
    OK(clFinish(cl.queue));
    t_show_ints(&cl, buffer, N);
    OK(clReleaseMemObject(part));
    OK(clReleaseMemObject(buffer));
    t_close(&cl);
}

/* Rows in pages of which every second one cannot be read; regions, origins and pitches that are refused. */
static void edges_of_rects(void)
{
    struct t_cl cl = t_open();
    cl_mem buffer = t_ints(&cl, 8 * N);
    char *rows = t_every_second_page(6), *bytes = t_edge(64);
    const size_t zero[3] = {0}, at[3] = {16, 1, 0}, eight[3] = {8, 4, 1}, deep[3] = {8, 2, 3}, wide[3] = {64, 1, 1}, tall[3] = {8, 8, 1};
    const size_t huge[3] = {SIZE_MAX, 1, 1}, large[3] = {(size_t)1 << 39, 1, 1}, none[3] = {8, 0, 1}, far[3] = {0, 0, 1000000};

    for (cl_bool blocking = 0; blocking < 2; blocking++) {
        CALL(clEnqueueWriteBufferRect(cl.queue, buffer, blocking, zero, zero, eight, 64, 0, 8192, 0, rows, 0, NULL, NULL));
        CALL(clEnqueueWriteBufferRect(cl.queue, buffer, blocking, at, at, eight, 64, 0, 8192, 0, rows - 8192, 0, NULL, NULL));
        CALL(clEnqueueWriteBufferRect(cl.queue, buffer, blocking, at, zero, deep, 64, 256, 8192, 16384, rows, 0, NULL, NULL));
        CALL(clEnqueueReadBufferRect(cl.queue, buffer, blocking, at, zero, deep, 64, 256, 8192, 16384, rows + 64, 0, NULL, NULL));
        OK(clFinish(cl.queue));
        t_say("read %08x", t_sum(rows + 64, 8) ^ t_sum(rows + 64 + 5 * 8192, 8));
        CALL(clEnqueueWriteBufferRect(cl.queue, buffer, blocking, zero, zero, wide, 0, 0, 0, 0, bytes, 0, NULL, NULL));
        CALL(clEnqueueWriteBufferRect(cl.queue, buffer, blocking, zero, zero, tall, 0, 0, 0, 0, bytes, 0, NULL, NULL));
        CALL(clEnqueueWriteBufferRect(cl.queue, buffer, blocking, zero, zero, tall, 8 * N, 0, 0, 0, bytes, 0, NULL, NULL));
        CALL(clEnqueueWriteBufferRect(cl.queue, buffer, blocking, far, zero, tall, 0, 0, 0, 0, bytes + 8, 0, NULL, NULL));
        CALL(clEnqueueWriteBufferRect(cl.queue, buffer, blocking, zero, zero, tall, 0, 0, 4, 0, bytes, 0, NULL, NULL));
        CALL(clEnqueueWriteBufferRect(cl.queue, buffer, blocking, zero, zero, tall, 0, 0, 4096, 12, bytes, 0, NULL, NULL));
        CALL(clEnqueueWriteBufferRect(cl.queue, buffer, blocking, zero, zero, deep, 0, 0, 4096, 12288 + 1, bytes, 0, NULL, NULL));
        CALL(clEnqueueWriteBufferRect(cl.queue, buffer, blocking, zero, zero, huge, 0, 0, 0, 0, bytes, 0, NULL, NULL));
        CALL(clEnqueueWriteBufferRect(cl.queue, buffer, blocking, zero, zero, large, 0, 0, 0, 0, bytes, 0, NULL, NULL));
        CALL(clEnqueueReadBufferRect(cl.queue, buffer, blocking, zero, zero, large, 0, 0, 0, 0, bytes, 0, NULL, NULL));
        CALL(clEnqueueReadBufferRect(cl.queue, buffer, blocking, far, zero, tall, 0, 0, 0, 0, bytes, 0, NULL, NULL));
        CALL(clEnqueueWriteBufferRect(cl.queue, buffer, blocking, zero, zero, none, 0, 0, 0, 0, bytes, 0, NULL, NULL));
        CALL(clEnqueueWriteBufferRect(cl.queue, NULL, blocking, zero, zero, tall, 0, 0, 4096, 0, bytes, 0, NULL, NULL));
        CALL(clEnqueueWriteBufferRect(NULL, buffer, blocking, zero, zero, tall, 0, 0, 4096, 0, bytes, 0, NULL, NULL));
        OK(clFinish(cl.queue));
    }
    t_show_ints(&cl, buffer, 8 * N);
    OK(clReleaseMemObject(buffer));
    t_close(&cl);
}

T_MAIN(T(info), T(flags), T(create_errors), T(with_properties), T(use_host_ptr), T(use_host_ptr_kept),
       T(use_host_ptr_unaligned), T(alloc_host_ptr), T(copy_host_ptr), T(sub_buffer), T(sub_buffer_flags), T(sub_buffer_errors),
       T(sub_buffer_of_host_ptr), T(read_write), T(read_write_finish), T(writes_in_a_row), T(read_write_large), T(read_write_errors),
       T(host_access_flags), T(rect), T(rect_default_pitch), T(rect_tiles), T(rect_errors), T(copy), T(fill), T(map_whole),
       T(map_partial), T(map_several), T(map_overlapping), T(map_invalidate), T(map_non_blocking), T(map_sub_buffer),
       T(map_errors), T(unmap_with_bad_list), T(migrate), T(destructor_callbacks), T(destructor_sub_buffer), T(destructor_after_commands),
       T(edges_of_creation), T(edges_of_writes), T(edges_of_rects))
