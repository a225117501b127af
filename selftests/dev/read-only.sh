#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# kernels: 6.1:1 6.12 7.2:1
#
# This test will make a device read-only, at once and while it is mounted, and see
# the kernel refuse writes and the backend get none.

# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/rc.sh"
requires_filesystem ext4
requires_program jq mkfs.ext4

truncate -s 16M "$TEST_DIR/file"
mkfs.ext4 -q "$TEST_DIR/file"
before=$(sha256sum <"$TEST_DIR/file")
device_mount --read-only "file:$TEST_DIR/file"
[ "$(blockdev --getro "$DEV")" = 1 ] || fail "blockdev --getro"
[ "$(cat "/sys/block/$NAME/ro")" = 1 ] || fail "sysfs ro"
expect_fail dd if=/dev/zero of="$DEV" bs=4k count=1 status=none
expect_fail dd if=/dev/zero of="$DEV" bs=4k count=1 oflag=direct status=none
expect_fail blkdiscard -f "$DEV"
expect_fail blkdiscard -f -z "$DEV"
mkdir "$TEST_DIR/mnt"
cleanup_fn eval "! mountpoint -q $TEST_DIR/mnt || umount $TEST_DIR/mnt"
mount -o noload "$DEV" "$TEST_DIR/mnt" 2>/dev/null || mount -o ro,noload "$DEV" "$TEST_DIR/mnt"
expect_fail touch "$TEST_DIR/mnt/file"
umount "$TEST_DIR/mnt"
[ "$(device_counter writes)" = 0 ] || fail "the backend was written"
r3map umount "$DEV"
[ "$before" = "$(sha256sum <"$TEST_DIR/file")" ] || fail "the file has changed"

device_mount "file:$TEST_DIR/file"
mount "$DEV" "$TEST_DIR/mnt"
cleanup_fn eval "! mountpoint -q $TEST_DIR/mnt || umount $TEST_DIR/mnt"
echo one >"$TEST_DIR/mnt/file"
sync -f "$TEST_DIR/mnt"
mount -o remount,ro "$TEST_DIR/mnt"
r3map set --read-only on "$DEV"
expect_fail mount -o remount,rw "$TEST_DIR/mnt"
writes=$(device_counter writes)
expect_fail dd if=/dev/zero of="$DEV" bs=4k count=1 oflag=direct conv=notrunc status=none
[ "$(device_counter writes)" = "$writes" ] || fail "the backend was written"
r3map set --read-only off "$DEV"
mount -o remount,rw "$TEST_DIR/mnt"
echo two >>"$TEST_DIR/mnt/file"
umount "$TEST_DIR/mnt"
e2fsck -fn "$DEV" >/dev/null 2>&1 || fail "fsck"
mount "$DEV" "$TEST_DIR/mnt"
[ "$(paste -sd ' ' "$TEST_DIR/mnt/file")" = "one two" ] || fail "the file system lost a line"
