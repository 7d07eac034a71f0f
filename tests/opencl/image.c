/*
 * OpenCL conformance: images of every shape, transfers, maps, formats, infos; and samplers.
 * SPDX-License-Identifier: Apache-2.0
 */
#define CL_USE_DEPRECATED_OPENCL_1_1_APIS
#define CL_USE_DEPRECATED_OPENCL_1_2_APIS
#include "t.h"

static const cl_image_format rgba8 = {CL_RGBA, CL_UNSIGNED_INT8};
enum { PIXEL = 4 };

static cl_mem image_of(const struct t_cl *cl, cl_mem_flags flags, cl_mem_object_type type, size_t w, size_t h, size_t d,
                       void *host)
{
    bool array = type == CL_MEM_OBJECT_IMAGE1D_ARRAY || type == CL_MEM_OBJECT_IMAGE2D_ARRAY;
    const cl_image_desc desc = {.image_type = type,
                                .image_width = w,
                                .image_height = type == CL_MEM_OBJECT_IMAGE1D_ARRAY ? 0 : h,
                                .image_depth = array ? 0 : d,
                                .image_array_size = type == CL_MEM_OBJECT_IMAGE1D_ARRAY ? h
                                                    : array                             ? d
                                                                                        : 0};

    return GET(clCreateImage(cl->context, flags, &rgba8, &desc, host, &t_error));
}

static void pattern(unsigned char *data, size_t size, int step)
{
    for (size_t i = 0; i < size; i++)
        data[i] = (unsigned char)(i * (size_t)step + (i >> 8) + 1);
}

static void show(cl_mem image)
{
    INFO(T_U32, CL_MEM_TYPE, clGetMemObjectInfo, image);
    INFO(T_U64, CL_MEM_FLAGS, clGetMemObjectInfo, image);
    INFO(T_U64, CL_MEM_SIZE, clGetMemObjectInfo, image);
    INFO(T_HANDLE, CL_MEM_ASSOCIATED_MEMOBJECT, clGetMemObjectInfo, image);
    INFO(T_U32, CL_MEM_REFERENCE_COUNT, clGetMemObjectInfo, image);
    INFO(T_U32, CL_IMAGE_FORMAT, clGetImageInfo, image);
    INFO(T_U64, CL_IMAGE_ELEMENT_SIZE, clGetImageInfo, image);
    INFO(T_U64, CL_IMAGE_ROW_PITCH, clGetImageInfo, image);
    INFO(T_U64, CL_IMAGE_SLICE_PITCH, clGetImageInfo, image);
    INFO(T_U64, CL_IMAGE_WIDTH, clGetImageInfo, image);
    INFO(T_U64, CL_IMAGE_HEIGHT, clGetImageInfo, image);
    INFO(T_U64, CL_IMAGE_DEPTH, clGetImageInfo, image);
    INFO(T_U64, CL_IMAGE_ARRAY_SIZE, clGetImageInfo, image);
    INFO(T_HANDLE, CL_IMAGE_BUFFER, clGetImageInfo, image);
    INFO(T_U32, CL_IMAGE_NUM_MIP_LEVELS, clGetImageInfo, image);
    INFO(T_U32, CL_IMAGE_NUM_SAMPLES, clGetImageInfo, image);
}

static const struct {
    const char *name;
    cl_mem_object_type type;
    size_t w, h, d;
} shapes[] = {
    {"1D", CL_MEM_OBJECT_IMAGE1D, 32, 1, 1}, {"1D array", CL_MEM_OBJECT_IMAGE1D_ARRAY, 16, 4, 1},
    {"2D", CL_MEM_OBJECT_IMAGE2D, 16, 8, 1}, {"2D array", CL_MEM_OBJECT_IMAGE2D_ARRAY, 8, 4, 3},
    {"3D", CL_MEM_OBJECT_IMAGE3D, 8, 4, 3},
};

static void infos(void)
{
    struct t_cl cl = t_open();

    for (size_t i = 0; i < COUNT(shapes); i++) {
        t_say("-- %s", shapes[i].name);
        cl_mem image = image_of(&cl, 0, shapes[i].type, shapes[i].w, shapes[i].h, shapes[i].d, NULL);
        show(image);
        OK(clReleaseMemObject(image));
    }
    cl_mem image = image_of(&cl, 0, CL_MEM_OBJECT_IMAGE2D, 4, 4, 1, NULL);
    INFO_EDGES(CL_IMAGE_WIDTH, clGetImageInfo, image);
    CALL(clGetImageInfo(NULL, CL_IMAGE_WIDTH, 0, NULL, NULL));
    OK(clReleaseMemObject(image));
    t_close(&cl);
}

