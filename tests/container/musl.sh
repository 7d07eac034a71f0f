#!/bin/bash
# Programs of another C library: the guest library built against musl answers its programs as the vendor's answers those of glibc. TAP.
# SPDX-License-Identifier: Apache-2.0
#
# usage: musl.sh BUILDDIR
set -u
here=$(cd "$(dirname "$0")" && pwd)
build=$(cd "$1" && pwd)
root=$here/../..
unset LD_LIBRARY_PATH # meson's names the guest library's folder: what is native would not be

if ! command -v musl-gcc >/dev/null; then
	echo "ok 1 - musl # SKIP musl-tools is not installed"
	echo 1..1
	exit
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
if ! "$root/scripts/musl-guest" "$build" opencl "$work" >"$work/log" 2>&1; then
	echo "not ok 1 - the guest library builds against musl"
	sed 's/^/# /' "$work/log"
	echo 1..1
	exit 1
fi
echo "ok 1 - the guest library builds against musl"
needed=$(readelf -d "$work/libOpenCL.so.1" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p')
[ "$needed" = libc.so ] && echo "ok 2 - it needs libc only" || echo "not ok 2 - it needs $needed"

n=2 failed=0
mkdir "$work/include"
ln -s /usr/include/CL "$work/include/"
# device_capabilities shows documented differences (docs/differences.md), which are none of the C library's.
for program in platform thread; do
	if ! musl-gcc -std=gnu17 -O2 -D_GNU_SOURCE -DCL_TARGET_OPENCL_VERSION=300 -I"$work/include" -o "$work/$program" "$here/../opencl/$program.c" \
		"$here/../opencl/t.c" -L"$work" -lOpenCL; then
		n=$((n + 1)) failed=1
		echo "not ok $n - musl/$program is compiled"
		continue
	fi
	for name in $("$build/tests/opencl/cl_$program" --list); do
		[ "$name" != device_capabilities ] || continue
		n=$((n + 1))
		(cd "$work" && timeout 60 "$build/tests/opencl/cl_$program" "$name") >"$work/native" 2>/dev/null
		(cd "$work" && timeout 60 "$build/src/cli/hira" run --server-dir "$build/specs/opencl" --lib-dir "$work" -- "./$program" "$name") >"$work/musl" 2>/dev/null
		if difference=$(diff "$work/native" "$work/musl"); then
			echo "ok $n - musl/$program/$name"
		else
			failed=1
			echo "not ok $n - musl/$program/$name"
			head -n 20 <<<"$difference" | sed 's/^/# /'
		fi
	done
done
echo "1..$n"
exit $failed
