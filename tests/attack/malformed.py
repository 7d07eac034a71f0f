#!/usr/bin/python3
# Malformed messages over the wire, by a table: each kind of message, each class of argument, each way to get it wrong. Prints TAP.
# SPDX-License-Identifier: Apache-2.0
"""usage: malformed.py BUILDDIR [--api null|opencl] [PATTERN...]

A case is one guest of a hirad, with a server of its own, that says one wrong thing. It must get an error (a status, an error message) or
be dropped; what is expected stands in the table. All the while a neighbour, served by the same hirad, makes calls. After each case the
neighbour must have seen nothing but right answers, and hirad must serve nobody else; after each kind of case (with HIRA_SOAK=1 each
case) its descriptors, memory files, servers and their folders must be as they were before.
"""
import fnmatch
import os
import re
import socket
import struct
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../router"))
import hostile  # noqa: E402
import wire  # noqa: E402
from hostile import (ARENA, BLOCK, CONTROL, DEPS, EVENT, GROW, HELLO, INLINE, LANE, LATER, NOP, NULL, OK, OPEN_LANE,  # noqa: E402
                     QUEUE, REFUSED, RELEASE, RING, SPILLED, STREAM, SYNC, Dropped, Guest, Lane, mem, name)

THREAD_END = 0xfffd
LIMIT = 30  # seconds for anything that must happen: a loaded machine is slow, not wrong
DROP, ERROR, FINE = "dropped", "an error", "an answer"
U64 = (1 << 64) - 1
head = struct.Struct("<IHHII").pack
hostile.LIMIT = LIMIT


