#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
#
# hostile.py client SOCKET SIZE: connects to a handler as nobody should, in every way there is; each time the
# handler must close the connection, or go on as if nothing had been. SIZE: bytes of its backend.
# hostile.py handler SOCKET KIND: is a handler that greets wrongly.
#
# Prints a line for each way in which the handler did not close.

import array
import fcntl
import os
import socket
import struct
import sys

MAGIC = 0x72337566
HELLO, READY, ERROR, FAILED, SYNCED, PONG = 1, 2, 3, 4, 6, 7
REGISTER, FETCH, WRITTEN, PING = 16, 17, 18, 19
F_ADD_SEALS, SEALS = 1033, 2 | 4


def packet(kind, body=b"", magic=MAGIC, version=1):
    return struct.pack(">IHH", magic, version, kind) + body


def register(regions, mode=1, count=None):
    body = struct.pack(">II", mode, len(regions) if count is None else count)
    return packet(REGISTER, body + b"".join(struct.pack(">QQQ", *r) for r in regions))


def memory(size, seals=SEALS, huge=False):
    fd = os.memfd_create("memory", os.MFD_ALLOW_SEALING | (os.MFD_HUGETLB if huge else 0))
    os.ftruncate(fd, size)
    if seals:
        fcntl.fcntl(fd, F_ADD_SEALS, seals)
    return fd


def connect(path):
    s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    s.settimeout(60)
    s.connect(path)
    s.recv(65536)
    return s


def send(s, data, fds=()):
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
    s.sendmsg([data], rights)


# Does it close, after at most an ERROR?
def closed(s):
    try:
        for _ in range(3):
            data = s.recv(65536)
            if not data:
                return True
            if struct.unpack(">IHH", data[:8])[2] != ERROR:
                return False
    except ConnectionResetError:
        return True
    except socket.timeout:
        pass
    return False


def ways(size):
    page = [(0x7F0000000000, 4096, 0)]
    null = os.open("/dev/null", os.O_RDWR)
    pair = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    stream = socket.socketpair()
    good = memory(size)
    yield "an empty packet", b"", ()
    yield "one byte", b"r", ()
    yield "zeroes", b"\0" * 4096, ()
    yield "a large packet", b"\xff" * 65536, ()
    yield "another magic", packet(PING, magic=1), ()
    yield "another version", packet(PING, version=2), ()
    yield "an unknown type", packet(99), ()
    yield "what a handler says", packet(READY), ()
    yield "PING before REGISTER", packet(PING), ()
    yield "WRITTEN before REGISTER", packet(WRITTEN, struct.pack(">II", 0, 0)), ()
    yield "no descriptor", register(page), ()
    yield "the wrong kind", register(page), (null,)
    yield "a socket for userfaultfd", register(page), (pair[0].fileno(),)
    yield "two where one belongs", register(page), (null, null)
    yield "many descriptors", register(page), (null,) * 60
    yield "no regions", register([]), (null,)
    yield "too many regions", register(page * 65), (null,)
    yield "another count", register(page, count=2), (null,)
    yield "a huge count", register(page, count=0xFFFFFFFF), (null,)
    yield "an unknown mode", register(page, mode=7), (null,)
    yield "behind the end", register([(0x7F0000000000, 4096, size + 4096)]), (null,)
    yield "overlapping", register([(0x7F0000000000, 8192, 0), (0x7F0000100000, 4096, 4096)]), (null,)
    yield "wrapping", register([((1 << 64) - 4096, 8192, 0)]), (null,)
    yield "no memory", register(page, mode=2), (null, pair[0].fileno())
    yield "memory that is not sealed", register(page, mode=2), (memory(size, 0), pair[0].fileno())
    try:
        yield "memory of huge pages", register(page, mode=2), (memory(size, huge=True), pair[0].fileno())
    except OSError:
        pass  # this kernel has none
    yield "memory that is too small", register(page, mode=2), (memory(4096), pair[0].fileno())
    yield "no socket to ask by", register(page, mode=2), (good, null)
    yield "a stream to ask by", register(page, mode=2), (good, stream[0].fileno())
    yield "one descriptor of two", register(page, mode=2), (good,)


# One that was let in, and then does wrong. @by: by the socket for FETCH.
def ways_later(size):
    yield "a second REGISTER", False, [register([(0x7F0000000000, 4096, 0)])]
    yield "SYNCED", False, [packet(SYNCED, struct.pack(">I", 0))]
    yield "WRITTEN without dirty", False, [packet(WRITTEN, struct.pack(">II", 0, 0))]
    yield "FETCH behind the end", True, [packet(FETCH, struct.pack(">Q", size * 2))]
    yield "FETCH of nothing that is mapped", True, [packet(FETCH, struct.pack(">Q", 8192))]
    yield "PING to ask", True, [packet(PING)]


def clients(path, size):
    for name, data, fds in ways(size):
        s = connect(path)
        try:
            send(s, data, fds)
        except OSError:
            pass
        if not closed(s):
            print("not closed:", name)
    for name, asks, packets in ways_later(size):
        s = connect(path)
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        send(s, register([(0x7F0000000000, 4096, 0)], mode=2), (memory(size), theirs.fileno()))
        theirs.close()
        answer = s.recv(65536)
        if struct.unpack(">IHH", answer[:8])[2] != READY:
            print("not taken:", name)
        for data in packets:
            (ours if asks else s).send(data)
        if not closed(s):
            print("not closed:", name)
    # One that never reads what it is told.
    s = connect(path)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    send(s, register([(0x7F0000000000, 4096, 0)], mode=2), (memory(size), theirs.fileno()))
    try:
        for _ in range(1000000):
            s.send(packet(PING))
        print("not closed: one that does not read")
    except OSError:
        pass
    # And one that goes away without a word.
    connect(path).close()


GREETINGS = {
    "nothing": None,
    "garbage": b"\xff" * 100,
    "error": packet(ERROR, struct.pack(">I", 13) + b"not you"),
    "pages": packet(HELLO, struct.pack(">QIII", 1 << 20, 3000, 4096, 0)),
    "size": packet(HELLO, struct.pack(">QIII", 0, 4096, 4096, 0)),
    "pong": packet(PONG),
    "descriptors": packet(HELLO, struct.pack(">QIII", 1 << 20, 4096, 4096, 0)),
}


def handler(path, kind):
    s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    s.settimeout(60)
    s.bind(path + ".new")
    s.listen(1)
    os.rename(path + ".new", path)  # who sees it can connect
    peer, _ = s.accept()
    data = GREETINGS[kind]
    if data:
        send(peer, data, (0,) if kind == "descriptors" else ())
    peer.close()


if sys.argv[1] == "client":
    clients(sys.argv[2], int(sys.argv[3]))
else:
    handler(sys.argv[2], sys.argv[3])
