#!/bin/bash
# Runs unmodified OpenCL programs natively and under a wrapper and compares what they print.
#
# SPDX-License-Identifier: Apache-2.0
#
# Without a wrapper each case runs natively twice: that checks that the cases themselves are deterministic. Output is
# TAP. The exit status is 0 only if no case failed and each listed case was accounted for.

set -u
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

usage() {
    cat <<'END'
usage: run.sh [options] [CASE...]
  --wrapper "CMD"   run the second side as CMD client arguments (default: natively again)
  --short           only the cases of the short set (default without CASE: all)
  --vendor NAME     pocl (default) or oclgrind
  --warm            run the wrapped client once before the run that is compared and timed
  --workdir DIR     caches, builds and outputs (default ~/.cache/hira-clients)
  --json FILE       write the results there, after every case
  --resume FILE     take over the passes of an earlier --json FILE
  --no-skip         a skipped case is a failed one
  --list            print the names of the cases and end
END
}

parse_options() {
    SHORT=0 WARM=0 NO_SKIP=0 LIST=0 JSON='' RESUME='' NAMES=()
    while (($#)); do
        case $1 in
        --wrapper | --vendor | --workdir | --json | --resume) (($# > 1)) || die "$1 needs an argument" ;;&
        --wrapper) set_wrapper "$2"; shift ;;
        --vendor) VENDOR=$2; shift ;;
        --workdir) WORKDIR=$2; shift ;;
        --json) JSON=$2; shift ;;
        --resume) RESUME=$2; shift ;;
        --short) SHORT=1 ;;
        --warm) WARM=1 ;;
        --no-skip) NO_SKIP=1 ;;
        --list) LIST=1 ;;
        --help) usage; exit 0 ;;
        -*) usage >&2; exit 2 ;;
        *) NAMES+=("$1") ;;
        esac
        shift
    done
    use_workdir
    vendor_icd >/dev/null
}

