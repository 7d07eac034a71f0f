#!/usr/bin/env python3
# The sandbox from inside: a server that tries each thing it must not, through a real hirad. TAP.
# usage: run.py HIRAD HIRA JAIL_SERVER
# HIRA_TEST_CGROUP names a control group of version 2 that may be used.
# Started by root, everything is run twice: with a user for each tenant, and as an ordinary user with user namespaces.
# Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
import errno
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)) + '/../router')
from wire import Guest, Router, alive, be_subreaper, descendants, hello, reap, stat_of, wait_for  # noqa: E402

HIRAD, HIRA, JAIL = (os.path.abspath(p) for p in sys.argv[1:4])
ORDINARY = 12345  # a user who owns nothing
CGROUP = ['--sandbox-cgroup', os.environ['HIRA_TEST_CGROUP']] if 'HIRA_TEST_CGROUP' in os.environ else []
TESTS = []
DENIED = (errno.EPERM, errno.EACCES)


class Skip(Exception):
    pass


def test(*needs):
    """A test that means something only where these layers hold."""
    def take(f):
        TESTS.append((f, needs))
        return f
    return take


class Prisoner(Guest):
    """A guest of a jail server."""

    def __init__(self, path, environment=b''):
        super().__init__(path)
        self.send(hello(b'jail', environment=environment))
        a = self.answer()
        assert a[0] == 'welcome', a
        self.server = a[1]

    def tries(self, *words):
        answer = self.say(' '.join(str(w) for w in words).encode()).decode()
        assert answer, f'the server ended at {words}'
        error, _, text = answer.partition(' ')
        self.text = text
        return int(error)

    def fails(self, *words, by=DENIED):
        """By itself and from a program that it executes."""
        by = by if isinstance(by, tuple) else (by,)
        for prefix in ((), ('child',)):
            error = self.tries(*prefix, *words)
            assert error in by, f'{prefix + words}: {errno.errorcode.get(error, error)} {self.text}'

    def can(self, *words):
        for prefix in ((), ('child',)):
            error = self.tries(*prefix, *words)
            assert error == 0, f'{prefix + words}: {errno.errorcode.get(error, error)} {self.text}'
        return self.text


class Place:
    def __init__(self, base):
        self.base, self.n, self.routers = base, 0, []
        self.servers = base + '/servers'
        os.mkdir(self.servers)
        if os.getuid() == 0:
            os.symlink(JAIL, self.servers + '/hira-server-jail')
        else:  # the user's own, who could write it
            shutil.copy(JAIL, self.servers + '/hira-server-jail')

    def router(self, *args, **kw):
        self.n += 1
        base = f'{self.base}/r{self.n}'
        os.mkdir(base, 0o755)
        r = Router(HIRAD, base, self.servers, '--cache-dir', base + '/cache', *CGROUP, *args, **kw)
        self.routers.append(r)
        return r

    def prisoner(self, *args, **kw):
        r = self.router(*args, **kw)
        p = Prisoner(r.path)
        p.router = r
        return p


def as_user(uid, what):
    """Runs it in a child that is this user; what it returns, as text."""
    ours, theirs = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.setgroups([])
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
            answer = str(what())
        except BaseException:
            answer = 'failed: ' + traceback.format_exc()
        os.write(theirs, answer.encode()[:60000])
        os._exit(0)
    os.close(theirs)
    with os.fdopen(ours) as f:
        answer = f.read()
    os.waitpid(pid, 0)
    assert not answer.startswith('failed: '), answer
    return answer


# ---- files ----

@test('view')
def files_of_the_machine_are_not_there(place):
    secret = place.base + '/secret'
    with open(secret, 'w') as f:
        f.write('precious')
    with place.prisoner() as p:
        for path in (secret, '/etc/shadow', '/etc/hostname', '/root/.bashrc', os.path.expanduser('~/.profile'), '/boot/vmlinuz', '/var/log/dpkg.log',
                     p.router.path, '/proc/1/root/etc/shadow', '/proc/self/root/etc/shadow', '/../../etc/shadow'):
            p.fails('read', path, by=(errno.ENOENT, errno.EACCES))
        p.can('list', '/')
        assert not {'root', 'home', 'var', 'boot', 'srv', 'run', 'mnt', 'media'} & set(p.text.split()) - {place.base.split('/')[1], HIRAD.split('/')[1]}, p.text
        p.can('list', '/tmp')
        p.can('list', '/dev')
        assert set(p.text.split()) == {'null', 'zero', 'full', 'random', 'urandom', 'fd', 'stdin', 'stdout', 'stderr', 'shm'}, p.text


