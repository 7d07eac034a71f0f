# Two hosts: network namespaces of this machine with a cable between them. Needs root, and iproute2; a long cable, /dev/net/tun.
# Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
import os
import shutil
import subprocess
import sys
import time

from cable import Cable
from harness import Skip

FIRST, SECOND, NETWORK = '10.83.0.1', '10.83.0.2', '10.83.0.0/30'


class Hosts:
    """The accelerator's host and the guest's. Processes run on one by `inside`; the cable can be pulled, and be long."""

    def __init__(self):
        for tool in ('ip', 'unshare', 'nsenter'):
            if not shutil.which(tool):
                raise Skip(f'{tool} is not installed')
        if os.geteuid():
            raise Skip('only root makes network namespaces here')
        self.cable = None
        self.holders = [subprocess.Popen(['unshare', '-n', 'sleep', '3600'], stderr=subprocess.DEVNULL) for _ in range(2)]
        try:
            self.set_up()
        except BaseException:
            self.close()
            raise

    def set_up(self):
        mine = os.readlink('/proc/self/ns/net')
        for h in self.holders:
            for _ in range(200):
                try:
                    if os.readlink(f'/proc/{h.pid}/ns/net') != mine:
                        break
                except OSError:
                    pass
                if h.poll() is not None:
                    raise Skip('this system makes no network namespaces')
                time.sleep(0.01)
        if self.command(0, 'ip', 'link', 'add', 'cable', 'type', 'veth', 'peer', 'name', 'cable', 'netns', str(self.holders[1].pid)).returncode:
            raise Skip('this kernel has no veth')
        self.plug_in()

    def plug_in(self):
        for host, address in ((0, FIRST), (1, SECOND)):
            for command in (['addr', 'add', address + '/30', 'dev', 'cable'], ['link', 'set', 'lo', 'up'], ['link', 'set', 'cable', 'up']):
                p = self.command(host, 'ip', *command)
                assert p.returncode == 0, p.stderr

    def inside(self, host, *command):
        return ['nsenter', '-t', str(self.holders[host].pid), '-n', *command]

    def command(self, host, *command):
        return subprocess.run(self.inside(host, *command), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def pull(self, seconds):
        """The cable: neither end hears of the other, and no connection is told so."""
        assert self.command(0, 'ip', 'link', 'set', 'cable', 'down').returncode == 0
        time.sleep(seconds)
        assert self.command(0, 'ip', 'link', 'set', 'cable', 'up').returncode == 0

    def stretch(self, delay, loss, seed):
        """Another cable in the place of the one that is there: so many seconds long each way, and it loses that share of the frames."""
        try:
            os.close(os.open('/dev/net/tun', os.O_RDWR))
        except OSError:
            raise Skip('this system has no /dev/net/tun') from None
        assert self.command(0, 'ip', 'link', 'del', 'cable').returncode == 0
        self.cable = Cable([h.pid for h in self.holders], delay, loss, seed)
        self.plug_in()
        # A burst waits, and is not lost uncounted. Reno, which every kernel has, slows down for each loss: that costs the same everywhere.
        for command in (['link', 'set', 'cable', 'txqueuelen', '10000'], ['route', 'replace', NETWORK, 'dev', 'cable', 'congctl', 'reno']):
            for host in range(2):
                p = self.command(host, 'ip', *command)
                assert p.returncode == 0, p.stderr

    def round_trip(self):
        """Seconds. The shortest of some: the first waits for an address to be found, and any packet may be lost. Nobody listens there, so
        that it is the kernel who answers."""
        program = """
import socket, time
times = []
for _ in range(5):
    with socket.socket() as s:
        start = time.monotonic()
        s.connect_ex(('%s', 1))
        times.append(time.monotonic() - start)
print(min(times))""" % FIRST
        p = self.command(1, sys.executable, '-c', program)
        assert p.returncode == 0, p.stderr
        return float(p.stdout)

    def close(self):
        try:
            if self.cable:
                self.cable.close()
        finally:
            for h in self.holders:
                h.kill()
                h.wait()
