#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# kernels: 6.12:2
#
# This test will look at what is told to take how long, with a backend that takes 540 ms for everything:
# what had to wait for it is in no bucket below, what had not is, and there are as many as the counters say.

# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/rc.sh"

# the smallest power of two times 128 ns above 0.5 s: 540 ms are in the bucket that begins here
SLOW=536870912

image 1048576
backend="delay:540ms:file:$IMAGE"

# latency FILTER: of what r3map show --latency -j tells, put away before
latency()
{
	jq -r "$1" "$TEST_DIR/latency"
}
look()
{
	r3map show --latency -j "$DEV" >"$TEST_DIR/latency"
}
# slow KIND COUNT: are so many in it, and all of them that slow?
slow_ones()
{
	[ "$(latency ".$1.count")" = "$2" ] || fail "$1: $(latency ".$1 // \"none\""), not $2"
	[ "$(latency "[.$1.buckets[].count] | add")" = "$2" ] || fail "$1: $(latency ".$1")"
	[ "$(latency ".$1.buckets[0].from_ns")" -ge $SLOW ] || fail "$1: $(latency ".$1")"
	[ "$(latency ".$1.p50_ns")" -ge 540000000 ] || fail "$1: $(latency ".$1")"
	[ "$(latency ".$1 | .p50_ns <= .p90_ns and .p90_ns <= .p99_ns and .p99_ns <= .longest_ns and
		.longest_ns <= .sum_ns and .sum_ns >= .count * 540000000")" = true ] ||
		fail "$1: $(latency ".$1")"
}

# demands, each of its own
device_mount --managed --no-part-scan --pull-workers 0 --push-interval 0 "$backend"
dd if="$DEV" of=/dev/null bs=64k count=3 iflag=direct status=none
look
slow_ones demands "$(device_counter demands)"
[ "$(device_counter demands)" = 3 ] || fail "$(device_counter demands) demands"
[ "$(latency '.coalesced // "none"')" = none ] || fail "coalesced: $(latency .coalesced)"
# hits, which wait for nobody; the driver times some of them
for _ in 1 2 3 4; do
	dd if="$DEV" of=/dev/null bs=4k count=48 iflag=direct status=none
done
look
[ "$(device_counter hits)" -ge 192 ] || fail "$(device_counter hits) hits"
one_in=$(latency .hits.one_in)
timed=$(latency .hits.count) fewest=$(($(device_counter hits) / one_in))
if [ "$timed" -lt $fewest ] || [ "$timed" -gt $((fewest + $(nproc))) ]; then
	fail "of $(device_counter hits) hits there are $(latency .hits)"
fi
[ "$(latency .hits.p50_ns)" -lt $SLOW ] || fail "hits: $(latency .hits)"
slow_ones demands 3
# several who read one chunk: one of them has it fetched
for _ in 1 2 3 4; do
	dd if="$DEV" of=/dev/null bs=64k count=1 skip=12 iflag=direct status=none &
done
wait
look
slow_ones demands 4
[ "$(device_counter demands)" = 4 ] || fail "$(device_counter demands) demands"
[ "$(device_counter fetches)" = 4 ] || fail "$(device_counter fetches) fetches"
[ $(($(device_counter demands) + $(device_counter coalesced))) = "$(device_counter misses)" ] ||
	fail "$(device_counter coalesced) coalesced of $(device_counter misses) misses"
coalesced=$(device_counter coalesced)
[ "$coalesced" -ge 1 ] || fail "nobody has waited for another"
[ "$(latency .coalesced.count)" = "$coalesced" ] || fail "coalesced: $(latency .coalesced)"
if [ "$VIA" = r3map ]; then	# what the helper was asked for is as slow
	slow_ones fetches 4
fi
# pushes
put 0 128
put 256 8
[ "$(latency '.pushes // "none"')" = none ] || fail "pushes: $(latency .pushes)"
r3map sync "$DEV"
look
slow_ones pushes 2
r3map show --latency "$DEV" >"$TEST_DIR/picture"
grep -q '^  demands  *4 .* ms .*\[.*@.*\]$' "$TEST_DIR/picture" ||
	fail "the picture: $(cat "$TEST_DIR/picture")"
expect_fail r3map show --latency --watch "$DEV"
r3map show "$DEV" >"$TEST_DIR/words"
for line in '  pull  *off: only what is asked for is fetched$' \
	'    hits  *[0-9]* (9[0-9]\.[0-9] %)$' "    coalesced  *$coalesced ("; do
	grep -q "^$line" "$TEST_DIR/words" || fail "not '$line' but $(cat "$TEST_DIR/words")"
done
r3map umount "$DEV"

# pulls: all but the hole, a chunk each
device_mount --managed --no-part-scan --push-interval 0 "$backend"
wait_until 60 "everything is local" all_local
look
slow_ones pulls 12
[ "$(device_counter fill_bytes)" = 1048576 ] || fail "$(device_counter fill_bytes) bytes filled"
[ "$(latency '.demands // "none"')" = none ] || fail "demands: $(latency .demands)"
r3map umount "$DEV"

# what is not managed: requests at the helper
[ "$VIA" = r3map ] || exit 0
device_mount --no-part-scan "$backend"
dd if="$DEV" of=/dev/null bs=64k count=2 iflag=direct status=none
look
slow_ones reads "$(device_counter reads)"
[ "$(latency '.hits // "none"')" = none ] || fail "hits: $(latency .hits)"
r3map umount "$DEV"
