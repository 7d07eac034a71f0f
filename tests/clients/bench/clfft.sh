# clFFT: 200 two-dimensional transforms in batches of 4; long kernels on resident data.
# SPDX-License-Identifier: Apache-2.0

CASE_PACKAGES='clfft-client'
CASE_NEEDS='clFFT-client'

case_run() {
    client clFFT-client -c -x 512 -y 512 -b 4 -p 200
}
