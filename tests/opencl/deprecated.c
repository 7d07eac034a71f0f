/*
 * OpenCL conformance: functions deprecated since 1.1 to 2.0, optional ones (native kernels, pipes), and those of other
 * APIs (GL, EGL) that the loader exports though no device here shares objects with them.
 * SPDX-License-Identifier: Apache-2.0
 */
#define CL_USE_DEPRECATED_OPENCL_1_0_APIS
#define CL_USE_DEPRECATED_OPENCL_1_1_APIS
#define CL_USE_DEPRECATED_OPENCL_1_2_APIS
#include "t.h"

#include <CL/cl_egl.h>
#include <CL/cl_gl.h>

enum { N = 64 };

static void image_2d(void)
{
    struct t_cl cl = t_open();
    const cl_image_format format = {CL_RGBA, CL_UNSIGNED_INT8};
    unsigned char data[256], back[256] = {0};
    const size_t zero[3] = {0, 0, 0}, whole[3] = {8, 8, 1};

    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (unsigned char)(i * 3);
    cl_mem image = MAKE(clCreateImage2D(cl.context, CL_MEM_COPY_HOST_PTR, &format, 8, 8, 0, data, &t_error));
    INFO(T_U32, CL_MEM_TYPE, clGetMemObjectInfo, image);
    INFO(T_U64, CL_IMAGE_ROW_PITCH, clGetImageInfo, image);
    OK(clEnqueueReadImage(cl.queue, image, CL_TRUE, zero, whole, 0, 0, back, 0, NULL, NULL));
    CHECK(memcmp(data, back, sizeof data) == 0);
    OK(clReleaseMemObject(image));
    MAKE(clCreateImage2D(cl.context, 0, &format, 0, 8, 0, NULL, &t_error));
    MAKE(clCreateImage2D(cl.context, 0, NULL, 8, 8, 0, NULL, &t_error));
    MAKE(clCreateImage2D(NULL, 0, &format, 8, 8, 0, NULL, &t_error));
    t_close(&cl);
}

static void image_3d(void)
{
    struct t_cl cl = t_open();
    const cl_image_format format = {CL_RGBA, CL_UNSIGNED_INT8};
    cl_mem image = MAKE(clCreateImage3D(cl.context, 0, &format, 8, 4, 2, 0, 0, NULL, &t_error));

    INFO(T_U32, CL_MEM_TYPE, clGetMemObjectInfo, image);
    INFO(T_U64, CL_IMAGE_SLICE_PITCH, clGetImageInfo, image);
    OK(clReleaseMemObject(image));
    MAKE(clCreateImage3D(cl.context, 0, &format, 8, 4, 0, 0, 0, NULL, &t_error));
    MAKE(clCreateImage3D(NULL, 0, &format, 8, 4, 2, 0, 0, NULL, &t_error));
    t_close(&cl);
}

static void task(void)
{
    struct t_cl cl = t_open();
    cl_mem buffer = t_ints(&cl, N);
    cl_kernel kernel = t_kernel(&cl, "inc");
    cl_event event;

    CALL(clEnqueueTask(cl.queue, kernel, 0, NULL, NULL));
    OK(clSetKernelArg(kernel, 0, sizeof buffer, &buffer));
    CALL(clEnqueueTask(cl.queue, kernel, 0, NULL, &event));
    CALL(clWaitForEvents(1, &event));
    INFO(T_U32, CL_EVENT_COMMAND_TYPE, clGetEventInfo, event);
    t_show_ints(&cl, buffer, N);
    CALL(clEnqueueTask(NULL, kernel, 0, NULL, NULL));
    OK(clReleaseEvent(event));
    OK(clReleaseKernel(kernel));
    OK(clReleaseMemObject(buffer));
    t_close(&cl);
}

