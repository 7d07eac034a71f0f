# Two hosts: network namespaces of this machine with a cable between them. Needs root, and iproute2.
# Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
import os
import shutil
import subprocess
import time

from harness import Skip

FIRST, SECOND = '10.83.0.1', '10.83.0.2'


class Hosts:
    """The accelerator's host and the guest's. Processes run on one by `inside`; the cable can be pulled, and be long."""

    def __init__(self):
        for tool in ('ip', 'tc', 'unshare', 'nsenter'):
            if not shutil.which(tool):
                raise Skip(f'{tool} is not installed')
        if os.geteuid():
            raise Skip('only root makes network namespaces here')
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

    def stretch(self, *netem):
        """False: this kernel cannot."""
        return all(self.command(host, 'tc', 'qdisc', 'add', 'dev', 'cable', 'root', 'netem', *netem).returncode == 0 for host in range(2))

    def close(self):
        for h in self.holders:
            h.kill()
            h.wait()
