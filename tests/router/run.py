#!/usr/bin/env python3
# hirad, the zygote and hira run, from outside: over the wire and by what they leave behind. TAP.
# usage: run.py HIRAD HIRA FAKE_SERVER [TEST...]
# Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
import ctypes
import json
import os
import random
import re
import resource
import signal
import socket
import struct
import subprocess
import sys
import time
import traceback

from harness import Skip, run_all
from wire import (MAGIC, STATUS, VERSION, Guest, Router, alive, be_subreaper, command_line, descendants, descriptors, head, hello,
                  reap, refused, served, settled_descriptors, status, wait_for)

HIRAD, HIRA, FAKE = (os.path.abspath(p) for p in sys.argv[1:4])
TESTS = []


def test(f):
    TESTS.append(f)
    return f


class Place:
    """A test's folder; `router` starts a hirad in it whose servers are the fake one under the names given."""

    def __init__(self, base):
        self.base, self.n, self.routers = base, 0, []

    def servers(self, *names):
        folder = f'{self.base}/servers-{"-".join(names)}'
        os.makedirs(folder, exist_ok=True)
        for name in names:
            link = f'{folder}/hira-server-{name}'
            if not os.path.exists(link):
                os.symlink(FAKE, link)
        return folder

    def open_router(self, *args, **kw):
        """One whose socket other users can reach, of whom the test is going to be one."""
        if os.geteuid() != 0:
            raise Skip('needs root to become another user')
        os.chmod(self.base, 0o755)
        r = self.router(*args, **kw)
        os.chmod(os.path.dirname(r.path), 0o755)
        return r

    def router(self, *args, servers=('fake',), **kw):
        self.n += 1
        base = f'{self.base}/r{self.n}'
        os.mkdir(base, 0o700)
        r = Router(HIRAD, base, self.servers(*servers), *args, **kw)
        self.routers.append(r)
        return r


# ---- guests ----

@test
def a_guest_is_served(place):
    r = place.router()
    r.ready()
    before = settled_descriptors(r.p.pid)
    with served(r.path) as g:
        assert g.say(b'ping') == b'ping'
        d = dict(w.split('=', 1) for w in g.say(b'describe').decode().split())
        assert d['dir'].startswith(r.work + '/hira-server-') and d['cwd'] == d['dir'] == d['tmp'], d
        assert d['mark'] == '1' and d['setting'] == 'of=the=spec' and d['session'] == '1', d
        assert int(d['guest']) == os.getpid() and int(d['uid']) == os.getuid(), d
        assert oct(os.stat(d['dir']).st_mode & 0o777) == '0o700'
        assert os.readlink(f'/proc/{g.server}/fd/0') == '/dev/null'
        with open(f'/proc/{g.server}/comm') as f:
            assert f.read() == 'hira-fake\n'
        s = r.status()
        assert s['serving'] == 1 and s['guests'][0]['pid'] == os.getpid() and s['guests'][0]['server'] == g.server, s
        r.ready()
    wait_for(lambda: not os.path.exists(d['dir']), 'the folder to be removed')
    wait_for(lambda: r.status()['serving'] == 0 and descriptors(r.p.pid) == before, 'descriptors to be closed')


@test
def a_guest_brings_its_environment(place):
    r = place.router()
    r.ready()
    with Guest(r.path) as g:
        g.send(hello(environment=b'FAKE_WISH_A=1=2\0FAKE_OTHER=x\0HIRA_SERVER=\0=\0no\0'))
        answer = g.answer()
        assert answer[0] == 'welcome', answer
        d = dict(w.split('=', 1) for w in g.say(b'describe').decode().split())
        assert d['wish'] == '1=2' and d['other'] == '' and d['mark'] == '1' and d['setting'] == 'of=the=spec', d
        assert d['dir'].startswith(r.work + '/hira-server-') and d['cwd'] == d['dir'] == d['tmp'], d
        assert int(d['guest']) == os.getpid() and d['session'] == '1', d
        fds = [os.readlink(f'/proc/{answer[1]}/fd/{f}') for f in os.listdir(f'/proc/{answer[1]}/fd')]
        assert len(fds) == 7, fds
        with open(f'/proc/{answer[1]}/comm') as f:
            assert f.read() == 'hira-fake\n'
        assert [s['server'] for s in r.status()['guests']] == [answer[1]]
    wait_for(lambda: not os.path.exists(d['dir']), 'the folder to be removed')
    with served(r.path) as g:
        assert b' wish= ' in g.say(b'describe')


@test
def servers_inherit_no_descriptors(place):
    leak = os.open('/dev/zero', os.O_RDONLY)
    os.set_inheritable(leak, True)
    r = place.router(preexec=lambda: os.dup2(leak, 77))
    with served(r.path) as g:
        fds = {int(f): os.readlink(f'/proc/{g.server}/fd/{f}') for f in os.listdir(f'/proc/{g.server}/fd')}
        assert 77 not in fds and '/dev/zero' not in fds.values(), fds
        # /dev/null, output and its copy for the log twice over, router, guest, the folder's lock
        assert len(fds) == 7, fds
    os.close(leak)


@test
def servers_are_never_used_twice(place):
    r = place.router('--warm', '2')
    seen = set()
    for _ in range(10):
        with served(r.path) as g:
            assert g.server not in seen
            seen.add(g.server)


@test
def hundred_clients_at_once(place):
    r = place.router()
    r.ready()
    before = settled_descriptors(r.p.pid)
    guests = []
    for _ in range(100):
        g = Guest(r.path)
        g.send(hello())
        guests.append(g)
    answers = [g.answer() for g in guests]
    assert all(a[0] == 'welcome' for a in answers), answers
    assert len({a[1] for a in answers}) == 100
    assert all(g.say(b'x') == b'x' for g in guests)
    assert r.status()['serving'] == 100
    for g in guests:
        g.close()
    wait_for(lambda: r.status()['serving'] == 0 and r.api()['ready'] == 1, 'all to leave')
    wait_for(lambda: descriptors(r.p.pid) == before and len(r.folders()) == 1, 'everything to be given back')


@test
def clients_that_leave_early(place):
    r = place.router(servers=('slow',))
    for _ in range(30):
        g = Guest(r.path)
        g.send(hello(b'slow'))
        g.close()
    with served(r.path, b'slow') as g:
        assert g.say(b'x') == b'x'
    wait_for(lambda: r.status()['serving'] == 0 and r.status()['waiting'] == 0, 'all to be forgotten')