/* Each shape: written whole, read whole, then a region of it both ways with the host's own pitches. */
static void read_write(void)
{
    struct t_cl cl = t_open();
    unsigned char data[4096], back[4096];

    for (size_t i = 0; i < COUNT(shapes); i++) {
        size_t w = shapes[i].w, h = shapes[i].h, d = shapes[i].d, size = w * h * d * PIXEL;
        const size_t zero[3] = {0, 0, 0}, whole[3] = {w, h, d};
        const size_t origin[3] = {2, h > 1, d > 1}, part[3] = {5, h > 1 ? 2 : 1, d > 1 ? 2 : 1};
        cl_mem image = image_of(&cl, 0, shapes[i].type, w, h, d, NULL);

        t_say("-- %s", shapes[i].name);
        pattern(data, size, 3);
        CALL(clEnqueueWriteImage(cl.queue, image, CL_TRUE, zero, whole, 0, 0, data, 0, NULL, NULL));
        memset(back, 0, sizeof back);
        CALL(clEnqueueReadImage(cl.queue, image, CL_TRUE, zero, whole, 0, 0, back, 0, NULL, NULL));
        CHECK(memcmp(data, back, size) == 0);
        memset(back, 0xee, sizeof back);
        CALL(clEnqueueReadImage(cl.queue, image, CL_FALSE, origin, part, 40, h > 1 && d > 1 ? 160 : 0, back, 0, NULL,
                                NULL));
        OK(clFinish(cl.queue));
        t_say("region checksum %08x", t_sum(back, sizeof back));
        pattern(data, sizeof data, 11);
        CALL(clEnqueueWriteImage(cl.queue, image, CL_FALSE, origin, part, 40, h > 1 && d > 1 ? 160 : 0, data, 0, NULL,
                                 NULL));
        CALL(clEnqueueReadImage(cl.queue, image, CL_TRUE, zero, whole, 0, 0, back, 0, NULL, NULL));
        t_say("whole checksum %08x", t_sum(back, size));
        OK(clReleaseMemObject(image));
    }
    t_close(&cl);
}

static void copies(void)
{
    struct t_cl cl = t_open();
    unsigned char data[512], back[512] = {0};
    const size_t zero[3] = {0, 0, 0}, whole[3] = {16, 8, 1}, from[3] = {1, 1, 0}, to[3] = {4, 2, 0},
                 part[3] = {6, 3, 1};
    cl_mem a = image_of(&cl, 0, CL_MEM_OBJECT_IMAGE2D, 16, 8, 1, NULL);
    cl_mem b = image_of(&cl, 0, CL_MEM_OBJECT_IMAGE2D, 16, 8, 1, NULL);
    cl_mem buffer = t_ints(&cl, 128);

    pattern(data, sizeof data, 5);
    OK(clEnqueueWriteImage(cl.queue, a, CL_TRUE, zero, whole, 0, 0, data, 0, NULL, NULL));
    OK(clEnqueueWriteImage(cl.queue, b, CL_TRUE, zero, whole, 0, 0, back, 0, NULL, NULL));
    CALL(clEnqueueCopyImage(cl.queue, a, b, from, to, part, 0, NULL, NULL));
    OK(clEnqueueReadImage(cl.queue, b, CL_TRUE, zero, whole, 0, 0, back, 0, NULL, NULL));
    t_say("checksum %08x", t_sum(back, sizeof back));
    CHECK(memcmp(back + (2 * 16 + 4) * PIXEL, data + (16 + 1) * PIXEL, 6 * PIXEL) == 0);
    CALL(clEnqueueCopyImageToBuffer(cl.queue, a, buffer, from, part, 64, 0, NULL, NULL));
    t_show_ints(&cl, buffer, 128);
    CALL(clEnqueueCopyBufferToImage(cl.queue, buffer, b, 128, zero, part, 0, NULL, NULL));
    OK(clEnqueueReadImage(cl.queue, b, CL_TRUE, zero, whole, 0, 0, back, 0, NULL, NULL));
    t_say("checksum %08x", t_sum(back, sizeof back));
    OK(clReleaseMemObject(a));
    OK(clReleaseMemObject(b));
    OK(clReleaseMemObject(buffer));
    t_close(&cl);
}

static void fill(void)
{
    struct t_cl cl = t_open();
    const cl_uint colour[4] = {10, 20, 30, 40};
    const size_t zero[3] = {0, 0, 0}, origin[3] = {2, 1, 0}, part[3] = {5, 4, 1}, whole[3] = {16, 8, 1};
    unsigned char back[512] = {0};
    cl_mem image = image_of(&cl, CL_MEM_COPY_HOST_PTR, CL_MEM_OBJECT_IMAGE2D, 16, 8, 1, back);

    CALL(clEnqueueFillImage(cl.queue, image, colour, origin, part, 0, NULL, NULL));
    OK(clEnqueueReadImage(cl.queue, image, CL_TRUE, zero, whole, 0, 0, back, 0, NULL, NULL));
    t_say("checksum %08x pixel %u %u %u %u", t_sum(back, sizeof back), back[72], back[73], back[74], back[75]);
    OK(clReleaseMemObject(image));
    t_close(&cl);
}

