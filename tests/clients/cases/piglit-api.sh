# piglit's OpenCL programs about API calls, and its custom ones: what each prints, PIGLIT verdict included, is compared.
# Some fail on PoCL natively; then they must fail in the same way.
# SPDX-License-Identifier: Apache-2.0

PIGLIT=/usr/lib/x86_64-linux-gnu/piglit
CASE_PACKAGES='piglit'
CASE_NEEDS="$PIGLIT/bin/cl-api-get-platform-ids"
CASE_VENDORS='pocl oclgrind'
CASE_TIMEOUT=60
CASE_EXPECT='"result": "pass"'

# create-command-queue asks for a queue on the device. PoCL 3.1 ends the process there; a server's end must not be the
# client's, so under a wrapper it goes on. Of this program only that it ended by itself is compared.
case_normalize() {
    local queue='== cl-api-create-command-queue'
    sed -E -e "/^$queue\$/,/^$queue:/{/^==/!d;s/status [0-9]{1,2}\$/status N/}" -e 's/0x[0-9a-f]{6,}/ADDRESS/g'
}

case_run() {
    local program bin=$PIGLIT/bin
    export PIGLIT_SOURCE_DIR=$PIGLIT
    for program in "$bin"/cl-{api,custom}-* "$bin"/cl-program-{bitcoin-phatk,max-work-item-sizes,predefined-macros}; do
        attempt "${program##*/}" "$program" -auto
    done
}
