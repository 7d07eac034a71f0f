#!/usr/bin/env python3
# Virtual machines: User-Mode Linux with the distribution's own kernel, whose vsock device is hira-bridge. TAP.
# usage: run.py BUILDDIR [TEST...]
# Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
import array
import mmap
import os
import random
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../router'))
from harness import Skip, run_all  # noqa: E402
from wire import be_subreaper, stat_of, wait_for  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
BRIDGE = os.path.abspath(sys.argv[1]) + '/src/bridge/hira-bridge'
CID, ECHO, SINK, CLOSED, RELAY = 4, 7, 9, 11, 4772
TESTS = []


def test(f):
    TESTS.append(f)
    return f


def listen(path, serve):
    """Serves each connection to a unix socket by a thread of its own."""
    s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    s.bind(path)
    s.listen(200)

    def loop():
        while True:
            try:
                c = s.accept()[0]
            except OSError:
                return
            threading.Thread(target=serve, args=(c,), daemon=True).start()
    threading.Thread(target=loop, daemon=True).start()
    return s


def echo(c):
    with c:
        data = c.recv(1 << 16)
        while data:
            try:
                c.sendall(data)
                data = c.recv(1 << 16)
            except OSError:
                return


def sink(c):
    with c:
        c.sendall(b'bye')


class Bridge:
    def __init__(self, base, *args):
        self.base, self.path, self.log_path = base, base + '/vm.sock', tempfile.mktemp(dir=base)
        self.sockets = [listen(base + '/echo', echo), listen(base + '/sink', sink)]
        with open(self.log_path, 'ab') as log:
            self.p = subprocess.Popen([BRIDGE, '--vm', self.path, '--cid', str(CID), '--port', f'{ECHO}={base}/echo', '--port', f'{SINK}={base}/sink',
                                       '--port', f'{CLOSED}={base}/closed', '--log-level', 'debug', *args], stderr=log, stdin=subprocess.DEVNULL)
        wait_for(lambda: self.p.poll() is not None or 'waits for' in self.log(), 'the bridge to listen')
        assert self.p.poll() is None, self.log()

    def log(self):
        with open(self.log_path, errors='replace') as f:
            return f.read()

    def descriptors(self):
        return len(os.listdir(f'/proc/{self.p.pid}/fd'))

    def stop(self):
        self.p.terminate()
        self.p.wait(10)
        for s in self.sockets:
            s.close()
        return self.p.returncode


class Place:
    def __init__(self, base):
        self.base, self.routers = base, []

    def bridge(self, *args):
        b = Bridge(self.base, *args)
        self.routers.append(b)
        return b


# ---- a hypervisor of our own, and a guest that says what it likes ----

REGION, QUEUE = 1 << 20, 64
USER = 0x7f0000000000  # where the hypervisor says that it has the memory


