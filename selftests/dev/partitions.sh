#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# kernels: 6.1:1 6.12 7.2:1
#
# This test will use a device with partitions: their nodes appear by themselves once
# the device is ready, not with --no-part-scan, and after a new table is written.

# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/rc.sh"
requires_filesystem ext4
requires_program sfdisk mkfs.ext4

truncate -s 32M "$TEST_DIR/file"
printf '8M,8M\n16M,\n' | sfdisk -q --label gpt "$TEST_DIR/file"
device_mount "file:$TEST_DIR/file"
wait_until 20 "the partitions are there" test -b "${DEV}p2"
[ "$(blockdev --getsize64 "${DEV}p1")" = $((8 << 20)) ] || fail "size of the first partition"
mkfs.ext4 -q "${DEV}p1"
mkdir "$TEST_DIR/mnt"
mount "${DEV}p1" "$TEST_DIR/mnt"
cleanup_fn eval "! mountpoint -q $TEST_DIR/mnt || umount $TEST_DIR/mnt"
echo hello >"$TEST_DIR/mnt/file"
expect_fail r3map umount "$DEV"
umount "$TEST_DIR/mnt"
# another table, while nobody uses it
printf '4M,4M\n8M,4M\n12M,4M\n' | sfdisk -q --label dos "$DEV"
wait_until 20 "a third partition is there" test -b "${DEV}p3"
dd if=/dev/zero of="${DEV}p3" bs=4M count=1 oflag=direct status=none
expect_fail dd if=/dev/zero of="${DEV}p3" bs=4M count=2 oflag=direct status=none
r3map umount "$DEV"
[ ! -e "${DEV}p1" ] || fail "a partition outlives its disk"

device_mount --no-part-scan "file:$TEST_DIR/file"
dd if="$DEV" of=/dev/null bs=1M count=1 status=none
exec 9<>"$DEV"
exec 9>&-
[ ! -e "${DEV}p1" ] || fail "partitions in spite of --no-part-scan"
r3map umount "$DEV"

# a backend that answers after a while: the device is ready first, then it is looked at
device_mount "delay:300ms:file:$TEST_DIR/file"
[ "$(device_sysfs state)" = live ] || fail "not live"
wait_until 30 "the partitions are there" test -b "${DEV}p3"
# a table that cannot be read takes nothing with it
r3map umount "$DEV"
device_mount "fault:op=read:file:$TEST_DIR/file"
device_await live
