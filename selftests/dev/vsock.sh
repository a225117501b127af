#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# kernels: 6.12:2
#
# This test will reach a server over vsock, looped back within this machine: it is asked what it
# is, read and written without a device and with one, in the clear and with TLS.

# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/rc.sh"
requires_program nbdkit fio backend-io
modprobe -q vsock_loopback 2>/dev/null || :

# loops: is the local address one that something can listen on and connect to?
loops()
{
	python3 - <<-'END'
		import socket
		LOCAL = 1
		s = socket.socket(socket.AF_VSOCK)
		s.bind((socket.VMADDR_CID_ANY, socket.VMADDR_PORT_ANY))
		s.listen()
		c = socket.socket(socket.AF_VSOCK)
		c.settimeout(20)
		c.connect((LOCAL, s.getsockname()[1]))
	END
}
loops 2>"$TEST_DIR/stderr" ||
	skip "this kernel has no vsock that loops back: $(tail -n 1 "$TEST_DIR/stderr")"

# server_end: the server of the moment
server_end()
{
	local pid
	pid=$(cat "$TEST_DIR/pid" 2>/dev/null) || return 0
	kill "$pid" 2>/dev/null || return 0
	wait_until 20 "nbdkit ends" process_ended "$pid"
	rm -f "$TEST_DIR/pid"
}
cleanup_fn server_end

# server_start ARG...: nbdkit on $PORT, which it may have to try for
server_start()
{
	for PORT in 10809 20809 30809; do
		! nbdkit --vsock -p $PORT -P "$TEST_DIR/pid" "$@" 2>"$TEST_DIR/stderr" || return 0
	done
	fail "nbdkit $*: $(cat "$TEST_DIR/stderr")"
}

server_start memory 16M
r3map info "nbd+vsock://1:$PORT/" >"$TEST_DIR/info"
grep -q '^  size  *16777216 ' "$TEST_DIR/info" || fail "$(cat "$TEST_DIR/info")"
backend-io random -d 16 -n "$(slow 2000)" "nbd+vsock://1:$PORT/" || fail "random reads and writes"
device_mount --queues 2 "nbd+vsock://1:$PORT/"
fio_run --filename="$DEV" --verify=crc32c --verify_fatal=1 --rw=randwrite --bsrange=4k-128k \
	--serialize_overlap=1 --size="$(slow 16 4)m" --ioengine=libaio --iodepth=16 --direct=1
[ "$(device_counter errors)" = 0 ] || fail "errors"
r3map umount "$DEV"
server_end
expect_fail r3map info "nbd+vsock://1:$PORT/"
grep -q "cannot connect to machine 1 port $PORT" "$TEST_DIR/stderr" || fail "$(cat "$TEST_DIR/stderr")"

printf 'host:%s\n' "$(od -An -tx1 -N32 /dev/urandom | tr -d ' \n')" >"$TEST_DIR/keys"
if nbdkit --dump-config | grep -qx tls=yes; then
	server_start --tls=require --tls-psk="$TEST_DIR/keys" memory 16M
	r3map info "nbds+vsock://host@1:$PORT/?tls-psk-file=$TEST_DIR/keys" >"$TEST_DIR/info"
	grep -q '^  encryption  *TLS1' "$TEST_DIR/info" || fail "$(cat "$TEST_DIR/info")"
	backend-io random -n "$(slow 500)" \
		"nbds+vsock://host@1:$PORT/?tls-psk-file=$TEST_DIR/keys" || fail "data with TLS"
	server_end
fi
