# A hirad with tenants, and programs of theirs: for tests/policy/run.py and bench/policy.py.
# Each tenant has a socket of its own, so an ordinary user can be several.
# Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
import json
import os
import signal
import subprocess
import tempfile
import time


def wait_for(condition, what, seconds=20):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError('waited in vain for ' + what)


class Place:
    def __init__(self, build):
        self.build = os.path.abspath(build)
        self.base = tempfile.mkdtemp(prefix='hira-policy-')
        self.cache = os.environ.get('HIRA_CACHE_DIR', self.base + '/cache')
        self.routers, self.programs = [], []

    def router(self, text, tenants=(), *args, env=None):
        r = Router(self, text, tenants, args, env)
        self.routers.append(r)
        return r

    def close(self):
        for p in self.programs:
            if p.poll() is None:
                p.kill()
            p.wait()
            for f in (p.stdin, p.stdout):
                if f:
                    f.close()
        for r in self.routers:
            r.stop()
        self.programs, self.routers = [], []


class Router:
    """`tenants`: {name: settings as in the file}; {d} in a text is the router's folder."""

    def __init__(self, place, text, tenants, args, env=None):
        self.place = place
        self.env = dict(os.environ, **(env or {}))
        self.dir = tempfile.mkdtemp(dir=place.base)
        self.socket, self.config, self.log = self.dir + '/hirad.sock', self.dir + '/hirad.conf', self.dir + '/log'
        self.args = list(args)
        self.tenants = dict(tenants)
        self.write(text)
        self.start()

    def write(self, text):
        blocks = ['tenant %s {\n sockets = {"%s/%s.sock"}\n%s\n}\n' % (n, self.dir, n, s) for n, s in self.tenants.items()]
        with open(self.config, 'w') as f:
            f.write(text.replace('{d}', self.dir) + '\n' + ''.join(blocks))

    def start(self):
        out = open(self.log, 'a')
        self.p = subprocess.Popen([self.place.build + '/src/router/hirad', '--socket', self.socket, '--server-dir', self.place.build + '/specs',
                                   '--config', self.config, '--work-dir', self.dir, '--cache-dir', self.place.cache] + self.args,
                                  stdin=subprocess.DEVNULL, stderr=out, env=self.env)
        out.close()
        wait_for(lambda: self.p.poll() is not None or self.hira('status').returncode == 0, 'hirad to listen')
        assert self.p.poll() is None, open(self.log).read()
        for n in self.tenants:
            wait_for(lambda: os.path.exists('%s/%s.sock' % (self.dir, n)), "a tenant's socket")

    def kill(self):
        self.p.send_signal(signal.SIGKILL)
        self.p.wait()

    def stop(self):
        if self.p.poll() is None:
            self.p.terminate()
            self.p.wait()

    def hira(self, *words):
        return subprocess.run([self.place.build + '/src/cli/hira', words[0], '--socket', self.socket] + list(words[1:]),
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=60)

    def all_tenants(self):
        out = self.hira('tenant', '--json', 'list')
        assert out.returncode == 0, out.stderr
        return json.loads(out.stdout)

    def tenant(self, name):
        out = self.hira('tenant', '--json', 'show', name)
        assert out.returncode == 0, out.stderr
        return json.loads(out.stdout)['tenants'][0]

    def program(self, tenant, name, *words, env=None):
        e = {**os.environ, 'HIRA_SOCKET': self.socket if tenant is None else '%s/%s.sock' % (self.dir, tenant),
             'LD_LIBRARY_PATH': self.place.build + '/specs/opencl', **(env or {})}
        p = subprocess.Popen(['%s/tests/policy/policy-%s' % (self.place.build, name)] + [str(w) for w in words], env=e,
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.place.programs.append(p)
        return p


def words(line):
    """'kernels 3 device_ns 5' as {'kernels': 3, 'device_ns': 5}."""
    w = line.split()
    return {w[i]: int(w[i + 1]) for i in range(0, len(w) - 1, 2)}


def result(p, seconds=120):
    """The last line of a program that ended well."""
    out, error = p.communicate(timeout=seconds)
    assert p.returncode == 0, (p.returncode, out, error)
    return out.strip().splitlines()[-1]


def line(p, text=None):
    """The program's next line, after it was given one."""
    if text is not None:
        p.stdin.write(text + '\n')
        p.stdin.flush()
    return p.stdout.readline().strip()
