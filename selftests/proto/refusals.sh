#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# This test will fail to connect in every way, each with a sentence that says
# why.

. "$(dirname "$0")/../lib/test.sh"
. "$(dirname "$0")/rc.sh"

refused "nbd+unix:///?socket=$TEST_DIR/none" "No such file or directory; is the NBD server running"
touch "$TEST_DIR/file"
refused "nbd+unix:///?socket=$TEST_DIR/file" "Connection refused"
refused "nbds:" "write nbds://HOST"
refused "nbd:" "write nbd://HOST"

# a server that wants TLS
head -c 16 /dev/urandom | od -An -tx1 | tr -d ' \n' | sed 's/^/alice:/' >"$TEST_DIR/psk"
chmod 600 "$TEST_DIR/psk"
requires_program nbdkit
nbd_socket
if nbdkit -U "$SOCKET" -P "$PIDFILE" --tls=require --tls-psk="$TEST_DIR/psk" memory 16M \
	2>"$TEST_DIR/stderr"; then
	refused "$NBD" "demands TLS"
else
	note "nbdkit has no TLS here, not tried: $(tail -n 1 "$TEST_DIR/stderr")"
fi

# something that is no NBD server at all
requires_program python3
python3 - "$TEST_DIR/web" <<'END' &
import os, socket, sys
server = socket.socket(socket.AF_UNIX)
server.bind(sys.argv[1] + ".new")
server.listen()
os.rename(sys.argv[1] + ".new", sys.argv[1])	# there when it can be connected to
connection = server.accept()[0]
connection.sendall(b"220 mail.example.com ESMTP ready\r\n" * 10)
connection.recv(1)
END
cleanup_fn eval "kill $! 2>/dev/null || :"
wait_until 20 "it listens" test -S "$TEST_DIR/web"
refused "nbd+unix:///?socket=$TEST_DIR/web" "not an NBD server"
