#!/usr/bin/env python3
# Guests of other hosts, over this machine's loopback: synchronous calls and 64 MiB, beside what a socket by itself gives in the same run.
# usage: remote.py [--builddir DIR] [--rounds N] [--json FILE]
# Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time


def measures(command, env):
    out = subprocess.run(command, env=env, stdout=subprocess.PIPE, text=True, check=True, timeout=300).stdout
    return {name: float(value) for name, value, _ in (line.split() for line in out.splitlines())}


class Hirad:
    """One that listens with a key of this run; a guest that needs no key has one of its own."""

    def __init__(self, build, folder, *keys):
        null, opencl = build + '/tests/nullapi', build + '/specs/opencl'
        os.makedirs(folder + '/work')
        os.makedirs(folder + '/servers')
        for server in (null + '/hira-server-null', opencl + '/hira-server-opencl'):
            if os.path.exists(server):
                os.symlink(server, folder + '/servers/' + os.path.basename(server))
        self.log = folder + '/log'
        self.p = subprocess.Popen([build + '/src/router/hirad', '--socket', folder + '/hirad.sock', '--server-dir', folder + '/servers', '--work-dir', folder + '/work',
                                   '--listen', '127.0.0.1:0', *keys], stderr=open(self.log, 'w'), stdin=subprocess.DEVNULL, env=dict(os.environ, LD_LIBRARY_PATH=null))
        while not re.search(r'come by port (\d+)', open(self.log).read()):
            if self.p.poll() is not None:
                sys.exit(open(self.log).read())
            time.sleep(0.05)
        self.port = re.findall(r'come by port (\d+)', open(self.log).read())[-1]
        run = [build + '/src/cli/hira', 'run', '--on', '127.0.0.1:' + self.port, *keys]
        self.command = run + ['--lib-dir', null, '--api', 'null', '--', build + '/bench/bench-null-hira']
        self.opencl = run + ['--lib-dir', opencl, '--api', 'opencl', '--', build + '/bench/bench-cl']

    def stop(self):
        self.p.terminate()
        self.p.wait(20)


def one_round(build, folder):
    env = dict(os.environ, HIRA_BENCH_BURSTS='50')
    native = [build + '/bench/bench-null-native']
    key = folder + '/key'
    with open(os.open(key, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), 'w') as f:
        f.write('bench:' + os.urandom(32).hex() + '\n')
    found = measures([build + '/bench/bench-tcp'], env)
    for what in ('sync', 'bulk'):
        found |= {'native ' + k: v for k, v in measures(native + [what], env).items()}
    for name, keys in (('plain', ('--plain',)), ('tls', ('--psk', key))):
        h = Hirad(build, folder + '/' + name, *keys)
        try:
            for what in ('sync', 'bulk'):
                found |= {name + ' ' + k: v for k, v in measures(h.command + [what], env).items()}
            if os.path.exists(build + '/bench/bench-cl'):
                found |= {'native ' + k: v for k, v in measures([build + '/bench/bench-cl', 'kernels'], env).items()}
                found |= {name + ' ' + k: v for k, v in measures(h.opencl + ['kernels'], env).items()}
        finally:
            h.stop()
    return found


def rates(found, way, direction, share):
    """GB/s of a call that moves 64 MiB, and what it were with this share of the socket's; what the vendor does with the bytes is in both."""
    name, kilobytes = f'null.{direction}-64MiB', (64 << 20) / 1e3
    return kilobytes / (found['native ' + name] + kilobytes / (share * found['tcp.64MiB'])), kilobytes / found[f'{way} {name}']


def rows(found):
    ping, wire = found['tcp.ping-pong'], found['tcp.64MiB']
    for way, share in (('plain', 0.9), ('tls', 0.6)):
        sync = found[way + ' null.sync']
        limit = found['native null.sync'] + 1.5 * ping
        yield f'{way}: a call that waits, us', ping, limit, sync, sync <= limit
        if way + ' cl.kernel+finish' in found:
            both = found['native cl.kernel+finish'] + 1.5 * ping, 1.5 * found['native cl.1000-kernels']
            for name, words, limit in zip(('cl.kernel+finish', 'cl.1000-kernels'), ('empty kernel + clFinish, us', '1,000 kernels, each, us'), both):
                yield f'{way}: {words}', found['native ' + name], limit, found[f'{way} {name}'], found[f'{way} {name}'] <= limit
        for direction, words in (('in', 'there'), ('out', 'back')):
            target, rate = rates(found, way, direction, share)
            yield f'{way}: 64 MiB {words}, GB/s', wire, target, rate, rate >= target


def main():
    p = argparse.ArgumentParser()
    p.add_argument('--builddir', default='build')
    p.add_argument('--rounds', type=int, default=3)
    p.add_argument('--json')
    args = p.parse_args()
    rounds = []
    for _ in range(args.rounds):
        with tempfile.TemporaryDirectory(prefix='hira-bench-') as folder:
            rounds.append(one_round(os.path.abspath(args.builddir), folder))
    found = {k: statistics.median(r[k] for r in rounds) for k in rounds[0]}
    print(f'{"":34} {"socket":>9} {"target":>9} {"measured":>9}')
    for name, raw, target, measured, well in rows(found):
        print(f'{name:34} {raw:9.2f} {target:9.2f} {measured:9.2f}  {"" if well else "short of it"}')
    if args.json:
        with open(args.json, 'w') as f:
            json.dump(found, f, indent=1)


main()
