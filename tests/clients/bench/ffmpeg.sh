# FFmpeg: 150 frames of 640x360 through two filters, with upload and download of each frame.
# SPDX-License-Identifier: Apache-2.0

CASE_PACKAGES='ffmpeg'
CASE_NEEDS='ffmpeg'

case_run() {
    client ffmpeg -nostdin -hide_banner -loglevel error -init_hw_device opencl=ocl:0.0 -filter_hw_device ocl \
        -f lavfi -i testsrc=size=640x360:rate=25 -frames:v 150 \
        -vf format=yuv420p,hwupload,avgblur_opencl=5,unsharp_opencl,hwdownload,format=yuv420p -f null -
}
