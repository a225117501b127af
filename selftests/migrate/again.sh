#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# kernels: 6.12:2
#
# This test will cut the connection while a region is pulled, between two rounds and within the list of one, and count:
# what has come before does not come again.

# shellcheck disable=SC2016,SC2119 # eval expands; no options are meant
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/rc.sh"
requires_program python3

SIZE=$((8 << 20))
WORKERS=4
MOST=$((WORKERS * 65536 * 2))	# bytes that are under way, at most, in each of a pull's reads and its answers
dd if=/dev/urandom of="$TEST_DIR/region" bs=$SIZE count=1 status=none

# cut: all connections are lost, and are refused until cutter is called
cut()
{
	kill $CUTTER
	wait $CUTTER || :
}

# rounds N: waits until so many more are over
rounds()
{
	local round
	round=$(of "$TARGET" .migration.round)
	wait_until 60 "$1 rounds" eval '[ "$(of "$TARGET" .migration.round)" -ge '$((round + $1))' ]'
}

# filled: bytes that have come to the device
filled()
{
	of "$TARGET" .counters.fill_bytes
}

# while it is pulled
seed "file:$TEST_DIR/region" --index 0
cutter
leech --index 1 --pull-workers $WORKERS --pull-rate $((SIZE / 8))
wait_until 60 "a part was pulled" eval '[ "$(of "$TARGET" .local)" -ge '$((SIZE / 8))' ]'
cut
[ "$(of "$TARGET" .local)" -lt $SIZE ] || fail "all of it was pulled before the cut"
cutter
r3map set --pull-rate 0 "$TARGET"
of_await "$TARGET" .migration.phase following
[ "$(filled)" = $SIZE ] || fail "of $SIZE bytes $(filled) were filled in"
sent=$(of "$SOURCE" .sent)
[ "$sent" -ge $SIZE ] || fail "the seeder has sent $sent bytes, less than there are"
[ "$sent" -le $((SIZE + MOST)) ] || fail "the seeder has sent $sent bytes for $SIZE"

# between rounds: what is written while there is no connection comes, once, and nothing else
rounds 2
sent=$(of "$SOURCE" .sent)
cut
dd if=/dev/urandom of="$SOURCE" bs=64K seek=3 count=4 oflag=direct conv=notrunc status=none
cutter
rounds 3
[ "$(filled)" = $((SIZE + 262144)) ] || fail "after 262144 bytes were written $(($(filled) - SIZE)) came"
sent=$(($(of "$SOURCE" .sent) - sent))
[ "$sent" -le $((262144 + 65536)) ] || fail "the seeder has sent $sent bytes for 262144"

# within a list: one that says nothing has 12 bytes, so this one says what was written
cut
cutter 8004:20
rounds 1
dd if=/dev/urandom of="$SOURCE" bs=64K seek=40 count=1 oflag=direct conv=notrunc status=none
wait_until 60 "a list is cut" grep -q 'cut 8004:20' "$TEST_DIR/cuts"
rounds 3
[ "$(filled)" = $((SIZE + 262144 + 65536)) ] || fail "after 65536 bytes were written $(($(filled) - SIZE - 262144)) came"
r3map finalize "$TARGET"
of_await "$TARGET" .migration.phase complete
cmp "$TARGET" "$TEST_DIR/region" || fail "it is not what was written"
wait_until 60 "the seeder's device is gone" device_gone "$SOURCE"
r3map umount "$TARGET"
