# SPDX-License-Identifier: GPL-2.0-or-later
"""What a leecher says to a seeder, by hand: Documentation/protocol/migrate.rst."""
import socket
import struct

OPTION, MESSAGE = 0x72336d01, 0x72336d67


def get(s, n):
    data = b""
    while len(data) < n:
        more = s.recv(n - len(data))
        assert more, "the seeder has hung up"
        data += more
    return data


def link(path, version=2, name=b""):
    """A control link by NBD_OPT_MIGRATE, and the kind of the answer to that."""
    s = socket.socket(socket.AF_UNIX)
    s.connect(path)
    get(s, 18)
    s.sendall(struct.pack(">I", 3) + b"IHAVEOPT" +
              struct.pack(">IIHI", OPTION, 6 + len(name), version, len(name)) + name)
    kind, length = struct.unpack(">QIII", get(s, 20))[2:]
    get(s, length)
    return s, kind


def say(s, kind, payload=b""):
    """A question, whose answer is not waited for."""
    s.sendall(struct.pack(">IHHI", MESSAGE, kind, 0, len(payload)) + payload)


def hear(s):
    """The kind of the answer, and its payload."""
    magic, kind, _, length = struct.unpack(">IHHI", get(s, 12))
    assert magic == MESSAGE
    return kind, get(s, length)


def ask(s, kind, payload=b""):
    """Both."""
    say(s, kind, payload)
    return hear(s)


def take(s, received, slow):
    """Asks for what was written, and hears all of it."""
    say(s, 2, struct.pack(">II", received, slow))
    hear_list(s)


def hear_list(s):
    """What was written, as far as an answer ends with it."""
    while True:
        magic, kind, flags, length = struct.unpack(">IHHI", get(s, 12))
        get(s, length)
        assert magic == MESSAGE and kind in (0x8004, 0x8006)
        if kind == 0x8004 and not flags:
            return