static void marker_barrier_wait(void)
{
    struct t_cl cl = t_open_queue(CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE);
    cl_mem buffer = t_ints(&cl, N);
    cl_event gate = GET(clCreateUserEvent(cl.context, &t_error)), marker;
    cl_int value = 4, status = 77;

    OK(clEnqueueFillBuffer(cl.queue, buffer, &value, 4, 0, N * 4, 1, &gate, NULL));
    CALL(clEnqueueMarker(cl.queue, &marker));
    CALL(clEnqueueBarrier(cl.queue));
    OK(clSetUserEventStatus(gate, CL_COMPLETE));
    CALL(clFinish(cl.queue));
    OK(clGetEventInfo(marker, CL_EVENT_COMMAND_EXECUTION_STATUS, sizeof status, &status, NULL));
    t_say("status %d", status);
    INFO(T_U32, CL_EVENT_COMMAND_TYPE, clGetEventInfo, marker);
    t_show_ints(&cl, buffer, N);
    CALL(clEnqueueMarker(NULL, &marker));
    CALL(clEnqueueMarker(cl.queue, NULL));
    CALL(clEnqueueBarrier(NULL));
    CALL(clEnqueueWaitForEvents(NULL, 1, &gate)); /* not for a queue: natively unimplemented, it aborts */
    OK(clFinish(cl.queue));
    OK(clReleaseEvent(marker));
    OK(clReleaseEvent(gate));
    OK(clReleaseMemObject(buffer));
    t_close(&cl);
}

static void unload_compiler(void)
{
    struct t_cl cl = t_open();

    CALL(clUnloadCompiler());
    cl_kernel kernel = t_kernel(&cl, "inc");
    OK(clReleaseKernel(kernel));
    t_close(&cl);
}

static void pipe_objects(void)
{
    struct t_cl cl = t_open();
    cl_uint value;

    MAKE(clCreatePipe(cl.context, 0, 4, 16, NULL, &t_error));
    MAKE(clCreatePipe(cl.context, 0, 0, 16, NULL, &t_error));
    MAKE(clCreatePipe(NULL, 0, 4, 16, NULL, &t_error));
    CALL(clGetPipeInfo(NULL, CL_PIPE_PACKET_SIZE, sizeof value, &value, NULL));
    t_close(&cl);
}

struct native_args {
    const cl_int *data;
    cl_int n;
};

static void CL_CALLBACK native(void *args)
{
    struct native_args *native_args = args;
    long long sum = 0;

    for (cl_int i = 0; i < native_args->n; i++)
        sum += native_args->data[i];
    t_log("native kernel: n %d sum %lld", native_args->n, sum);
}

/* A host function as a command: it runs in this process, in the queue's order, with its memory's address patched in. */
static void native_kernel(void)
{
    struct t_cl cl = t_open();
    cl_device_exec_capabilities capabilities = 0;

    OK(clGetDeviceInfo(cl.device, CL_DEVICE_EXECUTION_CAPABILITIES, sizeof capabilities, &capabilities, NULL));
    if (!(capabilities & CL_EXEC_NATIVE_KERNEL))
        t_skip("the device runs no native kernels");
    cl_mem buffer = t_ints(&cl, N);
    struct native_args args = {NULL, N};
    const void *places[] = {&args.data};
    cl_event event;
    CALL(clEnqueueNativeKernel(cl.queue, native, &args, sizeof args, 1, &buffer, places, 0, NULL, &event));
    args.n = 0; /* the arguments were copied */
    CALL(clWaitForEvents(1, &event));
    t_log_show(false);
    INFO(T_U32, CL_EVENT_COMMAND_TYPE, clGetEventInfo, event);
    CALL(clEnqueueNativeKernel(cl.queue, NULL, &args, sizeof args, 0, NULL, NULL, 0, NULL, NULL));
    CALL(clEnqueueNativeKernel(cl.queue, native, NULL, sizeof args, 0, NULL, NULL, 0, NULL, NULL));
    CALL(clEnqueueNativeKernel(cl.queue, native, NULL, 0, 1, &buffer, places, 0, NULL, NULL));
    CALL(clEnqueueNativeKernel(NULL, native, &args, sizeof args, 0, NULL, NULL, 0, NULL, NULL));
    OK(clReleaseEvent(event));
    OK(clReleaseMemObject(buffer));
    t_close(&cl);
}

