# SPDX-License-Identifier: GPL-2.0-or-later
"""One end of r3map's synchronisation that says what it is told to, for tests: Documentation/protocol/sync.rst.

As a program: syncraw.py LISTEN CONNECT BYTES forwards between two unix sockets, and holds what the sender says
from its byte number BYTES on, for ever: a network that stops in the midst of something.
"""

import hashlib
import select
import socket
import struct
import sys

HELLO, OPEN, OPENED, HASH_LIST, WANT, DATA, ZERO, CREDIT, RESIZE = range(1, 10)
COMMIT, COMMITTED, DIFFERS, CLOSE, REMOVE, ROUND, END, ALIVE, ERROR = range(10, 19)
SENDER, RECEIVER = 1, 2
MAGIC = 0x72336d617073796e
XXH3, SHA256, CRC32C, BLAKE2 = 1, 2, 3, 4
GROUPS, CHUNKS, STRONG = 1, 2, 3
LIMIT = 60      # seconds: for what hangs


def hello(role, versions=(1, 1), hashes=(SHA256,), chunk=65536, streams=256, magic=MAGIC, patience=0):
    return struct.pack(">QHHHHI4sII", magic, *versions, role, patience, 0,
                       bytes(hashes).ljust(4, b"\0"), chunk, streams)


def blake2(data):
    """BLAKE2s in its tree mode, leaves of 4 KiB: the strong hash, unless SHA-256 was agreed on."""
    def node(part, level, number, last):
        return hashlib.blake2s(part, fanout=0, depth=2, leaf_size=4096, node_offset=number,
                               node_depth=level, inner_size=32, last_node=last).digest()
    leaves = range(0, max(len(data), 1), 4096)
    return node(b"".join(node(data[at:at + 4096], 0, at // 4096, at == leaves[-1]) for at in leaves),
                1, 0, True)


def sha256(data):
    return hashlib.sha256(data).digest()


def root_of(data, chunk=65536, strong=blake2):
    chunks = b"".join(strong(data[at:at + chunk]) for at in range(0, len(data), chunk))
    return strong(struct.pack(">QI", len(data), chunk) + strong(chunks))


class Peer:
    """A connection, as a client of a unix socket or with one that was accepted."""

    def __init__(self, where):
        if isinstance(where, socket.socket):
            self.s = where
        else:
            self.s = socket.socket(socket.AF_UNIX)
            self.s.connect(where)
        self.s.settimeout(LIMIT)

    def raw(self, data):
        try:
            self.s.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            pass        # it is gone: what it said before can be read

    def say(self, kind, stream=0, payload=b""):
        self.raw(struct.pack(">HHII", kind, 0, stream, len(payload)) + payload)

    def greet(self, role, **more):
        self.say(HELLO, 0, hello(role, **more))
        assert self.hear()[0] == HELLO

    def bytes(self, count):
        data = b""
        while len(data) < count:
            try:
                more = self.s.recv(count - len(data))
            except ConnectionResetError:
                more = b""
            if not more:
                raise EOFError
            data += more
        return data

    def message(self):
        """The next message: type, stream, payload."""
        kind, flags, stream, length = struct.unpack(">HHII", self.bytes(12))
        assert not flags and length <= (1 << 20) + 8, (kind, flags, length)
        return kind, stream, self.bytes(length)

    def hear(self):
        """The next one that says something."""
        while True:
            got = self.message()
            if got[0] != ALIVE:
                return got

    def expect(self, kind, stream):
        """The next one of this kind and stream; anything else but CREDIT fails."""
        while True:
            got = self.hear()
            if got[:2] == (kind, stream):
                return got[2]
            assert got[0] == CREDIT, got

    def ended(self):
        """Does the other end close the connection? What it says before that: the last error's text."""
        text = None
        try:
            while True:
                kind, _, payload = self.hear()
                if kind == ERROR:
                    text = payload[4:].decode()
        except EOFError:
            return text or True

    def open(self, stream, name, size, kind=1, mode=0o644):
        self.say(OPEN, stream, struct.pack(">HHIQ", kind, 0, mode, size) + name)


def forward(listen, connect, limit):
    server = socket.socket(socket.AF_UNIX)
    server.bind(listen)
    server.listen()
    print("listens", flush=True)
    near, _ = server.accept()
    far = socket.socket(socket.AF_UNIX)
    far.connect(connect)
    while True:
        ready = select.select([near, far] if limit else [far], [], [])[0]
        for s in ready:
            try:
                data = s.recv(min(65536, limit) if s is near else 65536)
                (far if s is near else near).sendall(data)
            except OSError:
                data = b""
            if not data:
                return
            if s is near:
                limit -= len(data)
                if not limit:
                    print("holds", flush=True)


if __name__ == "__main__":
    forward(sys.argv[1], sys.argv[2], int(sys.argv[3]))
