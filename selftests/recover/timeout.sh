#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# kernels: 6.1:1 6.12 7.2:1
#
# This test will stop the helper with SIGSTOP until requests run out of time, and let it
# go on: its late answers are taken silently, and the device works as before. Under load, and not for
# so long, nothing is lost.

# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/rc.sh"

for TRANSPORT in shared inline; do
	device_mount --queues 1 --depth 16 --no-part-scan mem:8M
	dd if=/dev/urandom of="$TEST_DIR/data" bs=1M count=8 status=none
	dd if="$TEST_DIR/data" of="$DEV" bs=1M oflag=direct status=none
	pid=$(device_sysfs helper_pid)
	process_stop "$pid"
	r3map set --timeout 300ms "$DEV"
	readers=()
	for i in 1 2 3 4; do
		dd if="$DEV" of=/dev/null bs=64k count=1 skip="$i" iflag=direct status=none 2>"$TEST_DIR/dd$i" &
		readers+=($!)
	done
	expect_fail dd if=/dev/zero of="$DEV" bs=64k count=1 seek=99 oflag=direct status=none
	for reader in "${readers[@]}"; do
		wait "$reader" && fail "a read of a stopped helper succeeded"
	done
	grep -qE 'timed out|Input/output' "$TEST_DIR/dd1" || fail "dd said: $(cat "$TEST_DIR/dd1")"
	[ "$(device_counter timeouts)" = 5 ] || fail "$(device_counter timeouts) timeouts"
	[ "$(device_fact in_flight)" = 0 ] || fail "in flight"
	device_is live || fail "it is $(device_sysfs state)"
	r3map set --timeout 30s "$DEV"
	# this one waits for the helper to wake up
	dd if="$DEV" of="$TEST_DIR/back" bs=1M count=8 iflag=direct status=none &
	reader=$!
	kill -CONT "$pid"
	wait $reader || fail "a read after SIGCONT"
	cmp -n $((99 * 65536)) "$TEST_DIR/back" "$TEST_DIR/data"
	[ "$(device_counter refused)" = 0 ] || fail "late answers were refused"
	dd if="$TEST_DIR/data" of="$DEV" bs=1M oflag=direct status=none
	cmp "$TEST_DIR/data" "$DEV"
	r3map umount "$DEV"
done

device_mount --no-part-scan mem:8M
pid=$(device_sysfs helper_pid)
fio_run --filename="$DEV" --rw=randrw --bsrange=4k-64k --size=8m --ioengine=libaio --iodepth=16 --direct=1 \
	--verify=crc32c --loops="$(slow 8 2)" &
load=$!
for i in 1 2 3 4 5 6; do
	process_stop "$pid"
	sleep 0.3
	kill -CONT "$pid"
	sleep 0.2
done
wait $load || fail "fio, of a helper that was stopped now and then"
[ "$(device_counter errors)" = 0 ] || fail "$(device_counter errors) errors under load"
r3map umount "$DEV"

# stopped and never to come back: umount does not depend on it
device_mount --timeout 1h mem:8M
pid=$(device_sysfs helper_pid)
process_stop "$pid"
dd if="$DEV" of=/dev/null bs=4k count=1 iflag=direct status=none 2>/dev/null &
reader=$!
in_flight() { [ "$(device_fact in_flight)" = "$1" ]; }
wait_until 20 "the read is on its way" in_flight 1
r3map umount --force "$DEV"
wait $reader && fail "a read of a device that was deleted succeeded"
device_gone "$DEV" || fail "it is still there"
kill -CONT "$pid"
wait_until 20 "the helper has ended" test ! -e "/proc/$pid"
