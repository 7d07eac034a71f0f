# FFmpeg's OpenCL filters on generated video; the MD5 of every frame is compared.
# SPDX-License-Identifier: Apache-2.0

CASE_PACKAGES='ffmpeg'
CASE_NEEDS='ffmpeg'
CASE_EXPECT='^0, +7, +7, +1, +86400, [0-9a-f]{32}$'

# filter TITLE GRAPH: ten frames of one test pattern through upload, filters and download.
filter() {
    attempt "$1" ffmpeg -nostdin -hide_banner -loglevel error -init_hw_device opencl=ocl:0.0 -filter_hw_device ocl \
        -f lavfi -i testsrc=size=320x180:rate=25 -frames:v 10 \
        -vf "format=yuv420p,hwupload,$2,hwdownload,format=yuv420p" -f framemd5 -
}

# Two inputs: what a single chain cannot show.
crossfade() {
    attempt crossfade ffmpeg -nostdin -hide_banner -loglevel error -init_hw_device opencl=ocl:0.0 -filter_hw_device ocl \
        -f lavfi -i testsrc=size=320x180:rate=25 -f lavfi -i testsrc2=size=320x180:rate=25 -frames:v 10 \
        -filter_complex "[0:v]format=yuv420p,hwupload[a];[1:v]format=yuv420p,hwupload[b];
[a][b]xfade_opencl=transition=wipeleft:duration=0.3:offset=0.05,hwdownload,format=yuv420p" -f framemd5 -
}

case_run() {
    filter blur-sharpen avgblur_opencl=5,unsharp_opencl
    filter transpose-edges transpose_opencl=dir=clock,sobel_opencl,erosion_opencl
    filter denoise nlmeans_opencl=r=3:p=3
    filter box-pad boxblur_opencl=2:1,pad_opencl=400:240:40:30
    crossfade
}
