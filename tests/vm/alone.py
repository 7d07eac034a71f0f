#!/usr/bin/env python3
# Programs in virtual machines that share no memory with their host: over vsock alone, hira-relay in the machine and beside hira-bridge. TAP.
# usage: alone.py BUILDDIR [TEST...]
# Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
import os
import shutil
import subprocess
import sys

import channel
from channel import BUILD, CL, NULL, Bridge, Machine, Skip, compare, natively, needs_uml, null_commands
from harness import run_all
from wire import alive, be_subreaper, status, wait_for

HIRA = BUILD + '/src/cli/hira'
VSOCK = 4772  # hira-relay's port
TESTS = []


def test(f):
    TESTS.append(f)
    return f


class Place(channel.Place):
    def bridge(self, hirad, cid=4, path=None, **more):
        """One without a region."""
        argv = [BUILD + '/src/bridge/hira-bridge', '--vm', f'{self.base}/vm{cid}.sock', '--cid', str(cid), '--relay', f'{VSOCK}={path or hirad.path}', '--log-level', 'debug']
        b = Bridge(self.base, path or hirad.path, cid, argv=argv, **more)
        self.routers.append(b)
        return b


def under_hira(argv, *options, api='null', folder=NULL, **more):
    options = options or ('--on', 'vsock')
    return {'argv': [HIRA, 'run', *options, '--lib-dir', folder, '--api', api, '--', *argv], 'env': {'HIRA_SOCKET': '', **more.pop('env', {})}, **more}


def null_programs(names, *options, **more):
    commands, expected = null_commands(names)
    return [under_hira(c['argv'], *options, **more) for c in commands], expected


# A child that calls as well after its parent has: User-Mode Linux leaves memory that a child is not to inherit (MADV_DONTFORK) where it was for
# the child, which so reaches its parent's lane. Memory files are the ones that it happens to, not the memory that a machine shares.
UNFIT = ('faults/forked',)


@test
def programs_of_an_api(place):
    """What programs get with memory that is shared, they get without."""
    needs_uml()
    listed = subprocess.run([NULL + '/null-native', '--list'], stdout=subprocess.PIPE, check=True, text=True).stdout.split()
    commands, expected = null_programs([n for n in channel.NULL_PROGRAMS if n not in UNFIT] + [n for n in listed if n.startswith('callbacks/')][:6])
    r = place.hirad()
    m = Machine(place, place.bridge(r), commands)
    wait_for(lambda: any(g['program'] == 'machine 4' for g in status(r.path)['guests']), 'a guest of the machine', 60)
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
    programs = [list(p) for p in programs if natively(p)[0] == 0]
    if shutil.which('clinfo'):
        programs.append([shutil.which('clinfo'), '--list'])
    commands = [under_hira(p, api='opencl', folder=BUILD + '/specs/opencl', env={'LD_LIBRARY_PATH': ''}) for p in programs]
    compare(Machine(place, place.bridge(place.hirad()), commands).wait(), commands, [natively(p) for p in programs])


@test
def a_machine_that_is_killed(place):
    """Its servers end, though nobody said so; the next machine is served."""
    needs_uml()
    r = place.hirad()
    b = place.bridge(r)
    m = Machine(place, b, [under_hira([NULL + '/null-hira', 'threads/crowd'], limit=100)])
    guests = wait_for(lambda: status(r.path)['guests'], 'the program to be served', 60)
    m.kill()
    wait_for(lambda: not status(r.path)['guests'] and not alive(guests[0]['server']), 'its server to end', 5)
    commands, expected = null_programs(['scalars/results', 'structs/nested'])
    compare(Machine(place, b, commands).wait(), commands, expected)


@test
def hirad_begins_anew(place):
    """A program that is being served notices nothing; the next one is served by the new hirad."""
    needs_uml()
    channel.served_on(place, *null_programs(['threads/crowd', 'scalars/results']))


@test
def the_way_is_found(place):
    """By `hira run` itself, whether memory is shared or not; `hira doctor` says at which hop it ends."""
    needs_uml()
    r = place.hirad()
    commands, expected = null_programs(['scalars/results'], '--strict', env={'HIRA_SOCKET': f'vsock:{channel.PORT}'})
    doctors = [{'argv': [HIRA, 'doctor', '--on', where, '--api', 'null'], 'tail': 3000} for where in ('vsock', 'vsock:99')] + [{'argv': [HIRA, 'doctor', '--lib-dir', NULL], 'tail': 6000}]
    results = Machine(place, place.bridge(r), commands + doctors).wait()
    compare(results, commands, expected)
    assert results[1]['status'] == 0 and "this machine's host, vsock port 4772" in results[1]['out'] and 'All is well' in results[1]['out'], results[1]
    assert results[2]['status'] == 1 and 'hira vm bridge' in results[2]['out'], results[2]
    assert "host                     no memory is shared" in results[3]['out'] and "this machine's host" in results[3]['out'], results[3]
    b = channel.Place.bridge(place, r, cid=5, size=32, slices=2)  # leads to no relay: it must be the memory
    compare(Machine(place, b, commands).wait(), commands, expected)


