#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# kernels: 6.12
#
# This test will mount regions of one sector up to some TiB with chunks of 4 KiB up to 16 MiB: their ends
# are read and written as all else is, the last chunk may be short, and what is not there costs nothing.

# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/rc.sh"

# part FILE OFFSET LENGTH: these bytes
part() { dd if="$1" iflag=skip_bytes,count_bytes bs=64k skip="$2" count="$3" status=none; }

# ends SIZE CHUNK OPTION...: both ends of a region, of up to 96 KiB each
ends()
{
	local size=$1 chunk=$2 end at
	shift 2
	truncate -s 0 "$TEST_DIR/file"
	truncate -s "$size" "$TEST_DIR/file"
	end=$((size < 98304 ? size : 98304))
	for at in 0 $((size - end)); do
		head -c $end /dev/urandom |
			dd of="$TEST_DIR/file" bs=64k seek="$at" oflag=seek_bytes conv=notrunc status=none
	done
	device_mount --managed --no-part-scan --push-interval 0 --chunk-size "$chunk" "$@" \
		"file:$TEST_DIR/file"
	for at in 0 $((size - end)); do
		cmp <(part "$DEV" "$at" "$end") <(part "$TEST_DIR/file" "$at" "$end") ||
			fail "$size bytes, chunks of $chunk: what is at $at"
	done
	for at in 0 $((size - end)); do
		head -c $end /dev/urandom >"$TEST_DIR/new.$at"
		dd if="$TEST_DIR/new.$at" of="$DEV" bs=64k seek="$at" oflag=seek_bytes status=none
	done
	r3map sync "$DEV"
	# the end was written last, where the two meet
	cmp <(part "$TEST_DIR/file" $((size - end)) $end) "$TEST_DIR/new.$((size - end))" ||
		fail "$size bytes, chunks of $chunk: the end at the backend"
	cmp <(part "$TEST_DIR/file" 0 $((size - end < end ? size - end : end))) \
		<(part "$TEST_DIR/new.0" 0 $((size - end < end ? size - end : end))) ||
		fail "$size bytes, chunks of $chunk: the start at the backend"
	is_clean || fail "$size bytes, chunks of $chunk: $(device_fact dirty) are dirty"
	r3map umount "$DEV"
	rm "$TEST_DIR"/new.*
}

ends 512 4K
ends 512 16M
ends 66048 4K
ends 66048 64K
ends $(((5 << 20) + 512)) 64K
ends $(((40 << 20) + 3584)) 16M
ends $((3 << 40)) 1M --pull-workers 0
[ "$(stat -c %b "$TEST_DIR/file")" -lt 20000 ] || fail "the backend of 3 TiB takes $(stat -c %b "$TEST_DIR/file") blocks"
# a thousandth of the region is the most that it may cost besides; here it is much less
device_mount --managed --no-part-scan --pull-workers 0 "file:$TEST_DIR/file"
[ "$(device_fact memory)" -lt $((16 << 20)) ] || fail "$(device_fact memory) bytes of tables for 3 TiB"
r3map umount "$DEV"
