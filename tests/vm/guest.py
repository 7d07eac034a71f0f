#!/usr/bin/python3
# Process 1 of the virtual machine of tests/vm/run.py, whose files are the host's, to read only. Says what it finds on its console, a line each.
# Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
import ctypes
import hashlib
import os
import socket
import statistics
import subprocess
import sys
import threading
import time
import traceback

FINIT_MODULE = 313
libc = ctypes.CDLL(None, use_errno=True)
HOST, ECHO, SINK, NOWHERE, CLOSED = 2, 7, 9, 1000, 11  # as run.py has them


def say(text):
    print('guest: ' + text, flush=True)


def setup():
    for kind, where in (('proc', '/proc'), ('sysfs', '/sys'), ('tmpfs', '/tmp')):
        subprocess.run(['mount', '-t', kind, 'none', where], check=True)
    modules = '/usr/lib/uml/modules/' + os.uname().release + '/kernel/net/vmw_vsock/'
    for m in ('vsock', 'vmw_vsock_virtio_transport_common', 'vmw_vsock_virtio_transport'):
        with open(modules + m + '.ko', 'rb') as f:
            if libc.syscall(FINIT_MODULE, f.fileno(), b'', 0):
                raise OSError(ctypes.get_errno(), 'module ' + m)


def connect(port):
    s = socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)
    s.settimeout(60)
    s.connect((HOST, port))
    return s


def receive(s, size):
    data = b''
    while len(data) < size:
        more = s.recv(size - len(data))
        if not more:
            break
        data += more
    return data


def echo():
    """What is sent comes back, in pieces of all sizes."""
    with connect(ECHO) as s:
        for size in (1, 2, 43, 44, 45, 4051, 4052, 4053, 4095, 4096, 4097, 65535, 65536, 65537, 200000):
            data = os.urandom(size)
            s.sendall(data)
            assert receive(s, size) == data, size


def bulk():
    """More than all buffers together hold, both ways at once."""
    data = os.urandom(8 << 20)
    with connect(ECHO) as s:
        sender = threading.Thread(target=lambda: (s.sendall(data), s.shutdown(socket.SHUT_WR)))
        begin = time.monotonic()
        sender.start()
        got = receive(s, len(data) + 1)
        sender.join()
        assert hashlib.sha256(got).digest() == hashlib.sha256(data).digest(), len(got)
        say(f'{2 * len(data) / (time.monotonic() - begin) / 1e6:.0f} MB/s both ways together')


def many():
    """Streams at once, each with its own bytes."""
    streams = [connect(ECHO) for _ in range(100)]
    for turn in range(5):
        for i, s in enumerate(streams):
            s.sendall(b'%d of turn %d;' % (i, turn) * 50)
        for i, s in enumerate(streams):
            want = b'%d of turn %d;' % (i, turn) * 50
            assert receive(s, len(want)) == want, i
    for s in streams:
        s.close()


def endings():
    """Half a close lets the other half go on; the other side's end is seen."""
    with connect(ECHO) as s:
        s.sendall(b'last words')
        s.shutdown(socket.SHUT_WR)
        assert receive(s, 100) == b'last words'
    with connect(SINK) as s:  # says something, closes without reading
        assert receive(s, 100) == b'bye'
        try:
            for _ in range(1000):
                s.sendall(bytes(100000))
            raise AssertionError('a closed stream takes everything')
        except (BrokenPipeError, ConnectionResetError):
            pass


def refusals():
    """Ports that lead nowhere, and one whose program does not listen."""
    for port in (NOWHERE, CLOSED):
        try:
            connect(port)
            raise AssertionError(f'port {port} answers')
        except ConnectionResetError:
            pass


def latency():
    times = []
    with connect(ECHO) as s:
        for _ in range(300):
            begin = time.monotonic()
            s.sendall(bytes(64))
            receive(s, 64)
            times.append(time.monotonic() - begin)
    say(f'64 bytes and back: {statistics.median(times) * 1e6:.0f} us')


def main():
    setup()
    for f in (echo, bulk, many, endings, refusals, latency):
        try:
            f()
            say('ok ' + f.__name__)
        except BaseException:  # whatever it is, the next is of interest, too
            say('not ok ' + f.__name__)
            traceback.print_exc(file=sys.stdout)
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
