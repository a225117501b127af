#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# kernels: 6.12:2
#
# This test will let the kernel encrypt (kTLS) for serve and mount, with a GnuTLS that can leave that
# to it: both ends, one end, random writes verified through a device, the counters of the kernel's
# TLS; then, without its module, the same is done as if nothing had been asked for.

# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/rc.sh"
requires_program certtool nbdcopy fio
[ -e "${R3MAP_GNUTLS:-}/libgnutls.so.30" ] ||
	skip "Debian's GnuTLS is built without kTLS, and there is no other: see selftests/vm/gnutls.sh"
modprobe -q tls 2>/dev/null || skip "this kernel has no TLS"
ip link set lo up 2>/dev/null || :
pki=$TEST_DIR/pki
"$TEST_LIB/certificates.sh" "$pki"
printf '%s\n' '[global]' 'ktls = true' >"$TEST_DIR/gnutls.conf"

# before a command: its GnuTLS leaves encryption to the kernel where it can
ktls=(env "GNUTLS_SYSTEM_PRIORITY_FILE=$TEST_DIR/gnutls.conf" "LD_LIBRARY_PATH=$R3MAP_GNUTLS")

# sockets: how many the kernel's TLS has been given so far, to receive
sockets()
{
	awk '$1 == "TlsRxSw" { print $2 }' /proc/net/tls_stat
}

# told [CMD...]: what info, after CMD, says of the encryption
told()
{
	"$@" r3map info "$uri" | sed -n 's/^ *encryption *//p'
}

# served: starts a server, and sets $server and $uri
served()
{
	rm -f "$TEST_DIR/uri"
	"${ktls[@]}" r3map serve --listen 127.0.0.1:0 --tls require --tls-certificates "$pki/good" \
		--tls-verify-peer disk=mem:16M >"$TEST_DIR/uri" 2>>"$TEST_DIR/log" &
	server=$!
	wait_until 20 "the server listens" test -s "$TEST_DIR/uri"
	uri="$(cat "$TEST_DIR/uri")?tls-certificates=$pki/good&tls-hostname=localhost"
}
cleanup_fn eval "kill \$server 2>/dev/null; wait \$server"

# used: a device of what is served, written, verified and read by somebody else
used()
{
	"${ktls[@]}" r3map mount --run "fio --name=x --thread --filename=\$R3MAP_DEVICE --verify=crc32c --verify_fatal=1 \
		--rw=randwrite --bsrange=4k-128k --serialize_overlap=1 --size=$(slow 8 2)m \
		--ioengine=libaio --iodepth=16 --direct=1 >/dev/null" "$uri"
	head -c 16M /dev/urandom >"$TEST_DIR/data"
	nbdcopy "$TEST_DIR/data" "$uri"
	nbdcopy "$uri" "$TEST_DIR/back"
	cmp "$TEST_DIR/data" "$TEST_DIR/back" || fail "what a client without kTLS has written"
	"${ktls[@]}" nbdcopy "$uri" "$TEST_DIR/back"
	cmp "$TEST_DIR/data" "$TEST_DIR/back" || fail "what a client with kTLS reads"
}

# unit DEMAND: peers that say other things than data
unit()
{
	"${ktls[@]}" "TEST_KERNEL_TLS=$1" "$TEST_TOP/selftests/bin/unit/tls-kernel" >"$TEST_DIR/unit" 2>&1 || {
		cat "$TEST_DIR/unit"
		fail "tls-kernel with TEST_KERNEL_TLS=$1"
	}
}

served
[[ "$(told "${ktls[@]}")" = *", kernel" ]] || fail "no kernel TLS: $(told "${ktls[@]}")"
[[ "$(told)" != *kernel* ]] || fail "the system's GnuTLS has kTLS: this test takes it to have none"
before=$(sockets)
used
[ "$(sockets)" -gt "$before" ] || fail "the kernel's TLS was not used: $(cat /proc/net/tls_stat)"
[ "$(awk '$1 == "TlsDecryptError" { print $2 }' /proc/net/tls_stat)" = 0 ] || fail "not all was understood"
kill -TERM $server
wait $server || fail "the server's end"
unit 1

# the kernel must not load it again by itself
modprobe=$(cat /proc/sys/kernel/modprobe)
cleanup_fn eval "echo $modprobe >/proc/sys/kernel/modprobe"
echo /bin/false >/proc/sys/kernel/modprobe
wait_until 30 "the kernel's TLS is unloaded" rmmod tls
served
[[ "$(told "${ktls[@]}")" != *kernel* ]] || fail "kernel TLS without the module"
used
unit 0
