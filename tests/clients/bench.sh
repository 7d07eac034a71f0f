#!/bin/bash
# Times unmodified OpenCL programs from start to end, natively and under a wrapper, and prints the ratios.
#
# SPDX-License-Identifier: Apache-2.0
#
# The sides alternate run by run, so that a slow spell of the machine meets both, and medians are compared; both sides'
# caches are filled first, and which side begins alternates too. A time is of a whole process, the wrapper's own start
# included. Without a wrapper the program is timed natively against itself: the ratios then show what this machine can
# tell apart.

set -u
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

usage() {
    cat <<'END'
usage: bench.sh [options] [NAME...]
  --wrapper "CMD"   run the second side as CMD program arguments (default: natively again)
  --runs N          runs of each side (default 5)
  --vendor NAME     pocl (default) or oclgrind
  --workdir DIR     caches and outputs (default ~/.cache/hira-clients, shared with run.sh)
  --json FILE       write every time and the summary there
END
}

parse_options() {
    RUNS=5 JSON='' NAMES=()
    while (($#)); do
        case $1 in
        --wrapper | --runs | --vendor | --workdir | --json) (($# > 1)) || die "$1 needs an argument" ;;&
        --wrapper) set_wrapper "$2"; shift ;;
        --runs) RUNS=$2; shift ;;
        --vendor) VENDOR=$2; shift ;;
        --workdir) WORKDIR=$2; shift ;;
        --json) JSON=$2; shift ;;
        --help) usage; exit 0 ;;
        -*) usage >&2; exit 2 ;;
        *) NAMES+=("$1") ;;
        esac
        shift
    done
    [[ $RUNS =~ ^[1-9][0-9]*$ ]] || die "--runs $RUNS is not a number"
    vendor_icd >/dev/null
    use_workdir
}

select_benchmarks() {
    local file
    ((${#NAMES[@]})) && return
    for file in "$CLIENTS"/bench/*.sh; do
        NAMES+=("$(basename -- "$file" .sh)")
    done
}

# One run of side $2 of benchmark $1; a failed client ends the benchmark, for its time means nothing.
timed() {
    local dir=$WORKDIR/$VENDOR/$2/bench/$1
    run_side "$2" "$dir"
    tail -n 1 -- "$dir/result" | grep -qx 'exit status 0' && return
    printf '%s: failed %s\n' "$1" "$2"
    tail -n 3 -- "$dir/result" "$dir/stderr"
    return 1
}

# Appends "name first second" in microseconds for each pair of runs to $TIMES.
measure() {
    local name=$1 run first second
    timed "$name" native && timed "$name" "$SECOND" || return 1
    for ((run = 0; run < RUNS; run++)); do
        if ((run % 2)); then
            timed "$name" "$SECOND" || return 1
            second=$ELAPSED
            timed "$name" native || return 1
            first=$ELAPSED
        else
            timed "$name" native || return 1
            first=$ELAPSED
            timed "$name" "$SECOND" || return 1
            second=$ELAPSED
        fi
        printf '%s %d %d\n' "$name" "$first" "$second" >>"$TIMES"
    done
}

load_average() {
    cut -d ' ' -f 1-3 /proc/loadavg
}

main() {
    local name reason failed=0
    parse_options "$@"
    select_benchmarks
    SECOND=native
    ((${#WRAPPER[@]})) && SECOND=wrapped
    TIMES=$WORKDIR/bench-times
    : >"$TIMES"
    printf 'load average before: %s; %d CPUs\n' "$(load_average)" "$(nproc)"
    for name in "${NAMES[@]}"; do
        [[ -e $CLIENTS/bench/$name.sh ]] || die "no benchmark $name"
        load_case "$CLIENTS/bench/$name.sh"
        reason=$(skip_reason)
        if [[ -n $reason ]]; then
            printf '%s: skipped: %s\n' "$name" "$reason"
        else
            measure "$name" || failed=1
        fi
    done
    printf 'load average after: %s\n' "$(load_average)"
    /usr/bin/python3 "$CLIENTS/summarize.py" "$TIMES" ${JSON:+"$JSON"} || failed=1
    return "$failed"
}

main "$@"
