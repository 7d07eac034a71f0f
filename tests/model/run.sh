#!/bin/bash
# Explores src/channel/lane.pml: that nothing is wrong with the protocol, and that the model finds what is wrong with worse ones. TAP.
# SPDX-License-Identifier: Apache-2.0
set -eu
here=$(cd "$(dirname "$0")" && pwd)
model=$here/../../src/channel/lane.pml
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

n=0
explore() { # EXPECTED LABEL [DEFINE...]: "none", or what spin's first error is like
	local expected=$1 label=$2 found
	shift 2
	n=$((n + 1))
	if ! { spin -a "$@" "$model" && gcc -O2 -DSAFETY -DCOLLAPSE -w -o pan pan.c; } >build.log 2>&1; then
		printf 'not ok %d - %s\n' "$n" "$label"
		sed 's/^/# /' build.log
		return
	fi
	./pan -m200000 >pan.log 2>&1 || true
	found=$(sed -n 's/^pan:[0-9]*: \(invalid end state\|assertion violated\).*/\1/p' pan.log | head -n 1)
	# A search that did not come to its end has shown nothing.
	if grep -q 'Search not completed\|max search depth too small\|out of memory' pan.log && [ -z "$found" ]; then found='not completed'; fi
	grep -q 'errors: [0-9]' pan.log || found='no result'
	if [ "${found:-none}" = "$expected" ]; then
		printf 'ok %d - %s (%s)\n' "$n" "$label" "$(sed -n 's/^ *\([0-9.e+]*\) states, stored.*/\1 states/p' pan.log)"
	else
		printf 'not ok %d - %s\n# expected: %s, found: %s\n' "$n" "$label" "$expected" "${found:-none}"
		sed 's/^/# /' pan.log | head -n 40
	fi
}

if ! command -v spin >/dev/null || ! command -v gcc >/dev/null; then
	echo 'ok 1 - the lane, as a model # SKIP spin or gcc is not installed'
	echo '1..1'
	exit
fi
explore none 'no wake-up is lost, no stale line is taken for a record'
explore 'invalid end state' 'without the fence before the second look a wake-up is lost' -DNO_FENCE
explore 'invalid end state' 'without the second look' -DNO_RECHECK
explore 'invalid end state' 'without the look for a caller that waits for room' -DNO_ROOM_RECHECK
explore 'invalid end state' 'with a record published by a plain store' -DPLAIN_STAMP
explore 'invalid end state' 'with a reply published by a plain store' -DPLAIN_REPLY
explore 'assertion violated' 'without the zero before the next record a stale line is taken for one' -DNO_ZERO
printf '1..%d\n' "$n"
