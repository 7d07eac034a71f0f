#!/bin/sh
# Checks that every function the native libOpenCL.so.1 exports is called by some conformance program.
# SPDX-License-Identifier: Apache-2.0
#
# usage: coverage.sh [LIBRARY]   (by default the libOpenCL.so.1 that the dynamic linker finds)
set -u

here=$(cd "$(dirname "$0")" && pwd)
library=${1:-$(/sbin/ldconfig -p | sed -n 's/.*libOpenCL\.so\.1 .*=> //p' | head -n 1)}
[ -n "$library" ] || { echo "coverage.sh: no libOpenCL.so.1" >&2; exit 2; }

missing=0 total=0
for function in $(nm -D --defined-only "$library" | sed -n 's/.* [TWi] \(cl[A-Z][A-Za-z0-9]*\).*/\1/p' | sort -u); do
	total=$((total + 1))
	# A call, or the function's name given to INFO and the like; comments do not count.
	if ! sed 's|/\*.*\*/||; s|^ \*.*||' "$here"/*.c | grep -Eq "(^|[^A-Za-z_\"])${function}[(,]"; then
		echo "not called: $function"
		missing=$((missing + 1))
	fi
done
echo "$((total - missing)) of $total functions called"
[ $missing = 0 ] && [ $total -gt 0 ]
