#!/bin/sh
# Runs one fuzz target for a moment: its corpus, then new inputs. Prints TAP.
# SPDX-License-Identifier: Apache-2.0
#
# usage: run.sh TARGET CORPUS RUNS        HIRA_SOAK=1: ten minutes instead
target=$(realpath "$1") corpus=$(realpath -m "$2") runs=$3 seconds=20
name=$(basename "$target")
if [ "${HIRA_SOAK:-}" ]; then runs=1000000000 seconds=600; fi
export ASAN_OPTIONS="${ASAN_OPTIONS:-}:detect_leaks=0:allocator_may_return_null=1"
export UBSAN_OPTIONS="${UBSAN_OPTIONS:-}:print_stacktrace=1:halt_on_error=1"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/new" "$work/corpus"
# What was once found, each under its name, and the packed rest.
[ -d "$corpus" ] && find "$corpus" -maxdepth 1 -type f ! -name seeds.tar.gz -exec cp -t "$work/corpus" {} +
[ -e "$corpus/seeds.tar.gz" ] && tar -xzf "$corpus/seeds.tar.gz" -C "$work/corpus"
(cd "$work" && exec "$target" -runs="$runs" -max_total_time=$seconds "$work/new" "$work/corpus") >"$work/out" 2>"$work/err"
status=$?
if grep -q '^ok 2' "$work/out"; then
	grep -E '^(ok|not ok|1\.\.)' "$work/out"
elif [ $status = 0 ]; then
	sed -n "s/^Done \([0-9]*\) runs.*/ok 1 - $name: \1 executions\n1..1/p" "$work/err"
fi
if [ $status != 0 ]; then
	echo "not ok - $name died of an input, status $status"
	tail -n 60 "$work/err" | sed 's/^/# /'
	for input in "$work"/crash-* "$work"/timeout-* "$work"/oom-*; do
		[ -e "$input" ] && cp "$input" "$PWD/$name-$(basename "$input")" && echo "# the input: $PWD/$name-$(basename "$input")"
	done
	echo 1..1
fi
exit $status
