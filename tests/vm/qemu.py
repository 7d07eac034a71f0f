# A machine of QEMU's without hardware help (TCG), with Debian's cloud kernel and a root in memory that is made here.
# Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
import glob
import gzip
import os
import re
import shutil
import stat
import subprocess

from harness import Skip

MODULES = ['virtio_ring', 'virtio', 'virtio_pci_legacy_dev', 'virtio_pci_modern_dev', 'virtio_pci', 'vsock', 'vmw_vsock_virtio_transport_common',
           'vmw_vsock_virtio_transport']
APPEND = 'console=ttyS0 quiet panic=-1 reboot=t nokaslr mitigations=off tsc=reliable no_timer_check'

INIT = '''#!/bin/busybox sh
export PATH=/bin LD_LIBRARY_PATH=/lib HIRA_SOCKET=vsock:PORT HIRA_DEBUG=1 TMPDIR=/tmp
/bin/busybox --install -s /bin
mount -t proc none /proc
mount -t sysfs none /sys
mount -t devtmpfs none /dev
mount -t tmpfs none /tmp
for m in MODULES; do insmod /modules/$m.ko || echo "no module $m"; done
i=0
echo 'guest: "up"'
while read -r line; do
    $line > /tmp/out 2> /tmp/err
    echo "guest: {\\"i\\": $i, \\"status\\": $?, \\"sha\\": \\"$(sha256sum < /tmp/out | cut -c1-64)\\", \\"out\\": \\"$(tail -n 20 /tmp/out | tr -d '"\\\\\t' | tr '\\n' '|')\\", \\"err\\": \\"$(tail -n 2 /tmp/err | tr -d '"\\n\\\\')\\"}"
    i=$((i + 1))
done < /job
echo 'guest: "done"'
sleep 1
poweroff -f
'''


def needs():
    for program in ('qemu-system-x86_64', 'busybox'):
        if not shutil.which(program):
            raise Skip(program + ' is not installed')
    if not os.path.exists('/usr/share/seabios/bios-256k.bin') and not glob.glob('/usr/share/qemu/bios-256k.bin'):
        raise Skip('seabios is not installed')


def find_kernel(base):
    """Kernel and folder of modules: of a package that HIRA_KERNEL_DEB names, or that scripts/setup has fetched, or of this machine."""
    fetched = glob.glob(os.path.dirname(os.path.abspath(__file__)) + '/../../build-check/kernel/*.deb')
    deb = os.environ.get('HIRA_KERNEL_DEB') or (fetched[0] if fetched else None)
    root = '/'
    if deb:
        root = base + '/kernel'
        subprocess.run(['dpkg-deb', '-x', deb, root], check=True)
    for kernel in sorted(glob.glob(root + '/boot/vmlinuz-*-cloud-amd64'), reverse=True):
        modules = root + '/lib/modules/' + os.path.basename(kernel)[len('vmlinuz-'):]
        if os.path.isdir(modules):
            return kernel, modules
    raise Skip('no linux-image-cloud-amd64 here (scripts/setup check fetches it; HIRA_KERNEL_DEB names another)')


def libraries_of(program, env):
    text = subprocess.run(['ldd', program], stdout=subprocess.PIPE, text=True, check=True, env=env).stdout
    return re.findall(r'(/\S+) \(0x', text)


class Archive:
    """A cpio archive, as the kernel takes it for its first root."""

    def __init__(self):
        self.parts, self.n = [], 0

    def add(self, name, data=b'', mode=stat.S_IFREG | 0o755):
        self.n += 1
        raw = name.encode() + b'\0'
        head = b'070701' + b''.join(b'%08x' % v for v in (self.n, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(raw), 0))
        for part in (head + raw, data):
            self.parts.append(part + bytes(-len(part) % 4))

    def file(self, name, path):
        with open(path, 'rb') as f:
            self.add(name, f.read())

    def write(self, path):
        self.add('TRAILER!!!', mode=0)
        with gzip.open(path, 'wb', compresslevel=1) as f:
            f.write(b''.join(self.parts))


def make_root(path, modules, programs, lines, port, env):
    a = Archive()
    for d in ('bin', 'lib', 'lib64', 'proc', 'sys', 'dev', 'tmp', 'modules'):
        a.add(d, mode=stat.S_IFDIR | 0o755)
    a.file('bin/busybox', shutil.which('busybox'))
    files = {}
    for p in programs:
        a.file('bin/' + os.path.basename(p), p)
        for library in libraries_of(p, env):
            files[('lib64/' if 'ld-linux' in library else 'lib/') + os.path.basename(library)] = library
    for name, library in files.items():
        a.file(name, os.path.realpath(library))
    for m in MODULES:
        found = glob.glob(f'{modules}/kernel/**/{m}.ko', recursive=True)
        if found:
            a.file(f'modules/{m}.ko', found[0])
    a.add('job', ''.join(line + '\n' for line in lines).encode())
    a.add('init', INIT.replace('PORT', str(port)).replace('MODULES', ' '.join(MODULES)).encode())
    a.write(path)


def command(kernel, root, args):
    """With the options that `hira vm args` has printed."""
    return ['qemu-system-x86_64', '-M', 'q35', '-accel', 'tcg', '-cpu', 'qemu64', '-smp', '1', '-nodefaults', '-display', 'none', '-no-reboot', '-serial', 'stdio',
            '-kernel', kernel, '-initrd', root, '-append', APPEND, *args]
