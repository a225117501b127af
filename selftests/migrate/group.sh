#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# kernels: 6.12:2
# timeout: 600
#
# This test will finalize two regions as one: the deadline that one of them misses undoes the other, which is at rest
# by then, so does who asked and is lost; and then both are used where they have moved to.

# shellcheck disable=SC2016,SC2119 # eval expands; no options are meant
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/rc.sh"
requires_program sequence

# late: a write to the second region that does not end before in_time, in the background
late()
{
	kill -STOP $server
	head -c 4096 /dev/urandom >"$TEST_DIR/block"
	dd if="$TEST_DIR/block" of=/dev/r3map1 bs=4k seek=7 oflag=direct conv=notrunc status=none &
	LATE=$!
	of_await /dev/r3map1 '.in_flight > 0' true
}

# in_time: it ends
in_time()
{
	kill -CONT $server
	wait $LATE || fail "the write that was late has failed"
}

# rests: how often a region was at rest; at_rest N: waits until that is N
rests()
{
	grep -c 'has the region; writes wait here' "$TEST_DIR/seed.log" || :
}
at_rest()
{
	wait_until 60 "the first is at rest" eval '[ "$(rests)" -ge '"$1"' ]'
}

# nothing_happened: both are where they were, in use
nothing_happened()
{
	of_await /dev/r3map0 .hold none
	of_await /dev/r3map1 .hold none
	of_is /dev/r3map2 .hold all || fail "somebody was let in at the one"
	of_is /dev/r3map3 .hold all || fail "somebody was let in at the other"
	writer_goes_on
	of_await /dev/r3map2 .migration.phase following
	of_await /dev/r3map3 .migration.phase following
}

truncate -s $REGION "$TEST_DIR/a" "$TEST_DIR/b"
seed "file:$TEST_DIR/a" --index 0
first=$URI
r3map serve --unix "$TEST_DIR/backend.sock" "file:$TEST_DIR/b" &
server=$!
cleanup_fn eval "kill -CONT $server; kill $server"
wait_until 60 "the backend is served" test -S "$TEST_DIR/backend.sock"
seed "nbd+unix:///?socket=$TEST_DIR/backend.sock&timeout=0" --index 1 --timeout 10m --unix "$TEST_DIR/second.sock"
second="$URI&timeout=0"
URI=$first
leech --index 2 --group pair
URI=$second
leech --index 3 --deadline 10s --group pair
writer direct /dev/r3map0 /dev/r3map2
of_await /dev/r3map2 .migration.phase following
of_await /dev/r3map3 .migration.phase following

expect_fail r3map finalize r3map2 /dev/r3map2
expect_fail r3map finalize /dev/r3map2 /dev/r3map0
expect_fail r3map finalize --group pair /dev/r3map2
expect_fail r3map finalize --group 'a pair'
! r3map finalize --group other 2>"$TEST_DIR/told" || fail "a group without members was finalized"
grep -q "no leecher of group 'other'" "$TEST_DIR/told" || { cat "$TEST_DIR/told"; fail "no reason is told"; }
of_await /dev/r3map2 .migration.phase following

late
rests=$(rests)
r3map finalize -j --deadline 30s --group pair >"$TEST_DIR/out" 2>"$TEST_DIR/told" &
group=$!
at_rest $((rests + 1))
# somebody else's is refused, and is nothing to those who wait; a slow kernel may have refused them before he comes
if [ "${TEST_SLOW:-1}" = 1 ]; then
	expect_fail r3map finalize /dev/r3map2 /dev/r3map3
	grep -q 'none is finalized, because of /dev/r3map2: it is being finalized already' "$TEST_DIR/stderr" ||
		{ cat "$TEST_DIR/stderr"; fail "no reason is told"; }
fi
! wait $group || fail "finalized, although a write was on its way"
grep -q 'none is finalized, because of /dev/r3map3: .*did not come to rest in time' "$TEST_DIR/told" ||
	{ cat "$TEST_DIR/told"; fail "no reason is told"; }
[ "$(jq -r '.[] | [.device, .done, has("error")] | join(" ")' "$TEST_DIR/out" | sort)" = \
	$'/dev/r3map2 false false\n/dev/r3map3 false true' ] || { cat "$TEST_DIR/out"; fail "it is not told who has refused"; }
in_time
nothing_happened

# the deadline of the group, which is sooner than that of its member
late
expect_fail r3map finalize --deadline 500ms /dev/r3map2 /dev/r3map3
in_time
nothing_happened

# who asked is lost
late
rests=$(rests)
r3map finalize --deadline 30s /dev/r3map2 /dev/r3map3 2>/dev/null &
group=$!
at_rest $((rests + 1))
kill -9 $group
# and is missed at once: it is not waited for until the other one is ready, or for as long as one that is there
wait_until 60 "the first is not at rest any more" \
	grep -q 'not finalized: who has asked for it is gone: nothing has happened' "$TEST_DIR/leech.log"
in_time
nothing_happened

# who asked stands still: that is waited for, but not for ever, and nothing is finalized by who goes on afterwards
if [ "${TEST_SLOW:-1}" = 1 ]; then
	late
	rests=$(rests)
	r3map finalize --deadline 30s /dev/r3map2 /dev/r3map3 2>"$TEST_DIR/told" &
	group=$!
	at_rest $((rests + 1))
	process_stop $group
	# nobody else completes the one alone
	of_await /dev/r3map2 .migration.phase prepared
	expect_fail r3map finalize /dev/r3map2
	grep -q 'it is one of a group that is being finalized' "$TEST_DIR/stderr" ||
		{ cat "$TEST_DIR/stderr"; fail "no reason is told"; }
	in_time
	wait_until 150 "the first is not at rest any more" of_is /dev/r3map0 .hold none
	wait_until 150 "the second is not at rest any more" of_is /dev/r3map1 .hold none
	kill -CONT $group
	! wait $group || fail "finalized, although it was given up"
	note "$(cat "$TEST_DIR/told")"
	grep -q 'none is finalized, because of /dev/r3map[23]: ' "$TEST_DIR/told" ||
		{ cat "$TEST_DIR/told"; fail "no reason is told"; }
	nothing_happened
fi

r3map finalize --deadline 30s /dev/r3map3 /dev/r3map2 >"$TEST_DIR/out"
[ "$(grep -c '^/dev/r3map[23]: stopped for .* ms' "$TEST_DIR/out")" = 2 ] || { cat "$TEST_DIR/out"; fail "not both are told of"; }
dd if=/dev/r3map3 bs=4k skip=7 count=1 status=none | cmp - "$TEST_DIR/block" || fail "the late write is lost"
writer_goes_on
writer_ends /dev/r3map2
for device in /dev/r3map[23]; do
	of_await "$device" .migration.phase complete
done
wait_until 60 "the seeders' devices are gone" eval 'device_gone /dev/r3map0 && device_gone /dev/r3map1'
r3map umount /dev/r3map2 /dev/r3map3