@test('view')
def what_is_shown_cannot_be_written(place):
    with place.prisoner() as p:
        for path in ('/usr/bin/x', '/usr/lib/x', '/bin/sh', '/etc/ld.so.cache', '/proc/self/comm', '/sys/devices/system/cpu/cpu0/online',
                     os.path.realpath(place.servers + '/hira-server-jail')):
            p.fails('write', path, by=(errno.EROFS, errno.EACCES, errno.ETXTBSY))


@test('user')
def what_others_own_cannot_be_read_or_written(place):
    with place.prisoner() as p:
        p.fails('read', '/etc/shadow', by=(errno.ENOENT, errno.EACCES))
        p.fails('write', '/usr/bin/x', by=(errno.EROFS, errno.EACCES))


@test()
def what_it_needs_works(place):
    with place.prisoner() as p:
        p.can('where')
        tmp, home, cache = p.text.split()
        assert tmp.startswith(p.router.work + '/hira-server-') and home == os.path.dirname(p.router.path) + f'/cache/user-{os.getuid()}', p.text
        assert cache == home + '/jail', p.text
        for folder in (tmp, home, cache, '/tmp', '/dev/shm'):
            p.can('write', folder + '/mine')
            p.can('code', folder + '/code')
            assert p.text == '42'
        p.can('read', '/dev/urandom')
        p.can('write', '/dev/null')
        p.can('read', '/proc/cpuinfo')
        p.can('read', '/sys/devices/system/cpu/online')
        p.can('execute', '/usr/bin/true')
        p.can('thread')
        p.can('socketpair', int(socket.AF_UNIX))
        p.can('option', 65536)


@test('view')
def nothing_leads_out_of_its_root(place):
    leak = os.open('/', os.O_RDONLY)
    os.set_inheritable(leak, True)
    with place.prisoner(preexec=lambda: os.dup2(leak, 77)) as p:
        p.can('descriptors')
        assert '(folder)' not in p.text and 'zero' not in p.text, p.text
        p.tries('descriptors')
        assert len(p.text.split()) == 7, p.text
    os.close(leak)


@test('view')
def its_program_cannot_be_written(place):
    r = place.router()
    for environment in (b'', b'JAIL_X=1\0'):  # the second server has executed itself again
        with Prisoner(r.path, environment) as p:
            p.fails('program', by=(errno.EROFS, errno.EACCES))
            p.fails('write', '/proc/self/exe', by=(errno.EROFS, errno.EACCES, errno.EPERM, errno.ETXTBSY))


@test('view')
def folders_that_a_guest_names_are_private(place):
    r = place.router()
    with Prisoner(r.path, b'JAIL_CACHE=/elsewhere\0JAIL_OTHER=/etc/x\0') as p:
        p.can('where')
        assert p.text.split()[2].endswith('/jail'), p.text
        p.can('write', '/tmp/x')
        assert p.tries('write', '/home') == 0 and not os.path.isfile('/home')
        p.fails('read', '/etc/shadow', by=errno.ENOENT)
        p.can('privileges')
        assert 'caps=0,0 bound=0 nnp=1' in p.text, p.text
        if 'syscalls' in HELD:
            p.fails('listen')


@test('view')
def private_files_are_bounded(place):
    with place.prisoner() as p:
        assert p.tries('fill', 512) == errno.ENOSPC, p.text
        assert p.tries('fill', 1) == 0


# ---- tenants ----