class Hypervisor:
    """Speaks vhost-user; the guest's memory is one file that begins at guest address 0."""

    def __init__(self, bridge, setup=True):
        self.s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.s.connect(bridge.path)
        self.s.settimeout(10)
        self.file = os.memfd_create('guest')
        os.ftruncate(self.file, REGION)
        self.memory = mmap.mmap(self.file, REGION)
        self.kicks = [os.eventfd(0, os.EFD_NONBLOCK) for _ in range(2)]
        self.used, self.available = [0, 0], [0, 0]
        if setup:
            self.set_up()

    def close(self):
        self.s.close()
        for fd in (self.file, *self.kicks):
            os.close(fd)

    def say(self, request, payload=b'', fds=(), flags=1, size=None):
        head = struct.pack('<III', request, flags, len(payload) if size is None else size)
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', fds))] if fds else []
        self.s.sendmsg([head + payload], rights)

    def ask(self, request, payload=b''):
        self.say(request, payload)
        answered, _, size = struct.unpack('<III', self.s.recv(12, socket.MSG_WAITALL))
        assert answered == request
        return self.s.recv(size, socket.MSG_WAITALL)

    def table(self, size=REGION, offset=0):
        self.say(5, struct.pack('<IIQQQQ', 1, 0, 0, size, USER, offset), [self.file])

    def at(self, queue):
        """Descriptors, available ring, used ring."""
        base = queue * 0x4000
        return base, base + 0x2000, base + 0x3000

    def set_up(self):
        assert struct.unpack('<Q', self.ask(1))[0] >> 32 & 1
        self.say(2, struct.pack('<Q', 1 << 32 | 1 << 30))
        self.table()
        for q in range(2):
            desc, avail, used = self.at(q)
            self.say(8, struct.pack('<II', q, QUEUE))
            self.say(9, struct.pack('<IIQQQQ', q, 0, USER + desc, USER + used, USER + avail, 0))
            self.say(10, struct.pack('<II', q, 0))
            self.say(12, struct.pack('<Q', q), [self.kicks[q]])
            self.say(18, struct.pack('<II', q, 1))
        assert struct.unpack('<Q', self.ask(24, struct.pack('<III', 0, 8, 0) + bytes(8))[12:])[0] == CID

    def describe(self, queue, i, address, length, flags=0, following=0):
        struct.pack_into('<QIHH', self.memory, self.at(queue)[0] + 16 * i, address, length, flags, following)

    def offer(self, queue, head):
        avail = self.at(queue)[1]
        struct.pack_into('<H', self.memory, avail + 4 + 2 * (self.available[queue] % QUEUE), head)
        self.available[queue] = (self.available[queue] + 1) & 0xffff
        struct.pack_into('<H', self.memory, avail + 2, self.available[queue])

    def kick(self, queue):
        os.eventfd_write(self.kicks[queue], 1)

    def room(self):
        """All buffers of the queue to the guest, of 4 KiB."""
        for i in range(QUEUE):
            self.describe(0, i, 0x10000 + i * 4096, 4096, 2)
            self.offer(0, i)
        self.kick(0)

    def packet(self, op, data=b'', port=5000, to=ECHO, kind=1, flags=0, room=1 << 18, taken=0, cid=CID, length=None):
        i = self.available[1] % QUEUE
        raw = struct.pack('<QQIIIHHIII', cid, 2, port, to, len(data) if length is None else length, kind, op, flags, room, taken) + data
        self.memory[0x60000 + i * 4096:0x60000 + i * 4096 + len(raw)] = raw
        self.describe(1, i, 0x60000 + i * 4096, len(raw))
        self.offer(1, i)
        self.kick(1)

    def answers(self, n=1):
        """What came to the guest: (operation, port, data); `n` of them at least."""
        used = self.at(0)[2]
        found = []

        def more():
            index = struct.unpack_from('<H', self.memory, used + 2)[0]
            while self.used[0] != index:
                head, written = struct.unpack_from('<II', self.memory, used + 4 + 8 * (self.used[0] % QUEUE))
                self.used[0] = (self.used[0] + 1) & 0xffff
                raw = self.memory[0x10000 + head * 4096:0x10000 + head * 4096 + written]
                fields = struct.unpack_from('<QQIIIHHIII', raw)
                found.append((fields[6], fields[3], raw[44:44 + fields[4]]))
                self.offer(0, head)
            self.kick(0)
            return len(found) >= n
        wait_for(more, 'answers')
        return found


REQUEST, RESPONSE, RST, SHUTDOWN, RW, UPDATE = 1, 2, 3, 4, 5, 6


def works(bridge):
    """A well-behaved guest gets through."""
    h = Hypervisor(bridge)
    try:
        h.room()
        h.packet(REQUEST)
        assert h.answers()[0][:2] == (RESPONSE, 5000)
        h.packet(RW, b'hello')
        assert (RW, 5000, b'hello') in h.answers()
    finally:
        h.close()


@test
def a_guest_speaks_to_the_host(place):
    b = place.bridge()
    before = b.descriptors()
    works(b)
    works(b)
    wait_for(lambda: b.descriptors() == before, 'everything to be given back')


