# What the tests say over the wire, and how they watch processes.
# Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
import array
import ctypes
import json
import os
import signal
import socket
import struct
import subprocess
import time

MAGIC, VERSION = 0x41524948, 1
HELLO, WELCOME, REFUSED = 1, 2, 3
STATUS, STATUS_TEXT = 14, 15
MESSAGE_MAX = 128 * 1024


def head(type, size, magic=MAGIC, version=VERSION):
    return struct.pack('<IHHII', magic, version, type, size, 0)


def hello(api=b'fake', functions=b'', n_functions=0, environment=b'', **kw):
    body = api.ljust(32, b'\0') + struct.pack('<IIII', os.getpid(), n_functions, len(functions), len(environment))
    body += functions + environment
    return head(HELLO, 16 + len(body), **kw) + body


class Guest:
    """One connection to a router."""

    def __init__(self, path):
        self.s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
        self.s.settimeout(20)
        self.s.connect(path)

    def send(self, data, fds=()):
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', fds))] if fds else []
        self.s.sendmsg([data], ancillary)

    def receive(self):
        return self.s.recv(MESSAGE_MAX)

    def answer(self):
        """('welcome', server's pid), ('refused', errno, text) or ('gone',)."""
        try:
            m = self.receive()
        except ConnectionResetError:
            m = b''
        if not m:
            return ('gone',)
        type = struct.unpack_from('<H', m, 6)[0]
        if type == WELCOME:
            return ('welcome', struct.unpack_from('<I', m, 32)[0])
        if type == REFUSED:
            return ('refused', struct.unpack_from('<i', m, 16)[0], m[20:].split(b'\0')[0].decode())
        return ('other', m)

    def say(self, word):
        """A word to the fake server, and its echo."""
        self.s.send(word)
        try:
            return self.receive()
        except ConnectionResetError:
            return b''

    def close(self):
        self.s.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def served(path, api=b'fake'):
    g = Guest(path)
    g.send(hello(api))
    a = g.answer()
    assert a[0] == 'welcome', a
    g.server = a[1]
    return g


def refused(path, data, fds=()):
    with Guest(path) as g:
        g.send(data, fds)
        a = g.answer()
        assert a[0] == 'refused', a
        return a


def status(path):
    with Guest(path) as g:
        g.send(head(STATUS, 16))
        m = g.receive()
        assert struct.unpack_from('<H', m, 6)[0] == STATUS_TEXT, m[:16]
        return json.loads(m[16:].rstrip(b'\0'))


# ---- processes ----

def be_subreaper():
    """Orphans become ours, so that none can be overlooked."""
    ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)


def wait_for(condition, what, seconds=10):
    end = time.time() + seconds
    while True:
        value = condition()
        if value:
            return value
        assert time.time() < end, 'waited in vain for ' + what
        time.sleep(0.01)


def stat_of(pid):
    try:
        with open(f'/proc/{pid}/stat', errors='replace') as f:
            rest = f.read().rpartition(')')[2].split()
        return rest[0], int(rest[1])
    except (FileNotFoundError, ProcessLookupError):
        return None


def alive(pid):
    s = stat_of(pid)
    return bool(s) and s[0] != 'Z'


def descendants():
    parents = {}
    for name in os.listdir('/proc'):
        if name.isdigit():
            s = stat_of(name)
            if s:
                parents.setdefault(s[1], []).append(int(name))
    found, todo = [], [os.getpid()]
    while todo:
        for pid in parents.get(todo.pop(), []):
            found.append(pid)
            todo.append(pid)
    return found


def reap(keep=()):
    """Buries orphans that have come to us; never the processes that a Popen object waits for."""
    for pid in descendants():
        s = stat_of(pid)
        if s and s == ('Z', os.getpid()) and pid not in keep:
            try:
                os.waitpid(pid, os.WNOHANG)
            except ChildProcessError:
                pass


def descriptors(pid):
    return len(os.listdir(f'/proc/{pid}/fd'))


def settled_descriptors(pid):
    """Their number once it stays the same: an answer is read before the other side has closed."""
    n = None
    while n != descriptors(pid):
        n = descriptors(pid)
        time.sleep(0.05)
    return n


def command_line(pid):
    try:
        with open(f'/proc/{pid}/cmdline', 'rb') as f:
            return f.read().split(b'\0')
    except (FileNotFoundError, ProcessLookupError):
        return []


class Router:
    """A hirad of the test's own: socket, work folder and log below `base`."""

    def __init__(self, program, base, servers, *args, wait=True, env=None, preexec=None):
        os.makedirs(base + '/work', exist_ok=True)
        self.path, self.work, self.log_path = base + '/h.sock', base + '/work', base + '/log'
        self.log_file = open(self.log_path, 'ab')
        self.p = subprocess.Popen([program, '--socket', self.path, '--server-dir', servers, '--work-dir', self.work,
                                   '--log-level', 'debug', '--connect-rate', '0', *args], stderr=self.log_file, stdin=subprocess.DEVNULL, env=env,
                                  preexec_fn=preexec)
        if wait:
            wait_for(lambda: self.answers() or self.p.poll() is not None, 'hirad to listen')
            assert self.p.poll() is None, self.log()

    def answers(self):
        try:
            return self.status()['pid'] == self.p.pid
        except OSError:
            return False

    def log(self):
        with open(self.log_path, errors='replace') as f:
            return f.read()

    def status(self):
        return status(self.path)

    def api(self, name='fake'):
        return next(a for a in self.status()['apis'] if a['name'] == name)

    def zygote(self, name='fake'):
        return self.api(name)['zygote']

    def ready(self, name='fake', n=1):
        wait_for(lambda: self.api(name)['ready'] >= n, f'{n} ready {name} servers')

    def folders(self):
        return os.listdir(self.work)

    def stop(self, sig=signal.SIGTERM):
        if self.p.poll() is None:
            self.p.send_signal(sig)
        self.p.wait(10)
        self.log_file.close()
        return self.p.returncode
