# clFFT's client: its verdict on transforms of several shapes, precisions and layouts.
# SPDX-License-Identifier: Apache-2.0

CASE_PACKAGES='clfft-client'
CASE_VENDORS='pocl oclgrind'
CASE_NEEDS='clFFT-client'
CASE_SET=short
CASE_EXPECT='PASS'

# Times and rates of the transform.
case_normalize() {
    sed -E 's/(Execution (wall time|gflops): ).*/\1N/'
}

case_run() {
    attempt 2d clFFT-client -c -x 64 -y 64 -p 1
    attempt 1d-double clFFT-client -c --double -x 4096 -b 8 -p 1
    attempt 3d-planar clFFT-client -c -x 16 -y 16 -z 16 -p 1 --inLayout 2 --outLayout 2 -o
    attempt inverse clFFT-client -c --inv -x 120 -y 30 -p 1
}
