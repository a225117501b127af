#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# kernels: 6.1:2 6.12 7.2:2
#
# This test will try to unload the module below a file system that is mounted and under I/O,
# and below devices that nobody has open: refused while it is in use, and nothing breaks.

# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/rc.sh"
requires_filesystem ext4
requires_program mkfs.ext4 busybox
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/filesystem.inc.sh"

# refused: rmmod looks before it asks the kernel, busybox asks the kernel
refused()
{
	expect_fail rmmod r3map
	grep -q 'in use' "$TEST_DIR/stderr" || fail "rmmod said: $(cat "$TEST_DIR/stderr")"
	expect_fail busybox rmmod r3map
	grep -q 'temporarily unavailable' "$TEST_DIR/stderr" ||
		fail "the kernel said: $(cat "$TEST_DIR/stderr")"
	module_loaded || fail "it is gone all the same"
}

# mounted and under I/O
truncate -s 64M "$TEST_DIR/file"
device_mount --queues 2 --park 1h "file:$TEST_DIR/file"
mkfs.ext4 -q "$DEV"
filesystem_mount
filesystem_busy 2
for i in 1 2; do
	refused
	device_is live || fail "it is $(device_sysfs state)"
	filesystem_goes_on 2
done
# the helper dies: it holds the module no more, but the file system does
device_kill
device_is parked || fail "it is $(device_sysfs state)"
refused
device_recover "file:$TEST_DIR/file"
device_await live
filesystem_goes_on 2
filesystem_idle || fail "a write or a read has failed"
[ "$(device_counter errors)" = 0 ] || fail "$(device_counter errors) errors"
umount "$TEST_DIR/mnt"
e2fsck -fn "$DEV" >"$TEST_DIR/fsck" 2>&1 || { cat "$TEST_DIR/fsck"; fail "fsck"; }
r3map umount "$DEV"
module_unload
module_load

# not open: its helper holds the module; without one it goes with the module
for state in parked failed; do
	device_mount --park 1h mem:1M
	unused() { [ "$(device_fact openers)" = 0 ]; }
	wait_until 20 "partitions have been looked for" unused
	refused
	dd if="$DEV" of=/dev/null bs=64k iflag=direct status=none
	device_kill
	[ $state = parked ] || r3map set --park 0 "$DEV"
	device_await $state
	module_unload
	[ -z "$(device_all)" ] || fail "$state: it outlives the module"
	module_load
	[ -z "$(device_all)" ] || fail "$state: it came back"
done
