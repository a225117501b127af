#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# kernels: 6.1:2 6.12 7.2:2
#
# This test will kill the helper under fio with verification, through either transport,
# and see every block come back as it was written.

# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/rc.sh"
requires_program fio

busy() { [ "$(device_counter writes)" -ge "$1" ]; }

for TRANSPORT in shared inline; do
	truncate -s 16M "$TEST_DIR/$TRANSPORT"
	device_mount --queues 2 --depth 32 --park 1h --no-part-scan "file:$TEST_DIR/$TRANSPORT"
	fio_run --filename="$DEV" --size="$(slow 16 6)m" --rw=randwrite --bsrange=4k-64k --serialize_overlap=1 --ioengine=libaio \
		--iodepth=32 --direct=1 --verify=crc32c --verify_fatal=1 --loops=2 &
	fio=$!
	for ((i = 0; i < 3; i++)); do
		wait_until 60 "fio is at work" busy $((i * 30 + 1))
		device_kill
		device_recover "file:$TEST_DIR/$TRANSPORT"
	done
	wait $fio || fail "fio over $TRANSPORT"
	[ "$(device_counter errors)" = 0 ] || fail "errors over $TRANSPORT"
	r3map umount "$DEV"
done
