#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# kernels: 6.12:2
#
# This test will cut the connection behind a certain byte of FINALIZE, of its answer and of COMMIT: as long as the
# seeder has not the whole question nothing has happened, and from then on the region goes, once.

# shellcheck disable=SC2016,SC2119 # eval expands; no options are meant
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/rc.sh"
requires_program sequence python3

# FINALIZE has 20 bytes, COMMIT 12. FINALIZED has 44, and the list that follows as many as it needs, 12 at least
early=(3:0 3:11 3:19)
late=(3:20 8005:0 8005:13 8005:43 8005:44 8005:55 4:0 4:11 4:12)
truncate -s $((REGION / 2)) "$TEST_DIR/region"
seed "file:$TEST_DIR/region" --hold-time 1h
cutter "${early[@]}" "${late[@]}"
writer direct "$SOURCE" /dev/r3map1
leech
for cut in "${early[@]}"; do
	of_await "$TARGET" .migration.phase following
	! r3map finalize "$TARGET" 2>"$TEST_DIR/told" || fail "finalized, although the seeder cannot know: $cut"
	[ "$(tail -n 1 "$TEST_DIR/cuts")" = "cut $cut" ] || fail "it was not cut: $cut"
	grep -q 'nothing has happened' "$TEST_DIR/told" || { cat "$TEST_DIR/told"; fail "the reason is another one: $cut"; }
	of_is "$SOURCE" .hold none || fail "writes are held: $cut"
	of_is "$TARGET" .hold all || fail "somebody was let in: $cut"
	writer_goes_on
done
! grep 'has the region' "$TEST_DIR/seed.log" || fail "it was given away too early"
of_await "$TARGET" .migration.phase following
r3map finalize "$TARGET"
diff "$TEST_DIR/cuts" <(printf 'cut %s\n' "${early[@]}" "${late[@]}") || fail "not all was cut"
[ "$(grep -c 'has the region; writes wait here' "$TEST_DIR/seed.log")" = 1 ] || fail "it was not given away once"
of_is "$TARGET" .hold none || fail "nobody is let in"
moved
