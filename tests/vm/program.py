#!/usr/bin/python3
# Process 1 of the virtual machines of tests/vm/channel.py, whose files are the host's, to read only: runs what the file JOB says, and tells on
# its console how each ended and what it printed.
# Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
import ctypes
import hashlib
import json
import mmap
import os
import random
import subprocess
import sys
import threading
import time
import traceback

FINIT_MODULE = 313
libc = ctypes.CDLL(None, use_errno=True)
saying = threading.Lock()


def say(value):
    with saying:
        print('guest: ' + json.dumps(value), flush=True)


def setup(modules, more):
    for kind, where in (('proc', '/proc'), ('sysfs', '/sys'), ('tmpfs', '/run')):
        subprocess.run(['mount', '-t', kind, 'none', where], check=True)
    folder = modules + os.uname().release + '/kernel/net/vmw_vsock/'
    for m in ('vsock', 'vmw_vsock_virtio_transport_common', 'vmw_vsock_virtio_transport', *more):
        with open(folder + m + '.ko', 'rb') as f:
            if libc.syscall(FINIT_MODULE, f.fileno(), b'', 0):
                raise OSError(ctypes.get_errno(), 'module ' + m)


def scribble(path, size, seconds):
    """What a machine may do to its own memory: anything."""
    noise, end = random.Random(1), time.monotonic() + seconds
    with open(path, 'r+b', buffering=0) as f, mmap.mmap(f.fileno(), size) as memory:
        while time.monotonic() < end:
            at = noise.randrange(size - 4096)
            memory[at:at + 4096] = noise.randbytes(4096)
            memory[:4096] = noise.randbytes(4096)


def start(daemon, env):
    """A program that stays, until it has said that it is ready."""
    with open('/run/daemon.log', 'wb') as log:
        subprocess.Popen(daemon['argv'], env=dict(env, **daemon['env']), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    end = time.monotonic() + 60
    while time.monotonic() < end and daemon['until'] not in open('/run/daemon.log').read():
        time.sleep(0.1)


def run(i, c, env):
    begin = time.monotonic()
    if 'scribble' in c:
        scribble(*c['scribble'])
        say({'i': i, 'status': 0})
        return
    try:
        p = subprocess.run(c['argv'], env=dict(env, **c.get('env', {})), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                           timeout=c.get('limit', 60))
        status, out, errors = p.returncode, p.stdout, p.stderr
    except subprocess.TimeoutExpired as e:
        status, out, errors = 'timeout', e.stdout or b'', e.stderr or b''
    say({'i': i, 'status': status, 'sha': hashlib.sha256(out).hexdigest(), 'out': out[-c.get('tail', 300):].decode(errors='replace'),
         'err': errors[-300:].decode(errors='replace'), 's': round(time.monotonic() - begin, 2)})


def main():
    with open(os.environ['JOB']) as f:
        job = json.load(f)
    setup(job['modules'], job.get('more_modules', ()))
    env = dict(os.environ, TMPDIR='/run', HOME='/run', PATH='/usr/sbin:/usr/bin:/sbin:/bin', **job['env'])
    say('up')
    if 'daemon' in job:
        start(job['daemon'], env)
    threads = [threading.Thread(target=run, args=(i, c, env)) for i, c in enumerate(job['commands'])]
    for t in threads:
        t.start()
        if not job.get('at_once'):
            t.join()
    for t in threads:
        t.join()
    if 'daemon' in job:
        with open('/run/daemon.log') as f:
            say({'i': 'daemon', 'log': f.read()[-3000:]})
    say('done')


try:
    main()
except BaseException:  # said before the end, or nobody hears it
    traceback.print_exc(file=sys.stdout)
finally:
    sys.stdout.flush()
    time.sleep(0.5)  # the console is not flushed by what follows
    subprocess.run(['sh', '-c', 'echo 1 > /proc/sys/kernel/sysrq; echo o > /proc/sysrq-trigger'])
    time.sleep(60)
