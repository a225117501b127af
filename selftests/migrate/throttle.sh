#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# kernels: 6.12 7.2:1
#
# This test will follow a writer that is faster than the pull: slowed down by the seeder, it is caught up with, as far
# as was asked for, and nothing of what it wrote is lost. One that may not be slowed down is left to the limit on rounds.

# shellcheck disable=SC2016,SC2119 # eval expands; no options are meant
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/rc.sh"

# write_on DEVICE: all of it, again and again, until it fails
write_on()
{
	while dd if=/dev/zero of="$1" bs=16K count=128 oflag=direct conv=notrunc status=none; do :; done 2>/dev/null
}

# migrate OPTION...: to the end, with a writer, while somebody has the source open
migrate()
{
	write_on "$SOURCE" &
	writer=$!
	cleanup_fn eval "kill $writer 2>/dev/null || :"
	wait_until 60 "it is written" of_is "$SOURCE" '.counters.writes > 0' true
	leech --pull-rate 1M "$@"
	# after the helper was started, which would have it open, too
	exec 9<"$SOURCE"
	of_await "$TARGET" .migration.phase complete
	wait $writer || :
}

# no holes: the first pull takes 2 s, and so does each round for a writer who is not slowed down
head -c 2M /dev/urandom >"$TEST_DIR/image"
seed "file:$TEST_DIR/image" --throttle 256K
migrate --max-dirty 64K
grep -q 'bytes a second are written from now on' "$TEST_DIR/seed.log" || fail "the writer was not slowed down"
dirty=$(of "$TARGET" .migration.dirty)
[ "$dirty" -le 65536 ] || fail "finalized with $dirty bytes"
of_is "$SOURCE" .throttle 0 || fail "it is slowed down for ever"
cmp "$SOURCE" "$TARGET" || fail "it is not what it was"
exec 9<&-
wait_until 60 "the seeder's device is gone" device_gone "$SOURCE"
r3map umount "$TARGET"

: >"$TEST_DIR/seed.log"
seed "file:$TEST_DIR/image"
migrate --max-dirty 4K --rounds 4
! grep -q 'bytes a second are written' "$TEST_DIR/seed.log" || fail "it was slowed down without being asked to"
[ "$(of "$TARGET" .migration.round)" -eq 4 ] || fail "it was not after 4 rounds"
cmp "$SOURCE" "$TARGET" || fail "it is not what it was, after rounds that did not become shorter"
exec 9<&-