@test
def servers_of_those_who_left_are_ended(place):
    r = place.router(servers=('slow',))
    guests = [Guest(r.path) for _ in range(4)]
    for g in guests:
        g.send(hello(b'slow'))
    wait_for(lambda: r.api('slow')['starting'] == 4, 'a server for each')
    for g in guests:
        g.close()
    wait_for(lambda: r.api('slow')['starting'] == 0 and r.api('slow')['ready'] == 1, 'only the one to stay that is kept warm')
    wait_for(lambda: len(r.folders()) == 1, 'the folders of the others to go')


# ---- refusals ----

@test
def refusals(place):
    r = place.router()
    cases = {
        'bad magic': (hello(magic=MAGIC + 1), 71, 'no message of Hira'),
        'garbage': (b'GET / HTTP/1.1\r\n\r\n', 71, 'no message of Hira'),
        'one byte': (b'x', 71, 'no message of Hira'),
        'other version': (hello(version=VERSION + 1), 71, 'version 2'),
        'unknown API': (hello(b'quantum'), 2, 'no server for quantum'),
        'path as API': (hello(b'../fake'), 2, 'lower-case'),
        'empty API': (hello(b''), 2, 'lower-case'),
        'unterminated API': (hello(b'x' * 32), 71, 'malformed'),
        'truncated': (hello()[:60], 71, 'malformed'),
        'other type': (head(9, 16), 71, 'malformed'),
        'size does not fit': (hello() + b'x', 71, 'malformed'),
        'too many functions': (hello(n_functions=5000), 71, 'malformed'),
        'functions missing': (hello(n_functions=3), 71, 'malformed'),
        'a name that is none': (hello(functions=struct.pack('<IB', 7, 5) + b'x"} 1', n_functions=1), 71, "function's name"),
        'a name of nothing': (hello(functions=struct.pack('<IB', 7, 0), n_functions=1), 71, "function's name"),
        'unterminated environment': (hello(environment=b'A=b'), 71, 'malformed'),
        'oversized': (hello(environment=b'\0' * 140000), 71, 'at most'),
    }
    for name, (data, error, text) in cases.items():
        a = refused(r.path, data)
        assert a[1] == error and text in a[2], (name, a)
        assert '\n' not in a[2] and len(a[2]) < 250
    null = os.open('/dev/null', os.O_RDONLY)
    n_refused = len(cases)
    try:
        assert 'no descriptors' in refused(r.path, hello(), [null])[2]
        n_refused += 1
    except PermissionError:  # by the kernel, for hirad
        pass
    os.close(null)
    assert r.status()['refused'] == n_refused
    with served(r.path):
        pass


@test
def mutated_hellos(place):
    r = place.router('--log-level', 'error')
    random.seed(1)
    entry = struct.pack('<IB', 7, 5) + b'fnord'
    good = hello(functions=entry * 4, n_functions=4, environment=b'A=1\0B=2\0')
    r.ready()
    before = settled_descriptors(r.p.pid)
    for _ in range(400):
        data = bytearray(good)
        for _ in range(random.randint(1, 6)):
            data[random.randrange(len(data))] = random.choice([0, 1, 0x7f, 0x80, 0xff, random.randrange(256)])
        if random.random() < 0.3:
            data = data[:random.randrange(len(data) + 1)] or b'\0'
        with Guest(r.path) as g:
            g.send(bytes(data))
            assert g.answer()[0] in ('welcome', 'refused', 'other')
    assert r.p.poll() is None
    wait_for(lambda: r.status()['serving'] == 0 and r.api()['ready'] >= 1 and descriptors(r.p.pid) == before, 'quiet')


@test
def silent_clients(place):
    r = place.router('--hello-timeout', '1')
    with Guest(r.path) as g:
        start = time.time()
        a = g.answer()
        assert a[0] == 'refused' and 'nothing was said' in a[2] and 0.8 < time.time() - start < 5, a


@test
def many_silent_clients_stop_nobody(place):
    r = place.router()
    r.ready()
    before = settled_descriptors(r.p.pid)
    silent = [Guest(r.path) for _ in range(400)]
    with served(r.path) as g:
        assert g.say(b'x') == b'x'
        assert descriptors(r.p.pid) < before + 150
    gone = [g.answer() for g in silent[:200]]
    assert all('silent' in a[2] for a in gone), gone
    for g in silent:
        g.close()
    wait_for(lambda: descriptors(r.p.pid) == before, 'the silent to be forgotten')


@test
def speaking_twice_while_waiting(place):
    r = place.router(servers=('slow',))
    with Guest(r.path) as g:
        g.send(hello(b'slow'))
        g.send(hello(b'slow'))
        a = g.answer()
        assert a[0] == 'refused' and 'speaks once' in a[2], a


@test
def too_many_guests(place):
    r = place.router('--max-guests', '3')
    guests = [served(r.path) for _ in range(3)]
    a = refused(r.path, hello())
    assert a[1] == 11 and 'limit' in a[2], a
    guests[0].close()
    wait_for(lambda: r.status()['serving'] == 2, 'one to leave')
    guests.append(served(r.path))
    for g in guests:
        g.close()


@test
def out_of_descriptors(place):
    r = place.router(preexec=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40)))
    r.ready()
    silent = [Guest(r.path) for _ in range(60)]
    wait_for(lambda: 'cannot accept' in r.log(), 'accept to fail')
    for g in silent:
        g.close()
    time.sleep(0.3)
    with served(r.path) as g:
        assert g.say(b'x') == b'x'


# ---- servers that fail ----

@test
def reasons_are_told(place):
    r = place.router(servers=('fake', 'noload', 'nowarm', 'crashload', 'crashwarm'))
    for api, text in ((b'noload', 'libfake.so.1: cannot open'), (b'nowarm', 'no device of the fake kind'),
                      (b'crashload', 'signal 6'), (b'crashwarm', 'signal 6')):
        for _ in range(2):
            a = refused(r.path, hello(api))
            assert a[1] == 19 and text in a[2], (api, a)
    with served(r.path):
        pass
    assert r.api('noload')['state'] in ('failed', 'idle') and 'libfake' in r.api('noload')['reason']


@test
def not_executable_server(place):
    r = place.router()
    path = place.servers('fake') + '/hira-server-text'
    with open(path, 'w') as f:
        f.write('#!/no/such/interpreter\n')
    assert 'no server for text' in refused(r.path, hello(b'text'))[2]
    os.chmod(path, 0o755)
    assert 'cannot be started' in refused(r.path, hello(b'text'))[2]


@test
def api_installed_later(place):
    r = place.router()
    assert 'no server for slow' in refused(r.path, hello(b'slow'))[2]
    os.symlink(FAKE, place.servers('fake') + '/hira-server-slow')
    with served(r.path, b'slow'):
        pass


