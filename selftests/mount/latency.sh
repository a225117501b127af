#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# kernels: 6.12:2 7.2:1
#
# This test will look at what is told to take how long, with a backend that takes 540 ms for everything:
# what had to wait for it is in no bucket below, what had not is, and there are as many as the counters say.

# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/rc.sh"

# the smallest power of two times 128 ns above 0.5 s: 540 ms are in the bucket that begins here
SLOW=536870912

image 1048576
backend="delay:540ms:file:$IMAGE"

# look: puts away what r3map show tells; few programs, they are slow to start in the lab
look()
{
	r3map show --latency -j "$DEV" >"$TEST_DIR/latency"
	SHOWN=$(r3map show -j "$DEV")
}
# count NAME: sets COUNT to a counter, as put away
count()
{
	[[ $SHOWN =~ \"$1\":[[:space:]]*([0-9]+) ]] || fail "show does not tell '$1'"
	COUNT=${BASH_REMATCH[1]}
}
# counts NAME NUMBER: is it that?
counts()
{
	count "$1"
	[ "$COUNT" = "$2" ] || fail "$1: $COUNT, not $2"
}
# none KIND: was there none?
none()
{
	[[ $(<"$TEST_DIR/latency") != *\"$1\":* ]] || fail "$1: $(cat "$TEST_DIR/latency")"
}
# slow_ones KIND COUNT: are so many in it, and all of them that slow?
slow_ones()
{
	jq -e ".$1 | .count == $2 and ([.buckets[].count] | add) == $2 and
		.buckets[0].from_ns >= $SLOW and .p50_ns >= 540000000 and .p50_ns <= .p90_ns and
		.p90_ns <= .p99_ns and .p99_ns <= .longest_ns and .longest_ns <= .sum_ns and
		.sum_ns >= $2 * 540000000" "$TEST_DIR/latency" >/dev/null ||
		fail "not $2 $1, all of them slow: $(cat "$TEST_DIR/latency")"
}

# demands, each of its own
device_mount --managed --no-part-scan --pull-workers 0 --push-interval 0 "$backend"
dd if="$DEV" of=/dev/null bs=64k count=3 iflag=direct status=none
look
slow_ones demands 3
counts demands 3
none coalesced
none hits
# hits, which wait for nobody; the driver times some of them
for _ in 1 2 3 4; do
	dd if="$DEV" of=/dev/null bs=4k count=48 iflag=direct status=none
done
look
count hits
hits=$COUNT
[ "$hits" -ge 192 ] || fail "$hits hits"
jq -e "(.hits.count - $hits / .hits.one_in) as \$more | \$more >= 0 and \$more <= $(nproc) and
	.hits.p50_ns < $SLOW" "$TEST_DIR/latency" >/dev/null ||
	fail "of $hits hits there are $(cat "$TEST_DIR/latency")"
slow_ones demands 3
# several who read one chunk: one of them has it fetched
for _ in 1 2 3 4; do
	dd if="$DEV" of=/dev/null bs=64k count=1 skip=12 iflag=direct status=none &
done
wait
look
slow_ones demands 4
counts demands 4
counts fetches 4
count misses
coalesced=$((COUNT - 4))
[ $coalesced -ge 1 ] || fail "nobody has waited for another"
counts coalesced $coalesced
jq -e ".coalesced.count == $coalesced" "$TEST_DIR/latency" >/dev/null ||
	fail "not $coalesced coalesced: $(cat "$TEST_DIR/latency")"
if [ "$VIA" = r3map ]; then	# what the helper was asked for is as slow
	slow_ones fetches 4
fi
# pushes
put 0 128
put 256 8
none pushes
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
counts fill_bytes 1048576
none demands
r3map umount "$DEV"

# what is not managed: requests at the helper
[ "$VIA" = r3map ] || exit 0
device_mount --no-part-scan "$backend"
dd if="$DEV" of=/dev/null bs=64k count=2 iflag=direct status=none
look
count reads
slow_ones reads "$COUNT"
none hits
r3map umount "$DEV"
