# StarPU: tasks scheduled to the OpenCL device only. vector_scal and variable say whether they computed what they should.
# SPDX-License-Identifier: Apache-2.0

STARPU_EXAMPLES=/usr/lib/x86_64-linux-gnu/starpu/examples
CASE_PACKAGES='starpu-examples'
CASE_VENDORS='pocl oclgrind'
CASE_NEEDS="$STARPU_EXAMPLES/vector_scal"
CASE_EXPECT='Computation is correct'

# The time that incrementer took, addresses, and advice about transfers that StarPU gives or not as tasks overlap.
case_normalize() {
    sed -E -e 's/took [0-9.]+ ms/took N ms/' -e 's/0x[0-9a-f]+/ADDRESS/g' -e '/^(\[starpu\]|For proper asynchronous transfer)/d'
}

# The examples write on stderr; StarPU's own lines there tell of calibration and carry a mark in brackets.
case_run() {
    local example
    export STARPU_NCPU=0 STARPU_NOPENCL=1 STARPU_OPENCL_ON_CPUS=1
    for example in vector_scal variable incrementer matvecmult fblock; do
        attempt "$example" "$STARPU_EXAMPLES/$example" 2>&1
    done
}
