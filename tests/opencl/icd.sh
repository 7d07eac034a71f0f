#!/bin/bash
# Runs OpenCL programs with the guest library installed as a driver of the system's own loader, and has servers whose loader
# can see that driver too. Prints TAP.
# SPDX-License-Identifier: Apache-2.0
#
# usage: icd.sh [--builddir DIR] [PROGRAM...]
# DIR is meson's (default: build, beside tests/); PROGRAM are conformance programs to run (default: all).
set -u

here=$(cd "$(dirname "$0")" && pwd)
build=$here/../../build
[ "${1:-}" = --builddir ] && { build=$2; shift 2; }
build=$(cd "$build" && pwd) || exit 2
library=$build/specs/opencl/libOpenCL.so.1
pocl=/etc/OpenCL/vendors/pocl.icd
oclgrind=/usr/lib/oclgrind/liboclgrind-rt-icd.so
work=$(mktemp -d) || exit 2
router=
unset LD_LIBRARY_PATH OCL_ICD_VENDORS OPENCL_VENDOR_PATH HIRA_VENDOR_ICD HIRA_SERVER

stop_router() {
	[ -n "$router" ] && kill "$router" 2>/dev/null && wait "$router" 2>/dev/null
	router=
}

trap 'stop_router; rm -rf "$work"' EXIT

start_router() { # [NAME=VALUE...]: a hirad of ours with that in its environment
	stop_router
	export HIRA_SOCKET=$work/socket
	env "$@" "$build/src/router/hirad" --socket "$HIRA_SOCKET" --work-dir "$work" --api opencl --server-dir "$build/specs/opencl" \
		--log-level warning 2>>"$work/log" &
	router=$!
	for _ in $(seq 100); do
		[ -S "$HIRA_SOCKET" ] && return
		sleep 0.05
	done
}

n=0 failed=0
report() { # STATUS LABEL: the transcript of a failure is in $work/out
	n=$((n + 1))
	if [ "$1" = 0 ]; then
		echo "ok $n - icd/$2"
	else
		failed=$((failed + 1))
		echo "not ok $n - icd/$2"
		tail -n 40 "$work/out" "$work/log" 2>/dev/null | sed 's/^/# /'
	fi
}

skip() { # LABEL REASON
	n=$((n + 1))
	echo "ok $n - icd/$1 # SKIP $2"
}

platforms() { # LABEL EXPECTED [NAME=VALUE...]: the platforms that clinfo lists with that in its environment
	local label=$1 expected=$2
	shift 2
	env "$@" timeout 60 clinfo -l >"$work/out" 2>&1
	grep '^Platform' "$work/out" | sed 's/^Platform #[0-9]*: //' | paste -sd, >"$work/got"
	[ "$(cat "$work/got")" = "$expected" ]
	report $? "$label"
}

if ! command -v clinfo >/dev/null || [ ! -e "$pocl" ]; then
	echo '1..0 # SKIP needs clinfo and pocl-opencl-icd'
	exit 0
fi
name=$(OCL_ICD_VENDORS=$pocl clinfo -l | sed -n '1s/^Platform #0: //p')
mkdir "$work/beside" "$work/bare" "$work/many"
echo "$library" >"$work/hira.icd"
cp "$work/hira.icd" "$work/beside/hira.icd"
cp "$pocl" "$work/beside/pocl.icd"
cp "$work/beside/"* "$work/many/"
echo "$oclgrind" >"$work/many/oclgrind.icd"
basename "$library" >"$work/bare/hira.icd" # found by the loader's search path only

# ---- a driver among others ----

start_router
platforms 'a variable names the library' "$name" OCL_ICD_VENDORS="$library"
platforms 'a variable names a driver file' "$name" OCL_ICD_VENDORS="$work/hira.icd"
platforms 'beside the vendor itself' "$name,$name" OCL_ICD_VENDORS="$work/beside"
OCL_ICD_VENDORS=$pocl clinfo >"$work/native" 2>&1
OCL_ICD_VENDORS=$library clinfo >"$work/ours" 2>&1
diff "$work/native" "$work/ours" | grep '^[<>]' >"$work/out"
sed -n -e 's/^-\( \)/< \1/p' -e 's/^+\( \)/> \1/p' "$here/../clients/differences/clinfo.pocl" | grep -v 'ICD loader' | head -n "$(wc -l <"$work/out")" |
	cmp -s - "$work/out" && [ -s "$work/out" ]