@test
def rings_that_break_the_rules(place):
    b = place.bridge()
    before = b.descriptors()

    def index(h):
        struct.pack_into('<H', h.memory, h.at(1)[1] + 2, 40000)

    def head(h):
        h.offer(1, 65535)

    def loop(h):
        h.describe(1, 0, 0x60000, 16, 1, 0)
        h.offer(1, 0)

    def outside(h):
        h.describe(1, 0, REGION - 10, 44)
        h.offer(1, 0)

    def wraps(h):
        h.describe(1, 0, 0xfffffffffffffff0, 0xffffffff)
        h.offer(1, 0)

    def indirect(h):
        h.describe(1, 0, 0x60000, 64, 4)
        h.offer(1, 0)

    def short(h):
        h.describe(1, 0, 0x60000, 43)
        h.offer(1, 0)

    def liar(h):
        h.packet(RW, b'x', length=5000)

    def far(h):
        h.describe(1, 0, 0x60000, 16, 1, 60000)
        h.offer(1, 0)

    for f in (index, head, loop, outside, wraps, indirect, short, liar, far):
        h = Hypervisor(b)
        h.room()
        h.packet(REQUEST)
        assert h.answers()[0][0] == RESPONSE
        count = b.log().count('breaks the rules')
        f(h)
        h.kick(1)
        wait_for(lambda: b.log().count('breaks the rules') == count + 1, f.__name__)
        h.close()
        works(b)
    wait_for(lambda: b.descriptors() == before, 'everything to be given back')


@test
def streams_that_break_the_rules(place):
    b = place.bridge()
    h = Hypervisor(b)
    h.room()
    h.packet(RW, b'to nobody', port=1)
    h.packet(REQUEST, port=2, to=1000)
    h.packet(REQUEST, port=3, to=CLOSED)
    h.packet(REQUEST, port=4, kind=2)
    got = h.answers(4)
    assert sorted(got) == [(RST, p, b'') for p in (1, 2, 3, 4)], got
    h.packet(REQUEST, port=5)
    h.packet(REQUEST, port=5)  # twice
    h.packet(99, port=6)
    assert {a[:2] for a in h.answers(2)} >= {(RST, 5), (RST, 6)}
    h.packet(RW, b'of another guest', cid=5)
    h.packet(REQUEST, port=7)
    assert h.answers(1)[0][:2] == (RESPONSE, 7)
    h.close()
    works(b)


@test
def more_than_its_credit(place):
    """A guest whose stream nobody reads may have so much on the way, and no more."""
    b = place.bridge()
    os.unlink(place.base + '/sink')
    stop = threading.Event()
    b.sockets.append(listen(place.base + '/sink', lambda c: stop.wait(30)))
    h = Hypervisor(b)
    h.room()
    h.packet(REQUEST, to=SINK)
    assert h.answers()[0][0] == RESPONSE
    sent = 0
    while sent < 4 << 20:
        h.packet(RW, bytes(4000), to=SINK)
        sent += 4000
        used = h.at(1)[2]
        wait_for(lambda: struct.unpack_from('<H', h.memory, used + 2)[0] == h.available[1], 'the packet to be taken')
        now = struct.unpack_from('<H', h.memory, h.at(0)[2] + 2)[0]
        if now != h.used[0] and any(a[0] == RST for a in h.answers()):
            break
    assert 256 << 10 < sent < 2 << 20, sent
    stop.set()
    h.close()
    works(b)


@test
def streams_without_end(place):
    b = place.bridge()
    h = Hypervisor(b)
    h.room()
    opened = refused = 0
    for turn in range(20):
        for i in range(20):
            h.packet(REQUEST, port=10000 + turn * 20 + i)
        got = h.answers(20)
        opened += sum(a[0] == RESPONSE for a in got)
        refused += sum(a[0] == RST for a in got)
    assert (opened, refused) == (256, 144), (opened, refused)
    h.close()
    works(b)


