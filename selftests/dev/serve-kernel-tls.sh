#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# kernels: 6.12:2
#
# This test will let the kernel's own NBD client use what r3map serve offers with TLS only, by
# certificates on both sides: random writes verified, a file system made, filled and checked, and
# the same bytes found in the served file; who has no TLS, no certificate or mistakes the server gets
# nothing.

# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/rc.sh"
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/kernel-nbd.inc.sh"
requires_program certtool
nbd-client --help 2>&1 | grep -q enable-tls || skip "this nbd-client has no TLS"
ip link set lo up 2>/dev/null || :

pki=$TEST_DIR/pki
"$TEST_LIB/certificates.sh" "$pki"
truncate -s 96M "$TEST_DIR/file"
r3map serve --listen 127.0.0.1:0 --tls require --tls-certificates "$pki/good" --tls-verify-peer \
	"disk=file:$TEST_DIR/file" >"$TEST_DIR/uri" 2>>"$TEST_DIR/log" &
server=$!
cleanup_fn eval "kill $server 2>/dev/null; wait $server"
wait_until 20 "the server listens" test -s "$TEST_DIR/uri"
port=$(sed -E 's|^nbds://127\.0\.0\.1:([0-9]+)/disk$|\1|' "$TEST_DIR/uri")
where=(-N disk 127.0.0.1 "$port" "$nbd")

# tls FOLDER [HOST]: the options of nbd-client, a line each
tls()
{
	local cert=$pki/$1/client-cert.pem
	printf '%s\n' -enable-tls -cacertfile "$pki/$1/ca-cert.pem" -tlshostname "${2:-localhost}"
	[ ! -e "$cert" ] || printf '%s\n' -certfile "$cert" -keyfile "$pki/$1/client-key.pem"
}

# turned_away TEXT OPTION...: nbd-client does not get in, and it or the server has said TEXT of it
turned_away()
{
	local text=$1
	shift
	: >"$TEST_DIR/log"
	expect_fail timeout 120 nbd-client -b 4096 "$@" "${where[@]}" >"$TEST_DIR/nbd-client.log"
	kernel_free || fail "$nbd is attached in spite of: $*"
	wait_until 30 "somebody says '$text' of: $*" \
		grep -F -- "$text" "$TEST_DIR/stderr" "$TEST_DIR/log"
}

turned_away 'STARTTLS has to come first'
mapfile -t options < <(tls no-client)
turned_away 'the client has sent no certificate' "${options[@]}"
mapfile -t options < <(tls other-ca)
turned_away 'TLS: the client' "${options[@]}"
mapfile -t options < <(tls good nobody.example)
turned_away 'TLS: the client' "${options[@]}"

mapfile -t options < <(tls good)
kernel_attach "${options[@]}" "${where[@]}"
fio_run --filename=$nbd --verify=crc32c --verify_fatal=1 --rw=randwrite --bsrange=4k-128k \
	--serialize_overlap=1 --size="$(slow 16 4)m" --ioengine=libaio --iodepth=16 --direct=1
mkfs.ext4 -q $nbd
mkdir "$TEST_DIR/mnt"
mount $nbd "$TEST_DIR/mnt"
cleanup_fn eval "! mountpoint -q $TEST_DIR/mnt || umount $TEST_DIR/mnt"
head -c "$(slow 4 1)M" /dev/urandom >"$TEST_DIR/mnt/data"
sum=$(sha256sum <"$TEST_DIR/mnt/data")
umount "$TEST_DIR/mnt"
e2fsck -fn $nbd >/dev/null 2>&1 || fail "fsck of $nbd"
kernel_detach

# what the server holds is what the kernel wrote, and another connection reads it
e2fsck -fn "$TEST_DIR/file" >/dev/null 2>&1 || fail "fsck of the served file"
mapfile -t options < <(tls second)
kernel_attach "${options[@]}" "${where[@]}"
mount -o ro $nbd "$TEST_DIR/mnt"
[ "$(sha256sum <"$TEST_DIR/mnt/data")" = "$sum" ] || fail "the file"
umount "$TEST_DIR/mnt"
kernel_detach
kill -TERM $server
wait $server || fail "the server's end"