@test('view')
def caches_last_and_are_the_tenants(place):
    r = place.router()
    with Prisoner(r.path) as p:
        p.can('where')
        home = p.text.split()[1]
        p.can('write', home + '/kept')
        folder = p.text
    with Prisoner(r.path) as p:
        p.can('read', home + '/kept')
        p.can('list', os.path.dirname(home))
        assert p.text.split() == [os.path.basename(home)], p.text
    assert os.stat(home).st_mode & 0o777 == 0o700, oct(os.stat(home).st_mode)
    r.stop()
    again = place.router('--cache-dir', os.path.dirname(home))
    with Prisoner(again.path) as p:
        p.can('read', home + '/kept')
    del folder


def no_mounts():
    """Root that may not change what it sees: as in many containers."""
    import ctypes
    ctypes.CDLL(None).prctl(24, 21, 0, 0, 0)  # PR_CAPBSET_DROP, CAP_SYS_ADMIN


@test('user')
def a_cache_that_servers_cannot_reach_is_one_of_their_own(place):
    if os.getuid() != 0:
        raise Skip('needs root, whose servers are other users')
    os.chmod(place.base, 0o755)
    os.mkdir(place.base + '/closed', 0o700)
    r = place.router('--cache-dir', place.base + '/closed/cache', preexec=no_mounts)
    with Prisoner(r.path) as p:
        p.can('where')
        home = p.text.split()[1]
        assert not home.startswith(place.base + '/closed'), p.text
        p.can('write', home + '/kept')
        p.can('read', home + '/kept')
    assert 'no cache that lasts for ' in r.log(), r.log()


@test('user')
def tenants_do_not_share(place):
    if os.getuid() != 0:
        raise Skip('needs root to be several users')
    r = place.router()
    os.chmod(place.base, 0o755)

    def write():
        with Prisoner(r.path) as p:
            p.can('where')
            home = p.text.split()[1]
            p.can('write', home + '/mine')
            p.can('privileges')
            return home + ' ' + p.text.split()[0]
    first = as_user(2001, write).split()
    second = as_user(2002, write).split()
    assert first[0].endswith('/user-2001') and second[0].endswith('/user-2002') and first[1] != second[1], (first, second)
    assert os.stat(first[0]).st_uid != os.stat(second[0]).st_uid and os.stat(first[0]).st_uid > 1 << 30

    def reach():
        with Prisoner(r.path) as p:
            p.fails('read', first[0] + '/mine', by=(errno.ENOENT, errno.EACCES))
            p.fails('write', first[0] + '/theirs', by=(errno.ENOENT, errno.EACCES))
            p.fails('list', first[0], by=(errno.ENOENT, errno.EACCES))
        return 'ok'
    assert as_user(2002, reach) == 'ok'
    assert not os.path.exists(first[0] + '/theirs')


@test()
def ready_servers_are_one_tenants(place):
    if os.getuid() != 0:
        raise Skip('needs root to be several users')
    r = place.router()
    os.chmod(place.base, 0o755)
    wait_for(lambda: r.api('jail')['ready'] == 1, 'a server for root')
    own = os.stat('/proc/self').st_uid

    def come():
        with Prisoner(r.path) as p:
            p.can('where')
            return p.text.split()[1].rsplit('-')[-1]
    for uid in (3001, 3002, 3001):
        assert as_user(uid, come) == str(uid)
    wait_for(lambda: r.api('jail')['ready'] == 3, 'a server for each')
    for uid in range(4001, 4012):
        assert as_user(uid, come) == str(uid)
    wait_for(lambda: r.api('jail')['ready'] == 8 and r.api('jail')['starting'] == 0, 'the oldest to make room')
    assert own == 0


# ---- other processes ----

@test('processes')
def other_processes_cannot_be_named(place):
    r = place.router()
    with Prisoner(r.path) as other, Prisoner(r.path) as p:
        for pid in (other.server, r.p.pid, r.zygote('jail'), os.getpid(), p.server):
            p.fails('kill', pid, by=errno.ESRCH)
            p.fails('peek', pid, by=errno.ENOENT)
        assert alive(other.server) and other.tries('where') == 0


@test('proc')
def only_its_own_processes_are_listed(place):
    with place.prisoner() as p:
        p.can('list', '/proc')
        assert [w for w in p.text.split() if w.isdigit()][0] == '1' and len([w for w in p.text.split() if w.isdigit()]) <= 2, p.text


