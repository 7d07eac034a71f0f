# CLBlast's tests of the vector routines. Compared: every mark and count they print.
# SPDX-License-Identifier: Apache-2.0

CASE_PACKAGES='clblast-tests'
CASE_NEEDS='clblast_test_xaxpy'
CASE_TIMEOUT=600
CASE_EXPECT='[1-9][0-9]* test\(s\) passed'

case_run() {
    local routine
    for routine in xswap xscal xcopy xdot xdotu xdotc xnrm2 xasum xamax xaxpybatched xhad; do
        attempt "$routine" "clblast_test_$routine" -platform 0 -device 0
    done
}