def words_of(data):
    data = data.ljust((len(data) + 7) // 8 * 8, b"\0")
    return list(struct.unpack("<%dQ" % (len(data) // 8), data))


class Case:
    def __init__(self, label, act, want):
        self.label, self.act, self.want = label, act, want


CASES = []


def case(label, act, *want):
    CASES.append(Case(label, act, want))


def record(label, function, words, *want, flags=0, setup=None, **wrong):
    """One record; `words` is a list or makes one of the guest."""
    def act(g):
        if setup:
            setup(g)
        status, answer = g.call(function, words(g) if callable(words) else words, flags, **wrong)
        return outcome(g, function, status, answer)
    case(label, act, *want)


def outcome(g, function, status, answer):
    """A status is the wire's; a negative first word, or one behind a handle that was not made, the API's own error."""
    assert g.call(NOP)[0] == OK, "answered, but not alive"
    if status != OK:
        return ERROR
    code = answer[1] if len(answer) > 1 and not answer[0] else answer[0] if answer else 0
    return ERROR if code >> 63 else FINE


# ---- records of the null API: a right one for each class of argument ----

def device_of(g):
    if not hasattr(g, "device"):
        status, words = g.call("nullGetDevices", [mem(INLINE, 4), 3, mem(INLINE, 24)])
        assert status == OK
        g.device = words[-3]
    return g.device


def queue_of(g):
    if not hasattr(g, "queue"):
        g.queue = name(1, 1, QUEUE)
        assert g.call("nullCreateQueue", [device_of(g), 0, g.queue])[0] == OK
    return g.queue


def event_of(g):
    if not hasattr(g, "event"):
        g.event = name(2, 1, EVENT)
        assert g.call("nullCreateEvent", [queue_of(g), g.event])[0] == OK
        assert g.call("nullSetEvent", [g.event, 0])[0] == OK
    return g.event


def type_of(label):
    return TYPES[label]


def buffer_of(g):
    if not hasattr(g, "buffer"):
        g.buffer = name(3, 1, type_of("nullBuffer"))
        answer = g.call("nullCreateBuffer", [queue_of(g), 4096, mem(NULL, 0), g.buffer])
        assert answer[0] == OK, "no buffer: %s" % (answer,)
    return g.buffer


def stream_of(g):
    if not hasattr(g, "stream"):
        g.stream = name(4, 1, type_of("nullStream"))
        assert g.call("nullOpenStream", [device_of(g), g.stream])[0] == OK
    return g.stream


def arena(g):
    assert g.grow(1), "no arena"


TEXT = words_of(b"letters\0")
# name, function, words (a list, or of the guest), places of memory words with their lengths, places of counts for them, places of handles
RIGHT = [
    ("scalar", "nullAdd32", lambda g: [1, 2], {}, [], []),
    ("string", "nullLog", lambda g: [1, mem(INLINE, 8)] + TEXT, {1: 8}, [], []),
    ("in", "nullSumBytes", lambda g: [mem(INLINE, 8), 1, 8, mem(INLINE, 8)], {0: 8, 3: 8}, [2], []),
    ("out", "nullFillBytes", lambda g: [mem(INLINE, 8), 8, 7], {0: 8}, [1], []),
    ("inout", "nullReverse", lambda g: [mem(INLINE, 8), 1, 8], {0: 8}, [2], []),
    ("list", "nullSumList", lambda g: [mem(INLINE, 8), 1 | 0xffffffff << 32, mem(INLINE, 8)], {0: 8, 2: 8}, [], []),
    ("properties", "nullOpenQueue", lambda g: [mem(INLINE, 24), 1, device_of(g), 0, name(9, 1, QUEUE)], {0: 24}, [], [2]),
    ("nested", "nullDescribe", lambda g: [mem(INLINE, 1), 4, 2, mem(INLINE, 8), 0, 1, mem(INLINE, 16), 16, mem(INLINE, 8)],
     {0: 1, 3: 8, 6: 16, 8: 8}, [2, 5, 7], []),
    ("handle", "nullFinish", lambda g: [queue_of(g)], {}, [], [0]),
    ("handles", "nullWaitEvents", lambda g: [1, mem(INLINE, 8), event_of(g)], {1: 8}, [0], [2]),
    ("callback", "nullNotify", lambda g: [event_of(g), 0x1234, 0x5678], {}, [], [0]),
    ("block", "nullRead", lambda g: [queue_of(g), buffer_of(g), 0, 0, 64, mem(BLOCK, 64), 4096, 0, mem(NULL, 0), name(7, 1, EVENT)],
     {5: 64}, [4], [0, 1]),
    ("new", "nullCreateQueue", lambda g: [device_of(g), 0, name(8, 1, QUEUE)], {}, [], [0]),
    ("integer-handle", "nullStreamTotal", lambda g: [stream_of(g), mem(INLINE, 8), mem(INLINE, 8)], {1: 8, 2: 8}, [], [0]),
    ("push", "nullPushStream", lambda g: [stream_of(g), mem(INLINE, 8), 1, 8], {1: 8}, [3], [0]),
]


def changed(make, at, value):
    def words(g):
        w = make(g)
        w[at] = value(g, w[at]) if callable(value) else value
        return w
    return words


def null_records():
    for label, f, make, memories, counts, handles in RIGHT:
        def setup(g, make=make):
            arena(g)
            make(g)
        record(f"{label}/right", f, make, FINE, setup=setup)
        record(f"{label}/nothing", f, [], DROP, setup=setup)
        record(f"{label}/too short", f, lambda g, m=make: m(g)[:-1], DROP, setup=setup)
        record(f"{label}/too long", f, lambda g, m=make: m(g) + [0], DROP, setup=setup)
        record(f"{label}/much too long", f, lambda g, m=make: m(g) + [U64] * 400, DROP, setup=setup)
        record(f"{label}/its own length short", f, make, DROP, setup=setup, size=16)
        record(f"{label}/unknown flags", f, make, DROP, setup=setup, flags=0x8000)
        for at, length in memories.items():
            for kind, what in ((5, "kind 5"), (7, "kind 7"), (STREAM, "a stream")):
                record(f"{label}/{at} is of {what}", f, changed(make, at, mem(kind, length)), DROP, setup=setup)
            for wrong in (length + 1, (1 << 61) - 1, 1 << 60, 1 << 40, 1 << 20):
                record(f"{label}/{at} is {wrong:#x} long", f, changed(make, at, mem(INLINE, wrong)), DROP, setup=setup)
            if counts and at == min(memories):
                record(f"{label}/{at} is empty", f, changed(make, at, mem(INLINE, 0)), DROP, setup=setup)
        for at in counts:
            for wrong in (0, 1 << 31, 0xffffffff, 1 << 63, U64, 1 << 61):
                want = (DROP,) if wrong & 0xffffffff or f in ("nullSumBytes", "nullFillBytes", "nullReverse", "nullPushStream", "nullRead", "nullDescribe") else (DROP, ERROR)
                record(f"{label}/count {at} is {wrong:#x}", f, changed(make, at, wrong), *want, setup=setup)
        for at in handles:
            for what, value in NAMES:
                record(f"{label}/{at} is {what}", f, changed(make, at, value), ERROR, setup=setup)
    memory_records()
    nested_records()
    kinds()
    order()


NAMES = [
    ("of another generation", lambda g, i: i ^ 1 << 32),
    ("a stale one", lambda g, i: i ^ 1 << 47),
    ("of another type", lambda g, i: i & (1 << 56) - 1 | (QUEUE if i >> 56 != QUEUE else EVENT) << 56),
    ("of a type there is not", lambda g, i: i | 0xff << 56),
    ("one with bits that no name has", lambda g, i: i | 1 << 50),
    ("the neighbour's", lambda g, i: i & ~0x7fffffff | 77),
    ("far away", lambda g, i: i & ~0x7fffffff | 0x7ffffff0),
    ("on the other side's list", lambda g, i: i ^ 1 << 31),
    ("all ones", U64),
]


def memory_records():
    far = [(1 << 40, 8), (U64 - 3, 8), (0, 1 << 60), (4096, (1 << 61) - 1), (1 << 63, 1), (4 << 20, 8), ((4 << 20) - 4, 8)]
    for kind, what in ((ARENA, "arena"), (BLOCK, "block")):
        for offset, size in far:
            record(f"{what}/in at {offset:#x}+{size:#x}", "nullSumBytes", [mem(kind, size), offset, size, mem(INLINE, 8)], DROP, setup=arena)
            record(f"{what}/out at {offset:#x}+{size:#x}", "nullFillBytes", [mem(kind, size), offset, size, 7], DROP, setup=arena)
            record(f"{what}/inout at {offset:#x}+{size:#x}", "nullReverse", [mem(kind, size), offset, size], DROP, setup=arena)
    for offset in (0, 8, 63, 65, 100):
        record(f"block/without its word at {offset}", "nullFillBytes", [mem(BLOCK, 8), offset, 8, 7], DROP, setup=arena)
    record("arena/in, without an arena", "nullSumBytes", [mem(ARENA, 8), 4096, 8, mem(INLINE, 8)], DROP)
    record("arena/a string there, of zeros", "nullLog", [1, mem(ARENA, 5), 4096], FINE, setup=arena)
    record("arena/handles there", "nullWaitEvents", [1, mem(ARENA, 8), 4096], DROP, setup=arena)
    record("arena/more blocks than there are places", "nullDescribe", [mem(INLINE, 70)] + [4, 1, mem(BLOCK, 4), 4096] * 70 +
           [70, mem(NULL, 0), 0, mem(NULL, 0)], DROP, setup=arena)
    record("out/larger than a reply", "nullFillBytes", [mem(INLINE, 40000), 40000, 7], DROP)
    record("out/of a guest's number of bytes", "nullFillBytes", [mem(INLINE, 200 << 20), 200 << 20, 7], DROP)
    for offset, size in ((0, 1 << 62), (U64 - 7, 8), (1 << 40, 8), (0, 12), (4096, U64 - 4095), (4 << 20, 8), (0, 1 << 29), (4096, 0)):
        record(f"spilled/{offset:#x}+{size:#x}", "nullAdd32", [offset, size], DROP, setup=arena, flags=SPILLED)
    record("spilled/no place", "nullAdd32", [4096], DROP, setup=arena, flags=SPILLED)
    record("spilled/zeros instead of a call", "nullAdd32", [4096, 16], FINE, setup=arena, flags=SPILLED)
    record("spilled/more than the call needs", "nullAdd32", [4096, 24], DROP, setup=arena, flags=SPILLED)
    for words in ([17], [1 << 63], [1, 2, 3, 16], [(1 << 61) + 1], []):
        record(f"dependencies/{words}", NOP, words, DROP, flags=DEPS)
    for words in ([600, 1, 1], [U64, U64, 1], [1, 0, 1], [5, 99, 1]):
        record(f"dependencies/nobody's: {words}", NOP, words, FINE, flags=DEPS)


def nested_records():
    def describe(*elements, count=1, size=16):
        return [mem(INLINE, len(elements))] + [w for e in elements for w in e] + [count, mem(INLINE, size), size, mem(INLINE, 8)]
    text = [3, mem(INLINE, 8)] + TEXT
    record("nested/right", "nullDescribe", describe(text), FINE)
    record("nested/no end of a text", "nullDescribe", describe([3, mem(INLINE, 7)] + TEXT), DROP)
    record("nested/an empty text", "nullDescribe", describe([3, mem(INLINE, 0)]), DROP)
    record("nested/a kind there is not", "nullDescribe", describe([99]), FINE, ERROR)
    record("nested/another kind's words", "nullDescribe", describe([1, 5, 6, 7]), DROP)
    record("nested/an inner count that lies", "nullDescribe", describe([4, 0xffffffff, mem(INLINE, 8), 0]), DROP)
    record("nested/an inner count that wraps", "nullDescribe", describe([4, 1 << 62, mem(INLINE, 8), 0]), DROP)
    record("nested/an inner length that lies", "nullDescribe", describe([4, 2, mem(INLINE, 1 << 60), 0]), DROP)
    for n in (2, 1 << 20, 1 << 32, 1 << 60, (1 << 61) - 1):
        record(f"nested/{n:#x} elements, one there", "nullDescribe", [mem(INLINE, n)] + describe(text)[1:], DROP)
    for n in (0, 2, 0xffffffff, 1 << 63):
        record(f"nested/says {n:#x} of one", "nullDescribe", describe(text, count=n), DROP)
    record("nested/elements in the arena", "nullDescribe", [mem(ARENA, 1), 4096, 1, mem(INLINE, 16), 16, mem(INLINE, 8)], DROP, setup=arena)
    model = [mem(INLINE, 1), 1, mem(INLINE, 1), mem(INLINE, 2)] + words_of(b"n\0")
    for cut in range(1, len(model) + 1):
        record(f"nested/a model cut after {cut}", "nullModelHash", model[:cut], DROP)
    record("nested/layers without end", "nullModelHash", [mem(INLINE, 1), 0xffffffff, mem(INLINE, 1 << 22)], DROP)
    record("nested/words whose lengths lie", "nullJoin", [mem(INLINE, 1), mem(INLINE, 8)] + TEXT + [mem(INLINE, 8), U64, 1, mem(INLINE, 8), 8, mem(NULL, 0)], DROP)
    record("list/without its end", "nullSumList", [mem(INLINE, 8), 1, mem(INLINE, 8)], DROP)
    record("list/empty", "nullSumList", [mem(INLINE, 0), mem(INLINE, 8)], DROP)
    record("list/half an element", "nullSumList", [mem(INLINE, 6), 0xffffffff << 16, mem(INLINE, 8)], DROP)
    record("properties/without their end", "nullOpenQueue", [mem(INLINE, 16), 1, 2, name(9, 1, QUEUE)], DROP)
    record("properties/half a word", "nullOpenQueue", [mem(INLINE, 20), 1, 2, 0, name(9, 1, QUEUE)], DROP)
    record("properties/empty", "nullOpenQueue", [mem(INLINE, 0), name(9, 1, QUEUE)], DROP)


def kinds():
    """Records that no function of an API has, and none that there is."""
    for function in ("past the last", 0x7fff, 0xfff0, 0xfffc, LATER):
        case(f"function/{function if isinstance(function, str) else hex(function)}",
             lambda g, f=function: g.call(len(Guest.functions) if isinstance(f, str) else f), DROP)
    for n in ("nullRetainQueue", "nullReleaseEvent", "nullGetTable", "nullGetLastError"):
        case(f"function/{n}, which has no record", lambda g, n=n: g.call(n, [0]), DROP)
    record("release/without a name", RELEASE, [], DROP)
    record("release/of two", RELEASE, lambda g: [queue_of(g), 0], DROP, setup=queue_of)
    record("release/of nothing", RELEASE, [0], ERROR)
    for what, value in NAMES:
        record(f"release/of {what}", RELEASE, lambda g, v=value: [v(g, queue_of(g)) if callable(v) else v], ERROR, setup=queue_of)
    record("release/twice", RELEASE, lambda g: [queue_of(g)], ERROR, setup=lambda g: (queue_of(g), g.call(RELEASE, [g.queue])))
    record("release/of a device", RELEASE, lambda g: [device_of(g)], FINE, setup=device_of)
    record("release/in the arena, far away", RELEASE, [1 << 40, 8], DROP, setup=arena, flags=SPILLED)
    record("nop/with words", NOP, [1, 2, 3], DROP)
    record("nop/spilled", NOP, [4096, 8], DROP, setup=arena, flags=SPILLED)
    def put_off(g):
        arena(g)
        assert g.call("nullLetters", [100000, mem(NULL, 0)])[1][1] == mem(5, 100001)

    record("later/of nothing", LATER, [mem(INLINE, 8)], DROP)
    record("later/as it should be", LATER, [mem(ARENA, 100001), 4096], FINE, setup=put_off)
    record("later/after other calls", LATER, [mem(ARENA, 100001), 4096], FINE, setup=lambda g: (put_off(g), g.call(NOP), device_of(g)))
    record("later/twice", LATER, [mem(ARENA, 100001), 4096], DROP, setup=lambda g: (put_off(g), g.call(LATER, [mem(ARENA, 100001), 4096])))
    for size in (0, 100000, 100002, 1 << 40, (1 << 61) - 1):
        record(f"later/of {size} bytes", LATER, [mem(ARENA, size), 4096], DROP, setup=put_off)
    for what, words in (("nowhere", [mem(NULL, 0)]), ("inline", [mem(INLINE, 100001)]), ("far away", [mem(ARENA, 100001), 1 << 40]),
                        ("past the end", [mem(ARENA, 100001), (4 << 20) - 100000]), ("with words behind", [mem(ARENA, 100001), 4096, 0]), ("without words", [])):
        record(f"later/{what}", LATER, words, DROP, setup=put_off)
    record("later/that is too long", "nullLetters", [16 << 20, mem(NULL, 0)], ERROR)
    for stamp in (2 << 8 | 1, 1 << 8, 1 << 8 | 255, U64, 1):
        record(f"stamp/{stamp:#x}", NOP, [], DROP, stamp=stamp)
    for size in (0, 15, 17, 65, 8192, 0xffffffff):
        record(f"size/{size:#x}", NOP, [], *((DROP,) if size != 17 else (DROP, FINE)), size=size)
    case("thread end/then calls", lambda g: (g.lanes[0].record(THREAD_END, [], 0), outcome(g, NOP, *g.call(NOP)))[1], FINE)
    case("thread end/with words", lambda g: (g.lanes[0].record(THREAD_END, [1, 2], 0), g.call(NOP))[1], DROP)
    case("thread end/that wants an answer", lambda g: (g.lanes[0].record(THREAD_END, [], SYNC), g.call(NOP))[1], DROP)
    case("thread end/a hundred times", lambda g: ([g.lanes[0].record(THREAD_END, [], 0) for _ in range(100)], outcome(g, NOP, *g.call(NOP)))[1], FINE)
    record("asynchronous/a bad one, then a good one", "nullAdd32", [1, 2], DROP,
           setup=lambda g: g.lanes[0].record(g.index("nullPost"), [1], 0))
    case("asynchronous/with a name of nothing", lambda g: (g.lanes[0].record(g.index("nullPoke"), [name(5, 1, type_of("nullBuffer")), 0, 0], 0),
                                                           outcome(g, NOP, *g.call(NOP)))[1], FINE)
    case("callbacks/no lane for them", sorts(None), FINE, ERROR)
    for what, reply in (("nothing", b""), ("no size", struct.pack("<IHHQ", 0, 0, 0, 5)), ("endless", struct.pack("<IHHQ", 0xffffffff, 0, 0, 5)),
                        ("a failure", struct.pack("<IHHQ", 24, 0xffff, 0xffff, U64)), ("half a word", struct.pack("<IHHQ", 19, 0, 0, 5))):
        case(f"callbacks/answered with {what}", sorts(reply), FINE, ERROR)
    case("callbacks/two lanes", lambda g: (callback_lane(g), ask(g, OPEN_LANE, struct.pack("<IIQ", 0, 1, 0)))[1], ERROR)
    case("callbacks/room that is not there", scribbled, FINE, DROP)
    case("callbacks/any function, any cookie", lambda g: outcome(g, "nullNotify", *g.call("nullNotify", [event_of(g), U64, U64])), FINE)
    case("two lanes/end one object", destroys, ERROR)


def ask(g, kind, body):
    return ERROR if g.ask(kind, body)[0] == REFUSED else FINE


def callback_lane(g):
    kind, fds = g.ask(OPEN_LANE, struct.pack("<IIQ", 0, 1, 0))
    assert kind == LANE
    lane = Lane(fds[0])
    os.close(fds[0])
    return lane


def sorts(reply):
    """A sort whose comparisons are answered so. nullSort calls back until it is done."""
    def act(g):
        reverse = callback_lane(g) if reply is not None else None
        lane = g.lanes[0]
        lane.record(g.index("nullSort"), [mem(INLINE, 12), 3 | 2 << 32, 1, 3, 0x1234, 0x5678], SYNC)
        end, seen = time.monotonic() + LIMIT, 0
        while struct.unpack_from("<Q", lane.map, CONTROL + RING)[0] != lane.sequence:
            if not g.alive():
                raise Dropped
            assert time.monotonic() < end, "no answer in time"
            if reverse:
                stamp = struct.unpack_from("<Q", reverse.map, CONTROL + reverse.head % RING)[0]
                if stamp >> 8 == seen + 1:
                    seen += 1
                    reverse.head += (stamp & 0xff) * 64
                    struct.pack_into("<Q", reverse.map, 0, reverse.head)
                    reverse.map[CONTROL + RING + 8:CONTROL + RING + 8 + len(reply)] = reply
                    struct.pack_into("<Q", reverse.map, CONTROL + RING, seen)
            time.sleep(0.0002)
        return outcome(g, "nullSort", *g.answer(lane))
    return act


def scribbled(g):
    reverse = callback_lane(g)
    struct.pack_into("<Q", reverse.map, 0, U64)  # consumed more than was ever sent
    for i in range(40):
        reverse.map[CONTROL + i * 64:CONTROL + i * 64 + 8] = b"\xff" * 8
    for _ in range(300):
        g.call("nullNotify", [event_of(g), 0x1234, 0x5678])
    return outcome(g, NOP, *g.call(NOP))


def destroys(g):
    """Both lanes end the same object at once, again and again; never do both succeed."""
    second = g.lane()
    kind = type_of("nullBuffer")
    for i in range(60):
        made = name(20 + i, 1, kind)
        assert g.call("nullCreateBuffer", [queue_of(g), 64, mem(NULL, 0), made])[0] == OK
        for lane in (g.lanes[0], second):
            lane.record(g.index("nullDestroyBuffer"), [made], SYNC)
        answers = [g.answer(g.lanes[0]), g.answer(second)]
        assert [a[0] == OK and a[1][0] == 0 for a in answers].count(True) == 1, answers
    return ERROR


# ---- control messages ----

def said(*messages, fds=()):
    """Says these on a connection that has been welcomed; the last answer."""
    def act(g):
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack("<%di" % len(fds), *fds))] if fds else []
        for m in messages:
            try:
                g.sock.sendmsg([m], ancillary)
            except (BrokenPipeError, ConnectionResetError, PermissionError):  # the kernel refuses descriptors for the server
                raise Dropped from None
        data, got = g.receive()
        for fd in got:
            os.close(fd)
        return ERROR if struct.unpack_from("<H", data, 6)[0] == REFUSED else FINE
    return act


def message(kind, body=b"", magic=hostile.MAGIC, version=hostile.VERSION, size=None):
    return head(magic, version, kind, 16 + len(body) if size is None else size, 0) + body


KINDS = {"HELLO": 1, "WELCOME": 2, "REFUSED": 3, "OPEN_LANE": 4, "LANE": 5, "CLOSE_LANE": 6, "GROW": 7, "SEGMENT": 8, "ADOPT": 9, "FORK": 10, "FORKED": 11,
         "READY": 12, "EXITED": 13, "STATUS": 14, "STATUS_TEXT": 15, "RECORD": 16, "FILL": 17, "zero": 0, "18": 18, "65535": 65535}


def order():
    """To a server that serves: everything but the two requests ends it."""
    lane, grow = struct.pack("<IIQ", 0, 0, 0), struct.pack("<QQ", 4096, 0)
    for kind, number in KINDS.items():
        if kind not in ("OPEN_LANE", "GROW"):
            case(f"to the server/{kind}", said(message(number, bytes(16))), DROP)
    case("to the server/the HELLO once more", lambda g: said(Guest.hello())(g), DROP)
    for label, kind, body in (("OPEN_LANE", OPEN_LANE, lane), ("GROW", GROW, grow)):
        case(f"{label}/right", said(message(kind, body)), FINE)
        case(f"{label}/too short", said(message(kind, body[:8])), DROP)
        case(f"{label}/header only", said(message(kind)), DROP)
        case(f"{label}/half a header", said(message(kind, body)[:9]), DROP)
        case(f"{label}/too long for any", said(message(kind, body + bytes(4000))), DROP)
        case(f"{label}/longer than it says", said(message(kind, body, size=24)), DROP)
        case(f"{label}/shorter than it says", said(message(kind, body, size=4000)), DROP)
        case(f"{label}/says 4 GiB", said(message(kind, body, size=0xffffffff)), DROP)
        case(f"{label}/another version", said(message(kind, body, version=2)), DROP)
        case(f"{label}/no version", said(message(kind, body, version=0)), DROP)
        case(f"{label}/another magic", said(message(kind, body, magic=1)), DROP)
        case(f"{label}/with a descriptor", said(message(kind, body), fds=(2,)), DROP)
        case(f"{label}/with nine descriptors", said(message(kind, body), fds=(2,) * 9), DROP)
    for size in (1 << 40, 1 << 63, U64, U64 - 4095, (4 << 30) + 1):
        case(f"GROW/by {size:#x}", said(message(GROW, struct.pack("<QQ", size, 0))), ERROR)
    case("GROW/at a place of the guest's choice", said(message(GROW, struct.pack("<QQ", 4096, U64))), FINE)


def hellos():
    """To hirad, before there is a server."""
    entries = b"".join(struct.pack("<IB", h, len(n)) + n.encode() for n, h in Guest.functions)

    def hello(api=b"null", n=None, e=entries, environment=b"", lengths=None, **kw):
        e_size, v_size = lengths or (len(e), len(environment))
        body = api.ljust(32, b"\0") + struct.pack("<IIII", 1, len(Guest.functions) if n is None else n, e_size, v_size) + e + environment
        return message(HELLO, body, **kw)
    first = [
        ("right", hello(), FINE), ("too short", hello()[:40], ERROR), ("half a header", hello()[:7], ERROR), ("empty", b"", DROP), ("one byte", b"H", ERROR),
        ("no functions", hello(n=0, e=b""), FINE), ("more functions than bytes", hello(n=4096), ERROR), ("functions without end", hello(n=0xffffffff), ERROR),
        ("fewer than bytes", hello(n=1), ERROR), ("4097 functions", hello(n=4097, e=struct.pack("<IB", 0, 0) * 4097), ERROR),
        ("a name that is cut", hello(n=1, e=struct.pack("<IB", 0, 100) + b"short"), ERROR), ("a name of 255", hello(n=1, e=struct.pack("<IB", 0, 255) + b"x" * 255), ERROR),
        ("a name that is a line", hello(n=1, e=struct.pack("<IB", 0, 8) + b'x"} 1\nyz'), ERROR), ("a name of zeros", hello(n=1, e=struct.pack("<IB", 0, 4) + bytes(4)), ERROR),
        ("functions' size wraps", hello(lengths=(0xffffffff, 1)), ERROR), ("environment's size wraps", hello(lengths=(len(entries), 0xffffffff)), ERROR),
        ("an environment without end", hello(environment=b"A=b"), ERROR), ("an environment that is long", hello(environment=b"A=b\0" * 5000), ERROR),
        ("variables without a name", hello(environment=b"=\0\0no\0NULL_\0NULL_A\0"), FINE), ("variables of the server's", hello(environment=b"LD_PRELOAD=/x\0HIRA_SERVER=\0PATH=\0"), FINE),
        ("an API without end", hello(api=b"n" * 32), ERROR), ("an API elsewhere", hello(api=b"../null"), ERROR), ("no API", hello(api=b""), ERROR),
        ("an API there is not", hello(api=b"nulll"), ERROR), ("longer than it says", hello(size=60), ERROR), ("shorter than it says", hello(size=0xffffffff), ERROR),
        ("another version", hello(version=2), ERROR), ("no version", hello(version=0), ERROR), ("the last version", hello(version=65535), ERROR),
        ("another magic", hello(magic=0), ERROR), ("too long for any", hello() + bytes(140000), ERROR),
    ]
    for label, data, want in first:
        case(f"HELLO/{label}", (data,), want)
    case("HELLO/with a descriptor", (hello(), (2,)), ERROR)
    case("HELLO/twice at once", (hello(), hello()), ERROR, DROP, FINE)  # as one is served already, or the server hears the second
    for kind, number in KINDS.items():
        if kind not in ("HELLO", "STATUS"):
            case(f"to hirad/{kind}", (message(number, bytes(24)),), ERROR)
    case("STATUS/right", (message(14),), FINE)
    case("STATUS/another version", (message(14, version=3),), ERROR)
    case("STATUS/longer than it says", (message(14, b"x" * 40, size=16),), ERROR)
    case("STATUS/with a descriptor", (message(14), (2,)), ERROR)


def speak(path, parts):
    """Bytes and descriptors on a fresh connection; what comes back first."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as s:
        s.settimeout(LIMIT)
        s.connect(path)
        try:
            for i, part in enumerate(parts):
                if isinstance(part, bytes):
                    fds = parts[i + 1] if i + 1 < len(parts) and isinstance(parts[i + 1], tuple) else ()
                    s.sendmsg([part], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack("<%di" % len(fds), *fds))] if fds else [])
            data = s.recv(200000)
        except PermissionError:  # descriptors: the kernel refuses them for hirad
            return ERROR
        except OSError:
            return DROP
        if len(data) < 16:
            return DROP
        return ERROR if struct.unpack_from("<H", data, 6)[0] == REFUSED else FINE


# ---- OpenCL: what the null API has not ----

def opencl_records():
    def platform(g):
        status, words = g.call("clGetPlatformIDs", [1, mem(INLINE, 8), mem(INLINE, 4)])
        assert status == OK, "no platform"
        g.platform = words[2]

    for n, words, want in (
            ("clGetPlatformIDs", [], DROP), ("clGetPlatformIDs", [0xffffffff, mem(INLINE, 8), mem(INLINE, 4)], DROP),
            ("clGetPlatformInfo", [0, 0x901, 1 << 40, mem(INLINE, 1 << 40), mem(INLINE, 8)], DROP),
            ("clGetDeviceIDs", [U64, 2, 1, mem(INLINE, 8), mem(INLINE, 4)], ERROR),
            ("clCreateContext", [mem(INLINE, 24), 0x1084, 5, 7, 1, mem(INLINE, 8), 0, 0, 0, name(1, 1, 3)], DROP),
            ("clCreateContext", [mem(NULL, 0), 0xffffffff, mem(INLINE, 8), 0, 0, 0, name(1, 1, 3)], DROP),
            ("clCreateProgramWithSource", [0, 0xffffffff, mem(NULL, 0), mem(NULL, 0), name(1, 1, 6)], ERROR),
            ("clCreateProgramWithSource", [0, 1, mem(INLINE, 1), mem(INLINE, 8), 0, mem(INLINE, 8), U64, name(1, 1, 6)], DROP),
            ("clCreateProgramWithBinary", [0, 1, mem(INLINE, 8), 0, mem(INLINE, 8), 1 << 40, mem(INLINE, 1), mem(INLINE, 1), 0, mem(NULL, 0), name(1, 1, 6)], DROP),
            ("clBuildProgram", [0, 0, mem(NULL, 0), mem(INLINE, 4)] + words_of(b"-I x") + [mem(NULL, 0), 0, 0, 0], DROP),
            ("clBuildProgram", [0, 0, mem(NULL, 0), mem(INLINE, 1), 0, mem(INLINE, 2)] + words_of(b"/\0") + [U64, 0, 0], DROP),
            ("clBuildProgram", [0, 0, mem(NULL, 0), mem(INLINE, 1), 0, mem(INLINE, 2)] + words_of(b"/\0") + [1, mem(INLINE, 9)] + words_of(b"/../x/..\0") +
             [mem(INLINE, 0), 0, 0], DROP),
            ("clEnqueueWriteBuffer", [0, 0, 1, 0, 8 << 20, mem(STREAM, 8 << 20), 4096 + 8, 0, mem(NULL, 0), 0], DROP),
            ("clEnqueueWriteBuffer", [0, 0, 1, 0, 8 << 20, mem(STREAM, 8 << 20), 1 << 40, 0, mem(NULL, 0), 0], DROP),
            ("clEnqueueReadBuffer", [0, 0, 1, 0, 8 << 20, mem(STREAM, 8 << 20), U64, 0, mem(NULL, 0), 0], DROP),
            ("clWaitForEvents", [1, mem(INLINE, 16), 0, 0], DROP)):
        record(f"{n}/{' '.join(hex(w) for w in words) or 'nothing'}"[:70], n, words, want, *((DROP,) if want == ERROR else ()), setup=lambda g: (arena(g), platform(g)))


# ---- the neighbour, and what must be as it was ----

class Neighbour(threading.Thread):
    """Makes calls all the while; whatever differs from the first time is an error."""

    def __init__(self, path, api):
        super().__init__(daemon=True)
        self.guest, self.api, self.rounds, self.error, self.over = hostile.guest(path), api, 0, None, False
        if api == "null":
            queue_of(self.guest)
            buffer_of(self.guest)
        self.expected = self.round()
        self.start()

    def round(self):
        g = self.guest
        if self.api == "opencl":
            return [g.call("clGetPlatformIDs", [1, mem(INLINE, 8), mem(INLINE, 4)])]
        answers = [g.call("nullAdd32", [40, 2]), g.call("nullGetDevices", [mem(INLINE, 4), 3, mem(INLINE, 24)]),
                   g.call("nullSumBytes", [mem(INLINE, 8), 0x0102030405060708, 8, mem(INLINE, 8)]), g.call("nullFinish", [g.queue])]
        g.call("nullPoke", [g.buffer, 3, 99])
        return answers + [g.call("nullPeek", [g.buffer, 3, mem(INLINE, 8)]), g.call("nullFinish", [name(9, 9, QUEUE)])]

    def run(self):
        while not self.over:
            try:
                answers = self.round()
                if answers != self.expected:
                    self.error = "%s instead of %s" % (answers, self.expected)
            except Exception as e:  # whatever it is, it is an error
                self.error = "%s: %s" % (type(e).__name__, e)
            if self.error:
                return
            self.rounds += 1
            time.sleep(0.002)

    def check(self):
        begin, end = self.rounds, time.monotonic() + LIMIT
        while self.rounds < begin + 2 and not self.error:
            assert time.monotonic() < end, "the neighbour is held up"
            time.sleep(0.001)
        assert not self.error, "the neighbour saw " + self.error


class World:
    """What there is of hirad and its servers, for comparison."""

    def __init__(self, router, warm):
        self.router, self.warm = router, warm
        self.before = self.settle(lambda now: now["ready"] == warm and now["serving"] == 1)

    def cheap(self):
        status = self.router.status()
        api = next(a for a in status["apis"] if a["name"] == API)
        return {"ready": api["ready"], "serving": api["serving"], "starting": api["starting"], "waiting": status["waiting"],
                "restarts": api["restarts"], "descriptors": wire.descriptors(self.router.p.pid), "folders": len(self.router.folders())}

    def dear(self):
        """All of /proc is looked through for this."""
        pid = self.router.p.pid
        children = [p for p in wire.descendants() if b"hira-server" in (wire.command_line(p) or [b""])[0]]
        with open(f"/proc/{pid}/maps", encoding="utf-8") as maps:
            mapped = sum("memfd:" in line for line in maps)
        links = [os.readlink(f"/proc/{pid}/fd/{f}") for f in os.listdir(f"/proc/{pid}/fd")]
        return {"servers": len(children), "memory files": mapped + sum("memfd:" in link for link in links)}

    def settle(self, good, dear=True):
        end = time.monotonic() + LIMIT
        while True:
            now = self.cheap()
            if not good(now) and time.monotonic() < end:
                time.sleep(0.005)
                continue
            if dear:
                now.update(self.dear())
            return now

    def glance(self):
        """Whether hirad has noticed that the guest is gone: the next server need not be ready for that."""
        now = self.settle(lambda now: now["serving"] == 1 and now["waiting"] == 0, False)
        assert now["serving"] == 1 and now["waiting"] == 0, now

    def check(self):
        now = self.settle(lambda now: all(self.before[k] == v for k, v in now.items()))
        if now != self.before:  # a process that has ended may still be seen for a moment
            time.sleep(0.2)
            now.update(self.dear())
        assert now == self.before, "left behind: " + ", ".join(f"{k} {self.before[k]} -> {now[k]}" for k in now if now[k] != self.before[k])


def play(path, c):
    """What becomes of the guest of this case."""
    if isinstance(c.act, tuple):
        return speak(path, c.act)
    g = hostile.guest(path)
    try:
        return c.act(g)
    except Dropped:
        return DROP
    finally:
        g.close()


def read_tables(folder):
    with open(os.path.join(folder, "guest.c"), encoding="utf-8") as f:
        text = f.read()
    functions = [(n, int(h, 16)) for n, h in re.findall(r'^    \{"(\w+)", (0x[0-9a-f]+)\},$', text, re.M)]
    with open(os.path.join(folder, "api.h"), encoding="utf-8") as f:
        types = {n: int(v) for n, v in re.findall(r"^    T_(\w+) = (\d+),$", f.read(), re.M)}
    return functions, types


def main():
    global API, TYPES
    build, args = os.path.abspath(sys.argv[1]), sys.argv[2:]
    API = args.pop(args.index("--api") + 1) if "--api" in args else "null"
    patterns = [a for a in args if a != "--api"]
    folder = os.path.join(build, "tests/nullapi" if API == "null" else "specs/opencl")
    Guest.functions, TYPES = read_tables(folder)
    Guest.api = API.encode()
    if API == "null":
        null_records()
        hellos()
    else:
        opencl_records()
    cases = [c for c in CASES if not patterns or any(fnmatch.fnmatch(c.label, p) for p in patterns)]
    print("1..%d" % len(cases))
    failed, warm, soak = 0, 2, os.environ.get("HIRA_SOAK")
    with tempfile.TemporaryDirectory() as work:
        # A sanitizer's dlopen does not look where the server's own run path says.
        env = dict(os.environ, LD_LIBRARY_PATH=folder)
        router = wire.Router(os.path.join(build, "src/router/hirad"), work, folder, "--api", API, "--warm", str(warm), env=env)
        try:
            neighbour = Neighbour(router.path, API)
            world = World(router, warm)
            for i, c in enumerate(cases, 1):
                try:
                    got = play(router.path, c)
                    assert got in c.want, "%s, not %s" % (got, " or ".join(c.want))
                    neighbour.check()
                    last_of_kind = i == len(cases) or cases[i].label.split("/")[0] != c.label.split("/")[0]
                    world.check() if soak or last_of_kind else world.glance()
                    print("ok %d - malformed/%s" % (i, c.label), flush=True)
                except Exception as e:  # whatever it is, the next case is of interest, too
                    failed += 1
                    print("not ok %d - malformed/%s\n# %s: %s" % (i, c.label, type(e).__name__, e), flush=True)
                    if neighbour.error:
                        neighbour = Neighbour(router.path, API)
            neighbour.over = True
            neighbour.join()
        finally:
            router.stop()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
