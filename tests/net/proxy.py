# A network between two hosts: a TCP proxy that delays, has a bandwidth, and can be cut. Emulates what the kernel's own means would need rights for.
# Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
import select
import socket
import threading
import time


class Proxy:
    """Listens on a port of this machine and leads to another. `delay` in seconds one way, `rate` in bytes a second (0: any)."""

    def __init__(self, port, delay=0, rate=0):
        self.to, self.delay, self.rate = port, delay, rate
        self.listener = socket.create_server(('127.0.0.1', 0), backlog=64)
        self.port = self.listener.getsockname()[1]
        self.down = False
        self.pairs = []
        self.carried = 0
        self.began = []  # with what each connection began, from the guest's side
        self.accepted = 0
        self.lock = threading.Lock()
        self.acceptor = threading.Thread(target=self.accept, daemon=True)
        self.acceptor.start()

    def accept(self):
        while True:
            try:
                a, _ = self.listener.accept()
            except OSError:
                return
            if self.down:
                a.close()
                continue
            try:
                b = socket.create_connection(('127.0.0.1', self.to))
            except OSError:
                a.close()
                continue
            for s in (a, b):
                s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self.lock:
                self.pairs.append((a, b, time.time()))
                self.accepted += 1
            for x, y in ((a, b), (b, a)):
                threading.Thread(target=self.carry, args=(x, y), daemon=True).start()

    def carry(self, a, b):
        """One direction: what came is kept until it is due."""
        due, size, free = [], 0, time.time()
        try:
            while True:
                wait = max(0, due[0][0] - time.time()) if due else None
                ready = size < 1 << 20 and select.select([a], [], [], wait)[0]
                if not ready and size >= 1 << 20:
                    time.sleep(wait)
                if ready:
                    data = a.recv(65536)
                    if not data:
                        break
                    if not size and len(self.began) < self.accepted and any(p[0] is a for p in self.pairs):
                        self.began.append(data)
                    free = max(free, time.time()) + (len(data) / self.rate if self.rate else 0)
                    due.append((free + self.delay, data))
                    size += len(data)
                while due and due[0][0] <= time.time():
                    data = due.pop(0)[1]
                    size -= len(data)
                    b.sendall(data)
                    self.carried += len(data)
            for _, data in due:
                b.sendall(data)
            b.shutdown(socket.SHUT_WR)
        except (OSError, ValueError):
            pass

    def cut(self, seconds=0, age=0):
        """Every connection that is so old is lost, and for so long there is no other. Sockets are closed by the threads that use them: one
        that waits for a number whose file is another by now (the pipe by which a program is started, say) keeps that open for good."""
        self.down = seconds > 0
        now = time.time()
        with self.lock:
            pairs = [p for p in self.pairs if now - p[2] >= age]
            self.pairs = [p for p in self.pairs if now - p[2] < age]
        for pair in pairs:
            for s in pair[:2]:
                try:
                    s.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
        if seconds:
            time.sleep(seconds)
            self.down = False

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.acceptor.join()
        self.listener.close()
        self.cut()
