# Two of CLBlast's tuners: they build a kernel in some dozens of variants and time each.
# SPDX-License-Identifier: Apache-2.0

CASE_PACKAGES='clblast-utils'
CASE_NEEDS='clblast_tuner_xdot clblast_tuner_xger'
CASE_TIMEOUT=900
CASE_EXPECT='results match'

# Which variant is fastest differs from run to run: kept are the rows of variants (number, parameters, whether the result
# is right) and the counts, without times and rates and without the lines about the fastest one.
case_normalize() {
    sed 's/\x1b\[[0-9;]*m//g' | tr '\r' '\n' |
        sed -nE -e '/^==/p' -e '/^\* (Found [0-9]+ conf|Parameters|Completed)/p' \
            -e 's/^(\|[^|]*\|[^|]*\|[^|]*\|).*\|( *[^|]*\|)$/\1\2/p'
}

case_run() {
    attempt xdot clblast_tuner_xdot -platform 0 -device 0
    attempt xger clblast_tuner_xger -platform 0 -device 0
}
