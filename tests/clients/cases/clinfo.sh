# clinfo: every platform and device property, in human and raw form, and its count of platforms. All of it is compared.
# SPDX-License-Identifier: Apache-2.0

CASE_PACKAGES='clinfo'
CASE_NEEDS='clinfo'
CASE_SET=short
CASE_VENDORS='pocl oclgrind'
CASE_EXPECT='Number of platforms +1$'

case_run() {
    attempt list clinfo -l
    attempt human clinfo
    attempt raw clinfo --raw
    attempt offline clinfo --offline
}
