#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# kernels: 6.12:2
#
# This test will lose the seeder, and then the way to it, while a part of the region is missing at the leecher that has
# it: who asks for that part waits, up to reconnect=, and has it when the source is there again; all else is served.

# shellcheck disable=SC2016,SC2119 # eval expands; no options are meant
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/rc.sh"
requires_program python3

# the block that will be missing: not where partitions are looked for
AT=500
dd if=/dev/urandom of="$TEST_DIR/image" bs=4k count=1024 status=none

# moved_but SECONDS: the region is at $TARGET, but for block $AT, which is $TEST_DIR/block; the seeder may be away for that long
moved_but()
{
	cp "$TEST_DIR/image" "$TEST_DIR/region"
	dd if=/dev/urandom of="$TEST_DIR/block" bs=4k count=1 status=none
	seed "file:$TEST_DIR/region" --index 0 --hold-time 1h
	cutter
	URI+="&reconnect=$1"
	leech --index 1
	of_await "$TARGET" .migration.phase following
	r3map set --pull pause "$TARGET"
	dd if="$TEST_DIR/block" of="$SOURCE" bs=4k seek=$AT oflag=direct conv=notrunc status=none
	r3map finalize "$TARGET" >/dev/null
	of_is "$TARGET" .migration.phase arriving || fail "nothing is missing"
	[ "$(of "$TARGET" .local)" = $((1023 * 4096)) ] || fail "more or less than a block is missing"
}

# ask: somebody reads that block
ask()
{
	dd if="$TARGET" of="$TEST_DIR/read" bs=4k skip=$AT count=1 iflag=direct status=none 2>"$TEST_DIR/reader" &
	READER=$!
	cleanup_fn eval "kill $READER 2>/dev/null || :"
	of_await "$TARGET" '.in_flight > 0' true
}

# rest_is_served: all but that block can be read, and written, while he waits
rest_is_served()
{
	dd if="$TARGET" bs=4k count=$AT iflag=direct status=none | cmp - <(head -c $((AT * 4096)) "$TEST_DIR/image") ||
		fail "what is before it is not what it was"
	dd if="$TARGET" bs=4k skip=$((AT + 1)) iflag=direct status=none | cmp - <(tail -c +$(((AT + 1) * 4096 + 1)) "$TEST_DIR/image") ||
		fail "what is behind it is not what it was"
	dd if="$TEST_DIR/image" of="$TARGET" bs=4k count=1 oflag=direct conv=notrunc status=none
}

# answered: he has it
answered()
{
	wait $READER || { cat "$TEST_DIR/reader"; fail "what was missing cannot be read"; }
	cmp "$TEST_DIR/read" "$TEST_DIR/block" || fail "what was missing is not what was written last"
}

# the seeder's helper is killed; another one serves what is missing, and knows that there is nothing to undo
moved_but 300
helper_kill "$SOURCE"
ask
rest_is_served
! process_ended $READER || fail "who reads what is missing does not wait"
recover_seeder "file:$TEST_DIR/region"
answered
! grep 'finalize --undo' "$TEST_DIR/begin.log" || fail "the new helper offers to take back what is for good"
grep -q 'the region is in use at a leecher' "$TEST_DIR/begin.log" || fail "the new helper does not say what it is for"
expect_fail r3map finalize --undo "$SOURCE"
expect_fail dd if="$TEST_DIR/block" of="$SOURCE" bs=4k count=1 oflag=direct conv=notrunc status=none
r3map set --pull run "$TARGET"
of_await "$TARGET" .migration.phase complete
r3map umount "$SOURCE"
r3map umount "$TARGET"

# it is killed, and nobody comes: that is an error, for what is missing only
moved_but 3
helper_kill "$SOURCE"
ask
rest_is_served
! wait $READER || fail "what is nowhere was read"
grep -q 'Input/output error' "$TEST_DIR/reader" || { cat "$TEST_DIR/reader"; fail "it failed in another way"; }
rest_is_served
r3map umount --force "$TARGET"
r3map umount --force "$SOURCE"

# the way to it is lost, and found again: the session goes on, so the seeder is told and goes by itself
moved_but 300
kill $CUTTER
wait $CUTTER || :
ask
rest_is_served
! process_ended $READER || fail "who reads what is missing does not wait"
cutter
answered
r3map set --pull run "$TARGET"
of_await "$TARGET" .migration.phase complete
wait_until 60 "the seeder's device is gone" device_gone "$SOURCE"
r3map umount "$TARGET"
