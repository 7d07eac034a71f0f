# clpeak: bandwidth, transfer and latency tests; numbers are masked, so that which tests ran and what the device is
# called is compared.
# SPDX-License-Identifier: Apache-2.0

CASE_PACKAGES='clpeak'
CASE_NEEDS='clpeak'
CASE_TIMEOUT=900
CASE_EXPECT='enqueueWriteBuffer'

# Results stand after a colon, with a unit or none; versions, compute units and clock stay.
case_normalize() {
    sed -E '/(Driver version|Compute units|Clock frequency)/!s/: [0-9.]+( us)?$/: N\1/'
}

case_run() {
    client clpeak --global-bandwidth --transfer-bandwidth --kernel-latency
}
