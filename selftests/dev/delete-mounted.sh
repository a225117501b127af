#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# kernels: 6.1:2 7.2:1
#
# This test will delete a device below a file system that is mounted and under I/O: spared
# without force; with it the file system gets errors, and everything can be let go of.

# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/rc.sh"
requires_program mkfs.ext4
requires_filesystem ext4
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/filesystem.inc.sh"

# gone MKFS SIZE
gone()
{
	truncate -s "$2" "$TEST_DIR/file"
	device_mount --queues 2 "file:$TEST_DIR/file"
	$1 "$DEV"
	filesystem_mount
	filesystem_busy 2
	expect_fail r3map umount "$DEV"
	device_is live || fail "$1: it is $(device_sysfs state)"
	filesystem_goes_on 2
	r3map umount --force "$DEV"
	device_gone "$DEV" || fail "$1: a forced umount did not wait"
	filesystem_fails 2
	# what is new must reach a disk that is not there any more
	! dd if=/dev/zero of="$TEST_DIR/mnt/new" bs=4k count=1 conv=fsync status=none 2>/dev/null ||
		fail "$1: a file was written to nowhere"
	umount "$TEST_DIR/mnt"
	rm "$TEST_DIR/file"
	module_unload
	module_load
}

gone "mkfs.ext4 -q" 64M
if grep -qw xfs /proc/filesystems || modprobe -q xfs && command -v mkfs.xfs >/dev/null; then
	gone "mkfs.xfs -q" 320M
fi
