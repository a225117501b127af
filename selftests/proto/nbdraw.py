# SPDX-License-Identifier: GPL-2.0-or-later
"""
A raw NBD client for tests of a server: it says what it is told to, well formed or not, and shows
what comes back byte for byte. It knows extended headers, which not all libraries do.

	c = Client("/path/of.sock")		or Client(("localhost", 10809))
	c.greet()
	c.option(EXTENDED_HEADERS)		-> [(ACK, b"")]
	c.context("disk")
	c.go("disk")
	c.read(0, 65536)			-> Answer: data, holes, bytes on the wire, chunks
	c.disconnect()
"""
import fcntl
import socket
import struct
import termios
import time

PATIENCE = 60  # s; only a server that hangs meets it

MAGIC = 0x4E42444D41474943
IHAVEOPT = 0x49484156454F5054
REP_MAGIC = 0x0003E889045565A9
REQUEST = 0x25609513
EXTENDED_REQUEST = 0x21E41C71
SIMPLE_REPLY = 0x67446698
STRUCTURED_REPLY = 0x668E33EF
EXTENDED_REPLY = 0x6E8A278C

# options and their replies
EXPORT_NAME, ABORT, LIST, STARTTLS, INFO, GO = 1, 2, 3, 5, 6, 7
STRUCTURED, LIST_META, SET_META, EXTENDED_HEADERS = 8, 9, 10, 11
ACK, REP_SERVER, REP_INFO, REP_META = 1, 2, 3, 4
ERR = 1 << 31
ERR_UNSUP, ERR_POLICY, ERR_INVALID, ERR_TLS_REQD, ERR_UNKNOWN = (ERR | n for n in (1, 2, 3, 5, 6))

# commands, their flags, errors
READ, WRITE, DISC, FLUSH, TRIM, CACHE, WRITE_ZEROES, BLOCK_STATUS = range(8)
FUA, NO_HOLE, DF, REQ_ONE, FAST_ZERO, PAYLOAD_LEN = (1 << n for n in range(6))
EPERM, EIO, EINVAL, ENOSPC, EOVERFLOW, ENOTSUP = 1, 5, 22, 28, 75, 95


class Gone(Exception):
    """The server has closed the connection."""


class Answer:
    """What came for one request."""

    def __init__(self):
        self.error = 0
        self.text = ""
        self.data = None
        self.holes = []  # (offset, length)
        self.pieces = []  # (offset, length)
        self.extents = []  # (length, flags)
        self.chunks = 0
        self.wire = 0  # bytes, headers included


