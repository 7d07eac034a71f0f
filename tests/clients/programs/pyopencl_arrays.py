#!/usr/bin/python3
"""PyOpenCL client: prints checksums of what kernels, transfers, images and queries return.

SPDX-License-Identifier: Apache-2.0

Each section prints one or a few lines that depend only on what OpenCL returned. Floating-point results are printed as a
digest of their bytes: on one device the same kernel gives the same bytes.
"""

import hashlib
import sys

import numpy as np
import pyopencl as cl
import pyopencl.array
import pyopencl.clmath
import pyopencl.reduction
import pyopencl.scan

SIZE = 1 << 20

KERNELS = """
__kernel void saxpy(__global float *y, __global const float *x, float a)
{
    size_t i = get_global_id(0);
    y[i] = a * x[i] + y[i];
}

__kernel void add_local(__global int *out, __local int *scratch, int value)
{
    size_t l = get_local_id(0), n = get_local_size(0);
    scratch[l] = (int)get_global_id(0) + value;
    barrier(CLK_LOCAL_MEM_FENCE);
    out[get_global_id(0)] = scratch[n - 1 - l];
}

__kernel void blur(read_only image2d_t in, sampler_t sampler, write_only image2d_t out)
{
    int2 at = (int2)(get_global_id(0), get_global_id(1));
    float4 sum = 0;
    for (int dy = -1; dy <= 1; dy++)
        for (int dx = -1; dx <= 1; dx++)
            sum += read_imagef(in, sampler, at + (int2)(dx, dy));
    write_imagef(out, at, sum / 9);
}

__kernel void tell(int n)
{
    printf("work item %d of %d\\n", (int)get_global_id(0), n);
}
"""


def digest(array):
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()[:16]


def say(section, *values):
    print(section, *values, flush=True)


def array_maths(queue):
    x = cl.array.arange(queue, SIZE, dtype=np.float32)
    y = (x * 3 + 1) / (x + 2)
    say("array", digest(y.get()), digest(cl.clmath.sqrt(y).get()), digest((x > y).get()))
    ints = cl.array.arange(queue, SIZE, dtype=np.int64)
    say("integers", cl.array.sum(ints).get(), cl.array.max(ints).get(), cl.array.dot(ints, ints).get())
    say("slice", digest(x[100:5000].get()), digest(cl.array.take(x, ints[:50]).get()))


def reductions(context, queue):
    x = cl.array.arange(queue, SIZE, dtype=np.int32)
    kernel = cl.reduction.ReductionKernel(context, np.int32, neutral="0", reduce_expr="a^b", map_expr="x[i]*7",
                                          arguments="__global const int *x")
    scan = cl.scan.GenericScanKernel(context, np.int32, arguments="__global int *a", input_expr="a[i]",
                                     scan_expr="a+b", neutral="0", output_statement="a[i] = item;")
    say("reduction", kernel(x).get())
    scan(x)
    say("scan", digest(x.get()))


def launches(context, queue, program):
    x = np.arange(4096, dtype=np.float32)
    flags = cl.mem_flags
    x_buffer = cl.Buffer(context, flags.READ_ONLY | flags.COPY_HOST_PTR, hostbuf=x)
    y_buffer = cl.Buffer(context, flags.READ_WRITE, x.nbytes)
    cl.enqueue_fill_buffer(queue, y_buffer, np.float32(1), 0, x.nbytes)
    kernel = program.saxpy
    kernel.set_args(y_buffer, x_buffer, np.float32(0.5))
    for _ in range(200):
        event = cl.enqueue_nd_range_kernel(queue, kernel, x.shape, None)
    event.wait()
    y = np.empty_like(x)
    cl.enqueue_copy(queue, y, y_buffer)
    say("launches", digest(y), event.command_execution_status == cl.command_execution_status.COMPLETE,
        event.profile.queued <= event.profile.start <= event.profile.end)


def local_memory(context, queue, program):
    out = np.empty(1024, dtype=np.int32)
    buffer = cl.Buffer(context, cl.mem_flags.WRITE_ONLY, out.nbytes)
    program.add_local(queue, out.shape, (64,), buffer, cl.LocalMemory(64 * 4), np.int32(5))
    cl.enqueue_copy(queue, out, buffer)
    say("local", digest(out), out[:3])


def images(context, queue, program):
    pixels = (np.arange(128 * 96 * 4) * 37 % 251).astype(np.uint8).reshape(96, 128, 4)
    image_format = cl.ImageFormat(cl.channel_order.RGBA, cl.channel_type.UNORM_INT8)
    source = cl.image_from_array(context, pixels, 4, norm_int=True)
    target = cl.Image(context, cl.mem_flags.WRITE_ONLY, image_format, shape=(128, 96))
    sampler = cl.Sampler(context, False, cl.addressing_mode.CLAMP_TO_EDGE, cl.filter_mode.NEAREST)
    program.blur(queue, (128, 96), None, source, sampler, target)
    out = np.empty_like(pixels)
    cl.enqueue_copy(queue, out, target, origin=(0, 0), region=(128, 96))
    say("image", digest(out), target.width, target.height, target.row_pitch)
    formats = cl.get_supported_image_formats(context, cl.mem_flags.READ_WRITE, cl.mem_object_type.IMAGE2D)
    say("formats", len(formats), digest(np.array([[f.channel_order, f.channel_data_type] for f in formats])))


