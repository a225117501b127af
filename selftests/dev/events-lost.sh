#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# kernels: 6.1:1 6.12 7.2:2
#
# This test will let the sockets of listeners run over: the kernel waits for none of them and says that
# events were lost, and the monitor says so, too, and then what there is.

# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/rc.sh"
requires_program peer

# room for a few events only
rmem=/proc/sys/net/core/rmem_max
cleanup_fn eval "echo $(<$rmem) >$rmem"
echo 4096 >$rmem

device_mount --index 4 mem:1M
goes=$DEV
device_mount --index 3 mem:1M
stays=$DEV
r3map monitor >"$TEST_DIR/told" 2>&1 &
monitor=$!
cleanup_fn eval "kill -9 $monitor 2>/dev/null || :"
r3map monitor --until REMOVED "$goes" >"$TEST_DIR/end" 2>&1 &
waiter=$!
cleanup_fn eval "kill -9 $waiter 2>/dev/null || :"
# the list is by number
for file in told end; do
	wait_until 60 "the monitor listens" grep -q 'r3map4 .*PRESENT' "$TEST_DIR/$file"
done
process_stop $monitor
process_stop $waiter

# more than fits; a socket that hears nothing more is in order again once it is empty
changes=60
{
	printf 'set index 3\nset generation %s\n' "$(device_sysfs generation)"
	printf 'listen e 4096\nlisten big\nsocket c\n'
	for ((i = 1; i <= changes; i++)); do
		echo "c set timeout=$((5000 + i))"
	done
	echo 'lost e'
	for ((i = 1; i <= changes; i++)); do
		echo 'event big changed'
	done
	printf 'silent e\nc set timeout=7000\nevent e changed\nsilent e\n'
} >"$TEST_DIR/script"
peer <"$TEST_DIR/script"

# what the two that are stopped do not hear of
r3map umount "$goes"
device_mount --index 5 --read-only mem:1M
comes=$DEV
kill -CONT $monitor $waiter

# one has waited for just this
wait_until 60 "who waits for the end of what is gone ends" process_ended $waiter
wait $waiter || fail "it ended with status $?"
grep -q 'events were lost' "$TEST_DIR/end" || fail "events were not lost: $(cat "$TEST_DIR/end")"

# lines of the other: time, device, "generation", generation, event, state
wait_until 60 "the monitor tells what there is" grep -q 'r3map5 .*PRESENT' "$TEST_DIR/told"
[ "$(grep -c 'CHANGED' "$TEST_DIR/told")" -lt $changes ] || fail "nothing was lost"
[ "$(grep -c '^r3map: events were lost' "$TEST_DIR/told")" = 1 ] || fail "said: $(cat "$TEST_DIR/told")"
got=$(sed '1,/events were lost/d' "$TEST_DIR/told" | cut -d ' ' -f 2- | paste -sd ,)
want=
for NAME in r3map3 r3map5; do
	want+=${want:+,}"$NAME generation $(device_sysfs generation) PRESENT LIVE"
done
[ "$got" = "$want" ] || fail "what there is: $got, not $want"

# and it hears again what comes
r3map set --timeout 8s "$stays"
told_later() { sed '1,/events were lost/d' "$TEST_DIR/told" | grep -q "$1"; }
wait_until 60 "a change is told" told_later 'r3map3 .*CHANGED'
r3map umount "$comes"
wait_until 60 "an end is told" grep -q 'r3map5 .*REMOVED' "$TEST_DIR/told"
r3map umount "$stays"