static void fill_float(void)
{
    struct t_cl cl = t_open();
    const cl_image_format unorm = {CL_RGBA, CL_UNORM_INT8}, floats = {CL_RGBA, CL_FLOAT};
    const cl_image_desc desc = {.image_type = CL_MEM_OBJECT_IMAGE2D, .image_width = 4, .image_height = 4};
    const cl_float colour[4] = {0, 0.25f, 0.5f, 1};
    const size_t zero[3] = {0, 0, 0}, whole[3] = {4, 4, 1};
    unsigned char back[64] = {0};
    cl_float wide[64] = {0};

    cl_mem image = GET(clCreateImage(cl.context, 0, &unorm, &desc, NULL, &t_error));
    CALL(clEnqueueFillImage(cl.queue, image, colour, zero, whole, 0, NULL, NULL));
    OK(clEnqueueReadImage(cl.queue, image, CL_TRUE, zero, whole, 0, 0, back, 0, NULL, NULL));
    t_say("%u %u %u %u", back[0], back[1], back[2], back[3]);
    OK(clReleaseMemObject(image));
    image = GET(clCreateImage(cl.context, 0, &floats, &desc, NULL, &t_error));
    CALL(clEnqueueFillImage(cl.queue, image, colour, zero, whole, 0, NULL, NULL));
    OK(clEnqueueReadImage(cl.queue, image, CL_TRUE, zero, whole, 0, 0, wide, 0, NULL, NULL));
    t_say("%.2f %.2f %.2f %.2f", wide[0], wide[1], wide[2], wide[63]);
    OK(clReleaseMemObject(image));
    t_close(&cl);
}

static void map(void)
{
    struct t_cl cl = t_open();
    unsigned char data[4096];

    for (size_t i = 0; i < COUNT(shapes); i++) {
        size_t w = shapes[i].w, h = shapes[i].h, d = shapes[i].d, row = 0, slice = 0;
        const size_t zero[3] = {0, 0, 0}, whole[3] = {w, h, d};
        const size_t origin[3] = {3, h > 1, d > 1}, part[3] = {4, 1, 1};

        t_say("-- %s", shapes[i].name);
        pattern(data, sizeof data, 7);
        cl_mem image = image_of(&cl, CL_MEM_COPY_HOST_PTR, shapes[i].type, w, h, d, data);
        unsigned char *mapped = MAKE(clEnqueueMapImage(cl.queue, image, CL_TRUE, CL_MAP_READ | CL_MAP_WRITE, origin,
                                                       part, &row, &slice, 0, NULL, NULL, &t_error));
        t_say("row pitch %zu slice pitch %zu", row, slice);
        size_t index = ((origin[2] * h + origin[1]) * w + 3) * PIXEL;
        CHECK(memcmp(mapped, data + index, 4 * PIXEL) == 0);
        memset(mapped, 0x55, 4 * PIXEL);
        CALL(clEnqueueUnmapMemObject(cl.queue, image, mapped, 0, NULL, NULL));
        OK(clEnqueueReadImage(cl.queue, image, CL_TRUE, zero, whole, 0, 0, data, 0, NULL, NULL));
        t_say("checksum %08x", t_sum(data, w * h * d * PIXEL));
        OK(clReleaseMemObject(image));
    }
    t_close(&cl);
}

/* The host's memory with a row pitch of its own. */
static void use_host_ptr(void)
{
    static _Alignas(4096) unsigned char host[16 * 128];
    struct t_cl cl = t_open();
    const cl_image_desc desc = {
        .image_type = CL_MEM_OBJECT_IMAGE2D, .image_width = 16, .image_height = 16, .image_row_pitch = 128};
    const size_t zero[3] = {0, 0, 0}, whole[3] = {16, 16, 1}, one[3] = {1, 1, 0}, pixel[3] = {1, 1, 1};
    unsigned char back[16 * 64];
    size_t row = 0;

    pattern(host, sizeof host, 9);
    cl_mem image = MAKE(clCreateImage(cl.context, CL_MEM_USE_HOST_PTR, &rgba8, &desc, host, &t_error));
    INFO(T_U64, CL_IMAGE_ROW_PITCH, clGetImageInfo, image);
    CALL(clEnqueueReadImage(cl.queue, image, CL_TRUE, zero, whole, 0, 0, back, 0, NULL, NULL));
    t_say("checksum %08x", t_sum(back, sizeof back));
    unsigned char *mapped = MAKE(
        clEnqueueMapImage(cl.queue, image, CL_TRUE, CL_MAP_WRITE, one, pixel, &row, NULL, 0, NULL, NULL, &t_error));
    CHECK(mapped == host + 128 + PIXEL && row == 128);
    memset(mapped, 0, PIXEL);
    OK(clEnqueueUnmapMemObject(cl.queue, image, mapped, 0, NULL, NULL));
    OK(clFinish(cl.queue));
    t_say("host checksum %08x", t_sum(host, sizeof host));
    OK(clReleaseMemObject(image));
    t_close(&cl);
}

