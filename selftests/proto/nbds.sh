#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# This test will connect to nbdkit, qemu-nbd and nbd-server with TLS, by certificates and by keys: who
# is who it should be gets in and has its data carried, everybody else is
# told why not.

. "$(dirname "$0")/../lib/test.sh"
. "$(dirname "$0")/rc.sh"
requires_program r3map certtool qemu-nbd nbd-server python3

pki=$TEST_DIR/pki
"$TEST_LIB/certificates.sh" "$pki"
size=$(slow 16 3)M	# of each export

# uri QUERY: of the server started last, over its unix socket
uri()
{
	printf 'nbds+unix:///?socket=%s&%s' "$SOCKET" "$1"
}

# works QUERY: data goes both ways
works()
{
	r3map info "$(uri "$1")" >"$TEST_DIR/out" 2>"$TEST_DIR/stderr" ||
		fail "$1: $(cat "$TEST_DIR/stderr")"
	grep -q '^  encryption   TLS1\.[23] ' "$TEST_DIR/out" || fail "$1: $(cat "$TEST_DIR/out")"
	backend-io random -n "$(slow 2000)" "$(uri "$1")" || fail "$1: data"
}

nbdkit_start_or_skip TLS --tls=require --tls-certificates="$pki/good" --tls-verify-peer memory "$size"
works "tls-certificates=$pki/good"
works "tls-certificates=$pki/good&tls-hostname=localhost&tls-type=x509"
works "tls-certificates=$pki/second&tls-verify-peer=1"
works "tls-certificates=$pki/good&tls-verify-peer=0&tls-hostname=nobody.example"
r3map info "$(uri "tls-certificates=$pki/good&tls-verify-peer=0")" 2>"$TEST_DIR/stderr" >/dev/null
grep -q 'tls-verify-peer=0' "$TEST_DIR/stderr" || fail "no warning"
refused "$(uri "tls-certificates=$pki/good&tls-hostname=nobody.example")" 'not for "nobody.example"'
refused "$(uri "tls-certificates=$pki/other-ca")" 'not from an authority that we trust'
refused "$(uri "tls-certificates=$TEST_DIR/none")" 'cannot use the folder of certificates'
# the server must refuse a client without a certificate; when we hear of it depends on the version
expect_fail backend-io info "$(uri "tls-certificates=$pki/no-client")"
refused "nbd+unix:///?socket=$SOCKET" 'demands TLS: write nbds+unix:'

nbdkit_start --tls=require --tls-certificates="$pki/expired" memory "$size"
refused "$(uri "tls-certificates=$pki/good")" expired

nbdkit_start --tls=require --tls-psk="$pki/keys.psk" memory "$size"
works "tls-psk-file=$pki/alice.psk"
works "tls-psk-file=$pki/keys.psk&tls-username=bob&tls-type=psk"
r3map info "nbds+unix://alice@/?socket=$SOCKET&tls-psk-file=$pki/keys.psk" >"$TEST_DIR/out"
refused "$(uri "tls-psk-file=$pki/keys.psk")" 'say which'
expect_fail backend-io info "$(uri "tls-psk-file=$pki/wrong-key.psk")"
expect_fail backend-io info "$(uri "tls-psk-file=$pki/unknown.psk")"

nbdkit_start --tls=off memory "$size"
refused "$(uri "tls-certificates=$pki/good")" 'the server has no TLS'
nbdkit_start --mask-handshake=0 memory "$size"
refused "$(uri "tls-certificates=$pki/good")" 'too old for TLS'

image "$size"
qemu_nbd_start --format=raw --object="tls-creds-x509,id=t,endpoint=server,dir=$pki/good,verify-peer=on" \
	--tls-creds=t "$IMAGE"
works "tls-certificates=$pki/good"
expect_fail backend-io info "$(uri "tls-certificates=$pki/no-client")"
refused "nbd+unix:///?socket=$SOCKET" 'demands TLS: write nbds+unix:'
mkdir "$pki/qemu"
cp "$pki/keys.psk" "$pki/qemu/keys.psk"
qemu_nbd_start --format=raw --object="tls-creds-psk,id=t,endpoint=server,dir=$pki/qemu" \
	--tls-creds=t "$IMAGE"
works "tls-psk-file=$pki/alice.psk"
expect_fail backend-io info "$(uri "tls-psk-file=$pki/wrong-key.psk")"

NBD_SERVER_TLS=$pki/good nbd_server_start disk
NBD="nbds+unix:///disk?socket=$SOCKET"
backend-io random -n "$(slow 2000)" "$NBD&tls-certificates=$pki/good" || fail "nbd-server: data"
refused "nbd+unix:///disk?socket=$SOCKET" 'demands TLS: write nbds+unix:'
refused "$NBD&tls-certificates=$pki/good&tls-hostname=nobody.example" 'not for "nobody.example"'

# over TCP the certificate must be for the host
for host in localhost 127.0.0.1; do
	nbdkit_tcp_start 127.0.0.1 --tls=require --tls-certificates="$pki/good" memory "$size" ||
		fail "nbdkit finds no port"
	r3map info "nbds://$host:$PORT/?tls-certificates=$pki/good" >"$TEST_DIR/out" ||
		fail "by the name $host"
	nbd_pid_end "$PIDFILE"
	nbdkit_tcp_start 127.0.0.1 --tls=require --tls-certificates="$pki/wrong-name" memory "$size" ||
		fail "nbdkit finds no port"
	refused "nbds://$host:$PORT/?tls-certificates=$pki/good" "not for \"$host\""
	nbd_pid_end "$PIDFILE"
done
