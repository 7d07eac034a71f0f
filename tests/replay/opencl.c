/* What the OpenCL server brings for making objects anew, over the vendor's library itself: memory objects keep what
 * they hold, whatever they are and whoever may look into them.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0 */
#define CL_TARGET_OPENCL_VERSION 300
#include <CL/cl.h>

#include "replay/tables.h"
#include "tap.h"

static cl_context context;
static cl_command_queue queue;
static const struct hira_contents *contents;

/* What an object holds: images by the vendor's own calls, which know of texels; buffers by what is tested, for flags
 * may forbid those. */
static bool filled(cl_mem memory, void *data, size_t size, const size_t *region)
{
    static const size_t origin[3];
    return region ? !clEnqueueWriteImage(queue, memory, CL_TRUE, origin, region, 0, 0, data, 0, NULL, NULL)
                  : contents->restore(memory, data, size);
}

static bool holds(cl_mem memory, const void *data, size_t size, const size_t *region)
{
    static const size_t origin[3];
    void *got = calloc(1, size);
    bool read = got && (region ? !clEnqueueReadImage(queue, memory, CL_TRUE, origin, region, 0, 0, got, 0, NULL, NULL)
                               : contents->save(memory, got, size));
    bool same = read && !memcmp(got, data, size);
    free(got);
    return same;
}

/* Fills one object, saves it, restores another, and looks into that. */
static void keeps(const char *name, cl_mem from, cl_mem to, size_t size, const size_t *region)
{
    unsigned char *pattern = malloc(size), *kept = calloc(1, size);
    if (CHECK(from && to && pattern && kept && contents->size(from) == size)) {
        for (size_t i = 0; i < size; i++)
            pattern[i] = (unsigned char)(i * 7 + 1);
        CHECK(filled(from, pattern, size, region));
        CHECK(contents->save(from, kept, size));
        CHECK(!memcmp(kept, pattern, size));
        CHECK(contents->restore(to, kept, size));
        CHECK(holds(to, pattern, size, region));
    }
    free(pattern);
    free(kept);
    if (from)
        clReleaseMemObject(from);
    if (to)
        clReleaseMemObject(to);
    tap_case("%s", name);
}

static cl_mem buffer(cl_mem_flags flags, size_t size)
{
    return clCreateBuffer(context, flags, size, NULL, NULL);
}

static cl_mem image(cl_mem_object_type type, size_t width, size_t height, size_t depth, size_t layers)
{
    const cl_image_format format = {CL_RGBA, CL_UNSIGNED_INT8};
    const cl_image_desc desc = {.image_type = type,
                                .image_width = width,
                                .image_height = height,
                                .image_depth = depth,
                                .image_array_size = layers};
    return clCreateImage(context, CL_MEM_READ_WRITE, &format, &desc, NULL, NULL);
}

static void images(void)
{
    const struct {
        const char *name;
        cl_mem_object_type type;
        size_t width, height, depth, layers;
    } list[] = {
        {"an image of one dimension", CL_MEM_OBJECT_IMAGE1D, 33, 0, 0, 0},
        {"an image of two dimensions", CL_MEM_OBJECT_IMAGE2D, 33, 17, 0, 0},
        {"an image of three dimensions", CL_MEM_OBJECT_IMAGE3D, 9, 5, 3, 0},
        {"an array of rows", CL_MEM_OBJECT_IMAGE1D_ARRAY, 9, 0, 0, 4},
        {"an array of images", CL_MEM_OBJECT_IMAGE2D_ARRAY, 9, 5, 0, 4},
    };
    for (size_t i = 0; i < HIRA_ARRAY_SIZE(list); i++) {
        size_t rows = list[i].height ? list[i].height : list[i].depth || !list[i].layers ? 1 : list[i].layers;
        size_t slices = list[i].depth ? list[i].depth : list[i].layers && list[i].height ? list[i].layers : 1;
        const size_t region[3] = {list[i].width, rows, slices};
        cl_mem from = image(list[i].type, list[i].width, list[i].height, list[i].depth, list[i].layers);
        cl_mem to = image(list[i].type, list[i].width, list[i].height, list[i].depth, list[i].layers);
        if (from && to) {
            keeps(list[i].name, from, to, 4 * region[0] * region[1] * region[2], region);
            continue;
        }
        tap_skip(list[i].name, "the device has none");
    }
}

