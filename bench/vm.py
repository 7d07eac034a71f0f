#!/usr/bin/python3
# Times calls of the null API out of a virtual machine (User-Mode Linux, and QEMU without hardware help), beside a bare ping-pong through the same
# memory; and over vsock alone, beside a bare echo there. Prints each with its target. README.md says what each measures.
# SPDX-License-Identifier: Apache-2.0
#
# usage: vm.py [--builddir DIR] [--json FILE]
import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROUNDS = 3
# measure: what to compare with, and by which factor. A measure that misses its target is to be explained, the target stays.
TARGETS = {'cl.compute': ('local.cl.compute', 1.03), 'null.sync': ('vm.pingpong', 2), 'null.woken': ('vm.vsock', 1.3), 'qemu.null.sync': ('qemu.vm.pingpong', 2)}


def alone(channel, place, build):
    """A machine that shares no memory; the echo goes by the same bridge, in turns with the calls."""
    answer = f'{place.base}/answer'
    program = subprocess.Popen([build + '/bench/bench-vm-pingpong', 'answer', answer])
    try:
        bridge = channel.Bridge(place.base, None, 5, argv=[build + '/src/bridge/hira-bridge', '--vm', f'{place.base}/vm5.sock', '--cid', '5', '--port', f'7={answer}',
                                                           '--relay', f'4772={place.routers[0].path}'])
        place.routers.append(bridge)
        raw = {'argv': [build + '/bench/bench-vm-pingpong', 'vsock', '7']}
        calls = {'argv': [build + '/src/cli/hira', 'run', '--on', 'vsock', '--lib-dir', build + '/tests/nullapi', '--api', 'null', '--', build + '/bench/bench-null-hira', 'woken'],
                 'env': {'HIRA_SOCKET': ''}}
        commands = [raw, calls] * ROUNDS
        results = channel.Machine(place, bridge, commands).wait()
        return [results[i] for i in range(len(commands))]
    finally:
        program.kill()
        program.wait()


def opencl(channel, place, bridge, build):
    """An OpenCL program in the machine, in turns with the same on the host, natively and as a guest."""
    program = [build + '/bench/bench-cl']
    libraries = {'native': {}, 'local': {'HIRA_SOCKET': place.routers[0].path, 'LD_LIBRARY_PATH': channel.LIBRARIES}}
    lines = []
    for _ in range(ROUNDS):
        for what in ('compute', 'start'):
            for where, env in libraries.items():
                out = subprocess.run(program + [what], env=dict(os.environ, **env), stdout=subprocess.PIPE, text=True, check=True).stdout
                lines.append({'status': 0, 'out': ''.join(f'{where}.{line}\n' for line in out.splitlines())})
        m = channel.Machine(place, bridge, [{'argv': program + [what], 'env': {'LD_LIBRARY_PATH': channel.LIBRARIES}, 'tail': 2000} for what in ('compute', 'start')])
        results = m.wait()
        lines += [results[i] for i in range(2)]
    return lines


def in_qemu(channel, place, build):
    """The same ping-pong and call in a machine of QEMU's, whose memory is an ivshmem device's."""
    qemu, lines = channel.qemu, []
    qemu.needs()
    kernel, modules = qemu.find_kernel(place.base)
    what = ['--name', f'bench-{os.getpid()}', '--socket', place.routers[0].path, '--memory', '256', '--shared', '64']
    region = f'/dev/shm/hira-bench-{os.getpid()}'
    programs = [build + '/tests/nullapi/null-hira', build + '/bench/bench-vm-pingpong', build + '/bench/bench-null-hira']
    first = 'null-hira scalars/results'  # it finds the device, and switches it on
    for i, job in enumerate(([first] + ['bench-vm-pingpong time /sys/bus/pci/devices/0000:00:02.0/resource2'] * ROUNDS, [first] + ['bench-null-hira sync'] * ROUNDS)):
        bridge = channel.Bridge(place.base, None, 4, argv=channel.hira_vm('bridge', *what))
        echo = subprocess.Popen(['nice', programs[1], 'echo', region]) if i == 0 else None
        try:
            qemu.make_root(f'{place.base}/root{i}', modules, programs, job, channel.PORT, dict(os.environ, LD_LIBRARY_PATH=channel.LIBRARIES))
            results = channel.Machine(place, bridge, [], argv=qemu.command(kernel, f'{place.base}/root{i}', channel.hira_vm('args', *what))).wait()
        finally:
            if echo:
                echo.kill()
                echo.wait()
            bridge.stop()
        for r in (results[i] for i in range(1, 1 + ROUNDS)):
            lines.append({**r, 'out': ''.join('qemu.' + line + '\n' for line in r['out'].split('|') if line)})
    return lines


def main():
    p = argparse.ArgumentParser()
    p.add_argument('--builddir', default=HERE + '/../build')
    p.add_argument('--json')
    a = p.parse_args()
    build = os.path.abspath(a.builddir)
    sys.path[:0] = [HERE + '/../tests/vm', HERE + '/../tests/router']
    sys.argv[1:] = [build]
    import channel
    from harness import Skip
    try:
        channel.needs_uml()
    except Skip as why:
        sys.exit(f'vm.py: {why}')
    base = tempfile.mkdtemp(prefix='hira-bench-')
    place = channel.Place(base)
    rows, echo = {}, None
    try:
        bridge = place.bridge(place.hirad(), size=64, slices=2)
        echo = subprocess.Popen(['nice', build + '/bench/bench-vm-pingpong', 'echo', bridge.region])
        commands = [{'argv': [build + '/bench/bench-vm-pingpong', 'time', '/dev/mmapper']}] * ROUNDS
        m = channel.Machine(place, bridge, commands)
        results = [m.wait()[i] for i in range(ROUNDS)]
        echo.kill()
        echo.wait()
        commands = [{'argv': [build + '/bench/bench-null-hira', what], 'tail': 2000} for what in ('sync', 'asleep', 'async', 'memory', 'objects')] * ROUNDS
        m = channel.Machine(place, bridge, commands)
        results += [m.wait()[i] for i in range(len(commands))]
        results += opencl(channel, place, bridge, build)
        results += alone(channel, place, build)
        try:
            results += in_qemu(channel, place, build)
        except Skip as why:
            print(f'# no QEMU: {why}', file=sys.stderr)
        for r in results:
            if r['status']:
                print('# failed:', r, file=sys.stderr)
            for line in r['out'].splitlines():
                measure, value, unit = line.split()
                rows.setdefault(measure, (unit, []))[1].append(float(value))
    finally:
        if echo:
            echo.kill()
        place.close()
        for r in place.routers:
            r.stop()
        shutil.rmtree(base, ignore_errors=True)
    median = {name: statistics.median(values) for name, (_, values) in rows.items()}
    print(f'{"measure":18} {"in the machine":>15} {"target":>30}')
    for name, value in median.items():
        target, (other, factor) = '', TARGETS.get(name, (None, 0))
        if other in median:
            met = value <= factor * median[other]
            target = f'<= {factor} x {other} = {factor * median[other]:.3g} {"ok" if met else "MISSED"}'
        print(f'{name:18} {value:10.4g} {rows[name][0]:4} {target:>30}')
    if a.json:
        with open(a.json, 'w') as f:
            json.dump({name: values for name, (_, values) in rows.items()}, f)


main()