static void from_buffer(void)
{
    struct t_cl cl = t_open();
    cl_mem buffer = t_ints(&cl, 64);
    const cl_image_desc desc = {.image_type = CL_MEM_OBJECT_IMAGE1D_BUFFER, .image_width = 64, .buffer = buffer};
    const cl_image_desc two = {.image_type = CL_MEM_OBJECT_IMAGE2D,
                               .image_width = 8,
                               .image_height = 8,
                               .image_row_pitch = 32,
                               .buffer = buffer};
    const size_t zero[3] = {0, 0, 0}, whole[3] = {64, 1, 1};
    unsigned char back[256];

    NAME(buffer);
    cl_mem image = MAKE(clCreateImage(cl.context, 0, &rgba8, &desc, NULL, &t_error));
    if (image) {
        show(image);
        INFO(T_U32, CL_MEM_REFERENCE_COUNT, clGetMemObjectInfo, buffer);
        CALL(clEnqueueReadImage(cl.queue, image, CL_TRUE, zero, whole, 0, 0, back, 0, NULL, NULL));
        t_say("checksum %08x", t_sum(back, sizeof back));
        OK(clReleaseMemObject(image));
    }
    image = MAKE(clCreateImage(cl.context, 0, &rgba8, &two, NULL, &t_error));
    if (image) {
        show(image);
        OK(clReleaseMemObject(image));
    }
    OK(clReleaseMemObject(buffer));
    t_close(&cl);
}

static void with_properties(void)
{
    const cl_mem_properties empty[] = {0}, unknown[] = {0xBEEF, 1, 0};
    const cl_image_desc desc = {.image_type = CL_MEM_OBJECT_IMAGE2D, .image_width = 4, .image_height = 4};
    struct t_cl cl = t_open();

    cl_mem image = MAKE(clCreateImageWithProperties(cl.context, NULL, 0, &rgba8, &desc, NULL, &t_error));
    INFO(T_U64, CL_MEM_PROPERTIES, clGetMemObjectInfo, image);
    OK(clReleaseMemObject(image));
    image = MAKE(clCreateImageWithProperties(cl.context, empty, 0, &rgba8, &desc, NULL, &t_error));
    if (image) {
        INFO(T_U64, CL_MEM_PROPERTIES, clGetMemObjectInfo, image);
        OK(clReleaseMemObject(image));
    }
    MAKE(clCreateImageWithProperties(cl.context, unknown, 0, &rgba8, &desc, NULL, &t_error));
    t_close(&cl);
}

static void create_errors(void)
{
    struct t_cl cl = t_open();
    const cl_image_format no_order = {0xBEEF, CL_FLOAT}, no_type = {CL_RGBA, 0xBEEF}, odd = {CL_RGB, CL_UNSIGNED_INT8};
    const cl_image_desc good = {.image_type = CL_MEM_OBJECT_IMAGE2D, .image_width = 4, .image_height = 4};
    const cl_image_desc flat = {.image_type = CL_MEM_OBJECT_IMAGE2D, .image_width = 0, .image_height = 4};
    const cl_image_desc huge = {.image_type = CL_MEM_OBJECT_IMAGE2D, .image_width = 1 << 20, .image_height = 4};
    const cl_image_desc shapeless = {.image_type = 0xBEEF, .image_width = 4, .image_height = 4};
    const cl_image_desc pitched = {
        .image_type = CL_MEM_OBJECT_IMAGE2D, .image_width = 4, .image_height = 4, .image_row_pitch = 3};

    MAKE(clCreateImage(NULL, 0, &rgba8, &good, NULL, &t_error));
    MAKE(clCreateImage(cl.context, 0, NULL, &good, NULL, &t_error));
    MAKE(clCreateImage(cl.context, 0, &rgba8, NULL, NULL, &t_error));
    MAKE(clCreateImage(cl.context, 0, &no_order, &good, NULL, &t_error));
    MAKE(clCreateImage(cl.context, 0, &no_type, &good, NULL, &t_error));
    MAKE(clCreateImage(cl.context, 0, &odd, &good, NULL, &t_error));
    MAKE(clCreateImage(cl.context, 0, &rgba8, &flat, NULL, &t_error));
    MAKE(clCreateImage(cl.context, 0, &rgba8, &huge, NULL, &t_error));
    MAKE(clCreateImage(cl.context, 0, &rgba8, &shapeless, NULL, &t_error));
    MAKE(clCreateImage(cl.context, 0, &rgba8, &pitched, NULL, &t_error));
    MAKE(clCreateImage(cl.context, CL_MEM_COPY_HOST_PTR, &rgba8, &good, NULL, &t_error));
    MAKE(clCreateImage(cl.context, CL_MEM_READ_ONLY | CL_MEM_WRITE_ONLY, &rgba8, &good, NULL, &t_error));
    t_close(&cl);
}