@test('processes')
def what_it_starts_ends_with_it(place):
    def stayed():
        return [d for d in os.listdir('/proc') if d.isdigit() and comm(d) == 'hira-stayed']

    def comm(pid):
        try:
            with open(f'/proc/{pid}/comm') as f:
                return f.read().strip()
        except OSError:
            return ''
    with place.prisoner() as p:
        p.can('stay')
        wait_for(lambda: len(stayed()) == 2, 'the processes that stay')
    wait_for(lambda: not stayed(), 'them to end')


@test('processes')
def aborting_is_seen_as_such(place):
    r = place.router()
    with Prisoner(r.path) as p:
        p.s.send(b'abort')
        wait_for(lambda: f'server {p.server} was ended by signal 6' in r.log(), 'the log to say so')


# ---- network ----

@test('syscalls')
def there_is_no_network(place):
    with socket.socket() as s, socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as u:
        s.bind(('127.0.0.1', 0))
        s.listen(1)
        u.bind(place.base + '/u')
        u.listen(1)
        with place.prisoner() as p:
            p.fails('connect', s.getsockname()[1])
            p.fails('listen')
            p.fails('unix', place.base + '/u')
            p.fails('unix', p.router.path)
            p.fails('socketpair', int(socket.AF_INET), by=(errno.ENOSYS, errno.EPERM))


@test('syscalls')
def sockets_take_no_programs(place):
    with place.prisoner() as p:
        p.fails('socket-program', by=(errno.EPERM, errno.ENOSYS))


@test('network')
def its_network_is_empty(place):
    with place.prisoner() as p:
        net = os.readlink(f'/proc/{p.server}/ns/net') if os.getuid() == 0 else None
        assert net != os.readlink('/proc/self/ns/net')
        p.can('read', '/proc/net/dev')


# ---- privileges and system calls ----

@test('privileges', 'syscalls')
def it_has_no_privileges(place):
    with place.prisoner() as p:
        for prefix in ((), ('child',)):
            assert p.tries(*prefix, 'privileges') == 0
            assert 'caps=0,0 bound=0 nnp=1 seccomp=2' in p.text, p.text
            if os.getuid() == 0:
                assert 'uid=0' not in p.text and 'euid=0' not in p.text, p.text


@test('syscalls')
def forbidden_calls_fail(place):
    absent = {'clone3', 'shmget', 'unknown', 'x32', 'personality'}  # as on a kernel that has none of these
    with place.prisoner() as p:
        p.can('calls')
        names = p.text.split()
        assert len(names) > 40, names
        for name in names:
            p.fails('call', name, by=(errno.ENOSYS,) if name in absent else (errno.EPERM,))


# ---- its tenant's pages ----

@test()
def limits_are_hirads_to_write(place):
    with place.prisoner() as p:
        p.fails('write-limits', by=errno.EACCES)


@test('proc')
def no_descriptor_leads_to_pages(place):
    with place.prisoner() as p:
        assert p.tries('descriptors') == 0 and 'socket:' in p.text, p.text
        assert not any(n in p.text for n in ('hira-limits', 'hira-shared', 'hira-account')), p.text


# ---- limits ----

@test('limits')
def what_it_takes_is_bounded(place):
    with place.prisoner('--sandbox-memory', '256') as p:
        p.can('memory', 512)
        if 'sanitized' not in MISSING:  # those want addresses without bounds
            p.fails('memory', 64 << 10, by=errno.ENOMEM)
        p.fails('files', 4096, by=errno.EMFILE)
        p.fails('file-size', 5000, by=errno.EFBIG)
        p.fails('limits', by=errno.EPERM)
        assert p.tries('where') == 0