@test
def server_that_hangs_while_starting(place):
    r = place.router('--start-timeout', '1', servers=('hang',))
    a = refused(r.path, hello(b'hang'))
    assert 'not ready after 1 s' in a[2], a
    r.stop()
    wait_for(lambda: reap() or len(descendants()) == 0, 'the hanging servers to be killed')


@test
def library_that_makes_threads(place):
    r = place.router(servers=('threads',))
    with served(r.path, b'threads') as g:
        assert g.say(b'x') == b'x'
        assert len(os.listdir(f'/proc/{g.server}/task')) == 2
        assert b'--late' in command_line(r.zygote('threads'))
        assert len(os.listdir(f'/proc/{r.zygote("threads")}/task')) == 1


@test
def server_crashes(place):
    r = place.router()
    with served(r.path) as other, served(r.path) as g:
        folder = [w for w in g.say(b'describe').decode().split() if w.startswith('dir=')][0][4:]
        assert g.say(b'crash') in (b'', None)
        wait_for(lambda: f'server {g.server} was ended by signal 11' in r.log(), 'the log to say so')
        wait_for(lambda: not os.path.exists(folder), 'its folder to go')
        assert other.say(b'x') == b'x'
        with served(r.path) as again:
            assert again.say(b'x') == b'x'
    with served(r.path) as g:
        g.say(b'exit')
        wait_for(lambda: f'server {g.server} ended with status 9' in r.log(), 'the log to say so')


@test
def zygote_crashes(place):
    r = place.router()
    r.ready()
    with served(r.path) as g:
        for _ in range(3):
            old = r.zygote()
            os.kill(old, signal.SIGKILL)
            for _ in range(2):  # the first may have been ready before
                with served(r.path) as new:
                    assert new.say(b'x') == b'x'
            wait_for(lambda: r.zygote() not in (0, old), 'another zygote')
            assert g.say(b'x') == b'x'
        assert r.api()['restarts'] >= 3
        assert 'the zygote was ended by signal 9' in r.log()
        time.sleep(2.1)  # the folder's minimum age
    wait_for(lambda: r.status()['serving'] == 0, 'the orphaned server to be noticed')
    wait_for(lambda: reap([r.p.pid]) or not alive(g.server), 'the orphaned server to end')
    with served(r.path):
        pass


@test
def zygote_crashes_are_backed_off(place):
    r = place.router(servers=('crashload',))
    for _ in range(20):
        refused(r.path, hello(b'crashload'))
        time.sleep(0.05)
    assert r.api('crashload')['restarts'] < 8, r.api('crashload')


@test
def hostile_servers(place):
    r = place.router()
    with served(r.path) as g:
        assert g.say(b'hide') == b'hide'
        wait_for(lambda: 'hung up but lives on' in r.log() and not alive(g.server), 'the hiding server to be killed')
    with served(r.path) as g:
        g.s.send(b'surprise')
        wait_for(lambda: 'speaks out of turn' in r.log() and not alive(g.server), 'the talking server to be killed')
    with served(r.path) as g:
        folder = [w for w in g.say(b'describe').decode().split() if w.startswith('dir=')][0][4:]
        assert g.say(b'litter') == b'litter'
    wait_for(lambda: not os.path.exists(folder), 'the litter to be removed')
    assert os.path.exists('/etc')


@test
def servers_that_talk_before_they_are_ready(place):
    r = place.router(servers=('talker',))
    a = refused(r.path, hello(b'talker'))
    assert 'no server for talker' in a[2], a


@test
def floods_of_output(place):
    r = place.router()
    with served(r.path) as g, served(r.path) as other:
        g.s.send(b'flood')
        wait_for(lambda: 'says too much' in r.log(), 'the flood to be dammed')
        assert other.say(b'x') == b'x'
        assert r.status()['serving'] == 2
        assert r.log().count('flood') < 400
        assert '\\x1b[31m' in r.log() and '\033' not in r.log()


# ---- ends of hirad ----

@test
def killed_while_guests_run(place):
    r = place.router()
    r.ready()
    with served(r.path) as g:
        r.ready()
        zygote = r.zygote()
        others = [p for p in descendants() if p not in (r.p.pid, zygote, g.server)]
        assert others
        r.stop(signal.SIGKILL)
        assert g.say(b'x') == b'x'
        wait_for(lambda: reap() or not any(alive(p) for p in others), 'idle servers to end')
        wait_for(lambda: len(r.folders()) == 1, 'their folders to be removed')
        assert alive(zygote) and alive(g.server)
        assert g.say(b'x') == b'x'
    wait_for(lambda: reap() or not alive(zygote), 'the zygote to end')
    assert r.folders() == []


@test
def told_to_end_while_guests_run(place):
    r = place.router()
    with served(r.path) as g:
        waiting = Guest(r.path)
        assert r.stop() == 0
        assert not os.path.exists(r.path) and not os.path.exists(r.path + '.lock')
        assert waiting.answer()[0] in ('refused', 'gone')
        assert g.say(b'x') == b'x'
        waiting.close()
    wait_for(lambda: reap() or not descendants(), 'everything to end')
    assert r.folders() == []


@test
def leaves_nothing_behind(place):
    r = place.router('--warm', '3')
    r.ready(n=3)
    assert r.stop(signal.SIGINT) == 0
    wait_for(lambda: reap() or not descendants(), 'everything to end')
    assert r.folders() == [] and sorted(os.listdir(os.path.dirname(r.path))) == ['log', 'work']


@test
def folders_of_the_dead_are_swept(place):
    r = place.router()
    os.mkdir(r.work + '/hira-server-dead00')
    os.mkdir(r.work + '/hira-server-dead00/x')
    time.sleep(2.1)
    with served(r.path) as g:
        again = Router(HIRAD, place.base + '/again', place.servers('fake'), '--work-dir', r.work)
        place.routers.append(again)
        wait_for(lambda: not os.path.exists(r.work + '/hira-server-dead00'), 'the sweep')
        assert g.say(b'x') == b'x' and len(r.folders()) >= 1


# ---- the socket ----

def fails(*args, env=None):
    p = subprocess.run([HIRAD, *args], capture_output=True, text=True, timeout=10, env=env)
    assert p.returncode == 1 and p.stderr.count('\n') == 1, (p.returncode, p.stderr)
    return p.stderr


@test
def second_hirad_is_refused(place):
    r = place.router()
    text = fails('--socket', r.path)
    assert f'another hirad, process {r.p.pid}, listens' in text or f'process {r.p.pid}' in text, text
    with served(r.path):
        pass


@test
def stale_sockets_are_replaced(place):
    r = place.router()
    r.stop(signal.SIGKILL)
    assert os.path.exists(r.path)
    again = Router(HIRAD, os.path.dirname(r.path), place.servers('fake'))
    place.routers.append(again)
    with served(again.path):
        pass


