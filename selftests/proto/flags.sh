#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# This test will meet the transmission flags that no server of others sets here: "rotational" is
# passed on from end to end, "resize" and "block status with payload" are neither believed nor told.

. "$(dirname "$0")/../lib/test.sh"
. "$(dirname "$0")/rc.sh"
requires_program r3map python3
ktap_plan 4

USUAL=0x46d	# has flags, flush, FUA, trim, write zeroes, cache
ROTATIONAL=0x10 RESIZE=0x200 STATUS_PAYLOAD=0x1000

cat >"$TEST_DIR/server.py" <<'END'
"""
Serves 16 MiB with extended headers and base:allocation, and tells the flags that it is told to.
What is asked of it goes to a file, a line "COMMAND FLAGS" each.
"""
import os
import socket
import struct
import sys
import threading
from nbdraw import *

path, told, log = sys.argv[1], int(sys.argv[2], 0), open(sys.argv[3], "w", 1)
SIZE = 16 << 20
region = bytearray(SIZE)


class Connection:
    def __init__(self, s):
        self.socket = s

    def hear(self, form):
        data = b""
        while len(data) < struct.calcsize(form):
            some = self.socket.recv(struct.calcsize(form) - len(data))
            if not some:
                raise Gone()
            data += some
        got = struct.unpack(form, data)
        return got if len(got) > 1 else got[0]

    def reply(self, option, kind, data=b""):
        self.socket.sendall(struct.pack(">QIII", REP_MAGIC, option, kind, len(data)) + data)

    def negotiate(self):
        self.socket.sendall(struct.pack(">QQH", MAGIC, IHAVEOPT, 3))
        self.hear(">I")
        while True:
            magic, option, length = self.hear(">QII")
            assert magic == IHAVEOPT
            self.hear("%ds" % length)
            if option == SET_META:
                self.reply(option, REP_META, struct.pack(">I", 1) + b"base:allocation")
            elif option in (GO, INFO):
                self.reply(option, REP_INFO, struct.pack(">HQH", 0, SIZE, told))
            elif option != EXTENDED_HEADERS:
                self.reply(option, ERR_UNSUP)
                continue
            self.reply(option, ACK)
            if option == GO:
                return

    def serve(self):
        self.negotiate()
        while True:
            magic, flags, command, cookie, offset, length = self.hear(">IHHQQQ")
            assert magic == EXTENDED_REQUEST
            log.write("%d %d\n" % (command, flags))
            kind, data = 0, b""
            if command == DISC:
                return
            if command == READ:
                kind, data = 1, struct.pack(">Q", offset) + region[offset:offset + length]
            elif command == WRITE:
                region[offset:offset + length] = self.hear("%ds" % length)
            elif command in (TRIM, WRITE_ZEROES):
                region[offset:offset + length] = bytes(length)
            elif command == BLOCK_STATUS:
                kind, data = 6, struct.pack(">IIQQ", 1, 1, length, 0)
            self.socket.sendall(struct.pack(">IHHQQQ", EXTENDED_REPLY, 1, kind, cookie, offset,
                                            len(data)) + data)

    def run(self):
        try:
            self.serve()
        except (Gone, OSError):  # it left without waiting for an answer
            pass
        self.socket.close()


listener = socket.socket(socket.AF_UNIX)
listener.bind(path + ".new")
listener.listen()
os.rename(path + ".new", path)
while True:
    threading.Thread(target=Connection(listener.accept()[0]).run, daemon=True).start()
END

# server_start FLAGS: a server that tells them; $NBD is its URI
server_start()
{
	nbd_socket
	ASKED=$TEST_DIR/$nbd_count.asked
	# not by python(): it is the shell around it that would end with the test
	PYTHONPATH=$TEST_TOP/selftests/proto PYTHONDONTWRITEBYTECODE=1 \
		python3 "$TEST_DIR/server.py" "$SOCKET" "$1" "$ASKED" &
	echo $! >"$PIDFILE"
	wait_until 20 "the server listens" test -S "$SOCKET"
}

# told HEADERS MASK WANT: what of MASK the server at $SOCKET tells clients of these headers
told()
{
	python - "$SOCKET" "$@" <<-'END'
		import sys
		from nbdraw import *
		headers = {"simple": None, "structured": STRUCTURED, "extended": EXTENDED_HEADERS}
		c = client(sys.argv[1], "", headers[sys.argv[2]])
		mask, want = int(sys.argv[3]), int(sys.argv[4])
		assert c.flags & mask == want, "flags 0x%x" % c.flags
		c.disconnect()
	END
}

rotational()
{
	local h
	server_start $((USUAL | ROTATIONAL))
	info_is "$NBD" size=16777216 rotational=1
	r3map info "$NBD" | grep -q '^  flags .*[ ,]rotational' || return
	serve_start "$NBD"
	for h in simple structured extended; do
		told $h $((ROTATIONAL)) $((ROTATIONAL)) || return
	done
	info_is "$NBD" rotational=1
	serve_end
}
ktap_test "rotational is passed on" rotational

not_rotational()
{
	local h
	server_start $((USUAL))
	info_is "$NBD" rotational=0
	serve_start "$NBD"
	for h in simple structured extended; do
		told $h $((ROTATIONAL)) 0 || return
	done
	serve_end
}
ktap_test "what is not rotational is not told so" not_rotational

# The client does nothing differently: it sends neither, whatever it is told.
client()
{
	server_start $((USUAL | RESIZE | STATUS_PAYLOAD))
	r3map info "$NBD" >"$TEST_DIR/info" || return
	grep -q '^  flags .*resize.*block-status-payload' "$TEST_DIR/info" || return
	backend-io random -n 500 "$NBD" && backend-io extents -b 1M "$NBD" >"$TEST_DIR/extents" &&
		result_is ok zero "$NBD" && result_is ok discard "$NBD" || return
	grep -q '^7 ' "$ASKED" && grep -q '^1 32$' "$ASKED" || return	# it was looked for
	! grep -qE '^([89]|[1-9][0-9]+) ' "$ASKED" || return		# commands beyond BLOCK_STATUS
	! awk '$1 != 1 && int($2 / 32) % 2' "$ASKED" | grep .		# payload of anything but WRITE
}
ktap_test "the client uses neither resize nor payloads of block status" client

# Nor does the server tell of them, even if its backend's does, nor take them.
server()
{
	local h
	server_start $((USUAL | RESIZE | STATUS_PAYLOAD))
	serve_start "$NBD"
	for h in simple structured extended; do
		told $h $((RESIZE | STATUS_PAYLOAD)) 0 || return
	done
	python - "$SOCKET" <<-'END' || return
		import sys
		from nbdraw import *
		c = client(sys.argv[1], "", EXTENDED_HEADERS, True)
		assert c.call(8, 0, 32 << 20).error == EINVAL	# RESIZE
		payload = struct.pack(">QI", 4096, 1)		# this much, this context
		cookie = c.request(BLOCK_STATUS, 0, len(payload), PAYLOAD_LEN, payload)
		assert c.answer(cookie, 0).error == EINVAL
		assert c.call(BLOCK_STATUS, 0, 4096).extents == [(4096, 0)]
		assert not c.read(0, 512).error
		c.disconnect()
	END
	serve_end
}
ktap_test "the server offers neither" server
