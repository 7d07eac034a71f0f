# hcxkeys: PBKDF2 of 41 passwords on the device; the keys are compared, the first also with its known value.
# SPDX-License-Identifier: Apache-2.0

CASE_PACKAGES='hcxkeys'
CASE_VENDORS='pocl oclgrind'
CASE_NEEDS='wlangenpmkocl'
CASE_EXPECT='^fab1a1bd3ed2288bb521a3ebbecbb4cbb14bb37a7053872cc2a29575c50f2427$'

case_run() {
    printf 'password%02d\n' {0..40} >words
    client wlangenpmkocl -e hira -i words -a keys
    cat keys
}