@test
def what_is_in_the_way(place):
    with open(place.base + '/file', 'w') as f:
        f.write('precious')
    assert 'is no socket' in fails('--socket', place.base + '/file')
    with open(place.base + '/file') as f:
        assert f.read() == 'precious'
    s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    s.bind(place.base + '/foreign')
    s.listen(1)
    assert 'another program' in fails('--socket', place.base + '/foreign')
    s.close()
    os.mkdir(place.base + '/open')
    os.chmod(place.base + '/open', 0o777)
    assert 'other users' in fails('--socket', place.base + '/open/h.sock')
    assert 'too long' in fails('--socket', place.base + '/' + 'x' * 150)
    assert 'cannot make the folder' in fails('--socket', place.base + '/no/such/h.sock')
    assert 'is no folder' in fails('--socket', place.base + '/file/h.sock')


@test
def work_dir_that_is_none(place):
    path = place.base + '/h.sock'
    assert place.base + '/none: No such file' in fails('--socket', path, '--work-dir', place.base + '/none')
    assert place.base + '/gone: No such file' in fails('--socket', path, env={**os.environ, 'TMPDIR': place.base + '/gone'})
    assert not os.path.exists(path)


@test
def nothing_to_serve_is_said(place):
    os.makedirs(place.base + '/empty')
    r = Router(HIRAD, place.base, place.base + '/empty')
    place.routers.append(r)
    wait_for(lambda: 'nothing can be served: no API server was found' in r.log(), 'the warning')
    again = Router(HIRAD, place.base + '/again', place.servers('fake'), '--api', 'other')
    place.routers.append(again)
    wait_for(lambda: 'nothing can be served: no API server of other was found' in again.log(), 'the warning')


@test
def folder_is_made(place):
    os.makedirs(place.base + '/w')
    p = subprocess.Popen([HIRAD, '--socket', place.base + '/new/h.sock', '--server-dir', place.servers('fake'), '--work-dir',
                          place.base + '/w'], stderr=subprocess.DEVNULL)
    wait_for(lambda: os.path.exists(place.base + '/new/h.sock'), 'the socket')
    system = os.geteuid() == 0
    assert os.stat(place.base + '/new').st_mode & 0o777 == (0o755 if system else 0o700)
    assert os.stat(place.base + '/new/h.sock').st_mode & 0o777 == (0o666 if system else 0o600)
    p.terminate()
    assert p.wait(10) == 0


@test
def command_line_errors(place):
    for args in (['--warm', 'x'], ['--warm', '-1'], ['--max-guests', '0'], ['--nonsense'], ['surplus'], ['--log-level', 'loud'],
                 ['--private', '2'], ['--private', '77'], ['--api', 'A B'], ['--start-timeout', '99999999999999999999']):
        p = subprocess.run([HIRAD, *args], capture_output=True, text=True, timeout=10)
        assert p.returncode == 2 and p.stderr, (args, p)
    assert "'surplus'" in subprocess.run([HIRAD, 'surplus'], capture_output=True, text=True, timeout=10).stderr
    assert 'usage' in subprocess.run([HIRAD, '--help'], capture_output=True, text=True, check=True).stdout


@test
def json_log(place):
    r = place.router('--log-json', wait=False)
    wait_for(lambda: 'listens' in r.log(), 'the log')
    with served(r.path) as g:
        g.s.send(b'flood')
        wait_for(lambda: 'flood 3' in r.log(), 'output')
    events = [json.loads(line) for line in r.log().splitlines()]
    assert any(e.get('guest') == os.getpid() and e['level'] == 'info' and e['component'] == 'router' for e in events), events[:5]
    assert any('\x1b[31m' in e['text'] for e in events)


@test
def a_stopped_log_reader_stops_nobody(place):
    ours, theirs = os.pipe()
    base = place.base + '/p'
    os.makedirs(base)
    p = subprocess.Popen([HIRAD, '--socket', base + '/h.sock', '--server-dir', place.servers('fake'), '--work-dir', base, '--connect-rate', '0'],
                         stderr=theirs, stdin=subprocess.DEVNULL)
    os.close(theirs)
    wait_for(lambda: os.path.exists(base + '/h.sock'), 'the socket')
    for _ in range(1500):
        refused(base + '/h.sock', b'x' * 20)
    with served(base + '/h.sock') as g:
        assert g.say(b'x') == b'x'
    p.terminate()
    assert p.wait(10) == 0
    os.close(ours)


@test
def standard_descriptors_closed(place):
    def close_all():
        for fd in range(3):
            os.close(fd)
    base = place.base + '/c'
    os.makedirs(base)
    # Not Popen: it needs its own descriptors there.
    pid = os.fork()
    if pid == 0:
        close_all()
        os.execv(HIRAD, ['hirad', '--socket', base + '/h.sock', '--server-dir', place.servers('fake'), '--work-dir', base])
    wait_for(lambda: os.path.exists(base + '/h.sock'), 'the socket')
    with served(base + '/h.sock') as g:
        assert g.say(b'x') == b'x'
    assert [os.readlink(f'/proc/{pid}/fd/{n}') for n in range(3)] == ['/dev/null'] * 3
    os.kill(pid, signal.SIGTERM)
    assert os.waitpid(pid, 0)[1] == 0


@test
def status_shows_others_guests_to_nobody(place):
    r = place.open_router()
    with served(r.path):
        pid = os.fork()
        if pid == 0:
            os.setgid(65534)
            os.setuid(65534)
            s = status(r.path)
            os._exit(0 if s['serving'] == 1 and s['guests'] == [] else 1)
        assert os.waitpid(pid, 0)[1] == 0
        assert len(r.status()['guests']) == 1


# ---- hostile strangers ----

def lingering_socket():
    """One whose last close waits for a minute, for what it holds is not taken."""
    listener, s = socket.socket(), socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    listener.bind(('127.0.0.1', 0))
    listener.listen(1)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
    s.connect(listener.getsockname())
    s.setblocking(False)
    try:
        while True:
            s.send(bytes(65536))
    except BlockingIOError:
        pass
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 60))
    return listener, s


@test
def descriptors_that_are_slow_to_close(place):
    if tuple(int(n) for n in re.findall(r'\d+', os.uname().release)[:2]) < (6, 16):
        raise Skip('this kernel refuses no descriptors')
    r = place.router()
    r.ready()
    for data in hello(), b'x', head(STATUS, 16):
        listener, s = lingering_socket()
        with Guest(r.path) as g:
            try:
                g.send(data, [s.fileno()])
                s.close()
            except PermissionError:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 0, 0))
        r.status()
        listener.close()
        s.close()
    with served(r.path) as g:
        assert g.say(b'gift') == b'Operation not permitted'
        assert g.say(b'ping') == b'ping'


