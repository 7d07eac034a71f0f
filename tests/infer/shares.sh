#!/bin/sh
# How much of real headers the rules settle: one line a header that is installed here. Nothing is compared; a crash fails.
#
#   shares.sh INFER_DUMP [-I DIR ...]
#
# Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
set -u
dump=$1
shift
status=0
for header in CL/cl.h CL/cl_ext.h CL/cl_icd.h level_zero/ze_api.h cuda.h cuda_runtime_api.h vulkan/vulkan_core.h zlib.h va/va.h \
    hip/hip_runtime_api.h hsa/hsa.h qatzip.h qpl/qpl.h; do
    out=$("$dump" -s "$@" -D CL_TARGET_OPENCL_VERSION=300 -D __HIP_PLATFORM_AMD__ "<$header>" 2>&1)
    case $? in
    0) echo "$out" | head -n 1 ;;
    1) echo "$out" | grep -q "$header is not found" || { echo "$header: $(echo "$out" | sed -n 2p)"; } ;;
    *)
        echo "$header: crashed"
        echo "$out" | tail -n 5
        status=1
        ;;
    esac
done
exit $status
