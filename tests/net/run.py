#!/usr/bin/env python3
# Guests of other hosts: hirad --listen, hira-relay, hira run --on; over TLS and not, over a network that fails, beside peers that break rules. TAP.
# usage: run.py BUILD_FOLDER [TEST...]
# Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
import fcntl
import json
import os
import random
import re
import signal
import socket
import struct
import subprocess
import sys
import termios
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'router'))
from harness import Skip, run_all
from hosts import FIRST, Hosts
from proxy import Proxy
from wire import Router, alive, be_subreaper, command_line, descendants, hello, refused, stat_of, wait_for

TESTS = []
BUILD = os.path.abspath(sys.argv[1])
BEHALF = 32  # HIRA_MSG_BEHALF
NULL = BUILD + '/tests/nullapi'
HIRA = BUILD + '/src/cli/hira'
RELAY = BUILD + '/src/remote/hira-relay'
SOAK = bool(os.environ.get('HIRA_SOAK'))


def test(f):
    TESTS.append(f)
    return f


class Place:
    def __init__(self, base):
        self.base, self.routers, self.clients = base, [], []
        self.env = {k: v for k, v in os.environ.items() if not k.startswith('HIRA_') or k == 'HIRA_CACHE_DIR'}
        self.env['TMPDIR'] = base

    def path(self, name, text=None):
        if text is not None:
            with open(self.base + '/' + name, 'w') as f:
                f.write(text)
            os.chmod(self.base + '/' + name, 0o600)
        return self.base + '/' + name

    def router(self, *args, port=0, servers=NULL):
        env = dict(self.env, LD_LIBRARY_PATH=NULL)
        r = Router(BUILD + '/src/router/hirad', self.base, servers, '--listen', '127.0.0.1:%d' % port, *args, env=env)
        self.routers.append(r)
        wait_for(lambda: 'come by port' in r.log() or r.p.poll() is not None, 'hirad to listen for other hosts')
        r.port = int(re.findall(r'come by port (\d+)', r.log())[-1])
        return r

    def command(self, port, *args, keys=('--plain',)):
        return [HIRA, 'run', '--on', '127.0.0.1:%d' % port, *keys, '--lib-dir', NULL, '--api', 'null', '--', *args]

    def run(self, port, *args, keys=('--plain',), env={}, timeout=60):
        """A program on another host's device: status, output, errors."""
        p = subprocess.run(self.command(port, *args, keys=keys), env=dict(self.env, HIRA_DEBUG='1', **env), stdin=subprocess.DEVNULL,
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=timeout)
        return p.returncode, p.stdout, p.stderr

    def same(self, port, name, **kw):
        """A test of the null API prints what it prints natively."""
        native = subprocess.run([NULL + '/null-native', name], stdout=subprocess.PIPE, text=True, env=self.env)
        status, out, errors = self.run(port, NULL + '/null-hira', name, **kw)
        assert (status, out) == (native.returncode, native.stdout), (name, status, errors, out[-500:])

    def refused(self, port, *words, **kw):
        """A program finds no device, and is told why in a sentence."""
        status, out, errors = self.run(port, NULL + '/null-hira', 'scalars/widths', **kw)
        assert out != '' or status != 0, out
        for word in words:
            assert word in errors, (word, errors)
        return errors


# ---- the null API ----

def null_names():
    names = subprocess.run([NULL + '/null-native', '--list'], stdout=subprocess.PIPE, text=True).stdout.split()
    return [n for n in names if SOAK or n not in ('memory/rests', 'memory/again_and_again')]