def knock(path):
    """Connects and talks nonsense; whether that was heard."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as s:
        s.connect(path)
        try:
            s.send(b'no hello at all')
            return len(s.recv(4096)) > 0
        except OSError:
            return False


def twin():
    """A child that knocks when told to, and whose number ends in the same eight bits as ours."""
    while True:
        ask, told = socket.socketpair()
        pid = os.fork()
        if pid == 0:
            ask.close()
            while path := told.recv(200):
                told.send(b'1' if knock(path) else b'0')
            os._exit(0)
        told.close()
        if pid % 256 == os.getpid() % 256:
            return pid, ask
        ask.close()
        os.waitpid(pid, 0)


@test
def taking_turns_at_the_door(place):
    r = place.router('--connect-rate', '100')
    pid, other = twin()
    began, heard = time.time(), [0, 0]
    for _ in range(700):
        heard[0] += knock(r.path)
        other.send(r.path.encode())
        heard[1] += other.recv(1) == b'1'
    most = 200 + 100 * (time.time() - began) + 1
    other.close()
    os.waitpid(pid, 0)
    if most > 690:
        raise Skip('too slow a machine')
    assert 200 <= min(heard) and max(heard) <= most, (heard, most)


def called(name):
    """This process is called so from now on."""
    ctypes.CDLL(None).prctl(15, name, 0, 0, 0)


@test
def names_that_are_no_text(place):
    """A guest that calls itself what is no text is listed all the same, and the log stays one that can be read."""
    r = place.router('--log-json', wait=False)
    wait_for(lambda: 'listens' in r.log(), 'the log')
    with open('/proc/self/comm', 'rb') as f:
        before = f.read()[:-1]
    names = {b'\xff\xfe': '??', b'a\xc2\x9b2Jb': 'a??2Jb', b'\x1b[2J': '?[2J', b'\xe2\x82': '??', 'Österreich'.encode(): 'Österreich',
             b'\xed\xa0\x80': '???', b'\xf4\x90\x80\x80': '????', b'"\\': '"\\'}
    try:
        for name, shown in names.items():
            called(name)
            with served(r.path):
                wait_for(lambda: shown in [g['program'] for g in r.status()['guests']], f'{name} as {shown}')
    finally:
        called(before)
    with open(r.log_path, 'rb') as f:
        lines = f.read().splitlines()
    assert all(json.loads(line.decode()) and b'\xc2\x9b' not in line for line in lines)


@test
def a_tenants_servers_that_do_not_start(place):
    """What makes one user's servers fail costs no other user its own."""
    r = place.open_router('--warm', '0', '--cache-dir', place.base + '/cache', servers=('picky',))
    with served(r.path, b'picky'):
        pass
    pid = os.fork()
    if pid == 0:
        os.setgid(65534)
        os.setuid(65534)
        try:
            for _ in range(6):
                assert 'no device for that user' in refused(r.path, hello(b'picky'))[2]
                time.sleep(0.3)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    for _ in range(3):
        began = time.time()
        with served(r.path, b'picky') as g:
            assert g.say(b'x') == b'x' and time.time() - began < 5


@test
def refused_over_and_over(place):
    """Refusals without end fill no log; how many there were, it says."""
    r = place.router()
    began = time.time()
    for _ in range(600):
        assert knock(r.path)
    wait_for(lambda: knock(r.path) and 'guests more were refused' in r.log(), 'them to be counted')
    most = 40 + 20 * (time.time() - began) + 2
    lines = [line for line in r.log().splitlines() if 'refused' in line]
    if most > 270:
        raise Skip('too slow a machine')
    # Each may be told along with how many were not told before it.
    assert len(lines) < 2 * most + 20 and r.status()['refused'] > 600, (len(lines), most)


class Stranger:
    """Another user's process, which does what it is told at once and keeps what it has until it is let go."""

    def __init__(self, act):
        ours, theirs = socket.socketpair()
        self.pid = os.fork()
        if self.pid == 0:
            ours.close()
            os.setgid(65534)
            os.setuid(65534)
            kept = []
            while theirs.recv(1):
                kept.append(act())
                theirs.send(b'.')
            os._exit(0)
        theirs.close()
        self.line = ours

    def again(self):
        self.line.send(b'.')
        assert self.line.recv(1) == b'.'

    def close(self):
        self.line.close()
        assert os.waitpid(self.pid, 0)[1] == 0


@test
def silence_of_another_user(place):
    """Connections that say nothing make room for each other, not for those of who is only slow."""
    r = place.open_router('--hello-timeout', '30')
    s = Stranger(lambda: [Guest(r.path) for _ in range(150)])
    s.again()
    with Guest(r.path) as g:
        s.again()
        s.again()
        g.send(hello())
        assert g.answer()[0] == 'welcome'
    s.close()


@test
def memory_of_those_who_wait(place):
    r = place.open_router('--warm', '0', '--cache-dir', place.base + '/cache', servers=('sleepy',))
    with served(r.path, b'sleepy'):
        pass

    def functions(n):
        return hello(b'sleepy', (struct.pack('<IB', 7, 120) + b'f' * 120) * n, n)

    def wait():
        guests = []
        for n in [1040] * 260 + [8] * 140:
            guests.append(Guest(r.path))
            guests[-1].send(functions(n))
        return guests
    s = Stranger(wait)
    s.again()
    wait_for(lambda: r.status()['waiting'] >= 60, 'others to wait')
    with Guest(r.path) as g:
        g.send(functions(50))
        assert g.answer()[0] == 'welcome'
    s.close()


@test
def users_without_end(place):
    """Who comes as thousands of users, one after the other, leaves nothing behind that hirad has to look through ever after."""
    if os.geteuid() != 0:
        raise Skip('needs root to become other users')
    os.chmod(place.base, 0o755)
    r = place.router('--warm', '0', '--start-rate', '0', '--sandbox', 'off', '--log-level', 'error')
    os.chmod(os.path.dirname(r.path), 0o755)
    hz, costs = os.sysconf('SC_CLK_TCK'), []

    def spent():
        with open(f'/proc/{r.p.pid}/stat') as f:
            return sum(int(n) for n in f.read().rpartition(')')[2].split()[11:13]) / hz
    for i in range(10):
        before = spent()
        for uid in range(200000 + i * 500, 200500 + i * 500):
            os.seteuid(uid)
            try:
                with Guest(r.path) as g:
                    g.send(hello())
            finally:
                os.seteuid(0)
            if uid % 50 == 0:
                r.status()
        wait_for(lambda: r.status()['waiting'] == 0, 'them to be gone')
        costs.append(spent() - before)
    assert sum(costs[-3:]) < 2 * sum(costs[:3]) + 0.1, costs


