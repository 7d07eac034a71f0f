# CLBlast: its test of GBMV; thousands of small transfers and launches, each waited for.
# SPDX-License-Identifier: Apache-2.0

CASE_PACKAGES='clblast-tests'
CASE_NEEDS='clblast_test_xgbmv'

case_run() {
    client clblast_test_xgbmv -platform 0 -device 0
}
