#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# kernels: 6.12:1
#
# This test will sync a managed device whose store is on a disk that fails: that is told in words, what
# was written stays dirty and can be read, and an unmount without --force is refused.

# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/rc.sh"
requires_filesystem ext4
requires_program mkfs.ext4

# what the file system of the store says of its disk
kmsg_allow 'EXT4-fs|JBD2|Buffer I/O error'
broken=$TEST_DIR/broken
mkdir "$TEST_DIR/mnt"
device_mount --no-part-scan "fault:op=write+flush,file=$broken:mem:64M"
disk=$DEV
mkfs.ext4 -q "$disk"
cleanup_fn eval "! mountpoint -q '$TEST_DIR/mnt' || umount '$TEST_DIR/mnt'"
mount "$disk" "$TEST_DIR/mnt"

image 4M
device_mount --managed --no-part-scan --pull-workers 0 --push-interval 0 --store "$TEST_DIR/mnt/store" \
	"file:$IMAGE"
put 0 128
r3map sync "$DEV"
is_clean || fail "$(device_fact dirty) are dirty"
put 1024 128
touch "$broken"
expect_fail r3map sync "$DEV"
grep -q 'the store cannot be written to its disk' "$TEST_DIR/stderr" || fail "said: $(cat "$TEST_DIR/stderr")"
device_is live || fail "it is $(device_sysfs state)"
! is_clean || fail "what cannot be on the disk of the store counts as written back"
expect_fail r3map umount "$DEV"
grep -q 'cannot unmount without losing what was written' "$TEST_DIR/stderr" || fail "said: $(cat "$TEST_DIR/stderr")"
device_is live || fail "it is $(device_sysfs state)"
dd if="$DEV" of="$TEST_DIR/got" bs=64k count=1 skip=8 iflag=direct status=none
cmp -n 65536 -i 0:524288 "$TEST_DIR/got" "$WANT" || fail "what was written cannot be read"
r3map umount --force "$DEV"
