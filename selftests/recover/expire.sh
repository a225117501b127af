#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# kernels: 6.1:2 6.12 7.2:2
#
# This test will look for a request that nobody counts: one that is on no list, because its
# payload is being copied, at the moment when ages are looked at. It must time out as any other.
#
# Of two writes to a device of one slot the second is copied when the first is answered, and
# hangs at the backend; a look every 10 ms meets a copy of 1 MiB in some of the rounds.

# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/rc.sh"

rounds=$(slow 40 15) hang=$TEST_DIR/hang
for TRANSPORT in shared inline; do
	device_mount --queues 1 --depth 1 --no-part-scan --timeout 50ms \
		"fault:op=write,every=2,mode=hang,file=$hang:mem:8M"
	for ((i = 0; i < rounds; i++)); do
		touch "$hang"
		writers=()
		for at in 0 4; do
			dd if=/dev/zero of="$DEV" bs=1M count=1 seek=$at oflag=direct status=none \
				2>/dev/null &
			writers+=($!)
		done
		wait_until 30 "round $i: both writes have ended" eval \
			"! kill -0 ${writers[0]} 2>/dev/null && ! kill -0 ${writers[1]} 2>/dev/null"
		rm "$hang"
	done
	[ "$(device_counter timeouts)" -ge $((rounds / 2)) ] || fail "$(device_counter timeouts) timeouts"
	[ "$(device_counter refused)" = 0 ] || fail "late answers were refused"
	r3map umount "$DEV"
done