report $? 'clinfo prints what it prints natively, but for what is masked'

python3 - "$library" >"$work/out" 2>&1 <<'END'
import ctypes, sys
cl = ctypes.CDLL(sys.argv[1])
cl.clGetExtensionFunctionAddress.restype = ctypes.c_void_p
entry = cl.clGetExtensionFunctionAddress(b'clIcdGetPlatformIDsKHR')
assert entry
platform, n = ctypes.c_void_p(), ctypes.c_uint()
get = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_uint, ctypes.c_void_p, ctypes.c_void_p)(entry)
assert get(1, ctypes.byref(platform), ctypes.byref(n)) == 0 and n.value == 1
device = ctypes.c_void_p()
assert cl.clGetDeviceIDs(platform, ctypes.c_ulong(0xffffffff), 1, ctypes.byref(device), None) == 0
tables = [ctypes.c_void_p.from_address(h.value).value for h in (platform, device)]
assert tables[0] and tables[0] == tables[1]
first = ctypes.c_void_p.from_address(tables[0]).value
assert first == ctypes.cast(cl.clGetPlatformIDs, ctypes.c_void_p).value
END
report $? 'handles begin with the table of functions; the getter hands out the entry'

OCL_ICD_VENDORS=$library "$here/run.sh" --builddir "$build/tests/opencl" \
	--wrapper "env OCL_ICD_VENDORS=$library" "$@" >"$work/out" 2>&1
status=$?
grep -A30 '^not ok' "$work/out" >"$work/out.failed"
tail -n 1 "$work/out" | sed 's/^/# conformance: /'
mv "$work/out.failed" "$work/out"
report $status 'the conformance programs'

# ---- servers that could find Hira themselves ----

platforms 'nothing inside a server' '' HIRA_SERVER=1 OCL_ICD_VENDORS="$library"

server_is_clean() { # LABEL: the servers of the router have loaded the vendor and not us
	local pid
	for pid in $(pgrep -P "$(pgrep -P "$router")"); do
		grep -q "$library" "/proc/$pid/maps" && { grep OpenCL "/proc/$pid/maps" >"$work/out"; report 1 "$1"; return; }
	done
	report 0 "$1"
}

start_router OCL_ICD_VENDORS="$work/beside"
platforms 'a server beside whose vendor Hira is installed' "$name" OCL_ICD_VENDORS="$library"
server_is_clean 'it has not loaded Hira'
start_router OCL_ICD_VENDORS="$library"
platforms 'a server told to use Hira uses what there is' "$name" OCL_ICD_VENDORS="$library"
if [ -e "$oclgrind" ]; then
	start_router OCL_ICD_VENDORS="$work/many"
	platforms 'two vendors and Hira' "$(OCL_ICD_VENDORS=$work/many HIRA_SERVER=1 clinfo -l | sed -n 's/^Platform #[0-9]*: //p' | paste -sd,)" \
		OCL_ICD_VENDORS="$library"
	server_is_clean 'they have not loaded Hira'
	start_router HIRA_VENDOR_ICD="$oclgrind"
	platforms 'the operator chooses' Oclgrind OCL_ICD_VENDORS="$library"
else
	skip 'two vendors and Hira' 'no oclgrind'
	skip 'they have not loaded Hira' 'no oclgrind'
	skip 'the operator chooses' 'no oclgrind'
fi
# Not seen through: the name says nothing. Then the mark has to do.
start_router OCL_ICD_VENDORS="$work/bare" LD_LIBRARY_PATH="${library%/*}"
platforms 'a server that can only find Hira has no platform' '' OCL_ICD_VENDORS="$library"
[ "$(pgrep -c -P "$(pgrep -P "$router" | head -n 1)")" -le 4 ]
report $? 'and starts no other'

echo "1..$n"
[ $failed = 0 ]
