# Boost.Compute: sort, transform, scan, reduce of up to a million elements; digests are compared.
# SPDX-License-Identifier: Apache-2.0

CASE_PACKAGES='libboost-dev ocl-icd-opencl-dev g++'
CASE_NEEDS='g++ /usr/include/boost/compute.hpp'
CASE_EXPECT='sorted 1$'

case_prepare() {
    build_cxx "$PROGRAMS/boost_compute.cpp" "$BUILD/boost_compute"
}

case_run() {
    client "$BUILD/boost_compute"
}
