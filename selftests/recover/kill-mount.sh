#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# kernels: 6.12:1 7.2:2
#
# This test will kill r3map mount with -9 after each message that it sends while it sets up a device or
# takes one over: what was not ready is gone, what was is parked, and what was parked stays so.

# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/rc.sh"
requires_program killat

head -c 1M /dev/urandom >"$TEST_DIR/file"
DEV=/dev/r3map6 NAME=r3map6
cleanup_fn device_remove "$DEV"

# names of tasks are not recorded, see dev/accounting.sh
trace=/sys/kernel/tracing
cleanup_fn eval "echo $(<$trace/options/record-cmd) >$trace/options/record-cmd"
echo 0 >$trace/options/record-cmd
cleanup_fn eval "echo 0 >$trace/events/r3map/r3map_state/enable"
echo 1 >$trace/events/r3map/r3map_state/enable

# states: those that the device has come to since the trace was emptied
states()
{
	sed -n "s/.*r3map_state: $NAME .* -> //p" $trace/trace | paste -sd ' '
}

gone=0 parked=0

# killed N ARGUMENT...: r3map mount ARGUMENT... is killed after N messages; sets STATES, and MORE to 0 if
# it was up before that
killed()
{
	local status=0
	echo >$trace/trace
	killat "$1" r3map mount "${@:2}" >"$TEST_DIR/out" 2>"$TEST_DIR/err" || status=$?
	case $status in
	0) MORE=1 ;;
	3) MORE=0 ;;
	*) fail "$*: $(cat "$TEST_DIR/err")" ;;
	esac
	# what is made is deleted by a work item
	settled() { STATES=$(states); case $STATES in *new | *deleting | *live) return 1 ;; esac; }
	wait_until 30 "$*: it has come to rest" settled
	[ ! -s "$TEST_DIR/err" ] || fail "$*: said $(cat "$TEST_DIR/err")"
}

# set_up OPTION...: a helper is killed at every step of making a device
set_up()
{
	local n MORE=1
	for ((n = 1; MORE == 1; n++)); do
		killed $n --index 6 --park 1h --no-part-scan "$@" "file:$TEST_DIR/file"
		case $STATES in
		'' | 'new deleting removed')
			device_gone "$DEV" || fail "$*, $n: it is still there"
			gone=$((gone + 1))
			;;
		'new live parked')
			device_is parked || fail "$*, $n: it is $(device_sysfs state)"
			[ "$(device_sysfs helper_pid)" = 0 ] || fail "$*, $n: it has a helper"
			r3map umount --force "$DEV"
			parked=$((parked + 1))
			;;
		*) fail "$*, $n: it was $STATES" ;;
		esac
	done
	note "$*: $((n - 1)) steps"
}

# take_over OPTION...: somebody waits for a device, and helper after helper that takes it over is killed
take_over()
{
	local n reader='' MORE=1
	device_mount --index 6 --park 1h --no-part-scan "$@" "file:$TEST_DIR/file"
	device_kill
	for ((n = 1; MORE == 1; n++)); do
		# one that went on for long enough may have served the reader
		if [ -z "$reader" ] || ! kill -0 "$reader" 2>/dev/null; then
			[ -z "$reader" ] || wait "$reader" || fail "$*, $n: the read failed"
			dd if="$DEV" of="$TEST_DIR/got" bs=64k count=16 iflag=direct status=none &
			reader=$!
		fi
		killed $n --recover "$DEV" "file:$TEST_DIR/file"
		case $STATES in
		'' | 'live parked') ;;
		*) fail "$*, $n: it was $STATES" ;;
		esac
		device_is parked || fail "$*, $n: it is $(device_sysfs state)"
		[ "$(device_sysfs helper_pid)" = 0 ] || fail "$*, $n: it has a helper"
	done
	device_recover "file:$TEST_DIR/file"
	wait "$reader" || fail "$*: the read failed"
	cmp "$TEST_DIR/got" "$TEST_DIR/file" || fail "$*: what was read"
	[ "$(device_counter errors)" = 0 ] || fail "$*: $(device_counter errors) errors"
	r3map umount "$DEV"
	note "$*: taken over in $((n - 1)) steps"
}

set_up --queues 2
set_up --managed --pull-workers 0 --store "$TEST_DIR/store"
take_over --queues 2
take_over --managed --pull-workers 0
[ $gone -gt 4 ] || fail "only $gone were killed before they were ready"
[ $parked -gt 1 ] || fail "only $parked were killed when they were ready"
# nothing of it holds the module, or the file
module_unload || fail "rmmod"
module_load
device_mount --index 6 "file:$TEST_DIR/file"
cmp "$DEV" "$TEST_DIR/file" || fail "another device of it"
r3map umount "$DEV"