@test
def the_guest_package_is_enough(place):
    """Unmodified programs, by the guest package's library and relay; for other users than root, too."""
    needs_uml()
    if natively([CL + '/cl_buffer', 'info'])[0] != 0:
        raise Skip('no OpenCL device here')
    tree = channel.unpack_guest_package(place)
    relay = f'mount -t tmpfs tmpfs /run && {{ {tree}/usr/lib/hira/hira-relay --on vsock --socket /run/hira/hirad.sock > /dev/null 2>&1 & }} && sleep 1 && '
    other = f'{sys.executable} -c "import os,sys; os.setgid(1000); os.setuid(1000); os.execv(sys.argv[1], sys.argv[1:])" '
    program = CL + '/cl_buffer read_write'
    env = {'HIRA_SOCKET': f'vsock:{channel.PORT}', 'LD_LIBRARY_PATH': tree + '/usr/lib/hira/opencl', 'HIRA_DEBUG': '1'}
    commands = [{'argv': [tree + '/usr/bin/hira-guest-check'], 'env': {'HIRA_SOCKET': env['HIRA_SOCKET']}},
                {'argv': ['sh', '-c', relay + tree + '/usr/bin/hira-guest-check'], 'env': {'HIRA_SOCKET': env['HIRA_SOCKET']}},
                {'argv': ['sh', '-c', program], 'env': env}, {'argv': ['sh', '-c', other + program], 'env': env}]
    os.chmod(place.base, 0o755)
    results = Machine(place, place.bridge(place.hirad()), commands).wait()
    assert results[0]['status'] == 1 and 'relay   NO' in results[0]['out'] and 'hira-relay' in results[0]['out'], results[0]
    assert results[1]['status'] == 0 and 'memory  NO' in results[1]['out'] and 'opencl  ok' in results[1]['out'], results[1]
    compare({i - 2: results[i] for i in (2, 3)}, commands[2:], [natively(program.split())] * 2)


@test
def the_machine_is_its_socket_s_tenant(place):
    """As one that shares memory."""
    needs_uml()
    door, config = place.base + '/web.sock', place.base + '/hirad.conf'
    with open(config, 'w') as f:
        f.write(f'tenant web {{\n sockets = {{"{door}"}}\n}}\ndefault {{\n refuse = true\n}}\n')
    r = place.hirad('--config', config)
    refused, served = place.bridge(r, cid=5), place.bridge(r, cid=6, path=door)
    commands = [under_hira([NULL + '/null-hira', 'threads/crowd'], limit=30)]
    m = Machine(place, served, commands)
    guests = wait_for(lambda: status(r.path)['guests'], 'the program to be served', 60)
    assert guests[0]['program'] == 'machine 6', guests
    listed = subprocess.run([HIRA, 'tenant', 'list', '--socket', r.path], stdout=subprocess.PIPE, text=True, timeout=10).stdout
    assert [line.split()[:1] for line in listed.splitlines() if line.startswith('web')], listed
    m.kill()
    results = Machine(place, refused, commands).wait()
    assert 'no tenant of this router' in results[0]['err'], results


@test
def over_the_kernels_own_vsock(place):
    """hirad --listen vsock, as on hosts with vhost-vsock: within a machine, by the loopback that its kernel has. Who comes is the machine of its address."""
    needs_uml()
    config = place.base + '/hirad.conf'
    with open(config, 'w') as f:
        f.write('tenant loop {\n peers = {"machine-1"}\n}\ndefault {\n refuse = true\n}\n')
    commands, expected = null_programs(['scalars/results', 'structs/nested', 'commands/chains', 'threads/unblocking'], '--on', 'vsock:1:4772')
    doctor = {'argv': [HIRA, 'doctor', '--on', 'vsock:1:4772', '--api', 'null'], 'tail': 3000}
    hirad = [BUILD + '/src/router/hirad', '--socket', '/run/hirad.sock', '--server-dir', place.base + '/servers', '--listen', 'vsock', '--config', config, '--sandbox', 'off']
    m = Machine(place, place.bridge(place.hirad()), commands + [doctor], more_modules=['vsock_loopback'],
                      daemon={'argv': hirad, 'env': {'LD_LIBRARY_PATH': NULL, 'HIRA_CACHE_DIR': '/run/cache'}, 'until': 'vsock port 4772'})
    results = m.wait()
    log = results['daemon']['log']
    compare(results, commands, expected)
    assert results[len(commands)]['status'] == 0, results
    assert 'machine-1 from machine 1 comes' in log, log


def main():
    be_subreaper()
    tests = [t for t in TESTS if not sys.argv[2:] or t.__name__ in sys.argv[2:]]
    print(f'1..{len(tests)}', flush=True)
    return 1 if run_all(tests, Place) else 0


if __name__ == '__main__':
    sys.exit(main())
