#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# kernels: 6.12:2
#
# This test will move a region from a seeder that dials to a leecher that listens, which may begin first or last, with TLS
# and without, through connections that are cut; and from one that is dialled through a relay.

# shellcheck disable=SC2016,SC2119 # eval expands; no options are meant
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/rc.sh"
requires_program sequence python3 ss

# for ss -K
modprobe -q tcp_diag || :
ip link set lo up
keys "$TEST_DIR/keys"

# moves: the region of $SOURCE, which is written to, moves to $TARGET, and the seeder goes. A connection that was cut
# may be found to be so only now: then nothing has happened, and it is asked again
moves()
{
	of_await "$TARGET" .migration.phase following
	wait_until 60 "$TARGET is finalized" r3map finalize "$TARGET"
	moved
}

# dialling [OPTION...]: a seeder that dials port 10910 and listens nowhere, and its application
dialling()
{
	truncate -s 20M "$TEST_DIR/region"
	SOURCE=$(r3map seed --daemon --log "$TEST_DIR/seed.log" --index 0 --dial 127.0.0.1:10910 "$@" \
		"file:$TEST_DIR/region" 2>"$TEST_DIR/begin.log") || fail "r3map seed --dial"
	cleanup_fn device_remove "$SOURCE"
	[ "$SOURCE" = /dev/r3map0 ] || fail "it prints $SOURCE"
	writer direct "$SOURCE" /dev/r3map1
}

# listening [ARGUMENT...]: a leecher, as leech
listening()
{
	TARGET=$(r3map leech --daemon --log "$TEST_DIR/leech.log" --index 1 "$@") || {
		cat "$TEST_DIR/leech.log" >&2
		fail "r3map leech $*"
	}
	cleanup_fn device_remove "$TARGET"
}

expect_fail r3map leech
expect_fail r3map leech --listen :10910 nbd://127.0.0.1/

# the seeder first: it dials until there is somebody
dialling
# before it has a log it says so to who started it
wait_until 60 "it says that nobody listens" grep -qs 'cannot reach the leecher at 127.0.0.1:10910 yet' \
	"$TEST_DIR/begin.log" "$TEST_DIR/seed.log"
listening --listen 127.0.0.1:10910
of_await "$TARGET" .migration.phase following
# what is cut is dialled again, and goes on
cut=$(ss -KHnt state established dport = :10910)
[ -n "$cut" ] || fail "ss -K has cut nothing"
wait_until 60 "the leecher is dialled again" grep -q 'is here again' "$TEST_DIR/seed.log"
moves

# the leecher first, on all addresses; who says what makes no sense is no seeder
listening --listen :10910 &
leecher=$!
wait_until 60 "it listens" eval 'ss -ltn | grep -q :10910'
dialling
wait $leecher
TARGET=/dev/r3map1
cleanup_fn device_remove "$TARGET"
moves

# with TLS
dialling --tls require --tls-psk "$TEST_DIR/keys"
listening "nbds+listen://leecher@127.0.0.1:10910/?tls-psk-file=$TEST_DIR/keys"
moves

# a relay is nothing to either of them
truncate -s 20M "$TEST_DIR/region"
seed "file:$TEST_DIR/region" --index 0 --listen 127.0.0.1:10911
cat >"$TEST_DIR/relay.py" <<'END'
# what socat TCP-LISTEN:10912,fork TCP:127.0.0.1:10911 does
import socket, threading

def pump(a, b):
    while data := a.recv(65536):
        b.sendall(data)
    b.shutdown(socket.SHUT_WR)

listener = socket.create_server(("127.0.0.1", 10912))
while True:
    a, _ = listener.accept()
    b = socket.create_connection(("127.0.0.1", 10911))
    threading.Thread(target=pump, args=(a, b), daemon=True).start()
    threading.Thread(target=pump, args=(b, a), daemon=True).start()
END
python3 "$TEST_DIR/relay.py" 2>"$TEST_DIR/relay.log" &
relay=$!
cleanup_fn eval "kill $relay 2>/dev/null || :"
wait_until 60 "the relay listens" eval 'ss -ltn | grep -q 127.0.0.1:10912'
writer direct "$SOURCE" /dev/r3map1
listening nbd://127.0.0.1:10912/
moves
