# CLBlast: its test of GEMV; thousands of small transfers and launches, each waited for.
# SPDX-License-Identifier: Apache-2.0

CASE_PACKAGES='clblast-tests'
CASE_NEEDS='clblast_test_xgemv'

case_run() {
    client clblast_test_xgemv -platform 0 -device 0
}
