/*
 * OpenCL conformance: contexts, their properties, callbacks and errors.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "t.h"

static void CL_CALLBACK on_error(const char *text, const void *data, size_t size, void *user)
{
    (void)text, (void)data, (void)size;
    t_log("error callback, user data %s", (const char *)user);
}

static void CL_CALLBACK on_destroy(cl_context context, void *user)
{
    (void)context;
    t_log("destroyed %s", (const char *)user);
}

static void show(cl_context context)
{
    INFO(T_U32, CL_CONTEXT_REFERENCE_COUNT, clGetContextInfo, context);
    INFO(T_U32, CL_CONTEXT_NUM_DEVICES, clGetContextInfo, context);
    INFO(T_HANDLE, CL_CONTEXT_DEVICES, clGetContextInfo, context);
    INFO(T_SIZE, CL_CONTEXT_PROPERTIES, clGetContextInfo, context);
}

static void create(void)
{
    struct t_cl cl = t_open();
    cl_context context = MAKE(clCreateContext(NULL, 1, &cl.device, NULL, NULL, &t_error));

    show(context);
    INFO_EDGES(CL_CONTEXT_DEVICES, clGetContextInfo, context);
    CALL(clRetainContext(context));
    INFO(T_U32, CL_CONTEXT_REFERENCE_COUNT, clGetContextInfo, context);
    CALL(clReleaseContext(context));
    CALL(clReleaseContext(context));
    context = clCreateContext(NULL, 1, &cl.device, NULL, NULL, NULL); /* no error wanted */
    CHECK(context);
    CALL(clReleaseContext(context));
    t_close(&cl);
}

static void properties(void)
{
    struct t_cl cl = t_open();
    cl_context_properties list[] = {CL_CONTEXT_PLATFORM, (cl_context_properties)cl.platform, 0};
    cl_context_properties sync[] = {CL_CONTEXT_PLATFORM, (cl_context_properties)cl.platform,
                                    CL_CONTEXT_INTEROP_USER_SYNC, CL_TRUE, 0};
    cl_context_properties empty[] = {0};
    cl_context_properties back[8] = {0};
    size_t size = 0;

    cl_context context = MAKE(clCreateContext(list, 1, &cl.device, NULL, NULL, &t_error));
    show(context);
    CALL(clGetContextInfo(context, CL_CONTEXT_PROPERTIES, sizeof back, back, &size));
    t_say("same list %d, %zu bytes", memcmp(list, back, sizeof list) == 0, size);
    CALL(clReleaseContext(context));
    context = MAKE(clCreateContext(sync, 1, &cl.device, NULL, NULL, &t_error));
    if (context) {
        CALL(clGetContextInfo(context, CL_CONTEXT_PROPERTIES, sizeof back, back, &size));
        t_say("same list %d, %zu bytes", memcmp(sync, back, sizeof sync) == 0, size);
        CALL(clReleaseContext(context));
    }
    context = MAKE(clCreateContext(empty, 1, &cl.device, NULL, NULL, &t_error));
    if (context) {
        show(context);
        CALL(clReleaseContext(context));
    }
    t_close(&cl);
}

static void property_errors(void)
{
    struct t_cl cl = t_open();
    cl_context_properties unknown[] = {0xBEEF, 1, 0};
    cl_context_properties twice[] = {CL_CONTEXT_PLATFORM, (cl_context_properties)cl.platform, CL_CONTEXT_PLATFORM,
                                     (cl_context_properties)cl.platform, 0};
    cl_context_properties null[] = {CL_CONTEXT_PLATFORM, 0, 0};
    cl_context context;

    context = MAKE(clCreateContext(unknown, 1, &cl.device, NULL, NULL, &t_error));
    CHECK(!context || clReleaseContext(context) == CL_SUCCESS);
    context = MAKE(clCreateContext(twice, 1, &cl.device, NULL, NULL, &t_error));
    CHECK(!context || clReleaseContext(context) == CL_SUCCESS);
    context = MAKE(clCreateContext(null, 1, &cl.device, NULL, NULL, &t_error));
    CHECK(!context || clReleaseContext(context) == CL_SUCCESS);
    t_close(&cl);
}

