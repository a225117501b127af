#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# This test will encrypt what r3map serve and its clients say to each other, with certificates
# and with keys, and see that who must not get in does not, and that nothing is believed that
# was said in the clear.

. "$(dirname "$0")/../lib/test.sh"
. "$(dirname "$0")/rc.sh"
requires_program nbdinfo nbdcopy qemu-img qemu-io nbdkit certtool python3 cmp
ktap_plan 8

"$TEST_LIB/certificates.sh" "$TEST_DIR/c"
c=$TEST_DIR/c
image 4M
dd if=/dev/urandom of="$IMAGE" bs=1M count=3 conv=notrunc status=none

# libnbd_uri FOLDER EXPORT: for a client with the certificates of FOLDER
libnbd_uri()
{
	printf 'nbds://localhost:%s/%s?tls-certificates=%s' "$port" "$2" "$c/$1"
}

# tls_start ARG...: a server of one export "disk" on TCP; $port is where
tls_start()
{
	SOCKET=
	serve_start_at -l 127.0.0.1:0 "$@" disk=mem:4M
	port=${NBD#*://} port=${port%%/*} port=${port##*:}
}

x509()
{
	tls_start --tls-certificates "$c/good"
	[ "$(nbdinfo --size "$(libnbd_uri good disk)")" = 4194304 ] || return
	nbdinfo "$(libnbd_uri good disk)" | grep -q 'with TLS' || return
	nbdcopy "$IMAGE" "$(libnbd_uri good disk)" &&
		nbdcopy --connections=3 "$(libnbd_uri no-client disk)" - | cmp - "$IMAGE" || return
	# not required, so who does not want it has it not
	nbdinfo "nbd://127.0.0.1:$port/disk" | grep -q 'without TLS' || return
	backend-io random -n 500 "nbd://127.0.0.1:$port/disk" || return
	qemu_image good | grep -q 'virtual size: 4 MiB' || return
	qemu-io --object "tls-creds-x509,id=t,endpoint=client,dir=$c/good" --image-opts \
		"driver=nbd,host=localhost,port=$port,export=disk,tls-creds=t" \
		-c 'write -P 0x5a 1M 64k' -c 'flush' -c 'read -P 0x5a 1M 64k' >"$TEST_DIR/out" 2>&1 || return
	! grep -qi 'failed' "$TEST_DIR/out" || return
	# nbdkit as a client, and it serves on to a client of its own without TLS
	nbd_socket
	nbdkit -U "$SOCKET" -P "$PIDFILE" nbd hostname=localhost port="$port" export=disk \
		tls=require tls-certificates="$c/good" || return
	[ "$(nbdinfo --size "nbd+unix:///?socket=$SOCKET")" = 4194304 ] &&
		nbdcopy "$IMAGE" "nbd+unix:///?socket=$SOCKET" &&
		nbdcopy "$(libnbd_uri good disk)" - | cmp - "$IMAGE" || return
	nbd_pid_end "$PIDFILE"
	SOCKET=
	serve_stop
}

# qemu_image FOLDER [OPTION...]: what qemu-img says of the export
qemu_image()
{
	qemu-img info --object "tls-creds-x509,id=t,endpoint=client,dir=$c/$1" --image-opts \
		"driver=nbd,host=localhost,port=$port,export=disk,tls-creds=t" 2>&1
}
ktap_test "certificates: libnbd, QEMU, nbdkit" x509

psk()
{
	local keys=$c/keys.psk
	tls_start --tls require --tls-psk "$keys"
	[ "$(nbdinfo --size "nbds://alice@localhost:$port/disk?tls-psk-file=$c/alice.psk")" = 4194304 ] ||
		return
	nbdcopy "$IMAGE" "nbds://bob@localhost:$port/disk?tls-psk-file=$c/bob.psk" || return
	mkdir -p "$c/psk"
	cp "$c/alice.psk" "$c/psk/keys.psk"
	qemu-img convert -O raw --object "tls-creds-psk,id=t,endpoint=client,dir=$c/psk,username=alice" \
		--image-opts "driver=nbd,host=localhost,port=$port,export=disk,tls-creds=t" \
		"$TEST_DIR/copy" || return
	cmp "$TEST_DIR/copy" "$IMAGE" || return
	for wrong in wrong-key:alice unknown:mallory; do
		! nbdinfo "nbds://${wrong#*:}@localhost:$port/disk?tls-psk-file=$c/${wrong%:*}.psk" \
			>/dev/null 2>&1 || return
	done
	serve_stop
}
ktap_test "pre-shared keys: libnbd, QEMU" psk

own()
{
	tls_start --tls require --tls-certificates "$c/good" --tls-verify-peer
	! backend-io info "$NBD" 2>/dev/null || return	# it has no certificate
	backend-io random -n 500 -F "$(libnbd_uri good disk)" || return
	serve_stop
}
ktap_test "r3map's own client" own

required()
{
	tls_start --tls require --tls-certificates "$c/good"
	! nbdinfo "nbd://localhost:$port/disk" >/dev/null 2>&1 || return
	! nbdinfo --list "nbd://localhost:$port/" >/dev/null 2>&1 || return
	python - "$port" <<-'END' || return
		import sys
		from nbdraw import *
		where = ("127.0.0.1", int(sys.argv[1]))
		c = Client(where)
		c.greet()
		for option in LIST, INFO, GO, STRUCTURED, EXTENDED_HEADERS, SET_META, LIST_META, 4711:
		    replies = c.option(option, b"\0\0\0\4disk\0\0")
		    assert len(replies) == 1 and replies[0][0] == ERR_TLS_REQD, (option, replies)
		    assert b"disk" not in replies[0][1]
		assert c.verdict(ABORT) == ACK and c.ended()
		c = Client(where)
		c.greet()
		c.option_say(EXPORT_NAME, b"disk")
		assert c.ended()
	END
	[ "$(nbdinfo --size "$(libnbd_uri no-client disk)")" = 4194304 ] || return
	serve_stop
}
ktap_test "--tls require" required

off()
{
	tls_start --tls off
	! nbdinfo --size "$(libnbd_uri good disk)" >/dev/null 2>&1 || return
	python - "$port" <<-'END' || return
		import sys
		from nbdraw import *
		c = Client(("127.0.0.1", int(sys.argv[1])))
		c.greet()
		assert c.verdict(STARTTLS) == ERR_POLICY
		assert c.go("disk")[-1][0] == ACK
		c.disconnect()
	END
	serve_stop
}
ktap_test "--tls off" off

who()
{
	local folder
	tls_start --tls require --tls-certificates "$c/good" --tls-verify-peer
	for folder in good second; do
		[ "$(nbdinfo --size "$(libnbd_uri $folder disk)")" = 4194304 ] || return
	done
	for folder in no-client other-ca expired; do
		cp "$c/good/ca-cert.pem" "$c/$folder/"	# the client trusts, the server does not
		! nbdinfo "$(libnbd_uri $folder disk)" >/dev/null 2>&1 || return
	done
	serve_stop
	tls_start --tls require --tls-certificates "$c/good" --tls-verify-peer \
		--tls-allow CN=second,O=r3map
	[ "$(nbdinfo --size "$(libnbd_uri second disk)")" = 4194304 ] || return
	! nbdinfo "$(libnbd_uri good disk)" >/dev/null 2>&1 || return
	serve_stop
	tls_start --tls require --tls-certificates "$c/revoked" --tls-verify-peer
	[ "$(nbdinfo --size "$(libnbd_uri second disk)")" = 4194304 ] || return
	! nbdinfo "$(libnbd_uri good disk)" >/dev/null 2>&1 || return
	serve_stop
	# clients look, too
	tls_start --tls-certificates "$c/wrong-name"
	! nbdinfo "$(libnbd_uri good disk)" >/dev/null 2>&1 || return
	serve_stop
	serve_refuses 1 "$TEST_DIR/nowhere" --tls on --tls-certificates "$TEST_DIR/nowhere" -l \
		127.0.0.1:0 mem:1M
}
ktap_test "who is let in" who

# What an intruder puts between STARTTLS and the handshake is never obeyed.
injected()
{
	tls_start --tls on --tls-certificates "$c/good"
	python - "$port" "$c/good" <<-'END' || return
		import socket, ssl, struct, sys
		from nbdraw import *
		where = ("127.0.0.1", int(sys.argv[1]))
		header = struct.pack(">QII", IHAVEOPT, STARTTLS, 0)
		more = struct.pack(">QIII", IHAVEOPT, LIST, 0, 0)

		c = Client(where)			# with STARTTLS, in one piece
		c.greet()
		c.say(header + more)
		try:
		    c.option_hear(STARTTLS)
		except Gone:
		    pass
		assert c.ended()

		c = Client(where)			# after its answer, in place of the handshake
		c.greet()
		assert c.verdict(STARTTLS) == ACK
		c.say(more)
		assert c.ended()

		c = Client(where)			# part of a record, then the end
		c.greet()
		assert c.verdict(STARTTLS) == ACK
		c.say(b"\x16\x03\x01\x02\x00\x01")
		c.socket.shutdown(socket.SHUT_WR)
		assert c.ended()

		c = Client(where)			# what was agreed on in the clear is forgotten
		c.greet()
		assert c.verdict(STRUCTURED) == ACK
		assert c.verdict(STARTTLS) == ACK
		context = ssl.create_default_context(cafile=sys.argv[2] + "/ca-cert.pem")
		c.socket = context.wrap_socket(c.socket, server_hostname="localhost")
		assert c.verdict(STARTTLS) == ERR_INVALID
		assert c.verdict(STRUCTURED) == ACK
		assert c.go("disk")[-1][0] == ACK
		data = bytes(range(256)) * 8192
		assert not c.write(0, data).error and c.read(0, len(data)).data == data
		c.socket = c.socket.unwrap()		# back to the clear: the connection ends
		assert c.ended()

		c = Client(where)			# a byte of a request is changed
		c.greet()
		assert c.verdict(STARTTLS) == ACK
		raw = c.socket
		inside, outside = ssl.MemoryBIO(), ssl.MemoryBIO()
		tls = context.wrap_bio(inside, outside, server_hostname="localhost")
		while True:
		    try:
		        tls.do_handshake()
		        break
		    except ssl.SSLWantReadError:
		        raw.sendall(outside.read())
		        inside.write(raw.recv(65536))
		raw.sendall(outside.read())
		tls.write(struct.pack(">QII", IHAVEOPT, LIST, 0))
		record = bytearray(outside.read())
		record[-1] ^= 1
		raw.sendall(record)
		assert c.ended()
	END
	[ "$(nbdinfo --size "$(libnbd_uri good disk)")" = 4194304 ] || return
	serve_stop
}
ktap_test "what is said in the clear after STARTTLS" injected

# Connections that stop in the handshake of TLS, or never begin it.
stopped()
{
	tls_start --tls on --tls-certificates "$c/good" --handshake-timeout 3s
	python - "$port" <<-'END' || return
		import sys
		from nbdraw import *
		where = ("127.0.0.1", int(sys.argv[1]))
		for said in b"", b"\x16", b"\x16\x03\x01\x00\xff" + bytes(20):
		    c = Client(where)
		    c.greet()
		    assert c.verdict(STARTTLS) == ACK
		    c.say(said)
		    assert c.ended()
	END
	serve_stop
}
ktap_test "a handshake that stops" stopped
