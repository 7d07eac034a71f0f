#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A server without a guest: recorded streams of messages, good and bad, through `hira-server-null --input`. Prints TAP.

usage: recorded.py SERVER SERVER_C      the generated server and its source, for the names and signatures of its functions
"""
import os
import re
import struct
import subprocess
import sys

SERVER, SOURCE = sys.argv[1:3]
HELLO, OPEN_LANE, GROW, RECORD, FILL = 1, 4, 7, 16, 17
SYNC, SPILLED, DEPS = 1, 2, 4
FUNCTIONS = re.findall(r'^    \{"(\w+)", (0x[0-9a-f]+), ', open(SOURCE).read(), re.M)
INDEX = {name: i for i, (name, _) in enumerate(FUNCTIONS)}
ENVIRONMENT = dict(os.environ, HIRA_VENDOR=os.path.join(os.path.dirname(os.path.abspath(SERVER)), "libnullvendor.so"))
tests = failed = 0


def message(kind, body, version=1):
    return struct.pack("<IHHII", 0x41524948, version, kind, 16 + len(body), 0) + body


def hello(api=b"null"):
    entries = b"".join(struct.pack("<IB", int(signature, 16), len(name)) + name.encode() for name, signature in FUNCTIONS)
    return message(HELLO, api.ljust(32, b"\0") + struct.pack("<IIII", 1, len(FUNCTIONS), len(entries), 0) + entries)


def open_lane():
    return message(OPEN_LANE, struct.pack("<IIQ", 0, 0, 0))


def grow(size):
    return message(GROW, struct.pack("<QQ", size, 0))


def record(function, words=(), flags=SYNC, lane=0):
    number = INDEX.get(function, function)
    return message(RECORD, struct.pack("<IHH", lane, number, flags) + b"".join(struct.pack("<Q", w & (1 << 64) - 1) for w in words))


def fill(offset, data):
    return message(FILL, struct.pack("<Q", offset) + data)


def expect(name, status, *messages):
    global tests, failed
    run = subprocess.run([SERVER, "--input", "-"], input=b"".join(messages), capture_output=True, timeout=60, env=ENVIRONMENT)
    tests += 1
    ok = run.returncode == status
    failed += not ok
    print(f"{'ok' if ok else 'not ok'} {tests} - {name}")
    if not ok:
        print(f"# status {run.returncode}, expected {status}")
        for line in run.stderr.decode(errors="replace").splitlines()[-20:]:
            print("# " + line)


start = hello() + open_lane()
expect("nothing at all", 1)
expect("a HELLO, then the end", 0, hello())
expect("another API", 1, hello(b"other"))
expect("half a message", 0, hello(), open_lane()[:20])
expect("calls, synchronous and not", 0, start, record("nullAdd32", [1, 2]), record("nullPost", [1, 2, 3, 4], 0), record(0xfffe))
expect("two lanes", 0, start, open_lane(), record("nullAdd32", [1, 2], lane=1), record("nullAdd32", [1, 2]))
expect("a dependency on what never comes does not hold it up", 0, start, record("nullNop", [0, 99, 1], SYNC | DEPS))
expect("a payload in the arena", 0, start, grow(1 << 20), fill(4096, struct.pack("<QQ", 1, 2)),
       record("nullAdd32", [4096, 16], SYNC | SPILLED))
expect("a string that is fetched", 0, start, grow(1 << 20), record("nullLetters", [100000, 0]), record(0xfffb, [100001 << 3 | 2, 4096]))
expect("a string that there is not", 1, start, grow(1 << 20), record(0xfffb, [100001 << 3 | 2, 4096]))
expect("an arena that is too large is refused", 0, start, grow(1 << 60))
expect("a record that ends early", 1, start, record("nullAdd32", [1]))
expect("a payload beyond the arena", 1, start, grow(1 << 20), record("nullAdd32", [1 << 40, 16], SYNC | SPILLED))
expect("a function that there is not", 1, start, record(5000))
expect("a function without a record", 1, start, record("nullRetainQueue", [0]))
expect("a lane that was not opened", 1, start, record("nullNop", lane=3))
expect("a message of another kind", 1, start, message(9, bytes(64)))
expect("a message of another version", 1, start, message(OPEN_LANE, bytes(16), version=7))
expect("a message that says it is endless", 1, start, struct.pack("<IHHII", 0x41524948, 1, OPEN_LANE, 0xFFFFFFFF, 0))
print(f"1..{tests}")
sys.exit(failed != 0)