@test('cgroup')
def memory_files_and_processes_are_bounded(place):
    group = os.environ['HIRA_TEST_CGROUP']
    r = place.router('--sandbox-memory', '128')
    with Prisoner(r.path) as p:
        assert len([d for d in os.listdir(group) if d.startswith('hira-server-')]) >= 1
        p.can('memory-file', 64)
        p.s.send(b'memory-file 512')
        wait_for(lambda: f'server {p.server} was ended by signal 9' in r.log(), 'the server to be killed', 60)
    r.stop()
    r = place.router()
    with Prisoner(r.path) as p:
        p.s.settimeout(120)
        assert p.tries('processes', 4096) == errno.EAGAIN and int(p.text) < 2048, p.text
    r.stop()
    wait_for(lambda: [d for d in os.listdir(group) if d.startswith('hira-server-')] == [], 'the groups to be removed')


@test('limits', 'processes')
def processes_are_bounded(place):
    with place.prisoner() as p:
        # Where root's tenants have users the kernel counts all of a tenant's servers, and lets them have more.
        most = 20000 if os.getuid() == 0 else 4096
        if os.getuid() == 0 and not os.environ.get('HIRA_SOAK'):
            raise Skip('16384 processes are for make soak')
        p.s.settimeout(120)
        assert p.tries('processes', most) == errno.EAGAIN and int(p.text) < most, p.text
        assert p.tries('execute', '/usr/bin/true') == 0


# ---- what is said of it ----

@test()
def off_is_off_and_said(place):
    """Also shows that the attempts above would succeed without the sandbox."""
    r = place.router('--sandbox', 'off')
    with Prisoner(r.path) as p, socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        s.listen(1)
        p.can('connect', s.getsockname()[1])
        p.can('listen')
        p.can('read', '/etc/hostname')
        p.can('kill', p.server)
        p.can('memory', 64 << 10)
        p.can('files', 1500)
        p.can('file-size', 5000)
        p.can('peek', os.getpid())
    wait_for(lambda: 'servers of jail are not confined: --sandbox=off' in r.log(), 'the log to say so')


@test()
def layers_are_told(place):
    r = place.router()
    with Prisoner(r.path):
        api = r.api('jail')
        assert api['sandbox'] == ', '.join(HELD), api
        out = subprocess.run([HIRA, 'status', '--socket', r.path], capture_output=True, text=True, check=True).stdout
        assert 'sandbox: ' + api['sandbox'] in out, out
        doctor = subprocess.run([HIRA, 'doctor', '--json', '--socket', r.path, '--server-dir', place.servers], capture_output=True, text=True)
        found = [f for f in json.loads(doctor.stdout)['findings'] if f['part'] == 'jail: sandbox']
        assert len(found) == 1 and found[0]['text'].startswith(api['sandbox'].replace(', cgroup', '')), found
    assert ('confined without' in r.log()) == bool(api['sandbox_missing']), r.log()


@test()
def required_refuses_when_a_layer_is_missing(place):
    def no_user_namespaces():  # nor processes: as in a container without any rights
        import ctypes
        libc = ctypes.CDLL(None, use_errno=True)
        for cap in range(64):
            libc.prctl(24, cap, 0, 0, 0)
        libc.prctl(38, 1, 0, 0, 0)
        os.chdir('/')
        if os.getuid() != 0:
            libc.unshare(0x10000000)  # a namespace without a map: none can be made in it
    r = place.router('--sandbox', 'required', preexec=no_user_namespaces)
    with Guest(r.path) as g:
        g.send(hello(b'jail'))
        a = g.answer()
    assert a[0] == 'refused' and 'the sandbox is required and lacks: ' in a[2] and 'view' in a[2], a
    r = place.router(preexec=no_user_namespaces)
    with Prisoner(r.path) as p:
        if 'syscalls' in HELD:
            p.fails('call', 'bpf')
            p.fails('listen')
        assert 'confined without' in r.log() and 'view' in r.api('jail')['sandbox_missing'], r.log()
    whole = {'user', 'view', 'processes', 'proc', 'network', 'ipc', 'privileges', 'syscalls', 'limits'} <= set(HELD)
    if whole:
        r = place.router('--sandbox', 'required')
        with Prisoner(r.path):
            pass


