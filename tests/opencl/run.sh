#!/bin/bash
# Runs the OpenCL conformance programs natively and under a wrapper, and compares their transcripts. Prints TAP.
# SPDX-License-Identifier: Apache-2.0
#
# usage: run.sh [--wrapper "CMD ARGS"] [--builddir DIR] [PROGRAM[/SUBTEST]...]
# Without a wrapper each subtest runs natively twice: that shows that the transcripts are deterministic.
# The wrapper may be relative to the directory run.sh is started from; subtests run in an empty directory of their own.
set -u

here=$(cd "$(dirname "$0")" && pwd)
wrapper=
builddir=$here/../../build/tests/opencl
limit=120

usage() { sed -n '5,7s/^# //p' "$0" >&2; exit 2; }

while [ $# -gt 0 ]; do
	case $1 in
	--wrapper) [ $# -ge 2 ] || usage; wrapper=$2; shift 2 ;;
	--builddir) [ $# -ge 2 ] || usage; builddir=$2; shift 2 ;;
	-*) usage ;;
	*) break ;;
	esac
done
builddir=$(cd "$builddir" && pwd) || exit 2
case ${wrapper%% *} in /*) ;; */*) wrapper=$PWD/$wrapper ;; esac

programs=$(sed -n "s/^[[:space:]]*'\([a-z_]*\)', # program.*/\1/p" "$here/meson.build")
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT

n=0 passed=0 failed=0 skipped=0

# run NAME WRAPPER PROGRAM SUBTEST: the transcript, with the exit status as last line, goes to $work/NAME
run() {
	mkdir -p "$work/cwd"
	# shellcheck disable=SC2086  # the wrapper is several words
	{ (cd "$work/cwd" && timeout -k 5 $limit $2 "$builddir/cl_$3" "$4" </dev/null >"$work/$1" 2>"$work/$1.err"); } 2>/dev/null
	local status=$?
	rm -rf "$work/cwd"
	echo "exit status $status" >>"$work/$1"
	return $status
}

report_failure() { # LABEL WHY: a diff or a transcript as comment lines, cut to a readable length
	failed=$((failed + 1))
	echo "not ok $n - $1"
	echo "# $2"
	sed 's/^/# /' "$work/diff" | head -n 60
	tail -n 5 "$work/second.err" 2>/dev/null | sed 's/^/# stderr: /'
}

skip() { # LABEL REASON
	skipped=$((skipped + 1))
	echo "ok $n - $1 # SKIP $2"
}

# Whether the difference is just the one in differences/PROGRAM.SUBTEST: the lines that go and come, in order.
documented() { # PROGRAM SUBTEST
	local known="$here/differences/$1.$2"
	[ -f "$known" ] && grep '^[-+]' "$work/diff" | sed 1,2d | diff -q - "$known" >/dev/null
}

one() { # PROGRAM SUBTEST
	local label="opencl/$1/$2" status
	n=$((n + 1))
	run first "" "$1" "$2"
	status=$?
	if [ $status = 77 ]; then
		skip "$label" "$(sed -n 's/^SKIP //p' "$work/first")"
		return
	fi
	cp "$work/first" "$work/diff"
	cp "$work/first.err" "$work/second.err"
	if [ $status != 0 ]; then
		report_failure "$label" "fails natively"
		return
	fi
	run second "$wrapper" "$1" "$2"
	if [ $? = 77 ]; then # a capability that is not carried is not offered, and the program sees that
		skip "$label" "under the wrapper: $(sed -n 's/^SKIP //p' "$work/second")"
	elif diff -u --label native --label "${wrapper:-native again}" "$work/first" "$work/second" >"$work/diff"; then
		passed=$((passed + 1))
		echo "ok $n - $label"
	elif documented "$1" "$2"; then
		passed=$((passed + 1))
		echo "ok $n - $label # differs as docs/differences.md says"
	else
		report_failure "$label" "differs from native"
	fi
}

for wanted in "${@:-all}"; do
	for program in $programs; do
		[ "$wanted" = all ] || [ "${wanted%%/*}" = "$program" ] || continue
		for subtest in $("$builddir/cl_$program" --list); do
			case $wanted in */*) [ "${wanted#*/}" = "$subtest" ] || continue ;; esac
			one "$program" "$subtest"
		done
	done
done
echo "1..$n"
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed = 0 ] && [ $n -gt 0 ]
