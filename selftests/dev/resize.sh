#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# kernels: 6.12 7.2:2
#
# This test will make a device larger and smaller while it is read and written, and
# see every opener, the file system on it and the events agree on the size.

# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/rc.sh"
requires_filesystem ext4
requires_program jq mkfs.ext4 resize2fs fio

truncate -s 64M "$TEST_DIR/file"
device_mount "file:$TEST_DIR/file"
r3map resize "$DEV" 32M
[ "$(blockdev --getsize64 "$DEV")" = $((32 << 20)) ] || fail "size after shrinking"
mkfs.ext4 -q "$DEV"
mkdir "$TEST_DIR/mnt"
mount "$DEV" "$TEST_DIR/mnt"
cleanup_fn eval "! mountpoint -q $TEST_DIR/mnt || umount $TEST_DIR/mnt"
fio_run --directory="$TEST_DIR/mnt" --size=4m --rw=randrw --bs=16k --verify=crc32c \
	--runtime=60 --loops=2 &
for size in 48M 64M 40M 64M; do
	r3map resize "$DEV" "$size"
	[ "$(blockdev --getsize64 "$DEV")" = $((${size%M} << 20)) ] || fail "size after $size"
	[ "$(device_fact size)" = $((${size%M} << 20)) ] || fail "show after $size"
done
wait $! || fail "fio while resizing"
resize2fs "$DEV" >/dev/null 2>&1
[ "$(df -m --output=size "$TEST_DIR/mnt" | tail -n 1)" -gt 50 ] || fail "the file system did not grow"
expect_fail r3map resize "$DEV" 1000
# behind the end there is nothing
r3map umount "$DEV" 2>/dev/null && fail "deleted while mounted"
umount "$TEST_DIR/mnt"
r3map resize "$DEV" 32M
dd if="$DEV" of="$TEST_DIR/x" bs=1M skip=32 count=1 iflag=direct status=none 2>/dev/null || :
[ ! -s "$TEST_DIR/x" ] || fail "read behind the end"
mount -o ro "$DEV" "$TEST_DIR/mnt" 2>/dev/null && fail "mounted a file system that is cut off"
r3map resize "$DEV" 64M
mount "$DEV" "$TEST_DIR/mnt"
umount "$TEST_DIR/mnt"
e2fsck -fn "$DEV" >/dev/null 2>&1 || fail "fsck"
mount "$DEV" "$TEST_DIR/mnt"
