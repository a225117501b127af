#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# kernels: 6.1 6.12 7.2:2
#
# This test will make, use, kill, recover and delete devices in several places at once,
# while others ask for lists and listen: all of it ends, and nothing is left.

# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/rc.sh"
requires_program peer

r3map monitor >"$TEST_DIR/events" &
cleanup_fn kill $!
(while :; do r3map list >/dev/null; done) &
cleanup_fn kill $!

# life ROUNDS SEED: of one device after another
life()
{
	local i
	RANDOM=$2
	for ((i = 0; i < $1; i++)); do
		# each has a number of its own, or one would delete what another has just made
		DEV=$(r3map mount --daemon --index "$2" --park 1h --queues $((RANDOM % 2 + 1)) --depth 8 mem:4M) || return 1
		NAME=${DEV#/dev/}
		dd if=/dev/zero of="$DEV" bs=64k count=16 oflag=direct conv=nocreat status=none &
		[ $((RANDOM % 2)) = 0 ] || wait $! || return 1
		case $((RANDOM % 4)) in
		0) kill -9 "$(device_sysfs helper_pid)" ;;
		1)
			device_kill
			r3map mount --daemon --recover "$DEV" mem:4M >/dev/null || return 1
			;;
		2) kill -TERM "$(device_sysfs helper_pid)" ;;
		esac 2>/dev/null
		r3map umount --force "$DEV" 2>/dev/null || device_gone "$DEV" ||
			wait_until 30 "$DEV is gone" device_gone "$DEV"
		wait
	done
}

pids=()
for i in 1 2 3; do
	life "$(slow 6 2)" $i 2>"$TEST_DIR/err$i" &
	pids+=($!)
done
for i in 1 2 3; do
	wait "${pids[i - 1]}" || { cat "$TEST_DIR/err$i"; fail "life $i"; }
done
no_devices() { [ -z "$(device_all)" ]; }
wait_until 30 "all devices are gone" no_devices
grep -q REMOVED "$TEST_DIR/events" || fail "the monitor heard nothing"
