#!/usr/bin/env python3
# Programs in virtual machines (User-Mode Linux, the distribution's own kernel) with the host's device: their calls cross in memory that the
# machine shares, hira-bridge stands between. TAP.
# usage: channel.py BUILDDIR [TEST...]
# Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, '../router'))
from harness import Skip, run_all  # noqa: E402
import qemu  # noqa: E402
from wire import Router, alive, be_subreaper, status, wait_for  # noqa: E402

BUILD = os.path.abspath(sys.argv[1])
NULL, CL = BUILD + '/tests/nullapi', BUILD + '/tests/opencl'
LIBRARIES = NULL + ':' + BUILD + '/specs/opencl'
SHM = '/dev/shm' if os.path.isdir('/dev/shm') else '/tmp'
PORT, MEGABYTE = 10, 1 << 20
TESTS = []


def test(f):
    TESTS.append(f)
    return f


def needs_uml():
    if not shutil.which('linux.uml'):
        raise Skip('user-mode-linux is not installed')
    with tempfile.TemporaryDirectory() as d:
        try:
            p = subprocess.run(uml(d, 'init=/bin/echo', '--', 'up-and-about'), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120)
        except subprocess.TimeoutExpired:
            raise Skip('User-Mode Linux did not boot within two minutes') from None
    if b'up-and-about' not in p.stdout:
        raise Skip('User-Mode Linux does not run here: ' + p.stdout.decode(errors='replace').strip().split('\n')[-1][:100])


def uml(directory, *args):
    return ['linux.uml', 'mem=256M', 'root=/dev/root', 'rootfstype=hostfs', 'rootflags=/', 'ro', 'con0=null,fd:1', 'con=null', 'uml_dir=' + directory, 'quiet', *args]


class Bridge:
    def __init__(self, base, hirad, cid, slices=4, size=256, argv=None):
        self.path, self.log_path, self.cid, self.size = f'{base}/vm{cid}.sock', f'{base}/bridge{cid}.log', cid, size * MEGABYTE
        self.region = tempfile.mktemp(prefix='hira-vm-', dir=SHM)
        if argv:
            self.region = argv[argv.index('--region') + 1].split(',')[0] if '--region' in argv else None
        with open(self.log_path, 'wb') as log:  # what an earlier one of this machine said is not that this one listens
            self.p = subprocess.Popen(argv or [BUILD + '/src/bridge/hira-bridge', '--vm', self.path, '--cid', str(cid), '--hira', f'{PORT}={hirad}',
                                               '--region', f'{self.region},size={size}M,slices={slices}', '--log-level', 'debug'], stderr=log, stdin=subprocess.DEVNULL)
        wait_for(lambda: self.p.poll() is not None or 'waits for' in self.log(), 'the bridge to listen')
        assert self.p.poll() is None, self.log()

    def log(self):
        with open(self.log_path, errors='replace') as f:
            return f.read()

    def stop(self):
        self.p.terminate()
        self.p.wait(10)
        if self.region:
            os.unlink(self.region)


class Machine:
    """One that runs commands, and what it says."""

    def __init__(self, place, bridge, commands, at_once=False, argv=None, **more):
        self.said, self.results, self.raw = [], {}, ''
        self.p = subprocess.Popen(argv or self.prepare(place, bridge, commands, at_once, more), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                  start_new_session=True)
        place.machines.append(self)
        threading.Thread(target=self.listen, daemon=True).start()

    @staticmethod
    def prepare(place, bridge, commands, at_once, more):
        job = f'{place.base}/job{bridge.cid}'
        os.makedirs(f'{place.base}/uml{bridge.cid}', exist_ok=True)
        with open(job, 'w') as f:
            json.dump({'modules': '/usr/lib/uml/modules/', 'commands': commands, 'at_once': at_once, **more,
                       'env': {'HIRA_SOCKET': f'vsock:{PORT}', 'HIRA_DEBUG': '1', 'LD_LIBRARY_PATH': LIBRARIES}}, f)
        return uml(f'{place.base}/uml{bridge.cid}', f'init={HERE}/program.py', 'JOB=' + job, f'virtio_uml.device={bridge.path}:19',
                   *(['iomem=mmapper,' + bridge.region] if bridge.region else []))

    def listen(self):
        for line in self.p.stdout:
            text = line.decode(errors='replace').strip()
            self.raw += text + '\n'
            if text.startswith('guest: '):
                value = json.loads(text[7:])
                self.said.append(value)
                if isinstance(value, dict):
                    self.results[value['i']] = value

    def wait(self, seconds=150):
        wait_for(lambda: 'done' in self.said or self.p.poll() is not None, 'the machine to be done', seconds)
        assert 'done' in self.said, self.raw[-3000:]
        self.p.wait(30)
        return self.results

    def kill(self):
        if self.p.poll() is None:
            os.killpg(self.p.pid, 9)
        self.p.wait(10)


