# What run.sh and bench.sh share: the two sides of a comparison (native and wrapped), how a case is loaded, and how a
# client command of a case is started.
#
# SPDX-License-Identifier: Apache-2.0
#
# A case is a bash file that sets, and may leave out all but the first and the last:
#   CASE_PACKAGES   Debian packages it needs, for the reason of a skip
#   CASE_NEEDS      commands or absolute paths (patterns too) that must exist, else the case is skipped
#   CASE_SET        short or full (default full)
#   CASE_VENDORS    vendors under which the case means something (default "pocl")
#   CASE_TIMEOUT    seconds for one client command, kernel compilation included (default 300)
#   CASE_EXPECT     extended regular expression that the native result must match: two equal failures are no success
#   case_prepare    builds what the case needs into $BUILD; runs natively, once per run of the suite
#   case_normalize  filter from raw output to what is compared; removes only what two native runs differ in
#   case_run        runs client commands through `client` or `attempt`, in an empty directory
#
# What case_run prints on stdout is the result. stderr is kept beside it for the reader but not compared: a vendor's
# compiler prints its warnings there, in the server's process under a wrapper and only when a cache is cold.

CLIENTS=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
PROGRAMS=$CLIENTS/programs
WRAPPER=()
SIDE=native
VENDOR=pocl
WORKDIR=${XDG_CACHE_HOME:-$HOME/.cache}/hira-clients

die() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit 2
}

# Splits a wrapper command into words. Cases run in directories of their own, so a relative path to the wrapper itself is
# made absolute.
set_wrapper() {
    read -ra WRAPPER <<<"$1"
    ((${#WRAPPER[@]})) || return 0
    case ${WRAPPER[0]} in
    */*) WRAPPER[0]=$(realpath -e -- "${WRAPPER[0]}") || die "no such wrapper: $1" ;;
    *) command -v -- "${WRAPPER[0]}" >/dev/null || die "no such wrapper: $1" ;;
    esac
}

use_workdir() {
    mkdir -p -- "$WORKDIR" || die "no directory $WORKDIR"
    WORKDIR=$(realpath -- "$WORKDIR")
}

vendor_icd() {
    case $VENDOR in
    pocl) echo /etc/OpenCL/vendors/pocl.icd ;;
    oclgrind) echo /usr/lib/oclgrind/liboclgrind-rt-icd.so ;;
    *) die "unknown vendor $VENDOR" ;;
    esac
}

# Natively the loader is told the vendor; under the wrapper only the wrapper's own variable is set, so that the client
# sees nothing that could lead it to the vendor directly. This is the one place that knows that variable.
vendor_environment() {
    case $SIDE in
    native) export OCL_ICD_VENDORS=$1 ;;
    wrapped) export HIRA_VENDOR_ICD=$1 ;;
    esac
}

# Each side has a home of its own: PoCL, PyOpenCL, hashcat, OpenCV and StarPU keep caches there, and one side must not
# find kernels compiled for the other.
side_environment() {
    local home=$WORKDIR/$VENDOR/$SIDE/home
    mkdir -p -- "$home"
    unset OCL_ICD_VENDORS HIRA_VENDOR_ICD POCL_CACHE_DIR XDG_CACHE_HOME XDG_CONFIG_HOME XDG_DATA_HOME DISPLAY
    export HOME=$home LC_ALL=C.UTF-8 TZ=UTC
    vendor_environment "$(vendor_icd)"
}

# Runs a command and waits for it; if this shell is told to end meanwhile, the command ends first. A command in the
# foreground would delay the trap until its own end, and timeout(1) takes its command out of reach of a terminal's ^C.
run_child() {
    local status=0
    "$@" &
    CHILD=$!
    trap 'kill "$CHILD" 2>/dev/null; wait "$CHILD"; exit 143' INT TERM
    wait "$CHILD" || status=$?
    trap - INT TERM
    return "$status"
}

# Runs one client command on the current side, with the case's limit on its time.
client() {
    local wrapper=()
    [[ $SIDE == wrapped ]] && wrapper=("${WRAPPER[@]}")
    run_child timeout --kill-after=10 "$CASE_TIMEOUT" "${wrapper[@]}" "$@"
}

# Like client, for cases of many commands: prints a heading and the exit status, and lets the case go on.
attempt() {
    local title=$1 status=0
    shift
    printf '== %s\n' "$title"
    client "$@" || status=$?
    printf '== %s: exit status %d\n' "$title" "$status"
}

reset_case() {
    CASE_PACKAGES='' CASE_NEEDS='' CASE_SET=full CASE_VENDORS=pocl CASE_TIMEOUT=300 CASE_EXPECT=''
    case_prepare() { :; }
    case_normalize() { cat; }
    case_run() { die "a case without case_run"; }
}

load_case() {
    reset_case
    BUILD=$WORKDIR/build
    mkdir -p -- "$BUILD"
    # shellcheck source=/dev/null
    source "$1"
}

# Prints why the loaded case cannot run here, or nothing.
skip_reason() {
    local need
    [[ " $CASE_VENDORS " == *" $VENDOR "* ]] || { echo "not for vendor $VENDOR"; return; }
    [[ -e $(vendor_icd) ]] || { echo "vendor $VENDOR is not installed ($(vendor_icd))"; return; }
    for need in $CASE_NEEDS; do
        if ! command -v -- "$need" >/dev/null && [[ ! -e $need ]]; then
            echo "no $need: needs Debian packages $CASE_PACKAGES"
            return
        fi
    done
}

# Compiles a C++ program of ours, unless the binary is newer than its source.
build_cxx() {
    local source=$1 binary=$2
    shift 2
    [[ $binary -nt $source ]] || g++ -O1 -w -DCL_TARGET_OPENCL_VERSION=120 -o "$binary" "$source" "$@" -lOpenCL
}

# Microseconds of the wall clock; EPOCHREALTIME has the locale's decimal mark in it.
now_us() {
    echo "${EPOCHREALTIME//[!0-9]/}"
}

seconds() {
    printf '%d.%02d' $(($1 / 1000000)) $(($1 % 1000000 / 10000))
}

# What differs between any two runs of any case: the directories we gave it, and the temporary file in PoCL's cache that
# its build logs name as the source.
normalize_paths() {
    sed -E -e 's|/[^ ]*/tempfile_[A-Za-z0-9]{6}\.cl|@SOURCE@|g' -e "s|$1|@CWD@|g" -e "s|$WORKDIR/$VENDOR/$SIDE/home|@HOME@|g"
}

run_here() {
    side_environment
    cd -- "$1" || exit 2
    case_run
}

# Runs the loaded case on side $1 in directory $2; leaves stdout, stderr, and result (what is compared) there, and the
# wall time in microseconds in ELAPSED.
run_side() {
    local dir=$2 status=0 start
    SIDE=$1
    rm -rf -- "$dir"
    mkdir -p -- "$dir/cwd"
    start=$(now_us)
    run_child run_here "$dir/cwd" >"$dir/stdout" 2>"$dir/stderr" </dev/null || status=$?
    ELAPSED=$(($(now_us) - start))
    {
        case_normalize <"$dir/stdout"
        printf 'exit status %d\n' "$status"
    } | normalize_paths "$dir/cwd" >"$dir/result"
    SIDE=native
}