# ---- what crosses to a hirad ----

HIRA, MAGIC, PAGE = 10, 0x41524948, 4096
HELLO, WELCOME, OPEN_LANE, CLOSE_LANE, GROW, ADOPT, KILL, CONTROL, BEHALF, MSG_REGION, WAKE = 1, 2, 4, 6, 7, 9, 23, 29, 32, 33, 34


def message(kind, body=b'', magic=MAGIC, version=1, size=None):
    return struct.pack('<IHHII', magic, version, kind, 16 + len(body) if size is None else size, 0) + body


class Hirad:
    """Listens as a hirad would."""

    def __init__(self, path):
        self.s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.s.bind(path)
        self.s.listen(100)
        self.s.settimeout(10)

    def close(self):
        self.s.close()


def hira_bridge(place, slices=2):
    hirad = Hirad(place.base + '/hirad')
    region = place.base + '/region'
    b = place.bridge('--hira', f'{HIRA}={place.base}/hirad', '--region', f'{region},size=8M,slices={slices}')
    b.sockets.append(hirad)
    b.region = region
    return b, hirad


def kinds(data):
    found = []
    while data:
        size, = struct.unpack_from('<I', data, 8)
        found.append(struct.unpack_from('<H', data, 6)[0])
        assert len(data) >= size, data
        data = data[size:]
    return found


class accepted:
    """A connection to a hirad, with the slice that it brought."""

    def __init__(self, hirad, welcome=True):
        self.s = hirad.s.accept()[0]
        self.s.settimeout(10)
        asked, fds, _, _ = socket.recv_fds(self.s, 4096, 8)
        assert kinds(asked) == [MSG_REGION] and not fds, asked
        if welcome:
            self.s.send(message(MSG_REGION))
            told, (self.region, self.lease), _, _ = socket.recv_fds(self.s, 4096, 8)
            assert kinds(told) == [MSG_REGION]
            self.cid, _, self.offset, self.size, *self.token = struct.unpack_from('<IIQQQQ', told, 16)
            assert self.cid == CID and self.offset >= PAGE and os.fstat(self.region).st_size >= self.offset + self.size
            head = struct.unpack('<8sQQQ', os.pread(self.region, 32, 0))
            assert head[0] == b'HIREGION' and list(head[1:3]) == self.token

    def close(self):
        self.s.close()
        for fd in (self.region, self.lease):
            os.close(fd)


@test
def messages_are_cut(place):
    """However a guest's bytes come, whole messages go on; what comes back are bytes."""
    b, hirad = hira_bridge(place)
    h = Hypervisor(b)
    h.room()
    h.packet(REQUEST, to=HIRA)
    said = [message(HELLO, os.urandom(3000)), message(OPEN_LANE, bytes(16)), message(GROW, bytes(16)), message(WAKE, bytes(16)), message(HELLO, os.urandom(100000))]
    stream = b''.join(said)
    h.packet(RW, stream[:10], to=HIRA)  # before anybody listens
    c = accepted(hirad)
    sizes = [1, 5, 700, 4000, 3, 44, 4000]
    at = 10
    while at < len(stream):
        n = sizes[at % len(sizes)]
        h.packet(RW, stream[at:at + n], to=HIRA)
        at += n
        used = h.at(1)[2]
        wait_for(lambda: struct.unpack_from('<H', h.memory, used + 2)[0] == h.available[1], 'the packet to be taken')
    for m in said:
        assert c.s.recv(1 << 17) == m
    back = [message(WELCOME, bytes(600)), message(WAKE, bytes(16)), message(5, bytes(16))]
    for m in back:
        c.s.send(m)
    got = b''
    while len(got) < sum(map(len, back)):
        got += b''.join(a[2] for a in h.answers())
    assert got == b''.join(back)
    c.close()
    h.close()


