# A long cable between two network namespaces, which loses frames: what netem is in kernels that have it, and the same in all.
# Needs root, and /dev/net/tun.
# usage: cable.py PID PID --delay SECONDS --loss SHARE --seed NUMBER: between the namespaces of two processes, until standard input ends
# Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
import argparse
import collections
import ctypes
import errno
import fcntl
import json
import os
import random
import select
import struct
import subprocess
import sys
import time

TUNSETIFF, IFF_TAP, IFF_NO_PI = 0x400454ca, 0x0002, 0x1000
CLONE_NEWNET = 0x40000000
FRAME = 2048  # more than an MTU of 1500 and its head
BATCH = 64  # frames that are taken before what is due is looked after


def open_end(pid):
    """A network device `cable` in that process's namespace, whose wire is the file. It offers the kernel nothing to offload: each frame
    comes with its checksum, and no longer than the MTU, which a packet socket on a veth does not promise."""
    libc = ctypes.CDLL(None, use_errno=True)
    with open(f'/proc/{pid}/ns/net') as ns:
        if libc.setns(ns.fileno(), CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), f'the network namespace of {pid}')
    end = os.open('/dev/net/tun', os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    fcntl.ioctl(end, TUNSETIFF, struct.pack('16sH22x', b'cable', IFF_TAP | IFF_NO_PI))
    return end


class Way:
    """One direction. What came is kept until it is due; which of its frames are lost, counted from the first, is the seed's."""

    def __init__(self, a, b, delay, loss, seed):
        self.a, self.b, self.delay, self.loss = a, b, delay, loss
        self.draw = random.Random(seed).random
        self.under_way = collections.deque()  # in the order in which they are due: all wait for the same time
        self.forwarded = self.lost = 0

    def take(self):
        for _ in range(BATCH):
            try:
                frame = os.read(self.a, FRAME)
            except BlockingIOError:
                return
            if self.draw() < self.loss:
                self.lost += 1
            else:
                self.under_way.append((time.monotonic() + self.delay, frame))

    def give(self):
        """What is due. Seconds until there is more, or None."""
        now = time.monotonic()
        while self.under_way:
            due, frame = self.under_way[0]
            if due > now:
                return due - now
            self.under_way.popleft()
            try:
                os.write(self.b, frame)
                self.forwarded += 1
            except OSError as e:
                if e.errno != errno.EIO:  # which is a device that is down, not up yet say: nobody hears it
                    raise
        return None


class Cable:
    """Runs this file as a process beside the test: it is to wait for frames and nothing else."""

    def __init__(self, pids, delay, loss, seed):
        options = [f'--delay={delay}', f'--loss={loss}', f'--seed={seed}']
        self.p = subprocess.Popen([sys.executable, os.path.abspath(__file__), *map(str, pids), *options],
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.p.stdout.readline() == 'ready\n', 'no cable'

    def counts(self):
        """(forwarded, lost) of each way, the one from the first host first."""
        self.p.stdin.write('\n')
        self.p.stdin.flush()
        return [tuple(way) for way in json.loads(self.p.stdout.readline())]

    def close(self):
        self.p.stdin.close()
        self.p.wait(5)
        self.p.stdout.close()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('pids', nargs=2, type=int)
    for name, kind in (('--delay', float), ('--loss', float), ('--seed', int)):
        parser.add_argument(name, type=kind, required=True)
    args = parser.parse_args()
    a, b = map(open_end, args.pids)
    ways = [Way(a, b, args.delay, args.loss, 2 * args.seed), Way(b, a, args.delay, args.loss, 2 * args.seed + 1)]
    print('ready', flush=True)
    while True:
        waits = [wait for wait in [way.give() for way in ways] if wait is not None]
        # Not poll: that waits for whole milliseconds.
        ready = select.select([a, b, 0], [], [], min(waits, default=None))[0]
        for way in ways:
            if way.a in ready:
                way.take()
        if 0 in ready:
            if not os.read(0, 1):
                return
            print(json.dumps([(way.forwarded, way.lost) for way in ways]), flush=True)


if __name__ == '__main__':
    main()
