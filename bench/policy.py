#!/usr/bin/python3
# How well a device is shared: real kernels of several tenants, on the system's OpenCL. bench/README.md says what each row is.
# SPDX-License-Identifier: Apache-2.0
#
# usage: policy.py [--builddir DIR] [--quick] [--seconds S] [--json FILE] [ROW...]
# Shares are measured over the time in which all tenants are busy, from what each program sees of its kernels (profiling), and from what
# hirad charged. The load of the machine is printed: others that use its processors disturb all of this.
import argparse
import json
import os
import statistics
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../tests/policy'))
from lib import Place, line, result, words  # noqa: E402

ROWS = []


def row(f):
    ROWS.append(f)
    return f


class Bench:
    def __init__(self, builddir, seconds):
        self.place, self.seconds, self.table = Place(builddir), seconds, []
        r = self.place.router('policy = "none"', {'one': ''})
        runs = [int(result(r.program('one', 'busy', 'calibrate'))) for _ in range(3)]
        self.ms = max(runs)  # iterations that take a millisecond
        self.place.close()

    def put(self, name, target, value, unit, good):
        self.table.append(dict(measure=name, target=target, value=value, unit=unit, good=good))
        print('%-52s %-22s %10.4g %-10s %s' % (name, target, value, unit, '' if good is None else 'good' if good else 'MISSED'), flush=True)


def shares(b, tenants, lengths, policy='fair', depth=None):
    """The largest deviation of a share from its weight's, in percent of it: by the programs' profiling, and by hirad's charges."""
    r = b.place.router('policy = "%s"' % policy, {n: 'weight = %d' % w for n, w in tenants.items()})
    programs = {n: r.program(n, 'busy', int(b.ms * lengths[i]), b.seconds + 2, depth or (64 if lengths[i] < 10 else 16), env={'BUSY_EVERY': '100', 'BUSY_WAIT': '1'})
                for i, n in enumerate(tenants)}
    for p in programs.values():
        assert line(p) == 'ready'
    for p in programs.values():
        p.stdin.write('\n')
        p.stdin.flush()
    time.sleep(1)
    charged = {n: r.tenant(n)['charged_ns'] for n in tenants}
    time.sleep(b.seconds)
    charged = {n: r.tenant(n)['charged_ns'] - charged[n] for n in tenants}
    used = {}
    for n, p in programs.items():
        at = {}
        for l in p.communicate(timeout=180)[0].splitlines():
            w = l.split()
            if w and w[0] == 'at':
                at[int(w[1])] = int(w[3])
        last = max(t for t in at if t <= 1000 * (b.seconds + 1))
        used[n] = at[last] - at[min(t for t in at if t >= 1000)]
    b.place.close()
    return error(used, tenants), error(charged, tenants), sum(used.values()) / 1e9 / b.seconds


def error(used, weights):
    total, all_weights = sum(used.values()) or 1, sum(weights.values())
    return max(abs(100 * (used[n] / total / (w / all_weights) - 1)) for n, w in weights.items())


@row
def share(b):
    two, four = {'a': 1, 'b': 2}, {'a': 1, 'b': 1, 'c': 2, 'd': 4}
    for name, tenants, lengths in (('1:2, 1 ms', two, [1, 1]), ('1:2, 1 and 50 ms', two, [1, 50]), ('1:2, 50 and 1 ms', two, [50, 1]),
                                   ('1:1:2:4, 1 ms', four, [1, 1, 1, 1]), ('1:1:2:4, 1, 50, 1, 50 ms', four, [1, 50, 1, 50])):
        seen, charged, busy = shares(b, tenants, lengths)
        b.put('share error, %s: kernels' % name, '<= 2 %', seen, '%', seen <= 2)
        b.put('share error, %s: charges' % name, '<= 2 %', charged, '%', charged <= 2)
        b.put('device busy, %s' % name, '', 100 * busy, '%', None)
    for name, tenants, lengths in (('3:1, 0.8 ms', {'a': 3, 'b': 1}, [0.8, 0.8]), ('10:1, 0.8 and 5 ms', {'a': 10, 'b': 1}, [0.8, 5])):
        seen, _, busy = shares(b, tenants, lengths, depth=1)
        b.put('share error, %s, each waited for' % name, '<= 2 %', seen, '%', seen <= 2)
        b.put('device busy, %s, each waited for' % name, '', 100 * busy, '%', None)


@row
def others(b):
    for policy in ('round-robin', 'fifo', 'band', 'credit'):
        seen, _, _ = shares(b, {'a': 1, 'b': 2}, [1, 50], policy)
        b.put('share error, 1:2, 1 and 50 ms: %s' % policy, 'for comparison', seen, '%', None)


