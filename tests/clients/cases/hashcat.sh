# hashcat: cracks an MD5 and a SHA-256 by mask; the cracked passwords are compared. It loads libOpenCL with dlopen.
# SPDX-License-Identifier: Apache-2.0

CASE_PACKAGES='hashcat'
CASE_NEEDS='hashcat'
CASE_TIMEOUT=900
CASE_EXPECT='^5f4dcc3b5aa765d61d8327deb882cf99:password$'

crack() {
    attempt "$1" hashcat -m "$2" -a 3 --force --potfile-disable --quiet -D 1 "$3" '?l?l?lsword'
}

case_run() {
    crack md5 0 5f4dcc3b5aa765d61d8327deb882cf99
    crack sha256 1400 5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8
}
