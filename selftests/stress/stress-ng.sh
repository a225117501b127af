#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# kernels: 6.12:2
# timeout: 400
#
# This test will have stress-ng write, map, sync and cut files of a file system on a device, direct and managed, while
# its helper is killed and comes back: stress-ng, which verifies what it reads, is content, and so is fsck.

# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/rc.sh"
requires_filesystem ext4
requires_program stress-ng mkfs.ext4 e2fsck
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/../dev/filesystem.inc.sh"

# it ends by what it has done; --timeout is for one that hangs
# shellcheck disable=SC2054 # the commas belong to stress-ng
STRESS=(--verify --abort --timeout 300s
	--hdd 1 --hdd-bytes 4M --hdd-opts wr-rnd,rd-rnd,fsync --hdd-ops 400
	--iomix 1 --iomix-bytes 4M --iomix-ops 400
	--mmap 1 --mmap-file --mmap-bytes 2M --mmap-ops 2
	--msync 1 --msync-bytes 1M --msync-ops 100
	--sync-file 1 --sync-file-bytes 4M --sync-file-ops 5
	--seek 1 --seek-size 4M --seek-ops 400
	--aio 1 --aio-ops 400
	--fallocate 1 --fallocate-bytes 4M --fallocate-ops 10
	--dentry 1 --dentry-ops 300)

busy() { [ "$(device_counter writes)" -ge "$1" ]; }

for MANAGED in '' --managed; do
	backend=file:$TEST_DIR/backend$MANAGED
	truncate -s 64M "${backend#file:}"
	# shellcheck disable=SC2086 # none, or a word
	device_mount $MANAGED --park 1h "$backend"
	mkfs.ext4 -q "$DEV"
	filesystem_mount
	stress-ng --temp-path "$TEST_DIR/mnt" "${STRESS[@]}" >"$TEST_DIR/stress" 2>&1 &
	stress=$!
	for ((i = 0; i < 2; i++)); do
		before=$(device_counter writes)
		wait_until 120 "stress-ng writes" eval "busy $((before + 30)) || process_ended $stress"
		! process_ended $stress || break
		device_kill
		device_recover "$backend"
	done
	[ $i -gt 0 ] || fail "stress-ng was done before the helper was killed"
	wait $stress || {
		cat "$TEST_DIR/stress"
		fail "stress-ng, $backend"
	}
	grep -q 'successful run completed' "$TEST_DIR/stress" || fail "it does not say that it is content"
	[ "$(device_counter errors)" = 0 ] || fail "errors"
	umount "$TEST_DIR/mnt"
	r3map umount "$DEV"
	e2fsck -fn "${backend#file:}" >"$TEST_DIR/fsck" 2>&1 || {
		cat "$TEST_DIR/fsck"
		fail "fsck of $backend"
	}
done