def settled(samples, want, began, tolerance):
    """When charges over windows of 200 ms have become right for good, ms after `began`. samples: [(ns, a, b)]."""
    right = None
    for (t0, a0, b0), (t1, a1, b1) in zip(samples, samples[2:]):
        total = (a1 - a0) + (b1 - b0)
        if t1 <= began or not total:
            continue
        good = abs((b1 - b0) / total - want) <= tolerance
        right = (right if right is not None else max(0, t0 - began)) if good else None
    return None if right is None else right / 1e6


def sample(r, seconds, every=0.1):
    out, end, due = [], time.monotonic() + seconds, time.monotonic()
    while time.monotonic() < end:
        out.append((r.tenant('a')['charged_ns'], r.tenant('b')['charged_ns'], time.monotonic_ns()))
        due += every
        time.sleep(max(0, due - time.monotonic()))
    return [(t, a, x) for a, x, t in out]


@row
def join(b):
    r = b.place.router('', {'a': '', 'b': ''})
    p = r.program('a', 'busy', b.ms, 9, 64)
    q = r.program('b', 'busy', b.ms, 6, 64, env={'BUSY_WAIT': '1'})
    assert line(p) == 'ready' and line(q) == 'ready'
    time.sleep(1)
    began = time.monotonic_ns()
    q.stdin.write('\n')
    q.stdin.flush()
    ms = settled(sample(r, 2), 0.5, began, 0.15)
    b.put('until shares are right: a tenant joins', '<= 200 ms', ms if ms is not None else 2000, 'ms', ms is not None and ms <= 200)
    began = time.monotonic_ns()
    assert r.hira('tenant', 'set', 'b', 'weight=3').returncode == 0
    ms = settled(sample(r, 2), 0.75, began, 0.15)
    b.put('until shares are right: a weight changes', '<= 200 ms', ms if ms is not None else 2000, 'ms', ms is not None and ms <= 200)
    b.place.close()


@row
def alone(b):
    for length, depth in ((1, 16), (1, 1), (0.02, 64)):
        speeds = {'none': [], 'fair': []}
        for i in range(12):
            for policy in sorted(speeds, reverse=i % 2 == 1):  # neither always follows the other
                r = b.place.router('policy = "%s"' % policy, {'one': ''})
                w = words(result(r.program('one', 'busy', int(b.ms * length), max(0.5, b.seconds / 8), depth)))
                speeds[policy].append(w['kernels'] / w['wall_ns'])
                b.place.close()
        ratio = 100 * statistics.median(speeds['fair']) / statistics.median(speeds['none'])
        b.put('alone, kernels of %g ms, %d in flight' % (length, depth), '>= 99 % of no policy', ratio, '%', ratio >= 99)


@row
def rates(b):
    s = b.seconds
    r = b.place.router('', {'calls': 'calls = "2000"\n calls_burst = "100"', 'bytes': 'bytes = "50 MB"\n bytes_burst = "1 MB"',
                            'time': 'device_ms = 250\n device_ms_burst = 20'})
    ns = words(result(r.program('calls', 'probe', 'calls', 2000 * s)))['ns']
    got = (2000 * s - 100) / (ns / 1e9) / 2000
    b.put('rate of calls, of what was set', '100 % +- 1 %', 100 * got, '%', abs(got - 1) <= 0.01)
    ns = words(result(r.program('bytes', 'probe', 'bytes', 500000, 100 * s)))['ns']
    got = (100 * s * 500000 - 1000000) / (ns / 1e9) / 50e6
    b.put('rate of bytes, of what was set', '100 % +- 1 %', 100 * got, '%', abs(got - 1) <= 0.01)
    p = r.program('time', 'busy', b.ms, s, 32)
    w = words(result(p))
    got = w['device_ns'] / 1e6 / (250 * s + 20)
    b.put('device time, of what was set', '100 % +- 1 %', 100 * got, '%', abs(got - 1) <= 0.01)
    b.place.close()


@row
def memory(b):
    mib, r = 1 << 20, b.place.router('', {'one': 'memory = "64 MiB"'})
    programs = [r.program('one', 'probe', 'memory', mib, 1000) for _ in range(16)]
    got = sum(int(line(p).split()[1]) for p in programs)
    peak = r.tenant('one')['memory_peak']
    b.put('quota of 64 MiB, 16 processes: MiB at most', '<= 64', peak / mib, 'MiB', peak <= 64 * mib)
    b.put('quota of 64 MiB, 16 processes: MiB had', '= 64', got, 'MiB', got == 64)
    b.place.close()