static void transfer_errors(void)
{
    struct t_cl cl = t_open();
    cl_mem image = image_of(&cl, 0, CL_MEM_OBJECT_IMAGE2D, 8, 8, 1, NULL), buffer = t_ints(&cl, 64);
    const size_t zero[3] = {0, 0, 0}, whole[3] = {8, 8, 1}, large[3] = {9, 8, 1}, flat[3] = {0, 8, 1},
                 deep[3] = {8, 8, 2};
    unsigned char data[256] = {0};
    size_t row = 0;

    CALL(clEnqueueReadImage(NULL, image, CL_TRUE, zero, whole, 0, 0, data, 0, NULL, NULL));
    CALL(clEnqueueReadImage(cl.queue, NULL, CL_TRUE, zero, whole, 0, 0, data, 0, NULL, NULL));
    CALL(clEnqueueReadImage(cl.queue, image, CL_TRUE, zero, large, 0, 0, data, 0, NULL, NULL));
    CALL(clEnqueueReadImage(cl.queue, image, CL_TRUE, zero, flat, 0, 0, data, 0, NULL, NULL));
    CALL(clEnqueueReadImage(cl.queue, image, CL_TRUE, zero, deep, 0, 0, data, 0, NULL, NULL));
    CALL(clEnqueueReadImage(cl.queue, image, CL_TRUE, whole, whole, 0, 0, data, 0, NULL, NULL));
    CALL(clEnqueueReadImage(cl.queue, image, CL_TRUE, zero, whole, 31, 0, data, 0, NULL, NULL));
    CALL(clEnqueueReadImage(cl.queue, image, CL_TRUE, zero, whole, 0, 0, NULL, 0, NULL, NULL));
    CALL(clEnqueueReadImage(cl.queue, buffer, CL_TRUE, zero, whole, 0, 0, data, 0, NULL, NULL));
    CALL(clEnqueueWriteImage(cl.queue, image, CL_TRUE, zero, large, 0, 0, data, 0, NULL, NULL));
    CALL(clEnqueueWriteImage(cl.queue, image, CL_TRUE, zero, whole, 31, 0, data, 0, NULL, NULL));
    CALL(clEnqueueCopyImage(cl.queue, image, image, zero, zero, whole, 0, NULL, NULL));
    CALL(clEnqueueCopyImage(cl.queue, image, buffer, zero, zero, whole, 0, NULL, NULL));
    CALL(clEnqueueCopyImageToBuffer(cl.queue, image, buffer, zero, whole, 4, 0, NULL, NULL));
    CALL(clEnqueueCopyBufferToImage(cl.queue, buffer, image, 4, zero, whole, 0, NULL, NULL));
    CALL(clEnqueueFillImage(cl.queue, image, NULL, zero, whole, 0, NULL, NULL));
    CALL(clEnqueueFillImage(cl.queue, image, data, zero, large, 0, NULL, NULL));
    MAKE(clEnqueueMapImage(cl.queue, image, CL_TRUE, CL_MAP_READ, zero, whole, NULL, NULL, 0, NULL, NULL, &t_error));
    MAKE(clEnqueueMapImage(cl.queue, image, CL_TRUE, CL_MAP_READ, zero, large, &row, NULL, 0, NULL, NULL, &t_error));
    OK(clReleaseMemObject(image));
    OK(clReleaseMemObject(buffer));
    t_close(&cl);
}

static void formats(void)
{
    static const cl_mem_object_type types[] = {CL_MEM_OBJECT_IMAGE1D,       CL_MEM_OBJECT_IMAGE1D_BUFFER,
                                               CL_MEM_OBJECT_IMAGE1D_ARRAY, CL_MEM_OBJECT_IMAGE2D,
                                               CL_MEM_OBJECT_IMAGE2D_ARRAY, CL_MEM_OBJECT_IMAGE3D};
    static const cl_mem_flags flags[] = {CL_MEM_READ_ONLY, CL_MEM_WRITE_ONLY, CL_MEM_READ_WRITE,
                                         CL_MEM_KERNEL_READ_AND_WRITE};
    struct t_cl cl = t_open();
    cl_image_format list[256];
    cl_uint n = 0;

    for (size_t i = 0; i < COUNT(types); i++)
        for (size_t j = 0; j < COUNT(flags); j++) {
            cl_int error = clGetSupportedImageFormats(cl.context, flags[j], types[i], 256, list, &n);
            t_say("type %x flags %x -> %s, %u formats, checksum %08x", types[i], (unsigned)flags[j],
                  t_error_name(error), n, t_sum(list, n * sizeof list[0]));
        }
    CALL(clGetSupportedImageFormats(cl.context, CL_MEM_READ_ONLY, CL_MEM_OBJECT_IMAGE2D, 0, NULL, &n));
    CALL(clGetSupportedImageFormats(cl.context, CL_MEM_READ_ONLY, CL_MEM_OBJECT_IMAGE2D, 3, list, NULL));
    for (int i = 0; i < 3; i++)
        t_say("%x %x", list[i].image_channel_order, list[i].image_channel_data_type);
    CALL(clGetSupportedImageFormats(cl.context, CL_MEM_READ_ONLY, CL_MEM_OBJECT_IMAGE2D, 0, list, NULL));
    CALL(clGetSupportedImageFormats(cl.context, CL_MEM_READ_ONLY, 0xBEEF, 0, NULL, &n));
    CALL(clGetSupportedImageFormats(NULL, CL_MEM_READ_ONLY, CL_MEM_OBJECT_IMAGE2D, 0, NULL, &n));
    t_close(&cl);
}