def mapping(context, queue):
    buffer = cl.Buffer(context, cl.mem_flags.READ_WRITE | cl.mem_flags.ALLOC_HOST_PTR, 4096)
    cl.enqueue_fill_buffer(queue, buffer, np.uint8(7), 0, 4096)
    view, _ = cl.enqueue_map_buffer(queue, buffer, cl.map_flags.READ | cl.map_flags.WRITE, 1024, (1024,), np.uint8)
    before = int(view.sum())
    view[:] = np.arange(1024) % 256
    view.base.release(queue)
    out = np.empty(4096, dtype=np.uint8)
    cl.enqueue_copy(queue, out, buffer)
    say("map", before, digest(out))
    part = buffer.get_sub_region(1024, 512, cl.mem_flags.READ_ONLY)
    half = np.empty(512, dtype=np.uint8)
    cl.enqueue_copy(queue, half, part)
    say("sub-buffer", digest(half), part.offset, part.size)


def rectangles(context, queue):
    source = np.arange(64 * 64, dtype=np.uint8).reshape(64, 64)
    buffer = cl.Buffer(context, cl.mem_flags.COPY_HOST_PTR, hostbuf=source)
    out = np.zeros((16, 16), dtype=np.uint8)
    cl.enqueue_copy(queue, out, buffer, buffer_origin=(8, 4, 0), host_origin=(0, 0, 0), region=(16, 16, 1),
                    buffer_pitches=(64,), host_pitches=(16,))
    say("rectangle", digest(out), out[0, :4])


def events(context, queue):
    gate = cl.UserEvent(context)
    marker = cl.enqueue_marker(queue, wait_for=[gate])
    waiting = marker.command_execution_status != cl.command_execution_status.COMPLETE
    seen = []
    marker.set_callback(cl.command_execution_status.COMPLETE, seen.append)
    gate.set_status(cl.command_execution_status.COMPLETE)
    queue.finish()
    marker.wait()
    say("user event", waiting, marker.command_execution_status == cl.command_execution_status.COMPLETE)


def programs(context, queue, program):
    kernels = sorted(kernel.function_name for kernel in program.all_kernels())
    say("program", kernels, [kernel.num_args for kernel in program.all_kernels()])
    binary = program.get_info(cl.program_info.BINARIES)[0]
    again = cl.Program(context, context.devices, [binary]).build()
    out = np.zeros(64, dtype=np.float32)
    ones = cl.Buffer(context, cl.mem_flags.COPY_HOST_PTR, hostbuf=np.ones(64, dtype=np.float32))
    target = cl.Buffer(context, cl.mem_flags.COPY_HOST_PTR, hostbuf=out)
    again.saxpy(queue, (64,), None, target, ones, np.float32(2.5))
    cl.enqueue_copy(queue, out, target)
    say("binary", len(binary) > 0, out.sum())


def errors(context, queue, program):
    def refused(action):
        try:
            action()
        except cl.Error as error:
            return error.code
        return 0

    def build_broken():
        cl.Program(context, "__kernel void broken(__global int *a) { a[0] = ; }").build(cache_dir=False)

    say("errors", refused(build_broken),
        refused(lambda: cl.Buffer(context, 0, 0)),
        refused(lambda: cl.Kernel(program, "absent")),
        refused(lambda: program.saxpy.set_arg(9, np.float32(1))),
        refused(lambda: program.saxpy.set_arg(2, np.float64(1))),
        refused(lambda: cl.enqueue_nd_range_kernel(queue, program.add_local, (100,), (64,))))
    broken = cl.Program(context, "#error wanted\n")
    refused(lambda: broken.build(cache_dir=False))
    say("build log", "wanted" in str(refused_log(broken, context)))


def refused_log(program, context):
    try:
        program._get_prg().build("", context.devices)
    except cl.Error as error:
        return error
    return ""


def main():
    device = cl.get_platforms()[0].get_devices()[0]
    context = cl.Context([device])
    queue = cl.CommandQueue(context, properties=cl.command_queue_properties.PROFILING_ENABLE)
    say("device", device.name, device.version)
    program = cl.Program(context, KERNELS).build()
    array_maths(queue)
    reductions(context, queue)
    launches(context, queue, program)
    local_memory(context, queue, program)
    images(context, queue, program)
    mapping(context, queue)
    rectangles(context, queue)
    events(context, queue)
    programs(context, queue, program)
    errors(context, queue, program)
    program.tell(queue, (1,), None, np.int32(1))
    queue.finish()
    say("done")
    return 0


if __name__ == "__main__":
    sys.exit(main())