@test
def the_null_api_prints_what_it_prints_natively(place):
    r = place.router('--plain')
    p = subprocess.run([sys.executable, os.path.dirname(os.path.abspath(__file__)) + '/../nullapi/run.py', '--builddir', NULL, '--wrapper',
                        ' '.join(place.command(r.port)), *null_names()], env=place.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert p.returncode == 0, '\n'.join(line for line in p.stdout.splitlines() if not line.startswith('ok')) + p.stderr


@test
def strict_too(place):
    r = place.router('--plain')
    for name in ('commands/nonblocking', 'callbacks/notify'):
        place.same(r.port, name, env={'HIRA_STRICT': '1'})


# ---- OpenCL ----

@test
def opencl_programs_print_what_they_print_natively(place):
    server, guest = BUILD + '/specs/opencl', BUILD + '/specs/opencl'
    if not os.path.exists(server + '/hira-server-opencl'):
        raise Skip('this build has no OpenCL')
    r = place.router('--plain', servers=server)
    wrapper = f'{HIRA} run --on 127.0.0.1:{r.port} --plain --lib-dir {guest} --api opencl --'
    programs = [] if SOAK else ['platform', 'svm', 'event', 'printf', 'dlopen', 'buffer/use_host_ptr', 'buffer/alloc_host_ptr', 'buffer/map_several',
                                'buffer/map_overlapping', 'buffer/rect_tiles', 'buffer/read_write_large', 'image/use_host_ptr', 'thread/same_queue',
                                'program/includes', 'process/change_directory']
    p = subprocess.run([os.path.dirname(os.path.abspath(__file__)) + '/../opencl/run.sh', '--builddir', BUILD + '/tests/opencl', '--wrapper', wrapper,
                        *programs], env={k: v for k, v in place.env.items() if k != 'LD_LIBRARY_PATH'},  # meson's has Hira's library: what is native would not be
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert p.returncode == 0, '\n'.join(line for line in p.stdout.splitlines() if not line.startswith('ok'))
    assert p.stdout.count('\nok ') > 20, p.stdout
    assert r.log().count('hira-relay of user') > 20, r.log()[-2000:]
    out = subprocess.run(wrapper.split() + ['clinfo', '-l'], env=place.env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True).stdout
    assert 'Device #0' in out or 'No such file' in out, out


# ---- keys ----

KEY = '0123456789abcdef0123456789abcdef'
OTHER = 'fedcba9876543210fedcba9876543210'


@test
def over_tls_with_a_shared_key(place):
    r = place.router('--psk', place.path('keys', f'alice:{KEY}\nbob:{OTHER}\n'))
    for who, key in (('alice', KEY), ('bob', OTHER)):
        keys = ('--psk', place.path('mine', f'{who}:{key}\n'))
        for name in ('scalars/widths', 'commands/nonblocking', 'callbacks/notify'):
            place.same(r.port, name, keys=keys)
        assert re.search(who + ' from 127.0.0.1:', r.log()), r.log()


@test
def wrong_keys_are_told_so(place):
    r = place.router('--psk', place.path('keys', f'alice:{KEY}\n'))
    place.refused(r.port, 'TLS: ', keys=('--psk', place.path('mine', f'alice:{OTHER}\n')))
    place.refused(r.port, 'TLS: ', keys=('--psk', place.path('mine', f'mallory:{KEY}\n')))
    place.refused(r.port, 'this host speaks TLS only')
    place.same(r.port, 'scalars/widths', keys=('--psk', place.path('mine', f'alice:{KEY}\n')))


@test
def a_host_without_encryption_says_so(place):
    r = place.router('--plain')
    place.refused(r.port, 'without encryption only', keys=('--psk', place.path('mine', f'alice:{KEY}\n')))


def openssl(*args):
    try:
        subprocess.run(['openssl', *args], check=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    except FileNotFoundError:
        raise Skip('openssl is not installed')


def certificates(place):
    """An authority, a host, and guests of its and of another's."""
    p = place.base
    for ca in ('ca', 'other-ca'):
        openssl('req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', f'{p}/{ca}.key', '-out', f'{p}/{ca}.pem',
                '-days', '9', '-subj', f'/CN={ca}', '-addext', 'keyUsage=keyCertSign')
    for name, ca, days in (('host', 'ca', '9'), ('carol', 'ca', '9'), ('old', 'ca', '-1'), ('stranger', 'other-ca', '9')):
        openssl('req', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', f'{p}/{name}.key', '-out', f'{p}/{name}.csr',
                '-subj', f'/CN={name}')
        openssl('x509', '-req', '-in', f'{p}/{name}.csr', '-CA', f'{p}/{ca}.pem', '-CAkey', f'{p}/{ca}.key', '-CAcreateserial', '-days', days,
                '-out', f'{p}/{name}.pem', '-extfile', place.path('ext', 'subjectAltName=IP:127.0.0.1\nkeyUsage=digitalSignature\n'))
    return lambda name, ca='ca': ('--cert', f'{p}/{name}.pem', '--key', f'{p}/{name}.key', '--ca', f'{p}/{ca}.pem')


@test
def over_tls_with_certificates(place):
    keys = certificates(place)
    r = place.router(*keys('host'))
    place.same(r.port, 'commands/nonblocking', keys=keys('carol'))
    assert 'carol from 127.0.0.1:' in r.log()
    place.refused(r.port, 'TLS: ', keys=keys('stranger'))
    place.refused(r.port, 'TLS: ', keys=keys('old'))
    assert 'expired' in r.log(), r.log()
    place.refused(r.port, 'TLS: ', 'issuer is unknown', keys=keys('carol', 'other-ca'))
    place.same(r.port, 'scalars/widths', keys=keys('carol'))


@test
def the_certificates_of_the_documentation(place):
    """Each line of docs/remote.md, with this machine's names in the place of its."""
    openssl('version')
    with open(os.path.dirname(os.path.abspath(__file__)) + '/../../docs/remote.md') as f:
        section = re.search(r'^## 4\. Certificates.*?^## 5\.', f.read(), re.M | re.S)[0]
    text = '\n'.join(line[4:] for line in section.splitlines() if line.startswith('    '))
    for there, here in (('accel.example', 'localhost'), ('192.0.2.7', '127.0.0.1')):
        assert there in text
        text = text.replace(there, here)
    lines = text.replace('\\\n', '').splitlines()
    made, (hirad, hira) = [line for line in lines if not line.startswith('hira')], [line.split() for line in lines if line.startswith('hira')]
    p = subprocess.run(['sh', '-ec', '\n'.join(made)], cwd=place.base, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert p.returncode == 0, p.stdout
    mode = {name: os.stat(f'{place.base}/{name}').st_mode & 0o777 for name in os.listdir(place.base)}
    assert mode['host.key'] == mode['carol.key'] == mode['ca.key'] == 0o600 and mode['host.pem'] == mode['carol.pem'] == mode['ca.pem'] == 0o644, mode

    def absolute(words):
        return [f'{place.base}/{w}' if w.endswith(('.pem', '.key')) else w for w in words]
    assert hirad[:3] == ['hirad', '--listen', '127.0.0.1'] and hira[:4] == ['hira', 'run', '--on', 'localhost'] and hira[-2] == '--', (hirad, hira)
    conf = place.path('hirad.conf', 'tenant team {\n  peers = {"carol"}\n}\ndefault {\n  refuse = true\n}\n')
    r = place.router('--config', conf, *absolute(hirad[3:]))
    keys = absolute(hira[4:-2])
    place.same(r.port, 'scalars/widths', keys=keys)  # by the address, which is in the certificate as well

    def by_name(port):
        command = [f'localhost:{port}' if w == f'127.0.0.1:{port}' else w for w in place.command(port, NULL + '/null-hira', 'scalars/widths', keys=keys)]
        return subprocess.run(command, env=dict(place.env, HIRA_DEBUG='1'), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=60)
    p = by_name(r.port)
    assert p.returncode == 0 and p.stdout == subprocess.run([NULL + '/null-native', 'scalars/widths'], stdout=subprocess.PIPE, text=True).stdout, p.stderr
    assert r.log().count('carol from 127.0.0.1:') == 2, r.log()
    # A host's certificate is no guest's, and a guest's no host's, whatever name it was given.
    error = place.refused(r.port, keys=absolute(['--cert', 'host.pem', '--key', 'host.key', '--ca', 'ca.pem']))
    assert 'certificate' in error.lower(), error
    sh = next(line for line in made if 'carol.csr -CA' in line)
    p = subprocess.run(['sh', '-ec', f'{next(line for line in made if "CN=carol" in line)}\n{sh}'.replace('carol', 'false').replace('CN=false', 'CN=localhost')],
                       cwd=place.base, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert p.returncode == 0, p.stdout
    false = subprocess.Popen([RELAY, '--listen', '127.0.0.1:0', *absolute(['--cert', 'false.pem', '--key', 'false.key', '--ca', 'ca.pem', '--socket']),
                              r.path], stderr=subprocess.PIPE, text=True)
    p = by_name(int(false.stderr.readline().split()[-1]))
    false.terminate()
    false.communicate(timeout=10)
    assert 'The name in the certificate does not match' in p.stderr, p


@test
def each_connection_is_confined(place):
    """On both hosts: a filter of system calls, no new rights, no core; whoever listens reads nothing of anybody."""
    r = place.router('--psk', place.path('keys', f'alice:{KEY}\n'))
    p = subprocess.Popen(place.command(r.port, NULL + '/null-hira', 'memory/again_and_again', keys=('--psk', place.path('mine', f'alice:{KEY}\n'))),
                         env=place.env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    wait_for(lambda: r.status()['guests'], 'the guest to be served')
    confined = []
    for pid in filter(str.isdigit, os.listdir('/proc')):
        try:
            status = dict(line.split(':\t', 1) for line in open(f'/proc/{pid}/status').read().splitlines() if ':\t' in line)
            parent = open(f"/proc/{status['PPid']}/comm").read().strip()
            port = str(r.port) in open(f"/proc/{status['PPid']}/cmdline").read() or r.path in open(f"/proc/{status['PPid']}/cmdline").read()
        except (OSError, KeyError):
            continue
        if status['Name'] == 'hira-relay' and parent == 'hira-relay' and port:
            confined.append((status['Seccomp'], status['NoNewPrivs']))
    p.wait(60)
    assert p.returncode == 0 and confined == [('2', '1')] * 2, (p.returncode, confined)


@test
def who_is_added_to_the_keys_may_come_at_once(place):
    r = place.router('--psk', place.path('keys', f'alice:{KEY}\n'))
    keys = ('--psk', place.path('his', f'bob:{OTHER}\n'))
    place.refused(r.port, 'TLS: ', keys=keys)
    place.path('keys', f'alice:{KEY}\n# one more\nbob:{OTHER}\n')
    place.same(r.port, 'scalars/widths', keys=keys)
    place.path('keys', f'alice:{KEY}\n')
    place.refused(r.port, 'TLS: ', keys=keys)


@test
def what_no_restart_mends_ends_hirad_at_start(place):
    """Status 2 and the relay's own words, nothing is started; what is to be checked as well."""
    missing, key = place.path('missing'), place.path('keys', f'alice:{KEY}\n')
    other, empty = place.path('other', '-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n'), place.path('empty', '# none yet\n')
    conf = place.path('hirad.conf', 'tenant team {\n  peers = {"alice"}\n}\n')

    def hirad(*args):
        return subprocess.run([BUILD + '/src/router/hirad', '--socket', place.path('h.sock'), '--server-dir', NULL, '--work-dir', place.base, *args], env=place.env,
                              stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, timeout=20)
    for words, *args in (('missing: No such file', '127.0.0.1:0', '--psk', missing), ('other: none of its lines is NAME:KEY', '127.0.0.1:0', '--psk', other),
                         ('other, ', '127.0.0.1:0', '--cert', other, '--key', other, '--ca', other), ('needed together', '127.0.0.1:0', '--cert', other, '--key', other),
                         ('plain connections have no keys', '127.0.0.1:0', '--plain', '--psk', key), ('connections are encrypted', '127.0.0.1:0'),
                         ("--grace: 'long' makes no sense", '127.0.0.1:0', '--plain', '--grace', 'long'), ("--plain: 'all' makes", '127.0.0.1:0', '--plain=all'),
                         ("'127.0.0.1:x' is no HOST", '127.0.0.1:x', '--plain'), ('is no vsock:PORT', 'vsock:x'),
                         ('only addresses of this machine', '0.0.0.0:0', '--plain'), ('only addresses of this machine', '[::]:0', '--plain')):
        p = hirad('--listen', *args)
        assert p.returncode == 2 and 'hira-relay: ' in p.stderr and words in p.stderr and 'listens on' not in p.stderr, (args, p)
    assert not os.path.exists(place.path('h.sock'))
    p = hirad('--check', '--config', conf, '--listen', '127.0.0.1:0', '--psk', missing)
    assert p.returncode == 2 and 'No such file' in p.stderr, p
    p = hirad('--check', '--config', conf, '--listen', '127.0.0.1:0', '--psk', key)
    assert p.returncode == 0 and not p.stderr, p
    place.router('--psk', empty)  # to be filled while it runs


@test
def what_may_be_mended_is_tried_again(place):
    """A port that is taken when hirad starts; a key that is gone when the relay is started again: hirad stays, and says so once."""
    with socket.create_server(('127.0.0.1', 0)) as s:
        port, key = s.getsockname()[1], place.path('keys', f'alice:{KEY}\n')
        r = Router(BUILD + '/src/router/hirad', place.base, NULL, '--listen', f'127.0.0.1:{port}', '--psk', key, env=place.env)
        place.routers.append(r)
        wait_for(lambda: r.log().count('hira-relay ended (status 1)') > 1, 'a second try')
        assert r.log().count('Address already in use') == 1, r.log()
    wait_for(lambda: 'come by port' in r.log(), 'the port to be free')
    relay = next(p for p in descendants() if command_line(p)[:1] == [b'hira-relay'])
    os.unlink(key)
    os.kill(relay, signal.SIGKILL)
    wait_for(lambda: 'status 2' in r.log(), 'the relay to find no key')
    assert 'keys: No such file' in r.log() and 'in 30000 ms, and until that is mended' in r.log(), r.log()
    time.sleep(0.5)
    assert r.answers() and r.log().count('No such file') == 1 and not [p for p in descendants() if command_line(p)[:1] == [b'hira-relay']], r.log()


# ---- tenants ----

@test
def the_proven_name_picks_the_tenant(place):
    conf = place.path('hirad.conf', 'tenant team {\n  peers = {"alice"}\n  calls = 1000\n}\ndefault {\n  refuse = true\n}\n')
    r = place.router('--config', conf, '--psk', place.path('keys', f'alice:{KEY}\nbob:{OTHER}\n'))
    place.same(r.port, 'scalars/widths', keys=('--psk', place.path('mine', f'alice:{KEY}\n')))
    names = subprocess.run([HIRA, 'tenant', 'list', '--socket', r.path], stdout=subprocess.PIPE, text=True, env=place.env).stdout
    assert 'team' in names, names
    place.refused(r.port, 'bob is no tenant', keys=('--psk', place.path('his', f'bob:{OTHER}\n')))


@test
def nobody_else_speaks_for_others(place):
    """Only hirad's own user, and no server of its: here it is a message at the wrong time."""
    r = place.router('--plain')
    behalf = struct.pack('<IHHII32s64s', 0x41524948, 1, BEHALF, 112, 0, b'../x', b'here')
    assert 'speaks for somebody else' in str(refused(r.path, behalf))


# ---- networks that fail ----

@test
def nobody_there(place):
    with socket.create_server(('127.0.0.1', 0)) as s:
        port = s.getsockname()[1]
    place.refused(port, 'Connection refused')


@test
def somebody_else_there(place):
    with socket.create_server(('127.0.0.1', 0)) as s:
        def speak():
            while True:
                try:
                    c, _ = s.accept()
                except OSError:
                    return
                c.sendall(b'220 mail.example ESMTP\r\n' + b' ' * 200)
                time.sleep(0.1)
                c.close()
        threading.Thread(target=speak, daemon=True).start()
        place.refused(s.getsockname()[1], 'somebody else than Hira')


@test
def only_this_machine_without_encryption(place):
    p = subprocess.run([RELAY, '--listen', '0.0.0.0:0', '--plain', '--socket', place.path('x')], stderr=subprocess.PIPE, text=True, timeout=10)
    assert p.returncode == 2 and 'without encryption only addresses of this machine' in p.stderr, p.stderr
    p = subprocess.run([RELAY, '--listen', '127.0.0.1:0', '--socket', place.path('x')], stderr=subprocess.PIPE, text=True, timeout=10)
    assert p.returncode == 2 and 'connections are encrypted' in p.stderr, p.stderr


def cut_often(place, name, every, times, keys=('--plain',), args=('--plain',)):
    r = place.router(*args)
    proxy = Proxy(r.port)
    try:
        over = threading.Event()

        def cut():
            wait_for(lambda: r.status()['guests'], 'the guest to be served')
            for _ in range(times):
                if over.wait(every):
                    return
                proxy.cut(age=0.1)
        t = threading.Thread(target=cut)
        t.start()
        place.same(proxy.port, name, keys=keys, timeout=120)
        over.set()
        t.join()
        return proxy.accepted
    finally:
        proxy.close()


@test
def a_session_outlives_its_connection(place):
    n = cut_often(place, 'memory/again_and_again', 0.15, 5)
    assert n > 2, n


@test
def a_session_outlives_its_connection_over_tls(place):
    psk = place.path('keys', f'alice:{KEY}\n')
    n = cut_often(place, 'memory/again_and_again', 0.2, 5, ('--psk', psk), ('--psk', psk))
    assert n > 2, n


@test
def a_session_s_name_is_of_no_use(place):
    """Who has seen it on the way, without the key, neither gets a session nor ends its connection; on the host it cannot be seen."""
    psk = place.path('keys', f'alice:{KEY}\n')
    r = place.router('--psk', psk)
    proxy = Proxy(r.port)
    over, tried = threading.Event(), []

    def disturb():
        wait_for(lambda: r.status()['guests'], 'the guest to be served')
        time.sleep(0.3)
        proxy.cut(age=0.1)
        wait_for(lambda: len(proxy.began) > 1, 'the next connection')
        preface = proxy.began[1][:128]
        name = preface[16:32]
        assert any(name) and name.hex() not in open('/proc/net/unix').read(), preface
        before = proxy.accepted
        while not over.wait(0.05):
            with socket.create_connection(('127.0.0.1', r.port)) as s:
                s.sendall(preface)
                time.sleep(0.05)
                tried.append(proxy.accepted - before)
    t = threading.Thread(target=disturb)
    t.start()
    place.same(proxy.port, 'memory/again_and_again', keys=('--psk', psk), timeout=120)
    over.set()
    t.join()
    proxy.close()
    assert tried and tried[-1] <= 1, tried


@test
def silent_programs(place):
    """A relay's place is not for who says nothing."""
    p = subprocess.Popen([RELAY, '--on', '127.0.0.1:1', '--plain', '--socket', place.path('relay.sock')], stderr=subprocess.PIPE, text=True)
    try:
        assert 'listens on' in p.stderr.readline()
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as s:
            s.connect(place.path('relay.sock'))
            s.settimeout(15)
            assert s.recv(1) == b''
    finally:
        p.terminate()
        p.wait(10)


@test
def cut_for_a_while(place):
    r = place.router('--plain')
    proxy = Proxy(r.port)

    def cut():
        wait_for(lambda: r.status()['guests'], 'the guest to be served')
        time.sleep(0.2)
        proxy.cut(10 if SOAK else 2)
    t = threading.Thread(target=cut)
    t.start()
    place.same(proxy.port, 'memory/again_and_again', timeout=120)
    t.join()
    proxy.close()


@test
def far_away(place):
    r = place.router('--plain')
    proxy = Proxy(r.port, delay=0.015)
    place.same(proxy.port, 'commands/nonblocking')
    proxy.close()


# ---- a network that is emulated ----

def emulated(place, port, network, name, **kw):
    return place.same(port, name, keys=('--plain', '--network', network), **kw)


@test
def an_emulated_network_holds_frames_back(place):
    """Each way as long as was asked for, as much a second as was asked for; the same answers."""
    r = place.router('--plain')
    times = {}
    for network in ('delay=0ms', 'delay=30ms,jitter=2ms', 'delay=10ms,rate=100Mbit'):
        start = time.time()
        emulated(place, r.port, network, 'commands/nonblocking', timeout=120)
        times[network] = time.time() - start
    assert times['delay=30ms,jitter=2ms'] > times['delay=0ms'] + 0.3, times


@test
def an_emulated_network_below_tls(place):
    psk = place.path('keys', f'alice:{KEY}\n')
    r = place.router('--psk', psk)
    place.same(r.port, 'commands/nonblocking', keys=('--psk', psk, '--network', 'delay=5ms,jitter=5ms'))


@test
def an_emulated_network_is_cut_now_and_then(place):
    r = place.router('--plain')
    start = time.time()
    emulated(place, r.port, 'delay=1ms,cut=300ms/1s', 'memory/again_and_again', timeout=120)
    assert r.log().count('the connection is lost') >= min(2, int(time.time() - start - 1)), r.log()


@test
def bulk_data_is_compressed_where_it_pays(place):
    """672 MiB that compress well, there, and 160 back, over a slow network: a fraction of that travels."""
    r = place.router('--plain')
    native = subprocess.run([NULL + '/null-native', 'threads/both_ways'], stdout=subprocess.PIPE, text=True, env=place.env)
    count, door = place.path('count', ''), place.path('relay.sock')
    p = subprocess.Popen([RELAY, '--on', '127.0.0.1:%d' % r.port, '--plain', '--socket', door, '--count', count, '--network', 'rate=1Gbit'], stderr=subprocess.PIPE, text=True)
    try:
        assert 'listens on' in p.stderr.readline()
        out = subprocess.run([NULL + '/null-hira', 'threads/both_ways'], stdout=subprocess.PIPE, text=True, env=dict(place.env, HIRA_SOCKET=door, LD_LIBRARY_PATH=NULL), timeout=100)
        assert (out.returncode, out.stdout) == (0, native.stdout), out
        wait_for(lambda: open(count).read().endswith('\n'), 'the count')
        counts = json.load(open(count))
        assert counts['sent'] < 200e6 and counts['received'] < 200e6, counts
    finally:
        p.terminate()
        p.wait(20)


@test
def networks_that_make_no_sense(place):
    for network, words in (('delay=30', 'a duration is a number'), ('rate=100MB', 'a rate is a number and kbit'), ('cut=10s', 'how often'), ('cut=10s/5s', 'how often'),
                           ('speed=3', 'are known'), ('delay', 'are known'), ('delay=-1ms', 'a duration'), ('delay=1e3ms', 'a duration'), ('rate=0Mbit', 'a rate')):
        p = subprocess.run([HIRA, 'run', '--on', '127.0.0.1:1', '--plain', '--network', network, '--lib-dir', NULL, '--api', 'null', 'true'],
                           stderr=subprocess.PIPE, text=True, env=place.env)
        assert p.returncode == 125 and '--network: ' in p.stderr and words in p.stderr, (network, p.stderr)


# ---- how long it would take ----

def predicted(place, delay, rate, *program):
    p = subprocess.run([HIRA, 'predict', '--json', '--delay', delay, '--rate', rate, '--', '--lib-dir', NULL, '--server-dir', NULL, '--api', 'null', *program],
                       env=dict(place.env, LD_LIBRARY_PATH=NULL), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, timeout=120)
    assert p.returncode == 0, p.stderr
    return json.loads(p.stderr.splitlines()[-1])


@test
def predictions_come_true(place):
    """Beside a network that is emulated; within a quarter, for what takes a second or more."""
    r = place.router('--plain')
    wrong = []
    for name, delay, rate in (('commands/nonblocking', '30ms', '100Mbit'), ('commands/nonblocking', '5ms', '50Mbit'), ('callbacks/notify', '60ms', '1Gbit'),
                              ('objects/buffers', '50ms', '1Gbit'), ('memory/again_and_again', '20ms', '1Gbit')):
        program = NULL + '/null-hira', name
        expected = predicted(place, delay, rate, *program)
        start = time.time()
        emulated(place, r.port, f'delay={delay},rate={rate}', name, timeout=120)
        took = time.time() - start
        off = expected['seconds_expected'] / took - 1
        print(f"# {name} at {delay}, {rate}: here {expected['seconds_here']:.2f} s, {expected['rounds']:.1f} round trips, expected "
              f"{expected['seconds_expected']:.2f} s, took {took:.2f} s, {100 * off:+.0f} %", flush=True)
        if took >= 1 and abs(off) > 0.25:
            wrong.append(name)
    assert not wrong, wrong


# ---- hosts by name, and what is wrong with the way to one ----

def doctor(place, *args, **env):
    p = subprocess.run([HIRA, 'doctor', '--json', '--api', 'null', *args], env=dict(place.env, HOME=place.base, **env), stdin=subprocess.DEVNULL,
                       stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=60)
    assert p.stdout, p.stderr
    return p.returncode, [(f['part'], f['state'], f['text'], f['next']) for f in json.loads(p.stdout)['findings']]


def hosts_file(place, text):
    os.makedirs(place.base + '/.config/hira', exist_ok=True)
    return place.path('.config/hira/hosts.conf', text)


@test
def hosts_have_names(place):
    psk = place.path('keys', f'alice:{KEY}\n')
    r = place.router('--psk', psk)
    hosts_file(place, f'# mine\nhost lab {{\n  address = "127.0.0.1"\n  port = {r.port}\n  psk = "{psk}"\n}}\n'
                      f'host "other-one" {{\n  address = "::1"\n  plain = "local"\n}}\nhost near {{\n  address = "fe80::1%eth0"\n  plain = "anywhere"\n}}\n')
    p = subprocess.run([HIRA, 'run', '--on', 'lab', '--lib-dir', NULL, '--api', 'null', '--', NULL + '/null-hira', 'scalars/widths'],
                       env=dict(place.env, HOME=place.base), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    native = subprocess.run([NULL + '/null-native', 'scalars/widths'], stdout=subprocess.PIPE, text=True)
    assert (p.returncode, p.stdout) == (0, native.stdout), p.stderr
    status, found = doctor(place, '--on', 'lab')
    assert status == 0 and [f[0] for f in found] == ['name', 'connection', 'version', 'keys', 'hirad', 'null'], found


@test
def a_name_that_no_file_has_needs_keys(place):
    path = hosts_file(place, 'host lab {\n  address = "127.0.0.1"\n  plain = "local"\n}\n')
    for name in ('lab2', 'lab:4772'):
        for verb in (['run', '--lib-dir', NULL, '--api', 'null', '--on', name, 'true'], ['doctor', '--on', name]):
            p = subprocess.run([HIRA, *verb], env=dict(place.env, HOME=place.base), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            assert p.returncode == (125 if verb[0] == 'run' else 1) and f"no host in {path} is named '{name}'; to speak to '{name}' keys are needed" in p.stdout, p
    p = subprocess.run([HIRA, 'doctor', '--on', 'lab', '--socket', '/x'], env=dict(place.env, HOME=place.base), stderr=subprocess.PIPE, text=True)
    assert p.returncode == 2 and '--socket' in p.stderr, p


@test
def mistakes_in_hosts_have_their_line(place):
    whole = 'host a {\n  address = "x"\n  plain = "local"\n}\n'
    for text, words in (('host lab {\n  address = "a b"\n}\n', ':2: address: a name or an address'),
                        ('host lab {\n  address = "192.0.2.7:4773"\n}\n', ':2: address: \'192.0.2.7:4773\' is to be written address = "192.0.2.7" and port = 4773\n'),
                        ('host lab {\n  address = "vsock:5"\n}\n', 'address = "vsock" and port = 5\n'),
                        ('host lab {\n  address = "[2001:db8::7]:4773"\n}\n', 'address = "2001:db8::7" and port = 4773\n'),
                        ('host lab {\n  address = "[::1]"\n}\n', 'is to be written address = "::1"\n'),
                        ('host lab {\n  address = "[a]:1"\n}\n', ':2: address: a name or an address'),
                        ('host lab {\n  address = "a:b"\n}\n', ':2: address: a name or an address'),
                        ('host lab {\n  address = "vsock:2:5"\n}\n', ':2: address: a name or an address'),
                        ('host lab {\n  address = "::1::2"\n}\n', ':2: address: a name or an address'),
                        ('host lab {\n  address = "a"\n  port = 70000\n}\n', ':3: port: a number from 1 to 65535'),
                        ('host lab {\n  address = "a"\n}\n', ':3: host lab: psk, or cert and key, or plain is missing'),
                        ('host lab {\n  plain = "local"\n}\n', ':3: host lab: an address is missing'),
                        ('host lab {\n  address = "a"\n  psk = "keys"\n}\n', ':3: psk: an absolute path'),
                        ('host lab {\n  address = "a"\n  psk = "/none"\n}\n', ':3: psk: /none: No such file'),
                        ('host lab {\n  address = "a"\n  plain = "yes"\n}\n', ':3: plain: local or anywhere'),
                        ('host lab {\n  adress = "a"\n}\n', ":2: no such option 'adress'"),
                        (whole + whole, "found duplicate title 'a'"),
                        ('host lab {\n  address = "${HOME}"\n}\n', 'variables of the environment'),
                        (whole + 'host "../x" {\n  address = "a"\n  plain = "local"\n}\n', ':8: host ?: its name may have'),
                        ('host lab {\n  address = "a"\n  plain = "local"\n  ca = "/dev/null"\n}\n', ':5: host lab: plain connections have no keys')):
        path = hosts_file(place, text)
        p = subprocess.run([HIRA, 'run', '--on', 'lab', '--lib-dir', NULL, '--api', 'null', 'true'], env=dict(place.env, HOME=place.base),
                           stderr=subprocess.PIPE, text=True)
        assert p.returncode == 125 and path in p.stderr and words in p.stderr, (text, p.returncode, p.stderr)
        assert doctor(place, '--on', 'lab')[1][0][:2] == ('hosts.conf', 'fail')
    os.unlink(path)
    p = subprocess.run([HIRA, 'run', '--on', 'lab', '--lib-dir', NULL, '--api', 'null', 'true'], env=dict(place.env, HIRA_HOSTS='/none'), stderr=subprocess.PIPE,
                       text=True)
    assert p.returncode == 125 and '/none: No such file' in p.stderr, p.stderr


@test
def the_doctor_names_the_hop(place):
    """What is wrong is the last line, with what to do; the hops before are well."""
    psk = place.path('keys', f'alice:{KEY}\n')
    r = place.router('--psk', psk)
    here = f'127.0.0.1:{r.port}'

    def fails_at(hop, word, *args):
        status, found = doctor(place, *args)
        assert status == 1 and found[-1][:2] == (hop, 'fail') and word in found[-1][2] and found[-1][3], (args, found)
        assert all(state == 'ok' for _, state, _, _ in found[:-1]), found
    with socket.create_server(('127.0.0.1', 0)) as s:
        closed = s.getsockname()[1]
    status, found = doctor(place, '--on', here, '--psk', psk)
    assert status == 0 and found[-1][:2] == ('null', 'ok'), found
    fails_at('name', 'no.such.invalid', '--on', 'no.such.invalid', '--psk', psk)
    fails_at('connection', 'refused', '--on', f'127.0.0.1:{closed}', '--psk', psk)
    fails_at('version', 'TLS only', '--on', here, '--plain')
    fails_at('keys', 'TLS: ', '--on', here, '--psk', place.path('his', f'alice:{OTHER}\n'))
    fails_at('keys here', 'not NAME:KEY', '--on', here, '--psk', place.path('bad', 'nothing\n'))
    fails_at('nothing', 'nothing', '--api', 'nothing', '--on', here, '--psk', psk)
    alone = subprocess.Popen([RELAY, '--listen', '127.0.0.1:0', '--plain', '--socket', place.path('nobody.sock')], stderr=subprocess.PIPE, text=True)
    port = alone.stderr.readline().split()[-1]
    fails_at('hirad', 'no hirad answers', '--on', f'127.0.0.1:{port}', '--plain')
    alone.terminate()
    alone.wait(5)


@test
def the_doctor_takes_the_library_that_is_named(place):
    """As hira run does: it is the first hop, and its API, by the folder's name, the one to ask for."""
    r = place.router('--plain')
    here, empty = ('--on', f'127.0.0.1:{r.port}', '--plain'), place.base + '/empty'
    named = place.base + '/lib/hira/null'
    os.makedirs(empty)
    os.makedirs(os.path.dirname(named))
    os.symlink(NULL, place.base + '/elsewhere')
    os.makedirs(named)
    os.symlink(NULL + '/libnull.so.1', named + '/libnull.so.1')

    def parts(*args, api=()):
        env = {k: v for k, v in place.env.items() if k != 'LD_LIBRARY_PATH'}  # meson's has Hira's library, which doctor would tell of
        p = subprocess.run([HIRA, 'doctor', '--json', *api, *here, *args], env=dict(env, HOME=place.base), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                           stderr=subprocess.PIPE, text=True, timeout=60)
        return p.returncode, [(f['part'], f['state'], f['text']) for f in json.loads(p.stdout)['findings']]
    status, found = parts('--lib-dir', NULL, api=('--api', 'null'))
    assert status == 0 and found[0] == ('null: guest library', 'ok', os.path.realpath(NULL) + '/libnull.so.1') and found[-1][:2] == ('null', 'ok'), found
    assert found[1][0] == 'null: loader' and 'hira run' in found[1][2] and found[2][0] == 'name', found
    status, found = parts('--lib-dir', named)
    assert status == 0 and found[0][:2] == ('null: guest library', 'ok') and found[-1][:2] == ('null', 'ok'), found
    assert not [f for f in found if 'opencl' in f[0]], found
    status, found = parts('--lib-dir', place.base + '/elsewhere')
    assert status == 0 and found[0][:2] == ('programs: guest library', 'ok') and found[-1][:2] == ('device', 'warn'), found
    for folder in (empty, '/none'):
        status, found = parts('--lib-dir', folder, api=('--api', 'null'))
        assert status == 1 and found == [('null: guest library', 'fail', 'not found in ' + folder)], found


# ---- two hosts ----

def on_two_hosts(place, hosts, *args):
    """hirad on the first of them."""
    program = place.path('hirad', '#!/bin/sh\nexec ' + ' '.join(hosts.inside(0, BUILD + '/src/router/hirad')) + ' "$@"\n')
    os.chmod(program, 0o700)
    # Where the last words are lost with a connection the server goes after that time; a cable is out for less.
    r = Router(program, place.base, NULL, '--listen', FIRST + ':0', '--grace', '13' if SOAK else '5', *args, env=dict(place.env, LD_LIBRARY_PATH=NULL))
    place.routers.append(r)
    wait_for(lambda: 'come by port' in r.log() or r.p.poll() is not None, 'hirad to listen for other hosts')
    r.port = int(re.findall(r'come by port (\d+)', r.log())[-1])
    return r


def same_from_the_other(place, hosts, r, name, *options, timeout=120):
    """What a program on the second host prints is what it prints natively. Seconds."""
    native = subprocess.run([NULL + '/null-native', name], stdout=subprocess.PIPE, text=True, env=place.env)
    start = time.time()
    p = subprocess.run(hosts.inside(1, HIRA, 'run', '--on', f'{FIRST}:{r.port}', *options, '--lib-dir', NULL, '--api', 'null', '--',
                                    NULL + '/null-hira', name), env=dict(place.env, HIRA_DEBUG='1'), stdin=subprocess.DEVNULL,
                       stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=timeout)
    assert (p.returncode, p.stdout) == (native.returncode, native.stdout), (name, p.returncode, p.stderr, p.stdout[-500:])
    return time.time() - start


def two_hosts(f):
    """A test of two hosts, without encryption and with."""
    def of_plain(place):
        hosts = Hosts()
        try:
            f(place, hosts, on_two_hosts(place, hosts, '--plain=anywhere'), ('--plain=anywhere',))
            for r in place.routers:
                r.stop()
        finally:
            hosts.close()

    def of_tls(place):
        hosts = Hosts()
        try:
            psk = ('--psk', place.path('keys', f'alice:{KEY}\n'))
            f(place, hosts, on_two_hosts(place, hosts, *psk), psk)
            for r in place.routers:
                r.stop()
        finally:
            hosts.close()
    of_plain.__name__, of_tls.__name__ = f.__name__, f.__name__ + '_over_tls'
    TESTS.extend((of_plain, of_tls))


@two_hosts
def two_hosts_give_the_same_answers(place, hosts, r, keys):
    for name in ('scalars/widths', 'commands/nonblocking', 'callbacks/notify', 'memory/lists', 'threads/message_passing'):
        same_from_the_other(place, hosts, r, name, *keys)


@two_hosts
def the_cable_is_pulled(place, hosts, r, keys):
    seconds = 10 if SOAK else 2.5

    def pull():
        wait_for(lambda: r.status()['guests'], 'the guest to be served')
        time.sleep(0.1)
        hosts.pull(seconds)
    t = threading.Thread(target=pull)
    t.start()
    took = same_from_the_other(place, hosts, r, 'memory/again_and_again', *keys)
    t.join()
    print(f'# {took:.1f} s, of which the cable was out for {seconds:g}', flush=True)
    assert took > seconds


def stretched(hosts, delay, loss):
    """The cable is so many seconds long each way, and that share of its frames is lost: which ones, HIRA_SEED says."""
    seed = int(os.environ.get('HIRA_SEED') or (random.randrange(1 << 30) if SOAK else 4772))
    hosts.stretch(delay, loss, seed)
    rtt = hosts.round_trip()
    print(f'# seed {seed}: {1000 * rtt:.1f} ms there and back', flush=True)
    assert rtt >= 2 * delay, rtt


def some_were_lost(hosts):
    ways = hosts.cable.counts()
    for (forwarded, lost), to in zip(ways, ('guest', 'accelerator')):
        print(f'# {lost} frames of {forwarded + lost} to the {to} lost', flush=True)
    assert sum(lost for _, lost in ways) > 0, ways


@two_hosts
def a_long_and_lossy_cable(place, hosts, r, keys):
    """30 ms there and back, one packet in a hundred lost."""
    stretched(hosts, 0.015, 0.01)
    for name in ('structs/arrays', 'structs/many_unions', 'callbacks/notify', 'memory/lists') + (('commands/nonblocking',) if SOAK else ()):
        took = same_from_the_other(place, hosts, r, name, *keys)
        print(f'# {name}: {took:.1f} s', flush=True)
    some_were_lost(hosts)


@two_hosts
def bulk_data_over_a_lossy_cable(place, hosts, r, keys):
    """32 MiB there and back, one packet in two hundred lost, and the connection now and then: a session goes on in the midst of what TCP
    sends again. The cable is short, as half a megabyte a second is all that Reno has of the long one."""
    stretched(hosts, 0.001, 0.005)
    took = same_from_the_other(place, hosts, r, 'memory/both', *keys, '--network', 'delay=0ms,cut=100ms/2s')
    some_were_lost(hosts)
    lost = r.log().count('the connection is lost')
    print(f'# {took:.1f} s, {lost} connections lost', flush=True)
    assert lost > 0


# ---- cut in the middle of work ----

def calls_served(place, r):
    text = subprocess.run([HIRA, 'tenant', 'list', '--json', '--socket', r.path], stdout=subprocess.PIPE, text=True, env=place.env).stdout
    return sum(t['calls'] for t in json.loads(text)['tenants'])


WORK = ('memory/again_and_again', 'commands/nonblocking', 'commands/blocking', 'commands/chains', 'callbacks/in_order')


def run_counted(place, r, near, name, cut=None):
    """A run by a relay: what it counted, and how many calls were served. `cut` watches, beside."""
    before, lines = calls_served(place, r), open(near['count']).read().count('\n')
    native = subprocess.run([NULL + '/null-native', name], stdout=subprocess.PIPE, text=True, env=place.env)
    over = threading.Event()
    t = threading.Thread(target=cut or (lambda over: None), args=(over,))
    t.start()
    p = subprocess.run([NULL + '/null-hira', name], env=dict(place.env, HIRA_SOCKET=near['socket'], HIRA_DEBUG='1', LD_LIBRARY_PATH=NULL), stdin=subprocess.DEVNULL,
                       stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=60)
    over.set()
    t.join()
    assert (p.returncode, p.stdout) == (native.returncode, native.stdout), (name, p.returncode, p.stderr, p.stdout[-500:])
    wait_for(lambda: open(near['count']).read().count('\n') == lines + 1, 'the relay to end')
    counted = json.loads(open(near['count']).read().splitlines()[-1])
    wait_for(lambda: not r.status()['guests'], 'its server to end')
    return counted, calls_served(place, r) - before


def cut_often_in_the_middle(place, name, times, seconds, draw):
    """Runs of a program, each of whose connection is cut somewhere for so long: how many needed another."""
    # Where the last words are lost the server goes when the grace is over.
    r = place.router('--plain', '--grace', str(seconds + 3))
    proxy = Proxy(r.port, rate=300e6)
    near = {'socket': place.path('near.sock'), 'count': place.path('count', '')}
    relay = subprocess.Popen([RELAY, '--on', '127.0.0.1:%d' % proxy.port, '--plain', '--socket', near['socket'], '--count', near['count']],
                             stderr=subprocess.PIPE, env=place.env, text=True)
    relay.stderr.readline()
    whole, _ = run_counted(place, r, near, name)
    cuts = 0
    for i in range(times):
        at = proxy.carried + draw.random() * 0.9 * (whole['sent'] + whole['received'])

        def cut(over):
            while proxy.carried < at and not over.is_set():
                time.sleep(0.0002)
            proxy.cut(seconds)
        counted, served = run_counted(place, r, near, name, cut)
        cuts += counted['connections'] > 1
        # What no call of the guest's waits for any more when it ends need not be served: only what all wait for is served to the last.
        assert served == counted['calls'] or (counted['waits'] < counted['calls'] and 0 < counted['calls'] - served < 16), (i, name, served, counted)
    relay.terminate()
    relay.wait(5)
    proxy.close()
    return cuts


@test
def cut_in_the_middle_of_work(place):
    """The same results, and each call that the guest made is served, once. The long form cuts for ten seconds, five programs beside each other."""
    n, seconds = (100, 10) if SOAK else (5, 0)
    draw = random.Random(4772)
    cuts, problems = [], []

    def of_one(name, draw):
        mine = Place(place.path(name.replace('/', '-')))
        os.mkdir(mine.base)
        try:
            cuts.append(cut_often_in_the_middle(mine, name, n // len(WORK), seconds, draw))
        except BaseException as e:
            problems.append((name, repr(e)))
        place.routers.extend(mine.routers)
    threads = [threading.Thread(target=of_one, args=(name, random.Random(draw.random()))) for name in WORK]
    for t in threads:
        t.start()
        if not SOAK:
            t.join()
    for t in threads:
        t.join()
    assert not problems, problems
    print(f'# {n} runs of {n}, of which {sum(cuts)} went on by another connection', flush=True)
    assert sum(cuts) > n / 2, cuts


# ---- peers that break rules ----

SESSION, ACK, BYE, CONTROL, RECORD, DATA, CELL, REPLY, PROGRESS = range(1, 10)


def preface(magic=0x4e524948, version=3, protocol=1, security=0, session=bytes(16)):
    return struct.pack('<IHHHHI16s96s', magic, version, protocol, security, 0, 0, session, b'')


class Peer:
    """A relay that says what it likes."""

    def __init__(self, port, first=None):
        self.s = socket.create_connection(('127.0.0.1', port), timeout=15)
        self.number = 0
        if first is not None:
            self.s.sendall(first)

    def answer(self):
        """The host's preface: error, sentence."""
        data = self.exactly(128)
        return struct.unpack_from('<H', data, 10)[0], data[32:].split(b'\0')[0].decode()

    def exactly(self, n):
        data = b''
        while len(data) < n:
            more = self.s.recv(n - len(data))
            if not more:
                raise EOFError
            data += more
        return data

    def frame(self, type, payload=b'', lane=0, argument=0, number=None, received=0, size=None):
        self.number += number is None and type not in (SESSION, ACK)
        n = number if number is not None else 0 if type in (SESSION, ACK) else self.number
        self.s.sendall(struct.pack('<IHHQQQ', len(payload) if size is None else size, type, lane, n, received, argument) + payload)

    def begin(self):
        self.s.sendall(preface())
        assert self.answer()[0] == 0
        self.frame(SESSION, bytes(16))
        self.exactly(48)

    def closed(self):
        try:
            while self.s.recv(65536):
                pass
        except ConnectionError:
            pass
        return True

    def close(self):
        self.s.close()


@test
def other_versions_are_told_so(place):
    r = place.router('--plain')
    for what, word in ((preface(version=7), "version 3.1 of Hira's protocol, the guest's side 7.1"), (preface(protocol=9), 'side 3.9'),
                       (preface(magic=1), "not Hira's"), (preface(security=1), 'without encryption only'), (preface(session=b'x' * 16), 'session is over')):
        p = Peer(r.port, what)
        error, text = p.answer()
        assert error and word in text, (error, text)
        assert p.closed()
    place.same(r.port, 'scalars/widths')


@test
def broken_rules_end_the_session_and_nobody_elses(place):
    r = place.router('--plain')
    honest = subprocess.Popen(place.command(r.port, NULL + '/null-hira', 'memory/again_and_again'), env=place.env, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, text=True)
    def lane(p):
        p.frame(CONTROL, hello(b'null'))
        p.exactly(32 + 40)  # WELCOME, of no functions
        p.frame(CONTROL, struct.pack('<IHHIIIIQ', 0x41524948, 1, 4, 32, 0, 0, 0, 0))
        p.exactly(32 + 32)
    record = struct.pack('<QIHH', 0, 16, 0xfffe, 0)
    breaches = [
        lambda p: p.frame(99),
        lambda p: p.frame(CONTROL, b'x' * 100, number=5),
        lambda p: p.frame(CONTROL, size=1 << 31),
        lambda p: p.frame(CONTROL, b'x' * 100),
        lambda p: p.frame(SESSION, bytes(16)),
        lambda p: p.frame(ACK, received=12345),
        lambda p: p.frame(DATA, b'x' * 4096, argument=1 << 40),
        lambda p: p.frame(RECORD, record, lane=3),
        lambda p: (lane(p), p.frame(RECORD, record, argument=1 << 60)),
        lambda p: (lane(p), p.frame(RECORD, struct.pack('<QQ', 1 << 50, 1 << 63 | 100) + record, argument=1)),
        lambda p: (lane(p), p.frame(RECORD, struct.pack('<QQ', 0, 1 << 61 | 100) + record, argument=1)),
        lambda p: (lane(p), p.frame(RECORD, record + bytes(8192 + 512))),
        lambda p: (lane(p), p.frame(CELL, lane=1, argument=64)),
        lambda p: (lane(p), p.frame(REPLY, bytes(32), argument=1)),
        lambda p: (lane(p), p.frame(PROGRESS, bytes(16), lane=0xffff)),
        lambda p: (lane(p), p.frame(RECORD, struct.pack('<QIHH', 0, 16, 77, 0xffff))),
        lambda p: (p.frame(CONTROL, hello(b'null')), p.exactly(72), [p.frame(CONTROL, hello(b'null')) for _ in range(3)]),
    ]
    for i, breach in enumerate(breaches):
        p = Peer(r.port)
        p.begin()
        breach(p)
        try:
            assert p.closed(), i
        except socket.timeout:
            assert False, 'breach %d is not noticed' % i
        p.close()
    honest.wait(60)
    assert honest.returncode == 0
    place.same(r.port, 'scalars/widths')


@test
def silent_ones_make_room(place):
    r = place.router('--plain')
    silent = [Peer(r.port) for _ in range(80)]
    drip = Peer(r.port, preface()[:20])
    place.same(r.port, 'scalars/widths')
    assert silent[0].closed()
    for p in silent + [drip]:
        p.close()


@test
def slow_ones_run_out_of_time(place):
    r = place.router('--plain')
    p, start = Peer(r.port), time.time()
    for byte in preface()[:-1]:
        try:
            p.s.sendall(bytes([byte]))
        except OSError:
            break
        time.sleep(0.15)
    assert p.closed() and time.time() - start < 25
    place.same(r.port, 'scalars/widths')


# ---- ends ----

@test
def the_guest_is_killed(place):
    r = place.router('--plain')
    p = subprocess.Popen(place.command(r.port, NULL + '/null-hira', 'memory/again_and_again'), env=place.env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    wait_for(lambda: r.status()['guests'], 'the guest to be served')
    p.send_signal(signal.SIGKILL)
    p.wait()
    wait_for(lambda: not r.status()['guests'], 'its server to end')


@test
def the_server_is_killed(place):
    r = place.router('--plain')
    p = subprocess.Popen(place.command(r.port, NULL + '/null-hira', 'memory/again_and_again'), env=place.env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    wait_for(lambda: r.status()['guests'], 'the guest to be served')
    subprocess.run([HIRA, 'kill', '--socket', r.path, 'all'], env=place.env, stdout=subprocess.DEVNULL)
    p.wait(20)


LOST = '''
import ctypes
lib, filled, n = ctypes.CDLL('libnull.so.1'), ctypes.c_uint32(), 12000000
lib.nullNop()
for k in range(60):
    data = (ctypes.c_uint16 * n)()
    status = lib.nullPattern(data, n, ctypes.byref(filled))
    if status:
        print('failed', k, status)
        break
    assert filled.value == n - n // 3 and data[filled.value - 1] == (filled.value - 1) * 7 % 65536, k
'''


@test
def what_has_not_come_is_no_success(place):
    """The server goes while what a call has written is on its way, behind the reply."""
    r = place.router('--plain')
    for i in range(4):
        proxy = Proxy(r.port, rate=20e6 * (1 + i))
        p = subprocess.Popen(place.command(proxy.port, sys.executable, '-c', LOST), env=dict(place.env, LD_LIBRARY_PATH=NULL), stdin=subprocess.DEVNULL,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        wait_for(lambda: proxy.carried > (6 + 5 * i) * 1000000, 'some of it to come')
        subprocess.run([HIRA, 'kill', '--socket', r.path, 'all'], env=place.env, check=True, stdout=subprocess.DEVNULL)
        out, errors = p.communicate(timeout=60)
        assert re.fullmatch(r'failed \d+ -10\n', out), (i, out, errors)
        proxy.close()


@test
def hirad_is_replaced(place):
    r = place.router('--plain')
    p = subprocess.Popen(place.command(r.port, NULL + '/null-hira', 'memory/again_and_again'), env=place.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    wait_for(lambda: r.status()['guests'], 'the guest to be served')
    r.stop()
    place.router('--plain', port=r.port)
    p.communicate(timeout=60)
    assert p.returncode == 0


@test
def the_network_is_gone_for_good(place):
    """The application's calls return its API's error, within the grace time and a little."""
    r = place.router('--plain', '--grace', '1')
    proxy = Proxy(r.port)
    near = subprocess.Popen([RELAY, '--on', '127.0.0.1:%d' % proxy.port, '--plain', '--grace', '1', '--socket', place.path('near.sock')],
                            stderr=subprocess.PIPE, env=place.env, text=True)
    near.stderr.readline()
    p = subprocess.Popen([NULL + '/null-hira', 'memory/again_and_again'], env=dict(place.env, HIRA_SOCKET=place.path('near.sock'), LD_LIBRARY_PATH=NULL),
                         stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for(lambda: r.status()['guests'], 'the guest to be served')
    proxy.down = True
    proxy.cut()
    p.wait(20)
    wait_for(lambda: not r.status()['guests'], 'its server to end')
    near.terminate()
    near.wait(5)
    proxy.close()


# ---- channels of the host's own ----

class Relay:
    """One that listens on a unix socket, as for a virtual machine whose bridge forwards there."""

    def __init__(self, place, name, *args):
        self.path, self.log_path = f'{place.base}/{name}.sock', f'{place.base}/{name}.log'
        with open(self.log_path, 'ab') as log:
            self.p = subprocess.Popen([RELAY, '--listen', 'unix:' + self.path, *args], stdin=subprocess.DEVNULL, stderr=log)
        place.routers.append(self)
        wait_for(lambda: 'listens on' in self.log() or self.p.poll() is not None, 'the relay to listen')
        assert self.p.poll() is None, self.log()

    def log(self):
        with open(self.log_path) as f:
            return f.read()

    def stop(self):
        self.p.terminate()
        return self.p.wait(10)


def over(place, where, name, **more):
    """A test of the null API prints what it prints natively."""
    native = subprocess.run([NULL + '/null-native', name], stdout=subprocess.PIPE, env=place.env)
    p = subprocess.run([HIRA, 'run', '--on', where, '--lib-dir', NULL, '--api', 'null', '--', NULL + '/null-hira', name], env=place.env, stdin=subprocess.DEVNULL,
                       stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60, **more)
    assert (p.returncode, p.stdout) == (native.returncode, native.stdout), (name, p.returncode, p.stderr, p.stdout[-500:])


@test
def over_a_unix_socket(place):
    """Which is its user's alone, is replaced when nobody listens, and removed at the end; without keys."""
    r = place.router('--plain')
    relay = Relay(place, 'relay', '--socket', r.path, '--machine', '9')
    assert os.stat(relay.path).st_mode & 0o777 == 0o600
    for name in ('structs/nested', 'commands/chains', 'threads/unblocking'):
        over(place, 'unix:' + relay.path, name)
    assert 'from machine 9 comes' in r.log(), r.log()
    p = subprocess.run([RELAY, '--listen', 'unix:' + relay.path], capture_output=True, text=True, timeout=10)
    assert p.returncode == 1 and 'in use' in p.stderr, p
    relay.p.kill()
    relay.p.wait()
    os.rename(relay.log_path, relay.log_path + '.1')
    relay = Relay(place, 'relay', '--socket', r.path)
    over(place, 'unix:' + relay.path, 'structs/nested')
    assert relay.stop() == 0 and not os.path.exists(relay.path)
    file = place.path('file', 'kept')
    for words, status in ((['--listen', 'unix:relative'], 2), (['--listen', 'unix:' + file], 1), (['--listen', 'vsock:x'], 2), (['--listen', 'vsock:1:2:3'], 2),
                          (['--listen', 'vsock', '--psk', '/x'], 2), (['--listen', 'vsock', '--machine', '2'], 2), (['--on', 'vsock:4294967295', '--socket', '/x'], 2)):
        p = subprocess.run([RELAY, *words], capture_output=True, text=True, timeout=10)
        assert p.returncode == status and p.stderr and not p.stdout, (words, p)
    assert os.path.exists(file)


@test
def over_a_unix_socket_nothing_is_waited_for(place):
    """Who has gone is a machine that was ended: its servers end at once."""
    r = place.router('--plain')
    relay = Relay(place, 'relay', '--socket', r.path, '--machine', '9')
    c = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    proxy = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    proxy.bind(place.base + '/proxy')
    proxy.listen(1)
    p = subprocess.Popen([HIRA, 'run', '--on', f'unix:{place.base}/proxy', '--lib-dir', NULL, '--api', 'null', '--', NULL + '/null-hira', 'memory/again_and_again'], env=place.env,
                         stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    near = proxy.accept()[0]
    c.connect(relay.path)

    def pump(a, b):
        try:
            while data := a.recv(1 << 16):
                b.sendall(data)
        except OSError:
            pass
    for a, b in ((near, c), (c, near)):
        threading.Thread(target=pump, args=(a, b), daemon=True).start()
    wait_for(lambda: r.status()['guests'], 'the program to be served')
    for s in (near, c):
        s.shutdown(socket.SHUT_RDWR)
    wait_for(lambda: not r.status()['guests'], 'its server to end', 5)
    assert 'the connection is lost' in relay.log(), 'it had ended before'
    for s in (near, c, proxy):
        s.close()
    p.kill()
    p.wait()


@test
def a_peer_that_takes_nothing_outlives_no_server(place):
    """It asks and does not read what it is told until whoever tells it waits; when the server has ended so does that, all the same."""
    r = place.router('--plain')
    relay = Relay(place, 'relay', '--socket', r.path)
    s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    s.settimeout(15)
    s.connect(relay.path)
    p = Peer.__new__(Peer)
    p.s, p.number = s, 0
    p.begin()
    p.frame(CONTROL, hello(b'null'))
    p.exactly(32 + 40)
    unread = lambda: struct.unpack('i', fcntl.ioctl(s, termios.FIONREAD, bytes(4)))[0]
    told, now, asked = -1, 0, 0
    while now > told and asked < 5000:
        p.frame(CONTROL, struct.pack('<IHHIIQQ', 0x41524948, 1, 7, 32, 0, 4096, 0))
        told, asked, end = now, asked + 1, time.time() + 2
        while (now := unread()) == told and time.time() < end:
            time.sleep(0.001)
    assert now == told and asked < 5000, (now, asked)
    child = [q for q in descendants() if stat_of(q) and stat_of(q)[1] == relay.p.pid]
    assert len(child) == 1 and alive(child[0]), child
    os.kill(r.status()['guests'][0]['server'], signal.SIGKILL)
    wait_for(lambda: not alive(child[0]), 'what waits for the peer to end', 25)
    over(place, 'unix:' + relay.path, 'scalars/widths')
    s.close()
    assert relay.stop() == 0


@test
def another_machines_session(place):
    """Is not taken over, though its name is known."""
    r = place.router('--plain')
    relays = [Relay(place, f'relay{n}', '--socket', r.path, '--machine', str(n)) for n in (7, 8)]

    def come(relay, session=bytes(16)):
        p = Peer.__new__(Peer)
        p.s, p.number = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM), 0
        p.s.settimeout(15)
        p.s.connect(relay.path)
        p.s.sendall(preface(session=session))
        return p
    first = come(relays[0])
    assert first.answer()[0] == 0
    first.frame(SESSION, bytes(16))
    session = first.exactly(48)[32:]
    other = come(relays[1], session)
    error, text = other.answer()
    assert error and 'session is over' in text, text
    again = come(relays[0], session)
    assert again.answer()[0] == 0
    for p in (first, other, again):
        p.close()


@test
def over_the_kernels_vsock(place):
    """hirad --listen vsock, as on hosts with vhost-vsock, where this machine's kernel has the loopback; tests/vm has it within a machine."""
    if not hasattr(socket, 'AF_VSOCK'):
        raise Skip('this Python has no AF_VSOCK')
    try:
        with socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM) as s, socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM) as c:
            s.bind((socket.VMADDR_CID_ANY, socket.VMADDR_PORT_ANY))
            s.listen(1)
            c.settimeout(5)
            c.connect((1, s.getsockname()[1]))
    except OSError as e:
        raise Skip(f"this kernel's vsock has no loopback: {e}") from None
    port = 47720 + os.getpid() % 1000
    r = Router(BUILD + '/src/router/hirad', place.base, NULL, '--listen', f'vsock:{port}', env=dict(place.env, LD_LIBRARY_PATH=NULL))
    place.routers.append(r)
    wait_for(lambda: 'vsock port' in r.log(), 'hirad to listen')
    for name in ('scalars/results', 'commands/chains', 'threads/unblocking'):
        over(place, f'vsock:1:{port}', name)
    assert 'machine-1 from machine 1 comes' in r.log(), r.log()


def main():
    be_subreaper()
    tests = [t for t in TESTS if t.__name__ in sys.argv[2:] or len(sys.argv) == 2]
    print(f'1..{len(tests)}', flush=True)
    return 1 if run_all(tests, Place) else 0


sys.exit(main())