static void show_sampler(cl_sampler sampler)
{
    INFO(T_U32, CL_SAMPLER_REFERENCE_COUNT, clGetSamplerInfo, sampler);
    INFO(T_HANDLE, CL_SAMPLER_CONTEXT, clGetSamplerInfo, sampler);
    INFO(T_U32, CL_SAMPLER_NORMALIZED_COORDS, clGetSamplerInfo, sampler);
    INFO(T_U32, CL_SAMPLER_ADDRESSING_MODE, clGetSamplerInfo, sampler);
    INFO(T_U32, CL_SAMPLER_FILTER_MODE, clGetSamplerInfo, sampler);
    INFO(T_U64, CL_SAMPLER_PROPERTIES, clGetSamplerInfo, sampler);
}

static void samplers(void)
{
    static const cl_addressing_mode modes[] = {CL_ADDRESS_NONE, CL_ADDRESS_CLAMP_TO_EDGE, CL_ADDRESS_CLAMP,
                                               CL_ADDRESS_REPEAT, CL_ADDRESS_MIRRORED_REPEAT};
    struct t_cl cl = t_open();

    for (size_t i = 0; i < COUNT(modes); i++) {
        cl_sampler sampler = MAKE(clCreateSampler(cl.context, CL_TRUE, modes[i], CL_FILTER_LINEAR, &t_error));
        show_sampler(sampler);
        OK(clReleaseSampler(sampler));
    }
    cl_sampler sampler = GET(clCreateSampler(cl.context, CL_FALSE, CL_ADDRESS_CLAMP, CL_FILTER_NEAREST, &t_error));
    INFO_EDGES(CL_SAMPLER_FILTER_MODE, clGetSamplerInfo, sampler);
    CALL(clRetainSampler(sampler));
    INFO(T_U32, CL_SAMPLER_REFERENCE_COUNT, clGetSamplerInfo, sampler);
    CALL(clReleaseSampler(sampler));
    CALL(clReleaseSampler(sampler));
    MAKE(clCreateSampler(NULL, CL_FALSE, CL_ADDRESS_CLAMP, CL_FILTER_NEAREST, &t_error));
    MAKE(clCreateSampler(cl.context, CL_FALSE, 0xBEEF, CL_FILTER_NEAREST, &t_error));
    MAKE(clCreateSampler(cl.context, CL_FALSE, CL_ADDRESS_CLAMP, 0xBEEF, &t_error));
    MAKE(clCreateSampler(cl.context, CL_FALSE, CL_ADDRESS_REPEAT, CL_FILTER_NEAREST, &t_error));
    MAKE(clCreateSampler(cl.context, 2, CL_ADDRESS_CLAMP, CL_FILTER_NEAREST, &t_error));
    CALL(clRetainSampler(NULL));
    CALL(clReleaseSampler(NULL));
    CALL(clGetSamplerInfo(NULL, CL_SAMPLER_FILTER_MODE, 0, NULL, NULL));
    t_close(&cl);
}

static void samplers_with_properties(void)
{
    const cl_sampler_properties full[] = {CL_SAMPLER_NORMALIZED_COORDS,
                                          CL_TRUE,
                                          CL_SAMPLER_ADDRESSING_MODE,
                                          CL_ADDRESS_REPEAT,
                                          CL_SAMPLER_FILTER_MODE,
                                          CL_FILTER_LINEAR,
                                          0};
    const cl_sampler_properties partly[] = {CL_SAMPLER_FILTER_MODE, CL_FILTER_LINEAR, 0};
    const cl_sampler_properties empty[] = {0}, unknown[] = {0xBEEF, 1, 0};
    const cl_sampler_properties twice[] = {CL_SAMPLER_FILTER_MODE, CL_FILTER_LINEAR, CL_SAMPLER_FILTER_MODE,
                                           CL_FILTER_NEAREST, 0};
    const cl_sampler_properties *lists[] = {NULL, full, partly, empty, unknown, twice};
    struct t_cl cl = t_open();

    for (size_t i = 0; i < COUNT(lists); i++) {
        cl_sampler sampler = MAKE(clCreateSamplerWithProperties(cl.context, lists[i], &t_error));
        if (sampler) {
            show_sampler(sampler);
            OK(clReleaseSampler(sampler));
        }
    }
    t_close(&cl);
}

