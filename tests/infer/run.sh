#!/bin/sh
# The golden tests of import and inference, as TAP: for each header in cases/ what is settled and why.
#
#   run.sh INFER_DUMP [HIRA]      compare; with HIRA the output of `hira spec init` is parsed again, too
#   UPDATE=1 run.sh INFER_DUMP    write the golden files anew (and read the difference before committing it)
#
# Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
set -u
dump=$(realpath "$1")
hira=${2:+$(realpath "$2")}
cd "$(dirname "$0")/cases" || exit 99
work=$(mktemp -d) || exit 99
trap 'rm -rf "$work"' EXIT
n=0
failed=0

# result OK NAME: one line of TAP; what stands in $work/why is shown when it failed
result() {
    n=$((n + 1))
    if [ "$1" -eq 0 ]; then
        echo "ok $n - $2"
    else
        failed=$((failed + 1))
        echo "not ok $n - $2"
        sed 's/^/# /' "$work/why"
    fi
}

skip() {
    n=$((n + 1))
    echo "ok $n - $1 # SKIP $2"
}

arguments() {
    case $1 in
    versions) echo "-V API_SUFFIX__VERSION_#_#=API_#.# -T api_table=versions.h" ;;
    table_missing) echo "-T no_such_table=versions.h" ;;
    esac
}

# Any status above 1 is a crash or a sanitizer's report, whatever was printed.
for header in *.h; do
    name=${header%.h}
    [ "$name" = versions_nested ] && continue
    # shellcheck disable=SC2046
    "$dump" -I . $(arguments "$name") "$header" >"$work/out" 2>"$work/err"
    status=$?
    if [ "${UPDATE:-0}" = 1 ]; then
        cp "$work/out" "$name.expect"
    fi
    diff -u "$name.expect" "$work/out" >"$work/why" 2>&1
    same=$?
    cat "$work/err" >>"$work/why"
    [ "$same" -eq 0 ] && [ "$status" -le 1 ] && [ ! -s "$work/err" ]
    result $? "$name"
done

# A header that is not there is one clear sentence.
"$dump" no_such_header.h >"$work/why" 2>&1
[ $? -eq 1 ] && [ "$(grep -c 'the header no_such_header.h is not found' "$work/why")" -eq 1 ]
result $? "missing header"

# Every rule is shown at work by some golden file.
"$dump" -r | cut -f1 | sort -u >"$work/rules"
: >"$work/why"
while read -r rule; do
    grep -q -e "- $rule:" -- *.expect || echo "no golden file shows $rule" >>"$work/why"
done <"$work/rules"
[ ! -s "$work/why" ] && [ -s "$work/rules" ]
result $? "each rule has a case"

# ... and the manual describes it.
manual=../../../docs/lapis-inference.md
: >"$work/why"
while read -r rule; do
    grep -q -F "\`$rule\`" "$manual" || echo "docs/lapis-inference.md does not mention $rule" >>"$work/why"
done <"$work/rules"
[ ! -s "$work/why" ]
result $? "each rule is documented"

# The promise: rules alone settle four fifths of OpenCL's pointer parameters.
if "$dump" -s -D CL_TARGET_OPENCL_VERSION=300 '<CL/cl.h>' >"$work/why" 2>&1; then
    grep -q ' 113 fn .* 238 pointers' "$work/why" &&
        awk '{ for (i = 2; i <= NF; i++) if ($i == "settled") exit !($(i + 1) >= 80) } END { if (NR == 0) exit 1 }' "$work/why"
    result $? "four fifths of CL/cl.h"
else
    skip "four fifths of CL/cl.h" "no OpenCL headers"
fi

# What `hira spec init` writes parses, is in the canonical layout, and asks exactly what is open.
for header in records callbacks queries ranges versions strings; do
    if [ -z "$hira" ]; then
        skip "spec init of $header" "no hira given"
        continue
    fi
    rm -f "$work/x.lapis"
    "$hira" spec init -o "$work/x.lapis" "$header.h" >"$work/why" 2>&1 &&
        "$hira" spec format "$work/x.lapis" >"$work/again" 2>>"$work/why" &&
        diff -u "$work/x.lapis" "$work/again" >>"$work/why" 2>&1
    result $? "spec init of $header"
done
if [ -n "$hira" ]; then
    echo "// mine" >"$work/mine.lapis"
    "$hira" spec init -o "$work/mine.lapis" records.h >"$work/why" 2>&1
    [ $? -eq 1 ] && grep -q mine "$work/mine.lapis"
    result $? "spec init does not overwrite"
else
    skip "spec init does not overwrite" "no hira given"
fi

echo "1..$n"
echo "# $((n - failed)) of $n passed"
[ "$failed" -eq 0 ]
