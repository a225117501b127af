#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# kernels: 6.12:2
#
# This test will kill either helper within a finalize and right after it, each time at a step that is waited for: the
# region is in use at one end, the application goes on there, and what has to be done by hand is what the manual says.

# shellcheck disable=SC2016,SC2119 # eval expands; no options are meant
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/rc.sh"
requires_program sequence python3

mkfifo "$TEST_DIR/stopping" "$TEST_DIR/go"
blocked=": >$TEST_DIR/stopping; : <$TEST_DIR/go"

# recover_leecher [OPTION...]: another helper for $TARGET
recover_leecher()
{
	r3map leech --daemon --log "$TEST_DIR/leech.log" --recover "$TARGET" "$@" "$URI" >/dev/null
}

truncate -s "$REGION" "$TEST_DIR/region"

# the leecher, when it has asked and the seeder is stopping the application. The region is given to nobody then,
# and a new helper cannot know: it looks for its place until somebody who knows takes it back
seed "file:$TEST_DIR/region" --index 0 --hold-time 1h --suspend "$blocked"
writer direct "$SOURCE" /dev/r3map1
leech --index 1 --deadline 60s
of_await "$TARGET" .migration.phase following
r3map finalize "$TARGET" 2>"$TEST_DIR/told" &
asked=$!
: <"$TEST_DIR/stopping"
helper_kill "$TARGET"
! wait $asked || fail "finalized by one that was killed"
: >"$TEST_DIR/go"
of_await "$SOURCE" '.leechers[0].state' "is given the region"
of_is "$SOURCE" .hold writes || fail "writes go on, although it was given away"
of_is "$TARGET" .hold all || fail "somebody was let in"
recover_leecher
r3map finalize --undo "$SOURCE"
of_is "$SOURCE" .hold none || fail "it is not taken back"
writer_goes_on
of_await "$TARGET" .migration.phase following
r3map finalize "$TARGET" >/dev/null &
asked=$!
: <"$TEST_DIR/stopping"
: >"$TEST_DIR/go"
wait $asked || fail "it cannot be finalized any more"
moved

# the seeder then: nothing was held, so that there is nothing to take back is no error of the next helper
seed "file:$TEST_DIR/region" --index 0 --suspend "$blocked"
leech --index 1 --deadline 60s
of_await "$TARGET" .migration.phase following
r3map finalize "$TARGET" 2>"$TEST_DIR/told" &
asked=$!
: <"$TEST_DIR/stopping"
helper_kill "$SOURCE"
recover_seeder "file:$TEST_DIR/region"
: >"$TEST_DIR/go"
! wait $asked || fail "finalized by a seeder that was killed"
of_is "$SOURCE" .hold none || fail "writes are held, which nobody has asked for"
r3map umount --force "$TARGET"
helper=$(helper_of "$SOURCE")
r3map umount "$SOURCE"
wait_until 60 "the seeder's helper has ended" process_ended "$helper"
! grep 'r3map: the region was not given to anybody' "$TEST_DIR/seed.log" || fail "it ends with an error"

# the leecher, when it is prepared and the other one of its group is not: the other one is undone
truncate -s 4M "$TEST_DIR/other"
seed "file:$TEST_DIR/other" --index 2 --hold-time 1h --unix "$TEST_DIR/other.sock" --suspend "$blocked"
OTHER=$SOURCE
leech --index 3 --group pair --deadline 60s
seed "file:$TEST_DIR/region" --index 0 --hold-time 1h
writer direct "$SOURCE" /dev/r3map1
leech --index 1 --group pair --deadline 60s
of_await "$TARGET" .migration.phase following
of_await /dev/r3map3 .migration.phase following
r3map finalize --deadline 30s --group pair 2>"$TEST_DIR/told" &
asked=$!
: <"$TEST_DIR/stopping"
of_await "$TARGET" .migration.phase prepared
helper_kill "$TARGET"
: >"$TEST_DIR/go"
! wait $asked || fail "a group was finalized of which one was killed"
grep -q "none is finalized, because of $TARGET: " "$TEST_DIR/told" || { cat "$TEST_DIR/told"; fail "no reason is told"; }
of_await "$OTHER" .hold none
of_is /dev/r3map3 .hold all || fail "somebody was let in at the other"
of_is "$TARGET" .hold all || fail "somebody was let in"
of_is "$SOURCE" '.leechers[0].state' "is given the region" || fail "it takes back what it gave to one that is lost"
r3map finalize --undo "$SOURCE"
writer_goes_on
recover_leecher --group pair
of_await "$TARGET" .migration.phase following
r3map umount --force /dev/r3map3
r3map umount --force "$OTHER"
r3map finalize "$TARGET"
moved

# the seeder, when it has given the region away and was not told that it was taken. What had not come does when
# there is another helper; the leecher is unknown to that one, which has to be told to go. The writer's write that
# waits there is over when the hold time is
seed "file:$TEST_DIR/region" --index 0 --hold-time 3s
cutter 4:0:stall
writer direct "$SOURCE" /dev/r3map1
leech --index 1 --deadline 60s
of_await "$TARGET" .migration.phase following
r3map set --pull pause "$TARGET"
writer_goes_on
r3map finalize "$TARGET" >/dev/null 2>"$TEST_DIR/told" &
asked=$!
wait_until 60 "COMMIT is on its way" grep -q 'cut 4:0:stall' "$TEST_DIR/cuts"
! of_is "$SOURCE" .hold none || fail "it lets writes in, although the region was given away"
helper_kill "$SOURCE"
of_is "$TARGET" .hold none || fail "nobody is let in"
recover_seeder "file:$TEST_DIR/region"
grep -q "finalize --undo $SOURCE" "$TEST_DIR/begin.log" || fail "the new helper does not say what was given away"
! of_is "$SOURCE" .hold none || fail "the new helper lets writes in, which the leecher does as well"
wait $asked || { cat "$TEST_DIR/told"; fail "not finalized, and the region is in use"; }
writer_goes_on
r3map set --pull run "$TARGET"
of_await "$TARGET" .migration.phase complete
writer_ends "$TARGET"
r3map umount --force "$SOURCE"
r3map umount "$TARGET"
rm -f "$state"
