# CLBlast's test of GEMM, and of its batched form. Compared: every mark and count it prints.
# SPDX-License-Identifier: Apache-2.0

CASE_PACKAGES='clblast-tests'
CASE_NEEDS='clblast_test_xgemm clblast_test_xgemmbatched'
CASE_TIMEOUT=600
CASE_EXPECT='test\(s\) passed'

case_run() {
    attempt xgemm clblast_test_xgemm -platform 0 -device 0
    attempt xgemmbatched clblast_test_xgemmbatched -platform 0 -device 0
}
