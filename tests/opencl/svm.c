/*
 * OpenCL conformance: shared virtual memory, as far as the device has it.
 * SPDX-License-Identifier: Apache-2.0
 */
#include <sys/mman.h>

#include "t.h"

enum { N = 256, BYTES = N * (int)sizeof(cl_int) };

static struct t_cl open_svm(void)
{
    struct t_cl cl = t_open();

    if (!t_svm(cl.device))
        t_skip("the device has no shared virtual memory");
    return cl;
}

static void show_ints(const cl_int *data)
{
    long long sum = 0;

    for (int i = 0; i < N; i++)
        sum += data[i];
    t_say("first %d last %d sum %lld checksum %08x", data[0], data[N - 1], sum, t_sum(data, BYTES));
}

static cl_int *alloc(const struct t_cl *cl)
{
    cl_int *data = clSVMAlloc(cl->context, CL_MEM_READ_WRITE, BYTES, 0);

    CHECK(data);
    OK(clEnqueueSVMMap(cl->queue, CL_TRUE, CL_MAP_WRITE, data, BYTES, 0, NULL, NULL));
    for (int i = 0; i < N; i++)
        data[i] = i;
    OK(clEnqueueSVMUnmap(cl->queue, data, 0, NULL, NULL));
    OK(clFinish(cl->queue));
    return data;
}

static void show_mapped(const struct t_cl *cl, cl_int *data)
{
    OK(clEnqueueSVMMap(cl->queue, CL_TRUE, CL_MAP_READ, data, BYTES, 0, NULL, NULL));
    show_ints(data);
    OK(clEnqueueSVMUnmap(cl->queue, data, 0, NULL, NULL));
    OK(clFinish(cl->queue));
}

static void allocate(void)
{
    struct t_cl cl = open_svm();
    static const cl_uint alignments[] = {0, 1, 4, 16, 64, 128};

    for (size_t i = 0; i < COUNT(alignments); i++) {
        void *data = clSVMAlloc(cl.context, CL_MEM_READ_WRITE, 1000, alignments[i]);
        t_say("alignment %u -> %d", alignments[i], data != NULL);
        CHECK(!data || alignments[i] == 0 || (uintptr_t)data % alignments[i] == 0);
        clSVMFree(cl.context, data);
    }
    t_say("alignment 3 -> %d", clSVMAlloc(cl.context, 0, 1000, 3) != NULL);
    t_say("size 0 -> %d", clSVMAlloc(cl.context, 0, 0, 0) != NULL);
    t_say("too large -> %d", clSVMAlloc(cl.context, 0, (size_t)1 << 60, 0) != NULL);
    t_say("no context -> %d", clSVMAlloc(NULL, 0, 1000, 0) != NULL);
    t_say("bad flags -> %d", clSVMAlloc(cl.context, CL_MEM_READ_ONLY | CL_MEM_WRITE_ONLY, 1000, 0) != NULL);
    clSVMFree(cl.context, NULL);
    t_close(&cl);
}

static void map_and_kernel(void)
{
    struct t_cl cl = open_svm();
    cl_int *data = alloc(&cl);
    cl_kernel kernel = t_kernel(&cl, "inc");
    size_t global = N;
    cl_event mapped, unmapped;

    CALL(clSetKernelArgSVMPointer(kernel, 0, data));
    CALL(clEnqueueNDRangeKernel(cl.queue, kernel, 1, NULL, &global, NULL, 0, NULL, NULL));
    CALL(clEnqueueSVMMap(cl.queue, CL_FALSE, CL_MAP_READ | CL_MAP_WRITE, data, BYTES, 0, NULL, &mapped));
    CALL(clWaitForEvents(1, &mapped));
    INFO(T_U32, CL_EVENT_COMMAND_TYPE, clGetEventInfo, mapped);
    show_ints(data);
    data[0] = 1000;
    CALL(clEnqueueSVMUnmap(cl.queue, data, 0, NULL, &unmapped));
    INFO(T_U32, CL_EVENT_COMMAND_TYPE, clGetEventInfo, unmapped);
    CALL(clEnqueueNDRangeKernel(cl.queue, kernel, 1, NULL, &global, NULL, 0, NULL, NULL));
    show_mapped(&cl, data);
    /* A pointer into the allocation. */
    CALL(clSetKernelArgSVMPointer(kernel, 0, data + N / 2));
    global = N / 2;
    CALL(clEnqueueNDRangeKernel(cl.queue, kernel, 1, NULL, &global, NULL, 0, NULL, NULL));
    show_mapped(&cl, data);
    OK(clReleaseEvent(mapped));
    OK(clReleaseEvent(unmapped));
    OK(clReleaseKernel(kernel));
    clSVMFree(cl.context, data);
    t_close(&cl);
}

