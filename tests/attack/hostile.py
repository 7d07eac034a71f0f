#!/usr/bin/python3
# Hostile guests of the null API, byte by byte: each is refused or dropped, a guest beside it notices nothing, nothing hangs.
# Prints TAP.
# SPDX-License-Identifier: Apache-2.0
#
# usage: hostile.py BUILDDIR/tests/nullapi [TEST...]
import array
import ctypes
import mmap
import os
import random
import re
import socket
import struct
import subprocess
import sys
import tempfile
import time

MAGIC, VERSION = 0x41524948, 1
HELLO, WELCOME, REFUSED, OPEN_LANE, LANE, GROW, SEGMENT = 1, 2, 3, 4, 5, 7, 8
RELEASE, NOP, LATER = 0xffff, 0xfffe, 0xfffb
SYNC, SPILLED, DEPS = 1, 2, 4
NULL, INLINE, ARENA, BLOCK, STREAM = range(5)
OK, FAILED, INVALID = 0, 1, 2
CONTROL, RING, REPLY = 4096, 65536, 32768
LIMIT = 10  # seconds for anything that must happen
DEVICE, QUEUE, EVENT = 2, 3, 4
LIBC = ctypes.CDLL(None)
FUTEX, FUTEX_WAKE = {"x86_64": 202, "aarch64": 98}.get(os.uname().machine, 202), 1
WAITING = ("nullBlock", "nullFinish", "nullWaitEvents", "nullSort", "nullEach")


class Dropped(Exception):
    pass


def mem(kind, length):
    return kind | length << 3


def name(index, generation, kind):
    return index | generation << 32 | kind << 56


class Lane:
    def __init__(self, fd):
        self.map = mmap.mmap(fd, CONTROL + RING + REPLY)
        self.sleeps = ctypes.c_uint32.from_buffer(self.map, 64)
        self.sequence = self.head = 0

    def record(self, function, words, flags, size=None, stamp=None):
        body = struct.pack("<IHH", 16 + 8 * len(words) if size is None else size, function, flags)
        body += struct.pack("<%dQ" % len(words), *words)
        lines = (8 + len(body) + 63) // 64
        self.sequence += 1

        def put(position, data):
            for i in range(0, len(data), 8):
                at = CONTROL + (position + i) % RING
                self.map[at:at + 8] = data[i:i + 8]
        put(self.head + lines * 64, bytes(8))
        put(self.head + 8, body)
        put(self.head, struct.pack("<Q", self.sequence << 8 | lines if stamp is None else stamp))
        self.head += lines * 64
        self.wake()

    def wake(self):
        """A callee that sleeps is not awake before it is told."""
        self.sleeps.value = 0
        LIBC.syscall(FUTEX, ctypes.byref(self.sleeps), FUTEX_WAKE, 1, None, None, 0)