/* What the application does not own is not read: not where it cannot be, and not for a call that is refused. */
static void edges_of_creation(void)
{
    struct t_cl cl = t_open();
    size_t most = 0;
    char *bytes = t_edge(256);
    const cl_image_format no_order = {0xBEEF, CL_FLOAT}, no_type = {CL_RGBA, 0xBEEF};
    const cl_mem_flags both = CL_MEM_COPY_HOST_PTR | CL_MEM_USE_HOST_PTR;
    cl_image_desc fits = {.image_type = CL_MEM_OBJECT_IMAGE2D, .image_width = 8, .image_height = 8}, desc;

    OK(clGetDeviceInfo(cl.device, CL_DEVICE_IMAGE2D_MAX_WIDTH, sizeof most, &most, NULL));
    cl_mem image = MAKE(clCreateImage(cl.context, CL_MEM_COPY_HOST_PTR, &rgba8, &fits, bytes, &t_error));
    OK(clReleaseMemObject(image));
    image = MAKE(clCreateImage(cl.context, CL_MEM_USE_HOST_PTR, &rgba8, &fits, bytes, &t_error));
    OK(clReleaseMemObject(image));
    for (cl_mem_flags flags = CL_MEM_USE_HOST_PTR; flags <= CL_MEM_COPY_HOST_PTR; flags += CL_MEM_COPY_HOST_PTR - CL_MEM_USE_HOST_PTR) {
        desc = fits;
        desc.image_width = most + 1;
        MAKE(clCreateImage(cl.context, flags, &rgba8, &desc, bytes, &t_error));
        desc.image_width = SIZE_MAX;
        MAKE(clCreateImage(cl.context, flags, &rgba8, &desc, bytes, &t_error));
        desc = fits;
        desc.image_height = 0;
        MAKE(clCreateImage(cl.context, flags, &rgba8, &desc, bytes, &t_error));
        desc.image_height = most + 1;
        MAKE(clCreateImage(cl.context, flags, &rgba8, &desc, bytes, &t_error));
        desc = fits;
        desc.image_row_pitch = 31;
        MAKE(clCreateImage(cl.context, flags, &rgba8, &desc, bytes, &t_error));
        desc.image_row_pitch = 4098;
        MAKE(clCreateImage(cl.context, flags, &rgba8, &desc, bytes, &t_error));
        desc = fits;
        desc.image_type = CL_MEM_OBJECT_IMAGE3D;
        desc.image_depth = 2;
        desc.image_slice_pitch = 40;
        MAKE(clCreateImage(cl.context, flags, &rgba8, &desc, bytes, &t_error));
        desc.image_type = CL_MEM_OBJECT_IMAGE2D_ARRAY;
        desc.image_slice_pitch = 0;
        desc.image_array_size = 1u << 30;
        MAKE(clCreateImage(cl.context, flags, &rgba8, &desc, bytes, &t_error));
        desc.image_type = 0xBEEF;
        MAKE(clCreateImage(cl.context, flags, &rgba8, &desc, bytes, &t_error));
        desc = fits;
        desc.image_width = desc.image_height = 64;
        MAKE(clCreateImage(cl.context, flags, &no_order, &desc, bytes, &t_error));
        MAKE(clCreateImage(cl.context, flags, &no_type, &desc, bytes, &t_error));
        MAKE(clCreateImage(cl.context, flags, NULL, &desc, bytes, &t_error));
        MAKE(clCreateImage(cl.context, flags, &rgba8, NULL, bytes, &t_error));
        MAKE(clCreateImage(NULL, flags, &rgba8, &desc, bytes, &t_error));
        MAKE(clCreateImage2D(cl.context, flags, &rgba8, most + 1, 64, 0, bytes, &t_error));
        MAKE(clCreateImageWithProperties(cl.context, NULL, flags, &no_type, &desc, bytes, &t_error));
    }
    desc = fits;
    desc.image_height = 64;
    MAKE(clCreateImage(cl.context, both, &rgba8, &desc, bytes, &t_error));
    MAKE(clCreateImage(cl.context, CL_MEM_ALLOC_HOST_PTR, &rgba8, &desc, bytes, &t_error));
    t_close(&cl);
}