@test
def messages_that_no_guest_says(place):
    """They end the stream, and nothing of them arrives."""
    b, hirad = hira_bridge(place)
    before = b.descriptors()
    bad = [message(k, bytes(64)) for k in (0, WELCOME, CLOSE_LANE, ADOPT, KILL, CONTROL, BEHALF, MSG_REGION, 999)]
    bad += [message(HELLO, bytes(16), magic=1), message(HELLO, bytes(16), size=15), message(HELLO, bytes(16), size=0), message(HELLO, bytes(16), size=1 << 20),
            message(HELLO, bytes(16), size=0xffffffff)]
    h = Hypervisor(b)
    h.room()
    for i, m in enumerate(bad):
        h.packet(REQUEST, to=HIRA, port=6000 + i)
        c = accepted(hirad)
        h.packet(RW, message(HELLO, b'first') + m, to=HIRA, port=6000 + i)
        assert c.s.recv(1 << 17) == message(HELLO, b'first')
        assert c.s.recv(1 << 17) == b'', m
        wait_for(lambda: any(a[:2] == (RST, 6000 + i) for a in h.answers(0)), 'the stream to be over')
        c.close()
    h.packet(REQUEST, to=HIRA, port=7000)  # of another version: hirad says so
    c = accepted(hirad)
    h.packet(RW, message(BEHALF, b'x', version=9), to=HIRA, port=7000)
    assert c.s.recv(1 << 17) == message(BEHALF, b'x', version=9)
    c.close()
    h.close()
    wait_for(lambda: b.descriptors() == before, 'everything to be given back')


@test
def slices_are_used_again(place):
    """When their stream has ended and their lease, and not before; empty."""
    b, hirad = hira_bridge(place, slices=2)
    before = b.descriptors()
    h = Hypervisor(b)
    h.room()
    for port in (1, 2, 3):
        h.packet(REQUEST, to=HIRA, port=port)
    one, two = accepted(hirad), accepted(hirad)
    assert {one.offset, two.offset} == {PAGE, PAGE + one.size}
    os.pwrite(one.region, b'secret', one.offset)
    third = hirad.s.accept()[0]
    third.settimeout(0.5)
    one.s.close()  # its server has hung up, and lives on
    wait_for(lambda: any(a[:2] == (SHUTDOWN, 1) for a in h.answers(0)), 'the stream to end')
    h.packet(SHUTDOWN, to=HIRA, port=1, flags=3)
    try:
        third.recv(100)
        raise AssertionError('a slice that a server still has is given away')
    except TimeoutError:
        pass
    os.close(one.lease)
    third.settimeout(10)
    assert kinds(third.recv(4096)) == [MSG_REGION]
    third.send(message(MSG_REGION))
    told, (region, lease), _, _ = socket.recv_fds(third, 4096, 8)
    assert struct.unpack_from('<Q', told, 24)[0] == one.offset
    assert os.pread(region, 100, one.offset) == bytes(100)
    for fd in (region, lease, one.region):
        os.close(fd)
    third.close()
    two.close()
    h.close()
    wait_for(lambda: b.descriptors() == before, 'everything to be given back')


@test
def a_hirad_that_refuses(place):
    """What it says arrives; the slice is free at once."""
    b, hirad = hira_bridge(place, slices=1)
    h = Hypervisor(b)
    h.room()
    for port in (1, 2, 3):
        h.packet(REQUEST, to=HIRA, port=port)
        c = accepted(hirad, welcome=False)
        c.s.send(message(3, bytes(256)))
        c.s.close()
        wait_for(lambda: any(a == (RW, port, message(3, bytes(256))) for a in h.answers(0)), 'the refusal')
        h.packet(SHUTDOWN, to=HIRA, port=port, flags=3)
    h.close()


