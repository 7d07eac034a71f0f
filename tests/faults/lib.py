# What the tests of faults and of load share: a hirad with the null API, a program that does what it is told, a harness. TAP.
# Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
import os
import select
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../router'))
from harness import Skip, run_all  # noqa: E402,F401
from wire import Router, alive, be_subreaper, wait_for  # noqa: E402

LOST = -10                      # NULL_ERROR_LOST
SOAK = bool(os.environ.get('HIRA_SOAK'))
LIMIT_MS = 1000                 # from a server's death to the API's error

BUILD = os.path.abspath(sys.argv[1])
HIRAD, HIRA = BUILD + '/src/router/hirad', BUILD + '/src/cli/hira'
CLIENT, NULLAPI = BUILD + '/tests/faults/faults-client', BUILD + '/tests/nullapi'
TESTS = {}


def test(part):
    def add(f):
        TESTS.setdefault(part, []).append(f)
        return f
    return add


def times(short, long):
    return range(long if SOAK else short)


def note(text):
    print('# ' + text, flush=True)


class Client:
    """tests/faults/client.c; `fresh`: it has made its first call."""

    def __init__(self, socket, env=None, prefix=(), fresh=True, user=None):
        e = dict(os.environ, HIRA_SOCKET=socket, **(env or {}))
        who = {} if user is None else {'user': user, 'group': user, 'extra_groups': ()}
        self.p = subprocess.Popen([*prefix, CLIENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=e, **who)
        self.pid, self.buffer = self.p.pid, b''
        if fresh:
            self.must('sum')

    def tell(self, words):
        self.p.stdin.write(words.encode() + b'\n')
        self.p.stdin.flush()

    def answer(self, seconds=20):
        """[word, status, ms, notified]; None when the program has ended."""
        end = time.time() + seconds
        while b'\n' not in self.buffer:
            ready = select.select([self.p.stdout], [], [], max(0, end - time.time()))[0]
            assert ready, f'client {self.pid} does not answer for {seconds} s'
            got = os.read(self.p.stdout.fileno(), 4096)
            if not got:
                return None
            self.buffer += got
        line, _, self.buffer = self.buffer.partition(b'\n')
        word, status, ms, notified = line.decode().split()
        return word, int(status), float(ms), int(notified)

    def ask(self, words, seconds=20):
        self.tell(words)
        a = self.answer(seconds)
        assert a, f'client ended with {self.p.wait()} in {words}: ' + self.p.stderr.read().decode(errors='replace')
        return a

    def must(self, words, status=0, seconds=20):
        a = self.ask(words, seconds)
        assert a[1] == status, (words, a)
        return a

    def ends_well(self):
        self.p.stdin.close()
        status = self.p.wait(5)
        errors = self.p.stderr.read().decode(errors='replace')
        self.p.stdout.close()
        self.p.stderr.close()
        assert status == 0, (status, errors)
        assert not errors, errors

    def kill(self, sig=signal.SIGKILL):
        self.p.send_signal(sig)
        if sig == signal.SIGKILL:
            self.p.wait()

    def close(self):
        if self.p.poll() is None:
            self.p.kill()
        self.p.wait()
        for f in (self.p.stdin, self.p.stdout, self.p.stderr):
            try:
                f.close()
            except OSError:
                pass


class Place:
    """A test's folder, with hirads and clients in it that are ended after it."""

    def __init__(self, base):
        self.base, self.n, self.routers, self.clients = base, 0, [], []

    def router(self, *args, base=None, servers=NULLAPI, **kw):
        if not base:
            self.n += 1
            base = f'{self.base}/r{self.n}'
            os.mkdir(base, 0o700)
        r = Router(HIRAD, base, servers, *args, **kw)
        r.base = base
        self.routers.append(r)
        return r

    def client(self, router, **kw):
        c = Client(router if isinstance(router, str) else router.path, **kw)
        self.clients.append(c)
        return c


def entry(router, pid):
    return next((g for g in router.status()['guests'] if g['pid'] == pid), None)


def server_of(router, client):
    """The pid of a client's server; hirad knows it a moment after the client has its answer at the latest."""
    return wait_for(lambda: entry(router, client.pid), f'client {client.pid} to be listed')['server']


def lost_within(c, answer=None):
    """The call in flight and every one after get the API's error, in time."""
    if answer:
        assert answer[1] == LOST and answer[2] < LIMIT_MS, answer
    a = c.must('lost', LOST)
    assert a[2] < LIMIT_MS, a


def lost_when_killed(c, server):
    """Kills the server of a call in flight; the application hears of it in time and ends well."""
    os.kill(server, signal.SIGKILL)
    killed = time.time()
    a = c.answer()
    assert a[1] == LOST and time.time() - killed < 1, a
    lost_within(c)
    c.ends_well()


def gone_within(pid, seconds=1.0):
    start = time.time()
    wait_for(lambda: not alive(pid), f'process {pid} to end', seconds)
    return time.time() - start


def main(part, wanted):
    be_subreaper()
    tests = [t for t in TESTS[part] if not wanted or t.__name__ in wanted]
    print(f'1..{len(tests)}', flush=True)
    failed = run_all(tests, Place)
    sys.exit(1 if failed else 0)
