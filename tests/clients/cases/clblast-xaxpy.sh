# CLBlast's test of AXPY: vectors in five precisions, 16,000 API calls. Compared: every mark and count it prints.
# SPDX-License-Identifier: Apache-2.0

CASE_PACKAGES='clblast-tests'
CASE_VENDORS='pocl oclgrind'
CASE_NEEDS='clblast_test_xaxpy'
CASE_SET=short
CASE_EXPECT='36 test\(s\) passed'

case_run() {
    client clblast_test_xaxpy -platform 0 -device 0
}