@test()
def options_are_checked(place):
    for args in (('--sandbox', 'perhaps'), ('--sandbox-uids', '0:5'), ('--sandbox-uids', '7'), ('--sandbox-memory', '12x'), ('--sandbox-memory', '1'),
                 ('--sandbox-path', 'relative'), ('--sandbox-device', ''), ('--cache-dir', 'relative')):
        p = subprocess.run([HIRAD, *args], capture_output=True, text=True, timeout=10)
        assert p.returncode == 2 and args[0] in p.stderr, (args, p)


@test('view')
def the_operator_shows_more(place):
    os.mkdir(place.base + '/shown')
    with open(place.base + '/shown/file', 'w') as f:
        f.write('x')
    os.chmod(place.base + '/shown', 0o755)
    with place.prisoner('--sandbox-path', place.base + '/shown', '--sandbox-device', '/dev/tt?') as p:
        p.can('read', place.base + '/shown/file')
        p.fails('write', place.base + '/shown/new', by=(errno.EROFS, errno.EACCES))
        p.can('list', '/dev')
        assert 'tty' in p.text.split(), p.text


# ---- the harness ----

def run_one(f):
    base = tempfile.mkdtemp(prefix='hira-sandbox-')
    os.chmod(base, 0o755)
    place = Place(base)
    try:
        f(place)
        for r in place.routers:
            r.stop()
        wait_for(lambda: reap() or not descendants(), 'all processes to end')
        return None
    except Skip:
        raise
    except Exception:
        return traceback.format_exc() + ''.join('\n' + r.log()[-3000:] for r in place.routers)
    finally:
        for p in descendants():
            try:
                os.kill(p, signal.SIGKILL)
            except ProcessLookupError:
                pass
        for r in place.routers:
            r.p.wait()
        wait_for(lambda: reap() or not descendants(), 'the killed to be gone')
        shutil.rmtree(base, ignore_errors=True)


def run_all(label, first):
    failed = 0
    for i, (f, needs) in enumerate(TESTS):
        name = label + '/' + f.__name__.replace('_', ' ')
        lacking = [n for n in needs if n not in HELD]
        start = time.time()
        try:
            if lacking:
                raise Skip('this system gives no ' + ', '.join(lacking) + ': ' + MISSING)
            error = run_one(f)
        except Skip as s:
            print(f'ok {first + i} - {name} # SKIP {s}', flush=True)
            continue
        print(f'{"not ok" if error else "ok"} {first + i} - {name}', flush=True)
        print(f'# {time.time() - start:.2f} s', flush=True)
        if error:
            failed += 1
            print('\n'.join('# ' + line for line in error.splitlines()), flush=True)
    return failed


def layers():
    out = subprocess.run([JAIL, '--layers', *CGROUP], capture_output=True, text=True, check=True).stdout.strip()
    held, _, missing = out.partition(';')
    return [w for w in held.split(', ') if w], missing


def ordinary_can_run():
    return subprocess.run(['setpriv', '--reuid', str(ORDINARY), '--regid', str(ORDINARY), '--clear-groups', JAIL, '--layers'],
                          capture_output=True).returncode == 0


def main():
    global HELD, MISSING
    os.environ.pop('HIRA_SANDBOX', None)
    os.environ.pop('HIRA_SOCKET', None)
    be_subreaper()
    inner = len(sys.argv) > 4
    HELD, MISSING = layers()
    root = os.getuid() == 0
    if not inner:
        print(f'1..{len(TESTS) * (2 if root else 1)}', flush=True)
    print(f'# user {os.getuid()}: layers {", ".join(HELD)}; missing: {MISSING or "none"}', flush=True)
    failed = run_all('as-root' if root else 'as-user', int(sys.argv[4]) if inner else 1)
    if root and not inner:
        if not ordinary_can_run():
            for i, (f, _) in enumerate(TESTS):
                print(f'ok {len(TESTS) + 1 + i} - as-user/{f.__name__.replace("_", " ")} # SKIP user {ORDINARY} cannot reach {JAIL}')
        else:
            env = dict(os.environ, HOME='/nonexistent')
            failed += subprocess.run(['setpriv', '--reuid', str(ORDINARY), '--regid', str(ORDINARY), '--clear-groups', sys.executable, *sys.argv,
                                      str(len(TESTS) + 1)], env=env).returncode
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
