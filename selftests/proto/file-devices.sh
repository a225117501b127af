#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# This test will read, write, discard and zero a block device, and leave alone
# one that is in use. It is tried where loop devices can be made.

. "$(dirname "$0")/../lib/test.sh"
. "$(dirname "$0")/rc.sh"
requires_root
requires_program losetup mkfs.ext4

image 32M
dev=$(losetup --find --show "$IMAGE" 2>"$TEST_DIR/stderr") ||
	skip "no loop device can be made here: $(tail -n 1 "$TEST_DIR/stderr")"
cleanup_fn losetup --detach "$dev"

info_is "file:$dev" size=33554432 block_min=512 can_flush=1 can_zeroes=1 read_only=0
backend-io random -n 5000 "file:$dev"
backend-io fill -s 4 "file:$dev"
result_is ok zero -o 1M -b 1M "file:$dev"
result_is ok zero -K -F -o 2M -b 1M "file:$dev"
result_is ok read -z -o 1M -b 2M "file:$dev"
if [ "$(cat "/sys/block/${dev#/dev/}/queue/discard_max_bytes")" != 0 ]; then
	result_is ok discard -o 4M -b 4M "file:$dev"
	result_is ok read -z -o 4M -b 4M "file:$dev"
fi
result_is ok read -s 4 -o 8M -b 1M "file:$dev"
result_is EINVAL read -o 100 -b 512 "file:$dev"
info_is "file:$dev?ro" read_only=1

mkfs.ext4 -q "$dev"
mkdir "$TEST_DIR/mnt"
mount "$dev" "$TEST_DIR/mnt"
cleanup_fn umount "$TEST_DIR/mnt"
refused "file:$dev" "in use"