@test
def a_tenants_servers_that_start_slowly(place):
    """Nor what makes them take as long as they may."""
    r = place.open_router('--warm', '0', '--cache-dir', place.base + '/cache', servers=('sleepy',))
    with served(r.path, b'sleepy'):
        pass
    ours, theirs = socket.socketpair()
    pid = os.fork()
    if pid == 0:
        ours.close()
        os.setgid(65534)
        os.setuid(65534)
        guests = [Guest(r.path) for _ in range(8)]
        for g in guests:
            g.send(hello(b'sleepy'))
        theirs.recv(1)
        os._exit(0)
    theirs.close()
    wait_for(lambda: r.status()['waiting'] == 8 and r.api('sleepy')['starting'] >= 3, 'others to start')
    for _ in range(3):
        began = time.time()
        with served(r.path, b'sleepy') as g:
            assert g.say(b'x') == b'x' and time.time() - began < 5
    ours.close()
    assert os.waitpid(pid, 0)[1] == 0


@test
def strangers_of_another_pid_namespace(place):
    """Whom the kernel cannot name here brings no servers, neither init, which has no parent here, nor nobody; nor is it unlimited."""
    if os.geteuid() != 0:
        raise Skip('needs root for a namespace')
    base = place.base + '/n'
    os.makedirs(base)
    with open(base + '/log', 'ab') as log:
        p = subprocess.Popen(['unshare', '--fork', '--pid', '--mount-proc', '--kill-child', 'sh', '-c', '"$@"; exit', 'sh', HIRAD, '--socket',
                              base + '/h.sock', '--server-dir', place.servers('fake'), '--work-dir', base, '--connect-rate', '100'],
                             stderr=log, stdin=subprocess.DEVNULL)
    try:
        wait_for(lambda: os.path.exists(base + '/h.sock') or p.poll() is not None, 'the socket')
        if p.poll() is not None:
            raise Skip('no pid namespace to be had')
        with Guest(base + '/h.sock') as g:
            g.send(head(21, 48) + b'fake'.ljust(32, b'\0'))
            assert g.answer()[0] == 'refused'
        with served(base + '/h.sock') as g:
            assert g.say(b'x') == b'x'
        began = time.time()
        heard = sum(knock(base + '/h.sock') for _ in range(900))
        assert heard <= 200 + 100 * (time.time() - began) + 1, heard
    finally:
        p.kill()
        p.wait()


@test
def folders_that_take_long_to_remove(place):
    """Neither the zygote waits for what a server left, nor hirad for what one that nobody buried did."""
    r = place.router('--sandbox', 'off', '--warm', '0', '--start-rate', '0')
    with served(r.path) as g:
        hoard = [w for w in g.say(b'describe').decode().split() if w.startswith('dir=')][0][4:]
        g.s.settimeout(60)
        assert g.say(b'hoard') == b'hoard'
    wait_for(lambda: r.status()['serving'] == 0, 'it to leave')
    began = time.time()
    with served(r.path):
        assert os.path.exists(hoard) or time.time() - began < 0.3
    wait_for(lambda: not os.path.exists(hoard), 'its folder to be removed', 60)


@test
def folders_of_strangers_are_left_alone(place):
    if os.geteuid() != 0:
        raise Skip('needs root to be another user')
    r = place.router()
    for name, user in ('stranger', 65534), ('tenant', 1879048192 + 65534), ('beyond', 1879048192 + 268304384):
        os.makedirs(f'{r.work}/hira-server-{name}/x')
        os.chown(f'{r.work}/hira-server-{name}', user, user)
    time.sleep(2.1)
    again = Router(HIRAD, place.base + '/again', place.servers('fake'), '--work-dir', r.work)
    place.routers.append(again)
    wait_for(lambda: not os.path.exists(r.work + '/hira-server-tenant'), 'the sweep')
    time.sleep(0.2)
    assert {'hira-server-stranger', 'hira-server-beyond'} <= set(r.folders()), r.folders()


# ---- the zygote alone ----

@test
def once(place):
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    p = subprocess.Popen([place.servers('fake') + '/hira-server-fake', '--once', str(theirs.fileno()), '--work-dir', place.base],
                         pass_fds=[theirs.fileno()])
    theirs.close()
    ours.send(hello())
    assert struct.unpack_from('<H', ours.recv(1000), 6)[0] == 2
    ours.send(b'ping')
    assert ours.recv(100) == b'ping'
    ours.close()
    assert p.wait(10) == 0
    assert [f for f in os.listdir(place.base) if f.startswith('hira-server-')] == []


@test
def check_mode(place):
    for name, code, text in (('fake', 0, 'a fake vendor'), ('noload', 1, 'libfake'), ('nowarm', 1, 'no device')):
        p = subprocess.run([place.servers(name) + f'/hira-server-{name}', '--check'], capture_output=True, text=True, timeout=10)
        assert p.returncode == code and text in p.stdout + p.stderr, p
    assert subprocess.run([FAKE], capture_output=True).returncode == 2


# ---- hira run ----

GUEST = f'''
import os, sys, time
sys.path.insert(0, {os.path.dirname(os.path.abspath(__file__))!r})
from wire import served
g = served(os.environ["HIRA_SOCKET"])
'''


class Runner:
    def __init__(self, place, *options):
        self.tmp = place.base + '/t'
        self.lib = place.base + '/lib'
        for d in (self.tmp, self.lib):
            os.makedirs(d, exist_ok=True)
        self.options = ['--lib-dir', self.lib, '--server-dir', place.servers('fake'), *options]
        self.env = dict(os.environ, TMPDIR=self.tmp)
        self.env.pop('HIRA_SOCKET', None)

    def __call__(self, *command, **kw):
        return subprocess.run([HIRA, 'run', *self.options, *command], capture_output=True, text=True, timeout=30, env=self.env, **kw)

    def start(self, *command, **kw):
        return subprocess.Popen([HIRA, 'run', *self.options, *command], stdout=subprocess.PIPE, text=True, env=self.env, **kw)

    def clean(self, *keep):
        wait_for(lambda: reap(keep) or set(descendants()) <= set(keep), 'all processes to end')
        wait_for(lambda: os.listdir(self.tmp) == [], 'all folders to be removed')


