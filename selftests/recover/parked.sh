#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# kernels: 6.1 6.12 7.2:1
#
# This test will unmount, delete and unload what is parked or failed, with dirty pages
# above it: nothing waits for ever, and what recovers has lost nothing.

# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/rc.sh"
requires_filesystem ext4
requires_program mkfs.ext4

mkdir "$TEST_DIR/mnt"
cleanup_fn eval "! mountpoint -q $TEST_DIR/mnt || umount $TEST_DIR/mnt"
truncate -s 32M "$TEST_DIR/file"

# dirty pages, then the helper dies; umount waits, recovery finishes it
device_mount --park 1h "file:$TEST_DIR/file"
mkfs.ext4 -q "$DEV"
mount "$DEV" "$TEST_DIR/mnt"
dd if=/dev/urandom of="$TEST_DIR/data" bs=256k count=16 status=none
sync -f "$TEST_DIR/mnt"
cp "$TEST_DIR/data" "$TEST_DIR/mnt/data"
device_kill
umount "$TEST_DIR/mnt" &
umount=$!
waiting() { [ "$(device_fact waiting)" -ge 1 ]; }
wait_until 30 "umount waits for the device" waiting
kill -0 $umount || fail "umount did not wait"
device_recover "file:$TEST_DIR/file"
wait $umount || fail "umount after recovery"
e2fsck -fn "$DEV" >/dev/null 2>&1 || fail "fsck"
mount "$DEV" "$TEST_DIR/mnt"
cmp "$TEST_DIR/mnt/data" "$TEST_DIR/data" || fail "data after recovery"

# the same, and the park time is over: umount ends, with errors in the log of ext4 only
cp "$TEST_DIR/data" "$TEST_DIR/mnt/more"
device_kill
umount "$TEST_DIR/mnt" &
umount=$!
wait_until 30 "umount waits for the device" waiting
r3map set --park 200ms "$DEV"
wait $umount || :
mountpoint -q "$TEST_DIR/mnt" && fail "it is still mounted"
device_is failed || fail "it is $(device_sysfs state)"
# nobody uses it: the module may go, and takes the failed device with it
module_unload || fail "rmmod with a failed device"
module_load

# deleted while parked, with bios that wait
# no look for partitions, which would wait as well, and be taken for the reader
device_mount --park 1h --no-part-scan mem:8M
device_kill
dd if="$DEV" of=/dev/null bs=4k count=1 iflag=direct status=none 2>/dev/null &
reader=$!
wait_until 20 "the reader waits" waiting
expect_fail r3map umount "$DEV"
expect_fail rmmod r3map
r3map umount --force "$DEV"
wait $reader && fail "a read of a device that was deleted succeeded"
device_gone "$DEV" || fail "it is still there"

# unloaded while parked
device_mount --park 1h mem:8M
device_kill
module_unload || fail "rmmod with a parked device"
device_gone "$DEV" || fail "it outlives its module"
module_load
