#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# kernels: 6.12:2
#
# This test will mount what r3map serve offers by r3map mount, both ends ours: over TCP
# with several queues and with TLS, a file system, a memory region that two devices share, and
# a server that is killed and comes back under load.

# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/rc.sh"
requires_program fio mkfs.ext4 e2fsck
requires_filesystem ext4
ip link set lo up 2>/dev/null || :

r3map serve --listen 127.0.0.1:10901 --export disk=mem:64M --export "shared=mem:16M" \
	>"$TEST_DIR/uri" 2>"$TEST_DIR/log" &
server=$!
cleanup_fn eval "kill -9 $server 2>/dev/null; wait $server || :"
wait_until 20 "the server listens" test -s "$TEST_DIR/uri"

device_mount --queues 2 nbd://127.0.0.1:10901/disk
fio_run --filename="$DEV" --verify=crc32c --verify_fatal=1 --rw=randwrite --bsrange=4k-256k \
	--serialize_overlap=1 --size="$(slow 32 8)m" --ioengine=libaio --iodepth=32 --direct=1
mkfs.ext4 -q "$DEV"
mkdir "$TEST_DIR/mnt"
mount "$DEV" "$TEST_DIR/mnt"
cleanup_fn eval "! mountpoint -q $TEST_DIR/mnt || umount $TEST_DIR/mnt"
head -c "$(slow 8 2)M" /dev/urandom >"$TEST_DIR/mnt/data"
sum=$(sha256sum <"$TEST_DIR/mnt/data")
umount "$TEST_DIR/mnt"
e2fsck -fn "$DEV" >/dev/null 2>&1 || fail "fsck"
r3map umount "$DEV"

# the memory is the server's: another device has the same files
device_mount nbd://127.0.0.1:10901/disk
mount "$DEV" "$TEST_DIR/mnt"
[ "$(sha256sum <"$TEST_DIR/mnt/data")" = "$sum" ] || fail "the file after a second mount"
umount "$TEST_DIR/mnt"
[ "$(device_counter errors)" = 0 ] || fail "errors"
r3map umount "$DEV"

# two devices of one region at once: what one has flushed the other reads
device_mount nbd://127.0.0.1:10901/shared
first=$DEV
device_mount nbd://127.0.0.1:10901/shared
for offset in 0 5 3999; do
	printf 'at %d' $offset | dd of="$first" bs=4096 seek=$offset oflag=direct conv=sync,notrunc \
		status=none
	blockdev --flushbufs "$DEV"
	grep -q "^at $offset" <(dd if="$DEV" bs=4096 skip=$offset count=1 iflag=direct \
		status=none | tr -d '\0') || fail "block $offset as the other device sees it"
done
r3map umount "$first"
r3map umount "$DEV"
kill -TERM $server
wait $server || fail "the server's end"

# server_start: TLS with a key, and a region that outlives the server
server_start()
{
	: >"$TEST_DIR/uri"
	r3map serve --listen 127.0.0.1:10902 --tls require --tls-psk "$TEST_DIR/keys" \
		--export "kept=file:$TEST_DIR/file" >"$TEST_DIR/uri" 2>>"$TEST_DIR/log" &
	server=$!
	wait_until 20 "the server listens" test -s "$TEST_DIR/uri"
}

truncate -s 64M "$TEST_DIR/file"
printf 'host:%s\n' "$(od -An -tx1 -N32 /dev/urandom | tr -d ' \n')" >"$TEST_DIR/keys"
# shellcheck disable=SC2016 # the server of that time is meant
cleanup_fn eval 'kill -9 $server 2>/dev/null; wait $server || :'
server_start
device_mount "nbds://host@127.0.0.1:10902/kept?tls-psk-file=$TEST_DIR/keys"
fio_run --filename="$DEV" --verify=crc32c --verify_fatal=1 --rw=randwrite --bs=16k \
	--size="$(slow 64 16)m" --ioengine=libaio --iodepth=16 --direct=1 \
	--rate_iops="$(slow 400 100)" &	# so that it lasts
job=$!
back() { [ "$(grep -c "connected again" "$TEST_DIR/helper.log")" -ge "$1" ]; }
for n in 1 2; do
	sleep 1
	kill -9 $server
	wait $server || :
	server_start
	# a server that lives shorter than a pause between two tries is not found
	for _ in $(seq 100); do back $n && break; sleep 0.1; done
done
wait $job || fail "fio did not survive its server"
[ "$(device_counter errors)" = 0 ] || fail "errors"
[ "$(grep -c "connected again" "$TEST_DIR/helper.log")" -ge 2 ] || {
	cat "$TEST_DIR/helper.log"
	fail "the helper did not have to connect again"
}
