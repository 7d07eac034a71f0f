# asl-hardware: the devices as ASL's library sees them. All of it is compared.
# SPDX-License-Identifier: Apache-2.0

CASE_PACKAGES='asl-tools'
CASE_VENDORS='pocl oclgrind'
CASE_NEEDS='asl-hardware'
CASE_EXPECT='Number of devices: 1'

case_run() {
    client asl-hardware
}