class Guest:
    """One connection; every value of it may be wrong."""
    functions, api = [], b"null"

    def __init__(self, path, hello=None):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.sock.settimeout(LIMIT)
        self.sock.connect(path)
        self.sock.send(hello or self.hello())
        self.welcome = self.receive()[0]
        self.lanes = []

    @classmethod
    def hello(cls, **wrong):
        entries = b"".join(struct.pack("<IB", h, len(n)) + n.encode() for n, h in cls.functions)
        v = {"api": cls.api, "n": len(cls.functions), "entries": len(entries), "environment": 0}
        v.update(wrong)
        body = v["api"].ljust(32, b"\0") + struct.pack("<IIII", os.getpid(), v["n"], v["entries"], v["environment"]) + entries
        return struct.pack("<IHHII", MAGIC, VERSION, HELLO, 16 + len(body), 0) + body

    def receive(self):
        try:
            data, control, _, _ = self.sock.recvmsg(65536, socket.CMSG_SPACE(16))
        except ConnectionResetError:
            raise Dropped from None
        if not data:
            raise Dropped
        fds = array.array("i")
        for level, kind, value in control:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                fds.frombytes(value[:len(value) - len(value) % 4])
        return data, list(fds)

    def ask(self, kind, body):
        try:
            self.sock.send(struct.pack("<IHHII", MAGIC, VERSION, kind, 16 + len(body), 0) + body)
        except (BrokenPipeError, ConnectionResetError):
            raise Dropped from None
        data, fds = self.receive()
        return struct.unpack_from("<H", data, 6)[0], fds

    def lane(self):
        kind, fds = self.ask(OPEN_LANE, struct.pack("<IIQ", 0, 0, 0))
        assert kind == LANE, "no lane: message %d" % kind
        self.lanes.append(Lane(fds[0]))
        os.close(fds[0])
        return self.lanes[-1]

    def grow(self, size):
        kind, fds = self.ask(GROW, struct.pack("<QQ", size, 0))
        for fd in fds:
            os.close(fd)
        return kind == SEGMENT

    def alive(self):
        self.sock.setblocking(False)
        try:
            return bool(self.sock.recv(1))
        except BlockingIOError:
            return True
        except ConnectionResetError:
            return False
        finally:
            self.sock.settimeout(LIMIT)

    def answer(self, lane):
        end = time.monotonic() + LIMIT
        while struct.unpack_from("<Q", lane.map, CONTROL + RING)[0] != lane.sequence:
            if not self.alive():
                raise Dropped
            assert time.monotonic() < end, "no answer in time"
            time.sleep(0.0005)
        size, status, _ = struct.unpack_from("<IHH", lane.map, CONTROL + RING + 8)
        assert 16 <= size <= REPLY
        return status, struct.unpack_from("<%dQ" % ((size - 16) // 8), lane.map, CONTROL + RING + 16)

    def call(self, function, words=(), flags=0, lane=None, **wrong):
        lane = lane or self.lanes[0]
        lane.record(self.index(function), list(words), flags | SYNC, **wrong)
        return self.answer(lane)

    @classmethod
    def index(cls, function):
        return function if isinstance(function, int) else [n for n, _ in cls.functions].index(function)

    def close(self):
        self.sock.close()


def guest(path):
    g = Guest(path)
    g.lane()
    return g


def dropped(path, act):
    """The guest that does so is dropped, in time."""
    g = guest(path)
    try:
        act(g)
        end = time.monotonic() + LIMIT
        while g.alive():
            assert time.monotonic() < end, "the guest was not dropped"
            time.sleep(0.002)
    except Dropped:
        pass
    g.close()


def queue(g):
    """Ids of the first device and of a new queue."""
    status, words = g.call("nullGetDevices", [mem(INLINE, 4), 3, mem(INLINE, 24)])
    assert status == OK, "no devices: status %d" % status
    device = words[-3]
    made = name(1, 1, QUEUE)
    status, words = g.call("nullCreateQueue", [device, 0, made])
    assert status == OK and words[0], "no queue"
    return made


# ---- tests ----

def malformed_stamps(path):
    for stamp in (2 << 8 | 1, 1 << 8, 1 << 8 | 255, (1 << 64) - 1, 1):
        dropped(path, lambda g: g.call(NOP, stamp=stamp))


def malformed_sizes(path):
    for size in (0, 15, 65, 8192, 0xffffffff):
        dropped(path, lambda g: g.call(NOP, size=size))


def unknown_functions(path):
    for function in (len(Guest.functions), 0x7fff, 0xfffc):
        dropped(path, lambda g: g.call(function))


def short_records(path):
    for n, _ in Guest.functions:
        g = guest(path)
        try:
            g.call(n) if n not in WAITING + ("nullDie",) else None
        except Dropped:
            pass
        g.close()


def spilled_payload(path):
    for offset, size in ((0, 1 << 62), ((1 << 64) - 8, 8), (1 << 40, 8), (0, 12), (4096, (1 << 64) - 4096), (4 << 20, 8)):
        dropped(path, lambda g: (g.grow(1), g.call("nullAdd32", [offset, size], SPILLED)))


def dependencies(path):
    for words in ([17], [1 << 63], [1, 2, 3, 16], [(1 << 61) + 1]):
        dropped(path, lambda g: g.call(NOP, words, DEPS))


def memory_out_of_bounds(path):
    for kind, size, offset in ((ARENA, 16, 1 << 40), (ARENA, (1 << 61) - 1, 0), (ARENA, 8, (1 << 64) - 4), (BLOCK, 8, 0), (BLOCK, 8, 65),
                               (INLINE, 1 << 60, 0), (5, 8, 4096), (7, 8, 4096), (STREAM, 8, 4096)):
        dropped(path, lambda g: (g.grow(1), g.call("nullSumBytes", [mem(kind, size), offset, size, mem(INLINE, 8)])))
        dropped(path, lambda g: (g.grow(1), g.call("nullFillBytes", [mem(kind, size), offset, size + 1, 7])))


def lengths_that_lie(path):
    dropped(path, lambda g: g.call("nullSumBytes", [mem(INLINE, 8), 1, 1 << 40, mem(INLINE, 8)]))
    dropped(path, lambda g: g.call("nullGetDevices", [mem(INLINE, 4), 1 << 31, mem(INLINE, 24)]))


def unknown_names(path):
    g = guest(path)
    made = queue(g)
    for wrong in (made ^ 1 << 32, made ^ 1 << 47, made | 1 << 48, made | 1 << 55, made + 1, 1 << 31 | 77 | QUEUE << 56, QUEUE << 56 | 0x7fffffff, 5):
        status, _ = g.call("nullFinish", [wrong])
        assert status == INVALID, "id %x: status %d" % (wrong, status)
        status, _ = g.call(RELEASE, [wrong])
        assert status == FAILED, "release of %x: status %d" % (wrong, status)
    assert g.call("nullFinish", [made])[0] == OK
    g.close()


def released_in_use(path):
    """While a call uses the object its name can be given up once, however it is spelled."""
    g = guest(path)
    second = g.lane()
    made, event = queue(g), name(2, 1, EVENT)
    assert g.call("nullCreateEvent", [made, event])[0] == OK
    assert g.call("nullSubmit", [made, 0, 1, mem(INLINE, 8), event, 0])[0] == OK
    second.record(g.index("nullFinish"), [made], SYNC)
    time.sleep(0.1)
    assert g.call(RELEASE, [made])[0] == OK
    for again in (made, made ^ 1 << 47, made | 1 << 48, made ^ 1 << 47 | 1 << 48, made | 255 << 48):
        status, _ = g.call(RELEASE, [again])
        assert status == FAILED, "%x was released once more" % again
    assert g.call("nullSetEvent", [event, 0])[0] == OK
    status, words = g.answer(second)
    assert status == OK and words[0] == 0, "the call that used it: %d %s" % (status, words)
    assert g.call(NOP)[0] == OK
    g.close()


def too_many_lanes(path):
    g = guest(path)
    n = 1
    while g.ask(OPEN_LANE, struct.pack("<IIQ", 0, 0, 0))[0] == LANE:
        n += 1
        assert n <= 4096, "no end of lanes"
    assert g.call(NOP)[0] == OK
    g.close()


def arena_without_end(path):
    g = guest(path)
    for size in ((1 << 64) - 1, 1 << 63, 1 << 40):
        assert not g.grow(size), "a segment of %d bytes" % size
    n = 0
    while g.grow(1 << 28):
        n += 1
        assert n < 100, "no end of segments"
    assert g.call(NOP)[0] == OK
    g.close()


def control_messages(path):
    head = struct.Struct("<IHHII")
    for message in (b"", b"x", head.pack(MAGIC, VERSION, OPEN_LANE, 16, 0), head.pack(MAGIC, VERSION, OPEN_LANE, 4000, 0), bytes(4000),
                    head.pack(MAGIC, VERSION, 99, 16, 0), head.pack(MAGIC, 9, GROW, 32, 0) + bytes(16), os.urandom(200)):
        dropped(path, lambda g: g.sock.send(message))


def hellos(path):
    for wrong in ({"api": b"\xff" * 32}, {"n": 1 << 31}, {"entries": (1 << 32) - 1}, {"environment": 5}, {"n": 0}, {"api": b"other"}):
        try:
            g = Guest(path, Guest.hello(**wrong))
            assert struct.unpack_from("<H", g.welcome, 6)[0] == REFUSED, "%s is welcome" % wrong
        except Dropped:
            pass


def noise(path):
    """Records of random words, sized and numbered as they should be."""
    rng = random.Random(1)
    safe = [i for i, (n, _) in enumerate(Guest.functions) if n not in WAITING + ("nullDie",)]
    interesting = [0, 1, 8, 1 << 31, 1 << 32, (1 << 64) - 1, 1 << 63, mem(INLINE, 8), mem(ARENA, 64), mem(BLOCK, 64), mem(INLINE, 1 << 60),
                   mem(STREAM, 4096), 4096, name(1, 1, QUEUE), name(1, 1, EVENT), name(0x80000001, 1, DEVICE)]
    for _ in range(12):
        g = guest(path)
        try:
            g.grow(1)
            queue(g)
            for _ in range(200):
                words = [rng.choice(interesting) if rng.random() < 0.8 else rng.getrandbits(64) for _ in range(rng.randrange(12))]
                g.lanes[0].record(rng.choice(safe + [RELEASE]), words, 0)
                g.call(NOP)
        except (Dropped, AssertionError):
            pass
        g.close()


TESTS = [malformed_stamps, malformed_sizes, unknown_functions, short_records, spilled_payload, dependencies, memory_out_of_bounds,
         lengths_that_lie, unknown_names, released_in_use, too_many_lanes, arena_without_end, control_messages, hellos, noise]


def main():
    builddir, wanted = sys.argv[1], sys.argv[2:]
    with open(os.path.join(builddir, "guest.c"), encoding="utf-8") as f:
        Guest.functions = [(n, int(h, 16)) for n, h in re.findall(r'^    \{"(\w+)", (0x[0-9a-f]+)\},$', f.read(), re.M)]
    tests = [t for t in TESTS if not wanted or t.__name__ in wanted]
    failed = 0
    print("1..%d" % len(tests))
    with tempfile.TemporaryDirectory() as work:
        path = os.path.join(work, "null.sock")
        # A sanitizer's dlopen does not look where the server's own run path says.
        env = dict(os.environ, LD_LIBRARY_PATH=os.path.abspath(builddir))
        server = subprocess.Popen([os.path.join(builddir, "null-serve"), path, os.path.join(builddir, "hira-server-null")],
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env)
        server.stdout.readline()
        witness = guest(path)
        beside = queue(witness)
        for i, test in enumerate(tests, 1):
            try:
                test(path)
                assert witness.call("nullFinish", [beside])[0] == OK, "the guest beside it was hurt"
                print("ok %d - attack/%s" % (i, test.__name__), flush=True)
            except Exception as e:  # whatever it is, the next test is of interest, too
                failed += 1
                print("not ok %d - attack/%s\n# %s: %s" % (i, test.__name__, type(e).__name__, e), flush=True)
        server.stdin.close()
        server.terminate()
        server.wait()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
