#!/bin/bash
# Odd but honest applications under a wrapper (`hira run --`): each ends well, in time. Prints TAP.
# SPDX-License-Identifier: Apache-2.0
#
# usage: run.sh [--wrapper "CMD ARGS"] PROGRAM [TEST...]
set -u

wrapper=
if [ "${1-}" = --wrapper ]; then
	wrapper=$2
	shift 2
fi
[ $# -ge 1 ] || { sed -n '5s/^# //p' "$0" >&2; exit 2; }
program=$1
shift
tests=${*:-$("$program" --list)}

n=0 failed=0
# shellcheck disable=SC2086  # a list of words
set -- $tests
echo "1..$#"
for name; do
	n=$((n + 1))
	# shellcheck disable=SC2086  # the wrapper is several words
	said=$(timeout -k 5 150 $wrapper "$program" "$name" 2>&1 </dev/null)
	status=$?
	case $status in
	0) echo "ok $n - attack/$name" ;;
	77) echo "ok $n - attack/$name # SKIP the device cannot" ;;
	*)
		failed=1
		echo "not ok $n - attack/$name"
		echo "# exit status $status"
		[ -z "$said" ] || echo "$said" | sed 's/^/# /' | head -n 20
		;;
	esac
done
exit $failed