static void errors(void)
{
    struct t_cl cl = t_open();
    cl_device_id twice[] = {cl.device, cl.device};
    int user = 0;

    MAKE(clCreateContext(NULL, 0, &cl.device, NULL, NULL, &t_error));
    MAKE(clCreateContext(NULL, 1, NULL, NULL, NULL, &t_error));
    MAKE(clCreateContext(NULL, 0, NULL, NULL, NULL, &t_error));
    MAKE(clCreateContext(NULL, 1, &cl.device, NULL, &user, &t_error));
    cl_context context = MAKE(clCreateContext(NULL, 2, twice, NULL, NULL, &t_error));
    if (context) {
        show(context);
        CALL(clReleaseContext(context));
    }
    CALL(clRetainContext(NULL));
    CALL(clReleaseContext(NULL));
    CALL(clGetContextInfo(NULL, CL_CONTEXT_DEVICES, 0, NULL, NULL));
    t_close(&cl);
}

static void from_type(void)
{
    struct t_cl cl = t_open();
    cl_context_properties list[] = {CL_CONTEXT_PLATFORM, (cl_context_properties)cl.platform, 0};
    cl_context context = MAKE(clCreateContextFromType(list, CL_DEVICE_TYPE_ALL, NULL, NULL, &t_error));

    show(context);
    CALL(clReleaseContext(context));
    context = MAKE(clCreateContextFromType(list, CL_DEVICE_TYPE_CPU, on_error, "user", &t_error));
    show(context);
    CALL(clReleaseContext(context));
    context = MAKE(clCreateContextFromType(NULL, CL_DEVICE_TYPE_DEFAULT, NULL, NULL, &t_error));
    if (context) {
        show(context);
        CALL(clReleaseContext(context));
    }
    /* Only the error: the native library returns a handle with it, of an object that is no more. */
    CALL((clCreateContextFromType(list, CL_DEVICE_TYPE_GPU, NULL, NULL, &t_error), t_error));
    CALL((clCreateContextFromType(list, CL_DEVICE_TYPE_ACCELERATOR, NULL, NULL, &t_error), t_error));
    CALL((clCreateContextFromType(list, 0, NULL, NULL, &t_error), t_error));
    t_close(&cl);
}

/* The native library may never call it; but a context with a callback is made and works. */
static void error_callback(void)
{
    struct t_cl cl = t_open();
    cl_context context = MAKE(clCreateContext(NULL, 1, &cl.device, on_error, "user", &t_error));

    show(context);
    MAKE(clCreateBuffer(context, 0, 0, NULL, &t_error));
    CALL(clReleaseContext(context));
    t_log_show(false);
    t_close(&cl);
}

/* Destructor callbacks run in the reverse order of their registration, when the last reference goes. */
static void destructor_callbacks(void)
{
    struct t_cl cl = t_open();
    cl_context context = GET(clCreateContext(NULL, 1, &cl.device, NULL, NULL, &t_error));

    CALL(clSetContextDestructorCallback(context, on_destroy, "first"));
    CALL(clSetContextDestructorCallback(context, on_destroy, "second"));
    CALL(clSetContextDestructorCallback(context, on_destroy, "third"));
    CALL(clSetContextDestructorCallback(context, NULL, NULL));
    CALL(clSetContextDestructorCallback(NULL, on_destroy, NULL));
    cl_mem buffer = GET(clCreateBuffer(context, 0, 16, NULL, &t_error));
    CALL(clReleaseContext(context));
    t_log_show(false);
    t_say("the buffer kept the context");
    CALL(clReleaseMemObject(buffer));
    t_log_wait(3);
    t_log_show(false);
    t_close(&cl);
}

static void many(void)
{
    struct t_cl cl = t_open();
    cl_context contexts[16];

    for (size_t i = 0; i < COUNT(contexts); i++)
        contexts[i] = GET(clCreateContext(NULL, 1, &cl.device, NULL, NULL, &t_error));
    for (size_t i = 0; i < COUNT(contexts); i++)
        for (size_t j = 0; j < i; j++)
            CHECK(contexts[i] != contexts[j]);
    for (size_t i = 0; i < COUNT(contexts); i++)
        OK(clReleaseContext(contexts[i]));
    t_say("%zu contexts", COUNT(contexts));
    t_close(&cl);
}

T_MAIN(T(create), T(properties), T(property_errors), T(errors), T(from_type), T(error_callback),
       T(destructor_callbacks), T(many))
