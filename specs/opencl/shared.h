/*
 * What both halves of the virtual OpenCL know: see opencl.lapis, which names this file.
 *
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
 */

enum { HOST_FLAGS = CL_MEM_USE_HOST_PTR | CL_MEM_COPY_HOST_PTR | CL_MEM_ALLOC_HOST_PTR };

static inline size_t host_size(cl_mem_flags flags, size_t size)
{
    return flags & (CL_MEM_USE_HOST_PTR | CL_MEM_COPY_HOST_PTR) && size < 1ull << 40 ? size : 0;
}

// Bytes that an image of this shape takes in the application's memory.
static inline size_t texel_size(const cl_image_format *f)
{
    size_t channels, bytes;
    switch (f->image_channel_order) {
    case CL_RG:
    case CL_RA:
    case CL_RGx:
    case CL_DEPTH_STENCIL:
        channels = 2;
        break;
    case CL_RGB:
    case CL_sRGB:
        channels = 3;
        break;
    case CL_RGBA:
    case CL_BGRA:
    case CL_ARGB:
    case CL_ABGR:
    case CL_RGBx:
    case CL_sRGBA:
    case CL_sBGRA:
    case CL_sRGBx:
        channels = 4;
        break;
    default:
        channels = 1;
    }
    switch (f->image_channel_data_type) {
    case CL_SNORM_INT8:
    case CL_UNORM_INT8:
    case CL_SIGNED_INT8:
    case CL_UNSIGNED_INT8:
        bytes = 1;
        break;
    case CL_UNORM_SHORT_565:
    case CL_UNORM_SHORT_555:
        return 2;
    case CL_UNORM_INT_101010:
    case CL_UNORM_INT_101010_2:
        return 4;
    case CL_SIGNED_INT32:
    case CL_UNSIGNED_INT32:
    case CL_FLOAT:
        bytes = 4;
        break;
    default:
        bytes = 2;
    }
    return channels * bytes;
}

static inline size_t image_size(cl_mem_flags flags, const cl_image_format *f, const cl_image_desc *d)
{
    if (!f || !d || !(flags & (CL_MEM_USE_HOST_PTR | CL_MEM_COPY_HOST_PTR)))
        return 0;
    cl_mem_object_type t = d->image_type;
    size_t rows = t == CL_MEM_OBJECT_IMAGE2D || t == CL_MEM_OBJECT_IMAGE2D_ARRAY || t == CL_MEM_OBJECT_IMAGE3D
                      ? d->image_height
                      : 1;
    size_t slices = t == CL_MEM_OBJECT_IMAGE3D                                             ? d->image_depth
                    : t == CL_MEM_OBJECT_IMAGE1D_ARRAY || t == CL_MEM_OBJECT_IMAGE2D_ARRAY ? d->image_array_size
                                                                                           : 1;
    if (hira_too_large(d->image_width) || hira_too_large(rows) || hira_too_large(slices) ||
        hira_too_large(d->image_row_pitch) || hira_too_large(d->image_slice_pitch))
        return SIZE_MAX;
    unsigned __int128 row = d->image_row_pitch ? d->image_row_pitch : d->image_width * texel_size(f);
    unsigned __int128 size = (d->image_slice_pitch ? d->image_slice_pitch : row * rows) * slices;
    return hira_too_large(size) ? SIZE_MAX : (size_t)size;
}

static inline size_t element_size(cl_mem image)
{
    size_t size = 0;
    clGetImageInfo(image, CL_IMAGE_ELEMENT_SIZE, sizeof size, &size, NULL);
    return size;
}

enum { MAP_WRITES = CL_MAP_WRITE | CL_MAP_WRITE_INVALIDATE_REGION };

enum { ARG_BYTES, ARG_MEMORY, ARG_SAMPLER, ARG_QUEUE, ARG_UNKNOWN };
