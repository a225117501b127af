#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# kernels: 6.12
# timeout: 900
#
# This test will cut the power, as far as a disk can tell: a store file lies in a file system on a disk
# whose bytes are copied at one moment, while programs write to the device and it is pulled and pushed.
# From each copy the next mount has every write that was synced before, or a newer one, and brings the
# backend to the same bytes.

# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/rc.sh"
requires_program mkfs.ext4 durable
requires_filesystem ext4

blocks=768 disk=$TEST_DIR/disk backend=$TEST_DIR/backend
mkdir "$TEST_DIR/mnt"

# disk_mount FILE: the file system of a disk, at mnt; sets DISK and DISK_PID
disk_mount()
{
	device_mount --no-part-scan "file:$1"
	DISK=$DEV DISK_PID=$(device_sysfs helper_pid)
	mount "$DISK" "$TEST_DIR/mnt"
	cleanup_fn eval "! mountpoint -q $TEST_DIR/mnt || umount $TEST_DIR/mnt"
}
disk_umount()
{
	umount "$TEST_DIR/mnt"
	r3map umount "$DISK"
}

# cut N: what there is at this moment
cut()
{
	process_stop "$DISK_PID"
	process_stop "$1"
	cp "$disk" "$disk.$2"
	cp "$backend" "$backend.$2"
	cp "$TEST_DIR/log" "$TEST_DIR/log.$2"
	kill -CONT "$1" "$DISK_PID"
}

# looked_at N: the next mount after that moment
looked_at()
{
	disk_mount "$disk.$1"
	# the name of the backend is that of the store: as if the same server had been restored
	mv "$backend.$1" "$backend"
	device_mount --managed --no-part-scan --push-interval 0 --store "$TEST_DIR/mnt/store" \
		"delay:1ms:file:$backend"
	note "cut $1: $(device_fact local) local, $(device_fact dirty) dirty"
	is_clean && fail "cut $1: nothing is dirty"
	durable check "$DEV" "$TEST_DIR/log.$1" >"$TEST_DIR/said" || fail "cut $1: $(cat "$TEST_DIR/said")"
	note "$(cat "$TEST_DIR/said")"
	r3map sync "$DEV"
	cmp "$DEV" "$backend" || fail "cut $1: the backend is not the device"
	r3map umount "$DEV"
	disk_umount
}

for flush in local-durable remote; do
	truncate -s 32M "$disk"
	mkfs.ext4 -q "$disk"
	truncate -s $((blocks * 4096)) "$backend"
	disk_mount "$disk"
	device_mount --managed --no-part-scan --store "$TEST_DIR/mnt/store" --flush="$flush" \
		--chunk-size 16K --push-interval 100ms --pull-workers 1 "delay:1ms:file:$backend"
	managed=$DEV helper=$(device_sysfs helper_pid)
	durable write "$DEV" "$TEST_DIR/log" 7 &
	writer=$!
	cleanup_fn eval "kill -9 $writer 2>/dev/null || :"
	cuts=$(slow 5 3)
	for ((i = 0; i < cuts; i++)); do
		lines=$(wc -l <"$TEST_DIR/log" 2>/dev/null || echo 0)
		more() { [ "$(wc -l <"$TEST_DIR/log")" -gt $((lines + 20 + i * 60)) ]; }
		wait_until 120 "more is acknowledged" more
		kill -0 $writer 2>/dev/null || fail "the writer has ended"
		cut "$helper" "$i"
	done
	kill -TERM $writer
	wait $writer || fail "the writer"
	DEV=$managed
	r3map umount "$DEV"
	disk_umount
	rm "$disk"
	for ((i = 0; i < cuts; i++)); do
		looked_at "$i"
		rm -f "$disk.$i"
	done
	rm -f "$backend" "$TEST_DIR/log"
done
