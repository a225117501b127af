# SPDX-License-Identifier: GPL-2.0-or-later
"""cutter.py SEEDER LISTEN [TYPE:BYTES[:stall]]...: a proxy that cuts a control link when so many bytes have passed, from
the beginning of a message of TYPE (hexadecimal) on: one of these after the other. With "stall" nothing more passes that
way, and the link stays. Says what it has done."""
import socket
import struct
import sys
import threading
import time

MIGRATE, ACK = 0x72336d01, 1
OPTION, REPLY = b"IHAVEOPT", struct.pack(">Q", 0x3e889045565a9)
orders = sys.argv[3:]


class Pump(threading.Thread):
    def __init__(self, a, b, asks):
        super().__init__(daemon=True)
        self.a, self.b, self.asks, self.left = a, b, asks, None

    def read(self, n):
        data = b""
        while len(data) < n:
            more = self.a.recv(n - len(data))
            if not more:
                raise EOFError
            data += more
        return data

    def write(self, data):
        if self.left is None or len(data) < self.left:
            self.b.sendall(data)
            self.left = self.left and self.left - len(data)
            return
        self.b.sendall(data[:self.left])
        order = orders.pop(0)
        print("cut", order, flush=True)
        while order.endswith(":stall"):
            time.sleep(60)
        raise EOFError

    def messages(self):
        while True:
            head = self.read(12)
            kind, _, length = struct.unpack(">HHI", head[4:])
            wanted = orders[0].split(":") if orders else ["0", "0"]
            if int(wanted[0], 16) == kind:
                self.left = int(wanted[1])
            self.write(head + self.read(length))

    def negotiation(self):
        """Until a control link begins, or something else."""
        self.write(self.read(4 if self.asks else 18))
        while (magic := self.read(8)) == (OPTION if self.asks else REPLY):
            head = self.read(8 if self.asks else 12)
            self.write(magic + head + self.read(struct.unpack(">I", head[-4:])[0]))
            option, kind = struct.unpack(">II", head[:8])
            if option == MIGRATE and (self.asks or kind == ACK):
                self.messages()
        self.write(magic)

    def run(self):
        try:
            self.negotiation()
            while data := self.a.recv(65536):
                self.b.sendall(data)
        except (EOFError, OSError):
            pass
        for s in (self.a, self.b):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[2])
listener.listen(64)
while True:
    a, _ = listener.accept()
    b = socket.socket(socket.AF_UNIX)
    try:
        b.connect(sys.argv[1])
    except OSError:  # the seeder is gone
        a.close()
        continue
    Pump(a, b, True).start()
    Pump(b, a, False).start()
