#!/usr/bin/python3
# Guests that keep what others need: answers that they do not read, connections of guests that have ended, all places. Through a hirad
# with its sandbox. Prints TAP.
# SPDX-License-Identifier: Apache-2.0
#
# usage: kept.py BUILDDIR [TEST...]
import array
import os
import re
import socket
import struct
import sys
import tempfile
import time

here = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [here, os.path.join(here, '../router')]
from hostile import GROW, MAGIC, OPEN_LANE, VERSION, Guest  # noqa: E402
from wire import Router, wait_for  # noqa: E402


class Skip(Exception):
    pass


def ask(what, n=0):
    """OPEN_LANE or GROW, of which each answer brings a descriptor."""
    return struct.pack('<IHHIIQQ', MAGIC, VERSION, what, 32, 0, n, 0)


def as_user(uid, act):
    """In a process of this user's: its words."""
    ours, theirs = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.setgroups([])
            os.setgid(uid)
            os.setuid(uid)
            os.write(theirs, act().encode())
        finally:
            os._exit(0)
    os.close(theirs)
    words = os.read(ours, 1000).decode()
    os.close(ours)
    os.waitpid(pid, 0)
    return words


def answers_that_nobody_reads(router):
    """The kernel counts descriptors on their way for all processes of a user: those for one guest keep no other from its own."""
    r = router()
    witness = Guest(r.path)
    silent = []
    for what in (OPEN_LANE, OPEN_LANE, OPEN_LANE, GROW, OPEN_LANE, OPEN_LANE):
        g = Guest(r.path)
        g.sock.setblocking(False)
        silent.append(g)
        end = time.monotonic() + 1
        while time.monotonic() < end:
            try:
                g.sock.send(ask(what, 4096 if what == GROW else 0))
            except BlockingIOError:
                time.sleep(0.01)
    began = time.monotonic()
    witness.lane()
    assert witness.grow(1 << 20)
    Guest(r.path).lane()
    assert time.monotonic() - began < 3, time.monotonic() - began
    for g in silent: # what was asked for is there for who reads at last
        g.sock.setblocking(True)
        assert struct.unpack_from('<H', g.sock.recvmsg(4096, 1000)[0], 6)[0] in (5, 8)


def given_away(r):
    """A guest that has given its connection to us: the descriptor, and what ends the guest."""
    ours, theirs = socket.socketpair()
    pid = os.fork()
    if pid == 0:
        g = Guest(r.path)
        theirs.sendmsg([b'x'], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', [g.sock.fileno()]))])
        theirs.recv(1)
        os._exit(0)
    kept = socket.recv_fds(ours, 1, 1)[1][0]
    wait_for(lambda: r.status()['serving'] == 1, 'the guest to be served')

    def leave():
        ours.send(b'x')
        os.waitpid(pid, 0)
    return kept, leave


def connections_given_away(router):
    """A server ends with the process that it serves, whoever has that one's end of the connection."""
    r = router()
    kept, leave = given_away(r)
    server = r.status()['guests'][0]['server']
    leave()
    wait_for(lambda: r.status()['serving'] == 0 and not os.path.exists(f'/proc/{server}'), 'its server to end', 5)
    os.close(kept)


def connections_given_away_before_a_restart(router):
    """The same where hirad was killed, and the next one has adopted the server."""
    r = router()
    kept, leave = given_away(r)
    r.stop(9)
    r = router(r)
    wait_for(lambda: r.status()['serving'] == 1, 'the guest to be served on')
    leave()
    wait_for(lambda: r.status()['serving'] == 0, 'its server to end', 5)
    os.close(kept)


def all_places(router):
    """One user never has them all."""
    if os.geteuid():
        raise Skip('needs root, to be several users')
    r = router(args=('--max-guests', '12'))
    ours, theirs = socket.socketpair()
    pid = os.fork()
    if pid == 0:
        os.setgroups([])
        os.setgid(5001)
        os.setuid(5001)
        guests = [Guest(r.path) for _ in range(12)]
        theirs.send(b'x')
        theirs.recv(1)
        del guests
        os._exit(0)
    ours.recv(1)
    assert r.status()['serving'] == 9, r.status()['serving']
    assert as_user(5002, lambda: str(struct.unpack_from('<H', Guest(r.path).welcome, 6)[0])) == '2'
    ours.send(b'x')
    os.waitpid(pid, 0)


TESTS = [answers_that_nobody_reads, connections_given_away, connections_given_away_before_a_restart, all_places]


def main():
    build, wanted = os.path.abspath(sys.argv[1]), sys.argv[2:]
    with open(build + '/tests/nullapi/guest.c', encoding='utf-8') as f:
        Guest.functions = [(n, int(h, 16)) for n, h in re.findall(r'^    \{"(\w+)", (0x[0-9a-f]+)\},$', f.read(), re.M)]
    # A sanitizer's dlopen does not look where the server's own run path says.
    env = dict(os.environ, LD_LIBRARY_PATH=build + '/tests/nullapi')
    tests = [t for t in TESTS if not wanted or t.__name__ in wanted]
    failed = 0
    print(f'1..{len(tests)}')
    for i, test in enumerate(tests, 1):
        routers = []
        with tempfile.TemporaryDirectory() as base:
            os.chmod(base, 0o755)

            def router(again=None, args=()):
                routers.append(Router(build + '/src/router/hirad', base, build + '/tests/nullapi', *args, env=env))
                routers[-1].ready('null')
                return routers[-1]
            try:
                test(router)
                print(f'ok {i} - attack/{test.__name__}', flush=True)
            except Skip as e:
                print(f'ok {i} - attack/{test.__name__} # SKIP {e}', flush=True)
            except Exception as e: # whatever it is, the next test is of interest, too
                failed += 1
                print(f'not ok {i} - attack/{test.__name__}\n# {type(e).__name__}: {e}', flush=True)
            for r in routers:
                r.stop()
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
