#!/bin/bash
# Makes the Debian packages and looks inside. Prints TAP.
# SPDX-License-Identifier: Apache-2.0
#
# usage: run.sh WORKDIR
set -u

cd "$(dirname "$0")/../.." || exit 2
work=$(realpath -m "$1")
n=0 failed=0

result() { # STATUS LABEL: what stands in $work.why is shown when it failed
	n=$((n + 1))
	if [ "$1" = 0 ]; then
		echo "ok $n - deb/$2"
	else
		failed=$((failed + 1))
		echo "not ok $n - deb/$2"
		tail -n 30 "$work.why" | sed 's/^/# /'
	fi
}

contents() { # PACKAGE
	dpkg-deb --contents "$work/$1"_*.deb | awk '{ print substr($6, 2) }'
}

has() { # PACKAGE PATH...
	local package=$1 path status=0
	shift
	contents "$package" >"$work.list" 2>"$work.why" || return 1
	for path; do
		grep -qx "$path" "$work.list" || { echo "not in $package: $path" >>"$work.why"; status=1; }
	done
	return $status
}

nothing_twice() {
	{ contents hira; contents hira-dev; } | grep -v '/$' | sort | uniq -d >"$work.why"
	[ ! -s "$work.why" ]
}

# Unpacked elsewhere it runs: the loader finds what it needs, and the unit starts what is there.
unpacked_runs() {
	local program
	rm -rf "$work.root"
	dpkg-deb --extract "$work"/hira_*.deb "$work.root" && "$work.root/usr/bin/hira" --version &&
		"$work.root/usr/bin/hirad" --check --config "$work.root/etc/hira/hirad.conf" || return 1
	sed -n 's/^ExecStart[A-Za-z]*=\([^ ]*\).*/\1/p' "$work.root/lib/systemd/system/hirad.service" | while read -r program; do
		[ -x "$work.root$program" ] || { echo "the unit starts $program"; return 1; }
	done
}

for tool in dpkg-buildpackage dh dpkg-deb; do
	if ! command -v "$tool" >/dev/null; then
		echo "ok 1 - deb/packages # SKIP $tool is not installed"
		echo "1..1"
		exit 0
	fi
done
scripts/deb "$work" >"$work.why" 2>&1
result $? 'packages are made'
if [ $failed = 0 ]; then
	has hira /usr/bin/hira /usr/bin/hirad /usr/libexec/hira/hira-server-opencl /usr/lib/hira/opencl/libOpenCL.so.1 \
		/lib/systemd/system/hirad.service /etc/hira/hirad.conf /usr/share/bash-completion/completions/hira \
		/usr/share/hira/grafana/hira.json /usr/share/man/man{1/hira.1,5/hirad.conf.5,8/hirad.8}.gz \
		/usr/share/man/man1/hira-{run,stat,trace,container,doctor,status,top,tenant,pause,resume,kill,reload,spec,build}.1.gz
	result $? 'hira has what runs, its pages, its unit'
	has hira-dev /usr/bin/hira-compile /usr/include/hira/server/server.h /usr/lib/hira/libhira-server.a /usr/lib/hira/libhira-guest.a
	result $? 'hira-dev has the compiler, and what it is for'
	nothing_twice
	result $? 'no file is in both'
	dpkg-deb --field "$work"/hira_*.deb Depends >"$work.why" && grep -q 'libuv1' "$work.why" && ! grep -q clang "$work.why"
	result $? 'hira depends on what it needs, and on no compiler'
	dpkg-deb --info "$work"/hira_*.deb conffiles >"$work.why" 2>&1 && grep -qx /etc/hira/hirad.conf "$work.why"
	result $? 'the configuration is the operator'"'"'s'
	unpacked_runs >"$work.why" 2>&1
	result $? 'unpacked it runs'
fi
rm -rf "$work.root" "$work.list" "$work.why"
echo "1..$n"
exit $((failed > 0))
