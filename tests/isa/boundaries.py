#!/usr/bin/env python3
# Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
"""Compares where instructions begin, as isapop and as objdump see it, in system binaries chosen at random. Prints TAP.

usage: boundaries.py HELPER [SEED]

The two may differ only in suspicious spans: those that isapop flags, where bytes are no instructions, and behind such a span until
both agree again, as objdump reads through data and needs some instructions to find back. Everything between is compared.

HIRA_SOAK=1: 300 binaries of up to 30 MB instead of 50 of up to 250 kB.
"""
import bisect
import glob
import os
import random
import re
import shutil
import subprocess
import sys
import time

SOAK = bool(os.environ.get("HIRA_SOAK"))
WANTED = 300 if SOAK else 50
LARGEST = 30_000_000 if SOAK else 250_000
WAITING = r"f(stcw|stsw|clex|init|save|stenv)\b"  # what objdump shows as one is two: FWAIT, and the same without waiting
RESYNC = 64  # bytes within which a reader that was led astray finds back: some 20 instructions


def candidates():
    paths = glob.glob("/usr/bin/*") + glob.glob("/usr/sbin/*") + glob.glob("/usr/lib/*/*.so*") + glob.glob("/usr/lib/*/*")
    found = {}
    for path in paths:
        try:
            real = os.path.realpath(path)
            info = os.stat(real)
            if not os.path.isfile(real) or not 5000 < info.st_size < LARGEST or real in found:
                continue
            with open(real, "rb") as f:
                head = f.read(20)
        except OSError:
            continue
        # 64-bit, little-endian, an executable or shared object, for x86-64
        if head[:6] == b"\x7fELF\x02\x01" and head[16] in (2, 3) and head[18:20] == b"\x3e\x00":
            found[real] = True
    return sorted(found)


def objdump(path):
    """Addresses of instructions, and of what objdump itself calls bad."""
    text = subprocess.run(["objdump", "-d", "-z", "-w", "--no-show-raw-insn", path], capture_output=True, text=True, errors="replace").stdout
    starts, bad = set(), set()
    for match in re.finditer(r"^ *([0-9a-f]+):\t(.*)$", text, re.M):
        address = int(match.group(1), 16)
        starts.add(address)
        if re.match(WAITING, match.group(2)):
            starts.add(address + 1)
        if "(bad)" in match.group(2) or match.group(2).startswith(".byte"):
            bad.add(address)
    return starts, bad


def isapop(helper, path):
    starts, flagged = set(), set()
    for line in subprocess.run([helper, path], capture_output=True, text=True, check=True).stdout.splitlines():
        kind, address = line.split()
        address = int(address, 16)
        if kind != "b":
            starts.add(address)
        if kind != "i":
            flagged.add(address)
    return starts, flagged


def compare(helper, path):
    theirs, bad = objdump(path)
    ours, flagged = isapop(helper, path)
    common = sorted(ours & theirs)
    suspicious = sorted(flagged | bad)
    differing = sorted((ours ^ theirs) - flagged - bad)
    unexplained = []
    for address in differing:
        at = bisect.bisect_right(suspicious, address)
        near = [suspicious[i] for i in (at - 1, at) if 0 <= i < len(suspicious)]
        if not any(abs(address - s) <= RESYNC for s in near):
            unexplained.append(address)
    return len(ours), len(differing), unexplained, len(common)


def main():
    helper = sys.argv[1]
    if not shutil.which("objdump"):
        print("ok 1 - boundaries # SKIP objdump is not installed\n1..1")
        return 0
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else int(time.time())
    print(f"# seed {seed}")
    everything = candidates()
    chosen = random.Random(seed).sample(everything, min(WANTED, len(everything)))
    failed = instructions = 0
    for n, path in enumerate(chosen, 1):
        total, differing, unexplained, _ = compare(helper, path)
        instructions += total
        failed += bool(unexplained)
        print(f"{'not ok' if unexplained else 'ok'} {n} - boundaries of {path}: {total} instructions, {differing} differ in suspicious spans")
        for address in unexplained[:5]:
            print(f"# differs at {address:#x}, which is in no suspicious span")
    n = len(chosen) + 1
    enough = len(chosen) >= 50
    print(f"{'ok' if enough else 'not ok'} {n} - at least 50 binaries were compared ({len(chosen)}, {instructions} instructions)")
    print(f"1..{n}")
    return 1 if failed or not enough else 0


sys.exit(main())