class Client:
    def __init__(self, where):
        if isinstance(where, tuple):
            self.socket = socket.create_connection(where, PATIENCE)
        else:
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.settimeout(PATIENCE)
            self.socket.connect(where)
        self.headers = None  # or STRUCTURED, EXTENDED_HEADERS
        self.cookie = 0x0102030405060708
        self.size = self.flags = None

    def say(self, data):
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError) as error:
            raise Gone() from error

    def wait_taken(self):
        """Until the server has read all that was said, over a unix socket."""
        while struct.unpack("i", fcntl.ioctl(self.socket, termios.TIOCOUTQ, b"\0" * 4))[0]:
            time.sleep(0.01)

    def hear(self, length):
        data = b""
        while len(data) < length:
            try:
                some = self.socket.recv(length - len(data))
            except ConnectionResetError as error:
                raise Gone() from error
            if not some:
                raise Gone()
            data += some
        return data

    def take(self, form):
        got = struct.unpack(form, self.hear(struct.calcsize(form)))
        return got if len(got) > 1 else got[0]

    def ended(self):
        """Is it, when all that is left has been read?"""
        try:
            while self.socket.recv(1 << 20):
                pass
        except ConnectionResetError:
            pass
        self.socket.close()
        return True

    # the handshake

    def greet(self, flags=3):
        magic, version, told = self.take(">QQH")
        assert (magic, version) == (MAGIC, IHAVEOPT), (magic, version)
        self.say(struct.pack(">I", flags))
        return told

    def option_say(self, option, data=b""):
        self.say(struct.pack(">QII", IHAVEOPT, option, len(data)) + data)

    def option_hear(self, option):
        """All replies, up to the ACK or error."""
        replies = []
        while not replies or (replies[-1][0] != ACK and not replies[-1][0] & ERR):
            magic, of, kind, length = self.take(">QIII")
            assert (magic, of) == (REP_MAGIC, option), (magic, of)
            replies.append((kind, self.hear(length)))
        if replies[-1][0] == ACK and option in (STRUCTURED, EXTENDED_HEADERS):
            self.headers = option
        return replies

    def option(self, option, data=b""):
        self.option_say(option, data)
        return self.option_hear(option)

    def verdict(self, option, data=b""):
        return self.option(option, data)[-1][0]

    def context(self, name, query="base:allocation"):
        data = struct.pack(">I", len(name)) + name.encode() + struct.pack(">I", 1)
        return self.option(SET_META, data + struct.pack(">I", len(query)) + query.encode())

    def go(self, name, option=GO):
        data = struct.pack(">I", len(name)) + name.encode() + struct.pack(">H", 0)
        replies = self.option(option, data)
        for kind, data in replies:
            if kind == REP_INFO and data[:2] == b"\0\0":
                self.size, self.flags = struct.unpack(">QH", data[2:])
        return replies

    def export_name(self, name, zeroes):
        """The old way in. Returns what followed size and flags."""
        self.option_say(EXPORT_NAME, name.encode())
        self.size, self.flags = self.take(">QH")
        return self.hear(124) if zeroes else b""

    # requests

    def request(self, command, offset=0, length=0, flags=0, payload=b""):
        self.cookie += 1
        extended = self.headers == EXTENDED_HEADERS
        if extended and command == WRITE:
            flags |= PAYLOAD_LEN
        self.say(struct.pack(">IHHQQQ" if extended else ">IHHQQI",
                             EXTENDED_REQUEST if extended else REQUEST,
                             flags, command, self.cookie, offset, length) + payload)
        return self.cookie

    def chunk(self, answer, cookie, offset, length, command):
        """One chunk, or a simple reply. Returns whether it was the last."""
        magic = self.take(">I")
        answer.chunks += 1
        if magic == SIMPLE_REPLY:
            assert self.headers != EXTENDED_HEADERS
            answer.error, got = self.take(">IQ")
            assert got == cookie
            answer.wire += 16
            if command == READ and not answer.error:
                assert self.headers is None
                answer.data = self.hear(length)
                answer.wire += length
            return True
        if self.headers == EXTENDED_HEADERS:
            assert magic == EXTENDED_REPLY, hex(magic)
            flags, kind, got, at, size = self.take(">HHQQQ")
            assert at == offset
            answer.wire += 32 + size
        else:
            assert self.headers == STRUCTURED and magic == STRUCTURED_REPLY, hex(magic)
            flags, kind, got, size = self.take(">HHQI")
            answer.wire += 20 + size
        assert got == cookie and size <= 64 << 20
        self.payload(answer, kind, self.hear(size), offset)
        return bool(flags & 1)

    @staticmethod
    def payload(answer, kind, data, offset):
        if kind & 0x8000:
            answer.error, length = struct.unpack(">IH", data[:6])
            answer.text = data[6:6 + length].decode()
        elif kind == 1:
            at = struct.unpack(">Q", data[:8])[0] - offset
            answer.pieces.append((at + offset, len(data) - 8))
            answer.data[at:at + len(data) - 8] = data[8:]
        elif kind == 2:
            at, hole = struct.unpack(">QI", data)
            answer.holes.append((at, hole))
            answer.data[at - offset:at - offset + hole] = bytes(hole)
        elif kind == 5:
            assert struct.unpack(">I", data[:4]) == (1,)
            answer.extents = list(struct.iter_unpack(">II", data[4:]))
        elif kind == 6:
            count = len(data) // 16
            assert struct.unpack(">II", data[:8]) == (1, count)
            answer.extents = list(struct.iter_unpack(">QQ", data[8:]))
        else:
            assert kind == 0 and not data, kind

    def answer(self, cookie, offset=0, length=0, command=FLUSH):
        answer = Answer()
        if command == READ and self.headers:
            answer.data = bytearray(b"\xee" * length)
        while not self.chunk(answer, cookie, offset, length, command):
            pass
        return answer

    def call(self, command, offset=0, length=0, flags=0, payload=b""):
        cookie = self.request(command, offset, length, flags, payload)
        return self.answer(cookie, offset, length, command)

    def read(self, offset, length, flags=0):
        return self.call(READ, offset, length, flags)

    def write(self, offset, data, flags=0):
        return self.call(WRITE, offset, len(data), flags, data)

    def disconnect(self):
        """Says goodbye; nothing may come any more."""
        self.request(DISC)
        try:
            assert not self.hear(1)
        except Gone:
            self.socket.close()


def client(where, name="", headers=None, context=False):
    """A connection that may send requests."""
    c = Client(where)
    c.greet()
    if headers:
        assert c.verdict(headers) == ACK
    if context:
        assert c.context(name)[-1][0] == ACK
    assert c.go(name)[-1][0] == ACK
    return c
