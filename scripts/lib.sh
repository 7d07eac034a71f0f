# shellcheck shell=bash
# What the scripts share: where the tree is, and how they speak. Sourced; the tree's root becomes the working directory.
# SPDX-License-Identifier: Apache-2.0

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$ROOT" || exit 2

if [ -t 1 ] && [ -z "${NO_COLOR:-}" ] && [ "${TERM:-dumb}" != dumb ]; then
	bold=$'\e[1m' dim=$'\e[2m' red=$'\e[31m' green=$'\e[32m' yellow=$'\e[33m' plain=$'\e[0m' terminal=1
else
	bold='' dim='' red='' green='' yellow='' plain='' terminal=
fi
# Most of these are for the scripts that source this one.
export bold dim red green yellow plain terminal

say() { printf '%s\n' "$*"; }

die() {
	printf '%s: %s\n' "${0##*/}" "$*" >&2
	exit 1
}

have() { command -v "$1" >/dev/null 2>&1; }

# Two compiles at a time on two cores; a machine with many cores and little memory is not driven into swapping.
jobs_here() {
	local cores memory
	cores=$(nproc)
	memory=$(awk '/^MemAvailable:/ { print int($2 / 1048576) }' /proc/meminfo)
	if [ "$memory" -lt "$cores" ]; then cores=$((memory > 0 ? memory : 1)); fi
	echo "$cores"
}
