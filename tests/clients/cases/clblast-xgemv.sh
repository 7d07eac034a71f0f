# CLBlast's test of GEMV: a thousand small products in each of four precisions. Compared: every mark and count it prints.
# SPDX-License-Identifier: Apache-2.0

CASE_PACKAGES='clblast-tests'
CASE_NEEDS='clblast_test_xgemv'
CASE_SET=short
CASE_EXPECT='324 test\(s\) passed'

case_run() {
    client clblast_test_xgemv -platform 0 -device 0
}
