# PyOpenCL: arrays, reductions, launches, images, maps, events, binaries, errors, printf. Digests of all are compared.
# SPDX-License-Identifier: Apache-2.0

CASE_PACKAGES='python3-pyopencl python3-mako'
CASE_VENDORS='pocl oclgrind'
CASE_NEEDS='/usr/lib/python3/dist-packages/pyopencl /usr/lib/python3/dist-packages/mako'
CASE_SET=short
CASE_EXPECT='^done$'

# The output of a kernel's printf comes from the vendor and lands anywhere between lines of Python's.
case_run() {
    client /usr/bin/python3 "$PROGRAMS/pyopencl_arrays.py"
}
