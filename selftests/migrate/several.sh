#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# kernels: 6.12:2
#
# This test will have two, and then three, leechers follow one seeder under a writer: the one that finalizes has all
# that was written, and the others are told that they have lost, and where it is to be followed, if it is.

# shellcheck disable=SC2016,SC2119 # eval expands; no options are meant
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/rc.sh"
requires_program sequence

for leechers in 2 3; do
	rm -f "$state" "$TEST_DIR/leech.log"
	truncate -s $REGION "$TEST_DIR/region.$leechers"
	seed "file:$TEST_DIR/region.$leechers"
	winner=/dev/r3map1
	writer direct "$SOURCE" $winner
	losers=()
	onward=()
	[ $leechers = 2 ] || onward=(--seed-unix "$TEST_DIR/onward.sock")
	leech --index 1 "${onward[@]}"
	for ((n = 2; n <= leechers; n++)); do
		leech --index $n
		losers+=("$TARGET")
	done
	for device in $winner "${losers[@]}"; do
		of_await "$device" .migration.phase following
	done
	of_is "$SOURCE" .epochs $leechers || fail "not each leecher has an epoch of its own"
	# each is told all of it: who looks less often has more in one round
	round=$(of "${losers[-1]}" .migration.round)
	r3map finalize $winner
	# a round of theirs, or a finalize, is answered with who has the region
	for device in "${losers[@]}"; do
		of_await "$device" .migration.phase lost
		! r3map finalize "$device" 2>"$TEST_DIR/told" || fail "$device is finalized as well"
		grep -q 'has gone to another leecher: remove' "$TEST_DIR/told" || { cat "$TEST_DIR/told"; fail "no reason is told"; }
		of_is "$device" .hold all || fail "$device lets somebody in"
		r3map show "$device" >"$TEST_DIR/shown"
		grep -q 'reason .*has gone to another leecher, and is in use there' "$TEST_DIR/shown" ||
			{ cat "$TEST_DIR/shown"; fail "$device does not show why"; }
	done
	[ "$(grep -c 'has gone to another leecher, and is in use there' "$TEST_DIR/leech.log")" -eq ${#losers[@]} ] ||
		fail "the logs of the losers do not say why"
	[ "$round" -gt 0 ] || fail "the loser has not followed"
	of_await $winner .migration.phase complete
	writer_goes_on
	URI=$(sed -n "s/.*there; 'r3map leech \(.*\)' follows it.*/\1/p" "$TEST_DIR/shown")
	if [ $leechers = 2 ]; then
		[ -z "$URI" ] || fail "it is followed at $URI, where nobody is"
	else
		leech --index 9
		of_await "$TARGET" .migration.phase following
		r3map umount "$TARGET"
		! grep -q 'the migration has failed' "$TEST_DIR/leech.log" || fail "one that is not wanted any more is told to have failed"
	fi
	writer_ends $winner
	wait_until 60 "the seeder's device is gone" device_gone "$SOURCE"
	for device in $winner "${losers[@]}"; do
		r3map umount "$device"
	done
done