static void copy_and_fill(void)
{
    struct t_cl cl = open_svm();
    cl_int *data = alloc(&cl), *other = alloc(&cl), host[N];
    const cl_int value = 77;
    cl_event event;

    CALL(clEnqueueSVMMemFill(cl.queue, data + 10, &value, sizeof value, 40, 0, NULL, &event));
    CALL(clWaitForEvents(1, &event));
    INFO(T_U32, CL_EVENT_COMMAND_TYPE, clGetEventInfo, event);
    OK(clReleaseEvent(event));
    CALL(clEnqueueSVMMemcpy(cl.queue, CL_TRUE, host, data, BYTES, 0, NULL, NULL));
    show_ints(host);
    for (int i = 0; i < N; i++)
        host[i] = 3 * i;
    CALL(clEnqueueSVMMemcpy(cl.queue, CL_TRUE, other, host, BYTES, 0, NULL, NULL));
    CALL(clEnqueueSVMMemcpy(cl.queue, CL_FALSE, data, other + 100, 200, 0, NULL, &event));
    CALL(clWaitForEvents(1, &event));
    INFO(T_U32, CL_EVENT_COMMAND_TYPE, clGetEventInfo, event);
    OK(clReleaseEvent(event));
    show_mapped(&cl, data);
    clSVMFree(cl.context, data);
    clSVMFree(cl.context, other);
    t_close(&cl);
}

static void migrate(void)
{
    struct t_cl cl = open_svm();
    cl_int *data = alloc(&cl);
    const void *list[] = {data};
    const size_t sizes[] = {0};

    CALL(clEnqueueSVMMigrateMem(cl.queue, 1, list, sizes, 0, 0, NULL, NULL));
    CALL(clEnqueueSVMMigrateMem(cl.queue, 1, list, NULL, CL_MIGRATE_MEM_OBJECT_HOST, 0, NULL, NULL));
    CALL(clEnqueueSVMMigrateMem(cl.queue, 0, NULL, NULL, 0, 0, NULL, NULL));
    CALL(clEnqueueSVMMigrateMem(NULL, 1, list, sizes, 0, 0, NULL, NULL));
    show_mapped(&cl, data);
    clSVMFree(cl.context, data);
    t_close(&cl);
}

static void CL_CALLBACK on_free(cl_command_queue queue, cl_uint n, void *pointers[], void *user)
{
    cl_context context;

    OK(clGetCommandQueueInfo(queue, CL_QUEUE_CONTEXT, sizeof context, &context, NULL));
    for (cl_uint i = 0; i < n; i++) {
        t_log("free %u of %u, not NULL %d", i, n, pointers[i] != NULL);
        clSVMFree(context, pointers[i]);
    }
    t_log("user %s queue %s", (const char *)user, t_handle(queue));
}

static void free_queued(void)
{
    struct t_cl cl = open_svm();
    void *three[] = {alloc(&cl), alloc(&cl), alloc(&cl)}, *one[] = {alloc(&cl)};
    cl_event event;

    CALL(clEnqueueSVMFree(cl.queue, 3, three, on_free, "callback", 0, NULL, &event));
    CALL(clWaitForEvents(1, &event));
    t_log_wait(4);
    t_log_show(false);
    INFO(T_U32, CL_EVENT_COMMAND_TYPE, clGetEventInfo, event);
    OK(clReleaseEvent(event));
    CALL(clEnqueueSVMFree(cl.queue, 1, one, NULL, NULL, 0, NULL, NULL));
    CALL(clFinish(cl.queue));
    CALL(clEnqueueSVMFree(cl.queue, 0, NULL, NULL, NULL, 0, NULL, NULL));
    CALL(clEnqueueSVMFree(NULL, 1, one, NULL, NULL, 0, NULL, NULL));
    t_close(&cl);
}

/* Most of the addresses near which the kernel maps by itself are in use: there is room for the shared ones still. */
static void crowded(void)
{
    const size_t size = (size_t)900 << 30;
    void *crowd = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    struct t_cl cl = open_svm();
    cl_int *data[4];

    CHECK(crowd != MAP_FAILED);
    for (int i = 0; i < 4; i++)
        data[i] = alloc(&cl);
    show_mapped(&cl, data[3]);
    for (int i = 0; i < 4; i++)
        clSVMFree(cl.context, data[i]);
    munmap(crowd, size);
    t_close(&cl);
}

