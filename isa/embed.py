# Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
"""Writes a file as a C array, for what a program carries with it.  usage: embed.py INPUT OUTPUT"""
import sys

data = open(sys.argv[1], "rb").read()
with open(sys.argv[2], "w") as out:
    out.write("static const char report_template[] = {\n")
    for at in range(0, len(data), 24):
        out.write(",".join(str(b if b < 128 else b - 256) for b in data[at:at + 24]) + ",\n")
    out.write("0};\n")
