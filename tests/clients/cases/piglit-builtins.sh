# piglit's generated OpenCL C programs: built-in functions on scalars and vectors, loads and stores in every address
# space. Compared: everything its tester prints, verdicts of subtests included.
# SPDX-License-Identifier: Apache-2.0

PIGLIT=/usr/lib/x86_64-linux-gnu/piglit
CASE_PACKAGES='piglit'
CASE_NEEDS="$PIGLIT/bin/cl-program-tester"
CASE_TIMEOUT=60
CASE_EXPECT='"result": "pass"'

# piglit runs its tester in its own directory: some programs include others by a relative path.
case_run() {
    local program
    export PIGLIT_SOURCE_DIR=$PIGLIT
    cd "$PIGLIT" || return 1
    find generated_tests/cl -name '*.cl' -o -name '*.program_test' | LC_ALL=C sort >"$OLDPWD/programs"
    while read -r program <&3; do
        attempt "$program" bin/cl-program-tester "$program"
    done 3<"$OLDPWD/programs"
}