static void edges_of_writes(void)
{
    struct t_cl cl = t_open();
    char *bytes = t_edge(256), *rows = t_every_second_page(8);
    const size_t zero[3] = {0}, one[3] = {1, 0, 0}, whole[3] = {8, 8, 1}, wide[3] = {9, 8, 1}, tall[3] = {8, 9, 1}, deep[3] = {8, 8, 2};
    const size_t none[3] = {8, 0, 1}, huge[3] = {SIZE_MAX, 1, 1}, large[3] = {(size_t)1 << 36, 1, 1};
    cl_mem image = image_of(&cl, 0, CL_MEM_OBJECT_IMAGE2D, 8, 8, 1, NULL), buffer = t_ints(&cl, 64);

    for (cl_bool blocking = 0; blocking < 2; blocking++) {
        CALL(clEnqueueWriteImage(cl.queue, image, blocking, zero, whole, 0, 0, bytes, 0, NULL, NULL));
        CALL(clEnqueueWriteImage(cl.queue, image, blocking, zero, whole, 8192, 0, rows, 0, NULL, NULL));
        CALL(clEnqueueReadImage(cl.queue, image, blocking, zero, whole, 8192, 0, rows, 0, NULL, NULL));
        OK(clFinish(cl.queue));
        t_say("read %08x", t_sum(rows, 32) ^ t_sum(rows + 7 * 8192, 32));
        CALL(clEnqueueWriteImage(cl.queue, image, blocking, one, whole, 0, 0, bytes, 0, NULL, NULL));
        CALL(clEnqueueWriteImage(cl.queue, image, blocking, zero, wide, 0, 0, bytes, 0, NULL, NULL));
        CALL(clEnqueueWriteImage(cl.queue, image, blocking, zero, tall, 0, 0, bytes, 0, NULL, NULL));
        CALL(clEnqueueWriteImage(cl.queue, image, blocking, zero, deep, 0, 0, bytes, 0, NULL, NULL));
        CALL(clEnqueueWriteImage(cl.queue, image, blocking, zero, none, 0, 0, bytes, 0, NULL, NULL));
        CALL(clEnqueueWriteImage(cl.queue, image, blocking, zero, huge, 0, 0, bytes, 0, NULL, NULL));
        CALL(clEnqueueWriteImage(cl.queue, image, blocking, zero, large, 0, 0, bytes, 0, NULL, NULL));
        CALL(clEnqueueReadImage(cl.queue, image, blocking, zero, large, 0, 0, bytes, 0, NULL, NULL));
        CALL(clEnqueueWriteImage(cl.queue, image, blocking, zero, whole, 31, 0, bytes, 0, NULL, NULL));
        CALL(clEnqueueWriteImage(cl.queue, buffer, blocking, zero, whole, 0, 0, bytes + 8, 0, NULL, NULL));
        CALL(clEnqueueWriteImage(cl.queue, NULL, blocking, zero, whole, 0, 0, bytes + 8, 0, NULL, NULL));
        CALL(clEnqueueWriteImage(NULL, image, blocking, zero, whole, 0, 0, bytes + 8, 0, NULL, NULL));
        OK(clFinish(cl.queue));
    }
    for (size_t i = 0; i < COUNT(shapes); i++) {
        bool array = shapes[i].type == CL_MEM_OBJECT_IMAGE1D_ARRAY || shapes[i].type == CL_MEM_OBJECT_IMAGE2D_ARRAY;
        cl_mem shape = image_of(&cl, 0, shapes[i].type, shapes[i].w, shapes[i].h, shapes[i].d, NULL);
        const size_t all[3] = {shapes[i].w, shapes[i].h, shapes[i].d}, more[3] = {shapes[i].w, shapes[i].h + 1, shapes[i].d};
        const size_t deeper[3] = {shapes[i].w, shapes[i].h, shapes[i].d + 1};
        char *data = t_edge(PIXEL * shapes[i].w * shapes[i].h * shapes[i].d);

        t_say("%s", shapes[i].name);
        CALL(clEnqueueWriteImage(cl.queue, shape, CL_TRUE, zero, all, 0, 0, data, 0, NULL, NULL));
        if (!array) { /* of those PoCL looks at the wrong extents */
            CALL(clEnqueueWriteImage(cl.queue, shape, CL_TRUE, zero, more, 0, 0, data, 0, NULL, NULL));
            CALL(clEnqueueWriteImage(cl.queue, shape, CL_TRUE, zero, deeper, 0, 0, data, 0, NULL, NULL));
        }
        OK(clReleaseMemObject(shape));
    }
    OK(clReleaseMemObject(image));
    OK(clReleaseMemObject(buffer));
    t_close(&cl);
}

/* Where an image has slices their pitch must be asked for. */
static void map_without_pitches(void)
{
    struct t_cl cl = t_open();
    for (size_t i = 0; i < COUNT(shapes); i++) {
        const size_t origin[3] = {0, 0, 0}, part[3] = {4, 1, 1};
        size_t row = 0, slice = 0;
        t_say("-- %s", shapes[i].name);
        cl_mem image = image_of(&cl, 0, shapes[i].type, shapes[i].w, shapes[i].h, shapes[i].d, NULL);
        void *mapped = MAKE(clEnqueueMapImage(cl.queue, image, CL_TRUE, CL_MAP_READ, origin, part, &row, NULL, 0, NULL, NULL, &t_error));
        if (mapped)
            OK(clEnqueueUnmapMemObject(cl.queue, image, mapped, 0, NULL, NULL));
        MAKE(clEnqueueMapImage(cl.queue, image, CL_TRUE, CL_MAP_READ, origin, part, NULL, &slice, 0, NULL, NULL, &t_error));
        MAKE(clEnqueueMapImage(NULL, image, CL_TRUE, CL_MAP_READ, origin, part, NULL, &slice, 0, NULL, NULL, &t_error));
        MAKE(clEnqueueMapImage(cl.queue, NULL, CL_TRUE, CL_MAP_READ, origin, part, NULL, &slice, 0, NULL, NULL, &t_error));
        OK(clFinish(cl.queue));
        OK(clReleaseMemObject(image));
    }
    t_close(&cl);
}

T_MAIN(T(infos), T(read_write), T(copies), T(fill), T(fill_float), T(map), T(map_without_pitches), T(use_host_ptr), T(from_buffer),
       T(with_properties), T(create_errors), T(transfer_errors), T(formats), T(samplers), T(samplers_with_properties),
       T(edges_of_creation), T(edges_of_writes))
