#!/usr/bin/env python3
# Faults, each again and again: servers, routers, guests and vendors that end, hang, or have nothing left. TAP.
# usage: run.py BUILDDIR PART [TEST...]     HIRA_SOAK=1: the full counts
# Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
import ctypes
import os
import random
import shlex
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

from lib import (BUILD, CLIENT, HIRA, HIRAD, LIMIT_MS, LOST, NULLAPI, SOAK, Client, Skip, entry, gone_within, lost_when_killed, lost_within, main,
                 note, server_of, test, times)
from wire import (Guest, alive, command_line, descriptors, head, reap, served, settled_descriptors, stat_of, wait_for)

STEPKILL, ENOSYS = BUILD + '/tests/faults/faults-stepkill', BUILD + '/tests/faults/faults-enosys'
PRELOAD, VENDOR = BUILD + '/tests/faults/faults-preload.so', BUILD + '/tests/faults/libfaultsvendor.so'
CL = BUILD + '/tests/faults/faults-cl'


def no_ptrace():
    p = subprocess.Popen(['sleep', '10'])
    s = subprocess.run([STEPKILL, str(p.pid), str(p.pid), '0'], capture_output=True, text=True)
    p.kill()
    p.wait()
    return s.stdout.strip() if 'cannot' in s.stdout else None


def thread_named(pid, name):
    for t in os.listdir(f'/proc/{pid}/task'):
        with open(f'/proc/{pid}/task/{t}/comm') as f:
            if f.read().strip() == name:
                return int(t)
    raise AssertionError(f'{pid} has no thread {name}')