/* What was refused has freed nothing. */
static void free_refused(void)
{
    struct t_cl cl = open_svm();
    cl_int *data = alloc(&cl), *refused[] = {data};
    cl_event event = clCreateUserEvent(cl.context, NULL);

    CALL(clEnqueueSVMFree(cl.queue, 1, (void **)refused, NULL, NULL, 1, NULL, NULL));
    CALL(clEnqueueSVMFree(cl.queue, 1, (void **)refused, NULL, NULL, 0, &event, NULL));
    CALL(clEnqueueSVMFree(cl.queue, 1, (void **)refused, on_free, "callback", 1, NULL, NULL));
    CALL(clEnqueueSVMMap(cl.queue, CL_TRUE, CL_MAP_READ | CL_MAP_WRITE, data, BYTES, 0, NULL, NULL));
    data[0] = 5;
    CALL(clEnqueueSVMUnmap(cl.queue, data, 0, NULL, NULL));
    CALL(clEnqueueSVMMemcpy(cl.queue, CL_TRUE, data + 1, data, 4, 0, NULL, NULL));
    OK(clEnqueueSVMMap(cl.queue, CL_TRUE, CL_MAP_READ, data, BYTES, 0, NULL, NULL));
    CHECK(data[1] == 5);
    OK(clEnqueueSVMUnmap(cl.queue, data, 0, NULL, NULL));
    CALL(clEnqueueSVMFree(cl.queue, 1, (void **)refused, NULL, NULL, 0, NULL, NULL));
    CALL(clFinish(cl.queue));
    OK(clReleaseEvent(event));
    t_close(&cl);
}

/* A map that was asked for comes after the memory has been given up in the same queue. */
static void free_before_map_is_done(void)
{
    struct t_cl cl = open_svm();
    cl_int *data[] = {alloc(&cl)};
    cl_event gate = clCreateUserEvent(cl.context, NULL);

    CALL(clEnqueueSVMMap(cl.queue, CL_FALSE, CL_MAP_READ, data[0], BYTES, 1, &gate, NULL));
    CALL(clEnqueueSVMUnmap(cl.queue, data[0], 0, NULL, NULL));
    CALL(clEnqueueSVMFree(cl.queue, 1, (void **)data, NULL, NULL, 0, NULL, NULL));
    CALL(clSetUserEventStatus(gate, CL_COMPLETE));
    CALL(clFinish(cl.queue));
    OK(clReleaseEvent(gate));
    t_close(&cl);
}

static const char *const list_source = "typedef struct node { global struct node *next; int value; } node;\n"
                                       "kernel void walk(global node *head, global int *out) {\n"
                                       "  int sum = 0; for (global node *n = head; n; n = n->next) sum += n->value;\n"
                                       "  out[0] = sum; }\n";

struct node {
    struct node *next;
    cl_int value;
};

/* Pointers stored in shared memory mean the same to the kernel; what it reaches only through them is declared. */
static void pointers_in_data(void)
{
    struct t_cl cl = open_svm();
    struct node *nodes[4];
    cl_mem out = t_ints(&cl, 1);
    size_t one = 1;

    for (int i = 0; i < 4; i++)
        nodes[i] = clSVMAlloc(cl.context, CL_MEM_READ_WRITE, sizeof *nodes[i], 0);
    for (int i = 0; i < 4; i++) {
        OK(clEnqueueSVMMap(cl.queue, CL_TRUE, CL_MAP_WRITE, nodes[i], sizeof *nodes[i], 0, NULL, NULL));
        nodes[i]->next = i < 3 ? nodes[i + 1] : NULL;
        nodes[i]->value = 10 << i;
        OK(clEnqueueSVMUnmap(cl.queue, nodes[i], 0, NULL, NULL));
    }
    cl_program program = GET(clCreateProgramWithSource(cl.context, 1, (const char *[]){list_source}, NULL, &t_error));
    OK(clBuildProgram(program, 1, &cl.device, "", NULL, NULL));
    cl_kernel kernel = GET(clCreateKernel(program, "walk", &t_error));
    CALL(clSetKernelArgSVMPointer(kernel, 0, nodes[0]));
    OK(clSetKernelArg(kernel, 1, sizeof out, &out));
    CALL(clSetKernelExecInfo(kernel, CL_KERNEL_EXEC_INFO_SVM_PTRS, 3 * sizeof(void *), nodes + 1));
    CALL(clEnqueueNDRangeKernel(cl.queue, kernel, 1, NULL, &one, NULL, 0, NULL, NULL));
    t_show_ints(&cl, out, 1);
    for (int i = 0; i < 4; i++)
        clSVMFree(cl.context, nodes[i]);
    OK(clReleaseKernel(kernel));
    OK(clReleaseProgram(program));
    OK(clReleaseMemObject(out));
    t_close(&cl);
}

