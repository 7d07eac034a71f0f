#!/usr/bin/env python3
# Containers as guests: made by hand from namespaces with what `hira container` says, and with podman where it runs. TAP.
# usage: run.py BUILDDIR [TEST...]
#        run.py BUILDDIR --inside SOCKET PROGRAM ARGS...     (a wrapper for tests/opencl/run.sh)
# Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
import json
import os
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../router'))
from harness import Skip, run_all  # noqa: E402
from wire import Router, be_subreaper, wait_for  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
BUILD = os.path.abspath(sys.argv[1])
HIRAD, HIRA = BUILD + '/src/router/hirad', BUILD + '/src/cli/hira'
TESTS = []
os.environ.pop('LD_LIBRARY_PATH', None)  # meson names the folder of the guest library: what is native would not be

# The root of a container: the system's programs, a /proc and a /dev of its own, and what it is given. $1: an empty folder.
ROOT = r'''set -e
mount -t tmpfs none "$1"; cd "$1"
mkdir usr etc proc dev tmp opt run test
for d in bin sbin lib lib64; do ln -s usr/$d $d; done
mount --rbind /usr usr; mount --rbind /etc etc; mount -t proc proc proc
for d in null zero full random urandom; do : > dev/$d; mount --bind /dev/$d dev/$d; done
mount --rbind "$2" test
shift 2
while [ "$1" != -- ]; do
    mkdir -p ".$2"; mount --bind "$1" ".$2"; mount -o remount,bind,ro,nosuid,nodev ".$2"; shift 2
done
shift
exec "$@"
'''


def test(f):
    TESTS.append(f)
    return f


def edits(socket):
    """As `hira container args` has it: [(from, to)], {variable: value}."""
    out = subprocess.run([HIRA, 'container', 'args', '--socket', socket], stdout=subprocess.PIPE, check=True, text=True).stdout
    mounts, variables = [], {}
    for word in out.split():
        kind, _, rest = word.partition('=')
        if kind == '--env':
            name, _, value = rest.partition('=')
            variables[name] = value
        else:
            assert kind == '--mount' and rest.endswith(',readonly'), word
            fields = dict(f.split('=') for f in rest.split(',') if '=' in f)
            mounts.append((fields['source'], fields['destination']))
    return mounts, variables


def container(root, mounts, variables, argv):
    """argv that runs argv in a container: namespaces of its own for mounts, processes, System V objects, the host's name, and the network."""
    env = {'PATH': '/usr/bin:/bin', 'HOME': '/tmp', **variables}
    rights = [] if os.geteuid() == 0 else ['--user', '--map-root-user']
    return ['unshare', *rights, '--mount', '--pid', '--ipc', '--uts', '--net', '--fork', 'sh', '-c', ROOT, 'container', root, BUILD,
            *(word for m in mounts for word in m), '--', 'chroot', root, 'env', '-i', *(f'{k}={v}' for k, v in env.items()), *argv]


def inside(socket, argv):
    """Becomes the container. Programs of the build lie in /test there."""
    root = tempfile.mkdtemp(prefix='hira-container-')
    try:
        argv = [a.replace(BUILD, '/test') if i == 0 else a for i, a in enumerate(argv)]
        return subprocess.run(container(root, *edits(socket), argv)).returncode
    finally:
        os.rmdir(root)


class Place:
    def __init__(self, base):
        self.base, self.routers = base, []
        if subprocess.run(container(self.folder('try'), [], {}, ['true']), stderr=subprocess.DEVNULL).returncode:
            raise Skip('no namespaces to be had')

    def folder(self, name):
        path = os.path.join(self.base, name)
        os.makedirs(path, exist_ok=True)
        return path

    def router(self, *args, base=None, **kw):
        r = Router(HIRAD, base or self.folder('run'), BUILD + '/specs/opencl', *args, **kw)
        self.routers.append(r)
        return r

    def runs(self, mounts, variables, *argv, **kw):
        return subprocess.Popen(container(self.folder('root'), mounts, variables, argv), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, **kw)


def platforms(place, mounts, variables):
    p = place.runs(mounts, variables, 'clinfo', '-l')
    return p.communicate(timeout=60)[0]


@test
def programs_answer_as_natively(place):
    r = place.router()
    out = subprocess.run([HERE + '/../opencl/run.sh', '--builddir', BUILD + '/tests/opencl', '--wrapper',
                          f'{sys.executable} {os.path.abspath(__file__)} {BUILD} --inside {r.path}', 'platform', 'printf'],
                         stdout=subprocess.PIPE, text=True).stdout
    assert '\n0 failed' not in out and ' 0 failed' in out.splitlines()[-1], out
    print('# ' + out.splitlines()[-1], flush=True)


@test
def a_device_file_does_the_same(place):
    r = place.router()
    out = subprocess.run([HIRA, 'container', 'cdi', '--socket', r.path, '--name', 'web.1'], stdout=subprocess.PIPE, check=True).stdout
    file = json.loads(out)
    assert file['cdiVersion'] == '0.5.0' and file['kind'] == 'hira/accelerator' and [d['name'] for d in file['devices']] == ['web.1'], file
    made = file['devices'][0]['containerEdits']
    assert all('ro' in m['options'] for m in made['mounts']), made
    mounts, variables = [(m['hostPath'], m['containerPath']) for m in made['mounts']], dict(v.split('=', 1) for v in made['env'])
    assert (mounts, variables) == edits(r.path)
    assert 'Portable Computing Language' in platforms(place, mounts, variables)