/* Where native kernels are not offered, the call says so. */
static void native_kernel_unsupported(void)
{
    struct t_cl cl = t_open();
    cl_device_exec_capabilities capabilities = 0;
    struct native_args args = {NULL, 0};

    OK(clGetDeviceInfo(cl.device, CL_DEVICE_EXECUTION_CAPABILITIES, sizeof capabilities, &capabilities, NULL));
    if (capabilities & CL_EXEC_NATIVE_KERNEL)
        t_skip("the device runs native kernels");
    CHECK(clEnqueueNativeKernel(cl.queue, native, &args, sizeof args, 0, NULL, NULL, 0, NULL, NULL) ==
          CL_INVALID_OPERATION);
    t_close(&cl);
}

/* Some of these abort natively when they get a good handle, and some are missing behind the loader, which jumps to
 * NULL: those are called with a NULL handle only. */
static void gl_objects(void)
{
    struct t_cl cl = t_open();
    cl_mem buffer = t_ints(&cl, N);

    MAKE(clCreateFromGLBuffer(NULL, 0, 1, &t_error));
    MAKE(clCreateFromGLRenderbuffer(NULL, 0, 1, &t_error));
    MAKE(clCreateFromGLTexture(NULL, 0, 0x0DE1, 0, 1, &t_error));
    MAKE(clCreateFromGLTexture2D(NULL, 0, 0x0DE1, 0, 1, &t_error));
    MAKE(clCreateFromGLTexture3D(NULL, 0, 0x806F, 0, 1, &t_error));
    MAKE(clCreateFromGLTexture(cl.context, 0, 0x0DE1, 0, 1, &t_error));
    MAKE(clCreateFromGLTexture2D(cl.context, 0, 0x0DE1, 0, 1, &t_error));
    MAKE(clCreateFromGLTexture3D(cl.context, 0, 0x806F, 0, 1, &t_error));
    CALL(clGetGLObjectInfo(NULL, NULL, NULL));
    CALL(clGetGLTextureInfo(NULL, CL_GL_TEXTURE_TARGET, 0, NULL, NULL));
    CALL(clEnqueueAcquireGLObjects(NULL, 0, NULL, 0, NULL, NULL));
    CALL(clEnqueueReleaseGLObjects(NULL, 0, NULL, 0, NULL, NULL));
    CALL(clEnqueueAcquireGLObjects(cl.queue, 1, &buffer, 0, NULL, NULL));
    CALL(clEnqueueReleaseGLObjects(cl.queue, 1, &buffer, 0, NULL, NULL));
    OK(clReleaseMemObject(buffer));
    t_close(&cl);
}

static void gl_context(void)
{
    struct t_cl cl = t_open();
    const cl_context_properties list[] = {CL_CONTEXT_PLATFORM, (cl_context_properties)cl.platform, 0};
    cl_device_id devices[4] = {0};
    size_t size = 77;

    CALL(clGetGLContextInfoKHR(NULL, CL_CURRENT_DEVICE_FOR_GL_CONTEXT_KHR, 0, NULL, NULL));
    CALL(clGetGLContextInfoKHR(list, CL_CURRENT_DEVICE_FOR_GL_CONTEXT_KHR, sizeof devices, devices, &size));
    t_say("%zu bytes, %s", size, t_handle(devices[0]));
    MAKE(clCreateEventFromGLsyncKHR(NULL, NULL, &t_error));
    t_close(&cl);
}

static void egl_objects(void)
{
    MAKE(clCreateFromEGLImageKHR(NULL, NULL, NULL, 0, NULL, &t_error));
    CALL(clEnqueueAcquireEGLObjectsKHR(NULL, 0, NULL, 0, NULL, NULL));
    CALL(clEnqueueReleaseEGLObjectsKHR(NULL, 0, NULL, 0, NULL, NULL));
    MAKE(clCreateEventFromEGLSyncKHR(NULL, NULL, NULL, &t_error));
}

T_MAIN(T(image_2d), T(image_3d), T(task), T(marker_barrier_wait), T(unload_compiler), T(pipe_objects), T(native_kernel),
       T(native_kernel_unsupported), T(gl_objects), T(gl_context), T(egl_objects))
