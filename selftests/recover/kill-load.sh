#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# kernels: 6.1 6.12 7.2:2
#
# This test will kill the helper with -9 under load, again and again, and attach a new
# one: no write fails, none that was acknowledged is lost, reads see what was written.

# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/rc.sh"
requires_program acked

blocks=512
truncate -s 4M "$TEST_DIR/file"
device_mount --queues 2 --depth 8 --park 1h --no-part-scan "file:$TEST_DIR/file"
acked_start $blocks 8
generation=0
for ((round = 0; round < $(slow 20 5); round++)); do
	acked_go_on $((RANDOM % 50))
	device_kill
	device_is parked || fail "round $round: $(device_sysfs state)"
	[ "$(device_sysfs generation)" -ge "$generation" ] || fail "the generation went back"
	generation=$(device_sysfs generation)
	device_recover "file:$TEST_DIR/file"
	device_is live || fail "round $round: $(device_sysfs state) after recovery"
	[ "$(device_sysfs generation)" -gt "$generation" ] || fail "the generation did not grow"
done
acked_go_on 100
acked_stop
acked check "$DEV" "$TEST_DIR/log" $blocks || fail "the device has lost writes"
[ "$(device_counter errors)" = 0 ] || fail "$(device_counter errors) errors"
note "$(device_counter parked) parked, $(device_counter reissued) reissued"
r3map umount "$DEV"
acked check "$TEST_DIR/file" "$TEST_DIR/log" $blocks || fail "the file has lost writes"
