# CLBlast: its test of GEMM; larger matrices and many kernels.
# SPDX-License-Identifier: Apache-2.0

CASE_PACKAGES='clblast-tests'
CASE_NEEDS='clblast_test_xgemm'
CASE_TIMEOUT=900

case_run() {
    client clblast_test_xgemm -platform 0 -device 0
}
