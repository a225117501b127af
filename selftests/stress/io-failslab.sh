#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# kernels: 7.2:1
#
# This test will let allocations of the module fail at random while devices are under
# load, lose their helper, are taken over and deleted: a failed allocation is a delay.
# timeout: 300

# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/rc.sh"
requires_program acked
faults_init

# What a command answers may be "out of memory"; it is tried again, as an operator would.
again()
{
	local i
	for ((i = 0; i < 40; i++)); do
		"$@" 2>"$TEST_DIR/err" && return
		grep -qiE 'memory|ENOMEM|buffer|cannot be made|cannot be pinned' "$TEST_DIR/err" ||
			{ cat "$TEST_DIR/err" >&2; return 1; }
	done
	cat "$TEST_DIR/err" >&2
	return 1
}

# counter NAME: to ask for it may need memory, too
counter()
{
	local i
	for ((i = 0; i < 40; i++)); do
		device_counter "$1" 2>/dev/null && return
	done
	return 1
}

blocks=256
for TRANSPORT in shared inline; do
	rm -f "$TEST_DIR/log"
	truncate -s 1M "$TEST_DIR/file"
	device_mount --queues 2 --depth 8 --park 1h --no-part-scan "file:$TEST_DIR/file"
	cleanup_fn faults_off # before the device is removed
	faults_module 10
	acked write "$DEV" "$TEST_DIR/log" $blocks 6 &
	writer=$!
	progress() { [ "$(counter writes)" -ge "$1" ]; }
	wait_until 60 "$TRANSPORT: numbers are written" progress "$(slow 800 200)"
	for i in 1 2; do
		device_kill
		again device_recover "file:$TEST_DIR/file" || fail "$TRANSPORT: recovery $i"
		# also where a helper had come half-way, the last one has it
		device_await live
	done
	writes=$(counter writes)
	wait_until 60 "$TRANSPORT: writing goes on" progress $((writes + 200))
	kill -TERM $writer
	wait $writer || fail "$TRANSPORT: a write has failed"
	delayed=$(counter delayed)
	faults_off
	[ "$(counter errors)" = 0 ] || fail "$TRANSPORT: $(counter errors) errors"
	acked check "$DEV" "$TEST_DIR/log" $blocks || fail "$TRANSPORT: writes are lost"
	note "$TRANSPORT: $delayed messages were delayed"
	[ "$delayed" -gt 0 ] || fail "$TRANSPORT: the injection does nothing"
	faults_module 10
	again r3map umount "$DEV" || fail "$TRANSPORT: umount"
	faults_off
	device_gone "$DEV" || fail "$TRANSPORT: it is still there"
done