@test
def only_what_it_was_given(place):
    r = place.router()
    mounts, variables = edits(r.path)
    p = place.runs(mounts, variables, 'sh', '-c', 'touch /run/hira/x || rm /run/hira/h.sock || touch /opt/hira/opencl/x || echo read only; ls /proc/ | grep -c "^[0-9]"',
                   stderr=subprocess.DEVNULL)
    out = p.communicate(timeout=30)[0].split('\n')
    assert out[0] == 'read only' and int(out[1]) <= 4, out
    assert os.path.exists(r.path)


@test
def a_socket_is_a_tenant(place):
    base = place.folder('run')
    with open(base + '/hirad.conf', 'w') as f:
        for name in 'ab':
            f.write('tenant %s {\n sockets = {"%s/guest.sock"}\n}\n' % (name, place.folder('for-' + name)))
        f.write('default {\n refuse = true\n}\n')
    place.router('--config', base + '/hirad.conf')
    assert 'Portable Computing Language' in platforms(place, *edits(place.base + '/for-b/guest.sock'))

    def calls():
        out = subprocess.run([HIRA, 'tenant', 'list', '--json', '--socket', base + '/h.sock'], stdout=subprocess.PIPE, check=True).stdout
        return {t['name']: t['calls'] for t in json.loads(out)['tenants']}
    wait_for(lambda: calls().get('b'), 'calls of b')
    assert not calls().get('a'), calls()


@test
def hirad_is_started_anew(place):
    r = place.router()
    mounts, variables = edits(r.path)
    p = place.runs(mounts, variables, 'sh', '-c', 'clinfo -l; read go; clinfo -l')
    first = [p.stdout.readline(), p.stdout.readline()]
    r.stop()
    place.router(base=os.path.dirname(r.path))
    second = p.communicate('go\n', timeout=60)[0].splitlines(keepends=True)
    assert 'Portable Computing Language' in first[0] and second == first, (first, second)


@test
def bad_input(place):
    for words, says in ((['args', '--socket', place.base + '/absent/h.sock'], 'is hirad running?'), (['neither'], 'args or cdi?'), (['args', '--lib-dir', '/tmp'], 'of which API'),
                        (['cdi', '--name', '.x'], 'is no name of a device'), (['args', '--api', 'absent', '--socket', place.base + '/h.sock'], 'no guest library'),
                        (['args', '--socket', place.folder('a folder') + '/h.sock'], 'take no such name')):
        p = subprocess.run([HIRA, 'container', *words], capture_output=True, text=True)
        assert p.returncode and says in p.stderr and not p.stdout, (words, p)


def podman_that_runs(root):
    """Its words, as it comes or as it runs where groups of processes are version 1's and limits may not be raised."""
    run = ['run', '--rm', '--network', 'none', '--volume', '/usr:/usr:ro', '--volume', '/etc/OpenCL:/etc/OpenCL:ro']
    for before, more in (([], []), (['--runtime', 'runc'], ['--ulimit', 'nofile=1024:1024', '--ulimit', 'nproc=4096:4096'])):
        words = ['podman', *before, *run, *more]
        p = subprocess.run([*words, '--rootfs', root, 'true'], capture_output=True, text=True)
        if p.returncode == 0:
            return words
    raise Skip('podman does not run here: ' + p.stderr.strip().splitlines()[-1])


@test
def podman_runs_one(place):
    if not shutil.which('podman'):
        raise Skip('podman is not installed')
    root = place.folder('image')
    for d in ('usr', 'etc', 'proc', 'dev', 'tmp', 'run', 'sys', 'opt'):
        os.makedirs(f'{root}/{d}', exist_ok=True)
    for d in ('bin', 'sbin', 'lib', 'lib64'):
        os.symlink('usr/' + d, f'{root}/{d}')
    podman = podman_that_runs(root)
    r = place.router()
    args = subprocess.run([HIRA, 'container', 'args', '--socket', r.path], stdout=subprocess.PIPE, check=True, text=True).stdout.split()
    out = subprocess.run([*podman, *args, '--rootfs', root, 'clinfo', '-l'], stdout=subprocess.PIPE, text=True).stdout
    assert 'Portable Computing Language' in out, out
    # As a device of its own kind, whose file podman looks for in folders of the system's: in a namespace that has others.
    device = place.base + '/hira.json'
    with open(device, 'w') as f:
        subprocess.run([HIRA, 'container', 'cdi', '--socket', r.path], stdout=f, check=True)
    script = 'mkdir -p /run/cdi && mount -t tmpfs none /run/cdi && cp "$0" /run/cdi/hira.json && exec "$@"'
    out = subprocess.run(['unshare', '-m', 'sh', '-c', script, device, *podman, '--device', 'hira/accelerator=default', '--rootfs', root, 'clinfo', '-l'],
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True).stdout
    assert 'Portable Computing Language' in out, out
    r.stop()
    out = subprocess.run([*podman, *args, '--rootfs', root, 'clinfo', '-l'], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True).stdout
    assert 'Portable Computing Language' not in out, out


def main():
    be_subreaper()
    if sys.argv[2:3] == ['--inside']:
        return inside(sys.argv[3], sys.argv[4:])
    tests = [t for t in TESTS if not sys.argv[2:] or t.__name__ in sys.argv[2:]]
    print(f'1..{len(tests)}', flush=True)
    return 1 if run_all(tests, Place) else 0


sys.exit(main())
