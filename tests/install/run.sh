#!/bin/bash
# Installs a build into a folder, moves it, and uses it from there: nothing may point back to where it was built. Prints TAP.
# SPDX-License-Identifier: Apache-2.0
#
# usage: run.sh BUILDDIR
set -u

source_dir=$(cd "$(dirname "$0")/../.." && pwd)
build=$(cd "$1" && pwd) || exit 2
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT
n=0 failed=0

result() { # STATUS LABEL: what stands in $work/why is shown when it failed
	n=$((n + 1))
	if [ "$1" = 0 ]; then
		echo "ok $n - install/$2"
	else
		failed=$((failed + 1))
		echo "not ok $n - install/$2"
		tail -n 30 "$work/why" | sed 's/^/# /'
	fi
}

skip() { # LABEL REASON
	n=$((n + 1))
	echo "ok $n - install/$1 # SKIP $2"
}

finish() {
	echo "1..$n"
	exit $((failed > 0))
}

# Installs below DESTDIR, and moves the tree to where nobody expects it.
install_moved() {
	local prefix
	DESTDIR=$work/dest meson install -C "$build" --no-rebuild >"$work/why" 2>&1 || return 1
	prefix=$(meson introspect "$build" --buildoptions |
		python3 -c 'import json, sys; print([o["value"] for o in json.load(sys.stdin) if o["name"] == "prefix"][0])')
	mv "$work/dest$prefix" "$work/moved" 2>>"$work/why"
}

expected_files() {
	local path status=0
	: >"$work/why"
	for path in bin/hira bin/hirad libexec/hira/hira-server-opencl '*/hira/opencl/libOpenCL.so.1' '*/hira/opencl/libOpenCL.so' \
		'*/hira/libhira-guest.a' '*/hira/libhira-server.a' include/hira/guest/guest.h include/hira/server/server.h; do
		if [ -z "$(find "$work/moved" -path "$work/moved/$path")" ]; then
			echo "not installed: $path" >>"$work/why"
			status=1
		fi
	done
	return $status
}

no_traces() { # of the folders it was made in, in what is run; debugging information names them, and is nobody's way to a file
	local program status=0
	: >"$work/why"
	for program in "$work"/moved/bin/* "$work"/moved/libexec/hira/*; do
		strip -o "$work/stripped" "$program" 2>>"$work/why"
		if grep -qF -e "$build" -e "$source_dir" "$work/stripped"; then
			echo "${program##*/} does" >>"$work/why"
			status=1
		fi
	done
	return $status
}

runs_clinfo() {
	(cd / && env -i PATH=/usr/bin:/bin HOME="$work" "$work/moved/bin/hira" run -- clinfo -l) >"$work/virtual" 2>"$work/why" &&
		clinfo -l >"$work/native" 2>/dev/null && diff "$work/native" "$work/virtual" >>"$work/why"
}

# shellcheck disable=SC2317  # called through with_hirad
as_icd() { # OCL_ICD_VENDORS names the guest library beside no other vendor: the system's loader finds it
	local library
	library=$(find "$work/moved" -name libOpenCL.so.1 -path '*/hira/opencl/*')
	(cd / && env -i PATH=/usr/bin:/bin HOME="$work" HIRA_SOCKET="$1" OCL_ICD_VENDORS="$library" clinfo -l) \
		>"$work/virtual" 2>"$work/why" && clinfo -l >"$work/native" 2>/dev/null && diff "$work/native" "$work/virtual" >>"$work/why"
}

builds_stack() { # what `hira build` writes is compiled against the installed headers and archives
	local spec=$source_dir/specs/opencl/opencl.lapis
	"$work/moved/bin/hira" build "$spec" -o "$work/stack" >"$work/why" 2>&1 &&
		make -C "$work/stack" HIRA="$work/moved" >>"$work/why" 2>&1 && [ -e "$work/stack/libOpenCL.so.1" ]
}

# The steps of docs/new-api.md, with the installed hira in PATH; the program answers as natively.
new_api() {
	(
		PATH=$work/moved/bin:$PATH
		export HIRA_SOCKET=$work/none.sock
		cp -r "$source_dir/examples/tally" "$work/tally" && cd "$work/tally" &&
			cc -shared -fPIC -Wl,-soname,libtally.so.1 -o libtally.so.1 tally.c && cc -o words words.c libtally.so.1 &&
			hira spec init tally.h -o asked.lapis && ! hira spec check asked.lapis && hira spec check tally.lapis &&
			hira build tally.lapis -o out && make -C out && LD_LIBRARY_PATH=. ./words >native &&
			LD_LIBRARY_PATH=. hira run --lib-dir out --server-dir out ./words >virtual && diff native virtual &&
			make -C out install && LD_LIBRARY_PATH=. hira run ./words >installed && diff native installed
	) >"$work/why" 2>&1
}

with_hirad() { # COMMAND...: with the installed router listening
	local pid status=0 tries=0
	"$work/moved/bin/hirad" --socket "$work/hirad.sock" --work-dir "$work" --log-level error >"$work/hirad.log" 2>&1 </dev/null &
	pid=$!
	while [ ! -S "$work/hirad.sock" ] && [ $tries -lt 100 ]; do sleep 0.1; tries=$((tries + 1)); done
	"$@" "$work/hirad.sock" || status=$?
	kill "$pid"
	wait "$pid" 2>/dev/null
	return $status
}

install_moved
result $? 'meson install into a DESTDIR'
[ -d "$work/moved" ] || finish
expected_files
result $? 'everything is there'
no_traces
result $? 'programs name no folder they were built in'
"$work/moved/bin/hira" spec check "$source_dir/specs/opencl/opencl.lapis" >"$work/why" 2>&1
result $? 'hira compiles a specification'
builds_stack
result $? 'what hira build writes compiles against the installed tree'
new_api
result $? 'docs/new-api.md: from a header to a program that runs'
if ! command -v clinfo >/dev/null; then
	skip 'clinfo under hira run' 'no clinfo'
	skip 'clinfo through the ICD loader' 'no clinfo'
	finish
fi
runs_clinfo
result $? 'clinfo under hira run'
with_hirad as_icd
result $? 'clinfo through the ICD loader'
finish