@test
def run_exit_codes(place):
    run = Runner(place)
    for command, code in (('exit 0', 0), ('exit 7', 7), ('kill -9 $$', 137), ('kill -15 $$', 143), ('kill -11 $$', 139)):
        assert run('sh', '-c', command).returncode == code, command
        assert descendants() == [] and os.listdir(run.tmp) == [], 'not left behind, also not for a moment'
    assert run('no-such-program').returncode == 127
    assert run('/etc/passwd').returncode == 126
    assert run().returncode == 125
    assert run('--nonsense', 'true').returncode == 125
    assert run('--socket', place.base + '/none', 'true').returncode == 125
    assert run('--', 'true').returncode == 0
    p = run('sh', '-c', 'echo "$1 $LD_LIBRARY_PATH"; cat; echo e >&2', 'sh', '--api', input='in')
    assert p.stdout == f'--api {run.lib}{":" + run.env["LD_LIBRARY_PATH"] if run.env.get("LD_LIBRARY_PATH") else ""}\nin', p
    assert p.stderr == 'e\n', p
    assert run('sh', '-c', 'test -z "$HIRA_STRICT"').returncode == 0
    assert run('--strict', 'sh', '-c', 'test "$HIRA_STRICT" = 1').returncode == 0
    run.clean()


@test
def run_serves(place):
    run = Runner(place)
    p = run(sys.executable, '-c', GUEST + 'print(g.say(b"ping"))')
    assert p.returncode == 0 and p.stdout == "b'ping'\n" and p.stderr == '', p
    assert descendants() == [] and os.listdir(run.tmp) == []


@test
def run_serves_several(place):
    run = Runner(place)
    p = run(sys.executable, '-c', GUEST + '''
gs = [served(os.environ["HIRA_SOCKET"]) for _ in range(5)]
print(len({x.server for x in gs}))''')
    assert p.stdout == '5\n', p
    run.clean()


@test
def run_uses_the_router_there_is(place):
    r = place.router()
    run = Runner(place)
    run.options = ['--lib-dir', run.lib]
    run.env['HIRA_SOCKET'] = r.path
    p = run('sh', '-c', 'echo $HIRA_SOCKET')
    assert p.stdout == r.path + '\n', p
    assert os.listdir(run.tmp) == []
    p = run('--socket', r.path, sys.executable, '-c', GUEST + 'print(g.say(b"ping"))')
    assert p.stdout == "b'ping'\n", p


@test
def run_forwards_signals(place):
    run = Runner(place)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1):
        p = run.start('sh', '-c', f'trap "echo got; exit 3" {number.value}; echo up; while :; do sleep 0.05; done')
        assert p.stdout.readline() == 'up\n'
        p.send_signal(number)
        assert p.stdout.read() == 'got\n' and p.wait(10) == 3, number
    p = run.start('sh', '-c', 'echo up; exec sleep 100')
    p.stdout.readline()
    p.terminate()
    assert p.wait(10) == 143
    run.clean()