@test
def one_bridge_a_region(place):
    b, _ = hira_bridge(place)
    p = subprocess.run([BRIDGE, '--vm', place.base + '/other', '--cid', '5', '--hira', '10=/x', '--region', b.region + ',size=8M'], capture_output=True, text=True, timeout=10)
    assert p.returncode == 1 and 'another bridge' in p.stderr, p
    with open(place.base + '/open', 'wb') as f:
        f.truncate(8 << 20)
    os.chmod(place.base + '/open', 0o666)
    p = subprocess.run([BRIDGE, '--vm', place.base + '/other', '--cid', '5', '--hira', '10=/x', '--region', place.base + '/open,size=8M'], capture_output=True, text=True, timeout=10)
    assert p.returncode == 1 and 'everybody' in p.stderr, p
    open(place.base + '/small', 'wb').write(b'x')
    p = subprocess.run([BRIDGE, '--vm', place.base + '/other', '--cid', '5', '--hira', '10=/x', '--region', place.base + '/small,size=8M'], capture_output=True, text=True, timeout=10)
    assert p.returncode == 1 and 'size' in p.stderr, p


@test
def hypervisors_that_make_no_sense(place):
    b = place.bridge()
    before = b.descriptors()
    words = ((5, struct.pack('<IIQQQQ', 1, 0, 0, REGION * 2, USER, 0)), (5, struct.pack('<IIQQQQ', 1, 0, 0, REGION, USER, 1 << 63)), (5, struct.pack('<II', 200, 0)),
             (8, struct.pack('<II', 0, 3)), (8, struct.pack('<II', 9, 64)), (9, b'short'), (12, struct.pack('<Q', 0)), (2, struct.pack('<Q', 1 << 63)),
             (24, struct.pack('<III', 0, 100000, 0)), (77, b''))
    for request, payload in words:
        h = Hypervisor(b, setup=False)
        h.say(request, payload, [h.file] if request == 5 else ())
        assert h.s.recv(1) == b'', request
        h.close()
    h = Hypervisor(b, setup=False)
    h.say(1, size=1 << 30)
    assert h.s.recv(1) == b''
    h.close()
    h = Hypervisor(b, setup=False)
    second = Hypervisor(b, setup=False)  # one machine, one bridge
    assert second.s.recv(1) == b''
    second.close()
    h.close()
    noise = random.Random(3)
    for _ in range(200):
        h = Hypervisor(b, setup=False)
        try:
            h.s.sendall(struct.pack('<III', noise.randrange(45), 1, 8) + noise.randbytes(noise.choice((0, 8, 300))))
        except OSError:
            pass
        h.close()
    wait_for(lambda: b.p.poll() is not None or b.descriptors() == before, 'everything to be given back', 30)
    works(b)


# ---- its relay ----

def relay_of(bridge):
    with open(f'/proc/{bridge.p.pid}/task/{bridge.p.pid}/children') as f:
        return [int(p) for p in f.read().split()]


def answered(h, port):
    """The greeting of a relay that wants a session, and what it hears."""
    h.packet(REQUEST, port=port, to=RELAY)
    assert h.answers()[0][:2] == (RESPONSE, port)
    h.packet(RW, struct.pack('<IHHHHI16s96s', 0x4e524948, 3, 1, 0, 0, 0, bytes(16), b''), port=port, to=RELAY)
    got = h.answers()
    data = b''.join(a[2] for a in got if a[:2] == (RW, port))
    assert len(data) == 128 and struct.unpack_from('<H', data, 10)[0] == 0, got


@test
def a_bridge_and_its_relay(place):
    """They come and go together; a bridge whose relay has ended serves its other ports."""
    b = place.bridge('--relay', f'{RELAY}={place.base}/hirad')
    relay, = relay_of(b)
    assert os.stat(b.path + '.relay').st_mode & 0o777 == 0o600
    h = Hypervisor(b)
    h.room()
    answered(h, 5000)
    os.kill(relay, 9)
    wait_for(lambda: 'hira-relay has ended' in b.log(), 'the bridge to notice')
    h.packet(REQUEST, port=5001, to=RELAY)
    wait_for(lambda: any(a[:2] == (RST, 5001) for a in h.answers(0)), 'the guest to be refused')
    h.close()
    works(b)
    b.stop()
    place.routers.remove(b)
    for name in ('echo', 'sink'):
        os.unlink(place.base + '/' + name)
    b = place.bridge('--relay', f'{RELAY}={place.base}/hirad')  # in the place of a dead one
    h = Hypervisor(b)
    h.room()
    answered(h, 5002)
    h.close()
    relay, = relay_of(b)
    os.kill(b.p.pid, 9)
    wait_for(lambda: not stat_of(relay) or stat_of(relay)[0] == 'Z', 'the relay to end')
    wait_for(lambda: not os.path.exists(b.path + '.relay'), 'its socket to be removed')


