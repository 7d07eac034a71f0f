# ViennaCL: dense and sparse linear algebra in double precision, checked against the host; digests are compared.
# SPDX-License-Identifier: Apache-2.0

CASE_PACKAGES='libviennacl-dev libboost-dev ocl-icd-opencl-dev g++'
CASE_NEEDS='g++ /usr/include/viennacl /usr/include/boost'
CASE_SET=short
CASE_EXPECT='^product [0-9a-f]+ wrong 0$'

case_prepare() {
    build_cxx "$PROGRAMS/viennacl_solve.cpp" "$BUILD/viennacl_solve"
}

case_run() {
    client "$BUILD/viennacl_solve"
}
