# CLBlast's tests of matrix-matrix routines beside GEMM, and of transposition. Compared: every mark and count they
# print.
# SPDX-License-Identifier: Apache-2.0

CASE_PACKAGES='clblast-tests'
CASE_NEEDS='clblast_test_xaxpy'
CASE_TIMEOUT=900
CASE_EXPECT='[1-9][0-9]* test\(s\) passed'

case_run() {
    local routine
    for routine in xsymm xhemm xsyrk xherk xsyr2k xher2k xtrmm xtrsm xomatcopy xgemmstridedbatched; do
        attempt "$routine" "clblast_test_$routine" -platform 0 -device 0
    done
}