# ---- a real one ----

def boot(place, *args):
    """What it says. Its root is this machine's, to read only."""
    p = subprocess.run(['linux.uml', 'mem=256M', 'root=/dev/root', 'rootfstype=hostfs', 'rootflags=/', 'ro', 'con0=null,fd:1', 'con=null', 'uml_dir=' + place.base,
                        'quiet', *args], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120)
    return p.stdout.decode(errors='replace')


@test
def a_user_mode_linux(place):
    """Debian's kernel with Debian's vsock driver."""
    if not shutil.which('linux.uml'):
        raise Skip('user-mode-linux is not installed')
    try:
        said = boot(place, 'init=/bin/echo', '--', 'up-and-about')  # and over: a kernel without its first process ends
    except subprocess.TimeoutExpired:
        said = 'it did not boot within two minutes'
    if 'up-and-about' not in said:
        raise Skip('User-Mode Linux does not run here: ' + said.strip().split('\n')[-1][:100])
    b = place.bridge()
    said = boot(place, f'init={HERE}/guest.py', f'virtio_uml.device={b.path}:19')
    lines = [line[7:].strip() for line in said.splitlines() if line.startswith('guest: ')]
    for line in lines:
        if not line.startswith('ok '):
            print('# ' + line, flush=True)
    assert 'done' in lines and sum(line.startswith('ok ') for line in lines) == 6, said[-3000:]
    assert b.p.poll() is None


@test
def command_lines(place):
    ok = ['--vm', place.base + '/x', '--cid', '4', '--port', '7=/x']
    for words, status in ((['--help'], 0), (['--version'], 0), ([], 2), (['--cid', '2'], 2), (ok[:4], 2), ([*ok, '--port', '0=/x'], 2), ([*ok, '--port', '7'], 2),
                          ([*ok, 'more'], 2), ([*ok, '--hira', '8=/x'], 2), ([*ok, '--relay', '8'], 2), ([*ok, '--relay', '8=/x', '--relay', '9=/x'], 2), ([*ok, '--region', '/x,size=3M'], 2),
                          ([*ok, '--region', '/x'], 2), ([*ok, '--region', '/x,size=8M,slices=99'], 2), ([*ok, '--region', '/x,size=8M,slices=8'], 2), ([*ok, '--region', '/x,nice=1'], 2), (['--vm', place.base + '/absent/more/x', *ok[2:]], 1), (['--vm', place.base, *ok[2:]], 1)):
        p = subprocess.run([BRIDGE, *words], capture_output=True, timeout=10)
        assert p.returncode == status and (p.stdout if status == 0 else p.stderr), (words, p)
    b = place.bridge()
    p = subprocess.run([BRIDGE, '--vm', b.path, *ok[2:]], capture_output=True, text=True, timeout=10)
    assert p.returncode == 1 and 'another bridge' in p.stderr, p
    b.p.kill()
    b.p.wait()
    b.stop()
    for name in ('echo', 'sink'):
        os.unlink(place.base + '/' + name)
    works(place.bridge())  # in the place of a dead one


def main():
    be_subreaper()
    tests = [t for t in TESTS if not sys.argv[2:] or t.__name__ in sys.argv[2:]]
    print(f'1..{len(tests)}', flush=True)
    return 1 if run_all(tests, Place) else 0


sys.exit(main())
