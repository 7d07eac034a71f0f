#!/usr/bin/python3
# What hirad tells of each function comes from the server program: nothing that a guest calls its functions is in it. Prints TAP.
# SPDX-License-Identifier: Apache-2.0
#
# usage: names.py BUILDDIR [TEST...]
import json
import os
import socket
import struct
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "router"))
import wire
from hostile import Dropped, Guest, HELLO, MAGIC, OK, REFUSED, VERSION, guest
from malformed import read_tables

CONTROL = 29
LINE = 'x"} 1\nhira_tenant_device_seconds_total{tenant="other",api="null"} 86400\n#'


def hello(entries):
    table = b"".join(struct.pack("<IB", signature, len(name)) + name.encode() for name, signature in entries)
    body = b"null".ljust(32, b"\0") + struct.pack("<IIII", os.getpid(), len(entries), len(table), 0) + table
    return struct.pack("<IHHII", MAGIC, VERSION, HELLO, 16 + len(body), 0) + body


def settle():
    """Until a server has seen that calls are to be timed."""
    time.sleep(0.3)


class Place:
    def __init__(self, build):
        self.base = tempfile.mkdtemp(prefix="hira-names-")
        self.build, self.router = build, None
        with open(self.base + "/conf", "w", encoding="utf-8") as f:
            f.write('metrics = "%s/m.sock"\n' % self.base)
        self.start()

    def start(self):
        servers = os.path.join(self.build, "tests/nullapi")
        # A sanitizer's dlopen does not look where the server's own run path says.
        self.router = wire.Router(os.path.join(self.build, "src/router/hirad"), self.base, servers, "--config", self.base + "/conf",
                                  env=dict(os.environ, LD_LIBRARY_PATH=servers))
        self.path = self.router.path
        self.router.ready("null")

    def control(self, **request):
        with wire.Guest(self.path) as g:
            text = json.dumps(request).encode() + b"\0"
            g.send(wire.head(CONTROL, 16 + len(text)) + text)
            return json.loads(g.receive()[16:].rstrip(b"\0"))

    def functions(self):
        answer = self.control(verb="functions", tenant="user-%d" % os.getuid(), api="null")
        return {f["name"]: f["calls"] for f in answer["functions"]}

    def measure(self):
        assert self.control(verb="measure").get("done")
        settle()

    def metrics(self):
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(self.base + "/m.sock")
            s.send(b"GET /metrics?function=* HTTP/1.0\r\n\r\n")
            return b"".join(iter(lambda: s.recv(65536), b"")).decode()


def a_name_that_is_a_line_is_refused(place):
    g = Guest(place.path, hello(Guest.functions + [(LINE, 1)]))
    assert struct.unpack_from("<H", g.welcome, 6)[0] == REFUSED and b"function's name" in g.welcome, g.welcome
    g.close()
    assert "86400" not in place.metrics()


def a_small_table_takes_nothing_from_others(place):
    small = Guest(place.path, hello([("hira_mine", 1)]))
    place.measure()
    g = guest(place.path)
    for _ in range(20):
        assert g.call("nullNop")[0] == OK
    assert place.functions() == {"nullNop": 20}, place.functions()
    assert 'function="nullNop"} 20\n' in place.metrics() and "hira_mine" not in place.metrics()
    g.close()
    small.close()


def indices_are_the_servers(place):
    """A table in which names stand elsewhere, and some behind those that have a line in the account."""
    signatures = dict(Guest.functions)
    table = [("hira_mine", 1)] * 1023 + [("nullNop", signatures["nullNop"]), ("hira_forged", 1)]
    g = Guest(place.path, hello(table))
    g.lane()
    place.measure()
    before = place.functions().get("nullNop", 0)
    for _ in range(5):
        assert g.call(1023)[0] == OK
    assert place.functions() == {"nullNop": before + 5}, place.functions()
    text = place.metrics()
    assert "hira_forged" not in text and "hira_mine" not in text
    g.close()
    wire.wait_for(lambda: not place.router.status()["guests"], "its server to end")
    assert place.functions()["nullNop"] == before + 5  # as the past


def known_after_a_restart(place):
    """A hirad that takes servers over knows what they count before any guest has come to it."""
    g = guest(place.path)
    place.router.p.kill()
    place.router.stop()
    place.start()
    wire.wait_for(lambda: place.router.status()["guests"], "the guest to be taken over")
    place.measure()
    before = place.functions().get("nullNop", 0)
    for _ in range(7):
        assert g.call("nullNop")[0] == OK
    assert place.functions() == {"nullNop": before + 7}, place.functions()
    g.close()
    wire.wait_for(lambda: not place.router.status()["guests"], "its server to end")
    assert place.functions()["nullNop"] == before + 7


TESTS = [a_name_that_is_a_line_is_refused, a_small_table_takes_nothing_from_others, indices_are_the_servers, known_after_a_restart]


def main():
    build, wanted = os.path.abspath(sys.argv[1]), sys.argv[2:]
    Guest.functions = read_tables(os.path.join(build, "tests/nullapi"))[0]
    tests = [t for t in TESTS if not wanted or t.__name__ in wanted]
    failed = 0
    print("1..%d" % len(tests))
    for i, test in enumerate(tests, 1):
        place = Place(build)
        try:
            test(place)
            print("ok %d - names/%s" % (i, test.__name__), flush=True)
        except (AssertionError, Dropped, OSError, KeyError) as e:
            failed += 1
            print("not ok %d - names/%s\n# %s: %s" % (i, test.__name__, type(e).__name__, str(e).replace("\n", "\n# ")), flush=True)
        place.router.stop()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