class Place:
    def __init__(self, base):
        self.base, self.routers, self.machines = base, [], []
        os.makedirs(base + '/servers')
        os.symlink(NULL + '/hira-server-null', base + '/servers/hira-server-null')
        os.symlink(BUILD + '/specs/opencl/hira-server-opencl', base + '/servers/hira-server-opencl')

    def hirad(self, *args, name='a'):
        env = dict(os.environ, LD_LIBRARY_PATH=NULL, HIRA_CACHE_DIR=self.base + '/cache')
        r = Router(BUILD + '/src/router/hirad', self.base + '/' + name, self.base + '/servers', *args, env=env)
        self.routers.append(r)
        return r

    def bridge(self, hirad, cid=4, **more):
        b = Bridge(self.base, hirad.path, cid, **more)
        self.routers.append(b)
        return b

    def close(self):
        for m in self.machines:
            m.kill()

    @property
    def clients(self):  # what is closed first, however the test ended
        return [self]


def natively(argv):
    env = dict(os.environ, LD_LIBRARY_PATH=NULL)
    p = subprocess.run(argv, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=60)
    return p.returncode, hashlib.sha256(p.stdout).hexdigest()


def hira_vm(*words):
    p = subprocess.run([BUILD + '/src/cli/hira', 'vm', *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=True, text=True)
    return p.stdout.split()


def null_commands(names):
    return [{'argv': [NULL + '/null-hira', n]} for n in names], [natively([NULL + '/null-native', n]) for n in names]


def compare(results, commands, expected):
    wrong = []
    for i, (c, (code, sha)) in enumerate(zip(commands, expected)):
        r = results.get(i)
        if not r or (r['status'], r['sha']) != (code, sha):
            wrong.append((' '.join(c['argv']), r))
    assert not wrong, wrong


NULL_PROGRAMS = ['scalars/widths', 'scalars/floats', 'scalars/results', 'scalars/many', 'structs/nested', 'structs/arrays', 'structs/returned_strings', 'memory/nulls',
                 'memory/lists', 'memory/rectangles', 'memory/maps', 'memory/partly', 'memory/reads', 'objects/queues', 'objects/buffers', 'objects/many', 'objects/streams',
                 'commands/blocking', 'commands/nonblocking', 'commands/user_events', 'commands/chains', 'threads/unblocking', 'faults/forked']


@test
def programs_of_an_api(place):
    """Calls, callbacks, events, threads and forks of a program in a machine: the same answers as natively."""
    needs_uml()
    listed = subprocess.run([NULL + '/null-native', '--list'], stdout=subprocess.PIPE, check=True, text=True).stdout.split()
    commands, expected = null_commands(NULL_PROGRAMS + [n for n in listed if n.startswith('callbacks/')][:6])
    r = place.hirad()
    m = Machine(place, place.bridge(r), commands)
    compare(m.wait(), commands, expected)
    print(f'# {len(commands)} programs, {sum(v["s"] for v in m.results.values()):.1f} s in the machine', flush=True)
    wait_for(lambda: not status(r.path)['guests'], 'all guests to be gone')


@test
def opencl_programs(place):
    """The host's device, in a machine that has none."""
    needs_uml()
    programs = [(CL + '/cl_buffer', n) for n in ('info', 'read_write', 'rect', 'map_whole', 'destructor_callbacks')] + [(CL + '/cl_kernel', 'ranges'), (CL + '/cl_event', 'callbacks')]
    programs = [p for p in programs if os.path.exists(p[0])]
    if not programs or natively(programs[0])[0] != 0:
        raise Skip('no OpenCL device here, or no conformance programs')
    programs = [p for p in programs if natively(p)[0] == 0]
    commands = [{'argv': list(p), 'env': {'LD_LIBRARY_PATH': LIBRARIES}} for p in programs]
    expected = [natively(p) for p in programs]
    clinfo = shutil.which('clinfo')
    if clinfo:
        commands.append({'argv': [clinfo, '--list']})
        expected.append(natively([clinfo, '--list']))
    m = Machine(place, place.bridge(place.hirad()), commands)
    compare(m.wait(), commands, expected)


@test
def two_programs_at_once(place):
    """Each in a slice of its own; a third waits until one is free."""
    needs_uml()
    commands, expected = null_commands(['objects/many', 'commands/chains', 'structs/nested', 'scalars/many'])
    b = place.bridge(place.hirad(), slices=2, size=64)
    m = Machine(place, b, commands, at_once=True)
    compare(m.wait(), commands, expected)


@test
def a_machine_that_is_killed(place):
    """Its servers end, and what it used is free: there is one slice only, and the next machine gets it."""
    needs_uml()
    r = place.hirad()
    b = place.bridge(r, slices=1, size=32)
    m = Machine(place, b, [{'argv': [NULL + '/null-hira', 'threads/crowd'], 'limit': 100}])
    guests = wait_for(lambda: status(r.path)['guests'], 'the program to be served', 60)
    m.kill()
    wait_for(lambda: not status(r.path)['guests'] and not alive(guests[0]['server']), 'its server to end')
    with open(b.region, 'rb') as f:
        f.seek(4096)
        wait_for(lambda: f.seek(4096) and not f.read().strip(b'\0'), 'its slice to be cleared')
    commands, expected = null_commands(['scalars/results', 'structs/nested'])
    compare(Machine(place, b, commands).wait(), commands, expected)


def served_on(place, commands, expected):
    """hirad is killed while the first of the commands runs: that notices nothing, the next ones are served by the new hirad."""
    r = place.hirad()
    m = Machine(place, place.bridge(r), [dict(commands[0], limit=100), *commands[1:]])
    server = wait_for(lambda: status(r.path)['guests'], 'the program to be served', 60)[0]['server']
    r.p.kill()
    r.p.wait()
    second = place.hirad()
    wait_for(lambda: [g for g in status(second.path)['guests'] if g['adopted'] and g['server'] == server], 'the server to be taken over')
    assert 0 not in m.results, 'it has ended too early to tell'
    compare(m.wait(), commands, expected)


@test
def hirad_begins_anew(place):
    """A program that is being served notices nothing; the next one is served by the new hirad."""
    needs_uml()
    served_on(place, *null_commands(['threads/crowd', 'scalars/results']))


@test
def a_machine_that_writes_over_its_memory(place):
    """Its own programs fail or not; another machine's, hirad and the bridge do not notice."""
    needs_uml()
    r = place.hirad()
    bad, good = place.bridge(r, cid=4, size=32, slices=2), place.bridge(r, cid=5, size=64, slices=2)
    victims, _ = null_commands(['commands/chains', 'objects/many', 'structs/returned_strings'])
    for v in victims:
        v['limit'] = 20
    enemy = Machine(place, bad, [{'scribble': ['/dev/mmapper', bad.size, 8]}, *victims], at_once=True)
    wait_for(lambda: 'up' in enemy.said, 'the machine to be up', 60)
    commands, expected = null_commands(['commands/chains', 'objects/many', 'structs/returned_strings', 'memory/maps'])
    compare(Machine(place, good, commands).wait(), commands, expected)
    enemy.wait()
    assert r.p.poll() is None and bad.p.poll() is None and good.p.poll() is None
    assert 'signal 11' not in r.log(), r.log()[-3000:]
    wait_for(lambda: not status(r.path)['guests'], 'all guests to be gone')
    commands, expected = null_commands(['scalars/results'])
    compare(Machine(place, bad, commands).wait(), commands, expected)  # and it may come again


@test
def what_hira_vm_says(place):
    """User-Mode Linux by its words; words that make no sense."""
    path, bridge = hira_vm('args', '--uml', '--name', 'x.1', '--socket', '/run/h/hirad.sock'), hira_vm('bridge', '--name', 'x.1', '--socket', '/run/h/hirad.sock')
    assert path == ['virtio_uml.device=/run/h-vm/x.1.sock:19', 'iomem=mmapper,/dev/shm/hira-x.1'], path
    assert bridge[0] == os.path.realpath(BUILD + '/src/bridge/hira-bridge') or os.path.samefile(bridge[0], BUILD + '/src/bridge/hira-bridge')
    assert bridge[1:] == ['--vm', '/run/h-vm/x.1.sock', '--cid', '4', '--hira', '10=/run/h/hirad.sock', '--region', '/dev/shm/hira-x.1,size=256M',
                          '--relay', '4772=/run/h/hirad.sock'], bridge
    without = ['--name', 'x.1', '--socket', '/run/h/hirad.sock', '--shared', '0']
    assert hira_vm('bridge', *without)[1:] == ['--vm', '/run/h-vm/x.1.sock', '--cid', '4', '--relay', '4772=/run/h/hirad.sock']
    assert hira_vm('args', '--uml', *without) == path[:1] and 'ivshmem' not in ' '.join(hira_vm('args', *without) + hira_vm('args', '--libvirt', *without))
    assert '<qemu:commandline>' in hira_vm('args', '--libvirt', '--socket', '/run/h/hirad.sock')
    for words in ([], ['args', 'more'], ['args', '--cid', '2'], ['args', '--shared', '100'], ['args', '--name', '../x'], ['args', '--socket', 'relative'], ['args', '--socket', '/a b'],
                  ['args', '--port', '0'], ['args', '--memory', 'much'], ['args', '--nice']):
        p = subprocess.run([BUILD + '/src/cli/hira', 'vm', *words], capture_output=True, timeout=10)
        assert p.returncode == 2 and p.stderr and not p.stdout, (words, p)


def unpack_guest_package(place):
    p = subprocess.run([HERE + '/../../scripts/guest-package', BUILD, place.base + '/made'], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert p.returncode == 0, p.stdout
    made = sorted(os.listdir(place.base + '/made'))
    assert [n for n in made if n.endswith('.tar.gz')] and (len(made) == 2 or not shutil.which('dpkg-deb')), made
    tree = place.base + '/tree'
    os.mkdir(tree)
    subprocess.run(['tar', '-C', tree, '-xzf', place.base + '/made/' + [n for n in made if n.endswith('.tar.gz')][0]], check=True)
    return tree


def fake_tools(folder, log, status):
    """Tools that say what they were asked for; beside what a script of the package needs and nothing else."""
    os.makedirs(folder)
    for name in ('systemctl', 'udevadm'):
        with open(f'{folder}/{name}', 'w') as f:
            f.write(f'#!/bin/sh\necho "{name} $*" >>{log}\nexit {status}\n')
        os.chmod(f'{folder}/{name}', 0o755)
    return folder


@test
def the_guest_package_sets_the_machine_up(place):
    """Tells systemd and udev where they run, once more if it is asked to once more, and fails no installation."""
    if not shutil.which('dpkg-deb'):
        raise Skip('dpkg-deb is not installed')
    unpack_guest_package(place)
    made, control, log = place.base + '/made', place.base + '/control', place.base + '/asked'
    package = f'{made}/{[n for n in os.listdir(made) if n.endswith(".deb")][0]}'
    subprocess.run(['dpkg-deb', '--control', package, control], check=True)
    tools, failing = fake_tools(place.base + '/tools', log, 0), fake_tools(place.base + '/failing', log, 1)

    def asked(script, *args, path=tools, systemd=True, env={}):
        """What it asks of whom, in a mount namespace of its own, in which systemd runs or does not."""
        open(log, 'w').close()
        run = f'mount -t tmpfs none /run && {"mkdir -p /run/systemd/system && " if systemd else ""}PATH={path} && exec /bin/sh {control}/{script} "$@"'
        p = subprocess.run(['unshare', *([] if os.geteuid() == 0 else ['-r']), '-m', 'sh', '-c', run, 'sh', *args], env=dict(os.environ, **env), capture_output=True, text=True)
        if 'unshare' in p.stderr or 'mount' in p.stderr:
            raise Skip('this system makes no mount namespaces: ' + p.stderr.strip())
        assert p.returncode == 0 and not p.stderr, (script, args, p)
        return open(log).read().splitlines()
    udev = ['udevadm control --reload', 'udevadm trigger --action=add --subsystem-match=pci --attr-match=device=0x1110',
            'udevadm trigger --action=add --subsystem-match=misc --sysname-match=mmapper']
    first, again = [['systemctl daemon-reload', f'systemctl {word} hira-relay.service'] for word in ('start', 'restart')]
    assert asked('postinst', 'configure', '') == udev + first
    assert asked('postinst', 'configure', '0.0.9') == udev + again == asked('postinst', 'configure', '0.0.9', path=failing)
    assert asked('postinst', 'configure', '', systemd=False) == udev and asked('postinst', 'triggered', 'x') == []
    assert asked('postinst', 'configure', '', path='/nowhere') == [] == asked('postinst', 'configure', '', env={'DPKG_ROOT': place.base})
    assert asked('prerm', 'remove') == ['systemctl stop hira-relay.service'] == asked('prerm', 'remove', path=failing)
    assert asked('prerm', 'upgrade', '9') == [] == asked('prerm', 'remove', systemd=False)
    assert asked('postrm', 'remove') == udev[:1] + first[:1] == asked('postrm', 'remove', path=failing) and asked('postrm', 'purge') == []
    if os.geteuid():
        return
    # dpkg itself: installed, once more, removed, into a folder.
    root = place.base + '/root'
    os.makedirs(root + '/var/lib/dpkg')
    open(root + '/var/lib/dpkg/status', 'w').close()
    for what in (['--install', package], ['--install', package], ['--purge', 'hira-guest']):
        p = subprocess.run(['dpkg', '--root=' + root, '--force-script-chrootless', '--force-depends', '--log=/dev/null', *what], capture_output=True, text=True)
        assert p.returncode == 0, p
        there = what[0] == '--install'
        assert [os.path.exists(root + name) for name in ('/usr/bin/hira-guest-check', '/usr/lib/hira')] == [there, there]


@test
def the_guest_package(place):
    """Has what a machine needs, and nothing else is needed."""
    needs_uml()
    tree = unpack_guest_package(place)
    for name in ('usr/bin/hira-guest-check', 'usr/lib/hira/opencl/libOpenCL.so.1', 'usr/lib/hira/hira-relay', 'etc/OpenCL/vendors/hira.icd', 'usr/lib/udev/rules.d/60-hira.rules',
                 'etc/profile.d/hira.sh', 'usr/lib/systemd/system/multi-user.target.wants/hira-relay.service'):
        assert os.path.isfile(f'{tree}/{name}'), name
    check = [tree + '/usr/bin/hira-guest-check']
    if natively([CL + '/cl_buffer', 'info'])[0] == 0:
        commands = [{'argv': check}, {'argv': [*check, 'absent']}, {'argv': check, 'env': {'HIRA_SOCKET': '/nowhere'}}, {'argv': check, 'env': {'HIRA_SOCKET': 'vsock:99'}}]
        results = Machine(place, place.bridge(place.hirad()), commands).wait()
        assert results[0]['status'] == 0 and 'opencl  ok' in results[0]['out'] and 'mmapper, 256 MiB' in results[0]['out'], results
        assert [results[i]['status'] for i in (1, 2, 3)] == [1, 1, 1], results


@test
def a_qemu_machine(place):
    """A kernel for real hardware, an ivshmem device: the same answers."""
    qemu.needs()
    kernel, modules = qemu.find_kernel(place.base)
    names = ['scalars/results', 'structs/nested', 'memory/lists', 'memory/writes', 'objects/queues', 'commands/chains', 'commands/user_events', 'threads/unblocking', 'faults/forked']
    commands, expected = null_commands(names)
    lines, programs = ['null-hira ' + n for n in names], [NULL + '/null-hira']
    for argv in ([CL + '/cl_buffer', 'read_write'], [CL + '/cl_kernel', 'ranges'], [shutil.which('clinfo') or '', '--list']):
        if os.path.exists(argv[0]) and natively(argv)[0] == 0:
            commands.append({'argv': argv})
            expected.append(natively(argv))
            programs.append(argv[0])
            lines.append(' '.join([os.path.basename(argv[0]), *argv[1:]]))
    if SHM != '/dev/shm':
        raise Skip('this system has no /dev/shm')
    r = place.hirad()
    what = ['--name', f'test-{os.getpid()}', '--socket', r.path, '--memory', '256', '--shared', '256']
    b = place.bridge(r, argv=hira_vm('bridge', *what))
    root = place.base + '/initrd'
    qemu.make_root(root, modules, programs, lines, PORT, dict(os.environ, LD_LIBRARY_PATH=LIBRARIES))
    m = Machine(place, b, commands, argv=qemu.command(kernel, root, hira_vm('args', *what)))
    compare(m.wait(), commands, expected)


def main():
    be_subreaper()
    tests = [t for t in TESTS if not sys.argv[2:] or t.__name__ in sys.argv[2:]]
    print(f'1..{len(tests)}', flush=True)
    return 1 if run_all(tests, Place) else 0


if __name__ == '__main__':
    sys.exit(main())
