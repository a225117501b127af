#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# kernels: 6.1:1 6.12 7.2:1
#
# This test will lose the helper under both policies: bios fail at once, or wait and are
# finished by the next helper, or fail when the time is over; a failed device recovers.

# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/rc.sh"

truncate -s 8M "$TEST_DIR/file"
backend=file:$(realpath "$TEST_DIR/file")
dd if=/dev/urandom of="$TEST_DIR/file" bs=1M count=8 status=none

# fail at once; what is under way, and what comes later
device_mount --on-death fail --no-part-scan "fault:op=read,mode=hang,count=1:$backend"
dd if="$DEV" of=/dev/null bs=4k count=1 iflag=direct status=none 2>"$TEST_DIR/dd" &
reader=$!
flying() { [ "$(device_fact in_flight)" = 1 ]; }
wait_until 20 "a request is with the helper" flying
device_kill
device_is failed || fail "the state is $(device_sysfs state)"
wait $reader && fail "the read should have failed"
grep -q 'Input/output error' "$TEST_DIR/dd" || fail "dd said: $(cat "$TEST_DIR/dd")"
expect_fail dd if="$DEV" of=/dev/null bs=4k count=1 iflag=direct status=none
expect_fail dd if=/dev/zero of="$DEV" bs=4k count=1 oflag=direct status=none
# and lives again
device_recover "$backend" --force
cmp "$DEV" "$TEST_DIR/file" || fail "data after recovery from FAILED"
r3map umount "$DEV"

# idle when it is lost
device_mount --park 1h --no-part-scan "$backend"
device_kill
device_is parked || fail "the state is $(device_sysfs state)"
left=$(device_sysfs park_left_ms)
[ "$left" -gt 3000000 ] || fail "$left ms are left"
[ "$left" -le 3600000 ] || fail "$left ms are left"
r3map show "$DEV" | grep -q recover || fail "show does not say what to do"
dd if="$DEV" bs=64k count=8 iflag=direct status=none >"$TEST_DIR/data" &
reader=$!
waiting() { [ "$(device_fact waiting)" -ge 1 ]; }
wait_until 20 "the reader waits" waiting
device_recover "$backend"
wait $reader || fail "the parked read failed"
cmp -n 524288 "$TEST_DIR/data" "$TEST_DIR/file"

# the time is over while somebody waits
device_kill
dd if="$DEV" of=/dev/null bs=4k count=1 iflag=direct status=none 2>/dev/null &
reader=$!
wait_until 20 "the reader waits" waiting
r3map set --park 100ms "$DEV"
device_await failed
wait $reader && fail "the read should have failed"
r3map show "$DEV" | grep -q recover || fail "show does not say what to do"
[ "$(device_fact waiting)" = 0 ] || fail "something waits still"
device_recover "$backend"
dd if=/dev/zero of="$DEV" bs=1M count=8 oflag=direct status=none
# a helper that ends well takes its device with it
kill -TERM "$(device_sysfs helper_pid)"
wait_until 20 "the device is gone" device_gone "$DEV"