@test
def run_ignores_what_the_starter_ignored(place):
    run = Runner(place)
    p = run.start('sh', '-c', 'kill -HUP $$; echo alive', preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
    assert p.stdout.read() == 'alive\n' and p.wait(10) == 0
    run.clean()


@test
def run_when_children_are_ignored(place):
    run = Runner(place)
    p = run.start('sh', '-c', 'exit 7', preexec_fn=lambda: signal.signal(signal.SIGCHLD, signal.SIG_IGN))
    assert p.wait(10) == 7
    run.clean()


@test
def run_terminal_interrupts_once(place):
    run = Runner(place)
    master, slave = os.openpty()
    script = 'n=0; trap "n=$((n+1)); echo int" INT; echo up; i=0; while [ $i -lt 20 ]; do sleep 0.05; i=$((i+1)); done; exit 5'

    def own_terminal():
        os.setsid()
        import fcntl
        import termios
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    p = subprocess.Popen([HIRA, 'run', *run.options, 'sh', '-c', script], stdin=slave, stdout=subprocess.PIPE, text=True, env=run.env,
                         preexec_fn=own_terminal)
    os.close(slave)
    assert p.stdout.readline() == 'up\n'
    os.write(master, b'\x03')
    assert p.stdout.read() == 'int\n' and p.wait(10) == 5
    os.close(master)
    run.clean()


@test
def run_killed_leaves_nothing(place):
    run = Runner(place)
    p = run.start(sys.executable, '-c', GUEST + 'print(os.getpid(), flush=True); time.sleep(100)')
    app = int(p.stdout.readline())
    assert os.listdir(run.tmp)
    p.kill()
    assert p.wait(10) == -9
    wait_for(lambda: reap() or not alive(app), 'the program to be killed')
    run.clean()


@test
def run_killed_at_any_moment(place):
    run = Runner(place)
    random.seed(3)
    for i in range(15):
        p = run.start(sys.executable, '-c', GUEST + 'time.sleep(100)')
        time.sleep(random.random() * 0.08)
        p.kill()
        p.wait(10)
        p.stdout.close()
    run.clean()


@test
def run_router_killed(place):
    run = Runner(place)
    p = run.start(sys.executable, '-c', GUEST + 'print(os.environ["HIRA_SOCKET"], flush=True); input(); print(g.say(b"x"))',
                  stdin=subprocess.PIPE)
    path = p.stdout.readline().strip()
    hirad = status(path)['pid']
    os.kill(hirad, signal.SIGKILL)
    out, _ = p.communicate('\n', timeout=10)
    assert out == "b'x'\n" and p.returncode == 0, (out, p.returncode)
    run.clean()


@test
def run_outlived_by_a_guest(place):
    run = Runner(place)
    script = GUEST + '''
if os.fork() == 0:
    os.setsid()
    os.close(1)
    h = served(os.environ["HIRA_SOCKET"])
    while not os.path.exists(sys.argv[1] + "/end"):
        time.sleep(0.02)
    i = served(os.environ["HIRA_SOCKET"])
    open(sys.argv[1] + "/" + h.say(b"fine").decode() + i.say(b"fine").decode(), "w").close()
    os._exit(0)
os._exit(0)'''
    out = place.base + '/out'
    os.mkdir(out)
    p = run.start(sys.executable, '-c', script, out)
    assert p.wait(3) == 0
    open(out + '/end', 'w').close()
    wait_for(lambda: os.path.exists(out + '/finefine'), 'the outliving guest to be served')
    run.clean()


@test
def run_without_servers(place):
    run = Runner(place)
    run.options = ['--lib-dir', run.lib, '--server-dir', place.base]
    assert run('true').returncode == 0
    os.mkdir(place.base + '/empty')
    run.options = ['--api', 'none']
    p = run('true')
    assert p.returncode == 125 and 'no guest library for none' in p.stderr, p
    run.clean()


@test
def run_says_what_is_wrong_at_once(place):
    """What could only end in a program that finds no device: one sentence, 125, and the program is not run."""
    run = Runner(place)
    for options, env, said in ((['--lib-dir', '/no/where'], {}, '--lib-dir: /no/where: No such file'),
                               (['--server-dir', '/no/where'], {}, '--server-dir: /no/where: No such file'),
                               ([], {'HIRA_SERVER_DIR': '/no/where'}, '$HIRA_SERVER_DIR: /no/where: No such file'),
                               (['--vendor-icd', '/no/driver.icd'], {}, '/no/driver.icd: No such file'),
                               (['--nonsense'], {}, "there is no option '--nonsense'"),
                               (['--lib-dir'], {}, '--lib-dir needs a value'),
                               (['--on', 'host:port', '--plain'], {}, "'host:port' is no HOST[:PORT]")):
        command = [] if options == ['--lib-dir'] else ['--', 'touch', place.base + '/ran']
        p = subprocess.run([HIRA, 'run', *options, *command], capture_output=True, text=True, timeout=30, env=dict(run.env, **env))
        assert p.returncode == 125 and said in p.stderr and p.stderr.count('\n') <= 2, (options, p)
    run.env['HIRA_SANDBOX'] = 'perhaps'
    p = run('touch', place.base + '/ran')
    assert p.returncode == 125 and "$HIRA_SANDBOX: --sandbox is auto, required or off, not 'perhaps'" in p.stderr, p
    assert not os.path.exists(place.base + '/ran')


@test
def run_does_not_speak_of_other_apis(place):
    """Of a router of its own: servers that cannot start matter to a program that wants them."""
    run = Runner(place)
    folder = place.servers('fake')
    with open(folder + '/hira-server-broken', 'w') as f:
        f.write('#!/bin/sh\necho no such device >&2\nexit 3\n')
    os.chmod(folder + '/hira-server-broken', 0o755)
    p = run('sleep', '0.3')
    assert p.returncode == 0 and p.stderr == '', p
    run.clean()


# ---- status and doctor ----

@test
def status_verb(place):
    r = place.router()
    with served(r.path):
        p = subprocess.run([HIRA, 'status', '--socket', r.path], capture_output=True, text=True, check=True, timeout=10)
        assert 'fake' in p.stdout and str(os.getpid()) in p.stdout, p.stdout
        s = json.loads(subprocess.run([HIRA, 'status', '--json', '--socket', r.path], capture_output=True, check=True).stdout)
        assert s['protocol'] == 1 and s['serving'] == 1
    p = subprocess.run([HIRA, 'status', '--socket', place.base + '/none'], capture_output=True, text=True)
    assert p.returncode == 1 and 'no answer' in p.stderr


@test
def doctor_verb(place):
    r = place.router(servers=('fake', 'noload'))
    lib = place.base + '/lib'
    os.mkdir(lib)
    doctor = [HIRA, 'doctor', '--socket', r.path, '--lib-dir', lib]
    p = subprocess.run([*doctor, '--json', '--server-dir', place.servers('fake')], capture_output=True, text=True, timeout=60)
    found = json.loads(p.stdout)
    assert {'part': 'fake: vendor', 'state': 'ok', 'text': 'a fake vendor', 'next': ''} in found['findings'], found
    p = subprocess.run([*doctor, '--server-dir', place.servers('noload')], capture_output=True, text=True, timeout=60)
    assert p.returncode == 1 and 'fail  noload: vendor' in p.stdout and 'libfake' in p.stdout and '->' in p.stdout, p.stdout
    p = subprocess.run([HIRA, 'doctor', '--socket', place.base + '/none', '--server-dir', place.servers('fake')],
                       capture_output=True, text=True, timeout=60)
    assert p.returncode == 1 and 'start hirad' in p.stdout


@test
def every_option_has_its_place_in_the_manual(place):
    top = os.path.dirname(os.path.abspath(__file__)) + '/../../'
    for source, page in (('src/router/main.c', 'hirad.8'), ('src/cli/run.c', 'hira-run.1'), ('src/cli/doctor.c', 'hira-doctor.1'),
                         *((f'src/cli/{v}.c', f'hira-{v}.1') for v in ('status', 'kill', 'tenant', 'top', 'trace', 'container'))):
        with open(top + source) as f, open(top + 'man/' + page + '.scd') as g:
            manual = g.read()
            options = re.findall(r'\{"([a-z-]+)", (?:no|required)_argument', f.read())
        assert options, source
        assert [o for o in options if f'*--{o}*' not in manual] == [], page


@test
def every_verb_has_a_page(place):
    """As `hira --help` lists them; and each option of `hira VERB --help` is in it."""
    folder = os.path.dirname(os.path.abspath(__file__)) + '/../../man/'
    with open(folder + 'meson.build') as f:
        installed = f.read()
    verbs = re.findall(r'^  hira ((?:spec )?[a-z]+)', subprocess.run([HIRA, '--help'], capture_output=True, text=True, check=True).stdout, re.M)
    wrong = [] if len(verbs) > 10 else ['few verbs']
    for verb in verbs:
        page = f'hira-{verb.split()[0]}.1'
        found = [p for p in (folder + page + '.scd', folder + page) if os.path.exists(p)]
        if not found or f"'{page}'" not in installed:
            wrong.append(f'{verb}: no {page}')
            continue
        with open(found[0]) as f:
            text = f.read()
        if text.startswith('.so '):
            with open(folder + os.path.basename(text.split()[1]) + '.scd') as f:
                text = f.read()
        said = subprocess.run([HIRA, *verb.split(), '--help'], capture_output=True, text=True, check=True).stdout
        options = set(re.findall(r'(?<![\w-])--?[A-Za-z][a-z-]*', said))
        wrong += [f'{verb}: {o} is not in {page}' for o in sorted(options) if not re.search(rf'\*{o}[*=]', text)]
        if ' ' not in verb: # a page of several verbs has all their options
            entries = re.findall(r'^.*\*--.*$', text.split('# OPTIONS')[-1], re.M) if '# OPTIONS' in text else []
            entered = {o for line in entries if line[0] == '*' for o in re.findall(r'\*(--[a-z-]+)', line)}
            wrong += [f'{verb}: {o} of {page} is not in its --help' for o in sorted(entered - options)]
    assert not wrong, wrong


# ---- the harness ----

def main():
    be_subreaper()
    wanted = sys.argv[4:]
    tests = [t for t in TESTS if not wanted or t.__name__ in wanted]
    fds = descriptors(os.getpid())
    print(f'1..{len(tests)}', flush=True)
    failed = run_all(tests, Place)
    import gc
    gc.collect()
    if descriptors(os.getpid()) > fds:
        print('# note: descriptors left open by the tests themselves')
    sys.exit(1 if failed else 0)


if __name__ == '__main__':
    main()