class Steps:
    """Holds a thread, then lets it go on for so many instructions before its process is killed."""

    def __init__(self, pid, tid, n):
        self.pid, self.n = pid, n
        self.p = subprocess.Popen([STEPKILL, str(pid), str(tid), str(n)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        line = self.p.stdout.readline()
        assert line == 'ready\n', line

    def counted(self):
        self.p.stdin.write('\n')
        self.p.stdin.flush()
        n = int(self.p.stdout.read())
        self.close()
        return n

    def close(self):
        """Where the thread sleeps by now, before all its instructions, the process is killed here and now."""
        if self.p.poll() is None:
            try:
                os.kill(self.pid, signal.SIGKILL) if self.n != 'count' else None
            except ProcessLookupError:
                pass
        self.p.wait()
        self.p.stdin.close()
        self.p.stdout.close()


def points(n):
    """Instructions after which to kill: over the whole of a call that has about n, and past it, for how long a thread spins differs."""
    return range(0, 2 * n, max(1, n // (700 if SOAK else 22)))


# ---- servers that end ----

@test('servers')
def killed_while_idle(place):
    r = place.router()
    for _ in times(5, 200):
        c = place.client(r)
        os.kill(server_of(r, c), signal.SIGKILL)
        lost_within(c)
        c.must('child')         # a forked child begins anew
        c.ends_well()


@test('servers')
def killed_with_the_call_published_and_not_taken(place):
    r = place.router()
    for _ in times(5, 200):
        c = place.client(r)
        server = server_of(r, c)
        os.kill(server, signal.SIGSTOP)
        wait_for(lambda: all(stat_of(f'{server}/task/{t}')[0] == 'T' for t in os.listdir(f'/proc/{server}/task')), 'it to stand still')
        c.tell('sum')
        time.sleep(0.02)
        lost_when_killed(c, server)


@test('servers')
def killed_at_any_instruction_of_a_call(place):
    why = no_ptrace()
    if why:
        raise Skip(why)
    r = place.router()
    c = place.client(r)
    server = server_of(r, c)
    time.sleep(0.05)
    s = Steps(server, thread_named(server, 'hira-lane-0'), 'count')
    c.must('sum')
    n = s.counted()
    c.ends_well()
    assert 200 < n < 1000000, n
    answered = 0
    for k in points(n):
        c = place.client(r)
        server = server_of(r, c)
        time.sleep(0.01)
        s = Steps(server, thread_named(server, 'hira-lane-0'), k)
        c.tell('sum')
        a = c.answer()
        s.close()
        assert a[1] == LOST or (a[1] == 0 and k > n // 3), (k, n, a)
        assert a[2] < LIMIT_MS, a
        answered += a[1] == 0
        gone_within(server)
        lost_within(c)
        c.ends_well()
    assert 0 < answered < len(points(n)), answered
    note(f'a call has about {n} instructions in its server; killed at {len(points(n))} points, {answered} of them past the answer')


@test('servers')
def killed_in_the_vendor(place):
    r = place.router()
    for i in times(4, 100):
        c = place.client(r)
        server = server_of(r, c)
        c.tell('block 60000000' if i % 2 else 'threads 64')
        time.sleep(0.1)
        lost_when_killed(c, server)


@test('servers')
def ends_itself_in_the_vendor(place):
    r = place.router()
    for how in (signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, 0) * len(times(1, 20)):
        c = place.client(r)
        lost_within(c, c.must(f'die {int(how)}', LOST))
        c.ends_well()


@test('servers')
def killed_while_a_callback_runs(place):
    r = place.router()
    for _ in times(5, 200):
        c = place.client(r)
        lost_within(c, c.must(f'sort {server_of(r, c)}', LOST))
        c.ends_well()


@test('servers')
def killed_with_callbacks_to_come(place):
    r = place.router()
    for _ in times(3, 60):
        c = place.client(r)
        c.must('notify 100')
        server = server_of(r, c)
        c.tell('notify 60000000')
        time.sleep(0.1)
        os.kill(server, signal.SIGKILL)
        a = c.answer()
        assert a[1] == LOST and a[3] == 1, a    # what the server did not call is not called
        lost_within(c)
        c.ends_well()


@test('servers')
def killed_while_waited_for(place):
    r = place.router()
    for word in ('wait', 'post 100000000') * len(times(1, 30)):
        c = place.client(r)
        server = server_of(r, c)
        c.tell(word)
        time.sleep(0.1)
        os.kill(server, signal.SIGKILL)
        killed = time.time()
        a = c.answer()
        # A hundred million calls that fail at once take their time too.
        assert a[1] == LOST and (time.time() - killed < 1 or word != 'wait'), a
        lost_within(c)
        c.ends_well()


@test('servers')
def killed_in_the_middle_of_a_transfer(place):
    r = place.router()
    rng = random.Random(5)
    done = 0
    for _ in times(10, 300):
        c = place.client(r)
        server = server_of(r, c)
        c.tell('transfer 64')
        time.sleep(rng.random() * 0.12)
        os.kill(server, signal.SIGKILL)
        killed = time.time()
        a = c.answer()
        done += a[1] == 0
        assert a[1] in (0, LOST) and time.time() - killed < 1.5, a
        lost_within(c)
        c.ends_well()
    note(f'{done} transfers were over before')


@test('servers')
def killed_while_it_takes_its_guest(place):
    r = place.router('--warm', '2')
    rng = random.Random(6)
    served_ = 0
    for _ in times(10, 300):
        c = place.client(r, fresh=False)
        r.ready('null')
        zygote = r.zygote('null')
        c.tell('sum')
        time.sleep(rng.random() * 0.004)
        for pid in children(zygote):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        a = c.answer()
        assert a[1] in (0, LOST), a
        c.ask('child')
        served_ += a[1] == 0
        if a[1] == LOST and not entry(r, c.pid):   # it got none: the next call asks again
            c.ask('sum')
        c.ends_well()
    note(f'{served_} were served first')


def children(pid):
    found = []
    for name in os.listdir('/proc'):
        s = stat_of(name) if name.isdigit() else None
        if s and s[1] == pid:
            found.append(int(name))
    return found


@test('servers')
def opencl_server_killed(place):
    if not os.path.exists('/etc/OpenCL/vendors') or not os.listdir('/etc/OpenCL/vendors'):
        raise Skip('no OpenCL implementation')
    r = place.router('--api', 'opencl', servers=BUILD + '/specs/opencl')
    env = dict(os.environ, HIRA_SOCKET=r.path, LD_LIBRARY_PATH=BUILD + '/specs/opencl')
    for _ in times(1, 10):
        p = subprocess.Popen([CL], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert p.stdout.readline() == 'busy\n', p.communicate()
        os.kill(r.status()['guests'][0]['server'], signal.SIGKILL)
        killed = time.time()
        out, err = p.communicate(timeout=10)
        assert time.time() - killed < 1.5 and p.returncode == 0 and not err, (out, err, p.returncode)
        codes = [int(x) for x in out.split()]
        note(f'clFinish {codes[0]}, clWaitForEvents {codes[1]}, clEnqueueReadBuffer {codes[2]}, clGetEventInfo {codes[3]}, '
             f'clEnqueueNDRangeKernel {codes[4]}')
        assert len(codes) == 5 and all(c < 0 for c in codes), out


# ---- the router ----

def open_folder(place):
    """A hirad's folder that other users may enter."""
    base = place.base + '/open'
    os.mkdir(base, 0o755)
    return base


def restarted(place, r, sig=signal.SIGKILL, *args):
    r.p.send_signal(sig)
    r.p.wait(10)
    return place.router(*args, base=r.base)


@test('router')
def killed_and_started_again(place):
    r = place.router()
    before = None
    clients = [place.client(r) for _ in range(3)]
    for i, c in enumerate(clients):
        c.must(f'sum {1000 * (i + 1)}')
    servers = [server_of(r, c) for c in clients]
    calls = [entry(r, c.pid)['calls'] for c in clients]
    assert all(n >= 1000 * (i + 1) for i, n in enumerate(calls)), calls
    zygotes = {r.zygote('null')}
    for turn in times(3, 100):
        clients[0].tell('block 400000')             # in flight throughout
        r.p.send_signal((signal.SIGKILL, signal.SIGTERM)[turn % 3 == 2])
        r.p.wait(10)
        clients[1].must('sum 100')                  # nobody notices
        late = place.client(r, fresh=False)
        late.must('sum', LOST)                      # nobody is there for new ones
        r = place.router(base=r.base)
        start = time.time()
        wait_for(lambda: len([g for g in r.status()['guests'] if g['adopted']]) == 3, 'guests to be adopted', 2)
        took = time.time() - start
        assert took < 1.2, took
        late.must('sum')                            # the same program finds the new one
        assert not entry(r, late.pid)['adopted']
        clients[0].answer()
        assert [server_of(r, c) for c in clients] == servers
        now = [entry(r, c.pid)['calls'] for c in clients]
        assert all(b >= a for a, b in zip(calls, now)) and now[1] >= calls[1] + 100, (calls, now)
        calls = now
        late.ends_well()
        wait_for(lambda: r.status()['serving'] == 3, 'the late one to leave')
        n = settled_descriptors(r.p.pid)
        assert before in (None, n), (before, n)     # turn for turn the same
        before = n
        zygotes.add(r.zygote('null'))
    # The adopted are guests as any: their leaving is seen, and their folders go.
    folders = len(r.folders())
    clients[0].ends_well()
    gone_within(servers[0])
    clients[1].kill()
    gone_within(servers[1])
    wait_for(lambda: len(r.folders()) == folders - 2, 'folders to be removed', 2)
    wait_for(lambda: r.status()['serving'] == 1, 'status to say so', 2)
    os.kill(servers[2], signal.SIGKILL)             # the first process of a namespace minds no other from without
    lost_within(clients[2])
    wait_for(lambda: f'server {servers[2]} was ended by signal 9' in r.log(), 'the log to say how it ended', 2)
    wait_for(lambda: len([z for z in zygotes if alive(z)]) == 1, 'former zygotes to end with their last guest', 2)
    clients[2].ends_well()


@test('router')
def tenants_are_adopted_as_who_they_are(place):
    """Guests of several users outlive a hirad of root's; the next one knows whose each is, and keeps their servers apart."""
    if os.geteuid():
        raise Skip('serving several users takes root')
    os.chmod(place.base, 0o755)
    users = (0, 1001, 65534)
    r = place.router(base=open_folder(place))
    os.chmod(r.path, 0o666)
    clients = {u: place.client(r, user=u) for u in users}
    for u, c in clients.items():
        c.must(f'sum {1000 + u % 100}')
    servers = {u: server_of(r, c) for u, c in clients.items()}
    owner = lambda pid: os.stat(f'/proc/{pid}').st_uid      # noqa: E731
    owners = {u: owner(pid) for u, pid in servers.items()}
    for _ in times(2, 50):
        before = {u: entry(r, c.pid)['calls'] for u, c in clients.items()}
        r = restarted(place, r)
        os.chmod(r.path, 0o666)
        wait_for(lambda: len([g for g in r.status()['guests'] if g['adopted']]) == len(users), 'guests to be adopted', 2)
        for u, c in clients.items():
            e = entry(r, c.pid)
            assert (e['user'], e['server']) == (u, servers[u]) and e['calls'] >= before[u], (u, e, before)
            c.must('sum 10')
        late = place.client(r, user=1001)
        e = entry(r, late.pid)
        assert not e['adopted'] and owner(e['server']) == owners[1001] and e['server'] != servers[1001], e
        late.ends_well()
    assert len(set(owners.values())) == len(users) or r.status()['apis'][0]['sandbox_missing'], owners
    # What a user may end of what was adopted is its own.
    kill = lambda c, u: subprocess.run([HIRA, 'kill', '--socket', r.path, str(c.pid)], capture_output=True, text=True, user=u, group=u,  # noqa: E731
                                       extra_groups=())
    assert kill(clients[0], 65534).returncode != 0
    clients[0].must('sum')
    assert kill(clients[65534], 65534).stdout == '1 server ended\n'
    lost_within(clients[65534])
    for c in clients.values():
        c.ends_well()


@test('router')
def killed_at_any_moment(place):
    r = place.router('--warm', '2')
    rng = random.Random(7)
    for _ in times(8, 200):
        starting = [place.client(r, fresh=False) for _ in range(4)]
        for c in starting:
            c.tell('sum 200')
        time.sleep(rng.random() * 0.03)
        r = restarted(place, r, signal.SIGKILL, '--warm', '2')
        for c in starting:
            if c.answer()[1]:
                c.must('sum')                       # those it had not served yet are served now
        wait_for(lambda: all(entry(r, c.pid) for c in starting), 'all to be known', 2)
        for c in starting:
            c.ends_well()
        wait_for(lambda: r.status()['serving'] == 0, 'all to leave', 2)


@test('router')
def killed_with_a_zygote_or_without(place):
    r = place.router()
    c = place.client(r)
    server = server_of(r, c)
    os.kill(r.zygote('null'), signal.SIGKILL)
    c.must('sum')
    r = restarted(place, r)
    time.sleep(1)
    assert not entry(r, c.pid)                      # whom its zygote is dead too nobody knows; served on all the same
    c.must('sum')
    c.ends_well()
    gone_within(server)


@test('router')
def opencl_guest_outlives_the_router(place):
    if not os.path.exists('/etc/OpenCL/vendors') or not os.listdir('/etc/OpenCL/vendors'):
        raise Skip('no OpenCL implementation')
    r = place.router('--api', 'opencl', servers=BUILD + '/specs/opencl')
    env = dict(os.environ, HIRA_SOCKET=r.path, LD_LIBRARY_PATH=BUILD + '/specs/opencl')
    p = subprocess.Popen([CL], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert p.stdout.readline() == 'busy\n'
    r.p.kill()
    r.p.wait()
    r = place.router('--api', 'opencl', base=r.base, servers=BUILD + '/specs/opencl')
    wait_for(lambda: entry(r, p.pid), 'the guest to be adopted', 2)
    assert subprocess.run([HIRA, 'kill', '--socket', r.path, str(p.pid)], capture_output=True, text=True).stdout == '1 server ended\n'
    out, err = p.communicate(timeout=10)
    assert p.returncode == 0 and all(int(x) < 0 for x in out.split()), (out, err)


REJOIN, CHILD = 21, 22
ACCOUNT_SIZE = 53248  # HIRA_ACCOUNT_SIZE


class Former(Guest):
    """Descriptors are taken once hirad knows who brings them: before, sending them is refused."""

    def send(self, data, fds=()):
        for _ in range(500):
            try:
                return super().send(data, fds)
            except PermissionError:
                time.sleep(0.01)
        return super().send(data, fds)


def rejoin(path, api=b'null'):
    g = Former(path)
    g.send(head(REJOIN, 48) + api.ljust(32, b'\0'))
    return g


def child_message(pid, guest=1, since=0, name=b'stranger'):
    return head(CHILD, 104) + struct.pack('<IIIIQ', pid, guest, 0, 0, since) + name.ljust(32, b'\0') + b'user-0'.ljust(32, b'\0')


def three_files(account):
    a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    r, w = os.pipe()
    return (a.detach(), r, account), (b, w)


def memfd(size, seals=0x2 | 0x4):
    import fcntl
    fd = os.memfd_create('account', os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(fd, size)
    fcntl.fcntl(fd, 1033, seals)
    return fd


@test('router')
def strangers_bring_no_servers(place):
    r = place.router()
    c = place.client(r)
    server = server_of(r, c)
    n = settled_descriptors(r.p.pid)

    with rejoin(r.path, b'unknown') as g:
        assert g.answer()[0] == 'refused'
    with rejoin(r.path, b'\xff' * 32) as g:
        assert g.answer()[0] == 'refused'
    # Who is no parent of what it brings brings nothing: neither hirad's own servers nor hirad itself, init, or nobody.
    for pid in (server, r.p.pid, 1, 0, 4000000000, os.getpid()):
        account = memfd(ACCOUNT_SIZE)
        theirs, ours = three_files(account)
        with rejoin(r.path) as g:
            g.send(child_message(pid), theirs)
            wait_for(lambda: f'brings process {pid}, which is none of its servers' in r.log(), 'it to be logged')
        for fd in theirs:
            os.close(fd)
        ours[0].close()
        os.close(ours[1])
    # Too few descriptors, too many, short messages, other words.
    with rejoin(r.path) as g:
        for m, fds in ((child_message(1)[:40], ()), (child_message(1), ()), (b'', ()), (b'x' * 1000, ()), (child_message(1), (0,) * 5)):
            try:
                g.send(m, fds) if m else None
            except BrokenPipeError:     # hirad has heard enough
                break
    assert r.status()['serving'] == 1
    c.must('sum')
    wait_for(lambda: descriptors(r.p.pid) == n, f'descriptors to be closed ({n})')
    if os.getuid() == 0:
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                os.setgroups([])
                os.setuid(65534)
                s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
                s.connect(r.path)
                s.send(head(REJOIN, 48) + b'null'.ljust(32, b'\0'))
                m = s.recv(1000)
                code = 0 if struct.unpack_from('<H', m, 6)[0] == 3 else 2
            except PermissionError:
                code = 0
            finally:
                os._exit(code)
        assert os.waitpid(pid, 0)[1] == 0


@test('router')
def hostile_accounts(place):
    """What a server says of itself: cut, and never less than before."""
    r = place.router()
    sleeper = subprocess.Popen(['sleep', '60'])
    account = memfd(ACCOUNT_SIZE)
    theirs, ours = three_files(account)
    g = rejoin(r.path)
    now = int(time.monotonic() * 1000)
    g.send(child_message(sleeper.pid, guest=sleeper.pid, since=now - 10), theirs)
    wait_for(lambda: entry(r, sleeper.pid), 'the child to be listed')

    def put(n_lanes, *lanes):
        os.pwrite(account, struct.pack('<I', n_lanes), 0)
        for i, lane in enumerate(lanes):
            os.pwrite(account, struct.pack('<QQQQ', *lane), 64 + 64 * i)

    put(1, (0, 500, 20, 1000))
    e = entry(r, sleeper.pid)
    assert (e['calls'], e['errors'], e['bytes']) == (500, 20, 1000), e
    put(1, (0, 5, 0, 10))
    e = entry(r, sleeper.pid)
    assert (e['calls'], e['errors'], e['bytes']) == (500, 20, 1000), e
    put(0xffffffff, *[(1, 2**64 - 1, 2**64 - 1, 2**64 - 1)] * 512)
    e = entry(r, sleeper.pid)
    assert e['calls'] < 1e15 and e['errors'] <= e['calls'] and e['bytes'] == 2**63 - 1, e
    # Its hang-up is its end, although the process lives on: it is killed.
    ours[0].close()
    wait_for(lambda: sleeper.poll() == -9, 'what hung up and lives to be killed', 3)
    # What is not sealed, or too short, is no account; the guest is known all the same.
    for fd in (memfd(ACCOUNT_SIZE, 0), memfd(4096)):
        sleeper = subprocess.Popen(['sleep', '60'])
        more, mine = three_files(fd)
        g.send(child_message(sleeper.pid, guest=sleeper.pid), more)
        wait_for(lambda: entry(r, sleeper.pid), 'the child to be listed')
        assert entry(r, sleeper.pid)['calls'] == 0
        mine[0].close()
        wait_for(lambda: sleeper.poll() == -9, 'it to be killed', 3)
        os.close(mine[1])
        for f in more:
            os.close(f)
    g.close()
    for f in theirs:
        os.close(f)
    os.close(ours[1])
    wait_for(lambda: r.status()['serving'] == 0, 'nothing to be left')


# ---- guests ----

def resident(pid):
    with open(f'/proc/{pid}/status') as f:
        return int(next(line for line in f if line.startswith('VmRSS')).split()[1])


@test('guests')
def killed_guests_leave_nothing(place):
    r = place.router()
    r.ready('null')
    folders, before = len(r.folders()), settled_descriptors(r.p.pid)
    for word in ('sum', 'block 60000000', 'threads 32', 'wait', 'slow_sort 60000', 'post 100000000') * len(times(1, 30)):
        c = place.client(r)
        server = server_of(r, c)
        c.tell(word)
        time.sleep(0.05)
        c.kill()
        gone_within(server)
        wait_for(lambda: not entry(r, c.pid), 'it to be forgotten', 1)
    r.ready('null')
    wait_for(lambda: len(r.folders()) == folders and descriptors(r.p.pid) == before, 'everything to be as before', 3)


@test('guests')
def memory_comes_back(place):
    r = place.router()
    c = place.client(r)
    server = server_of(r, c)
    c.must('hoard 512', seconds=60)
    held = resident(server)
    assert held > 500 * 1024, held
    c.kill()
    took = gone_within(server)
    note(f'{held // 1024} MiB of a killed guest were back after {took * 1000:.0f} ms')


@test('guests')
def stopped_guests_keep_their_server(place):
    r = place.router()
    for word in ('sum', 'post 3000000', 'transfer 256') * len(times(1, 10)):
        c = place.client(r)
        server = server_of(r, c)
        c.tell(word)
        time.sleep(0.02)
        c.kill(signal.SIGSTOP)
        time.sleep(0.5 if SOAK else 0.2)
        assert alive(server) and entry(r, c.pid)
        p = subprocess.run([HIRA, 'kill', '--socket', r.path, str(c.pid)], capture_output=True, text=True)
        assert (p.returncode, p.stdout) == (0, '1 server ended\n'), p
        gone_within(server)
        wait_for(lambda: not entry(r, c.pid), 'it to be forgotten', 1)
        c.kill(signal.SIGCONT)
        assert c.answer()[1] in (0, LOST)
        lost_within(c)
        c.ends_well()


@test('guests')
def the_kill_verb(place):
    r = place.router()
    a, b = place.client(r), place.client(r)
    server_of(r, a), server_of(r, b)

    def kill(*args):
        p = subprocess.run([HIRA, 'kill', *args], capture_output=True, text=True, env=dict(os.environ, HIRA_SOCKET=r.path))
        return p.returncode, p.stdout, p.stderr

    assert kill()[0] == 2 and kill('-1')[0] == 2 and kill('--nonsense')[0] == 2
    assert kill('x')[0] == 1 and kill('0')[0] == 1  # no tenants
    assert kill('1') == (1, '', 'hira kill: process 1 is no guest that you may end\n')
    assert kill('--socket', place.base + '/none', '1')[0] == 1
    assert kill(str(a.pid)) == (0, '1 server ended\n', '')
    lost_within(a)
    b.must('sum')
    c = place.client(r)
    wait_for(lambda: r.status()['serving'] == 2, 'two to be served')
    assert kill('all') == (0, '2 servers ended\n', '')
    lost_within(b)
    lost_within(c)
    assert kill('all') == (0, '0 servers ended\n', '')
    if os.getuid() == 0:        # others' guests are not for everybody to end
        d = place.client(r)
        server = server_of(r, d)
        os.chmod(place.base, 0o755)
        os.chmod(r.base, 0o755)
        p = subprocess.run([HIRA, 'kill', '--socket', r.path, str(d.pid)], capture_output=True, text=True, user=65534, group=65534,
                           extra_groups=[])
        if 'Permission denied' not in p.stderr:
            assert p.returncode == 1 and 'no guest that you may end' in p.stderr, p
        assert alive(server)
        d.ends_well()
    for x in (a, b, c):
        x.ends_well()


@test('guests')
def vanishes_in_the_middle_of_transfers(place):
    r = place.router()
    rng = random.Random(8)
    for _ in times(10, 300):
        c = place.client(r)
        server = server_of(r, c)
        c.tell(f'vanish {rng.randrange(50000)}')
        assert c.answer() is None
        gone_within(server)


@test('guests')
def vanishes_at_any_instruction_of_a_call(place):
    why = no_ptrace()
    if why:
        raise Skip(why)
    r = place.router()
    c = place.client(r)
    s = Steps(c.pid, c.pid, 'count')
    c.must('sum')
    n = s.counted()
    c.kill()
    answered = 0
    for k in points(n):
        c = place.client(r)
        server = server_of(r, c)
        s = Steps(c.pid, c.pid, k)
        try:
            c.tell('sum')
        except BrokenPipeError:
            pass  # the first point is before it was told
        a = c.answer()
        answered += a is not None
        s.close()
        c.p.wait()
        gone_within(server)
    assert 0 < answered < len(points(n)), answered
    note(f'a call has about {n} instructions in the guest; killed at {len(points(n))} points')
    wait_for(lambda: r.status()['serving'] == 0, 'all to be forgotten')


@test('guests')
def forked_children_hold_nothing(place):
    r = place.router()
    c = place.client(r)
    server = server_of(r, c)
    c.must('child')
    c.kill()
    gone_within(server)


# ---- vendors ----

def faulty(place, *args):
    return place.router(*args, env=dict(os.environ, HIRA_VENDOR=VENDOR))


@test('vendors')
def crashes(place):
    r = faulty(place)
    for how in (3, 4, 5, 6) * len(times(1, 20)):
        c, other = place.client(r), place.client(r)
        lost_within(c, c.must(f'block {how}', LOST))
        other.must('sum')
        c.ends_well()
        other.ends_well()
    assert 'was ended by signal 11' in r.log() and 'was ended by signal 6' in r.log()


@test('vendors')
def hangs_without_a_limit(place):
    r = faulty(place)
    c = place.client(r)
    server = server_of(r, c)
    c.tell('block 1')
    time.sleep(0.3)
    assert alive(server)
    c.kill()                    # a vendor that burns its core with all signals blocked keeps nothing
    gone_within(server)


@test('vendors')
def hangs_with_a_limit(place):
    r = faulty(place, '--call-limit', '1')
    busy, honest = place.client(r), place.client(r)
    waiting = place.client(r)
    honest_server = server_of(r, honest)
    for how in ('block 1', 'block 60000000', 'threads 8', 'wait'):
        c = place.client(r)
        server = server_of(r, c)
        start = time.time()
        c.tell(how)
        gone_within(server, 2.5)
        took = time.time() - start
        assert took > 0.9, took
        assert c.answer()[1] == LOST
        lost_within(c)
        c.ends_well()
    assert r.log().count('takes longer than 1 s (--call-limit)') == 4, r.log()
    busy.tell('sum 1000000')    # many calls are not one
    waiting.tell('slow_sort 1700')  # and an application's own callback is not the vendor's
    assert waiting.answer()[1] == 0
    assert busy.answer(60)[1] == 0
    honest.must('block 600000')
    assert server_of(r, honest) == honest_server
    for c in (busy, waiting, honest):
        c.ends_well()


@test('vendors')
def limits_hold_after_a_restart(place):
    r = faulty(place)
    c = place.client(r)
    server = server_of(r, c)
    c.tell('block 60000000')
    r = restarted(place, r, signal.SIGKILL, '--call-limit', '1')
    gone_within(server, 4)
    assert c.answer()[1] == LOST
    lost_within(c)


@test('vendors')
def leaks(place):
    r = faulty(place)
    c = place.client(r)
    server = server_of(r, c)
    for _ in range(8):
        c.must('block 2')
    assert resident(server) > 500 * 1024
    c.ends_well()
    gone_within(server)


# ---- nothing left ----

def listens(path):
    s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        s.connect(path)
        return True
    except OSError:
        return False
    finally:
        s.close()


class Fault:
    """The environment in which the nth of something fails, and whether it came to that."""

    def __init__(self, place, kind, n, program):
        self.report = f'{place.base}/report'
        if os.path.exists(self.report):
            os.unlink(self.report)
        self.env = {'LD_PRELOAD': PRELOAD, 'HIRA_FAULT': f'{kind}:{n}', 'HIRA_FAULT_IN': program, 'HIRA_FAULT_REPORT': self.report}

    def came(self):
        if not os.path.exists(self.report):
            return False
        with open(self.report, 'rb') as f:
            return f.read(1) == b'\1'


def torture(once, most=3000):
    """Calls once(n) for n = 1, 2, ... until it says that it did not come to the nth; in the short form with growing steps."""
    n, ran = 1, 0
    while once(n):
        ran += 1
        n += 1 if SOAK or n < 20 else 1 + n // 12
        assert n < most
    return ran, n


def guest_torture(place, kind):
    r = place.router()

    def once(n):
        f = Fault(place, kind, n, 'faults-client')
        c = place.client(r, env=f.env, fresh=False)
        first = c.ask('all')
        assert first[1] <= 0, first
        second = c.ask('all')
        assert second[1] <= 0, second
        c.ends_well()
        if not f.came():
            assert first[1] == second[1] == 0
        return f.came()
    ran, n = torture(once)
    note(f'{ran} runs; a run has about {n} of it')
    c = place.client(r)
    c.must('all')
    c.ends_well()


@test('scarcity')
def no_memory_in_the_guest(place):
    guest_torture(place, 'memory')


@test('scarcity')
def no_descriptors_in_the_guest(place):
    guest_torture(place, 'fd')


def server_torture(place, kind, suffix=''):
    def once(n):
        f = Fault(place, kind, f'{n}{suffix}', 'hira-server-nul')
        r = place.router(env=dict(os.environ, **f.env))
        c = place.client(r, fresh=False)
        a = c.ask('all')
        assert a[1] <= 0, a
        assert c.ask('all')[1] <= 0
        c.ends_well()
        came = f.came()
        if not came:
            assert a[1] == 0, a
        r.stop()
        place.routers.remove(r)
        wait_for(lambda: reap() or not children(os.getpid()), 'all to end')
        return came
    ran, n = torture(once)
    note(f'{ran} runs; zygote and server have about {n} of it')


@test('scarcity')
def no_memory_in_the_server(place):
    server_torture(place, 'memory')


@test('scarcity')
def no_descriptors_in_the_server(place):
    server_torture(place, 'fd')


def answers(r):
    try:
        return r.answers()
    except (struct.error, ValueError):      # it had no memory for an answer
        return False


def router_torture(place, kind):
    started = {'no': 0}

    def once(n):
        f = Fault(place, kind, n, 'hirad')
        r = place.router(env=dict(os.environ, **f.env), wait=False)
        # It says in a sentence why it does not start, or goes on for good.
        up = wait_for(lambda: answers(r) or r.p.poll() is not None and 'ended', 'hirad to listen or to give up', 5)
        if up == 'ended':
            assert r.p.returncode == 1 and 'hirad: ' in r.log(), (n, r.p.returncode, r.log())
            started['no'] += 1
        else:
            for _ in range(2):
                c = place.client(r, fresh=False)
                a = c.ask('all')
                assert a[1] <= 0, a
                answers(r)
                c.ends_well()
            c = place.client(r, fresh=False)
            wait_for(lambda: c.ask('sum')[1] == 0, 'guests to be served again', 5)
            c.ends_well()
            assert r.p.poll() is None, r.log()
        came = f.came()
        r.stop()
        place.routers.remove(r)
        wait_for(lambda: reap() or not children(os.getpid()), 'all to end')
        return came
    ran, n = torture(once)
    note(f'{ran} runs; hirad has about {n} of it for three guests; {started["no"]} times it did not start')


@test('scarcity')
def no_memory_in_the_router(place):
    router_torture(place, 'memory')


@test('scarcity')
def no_descriptors_in_the_router(place):
    router_torture(place, 'fd')


def on_disk(mounts, command):
    """argv: the command, where these mounts are. An ordinary user makes them as root of a user namespace, and is itself again in one inside."""
    if os.geteuid() == 0:
        return ['unshare', '-m', 'sh', '-c', f'{mounts} && {command}']
    return ['unshare', '-rm', 'sh', '-c', f'{mounts} && exec unshare -U --map-user={os.geteuid()} --map-group={os.getegid()} sh -c {shlex.quote(command)}']


@test('scarcity')
def full_disk(place):
    """Folder, log and sockets on a file system of two pages and few files, in a mount namespace of its own."""
    if subprocess.run(on_disk('true', 'true'), capture_output=True).returncode:
        raise Skip('no mount namespace to be had')
    disk = place.base + '/disk'
    os.mkdir(disk)
    inner = place.base + '/run'
    os.mkdir(inner, 0o700)
    # Everything on the full disk but the socket: the log, the servers' folders with the lock in each.
    p = subprocess.Popen(on_disk(f'mount -t tmpfs -o size=16k,nr_inodes=9 none {disk} && {{ head -c 100k /dev/zero > {disk}/full; true; }}',
                                 f'exec {HIRAD} --socket {inner}/h.sock --server-dir {NULLAPI} --work-dir {disk} --log-level debug 2>{disk}/log'),
                         stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)
    try:
        wait_for(lambda: listens(inner + '/h.sock'), 'hirad to listen')
        clients = [place.client(inner + '/h.sock', fresh=False) for _ in range(6)]
        results = [c.ask('all')[1] for c in clients]
        assert all(s in (0, LOST) for s in results) and 0 in results and LOST in results, results
        for c in clients:
            c.ends_well()
        c = place.client(inner + '/h.sock', fresh=False)
        wait_for(lambda: c.ask('all')[1] == 0, 'room to be used again')
        c.ends_well()
        assert p.poll() is None
    finally:
        p.send_signal(signal.SIGTERM)
        p.wait(10)
        p.stderr.close()
    # No room for even the lock: one sentence.
    mount = f'mount -t tmpfs -o size=16k,nr_inodes=1 none {disk}'
    p = subprocess.run(on_disk(mount, f'exec {HIRAD} --socket {disk}/h.sock --server-dir {NULLAPI}'), capture_output=True, text=True, timeout=20)
    assert p.returncode == 1 and p.stderr.count('\n') == 1 and 'No space left' in p.stderr, p
    p = subprocess.run(on_disk(mount, f'TMPDIR={disk} exec {HIRA} run --server-dir {NULLAPI} --lib-dir {NULLAPI} -- {CLIENT}'), capture_output=True,
                       text=True, timeout=20, stdin=subprocess.DEVNULL)
    assert p.returncode == 125 and p.stderr.count('\n') == 1 and 'No space left' in p.stderr, p


@test('scarcity')
def few_descriptors(place):
    """Limits of descriptors from hardly any to enough: never a crash, never a hang, and some are served."""
    import resource
    served_ = []
    for limit in (8, 12, 16, 24, 32, 64):
        r = place.router(preexec=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit)), wait=False)
        time.sleep(0.2)
        if r.p.poll() is None:
            clients = [place.client(r, fresh=False) for _ in range(6)]
            for c in clients:
                c.tell('sum')
            results = [c.answer(40)[1] for c in clients]
            assert set(results) <= {0, LOST}, results
            served_.append(results.count(0))
            for c in clients:
                c.ends_well()
            assert r.p.poll() is None, r.log()
        else:
            assert r.p.returncode == 1, (limit, r.p.returncode, r.log())
            served_.append(None)
        r.stop()
    note(f'of 6 guests with 8, 12, 16, 24, 32, 64 descriptors served: {served_}')
    assert served_[-1], served_


@test('scarcity')
def little_address_space(place):
    """Under `ulimit -v` a program with many threads is served as far as it goes, and told why not further."""
    said = []
    for mib in (200, 400, 1000, 3000):
        p = subprocess.run(['sh', '-c', f'ulimit -v {mib * 1024}; exec {HIRA} run --server-dir {NULLAPI} --lib-dir {NULLAPI} -- {CLIENT}'],
                           input='sum\nwide 200\nsum\n', capture_output=True, text=True, timeout=60, env=dict(os.environ, HIRA_DEBUG='1'))
        lines = [line.split() for line in p.stdout.splitlines()]
        reasons = sorted({line for line in p.stderr.splitlines() if line.startswith('hira')})
        said.append((mib, p.returncode, [line[1] for line in lines], reasons[:1]))
        for line in lines:
            assert line[1] in ('0', str(LOST)) or line[0] == 'wide', (p.stdout, p.stderr)
        if any(line[0] == 'sum' and line[1] != '0' for line in lines):
            assert reasons, (mib, p.stdout, p.stderr)
    for s in said:
        note(str(s))


NEWER = ['close_range', 'pidfd_open', 'pidfd_send_signal', 'openat2', 'statx', 'clone3', 'faccessat2', 'epoll_pwait2', 'io_uring_setup',
         'rseq', 'getrandom', 'prlimit64', 'getcpu', 'copy_file_range', 'membarrier']


@test('scarcity')
def older_kernels(place):
    """Without each newer system call, and without all of them: everything works, or is explained."""
    for names in [[n] for n in NEWER] + [NEWER]:
        base = f'{place.base}/{"-".join(names)[:40]}'
        os.mkdir(base, 0o700)
        path = base + '/h.sock'
        with open(base + '/log', 'wb') as log:
            p = subprocess.Popen([ENOSYS, *names, '--', HIRAD, '--socket', path, '--server-dir', NULLAPI, '--work-dir', base, '--log-level',
                                  'debug', '--call-limit', '1'], stderr=log, stdin=subprocess.DEVNULL,
                                 env=dict(os.environ, HIRA_VENDOR=VENDOR))
        wait_for(lambda: listens(path), f'hirad without {names}')
        c = place.client(path, prefix=(ENOSYS, *names, '--'), env={'HIRA_DEBUG': '1'}, fresh=False)
        a = c.ask('all')
        if a[1]:
            c.p.stdin.close()
            with open(base + '/log') as f:
                raise AssertionError((names, a, c.p.stderr.read(), f.read()[-3000:]))
        d = place.client(path, env={'NULL_WISH': 'anything'})      # a server that starts over
        d.must('all')
        d.tell('block 60000000')
        assert d.answer()[1] == LOST                               # the watchdog works without pidfds
        d.ends_well()
        c.ends_well()
        p.send_signal(signal.SIGTERM)
        assert p.wait(10) == 0, names
    # Memory that can be sealed has no substitute.
    base = place.base + '/memfd'
    os.mkdir(base, 0o700)
    r = place.router(base=base, wait=False)
    r.stop()
    with open(base + '/log2', 'wb') as log:
        p = subprocess.Popen([ENOSYS, 'memfd_create', '--', HIRAD, '--socket', base + '/h.sock', '--server-dir', NULLAPI, '--work-dir', base],
                             stderr=log, stdin=subprocess.DEVNULL)
    wait_for(lambda: listens(base + '/h.sock'), 'hirad')
    out = subprocess.run([CLIENT], input=b'sum\n', capture_output=True, env=dict(os.environ, HIRA_SOCKET=base + '/h.sock', HIRA_DEBUG='1'),
                         timeout=20)
    assert out.stdout.startswith(b'sum -10') and b'memfd_create' in out.stderr, out
    p.send_signal(signal.SIGTERM)
    p.wait(10)
    with open(base + '/log2') as f:
        assert 'memfd_create' in f.read()


if __name__ == '__main__':
    main(sys.argv[2], sys.argv[3:])