@row
def latency(b):
    r = b.place.router('', {'batch': '', 'quick': 'class = "latency"'})
    p = r.program('batch', 'busy', int(b.ms * 20), b.seconds + 4, 16)
    assert line(p) == 'ready'
    time.sleep(0.5)
    w = words(result(r.program('quick', 'busy', b.ms, b.seconds, 1, 20000)))
    x = words(result(p))
    kernel = x['device_ns'] / max(1, x['kernels']) / 1e6
    b.put('latency class: p99 of a 1 ms call beside 20 ms kernels', '<= %.1f ms + 2 ms' % kernel, w['p99_ns'] / 1e6, 'ms', w['p99_ns'] / 1e6 <= kernel + 2)
    b.put('latency class: p50 of the same', '', w['p50_ns'] / 1e6, 'ms', None)
    b.place.close()


@row
def gate(b):
    """A call that crosses, with the gate open and shut for another reason: differences of medians."""
    ns = {}
    for _ in range(5):
        for name, text in (('none', 'policy = "none"'), ('turns', 'policy = "fair"'), ('timed', 'policy = "fair"\nmeasure = true')):
            r = b.place.router(text, {'one': 'calls = "1G"' if name == 'rate' else ''})
            ns.setdefault(name, []).append(words(result(r.program('one', 'probe', 'calls', 100000)))['ns'] / 100000)
            b.place.close()
    base = statistics.median(ns['none'])
    b.put('a call through an open gate', '', base, 'ns', None)
    for name in ('turns', 'timed'):
        more = statistics.median(ns[name]) - base
        b.put('the same, %s: more' % {'turns': 'with turns on', 'timed': 'timed'}[name], '< 50 ns' if name == 'turns' else '', more, 'ns',
              more < 50 if name == 'turns' else None)


@row
def changes(b):
    r = b.place.router('', {'a': '', 'b': 'weight = 2'})
    programs = [r.program(n, 'busy', b.ms, 6, 32) for n in ('a', 'b')]
    for p in programs:
        assert line(p) == 'ready'
    n = 0
    end = time.monotonic() + 5
    while time.monotonic() < end:
        assert r.hira('tenant', 'set', 'a', 'weight=%d' % (1 + n % 5)).returncode == 0
        n += 1
    lost = sum(1 for p in programs if p.wait(100) != 0) + r.tenant('a')['errors'] + r.tenant('b')['errors']
    b.put('calls lost or failed in %d changes of policy' % n, '0', lost, '', lost == 0)
    b.place.close()


@row
def many(b):
    """hirad's processor time at one sample a second, of a thousand tenants."""
    tenants = ''.join('tenant t%d { users = {"%d"} weight = %d }\n' % (i, 100000 + i, 1 + i % 7) for i in range(1000))
    r = b.place.router('metrics = "{d}/m.sock"\n' + tenants, {})
    r.hira('tenant', 'list')
    ticks = lambda: sum(int(x) for x in open('/proc/%d/stat' % r.p.pid).read().rsplit(')', 1)[1].split()[11:13]) / os.sysconf('SC_CLK_TCK')
    for name, ask in (('hira top', lambda: r.hira('top', '--times', '10')),
                      ('metrics', lambda: os.system("curl -s --unix-socket %s/m.sock http://h/metrics > /dev/null" % r.dir))):
        before, n = ticks(), 1 if name == 'hira top' else 50
        for _ in range(n):
            ask()
        percent = 100 * (ticks() - before) / (10 if name == 'hira top' else n)
        b.put('1,000 tenants, one sample a second: %s' % name, '< 1 % of a core', percent, '%', percent < 1)
    b.place.close()


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    p = argparse.ArgumentParser()
    p.add_argument('--builddir', default=os.path.join(here, '../build'))
    p.add_argument('--quick', action='store_true', help='2 s a measurement instead of 10')
    p.add_argument('--seconds', type=int)
    p.add_argument('--json', metavar='FILE')
    p.add_argument('rows', nargs='*', metavar='ROW', help=' '.join(f.__name__ for f in ROWS))
    a = p.parse_args()
    load = os.getloadavg()[0]
    b = Bench(a.builddir, a.seconds or (2 if a.quick else 10))
    failed = 0
    for f in ROWS:
        if a.rows and f.__name__ not in a.rows:
            continue
        try:
            f(b)
        except Exception as e:  # the next row is another matter
            failed = 1
            print('%-52s failed: %r' % (f.__name__, e))
            b.place.close()
    print('load average: before %.2f, after %.2f; %d cores' % (load, os.getloadavg()[0], os.cpu_count()))
    if a.json:
        with open(a.json, 'w') as f:
            json.dump({'rows': b.table, 'load': [load, os.getloadavg()[0]]}, f, indent=1)
    return failed


sys.exit(main())
