#!/usr/bin/env python3
# Load: a thousand guests that wait, hundreds that work, storms of them, runs without end, bad neighbours. TAP.
# usage: run.py BUILDDIR load [TEST...]     HIRA_SOAK=1: the full counts
# Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
import os
import socket
import statistics
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../faults'))
from lib import BUILD, CLIENT, HIRA, NULLAPI, SOAK, Skip, main, note, test  # noqa: E402
from wire import descendants, descriptors, settled_descriptors, stat_of, wait_for  # noqa: E402

CROWD = BUILD + '/tests/load/load-crowd'
TICK = os.sysconf('SC_CLK_TCK')


def crowd(r, *args, **kw):
    return subprocess.Popen([CROWD, *map(str, args)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                            env=dict(os.environ, HIRA_SOCKET=r.path), **kw)


def done(p, seconds):
    """calls, wrong, refused."""
    out, err = p.communicate(timeout=seconds)
    assert p.returncode == 0 and not err, (p.returncode, out, err)
    return tuple(map(int, out.split()[-3:]))


def kib(pid, *names):
    """Of a process, from smaps_rollup."""
    with open(f'/proc/{pid}/smaps_rollup') as f:
        values = {line.split(':')[0]: int(line.split()[1]) for line in f if line.endswith('kB\n')}
    return sum(values[n] for n in names)


def private(pid):
    # Clean pages are a program file's, and seem to be this process's alone as soon as another that runs the same program ends.
    return kib(pid, 'Private_Dirty')


def cpu(pid):
    with open(f'/proc/{pid}/stat') as f:
        w = f.read().rpartition(')')[2].split()
    return (int(w[11]) + int(w[12])) / TICK


def precise_cpu(pid):
    """Of all threads, in seconds."""
    total = 0
    for t in os.listdir(f'/proc/{pid}/task'):
        try:
            with open(f'/proc/{pid}/task/{t}/schedstat') as f:
                total += int(f.read().split()[0])
        except FileNotFoundError:
            pass
    return total / 1e9


def wakes(pid):
    total = 0
    for t in os.listdir(f'/proc/{pid}/task'):
        with open(f'/proc/{pid}/task/{t}/status') as f:
            total += int(next(line for line in f if line.startswith('voluntary_ctxt')).split()[1])
    return total


def settled(r):
    """hirad with nobody served: what it holds then is what it keeps."""
    wait_for(lambda: r.status()['serving'] == 0 and r.status()['waiting'] == 0, 'all to leave', 60)
    r.ready('null')
    return settled_descriptors(r.p.pid)


def back_to(r, fds):
    """A thousand processes take a while to end."""
    settled(r)
    wait_for(lambda: descriptors(r.p.pid) <= fds + 2, f'descriptors to be closed ({fds})', 60)


@test('load')
def a_thousand_guests_wait(place):
    n = 1000
    r = place.router('--max-guests', str(n + 100))
    r.ready('null')
    r.status()
    fds, before = settled_descriptors(r.p.pid), private(r.p.pid)
    start = time.time()
    p = crowd(r, 'idle', n)
    assert p.stdout.readline() == f'ready {n}\n', p.communicate()
    took = time.time() - start
    r.ready('null')
    time.sleep(1)
    held = private(r.p.pid)
    servers = [g['server'] for g in r.status()['guests']]
    zygote = r.zygote('null')
    # The two that hirad cannot see the cost of: descriptors and sockets in the kernel.
    note(f'{n} guests came in {took:.1f} s; hirad: {(held - before) / n:.2f} KiB private and {(descriptors(r.p.pid) - fds) / n:.1f} '
         f'descriptors for each; its zygote {descriptors(zygote) / n:.1f} descriptors')
    sample = servers[::max(1, len(servers) // 20)][:20]
    note(f'a waiting guest\'s server: {statistics.mean(private(s) for s in sample):.0f} KiB private, '
         f'{statistics.mean(kib(s, "Pss") for s in sample):.0f} KiB proportional')
    seconds = 20 if SOAK else 10
    hirad, zyg, some = precise_cpu(r.p.pid), precise_cpu(zygote), [precise_cpu(s) for s in sample]
    woken, hirad_woken = sum(wakes(s) for s in sample), wakes(r.p.pid)
    time.sleep(seconds)
    hirad, zyg = precise_cpu(r.p.pid) - hirad, precise_cpu(zygote) - zyg
    some = sum(precise_cpu(s) for s in sample) - sum(some)
    woken = sum(wakes(s) for s in sample) - woken
    note(f'in {seconds} s: hirad {hirad / seconds * 100:.4f} % of a core, woken {wakes(r.p.pid) - hirad_woken} times; zygote '
         f'{zyg / seconds * 100:.4f} %; {len(sample)} servers {some / seconds * 100:.4f} %, woken {woken} times')
    assert (held - before) / n < 16, (before, held)
    assert hirad / seconds < 0.001, hirad
    assert woken == 0, woken
    p.stdin.close()
    p.stdin = None
    counts = done(p, 120)
    assert counts == (2 * n, 0, 0), counts
    back_to(r, fds)
    # Twice the same: what hirad has grown to once is enough.
    high = private(r.p.pid)
    p = crowd(r, 'idle', n // 2)
    assert p.stdout.readline() == f'ready {n // 2}\n', p.communicate()
    p.stdin.close()
    p.stdin = None
    assert done(p, 120) == (n, 0, 0)
    back_to(r, fds)
    assert private(r.p.pid) < high + 256, (high, private(r.p.pid))


@test('load')
def hundreds_work(place):
    n, seconds = 200, 30 if SOAK else 6
    r = place.router()
    fds = settled(r)
    p = crowd(r, 'active', n, seconds)
    calls, wrong, refused = done(p, 60 + 20 * seconds)
    assert (wrong, refused) == (0, 0) and calls > n * 100, (calls, wrong, refused)
    back_to(r, fds)
    note(f'{n} guests made {calls / seconds:,.0f} calls a second together')


@test('load')
def opencl_guests_as_many_as_memory_holds(place):
    if not os.path.exists('/etc/OpenCL/vendors') or not os.listdir('/etc/OpenCL/vendors'):
        raise Skip('no OpenCL implementation')
    folder = BUILD + '/specs/opencl'
    r = place.router('--api', 'opencl', servers=folder)
    r.ready('opencl')
    programs = BUILD + '/tests/opencl'
    server = next(pid for pid in descendants() if stat_of(pid) and stat_of(pid)[1] == r.zygote('opencl'))
    each = private(server)
    with open('/proc/meminfo') as f:
        free = int(next(line for line in f if line.startswith('MemAvailable')).split()[1])
    n = min(free // 2 // max(each + 150 * 1024, 1), 200 if SOAK else 12)   # a kernel build takes 130 MB, for a while
    env = dict(os.environ, HIRA_SOCKET=r.path, LD_LIBRARY_PATH=folder)
    ps = [subprocess.Popen([programs + '/cl_queue'], env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) for _ in range(n)]
    outs = [p.communicate(timeout=600)[0] for p in ps]
    assert all(p.returncode == 0 for p in ps) and len(set(outs)) == 1, (set(p.returncode for p in ps), len(set(outs)))
    note(f'a server with a device ready holds {each / 1024:.1f} MiB private; {n} programs at once printed the same')


@test('load')
def storms(place):
    seconds, n = (120, 50) if SOAK else (8, 30)
    r = place.router('--max-guests', '200')
    p = crowd(r, 'storm', n, 2)     # hirad grows to its size
    done(p, 120)
    fds, before = settled(r), private(r.p.pid)
    p = crowd(r, 'storm', n, seconds)
    calls, wrong, refused = done(p, 60 + 10 * seconds)
    assert wrong == 0 and calls > 10 * seconds, (calls, wrong, refused)
    back_to(r, fds)
    after = private(r.p.pid)
    note(f'{calls / seconds:.0f} guests a second came and went in every way; {refused} were refused; hirad {before} -> {after} KiB')
    assert after < before + 200, (before, after)
    wait_for(lambda: len(r.folders()) <= 2, 'folders to be removed', 10)


@test('load')
def short_runs_under_a_hog(place):
    n = 10000 if SOAK else 400
    r = place.router()
    hogs = [subprocess.Popen([CROWD, 'hog', '100000'], stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL) for _ in range(os.cpu_count() or 2)]
    env = dict(os.environ, HIRA_SOCKET=r.path)
    fds = before = None
    try:
        start, i = time.time(), 0
        while i < n:
            ps = [subprocess.Popen([CLIENT], env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
                  for _ in range(4)]
            for p in ps:
                out = p.communicate('sum 3\npost 20\nsort\nsum\n', timeout=60)[0]
                assert p.returncode == 0 and [line.split()[1] for line in out.splitlines()] == ['0'] * 4, (i, p.returncode, out)
            i += 4
            if i == n // 4 // 4 * 4:
                fds, before = settled(r), private(r.p.pid)
        took = time.time() - start
        back_to(r, fds)
        after = private(r.p.pid)
    finally:
        for h in hogs:
            h.kill()
            h.wait()
    note(f'{n} runs in {took:.0f} s, {took / n * 1000:.1f} ms each; hirad {before} -> {after} KiB')
    assert after < before + 200, (before, after)


@test('load')
def runs_with_a_router_of_their_own(place):
    """`hira run` with a private hirad each time."""
    n = 1000 if SOAK else 40
    work = place.base + '/tmp'
    os.mkdir(work)
    for i in range(n):
        p = subprocess.run([HIRA, 'run', '--server-dir', NULLAPI, '--lib-dir', NULLAPI, '--', CLIENT], input='sum\nsort\n', text=True,
                           capture_output=True, timeout=60, env=dict(os.environ, TMPDIR=work))
        assert p.returncode == 0 and [line.split()[1] for line in p.stdout.splitlines()] == ['0', '0'] and not p.stderr, p
        assert not os.listdir(work), os.listdir(work)


# ---- neighbours ----

def pin(pid, processor):
    for t in os.listdir(f'/proc/{pid}/task'):
        try:
            os.sched_setaffinity(int(t), {processor})
        except ProcessLookupError:
            pass


def served(r, parent):
    """The guest among a process's children that has made calls, if there is one."""
    with open(f'/proc/{parent}/task/{parent}/children') as f:
        children = f.read().split()
    return next((g for g in r.status()['guests'] if str(g['pid']) in children and g['calls']), None)


def apart(g):
    """Keeps a guest and its server on a processor each: a call costs ten times as much where the kernel happens to put both on one."""
    processors = sorted(os.sched_getaffinity(0))
    pin(g['pid'], processors[0])
    pin(g['server'], processors[-1])


def measured_victim(r, seconds, neighbours, theirs=None):
    """Of a well-behaved guest beside neighbours (of another router, theirs): calls a second, and processor time a call, the server's
    included, in microseconds."""
    # Each in a session of its own, as guests are that know nothing of each other: by that the kernel shares processors out.
    others = [crowd(theirs or r, *args, 600, start_new_session=True) for args in neighbours]
    time.sleep(0.3)
    p = crowd(r, 'active', 1, seconds + 2, start_new_session=True)
    def look():
        g = served(r, p.pid)
        return time.monotonic(), g['calls'], precise_cpu(g['pid']) + precise_cpu(g['server'])
    wait_for(lambda: served(r, p.pid), 'the victim to be served', 20)
    apart(served(r, p.pid))
    before = look()
    time.sleep(seconds)
    wall, calls, used = (b - a for a, b in zip(before, look()))
    n, wrong, refused = done(p, 60)
    assert n > 0 and (wrong, refused) == (0, 0), (n, wrong, refused)
    for other in others:
        other.kill()
        other.communicate()
    if others:
        settled(theirs or r)
    return calls / wall, used / calls * 1e6


@test('load')
def bad_neighbours(place):
    """What one guest sends is never another's cost. A neighbour takes processor time, which the kernel shares out, and wakes and sleeps
    as it likes, which costs anybody beside it; beyond that a call is to cost what it costs when the same neighbour is the guest of
    another router, with which the victim shares nothing of Hira. Beside it, how that compares with programs that only compute. Medians
    of rounds, for machines differ from second to second; figures, not verdicts, for the same reason."""
    seconds, rounds = (1, 15) if SOAK else (0.5, 3)
    both = [place.router('--connect-rate', '100', preexec=os.setsid) for _ in range(2)]
    for r in both:
        settled(r)
    hog = ('hog',)
    kinds = {'alone': (), 'two that compute': (hog, hog)}
    apart = {k: k + ' at another router' for k in ('flood', 'quota', 'garbage', 'reconnect')}
    for k, other in apart.items():
        kinds[k] = kinds[other] = ((k,),)
    seen = {k: [] for k in kinds}
    for _ in range(rounds):
        for k, neighbours in kinds.items():
            seen[k].append(measured_victim(both[0], seconds, neighbours, both[k in apart.values()]))
    for k, values in seen.items():
        rate, each = (statistics.median(v) for v in zip(*values))
        more = statistics.median(a[1] / b[1] for a, b in zip(values, seen[apart.get(k, k)])) # of what was measured together
        note(f'beside {k}: {rate:,.0f} calls/s, {each:.2f} us of a processor each'
             + (f', {(more - 1) * 100:+.1f} % against the same at another router' if k in apart else ''))


@test('load')
def visits_are_counted(place):
    """A process that connects over and over is not listened to for a while; others are, and so is it again later."""
    r = place.router('--connect-rate', '100')

    def connect(n):
        heard = 0
        for _ in range(n):
            with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as s:
                s.connect(r.path)
                try:
                    s.send(b'no hello at all ' * 4)
                    heard += len(s.recv(4096)) > 0
                except OSError:
                    pass
        return heard
    began = time.time()
    heard = connect(1500)
    most = 200 + 100 * (time.time() - began) + 1
    assert 200 <= heard <= most, (heard, most)
    assert subprocess.run([CLIENT], env=dict(os.environ, HIRA_SOCKET=r.path), input='sum 3\n', text=True, capture_output=True,
                          timeout=60).stdout.split()[1:2] == ['0']
    wait_for(lambda: connect(1) == 1, 'being heard again', 10)


@test('load')
def starts_are_counted(place):
    """A tenant's servers are started at a rate, so that coming and going costs the others no more than that; nobody is refused for it."""
    r = place.router('--max-guests', '200')
    began = time.time()
    calls, wrong, refused = done(crowd(r, 'storm', 20, 6), 120)
    most = 200 + 100 * (time.time() - began) + 8
    served = r.status()['served']
    note(f'{served} guests served in {time.time() - began:.1f} s')
    assert (wrong, refused) == (0, 0) and served <= most, (wrong, refused, served, most)


if __name__ == '__main__':
    main(sys.argv[2], sys.argv[3:])
