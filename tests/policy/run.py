#!/usr/bin/env python3
# Tenants of one device, with real kernels: who is one, what each may use, what happens when that changes. TAP.
# Asserted is what is exact: sums, quotas, refusals, that nothing is lost. What takes how long is measured by bench/policy.py.
# usage: run.py BUILD_FOLDER [TEST...]
# Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import traceback

from lib import Place, line, result, wait_for, words

TESTS = []
MIB = 1 << 20
SOAK = os.environ.get('HIRA_SOAK')


class Skip(Exception):
    pass


def test(f):
    TESTS.append(f)
    return f


def check(place, text):
    path = place.base + '/checked.conf'
    with open(path, 'w') as f:
        f.write(text)
    p = subprocess.run([place.build + '/src/router/hirad', '--check', '--config', path], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    return p.returncode, p.stderr.replace(path, 'F')


@test
def wrong_configurations_are_told_with_file_and_line(place):
    cases = [('policy = "fairly"\n', 'F:1: policy: fair, round-robin'),
             ('\ntenant a {\n  users = {"1"}\n  wieght = 2\n}\n', "F:4: no such option 'wieght'"),
             ('tenant a {\n users = {"1"}\n weight = -3\n}\n', 'F:3: weight: a number from 1 to'),
             ('tenant a {\n users = {"1"}\n weight = 0\n}\n', 'F:3: weight'),
             ('tenant a {\n users = {"nobody-of-that-name"}\n}\n', "F:2: users: there is no user 'nobody-of-that-name'"),
             ('tenant a {\n users = {"1"}\n memory = "5 apples"\n}\n', 'F:3: memory: bytes such as'),
             ('tenant a {\n users = {"1"}\n device_ms = 1200\n}\n', 'F:3: device_ms: a number from 0 to 1000'),
             ('tenant a {\n users = {"1"}\n priority = 9\n}\n', 'F:3: priority'),
             ('tenant a {\n users = {"1"}\n class = "quick"\n}\n', 'F:3: class: batch or latency'),
             ('tenant "a b" {\n users = {"1"}\n}\n', "tenant: 'a b' is no name"),
             ('tenant user-7 {\n users = {"1"}\n}\n', 'user-'),
             ('tenant a {\n}\n', 'nobody is one'),
             ('tenant a {\n users = {"1"}\n refuse = true\n}\n', 'only default may refuse'),
             ('tenant a { users = {"1"} }\ntenant a { users = {"2"} }\n', 'a'),
             ('device_memory = "1 GiB"\ntenant a {\n users = {"1"}\n memory = "2 GiB"\n}\n', 'more than device_memory'),
             ('device_memory = "1 GiB"\ntenant a { users = {"1"} memory = "600 MiB" }\ntenant b { users = {"2"} memory = "600 MiB" }\n',
              "tenants' memory together"),
             ('metrics = "0.0.0.0:9000"\n', 'F:1: metrics: '),
             ('tenant a {\n sockets = {"here"}\n}\n', 'F:2: sockets: an absolute path'),
             ('tenant a {\n users = {"${HOME}"}\n}\n', 'variables'),
             ('tenant a {\n users = {"1"}\n devices = {""}\n}\n', 'F:3: devices: a number or a pattern'),
             ('tenant a {\n', 'F:'), ('quantum = 0\n', 'F:1: quantum'),
             ('tenant a {\n users = {"1"}\n', "F:1: what begins here has no '}'"),
             ('default {\n weight = 2\n}\ndefault {\n refuse = true # } default {\n}\n', 'F:4: default: it stands in line 1'),
             ('tenant a {\n users = {"1"}\n}\ntenant b {\n users = {"7", "1"}\n}\n', "users: '1' stands in tenant a, too"),
             ('tenant a {\n sockets = {"/x"}\n}\ntenant b {\n sockets = {"/x"}\n}\n', "sockets: '/x' stands in tenant a, too"),
             ('tenant a {\n users = {"1"}\n calls_burst = "7"\n}\n', 'calls_burst: without calls'),
             ('tenant a {\n users = {"1"}\n bytes_burst = "1 MiB"\n}\n', 'bytes_burst: without bytes'),
             ('tenant a {\n users = {"no\x1b[2Jbody"}\n}\n', "there is no user 'no?[2Jbody'")]
    for text, want in cases:
        status, said = check(place, text)
        assert status == 1 and want in said, (text, status, said)
        assert said.startswith('F:') or 'device_memory' in text, said
    status, said = check(place, 'tenant a {\n users = {"1"}\n weight = 0\n priority = 9\n}\ntenant b {\n refuse = true\n class = "x"\n}\n')
    assert status == 1 and [l.split(':')[1] for l in said.splitlines()] == ['3', '4', '8'], said
    status, said = check(place, 'policy = "credit"\ntenant a { users = {"1", "root"} groups = {"0"} calls = "20k" memory = "1.5 GiB"\n'
                                'deny = {"clSVM*"} class = "latency" }\ndefault { refuse = true }\n')
    assert status == 0 and not said, said
    assert check(place, '')[0] == 0


@test
def tenants_are_known_by_socket_and_user(place):
    me = os.getuid()
    r = place.router('tenant mine { users = {"%d"} }' % me, {'one': '', 'other': 'weight = 3'})
    a, b, c = (r.program(t, 'probe', 'memory', 4096, 1) for t in ('one', 'other', None))
    for p in (a, b, c):
        assert line(p).startswith('got 1'), p.stderr.read()
    for n in ('one', 'other', 'mine'):
        t = r.tenant(n)
        assert t['guests'] == 1 and t['memory'] == 4096, t
    assert r.tenant('other')['settings']['weight'] == 3
    for p in (a, b, c):
        p.stdin.close()
        assert p.wait(20) == 0
    wait_for(lambda: all(r.tenant(n)['guests'] == 0 and r.tenant(n)['memory'] == 0 for n in ('one', 'other', 'mine')), 'all to be gone')


@test
def who_is_no_tenant_may_be_refused(place):
    r = place.router('default { refuse = true }', {'one': ''})
    p = r.program(None, 'probe', 'memory', 4096, 1, env={'HIRA_DEBUG': '1'})
    out, error = p.communicate(timeout=60)
    assert p.returncode == 1 and 'is no tenant of this router' in error, (out, error)
    p = r.program('one', 'probe', 'memory', 4096, 1)
    assert line(p).startswith('got 1')


@test
def denied_functions_and_apis_give_the_api_s_error(place):
    r = place.router('', {'one': 'deny = {"clCreateSampler", "hira_svm*"}', 'some': 'allow = {"clCreateS*"}\n deny = {"clCreateSampler"}',
                          'none': 'apis = {"null"}'})
    assert result(r.program('one', 'probe', 'function')) == 'error -5 none'
    assert result(r.program('one', 'probe', 'svm', 4096)) == 'svm no'
    assert result(r.program('some', 'probe', 'function')) == 'error 0 made'
    assert result(r.program('some', 'probe', 'svm', 4096)) == 'svm yes'
    p = r.program('none', 'probe', 'function', env={'HIRA_DEBUG': '1'})
    out, error = p.communicate(timeout=60)
    assert p.returncode == 1 and 'may not use opencl' in error, (out, error)


@test
def rules_that_name_nothing_are_warned_of(place):
    r = place.router('', {'one': 'deny = {"clCreateSampler", "clCreateSamplr"}'})
    def said():
        with open(r.log) as f:
            return f.read()
    result(r.program('one', 'probe', 'function'))
    wait_for(lambda: "deny = 'clCreateSamplr' names no function" in said(), 'a warning')
    assert "'clCreateSampler'" not in said(), said()


@test
def lists_are_changed_live(place):
    r = place.router('', {'one': 'allow = {"clCreateS*"}\n deny = {"clCreateSampler"}'})
    made = lambda: result(r.program('one', 'probe', 'function'))
    change = lambda **settings: r.hira('tenant', 'set', 'one', *(f'{k}={v}' for k, v in settings.items()))
    assert made() == 'error 0 made'
    assert change(allow='').returncode == 0 and made() == 'error -5 none'
    assert change(deny='clCreateKernel,clCreatePipe').returncode == 0 and made() == 'error 0 made'
    assert r.tenant('one')['settings']['rules'] == ['-clCreateKernel', '-clCreatePipe']
    assert change(allow='clCreateKernel', deny='').returncode == 0 and r.tenant('one')['settings']['rules'] == ['+clCreateKernel']
    assert change(apis='null').returncode == 0
    p = r.program('one', 'probe', 'function', env={'HIRA_DEBUG': '1'})
    assert 'may not use opencl' in p.communicate(timeout=60)[1]
    assert change(apis='', devices='nothing*').returncode == 0
    assert r.program('one', 'probe', 'function').wait(60) == 1          # it sees no device
    assert change(devices='0').returncode == 0 and made() == 'error 0 made'
    out = change(apis='No API', weight='3')
    assert out.returncode == 1 and "apis: 'No'" in out.stderr and r.tenant('one')['settings']['weight'] == 1, out.stderr


@test
def a_tenant_sees_its_devices_only(place):
    r = place.router('', {'all': '', 'first': 'devices = {"0"}', 'named': 'devices = {"pthread*", "9"}', 'none': 'devices = {"[A-Z]*"}'})
    env = {'POCL_DEVICES': 'basic pthread'}
    def seen(tenant):
        out, error = r.program(tenant, 'probe', 'devices', env=env).communicate(timeout=60)
        return out.splitlines(), error
    want = {'first': 'basic', 'named': 'pthread'}
    lines, error = seen('all')
    assert lines[0] == 'all basic pthread' and lines[3] == 'context basic pthread', (lines, error)
    nothing = [lines[2], lines[5]] # there are no accelerators
    for tenant, device in want.items():
        lines, error = seen(tenant)
        assert lines == ['all ' + device, 'default ' + device, nothing[0], 'context ' + device, 'default context ' + device, nothing[1]], (lines, error)
    lines, error = seen('none')
    assert lines == ['all error -1', 'default error -1', nothing[0], 'context error -1', 'default context error -1', nothing[1]], (lines, error)
    assert r.tenant('named')['settings']['devices'] == ['pthread*', '9']


@test
def each_device_has_turns_of_its_own(place):
    """Who works on one device waits for nobody on another; on the same one they take turns."""
    r = place.router('quantum = 5', {'one': 'devices = {"0"}', 'other': 'devices = {"1"}', 'same': 'devices = {"1"}'})
    iterations = int(result(r.program('one', 'busy', 'calibrate')))
    def turns(*tenants):
        programs = [r.program(t, 'busy', iterations, 1.5, 2, env={'POCL_DEVICES': 'pthread pthread', 'BUSY_WAIT': '1'}) for t in tenants]
        for p in programs:
            assert line(p) == 'ready', p.communicate()
        before = r.all_tenants()['turns']
        for p in programs:
            p.stdin.write('\n')
            p.stdin.flush()
        for p in programs:
            result(p)
        return r.all_tenants()['turns'] - before
    apart, together = turns('one', 'other'), turns('other', 'same')
    assert apart < 20 and together > 40, (apart, together)


@test
def devices_of_another_api_are_told_as_that_says(place):
    r = place.router('', {'all': '', 'some': 'devices = {"1"}', 'none': 'devices = {"7"}'}, '--server-dir', place.build + '/tests/nullapi')
    env = {'LD_LIBRARY_PATH': place.build + '/tests/nullapi'}
    def seen(tenant):
        out, error = r.program(tenant, 'devices', env=env).communicate(timeout=60)
        assert out, error
        return out.splitlines()
    every = seen('all')
    names = every[1].split(': ')[1].split()
    assert len(names) > 1 and every[0] == 'status 0 count %d' % len(names) and every[2].endswith(' of one: 1'), every
    incomplete = every[2].split()[1]
    assert incomplete != '0'
    assert seen('some') == ['status 0 count 1', 'status 0: ' + names[1], 'status 0 of one: 1', 'status 0: 1 %s %s' % (names[1], names[1])]
    assert seen('none') == ['status 0 count 0', 'status 0:', 'status 0 of one: 0', 'status 0:']


@test
def sixteen_processes_never_have_a_byte_too_many(place):
    quota, size = 64 * MIB, 3 * MIB
    r = place.router('', {'one': 'memory = "64 MiB"', 'other': ''})
    programs = [r.program('one', 'probe', 'memory', size, 1000) for _ in range(16)]
    got = [line(p).split() for p in programs]
    n = sum(int(w[1]) for w in got)
    assert n == quota // size, got # all that there is room for, and no more
    assert all(w[3] in ('-4', '0') for w in got) and all(int(w[5]) == quota for w in got), got
    t = r.tenant('one')
    assert t['memory'] == n * size and t['memory_peak'] <= quota, t
    assert int(line(r.program('other', 'probe', 'memory', MIB, 1)).split()[5]) > quota # another's device is as large as ever
    has = [p for p, w in zip(programs, got) if int(w[1])]
    killed = has[0]
    killed.kill()
    killed.wait()
    left = (n - int(got[programs.index(killed)][1])) * size
    wait_for(lambda: r.tenant('one')['memory'] == left, 'the memory of a killed process to come back')
    for p in has[1:]:
        assert line(p, '') == 'released'
    assert r.tenant('one')['memory'] == 0
    p = r.program('one', 'probe', 'memory', MIB, 1000) # of such a size that allocating would not be waited for
    assert int(line(p).split()[1]) == quota // MIB


@test
def parts_keep_the_memory_of_their_whole(place):
    r = place.router('', {'one': ''})
    p = r.program('one', 'probe', 'parts', 8 * MIB)
    assert line(p) == 'both' and r.tenant('one')['memory'] == 8 * MIB
    assert line(p, '') == 'part' and r.tenant('one')['memory'] == 8 * MIB
    assert line(p, '') == 'none' and r.tenant('one')['memory'] == 0
    q = r.program('one', 'probe', 'svm', 1 * MIB)
    assert result(q) == 'svm yes'
    assert r.tenant('one')['memory_peak'] == 8 * MIB


@test
def shared_memory_costs_what_is_allocated(place):
    """Of the least size too: what lies around it, so that it has pages of its own, is the tenant's."""
    r = place.router('', {'one': 'memory = "4 MiB"'})
    p = r.program('one', 'probe', 'many-svm', 1, 4000)
    got = int(line(p).split()[1])
    assert 0 < got <= 4 * MIB // 8193, got
    assert r.tenant('one')['memory'] == got * 8193 and r.tenant('one')['memory_peak'] <= 4 * MIB
    assert line(p, '') == 'released'
    wait_for(lambda: r.tenant('one')['memory'] == 0, 'the memory to come back')


@test
def what_waits_for_the_application_is_not_waited_for(place):
    r = place.router('', {'turns': '', 'time': 'device_ms = 500', 'calls': 'calls = "5000"\n calls_burst = "100"', 'busy': ''})
    busy = r.program('busy', 'busy', 100000, 60, 16)
    assert line(busy) == 'ready'
    for n in ('turns', 'time', 'calls'):
        out, error = r.program(n, 'probe', 'behind').communicate(timeout=100)
        assert out.splitlines() == ['behind 300000 some'] * len(out.splitlines()) and out, (n, out, error)


@test
def rates_are_never_exceeded(place):
    r = place.router('', {'calls': 'calls = "2000"\n calls_burst = "50"', 'bytes': 'bytes = "20 MB"\n bytes_burst = "1 MB"',
                          'time': 'device_ms = 200\n device_ms_burst = 10'})
    before = r.tenant('calls')['calls']
    began = time.monotonic()
    result(r.program('calls', 'probe', 'calls', 4000))
    took = time.monotonic() - began
    n = r.tenant('calls')['calls'] - before
    assert n >= 4000 and n <= 50 + 2000 * took + 60, (n, took) # some calls unblock others and do not wait
    print('# 4000 calls at 2000 a second took %.2f s' % took)
    ns = words(result(r.program('bytes', 'probe', 'bytes', 1000000, 40)))['ns']
    assert ns >= 1.9e9, ns
    print('# 40 MB at 20 MB a second took %.2f s' % (ns / 1e9))
    w = words(result(r.program('time', 'busy', 100000, 4, 8)))
    assert w['kernels'] > 0
    t = r.tenant('time')
    print('# device time at 200 ms a second: %.0f ms in %.2f s' % (t['device_ns'] / 1e6, w['wall_ns'] / 1e9))
    assert t['device_ns'] <= 200e6 * (w['wall_ns'] / 1e9 + 4) + 1e9, t


@test
def a_debt_ends_with_its_rate(place):
    r = place.router('', {'one': 'bytes = "1 MB"'})
    p = r.program('one', 'probe', 'bytes', 50000000, 2) # the first takes what fifty seconds give
    time.sleep(1)
    assert p.poll() is None
    p.kill()
    p.communicate()
    assert r.hira('tenant', 'set', 'one', 'bytes=1 GB').returncode == 0
    began = time.monotonic()
    result(r.program('one', 'probe', 'bytes', 500000, 2))
    assert time.monotonic() - began < 10


@test
def what_never_began_is_not_owed(place):
    """A program that is ended leaves no debt to its tenant's next one; what it has begun counts."""
    r = place.router('', {'one': 'bytes = "1 MB"'})
    p = r.program('one', 'probe', 'ahead', 500000, 100) # fifty seconds' worth, in a hundred commands
    wait_for(lambda: r.tenant('one')['bytes_owed_ns'] > 5e9, 'a debt')
    p.kill()
    p.communicate()
    wait_for(lambda: r.tenant('one')['bytes_owed_ns'] < 5e9, 'the debt to end with it')


@test
def a_raised_rate_holds_for_what_waits(place):
    r = place.router('', {'one': 'bytes = "100 kB"'})
    p = r.program('one', 'probe', 'ahead', 500000, 20) # a hundred seconds
    time.sleep(1)
    assert p.poll() is None
    began = time.monotonic()
    assert r.hira('tenant', 'set', 'one', 'bytes=5 MB').returncode == 0
    result(p)
    took = time.monotonic() - began
    print(f'# {took:.1f} s for what 2 s give')
    assert 1 < took < 15, took


@test
def a_program_may_follow_another_at_once(place):
    """The memory of one that has just ended is not in the next one's way."""
    r = place.router('', {'one': 'memory = "64 MiB"'})
    for _ in range(10):
        p = r.program('one', 'probe', 'memory', 60 * MIB, 1)
        got = line(p)
        assert got.startswith('got 1 '), got
        p.kill()
        p.wait()


@test
def pausing_delays_and_loses_nothing(place):
    r = place.router('', {'one': '', 'other': ''})
    p = r.program('one', 'busy', 100000, 6, 8)
    q = r.program('other', 'busy', 100000, 6, 8)
    assert line(p) == 'ready' and line(q) == 'ready'
    assert r.hira('pause', 'one').returncode == 0
    time.sleep(0.5)
    before = r.tenant('one')
    time.sleep(1)
    after = r.tenant('one')
    assert after['paused'] and after['device_ns'] == before['device_ns'] and after['commands'] == before['commands'], (before, after)
    assert r.hira('resume', 'one').returncode == 0
    assert words(result(p))['kernels'] > 0 and words(result(q))['kernels'] > 0
    assert not r.tenant('one')['paused']
    assert r.hira('pause', 'nobody').returncode == 1


@test
def settings_change_under_load_and_no_call_is_lost(place):
    r = place.router('', {'one': '', 'other': 'weight = 2'})
    programs = [r.program(n, 'busy', 30000, 8, 16) for n in ('one', 'other', 'one')]
    for p in programs:
        assert line(p) == 'ready'
    policies = ['fair', 'fifo', 'round-robin', 'band', 'credit', 'none', 'fair']
    for i, policy in enumerate(policies):
        r.tenants['one'] = 'weight = %d\n %s' % (i + 1, 'calls = "100k"' if i % 2 else '')
        r.write('policy = "%s"\nquantum = %d' % (policy, 1 + 3 * i))
        out = r.hira('reload')
        assert out.returncode == 0, out.stderr
        assert r.tenant('one')['settings']['weight'] == i + 1
        assert r.hira('tenant', 'set', 'other', 'weight=%d' % (7 - i), 'class=latency', 'device_ms=900').returncode == 0
        time.sleep(0.5)
    for p in programs:
        w = words(result(p))
        assert w['kernels'] > 0, w
    for n in ('one', 'other'):
        t = r.tenant(n)
        assert t['errors'] == 0 and t['queue'] == 0, t
    out = r.hira('tenant', 'set', 'other', 'weight=3', 'memory=lots')
    assert out.returncode == 1 and 'memory' in out.stderr and r.tenant('other')['settings']['weight'] == 1, out.stderr
    assert r.hira('tenant', 'set', 'other', 'wieght=3').returncode == 1


@test
def a_wrong_configuration_never_replaces_a_running_one(place):
    r = place.router('device_memory = "1 GiB"', {'one': 'weight = 5\n memory = "100 MiB"'})
    p = r.program('one', 'probe', 'memory', MIB, 1)
    assert line(p).startswith('got 1')
    r.tenants['one'] = 'weight = 6\n memory = "2 GiB"'
    r.write('device_memory = "1 GiB"')
    out = r.hira('reload')
    assert out.returncode == 1 and 'more than device_memory' in out.stderr, out.stderr
    assert r.tenant('one')['settings']['weight'] == 5 and r.tenant('one')['settings']['memory'] == 100 * MIB
    r.tenants['one'] = 'weight = 6\n memroy = "2 GiB"'
    r.write('')
    out = r.hira('reload')
    assert out.returncode == 1 and "hirad.conf:5: no such option 'memroy'" in out.stderr, out.stderr
    out = r.hira('tenant', 'set', 'one', 'memory=2 GiB')
    assert out.returncode == 1 and 'device_memory' in out.stderr, out.stderr
    assert line(p, '') == 'released'


@test
def counters_and_limits_survive_a_new_router(place):
    r = place.router('', {'one': 'memory = "64 MiB"', 'other': ''})
    p = r.program('one', 'probe', 'memory', 4 * MIB, 5)
    q = r.program('other', 'busy', 50000, 12, 8)
    assert line(p).startswith('got 5') and line(q) == 'ready'
    wait_for(lambda: r.tenant('other')['commands'] > 100, 'some kernels')
    before = r.tenant('one'), r.tenant('other')
    r.kill()
    time.sleep(1)
    r.start()
    wait_for(lambda: r.tenant('one')['guests'] == 1 and r.tenant('other')['guests'] == 1, 'the new router to know them')
    after = r.tenant('one'), r.tenant('other')
    for b, a in zip(before, after):
        assert a['calls'] >= b['calls'] and a['device_ns'] >= b['device_ns'] and a['memory'] == b['memory'], (b, a)
    s = r.program('one', 'probe', 'memory', 4 * MIB, 100)
    got = int(line(s).split()[1])
    assert got == 11, got # 44 of 64 MiB were free
    assert r.hira('pause', 'other').returncode == 0 and r.hira('resume', 'other').returncode == 0
    assert words(result(q))['kernels'] > 100
    assert line(p, '') == 'released' and r.tenant('one')['memory'] == 44 * MIB


@test
def a_router_that_is_away_stops_nobody(place):
    r = place.router('', {'one': '', 'other': ''})
    programs = [r.program(n, 'busy', 50000, 8, 8) for n in ('one', 'other')]
    for p in programs:
        assert line(p) == 'ready'
    r.kill()
    for p in programs:
        assert words(result(p))['kernels'] > 0


@test
def a_tenant_can_be_ended(place):
    r = place.router('', {'one': '', 'other': ''})
    p, q = (r.program(n, 'probe', 'memory', MIB, 1) for n in ('one', 'other'))
    assert line(p).startswith('got 1') and line(q).startswith('got 1')
    assert r.hira('kill', 'one').returncode == 0
    wait_for(lambda: r.tenant('one')['guests'] == 0, 'its server to end')
    assert r.tenant('other')['guests'] == 1 and p.poll() is None
    wait_for(lambda: r.tenant('one')['memory'] == 0, 'its memory to come back') # once the process has gone, which is later


@test
def metrics_are_what_prometheus_reads(place):
    if not shutil.which('curl'):
        raise Skip('curl is not installed')
    r = place.router('metrics = "{d}/metrics.sock"\nmeasure = true', {'one': 'memory = "64 MiB"'})
    p = r.program('one', 'probe', 'memory', MIB, 3)
    assert line(p).startswith('got 3')
    get = lambda path: subprocess.run(['curl', '-s', '-i', '--unix-socket', r.dir + '/metrics.sock', 'http://hira' + path],
                                      stdout=subprocess.PIPE, text=True, timeout=20).stdout
    text = get('/metrics')
    assert text.startswith('HTTP/1.1 200') and 'text/plain; version=0.0.4' in text, text[:300]
    values = dict(l.rsplit(' ', 1) for l in text.splitlines() if l.startswith('hira_'))
    assert float(values['hira_tenant_memory_bytes{tenant="one"}']) == 3 * MIB, values
    assert float(values['hira_tenant_memory_limit_bytes{tenant="one"}']) == 64 * MIB
    assert float(values['hira_tenant_calls_total{tenant="one",api="opencl"}']) > 0 and float(values['hira_tenant_guests{tenant="one"}']) == 1
    assert float(values['hira_tenant_call_seconds_count{tenant="one",api="opencl"}']) > 0
    made = 'hira_tenant_function_calls_total{tenant="one",api="opencl",function="clCreateBuffer"} 3'
    assert '_function_' not in text and made not in get('/metrics?function=clGet*')
    assert made in get('/metrics?function=clCreate*'), get('/metrics?function=*')
    names = {l.split()[2] for l in text.splitlines() if l.startswith('# TYPE')}
    used = {n.split('{')[0] for n in values}
    assert all(any(u == n or (u.startswith(n) and u[len(n):] in ('_bucket', '_sum', '_count')) for n in names) for u in used), used - names
    assert get('/other').startswith('HTTP/1.1 404') and os.stat(r.dir + '/metrics.sock').st_mode & 0o007 == 0
    out = r.hira('tenant', 'list')
    assert out.returncode == 0 and 'one' in out.stdout


TRACED = {'name', 'api', 'ts', 'args', 'end', 'code', 'dur', 'pid', 'lane', 'lost'}


def tracer(r, *words):
    p = subprocess.Popen([r.place.build + '/src/cli/hira', 'trace', '--socket', r.socket] + list(words), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    r.place.programs.append(p)
    return p


@test
def a_tenant_can_be_traced(place):
    r = place.router('', {'one': '', 'other': ''})
    programs = [r.program(n, 'busy', 1000, 100, 4) for n in ('one', 'other')]
    for p in programs:
        assert line(p) == 'ready'
    t = tracer(r, '--functions', 'clEnqueue*', '--json', 'one')
    calls = [json.loads(t.stdout.readline()) for _ in range(200)]
    assert all(set(c) == TRACED and c['name'] == 'clEnqueueNDRangeKernel' and c['end'] == 'ok' and c['pid'] == programs[0].pid for c in calls), calls[0]
    args = calls[0]['args']
    assert args['command_queue'].startswith('cl_command_queue#') and args['kernel'].startswith('cl_kernel#') and args['work_dim'] == 1, args
    assert args['global_work_size'] == 'in 8 bytes' and args['local_work_size'] is None or 'bytes' in args['local_work_size'], args
    assert len({c['args']['event'] for c in calls}) > 1 and calls[0]['ts'] < calls[-1]['ts'], calls[:3]
    second = tracer(r, 'one').communicate(timeout=30)
    assert 'being traced already' in second[1], second
    t.send_signal(signal.SIGINT)
    error = t.communicate(timeout=30)[1]
    assert t.returncode == 0 and not error, error
    t = tracer(r, 'one') # also a guest that comes later, from its first call on
    assert t.stdout.readline() # it has begun
    q = r.program('one', 'probe', 'function')
    assert result(q) == 'error 0 made'
    seen = ''
    while ' %d/0 clCreateSampler(' % q.pid not in seen:
        seen = t.stdout.readline()
        assert seen, t.communicate()
    assert 'context=cl_context#1, ' in seen and ', return=cl_sampler#' in seen and ' = ok 0 <' in seen, seen
    assert programs[0].poll() is None and programs[1].poll() is None


@test
def who_traces_and_does_not_read_stops_nobody(place):
    r = place.router('', {'one': ''})
    path = r.dir + '/calls'
    t = tracer(r, '--json', '-o', path, 'one')
    wait_for(lambda: os.path.exists(path), 'the trace to begin')
    result(r.program('one', 'probe', 'calls', 1000))
    wait_for(lambda: os.path.getsize(path) > 100000, 'calls to be traced')
    t.send_signal(signal.SIGSTOP)
    p = r.program('one', 'probe', 'calls', 15000) # more than the pipe and the reader's buffers hold
    began = time.monotonic()
    result(p)
    assert time.monotonic() - began < 15, 'one second, and no more, is waited for a reader'
    t.send_signal(signal.SIGCONT)
    q = r.program('one', 'probe', 'calls', 1000)
    result(q)
    time.sleep(1)
    t.send_signal(signal.SIGINT)
    error = t.communicate(timeout=30)[1]
    with open(path) as f:
        calls = [json.loads(l) for l in f]
    mine = [c for c in calls if c['pid'] == q.pid]
    lost = sum(c['lost'] for c in calls)
    assert len(mine) >= 1000, len(mine)
    assert lost == 0 or '%d calls are missing' % lost in error, (lost, error)
    t = tracer(r, 'one')
    time.sleep(0.5)
    t.kill() # asks for nothing any more: somebody else may, a little later
    wait_for(lambda: not second(r), 'the trace of one that was killed to end')


def second(r):
    """Whether somebody else is tracing; ends its own trace if not."""
    t = tracer(r, 'one')
    time.sleep(0.3)
    t.terminate()
    return 'already' in t.communicate(timeout=30)[1]


@test
def a_program_can_be_traced_whole(place):
    def trace(*words):
        env = dict(os.environ, LD_LIBRARY_PATH=place.build + '/specs/opencl')
        p = subprocess.run([place.build + '/src/cli/hira', 'trace'] + list(words) + ['--', place.build + '/tests/policy/policy-probe', 'parts', '4096'],
                           env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=60)
        assert p.returncode == 0, p.stderr
        return p.stderr
    text = trace()
    assert 'clCreateSubBuffer(buffer=cl_mem#' in text and 'buffer_create_info="in 16 bytes"' in text, text
    path = place.base + '/trace.json'
    assert not trace('--chrome', '-o', path)
    with open(path) as f:
        events = json.load(f)['traceEvents']
    assert all(e['ph'] == 'X' and e['dur'] >= 0 and e['cat'] == 'opencl' for e in events) and 'clCreateSubBuffer' in {e['name'] for e in events}, events
    calls = [json.loads(l) for l in trace('--json', '--functions', 'clCreate*').splitlines()]
    assert calls and all(c['name'].startswith('clCreate') for c in calls), calls
    part = [c['args'] for c in calls if c['name'] == 'clCreateSubBuffer'][0]
    assert (part['flags'], part['buffer_create_type']) == (0, 'CL_BUFFER_CREATE_TYPE_REGION'), part
    whole = [c['args'] for c in calls if c['name'] == 'clCreateBuffer'][0]
    assert whole['flags'] == 'CL_MEM_READ_WRITE|CL_MEM_HOST_NO_ACCESS', whole
    wrong = [c for c in calls if c['name'] == 'clCreateSubBuffer'][-1]
    assert (wrong['end'], wrong['code_name'], wrong['args']['buffer_create_type']) == ('error', 'CL_INVALID_VALUE', 4711), wrong


@test
def processes_of_a_tenant_upset_nobody_and_do_not_stay(place):
    r = place.router('', {'one': 'memory = "1 GiB"', 'other': ''})
    q = r.program('other', 'busy', 50000, 10, 2)
    assert line(q) == 'ready'
    before = len(os.listdir('/proc/%d/fd' % r.p.pid))
    many = 3000 if SOAK else 90
    for start in range(0, many, 30): # as many at once as there is memory for
        programs = [r.program('one', 'probe', 'memory', 4096, 1) for _ in range(30)]
        for i, p in enumerate(programs):
            if i % 3 == 0:
                p.kill() # while it waits, starts, or is served
        s = r.program('other', 'probe', 'calls', 10)
        began = time.monotonic()
        result(s)
        print('# a program of another tenant took %.1f s beside 30 that start' % (time.monotonic() - began))
        for i, p in enumerate(programs):
            p.stdin.close()
            p.stdin = None
            p.communicate(timeout=120)
            assert i % 3 == 0 or p.returncode == 0, (p.returncode, i)
    assert words(result(q))['kernels'] > 100
    wait_for(lambda: r.tenant('one')['guests'] == 0, 'all to leave')
    wait_for(lambda: len(os.listdir('/proc/%d/fd' % r.p.pid)) <= before + 12, 'descriptors to be closed')
    wait_for(lambda: r.tenant('one')['memory'] == 0, 'their memory to come back')
    t = r.tenant('other')
    assert t['errors'] == 0 and t['queue'] == 0, t


@test
def a_callback_that_never_returns_upsets_nobody(place):
    r = place.router('', {'one': '', 'other': ''})
    holder = r.program('one', 'probe', 'hold')
    assert line(holder) == 'held', holder.stderr.read()
    for n in ('other', 'one'): # nor those of its own
        w = words(result(r.program(n, 'busy', 50000, 2, 4)))
        assert w['kernels'] > 20, w
    assert holder.poll() is None and r.tenant('one')['queue'] == 0 and r.tenant('one')['errors'] == 0, r.tenant('one')
    assert r.hira('pause', 'one').returncode == 0 and r.hira('resume', 'one').returncode == 0
    assert r.hira('kill', 'one').returncode == 0
    wait_for(lambda: r.tenant('one')['guests'] == 0, 'its server to end')


@test
def clocks_that_jump_upset_nobody(place):
    path = place.base + '/jump'
    with open(path, 'wb') as f:
        f.write(bytes(4096))
    r = place.router('', {'one': '', 'other': 'weight = 2', 'calls': 'calls = "2000"\n calls_burst = "50"'},
                     env={'LD_PRELOAD': place.build + '/tests/policy/libpolicy-clock.so', 'CLOCK_JUMP': path})
    programs = [r.program(n, 'busy', 50000, 8, 8) for n in ('one', 'other')]
    for p in programs:
        assert line(p) == 'ready'
    q = r.program('calls', 'probe', 'calls', 8000)
    began = time.monotonic()
    for hours in (1, 2, 100):
        time.sleep(1)
        with open(path, 'r+b') as f:
            f.write((hours * 3600 * 10 ** 9).to_bytes(8, 'little'))
    ns = words(result(q))['ns']
    assert time.monotonic() - began < 30 and ns >= 2e9, ns # bursts are what a jump brings, and no more
    for p in programs:
        assert words(result(p))['kernels'] > 100
    for n in ('one', 'other'):
        t = r.tenant(n)
        assert t['errors'] == 0 and t['queue'] == 0 and t['guests'] <= 1, t
    assert r.hira('reload').returncode == 0


@test
def a_guest_has_none_of_its_tenant_s_pages(place):
    r = place.router('', {'one': 'memory = "64 MiB"\n calls = "100k"'})
    p = r.program('one', 'probe', 'memory', 4096, 1)
    assert line(p).startswith('got 1')
    with open('/proc/%d/maps' % p.pid) as f:
        mapped = {l.split()[5] for l in f if 'memfd:' in l}
    links = [os.readlink('/proc/%d/fd/%s' % (p.pid, n)) for n in os.listdir('/proc/%d/fd' % p.pid)]
    assert mapped and all(m.startswith(('/memfd:hira-lane', '/memfd:hira-arena', '/memfd:hira-callbacks')) for m in mapped), mapped
    assert not any('hira-limits' in l or 'hira-shared' in l or 'hira-account' in l for l in links), links


def main():
    chosen = [t for t in TESTS if t.__name__ in sys.argv[2:]] if sys.argv[2:] else TESTS
    failed = 0
    print('1..%d' % len(chosen), flush=True)
    place = Place(sys.argv[1])
    for i, t in enumerate(chosen, 1):
        name = t.__name__.replace('_', ' ')
        try:
            t(place)
            print('ok %d - %s' % (i, name), flush=True)
        except Skip as why:
            print('ok %d - %s # SKIP %s' % (i, name, why), flush=True)
        except Exception:
            failed += 1
            print('\n'.join('# ' + l for l in traceback.format_exc().splitlines()))
            for r in place.routers:
                with open(r.log) as f:
                    print('\n'.join('# hirad: ' + l for l in f.read().splitlines()[-15:]))
            print('not ok %d - %s' % (i, name), flush=True)
        place.close()
    shutil.rmtree(place.base, ignore_errors=True)
    return 1 if failed else 0


sys.exit(main())