# The names given, or all of the chosen set.
select_cases() {
    local file name
    ((${#NAMES[@]})) && return
    for file in "$CLIENTS"/cases/*.sh; do
        name=$(basename -- "$file" .sh)
        load_case "$file"
        if ((!SHORT)) || [[ $CASE_SET == short ]]; then NAMES+=("$name"); fi
    done
}

json_string() {
    local text=$1
    text=${text//\\/\\\\}
    text=${text//\"/\\\"}
    printf '"%s"' "${text//[[:cntrl:]]/ }"
}

# One object a line, so that --resume can read it back with grep; rewritten whole, so that it is always valid JSON.
write_json() {
    local line comma=''
    [[ -n $JSON ]] || return 0
    {
        echo '['
        for line in "${RECORDS[@]}"; do
            printf '%s%s' "$comma" "$line"
            comma=$',\n'
        done
        printf '\n]\n'
    } >"$JSON.new" && mv -- "$JSON.new" "$JSON"
}

record() { # name result reason native_us wrapped_us
    RECORDS+=("{\"case\":\"$1\",\"vendor\":\"$VENDOR\",\"result\":\"$2\",\"reason\":$(json_string "$3"),\
\"native_s\":$(seconds "$4"),\"wrapped_s\":$(seconds "$5")}")
    write_json
}

pass() { # name native_us wrapped_us [remark]
    PASSED=$((PASSED + 1))
    printf 'ok %d - clients/%s%s\n# %s: native %s s, %s %s s\n' \
        "$NUMBER" "$1" "${4:+ # $4}" "$1" "$(seconds "$2")" "$SECOND" "$(seconds "$3")"
    record "$1" pass "${4:-}" "$2" "$3"
}

fail() { # name reason native_us wrapped_us
    FAILED=$((FAILED + 1))
    printf 'not ok %d - clients/%s\n# %s\n' "$NUMBER" "$1" "$2"
    record "$1" fail "$2" "$3" "$4"
}

skip() { # name reason
    if ((NO_SKIP)); then
        fail "$1" "skipped: $2" 0 0
        return
    fi
    SKIPPED=$((SKIPPED + 1))
    printf 'ok %d - clients/%s # SKIP %s\n' "$NUMBER" "$1" "$2"
    record "$1" skip "$2" 0 0
}

as_comment() {
    cut -c1-240 | sed 's/^/#   /'
}

# Fills the caches of a side, natively once for each workdir and version of the case: a cold run may take ten times as long.
warm_side() {
    local name=$1 side=$2 stamp=$WORKDIR/$VENDOR/$2/warm/$1
    [[ $side == native && $stamp -nt $CLIENTS/cases/$name.sh ]] && return
    run_side "$side" "$WORKDIR/$VENDOR/$side/runs/$name"
    mkdir -p -- "${stamp%/*}" && touch -- "$stamp"
}

# Whether the results of case $1 differ just as differences/CASE.VENDOR says: the lines that go and come, in order.
documented() { # name first second
    local known=$CLIENTS/differences/$1.$VENDOR
    [[ -f $known ]] && diff -U0 -- "$2/result" "$3/result" | sed -n '3,$p' | grep '^[-+]' | cmp -s -- - "$known"
}

compare() { # name
    local name=$1 first=$WORKDIR/$VENDOR/native/runs/$1 second=$WORKDIR/$VENDOR/$SECOND/runs/$1 native_us
    [[ $SECOND == native ]] && second+=.again
    warm_side "$name" native
    run_side native "$first"
    native_us=$ELAPSED
    if [[ -n $CASE_EXPECT ]] && ! grep -qE -- "$CASE_EXPECT" "$first/result"; then
        fail "$name" "the native run did not print what it should: $CASE_EXPECT" "$native_us" 0
        tail -n 20 -- "$first/result" "$first/stderr" | as_comment
        return
    fi
    ((WARM)) && [[ $SECOND == wrapped ]] && warm_side "$name" wrapped
    run_side "$SECOND" "$second"
    if cmp -s -- "$first/result" "$second/result"; then
        pass "$name" "$native_us" "$ELAPSED"
        return
    fi
    if [[ $SECOND == wrapped ]] && documented "$name" "$first" "$second"; then
        pass "$name" "$native_us" "$ELAPSED" 'differs as docs/differences.md says'
        return
    fi
    fail "$name" "native and $SECOND results differ" "$native_us" "$ELAPSED"
    diff -u --label native --label "$SECOND" "$first/result" "$second/result" | head -n 60 | as_comment
    tail -n 5 -- "$second/stderr" | as_comment
}

passed_before() {
    [[ -n $RESUME ]] && grep -qsF -- "{\"case\":\"$1\",\"vendor\":\"$VENDOR\",\"result\":\"pass\"" "$RESUME"
}

run_case() {
    local name=$1 file=$CLIENTS/cases/$1.sh reason line
    if [[ ! -e $file ]]; then
        fail "$name" "no such case" 0 0
    elif passed_before "$name"; then
        PASSED=$((PASSED + 1))
        line=$(grep -F -- "{\"case\":\"$name\",\"vendor\":\"$VENDOR\"" "$RESUME")
        RECORDS+=("${line%,}")
        printf 'ok %d - clients/%s\n# %s: passed in %s\n' "$NUMBER" "$name" "$name" "$RESUME"
    else
        load_case "$file"
        reason=$(skip_reason)
        if [[ -n $reason ]]; then
            skip "$name" "$reason"
        elif ! case_prepare >"$BUILD/$name.log" 2>&1; then
            fail "$name" "cannot be built" 0 0
            tail -n 20 -- "$BUILD/$name.log" | as_comment
        else
            compare "$name"
        fi
    fi
}

main() {
    local name
    parse_options "$@"
    select_cases
    if ((LIST)); then
        printf '%s\n' "${NAMES[@]}"
        exit 0
    fi
    SECOND=native
    ((${#WRAPPER[@]})) && SECOND=wrapped
    NUMBER=0 PASSED=0 FAILED=0 SKIPPED=0 RECORDS=()
    printf '1..%d\n' "${#NAMES[@]}"
    for name in "${NAMES[@]}"; do
        NUMBER=$((NUMBER + 1))
        run_case "$name"
    done
    write_json
    printf '%d passed, %d failed, %d skipped\n' "$PASSED" "$FAILED" "$SKIPPED"
    ((FAILED == 0 && PASSED + SKIPPED == ${#NAMES[@]}))
}

main "$@"