/* What the application wrote by its own calls is what is saved; parts have nothing of their own. */
static void parts(void)
{
    static unsigned char written[4096], kept[4096];
    cl_buffer_region half = {2048, 2048};
    cl_mem whole = buffer(CL_MEM_READ_WRITE, sizeof written);
    cl_mem part = whole ? clCreateSubBuffer(whole, CL_MEM_READ_WRITE, CL_BUFFER_CREATE_TYPE_REGION, &half, NULL) : NULL;
    if (CHECK(whole && part)) {
        memset(written, 0x5a, sizeof written);
        CHECK(!clEnqueueWriteBuffer(queue, part, CL_TRUE, 0, 2048, written, 0, NULL, NULL));
        CHECK(contents->size(part) == 0 && contents->size(whole) == sizeof written);
        CHECK(contents->save(whole, kept, sizeof kept));
        CHECK(!memcmp(kept + 2048, written, 2048));
        clReleaseMemObject(part);
        clReleaseMemObject(whole);
    }
    tap_case("what was written into a part is among the whole's contents, which are all there are");
}

static void flags(void)
{
    CHECK(recorded("clCreateBuffer") == HIRA_RECORDED_MADE);
    CHECK(recorded("clCreateSubBuffer") == HIRA_RECORDED_MADE);
    CHECK(recorded("clSetKernelArg") == HIRA_RECORDED_BELONGS);
    CHECK(recorded("hira_set_memory") == HIRA_RECORDED_BELONGS);
    CHECK(recorded("clBuildProgram") == HIRA_RECORDED_BELONGS);
    CHECK(recorded("hira_svm_buffer") == 0);
    CHECK(recorded("clCreateUserEvent") == 0);
    CHECK(recorded("clEnqueueNDRangeKernel") == 0);
    tap_case("the tables say which calls are recorded");
}

/* Of no kernel: what a call belongs to is known before the vendor refuses it. */
static void told(void)
{
    const uint64_t memory[] = {0, 5, 0}, info[] = {0, CL_KERNEL_EXEC_INFO_SVM_FINE_GRAIN_SYSTEM, 0, 0};
    const struct hira_belongs argument = belonging("hira_set_memory", memory, HIRA_ARRAY_SIZE(memory));
    const struct hira_belongs other = belonging("clSetKernelExecInfo", info, HIRA_ARRAY_SIZE(info));
    CHECK(!strcmp(hira_server_api.types[argument.type].name, "cl_kernel"));
    CHECK(!argument.object && argument.n_keys == 1 && argument.keys[0] == 5);
    CHECK(other.n_keys == 2 && other.keys[0] == CL_KERNEL_EXEC_INFO_SVM_FINE_GRAIN_SYSTEM && other.keys[1] == 0);
    tap_case("a call that is served tells to what it belongs, and under which keys");
}

int main(void)
{
    char error[256] = "";
    cl_platform_id platform;
    cl_device_id device;
    if (!CHECK(hira_vendor_load(error, sizeof error) == 0))
        printf("# %s\n", error);
    flags();
    contents = type_named("cl_mem")->contents;
    if (clGetPlatformIDs(1, &platform, NULL) || clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, 1, &device, NULL) ||
        !contents) {
        tap_skip("contents of memory objects", "there is no device");
        return tap_done();
    }
    context = clCreateContext(NULL, 1, &device, NULL, NULL, NULL);
    queue = clCreateCommandQueueWithProperties(context, device, NULL, NULL);
    keeps("a buffer", buffer(CL_MEM_READ_WRITE, 100003), buffer(CL_MEM_READ_WRITE, 100003), 100003, NULL);
    keeps("a buffer that the host may not touch", buffer(CL_MEM_HOST_NO_ACCESS, 4096),
          buffer(CL_MEM_HOST_NO_ACCESS, 4096), 4096, NULL);
    keeps("a buffer that kernels only read", buffer(CL_MEM_READ_ONLY, 64), buffer(CL_MEM_READ_ONLY, 64), 64, NULL);
    parts();
    images();
    told();
    clReleaseCommandQueue(queue);
    clReleaseContext(context);
    return tap_done();
}