static void exec_info(void)
{
    struct t_cl cl = open_svm();
    cl_kernel kernel = t_kernel(&cl, "inc");
    cl_int *data = alloc(&cl);
    cl_bool yes = CL_TRUE, no = CL_FALSE;

    CALL(clSetKernelExecInfo(kernel, CL_KERNEL_EXEC_INFO_SVM_PTRS, sizeof data, &data));
    CALL(clSetKernelExecInfo(kernel, CL_KERNEL_EXEC_INFO_SVM_FINE_GRAIN_SYSTEM, sizeof no, &no));
    CALL(clSetKernelExecInfo(kernel, CL_KERNEL_EXEC_INFO_SVM_FINE_GRAIN_SYSTEM, sizeof yes, &yes));
    CALL(clSetKernelExecInfo(kernel, 0xBEEF, sizeof yes, &yes));
    CALL(clSetKernelExecInfo(kernel, CL_KERNEL_EXEC_INFO_SVM_PTRS, 0, NULL));
    CALL(clSetKernelExecInfo(NULL, CL_KERNEL_EXEC_INFO_SVM_PTRS, sizeof data, &data));
    CALL(clSetKernelArgSVMPointer(kernel, 7, data));
    CALL(clSetKernelArgSVMPointer(NULL, 0, data));
    CALL(clSetKernelArgSVMPointer(kernel, 0, NULL));
    OK(clReleaseKernel(kernel));
    clSVMFree(cl.context, data);
    t_close(&cl);
}

/* A buffer over shared memory. */
static void buffer_of_svm(void)
{
    struct t_cl cl = open_svm();
    cl_int *data = alloc(&cl);
    cl_mem buffer = MAKE(clCreateBuffer(cl.context, CL_MEM_USE_HOST_PTR, BYTES, data, &t_error));

    INFO(T_U32, CL_MEM_USES_SVM_POINTER, clGetMemObjectInfo, buffer);
    t_show_ints(&cl, buffer, N);
    OK(clReleaseMemObject(buffer));
    clSVMFree(cl.context, data);
    t_close(&cl);
}

static void errors(void)
{
    struct t_cl cl = open_svm();
    cl_int *data = alloc(&cl), value = 1;

    CALL(clEnqueueSVMMap(NULL, CL_TRUE, CL_MAP_READ, data, BYTES, 0, NULL, NULL));
    CALL(clEnqueueSVMMap(cl.queue, CL_TRUE, CL_MAP_READ, NULL, BYTES, 0, NULL, NULL));
    CALL(clEnqueueSVMMap(cl.queue, CL_TRUE, CL_MAP_READ, data, 0, 0, NULL, NULL));
    CALL(clEnqueueSVMMap(cl.queue, CL_TRUE, 1 << 10, data, BYTES, 0, NULL, NULL));
    CALL(clEnqueueSVMUnmap(NULL, data, 0, NULL, NULL));
    CALL(clEnqueueSVMUnmap(cl.queue, NULL, 0, NULL, NULL));
    CALL(clEnqueueSVMMemcpy(NULL, CL_TRUE, data, data, 4, 0, NULL, NULL));
    CALL(clEnqueueSVMMemcpy(cl.queue, CL_TRUE, NULL, data, 4, 0, NULL, NULL));
    CALL(clEnqueueSVMMemcpy(cl.queue, CL_TRUE, data, NULL, 4, 0, NULL, NULL));
    CALL(clEnqueueSVMMemcpy(cl.queue, CL_TRUE, data, data + 1, 40, 0, NULL, NULL));
    CALL(clEnqueueSVMMemFill(NULL, data, &value, 4, 16, 0, NULL, NULL));
    CALL(clEnqueueSVMMemFill(cl.queue, NULL, &value, 4, 16, 0, NULL, NULL));
    /* No NULL pattern: the native library reads it. */
    CALL(clEnqueueSVMMemFill(cl.queue, data, &value, 3, 12, 0, NULL, NULL));
    CALL(clEnqueueSVMMemFill(cl.queue, data, &value, 4, 14, 0, NULL, NULL));
    clSVMFree(cl.context, data);
    t_close(&cl);
}

T_MAIN(T(allocate), T(map_and_kernel), T(copy_and_fill), T(migrate), T(free_queued), T(crowded), T(free_refused), T(free_before_map_is_done),
       T(pointers_in_data), T(exec_info),
       T(buffer_of_svm), T(errors))
